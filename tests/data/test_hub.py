"""Data sets of the hub, against a stand-in on 127.0.0.1: no test needs the network."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.data.hub_server import Hub, serving

from sparring.data import Dataset, open_data, stream_of
from sparring.data.labels import annotate
from sparring.data.options import Options
from sparring.data.sources import Source, open_source
from sparring.data.sources.hub import Address, open_hub
from sparring.errors import DataError, MachineError, SparringError, UsageError

pytest.importorskip("huggingface_hub")
pytest.importorskip("pyarrow")

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("cat", "dog", "fox")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, with a cache of its own, no token and no proxy."""
    from huggingface_hub import close_session, constants

    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)  # which would ask another host
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()  # a client reads the proxies of the environment when it is made
    with serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served
        close_session()


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Source]:
    """opened(text, columns=…): the source, with a cache of this test."""
    return lambda text, **options: open_hub(text, Options(**options), tmp_path / "cache")


def png(seed: int) -> bytes:
    memory = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(values).save(memory, "PNG")
    return memory.getvalue()


def folders(count: int = 12, start: int = 0) -> dict[str, bytes]:
    """Images in class folders, as they would lie in a folder on disk."""
    return {f"{CLASSES[k % 3]}/{k:03d}.png": png(k) for k in range(start, start + count)}


def below(prefix: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{prefix}/{name}": data for name, data in files.items()}


def local(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def parquet(
    files: dict[str, bytes], *, image: str = "image", label: str = "label", captions: bool = True, told: bool = True
) -> bytes:
    """A table as the library `datasets` writes it: images as structs, classes named in the metadata of the schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({
        image: pa.array([{"bytes": data, "path": name.replace("/", "-")} for name, data in files.items()]),
        label: pa.array([CLASSES.index(name.split("/")[0]) for name in files], pa.int64()),
        "caption": pa.array([f"a picture of {name}" for name in files]),
    })  # fmt: skip
    features = {image: {"_type": "Image"}, label: {"names": CLASSES, "_type": "ClassLabel"},
                "caption": {"dtype": "string", "_type": "Value"}}  # fmt: skip
    if not captions:
        table = table.drop_columns("caption")
    if told:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    memory = io.BytesIO()
    pq.write_table(table, memory)
    return memory.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return memory.getvalue()


def drawn(dataset: Dataset) -> bytes:
    return stream_of(dataset, seed=3, flip=True).take(5, 40).x.numpy().tobytes()


def contents(source: Source) -> list[bytes]:
    return [bytes(source.read(k)) for k in range(len(source.items))]


def refused(call: Callable[[], Any]) -> SparringError:
    with pytest.raises(SparringError) as caught:
        call()
    assert caught.value.fix, "an error says how to mend it"
    return caught.value


# ── layouts: each gives the stream of the folder with the same images ─────────────────────────────────────────────


def bare(files: dict[str, bytes]) -> bytes:
    return parquet(files, captions=False)


LAYOUTS: dict[str, Callable[[dict[str, bytes], dict[str, bytes]], dict[str, bytes]]] = {
    "imagefolder": lambda train, test: {**below("train", train), **below("test", test)},
    "imagefolder in data": lambda train, test: {**below("data/train", train), **below("data/test", test)},
    "one parquet": lambda train, test: {
        "data/train-00000-of-00001.parquet": bare(train), "data/test-00000-of-00001.parquet": bare(test)},
    "config/split/0000": lambda train, test: {
        "default/train/0000.parquet": bare(train), "default/test/0000.parquet": bare(test)},
    "zips": lambda train, test: {"train.zip": archive(train), "data/test.zip": archive(test)},
    "said by the README": lambda train, test: {
        "README.md": b"---\nconfigs:\n- config_name: pets\n  data_files:\n  - split: train\n    path: 'a/**'\n"
                     b"  - split: test\n    path: b/*\n---\n",
        **below("a", train), "b/some.parquet": bare(test)},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_stream_is_that_of_the_local_folder(hub: Hub, tmp_path: Path, name: str) -> None:
    train, test = folders(), folders(6, start=50)
    readme = {"README.md": b"# A data set", ".gitattributes": b"*.png lfs", "logo.png": png(999)}
    hub.add("us/pets", {**readme, **LAYOUTS[name](train, test)})
    for split, files in (("", train), ("/test", test)):
        beside = open_data(local(tmp_path / f"local{split}" / "images", files), labels="none")
        found = open_data(f"hf:us/pets{split}", labels="none")
        assert found.fingerprint == beside.fingerprint
        assert drawn(found) == drawn(beside)
        assert found.report.excluded == [] and found.name == "pets"
    # the logo at the top is nobody's business, and each file was sent once
    assert "logo.png" not in hub.fetched() and len(hub.fetched()) == len(set(hub.fetched()))


def test_only_files_of_the_split_are_fetched(hub: Hub, opened: Callable[..., Source]) -> None:
    hub.add("us/pets", {**below("train", folders(3)), **below("test", folders(2, start=9)), "README.md": b"x",
                        "train/notes.txt": b"words", "model.bin": b"0" * 999})  # fmt: skip
    assert len(opened("hf:us/pets/test").items) == 2
    assert sorted(hub.fetched()) == ["README.md", "test/cat/009.png", "test/dog/010.png"]


def test_class_folders_and_metadata(hub: Hub, opened: Callable[..., Source]) -> None:
    rows = "\n".join(
        json.dumps({"file_name": f"{k}.png", "label": CLASSES[k % 2], "text": f"No. {k}"}) for k in range(4)
    )
    hub.add("us/folders", below("train", folders()))
    hub.add("us/rows", {**{f"train/{k}.png": png(k) for k in range(4)}, "train/metadata.jsonl": rows.encode()})
    hub.add("us/above", {**{f"images/{k}.png": png(k) for k in range(4)},
                         "metadata.csv": b"file_name,text\nimages/0.png,none\nimages/3.png,three\n"})  # fmt: skip
    found = annotate(opened("hf:us/folders"), Options(labels="folders"))
    assert found.classes == CLASSES and found.labels is not None and np.bincount(found.labels).tolist() == [4, 4, 4]
    found = annotate(opened("hf:us/rows"), Options())
    assert found.classes == ("cat", "dog") and found.labels is not None and found.labels.tolist() == [0, 1, 0, 1]
    assert found.captions is not None and found.captions[2] == ("No. 2",)
    source = opened("hf:us/above")
    assert source.items.names == [f"images/{k}.png" for k in range(4)]
    found = annotate(source, Options())
    assert found.captions is not None and list(found.captions) == [("none",), (), (), ("three",)]


def test_classes_and_captions_of_parquet(hub: Hub, opened: Callable[..., Source]) -> None:
    files = folders(7)
    hub.add("us/pets", {"data/train-00000-of-00002.parquet": parquet(dict(list(files.items())[:3])),
                        "data/train-00001-of-00002.parquet": parquet(dict(list(files.items())[3:]))})  # fmt: skip
    source = opened("hf:us/pets")
    found = annotate(source, Options())
    assert contents(source) == list(files.values())
    assert found.classes == CLASSES and found.origin == "parquet"
    assert found.labels is not None and found.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert found.captions is not None and found.captions[4] == ("a picture of dog/004.png",)
    assert not source.own.warnings
    source.close()


def test_columns_can_be_named(hub: Hub, opened: Callable[..., Source]) -> None:
    hub.add("us/odd", {"train.parquet": parquet(folders(3), image="pixels", label="what", told=False)})
    found = annotate(opened("hf:us/odd", columns=(("image", "pixels"), ("label", "what"))), Options())
    assert found.labels is not None and found.labels.tolist() == [0, 1, 2]
    error = refused(lambda: opened("hf:us/odd", columns=(("image", "picture"),)))
    assert "picture" in str(error) and isinstance(error, DataError)


def test_classes_named_by_the_readme_alone(hub: Hub, opened: Callable[..., Source]) -> None:
    readme = """---
dataset_info:
- config_name: other
  features: []
- config_name: default
  features:
  - {name: image, dtype: image}
  - name: label
    dtype:
      class_label:
        names: {'0': cat, '1': dog, '2': fox}
---"""
    hub.add("us/pets", {"README.md": readme.encode(), "train.parquet": parquet(folders(4), told=False)})
    source = opened("hf:us/pets")
    assert source.own.classes == CLASSES
    assert opened("hf:us/pets", columns=(("label", "label"),)).own.classes == CLASSES
    hub.add("us/bare", {"train.parquet": parquet(folders(4), told=False)})
    assert opened("hf:us/bare").own.classes == ("0", "1", "2")


def test_splits_may_share_a_folder(hub: Hub, opened: Callable[..., Source]) -> None:
    rules = b"---\nconfigs:\n- data_files: {train: img/a_*, test: [img/b_*]}\n---"
    hub.add("us/pets", {"README.md": rules, "img/a_1.png": png(1), "img/b_1.png": png(2), "img/b_2.png": png(3)})
    assert opened("hf:us/pets/test").items.names == ["b_1.png", "b_2.png"]
    assert opened("hf:us/pets").items.names == ["a_1.png"]
    assert contents(opened("hf:us/pets/test")) == [png(2), png(3)]


def test_missing_parts_are_told(hub: Hub, opened: Callable[..., Source]) -> None:
    hub.add("us/cut", {"data/train-00001-of-00003.parquet": parquet(folders(3))})
    assert "2 of the split's files are missing" in opened("hf:us/cut").own.warnings[0]


def test_scripts_are_never_run(hub: Hub, opened: Callable[..., Source], tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    script = f"open({str(trap)!r}, 'w')".encode()
    hub.add("us/made", {"made.py": script, "urls.txt": b"https://example.org"})
    error = refused(lambda: opened("hf:us/made"))
    assert error.code == "HUB-EMPTY" and "made.py" in error.why and "never executed" in error.why
    copy = hub.add("us/made", {"some/partial-train/0000.parquet": parquet(folders(4))}, "refs/convert/parquet")
    source = opened("hf:us/made")
    assert source.place == f"hf:us/made@{copy}" and len(source.items) == 4
    assert "only the beginning" in source.own.warnings[0]
    assert contents(opened(source.place)) == contents(source)
    assert refused(lambda: opened("hf:us/made/test")).code == "HUB-SPLIT"
    assert not trap.exists() and "made.py" not in hub.fetched()


@pytest.mark.parametrize("files", [{}, {"a.csv": b"1,2"}, {"data/train-0.tar": b"t", "README.md": b"x"}])
def test_no_images_inside(hub: Hub, opened: Callable[..., Source], files: dict[str, bytes]) -> None:
    hub.add("us/none", files)
    error = refused(lambda: opened("hf:us/none"))
    assert error.code == "HUB-EMPTY" and ("no file at all" in error.why if not files else "1 ." in error.why)


def test_several_zips_are_named(hub: Hub, opened: Callable[..., Source]) -> None:
    hub.add("us/zips", {f"photos_{k}.zip": archive(folders(2, start=k)) for k in range(3)})
    error = refused(lambda: opened("hf:us/zips"))
    assert error.code == "HUB-LAYOUT" and "photos_0.zip" in error.why


# ── which split ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_choice_of_configuration_and_split(hub: Hub, opened: Callable[..., Source]) -> None:
    sizes = {"big/train": 5, "big/val": 2, "small/train": 3}
    hub.add("us/two", {f"{name}-00000-of-00001.parquet": parquet(folders(count)) for name, count in sizes.items()})
    assert len(opened("hf:us/two/big").items) == 5
    assert len(opened("hf:us/two/small/train").items) == 3
    for word in ("val", "validation", "valid"):
        assert len(opened(f"hf:us/two/big/{word}").items) == 2
    for text, code, near in (
        ("hf:us/two", "HUB-CONFIG", "hf:us/two/big"),
        ("hf:us/two/train", "HUB-CONFIG", "hf:us/two/big/train"),
        ("hf:us/two/bog", "HUB-CONFIG", "did you mean big?"),
        ("hf:us/two/small/trian", "HUB-SPLIT", "did you mean train?"),
        ("hf:us/two/small/test", "HUB-SPLIT", "name one"),
    ):
        error = refused(lambda text=text: opened(text))  # type: ignore[misc]
        assert (error.code, error.where) == (code, text) and near in error.fix, text
    assert "big, small" in refused(lambda: opened("hf:us/two")).why


def test_a_single_split_is_meant_whatever_its_name(hub: Hub, opened: Callable[..., Source]) -> None:
    hub.add("us/one", {"data/only-00000-of-00001.parquet": parquet(folders(3))})
    assert len(opened("hf:us/one").items) == len(opened("hf:us/one/only").items) == 3
    hub.add("us/both", {"test/1.png": png(1), "val/1.png": png(2)})
    error = refused(lambda: opened("hf:us/both"))
    assert error.code == "HUB-SPLIT" and "test, validation" in error.why and error.fix.endswith("hf:us/both/test")


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:pets", "hf:us/pets/a/b/c", "hf:us/pets@", "hf:us/../pets", "hf:us/pe ts", "hf:us/-pets", "hf:/a/b"],
)
def test_names_that_are_none(hub: Hub, opened: Callable[..., Source], text: str) -> None:
    error = refused(lambda: opened(text))
    assert isinstance(error, UsageError) and "hf:owner/name" in error.fix
    assert hub.asked == []


def test_parts_of_a_name() -> None:
    asked = Address.of("hf:us/pets/big/test@refs/convert/parquet")
    assert (asked.repository, asked.words, asked.revision) == ("us/pets", ("big", "test"), "refs/convert/parquet")
    assert asked.at("0" * 40) == "hf:us/pets/big/test@" + "0" * 40


def test_open_source_knows_the_hub(hub: Hub, tmp_path: Path) -> None:
    hub.add("us/pets", below("train", folders(3)))
    assert len(open_source("hf:us/pets", cache_root=tmp_path / "cache").items) == 3


# ── pinned ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pinned_source_keeps_its_bytes(hub: Hub, opened: Callable[..., Source], tmp_path: Path) -> None:
    old, new = below("train", folders(3)), below("train", folders(3, start=30))
    first = hub.add("us/pets", old)
    source = opened("hf:us/pets")
    assert source.place == f"hf:us/pets@{first}" and contents(source) == list(old.values())
    second = hub.add("us/pets", new)
    assert contents(opened(source.place)) == list(old.values())
    moved = opened("hf:us/pets")
    assert moved.place == f"hf:us/pets@{second}" and contents(moved) == list(new.values())
    assert moved.stamp != source.stamp and opened(source.place).stamp == source.stamp
    # on another machine, where nothing is cached, the old text gives the old bytes too
    shutil.rmtree(tmp_path / "hf")
    shutil.rmtree(tmp_path / "cache")
    assert contents(opened(source.place)) == list(old.values())


def test_tags_and_branches(hub: Hub, opened: Callable[..., Source]) -> None:
    tagged = hub.add("us/pets", below("train", folders(2)), "v1.0")
    hub.add("us/pets", below("train", folders(5)))
    assert opened("hf:us/pets@v1.0").place == f"hf:us/pets@{tagged}"
    error = refused(lambda: opened("hf:us/pets@v2"))
    assert error.code == "HUB-REVISION" and "'v2'" in error.what
    assert refused(lambda: opened(f"hf:us/pets@{'0' * 40}")).code == "HUB-REVISION"


def test_the_second_time_nobody_is_asked(hub: Hub, opened: Callable[..., Source]) -> None:
    for name, files in (("us/pets", below("train", folders())), ("us/table", {"train.parquet": parquet(folders())}),
                        ("us/zip", {"README.md": b"x", "train.zip": archive(folders())})):  # fmt: skip
        hub.add(name, files)
        source = opened(f"hf:{name}")
        before = contents(source)
        hub.asked.clear()
        assert contents(opened(source.place)) == before
        assert hub.asked == []
        opened(f"hf:{name}")  # where main is now: one question
        assert len(hub.asked) == 1


# ── offline, refused, broken ──────────────────────────────────────────────────────────────────────────────────────


def test_offline_with_and_without_a_copy(
    hub: Hub, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.add("us/pets", {**below("train", folders(4)), **below("test", folders(2, start=70))})
    place = opened("hf:us/pets").place
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for text in ("hf:us/pets", "hf:us/pets@main", place):
        source = opened(text)
        assert source.place == place and len(source.items) == 4 and source.own.warnings == ()
    error = refused(lambda: opened("hf:us/pets/test"))
    assert isinstance(error, MachineError) and error.code == "HUB-OFFLINE" and "2 of its 2 files" in error.why
    error = refused(lambda: opened("hf:us/others"))
    assert error.code == "HUB-OFFLINE" and "HF_HUB_OFFLINE" in error.what and "local copy" in error.fix
    # a cache that came from elsewhere, without our notes: what lies there is what there is
    shutil.rmtree(tmp_path / "cache")
    assert contents(opened("hf:us/pets")) == contents(opened(place)) and len(opened(place).items) == 4
    assert hub.asked == []


def test_incomplete_copies_from_elsewhere_are_refused(
    hub: Hub, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.add("us/table", {f"data/train-0000{k}-of-00002.parquet": parquet(folders(2, start=k)) for k in range(2)})
    place = opened("hf:us/table").place
    next((tmp_path / "hf").rglob("snapshots/*/data/*-of-*")).unlink()
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = refused(lambda: opened(place))
    assert error.code == "HUB-OFFLINE" and "only some files" in error.what


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_unreachable(hub: Hub, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("us/pets", below("train", folders(3)))
    place = opened("hf:us/pets").place
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    assert opened(place).own.warnings == ()
    source = opened("hf:us/pets")
    assert source.place == place and "cannot be reached" in source.own.warnings[0]
    for text in ("hf:us/others", f"hf:us/others@{'1' * 40}"):
        error = refused(lambda text=text: opened(text))  # type: ignore[misc]
        assert isinstance(error, MachineError) and error.code == "HUB-UNREACHABLE" and "local copy" in error.fix


def test_an_ailing_hub(hub: Hub, opened: Callable[..., Source]) -> None:
    hub.add("us/pets", below("train", folders(3)))
    hub.fail = 503
    error = refused(lambda: opened("hf:us/pets"))
    assert isinstance(error, MachineError) and "(503)" in error.what
    hub.fail = 429
    assert "(429)" in refused(lambda: opened("hf:us/pets")).what
    hub.fail = 0
    place = opened("hf:us/pets").place
    hub.fail = 500
    assert opened("hf:us/pets").place == place


def test_files_that_are_refused(hub: Hub, opened: Callable[..., Source]) -> None:
    hub.add("us/pets", below("train", folders(20)))
    for status, code in ((403, "HUB-ACCESS"), (401, "HUB-ACCESS"), (404, "HUB-MISSING")):
        hub.fail_files = status
        assert refused(lambda: opened("hf:us/pets")).code == code, status
    hub.fail_files = 0
    assert len(opened("hf:us/pets").items) == 20


def test_access(hub: Hub, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("us/private", below("train", folders(2)))
    hub.add("us/gated", below("train", folders(2)))
    hub.repositories["us/private"].token = hub.repositories["us/gated"].token = "hf_secret"
    hub.repositories["us/gated"].gated = True
    error = refused(lambda: opened("hf:us/private"))
    assert error.code == "HUB-MISSING" and "private" in error.what and "HF_TOKEN" in error.fix
    assert refused(lambda: opened("hf:us/nowhere")).code == "HUB-MISSING"
    error = refused(lambda: opened("hf:us/gated"))
    assert error.code == "HUB-ACCESS" and "/datasets/us/gated" in error.fix and "login" in error.fix
    for status in (401, 403):
        hub.fail = status
        assert refused(lambda: opened("hf:us/gated")).code == "HUB-ACCESS"
    hub.fail = 0
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert len(opened("hf:us/private").items) == len(opened("hf:us/gated").items) == 2
    assert hub.tokens == {("127.0.0.1", "hf_secret")}


def test_damaged_copies_are_fetched_again(hub: Hub, opened: Callable[..., Source], tmp_path: Path) -> None:
    hub.add("us/pets", below("train", folders(3)))
    source = opened("hf:us/pets")
    whole = contents(source)
    first, second, _ = sorted((tmp_path / "hf").rglob("snapshots/*/train/*/*.png"))
    first.resolve().write_bytes(b"cut")
    second.resolve().unlink()
    hub.asked.clear()
    assert contents(opened(source.place)) == whole
    assert len(hub.fetched()) == 2


def test_large_files_lie_elsewhere(hub: Hub, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.large = 500
    files = folders(3)
    hub.add("us/pets", below("train", files))
    hub.repositories["us/pets"].token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert contents(opened("hf:us/pets")) == list(files.values())
    assert sum(path.startswith("/elsewhere/") for _, path in hub.asked) == 3
    assert hub.tokens == {("127.0.0.1", "hf_secret")}, "where files lie is not told who asks"


def test_progress_is_told_and_nothing_printed(hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hub.add("us/pets", {f"train/{k}.png": bytes([k]) * 2**20 for k in range(4)})
    told: list[tuple[str, int, int]] = []
    open_hub("hf:us/pets", Options(), tmp_path / "cache", lambda *what: told.append(what))
    assert told[0] == ("listing", 1, 0)
    counts = [count for stage, *count in told if stage == "fetching MiB"]
    assert counts[0] == [0, 4] and counts[-1] == [4, 4] and counts == sorted(counts)
    assert capfd.readouterr() == ("", "")


def test_an_interrupted_download_goes_on_later(hub: Hub, opened: Callable[..., Source], tmp_path: Path) -> None:
    files = {f"train/{k:02d}.png": png(k) + bytes([k]) * 2**19 for k in range(40)}
    hub.add("us/pets", files)
    stale = tmp_path / "hf" / "hub" / "datasets--us--pets" / "blobs" / "0.1.incomplete"
    stale.parent.mkdir(parents=True)
    stale.touch()
    os.utime(stale, (0, 0))

    def enough(stage: str, done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_hub("hf:us/pets", Options(), tmp_path / "cache", enough)
    for thread in threading.enumerate():  # on a slow machine they may take longer than they were given
        if thread.name == "fetch":
            thread.join(60)
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    first = len(list((tmp_path / "hf").rglob("snapshots/*/train/*.png")))
    hub.asked.clear()
    assert contents(opened("hf:us/pets")) == list(files.values())
    assert len(hub.fetched()) == 40 - first


def test_no_space(hub: Hub, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("us/pets", below("train", folders(3)))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    error = refused(lambda: opened("hf:us/pets"))
    assert isinstance(error, MachineError) and error.code == "DISK-FULL" and "HF_HOME" in error.fix
    assert hub.fetched() == []


def test_without_the_library(opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    error = refused(lambda: opened("hf:us/pets"))
    assert isinstance(error, MachineError) and error.code == "EXTRA" and "sparring[hub]" in error.fix


def test_without_pyarrow_no_table_is_fetched(
    hub: Hub, opened: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("us/pets", {"train.parquet": parquet(folders(2))})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    error = refused(lambda: opened("hf:us/pets"))
    assert error.code == "EXTRA" and "sparring[hub]" in error.fix and hub.fetched() == []


def test_a_new_process_follows_its_environment(hub: Hub, tmp_path: Path, opened: Callable[..., Source]) -> None:
    """The library reads its environment when it is imported: then offline is its own law, not only ours."""
    hub.add("us/pets", below("train", folders(3)))
    place = opened("hf:us/pets").place
    hub.asked.clear()
    code = (
        "import sys\nfrom pathlib import Path\nfrom sparring.data.sources.hub import open_hub\n"
        "from sparring.data.options import Options\nfrom sparring.errors import SparringError\n"
        "for text in sys.argv[2:]:\n"
        "    try: source = open_hub(text, Options(), Path(sys.argv[1]))\n"
        "    except SparringError as error: print(error.code)\n"
        "    else: print(source.place, len(source.items), source.own.warnings)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    texts = ["hf:us/pets", place, "hf:us/pets/test", "hf:us/others"]
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "cache"), *texts], env=environment, cwd=ROOT,
                          capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
    assert done.stdout.splitlines() == [f"{place} 3 ()", f"{place} 3 ()", "HUB-SPLIT", "HUB-OFFLINE"]
    assert hub.asked == []
