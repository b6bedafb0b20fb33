"""No leak: a player's gradient is its own, whoever shares what with whom, in however many pieces."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.train.arena import NANO, PURE, game_of, gradients, match_of, weights

from sparring.errors import UsageError
from sparring.losses.penalties import consensus as half_squared_length
from sparring.train.engine import Engine
from sparring.train.match import Match
from sparring.train.turn import Piece, consensus, gradient, only, share

ENGINE = Engine(torch.device("cpu"))


@pytest.mark.parametrize("player", ["D", "G"])
@pytest.mark.parametrize("name", NANO)
def test_no_leak(name: str, player: str) -> None:
    """After any player's gradient every other player's .grad is untouched, and no weight anywhere has moved."""
    match = match_of(name)
    other = "G" if player == "D" else "D"
    marks = {}
    for key, parameter in match.game.players[other].named_parameters():
        parameter.grad = marks[key] = torch.full_like(parameter, 7.0)
    before = weights(match.game)
    hand = match._deal(turn=0)
    match._gradient(player, hand, turn=0)
    for key, parameter in match.game.players[other].named_parameters():
        assert parameter.grad is marks[key], key
        assert bool((parameter.grad == 7.0).all()), key
    after = weights(match.game)
    assert all(torch.equal(before[key], after[key]) for key in before)
    mine = gradients(match.game.players[player])
    assert set(mine) == {key for key, _ in match.game.players[player].named_parameters()}
    assert sum(float(g.abs().sum()) for g in mine.values()) > 0


@pytest.mark.parametrize("player", ["D", "G"])
@pytest.mark.parametrize("name", NANO)
def test_frozen_players_compute_no_weight_gradient(name: str, player: str) -> None:
    """A hook on every parameter of the frozen player: autograd never arrives there, penalties included."""
    match = match_of(name)
    other = match.game.players["G" if player == "D" else "D"]
    arrived: list[str] = []
    for key, parameter in other.named_parameters():
        parameter.register_hook(lambda _, key=key: arrived.append(key))
    seen: list[bool] = []
    handle = other.register_forward_hook(lambda m, *_: seen.append(any(p.requires_grad for p in m.parameters())))
    match._gradient(player, match._deal(turn=0), turn=0)
    handle.remove()
    assert arrived == []
    owns_shared = player == "D" and match.game.owner == "G"  # then G(z) keeps its graph for G's own turn
    assert seen and (owns_shared or not any(seen))


@pytest.mark.parametrize("name", sorted(PURE | {"r3gan"}))
@pytest.mark.parametrize("player", ["D", "G"])
def test_micro_batches_give_the_same_gradient(name: str, player: str) -> None:
    """1, 2 and 4 pieces: equal up to rounding, penalties and augmentation included, where samples are not coupled."""
    norm = {"generator_norm": "none"} if name == "r3gan" else {}
    found = []
    for pieces in (1, 2, 4):
        match = match_of(name, micro_batches=pieces, **norm)
        hand = match._deal(turn=0)
        assert len(hand.batches) == pieces
        means = match._gradient(player, hand, turn=0)
        found.append((gradients(match.game.players[player]), means))
    whole, observed = found[0]
    for parts, means in found[1:]:
        for key in whole:
            scale = float(whole[key].abs().max())
            torch.testing.assert_close(parts[key], whole[key], rtol=1e-4, atol=1e-5 * scale + 1e-8)
        for key in observed:
            relative_average = key.split("/")[1] in {"D(x)", "D(G(z))", "true_positive", "true_negative"}
            if not (relative_average and name.startswith("r3gan")):  # measured against the mean of the piece
                torch.testing.assert_close(means[key], observed[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_consensus_is_the_gradient_of_what_it_says(pieces: int) -> None:
    """L_i + γ ½‖v‖² of the whole batch, in any number of pieces, penalties and Fourier features included."""
    amount, changes = 0.3, {"play": "consensus(0.3)", "gamma": 0.2, "objective": "nonsaturating"}
    match = match_of("gan", micro_batches=pieces, **changes)
    hand = match._deal(turn=0)
    seen = {player: list(hand.pieces(player, turn)) for turn, player in enumerate(match.game.players)}
    means = consensus(match.game, seen, hand.samples, ENGINE, amount)
    whole = match_of("gan", **changes)
    (batch,), (now,) = (lambda dealt: (dealt.batches, dealt.nows))(whole._deal(turn=0))
    game, own, parameters = whole.game, [], [list(player.parameters()) for player in whole.game.players.values()]
    for turn, player in enumerate(game.players):
        at = dataclasses.replace(now, turn=turn)
        terms = game.losses(player, batch, {}, at)
        own.append(sum(w * terms[name].mean() for name, w in game.weights(player, terms, at).items()))
        for name, term in terms.items():
            torch.testing.assert_close(means[player][name], term.detach().mean(), rtol=1e-5, atol=1e-6)
    agreed = half_squared_length(own, parameters)
    for player, paid, theirs in zip(game.players, own, parameters, strict=True):
        wanted = torch.autograd.grad(paid + amount * agreed, theirs, retain_graph=True)
        for (key, found), value in zip(gradients(match.game.players[player]).items(), wanted, strict=True):
            torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-6, msg=key)


def test_consensus_leaves_what_nobody_uses_where_it_is() -> None:
    """A weight that plays no part has a gradient of 0, not none: the other weights are moved as ever."""
    match, plain = (match_of("gan", play="consensus(0.3)") for _ in range(2))
    match.game.players["D"].register_parameter("idle", torch.nn.Parameter(torch.ones(3)))
    for each in (match, plain):
        hand = each._deal(turn=0)
        seen = {player: list(hand.pieces(player, turn)) for turn, player in enumerate(each.game.players)}
        consensus(each.game, seen, hand.samples, ENGINE, 0.3)
    found = gradients(match.game.players["D"])
    assert torch.equal(found.pop("idle"), torch.zeros(3))
    for key, value in gradients(plain.game.players["D"]).items():
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-7)


def test_extragradient_steps_from_where_it_was() -> None:
    """With plain descent θ moves by lr times the gradient at the trial point, on the second batch."""
    settings = {"play": "extragradient", "optimiser": "sgd", "lr": 0.05, "gamma": 0.1}
    match, by_hand = match_of("gan", **settings), match_of("gan", **settings)
    start = weights(by_hand.game)
    match.step()
    for _ in by_hand._together(by_hand._deal(turn=0)):  # move by move
        pass
    hand = by_hand._deal(turn=2)
    for turn, player in enumerate(by_hand.game.players):
        by_hand._gradient(player, hand, 2 + turn)
    slopes = gradients(by_hand.game)
    for key, tensor in weights(match.game).items():
        torch.testing.assert_close(tensor, start[key] - 0.05 * slopes[key], rtol=1e-6, atol=1e-7, msg=key)


@pytest.mark.parametrize("name", ["r3gan", "r3gan-paper", "dcgan"])
def test_shared_and_unshared_gradients_agree(name: str) -> None:
    """For the same z, G's gradient is the same whether G(z) comes from D's turn or is computed anew."""
    changes = {"r3gan": {"generator_norm": "none"}}.get(name, {})
    match = match_of(name, play="D:1,G:1", **changes)
    hand = match._deal(turn=0)
    match._gradient("D", hand, turn=0)  # computes what is shared
    match._gradient("G", hand, turn=1)
    shared = gradients(match.game.G)

    anew = match_of(name, play="D:1,G:1", **changes)
    anew_hand = anew._deal(turn=0)
    anew._gradient("G", anew_hand, turn=1)
    for key, value in gradients(anew.game.G).items():
        assert torch.equal(value, shared[key]), key


def test_shared_is_computed_once_a_round() -> None:
    match = match_of("dcgan")
    calls: list[int] = []
    match.game.G.register_forward_hook(lambda *_: calls.append(1))
    match.step()
    assert len(calls) == 1


def test_shared_is_invalid_after_its_owner_moved() -> None:
    """G first, then D: D sees what G makes now, for the same z."""
    match = match_of("r3gan-paper", play="G:1,D:1")
    calls: list[torch.Tensor] = []
    match.game.G.register_forward_hook(lambda _, __, out: calls.append(out.detach()))
    match.step()
    assert len(calls) == 2 and not torch.equal(calls[0], calls[1])
    assert float((calls[0] - calls[1]).abs().max()) < 1.0  # a step further, not other latents


def test_terms_that_are_not_weighed_are_only_observed() -> None:
    game = game_of("gan")
    match = match_of("gan")
    batch, now = match._deal(0).batches[0], match.now(range(8))
    names = set(gradient(game, "D", [Piece(batch, {}, now)], 8, ENGINE))
    assert {"D(x)", "true_positive", "real", "fake", "r1", "r2"} <= names


def test_unknown_weight_is_an_error() -> None:
    match = match_of("gan")
    match.game.weights = lambda player, terms, now: {"reel": 1.0}  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="GAME-WEIGHTS") as caught:
        match.step()
    assert "reel" in str(caught.value)


def test_gradient_is_the_sum_of_the_weighted_means() -> None:
    """The objective written out by hand, term by term."""
    match, twin = match_of("r3gan-paper"), match_of("r3gan-paper")
    hand = match._deal(turn=0)
    match._gradient("D", hand, turn=0)
    game = twin.game
    there = twin._deal(turn=0)
    now = there.nows[0]
    fake = share(game, there.batches[0], now, ENGINE, graph=False)
    with only(game, game.D):
        terms = game.losses("D", there.batches[0], fake, now)
        half = 0.5 * now.at(game.config.gamma)
        objective = terms["pair"].mean() + half * terms["r1"].mean() + half * terms["r2"].mean()
        objective.backward()
    for key, value in gradients(game.D).items():
        torch.testing.assert_close(gradients(match.game.D)[key], value, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("graph", [True, False])
def test_what_is_shared_has_a_graph_only_if_asked(graph: bool) -> None:
    match = match_of("r3gan-paper")
    hand = match._deal(turn=0)
    shared = share(match.game, hand.batches[0], hand.nows[0], ENGINE, graph=graph)
    assert shared["fake"].requires_grad is graph
    with pytest.raises(dataclasses.FrozenInstanceError):
        Piece(hand.batches[0], shared, hand.nows[0]).shared = {}  # type: ignore[misc]


def test_only_restores_what_was() -> None:
    game = game_of("gan")
    first = next(game.G.parameters())
    first.requires_grad_(False)
    with only(game, game.D):
        assert all(p.requires_grad for p in game.D.parameters())
        assert not any(p.requires_grad for p in game.G.parameters())
    assert not first.requires_grad and all(p.requires_grad for p in list(game.G.parameters())[1:])
    with pytest.raises(RuntimeError), only(game, game.G):
        raise RuntimeError
    assert all(p.requires_grad for p in game.D.parameters())


@pytest.mark.parametrize("objective", ["minimax", "nonsaturating", "wasserstein", "relativistic"])
def test_every_objective_moves_both_players(objective: str) -> None:
    match: Match = match_of("gan", objective=objective)
    before = weights(match.game)
    match.step()
    after = weights(match.game)
    assert all(not torch.equal(before[key], after[key]) for key in before if "weight" in key)
