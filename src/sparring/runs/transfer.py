"""A run that begins with the networks of another one: what is taken over, tensor by tensor, and what is not.

Tensors are taken by player, name and shape, from the players as they were trained (not from their averages: D knows
these), at the best checkpoint of the other run, or its newest. Optimisers, schedules and averages begin anew. The other
run is named in recipe.yaml with the hash of its checkpoint, for a run that is killed before its first own checkpoint
begins a second time; after that it is no longer needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sparring.data.points import NAMES as POINTS
from sparring.errors import CheckpointError, UsageError
from sparring.runs.directory import RunDirectory
from sparring.train.checkpoint import Checkpoint, Store
from sparring.train.game import Game

if TYPE_CHECKING:
    from sparring.runs.plan import Request

_SHOWN = 6
"""Tensors of a player that are named when they are not taken."""


@dataclass(frozen=True)
class Origin:
    """The checkpoint that a run begins with. path: of its run.   images: seen by it.   sha256: of its manifest."""

    path: str
    images: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Origin:
        """The best checkpoint of the run in `path`, or its newest if none is marked; `CheckpointError` without any."""
        directory = RunDirectory(path)
        directory.said()  # is it a run?
        store = Store(directory.checkpoints)
        best = store.best()
        found = store.at(best[0]) if best is not None else store.newest()
        if found is None:
            raise CheckpointError(
                "RUN-EMPTY", "the run to begin with has no checkpoint yet", where=str(path),
                fix=f"train it: sparring resume {path}",
            )  # fmt: skip
        return cls(str(Path(path).absolute()), found.images, _sha256(found))

    @classmethod
    def in_document(cls, document: Mapping[str, Any]) -> Origin | None:
        """What a run's recipe.yaml says of where it began; None if it began from nothing."""
        said = document["run"].get("from")
        return cls(str(said["run"]), int(said["images"]), str(said["sha256"])) if said else None

    def record(self) -> dict[str, Any]:
        """For recipe.yaml."""
        return {"run": self.path, "images": self.images, "sha256": self.sha256}

    def checkpoint(self) -> Checkpoint:
        """Opened and verified; `CheckpointError` if it is no longer what it was."""
        found = Store(RunDirectory(self.path).checkpoints).at(self.images)
        if _sha256(found) != self.sha256:
            raise CheckpointError(
                "TRANSFER-CHANGED", "the checkpoint that this run began with is another one now", where=str(found.path),
                why="this run has no checkpoint of its own yet, so it would have to begin again",
                fix="start a new run with --from",
            )  # fmt: skip
        return found


@dataclass(frozen=True)
class Taken:
    """One tensor of a player that begins. why: empty if it was taken over, else why it was not."""

    player: str
    name: str
    numbers: int
    why: str = ""


@torch.no_grad()
def adopt(game: Game, origin: Origin) -> list[Taken]:
    """Give the players of `game` what fits of `origin`, in place; what happened to each of their tensors.

    `UsageError` if no parameter fits (a count of batches always would).
    """
    checkpoint = origin.checkpoint()
    rows: list[Taken] = []
    parameters: set[tuple[str, str]] = set()
    for player, module in game.players.items():
        theirs = checkpoint.tensors(player) if player in checkpoint.stems else {}
        parameters |= {(player, name) for name, _ in module.named_parameters()}
        for name, tensor in module.state_dict().items():
            why = _obstacle(theirs.get(name), tensor, player if not theirs else "")
            if not why:
                tensor.copy_(theirs[name])
            rows.append(Taken(player, name, tensor.numel(), why))
    if all(row.why for row in rows if (row.player, row.name) in parameters):
        raise UsageError(
            "TRANSFER-NOTHING", "nothing of that run fits these networks", where=origin.path,
            why="\n       ".join([f"{row.player} {row.name}: {row.why}" for row in rows if row.why][:_SHOWN]),
            fix="leave --recipe, --size and --set of widths out: then the new run gets the networks of that one",
        )  # fmt: skip
    return rows


def _obstacle(theirs: Tensor | None, ours: Tensor, absent: str) -> str:
    if absent:
        return f"that run has no player {absent}"
    if theirs is None:
        return "that run has no such tensor"
    if theirs.shape != ours.shape:
        return f"{tuple(theirs.shape)} there, {tuple(ours.shape)} here"
    return "" if theirs.dtype == ours.dtype else f"{theirs.dtype} there, {ours.dtype} here"


def lines(origin: Origin, rows: Sequence[Taken], game: Game) -> list[str]:
    """The same as a table for people."""
    still = {id(p) for p in game.frozen}
    said = [f"begins    as {origin.path} at {origin.images:,} images"]
    for player, module in game.players.items():
        mine = [row for row in rows if row.player == player]
        taken = [row for row in mine if not row.why]
        share = sum(row.numbers for row in taken) / max(1, sum(row.numbers for row in mine))
        held = sum(id(p) in still for p in module.parameters())
        said.append(
            f"          {player}  {len(taken)} of {len(mine)} tensors taken over ({share:.0%} of its numbers)"
            + (f"; {held} held still" if held else "")
        )
        refused = [row for row in mine if row.why]
        said += [f"             new: {row.name}, {row.why}" for row in refused[:_SHOWN]]
        said += [f"             new: {len(refused) - _SHOWN} more"] * (len(refused) > _SHOWN)
    return said


def with_origin(request: Request) -> Request:
    """The request with what the other run decides where nothing else was asked for: its recipe, its size and channels.

    `UsageError` if layers are to be held still and there is no other run.
    """
    if request.begin is None:
        if request.freeze_d:
            raise UsageError(
                "TRANSFER-FREEZE", "only layers that were trained before are worth holding still",
                where=f"--freeze-d {request.freeze_d}", fix="add --from RUN",
            )  # fmt: skip
        return request
    directory = RunDirectory(request.begin)
    data = directory.document()["data"]
    options = request.options
    if data["kind"] == "images" and request.data not in POINTS:
        channels, height, width = data["shape"]
        options = replace(options, size=options.size or (height, width))
        if sides := data.get("sides"):
            channels, given = (int(sides[side]["channels"]) for side in ("made", "given"))
            options = replace(options, given_channels=options.given_channels or given)
        options = replace(options, channels=options.channels or channels)
    held = (f"freeze_d={request.freeze_d}",) if request.freeze_d is not None else ()
    recipe = str(directory.recipe) if request.recipe == "auto" else request.recipe
    return replace(request, recipe=recipe, options=options, set=(*held, *request.set), freeze_d=None)


def _sha256(checkpoint: Checkpoint) -> str:
    return hashlib.sha256(checkpoint.manifest.encode()).hexdigest()
