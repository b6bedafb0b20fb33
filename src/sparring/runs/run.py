"""A trained run, opened for use: its sampling players only, averaged, in eval mode. No flags needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.errors import CheckpointError, UsageError
from sparring.generate import interpolate, sample
from sparring.runs import plan as plans
from sparring.runs.directory import RunDirectory
from sparring.runs.recipe import Recipe
from sparring.runs.session import recipe_of
from sparring.train.checkpoint import Checkpoint, Store, match_tensors
from sparring.train.engine import choose_device
from sparring.train.game import Game
from sparring.train.parts import left_out, lop


@dataclass(frozen=True)
class Choice:
    """A checkpoint, and why it is this one. reason: in words.   kind: "best", "last", or "asked" for by its images.
    passed: what cannot be used, and why, a line each."""

    checkpoint: Checkpoint
    reason: str
    kind: str
    passed: tuple[str, ...] = ()


def choose(directory: RunDirectory, which: str | int = "best") -> Choice:
    """The checkpoint of a run that is meant: "best" (by what was measured; the newest where nothing was, or where the
    best one is damaged), "last", or the one at so many images. `CheckpointError` where there is none."""
    store = Store(directory.checkpoints)
    if which not in ("best", "last"):
        return _at(store, which, directory)
    best = store.best() if which == "best" else None
    passed: tuple[str, ...] = ()
    if best is not None:
        images, value, measure = best
        try:
            found = store.at(images)
        except CheckpointError as error:
            lines = (error.why or error.what).splitlines()
            passed = (f"the best checkpoint, at {images:,} images, cannot be used ({lines[0]})",)
        else:
            by = f"the best by {measure or 'what was measured'} {value:.3g} at {images:,} images"
            return Choice(found, by, "best")
    newest = store.newest()
    if newest is None:
        raise CheckpointError(
            "RUN-EMPTY",
            "the run has no checkpoint yet",
            where=str(directory.path),
            fix=f"train it: sparring resume {directory.path}",
        )
    return Choice(newest, f"the newest, at {newest.images:,} images", "last", (*passed, *newest.rejected))


def _at(store: Store, which: str | int, directory: RunDirectory) -> Choice:
    """The checkpoint at so many images."""
    text = str(which).replace(",", "").replace("_", "")
    there = store.moments
    kept = ", ".join(f"{images}" for images in there) or "none"
    if not text.isdecimal():
        raise UsageError("WHICH", "which is best, last or the images seen", where=str(which), fix=f"there are {kept}")
    if int(text) not in there:
        raise CheckpointError(
            "CHECKPOINT-MISSING", f"the run keeps no checkpoint at {int(text):,} images", where=str(directory.path),
            fix=f"there are {kept}; or best, or last",
        )  # fmt: skip
    return Choice(store.at(int(text)), f"the one at {int(text):,} images", "asked")


class Run:
    """A run directory with one of its checkpoints.

    path: the directory.   which: "best", "last", or images seen; see `choose`.   document: what recipe.yaml says.
    images: how many the opened checkpoint had seen.   choice: why it is this one.
    game: on `device`, averaged players in place, in eval mode.   lopped: without what samples do not need, such as the
    encoder of a VAE.
    """

    def __init__(
        self, path: Path | str, *, which: str | int = "best", device: str = "auto", lopped: bool = False
    ) -> None:
        self.directory = RunDirectory(path)
        said = self.directory.said()
        self.document: dict[str, Any] = said.values
        self.choice = choose(self.directory, which)
        self.checkpoint: Checkpoint = self.choice.checkpoint
        self.images = self.checkpoint.images
        self.device = choose_device(device)
        self.lopped = lopped
        self.game = self._open(recipe_of(said))

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def home(self) -> Path:
        """Where what is made with it belongs; files there may be replaced."""
        return self.path

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of its data in the order of their numbers; none where images have no labels."""
        return classes_of(self.document)

    @property
    def texts(self) -> tuple[str, ...]:
        """The captions of its training data that it remembers; none of a run that is told no texts."""
        return tuple(str(text) for text in self.document["data"].get("texts") or ())

    def class_of(self, label: str | int) -> int:
        """The number of a class from its name or number; `UsageError` if there is none, or the game takes none."""
        return sample.class_of(self, label, self.classes)

    def _open(self, recipe: Recipe) -> Game:
        space = plans.space_of_document(self.document)
        game = plans.build(recipe, space, int(self.document["run"]["seed"]), begins=False, document=self.document)
        gone = tuple(f"{path}." for path in (lop(game) if self.lopped else ()))
        for name, player in game.players.items():
            stem = f"{name}-ema" if f"{name}-ema" in self.checkpoint.stems else name
            tensors = self.checkpoint.tensors(stem)
            tensors = {key: tensor for key, tensor in tensors.items() if not f"{name}.{key}".startswith(gone)}
            match_tensors(tensors, player.state_dict(), f"{self.checkpoint.path.name}/{stem}")
            player.load_state_dict(tensors)
        if "game" in self.checkpoint.stems:
            game.load_state_dict(self.checkpoint.tensors("game"), strict=False)
        plans.make_engine(recipe, self.device).settle(game)
        return game.eval().requires_grad_(False)

    def sample(
        self, n: int = 64, *, seed: int = 0, truncation: float = 1.0, label: str | int | None = None,
        text: str | None = None,
    ) -> Tensor:  # fmt: skip
        """n images (n, C, H, W) in [0, 1], or points (n, D). Sample k of a seed (and label, or text) is the same
        whatever n is.

        label: only of this class, by its name or number.   text: what they shall show, of a run that is told texts;
        without it sample k is of caption k of `texts`, in turn.
        """
        asked = sample.wording(self, text, label)
        chosen = None if label is None else self.class_of(label)
        samples = sample.draw(self, n, seed=seed, truncation=truncation, label=chosen, text=asked)
        return samples if samples.dim() == 2 else samples.add(1).div(2).clamp(0, 1)

    def interpolate(
        self, frames: int = 60, *, seed: int = 0, label: str | int | None = None, text: str | None = None
    ) -> Tensor:
        """A closed walk through latent space: (frames, C, H, W) in [0, 1], or points (frames, D).

        It keeps its class: `label`, by its name or number, or the first one. So with `text`, of a run that is told
        texts.
        """
        asked = sample.wording(self, text, label)
        chosen = None if label is None else self.class_of(label)
        walk = torch.cat(list(interpolate.walk(self, frames, seed=seed, walkers=1, label=chosen, text=asked)))
        return walk if walk.dim() == 2 else walk.add(1).div(2).clamp(0, 1)

    def translate(
        self, image: Any, *, seed: int = 0, deterministic: bool = False, back: bool = False, tile: int | None = None,
        size: int | str | None = None, compile: bool = False, half: str = "auto",
    ) -> Any:  # fmt: skip
        """A picture turned into another one of as many pixels, and of the same kind as `image`: a PIL image (of a path
        too), an array (H, W, C) of uint8 or of floats in [0, 1], a tensor (C, H, W) or (N, C, H, W) of either.

        seed: of the noise, of which every picture has its own, whatever else is translated with it.   deterministic:
        without noise.   back: the way back, where the recipe learns both.   tile: pixels of a side above which it is
        cut into tiles; None: as large as 512 MiB allow.   size: bring the shorter side to so many pixels before, and
        back after; "train" is what the run was trained at.   compile: a faster form of the network, equal to 1e-4.
        half: "left" or "right" of two pictures side by side; "whole": one that only looks like two.
        """
        key = (seed, deterministic, back, tile, size, compile, half)
        if key not in self._translations:
            from sparring.runs.translation import Translation

            self._translations[key] = Translation(
                self, seed=seed, deterministic=deterministic, back=back, tile=tile, size=size, compile=compile,
                half=half,
            )  # fmt: skip
        return self._translations[key](image)

    def reconstruct(self, image: Any, *, seed: int = 0) -> Any:
        """What a picture becomes when the run encodes and decodes it (the mean of the decoder at one code of it): of
        the same kind as `image`, in the size and the channels of the run. A PIL image (of a path too), an array (H, W,
        C) of uint8 or of floats in [0, 1], a tensor (C, H, W) of either, or a batch of arrays or tensors (N, …).

        seed: of the code that is drawn, and of black and white where the run was trained on drawn bits.
        """
        from sparring.runs.reconstruction import Reconstruction

        return Reconstruction(self, seed).any(image)

    @cached_property
    def _translations(self) -> dict[Any, Any]:
        """What `translate` found out about the networks, by its arguments."""
        return {}

    @property
    def remarks(self) -> list[str]:
        """What a person who uses this run should know: damaged checkpoints passed over, whether it is the best one,
        training not finished."""
        planned = int(self.document["run"]["images"])
        said = [f"passed over: {line}" for line in self.choice.passed]
        if self.choice.kind == "best":
            older = self.images < max(Store(self.directory.checkpoints).moments, default=0)
            said.append(f"in use: {self.choice.reason}" + "; --which last for the newest" * older)
        elif self.choice.kind == "last" and self.images < planned:
            said.append(f"the checkpoint in use has seen {self.images:,} of {planned:,} images")
        return said

    def info(self) -> dict[str, Any]:
        """What the run is, in plain values."""
        counts = {name: sum(p.numel() for p in player.parameters()) for name, player in self.game.players.items()}
        cut = left_out(self.game)
        return described(self.directory, self.document) | {
            "images": self.images,
            "checkpoint": f"{self.checkpoint.path.name}: {self.choice.reason}",
            "checkpoints": Store(self.directory.checkpoints).moments,
            "parameters": counts,
            **({"samples need": ", ".join(self.game.useful), "left out": ", ".join(cut)} if cut else {}),
            "remarks": self.remarks,
        }

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.document['recipe']}, {self.images:,} images seen)"


def classes_of(document: dict[str, Any]) -> tuple[str, ...]:
    """The classes that a run's recipe.yaml names; a run from before there were any has none."""
    return tuple(str(name) for name in document["data"].get("classes") or ())


def described(directory: RunDirectory, document: dict[str, Any]) -> dict[str, Any]:
    """What a run's recipe.yaml says of it; needs no checkpoint."""
    run, data = document["run"], document["data"]
    return {
        "path": str(directory.path),
        "recipe": document["recipe"],
        "preset": run.get("preset", ""),
        "data": data["source"],
        "shape": data["shape"],
        **({"classes": list(names)} if (names := classes_of(document)) else {}),
        **({"converted": [one["file"] for one in run["converted"]["from"]]} if "converted" in run else {}),
        "seed": run["seed"],
        "planned": run["images"],
    }
