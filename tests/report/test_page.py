"""The page of a run: whole from any state of the directory, safe with any text, and without any request."""

import json
import re
import shutil

import pytest
import yaml
from PIL import Image
from tests.report.reader import Reader

from sparring.report import write
from sparring.report.facts import MOST_POINTS, Told, read

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\u202e"


def turn(images, **values):
    return (
        json.dumps({"event": "turn", "images": images, "round": images // 16, "values": values, "rate": 100.0}) + "\n"
    )


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "cats & dogs"
    (folder / "samples").mkdir(parents=True)
    for images, shade in ((0, 10), (640, 90), (64000, 200)):
        Image.new("RGB", (20, 10), (shade, 0, 0)).save(folder / "samples" / f"{images:012d}.png")
    lines = [
        turn(k * 640, **{"D/real": 0.5, "D/fake": 0.6, "G/fake": 1.0 + k / 100, "D/D(x)": 0.6, "D/true_positive": 0.9})
        for k in range(1, 101)
    ]
    (folder / "log.jsonl").write_text("".join(lines))
    (folder / "data.json").write_text(json.dumps({"source": "photos", "used": 950, "held_out": 50, "excluded": []}))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"recipe": "dcgan", "config": {"lr": 2e-4}, "run": {"seed": 7}}))
    Image.new("L", (8, 8)).save(folder / "walk.gif", save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    return folder


def parsed(path):
    reader = Reader()
    reader.feed(path.read_text("utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def check_alone(path):
    """No element of the page can ask anyone for anything, and none carries a handler."""
    for tag, attributes in parsed(path).tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert value.startswith("data:"), (tag, name)
        assert tag not in ("iframe", "object", "embed", "form", "base")
    assert not re.search(r"@import|url\(", path.read_text("utf-8"))


def test_the_page_shows_everything_and_asks_for_nothing(run):
    page = write(run)
    assert page == run / "report.html"
    check_alone(page)
    reader = parsed(page)
    text = " ".join(reader.text)
    for word in (
        "cats & dogs",
        "dcgan",
        "photos",
        "64,000",
        "950",
        "A walk",
        "Losses",
        "What D believes",
        "sparring resume",
    ):
        assert word in text
    pictures = [a for tag, a in reader.tags if tag == "img"]
    assert [a.get("data-images") for a in pictures] == ["0", "640", "64,000", None]
    assert ["hidden" in a for a in pictures] == [True, True, False, False]
    assert "Content-Security-Policy" in page.read_text()


def test_the_numbers_for_the_script_are_those_of_the_log(run):
    text = write(run).read_text("utf-8")
    data = json.loads(re.search(r'id="curves">(.*?)</script>', text, re.S)[1])
    assert data["axes"] == [[k * 640 for k in range(1, 101)], []] and data["span"] == [640, 64000]
    assert {chart["axis"] for chart in data["charts"]} == {0}
    climbing = pytest.approx([1.0 + k / 100 for k in range(1, 101)], rel=1e-3)
    assert sum(line == climbing for line in data["charts"][0]["lines"]) == 1


def test_hostile_text_stays_text(run):
    (run / "recipe.yaml").write_text(yaml.safe_dump({"recipe": HOSTILE, HOSTILE: HOSTILE, "run": {"seed": 0}}))
    (run / "data.json").write_text(
        json.dumps({"source": HOSTILE, "used": 1, "excluded": [[HOSTILE, HOSTILE]], "warnings": [HOSTILE]})
    )
    (run / "log.jsonl").write_text(turn(64, **{HOSTILE: 1.0, "D/" + HOSTILE: 2.0}) + turn(128, **{HOSTILE: 1.0}))
    page = write(run)
    check_alone(page)
    assert len([tag for tag, _ in parsed(page).tags if tag == "script"]) == 2
    assert "\u202e" not in page.read_text("utf-8")


def test_a_hostile_name_of_the_directory_stays_text(run):
    moved = run.with_name("<b> 'x; rm -rf ~")
    shutil.move(run, moved)
    page = write(moved)
    check_alone(page)
    assert "'\"'\"'x; rm" in "".join(parsed(page).text)  # quoted for a shell


def test_any_damage_leaves_a_page_that_names_it(run):
    (run / "log.jsonl").write_bytes(
        b'{"event": "turn"}\n[1]\nnonsense\xff\n' + turn(64, a=1.0).encode() + b'{"event": "tu'
    )
    (run / "data.json").write_text("{")
    (run / "recipe.yaml").write_text("a: [")
    (run / "samples" / "000000000000.png").write_bytes(b"")
    page = write(run)
    check_alone(page)
    text = " ".join(parsed(page).text)
    for word in (
        "3 of the lines in log.jsonl",
        "data.json could not be read",
        "recipe.yaml could not be read",
        "is empty",
    ):
        assert word in text
    assert read(run).turns.images == [64]


def test_an_empty_directory_still_gives_a_page(tmp_path):
    page = write(tmp_path)
    check_alone(page)
    assert "log.jsonl is missing" in page.read_text()


def test_a_long_log_is_averaged_down_without_losing_its_mean(run):
    n = 10 * MOST_POINTS
    (run / "log.jsonl").write_text("".join(turn(16 * k, a=float(k), b=float("nan")) for k in range(1, n + 1)))
    facts = read(run)
    assert MOST_POINTS // 2 <= len(facts.turns.images) <= 2 * MOST_POINTS
    assert facts.turns.images[-1] >= 16 * n * 0.99
    assert sum(facts.turns.lines["a"]) / len(facts.turns.lines["a"]) == pytest.approx((n + 1) / 2, rel=0.01)
    assert "b" not in facts.turns.lines
    assert facts.rate == 100.0


def test_values_beyond_measure_do_not_flatten_a_curve_nor_break_the_page(run):
    lines = [turn(64 * k, **{"D/real": 1e30 if k == 50 else 0.5 + 0.001 * k}) for k in range(1, 101)]
    (run / "log.jsonl").write_text("".join(lines))
    text = write(run).read_text()
    assert "nan" not in re.findall(r'class="line c0" d="([^"]*)"', text)[0]
    labels = re.findall(r'class="y"[^>]*>([^<]*)<', text)
    assert all(abs(float(label)) < 10 for label in labels)


def test_what_happened_on_the_way_is_told(run):
    alarm = {"event": "alarm", "images": 640, "code": "DATA-BROKEN", "message": f"a{HOSTILE}.png: no longer there"}
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps(alarm) + "\n")
    facts, text = read(run), write(run).read_text("utf-8")
    assert facts.alarms == [Told(640, "DATA-BROKEN", alarm["message"])] and facts.troubles == []
    assert "at 640 images: a&lt;/script&gt;" in text and "<img src=x" not in text


def test_a_conditional_run_says_what_each_row_shows(run):
    said = {"recipe": "cgan", "data": {"classes": ["cat", "<dog>"]}, "run": {"seed": 7}}
    (run / "recipe.yaml").write_text(yaml.safe_dump(said))
    assert "Row by row: cat, &lt;dog&gt;." in write(run).read_text("utf-8")
    for changed in ({"recipe": "dcgan"}, {"recipe": ["cgan"]}, {"recipe": "x.py:CGAN"}, {"data": []},
                    {"data": {"classes": ["cat"] * 17}}, {"data": {"classes": 3}}):  # fmt: skip
        (run / "recipe.yaml").write_text(yaml.safe_dump(said | changed))
        assert "Row by row" not in write(run).read_text("utf-8")
