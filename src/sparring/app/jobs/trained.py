"""Trained runs, in a process that keeps the last few of them open: what each is good for, pictures of its samples, and
what it turns pictures into. One process for all pages: torch is loaded once."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.api import Run


class Opened:
    """Runs that stay open, by their paths: at most `most`; of more, the one that was not asked for the longest is
    closed."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: OrderedDict[str, Run] = OrderedDict()

    def run(self, path: str) -> Run:
        """A run, opened with its best checkpoint if it is not open."""
        from sparring import api

        if path not in self.kept:
            self.kept[path] = api.load(path, lopped=True)
            while len(self.kept) > self.most:
                self.kept.popitem(last=False)
        self.kept.move_to_end(path)
        return self.kept[path]

    def anew(self, path: str) -> Run:
        """The same with its best checkpoint of now."""
        self.kept.pop(path, None)
        return self.run(path)


_open = Opened(3)


def wake() -> None:
    """Load what the other questions need, before they come: it takes seconds."""
    from sparring.api import latents

    latents.prepare()


def uses(paths: list[str]) -> list[dict[str, Any] | None]:
    """What each run is good for, as `api.uses`; None where that cannot be told."""
    return [_uses(path) for path in paths]


def _uses(path: str) -> dict[str, Any] | None:
    from sparring import api
    from sparring.errors import SparringError

    try:
        return api.uses(path)
    except (SparringError, OSError, KeyError, TypeError, ValueError, AttributeError):  # a folder may hold anything
        return None


# ── samples ───────────────────────────────────────────────────────────────────────────────────────────────────────


def powers(path: str) -> dict[str, Any]:
    """Open a run anew, make its first sample, and say what it can do (`api.powers`)."""
    from sparring import api

    run = _open.anew(path)
    able = api.powers(run)
    api.sample_sheet(run, 1)  # the first one takes longer: memory is found, kernels are chosen
    return able | {"remarks": run.remarks}


def samples(path: str, **asked: Any) -> bytes:
    """As `api.sample_sheet`."""
    from sparring import api

    return api.sample_sheet(_open.run(path), **asked)


def picture(path: str, **asked: Any) -> bytes:
    """As `api.spot_picture`."""
    from sparring import api

    return api.spot_picture(_open.run(path), **asked)


def mix(path: str, **asked: Any) -> bytes:
    """As `api.mix_picture`."""
    from sparring import api

    return api.mix_picture(_open.run(path), **asked)


def film(path: str, **asked: Any) -> bytes:
    """As `api.spot_film`."""
    from sparring import api

    return api.spot_film(_open.run(path), **asked)


# ── pictures turned into others ───────────────────────────────────────────────────────────────────────────────────


def translates(path: str) -> dict[str, Any]:
    """Open a run anew, and say what it turns into what (`api.translates`)."""
    from sparring import api

    run = _open.anew(path)
    return api.translates(run) | {"remarks": run.remarks}


def translated(path: str, picture: bytes, **how: Any) -> bytes:
    """As `api.translated`."""
    from sparring import api

    return api.translated(_open.run(path), picture, **how)[0]


def example(path: str, number: int) -> bytes:
    """As `api.given_example`."""
    from sparring import api

    return api.given_example(path, number)
