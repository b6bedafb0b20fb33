"""The page of a run: whole from any state of the directory, safe with any text, and without any request."""

import json
import re
import shutil

import pytest
import yaml
from PIL import Image
from tests.report.reader import Reader

from sparring.report import write
from sparring.report.curves import Axes, Panel, chart, logarithmic
from sparring.report.facts import MOST_POINTS, Back, Told, read
from sparring.report.panels import band
from sparring.runs.doctor import diagnose

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


@pytest.mark.parametrize("held_out", [3, 50])
def test_a_run_that_translates_says_what_it_shows_and_measures(run, held_out):
    shape = {"shape": [3, 64, 64], "pairs": "stems"}
    said = {"recipe": "pix2pix", "data": shape, "run": {"seed": 7, "probes": {"samples": 30}}}
    (run / "recipe.yaml").write_text(yaml.safe_dump(said))
    data = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(data | {"used": 240, "held_out": held_out}))
    with (run / "log.jsonl").open("a") as log:
        log.write(probed(70_000, l1=0.1))
    text = shown(write(run))
    assert "A network that turns images into others (recipe pix2pix) was trained on 240 pairs of images" in text
    assert "70,000 pairs" in text and "same latents" not in text and "Pairs seen" in text
    assert "what is given, what is made of it, what it should be" in text
    assert ("They are training pairs, since fewer than 4 are held out" in text) == (held_out == 3)
    assert ("On training data, since fewer than 16 pairs are held out" in text) == (held_out == 3)
    assert "0 is equal, 1 black for white" in text
    assert "sparring translate " in text and "sparring evaluate " in text and "sparring sample " not in text
    unpaired = said | {"recipe": "cyclegan", "data": shape | {"pairs": "unpaired"}}
    (run / "recipe.yaml").write_text(yaml.safe_dump(unpaired))
    assert "what it should be" not in shown(write(run)) and "Images seen" in shown(write(run))


# ── what was measured, and what is concluded ──────────────────────────────────────────────────────────────────────


def probed(images, **values):
    return json.dumps({"event": "probed", "images": images, "values": values}) + "\n"


def alarm(images, code, message):
    return json.dumps({"event": "alarm", "images": images, "code": code, "message": message}) + "\n"


RECIPE = {
    "recipe": "dcgan",
    "config": {"lr": 2e-4},
    "data": {"source": "photos", "kind": "images", "shape": [3, 64, 64], "crop": "center", "background": [255] * 3,
             "held_out": 0.05, "fingerprint": "x", "classes": []},
    "run": {"seed": 7, "images": 64000, "horizon": 64000, "device": "cpu", "threads": 1, "processes": 1,
            "probes": {"samples": 256, "moments": [6400, 64000]}},
}  # fmt: skip
HEALTHY = {
    "kid": 0.05, "kid_se": 0.01, "auc": 0.8, "auc_train": 0.82, "coverage": 0.8, "coverage_self": 0.97,
    "coverage_raw": 0.79, "diversity": 0.9, "diversity_raw": 0.9, "precision": 0.6, "copies": 0.0, "contrast": 1.0,
    "spent": 1.0, "share": 0.021,
}  # fmt: skip


@pytest.fixture
def measured(run):
    (run / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    with (run / "log.jsonl").open("a") as log:
        for k in range(1, 11):
            log.write(probed(6400 * k, **{**HEALTHY, "kid": 0.5 / k}))
    # probes stand between the turns of a real log
    lines = sorted((run / "log.jsonl").read_text().splitlines(), key=lambda line: json.loads(line)["images"])
    (run / "log.jsonl").write_text("\n".join(lines) + "\n")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "best.json").write_text('{"images": 57600, "value": 0.0556, "measure": "KID"}')
    return run


def shown(page):
    return " ".join(" ".join(parsed(page).shown).split())


def titles(page):
    return re.findall(r"<figcaption><h3>([^<]*)</h3>", page.read_text("utf-8"))


def test_the_first_sentence_says_what_was_trained_on_what(measured):
    text = shown(write(measured))
    assert "A generator (recipe dcgan) was trained on 950 colour images of 64×64 pixels of “photos”" in text
    assert "50 more were held out for measuring. It has seen 64,000 images, each about 67.4 times." in text


def test_the_verdict_is_that_of_the_doctor_with_the_best_checkpoint(measured):
    page = write(measured)
    source, text = page.read_text("utf-8"), shown(page)
    found = diagnose(measured, look=False).verdicts
    assert [verdict.code for verdict in found if verdict.level in ("warn", "hard")] == []
    assert any(verdict.code == "HEALTHY" for verdict in found)
    for verdict in found:
        assert verdict.code in text
    assert 'class="verdict good"' in source or 'class="verdict noted"' in source
    # 0.5/9 ± 1.96 · 0.01
    assert "Best checkpoint: image 57,600, KID 0.0556 (95 % interval 0.036 to 0.0752)." in text
    assert "10 times, by 256 samples each; it took 2.1 % of the time" in text


def test_a_collapse_is_on_top_in_red_with_what_to_try(measured):
    with (measured / "log.jsonl").open("a") as log:
        for k in range(1, 6):
            fallen = {"diversity": 0.05, "diversity_raw": 0.05, "coverage": 0.02, "coverage_raw": 0.02, "auc": 0.999}
            log.write(probed(64000 + 640 * k, **{**HEALTHY, **fallen, "kid": 0.9}))
    page = write(measured)
    assert 'class="verdict error"' in page.read_text("utf-8")
    text = shown(page)
    assert "Mode collapse" in text and "Try" in text and text.index("MODE-COLLAPSE") < text.index("Samples")


def test_charts_appear_exactly_where_there_are_values(measured):
    page = write(measured)
    expected = ["KID", "Coverage", "Variety", "How well D tells them apart", "Precision", "Copies", "Contrast"]
    assert [title for title in titles(page) if title in expected] == expected
    assert not {"Energy distance", "Modes", "Checkerboard", "What D believes of held-out data"} & set(titles(page))
    assert "spent" not in titles(page) and "share" not in titles(page)
    (measured / "log.jsonl").write_text(turn(64, **{"D/real": 0.5}) + probed(64, strange=1.0, coverage_self=0.97))
    assert titles(write(measured)) == ["strange", "Losses"]  # what is only compared with draws nothing


def test_the_interval_is_where_it_belongs():
    panel = Panel("KID", "", {"KID": [0.5, 0.3]}, (0.0, 1.0), at=[0, 100], bands={"KID": band([0.5, 0.3], [0.1, 0.05])})
    path = re.search(r'class="band c0" d="([^"]*)"', chart(panel, 0))[1]
    # from 1000 · (1 − (0.5 + 1.96 · 0.1)), over the second point, and back below
    assert path == "M0.0 304.0L1000.0 602.0L1000.0 798.0L0.0 696.0Z"
    log = Axes(0, 100, 0.01, 1.0, log=True)
    assert [round(log.top(y), 6) for y in (1.0, 0.1, 0.01, 0.0)] == [0, 500, 1000, 1000]
    gaps = Axes(0, 100, 0.0, 1.0).area([0, 50, 100], [0.1, None, 0.2], [0.3, 0.4, 0.4])
    assert gaps == "M0.0 700.0L1000.0 600.0L1000.0 800.0L0.0 900.0Z"


def test_an_axis_goes_by_powers_of_ten_only_where_that_shows_more():
    def panel(*values):
        return Panel("KID", "", {"KID": list(values)}, at=list(range(len(values))), log=True)

    assert logarithmic(panel(1.0, 0.3, 0.04)) and not logarithmic(panel(1.0, 0.3, 0.06))
    assert not logarithmic(panel(1.0, 0.3, -0.001))  # KID is unbiased: near 0 it may be below
    assert chart(panel(1.0, 0.3, -0.001), 0) and chart(panel(1.0, 0.01, None), 0)


def test_what_an_axis_cuts_off_is_said():
    calm = [1.0 + 0.01 * (k % 7) for k in range(40)]
    wild = [900.0, 500.0, *calm, -70.0]
    text = chart(Panel("Gradients", "The norm.", {"M": wild}, at=range(len(wild))), 0)
    assert "The norm. Cut off, so that the rest can be seen: 2 above, up to 900, 1 below, down to -70." in text
    assert "Cut off" not in chart(Panel("Gradients", "The norm.", {"M": calm}, at=range(len(calm))), 0)
    assert "Cut off" not in chart(Panel("Gradients", "", {"M": [1e-3, 1.0, 1e3]}, at=range(3), log=True), 0)


def test_a_rollback_is_shown_and_what_is_undone_is_not_counted(run):
    lines = [turn(k * 640, **{"D/real": 1.0}) for k in range(1, 51)]
    lines += [turn(k * 640, **{"D/real": 9.0}) for k in range(51, 61)] + [probed(38400, kid=3.0)]
    lines += [alarm(38400, "NOT-FINITE", "a gradient was not finite"), alarm(32000, "ROLLBACK", "back to 32,000")]
    lines += [turn(k * 640, **{"D/real": 1.0}) for k in range(51, 101)] + [probed(64000, kid=0.5)]
    (run / "log.jsonl").write_text("".join(lines))
    facts = read(run)
    assert facts.turns.images == [k * 640 for k in range(1, 101)] and set(facts.turns.lines["D/real"]) == {1.0}
    assert facts.probes.rows() == [(64000, {"kid": 0.5})]
    assert facts.backs == [Back(38400, 32000, "back to 32,000")]
    ((turns, probes),) = facts.undone
    assert turns.images == [k * 640 for k in range(51, 61)] and probes.rows() == [(38400, {"kid": 3.0})]
    page = write(run)
    source, text = page.read_text("utf-8"), shown(page)
    assert 'class="back"' in source and "undone" in source and "On the red stretches something failed" in text
    assert "at 32,000 images: back to 32,000" in text and "ROLLBACK" in text
    check_alone(page)


def test_images_that_go_back_without_a_word_are_a_rollback_too(run):
    (run / "log.jsonl").write_text("".join(turn(images, a=1.0) for images in (64, 128, 192, 96, 160)))
    facts = read(run)
    assert facts.turns.images == [64, 96, 160] and [(b.since, b.to) for b in facts.backs] == [(192, 96)]


def test_an_evaluation_is_a_table_with_n_features_intervals_and_warnings(measured):
    figure = {"value": 0.0412, "interval": [0.036, 0.0464], "method": "jackknife", "better": "lower", "n_real": 3000,
              "n_fake": 2500, "features": "efficientnet-lite0 2 at 112 px"}  # fmt: skip
    refused = {"value": None, "interval": None, "method": "", "better": "higher", "n_real": 0, "n_fake": 0,
               "features": "", "refused": f"no classes {HOSTILE}"}  # fmt: skip
    record = {
        "real": {"what": "photos", "split": "held-out", "n": 3000},
        "fake": {"what": "x", "n": 2500, "weights": "ema"},
        "metrics": {"kid": figure, "fd": {**figure, "warning": "few samples: read kid"}, "inception_score": refused,
                    "odd": 3, HOSTILE: {"value": "x", "interval": [1]}},
        "neighbours": [{"fake": 3, "real": f"a{HOSTILE}.png", "distance": 0.25}, {"fake": 1}, 7],
        "command": f"sparring evaluate {HOSTILE}",
        "null": {"kid": {**figure, "value": 0.0007}, "fd": 7},
        "warnings": [f"few images {HOSTILE}"],
        "memorisation": {"share": 0.4, "null": 0.01, "samples": 2500, "copies": [{"fake": 9, "real": f"b{HOSTILE}"}]},
    }  # fmt: skip
    (measured / "evaluation.json").write_text(json.dumps(record))
    page = write(measured)
    check_alone(page)
    text = shown(page)
    words = [
        "0.0412", "0.036 to 0.0464", "jackknife", "3,000, 2,500", "efficientnet-lite0 2 at 112 px", "held-out",
        "few samples: read kid", "no classes", "from averaged weights", "0.0007", "few images", "40 % of 2500 samples",
        "unseen real ones: 1 %", "sample 9",
    ]  # fmt: skip
    for word in words:
        assert word in text, word
    assert read(measured).nearest == [("3", f"a{HOSTILE}.png", 0.25)]
    assert "sample 3" in text and ".png (0.25)" in text
    (measured / "evaluation.json").write_text("{")
    assert "evaluation.json could not be read" in shown(write(measured))
    (measured / "evaluation.json").unlink()
    assert "Evaluation" not in re.findall("<h2>([^<]*)</h2>", write(measured).read_text("utf-8"))


def test_neighbours_are_shown_by_name(measured):
    assert "Nearest neighbours" not in shown(write(measured))
    Image.new("RGB", (40, 20)).save(measured / "neighbours.png")
    (measured / "neighbours.json").write_text(json.dumps([{"fake": 0, "real": "cats/1.png", "distance": 1.5}]))
    page = write(measured)
    assert "Nearest neighbours" in shown(page) and "cats/1.png" in shown(page)
    assert any("nearest training images" in a.get("alt", "") for tag, a in parsed(page).tags if tag == "img")


def test_damage_to_what_was_measured_leaves_a_page(measured):
    (measured / "checkpoints" / "best.json").write_text('{"images": "x"}')
    (measured / "neighbours.json").write_text("nonsense")
    (measured / "neighbours.png").write_bytes(b"")
    with (measured / "log.jsonl").open("a") as log:
        log.write('{"event": "probed", "images": 64000, "values": {"kid": "x"}}\n')
        log.write('{"event": "probed", "images": 1e400, "values": {"kid": 1}}\n')
        log.write(probed(64640, kid=float("nan"), auc=1e300))
    page = write(measured)
    check_alone(page)
    assert "2 of the lines in log.jsonl" in shown(page) and "neighbours.json could not be read" in shown(page)
    assert "Best checkpoint" not in shown(page)


def test_settings_edited_into_nonsense_still_give_a_page(measured):
    for config in ({"gamma": {"start": "x"}, "lr": [1], "augment": None}, [1], "x", None):
        (measured / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, "config": config}))
        assert "KID" in titles(write(measured))


def test_commands_to_type_next_fit_what_was_trained(measured):
    text = shown(write(measured))
    for command in ("sample", "sample", "evaluate", "doctor", "resume"):
        assert f"sparring {command} " in text
    assert "--which last" in text
    points = {**RECIPE, "recipe": "gan", "data": {**RECIPE["data"], "kind": "points", "shape": [2]}}
    (measured / "recipe.yaml").write_text(yaml.safe_dump(points))
    assert "sparring evaluate" not in shown(write(measured)) and "points of 2 numbers" in shown(write(measured))


def test_a_phone_is_told_its_width_and_no_part_asks_for_more(measured):
    page = write(measured)
    (viewport,) = [a["content"] for tag, a in parsed(page).tags if tag == "meta" and a.get("name") == "viewport"]
    assert viewport == "width=device-width, initial-scale=1"
    widths = [float(rem) for rem in re.findall(r"min-width: ([\d.]+)rem", page.read_text("utf-8"))]
    assert all(width * 16 <= 330 for width in widths)


def test_a_learned_scale_is_said_of_what_was_seen(run):
    (run / "log.jsonl").write_text(turn(64, **{"M/scale": 0.1, "M/r1": 1.0}) + turn(128, **{"M/scale": 0.2}))
    text = write(run).read_text("utf-8")
    assert "how far values of images are from what is decoded" in text and "{unit}" not in text
