"""The page of recipes as they are: whole and safe with any names, without any request, a strip of samples for each."""

import pytest
from PIL import Image
from tests.report.reader import Reader

from sparring.report.compare_plots import bar
from sparring.report.lineup_page import render, write
from sparring.runs.compare import standing

HOSTILE = "<script>alert(1)</script>\"'&\u202e"


def row(label, kid, *, state="played", why="", likelihood=None):
    said = {
        "label": label, "recipe": label, "state": state, "why": why, "loss": "", "schedule": "", "settings": {},
        "seeds": [], "key": label, "refused": "",
    }  # fmt: skip
    if state != "played":
        return said
    summary = {m.name: {"mean": kid, "low": kid - 0.1, "high": kid + 0.1, "missing": 0} for m in standing.SHOWN_AS}
    summary["fd"] = {"mean": None, "low": None, "high": None, "missing": 1, "refused": f"few {HOSTILE}"}
    summary["bits_per_dim"] = {"mean": 3.21, "low": 3.2, "high": 3.3, "missing": 0}
    return {
        **said, "folder": f"cells/{label}", "images": 12_345, "seconds": 61.0, "likelihood": likelihood, "failures": {},
        "parameters": {"trained": 3_000_000, "sampling": 1_000}, "sampling": {"seconds": 0.25, "batch": 64},
        "summary": summary, "seeds": [{"seed": 0, "figures": {}, "images": 12_345, "seconds": 61.0}],
    }  # fmt: skip


@pytest.fixture
def made():
    out = {
        "format": standing.FORMAT, "sparring": "0.1.0", "command": f"sparring compare 'a {HOSTILE}'", "samples": 1000,
        "machine": {"system": "Linux", "processor": "x", "cores": 2, "device": "cpu", "jobs": 1, "threads": 1,
                    "python": "3.11", "torch": "2.13"},
        "question": {"data": {"source": f"data/a {HOSTILE}", "kind": "images", "shape": [3, 32, 32],
                              "fingerprint": "f00"}, "seeds": 1,
                     "budget": {"images": None, "seconds": 600.0, "per": "for each recipe"}},
        "measures": [m.record() for m in standing.SHOWN_AS],
        "reference": {m.name: {"value": 0.01} for m in standing.SHOWN_AS},
        "cells": [
            row("far", 2.0), row("near", 0.5, likelihood={"exact": True, "of": f"levels {HOSTILE}"}),
            row("classifier", 0, state="refused", why=f"it makes no images {HOSTILE}"),
            row("late", 0, state="killed", why="the process was killed (SIGKILL)"),
        ],
    }  # fmt: skip
    return {**out, "words": standing.words(out)}


def test_the_page_is_whole_safe_and_asks_for_nothing(made, tmp_path):
    for place in ("held-out", "cells/far/seed-0", "cells/near/seed-0"):
        for kind in ("", "-texture"):
            path = tmp_path / f"{place}{kind}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
    text = write(made, tmp_path).read_text("utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert "<script>alert" not in text and "\u202e" not in text
    sources = [attributes["src"] for _, attributes in reader.tags if "src" in attributes]
    assert len(sources) == 6 and all(source.startswith("data:image/png") for source in sources)
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)


def test_rows_are_in_order_and_what_was_not_played_says_why(made, tmp_path):
    text = render(made, tmp_path)
    assert text.index("<th>near</th>") < text.index("<th>far</th>") < text.index("<th>classifier</th>")
    assert "cannot be played: it makes no images" in text and "was killed" in text
    assert "3.21 bits/dim" in text and "none" in text and "250 ms" in text and "1 k" in text and "of 3.0 M" in text
    assert "cells/near/seed-0/report.html" in text
    assert "the least far is near (KID 0.500)" in text and "the same time of computing" in text
    made["question"]["budget"] |= {"images": 500, "seconds": None}
    text = render(made, tmp_path)
    assert "The same data and the same number of images" in text and "timing a copy" not in text


def test_a_bar_ends_where_its_value_is_and_nothing_is_drawn_without_one():
    assert bar({"mean": None, "low": None, "high": None}, 0, 1) == ""
    half, whole = (bar({"mean": v, "low": v, "high": v}, 0.0, 2.0) for v in (1.0, 2.0))
    assert 'width="114.0"' in half and 'width="228.0"' in whole
