"""Data sets on the Hugging Face hub: ``hf:owner/name[/config][/split][@revision]``.

A revision is turned into the hash of a commit once, and everything is read at that hash; the hash is part of
`Source.place`, so whatever opens that text again reads the same bytes. Files lie in the cache of the library
``huggingface_hub``, where its other users find them too. Code that lies in a repository is never executed.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from sparring.data import cache
from sparring.data.options import Options
from sparring.data.report import few
from sparring.data.sources import layout
from sparring.data.sources.archive import ZipSource
from sparring.data.sources.folder import FolderSource
from sparring.data.sources.items import Pixels, Progress, Source
from sparring.data.sources.layout import Layout
from sparring.data.sources.repository import FORM, Repository
from sparring.errors import DataError, MachineError, UsageError

CONVERTED = "refs/convert/parquet"  # the branch in which the hub keeps a copy of many data sets as parquet

_TEXT = re.compile(r"hf:([\w.-]+/[\w.-]+)((?:/[^/@]+){0,2})(?:@([\w.-]+(?:/[\w.-]+)*))?")


@dataclass(frozen=True)
class Address:
    """What was typed. words: what follows owner and name: nothing, a split or a configuration, or both in turn."""

    text: str
    repository: str
    words: tuple[str, ...]
    revision: str

    @classmethod
    def of(cls, text: str) -> Address:
        """Raises `UsageError`.

        >>> Address.of("hf:owner/flowers/test@v2").words
        ('test',)
        """
        found = _TEXT.fullmatch(text.strip().rstrip("/"))
        if not found or ".." in text:
            raise UsageError("HUB-NAME", "this is not how a data set of the hub is named", where=text, fix=FORM)
        return cls(text, found[1], tuple(found[2].split("/")[1:]), found[3] or "")

    def at(self, commit: str) -> str:
        """The same, pinned to one commit."""
        return f"hf:{'/'.join((self.repository, *self.words))}@{commit}"


def open_hub(text: str, options: Options, cache_root: Path | None = None, progress: Progress | None = None) -> Source:
    """The images of one split: its parquet files, its image files with their metadata, or its zip.

    Only files of that split are fetched. Without a split "train" is meant, or the only one; without a configuration
    "default", the one its README calls so, or the only one. A pinned text whose files are in the cache is opened
    without one request; where the hub cannot be reached, the commit that was seen last is used, with a warning.

    Raises `DataError` (no such data set, revision, configuration or split; no access; no images), `MachineError`
    (hub not reachable, disk full, extra not installed), `UsageError` (text).
    """
    asked = Address.of(text)
    hub = Repository.of(text, asked.repository, cache_root or cache.directory()[0])
    commit, warning = hub.pin(asked.revision)
    try:
        source = _open(hub, asked, commit, options, progress)
    except DataError as error:
        if error.code != "HUB-EMPTY" or asked.revision not in ("", "main"):  # only of the newest commit there is a copy
            raise
        try:
            commit, warning = hub.pin(CONVERTED)
            source = _open(hub, asked, commit, options, progress)
        except DataError as other:
            raise (error if other.code in ("HUB-EMPTY", "HUB-REVISION") else other) from None
    if warning:
        source.own = replace(source.own, warnings=(warning, *source.own.warnings))
    return source


def _open(hub: Repository, asked: Address, commit: str, options: Options, progress: Progress | None) -> Source:
    sizes = hub.listing(commit, progress)
    readme = ""
    if "README.md" in sizes and any(map(layout.kind_of, sizes)):
        readme = (hub.fetch(commit, {"README.md": sizes["README.md"]}, None) / "README.md").read_text(
            "utf-8", "replace"
        )
    found = layout.arrange(sizes, readme)
    if not found.configs:
        raise _empty(asked.text, sizes)
    config, split, names = choose(found, asked)
    kind = layout.heaviest(names, sizes)
    names = [name for name in names if layout.kind_of(name) == kind]
    place, name = asked.at(commit), asked.repository.rpartition("/")[2]
    if kind == "zip" and len(names) > 1:
        raise DataError(
            "HUB-LAYOUT", f"this split is made of {len(names)} zips", where=asked.text, why=few(sorted(names), most=3),
            fix="download and unpack them, and give the folder",
        )  # fmt: skip
    root, beside = layout.annotations_for(sizes, layout.root_of(names, split)) if kind == "images" else ("", [])
    if kind == "parquet":
        _require_pyarrow(asked.text)
    folder = hub.fetch(commit, {name: sizes[name] for name in (*names, *beside)}, progress)
    source: Source
    if kind == "parquet":
        from sparring.data.sources.shards import ParquetSource

        source = ParquetSource([folder / name for name in names], name=name, place=place, columns=options.columns)
        classes = layout.class_names(readme, config, dict(options.columns).get("label", ""))
        numbers = tuple(map(str, range(len(source.own.classes))))
        if numbers and source.own.classes == numbers and len(classes) >= len(numbers):  # the files name none
            source.own = replace(source.own, classes=classes)
    elif kind == "zip":
        source = ZipSource(folder / names[0])
        source.name, source.place = name, place
    else:
        source = SnapshotSource(folder, root, names, beside, name=name, place=place)
    notes = []
    if layout.is_partial(names):
        notes.append(f"{asked.text}: the hub's own conversion holds only the beginning of this split")
    if missing := layout.missing_parts(names):
        notes.append(f"{asked.text}: {missing} of the split's files are missing, going by the names of the others")
    source.own = replace(source.own, warnings=(*source.own.warnings, *notes))
    return source


def _require_pyarrow(text: str) -> None:
    """Before anything large is fetched."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MachineError(
            "EXTRA", "this data set is parquet files, which need pyarrow", where=text, fix='pip install "sparring[hub]"'
        ) from error


class SnapshotSource(Source):
    """Some images of a repository that lie in the cache: those of one split, named from its folder on."""

    def __init__(
        self, folder: Path, root: str, names: Sequence[str], beside: Sequence[str], *, name: str, place: str
    ) -> None:
        super().__init__(name=name, place=place)
        self._inside = FolderSource(folder / root)  # other splits may lie there too
        start = len(root) + 1 if root else 0
        wanted = {name[start:] for name in names}
        self._numbers = [k for k, name in enumerate(self._inside.items.names) if name in wanted]
        for number in self._numbers:
            self.items.append(self._inside.items[number])
        self.listed_out = [(name, reason) for name, reason in self._inside.listed_out if name in wanted]
        self.beside = [name[start:] for name in beside]
        self.folders = sorted({name.partition("/")[0] for name in wanted if "/" in name})

    def read_beside(self, name: str) -> bytes:
        return self._inside.read_beside(name)

    def read(self, number: int) -> bytes | Pixels:
        return self._inside.read(self._numbers[number])

    def close(self) -> None:
        self._inside.close()


# ── which split is meant ──────────────────────────────────────────────────────────────────────────────────────────


def choose(found: Layout, asked: Address) -> tuple[str, str, list[str]]:
    """(configuration, split, its files) that the words after the name mean. Raises `DataError` naming what there is."""
    words = list(asked.words)
    configs = found.configs
    config = found.default
    if len(words) == 2:
        config = _named(words.pop(0), configs, "configuration", asked)
    elif words and _match(words[0], configs.get(config, {})) is None and words[0] in configs:
        config = words.pop(0)
    elif config not in configs:
        if words and not any(_match(words[0], of) for of in configs.values()):
            _named(words[0], configs, "configuration", asked)
        raise _ambiguous("configuration", configs, asked.repository, tuple(words))
    splits = configs[config]
    if words:
        split = _named(words[0], splits, "split", asked)
    elif "train" in splits or len(splits) == 1:
        split = "train" if "train" in splits else next(iter(splits))
    else:
        raise _ambiguous("split", splits, asked.repository, asked.words)
    return config, split, splits[split]


def _match(word: str, among: Iterable[str]) -> str | None:
    """The name that is meant: the same, or another usual word for the same split."""
    names = list(among)
    if word in names:
        return word
    usual = layout.keyword(word)
    return next((name for name in names if usual and layout.keyword(name) == usual), None)


_CODES = {"split": "HUB-SPLIT", "configuration": "HUB-CONFIG"}


def _named(word: str, among: Mapping[str, Any], what: str, asked: Address) -> str:
    found = _match(word, among)
    if found is None:
        near = difflib.get_close_matches(word, among, n=1, cutoff=0.5)
        raise DataError(
            _CODES[what], f"there is no {what} {word!r} in this data set", where=asked.text,
            why=f"there {'is' if len(among) == 1 else 'are'} {few(sorted(among), most=20)}",
            fix=f"did you mean {near[0]}?" if near else f"name one of them: {FORM}",
        )  # fmt: skip
    return found


def _ambiguous(what: str, among: Mapping[str, Any], repository: str, words: tuple[str, ...]) -> DataError:
    first = sorted(among)[0]
    path = (first, *words) if what == "configuration" else (*words, first)
    return DataError(
        _CODES[what], f"this data set has several {what}s", where=f"hf:{'/'.join((repository, *words))}",
        why=few(sorted(among), most=20), fix=f"name one, such as hf:{'/'.join((repository, *path))}",
    )  # fmt: skip


def _empty(text: str, sizes: Mapping[str, int]) -> DataError:
    endings = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in sizes)
    held = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(6)) or "no file at all"
    script = next((name for name in sizes if name.endswith(".py") and "/" not in name), "")
    why = f"it holds {held}"
    if script:
        why += f"; {script} would make images, but code from the hub is never executed, and there is no parquet copy"
    return DataError(
        "HUB-EMPTY", "there are no images in this data set that could be read", where=text, why=why,
        fix="choose one with parquet files, image files or a zip; or download it and give a folder of its images",
    )  # fmt: skip
