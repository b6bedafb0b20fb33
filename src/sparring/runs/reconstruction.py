"""Pictures that a run encodes and decodes again: what of them its code keeps, beside what they were.

What is given is prepared as the run's data were (size, channels, cut, made black and white); the code is one draw of
the posterior, and what comes out is the mean of the decoder. Each picture is as if it were alone: its chance depends on
its content and the seed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.chance import Dice
from sparring.data import Options
from sparring.data.binary import drawn_at, threshold
from sparring.data.decode import Recipe, decode, header
from sparring.data.opening import Unusable, check_size
from sparring.data.sides import ANY
from sparring.errors import DataError, UsageError
from sparring.generate.grid import to_bytes, to_picture
from sparring.recipes import RECIPES
from sparring.runs.recipe import game_class
from sparring.runs.run import Run
from sparring.runs.translation import encoded
from sparring.types import Reconstructs

Pixels = NDArray[np.uint8]


class Reconstruction:
    """A run that encodes and decodes, and how.   seed: of the draws.   Raises `UsageError` for one that does not."""

    def __init__(self, run: Run, seed: int = 0) -> None:
        document, self.run, self.seed = run.document, run, seed
        if not isinstance(run.game, Reconstructs):
            able = [name for name in RECIPES if issubclass(game_class(name), Reconstructs)]
            raise UsageError(
                "RECONSTRUCT-CANNOT", f"a run of {document['recipe']} has no encoder: it makes pictures and reads none",
                where=str(run.path), fix=f"a run of {' or '.join(able)} encodes and decodes",
            )  # fmt: skip
        if document["data"]["kind"] != "images":
            raise UsageError("RECONSTRUCT-POINTS", "this run is on points, and pictures are reconstructed",
                             where=str(run.path), fix="name a run that was trained on images")  # fmt: skip
        self.options = Options.of(document["data"])
        self.channels, height, width = document["data"]["shape"]
        self.recipe = Recipe((height, width), self.channels, self.options.crop, self.options.background, ANY,
                             self.options.levels)  # fmt: skip

    @property
    def of(self) -> str:
        """What a picture is when the run gets it."""
        height, width = self.recipe.size
        kinds = {1: "grey", 3: "colour", 4: "colour with transparency"}
        how = f", binary ({self.options.binarise})" if self.options.binarise != "none" else ""
        return f"{width}x{height}, {kinds[self.channels]}{how}"

    def prepared(self, data: bytes | Pixels) -> Pixels:
        """The bytes of a file, or (h, w, c) uint8, as the run's data were prepared: (H, W, C) uint8. `Unusable`."""
        pixels = decode(data, self.recipe).pixels
        if self.options.binarise == "threshold":
            return threshold(pixels)
        if self.options.binarise != "none":
            at = self._number(pixels)
            return drawn_at(pixels[None], self.seed, range(at, at + 1))[0]
        return pixels

    def odd(self, data: bytes | Pixels) -> str:
        """Why training and evaluation leave such a picture out, "" where they do not. `Unusable` for what is none."""
        if isinstance(data, np.ndarray):
            size = (data.shape[1], data.shape[0])
        else:
            found = header(data, ANY)
            size = (found.width, found.height)
        try:
            check_size(size, self.options.limits)
        except Unusable as error:
            return str(error)
        return ""

    @torch.no_grad()
    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, C) uint8, as `prepared` gives it, encoded and decoded."""
        at = self._number(pixels)
        dice = Dice(self.seed, "reconstruct", range(at, at + 1), device=self.run.device)
        x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(self.run.device)
        game: Any = self.run.game
        made: Pixels = to_bytes(game.reconstruct(x.float() / 127.5 - 1, dice))[0]
        return made

    def _number(self, pixels: Pixels) -> int:
        """Of a content, for its draws."""
        digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=6)
        return int.from_bytes(digest.digest(), "little")

    # ── Python ───────────────────────────────────────────────────────────────────────────────────────────────────

    def any(self, image: Any) -> Any:
        """Any picture, as the same kind of picture: see `Run.reconstruct`."""
        try:
            if isinstance(image, (str, Path)):
                return to_picture(self(self.prepared(_bytes(Path(image)))))
            if isinstance(image, Image.Image):
                return to_picture(self(self.prepared(encoded(image))))
            if isinstance(image, np.ndarray):
                if image.ndim == 4:
                    empty = np.empty((0, *self.recipe.size, self.channels), image.dtype)
                    return np.stack([self._array(one) for one in image]) if len(image) else empty
                return self._array(image)
            if isinstance(image, Tensor):
                if image.dim() == 4:
                    none = image.new_empty((0, self.channels, *self.recipe.size))
                    return torch.stack([self.any(one) for one in image]) if len(image) else none
                made = self._array(image.detach().cpu().permute(1, 2, 0).numpy())
                return torch.from_numpy(np.ascontiguousarray(made)).permute(2, 0, 1).contiguous().to(image)
        except Unusable as error:
            raise DataError("RECONSTRUCT-IMAGE", "this is no picture that can be used", why=str(error)) from error
        raise UsageError(
            "RECONSTRUCT-IMAGE", "this is no picture", where=type(image).__name__,
            fix="a path, a PIL image, an array (H, W, C) of uint8 or of floats in [0, 1], a tensor (C, H, W), or a "
            "batch of either",
        )  # fmt: skip

    def _array(self, image: NDArray[Any]) -> NDArray[Any]:
        """(h, w) or (h, w, c), uint8 or floats in [0, 1] → (H, W, C) of the same type."""
        shaped = image[..., None] if image.ndim == 2 else image
        floats = np.issubdtype(shaped.dtype, np.floating)
        like = shaped.ndim == 3 and shaped.size and shaped.shape[2] in (1, 3, 4)
        if not like or not (floats or shaped.dtype == np.uint8):
            raise UsageError(
                "RECONSTRUCT-IMAGE", "this is no picture", where=f"{image.dtype} {image.shape}",
                fix="(H, W, C), or a tensor (C, H, W), with C = 1, 3 or 4, of uint8 or of floats in [0, 1]",
            )  # fmt: skip
        if floats:
            _check_values(shaped)
        levels = np.rint(np.clip(shaped, 0, 1) * 255).astype(np.uint8) if floats else shaped
        made = self(self.prepared(np.ascontiguousarray(levels)))
        return (made / 255).astype(image.dtype) if floats else made


def _check_values(image: NDArray[Any]) -> None:
    """`UsageError` unless these floats are in [0, 1], but for rounding."""
    if not np.isfinite(image).all():
        bad = int((~np.isfinite(image)).sum())
        raise UsageError("RECONSTRUCT-VALUES", "not every value of this picture is a number",
                         where=f"{bad:,} of {image.size:,} values are NaN or infinite",
                         fix="give numbers in [0, 1]")  # fmt: skip
    low, high = float(image.min()), float(image.max())
    if low < -0.01 or high > 1.01:
        fix = "(x + 1) / 2 brings [-1, 1] there" if low >= -1.01 and high <= 1.01 else "levels of 0 to 255: as uint8"
        raise UsageError(
            "RECONSTRUCT-VALUES", "floats of a picture are in [0, 1]", where=f"from {low:.4g} to {high:.4g}", fix=fix
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise DataError("RECONSTRUCT-MISSING", "this file cannot be read", where=str(path),
                        why=error.strerror or str(error)) from error  # fmt: skip
