"""The page of a check: whole and safe with any names, without any request, and showing what was found."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from tests.data.scenes import scene
from tests.report.reader import Reader

from sparring.data import Options
from sparring.data.tiles import sheet, tile
from sparring.report.data_page import bars, write
from sparring.report.data_pictures import Pictures, url
from sparring.runs.check import check

HOSTILE = "<script>alert(1)<\\script> \"'&\u202e\n\udcff"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def messy(tmp_path):
    """Two classes with captions, names that bite, and one of each kind of trouble."""
    return troubles(tmp_path / "messy <b>")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What was found in such a folder, and the page of it."""
    folder = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_CACHE", str(folder / "cache"))
        checked = check(troubles(folder / "messy <b>"), device="cpu")
        return checked, write(checked, folder / "out")


def troubles(root):
    lines = []
    for k in range(16):
        folder = ("tall", "wi<i>de")[k % 2]
        (root / folder).mkdir(parents=True, exist_ok=True)
        name = f"{folder}/{k}.png"
        scene(k, *((64, 80), (96, 64))[k % 2]).save(root / name)
        lines.append({"file_name": name, "label": folder, "text": f"</div> {k}"})
    for name, image in {
        f"tall/{HOSTILE}.jpg": scene(0, 64, 80), "tall/same.png": scene(2, 64, 80),
        "tall/white.png": Image.new("RGB", (64, 64), "white"), "tall/turned.png": scene(4, 64, 80).transpose(0),
    }.items():  # fmt: skip
        image.save(root / name, "PNG" if name.endswith("png") else "JPEG")
        lines.append({"file_name": name, "label": "tall", "text": "again"})
    (root / "metadata.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    (root / "tall" / f"broken {HOSTILE}").write_bytes(b"\xff\xd8\xff")
    return root


def read(page):
    reader = Reader()
    text = page.read_text("utf-8")
    reader.feed(text)
    reader.close()
    assert not reader.open
    return reader, " ".join(" ".join(reader.shown).split()), text


def test_the_page_is_whole_and_shows_what_was_found(shown):
    checked, page = shown
    assert sorted(path.name for path in page.parent.iterdir()) == ["contact.png", "report.html", "report.json"]
    reader, text, _ = read(page)
    for heading in (
        "What to look at", "How to train on it", "The images, by class", "What the crop does", "Sizes and colours",
        "Classes", "Almost the same", "Exact duplicates", "Blank", "Captions", "Left out", "Preparation",
    ):  # fmt: skip
        assert heading in text, heading
    assert checked.verdict() in text
    assert "sparring train" in text
    assert "tall/white.png" in text and "tall/same.png" in text and "tall/turned.png" in text and "mirrored" in text
    assert "broken" in text
    assert json.loads((page.parent / "report.json").read_text())["verdict"] == checked.verdict()


def test_names_cannot_break_out(shown):
    reader, text, source = read(shown[1])
    assert [tag for tag, _ in reader.tags].count("script") == 1, "the page's own"
    assert {"b", "i"} & {tag for tag, attrs in reader.tags} <= {"b"}, "only the page's own emphasis"
    assert "\u202e" not in source and "messy <b>" in text and "wi<i>de" in text and "</div> " in text
    assert "\\u202e" in text or "alert(1)" in text
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)


def test_the_page_asks_for_nothing(shown):
    reader, _, source = read(shown[1])
    policy = next(attrs["content"] for tag, attrs in reader.tags if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'") and "connect-src" not in policy
    for tag, attrs in reader.tags:
        for name in ("src", "href"):
            assert attrs.get(name, "data:").startswith("data:"), (tag, attrs)
    assert not re.search(r"url\(|@import|https?://", source)


def test_every_picture_can_be_decoded(shown):
    reader, _, _ = read(shown[1])
    pictures = [attrs["src"] for tag, attrs in reader.tags if tag == "img"]
    assert len(pictures) > 10
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).load()
    with Image.open(shown[1].with_name("contact.png")) as contact:
        assert contact.mode == "RGB"


def test_a_second_page_replaces_the_first_and_nothing_else(messy, tmp_path):
    out = tmp_path / "out"
    page = write(check(messy, device="cpu"), out)
    (out / "notes.txt").write_text("mine")
    before = page.stat().st_mtime_ns
    assert write(check(messy, device="cpu"), out).stat().st_mtime_ns == before, "the same is not written again"
    scene(99).save(messy / "tall" / "new.png")
    (messy / "metadata.jsonl").unlink()
    assert write(check(messy, device="cpu"), out).stat().st_mtime_ns != before
    assert (out / "notes.txt").read_text() == "mine"
    assert not list(out.glob(".*"))


def test_without_labels_captions_or_troubles(tmp_path):
    (tmp_path / "plain").mkdir()
    for k in range(16):
        scene(k).save(tmp_path / "plain" / f"{k}.png")
    _, text, _ = read(write(check(tmp_path / "plain", device="cpu"), tmp_path / "out"))
    assert "The images" in text
    for heading in ("by class", "What the crop does", "Almost the same", "Blank", "Captions", "Left out"):
        assert heading not in text, heading


@pytest.mark.parametrize(
    "options", [Options(channels=4), Options(channels=1), Options(crop="pad"), Options(crop="squeeze"),
                Options(keep="off"), Options(size=(300, 200)), Options(held_out=0.0)]
)  # fmt: skip
def test_however_images_are_prepared(messy, tmp_path, options):
    checked = check(messy, options, device="cpu")
    _, text, _ = read(write(checked, tmp_path / "out"))
    assert "The images" in text
    checked.dataset.close()


def test_points_have_a_page(tmp_path):
    page = write(check("ring", device="cpu"), tmp_path / "out")
    _, text, _ = read(page)
    assert "gan-points" in text and not (tmp_path / "out" / "contact.png").exists()


def test_files_that_went_away_meanwhile(messy, tmp_path):
    """The page is made from what was kept where a file is no longer there."""
    checked = check(messy, device="cpu")
    for path in (messy / "tall").glob("*.png"):
        path.unlink()
    read(write(checked, tmp_path / "out"))


def test_what_the_crop_cuts_is_measured(tmp_path):
    (tmp_path / "wide").mkdir()
    for k in range(8):
        scene(k, 64 if k % 2 else 128, 64).save(tmp_path / "wide" / f"{k}.png")
    with Pictures(check(tmp_path / "wide", device="cpu")) as pictures:
        examples = pictures.examples()
    assert len(examples) == 4 == len({example.name for example in examples})
    assert {round(example.cut, 2) for example in examples} == {0.0, 0.5}
    for example in examples:
        assert example.before.width / example.before.height == example.size[0] / example.size[1]
        assert example.after.width == example.after.height


def test_findings_on_the_page(tmp_path):
    """Odd images are shown with their names, reasons stand on lines of their own, names keep their case."""
    root = tmp_path / "mixed"
    root.mkdir()
    for k in range(100):
        scene(k).save(root / f"{k}.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)).save(root / "deep.png")
    (root / "metadata.jsonl").write_text('{"file_name": "0.png", "breed": "a"}\n')
    _, text, source = read(write(check(root, device="cpu"), tmp_path / "out"))
    assert "metadata.jsonl: nothing in it is used" in text and "Metadata.jsonl" not in text
    odd = source[source.index("unlike the rest") :]
    odd = odd[: odd.index("</li>")]
    assert "<img" in odd and "deep.png" in odd and "--range 0,4095" in odd
    (root / "metadata.jsonl").write_text('{"file_name": "0.png", "label"\n')
    _, text, source = read(write(check(root, device="cpu"), tmp_path / "out"))
    assert '<div class="why">' in source and "line 1 is not JSON" in text and "\\n" not in text
    assert "No command yet" in text and "sparring train" not in text


# ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("side", "shown"), [(8, 96), (28, 84), (32, 96), (64, 128), (96, 96), (256, 96)])
def test_tiles_are_whole_steps_of_small_images(side, shown):
    assert tile(np.zeros((side, side, 3), np.uint8)).height == shown


def test_transparent_tiles_lie_on_a_board():
    clear = np.zeros((32, 32, 4), np.uint8)
    assert len(set(tile(clear).get_flattened_data())) == 2


def test_a_sheet_is_as_large_as_its_tiles():
    tiles = [Image.new("RGB", (20, 10), (k, 0, 0)) for k in range(7)]
    made = sheet(tiles, 3)
    assert made.size == (3 * 20 + 2 * 3, 3 * 10 + 2 * 3)
    assert made.getpixel((0, 26)) == (6, 0, 0)


def test_drawings_are_kept_exactly():
    drawing = Image.new("RGB", (64, 64), "white")
    drawing.paste((10, 200, 30), (8, 8, 40, 40))
    again = Image.open(io.BytesIO(base64.b64decode(url(drawing).partition(",")[2])))
    assert again.convert("RGB").tobytes() == drawing.tobytes()


def test_bars_are_as_long_as_their_counts():
    assert re.findall(r'<rect width="([\d.]+)"', bars([("a", 50), ("b", 25), ("<c>", 0)])) == ["100.0", "50.0", "0.6"]
    assert "&lt;c&gt;" in bars([("<c>", 0)])
    assert bars([]) == '<dl class="bars"></dl>'


def test_of_pairs_both_sides_are_shown_and_the_classes_of_label_maps(tmp_path):
    for number in range(12):
        mask = np.zeros((64, 64), np.uint8)
        mask[number : number + 30, 10:40] = 255
        for folder, image in (("A", Image.fromarray(mask)), ("B", scene(number))):
            (tmp_path / folder).mkdir(exist_ok=True)
            image.save(tmp_path / folder / f"{number}<b>.png")
    checked = check(tmp_path / "A", Options(into=str(tmp_path / "B"), maps="A", size=(32, 32)), device="cpu")
    page = write(checked, tmp_path / "check")
    reader, text, _ = read(page)
    assert "The pairs" in text and "The label maps" in text and "class 255" in text
    assert "Side A is given" in text and text.count("<b>.png") >= 8
    with Image.open(tmp_path / "check" / "contact.png") as contact:
        assert min(contact.size) > 300
    assert sum(name == "img" for name, _ in reader.tags) >= 2 * 8
