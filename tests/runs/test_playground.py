"""The live game: its moves are those of the loop, bit for bit; settings may change under way; what is seen is said."""

from __future__ import annotations

import base64
import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sparring.data import open_data, stream_of
from sparring.errors import Diverged, UsageError
from sparring.runs import plan as plans
from sparring.runs.playground.record import about, frame, packed
from sparring.runs.playground.scene import CELLS, FEW, SIDE, extent, measure, radius, ranked, scene
from sparring.runs.playground.table import SAMPLES, Playground, Round, Settings, _recipe
from sparring.runs.playground.words import WEAK, Sight, of_d, of_g, sentences
from sparring.train.engine import Engine
from sparring.train.loop import Loop, Pace
from sparring.train.match import Match
from sparring.types import Turn

PLAYS = (
    "D:1,G:1",
    "D:2,G:1",
    "G:1,D:1",
    "simultaneous",
    "extragradient",
    "consensus(0.1)",
    "gated(D<0.8)",
    "either-or",
)


def state(match: Match) -> dict[str, Tensor]:
    return {f"{file}/{name}": t.clone() for file, named in match.tensors().items() for name, t in named.items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def loop_of(settings: Settings, rounds: int) -> Loop:
    """The loop that trains the game of these settings."""
    recipe, data = _recipe(settings), open_data(settings.data)
    game = plans.build(recipe, plans.space_of(data), settings.seed)
    stream, engine = stream_of(data, settings.seed, False), Engine(torch.device("cpu"))
    match = Match(game, stream, engine, recipe.config, seed=settings.seed, horizon=10**9)
    batches = {"extragradient": 2, "D:2,G:1": 2}.get(settings.play, 1)
    total = rounds * batches * recipe.config.batch
    return Loop(match, total=total, pace=Pace(log=recipe.config.batch))


@pytest.mark.parametrize("play", PLAYS)
def test_turns_are_rounds_of_the_loop(play: str) -> None:
    """Three rounds turn by turn, by whoever is next, are three rounds of the loop bit for bit, costs included."""
    settings = Settings(play=play, seed=3)
    loop = loop_of(settings, 3)
    said = [event for event in loop if isinstance(event, Turn)]
    table = Playground(settings)
    while table.match.round < 3:
        before = table.next
        assert table.turn() == before or before == ""
    assert same(state(loop.match), state(table.match))
    assert [r.paid.get("D") for r in table.rounds] == [
        pytest.approx(sum(turn.values[f"D/{t}"] for t in ("real", "fake", "pair") if f"D/{t}" in turn.values))
        if any(name.startswith("D/") for name in turn.values)
        else None
        for turn in said
    ]


def test_d_then_g_is_one_round() -> None:
    """In this order by name; rounds that are asked for at once are the same, too."""
    named, at_once = Playground(Settings(objective="hinge")), Playground(Settings(objective="hinge"))
    for player in "DGDG":
        assert named.turn(player) == player
    assert at_once.advance(2) == 2
    assert same(state(named.match), state(at_once.match)) and named.match.round == 2 and named.next == "D"


def test_one_turn_moves_one_player() -> None:
    table = Playground(Settings(data="grid"))
    before = state(table.match)
    assert table.next == "D" and table.turn() == "D"
    after_d = state(table.match)
    assert table.next == "G" and table.left == ("G",) and table.match.round == 0 and not table.rounds
    table.turn("G")
    after_g = state(table.match)
    moved = [{n for n in x if not torch.equal(x[n], y[n])} for x, y in ((before, after_d), (after_d, after_g))]
    assert {name.partition("/")[0] for name in moved[0]} <= {"D", "optimiser"} and moved[0]
    assert {name.partition("/")[0] for name in moved[1]} <= {"G", "G-ema", "optimiser"} and moved[1]


def test_an_extra_turn_is_a_round_of_its_own() -> None:
    """D twice, then G: the second D sees another batch, G is still next, and all of it can be done again."""
    found = []
    for _ in range(2):
        table = Playground()
        table.turn("D")
        g = state(table.match)["G/net.last.weight"]
        assert table.turn("D") == "D" and table.next == "G" and table.match.drawn == 2 and table.match.round == 1
        assert torch.equal(g, state(table.match)["G/net.last.weight"])
        table.turn()
        assert table.match.round == 2 and table.match.play.order == ("D", "G")
        found.append(state(table.match))
    assert same(*found)
    with pytest.raises(UsageError, match="no such player"):
        Playground().turn("E")


def test_start_and_a_seed_bring_everything_back() -> None:
    table = Playground(Settings(seed=5))
    first = state(table.match)
    table.advance(3)
    third = state(table.match)
    table.collapse()
    table.turn()
    table.start()
    assert same(first, state(table.match)) and table.match.round == 0 and not table.rounds and table.collapsed is None
    table.advance(3)
    assert same(third, state(table.match))
    assert not same(first, state(Playground(Settings(seed=6)).match))


def test_changing_nothing_changes_nothing() -> None:
    """Settings may change under way: players, averages and optimisers stay; the same settings are no change."""
    one, other = Playground(), Playground()
    one.advance(2)
    other.advance(2)
    other.change(gamma=0.05)
    one.advance(2)
    other.advance(2)
    assert same(state(one.match), state(other.match))
    before = state(other.match)
    other.change(objective="wasserstein", penalty="gp", play="D:2,G:1", lr=1e-4, d_lr=4e-4)
    assert same(before, state(other.match)) and other.match.round == 4
    assert other.match.training.lr_ratio == pytest.approx(4) and other.game.config.penalty == "gp"
    other.advance(1)
    assert other.match.drawn == 4 + 2


def test_an_open_round_is_played_to_its_end_before_a_change() -> None:
    one, other = Playground(), Playground()
    one.turn()
    one.change(lr=1e-3)
    other.round()
    assert same(state(one.match), state(other.match)) and one.next == "D" and one.match.round == 1


def test_what_is_no_setting_is_refused_and_the_game_goes_on() -> None:
    table = Playground()
    table.turn()
    for wrong in ({"objective": "hinges"}, {"play": "E:1"}, {"penalty": "r7"}, {"data": "cats"}, {"gamma": -1.0}):
        with pytest.raises((UsageError, ValueError)):
            table.change(**wrong)
    assert table.turn() == "G" and table.settings == Settings()
    with pytest.raises(UsageError, match="play names"):
        Playground(Settings(play="D:1,F:1"))


@pytest.mark.parametrize("data", ["ring", "swissroll"])
def test_a_collapse_puts_every_sample_at_one_place(data: str) -> None:
    """G(z) becomes c + ρ (G(z) − mean): an affine map of the samples; D and the average do not move."""
    table = Playground(Settings(data=data))
    table.advance(2)
    before, old = state(table.match), table.samples()
    table.collapse()
    new, after = table.samples(), state(table.match)
    assert {n for n in before if not torch.equal(before[n], after[n])} == {"G/net.last.weight", "G/net.last.bias"}
    shrink = float((new - new.mean(0)).norm() / (old - old.mean(0)).norm())
    torch.testing.assert_close(new - new.mean(0), shrink * (old - old.mean(0)), atol=1e-5, rtol=1e-3)
    if data == "ring":
        found = measure(table.dataset, new)
        assert found["modes"] == 1 and found["near"] > 0.99 and found["top"] == pytest.approx(8)
        assert any("collapse" in line.lower() for line in scene(table).said)
    else:
        assert float(torch.cdist(new.mean(0, keepdim=True), table.real()).min()) < 0.05
        assert float((new - new.mean(0)).square().mean().sqrt()) == pytest.approx(0.05, rel=0.05)
    table.advance(2)  # and it can be played on
    assert table.match.round == 4


def test_numbers_that_run_away_end_the_game(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Playground()
    table.turn()

    def lost(*_: object) -> None:
        raise Diverged("NOT-FINITE", "the gradient is not finite", why="D/real = nan")

    monkeypatch.setattr(table.match, "_gradient", lost)
    assert table.turn() == "" and "not finite" in table.trouble
    assert table.advance(5) == 0 and table.turn("D") == ""
    assert "over" in sentences(_sight(trouble=table.trouble))[0]
    table.change(lr=1e-3)  # begins anew
    assert not table.trouble and table.match.round == 0 and table.turn() == "D"


# ── what is seen ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_looking_changes_nothing() -> None:
    table, other = Playground(), Playground()
    for _ in range(2):
        table.turn()
        for field in ("plane", "samples", "none"):
            scene(table, field=field, averaged=field == "none")
        other.turn()
    assert same(state(table.match), state(other.match))


def test_a_scene_has_what_was_asked_for() -> None:
    table = Playground(Settings(data="checkerboard"))
    edge = extent(table)
    plane, there, none = (scene(table, field=field) for field in ("plane", "samples", "none"))
    assert plane.belief.shape == (CELLS, CELLS) and len(plane.arrows) == SIDE**2 and len(none.arrows) == 0
    assert np.array_equal(there.places, there.samples[:FEW]) and len(there.arrows) == FEW
    assert np.linalg.norm(plane.arrows, axis=1).max() <= 2 * edge / SIDE and plane.strong > 0
    expected = table.game.pull(torch.from_numpy(there.samples[:FEW]), table.real()[:1].expand(FEW, 2))
    assert expected.shape == there.arrows.shape
    assert set(plane.measured) == {"energy_distance"}


def test_arrows_are_short_where_nothing_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field a million times weaker has arrows a thousand times shorter than the longest."""
    table = Playground()
    plain = scene(table)
    pull = type(table.game).pull
    monkeypatch.setattr(type(table.game), "pull", lambda game, x, real: 1e-6 * pull(game, x, real))
    weak = scene(table)
    assert weak.strong == pytest.approx(1e-6 * plain.strong, rel=1e-3)
    ratio = np.linalg.norm(weak.arrows) / np.linalg.norm(plain.arrows)
    assert ratio == pytest.approx(math.sqrt(weak.strong / WEAK), rel=1e-2)


def test_samples_near_modes_are_counted() -> None:
    """Of data itself all are near, in fair shares; a sample between two modes is near none."""
    ring = open_data("ring")
    found = measure(ring, torch.from_numpy(ring.train[:4000].copy()))
    assert found["modes"] == 8 and found["near"] == 1 and 0.8 < found["least"] <= found["top"] < 1.2
    assert found["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.01)
    assert radius(ring) == pytest.approx(0.2 * 2 * math.sin(math.pi / 8), rel=1e-5)
    between = torch.tensor((ring.modes[:1] + ring.modes[1:2]) / 2 / ring.scale)
    assert measure(ring, between)["near"] == 0
    assert measure(open_data("swissroll"), torch.full((8, 2), math.nan))["energy_distance"] == math.inf


def test_how_often_d_finds_the_real_one() -> None:
    """Of all pairs; a tie is a guess. Whatever is added to s, or by which it is multiplied, it is the same."""
    table = Playground()
    one, other = torch.zeros(2, 2), torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    s, t = table.game.score(one), table.game.score(other)
    by_hand = [1.0 if a > b else 0.5 if a == b else 0.0 for a in s.tolist() for b in t.tolist()]
    assert ranked(table.game, one, other) == pytest.approx(sum(by_hand) / 6)
    assert ranked(table.game, other, one) == pytest.approx(1 - sum(by_hand) / 6)
    assert ranked(table.game, one, one) == 0.5


def test_a_frame_is_plain_and_small() -> None:
    table = Playground()
    table.advance(3)
    said, fixed = frame(table, scene(table), since=1), about(table)
    text = json.dumps({"frame": said, "about": fixed}, allow_nan=False)
    assert len(text) < 32_000
    assert [row[0] for row in said["rounds"]] == [2, 3] and said["round"] == 3 and said["turn"] == "D"
    assert len(base64.b64decode(said["belief"])) == CELLS**2
    assert len(base64.b64decode(said["samples"])) == len(base64.b64decode(fixed["real"])) == 4 * SAMPLES
    assert said["outside"] <= said["samples_drawn"] == SAMPLES
    assert fixed["levels"]["D"] == pytest.approx(math.log(2)) and fixed["belief"] == "σ(s − median)"
    values = np.frombuffer(base64.b64decode(packed(np.array([[0.5, math.nan], [math.inf, -9]]), 1.0)), "<i2")
    assert values.tolist() == [16384, 32767, 32767, -32767]


def test_many_rounds_are_told_thinned_out_with_the_last_one() -> None:
    table = Playground()
    table.rounds.extend(Round(k, {"D": 1.0}, {}) for k in range(1, 2002))
    rows = frame(table, scene(table, field="none"))["rounds"]
    assert len(rows) <= 600 and rows[-1][0] == 2001 and rows == sorted(rows)
    assert rows[0][1:] == [1.0, None, None, None]


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sight(**changes: object) -> Sight:
    fine = {"modes": 8.0, "near": 0.9, "top": 1.2, "least": 0.8, "high_quality": 0.5}
    values: dict[str, object] = {"measured": fine, "modes": 8, "right": 0.5, "strength": 1.0, "round": 100}
    return Sight(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        ({"near": 0.1}, "not where the data are"),
        ({"top": 7.9, "modes": 1.0}, "Mode collapse"),
        ({"modes": 5.0, "least": 0.0}, "5 of the 8"),
        ({"least": 0.1}, "only 10% of its due"),
        ({"near": 0.5}, "the others lie between"),
        ({}, "about evenly"),
    ],
)
def test_what_is_said_of_g(measured: dict[str, float], says: str) -> None:
    assert says in of_g(_sight(measured={**_sight().measured, **measured}))


@pytest.mark.parametrize(
    ("distance", "says"), [(0.001, "hardly be told"), (0.02, "shape of the data, not"), (1.0, "do not have the shape")]
)
def test_what_is_said_of_shapes(distance: float, says: str) -> None:
    assert says in of_g(_sight(measured={"energy_distance": distance}, modes=0))


@pytest.mark.parametrize(("right", "says"), [(0.99, "sure"), (0.8, "80%"), (0.5, "only guess"), (0.3, "must follow")])
def test_what_is_said_of_d(right: float, says: str) -> None:
    assert says in of_d(_sight(right=right))


def test_what_follows() -> None:
    assert "equilibrium" in sentences(_sight())[-1]
    assert "nothing draws G" in sentences(_sight(right=0.99, strength=0.001))[-1]
    assert "just now" in sentences(_sight(collapsed=100))[-1]
    assert "40 rounds ago; all modes are back" in sentences(_sight(collapsed=60))[-1]
    assert "equilibrium" in sentences(_sight(collapsed=60, round=1061))[-1]
    one = {**_sight().measured, "modes": 1.0}
    assert "no other mode" in sentences(_sight(collapsed=99, measured=one))[-1]
    few = {**_sight().measured, "modes": 3.0}
    assert "1 round ago; 3 of 8" in sentences(_sight(collapsed=99, measured=few))[-1]
    assert len(sentences(_sight(right=0.8))) == 2
