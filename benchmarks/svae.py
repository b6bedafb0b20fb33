"""Table 1 of "Hyperspherical Variational Auto-Encoders" (Davidson et al. 2018): MNIST, a Gaussian latent space against
a sphere, in 2, 5, 10, 20 and 40 dimensions.

    python -m benchmarks.svae                          (make bench-svae)  trains what is missing, then the table
    python -m benchmarks.svae --cells sphere-2 normal-2 --hours 2         some cells; each goes on where it stopped
    python -m benchmarks.svae --epochs 60 --cells sphere-2                a shorter schedule, named so
    python -m benchmarks.svae --theirs --cells normal-2                   initialised as the authors' program does it
    python -m benchmarks.svae --device cuda --seeds 0 1 2 3 4 5 6 7 8 9   the ten runs of the paper on a GPU
    python -m benchmarks.svae --table                                     only prints what there is
    python -m benchmarks.svae --measure --cells sphere-2                  measures finished cells anew
    python -m benchmarks.svae --pictures                                  draws the latent spaces of two dimensions

A cell is a model and d; its seeds are trained at once as one ensemble (`train.ensemble`), and a file under
benchmarks/results/svae says how far it is. Of a sphere, d is the dimension of the surface: "sphere-2" is S² in R³.

Protocol (paper, section 5.2 and appendix; the parts marked † from re-implementations of it): images are made black and
white anew each time they are shown; encoder 784-256-128, decoder 128-256-784, ReLU; Bernoulli; Adam 1e-3, batches of
64; the KL's weight rises from 0 to 1 over the first 100 epochs †; training ends when the ELBO of validation images has
not risen for 50 epochs †, 500 at most; log-likelihood by 500 importance samples on the 10,000 test images.

What is ours: 55,000 images to train on and 5,000 to validate, 3 runs (10 there), He's initialisation. With --theirs
it is Glorot's (the default of TensorFlow, that the authors use), and N's posterior has the scale softplus(·).
Shorter schedules (--epochs) squeeze the warm-up to a fifth and lower the step size to 0 over their second half: so each
file says which schedule it had, and the table shows it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.cells import HERE, keep_memory, mean_and_error, spelt
from benchmarks.speed.machine import describe
from benchmarks.stacked import mnist
from sparring.autoencoder import Autoencoder
from sparring.recipes.svae import SVAE, SVAEConfig
from sparring.recipes.vae import VAE, Normal, VAEConfig
from sparring.train import ensemble
from sparring.train.checkpoint import Store
from sparring.train.game import seeded
from sparring.types import Space

RESULTS, PAGE = HERE / "results" / "svae", HERE.parent / "docs" / "systems" / "svae.md"
BEGIN, END = "<!-- table: python -m benchmarks.svae --table -->", "<!-- end of the table -->"
DIMENSIONS, BATCH, RATE, TRAIN, SAMPLES = (2, 5, 10, 20, 40), 64, 1e-3, 55_000, 500
LONGEST, WARM, PATIENCE = 500, 100, 50
SPACE = Space((1, 28, 28))
FEW = 10
"""Importance samples with which log-likelihood lies above the ELBO by about as much as in the paper's table."""
SAVE_SECONDS = 120.0
NEVER = -1e9

PUBLISHED: dict[str, tuple[float, float, float, float, float]] = {
    "normal-2": (-135.73, 0.83, -137.08, -129.84, 7.24),
    "normal-5": (-110.21, 0.21, -112.98, -100.16, 12.82),
    "normal-10": (-93.84, 0.30, -98.36, -78.93, 19.44),
    "normal-20": (-88.90, 0.26, -94.79, -71.29, 23.50),
    "normal-40": (-88.93, 0.30, -94.91, -71.14, 23.77),
    "sphere-2": (-132.50, 0.73, -133.72, -126.43, 7.28),
    "sphere-5": (-108.43, 0.09, -111.19, -97.84, 13.35),
    "sphere-10": (-93.16, 0.31, -97.70, -77.03, 20.67),
    "sphere-20": (-89.02, 0.31, -96.15, -67.65, 28.50),
    "sphere-40": (-90.87, 0.34, -101.26, -67.75, 33.50),
}
"""log-likelihood, its spread, ELBO, reconstruction, KL: table 1 of arXiv:1804.00891 (N-VAE and S-VAE), the means as
they are reprinted by a re-implementation (HVAE), the spreads of all but d = 10 from memory."""
CELLS = tuple(f"{model}-{d}" for d in DIMENSIONS for model in ("normal", "sphere"))


# ── games ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Softplus(VAE):
    """A Gaussian posterior with the scale softplus(·), in place of exp(·/2)."""

    def posterior(self, heads: Tensor) -> Normal:
        mu, raw = heads.chunk(2, dim=1)
        return Normal(mu, 2 * functional.softplus(raw).log())


def glorot(game: Autoencoder) -> Autoencoder:
    """With weights ~ U(±√(6 / (inputs + outputs))) and biases of 0."""
    for layer in game.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return game


def solo(
    cell: str, seed: int, hidden: tuple[int, ...] = (256, 128), space: Space = SPACE, theirs: bool = False
) -> Autoencoder:
    """The recipe of a cell; theirs: initialised, and its posterior said, as in the authors' program.

    >>> solo("sphere-2", 0).latents(Quick("cpu", 0).of(4)).shape
    torch.Size([4, 3])
    """
    model, d = cell.split("-")
    shared: dict[str, Any] = {"network": "mlp", "hidden": hidden, "decoder": "bernoulli"}
    config = SVAEConfig(sphere=int(d), **shared) if model == "sphere" else VAEConfig(z=int(d), **shared)
    recipe: type[Autoencoder] = SVAE if model == "sphere" else Softplus if theirs else VAE

    def build() -> Autoencoder:
        game: Autoencoder = recipe.build(config, space)
        return glorot(game) if theirs else game

    return seeded(seed, build)  # type: ignore[no-any-return]


class Quick:
    """Dice of `rows` rows out of one generator: a third of the time of counter-based ones, and not theirs to keep."""

    def __init__(self, device: str, *seed: int) -> None:
        entropy = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)
        self.device, self.rows, self.generator = device, 0, torch.Generator(device).manual_seed(entropy)

    def of(self, rows: int) -> Any:
        self.rows = rows
        return self

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.rows, *shape, generator=self.generator, device=self.device)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(self.rows, *shape, generator=self.generator, device=self.device)


class Digits:
    """Images of MNIST that are made black and white anew whenever they are taken.

    images: (N, 784) uint8. A pixel is white with its brightness as probability, to within 2⁻¹⁶.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.bounds = (images.astype(np.float64) * (65535 / 255)).round().astype(np.uint16)

    def __len__(self) -> int:
        return len(self.bounds)

    def take(self, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.bool_]:
        """(n, 784)."""
        chance = np.frombuffer(random.bytes(2 * len(rows) * self.bounds.shape[1]), np.uint16)
        return chance.reshape(len(rows), -1) < self.bounds[rows]


def as_images(white: NDArray[np.bool_], device: str) -> Tensor:
    """(n, 784) → (n, 1, 28, 28) of −1 and 1."""
    return (torch.from_numpy(white).to(device).float() * 2 - 1).view(-1, *SPACE.shape)


def chance(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))


# ── training ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Schedule:
    """epochs: at most.   The published one has 500, a constant step, and stops early; a shorter one lowers the step."""

    epochs: int = LONGEST

    @property
    def published(self) -> bool:
        return self.epochs == LONGEST

    def beta(self, epoch: float) -> float:
        """
        >>> Schedule().beta(50), Schedule(60).beta(6), Schedule(60).beta(30)
        (0.5, 0.5, 1.0)
        """
        return min(1.0, epoch / (WARM if self.published else 0.2 * self.epochs))

    def rate(self, epoch: float) -> float:
        """
        >>> Schedule().rate(499), Schedule(60).rate(45)
        (0.001, 0.0005)
        """
        return RATE if self.published else RATE * min(1.0, 2 * (1 - epoch / self.epochs))


class Training:
    """One cell: the ensemble of its seeds, and of each seed the weights with the best ELBO of validation images."""

    def __init__(
        self, cell: str, seeds: tuple[int, ...], schedule: Schedule, device: str, theirs: bool = False
    ) -> None:
        self.cell, self.seeds, self.schedule, self.device, self.theirs = cell, seeds, schedule, device, theirs
        suffix = ("-theirs" if theirs else "") + ("" if schedule.published else f"-epochs{schedule.epochs}")
        self.name = f"{cell}{suffix}-seeds{'-'.join(map(str, seeds))}"
        images = mnist("train")[0].reshape(-1, 784)
        self.digits, held = Digits(images[:TRAIN]), Digits(images[TRAIN:])
        self.held = as_images(held.take(np.arange(len(held)), chance(99)), device)
        games = [solo(cell, seed, theirs=theirs) for seed in seeds]
        self.stacked = len(games) > 1  # one alone needs no seed axis, and is faster without
        self.game = (ensemble.together(games) if self.stacked else games[0]).to(device)
        self.parameters = dict(self.game.named_parameters())
        self.optimiser = torch.optim.Adam(self.parameters.values(), lr=RATE, fused=True)
        self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.record: dict[str, Any] = {
            "epoch": 0, "best": [NEVER] * len(seeds), "best_epoch": [0] * len(seeds), "cpu": 0.0, "curve": [],
        }  # fmt: skip
        self.store = Store(HERE / "state" / "svae" / self.name)
        if newest := self.store.newest():
            self._load(newest.tensors("weights"), newest.state)

    @property
    def finished(self) -> bool:
        epoch = self.record["epoch"]
        warm = WARM if self.schedule.published else 0
        late = all(epoch - max(best, warm) >= PATIENCE for best in self.record["best_epoch"])
        return epoch >= self.schedule.epochs or (self.schedule.published and late)

    def epoch(self) -> None:
        """One pass through the images, each seed in its own order, and a look at the validation images."""
        began, epoch, members = time.process_time(), self.record["epoch"], len(self.seeds)
        dice = Quick(self.device, 1, epoch, *self.seeds)
        random = [chance(2, seed, epoch) for seed in self.seeds]
        orders = [r.permutation(len(self.digits)) for r in random]
        steps = len(self.digits) // BATCH
        paid = torch.zeros(2, members, device=self.device)
        for step in range(steps):
            at = slice(step * BATCH, (step + 1) * BATCH)
            white = np.concatenate([self.digits.take(o[at], r) for o, r in zip(orders, random)])
            now = epoch + step / steps
            for group in self.optimiser.param_groups:
                group["lr"] = self.schedule.rate(now)
            x = as_images(white, self.device)
            q = self.game.encode(x)
            parts = [log_p(self.game, x, q.draw(dice.of(len(x)))), q.kl().sum(1)]
            loss = self.schedule.beta(now) * parts[1] - parts[0]
            self.optimiser.zero_grad()
            (loss.sum() / BATCH).backward()  # the mean of each member: members share nothing
            self.optimiser.step()
            paid += torch.stack([p.detach().view(members, -1).mean(1) for p in parts])
        self.record["epoch"] = epoch + 1
        self._look(epoch + 1, (paid / steps).tolist())
        self.record["cpu"] += time.process_time() - began

    @torch.no_grad()
    def _look(self, epoch: int, paid: list[list[float]]) -> None:
        dice, members = Quick(self.device, 3, epoch), len(self.seeds)
        found = torch.zeros(members, device=self.device)
        for x in self.held.split(1000):
            x = x.repeat(members, 1, 1, 1)
            found += self.game.log_likelihood(x, dice.of(len(x))).view(members, -1).sum(1)
        elbo = [round(v, 3) for v in (found / len(self.held)).tolist()]
        if not all(map(math.isfinite, elbo)):
            raise SystemExit(f"{self.name} diverged in epoch {epoch}")
        for member, value in enumerate(elbo):
            if self.schedule.beta(epoch) >= 1 and value > self.record["best"][member]:
                self.record["best"][member], self.record["best_epoch"][member] = value, epoch
                for name, p in self.parameters.items():
                    self.of(self.best[name], member).copy_(self.of(p, member))
        mean = [[round(v, 2) for v in part] for part in paid]
        self.record["curve"].append({"epoch": epoch, "validation": elbo, "reconstruction": mean[0], "kl": mean[1]})

    def save(self) -> None:
        weights = {f"best/{name}": t for name, t in self.best.items()}
        for name, p in self.parameters.items():
            weights[f"now/{name}"] = p.detach()
            for key, value in self.optimiser.state[p].items():
                weights[f"{key}/{name}"] = value
        state = {"record": self.record, "seeds": self.seeds}
        self.store.save(self.record["epoch"], {"weights": {k: v.cpu().contiguous() for k, v in weights.items()}}, state)

    def _load(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        if tuple(state["seeds"]) != self.seeds:
            raise SystemExit(f"{self.name} was begun with seeds {state['seeds']}: remove {self.store.directory}")
        self.record = state["record"]
        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(weights[f"now/{name}"])
                self.best[name].copy_(weights[f"best/{name}"])
                kept = {k: weights[f"{k}/{name}"] for k in ("step", "exp_avg", "exp_avg_sq")}
                self.optimiser.state[p] = {k: v if k == "step" else v.to(self.device) for k, v in kept.items()}

    def of(self, tensor: Tensor, member: int) -> Tensor:
        """What belongs to one seed, as a view."""
        return tensor[member] if self.stacked else tensor

    def member(self, index: int) -> Autoencoder:
        """The game of one seed, with the weights that were best."""
        game = solo(self.cell, self.seeds[index], theirs=self.theirs).to(self.device)
        game.load_state_dict({name.replace(".body.", "."): self.of(t, index) for name, t in self.best.items()})
        return game.requires_grad_(False).eval()


# ── what it is measured by ────────────────────────────────────────────────────────────────────────────────────────


def log_p(game: Autoencoder, x: Tensor, z: Tensor) -> Tensor:
    """`game.log_p` of black and white x, (n,), in half the time: Σ t s − log(1 + e^s), t ∈ {0, 1}, s what is said."""
    said = game.say(z)[0].flatten(1)
    white = (x.flatten(1) + 1) / 2
    return (white * said - functional.softplus(said)).sum(1)


def log_weights(game: Autoencoder, x: Tensor, samples: int, dice: Quick) -> Tensor:
    """(samples, n): log p(x | z) + log p(z) − log q(z | x), as `game.log_weight`, each x encoded once."""
    heads = game.M.encoder((x + 1) / 2)  # type: ignore[operator]  # black and white: as `game.encode` shows them
    q = game.posterior(heads.repeat(samples, 1))
    z = q.draw(dice.of(samples * len(x)))
    return (log_p(game, x.repeat(samples, 1, 1, 1), z) + game.log_prior(z) - q.log_density(z)).view(samples, len(x))


@torch.no_grad()
def measured(game: Autoencoder, test: Tensor, samples: int, count: int, seed: int) -> dict[str, float]:
    """Of the test images: ELBO and its parts; log-likelihood by importance samples of the first `count` of them, by
    `samples` for each and by `FEW`.

    Where those are not all, the mean of log-likelihood − ELBO over them is added to the ELBO of all: that difference
    varies far less between images than either.
    """
    device = str(test.device)
    dice, parts = Quick(device, 4, seed), {"reconstruction": [], "kl": []}  # type: ignore[var-annotated]
    for x in test.split(1000):
        found = [game.elbo(x, dice.of(len(x))) for _ in range(5)]
        for name, values in parts.items():
            values.append(torch.stack([part[name] for part in found]).mean(0))
    reconstruction, kl = (torch.cat(values).double() for values in parts.values())
    elbo = reconstruction - kl
    gaps = {"log_likelihood": _bound(game, test[:count], samples, dice) - elbo[:count]}
    gaps["log_likelihood_of_ten"] = _bound(game, test[:count], FEW, dice) - elbo[:count]
    values = {name: elbo.mean() + gap.mean() for name, gap in gaps.items()}
    values |= {"elbo": elbo.mean(), "reconstruction": reconstruction.mean(), "kl": kl.mean()}
    return {name: round(float(v), 3) for name, v in values.items()}


def _bound(game: Autoencoder, images: Tensor, samples: int, dice: Quick) -> Tensor:
    """The importance-weighted bound on log p of each image, (n,) float64; it rises with the number of samples."""
    found = []
    for x in images.split(20 if images.device.type == "cpu" else 400):
        total = torch.full((len(x),), -math.inf, device=x.device, dtype=torch.float64)
        for begin in range(0, samples, 100):
            some = log_weights(game, x, min(100, samples - begin), dice)
            total = torch.logaddexp(total, some.double().logsumexp(0))
        found.append(total - math.log(samples))
    return torch.cat(found)


def test_images(device: str) -> Tensor:
    """(10000, 1, 28, 28), made black and white once: the same for every cell."""
    digits = Digits(mnist("t10k")[0].reshape(-1, 784))
    return as_images(digits.take(np.arange(len(digits)), chance(98)), device)


def keep(training: Training, runs: list[dict[str, float]], samples: int, count: int) -> None:
    """Write what is known of a cell; runs: none while it is not finished."""
    record = training.record
    found = {
        "cell": training.cell, "name": training.name, "finished": bool(runs), "seeds": list(training.seeds),
        "epochs": record["epoch"], "of": training.schedule.epochs, "theirs": training.theirs,
        "best_epoch": record["best_epoch"],
        "protocol": "published" if training.schedule.published else "shorter: step lowered to 0 over the second half",
        "samples": samples, "test_images": count, "runs": runs,
        "cpu_seconds": round(record["cpu"]), "seconds_per_epoch": round(record["cpu"] / max(1, record["epoch"]), 2),
        "command": f"python -m benchmarks.svae{' --theirs' * training.theirs} --cells {training.cell} "
        f"--epochs {training.schedule.epochs} --seeds {' '.join(map(str, training.seeds))} --test-images {count}",
        "device": training.device, "machine": describe(torch.get_num_threads()), "curve": record["curve"],
    }  # fmt: skip
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{training.name}.json").write_text(json.dumps(found) + "\n")


def play(training: Training, until: float, samples: int, count: int) -> None:
    """Go on with a cell until it is finished and measured, or the clock says `until`."""
    saved = time.monotonic()
    while not training.finished and time.monotonic() < until:
        training.epoch()
        late = training.record["curve"][-1]
        print(f"{training.name}: epoch {late['epoch']}, validation {late['validation']}, KL {late['kl']}, "
              f"{training.record['cpu'] / training.record['epoch']:.1f} s per epoch", flush=True)  # fmt: skip
        if time.monotonic() - saved > SAVE_SECONDS:
            training.save()
            saved = time.monotonic()
    training.save()
    measure(training, samples, count)


def measure(training: Training, samples: int, count: int) -> None:
    """Write what is known of a cell, with its measures if it is finished."""
    runs = []
    if training.finished:
        test = test_images(training.device)
        for index, seed in enumerate(training.seeds):
            runs.append({"seed": seed} | measured(training.member(index), test, samples, count, seed))
            print(f"{training.name}: {runs[-1]}", flush=True)
    keep(training, runs, samples, count)


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────


def results(folder: Path = RESULTS) -> dict[tuple[str, int, bool], list[dict[str, Any]]]:
    """(cell, epochs at most, whether as the authors initialise) → its files, those of other seeds side by side."""
    found: dict[tuple[str, int, bool], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        one = json.loads(path.read_text())
        found.setdefault((one["cell"], one["of"], one.get("theirs", False)), []).append(one)
    return found


def row(cell: str, epochs: int, theirs: bool, files: list[dict[str, Any]]) -> str:
    runs = [run for one in files for run in one["runs"]]
    paper = PUBLISHED[cell]
    published = f"{paper[0]:.2f} ± {paper[1]:.2f}", f"{paper[2]:.2f}", f"{paper[3]:.2f}", f"{paper[4]:.2f}"
    model, d = cell.split("-")
    head = f"| {d} | {'S' if model == 'sphere' else 'N'} | {epochs}{', theirs' * theirs} | {len(runs)} |"
    if not runs:
        done = max(one["epochs"] for one in files)
        return f"{head} after {done} epochs: not finished | | | | | {published[0]} | |"
    few = [run["log_likelihood_of_ten"] for run in runs if "log_likelihood_of_ten" in run]
    means = [mean_and_error([run[k] for run in runs]) for k in ("log_likelihood", "elbo", "reconstruction", "kl")]
    by_ten = f"{mean_and_error(few)[0]:.2f}" if few else ""
    ours = " | ".join([spelt(*means[0], 2), by_ten, *(f"{mean:.2f}" for mean, _ in means[1:])])
    apart = [means[0][0] - paper[0], *([mean_and_error(few)[0] - paper[0]] if few else []), means[1][0] - paper[2]]
    return f"{head} {ours} | {' / '.join(published)} | {' / '.join(f'{value:+.2f}' for value in apart)} |"


def table(folder: Path = RESULTS) -> str:
    """What there is, as Markdown: ours; the paper's log-likelihood, ELBO, reconstruction, KL; how far ours are from it
    in log-likelihood by 500 samples, by ten, and in the ELBO; S − N."""
    lines = [
        "| d | model | epochs | runs | log-likelihood | by ten samples | ELBO | reconstruction | KL | paper "
        "| ours − paper |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    found = results(folder)
    order = sorted(found, key=lambda key: (CELLS.index(key[0]), *key[1:]))
    lines += [row(*key, found[key]) for key in order]
    lines += ["", "| d | epochs | S − N | by ten samples | paper |", "|---|---|---|---|---|"]
    for d in DIMENSIONS:
        for epochs, theirs in sorted({key[1:] for key in found}):
            both = [found.get((f"{model}-{d}", epochs, theirs), []) for model in ("sphere", "normal")]
            ours = [_difference(*both, name) for name in ("log_likelihood", "log_likelihood_of_ten")]
            if ours[0]:
                paper = PUBLISHED[f"sphere-{d}"][0] - PUBLISHED[f"normal-{d}"][0]
                lines.append(f"| {d} | {epochs}{', theirs' * theirs} | {ours[0]} | {ours[1]} | {paper:+.2f} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """The page with the tables as they are now."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


def _difference(sphere: list[dict[str, Any]], normal: list[dict[str, Any]], name: str) -> str:
    """S − N of a measure, of the means over runs; "" where one of them lacks it."""
    both = [[run[name] for one in files for run in one["runs"] if name in run] for files in (sphere, normal)]
    return f"{mean_and_error(both[0])[0] - mean_and_error(both[1])[0]:+.2f}" if all(both) else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="*", choices=CELLS, default=CELLS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2], help="trained at once")
    parser.add_argument("--epochs", type=int, default=LONGEST, help="at most; below 500 the schedule is squeezed")
    parser.add_argument("--hours", type=float, default=2.0, help="of one cell in this call")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="importance samples")
    parser.add_argument("--test-images", type=int, default=10_000, help="with importance samples (see `measured`)")
    parser.add_argument("--theirs", action="store_true", help="initialised as in the authors' program")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--measure", action="store_true", help="finished cells anew, from their best weights")
    parser.add_argument("--pictures", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    keep_memory()
    for cell in () if options.table or options.pictures else options.cells:
        training = Training(cell, tuple(options.seeds), Schedule(options.epochs), options.device, options.theirs)
        path = RESULTS / f"{training.name}.json"
        if options.measure:
            measure(training, options.samples, options.test_images)
        elif not path.exists() or not json.loads(path.read_text())["finished"]:
            play(training, time.monotonic() + 3600 * options.hours, options.samples, options.test_images)
    if options.pictures:
        from benchmarks import svae_pictures

        for model in ("normal", "sphere"):
            training = Training(f"{model}-2", tuple(options.seeds), Schedule(options.epochs), "cpu")
            if training.record["epoch"]:
                print(svae_pictures.draw(training))
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
    print(table())


if __name__ == "__main__":
    main()
