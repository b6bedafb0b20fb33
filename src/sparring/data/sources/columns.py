"""Which column of a parquet file holds what: found by type and by name, or named by the user.

Files of Hugging Face say it themselves, in the metadata of their schema (`features`); pandas and the rest do not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_NAMES = ("image", "images", "img", "picture", "photo", "jpg", "jpeg", "png", "webp")
LABEL_NAMES = ("label", "labels", "class", "category", "fine_label", "target", "y")
TEXT_NAMES = ("text", "texts", "caption", "captions", "prompt", "description", "sentence")
FILE_NAMES = ("file_name", "filename", "file", "path")
_MOST_CLASSES = 10_000  # numbers below this are classes 0, 1, 2, …; larger ones are the names of classes


@dataclass(frozen=True)
class Columns:
    """Names of columns. nested: the image is a struct of bytes and path.   path: where names of files may be, "" for
    nowhere.   label, text: "" for nowhere.   classes: names of the classes, where the file says them."""

    image: str
    nested: bool
    path: str = ""
    label: str = ""
    text: str = ""
    classes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def features(schema: pa.Schema) -> dict[str, Any]:
    """What Hugging Face's metadata say about each column; {} where there are none."""
    try:
        told = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def find(schema: pa.Schema, wanted: Sequence[tuple[str, str]], where: str) -> Columns:
    """The columns of a file. wanted: what the user said (`Options.columns`). Raises `DataError` with the choice."""
    asked, told = dict(wanted), features(schema)
    for role, name in asked.items():
        if name not in schema.names:
            raise _unclear(f"no column is called {name!r}", schema, where, role)
    image = _image(schema, asked.get("image"), told, where)
    kind = schema.field(image).type
    path = f"{image}.path" if _is_struct(kind) and _is_text(_child(kind, "path")) else ""
    path = next((name for name in FILE_NAMES if name in schema.names and _is_text(schema.field(name).type)), path)
    label, warning = _label(schema, asked.get("label"), told, where)
    names = told.get(label, {}).get("names") if isinstance(told.get(label), dict) else None
    return Columns(
        image=image,
        nested=_is_struct(kind),
        path=path,
        label=label,
        text=_text(schema, asked.get("text"), where),
        classes=tuple(str(name) for name in names) if isinstance(names, list) else (),
        warnings=(warning,) if warning else (),
    )


def _image(schema: pa.Schema, asked: str | None, told: dict[str, Any], where: str) -> str:
    if asked is not None:
        if not _holds_images(schema.field(asked).type):
            raise _unclear(f"column {asked!r} holds no bytes of images", schema, where, "image")
        return asked
    fit = [field.name for field in schema if _holds_images(field.type)]
    for chosen in (
        [name for name in fit if _feature(told, name) == "Image"],
        [name for name in fit if _is_struct(schema.field(name).type)],
        fit,
    ):
        if len(chosen) == 1:
            return str(chosen[0])
        named = [name for name in IMAGE_NAMES if name in chosen]
        if len(chosen) > 1 and len(named) == 1:
            return str(named[0])
        if chosen:
            raise _unclear(f"several columns could hold the images: {', '.join(chosen)}", schema, where, "image")
    raise _unclear("no column holds bytes of images", schema, where, "image")


def _label(schema: pa.Schema, asked: str | None, told: dict[str, Any], where: str) -> tuple[str, str]:
    """(the column of classes or "", a warning or "")."""
    if asked is not None:
        if not (_is_whole(schema.field(asked).type) or _is_text(schema.field(asked).type)):
            raise _unclear(f"column {asked!r} holds neither whole numbers nor texts", schema, where, "label")
        return asked, ""
    fit = [field.name for field in schema if _is_whole(field.type) or _is_text(field.type)]
    said = [name for name in fit if _feature(told, name) == "ClassLabel"]
    named = [name for name in LABEL_NAMES if name in (said or fit)]
    if len(said) == 1 or (named and (len(named) == 1 or named[0] == "label")):
        return (said[0] if len(said) == 1 else named[0]), ""
    choice = said or named
    if not choice:
        return "", ""
    several = ", ".join(choice)
    return "", f"several columns could be the class ({several}): none is used; choose one with --columns label=NAME"


def _text(schema: pa.Schema, asked: str | None, where: str) -> str:
    if asked is not None:
        if not _holds_texts(schema.field(asked).type):
            raise _unclear(f"column {asked!r} holds no texts", schema, where, "text")
        return asked
    fit = [field.name for field in schema if _holds_texts(field.type)]
    return next((name for name in TEXT_NAMES if name in fit), "")


def numbered(values: pa.ChunkedArray, classes: tuple[str, ...]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """(n,) numbers of classes, −1 where there is none, and the names of the classes: `classes` where they are known."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if not _is_whole(values.type):
        texts = values.cast(pa.large_string())
        names = classes or tuple(sorted(name for name in pc.unique(texts).to_pylist() if name))
        found = pc.index_in(texts, value_set=pa.array(names, pa.large_string()))
        return _whole(found), names
    numbers = _whole(values)
    highest = int(numbers.max(initial=-1))
    if classes or highest < _MOST_CLASSES:
        return numbers, classes or tuple(str(number) for number in range(highest + 1))
    distinct = np.unique(numbers[numbers >= 0])
    known = np.searchsorted(distinct, numbers)
    return np.where(numbers >= 0, known, -1).astype(np.int64), tuple(str(number) for number in distinct)


def _whole(values: pa.ChunkedArray) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.fill_null(values.cast(pa.int64()), -1)
    numbers = np.asarray(filled, dtype=np.int64)
    return np.where(numbers < 0, -1, numbers)


def _feature(told: dict[str, Any], name: str) -> str:
    feature = told.get(name)
    return str(feature.get("_type", "")) if isinstance(feature, dict) else ""


def _is_struct(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind))


def _child(kind: pa.DataType, name: str) -> pa.DataType | None:
    where = kind.get_field_index(name)
    return kind.field(where).type if where >= 0 else None


def _is_binary(kind: pa.DataType | None) -> bool:
    import pyarrow as pa

    return kind is not None and bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _holds_images(kind: pa.DataType) -> bool:
    return _is_binary(_child(kind, "bytes")) if _is_struct(kind) else _is_binary(kind)


def _is_text(kind: pa.DataType | None) -> bool:
    import pyarrow as pa

    if kind is not None and pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind is not None and bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_whole(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_integer(kind))


def _holds_texts(kind: pa.DataType) -> bool:
    import pyarrow as pa

    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return _is_text(kind.value_type) if listed else _is_text(kind)


def _unclear(what: str, schema: pa.Schema, where: str, role: str) -> DataError:
    columns = ", ".join(f"{field.name} ({field.type})" for field in schema)
    return DataError(
        "DATA-COLUMNS", what, where=where, why=f"its columns are {columns}",
        fix=f"say which one: --columns {role}=NAME",
    )  # fmt: skip
