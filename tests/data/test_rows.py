"""The bad-input matrix of data, row by row: what is fed, and what happens (the table in docs/data.md).

`ELSEWHERE` names the tests of other files that show a row; the tests here are named after theirs.
"""

from __future__ import annotations

import errno
import gc
import importlib.metadata
import io
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import types
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import GifImagePlugin, Image, PngImagePlugin
from tests.forking import Forks

from sparring.data import DataReport, Dataset, open_data, opening
from sparring.data.decode import Limits, Recipe, Unusable, decode, header
from sparring.data.formats import sniff
from sparring.data.sources import Unreadable, ZipSource, archive, open_source
from sparring.data.sources import folder as folders
from sparring.data.sources.folder import FolderSource, file_system, in_the_cloud
from sparring.errors import DataError

Noise = Callable[..., Image.Image]
Folder = Callable[..., Path]

ELSEWHERE = {
    1: ["test_sources::test_missing_empty_and_foreign_sources_explain_themselves"],
    2: ["test_sources::test_missing_empty_and_foreign_sources_explain_themselves"],
    3: ["test_sources::test_missing_empty_and_foreign_sources_explain_themselves"],
    4: [
        "test_sources::test_content_decides_never_the_name",
        "test_decode::test_every_format_is_recognised_and_decoded",
    ],
    5: ["test_sources::test_content_decides_never_the_name", "test_decode::test_strangers_are_named"],
    6: [
        "test_decode::test_a_truncated_file_is_damaged",
        "test_decode::test_truncation_is_damage_even_where_pillow_was_told_to_be_lenient",
    ],
    7: ["test_manifest::test_changes_are_named_and_the_run_goes_on"],
    8: ["test_dataset::test_the_majority_decides_between_grey_and_colour"],
    9: ["test_decode::test_grey_with_alpha_stays_grey"],
    10: ["test_decode::test_what_hides_under_transparency_is_never_seen"],
    11: ["test_decode::test_palette_with_transparency", "test_decode::test_1_bit_becomes_black_and_white"],
    12: [
        "test_decode::test_a_16_bit_ramp_keeps_256_levels",
        "test_decode::test_a_big_endian_16_bit_ramp_keeps_256_levels",
        "test_decode::test_a_float_ramp_keeps_256_levels",
        "test_decode::test_a_32_bit_integer_ramp_keeps_256_levels",
    ],
    13: ["test_decode::test_16_bit_colour_is_rounded_to_8_bit_and_said"],
    14: ["test_decode::test_lab_becomes_srgb"],
    15: ["test_decode::test_an_icc_profile_is_applied"],
    16: ["test_decode::test_exif_orientation", "test_decode::test_exif_orientation_that_is_no_number_is_ignored"],
    17: ["test_decode::test_the_first_frame_of_an_animation_and_the_first_page"],
    19: ["test_decode::test_tiny_and_extreme_images_are_left_out"],
    20: ["test_dataset::test_auto_size_rounds_the_median_side_down"],
    22: ["test_decode::test_a_bomb_is_refused_before_it_is_decoded", "test_decode::test_strangers_are_named"],
    23: ["test_decode::test_crop_policies"],
    24: [
        "test_dataset::test_duplicates_never_straddle_the_split",
        "test_sources::test_images_that_are_all_the_same_stop",
    ],
    25: ["test_dataset::test_the_report_adds_up_and_survives_json"],
    26: [
        "test_sources::test_two_hundred_levels_of_folders_and_a_source_of_one",
        "test_stream::test_any_start_and_any_count",
    ],
    27: ["test_dataset::test_the_split_depends_on_content_alone"],
    29: ["test_sources::test_clutter_is_ignored_and_counted"],
    36: ["test_sources::test_loops_are_cut_and_pipes_never_opened"],
    37: [
        "test_sources::test_an_unreadable_file_is_named",
        "test_sources::test_a_network_file_system_that_stumbles_is_asked_again",
        "test_sources::test_what_changes_or_stumbles_meanwhile_is_left_out_and_not_remembered",
    ],
    38: ["test_sources::test_strange_names_survive"],
    39: ["test_sources::test_two_hundred_levels_of_folders_and_a_source_of_one"],
    40: [
        "test_sources::test_a_zip_is_read_entry_by_entry_and_never_extracted",
        "test_sources::test_encrypted_and_damaged_entries_are_named",
    ],
    41: [
        "test_live::test_a_file_that_breaks_is_replaced_and_named",
        "test_manifest::test_changes_are_named_and_the_run_goes_on",
    ],
}


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def as_is(data: bytes, channels: int = 3, frame: int = 0, **options: Any) -> np.ndarray:
    """Decoded at its own size, whatever that is."""
    with Image.open(io.BytesIO(data)) as image:
        image.seek(frame)
        width, height = image.size
    return decode(data, Recipe((height, width), channels, limits=WIDE, **options), frame).pixels


def reasons(dataset: Dataset) -> dict[str, str]:
    return dict(dataset.report.excluded)


def refused(source: Path) -> str:
    with pytest.raises(DataError) as error:
        open_data(source)
    return str(error.value)


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse such files or commands")
WIDE = Limits(min_side=1, max_aspect=1e9)
RAMP = np.tile(np.arange(256), (16, 1))  # (16, 256): every level once in each row
LEVELS = list(range(256))


def test_every_row_has_a_test() -> None:
    here = Path(__file__)
    own = {int(row) for row in re.findall(r"^def test_row_(\d+)_", here.read_text("utf-8"), re.MULTILINE)}
    wanted = {*range(1, 28), 29, *range(36, 43)}
    assert wanted == own | set(ELSEWHERE)
    for names in ELSEWHERE.values():
        for name in names:
            module, test = name.split("::")
            assert f"def {test}(" in (here.parent / f"{module}.py").read_text("utf-8"), name


def test_row_1_a_path_that_is_not_ours_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_bytes(b"?")
    real = os.stat

    def refuse(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        if str(path) == str(tmp_path / "secret"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(DataError, match=r"(?s)DATA-UNREADABLE.*Permission denied"):
        open_source(str(tmp_path / "secret"))


# ── 2, 3: nothing here to train on ────────────────────────────────────────────────────────────────────────────────


def test_row_2_what_was_found_instead_and_what_to_do_about_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert "no file at all" in refused(tmp_path / "a")
    found = {
        "a.psd": b"8BPS\0\1", "b.MOV": b"\0\0\0\x14ftypqt  ", "c.mkv": b"\x1a\x45\xdf\xa3",
        "d.cr3": b"\0\0\0\x18ftypcrx ",
        "e.raf": b"FUJIFILMCCD-RAW 0201", "f.pdf": b"%PDF-1.7", "g.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "h.npy": b"\x93NUMPY\1\0", "i.tar": b"\0" * 257 + b"ustar", "j.pkl": b"\x80\4\x95",
    }  # fmt: skip
    for name, data in found.items():
        (tmp_path / "a" / "b" / name).write_bytes(data)
    said = refused(tmp_path / "a")
    assert said.startswith("[DATA-EMPTY]") and "export it as PNG" in said and "extract its frames" in said
    everything = {name: sniff(data)[1] for name, data in found.items()}
    assert all(reason for name, reason in everything.items() if name != "g.heic")
    assert "develop it" in everything["d.cr3"] and "develop it" in everything["e.raf"]


@pytest.mark.parametrize(
    "tags",
    [{50706: b"\1\4\0\0"}, {254: 1, 330: 8}, {262: 32803}, "CR2"],
    ids=["DNG", "thumbnail in front (NEF, ARW)", "colour filter array", "CR2"],
)
def test_row_2_camera_raw_is_not_read_as_its_thumbnail(tags: Any, noise: Noise) -> None:
    if tags == "CR2":
        data = b"II*\0\x10\0\0\0CR\2\0" + file(noise(0), "TIFF")[12:]
    else:
        data = bytearray(file(noise(0), "TIFF", tiffinfo={k: v for k, v in tags.items() if k != 262}))
        if 262 in tags:  # Pillow insists on its own photometric interpretation: patch it
            at = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
            data[at : at + 2] = struct.pack("<H", 32803)
    with pytest.raises(Unusable, match="camera raw: develop it to TIFF or JPEG"):
        header(bytes(data))
    plain = file(noise(0), "TIFF", tiffinfo={254: 1})  # a scanner may call its only page reduced
    assert header(plain).mode == "colour"


def tar(path: Path, names: list[str]) -> bytes:
    with tarfile.open(path, "w") as out:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            out.addfile(info, io.BytesIO(b"abc"))
    return path.read_bytes()


def test_row_3_each_foreign_kind_comes_with_the_command_that_imports_it(tmp_path: Path, noise: Noise) -> None:
    def said(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return refused(tmp_path / name)

    assert "one single image (PNG)" in said("a.png", file(noise(0)))
    plain = said("b.tar", tar(tmp_path / "x.tar", ["a.png", "b.png"]))
    assert "tar -xf" in plain and "WebDataset" not in plain
    assert "WebDataset" in said("c.tar", tar(tmp_path / "x.tar", ["0.jpg", "0.cls", "1.jpg", "1.cls"]))
    assert "tar -xf" in said("d.tar.gz", b"\x1f\x8b\x08\0")
    assert "gunzip" in said("e.gz", b"\x1f\x8b\x08\0") and "7-Zip" in said("f.7z", b"7z\xbc\xaf\x27\x1c")
    assert "pip install lmdb" in said("data.mdb", b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 99)
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb" / "data.mdb").write_bytes(b"\0" * 20)
    assert "pip install lmdb" in refused(tmp_path / "lmdb")
    assert "ffmpeg -i" in said("g.mp4", b"\0\0\0\x18ftypisom\0\0\0\0mp41isom")
    assert "TFRecord" in said("h.tfrecord", b"\x90\1\0\0\0\0\0\0abcd")
    memory = io.BytesIO()
    np.save(memory, np.zeros((2, 8, 8), np.uint8))
    assert "numpy.load" in said("i.npy", memory.getvalue())
    np.savez(tmp_path / "j.npz", faces=np.zeros((2, 8, 8), np.uint8))
    assert '["faces"]' in refused(tmp_path / "j.npz")
    assert "pickle" in said("k.pkl", b"\x80\4\x95\0")


@LINUX
def test_row_3_the_command_works_and_a_name_cannot_run_another(tmp_path: Path, noise: Noise, forked: Forks) -> None:
    images = np.stack([np.asarray(noise(k)) for k in range(3)])
    source = tmp_path / "$(touch oops) \"'`touch oops`.npy"
    np.save(source, images)
    command = refused(source).split("fix: ")[1].removesuffix(", then give the folder images")
    path = os.pathsep.join([str(forked.folder), os.environ["PATH"]])
    subprocess.run(command, shell=True, check=True, cwd=tmp_path, env={**os.environ, "PATH": path})
    assert not (tmp_path / "oops").exists()
    made = open_data(tmp_path / "images", size=(16, 16), held_out=0)
    assert {row.tobytes() for row in made.train} == {image.tobytes() for image in images}


# ── 6, 7: damage ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_row_6_a_truncated_jpeg_is_named_and_never_filled_with_grey(folder: Folder) -> None:
    root = folder(3)
    whole = file(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG")
    for share in (1, 50, 99):
        (root / f"{share}.jpg").write_bytes(whole[: len(whole) * share // 100])
    assert set(reasons(open_data(root))) == {"1.jpg", "50.jpg", "99.jpg"}


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_row_7_one_flipped_bit_makes_another_data_set(kind: str, folder: Folder) -> None:
    root, options = folder(3), {"lossless": True} if kind == "WEBP" else {}
    whole = bytearray(file(Image.effect_noise((64, 64), 60).convert("RGB"), kind, **options))
    (root / "photo").write_bytes(whole)
    before = open_data(root)
    whole[len(whole) * 3 // 4] ^= 1
    (root / "photo").write_bytes(whole)
    after = open_data(root)
    assert after.fingerprint != before.fingerprint  # a resumed run compares them


# ── 11 to 16: levels, colours, way up ─────────────────────────────────────────────────────────────────────────────


def test_row_11_a_transparent_level_of_a_16_bit_grey_image() -> None:
    deep = Image.fromarray((RAMP * 257).astype(np.uint16))
    found = as_is(file(deep, transparency=257 * 7), 1)
    assert found[0, :, 0].tolist() == [*LEVELS[:7], 255, *LEVELS[8:]]


@pytest.mark.parametrize(
    ("image", "levels"),
    [
        ((RAMP * 16).astype(np.uint16), (0, 4096)),  # 12 bits in 16: without levels almost black
        ((RAMP * 16).astype(np.uint16), (0, 4080)),
        ((RAMP * 257).astype(np.uint16), (0, 65535)),
        ((RAMP * 100 - 5000).astype(np.int32), (-5000, 20600)),
        ((RAMP / 255 * 3 - 1).astype(np.float32), (-1.0, 2.0)),
    ],
    ids=["12-bit", "12-bit exactly", "16-bit", "signed", "float"],
)
def test_row_12_levels_that_a_person_names_stay_256_levels(image: np.ndarray, levels: tuple[float, float]) -> None:
    data = file(Image.fromarray(image), "TIFF")
    found = decode(data, Recipe((16, 256), 1, limits=WIDE, levels=levels))
    assert found.pixels[3, :, 0].tolist() == LEVELS
    assert found.notes == (f"levels from {levels[0]:g}..{levels[1]:g}",)


def test_row_12_big_endian_too_and_what_lies_beyond_is_clipped_and_said() -> None:
    big = Image.frombytes("I;16B", (256, 16), (RAMP * 16).astype(">u2").tobytes())
    recipe = Recipe((16, 256), 1, limits=WIDE, levels=(0, 4096))
    assert decode(file(big, "TIFF"), recipe).pixels[3, :, 0].tolist() == LEVELS
    found = decode(file(Image.fromarray((RAMP * 257).astype(np.uint16))), recipe)
    assert found.pixels[0, [0, 1, 15, 16, 255], 0].tolist() == [0, 16, 240, 255, 255]
    assert found.notes == ("levels beyond 0..4096 clipped", "levels from 0..4096")


def test_row_12_eight_bits_are_left_alone_and_16_bit_colour_says_so(noise: Noise) -> None:
    recipe = Recipe((16, 16), 3, levels=(0, 4096))
    assert decode(file(noise(0)), recipe).pixels.tobytes() == noise(0).tobytes()
    assert decode(png16(np.zeros((16, 16, 3))), recipe).notes == ("16-bit colour to 8-bit, levels not applied",)


def test_row_12_unsigned_32_bit_integers_beyond_31_bits() -> None:
    data = bytearray(file(Image.fromarray((RAMP << 23).astype(np.int32)), "TIFF"))
    signed = struct.pack("<HHIHH", 339, 3, 1, 2, 0)
    if signed in data:
        data[data.index(signed) + 8] = 1
    at = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 273, 4, 1)) + 8)[0]
    data[at : at + RAMP.size * 4] = (RAMP.astype(np.uint32) << 24).tobytes()
    assert as_is(bytes(data), 1)[3, :, 0].tolist() == LEVELS


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(width: int, height: int, depth: int, colour: int, lines: bytes, *more: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = [chunk(b"IHDR", head), *more, chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def png16(values: np.ndarray) -> bytes:
    """(H, W, C) 16-bit samples as PNG, which Pillow does not write in colour."""
    kind = {2: 4, 3: 2, 4: 6}[values.shape[2]]
    lines = b"".join(b"\0" + line.tobytes() for line in values.astype(">u2"))
    return png_of(values.shape[1], values.shape[0], 16, kind, lines)


def ink(kind: str) -> bytes:
    """A CMYK JPEG of cyan 40, magenta 200, yellow 90, black 30 (of 255), as programs write it: with Adobe's marker and
    inverted, the same as YCCK, or without the marker and not inverted."""
    c, m, y, k = 40, 200, 90, 30
    if kind == "Adobe, inverted":
        return file(Image.new("CMYK", (16, 16), (c, m, y, k)), "JPEG", quality=100)  # Pillow inverts when it writes
    if kind == "YCCK":
        # libjpeg turns YCC into RGB and takes 255 − RGB as CMY, which Adobe stores inverted: RGB = (C, M, Y).
        luma = Image.new("RGB", (1, 1), (c, m, y)).convert("YCbCr").getpixel((0, 0))
        assert isinstance(luma, tuple)
        data = bytearray(file(Image.new("CMYK", (16, 16), (*(255 - v for v in luma), k)), "JPEG", quality=100))
        at = data.index(b"Adobe")
        data[at + 11] = 2  # its transform: YCCK
        return bytes(data)
    data = bytearray(file(Image.new("CMYK", (16, 16), (255 - c, 255 - m, 255 - y, 255 - k)), "JPEG", quality=100))
    at = data.index(b"\xff\xee")
    del data[at : at + 2 + struct.unpack_from(">H", data, at + 2)[0]]
    return bytes(data)


@pytest.mark.parametrize("kind", ["Adobe, inverted", "YCCK", "no marker"])
def test_row_14_cmyk_golden_pixels(kind: str) -> None:
    data = ink(kind)
    assert (b"Adobe" in data) == (kind != "no marker") and header(data).mode == "CMYK"
    found = decode(data, Recipe((16, 16), 3))
    golden = [(255 - ink) * (255 - 30) / 255 for ink in (40, 200, 90)]  # light = (1 − ink)(1 − black)
    assert np.abs(found.pixels[8, 8] - np.array(golden)).max() <= 2
    assert found.notes == ("CMYK to colour",)


def test_row_14_cmyk_tiff() -> None:
    data = file(Image.new("CMYK", (16, 16), (40, 200, 90, 30)), "TIFF")
    golden = [(255 - ink) * (255 - 30) / 255 for ink in (40, 200, 90)]
    assert np.abs(as_is(data)[8, 8] - np.array(golden)).max() <= 2


# Columns XYZ of red, green and blue, adapted to D50 (Bradford); rows sum to D50's white.
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])


def srgb_curve(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def profile(primaries: np.ndarray, curve: Callable[[np.ndarray], np.ndarray], name: bytes) -> bytes:
    """A version 2 ICC profile with these primaries and this curve from samples to light."""

    def xyz(values: Any) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    table = np.round(curve(np.linspace(0, 1, 1024)) * 65535).astype(">u2").tobytes()
    light = b"curv\0\0\0\0" + struct.pack(">I", 1024) + table
    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" + b"\0" * 78
    tags = {
        b"desc": text.ljust(-(-len(text) // 4) * 4, b"\0"), b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": xyz(primaries[:, 0]), b"gXYZ": xyz(primaries[:, 1]), b"bXYZ": xyz(primaries[:, 2]),
        b"rTRC": light, b"gTRC": light, b"bTRC": light,
    }  # fmt: skip
    index, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        index += tag + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4xI4s4s4s12x4s", start + len(body), 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head = head.ljust(68, b"\0") + b"".join(struct.pack(">i", round(v * 65536)) for v in (0.9642, 1.0, 0.8249))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + body


@pytest.mark.parametrize(
    ("primaries", "curve", "name"),
    [
        (P3, srgb_curve, b"Display P3"),
        (ADOBE, lambda x: x ** (563 / 256), b"Adobe RGB (1998)"),
        (SRGB, lambda x: x, b"Linear sRGB"),  # its name is no reason to leave it
    ],
    ids=["Display P3", "Adobe RGB", "linear sRGB"],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_row_15_a_wide_colour_space_becomes_srgb(primaries: np.ndarray, curve: Any, name: bytes, kind: str) -> None:
    colours = np.array([[120, 130, 140], [200, 160, 90], [60, 90, 80], [255, 255, 255], [0, 0, 0], [150, 120, 200]])
    for colour in colours:
        image = Image.new("RGB", (16, 16), tuple(colour.tolist()))
        options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
        data = file(image, kind, icc_profile=profile(primaries, curve, name), **options)
        light = np.linalg.solve(SRGB, primaries @ curve(colour / 255))  # (3,) linear sRGB
        golden = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.clip(light, 0, 1) ** (1 / 2.4) - 0.055)
        assert ((golden > -2) & (golden < 257)).all()
        found = decode(data, Recipe((16, 16), 3))
        assert np.abs(found.pixels[8, 8] - golden).max() <= 3, (colour, golden)
        assert found.notes == ("colour profile to sRGB",)


def test_row_16_a_turn_that_exif_asks_for_in_jpeg_and_tiff(noise: Noise) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "TIFF", "WEBP"):
        options: dict[str, Any] = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
        options |= {"lossless": True} if kind == "WEBP" else {}
        found = decode(file(noise(0, 24, 16), kind, exif=exif, **options), Recipe((24, 16), 3))
        assert "turned upright (EXIF)" in found.notes
        assert np.abs(found.pixels.astype(int) - np.rot90(np.asarray(noise(0, 24, 16)), -1)).max() <= 4


def test_row_12_levels_reach_the_data_set_and_its_fingerprint(tmp_path: Path) -> None:
    for k in range(3):
        Image.fromarray((np.roll(RAMP, k, axis=1) * 16).astype(np.uint16)).save(tmp_path / f"{k}.png")
    options: dict[str, Any] = {"size": (16, 256), "limits": WIDE, "held_out": 0}
    named, not_named = (open_data(tmp_path, levels=levels, **options) for levels in ((0, 4096), None))
    assert sorted(named.train[0][0, :, 0].tolist()) == LEVELS and int(not_named.train[0].max()) < 20
    assert named.report.conversions["levels from 0..4096"] == 3 and named.fingerprint != not_named.fingerprint


# ── 17, 18: several pictures, missing decoders ────────────────────────────────────────────────────────────────────


def scenes() -> list[Image.Image]:
    """Four pictures of few colours: a square wanders over a background that changes once."""
    made = []
    for k in range(4):
        values = np.full((24, 24, 3), (250, 240, 30) if k < 2 else (20, 60, 200), np.uint8)
        values[2 + 4 * k : 8 + 4 * k, 3:9] = (255, 0, 0)
        made.append(Image.fromarray(values))
    return made


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GIF", {"disposal": 0}), ("GIF", {"disposal": 2}), ("PNG", {}), ("PNG", {"blend": 1}),
     ("WEBP", {"lossless": True}), ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
     ("TIFF", {"compression": "tiff_deflate"})],
)  # fmt: skip
def test_row_17_every_frame_is_the_picture_that_is_shown(kind: str, options: dict[str, Any]) -> None:
    frames = scenes()
    data = file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert header(data).frames == 1 and header(data, count_frames=True).frames == 4
    for k in (3, 1, 0, 2):
        found = decode(data, Recipe((24, 24), 3), k)
        assert np.abs(found.pixels.astype(int) - np.asarray(frames[k])).max() <= (12 if kind == "AVIF" else 0), k
        assert any("first" in note for note in found.notes) == (k == 0)
    with pytest.raises(Unusable, match="there is no (frame|page) 5"):
        decode(data, Recipe((24, 24), 3), 4)


def test_row_17_a_gif_that_restores_what_was_before() -> None:
    def part(level: int, side: int, place: tuple[int, int], disposal: int) -> bytes:
        return b"".join(
            GifImagePlugin.getdata(Image.new("L", (side, side), level), place, disposal=disposal, duration=1)
        )

    canvas = Image.new("L", (24, 24), 200)
    head = b"".join(GifImagePlugin.getheader(canvas)[0])
    data = head + part(200, 24, (0, 0), 1) + part(9, 6, (2, 2), 3) + part(99, 6, (12, 12), 1) + b";"
    golden = np.full((3, 24, 24), 200)
    golden[1, 2:8, 2:8] = 9
    golden[2, 12:18, 12:18] = 99
    for k in range(3):
        assert (decode(data, Recipe((24, 24), 1), k).pixels[..., 0] == golden[k]).all(), k


@pytest.mark.parametrize("disposal", [1, 2, 3])
def test_row_17_a_gif_that_begins_in_grey_and_becomes_colourful(disposal: int) -> None:
    def part(image: Image.Image, place: tuple[int, int], disposal: int) -> bytes:
        table = image.mode == "P"
        return b"".join(GifImagePlugin.getdata(image, place, disposal=disposal, duration=1, include_color_table=table))

    canvas = Image.new("L", (24, 24), 200)
    red = Image.new("P", (6, 6), 1)
    red.putpalette([0, 0, 0, 255, 0, 0])
    head = b"".join(GifImagePlugin.getheader(canvas)[0])
    data = head + part(canvas, (0, 0), 1) + part(red, (2, 2), disposal) + part(red, (12, 12), 1)
    data += part(Image.new("L", (4, 4), 50), (0, 20), 1) + b";"
    golden = np.full((4, 24, 24, 3), 200)
    golden[1:, 2:8, 2:8] = (255, 0, 0)
    golden[2:, 12:18, 12:18] = (255, 0, 0)
    golden[3, 20:, :4] = 50
    found = np.stack([decode(data, Recipe((24, 24), 3), k).pixels for k in range(4)])
    if disposal > 1:  # the square is gone again: as it was before, or as the background, which nobody agrees on
        assert (found[2:, 2:8, 2:8] != (255, 0, 0)).any(-1).all()
        golden[2:, 2:8, 2:8] = 200 if disposal == 3 else found[2, 2, 2]
    assert (found == golden).all()


def test_row_17_a_frame_that_cannot_be_decoded_is_unusable_alone() -> None:
    frames = scenes()
    data = bytearray(file(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="tiff_deflate"))
    stream = strip_of(file(frames[2], "TIFF", compression="tiff_deflate"))
    at = bytes(data).index(stream)
    data[at : at + len(stream)] = b"\xff" * len(stream)
    assert header(bytes(data), count_frames=True).frames == 4
    for k in (0, 1, 3):
        assert decode(bytes(data), Recipe((24, 24), 3), k).pixels.tobytes() == frames[k].tobytes()
    with pytest.raises(Unusable, match="damaged"):
        decode(bytes(data), Recipe((24, 24), 3), 2)


def strip_of(tiff: bytes) -> bytes:
    """The compressed strip of a TIFF of one."""
    with Image.open(io.BytesIO(tiff)) as image:
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        return tiff[tags[273][0] : tags[273][0] + tags[279][0]]


def test_row_17_pages_have_their_own_sizes_and_limits(noise: Noise) -> None:
    pages = [noise(0), noise(1, 40, 20), noise(2, 4, 4)]
    data = file(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert decode(data, Recipe((20, 40), 3), 1).pixels.tobytes() == pages[1].tobytes()
    with pytest.raises(Unusable, match="too small"):
        decode(data, Recipe((20, 40), 3), 2)


def test_row_17_the_previews_of_an_mpo_are_no_frames(noise: Noise) -> None:
    data = file(noise(0), "MPO", save_all=True, append_images=[noise(1), noise(2)], quality=100, subsampling=0)
    assert header(data, count_frames=True).frames == 1
    found = decode(data, Recipe((16, 16), 3))
    assert found.notes == () and np.abs(found.pixels.astype(int) - np.asarray(noise(0))).max() <= 4
    with pytest.raises(Unusable, match="no frame 2"):
        decode(data, Recipe((16, 16), 3), 1)


def test_row_17_all_frames_of_a_folder_or_a_word_that_the_first_is_used(tmp_path: Path, noise: Noise) -> None:
    frames = scenes()
    for kind in ("GIF", "PNG", "TIFF"):
        frames[0].save(tmp_path / f"moving.{kind}", kind, save_all=True, append_images=frames[1:])
    noise(0, 24, 24).save(tmp_path / "still.png")
    first, every = (open_data(tmp_path, size=(24, 24), held_out=0, frames=frames) for frames in ("first", "all"))
    assert len(first) == 4 and any("only the first is used (3)" in warning for warning in first.report.warnings)
    assert len(every) == 13
    assert {image.tobytes() for image in every.train} >= {frame.tobytes() for frame in frames}


STRANGERS = {
    "pillow_heif": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF", r"HEIC is not read.*pip install pillow-heif"),
    "pillow_jxl": (b"\xff\x0a" + bytes(20), "JXL", r"JPEG XL is not read.*pip install pillow-jxl-plugin"),
}


@pytest.mark.parametrize("module", STRANGERS)
def test_row_18_a_missing_decoder_names_the_package(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, kind, said = STRANGERS[module]
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(Image.OPEN, kind, raising=False)
    with pytest.raises(Unusable, match=said) as error:
        header(data)
    assert error.value.passing  # it may be installed tomorrow


@pytest.mark.parametrize("module", STRANGERS)
def test_row_18_an_installed_decoder_is_used(module: str, monkeypatch: pytest.MonkeyPatch, noise: Noise) -> None:
    data, kind, _ = STRANGERS[module]
    inside = file(noise(0))

    def register() -> None:
        monkeypatch.setitem(Image.OPEN, kind, (lambda *_: PngImagePlugin.PngImageFile(io.BytesIO(inside)), None))

    plugin = types.ModuleType(module)
    plugin.register_heif_opener = register  # type: ignore[attr-defined]
    monkeypatch.delitem(Image.OPEN, kind, raising=False)
    monkeypatch.setitem(sys.modules, module, plugin)
    if kind == "JXL":  # this one registers itself when it is imported
        register()
    assert decode(data, Recipe((16, 16), 3)).pixels.tobytes() == noise(0).tobytes()


# ── 19 to 22: memory and bombs ────────────────────────────────────────────────────────────────────────────────────

PEAK = """
import re, sys
from pathlib import Path
from sparring.data.decode import Limits, Recipe, Unusable, decode, decoding, header
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
for line in sys.stdin:
    data = Path(line.strip()).read_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = peak()
    with decoding():
        try:
            decode(data, Recipe((64, 64), 3, limits=Limits(min_side=1, max_aspect=1e9)))
        except Unusable:
            pass
    print(peak() - before, flush=True)
"""


@pytest.fixture(scope="module")
def peak_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes], float]]:
    """peak_of(data): MiB by which another process grows while it decodes `data` for 64 pixels."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("measures with Linux's /proc")
    path = tmp_path_factory.mktemp("peak") / "image"
    options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", PEAK], **options) as process:
        assert process.stdin and process.stdout

        def measure(data: bytes) -> float:
            path.write_bytes(data)
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield measure
        process.stdin.close()


def test_row_19_a_line_of_65_500_pixels_costs_nothing(peak_of: Callable[[bytes], float]) -> None:
    assert peak_of(file(Image.new("RGB", (65_500, 1)))) < 60


def test_row_21_large_images_are_held_once(peak_of: Callable[[bytes], float]) -> None:
    values = np.zeros((4200, 4200, 4), np.uint8)  # 67 MB; kept thrice it would be above 200
    values[:2000] = (200, 100, 50, 128)
    assert 60 < peak_of(file(Image.fromarray(values), compress_level=1)) < 150
    deep = file(Image.fromarray(values[..., 0].astype(np.uint16) << 8), compress_level=1)  # 34 MB
    assert 30 < peak_of(deep) < 100
    assert peak_of(file(Image.new("L", (11_000, 11_000), 99), "JPEG")) < 60  # a photograph of 121 megapixels


def test_row_21_a_large_image_shows_what_a_small_one_shows() -> None:
    values = np.zeros((4200, 4100, 4), np.uint8)
    values[..., 0], values[..., 1] = np.linspace(0, 255, 4200)[:, None], np.linspace(0, 255, 4100)
    values[..., 3] = np.linspace(255, 100, 4100)
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = Image.fromarray(values)
    large = file(whole, compress_level=1, exif=exif)
    small = file(whole.resize((1025, 1050), Image.Resampling.BOX), exif=exif)
    for channels in (3, 4):
        one, other = (decode(data, Recipe((32, 32), channels)) for data in (large, small))
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 4 and one.notes == other.notes
    deep = Image.fromarray((values[..., 0].astype(np.uint16) << 8) + 7)
    found = decode(file(deep, compress_level=1), Recipe((32, 32), 1)).pixels[:, 0, 0]
    middle = np.linspace(50, 4150, 65)[1::2] / 4200 * 255  # of 32 parts of the square in the middle
    assert np.abs(found - middle).max() <= 2


def test_row_21_large_images_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    room = opening._Room(100)
    monkeypatch.setattr(opening, "LARGE", 10)
    inside, most = [0], [0]
    lock = threading.Lock()

    def use(pixels: int) -> None:
        image = Image.new("L", (pixels, 1))
        image.format = "PNG"
        with room.of(image):
            with lock:
                inside[0] += pixels
                most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            with lock:
                inside[0] -= pixels

    threads = [threading.Thread(target=use, args=(pixels,)) for pixels in (40, 50, 500, 60, 11, 70) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads) and most[0] in range(90, 501)


def test_row_22_a_bomb_in_a_text_chunk(peak_of: Callable[[bytes], float]) -> None:
    packing = zlib.compressobj(wbits=-15)
    zeros = packing.compress(bytes(2**20)) + packing.flush(zlib.Z_FULL_FLUSH)
    body = b"\x78\x9c" + 2**8 * zeros + packing.flush() + struct.pack(">I", 2**28 % 65521 << 16 | 1)  # its Adler-32
    for name, keyword in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        data = png_of(16, 16, 8, 0, bytes(17 * 16), chunk(name, keyword + body))
        assert len(data) < 300_000 and peak_of(data) < 60
        with pytest.raises(Unusable, match="damaged PNG"):
            header(data)


def test_row_22_a_bomb_of_400_megapixels_in_a_small_file(peak_of: Callable[[bytes], float]) -> None:
    lines = zlib.compressobj(9)
    packed = b"".join(lines.compress(bytes(2501 * 1000)) for _ in range(20)) + lines.flush()
    head = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert len(data) < 400_000 and peak_of(data) < 60
    with pytest.raises(Unusable, match="megapixels"):
        header(data)


def test_row_22_pillow_is_new_enough() -> None:
    (wanted,) = [line for line in importlib.metadata.requires("sparring") or [] if line.lower().startswith("pillow")]
    floor = re.search(r">=\s*(\d+)\.(\d+)", wanted)
    assert floor and tuple(map(int, floor.groups())) >= (12, 3)


@pytest.mark.parametrize(
    ("image", "kind", "options", "words"),
    [
        (Image.new("1", (16, 16)), "PNG", {}, "1-bit"),
        (Image.new("L", (16, 16)), "PNG", {}, "grey"),
        (Image.new("L", (16, 16)), "PNG", {"transparency": 3}, "grey with transparency"),
        (Image.new("LA", (16, 16)), "PNG", {}, "grey with transparency"),
        (Image.new("I;16", (16, 16)), "PNG", {}, "grey 16-bit"),
        (Image.new("I", (16, 16)), "TIFF", {}, "grey 32-bit"),
        (Image.new("F", (16, 16)), "TIFF", {}, "float"),
        (Image.new("P", (16, 16)), "PNG", {}, "palette"),
        (Image.new("P", (16, 16)), "PNG", {"transparency": 0}, "palette with transparency"),
        (Image.new("RGB", (16, 16)), "JPEG", {}, "colour"),
        (Image.new("RGBA", (16, 16)), "WEBP", {"lossless": True}, "colour with transparency"),
        (Image.new("CMYK", (16, 16)), "JPEG", {}, "CMYK"),
        (Image.new("LAB", (16, 16)), "TIFF", {}, "Lab"),
    ],
)
def test_what_pixels_are_is_said_in_words(image: Image.Image, kind: str, options: dict[str, Any], words: str) -> None:
    assert header(file(image, kind, **options)).mode == words


def test_16_bit_colour_is_said_in_words() -> None:
    assert header(png16(np.zeros((16, 16, 3)))).mode == "colour 16-bit"
    assert header(png16(np.zeros((16, 16, 4)))).mode == "colour 16-bit with transparency"


# ── 10, 20, 24 to 26: what a person should know ───────────────────────────────────────────────────────────────────


def test_row_10_20_24_25_26_warnings_name_what_they_mean(tmp_path: Path, noise: Noise) -> None:
    for k in range(9):
        noise(k, 40, 40).save(tmp_path / f"{k}.png")
    noise(0, 40, 40).save(tmp_path / "copy.png", compress_level=1)
    noise(1, 9, 9).save(tmp_path / "small.png")
    Image.new("RGBA", (40, 40), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    said = open_data(tmp_path, size=(32, 32), held_out=0).report.warnings
    for words in ("transparent images were put on white (1)", "1 of 12 images is much smaller than 32x32",
                  "95 % have a shorter side of at least", "1 of 12 images is an exact duplicate of others",
                  "1 image is one flat colour: clear.png", "only 12 images"):  # fmt: skip
        assert any(words in warning for warning in said), (words, said)
    assert any("copy.png" in warning and "0.png" in warning for warning in said)


# ── 36 to 38: links, what cannot be read, names ───────────────────────────────────────────────────────────────────


@LINUX
def test_row_36_sockets_devices_and_hard_links(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(3)
    monkeypatch.chdir(root)  # a socket's path may have 108 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        (root / "device.png").symlink_to("/dev/zero")
        os.link(root / "0000.png", root / "again.png")
        found = open_data(root)
    assert {name: "never opened" in why for name, why in reasons(found).items()} == {
        "socket.png": True, "device.png": True
    }  # fmt: skip
    assert found.report.found == 3 + 1 + 2  # a hard link is a file like any other, and a duplicate


@LINUX
def test_row_36_what_becomes_a_pipe_meanwhile_does_not_block(folder: Folder) -> None:
    root = folder(3)
    source = FolderSource(root)
    (root / "0001.png").unlink()
    os.mkfifo(root / "0001.png")
    with pytest.raises(Unreadable, match="never read"):
        source.read(1)


@LINUX
def test_row_37_no_permission_vanishing_and_hopeless_files(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(4)
    source = FolderSource(root)
    (root / "0000.png").unlink()
    with pytest.raises(Unreadable, match="No such file") as gone:
        source.read(0)
    assert gone.value.passing
    real, asked = os.open, []

    def stumble(path: Any, flags: int, mode: int = 0o777) -> int:
        asked.append(Path(path).name)
        if asked[-1] == "0001.png":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", stumble)
    with pytest.raises(Unreadable, match="Input/output error"):
        source.read(1)
    assert asked == ["0001.png"] * 3
    if os.geteuid():  # nothing is forbidden to root
        (root / "0002.png").chmod(0)
        with pytest.raises(Unreadable, match="Permission denied"):
            source.read(2)


def test_row_37_a_listing_that_stumbles_is_asked_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real, asked = folder(3), os.listdir, []

    def stumble(path: Any) -> list[str]:
        asked.append(path)
        if len(asked) < 3:
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path)

    monkeypatch.setattr(os, "listdir", stumble)
    assert len(FolderSource(root).items) == 3


@LINUX
def test_row_38_names_of_all_kinds_round_trip(folder: Folder, noise: Noise) -> None:
    root = folder(2)
    names = [
        " leading and trailing ", "new\nline.png", "tab\t.png", "quote'\"`.png", "\u202ertl\u202c.png", "שלום.png",
        "e\u0301.png", "\u00e9.png", "😀.png", "-rf.png", "--help", ";rm -rf x.png", "$(x).png", "%s%n.png",
        "<script>alert(1)</script>.png".replace("/", "\u2215"), "CON.png", "a" * 251 + ".png", "back\\slash.png",
        os.fsdecode(b"invalid\xff\xfe.png"), "..png", "...", "\x7f\x1b[31m.png",
    ]  # fmt: skip
    broken = []
    for number, name in enumerate(names):
        noise(10 + number).save(root / name, "PNG")
        if len(os.fsencode(name)) < 255:
            broken.append(name[:-1] + "_")
            (root / broken[-1]).write_bytes(b"")
    found = open_data(root, held_out=0)
    assert {found.names[row] for row in found.index} == {*names, "0000.png", "0001.png"}
    again = DataReport.of(json.loads(json.dumps(found.report.record())))
    assert again == found.report and {name for name, _ in again.excluded} == set(broken)
    lines = "\n".join(found.report.lines())
    assert lines.encode("utf-8") and all(line.isprintable() for line in lines.split("\n"))
    assert {item.name for item in open_source(str(root)).items} >= set(names)


# ── 39: many files ────────────────────────────────────────────────────────────────────────────────────────────────


def test_row_39_a_listing_takes_few_bytes_a_file_and_says_how_far_it_is(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, names = folder(1), 2_000
    like, real, told = os.stat(root / "0000.png"), os.stat, []

    def listdir(place: Any) -> list[str]:
        inside = os.path.relpath(place, root)
        return [f"{k}" for k in range(5)] if inside == "." else [f"IMG_{k:08d}.jpeg" for k in range(names)]

    def where(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith(".jpeg"):
            return like
        info = list(real(root))
        info[1] = int(Path(path).name) + 1 if Path(path).name.isdigit() else info[1]  # its inode
        return os.stat_result(info)

    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "stat", where)
    gc.collect()
    tracemalloc.start()
    source = FolderSource(root, lambda stage, done, total: told.append((stage, done, total)))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    monkeypatch.undo()
    assert len(source.items) == 5 * names and told[-1] == ("listing", 5 * names, 0) and len(told) == 10
    assert held < 150 * 5 * names and peak - held < 150 * names  # a million: 150 MB


# ── 40: zips ──────────────────────────────────────────────────────────────────────────────────────────────────────


def zipped(path: Path, entries: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as out:
        for name, data in entries.items():
            out.writestr(name, data)
    return path


def test_row_40_a_zip64_is_a_zip(tmp_path: Path, noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)  # as if three files were too many for the old format
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        for k in range(4):
            with out.open(f"{k}.png", "w", force_zip64=True) as entry:
                entry.write(file(noise(k)))
    assert b"PK\6\6" in (tmp_path / "a.zip").read_bytes()
    found = open_data(tmp_path / "a.zip", size=(16, 16), held_out=0)
    assert {row.tobytes() for row in found.train} == {noise(k).tobytes() for k in range(4)}


def test_row_40_a_password_is_asked_for_in_words(tmp_path: Path, noise: Noise) -> None:
    path = zipped(tmp_path / "a.zip", {f"{k}.png": file(noise(k)) for k in range(3)})
    data = bytearray(path.read_bytes())
    for at in [match.start() for match in re.finditer(b"PK\x01\x02", data)]:
        data[at + 8] |= 1
    path.write_bytes(bytes(data))
    assert "encrypted: unpack the zip with its password" in refused(path)


def test_row_40_a_bomb_is_refused_by_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {f"{k}.png": bytes(2**22) for k in range(4)})
    assert len(ZipSource(path).items) == 4
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 2**23)
    monkeypatch.setattr(archive, "MAX_GROWTH", 500)
    assert "this zip is a bomb" in refused(path) and "promise to become 16,777,216" in refused(path)
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 2**20)
    assert [reason for _, reason in ZipSource(path).listed_out] == ["larger than 1 MiB"] * 4


@pytest.mark.parametrize("declared", [20, 100, 10**6])
def test_row_40_sizes_that_lie_are_damage(declared: int, tmp_path: Path, noise: Noise) -> None:
    path = zipped(tmp_path / "a.zip", {"0.png": file(noise(0, 64, 64)), "1.png": file(noise(1))})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", declared)
    path.write_bytes(bytes(data))
    source = ZipSource(path)
    with pytest.raises(Unreadable, match="damaged zip entry"):
        source.read(0)
    assert source.read(1) == file(noise(1))


def test_row_40_a_method_that_nobody_reads_and_a_zip_in_a_zip(tmp_path: Path, noise: Noise) -> None:
    inner = zipped(tmp_path / "b.zip", {"0.png": file(noise(0))}).read_bytes()
    path = zipped(tmp_path / "a.zip", {"0.png": file(noise(0)), "1.png": file(noise(1)), "inner.zip": inner})
    data = bytearray(path.read_bytes())
    for at in (0, data.index(b"PK\x01\x02") + 2):
        data[at + 8] = 97  # WavPack
    path.write_bytes(bytes(data))
    said = reasons(open_data(path))
    assert said["0.png"].startswith("compressed in a way that is not read") and "as its own source" in said["inner.zip"]


def test_row_40_a_zip_that_was_cut_off(tmp_path: Path, noise: Noise) -> None:
    path = zipped(tmp_path / "a.zip", {f"{k}.png": file(noise(k)) for k in range(3)})
    whole = path.read_bytes()
    for keep in (len(whole) // 2, whole.index(b"PK\x01\x02") + 30, len(whole) - 5):
        path.write_bytes(whole[:keep])
        said = refused(path)
        assert said.startswith("[DATA-ZIP]") and "cut off" in said and "download it again" in said


@pytest.mark.parametrize("promised", [2**20, 2**33])
def test_row_40_an_idx_file_that_promises_too_much(promised: int, tmp_path: Path) -> None:
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, promised // 2**10, 32, 32) + bytes(99))
    assert refused(path).startswith("[DATA-IDX]") and re.search("more than", refused(path))


# ── 42: clouds and networks ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "info", "expected"),
    [
        ("a.jpg", {"st_file_attributes": 0x400000}, True),  # OneDrive: recall on data access
        ("a.jpg", {"st_file_attributes": 0x40000}, True),
        ("a.jpg", {"st_file_attributes": 0x1000}, True),
        ("a.jpg", {"st_file_attributes": 0x20}, False),
        ("a.jpg", {"st_flags": 0x40000000}, True),  # iCloud on APFS
        (".a.jpg.icloud", {}, True),  # iCloud before
        ("a.jpg", {"st_blocks": 0, "st_size": 100}, False),  # a small file inside its inode
    ],
)
def test_row_42_placeholders_of_a_cloud(name: str, info: dict[str, int], expected: bool) -> None:
    assert in_the_cloud(name, types.SimpleNamespace(**info)) == expected


def test_row_42_a_placeholder_is_listed_with_what_to_do(folder: Folder) -> None:
    root = folder(2)
    (root / ".holiday.jpg.icloud").write_bytes(b"bplist00")
    assert "make it available offline" in reasons(open_data(root))[".holiday.jpg.icloud"]


def test_row_42_nobody_waits_for_ever(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root, real, answer = folder(4), os.open, threading.Event()

    def slow(path: Any, flags: int, mode: int = 0o777) -> int:
        if Path(path).name in ("0001.png", "0002.png"):
            answer.wait(30)
        return real(path, flags, mode)

    monkeypatch.setattr(folders, "file_system", lambda path: "nfs4")
    monkeypatch.setattr(folders, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(os, "open", slow)
    source = FolderSource(root)
    assert source.read(0) == (root / "0000.png").read_bytes()
    for number in (1, 2):
        with pytest.raises(Unreadable, match=r"no answer within 0\.1 s") as late:
            source.read(number)
        assert late.value.passing
    assert source.read(3)
    waiting = [thread for thread in threading.enumerate() if thread.name == "reader"]
    assert len(waiting) == 3 and all(thread.daemon for thread in waiting)  # daemons keep no program alive
    answer.set()
    del source, late
    gc.collect()
    for thread in waiting:
        thread.join(20)
    assert not any(thread.is_alive() for thread in waiting)


def test_row_42_a_local_disk_is_read_without_detours(folder: Folder) -> None:
    before = threading.active_count()
    source = FolderSource(folder(3))
    assert source.read(2) and threading.active_count() == before
    if Path("/proc/self/mountinfo").exists():
        assert file_system(Path("/proc")) == "proc"
    assert stat.S_ISDIR(os.stat(".").st_mode)
