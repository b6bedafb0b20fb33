"""Table 1 of PacGAN (Lin et al. 2018, arXiv 1712.04086) again, by this library: the ring and the grid, plain GAN and
PacGAN with packs of 2, 3 and 4, under the published protocol, beside the published numbers.

    python -m benchmarks.pacgan                            (make bench-pacgan)  plays what is missing, two hours at most
    python -m benchmarks.pacgan ring-gan-0 grid-gan-0 --hours 2                 these cells; goes on where it stopped
    python -m benchmarks.pacgan --table                                         only prints what there is
    python -m benchmarks.pacgan --time                                          milliseconds per step, 1 and k seeds

A cell is one run: data, method, seed. Its state is kept in benchmarks/state/pacgan (not committed), its measures in
benchmarks/results/pacgan/<cell>.json; a cell that was stopped goes on from its last checkpoint and gives the same
numbers. A cell that has not made its 400,000 steps is "unfinished" everywhere and never enters a row of the table.

What the protocol is, beyond the paper, as read in the authors' code (github.com/fjxmlzn/PacGAN, folder
synthetic_data_experiments), in the code of ALI that it calls (github.com/IshmaelBelghazi/ALI, ali/algorithms.py), and
in Blocks (github.com/mila-iqia/blocks, bricks/bn.py, algorithms):

- Data: 100,000 points drawn once per run from the equal mixture, in its own units, never scaled. A pack is m points,
  each slot drawn with replacement from the 100,000 (for m = 1 too, so about 63 % of the points are ever seen); 100,000
  packs in all, shuffled anew in every epoch, 100 packs per step: 1,000 steps per epoch, 400 epochs.
- One step: z is drawn once; D and G pay for the same fakes and the same reals, and both move at the same time, from
  gradients at the same weights. (Packs: m independent z, each through G as a batch of 100 of its own.)
- Costs: softplus(−D(x)) + softplus(D(G(z))) for D, softplus(−D(G(z))) for G, both as means over the 100 packs.
- Both players: Adam, learning rate 1e-4, β₁ 0.8, β₂ 0.999 (the default), ε 1e-8, constant through the run; no average
  of weights. (Blocks adds ε before the correction of the second moment, we after it; it matters only in the first few
  steps.)
- G: z ~ N(0, I₂); four times [linear map to 400 without bias, batch normalisation with ε 1e-4, ReLU], then a linear map
  with bias. D: three linear maps to 5 × 200 whose largest fifths pass on (maxout), then one to a logit; no
  normalisation. Weights N(0, 0.02²), biases 0, scales of the normalisation 1, shifts 0.
- Samples: 2,500, always from the same z, through G with population statistics: mean and standard deviation (not the
  variance) of batches, moving by 0.05 per batch, and before each evaluation over 50 more batches with G at rest.
  (Statistics that lag behind, or that come from the unbiased variance, would move points by more than a ring's σ of
  0.01: "as_sampled" in the results is what torch's running statistics give.)
- Measures (after the last epoch): of high quality is a sample within 3 σ of its nearest mode; a mode is covered by at
  least one such sample; reverse KL is that of the histogram of those samples over modes to the uniform one, in nats.
  The paper's rows are means of 10 runs ± standard errors.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cells import HERE, advance, finished, found, keep_memory, mean_and_error, spelt
from sparring.chance import Dice, permutation
from sparring.data import points
from sparring.metrics.modes import Modes, modes
from sparring.recipes.gan import GAN, GANConfig
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.game import seeded
from sparring.train.match import Match
from sparring.types import Batch, News, Space

RESULTS = HERE / "results" / "pacgan"
STEPS, PACKS, EVERY, SAMPLES = 400_000, 100, 20_000, 2_500
METHODS = {"gan": 1, "pacgan2": 2, "pacgan3": 3, "pacgan4": 4}
SPACE = Space((2,))

# Lin et al. 2018, Table 1: modes, high-quality samples in %, reverse KL; each mean and standard error of 10 runs
PUBLISHED: dict[str, dict[str, tuple[tuple[float, float], ...]]] = {
    "ring": {
        "gan": ((6.3, 0.5), (98.2, 0.2), (0.45, 0.09)),
        "pacgan2": ((7.9, 0.1), (95.6, 2.0), (0.07, 0.03)),
        "pacgan3": ((7.8, 0.1), (97.7, 0.3), (0.10, 0.02)),
        "pacgan4": ((7.8, 0.1), (95.9, 1.4), (0.07, 0.02)),
    },
    "grid": {
        "gan": ((17.3, 0.8), (94.8, 0.7), (0.70, 0.07)),
        "pacgan2": ((23.8, 0.7), (91.3, 0.8), (0.13, 0.04)),
        "pacgan3": ((24.6, 0.4), (94.2, 0.4), (0.06, 0.02)),
        "pacgan4": ((24.8, 0.2), (93.6, 0.6), (0.04, 0.01)),
    },
}


@dataclass(frozen=True)
class Cell:
    """One run.

    >>> Cell.named("grid-pacgan2-3")
    Cell(data='grid', method='pacgan2', seed=3)
    """

    data: str
    method: str
    seed: int

    @classmethod
    def named(cls, name: str) -> Cell:
        data, method, seed = name.split("-")
        if data not in PUBLISHED or method not in METHODS:
            raise SystemExit(f"{name}: a cell is ring or grid, one of {', '.join(METHODS)}, and a seed: grid-pacgan2-0")
        return cls(data, method, int(seed))

    @property
    def name(self) -> str:
        return f"{self.data}-{self.method}-{self.seed}"

    @property
    def m(self) -> int:
        return METHODS[self.method]


# ── the protocol ──────────────────────────────────────────────────────────────────────────────────────────────────


class Packs:
    """The points of one run in packs, endlessly: m slots, each drawn with replacement from 100,000 points.

    >>> packs = Packs("ring", m=2, seed=0, count=50)
    >>> packs.take(0, 200).x.shape
    torch.Size([200, 2])
    """

    def __init__(self, data: str, m: int, seed: int, count: int = points.COUNT) -> None:
        made = points.make(data, count=count, seed=seed)
        rows = Dice(seed, "pacgan/packs", range(count)).integers(count, m).numpy()
        self.values = torch.from_numpy((made.values * made.scale)[rows])  # (count, m, 2), in the mixture's own units
        self.m, self.seed, self.fingerprint = m, seed, f"pacgan/{data}/{m}/{seed}/{count}"
        self._epoch, self._order = -1, torch.zeros(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.values) * self.m

    def take(self, start: int, count: int) -> Batch:
        """x: (count, 2), packs after each other; start and count are multiples of m."""
        first, last = start // self.m, (start + count) // self.m
        pieces = []
        while first < last:
            epoch, place = divmod(first, len(self.values))
            until = min(len(self.values), place + last - first)
            pieces.append(self.values[self._shuffled(epoch)[place:until]])
            first += until - place
        return Batch(torch.cat(pieces).flatten(0, 1))

    def _shuffled(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.from_numpy(permutation(self.seed, "order", epoch, len(self.values)))
        return self._order

    def news(self) -> tuple[News, ...]:
        return ()


class Published(GAN):
    """`gan` as the authors play it: the same fakes for both players, and G normalising each slot of the packs apart."""

    owner = "G"

    def make(self, dice: Any, label: Tensor | None) -> Tensor:
        m = self.config.packing
        slots = self.latents(dice).unflatten(0, (-1, m)).unbind(1)
        return torch.stack([self.decode(z) for z in slots], dim=1).flatten(0, 1)


def configured(m: int) -> GANConfig:
    """The settings of the paper: the preset, with 100 packs per step. `joined` only saves a forward pass: D has no
    batch statistics."""
    config = load("pacgan-points", [f"packing={m}", f"batch={PACKS * m}", "joined=true"]).config
    assert isinstance(config, GANConfig)
    return config


def begun(cell: Cell) -> Match:
    config = configured(cell.m)
    game = seeded(cell.seed, lambda: Published.build(config, SPACE))
    engine, stream = Engine(torch.device("cpu")), Packs(cell.data, cell.m, cell.seed)
    return Match(game, stream, engine, config, seed=cell.seed, horizon=STEPS * config.batch)


@torch.no_grad()
def at_rest(G: nn.Module, seed: int, batches: int = 50, rate: float = 0.05) -> nn.Module:
    """A copy of G in eval mode with the population statistics of the protocol: mean and standard deviation move by
    `rate` per batch of 100, over `batches` batches more, while the weights stay."""
    G = copy.deepcopy(G).train()
    norms = [module for module in G.modules() if isinstance(module, nn.BatchNorm1d)]
    kept = [(running(norm.running_mean), running(norm.running_var)) for norm in norms]
    means = [mean.clone() for mean, _ in kept]
    stds = [(variance + norm.eps).sqrt() for norm, (_, variance) in zip(norms, kept)]
    found: list[tuple[Tensor, Tensor]] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm1d)
        found.append((inputs[0].mean(0), (inputs[0].var(0, correction=0) + module.eps).sqrt()))

    handles = [norm.register_forward_pre_hook(look) for norm in norms]
    for batch in range(batches):
        found.clear()
        G(Dice(seed, "pacgan/population", range(PACKS), (batch,)).normal(2))
        for mean, std, (new_mean, new_std) in zip(means, stds, found, strict=True):
            mean.lerp_(new_mean, rate)
            std.lerp_(new_std, rate)
    for norm, (mean, variance), new_mean, new_std, handle in zip(norms, kept, means, stds, handles, strict=True):
        mean.copy_(new_mean)
        variance.copy_(new_std.square() - norm.eps)
        handle.remove()
    return G.eval()


def running(statistic: Tensor | None) -> Tensor:
    assert statistic is not None, "batch normalisation without running statistics"
    return statistic


@torch.no_grad()
def measured(match: Match, cell: Cell) -> dict[str, Any]:
    """The measures now, and how far the run is."""
    made = points.make(cell.data, count=1)
    z = Dice(0, "pacgan/samples", range(SAMPLES)).normal(2)
    G = match.game.players["G"]

    def of(network: nn.Module) -> Modes:
        assert made.modes is not None and made.spread is not None
        return modes(network(z), made.modes, made.spread)

    row, plain = of(at_rest(G, cell.seed)), of(copy.deepcopy(G).eval())
    return {"steps": match.round, **rounded(row), "counts": row.counts.tolist(), "as_sampled": rounded(plain)}


def rounded(row: Modes) -> dict[str, float]:
    return {name: round(value, 5) for name, value in row.values().items()}


# ── cells ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def play(cell: Cell, until: float) -> None:
    """Go on with a cell until it is finished or the clock (`time.monotonic`) says `until`."""
    match = begun(cell)
    about = {"data": cell.data, "method": cell.method, "packing": cell.m, "seed": cell.seed,
             "command": f"python -m benchmarks.pacgan {cell.name}"}  # fmt: skip
    advance(cell.name, match, about, folder="pacgan", steps=STEPS, every=EVERY, until=until,
            measured=lambda: measured(match, cell), described=described)  # fmt: skip


def described(cell: dict[str, Any]) -> str:
    """Where a cell stands, in a few words."""
    last = cell["measures"][-1]
    return (
        f"after {cell['steps']:,} of {cell['of']:,} steps: {last['modes']:g} modes, "
        f"{100 * last['high_quality']:.1f} %, reverse KL {last['reverse_kl']:.3f}, "
        f"smallest share {last['smallest_share']:.3f}"
    )


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


def agrees(published: tuple[float, float], ours: tuple[float, float], n: int) -> bool | None:
    """Whether two means differ by at most 2 standard errors of their difference. The published error is of 10 runs, and
    n runs of ours without a useful error of their own (n < 3) are granted the spread of the published ones.

    >>> agrees((6.3, 0.5), (7.0, math.nan), 1), agrees((6.3, 0.5), (3.0, 0.3), 10)
    (True, False)
    """
    error = ours[1] if n >= 3 else published[1] * math.sqrt(10 / n)
    return abs(published[0] - ours[0]) <= 2 * math.hypot(published[1], error)


def table(results: Path = RESULTS) -> str:
    """Published beside ours, as Markdown; what is unfinished or failed stands below it."""
    cells = found(results)
    whole = [cell for cell in cells if cell["finished"]]
    lines = ["| data | method | modes | high quality % | reverse KL | smallest share | seeds |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for data, rows in PUBLISHED.items():
        for method, published in rows.items():
            lines.append(
                f"| {data} | {method}, published | " + " | ".join(f"{m:g} ± {e:g}" for m, e in published) + " | | 10 |"
            )
            last = [c["measures"][-1] for c in whole if (c["data"], c["method"]) == (data, method)]
            if last:
                lines.append(f"| {data} | {method}, ours | {ours(last, published)} | {len(last)} |")
    notes = [
        f"- {c['cell']} (no row of the table): {c.get('failed', 'unfinished')}, {described(c)}"
        for c in cells
        if not c["finished"]
    ]
    return "\n".join([*lines, "", *notes])


def ours(last: list[dict[str, Any]], published: tuple[tuple[float, float], ...]) -> str:
    """The cells of one of our rows: modes, quality, divergence, each with ± SE (from 2 seeds on) and ✓ or ✗: whether
    it lies within 2 standard errors of the published one; and the smallest share."""
    columns = []
    for name, factor, paper in zip(("modes", "high_quality", "reverse_kl"), (1, 100, 1), published):
        mean = mean_and_error([factor * row[name] for row in last])
        mark = "✓" if agrees(paper, mean, len(last)) else "✗"
        columns.append(f"{spelt(*mean, digits=2 if name == 'reverse_kl' else 1)} {mark}")
    share = mean_and_error([row["smallest_share"] for row in last])
    return " | ".join([*columns, spelt(*share, digits=3)])


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────

ORDER = [Cell(data, method, seed) for method in METHODS for data in PUBLISHED for seed in range(10)]


def timings(seconds: float = 20.0) -> None:
    """Milliseconds of CPU per step and seed, alone, and with seeds stacked."""
    from sparring.train.ensemble import Streams, together

    for method, m in METHODS.items():
        for members in (1, 2, 5):
            config, seeds = configured(m), tuple(range(members))
            games = [seeded(seed, lambda c=config: Published.build(c, SPACE)) for seed in seeds]
            streams = [Packs("ring", m, seed) for seed in seeds]
            engine = Engine(torch.device("cpu"))
            if members == 1:
                match = Match(games[0], streams[0], engine, config, seed=0, horizon=STEPS * config.batch)
            else:
                match = Match(
                    together(games), Streams(streams), engine, config, seed=seeds, horizon=STEPS * config.batch
                )
            for _ in range(10):
                match.step()
            began, steps = time.process_time(), 0
            while time.process_time() - began < seconds:
                match.step()
                steps += 1
            each = 1e3 * (time.process_time() - began) / steps / members
            print(f"{method}, {members} seeds: {each:.2f} ms CPU per step and seed", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", help="such as ring-gan-0; all of them by default, in order")
    parser.add_argument("--hours", type=float, default=2.0, help="how long at most; the next call goes on")
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--time", action="store_true", help="measure the time per step")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    until = time.monotonic() + 3600 * arguments.hours
    if arguments.time:
        return timings()
    if not arguments.table:
        for cell in [Cell.named(name) for name in arguments.cells] or ORDER:
            if time.monotonic() < until and not finished("pacgan", cell.name):
                play(cell, until)
    print(table())
    return None


if __name__ == "__main__":
    main()
