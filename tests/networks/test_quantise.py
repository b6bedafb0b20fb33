"""The vector quantiser: nearest codes, the straight gradient, two ways to learn codes, and codes that begin anew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.networks.quantise import RECENT, Quantiser, perplexity, straight


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quantiser(codes: int = 6, dimensions: int = 3, **settings: object) -> Quantiser:
    torch.manual_seed(1)
    return Quantiser(codes, dimensions, **settings)  # type: ignore[arg-type]


def round_of(q: Quantiser, z: Tensor, number: int = 0, pieces: int = 1, tokens: Tensor | None = None) -> Tensor:
    """One round of a batch z, in pieces; the tokens."""
    tokens = q.nearest(z) if tokens is None else tokens
    dice = Dice(0, "revive", range(q.codes), (number,))
    each = len(z) // pieces
    for i in range(pieces):
        rows = range(number * len(z) + i * each, number * len(z) + (i + 1) * each)
        part = slice(i * each, (i + 1) * each)
        q.take(z[part], tokens[part], rows, len(z), dice, first=i == 0)
    return tokens


@pytest.mark.parametrize("settings", [{}, {"normalised": True}, {"decay": 0.9}, {"decay": 0.9, "normalised": True}])
def test_the_nearest_code_is_that_of_brute_force(settings: dict[str, object]) -> None:
    q = quantiser(17, 4, **settings)
    z = q.ready(normal(3, 4, 5, 6).double())
    tokens, table = q.nearest(z), q.table.double()
    for n in range(3):
        for h in range(5):
            for w in range(6):
                distances = [(z[n, :, h, w] - code).square().sum() for code in table]
                assert int(tokens[n, h, w]) == int(torch.stack(distances).argmin())
    assert torch.equal(q.look_up(tokens)[0, :, 1, 2], q.table[tokens[0, 1, 2]])
    if settings.get("normalised"):
        torch.testing.assert_close(q.table.norm(dim=1), torch.ones(17))
        torch.testing.assert_close(z.norm(dim=1), torch.ones(3, 5, 6, dtype=torch.float64))


def test_the_gradient_passes_straight_through() -> None:
    """∂ decoder input / ∂ encoder output is the identity, and no code gets any of it."""
    q, z = quantiser(), normal(1, 3, 2, 2).requires_grad_()

    def through(z: Tensor) -> Tensor:
        return straight(z, q.look_up(q.nearest(z)))

    jacobian = torch.autograd.functional.jacobian(through, z).reshape(12, 12)
    assert torch.equal(jacobian, torch.eye(12))
    torch.testing.assert_close(through(z), q.look_up(q.nearest(z)))
    assert torch.autograd.grad(through(z).sum(), q.code, allow_unused=True) == (None,)


def test_moving_averages_are_their_closed_form() -> None:
    """N ← γ N + (1 − γ) n, m ← γ m + (1 − γ) Σ z, e = m / N, over rounds, whatever the pieces."""
    for pieces in (1, 2):
        q, gamma = quantiser(decay=0.7), 0.7
        counts, sums = torch.ones(6).double(), q.sums.double().clone()
        for number in range(4):
            z = normal(4, 3, 2, 2, seed=number)
            tokens = round_of(q, z, number, pieces).flatten()
            flat = z.permute(0, 2, 3, 1).reshape(-1, 3).double()
            counts = gamma * counts + 0.3 * torch.bincount(tokens, minlength=6)
            sums = gamma * sums
            for token, vector in zip(tokens.tolist(), flat, strict=True):
                sums[token] += 0.3 * vector
        torch.testing.assert_close(q.table.double(), sums / counts[:, None], rtol=1e-5, atol=1e-6)


def test_codes_become_the_means_of_what_chose_them_as_the_decay_goes_to_0() -> None:
    q, z = quantiser(decay=1e-9), normal(8, 3, 4, 4)
    before = q.table.clone()
    tokens = round_of(q, z).flatten()
    flat = z.permute(0, 2, 3, 1).reshape(-1, 3)
    for k in range(6):
        mine = flat[tokens == k]
        torch.testing.assert_close(q.table[k], mine.mean(0) if len(mine) else before[k], rtol=1e-4, atol=1e-5)
    for number in range(1, 60):  # what nobody chooses stays where it is, however little it weighs
        round_of(q, z, number, tokens=torch.zeros(8, 4, 4, dtype=torch.int64))
    untouched = q.table[1:]
    assert bool(untouched.isfinite().all())


def test_perplexity_is_the_number_of_equally_used_codes() -> None:
    assert float(perplexity(torch.full((12,), 7.0))) == pytest.approx(12)
    assert float(perplexity(torch.tensor([0.0, 9.0, 0.0]))) == pytest.approx(1)
    some = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    p = some / some.sum()
    assert float(perplexity(some)) == pytest.approx(float(torch.exp(-(p * p.log()).sum())))


@pytest.mark.parametrize("decay", [0.0, 0.8])
@pytest.mark.parametrize("pieces", [1, 4])
def test_only_dead_codes_begin_anew_and_where_the_encoder_is(decay: float, pieces: int) -> None:
    q = quantiser(6, 3, decay=decay, revive=3)
    q.unused.zero_()
    chosen = torch.tensor([0, 1, 2]).repeat(8, 2, 2, 1).transpose(1, 3).reshape(8, 2, 6)  # 3, 4, 5 are never chosen
    begun = {}
    for number in range(10):
        z, before = normal(8, 3, 2, 6, seed=number), q.table.detach().clone()
        round_of(q, z, number, pieces, tokens=chosen)
        moved = {k for k in range(6) if not torch.allclose(q.table[k], before[k], atol=1e-6)}
        dead = set(q.dead.nonzero().flatten().tolist())
        assert dead <= {3, 4, 5} and moved - ({0, 1, 2} if decay else set()) == dead
        for k in dead:  # exactly one of the vectors of the encoder
            gaps = (z.permute(0, 2, 3, 1).reshape(-1, 3) - q.table[k].detach()).norm(dim=1)
            assert float(gaps.min()) < 1e-5
        begun[number] = dead
        assert set(q.mine.nonzero().flatten().tolist()) == dead
    assert [number for number, dead in begun.items() if dead] == [3, 6, 9]
    assert all(begun[number] == {3, 4, 5} for number in (3, 6, 9))


def test_which_vector_it_is_depends_on_the_dice_alone() -> None:
    """Not on pieces, nor on which process holds the image."""
    tables = []
    for pieces in (1, 2, 4):
        q = quantiser(6, 3, revive=1)
        q.unused.zero_()
        for number in range(3):
            round_of(q, normal(4, 3, 2, 2, seed=number), number, pieces, tokens=torch.zeros(4, 2, 2, dtype=torch.int64))
        tables.append(q.table.detach())
    assert torch.equal(tables[0], tables[1]) and torch.equal(tables[0], tables[2])


def test_usage_is_of_recent_rounds() -> None:
    q, tokens = quantiser(4, 3), torch.tensor([[[0, 1]]])
    assert float(q.usage) == 0 and float(q.perplexity) == 1
    for number in range(3):
        round_of(q, normal(1, 3, 1, 2), number, tokens=tokens)
    assert float(q.usage) == 0.5 and float(q.perplexity) == pytest.approx(2)
    q.unused += RECENT
    assert float(q.usage) == 0
