"""Where a generator's pictures lie: codes that can be moved, whatever the game, and the picture at each.

    z     the latent, of any game with latents                               codes (n, 1, z)
    w     what the mapping network makes of it, the same for all layers      codes (n, 1, w)
    w+    one w for each layer                                               codes (n, layers, w)

Channels are what the layers multiply their inputs by (StyleSpace, Wu et al. 2021); of a game with z alone, z itself.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.sample import device_of
from sparring.types import HasLatents, HasLatentsByClass, HasLatentsByText, HasStyles

SPACES = ("auto", "z", "w", "w+")
_SAMPLES = 4096  # latents by which the law of codes is known

Channels = tuple[Tensor, ...]


class Coordinates(ABC):
    """Codes of a game and their pictures.

    name: of the space.   levels, dimensions: of a code.   middle: (levels, d) the mean code.   spread: (d,) standard
    deviations of the coordinates over the samples of the game.
    """

    name: str

    def __init__(self, game: Any) -> None:
        self.game, self.device = game, device_of(game)
        with torch.no_grad():
            many = self.codes(game.latents(Dice(0, "edit/law", range(_SAMPLES), device=self.device)))
        self.levels, self.dimensions = many.shape[1], many.shape[2]
        self.middle = many.mean(0)
        self.spread = (many - self.middle).square().mean((0, 1)).sqrt().clamp_min(1e-6)

    def start(self, seed: int, numbers: range = range(1)) -> Tensor:
        """The codes of samples of a seed, as `sparring sample` numbers them: (n, levels, d)."""
        with torch.no_grad():
            return self.codes(self.game.latents(Dice(seed, "sample", numbers, device=self.device)))

    @abstractmethod
    def codes(self, z: Tensor) -> Tensor:
        """(n, z) latents → (n, levels, d)."""

    @abstractmethod
    def image(self, codes: Tensor) -> Tensor:
        """(n, levels, d) → (n, C, H, W) in about [-1, 1], differentiable."""

    @abstractmethod
    def channels(self, codes: Tensor) -> Channels:
        """(n, levels, d) → (n, channels) of each layer."""

    @abstractmethod
    def image_of(self, channels: Sequence[Tensor]) -> Tensor:
        """What `channels` gives, changed or not → (n, C, H, W)."""

    def near(self, codes: Tensor, start: Tensor) -> Tensor:
        """The codes, brought back to where pictures can be made of them; `start`, from where they moved, stays."""
        return codes


class Latents(Coordinates):
    """z of any game. label: the class that stays, of a game that is told one."""

    name = "z"

    def __init__(self, game: HasLatents, label: int = 0) -> None:
        self.label = label
        super().__init__(game)

    def codes(self, z: Tensor) -> Tensor:
        return z[:, None]

    def image(self, codes: Tensor) -> Tensor:
        z = codes[:, 0]
        if isinstance(self.game, HasLatentsByClass):
            return self.game.decode(z, torch.full((len(z),), self.label, device=z.device)).float()
        image: Tensor = self.game.decode(z).float()
        return image

    def channels(self, codes: Tensor) -> Channels:
        return (codes[:, 0],)

    def image_of(self, channels: Sequence[Tensor]) -> Tensor:
        return self.image(channels[0][:, None])

    def near(self, codes: Tensor, start: Tensor) -> Tensor:
        """On the sphere; of a normal law in the ball of radius √z, around which its samples lie, or of the start's
        norm where that is larger."""
        norm = codes.norm(dim=2, keepdim=True).clamp_min(1e-12)
        if self.game.prior == "sphere":
            return torch.where(codes == start, codes, codes / norm)
        most = start.norm(dim=2, keepdim=True).clamp_min(math.sqrt(codes.shape[2]))
        return torch.where(norm > most, codes * (most / norm), codes)


class Layers(Coordinates):
    """w of a game with styles, one for each layer, or (`one`) the same for all."""

    def __init__(self, game: HasStyles, one: bool = False) -> None:
        self.one, self.name = one, "w" if one else "w+"
        with torch.no_grad():
            self.layers = game.to_w(game.latents(Dice(0, "edit/law", range(1), device=device_of(game)))).shape[1]
        super().__init__(game)

    def _every(self, codes: Tensor) -> Tensor:
        return codes.expand(-1, self.layers, -1) if self.one else codes

    def codes(self, z: Tensor) -> Tensor:
        w: Tensor = self.game.to_w(z)
        return w[:, :1] if self.one else w

    def image(self, codes: Tensor) -> Tensor:
        image: Tensor = self.game.from_w(self._every(codes)).float()
        return image

    def channels(self, codes: Tensor) -> Channels:
        return tuple(self.game.to_styles(self._every(codes)))

    def image_of(self, channels: Sequence[Tensor]) -> Tensor:
        image: Tensor = self.game.from_styles(channels).float()
        return image


def coordinates(game: object, space: str = "auto", label: int = 0) -> Coordinates:
    """Those of a game. space: z, w or w+; "auto": w+ where there are styles, else z.

    Raises `UsageError` for a game without latents, and for a space that it does not have.
    """
    if space not in SPACES:
        raise UsageError("EDIT-SPACE", "there is no such space", where=space, fix=f"one of {', '.join(SPACES)}")
    if not isinstance(game, HasLatents):
        raise UsageError(
            "EDIT-CANNOT", f"{type(game).__name__} has no latent that could be moved",
            fix="name a run that makes pictures of latents: gan, dcgan, r3gan, stylegan2, vae …",
        )  # fmt: skip
    if isinstance(game, HasLatentsByText):
        raise UsageError(
            "EDIT-CANNOT", f"{type(game).__name__} makes pictures of a latent and of a text",
            why="what is to change is asked for in words", fix='sparring sample RUN --text "…", with the same seed',
        )  # fmt: skip
    if isinstance(game, HasStyles) and space != "z":
        return Layers(game, one=space == "w")
    if space in ("w", "w+"):
        raise UsageError("EDIT-SPACE", f"{type(game).__name__} has no W, only z", where=space, fix="--space z")
    return Latents(game, label)
