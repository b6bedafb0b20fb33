"""Checkpoints that survive a kill at any instant, a full disk, a power cut and a decaying medium.

A checkpoint is a directory ``000000012345/`` (images seen): one safetensors file per stem, ``state.json``, and
``manifest.json`` with the size and SHA-256 of each file. It is written under a temporary name, forced to the medium,
read back, renamed, and only then may an older one go. There is no pointer to "the latest": the newest checkpoint
whose every byte is right *is* the latest. Nothing is ever pickled.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from sparring.errors import CheckpointError, UsageError
from sparring.train.disk import Disk
from sparring.train.manifest import (
    NAME,
    SUFFIX,
    Damage,
    Future,
    Manifest,
    canonical,
    json_object,
    parsed,
    serialised,
    sound_bytes,
    verified,
)

Result = TypeVar("Result")

_FOLDER = re.compile(r"^(\d{12,})(\.old)?$")
_TEMPORARY = re.compile(r"^\.tmp-(\d+)-[0-9a-f]{16}$")
_STEM = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
_STATE = "state.json"
_BEST = "best.json"

Tensors = Mapping[str, Mapping[str, Tensor]]
"""File stem → name → tensor."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint. What it returns is parsed from the very bytes whose hash was right.

    images: seen when it was written.   rejected: why newer ones were passed over, one line each, naming the file.
    """

    images: int
    path: Path
    manifest: Manifest
    disk: Disk
    rejected: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path, disk: Disk | None = None) -> Checkpoint:
        """The checkpoint in directory `path`, verified. Raises CheckpointError if one byte of it is wrong."""
        disk = disk or Disk()
        images = _images(path)
        try:
            return cls(path=path, images=images, manifest=verified(disk, path, images, deep=True), disk=disk)
        except Damage as damage:
            raise _damaged(str(damage), path) from None

    @property
    def stems(self) -> tuple[str, ...]:
        return tuple(name.removesuffix(SUFFIX) for name in self.manifest.files if name.endswith(SUFFIX))

    def tensors(self, stem: str) -> dict[str, Tensor]:
        """name → tensor, contiguous, on the CPU, all finite. Raises CheckpointError."""
        return self._sound(stem + SUFFIX, parsed)

    @property
    def state(self) -> dict[str, Any]:
        """What was handed to `save` as state. Raises CheckpointError."""
        return self._sound(_STATE, json_object)

    def _sound(self, name: str, parse: Callable[[bytes, Path], Result]) -> Result:
        path = self.path / name
        try:
            return parse(sound_bytes(self.disk, path, self.manifest), path)
        except Damage as damage:
            raise _damaged(str(damage), self.path) from None


class Store:
    """The checkpoints of one run, in one directory; used by one process at a time (see `runs.lock`).

    >>> import tempfile, torch
    >>> store = Store(Path(tempfile.mkdtemp()))
    >>> _ = store.save(640, {"G": {"weight": torch.ones(2)}}, {"round": 10})
    >>> found = store.newest()
    >>> found.images, found.state, found.tensors("G")["weight"].tolist()
    (640, {'round': 10}, [1.0, 1.0])
    """

    def __init__(self, directory: Path | str, keep: int = 2, disk: Disk | None = None, run: str = "") -> None:
        """`keep` ≥ 2 newest valid checkpoints stay. `run`: a name for the run; checkpoints of another run are neither
        used nor removed. Without one, the run of the newest checkpoint goes on, or a fresh name is drawn.
        """
        if keep < 2:
            raise UsageError("CHECKPOINT-KEEP", f"keep={keep} checkpoints is too few", fix="keep at least 2")
        self.directory, self.keep, self.run = Path(directory), keep, run
        self._name = run  # what is written into the next checkpoint
        self.disk = Disk() if disk is None else disk

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def save(self, images: int, tensors: Tensors, state: Mapping[str, Any], *, healthy: bool = True) -> Path:
        """Writes, verifies and publishes a checkpoint, then removes what is no longer needed. Returns its directory.

        healthy: False while a watch objects ("hold"); then no checkpoint marked healthy is removed.
        Raises OSError if the disk is full or fails: nothing is left behind, older checkpoints are as they were, and the
        run can go on. Raises Diverged for numbers that are not finite, TypeError for a state that JSON cannot hold.
        Touches no tensor and no random generator of the caller.
        """
        files = {_STATE: canonical(dict(state))}  # before anything is written: a state that cannot be saved is a bug
        self.disk.make(self.directory)
        self._sweep()
        self._name = self._name or self._name_so_far() or secrets.token_hex(8)
        temporary = self._temporary()
        try:
            self._fill(temporary, images, tensors, files, healthy)
            path = self._publish(temporary, images)
        except BaseException:
            with contextlib.suppress(OSError):
                self.disk.remove(temporary)
            raise
        with contextlib.suppress(OSError):  # saved is saved; what could not be removed is removed next time
            self._rotate(path)
        return path

    def _fill(self, folder: Path, images: int, tensors: Tensors, files: dict[str, bytes], healthy: bool) -> None:
        self.disk.make(folder)
        listed = {}
        for name, data in files.items():
            self.disk.write(folder / name, data)
            listed[name] = (len(data), hashlib.sha256(data).hexdigest())
        for stem, named in tensors.items():
            if not _STEM.match(stem):
                raise ValueError(f"{stem!r} cannot be a file stem")
            data = serialised(stem, named)
            self.disk.write(folder / (stem + SUFFIX), data)
            listed[stem + SUFFIX] = (len(data), hashlib.sha256(data).hexdigest())
        self.disk.write(folder / NAME, Manifest(self._name, images, healthy, listed).encode())
        self.disk.sync(folder)
        try:
            verified(self.disk, folder, images)
        except Damage as damage:
            raise OSError(errno.EIO, f"the disk gave back other bytes than were written: {damage}") from None

    def _publish(self, temporary: Path, images: int) -> Path:
        """Gives the finished directory its name. If the name is taken (killed after a save, resumed before it), the
        elder steps aside to ``….old``, which counts as a checkpoint too: at every instant one of them has a name.
        """
        path = self.directory / f"{images:012d}"
        elder = path.with_name(path.name + ".old")
        if path.exists():
            if self._valid(path):
                self._discard(elder)
                self.disk.rename(path, elder)
            else:
                self._discard(path)
        self.disk.rename(temporary, path)
        self.disk.sync(self.directory)
        self._discard(elder)
        return path

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint of which every byte is right and every number finite; None if none was ever written.

        Its `rejected` says which newer ones were passed over, and why. Changes nothing on the disk, so that others may
        look at a run while it trains. Raises CheckpointError if there are checkpoints and none can be used, or if the
        newest was written by a later version.
        """
        rejected: list[str] = []
        for _ in range(3):  # the run may remove what we are reading: then look again
            rejected, names = [], self._entries()
            for images, path in names:
                try:
                    manifest = verified(self.disk, path, images, deep=True)
                    if self.run and manifest.run != self.run:
                        raise Damage(f"{path.name}/{NAME}: written by another run ({manifest.run}, not {self.run})")
                except Damage as damage:
                    rejected.append(str(damage))
                    continue
                return Checkpoint(images, path, manifest, self.disk, tuple(rejected))
            if self._entries() == names:
                break
        if rejected:
            raise _damaged("\n    ".join(rejected), self.directory)
        return None

    def newest_healthy(self, until: int) -> Checkpoint | None:
        """The newest of this run's checkpoints that was saved as healthy at up to `until` images, and of which every
        byte is right; None if there is none. Changes nothing on the disk."""
        name = self._name or self._name_so_far()
        for images, path in self._entries():
            manifest = self._ours(path)
            if images > until or manifest is None or not manifest.healthy or manifest.run != name:
                continue
            with contextlib.suppress(Damage):
                return Checkpoint(images, path, verified(self.disk, path, images, deep=True), self.disk)
        return None

    @property
    def moments(self) -> list[int]:
        """Images seen at each checkpoint there is, whether or not it is whole, in order."""
        return sorted({images for images, _ in self._entries()})

    def mark_best(self, images: int, value: float, measure: str = "") -> None:
        """The checkpoint at `images` is the best so far, by a measure: it stays until another is marked. OSError."""
        if images not in dict(self._entries()):
            raise ValueError(f"there is no checkpoint at {images} images to be the best")
        new = self._temporary()
        try:
            self.disk.write(new, canonical({"images": images, "value": float(value), "measure": measure}))
            self.disk.replace(new, self.directory / _BEST)
            self.disk.sync(self.directory)
        except BaseException:
            with contextlib.suppress(OSError):
                self.disk.remove(new)
            raise

    def best(self) -> tuple[int, float, str] | None:
        """(images, value, measure) of the checkpoint marked best; None if none is, or its mark is damaged. OSError."""
        try:
            found = json.loads(self.disk.read(self.directory / _BEST))
            return int(found["images"]), float(found["value"]), str(found.get("measure", ""))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def at(self, images: int) -> Checkpoint:
        """The checkpoint at `images`, verified. Raises CheckpointError."""
        for found, path in self._entries():
            if found == images:
                return Checkpoint.open(path, self.disk)
        raise CheckpointError("CHECKPOINT-MISSING", f"no checkpoint at {images} images", where=str(self.directory))

    def forget_after(self, images: int) -> None:
        """Removes this run's checkpoints beyond `images`: a rollback must not be undone by the next resume."""
        for found, path in self._entries():
            if found > images and self._ours(path) is not None:
                self._discard(path)
        self.disk.sync(self.directory)

    # ── keeping order ─────────────────────────────────────────────────────────────────────────────────────────────

    def _rotate(self, saved: Path) -> None:
        """Removes this run's checkpoints except the newest `keep` valid ones, as many healthy ones, and the best."""
        best = self.best()  # a mark that cannot be read at present (OSError): then nothing is removed at present
        ours = [(images, path, manifest) for images, path in self._entries() if (manifest := self._ours(path))]
        ours.sort(key=lambda entry: entry[1] != saved)  # stable: the one just saved and verified first, then by age
        valid, healthy, kept = 0, 0, set()
        for images, path, manifest in ours:
            wanted = valid < self.keep or (manifest.healthy and healthy < self.keep)
            if wanted and (path == saved or self._valid(path)):
                valid, healthy = valid + 1, healthy + manifest.healthy
                kept.add(path)
            elif best and images == best[0]:
                kept.add(path)
        if valid >= self.keep:
            for _, path, _ in ours:
                if path not in kept:
                    self._discard(path)

    def _sweep(self) -> None:
        """Removes what dead processes left: only names that we give, holding only files that we write."""
        for name in sorted(os.listdir(self.directory)):
            match = _TEMPORARY.match(name)
            if not match or (int(match[1]) != os.getpid() and _alive(int(match[1]))):
                continue
            path = self.directory / name
            inside = os.listdir(path) if path.is_dir() else []
            if all(file in (NAME, _STATE) or file.endswith(SUFFIX) for file in inside):
                with contextlib.suppress(OSError):
                    self.disk.remove(path)

    def _discard(self, path: Path) -> None:
        """Removes a checkpoint. It loses its name first, at once: half a checkpoint never has one."""
        if path.exists():
            aside = self._temporary()
            self.disk.rename(path, aside)
            self.disk.remove(aside)

    def _temporary(self) -> Path:
        return self.directory / f".tmp-{os.getpid()}-{secrets.token_hex(8)}"

    def _entries(self) -> list[tuple[int, Path]]:
        """(images, directory) of everything that is named as a checkpoint, newest first, ``….old`` last of its kind."""
        if not self.directory.is_dir():
            return []
        found = [
            (int(match[1]), bool(match[2]), name)
            for name in os.listdir(self.directory)
            if (match := _FOLDER.match(name))
        ]
        found.sort(key=lambda entry: (-entry[0], entry[1]))
        return [(images, self.directory / name) for images, _, name in found]

    def _ours(self, path: Path) -> Manifest | None:
        """The manifest of a checkpoint of this run; None if it is another's, or cannot tell."""
        with contextlib.suppress(OSError, Damage, Future):
            manifest = Manifest.decode(self.disk.read(path / NAME))
            return manifest if manifest.run == (self._name or manifest.run) else None
        return None

    def _name_so_far(self) -> str:
        for _, path in self._entries():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, Damage, Future):
                return Manifest.decode(self.disk.read(path / NAME)).run
        return ""

    def _valid(self, path: Path) -> bool:
        try:
            verified(self.disk, path, _images(path))
        except (Damage, CheckpointError):
            return False
        return True


def match_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    """Raises CheckpointError with a table unless both hold the same names with the same shapes and dtypes: PyTorch
    itself loads an optimiser's state of wrong shapes without a word.
    """
    rows = [f"{name}: missing in the checkpoint" for name in wanted if name not in found]
    rows += [f"{name}: not in this model" for name in found if name not in wanted]
    for name in wanted:
        if name in found and (found[name].shape, found[name].dtype) != (wanted[name].shape, wanted[name].dtype):
            rows.append(f"{name}: {_kind(found[name])} in the checkpoint, {_kind(wanted[name])} in this model")
    if rows:
        rows = rows[:10] + ([f"… and {len(rows) - 10} more"] if len(rows) > 10 else [])
        raise CheckpointError(
            "CHECKPOINT-MISMATCH",
            "the checkpoint does not fit this model",
            where=where,
            why="\n       ".join(rows),
            fix="resume with the recipe and data of that run (they are read from its recipe.yaml)",
        )


def _images(path: Path) -> int:
    match = _FOLDER.match(path.name)
    if not match:
        raise CheckpointError(
            "CHECKPOINT-NAME",
            "this directory is not named as a checkpoint",
            where=str(path),
            fix="a checkpoint is named after the images seen, such as checkpoints/000000012345",
        )
    return int(match[1])


def _alive(process: int) -> bool:
    if os.name == "nt":
        return False  # the run's lock already says that no other process is here
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _damaged(why: str, where: Path) -> CheckpointError:
    return CheckpointError(
        "CHECKPOINT-DAMAGED",
        "no usable checkpoint",
        where=str(where),
        why=why,
        fix="restore the directory from a copy, or train again",
    )
