"""How long ``sparring app`` takes to be there, and how long a page waits for samples of a generator.

    python -m benchmarks.app                (make bench-app; two minutes; writes benchmarks/results/app.json)

A run on images of 64 x 64 is made in place (the preset dcgan, full width: what samples cost does not depend on how well
they were learned). `sparring app` is started five times as a person starts it: seconds until its address is printed,
and until the page has come whole. Then one server is asked over loopback, one request after the other, as the page
Play asks while one drags: a single sample, a row of 8, 24 samples, and, for the floor, an answer that says nothing;
server and client are on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from benchmarks.speed.machine import describe
from sparring import api
from sparring.app.desk import Desk, identity
from sparring.app.door import cookie_name

OUT = Path(__file__).parent / "results" / "app.json"
STARTS, WARM = 5, 10


def made(home: Path) -> Path:
    """A run on 64 x 64 pixels, in a folder of runs."""
    rng = np.random.default_rng(0)
    photos = home / "photos"
    photos.mkdir()
    for k in range(32):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(photos / f"{k:02d}.png")
    api.train(photos, recipe="dcgan", size=64, budget="32", out=home / "runs" / "noise", set=("batch=16",))
    return home / "runs" / "noise"


class Server:
    """`sparring app` as a process of its own, and a client that was let in."""

    def __init__(self, runs: Path) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sparring", "app", str(runs), "--port", "0", "--no-browser"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.printed = time.perf_counter() - began
        host = self.url.split("/")[2]
        self.desk = Desk((runs,), (), self.url.partition("token=")[2], frozenset({host}))
        headers = {"Origin": f"http://{host}", "X-Sparring-Token": self.desk.page_token,
                   "Content-Type": "application/json"}  # fmt: skip
        cookies = {cookie_name(host): self.desk.cookie}
        self.client = httpx2.Client(base_url=f"http://{host}", headers=headers, cookies=cookies, trust_env=False,
                                    timeout=120)  # fmt: skip
        page = self.client.get("/").raise_for_status().text
        parts = [word.split('"')[1] for word in page.replace("href=", "src=").split("src=")[1:]]
        for part in (part for part in parts if part.startswith("/static/")):
            self.client.get(part).raise_for_status()
        self.whole = time.perf_counter() - began

    def close(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(15)
        assert self.process.stdout is not None
        self.process.stdout.close()


def started(runs: Path) -> dict[str, Any]:
    printed, whole = [], []
    for _ in range(STARTS):
        server = Server(runs)
        printed.append(server.printed)
        whole.append(server.whole)
        server.close()
    return {"starts": STARTS, "address_printed_s": _spread(printed), "page_whole_s": _spread(whole)}


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(seconds)), 2), "most": round(max(seconds), 2)}


def asked(server: Server, run: Path, requests: int) -> dict[str, Any]:
    """Milliseconds of each kind of request."""
    rng = np.random.default_rng(0)
    spots = [{"seed": 1}, {"seed": 2}, {"seed": 3}]
    address = f"/api/play/{identity(run)}"
    server.client.get(address).raise_for_status()

    def spot(count: int) -> Callable[[], bytes]:
        def ask() -> bytes:
            places = rng.uniform(0, 0.5, (count, 2)).tolist()
            body = {"spots": spots, "places": places, "columns": count}
            return server.client.post(f"{address}/picture", json=body).raise_for_status().content

        return ask

    def samples() -> bytes:
        body = {"seed": int(rng.integers(2**31)), "n": 24, "columns": 8}
        return server.client.post(f"{address}/samples", json=body).raise_for_status().content

    kinds: dict[str, Callable[[], bytes]] = {
        "nothing": lambda: server.client.get("/api/ready").raise_for_status().content,
        "one sample": spot(1),
        "row of 8": spot(8),
        "24 samples": samples,
    }
    return {name: _timed(ask, requests) for name, ask in kinds.items()}


def _timed(ask: Callable[[], bytes], requests: int) -> dict[str, Any]:
    for _ in range(WARM):
        ask()
    clocks, size = [], 0
    for _ in range(requests):
        began = time.perf_counter()
        size = len(ask())
        clocks.append(1000 * (time.perf_counter() - began))
    p50, p95, p99 = (round(float(value), 1) for value in np.percentile(clocks, (50, 95, 99)))
    return {"requests": requests, "bytes": size, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300, help="of each kind")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    with tempfile.TemporaryDirectory(prefix="sparring-") as folder:
        run = made(Path(folder))
        before = describe(int(os.environ["OMP_NUM_THREADS"]))
        starts = started(run.parent)
        server = Server(run.parent)
        try:
            answers = asked(server, run, chosen.requests)
        finally:
            server.close()
    said = {"command": f"python -m benchmarks.app {' '.join(sys.argv[1:])}".strip(), "machine": before,
            "load_average_after": [round(value, 2) for value in os.getloadavg()], "starting": starts,
            "answers_64_pixels": answers}  # fmt: skip
    chosen.out.write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
