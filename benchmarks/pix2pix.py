"""The ablations of Pix2Pix (Isola et al. 2017) as orderings on pairs that are here, not the paper's numbers.

Emoji at 64 px, outline → colour: every cell trains one setting with one seed for ten minutes of CPU time on one thread,
so that the comparison does not depend on what else the machine does: images per CPU second are measured on a discarded
copy and become a number of images, once. Facades at 128 px, label map → photograph: an hour each. Judged on held-out
pairs; of emoji without those whose outline nearly repeats one that was trained on.

Each finished cell writes one JSON (benchmarks/results/pix2pix) and keeps what it made (benchmarks/state/pix2pix, not
committed), so that measures can be added later; a cell that has its JSON is not run again.

    make bench-pix2pix                                     all that is missing, seed by seed
    python -m benchmarks.pix2pix --cells L1 "L1 + cGAN" --seeds 0 --hours 2
    python -m benchmarks.pix2pix --measure                 measures of finished cells anew, from what they made
    python -m benchmarks.pix2pix --run RUN                 the same measures of a run of `sparring train emoji`
    python -m benchmarks.pix2pix --table
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.cells import keep_memory, mean_and_error, spelt
from benchmarks.pairs import Pairs, emoji, facades, measures, picture, translated
from benchmarks.speed.machine import describe
from sparring.data import stream_of
from sparring.errors import Diverged
from sparring.runs import plan as plans
from sparring.runs.recipe import Recipe, load
from sparring.runs.run import Run
from sparring.train.match import Match, resting

HERE = Path(__file__).parent
RESULTS, STATE = HERE / "results" / "pix2pix", HERE / "state" / "pix2pix"

ALONE = ["play=G:1", "adversarial=0"]  # a reconstruction alone: D would learn for nobody
QUICK = ["patches=2", "d_width=32", "batch=4", "lr=4e-4 -> 0 linear 0.5..1"]  # for small images on one core
SMALL = [*QUICK, "width=32"]  # the paper's game and networks, G's at half its width
RESIDUAL = [*QUICK, "generator=residual-unet", "width=16"]  # the same game on the networks of pix2pix-modern


@dataclass(frozen=True)
class Cell:
    """One setting. group: the tables that it belongs to."""

    groups: tuple[str, ...]
    changes: list[str]
    recipe: str = "pix2pix"
    data: str = "emoji"
    minutes: float = 10.0

    def loaded(self) -> Recipe:
        return load(self.recipe, self.changes)


CELLS: dict[str, Cell] = {
    "L1": Cell(("losses", "generators", "L1 or L2"), [*SMALL, *ALONE]),
    "L1 + cGAN": Cell(("losses", "patches", "generators", "L1 or L2", "then and now"), SMALL),
    "residual U-Net, L1 + cGAN": Cell(("generators", "then and now"), RESIDUAL),
    "modern": Cell(("then and now",), [], recipe="pix2pix-modern"),
    "cGAN": Cell(("losses",), [*SMALL, "reconstruction=none"]),
    "L1 + GAN": Cell(("losses",), [*SMALL, "conditional=false"]),
    "GAN": Cell(("losses",), [*SMALL, "reconstruction=none", "conditional=false"]),
    "modern, L1 alone": Cell(("then and now",), ALONE, recipe="pix2pix-modern"),
    "modern, not relativistic": Cell(
        ("then and now",), ["objective=nonsaturating", "d_weight=0.5"], recipe="pix2pix-modern"
    ),
    "modern, D normalised": Cell(("then and now",), ["d_norm=affine"], recipe="pix2pix-modern"),
    "modern, λ = 30": Cell(("then and now",), ["faithful=30"], recipe="pix2pix-modern"),
    "modern, not augmented": Cell(("then and now",), ["augment=0"], recipe="pix2pix-modern"),
    "patches of 1": Cell(("patches",), [*SMALL, "patches=0"]),
    "patches of 16": Cell(("patches",), [*SMALL, "patches=1"]),
    "the whole image": Cell(("patches",), [*SMALL, "patches=full"]),
    "encoder-decoder, L1": Cell(("generators",), [*SMALL, *ALONE, "generator=encoder-decoder"]),
    "encoder-decoder, L1 + cGAN": Cell(("generators",), [*SMALL, "generator=encoder-decoder"]),
    "L2": Cell(("L1 or L2",), [*SMALL, *ALONE, "reconstruction=l2"]),
    "L2 + cGAN": Cell(("L1 or L2",), [*SMALL, "reconstruction=l2"]),
    **{
        f"facades, {name}": Cell(("facades",), [*SMALL, *changes], data="facades", minutes=60.0)
        for name, changes in {
            "residual U-Net, L1 + cGAN": RESIDUAL, "L1": ALONE, "L1 + cGAN": [], "cGAN": ["reconstruction=none"],
            "L1 + GAN": ["conditional=false"], "GAN": ["reconstruction=none", "conditional=false"],
        }.items()
    },
}  # fmt: skip

COLUMNS: dict[str, tuple[str, int]] = {
    # measure: (head of the column, digits)
    "l1": ("L1", 4), "foreground_l1": ("L1 of what is coloured", 3), "lpips": ("LPIPS", 3), "kid": ("KID", 2),
    "hue_tv": ("hue TV", 3), "hue_entropy": ("hue entropy", 2), "ripple": ("ripple", 4),
    "fcn_pixel": ("FCN pixel", 3), "fcn_class": ("FCN class", 3), "fcn_iou": ("FCN IoU", 3),
}  # fmt: skip


def match_of(recipe: Recipe, pairs: Pairs, seed: int, horizon: int) -> Match:
    game = plans.build(recipe, plans.space_of(pairs.dataset), seed)
    engine = plans.make_engine(recipe, torch.device("cpu"))
    stream = stream_of(pairs.dataset, seed, recipe.config.flip)
    return Match(game, stream, engine, recipe.config, seed=seed, horizon=horizon)


def rate(recipe: Recipe, pairs: Pairs, seed: int, seconds: float = 10.0) -> float:
    """Images per second of CPU time on one thread, on a copy that is thrown away."""
    match = match_of(recipe, pairs, seed, 10**9)
    for _ in range(3):
        match.step()
    began, before = time.process_time(), match.images
    while time.process_time() - began < seconds:
        match.step()
    return (match.images - before) / (time.process_time() - began)


def train(recipe: Recipe, pairs: Pairs, seed: int, seconds: float) -> tuple[Match, dict[str, Any]]:
    """A game that was played for so much CPU time, and what that cost."""
    found, batch = rate(recipe, pairs, seed), recipe.config.batch
    total = max(1, round(found * seconds / batch)) * batch
    match = match_of(recipe, pairs, seed, total)
    began, cost = time.process_time(), {"images_per_cpu_second": round(found, 2)}
    try:
        while match.images < total:
            match.step()
    except Diverged as error:
        cost["failed"] = str(error)
    return match, {**cost, "images": match.images, "cpu_seconds": round(time.process_time() - began)}


def name_of(cell: str, seed: int) -> str:
    """A file's name.

    >>> name_of("encoder-decoder, L1 + cGAN", 2)
    'encoder-decoder-L1-cGAN-seed2'
    """
    return re.sub(r"[^\w-]+", "-", cell) + f"-seed{seed}"


def run(cell: str, seed: int, pairs: Pairs) -> dict[str, Any]:
    """Train, translate, measure, keep."""
    about, name = CELLS[cell], name_of(cell, seed)
    recipe = about.loaded()
    match, cost = train(recipe, pairs, seed, 60 * about.minutes)
    with match.averages.applied(), resting(match.game):
        made = translated(match.game, pairs)
    STATE.mkdir(parents=True, exist_ok=True)
    torch.save(made, STATE / f"{name}.pt")
    if seed == 0:
        picture(made, pairs).save(RESULTS / f"{name}.webp", quality=80)
    record = {
        "cell": cell, "groups": about.groups, "data": about.data, "recipe": about.recipe, "changes": about.changes,
        "seed": seed, "cpu_minutes": about.minutes, **cost,
        "parameters": {player: sum(p.numel() for p in module.parameters())
                       for player, module in match.game.players.items()},
        "measures": measures(made, pairs),
        "command": f"python -m benchmarks.pix2pix --cells {json.dumps(cell)} --seeds {seed}",
        "machine": describe(torch.get_num_threads()),
    }  # fmt: skip
    return kept(name, record)


def kept(name: str, record: dict[str, Any]) -> dict[str, Any]:
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{name}: {record['images']:,} images, {record['measures']}", file=sys.stderr, flush=True)
    return record


def baselines(pairs: Pairs) -> None:
    """What costs no training: the outline itself, the nearest outline's picture, the truth of other outlines."""
    path = RESULTS / f"baselines-{pairs.name}.json"
    found = {name: measures(made, pairs) for name, made in pairs.baselines().items()}
    path.write_text(json.dumps({"data": pairs.name, "pairs": len(pairs.truth), **found}, indent=1) + "\n")


def judge(path: Path) -> None:
    """A run of ``sparring train emoji``: run-NAME.json and run-NAME.webp beside the cells."""
    run = Run(path, which="last", device="cpu")
    pairs = emoji(run.document["data"]["held_out"])
    made, name = translated(run.game, pairs), f"run-{path.name}"
    picture(made, pairs).save(RESULTS / f"{name}.webp", quality=80)
    training = {key: run.document["run"][key] for key in ("seed", "images", "horizon", "threads", "preset", "why")}
    about = {"run": training, "config": run.document["config"], "images": run.images, "pairs": len(pairs.truth)}
    still = {what: measures(free, pairs) for what, free in pairs.baselines().items()}
    kept(name, {"cell": name, **about, "measures": measures(made, pairs), "baselines": still})


# ── tables ────────────────────────────────────────────────────────────────────────────────────────────────────────


def table() -> str:
    """Finished cells by group as Markdown: mean ± standard error over seeds."""
    records = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*-seed*.json"))]
    parts = []
    for group in dict.fromkeys(group for cell in CELLS.values() for group in cell.groups):
        cells = [cell for cell, about in CELLS.items() if group in about.groups]
        rows = {cell: [r for r in records if r["cell"] == cell] for cell in cells}
        rows = {cell: found for cell, found in rows.items() if found}
        if rows:
            parts.append(f"**{group}**\n\n{_table(rows, CELLS[cells[0]].data)}")
    return "\n\n".join(parts)


def _table(rows: dict[str, list[dict[str, Any]]], data: str) -> str:
    path = RESULTS / f"baselines-{data}.json"
    free = json.loads(path.read_text()) if path.exists() else {}
    still = {name: found for name, found in free.items() if isinstance(found, dict)}
    named = {key for records in rows.values() for record in records for key in _known(record["measures"])}
    columns = [key for key in COLUMNS if key in named]
    lines = ["| | seeds | " + " | ".join(COLUMNS[key][0] for key in columns) + " |", "|---" * (len(columns) + 2) + "|"]

    def cell(key: str, found: list[dict[str, Any]]) -> str:
        values = [float(measured[key]) for measured in found if measured.get(key) is not None]
        return spelt(*mean_and_error(values), COLUMNS[key][1]) if values else ""

    for name, records in rows.items():
        found = [record["measures"] for record in records]
        lines.append(f"| {name} | {len(records)} | " + " | ".join(cell(key, found) for key in columns) + " |")
    for name, measured in still.items():
        lines.append(f"| *{name}* | | " + " | ".join(cell(key, [measured]) for key in columns) + " |")
    return "\n".join(lines)


def _known(measured: dict[str, Any]) -> set[str]:
    return {key for key, value in measured.items() if value is not None}


# ── what can be asked for ─────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="*", default=list(CELLS), choices=list(CELLS), metavar="CELL")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--hours", type=float, default=1000.0, help="begin no further cell after this time")
    parser.add_argument("--measure", action="store_true", help="measure finished cells anew")
    parser.add_argument("--run", type=Path, help="measure this run, and draw what it makes")
    parser.add_argument("--table", action="store_true", help="only print the finished cells")
    arguments = parser.parse_args()
    if arguments.table:
        print(table())
        return
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    if arguments.run is not None:
        judge(arguments.run)
        return
    keep_memory()
    until = time.monotonic() + 3600 * arguments.hours
    opened: dict[str, Pairs] = {}
    openers: dict[str, Callable[[], Pairs]] = {"emoji": emoji, "facades": facades}
    for seed in arguments.seeds:
        for cell in arguments.cells:
            path = RESULTS / f"{name_of(cell, seed)}.json"
            if path.exists() != arguments.measure or time.monotonic() > until:
                continue
            data = CELLS[cell].data
            if data not in opened:
                opened[data] = openers[data]()
                baselines(opened[data])
            if not arguments.measure:
                run(cell, seed, opened[data])
            elif (made := STATE / f"{path.stem}.pt").exists():
                tensor: Tensor = torch.load(made, weights_only=True)
                kept(path.stem, {**json.loads(path.read_text()), "measures": measures(tensor, opened[data])})


if __name__ == "__main__":
    main()
