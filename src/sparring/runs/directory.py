"""The files of a run, and who may write them."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from sparring.data import Manifest
from sparring.errors import CheckpointError, MachineError, UsageError
from sparring.runs.document import Document, parse, read
from sparring.train.disk import Disk

MOST_THREADS = 1024
"""Threads of one process; more would only wait for each other."""


class RunDirectory:
    """Where things are in a run.

    recipe.yaml   the resolved recipe, what it was trained on and how; itself a valid --recipe
    data.json     files used, held out and excluded, and why        log.jsonl     one line per event
    samples/      grids from the same latents over time             checkpoints/  what `resume` reads
    data.npz      every image by name, content and label: so that a run goes on although its files have changed
    game.gif      the pictures of a game on the plane as an animation
    neighbours.png, neighbours.json   ten samples with their nearest training images
    pairs.png     of image to image eight pairs as they are trained on, there before the first step
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.yaml"
        self.data = self.path / "data.json"
        self.manifest = self.path / "data.npz"
        self.log = self.path / "log.jsonl"
        self.film = self.path / "game.gif"
        self.neighbours = self.path / "neighbours.png"
        self.pairs = self.path / "pairs.png"
        self.samples = self.path / "samples"
        self.checkpoints = self.path / "checkpoints"

    @property
    def is_run(self) -> bool:
        return self.recipe.is_file()

    def claim(self) -> None:
        """Make the directory if it is free; `UsageError` if anything is in it. Nothing of the user's is overwritten."""
        self.check_free()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None

    def check_free(self) -> None:
        """`UsageError` if anything is in the directory.

        What `create` leaves when it is killed half-way is free: recipe.yaml, which makes it a run, comes last.
        """
        if self.is_run:
            raise UsageError(
                "RUN-EXISTS",
                "there is a run in this directory already",
                where=str(self.path),
                fix=f"go on with `sparring resume {self.path}`, or choose another --out",
            )
        if self.path.exists() and (not self.path.is_dir() or not self._barely_begun()):
            raise UsageError(
                "RUN-OUT",
                "the directory is not empty" if self.path.is_dir() else "this is a file, not a directory",
                where=str(self.path),
                fix="choose another --out; nothing was changed",
            )
        check_above(self.path, "RUN-OUT")

    def create(self, recipe: Mapping[str, Any], data: Mapping[str, Any], manifest: Manifest | None = None) -> None:
        """Fill a claimed directory, under its lock: of two that claimed it at once, the second is refused here."""
        self.claim()
        try:
            self.samples.mkdir(exist_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
            write_atomically(self.data, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
            if manifest is not None:
                write_atomically(self.manifest, manifest.encode())
            self.write_recipe(recipe)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> MachineError:
        return MachineError("RUN-OUT", "the run directory cannot be written", where=str(self.path), why=str(error))

    def _barely_begun(self) -> bool:
        """Whether nothing is here but what `create` makes before recipe.yaml, and nothing in that."""
        ours = re.compile(r"samples|checkpoints|data\.(json|npz)|lock|\.(data\.json|data\.npz|recipe\.yaml)\.\d+\.tmp")
        folders = (self.samples, self.checkpoints)
        if self.data.exists() and not all(folder.is_dir() for folder in folders):
            return False  # somebody else's data.json
        empty = (not folder.is_dir() or not any(folder.iterdir()) for folder in folders)
        return all(ours.fullmatch(entry.name) for entry in self.path.iterdir()) and all(empty)

    def write_recipe(self, document: Mapping[str, Any]) -> None:
        write_atomically(self.recipe, written(document))

    def report(self) -> dict[str, Any]:
        """What data.json says; nothing if it cannot be read."""
        try:
            found = json.loads(self.data.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def document(self) -> dict[str, Any]:
        """What recipe.yaml says; `CheckpointError` if this is no run."""
        return dict(self.said().values)

    def said(self) -> Document:
        """The same with the lines on which it is said."""
        if not self.is_run:
            raise CheckpointError(
                "RUN-MISSING",
                "there is no run here",
                where=str(self.path),
                why="a run is a directory with a recipe.yaml",
                fix=self._found_near(),
            )
        try:
            document = read(self.recipe)
        except UsageError as error:
            where, why = error.where, f"{error.what}: {error.why}" if error.why else error.what
            raise CheckpointError(
                "RUN-RECIPE", "the run's recipe cannot be read", where=where, why=why, fix=error.fix
            ) from None
        _check(document)
        return document

    def _found_near(self) -> str:
        """Which runs there are where somebody looked for one: in it, or beside it the ones with the nearest names."""
        if self.path.name == self.recipe.name and self.path.is_file():
            return f"name the directory of the run: {self.path.parent}"
        if (self.path / "config.json").is_file() and (self.path / "model.safetensors").is_file():
            return "this is an exported model: it can be used and published, but not trained; that needs its run"
        inside = _runs_in(self.path)
        if inside:
            more = f" and {len(inside) - 5} more" if len(inside) > 5 else ""
            return f"runs in it: {', '.join(map(str, inside[:5]))}{more}"
        beside = _runs_in(self.path.parent) or _runs_in(Path("runs"))
        names = {path.name: path for path in beside}
        near = difflib.get_close_matches(self.path.name, names, n=5, cutoff=0.5)
        if beside:
            which = "beside it" if beside[0].parent == self.path.parent else "in runs"
            return f"runs {which}: {', '.join(str(path) for path in ([names[name] for name in near] or beside)[:5])}"
        return "`sparring train DATA` makes one"


def _runs_in(folder: Path) -> list[Path]:
    """The directories of runs in a folder, in the order of their names; none where it cannot be looked into."""
    try:
        return sorted(path.parent for path in folder.glob("*/recipe.yaml"))
    except OSError:
        return []


_NUMBER = (int, float)
_SAID: dict[tuple[str, ...], tuple[type, ...]] = {
    ("recipe",): (str,), ("config",): (dict,), ("data",): (dict,), ("run",): (dict,),
    ("data", "source"): (str,), ("data", "kind"): (str,), ("data", "shape"): (list,), ("data", "crop"): (str,),
    ("data", "background"): (list,), ("data", "held_out"): _NUMBER, ("data", "fingerprint"): (str,),
    ("run", "seed"): (int,), ("run", "images"): (int,), ("run", "horizon"): (int,), ("run", "device"): (str,),
    ("run", "threads"): (int,), ("run", "processes"): (int,), ("data", "classes"): (list,),
    ("data", "texts"): (list,),
}  # fmt: skip
"""What a run's recipe.yaml must say for the run to be used."""
_MAYBE = (("data", "classes"), ("data", "texts"))
_RANGES = {"seed": (0, 2**63 - 1), "images": (1, 2**62), "horizon": (1, 2**62), "threads": (1, MOST_THREADS),
           "processes": (1, 2**20)}  # fmt: skip


def _check(document: Document) -> None:
    """`CheckpointError` unless a run's recipe.yaml says what is needed, in the right form."""
    wrong = wrong_in(document, _SAID, _MAYBE)
    for key, (low, high) in _RANGES.items() if not wrong else ():
        if not low <= document.values["run"][key] <= high:
            wrong.append(f"run.{key} is from {low} to {high:,} ({document.where('run', key)})")
    if wrong:
        raise CheckpointError(
            "RUN-RECIPE",
            "the run's recipe does not say what a run needs",
            where=document.name,
            why="; ".join(wrong[:5]),
            fix="undo what was edited; without it only a new run helps (its config can be used as --recipe)",
        )


def wrong_in(
    document: Document, said: Mapping[tuple[str, ...], tuple[type, ...]], maybe: Collection[tuple[str, ...]] = ()
) -> list[str]:
    """What a document must say, by path and type, and does not; `maybe`: what it need not say. A line each."""
    wrong = []
    for path, kinds in said.items():
        value: Any = document.values
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None and path in maybe:
            continue
        if not isinstance(value, kinds) or isinstance(value, bool):
            found = "is missing" if value is None else f"cannot be {value!r}"[:80]
            wrong.append(f"{'.'.join(path)} {found}" + f" ({document.where(*path)})" * (path in document.lines))
    return wrong


def check_above(path: Path, code: str) -> None:
    """`UsageError` or `MachineError` with this code if a directory at `path` could not be made."""
    above = next((folder for folder in path.absolute().parents if folder.exists()), Path("/"))
    if not above.is_dir():
        raise UsageError(code, "there is a file in the way", where=str(above), fix="choose another --out")
    if not os.access(above, os.W_OK | os.X_OK):
        raise MachineError(code, "this place may not be written", where=str(above), fix="choose another --out")


def free_directory(source: str, parent: Path = Path("runs")) -> Path:
    """``runs/<name of the data>``, or with the next free number: never a directory that exists."""
    path, number = parent / stem(source), 1
    while path.exists():
        number += 1
        path = parent / f"{stem(source)}-{number}"
    return path


def stem(source: str) -> str:
    """The name of the data as a plain file name.

    >>> stem("../photos/my cats.zip")
    'my-cats'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(source.rstrip("/")).name.split(".")[0]).strip("-") or "run"


def written(document: Mapping[str, Any]) -> str:
    """A document of plain values as YAML that `read` reads back: in plain letters where that is true of them, else with
    escapes (for file names that are no text, or with odd line breaks in them)."""
    values = json.loads(json.dumps(document))
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
    try:
        text.encode()
        plainly = parse(text, "").values == values
    except (UnicodeEncodeError, UsageError):
        plainly = False
    return text if plainly else yaml.safe_dump(values, sort_keys=False, allow_unicode=False, width=110)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Old content or new content, never half of it. In a text, a name that is no text is \\udcXX, as JSON says it."""
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    disk = Disk()
    disk.remove(temporary)
    try:
        disk.write(temporary, data)
        disk.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.remove(temporary)
        raise
    disk.sync(path.parent)
