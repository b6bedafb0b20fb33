"""Labels and captions: every player meets those of its own samples, on every path through the engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.contract.check_game import check_game
from tests.train.arena import copied, digest, gradients
from tests.train.conditional import SPACE, Labelled, Told, captions_of, class_of, told_match

from sparring.data import Dataset, Prefetch, open_data, stream_of
from sparring.train.checkpoint import Store
from sparring.train.engine import Engine
from sparring.train.loop import Loop, Pace
from sparring.types import Batch, Done


def test_it_is_a_game() -> None:
    check_game(Told, SPACE, Labelled(), batch=8, width=8)


def test_a_batch_changes_its_tensors_and_keeps_its_captions() -> None:
    batch = Labelled().take(3, 4)
    placed = Engine(torch.device("cpu"), memory_format=torch.channels_last).place(batch)
    assert placed.text == batch.text and len(placed) == 4
    assert placed.x.dtype == torch.float32 and placed.label is not None and batch.label is not None
    assert torch.equal(placed.label, batch.label)
    moved = Engine(torch.device("meta")).place(batch)  # every tensor goes to the device, no caption does
    assert moved.label is not None and moved.label.is_meta and moved.x.is_meta and moved.text == batch.text
    plain = Batch(batch.x).map(torch.Tensor.double)
    assert plain.x.dtype == torch.float64 and plain.label is None and plain.text is None


@pytest.mark.parametrize("play", ["D:1,G:1", "D:2,G:1", "D:1,G:2", "simultaneous", "gated(D<2)", "either-or"])
@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_what_is_told_belongs_to_what_is_shown(play: str, pieces: int) -> None:
    """`Told` checks every batch that it meets: in `shared`, `losses`, `after` and, in gated play, `logits`."""
    match = told_match(play=play, micro_batches=pieces)
    game = match.game
    assert isinstance(game, Told)
    for _ in range(6):
        match.step()
    assert {"shared", "after"} <= set(game.met) and {"D", "G"} & set(game.met)
    assert ("logits" in game.met) == (play in ("gated(D<2)", "either-or"))
    assert int(game.seen.sum()) == 8 * game.met.count("after") // pieces


@pytest.mark.parametrize("player", ["D", "G"])
def test_pieces_have_the_gradient_of_the_batch(player: str) -> None:
    """A loss that depends on labels and captions: 1, 2, 4 and 8 pieces have the same gradient."""
    found = {}
    for pieces in (1, 2, 4, 8):
        match = told_match(micro_batches=pieces)
        means = match._gradient(player, match._deal(0), turn=0)
        found[pieces] = gradients(match.game.players[player]) | {"fake": means[f"{player}/fake"]}
    for pieces, tensors in found.items():
        for name, tensor in tensors.items():
            torch.testing.assert_close(tensor, found[1][name], rtol=1e-5, atol=1e-7, msg=f"{name} in {pieces} pieces")
    shifted = told_match()
    hand = shifted._deal(0)
    assert isinstance(shifted.game, Told)
    shifted.game.check = lambda batch, where: ((batch.label + 1) % 5, torch.ones(8))  # type: ignore[method-assign]
    shifted._gradient(player, hand, turn=0)
    other = gradients(shifted.game.players[player])
    assert any(not torch.allclose(other[name], found[1][name], rtol=1e-2) for name in other), "labels do not matter"


@pytest.mark.parametrize("size", [1, 2, 4])
def test_each_process_is_told_of_its_own_samples(size: int) -> None:
    """The parts of 1, 2 and 4 processes, joined: the same images, labels and captions in the same order."""
    labels: list[torch.Tensor] = []
    texts: list[str] = []
    for rank in range(size):
        match = told_match(engine=Engine(torch.device("cpu"), rank=rank, size=size))
        for batch in match._deal(0).batches:
            assert batch.label is not None and batch.text is not None
            labels.append(batch.label)
            texts += batch.text
    rows = torch.arange(8) * 7 % 40
    assert torch.equal(torch.cat(labels), class_of(rows)) and tuple(texts) == captions_of(rows)


@pytest.mark.parametrize("play", ["D:1,G:1", "D:2,G:1"])
def test_stopped_and_resumed_is_never_stopped(play: str, tmp_path: Path) -> None:
    """Through files: tensors, what `after` has counted, and every label still to come."""

    def loop(folder: Path, init: int) -> Loop:
        match = told_match(init=init, play=play)
        return Loop(match, total=160, pace=Pace(log=16, save_seconds=1e9, saves=(80,)), store=Store(folder))

    whole = loop(tmp_path / "whole", 0)
    assert list(whole)[-1] == Done(160, "budget")
    first = loop(tmp_path / "parts", 0)
    for event in first:
        if event.images >= 48:
            first.stop()
    again = loop(tmp_path / "parts", 99)
    newest = Store(tmp_path / "parts").newest()
    assert newest is not None and 0 < newest.images < 160
    again.load(newest)
    assert list(again)[-1] == Done(160, "budget")
    assert digest(again.match.tensors()) == digest(whole.match.tensors())
    assert isinstance(whole.match.game, Told) and int(whole.match.game.seen.sum()) > 0


def test_loading_gives_back_what_was_counted() -> None:
    match, other = told_match(), told_match(init=3)
    for _ in range(4):
        match.step()
    other.load(copied(match.tensors()), match.state())
    match.step(), other.step()
    assert digest(other.tensors()) == digest(match.tensors())


@pytest.fixture(scope="module")
def ring() -> Dataset:
    """The ring with the number of the nearest mode as the label of each point."""
    ring = open_data("ring")
    assert ring.modes is not None
    train = np.asarray(ring.train)
    labels = ((train[:, None] * ring.scale - ring.modes[None]) ** 2).sum(-1).argmin(1).astype(np.int64)
    return dataclasses.replace(ring, labels=labels)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_label_of_a_point_is_its_mode_wherever_it_is_taken(ring: Dataset, workers: int) -> None:
    assert ring.modes is not None
    modes = torch.from_numpy(ring.modes / ring.scale).float()
    with Prefetch(stream_of(ring, 3), workers) as stream:
        for start, count in ((0, 64), (99_990, 20), (10**9 + 7, 33)):
            batch = stream.take(start, count)
            assert batch.label is not None
            assert torch.equal(torch.cdist(batch.x, modes).argmin(1), batch.label)
