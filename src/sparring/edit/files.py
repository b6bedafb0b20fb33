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

BEFORE, AFTER, STRIP, RECORD = "before.png", "after.png", "strip.png", "edit.json"


@dataclass(frozen=True)
class Saved:
    """paths: of all files.   record: what edit.json says."""

    paths: tuple[Path, ...]
    record: Mapping[str, Any]


def save_edit(edited: Edited, folder: Path, home: Path, record: Mapping[str, Any]) -> Saved:
    """before.png, after.png, strip.png (one beside the other) and edit.json. Files are replaced below `home`, the
    directory of the run; elsewhere `UsageError` names one that is there."""
    wish = edited.wish
    before, after = edited.similarity
    said = {
        "text": wish.text, "from": wish.neutral, "method": edited.method, "strength": wish.strength,
        "similarity": {"before": _mean(before), "after": _mean(after)}, "identity_distance": _mean(edited.identity),
        "moved": _mean((edited.codes - edited.codes_before).square().sum((1, 2)).sqrt()),
        **({"channels_turned": edited.channels} if edited.method == "direction" else {}), **record,
    }  # fmt: skip
    pictures = {BEFORE: edited.before, AFTER: edited.after}
    return _saved(pictures, [edited.before, edited.after], said, folder, home)


def save_inverted(given: Tensor, found: Inverted, folder: Path, home: Path, record: Mapping[str, Any]) -> Saved:
    """given.png, inverted.png, strip.png and edit.json, as `save_edit`."""
    said = {
        "distance": _mean(found.distance), "l2": _mean(found.l2), "start_distance": _mean(found.start_distance),
        "start_l2": _mean(found.start_l2), **record,
    }  # fmt: skip
    return _saved({"given.png": given, "inverted.png": found.images}, [given, found.images], said, folder, home)


def _saved(
    pictures: Mapping[str, Tensor], strip: list[Tensor], said: dict[str, Any], folder: Path, home: Path
) -> Saved:
    names = [*pictures, STRIP, RECORD]
    refuse_taken([folder / name for name in names], home)
    folder.mkdir(parents=True, exist_ok=True)
    for name, images in pictures.items():
        to_picture(to_bytes(images[:1].cpu())[0]).save(folder / name)
    grid(torch.cat([one[:1].cpu() for one in strip]), columns=len(strip)).save(folder / STRIP)
    write_atomically(folder / RECORD, json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    return Saved(tuple(folder / name for name in names), said)


def _mean(values: Tensor) -> float:
    return round(float(values.double().mean()), 6)
