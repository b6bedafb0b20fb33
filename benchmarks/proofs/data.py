"""The data proof: one of every defect in a folder of 5,000 files, and each is named with path, reason and fix.

    python -m benchmarks.proofs.data --files 5000 --out benchmarks/results/data.json

Runs the real command, ``sparring check``, on that folder, twice, and then on every source that is wrong as a whole
(`benchmarks.corpus_sources`; these in one process, so that torch is not imported for each). A failure is when

- a file that is left out is not named by its path with its reason and what to do, a conversion or warning is not said,
  or a healthy file is left out;
- found is not used + held out + left out;
- a source is not answered with its exit code and the words that matter;
- anything ends in a traceback or "a bug in sparring";
- the work of the second look (without the start of the process) is 5 % or more of the first, or all takes 2 minutes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.corpus import Defect, build
from benchmarks.corpus_sources import SourceDefect, build_sources
from benchmarks.proofs.rights import like_anyone
from benchmarks.speed.machine import describe
from sparring import api, cli

LIMIT = 120.0
"""Seconds for everything, building the folder too."""
SECOND_LOOK = 0.05
"""Of the time of the first."""


@dataclass
class Answer:
    """What ``sparring check`` answered. record: the inspection in its JSON.   text: everything it printed."""

    code: int
    record: dict[str, Any]
    text: str
    seconds: float

    @property
    def crashed(self) -> bool:
        return "Traceback" in self.text or "bug in sparring" in self.text or self.code in (1, 139) or self.code < 0


def check(path: Path, *arguments: str, out: Path) -> Answer:
    """The real command, in a process of its own."""
    began = time.monotonic()
    command = [sys.executable, "-m", "sparring", "check", str(path), "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True)
    seconds = time.monotonic() - began
    text = (done.stdout + done.stderr).decode(errors="replace")
    record = json.loads(done.stdout)["inspection"] if "--json" in arguments and done.returncode == 0 else {}
    return Answer(done.returncode, record, text, seconds)


def check_here(path: Path, *arguments: str, out: Path) -> Answer:
    """The same command in this process."""
    began, said = time.monotonic(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = cli.main(["check", str(path), "--out", str(out), *arguments])
    return Answer(code, {}, said.getvalue(), time.monotonic() - began)


def second_look(folder: Path) -> float:
    """Seconds of a look at data that are known already, in a process that has started."""
    api.check(folder)  # imports what it needs
    began = time.monotonic()
    api.check(folder)
    return time.monotonic() - began


def sayings(record: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """(what is said, the fix) by the path that it is said of; "" holds what is said of no path."""
    said: dict[str, list[tuple[str, str]]] = {"": []}
    for finding in record["findings"]:
        said[""].append((finding["what"], finding["fix"]))
        for names, reason in finding["files"]:
            for name in {names, *re.split(" [=~] ", names)}:
                said.setdefault(name, []).append((f"{finding['what']}: {reason}", finding["fix"]))
    return said


def judge(defect: Defect, record: dict[str, Any], said: dict[str, list[tuple[str, str]]]) -> tuple[str, str]:
    """(what was said about the defect, what is missing in it: nothing where all is well)."""
    left_out = dict(record["excluded"]).get(defect.path, "")
    if defect.expected == "left out":
        if not left_out:
            return "", "it is not left out"
        if not re.search(defect.reason, left_out):
            return left_out, f"the reason is not {defect.reason!r}"
    elif left_out:
        return left_out, "it is left out"
    if defect.expected == "used":
        return "used", ""
    if defect.expected == "ignored":
        names = "; ".join(name for name in record["ignored"] if re.search(defect.reason, name))
        return names, "" if names else "it is not among what was ignored"
    candidates = said.get(defect.path if defect.named else "", [])
    for what, fix in candidates:
        if re.search(defect.reason, what) and re.search(defect.fix, fix):
            return f"{what}; fix: {fix}", ""
    return str(candidates), f"not said with reason {defect.reason!r} and fix {defect.fix!r}"


def judge_all(defects: list[Defect], record: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """The table of defects, and the failures. record: of an `Inspection`."""
    table, failures, said = [], [], sayings(record)
    for defect in defects:
        words, wrong = judge(defect, record, said)
        table.append({"row": defect.row, "path": defect.path, "kind": defect.kind, "expected": defect.expected,
                      "said": words})  # fmt: skip
        failures += [f"row {defect.row}, {defect.path!r} ({defect.kind}): {wrong}; said: {words}"] * bool(wrong)
    expected = {defect.path for defect in defects if defect.expected == "left out"}
    failures += [f"{name!r} is left out: {why}" for name, why in record["excluded"] if name not in expected]
    parts = record["used"] + record["held_out"] + len(record["excluded"])
    if record["found"] != parts:
        failures.append(f"{record['found']} found, but used + held out + left out are {parts}")
    return table, failures


def judge_source(defect: SourceDefect, answer: Answer) -> str:
    """What is wrong with the answer to a whole source: nothing where all is well."""
    if answer.crashed:
        return "it crashed"
    if answer.code != defect.exit_code:
        return f"exit code {answer.code} instead of {defect.exit_code}"
    return "" if re.search(defect.message, answer.text, re.DOTALL) else f"{defect.message!r} is not said"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs.data", description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="where the JSON goes; nowhere by default")
    given = parser.parse_args(arguments)
    counts = like_anyone()
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sparring-data-") as work:
        os.environ.update(SPARRING_CACHE=f"{work}/cache", OMP_NUM_THREADS="1")
        began = time.monotonic()
        folder = Path(work) / "corpus"
        defects = [defect for defect in build(folder, given.files, given.seed) if counts or defect.row != 37]
        sources = build_sources(Path(work) / "sources", given.seed)
        built = time.monotonic() - began
        first, second = (check(folder, "--json", out=Path(work) / "check") for _ in range(2))
        if first.code or first.crashed:
            failures.append(f"check ended with {first.code}:\n{first.text[-4000:]}")
            table = []
        else:
            table, failures = judge_all(defects, first.record)
            if first.record != second.record:
                failures.append("the second look says something else than the first")
        again = second_look(folder)
        share = again / (first.seconds - second.seconds + again)
        answers = []
        for number, source in enumerate(sources):
            place = Path(work) / "sources" / source.path
            answer = check_here(place, *source.arguments, out=Path(work) / f"check-{number}")
            wrong = judge_source(source, answer)
            failures += [f"row {source.row}, {source.path} ({source.kind}): {wrong}:\n{answer.text}"] * bool(wrong)
            answers.append({"row": source.row, "kind": source.kind, "exit_code": answer.code,
                            "said": answer.text.replace(work, "").strip()[:1000]})  # fmt: skip
    everything, processor = time.monotonic() - began, sum(os.times()[:4])
    print(f"{given.files:,} files, {len(defects)} defects: {first.seconds:.1f} s, again {second.seconds:.1f} s")
    print(f"the second look without the start of the process: {again:.2f} s, {share:.1%} of the first")
    print(f"{len(sources)} sources; {everything:.1f} s in all, {len(failures)} failures")
    if everything >= LIMIT:
        failures.append(f"{everything:.0f} s in all")
    if not 0 < share < SECOND_LOOK:
        failures.append(f"the second look took {share:.1%} of the first")
    for failure in failures:
        print(failure.encode(errors="backslashreplace").decode(), file=sys.stderr)
    if given.out is not None:
        document = {
            "claim": "every defect is named with the user's path, a reason and a fix; 0 crashes; under 2 minutes",
            "command": f"python -m benchmarks.proofs.data --files {given.files} --seed {given.seed}",
            "machine": describe(threads=1),
            "files": given.files,
            "defects": len(defects),
            "sources": len(sources),
            "seconds": {
                "building": round(built, 1),
                "first_check": round(first.seconds, 2),
                "second_check": round(second.seconds, 2),
                "second_look_without_the_start": round(again, 3),
                "of_the_first": round(share, 4),
                "everything": round(everything, 1),
                "everything_on_the_processor": round(processor, 1),
            },
            "counts": {key: first.record.get(key) for key in ("found", "used", "held_out")},
            "failures": failures,
            "table": table,
            "answers": answers,
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
