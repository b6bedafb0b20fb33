"""`open_data`: from what a person typed to a `Dataset` that a stream can read, decoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparring.data import cache, points
from sparring.data.decode import Crop, Limits
from sparring.data.prepare import FORMAT, Preparation
from sparring.data.report import DataReport
from sparring.data.scan import Progress, content_hash
from sparring.data.sources import Source, open_source
from sparring.data.split import held_out_count
from sparring.errors import UsageError

_LIMITS = Limits()


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data ready for training, and what is set aside to judge it.

    kind:     "images" or "points".                     shape: (C, H, W) or (D,) of one sample.
    train:    (N, H, W, C) uint8, memory-mapped, read-only; or points (N, D) float32.
    held_out: (M, …) the same, never trained on; M may be 0.
    report:   what was found, converted, left out.      fingerprint: changes with content, preparation and split.
    labels, held_out_labels: (N,), (M,) int64, or None.
    index, held_out_index:   positions in `names` (images), so that a row can be traced to its file.
    scale, modes, spread:    points only; `train · scale` are the coordinates in which `modes` (K, D) are given and
                             each mode has the standard deviation `spread`.
    """

    name: str
    kind: Literal["images", "points"]
    shape: tuple[int, ...]
    train: NDArray[Any]
    held_out: NDArray[Any]
    report: DataReport
    fingerprint: str
    labels: NDArray[np.int64] | None = None
    held_out_labels: NDArray[np.int64] | None = None
    index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    held_out_index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    names: Sequence[str] = ()
    scale: float = 1.0
    modes: NDArray[np.float32] | None = None
    spread: float | None = None

    def __len__(self) -> int:
        return len(self.train)


def open_data(
    source: str | Path,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    crop: Crop = "center",
    background: tuple[int, int, int] = (255, 255, 255),
    held_out: float = 0.05,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    limits: Limits = _LIMITS,
) -> Dataset:
    """Open images (a folder, a zip, idx files, "emoji", "fashion") or 2-D points ("ring", "grid", …).

    size: (H, W) in pixels; None takes the median shorter side, rounded down to 256, 128, 64 or 32, square.
    channels: 1, 3 or 4; None takes 1 where most images are grey, else 3. Transparency is kept only with 4.
    crop: "center" cuts to the aspect of `size`, "squeeze" distorts, "pad" adds `background`.
    held_out: fraction set aside, at least 50 images where there are 500, 0 for none.
    progress: called with (stage, done, total).

    Raises `DataError` (nothing usable, all images equal, no such file), `UsageError` (arguments), `MachineError`.

    >>> open_data("ring").shape
    (2,)
    """
    _check(size, channels, crop, background, held_out)
    if str(source) in points.NAMES:
        return _open_points(str(source), held_out)
    root, warning = cache.directory(cache_dir)
    opened = open_source(str(source))
    try:
        asked = (FORMAT, size, channels, crop, background, held_out, limits)
        ticket = root / "opened" / hashlib.blake2b(f"{opened.stamp} {asked}".encode(), digest_size=16).hexdigest()
        meta = cache.meta(ticket)
        if meta is None or cache.meta(root / "images" / meta["key"]) is None:
            work = Preparation(opened, root, limits, progress)
            meta = work.run(ticket, size, channels, crop, background, held_out)
        return _assemble(opened, root, ticket, meta, warning)
    finally:
        opened.close()


def _check(
    size: tuple[int, int] | None, channels: int | None, crop: str, background: tuple[int, ...], held_out: float
) -> None:
    if size is not None and not (len(size) == 2 and all(1 <= side <= 4096 for side in size)):
        raise UsageError("DATA-SIZE", f"size {size} is not usable", fix="give height and width between 1 and 4096")
    if channels not in (None, 1, 3, 4):
        raise UsageError("DATA-CHANNELS", f"{channels} channels", fix="1 is grey, 3 is colour, 4 has transparency")
    if crop not in get_args(Crop):
        raise UsageError("DATA-CROP", f"no crop policy {crop!r}", fix=f"choose one of {', '.join(get_args(Crop))}")
    if len(background) != 3 or not all(0 <= level <= 255 for level in background):
        raise UsageError("DATA-BACKGROUND", f"background {background}", fix="red, green and blue, each 0 to 255")
    if not 0.0 <= held_out <= 0.5:
        raise UsageError("DATA-HELD-OUT", f"held-out fraction {held_out}", fix="0 to 0.5; 0.05 is the default")


def _open_points(name: str, held_out: float) -> Dataset:
    made = points.make(name)
    n = len(made.values)
    aside = points.make(name, count=held_out_count(n, held_out), start=n)
    fingerprint = content_hash(made.values.view(np.uint8)).hex()
    report = DataReport(
        source=name, kind="points", found=n + len(aside.values), used=n, held_out=len(aside.values),
        fingerprint=fingerprint,
    )  # fmt: skip
    return Dataset(
        name=name, kind="points", shape=made.values.shape[1:], train=made.values, held_out=aside.values, report=report,
        fingerprint=fingerprint, scale=made.scale, modes=made.modes, spread=made.spread,
    )  # fmt: skip


def _assemble(source: Source, root: Path, ticket: Path, meta: dict[str, Any], warning: str) -> Dataset:
    report = DataReport.of(meta["report"])
    if warning:
        report.warnings.append(warning)
    images = np.load(root / "images" / meta["key"] / "images.npy", mmap_mode="r")
    index = np.load(ticket / "index.npy")
    labels = source.own.labels[index] if source.own.labels is not None else None
    k = report.held_out
    return Dataset(
        name=source.name,
        kind="images",
        shape=(images.shape[3], images.shape[1], images.shape[2]),
        train=images[k:],
        held_out=images[:k],
        report=report,
        fingerprint=report.fingerprint,
        labels=None if labels is None else labels[k:],
        held_out_labels=None if labels is None else labels[:k],
        index=index[k:],
        held_out_index=index[:k],
        names=[item.name for item in source.items],
    )
