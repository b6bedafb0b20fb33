"""The one place that opens images: bytes in, a uint8 array of the wanted size and channels out.

An image is decoded completely (`Image.verify` passes every truncated JPEG, so it proves nothing), turned upright,
brought to 8 bits by its bit depth, to sRGB by its colour profile, put on a background where it is transparent, cropped
to the aspect wanted and resized with an antialiasing filter. What was done is named, so that a report can count it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageFile

from sparring.data import colour
from sparring.data.opening import (
    LARGE,
    ROOM,
    Limits,
    Unusable,
    bits_of,
    first_line,
    kept,
    opened,
    pictures,
    seek_frame,
    tag,
)

__all__ = [
    "Crop", "Decoded", "Header", "Limits", "Pixels", "Recipe", "Unusable", "as_it_is", "decode", "decoding", "header",
    "pixels",
]  # fmt: skip

Crop = Literal["center", "squeeze", "pad"]
Pixels = NDArray[np.uint8]

VERSION = 2  # raise it when the same bytes would give other pixels: it is part of every cache key
_DEFAULT = Limits()
_OVERSAMPLING = 2.0  # a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as it stays this much above the target
_OWN = (1024, 1024)  # stands for the size where an image keeps its own: only very large ones are reduced on the way
NEVER_REDUCED = (2**16, 2**16)  # stands for the size where not even those are
_GAP = 3  # large images are averaged down to this many times the target before the filter resizes them

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What turns an image upright, by its EXIF orientation."""


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


def header(data: bytes | Pixels, limits: Limits = _DEFAULT, *, count_frames: bool = False) -> Header:
    """Size and colour of an image without decoding it; `Unusable` with a reason if it cannot be used.

    count_frames: also count the pictures of an animation or of a file of several pages. The further pictures of an MPO
    are previews or the other eye's view of the same scene, and do not count.
    """
    if isinstance(data, np.ndarray):
        word = {1: "grey", 3: "colour", 4: "colour with transparency"}[data.shape[2]]
        return Header(data.shape[1], data.shape[0], grey=data.shape[2] == 1, mode=word)
    with opened(data, limits) as image:
        mode = colour.in_words(image, bits_of(image))
        (width, height), grey = image.size, image.mode in colour.GREY_MODES
        return Header(width, height, grey, mode, pictures(image) if count_frames else 1)


def decode(data: bytes | Pixels, recipe: Recipe, frame: int = 0, half: str = "") -> Decoded:
    """One image, as bytes of a file or as (H, W, C) uint8 with C in 1, 3, 4, prepared by `recipe`.

    frame: which picture of an animation (as it is shown: composed of those before it) or of a file of several pages.
    half: only the "left" or "right" half of it.

    Raises `Unusable` for what is damaged, no image, or outside the limits.

    >>> decode(np.zeros((8, 16, 1), np.uint8), Recipe(size=(4, 4), channels=3)).notes
    ('cropped', 'grey to colour')
    """
    notes: list[str] = []
    image = _fit(_half(whole(data, recipe, frame, notes), half), recipe, notes)
    pixels = colour.to_channels(image, recipe.channels, recipe.background, notes)
    flat = bool((pixels[0] == pixels[0, 0]).all()) and bool((pixels == pixels[0, 0]).all())  # one row rules most out
    return Decoded(pixels, tuple(sorted(set(notes))), flat)


def as_it_is(
    data: bytes | Pixels, channels: int = 3, limits: Limits = _DEFAULT, frame: int = 0, *,
    background: tuple[int, int, int] = (255, 255, 255), levels: tuple[float, float] | None = None, reduce: bool = True,
    half: str = "",
) -> Pixels:  # fmt: skip
    """One image at its own size, (H, W, channels) uint8: decoded, upright and in sRGB as by `decode`, transparent
    pixels on the background, neither cropped nor resized. For whoever resizes it in one step, such as a judge network.
    reduce: average images above 16 megapixels, and JPEGs above 4,096 pixels, down by a whole factor first.
    half: only the "left" or "right" half of it.

    Raises `Unusable`.

    >>> as_it_is(np.zeros((8, 16, 1), np.uint8)).shape
    (8, 16, 3)
    """
    recipe = Recipe(_OWN if reduce else NEVER_REDUCED, channels, background=background, limits=limits, levels=levels)
    notes: list[str] = []
    return colour.to_channels(_half(whole(data, recipe, frame, notes), half), channels, recipe.background, notes)


def pixels(data: bytes, limits: Limits = _DEFAULT) -> Pixels:
    """An image of our own as it is, (H, W, C): for sheets that ship with the package, and for what `pack` wrote."""
    with opened(data, limits) as image:
        image.load()
        found = np.array(image, dtype=np.uint8)
    return found if found.ndim == 3 else found[..., None]


def _half(image: Image.Image, half: str) -> Image.Image:
    """The half that is meant, or all of it."""
    if not half:
        return image
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height) if half == "left" else (middle, 0, 2 * middle, image.height))


def whole(data: bytes | Pixels, recipe: Recipe, frame: int, notes: list[str]) -> Image.Image:
    """All of an image, decoded, upright, in sRGB, transparency on the background. Raises `Unusable`."""
    if isinstance(data, np.ndarray):
        image = Image.fromarray(data[:, :, 0] if data.shape[2] == 1 else data)
        return colour.flatten(image, recipe.background, keep_alpha=recipe.channels == 4, notes=notes)
    with kept(data, recipe.limits, frame) if frame else opened(data, recipe.limits) as file:
        try:
            with ROOM.of(file):
                return _read(file, recipe, frame, notes)
        except (Unusable, MemoryError):
            raise
        except Exception as error:  # whatever a decoder raises on the bytes of a file is damage to that file
            raise Unusable(f"damaged: {first_line(error)}") from error


def _read(image: Image.Image, recipe: Recipe, frame: int, notes: list[str]) -> Image.Image:
    """Decoded completely, 8 bits, sRGB, without transparency (but with `channels` 4), upright."""
    seek_frame(image, frame, recipe.limits, notes)
    bits = bits_of(image)
    deep_colour = bits == 16 and image.mode[0] not in "IF"
    unsigned = tag(image, 339) in (0, 1)
    if image.format in ("JPEG", "MPO"):
        _draft(image, recipe)
    asked = orientation(image)  # Pillow turns a TIFF while it loads it, and no other kind
    image.load()
    if deep_colour:  # Pillow keeps the high byte of each sample, which is what `colour.narrowing` does for grey
        notes.append("16-bit to 8-bit" if recipe.levels is None else "16-bit colour to 8-bit, levels not applied")
    profile = image.info.get("icc_profile")
    try:
        function = colour.narrowing(image, bits, unsigned, recipe.levels, notes)
    except ValueError as error:
        raise Unusable(str(error)) from error
    # CMYK is stored inverted where Adobe's marker stands, which Pillow takes for granted.
    inverted = image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info

    def plain(part: Image.Image) -> Image.Image:
        part = colour.narrow(part, function) if function else ImageChops.invert(part) if inverted else part
        part = colour.to_srgb(part, profile if isinstance(profile, bytes) else None, notes)
        return colour.flatten(part, recipe.background, keep_alpha=recipe.channels == 4, notes=notes)

    turn = TURNS.get(orientation(image))
    done = plain(image) if image.width * image.height <= LARGE else _in_strips(image, recipe, plain)
    if asked in TURNS:
        notes.append("turned upright (EXIF)")
    return done if turn is None else done.transpose(turn)


def _in_strips(image: Image.Image, recipe: Recipe, plain: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """`plain` for a large image, strip by strip, each averaged down at once as far as `_GAP` allows, so that memory
    holds it once and not three times. What does not fill a whole block of the average is cut off evenly around."""
    by = max(1, min(image.size) // (max(recipe.size) * _GAP))
    width, height = image.width // by, image.height // by
    left, top = (image.width - width * by) // 2, (image.height - height * by) // 2
    done: Image.Image | None = None
    for box in colour.strips(image, by):
        low, high = box[1] + top, min(box[3], height * by) + top
        if high <= low:
            continue
        part = plain(image.crop((left, low, left + width * by, high)))
        if by > 1:
            part = part.convert("RGBa").reduce(by).convert("RGBA") if part.mode == "RGBA" else part.reduce(by)
        done = done or Image.new(part.mode, (width, height))
        done.paste(part, (0, box[1] // by))
    assert done is not None
    return done


def _draft(image: Image.Image, recipe: Recipe) -> None:
    """Let the JPEG decoder work at a fraction of the size where the result is reduced much further anyway."""
    factor = min(image.width / recipe.size[1], image.height / recipe.size[0])
    swapped = min(image.width / recipe.size[0], image.height / recipe.size[1])
    factor = min(factor, swapped) / _OVERSAMPLING  # an EXIF quarter turn swaps the sides
    if factor >= 2.0:
        image.draft(None, (int(image.width / factor), int(image.height / factor)))


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened file, 1 to 8; 1 where it says none."""
    with suppress(Exception):  # EXIF written by strangers: what cannot be read says nothing
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def placed(
    width: int, height: int, recipe: Recipe, notes: list[str]
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """By the crop policy: the box of an image of this size that is used, and the (width, height) that it gets inside
    the size wanted."""
    high, wide = recipe.size
    box, inner = (0.0, 0.0, float(width), float(height)), (wide, high)
    if width * high != height * wide:
        if recipe.crop == "center":
            scale = min(width / wide, height / high)
            left, top = (width - wide * scale) / 2, (height - high * scale) / 2
            if scale == 1.0:  # nothing to resample: keep whole pixels
                left, top = float(int(left)), float(int(top))
            box = (left, top, left + wide * scale, top + high * scale)
            notes.append("cropped")
        elif recipe.crop == "pad":
            scale = max(width / wide, height / high)
            inner = (max(1, round(width / scale)), max(1, round(height / scale)))
            notes.append("padded")
        else:
            notes.append("squeezed")
    if inner[0] > box[2] - box[0] + 0.5 or inner[1] > box[3] - box[1] + 0.5:
        notes.append("enlarged")
    return box, inner


def resized(
    image: Image.Image, box: tuple[float, float, float, float], inner: tuple[int, int], by: Image.Resampling
) -> Image.Image:
    """The box of an image at the size `inner`; whole pixels stay as they are."""
    if (box[2] - box[0], box[3] - box[1]) == inner:
        return image.crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], image.width), min(box[3], image.height))
    return image.resize(inner, by, box=box, reducing_gap=3.0 if by == Image.Resampling.LANCZOS else None)


def _fit(image: Image.Image, recipe: Recipe, notes: list[str]) -> Image.Image:
    """To (H, W) by the crop policy, with Lanczos-3 (antialiased when it reduces)."""
    height, width = recipe.size
    box, inner = placed(image.width, image.height, recipe, notes)
    fitted = resized(image, box, inner, Image.Resampling.LANCZOS)
    if inner == (width, height):
        return fitted
    canvas = Image.new(fitted.mode, (width, height), colour.paint(fitted.mode, recipe.background))
    canvas.paste(fitted, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas
