"""Images decoded on demand are the images that a cache would hold; a broken file is replaced, named and counted."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.data import Dataset, Prefetch, open_data, stream_of
from sparring.data.live import Live
from sparring.errors import DataError

Folder = Callable[..., Path]


def taken(data: Dataset, start: int, count: int, *, workers: int = 0) -> bytes:
    """A piece of the stream: pixels, labels and captions."""
    with Prefetch(stream_of(data, seed=3, flip=True), workers) as stream:
        batch = stream.take(start, count)
    labels = b"" if batch.label is None else batch.label.numpy().tobytes()
    return batch.x.contiguous().numpy().tobytes() + labels + repr(batch.text).encode()


def train_row(data: Dataset, name: str) -> int:
    """The training row of a file."""
    return [data.names[number] for number in data.index.tolist()].index(name)


@pytest.fixture
def described(folder: Folder) -> Path:
    """Forty images with labels and one to three captions each."""
    root = folder(40)
    lines = [
        {
            "file_name": f"{n:04d}.png",
            "label": "odd" if n % 2 else "even",
            "text": [f"{n}.{k}" for k in range(n % 3 + 1)],
        }
        for n in range(40)
    ]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return root


def test_on_demand_and_from_the_cache_are_one_stream(described: Path) -> None:
    cached, live = open_data(described, size=(16, 16), keep="on"), open_data(described, size=(16, 16), keep="off")
    assert isinstance(live.train, Live) and live.live and not cached.live
    assert live.fingerprint == cached.fingerprint and live.train.shape == cached.train.shape
    assert np.array_equal(live.train[3:9], cached.train[3:9]) and np.array_equal(live.train[-1], cached.train[-1])
    assert np.array_equal(live.held_out[:], cached.held_out)
    for start, count in [(0, 8), (35, 16), (10**9, 7), (5, 100)]:
        assert taken(live, start, count, workers=2) == taken(cached, start, count)


def test_nothing_is_kept_on_the_disk(described: Path, cache: Path) -> None:
    open_data(described, size=(16, 16), keep="off").close()
    assert not list(cache.rglob("images.npy")) and sum(f.stat().st_size for f in cache.rglob("*")) < 200_000


def test_captions_are_drawn_anew_and_belong_to_their_image(described: Path) -> None:
    data = open_data(described, size=(16, 16), held_out=0)
    stream, seen = stream_of(data, seed=0), set()
    batch = stream.take(0, 40 * 30)
    assert batch.text is not None and batch.label is not None
    for text, label in zip(batch.text, batch.label.tolist(), strict=True):
        number = int(text.split(".")[0])
        assert data.classes[label] == ("odd" if number % 2 else "even")
        seen.add(text)
    assert seen == {f"{n}.{k}" for n in range(40) for k in range(n % 3 + 1)}


# ── broken files ──────────────────────────────────────────────────────────────────────────────────────────────────


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def replaced(path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    "break_, reason",
    [
        (Path.unlink, "No such file"),
        (truncated, "content changed"),
        (replaced, "content changed"),
        (a_folder, "regular file|directory"),
        (a_pipe, "regular file"),
    ],
    ids=["deleted", "truncated", "replaced", "a folder", "a pipe"],
)
def test_a_file_that_breaks_is_replaced_and_named(folder: Folder, break_: Callable[[Path], None], reason: str) -> None:
    root = folder(200)
    data = open_data(root, size=(16, 16), keep="off", held_out=0)
    whole = open_data(root, size=(16, 16), keep="on", held_out=0)
    row = train_row(data, "0007.png")
    break_(root / "0007.png")
    assert isinstance(data.train, Live)
    pixels, used = data.train.fetch(np.arange(200))
    assert used[row] != row and (np.delete(used, row) == np.delete(np.arange(200), row)).all()
    assert np.array_equal(pixels, whole.train[used])
    news = data.train.news()
    assert len(news) == 1 and "0007.png" in news[0].message and not news[0].fatal
    assert re.search(reason, news[0].message)
    assert data.train.news() == []


def test_the_same_files_broken_the_same_stream(folder: Folder) -> None:
    root = folder(300)
    first, second = (open_data(root, size=(16, 16), keep="off") for _ in range(2))
    names = [first.names[number] for number in first.index[:2].tolist()]
    for name in names:
        (root / name).unlink()
    assert taken(first, 0, 600) == taken(second, 0, 600, workers=2)
    assert isinstance(second.train, Live) and set(second.train.lost) == {0, 1}


def test_above_one_percent_the_run_should_end(folder: Folder) -> None:
    root = folder(200)
    data = open_data(root, size=(16, 16), keep="off", held_out=0)
    assert isinstance(data.train, Live)
    names = [data.names[number] for number in data.index.tolist()]
    for name in names[:2]:
        (root / name).unlink()
    data.train.fetch(np.arange(200))
    assert [item.fatal for item in data.train.news()] == [False, False]  # 2 of 200 are exactly 1 %
    (root / names[2]).unlink()
    data.train.fetch(np.arange(200))
    news = data.train.news()
    assert [item.fatal for item in news] == [False, True] and "3 of 200" in news[1].message
    assert news[1].code == "DATA-LOST" and str(root) in news[1].message


def test_everything_gone_is_an_error_that_says_so(folder: Folder) -> None:
    root = folder(10)
    data = open_data(root, size=(16, 16), keep="off")
    for path in root.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="DATA-LOST"):
        stream_of(data).take(0, 4)


# ── several pictures in a file ────────────────────────────────────────────────────────────────────────────────────


def animation(path: Path, seed: int, frames: int, noise: Callable[..., Image.Image]) -> None:
    pictures = [noise(100 * seed + k) for k in range(frames)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)


def test_all_frames_are_used_and_stay_on_one_side_of_the_split(
    tmp_path: Path, noise: Callable[..., Image.Image]
) -> None:
    root = tmp_path / "films"
    root.mkdir()
    for n in range(30):
        animation(root / f"{n:02d}.png", n, 3, noise)
    first = open_data(root, size=(16, 16))
    assert first.report.found == 30 and any("--frames all" in warning for warning in first.report.warnings)
    data = open_data(root, size=(16, 16), frames="all")
    assert data.report.used + data.report.held_out == 90 and data.report.held_out == 6
    assert data.survey is not None and len(np.unique(data.survey.equal)) == 90
    assert not set(data.index.tolist()) & set(data.held_out_index.tolist())
    live = open_data(root, size=(16, 16), frames="all", keep="off")
    assert taken(live, 0, 90) == taken(data, 0, 90)
