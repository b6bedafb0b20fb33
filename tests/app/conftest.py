"""What the tests of the app share: tiny runs, a client that was let in, a real server on a free port.

library       a folder with a run on points ("ring") and one on images ("blobs"); never change it
translator    a run that translates; never change it
desk          a `Desk` of it, with fixed secrets
near          workers that answer in this process (`test_worker` has real ones; so have Play and the playground)
client        a client of the app of this desk, with the cookie and headers of our own pages
stranger      the same app, asked by someone who was not let in
server        start("ROOT", …) → `Live`: `sparring app` as a process of its own, ended with the test
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from sparring import api
from sparring.app import work
from sparring.app.desk import Desk
from sparring.app.door import cookie_name
from sparring.app.server import create
from sparring.app.worker import Worker, _understood

HOST = "127.0.0.1:8123"
ORIGIN = f"http://{HOST}"


def own_headers(desk: Desk, kind: str = "application/json") -> dict[str, str]:
    """What a script of our own pages sends with what changes something."""
    return {"Origin": ORIGIN, "X-Sparring-Token": desk.page_token, "Content-Type": kind}


def own_cookies(desk: Desk, host: str = HOST) -> dict[str, str]:
    return {cookie_name(host): desk.cookie}


def pictures(folder: Path, count: int = 24, side: int = 16) -> Path:
    """Small images of discs and squares in two class folders."""
    rng = np.random.default_rng(0)
    for k in range(count):
        place = folder / ("disc", "square")[k % 2]
        place.mkdir(parents=True, exist_ok=True)
        y, x = np.mgrid[:side, :side] - side / 2 + rng.uniform(-2, 2, (2, 1, 1))
        inside = (x**2 + y**2 < 20) if k % 2 == 0 else (np.maximum(abs(x), abs(y)) < 4)
        pixels = np.where(inside[..., None], rng.integers(128, 256, 3), rng.integers(0, 100, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{k:03d}.png")
    return folder


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs in one folder; copy what you change."""
    home = tmp_path_factory.mktemp("library")
    small = ("width=8", "batch=8")
    api.train("ring", recipe="gan", budget="64", out=home / "runs" / "ring", set=("width=8", "batch=16"))
    photos = pictures(home / "photos")
    api.train(photos, recipe="dcgan", size=16, budget="16", out=home / "runs" / "blobs", set=small)
    return home / "runs"


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outlines become emoji; copy what you change."""
    run = tmp_path_factory.mktemp("translator") / "emoji"
    small = ("width=8", "d_width=8", "batch=2", "generator=unet")
    api.train("emoji", recipe="pix2pix", size=16, budget="4", out=run, set=small)
    return run


@pytest.fixture(scope="module")
def near() -> Iterator[None]:
    """Workers without limits answer in this process, which has loaded torch already: by the same messages, in the same
    queues, one question after the other."""
    far = Worker._exchange

    def exchange(worker: Worker, message: bytes, timeout: float) -> Any:
        if worker.limits is not None or worker._closed:
            return far(worker, message, timeout)
        asked = work.unpack(message)
        jobs = import_module(f"sparring.app.jobs.{worker.module}")
        return _understood(work._answered(jobs, asked.pop("function"), asked))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "_exchange", exchange)
        yield


@pytest.fixture
def desk(library: Path) -> Desk:
    return make_desk(library, library.parent / "photos")


def make_desk(root: Path, *data_roots: Path, **how: Any) -> Desk:
    """A desk with fixed secrets, for the host of `HOST`."""
    return Desk(
        **{"roots": (root,), "data_roots": data_roots, "token": "launch-token", "hosts": frozenset({HOST})} | how
    )


def client_of(desk: Desk, *, let_in: bool = True) -> TestClient:
    """A client of the app of a desk; use it in a ``with``, which ends its workers."""
    return TestClient(
        create(desk),
        base_url=ORIGIN,
        cookies=own_cookies(desk) if let_in else None,
        headers=own_headers(desk) if let_in else None,
        follow_redirects=False,
        raise_server_exceptions=True,
    )


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with client_of(desk) as client:
        yield client


@pytest.fixture
def stranger(desk: Desk) -> Iterator[TestClient]:
    with client_of(desk, let_in=False) as client:
        yield client


@dataclass
class Live:
    """A server that runs: its process, its address with the token, and its port."""

    process: subprocess.Popen[str]
    url: str

    @property
    def host(self) -> str:
        return self.url.split("/")[2]

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]

    @property
    def desk(self) -> Desk:
        """Knows the secrets that the server derives from its token."""
        return make_desk(Path("runs"), token=self.token, hosts=frozenset({self.host}))

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()  # SIGINT is ignored where tests run in the background
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def launched(
    errors: Path, root: Path, *arguments: str | Path, python: str = sys.executable, **environment: str
) -> Live:
    """`sparring app` of a folder on a free port, which answers; what it says besides goes to the file `errors`.

    python: what runs it, and all that it begins.
    """
    command = [python, "-m", "sparring", "app", str(root), "--port", "0", "--no-browser"]
    with errors.open("w") as said:
        process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            start_new_session=True,
        )
    assert process.stdout is not None
    live = Live(process, process.stdout.readline().strip())
    if not live.url.startswith("http://"):
        live.end()
        raise AssertionError(errors.read_text())
    return live


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """``server(root, "--data", folder)`` starts `sparring app` on a free port and waits until it answers."""
    started: list[Live] = []

    def start(root: Path, *arguments: str | Path, **environment: str) -> Live:
        started.append(launched(tmp_path / f"server-{len(started)}.log", root, *arguments, **environment))
        return started[-1]

    yield start
    for live in started:
        live.end()
