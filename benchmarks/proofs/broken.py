"""The broken-files proof: files that vanish, shrink or change while a run reads them neither crash nor corrupt it.

    python -m benchmarks.proofs.broken --images 600 --out benchmarks/results/broken.json

Nano runs (dcgan, 16 x 16 pixels) on folders made in place. It counts as a failure when

- few:      five files (below 1 %) break in five ways while the run decodes on demand, and it does not complete, or
            does not name each file with its reason (events and log), or two such runs differ in one bit;
- many:     5 % break in the middle, and ``sparring train`` does not end with exit code 3, everything saved, files and
            the command to go on named; or, the files restored, ``sparring resume`` does not reach the end;
- all:      the whole folder vanishes (a disk that is unplugged), and the same does not hold;
- kept:     the decoded images are kept, all files are deleted in the middle, and the run is not the undisturbed one to
            the last bit;
- changed:  a stopped run is resumed after files were removed, changed and added, and does not name them, or is not the
            undisturbed one to the last bit;
- missing:  a stopped run that decodes on demand is resumed without a few files, and does not go on and name them; or
            without 5 % of them, and does not refuse and name them;
- classes:  a class is renamed, removed or added before a resume, and that does not stop with a diff of the names.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus import STRANGE_NAMES, file, picture
from benchmarks.proofs.kill import digest
from benchmarks.proofs.rights import like_anyone
from benchmarks.speed.machine import describe
from sparring import api
from sparring.data.report import shown
from sparring.errors import DataError
from sparring.runs.session import Session
from sparring.train.checkpoint import Store
from sparring.train.log import read
from sparring.types import Alarm

STRANGE = [name for name in STRANGE_NAMES if len(os.fsencode(name)) < 200]
BATCH = 8
SETTINGS = {"width": 4, "z": 16, "batch": BATCH}


def _shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _another(path: Path) -> None:
    path.write_bytes(file(picture(np.random.default_rng(99), 24, 24)))


BREAKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "deleted": (Path.unlink, "No such file"),
    "truncated": (_shortened, "content changed|truncated"),
    "no right to read it": (lambda path: path.chmod(0), "Permission denied"),
    "a folder in its place": (_a_folder, "directory|regular file"),
    "other content": (_another, "content changed"),
}
"""What can happen to a file while a run goes on, and how it is said."""


def photos(folder: Path, n: int, classes: int = 1) -> Path:
    """`n` images of 24 x 24 with strange names, in `classes` folders where there is more than one class."""
    dice = np.random.default_rng(0)
    for number in range(n):
        place = folder / f"class-{number % classes}" if classes > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:04d} {STRANGE[number % len(STRANGE)]}").write_bytes(file(picture(dice, 24, 24)))
    return folder


def begin(data: Path, out: Path, images: int, batch: int = BATCH, **more: Any) -> Session:
    return api.steps(data, recipe="dcgan", size=16, out=out, budget=str(images), set={**SETTINGS, "batch": batch},
                     device="cpu", threads=1, seed=3, **more)  # fmt: skip


@dataclass
class Played:
    """What a session said on its way."""

    alarms: list[Alarm] = field(default_factory=list)
    reason: str = ""

    def said(self) -> str:
        return "\n".join(alarm.message for alarm in self.alarms)


def play(session: Session, acts: dict[int, Callable[[], object]] | None = None) -> Played:
    """To its end. acts: {images: what is done before the next round, once so many have been seen}."""
    played, waiting = Played(), dict(acts or {})
    for event in session:
        if isinstance(event, Alarm):
            played.alarms.append(event)
        for moment in [moment for moment in waiting if moment <= event.images]:
            waiting.pop(moment)()
    played.reason = session.finished.reason if session.finished else ""
    return played


def logged(run: Path) -> str:
    return (run / "log.jsonl").read_text()


# ── the scenes; each returns what it counted, and its failures ────────────────────────────────────────────────────

Scene = tuple[dict[str, Any], dict[str, bool]]
"""(what was counted, {what went wrong: whether it did})."""


def few(work: Path, n: int) -> Scene:
    """Below 1 %: every broken file is replaced, the same way each time, and named. Also across a stop and a resume."""
    digests, wrong, whole = [], {}, photos(work / "photos", n)
    breaks = list(BREAKS.items())[: max(1, n // 110)]  # 5 of 600 are 0.83 %, 4 of 440 0.91 %
    alarms = 0
    for attempt in ("first", "second", "stopped"):
        data, run = work / f"photos-{attempt}", work / f"run-{attempt}"
        shutil.copytree(whole, data)
        session = begin(data, run, 5 * n // 4, batch=4 * BATCH, keep="off", held_out=0)
        paths = dict(zip(sorted(data.iterdir())[:: n // 7], breaks, strict=False))

        def damage(paths: dict[Path, tuple[str, tuple[Callable[[Path], None], str]]] = paths) -> None:
            for path, (_, (act, _)) in paths.items():
                act(path)

        if attempt == "stopped":
            play(session, {0: damage, n // 2: session.stop})
            played = play(api.resume_steps(run))
        else:
            played = play(session, {0: damage})
            alarms = len(played.alarms)
            for path, (how, (_, reason)) in paths.items():
                named = [alarm.message for alarm in played.alarms if shown(path.name) in alarm.message]
                good = [text for text in named if any(part in text for part in reason.split("|"))]
                wrong[f"{attempt}: {path.name!r} ({how}) is not named once, with its reason: {named}"] = len(good) != 1
                wrong[f"{attempt}: {path.name!r} ({how}) is not in the log"] = not any(
                    shown(path.name) in record.get("message", "") for record in read(run / "log.jsonl")
                )
        wrong[f"{attempt}: ended with {played.reason!r}"] = played.reason != "budget"
        digests.append(digest(run))
    first, second, stopped = digests
    same = {name for name in first if first[name] == second.get(name)}
    wrong[f"two runs with the same broken files differ in {sorted({*first} - same)}"] = len(same) < len(first)
    same = {name for name in first if first[name] == stopped.get(name)} | {"log"}  # which says it all again
    wrong[f"the run that was stopped and resumed differs in {sorted({*first} - same)}"] = len(same) < len(first)
    return {"broken": len(breaks), "alarms": alarms, "ways": [how for how, _ in breaks]}, wrong


def _interrupted(work: Path, n: int, share: float) -> Scene:
    """``sparring train`` while a share of the files goes away; then they come back, and ``sparring resume``."""
    data, run, aside = photos(work / "photos", n), work / "run", work / "aside"
    aside.mkdir()
    total = 8 * n
    command = [
        sys.executable, "-m", "sparring", "train", data, "--recipe", "dcgan", "--size", "16", "--out", run, "--budget",
        str(total), "--device", "cpu", "--keep", "off", *(f"--set={k}={v}" for k, v in SETTINGS.items()),
    ]  # fmt: skip
    process = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not ((run / "log.jsonl").exists() and logged(run)):
        time.sleep(0.01)
    gone = sorted(data.iterdir())[:: round(1 / share)]
    for path in gone:
        path.rename(aside / path.name)
    said = process.communicate()[1]
    newest = Store(run / "checkpoints").newest()
    stopped_at = newest.images if newest else 0
    for path in gone:
        (aside / path.name).rename(path)
    resumed = subprocess.run([sys.executable, "-m", "sparring", "resume", str(run)], capture_output=True, text=True)
    ended = Store(run / "checkpoints").newest()
    trouble = said[said.rfind("[DATA") :]
    return {"files_gone": len(gone), "of": n, "stopped_at": stopped_at, "of_images": total, "said": trouble}, {
        f"exit code {process.returncode} instead of 3: {said[-2000:]}": process.returncode != 3,
        f"the folder is not named: {trouble}": str(data) not in trouble,
        f"no file is named: {trouble}": share < 1.0 and not any(shown(path.name) in trouble for path in gone),
        f"the command to go on is not named: {said[-2000:]}": f"sparring resume {run}" not in said,
        f"a traceback, or a bug: {said[-2000:]}": "Traceback" in said or "bug in sparring" in said,
        f"nothing saved at the end: {stopped_at}": not 0 < stopped_at < total,
        f"resume ended with {resumed.returncode}: {resumed.stderr[-2000:]}": resumed.returncode != 0,
        "resume did not reach the end": ended is None or ended.images < total,
    }


def many(work: Path, n: int) -> Scene:
    """5 % of the files: a polite end, and a resume once they are back."""
    return _interrupted(work, n, 0.05)


def everything(work: Path, n: int) -> Scene:
    """All files at once, as when a disk is unplugged."""
    return _interrupted(work, n, 1.0)


def kept(work: Path, n: int) -> Scene:
    """Decoded images are kept: the files are needed no more."""
    data, total = photos(work / "photos", n), 2 * n
    play(begin(data, work / "whole", total, keep="on"))
    played = play(begin(data, work / "run", total, keep="on"), {total // 2: lambda: shutil.rmtree(data)})
    found, whole = digest(work / "run"), digest(work / "whole")
    return {"files_gone": n}, {
        f"ended with {played.reason!r}": played.reason != "budget",
        f"alarms: {played.said()}": bool(played.alarms),
        "not the undisturbed run": found != whole,
    }


def changed(work: Path, n: int) -> Scene:
    """Files removed, changed and added between a stop and a resume."""
    data, total = photos(work / "photos", n), 2 * n
    play(begin(data, work / "whole", total, keep="on"))
    running = begin(data, work / "run", total, keep="on")
    play(running, {total // 2: running.stop})
    names = [path.name for path in sorted(data.iterdir())]
    (data / names[3]).unlink()
    _another(data / names[5])
    (data / "new.png").write_bytes(file(picture(np.random.default_rng(7), 24, 24)))
    played = play(api.resume_steps(work / "run"))
    found, whole = digest(work / "run"), digest(work / "whole")
    differing = sorted(key for key in whole if found.get(key) != whole[key])
    said = played.said()
    return {"said": said.splitlines()}, {
        f"the removed file is not named: {said}": shown(names[3]) not in said,
        f"the changed file is not named: {said}": shown(names[5]) not in said,
        f"the added file is not named: {said}": "new.png" not in said,
        f"ended with {played.reason!r}": played.reason != "budget",
        f"not the undisturbed run: {', '.join(differing)}": bool(differing),
    }


def missing(work: Path, n: int) -> Scene:
    """Files that are gone at a resume, where nothing is kept decoded."""
    data, run, counted, wrong = photos(work / "photos", n), work / "run", {}, {}
    running = begin(data, run, 2 * n, keep="off")
    play(running, {n: running.stop})
    names = sorted(data.iterdir())
    away = names[:: round(1 / 0.05)]
    for path in away:
        path.rename(work / path.name)
    try:
        said = f"went on: {play(api.resume_steps(run)).said()}"
    except DataError as error:
        said = str(error)
    counted["5 %"] = said
    wrong[f"without 5 %: {said}"] = "DATA-" not in said or not any(shown(path.name) in said for path in away)
    for path in away:
        (work / path.name).rename(path)
    gone = [names[0], names[n // 2]][: max(1, n // 200)]
    for path in gone:
        path.unlink()
    played = play(api.resume_steps(run))
    counted["below 1 %"] = said = played.said()
    wrong[f"without {len(gone)} of {n}: {said}"] = not all(shown(path.name) in said for path in gone)
    wrong[f"without {len(gone)} of {n} it ended with {played.reason!r}"] = played.reason != "budget"
    return counted, wrong


def classes(work: Path, n: int) -> Scene:
    """A class that is renamed, or new, or gone, before a resume."""
    data = photos(work / "photos", n, classes=3)
    running = begin(data, work / "run", 2 * n, keep="on", labels="folders")
    play(running, {n: running.stop})
    counted, wrong = {}, {}
    moves = {"renamed": ("class-1", "class-x"), "removed": ("class-1", "../away"), "added": ("../more", "class-9")}
    photos(work / "more", 5)
    for how, (old, new) in moves.items():
        (data / old).rename(data / new)
        try:
            played = play(api.resume_steps(work / "run"))
            said = f"went on: {played.said()}"
        except DataError as error:
            said = str(error)
        (data / new).rename(data / old)
        concerned = [name for name in (old, new) if not name.startswith("..")]
        counted[how] = said
        wrong[f"a class {how}: {said}"] = "DATA-CLASSES" not in said or not all(name in said for name in concerned)
    played = play(api.resume_steps(work / "run"))
    wrong[f"after all that it ended with {played.reason!r}: {played.said()}"] = played.reason != "budget"
    return counted, wrong


SCENES: dict[str, Callable[[Path, int], Scene]] = {
    "few": few, "many": many, "all": everything, "kept": kept, "changed": changed, "missing": missing,
    "classes": classes,
}  # fmt: skip


def prove(name: str, work: Path, n: int) -> dict[str, Any]:
    """One scene: {"scene", "seconds", "failures", what it counted}."""
    began = time.monotonic()
    work.mkdir(parents=True)
    counted, wrong = SCENES[name](work, n)
    seconds = round(time.monotonic() - began, 1)
    return {"scene": name, **counted, "seconds": seconds, "failures": [what for what, holds in wrong.items() if holds]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs.broken", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=600, help="in each folder")
    parser.add_argument("--scenes", nargs="+", default=list(SCENES), choices=list(SCENES))
    parser.add_argument("--out", type=Path, default=None, help="where the JSON goes; nowhere by default")
    given = parser.parse_args(arguments)
    if not like_anyone():
        BREAKS.pop("no right to read it")
        print("this user may read every file: files without rights are not part of the proof", file=sys.stderr)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="sparring-broken-") as place:
        os.environ.update(SPARRING_CACHE=f"{place}/cache", OMP_NUM_THREADS="1")
        for name in given.scenes:
            found = prove(name, Path(place) / name, given.images)
            results.append(found)
            print(f"{name:8}{'failed' if found['failures'] else 'holds':>8}{found['seconds']:8} s", flush=True)
            for failure in found["failures"]:
                print(f"  {failure}", file=sys.stderr)
    if given.out is not None:
        document = {
            "claim": "files that break during a run are replaced and named; above 1 % the run ends saved and resumable",
            "command": f"python -m benchmarks.proofs.broken --images {given.images} --scenes {' '.join(given.scenes)}",
            "machine": describe(threads=1),
            "results": results,
        }
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(document, indent=1).replace(place, "…") + "\n")
    return 1 if any(found["failures"] for found in results) else 0


if __name__ == "__main__":
    sys.exit(main())
