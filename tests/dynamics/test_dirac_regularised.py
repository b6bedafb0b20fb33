"""The rest of the table of Mescheder et al. 2018: WGAN-GP, instance noise, five moves of D.

Each game is the recipe `gan` with other settings (or noise), played by `Match` as every run is. Consensus is a turn,
and has its laws in `test_dirac_turns`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.dirac import Cell, Dirac, expected, match, played, where

from sparring.losses.smoothing import instance_noise
from sparring.train.game import Now
from sparring.types import Batch, Shared, Terms

ALTERNATING, SIMULTANEOUS = "D:1,G:1", "simultaneous"
PLAYS = [ALTERNATING, SIMULTANEOUS]
OBJECTIVES = ["minimax", "nonsaturating", "wasserstein"]
SIGMA = 0.7


def sigmoid(s: np.ndarray | float) -> np.ndarray | float:
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(s)))


class Noisy(Dirac):
    """Everything that D sees carries noise of standard deviation 0.7; what was drawn is kept for NumPy."""

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        x = instance_noise(batch.x, now.chance("real noise"), SIGMA)
        fake = instance_noise(self.decode(self.latents(now.chance("z"))), now.chance("fake noise"), SIGMA)
        self.drawn = getattr(self, "drawn", [])
        self.drawn.append([(x - batch.x).numpy().ravel(), (fake - self.G.theta).detach().numpy().ravel()])
        if player == "G":
            return self.objective.generator(None, self.D(fake))
        return self.objective.discriminator(self.D(x), self.D(fake.detach()))


# ── the same from the equations ───────────────────────────────────────────────────────────────────────────────────

Slopes = Callable[[float, float], tuple[float, float]]
"""(θ, ψ) → (∂/∂ψ of what D lowers, ∂/∂θ of what G lowers)."""


def weights_of(objective: str, a: float) -> tuple[float, float]:
    """dL_D/da and dL_G/da at a = ψθ."""
    up, down = float(sigmoid(a)), float(sigmoid(-a))
    return {
        "minimax": (up, -up),
        "nonsaturating": (up, -down),
        "wasserstein": (1.0, -1.0),
    }[objective]


def plain(objective: str) -> Slopes:
    def slopes(theta: float, psi: float) -> tuple[float, float]:
        d, g = weights_of(objective, psi * theta)
        return d * theta, g * psi

    return slopes


def with_gradient_penalty(objective: str, weight: float) -> Slopes:
    def slopes(theta: float, psi: float) -> tuple[float, float]:
        d, g = plain(objective)(theta, psi)
        return d + 2 * weight * (abs(psi) - 1) * math.copysign(1.0, psi), g

    return slopes


def path(slopes: Slopes, play: str, step: float, rounds: int, start: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    theta, psi = start
    points = [start]
    moves = 1 if play == SIMULTANEOUS else int(play.split(",")[0].split(":")[1])
    for _ in range(rounds):
        if play == SIMULTANEOUS:
            d, g = slopes(theta, psi)
            theta, psi = theta - step * g, psi - step * d
        else:
            for _ in range(moves):
                psi -= step * slopes(theta, psi)[0]
            theta -= step * slopes(theta, psi)[1]
        points.append((theta, psi))
    return np.array(points)


def library(kind: type[Dirac], cell: Cell, rounds: int) -> np.ndarray:
    game = match(cell, kind=kind)
    points = [where(game)]
    for _ in range(rounds):
        game.step()
        points.append(where(game))
    return np.array(points)


# ── WGAN-GP ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("play", [*PLAYS, "D:5,G:1"])
def test_wgan_gp_does_not_converge(play: str) -> None:
    """The penalty holds |ψ| near 1, so θ passes its goal with speed: no convergence, whoever moves when."""
    start = (1.1, 0.9)
    truth = path(with_gradient_penalty("wasserstein", 0.3), play, 0.2, 500, start)
    ours = library(Dirac, Cell("wasserstein", play, step=0.2, start=start, penalty="gp", slope=0.3), 30)
    np.testing.assert_allclose(ours, truth[:31], rtol=1e-6, atol=1e-6)  # λ = 0.3 is rounded to float32
    assert np.linalg.norm(truth[250:], axis=1).min() > 0.5
    assert np.abs(truth[250:, 1]).max() > 1.0  # and D's slope never rests either


@pytest.mark.parametrize("play", [*PLAYS, "D:5,G:1"])
def test_a_strong_gradient_penalty_stops_at_a_wrong_place(play: str) -> None:
    """Within |θ| ≤ 2λ the kink of (|ψ| − 1)² at ψ = 0 holds D; with λ = 1 the game ends at |θ| = 2λ, not at 0."""
    start = (1.1, 0.9)
    truth = path(with_gradient_penalty("wasserstein", 1.0), play, 0.1, 500, start)
    ours = library(Dirac, Cell("wasserstein", play, step=0.1, start=start, penalty="gp", slope=1.0), 30)
    np.testing.assert_allclose(ours, truth[:31], rtol=1e-9, atol=1e-9)
    assert np.abs(truth[-1]).tolist() == pytest.approx([2.0, 0.0], abs=1e-4)


def test_wgan_gp_is_not_stationary_at_the_equilibrium() -> None:
    """At θ = 0 the critic's best is |ψ| = 1, not 0: D's slope there is −2λ, so the equilibrium is no fixed point."""
    cell = Cell("wasserstein", SIMULTANEOUS, step=0.1, start=(0.0, 1e-6), penalty="gp", slope=1.0)
    after = library(Dirac, cell, 1)[1]
    assert after[1] == pytest.approx(0.2, abs=1e-4)
    resting = library(Dirac, replace(cell, start=(0.0, 1.0)), 1)[1]
    assert resting.tolist() == pytest.approx([0.1, 1.0], abs=1e-6)  # and there G moves away


# ── instance noise ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("play", PLAYS)
@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_instance_noise_step_by_step(objective: str, play: str) -> None:
    """The library's path equals NumPy's under the same noise, in every turn."""
    game = match(Cell(objective, play, step=0.2), kind=Noisy)
    theta, psi = where(game)
    for _ in range(30):
        game.step()
        (real, fake), (_, fake_g) = game.game.drawn[-2:]
        slope = np.mean(-sigmoid(-psi * real) * real + sigmoid(psi * (theta + fake)) * (theta + fake))
        seen = psi if play == SIMULTANEOUS else psi - 0.2 * slope
        outer = -sigmoid(seen * (theta + fake_g)) if objective == "minimax" else -sigmoid(-seen * (theta + fake_g))
        theta, psi = theta - 0.2 * np.mean(outer) * seen, psi - 0.2 * slope
        np.testing.assert_allclose(where(game), (theta, psi), rtol=1e-6, atol=1e-7)  # noise is rounded to float32


def averaged_noise(objective: str) -> Slopes:
    """Slopes averaged over the noise by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    e, weights = SIGMA * nodes, weights / weights.sum()

    def slopes(theta: float, psi: float) -> tuple[float, float]:
        x = theta + e
        outer = -sigmoid(psi * x) if objective == "minimax" else -sigmoid(-psi * x)
        d = np.sum(weights * (-sigmoid(-psi * e) * e + sigmoid(psi * x) * x))
        return float(d), float(np.sum(weights * outer) * psi)

    return slopes


@pytest.mark.parametrize("play", PLAYS)
@pytest.mark.parametrize("objective", ["minimax", "nonsaturating"])
def test_instance_noise_converges(objective: str, play: str) -> None:
    """On average over the noise the game spirals in; the library with 4000 samples a round follows."""
    truth = path(averaged_noise(objective), play, 0.2, 500)
    norms = np.linalg.norm(truth, axis=1)
    assert norms[-1] < 1e-3 and norms[-1] < norms[250] / 4
    game = match(Cell(objective, play, step=0.2), kind=Noisy, batch=4000)
    ours = [where(game)]
    for _ in range(60):
        game.step()
        ours.append(where(game))
    assert np.abs(np.array(ours) - truth[:61]).max() < 0.05


def test_instance_noise_eigenvalues() -> None:
    """At (0, 0): −σ²/4 ± √(σ⁴/16 − ¼), as of R1 with γ = σ²/2: noise is a penalty (Roth et al. 2017)."""
    small, slopes = 1e-5, averaged_noise("minimax")
    columns = [
        (np.array(slopes(*start)) - np.array(slopes(*(-np.array(start))))) / (2 * small)
        for start in ((small, 0.0), (0.0, small))
    ]
    (d_theta, g_theta), (d_psi, g_psi) = columns
    flow = -np.array([[g_theta, g_psi], [d_theta, d_psi]])
    root = np.sqrt(complex(SIGMA**4 / 16 - 0.25))
    wanted = np.array([-(SIGMA**2) / 4 - root, -(SIGMA**2) / 4 + root])
    got = np.linalg.eigvals(flow)
    np.testing.assert_allclose(got[np.argsort(got.imag)], wanted[np.argsort(wanted.imag)], atol=1e-8)


# ── five moves of D ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("gamma", "verdict"), [(0.0, "no convergence"), (0.3, "converges"), (1.0, "converges")])
@pytest.mark.parametrize("objective", ["minimax", "nonsaturating", "wasserstein", "relativistic"])
def test_five_moves_of_the_discriminator(objective: str, gamma: float, verdict: str) -> None:
    """More moves of D do not make a game converge that does not; a penalty does."""
    cell = Cell(objective, "D:5,G:1", gamma, step=0.2)
    truth = expected(cell, 500)
    np.testing.assert_allclose(played(cell, 20), truth[:21], rtol=1e-6, atol=1e-7)
    norms = np.linalg.norm(truth, axis=1)
    if verdict == "converges":
        assert norms[-1] < 0.02 and norms[-1] < norms[250] / 4
    else:
        assert norms[-1] > 0.1
        area = np.abs(np.linalg.det(jacobian_of_five(objective)))
        assert area == pytest.approx(1.0, abs=1e-8)


def jacobian_of_five(objective: str) -> np.ndarray:
    small, columns = 1e-5, []
    for start in ((small, 0.0), (0.0, small)):
        one = played(Cell(objective, "D:5,G:1", step=0.2, start=start), 1)[1]
        two = played(Cell(objective, "D:5,G:1", step=0.2, start=(-start[0], -start[1])), 1)[1]
        columns.append((one - two) / (2 * small))
    return np.stack(columns, axis=1)
