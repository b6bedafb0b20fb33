"""Scores of a confusion matrix: worked by hand, invariances, and the interval's law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparring.errors import SparringError
from sparring.metrics.segmentation import NAMES, ahead, confusion, majority, measured, scores


def maps(*rows: list[int]) -> torch.Tensor:
    return torch.tensor([[row] for row in rows])


def test_counts_are_of_each_image_with_the_truth_in_rows() -> None:
    truth, said = maps([0, 0, 1, 2], [2, 2, 2, 2]), maps([0, 1, 1, 0], [2, 0, 2, 1])
    found = confusion(truth, said, 3)
    assert found.dtype == np.int64 and found.shape == (2, 3, 3)
    assert found[0].tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert found[1].tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 2]]
    assert confusion(truth, said, 3, ignored=(2,)).sum() == 3  # the pixels whose truth is 2 do not count


def test_two_classes_by_hand() -> None:
    """[[3, 1], [2, 2]]: 5/8; (3/4 + 2/4)/2; (3/6 + 2/5)/2."""
    found = scores(np.array([[3, 1], [2, 2]]))
    assert found.three == pytest.approx((0.625, 0.625, 0.45))
    assert found.class_accuracy.tolist() == [0.75, 0.5] and found.class_iou.tolist() == [0.5, 0.4]
    assert scores(np.array([[[3, 0], [1, 2]], [[0, 1], [1, 0]]])).three == found.three  # images count together


def test_classes_that_do_not_occur_are_left_out() -> None:
    """Of accuracy: those that no pixel is of; of IoU: only if nobody says so either."""
    n = np.array([[4, 0, 0], [0, 2, 2], [0, 0, 0]])
    found = scores(n)
    assert found.three == pytest.approx((0.75, (1 + 0.5) / 2, (1 + 0.5 + 0) / 3))
    assert math.isnan(found.class_accuracy[2]) and found.class_iou[2] == 0
    assert scores(n[:2, :2]).three == pytest.approx((1.0, 1.0, 1.0))
    assert all(math.isnan(value) for value in scores(np.zeros((3, 3), int)).three)


def test_what_is_right_everywhere_is_one_and_names_do_not_matter() -> None:
    chance = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 5, (6, 8, 9), generator=chance)
    said = torch.where(torch.rand(truth.shape, generator=chance) < 0.6, truth, (truth + 1) % 5)
    assert scores(confusion(truth, truth, 5)).three == (1.0, 1.0, 1.0)
    order = torch.tensor([3, 1, 4, 0, 2])
    found, renamed = scores(confusion(truth, said, 5)), scores(confusion(order[truth], order[said], 5))
    assert found.three == pytest.approx(renamed.three)
    assert found.pixel == pytest.approx(float((truth == said).float().mean()))


def test_the_majority_is_right_where_it_is() -> None:
    """Pixel accuracy p of the largest class, class accuracy 1/K, IoU p/K."""
    truth = maps([0, 0, 1, 2], [0, 1, 0, 0])
    guess = scores(majority(confusion(truth, truth, 3)))
    assert guess.three == pytest.approx((5 / 8, 1 / 3, 5 / 8 / 3))


def test_intervals_are_of_images() -> None:
    """Of equally large images the pixel accuracy is a mean: its interval has that mean's standard error."""
    chance = np.random.default_rng(0)
    right = chance.binomial(100, chance.uniform(0.5, 0.9, 60))
    counts = np.zeros((60, 2, 2), np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = right, 100 - right
    found = measured(counts)["pixel_accuracy"]
    error = (right / 100).std(ddof=1) / math.sqrt(60)
    assert found.value == pytest.approx(right.mean() / 100)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(error, rel=0.1)
    assert measured(counts)["pixel_accuracy"] == found and set(measured(counts)) == set(NAMES)
    lead = ahead(counts, np.roll(majority(counts), 1, axis=2))  # somebody who is always wrong
    assert lead["pixel_accuracy"] == pytest.approx(found.value / error, rel=0.1)
    assert set(ahead(counts, counts).values()) == {0.0}


@pytest.mark.parametrize(("truth", "said"), [(maps([0, 1]), maps([0, 1, 1])), (maps([0, 2]), maps([0, 1]))])
def test_label_maps_agree(truth: torch.Tensor, said: torch.Tensor) -> None:
    with pytest.raises(SparringError, match="METRIC-SHAPE|METRIC-CLASSES"):
        confusion(truth, said, 2)
