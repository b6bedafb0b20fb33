"""What `inspect` says of small data sets whose every property is known."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.scenes import scene

from sparring.data import Dataset, open_data
from sparring.data.findings import kind_of
from sparring.data.inspect import inspect
from sparring.data.inspection import Finding, Inspection


@pytest.fixture
def scenes(tmp_path: Path) -> Callable[..., Path]:
    """scenes(n, size=(64, 64), name="scenes"): a folder of n pictures."""

    def make(n: int, size: tuple[int, int] = (64, 64), name: str = "scenes") -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for k in range(n):
            scene(k, *size).save(root / f"{k:03d}.png")
        return root

    return make


def found(inspection: Inspection, code: str) -> Finding:
    """The one finding of this code."""
    (one,) = [finding for finding in inspection.findings if finding.code == code]
    return one


def codes(inspection: Inspection) -> set[str]:
    return {finding.code for finding in inspection.findings}


def test_counts_add_up(scenes: Callable[..., Path]) -> None:
    root = scenes(30)
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing follows")
    (root / "empty.png").write_bytes(b"")
    made = inspect(open_data(root))
    assert (made.found, made.usable, made.used, made.held_out, len(made.excluded)) == (32, 30, 29, 1, 2)
    assert made.found == made.usable + len(made.excluded)
    assert made.usable == made.used + made.held_out


def test_every_file_left_out_is_named_with_reason_and_fix(scenes: Callable[..., Path]) -> None:
    root = scenes(5)
    whole = (root / "000.png").read_bytes()
    (root / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "page.jpg").write_bytes(b"<!doctype html><title>404</title>")
    (root / "void.png").write_bytes(b"")
    Image.new("RGB", (4, 4)).save(root / "tiny.png")
    Image.new("RGB", (400, 10)).save(root / "long.png")
    made = inspect(open_data(root))
    named = {name: finding for finding in made.findings if finding.code == "DATA-LEFT-OUT" for name, _ in finding.files}
    assert set(named) == {"cut.png", "page.jpg", "void.png", "tiny.png", "long.png"}
    for name, finding in named.items():
        assert finding.fix and finding.level == "warning", name
    text = "\n".join(made.lines())
    for name, reason in made.excluded:
        assert f"left out: {name}: {reason}" in text
    assert "--min-side" in named["tiny.png"].fix and "--max-aspect" in named["long.png"].fix


def test_many_of_a_kind_are_one_finding(scenes: Callable[..., Path]) -> None:
    root = scenes(5)
    for k in range(300):
        (root / f"void{k}.png").write_bytes(b"")
    finding = found(inspect(open_data(root)), "DATA-LEFT-OUT")
    assert finding.count == 300 and len(finding.files) == 200
    lines = list(finding.lines())
    assert len(lines) == 6 and "… and 297 more" in lines[4]


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("empty (0 bytes)", "empty"),
        ("a web page (HTML), not an image", "web pages"),
        ("damaged JPEG: its header cannot be read", "damaged"),
        ("too small: 4x4, shorter side below 8", "too small"),
        ("cannot be read: Permission denied", "not allowed"),
        ("a video, not an image: extract its frames", "videos"),
        ("a Photoshop file: export it as PNG", "a Photoshop file"),
        ("text, not an image", "no images"),
    ],
)
def test_kinds_of_reasons(reason: str, what: str) -> None:
    called, fix = kind_of(reason)
    assert called.startswith(what)
    assert fix


def test_exact_duplicates_are_groups_with_names(scenes: Callable[..., Path]) -> None:
    root = scenes(20)
    for copy in ("a.png", "b.png"):
        shutil.copy(root / "003.png", root / copy)
    Image.open(root / "005.png").save(root / "again.bmp")
    made = inspect(open_data(root))
    assert made.repeated == 3
    assert [sorted(group.files) for group in made.equal] == [["003.png", "a.png", "b.png"], ["005.png", "again.bmp"]]
    assert made.near_count == 0, "equal pictures are not called almost equal as well"
    assert found(made, "DATA-DUPLICATES").level == "warning"


def test_near_duplicates_are_pairs_with_names(scenes: Callable[..., Path]) -> None:
    root = scenes(40)
    Image.open(root / "007.png").save(root / "again.jpg", quality=60)
    Image.open(root / "009.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "turned.png")
    made = inspect(open_data(root))
    pairs = {frozenset(pair.files): pair.mirrored for pair in made.near}
    assert pairs == {frozenset({"007.png", "again.jpg"}): False, frozenset({"009.png", "turned.png"}): True}
    assert made.near_count == 2
    text = "\n".join(made.lines())
    assert "again.jpg" in text and "1 of them mirrored" in text


def test_the_same_picture_in_two_classes_is_said(tmp_path: Path) -> None:
    for k in range(40):
        folder = tmp_path / ("cats", "dogs")[k % 2]
        folder.mkdir(exist_ok=True)
        scene(k).save(folder / f"{k:02d}.png")
    scene(3).save(tmp_path / "cats" / "again.jpg", quality=60)
    made = inspect(open_data(tmp_path, labels="folders"))
    assert [(set(pair.files), pair.apart) for pair in made.near] == [({"dogs/03.png", "cats/again.jpg"}, True)]
    finding = found(made, "DATA-NEAR")
    assert finding.level == "warning" and "1 in different classes" in finding.what


def test_rows_lead_to_the_files(scenes: Callable[..., Path]) -> None:
    root = scenes(40)
    Image.open(root / "007.png").save(root / "again.jpg", quality=60)
    data = open_data(root)
    (pair,) = inspect(data).near
    for name, row in zip(pair.files, pair.rows, strict=True):
        assert data.file(row) == name
        assert np.abs(data.row(row).astype(int) - np.asarray(Image.open(root / name)).astype(int)).max() == 0


def test_blank_images_are_named(scenes: Callable[..., Path]) -> None:
    root = scenes(30)
    Image.new("RGB", (64, 64), "white").save(root / "white.png")
    pale = np.full((64, 64, 3), 250, np.uint8)
    pale[::2] = 251
    Image.fromarray(pale).save(root / "pale.png")
    made = inspect(open_data(root))
    assert made.blank == 2 and set(made.empty.files) == {"white.png", "pale.png"}
    assert found(made, "DATA-BLANK").level == "warning"


def test_sizes_and_shapes(scenes: Callable[..., Path]) -> None:
    root = scenes(10, (64, 64))
    for k in range(30):
        scene(100 + k, 128, 64).save(root / f"wide{k}.png")
    made = inspect(open_data(root, size=(64, 64)))
    assert (made.smallest, made.largest, made.even) == ((64, 64), (128, 64), None)
    assert made.lost == pytest.approx(0.75 * 0.5)
    assert made.much == 30
    assert sum(count for _, count in made.sides) == sum(count for _, count in made.aspects) == 40
    assert dict(made.aspects) == {"1:1": 10, "3:2 to 2:1": 30}
    assert "cuts away 38%" in found(made, "DATA-CROP").what
    assert inspect(open_data(root, size=(64, 64), crop="pad")).lost == 0.0


@pytest.mark.parametrize("kind", ["seam", "alike", "one", "halves of none"])
def test_pictures_side_by_side_are_asked_about_and_panoramas_are_not(tmp_path: Path, kind: str) -> None:
    """A step in the middle, or the same edges in both halves on white; a panorama has neither."""
    for number in range(12):
        picture = Image.new("RGB", (128, 64), "white")
        if kind == "seam":
            picture.paste(scene(number), (0, 0)), picture.paste(scene(number + 100), (64, 0))
        elif kind == "one":
            picture = scene(number, 128, 64)
        else:
            spot = tuple(np.random.default_rng(number).integers(4, 36, 2).tolist())
            other = spot if kind == "alike" else tuple(np.random.default_rng(number + 50).integers(4, 36, 2).tolist())
            picture.paste(Image.new("RGB", (20, 20), "black"), spot)
            picture.paste(scene(number, 20, 20), (64 + other[0], other[1]))
        picture.save(tmp_path / f"{number}.png")
    data = open_data(tmp_path)
    made = inspect(data)
    assert made.even == 2.0
    if kind in ("one", "halves of none"):
        assert "DATA-SIDE-BY-SIDE" not in codes(made)
    else:
        assert "--pairs side-by-side" in found(made, "DATA-SIDE-BY-SIDE").fix
        assert any("side by side" in line for line in data.report.lines()), "train says so too"
        assert "DATA-SIDE-BY-SIDE" not in codes(inspect(open_data(tmp_path, pairs="side-by-side")))


def test_kinds_of_pixels(scenes: Callable[..., Path]) -> None:
    root = scenes(97)
    deep = np.random.default_rng(0).integers(0, 2**16, (64, 64)).astype(np.uint16)
    Image.fromarray(deep).save(root / "deep.png")
    scene(500).convert("L").save(root / "grey.png")
    made = inspect(open_data(root))
    assert made.modes == {"colour": 97, "grey 16-bit": 1, "grey": 1}
    odd = {finding.files[0] for finding in made.findings if finding.code == "DATA-ODD"}
    assert odd == {("deep.png", "grey 16-bit"), ("grey.png", "grey")}


def test_classes_captions_and_imbalance(tmp_path: Path) -> None:
    lines = []
    for k in range(40):
        scene(k).save(tmp_path / f"{k}.png")
        lines.append({"file_name": f"{k}.png", "label": "cat" if k < 36 else "dog", "text": f"picture {k}"})
    (tmp_path / "metadata.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    made = inspect(open_data(tmp_path))
    assert made.classes == {"cat": 36, "dog": 4}
    assert made.imbalance == 9.0
    assert made.captions == 40 and made.captioned == 1.0
    assert made.examples and all(text == f"picture {Path(name).stem}" for name, text in made.examples)
    assert "picture" in "\n".join(made.lines())


def test_class_folders_are_suggested(tmp_path: Path) -> None:
    for k in range(24):
        folder = tmp_path / ("cats", "dogs")[k % 2]
        folder.mkdir(exist_ok=True)
        scene(k).save(folder / f"{k}.png")
    assert "cats, dogs" in found(inspect(open_data(tmp_path)), "DATA-FOLDERS").what
    assert "DATA-FOLDERS" not in codes(inspect(open_data(tmp_path, labels="folders")))
    (tmp_path / "cats").rename(tmp_path / "train")
    (tmp_path / "dogs").rename(tmp_path / "test")
    assert "DATA-FOLDERS" not in codes(inspect(open_data(tmp_path)))


def test_nothing_to_say_about_good_data(scenes: Callable[..., Path]) -> None:
    made = inspect(open_data(scenes(60)))
    assert codes(made) == {"DATA-FEW"}


def test_names_are_shown_safely(scenes: Callable[..., Path]) -> None:
    root = scenes(20)
    (root / "a\nb\x1b[31m.png").write_bytes(b"")
    text = "\n".join(inspect(open_data(root)).lines())
    assert "a\\nb\\x1b[31m.png" in text and "\x1b" not in text


def test_the_record_is_json(scenes: Callable[..., Path]) -> None:
    root = scenes(20)
    (root / "b\udcff.png").write_bytes(b"")
    made = inspect(open_data(root))
    assert json.loads(json.dumps(made.record()))["found"] == 21


def test_points_have_no_pixels() -> None:
    made = inspect(open_data("ring"))
    assert made.lines() == ["ring: 100,000 points of 2 numbers, 5,000 held out"]


def test_the_comparison_is_kept(scenes: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = scenes(30)
    Image.open(root / "007.png").save(root / "again.jpg", quality=60)
    first = inspect(open_data(root))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("compared a second time")

    monkeypatch.setattr("sparring.data.duplicates.alike", never)
    assert inspect(open_data(root)) == first
    scene(900).save(root / "new.png")
    with pytest.raises(AssertionError, match="second time"):
        inspect(open_data(root))


def test_without_decoded_images_the_same_is_found(scenes: Callable[..., Path]) -> None:
    root = scenes(40)
    Image.open(root / "007.png").save(root / "again.jpg", quality=60)
    Image.new("RGB", (64, 64), "white").save(root / "white.png")

    def facts(data: Dataset) -> tuple[object, ...]:
        made = inspect(data)
        return made.near, made.equal, made.empty, made.blank, made.modes

    live = open_data(root, keep="off")
    assert facts(live) == facts(open_data(root, keep="on"))
    live.close()


def test_a_few_images(scenes: Callable[..., Path]) -> None:
    made = inspect(open_data(scenes(1)))
    assert made.usable == 1 and found(made, "DATA-FEW").level == "warning"
    file = io.StringIO("\n".join(made.lines()))
    assert "all 64x64" in file.read()


# ── in words ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_metadata_of_which_nothing_is_used_are_said(scenes: Callable[..., Path]) -> None:
    root = scenes(20)
    rows = [{"file_name": f"{k:03d}.png", "breed": "ab"[k % 2], "caption": "soft"} for k in range(20)]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = found(inspect(open_data(root)), "DATA-NOTED")
    assert said.level == "warning" and said.what == "metadata.jsonl: nothing in it is used"
    assert "file_name, breed, caption" in said.why
    assert said.fix == "--columns label=breed --columns text=caption"
    made = inspect(open_data(root, columns=(("label", "breed"), ("text", "caption"))))
    assert made.classes and made.captions and "DATA-NOTED" not in codes(made)
    assert "DATA-NOTED" not in codes(inspect(open_data(root, labels="none"))), "as asked"


@pytest.mark.parametrize("name", ["metadata.json", "metadata.tsv", "labels.csv"])
def test_tables_of_other_names_are_not_only_text(scenes: Callable[..., Path], name: str) -> None:
    root = scenes(20)
    (root / name).write_text("file_name\tlabel\n000.png\tcat\n")
    said = found(inspect(open_data(root)), "DATA-LEFT-OUT")
    assert "metadata.jsonl or metadata.csv would be read" in said.fix
    assert kind_of("text, not an image", "readme.txt")[0] == "no images"


def test_what_was_noticed_is_a_short_sentence_with_a_fix(scenes: Callable[..., Path]) -> None:
    root = scenes(30)
    scene(50, 20, 20).save(root / "small.png")
    rows = [{"file_name": f"{k:03d}.png", "text": "soft"} for k in range(3)]
    rows += [{"file_name": f"gone{k}.png", "text": "soft"} for k in range(30)]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    noted = [finding for finding in inspect(open_data(root)).findings if finding.code == "DATA-NOTED"]
    assert len(noted) == 3
    for finding in noted:
        assert len(finding.what) < 90 and finding.fix, finding.what
    assert any("gone0.png" in finding.files[0][0] for finding in noted if finding.files)


def test_odd_images_are_shown_and_dark_ones_brightened(scenes: Callable[..., Path]) -> None:
    root = scenes(97)
    deep = np.random.default_rng(0).integers(0, 2**12, (64, 64)).astype(np.uint16)
    Image.fromarray(deep).save(root / "deep.png")
    data = open_data(root)
    (odd,) = [finding for finding in inspect(data).findings if finding.code == "DATA-ODD"]
    assert [data.file(row) for row in odd.rows] == ["deep.png"]
    assert "nearly black" in odd.fix and "--range 0,4095" in odd.fix
    Image.fromarray(deep * 16).save(root / "deep.png")
    (odd,) = [finding for finding in inspect(open_data(root)).findings if finding.code == "DATA-ODD"]
    assert odd.fix == "nothing, if they look right on the page"


def test_images_of_12_bits_are_nearly_black(tmp_path: Path) -> None:
    for k in range(20):
        deep = np.random.default_rng(k).integers(0, 2**12, (64, 64)).astype(np.uint16)
        Image.fromarray(deep).save(tmp_path / f"{k}.png")
    said = found(inspect(open_data(tmp_path)), "DATA-DARK")
    assert said.what.startswith("20 of 20 images") and said.fix.startswith("--range 0,4095") and len(said.rows) == 12
    assert "DATA-DARK" not in codes(inspect(open_data(tmp_path, levels=(0.0, 4095.0))))


def test_numbers_and_fixes_read_well(scenes: Callable[..., Path]) -> None:
    root = scenes(30)
    Image.new("RGB", (64, 64), "white").save(root / "white.png")
    (root / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isommp42" + bytes(40))
    (root / "drawing.psd").write_bytes(b"8BPS\0\1" + bytes(40))
    made = inspect(open_data(root))
    assert found(made, "DATA-BLANK").what == "1 of 31 images is blank"
    text = "\n".join(made.lines())
    assert text.count("extract") == 1 and text.count("export it") == 1, text


def test_built_in_data_cannot_be_mended() -> None:
    made = inspect(open_data("emoji", size=(64, 64)))
    assert made.blank == 1 and "DATA-BLANK" not in codes(made)
