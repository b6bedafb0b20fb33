"""What was edited in a run's recipe.yaml since it was trained: allowed and said, or refused with the difference.

Every checkpoint records what it was trained with. How fast and with what weights a run goes on may be changed; what
its weights mean, and which images they have seen, may not.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from sparring.errors import CheckpointError
from sparring.runs import own
from sparring.runs.recipe import Recipe
from sparring.runs.settings import plain, short
from sparring.train.schedule import Ramp

_MAY_MOVE = ("source", "keep", "on_bad")
"""Of the data, what may change because it decides no number: what is read is compared with what was read."""
ALLOWED = (
    "threads", "lr_ratio", "ema_images", "ema_share", "micro_batches", "flip", "precision", "memory_format",
    "temperature", "top_k", "top_p",
)  # fmt: skip
"""Settings that may change within a run, beside all that are ramps (learning rate, betas, penalties, augmentation)."""


def record(recipe: Recipe, document: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept in every checkpoint, in plain values. document: what recipe.yaml says."""
    name = recipe.name.rpartition(":")[2] if own.is_own(recipe.name) else recipe.name
    run = {key: document["run"][key] for key in ("seed", "horizon", "threads")}
    data = {key: value for key, value in document["data"].items() if key not in _MAY_MOVE}
    kept: dict[str, Any] = json.loads(json.dumps({**run, "recipe": name, "config": plain(recipe.config), "data": data}))
    return kept


def compare(then: Mapping[str, Any], recipe: Recipe, document: Mapping[str, Any], where: str) -> list[str]:
    """What was changed and is allowed, as remarks; `CheckpointError` with a table for what is not.

    then: the record of the checkpoint; empty in checkpoints from before there was one: then nothing is compared.
    """
    before, after = _flat(then), _flat(record(recipe, document))
    changes = [(key, before[key], after[key]) for key in after if key in before and before[key] != after[key]]
    ramps = {f.name for f in dataclasses.fields(recipe.config) if isinstance(getattr(recipe.config, f.name), Ramp)}
    refused = [change for change in changes if change[0] not in ramps and change[0] not in ALLOWED]
    if refused:
        rows = [f"{key}: {short(old)} in the checkpoint, {short(new)} in recipe.yaml" for key, old, new in refused]
        raise CheckpointError(
            "RUN-EDITED",
            "recipe.yaml no longer says what this run was trained with",
            where=where,
            why="\n       ".join(rows),
            fix="put the values of the checkpoint back; or start a new run: sparring train DATA --recipe this file",
        )
    return [f"edited in recipe.yaml: {key} was {short(old)}, is {short(new)} from here on" for key, old, new in changes]


def _flat(kept: Mapping[str, Any]) -> dict[str, Any]:
    """A record as one level: settings by their names, what is said of the data as ``data.crop``."""
    flat = {key: value for key, value in kept.items() if key not in ("config", "data")}
    return flat | dict(kept.get("config", {})) | {f"data.{key}": value for key, value in kept.get("data", {}).items()}
