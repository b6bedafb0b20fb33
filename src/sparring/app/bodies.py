"""What may be in a request: strict JSON, models with bounds, ids."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from sparring.app.trouble import Refused

Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
"""The id of a run, of data, of a study: in an address or in a body."""
Number = Annotated[int, Path(ge=0, le=2**53)]
"""A number in an address, such as images seen."""
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Body(BaseModel):
    """What every JSON body derives from: no field that is not known, no number that is not finite, never changed."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, str_max_length=4096)


def strict(data: bytes) -> Any:
    """JSON as the standard says it: UTF-8, no NaN, no name twice, not nested without end. Raises `Refused`.

    >>> strict(b'{"a": [1]}')
    {'a': [1]}
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_once)
    except RecursionError:
        raise Refused(422, "JSON", "this is nested too deeply") from None
    except ValueError as error:
        raise Refused(422, "JSON", f"this is no JSON that is read here: {error}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found
