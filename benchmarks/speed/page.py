"""The tables of docs/performance.md, written from speed.json and from nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- (\w+) of speed\.json -->\n).*?(<!-- end -->)", re.S)

Document = dict[str, Any]


def step(document: Document) -> list[str]:
    lines = [
        "| threads | textbook, s | ours, s | ratio (95 % interval) | ours, images/s | ours, share of conv peak "
        "| textbook's share | clock | load |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for found in _of(document, "step"):
        column = "median" if found["clock"] == "wall" else "cpu_median"
        seconds = {name: values[column] for name, values in found["seconds"].items()}
        peak = found["peak"]
        lines.append(
            f"| {found['machine']['threads']} | {seconds['textbook']:.3f} | {seconds['ours']:.3f} "
            f"| **{found['speedup']['ratio']:.2f}** {_interval(found['speedup'])} "
            f"| {peak['images_per_second']['ours']:.0f} "
            f"| {peak['share_of_conv_peak']['ours']:.0%} of {peak['conv_gflops']:.0f} GFLOP/s "
            f"| {peak['share_of_conv_peak']['textbook']:.0%} | {found['clock']} | {_load(found)} |"
        )
    first = [found["first_step"] for found in _of(document, "step")]
    if first:
        worst = max(one["difference"] for one in first)
        one = first[0]
        said = "; ".join(f"{who} D {one[who]['errD']:.5f}, G {one[who]['errG']:.5f}" for who in ("ours", "textbook"))
        lines += [
            "",
            f"Losses of the first step: {said}; largest difference {worst:.1e} (allowed {one['tolerance']:.0e}).",
        ]
    return lines + _machines(document, "step")


def pairs(document: Document) -> list[str]:
    lines = ["| threads | classic, s | ours, s | ratio (95 % interval) | clock | load |", "|---|---|---|---|---|---|"]
    for found in _of(document, "pairs"):
        column = "median" if found["clock"] == "wall" else "cpu_median"
        seconds = {name: values[column] for name, values in found["seconds"].items()}
        lines.append(
            f"| {found['machine']['threads']} | {seconds['classic']:.3f} | {seconds['ours']:.3f} "
            f"| **{found['speedup']['ratio']:.2f}** {_interval(found['speedup'])} | {found['clock']} | {_load(found)} |"
        )
    for found in _of(document, "pairs")[:1]:
        one = found["first_step"]
        said = "; ".join(
            f"{who} {', '.join(f'{k} {v:.5f}' for k, v in one[who].items())}" for who in ("ours", "classic")
        )
        lines += ["", f"First step without dropout and jitter: {said}; largest difference {one['difference']:.1e}."]
    return lines + _machines(document, "pairs")


def minutes(document: Document) -> list[str]:
    lines = [
        "| threads | variant | ratio of CPU time (95 % interval) | ratio of wall time | load |",
        "|---|---|---|---|---|",
    ]
    for found in _of(document, "minutes"):
        for name, ratio in found["speedup_over_two_passes_channels_last"].items():
            lines.append(
                f"| {found['machine']['threads']} | {name} | {ratio['cpu']['ratio']:.2f} {_interval(ratio['cpu'])} "
                f"| {ratio['wall']['ratio']:.2f} {_interval(ratio['wall'])} | {_load(found)} |"
            )
    return lines + _machines(document, "minutes")


def startup(document: Document) -> list[str]:
    found = document.get("startup")
    if found is None:
        return ["Not measured yet."]
    wall, cpu = found["wall_seconds_median"], found["cpu_seconds_median"]
    lines = ["| command | wall, s | CPU, s |", "|---|---|---|"]
    lines += [f"| `{name}` | {wall[name]:.2f} | {cpu[name]:.2f} |" for name in wall]
    return [*lines, "", f"Medians of {found['runs']}; load {_load(found)}. {_machine(found)}"]


TABLES = {"step": step, "pairs": pairs, "minutes": minutes, "startup": startup}


def filled(page: str, document: Document) -> str:
    """`page` with every marked block as `document` has it."""
    return BLOCK.sub(lambda m: m[1] + "\n" + "\n".join(TABLES[m[2]](document)) + "\n\n" + m[3], page)


def write(results: Path) -> None:
    document = json.loads(results.read_text("utf-8"))
    PAGE.write_text(filled(PAGE.read_text("utf-8"), document), "utf-8")


def _of(document: Document, what: str) -> list[Document]:
    return [document[key] for key in sorted(document) if key.startswith(f"{what},")]


def _interval(ratio: Document) -> str:
    low, high = ratio["interval_95"]
    return f"({low:.2f} to {high:.2f})"


def _load(found: Document) -> str:
    return f"{found['machine']['load_average'][0]:.1f}"


def _machine(found: Document) -> str:
    m = found["machine"]
    return f"{m['cpu']}, {m['cores']} cores, torch {m['torch']}, Python {m['python']}, {m['date'][:10]}."


def _machines(document: Document, what: str) -> list[str]:
    said = dict.fromkeys(f"`{found['command']}`: {_machine(found)}" for found in _of(document, what))
    return ["", *said] if said else ["", "Not measured yet."]
