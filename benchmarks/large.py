"""What large things take: pictures of 144 megapixels, folders of many files, rows of others' parquet files.

python -m benchmarks.large          `results/large.json`, the figures of docs/data.md
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks import spent
from benchmarks.speed.machine import describe
from sparring import api
from sparring.data import open_data
from sparring.data.decode import Limits, Recipe, decode, decoding
from sparring.data.sources.folder import FolderSource
from sparring.data.sources.shards import open_shards

OUT = Path(__file__).parent / "results" / "large.json"
SIDE, FILES, ROWS, READ = 12_000, 100_000, 5_000, 500
GROUP = 1_000
"""Rows of a row group in the file of others: what `datasets` writes for small images."""


def picture(mode: str) -> Image.Image:
    """SIDE x SIDE, smooth."""
    line = np.linspace(0, 255, SIDE).astype(np.uint8)
    grey = np.maximum(line[:, None], line)
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    return Image.merge(mode, [Image.fromarray(grey)] * len(mode)) if len(mode) > 1 else Image.fromarray(grey)


KINDS = (("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "I;16"), ("TIFF", "RGB"),
         ("TIFF", "RGBA"), ("TIFF", "I;16"), ("TIFF", "F"))  # fmt: skip


def written(path: Path, kind: str, mode: str) -> None:
    picture(mode).save(path, kind, **({"compress_level": 1} if kind == "PNG" else {}))


def decoded(path: Path) -> dict[str, Any]:
    """Seconds, and MB by which the process grows at most, the file included."""
    before, began = spent.peak(), time.process_time()
    with decoding():
        decode(path.read_bytes(), Recipe((64, 64), 3, limits=Limits(max_pixels=2**28)))
    return {"mb": round((spent.peak() - before) / 1e6), "cpu_seconds": round(time.process_time() - began, 1)}


def apart(act: Callable[..., Any], *arguments: Any) -> Any:
    """What `act` returns in a process of its own, which has held nothing before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(act, arguments)


def pictures(folder: Path) -> dict[str, Any]:
    found = {}
    for kind, mode in KINDS:
        path = folder / "picture"
        apart(written, path, kind, mode)
        found[f"{kind} {mode}"] = apart(decoded, path)
        print(kind, mode, found[f"{kind} {mode}"], flush=True)
        path.unlink()
    return found


def listing(folder: Path) -> dict[str, Any]:
    """Bytes that a file takes in the list of a folder."""
    for k in range(FILES):
        (folder / f"{k:08d}.jpg").touch()
    tracemalloc.start()
    began = time.process_time()
    source = FolderSource(folder)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(source.items) == FILES
    seconds = round(time.process_time() - began, 2)
    return {"files": FILES, "bytes_each": round(held / FILES), "cpu_seconds": seconds}


def shards(folder: Path) -> dict[str, Any]:
    """Images a second in random order: packed here, and written by another program."""
    x = np.asarray(open_data("fashion", size=(28, 28)).train[:ROWS])
    (folder / "images").mkdir()
    for k, pixels in enumerate(x):
        Image.fromarray(pixels.squeeze()).save(folder / "images" / f"{k}.png")
    api.pack(folder / "images", folder / "packed")
    rows = [{"bytes": _png(pixels), "path": None} for pixels in x]
    (folder / "other").mkdir()
    pq.write_table(pa.table({"image": rows}), folder / "other" / "data.parquet", row_group_size=GROUP)
    order = np.random.default_rng(0).integers(0, ROWS, READ).tolist()
    found: dict[str, Any] = {"rows": ROWS, "row_group": GROUP, "read": READ}
    for name in ("packed", "other"):
        source = open_shards(folder / name)
        source.read(0)
        began = time.process_time()
        for k in order:
            source.read(k)
        found[f"{name}_milliseconds_each"] = round(1000 * (time.process_time() - began) / READ, 4)
    found["times_slower"] = round(found["other_milliseconds_each"] / found["packed_milliseconds_each"], 1)
    return found


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return file.getvalue()


def in_a_folder(act: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return act(Path(folder))


def main() -> None:
    record = {
        "what": "memory of large pictures and long lists; reading of parquet rows in random order",
        "command": "python -m benchmarks.large",
        "seed": 0,
        "shards": in_a_folder(shards),
        "listing": in_a_folder(listing),
        "pictures": {"megapixels": SIDE * SIDE // 10**6, "decoded": in_a_folder(pictures)},
        "machine": describe(1),
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
