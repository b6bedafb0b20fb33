"""The eyes of a run: its data and its game, seen by a judge, as plain tensors (`health.look`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.chance import Dice, permutation
from sparring.contest import Contest
from sparring.data import Dataset, batch_of
from sparring.health.baseline import FEWEST, Baseline
from sparring.health.copies import Copies, thumbnails
from sparring.health.look import Given, Logits, Look, Sight
from sparring.health.pairs import comparable
from sparring.health.signals import signals
from sparring.metrics import features
from sparring.metrics.extractors import PixelFeatures
from sparring.metrics.features import Extractor, quantise
from sparring.metrics.kernel import kid
from sparring.runs import coding
from sparring.runs.board import reading
from sparring.runs.probes import SIZES, held_out_most
from sparring.runs.translating import PIECE as _TRANSLATED
from sparring.runs.translating import given_of, painted, right, translated
from sparring.train.match import Match, resting
from sparring.types import (
    Batch,
    Classifies,
    Criticises,
    HasLikelihood,
    HasTokenLikelihood,
    HasTokens,
    MatchesText,
    Samples,
    SamplesByClass,
    SamplesByText,
    Segments,
    Translates,
    of_exhibits,
)

LOGITS = 256
"""Samples of each kind that D is asked about."""
PIECE = 64
"""Samples that are made or judged at once."""
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
        self._given_features: Tensor | None = None
        n = len(dataset.train)
        order = permutation(seed, "probe", 0, n)
        held = len(dataset.held_out)
        self.apart = held >= FEWEST
        aside = 0 if self.apart else min(samples, n // 2)
        self._aside, self._train = np.sort(order[:aside]), np.sort(order[aside : aside + samples])
        self._reference = np.sort(order[aside : aside + reference])
        most = held_out_most(samples) if held_out is None else held_out
        self._held_out = np.sort(permutation(seed, "probe/held-out", 0, held)[:most])
        if dataset.given is not None:  # each image that is given is translated once
            images = dataset.given.held_out if self.apart else dataset.given.train
            self.samples = max(0, min(samples, len(self._held_out) if self.apart else aside, len(images)))

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
        if len(self._reference) and self.dataset.given is None:  # a translation is near to what its input is near to
            share = len(self._reference) / len(self.dataset.train)
            copies = Copies.of(self._thumbnails(self._reference), share, real.likeness, mirrored=self.mirrored)
        return Baseline.of(real, train, self.samples, apart=self.apart, copies=copies)

    @cached_property
    def _real(self) -> Sight:
        rows, held_out = self._reals
        return self._sight(rows, held_out=held_out)

    @cached_property
    def _trained(self) -> Sight:
        return self._sight(self._train)

    @property
    def _reals(self) -> tuple[NDArray[np.int64], bool]:
        """Rows of real images that no G is trained on, or else that it is not compared with; whether held out."""
        return (self._held_out, True) if self.apart else (self._aside, False)

    def _thumbnails(self, rows: NDArray[np.int64]) -> Tensor:
        pieces = [thumbnails(self._tensor(self.dataset.train[rows[i : i + _READ]])) for i in range(0, len(rows), _READ)]
        return torch.cat(pieces)

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        """Rows of the data as images (n, C, H, W) uint8, or points."""
        tensor = torch.from_numpy(np.array(values))  # a copy: the cache is read-only
        return tensor.permute(0, 3, 1, 2).contiguous() if self.dataset.kind == "images" else tensor.float()

    def _sight(self, rows: NDArray[np.int64], *, held_out: bool = False) -> Sight:
        """Real samples; label maps in their colours."""
        data = self.dataset
        if data.legend:
            tensor = painted(batch_of(data, rows, held_out=held_out).x, data)
        else:
            tensor = self._tensor((data.held_out if held_out else data.train)[rows])
        labels = data.held_out_labels if held_out else data.labels
        known = None if labels is None else torch.from_numpy(labels[rows])
        return Sight(self._embed(tensor), tensor if data.kind == "images" else None, known)

    # ── the game ─────────────────────────────────────────────────────────────────────────────────────────────────

    def signals(self, match: Match) -> dict[str, float]:
        """What `health.signals` has to say of a look at this game."""
        seen = self.look(match)
        return signals(seen, self.baseline if seen.fake is not None else None)

    def look(self, match: Match) -> Look:
        """Averaged players, players as they are, D, each as far as the game has it."""
        game, fake, raw, given, data = match.game, None, None, None, self.dataset
        besides: dict[str, float] = {}
        with self._on(match.engine.device):
            if isinstance(game, Translates | Segments) and data.legend:
                besides = self._segmented(match, game)
            elif isinstance(game, Translates) and data.given is not None and self.baseline is not None:
                rows, held_out = self._reals
                mine = rows[: self.samples] if data.given.paired else np.arange(self.samples)
                images = given_of(data, mine, held_out=held_out)
                with match.averages.applied(), resting(match.game):
                    made = translated(match, game, images)
                given = self._given(images, made)
                fake = Sight(self._embed(made), made)
            elif isinstance(game, HasTokens) and of_exhibits(game):
                return Look(besides=self._coded(match, game))
            elif isinstance(game, Samples) and self.baseline is not None:
                with match.averages.applied():
                    fake = self._made(match)
                raw = self._made(match) if match.averages.players else None
            logits = self._logits(match, game) if isinstance(game, Criticises) else None
            besides |= self._classified(match, game) if isinstance(game, Classifies) else {}
            besides |= self._retrieved(match, game) if isinstance(game, MatchesText) else {}
            besides |= self._costs(match, game) if isinstance(game, HasLikelihood | HasTokenLikelihood) else {}
        return Look(fake, raw, logits, besides, given)

    def _given(self, images: Tensor, made: Tensor) -> Given:
        """What was given, and where there is a truth to compare it with what the judge sees of it, which stays."""
        assert self.dataset.given is not None
        seen = None if self.dataset.given.legend else images
        same = comparable(seen, made) if self.dataset.given.paired else None
        if same is not None and self._given_features is None:
            self._given_features = self._embed(same)
        return Given(seen, self.dataset.given.paired, self._given_features)

    @torch.no_grad()
    def _made(self, match: Match) -> Sight:
        """Samples of the seed of the run. Classes are drawn as the data has them, so that both are of one law."""
        game, made = match.game, []
        labels, texts = self._asked(game), self._said(game)
        with resting(match.game):
            for i in range(0, self.samples, PIECE):
                dice = self._dice(match, "sample", range(i, min(i + PIECE, self.samples)))
                if isinstance(game, SamplesByClass) and labels is not None:
                    made.append(game.sample(dice, label=labels[i : i + PIECE].to(match.engine.device)).float())
                elif isinstance(game, SamplesByText) and texts is not None:
                    made.append(game.sample(dice, text=texts[i : i + PIECE]).float())
                elif isinstance(game, Samples):
                    made.append(game.sample(dice).float())
        if self.dataset.kind == "points":
            return Sight(torch.cat(made).cpu(), None, labels)
        if isinstance(game, HasLikelihood) and game.outcome == "binary" and self._black_or_white:
            made = [self._drawn(match, piece, k * PIECE) for k, piece in enumerate(made)]
        images = torch.cat([quantise(piece).cpu() for piece in made])
        return Sight(self._embed(images), images, labels)

    @cached_property
    def _black_or_white(self) -> bool:
        """Whether every value of the real images is 0 or 255."""
        images = self._real.images
        return images is not None and bool(((images == 0) | (images == 255)).all())

    def _drawn(self, match: Match, means: Tensor, first: int) -> Tensor:
        """Black and white, drawn from the grey means (n, C, H, W) that a decoder of black and white shows: beside data
        that are black and white, greys would be judged by what they are not. What is none or all stays as it is."""
        dice = self._dice(match, "probe/black or white", range(first, first + len(means)))
        return torch.where(dice.uniform(*means.shape[1:]).to(means) < (means + 1) / 2, 1.0, -1.0)

    def _asked(self, game: object) -> Tensor | None:
        """(samples,) the class that each sample is asked for, if the game can be asked: those of training samples."""
        if not isinstance(game, SamplesByClass) or self.dataset.labels is None:
            return None
        rows = permutation(self.seed, "probe/classes", 0, len(self.dataset.labels))
        return torch.from_numpy(self.dataset.labels[np.resize(rows, self.samples)])

    def _said(self, game: object) -> list[str] | None:
        """The text that each sample is asked for, if the game can be asked: those of training samples."""
        captions = self.dataset.captions
        if not isinstance(game, SamplesByText) or captions is None:
            return None
        rows = np.resize(permutation(self.seed, "probe/classes", 0, len(captions)), self.samples)
        return [next(iter(captions[row]), "") for row in rows.tolist()]

    @torch.no_grad()
    def _logits(self, match: Match, game: Criticises) -> Logits | None:
        """D's opinion of reals and of fakes that it never saw, with all players in eval mode.

        A D with batch normalisation is played by the statistics of each batch, reals and fakes apart, so it can tell
        them apart as groups: judged like that it is right nearly always (dcgan on Fashion: AUC 1.000 while G learns
        well). With its running statistics, a mixture of both, it is one function of one sample, as any other D
        (0.94 to 0.98 there). Nothing is written to them.
        """
        with resting(match.game):
            train = self._asked_of(match, game, "train")
            if train is None:
                return None
            held = self._asked_of(match, game, "held-out") if self.apart else None
        fakes = [train[1]] if held is None else [train[1], held[1]]
        zero = not game.relative and not reading(game).centred
        return Logits(None if held is None else held[0], train[0], torch.cat(fakes), zero)

    def _asked_of(self, match: Match, game: Criticises, name: str) -> tuple[Tensor, Tensor] | None:
        """D's logits of reals and of as many fakes, (n,) each, in pieces of one size; None of too few reals."""
        packed = match.game.config.packing if isinstance(match.game, Contest) else 1
        reals = len(self._train if name == "train" else self._reals[0])
        size = min(PIECE if self.dataset.given is None else _TRANSLATED, reals) // packed * packed
        if size < 2:
            return None
        found: list[tuple[Tensor, Tensor]] = []
        for start in range(0, min(reals, LOGITS) - size + 1, size):
            rows = slice(start, start + size)
            real, fake = game.logits(
                self._batch(match, name, rows), self._dice(match, f"probe/{name}", range(start, start + size))
            )
            found.append((_each(real), _each(fake)))
        return torch.cat([real for real, _ in found]), torch.cat([fake for _, fake in found])

    def _batch(self, match: Match, name: str, part: slice) -> Batch:
        """Some of the reals, of the rows of training or of those apart, with what is given with them."""
        if self.dataset.given is not None:
            rows, held_out = (self._train, False) if name == "train" else self._reals
            return match.engine.place(batch_of(self.dataset, rows[part], held_out=held_out))
        reals = (self._trained if name == "train" else self._real).part(part)
        x = reals.features if reals.images is None else reals.images
        return match.engine.place(Batch(x, label=reals.labels, text=self._texts(name, part)))

    def _texts(self, name: str, part: slice) -> tuple[str, ...] | None:
        """The first caption of some of the reals, of the rows of training or of those apart."""
        rows, held_out = (self._train, False) if name == "train" else self._reals
        captions = self.dataset.held_out_captions if held_out else self.dataset.captions
        return None if captions is None else tuple(next(iter(captions[row]), "") for row in rows[part].tolist())

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
                    piece = self._batch(
                        match, "train" if reals is self._trained else "held-out", slice(start, start + PIECE)
                    )
                    assert piece.label is not None
                    right.append((game.classify(piece.x).argmax(1) == piece.label).double().cpu())
                values[name] = float(torch.cat(right).mean())
        return values

    @torch.no_grad()
    def _retrieved(self, match: Match, game: MatchesText) -> dict[str, float]:
        """`retrieval`: the share of held-out images whose own caption is among the nearest tenth of all of theirs, by
        the averages (chance: a tenth); `retrieval_train`: of as many training images."""
        values, data = {}, self.dataset
        sides = [("retrieval", self._held_out, data.held_out_captions, True)] if self.apart else []
        train = self._train[: max(FEWEST, len(self._held_out))]
        with match.averages.applied(), resting(match.game):
            for name, every, captions, held_out in (*sides, ("retrieval_train", train, data.captions, False)):
                rows = np.array([row for row in every.tolist() if captions is not None and captions[row]], np.int64)
                if captions is None or len(rows) < FEWEST:
                    continue
                texts = [captions[row][0] for row in rows.tolist()]
                seen = [
                    game.embed_images(match.engine.place(batch_of(data, some, held_out=held_out)).x)
                    for some in np.array_split(rows, -(-len(rows) // PIECE))
                ]
                similar = torch.cat(seen) @ game.embed_texts(texts).t()
                nearer = (similar > similar.diag()[:, None]).double().mean(1)
                values[name] = float((nearer < 0.1).double().mean())
        return values

    @torch.no_grad()
    def _costs(self, match: Match, game: HasLikelihood | HasTokenLikelihood) -> dict[str, float]:
        """`nll`: −log p of held-out samples in nats, or its bound, or of their tokens, by the averages, with the same
        dice at every look; `nll_train`: of as many training samples; `…_se`: their standard errors; `nll_gap`: their
        difference in standard deviations of a held-out sample, so that it needs no unit."""
        values, spread = {}, 0.0
        with match.averages.applied(), resting(match.game):
            for name, reals in (("nll", self._real if self.apart else None), ("nll_train", self._trained)):
                if reals is None or not len(reals):
                    continue
                costs = []
                for start in range(0, min(len(reals), LOGITS), PIECE):
                    batch = self._batch(
                        match, "train" if reals is self._trained else "held-out", slice(start, start + PIECE)
                    )
                    if isinstance(game, HasTokenLikelihood):
                        cost = game.token_cost(batch)
                    else:
                        dice = self._dice(match, f"probe/{name}", range(start, start + len(batch)))
                        cost = -game.log_likelihood(batch.x, dice)
                    costs.append(cost.double().cpu())
                found = torch.cat(costs)
                values[name] = float(found.mean())
                if len(found) > 1:
                    values[f"{name}_se"] = float(found.std()) / len(found) ** 0.5
                    spread = spread or float(found.std())  # of held-out ones, which come first
        if self.apart and "nll_train" in values and spread > 0:
            values["nll_gap"] = (values["nll"] - values["nll_train"]) / spread
        return values

    def _coded(self, match: Match, game: HasTokens) -> dict[str, float]:
        """What `coding.signals` says of held-out images; `kid` of their reconstructions against training images, since
        they are no independent draw beside themselves."""
        rows, held_out = self._reals
        real, train = (self._tensor((self.dataset.held_out if held_out else self.dataset.train)[rows]), self._trained)
        if min(len(real), len(train)) < FEWEST:
            return {}
        with match.averages.applied(), resting(match.game):
            made, counts = coding.coded(match, game, real)
            assert train.images is not None
            counts = counts + coding.coded(match, game, train.images)[1]
        distance = kid(self._embed(made), train.features)
        known = {"kid": distance.value, "kid_se": distance.standard_error}
        return coding.signals(real, made, counts) | known

    def _segmented(self, match: Match, game: Translates | Segments) -> dict[str, float]:
        """`pixel_accuracy`: the share of pixels of held-out images whose class is right; `…_train` of training ones."""
        values = {}
        with match.averages.applied(), resting(match.game):
            for name, rows, held_out in (
                ("pixel_accuracy", self._reals[0] if self.apart else None, True),
                ("pixel_accuracy_train", self._train, False),
            ):
                if rows is not None and len(rows):
                    batch = batch_of(self.dataset, rows[: self.samples], held_out=held_out)
                    values[name] = right(match, game, batch)
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


def solo(kind: type) -> bool:
    """Whether games of this kind make samples with no D that judges them."""
    return issubclass(kind, Samples) and not issubclass(kind, Criticises)


def judge_of(game: object, dataset: Dataset) -> Extractor | None:
    """The judge of an `Observer` of this game; None: the usual one. What makes no images is not compared with
    anything: pixels cost nothing."""
    return None if makes(game, dataset) else PixelFeatures()


def makes(game: object, dataset: Dataset) -> bool:
    """Whether a game makes samples that are held against real ones; label maps are held against the true ones."""
    return isinstance(game, Samples) or (of_exhibits(game) and not dataset.legend)


def most_seen(dataset: Dataset) -> int:
    """Samples of one look, at most: each image that is given is translated once, held-out ones if there are enough."""
    limited = dataset.given is not None and len(dataset.held_out) >= FEWEST
    return min(SIZES[0], len(dataset.held_out)) if limited else SIZES[0]


def _each(logits: Tensor) -> Tensor:
    """(n, …) → (n,) on the CPU: patches of one sample count as their mean."""
    return logits.float().reshape(len(logits), -1).mean(1).cpu()
