"""Retrieval: its laws where the answer is known."""

from __future__ import annotations

import pytest
import torch

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.metrics.retrieval import retrieval, shuffled


def directions(seed: int, *shape: int) -> torch.Tensor:
    return Dice(seed, "directions", range(shape[0])).normal(*shape[1:])


def test_pictures_that_know_nothing_are_found_by_chance() -> None:
    found = retrieval(directions(0, 300, 4, 16), directions(1, 300, 16), times=300)
    assert found.chance == 0.1 and found.candidates == 100 and found.nearest == 10
    assert abs(found.precision.value - 0.1) < 0.03  # four standard errors of 1,200 hits
    assert found.precision.low < 0.1 < found.precision.high
    assert abs(found.similarity.value) < 0.03


def test_the_share_is_that_of_the_own_text_among_the_nearest_by_hand() -> None:
    """Of twelve texts each is held against all, so that nothing is drawn: counted one by one."""
    texts = directions(2, 12, 6)
    images = directions(3, 12, 3, 6) + 0.7 * texts[:, None]
    found = retrieval(images, texts, nearest=2)
    similar = torch.nn.functional.cosine_similarity(images.double()[:, :, None], texts.double(), dim=3)  # (12, 3, 12)
    own = torch.stack([similar[k, :, k] for k in range(12)])
    hits = ((similar >= own[..., None]).sum(2) <= 2).double()
    torch.testing.assert_close(found.by_text, hits.mean(1))
    assert found.precision.value == pytest.approx(float(hits.mean())) and 0.2 < float(hits.mean()) < 1
    assert found.chance == 2 / 12
    assert found.similarity.value == pytest.approx(float(own.mean()))
    scaled = retrieval(3 * images, 0.2 * texts, nearest=2)  # of directions the length does not count
    assert scaled.precision == found.precision


def test_real_pictures_are_the_ceiling_and_other_texts_the_floor() -> None:
    texts = directions(4, 200, 16)
    images = texts[:, None] + 0.5 * directions(5, 200, 2, 16)
    assert retrieval(images, texts).precision.low > 0.9
    below = retrieval(shuffled(images), texts)
    assert below.precision.low < 0.1 < below.precision.high + 0.03
    moved = shuffled(torch.arange(200.0)[:, None, None]).flatten()
    assert sorted(moved.tolist()) == list(range(200)) and bool((moved != torch.arange(200)).all())


def test_equal_texts_are_not_held_against_each_other_and_ties_are_no_hits() -> None:
    texts = directions(6, 30, 8)
    twice = torch.cat([texts, texts])
    said = [f"text {k % 30}" for k in range(60)]
    assert retrieval(twice[:, None], twice, nearest=1, said=said).precision.value == 1
    assert retrieval(twice[:, None], twice, nearest=1).precision.value < 1  # a tie with its double, where it was drawn
    flat = retrieval(torch.ones(30, 2, 8), torch.ones(30, 8))
    assert flat.precision.value == 0


def test_the_interval_is_over_texts() -> None:
    """More pictures of as many texts do not make it narrower where all of a text are alike."""
    texts = directions(7, 120, 8)
    images = (texts * (torch.arange(120) % 2 * 2 - 1)[:, None])[:, None]  # half are right, half the opposite
    few, many = (retrieval(images.expand(-1, n, -1), texts, times=500) for n in (1, 20))
    assert few.precision.value == many.precision.value == 0.5
    assert many.precision.high - many.precision.low == pytest.approx(2 * 1.96 * (0.25 / 120) ** 0.5, rel=0.2)
    assert few.precision == many.precision and "by text" in few.precision.interval
    assert retrieval(images, texts, seed=1).by_text.shape == (120,)


@pytest.mark.parametrize("images, texts", [((5, 2, 4), (5, 4)), ((20, 4), (20, 4)), ((20, 2, 4), (20, 5))])
def test_what_cannot_be_measured_is_refused(images: tuple[int, ...], texts: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="RETRIEVAL-"):
        retrieval(torch.ones(images), torch.ones(texts))
