"""What is seen of a game at one moment, in plain tensors: what `signals` turns into numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Sight:
    """Samples as they are seen.

    features: (n, d) float32 on the CPU, of a judge network; of points their coordinates.
    images:   (n, C, H, W) uint8, or None for points.   labels: (n,) int64 class of each, or None.
    """

    features: Tensor
    images: Tensor | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def likeness(self) -> Tensor:
        """What samples are compared by when copies are looked for: the images, or the points."""
        return self.features if self.images is None else self.images

    def part(self, rows: slice | Tensor) -> Sight:
        """Some of the samples."""
        return Sight(
            self.features[rows],
            None if self.images is None else self.images[rows],
            None if self.labels is None else self.labels[rows],
        )


@dataclass(frozen=True)
class Logits:
    """What D says, of samples (n,) each: of held-out ones (None without any), of training ones, of new fakes of G.

    zero: whether s = 0 means something, D's answer where reals and fakes are equally likely: not in relativistic games,
    nor where s + c costs the same for every c.
    """

    held_out: Tensor | None
    train: Tensor
    fake: Tensor
    zero: bool = True


@dataclass(frozen=True)
class Given:
    """What a game that translates was given, and whether real image k is what translation k should be.

    images: (n, C', H, W) uint8; None where they cannot be compared with what is made of them: label maps.
    features: (n, d) of `comparable` images, by the judge of the translations; of pairs only.
    """

    images: Tensor | None
    paired: bool
    features: Tensor | None = None


@dataclass(frozen=True)
class Look:
    """One look at a game; what a game has not is None.

    fake: samples of the averaged players.   raw: the same latents by the players as they are, where both exist.
    logits: of a game that has a discriminator.   besides: numbers that are measured elsewhere and join the signals.
    given: of a game that translates, of which nothing is asked that what it is given decides.
    """

    fake: Sight | None = None
    raw: Sight | None = None
    logits: Logits | None = None
    besides: Mapping[str, float] = field(default_factory=dict)
    given: Given | None = None
