"""Opening an image file: what its first bytes and its header say, before anything is decoded."""

from __future__ import annotations

import importlib.util
import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import PIL
from PIL import Image, UnidentifiedImageError

from sparring.data.formats import CAMERA_RAW, HEAD, is_camera_raw, sniff

LARGE = 2**24  # pixels; above, an image is converted in strips
_AT_ONCE = 2**28  # pixels of large images that are decoded at the same time, 1 GB
_ONE_COPY = frozenset({"PNG", "JPEG", "MPO", "TIFF", "BMP", "GIF"})  # other decoders hold the image several times

_PLUGINS = {
    "HEIF": ("HEIC", "pillow-heif", "pillow_heif", "register_heif_opener"),
    "JXL": ("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", ""),
}
"""Formats that Pillow reads with another package: what people call it, the package, its module, what registers it."""


def decoders() -> str:
    """Text that changes when a package that decodes images is installed, removed or upgraded. Imports none."""
    there = [module for _, _, module, _ in _PLUGINS.values() if importlib.util.find_spec(module) is not None]
    return " ".join([f"pillow-{PIL.__version__}", *there])


class Unusable(Exception):
    """This image cannot be used; the message is the reason a person reads. passing: it may be usable next time
    although the file has not changed, with other `decoders`."""

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class Limits:
    """What is too small, too long or too large to be an image of the data set.

    min_side: pixels of the shorter side.   max_aspect: longer side ÷ shorter side.   max_pixels: width × height.
    """

    min_side: int = 8
    max_aspect: float = 4.0
    max_pixels: int = 2**27  # 134 megapixels, 400 MB as RGB


def first_line(error: BaseException) -> str:
    """What an error says, briefly."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextmanager
def opened(data: bytes, limits: Limits) -> Iterator[Image.Image]:
    """The image, opened but not decoded, after every check that its header allows."""
    kind, reason = sniff(data[:HEAD])
    if not kind:
        raise Unusable(reason)
    if kind == "TIFF" and is_camera_raw(data):  # Pillow would read the thumbnail
        raise Unusable(CAMERA_RAW)
    _plug_in(kind)
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
    except Image.DecompressionBombError:
        raise Unusable(f"more than {limits.max_pixels // 10**6} megapixels") from None
    except KeyError:  # a Pillow built without this codec does not register the format
        why = f"{kind} is not read by this Pillow: install one with {kind}, or convert to PNG"
        raise Unusable(why, passing=True) from None
    except Exception as error:
        detail = "its header cannot be read" if isinstance(error, UnidentifiedImageError) else first_line(error)
        detail += ", or a kind of TIFF that is not read" if kind == "TIFF" else ""
        raise Unusable(f"damaged {kind}: {detail}") from error
    with image:
        check_size(image.size, limits)
        yield image


class _Kept(threading.local):
    """The file of which this thread decoded a later frame last, still open."""

    def __init__(self) -> None:
        self.data: bytes = b""
        self.limits: Limits | None = None
        self.image: Image.Image | None = None
        self.stack = ExitStack()

    def forget(self) -> None:
        self.stack.close()
        self.data, self.limits, self.image = b"", None, None


_KEPT = _Kept()


@contextmanager
def kept(data: bytes, limits: Limits, frame: int) -> Iterator[Image.Image]:
    """As `opened`, but left open: frames are asked for one after the other, and each is composed of those before."""
    if _KEPT.image is None or _KEPT.image.tell() >= frame or _KEPT.limits != limits or _KEPT.data != data:
        _KEPT.forget()
        _KEPT.image = _KEPT.stack.enter_context(opened(data, limits))
        _KEPT.data, _KEPT.limits = data, limits
    try:
        yield _KEPT.image
    except BaseException:
        _KEPT.forget()
        raise


def _plug_in(kind: str) -> None:
    """Let Pillow read a format for which it needs another package, if that is installed."""
    if kind not in _PLUGINS or kind in Image.OPEN:
        return
    name, package, module, register = _PLUGINS[kind]
    try:
        found = importlib.import_module(module)
        if register:
            getattr(found, register)()
    except Exception as error:
        why = f"{name} is not read without a decoder: pip install {package}, or convert it to JPEG or PNG"
        raise Unusable(why, passing=True) from error


def check_size(size: tuple[int, int], limits: Limits) -> None:
    """Raises `Unusable` for (width, height) outside the limits."""
    width, height = size
    if min(width, height) < max(limits.min_side, 1):
        raise Unusable(f"too small: {width}x{height}, shorter side below {limits.min_side}")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise Unusable(f"too long: {width}x{height}, sides differ more than {limits.max_aspect:g} times")
    if width * height > limits.max_pixels:
        raise Unusable(f"{width}x{height}: more than {limits.max_pixels // 10**6} megapixels")


class _Room:
    """Large images wait for each other, so that threads together stay within `total` pixels. One always fits."""

    def __init__(self, total: int) -> None:
        self._total, self._taken, self._changed = total, 0, threading.Condition()

    @contextmanager
    def of(self, image: Image.Image) -> Iterator[None]:
        pixels = image.width * image.height * (1 if image.format in _ONE_COPY else 4)
        if pixels <= LARGE:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + pixels <= self._total)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()


ROOM = _Room(_AT_ONCE)


def pictures(image: Image.Image) -> int:
    """How many frames or pages there are."""
    if image.format == "MPO":
        return 1
    count = 1
    with suppress(Exception):  # the list of frames itself may be damaged: the first is still there
        count = max(1, int(getattr(image, "n_frames", 1)))
    return count


def seek_frame(image: Image.Image, frame: int, limits: Limits, notes: list[str]) -> None:
    """Go to the picture wanted. Pillow composes the frames of an animation on its way there."""
    pages = image.format == "TIFF"
    animated = False
    with suppress(Exception):  # what is wrong with further frames is no damage to this one
        animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
    if not frame:
        if animated:
            notes.append("first of several pages" if pages else "first frame of an animation")
        image.seek(0)
        return
    if not animated:
        raise Unusable(f"there is no {'page' if pages else 'frame'} {frame + 1}")
    if image.format == "GIF" and image.tell() == 0:
        _begin_in_colour(image)
    try:
        image.seek(frame)
    except EOFError:
        raise Unusable(f"there is no {'page' if pages else 'frame'} {frame + 1}") from None
    if pages:
        tags: Any = getattr(image, "tag_v2", {})
        if int(tags.get(254) or 0) & 1:
            raise Unusable(f"page {frame + 1} is a thumbnail of another one")
    check_size(image.size, limits)  # pages have their own sizes, and a GIF may grow


def _begin_in_colour(image: Image.Image) -> None:
    """Give the first frame of a GIF a palette of greys where it has none: without one Pillow takes the colours of
    later frames for grey levels."""
    image.load()
    if image.mode == "L":
        image.im = image.im.convert("P", Image.Dither.NONE)
        image.im.putpalette("RGB", "RGB", bytes(level for level in range(256) for _ in range(3)))
        image._mode = "P"


def tag(image: Image.Image, number: int) -> int:
    """The first value of a TIFF tag; 0 where there is none."""
    tags: Any = getattr(image, "tag_v2", None)
    declared = tags.get(number) if tags is not None else None
    return int(declared[0] if isinstance(declared, tuple) else declared) if declared else 0


def bits_of(image: Image.Image) -> int:
    """Bits of one sample as the file declares them; 0 where it does not."""
    if image.mode.startswith("I;16") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        return tag(image, 258) or 16
    return tag(image, 258)
