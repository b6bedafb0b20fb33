"""The app asked as the wire asks it: targets, headers and bodies exactly as given, nothing made proper on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi import FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from tests.app.conftest import HOST, own_cookies, own_headers

from sparring.app.desk import Desk
from sparring.app.worker import Worker
from sparring.errors import SparringError

Pairs = list[tuple[str, str]]


@dataclass
class Ask:
    """A request. headers: with Host, as they stand on the wire."""

    method: str
    target: str
    headers: Pairs = field(default_factory=lambda: [("host", HOST)])
    body: bytes = b""
    pieces: int = 2**16
    """bytes of the body that arrive at once"""


@dataclass
class Said:
    """An answer; `headers` by lower-case name, repeated ones joined by a line break."""

    status: int
    headers: dict[str, str]
    body: bytes
    read: int
    """bytes of the request's body that were asked for"""

    @property
    def error(self) -> dict[str, str]:
        return json.loads(self.body)["error"]


def cookies(desk: Desk) -> tuple[str, str]:
    return ("cookie", "; ".join(f"{name}={value}" for name, value in own_cookies(desk).items()))


def ours(desk: Desk, method: str, target: str, body: bytes = b"{}", kind: str = "application/json") -> Ask:
    """A request as a script of our own pages makes it."""
    if method in ("GET", "HEAD"):
        return Ask(method, target, [("host", HOST), cookies(desk)])
    sent = [(name.lower(), value) for name, value in own_headers(desk, kind).items()]
    return Ask(method, target, [("host", HOST), cookies(desk), ("content-length", str(len(body))), *sent], body)


def ask(app: FastAPI, *asked: Ask) -> list[Said]:
    """The answers, one after the other, in one event loop. Streams are left after their first piece."""

    async def all_of_them() -> list[Said]:
        return [await _exchange(app, one) for one in asked]

    return asyncio.run(all_of_them())


async def _exchange(app: FastAPI, asked: Ask) -> Said:
    path, _, query = asked.target.partition("?")
    sent = [(name.lower().encode("latin-1"), value.encode("latin-1", "ignore")) for name, value in asked.headers]
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "server": ("127.0.0.1", 8123), "client": ("127.0.0.1", 50_000), "scheme": "http", "method": asked.method,
        "root_path": "", "path": unquote(path), "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query.encode("utf-8", "surrogateescape"), "state": {},
        "headers": sent,
    }  # fmt: skip
    said = Said(0, {}, b"", 0)
    begun = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if said.read <= len(asked.body):
            piece = asked.body[said.read : said.read + asked.pieces]
            said.read += len(piece) or 1  # an empty body is one message too
            return {"type": "http.request", "body": piece, "more_body": said.read < len(asked.body)}
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(begun.wait(), 20)
        await asyncio.sleep(0.02)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            said.status = message["status"]
            for name, value in message["headers"]:
                name, value = name.decode("latin-1"), value.decode("latin-1")
                said.headers[name] = f"{said.headers[name]}\n{value}" if name in said.headers else value
        elif message["type"] == "http.response.body":
            said.body += message.get("body", b"")
            begun.set()

    await app(scope, receive, send)
    return said


@contextlib.contextmanager
def idle_workers() -> Iterator[None]:
    """Workers that answer nothing: where it matters what the server does, not what a child process finds."""

    async def call(worker: Worker, function: str, /, *, timeout: float = 0, **arguments: Any) -> Any:
        raise SparringError("IDLE", f"{worker.module} was asked {function}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "call", call)
        patch.setattr(Worker, "wake", lambda worker: None)
        yield


def routes(app: FastAPI) -> Iterator[tuple[str, str, RouteContext]]:
    """(method, path with its braces, route) of every route of the app."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or {"GET"}):
            yield method, route.path, route


def filled(path: str, values: Iterable[str]) -> str:
    """A path with values in place of its braces; the last one for all that follow."""
    given = list(values)
    while "{" in path:
        before, _, rest = path.partition("{")
        path = before + (given.pop(0) if len(given) > 1 else given[0]) + rest.partition("}")[2]
    return path
