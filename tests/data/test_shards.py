"""Shards hold what they were packed from: the same bytes, names, classes and captions, and so the same stream."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sparring.cli import main
from sparring.data import Prefetch, open_data, stream_of
from sparring.data import pack as packing
from sparring.data.options import Options
from sparring.data.pack import pack
from sparring.data.sources import open_source
from sparring.data.sources import parquet as reading
from sparring.data.sources.arrays import ArraySource
from sparring.data.sources.folder import FolderSource
from sparring.data.sources.items import Annotations, Item, Source, Unreadable
from sparring.data.sources.lazy import Lazy
from sparring.data.sources.shards import ParquetSource, is_shards, open_shards
from sparring.errors import DataError, MachineError, UsageError

N = 60


@pytest.fixture
def classes(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    """60 images in two class folders with captions for most, one file that is no image, one exact copy."""
    root = tmp_path / "animals"
    lines = []
    for number in range(N):
        name = f"{'cats' if number % 3 else 'dogs'}/{number:03d}.png"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise(number if number != 7 else 8).save(root / name)
        texts = [f"animal {number}", "ein Tier: ü"] if number % 5 else []
        lines.append(json.dumps({"file_name": name, "text": texts}))
    (root / "cats" / "broken.png").write_text("<html>404</html>")
    (root / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return root


def packed(source: Source, out: Path, *, annotations: Annotations | None = None, **settings: Any) -> ParquetSource:
    pack(source, annotations or source.own, range(len(source.items)), out, **settings)
    return open_shards(out)


def foreign(path: Path, images: list[bytes | None], *, nested: bool = True, group: int = 7, **columns: Any) -> Path:
    """A parquet file as others write it: compressed, in row groups."""
    image: Any = [{"bytes": data, "path": None} for data in images] if nested else images
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if nested else pa.binary()
    table = pa.table({"image": pa.array(image, kind), **columns})
    pq.write_table(table, path, row_group_size=group, compression="snappy")
    return path


def contents(source: Source) -> list[bytes]:
    found = [source.read(k) for k in range(len(source.items))]
    assert all(isinstance(data, bytes) for data in found)
    return [data for data in found if isinstance(data, bytes)]


# ── the same data ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_bytes_names_and_order_come_back(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(N))
    shards = packed(source, tmp_path / "out", shard_bytes=10_000)
    assert len(list((tmp_path / "out").glob("data-*-of-*.parquet"))) > 3
    assert contents(shards) == contents(source) and shards.direct
    assert list(shards.items.names) == list(source.items.names)
    assert shards.items[-1].name == source.items[-1].name
    assert [item.name for item in shards.items[3:9:2]] == [item.name for item in source.items[3:9:2]]
    assert len({item.stamp for item in shards.items}) == N


def test_row_groups_within_a_file(folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_GROUP_ROWS", 9)
    source = FolderSource(folder(N))
    shards = packed(source, tmp_path / "out")
    file = pq.ParquetFile(tmp_path / "out" / "data-00000-of-00001.parquet")
    assert file.metadata.num_row_groups == 7
    assert shards.direct and contents(shards) == contents(source)
    monkeypatch.setattr(reading.RowGroups, "value", None)  # nobody needs it
    assert contents(shards) == contents(source)


def test_equal_input_gives_equal_files(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(N))
    own = Annotations(np.arange(N) % 3, ("a", "b", "ü"), [("x", f"{k}") for k in range(N)], "test")
    for name in ("one", "two"):
        pack(source, own, range(N), tmp_path / name, shard_bytes=10_000)
    names = sorted(os.listdir(tmp_path / "one"))
    assert names == sorted(os.listdir(tmp_path / "two")) and "sparring.json" in names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_classes_and_captions_come_back(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(10))
    labels = np.array([0, 1, -1, 2, 0, 0, 1, 1, 2, -1])
    captions = [(), ("one",), ("a", "b"), *[(f"number {k}",) for k in range(3, 10)]]
    own = Annotations(labels, ("cat", "dog", "Bär"), captions, "metadata.jsonl")
    told = pack(source, own, [3, 2, 1, 9], tmp_path / "out")
    assert told["classes"] == {"cat": 0, "dog": 1, "Bär": 1} and told["captions"] == 4 and told["images"] == 4
    found = open_shards(tmp_path / "out").own
    assert found.labels is not None and found.labels.tolist() == [2, -1, 1, -1] and found.labels.dtype == np.int64
    assert found.classes == ("cat", "dog", "Bär") and found.origin == "parquet"
    assert found.captions is not None and list(found.captions) == [captions[k] for k in (3, 2, 1, 9)]


def test_what_hugging_face_is_told(folder: Callable[..., Path], tmp_path: Path) -> None:
    own = Annotations(np.zeros(5, np.int64), ("only",), [("a",)] * 5, "test")
    pack(FolderSource(folder(5)), own, range(5), tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "data-00000-of-00001.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == schema.names
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": ["only"], "_type": "ClassLabel"}
    assert features["text"] == {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
    assert schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize("keep", ["on", "off"])
@pytest.mark.parametrize("processes", [1, 2])
def test_the_stream_is_that_of_the_folder(classes: Path, tmp_path: Path, keep: Any, processes: int) -> None:
    told = packing.pack_data(str(classes), tmp_path / "out", Options(labels="folders"), shard_bytes=8_000)
    assert told["images"] == N and [name for name, _ in told["excluded"]] == ["cats/broken.png"]

    def digest(place: Path, start: int, processes: int, **settings: Any) -> str:
        """Of images, flips, labels and captions of three batches, each process with objects of its own."""
        batch, rounds, parts = 8, 3, []
        share = batch // processes
        for rank in range(processes):
            data = open_data(place, size=(16, 16), keep=keep, **settings)
            with Prefetch(stream_of(data, seed=4, flip=True), workers=2) as stream:
                parts.append([stream.take(start + k * batch + rank * share, share) for k in range(rounds)])
            data.close()
        found = hashlib.sha256()
        for taken in (parts[rank][k] for k in range(rounds) for rank in range(processes)):
            assert taken.label is not None and taken.text is not None
            for k in range(share):
                found.update(taken.x[k].contiguous().numpy().tobytes())
                found.update(f"{int(taken.label[k])} {taken.text[k]}".encode())
        return found.hexdigest()

    starts = np.random.default_rng(0).integers(0, 10**9, 8).tolist()
    one, two = (open_data(place, size=(16, 16), keep=keep, labels=labels)
                for place, labels in ((classes, "folders"), (tmp_path / "out", "auto")))  # fmt: skip
    assert one.fingerprint == two.fingerprint and one.classes == two.classes == ("cats", "dogs")
    assert [one.names[k] for k in one.index] == [two.names[k] for k in two.index]
    assert torch.equal(stream_of(one, 0).take(0, 100).x, stream_of(two, 0).take(0, 100).x)
    for start in starts:
        assert digest(classes, start, 1, labels="folders") == digest(tmp_path / "out", start, processes)


@pytest.mark.parametrize("name", ["emoji", "fashion"])
def test_pixels_are_packed_without_loss(name: str, tmp_path: Path) -> None:
    source = open_source(name)
    some = list(range(0, len(source.items), 97))
    pack(source, source.own, some, tmp_path / "out")
    shards = open_shards(tmp_path / "out")
    assert shards.direct
    for row, number in enumerate(some):
        here, there = shards.read(row), source.read(number)
        assert isinstance(here, np.ndarray) and np.array_equal(here, there) and here.dtype == np.uint8
    assert shards.own.labels is not None and source.own.labels is not None
    assert shards.own.labels.tolist() == source.own.labels[some].tolist() and shards.own.classes == source.own.classes


def test_pixels_of_any_size_and_kind(tmp_path: Path) -> None:
    for channels in (1, 3, 4):
        images = np.random.default_rng(0).integers(0, 256, (5, 3, 40, channels), dtype=np.uint8)
        source = ArraySource("made", "made", 5, lambda images=images: images, "1")
        shards = packed(source, tmp_path / f"out{channels}")
        assert all(np.array_equal(shards.read(k), images[k]) for k in range(5))


def test_packing_shards_again(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(N))
    once = packed(source, tmp_path / "once", shard_bytes=10_000)
    twice = packed(once, tmp_path / "twice")
    assert contents(twice) == contents(source) and list(twice.items.names) == list(source.items.names)


def test_threads_read_at_once(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(N))
    shards = packed(source, tmp_path / "out", shard_bytes=10_000)
    images = contents(source)
    other = open_shards(foreign(tmp_path / "other.parquet", [*images]))
    order = np.random.default_rng(0).integers(0, N, 400).tolist()
    for found in (shards, other):
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(found.read, order)) == [images[k] for k in order]


def test_names_that_are_no_utf8(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    root = tmp_path / "images"
    root.mkdir()
    for number, name in enumerate([b"\xff\xfe.png", "ü\n'<b>.png".encode(), b"-rf.png"]):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            noise(number).save(file, "PNG")
    shards = packed(FolderSource(root), tmp_path / "out")
    assert sorted(shards.items.names) == sorted(["\\xff\\xfe.png", "ü\n'<b>.png", "-rf.png"])


def test_a_file_that_vanishes_while_packing(folder: Callable[..., Path], tmp_path: Path) -> None:
    root = folder(10)
    source = FolderSource(root)
    (root / "0004.png").unlink()
    told = pack(source, source.own, range(10), tmp_path / "out", excluded=[("old.txt", "text, not an image")])
    assert told["images"] == 9
    assert [name for name, _ in told["excluded"]] == ["old.txt", "0004.png"]
    assert json.loads((tmp_path / "out" / "sparring.json").read_text()) == told


# ── where nothing may be written, and interruptions ───────────────────────────────────────────────────────────────


def test_only_an_empty_directory_is_taken(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(4))
    out = tmp_path / "out"
    out.mkdir()
    (out / "keep.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        packed(source, out)
    assert os.listdir(out) == ["keep.txt"]
    with pytest.raises(UsageError, match="this is a file"):
        packed(source, out / "keep.txt")
    (out / "keep.txt").rename(out / ".data-00000.parquet.part")
    with pytest.raises(UsageError, match="interrupted `sparring pack`"):
        packed(source, out)
    with pytest.raises(DataError, match="interrupted here"):
        pq.write_table(pa.table({"image": pa.array([b"x"])}), out / "data.parquet")
        open_source(str(out))
    with pytest.raises(UsageError, match="inside the data"):
        packing.pack_data(str(tmp_path / "images"), tmp_path / "images" / "packed", Options())


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: Any) -> int:
        self._room -= len(memoryview(data).cast("B"))
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 3_000, 40_000])
def test_a_full_disk_leaves_nothing(
    folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    def opened(path: Path, mode: str, **more: Any) -> Any:
        return Full(open(path, mode, **more), room) if mode == "xb" else open(path, mode, **more)

    monkeypatch.setattr(packing, "open", opened, raising=False)
    source = FolderSource(folder(N))
    with pytest.raises(MachineError, match="DISK-FULL"):
        packed(source, tmp_path / "out", shard_bytes=10**9 if room else 10_000)
    assert not (tmp_path / "out").exists()


def test_an_interruption_leaves_nothing(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(N))

    def stop(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        packed(source, tmp_path / "out", shard_bytes=8_000, progress=stop)
    assert os.listdir(tmp_path / "out") == []


def test_nothing_usable_leaves_nothing(tmp_path: Path, folder: Callable[..., Path]) -> None:
    root = folder(2)
    source = FolderSource(root)
    for path in root.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no usable image"):
        packed(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"PAR1",
        lambda data: b"not parquet at all" * 10,
        lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1",
        lambda data: data[:-60] + bytes(52) + data[-8:],
    ],
)
def test_a_damaged_file_is_named(folder: Callable[..., Path], tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    pack(FolderSource(folder(N)), Annotations(), range(N), tmp_path / "out", shard_bytes=10_000)
    victim = sorted((tmp_path / "out").glob("*.parquet"))[2]
    victim.write_bytes(harm(victim.read_bytes()))
    with pytest.raises(DataError, match="DATA-PARQUET") as caught:
        open_source(str(tmp_path / "out"))
    assert caught.value.where == str(victim) and caught.value.why and caught.value.fix


def test_a_missing_shard_is_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    pack(FolderSource(folder(N)), Annotations(), range(N), tmp_path / "out", shard_bytes=10_000)
    sorted((tmp_path / "out").glob("*.parquet"))[1].unlink()
    for _ in range(2):  # with what `pack` wrote beside them and without
        with pytest.raises(DataError, match="missing.*00001"):
            open_source(str(tmp_path / "out"))
        (tmp_path / "out" / "sparring.json").unlink(missing_ok=True)


def test_a_damaged_image_is_left_out_and_named(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(N))
    pack(source, source.own, range(N), tmp_path / "out")
    path = tmp_path / "out" / "data-00000-of-00001.parquet"
    data, image = path.read_bytes(), contents(source)[17]
    place = data.find(image) + len(image) // 2
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    shards = open_shards(tmp_path / "out")
    with pytest.raises(Unreadable, match="not those that were packed"):
        shards.read(17)
    assert [shards.read(k) for k in (16, 18)] == [contents(source)[k] for k in (16, 18)]
    report = open_data(tmp_path / "out", size=(16, 16)).report
    assert report.excluded == [("0017.png", "damaged: its bytes are not those that were packed")]


def test_an_index_that_is_wrong_is_not_believed(folder: Callable[..., Path], tmp_path: Path) -> None:
    """Another program wrote the file anew and kept the metadata: the places are wrong, the rows are not."""
    source = FolderSource(folder(N))
    pack(source, source.own, range(N), tmp_path / "out")
    path = tmp_path / "out" / "data-00000-of-00001.parquet"
    told = pq.ParquetFile(path).metadata.metadata[b"sparring"]
    table = pq.read_table(path)
    for compression in ("snappy", "none"):
        with pq.ParquetWriter(path, table.schema, compression=compression) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"sparring": told})
        shards = open_shards(tmp_path / "out")
        assert contents(shards) == contents(source)
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"sparring": b'{"format": 1, "pages": "nonsense"}'})
    assert contents(open_shards(tmp_path / "out")) == contents(source)


def test_files_that_vanish_or_change_after_opening(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = FolderSource(folder(N))
    shards = packed(source, tmp_path / "out", shard_bytes=10_000)
    victims = sorted((tmp_path / "out").glob("*.parquet"))
    victims[0].unlink()
    victims[1].write_bytes(victims[2].read_bytes())
    with pytest.raises(Unreadable) as caught:
        shards.read(0)
    assert caught.value.passing
    second = pq.read_metadata(victims[1]).num_rows + 3
    with pytest.raises(Unreadable, match="not those that were packed|cannot be read"):
        shards.read(second)
    assert shards.read(N - 1) == source.read(N - 1)
    assert open_shards(victims[-1]).stamp != open_shards(victims[-2]).stamp


def test_a_damaged_page_of_another_program(folder: Callable[..., Path], tmp_path: Path) -> None:
    images = contents(FolderSource(folder(N)))
    path = foreign(tmp_path / "other.parquet", [*images], group=10)
    chunk = pq.ParquetFile(path).metadata.row_group(2).column(0)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset : chunk.data_page_offset + 300] = bytes(300)
    path.write_bytes(data)
    source = open_shards(path)
    good = 0
    for k in [*range(N), 25, 24]:
        try:
            assert source.read(k) == images[k]
            good += 1
        except Unreadable as error:
            assert 20 <= k < 30 and "other.parquet" in str(error)
    assert good >= N - 10


# ── files of others ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def images(folder: Callable[..., Path]) -> list[bytes]:
    return contents(FolderSource(folder(30)))


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("piece", [1, 5_000, 2**25])
def test_compressed_files_in_any_order(
    images: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool, piece: int
) -> None:
    monkeypatch.setattr(reading, "_PIECE", piece)
    source = open_shards(foreign(tmp_path / "other.parquet", [*images], nested=nested))
    assert not source.direct and source.items[8].name == "other.parquet#8"
    order = [*range(30), *reversed(range(30)), *np.random.default_rng(0).integers(0, 30, 50).tolist()]
    assert [source.read(k) for k in order] == [images[k] for k in order]
    source.close()
    assert source.read(3) == images[3]


def test_a_stream_from_files_of_others(images: list[bytes], tmp_path: Path, folder: Callable[..., Path]) -> None:
    path = foreign(tmp_path / "other.parquet", [*images], label=pa.array(["b", "a", None] * 10))
    one, two = open_data(folder(30), size=(16, 16)), open_data(path, size=(16, 16), labels="none", keep="off")
    assert one.fingerprint == two.fingerprint
    assert any("sparring pack" in text for text in two.report.warnings)
    assert not any("sparring pack" in text for text in open_data(path, labels="none").report.warnings)
    assert torch.equal(stream_of(one, 1).take(5, 40).x, stream_of(two, 1).take(5, 40).x)


def test_rows_without_images(images: list[bytes], tmp_path: Path) -> None:
    rows: list[bytes | None] = [images[0], None, b"", b"<html>", *images[1:5]]
    source = open_shards(foreign(tmp_path / "other.parquet", rows))
    reasons = []
    for k in (1, 2, 3):
        with pytest.raises(Unreadable) as caught:
            source.read(k)
        reasons.append(str(caught.value))
    assert reasons[0].startswith("there is no image in this row") and reasons[1] == "empty (0 bytes)"
    assert "HTML" in reasons[2] or "not an image" in reasons[2]
    report = open_data(tmp_path / "other.parquet", size=(16, 16)).report
    assert report.found == 8 and len(report.excluded) == 3


def features(**told: Any) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": told}}).encode()}


def write(path: Path, metadata: dict[bytes, bytes] | None = None, **columns: Any) -> Path:
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path


def test_classes_of_others(images: list[bytes], tmp_path: Path) -> None:
    image = pa.array(images[:4], pa.binary())
    path = tmp_path / "x.parquet"
    told = features(image={"_type": "Image"}, fine={"_type": "ClassLabel", "names": ["ant", "bee", "cat"]})
    own = open_shards(write(path, told, image=image, fine=pa.array([2, 0, -1, None]))).own
    assert own.labels is not None and own.labels.tolist() == [2, 0, -1, -1] and own.classes == ("ant", "bee", "cat")
    own = open_shards(write(path, image=image, label=pa.array([2, 0, 3, 3], pa.uint8()))).own
    assert own.labels is not None and own.labels.tolist() == [2, 0, 3, 3] and own.classes == ("0", "1", "2", "3")
    own = open_shards(write(path, image=image, label=pa.array(["b", None, "a", "b"]).dictionary_encode())).own
    assert own.labels is not None and own.labels.tolist() == [1, -1, 0, 1] and own.classes == ("a", "b")
    own = open_shards(write(path, image=image, label=pa.array([70_000, 5, 70_000, -1]))).own
    assert own.labels is not None and own.labels.tolist() == [1, 0, 1, -1] and own.classes == ("5", "70000")
    own = open_shards(write(path, image=image)).own
    assert own.labels is None and own.classes == () and own.captions is None
    own = open_shards(write(path, told, image=image, fine=pa.array([2, 3, 1, 1]))).own
    assert own.labels is not None and own.labels.tolist() == [2, -1, 1, 1]
    assert "beyond the 3 that are named (row 1: 3)" in own.warnings[0]
    with pytest.raises(DataError, match=r"no label for 1 of 4.*\n.*row 1: 3"):
        open_data(path, size=(16, 16))
    assert open_data(path, size=(16, 16), labels="none").labels is None


def test_captions_of_others(images: list[bytes], tmp_path: Path) -> None:
    image, path = pa.array(images[:3], pa.binary()), tmp_path / "x.parquet"
    for texts, expected in (
        (pa.array(["a cat", None, ""]), [("a cat",), (), ()]),
        (pa.array([["a", "b"], None, []]), [("a", "b"), (), ()]),
        (pa.array(["x", "y", "z"], pa.large_string()), [("x",), ("y",), ("z",)]),
    ):
        own = open_shards(write(path, image=image, caption=texts)).own
        assert own.captions is not None and list(own.captions) == expected


def test_columns_are_found_named_or_asked_for(images: list[bytes], tmp_path: Path) -> None:
    data, path = pa.array(images[:3], pa.binary()), tmp_path / "x.parquet"
    nested = pa.array([{"bytes": image, "path": f"{k}.png"} for k, image in enumerate(images[:3])],
                      pa.struct([("bytes", pa.binary()), ("path", pa.string())]))  # fmt: skip
    assert open_shards(write(path, image=data, mask=data)).read(1) == images[1]
    assert open_shards(write(path, blob=data, photo=nested)).items[1].name == "1.png"
    assert open_shards(write(path, features(b={"_type": "Image"}), a=data, b=data)).read(1) == images[1]
    with pytest.raises(DataError, match="several columns could hold the images: left, right") as caught:
        open_shards(write(path, left=data, right=data))
    assert "image=NAME" in caught.value.fix and "left (binary)" in caught.value.why
    assert open_shards(path, [("image", "right")]).read(2) == images[2]
    with pytest.raises(DataError, match="no column is called 'middle'"):
        open_shards(path, [("image", "middle")])
    with pytest.raises(DataError, match="no column holds bytes"):
        open_shards(write(path, number=pa.array([1, 2])))
    twice = {"fine_label": pa.array([0, 1, 0]), "y": pa.array([5, 5, 6])}
    own = open_shards(write(path, image=data, **twice)).own
    assert own.labels is None and "fine_label, y" in own.warnings[0]
    own = open_shards(path, [("label", "y")]).own
    assert own.labels is not None and own.labels.tolist() == [5, 5, 6]
    with pytest.raises(DataError, match="neither whole numbers nor texts"):
        open_shards(path, [("label", "image")])
    with pytest.raises(DataError, match="holds no texts"):
        open_shards(path, [("text", "y")])


def test_names_of_others(images: list[bytes], tmp_path: Path) -> None:
    data, path = pa.array(images[:3], pa.binary()), tmp_path / "x.parquet"
    assert open_shards(write(path, image=data, file_name=pa.array(["c", "a", "b"]))).items.names[0] == "c"
    for names in (["a", "a", "b"], ["a", None, "b"]):
        source = open_shards(write(path, image=data, file_name=pa.array(names)))
        assert list(source.items.names) == [f"x.parquet#{k}" for k in range(3)]


def test_files_that_do_not_belong_together(images: list[bytes], tmp_path: Path) -> None:
    data = pa.array(images[:3], pa.binary())
    root = tmp_path / "set"
    root.mkdir()
    told = {name: {"_type": "ClassLabel", "names": [name]} for name in ("a", "b")}
    write(root / "1.parquet", features(label=told["a"]), image=data, label=pa.array([0, 0, 0]))
    write(root / "2.parquet", features(label=told["b"]), image=data, label=pa.array([0, 0, 0]))
    with pytest.raises(DataError, match="do not belong together") as caught:
        open_source(str(root))
    assert "classes" in caught.value.why and caught.value.where.endswith("2.parquet")
    write(root / "2.parquet", features(label=told["a"]), image=data, label=pa.array(["x", "y", "z"]))
    with pytest.raises(DataError, match="do not belong together"):
        open_source(str(root))


# ── which files ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_are_shards(images: list[bytes], tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    assert not is_shards(root) and not is_shards(tmp_path / "nowhere")
    path = foreign(root / "a.parquet", [*images])
    assert is_shards(root) and is_shards(path)
    unnamed = root / "unnamed"
    unnamed.write_bytes(path.read_bytes())
    assert is_shards(unnamed)
    (root / "cat.png").write_bytes(images[0])
    assert not is_shards(root)  # a folder of images that holds something else too
    (root / "cats").mkdir()
    (root / "cat.png").rename(root / "cats" / "1.png")
    assert not is_shards(root)
    (root / "cats" / "1.png").unlink()
    path.rename(root / "metadata.parquet")
    assert not is_shards(root)  # annotates images, as in Hugging Face's image folders
    (root / "metadata.parquet").rename(path)
    (root / "data").mkdir()
    path.rename(root / "data" / "a.parquet")
    assert is_shards(root) and len(open_source(str(root)).items) == 30


def test_the_split_train_is_read(images: list[bytes], tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for name, count in (("train-00000-of-00002", 5), ("train-00001-of-00002", 4), ("test-00000-of-00001", 3)):
        foreign(root / f"{name}.parquet", [*images[:count]])
    source = open_source(str(root))
    assert len(source.items) == 9 and "test" in source.own.warnings[0]
    (root / "train-00001-of-00002.parquet").unlink()
    assert any("1 of 2 shards are missing" in text for text in open_source(str(root)).own.warnings)


def test_options_reach_the_columns(images: list[bytes], tmp_path: Path) -> None:
    data = pa.array(images[:3], pa.binary())
    path = write(tmp_path / "x.parquet", left=data, right=data)
    assert len(open_source(str(path), Options(columns=(("image", "left"),))).items) == 3


# ── memory, and life without pyarrow ──────────────────────────────────────────────────────────────────────────────


def test_lazy_sequences() -> None:
    lazy = Lazy(5, lambda k: k * k)
    assert list(lazy) == [0, 1, 4, 9, 16] and lazy[-1] == 16 and lazy[1:3] == [1, 4] and len(lazy) == 5
    with pytest.raises(IndexError):
        lazy[5]


def test_no_object_is_kept_for_a_row(tmp_path: Path) -> None:
    """100,000 rows: the index is a few arrays, about 60 bytes a row."""
    import tracemalloc

    n = 100_000
    image = pa.array([{"bytes": b"x", "path": f"some/folder/{k:07d}.png"} for k in range(n)],
                     pa.struct([("bytes", pa.binary()), ("path", pa.string())]))  # fmt: skip
    path = write(tmp_path / "x.parquet", image=image, label=pa.array(np.arange(n) % 10), text=pa.array(["a"] * n))
    del image
    tracemalloc.start()
    before, held = tracemalloc.get_traced_memory()[0], pa.total_allocated_bytes()
    source = open_shards(path)
    used = tracemalloc.get_traced_memory()[0] - before + pa.total_allocated_bytes() - held
    tracemalloc.stop()
    assert len(source.items) == n and source.items[n - 1] == Item(
        f"some/folder/{n - 1:07d}.png", source.items[-1].stamp
    )
    assert used < 130 * n


def test_without_pyarrow(images: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    for act in (
        lambda: open_source(str(tmp_path / "x.parquet")),
        lambda: pack(FolderSource(tmp_path / "images"), Annotations(), range(3), tmp_path / "out"),
    ):
        with pytest.raises(MachineError, match="EXTRA") as caught:
            act()
        assert caught.value.fix == 'pip install "sparring[shards]"'
    assert not (tmp_path / "out").exists()


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command(classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my shards"
    assert main(["pack", str(classes), str(out), "--labels", "folders", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["images"] == N and told["classes"] == {"cats": 40, "dogs": 20}
    assert f"sparring train '{out}'" in said.err and "left out 1:\n  cats/broken.png" in said.err
    assert "captions: of 48 images" in said.err
    assert main(["pack", str(classes), str(out)]) == 2
    assert main(["pack", "ring", str(tmp_path / "ring")]) == 2
    assert main(["pack", str(classes), str(tmp_path / "x"), "--shard-size", "0"]) == 2
    assert main(["pack", str(tmp_path / "nowhere"), str(tmp_path / "x")]) == 3
    assert main(["pack", str(classes), str(tmp_path / "x"), "--on-bad", "stop"]) == 3
    assert not (tmp_path / "x").exists() and not (tmp_path / "ring").exists()
