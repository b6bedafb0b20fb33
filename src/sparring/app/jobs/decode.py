"""Uploaded images: bytes of strangers in, a PNG of ours out. Runs in a worker with limits."""

from __future__ import annotations

PIXELS = 64 * 10**6
"""More are refused."""


def decode(data: bytes) -> bytes:
    """The image upright, in sRGB, 8 bits, as PNG: RGB, or RGBA where any of it is transparent. Nothing else that was in
    the file is kept. Raises `DataError` for what is no image, damaged, or above `PIXELS`."""
    from sparring import api

    return api.clean_picture(data, pixels=PIXELS)
