"""Measure speed and write it to benchmarks/results/speed.json (each measurement under its own key) and to the docs.

python -m benchmarks.speed [step] [--threads 2] [--rounds 15]     one dcgan round against the textbook loop
python -m benchmarks.speed minutes [--threads 2] [--rounds 15]    r3gan-minutes: one pass of D or two; layouts
python -m benchmarks.speed pairs [--threads 2] [--rounds 15]      one pix2pix round at 256 px against the classic loop
python -m benchmarks.speed startup                                `sparring --help` against `import torch`
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.speed import page

RESULTS = Path(__file__).resolve().parents[1] / "results" / "speed.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("step", "minutes", "pairs", "startup"), default="step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result: dict[str, Any]
    if arguments.what == "startup":
        from benchmarks.speed import startup

        key, result = "startup", startup.measure()
    elif arguments.what == "minutes":
        from benchmarks.speed import minutes

        key, result = f"minutes, threads {arguments.threads}", minutes.measure(arguments.rounds, arguments.threads)
    elif arguments.what == "pairs":
        from benchmarks.speed import pairs

        key, result = f"pairs, threads {arguments.threads}", pairs.measure(arguments.rounds, arguments.threads)
    else:
        from benchmarks.speed import step

        key, result = f"step, threads {arguments.threads}", step.measure(arguments.rounds, arguments.threads)
    document = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    document[key] = result
    arguments.out.write_text(json.dumps(dict(sorted(document.items())), indent=1, ensure_ascii=False) + "\n")
    if arguments.out == RESULTS:
        page.write(RESULTS)
    print(json.dumps({k: v for k, v in result.items() if k != "rounds"}, indent=1, ensure_ascii=False))
    print(f"written to {arguments.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
