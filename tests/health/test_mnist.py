"""A generator that is known to have collapsed is told from the data, and data against data is seen to be healthy."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sparring.chance import Dice
from sparring.health.baseline import Baseline
from sparring.health.copies import Copies, thumbnails
from sparring.health.look import Look, Sight
from sparring.health.rules import Context, Verdict, judge
from sparring.health.signals import divergence, signals
from sparring.metrics import features

N = 128
"""Samples of each kind that are judged: it takes some 6 ms for each, and there are four kinds."""
DIGITS = 2400
"""Digits that are read: more, since LeNet-5 is fast."""


def there(folder: Path, name: str) -> Path:
    """The file, or the test is skipped."""
    if not (folder / name).exists():
        pytest.skip(f"no {folder / name}")
    return folder / name


@pytest.fixture(scope="module")
def digits(shared_data: Path) -> Tensor:
    """The first images of the test set, (`DIGITS`, 1, 28, 28) uint8: the set is in no order."""
    with gzip.open(there(shared_data, "mnist/t10k-images-idx3-ubyte.gz")) as file:
        values = np.frombuffer(file.read(16 + 784 * DIGITS), np.uint8, offset=16)
    return torch.from_numpy(values.reshape(-1, 1, 28, 28).copy())


@pytest.fixture(scope="module")
def labels(shared_data: Path) -> Tensor:
    with gzip.open(there(shared_data, "mnist/t10k-labels-idx1-ubyte.gz")) as file:
        return torch.from_numpy(np.frombuffer(file.read(8 + DIGITS), np.uint8, offset=8).astype(np.int64))


@pytest.fixture(scope="module")
def collapsed(shared_data: Path) -> Tensor:
    """`DIGITS` / 3 images of the mode-collapsed generator."""
    network = nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh()
    )
    path = there(shared_data, "weights/mnist_gan_mlp_G.pth")
    network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    with torch.no_grad():
        made = network(Dice(0, "sample", range(DIGITS // 3)).normal(64))
    return features.quantise(made.reshape(-1, 1, 28, 28))


class LeNet5:
    """LeNet-5 (LeCun et al. 1998) with trained weights; images (n, 1, 28, 28) uint8."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights

    def embed(self, images: Tensor) -> Tensor:
        """(n, 120) features."""
        x = F.interpolate(images.float() / 255, (32, 32), mode="bilinear", align_corners=False)
        for name in ("c1", "c3", "c5"):
            x = F.conv2d(x, self.weights[f"convnet.{name}.weight"], self.weights[f"convnet.{name}.bias"]).relu()
            x = F.max_pool2d(x, 2) if name != "c5" else x
        return x.flatten(1)

    def digit(self, images: Tensor) -> Tensor:
        """(n,) which digit each shows."""
        x = F.linear(self.embed(images), self.weights["fc.f6.weight"], self.weights["fc.f6.bias"]).relu()
        return F.linear(x, self.weights["fc.f7.weight"], self.weights["fc.f7.bias"]).argmax(1)


@pytest.fixture(scope="module")
def lenet(shared_data: Path) -> LeNet5:
    return LeNet5(torch.load(there(shared_data, "weights/mnist_lenet5.pth"), weights_only=True, map_location="cpu"))


@pytest.fixture(scope="module")
def extractor() -> features.Extractor:
    return features.default()


def seen(extractor: features.Extractor, images: Tensor, labels: Tensor | None = None) -> Sight:
    return Sight(features.embed(extractor, images), images, labels)


@pytest.fixture(scope="module")
def baseline(extractor: features.Extractor, digits: Tensor, labels: Tensor) -> Baseline:
    held_out, train = (seen(extractor, digits[k * N : (k + 1) * N], labels[k * N : (k + 1) * N]) for k in (0, 1))
    copies = Copies.of(thumbnails(digits[N : 4 * N]), 1.0, digits[:N], mirrored=False)
    return Baseline.of(held_out, train, N, copies=copies)


def test_the_collapsed_generator_is_told_from_the_data(
    extractor: features.Extractor, baseline: Baseline, collapsed: Tensor
) -> None:
    """By a judge that knows nothing of digits. (A third of its samples are 1s; it makes every digit now and then.)"""
    values = signals(Look(seen(extractor, collapsed[:N])), baseline)
    assert values["coverage"] < 0.8 * values["coverage_self"], "what is covered"
    assert values["kid"] > 4 * values["kid_se"]
    assert values["class_kl"] > 0.15 and values["class_least"] < 0.4, "the class histogram"


def test_by_features_that_know_digits_it_is_not_diverse_either(
    lenet: LeNet5, digits: Tensor, collapsed: Tensor
) -> None:
    """The 120 features before the last two layers of LeNet-5."""
    held_out, train, other = (Sight(lenet.embed(x)) for x in digits.split(DIGITS // 3))
    law = Baseline.of(held_out, train, len(other))
    fallen, healthy = signals(Look(Sight(lenet.embed(collapsed))), law), signals(Look(other), law)
    assert fallen["diversity"] < 0.65 < 0.9 < healthy["diversity"] < 1.1
    assert fallen["coverage"] < 0.9 * law.coverage_self < 0.95 * law.coverage_self < healthy["coverage"]


def test_its_digits_are_ones_and_sevens(lenet: LeNet5, digits: Tensor, collapsed: Tensor) -> None:
    """Half of them, and a fifth of the data."""
    made, real = (torch.bincount(lenet.digit(x), minlength=10) / len(x) for x in (collapsed, digits))
    assert float(made[1] + made[7]) > 0.45 > 0.3 > float(real[1] + real[7])
    assert float(made.max()) > 0.3 > 0.15 > float(real.max()) and int(made.argmax()) == 1


def verdict_of(lenet: LeNet5, real: Tensor, fake: Tensor) -> tuple[Verdict, ...]:
    """What the doctor says of `fake` (n, 1, 28, 28): variety by LeNet's features, classes by its digits."""
    half = len(real) // 2
    law = Baseline.of(Sight(lenet.embed(real[:half])), Sight(lenet.embed(real[half:])), len(fake))
    values = signals(Look(Sight(lenet.embed(fake))), law)
    del values["contrast"]  # of points, and these are features
    read, true = (torch.bincount(lenet.digit(x), minlength=10).numpy() for x in (fake, real))
    p, q = read / read.sum(), true / true.sum()
    values |= {"diversity_raw": values["diversity"], "coverage_raw": values["coverage"]}
    values |= {"share_kl": divergence(read, true), "share_least": float((p / q).min())}
    return tuple(judge([(0, values)], [], Context(alone=True, ended=True)))


def test_the_doctor_calls_it_collapsed_and_halves_of_the_data_healthy(
    lenet: LeNet5, digits: Tensor, collapsed: Tensor
) -> None:
    real, other = digits[: 2 * DIGITS // 3], digits[2 * DIGITS // 3 :]
    found = verdict_of(lenet, real, collapsed)
    assert found[0].code == "MODE-COLLAPSE" and found[0].level == "hard", found
    assert "one class comes" in found[0].seen and "variety" in found[0].seen
    assert [verdict.code for verdict in verdict_of(lenet, real, other)] == ["HEALTHY"]


def test_data_against_data_is_healthy(
    extractor: features.Extractor, baseline: Baseline, digits: Tensor, labels: Tensor
) -> None:
    values = signals(Look(seen(extractor, digits[4 * N : 5 * N], labels[4 * N : 5 * N])), baseline)
    assert abs(values["kid"]) < 4 * values["kid_se"]
    assert values["diversity"] == pytest.approx(1.0, abs=0.2)
    assert values["coverage"] == pytest.approx(values["coverage_self"], abs=0.1)
    assert values["duplicates"] < 0.1 and values["copies"] < 0.05 and values["leak"] == 0
    assert values["contrast"] == pytest.approx(1.0, abs=0.1) and values["constant"] == 0
    assert values["checkerboard"] == pytest.approx(1.0, abs=0.4) and abs(values["saturated"]) < 0.05
    assert values["class_kl"] < 0.15 and values["class_least"] > 0.2
    assert values["class_match"] == pytest.approx(values["class_match_real"], abs=0.15)
    found = judge([(10**6, values)], [], Context(planned=10**6, alone=True, images=60_000, held_out=10_000))
    assert [verdict.code for verdict in found] == ["HEALTHY"], [verdict.sentence() for verdict in found]
