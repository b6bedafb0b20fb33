"""How often a comparison of equals claims a difference: `results/claims.json`, for docs/compare.md.

python -m benchmarks.claims

A table of rows whose values are all draws of one normal law; the first row is the one with the highest mean. *Student*
is what `sparring compare` does; *bootstrap* is a percentile interval of the same differences at the same confidence.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.machine import describe
from sparring.runs.compare import statistics

OUT = Path(__file__).parent / "results" / "claims.json"
TABLES, RESAMPLES = 1000, 4999
KINDS = ((6, 2), (6, 18), (10, 2), (10, 18))
"""(seeds, rows)."""


def by_bootstrap(differences: NDArray[np.float64], confidence: float, draws: NDArray[np.int64]) -> bool:
    """Whether the percentile interval of the mean excludes 0 from below.   draws: (resamples, seeds) rows."""
    return bool(np.quantile(differences[draws].mean(1), (1 - confidence) / 2) > 0)


def share(seeds: int, rows: int) -> dict[str, Any]:
    """Of `TABLES` tables, how many set some row apart from the first, with a 95 % interval (Wilson)."""
    chance, called = np.random.default_rng(0), {"Student": 0, "bootstrap": 0}
    draws = chance.integers(0, seeds, (RESAMPLES, seeds))
    pairs = rows * (rows - 1) // 2
    confidence = 1 - (1 - statistics.CONFIDENCE) / pairs
    for _ in range(TABLES):
        made = chance.normal(size=(rows, seeds))
        made = made[np.argsort(-made.mean(1))]
        best, rest = made[0], made[:0:-1]  # the last row first: it is the likeliest to be set apart
        called["Student"] += any(
            statistics.pair(best.tolist(), row.tolist(), name="", up=True, pairs=pairs).clear for row in rest
        )
        called["bootstrap"] += any(by_bootstrap(best - row, confidence, draws) for row in rest)
    return {"seeds": seeds, "rows": rows, **{way: _wilson(count) for way, count in called.items()}}


def _wilson(count: int, n: int = TABLES, z: float = 1.96) -> dict[str, Any]:
    middle, half = count / n + z * z / 2 / n, z * math.sqrt(count * (n - count) / n**3 + z * z / 4 / n**2)
    return {"share": count / n, "interval_95": [round((middle + s * half) / (1 + z * z / n), 4) for s in (-1, 1)]}


def main() -> None:
    kinds = [share(*kind) for kind in KINDS]
    record = {
        "what": "share of tables of equal rows in which a row is set apart from the first",
        "command": "python -m benchmarks.claims",
        "seed": 0,
        "tables": TABLES,
        "kinds": kinds,
        "machine": describe(1),
    }
    OUT.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for row in kinds:
        print(row)


if __name__ == "__main__":
    main()
