"""Write images with their labels and captions into parquet shards that can be read image by image.

The bytes of the images are written as they are, one after the other, uncompressed: what is read back is what was
there, so a folder and its shards are the same data. `datasets.load_dataset("parquet", …)` reads them too.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparring.data.options import Options
from sparring.data.scan import HASH_BYTES, content_hash
from sparring.data.sources import lies_in
from sparring.data.sources.items import Annotations, Pixels, Progress, Source, Two, Unreadable
from sparring.data.sources.parquet import parquet
from sparring.data.sources.shards import FORMAT, KEY, MANIFEST
from sparring.errors import DataError, MachineError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_BYTES = 2**25
_GROUP_ROWS = 10_000


def pack(
    source: Source,
    annotations: Annotations,
    keep: Sequence[int] | NDArray[np.int64],
    out: Path,
    *,
    shard_bytes: int = 2**28,
    excluded: Sequence[tuple[str, str]] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the items `keep` of `source`, in this order, as ``out/data-00000-of-00003.parquet`` and so on.

    out: a directory that does not exist or is empty.   shard_bytes: about how large a file may become.
    excluded: (name, reason) of what was left out before; an item that cannot be read now is added.

    Returns what it also writes to ``out/sparring.json``: source, images, shards, classes, captions, excluded. Equal
    input gives equal files. Nothing is named before everything is written, and an error leaves nothing behind. Raises
    `UsageError` (something is in `out`), `DataError` (nothing can be read), `MachineError` (full disk, no pyarrow).
    """
    parquet()  # before anything is made
    made = _claim(out)
    work = _Packing(source, annotations, out, shard_bytes, list(excluded))
    try:
        for done, number in enumerate(keep):
            work.add(int(number))
            if progress and (done + 1 == len(keep) or done % 64 == 63):
                progress("packing", done + 1, len(keep))
        return work.finish()
    except BaseException as error:
        work.undo()
        if made:
            out.rmdir()
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise MachineError(
                "DISK-FULL" if full else "PACK-WRITE", "the shards cannot be written", where=str(out),
                why=error.strerror or str(error), fix="free some space or choose another place; nothing is left",
            ) from error  # fmt: skip
        raise


def pack_data(
    text: str,
    out: Path,
    options: Options,
    *,
    shard_bytes: int = 2**28,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """`pack` what `open_data` finds usable in the data that `text` names; `excluded` names the rest.

    What images look like prepared (size, crop, …) does not matter here: they are packed as they are.
    """
    from sparring.data.dataset import open_data
    from sparring.data.labels import annotate
    from sparring.data.live import Live
    from sparring.data.sources.partners import has_columns

    parquet()
    refuse(out, text)
    dataset = open_data(text, replace(options, keep="off", binarise="none"), cache_dir=cache_dir, progress=progress)
    try:
        if not isinstance(dataset.train, Live):
            raise UsageError("PACK-POINTS", "these are points, which need no packing", where=text,
                             fix="give images: a folder, a zip, hf:owner/name, …")  # fmt: skip
        source = dataset.train.source
        if dataset.given is not None or has_columns(source, options):
            raise UsageError(
                "PACK-PAIRS", "these are pairs, and shards hold single images", where=text,
                fix="train on them as they are; to copy them in one piece, zip the folders: a zip is read as it is",
            )  # fmt: skip
        keep = np.unique(np.concatenate([dataset.held_out_index, dataset.index]))
        return pack(
            source, annotate(source, options), keep, out, shard_bytes=shard_bytes, excluded=dataset.report.excluded,
            progress=progress,
        )  # fmt: skip
    finally:
        dataset.close()


def refuse(out: Path, text: str = "") -> list[str] | None:
    """Raise `UsageError` where something lies in `out`, or `out` lies in the data; what is there, None for nothing."""
    if lies_in(out, text):
        raise UsageError("PACK-OUT", "this lies inside the data", where=str(out), fix="choose a place beside them")
    try:
        left = sorted(os.listdir(out))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise UsageError("PACK-OUT", "this is a file", where=str(out), fix="choose another place") from None
    if left:
        interrupted = any(name.endswith(".parquet.part") for name in left)
        raise UsageError(
            "PACK-OUT", "an interrupted `sparring pack` left this" if interrupted else "the directory is not empty",
            where=str(out), why=f"it holds {', '.join(left[:3])}{', …' if len(left) > 3 else ''}",
            fix="remove it and run again" if interrupted else "choose another place; nothing was changed",
        )  # fmt: skip
    return left


def _claim(out: Path) -> bool:
    """Make the directory; whether it was not there before."""
    left = refuse(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(
            "PACK-WRITE", "the directory cannot be made", where=str(out), why=error.strerror or str(error),
            fix="choose another place",
        ) from error  # fmt: skip
    return left is None


class _Packing:
    """Shards in the making: files under other names, one of them open."""

    def __init__(
        self, source: Source, annotations: Annotations, out: Path, shard_bytes: int, excluded: list[tuple[str, str]]
    ) -> None:
        self.source, self.known, self.out, self.excluded = source, annotations, out, excluded
        self.shard_bytes = shard_bytes
        self.labelled, self.described = annotations.labels is not None, annotations.captions is not None
        self.schema = _schema(annotations)
        self.parts: list[Path] = []
        self.rows: list[int] = []  # in each part
        self.counts = np.zeros(len(annotations.classes), np.int64)
        self.captions = 0
        self.pixels: bool | None = None  # whether the source gives pixels
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0  # of the images that wait
        self._written = 0  # bytes of images in the open part
        self._file: IO[bytes] | None = None
        self._writer: Any = None
        self._pages: list[int] = []

    def add(self, number: int) -> None:
        """One more image, in the next row."""
        name = self.source.items[number].name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        try:
            found = self.source.read(number)
            assert not isinstance(found, Two)
        except Unreadable as error:
            self.excluded.append((name, str(error)))
            return
        self.pixels = isinstance(found, np.ndarray)
        data = _png(found) if isinstance(found, np.ndarray) else found
        row: dict[str, Any] = {
            "image": {"bytes": data, "path": name}, "hash": content_hash(found), "size": len(data)
        }  # fmt: skip
        if self.known.labels is not None:
            label = int(self.known.labels[number])
            row["label"] = label if label >= 0 else None
            if label >= 0:
                self.counts[label] += 1
        if self.known.captions is not None:
            row["text"] = list(self.known.captions[number])
            self.captions += bool(row["text"])
        if self._written + self._bytes + len(data) > self.shard_bytes and self._written + self._bytes:
            self._close()
        self._waiting.append(row)
        self._bytes += len(data)
        if self._bytes >= _GROUP_BYTES or len(self._waiting) >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Write what waits as a row group, then look where its images lie."""
        if not self._waiting:
            return
        if self._writer is None:
            self._open()
        assert self._file is not None
        import pyarrow as pa

        before = self._file.tell()
        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self.schema))
        self._file.flush()
        first = self.rows[-1]
        for row, offset in _pages(self.parts[-1], before, (waiting["image"]["bytes"] for waiting in self._waiting)):
            self._pages += [first + row, offset]
        self.rows[-1] += len(self._waiting)
        self._written += self._bytes
        self._waiting, self._bytes = [], 0

    def _open(self) -> None:
        self.parts.append(self.out / f".data-{len(self.parts):05d}.parquet.part")
        self.rows.append(0)
        self._pages = []
        self._file = open(self.parts[-1], "xb")  # noqa: SIM115 open until the shard is full
        self._writer = parquet().ParquetWriter(
            self._file, self.schema, compression="NONE", use_dictionary=False, write_statistics=False
        )

    def _close(self) -> None:
        """End the open part: its footer, and everything on the disk."""
        self._flush()
        if self._writer is None or self._file is None:
            return
        told = {"format": FORMAT, "pixels": bool(self.pixels), "pages": self._pages}
        self._writer.add_key_value_metadata({KEY.decode(): json.dumps(told)})
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._writer, self._file, self._written = None, None, 0

    def finish(self) -> dict[str, Any]:
        """Give everything its name; returns what sparring.json says."""
        self._close()
        if not self.parts:
            raise DataError(
                "DATA-EMPTY", "no usable image", where=self.source.place,
                why="; ".join(f"{name}: {reason}" for name, reason in self.excluded[:3]), fix="see `sparring check`",
            )  # fmt: skip
        names = [f"data-{number:05d}-of-{len(self.parts):05d}.parquet" for number in range(len(self.parts))]
        told = {
            "format": FORMAT,
            "source": self.source.name,
            "images": sum(self.rows),
            "shards": dict(zip(names, self.rows, strict=True)),
            "classes": dict(zip(self.known.classes, self.counts.tolist(), strict=True)) if self.labelled else {},
            "captions": self.captions,
            "excluded": [list(pair) for pair in self.excluded],
        }
        manifest = self.out / f".{MANIFEST}.part"
        self.parts.append(manifest)
        with open(manifest, "x", encoding="utf-8") as file:
            file.write(json.dumps(told, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        for position, name in enumerate([*names, MANIFEST]):
            self.parts[position] = self.parts[position].rename(self.out / name)
        _sync_directory(self.out)
        return told

    def undo(self) -> None:
        """Remove everything that was written."""
        if self._file is not None:
            self._file.close()  # and never the writer: it would write a footer
        for part in self.parts:
            part.unlink(missing_ok=True)


def _schema(annotations: Annotations) -> pa.Schema:
    """The columns, and what Hugging Face's libraries want to know of them."""
    import pyarrow as pa

    fields = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    told: dict[str, Any] = {"image": {"_type": "Image"}}
    if annotations.labels is not None:
        fields.append(("label", pa.int64()))
        told["label"] = {"names": list(annotations.classes), "_type": "ClassLabel"}
    if annotations.captions is not None:
        fields.append(("text", pa.list_(pa.string())))
        told["text"] = {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
    fields += [("hash", pa.binary(HASH_BYTES)), ("size", pa.int32())]
    told |= {"hash": {"dtype": "binary", "_type": "Value"}, "size": {"dtype": "int32", "_type": "Value"}}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": told}})})


def _pages(path: Path, start: int, images: Iterator[bytes]) -> Iterator[tuple[int, int]]:
    """(row, byte) wherever an image does not follow the one before it: where the pages of a row group begin.

    A value is its length in 4 bytes, then its bytes; only the header of a page comes between two of them. Every image
    is compared with what is in the file, so the places are right or this raises.
    """
    with open(path, "rb") as file:
        file.seek(start)
        data = file.read()
    at, expected = 0, -1
    for row, image in enumerate(images):
        wanted = len(image).to_bytes(4, "little") + image
        if not data.startswith(wanted, at):
            at = data.find(wanted, at)
        if at < 0:
            raise RuntimeError(f"row {row} of {path} is not where parquet puts it")
        if at != expected:
            yield row, start + at
        at = expected = at + len(wanted)


def _png(image: Pixels) -> bytes:
    """(H, W, C) uint8, C in 1, 3, 4, without loss."""
    kept = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(kept, "PNG")
    return kept.getvalue()


def _sync_directory(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
