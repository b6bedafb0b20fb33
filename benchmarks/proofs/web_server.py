"""A server for the web proof: `sparring app` on runs made in place, and requests byte by byte."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.routing import iter_route_contexts

from benchmarks.proofs.attacks import scripts
from sparring import api
from sparring.app.desk import Desk
from sparring.app.door import cookie_name
from sparring.app.server import create

CANARY = b"CANARY-3f9c1d"
Pairs = list[tuple[str, str]]


def made(home: Path) -> Path:
    """A folder with runs/, data/ and the canary that nobody may see; 60 runs have names that are scripts."""
    (home / "canary.txt").write_bytes(CANARY)
    runs = home / "runs"
    api.train("ring", recipe="gan", budget="64", out=runs / "ring", set=("width=8", "batch=16"))
    small = ("width=8", "d_width=8", "batch=2", "generator=unet")
    api.train("emoji", recipe="pix2pix", size=16, budget="4", out=runs / "emoji", set=small)
    for name in scripts():
        (runs / name).mkdir()
        for file in ("recipe.yaml", "log.jsonl"):
            shutil.copy(runs / "ring" / file, runs / name / file)
    for inside in [path for path in (runs / "ring").rglob("*") if path.is_file() and path.name != "recipe.yaml"]:
        inside.unlink()
        inside.symlink_to(home / "canary.txt")
    (runs / "ring" / "report.html").unlink(missing_ok=True)
    (runs / "ring" / "report.html").symlink_to(home / "canary.txt")
    (runs / "out").symlink_to(home)
    (home / "data").mkdir()
    (home / "data" / "out").symlink_to(home)
    return home


def parameters(path: str, *values: str) -> str:
    """A path with values in place of its braces, the last one for all that follow."""
    left = list(values)
    return re.sub(r"{[^}]*}", lambda _: left.pop(0) if len(left) > 1 else left[0], path)


@dataclass
class Said:
    status: int
    body: bytes


def request(
    port: int, method: str, target: str, headers: Pairs, body: bytes = b"", *, length: int | None = None,
    wait: float = 30,
) -> Said:  # fmt: skip
    """One request on a connection of its own. A stream is left after its first second."""
    sent = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "Connection: close"]
    if method != "GET" and "content-length" not in sent:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + (body if method != "GET" else b"")
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as line:
        with contextlib.suppress(OSError):  # it may have answered and hung up before it has heard all
            line.sendall(data)
        return _heard(line)


def _heard(line: socket.socket) -> Said:
    """The answer. Status 0: there was none."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := line.recv(2**16):
            data += piece
            if b"\r\ncontent-type: text/event-stream" in data[:2000]:
                line.settimeout(1.0)
    head, _, body = data.partition(b"\r\n\r\n")
    return Said(int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0, body)


class Server:
    """A running `sparring app` and what is known of it: its secrets, its routes, its size."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> Server:
        self._log = (self.home / "server.log").open("w")
        command = [sys.executable, "-m", "sparring", "app", str(self.home / "runs"), "--data", str(self.home / "data")]
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.host = self.url.split("/")[2]
        self.port = int(self.host.rpartition(":")[2])
        roots = (self.home / "runs",), (self.home / "data",)
        self.desk = Desk(*roots, self.url.partition("token=")[2], frozenset({self.host}))
        routes = iter_route_contexts(create(self.desk).routes)
        self.routes = [(method, str(route.path)) for route in routes for method in sorted(route.methods or ())]
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()

    def headers(self, method: str, kind: str = "application/json") -> Pairs:
        """What a script of our own pages sends."""
        cookie = ("Cookie", f"{cookie_name(self.host)}={self.desk.cookie}")
        if method == "GET":
            return [("Host", self.host), cookie]
        own = [("Origin", f"http://{self.host}"), ("X-Sparring-Token", self.desk.page_token), ("Content-Type", kind)]
        return [("Host", self.host), cookie, *own]

    def ask(
        self, method: str, target: str, body: bytes = b"{}", *, kind: str = "application/json",
        length: int | None = None, wait: float = 30,
    ) -> Said:  # fmt: skip
        return request(self.port, method, target, self.headers(method, kind), body, length=length, wait=wait)

    def trouble(self) -> dict[str, list[str]]:
        """What is wrong with the server after a part of the proof."""
        began, found = time.monotonic(), []
        if self.process.poll() is not None:
            return {"trouble": [f"the server ended with {self.process.returncode}"]}
        if self.ask("GET", "/api/ready").status != 200 or time.monotonic() - began > 1:
            found.append(f"the server took {time.monotonic() - began:.1f} s to answer")
        if "Traceback" in (self.home / "server.log").read_text():
            found.append("the server wrote a traceback")
        return {"trouble": found}

    def resident(self) -> float:
        """MiB of memory of the server process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024

    def flood(self, many: int, size: int) -> tuple[Counter[int], float, float]:
        """Uploads at the same time: their answers, the longest wait of somebody else in seconds, the most MiB."""
        answers: Counter[int] = Counter()
        threads = [threading.Thread(target=self._upload, args=(size, answers)) for _ in range(many)]
        for thread in threads:
            thread.start()
        silent = largest = 0.0
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            self.ask("GET", "/api/ready")
            silent, largest = max(silent, time.monotonic() - began), max(largest, self.resident())
            time.sleep(0.02)
        return answers, silent, largest

    def _upload(self, size: int, answers: Counter[int]) -> None:
        answers[self.ask("POST", "/api/nothing", bytes(size), kind="application/octet-stream", wait=120).status] += 1

    def drip(self, many: int, seconds: float) -> int:
        """Connections that send a byte a second of a head that never ends; how many are left after so long."""
        lines = [socket.create_connection(("127.0.0.1", self.port), timeout=1) for _ in range(many)]
        gone: set[int] = set()
        until = time.monotonic() + seconds
        while time.monotonic() < until and len(gone) < many:
            for k, line in enumerate(lines):
                if k in gone:
                    continue
                try:
                    line.sendall(b"G")
                except OSError:
                    gone.add(k)
            time.sleep(1)
        for line in lines:
            line.close()
        return many - len(gone)


def chunked(server: Server, target: str, size: int) -> tuple[int, int]:
    """A body without a length, sent until the server hangs up: (bytes sent, status)."""
    sent = 0
    headers = "".join(f"{name}: {value}\r\n" for name, value in server.headers("POST", "application/octet-stream"))
    head = f"POST {target} HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    piece: Any = b"10000\r\n" + bytes(2**16) + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        with contextlib.suppress(OSError):
            line.sendall(head.encode())
            while sent < size:
                line.sendall(piece)
                sent += 2**16
        return sent, _heard(line).status
