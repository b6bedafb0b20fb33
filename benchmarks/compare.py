"""Which objective: the comparisons behind docs/choosing.md, by the command that everybody has.

    python -m benchmarks.compare                 (make bench-compare)  plays what is missing; a stopped one goes on
    python -m benchmarks.compare penalised       this one

"first": eight games for two minutes each, all ten seeds of a game together; equal seconds, so that a game whose rounds
cost more sees fewer points. It depends on how fast the machine is. "penalised": the same objectives, each of them with
R1 and R2, for equally many points. Both on the grid of 25 Gaussians, with the settings of gan-points, which were chosen
for one of the rows (relativistic+r1+r2).

What `sparring compare` writes as compare.json, without the curves, is benchmarks/results/compare/<name>.json; the
tables of docs/choosing.md are made from it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from sparring.cli import main as sparring

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "choosing.md"
RESULTS = HERE / "results" / "compare"
OBJECTIVES = "minimax,nonsaturating,maximum_likelihood,kl,reverse_kl,hinge,wasserstein,relativistic"
QUESTIONS = {
    "first": (
        "minimax,nonsaturating,maximum_likelihood,kl,reverse_kl,hinge,wasserstein+gp,relativistic+r1+r2", "2m",
    ),
    "penalised": (",".join(f"{name}+r1+r2" for name in (*OBJECTIVES.split(","), "least_squares")), "200k"),
}  # fmt: skip
"""Name → losses, budget."""


def play(name: str) -> None:
    """Ask one question and keep the answer."""
    losses, budget = QUESTIONS[name]
    out = HERE / "state" / "compare" / name
    began = time.perf_counter()
    code = sparring(["compare", "grid", "--losses", losses, "--seeds", "10", "--budget", budget, "--out", str(out)])
    if code:
        raise SystemExit(code)
    found = json.loads((out / "compare.json").read_text("utf-8"))
    for cell in found["cells"]:
        for seed in cell["seeds"]:
            seed.pop("curve", None)
    found["minutes"] = round((time.perf_counter() - began) / 60, 1)
    found["command"] = f"python -m benchmarks.compare {name}"
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, separators=(",", ":")) + "\n", "utf-8")
    shutil.rmtree(out)


def table(name: str) -> str:
    """The rows of a question as a table for documents."""
    found = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    rows = {cell["key"]: cell for cell in found["cells"]}
    lines = [
        "| loss | right place (95 % interval) | modes | high quality | reverse KL | smallest share | failed | points |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in found["verdict"]["ranking"]:
        cell = rows[key]
        mean = {measure: values["mean"] for measure, values in cell["summary"]["averaged"].items()}
        place = cell["summary"]["averaged"]["overlap"]
        lines.append(
            f"| `{cell['loss']}` | {place['mean']:.1%} ({place['low']:.1%} to {place['high']:.1%}) "
            f"| {mean['modes']:.1f} | {mean['high_quality']:.1%} | {mean['reverse_kl']:.3f} "
            f"| {mean['smallest_share']:.2f} | {sum(cell['failures'].values())} of {len(cell['seeds'])} "
            f"| {cell['images']:,} |"
        )
    return "\n".join(lines)


def filled(text: str) -> str:
    """The page with the tables of the results there are, between ``<!-- compare NAME -->`` and ``<!-- end -->``."""
    for name in QUESTIONS:
        if (RESULTS / f"{name}.json").exists():
            mark = f"<!-- compare {name} -->"
            before, found, after = text.partition(mark)
            assert found, f"{PAGE} has no place {mark}"
            text = f"{before}{mark}\n\n{table(name)}\n\n{after[after.index('<!-- end -->') :]}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*QUESTIONS, []], help="default: those that are missing")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    arguments = parser.parse_args()
    names = arguments.names or [name for name in QUESTIONS if not (RESULTS / f"{name}.json").exists()]
    if not arguments.table:
        for name in names:
            play(name)
        PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
    for name in QUESTIONS:
        if (RESULTS / f"{name}.json").exists():
            print(f"{name}\n\n{table(name)}\n")


if __name__ == "__main__":
    sys.exit(main())
