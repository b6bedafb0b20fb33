"""Sources that are wrong as a whole: empty, of one image, with broken labels, zips with every bad entry."""

from __future__ import annotations

import json
import tarfile
import unicodedata
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.corpus import file, heif, picture


@dataclass(frozen=True)
class SourceDefect:
    """One source. arguments: flags after ``sparring check PATH``.   exit_code: that of the command.
    message: regular expression of what must be said (`.` matches line ends)."""

    row: int
    path: str
    kind: str
    exit_code: int
    message: str
    arguments: tuple[str, ...] = ()


class Making:
    """Makes sources below a folder, and keeps the list of them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.dice = root, np.random.default_rng(seed)
        self.found: list[SourceDefect] = []

    def note(self, row: int, path: str, kind: str, exit_code: int, message: str, *arguments: str) -> Path:
        self.found.append(SourceDefect(row, path, kind, exit_code, message, arguments))
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        return self.root / path

    def shot(self, grey: bool = False) -> bytes:
        image = picture(self.dice, 48, 48)
        return file(image.convert("L") if grey else image, "JPEG", quality=85)

    def fill(self, folder: Path, n: int, **options: Any) -> Path:
        """A folder of `n` images of 48 x 48."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(n):
            (folder / f"{number:04d}.jpg").write_bytes(self.shot(**options))
        return folder


def _folders(make: Making) -> None:
    """Rows 1 to 27."""
    make.fill(make.root / "photos", 12)
    make.note(1, "fotos", "a misspelt path", 3, "no such folder.*photos")
    make.note(2, "empty", "an empty folder", 3, "no usable image.*no file").mkdir()
    (make.note(2, "hollow", "folders without images", 3, "no usable image") / "a" / "b").mkdir(parents=True)
    other = make.note(2, "footage", "only videos, PSD, HEIC, RAW", 3, r"(?=.*\.mp4)(?=.*\.psd)(?=.*\.heic)(?=.*\.cr2)")
    other.mkdir()
    (other / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100))
    (other / "b.psd").write_bytes(b"8BPS\0\1" + bytes(100))
    (other / "c.heic").write_bytes(heif(b"heic"))
    (other / "d.cr2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(300))
    make.note(3, "one.jpg", "a single file", 3, "single image.*folder").write_bytes(make.shot())
    with tarfile.open(make.note(3, "images.tar", "a tar", 3, r"tar.*tar -xf"), "w") as tar:
        tar.add(make.root / "photos", "photos")
    (make.note(3, "lmdb", "an LMDB folder", 3, "LMDB.*lmdb.open") / "x").parent.mkdir()
    (make.root / "lmdb" / "data.mdb").write_bytes(bytes(16) + b"\xde\xc0\xef\xbe" + bytes(4096))
    (make.root / "lmdb" / "lock.mdb").write_bytes(bytes(8192))
    make.note(3, "lmdb/data.mdb", "an LMDB file", 3, "LMDB.*lmdb.open")
    grey = make.fill(make.note(8, "grey", "one colour image among grey ones", 0, "colour to grey"), 20, grey=True)
    (grey / "colour.jpg").write_bytes(make.shot())
    make.fill(make.note(20, "small", "48-pixel images for 256", 0, "smaller than 256.*enlarged", "--size", "256"), 20)
    same = make.note(24, "same", "all identical", 3, "all 20 images are the same")
    same.mkdir()
    pixels = picture(make.dice, 48, 48)
    for number in range(20):  # other bytes, equal pixels
        (same / f"{number}.png").write_bytes(file(pixels, compress_level=number % 10))
    twice = make.fill(make.note(24, "twice", "30 % duplicates", 0, "duplicate"), 28)
    for number in range(12):
        (twice / f"copy-{number}.jpg").write_bytes((twice / f"{number:04d}.jpg").read_bytes())
    blank = make.fill(make.note(25, "blank", "40 % blank", 0, r"16 (of 40 )?images are (blank|one flat colour)"), 24)
    for number in range(16):
        (blank / f"blank-{number}.png").write_bytes(file(Image.new("RGB", (48, 48), (number, 0, 0))))
    make.fill(make.note(26, "single", "1 image", 0, "only 1 image"), 1)
    make.fill(make.note(26, "few", "fewer than a batch", 0, "only 5 images"), 5)
    both = make.note(27, "both", "train and validation are the same images", 0, "duplicate")
    make.fill(both / "train", 20)
    (both / "val").mkdir()
    for path in sorted((both / "train").iterdir()):
        (both / "val" / path.name).write_bytes(path.read_bytes())


def _classes(make: Making) -> None:
    """Rows 28 and 30: `--labels folders`."""

    def tree(row: int, name: str, kind: str, code: int, message: str, classes: dict[str, int]) -> None:
        place = make.note(row, name, kind, code, message, "--labels", "folders")
        for below, n in classes.items():
            make.fill(place / below, n)

    tree(28, "level", "classes one level too high", 3, "(train.*level/train|level/train)",
         {"train/cats": 20, "train/dogs": 20})  # fmt: skip
    tree(28, "level-above", "an image beside the classes", 3, "stray.jpg", {"cats": 20, "dogs": 20})
    (make.root / "level-above" / "stray.jpg").write_bytes(make.shot())
    tree(30, "nobody", "an empty class", 0, "birds", {"cats": 20, "dogs": 20, "birds": 0})
    tree(30, "lonely", "a class of one image", 0, "birds.*(1 image|one image|only 1)|(1 image|one image).*birds",
         {"cats": 20, "dogs": 20, "birds": 1})  # fmt: skip
    tree(30, "unequal", "300 images for each one of another class", 0, "300|imbalance|times",
         {"cats": 600, "dogs": 2})  # fmt: skip
    tree(30, "case", "classes that differ by case", 3, "(?i)(?=.*Cats)(?=.*cats)(case|same|differ)",
         {"Cats": 20, "cats": 20, "dogs": 20})  # fmt: skip
    forms = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    tree(30, "forms", "classes that differ by Unicode form", 3, "caf", {forms[0]: 20, forms[1]: 20, "tea": 20})


def _annotations(make: Making) -> None:
    """Row 32: dataset.json, and metadata.jsonl and .csv likewise."""

    def zipped(kind: str, code: int, message: str, change: Callable[[list[list[Any]]], object]) -> None:
        path = make.note(32, f"dataset-{len(make.found)}.zip", f"dataset.json: {kind}", code, message)
        labels: list[list[Any]] = [[f"{number // 10:05d}/{number:08d}.png", number % 10] for number in range(40)]
        changed = change(labels)
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(40):
                archive.writestr(f"{number // 10:05d}/{number:08d}.png", file(picture(make.dice, 48, 48)))
            archive.writestr("dataset.json", changed if isinstance(changed, str) else json.dumps({"labels": changed}))

    def relabelled(value: object) -> Callable[[list[list[Any]]], object]:
        return lambda labels: [*labels[:7], [labels[7][0], value], *labels[8:]]

    zipped("10 classes", 0, "10 classes|classes", lambda labels: labels)
    zipped("no labels", 0, "40 (files|found)", lambda labels: None)
    zipped("no label for one image", 3, "00000/00000007.png", lambda labels: labels[:7] + labels[8:])
    zipped("a label for an image that is not there", 3, "nowhere.png", lambda labels: [*labels, ["nowhere.png", 3]])
    zipped("NaN", 3, "00000/00000007.png", relabelled(float("nan")))
    zipped("text for a number", 3, "00000/00000007.png", relabelled("seven"))
    zipped("a vector among numbers", 3, "00000/00000007.png", relabelled([0, 1]))
    zipped("label 999 of 10", 3, "999|00000/00000007.png", relabelled(999))
    zipped("not JSON", 3, "dataset.json", lambda labels: '{"labels": [')

    def described(kind: str, name: str, text: str, code: int, message: str, *arguments: str) -> None:
        place = make.note(32, f"metadata-{len(make.found)}", f"{name}: {kind}", code, message, *arguments)
        make.fill(place, 30)
        (place / name).write_text(text)

    lines = [json.dumps({"file_name": f"{n:04d}.jpg", "label": "ab"[n % 2], "text": f"no. {n}"}) for n in range(30)]
    described("2 classes and captions", "metadata.jsonl", "\n".join(lines), 0, "(?=.*classes)(?=.*caption)")
    described("no line for one image", "metadata.jsonl", "\n".join(lines[:7] + lines[8:]), 3, r"0007\.jpg")
    described("a line that is not JSON", "metadata.jsonl", "\n".join([*lines[:7], "{", *lines[8:]]), 3,
              "metadata.jsonl.*8")  # fmt: skip
    nameless = "\n".join(line.replace("file_name", "file") for line in lines)
    described("no file_name", "metadata.jsonl", nameless, 0, "not used.*file_name.*--columns")
    described("no file_name, but meant", "metadata.jsonl", nameless, 3, "file_name", "--labels", "metadata")
    described("a file that is not there", "metadata.jsonl",
              "\n".join([*lines, '{"file_name": "gone.jpg", "label": "a"}']), 0, r"gone\.jpg")  # fmt: skip
    rows = [f"{n:04d}.jpg,{'ab'[n % 2]}" for n in range(30)]
    described("2 classes", "metadata.csv", "\n".join(["file_name,label", *rows]), 0, "classes")
    described("an image twice, with two labels", "metadata.csv", "\n".join(["file_name,label", *rows, "0007.jpg,a"]), 3,
              r"0007\.jpg")  # fmt: skip


def _zips(make: Making) -> None:
    """Row 40: zips with every bad entry."""
    image = [make.shot() for _ in range(30)]

    def zipped(path: Path, n: int = 20) -> zipfile.ZipFile:
        archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        for number in range(n):
            archive.writestr(f"images/{number}.jpg", image[number])
        return archive

    bad = r"(?=.*\.\./escape)(?=.*/absolute)(?=.*link\.jpg)(?=.*nested\.zip)(?=.*twice)(?=.*locked)(?=.*bomb)(?=.*torn)"
    path = make.note(40, "entries.zip", "a zip with every bad entry", 0, bad)
    with zipped(path) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that occurs twice
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../escape.jpg", image[20])
        archive.writestr("/absolute.jpg", image[21])
        archive.writestr("nested.zip", b"PK\x03\x04" + bytes(100))
        archive.writestr("twice.jpg", image[22])
        archive.writestr("twice.jpg", image[23])
        archive.writestr("locked.jpg", image[24])
        archive.writestr("torn.jpg", image[25])
        with archive.open("bomb.png", "w", force_zip64=True) as entry:  # 600 MB in 600 kB
            entry.write(file(picture(make.dice))[:64])
            for _ in range(600):
                entry.write(bytes(2**20))
        archive.writestr("__MACOSX/._a.jpg", b"\0\5\x16\7")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        torn = archive.getinfo("torn.jpg").header_offset
    data[torn + 60 : torn + 160] = b"\xff" * 100
    at = data.index(b"locked.jpg", data.index(b"PK\x01\x02")) - 46  # its entry in the central directory
    data[at + 8] |= 1  # "encrypted"
    path.write_bytes(data)
    zipped(make.note(40, "whole.zip", "a sound zip", 0, "20 (files|found)")).close()
    whole = (make.root / "whole.zip").read_bytes()
    make.note(40, "cut.zip", "a truncated zip", 3, "zip cannot be read").write_bytes(whole[:-200])
    with zipfile.ZipFile(make.note(40, "large.zip", "zip64", 0, "10 (files|found)"), "w", allowZip64=True) as archive:
        for number in range(10):
            with archive.open(f"{number}.jpg", "w", force_zip64=True) as entry:
                entry.write(image[number])


def build_sources(folder: Path, seed: int = 0) -> list[SourceDefect]:
    """Every source below `folder`, each with the exit code and the words that ``sparring check`` must answer."""
    folder.mkdir(parents=True, exist_ok=True)
    make = Making(folder, seed)
    for part in (_folders, _classes, _annotations, _zips):
        part(make)
    return make.found
