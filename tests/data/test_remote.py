"""Data behind an address: copied once, checked against what the other side says, used when it is out of reach."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from sparring.data.options import Options
from sparring.data.pack import pack
from sparring.data.sources import open_source, remote
from sparring.data.sources.folder import FolderSource
from sparring.data.sources.items import Source
from sparring.errors import DataError, MachineError


class Failing(MemoryFileSystem):
    """A memory that can be out of reach, breaks off transfers, or sends too little."""

    protocol = "failing"
    cachable = False
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    down = False
    breaks_at: int | None = None  # transfers until one breaks
    cut = 0
    transfers: list[str] = []

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(str(path).replace("failing://", "memory://"))

    def info(self, path: str, **kwargs: Any) -> Any:
        if Failing.down:
            raise ConnectionError("name or service not known")
        return super().info(path, **kwargs)

    def get_file(self, rpath: str, lpath: str, **kwargs: Any) -> None:
        Failing.transfers.append(rpath)
        if Failing.breaks_at is not None and len(Failing.transfers) > Failing.breaks_at:
            raise ConnectionResetError("connection reset by peer")
        super().get_file(rpath, lpath, **kwargs)
        if Failing.cut:
            os.truncate(lpath, os.path.getsize(lpath) - Failing.cut)


@pytest.fixture
def failing() -> Iterator[type[Failing]]:
    fsspec.register_implementation("failing", Failing, clobber=True)
    Failing.store, Failing.pseudo_dirs, Failing.transfers = {}, [""], []
    Failing.down, Failing.breaks_at, Failing.cut = False, None, 0
    yield Failing
    Failing.store = {}


_number = itertools.count()


@pytest.fixture
def memory() -> Iterator[str]:
    """A place in memory:// of its own."""
    place = f"/test{next(_number)}"
    yield place
    fsspec.filesystem("memory").rm(place, recursive=True)


@pytest.fixture
def packed(folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """packed(n): n images in shards of about 10."""

    def make(n: int, name: str = "packed") -> Path:
        source = FolderSource(folder(n, f"images-{name}"))
        pack(source, source.own, range(n), tmp_path / name, shard_bytes=10_000)
        return tmp_path / name

    return make


def upload(shards: Path, protocol: str, place: str) -> None:
    system = fsspec.filesystem(protocol)
    for path in sorted(shards.iterdir()):
        system.pipe(f"{place}/{path.name}", path.read_bytes())


def contents(source: Source) -> list[bytes]:
    found = [source.read(k) for k in range(len(source.items))]
    return [data for data in found if not isinstance(data, np.ndarray)]


def local(shards: Path) -> list[bytes]:
    return contents(open_source(str(shards)))


def test_addresses_and_paths() -> None:
    for text in ("s3://b/x", "gs://b", "hf://datasets/a/b", "https://x.org/y.zip", "memory://a", "file:///tmp/a"):
        assert remote.is_url(text)
    for text in ("photos", "./s3:/x", "C:\\photos", "c://photos", "hf:owner/name", "://x", ""):
        assert not remote.is_url(text)


def test_a_folder_of_shards_in_memory(packed: Callable[..., Path], memory: str, tmp_path: Path) -> None:
    shards = packed(23)
    upload(shards, "memory", memory)
    told: list[tuple[str, int, int]] = []
    source = open_source(
        f"memory:/{memory}", Options(), tmp_path / "cache", lambda stage, done, total: told.append((stage, done, total))
    )
    assert source.place == f"memory:/{memory}" and source.name == memory.strip("/")
    assert contents(source) == local(shards) and len(source.items) == 23 and told
    assert not source.own.warnings


def test_shards_below_data_and_other_files(packed: Callable[..., Path], memory: str, tmp_path: Path) -> None:
    shards = packed(12)
    upload(shards, "memory", f"{memory}/data")
    fsspec.filesystem("memory").pipe(f"{memory}/README.md", b"a card")
    fsspec.filesystem("memory").pipe(f"{memory}/deep/er/other.parquet", b"not ours")
    assert contents(open_source(f"memory:/{memory}", Options(), tmp_path / "cache")) == local(shards)


def test_one_parquet_file_and_a_zip_by_file(packed: Callable[..., Path], tmp_path: Path) -> None:
    import zipfile

    shards = packed(12)
    one = min(shards.glob("*.parquet"))
    assert contents(open_source(one.as_uri(), Options(), tmp_path / "cache")) == local(one)
    zipped = tmp_path / "images.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for path in sorted((tmp_path / "images-packed").iterdir()):
            archive.write(path, path.name)
    source = open_source(zipped.as_uri(), Options(), tmp_path / "cache")
    assert source.name == "images" and sorted(contents(source)) == sorted(local(shards))


def test_fetched_once_and_again_when_it_changed(
    packed: Callable[..., Path], failing: type[Failing], tmp_path: Path
) -> None:
    first, second = packed(23, "first"), packed(31, "second")
    upload(first, "failing", "/set")
    path, warning = remote.fetch("failing://set", tmp_path / "cache")
    count = len(failing.transfers)
    assert not warning and count == len(list(first.iterdir()))
    assert remote.fetch("failing://set", tmp_path / "cache") == (path, "") and len(failing.transfers) == count
    fsspec.filesystem("failing").rm("/set", recursive=True)
    upload(second, "failing", "/set")
    changed, _ = remote.fetch("failing://set", tmp_path / "cache")
    assert changed != path and local(changed) == local(second)
    assert local(path) == local(first)  # a run that reads the earlier copy goes on


def test_a_file_of_equal_size_that_changed(packed: Callable[..., Path], failing: type[Failing], tmp_path: Path) -> None:
    shards = packed(8)
    one = min(shards.glob("*.parquet"))
    system = fsspec.filesystem("failing")
    system.pipe("/one.parquet", one.read_bytes())
    remote.fetch("failing://one.parquet", tmp_path / "cache")
    system.pipe("/one.parquet", one.read_bytes())
    remote.fetch("failing://one.parquet", tmp_path / "cache")
    assert len(failing.transfers) == 2


def test_out_of_reach_with_and_without_a_copy(
    packed: Callable[..., Path], failing: type[Failing], tmp_path: Path
) -> None:
    shards = packed(8)
    upload(shards, "failing", "/set")
    failing.down = True
    with pytest.raises(DataError, match=r"DATA-REMOTE\].*cannot be reached: failing://set") as caught:
        remote.fetch("failing://set", tmp_path / "cache")
    assert "name or service not known" in caught.value.why and caught.value.fix
    failing.down = False
    remote.fetch("failing://set", tmp_path / "cache")
    failing.down = True
    source = open_source("failing://set", Options(), tmp_path / "cache")
    assert contents(source) == local(shards)
    assert "copy in the cache is used" in source.own.warnings[-1]


def test_a_copy_that_lost_a_file_is_made_anew(
    packed: Callable[..., Path], failing: type[Failing], tmp_path: Path
) -> None:
    shards = packed(23)
    upload(shards, "failing", "/set")
    path, _ = remote.fetch("failing://set", tmp_path / "cache")
    victim = max(path.glob("*.parquet"))
    os.truncate(victim, 10)
    again, warning = remote.fetch("failing://set", tmp_path / "cache")
    assert again == path and not warning and local(path) == local(shards)


def test_a_transfer_that_breaks_goes_on_where_it_was(
    packed: Callable[..., Path], failing: type[Failing], tmp_path: Path
) -> None:
    shards = packed(40)
    upload(shards, "failing", "/set")
    failing.breaks_at = 2
    with pytest.raises(DataError, match="broke off") as caught:
        remote.fetch("failing://set", tmp_path / "cache")
    assert "connection reset by peer" in caught.value.why
    failing.breaks_at, failing.transfers = None, []
    path, _ = remote.fetch("failing://set", tmp_path / "cache")
    assert len(failing.transfers) == len(list(shards.iterdir())) - 2
    assert local(path) == local(shards)


def test_too_few_bytes_are_noticed(packed: Callable[..., Path], failing: type[Failing], tmp_path: Path) -> None:
    upload(packed(8), "failing", "/set")
    failing.cut = 3
    with pytest.raises(DataError, match="bytes came"):
        remote.fetch("failing://set", tmp_path / "cache")
    failing.cut = 0
    assert len(open_source("failing://set", Options(), tmp_path / "cache").items) == 8


def test_nothing_there_and_nothing_usable(memory: str, tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    system.pipe(f"{memory}/cat.png", b"x")
    with pytest.raises(DataError, match="DATA-MISSING"):
        remote.fetch(f"memory:/{memory}/nowhere", tmp_path / "cache")
    with pytest.raises(DataError, match="no parquet files in this folder") as caught:
        remote.fetch(f"memory:/{memory}", tmp_path / "cache")
    assert "sparring pack" in caught.value.fix
    with pytest.raises(DataError, match="single image|not a source"):
        open_source(f"memory:/{memory}/cat.png", Options(), tmp_path / "cache")


def test_unknown_protocols_and_missing_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="DATA-URL") as caught:
        remote.fetch("gopher://x/y", tmp_path / "cache")
    assert "s3" in caught.value.fix
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MachineError, match="s3fs") as missing:
        remote.fetch("s3://bucket/set", tmp_path / "cache")
    assert missing.value.code == "EXTRA" and missing.value.fix == "pip install s3fs"


def test_a_full_disk(packed: Callable[..., Path], failing: type[Failing], tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    upload(packed(8), "failing", "/set")
    monkeypatch.setattr("sparring.data.cache.free", lambda folder: 1000)
    with pytest.raises(MachineError, match="DISK-FULL"):
        remote.fetch("failing://set", tmp_path / "cache")
    assert not failing.transfers


def test_names_lead_nowhere_else(failing: type[Failing], tmp_path: Path) -> None:
    listing = {
        "set/a.parquet": {"size": 1, "type": "file"},
        "set/../../evil.parquet": {"size": 1, "type": "file"},
        "set/.hidden.parquet": {"size": 1, "type": "file"},
        "other/b.parquet": {"size": 1, "type": "file"},
    }
    assert [file.name for file in remote._shards("set", listing)] == ["a.parquet"]


def test_a_repository_of_the_hub_as_a_file_system(
    packed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfFileSystem, close_session, constants
    from tests.data.hub_server import serving

    shards = packed(23)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    close_session()
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        HfFileSystem.clear_instance_cache()
        hub.add("me/set", {path.name: path.read_bytes() for path in shards.iterdir()} | {"README.md": b"# a card"})
        source = open_source("hf://datasets/me/set", Options(), tmp_path / "cache")
        assert contents(source) == local(shards) and source.name == "set"
        assert "README.md" not in hub.fetched()
        close_session()
        HfFileSystem.clear_instance_cache()


@pytest.mark.parametrize("reason", [ConnectionRefusedError(111, "refused"), TimeoutError("too slow")])
def test_what_cannot_be_reached_is_not_called_missing(reason: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    class System:
        def invalidate_cache(self) -> None: ...

        def info(self, path: str) -> dict[str, object]:
            raise FileNotFoundError(path) from reason

    monkeypatch.setattr(remote, "_system", lambda url, protocol: (System(), url))
    with pytest.raises(DataError, match="DATA-REMOTE.*cannot be reached") as told:
        remote._look("https://localhost:1/x.zip")
    assert "connection" in told.value.fix


def test_an_unknown_protocol_names_those_there_are() -> None:
    with pytest.raises(DataError, match="DATA-URL") as told:
        remote._look("foo://a/b")
    assert "file" in told.value.fix and "https" in told.value.fix
