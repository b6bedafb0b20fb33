"""What a client is told when something cannot be done: JSON with code, what, where, fix; never a traceback."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sparring.errors import SparringError

LONG = 2000
"""Characters of one text that are sent; file names and messages of libraries have no bound of their own."""


class Answer(JSONResponse):
    """JSON that can always be written: numbers that are not finite become null, and names of files that are no text
    (they may be any bytes) are spelt out."""

    def render(self, content: Any) -> bytes:
        try:
            return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except (ValueError, TypeError):
            return json.dumps(_plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_clean(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (int, bool)) else _clean(str(value))


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class Unknown(SparringError):
    """There is no such thing (404)."""


class Busy(SparringError):
    """Too much at once; it may be asked again (429)."""


class Refused(SparringError):
    """A request that is not answered at all, with its HTTP status."""

    def __init__(self, status: int, code: str, what: str, *, fix: str = "") -> None:
        super().__init__(code, what, fix=fix)
        self.status = status


class WorkerError(SparringError):
    """A child process died, took too long, or met a bug of ours (503)."""


def status(error: SparringError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, Refused):
        return error.status
    return next((n for kind, n in ((Unknown, 404), (Busy, 429), (WorkerError, 503)) if isinstance(error, kind)), 422)


def told(error: SparringError) -> dict[str, dict[str, str]]:
    """The error as the body of an answer.

    >>> told(Unknown("RUN", "there is no such run"))["error"]["what"]
    'there is no such run'
    """
    said = {"code": error.code, "what": error.what, "where": error.where, "why": error.why, "fix": error.fix}
    return {"error": {key: _clean(str(text))[:LONG] for key, text in said.items()}}


def answer(error: SparringError) -> JSONResponse:
    return Answer(told(error), status(error))


_SAID = {
    404: ("NOT-FOUND", "there is nothing at this address"),
    405: ("METHOD", "this address cannot be asked in this way"),
}


def install(app: FastAPI) -> None:
    """Every error of every route as `told` says it. What is a bug is caught by the guard around everything."""

    async def sparring(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, SparringError)
        return answer(error)

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code, what = _SAID.get(error.status_code, ("REQUEST", str(error.detail)))
        return answer(Refused(error.status_code, code, what))

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(_invalid(error.errors()))

    app.add_exception_handler(SparringError, sparring)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _invalid(found: Any) -> SparringError:
    """What pydantic found wrong, first fault first; of what was sent only the name of the field is repeated."""
    first = found[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return SparringError("FIELD", f"{first['msg']}{more}", where=where)
