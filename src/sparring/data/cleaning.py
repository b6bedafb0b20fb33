"""An image of a stranger, as a PNG in which nothing is left but pixels."""

from __future__ import annotations

import io

from PIL import Image

from sparring.data.decode import as_it_is, decoding
from sparring.data.opening import Limits, Unusable
from sparring.errors import DataError

ASPECT = 1000.0
"""Longer side ÷ shorter side of what is still a picture."""


def clean(data: bytes, *, pixels: int = 64 * 10**6) -> bytes:
    """The image as PNG: upright, in sRGB, 8 bits, RGB, or RGBA where any of it is transparent.

    pixels: width × height above which it is refused, before anything is decoded. Raises `DataError`.
    """
    try:
        with decoding():
            found = as_it_is(data, 4, Limits(min_side=1, max_aspect=ASPECT, max_pixels=pixels), reduce=False)
    except Unusable as error:
        why = str(error)
        raise DataError("PICTURE", "this picture cannot be used", why=why, fix=_mended(why, pixels)) from None
    if bool((found[..., 3] == 255).all()):
        found = found[..., :3]
    file = io.BytesIO()
    Image.fromarray(found).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _mended(why: str, pixels: int) -> str:
    """What to do about a picture that was refused for this reason.

    >>> _mended("damaged PNG: broken data stream", 0)
    'save or download it again: the file is damaged or cut off'
    """
    if why.endswith("megapixels"):
        return (
            f"make it smaller: at most {pixels // 10**6} megapixels, or sparring translate RUN FILE on the command line"
        )
    if why.startswith("damaged"):
        return "save or download it again: the file is damaged or cut off"
    if why.startswith("too long"):
        return "cut it into shape"
    if why.startswith("empty"):
        return "copy or download it again"
    return "" if "install" in why else "a PNG or a JPEG"
