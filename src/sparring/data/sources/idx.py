"""MNIST-style idx files: a magic number, the dimensions, then the bytes; gzipped or not.

Format (LeCun, the MNIST page): two zero bytes, a type (8 = unsigned byte), the number of dimensions, each dimension
as a big-endian 32-bit integer, then the data in C order.
"""

from __future__ import annotations

import gzip
import math
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparring.data.sources.arrays import ArraySource
from sparring.data.sources.items import Annotations, stamp_of
from sparring.errors import DataError

_GZIP = b"\x1f\x8b"
_MAX_BYTES = 2**32  # 4 GiB: idx files are held in memory
_DEFLATE = 1032  # gzip makes nothing smaller than this
_IMAGES = ("train-images-idx3-ubyte", "train-images.idx3-ubyte")


def find_in(folder: Path) -> Path | None:
    """The training images of a folder in MNIST's layout, or None."""
    candidates = [folder / f"{name}{end}" for name in _IMAGES for end in ("", ".gz")]
    return next((path for path in candidates if path.is_file()), None)


def is_idx(path: Path) -> bool:
    """Whether a file begins like idx images (3 dimensions, or 4 with channels last), gzipped or not."""
    try:
        with _open(path) as file:
            return file.read(4) in (b"\0\0\x08\x03", b"\0\0\x08\x04")
    except (OSError, EOFError, zlib.error):
        return False


def source(path: Path) -> ArraySource:
    """The images of an idx file, with their labels if the file of labels lies beside it."""
    with _open(path) as file:
        shape = _shape(file, path)
    shape = (*shape, 1) if len(shape) == 3 else shape
    if len(shape) != 4 or shape[3] not in (1, 3, 4) or min(shape[1:]) < 1:
        raise _bad(path, f"its shape {shape} is not (N, H, W) or (N, H, W, channels)")
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1"))
    stamp, own = stamp_of(path.stat()), Annotations()
    if beside != path and beside.is_file():
        labels = read(beside).astype(np.int64)
        stamp += stamp_of(beside.stat())
        if labels.shape != shape[:1]:
            raise _bad(beside, f"{labels.size} labels for {shape[0]} images")
        classes = tuple(str(number) for number in range(int(labels.max(initial=-1)) + 1))
        own = Annotations(labels=labels, classes=classes, origin="idx")
    return ArraySource(
        path.name.split(".")[0], str(path.resolve()), shape[0], lambda: read(path).reshape(shape), stamp, own
    )


def read(path: Path) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes. Raises `DataError` if it is damaged."""
    try:
        with _open(path) as file:
            shape = _shape(file, path)
            wanted = math.prod(shape)
            if wanted > path.stat().st_size * _DEFLATE:
                raise _bad(path, f"its header promises {wanted:,} bytes, more than the file can hold")
            data = file.read(wanted + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _bad(path, str(error) or type(error).__name__) from error
    if len(data) != wanted:
        raise _bad(path, f"holds {len(data)}{'+' * (len(data) > wanted)} bytes, its header promises {wanted}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _shape(file: gzip.GzipFile | BufferedReader, path: Path) -> tuple[int, ...]:
    """The dimensions in the header, after which `file` stands at the data."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08":
        raise _bad(path, "not an idx file of unsigned bytes")
    sides = file.read(4 * magic[3])
    shape = tuple(int(n) for n in np.frombuffer(sides[: len(sides) // 4 * 4], dtype=">u4"))
    if len(shape) != magic[3] or not shape:
        raise _bad(path, f"its dimensions {shape} make no sense")
    if math.prod(shape) > _MAX_BYTES:
        raise _bad(path, f"its dimensions {shape} are {math.prod(shape):,} bytes, more than {_MAX_BYTES >> 30} GiB")
    return shape


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    with path.open("rb") as file:
        zipped = file.read(2) == _GZIP
    return gzip.open(path, "rb") if zipped else path.open("rb")


def _bad(path: Path, why: str) -> DataError:
    return DataError("DATA-IDX", "this idx file cannot be read", where=str(path), why=why, fix="download it again")
