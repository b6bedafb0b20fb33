"""The promise of a resume in short (``make proof-short`` and ``make proof-kill`` kill longer, and more recipes): 6
kills of one recipe, and of one that remembers more than its players (an image pool)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.forking import Forks

ROOT = Path(__file__).resolve().parents[2]

SHORT = """
import sys
from benchmarks.proofs import kill
for recipe, rounds in (("gan", 80), ("cyclegan", 24)):  # some saves; the pool of 10 is full after 3 rounds
    kill.NANO[recipe]["rounds"] = rounds
sys.exit(kill.main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="forks and SIGKILL")
def test_after_kills_the_weights_are_those_of_an_undisturbed_run(tmp_path: Path, forked: Forks) -> None:
    out, kills, recipes = tmp_path / "kill.json", 6, ["gan", "cyclegan"]
    done = forked.python("-c", SHORT, "--kills", kills, "--recipes", *recipes, "--out", out, cwd=ROOT, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(out.read_text())["results"]
    assert len(results) == len(recipes)
    for found in results:
        assert found["failures"] == []
        assert found["kills"] == kills and found["inside_a_save"] >= kills // 2
        assert found["resumed_from_a_checkpoint"] >= kills // 2 and found["checkpoints_passed_over"] == 0
        assert found["completed_runs"] == found["bit_identical_runs"] > 0
