"""The library's own rows on the protocol of PacGAN (Lin et al. 2018, section 4.1): ring and grid, ten seeds, played by
the preset gan-points (RpGAN + R1 + R2, two MLPs).

    python -m benchmarks.points                        (make bench-points)  plays what is missing, two hours at most
    python -m benchmarks.points grid-minutes-blind --hours 1                  these cells; goes on where it stopped
    python -m benchmarks.points --table                                       only prints what there is
    python -m benchmarks.points --page                                        puts it into docs/points.md

A cell is data, length, and kind; its ten seeds are played together, one thread, and their measures are in
benchmarks/results/points/<cell>.json with a picture beside it. Lengths: "minutes" and "long" (see ROUNDS) are rounds of
64 reals per seed; what they took is in the file, in CPU seconds for all ten seeds together.

- blind: the preset as it is, with one schedule of γ for both data sets, that knows no σ of either. (It was found by
  trying on these two sets: blind is the schedule, not its author.)
- sigma: the same, but γ ends at the square of σ in the units of the networks, and D's highest frequency is 1 / σ:
  nobody who has only data could choose them.
- continuous: as blind, but without G's jumps, to see what they are worth.

Protocol: 100,000 points, the same for all seeds, which shuffle them; 2,500 samples per seed, from latents that no round
used; of high quality is a sample within 3 σ of its nearest mode; a mode is covered by one such sample at least; reverse
KL, in nats, is that of the histogram of these samples over modes to the uniform one; the smallest share is the least of
that histogram times the number of modes. A sampler without fault has 98.89 % of high quality, and a reverse KL of
(K − 1) / 5000: .0014 and .0048. Width is the root mean square distance of high-quality samples to their mode over what
it is for that sampler: below 1 the modes are too narrow, which by itself lets quality pass 98.89 %.
"ema": of the averaged G, which is what the
library samples from; "raw": of its weights as they are.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks import cells
from benchmarks.cells import keep_memory, mean_and_error, spelt
from sparring.chance import Dices
from sparring.data import open_data, points
from sparring.data.stream import PointStream
from sparring.metrics.modes import WITHIN, modes
from sparring.recipes.gan import GAN, GANConfig
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.ensemble import Streams, together
from sparring.train.game import seeded
from sparring.train.match import Match
from sparring.types import Space

FOLDER = "points"
BEGIN, END = "<!-- table of benchmarks.points -->", "<!-- end of table -->"
RESULTS = Path(__file__).parent / "results" / FOLDER
SEEDS = tuple(range(10))
SAMPLES = 2_500
SETTINGS = (
    "objective", "penalty", "play", "joined", "batch", "z", "width", "depth", "g_fourier", "g_jumps", "d_fourier",
    "ema_images", "ema_share",
)  # fmt: skip
RAMPS = ("gamma", "lr", "beta1", "beta2")
ROUNDS = {"minutes": 15_000, "long": 30_000}
DATA, KINDS = ("grid", "ring"), ("blind", "sigma", "continuous")


@dataclass(frozen=True)
class Cell:
    """One ensemble of ten seeds.

    >>> Cell.named("grid-minutes-blind")
    Cell(data='grid', length='minutes', kind='blind')
    """

    data: str
    length: str
    kind: str

    @classmethod
    def named(cls, name: str) -> Cell:
        parts = name.split("-")
        if len(parts) != 3 or parts[0] not in DATA or parts[1] not in ROUNDS or parts[2] not in KINDS:
            raise SystemExit(f"{name}: a cell is ring or grid, minutes or long, and a kind: grid-minutes-blind")
        return cls(*parts)

    @property
    def name(self) -> str:
        return f"{self.data}-{self.length}-{self.kind}"


ORDER = [
    Cell(data, length, kind)
    for kind in KINDS
    for length in ROUNDS
    for data in DATA
    if (kind, length) != ("continuous", "long")
]


def truth(data: str) -> tuple[np.ndarray, float, float]:
    """Centres (K, 2) and σ in the mixture's own units, and their ratio to those of the networks."""
    made = points.make(data, count=1)
    assert made.modes is not None and made.spread is not None
    return made.modes, made.spread, made.scale


def configured(cell: Cell) -> GANConfig:
    """The preset; for "sigma" with γ and D's frequencies from the truth, for "continuous" without jumps.

    >>> configured(Cell("ring", "minutes", "sigma")).gamma.end
    0.0002
    """
    if cell.kind != "sigma":
        return load("gan-points", ["g_jumps=0"] if cell.kind == "continuous" else []).config
    _, spread, scale = truth(cell.data)
    sigma = spread / scale
    plain = load("gan-points").config
    bands, gamma = plain.d_fourier, asdict(plain.gamma)
    gamma["end"] = round(sigma**2, 6)
    changes = [f"d_fourier=[{bands[0]},{bands[1]},{1 / sigma:.1f}]", f"gamma={json.dumps(gamma)}"]
    return load("gan-points", changes).config


def begun(cell: Cell) -> Match:
    config = configured(cell)
    games = [seeded(seed, partial(GAN.build, config, Space((2,)))) for seed in SEEDS]
    data = open_data(cell.data)
    streams = [PointStream(data, seed) for seed in SEEDS]
    horizon = ROUNDS[cell.length] * config.batch
    return Match(together(games), Streams(streams), Engine(torch.device("cpu")), config, seed=SEEDS, horizon=horizon)


# ── measures ──────────────────────────────────────────────────────────────────────────────────────────────────────


@torch.no_grad()
def drawn(match: Match, data: str) -> torch.Tensor:
    """2,500 samples of each seed, (10, 2500, 2), in the mixture's own units."""
    dice = Dices(SEEDS, "points/samples", range(SAMPLES))
    return match.game.sample(dice).view(len(SEEDS), SAMPLES, 2) * truth(data)[2]


def judged(samples: torch.Tensor, data: str) -> list[dict[str, float]]:
    """The measures of each seed."""
    centres, spread, _ = truth(data)
    rows = []
    for each in samples:
        found = modes(each, centres, spread).values()
        distance = torch.cdist(each.double(), torch.from_numpy(centres).double()).min(dim=1).values / spread
        near = distance[distance <= WITHIN]
        found["width"] = float((near.square().mean() / 2).sqrt()) / ideal_width() if len(near) else 0.0
        found["beyond_10_sigma"] = float((distance > 10).double().mean())
        rows.append({name: round(value, 5) for name, value in found.items()})
    return rows


def ideal_width() -> float:
    """Root mean square, per coordinate and in σ, of a 2-D normal vector that lies within 3 σ.

    >>> round(ideal_width(), 4)
    0.9744
    """
    tail = math.exp(-(WITHIN**2) / 2)
    return math.sqrt(1 - 0.5 * WITHIN**2 * tail / (1 - tail))


def measured(match: Match, data: str) -> dict[str, Any]:
    with match.averages.applied():
        ema = judged(drawn(match, data), data)
    return {"steps": match.round, "images": match.images, "ema": ema, "raw": judged(drawn(match, data), data)}


def met(rows: list[dict[str, float]], data: str) -> bool:
    """The goal, on every seed: all modes, more than 95 % of high quality, reverse KL below .03."""
    k = len(truth(data)[0])
    return all(row["modes"] == k and row["high_quality"] > 0.95 and row["reverse_kl"] < 0.03 for row in rows)


def described(found: dict[str, Any]) -> str:
    last = found["measures"][-1]
    rows = last["ema"]
    low = {name: min(row[name] for row in rows) for name in rows[0]}
    worst = max(row["reverse_kl"] for row in rows)
    return (
        f"after {found['steps']:,} of {found['of']:,} steps, worst of ten: {low['modes']:g} modes, "
        f"{100 * low['high_quality']:.1f} %, reverse KL {worst:.4f}, smallest share {low['smallest_share']:.2f}; "
        f"goal {'met' if met(rows, found['data']) else 'not met'}"
    )


def play(cell: Cell, until: float) -> None:
    match, config = begun(cell), configured(cell)
    rounds = ROUNDS[cell.length]
    about = {
        "data": cell.data, "length": cell.length, "kind": cell.kind, "seeds": list(SEEDS), "samples": SAMPLES,
        "command": f"python -m benchmarks.points {cell.name}", "preset": "gan-points",
        "config": {name: getattr(config, name) for name in SETTINGS}
        | {name: asdict(getattr(config, name)) for name in RAMPS},
    }  # fmt: skip
    cells.advance(
        cell.name, match, about, folder=FOLDER, steps=rounds, every=max(1, rounds // 6), until=until,
        measured=lambda: measured(match, cell.data), described=described, cheap=False,
    )  # fmt: skip
    draw(match, cell)


# ── picture and table ─────────────────────────────────────────────────────────────────────────────────────────────


def draw(match: Match, cell: Cell) -> None:
    """Samples of ten seeds (red) over data (grey), one panel each."""
    with match.averages.applied():
        samples = drawn(match, cell.data)
    made = points.make(cell.data, count=SAMPLES)
    data = made.values * made.scale
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(2, 5, sharex=True, sharey=True).flatten()
    for seed, panel, each in zip(SEEDS, panels, samples, strict=True):
        panel.scatter(*data.T, s=2, c="0.75", linewidths=0)
        panel.scatter(*each.numpy().T, s=1, c="tab:red", linewidths=0)
        panel.set(aspect="equal", xticks=[], yticks=[])
        panel.set_title(f"seed {seed}", fontsize=8)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{cell.name}.webp"
    figure.savefig(path, dpi=90, pil_kwargs={"quality": 60})


def table(results: Path = RESULTS, *, unfinished: bool = True) -> str:
    """Every finished cell as a row, Markdown: mean ± standard error of ten seeds, and the worst seed; below it what is
    unfinished."""
    lines = [
        "| data | length | kind | modes, every seed | high quality %, mean (worst) | reverse KL, mean (worst) "
        "| smallest share, mean (worst) | width, ema · raw | CPU s, ten seeds | goal, ema · raw |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rest = []
    for found in cells.found(results):
        if not found["finished"]:
            rest.append(f"- {found['cell']}, unfinished: {described(found)}")
            continue
        rows, raw = found["measures"][-1]["ema"], found["measures"][-1]["raw"]
        k, goal = len(truth(found["data"])[0]), [met(each, found["data"]) for each in (rows, raw)]
        kept = {name: [row[name] for row in rows] for name in rows[0]}
        quality = spelt(*mean_and_error([100 * value for value in kept["high_quality"]]), 2)
        kl = spelt(*mean_and_error(kept["reverse_kl"]), 4)
        share = spelt(*mean_and_error(kept["smallest_share"]), 2)
        width = " · ".join(f"{mean_and_error([row['width'] for row in each])[0]:.2f}" for each in (rows, raw))
        lines.append(
            f"| {found['data']} | {found['length']} ({found['steps']:,} rounds) | {Cell.named(found['cell']).kind} "
            f"| {min(kept['modes']):g}/{k} | {quality} ({100 * min(kept['high_quality']):.2f}) "
            f"| {kl} ({max(kept['reverse_kl']):.4f}) | {share} ({min(kept['smallest_share']):.2f}) | {width} "
            f"| {found['cpu_seconds']} | {' · '.join('met' if each else 'not met' for each in goal)} |"
        )
    return "\n".join([*lines, "", *rest] if rest and unfinished else lines)


def written() -> None:
    """Put the table into docs/points.md."""
    path = Path(__file__).parents[1] / "docs" / "points.md"
    before, rest = path.read_text().split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n\n{table(unfinished=False)}\n\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", help="such as grid-minutes-blind; all of them by default")
    parser.add_argument("--hours", type=float, default=2.0, help="how long at most; the next call goes on")
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--page", action="store_true", help="put what there is into docs/points.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    until = time.monotonic() + 3600 * arguments.hours
    if arguments.page:
        return written()
    if not arguments.table:
        for cell in [Cell.named(name) for name in arguments.cells] or ORDER:
            if time.monotonic() < until and not cells.finished(FOLDER, cell.name):
                play(cell, until)
    print(table())
    return None


if __name__ == "__main__":
    main()
