"""The server: pages, static files, and the routes of each page behind the guard."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from sparring.app import trouble
from sparring.app.bodies import Body, Id
from sparring.app.desk import Desk
from sparring.app.door import ENTER, Door
from sparring.app.frame import FOR_RATERS, PAGES, framed
from sparring.app.guard import Guard
from sparring.app.routes import play, playground, runs, study, take, translate
from sparring.app.studies import Studies
from sparring.app.trouble import Refused, Unknown
from sparring.app.wire import Wire
from sparring.app.worker import Worker, Workers

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "webp": "image/webp",
    "png": "image/png",
}


@dataclass(frozen=True)
class Static:
    """A packaged file."""

    data: bytes
    kind: str
    tag: str


def statics() -> dict[str, Static]:
    """Every packaged file by its name below static/, such as "js/api.js". What is not in this table is not served."""
    found: dict[str, Static] = {}
    waiting = [("", files("sparring.app") / "static")]
    while waiting:
        before, place = waiting.pop()
        for entry in place.iterdir():
            name = before + entry.name
            if entry.is_dir():
                waiting.append((name + "/", entry))
            elif (suffix := name.rpartition(".")[2]) in _KINDS:
                data = entry.read_bytes()
                found[name] = Static(data, _KINDS[suffix], f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found


def create(desk: Desk) -> FastAPI:
    """The app of a desk. Where a study is served alone, there is nothing but what its raters ask."""
    workers, studies = Workers(), Studies(desk)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            workers.close()
            studies.close()

    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        default_response_class=trouble.Answer,
    )
    app.state.workers = workers
    trouble.install(app)
    door = Door(desk)
    app.include_router(_front(desk, door, workers))
    app.include_router(take.raters(desk, studies))
    if desk.only_study is None:
        for page in (runs, play, translate, playground):
            app.include_router(page.router(desk, workers))
        app.include_router(study.router(desk, workers, studies))
    app.add_middleware(Guard, desk=desk, door=door)
    return app


class _Password(Body):
    password: str


def _front(desk: Desk, door: Door, workers: Workers) -> APIRouter:
    """Pages, static files, and the door."""
    router, packaged = APIRouter(), statics()
    wanted = FOR_RATERS if desk.only_study is not None else tuple(PAGES)
    for path in wanted:
        page = PAGES[path]
        whole = framed(page, packaged[page.main].data.decode(), desk.page_token)
        worker = workers.named(page.wakes) if page.wakes else None
        made = _study_page(whole) if "{study}" in path else _page(whole, worker)
        router.add_api_route(path, made, response_class=HTMLResponse)

    @router.get("/static/{name:path}")
    def static(name: str, request: Request) -> Response:
        if name not in packaged or name.endswith(".html"):
            raise Unknown("NOT-FOUND", "there is nothing at this address")
        file = packaged[name]
        headers = {"etag": file.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.data, media_type=file.kind, headers=headers)

    if desk.password is not None:

        @router.post(ENTER)
        def enter(body: _Password, request: Request) -> Response:
            if not door.right(body.password):
                raise Refused(403, "PASSWORD", "this is not the password", fix="ask whoever started sparring")
            response = Response(status_code=204)
            door.let_in(response, request.headers["host"])
            return response

    @router.get("/api/ready")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    return router


def _page(whole: str, worker: Worker | None) -> Callable[[], Response]:
    """A page, at whose opening a worker begins to load what it needs."""

    def page() -> Response:
        if worker is not None:
            worker.wake()
        return HTMLResponse(whole)

    return page


def _study_page(whole: str) -> Callable[[str], Response]:
    """The page of one study: the same for every one, which its script reads from the address."""

    def of(study: Id) -> Response:
        return HTMLResponse(whole)

    return of


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def serve(desk: Desk, listener: socket.socket, *, ready: Callable[[], None] = lambda: None) -> None:
    """Answer on a socket that listens, until SIGINT or SIGTERM. ready is called when the first request can come."""
    config = uvicorn.Config(
        create(desk),
        http=Wire,
        ws="none",
        access_log=False,  # addresses may hold the token
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,  # streams of events never end by themselves
        h11_max_incomplete_event_size=2**15,
        lifespan="on",
    )
    _Server(config, ready).run([listener])
