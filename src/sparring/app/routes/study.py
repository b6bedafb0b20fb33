"""What the page Study asks: which studies there are, a new one, how one stands, what its answers say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from pydantic import Field, model_validator

from sparring.app.bodies import Body, Id, Seed
from sparring.app.desk import Desk, identity
from sparring.app.listing import able
from sparring.app.studies import Studies, facts, sight
from sparring.app.trouble import Unknown
from sparring.app.worker import Workers
from sparring.errors import SparringError

PATIENCE = 280.0
"""Seconds in which the pictures of a new study must be drawn; browsers wait for five minutes."""
EVERY = 1.0
"""Seconds between looks at how many answers there are."""


class New(Body):
    """A study of one run or more. real: a run or a data set of the desk, whose pictures are the real ones; None: those
    of the first run's own data. seconds: 0 or None until the answer. The rest as of `api.new_study`."""

    runs: Annotated[tuple[Id, ...], Field(min_length=1, max_length=8)]
    real: Id | None = None
    title: Annotated[str, Field(max_length=200)] = ""
    protocol: Literal["paired", "single", "preference"] = "paired"
    trials: Annotated[int, Field(ge=1, le=500)] = 50
    practice: Annotated[int, Field(ge=0, le=100)] = 10
    catch: Annotated[int, Field(ge=0, le=50)] = 6
    seconds: Annotated[float, Field(ge=0, le=60)] | None = 1.0
    one_each: bool = False
    seed: Seed = 0

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.runs)) < len(self.runs):
            raise ValueError("a run is named twice")
        return self


def router(desk: Desk, workers: Workers, studies: Studies) -> APIRouter:
    """GET /api/study, /api/study/choices, /api/study/{study} and below it events, result, picture, export; POST
    /api/study/new."""
    made = APIRouter(prefix="/api/study")

    @made.get("")
    def everything() -> list[dict[str, Any]]:
        return studies.listed()

    @made.get("/choices")
    async def choices() -> dict[str, Any]:
        """Runs that make pictures, and data that may stand for what is real."""
        found = await able(desk, workers.named("trained"), "samples", "translates")
        runs = [{"id": run["id"], "name": run["name"]} for run in found if run["kind"] == "images"]
        return {"runs": runs, "data": [{"id": id, "name": path.name} for id, path in desk.data().items()]}

    @made.post("/new")
    async def new(body: New) -> dict[str, str]:
        places = [desk.run(id) for id in body.runs]
        asked = body.model_dump(exclude={"runs", "real"}) | {"seconds": body.seconds or 0.0}
        if body.real is not None:
            asked["real"] = str(_real(desk, body.real))
        told = await workers.named("study").call(
            "create", timeout=PATIENCE, runs=[str(place) for place in places], home=str(desk.roots[0].resolve()),
            names=[place.name for place in places], **asked,
        )  # fmt: skip
        return {"id": identity(Path(told))}

    @made.get("/{study}")
    def one(study: Id) -> dict[str, Any]:
        return facts(studies.store(study), study)

    @made.get("/{study}/result")
    async def result(study: Id) -> dict[str, Any]:
        found: dict[str, Any] = await workers.named("answers").call("result", path=str(studies.store(study).path))
        return found

    @made.get("/{study}/picture/{name}")
    def picture(study: Id, name: Id) -> Response:
        return sight(studies.store(study), name)

    @made.get("/{study}/export/{form}")
    def export(study: Id, form: Literal["csv", "json"]) -> Response:
        text = studies.store(study).export(form)
        kind = {"csv": "text/csv", "json": "application/json"}[form]
        headers = {"content-disposition": f'attachment; filename="answers-{study}.{form}"'}
        return Response(text, media_type=f"{kind}; charset=utf-8", headers=headers)

    @made.get("/{study}/events")
    async def events(study: Id) -> StreamingResponse:
        await run_in_threadpool(studies.store, study)
        return StreamingResponse(counted(studies, study), media_type="text/event-stream")

    return made


def _real(desk: Desk, id: str) -> Path:
    """The run or the data with this id."""
    try:
        return desk.run(id)
    except Unknown:
        return desk.datum(id)


async def counted(studies: Studies, id: str) -> AsyncGenerator[str, None]:
    """How many raters and answers there are, whenever that changes; a comment every while, so that the line stays."""
    last, quiet = None, 0.0
    while True:
        try:
            counts = await run_in_threadpool(lambda: studies.store(id).counts())
        except SparringError:
            return  # it was deleted
        if counts != last:
            yield f"data: {json.dumps(counts)}\n\n"
            last, quiet = counts, 0.0
        elif quiet >= 15:
            yield ": still here\n\n"
            quiet = 0.0
        await asyncio.sleep(EVERY)
        quiet += EVERY
