"""What an edit leaves: the pictures, a strip of before and after, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.edit.editing import Edited
from sparring.edit.invert import Inverted
from sparring.generate.grid import grid, to_bytes, to_picture
from sparring.generate.sample import refuse_taken
from sparring.runs.directory import write_atomically

EDITED, INVERTED = ("before.png", "after.png"), ("given.png", "inverted.png")
STRIP, RECORD = "strip.png", "edit.json"
_LEAST = 128
"""Pixels of a strip's height: smaller pictures are enlarged in it, pixel by pixel."""


@dataclass(frozen=True)
class Saved:
    """paths: of all files.   record: what edit.json says."""

    paths: tuple[Path, ...]
    record: Mapping[str, Any]


def check_edit(folder: Path, home: Path) -> None:
    """`UsageError` where `save_edit` would find a file of somebody's: to be asked before an edit is made."""
    refuse_taken([folder / name for name in (*EDITED, STRIP, RECORD)], home)


def check_inversion(folder: Path, home: Path) -> None:
    """The same before `save_inverted`."""
    refuse_taken([folder / name for name in (*INVERTED, STRIP, RECORD)], home)


def save_edit(edited: Edited, folder: Path, home: Path, record: Mapping[str, Any]) -> Saved:
    """before.png, after.png, strip.png (one beside the other) and edit.json. Files are replaced below `home`, the
    directory of the run; elsewhere `UsageError` names one that is there."""
    wish = edited.wish
    before, after = edited.similarity
    said = {
        "text": wish.text, "from": wish.neutral, "method": edited.method, "strength": wish.strength,
        "similarity": {"before": _mean(before), "after": _mean(after)}, "identity_distance": _mean(edited.identity),
        **({"channels_turned": edited.channels} if edited.method == "direction" else {"moved": _moved(edited)}),
        **record,
    }  # fmt: skip
    return _saved(EDITED, [edited.before, edited.after], said, folder, home)


def save_inverted(given: Tensor, found: Inverted, folder: Path, home: Path, record: Mapping[str, Any]) -> Saved:
    """given.png, inverted.png, strip.png and edit.json, as `save_edit`."""
    said = {
        "distance": _mean(found.distance), "l2": _mean(found.l2), "start_distance": _mean(found.start_distance),
        "start_l2": _mean(found.start_l2), **record,
    }  # fmt: skip
    return _saved(INVERTED, [given, found.images], said, folder, home)


def _saved(called: tuple[str, str], pictures: list[Tensor], said: dict[str, Any], folder: Path, home: Path) -> Saved:
    names = [*called, STRIP, RECORD]
    refuse_taken([folder / name for name in names], home)
    folder.mkdir(parents=True, exist_ok=True)
    firsts = torch.cat([one[:1].cpu() for one in pictures])
    for name, pixels in zip(called, to_bytes(firsts), strict=True):
        to_picture(pixels).save(folder / name)
    times = -(-_LEAST // firsts.shape[2])
    grid(firsts.repeat_interleave(times, 2).repeat_interleave(times, 3), columns=2).save(folder / STRIP)
    write_atomically(folder / RECORD, json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    return Saved(tuple(folder / name for name in names), said)


def _moved(edited: Edited) -> float:
    """The mean length of the codes' moves."""
    return _mean((edited.codes - edited.codes_before).square().sum((1, 2)).sqrt())


def _mean(values: Tensor) -> float:
    return round(float(values.double().mean()), 6)
