"""The table of Dirac-GAN (Mescheder et al. 2018) as the engine plays it; docs/dirac.md shows it.

    python -m benchmarks.dirac          writes benchmarks/results/dirac.json and docs/images/dirac/*.webp, in a minute

Every cell is the recipe `gan` with settings that a user could type, played from (θ, ψ) = (1, 1) by plain gradient
descent of step size 0.2 for 500 rounds, in float64.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed.machine import describe
from sparring.report.figures.dirac import match, path
from sparring.report.figures.style import AMBER, BLUE, GREEN, INK, PURPLE, RED, SOFT, canvas, encoded, say, styled

ROOT = Path(__file__).resolve().parents[1]
OUT, PICTURES = ROOT / "benchmarks" / "results" / "dirac.json", ROOT / "docs" / "images" / "dirac"
STEP, ROUNDS, START = 0.2, 500, (1.0, 1.0)
PLAYS = ("simultaneous", "D:1,G:1", "D:5,G:1")
COLOURS = {"converges": GREEN, "comes in slowly": AMBER, "circles": BLUE, "spirals out": RED, "stops elsewhere": PURPLE}


@dataclass(frozen=True)
class Method:
    """One row. settings: of `GANConfig`.   plays: those it is played in.   theory: eigenvalues of the flow at 0."""

    name: str
    group: str
    settings: dict[str, Any]
    plays: tuple[str, ...] = PLAYS
    theory: str = "±i/2"


METHODS = (
    Method("GAN (minimax)", "alone", {"objective": "minimax"}),
    Method("NSGAN", "alone", {"objective": "nonsaturating"}),
    Method("relativistic", "alone", {"objective": "relativistic"}),
    Method("WGAN", "alone", {"objective": "wasserstein"}, theory="±i"),
    Method("WGAN-GP, λ = 0.3", "alone", {"objective": "wasserstein", "penalty": "gp", "slope": 0.3}, theory="none"),
    Method("WGAN-GP, λ = 1", "alone", {"objective": "wasserstein", "penalty": "gp", "slope": 1.0}, theory="none"),
    Method("GAN + R1, γ = 0.3", "held", {"objective": "minimax", "penalty": "r1", "gamma": 0.3},
           theory="−0.15 ± 0.477i"),
    Method("GAN + R1, γ = 1", "held", {"objective": "minimax", "penalty": "r1", "gamma": 1.0}, theory="−0.5, twice"),
    Method("NSGAN + R1, γ = 0.3", "held", {"objective": "nonsaturating", "penalty": "r1", "gamma": 0.3},
           theory="−0.15 ± 0.477i"),
    Method("relativistic + R1 + R2, γ = 0.3", "held",
           {"objective": "relativistic", "penalty": "r1+r2", "gamma": 0.3}, theory="−0.3 ± 0.4i"),
    Method("WGAN + R1, γ = 0.3", "held", {"objective": "wasserstein", "penalty": "r1", "gamma": 0.3},
           theory="−0.15 ± 0.989i"),
    Method("GAN + noise, σ = 0.7", "held", {"objective": "minimax", "noise": 0.7, "batch": 2048},
           theory="−0.123 ± 0.485i"),
    Method("GAN, consensus(1)", "turns", {"objective": "minimax"}, ("consensus(1)",), "−0.25 ± 0.5i"),
    Method("WGAN, consensus(1)", "turns", {"objective": "wasserstein"}, ("consensus(1)",), "−1 ± i"),
    Method("GAN, extragradient", "turns", {"objective": "minimax"}, ("extragradient",), "−h/4 ± i/2"),
    Method("WGAN, extragradient", "turns", {"objective": "wasserstein"}, ("extragradient",), "−h ± i"),
    Method("GAN, optimistic", "turns", {"objective": "minimax", "optimiser": "optimistic-sgd"},
           ("simultaneous", "D:1,G:1"), "has a memory"),
    Method("WGAN, optimistic", "turns", {"objective": "wasserstein", "optimiser": "optimistic-sgd"},
           ("simultaneous", "D:1,G:1"), "has a memory"),
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One played cell. eigenvalues: (λ − 1)/h of one round at (0, 0), measured; none where the map has none."""

    method: str
    group: str
    play: str
    settings: dict[str, Any]
    verdict: str
    last: tuple[float, float]
    norm: float
    halfway: float
    eigenvalues: tuple[str, ...]
    theory: str
    norms: list[float]
    points: np.ndarray = field(repr=False)


def verdict(points: np.ndarray) -> str:
    """What a path of (θ, ψ) does, from its second half."""
    norms = np.linalg.norm(points, axis=1)
    late, moved = norms[len(norms) // 2 :], np.abs(np.diff(points[-50:], axis=0)).max()
    if (norms[-1] < 0.02 and norms[-1] < 0.25 * late[0]) or late.max() < 0.02:
        return "converges"
    if moved < 1e-3:
        return "stops elsewhere"
    early, last = late[: len(late) // 2].mean(), late[len(late) // 2 :].mean()
    if last > 1.05 * early:
        return "spirals out"
    return "comes in slowly" if last < 0.95 * early else "circles"


def eigenvalues(method: Method, play: str) -> tuple[str, ...]:
    """(λ − 1)/h for the map of one round at (0, 0), by central differences of the library's own rounds."""
    if method.settings.get("penalty") == "gp" or "optimiser" in method.settings:
        return ()
    small, columns = 1e-4, []
    for start in ((small, 0.0), (0.0, small)):
        ends = [
            path(match((sign * start[0], sign * start[1]), play=play, lr=STEP, **method.settings), 1)[1]
            for sign in (1, -1)
        ]
        columns.append((ends[0] - ends[1]) / (2 * small))
    values = np.linalg.eigvals(np.stack(columns, axis=1).astype(complex))
    found = sorted((values - 1) / STEP, key=lambda v: (round(v.real, 6), v.imag))
    return tuple(f"{v.real:.3f}{v.imag:+.3f}i" for v in found)


def played(method: Method, play: str) -> Cell:
    points = path(match(START, play=play, lr=STEP, **method.settings), ROUNDS)
    norms = np.linalg.norm(points, axis=1)
    return Cell(
        method.name, method.group, play, method.settings, verdict(points), (float(points[-1, 0]), float(points[-1, 1])),
        float(norms[-1]), float(norms[ROUNDS // 2]), eigenvalues(method, play), method.theory,
        [float(f"{v:.4g}") for v in norms[::25]], points,
    )  # fmt: skip


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS = {"simultaneous": "simultaneous", "D:1,G:1": "alternating", "D:5,G:1": "D five times"}


def _walk(panel: Axes, cell: Cell, title: str) -> None:
    colour = COLOURS[cell.verdict]
    reach = 2.6
    panel.axhline(0, color=SOFT, linewidth=0.6)
    panel.axvline(0, color=SOFT, linewidth=0.6)
    panel.plot(*cell.points.T, color=colour, linewidth=0.9)
    panel.plot(*START, "o", color=INK, markersize=3.5)
    if np.abs(cell.last).max() < reach:
        panel.plot(*cell.last, "s", color=colour, markersize=4.5, markeredgecolor=INK, markeredgewidth=0.6)
    panel.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    for side in ("top", "right"):
        panel.spines[side].set_visible(True)
    panel.set_title(title, fontsize=8.5, loc="center", pad=4)
    panel.set_xlabel(f"{cell.verdict}, {cell.norm:.2g}", fontsize=7.8, color=colour, labelpad=3)


def paths(cells: list[Cell], group: str) -> Figure:
    """Small multiples: a column for each method, a row for each play."""
    chosen = [cell for cell in cells if cell.group == group]
    names = list(dict.fromkeys(cell.method for cell in chosen))
    if group == "turns":
        figure, panels = canvas(2, 4, height=4.5)
        for panel, cell in zip(panels, chosen):
            name = cell.method.replace(", ", "\n")
            if "optimistic" in name:
                name += f", {WORDS[cell.play]}"
            _walk(panel, cell, name)
        for panel in panels[len(chosen) :]:
            panel.set_axis_off()
        return figure
    figure, panels = canvas(3, len(names), height=5.4)
    for k, cell in enumerate(chosen):
        row, column = PLAYS.index(cell.play), names.index(cell.method)
        panel = panels[row * len(names) + column]
        _walk(panel, cell, cell.method.replace(" + ", "\n+ ", 1).replace(", ", "\n", 1) if row == 0 else "")
        if column == 0:
            panel.set_ylabel(WORDS[cell.play], weight="bold", fontsize=9)
        del k
    return figure


def distances(cells: list[Cell]) -> Figure:
    """‖(θ, ψ)‖ over the rounds, three panels on one logarithmic scale."""
    figure, panels = canvas(1, 3, height=3.6)
    palette = (RED, BLUE, GREEN, PURPLE, AMBER, SOFT, INK, "#56b4e9")
    shown = (
        ("Alone, simultaneous", [c for c in cells if c.group == "alone" and c.play == "simultaneous"]),
        ("Held back, simultaneous", [c for c in cells if c.group == "held" and c.play == "simultaneous"]),
        ("Other turns", [c for c in cells if c.group == "turns" and c.play != "D:1,G:1"]),
    )
    for panel, (title, chosen) in zip(panels, shown):
        for cell, colour in zip(chosen, palette):
            norms = np.linalg.norm(cell.points, axis=1)
            panel.semilogy(norms, color=colour, linewidth=1.4, label=cell.method)
        panel.set(xlim=(0, ROUNDS), ylim=(1e-8, 1e5))
        panel.set_yticks([10.0**k for k in (-8, -6, -4, -2, 0, 2, 4)])
        panel.minorticks_off()
        panel.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), fontsize=7.8, labelspacing=0.25)
        say(panel, title, "round", "‖(θ, ψ)‖" if panel is panels[0] else "")
    return figure


def draw(cells: list[Cell], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with styled():
        for name, figure in (
            *((group, paths(cells, group)) for group in ("alone", "held", "turns")),
            ("distances", distances(cells)),
        ):
            (folder / f"{name}.webp").write_bytes(encoded(figure, "webp"))


def _pair(values: tuple[str, ...]) -> str:
    """Two conjugate values as one: ``0.1 ± 0.2i``."""
    if not values:
        return ""
    real, imaginary = values[-1].removesuffix("i").rsplit("+", 1)
    real = real.replace("-0.000", "0.000").replace("-", "−")
    return f"{real}, twice" if float(imaginary) == 0 else f"{real} ± {imaginary}i"


def table(cells: list[Cell]) -> str:
    """The table as Markdown."""

    def told(cell: Cell) -> str:
        return f"{cell.verdict}, {cell.norm:.3g}"

    lines = ["| game | simultaneous | alternating | D five times | eigenvalues, theory | measured |", "|" + "---|" * 6]
    for method in METHODS:
        mine = {cell.play: cell for cell in cells if cell.method == method.name}
        first = next(iter(mine.values()))
        words = [told(mine[play]) if play in mine else "" for play in PLAYS]
        if first.play not in PLAYS:
            words[0] = told(first)
        measured = _pair(first.eigenvalues)
        lines.append(f"| {method.name} | {' | '.join(words)} | {method.theory} | {measured} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--pictures", type=Path, default=PICTURES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began, cells = time.process_time(), []
    for method in METHODS:
        for play in method.plays:
            cells.append(played(method, play))
            print(f"{method.name:<34}{play:<14}{cells[-1].verdict:<17}{cells[-1].norm:.4g}", flush=True)
    rows = [{k: v for k, v in asdict(cell).items() if k != "points"} for cell in cells]
    record = {
        "what": "Dirac-GAN played by the recipe gan from (1, 1): ‖(θ, ψ)‖, verdict, eigenvalues (λ − 1)/h of a round",
        "command": "python -m benchmarks.dirac", "step": STEP, "rounds": ROUNDS, "seed": 0,
        "start_norm": math.hypot(*START), "cpu_seconds": round(time.process_time() - began, 1),
        "machine": describe(threads=1), "cells": rows,
    }  # fmt: skip
    arguments.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    draw(cells, arguments.pictures)
    print(table(cells))


if __name__ == "__main__":
    main()
