"""What the page Translate asks: which runs turn pictures into others, and what they make of a sketch or a file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from sparring.app.bodies import Id, Number
from sparring.app.desk import Desk
from sparring.app.listing import able
from sparring.app.trouble import Refused
from sparring.app.worker import Workers

Seed = Annotated[int, Query(ge=0, le=2**31 - 1)]


def router(desk: Desk, workers: Workers) -> APIRouter:
    """GET /api/translate, /api/translate/{run} and /api/translate/{run}/example/{number}; and by POST, with the bytes
    of an image as body, /api/translate/{run}/picture."""
    made, worker = APIRouter(prefix="/api/translate"), workers.named("trained")

    @made.get("")
    async def runs() -> list[dict[str, Any]]:
        return await able(desk, worker, "translates")

    @made.get("/{run}")
    async def opened(run: Id) -> dict[str, Any]:
        answer: dict[str, Any] = await worker.call("translates", path=str(desk.run(run)))
        return answer

    @made.get("/{run}/example/{number}")
    async def example(run: Id, number: Number) -> Response:
        answer = await worker.call("example", path=str(desk.run(run)), number=number)
        return Response(answer, media_type="image/png")

    @made.post("/{run}/picture")
    async def picture(
        run: Id, request: Request, back: bool = False, noise: bool = False, seed: Seed = 0,
        size: Literal["train", "own"] = "own",
    ) -> Response:  # fmt: skip
        """The image translated, a PNG of as many pixels.   size: "train" brings it to what the run has seen before."""
        place = str(desk.run(run))
        if request.headers.get("content-type") != "application/octet-stream":
            raise Refused(415, "CONTENT-TYPE", "send the bytes of an image as application/octet-stream")
        given = await workers.picture(await request.body())
        how: dict[str, Any] = {
            "back": back,
            "deterministic": not noise,
            "seed": seed,
            "size": "train" if size == "train" else None,
        }
        answer = await worker.call("translated", path=place, picture=given, half="whole", **how)
        return Response(answer, media_type="image/png")

    return made
