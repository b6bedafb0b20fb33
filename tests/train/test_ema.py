"""The average of a player equals its closed form: θ̄ₙ = βⁿ θ̄₀ + (1 − β) Σ βⁿ⁻ⁱ θᵢ, buffers too."""

from __future__ import annotations

import pytest
import torch
from tests.train.arena import match_of
from torch import nn

from sparring.train.ema import Averages, decay


class Player(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        self.register_buffer("mean", torch.tensor([0.5]))
        self.register_buffer("count", torch.tensor(0))


def test_closed_form() -> None:
    player, beta = Player(), 0.9
    averages = Averages({"G": player})
    values = [torch.randn(2, generator=torch.Generator().manual_seed(i)) for i in range(20)]
    for step, value in enumerate(values):
        with torch.no_grad():
            player.weight.copy_(value)
            player.mean.fill_(float(step))
            player.count.fill_(step)
        averages.update(beta)
    n = len(values)
    weight = beta**n * torch.tensor([1.0, -2.0]) + (1 - beta) * sum(
        beta ** (n - 1 - i) * v for i, v in enumerate(values)
    )
    mean = beta**n * 0.5 + (1 - beta) * sum(beta ** (n - 1 - i) * i for i in range(n))
    found = averages.tensors("G")
    torch.testing.assert_close(found["weight"], weight, rtol=1e-5, atol=1e-6)
    assert float(found["mean"]) == pytest.approx(mean, rel=1e-5)
    assert int(found["count"]) == n - 1  # whole numbers have no average: the newest counts
    assert torch.equal(player.weight.detach(), values[-1])


def test_half_life() -> None:
    """After `half_life` images half of the old average is left, in however many updates."""
    for pieces in (1, 5, 50):
        assert decay(500 // pieces, 500) ** pieces == pytest.approx(0.5, rel=1e-12)
    assert decay(64, 0) == 0.0
    assert decay(10**9, 1) == 0.0


def test_zero_beta_copies() -> None:
    player = Player()
    averages = Averages({"G": player})
    with torch.no_grad():
        player.weight.fill_(3.0)
    averages.update(0.0)
    assert torch.equal(averages.tensors("G")["weight"], torch.full((2,), 3.0))


def test_applied_swaps_and_swaps_back() -> None:
    player = Player()
    averages = Averages({"G": player})
    with torch.no_grad():
        player.weight.fill_(3.0)
    identity = player.weight
    with averages.applied():
        assert player.weight is identity
        assert player.weight.tolist() == [1.0, -2.0]
    assert player.weight.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError), averages.applied():
        raise RuntimeError
    assert player.weight.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_match_averages_by_images(name: str) -> None:
    """Round by round: β = 2^(−batch / min(half-life, share of the images seen)), for every tensor of G."""
    match = match_of(name, ema_images=20, ema_share=0.5)
    average = {k: t.detach().double().clone() for k, t in match.averages.tensors("G").items()}
    for n in range(1, 7):
        match.step()
        beta = 2 ** (-8 / min(20, 0.5 * 8 * n))
        for key, tensor in (dict(match.game.G.named_parameters()) | dict(match.game.G.named_buffers())).items():
            new = tensor.detach().double()
            average[key] = beta * average[key] + (1 - beta) * new if tensor.is_floating_point() else new
    for key, tensor in match.averages.tensors("G").items():
        torch.testing.assert_close(tensor.double(), average[key], rtol=1e-5, atol=1e-6)


def test_no_average_when_none_is_wanted() -> None:
    match = match_of("gan", ema_images=0)
    match.step()
    assert match.averages.players == {} and not any("ema" in stem for stem in match.tensors())


def test_averages_require_no_gradient() -> None:
    match = match_of("dcgan")
    match.step()
    assert not any(t.requires_grad for t in match.averages.tensors("G").values())
