"""The bench of the spheres: its data, its schedule, its likelihood, what a cell remembers, and the page's tables."""

from __future__ import annotations

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import svae
from benchmarks.svae import CELLS, PUBLISHED, Digits, Quick, Schedule, Training, chance
from sparring.types import Space

SMALL = Space((1, 4, 4))


def test_examples() -> None:
    assert doctest.testmod(svae).failed == 0


def test_the_page_says_what_the_cells_found() -> None:
    """If this fails: ``python -m benchmarks.svae --table`` prints the tables, and writes them into the page."""
    text = svae.PAGE.read_text("utf-8")
    assert svae.filled(text) == text


def test_pixels_are_white_as_often_as_they_are_bright() -> None:
    levels = np.array([[0, 1, 51, 128, 254, 255]], np.uint8)
    white = Digits(levels).take(np.zeros(40_000, np.int64), chance(0)).mean(0)
    np.testing.assert_allclose(white, levels[0] / 255, atol=0.013)
    assert white[0] == 0 and white[1] > 0 and white[-1] > 0.999


@pytest.mark.parametrize("cell", ["normal-2", "sphere-2", "sphere-5"])
def test_likelihoods_are_those_of_the_recipe(cell: str) -> None:
    game = svae.solo(cell, 0, (8,), SMALL).requires_grad_(False)
    x = (torch.rand(5, *SMALL.shape, generator=torch.Generator().manual_seed(0)) < 0.5).float() * 2 - 1
    z = game.latents(Quick("cpu", 1).of(5))
    torch.testing.assert_close(svae.log_p(game, x, z), game.log_p(x, z))
    ours = svae.log_weights(game, x, 3, Quick("cpu", 2))
    theirs = game.log_weight(x.repeat(3, 1, 1, 1), Quick("cpu", 2).of(15)).view(3, 5)
    torch.testing.assert_close(ours, theirs)
    some, every = (svae.measured(game, x, 40, count, 0) for count in (2, 5))
    assert every["log_likelihood_of_ten"] == pytest.approx(every["log_likelihood"], abs=0.5)  # this posterior fits
    assert some["elbo"] == every["elbo"] and every["log_likelihood"] >= every["elbo"] - 1
    assert every["elbo"] == pytest.approx(every["reconstruction"] - every["kl"], abs=2e-3)


def test_schedules() -> None:
    whole, short = Schedule(), Schedule(60)
    assert whole.published and not short.published
    assert [whole.beta(e) for e in (0, 25, 100, 400)] == [0, 0.25, 1, 1] and whole.rate(400) == 1e-3
    assert [short.beta(e) for e in (0, 6, 12, 50)] == [0, 0.5, 1, 1]
    assert [round(short.rate(e), 9) for e in (0, 30, 45, 60)] == [1e-3, 1e-3, 5e-4, 0]


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_cell_goes_on_where_it_stopped(
    seeds: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch, a save, a load and one epoch more are two epochs, bit for bit; the best weights are remembered."""
    digits = np.random.default_rng(0).integers(0, 256, (2 * 64 + 10, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(svae, "mnist", lambda part: (digits, np.zeros(len(digits), np.uint8)))
    monkeypatch.setattr(svae, "TRAIN", 128)
    monkeypatch.setattr(svae, "HERE", tmp_path)
    through = Training("sphere-2", seeds, Schedule(4), "cpu")
    through.epoch()
    through.save()
    again = Training("sphere-2", seeds, Schedule(4), "cpu")
    assert again.record["epoch"] == 1 and again.record["best_epoch"] == [1] * len(seeds)
    for training in (through, again):
        training.epoch()
        assert not training.finished
    for name, p in through.parameters.items():
        assert torch.equal(p, again.parameters[name]) and torch.equal(through.best[name], again.best[name]), name
    assert through.record["curve"] == again.record["curve"]
    member = again.member(len(seeds) - 1)
    assert float(member.log_likelihood(again.held, Quick("cpu", 0).of(10)).mean()) < 0


def test_early_stopping_looks_fifty_epochs_ahead_once_the_kl_has_its_weight() -> None:
    training = Training.__new__(Training)
    training.schedule, training.record = Schedule(), {"epoch": 149, "best_epoch": [20, 99]}
    assert not training.finished
    training.record["epoch"] = 150
    assert training.finished
    training.record["best_epoch"] = [20, 130]
    assert not training.finished


def test_tables_count_what_is_finished_alone(tmp_path: Path) -> None:
    def write(cell: str, seed: int, values: list[float]) -> None:
        rest = {"reconstruction": 5.0, "kl": 6.0}
        runs = [{"log_likelihood": v, "log_likelihood_of_ten": 2 * v, "elbo": v - 1} | rest for v in values]
        one = {"cell": cell, "of": 60, "epochs": 60 if values else 7, "runs": runs}
        (tmp_path / f"{cell}-{seed}.json").write_text(json.dumps(one))

    write("sphere-2", 0, [-133.0])
    write("sphere-2", 1, [-135.0])
    write("normal-2", 0, [-136.0])
    write("normal-5", 0, [])
    text = svae.table(tmp_path)
    assert "| 2 | S | 60 | 2 | -134.00 ± 1.00 | -268.00 |" in text
    assert "| 2 | 60 | +2.00 | +4.00 | +3.23 |" in text
    assert "after 7 epochs: not finished" in text and "| 5 | 60 |" not in text


def test_published_numbers_are_consistent() -> None:
    assert set(PUBLISHED) == set(CELLS)
    for likelihood, _, elbo, reconstruction, kl in PUBLISHED.values():
        assert likelihood > elbo and reconstruction - kl == pytest.approx(elbo, abs=0.02)
