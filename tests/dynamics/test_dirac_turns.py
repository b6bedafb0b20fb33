"""Turns that look ahead, on the Dirac-GAN: extragradient, consensus and optimism, against NumPy and closed forms.

Everything goes through `Match`, as every run does; NumPy's side is written from the equations of the papers alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.dynamics.dirac import Cell, Dirac, match, where

from sparring.errors import UsageError
from sparring.recipes.gan import GANConfig
from sparring.train.match import Match

OBJECTIVES = ["minimax", "nonsaturating", "wasserstein"]
COUPLING = {"minimax": 0.5, "nonsaturating": 0.5, "wasserstein": 1.0}
"""c: near (0, 0) the game is θ' = cψ, ψ' = −cθ; for the bilinear game everywhere."""
EXACT = {"rtol": 1e-9, "atol": 1e-9}


def game_of(objective: str, play: str, optimiser: str = "sgd", step: float = 0.2, **more: object) -> Match:
    """The Dirac-GAN with this play and optimiser, in float64; `more`: fields of `Cell`."""
    found = match(Cell(objective, play, step=step, **more))  # type: ignore[arg-type]
    if optimiser != "sgd":
        settings = {"beta1": 0.0, "beta2": 0.9}
        config = GANConfig(
            objective=objective, play=play, optimiser=optimiser, lr=step, batch=2, z=1, ema_images=0, flip=False,
            **settings,
        )  # fmt: skip
        found = Match(found.game, found.stream, found.engine, config, seed=0, horizon=10**6)
    return found


def path_of(played: Match, rounds: int) -> np.ndarray:
    points = [where(played)]
    for _ in range(rounds):
        played.step()
        points.append(where(played))
    return np.array(points)


# ── the same from the equations ───────────────────────────────────────────────────────────────────────────────────

Field = Callable[[np.ndarray], np.ndarray]
"""(θ, ψ) → (∂/∂θ of what G lowers, ∂/∂ψ of what D lowers)."""


def sigma(s: float) -> float:
    return 0.5 * (1 + math.tanh(s / 2))


def parts(objective: str, a: float) -> tuple[float, float, float, float]:
    """dL_D/da and dL_G/da at a = ψθ, and their derivatives."""
    up, down = sigma(a), sigma(-a)
    return {
        "minimax": (up, -up, up * down, -up * down),
        "nonsaturating": (up, -down, up * down, up * down),
        "wasserstein": (1.0, -1.0, 0.0, 0.0),
    }[objective]


def field(objective: str) -> Field:
    def v(at: np.ndarray) -> np.ndarray:
        theta, psi = at
        d, g, _, _ = parts(objective, psi * theta)
        return np.array([g * psi, d * theta])

    return v


def with_consensus(objective: str, gamma: float) -> Field:
    """½‖v‖² = ½ (d² θ² + g² ψ²), with d and g functions of a = ψθ."""

    def v(at: np.ndarray) -> np.ndarray:
        theta, psi = at
        d, g, d_slope, g_slope = parts(objective, psi * theta)
        inner = d * d_slope * theta**2 + g * g_slope * psi**2  # ∂(½‖v‖²)/∂a at fixed θ², ψ²
        return np.array(
            [g * psi + gamma * (inner * psi + d**2 * theta), d * theta + gamma * (inner * theta + g**2 * psi)]
        )

    return v


def simultaneous(v: Field, step: float, rounds: int, start: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    points = [np.array(start)]
    for _ in range(rounds):
        points.append(points[-1] - step * v(points[-1]))
    return np.array(points)


def extragradient(v: Field, step: float, rounds: int, start: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Korpelevich 1976: ω ← ω − h v(ω − h v(ω))."""
    points = [np.array(start)]
    for _ in range(rounds):
        points.append(points[-1] - step * v(points[-1] - step * v(points[-1])))
    return np.array(points)


def optimistic(v: Field, step: float, rounds: int, start: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Daskalakis et al. 2018, section 2, from equal first points: ω ← ω − h (2 v(ω) − v(ω′))."""
    points = [np.array(start)]
    last = v(points[0])
    for _ in range(rounds):
        now = v(points[-1])
        points.append(points[-1] - step * (2 * now - last))
        last = now
    return np.array(points)


class NumpyAdam:
    """u of Adam, by Kingma and Ba 2015, algorithm 1."""

    def __init__(self, beta1: float = 0.0, beta2: float = 0.9, eps: float = 1e-8) -> None:
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.m, self.v, self.t = np.zeros(2), np.zeros(2), 0

    def __call__(self, gradient: np.ndarray) -> np.ndarray:
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * gradient
        self.v = self.beta2 * self.v + (1 - self.beta2) * gradient**2
        m, v = self.m / (1 - self.beta1**self.t), self.v / (1 - self.beta2**self.t)
        return m / (np.sqrt(v) + self.eps)


def jacobian(play: str, objective: str = "minimax", step: float = 0.1) -> np.ndarray:
    """Of one round at (0, 0), by differences of the library's own moves."""
    small, columns = 1e-5, []
    for start in ((small, 0.0), (0.0, small)):
        one, two = (
            path_of(game_of(objective, play, step=step, start=s), 1)[1] for s in (start, (-start[0], -start[1]))
        )
        columns.append((one - two) / (2 * small))
    return np.stack(columns, axis=1)


# ── extragradient ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_extragradient_step_by_step(objective: str) -> None:
    """The library's path is NumPy's, and comes home where simultaneous play does not."""
    truth = extragradient(field(objective), 0.4, 800)
    np.testing.assert_allclose(path_of(game_of(objective, "extragradient", step=0.4), 30), truth[:31], **EXACT)
    norms = np.linalg.norm(truth, axis=1)
    assert norms[-1] < 0.02 and norms[-1] < norms[400] / 4
    astray = np.linalg.norm(simultaneous(field(objective), 0.4, 800), axis=1)
    assert astray[400:].min() > 0.5


@pytest.mark.parametrize("step", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_extragradient_multiplier(objective: str, step: float) -> None:
    """λ = 1 − h²c² ± ihc, so |λ|² = 1 − h²c² + h⁴c⁴, which is below 1 for h < 1/c."""
    hc = step * COUPLING[objective]
    values = np.linalg.eigvals(jacobian("extragradient", objective, step))
    found = values[np.argsort(values.imag)]
    np.testing.assert_allclose(found, [1 - hc**2 - 1j * hc, 1 - hc**2 + 1j * hc], atol=1e-8)
    np.testing.assert_allclose(np.abs(found) ** 2, 1 - hc**2 + hc**4, atol=1e-8)
    assert (np.abs(found) < 1).all()
    assert (np.abs(np.linalg.eigvals(jacobian("simultaneous", objective, step))) > 1).all()


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_extra_adam_step_by_step(beta1: float) -> None:
    """Gidel et al. 2019, algorithm 4: both half steps move the moments; the second goes from where the first began."""
    found = game_of("nonsaturating", "extragradient", "adam", 0.05)
    config = GANConfig(**{**vars(found.training), "beta1": beta1})  # type: ignore[arg-type]
    found = Match(found.game, found.stream, found.engine, config, seed=0, horizon=10**6)
    v, u = field("nonsaturating"), NumpyAdam(beta1)
    points = [np.array([1.0, 1.0])]
    for _ in range(30):
        ahead = points[-1] - 0.05 * u(v(points[-1]))
        points.append(points[-1] - 0.05 * u(v(ahead)))
    np.testing.assert_allclose(path_of(found, 30), points, rtol=1e-6, atol=1e-7)
    assert float(found.optimisers["D"].tensors()["count"]) == 60


def test_extragradient_plays_two_batches_a_round() -> None:
    found = game_of("minimax", "extragradient")
    asked: list[tuple[int, int]] = []
    take = found.stream.take
    found.stream.take = lambda start, count: (asked.append((start, count)), take(start, count))[1]  # type: ignore
    found.step()
    found.step()
    assert asked == [(0, 2), (2, 2), (4, 2), (6, 2)]
    assert (found.round, found.drawn, found.images) == (2, 4, 8)


# ── consensus ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("gamma", [0.3, 1.0])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_consensus_step_by_step(objective: str, gamma: float) -> None:
    truth = simultaneous(with_consensus(objective, gamma), 0.2, 800)
    np.testing.assert_allclose(path_of(game_of(objective, f"consensus({gamma})"), 30), truth[:31], rtol=1e-7, atol=1e-8)
    norms = np.linalg.norm(truth, axis=1)
    assert norms[-1] < 0.05 and norms[-1] < norms[400] / 4


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_consensus_eigenvalues(objective: str) -> None:
    """The flow turns with −γc² ± ic: what turns is damped, as much as γ says and for both players alike."""
    step, gamma, c = 0.1, 2.0, COUPLING[objective]
    values = (np.linalg.eigvals(jacobian(f"consensus({gamma})", objective, step)) - 1) / step
    found = values[np.argsort(values.imag)]
    np.testing.assert_allclose(found, [-gamma * c**2 - 1j * c, -gamma * c**2 + 1j * c], atol=1e-7)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_consensus_is_simultaneous_play(objective: str) -> None:
    ours = path_of(game_of(objective, "consensus(0)"), 30)
    assert np.array_equal(ours, path_of(game_of(objective, "simultaneous"), 30))


def test_consensus_feels_the_penalties_too() -> None:
    """v is the gradient of all that is paid: with γ′/2 ψ² in it, ½‖v‖² = ½ ((θ + γ′ψ)² + ψ²) in the bilinear game."""
    g, gamma = 0.5, 1.0

    def v(at: np.ndarray) -> np.ndarray:
        theta, psi = at
        slope = theta + gamma * psi
        return np.array([-psi + g * slope, slope + g * (gamma * slope + psi)])

    found = path_of(game_of("wasserstein", f"consensus({g})", gamma=gamma), 40)
    np.testing.assert_allclose(found, simultaneous(v, 0.2, 40), rtol=1e-7, atol=1e-9)


# ── optimism ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_optimistic_descent_step_by_step(objective: str) -> None:
    """It comes home in simultaneous play, at one gradient per step, where plain descent does not."""
    truth = optimistic(field(objective), 0.3, 1200)
    found = game_of(objective, "simultaneous", "optimistic-sgd", 0.3)
    np.testing.assert_allclose(path_of(found, 30), truth[:31], rtol=1e-7, atol=1e-8)
    norms = np.linalg.norm(truth, axis=1)
    assert norms[-1] < 0.02 and norms[-1] < norms[600] / 4


@pytest.mark.parametrize("hc", [0.1, 0.3, 0.55, 0.6])
def test_optimistic_descent_multiplier(hc: float) -> None:
    """In the bilinear game λ² = (1 − 2ihc) λ + ihc; both roots are inside the circle exactly for h < 1/(√3 c)."""
    roots = np.roots([1, -(1 - 2j * hc), -1j * hc])
    truth = np.abs(roots).max()
    assert (truth < 1) == (hc < 1 / math.sqrt(3))
    found = path_of(game_of("wasserstein", "simultaneous", "optimistic-sgd", hc), 200)
    norms = np.linalg.norm(found, axis=1)
    assert (norms[200] / norms[100]) ** 0.01 == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_optimistic_adam_step_by_step(beta1: float) -> None:
    """Daskalakis et al. 2018, algorithm 1: twice the present direction of Adam, the last one back."""
    found = game_of("nonsaturating", "simultaneous", "optimistic-adam", 0.05)
    config = GANConfig(**{**vars(found.training), "beta1": beta1})  # type: ignore[arg-type]
    found = Match(found.game, found.stream, found.engine, config, seed=0, horizon=10**6)
    v, u = field("nonsaturating"), NumpyAdam(beta1)
    points, last = [np.array([1.0, 1.0])], None
    for _ in range(30):
        now = u(v(points[-1]))
        points.append(points[-1] - 0.05 * (2 * now - (now if last is None else last)))
        last = now
    np.testing.assert_allclose(path_of(found, 30), points, rtol=1e-6, atol=1e-7)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


def test_consensus_needs_players_that_share_nothing() -> None:
    class Sharing(Dirac):
        owner = "G"

    with pytest.raises(UsageError, match="PLAY-CONSENSUS"):
        match(Cell("minimax", "consensus(1)"), kind=Sharing)


def test_looking_ahead_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="both look ahead"):
        GANConfig(play="extragradient", optimiser="optimistic-adam")
