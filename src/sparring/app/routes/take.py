"""A study as people take it. Raters are known by a random cookie alone, and hear what is true after their answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import Field

from sparring.app.bodies import Body, Id
from sparring.app.desk import Desk, identity
from sparring.app.door import cookie_name
from sparring.app.studies import Studies, rater_of, sheet, sight, standing, tally
from sparring.app.trouble import Refused

if TYPE_CHECKING:
    from sparring.study.store import Store

KEPT = 180 * 24 * 3600
"""Seconds for which a browser keeps the cookie of its rater, who may go on where they stopped."""
_DAY = 86_400_000


class Begin(Body):
    """token: who the browser would be if it is new here; random, drawn by the page, so that twice asked is once begun.
    fresh: somebody else takes the study in this browser, as a new rater."""

    token: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    fresh: bool = False


class Vote(Body):
    """milliseconds: from the moment the pictures appeared.   seen: for how many of them they could be seen."""

    trial: Annotated[int, Field(ge=0, le=10_000)]
    answer: Literal["left", "right", "real", "fake"]
    milliseconds: Annotated[int, Field(ge=0, le=_DAY)]
    seen: Annotated[int, Field(ge=0, le=_DAY)] | None = None


class Look(Body):
    """look: random, drawn by the page each time that it is about to show the pictures of a trial."""

    trial: Annotated[int, Field(ge=0, le=10_000)]
    look: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


def raters(desk: Desk, studies: Studies) -> APIRouter:
    """What people who take a study may ask. They need no token of the launch where a study is served alone."""
    router = APIRouter()

    def known(request: Request, study: str) -> tuple[Store, int]:
        store = studies.store(study)
        rater = rater_of(store, request.cookies.get(_cookie(request)))
        if rater is None:
            raise Refused(403, "RATER", "you have not begun this study", fix="reload the page")
        return store, rater

    @router.get("/api/take/{study}")
    def about(request: Request, study: Id) -> dict[str, Any]:
        store = studies.store(study)
        return standing(store, rater_of(store, request.cookies.get(_cookie(request))))

    @router.post("/api/take/{study}/begin")
    def begin(request: Request, study: Id, body: Begin) -> Response:
        store = studies.store(study)
        token = request.cookies.get(_cookie(request))
        rater = rater_of(store, token)
        if token is None or rater is None or body.fresh:
            token, rater = body.token, store.enrol(body.token)
        response = JSONResponse(sheet(store, rater))
        response.set_cookie(_cookie(request), token, max_age=KEPT, httponly=True, samesite="strict", path="/")
        return response

    @router.get("/api/take/{study}/picture/{name}")
    def picture(request: Request, study: Id, name: Id) -> Response:
        store, _ = known(request, study)
        return sight(store, name)

    @router.post("/api/take/{study}/shown")
    def shown(request: Request, study: Id, body: Look) -> dict[str, bool]:
        """Asked before pictures are shown: they are not where the trial was answered, in another tab. It is counted,
        for an answer to pictures that were shown twice does not count."""
        store, rater = known(request, study)
        return {"show": store.look(rater, body.trial, body.look)}

    @router.post("/api/take/{study}/vote")
    def vote(request: Request, study: Id, body: Vote) -> dict[str, Any]:
        """Says so once the answer is on the disk. The same may be sent again: the first answer stands, and is told.
        own: whether it is this one. Of an answer that was given elsewhere nothing is said of what is true."""
        store, rater = known(request, study)
        kept = store.vote(rater, body.trial, body.answer, body.milliseconds, body.seen)
        own = kept or store.stands(rater, body.trial) == (body.answer, body.milliseconds)
        truth = store.feedback(rater, body.trial)
        answers = store.answered(rater)
        stands = answers[body.trial]
        told = {"truth": truth, "right": stands == truth} if truth and own else None
        return {"kept": kept, "own": own, "answer": stands, "done": len(answers), "feedback": told}

    @router.get("/api/take/{study}/own")
    def own(request: Request, study: Id) -> dict[str, int]:
        store, rater = known(request, study)
        if len(store.answered(rater)) < store.study.trials + store.study.catch:
            raise Refused(409, "UNFINISHED", "not everything is answered yet", fix="reload the page and go on")
        return tally(store, rater)

    if desk.only_study is not None:
        address = f"/take/{identity(desk.only_study)}"

        @router.get("/")
        def front() -> Response:
            return RedirectResponse(address, 303)

    return router


def _cookie(request: Request) -> str:
    """Of this rater; cookies do not know ports."""
    return f"{cookie_name(request.headers['host'])}-rater"
