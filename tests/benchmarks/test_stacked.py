"""Stacked digits: what is dealt, how modes are counted, which games are played, what may be a row."""

from __future__ import annotations

import doctest
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import stacked
from benchmarks.stacked import METHODS, Size, Stacks, built, floor, read, table


def levels(x: Tensor) -> Tensor:
    """A judge that reads a digit off its brightness, surely: (N, 1, 28, 28) → (N, 10)."""
    return nn.functional.one_hot(((x.mean((1, 2, 3)) + 1) * 4.5).round().long(), 10).float()


def flat(digits: Tensor) -> Tensor:
    """(N, 3) digits as stacks (N, 3, 28, 28) that `levels` reads."""
    return (digits / 4.5 - 1).view(-1, 3, 1, 1).expand(-1, 3, 28, 28)


def test_examples() -> None:
    assert doctest.testmod(stacked).failed == 0


def test_every_triple_is_a_mode_of_its_own() -> None:
    every = torch.cartesian_prod(*[torch.arange(10.0)] * 3)
    row = read(flat(every), levels)
    assert (row["modes"], row["modes_sure"], row["kl"], row["confidence"]) == (1000, 1000, 0.0, 1.0)
    assert row["digits"] == [pytest.approx(0.1)] * 10


def test_divergence_from_uniform() -> None:
    """Half of the samples in one mode, the others spread over two: log 1000 − H."""
    digits = torch.tensor([[1.0, 2, 3]] * 2 + [[3.0, 2, 1], [0, 0, 9]])
    row = read(flat(digits), levels)
    assert row["modes"] == 3
    assert row["kl"] == pytest.approx(math.log(1000) - 1.5 * math.log(2), abs=1e-4)


def test_unsure_triples_are_counted_apart() -> None:
    def half_sure(x: Tensor) -> Tensor:
        sure = levels(x)
        return torch.where(sure.argmax(1, keepdim=True) == 7, 0.5 * sure + 0.05, sure)

    row = read(flat(torch.tensor([[1.0, 2, 3], [7, 1, 1]])), half_sure)
    assert (row["modes"], row["modes_sure"], row["sure"]) == (2, 1, 0.5)
    assert row["confidence"] == pytest.approx((5 + 0.55) / 6, abs=1e-4)


def test_floor_is_what_a_perfect_sampler_has() -> None:
    labels = np.repeat(np.arange(10), 90 + 2 * np.arange(10)).astype(np.uint8)
    draws = np.random.default_rng(0).choice(labels, (100, 2000, 3))
    found = [read(flat(torch.from_numpy(d).float()), levels)["kl"] for d in draws[:10]]
    # (K − 1) / 2N is the first term of an expansion in K / N = 0.5 here: a tenth too small
    assert np.mean(found) == pytest.approx(floor(labels, 2000), rel=0.15)
    q = np.bincount(labels) / len(labels)
    assert floor(labels, 10**9) == pytest.approx(3 * float(np.sum(q * np.log(10 * q))), abs=1e-6)


def test_an_epoch_deals_every_triple_once() -> None:
    digits = np.arange(50, dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
    stacks = Stacks(digits, seed=1, count=30)
    dealt = stacks.take(0, 60).x[:, :, 0, 0]
    wanted = sorted(map(tuple, stacks.triples.tolist()))
    assert sorted(map(tuple, dealt[:30].tolist())) == sorted(map(tuple, dealt[30:].tolist())) == wanted
    assert not torch.equal(dealt[:30], dealt[30:])
    assert torch.equal(stacks.take(25, 10).x[:, :, 0, 0], dealt[25:35])


@pytest.mark.parametrize("full", [False, True])
def test_games(full: bool) -> None:
    """The same images for every method at the reduced size, the same packs at full size; D as the method wants it."""
    size = Size.of(full, None)
    for method in METHODS:
        game, config = built(method, size)
        m = 2 if method == "packing" else 1
        assert config.batch == (64 * m if full else 64)
        assert (config.packing, next(iter(game.players["D"].parameters())).shape[1]) == (m, 3 * m)
        normalised = any(isinstance(module, nn.BatchNorm2d) for module in game.players["D"].modules())
        assert normalised == (method != "relativistic") != config.penalised
        assert game.sample(stacked.Dice(0, "z", range(2))).shape == (2, 3, 28, 28)


def test_what_is_unfinished_is_no_row_and_sizes_are_never_mixed(tmp_path: Path) -> None:
    row = {"modes": 900, "modes_sure": 800, "kl": 0.5, "confidence": 0.9}
    for size, seed, done in (("reduced", 0, True), ("reduced", 1, False), ("short2000", 0, True)):
        found = {"cell": f"{size}-dcgan-{seed}", "size": size, "method": "dcgan", "seed": seed, "steps": 10, "of": 20,
                 "finished": done, "measures": [row]}  # fmt: skip
        (tmp_path / f"{size}-{seed}.json").write_text(json.dumps(found))
    lines = table(tmp_path)
    assert "| reduced | dcgan | 900.0 | 800.0 | 0.500 | 0.900 | 1 |" in lines
    assert "| short2000 | dcgan | 900.0 | 800.0 | 0.500 | 0.900 | 1 |" in lines
    assert lines[-1].startswith("- reduced-dcgan-1 (no row of the table): unfinished, after 10 of 20 steps")
