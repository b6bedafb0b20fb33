"""Reading parquet files with pyarrow, an extra that is imported only when it is needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparring.data.sources.items import Unreadable
from sparring.errors import DataError, MachineError

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 2**25  # bytes of values that are read together
_PIECES = 6  # such pieces that are remembered


def parquet() -> Any:
    """pyarrow.parquet, or `MachineError` that says how to install it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MachineError(
            "EXTRA", "parquet files need pyarrow, which is not installed", fix='pip install "sparring[shards]"'
        ) from error
    return pyarrow.parquet


def opened(path: Path) -> Any:
    """A parquet file, its footer read. Raises `DataError` where it is damaged."""
    opens = parquet().ParquetFile
    try:
        return opens(path, buffer_size=2**20)
    except Exception as error:  # pyarrow raises a dozen kinds of error on damaged files
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        "DATA-PARQUET", "this parquet file cannot be read", where=str(path), why=plain(error),
        fix="copy or download it again",
    )  # fmt: skip


def plain(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def leaf(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.struct_field(values, name)


def joined(tables: list[pa.Table], name: str, kind: pa.DataType) -> pa.Array:
    """One column of all files in one piece."""
    import pyarrow as pa

    chunks = [chunk for table in tables for chunk in table[name].cast(kind).chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], kind)


def fixed(values: pa.ChunkedArray) -> NDArray[np.uint8]:
    """(n, w) uint8 of a column of w bytes in each row."""
    import pyarrow as pa

    array = pa.concat_arrays(values.chunks)
    width = values.type.byte_width
    return np.frombuffer(array.buffers()[1], np.uint8)[: (array.offset + len(array)) * width].reshape(-1, width)[
        array.offset :
    ]


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a file. name: of the column, or of a field of it ("image.bytes").   groups: (g + 1,) rows before each
    row group.   row_bytes: about how large a value is."""

    path: Path
    name: str
    groups: NDArray[np.int64]
    row_bytes: float


class RowGroups:
    """Values of columns that cannot be read one by one: in pieces, the last few of which are kept. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: OrderedDict[tuple[Path, int], pa.Array] = OrderedDict()  # (file, first row): values
        self._broken: dict[tuple[Path, int], tuple[int, str]] = {}  # (file, row group): from which row on, and why
        self._cursor: tuple[Path, int] | None = None  # file and row group that `_iterator` reads
        self._iterator: Iterator[Any] = iter(())
        self._row = 0  # first row of what `_iterator` gives next

    def value(self, column: Column, row: int) -> bytes | None:
        """What is in a row; `Unreadable` where the file is damaged."""
        with self._lock:
            piece, first = self._piece(column, row)
            found = piece[row - first].as_py()
        return None if found is None else bytes(found)

    def _piece(self, column: Column, row: int) -> tuple[pa.Array, int]:
        for (path, first), piece in reversed(self._pieces.items()):
            if path == column.path and first <= row < first + len(piece):
                self._pieces.move_to_end((path, first))
                return piece, first
        here = (column.path, int(np.searchsorted(column.groups, row, side="right")) - 1)
        end, reason = self._broken.get(here, (row + 1, ""))
        if row >= end:
            raise Unreadable(reason)
        if self._cursor != here or self._row > row:
            self._start(column, here[1])
        while self._row <= row:
            try:
                values = _flat(next(self._iterator).column(0))
            except (Exception, StopIteration) as error:  # whatever pyarrow raises on damaged pages
                self._cursor = None
                self._broken[here] = (self._row, f"damaged parquet file {column.path.name}: {plain(error)}")
                raise Unreadable(self._broken[here][1]) from error
            first, self._row = self._row, self._row + len(values)
            self._pieces[column.path, first] = values
            while len(self._pieces) > _PIECES:
                self._pieces.popitem(last=False)
        return values, first

    def _start(self, column: Column, group: int) -> None:
        """Read a row group from its beginning."""
        rows = int(column.groups[group + 1] - column.groups[group])
        count = max(1, min(rows, int(_PIECE / max(1.0, column.row_bytes))))
        try:
            file = opened(column.path)
        except DataError as error:
            raise Unreadable(f"{column.path.name} cannot be read any more: {error.why}", passing=True) from error
        self._iterator = file.iter_batches(count, row_groups=[group], columns=[column.name], use_threads=False)
        self._cursor, self._row = (column.path, group), int(column.groups[group])

    def close(self) -> None:
        """Forget the pieces."""
        with self._lock:
            self._pieces.clear()
            self._cursor, self._iterator = None, iter(())


def _flat(values: pa.Array) -> pa.Array:
    """The only field of a struct, or what is no struct."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.struct_field(values, [0]) if pa.types.is_struct(values.type) else values
