"""The image pool: filled first, each image leaves once, half of the time; it belongs to no piece and no process."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparring.chance import Dice, permutation
from sparring.networks.pool import ImagePool

SHAPE = (1, 1, 1)


def numbered(samples: range) -> Tensor:
    """Image k holds the number k + 1 (0 is what an empty place holds)."""
    return torch.tensor([float(k + 1) for k in samples]).view(-1, *SHAPE)


def played(size: int, batch: int, rounds: int, pieces: int = 1, seed: int = 0) -> tuple[ImagePool, list[list[float]]]:
    """What is shown in each round, and the pool at the end."""
    pool, shown = ImagePool(size, SHAPE), []
    for t in range(rounds):
        places = torch.from_numpy(permutation(seed, "places", t, size)[:batch])
        each = batch // pieces
        parts = [range(t * batch + i * each, t * batch + (i + 1) * each) for i in range(pieces)]
        dice = [Dice(seed, "pool", part, (t,)) for part in parts]
        before = pool.images.clone()
        row: list[float] = []
        for part, throw in zip(parts, dice, strict=True):
            row += pool.shown(numbered(part), throw, places, batch).flatten().tolist()
        assert torch.equal(before, pool.images)  # looking changes nothing
        for i, (part, throw) in enumerate(zip(parts, dice, strict=True)):
            pool.take(numbered(part), throw, places, batch, first=i == 0)
        shown.append(row)
    return pool, shown


@pytest.mark.parametrize("batch", [1, 4])
def test_it_is_filled_first(batch: int) -> None:
    pool, shown = played(8, batch, 8 // batch)
    assert [k for row in shown for k in row] == [k + 1 for k in range(8)]
    assert pool.images.flatten().tolist() == [k + 1 for k in range(8)] and pool.filled(batch) == 8


@pytest.mark.parametrize(("size", "batch"), [(5, 1), (8, 3), (6, 6)])
def test_each_image_that_is_kept_leaves_exactly_once(size: int, batch: int) -> None:
    """Of the first ones, which are shown when they come, that is the second time; all others are shown at once, or kept
    and shown later, once."""
    rounds = 400
    pool, shown = played(size, batch, rounds)
    times: dict[float, int] = {}
    for row in shown:
        for k in row:
            times[k] = times.get(k, 0) + 1
    kept = set(pool.images.flatten().tolist())
    assert len(kept) == size
    first = set(range(1, size + 1))
    for number in range(1, rounds * batch + 1):
        expected = 1 + (number in first) - (number in kept)
        assert times.get(float(number), 0) == expected, number


def test_every_second_one_is_from_the_past() -> None:
    """A share of ½ of 1,000 exchanges (4 standard errors), with every place as often (χ² of 9 degrees below 27.9)."""
    pool, places, past = ImagePool(10, SHAPE), [], 0
    for t in range(1010):
        order = torch.from_numpy(permutation(1, "places", t, 10)[:1])
        dice, new = Dice(1, "pool", range(t, t + 1), (t,)), numbered(range(t, t + 1))
        old = pool.images.clone()
        past += int(not torch.equal(pool.shown(new, dice, order, 1), new))
        pool.take(new, dice, order, 1, first=True)
        if t >= 10 and not torch.equal(old, pool.images):
            places.append(int((old != pool.images).flatten().nonzero()))
    assert abs(past / 1000 - 0.5) < 4 * 0.5 / 1000**0.5 and len(places) == past
    counts = torch.bincount(torch.tensor(places), minlength=10).double()
    assert float(((counts - past / 10) ** 2 / (past / 10)).sum()) < 27.9


def test_pieces_of_a_batch_are_the_batch() -> None:
    whole, shown = played(10, 6, 30)
    for pieces in (2, 3, 6):
        parts, seen = played(10, 6, 30, pieces)
        assert seen == shown and torch.equal(parts.images, whole.images) and torch.equal(parts.moves, whole.moves)


def test_what_this_process_wrote_is_known() -> None:
    """Of a batch of 4 of which this process has the last two: it wrote two of four places."""
    pool = ImagePool(4, SHAPE)
    pool.take(numbered(range(2, 4)), Dice(0, "pool", range(2, 4), (0,)), torch.arange(4), 4, first=True)
    assert pool.mine.tolist() == [False, False, True, True]
    assert "mine" not in pool.state_dict() and {"images", "moves"} <= set(pool.state_dict())
