"""What of the page Runs needs torch: verdicts, the report page, the names of recipes."""

from __future__ import annotations

from typing import Any


def verdicts(path: str) -> dict[str, Any]:
    """As `api.run_verdicts`."""
    from sparring import api

    return api.run_verdicts(path)


def page(path: str) -> bytes:
    """As `api.run_page`, in UTF-8."""
    from sparring import api

    return api.run_page(path).encode("utf-8", "replace")


def recipes() -> dict[str, str]:
    """Every recipe and preset by name, with its first line of description."""
    from sparring import api

    return api.recipes()
