"""A generator with styles, a scorer and a run, in milliseconds and without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.runs.scorer import Scorer
from sparring.types import HasLatents, HasLatentsByClass, HasStyles, Samples

Z, W, LAYERS, SIDE = 4, 6, 3, 8


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Styles(nn.Module, HasStyles, Samples):
    """z (n, 4) → w (n, 3, 6) → styles of 5, 5 and 4 channels → a picture that is linear in them."""

    widths = (5, 5, 4)

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Parameter(random(Z, W))
        self.affine = nn.ParameterList(random(W, width, seed=k) for k, width in enumerate(self.widths))
        self.paint = nn.Parameter(0.05 * random(sum(self.widths), 3, SIDE, SIDE, seed=9))

    def latents(self, dice: Any) -> Tensor:
        return dice.normal(Z)

    def decode(self, z: Tensor) -> Tensor:
        return self.from_w(self.to_w(z))

    def sample(self, dice: Any, *, truncation: float = 1.0) -> Tensor:
        return self.decode(truncation * self.latents(dice))

    @property
    def mean_w(self) -> Tensor:
        return torch.zeros(W)

    def to_w(self, z: Tensor, *, truncation: float = 1.0) -> Tensor:
        return (truncation * z @ self.mapping)[:, None].expand(-1, LAYERS, -1)

    def to_styles(self, w: Tensor) -> tuple[Tensor, ...]:
        return tuple(w[:, k] @ affine for k, affine in enumerate(self.affine))

    def from_w(self, w: Tensor) -> Tensor:
        return self.from_styles(self.to_styles(w))

    def from_styles(self, styles: Sequence[Tensor]) -> Tensor:
        return torch.einsum("ns,schw->nchw", torch.cat(list(styles), 1), self.paint)


class Plain(nn.Module, HasLatents):
    """z alone, of a normal law."""

    def __init__(self) -> None:
        super().__init__()
        self.paint = nn.Parameter(0.2 * random(12, 3, SIDE, SIDE))

    def latents(self, dice: Any) -> Tensor:
        return dice.normal(12)

    def decode(self, z: Tensor) -> Tensor:
        return torch.einsum("ns,schw->nchw", z, self.paint).tanh()


class Sphere(Plain):
    prior = "sphere"

    def latents(self, dice: Any) -> Tensor:
        return F.normalize(dice.normal(12), dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return super().decode(3 * z)


class Told(Plain, HasLatentsByClass):
    def decode(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        return super().decode(z) * (1 - 0.5 * label.view(-1, 1, 1, 1))


GAMES = {"styles": Styles, "plain": Plain, "sphere": Sphere, "told": Told}


class Colours(Scorer):
    """How red, green and blue a picture is, and how dark: a direction of four numbers. Texts are names of colours."""

    identity = "colours"
    names = ("red", "green", "blue")

    def images(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3))
        return F.normalize(torch.cat([mean - mean.mean(1, keepdim=True), 0.2 * torch.ones_like(mean[:, :1])], 1), dim=1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        rows = torch.tensor([[float(name == text) for name in self.names] for text in texts])
        rows = rows - rows.mean(1, keepdim=True)
        return F.normalize(torch.cat([rows, torch.full((len(rows), 1), 1e-3)], 1), dim=1)


class Linear(Colours):
    """The same without its lengths: all is linear, so that effects are known in closed form."""

    def images(self, x: Tensor) -> Tensor:
        return F.pad(x.mean((2, 3)), (0, 1))


@dataclass
class FakeRun:
    game: Any
    home: Path = Path("nowhere")
    images: int = 64
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")


def run_of(kind: str = "styles", home: Path = Path("nowhere")) -> Any:
    return FakeRun(GAMES[kind]().requires_grad_(False).eval(), home)
