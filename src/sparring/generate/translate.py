"""Translating images of any size with a game that can: padded to its stride, in tiles where they are large.

An image is padded by mirroring it, to multiples of the game's stride, and cut back afterwards: as many pixels come out
as went in. What does not fit into memory at once goes through in tiles (`tiles`), row by row, so that never more than a
band of the result is held as numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.frozen import Frozen
from sparring.generate.grid import to_bytes
from sparring.generate.memory import bytes_per_pixel
from sparring.generate.sample import device_of
from sparring.generate.tiles import Axis, cut, whole
from sparring.types import Translates, TranslatesBack

Picture = NDArray[Any]
"""(H, W, C), uint8, or float32 in [0, 1]."""
Progress = Callable[[str, int, int], None]

MEMORY = 2**29
"""Bytes that the maps of a network may take before an image is cut: 512 MiB on every machine, so that what comes out
does not depend on the machine."""
ALWAYS = 2**16
"""Pixels that are never cut, unless asked to: 256 × 256."""
LONGEST = 16
"""With `size`, the longer side becomes at most so many times it."""


def able(game: object, *, back: bool = False) -> Translates:
    """The game, if it translates (and knows the way back); else a `UsageError` that says what it can do instead."""
    name = type(game).__name__
    if not isinstance(game, Translates):
        raise UsageError(
            "TRANSLATE-CANNOT",
            f"{name} makes images of its own, it does not turn one image into another",
            fix="sparring sample RUN; or train on pairs: sparring train A/ B/ (docs/translate.md)",
        )
    if back and not isinstance(game, TranslatesBack):
        raise UsageError(
            "TRANSLATE-BACK",
            f"{name} knows one way only",
            fix="leave --back out; --recipe cyclegan learns both ways; or train with --direction BtoA",
        )
    return game


@dataclass(eq=False)
class Translator:
    """A game, and how it is to translate.

    seed: of the noise. An image has noise of its own, chosen by what it shows: so neither its name, nor the images
    beside it, nor their order change what comes out.   deterministic: without noise.   back: the way back. tile: pixels
    of a side above which an image is cut (at least the game's stride); None: as large as `MEMORY` allows. size: bring
    the shorter side to so many pixels before, and back after; None: at its own size. labels, paints: whether what is
    given, and what comes out, is a label map (then one channel of class numbers). freeze: a faster form of the network
    first (`frozen`), the same to 1e-4.
    """

    game: Any
    seed: int = 0
    deterministic: bool = False
    back: bool = False
    tile: int | None = None
    size: int | None = None
    labels: bool = False
    paints: bool = False
    freeze: bool = False
    frozen: Frozen | None = field(default=None, init=False)
    _bytes: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.game = able(self.game, back=self.back)
        for name, value in (("tile", self.tile), ("size", self.size)):
            if value is not None and not 1 <= value <= 2**16:
                raise UsageError(
                    "TRANSLATE-SIZE", f"--{name} is a number of pixels", where=str(value), fix=f"write --{name} 512"
                )
        if not 0 <= self.seed < 2**63:
            raise UsageError("SAMPLE-SEED", "a seed is a number from 0 to 2^63 − 1", where=str(self.seed))
        if self.freeze:
            self.frozen = Frozen(self.game)

    def __call__(self, image: Picture, progress: Progress | None = None) -> Picture:
        """(H, W, C') → (H, W, C) of the same kind, or (H, W, 1) uint8 class numbers where it paints label maps."""
        height, width = image.shape[:2]
        key = number_of(image)
        if self.size is not None:
            image = resized(image, scaled((height, width), self.size), smooth=not self.labels)
        bands = [self._finished(band, image.dtype) for band in self.bands(image, key, progress)]
        made = bands[0] if len(bands) == 1 else np.concatenate(bands)
        return made if self.size is None else resized(made, (height, width), smooth=not self.paints)

    def bands(self, image: Picture, key: int, progress: Progress | None = None) -> Iterator[Tensor]:
        """The result from top to bottom, in bands of rows (C, h, W) in [-1, 1] on the CPU. key: of the noise."""
        down, across = self.axes(image.shape[0], image.shape[1], image.shape[2])
        rows, columns = down.weights(), across.weights()
        left = slice(across.before, across.before + across.length)
        top, bottom = down.before, down.before + down.length
        rest: Tensor | None = None  # what was made of the next rows, weighed
        for i, (start, weight) in enumerate(zip(down.starts, rows, strict=True)):
            strip: Tensor | None = None
            for j, share in enumerate(columns):
                if progress is not None and len(rows) * len(columns) > 1:
                    progress("tiles", i * len(columns) + j, len(rows) * len(columns))
                tile = self._one(_piece(image, down, across, i, j), key, (i, j))
                if strip is None:
                    strip = tile.new_zeros(tile.shape[0], down.side, across.total)
                begin = across.starts[j]
                strip[:, :, begin : begin + across.side].addcmul_(tile, torch.from_numpy(share))
            assert strip is not None
            strip = strip[:, :, left].mul_(torch.from_numpy(weight)[:, None])
            if rest is not None:
                strip[:, : rest.shape[1]] += rest
            done = down.starts[i + 1] - start if i + 1 < len(rows) else down.side
            rest = strip[:, done:].clone()
            yield strip[:, max(top - start, 0) : min(done, bottom - start)]

    def axes(self, height: int, width: int, channels: int) -> tuple[Axis, Axis]:
        """How an image is cut: rows, columns."""
        stride = self.game.stride
        if self.tile is not None:
            return cut(height, stride, self.tile), cut(width, stride, self.tile)
        down, across = whole(height, stride), whole(width, stride)
        pixels = down.side * across.side
        if pixels <= max(ALWAYS, stride**2):
            return down, across
        if self._bytes is None:
            side = -(-256 // stride) * stride
            sample = torch.zeros(1, channels, side, side, device=device_of(self.game))
            way = self.game.translate_back if self.back else self.game.translate
            self._bytes = bytes_per_pixel(lambda x: way(x, None), sample)
        if pixels * self._bytes <= MEMORY:
            return down, across
        most = max(stride, int((MEMORY / self._bytes) ** 0.5))
        return cut(height, stride, most), cut(width, stride, most)

    @torch.inference_mode()
    def _one(self, piece: Picture, key: int, place: tuple[int, int]) -> Tensor:
        """A tile (h, w, C') → (C, h, w), on the CPU."""
        device = device_of(self.game)
        x = torch.from_numpy(piece).to(device).permute(2, 0, 1)[None]
        x = x.float().div_(127.5).sub_(1.0) if x.dtype == torch.uint8 else x.mul(2.0).sub_(1.0)
        x = x.contiguous()
        dice = None if self.deterministic else Dice(self.seed, "translate", range(key, key + 1), place, device)
        way = self.game.translate_back if self.back else self.game.translate
        made: Tensor = way(x, dice) if self.frozen is None else self.frozen(way, x, dice)
        return made[0].float().cpu()

    def _finished(self, band: Tensor, kind: np.dtype[Any]) -> Picture:
        """(C, h, W) in [-1, 1] → (h, W, C) of a kind, or class numbers."""
        if self.paints:
            return band.argmax(0).to(torch.uint8)[..., None].numpy()
        if kind == np.uint8:
            return to_bytes(band[None])[0]
        return np.ascontiguousarray(band.add(1).div(2).clamp(0, 1).permute(1, 2, 0).numpy())


def number_of(image: Picture) -> int:
    """A number below 2^47 for what an image shows: of its 8-bit levels, so that bytes and floats have the same.

    >>> number_of(np.full((2, 2, 3), 51, np.uint8)) == number_of(np.full((2, 2, 3), 0.2, np.float32))
    True
    """
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=8)
    for rows in np.array_split(image, max(1, image.shape[0] // 256)):  # a float copy of it all would be large
        levels = rows if rows.dtype == np.uint8 else np.clip(np.rint(rows * 255), 0, 255).astype(np.uint8)
        digest.update(np.ascontiguousarray(levels).data)
    return int.from_bytes(digest.digest(), "little") >> 17


def scaled(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """(H, W) with the shorter side `size`, the same aspect, and the longer side at most `LONGEST` times that.

    >>> scaled((4000, 6000), 64), scaled((3, 4000), 64), scaled((1, 1), 64)
    ((64, 96), (1, 1024), (64, 64))
    """
    height, width = shape
    factor = min(size / min(shape), LONGEST * size / max(shape))
    return max(1, round(height * factor)), max(1, round(width * factor))


def resized(image: Picture, shape: tuple[int, int], *, smooth: bool) -> Picture:
    """(H, W, C) → (H', W', C) of the same kind. smooth: Lanczos-3, antialiased; else the nearest pixel."""
    if image.shape[:2] == shape:
        return image
    how = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    parts = [
        np.asarray(Image.fromarray(np.ascontiguousarray(image[..., c])).resize(shape[::-1], how))
        for c in range(image.shape[2])
    ]
    made = np.stack(parts, axis=-1)
    return made if made.dtype == np.uint8 else made.clip(0, 1)


def _piece(image: Picture, down: Axis, across: Axis, i: int, j: int) -> Picture:
    """The pixels of a tile; what lies beyond the image is its mirror image, of a single row or column its
    repetition."""
    spans = []
    for axis, start in ((down, down.starts[i]), (across, across.starts[j])):
        low, high = start - axis.before, start - axis.before + axis.side
        spans.append((max(low, 0), min(high, axis.length), max(-low, 0), max(high - axis.length, 0)))
    (top, bottom, above, below), (left, right, before, after) = spans
    piece = image[top:bottom, left:right]
    if above or below or before or after:
        piece = np.pad(piece, ((above, below), (before, after), (0, 0)), mode="reflect")
    return np.ascontiguousarray(piece)
