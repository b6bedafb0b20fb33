"""The one place that opens images: bytes in, a uint8 array of the wanted size and channels out.

An image is decoded completely (`Image.verify` passes every truncated JPEG, so it proves nothing), turned upright,
brought to 8 bits by its bit depth, to sRGB by its colour profile, put on a background where it is transparent, cropped
to the aspect wanted and resized with an antialiasing filter. What was done is named, so that a report can count it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from sparring.data import colour
from sparring.data.formats import HEAD, sniff

Crop = Literal["center", "squeeze", "pad"]
Pixels = NDArray[np.uint8]

VERSION = 1  # raise it when the same bytes would give other pixels: it is part of every cache key
_OVERSAMPLING = 2.0  # a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as it stays this much above the target


class Unusable(Exception):
    """This image cannot be used; the message is the reason a person reads."""


@dataclass(frozen=True)
class Limits:
    """What is too small, too long or too large to be an image of the data set.

    min_side: pixels of the shorter side.   max_aspect: longer side ÷ shorter side.   max_pixels: width × height.
    """

    min_side: int = 8
    max_aspect: float = 4.0
    max_pixels: int = 2**27  # 134 megapixels, 400 MB as RGB


@dataclass(frozen=True)
class Recipe:
    """How every image of a data set is prepared. size: (H, W).   background: sRGB, under transparent pixels.
    levels: (low, high) of deep samples that become 0 and 255; None goes by bit depth."""

    size: tuple[int, int]
    channels: int
    crop: Crop = "center"
    background: tuple[int, int, int] = (255, 255, 255)
    limits: Limits = field(default_factory=Limits)
    levels: tuple[float, float] | None = None

    @property
    def key(self) -> str:
        """Text that is equal exactly when the same file gives the same pixels."""
        return f"decode-{VERSION} {sorted(asdict(self).items())}"


@dataclass(frozen=True)
class Header:
    """What is known without decoding. width and height are as stored (before EXIF orientation).

    mode: the pixels as a person says it: "colour", "grey", "grey 16-bit", "palette", "colour with transparency", ….
    frames: pictures in the file, counted only on request.
    """

    width: int
    height: int
    grey: bool
    mode: str = ""
    frames: int = 1

    @property
    def side(self) -> int:
        return min(self.width, self.height)


@dataclass(frozen=True)
class Decoded:
    """pixels: (H, W, C) uint8.   notes: names of the conversions made.   flat: whether all pixels are equal."""

    pixels: Pixels
    notes: tuple[str, ...]
    flat: bool


@contextmanager
def decoding() -> Iterator[None]:
    """Around a pass over many images: Pillow's warnings are silent (each image is judged here), and truncated files
    are errors even in a program that told Pillow to fill them with grey."""
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.")
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def header(data: bytes | Pixels, limits: Limits = Limits(), *, count_frames: bool = False) -> Header:
    """Size and colour of an image without decoding it; `Unusable` with a reason if it cannot be used."""
    if isinstance(data, np.ndarray):
        return Header(data.shape[1], data.shape[0], grey=data.shape[2] == 1)
    with _opened(data, limits) as image:
        frames = int(getattr(image, "n_frames", 1)) if count_frames else 1
        return Header(*image.size, grey=image.mode in colour.GREY_MODES, mode=image.mode, frames=frames)


def decode(data: bytes | Pixels, recipe: Recipe, frame: int = 0) -> Decoded:
    """One image, as bytes of a file or as (H, W, C) uint8 with C in 1, 3, 4, prepared by `recipe`.

    frame: which picture of an animation or of a file of several pages.

    Raises `Unusable` for what is damaged, no image, or outside the limits.

    >>> decode(np.zeros((8, 16, 1), np.uint8), Recipe(size=(4, 4), channels=3)).notes
    ('cropped', 'grey to colour')
    """
    notes: list[str] = []
    if isinstance(data, np.ndarray):
        image = Image.fromarray(data[:, :, 0] if data.shape[2] == 1 else data)
    else:
        with _opened(data, recipe.limits) as opened:
            try:
                image = _read(opened, recipe, notes)
            except (Unusable, MemoryError):
                raise
            except Exception as error:  # whatever a decoder raises on the bytes of a file is damage to that file
                raise Unusable(f"damaged: {_plain(error)}") from error
    image = colour.flatten(image, recipe.background, keep_alpha=recipe.channels == 4, notes=notes)
    image = _fit(image, recipe, notes)
    pixels = colour.to_channels(image, recipe.channels, recipe.background, notes)
    flat = bool((pixels == pixels[:1, :1]).all())
    return Decoded(pixels, tuple(sorted(set(notes))), flat)


def pixels(data: bytes) -> Pixels:
    """An image of our own as it is, (H, W, C): for sheets that ship with the package."""
    with _opened(data, Limits()) as image:
        image.load()
        found = np.array(image, dtype=np.uint8)
    return found if found.ndim == 3 else found[..., None]


def _plain(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextmanager
def _opened(data: bytes, limits: Limits) -> Iterator[Image.Image]:
    """The image, opened but not decoded, after every check that its header allows."""
    kind, reason = sniff(data[:HEAD])
    if not kind:
        raise Unusable(reason)
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
    except Image.DecompressionBombError:
        raise Unusable(f"more than {limits.max_pixels // 10**6} megapixels") from None
    except KeyError:  # a Pillow built without this codec does not register the format
        raise Unusable(f"{kind} is not read by this Pillow: install one with {kind}, or convert to PNG") from None
    except Exception as error:
        detail = "its header cannot be read" if isinstance(error, UnidentifiedImageError) else _plain(error)
        raise Unusable(f"damaged {kind}: {detail}") from error
    with image:
        width, height = image.size
        if min(width, height) < max(limits.min_side, 1):
            raise Unusable(f"too small: {width}x{height}, shorter side below {limits.min_side}")
        if max(width, height) > limits.max_aspect * min(width, height):
            raise Unusable(f"too long: {width}x{height}, sides differ more than {limits.max_aspect:g} times")
        if width * height > limits.max_pixels:
            raise Unusable(f"{width}x{height}: more than {limits.max_pixels // 10**6} megapixels")
        yield image


def _read(image: Image.Image, recipe: Recipe, notes: list[str]) -> Image.Image:
    """Decoded completely, upright, 8 bits, sRGB; transparency still there."""
    if getattr(image, "is_animated", False):
        pages = image.format in ("TIFF", "MPO")
        notes.append("first of several pages" if pages else "first frame of an animation")
        image.seek(0)
    deep_colour = not image.mode.startswith("I") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    bits = _bits(image)
    if image.format in ("JPEG", "MPO"):
        _draft(image, recipe)
    image.load()
    if deep_colour:  # Pillow keeps the high byte of each sample, which is what `colour.to_8_bits` does for grey
        notes.append("16-bit to 8-bit")
    profile = image.info.get("icc_profile")
    upright = _upright(image, notes)
    try:
        upright = colour.to_8_bits(upright, bits, notes)
    except ValueError as error:
        raise Unusable(str(error)) from error
    return colour.to_srgb(upright, profile if isinstance(profile, bytes) else None, notes)


def _bits(image: Image.Image) -> int:
    """Bits of one sample as the file declares them; 0 where it does not."""
    tags: Any = getattr(image, "tag_v2", None)
    declared = tags.get(258) if tags is not None else None
    return int(declared[0]) if declared else 0


def _draft(image: Image.Image, recipe: Recipe) -> None:
    """Let the JPEG decoder work at a fraction of the size where the result is reduced much further anyway."""
    factor = min(image.width / recipe.size[1], image.height / recipe.size[0])
    swapped = min(image.width / recipe.size[0], image.height / recipe.size[1])
    factor = min(factor, swapped) / _OVERSAMPLING  # an EXIF quarter turn swaps the sides
    if factor >= 2.0:
        image.draft(None, (int(image.width / factor), int(image.height / factor)))


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    orientation = 1
    with suppress(Exception):  # EXIF written by strangers: what cannot be read says nothing
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation not in (2, 3, 4, 5, 6, 7, 8):
        return image
    with suppress(Exception):
        turned = ImageOps.exif_transpose(image)
        notes.append("turned upright (EXIF)")
        return turned
    return image


def _fit(image: Image.Image, recipe: Recipe, notes: list[str]) -> Image.Image:
    """To (H, W) by the crop policy, with Lanczos-3 (antialiased when it reduces)."""
    height, width = recipe.size
    box, inner = (0.0, 0.0, float(image.width), float(image.height)), (width, height)
    if image.width * height != image.height * width:
        if recipe.crop == "center":
            scale = min(image.width / width, image.height / height)
            left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
            if scale == 1.0:  # nothing to resample: keep whole pixels
                left, top = float(int(left)), float(int(top))
            box = (left, top, left + width * scale, top + height * scale)
            notes.append("cropped")
        elif recipe.crop == "pad":
            scale = max(image.width / width, image.height / height)
            inner = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
            notes.append("padded")
        else:
            notes.append("squeezed")
    if inner[0] > box[2] - box[0] + 0.5 or inner[1] > box[3] - box[1] + 0.5:
        notes.append("enlarged")
    if (box[2] - box[0], box[3] - box[1]) == inner:
        fitted = image.crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    else:
        box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], image.width), min(box[3], image.height))
        fitted = image.resize(inner, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    if inner == (width, height):
        return fitted
    canvas = Image.new(fitted.mode, (width, height), colour.paint(fitted.mode, recipe.background))
    canvas.paste(fitted, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas
