"""The playground: live games on the plane, each in a worker of its own; a few at once, and none for long unused."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from sparring.app.bodies import Body, Id, Seed
from sparring.app.desk import Desk
from sparring.app.trouble import Busy, Unknown
from sparring.app.worker import Worker, Workers

MOST = 4
"""Games at once: each is a process with torch."""
IDLE, FORSAKEN = 300.0, 90.0
"""Seconds without a question after which a game ends, and after which it gives way to a new one. An open page asks
twice a minute."""

Step = Annotated[float, Field(ge=1e-6, le=1.0)]


class Settings(Body):
    """What is played; objective, play and penalty are checked by the game itself."""

    data: Literal["ring", "grid", "swissroll", "checkerboard"] = "ring"
    seed: Seed = 0
    objective: Annotated[str, Field(pattern="^[a-z_]{1,32}$")] = "relativistic"
    play: Annotated[str, Field(pattern=r"^[A-Za-z0-9:,()<.\-]{1,32}$")] = "D:1,G:1"
    penalty: Annotated[str, Field(pattern="^[a-z0-9+-]{1,48}$")] = "r1+r2"
    gamma: Annotated[float, Field(ge=0, le=1000)] = 0.05
    slope: Annotated[float, Field(ge=0, le=1000)] = 0.1
    lr: Step = 2e-3
    d_lr: Step = 2e-3


class Look(Body):
    """How it is looked at. since: the last round of which the page knows the costs."""

    since: Annotated[int, Field(ge=0, le=2**53)] = 0
    field: Literal["plane", "samples", "none"] = "plane"
    averaged: bool = False


class Begin(Body):
    settings: Settings = Settings()
    look: Look = Look()


class Act(Body):
    """player: whose "turn" it is, None for whoever is next.   rounds, seconds: of "advance", whichever comes first."""

    do: Literal["look", "turn", "round", "advance", "collapse", "start"]
    player: Literal["D", "G"] | None = None
    rounds: Annotated[int, Field(ge=1, le=1000)] = 1
    seconds: Annotated[float, Field(gt=0, le=2)] = 0.1
    look: Look = Look()


class Games:
    """The workers of live games by the id of their session."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._live: dict[str, Worker] = {}

    def new(self) -> tuple[str, Worker]:
        """A worker for another game; `Busy` when there are as many as may be and all are in use."""
        self.sweep(FORSAKEN if len(self._live) >= MOST else IDLE)
        if len(self._live) >= MOST:
            raise Busy(
                "PLAYGROUND-FULL", f"{MOST} games are being played", fix="close the page of one, and wait a minute"
            )
        session, worker = secrets.token_hex(8), self._workers.own("playground", queue=2)
        self._live[session] = worker
        self._later()
        return session, worker

    def of(self, session: str) -> Worker:
        self.sweep(IDLE, besides=session)
        if session not in self._live:
            raise Unknown("PLAYGROUND-GONE", "this game is over: nobody played it for a while", fix="begin anew")
        return self._live[session]

    def end(self, session: str) -> None:
        worker = self._live.pop(session, None)
        if worker is not None:
            self._workers.end(worker)

    def _later(self) -> None:
        """Look after games that nobody asks for any longer."""
        asyncio.get_running_loop().call_later(IDLE / 2, self._look_after)

    def _look_after(self) -> None:
        self.sweep(IDLE)
        if self._live:
            self._later()

    def sweep(self, idle: float, *, besides: str = "") -> None:
        """End what was not asked for so many seconds."""
        now = time.monotonic()
        for session in [s for s, worker in self._live.items() if now - worker.used > idle and s != besides]:
            self.end(session)


def router(desk: Desk, workers: Workers) -> APIRouter:
    routes, games = APIRouter(prefix="/api/playground"), Games(workers)

    @routes.post("/begin")
    async def begin(body: Begin) -> dict[str, Any]:
        session, worker = games.new()
        try:
            found = await worker.call("start", settings=body.settings.model_dump(), look=body.look.model_dump())
        except BaseException:
            games.end(session)
            raise
        return {"session": session, **found}

    @routes.post("/{session}/play")
    async def play(session: Id, body: Act) -> dict[str, Any]:
        said: dict[str, Any] = await games.of(session).call("play", **body.model_dump())
        return said

    @routes.post("/{session}/change")
    async def change(session: Id, body: Begin) -> dict[str, Any]:
        said: dict[str, Any] = await games.of(session).call(
            "change", settings=body.settings.model_dump(), look=body.look.model_dump()
        )
        return said

    @routes.post("/{session}/end")
    async def end(session: Id, body: Body) -> dict[str, bool]:
        games.end(session)
        return {"ended": True}

    return routes
