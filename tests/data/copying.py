"""A game on pairs, as small as can be: G learns to make x of its condition, by their difference alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from sparring.train.game import Game, Now, Training, strict
from sparring.types import Batch, Dice, Shared, Space, Terms, Translates, Weights


@dataclass(frozen=True, config=strict, kw_only=True)
class CopyingConfig(Training):
    play: str = "G:1"


class Copying(Game, Translates):
    """One 1×1 convolution."""

    Config = CopyingConfig
    owner = "G"
    needs = frozenset({"pair"})

    @property
    def stride(self) -> int:
        return 1

    def __init__(self, space: Space) -> None:
        super().__init__()
        assert space.condition is not None
        self.convolution = nn.Conv2d(space.condition[0], space.shape[0], 1)

    @classmethod
    def build(cls, config: Any, space: Space) -> Copying:
        return cls(space)

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"G": self.convolution}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        assert batch.condition is not None
        return {"l1": (self.convolution(batch.condition) - batch.x).abs().mean(dim=(1, 2, 3))}

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {"l1": 1.0}

    def translate(self, image: Tensor, dice: Dice | None) -> Tensor:
        made: Tensor = self.convolution(image)
        return made


class Separate(Copying):
    """The same, of two sets that have nothing to do with each other."""

    needs = frozenset({"unpaired"})
