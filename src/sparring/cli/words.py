"""What a person typed, checked word by word against the flags of the command before it is parsed, so that every slip is
answered in our own words: a flag that is not there, a value that is missing, no number, or none of the choices."""

from __future__ import annotations

import dataclasses
import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from sparring.errors import UsageError

_NEGATIVE = re.compile(r"-[0-9.].*|-(inf|nan).*", re.I)
_ONCE = ("--label",)
"""Flags that people repeat in order to name several."""


@dataclasses.dataclass(frozen=True)
class Slot:
    """A flag or a place of a command. kinds: the types that its value may have; bool takes no value.
    choices: the words it may be, none where any is possible.   usual: its default as text, or ""."""

    name: str
    metavar: str
    kinds: frozenset[Any]
    choices: tuple[str, ...] = ()
    usual: str = ""
    needed: bool = False


@cache
def slots(kind: type) -> tuple[dict[str, Slot], list[Slot]]:
    """(the flags of a command by every name they have, its places in order), from its fields."""
    flags: dict[str, Slot] = {}
    places: list[Slot] = []
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        factory = field.default_factory
        if isinstance(factory, type) and dataclasses.is_dataclass(factory):
            flags |= slots(factory)[0]
            continue
        hint = hints[field.name]
        notes = getattr(hint, "__metadata__", ())
        told = [note for note in notes if type(note).__name__ == "_ArgConfig"]
        metavar = next((note.metavar for note in told if note.metavar), field.name.upper())
        literal, kinds = _kinds(hint)
        known = field.default is not dataclasses.MISSING and field.default is not None
        empty = field.default is dataclasses.MISSING and factory is dataclasses.MISSING
        called = next((note.name for note in told if note.name), field.name)
        name = "--" + called.replace("_", "-")
        slot = Slot(name, metavar, kinds, literal, str(field.default) if known else "", empty)
        if "Positional" in map(repr, notes):
            places.append(slot)
        else:
            flags |= dict.fromkeys([name, *(alias for note in told for alias in note.aliases or ())], slot)
    return flags, places


def _kinds(hint: Any) -> tuple[tuple[str, ...], frozenset[Any]]:
    """(the words of its Literals, the plain types in it) of an annotation."""
    if get_origin(hint) is Literal:
        return tuple(str(word) for word in get_args(hint)), frozenset()
    if not get_args(hint):
        return (), frozenset({hint})
    parts = [_kinds(part) for part in get_args(hint)[: 1 if get_origin(hint) is Annotated else None]]
    return tuple(word for words, _ in parts for word in words), frozenset().union(*(kinds for _, kinds in parts))


def check(command: str, words: Sequence[str], kinds: Mapping[str, type]) -> None:
    """`UsageError` for the first of the words after `command` that cannot be meant. kinds: every command by name.

    >>> from sparring.cli import commands
    >>> check("train", ["cats", "--seed", "two"], commands())
    Traceback (most recent call last):
    sparring.errors.UsageError: [FLAG-VALUE] --seed takes a whole number: two
      fix: for example --seed 0
    """
    flags, places = slots(kinds[command])
    given: list[str] = []
    used: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        slot = flags.get(word.replace("_", "-") if word.startswith("--") else word)
        if slot is None and word.startswith("-") and word != "-" and not _NEGATIVE.fullmatch(word):
            raise _unknown(command, word, flags, kinds)
        if slot is None:
            given.append(word)
            if len(given) > len(places) and not (places and places[-1].metavar.rstrip("]").endswith("…")):
                raise _too_many(command, given, places)
        elif bool not in slot.kinds:
            if slot.name in _ONCE and slot.name in used:
                raise UsageError(
                    "FLAG-TWICE", f"{slot.name} is given twice, and takes one {slot.metavar}",
                    where=shlex.join(["sparring", command, *words]),
                    fix=f"one {slot.name}; call `sparring {command}` once for each",
                )  # fmt: skip
            if not rest or rest[0].replace("_", "-") in flags:
                raise UsageError(
                    "FLAG-VALUE", f"{word} needs a value", where=shlex.join(["sparring", command, *words]),
                    fix=f"write {word} {slot.metavar}" + (f", for example {word} {slot.usual}" if slot.usual else ""),
                )  # fmt: skip
            _check_value(slot, word, rest.pop(0))
            while slot.metavar.rstrip("]").endswith("…") and rest and not rest[0].startswith("-"):  # takes several
                _check_value(slot, word, rest.pop(0))
            used.append(slot.name)
    missing = [place for place in places[len(given) :] if place.needed]
    if missing:
        typed = " ".join(place.metavar for place in places)
        raise UsageError(
            "WORDS", f"`sparring {command}` needs {' and '.join(place.metavar for place in missing)}",
            where=shlex.join(["sparring", command, *words]), fix=f"write sparring {command} {typed} …",
        )  # fmt: skip


def _check_value(slot: Slot, flag: str, value: str) -> None:
    """`UsageError` unless the value is one that the flag can have."""
    if slot.choices:
        if value in slot.choices:
            return
        near = difflib.get_close_matches(value.lower(), slot.choices, n=1, cutoff=0.5)
        every = f"{', '.join(slot.choices[:-1])} or {slot.choices[-1]}"
        fix = f"did you mean {flag} {near[0]}?" if near else f"for example {flag} {slot.usual or slot.choices[0]}"
        raise UsageError("FLAG-VALUE", f"{flag} is {every}", where=value or "nothing", fix=fix)
    for kind, what in ((int, "a whole number"), (float, "a number")):
        if kind not in slot.kinds:
            continue
        try:
            kind(value)
        except ValueError:
            fix = f"for example {flag} {slot.usual}" if slot.usual else f"write {flag} {slot.metavar}"
            if kind is float and re.fullmatch(r"[0-9.]*[0-9]%", value):
                fix = f"write {flag} {float(value[:-1]) / 100:g}" if value.count(".") < 2 else fix
            if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+", value):
                fix = f"write {flag} {value.replace(',', '')}"
            raise UsageError("FLAG-VALUE", f"{flag} takes {what}", where=value or "nothing", fix=fix) from None


def _unknown(command: str, word: str, flags: Mapping[str, Slot], kinds: Mapping[str, type]) -> UsageError:
    """A flag that this command does not have: the nearest it has, or the commands that have it."""
    begun = [flag for flag in flags if flag.startswith(word.lower()) and len(word) > 3]
    near = begun or difflib.get_close_matches(word.lower().replace("_", "-"), flags, n=2, cutoff=0.6)
    elsewhere = [name for name, kind in kinds.items() if word in slots(kind)[0]]
    if near and not elsewhere:
        fix = f"did you mean {' or '.join(near)}?"
    elif elsewhere:
        fix = f"{word} belongs to {', '.join(elsewhere)}; `sparring {command} --help` lists the flags there are here"
    else:
        fix = f"`sparring {command} --help` lists the flags there are"
    return UsageError("FLAG", f"`sparring {command}` has no such flag", where=word, fix=fix)


def _too_many(command: str, given: Sequence[str], places: Sequence[Slot]) -> UsageError:
    """More words than the command has places for."""
    counted = [("one " if place.needed else "at most one ") + place.metavar.strip("[]") for place in places]
    takes = " and ".join(counted) or "no words, only flags"
    return UsageError(
        "WORDS", f"this word is one too many for `sparring {command}`, which takes {takes}", where=given[-1],
        fix=f"a name with spaces in it is written in quotes: {shlex.quote(' '.join(given[-2:]))}" if places
        else f"`sparring {command} --help`",
    )  # fmt: skip
