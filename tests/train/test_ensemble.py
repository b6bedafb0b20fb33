"""Ensembles: every member is the solo run of its seed, whatever becomes of the others."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.train.arena import copied, digest, stream
from torch import Tensor, nn

from sparring.chance import Dice, Dices
from sparring.data import open_data, stream_of
from sparring.errors import Diverged, UsageError
from sparring.recipes.gan import GAN, GANConfig
from sparring.train.checkpoint import Store
from sparring.train.engine import Engine
from sparring.train.ensemble import Stacked, Streams, each, together, unstack
from sparring.train.game import Game, Now, seeded
from sparring.train.log import Log, read
from sparring.train.loop import Loop, Pace, sample_averaged
from sparring.train.match import Match
from sparring.types import Batch, Sampled, Shared, Space, Terms, Turn

SEEDS = (3, 11, 5)
RATES = ("D/true_positive", "D/true_negative")
"""What jumps at a rounding."""
HORIZON = 1280
"""Images after which schedules are at their end: the cases below see a fifth of it, 16 rounds."""
COMMON: dict[str, Any] = {
    "width": 16, "depth": 2, "z": 2, "batch": 16, "lr": "1e-3 -> 5e-4", "ema_images": 200, "ema_share": 0.5,
    "g_fourier": (4, 0.5, 4.0), "d_fourier": (8, 0.5, 6.0), "gamma": "0.3 -> 0.1", "objective": "relativistic",
}  # fmt: skip


class Poisoned(GAN):
    """What D pays on samples beyond `above` is infinite: so one member's numbers can be made to run away."""

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        terms = dict(super().losses(player, batch, shared, now))
        if player == "D":
            terms["pair"] = terms["pair"] * torch.where(batch.x.abs().amax(1) > 1e3, torch.inf, 1.0)
        return terms


class Spoiled:
    """A stream whose sample `at` is far away."""

    fingerprint = "spoiled"

    def __init__(self, inner: Any, at: int) -> None:
        self.inner, self.at = inner, at

    def __len__(self) -> int:
        return len(self.inner)

    def take(self, start: int, count: int) -> Batch:
        batch = self.inner.take(start, count)
        if start <= self.at < start + count:
            batch.x[self.at - start] = 1e6
        return batch

    def news(self) -> tuple[()]:
        return ()


RING = open_data("ring", size=None)


def ring(seed: int) -> Any:
    return stream_of(RING, seed)


def built(seed: int, kind: type[GAN] = GAN, **changes: Any) -> GAN:
    settings = COMMON | changes
    if settings.get("network") == "pacgan":  # whose sizes are fixed
        settings = {k: v for k, v in settings.items() if k not in ("width", "depth", "g_fourier", "d_fourier")}
    game = seeded(seed, lambda: kind.build(GANConfig(**settings), Space((2,))))
    assert isinstance(game, GAN)
    return game


def solo(seed: int, *, data: Any = None, kind: type[GAN] = GAN, **changes: Any) -> Match:
    game = built(seed, kind, **changes)
    engine = Engine(torch.device("cpu"))
    return Match(game, data or ring(seed), engine, game.config, seed=seed, horizon=HORIZON)


def ensemble(
    seeds: tuple[int, ...] = SEEDS, *, data: Any = None, kind: type[GAN] = GAN, init: int = 0, **changes: Any
) -> Match:
    game = together([built(seed + init, kind, **changes) for seed in seeds])
    data = Streams(data or [ring(seed) for seed in seeds])
    return Match(game, data, Engine(torch.device("cpu")), game.config, seed=seeds, horizon=HORIZON)


def of_member(match: Match, member: int) -> dict[str, dict[str, Tensor]]:
    """Its part of the state, by the names that a solo match has."""
    return {
        stem: {name.replace("body.", ""): tensor[member] if tensor.dim() else tensor for name, tensor in named.items()}
        for stem, named in match.tensors().items()
    }


def assert_near(found: dict[str, dict[str, Tensor]], wanted: dict[str, dict[str, Tensor]], atol: float) -> None:
    assert found.keys() == wanted.keys()
    for stem, named in wanted.items():
        assert found[stem].keys() == named.keys()
        for name, tensor in named.items():
            torch.testing.assert_close(found[stem][name], tensor, rtol=1e-4, atol=atol, msg=f"{stem}/{name}")


# ── a member is its solo run ──────────────────────────────────────────────────────────────────────────────────────

DESCENT = {"optimiser": "sgd", "lr": 0.02}
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "adam": (10, {}),
    "sgd": (16, DESCENT),
    "simultaneous": (10, {"play": "simultaneous"}),
    "two moves": (10, {"play": "D:2,G:1", "objective": "hinge"}),
    "pieces": (7, {"micro_batches": 4}),
    "2014": (10, {"objective": "minimax", "gamma": 0, "g_fourier": None, "d_fourier": None}),
    "extragradient": (8, {"play": "extragradient"}),
    "consensus": (7, {"play": "consensus(0.1)", "micro_batches": 2}),
    "optimistic": (10, {"optimiser": "optimistic-adam", "play": "simultaneous"}),
    "packs": (10, {"packing": 2, "objective": "nonsaturating"}),
    "pacgan": (7, {"network": "pacgan", "packing": 2, "objective": "nonsaturating", "penalty": "none", **DESCENT}),
    "clip": (10, {"clip": 0.1, "objective": "wasserstein", "gamma": 0, "play": "D:2,G:1"}),
    "wgan-gp": (10, {"objective": "wasserstein", "penalty": "gp", "slope": 1.0}),
    "noise": (10, {"noise": "0.5 -> 0.1", "penalty": "dragan", "objective": "minimax"}),
    # where the gradient of a bias is 0 but for rounding (as before batch norm), Adam steps by the sign of that rounding
    "relativistic average": (10, {"objective": "relativistic_average", **DESCENT}),
    "spectral": (10, {"spectral": True, "objective": "hinge", **DESCENT}),
}


@pytest.mark.parametrize(("rounds", "changes"), CASES.values(), ids=CASES)
def test_a_member_is_the_solo_run_of_its_seed(rounds: int, changes: dict[str, Any]) -> None:
    """Weights, averages and moments at the end, and what was paid in each round."""
    seeds = SEEDS[:2]
    many, alone = ensemble(seeds, **changes), [solo(seed, **changes) for seed in seeds]
    for _ in range(rounds):
        means, truths = many.step(), [match.step() for match in alone]
        for name, value in means.items():
            assert value.shape == (len(seeds),)
            wanted = torch.stack([truth[name] for truth in truths])
            if name not in RATES:
                torch.testing.assert_close(value, wanted, rtol=1e-3, atol=1e-4, msg=name)
    for member, match in enumerate(alone):
        assert_near(of_member(many, member), match.tensors(), atol=1e-4)
    assert (many.images, many.round) == (alone[0].images, alone[0].round)


def test_one_seed_may_be_an_ensemble() -> None:
    many, alone = ensemble((7,)), solo(7)
    for _ in range(10):
        means, truth = many.step(), alone.step()
    assert means["D/pair"].tolist() == pytest.approx([truth["D/pair"].item()], rel=1e-4)
    assert_near(of_member(many, 0), alone.tensors(), atol=1e-5)


def test_unstacked_it_samples_the_same() -> None:
    """The average of a member, in a game of its own, gives the samples that the ensemble shows of it."""
    many = ensemble()
    for _ in range(8):
        many.step()
    shown = sample_averaged(many, 100)
    assert shown.shape == (3, 100, 2)
    for member, seed in enumerate(SEEDS):
        game = built(0)
        with many.averages.applied():
            for name, state in unstack(many.game, member).items():
                game.players[name].load_state_dict(state)
        wanted = game.eval().sample(Dice(seed, "sample", range(100))).detach()
        torch.testing.assert_close(shown[member], wanted, rtol=1e-5, atol=1e-5)


# ── members do not touch each other ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("play", ["D:1,G:1", "simultaneous"])
def test_a_member_that_runs_away_is_retired(play: str) -> None:
    """It keeps the weights, averages and moments of the round before; the others are bit for bit as without it."""
    settings: dict[str, Any] = {"kind": Poisoned, "play": play}
    sick = ensemble(data=[ring(3), Spoiled(ring(11), 8 * 16 + 5), ring(5)], **settings)
    sound, before = ensemble(**settings), {}
    for number in range(14):
        means, truths = sick.step(), sound.step()
        if number == 7:
            before = copied(of_member(sick, 1))
        for name, value in means.items():
            assert torch.equal(value[::2], truths[name][::2]), name
            assert bool(value[1].isnan()) == (number >= 8), name
    assert sick.failed.tolist() == [-1, 8, -1] and sound.failed.tolist() == [-1, -1, -1]
    for member in (0, 2):
        assert digest(of_member(sick, member)) == digest(of_member(sound, member))
    after = of_member(sick, 1)
    left = ["D"] if play == "D:1,G:1" else ["D", "G", "G-ema"]
    for stem in left:
        for name, tensor in before[stem].items():
            assert torch.equal(after[stem][name], tensor), f"{stem}/{name}"
    assert all(tensor.isfinite().all() for named in after.values() for tensor in named.values())


def test_a_retired_member_rests() -> None:
    """From the end of the round in which it was retired nothing of it changes."""
    sick = ensemble(data=[ring(3), Spoiled(ring(11), 5), ring(5)], kind=Poisoned)
    sick.step()
    before = copied(of_member(sick, 1))
    for _ in range(10):
        sick.step()
    after = of_member(sick, 1)
    del before["optimiser"]["D/count"], before["optimiser"]["G/count"]  # everyone's
    for stem, named in before.items():
        for name, tensor in named.items():
            assert torch.equal(after[stem][name], tensor), f"{stem}/{name}"


def test_only_when_none_is_left_it_ends() -> None:
    data = [Spoiled(ring(seed), at * 16) for seed, at in zip(SEEDS, (1, 4, 2), strict=True)]
    match = ensemble(data=data, kind=Poisoned)
    for _ in range(4):
        match.step()
    assert match.failed.tolist() == [1, -1, 2]
    with pytest.raises(Diverged, match="round 4"):
        match.step()


# ── a run of an ensemble ──────────────────────────────────────────────────────────────────────────────────────────


def loop_of(folder: Path, total: int = 320, init: int = 0, stop: int = 0) -> Loop:
    data = [ring(3), Spoiled(ring(11), 9 * 16), ring(5)]
    match = ensemble(data=data, kind=Poisoned, init=init)
    folder.mkdir(exist_ok=True)
    pace = Pace(log=64, samples=(0, 160, 320), grid=80, save_seconds=1e9)
    loop = Loop(match, total=total, pace=pace, store=Store(folder / "kept"), log=Log(folder / "log.jsonl"))
    if stop:
        original = match.step

        def step() -> Any:
            if match.round + 1 == stop:
                loop.stop()
            return original()

        match.step = step  # type: ignore[method-assign]
    return loop


def lines(path: Path) -> list[str]:
    return [json.dumps({k: v for k, v in record.items() if k != "rate"}, sort_keys=True) for record in read(path)]


@pytest.mark.parametrize("stop", [6, 14])
def test_a_stopped_and_resumed_ensemble_was_never_stopped(stop: int, tmp_path: Path) -> None:
    """Before and after a member was retired; samples (members, n, …), lists in the log, null for NaN."""
    whole = loop_of(tmp_path / "whole")
    events = list(whole)
    turns = [event for event in events if isinstance(event, Turn)]
    assert all(isinstance(value, list) and len(value) == 3 for turn in turns for value in turn.values.values())
    assert [e.samples.shape for e in events if isinstance(e, Sampled)] == [(3, 80, 2)] * 3
    records = list(read(tmp_path / "whole" / "log.jsonl"))
    assert records[-1]["values"]["D/pair"][1] is None and records[0]["values"]["D/pair"][1] is not None
    list(loop_of(tmp_path / "parts", stop=stop))
    again = loop_of(tmp_path / "parts", init=100)
    assert again.store is not None
    newest = again.store.newest()
    assert newest is not None and newest.images == stop * 16
    again.load(newest)
    assert again.match.failed.tolist() == ([-1, 9, -1] if stop > 9 else [-1, -1, -1])
    list(again)
    assert digest(again.match.tensors()) == digest(whole.match.tensors())
    assert lines(tmp_path / "parts" / "log.jsonl") == lines(tmp_path / "whole" / "log.jsonl")


# ── stacked networks, dice and streams ────────────────────────────────────────────────────────────────────────────


def networks(kind: str, count: int = 3) -> list[nn.Module]:
    def make() -> nn.Module:
        if kind == "batch norm":
            return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    return [seeded(seed, make) for seed in range(count)]


@pytest.mark.parametrize("kind", ["plain", "batch norm"])
@pytest.mark.parametrize("training", [True, False])
def test_each_row_goes_through_its_own_network(kind: str, training: bool) -> None:
    """Values, statistics, gradients of weights and inputs, and the gradient of a gradient penalty."""
    alone = networks(kind)
    many = Stacked(alone)
    for module in (many, *alone):
        module.train(training)
    x = Dice(0, "x", range(30)).normal(4).requires_grad_()
    ours = many(x)
    theirs = torch.cat([network(part) for network, part in zip(alone, x.chunk(3), strict=True)])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for output, players in ((ours, [many]), (theirs, alone)):
        (slope,) = torch.autograd.grad(output.square().sum(), x, create_graph=True)
        slope.square().sum().backward()
        assert all(p.grad is not None for player in players for p in player.parameters() if p.dim() > 1)
    for name, tensor in many.body.named_parameters():
        if tensor.grad is not None:
            wanted = torch.stack([network.get_parameter(name).grad for network in alone])
            torch.testing.assert_close(tensor.grad, wanted, rtol=1e-3, atol=1e-4, msg=name)
    for name, tensor in many.body.named_buffers():
        torch.testing.assert_close(tensor, torch.stack([network.get_buffer(name) for network in alone]))


def test_a_stacked_network_is_a_module_like_any_other() -> None:
    many = Stacked(networks("batch norm"))
    x = Dice(0, "x", range(6)).normal(4)
    twin = copy.deepcopy(many)
    assert torch.equal(twin.eval()(x), many.eval()(x)) and not twin.body[1].training
    with torch.no_grad():
        twin.body[0].weight.zero_()
    assert bool(many.body[0].weight.any())
    assert many.to(torch.float64)(x.double()).dtype == torch.float64
    with pytest.raises(UsageError, match="ENSEMBLE-ROWS"):
        many(torch.zeros(7, 4))
    with pytest.raises(UsageError, match="ENSEMBLE-ALIKE"):
        Stacked([nn.Linear(2, 3), nn.Linear(3, 3)])


def test_something_is_done_to_each() -> None:
    """A function that changes buffers in place, or makes values of the rows; a solo network is simply passed."""
    alone = networks("batch norm")
    many = Stacked(alone)

    def grow(network: Any) -> None:
        network[1].running_mean.add_(network[0].weight.mean())

    for network in (many, *alone):
        assert each(network, grow) is None
    wanted = torch.stack([network[1].running_mean for network in alone])
    torch.testing.assert_close(many.body[1].running_mean, wanted)
    assert each(many, lambda network, x: network[0](x), torch.zeros(6, 4)).shape == (6, 8)


def test_dices_are_the_dice_of_each_seed() -> None:
    """Bit for bit, for every kind of throw, positions apart from each other, and derived dice."""
    for samples in (range(5, 12), range(3, 30, 4), range(0)):
        many, alone = Dices(SEEDS, "z", samples, (2, 1)), [Dice(seed, "z", samples, (2, 1)) for seed in SEEDS]
        assert len(many) == 3 * len(samples)
        assert torch.equal(many.normal(3), torch.cat([dice.normal(3) for dice in alone]))
        assert torch.equal(many.uniform(2, 2), torch.cat([dice.uniform(2, 2) for dice in alone]))
        assert torch.equal(many.integers(7), torch.cat([dice.integers(7) for dice in alone]))
        assert torch.equal(many.of("x").normal(), torch.cat([dice.of("x").normal() for dice in alone]))


def test_streams_are_the_streams_of_each_seed() -> None:
    class Told:
        fingerprint = "told"

        def __len__(self) -> int:
            return 9

        def take(self, start: int, count: int) -> Batch:
            rows = torch.arange(start, start + count)
            return Batch(rows[:, None].float(), label=rows, text=tuple(map(str, rows.tolist())))

        def news(self) -> tuple[()]:
            return ()

    batch = Streams([Told(), Told()]).take(2, 3)
    assert batch.x.ravel().tolist() == [2, 3, 4] * 2 and batch.label.tolist() == [2, 3, 4] * 2
    assert batch.text == ("2", "3", "4") * 2 and batch.condition is None
    images = Streams([stream((3, 16, 16))] * 2)
    assert images.take(0, 4).x.shape == (8, 3, 16, 16) and len(images) == 40 and images.news() == []
    assert images.fingerprint != Streams([stream((3, 16, 16))] * 3).fingerprint


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


class Remembering(GAN):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.register_buffer("pool", torch.zeros(3))


def test_what_cannot_be_an_ensemble_is_refused() -> None:
    with pytest.raises(UsageError, match="ENSEMBLE-STATE"):
        together([built(0, Remembering), built(1, Remembering)])
    with pytest.raises(UsageError, match="ENSEMBLE-ALIKE"):
        together([built(0), built(1, lr=1e-4)])
    with pytest.raises(UsageError, match="ENSEMBLE-EMPTY"):
        together([])
    for play in ("gated(D<0.8)", "either-or"):
        with pytest.raises(UsageError, match="PLAY-MEMBERS"):
            ensemble(play=play)
    game: Game = together([built(0), built(1)])
    with pytest.raises(UsageError, match="ENSEMBLE-SEEDS"):
        Match(game, ring(0), Engine(torch.device("cpu")), game.config, seed=(0, 1, 2), horizon=1)
    with pytest.raises(UsageError, match="ENSEMBLE-SEEDS"):
        Match(game, ring(0), Engine(torch.device("cpu")), game.config, seed=0, horizon=1)


def test_the_games_that_are_put_together_stay_as_they_are() -> None:
    games = [built(0), built(1)]
    before = copied({str(i): dict(game.state_dict()) for i, game in enumerate(games)})
    data = Streams([ring(0), ring(1)])
    Match(together(games), data, Engine(torch.device("cpu")), games[0].config, seed=(0, 1), horizon=1).step()
    for i, game in enumerate(games):
        assert game.members == 1
        assert all(torch.equal(tensor, before[str(i)][name]) for name, tensor in game.state_dict().items())
