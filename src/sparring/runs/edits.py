"""What was edited in a run's recipe.yaml since it was trained: allowed and said, or refused with the difference.

Every checkpoint records what it was trained with. How fast and with what weights a run goes on may be changed; what
its weights mean, and which images they have seen, may not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sparring.errors import CheckpointError
from sparring.runs import own
from sparring.runs.recipe import Recipe
from sparring.runs.settings import plain, short
from sparring.train.schedule import Ramp

ALLOWED = ("lr_ratio", "ema_images", "ema_share", "micro_batches", "flip", "precision", "memory_format")
"""Settings that may change within a run, beside all that are ramps (learning rate, betas, penalties, augmentation)."""


def record(recipe: Recipe, seed: int, horizon: int) -> dict[str, Any]:
    """What is kept in every checkpoint, in plain values."""
    name = recipe.name.rpartition(":")[2] if own.is_own(recipe.name) else recipe.name
    return {"recipe": name, "seed": seed, "horizon": horizon, "config": plain(recipe.config)}


def compare(then: Mapping[str, Any], recipe: Recipe, seed: int, horizon: int, where: str) -> list[str]:
    """What was changed and is allowed, as remarks; `CheckpointError` with a table for what is not.

    then: the record of the checkpoint; empty in checkpoints from before there was one: then nothing is compared.
    """
    now = record(recipe, seed, horizon)
    changes = [(key, then[key], now[key]) for key in ("recipe", "seed", "horizon") if key in then]
    before, after = then.get("config", {}), now["config"]
    changes += [(key, before[key], after[key]) for key in after if key in before]
    changes = [change for change in changes if change[1] != change[2]]
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
