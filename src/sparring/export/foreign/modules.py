"""A network that was pickled whole, as a tree of records: its tensors by name, and what its layers say of themselves.

The published files of StyleGAN2-ADA hold layers as `torch_utils.persistence._reconstruct_persistent_obj`, with the
source of their module, which Python would execute; here it is a text that nobody looks at. Those of R3GAN hold layers
by the names of their classes. Either way what was in a layer's ``__dict__`` is a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sparring.export.foreign.inert import DAMAGED, Made
from sparring.export.foreign.names import Refused, shown
from sparring.export.foreign.tensors import Held, Storages, number, tensor

Facts = dict[str, dict[str, Any]]
"""Path of a layer → its class and its plain attributes."""

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
MOST_LAYERS, MOST_TENSORS, DEPTH, PLAIN = 5_000, 20_000, 32, 64
_WORD = re.compile(r"\w{1,80}")


def generator(root: Any) -> tuple[Made, str]:
    """The network of a snapshot that makes images, and what it is called there: the averaged one, if there is one."""
    if isinstance(root, Made):
        return root, "the network"
    if isinstance(root, Mapping):
        for name in ("G_ema", "G"):
            if isinstance(root.get(name), Made):
                return root[name], name
        raise Refused("it holds no network called G_ema or G")
    raise Refused(f"it holds a {type(root).__name__}, and no network")


def flattened(network: Made, storages: Storages) -> tuple[dict[str, Held], Facts]:
    """Its parameters and buffers by name, as a state dict has them; and the facts of its layers. `Refused`."""
    tensors: dict[str, Held] = {}
    facts: Facts = {}
    for path, kind, state in _layers(network):
        facts[path] = {"class": kind, **_plain(state)}
        for table in ("_parameters", "_buffers"):
            for name, said in _table(state, table):
                found = tensor(said, storages)
                if found is not None:
                    tensors[f"{path}.{name}".lstrip(".")] = found
                elif said is not None:
                    raise Refused(f"{shown(name)!r}, a parameter of its, is no tensor")
        if len(tensors) > MOST_TENSORS:
            raise Refused(f"it holds more than {MOST_TENSORS:,} tensors")
    if not tensors:
        raise Refused("its network has no tensors")
    return tensors, facts


def checkpoint(root: Any, storages: Storages) -> dict[str, Held]:
    """The tensors of a table of them by name, which is what a checkpoint of a network alone is. `Refused`."""
    if not isinstance(root, dict) or not root:
        raise Refused(f"it holds a {_kind(root)}, and a checkpoint is a table of tensors by name")
    if len(root) > MOST_TENSORS:
        raise Refused(f"it holds {len(root):,} entries, far more than a network has")
    named = {}
    for name, said in root.items():
        found = tensor(said, storages)
        if not isinstance(name, str) or found is None:
            what = f"a {_kind(said)} called {shown(name)!r}" if isinstance(name, str) else "what has no name"
            raise Refused(f"beside tensors it holds {what}: it is no checkpoint of a network alone")
        named[name] = found
    return named


def _layers(network: Made) -> Iterator[tuple[str, str, dict[Any, Any]]]:
    """(path, class, attributes) of every layer, the network itself first."""
    waiting: list[tuple[str, Any, int]] = [("", network, 0)]
    for _ in range(MOST_LAYERS):
        if not waiting:
            return
        path, layer, depth = waiting.pop()
        kind, state = _opened(layer)
        if depth > DEPTH:
            raise Refused("its layers are nested far deeper than those of a model")
        yield path, kind, state
        below = [(f"{path}.{name}".lstrip("."), each, depth + 1) for name, each in _table(state, "_modules")]
        waiting += [entry for entry in below if entry[1] is not None][::-1]
    raise Refused(f"it has more than {MOST_LAYERS:,} layers")


def _opened(layer: Any) -> tuple[str, dict[Any, Any]]:
    """(class, attributes) of a layer."""
    match layer:
        case Made(what, (dict() as said,), _) if what.full == PERSISTENT:
            kind, state = said.get("class_name"), said.get("state")
        case Made(what, (), dict() as state) if what.kind == "class":
            kind = what.name
        case _:
            raise Refused("one of its layers is no layer")
    if not isinstance(kind, str) or not _WORD.fullmatch(kind) or type(state) is not dict:
        raise Refused(DAMAGED)
    return kind, state


def _table(state: Mapping[Any, Any], name: str) -> Iterator[tuple[str, Any]]:
    table = state.get(name, {})
    if type(table) is not dict:
        raise Refused(DAMAGED)
    for key, value in table.items():
        if not isinstance(key, str) or not _WORD.fullmatch(key):
            raise Refused("one of its layers has a name that no layer has")
        yield key, value


def _plain(state: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes that are a number, a word, nothing, or a short row of whole numbers."""
    kept: dict[str, Any] = {}
    for name, said in state.items():
        if len(kept) >= PLAIN or not isinstance(name, str) or not _WORD.fullmatch(name) or name.startswith("_"):
            continue
        value = number(said)
        if isinstance(value, bool | float | None) or _whole(value):
            kept[name] = value
        elif isinstance(value, str) and len(value) <= 80:
            kept[name] = shown(value)
        elif type(value) in (list, tuple) and len(value) <= PLAIN and all(map(_whole, value)):
            kept[name] = list(value)
    return kept


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**53


def _kind(said: Any) -> str:
    return shown(said.what.name) if isinstance(said, Made) else type(said).__name__
