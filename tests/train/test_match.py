"""Rounds: who moves when, on which batch, at which rate; and what a match remembers."""

from __future__ import annotations

import pytest
import torch
from tests.train.arena import NANO, config_of, copied, digest, game_of, match_of, stream, weights

from sparring.errors import Diverged, UsageError
from sparring.train.engine import Engine
from sparring.train.match import Match, pieces_of
from sparring.types import Batch, News


class Watched:
    """A stream that remembers what was asked of it."""

    fingerprint = "watched"

    def __init__(self, stream: object) -> None:
        self.stream, self.asked = stream, []

    def __len__(self) -> int:
        return len(self.stream)

    def take(self, start: int, count: int) -> Batch:
        self.asked.append((start, count))
        return self.stream.take(start, count)

    def news(self) -> tuple[News, ...]:
        return ()


def watched(match: Match) -> list[tuple[int, int]]:
    match.stream = Watched(match.stream)
    return match.stream.asked


def moves(match: Match) -> list[str]:
    """The names of the players in the order in which they move, from here on."""
    made: list[str] = []
    for name, mover in match.optimisers.items():

        def step(*arguments: object, name: str = name, inner: object = mover.step) -> None:
            made.append(name)
            inner(*arguments)

        mover.step = step
    return made


@pytest.mark.parametrize("name", ["gan", "r3gan"])
@pytest.mark.parametrize(
    ("play", "order", "batches"),
    [
        ("D:1,G:1", "DG", 1),
        ("D:2,G:1", "DDG", 2),
        ("D:1,G:2", "DGG", 2),
        ("G:1,D:1", "GD", 1),
        ("simultaneous", "DG", 1),
    ],
)
def test_who_moves_and_what_is_seen(name: str, play: str, order: str, batches: int) -> None:
    """A player never sees a batch twice; nobody skips one; both players of a pair see the same."""
    match = match_of(name, play=play)
    made, asked = moves(match), watched(match)
    for _ in range(3):
        match.step()
    assert "".join(made) == order * 3
    assert asked == [(8 * i, 8) for i in range(3 * batches)]
    assert (match.round, match.drawn, match.images) == (3, 3 * batches, 24 * batches)


def test_simultaneous_differs_from_alternating() -> None:
    """The first player's move is the same; the second's is not, since only in turn does it feel the first."""
    one, other = match_of("r3gan-paper", play="simultaneous"), match_of("r3gan-paper", play="D:1,G:1")
    one.step()
    other.step()
    for key, tensor in weights(one.game.D).items():
        assert torch.equal(tensor, weights(other.game.D)[key]), key
    assert any(not torch.equal(tensor, weights(other.game.G)[key]) for key, tensor in weights(one.game.G).items())


def test_simultaneous_takes_all_gradients_first() -> None:
    """G's gradient in a simultaneous round is its gradient where nobody has moved yet."""
    match, still = match_of("r3gan-paper", play="simultaneous"), match_of("r3gan-paper", play="simultaneous")
    before = weights(match.game.G)
    match.step()
    hand = still._deal(0)
    still._gradient("G", hand, turn=1)
    still._move("G", hand, hand.last, {"G/gradient": torch.ones(())})
    for key, tensor in weights(match.game.G).items():
        assert torch.equal(tensor, weights(still.game.G)[key]), key
    assert any(not torch.equal(tensor, before[key]) for key, tensor in weights(match.game.G).items())


@pytest.mark.parametrize(("bound", "order"), [(-1.0, "G"), (2.0, "DG")])
def test_gated_play(bound: float, order: str) -> None:
    """D moves only while its skill is below the bound."""
    match = match_of("gan", play=f"gated(D<{bound})")
    made = moves(match)
    means = match.step()
    assert "".join(made) == order
    assert 0.0 <= float(means["skill"]) <= 1.0


@pytest.mark.parametrize(("offset", "mover"), [(-100.0, "G"), (100.0, "D")])
def test_either_or(offset: float, mover: str) -> None:
    """D moves when it is wrong at least as often as right; here its bias makes it right or wrong on fakes and reals."""
    match = match_of("gan", play="either-or")

    def logits(batch: Batch, dice: object) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.full((8,), -offset), torch.full((8,), offset)

    match.game.logits = logits  # type: ignore[method-assign]
    made = moves(match)
    match.step()
    assert made == [mover]


@pytest.mark.parametrize("name", ["gan", "dcgan", "r3gan"])
def test_skill_is_a_look_without_touch(name: str) -> None:
    match = match_of(name, play="gated(D<0.8)")
    match.step()
    before, state = digest(match.tensors()), torch.get_rng_state()
    hand = match._deal(0)
    first, second = match._skill(hand), match._skill(hand)
    assert torch.equal(first, second) and 0 <= float(first) <= 1
    assert digest(match.tensors()) == before and torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in match.game.modules())


def test_ramps_follow_the_images() -> None:
    """The step size is the ramp at the share of images seen; D's is lr_ratio times that."""
    match = match_of("gan", lr="1e-2 -> 1e-3 linear", beta2="0.9 -> 0.99 linear", lr_ratio=3.0, horizon=80)
    seen: list[tuple[str, float, float, float]] = []
    for name, mover in match.optimisers.items():

        def step(lr: float, beta1: float, beta2: float, skip: object, name: str = name) -> None:
            seen.append((name, lr, beta1, beta2))

        mover.step = step
    for _ in range(12):
        match.step()
    for turn, (name, lr, beta1, beta2) in enumerate(seen):
        progress = min(1.0, 8 * (turn // 2) / 80)
        assert name == "DG"[turn % 2]
        assert lr == pytest.approx((1e-2 + (1e-3 - 1e-2) * progress) * (3.0 if name == "D" else 1.0), rel=1e-9)
        assert beta2 == pytest.approx(0.9 + 0.09 * progress, rel=1e-9)
        assert beta1 == 0.5


def test_lazy_penalty_is_paid_k_times_as_much_every_kth_round() -> None:
    """Over k rounds at the same place the lazy objective has the same sum of gradients (Karras et al. 2020, app. B)."""
    always, lazy = (
        match_of("r3gan-paper", penalty_every=1, gamma=1.0),
        match_of("r3gan-paper", penalty_every=3, gamma=1.0),
    )
    paid = {}
    for label, match in (("always", always), ("lazy", lazy)):
        total, weights_seen = 0.0, []
        for round_ in range(3):
            match.round = round_
            hand = match._deal(0)
            piece = next(hand.pieces("D", 0))
            terms = match.game.losses("D", piece.batch, piece.shared, piece.now)
            weighed = match.game.weights("D", terms, piece.now)
            weights_seen.append(weighed.get("r1", 0.0))
            total += weighed.get("r1", 0.0)
        paid[label] = (weights_seen, total)
    assert paid["always"] == ([0.5, 0.5, 0.5], 1.5)
    assert paid["lazy"] == ([1.5, 0.0, 0.0], 1.5)


def test_not_finite_is_found_before_anything_moves() -> None:
    for name in NANO:
        match = match_of(name)
        match.step()
        with torch.no_grad():
            next(match.game.D.parameters()).fill_(float("nan"))
        files = copied(match.tensors())
        norms = {"running_mean", "running_var", "num_batches_tracked"}
        with pytest.raises(Diverged, match="NOT-FINITE|not finite"):
            match.step()
        for stem, tensors in match.tensors().items():
            for key, tensor in tensors.items():
                if key.split(".")[-1] not in norms:  # G(z) was computed: its batch statistics may have moved
                    torch.testing.assert_close(tensor, files[stem][key], rtol=0, atol=0, equal_nan=True)
        assert match.round == 1


def test_the_global_generator_is_never_used() -> None:
    state = torch.get_rng_state()
    for name in NANO:
        match_of(name).step()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NANO)
def test_same_seed_same_numbers_other_seed_other_numbers(name: str) -> None:
    runs = [match_of(name, seed) for seed in (0, 0, 1)]
    for _ in range(2):
        for match in runs:
            match.step()
    one, twin, other = (digest(match.tensors()) for match in runs)
    assert one == twin != other


@pytest.mark.parametrize("name", NANO)
def test_load_gives_back_every_tensor(name: str) -> None:
    """Into a match of other weights: every leaf is what it was (nothing is right by luck)."""
    match, other = match_of(name), match_of(name, init=99)
    for _ in range(3):
        match.step()
    files, state = copied(match.tensors()), match.state()
    assert digest(other.tensors()) != digest(files)
    other.load(files, state)
    assert digest(other.tensors()) == digest(files)
    assert other.state() == state == {"round": 3, "drawn": match.drawn}


def test_state_is_complete_by_name() -> None:
    """Every parameter and buffer of the game is in one file; every parameter has its moments."""
    for name in NANO:
        match = match_of(name)
        files = match.tensors()
        held = {t.data_ptr() for stem in files for t in files[stem].values() if t.numel()}
        for key, tensor in list(match.game.named_parameters()) + list(match.game.named_buffers()):
            assert tensor.data_ptr() in held, key
        moments = {key for key in files["optimiser"]}
        for player, module in match.game.players.items():
            for key, _ in module.named_parameters():
                kept = {"adam": ("first", "second"), "optimistic-adam": ("first", "second", "last")}.get(
                    match.training.optimiser, ("last",)
                )
                assert {f"{player}/{key}.{moment}" for moment in kept} <= moments
            assert f"{player}/count" in moments


def test_plays_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="PLAY-PLAYER"):
        match_of("gan", play="D:1,H:1")
    with pytest.raises(UsageError, match="PLAY-PLAYER"):
        match_of("gan", play="gated(H<0.8)")
    with pytest.raises(ValueError, match="micro_batches"):
        config_of("gan", micro_batches=3)


@pytest.mark.parametrize(
    ("samples", "wanted", "count"), [(16, 4, 4), (5, 2.5, 5), (8, 0.5, 1), (8, 3, 4), (1, 7, 1), (6, 1, 1)]
)
def test_pieces_hold_every_sample(samples: int, wanted: float, count: int) -> None:
    assert pieces_of(samples, wanted) == count and samples % count == 0


def test_modules_of_no_player_are_frozen() -> None:
    """A scorer beside the players: eval mode, no gradient, no optimiser, but saved."""
    game = game_of("dcgan")
    game.scorer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))
    match = Match(game, stream(NANO["dcgan"][1]), Engine(torch.device("cpu")), game.config, seed=0, horizon=100)
    before = weights(game.scorer)
    match.step()
    assert not game.scorer.training and not game.scorer[1].training and game.G.training
    assert not any(p.requires_grad for p in game.scorer.parameters())
    assert all(torch.equal(tensor, weights(game.scorer)[key]) for key, tensor in before.items())
    assert set(match.tensors()["game"]) == {"scorer.0.weight", "scorer.0.bias"}
    assert not any("scorer" in key for key in match.tensors()["optimiser"])
