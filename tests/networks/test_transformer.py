"""The transformer sees what is before a token, all of it and nothing else; what is drawn has the law that it says."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.networks.exact import exact
from sparring.networks.transformer import SPREAD, Memory, Transformer
from sparring.networks.transformer_sampling import Draw, sample, sample_naively, slide
from sparring.train.game import seeded


def net_of(codes: int = 5, length: int = 9, **settings: int) -> Transformer:
    """In float64, with weights so large that every dependence shows, biases too."""
    small = {"width": 6, "heads": 2, "blocks": 2} | settings
    net: Transformer = exact(seeded(0, lambda: Transformer(codes, length, **small)))
    for number, parameter in enumerate(net.parameters()):
        noise = Dice(1, f"weight {number}", range(1)).normal(*parameter.shape)[0].double()
        parameter.data.add_(0.3 * noise)
    return net.requires_grad_(False)


def prefix_of(net: Transformer, n: int, length: int = 1) -> Tensor:
    return Dice(2, "prefix", range(n)).normal(length, net.width).double()


def uniforms(n: int, *shape: int) -> Tensor:
    return torch.cat([Dice(seed, "u", range(1)).uniform(*shape) for seed in range(n)]).double()


# ── what depends on what ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_jacobian_is_strictly_triangular() -> None:
    """What is said of token l depends on the whole prefix, on each token before it, and on nothing after."""
    net, length, known = net_of(), 6, 3
    prefix = prefix_of(net, 1, known)

    def said(vectors: Tensor) -> Tensor:
        """Of tokens that are vectors, as the network sees them: (L, K)."""
        return net._run(torch.cat([vectors[None, :known], vectors[None, known:]], 1), None)[0, known - 1 :]

    tokens = torch.tensor([[3, 1, 4, 1, 0, 2]])
    vectors = torch.cat([prefix, net.token[tokens]], 1)[0]
    torch.testing.assert_close(said(vectors), net(prefix, tokens)[0], rtol=0, atol=0)
    jacobian = torch.autograd.functional.jacobian(said, vectors)  # (L + 1, K, P + L, width)
    depends = jacobian.abs().amax((1, 3))
    row, column = torch.arange(length + 1)[:, None], torch.arange(known + length)[None]
    assert torch.equal(depends > 0, column < known + row)


def test_weights_begin_as_published() -> None:
    """N(0, 0.02²); what writes into the sum of all blocks is smaller by √(2 · blocks), biases are 0."""
    net = seeded(0, lambda: Transformer(64, 64, width=64, heads=4, blocks=8))
    for name, parameter in net.requires_grad_(False).named_parameters():
        if "norm" in name:
            continue
        if name.endswith("bias"):
            assert float(parameter.abs().max()) == 0.0, name
            continue
        wanted = SPREAD / 4 if any(part in name for part in ("answer", "narrow")) else SPREAD
        assert float(parameter.std()) == pytest.approx(wanted, rel=0.05), name


def test_probabilities_of_all_sequences_sum_to_one() -> None:
    """Three codes at 2 × 2 places: 81 sequences; and draws have these probabilities."""
    net, n = net_of(3, 4), 2000
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    prefix = prefix_of(net, 1)
    logits = net(prefix.expand(81, -1, -1), every[:, :-1])
    p = logits.log_softmax(2).gather(2, every[..., None])[..., 0].sum(1).exp()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-12) and float(p.max()) < 0.9
    made = sample(net, prefix.expand(n, -1, -1), uniforms(n, 4), Draw())
    shares = (made[:, None] == every[None]).all(2).double().mean(0)
    assert float((shares - p).abs().max()) < 4 * 0.5 / n**0.5


# ── drawing ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("draw", [Draw(), Draw(2.0, top_k=4, top_p=0.9)], ids=["all", "few"])
def test_cached_sampling_is_naive_sampling(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 seeds: what is said of every token to 1e-10, and the same tokens."""
    net, n = net_of(), 1000
    prefix, u = prefix_of(net, n, 3), uniforms(n, 6)
    said: list[Tensor] = []
    law = Draw.law

    def noted(self: Draw, logits: Tensor) -> Tensor:
        said.append(logits.clone())
        return law(self, logits)

    monkeypatch.setattr(Draw, "law", noted)
    cached = sample(net, prefix, u, draw)
    with_memory = said[:]
    said.clear()
    assert torch.equal(cached, sample_naively(net, prefix, u, draw)) and len(cached.unique(dim=0)) > 200
    assert len(with_memory) == len(said) == 6
    for a, b in zip(with_memory, said, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    net = net_of()
    prefix, u = prefix_of(net, 20), uniforms(20, 8)
    many = sample(net, prefix, u, Draw())
    for few in (slice(7, 8), slice(3, 16)):
        assert torch.equal(sample(net, prefix[few], u[few], Draw()), many[few])


def test_of_the_likeliest() -> None:
    """The k likeliest, in proportion; the fewest that have the probability p, one at least; less heat sharpens."""
    logits = Dice(3, "logits", range(50)).normal(7).double() * 2
    p = logits.softmax(1)
    ordered = p.sort(1, descending=True).values
    for k in (1, 3, 6):
        law = Draw(top_k=k).law(logits)
        kept = p >= ordered[:, k - 1 : k]
        assert bool((kept.sum(1) == k).all()) and torch.equal(law > 0, kept)
        torch.testing.assert_close(law, p * kept / (p * kept).sum(1, keepdim=True))
    for share in (1e-9, 0.5, 0.9):
        law = Draw(top_p=share).law(logits)
        kept = law > 0
        torch.testing.assert_close(law, p * kept / (p * kept).sum(1, keepdim=True))
        mass, least = (p * kept).sum(1), torch.where(kept, p, 2.0).amin(1)
        assert bool((mass >= share).all()) and bool((mass - least < share).all())  # none could be left out
        assert bool((least >= torch.where(kept, 0.0, p).amax(1)).all())  # and none that is left out is likelier
    assert torch.equal(Draw(top_k=7).law(logits), p) and torch.equal(Draw(top_k=0, top_p=1.0).law(logits), p)
    both = Draw(top_k=4, top_p=0.6).law(logits) > 0
    four = Draw(top_k=4).law(logits)
    assert torch.equal(both, Draw(top_p=0.6).law(four.log()) > 0)
    torch.testing.assert_close(Draw(0.5).law(logits), p.square() / p.square().sum(1, keepdim=True))
    assert torch.equal(Draw(1e-3)(logits, torch.full((50,), 0.5)), p.argmax(1))


def test_a_token_has_its_share_of_the_unit_interval() -> None:
    logits = torch.tensor([0.5, 0.0, 0.25, 0.25]).log().expand(8, -1)
    u = torch.tensor([0.0, 0.49, 0.5, 0.74, 0.75, 0.99, 1 - 2**-24, 1.0])
    assert Draw()(logits, u).tolist() == [0, 0, 2, 2, 3, 3, 3, 3]


# ── larger grids ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_as_large_as_the_grid_is_plain_sampling() -> None:
    net, n = net_of(5, 7), 100
    prefix, u = prefix_of(net, n), uniforms(n, 2, 3)
    plain = sample(net, prefix, u.flatten(1), Draw())
    assert torch.equal(slide(net, lambda top, left: prefix, u, (2, 3), Draw()).flatten(1), plain)


def test_the_window_has_the_token_in_its_middle() -> None:
    """A grid of 5 × 7 through 3 × 3: what is said of a token depends on what is before it in its window, and on nothing
    else; each window's prefix is asked for where it lies."""
    net, asked = net_of(5, 10), set()
    prefix, u = prefix_of(net, 1), uniforms(1, 5, 7)

    def of(top: int, left: int) -> Tensor:
        asked.add((top, left))
        return prefix

    tokens = slide(net, of, u, (3, 3), Draw())
    assert asked == set(itertools.product(range(3), range(5)))
    for row, column in ((2, 3), (4, 6), (0, 6), (4, 0)):
        top, left = min(max(row - 1, 0), 2), min(max(column - 1, 0), 4)
        window = tokens[:, top : top + 3, left : left + 3].flatten(1)
        before = window[:, : 3 * (row - top) + column - left]
        assert torch.equal(Draw()(net(prefix, before)[:, -1], u[:, row, column]), tokens[:, row, column])


def test_more_positions_than_were_learned_are_refused() -> None:
    net = net_of(5, 4)
    with pytest.raises(ValueError, match="5 positions, and 4"):
        net(prefix_of(net, 1, 2), torch.zeros(1, 3, dtype=torch.int64))
    memory = Memory(net, 1, 9)
    net.begin(prefix_of(net, 1, 2), memory)
    with pytest.raises(ValueError, match="one by one"):
        net._run(prefix_of(net, 1, 2), memory)
