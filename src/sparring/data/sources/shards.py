"""Parquet shards: images, labels and captions in a few large files, each image found by its number.

Files that `pack` wrote hold the bytes of the images one after the other, uncompressed, and say where: one image is one
read of the disk, checked against its hash. Files of others are read row group by row group, and the last few pieces
are remembered: quick in order, slow in any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.decode import Limits, Unusable, pixels
from sparring.data.formats import HEAD, sniff
from sparring.data.scan import HASH_BYTES, content_hash
from sparring.data.sources import columns as finding
from sparring.data.sources.items import MAX_FILE_BYTES, Annotations, Pixels, Source, Unreadable, stamp_of
from sparring.data.sources.lazy import Lazy, Rows
from sparring.data.sources.parquet import Column, RowGroups, damaged, fixed, joined, leaf, opened
from sparring.data.sources.shard_files import KEY, MANIFEST, files_in, is_shards
from sparring.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMAT", "KEY", "MANIFEST", "ParquetSource", "is_shards", "open_shards"]

FORMAT = 1  # of what `pack` writes into the footer under KEY: {"format": 1, "pixels": …, "pages": [row, byte, …]}
_ANY = Limits(min_side=1, max_aspect=1e9)


def open_shards(path: Path, columns: Sequence[tuple[str, str]] = ()) -> ParquetSource:
    """The shards in a folder, or one file. Where a folder holds several splits, ``train`` is read."""
    files, warnings = ([path], []) if path.is_file() else files_in(path)
    name = path.stem if path.is_file() else path.name or str(path)
    return ParquetSource(files, name=name, place=str(path.resolve()), columns=columns, warnings=warnings)


@dataclass(frozen=True, eq=False)
class _Shard:
    """A file. images: its column of images.   direct: what `pack` wrote about itself, or None."""

    path: Path
    stamp: str
    columns: finding.Columns
    images: Column
    direct: dict[str, Any] | None

    @property
    def rows(self) -> int:
        return int(self.images.groups[-1])

    @classmethod
    def open(cls, path: Path, wanted: Sequence[tuple[str, str]]) -> tuple[_Shard, Any]:
        """The shard, and its file for reading more of it."""
        file = opened(path)
        counts = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
        groups = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        info = path.stat()
        columns = finding.find(file.schema_arrow, wanted, str(path))
        name = f"{columns.image}.bytes" if columns.nested else columns.image
        images = Column(path, name, groups, info.st_size / max(1, int(groups[-1])))
        return cls(path, stamp_of(info), columns, images, _self_description(file, columns)), file


def _self_description(file: Any, columns: finding.Columns) -> dict[str, Any] | None:
    """What `pack` wrote into the footer, if it did and its columns are still there."""
    try:
        told: dict[str, Any] = json.loads((file.metadata.metadata or {})[KEY])
        known = told["format"] == FORMAT and columns.nested and columns.image == "image"
        places = np.asarray(told["pages"], np.int64).reshape(-1, 2)
    except (KeyError, ValueError, TypeError):
        return None
    kinds = {field.name: str(field.type) for field in file.schema_arrow}
    there = kinds.get("hash") == f"fixed_size_binary[{HASH_BYTES}]" and kinds.get("size") == "int32"
    return {"pixels": bool(told.get("pixels")), "pages": places} if known and there else None


class ParquetSource(Source):
    """The rows of parquet files, in the order of the files.

    columns: which columns hold image, label and text, where that cannot be seen (`Options.columns`).
    warnings: what was noticed before. A row is called by the path in it, or by a column such as ``file_name``, if that
    names each row once, else ``shard.parquet#row``.   direct: whether every row can be read alone.

    Raises `DataError` for damaged files and for columns that cannot be told apart.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        name: str,
        place: str,
        columns: Sequence[tuple[str, str]] = (),
        warnings: Sequence[str] = (),
    ) -> None:
        super().__init__(name=name, place=place)
        self._shards: list[_Shard] = []
        small: list[pa.Table] = []
        for path in files:
            shard, file = _Shard.open(path, columns)
            table = _beside_images(shard, file)
            if self._shards:
                table = _alike(table, small[0], shard, self._shards[0])
            self._shards.append(shard)
            small.append(table)
        self._first = np.concatenate(
            [np.zeros(1, np.int64), np.cumsum([shard.rows for shard in self._shards], dtype=np.int64)]
        )
        self._size, self._offset, self._hash = self._places(small)
        self.direct = bool((self._offset >= 0).all())
        self._groups = RowGroups()
        chosen = self._shards[0].columns if self._shards else finding.Columns("image", True)
        self.items = Rows(self._names(chosen, small), self._stamp_of)
        self.own = _annotations(chosen, small, list(warnings))

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def stamp(self) -> str:
        digest = hashlib.blake2b(self.place.encode("utf-8", "surrogateescape"), digest_size=16)
        for shard in self._shards:
            digest.update(f"\x1f{shard.path}\0{shard.stamp}\0{shard.columns}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _stamp_of(self, number: int) -> str:
        shard = int(np.searchsorted(self._first, number, side="right")) - 1
        return f"{self._shards[shard].stamp}.{number - int(self._first[shard])}"

    def _names(self, chosen: finding.Columns, small: list[pa.Table]) -> Sequence[str]:
        import pyarrow as pa
        import pyarrow.compute as pc

        n = len(self)
        if chosen.path and n:
            given = joined(small, "path", pa.large_string())
            if given.null_count == 0 and pc.count_distinct(given).as_py() == n:
                return Lazy(n, lambda k: str(given[k].as_py()))
        files = [shard.path.name for shard in self._shards]

        def called(k: int) -> str:
            shard = int(np.searchsorted(self._first, k, side="right")) - 1
            return f"{files[shard]}#{k - int(self._first[shard])}"

        return Lazy(n, called)

    def _places(self, small: list[pa.Table]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint8]]:
        """Of each row the size of its image in bytes, where it begins in its file (−1: not known), and its hash."""
        n = int(self._first[-1])
        size, offset, hashes = np.zeros(n, np.int32), np.full(n, -1, np.int64), np.zeros((n, HASH_BYTES), np.uint8)
        for shard, table, first in zip(self._shards, small, self._first.tolist(), strict=False):
            if shard.direct is None or shard.rows == 0:
                continue
            here, pages = slice(first, first + shard.rows), shard.direct["pages"]
            size[here] = np.asarray(table["size"], np.int32)
            hashes[here] = fixed(table["hash"])
            if not len(pages) or pages[0, 0] != 0:
                continue
            ends = np.cumsum(size[here].astype(np.int64) + 4)  # in a file, each value follows its length in 4 bytes
            starts = ends - size[here] - 4
            page = np.searchsorted(pages[:, 0], np.arange(shard.rows), side="right") - 1
            offset[here] = pages[page, 1] + starts - starts[np.minimum(pages[page, 0], shard.rows - 1)]
        return size, offset, hashes

    # one image

    def read(self, number: int) -> bytes | Pixels:
        if not 0 <= number < len(self):
            raise IndexError(number)
        at = int(np.searchsorted(self._first, number, side="right")) - 1
        shard, row = self._shards[at], number - int(self._first[at])
        if shard.direct is None:
            return _checked(self._groups.value(shard.images, row))
        found = self._direct(shard, number) if self._offset[number] >= 0 else None
        if found is None:  # not where it should be: the file was written anew by another program, or is damaged
            found = self._proven(shard, number, self._groups.value(shard.images, row) or b"")
        if found is None:
            raise Unreadable("damaged: its bytes are not those that were packed")
        return found

    def _direct(self, shard: _Shard, number: int) -> bytes | Pixels | None:
        """The image if it lies where the index says, else None."""
        size = int(self._size[number])
        try:
            data = _read_at(shard.path, int(self._offset[number]), size + 4)
        except OSError as error:
            passing = not isinstance(error, PermissionError)
            raise Unreadable(f"cannot be read: {error.strerror or error}", passing) from error
        if len(data) != size + 4 or int.from_bytes(data[:4], "little") != size:
            return None
        return self._proven(shard, number, data[4:])

    def _proven(self, shard: _Shard, number: int, data: bytes) -> bytes | Pixels | None:
        """What `data` are, if their hash is the one that was packed. Images that were pixels are pixels again."""
        found: bytes | Pixels = data
        if shard.direct is not None and shard.direct["pixels"]:
            try:
                found = pixels(data, _ANY)
            except (Unusable, OSError, ValueError, SyntaxError):
                return None
        return found if content_hash(found) == self._hash[number].tobytes() else None

    def close(self) -> None:
        self._groups.close()


def _alike(table: pa.Table, first_table: pa.Table, shard: _Shard, first: _Shard) -> pa.Table:
    """The small columns of a file in the types of the first file. Raises `DataError` where they differ too much."""
    unlike = [
        field for field in ("image", "nested", "path", "label", "text", "classes")
        if getattr(shard.columns, field) != getattr(first.columns, field)
    ]  # fmt: skip
    for role in ("path", "label", "text"):
        if not unlike and role in table.column_names and table[role].type != first_table[role].type:
            try:
                cast = table[role].cast(first_table[role].type)
                table = table.set_column(table.column_names.index(role), role, cast)
            except Exception:
                unlike = [f"the type of {role}"]
    if unlike:
        raise DataError(
            "DATA-COLUMNS", "these files do not belong together", where=str(shard.path),
            why=f"its columns differ from those of {first.path.name} in {', '.join(unlike)}", fix="open them one by one"
        )  # fmt: skip
    return table


def _beside_images(shard: _Shard, file: Any) -> pa.Table:
    """The columns "path", "label", "text", "size", "hash" of a file, as far as it has them: everything but images."""
    import pyarrow as pa

    columns = shard.columns
    wanted = {"path": columns.path, "label": columns.label, "text": columns.text}
    if shard.direct is not None:
        wanted |= {"size": "size", "hash": "hash"}
    read = [name for name in dict.fromkeys(wanted.values()) if name]
    try:
        table = file.read(columns=read, use_threads=False)
    except Exception as error:
        raise damaged(shard.path, error) from error
    found = {}
    for role, name in wanted.items():
        if name and name == f"{columns.image}.path":
            found[role] = leaf(table[columns.image], "path")
        elif name:
            found[role] = table[name]
    return pa.table(found)


def _annotations(chosen: finding.Columns, small: list[pa.Table], warnings: list[str]) -> Annotations:
    import pyarrow as pa

    labels, classes, captions = None, chosen.classes, None
    if chosen.label:
        values = pa.chunked_array([chunk for table in small for chunk in table["label"].chunks], small[0]["label"].type)
        labels, classes = finding.numbered(values, chosen.classes)
        lost = np.flatnonzero(labels >= len(classes))
        if len(lost):
            told = ", ".join(f"row {row}: {labels[row]}" for row in lost[:5].tolist())
            warnings.append(
                f"{len(lost):,} rows have a class beyond the {len(classes)} that are named "
                f"({told}{', …' if len(lost) > 5 else ''}): they count as unlabelled"
            )
            labels[lost] = -1
    if chosen.text:
        kind = small[0]["text"].type
        listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        texts = joined(small, "text", pa.large_list(pa.large_string()) if listed else pa.large_string())

        def said(k: int) -> tuple[str, ...]:
            value = texts[k].as_py()
            return tuple(text for text in ([value] if isinstance(value, str) else value or ()) if text)

        captions = Lazy(len(texts), said)
    warnings += chosen.warnings
    return Annotations(labels, classes if labels is not None else (), captions, "parquet", tuple(warnings))


def _checked(data: bytes | None) -> bytes:
    """The bytes of a foreign row, if they may be an image."""
    if data is None:
        raise Unreadable("there is no image in this row")
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    kind, reason = sniff(data[:HEAD])
    if not kind:
        raise Unreadable(reason)
    return data


def _read_at(path: Path, offset: int, count: int) -> bytes:
    """`count` bytes of a file from `offset`. No file stays open, so there may be thousands of shards."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        data = file.read(count)
        while len(data) < count and (more := file.read(count - len(data))):
            data += more
    return data
