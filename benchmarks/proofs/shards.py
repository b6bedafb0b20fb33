"""The proof of the shards: a million rows cost little memory, and come back by index as they were.

    python -m benchmarks.proofs.shards --rows 1000000 --out benchmarks/results/shards.json

A million different 16 x 16 pictures with classes and captions are packed (by `data.pack`, from a source that makes
them), then read by processes that know nothing of each other:

- index: `open_shards`; how much resident memory it takes, and how many rows a second come in random order;
- open: `open_data(keep="off")`, which looks at every image once: memory and time;
- resume, twice: a new process opens the same, goes to 20 random positions of the endless stream and takes a batch of
  64 at each, whole and as the shares of two processes. Pixels, flips, classes and captions must be those of the truth,
  which is computed from (seed, position) without stream, data set or shards.

It counts as a failure when the index takes 500 MB or more, when memory grows by more than 50 MB while 100,000 rows are
read, or when anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shlex
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import spent
from benchmarks.speed.machine import describe

LIMIT = 500.0
"""MB that the index may take."""
GROWTH = 50.0
"""MB that may be added while rows are read."""
SIDE, SEED, POSITIONS, BATCH, CLASSES = 16, 5, 20, 64, 10


def memory() -> float:
    """Resident memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak() -> float:
    return spent.peak() / 1e6


# ── the truth ─────────────────────────────────────────────────────────────────────────────────────────────────────


def picture(number: int) -> np.ndarray:
    """(16, 16) uint8, unlike any other number's."""
    values = hashlib.shake_128(number.to_bytes(8, "little")).digest(SIDE * SIDE)
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE)


def png(image: np.ndarray) -> bytes:
    """A grey image (H, W) as an uncompressed PNG; twenty times as fast as Pillow."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    height, width = image.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    lines = np.concatenate([np.zeros((height, 1), np.uint8), image], axis=1).tobytes()
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# ── the stages, each in a process of its own ──────────────────────────────────────────────────────────────────────


def packing(rows: int, work: Path) -> dict[str, Any]:
    from sparring.data.pack import pack
    from sparring.data.sources.items import Annotations, Source
    from sparring.data.sources.lazy import Lazy, Rows
    from sparring.data.sources.parquet import parquet

    class Made(Source):
        def read(self, number: int) -> bytes:
            return png(picture(number))

    parquet()
    source = Made("made", "made", Rows(Lazy(rows, lambda k: f"folder{k % 100:02d}/{k:08d}.png"), str))
    captions = Lazy(rows, lambda k: (f"picture number {k}",))
    known = Annotations(np.arange(rows) % CLASSES, tuple(f"class {k}" for k in range(CLASSES)), captions, "made")
    before, began = memory(), time.perf_counter()
    told = pack(source, known, range(rows), work / "shards", shard_bytes=2**26)
    seconds = time.perf_counter() - began
    files = list((work / "shards").iterdir())
    return {
        "images": told["images"],
        "files": len(files),
        "mb": round(sum(path.stat().st_size for path in files) / 1e6, 1),
        "seconds": round(seconds, 1),
        "images_per_second": round(rows / seconds),
        "memory_mb_added_at_most": round(peak() - before, 1),
    }


def index(rows: int, work: Path) -> dict[str, Any]:
    import pyarrow as pa

    from sparring.data.sources.parquet import parquet
    from sparring.data.sources.shards import open_shards

    parquet()
    before, began = memory(), time.perf_counter()
    source = open_shards(work / "shards")
    seconds, most = time.perf_counter() - began, peak()
    pa.default_memory_pool().release_unused()
    after = memory()
    count = min(rows, 100_000)
    order = np.random.default_rng(0).permutation(rows)[:count].tolist()
    began = time.perf_counter()
    for number in order:
        source.read(number)
    rate = count / (time.perf_counter() - began)
    grown = memory() - after
    some = order[:5_000]
    wrong = sum(source.read(k) != png(picture(k)) for k in some)
    names = sum(source.items[k].name != f"folder{k % 100:02d}/{k:08d}.png" for k in some)
    said = {
        f"the index takes {after - before:.0f} MB": after - before >= LIMIT,
        f"while it is made, {most - before:.0f} MB": most - before >= LIMIT,
        f"reading adds {grown:.0f} MB": grown >= GROWTH,
        f"{wrong} of {len(some)} images differ, {names} names": wrong + names > 0,
        f"{len(source.items)} rows": len(source.items) != rows,
        "not every row can be read alone": not source.direct,
    }
    return {
        "seconds_to_open": round(seconds, 2),
        "memory_mb": round(after - before, 1),
        "memory_mb_at_most": round(most - before, 1),
        "memory_mb_added_by_reading": round(grown, 1),
        "rows_read_in_random_order": count,
        "images_per_second_one_thread": round(rate),
        "failures": [what for what, holds in said.items() if holds],
    }


def opening(rows: int, work: Path) -> dict[str, Any]:
    data, told = _opened(work)
    said = {f"{len(data)} + {len(data.held_out)} rows": len(data) + len(data.held_out) != rows}
    return {**told, "fingerprint": data.fingerprint, "failures": [what for what, holds in said.items() if holds]}


def resuming(rows: int, work: Path) -> dict[str, Any]:
    from sparring.data import stream_of

    data, told = _opened(work)
    stream = stream_of(data, seed=SEED, flip=True)
    n = len(stream)
    starts = np.random.default_rng(1).integers(0, 50 * n, POSITIONS).tolist()
    whole, shares, truth = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    began = time.perf_counter()
    taken = [stream.take(start, BATCH) for start in starts]
    seconds = time.perf_counter() - began
    for start, batch in zip(starts, taken, strict=True):
        _add(whole, batch)
        for rank in (0, 1):
            _add(shares, stream.take(start + rank * BATCH // 2, BATCH // 2))
        _truth(truth, data, n, start)
    data.close()
    said = {
        "one process: another stream than the truth": whole.hexdigest() != truth.hexdigest(),
        "two processes: another stream than the truth": shares.hexdigest() != truth.hexdigest(),
        f"memory {told['memory_mb']:.0f} MB": told["memory_mb"] >= LIMIT,
    }
    return {
        **told,
        "positions": POSITIONS,
        "batch": BATCH,
        "stream": whole.hexdigest(),
        "images_per_second": round(POSITIONS * BATCH / seconds),
        "failures": [what for what, holds in said.items() if holds],
    }


def _opened(work: Path) -> tuple[Any, dict[str, Any]]:
    """The shards as a data set that decodes on demand, and what that took."""
    import pyarrow as pa

    from sparring.data import open_data, stream_of
    from sparring.data.sources.parquet import parquet

    parquet()
    stream_of(open_data("dirac"), seed=0).take(0, 1)  # what the libraries take by themselves
    before, began = memory(), time.perf_counter()
    data = open_data(work / "shards", size=(SIDE, SIDE), channels=1, keep="off")
    seconds, most = time.perf_counter() - began, peak()
    pa.default_memory_pool().release_unused()
    return data, {
        "seconds_to_open": round(seconds, 1),
        "memory_mb": round(memory() - before, 1),
        "memory_mb_at_most": round(most - before, 1),
    }


def _add(digest: Any, batch: Any) -> None:
    for k in range(len(batch.x)):
        digest.update(batch.x[k].contiguous().numpy().tobytes())
        digest.update(f"{int(batch.label[k])} {batch.text[k]}".encode())


def _truth(digest: Any, data: Any, n: int, start: int) -> None:
    """What the batch at `start` must hold, from (seed, position) alone."""
    from sparring.chance import Dice

    flips = Dice(seed=SEED, purpose="flip", samples=range(start, start + BATCH)).uniform().numpy() < 0.5
    for k, flip in enumerate(flips, start):
        number = int(data.index[_shuffle(k // n, n)[k % n]])
        image = picture(number)
        digest.update((image[:, ::-1] if flip else image).tobytes())
        digest.update(f"{number % CLASSES} picture number {number}".encode())


_kept: dict[int, np.ndarray] = {}


def _shuffle(number: int, n: int) -> np.ndarray:
    from sparring.chance import permutation

    if number not in _kept:
        _kept.clear()
        _kept[number] = permutation(SEED, "order", number, n)
    return _kept[number]


# ── all of it ─────────────────────────────────────────────────────────────────────────────────────────────────────


def prove(rows: int, work: Path) -> dict[str, Any]:
    """Every stage in a fresh process."""
    os.environ["SPARRING_CACHE"] = str(work / "cache")
    stages: dict[str, Callable[[int, Path], dict[str, Any]]] = {
        "pack": packing, "index": index, "open": opening, "resume": resuming, "resume again": resuming,
    }  # fmt: skip
    told: dict[str, Any] = {}
    for name, stage in stages.items():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            told[name] = pool.submit(stage, rows, work).result()
        print(f"{name}: {json.dumps(told[name])}", flush=True)
    told["failures"] = [f"{name}: {what}" for name in stages for what in told[name].pop("failures", [])]
    if told["resume"]["stream"] != told["resume again"]["stream"]:
        told["failures"].append("two resumes differ")
    return told


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs.shards", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=None, help="where the JSON goes; nowhere by default")
    given = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    machine = describe()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sparring-shards-") as work:
        told = prove(given.rows, Path(work))
    words = ["python", "-m", "benchmarks.proofs.shards", *(sys.argv[1:] if arguments is None else arguments)]
    record = {
        "command": shlex.join(words), "rows": given.rows, "machine": machine, **told,
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    for failure in told["failures"]:
        print(f"FAILED {failure}")
    if given.out:
        given.out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{given.rows:,} rows in {record['seconds']:.0f} s: {'failed' if told['failures'] else 'passed'}")
    return 1 if told["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
