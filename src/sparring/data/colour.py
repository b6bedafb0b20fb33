"""Pixels of every kind to 8-bit sRGB or grey. Levels are scaled by bit depth and never clipped."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

GREY_MODES = frozenset({"1", "L", "LA", "La", "F", "I", "I;16", "I;16B", "I;16L", "I;16N"})


def to_8_bits(image: Image.Image, bits: int, notes: list[str]) -> Image.Image:
    """Deep grey images (16-bit, 32-bit, float) to mode L by bit depth; others unchanged.

    16 bits keep their high byte: 256 equal bins of 256 values, so that a ramp of 256 levels keeps 256 levels however
    it was written (i·256 or i·257), black stays 0 and white 255. Float samples in [0, 1] go into 256 equal bins too.
    bits: bits per sample as the file declares them, or 0. Raises `ValueError` for samples that are not numbers.
    """
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        depth = bits if 8 < bits < 16 else 16
        notes.append("16-bit to 8-bit" if depth == 16 else f"{depth}-bit to 8-bit")
        return Image.fromarray((values >> (depth - 8)).astype(np.uint8))
    if image.mode == "I":
        return Image.fromarray(_integers(np.asarray(image), bits, notes))
    if image.mode == "F":
        return Image.fromarray(_floats(np.asarray(image), notes))
    return image


def _integers(values: NDArray[Any], bits: int, notes: list[str]) -> NDArray[np.uint8]:
    """int32 samples. Files seldom say how much of the 32 bits they use: the smallest of 8, 16, 31 that holds them."""
    low, high = int(values.min()), int(values.max())
    if low < 0:
        notes.append("signed integers stretched to 8-bit")
        return _stretch(values.astype(np.float64))
    if bits == 16 or 255 < high <= 65535:
        notes.append("16-bit to 8-bit")
        return (values >> 8).astype(np.uint8)
    if high <= 255:
        return values.astype(np.uint8)
    notes.append("32-bit integer to 8-bit")
    return (values >> 23).astype(np.uint8)


def _floats(values: NDArray[Any], notes: list[str]) -> NDArray[np.uint8]:
    """Float samples: in [0, 1], else as 8-bit or 16-bit levels, else stretched from their own darkest to lightest."""
    if not np.isfinite(values).all():
        raise ValueError("float image with samples that are not finite numbers")
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 65535.0:
        notes.append("float to 8-bit")
        scale = 256.0 if high <= 1.0 else 1.0 if high <= 255.0 else 1.0 / 256.0
        return np.minimum(np.floor(values.astype(np.float64) * scale), 255.0).astype(np.uint8)
    notes.append("float stretched to 8-bit")
    return _stretch(values.astype(np.float64))


def _stretch(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    low, span = values.min(), values.max() - values.min()
    unit = (values - low) / (span if span > 0 else 1.0)
    levels: NDArray[np.uint8] = np.minimum(np.floor(unit * 256.0), 255.0).astype(np.uint8)
    return levels


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
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
        opaque = image.convert(image.mode[:-1]) if alpha is not None else image
        target = ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(opaque, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("colour profile not usable, ignored")
        return image
    if turned is None:
        return image
    notes.append("colour profile to sRGB")
    if image.mode in ("L", "LA"):  # grey stays grey, so that one grey profile does not make a grey data set colour
        turned = turned.convert("L")
    if alpha is not None:
        turned.putalpha(alpha)
    return turned


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
    if alpha.getextrema()[0] == 255:
        return image.convert(image.mode[:-1])
    notes.append("transparency on background")
    canvas = Image.new("RGBA", image.size, (*background, 255))
    composed = Image.alpha_composite(canvas, image.convert("RGBA"))
    return composed.convert("L" if _stays_grey(image, background) else "RGB")


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
