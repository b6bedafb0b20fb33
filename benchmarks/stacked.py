"""StackedMNIST, reduced: three digits as the channels of one image, a thousand modes; how many does a game find?

    python -m benchmarks.stacked                           (make bench-stacked)  plays what is missing, then the table
    python -m benchmarks.stacked packing-0 --hours 1                             one cell; goes on where it stopped
    python -m benchmarks.stacked --steps 2000                                    a shorter variant, named so
    python -m benchmarks.stacked --full --device cuda --seeds 0 1 2 3 4 5 6 7 8 9      the published size, on a GPU
    python -m benchmarks.stacked --table                                         only prints what there is

Reduced means: networks of a quarter of the width, 10,000 steps of 64 images where the papers play 100,000 or more. Such
rows are compared among themselves only, never with a published one.

Three games on the same networks (DCGAN topology, 28 px), the same 128,000 triples of training digits, and as many
images: the DCGAN of 2016 (non-saturating, batch normalisation in both players); the same with packs of two (PacGAN);
relativistic pairing with R1 and R2 every step, whose D has no normalisation (its γ 1 → 0.1 and β₂ .9 → .99 as Huang et
al. 2024 set them for this data). All keep an average of G's weights; the measures are those of the average, and
"raw" those of the last weights.

Measures: 26,000 samples, each channel read by a digit classifier that is trained here on MNIST's 60,000 training digits
(its accuracy on the 10,000 test digits is in the results). Modes: how many of the 1,000 triples occur. KL: of their
histogram to the uniform one, in nats. A perfect sampler does not reach 0: 26,000 samples leave (K − 1) / 2N = .019, and
MNIST's digits are not equally many (.004): stacks of real test digits are measured as a row of their own. Nor do modes
alone prove digits: noise has modes too. So the classifier's confidence (mean of its largest probability) and the modes
among triples that it is sure of (each digit at least 0.9) stand beside them.

``--full`` is the protocol of PacGAN's Table 2 (Lin et al. 2018; read in their code, folder stacked_MNIST_experiments,
VEEGAN_experiment) as far as this library's networks are theirs: 28 px, width 64, batch 64 packs, 50 epochs of 128,000
triples = 100,000 steps, Adam 2e-4, β₁ .5, two moves of G for one of D, triples from all 70,000 digits. What differs:
their convolutions are 5 × 5 with a fourth stage, z is uniform there and normal here, both moves of their G reuse D's z,
their packs are drawn with replacement, and their real images lie in [0, 1] while G's lie in [−1, 1] (ours lie in the
same range). It was written on a machine without a GPU and has not been run.
"""

from __future__ import annotations

import argparse
import gzip
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.cells import HERE, advance, finished, found, keep_memory, mean_and_error, spelt
from sparring.chance import Dice, permutation
from sparring.metrics.modes import of_counts
from sparring.runs.recipe import load
from sparring.train.engine import Engine
from sparring.train.game import Game, seeded
from sparring.train.loop import sample_averaged
from sparring.train.match import Match
from sparring.types import Batch, News, Samples, Space

RESULTS = HERE / "results" / "stacked"
SAMPLES, TRIPLES, SURE = 26_000, 128_000, 0.9
SPACE = Space((3, 28, 28))

Judge = Callable[[Tensor], Tensor]
"""Digits (N, 1, 28, 28) in [−1, 1] → probabilities (N, 10)."""


# ── digits and stacks ─────────────────────────────────────────────────────────────────────────────────────────────


def mnist(part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Digits (N, 28, 28) and what they are (N,); part: "train" or "t10k"."""
    folder = Path(os.environ.get("SPARRING_SHARED_DATA", HERE.parents[1] / "shared" / "data")) / "mnist"
    if not folder.is_dir():
        raise SystemExit(f"MNIST is expected in {folder} (idx files, gzipped); set SPARRING_SHARED_DATA")
    images, labels = (
        np.frombuffer(gzip.decompress((folder / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8)
        for kind in ("images-idx3", "labels-idx1")
    )
    return images[16:].reshape(-1, 28, 28).copy(), labels[8:].copy()


class Stacks:
    """`count` triples of digits, drawn once, shuffled anew in every epoch; x: uint8 (N, 3, 28, 28).

    >>> Stacks(np.zeros((5, 28, 28), np.uint8), seed=0, count=10).take(8, 4).x.shape
    torch.Size([4, 3, 28, 28])
    """

    def __init__(self, digits: NDArray[np.uint8], seed: int, count: int = TRIPLES) -> None:
        self.digits, self.seed, self.fingerprint = (
            torch.from_numpy(digits),
            seed,
            f"stacked/{len(digits)}/{seed}/{count}",
        )
        self.triples = Dice(seed, "stacked", range(count)).integers(len(digits), 3)  # (count, 3)
        self._epoch, self._order = -1, torch.zeros(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.triples)

    def take(self, start: int, count: int) -> Batch:
        rows = [self._row(k) for k in range(start, start + count)]
        return Batch(self.digits[self.triples[rows]])

    def _row(self, k: int) -> int:
        epoch, place = divmod(k, len(self))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = torch.from_numpy(permutation(self.seed, "order", epoch, len(self)))
        return int(self._order[place])

    def news(self) -> tuple[News, ...]:
        return ()


# ── the judge ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Classifier(nn.Module):
    """Digits (N, 1, 28, 28) in [−1, 1] → logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 25, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


def scaled(digits: NDArray[np.uint8]) -> Tensor:
    """(N, 28, 28) uint8 → (N, 1, 28, 28) in [−1, 1]."""
    return torch.from_numpy(digits).float().div_(127.5).sub_(1.0).unsqueeze(1)


def trained(device: torch.device, passes: int = 5, batch: int = 128) -> Classifier:
    """A classifier of the training digits; Adam with one cycle of the learning rate."""
    digits, labels = mnist("train")
    x, y = scaled(digits), torch.from_numpy(labels).long()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Classifier().to(device)
        adam = torch.optim.Adam(net.parameters(), 1e-3)
        steps = passes * len(x) // batch
        for step in range(steps):
            rows = torch.randint(len(x), (batch,))
            for group in adam.param_groups:
                group["lr"] = 2e-3 * min(1.0, 10 * step / steps) * (1 - step / steps)
            adam.zero_grad()
            nn.functional.cross_entropy(net(x[rows].to(device)), y[rows].to(device)).backward()
            adam.step()
    return net.eval()


@torch.no_grad()
def judge(device: torch.device) -> tuple[Judge, float]:
    """The classifier (trained once, then kept in benchmarks/state) and the share of test digits it is right about."""
    kept = HERE / "state" / "stacked" / "classifier.safetensors"
    net = Classifier().to(device).eval()
    if kept.exists():
        net.load_state_dict(load_file(kept))
    else:
        with torch.enable_grad():
            net = trained(device)
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.cpu() for name, tensor in net.state_dict().items()}, kept)

    @torch.no_grad()
    def probabilities(x: Tensor) -> Tensor:
        return torch.cat([net(piece.to(device)).softmax(1).cpu() for piece in x.split(1000)])

    digits, labels = mnist("t10k")
    right = (probabilities(scaled(digits)).argmax(1) == torch.from_numpy(labels)).float().mean()
    if right < 0.99:
        raise SystemExit(f"the classifier is right about {right:.2%} of the test digits, and 99 % are needed to judge")
    return probabilities, round(float(right), 4)


def read(stacks: Tensor, probabilities: Judge) -> dict[str, Any]:
    """The measures of stacks (N, 3, 28, 28) in [−1, 1].

    >>> def by_brightness(x):
    ...     return nn.functional.one_hot(((x.mean((1, 2, 3)) + 1) * 4.5).round().long(), 10).float()
    >>> levels = torch.tensor([[0, 0, 1], [0, 0, 1], [9, 9, 9]]) / 4.5 - 1
    >>> read(levels.view(3, 3, 1, 1).expand(3, 3, 28, 28), by_brightness)["modes"]
    2
    """
    best, which = probabilities(stacks.reshape(-1, 1, 28, 28)).max(1)
    triples = (which.view(-1, 3) * torch.tensor([100, 10, 1])).sum(1)
    sure = best.view(-1, 3).min(1).values >= SURE
    row = of_counts(torch.bincount(triples, minlength=1000).numpy(), len(stacks))
    return {
        "modes": row.modes, "kl": round(row.reverse_kl, 4), "confidence": round(float(best.mean()), 4),
        "sure": round(float(sure.float().mean()), 4), "modes_sure": int(triples[sure].unique().numel()),
        "digits": [round(n / len(which), 4) for n in torch.bincount(which, minlength=10).tolist()],
    }  # fmt: skip


def floor(labels: NDArray[np.uint8], samples: int = SAMPLES) -> float:
    """What the KL of a perfect sampler of triples of such digits is about: (K − 1) / 2N, and three times the divergence
    of the digits' frequencies from equal ones.

    >>> round(floor(np.arange(10).astype(np.uint8)), 4)
    0.0192
    """
    q = np.bincount(labels, minlength=10) / len(labels)
    return float(999 / (2 * samples) + 3 * np.sum(q * np.log(10 * q)))


# ── the games ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Size:
    """How much is played: reduced, short (reduced with fewer steps), or full."""

    title: str
    width: int
    steps: int
    play: str = "D:1,G:1"
    everyone: bool = False  # triples from the test digits too, as published

    @classmethod
    def of(cls, full: bool, steps: int | None) -> Size:
        if full:
            return cls("full", 64, 100_000, "D:1,G:2", everyone=True)
        return cls("reduced", 16, 10_000) if steps in (None, 10_000) else cls(f"short{steps}", 16, steps)


def built(method: str, size: Size) -> tuple[Game, Any]:
    """The game and its settings. Packs are as many as images elsewhere only at full size, as published; at the reduced
    size all methods see 64 images per step."""
    common = [f"width={size.width}", "lr=2e-4", "flip=false", "z=100"]
    if method == "relativistic":
        recipe = load("r3gan", [
            *common, f"d_width={size.width}", "batch=64", "generator=dcgan", "generator_norm=batch",
            "discriminator=dcgan", "augment=0", "penalty=r1+r2", "gamma=1 -> 0.1 cosine 0..0.2", "beta1=0",
            "beta2=0.9 -> 0.99 cosine 0..0.2",
        ])  # fmt: skip
    else:
        m = {"dcgan": 1, "packing": 2, "packing3": 3, "packing4": 4}[method]
        batch = 64 * m if size.title == "full" else 64
        recipe = load("dcgan", [*common, f"batch={batch}", f"packing={m}", f"play={size.play}", "penalty=none"])
    return recipe.game.build(recipe.config, SPACE), recipe.config


METHODS = ("dcgan", "packing", "relativistic")


def play(method: str, seed: int, size: Size, device: torch.device, until: float) -> None:
    """Go on with a cell until it is finished or the clock says `until`."""
    game, config = seeded(seed, lambda: built(method, size))
    digits = np.concatenate([mnist(part)[0] for part in ("train", "t10k")[: 1 + size.everyone]])
    engine = Engine(device)
    images = size.steps * config.batch * (2 if "G:2" in config.play else 1)  # a second move takes a batch of its own
    match = Match(game, Stacks(digits, seed), engine, config, seed=seed, horizon=images)
    probabilities, right = judge(device)
    name = f"{size.title}-{method}-{seed}"

    def measured() -> dict[str, Any]:
        average = read(sample_averaged(match, SAMPLES), probabilities)
        return {"steps": match.round, **average, "raw": read(raw(match, seed), probabilities)}

    options = (
        " --full --device cuda" if size.title == "full" else f" --steps {size.steps}" if "short" in size.title else ""
    )
    about = {"size": size.title, "method": method, "seed": seed, "width": size.width, "images_per_step": config.batch,
             "parameters": {who: sum(p.numel() for p in p_.parameters()) for who, p_ in game.players.items()},
             "samples": SAMPLES, "classifier_on_test_digits": right, "device": str(device),
             "command": f"python -m benchmarks.stacked {method}-{seed}{options}"}  # fmt: skip
    advance(name, match, about, folder="stacked", steps=size.steps, every=max(1, size.steps // 2), until=until,
            measured=measured, described=described, cheap=False)  # fmt: skip


@torch.no_grad()
def raw(match: Match, seed: int) -> Tensor:
    """Samples by the last weights, in eval mode, on the CPU."""
    game = match.game
    assert isinstance(game, Samples)
    modes = [(module, module.training) for module in game.modules()]
    game.eval()
    dice = [Dice(seed, "sample", range(i, min(i + 500, SAMPLES)), (), match.engine.device)
            for i in range(0, SAMPLES, 500)]  # fmt: skip
    pieces = torch.cat([game.sample(d).float().cpu() for d in dice])
    for module, mode in modes:
        module.training = mode
    return pieces


def described(cell: dict[str, Any]) -> str:
    """Where a cell stands, in a few words."""
    last = cell["measures"][-1]
    return (
        f"after {cell['steps']:,} of {cell['of']:,} steps: {last['modes']} modes ({last['modes_sure']} surely), KL "
        f"{last['kl']:.3f}, confidence {last['confidence']:.3f}"
    )


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


def references(device: torch.device) -> list[str]:
    """Rows of what is no generator: real digits, and noise."""
    probabilities, right = judge(device)
    digits = mnist("t10k")[0]
    real = scaled(digits)[Dice(1, "stacked/real", range(SAMPLES)).integers(len(digits), 3)].squeeze(2)
    noise = 2 * Dice(1, "stacked/noise", range(SAMPLES)).uniform(3, 28, 28) - 1
    lines = [f"The classifier is right about {right:.2%} of the test digits; a perfect sampler's KL is about "
             f"{floor(mnist('train')[1]):.4f}.", "", "| size | method | modes | surely | KL | confidence | seeds |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, stacks in (("real test digits", real), ("noise", noise)):
        row = read(stacks, probabilities)
        lines.append(
            f"| | {name} | {row['modes']} | {row['modes_sure']} | {row['kl']:.4f} | {row['confidence']:.3f} | |"
        )
    return lines


def table(results: Path = RESULTS) -> list[str]:
    """A row for each size and method from its finished cells; below, what is unfinished or failed."""
    cells = found(results)
    lines = []
    for size, method in dict.fromkeys((c["size"], c["method"]) for c in cells):
        last = [c["measures"][-1] for c in cells if (c["size"], c["method"]) == (size, method) and c["finished"]]
        if last:
            digits = {"modes": 1, "modes_sure": 1, "kl": 3, "confidence": 3}
            columns = [spelt(*mean_and_error([row[name] for row in last]), d) for name, d in digits.items()]
            lines.append(f"| {size} | {method} | {' | '.join(columns)} | {len(last)} |")
    rest = [f"- {c['cell']} (no row of the table): {c.get('failed', 'unfinished')}, {described(c)}"
            for c in cells if not c["finished"]]  # fmt: skip
    return [*lines, "", *rest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", help=f"such as packing-0; by default {', '.join(METHODS)} of each seed")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--steps", type=int, help="fewer steps than 10,000: a short variant")
    parser.add_argument("--full", action="store_true", help="the published size; meant for a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hours", type=float, default=math.inf, help="how long at most; the next call goes on")
    parser.add_argument("--table", action="store_true", help="print what there is")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    until, device = time.monotonic() + 3600 * arguments.hours, torch.device(arguments.device)
    size = Size.of(arguments.full, arguments.steps)
    if not arguments.table:
        methods = [*METHODS, "packing3", "packing4"] if arguments.full else METHODS
        for cell in arguments.cells or [f"{method}-{seed}" for seed in arguments.seeds for method in methods]:
            method, _, seed = cell.rpartition("-")
            if time.monotonic() < until and not finished("stacked", f"{size.title}-{cell}"):
                play(method, int(seed), size, device, until)
    print("\n".join([*references(device), *table()]))


if __name__ == "__main__":
    main()
