"""What the answers of a study say: in a process of its own, so that the server keeps answering meanwhile. No torch."""

from __future__ import annotations

from typing import Any


def result(path: str) -> dict[str, Any]:
    """As `api.study_result`, with the same in words."""
    from sparring.api.study import study_lines, study_result

    found = study_result(path)
    return {"result": found, "lines": study_lines(found)}
