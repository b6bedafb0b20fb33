"""Each signal answers to what it is named after, and to nothing else; real against real lies in the healthy band."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparring.errors import SparringError
from sparring.health.baseline import Baseline, covered, radii, repeated
from sparring.health.copies import Copies, mirrored, nearest, thumbnails
from sparring.health.look import Logits, Look, Sight
from sparring.health.pixels import Pixels, worst
from sparring.health.signals import auc, of_logits, signals

N = 256


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ── points: a mixture of eight modes ──────────────────────────────────────────────────────────────────────────────


def mixture(n: int, seed: int, modes: int = 8, spread: float = 0.05) -> Sight:
    """n points of the first `modes` of eight Gaussians on a circle, with the mode as label."""
    g = random(seed)
    label = torch.randint(modes, (n,), generator=g)
    angle = label * (2 * math.pi / 8)
    x = torch.stack([angle.cos(), angle.sin()], 1) + spread * torch.randn(n, 2, generator=g)
    return Sight(x, None, label)


@pytest.fixture(scope="module")
def ring() -> Baseline:
    reference = mixture(2000, 3)
    train = reference.part(slice(0, N))
    held = mixture(N, 1)
    return Baseline.of(held, train, N, copies=Copies.of(reference.features, 1.0, held.features, mirrored=False))


def test_data_against_data_is_healthy(ring: Baseline) -> None:
    values = signals(Look(mixture(N, 7), mixture(N, 8)), ring)
    assert abs(values["kid"]) < 4 * values["kid_se"]
    assert values["diversity"] == pytest.approx(1.0, abs=0.15) == values["diversity_raw"]
    assert values["coverage"] == pytest.approx(1 - 2**-5, abs=0.05) == values["coverage_self"]
    assert 0.8 < values["precision"] <= 1
    assert 0 <= values["duplicates"] < 0.06 > values["duplicates_real"] >= 0
    assert 0 <= values["copies"] < 0.03 and values["contrast"] == pytest.approx(1.0, abs=0.1)
    assert abs(values["class_kl"]) < 0.05 and values["class_least"] > 0.5
    assert values["class_match"] == 1 == values["class_match_real"] and values["class_diversity"] > 0.6


@pytest.mark.parametrize("modes", [1, 2, 4])
def test_dropped_modes_cost_coverage_and_diversity_in_proportion(ring: Baseline, modes: int) -> None:
    values = signals(Look(mixture(N, 7, modes)), ring)
    assert values["coverage"] == pytest.approx(modes / 8, abs=0.08)
    assert values["diversity"] == pytest.approx(modes / 8, abs=0.12)
    assert values["precision"] > 0.8, "what is made is real"
    assert values["class_least"] == 0 and values["class_kl"] == pytest.approx(math.log(8 / modes), abs=0.3)
    assert "coverage_raw" not in values and values["copies"] < 0.05


def test_a_constant_generator(ring: Baseline) -> None:
    values = signals(Look(Sight(torch.tensor([[1.0, 0.0]]).repeat(N, 1))), ring)
    assert values["duplicates"] == 1 and values["contrast"] == 0
    assert values["diversity"] < 0.12 and values["coverage"] < 0.1


def test_copies_of_training_data_are_found_and_fresh_data_is_not(ring: Baseline) -> None:
    assert ring.copies is not None
    copied, fresh = ring.copies.reference[500 : 500 + N], mixture(N, 9).features
    for share in (0.0, 0.4, 1.0):
        k = round(share * N)
        values = signals(Look(Sight(torch.cat([copied[:k], fresh[k:]]))), ring)
        assert values["copies"] == pytest.approx(share, abs=0.04)
    half = dataclasses.replace(ring.copies, reference=ring.copies.reference[:1000], share=0.5)
    everywhere = torch.cat([ring.copies.reference[:128], ring.copies.reference[1000:1128]])
    assert half.found(everywhere) == pytest.approx(1.0, abs=0.08), "half of them can be found, so all of them are"


def test_what_lies_beside_the_data_is_imprecise_and_scaled_output_is_seen(ring: Baseline) -> None:
    scaled = mixture(N, 7)
    values = signals(Look(Sight(4.0 * scaled.features)), ring)
    assert values["precision"] < 0.05 and values["contrast"] == pytest.approx(4.0, rel=0.1)
    assert values["kid"] > 4 * values["kid_se"]


def test_an_average_that_lags_covers_less_than_the_players(ring: Baseline) -> None:
    values = signals(Look(fake=mixture(N, 7, 2), raw=mixture(N, 8)), ring)
    assert values["coverage"] < 0.5 * values["coverage_raw"]


def test_one_class_without_variety_and_a_game_that_ignores_classes(ring: Baseline) -> None:
    made = mixture(1000, 7).part(slice(0, N))
    assert made.labels is not None
    x = made.features.clone()
    x[made.labels == 3] = x[made.labels == 3][0]
    assert signals(Look(dataclasses.replace(made, features=x)), ring)["class_diversity"] < 0.5
    shuffled = signals(Look(dataclasses.replace(made, labels=made.labels.roll(1))), ring)
    assert shuffled["class_match"] < 0.3 < 0.95 < shuffled["class_match_real"]


def test_order_does_not_matter(ring: Baseline) -> None:
    """But for the classes' vendi scores, which take the first n of each."""
    made = mixture(N, 7, 5)
    turned = made.part(torch.randperm(N, generator=random(0)))
    a, b = (signals(Look(Sight(x.features), Sight(x.features)), ring) for x in (made, turned))
    assert a == pytest.approx(b, rel=1e-9)


def test_too_few_reals_are_refused_and_what_is_not_there_is_left_out(ring: Baseline) -> None:
    with pytest.raises(SparringError, match="HEALTH-FEW"):
        Baseline.of(mixture(8, 0), mixture(N, 1), N)
    assert signals(Look(), ring) == {} == signals(Look(fake=mixture(N, 7)), None)
    assert signals(Look(besides={"accuracy": 0.9, "lost": math.nan}), None) == {"accuracy": 0.9}


def test_neighbourhoods_by_hand() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    first, second = radii(x, 1, 2)
    assert first.tolist() == [1, 1, 4, 16] and second.tolist() == [9, 4, 9, 36]
    assert covered(x, torch.tensor([[0.5], [11.0]]), first) == 0.75, "0 and 1 hold 0.5; 7 holds 11 on its border"
    assert repeated(x, 1.0) == 0.5


# ── the discriminator ─────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20), st.lists(st.integers(-5, 5), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_the_share_of_pairs(a: list[int], b: list[int]) -> None:
    by_hand = sum((x > y) + 0.5 * (x == y) for x in a for y in b) / (len(a) * len(b))
    x, y = torch.tensor(a).float(), torch.tensor(b).float()
    assert auc(x, y) == pytest.approx(by_hand) and auc(x, y) + auc(y, x) == pytest.approx(1.0)
    assert auc(x.exp(), y.exp()) == pytest.approx(by_hand), "order alone"


def test_a_swapped_discriminator_and_one_that_knows_its_data_by_heart() -> None:
    g = random(0)
    real, train, fake = (torch.randn(N, generator=g) + shift for shift in (1.0, 1.0, -1.0))
    right = of_logits(Logits(real, train, fake))
    assert right["auc"] == pytest.approx(0.92, abs=0.03) == right["auc_train"]  # Φ(2/√2)
    assert right["d_real"] > 0.6 > 0.4 > right["d_fake"]
    wrong = of_logits(Logits(fake, fake, real))
    assert wrong["auc"] == pytest.approx(1 - right["auc"])
    heart = of_logits(Logits(fake, train, fake))
    assert heart["auc"] == pytest.approx(0.5) and heart["auc_train"] > 0.85
    assert set(of_logits(Logits(None, train, fake, zero=False))) == {"auc_train"}


# ── images ────────────────────────────────────────────────────────────────────────────────────────────────────────


def photos(n: int, seed: int, side: int = 32, channels: int = 3) -> Tensor:
    """Smooth lively images (n, C, side, side) uint8."""
    coarse = torch.rand(n, channels, 5, 5, generator=random(seed))
    x = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
    return (x * 255).clamp(0, 255).to(torch.uint8)


def of(images: Tensor) -> dict[str, float]:
    return Pixels.of(images).against(Pixels.of(photos(64, 1)))


def test_images_like_the_data_look_like_the_data() -> None:
    values = of(photos(64, 2))
    assert values["contrast"] == pytest.approx(1.0, abs=0.1) and abs(values["saturated"]) < 0.02
    assert values["constant"] == 0 == values["leak"] and values["checkerboard"] == pytest.approx(1.0, abs=0.3)
    parts = Pixels.of(photos(70, 2)), [Pixels.of(x) for x in (photos(70, 2)[:35], photos(70, 2)[35:])]
    assert parts[0].saturated == pytest.approx(sum(p.saturated for p in parts[1]) / 2), "the pieces do not matter"
    grey = Pixels.of(photos(8, 2, channels=1))
    assert len(grey.spread) == 1 and grey.spread[0] == pytest.approx(
        float(photos(8, 2, channels=1).float().std()), rel=1e-3
    )


def test_range_saturation_and_constant_images() -> None:
    x = photos(64, 2).float()
    dim = of((127.5 + 0.25 * (x - 127.5)).to(torch.uint8))
    assert dim["contrast"] == pytest.approx(0.25, abs=0.05)
    one = x.clone()
    one[:, 2] = 127.5 + 0.1 * (one[:, 2] - 127.5)
    assert of(one.to(torch.uint8))["contrast"] == pytest.approx(0.1, abs=0.05), "the worst channel"
    hard = of(((x > 127).float() * 255).to(torch.uint8))
    assert hard["saturated"] > 0.9 and hard["contrast"] > 1.5
    flat = of(torch.full((64, 3, 32, 32), 90, dtype=torch.uint8))
    assert flat["constant"] == 1 and flat["contrast"] == 0 and flat["leak"] == 0
    assert math.isnan(worst([]))


def test_a_checkerboard_is_seen() -> None:
    x = photos(64, 2).float()
    board = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float() * 12
    assert of((x * 0.9 + board).to(torch.uint8))["checkerboard"] > 5


@pytest.mark.parametrize("level", [128, 0])
@pytest.mark.parametrize("shape", ["border", "hole"])
def test_what_augmentation_leaves_is_seen(level: int, shape: str) -> None:
    x = photos(64, 2)
    if shape == "border":
        x[:32, :, :, :3] = level
    else:
        x[:32, :, 4:20, 6:22] = level
    assert of(x)["leak"] == pytest.approx(0.5, abs=0.05)
    thin = photos(64, 2)
    thin[:, :, :, :1] = level
    assert of(thin)["leak"] == 0, "one column is no shift"
    real = Pixels.of(x)
    assert Pixels.of(photos(64, 3)).against(real)["leak"] == 0 == Pixels.of(x).against(real)["leak"], "as the data"


def test_thumbnails_find_copies_through_noise_and_mirrors() -> None:
    train, unseen = photos(200, 1), photos(100, 2)
    plain = Copies.of(thumbnails(train), 1.0, unseen, mirrored=False)
    noisy = (train[:50].float() + 4 * torch.randn(50, 3, 32, 32, generator=random(3))).clamp(0, 255).to(torch.uint8)
    assert plain.found(noisy) == 1 and plain.nearest(noisy)[1].tolist() == list(range(50))
    assert plain.found(photos(100, 4)) < 0.05
    both = Copies.of(thumbnails(train), 1.0, unseen, mirrored=True)
    assert both.found(mirrored(train[:50])) == 1 > 0.5 > plain.found(mirrored(train[:50]))
    assert both.nearest(mirrored(train[:50]))[1].tolist() == list(range(50)), "which one it is"
    wide = photos(3, 5, side=64)
    assert float((thumbnails(wide).float().mean() - wide.float().mean()).abs()) < 1, "antialiased: means stay"


def test_nearest_among_many_is_nearest_among_all() -> None:
    x, y = torch.rand(20, 12, generator=random(0)), torch.rand(9000, 12, generator=random(1))
    distance, which = nearest(x, y)
    exact = torch.cdist(x.double(), y.double())
    assert torch.equal(which, exact.argmin(1))
    assert torch.allclose(distance, exact.amin(1) / math.sqrt(12), rtol=1e-9)
