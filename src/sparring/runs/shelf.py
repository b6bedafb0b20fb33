"""Runs as their directories tell of them, again and again while they go on: what a page of many runs shows.

Nothing here loads torch, takes a lock or writes. Every file may be missing, cut off, of the wrong kind or edited by
hand; no link is followed out of a run.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sparring.errors import CheckpointError, UsageError
from sparring.runs import document
from sparring.runs.errands import FOLDER, Errand, plain
from sparring.runs.keeper import kept, state
from sparring.runs.tail import Curves, Tail
from sparring.types import paid

PICTURES = {"game": "game.gif", "walk": "walk.gif", "pairs": "pairs.png", "neighbours": "neighbours.png"}
"""Pictures of a run beside its sample grids, by the names by which they are asked for."""
MEASURES = {
    "pair_distance": "distance of pairs", "kid": "KID", "energy_distance": "energy distance", "accuracy": "accuracy",
    "pixel_accuracy": "pixels of the right class", "nll": "nats per sample",
}  # fmt: skip
"""What a run is judged by, the first one that was measured."""
LARGEST_PICTURE, LARGEST_PAGE = 32 * 2**20, 64 * 2**20
MOST_GRIDS = 500
"""Sample grids that are offered; of more an even choice with the first and the last."""
_AT_ONCE = 1 << 20  # bytes of turns that are read at a time: of long logs an even choice
_KEPT = 256  # logs that are kept in memory
_END = 1 << 16
_GRID = re.compile(r"([0-9]{1,15})\.png")
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"))
_SPARK = 48


class Shelf:
    """What is known of runs by now. Safe to be used by several threads.

    It remembers how far it has read which log, so that to ask again costs little.
    """

    def __init__(self) -> None:
        self._tails: OrderedDict[Path, tuple[Tail, threading.Lock]] = OrderedDict()
        self._said: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._glances: dict[Path, tuple[tuple[int, ...], dict[str, Any]]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def reading(self, run: Path) -> Iterator[Tail]:
        """The log of a run, read as far as it goes; until the ``with`` ends, no other thread reads on."""
        with self._lock:
            if run not in self._tails:
                self._tails[run] = Tail(run / "log.jsonl", _AT_ONCE), threading.Lock()
            self._tails.move_to_end(run)
            while len(self._tails) > _KEPT:
                self._tails.popitem(last=False)
            tail, lock = self._tails[run]
        with lock:
            tail.catch_up()
            yield tail

    def said(self, run: Path) -> dict[str, Any]:
        """What recipe.yaml says; nothing where it cannot be read."""
        path = run / "recipe.yaml"
        try:
            info = path.stat()
            now = info.st_mtime_ns, info.st_size
            if run not in self._said or self._said[run][0] != now:
                found = document.read(path).values
                self._said[run] = now, found if isinstance(found, dict) else {}
            return self._said[run][1]
        except (OSError, ValueError, RecursionError, UsageError):
            return {}

    def glance(self, run: Path) -> dict[str, Any]:
        """A run in a few plain values: how it stands, how far it is, what was measured last."""
        signs = _signs(run)
        before = self._glances.get(run)
        if before is not None and before[0] == signs and before[1]["state"] in ("stopped", "finished", "failed"):
            return before[1]  # whoever goes on with it touches one of these
        with self.reading(run) as tail:
            found = self._glance(run, tail)
        self._glances[run] = signs, found
        return found

    def _glance(self, run: Path, tail: Tail) -> dict[str, Any]:
        said = self.said(run)
        data, settings = _part(said, "data"), _part(said, "run")
        planned, shape = _whole(settings.get("images")), data.get("shape")
        now = state(run, tail, planned)
        rates = sorted(tail.recent)
        rate = rates[len(rates) // 2] if rates and now.kind == "training" else tail.rate
        probes = tail.probes.curves()
        grids = samples(run)
        touched = max(_touched(path) for path in (run / "log.jsonl", run / "recipe.yaml", Errand(run).slip))
        return {
            "name": run.name,
            "state": now.kind, "why": now.why, "pid": now.pid, "stopping": now.stopping,
            "recipe": _text(settings.get("preset")) or _text(said.get("recipe")),
            "data": Path(_text(data.get("source"))).name or _text(data.get("source")),
            "shape": shape if isinstance(shape, list) and all(isinstance(side, int) for side in shape) else [],
            "unit": "points" if data.get("kind") == "points" else "images", "translates": "sides" in data,
            "images": tail.seen, "planned": planned, "rate": rate,
            "left": (planned - tail.seen) / rate if now.kind == "training" and rate and planned > tail.seen else None,
            "touched": touched, "kept": not tail.seen or kept(run),
            "losses": paid(tail.turn), "belief": belief(tail.turn),
            "measure": measure(probes), "spark": spark(probes, tail.turns.curves()),
            "newest": grids[-1] if grids else None, "grids": len(grids),
            "alarm": tail.latest.code if tail.latest is not None else "",
            "version": f"{tail.seen}-{len(tail.probes.rows)}-{len(grids)}-{len(tail.alarms)}-{now.kind}-{now.stopping}",
        }  # fmt: skip


def pending(roots: Iterable[Path]) -> list[Path]:
    """Directories of runs that were sent off and are not there (yet): begun a moment ago, or failed before that."""
    found = []
    for root in roots:
        with suppress(OSError):
            home = root.resolve()
            for entry in sorted(os.scandir(home / FOLDER), key=lambda entry: entry.name):
                goal = home / entry.name.removesuffix(".json")
                words = Errand(goal).record().get("words") if entry.name.endswith(".json") else None
                sent = isinstance(words, list) and words[:1] in (["train"], ["demo"])
                if sent and not (goal / "recipe.yaml").exists():
                    found.append(goal)
    return found


# ── pictures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def samples(run: Path) -> list[int]:
    """Images seen at each sample grid of a run, in order."""
    found = []
    with suppress(OSError), os.scandir(run / "samples") as entries:
        for entry in entries:
            if (match := _GRID.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False):
                found.append(int(match[1]))
    found = sorted(set(found))
    if len(found) > MOST_GRIDS:
        last = len(found) - 1
        found = [found[k] for k in sorted({round(i * last / (MOST_GRIDS - 1)) for i in range(MOST_GRIDS)})]
    return found


def pictures(run: Path) -> list[str]:
    """Which of `PICTURES` there are."""
    return [name for name, file in PICTURES.items() if (run / file).is_file() and not (run / file).is_symlink()]


def picture(run: Path, which: int | str) -> tuple[bytes, str]:
    """(bytes, media type) of the sample grid of so many images, or of one of `PICTURES`. It is read as it is, not
    decoded. `CheckpointError` where there is none, or something else of that name."""
    if isinstance(which, int):
        places = [run / "samples" / f"{which:012d}.png", run / "samples" / f"{which}.png"]
    else:
        places = [run / PICTURES[which]] if which in PICTURES else []
    for place in places:
        with suppress(OSError):
            data = plain_file(place, run)
            kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")
            if kind:
                return data, kind
    raise CheckpointError("RUN-PICTURE", "the run has no such picture", where=f"{run.name}, {which}",
                          fix="it may have been removed; reload the page")  # fmt: skip


def plain_file(path: Path, home: Path, most: int = LARGEST_PICTURE) -> bytes:
    """The bytes of a file that lies in `home`, if neither it nor its folder is a link. Raises OSError."""
    if path.parent.is_symlink() or not path.parent.resolve().is_relative_to(home.resolve()):
        raise OSError("a link")
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(file, "rb") as opened:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode) or not 0 < info.st_size <= most:
            raise OSError("nothing that is shown")
        return opened.read(most)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def belief(turn: Mapping[str, float]) -> dict[str, float]:
    """{"D(x)": …, "D(G(z))": …}: what D believes, of the first D that says it."""
    found: dict[str, float] = {}
    for key, value in turn.items():
        if (term := key.rpartition("/")[2]) in ("D(x)", "D(G(z))"):
            found.setdefault(term, value)
    return found


def measure(probes: Curves) -> dict[str, Any] | None:
    """The last measured value of what a run is judged by, with its 95 % interval where that is known."""
    for name, label in MEASURES.items():
        rows = [(at, values) for at, values in probes.rows() if name in values]
        if rows:
            at, values = rows[-1]
            reach = 1.96 * values[f"{name}_se"] if f"{name}_se" in values else None
            value = values[name]
            around = (value - reach, value + reach) if reach is not None else None
            return {"name": name, "label": label, "value": value, "interval": around, "at": at}
    return None


def spark(probes: Curves, turns: Curves) -> dict[str, Any] | None:
    """A small curve of what a run is judged by; where that was measured less than three times, of what G pays, or of
    the loss where there is no G."""
    for name, label in MEASURES.items():
        line = [value for value in probes.lines.get(name, []) if value is not None]
        if len(line) >= 3:
            return {"label": label, "values": _thinned(line)}
    costs = [paid({name: line[k] for name, line in turns.lines.items()}) for k in range(len(turns.images))]
    line = [row.get("G", next(iter(row.values()))) for row in costs if row]
    label = "what G pays" if any("G" in row and len(row) > 1 for row in costs) else "the loss"
    return {"label": label, "values": _thinned(line)} if len(line) >= 3 else None


def _thinned(line: list[float]) -> list[float]:
    last = len(line) - 1
    picks = sorted({round(i * last / (_SPARK - 1)) for i in range(_SPARK)}) if last >= _SPARK else range(last + 1)
    return [float(f"{line[k]:.4g}") for k in picks]


def log_lines(run: Path, most: int = 60) -> list[str]:
    """The end of a run's log in short lines: images, and what was said there."""
    try:
        path = run / "log.jsonl"
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END))
            data = file.read(_END)
    except OSError:
        return []
    whole = data[: data.rfind(b"\n") + 1]
    if size > _END:
        whole = whole[whole.find(b"\n") + 1 :]
    found = []
    for line in [line for line in whole.split(b"\n") if line.strip()][-most:]:
        text = line.decode("utf-8", "replace")
        try:
            found.append(plain(_told(json.loads(text))))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError):
            found.append(f"? {plain(text)[:200]}")
    return found


def _told(record: dict[str, Any]) -> str:
    kind, where = str(record["event"]), f"{int(record.get('images', 0)):>12,}  "
    if kind in ("turn", "probed"):
        known = {str(k): float(v) for k, v in record["values"].items() if isinstance(v, (int, float))}
        shown = {**paid(known), **belief(known)} if kind == "turn" else known
        numbers = [f"{name} {value:.4g}" for name, value in shown.items() if not name.endswith("_se")][:10]
        return where + "measured: " * (kind == "probed") + "  ".join(numbers)
    if kind == "alarm":
        return f"{where}! {record['message']} [{record['code']}]"[:1000]
    words = {"saved": "checkpoint saved", "done": f"ended: {record.get('reason', '')}", "sampled": "sample grid"}
    return where + words.get(kind, kind)[:200]


# ── plain values ──────────────────────────────────────────────────────────────────────────────────────────────────


def _signs(run: Path) -> tuple[int, ...]:
    """When what a glance is made of was last written, and how long it is."""
    found = []
    names = ("log.jsonl", "recipe.yaml", "lock", "samples", "checkpoints")
    for path in (*(run / name for name in names), Errand(run).slip):
        try:
            info = path.stat()
            found += [info.st_mtime_ns, info.st_size]
        except OSError:
            found.append(0)
    return tuple(found)


def _part(said: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 62 else 0


def _touched(path: Path) -> float:
    """When a file was last written, in seconds since 1970; 0 where there is none."""
    with suppress(OSError):
        return min(path.stat().st_mtime, time.time())
    return 0.0
