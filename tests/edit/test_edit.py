"""Laws of edits: strength 0 is nothing, a wish comes nearer, what it costs is bounded, channels keep to themselves."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.contract.check_game import (
    every_weight_is_taught_by_its_own_player_alone,
    looking_changes_nothing,
    pieces_are_the_batch,
    stopping_and_going_on_changes_nothing,
    terms_are_unreduced_and_weighed,
)
from tests.edit.stand_ins import GAMES, Colours, Linear, Styles, run_of

from sparring.chance import Dice
from sparring.edit import direction, mapper, ramp
from sparring.edit.coordinates import coordinates
from sparring.edit.editing import METHODS, Editing
from sparring.edit.invert import invert
from sparring.edit.wish import Judge, Wish, pixels
from sparring.errors import UsageError
from sparring.recipes.dualencoder import DualEncoderGame, DualEncoderGameConfig
from sparring.runs.scorer import DualScorer, in_colour
from sparring.train.game import seeded
from sparring.types import Space

STEPS = {"optimise": 30, "mapper": 40, "direction": None}


def editing_of(kind: str = "styles", scorer: Any = None, home: Path | None = None, **how: Any) -> Editing:
    run = run_of(kind, home or Path("nowhere"))
    return Editing(run, scorer or Colours(), pixels, keep=home is not None, **how)


# ── what an edit is ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", GAMES)
def test_a_wish_comes_nearer_and_strength_0_stays(kind: str, method: Any) -> None:
    editing = editing_of(kind)
    codes = editing.start(3, range(4))
    z = editing.run.game.latents(Dice(3, "sample", range(4)))
    made = editing.run.game.decode(z, torch.zeros(4)) if kind == "told" else editing.run.game.decode(z)
    still = editing.edit(codes, Wish("red", strength=0), method, steps=STEPS[method])
    assert torch.equal(still.before, made.clamp(-1, 1))  # sample k of the seed
    assert torch.equal(still.after, still.before)
    assert float(still.identity.abs().max()) == 0 and torch.equal(still.codes, codes)
    found = editing.edit(codes, Wish("red", identity=0, l2=0), method, steps=STEPS[method], beta=0.1)
    before, after = found.similarity
    assert float((after - before).mean()) > 0.1, (before, after)
    assert bool((after > before - 0.02).all())
    back = editing.edit(codes, Wish("red", "blue", identity=0, l2=0), method, steps=STEPS[method], beta=0.1)
    blue = [editing.scorer.similarity(x, ["blue"]).mean() for x in (back.before, back.after)]
    assert float(blue[1]) < float(blue[0])


def test_what_it_costs_bounds_the_change() -> None:
    """The dearer another picture is, the less it becomes one; so with the length of the move."""
    editing = editing_of()
    codes = editing.start(0, range(4))
    far = [float(editing.edit(codes, Wish("green", identity=weight, l2=0)).identity.mean()) for weight in (0, 3, 300)]
    assert far[0] > 1.5 * far[1] > 3 * far[2] > 0
    moved = []
    for weight in (0.0, 0.05, 5.0):
        found = editing.edit(codes, Wish("green", identity=0, l2=weight), steps=60)
        moved.append(float((found.codes - codes).norm()))
    assert moved[0] > 1.2 * moved[1] > 2 * moved[2] > 0


def test_strength_goes_along_a_line() -> None:
    editing = editing_of()
    codes = editing.start(0)
    half, whole, more = (editing.edit(codes, Wish("red", strength=a), steps=10).codes - codes for a in (0.5, 1, 2))
    torch.testing.assert_close(2 * half, whole)
    torch.testing.assert_close(2 * whole, more)


def test_pictures_are_edited_as_if_alone() -> None:
    editing = editing_of("plain")
    codes = editing.start(0, range(3))
    for method in ("optimise", "direction"):
        many = editing.edit(codes, Wish("red"), method, steps=5)  # type: ignore[arg-type]
        one = editing.edit(codes[1:2], Wish("red"), method, steps=5)  # type: ignore[arg-type]
        torch.testing.assert_close(one.after, many.after[1:2], rtol=1e-4, atol=1e-5)


def test_wishes_and_spaces_that_make_no_sense_are_refused() -> None:
    for wrong in ({"text": " "}, {"text": "a", "neutral": "a"}, {"text": "a", "strength": 99.0}):
        with pytest.raises(UsageError, match=r"EDIT-TEXT|EDIT-STRENGTH"):
            Wish(**wrong)  # type: ignore[arg-type]
    for space, kind in (("w+", "plain"), ("x", "styles")):
        with pytest.raises(UsageError, match="EDIT-SPACE"):
            editing_of(kind, space=space)
    with pytest.raises(UsageError, match="EDIT-CANNOT"):
        coordinates(torch.nn.Linear(1, 1))
    editing = editing_of()
    with pytest.raises(UsageError, match="EDIT-METHOD"):
        editing.edit(editing.start(), Wish("red"), "magic")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="EDIT-BETA"):
        editing.edit(editing.start(), Wish("red"), "direction", beta=2.0)
    with pytest.raises(UsageError, match="EDIT-STEPS"):
        editing.edit(editing.start(), Wish("red"), steps=0)


# ── where codes lie ───────────────────────────────────────────────────────────────────────────────────────────────


def test_spaces_of_a_generator_with_styles_agree() -> None:
    game = Styles()
    z = game.latents(Dice(0, "sample", range(3)))
    for space, levels in (("z", 1), ("w", 1), ("w+", 3), ("auto", 3)):
        at = coordinates(game, space)
        codes = at.start(0, range(3))
        assert codes.shape[:2] == (3, levels) and at.levels == levels
        torch.testing.assert_close(at.image(codes), game.decode(z))
        assert torch.equal(at.image_of(at.channels(codes)), at.image(codes))
        many = at.start(5, range(2000))
        torch.testing.assert_close(many.std((0, 1)), at.spread, rtol=0.1, atol=0)


def test_codes_stay_where_pictures_can_be_made_of_them() -> None:
    """A normal latent in its ball, one of a sphere on it; what has not moved stays, bit for bit."""
    for kind, radius in (("plain", 12**0.5), ("sphere", 1.0)):
        at = editing_of(kind).coordinates
        start = at.start(0, range(20))
        assert torch.equal(at.near(start, start), start)
        norms = at.near(start + 5, start).norm(dim=2)
        most = start.norm(dim=2).clamp_min(radius)
        torch.testing.assert_close(norms, most)


# ── channels ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_effects_of_channels_are_those_of_a_linear_generator() -> None:
    """Of a picture that is linear in its channels, the mean colour that one of them adds, times its spread."""
    at = editing_of().coordinates
    table = direction.measure(at, Linear(), samples=2)
    game = at.game
    expected = game.paint.mean((2, 3)) * table.spread[:, None]
    torch.testing.assert_close(table.effects[:, :3], expected, rtol=1e-4, atol=1e-6)
    assert table.widths == Styles.widths and float(table.effects[:, 3].abs().max()) == 0
    wanted = torch.tensor([0.6, 0.0, -0.8, 0.0])
    relevance = table.relevance(wanted)
    lengths = expected.norm(dim=1)
    cosine = (expected @ wanted[:3]) / (lengths + lengths.median())
    torch.testing.assert_close(relevance, cosine / cosine.abs().max())
    assert float(relevance.abs().max()) == pytest.approx(1)


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.7, 1.0])
def test_channels_that_say_nothing_of_it_stay_bit_for_bit(beta: float) -> None:
    editing = editing_of()
    at, wanted = editing.coordinates, Wish("red").direction(editing.scorer)
    codes = editing.start(1, range(3))
    _, after = direction.moved(at, editing.table, codes, wanted, 1.7, beta)
    before, after = torch.cat(at.channels(codes), 1), torch.cat(after, 1)
    quiet = editing.table.relevance(wanted).abs() < beta
    assert torch.equal(before[:, quiet], after[:, quiet]) and bool((before != after)[:, ~quiet].all())
    assert int((~quiet).sum()) > 0 and (beta == 0) == (int(quiet.sum()) == 0)
    moves = after - before
    torch.testing.assert_close(moves, moves[:1].expand_as(moves))  # the same for every picture
    turned = moves[0] / editing.table.spread
    torch.testing.assert_close(turned / turned.abs().max(), editing.table.turned(wanted, beta), rtol=1e-3, atol=1e-5)


# ── the mapper ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mapper_is_a_game() -> None:
    editing = editing_of()
    judge = Judge(Wish("red"), editing.coordinates, editing.scorer, editing.distance)

    def match(**changes: Any) -> Any:
        return mapper.match(judge, rounds=9, **changes)

    for law in (terms_are_unreduced_and_weighed, looking_changes_nothing,
                every_weight_is_taught_by_its_own_player_alone):  # fmt: skip
        law(match())
    pieces_are_the_batch(match(), match(micro_batches=2))
    stopping_and_going_on_changes_nothing(match)
    assert set(match().tensors()) == {"M", "M-ema", "optimiser"}  # neither generator nor scorer is saved
    stream = mapper.Codes(judge)
    whole = stream.take(0, 8).x
    assert torch.equal(torch.cat([stream.take(0, 3).x, stream.take(3, 5).x]), whole)


def test_levels_move_their_own_layers() -> None:
    net = seeded(0, lambda: mapper.Mapper(10, 4))
    u = torch.randn(2, 10, 4)
    said = net(u)
    for name, (first, last) in mapper.LEVELS.items():
        moved = u.clone()
        moved[:, first:last] += 1
        changed = (net(moved) != said).any(2)[0]
        assert changed[first:last].all() and int(changed.sum()) == len(range(10)[first:last]), name


def test_what_was_learnt_of_a_text_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second edit with a text trains and measures nothing, whoever asks; another text does."""
    first = editing_of(home=tmp_path)
    codes = first.start(0, range(2))
    made = {method: first.edit(codes, Wish("red"), method, steps=STEPS[method]) for method in METHODS}
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "edits").iterdir()) == ["channels", "mapper"]
    monkeypatch.setattr(mapper, "train", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(direction, "measure", lambda *_, **__: pytest.fail("measured again"))
    again = editing_of(home=tmp_path)
    for method in ("mapper", "direction"):
        found = again.edit(codes, Wish("red", strength=1.0), method, steps=STEPS[method])  # type: ignore[arg-type]
        torch.testing.assert_close(found.after, made[method].after)  # type: ignore[index]
    again.edit(codes, Wish("red", strength=2.0), "mapper", steps=STEPS["mapper"])  # another strength is no other text
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        again.edit(codes, Wish("blue"), "mapper", steps=STEPS["mapper"])


# ── inversion ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("kind", "space"), [("styles", "w+"), ("styles", "w"), ("plain", "z"), ("sphere", "z")])
def test_pictures_of_the_generator_are_found_again(kind: str, space: str) -> None:
    at = coordinates(run_of(kind).game, space)
    target = at.image(at.start(11, range(2)))
    found = invert(at, target, pixels, steps=150, candidates=20)
    assert bool((found.distance < 0.1 * found.start_distance).all()), (found.distance, found.start_distance)
    torch.testing.assert_close(found.images, at.image(found.codes))
    blind = invert(at, target, pixels, steps=1, candidates=0)
    assert bool((found.start_distance <= blind.start_distance + 1e-6).all())  # the best of some is no worse
    assert bool((blind.distance <= blind.start_distance + 1e-6).all())  # and what is found never is


def test_the_ramps_are_those_of_the_paper() -> None:
    steps = [ramp.step_size(k / 1000) for k in range(1001)]
    assert steps[0] == 0 == pytest.approx(steps[1000]) and max(steps) == 0.1
    assert steps[25] == pytest.approx(0.05) and {*steps[50:751]} == {0.1} and steps[875] == pytest.approx(0.05)
    noise = [ramp.noise(k / 1000) for k in range(1001)]
    assert noise[0] == 0.05 and noise[375] == pytest.approx(0.0125) and max(noise[750:]) == 0
    assert all(a >= b for a, b in pairwise(noise))


# ── who says what fits ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 16), (4, 16, 20)])
def test_a_run_scores_pictures_of_any_size_and_kind(shape: tuple[int, ...]) -> None:
    config = DualEncoderGameConfig(reader="words", width=4, d=8)
    game = seeded(0, lambda: DualEncoderGame.build(config, Space(shape, captions=True)))
    scorer = DualScorer(game.eval().requires_grad_(False), shape)
    x = (torch.rand(3, 3, 24, 24) * 2 - 1).requires_grad_()
    said = scorer.similarity(x, ["a cat", "a dog"])
    assert said.shape == (3, 2) and float(said.detach().abs().max()) <= 1 + 1e-6
    (slope,) = torch.autograd.grad(said[:, 0].sum(), x)
    assert bool((slope.flatten(1).abs().sum(1) > 0).all()) and bool(slope.isfinite().all())
    torch.testing.assert_close(scorer.similarity(x[1:2], ["a dog"]), said[1:2, 1:], rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="SCORER-CANNOT"):
        DualScorer(Styles(), shape)


def test_every_picture_is_seen_in_colour() -> None:
    grey = torch.rand(2, 1, 4, 4)
    assert torch.equal(in_colour(grey), grey.expand(2, 3, 4, 4)) and in_colour(torch.zeros(1, 3, 2, 2)).shape[1] == 3
    glass = torch.cat([torch.rand(2, 3, 4, 4), torch.full((2, 1, 4, 4), -1.0)], 1)
    assert torch.equal(in_colour(glass), torch.ones(2, 3, 4, 4))
    glass[:, 3] = 1
    assert torch.equal(in_colour(glass), glass[:, :3])
