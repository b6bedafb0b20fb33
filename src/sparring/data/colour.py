"""Pixels of every kind to 8-bit sRGB or grey. Levels are scaled by bit depth and never clipped."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

GREY_MODES = frozenset({"1", "L", "LA", "La", "F", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_STRIP = 2**22  # pixels that are looked at, or converted, at a time

Narrow = Callable[[NDArray[Any]], NDArray[np.uint8]]
"""Deep samples to 8 bits, value by value."""

_WORDS = {
    "1": "1-bit", "L": "grey", "LA": "grey with transparency", "La": "grey with transparency", "P": "palette",
    "PA": "palette with transparency", "RGB": "colour", "RGBX": "colour", "YCbCr": "colour", "HSV": "colour",
    "RGBA": "colour with transparency", "RGBa": "colour with transparency", "CMYK": "CMYK", "LAB": "Lab", "F": "float",
    "I": "grey 32-bit",
}  # fmt: skip


def in_words(image: Image.Image, bits: int) -> str:
    """What the pixels of an opened image are, as a person says it. bits: of one sample, 0 where nobody says.

    >>> in_words(Image.new("LA", (8, 8)), 8)
    'grey with transparency'
    """
    deep_grey = image.mode.startswith("I") and bits > 8
    word = f"grey {bits}-bit" if deep_grey else _WORDS.get(image.mode, image.mode)
    if bits > 8 and not deep_grey and word in ("colour", "grey", "colour with transparency", "grey with transparency"):
        word = word.replace(" ", f" {bits}-bit ", 1) if " " in word else f"{word} {bits}-bit"
    clear = image.has_transparency_data and image.mode in ("1", "L", "P", "RGB", "I;16")
    return f"{word} with transparency" if clear else word


def strips(image: Image.Image, rows: int = 1) -> Iterator[tuple[int, int, int, int]]:
    """The boxes of strips of about 4 million pixels that make up an image. rows: each is a multiple of this high."""
    height = max(rows, _STRIP // max(image.width, 1) // rows * rows)
    for top in range(0, image.height, height):
        yield 0, top, image.width, min(top + height, image.height)


def narrowing(
    image: Image.Image, bits: int, unsigned: bool, levels: tuple[float, float] | None, notes: list[str]
) -> Narrow | None:
    """How the samples of a deep grey image (16-bit, 32-bit, float) become 8 bits; None if it is not deep.

    Without `levels` by bit depth: 16 bits keep their high byte, 256 equal bins of 256 values, so that a ramp of 256
    levels keeps 256 levels however it was written (i·256 or i·257), black stays 0 and white 255. Float samples in
    [0, 1] go into 256 equal bins too. With `levels` (low, high): 256 equal bins between them, clipped beyond.
    bits: of one sample as the file declares them, or 0.   Raises `ValueError` for samples that are not numbers.
    """
    mode = image.mode
    if not (mode in ("I", "F") or mode.startswith("I;16")):
        return None
    if levels is None and mode.startswith("I;16"):
        depth = bits if 8 < bits < 16 else 16
        notes.append(f"{depth}-bit to 8-bit")
        return _shift(depth - 8)
    unsigned = unsigned and mode == "I" and bits == 32
    low, high = _extremes(image, unsigned)
    if levels is not None:
        said = f"{levels[0]:g}..{levels[1]:g}"
        notes.append(f"levels from {said}")
        if low < levels[0] or high > levels[1]:
            notes.append(f"levels beyond {said} clipped")
        return _bins(*levels, unsigned)
    return _floats(low, high, notes) if mode == "F" else _integers(int(low), int(high), bits, unsigned, notes)


def narrow(image: Image.Image, function: Narrow) -> Image.Image:
    """Mode L, or LA where one level of the deep image stands for transparency."""
    values = np.asarray(image)
    grey = Image.fromarray(function(values))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey


def _extremes(image: Image.Image, unsigned: bool) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for box in strips(image):
        values = np.asarray(image.crop(box))
        values = values.view(np.uint32) if unsigned else values
        least, most = float(values.min()), float(values.max())
        if not np.isfinite(least) or not np.isfinite(most):
            raise ValueError("float image with samples that are not finite numbers")
        low, high = min(low, least), max(high, most)
    return low, high


def _integers(low: int, high: int, bits: int, unsigned: bool, notes: list[str]) -> Narrow:
    """32-bit samples. Files seldom say how much of the 32 bits they use: the smallest of 8, 16, 31 that holds them."""
    if low < 0:
        notes.append("signed integers stretched to 8-bit")
        return _bins(low, high)
    if bits == 16 or 255 < high <= 65535:
        notes.append("16-bit to 8-bit")
        return _shift(8)
    if high <= 255:
        return _shift(0)
    notes.append("32-bit integer to 8-bit")
    return _shift(24 if high >= 2**31 else 23, unsigned)


def _floats(low: float, high: float, notes: list[str]) -> Narrow:
    """Float samples: in [0, 1], else as 8-bit or 16-bit levels, else stretched from their own darkest to lightest."""
    if low >= 0.0 and high <= 65535.0:
        notes.append("float to 8-bit")
        return _bins(0.0, 1.0 if high <= 1.0 else 256.0 if high <= 255.0 else 65536.0)
    notes.append("float stretched to 8-bit")
    return _bins(low, high)


def _shift(bits: int, unsigned: bool = False) -> Narrow:
    return lambda values: ((values.view(np.uint32) if unsigned else values) >> bits).astype(np.uint8)


def _bins(low: float, high: float, unsigned: bool = False) -> Narrow:
    """256 equal bins from `low` to `high`; what lies beyond goes into the outermost."""
    span = float(high) - float(low) or 1.0

    def into(values: NDArray[Any]) -> NDArray[np.uint8]:
        unit = ((values.view(np.uint32) if unsigned else values).astype(np.float64) - low) / span
        return np.clip(np.floor(unit * 256.0), 0.0, 255.0).astype(np.uint8)

    return into


def to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Palette, 1-bit, CMYK, Lab and YCbCr images, and images with a colour profile, to L, LA, RGB or RGBA in sRGB."""
    if image.mode == "1" and "transparency" not in image.info:
        notes.append("1-bit to 8-bit")
        image = image.convert("L")
    elif image.mode in ("P", "PA", "1"):
        notes.append("palette to colour" if image.mode != "1" else "1-bit to 8-bit")
        image = image.convert("RGBA" if image.mode == "PA" or image.has_transparency_data else "RGB")
    elif image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    elif image.has_transparency_data and image.mode in ("L", "RGB"):
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if profile:
        image = _by_profile(image, profile, notes)
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    notes.append(f"{image.mode} to colour")
    return image.convert("RGB")


def _by_profile(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """From the embedded ICC profile to sRGB; a profile that cannot be used is ignored and noted."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    opaque = image.convert(image.mode[:-1]) if alpha is not None else image
    if opaque.mode == "RGB" and _changes_nothing(profile):
        return image
    turned = _turned(opaque, profile)
    if turned is None:
        notes.append("colour profile not usable, ignored")
        return image
    notes.append("colour profile to sRGB")
    if opaque.mode == "L":  # grey stays grey, so that one grey profile does not make a grey data set colour
        turned = turned.convert("L")
    if alpha is not None:
        turned.putalpha(alpha)
    return turned


def _turned(image: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@lru_cache(maxsize=16)
def _changes_nothing(profile: bytes) -> bool:
    """Whether a profile is sRGB, by what it does to colours: "linear sRGB" has the name too."""
    steps = np.array([0, 64, 128, 192, 255], np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(5, 25, 3)
    turned = _turned(Image.fromarray(cube), profile)
    return turned is not None and int(np.abs(np.asarray(turned).astype(int) - cube).max()) <= 2


def paint(mode: str, background: tuple[int, int, int]) -> tuple[int, ...] | int:
    """`background` as a colour of `mode`."""
    grey = Image.new("RGB", (1, 1), background).convert("L").tobytes()[0]
    colours: dict[str, tuple[int, ...] | int] = {
        "L": grey,
        "LA": (grey, 255),
        "RGB": background,
        "RGBA": (*background, 255),
    }
    return colours[mode]


def flatten(image: Image.Image, background: tuple[int, int, int], *, keep_alpha: bool, notes: list[str]) -> Image.Image:
    """Transparency composited on `background`. With `keep_alpha`, RGBA stays and only the colour that hides under
    fully transparent pixels becomes the background's, so that no network learns what nobody sees."""
    if image.mode not in ("LA", "RGBA"):
        return image
    alpha = image.getchannel("A")
    if keep_alpha:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*background, 0))
        canvas.paste(image, (0, 0), alpha.point(lambda level: 255 if level else 0))
        return canvas
    mode = "L" if _stays_grey(image, background) else "RGB"
    if alpha.getextrema()[0] == 255:
        return image.convert(mode)
    notes.append("transparency on background")
    canvas = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert(mode)


def _stays_grey(image: Image.Image, background: tuple[int, int, int]) -> bool:
    return image.mode == "LA" and len(set(background)) == 1


def to_channels(
    image: Image.Image, channels: int, background: tuple[int, int, int], notes: list[str]
) -> NDArray[np.uint8]:
    """(H, W, channels) uint8 from mode L, LA, RGB or RGBA."""
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    grey = image.mode in ("L", "LA")
    if channels == 1 and not grey:
        notes.append("colour to grey")
    if channels != 1 and grey:
        notes.append("grey to colour")
    pixels = np.array(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)
