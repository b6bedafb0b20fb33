"""The pictures of a study: samples and translations of runs, pictures that something else made, and real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from sparring.errors import DataError, UsageError
from sparring.runs.evaluate.opening import Place, Wanted, open_side, options_of_run, place
from sparring.runs.evaluate.pairs import Translated
from sparring.runs.evaluate.sides import Files, Side
from sparring.study.plan import Real
from sparring.study.trials import order

_PIECE = 16  # pictures that are fetched together

Progress = Callable[[str, int, int], None]

Drawn = dict[str, list[tuple[str | int, Tensor]]]
"""By "real", "A", "B", …: what each picture is called, and its pixels (C, H, W) uint8."""


class Drawing:
    """Opens what makes pictures, one after the other.

    real: what the study says of real pictures.   matched: whether equal numbers were made from the same input.
    """

    def __init__(
        self, places: list[Place], named: Sequence[str | Path], real: str | None, seed: int, which: str, device: str,
        progress: Progress | None,
    ) -> None:  # fmt: skip
        self.places, self.named, self.asked = places, named, real
        self.seed, self.which, self.device, self.progress = seed, which, device, progress
        self.real: Real | None = None
        self.matched = False
        self._told: list[dict[str, Any]] = []
        self._inputs: list[str] = []  # what the pictures of each model were made from, where that is known
        self._open: list[Side] = []
        first = next((at.path for at in places if at.kind != "data"), None)
        with _pictures_only(str(first)):
            self.options = options_of_run(first) if first is not None else None

    def told(self, number: int) -> dict[str, Any]:
        return self._told[number]

    def draw(self, total: int, *, reals: bool, matched: bool | None) -> Drawn:
        """`total` pictures of each model, and as many real ones."""
        found: Drawn = {}
        for k, at in enumerate(self.places):
            side = self._side(at, str(self.named[k]), total)
            self._told.append({"images": side.images, "remarks": tuple(side.changes)})
            self._inputs.append(_input_of(side))
            found[chr(ord("A") + k)] = self._take(side, total, str(self.named[k]))
        if reals:
            found["real"] = self._reals(total)
        self.matched = self._match(matched, reals)
        _check_sizes(found, self.named)
        return found

    def _side(self, at: Place, name: str, total: int) -> Side:
        if at.kind == "data":
            return self._files(name)
        which = str(at.checkpoint) if at.checkpoint is not None else self.which
        return self._opened(
            Wanted("drawn", at.path, split="held-out", n=max(3, total), seed=self.seed, which=which, device=self.device)
        )

    def _files(self, name: str) -> Side:
        return self._opened(Wanted("files", name, options=self.options))

    def _reals(self, total: int) -> list[tuple[str | int, Tensor]]:
        """Held-out pictures of the data of a run; where they are too few, of all of them, as far as that is fair."""
        text = self.asked if self.asked is not None else self._first_run()
        at = place(text)
        if at.kind == "data":
            side = self._files(text)
            self.real = Real(source=text, prepared=side.prepared)
            return self._take(side, total, text)
        wanted = Wanted("rows", at.path, split="held-out", of_run=True, n=max(3, total), seed=self.seed)
        side = self._opened(wanted)
        split, remarks = "held-out", list(side.changes)
        if len(side) < total and not any(self._inputs):
            remarks.append(f"only {len(side)} pictures were held out, so real ones are of all data")
            side = self._opened(replace(wanted, split="all"))
            split = "all"
        self.real = Real(source=at.path, split=split, prepared=side.prepared, remarks=tuple(remarks))
        return self._take(side, total, at.path)

    def _first_run(self) -> str:
        path = next((at.path for at in self.places if at.kind != "data"), None)
        if path is None:
            raise UsageError("STUDY-REAL", "nobody knows which pictures are real", where=str(self.named[0]),
                             why="a run would know its data; this is none", fix="--real DATA")  # fmt: skip
        return path

    def _match(self, asked: bool | None, reals: bool) -> bool:
        """Whether equal numbers belong to one input, as far as that is asked for."""
        own = self.asked is None or not reals
        can = bool(self._inputs[0]) and len(set(self._inputs)) == 1 and own
        if asked and not can:
            raise UsageError(
                "STUDY-MATCHED", "pictures cannot be matched", fix="leave --matched out",
                why="only runs that translate pairs make pictures that belong to an input, and all of the same data",
            )  # fmt: skip
        return can and (not reals if asked is None else asked)

    def _opened(self, wanted: Wanted) -> Side:
        with _pictures_only(wanted.text):
            side = open_side(wanted, self.progress)
        self._open.append(side)
        return side

    def _take(self, side: Side, total: int, name: str) -> list[tuple[str | int, Tensor]]:
        found: dict[int, Tensor] = {}
        pieces = [range(start, min(start + _PIECE, len(side))) for start in range(0, len(side), _PIECE)]
        if isinstance(side, Files):  # any will do: the seed says which, and broken ones are passed over
            pieces = [range(k, k + 1) for k in order(len(side), self.seed, "pictures")]
        for piece in pieces:
            for positions, images in side.groups(piece.start, piece.stop):
                found |= dict(zip(positions, images))
            if self.progress is not None:
                self.progress("pictures", min(len(found), total), total)
            if len(found) >= total:
                break
        if len(found) < total:
            held = " held-out" if side.split == "held-out" else ""
            raise DataError(
                "STUDY-FEW", f"there are {len(found)}{held} pictures that can be used, and the study needs {total}",
                where=name, why="every picture is shown once to a rater, else it is known again",
                fix="ask for fewer --trials, --practice and --catch, or give more data",
            )  # fmt: skip
        return [(side.name(k), found[k]) for k in sorted(found)[:total]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for side in self._open:
            side.close()


@contextmanager
def _pictures_only(name: str) -> Iterator[None]:
    """What is said of points elsewhere is of measuring them; here they cannot be looked at."""
    try:
        yield
    except UsageError as error:
        if error.code != "EVALUATE-POINTS":
            raise
        raise UsageError(
            "STUDY-POINTS", "this makes points, and a study needs pictures", where=name,
            why="raters look at pictures and say which is real", fix="name a run that was trained on pictures",
        ) from None  # fmt: skip


def _input_of(side: Side) -> str:
    """What names the inputs of translations of pairs; "" of anything else."""
    if not isinstance(side, Translated) or not side.scene.paired:
        return ""
    return f"{side.scene.dataset.fingerprint} {side.split} {side.scene.numbers.tolist()}"


def _check_sizes(found: Drawn, named: Sequence[str | Path]) -> None:
    """`UsageError` where pictures differ in size or channels, by which raters would know them."""
    shapes = {of: {tuple(pixels.shape) for _, pixels in some} for of, some in found.items()}
    if len(set().union(*shapes.values())) == 1:
        return
    names = {"real": "real"} | {chr(ord("A") + k): str(name) for k, name in enumerate(named)}
    said = "; ".join(
        f"{names[of]}: {' and '.join(f'{w}x{h}, {c} channels' for c, h, w in sorted(some)[:2])}"
        for of, some in shapes.items()
    )
    raise UsageError(
        "STUDY-SIZES", "pictures of different sizes cannot be compared by looking", why=said,
        fix="compare runs of one size; real pictures and folders are brought to the size of the first run",
    )  # fmt: skip
