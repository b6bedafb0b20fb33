"""The stream is a pure function of (seed, k): not of workers, processes, batch sizes or where one starts."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.chance import permutation
from sparring.data import Dataset, ImageStream, PointStream, Prefetch, open_data, stream_of
from sparring.data.report import DataReport
from sparring.errors import DataError
from sparring.types import Batch, News, Stream


def made(n: int, side: int = 4, channels: int = 3) -> Dataset:
    """n different images in memory; the first two pixels of image i say i, and tell a mirrored one."""
    images = np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.arange(n) % 256, np.arange(n) // 256
    report = DataReport(source="made", kind="images", found=n, used=n, held_out=0)
    return Dataset("made", "images", (channels, side, side), images, images[:0], report, f"made-{n}",
                   labels=np.arange(n, dtype=np.int64))  # fmt: skip


def digest(batches: list[torch.Tensor]) -> str:
    """Of the samples one after the other, whatever the batches."""
    return hashlib.sha256(b"".join(x.contiguous().numpy().tobytes() for x in batches)).hexdigest()


B = 16


@pytest.mark.parametrize("n", [1, 2, B - 1, B, B + 1, 203])
def test_every_image_exactly_once_per_pass(n: int) -> None:
    stream = stream_of(made(n), seed=5)
    assert len(stream) == n
    labels = torch.cat(
        [batch.label for k in range(-(-3 * n // B)) if (batch := stream.take(k * B, B)).label is not None]
    )
    for number in range(3):
        assert sorted(labels[number * n : (number + 1) * n].tolist()) == list(range(n))
    if n > 10:
        assert labels[:n].tolist() != labels[n : 2 * n].tolist()


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_stream_hash_is_equal_for_workers_and_processes(workers: int, processes: int) -> None:
    data, batch, rounds = made(203), 24, 20
    share = batch // processes
    slices: list[list[torch.Tensor]] = []
    for rank in range(processes):
        with Prefetch(stream_of(data, seed=1, flip=True), workers) as stream:
            slices.append([stream.take(round * batch + rank * share, share).x for round in range(rounds)])
    found = digest([part[round] for round in range(rounds) for part in slices])
    reference = ImageStream(data, seed=1, flip=True)
    assert found == digest([reference.take(0, batch * rounds).x])


@settings(deadline=None, max_examples=50)
@given(start=st.integers(0, 10**13), count=st.integers(0, 60), cut=st.integers(0, 60))
def test_any_start_and_any_count(start: int, count: int, cut: int) -> None:
    stream = ImageStream(made(17), seed=3, flip=True)
    whole, cut = stream.take(start, count), min(cut, count)
    parts = [stream.take(start, cut).x, stream.take(start + cut, count - cut).x]
    assert whole.x.shape == (count, 3, 4, 4)
    assert torch.equal(torch.cat(parts), whole.x)


def test_sample_k_is_the_permutation_of_its_pass() -> None:
    stream, n, k = stream_of(made(203), seed=9), 203, 10**12
    label = stream.take(k, 1).label
    assert label is not None and int(label[0]) == permutation(9, "order", k // n, n)[k % n]


def test_images_are_uint8_in_channels_last() -> None:
    data = made(40)
    x = stream_of(data, seed=0).take(0, B).x
    assert x.dtype == torch.uint8 and x.shape == (B, 3, 4, 4)
    assert x.is_contiguous(memory_format=torch.channels_last)
    x.zero_()  # a copy: the data cannot be harmed
    assert data.train.any()


def test_flip_mirrors_half_of_them_left_to_right() -> None:
    data = made(500)
    plain, flipped = (stream_of(data, seed=2, flip=flip).take(0, 2000).x for flip in (False, True))
    mirrored = (plain.flip(3) == flipped).flatten(1).all(1)
    same = (plain == flipped).flatten(1).all(1)
    assert bool((mirrored ^ same).all())
    assert 900 < int(mirrored.sum()) < 1100
    second = stream_of(data, seed=2, flip=True).take(2000, 2000)
    assert second.label is not None  # an image is mirrored in one pass and not in another
    assert (
        stream_of(data, 2, True).fingerprint != stream_of(data, 2, False).fingerprint == stream_of(data, 3).fingerprint
    )


def test_seeds_differ() -> None:
    data = made(203)
    first, second = (stream_of(data, seed=seed).take(0, 203).label for seed in (0, 1))
    assert first is not None and second is not None
    assert first.tolist() != second.tolist() and Counter(first.tolist()) == Counter(second.tolist())


def test_points_stream() -> None:
    ring = open_data("ring")
    stream = stream_of(ring, seed=4)
    assert isinstance(stream, PointStream) and isinstance(stream, Stream)
    x = stream.take(0, len(stream)).x
    assert x.dtype == torch.float32 and x.shape == (100_000, 2)
    assert sorted(map(tuple, x.tolist())) == sorted(map(tuple, ring.train.tolist()))


def test_an_empty_training_set_is_an_error() -> None:
    with pytest.raises(DataError):
        stream_of(made(0))
    with pytest.raises(ValueError, match="not negative"):
        stream_of(made(3)).take(-1, 2)


def test_opened_images_stream(folder: Callable[..., Path]) -> None:
    data = open_data(folder(23), size=(16, 16))
    x = stream_of(data, seed=0).take(0, len(data)).x
    assert {image.permute(1, 2, 0).numpy().tobytes() for image in x} == {row.tobytes() for row in data.train}


class Failing:
    """A stream whose sample 40 cannot be read; counts what is asked of it."""

    fingerprint = "failing"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 100

    def take(self, start: int, count: int) -> Batch:
        self.asked.append(start)
        if start <= 40 < start + count:
            raise OSError("disk on fire")
        return Batch(torch.arange(start, start + count))

    def news(self) -> tuple[News, ...]:
        return ()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_reaches_the_take_that_asked(workers: int) -> None:
    with Prefetch(Failing(), workers) as stream:
        for start in range(0, 40, 10):
            assert stream.take(start, 10).x[0] == start
        with pytest.raises(OSError, match="on fire"):
            stream.take(40, 10)
        assert stream.take(50, 10).x[0] == 50


def test_prefetching_is_bounded_and_ends() -> None:
    source = Failing()
    stream = Prefetch(source, 2)
    stream.take(1000, 10)
    assert max(source.asked, default=0) <= 1000 + 4 * 10
    stream.take(0, 7)  # an unforeseen jump, back to the start and with another size
    assert stream.take(3, 5).x.tolist() == [3, 4, 5, 6, 7]
    stream.close()
    stream.close()
    assert stream.take(70, 2).x.tolist() == [70, 71]
    assert len(stream) == 100 and stream.fingerprint == "failing"


class Breaking(Failing):
    """A stream that has news of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[News] = []

    def take(self, start: int, count: int) -> Batch:
        self.found.append(News("DATA-BROKEN", f"{start}"))
        return Batch(torch.arange(start, start + count))

    def news(self) -> tuple[News, ...]:
        found, self.found = self.found, []
        return tuple(found)


@pytest.mark.parametrize("workers", [0, 1])
def test_news_come_with_their_batch_however_far_ahead_threads_are(workers: int) -> None:
    with Prefetch(Breaking(), workers) as stream:
        for start in range(0, 60, 10):
            stream.take(start, 10)
            time.sleep(0.01)  # a thread that works ahead has time to
            assert [item.message for item in stream.news()] == [f"{start}"]
        assert stream.news() == []
