"""A playground in plain values, as a page draws it."""

from __future__ import annotations

import base64
import math
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.generate.plane import formula
from sparring.runs.board import played, reading
from sparring.runs.playground.scene import CELLS, Scene, costs, extent, modes_of
from sparring.runs.playground.table import Playground

_UNIT = 2**15 - 1  # what the border of the plane is written as
_MANY = 600  # rounds of which the costs are told at once


def about(table: Playground) -> dict[str, Any]:
    """What stays while the settings do: them, the data, the frame, and what theory says.

    real: points as `packed`, in units of `extent`.   scale: times that are the coordinates of the data.
    levels: what each player pays at the equilibrium.   belief: how D's output is read.
    """
    return {
        "settings": asdict(table.settings),
        "title": played(table.game),
        "extent": extent(table),
        "scale": table.dataset.scale,
        "modes": modes_of(table.dataset),
        "real": packed(table.real().numpy(), extent(table)),
        "cells": CELLS,
        "levels": costs(table),
        "belief": formula(reading(table.game)),
        "probable": reading(table.game).gain is not None,
    }


def frame(table: Playground, scene: Scene, since: int = 0) -> dict[str, Any]:
    """What is seen now. since: the last round that the page knows: the costs of those after it are told, of many every
    so many-th.

    belief: (cells, cells) bytes, 255 is "real", the first row the lowest.   samples, places: as `packed`.
    arrows: as `packed`, from `places` on.   rounds: ``[number, D's cost, G's cost, D(x), D(G(z))]``, None for what was
    not paid or seen.   outside: how many of the `samples_drawn` lie outside the plane.
    turn: who moves next, "" if D's skill decides; left: who still moves in the open round.
    """
    edge = extent(table)
    fresh = [r for r in table.rounds if r.number > since]
    step = -(-len(fresh) // _MANY) or 1
    told = fresh[len(fresh) - 1 :: -step][::-1] if fresh else []
    rows = [[r.number, *(_known(r.paid.get(p)) for p in "DG"), *(_known(r.seen.get(n)) for n in ("D(x)", "D(G(z))"))]
            for r in told]  # fmt: skip
    return {
        "round": table.match.round,
        "points": table.match.images,
        "turn": table.next,
        "left": list(table.left),
        "over": bool(table.trouble),
        "collapsed": table.collapsed,
        "rounds": rows,
        "belief": _coded((255 * scene.belief.clip(0, 1)).round().astype(np.uint8)),
        "samples": packed(scene.samples, edge),
        "samples_drawn": len(scene.samples),
        "outside": int((~(np.abs(scene.samples) <= edge).all(axis=1)).sum()),
        "places": packed(scene.places, edge),
        "arrows": packed(scene.arrows, edge),
        "strong": _known(scene.strong),
        "measured": {name: _known(value) for name, value in scene.measured.items()},
        "said": list(scene.said),
    }


def packed(points: NDArray[np.floating], edge: float) -> str:
    """Points (N, 2) as int16, little-endian, in base64; ±32767 is the border of the plane, where what lies outside (and
    what is no number) is put.

    >>> packed(np.array([[1.0, -3.0]]), 1.0)
    '/38BgA=='
    """
    inside = np.nan_to_num(points / edge, nan=1.0, posinf=1.0, neginf=-1.0).clip(-1, 1)
    return _coded((_UNIT * inside).round().astype("<i2"))


def _coded(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _known(value: float | None) -> float | None:
    """To five digits; None for what is no number."""
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None
