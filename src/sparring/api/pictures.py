"""Pictures of strangers: decoded, cleaned and written anew."""

from __future__ import annotations


def clean_picture(data: bytes, *, pixels: int = 64 * 10**6) -> bytes:
    """The bytes of an image as those of a PNG of ours: upright, in sRGB, 8 bits, RGB or, where any of it is
    transparent, RGBA. Nothing else that was in the file is kept.

    pixels: width × height above which it is refused. Raises `DataError` for what is damaged or no image.
    """
    from sparring.data.cleaning import clean

    return clean(data, pixels=pixels)
