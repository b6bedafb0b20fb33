"""Which files of a repository belong to which configuration and split, told from their names and its README.

People lay data sets out in a few ways: ``data/train-00000-of-00002.parquet``, ``config/train/0000.parquet``,
``train/cat/1.png`` with or without a ``metadata.jsonl``, ``train.zip``; or the README says it under ``configs:``.
Everything here is a pure function of names and sizes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sparring.data.sources.items import BESIDE

Splits = dict[str, list[str]]
"""The files of each split."""

DEFAULT = "default"
KINDS = ("parquet", "images", "zip")
_IMAGES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
)
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_KEYWORD = {word: split for split, words in _WORDS.items() for word in words}
_PARTIAL = "partial-"  # the automatic conversion keeps only the beginning of very large splits
_OF = re.compile(r"[-_.](\d{4,})-of-(\d{4,})(-[0-9a-f]{16})?$")
_NUMBER = re.compile(r"(^|[-_.])\d+$")
_NAMELESS = frozenset({"", "data", "part", "shard", "chunk", "file", "dataset"})


@dataclass(frozen=True)
class Layout:
    """configs: of each configuration its splits.   default: the one meant where none is named; "" where none is."""

    configs: dict[str, Splits] = field(default_factory=dict)
    default: str = ""


def kind_of(name: str) -> str:
    """ "parquet", "images", "zip" by the ending of a name; "" for everything else."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _IMAGES:
        return "images"
    return {".parquet": "parquet", ".zip": "zip"}.get(suffix, "")


def heaviest(names: Iterable[str], sizes: Mapping[str, int]) -> str:
    """The kind that has most bytes: a few pictures beside a table are decoration, a small table beside pictures too.

    >>> heaviest(["a.parquet", "logo.png"], {"a.parquet": 900, "logo.png": 20})
    'parquet'
    """
    weight: Counter[str] = Counter()
    for name in names:
        if kind := kind_of(name):
            weight[kind] += sizes.get(name, 0) + 1
    return max(KINDS, key=lambda kind: weight[kind]) if weight else ""


def keyword(word: str) -> str:
    """The split that a word usually means, or "".

    >>> keyword("val"), keyword("cats")
    ('validation', '')
    """
    return _KEYWORD.get(word.lower().removeprefix(_PARTIAL), "")


def is_partial(names: Iterable[str]) -> bool:
    """Whether these files are only the beginning of a split that was converted automatically."""
    return any(part.startswith(_PARTIAL) for name in names for part in name.split("/"))


def missing_parts(names: Iterable[str]) -> int:
    """How many of the files counted in names like ``train-00000-of-00002.parquet`` are not there."""
    there: dict[tuple[str, int], set[int]] = {}
    for name in names:
        path = PurePosixPath(name)
        if found := _OF.search(path.stem):
            key = (f"{path.parent}/{path.stem[: found.start()]}", int(found[2]))
            there.setdefault(key, set()).add(int(found[1]))
    return sum(max(total - len(seen), 0) for (_, total), seen in there.items())


def arrange(sizes: Mapping[str, int], readme: str = "") -> Layout:
    """The layout of a repository with these files (bytes by path).

    >>> arrange({"data/train-00000-of-00001.parquet": 9, "data/val-00000-of-00001.parquet": 2}).configs["default"]
    {'train': ['data/train-00000-of-00001.parquet'], 'validation': ['data/val-00000-of-00001.parquet']}
    """
    names = sorted(name for name in sizes if not any(part.startswith((".", "__")) for part in name.split("/")))
    if said := _configs(readme):
        layout = _as_said(said, names)
        if layout.configs:
            return layout
    kind = heaviest(names, sizes)
    chosen = [name for name in names if kind and kind_of(name) == kind]
    configs = _inferred(chosen)
    return Layout(configs, _default(configs))


def root_of(names: Sequence[str], split: str) -> str:
    """The folder that names of images are to be read from: the one of the split, else the deepest that holds all.

    >>> root_of(["data/train/cat/1.png", "data/train/cat/2.png"], "train")
    'data/train'
    >>> root_of(["images/cat/1.png", "images/dog/1.png"], "train")
    'images'
    """
    shared = list(PurePosixPath(names[0]).parent.parts)
    for name in names:
        parts = PurePosixPath(name).parent.parts
        depth = next((k for k, (a, b) in enumerate(zip(shared, parts)) if a != b), min(len(shared), len(parts)))
        del shared[depth:]
    for depth, part in enumerate(shared):
        if part == split or keyword(part) == (keyword(split) or split):
            return "/".join(shared[: depth + 1])
    return "/".join(shared)


def annotations_for(names: Iterable[str], root: str) -> tuple[str, list[str]]:
    """(the root, files that annotate images below it). Where none lies there, the nearest above it counts, and the
    root moves up to it: the names it uses are relative to itself."""
    beside = {name: name.rpartition("/")[0] for name in sorted(names) if name.rpartition("/")[2] in BESIDE}
    below = [name for name, folder in beside.items() if not root or f"{folder}/".startswith(f"{root}/")]
    above = {folder for folder in beside.values() if not folder or root.startswith(f"{folder}/")}
    if below or not above:
        return root, below
    nearest = max(above, key=len)
    return nearest, [name for name, folder in beside.items() if folder == nearest]


# ── told from names ───────────────────────────────────────────────────────────────────────────────────────────────


def _inferred(names: Sequence[str]) -> dict[str, Splits]:
    placed = {name: where for name in names if (where := _place(name))}
    if not placed:  # nothing says anything: one configuration, one split
        return {DEFAULT: {"train": list(names)}} if names else {}
    configs: dict[str, Splits] = {}
    for name, (config, split) in placed.items():
        configs.setdefault(config, {}).setdefault(split, []).append(name)
    return configs


def _place(name: str) -> tuple[str, str] | None:
    """(configuration, split) of one file, or None where its name says nothing."""
    path = PurePosixPath(name)
    folders = path.parent.parts
    if kind_of(name) == "images":  # an image called test.png says nothing, a folder test/ does
        at = next((k for k, part in enumerate(folders) if keyword(part)), None)
        return None if at is None else (_config(folders[:at]), keyword(folders[at]))
    counted = _OF.search(path.stem)
    base = path.stem[: counted.start()] if counted else _NUMBER.sub("", path.stem)
    if keyword(base):
        return _config(folders), keyword(base)
    at = next((k for k in reversed(range(len(folders))) if keyword(folders[k])), None)
    if at is not None:
        return _config(folders[:at]), keyword(folders[at])
    if words := [keyword(word) for word in re.split(r"[-_. ]", base) if keyword(word)]:
        return _config(folders), words[-1]
    if len(folders) == 2 and re.fullmatch(r"\d{4}", path.stem):  # config/split/0000.parquet
        return folders[0], folders[1]
    if (counted or kind_of(name) == "zip") and base.lower() not in _NAMELESS:
        return _config(folders), base
    return None


def _config(folders: Sequence[str]) -> str:
    return "-".join(folders[1:] if folders[:1] == ("data",) else folders) or DEFAULT


def _default(configs: Mapping[str, Splits]) -> str:
    if DEFAULT in configs:
        return DEFAULT
    return next(iter(configs)) if len(configs) == 1 else ""


# ── told by the README ────────────────────────────────────────────────────────────────────────────────────────────


def class_names(readme: str, config: str, column: str = "") -> tuple[str, ...]:
    """The names of the classes 0, 1, … that the head of a README lists for a configuration; none where it lists none,
    or those of several columns. column: the one that is meant, "" if that is not known.
    """
    said = _head(readme).get("dataset_info")
    entries = [entry for entry in (said if isinstance(said, list) else [said]) if isinstance(entry, dict)]
    entries = [entry for entry in entries if len(entries) == 1 or str(entry.get("config_name", DEFAULT)) == config]
    found = []
    for feature in entries[0].get("features") or [] if entries else []:
        kind = feature.get("dtype") if isinstance(feature, dict) else None
        names = kind["class_label"].get("names") if isinstance(kind, dict) and "class_label" in kind else None
        if isinstance(names, dict) and column in ("", feature.get("name")):
            found.append({str(number): str(name) for number, name in names.items()})
    if len(found) != 1 or set(found[0]) != set(map(str, range(len(found[0])))):
        return ()
    return tuple(found[0][str(number)] for number in range(len(found[0])))


def _configs(readme: str) -> list[dict[str, Any]]:
    entries = _head(readme).get("configs")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _head(readme: str) -> dict[str, Any]:
    """The YAML at the head of a README; nothing where it cannot be read."""
    import yaml

    head = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(\n|$)", readme, re.DOTALL)
    try:
        said = yaml.safe_load(head[1]) if head and len(head[1]) < 2**20 else None
    except (yaml.YAMLError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _as_said(entries: Sequence[dict[str, Any]], names: Sequence[str]) -> Layout:
    configs: dict[str, Splits] = {}
    default = ""
    for entry in entries:
        config = str(entry.get("config_name") or DEFAULT)
        folder = str(entry.get("data_dir") or "").strip("./")
        below = [name for name in names if not folder or name.startswith(f"{folder}/")]
        if entry.get("data_files") is None:
            usable = [name for name in below if kind_of(name)]
            splits = next(iter(_inferred([name[len(folder) :].lstrip("/") for name in usable]).values()), {})
            prefix = f"{folder}/" if folder else ""
            splits = {split: [prefix + name for name in found] for split, found in splits.items()}
        else:
            splits = {split: _matching(patterns, folder, names) for split, patterns in _patterns(entry["data_files"])}
        if found := {split: files for split, files in splits.items() if any(map(kind_of, files))}:
            configs[config] = found
            default = config if entry.get("default") is True else default
    return Layout(configs, default or _default(configs))


def _patterns(said: Any) -> list[tuple[str, list[str]]]:
    """(split, patterns) of ``data_files``, which is a pattern, a list of them, or says them split by split."""
    if isinstance(said, dict):
        pairs = list(said.items())
    elif isinstance(said, list) and said and all(isinstance(part, dict) for part in said):
        pairs = [(part.get("split", "train"), part.get("path", [])) for part in said]
    else:
        pairs = [("train", said)]
    return [(str(split), [str(p) for p in (path if isinstance(path, list) else [path])]) for split, path in pairs]


def _matching(patterns: Iterable[str], folder: str, names: Iterable[str]) -> list[str]:
    base = f"{folder}/" if folder else ""
    wanted = [_glob(base + pattern.removeprefix("./").strip("/")) for pattern in patterns]
    return [name for name in names if any(pattern.fullmatch(name) for pattern in wanted)]


def _glob(pattern: str) -> re.Pattern[str]:
    """``**`` crosses folders, ``*`` and ``?`` do not; ``[…]`` and ``{a,b}``; a folder means all that is below it."""
    out, depth = "", 0
    for token in re.findall(r"\*\*/?|\*|\?|\[[^\]]*\]|\{|\}|,|[^*?\[{},]+|\[", pattern):
        match token:
            case "**/":
                out += "(?:[^/]+/)*"
            case "**":
                out += ".*"
            case "*":
                out += "[^/]*"
            case "?":
                out += "[^/]"
            case "{":
                out, depth = out + "(?:", depth + 1
            case "}" if depth:
                out, depth = out + ")", depth - 1
            case "," if depth:
                out += "|"
            case _ if len(token) > 2 and token[0] == "[" and token[-1] == "]":
                out += (
                    "["
                    + ("^" if token[1] in "!^" else "")
                    + re.escape(token[1:-1].lstrip("!^")).replace("\\-", "-")
                    + "]"
                )
            case _:
                out += re.escape(token)
    return re.compile(out + ")" * depth + "(?:/.*)?")
