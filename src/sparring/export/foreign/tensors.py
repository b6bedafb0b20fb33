"""Tensors as files of torch hold them: where their numbers lie, checked before one of them is copied.

A storage is a row of numbers; a tensor says which of them are its own (offset, sizes, strides). Storages lie in a zip
(``torch.save`` since 2020: ``archive/data.pkl`` and ``archive/data/0``), one behind the other after five pickles
(``torch.save`` before that), or, in a pickle that torch did not write, each as a whole file of the second kind, as
bytes (``torch.storage._load_from_bytes``). All are views of the one file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparring.export.foreign import inert
from sparring.export.foreign.inert import Made, Stored
from sparring.export.foreign.names import STORAGES, Name, Refused

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How torch.save began until 2020, and how storages in bytes begin."""
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
MOST_STORAGES = 40_000
RANK = 8
SPARE = 1.05
"""The tensors of a file together are at most this times its size."""


@dataclass(frozen=True, slots=True)
class Storage:
    """dtype: a value of `STORAGES`.   data: its bytes."""

    dtype: str
    data: memoryview

    @property
    def width(self) -> int:
        """Bytes of one number."""
        return 2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize

    @property
    def count(self) -> int:
        return len(self.data) // self.width


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor that lies within its storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def count(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count

    @property
    def bytes(self) -> int:
        """Of its numbers, were each there once."""
        return self.count * self.storage.width

    def array(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """A copy, float32."""
        narrow = self.storage.dtype == "bfloat16"  # the upper half of a float32
        row = np.frombuffer(self.storage.data, np.uint16 if narrow else self.storage.dtype, self.storage.count)
        steps = [stride * self.storage.width for stride in self.strides]
        found = np.lib.stride_tricks.as_strided(row[self.offset :], self.shape, steps, writeable=False)
        if narrow:
            return np.ascontiguousarray(np.left_shift(found, 16, dtype=np.uint32)).view(np.float32).reshape(self.shape)
        return np.ascontiguousarray(found, np.float32).reshape(self.shape)


Storages = Callable[[Stored], Storage]
"""What finds a storage that a file refers to."""


def affordable(tensors: Mapping[str, Held], size: int) -> None:
    """`Refused` where they would take far more room than the file, which has `size` bytes."""
    claimed = sum(tensor.bytes for tensor in tensors.values())
    if claimed > SPARE * size:
        raise Refused(f"its tensors claim {claimed:,} bytes, and the file has {size:,}")


def tensor(said: Any, storages: Storages) -> Held | None:
    """What `said` is the record of: a tensor, a parameter, or neither (None)."""
    said = _unwrapped(_unwrapped(said))
    if not (isinstance(said, Made) and said.what.full == "torch._utils._rebuild_tensor_v2" and len(said.given) >= 4):
        return None
    storage, *places = said.given[:4]
    (offset,), shape, strides = _sides(tuple(places[:1])), _sides(places[1]), _sides(places[2])
    sizes = (offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > RANK or not all(0 <= size < 2**48 for size in sizes):
        raise Refused("one of its tensors has sides that no tensor has")
    found = Held(_storage(storage, storages), offset, shape, strides)
    last = offset + sum((side - 1) * stride for side, stride in zip(found.shape, found.strides, strict=True))
    if found.count and last >= found.storage.count:
        raise Refused("one of its tensors reaches beyond what is stored")
    return found


def _unwrapped(said: Any) -> Any:
    """What a parameter, or a tensor with attributes of its own, is made of; anything else as it is."""
    if isinstance(said, Made):
        match said.given:
            case (within, _, _) | (within, _, _, _) if said.what.name.startswith("_rebuild_parameter"):
                return within
            case (Name() as function, _, tuple() as given, _) if said.what.name == "_rebuild_from_type_v2":
                return Made(function, given)
    return said


def number(said: Any) -> Any:
    """A number of numpy as one of Python, anything else as it is."""
    match said:
        case Made(what, (Made(kind, (str() as form, *_)), memoryview() as data)):
            known = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "?"}.get(form)
            if what.name == "scalar" and kind.full == "numpy.dtype" and known and struct.calcsize(known) == len(data):
                return struct.unpack(known, data)[0]
    return said


def _sides(said: Any) -> tuple[int, ...]:
    if isinstance(said, Made) and said.what.full == "torch.Size" and len(said.given) == 1:
        said = said.given[0]
    if type(said) is not tuple or not all(type(side) is int for side in said):
        raise Refused(inert.DAMAGED)
    return said


def _storage(said: Any, storages: Storages) -> Storage:
    if isinstance(said, Stored):
        return storages(said)
    if not (isinstance(said, Made) and said.what.full == "torch.storage._load_from_bytes" and len(said.given) == 1):
        raise Refused("one of its tensors has no storage")
    data = said.given[0]
    if not isinstance(data, memoryview) or bytes(data[: len(LEGACY)]) != LEGACY:
        raise Refused("one of its storages is no file of torch")
    root, within = legacy(data)
    if not isinstance(root, Stored):
        raise Refused("one of its storages holds something else")
    return within(root)


def _none(said: Stored) -> Storage:
    raise Refused("it refers to a storage that is not there")


# ── files that torch.save wrote ───────────────────────────────────────────────────────────────────────────────────


def legacy(data: memoryview) -> tuple[Any, Storages]:
    """The object of a file as it was until 2020: five pickles (magic number, version, machine, object, keys of the
    storages), then of each storage how many numbers it has, and the numbers."""
    magic, at = inert.read(data)
    version, at = inert.read(data, at)
    machine, at = inert.read(data, at)
    if magic != _MAGIC or version != _VERSION or type(machine) is not dict or machine.get("little_endian") is not True:
        raise Refused("it was written by a machine, or a torch, of another kind")
    root, at = inert.read(data, at, torch=True)
    keys, at = inert.read(data, at)
    if type(keys) is not list or len(keys) > MOST_STORAGES or not all(type(key) is str for key in keys):
        raise Refused(inert.DAMAGED)
    widths = {key: Storage(dtype, data[:0]).width for key, dtype, _ in _references(root)}
    places: dict[str, memoryview] = {}
    for key in keys:
        count = int.from_bytes(data[at : at + 8], "little", signed=True)
        end = at + 8 + count * widths.get(key, 1)
        if key in places or key not in widths or count < 0 or end > len(data):
            raise Refused("it is damaged, or not whole")
        places[key] = data[at + 8 : end]
        at = end
    return root, lambda said: _referred(said, places.get)


def zipped(data: memoryview, parts: Mapping[str, memoryview]) -> tuple[Any, Storages]:
    """The object of a zip that torch.save wrote, of which the parts are known (`zips.parts`)."""
    if bytes(parts.get("byteorder", data[:0])) not in (b"", b"little"):
        raise Refused("it was written by a machine of another kind")
    root, _ = inert.read(parts["data.pkl"], torch=True)
    return root, lambda said: _referred(said, lambda key: parts.get(f"data/{key}"))


def bare(data: memoryview) -> tuple[Any, Storages]:
    """The object of a pickle, in which storages are files of torch."""
    root, at = inert.read(data)
    if at != len(data):
        raise Refused("something stands behind its end")
    return root, _none


def _referred(said: Stored, place: Callable[[str], memoryview | None]) -> Storage:
    key, dtype, count = _reference(said)
    data = place(key)
    storage = Storage(dtype, data) if data is not None else _none(said)
    if storage.count < count:
        raise Refused("one of its storages is shorter than it says")
    return storage


def _reference(said: Stored) -> tuple[str, str, int]:
    """(key, dtype, numbers) of ``("storage", torch.FloatStorage, key, place, numbers[, None])``."""
    match said.said:
        case ("storage", Name() as kind, str() as key, str(), int() as count, *rest) if rest in ([], [None]):
            if kind.name in STORAGES and 0 <= count < 2**48:
                return key, STORAGES[kind.name], count
    raise Refused("it refers to something else than a storage")


def _references(root: Any) -> Iterator[tuple[str, str, int]]:
    """Those that an object holds, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        match one:
            case Stored():
                yield _reference(one)
            case Made():
                waiting += [*one.given, one.state]
            case dict():
                waiting += one.values()
            case list() | tuple():
                waiting += one
