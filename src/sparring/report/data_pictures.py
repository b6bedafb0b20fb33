"""Pictures for the page of a check: tiles of images, sheets of them, and what the crop cuts away."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sparring.data import cache
from sparring.data.decode import Pixels, Recipe, Unusable, decode, decoding, header
from sparring.data.pair_sheet import of_survey, visible
from sparring.data.sources import open_source
from sparring.data.sources.items import Source, Two, Unreadable
from sparring.data.tiles import TILE, opaque, tile, to_picture
from sparring.errors import SparringError
from sparring.runs.check import Checked

_ORIGINAL = 300  # pixels of the longer side of an original


def url(picture: Image.Image) -> str:
    """The picture as text for an <img>: as WebP, without loss where that is small, as of drawings."""
    exact, close = io.BytesIO(), io.BytesIO()
    picture.save(close, "WEBP", quality=86, method=4)
    if picture.width * picture.height <= 256 * 256:
        picture.save(exact, "WEBP", lossless=True, method=2)
    chosen = exact if 0 < exact.tell() <= 2 * close.tell() else close
    return f"data:image/webp;base64,{base64.b64encode(chosen.getvalue()).decode()}"


# ── from the data ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Example:
    """An image before and after preparation. cut: share of its area that is cut away."""

    name: str
    before: Image.Image
    after: Image.Image
    size: tuple[int, int]
    cut: float


@dataclass
class Pictures:
    """Where the page takes its pictures from: images prepared as the proposal says, read again from the files where it
    says otherwise than what lies in the cache."""

    checked: Checked
    recipe: Recipe = field(init=False)
    _source: Source | None = None
    _numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.checked.dataset.kind != "images":
            return
        self.recipe = _recipe(self.checked)
        height, width = self.recipe.size
        if self.checked.dataset.given is not None:  # both sides lie in the cache as they were prepared alike
            self._same = True
            return
        self._same = (self.recipe.channels, height, width) == self.checked.dataset.shape and (
            self.recipe.crop == self.checked.options.crop
        )

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *error: object) -> None:
        if self._source is not None:
            self._source.close()

    def row(self, row: int) -> NDArray[np.uint8]:
        """Row `row` of the survey (H, W, C), prepared as proposed; of pairs what is to be made, as it was prepared."""
        if self._same:
            return self.kept(row)
        try:
            with decoding():
                return decode(self._read(row), self.recipe).pixels
        except (Unreadable, Unusable):  # it was there a moment ago: show what was kept of it
            return self.kept(row)

    def kept(self, row: int) -> NDArray[np.uint8]:
        """Row `row` of the survey (H, W, C) as it was looked at; label maps in colours."""
        return visible(self.checked.dataset.row(row), self.checked.dataset.side)

    def sides(self, row: int) -> list[NDArray[np.uint8]]:
        """The same; of pairs what is given, and what is to be made."""
        dataset = self.checked.dataset
        return list(of_survey(dataset, row)) if dataset.given is not None else [self.kept(row)]

    def _read(self, row: int) -> bytes | Pixels:
        """The file of a row, by its name: the listing may have changed meanwhile."""
        if self._source is None:
            try:
                self._source = open_source(self.checked.source, self.checked.options, cache.directory()[0])
            except SparringError as error:  # it was there a moment ago
                raise Unreadable(error.what) from error
            self._numbers = {name: number for number, name in enumerate(self._source.items.names)}
        name = self.checked.dataset.file(row)
        if name not in self._numbers:
            raise Unreadable("no longer there")
        data = self._source.read(self._numbers[name])
        if isinstance(data, Two):
            raise Unreadable("a pair")
        return data

    def some(self, count: int, rows: NDArray[np.int64] | None = None) -> list[int]:
        """Rows for training, evenly chosen, at most `count`; of `rows`, or of all."""
        first = len(self.checked.dataset.held_out)
        if rows is None:
            rows = np.arange(first, first + len(self.checked.dataset.train))
        chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
        return [int(row) for row in rows[chosen]]

    def tiles(self, rows: list[int], height: int = TILE) -> list[Image.Image]:
        return [tile(self.row(row), height) for row in rows]

    def examples(self, count: int = 4) -> list[Example]:
        """Images that lose most, little, and what is between: what the crop makes of them."""
        survey = self.checked.dataset.survey
        assert survey is not None
        height, width = self.recipe.size
        ratio = survey.sides[:, 0] / survey.sides[:, 1] / (width / height)
        order = np.argsort(np.minimum(ratio, 1 / ratio), kind="stable")
        wanted = order[np.linspace(0, len(order) - 1, min(4 * count, len(order))).astype(np.int64)].tolist()
        found: list[Example] = []
        for row in wanted[:: max(1, len(wanted) // count)] + wanted:
            name = self.checked.dataset.file(row)
            if len(found) == count or name in {example.name for example in found}:
                continue
            try:
                found.append(self._example(row, name))
            except (Unreadable, Unusable):
                continue
        return found

    def _example(self, row: int, name: str) -> Example:
        with decoding():
            data = self._read(row)
            size = header(data, self.recipe.limits)
            scale = _ORIGINAL / max(size.width, size.height)
            small = (max(1, round(size.height * scale)), max(1, round(size.width * scale)))
            whole = decode(data, Recipe(small, self.recipe.channels, "squeeze", self.recipe.background,
                                        self.recipe.limits, self.recipe.levels))  # fmt: skip
        if any("upright" in note for note in whole.notes):
            raise Unusable("turned: its sides are not those of the file")
        before = opaque(to_picture(whole.pixels))
        cut = 0.0
        if self.recipe.crop == "center":
            before, cut = _cut(before, self.recipe.size)
        return Example(name, before, tile(self.row(row), 180), (size.width, size.height), cut)


def _recipe(checked: Checked) -> Recipe:
    """How the proposal prepares images."""
    dataset, options, words = (
        checked.dataset,
        checked.options,
        [word for choice in checked.proposal.choices for word in choice.words],
    )
    size, crop = (dataset.shape[1], dataset.shape[2]), options.crop
    if dataset.given is not None:
        return Recipe(size, 3, crop, options.background, options.limits, options.levels)
    if "--size" in words:
        width, _, height = words[words.index("--size") + 1].partition("x")
        size = (int(height or width), int(width))
    if "--crop" in words:
        crop = words[words.index("--crop") + 1]  # type: ignore[assignment]
    return Recipe(size, dataset.shape[0], crop, options.background, options.limits, options.levels)


def _cut(picture: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, float]:
    """The picture with what a centre crop to the shape (H, W) cuts away made pale; and the share of that."""
    width, height = picture.size
    scale = min(width / size[1], height / size[0])
    inner = (size[1] * scale, size[0] * scale)
    left, top = (width - inner[0]) / 2, (height - inner[1]) / 2
    share = 1.0 - inner[0] * inner[1] / (width * height)
    if share < 0.005:
        return picture, 0.0
    pale = Image.blend(picture, Image.new("RGB", picture.size, (255, 255, 255)), 0.72)
    box = (round(left), round(top), round(left + inner[0]), round(top + inner[1]))
    pale.paste(picture.crop(box), box[:2])
    ImageDraw.Draw(pale).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=(201, 100, 10), width=2)
    return pale, share
