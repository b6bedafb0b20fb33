"""Labels and captions: rows 28 and 30 to 32 of the matrix of bad inputs, and what the imagefolder convention allows."""

from __future__ import annotations

import csv
import io
import json
import shutil
import unicodedata
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sparring.data import Manifest, open_data, reopen
from sparring.data.labels import annotate, counts, difference, judge, numbered_as, trimmed
from sparring.data.labels.classes import number_classes
from sparring.data.options import Options
from sparring.data.report import few
from sparring.data.sources import open_source
from sparring.data.sources.idx import source as idx_source
from sparring.data.sources.items import Annotations, Item, Items, Source
from sparring.errors import DataError

SMALL = Options(size=(16, 16), labels="folders")
FOUR = ("a.png", "b.png", "c.png", "d.png")


class Told(Source):
    """Items of these names, and files beside them."""

    def __init__(self, names: Iterable[str], beside: dict[str, bytes] | None = None, **own: Any) -> None:
        super().__init__(name="told", place="DATA", own=Annotations(**own))
        self.items = Items(Item(name, "") for name in names)
        self.beside, self._beside = list(beside or {}), beside or {}

    def read(self, number: int) -> bytes:
        raise AssertionError("annotations never read images")

    def read_beside(self, name: str) -> bytes:
        return self._beside[name]


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def table(*rows: Iterable[object], **dialect: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue().encode()


def stylegan(labels: Any) -> dict[str, bytes]:
    return {"dataset.json": json.dumps({"labels": labels}).encode()}


def labelled(pairs: dict[str, Any]) -> dict[str, bytes]:
    return {"metadata.jsonl": lines(*({"file_name": name, "label": label} for name, label in pairs.items()))}


def known(source: Source, options: Options | None = None) -> dict[str, str | None]:
    """The class of each item by name."""
    found = annotate(source, options or Options())
    if found.labels is None:
        return {}
    assert found.labels.shape == (len(source.items),) and found.labels.dtype == np.int64
    return {name: found.classes[k] if k >= 0 else None for name, k in zip(source.items.names, found.labels)}


def every(source: Source) -> np.ndarray:
    return np.arange(len(source.items))


def judged(source: Source, options: Options | None = None) -> list[str]:
    return judge(annotate(source, options or Options()), every(source), source)


def stopped(source: Source, *words: str, options: Options | None = None, code: str = "DATA-LABELS") -> DataError:
    """The error of annotating and judging, which has a fix, names the place and says these words."""
    with pytest.raises(DataError) as caught:
        judged(source, options)
    error = caught.value
    assert error.code == code and error.fix and error.where.startswith("DATA"), str(error)
    for word in words:
        assert word in str(error), f"{word!r} not in {error}"
    assert all(letter.isprintable() or letter == "\n" for letter in str(error))
    return error


# ── the imagefolder convention ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_labels_and_captions_from_metadata(kind: str) -> None:
    rows = [
        ("file_name", "label", "text"),
        ("b.png", "dog", 'he said "wuff", twice'),
        ("a.png", "cat", "purrs\nloudly"),
    ]
    data = table(*rows) if kind == "csv" else lines(*(dict(zip(rows[0], row)) for row in rows[1:]))
    found = annotate(Told(("a.png", "b.png"), {f"metadata.{kind}": data}), Options())
    assert found.labels is not None and found.labels.tolist() == [0, 1] and found.classes == ("cat", "dog")
    assert found.captions is not None and list(found.captions) == [("purrs\nloudly",), ('he said "wuff", twice',)]
    assert (found.origin, found.warnings) == (f"metadata.{kind}", ())


def test_captions_one_many_none_and_over_several_rows() -> None:
    data = lines(
        {"file_name": "a.png", "text": ["one", "two", ""]},
        {"file_name": "b.png", "text": None},
        {"file_name": "c.png", "text": "first"},
        {"file_name": "c.png", "text": "second"},
        {"file_name": "c.png", "text": "second"},
    )
    source = Told(FOUR, {"metadata.jsonl": data})
    found = annotate(source, Options())
    assert found.labels is None and found.classes == ()
    assert found.captions is not None and list(found.captions) == [("one", "two"), (), ("first", "second"), ()]
    (warning,) = judge(found, every(source), source)
    assert "no caption for 2 of 4 images: b.png, d.png" in warning


@pytest.mark.parametrize("labels, classes", [
    ([10, 9, 2], ("2", "9", "10")),
    (["10", "9", "2"], ("10", "2", "9")),  # text in JSON is text
    ([True, False, True], ("false", "true")),
    ([1.0, 3, 2.0], ("1", "2", "3")),
    (["é", "z", "a"], ("a", "z", "é")),
])  # fmt: skip
def test_the_order_of_classes(labels: list[Any], classes: tuple[str, ...]) -> None:
    source = Told(FOUR[:3], labelled(dict(zip(FOUR, labels))))
    assert annotate(source, Options()).classes == classes
    assert known(source) == {name: str(label).lower().removesuffix(".0") for name, label in zip(FOUR, labels)}


@pytest.mark.parametrize("cells, classes", [
    (["10", "9", "2"], ("2", "9", "10")),
    (["1.0", "3", "2."], ("1", "2", "3")),  # as pandas writes whole numbers beside gaps
    (["01", "1", "02"], ("01", "02", "1")),  # zeros in front: codes, not numbers
    (["cat", "7", "1.5"], ("1.5", "7", "cat")),
    (["True", "False", "True"], ("False", "True")),
])  # fmt: skip
def test_cells_are_numbers_only_if_all_are(cells: list[str], classes: tuple[str, ...]) -> None:
    data = table(("file_name", "label"), *zip(FOUR, cells))
    assert annotate(Told(FOUR[:3], {"metadata.csv": data}), Options()).classes == classes


def test_several_metadata_files_each_relative_to_its_own_folder() -> None:
    beside = {
        "train/metadata.csv": table(("file_name", "label"), ("a.png", "x"), ("deep/a.png", "y")),
        "val/metadata.jsonl": lines({"file_name": "./a.png", "label": "x"}, {"file_name": "../top.png", "label": "z"}),
    }
    source = Told(("top.png", "train/a.png", "train/deep/a.png", "val/a.png"), beside)
    assert known(source) == {"top.png": "z", "train/a.png": "x", "train/deep/a.png": "y", "val/a.png": "x"}
    assert annotate(source, Options()).origin == "metadata.csv and metadata.jsonl"


def test_a_label_column_by_another_name() -> None:
    source = Told(FOUR, {"metadata.csv": table(("path", "breed", "caption"), *((n, "x" + n, "c" + n) for n in FOUR))})
    options = Options(columns=(("image", "path"), ("label", "breed"), ("text", "caption")))
    found = annotate(source, options)
    assert found.classes == ("xa.png", "xb.png", "xc.png", "xd.png")
    assert found.captions is not None and found.captions[1] == ("cb.png",)
    wrong = Options(columns=(("image", "path"), ("label", "bread")))
    stopped(source, "no column 'bread'", "path, breed, caption", "label=breed", options=wrong, code="DATA-COLUMNS")
    stopped(Told(FOUR), "'bread' was named", options=Options(columns=wrong.columns[1:]), code="DATA-COLUMNS")


@pytest.mark.parametrize("recode", [
    lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: text.replace("\n", "\n\n").encode(),
    lambda text: text.rstrip("\n").encode(),
], ids=["BOM", "CRLF", "blank lines", "no last newline"])  # fmt: skip
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_how_files_are_saved_does_not_matter(kind: str, recode: Callable[[str], bytes]) -> None:
    rows = (("file_name", "label"), ("a.png", "ü"), ("b.png", "s;t"))
    text = (lines(*(dict(zip(rows[0], row)) for row in rows[1:])) if kind == "jsonl" else
            table(*rows, lineterminator="\n")).decode()  # fmt: skip
    assert known(Told(("a.png", "b.png"), {f"metadata.{kind}": recode(text)})) == {"a.png": "ü", "b.png": "s;t"}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_tables_from_a_spreadsheet(delimiter: str) -> None:
    data = table(("text", "file_name", "label"), ("a, b", "a.png", 3), delimiter=delimiter)
    found = annotate(Told(("a.png",), {"metadata.csv": data}), Options())
    assert found.classes == ("3",) and found.captions is not None and found.captions[0] == ("a, b",)


def test_names_match_in_any_unicode_form_and_with_backslashes() -> None:
    composed, apart = (unicodedata.normalize(form, "sub/café.png") for form in ("NFC", "NFD"))
    assert composed != apart
    for stored in (composed, apart):
        for told in (composed, apart, composed.replace("/", "\\"), "./" + apart):
            assert known(Told((stored,), labelled({told: "x"}))) == {stored: "x"}
    odd = ("bytes\udcff.png", "a\\b.png", "new\nline.png")
    assert known(Told(odd, labelled(dict.fromkeys(odd, 1)))) == dict.fromkeys(odd, "1")


# ── what metadata get wrong ───────────────────────────────────────────────────────────────────────────────────────


def test_files_that_are_not_there_and_images_without_an_entry() -> None:
    there = {"a.png": "x", "b.png": "y", "c.png": "x", "d.png": "y"}
    source = Told(FOUR, labelled({**there, **{f"gone{k}.png": "z" for k in range(12)}}))
    (warning,) = annotate(source, Options()).warnings
    assert "12 of 16 rows" in warning and "gone0.png" in warning and "and 2 more" in warning
    assert judged(source) == ["classes without a single image that can be used: z"]
    del there["c.png"]
    found = annotate(Told(FOUR, labelled(there)), Options())
    assert found.labels is not None and found.labels.tolist() == [0, 1, -1, 1]
    stopped(Told(FOUR, labelled(there)), "no label for 1 of 4 images in metadata.jsonl", "c.png", "--labels none")


def test_unlabelled_matters_only_among_usable_images_and_where_labels_are_used() -> None:
    source = Told((*FOUR, "README.txt"), labelled(dict.fromkeys(FOUR, 1)))
    found = annotate(source, Options())
    assert judge(found, np.arange(4), source) == ["all images are of one class, '1': labels say nothing"]
    off = annotate(source, Options(labels="none"))
    assert off.labels is None and judge(off, every(source), source) == []


def test_names_from_another_folder_are_pointed_out() -> None:
    source = Told(("train/x/Cat.JPG",), labelled({"x/cat.jpg": "cat"}))
    stopped(source, "there is train/x/Cat.JPG", "relative to the metadata file's folder")


def test_two_labels_for_one_image() -> None:
    rows = [{"file_name": n, "label": "x"} for n in FOUR] + [{"file_name": "./b.png", "label": "y"}]
    stopped(Told(FOUR, {"metadata.jsonl": lines(*rows)}), "b.png is 'x' (line 2) and 'y' (line 5)", "metadata.jsonl")
    rows[-1]["label"] = "x"
    assert known(Told(FOUR, {"metadata.jsonl": lines(*rows)})) == dict.fromkeys(FOUR, "x")
    both = {"metadata.csv": table(("file_name", "label"), ("a.png", "x")), **labelled({"a.png": "y"})}
    stopped(Told(("a.png",), both), "'x'", "'y'")


@pytest.mark.parametrize("label, words", [
    (1.5, "1.5 is not a whole number"),
    (float("nan"), "NaN"),
    (float("inf"), "inf"),
    (-1, "-1 is negative"),
    ("", "an empty label"),
    ("  ", "an empty label"),
    ([1, 2], "several labels"),
    ({"x": 1}, "neither text nor a number"),
])  # fmt: skip
def test_labels_that_are_no_classes_are_named_with_line_and_file(label: Any, words: str) -> None:
    data = labelled({"a.png": 1, "b.png": label, "c.png": label, "d.png": 1})
    stopped(Told(FOUR, data), "line 2 (b.png)", "line 3 (c.png)", words, "DATA/metadata.jsonl")
    assert known(Told(FOUR, data), Options(labels="none")) == {}


@pytest.mark.parametrize("cell, words", [("1.5", "1.5 is not"), ("nan", "NaN"), ("-1", "negative"), (" ", "empty")])
def test_cells_that_are_no_classes(cell: str, words: str) -> None:
    data = table(("file_name", "label"), ("a.png", 0), ("b.png", cell), ("c.png", 1))
    stopped(Told(FOUR[:3], {"metadata.csv": data}), "line 3 (b.png)", words, "DATA/metadata.csv")


def test_labels_of_different_kinds() -> None:
    stopped(Told(FOUR, labelled({"a.png": 3, "b.png": "cat"})), "text ('cat')", "numbers (3)", code="DATA-CLASSES")


@pytest.mark.parametrize("data, words", [
    (b'{"file_name": "a.png"}\n{"file_name": "b.png"\n', "line 2 is not JSON"),
    (b'["a.png", 1]\n', "line 1 is not a JSON object"),
    (b'{"file_name": "a.png"}\n{"file_name": "\xff.png"}\n', "line 2 is not UTF-8"),
    ('{"file_name": "a.png"}\n'.encode("utf-16"), "UTF-16"),
    (b'{"file_name": "a.png"}\n{"label": 1}\n', "line 2: no 'file_name'"),
    (b'{"file_name": 7}\n', "line 1: 'file_name' is 7"),
    (b'{"file_name": "a.png", "text": 7}\n', "line 1: 'text' is 7"),
    (b'{"file_name": "a.png", "text": "\\ud83d"}\n', "half a character"),
    (b"[" * 100_000, "line 1 is not JSON"),
    (b'{"file_name": "a.png", "label": ' + b"9" * 5000 + b"}", "line 1 is not JSON"),
])  # fmt: skip
def test_lines_that_cannot_be_understood(data: bytes, words: str) -> None:
    stopped(Told(FOUR, {"sub/metadata.jsonl": data}), "DATA/sub/metadata.jsonl", words, code="DATA-METADATA")


@pytest.mark.parametrize("data, words", [
    (b"file_name,label\na.png,1\nb.png,1,2\n", "line 3 has 3 cells, the header 2"),
    (b"file_name,text\na.png,a cat, asleep\n", "in quotes"),
    (b'file_name,label\na.png,"1\n', "line 2"),
    (b"file_name,label\na.png,\xe4\n", "line 2 is not UTF-8"),
    (b"file_name,label,label\na.png,1,2\n", "two columns are called 'label'"),
    (b"file_name,label\n,1\na.png,1\n", "line 2: no 'file_name'"),
])  # fmt: skip
def test_rows_that_cannot_be_understood(data: bytes, words: str) -> None:
    stopped(Told(FOUR, {"metadata.csv": data}), "DATA/metadata.csv", words, code="DATA-METADATA")


def test_metadata_that_cannot_be_read(folder: Callable[..., Path]) -> None:
    source = Told(FOUR, labelled({}))

    def refuse(name: str) -> bytes:
        raise PermissionError(13, "Permission denied", name)

    source.read_beside = refuse  # type: ignore[method-assign]
    stopped(source, "Permission denied", "DATA/metadata.jsonl", code="DATA-METADATA")


def test_metadata_about_pairs_are_left_alone_with_a_word() -> None:
    source = Told(FOUR, {"metadata.jsonl": lines({"file_A": "a.png", "file_B": "b.png", "text": "x"})})
    found = annotate(source, Options())
    assert (found.labels, found.captions) == (None, None)
    (warning,) = found.warnings
    assert "two files in each row" in warning and "--pairs columns" in warning
    taken = annotate(source, Options(columns=(("image", "file_B"),)))
    assert taken.captions is not None and taken.captions[1] == ("x",) and not taken.captions[0]


@pytest.mark.parametrize("beside", [{}, {"metadata.csv": b""}, {"metadata.jsonl": lines({"file_name": "a.png"})},
                                    {"dataset.json": b'{"labels": null}'}, {"dataset.json": b"[1]"}])  # fmt: skip
def test_nothing_said_is_no_labels_unless_they_were_asked_for(beside: dict[str, bytes]) -> None:
    source = Told(FOUR, beside)
    assert annotate(source, Options()).labels is None and judged(source) == []
    stopped(source, "labels from metadata were asked for", options=Options(labels="metadata"))


def test_the_likely_column_is_proposed() -> None:
    source = Told(FOUR, {"metadata.jsonl": lines({"file_name": "a.png", "breed": "x"})})
    stopped(source, "columns: file_name, breed", "label=breed", options=Options(labels="metadata"))


def test_where_labels_come_from() -> None:
    own = {"labels": np.array([0, 1]), "classes": ("o", "p"), "captions": [("own",), ()], "origin": "parquet"}
    names = ("x/a.png", "y/b.png")
    plain = Told(names, **own)
    assert known(plain) == known(plain, Options(labels="metadata")) == {"x/a.png": "o", "y/b.png": "p"}
    assert known(plain, Options(labels="folders")) == {"x/a.png": "x", "y/b.png": "y"}
    off = annotate(plain, Options(labels="none"))
    assert off.labels is None and off.captions == [("own",), ()] and off.classes == ()
    told = Told(names, {**labelled({"x/a.png": "m", "y/b.png": "m"}), **stylegan([])}, **own)
    assert known(told) == dict.fromkeys(names, "m")
    only_text = Told(names, {"metadata.jsonl": lines({"file_name": "x/a.png", "text": "said"})}, **own)
    found = annotate(only_text, Options())
    assert found.origin == "parquet" and list(found.captions or ()) == [("said",), ()]
    for mode in ("none", "folders"):
        found = annotate(only_text, Options(labels=mode))  # type: ignore[arg-type]
        assert list(found.captions or ()) == [("said",), ()]


# ── dataset.json ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_stylegan_labels_by_number_and_one_hot() -> None:
    numbers = dict(zip(FOUR, (3, 0, 3, 12)))
    expected = {name: str(k) for name, k in numbers.items()}
    vectors = [[name, [float(k == j) for j in range(13)]] for name, k in numbers.items()]
    for told in (list(numbers.items()), numbers, [[n, float(k)] for n, k in numbers.items()], vectors):
        source = Told(FOUR, stylegan(told))
        assert known(source) == known(source, Options(labels="metadata")) == expected
        assert annotate(source, Options()).classes == ("0", "3", "12")
        assert annotate(source, Options()).origin == "dataset.json"
    beside = stylegan([[f"00000\\{name}", k] for name, k in numbers.items()])
    below = Told([f"sub/00000/{name}" for name in FOUR], {"sub/dataset.json": beside["dataset.json"]})
    assert list(known(below).values()) == list(expected.values())


def test_vectors_of_measurements_are_no_classes() -> None:
    source = Told(FOUR, stylegan([[n, [0.1, 0.9, 0.0]] for n in FOUR]))
    found = annotate(source, Options())
    assert found.labels is None and "not classes" in found.warnings[0]
    stopped(source, "not classes", options=Options(labels="metadata"))


GOOD = [[f"{k:04d}.png", k % 10] for k in range(100)]


@pytest.mark.parametrize("spoil, words", [
    (lambda labels: labels.pop(41), ["no label for 1 of 100 images in dataset.json", "0041.png"]),
    (lambda labels: labels[41].__setitem__(1, None), ["0041.png: no label"]),
    (lambda labels: labels[41].__setitem__(1, float("nan")), ["0041.png: NaN"]),
    (lambda labels: labels[41].__setitem__(1, "cat"), ["0041.png", "'cat'".replace("'", '"')]),
    (lambda labels: labels[41].__setitem__(1, -1), ["0041.png: -1 is negative"]),
    (lambda labels: labels[41].__setitem__(1, 0.5), ["0041.png: 0.5"]),
    (lambda labels: labels[41].__setitem__(1, [0, 1]), ["0041.png: a vector"]),
    (lambda labels: labels[41].__setitem__(1, 999), ["0041.png: 999", "those are 0 to 9"]),
    (lambda labels: labels[41].__setitem__(0, "none.png"), ["none.png", "not there"]),
    (lambda labels: labels.append(["more.png", 3]), ["more.png", "not there"]),
    (lambda labels: labels.append(["0041.png", 3]), ["0041.png: 1 and 3"]),
    (lambda labels: labels.append("0041.png"), ["entry 100"]),
    (lambda labels: labels.append(["0041.png", 1, 2]), ["entry 100"]),
])  # fmt: skip
def test_no_label_vanishes_silently(spoil: Callable[[list[Any]], Any], words: list[str]) -> None:
    labels = json.loads(json.dumps(GOOD))
    spoil(labels)
    source = Told([name for name, _ in GOOD], stylegan(labels))
    stopped(source, *words, "--labels none")
    assert judged(source, Options(labels="none")) == []


@pytest.mark.parametrize("vector, words", [([0, 1, 0], "3 numbers where others have 2"), ([0, float("nan")], "NaN"),
                                           ([0, "x"], "not a number")])  # fmt: skip
def test_vectors_that_do_not_fit_are_named(vector: list[Any], words: str) -> None:
    labels = [[name, [1, 0]] for name in FOUR[:3]] + [["d.png", vector]]
    stopped(Told(FOUR, stylegan(labels)), f"d.png: {words}" if words[0] == "3" else words, "d.png")


def test_class_numbers_far_apart_are_fine_where_all_are() -> None:
    names = [f"{k}.png" for k in range(60)]
    spread = Told(names, stylegan([[n, (3, 417, 999)[k % 3]] for k, n in enumerate(names)]))
    assert annotate(spread, Options()).classes == ("3", "417", "999")
    halves = Told(names, stylegan([[n, (0, 1, 2, 40)[k % 4]] for k, n in enumerate(names)]))
    assert annotate(halves, Options()).classes == ("0", "1", "2", "40")


def test_entries_of_files_that_were_left_out_of_the_listing_are_fine() -> None:
    source = Told(FOUR, stylegan([[n, 1] for n in (*FOUR, "locked.png")]))
    source.listed_out.append(("locked.png", "encrypted"))
    assert known(source) == dict.fromkeys(FOUR, "1")


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_broken_dataset_json(data: bytes) -> None:
    stopped(Told(FOUR, {"dataset.json": data}), "DATA/dataset.json", code="DATA-METADATA")


# ── class folders ─────────────────────────────────────────────────────────────────────────────────────────────────

FOLDERS = Options(labels="folders")


def test_the_first_folder_is_the_class() -> None:
    source = Told(("dog/1.png", "cat/1.png", "cat/deep/er/2.png", "dog/2.png"))
    assert known(source) == {}  # never by themselves
    assert list(known(source, FOLDERS).values()) == ["dog", "cat", "cat", "dog"]
    assert annotate(source, FOLDERS).classes == ("cat", "dog") and judged(source, FOLDERS) == []


def tree(*folders: str, each: int = 3) -> list[str]:
    return [f"{folder}/{k}.png" if folder else f"{k}.png" for folder in folders for k in range(each)]


@pytest.mark.parametrize("names, right", [
    (tree("train/cat", "train/dog"), "train"),
    (tree("photos/cat", "photos/dog"), "photos"),
    (tree("photos/train/cat", "photos/train/dog", "photos/test/cat", "photos/test/dog"), "photos/train"),
    (tree("a/b/c/cat", "a/b/c/dog"), "a/b/c"),
    (tree("val/cat", "val/dog", "train/cat", "train/dog", "test/cat"), "train"),
    (tree("Test/cat", "Test/dog", "Train/cat", "Train/dog"), "Train"),
])  # fmt: skip
def test_the_wrong_level_stops_with_the_right_one(names: list[str], right: str, tmp_path: Path) -> None:
    top = names[0].split("/")[0]
    error = stopped(Told(names), "numbers of images", f"{top}/", f"lie in '{right}'", options=FOLDERS)
    assert "cat/ 3" in error.why or right.count("/")
    for name in names:
        (tmp_path / "real" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "real" / name).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        judged(open_source(str(tmp_path / "real")), FOLDERS)
    assert f"{tmp_path / 'real'}/{right}" in caught.value.fix
    assert judged(open_source(str(tmp_path / "real" / right)), FOLDERS) == []


def test_no_class_folders_at_all() -> None:
    stopped(Told(FOUR), "no class folders", options=FOLDERS)
    stopped(Told(tree("train", "test")), "divide the data", "images 3", options=FOLDERS)
    stopped(Told(tree("photos")), "one class folder only, 'photos'", options=FOLDERS)
    source = Told([*FOUR, "docs/readme.txt"])
    with pytest.raises(DataError, match="all lie at the top"):
        judge(annotate(source, FOLDERS), np.arange(4), source)


def test_images_beside_class_folders_stop_and_other_files_there_do_not() -> None:
    source = Told(["loose.png", "README.md", *tree("cat", "dog")])
    found = annotate(source, FOLDERS)
    with pytest.raises(DataError, match=r"images at the top, beside the class folders(.|\n)*loose\.png") as caught:
        judge(found, np.array([0, *range(2, 8)]), source)
    assert caught.value.code == "DATA-LABELS" and "README" not in str(caught.value)
    assert judge(found, np.arange(2, 8), source) == []


def test_empty_class_folders_are_named_and_no_classes(tmp_path: Path, folder: Callable[..., Path]) -> None:
    root = tmp_path / "data"
    for name in ("cat", "dog"):
        shutil.copytree(folder(3), root / name)
    (root / "fox").mkdir()
    (root / ".ipynb_checkpoints").mkdir()
    (root / "notes").mkdir()
    (root / "notes" / "a.txt").write_text("words")
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(root.rglob("*")):
            file.write(path, path.relative_to(root))
    for place in (root, archive):
        source = open_source(str(place))
        found = annotate(source, FOLDERS)
        used = np.array([k for k, name in enumerate(source.items.names) if name.endswith(".png")])
        assert sorted(source.folders) == sorted({"cat", "dog", "fox", "notes"})
        assert found.warnings == ("empty class folders, which are no classes: fox",)
        assert judge(found, used, source) == ["classes without a single image that can be used: notes"]
        assert trimmed(found, used).classes == ("cat", "dog") and judge(trimmed(found, used), used, source) == []


# ── names and sizes of classes ────────────────────────────────────────────────────────────────────────────────────


def test_names_that_look_alike_stop() -> None:
    forms = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    for pair, words in (
        (("Cat", "cat"), "'Cat' and 'cat'"),
        (("cat", "cat "), "only by case or blanks"),
        (tuple(forms), r"'e\u0301' and '\xe9'"),
        (("STRASSE", "straße"), "'STRASSE' and 'straße'"),
    ):
        stopped(Told([f"{name}/1.png" for name in pair]), words, options=FOLDERS, code="DATA-CLASSES")
    stopped(Told(FOUR, labelled(dict(zip(FOUR, ("x", "X"))))), "'X' and 'x'", code="DATA-CLASSES")
    stopped(Told(FOUR, labelled(dict(zip(FOUR, forms)))), "NFC and NFD", code="DATA-CLASSES")


def test_class_names_are_composed_and_never_blank() -> None:
    apart = unicodedata.normalize("NFD", "é")
    assert annotate(Told([f"{apart}/1.png", "b/1.png"]), FOLDERS).classes == ("b", "é")
    stopped(Told([" /1.png", "b/1.png"]), "empty or blank", "' '", options=FOLDERS, code="DATA-CLASSES")


def test_hostile_names_are_printed_harmlessly() -> None:
    names = ["<script>\n\x1b[31m/1.png", "bytes\udcff/1.png", "x" * 5000 + "/1.png"]
    assert len(judged(Told(names), FOLDERS)[0]) < 400
    error = stopped(Told([*names, "loose\n.png"]), "loose\\n.png", options=FOLDERS)
    assert str(error).encode()
    stopped(Told(["\x1b[31mone/1.png"]), "\\x1b[31mone", options=FOLDERS)


def sized(**sizes: int) -> tuple[Annotations, Source, np.ndarray]:
    labels = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    source = Told(map(str, range(len(labels))))
    return Annotations(labels, tuple(sizes), origin="parquet"), source, np.arange(len(labels))


def test_uneven_classes_are_named_with_numbers() -> None:
    assert judge(*_used(sized(a=100, b=2))) == []
    (uneven,) = judge(*_used(sized(a=202, b=2)))
    assert "101 to 1" in uneven and "'a' has 202" in uneven and "'b' 2" in uneven and "never" not in uneven
    (hopeless,) = judge(*_used(sized(a=20_000, b=2)))
    assert "10,000 to 1" in hopeless and "never" in hopeless
    (single,) = judge(*_used(sized(a=100, b=1)))
    assert "one image only" in single and single.endswith(": b")
    found, source, _ = sized(a=100, b=1)
    (empty,) = judge(replace(found, classes=("a", "b", "c")), np.array([*range(100), 100, 100]), source)
    assert empty.endswith(": c")
    many, source, used = sized(**{f"c{k}": 1 for k in range(80)})
    assert "80 classes for 80 images" in judge(many, used, source)[0]


def _used(made: tuple[Annotations, Source, np.ndarray]) -> tuple[Annotations, np.ndarray, Source]:
    return made[0], made[2], made[1]


def test_counts_are_over_used_images() -> None:
    found, _, used = sized(a=3, b=2)
    assert counts(found, used) == {"a": 3, "b": 2}
    assert counts(found, used[:3]) == {"a": 3, "b": 0}
    assert counts(found, np.array([0, 0, 4])) == {"a": 2, "b": 1}
    assert counts(Annotations(), used) == {}
    assert trimmed(Annotations(), used).classes == ()


@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=8), st.randoms())
def test_the_numbering_depends_on_the_set_of_classes_alone(names: list[str], random: Any) -> None:
    distinct = list(dict.fromkeys(names))
    shuffled = random.sample(distinct, len(distinct))
    try:
        classes, number = number_classes(distinct, "x")
    except DataError:
        with pytest.raises(DataError):
            number_classes(shuffled, "x")
        return
    again, other = number_classes(shuffled, "x")
    assert again == classes and list(classes) == sorted(classes)
    assert sorted(number.tolist()) == list(range(len(distinct)))
    assert {n: int(k) for n, k in zip(distinct, number)} == {n: int(k) for n, k in zip(shuffled, other)}


# ── a later look at the data ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("before, after, words", [
    (("a", "b"), ("b", "a"), ""),
    (("cat", "dog"), ("cat", "dog", "newt"), "added: newt"),
    (("cat", "dog", "newt"), ("cat", "dog"), "removed: newt"),
    (("T-shirt", "hat"), ("hat", "t_shirt"), "renamed? T-shirt → t_shirt"),
    (("outwear", "hat"), ("outerwear", "hat"), "renamed? outwear → outerwear"),
    (("bird", "kat"), ("cat", "xylophone"), "added: xylophone; removed: bird; renamed? kat → cat"),
    ((), ("a",), "added: a (the run had no labels)"),
    (("a",), (), "removed: a (there are no labels now)"),
])  # fmt: skip
def test_the_difference_of_two_sets_of_classes(before: tuple[str, ...], after: tuple[str, ...], words: str) -> None:
    assert difference(before, after) == words


def test_many_classes_are_not_all_listed() -> None:
    told = difference(tuple(f"old {k}" for k in range(2000)), tuple(f"new {k}" for k in range(2000)))
    assert "and 1,990 more" in told and len(told) < 400
    assert few(range(3)) == "0, 1, 2"


def test_a_run_keeps_its_numbers() -> None:
    now = Annotations(np.array([0, 1, -1, 2]), ("a", "b", "c"))
    kept = numbered_as(now, ("c", "a", "b"))
    assert kept.classes == ("c", "a", "b") and kept.labels is not None and kept.labels.tolist() == [1, 2, -1, 0]
    assert numbered_as(now, ("a", "b", "c")) is now and numbered_as(Annotations(), ()).labels is None
    for other in (("a", "b"), ("a", "b", "d"), ()):
        with pytest.raises(DataError) as caught:
            numbered_as(now, other, "DATA")
        assert caught.value.code == "DATA-CLASSES" and caught.value.why == difference(other, now.classes)


@pytest.fixture
def pets(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    """20 cats, 20 dogs, a folder of notes, one of damaged images and one of nothing."""
    root = tmp_path / "pets"
    for number in range(40):
        place = root / ("cat" if number < 20 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        noise(number).save(place / f"{number}.png")
    for name in ("notes", "broken", "nothing"):
        (root / name).mkdir()
    (root / "notes" / "a.txt").write_text("words")
    whole = (root / "cat" / "0.png").read_bytes()
    (root / "broken" / "1.png").write_bytes(whole[: len(whole) // 2])
    return root


def test_folder_and_zip_have_the_same_classes_and_the_same_fingerprint(pets: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as file:
        for path in sorted(pets.glob("[cd]*/*.png")):
            file.write(path, path.relative_to(pets))
    first, second = (open_data(str(place), SMALL) for place in (pets, tmp_path / "pets.zip"))
    assert first.classes == second.classes == ("cat", "dog") and first.fingerprint == second.fingerprint
    assert first.report.classes == {"cat": 20, "dog": 20} and first.report.labels == "folders"
    told = " ".join(first.report.warnings)
    assert "which are no classes: nothing" in told and "can be used: broken, notes" in told


def test_a_resume_stops_at_other_classes_alone(pets: Path) -> None:
    manifest = Manifest.of(open_data(str(pets), SMALL))
    assert manifest is not None
    reopen(manifest, str(pets), SMALL)
    shutil.rmtree(pets / "broken")
    shutil.rmtree(pets / "notes")
    reopen(manifest, str(pets), SMALL)
    (pets / "dog").rename(pets / "dogs")
    with pytest.raises(DataError) as caught:
        reopen(manifest, str(pets), SMALL)
    assert caught.value.code == "DATA-CLASSES" and caught.value.why == "renamed: dog → dogs"


# ── real data ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_clothing(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "clothing_128.zip"
    with pytest.raises(DataError) as caught:
        judged(open_source(str(archive)), FOLDERS)
    assert "divide the data" in str(caught.value) and "lie in 'train'" in caught.value.fix
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path, [name for name in file.namelist() if name.startswith("train/")])
    source = open_source(str(tmp_path / "train"))
    found = annotate(source, FOLDERS)
    assert len(found.classes) == 10 and counts(found, every(source))["t-shirt"] == 795
    assert judge(found, every(source), source) == []


def test_emoji_and_pairs(shared_data: Path) -> None:
    styles = open_source(str(shared_data / "emoji_styles_64.zip"))
    found = annotate(styles, FOLDERS)
    assert found.classes == ("noto", "openmoji", "twemoji") and "no column 'file_name'" in found.warnings[0]
    pairs = open_source(str(shared_data / "openmoji_pairs_64.zip"))
    assert "--pairs columns" in annotate(pairs, Options()).warnings[0]
    named = annotate(pairs, Options(labels="none", columns=(("image", "file_B"),)))
    assert named.captions is not None and sum(map(bool, named.captions)) == 4495


def test_digits(shared_data: Path) -> None:
    source = idx_source(shared_data / "mnist" / "train-images-idx3-ubyte.gz")
    found = annotate(source, Options())
    assert found.classes == tuple("0123456789") and counts(found, every(source))["1"] == 6742
    assert judge(found, every(source), source) == []


def test_both_lines_of_a_clash_are_named_however_long_the_name(tmp_path: Path) -> None:
    name = "a-rather-long-name-as-phones-and-downloads-give-them-0123456789.png"
    (tmp_path / name).write_bytes(b"")
    rows = [{"file_name": name, "label": "hat"}, {"file_name": name, "label": "dress"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"\(line 1\)(.|\n)*\(line 2\)"):
        annotate(open_source(str(tmp_path)), Options())
