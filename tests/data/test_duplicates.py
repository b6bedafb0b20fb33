"""The same picture again is found, whatever was done to it on its way; other pictures of the same kind are not."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sparring.data import builtin, duplicates
from sparring.data.duplicates import MIRROR, alike, candidates, look, near
from sparring.data.sources import idx

Pixels = NDArray[np.uint8]


def scene(seed: int, side: int = 64, channels: int = 3) -> Pixels:
    """Soft shapes of many sizes, as photographs have them."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side, channels))
    for k in (3, 5, 9, 17):
        coarse = Image.fromarray(rng.integers(0, 256, (k, k, 3), dtype=np.uint8)).resize((side, side), Image.BICUBIC)
        image += np.asarray(coarse, np.float64)[..., :channels] / np.sqrt(k)
    image -= image.min()
    return (image * (255.0 / image.max())).astype(np.uint8)


def jpeg(pixels: Pixels, quality: int = 60) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def cropped(pixels: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    inner = Image.fromarray(pixels).crop((left, top, width - right, height - bottom))
    return np.asarray(inner.resize((width, height), Image.LANCZOS))


def brighter(pixels: Pixels, factor: float) -> Pixels:
    return np.clip(np.rint(pixels * factor), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "jpeg": jpeg,
    "darker": lambda x: brighter(x, 0.95),
    "brighter": lambda x: brighter(x, 1.05),
    "cropped": lambda x: cropped(x, (1, 1, 1, 1)),
    "cropped at a corner": lambda x: cropped(x, (1, 1, 0, 0)),
    "smaller and back": lambda x: np.asarray(
        Image.fromarray(x).resize((48, 48), Image.LANCZOS).resize(x.shape[1::-1], Image.LANCZOS)
    ),
    "all": lambda x: jpeg(cropped(brighter(x, 1.05), (1, 1, 1, 1))),
}


def looks(images: Pixels) -> NDArray[np.uint64]:
    return np.array([look(image) for image in images], np.uint64)


def found(images: Pixels, most: int = 10_000) -> list[tuple[int, int, bool]]:
    return alike(looks(images), lambda rows: images[rows], most=most)


# ── looks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 48, 3), (31, 97, 3), (256, 256, 4), (300, 500, 3)])
def test_looks_have_64_bits_at_any_size(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    before = pixels.copy()
    assert 0 <= look(pixels) < 2**64
    assert look(pixels) == look(np.asfortranarray(pixels)) == look(pixels.copy())
    assert (pixels == before).all()


def test_looks_are_the_same_on_every_machine() -> None:
    """Golden numbers: looks lie in caches, and are compared with those of other machines."""
    ramp = np.arange(40 * 40, dtype=np.uint32).reshape(40, 40, 1)
    pixels = ((ramp * 2654435761 >> 7) % 256).astype(np.uint8)
    assert look(pixels) == GOLDEN_GREY
    assert look(np.concatenate([pixels, pixels[::-1], pixels[:, ::-1]], axis=2)) == GOLDEN_COLOUR


GOLDEN_GREY = 18092572636676564303
GOLDEN_COLOUR = 294218267706251855


def test_mirroring_changes_known_bits() -> None:
    for seed in range(20):
        picture = scene(seed, 48)
        assert look(picture[:, ::-1]) == look(picture) ^ int(MIRROR)


def test_size_hardly_matters() -> None:
    for seed in range(20):
        picture = Image.fromarray(scene(seed, 256))
        small = np.asarray(picture.resize((64, 64), Image.LANCZOS))
        assert (look(np.asarray(picture)) ^ look(small)).bit_count() <= 6


def test_grey_and_colour_of_a_grey_picture_look_the_same() -> None:
    grey = scene(1, channels=1)
    assert look(grey) == look(grey.repeat(3, axis=2))
    opaque = np.concatenate([grey.repeat(3, axis=2), np.full((64, 64, 1), 255, np.uint8)], axis=2)
    assert (look(grey) ^ look(opaque)).bit_count() <= 1  # the bit of the mean


def test_what_is_transparent_is_not_looked_at() -> None:
    picture = np.concatenate([scene(3), np.full((64, 64, 1), 255, np.uint8)], axis=2)
    picture[:20, :, 3] = 0
    hidden = picture.copy()
    hidden[:20, :, :3] = 77
    assert look(picture) == look(hidden)


# ── pairs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", CHANGES)
def test_finds_the_same_picture_again(change: str) -> None:
    originals = np.stack([scene(seed) for seed in range(60)])
    copies = np.stack([CHANGES[change](image) for image in originals])
    pairs = found(np.concatenate([originals, copies]))
    assert {(a, b) for a, b, _ in pairs} == {(k, k + 60) for k in range(60)}
    assert not any(mirrored for _, _, mirrored in pairs)


def test_finds_mirrored_pictures_and_says_so() -> None:
    originals = np.stack([scene(seed) for seed in range(60)])
    copies = np.stack([jpeg(np.ascontiguousarray(image[:, ::-1])) for image in originals])
    assert found(np.concatenate([originals, copies])) == [(k, k + 60, True) for k in range(60)]


def test_equal_pictures_are_not_near() -> None:
    picture = scene(0)
    images = np.stack([picture, picture, scene(1), scene(1)])
    assert found(images) == []


def test_a_small_part_that_differs_is_seen() -> None:
    """Two clocks: the same disc, other hands."""
    y, x = np.mgrid[:64, :64]
    disc = np.where((x - 32) ** 2 + (y - 32) ** 2 < 28**2, 235, 120).astype(np.uint8)[..., None].repeat(3, 2)
    one, other = disc.copy(), disc.copy()
    one[14:32, 31:34] = 20
    other[32:50, 31:34] = 20
    assert found(np.stack([one, other])) == []


def test_every_channel_is_compared() -> None:
    """The same drawing in another colour is another picture."""
    y, x = np.mgrid[:64, :64]
    inside = (abs(x - 32) < 18) & (abs(y - 30) < 22)
    images = np.full((2, 64, 64, 3), 255, np.uint8)
    images[0][inside], images[1][inside] = (230, 60, 60), (60, 60 + 75, 200)
    assert found(images) == []


def test_flat_images_do_no_harm() -> None:
    images = np.zeros((40, 32, 32, 3), np.uint8)
    images[20:] = 255
    assert found(images) == []


@pytest.mark.parametrize("n", [0, 1])
def test_of_none_and_of_one(n: int) -> None:
    images = np.zeros((n, 16, 16, 1), np.uint8)
    assert found(images) == []


@pytest.mark.parametrize("channels", [1, 4])
def test_with_other_channels(channels: int) -> None:
    originals = np.stack([scene(seed, channels=1) for seed in range(20)])
    if channels == 4:
        originals = np.concatenate([originals.repeat(3, axis=3), np.full((20, 64, 64, 1), 255, np.uint8)], axis=3)
    copies = np.clip(originals.astype(np.int16) - 6, 0, 255).astype(np.uint8)
    if channels == 4:
        copies[..., 3] = 255
    assert [(a, b) for a, b, _ in found(np.concatenate([originals, copies]))] == [(k, k + 20) for k in range(20)]


def test_near_is_alike_without_mirrors() -> None:
    originals = np.stack([scene(seed) for seed in range(10)])
    images = np.concatenate([originals, originals[:, :, ::-1]])
    assert near(looks(images), lambda rows: images[rows]) == [(k, k + 10) for k in range(10)]


def test_no_more_pairs_than_asked_for() -> None:
    base = scene(0).astype(np.int16)
    images = np.stack([np.clip(base + k, 0, 255) for k in range(-10, 10)]).astype(np.uint8)
    assert len(found(images)) == 190
    assert len(found(images, most=25)) == 25


def test_pixels_are_asked_for_in_small_portions() -> None:
    images = np.stack([scene(k % 50) for k in range(100)])
    images[50:] = np.clip(images[50:].astype(np.int16) - 5, 0, 255)
    asked: list[int] = []

    def pixels_of(rows: NDArray[np.int64]) -> Pixels:
        asked.append(len(rows))
        return images[rows]

    assert len(near(looks(images), pixels_of)) == 50
    assert max(asked) <= 512


# ── many ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def flipped(looks: NDArray[np.uint64], bits: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    masks = [sum(1 << int(bit) for bit in rng.choice(64, bits, replace=False)) for _ in looks]
    return looks ^ np.array(masks, np.uint64)


@pytest.mark.parametrize(("n", "bits", "least"), [(3_000, 10, 1.0), (40_000, 3, 0.99), (40_000, 6, 0.9)])
def test_candidates_among_many(n: int, bits: int, least: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, n, dtype=np.uint64)
    first = np.arange(0, n // 2, 20)
    values[n // 2 + np.arange(len(first))] = flipped(values[first], bits, rng)
    turned = first[::2]
    values[n // 2 + np.arange(len(first))[::2]] ^= MIRROR
    pairs = candidates(values)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len({(a, b) for a, b in pairs[:, :2].tolist()}) == len(pairs)
    seen = {(a, b): mirrored for a, b, _, mirrored in pairs.tolist()}
    wanted = {(int(a), n // 2 + k): int(a in set(turned.tolist())) for k, a in enumerate(first)}
    hits = sum(seen.get(pair) == mirrored for pair, mirrored in wanted.items())
    assert hits >= least * len(wanted)


def test_both_ways_of_comparing_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2**64, 2_000, dtype=np.uint64)
    values[1_000:1_200] = flipped(values[:200], 3, rng)
    every = {tuple(row) for row in candidates(values, close=5).tolist()}
    monkeypatch.setattr(duplicates, "_ALL", 100)
    assert {tuple(row) for row in candidates(values, close=5).tolist()} >= every
    assert len(every) >= 200


def test_thousands_that_look_alike_stay_bounded() -> None:
    values = np.zeros(5_000, np.uint64)
    assert len(candidates(values, most=1_000)) == 1_000


# ── real pictures ─────────────────────────────────────────────────────────────────────────────────────────────────


def cats(shared_data: Path, every: int = 1) -> Pixels:
    with zipfile.ZipFile(shared_data / "cat_faces_64.zip") as file:
        names = [name for name in file.namelist() if name.endswith(".jpg")][::every]
        return np.stack([np.asarray(Image.open(io.BytesIO(file.read(name))).convert("RGB")) for name in names])


@pytest.fixture(scope="module")
def some_cats(shared_data: Path) -> Pixels:
    return cats(shared_data, every=30)


@pytest.mark.parametrize("change", CHANGES)
def test_recall_on_cat_faces(some_cats: Pixels, change: str) -> None:
    originals = some_cats
    copies = np.stack([CHANGES[change](image) for image in originals])
    n = len(originals)
    pairs = {(a, b) for a, b, _ in found(np.concatenate([originals, copies]))}
    equal = (originals == copies).all(axis=(1, 2, 3))
    hits = sum((k, k + n) in pairs or bool(equal[k]) for k in range(n))
    assert hits >= 0.95 * n


def test_other_cat_faces_are_others(shared_data: Path) -> None:
    """All 9,303: 60 to 80 pairs, which are the same photographs (looked at, each of them)."""
    images = cats(shared_data)
    pairs = found(images)
    assert 55 <= len(pairs) <= 85
    some = np.random.default_rng(0).permutation(len(images))[:3_000]
    same = 0
    for rows in np.array_split(np.stack([some, np.roll(some, 1)]), 30, axis=1):  # little at a time is quicker
        same += duplicates.agree(*(duplicates.small(images[side]) for side in rows)).sum()
    assert same <= 1


def test_other_digits_are_others(shared_data: Path) -> None:
    source = idx.source(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz")
    images = np.stack([np.asarray(source.read(k)) for k in range(10_000)])
    assert len(found(images)) <= 1


def test_other_clothes_are_others() -> None:
    source = builtin.source("fashion")
    images = np.stack([np.asarray(source.read(k)) for k in range(10_000)])
    assert len(found(images)) <= 8  # 4, of which 3 are the same photograph
