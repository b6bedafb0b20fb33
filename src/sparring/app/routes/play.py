"""What the page Play asks: which runs make samples, and pictures of their samples and of what lies between them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field, model_serializer

from sparring.app.bodies import Body, Id, Seed
from sparring.app.desk import Desk
from sparring.app.listing import able
from sparring.app.worker import Workers

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=64)]


class _Made(Body):
    """truncation: 1 is what was learned."""

    truncation: Annotated[float, Field(ge=0.05, le=2)] = 1.0


class _Shown(_Made):
    """label: the number of a class; None: each of its own.   text: so too."""

    label: Annotated[int, Field(ge=0, le=2**20)] | None = None
    text: Annotated[str, Field(max_length=200)] | None = None


class _Spot(Body):
    seed: Seed = 0
    number: Seed = 0

    @model_serializer
    def _pair(self) -> tuple[int, int]:
        return self.seed, self.number


Corners = Annotated[tuple[_Spot, ...], Field(min_length=1, max_length=3)]


class _Picture(_Shown):
    """Places (u, v) in the plane through one to three samples, in rows of `columns`."""

    spots: Corners = (_Spot(),)
    places: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=1, max_length=64)] = ((0.0, 0.0),)
    columns: Count = 1


class _Samples(_Shown):
    seed: Seed = 0
    first: Seed = 0
    n: Count = 24
    columns: Count = 8


class _Film(_Shown):
    spots: Annotated[tuple[_Spot, ...], Field(min_length=2, max_length=3)]
    frames: Annotated[int, Field(ge=4, le=120)] = 48


class _Mix(_Made):
    """Rows of `coarse` samples, columns of `fine` ones; up to `level` of the layers a row decides."""

    coarse: Corners = (_Spot(),)
    fine: Corners = (_Spot(number=1),)
    level: Share = 0.5


def router(desk: Desk, workers: Workers) -> APIRouter:
    """GET /api/play, GET /api/play/{run}, and by POST /api/play/{run}/ samples, picture, mix, film."""
    made, worker = APIRouter(prefix="/api/play"), workers.named("trained")

    async def png(function: str, run: str, body: _Made) -> Response:
        answer = await worker.call(function, path=str(desk.run(run)), **body.model_dump())
        return Response(answer, media_type="image/png")

    @made.get("")
    async def runs() -> list[dict[str, Any]]:
        return await able(desk, worker, "samples")

    @made.get("/{run}")
    async def opened(run: Id) -> dict[str, Any]:
        answer: dict[str, Any] = await worker.call("powers", path=str(desk.run(run)))
        return answer

    @made.post("/{run}/samples")
    async def samples(run: Id, body: _Samples) -> Response:
        return await png("samples", run, body)

    @made.post("/{run}/picture")
    async def picture(run: Id, body: _Picture) -> Response:
        return await png("picture", run, body)

    @made.post("/{run}/mix")
    async def mix(run: Id, body: _Mix) -> Response:
        return await png("mix", run, body)

    @made.post("/{run}/film")
    async def film(run: Id, body: _Film) -> Response:
        return await png("film", run, body)

    return made
