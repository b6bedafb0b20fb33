"""How well a text describes a picture, by an encoder of both: CLIP, or a dual encoder that was trained here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sparring.errors import SparringError, UsageError
from sparring.networks import clip, weights
from sparring.ops.colour import grey
from sparring.runs.run import Run
from sparring.types import MatchesText


class Scorer(ABC):
    """Pictures and texts as directions in one space.   identity: which numbers exactly it gives."""

    identity: str

    @abstractmethod
    def images(self, x: Tensor) -> Tensor:
        """(n, 3, H, W) in [-1, 1], of any size → (n, d) of length 1, differentiable in x."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> Tensor:
        """n texts → (n, d) of length 1."""

    def similarity(self, x: Tensor, texts: Sequence[str]) -> Tensor:
        """(n, 3, H, W) in [-1, 1], m texts → (n, m) cosines, differentiable in x."""
        return self.images(x) @ self.texts(texts).t()


class DualScorer(Scorer):
    """A game that matches texts, such as a run of dualencoder.   shape: (C, H, W) that it was trained on."""

    def __init__(self, game: Any, shape: tuple[int, ...], of: str = "") -> None:
        if not isinstance(game, MatchesText):
            raise UsageError(
                "SCORER-CANNOT", "this run does not say how well a text describes a picture", where=of,
                fix="train one that does on pictures with captions: sparring train DATA --recipe dualencoder",
            )  # fmt: skip
        self._game, self._shape = game, shape
        self.identity = f"dualencoder {weights.digest(game.state_dict())[:8]}"  # type: ignore[attr-defined]

    def images(self, x: Tensor) -> Tensor:
        x = F.interpolate(x.float(), self._shape[1:], mode="bilinear", antialias=True)
        if self._shape[0] == 1:
            x = grey(x)
        elif self._shape[0] == 4:
            x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        return self._game.embed_images(x)

    def texts(self, texts: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return self._game.embed_texts(texts)


class ClipScorer(Scorer):
    """CLIP ViT-L/14 at 336 px (Radford et al. 2021), or another CLIP in a folder as ``save_pretrained`` writes it."""

    def __init__(self, loaded: clip.Both) -> None:
        self._clip, self.identity = loaded, f"clip {loaded.sha256[:8]}"

    def images(self, x: Tensor) -> Tensor:
        return self._clip.images(x)

    def texts(self, texts: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return self._clip.texts(texts)


def open_scorer(name: str, device: str | torch.device = "cpu", opening: Callable[[str], Run] | None = None) -> Scorer:
    """By its name: "clip", "clip:FOLDER", or the directory of a run that matches texts.

    opening: how a run is opened, where exported ones are to be opened too.

    Raises `UsageError` for a run that does not, `MachineError` where CLIP or the sentence encoder are not installed.
    """
    if name == "clip" or name.startswith("clip:"):
        try:
            return ClipScorer(clip.load(name.partition(":")[2] or None, device))
        except SparringError as error:
            if error.code == "FEATURES-ABSENT" and name == "clip":
                error.add_note(
                    "without CLIP: sparring train emoji --recipe dualencoder --out runs/words; then --scorer runs/words"
                )
            raise
    run = Run(name, device=str(device)) if opening is None else opening(name)
    return DualScorer(run.game, tuple(run.document["data"]["shape"]), name)


def in_colour(x: Tensor) -> Tensor:
    """(n, 1, 3 or 4, H, W) in [-1, 1] → (n, 3, H, W): grey three times, transparency on white.

    >>> in_colour(torch.tensor([0.5, 0.5, 0.5, -1.0]).view(1, 4, 1, 1)).flatten()
    tensor([1., 1., 1.])
    """
    if x.shape[1] == 1:
        return x.expand(-1, 3, -1, -1)
    if x.shape[1] == 4:
        cover = (x[:, 3:] + 1) / 2
        return x[:, :3] * cover + (1 - cover)
    return x
