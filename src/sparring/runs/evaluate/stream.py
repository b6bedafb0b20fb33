"""Showing every image of a side to the judge, once: memory does not grow with n, processes share the work."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.errors import MachineError, SparringError
from sparring.metrics.extractors import ClassifierFeatures
from sparring.metrics.features import Extractor
from sparring.metrics.frechet import Moments
from sparring.metrics.judges import InceptionFeatures
from sparring.runs.evaluate.opening import Progress, Wanted
from sparring.runs.evaluate.seen import Seen, address, kept_of, recall, remember
from sparring.runs.evaluate.sides import CHUNK, Group, Side


def seen_of(
    side: Side, wanted: Wanted, extractor: Extractor, spelt: str, *, processes: int = 1,
    progress: Progress | None = None,
) -> Seen:  # fmt: skip
    """What the extractor sees of a side: from the cache, or by looking.

    wanted: how the side was opened, so that other processes can.   spelt: the name of the extractor, for the same.
    """
    name = address(side.key, extractor)
    seen = recall(name)
    if seen is None:
        if processes > 1 and len(side) > CHUNK:
            seen = _together(len(side), wanted, spelt, min(processes, -(-len(side) // CHUNK)), side.key, progress)
        else:
            seen = look(side, extractor, progress=progress)
        if not any("any more" in why for _, why in seen.excluded):
            remember(name, seen)
    known = {entry for entry, _ in side.excluded}
    side.excluded += [(entry, why) for entry, why in seen.excluded if entry not in known]
    return seen


def look(side: Side, extractor: Extractor, *, rank: int = 0, of: int = 1, progress: Progress | None = None) -> Seen:
    """Look at every `of`-th chunk of images, from chunk number `rank` on. One chunk is fetched while another one is
    looked at; nothing else is held but what is kept, in one piece from the beginning: many small pieces that stay would
    keep the allocator from using the space between them again, and memory would grow with n."""
    n, before = len(side), len(side.excluded)
    kept = kept_of(n)
    moments = Moments(extractor.dimensions)
    chunks = range(rank, -(-n // CHUNK), of)
    places = kept[np.isin(kept // CHUNK, np.asarray(chunks))]
    features = torch.empty(len(places), extractor.dimensions)
    probabilities: Tensor | None = None
    positions: list[int] = []
    for number, groups in _ahead(side, chunks):
        found: dict[int, tuple[Tensor, Tensor | None]] = {}
        for at, images in groups:
            rows, sure = seen_by(extractor, images)
            found |= {k: (rows[i], None if sure is None else sure[i]) for i, k in enumerate(at)}
        order = sorted(found)
        if order:
            moments.update(torch.stack([found[k][0] for k in order]))
        low, high = np.searchsorted(kept, [number * CHUNK, (number + 1) * CHUNK])
        for k in (int(k) for k in kept[low:high] if int(k) in found):
            row, certain = found[k]
            features[len(positions)] = row
            if certain is not None:
                probabilities = torch.empty(len(places), len(certain)) if probabilities is None else probabilities
                probabilities[len(positions)] = certain
            positions.append(k)
        if progress is not None:
            progress("looking at images", min(n, (number + 1) * CHUNK), n)
    return Seen(
        moments,
        features[: len(positions)],
        np.array(positions, np.int64),
        None if probabilities is None else probabilities[: len(positions)],
        tuple(side.excluded[before:]),
    )


def seen_by(extractor: Extractor, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Features (b, d), and the probabilities (b, K) of a judge that names classes, on the CPU."""
    images = images.to(extractor.device)
    sure = None
    if isinstance(extractor, ClassifierFeatures) or (
        isinstance(extractor, InceptionFeatures) and extractor.network.fc is not None
    ):
        sure = extractor.probabilities(images).float().cpu()
    return extractor(images).float().cpu(), sure


def _ahead(side: Side, chunks: range) -> Iterator[tuple[int, list[Group]]]:
    """The chunks in order, the next one being fetched by another thread meanwhile."""

    def fetch(number: int) -> list[Group]:
        return list(side.groups(number * CHUNK, (number + 1) * CHUNK))

    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
        coming: Future[list[Group]] | None = pool.submit(fetch, chunks[0]) if len(chunks) else None
        for place, number in enumerate(chunks):
            assert coming is not None
            now = coming.result()
            coming = pool.submit(fetch, chunks[place + 1]) if place + 1 < len(chunks) else None
            yield number, now


# ── several processes ─────────────────────────────────────────────────────────────────────────────────────────────


def _together(n: int, wanted: Wanted, spelt: str, processes: int, key: str, progress: Progress | None) -> Seen:
    """The same by several processes: each looks at every so-manieth chunk. They end when this one does."""
    threads = max(1, torch.get_num_threads() // processes)
    done = [0] * processes
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sparring-evaluate-")))
        workers = []
        for rank in range(processes):
            task = {
                "side": wanted.record(), "features": spelt, "rank": rank, "of": processes, "key": key,
                "threads": threads, "out": str(folder / f"{rank}.npz"),
            }  # fmt: skip
            errors = stack.enter_context((folder / f"{rank}.txt").open("w", encoding="utf-8"))
            worker = subprocess.Popen(
                [sys.executable, "-m", "sparring.runs.evaluate.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )  # fmt: skip
            stack.callback(_end, worker)
            assert worker.stdin is not None
            worker.stdin.write(json.dumps(task) + "\n")
            worker.stdin.flush()
            workers.append(worker)
        listeners = [threading.Thread(target=_listen, args=(w, k, done)) for k, w in enumerate(workers)]
        for listener in listeners:
            listener.start()
        for listener in listeners:
            while listener.is_alive():
                listener.join(0.2)
                if progress is not None:
                    progress("looking at images", min(sum(done), n), n)
        for rank, worker in enumerate(workers):
            _check(worker, folder / f"{rank}.txt")
        parts = []
        for rank in range(processes):
            with np.load(folder / f"{rank}.npz", allow_pickle=False) as found:
                parts.append(Seen.of({name: found[name] for name in found.files}))
    return merged(parts)


def merged(parts: list[Seen]) -> Seen:
    """What several processes saw as if one had seen it."""
    moments = Moments(parts[0].moments.dimensions)
    for part in parts:
        moments.merge(part.moments)
    positions = np.concatenate([part.positions for part in parts])
    order = torch.from_numpy(np.argsort(positions))
    sure = [part.probabilities for part in parts if part.probabilities is not None]
    return Seen(
        moments,
        torch.cat([part.features for part in parts])[order],
        positions[order.numpy()],
        torch.cat(sure)[order] if sure else None,
        tuple(pair for part in parts for pair in part.excluded),
    )


def _listen(worker: subprocess.Popen[str], rank: int, done: list[int]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.strip().isdecimal():
            done[rank] = int(line)


def _check(worker: subprocess.Popen[str], errors: Path) -> None:
    """Raises what a process that failed said."""
    if worker.wait() == 0:
        return
    text = errors.read_text(encoding="utf-8", errors="replace").strip()
    last = text.splitlines()[-1] if text else f"exit code {worker.returncode}"
    try:
        said: dict[str, Any] = json.loads(last)
        known = SparringError(said["code"], said["what"], where=said["where"], why=said["why"], fix=said["fix"])
        known.exit_code = worker.returncode
    except (ValueError, KeyError, TypeError):
        raise MachineError(
            "EVALUATE-PROCESS", "a process that looked at images ended before it was done", why=last,
            fix="try again with --processes 1",
        ) from None  # fmt: skip
    raise known


def _end(worker: subprocess.Popen[str]) -> None:
    """A process that is still at work is no longer needed."""
    if worker.poll() is None:
        worker.terminate()
        worker.wait()
    for stream in (worker.stdin, worker.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
