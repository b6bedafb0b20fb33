"""What the page Runs asks: runs as they stand, one run in full, begin, stop, resume, data and their check."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field

from sparring import api
from sparring.app.bodies import Body, Id, Number, Seed
from sparring.app.desk import Desk, identity
from sparring.app.trouble import Unknown
from sparring.app.worker import Workers
from sparring.errors import SparringError, UsageError

BOXED = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The policy of a page that was written elsewhere: it has no origin, so no cookie, and may ask nobody anything."""
EVERY, SILENT = 1.0, 15.0
"""Seconds between two looks at the disk, and after which a stream that has nothing to say shows that it lives."""

Key = Annotated[str, Field(pattern="^[0-9a-f]{16,64}$")]
"""Made anew by the page for every wish: a wish that arrives twice is one."""
Datum = Annotated[str, Field(pattern="^([0-9a-f]{16}|[a-z]{3,15})$")]
"""The id of a folder of the data roots, or the name of built-in data."""
Picture = Literal["game", "walk", "pairs", "neighbours"]
Rounds = Annotated[int, Query(ge=1, le=1_000_000)]


class _Wish(Body):
    key: Key


class _Data(_Wish):
    data: Datum
    into: Datum | None = None


class _Begin(_Data):
    recipe: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,40}$")] = "auto"
    budget: Annotated[str, Field(pattern="^[0-9][0-9.]{0,8}[smhdkM]?$")] = "10m"
    size: Annotated[int, Field(ge=8, le=2048)] | None = None
    seed: Seed = 0
    name: Annotated[str, Field(pattern="^([A-Za-z0-9][A-Za-z0-9_-]{0,63})?$")] = ""


class _Resume(_Wish):
    budget: Annotated[str, Field(pattern=r"^(\+[0-9][0-9.]{0,8}[smhdkM]?)?$")] = ""


def router(desk: Desk, workers: Workers) -> APIRouter:
    """GET /api/runs, /api/live, /api/runs/{run} and below, /api/data, /api/recipes, /api/checks/{check}, and the pages
    /runs/{run}/report, /checks/{check}/report; by POST /api/runs, /api/demo, /api/checks, and of a run stop, resume,
    forget."""
    made, stand = APIRouter(), _Stand(desk)
    worker = workers.named("runs")
    _looks(made, stand)
    _changes(made, stand, desk, worker)
    _data(made, stand, desk, worker)

    @made.get("/api/runs/{run}/verdicts")
    async def verdicts(run: Id) -> dict[str, Any]:
        place = await run_in_threadpool(stand.place, run)
        if not (place / "recipe.yaml").exists():
            return {"verdicts": []}
        answer: dict[str, Any] = await worker.call("verdicts", path=str(place))
        return answer

    @made.get("/runs/{run}/report")
    async def report(run: Id) -> Response:
        place = await run_in_threadpool(desk.run, run)
        return _boxed(await worker.call("page", path=str(place)))

    return made


class _Stand:
    """The runs of a desk by id, those that are only beginning too, and what is known of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.shelf = desk, api.open_shelf()

    def all(self) -> dict[str, Path]:
        return {**{identity(path): path for path in api.pending_runs(self.desk.roots)}, **self.desk.runs()}

    def place(self, id: str) -> Path:
        """The directory of a run. `Unknown` where there is none (any longer)."""
        try:
            return self.desk.run(id)
        except Unknown:
            waiting = {identity(path): path for path in api.pending_runs(self.desk.roots)}
            if id not in waiting:
                raise
            return waiting[id]

    def rows(self) -> list[dict[str, Any]]:
        """A glance at every run: those that are in training first, then by when they were last written."""
        rows = [{"id": id, **self.glance(path)} for id, path in self.all().items()]
        busy = ("training", "starting")
        return sorted(rows, key=lambda row: (row["state"] not in busy, -row["touched"], row["name"]))

    def glance(self, path: Path) -> dict[str, Any]:
        """With the name as seen from its root."""
        return {**api.shelf_glance(self.shelf, path), "name": api.plain(self.desk.called(path))}

    def story(self, id: str) -> dict[str, Any]:
        path = self.place(id)
        return {"id": id, **api.shelf_story(self.shelf, path), "name": self.glance(path)["name"]}


def _looks(made: APIRouter, stand: _Stand) -> None:
    """What only looks."""

    @made.get("/api/runs")
    def runs() -> list[dict[str, Any]]:
        return stand.rows()

    @made.get("/api/live")
    async def live(rounds: Rounds = 1_000_000) -> Response:
        """Events: every run at first, then those that have changed, and always the ids in their order."""
        known: dict[str, str] = {}

        def changed() -> dict[str, Any] | None:
            rows = stand.rows()
            news = [row for row in rows if known.get(row["id"]) != row["version"]]
            order = [row["id"] for row in rows]
            if known and not news and order == list(known):
                return None
            known.clear()
            known.update({row["id"]: row["version"] for row in rows})
            return {"runs": news, "order": order}

        return _stream(changed, rounds)

    @made.get("/api/runs/{run}")
    def one(run: Id) -> dict[str, Any]:
        return stand.story(run)

    @made.get("/api/live/{run}")
    async def watch(run: Id, rounds: Rounds = 1_000_000) -> Response:
        """Events: how a run stands, whenever that has changed."""
        await run_in_threadpool(stand.place, run)
        known = [""]

        def changed() -> dict[str, Any] | None:
            try:
                row = {"id": run, **stand.glance(stand.place(run))}
            except Unknown:
                row = {"id": run, "state": "gone", "version": "gone"}
            if row["version"] == known[0]:
                return None
            known[0] = row["version"]
            return row

        return _stream(changed, rounds)

    @made.get("/api/runs/{run}/grid/{images}")
    def grid(run: Id, images: Number) -> Response:
        return _picture(stand.place(run), images)

    @made.get("/api/runs/{run}/picture/{name}")
    def picture(run: Id, name: Picture) -> Response:
        return _picture(stand.place(run), name)


def _changes(made: APIRouter, stand: _Stand, desk: Desk, worker: Any) -> None:
    """What begins, stops and resumes runs. Everything may be asked twice."""

    @made.post("/api/runs/{run}/stop")
    def stop(run: Id) -> dict[str, Any]:
        return api.stop_run(stand.place(run))

    @made.post("/api/runs/{run}/resume")
    def resume(run: Id, body: _Resume) -> dict[str, bool]:
        return {"begun": api.go_on(desk.run(run), body.budget, body.key)}

    @made.post("/api/runs/{run}/forget")
    def forget(run: Id) -> dict[str, bool]:
        api.forget_run(stand.place(run))
        return {"forgotten": True}

    @made.post("/api/demo")
    def demo(body: _Wish) -> dict[str, str]:
        return {"id": identity(api.begin_demo(desk.roots[0], body.key))}

    @made.post("/api/runs")
    async def begin(body: _Begin) -> dict[str, str]:
        if body.recipe != "auto" and body.recipe not in await worker.call("recipes"):
            raise UsageError("RECIPE", "there is no such recipe", where=body.recipe, fix="choose one of the list")
        asked = body.model_dump(exclude={"data", "into"})
        return {"id": await run_in_threadpool(started, body, asked)}

    def started(body: _Begin, asked: dict[str, Any]) -> str:
        data, into = _sources(desk, body)
        return identity(api.begin_run(desk.roots[0], data, into=into, check=_check_of(body), **asked))


def _data(made: APIRouter, stand: _Stand, desk: Desk, worker: Any) -> None:
    """What may be trained on, and the look at it before."""

    @made.get("/api/data")
    def data() -> dict[str, Any]:
        known = desk.data()
        offers = {id: api.data_offer(path) for id, path in known.items()}
        folders = [
            {"id": id, "name": desk.called(known[id], data=True), **offer} for id, offer in offers.items() if offer
        ]
        built_in = [{"id": name, "name": name, "more": more} for name, more in api.built_in_data().items()]
        return api.plain({"folders": sorted(folders, key=lambda one: one["name"]), "built_in": built_in})

    @made.get("/api/recipes")
    async def recipes() -> dict[str, str]:
        answer: dict[str, str] = await worker.call("recipes")
        return answer

    @made.post("/api/checks")
    def check(body: _Data) -> dict[str, str]:
        source, into = _sources(desk, body)
        name = _check_of(body)
        api.begin_check(desk.roots[0], name, source, into, body.key)
        return {"id": name}

    @made.get("/api/checks/{check}")
    def result(check: Id) -> dict[str, Any]:
        return api.check_result(desk.roots[0], check)

    @made.get("/checks/{check}/report")
    def page(check: Id) -> Response:
        try:
            return _boxed(api.check_page(desk.roots[0], check))
        except SparringError as error:
            raise Unknown(error.code, error.what, fix=error.fix) from None


def _check_of(body: _Data) -> str:
    """The id of the check of these data."""
    return hashlib.sha256(f"{body.data} {body.into or ''}".encode()).hexdigest()[:16]


def _sources(desk: Desk, body: _Data) -> tuple[str, str | None]:
    """The data that were chosen, as paths or built-in names. `Unknown` for what is not offered."""

    def source(chosen: str) -> str:
        return chosen if chosen in api.built_in_data() else str(desk.datum(chosen))

    return source(body.data), None if body.into is None else source(body.into)


def _picture(run: Path, which: int | str) -> Response:
    try:
        data, kind = api.shelf_picture(run, which)
    except SparringError as error:
        raise Unknown(error.code, error.what, fix=error.fix) from None
    return Response(data, media_type=kind)


def _boxed(page: bytes) -> Response:
    return Response(page, media_type="text/html; charset=utf-8", headers={"content-security-policy": BOXED})


def _stream(changed: Callable[[], dict[str, Any] | None], rounds: int) -> Response:
    """Server-Sent Events of what `changed` says, looked at every second until the page leaves."""

    async def events() -> AsyncIterator[str]:
        silent = 0.0
        for number in range(rounds):
            if number:
                await asyncio.sleep(EVERY)
            news = await run_in_threadpool(changed)
            silent = silent + EVERY if news is None else 0.0
            if news is not None:
                yield f"data: {json.dumps(news)}\n\n"
            elif silent >= SILENT:
                silent = 0.0
                yield ":\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
