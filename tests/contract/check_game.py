"""What every game must keep, whatever it plays: one function, for the games here and for anybody's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from sparring.chance import Dice
from sparring.contest import Contest
from sparring.train.engine import Engine
from sparring.train.game import Game, seeded
from sparring.train.match import Match
from sparring.train.turn import only
from sparring.types import (
    Classifies,
    Criticises,
    HasLatents,
    HasLatentsByClass,
    HasLatentsByText,
    Samples,
    SamplesByClass,
    SamplesByText,
    Segments,
    Space,
    Stream,
    Translates,
)

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def check_game(
    cls: type[Game], space: Space | tuple[int, ...], stream: Stream, *, coupled: bool = False, **settings: Any
) -> None:
    """Every law below, on a small game of `cls` with `settings`.

    space: of the data, or its shape where that is all.   stream: gives it, uint8 for images, with labels and captions
    where the game needs them.   coupled: samples of a batch influence each other (batch normalisation), so that pieces
    of a batch are not the batch.
    """
    space = space if isinstance(space, Space) else Space(space)

    def match(**changes: Any) -> Match:
        config = cls.Config(**({"batch": 8} | settings | changes))
        game = seeded(0, lambda: cls.build(config, space))
        return Match(game, stream, Engine(torch.device("cpu"), memory_format=LAYOUTS[config.memory_format]), config,
                     seed=0, horizon=400)  # fmt: skip

    what_it_needs_is_there(cls, space, stream)
    players_share_no_parameter(match().game)
    terms_are_unreduced_and_weighed(match())
    looking_changes_nothing(match())
    every_weight_is_taught_by_its_own_player_alone(match())
    if not coupled:
        pieces_are_the_batch(match(), match(micro_batches=2))
    stopping_and_going_on_changes_nothing(match)
    sampling_does_not_depend_on_the_batch(match().game, space.shape)
    if issubclass(cls, Translates):
        an_image_is_translated_as_if_it_were_alone(match().game, space)
    if issubclass(cls, Classifies):
        classes_do_not_depend_on_the_batch(match().game, space, stream)
    if issubclass(cls, Segments):
        pixels_do_not_depend_on_the_batch(match().game, space, stream)
    if issubclass(cls, SamplesByClass):
        samples_are_of_the_class_asked_for(match().game, space)


def what_it_needs_is_there(cls: type[Game], space: Space, stream: Stream) -> None:
    """The stream brings what the game says it needs, whole, and nothing that `space` does not announce."""
    assert cls.needs <= {"label", "text", "pair", "unpaired", "legend"}, f"{cls.__name__} needs what no batch brings"
    batch = stream.take(3, 6)
    assert tuple(batch.x.shape) == (6, *space.shape)
    if "label" in cls.needs:
        assert space.classes and batch.label is not None
        assert batch.label.shape == (6,) and batch.label.dtype == torch.int64
        assert int(batch.label.min()) >= 0 and int(batch.label.max()) < space.classes
    if cls.needs & {"pair", "unpaired"}:
        assert space.condition is not None and batch.condition is not None
        assert tuple(batch.condition.shape) == (6, *space.condition)
    if "legend" in cls.needs:
        assert len(space.legend) == space.shape[0]
    if "text" in cls.needs:
        assert space.captions and batch.text is not None and len(batch.text) == 6


def players_share_no_parameter(game: Game) -> None:
    owners: dict[int, str] = {}
    for name, player in game.players.items():
        for parameter in player.parameters():
            assert owners.setdefault(id(parameter), name) == name, f"{name} and {owners[id(parameter)]} share a weight"
    assert set(game.averaged) <= set(game.players)
    assert game.owner is None or game.owner in game.players


def terms_are_unreduced_and_weighed(match: Match) -> None:
    """Every term says what each sample pays, is finite, and what is weighed is paid."""
    game, hand = match.game, match._deal(turn=0)
    for turn, player in enumerate(game.players):
        with only(game, game.players[player]):
            for piece in hand.pieces(player, turn):
                terms = game.losses(player, piece.batch, piece.shared, piece.now)
                weights = game.weights(player, terms, piece.now)
                assert weights and set(weights) <= set(terms), player
                rows = len(piece.batch) // (game.config.packing if isinstance(game, Contest) else 1)  # samples or packs
                for name, term in terms.items():
                    assert term.dim() >= 1 and len(term) in (rows, 2 * rows), f"{player}/{name} is reduced"
                    assert bool(term.isfinite().all()), f"{player}/{name}"
                assert any(terms[name].requires_grad for name in weights), f"{player} pays nothing it could lower"


def looking_changes_nothing(match: Match) -> None:
    """`losses` has no side effects: asked twice with the same dice it says the same, and nothing has moved."""
    game, hand = match.game, match._deal(turn=0)
    game.eval()  # batch normalisation keeps running statistics while it trains: torch's, not the game's
    before = _copy(match.tensors())
    for turn, player in enumerate(game.players):
        said = []
        for _ in range(2):
            with only(game, game.players[player]):
                for piece in hand.pieces(player, turn):
                    said.append(game.losses(player, piece.batch, piece.shared, piece.now))
        for name in said[0]:
            torch.testing.assert_close(said[0][name], said[1][name], rtol=0, atol=0, msg=f"{player}/{name}")
    _equal(before, match.tensors())


def every_weight_is_taught_by_its_own_player_alone(match: Match) -> None:
    for player, module in match.game.players.items():
        for parameter in match.game.parameters():
            parameter.grad = None
        match._gradient(player, match._deal(turn=0), turn=0)
        mine = {id(p) for p in module.parameters()}
        for name, parameter in match.game.named_parameters():
            if id(parameter) in mine:
                assert parameter.grad is not None, f"{player} does not teach {name}"
            else:
                assert parameter.grad is None, f"{player} teaches {name}, which is not its own"


def pieces_are_the_batch(whole: Match, parts: Match) -> None:
    """Micro-batches change memory, not gradients."""
    for player in whole.game.players:
        for match in (whole, parts):
            match._gradient(player, match._deal(turn=0), turn=0)
        for (name, a), (_, b) in zip(_gradients(whole, player), _gradients(parts, player), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5 * float(a.abs().max()) + 1e-8, msg=f"{player}/{name}")


def stopping_and_going_on_changes_nothing(match: Any) -> None:
    """What is remembered is state: three rounds, a save and three rounds are six rounds, bit for bit."""
    through = match()
    for _ in range(3):
        through.step()
    files, state = _copy(through.tensors()), through.state()
    again = match()
    again.load(files, state)
    for _ in range(3):
        through.step()
        again.step()
    _equal(through.tensors(), again.tensors())


def sampling_does_not_depend_on_the_batch(game: Game, shape: tuple[int, ...]) -> None:
    game.eval().requires_grad_(False)
    if isinstance(game, Samples):
        many = game.sample(Dice(0, "samples", range(6)))
        assert tuple(many.shape) == (6, *shape) and bool(many.isfinite().all())
        few = game.sample(Dice(0, "samples", range(2, 4)))
        torch.testing.assert_close(few, many[2:4], rtol=1e-4, atol=1e-5)
    if isinstance(game, HasLatents):
        z = game.latents(Dice(0, "z", range(4)))
        assert z.shape[0] == 4 and tuple(game.decode(z).shape) == (4, *shape)
    if isinstance(game, HasLatentsByText) and isinstance(game, SamplesByText):
        dice, texts = Dice(0, "samples", range(4)), [f"text {k}" for k in range(4)]
        told = game.decode(game.latents(dice), texts)
        torch.testing.assert_close(told, game.sample(dice, text=texts), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(game.decode(game.latents(dice)), game.sample(dice), rtol=1e-4, atol=1e-5)
    if isinstance(game, Criticises):
        assert game.relative in (True, False)


def an_image_is_translated_as_if_it_were_alone(game: Game, space: Space) -> None:
    """With noise and without, while it trains and in use; images of other sides than the data's will do."""
    assert isinstance(game, Translates) and space.condition is not None
    sides = [game.stride * -(-side // game.stride) for side in space.shape[1:]]
    game.requires_grad_(False)
    for height, width in (sides, (sides[0], 2 * sides[1])):
        x = Dice(0, "given", range(4)).uniform(space.condition[0], height, width) * 2 - 1
        for training, noisy in ((True, False), (True, True), (False, False), (False, True)):
            game.train(training)
            many = game.translate(x, Dice(1, "noise", range(4)) if noisy else None)
            assert tuple(many.shape) == (4, space.shape[0], height, width) and float(many.abs().max()) <= 1
            few = game.translate(x[1:3], Dice(1, "noise", range(1, 3)) if noisy else None)
            torch.testing.assert_close(few, many[1:3], rtol=1e-4, atol=1e-5)


def classes_do_not_depend_on_the_batch(game: Game, space: Space, stream: Stream) -> None:
    """Logits of every class, and the features that they are an affine function of, image by image."""
    assert isinstance(game, Classifies) and space.classes > 1
    game.eval().requires_grad_(False)
    x = stream.take(0, 40).x.float() / 127.5 - 1.0 if len(space.shape) == 3 else stream.take(0, 40).x
    logits, features = game.classify(x), game.embed(x)
    assert tuple(logits.shape) == (40, space.classes) and logits.dtype == features.dtype == torch.float32
    assert features.dim() == 2 and bool(logits.isfinite().all()) and bool(features.isfinite().all())
    for said, alone in ((logits, game.classify(x[7:9])), (features, game.embed(x[7:9]))):
        torch.testing.assert_close(alone, said[7:9], rtol=1e-4, atol=1e-5)
    affine = torch.cat([features, torch.ones(40, 1)], 1).double()
    found = affine @ torch.linalg.lstsq(affine, logits.double(), driver="gelsd").solution
    torch.testing.assert_close(found.float(), logits, rtol=1e-3, atol=1e-3 * float(logits.abs().max()))


def pixels_do_not_depend_on_the_batch(game: Game, space: Space, stream: Stream) -> None:
    """Logits of every class at every pixel, image by image, of images of any size."""
    assert isinstance(game, Segments)
    game.eval().requires_grad_(False)
    photos = stream.take(0, 4).condition
    assert photos is not None
    x = photos.float() / 127.5 - 1.0
    for seen in (x, x[:, :, :-3, :-1]):
        logits = game.segment(seen)
        assert tuple(logits.shape) == (4, space.shape[0], *seen.shape[2:]) and logits.dtype == torch.float32
        assert bool(logits.isfinite().all())
        torch.testing.assert_close(game.segment(seen[1:2]), logits[1:2], rtol=1e-4, atol=1e-5)


def samples_are_of_the_class_asked_for(game: Game, space: Space) -> None:
    """A class is a function of the label given, sample by sample; without one sample k is of class k mod classes."""
    assert isinstance(game, SamplesByClass) and space.classes > 1
    game.eval().requires_grad_(False)
    label = torch.arange(6) % space.classes
    many = game.sample(Dice(0, "samples", range(6)), label=label)
    assert tuple(many.shape) == (6, *space.shape) and bool(many.isfinite().all())
    few = game.sample(Dice(0, "samples", range(2, 4)), label=label[2:4])
    torch.testing.assert_close(few, many[2:4], rtol=1e-4, atol=1e-5)
    other = game.sample(Dice(0, "samples", range(6)), label=(label + 1) % space.classes)
    assert not torch.equal(other, many), "the label changes nothing"
    every = game.sample(Dice(0, "samples", range(6)))
    torch.testing.assert_close(
        every, many, rtol=1e-4, atol=1e-5, msg="without a label sample k is not of class k mod K"
    )
    if isinstance(game, HasLatentsByClass):
        z = game.latents(Dice(0, "samples", range(6)))
        torch.testing.assert_close(game.decode(z, label), many, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(game.decode(z), many, rtol=1e-4, atol=1e-5)


def _gradients(match: Match, player: str) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in match.game.players[player].named_parameters():
        assert parameter.grad is not None
        yield name, parameter.grad


Files = Mapping[str, Mapping[str, Tensor]]


def _copy(files: Files) -> dict[str, dict[str, Tensor]]:
    return {stem: {name: t.detach().clone() for name, t in tensors.items()} for stem, tensors in files.items()}


def _equal(a: Files, b: Files) -> None:
    assert a.keys() == b.keys()
    for stem in a:
        for name, tensor in a[stem].items():
            assert torch.equal(tensor, b[stem][name]), f"{stem}/{name}"
