"""Fetching files of a repository on the hub into the cache of the library ``huggingface_hub``."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from sparring.data.sources.items import Progress

_THREADS = 8
_TELL = 0.2  # seconds between two words about progress
_STALE = 86_400.0  # seconds since a file was last written that nobody can still be fetching
_LEAVE = 2.0  # seconds that a stopped download may take to notice


class _Stopped(Exception):
    """Another file could not be fetched, or somebody pressed Ctrl-C."""


class Download:
    """Files of one commit of the data set (or model, by `kind`) `name`, several at a time.

    folder: ``datasets--owner--name`` in the cache of the library.   missing: bytes of each file.
    progress: told of the MiB.
    """

    def __init__(
        self,
        name: str,
        commit: str,
        folder: Path,
        endpoint: str,
        missing: Mapping[str, int],
        progress: Progress | None = None,
        kind: str = "dataset",
    ) -> None:
        self._name, self._commit, self._folder, self._endpoint = name, commit, folder, endpoint
        self._missing, self._progress, self._kind = missing, progress, kind
        self._total, self._done, self._told = sum(missing.values()), 0, -1
        self._lock, self._stop = threading.Lock(), threading.Event()

    def run(self) -> None:
        """Raises what the library raises; then nothing more is fetched.

        The library looks up from its work only every 10 MiB, or never (xet), so nobody who pressed Ctrl-C waits for
        it: daemon threads that do not stop in time end with the process.
        """
        from huggingface_hub import hf_hub_download

        names: SimpleQueue[str] = SimpleQueue()
        ends: SimpleQueue[Exception | None] = SimpleQueue()
        for name in self._missing:
            names.put(name)
        bar = self._bar()
        for part in (self._folder / "blobs").glob("*.incomplete"):  # of processes that were killed: of no use to anyone
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > _STALE:
                    part.unlink()

        def work() -> None:
            with suppress(Empty):
                while not self._stop.is_set():
                    name = names.get_nowait()
                    there = size_of(self._folder / "snapshots" / self._commit / name) is not None  # but not whole
                    try:
                        hf_hub_download(
                            self._name, name, repo_type=self._kind, revision=self._commit, tqdm_class=bar,
                            cache_dir=self._folder.parent, endpoint=self._endpoint, library_name="sparring",
                            force_download=there,
                        )  # fmt: skip
                        ends.put(None)
                    except Exception as error:
                        ends.put(error)

        self._tell()
        count = min(_THREADS, len(self._missing))
        threads = [threading.Thread(target=work, name="fetch", daemon=True) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            left = len(self._missing)
            while left:
                with suppress(Empty):  # the callback of the caller runs in the thread of the caller
                    if error := ends.get(timeout=_TELL):
                        raise error
                    left -= 1
                self._tell()
        except BaseException:
            self._stop.set()
            until = time.monotonic() + _LEAVE
            for thread in threads:
                if thread.ident:
                    thread.join(max(0.0, until - time.monotonic()))
            raise
        for thread in threads:
            thread.join()
        self._done = self._total
        self._tell()

    def _count(self, count: float) -> None:
        if self._stop.is_set():
            raise _Stopped
        with self._lock:
            self._done = min(self._total, self._done + int(count))

    def _tell(self) -> None:
        most = max(1, self._total >> 20)
        told = most if self._done == self._total else min(self._done >> 20, most)
        if self._progress and told > self._told:
            self._told = told
            self._progress("fetching MiB", told, most)

    def _bar(self) -> type:
        """A class that the library takes for a progress bar. It shows nothing."""
        from huggingface_hub import utils

        tqdm: Any = utils.tqdm
        count = self._count

        def start(bar: Any, *args: Any, **given: Any) -> None:
            tqdm.__init__(bar, *args, **{**given, "disable": True})

        def update(bar: Any, n: float | None = 1) -> None:
            count(n or 0)

        def ignore(bar: Any, *args: Any, **given: Any) -> None:
            return None

        return type("Bar", (tqdm,), {"__init__": start, "update": update, "update_transfer": ignore,
                                     "set_transfer_postfix_str": ignore})  # fmt: skip


def size_of(path: Path) -> int | None:
    """Bytes of a file, or None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None
