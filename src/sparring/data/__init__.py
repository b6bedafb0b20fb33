"""Data: from files to endless, reproducible streams.

`open_data` finds, checks and decodes; `stream_of` delivers. See docs/data.md.
"""

from sparring.data import builtin, points
from sparring.data.dataset import Dataset, open_data
from sparring.data.report import DataReport
from sparring.data.stream import ImageStream, PointStream, Prefetch, stream_of

BUILT_IN = (*builtin.IMAGES, *points.NAMES)
"""Names of the data that comes with the package."""

__all__ = ["BUILT_IN", "DataReport", "Dataset", "ImageStream", "PointStream", "Prefetch", "open_data", "stream_of"]
