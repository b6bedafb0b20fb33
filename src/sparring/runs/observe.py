"""The eyes of a run: its data and its game, seen by a judge, as plain tensors (`health.look`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice, permutation
from sparring.contest import Contest
from sparring.data import Dataset
from sparring.health.baseline import FEWEST, Baseline
from sparring.health.copies import Copies, thumbnails
from sparring.health.look import Logits, Look, Sight
from sparring.health.pixels import Pixels
from sparring.health.signals import signals
from sparring.metrics import features
from sparring.metrics.extractors import PixelFeatures
from sparring.metrics.features import Extractor, quantise
from sparring.runs.board import reading
from sparring.runs.probes import SIZES, Cost, held_out_most
from sparring.train.match import Match, resting
from sparring.types import Batch, Classifies, Criticises, Samples, SamplesByClass

LOGITS = 256
"""Samples of each kind that D is asked about."""
PIECE = 64
"""Samples that are made or judged at once."""
_FEW = 32  # samples of the piece by which the cost is measured
_READ = 512  # training images that are read at once for their thumbnails


class Observer:
    """Looks at games on one data set. What is known of the data is measured at the first look, and kept on the CPU.

    samples: of G, at a look.   reference: training samples among which copies are looked for, 0 for none.
    seed: chooses the training samples that are looked at.   mirrored: whether training shows images mirrored too.
    judge: default `metrics.features.default`; points need none.   held_out: reals that are looked at, at most.

    Nothing here changes a game, or any random state.
    """

    def __init__(
        self, dataset: Dataset, *, samples: int, reference: int = 0, seed: int = 0, mirrored: bool = False,
        judge: Extractor | None = None, held_out: int | None = None,
    ) -> None:  # fmt: skip
        self.dataset, self.samples, self.seed, self.mirrored = dataset, samples, seed, mirrored
        self._judge = judge
        n = len(dataset.train)
        order = permutation(seed, "probe", 0, n)
        held = len(dataset.held_out)
        self.apart = held >= FEWEST
        aside = 0 if self.apart else min(samples, n // 2)
        self._aside, self._train = np.sort(order[:aside]), np.sort(order[aside : aside + samples])
        self._reference = np.sort(order[aside : aside + reference])
        most = held_out_most(samples) if held_out is None else held_out
        self._held_out = np.sort(permutation(seed, "probe/held-out", 0, held)[:most])

    # ── the data ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def rows(self) -> NDArray[np.int64]:
        """(m,) rows of `dataset.train` that fakes are held against: row k of `Copies.reference` is number rows[k]."""
        return self._reference

    @property
    def known(self) -> Baseline | None:
        """The baseline if it has been measured already."""
        return self.__dict__.get("baseline")

    @cached_property
    def baseline(self) -> Baseline | None:
        """What is known of the data; None where there is too little of it."""
        real, train = self._real, self._trained
        if min(len(real), len(train), self.samples) < FEWEST:
            return None
        copies = None
        if len(self._reference):
            share = len(self._reference) / len(self.dataset.train)
            copies = Copies.of(self._thumbnails(self._reference), share, real.likeness, mirrored=self.mirrored)
        return Baseline.of(real, train, self.samples, apart=self.apart, copies=copies)

    @cached_property
    def _real(self) -> Sight:
        if self.apart:
            return self._sight(self.dataset.held_out[self._held_out], self._labels(self._held_out, held_out=True))
        return self._sight(self.dataset.train[self._aside], self._labels(self._aside))

    @cached_property
    def _trained(self) -> Sight:
        return self._sight(self.dataset.train[self._train], self._labels(self._train))

    def _labels(self, rows: NDArray[np.int64], *, held_out: bool = False) -> Tensor | None:
        labels = self.dataset.held_out_labels if held_out else self.dataset.labels
        return None if labels is None else torch.from_numpy(labels[rows])

    def _thumbnails(self, rows: NDArray[np.int64]) -> Tensor:
        pieces = [thumbnails(self._tensor(self.dataset.train[rows[i : i + _READ]])) for i in range(0, len(rows), _READ)]
        return torch.cat(pieces)

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        """Rows of the data as images (n, C, H, W) uint8, or points."""
        tensor = torch.from_numpy(np.array(values))  # a copy: the cache is read-only
        return tensor.permute(0, 3, 1, 2).contiguous() if self.dataset.kind == "images" else tensor.float()

    def _sight(self, values: NDArray[np.generic], labels: Tensor | None) -> Sight:
        tensor = self._tensor(values)
        return Sight(self._embed(tensor), tensor if self.dataset.kind == "images" else None, labels)

    # ── the game ─────────────────────────────────────────────────────────────────────────────────────────────────

    def signals(self, match: Match) -> dict[str, float]:
        """What `health.signals` has to say of a look at this game."""
        seen = self.look(match)
        return signals(seen, self.baseline if seen.fake is not None else None)

    def look(self, match: Match) -> Look:
        """Averaged players, players as they are, D, each as far as the game has it."""
        game, fake, raw = match.game, None, None
        with self._on(match.engine.device):
            if isinstance(game, Samples) and self.baseline is not None:
                with match.averages.applied():
                    fake = self._made(match)
                raw = self._made(match) if match.averages.players else None
            logits = self._logits(match, game) if isinstance(game, Criticises) else None
            besides = self._classified(match, game) if isinstance(game, Classifies) else {}
        return Look(fake, raw, logits, besides)

    @torch.no_grad()
    def _made(self, match: Match) -> Sight:
        """Samples of the seed of the run. Classes are drawn as the data has them, so that both are of one law."""
        game, made = match.game, []
        labels = self._asked(game)
        with resting(match.game):
            for i in range(0, self.samples, PIECE):
                dice = self._dice(match, "sample", range(i, min(i + PIECE, self.samples)))
                if isinstance(game, SamplesByClass) and labels is not None:
                    made.append(game.sample(dice, label=labels[i : i + PIECE].to(match.engine.device)).float())
                elif isinstance(game, Samples):
                    made.append(game.sample(dice).float())
        if self.dataset.kind == "points":
            return Sight(torch.cat(made).cpu(), None, labels)
        images = torch.cat([quantise(piece).cpu() for piece in made])
        return Sight(self._embed(images), images, labels)

    def _asked(self, game: object) -> Tensor | None:
        """(samples,) the class that each sample is asked for, if the game can be asked: those of training samples."""
        if not isinstance(game, SamplesByClass) or self.dataset.labels is None:
            return None
        rows = permutation(self.seed, "probe/classes", 0, len(self.dataset.labels))
        return torch.from_numpy(self.dataset.labels[np.resize(rows, self.samples)])

    @torch.no_grad()
    def _logits(self, match: Match, game: Criticises) -> Logits | None:
        """D's opinion of reals and of fakes that it never saw, with all players in eval mode.

        A D with batch normalisation is played by the statistics of each batch, reals and fakes apart, so it can tell
        them apart as groups: judged like that it is right nearly always (dcgan on Fashion: AUC 1.000 while G learns
        well). With its running statistics, a mixture of both, it is one function of one sample, as any other D
        (0.94 to 0.98 there). Nothing is written to them.
        """
        with resting(match.game):
            train = self._asked_of(match, game, self._trained, "train")
            if train is None:
                return None
            held = self._asked_of(match, game, self._real, "held-out") if self.apart else None
        fakes = [train[1]] if held is None else [train[1], held[1]]
        zero = not game.relative and not reading(game).centred
        return Logits(None if held is None else held[0], train[0], torch.cat(fakes), zero)

    def _asked_of(self, match: Match, game: Criticises, reals: Sight, name: str) -> tuple[Tensor, Tensor] | None:
        """D's logits of reals and of as many fakes, (n,) each, in pieces of one size; None of too few reals."""
        packed = match.game.config.packing if isinstance(match.game, Contest) else 1
        size = min(PIECE, len(reals)) // packed * packed
        if size < 2:
            return None
        found: list[tuple[Tensor, Tensor]] = []
        for start in range(0, min(len(reals), LOGITS) - size + 1, size):
            batch = self._batch(match, reals.part(slice(start, start + size)))
            real, fake = game.logits(batch, self._dice(match, f"probe/{name}", range(start, start + size)))
            found.append((_each(real), _each(fake)))
        return torch.cat([real for real, _ in found]), torch.cat([fake for _, fake in found])

    def _batch(self, match: Match, reals: Sight) -> Batch:
        x = reals.features if reals.images is None else reals.images
        return match.engine.place(Batch(x, label=reals.labels))

    @torch.no_grad()
    def _classified(self, match: Match, game: Classifies) -> dict[str, float]:
        """`accuracy` on held-out samples, by the averages if there are any; `accuracy_train` on training samples."""
        values = {}
        with match.averages.applied(), resting(match.game):
            for name, reals in (("accuracy", self._real if self.apart else None), ("accuracy_train", self._trained)):
                if reals is None or reals.labels is None or not len(reals):
                    continue
                right = []
                for start in range(0, len(reals), PIECE):
                    piece = self._batch(match, reals.part(slice(start, start + PIECE)))
                    assert piece.label is not None
                    right.append((game.classify(piece.x).argmax(1) == piece.label).double().cpu())
                values[name] = float(torch.cat(right).mean())
        return values

    def _dice(self, match: Match, purpose: str, samples: range) -> Dice:
        assert isinstance(match.seed, int)
        return Dice(match.seed, purpose, samples, (), match.engine.device)

    # ── the judge ────────────────────────────────────────────────────────────────────────────────────────────────

    def _embed(self, values: Tensor) -> Tensor:
        if self.dataset.kind == "points":
            return values.float()
        if self._judge is None:
            self._judge = features.default()
        return features.embed(self._judge, values, PIECE)

    @contextmanager
    def _on(self, device: torch.device) -> Iterator[None]:
        """Inside, the judge is on the device of the game; afterwards nothing of it is left there."""
        if self.dataset.kind == "points" or device.type == "cpu":
            yield
            return
        if self._judge is None:
            self._judge = features.default()
        if not isinstance(self._judge, features.EfficientNetFeatures):
            yield  # a judge that was handed in stays where it is
            return
        network = self._judge.network
        network.to(device)
        try:
            yield
        finally:
            network.to("cpu")


def judge_of(game: object) -> Extractor | None:
    """The judge of an `Observer` of this game; None: the usual one. What makes no samples is not compared with
    anything: pixels cost nothing."""
    return None if isinstance(game, Samples) else PixelFeatures()


def cost_of(match: Match, dataset: Dataset, rate: float, besides: Callable[[Match], object] | None = None) -> Cost:
    """What probing this game costs on this machine, from one small piece of each part: a second or two on a CPU.

    match: will have been played for some rounds.   besides: what is measured at every probe, whatever its size.
    rate: images per second of training. On a CPU everything is timed by the time of the process, training too, which
    does not count waiting on a machine that is busy with other things; the rate says how much slower the clock is.
    """
    alone = match.engine.device.type == "cpu"

    def seconds(act: Callable[[], object]) -> float:
        clock = time.process_time if alone else time.perf_counter
        began = clock()
        act()
        return clock() - began

    count = max(1, min(_FEW, len(dataset.train)))
    eyes = Observer(dataset, samples=_FEW, held_out=_FEW, judge=judge_of(match.game))
    makes = isinstance(match.game, Samples)
    with eyes._on(match.engine.device):
        fixed = seconds(lambda: eyes._sight(dataset.train[:count], None))  # the judge is loaded
        real = seconds(lambda: eyes._trained)
        thumbnail = seconds(lambda: eyes._thumbnails(np.arange(count)))
    _ = eyes.baseline if makes else None  # so that it is no part of the look
    seen: list[Look] = []
    match.step()
    fake = seconds(lambda: seen.append(eyes.look(match)))
    if seen[0].fake is not None and (images := seen[0].fake.images) is not None:
        fake += seconds(lambda: Pixels.of(images))
    n, width = SIZES[-1], eyes._trained.features.shape[1]
    spots = torch.from_numpy(np.random.Generator(np.random.Philox(0)).standard_normal((3 * n, width))).float()
    made, real_, train = (Sight(part) for part in spots.split(n))
    algebra = seconds(lambda: signals(Look(made, made), Baseline.of(real_, train, n))) if makes else 0.0
    each = seconds(lambda: besides(match)) if besides is not None else 0.0
    slower = _slower(match, rate) if alone else 1.0
    parts = (max(0.0, fixed - real), real / count, fake / _FEW, thumbnail / count, algebra, each)
    return Cost(*(slower * part for part in parts))


def _slower(match: Match, rate: float) -> float:
    """Seconds of the clock in which training gets one second of the processors: 1 on one thread of an idle machine."""
    began, before, rounds = time.process_time(), match.images, 0
    while rounds < 4 or (match.engine.size == 1 and time.process_time() - began < 0.3):  # together, equally many
        match.step()
        rounds += 1
    return (match.images - before) / max(rate, 1e-9) / max(time.process_time() - began, 1e-9)


def _each(logits: Tensor) -> Tensor:
    """(n, …) → (n,) on the CPU: patches of one sample count as their mean."""
    return logits.float().reshape(len(logits), -1).mean(1).cpu()
