"""Parquet shards: images, labels and captions in a few large files, each image found by its number.

Files that `pack` wrote hold the bytes of the images one after the other, uncompressed, and say where: one image is one
read of the disk, checked against its hash. Files of others are read row group by row group, and the last few pieces
are remembered: quick in order, slow in any other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from sparring.data import columns as finding
from sparring.data.decode import Limits, Unusable, pixels
from sparring.data.formats import HEAD, sniff
from sparring.data.items import MAX_FILE_BYTES, Annotations, Item, Items, Pixels, Source, Unreadable, stamp_of
from sparring.data.scan import HASH_BYTES, content_hash
from sparring.errors import DataError, MachineError

if TYPE_CHECKING:
    import pyarrow as pa

A = TypeVar("A")

KEY = b"sparring"  # of the footer of a file that `pack` wrote: {"format": 1, "pixels": …, "pages": [row, byte, …]}
FORMAT = 1
MANIFEST = "sparring.json"
_NUMBERED = re.compile(r"(?P<stem>.*?)-?(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
_PIECE = 2**25  # bytes of images that are read together from files of others
_PIECES = 6  # such pieces that are remembered
_ANY = Limits(min_side=1, max_aspect=1e9)


def parquet() -> Any:
    """pyarrow.parquet, or `MachineError` that says how to install it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MachineError(
            "EXTRA", "parquet files need pyarrow, which is not installed", fix='pip install "sparring[shards]"'
        ) from error
    return pyarrow.parquet


# ── finding the files ─────────────────────────────────────────────────────────────────────────────────────────────


def is_shards(path: Path) -> bool:
    """Whether a path is a parquet file, or a folder of them (at its top or in its folder ``data``) without images."""
    if path.is_file():
        return path.suffix.lower() == ".parquet" or _magic(path)
    if not path.is_dir():
        return False
    found = _listed(path) or _listed(path / "data")
    return bool(found) and not any(Path(name).suffix.lower() in _PICTURES for name in os.listdir(path))


def _magic(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


def _listed(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [folder / name for name in names if name.lower().endswith(".parquet") and not name.startswith(".")]


def open_shards(path: Path, columns: Sequence[tuple[str, str]] = ()) -> ParquetSource:
    """The shards in a folder, or one file. Where a folder holds several splits, ``train`` is read."""
    if path.is_file():
        return ParquetSource([path], name=path.stem, place=str(path.resolve()), columns=columns)
    files, warnings = _split(_listed(path) or _listed(path / "data"), path)
    return ParquetSource(
        files, name=path.name or str(path), place=str(path.resolve()), columns=columns, warnings=warnings
    )


def _split(files: list[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """The files of one split, all of them there, and what a person should know."""
    left = [name for name in os.listdir(folder) if name.endswith(".parquet.part")]
    if left:
        raise DataError(
            "DATA-SHARDS", "`sparring pack` was interrupted here", where=str(folder),
            why=f"{left[0]} is not finished", fix="remove the folder and pack again",
        )  # fmt: skip
    splits: dict[str, list[Path]] = {}
    for path in files:
        matched = _NUMBERED.fullmatch(path.name)
        splits.setdefault(matched["stem"] if matched else path.stem, []).append(path)
    warnings = []
    if len(splits) > 1 and "train" in splits:
        others = sorted(set(splits) - {"train"})
        warnings.append(f"only the split train is read, not {', '.join(others)}; name a file to read another one")
        splits = {"train": splits["train"]}
    for stem, group in splits.items():
        numbers = [matched for path in group if (matched := _NUMBERED.fullmatch(path.name))]
        count = max((int(matched["count"]) for matched in numbers), default=0)
        missing = sorted(set(range(count)) - {int(matched["number"]) for matched in numbers})
        if missing and len(group) == len(numbers):
            said = f"{len(missing)} of {count} shards are missing, the first is number {missing[0]:05d} of {stem!r}"
            if (folder / MANIFEST).exists() or _is_ours(group[0]):
                raise DataError("DATA-SHARDS", said, where=str(folder), fix="copy it again, or pack again")
            warnings.append(said)
    return [path for group in splits.values() for path in group], warnings


def _is_ours(path: Path) -> bool:
    return KEY in (_opened(path).metadata.metadata or {})


def _opened(path: Path) -> Any:
    """A parquet file, its footer read. Raises `DataError` where it is damaged."""
    opens = parquet().ParquetFile
    try:
        return opens(path, buffer_size=2**20)
    except Exception as error:  # pyarrow raises a dozen kinds of error on damaged files
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        "DATA-PARQUET", "this parquet file cannot be read", where=str(path), why=_plain(error),
        fix="copy or download it again",
    )  # fmt: skip


def _plain(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Lazy(Sequence[A]):
    """n values that are made when they are asked for."""

    def __init__(self, n: int, at: Callable[[int], A]) -> None:
        self._n, self._at = n, at

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, number: int) -> A: ...

    @overload
    def __getitem__(self, number: slice) -> list[A]: ...

    def __getitem__(self, number: int | slice) -> A | list[A]:
        if isinstance(number, slice):
            return [self._at(k) for k in range(*number.indices(self._n))]
        if not -self._n <= number < self._n:
            raise IndexError(number)
        return self._at(int(number) % self._n)


class Rows(Items):
    """The rows of shards as items; neither names nor stamps are kept as objects."""

    def __init__(self, names: Sequence[str], stamp: Callable[[int], str]) -> None:
        self._given, self._stamp = names, stamp

    @property
    def names(self) -> Sequence[str]:
        return self._given

    def __len__(self) -> int:
        return len(self._given)

    @overload
    def __getitem__(self, number: int) -> Item: ...

    @overload
    def __getitem__(self, number: slice) -> list[Item]: ...

    def __getitem__(self, number: int | slice) -> Item | list[Item]:
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        name = self._given[number]
        return Item(name, self._stamp(number % len(self)))


@dataclass(frozen=True)
class _Shard:
    """A file. groups: (g + 1,) rows before each row group.   direct: what `pack` wrote about itself, or None."""

    path: Path
    stamp: str
    columns: finding.Columns
    groups: NDArray[np.int64]
    row_bytes: float
    direct: dict[str, Any] | None

    @property
    def rows(self) -> int:
        return int(self.groups[-1])

    @classmethod
    def open(cls, path: Path, wanted: Sequence[tuple[str, str]]) -> tuple[_Shard, Any]:
        """The shard, and its file for reading more of it."""
        file = _opened(path)
        counts = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
        groups = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        info = path.stat()
        columns = finding.find(file.schema_arrow, wanted, str(path))
        direct = _self_description(file, columns)
        each = info.st_size / max(1, int(groups[-1]))
        return cls(path, stamp_of(info), columns, groups, each, direct), file


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
        self._groups = _Groups()
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
            given = _joined(small, "path", pa.large_string())
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
            pages = shard.direct["pages"] if shard.direct else np.zeros((0, 2), np.int64)
            if not len(pages) or pages[0, 0] != 0 or shard.rows == 0:
                continue
            here = slice(first, first + shard.rows)
            size[here] = np.asarray(table["size"], np.int32)
            hashes[here] = _fixed(table["hash"])
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
            return _checked(self._groups.value(shard, row))
        found = self._direct(shard, number) if self._offset[number] >= 0 else None
        if found is None:  # not where it should be: the file was written anew by another program, or is damaged
            found = self._proven(shard, number, self._groups.value(shard, row))
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
        raise _damaged(shard.path, error) from error
    found = {}
    for role, name in wanted.items():
        if name and name == f"{columns.image}.path":
            found[role] = _leaf(table[columns.image], "path")
        elif name:
            found[role] = table[name]
    return pa.table(found)


def _leaf(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.struct_field(values, name)


def _fixed(values: pa.ChunkedArray) -> NDArray[np.uint8]:
    """(n, w) uint8 of a column of w bytes in each row."""
    import pyarrow as pa

    array = pa.concat_arrays(values.chunks)
    width = values.type.byte_width
    return np.frombuffer(array.buffers()[1], np.uint8)[: (array.offset + len(array)) * width].reshape(-1, width)[
        array.offset :
    ]


def _joined(tables: list[pa.Table], name: str, kind: pa.DataType) -> pa.Array:
    """One column of all files in one piece."""
    import pyarrow as pa

    chunks = [chunk for table in tables for chunk in table[name].cast(kind).chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], kind)


def _annotations(chosen: finding.Columns, small: list[pa.Table], warnings: list[str]) -> Annotations:
    import pyarrow as pa

    labels, classes, captions = None, chosen.classes, None
    if chosen.label:
        values = pa.chunked_array([chunk for table in small for chunk in table["label"].chunks], small[0]["label"].type)
        labels, classes = finding.numbered(values, chosen.classes)
        if len(labels) and int(labels.max()) >= len(classes):
            bad = int(np.flatnonzero(labels >= len(classes))[0])
            raise DataError(
                "DATA-LABELS", f"row {bad} has the class {int(labels[bad])}, there are {len(classes)} classes",
                why=f"the file names the classes {', '.join(classes[:10])}{', …' if len(classes) > 10 else ''}",
                fix="write the files anew, or use --labels none",
            )  # fmt: skip
    if chosen.text:
        kind = small[0]["text"].type
        listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        texts = _joined(small, "text", pa.large_list(pa.large_string()) if listed else pa.large_string())

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


class _Groups:
    """Values of files whose rows cannot be read one by one: in pieces, the last few of which are kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: OrderedDict[tuple[Path, int], pa.Array] = OrderedDict()  # (file, first row): values
        self._broken: dict[tuple[Path, int], tuple[int, str]] = {}  # (file, row group): from which row on, and why
        self._cursor: tuple[Path, int] | None = None  # file and row group that `_iterator` reads
        self._iterator: Iterator[Any] = iter(())
        self._row = 0  # first row of what `_iterator` gives next

    def value(self, shard: _Shard, row: int) -> bytes:
        """The bytes in a row of a file; `Unreadable` where there are none."""
        with self._lock:
            piece, first = self._piece(shard, row)
            found = piece[row - first].as_py()
        if found is None:
            raise Unreadable("there is no image in this row, only the name of a file" if shard.columns.path
                             else "there is no image in this row")  # fmt: skip
        return bytes(found)

    def _piece(self, shard: _Shard, row: int) -> tuple[pa.Array, int]:
        for (path, first), piece in reversed(self._pieces.items()):
            if path == shard.path and first <= row < first + len(piece):
                self._pieces.move_to_end((path, first))
                return piece, first
        here = (shard.path, int(np.searchsorted(shard.groups, row, side="right")) - 1)
        end, reason = self._broken.get(here, (row + 1, ""))
        if row >= end:
            raise Unreadable(reason)
        if self._cursor != here or self._row > row:
            self._start(shard, here[1])
        while self._row <= row:
            try:
                values = _images(next(self._iterator).column(0))
            except (Exception, StopIteration) as error:  # whatever pyarrow raises on damaged pages
                self._cursor = None
                self._broken[here] = (self._row, f"damaged parquet file {shard.path.name}: {_plain(error)}")
                raise Unreadable(self._broken[here][1]) from error
            first, self._row = self._row, self._row + len(values)
            self._pieces[shard.path, first] = values
            while len(self._pieces) > _PIECES:
                self._pieces.popitem(last=False)
        return values, first

    def _start(self, shard: _Shard, group: int) -> None:
        """Read a row group from its beginning."""
        rows = int(shard.groups[group + 1] - shard.groups[group])
        count = max(1, min(rows, int(_PIECE / max(1.0, shard.row_bytes))))
        name = f"{shard.columns.image}.bytes" if shard.columns.nested else shard.columns.image
        try:
            file = _opened(shard.path)
        except DataError as error:
            raise Unreadable(f"{shard.path.name} cannot be read any more: {error.why}", passing=True) from error
        self._iterator = file.iter_batches(count, row_groups=[group], columns=[name], use_threads=False)
        self._cursor, self._row = (shard.path, group), int(shard.groups[group])

    def close(self) -> None:
        with self._lock:
            self._pieces.clear()
            self._cursor, self._iterator = None, iter(())


def _images(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.struct_field(values, "bytes") if pa.types.is_struct(values.type) else values
