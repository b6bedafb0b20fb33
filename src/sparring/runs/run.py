"""A trained run, opened for use: its sampling players only, averaged, in eval mode. No flags needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.errors import CheckpointError
from sparring.generate import interpolate, sample
from sparring.runs import plan as plans
from sparring.runs.directory import RunDirectory
from sparring.runs.recipe import Recipe
from sparring.runs.session import recipe_of
from sparring.train.checkpoint import Checkpoint, Store, match_tensors
from sparring.train.engine import choose_device
from sparring.train.game import Game


class Run:
    """A run directory with its newest valid checkpoint.

    path: the directory.   document: what recipe.yaml says.   images: how many the opened checkpoint had seen.
    game: on `device`, averaged players in place, in eval mode.
    """

    def __init__(self, path: Path | str, *, device: str = "auto") -> None:
        self.directory = RunDirectory(path)
        said = self.directory.said()
        self.document: dict[str, Any] = said.values
        checkpoint = Store(self.directory.checkpoints).newest()
        if checkpoint is None:
            raise CheckpointError(
                "RUN-EMPTY",
                "the run has no checkpoint yet",
                where=str(self.directory.path),
                fix=f"train it: sparring resume {self.directory.path}",
            )
        self.checkpoint: Checkpoint = checkpoint
        self.images = checkpoint.images
        self.device = choose_device(device)
        self.game = self._open(recipe_of(said))

    @property
    def path(self) -> Path:
        return self.directory.path

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of its data in the order of their numbers; none where images have no labels."""
        return classes_of(self.document)

    def class_of(self, label: str | int) -> int:
        """The number of a class from its name or number; `UsageError` if there is none, or the game takes none."""
        return sample.class_of(self, label, self.classes)

    def _open(self, recipe: Recipe) -> Game:
        space = plans.space_of_document(self.document)
        game = plans.build(recipe, space, int(self.document["run"]["seed"]))
        for name, player in game.players.items():
            stem = f"{name}-ema" if f"{name}-ema" in self.checkpoint.stems else name
            tensors = self.checkpoint.tensors(stem)
            match_tensors(tensors, player.state_dict(), f"{self.checkpoint.path.name}/{stem}")
            player.load_state_dict(tensors)
        if "game" in self.checkpoint.stems:
            game.load_state_dict(self.checkpoint.tensors("game"), strict=False)
        plans.make_engine(recipe, self.device).settle(game)
        return game.eval().requires_grad_(False)

    def sample(self, n: int = 64, *, seed: int = 0, truncation: float = 1.0, label: str | int | None = None) -> Tensor:
        """n images (n, C, H, W) in [0, 1], or points (n, D). Sample k of a seed (and label) is the same whatever n is.

        label: only of this class, by its name or number.
        """
        chosen = None if label is None else self.class_of(label)
        samples = sample.draw(self, n, seed=seed, truncation=truncation, label=chosen)
        return samples if samples.dim() == 2 else samples.add(1).div(2).clamp(0, 1)

    def interpolate(self, frames: int = 60, *, seed: int = 0, label: str | int | None = None) -> Tensor:
        """A closed walk through latent space: (frames, C, H, W) in [0, 1], or points (frames, D).

        It keeps its class: `label`, by its name or number, or the first one.
        """
        chosen = None if label is None else self.class_of(label)
        walk = torch.cat(list(interpolate.walk(self, frames, seed=seed, walkers=1, label=chosen)))
        return walk if walk.dim() == 2 else walk.add(1).div(2).clamp(0, 1)

    @property
    def remarks(self) -> list[str]:
        """What a person who uses this run should know: damaged checkpoints passed over, training not finished."""
        planned = int(self.document["run"]["images"])
        said = [f"passed over: {line}" for line in self.checkpoint.rejected]
        if self.images < planned:
            said.append(f"the checkpoint in use has seen {self.images:,} of {planned:,} images")
        return said

    def info(self) -> dict[str, Any]:
        """What the run is, in plain values."""
        counts = {name: sum(p.numel() for p in player.parameters()) for name, player in self.game.players.items()}
        return described(self.directory, self.document) | {
            "images": self.images,
            "checkpoint": self.checkpoint.path.name,
            "parameters": counts,
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
        "seed": run["seed"],
        "planned": run["images"],
    }
