"""When a run is looked at, and with how many samples: decided once, from measured costs, and written to recipe.yaml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHARE = 0.03
"""Share of the time of a run that probes may take, everything counted."""
SIZES = (512, 384, 256, 192, 128)
"""Samples of one probe, the most first. With fewer than 128 nothing that is measured would be worth its time."""
WANTED, MOST = 8, 40
"""Probes for whose sake fewer samples are looked at, and probes up to the horizon at most."""
SHORTEST = {"images": 15.0, "points": 5.0}
"""Seconds: shorter runs have no probes, and nothing is timed to find that out."""
REFERENCE = 20_000
"""Training images that samples are held against at most."""
LEAST_REFERENCE = 0.2
"""Share of the training images with fewer of which copies are not looked for."""
_BEYOND = 200  # moments beyond the horizon, at most
_FIRST, _EARLY = 0.02, 0.2  # of the run: the first probe; until when they are log-spaced
_MARGIN = 0.8  # of the allowance that is planned with: what is timed for a moment may take longer in the run


@dataclass(frozen=True)
class Probes:
    """samples: of G, at each probe; as many real ones are held beside them.
    reference: training samples among which copies are looked for; 0: they are not.
    moments: when, in images seen, up to the horizon.   seconds: what all of it takes, as planned.
    """

    samples: int
    reference: int
    moments: tuple[int, ...]
    seconds: float = 0.0

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Probes | None:
        """From ``run.probes`` of recipe.yaml; None where a run has none (short, or of before there were any)."""
        said = document.get("run", {}).get("probes")
        if not isinstance(said, Mapping) or not said.get("moments"):
            return None
        moments = tuple(int(moment) for moment in said["moments"])
        return cls(int(said["samples"]), int(said.get("reference", 0)), moments, float(said.get("seconds", 0.0)))

    def record(self) -> dict[str, Any]:
        """As recipe.yaml has it."""
        return {
            "samples": self.samples,
            "reference": self.reference,
            "moments": list(self.moments),
            "seconds": round(self.seconds, 1),
        }

    def until(self, total: int) -> tuple[int, ...]:
        """The moments of a run that goes on to `total`: the series goes on in its last step, and ends at the end.

        >>> Probes(128, 0, (100, 200)).until(450)
        (100, 200, 300, 450)
        """
        return extended(self.moments, total)

    def line(self, run_seconds: float) -> str:
        """For the plan, in a few words."""
        share = self.seconds / max(run_seconds, 1e-9)
        times = "once, at the end" if len(self.moments) == 1 else f"{len(self.moments)} times"
        return f"{times}, by {self.samples} samples: about {100 * share:.1f}% of the time"


@dataclass(frozen=True)
class Cost:
    """Seconds that probing takes, measured on this machine.

    fixed: before the first sample (loading the judge).   real: for each real sample of the baseline.
    fake: for each sample of a probe.   thumbnail: for each training sample of the reference.
    algebra: of a probe of `SIZES[-1]` samples and of its part of the baseline, beside what grows with the samples: it
    is taken to grow with their square.   each: of every probe, whatever its size.
    """

    fixed: float
    real: float
    fake: float
    thumbnail: float
    algebra: float
    each: float = 0.0

    def baseline(self, samples: int, reals: int, reference: int) -> float:
        """Seconds of what is measured on the data, once in a session."""
        return self.fixed + self.real * reals + self.thumbnail * reference + self._algebra(samples)

    def probe(self, samples: int, reference: int) -> float:
        """Seconds of one look."""
        return self.each + self.fake * samples + self._algebra(samples) + 2e-8 * samples * reference

    def _algebra(self, samples: int) -> float:
        return self.algebra * (samples / SIZES[-1]) ** 2


def planned(
    cost: Cost, *, total: int, rate: float, train: int, held_out: int, copies: bool = True, share: float = SHARE,
    most: int = SIZES[0],
) -> Probes | None:  # fmt: skip
    """The probes that a run of `total` images at `rate` images per second can afford; None if not one.

    The most samples with which there are `WANTED` probes; else the fewest with which there is one. The costs of the
    baseline count in full. train, held_out: samples of the data.   copies: whether copies are to be looked for.
    most: of the samples of a probe, where there cannot be more: each image that is held out is translated once.
    """
    allowed = share * _MARGIN * total / max(rate, 1e-9)
    found: Probes | None = None
    for samples in SIZES:
        reference = _reference(cost, allowed, train) if copies else 0
        reals = min(samples, train) + min(max(samples, held_out_most(samples)), max(held_out, samples))
        before = cost.baseline(min(samples, most), reals, reference)
        each = cost.probe(min(samples, most), reference)
        count = min(MOST, int((allowed - before) / each))
        if count < 1:
            continue
        found = Probes(samples, reference, moments(total, count), before + count * each)
        if len(found.moments) >= WANTED:
            break
    return found


def held_out_most(samples: int) -> int:
    """Held-out samples that are looked at, at most: a KID is the surer for them, and they are looked at once."""
    return max(256, samples)


def _reference(cost: Cost, allowed: float, train: int) -> int:
    """Training samples among which copies are looked for: a tenth of the time at most; none if they are too few."""
    affordable = int(0.1 * allowed / cost.thumbnail) if cost.thumbnail > 0 else train
    reference = min(train, REFERENCE, affordable)
    return reference if reference >= LEAST_REFERENCE * train else 0


def moments(total: int, count: int) -> tuple[int, ...]:
    """`count` moments in images seen, the last one `total`: halving steps back from the end if they are few, else the
    first half log-spaced from 2 % to 20 % of the run and the rest evenly.

    >>> moments(1000, 3), moments(1000, 8)
    ((250, 500, 1000), (20, 36, 63, 112, 200, 467, 733, 1000))
    """
    if count <= 4:
        found = {round(total / 2**k) for k in range(count)}
    else:
        early, late = count // 2, count - count // 2
        found = {round(total * _FIRST * (_EARLY / _FIRST) ** (k / early)) for k in range(early)}
        found |= {round(total * (_EARLY + (1 - _EARLY) * k / (late - 1))) for k in range(late)}
    return tuple(sorted(moment for moment in found if moment > 0))


def extended(planned: tuple[int, ...], total: int) -> tuple[int, ...]:
    """Planned moments up to `total`, and beyond the last one in the same step; what is left of a step joins the last.

    >>> extended((50, 100), 100), extended((50, 100), 60), extended((100,), 230)
    ((50, 100), (50,), (100, 230))
    """
    last = planned[-1]
    if total <= last:
        return tuple(moment for moment in planned if moment <= total)
    step = max(1, last - planned[-2] if len(planned) > 1 else last, math.ceil((total - last) / _BEYOND))
    count = max(1, math.floor((total - last) / step))
    return (*planned, *(last + step * k for k in range(1, count)), total)
