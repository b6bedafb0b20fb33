"""The numbers of docs/performance.md are those of the committed measurement."""

import json
from pathlib import Path

from benchmarks.speed import page, peak

RESULTS = Path(page.__file__).resolve().parents[1] / "results" / "speed.json"


def test_the_page_says_what_the_measurement_says():
    """If this fails: `python -m benchmarks.speed` writes both; `page.write(RESULTS)` writes the page alone."""
    text = page.PAGE.read_text("utf-8")
    assert text.count(" of speed.json -->") == len(page.TABLES)
    assert page.filled(text, json.loads(RESULTS.read_text("utf-8"))) == text


def test_a_step_needs_what_the_layers_add_up_to():
    """By hand: D takes 207.6 MFLOP an image forward, G 209.3 (2 per multiply-add); a step of 64 needs 145.6 GFLOP."""
    assert round(peak.step_flops(64)["needed"] / 1e9, 1) == 145.6
    assert round((peak.step_flops(64)["textbook"] - peak.step_flops(64)["needed"]) / 64e6, 1) == 207.6
