"""The protocol of PacGAN's table: packs, fakes slot by slot, statistics at rest, and what may be a row."""

from __future__ import annotations

import copy
import doctest
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import cells, pacgan
from benchmarks.pacgan import Cell, Packs, Published, agrees, at_rest, configured, table
from sparring.chance import Dice
from sparring.data import points
from sparring.networks.pacgan import Generator


def test_examples() -> None:
    assert doctest.testmod(pacgan).failed == 0
    assert doctest.testmod(cells).failed == 0


def test_an_epoch_deals_every_pack_once_and_epochs_differ() -> None:
    packs = Packs("ring", m=2, seed=3, count=60)
    dealt = torch.cat([packs.take(start, 40).x for start in range(0, 240, 40)]).view(2, 60, 4)
    for epoch in dealt:
        assert sorted(map(tuple, epoch.tolist())) == sorted(map(tuple, packs.values.flatten(1).tolist()))
    assert not torch.equal(dealt[0], dealt[1])
    assert torch.equal(packs.take(100, 40).x, dealt.view(240, 2)[100:140])  # across the end of an epoch


def test_slots_are_drawn_with_replacement_in_the_units_of_the_mixture() -> None:
    made = points.make("grid", count=2000, seed=1)
    theirs = {tuple(row) for row in (made.values * made.scale).tolist()}
    for slot in Packs("grid", m=2, seed=1, count=2000).values.unbind(1):
        ours = {tuple(row) for row in slot.tolist()}
        assert ours <= theirs
        assert len(ours) / 2000 == pytest.approx(1 - math.exp(-1), abs=0.05)  # the share that 2,000 draws see


def test_each_slot_is_normalised_apart() -> None:
    torch.manual_seed(0)
    game = Published.build(configured(2), pacgan.SPACE).train()
    dice = Dice(0, "z", range(20))
    z = game.latents(dice)
    expected = [game.G(z[slot::2]) for slot in (0, 1)]
    packs = game.make(dice, None).view(10, 4)
    torch.testing.assert_close(packs, torch.cat(expected, dim=1))


@pytest.mark.parametrize("method", ["gan", "pacgan3"])
def test_a_round_is_what_the_paper_plays(method: str) -> None:
    """Against the algorithm written out: the same fakes for both costs, both gradients at the same weights, Adam."""
    cell = Cell("grid", method, 5)
    match = pacgan.begun(cell)
    m, stream = cell.m, Packs("grid", cell.m, 5)
    G, D = copy.deepcopy(match.game.G), copy.deepcopy(match.game.D)
    adams = [torch.optim.Adam(net.parameters(), 1e-4, (0.8, 0.999), 1e-8) for net in (D, G)]
    softplus = torch.nn.functional.softplus
    for round_ in range(3):
        dice = Dice(5, "z", range(100 * m * round_, 100 * m * (round_ + 1)), (round_, 0))
        z = dice.normal(2).view(100, m, 2)
        fake = torch.cat([G(z[:, slot]) for slot in range(m)], dim=1)  # (100, 2m)
        real = stream.take(100 * m * round_, 100 * m).x.view(100, 2 * m)
        cost_d = (softplus(-D(real)) + softplus(D(fake))).mean()
        cost_g = softplus(-D(fake)).mean()
        gradients = [
            torch.autograd.grad(cost, list(net.parameters()), retain_graph=True)
            for cost, net in ((cost_d, D), (cost_g, G))
        ]
        for net, adam, gradient in zip((D, G), adams, gradients):
            for parameter, g in zip(net.parameters(), gradient):
                parameter.grad = g
            adam.step()
        match.step()
    for ours, theirs in ((match.game.D, D), (match.game.G, G)):
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters()):
            torch.testing.assert_close(a, b, atol=3e-6, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_statistics_at_rest_are_those_of_the_weights() -> None:
    """With as many batches as one likes they forget the running ones, and a batch is mapped as in training."""
    torch.manual_seed(0)
    G = Generator(2, (2,), width=32, depth=2).train()
    before = {name: tensor.clone() for name, tensor in G.state_dict().items()}
    rest = at_rest(G, seed=0, batches=400)
    assert all(torch.equal(tensor, before[name]) for name, tensor in G.state_dict().items())
    norm = rest.hidden[0][1]
    z = torch.randn(200_000, 2)
    h = G.hidden[0][0](z).detach()
    torch.testing.assert_close(norm.running_mean, h.mean(0), atol=2e-3, rtol=0.0)
    # a standard deviation of 100 numbers is 0.75 % too small on average; 39 batches at once leave about 1 % of noise
    found, true = (norm.running_var + norm.eps).sqrt(), (h.var(0) + norm.eps).sqrt()
    torch.testing.assert_close(found, true, atol=0.0, rtol=0.05)
    assert 0.975 < float((found / true).mean()) < 1.01


def test_agreement() -> None:
    assert agrees((6.3, 0.5), (7.2, 0.4), 10)
    assert not agrees((6.3, 0.5), (8.0, 0.1), 10)
    assert not agrees((6.3, 0.5), (1.0, math.nan), 1)


def test_what_is_unfinished_is_no_row(tmp_path: Path) -> None:
    row = {"modes": 7.0, "high_quality": 0.96, "reverse_kl": 0.2, "smallest_share": 0.0}
    for seed, steps in ((0, 400_000), (1, 20_000)):
        cell = Cell("ring", "gan", seed)
        found = {"cell": cell.name, "data": "ring", "method": "gan", "seed": seed, "steps": steps, "of": 400_000,
                 "finished": steps == 400_000, "measures": [{**row, "modes": 7.0 - seed}]}  # fmt: skip
        (tmp_path / f"{cell.name}.json").write_text(json.dumps(found))
    lines = table(tmp_path).splitlines()
    (ours,) = [line for line in lines if "gan, ours" in line]
    assert ours == "| ring | gan, ours | 7.0 ✓ | 96.0 ✗ | 0.20 ✓ | 0.000 | 1 |"
    assert any(
        "ring-gan-1 (no row of the table): unfinished, after 20,000 of 400,000 steps: 6 modes" in n for n in lines
    )


def test_a_cell_in_pieces_is_the_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "HERE", tmp_path)

    def play(name: str, steps: int) -> dict[str, Any]:
        cell = Cell("ring", "gan", 0)
        match = pacgan.begun(cell)
        return cells.advance(name, match, {}, folder="x", steps=steps, every=2, until=math.inf,
                             measured=lambda: pacgan.measured(match, cell), described=lambda found: "")  # fmt: skip

    whole = play("whole", 4)
    assert [m["steps"] for m in whole["measures"]] == [2, 4]
    first, second = play("pieces", 3), play("pieces", 4)
    assert [m["steps"] for m in first["measures"]] == [2, 3]
    assert second["measures"][-1] == whole["measures"][-1]
    assert cells.finished("x", "pieces") and not cells.finished("x", "none")
