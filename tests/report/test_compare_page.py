"""The page of a comparison: whole and safe with any names, without any request, and showing what was found."""

import copy
import re

import numpy as np
import pytest
from PIL import Image
from tests.report.reader import Reader

from sparring.report import compare_images
from sparring.report.compare_page import render, write
from sparring.report.compare_plots import axis, curve
from sparring.runs.compare import statistics
from sparring.runs.compare.measures import MODES
from sparring.runs.compare.table import lines
from sparring.runs.compare.verdict import verdict

HOSTILE = "<script>alert(1)</script>\"'&\u202e"


def cell(loss, values, *, failed=(), state="played", why=""):
    """A cell as compare.json has it, its seeds with these shares in the right place."""
    seeds = [
        {
            "seed": k, "together": len(values), "images": 1000, "averaged": {m.name: value for m in MODES},
            "raw": {m.name: value for m in MODES}, "final": {"D loss": 1.3, "D(x)": 0.5},
            "initial": {"D": "aa", "G": "bb"},
            "failure": {"why": "diverged", "said": "…", "images": 640} if k in failed else None,
            "curve": [[0, 0.0], [500, (value or 0.0) / 2], [1000, value]],
        }
        for k, value in enumerate(values)
    ]  # fmt: skip
    said = {
        "loss": loss, "recipe": "gan-points", "schedule": "simultaneous", "refused": why if state == "refused" else "",
        "together": True, "key": f"key-{loss}", "label": loss, "state": state, "why": why, "seeds": seeds,
        "settings": {"recipe": "gan", "config": {"objective": loss, "lr": 1e-3}},
    }  # fmt: skip
    if state != "played":
        return {**said, "seeds": [], "settings": {} if state == "refused" else said["settings"]}
    summary = {m.name: statistics.mean(values).record() for m in MODES}
    return {
        **said, "folder": f"cells/{loss}", "images": 1000, "seconds": 20.0, "rate": 50.0, "samples": 2500,
        "failures": {"diverged": len(failed)} if failed else {}, "summary": {"averaged": summary, "raw": summary},
        "final": {"D loss": 1.3, "D(x)": 0.5},
    }  # fmt: skip


@pytest.fixture
def made():
    cells = [
        cell("hinge", [0.61, 0.62, 0.64, 0.6, 0.65, 0.66], failed=(5,)),
        cell("minimax", [0.1, 0.12, 0.11, 0.13, 0.1, 0.12]),
        cell("kl", [0.61, 0.6, 0.66, 0.59, 0.66, 0.64]),
        cell("wasserstein+smooth", [], state="refused", why=f"no label {HOSTILE}"),
        cell("js", [], state="killed", why="the process was killed (SIGKILL)"),
        cell("pearson", [], state="waiting"),
    ]
    out = {
        "format": "sparring compare 1", "sparring": "0.1.0", "command": f"sparring compare 'a {HOSTILE}'",
        "machine": {"system": "Linux", "processor": "x", "cores": 2, "device": "cpu", "jobs": 2, "threads": 1,
                    "python": "3.11", "torch": "2.13"},
        "question": {"data": {"source": f"data/a {HOSTILE}", "kind": "points", "fingerprint": "f00"}, "seeds": 6,
                     "budget": {"images": None, "seconds": 20.0, "per": "for each cell, all its seeds together"}},
        "measures": [m.record() for m in MODES], "reference": {m.name: 0.95 for m in MODES}, "cells": cells,
        "tuned_with": {"gan-points": "relativistic+r1+r2"},
    }  # fmt: skip
    return {**out, "verdict": verdict(out)}


def read(text):
    reader = Reader()
    reader.feed(text)
    return reader


def test_the_verdict_says_who_leads_what_is_open_and_what_failed(made):
    words = " ".join(made["verdict"]["words"])
    assert "hinge is ahead" in words or "kl is ahead" in words
    assert "better than 1 of the other 2 beyond chance" in words
    assert "these seeds do not decide" in words
    assert "1 of 18 games failed (1 diverged)" in words
    assert "wasserstein+smooth cannot be played: no label" in words
    assert "js killed: the process was killed (SIGKILL)" in words
    assert "1 of 6 cells" in words


def test_a_clear_winner_is_called_one(made):
    alone = {**made, "cells": made["cells"][:2]}
    assert verdict(alone)["words"][0].startswith("hinge wins (right place 63.0 %): better than the other one")
    (pair,) = verdict(alone)["pairs"]
    assert (pair["better"], pair["seeds"], pair["clear"]) == (6, 6, True)


def test_nobody_is_ahead_where_all_are_level_or_all_failed(made):
    level = {**made, "cells": [cell("a", [0.3] * 6), cell("b", [0.3] * 6), cell("c", [0.1] * 6)]}
    assert verdict(level)["words"][0] == "Nobody is ahead: a, b are level (right place 30.0 %)."
    lost = {**made, "cells": [cell(name, [value] * 2, failed=(0, 1)) for name, value in (("a", 0.0), ("b", 0.1))]}
    assert verdict(lost)["words"][0] == "Nobody is ahead: all of the 4 games failed."
    assert not any("longer --budget" in line for line in verdict(lost)["words"])


def test_a_row_whose_seeds_have_no_value_does_not_lead_by_leaving_them_out(made):
    broken = cell("a", [0.9, None, 0.9, None, 0.9, 0.9], failed=(1, 3))
    found = verdict({**made, "cells": [broken, cell("b", [0.5, 0.51, 0.5, 0.52, 0.5, 0.5])]})
    assert found["ranking"] == ["key-b", "key-a"]
    assert any("a: 2 of 6 seeds have no value" in line for line in found["words"])


def test_the_page_is_whole_safe_and_asks_for_nothing(made, tmp_path):
    (tmp_path / "cells" / "hinge").mkdir(parents=True)
    for seed in range(6):
        Image.new("RGB", (8, 8)).save(tmp_path / "cells" / "hinge" / f"seed-{seed}.png")
    text = write(made, tmp_path).read_text("utf-8")
    reader = read(text)
    assert not reader.open
    assert "<script>alert" not in text
    assert "\u202e" not in text
    sources = [attributes["src"] for _, attributes in reader.tags if "src" in attributes]
    assert len(sources) == 7  # one large, six small
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text


def test_many_large_pictures_make_no_large_page(made, tmp_path, monkeypatch):
    monkeypatch.setattr(compare_images, "MOST", 60_000)
    monkeypatch.setattr(compare_images, "MOST_SMALL", 4)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    for one in made["cells"][:3]:
        (tmp_path / one["folder"]).mkdir(parents=True)
        for seed in range(6):
            Image.fromarray(noise).save(tmp_path / one["folder"] / f"seed-{seed}.png")
    text = render(made, tmp_path)
    sources = [attributes["src"] for _, attributes in read(text).tags if "src" in attributes]
    assert len(sources) == 3 * 5
    assert sum(map(len, sources)) <= 70_000
    assert "and 2 more seeds" in text
    assert "Made smaller for this page" in text


def test_marks_of_a_small_axis_do_not_read_the_same(made, tmp_path):
    row = cell("a", [0.004, 0.006])
    for low, high in ((0.0, 0.01), (0.0, 1.0), (0.0, 0.03)):
        marks = re.findall(r'class="y"[^>]*>([^<]*)<', curve(row, MODES[0], 1000, low, high, None))
        assert len(set(marks)) == len(marks) > 1


def test_every_cell_and_every_seed_is_shown(made, tmp_path):
    text = render(made, tmp_path)
    shown = "".join(read(text).shown)
    for one in made["cells"]:
        assert one["label"] in shown
    assert "cannot be played: no label" in shown
    assert "not played yet" in shown
    assert text.count('class="seed"') == 17
    assert text.count('class="broken"') == 1
    assert text.count('class="thin"') == 18
    assert "relativistic+r1+r2, which plays at home here" in shown
    assert "Every player of every cell of a recipe began with the same weights" in shown


def test_other_initial_weights_are_said(made, tmp_path):
    other = copy.deepcopy(made)
    for seed in other["cells"][2]["seeds"]:
        seed["initial"]["D"] = "cc"
    assert "D began with other weights in kl" in "".join(read(render(other, tmp_path)).shown)


def test_a_page_of_nothing_played_yet_is_a_page(made, tmp_path):
    early = {**made, "cells": made["cells"][3:]}
    early["verdict"] = verdict(early)
    reader = read(render(early, tmp_path))
    assert not reader.open
    assert "not played yet" in "".join(reader.shown)


def test_the_table_for_terminals_has_a_line_for_each_cell(made):
    table = lines(made)
    for one in made["cells"]:
        assert sum(line.startswith(one["label"] + " ") for line in table) >= 1


def test_fresh_data_share_the_axis_unless_they_would_press_it_together():
    assert axis([0.5], 0.9) == (0.0, 0.9)
    assert axis([0.01], 0.9)[1] < 0.02
    assert axis([-0.1, 0.5], None)[0] == -0.1
