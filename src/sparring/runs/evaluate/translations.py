"""What is measured of translations: of pairs how far each is from the truth, beside what that number means; of two sets
that do not belong together the way there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparring.errors import MachineError
from sparring.health.look import Given, Sight
from sparring.health.pairs import comparable, of_translations
from sparring.metrics import kernel, paired
from sparring.metrics.features import Extractor, embed, identity
from sparring.metrics.figure import Better, Figure
from sparring.networks import lpips
from sparring.runs.evaluate.opening import Progress
from sparring.runs.evaluate.pairs import CodedScene, PairScene, Piece, Translated
from sparring.runs.evaluate.seen import Seen
from sparring.runs.evaluate.sides import Rows, Side
from sparring.runs.translating import PIECE
from sparring.types import TranslatesBack

MEASURED: dict[str, Better] = {"l1": "lower", "psnr": "higher", "ssim": "higher", "lpips": "lower"}
"""What is measured of each pair, and what is better."""
EQUAL = {"l1": 0.0, "psnr": None, "ssim": 1.0, "lpips": 0.0}
"""What each says of the truth itself; None: infinity."""
CYCLED = 500
"""Images of either side that are taken there and back, at most."""
LOOKED = 256
"""Translations that verdicts are about."""


@dataclass(frozen=True, eq=False)
class Scores:
    """rows: what stands for the translation, and by name of the measure one number for each pair, (n,) float64:
    "translations"; "input": what was given, handed back; "another": the truth of the next pair, which is what looking
    right without looking at the input is worth. Of psnr the mean squared difference of each pair stands there.
    refused: what cannot be measured, and why.   n: pairs.   size: (H, W) that they are compared at.
    equal: pairs of which what was given is the truth to the last bit.   coded: translations are reconstructions.
    """

    rows: dict[str, dict[str, Tensor]]
    refused: dict[str, str]
    n: int
    judge: str = ""
    size: tuple[int, ...] = ()
    equal: int = 0
    coded: bool = False

    def figure(self, name: str, row: str = "translations", seed: int = 0) -> Figure:
        """One measure of one row with its interval over pairs."""
        judge = self.judge if name == "lpips" else ""
        if name in self.refused:
            return Figure(name, None, n_real=self.n, n_fake=self.n, features=judge, refused=self.refused[name])
        values = self.rows[row][name]
        if name == "psnr":
            if not values.any():
                why = "it is infinite: all pairs are equal to the last bit"
                return Figure(name, None, n_real=self.n, n_fake=self.n, refused=why)
            return Figure.of(name, paired.psnr(values, seed), MEASURED[name], self.n, self.n, judge)
        return Figure.of(name, paired.mean(values, seed), MEASURED[name], self.n, self.n, judge)

    def beside_input(self, seed: int = 0) -> dict[str, str]:
        """By each measure whether translations are "better" than what was given, "worse", or neither can be seen (""):
        the difference over the same pairs, and where its 95 % interval lies."""
        found = {}
        for name, given in self.rows.get("input", {}).items():
            nearer = MEASURED[name] == "lower" or name == "psnr"  # of which the squared difference stands there
            gain = paired.mean((given - self.rows["translations"][name]) * (1 if nearer else -1), seed)
            found[name] = "better" if gain.low > 0 else "worse" if gain.high < 0 else ""
        return found

    def record(self, seed: int = 0) -> dict[str, Any]:
        """Every row, for the JSON; "truth" is the truth itself."""
        names = [name for name in MEASURED if name in self.rows["translations"]]
        rows = {row: {name: self.figure(name, row, seed).record() for name in names} for row in self.rows}
        rows |= {"truth": {name: {"value": EQUAL[name]} for name in names}}
        return {
            "n": self.n, "size": list(self.size), "rows": rows, "beside_input": self.beside_input(seed),
            "input_is_truth": self.equal, "coded": self.coded,
        }  # fmt: skip


def kind_of(real: Side, fake: Side) -> str:
    """Translations and their own truths: "pairs". Those of a run that knows the way back, and side B of its data:
    "cycles". Anything else: ""."""
    if not isinstance(fake, Translated) or not isinstance(real, Rows):
        return ""
    if real.dataset.fingerprint != fake.scene.dataset.fingerprint:
        return ""
    if fake.scene.paired:
        return "pairs" if np.array_equal(real.numbers, fake.scene.numbers) else ""
    return "cycles" if isinstance(fake.run.game, TranslatesBack) else ""


def measured(
    real: Side, fake: Side, extractor: Extractor, names: Sequence[str], seed: int, progress: Progress | None
) -> tuple[Scores | None, Cycle | None]:
    """What the measures of `names` need of translations, of whichever kind they are."""
    kind = kind_of(real, fake)
    if not kind:
        return None, None
    assert isinstance(fake, Translated) and isinstance(real, Rows)
    if kind == "pairs":
        return scores(fake.scene, () if fake.scene.dataset.legend else names, progress), None
    maps = fake.scene.dataset.legend or fake.scene.given.legend
    known = {"cycle_error", "cycle_error_back", "kid_back"} & set(names) and not maps
    return None, cycle(fake.scene, real, extractor, identity(extractor), seed) if known else Cycle()


def scores(scene: PairScene, names: Iterable[str], progress: Progress | None = None) -> Scores:
    """Of pairs that are no label maps. names: of `MEASURED`."""
    wanted, refused, judge = [name for name in MEASURED if name in names], dict[str, str](), ""
    measures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "l1": paired.l1, "psnr": paired.mse, "ssim": paired.ssim,
    }  # fmt: skip
    if min(scene.dataset.shape[1:]) < paired.WINDOW and "ssim" in wanted:
        refused["ssim"] = f"its window has {paired.WINDOW} pixels a side: the images are smaller"
    if "lpips" in wanted:
        try:
            network = lpips.load()
        except MachineError as error:
            refused["lpips"] = f"{error.what}: {error.fix}"
        else:
            network.to(scene.run.device)
            judge = f"LPIPS 0.1, AlexNet, {network.sha256[:8]}"
            measures["lpips"] = lambda x, y: paired.lpips(network, x, y)
    wanted = [name for name in wanted if name not in refused]
    found: dict[str, dict[str, list[Tensor]]] = {}
    equal = 0
    for piece in scene.pieces():
        assert piece.truth is not None
        if progress is not None:
            progress("comparing pairs", piece.start, len(scene))
        for row, images in _stand_ins(scene, piece):
            equal += int((images == piece.truth).flatten(1).all(1).sum()) if row == "input" else 0
            for name in wanted:
                found.setdefault(row, {}).setdefault(name, []).append(measures[name](images, piece.truth))
    rows = {row: {name: torch.cat(parts) for name, parts in by.items()} for row, by in found.items()}
    size, coded = scene.dataset.shape[1:], isinstance(scene, CodedScene)
    return Scores({"translations": {}} | rows, refused, len(scene), judge, size, equal, coded)


def _stand_ins(scene: PairScene, piece: Piece) -> Iterator[tuple[str, Tensor]]:
    """What is held against the truth: the translation, what was given, another truth."""
    truth = piece.truth
    assert truth is not None
    yield "translations", piece.made
    given = comparable(piece.given, truth) if scene.comparable else None
    if given is not None:
        yield "input", given
    if len(scene) > 1:
        other = scene.truths(piece.start + 1, piece.start + 1 + len(truth))
        assert other is not None
        yield "another", other


# ── there and back ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Cycle:
    """figures: cycle_error (A → B → A), cycle_error_back (B → A → B), kid_back (translations B → A against A)."""

    figures: dict[str, Figure] = field(default_factory=dict)


def cycle(scene: PairScene, real: Rows, extractor: Extractor, label: str, seed: int = 0) -> Cycle:
    """The way there and back of at most `CYCLED` images of either side, of which neither holds label maps: mean
    |F(G(a)) − a| in [0, 1], what lies between rounded to 8 bits as a file would be. And KID of the way back."""
    there, back, of_a, of_fakes = [], [], [], []
    n, m = min(CYCLED, len(scene)), min(CYCLED, len(real))
    for start in range(0, n, PIECE):
        stop = min(start + PIECE, n)
        given = scene.conditions(start, stop)
        there.append(paired.l1(scene.back(start, scene.made(start, stop)), given))
        of_a.append(extractor(given.to(extractor.device)).float().cpu())
    for start in range(0, m, PIECE):
        positions = list(range(start, min(start + PIECE, m)))
        images = torch.stack(real.at(positions))
        made = scene.back(start, images)
        back.append(paired.l1(scene.there(start, made), images))
        of_fakes.append(extractor(made.to(extractor.device)).float().cpu())
    found = {
        "cycle_error": Figure.of("cycle_error", paired.mean(torch.cat(there), seed), "lower", n, n),
        "cycle_error_back": Figure.of("cycle_error_back", paired.mean(torch.cat(back), seed), "lower", m, m),
    }
    if min(n, m) >= 3:
        distance = kernel.kid(torch.cat(of_a), torch.cat(of_fakes))
        few = f"{min(n, m):,} images are few: below 200 KID tells only gross differences" if min(n, m) < 200 else ""
        found["kid_back"] = Figure.of("kid_back", distance, "lower", n, m, label, few)
    return Cycle(found)


# ── for verdicts ──────────────────────────────────────────────────────────────────────────────────────────────────


def signals(side: Translated, real_side: Rows, fake: Seen, real: Seen, judge: Extractor) -> dict[str, float]:
    """What the doctor knows of translations (`health.pairs`), of the first `LOOKED` of them."""
    n = min(LOOKED, len(fake.features), len(real.features))
    scene = side.scene
    at = [int(k) for k in fake.positions[:n]]
    made, true = torch.stack(side.at(at)), torch.stack(real_side.at([int(k) for k in real.positions[:n]]))
    given = None if scene.given.legend else torch.cat([scene.conditions(k, k + 1) for k in at])
    aligned = scene.paired and at == [int(k) for k in real.positions[:n]]
    same = comparable(given, made) if aligned else None
    seen = None if same is None else embed(judge, same, PIECE)
    return of_translations(Sight(fake.features[:n], made), Sight(real.features[:n], true), Given(given, aligned, seen))
