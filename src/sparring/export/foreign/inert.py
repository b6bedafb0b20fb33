"""A pickle, read without executing anything.

A pickle is a program for a small stack machine. Here its opcodes are interpreted by a table of our own: those that
build numbers, texts, tuples, lists and dictionaries do so; those that would import or call something leave a record of
it (`Made`), if the name is one that a model's file may say (`names.allowed`), and end the reading if not. Opcodes that
no such file needs (INST, OBJ, EXT, persistent ids in a bare pickle, …) end it too. There is no way from a record back
to what it names: nothing is imported by name anywhere in this package.

Every length is checked before it is used, and work is bounded by the number of opcodes, marks, and bytes of a text.
The opcodes are described in the docstrings of Python's ``pickletools``, and in PEP 307, 3154 and 574.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from sparring.export.foreign.names import Name, Refused, allowed, shown

OPCODES = 2_000_000
MARKS = 1_000
TEXT = 2**22
"""Bytes of one text: sources of modules have a tenth of a million."""
DAMAGED = "it is damaged, or no model"
for _coding in ("utf-8", "latin-1", "raw-unicode-escape"):
    codecs.lookup(_coding)  # here, so that reading a file imports nothing at all
_NAMED = {
    b"i": "INST", b"o": "OBJ", b"P": "PERSID", b"Q": "BINPERSID", b"2": "DUP", b"\x82": "EXT1", b"\x83": "EXT2",
    b"\x84": "EXT4", b"\x92": "NEWOBJ_EX", b"\x97": "NEXT_BUFFER", b"\x98": "READONLY_BUFFER",
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Made:
    """What a file says should be made: never made. what: by which function, or of which class.   given: with which
    arguments.   state: and what it should then be told."""

    what: Name
    given: tuple[Any, ...] = ()
    state: Any = None


@dataclass(slots=True, eq=False)
class Stored:
    """What a file of torch says of a storage that stands elsewhere in it."""

    said: Any


def read(data: memoryview, at: int = 0, *, torch: bool = False) -> tuple[Any, int]:
    """The object of the pickle that begins at byte `at`, and where it ends. torch: whether it may refer to storages
    (`Stored`). Of builtin types, `Made`, `Stored` and `Name`; bytes are views of `data`; sets are lists. `Refused`."""
    machine = _Machine(data, at, torch)
    return machine.run(), machine.at


class _Machine:
    def __init__(self, data: memoryview, at: int, torch: bool) -> None:
        self.data, self.at, self.torch = data, at, torch
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks beneath each mark
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(OPCODES):
            code = bytes(self.take(1))
            if code == b".":
                if len(self.stack) != 1 or self.below:
                    damaged()
                return self.stack[0]
            action = _ACTIONS.get(code)
            if action is None or (code == b"Q" and not self.torch):
                if code not in _NAMED:
                    damaged()
                raise Refused(f"it uses the opcode {_NAMED[code]}, which no model needs")
            action(self)
        raise Refused(f"it has more than {OPCODES:,} opcodes, far more than a model")

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.data) - self.at:
            raise Refused("it is damaged, or not whole")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self, most: int = 400) -> bytes:
        """Up to the end of the line, without it."""
        text, end, _ = bytes(self.data[self.at : self.at + most]).partition(b"\n")
        if not end:
            damaged()
        self.at += len(text) + 1
        return text

    def sized(self, size: int) -> memoryview:
        """Bytes behind their number, which has `size` bytes itself."""
        return self.take(self.number(size))

    def text(self, data: bytes | memoryview, coding: str = "utf-8", errors: str = "surrogatepass") -> str:
        if len(data) > TEXT:
            raise Refused(f"it holds a text of {len(data):,} bytes")
        try:
            return bytes(data).decode(coding, errors)
        except UnicodeDecodeError:
            damaged()

    # ── the stack ────────────────────────────────────────────────────────────────────────────────────────────────

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        return self.stack.pop() if self.stack else damaged()

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            damaged()
        return self.stack[-1]

    def mark(self) -> None:
        if len(self.below) >= MARKS:
            raise Refused("it is nested far deeper than a model")
        self.below.append(self.stack)
        self.stack = []

    def marked(self) -> list[Any]:
        """What was pushed since the last mark, which is taken away."""
        if not self.below:
            damaged()
        values, self.stack = self.stack, self.below.pop()
        return values

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1] if self.stack else damaged()

    def get(self, index: int) -> None:
        self.push(self.memo[index] if index in self.memo else damaged())

    def some(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(values[::-1]))

    # ── what would be imported and called ────────────────────────────────────────────────────────────────────────

    def name(self) -> None:
        """STACK_GLOBAL"""
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            damaged()
        self.push(allowed(module, name))

    def make(self) -> None:
        """NEWOBJ"""
        given, what = self.pop(), self.pop()
        if type(what) is not Name or given != ():
            damaged()
        self.push(_new(what))

    def reduce(self) -> None:
        given, what = self.pop(), self.pop()
        if type(what) is not Name or type(given) is not tuple:
            damaged()
        self.push(_applied(what, given))

    def build(self) -> None:
        state = self.pop()
        if self.stack and type(self.stack[-1]) is dict:
            return  # attributes of an OrderedDict: torch keeps versions of modules there
        made = self.top(Made)
        if made.state is not None or type(state) not in (dict, tuple):
            damaged()
        made.state = state


def _new(what: Name) -> Any:
    """What stands for an object without arguments."""
    if what.kind == "mapping":
        return {}
    if what.kind != "class":
        raise Refused(f"it makes an object of {shown(what.full)}, which no model does")
    return Made(what)


def _applied(what: Name, given: tuple[Any, ...]) -> Any:
    """What stands for a function's result."""
    if what.kind == "mapping" and len(given) <= 1:
        pairs = given[0] if given else []
        if type(pairs) is list and all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
            return _table([one for pair in pairs for one in pair])
    elif what.kind == "group" and len(given) == 1 and type(given[0]) in (list, tuple):
        return list(given[0])
    elif what.name == "_reconstructor" and len(given) == 3 and type(given[0]) is Name:
        return _new(given[0])
    elif what.full == "_codecs.encode" and len(given) in (1, 2) and type(given[0]) is str:
        try:
            return memoryview(given[0].encode("latin-1"))  # how bytes are written by protocols 0 to 2
        except UnicodeEncodeError:
            damaged()
    elif what.kind == "function":
        return Made(what, given)
    raise Refused(f"it applies {shown(what.full)} as no model does")


def _table(values: list[Any]) -> dict[Any, Any]:
    """Of keys and values by turns."""
    if len(values) % 2:
        damaged()
    if not all(isinstance(key, str | int | float | None) for key in values[::2]):
        raise Refused("it has a table whose keys are neither texts nor numbers")
    return dict(zip(values[::2], values[1::2], strict=True))


def damaged() -> NoReturn:
    raise Refused(DAMAGED)


def _decimal(text: bytes) -> int:
    """INT, LONG, GET and PUT: short decimal numbers."""
    text = text.removesuffix(b"L")
    if len(text) > 40 or not text.removeprefix(b"-").isdigit():
        damaged()
    return int(text)


def _integer(text: bytes) -> int | bool:
    return text == b"01" if text in (b"00", b"01") else _decimal(text)


def _float(text: bytes) -> float:
    try:
        return float(text) if len(text) <= 40 else damaged()
    except ValueError:
        damaged()


def _long(data: memoryview) -> int:
    return int.from_bytes(data, "little", signed=True) if len(data) <= 64 else damaged()


def _quoted(m: _Machine) -> str:
    """STRING: as Python 2 wrote texts, between quotes."""
    line = m.line(TEXT)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"') or b"\\" in line:
        damaged()
    return m.text(line[1:-1], "latin-1", "strict")


def _global(m: _Machine) -> Name:
    module, name = m.text(m.line()), m.text(m.line())
    return allowed(module, name)


def _protocol(m: _Machine) -> None:
    if m.number(1) > 5:
        damaged()


def _extend(m: _Machine) -> None:
    """APPENDS and ADDITEMS"""
    values = m.marked()
    m.top(list).extend(values)


def _append(m: _Machine) -> None:
    value = m.pop()
    m.top(list).append(value)


def _set_item(m: _Machine) -> None:
    value, key = m.pop(), m.pop()
    m.top(dict).update(_table([key, value]))


def _set_items(m: _Machine) -> None:
    values = m.marked()
    m.top(dict).update(_table(values))


def _pushing(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.push(value(m))


_VALUES: dict[bytes, Callable[[_Machine], Any]] = {
    b"N": lambda m: None, b"\x88": lambda m: True, b"\x89": lambda m: False,
    b"I": lambda m: _integer(m.line()), b"L": lambda m: _decimal(m.line()), b"F": lambda m: _float(m.line()),
    b"K": lambda m: m.number(1), b"M": lambda m: m.number(2), b"J": lambda m: m.number(4, signed=True),
    b"\x8a": lambda m: _long(m.sized(1)), b"\x8b": lambda m: _long(m.sized(4)),
    b"G": lambda m: struct.unpack(">d", m.take(8))[0],
    b"\x8c": lambda m: m.text(m.sized(1)), b"X": lambda m: m.text(m.sized(4)), b"\x8d": lambda m: m.text(m.sized(8)),
    b"V": lambda m: m.text(m.line(TEXT), "raw-unicode-escape", "strict"), b"S": _quoted,
    b"U": lambda m: m.text(m.sized(1), "latin-1"), b"T": lambda m: m.text(m.sized(4), "latin-1"),
    b"C": lambda m: m.sized(1), b"B": lambda m: m.sized(4), b"\x8e": lambda m: m.sized(8),
    b"\x96": lambda m: m.sized(8),
    b")": lambda m: (), b"]": lambda m: [], b"}": lambda m: {}, b"\x8f": lambda m: [],
    b"t": lambda m: tuple(m.marked()), b"l": lambda m: m.marked(), b"\x91": lambda m: m.marked(),
    b"d": lambda m: _table(m.marked()),
    b"c": _global, b"Q": lambda m: Stored(m.pop()),
}  # fmt: skip
"""Opcodes that push a value, and the value."""

_ACTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    **{code: _pushing(value) for code, value in _VALUES.items()},
    b"\x80": _protocol, b"\x95": lambda m: m.number(8),
    b"(": _Machine.mark, b"0": _Machine.pop, b"1": _Machine.marked,
    b"\x85": lambda m: m.some(1), b"\x86": lambda m: m.some(2), b"\x87": lambda m: m.some(3),
    b"a": _append, b"e": _extend, b"\x90": _extend, b"s": _set_item, b"u": _set_items,
    b"p": lambda m: m.put(_decimal(m.line())), b"q": lambda m: m.put(m.number(1)), b"r": lambda m: m.put(m.number(4)),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"g": lambda m: m.get(_decimal(m.line())), b"h": lambda m: m.get(m.number(1)), b"j": lambda m: m.get(m.number(4)),
    b"\x93": _Machine.name, b"\x81": _Machine.make, b"R": _Machine.reduce, b"b": _Machine.build,
}  # fmt: skip
