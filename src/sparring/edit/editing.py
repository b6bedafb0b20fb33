"""A run, edited: where it starts, by which method, and what was found out before, which is kept beside the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from sparring.data import Options
from sparring.data.decode import Recipe, decode
from sparring.data.opening import Unusable
from sparring.data.sides import ANY
from sparring.edit import direction, invert, mapper, optimise
from sparring.edit.coordinates import coordinates
from sparring.edit.wish import Distance, Judge, Wish
from sparring.errors import DataError, UsageError
from sparring.networks import weights
from sparring.runs.run import Run
from sparring.runs.scorer import Scorer, in_colour

Method = Literal["optimise", "mapper", "direction"]
METHODS: tuple[Method, ...] = ("optimise", "mapper", "direction")
KEPT = "edits"
"""Folder of the run in which tables and mappers are kept."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Edited:
    """before, after: (n, C, H, W) in [-1, 1], on the CPU.   codes_before, codes: (n, levels, d); after a direction both
    are the same, for channels were turned.   similarity: (n,) before and after, cosine of picture and text, by the
    scorer.   identity: (n,) distance of the two pictures.   channels: how many of them a direction turned."""

    wish: Wish
    method: Method
    before: Tensor
    after: Tensor
    codes_before: Tensor
    codes: Tensor
    similarity: tuple[Tensor, Tensor]
    identity: Tensor
    channels: int = 0


class Editing:
    """Edits of a run's pictures.   scorer: not needed to invert.   space: of the codes, see `coordinates`.
    label: of a game that is told a class.   keep: whether tables and mappers are kept in the run's directory."""

    def __init__(
        self, run: Run, scorer: Scorer | None, distance: Distance, *, space: str = "auto", label: int = 0,
        keep: bool = True, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.run, self._scorer, self.distance, self.progress = run, scorer, distance, progress
        self.coordinates = coordinates(run.game, space, label)
        self.folder = run.home / KEPT if keep else None
        self._label = label

    @property
    def scorer(self) -> Scorer:
        """Who says how well text and picture agree."""
        if self._scorer is None:
            raise UsageError("EDIT-SCORER", "nobody says how well text and picture agree", fix="name a scorer")
        return self._scorer

    @cached_property
    def _of(self) -> str:
        """Which generator and which scorer: what is kept is of both."""
        game: Any = self.run.game
        return f"{weights.digest(game.state_dict())} {self._label} {self.coordinates.name} {self.scorer.identity}"

    def start(self, seed: int = 0, numbers: range = range(1)) -> Tensor:
        """The codes of samples: (n, levels, d)."""
        return self.coordinates.start(seed, numbers)

    def edit(
        self, codes: Tensor, wish: Wish, method: Method = "optimise", *, steps: int | None = None,
        beta: float = direction.BETA,
    ) -> Edited:  # fmt: skip
        """The pictures of these codes, moved.   steps: of the optimisation, rounds of training a mapper."""
        if method not in METHODS:
            raise UsageError("EDIT-METHOD", "there is no such method", where=method, fix=f"one of {', '.join(METHODS)}")
        if steps is not None and steps < 1:
            raise UsageError("EDIT-STEPS", "at least one step", where=str(steps))
        direction.check(beta)
        judge = Judge(wish, self.coordinates, self.scorer, self.distance)
        after, channels = codes, 0
        with torch.no_grad():
            before = self.coordinates.image(codes)
        if method == "optimise":
            after = optimise.optimise(judge, codes, steps=steps or optimise.STEPS, progress=self.progress)
        elif method == "mapper" and wish.strength != 0:
            after = mapper.moved(self.mapper(judge, steps or mapper.ROUNDS), codes, wish.strength)
        with torch.no_grad():
            image = before if wish.strength == 0 else self.coordinates.image(after)
            if method == "direction" and wish.strength != 0:
                towards = wish.direction(self.scorer)
                channels = int((self.table.turned(towards.cpu(), beta) != 0).sum())
                image, _ = direction.moved(self.coordinates, self.table, codes, towards, wish.strength, beta)
            seen = [self.scorer.similarity(in_colour(x), [wish.text])[:, 0].cpu() for x in (before, image)]
            far = self.distance(image, before).cpu()
        return Edited(
            wish, method, before.clamp(-1, 1).cpu(), image.clamp(-1, 1).cpu(), codes.cpu(), after.cpu(),
            (seen[0], seen[1]), far, channels,
        )  # fmt: skip

    def invert(self, images: Tensor, **settings: Any) -> invert.Inverted:
        """The codes of pictures (n, C, H, W) in [-1, 1]: see `invert.invert`."""
        return invert.invert(self.coordinates, images, self.distance, progress=self.progress, **settings)

    # ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def table(self) -> direction.Table:
        """What each channel does, measured once for a generator and a scorer."""
        made = f"{self._of} {direction.SAMPLES} {direction.TURN}"

        def measured() -> dict[str, Tensor]:
            found = direction.measure(self.coordinates, self.scorer, progress=self.progress)
            return {"effects": found.effects, "spread": found.spread, "widths": torch.tensor(found.widths)}

        kept = self._kept("channels", made, measured)
        return direction.Table(kept["effects"], kept["spread"], tuple(kept["widths"].tolist()))

    def mapper(self, judge: Judge, rounds: int = mapper.ROUNDS) -> mapper.MapperGame:
        """The mapper of a wish, trained once."""
        wish = judge.wish
        said = [self._of, wish.text, wish.neutral, wish.l2, wish.identity, rounds, mapper.MapperConfig().batch]

        def trained() -> dict[str, Tensor]:
            return dict(mapper.train(judge, rounds=rounds, progress=self.progress).M.state_dict())

        return mapper.restored(mapper.game(judge), self._kept("mapper", json.dumps(said), trained))

    def _kept(self, kind: str, of: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Tensors that were made before, or are now; the file is called by what they are of."""
        if self.folder is None:
            return make()
        file = self.folder / f"{kind}-{hashlib.sha256(of.encode()).hexdigest()[:16]}.safetensors"
        if file.is_file():
            return load_file(file, device=str(self.coordinates.device))
        made = make()
        with weights.whole(file) as part:
            part.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in made.items()}))
        return made


def prepared(run: Run, image: bytes | np.ndarray, name: str = "") -> Tensor:
    """A picture as the data of the run were prepared: (1, C, H, W) in [-1, 1]. `DataError` for what is none, which is
    called `name` there."""
    document = run.document
    if document["data"]["kind"] != "images":
        raise UsageError("EDIT-POINTS", "this run is on points, and pictures are edited", where=str(run.path))
    options = Options.of(document["data"])
    channels, height, width = document["data"]["shape"]
    recipe = Recipe((height, width), channels, options.crop, options.background, ANY, options.levels)
    try:
        pixels = decode(image, recipe).pixels
    except Unusable as error:
        raise DataError(
            "EDIT-IMAGE", "this is no picture that can be used", where=name, why=str(error),
            fix="name a picture that opens in a viewer, such as a PNG or a JPEG",
        ) from error  # fmt: skip
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1


def read(path: Path) -> bytes:
    """The bytes of a file; `DataError` where there are none."""
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise DataError("EDIT-IMAGE", "this file cannot be read", where=str(path), why=error.strerror or str(error),
                        fix="name a file with one picture") from error  # fmt: skip
