"""What is wanted of a picture, in words, and what it may cost: the terms that all three methods lower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.edit.coordinates import Coordinates
from sparring.errors import UsageError
from sparring.networks import lpips
from sparring.runs.scorer import Scorer, in_colour

Distance = Callable[[Tensor, Tensor], Tensor]
"""How different pictures are: two times (n, C, H, W) in [-1, 1] → (n,), from 0 on."""
LOOKED_AT = 64
"""Side in pixels to which smaller pictures are enlarged before LPIPS looks at them."""


@dataclass(frozen=True)
class Wish:
    """text: what the picture should be like.   neutral: what it is like now; "" for nothing in particular.
    strength: how far to go; 0 stays, 1 is what the method finds.
    l2, identity: weights of what a move costs: the squared length of the move, in standard deviations of the codes, a
    mean over levels; and how different the picture becomes (λ_L2 and λ_ID of Patashnik et al. 2021, eq. 1)."""

    text: str
    neutral: str = ""
    strength: float = 1.0
    l2: float = 0.008
    identity: float = 0.1

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UsageError("EDIT-TEXT", "there is no text to edit by", fix='--text "a red heart"')
        if self.text == self.neutral:
            raise UsageError("EDIT-TEXT", "--from and --text say the same", where=self.text)
        if not -10 <= self.strength <= 10:
            raise UsageError("EDIT-STRENGTH", "a strength is a number from -10 to 10", where=f"{self.strength:g}")

    def direction(self, scorer: Scorer) -> Tensor:
        """(d,) of length 1: that of the text; with a neutral one, from that to the text."""
        if not self.neutral:
            return scorer.texts([self.text])[0]
        to, start = scorer.texts([self.text, self.neutral])
        return F.normalize(to - start, dim=0)


@dataclass(frozen=True)
class Judge:
    """A wish with those who judge it.   distance: of pictures, how different they are to people."""

    wish: Wish
    coordinates: Coordinates
    scorer: Scorer
    distance: Distance

    def terms(self, image: Tensor, source: Tensor, move: Tensor, direction: Tensor) -> dict[str, Tensor]:
        """(n,) each: match, 1 − cosine of picture and wish; l2; identity. move: (n, levels, d) of the codes."""
        u = move / self.coordinates.spread
        terms = {
            "match": 1 - self.scorer.images(in_colour(image)) @ direction,
            "l2": u.square().sum(2).mean(1),
        }
        if self.wish.identity > 0:
            terms["identity"] = self.distance(image, source)
        return terms

    @property
    def weights(self) -> dict[str, float]:
        found = {"match": 1.0, "l2": self.wish.l2, "identity": self.wish.identity}
        return {name: weight for name, weight in found.items() if name != "identity" or weight > 0}

    def paid(self, terms: dict[str, Tensor]) -> Tensor:
        """(n,): what is lowered."""
        return torch.stack([self.weights[name] * terms[name] for name in self.weights]).sum(0)


def perceptual(backbone: lpips.Backbone = "alex", device: str | torch.device = "cpu") -> Distance:
    """LPIPS; pictures of any size and of 1, 3 or 4 channels. Raises what `networks.lpips.load` raises."""
    network = lpips.load(backbone).to(device)

    def distance(x: Tensor, y: Tensor) -> Tensor:
        found: Tensor = network(large(in_colour(x)), large(in_colour(y)))
        return found

    return distance


def large(x: Tensor) -> Tensor:
    """(n, C, H, W) with its shorter side enlarged to `LOOKED_AT` pixels if it is smaller."""
    short = min(x.shape[2:])
    if short >= LOOKED_AT:
        return x
    sides = [round(side * LOOKED_AT / short) for side in x.shape[2:]]
    return F.interpolate(x, sides, mode="bilinear", align_corners=False)


def pixels(x: Tensor, y: Tensor) -> Tensor:
    """The mean squared difference of pixels: a distance that needs no weights.

    >>> pixels(torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2))
    tensor([1.])
    """
    return (x - y).square().mean((1, 2, 3))
