"""Small games without training, for tests of what is made with them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sparring.types import HasLatents, Samples


class Toy(nn.Module, HasLatents, Samples):
    """z (n, 4) → images (n, C, 8, 8) that are a smooth function of z; or the points (z₀, z₁)."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(4, channels * 64, generator=torch.Generator().manual_seed(0)))
        self.channels = channels

    def latents(self, dice):
        return dice.normal(4)

    def decode(self, z):
        return z[:, :2] if not self.channels else torch.tanh(z @ self.weight).view(-1, self.channels, 8, 8)

    def sample(self, dice, *, truncation=1.0):
        return self.decode(truncation * self.latents(dice))


@dataclass
class Trained:
    game: Any
