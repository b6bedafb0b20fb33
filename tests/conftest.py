"""What all tests share."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from _pytest.doctest import DoctestModule
from tests.forking import Forks, forks

FORKS = pytest.StashKey[Forks]()

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tiny games gain nothing from threads

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is found stays: to look again and again for what of it could go takes a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Tests have no doctests: to look through all of them costs each process half a second."""
    found = yield
    return [collector for collector in found if not isinstance(collector, DoctestModule)]


@pytest.fixture(scope="module")
def cache_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prepared data of all tests of a module in one place of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def few_emoji() -> Iterator[None]:
    """The first 300 of the built-in emoji are all there are. For tests with a cache of their own, in this process."""
    from sparring.data import builtin

    rows = builtin._emoji_rows()[:300]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtin, "_emoji_rows", lambda: rows)
        yield


@pytest.fixture(scope="session")
def forked(request: pytest.FixtureRequest) -> Iterator[Forks]:
    """Processes that need not import torch: `tests.forking`."""
    shared: dict[str, str] = getattr(request.config, "workerinput", {})
    if "forks" in shared:
        yield Forks(Path(shared["forks"]))
        return
    with forks() as found:
        yield found


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """All workers of pytest-xdist share what forks: it imports everything once."""
    if FORKS not in node.config.stash:
        kept = ExitStack()
        node.config.stash[FORKS] = kept.enter_context(forks())
        node.config.add_cleanup(kept.close)
    node.workerinput["forks"] = str(node.config.stash[FORKS].folder)


@pytest.fixture
def quick_processes(forked: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
    """What sparring starts is forked: its workers, its launcher, the cells of a comparison."""
    monkeypatch.setattr(sys, "executable", forked.words()[0])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data kept beside the repository; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("SPARRING_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}")
    return folder
