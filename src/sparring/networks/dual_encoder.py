"""Two encoders with one space: images and texts as directions that are near where the two belong together (Radford et
al. 2021, "Learning transferable visual models from natural language supervision"), small enough for a CPU.

    image (C, H, W) → convolutions (`networks.classifier`) → mean over the last map → linear → d
    text            → a frozen encoder (`networks.text`)   → linear                          → d
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.networks.classifier import Classifier

SHARPEST = 100.0
"""The largest factor of cosines (1 / temperature), as in the paper: beyond it training is unstable."""


class DualEncoder(nn.Module):
    """Both encoders, and the temperature by which cosines become logits.

    shape: (C, H, W) of an image, at least 16 × 16.   read: numbers of an encoded text.   d: of the common space.
    width: channels of the finest map.

    >>> net = DualEncoder((3, 16, 16), read=8, d=4, width=4)
    >>> net(torch.zeros(2, 3, 16, 16), torch.randn(5, 8)).shape
    torch.Size([2, 5])
    """

    def __init__(self, shape: tuple[int, ...], read: int, d: int = 128, width: int = 32) -> None:
        super().__init__()
        self.image = Classifier(shape, d, width)
        self.text = nn.Linear(read, d, bias=False)
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # where the paper begins

    def images(self, x: Tensor) -> Tensor:
        """(n, C, H, W) in [-1, 1] → (n, d) of length 1."""
        return F.normalize(self.image(x).float(), dim=1)

    def texts(self, read: Tensor) -> Tensor:
        """(n, read) → (n, d) of length 1."""
        with torch.autocast(read.device.type, enabled=False):
            return F.normalize(self.text(read), dim=1)

    @property
    def factor(self) -> Tensor:
        """What cosines are multiplied by: e^sharpness, from 1 to `SHARPEST`."""
        return self.sharpness.clamp(0.0, math.log(SHARPEST)).exp()

    def forward(self, x: Tensor, read: Tensor) -> Tensor:
        """(n, C, H, W), (m, read) → (n, m) logits."""
        return self.factor * self.images(x) @ self.texts(read).t()
