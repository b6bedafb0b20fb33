"""Nearest neighbours in feature space: what a sample is near to, whether it is a copy, whether samples repeat.

Distances are Euclidean. Up to `EXACT` dimensions they come from differences; above, from |x|² + |y|² − 2 x·y after the
mean is subtracted, in the type of the features (float32 on the way from an extractor: relative to the spread of the
data about 1e-6 of the square), and the winners are measured again from differences in float64. A slab of rows at a
time: memory does not grow with the product of the sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.chance import permutation
from sparring.errors import SparringError
from sparring.metrics.uncertainty import HALVES, Measured, by_halves, halves, wilson

EXACT = 32
"""Dimensions up to which distances come from differences."""
_CHUNK = 2**23  # distances at once: 32 MiB in float32
QUANTILE = 0.01
"""Which quantile of the nearest distances of real samples is "very near"."""


def squared_distances(x: Tensor, y: Tensor, *, same: bool = False) -> Iterator[tuple[slice, Tensor]]:
    """|xᵢ − yⱼ|² for all pairs, a slab of rows at a time: (rows of x, (rows, m)); each slab may be overwritten.

    x: (n, d), y: (m, d), finite. same: y is x; the distance of a sample to itself is then infinite.
    Squares below the rounding error of their norms are exactly 0, so that equal samples are at distance 0.
    """
    x, y = _points(x, y)
    step = max(1, _CHUNK // max(1, len(y)))
    direct = x.shape[1] <= EXACT
    if not direct:
        centre = y.mean(0)
        x, y = x - centre, y - centre
    norms_x, norms_y = x.square().sum(1), y.square().sum(1)
    rounding = 16 * torch.finfo(x.dtype).eps
    for start in range(0, len(x), step):
        rows = slice(start, min(start + step, len(x)))
        if direct:
            slab = torch.cdist(x[rows], y, compute_mode="donot_use_mm_for_euclid_dist").square_()
        else:
            slab = torch.addmm(norms_y, x[rows], y.T, alpha=-2.0).add_(norms_x[rows, None])
            slab.masked_fill_(slab <= rounding * norms_x[rows, None], 0.0)
        if same:
            slab[:, rows].fill_diagonal_(math.inf)
        yield rows, slab


def nearest(x: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest of `among` (m, d) for each of x (n, d): distances (n,) float64, and which (n,) int64.

    >>> nearest(torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [5.0]]))
    (tensor([1., 4.], dtype=torch.float64), tensor([0, 1]))
    """
    found = [slab.min(1).indices for _, slab in squared_distances(x, among)]
    which = torch.cat(found)
    return _measure(x, among, which), which


def nearest_other(x: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest other sample for each of x (n, d), n at least 2: distances (n,) float64, and which (n,) int64.

    >>> nearest_other(torch.tensor([[0.0], [1.0], [5.0]]))[1]
    tensor([1, 0, 1])
    """
    which = torch.cat([slab.min(1).indices for _, slab in squared_distances(x, x, same=True)])
    return _measure(x, x, which), which


class Neighbours:
    """The nearest other samples of each of n, also among a half of them.

    squared: (n, K) squared distances, the nearest first;   which: (n, K) of which sample. Both on the CPU.
    """

    def __init__(self, x: Tensor, k: int) -> None:
        """x: (n, d); for questions about the k-th nearest, 1 ≤ k < n."""
        if k >= len(x):
            raise _few(f"{len(x)} samples have no neighbour number {k}")
        more = min(len(x) - 1, 4 * k + 14)  # of a random half fewer than k are left once in 10,000 cases
        found = [slab.topk(more, largest=False) for _, slab in squared_distances(x, x, same=True)]
        self.squared = torch.cat([f.values for f in found]).cpu()
        self.which = torch.cat([f.indices for f in found]).cpu()

    def radius(self, k: int) -> Tensor:
        """(n,) squared distance to the k-th nearest: of the ball that `prdc` builds manifolds of."""
        return self.squared[:, k - 1]

    def radius_within(self, k: int, kept: Tensor) -> Tensor:
        """As `radius` of and among the samples that are kept, (n,) bool with c of them: (c,)."""
        squared, which = self.squared[kept], self.which[kept]
        enough = kept[which].cumsum(1) >= k
        place = torch.where(enough.any(1), enough.to(torch.uint8).argmax(1), enough.shape[1] - 1)
        return squared.gather(1, place[:, None])[:, 0]


@dataclass(frozen=True, eq=False)
class Copies:
    """Which samples are nearer to a training sample than data that was never trained on.

    A sample is a copy when its nearest training sample is at most `threshold` away, the 1 % quantile of that distance
    over held-out data. So of a generator that draws fresh data from the same law, `null` of the samples count too.

    share:     of the samples that are copies, in [0, 1], with Wilson's interval.
    null:      what it would be for fresh data (about 1 %, exactly by the held-out data's own share), with its interval:
               the held-out data is finite.
    p:         probability that fresh data shows as many copies or more, in [0, 1]; exact for exchangeable samples (the
               beta-binomial law).
    exact:     how many samples are equal to a training sample.
    indices:   (c,) which samples are copies, the nearest first;   of: (c,) of which training sample.
    distance:  (n,) of every sample to its nearest training sample;   nearest: (n,) which one that is.
    """

    share: Measured
    null: Measured
    p: float
    threshold: float
    exact: int
    indices: Tensor
    of: Tensor
    distance: Tensor
    nearest: Tensor

    @property
    def excess(self) -> float:
        """Copies beyond what fresh data would show, as a share of the samples: max(0, share − null)."""
        return max(0.0, self.share.value - self.null.value)


def copies(fake: Tensor, train: Tensor, held_out: Tensor, quantile: float = QUANTILE) -> Copies:
    """The memorisation test: fake (n, d), train (t, d) and held_out (h, d) features of the same extractor.

    Only the training data that is given can be found: for a part of it, divide `excess` by that part. Held-out data
    that is in the training data as well raises null (and p) by as much.

    >>> x = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    >>> found = copies(torch.cat([x[:20], x[200:280] + 9]), x[:200], x[200:])
    >>> found.exact, sorted(found.indices.tolist()) == list(range(20)), found.p < 1e-6
    (20, True, True)
    """
    from scipy import stats  # half a second to import: not before it is needed

    if min(len(fake), len(train), len(held_out)) < 1:
        raise _few("copies need samples, training data and held-out data")
    distance, which = nearest(fake, train)
    fresh = nearest(held_out, train)[0].sort().values
    n, h = len(distance), len(fresh)
    threshold = _quantile(fresh, quantile)
    inside = int((fresh <= threshold).sum())
    copied = torch.nonzero(distance <= threshold).flatten()
    copied = copied[distance[copied].argsort(stable=True)]
    # H₀: of h fresh samples the `inside`-th smallest distance is the threshold; how many of n more are below it?
    p = float(stats.betabinom.sf(len(copied) - 1, n, inside, h - inside + 1))
    null = Measured(
        inside / (h + 1),
        float(stats.beta.ppf(0.025, inside, h - inside + 1)),
        float(stats.beta.ppf(0.975, inside, h - inside + 1)),
        "order statistics",
    )
    exact = int((distance == 0).sum())
    return Copies(wilson(len(copied), n), null, p, threshold, exact, copied, which[copied], distance, which)


@dataclass(frozen=True, eq=False)
class Duplicates:
    """How many samples repeat each other.

    share:     of the samples whose nearest other sample is at most `threshold` away, in [0, 1]. The interval knows that
               the threshold is an estimate too, and that duplicates come in pairs.
    null:      the same share among the real samples, about the quantile (more where real samples repeat).
    indices:   (c,) which samples they are, the nearest first.
    of:        (c,) the sample that each repeats.
    n:         how many samples of either side were compared.
    """

    share: Measured
    null: float
    threshold: float
    indices: Tensor
    of: Tensor
    n: int


def duplicates(fake: Tensor, real: Tensor, quantile: float = QUANTILE, seed: int = 0) -> Duplicates:
    """Which of fake (n, d) are nearer to another fake than nearly any two real (m, d) samples are to each other.

    The nearest distance shrinks as samples are added, so both sides are cut to the same number; `indices` are those of
    `fake` as given.

    >>> real = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    >>> duplicates(real[:100].repeat(2, 1), real).share.value
    1.0
    """
    n = min(len(fake), len(real))
    if n < 2:
        raise _few("duplicates need at least 2 samples of each side")
    rows, chosen = part(fake, n, seed), part(real, n, seed)
    of_fake, of_real = Neighbours(fake[rows], 1), Neighbours(real[chosen], 1)
    distance, near = of_fake.radius(1), of_real.radius(1)
    threshold = _quantile(near, quantile)
    found = torch.nonzero(distance <= threshold).flatten()
    found = found[distance[found].argsort(stable=True)]
    replicates = []
    for kept_fake, kept_real in zip(*(halves(n, HALVES, seed, f"duplicates/{side}") for side in ("fake", "real"))):
        limit = _quantile(of_real.radius_within(1, kept_real), quantile)
        replicates.append(_share(of_fake.radius_within(1, kept_fake) <= limit))
    share = by_halves(len(found) / n, replicates, trials=n)
    null = _share(near <= threshold)
    return Duplicates(share, null, math.sqrt(threshold), rows[found], rows[of_fake.which[found, 0]], n)


def part(x: Tensor, n: int, seed: int) -> Tensor:
    """The numbers of n samples of x, without replacement, in order; all of them where there are not more."""
    if n >= len(x):
        return torch.arange(len(x))
    return torch.from_numpy(permutation(seed, "part", 0, len(x))[:n]).sort().values


def _measure(x: Tensor, among: Tensor, which: Tensor) -> Tensor:
    """(n,) float64 distances of xᵢ to the sample that was chosen for it."""
    parts = [
        (x[i : i + 4096].double() - among[which[i : i + 4096]].double()).square().sum(1) for i in range(0, len(x), 4096)
    ]
    return torch.cat(parts).sqrt()


def _quantile(values: Tensor, quantile: float) -> float:
    """The smallest of values (n,) that at least the `quantile` of them do not exceed."""
    return float(values.kthvalue(max(1, math.ceil(quantile * len(values)))).values)


def _share(which: Tensor) -> float:
    return int(which.sum()) / len(which)


def _points(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise SparringError(
            "METRIC-SHAPE",
            f"features {tuple(x.shape)} and {tuple(y.shape)} cannot be compared",
            why="both must be (samples, dimensions) of the same extractor, and not empty",
        )
    dtype = torch.float64 if torch.float64 in (x.dtype, y.dtype) else torch.float32
    return x.detach().to(dtype), y.detach().to(dtype)


def _few(what: str) -> SparringError:
    return SparringError("METRIC-FEW", what, fix="measure with more samples")
