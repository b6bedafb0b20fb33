"""docs/dirac.md: its table is the committed artefact, and the artefact is what the equations say."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.dynamics.dirac import Cell, expected

from benchmarks.dirac import METHODS, OUT, ROUNDS, STEP, played, table, verdict

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "dirac.md"
RECORD = json.loads(OUT.read_text("utf-8"))
CELLS = [SimpleNamespace(**cell) for cell in RECORD["cells"]]


def test_the_document_shows_the_artefact():
    assert table(CELLS) in DOCUMENT.read_text("utf-8"), "paste what `make bench-dirac` prints"
    assert (RECORD["step"], RECORD["rounds"]) == (STEP, ROUNDS)
    assert [(c.method, c.play) for c in CELLS] == [(m.name, play) for m in METHODS for play in m.plays]


@pytest.mark.parametrize("cell", [c for c in CELLS if c.play in ("simultaneous", "D:1,G:1", "D:5,G:1")
                                  and set(c.settings) <= {"objective", "penalty", "gamma"}
                                  and c.settings.get("penalty") in (None, "r1", "r1+r2")],
                         ids=lambda c: f"{c.method}, {c.play}")  # fmt: skip
def test_the_artefact_is_what_the_equations_say(cell):
    penalty = cell.settings.get("penalty", "r1")
    gamma = cell.settings.get("gamma", 0.0)
    truth = expected(Cell(cell.settings["objective"], cell.play, gamma, penalty, STEP), ROUNDS)
    norms = np.linalg.norm(truth, axis=1)
    # γ/2 may be rounded to float32, which shifts a rate by 1e-8: nothing over 500 rounds but for the phase
    assert cell.norm == pytest.approx(norms[-1], rel=1e-3, abs=1e-12)
    np.testing.assert_allclose(cell.norms, norms[::25], rtol=2e-3, atol=1e-12)
    assert cell.verdict == verdict(truth)


@pytest.mark.parametrize("name", ["GAN + R1, γ = 0.3", "GAN, consensus(1)"])
def test_a_cell_can_be_played_again(name, monkeypatch):
    monkeypatch.setattr("benchmarks.dirac.ROUNDS", 50)
    (method,) = [m for m in METHODS if m.name == name]
    again = played(method, method.plays[0])
    (cell,) = [c for c in CELLS if c.method == name and c.play == method.plays[0]]
    assert again.norms == pytest.approx(cell.norms[:3], rel=1e-6)
    assert list(again.eigenvalues) == cell.eigenvalues


@pytest.mark.parametrize(("path", "word"), [
    (lambda t: 0.97**t * np.exp(0.2j * t), "converges"),
    (lambda t: np.exp(0.2j * t), "circles"),
    (lambda t: 1.002**t * np.exp(0.2j * t), "spirals out"),
    (lambda t: (1 + t) ** -0.4 * np.exp(0.2j * t), "comes in slowly"),
    (lambda t: 2 - 0.9**t + 0j, "stops elsewhere"),
])  # fmt: skip
def test_verdicts(path, word):
    z = path(np.arange(501.0))
    assert verdict(np.stack([z.real, z.imag], axis=1)) == word


def test_measured_eigenvalues_are_those_of_theory():
    """Of the flow for simultaneous rounds; of the turn for those that look ahead."""
    theory = {
        "GAN (minimax)": 0.5j, "WGAN": 1j, "GAN + R1, γ = 0.3": -0.15 + 1j * np.sqrt(0.25 - 0.0225),
        "relativistic + R1 + R2, γ = 0.3": -0.3 + 0.4j, "WGAN + R1, γ = 0.3": -0.15 + 1j * np.sqrt(1 - 0.0225),
        "GAN, consensus(1)": -0.25 + 0.5j, "WGAN, consensus(1)": -1 + 1j,
        "GAN, extragradient": -STEP / 4 + 0.5j, "WGAN, extragradient": -STEP + 1j,
    }  # fmt: skip
    for name, wanted in theory.items():
        (cell,) = [c for c in CELLS if c.method == name and c.play == METHODS_PLAY[name]]
        found = max((complex(v.replace("i", "j")) for v in cell.eigenvalues), key=lambda v: v.imag)
        assert found == pytest.approx(wanted, abs=1e-3), name


METHODS_PLAY = {method.name: method.plays[0] for method in METHODS}
