"""Data: from files to endless, reproducible streams.

`open_data` finds, checks and decodes; `stream_of` delivers. See docs/data.md.
"""

from sparring.data import builtin, points
from sparring.data.dataset import Dataset, Survey, open_data
from sparring.data.manifest import Manifest, reopen
from sparring.data.options import Options
from sparring.data.report import DataReport
from sparring.data.stream import ImageStream, PointStream, Prefetch, stream_of

BUILT_IN = (*builtin.IMAGES, *points.NAMES)
"""Names of the data that comes with the package."""

__all__ = [
    "BUILT_IN", "DataReport", "Dataset", "ImageStream", "Manifest", "Options", "PointStream", "Prefetch", "Survey",
    "open_data", "reopen", "stream_of",
]  # fmt: skip
