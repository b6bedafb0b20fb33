"""What a page offers to train on, and the words of the commands that it sends off."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.budget import check_begins, check_seed, parse_budget
from sparring.errors import UsageError
from sparring.runs.directory import free_directory
from sparring.runs.errands import FOLDER, Errand

BUILT_IN = {
    "fashion": "10,000 pictures of clothes, 28 × 28 grey", "emoji": "1,628 emoji, 64 × 64",
    "ring": "8 modes on a circle: the game itself, in seconds", "grid": "25 modes on a grid",
    "swissroll": "a spiral", "checkerboard": "dark fields of a board", "dirac": "one point on a line",
}  # fmt: skip
"""Data that ship with the package, by name, with a word about each."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a run may be called from a page."""
CHECKS = ".checks"
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
_MANY = 2_000  # entries of a folder that are looked at
_beginning = threading.Lock()


@dataclass(frozen=True)
class Wish:
    """A run that somebody wants. data, into: paths, or a built-in name; budget: as after ``--budget``; size: pixels.
    more: further flags, those that a check has proposed; what is said here goes before them."""

    data: str
    into: str | None = None
    recipe: str = "auto"
    budget: str = "10m"
    size: int | None = None
    seed: int = 0
    name: str = ""
    more: tuple[str, ...] = ()

    def words(self, out: Path) -> list[str]:
        """The command line of it, checked for form. Raises `UsageError`."""
        check_begins(parse_budget(self.budget))
        check_seed(self.seed)
        data = [self.data] if self.into is None else [self.data, self.into]
        said = {"--out": str(out), "--budget": self.budget.replace(" ", ""), "--seed": str(self.seed)}
        said |= {"--recipe": self.recipe} if self.recipe != "auto" else {}
        said |= {"--size": str(self.size)} if self.size is not None else {}
        flags = [word for pair in said.items() for word in pair]
        return ["train", *data, *flags, *_without(self.more, said)]


def _without(words: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """Flags with their values, less those that are known.

    >>> _without(["--size", "64", "--drop-unpaired", "--set", "flip=false"], {"--size": "32"})
    ['--drop-unpaired', '--set', 'flip=false']
    """
    left: list[str] = []
    dropping = False
    for word in words:
        dropping = word in known if word.startswith("--") else dropping
        left += [] if dropping else [word]
    return left


def begin(root: Path, wish: Wish, key: str) -> Path:
    """Begin a run below `root` in a process of its own; its directory. A wish whose key was seen before is the run that
    it began then. Raises `UsageError` where the name is taken."""
    home = root.resolve()
    with _beginning:
        for goal in _sent(home):
            if key and Errand(goal).record().get("key") == key:
                return goal
        goal = _free(home, wish)
        Errand(goal).send(wish.words(goal), key)
        return goal


def demo(root: Path, key: str) -> Path:
    """Begin ``sparring demo`` below `root`; its directory. Where there is one already, nothing is begun."""
    goal = root.resolve() / "demo"
    with _beginning:
        if not (goal / "recipe.yaml").exists():
            Errand(goal).send(["demo", "--out", str(goal)], key)
        return goal


def _sent(home: Path) -> list[Path]:
    with suppress(OSError):
        names = os.listdir(home / FOLDER)
        return [home / name.removesuffix(".json") for name in sorted(names) if name.endswith(".json")]
    return []


def _free(home: Path, wish: Wish) -> Path:
    """The directory of a new run: of the name that was asked for, or the first free one."""
    if wish.name:
        if not NAME.fullmatch(wish.name):
            raise UsageError("RUN-NAME", "a run cannot be called this", where=wish.name[:80],
                             fix="letters, digits, - and _, at most 64, the first a letter or a digit")  # fmt: skip
        goal = home / wish.name
        if os.path.lexists(goal) or Errand(goal).process is not None:
            raise UsageError("RUN-EXISTS", "there is something of this name already", where=wish.name,
                             fix="choose another name; nothing was changed")  # fmt: skip
        return goal
    goal, number = free_directory(wish.data, home), 1
    first = goal
    while os.path.lexists(goal) or Errand(goal).record():
        number += 1
        goal = first.with_name(f"{first.name}-{number}")
    return goal


# ── a look before ─────────────────────────────────────────────────────────────────────────────────────────────────


def check_place(root: Path, name: str) -> Path:
    """Where the report of a check goes. name: of the data, as an id."""
    return root.resolve() / CHECKS / name


def look(place: Path, data: str, into: str | None, key: str) -> bool:
    """Begin ``sparring check`` of data; False if it is under way already, or was asked for with this key before."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sources = [data] if into is None else [data, into]
    return Errand(place).send(["check", *sources, "--out", str(place)], key)


def looked(place: Path) -> dict[str, Any]:
    """What a check has found so far: {"running", "said", "report"}. report: None until there is one."""
    errand = Errand(place)
    running = errand.process is not None
    report = None
    if not running:
        with suppress(OSError, ValueError, RecursionError):
            found = json.loads((place / "report.json").read_text("utf-8"))
            report = found if isinstance(found, dict) else None
    return {"running": running, "said": errand.said(12), "report": report}


def proposed(place: Path) -> tuple[str, ...]:
    """The flags that a check has proposed to train with; none where it has not, or would refuse."""
    report = looked(place)["report"] or {}
    proposal = report.get("proposal")
    command = proposal.get("command") if isinstance(proposal, dict) else None
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        return ()
    first = next((k for k, word in enumerate(command) if word.startswith("--")), len(command))
    return tuple(command[first:])


# ── what there is ─────────────────────────────────────────────────────────────────────────────────────────────────


def offer(path: Path) -> dict[str, Any] | None:
    """What may be trained on here, in a few words: {"kind", "count", "more"}; None if nothing is seen that could be.

    A short look at names: the first 2,000 entries, and of each folder in it likewise. The check looks at everything.
    """
    with suppress(OSError):
        if path.is_file():
            kinds = {".zip": "zip", ".parquet": "shards", ".gz": "idx" if "idx" in path.name else ""}
            kind = kinds.get(path.suffix.lower(), "idx" if path.name.endswith("-ubyte") else "")
            size = path.stat().st_size / 2**20
            return {"kind": kind, "count": 0, "more": f"{size:,.1f} MiB"} if kind else None
        files, folders, rest = _counted(path)
        inside = [_counted(path / name)[0] for name in folders[:50]]
        held = sum(inside)
        if files + held == 0:
            return {"kind": "folder", "count": 0, "more": rest} if rest else None
        within = sum(count > 0 for count in inside)
        more = f"in {within} folder{'s' if within > 1 else ''}" if held else ""
        return {"kind": "folder", "count": files + held, "more": more}
    return None


def _counted(folder: Path) -> tuple[int, list[str], str]:
    """(images, names of folders, other data) among the first entries of a folder."""
    images, folders, other = 0, [], ""
    with suppress(OSError), os.scandir(folder) as entries:
        for _, entry in zip(range(_MANY), entries):
            if entry.name.startswith("."):
                continue
            name = entry.name.lower()
            if name.endswith(_IMAGES):
                images += 1
            elif name.endswith(".parquet"):
                other = "shards"
            elif "images-idx3-ubyte" in name:
                other = "idx"
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return images, sorted(folders), other
