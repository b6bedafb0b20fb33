"""Data: from files to endless, reproducible streams.

`open_data` finds, checks and decodes; `stream_of` delivers. See docs/data.md. Streams need torch, which is loaded when
the first of them is asked for: looking at images does without.
"""

import importlib
from typing import TYPE_CHECKING, Any

from sparring.data import builtin, points
from sparring.data.dataset import Dataset, Survey, open_data
from sparring.data.manifest import Manifest, reopen
from sparring.data.options import Options
from sparring.data.report import DataReport
from sparring.data.sides import Given, SideSpec, given_pixels

if TYPE_CHECKING:
    from sparring.data.stream import ImageStream, PointStream, Prefetch, batch_of, stream_of

_FROM_STREAM = ("ImageStream", "PointStream", "Prefetch", "batch_of", "stream_of")

BUILT_IN = (*builtin.IMAGES, *points.NAMES)
"""Names of the data that comes with the package."""

__all__ = [
    "BUILT_IN", "DataReport", "Dataset", "Given", "ImageStream", "Manifest", "Options", "PointStream", "Prefetch",
    "SideSpec", "Survey", "batch_of", "given_pixels", "open_data", "reopen", "stream_of",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """The names of `sparring.data.stream`, loaded on first use (PEP 562)."""
    if name in _FROM_STREAM:
        return getattr(importlib.import_module("sparring.data.stream"), name)
    raise AttributeError(f"module 'sparring.data' has no attribute {name!r}")
