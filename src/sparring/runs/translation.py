"""A run that turns pictures into pictures, and everything that somebody may call a picture.

What is given is read as the run's data were: upright, in sRGB, transparency on the background, a label map by its
palette. What comes out has as many pixels; where the run makes opaque pictures, it is as transparent as what was given.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.data import SideSpec, colour, given_pixels
from sparring.data.decode import as_it_is, header
from sparring.data.maps import halved
from sparring.data.opening import Unusable
from sparring.data.pairing import upright
from sparring.data.sides import ANY
from sparring.errors import DataError, UsageError
from sparring.generate.grid import to_picture
from sparring.generate.translate import Picture, Progress, Translator
from sparring.ops.colour import GREY
from sparring.runs.run import Run

_AS_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_AS_TIFF = frozenset({"I", "F", "CMYK", "LAB", "YCbCr", "I;16B", "I;16L"})
_ODD = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "RGBX": "RGB", "HSV": "RGB", "I;16N": "I"}
_FAR = 4.0  # times as large as what was trained on, from where a person is told


HALVES = ("auto", "left", "right", "whole")
"""What `Translation.half` may be."""


class Doubled(Unusable):
    """A picture that seems to be two side by side, of which the `given` half is to be named."""

    def __init__(self, said: str, given: str) -> None:
        super().__init__(said)
        self.given = given


def refused(error: Exception, where: str = "") -> DataError:
    """Why a picture is not translated, and what to do about it."""
    if isinstance(error, Doubled):
        return DataError(
            "TRANSLATE-HALVES", "this seems to be two pictures side by side", where=where, why=str(error),
            fix=f"--half {error.given} translates the side that is given to this run, --half whole all of it as one",
        )  # fmt: skip
    return DataError("TRANSLATE-IMAGE", "this is no picture that can be used", where=where, why=str(error))


class Translation:
    """A run, and how it is to translate.

    seed, deterministic, back, tile: as of `generate.translate.Translator`.   size: "train" is the size that the run was
    trained at.   compile: freeze the network first.   half: "left" or "right": of pictures that are two side by side,
    only that one is given; "whole": they are one; "auto": one that looks like two of those that the run was trained on
    is refused.   Raises `UsageError` for a run that does not translate.
    """

    def __init__(
        self, run: Run, *, seed: int = 0, deterministic: bool = False, back: bool = False, tile: int | None = None,
        size: int | str | None = None, compile: bool = False, half: str = "auto",
    ) -> None:  # fmt: skip
        data = run.document["data"]
        if half not in HALVES:
            raise UsageError("TRANSLATE-HALF", f"--half is {', '.join(HALVES)}", where=str(half), fix="leave it out")
        self.half = half
        self._doubled = tuple(data["shape"][1:]) if data.get("pairs") == "side-by-side" else ()
        self._given_half = "left" if (data.get("direction") == "BtoA") == back else "right"
        given, made = sides(data)
        self.given, self.made = (made, given) if back else (given, made)
        self.trained = min(data["shape"][1:]) if len(data["shape"]) == 3 else 0
        self.translator = Translator(
            run.game, seed=seed, deterministic=deterministic, back=back, tile=tile, size=self._pixels(size),
            labels=bool(self.given.legend), paints=bool(self.made.legend), freeze=compile,
        )  # fmt: skip

    def _pixels(self, size: int | str | None) -> int | None:
        if size == "train":
            return self.trained or None
        try:
            return None if size is None else int(size)
        except ValueError:
            raise UsageError(
                "TRANSLATE-SIZE", '--size is a number of pixels, or "train"', where=str(size), fix="--size train"
            ) from None

    @property
    def seconds(self) -> float | None:
        """What compiling took so far; None where nothing is compiled."""
        frozen = self.translator.frozen
        return None if frozen is None else frozen.seconds

    def picture(self, data: bytes | Picture, *, clear: bool = True, progress: Progress | None = None) -> Image.Image:
        """The bytes of a file, or (H, W, C) uint8, translated. clear: as transparent as it was. Raises `Unusable`."""
        half = self._half_of(data)
        given = given_pixels(data, self.given, half=half)
        alpha = self._alpha(data, half) if clear else None
        made = self.translator(given, progress)
        if self.made.legend:
            painted = Image.fromarray(made[..., 0])
            painted.putpalette(np.asarray(self.made.colours, np.uint8).tobytes())
            return painted
        return to_picture(made if alpha is None else transparent(made, alpha, self.made.background))

    def _half_of(self, data: bytes | Picture) -> str:
        """Which half of a picture is given; "" for all of it. Raises `Unusable`, `Doubled`."""
        if self.half == "whole" or (self.half == "auto" and not self._doubled):
            return ""
        if self.half != "auto":
            upright(data, self.half, ANY)
            return self.half
        found = upright(data, "", ANY)
        height, width = self._doubled
        if found.width % 2 or abs(found.width * height / (2 * found.height * width) - 1) > 0.01:
            return ""
        raise Doubled(f"as large as two of what this run was trained on, side by side: {found.width}x{found.height}",
                      self._given_half)  # fmt: skip

    def _alpha(self, data: bytes | Picture, half: str) -> NDArray[np.uint8] | None:
        """(H, W) opacity of what was given, where it is transparent at all and the run makes neither maps nor alpha."""
        if self.made.channels == 4 or self.made.legend or self.given.legend:
            return None
        if "transparency" not in header(data, ANY).mode:
            return None
        alpha = as_it_is(data, 4, ANY, reduce=False, half=half)[..., 3]
        return None if int(alpha.min()) == 255 else alpha

    def far(self, width: int, height: int) -> str:
        """What to tell a person whose picture is of quite another size than the run has seen; "" else."""
        if self.translator.size is not None or not self.trained:
            return ""
        ratio = min(width, height) / self.trained
        if 1 / _FAR < ratio < _FAR:
            return ""
        return (
            f"trained at {self.trained} pixels, and this has {width}×{height}: what is in it is "
            f"{'much larger' if ratio > 1 else 'much smaller'} than the run has ever seen; try --size train as well"
        )

    # ── Python ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def __call__(self, image: Any) -> Any:
        """Any picture, as the same kind of picture: see `Run.translate`."""
        try:
            if isinstance(image, (str, Path)):
                return self.picture(_bytes(Path(image)))
            if isinstance(image, Image.Image):
                return self.picture(encoded(image))
            if isinstance(image, np.ndarray):
                return self._array(image)
            if isinstance(image, Tensor):
                return self._tensor(image)
        except Unusable as error:
            raise refused(error) from error
        raise UsageError(
            "TRANSLATE-IMAGE", "this is no picture", where=type(image).__name__,
            fix="a path, a PIL image, an array (H, W, C) of uint8 or of floats in [0, 1], or a tensor (C, H, W)",
        )  # fmt: skip

    def _array(self, image: NDArray[Any]) -> NDArray[Any]:
        """(H, W) or (H, W, C) → (H, W, C) of the same kind; grey (H, W) again where both are grey."""
        flat = image.ndim == 2
        shaped = image[..., None] if flat else image
        if shaped.ndim != 3 or not shaped.size:
            raise _shape(image.shape, "(H, W, C)")
        shaped = halved(shaped, self._half_of(np.empty((*shaped.shape[:2], 1), np.uint8)))
        if shaped.dtype == np.uint8:
            known = shaped.shape[2] in (1, 3, 4)
            given = given_pixels(np.ascontiguousarray(shaped), self.given) if known else self._fitting(shaped)
        elif shaped.dtype == bool or np.issubdtype(shaped.dtype, np.floating):
            given = self._fitting(shaped.astype(np.float32))
        else:
            raise UsageError("TRANSLATE-IMAGE", "an array is of uint8, or of floats in [0, 1]", where=str(image.dtype))
        made = self._colours(self.translator(given), given.dtype == np.uint8)
        made = made.astype(image.dtype) if np.issubdtype(image.dtype, np.floating) else made
        return made[..., 0] if flat and made.shape[2] == 1 else made

    def _colours(self, made: Picture, as_bytes: bool) -> Picture:
        """Class numbers painted (H, W, 3); anything else as it is."""
        if not self.made.legend:
            return made
        painted = np.asarray(self.made.colours, np.uint8)[made[..., 0]]
        return painted if as_bytes else painted.astype(np.float32) / 255

    def _tensor(self, image: Tensor) -> Tensor:
        """(C, H, W) or (N, C, H, W) in [0, 1], or uint8 → the same; each image as if it were alone."""
        if image.dim() == 4:
            if not len(image):
                raise _shape(tuple(image.shape), "(C, H, W) or (N, C, H, W)")
            return torch.stack([self._tensor(one) for one in image])
        if image.dim() != 3 or not image.numel():
            raise _shape(tuple(image.shape), "(C, H, W) or (N, C, H, W)")
        plain = image.detach().cpu()
        plain = plain if plain.dtype == torch.uint8 else plain.float()
        made = self._array(np.ascontiguousarray(plain.permute(1, 2, 0).numpy()))
        return torch.from_numpy(np.ascontiguousarray(made)).permute(2, 0, 1).contiguous().to(image)

    def _fitting(self, image: NDArray[Any]) -> NDArray[Any]:
        """With as many channels as the run is given: grey repeated, colours as grey (ITU-R BT.601, as of files)."""
        wanted, channels = self.given.seen, image.shape[2]
        if channels == 1 and not self.given.legend:
            image = np.repeat(image, wanted, axis=2)
        elif (channels, wanted) == (3, 1) and image.dtype != np.uint8:
            image = image @ np.array(GREY, np.float32)[:, None]
        if image.shape[2] != wanted:
            maps = f": a label map, one channel for each of {', '.join(self.given.legend)}" if self.given.legend else ""
            raise UsageError(
                "TRANSLATE-CHANNELS", f"this run is given {wanted} channel{'s' * (wanted > 1)}{maps}",
                where=f"{channels} channels",
                fix="or give it a PIL image, or uint8 (H, W, C) with 1, 3 or 4 channels, which are converted",
            )  # fmt: skip
        if image.dtype != np.uint8 and not (np.isfinite(image).all() and image.min() >= -0.01 and image.max() <= 1.01):
            raise UsageError(
                "TRANSLATE-RANGE", "floats are levels in [0, 1]", where=f"{image.min():g} to {image.max():g}",
                fix="divide by 255, or give uint8",
            )  # fmt: skip
        return image if image.dtype == np.uint8 else np.clip(image, 0.0, 1.0)


def sides(data: dict[str, Any]) -> tuple[SideSpec, SideSpec]:
    """(what is given, what is made) of a run, from what its recipe.yaml says under ``data``; two alike where it says
    nothing of sides."""
    if data.get("sides"):
        return SideSpec.of_document(data), SideSpec.of_document(data, made=True)
    same = SideSpec(int(data["shape"][0]))
    return same, same


def transparent(image: Picture, alpha: NDArray[np.uint8], background: tuple[int, int, int]) -> Picture:
    """(H, W, 1 or 3) uint8 with an alpha channel (then 2 or 4 channels), such that on `background` it is again `image`.

    Grey and colours of half transparent pixels had background mixed into them, which is taken out: c = b + (y − b) / α.

    >>> seen = np.full((1, 1, 3), 200, np.uint8)
    >>> transparent(seen, np.full((1, 1), 127, np.uint8), (255, 255, 255)).ravel().tolist()
    [145, 145, 145, 127]
    """
    level = np.asarray(colour.paint("RGB" if image.shape[2] == 3 else "L", background), np.float32)
    made = np.empty((*alpha.shape, image.shape[2] + 1), np.uint8)
    for rows in np.array_split(np.arange(len(alpha)), max(1, len(alpha) // 256)):  # floats of it all would be large
        part, share = image[rows].astype(np.float32), np.maximum(alpha[rows, :, None], 1).astype(np.float32) / 255
        made[rows, :, :-1] = np.clip(np.rint(level + (part - level) / share), 0, 255)
    made[..., -1] = alpha
    return made


def encoded(image: Image.Image) -> bytes:
    """A PIL image as the bytes of a file that loses nothing: its pixels, palette, orientation and colour profile."""
    image = image.convert(_ODD[image.mode]) if image.mode in _ODD else image
    if image.mode not in _AS_PNG | _AS_TIFF:
        image = image.convert("RGB")
    file, kind = io.BytesIO(), "PNG" if image.mode in _AS_PNG else "TIFF"
    more: dict[str, Any] = {"compress_level": 1} if kind == "PNG" else {}
    image.save(file, kind, exif=image.getexif(), icc_profile=image.info.get("icc_profile"), **more)
    return file.getvalue()


def _bytes(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        why = str(error.strerror)
        raise DataError("TRANSLATE-FILE", "this file cannot be read", where=str(path), why=why) from error


def _shape(found: tuple[int, ...], wanted: str) -> UsageError:
    return UsageError("TRANSLATE-SHAPE", f"an image has the shape {wanted}", where=str(tuple(found)))
