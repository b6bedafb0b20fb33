"""Looking at a game from above: the score of every cell, and the field −∇ of what G pays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparring.generate.landscape import ARROWS, CELLS, Reading, View, arrows, lattice, view
from sparring.types import Batch, Criticises, Dice, Landscape


class Hill(Landscape):
    """s(x) = a − ½ |x − c|²; G pays −s: it is pulled to c with the force c − x."""

    def __init__(self, centre: tuple[float, float], top: float = 1.0) -> None:
        self.centre, self.top = torch.tensor(centre), top

    def score(self, x: Tensor) -> Tensor:
        return self.top - 0.5 * (x - self.centre).square().sum(1)

    def pull(self, x: Tensor, real: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(-self.score(x).sum(), x)
        return -gradient


class Pairs(Hill, Criticises):
    """Pays −s(x) + s(real) weighed by the first coordinate of the real point: the field depends on the partner."""

    @property
    def relative(self) -> bool:
        return True

    def logits(self, batch: Batch, dice: Dice) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def pull(self, x: Tensor, real: Tensor) -> Tensor:
        return real[:, :1] * super().pull(x, real)


def _look(game: Landscape, extent: float = 2.0, real: Tensor | None = None) -> View:
    points = torch.zeros(4, 2) if real is None else real
    return view(game, points, points + 1.0, extent)


def test_the_belief_is_that_of_the_cell_it_is_drawn_in() -> None:
    """Row by row from the lowest, x to the right: a hill in the lower right is highest there."""
    seen = _look(Hill((1.0, -1.5)))
    axis = lattice(2.0, CELLS)[:CELLS, 0].numpy()
    row, column = np.unravel_index(seen.belief.argmax(), seen.belief.shape)
    assert abs(axis[column] - 1.0) <= 4.0 / CELLS and abs(axis[row] + 1.5) <= 4.0 / CELLS
    by_hand = 1.0 - 0.5 * ((axis[7] - 1.0) ** 2 + (axis[50] + 1.5) ** 2)
    assert seen.belief[50, 7] == pytest.approx(1 / (1 + math.exp(-by_hand)), rel=1e-5)
    assert seen.shift == 0.0 and seen.belief.shape == (CELLS, CELLS)


def test_the_field_is_minus_the_gradient_of_what_g_pays() -> None:
    seen = _look(Hill((0.3, -0.4)))
    np.testing.assert_allclose(seen.pull, np.array([0.3, -0.4]) - seen.places, atol=1e-6)
    assert seen.places.shape == seen.pull.shape == (ARROWS**2, 2)


def test_a_relativistic_game_is_measured_against_its_median_and_averaged_over_pairs() -> None:
    real = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    seen = _look(Pairs((0.0, 0.0)), real=real)
    everyone = torch.cat([real, real + 1.0])
    assert seen.shift == pytest.approx(float(Hill((0.0, 0.0)).score(everyone).median()))
    raised = _look(Pairs((0.0, 0.0), top=100.0), real=real)
    np.testing.assert_allclose(raised.belief, seen.belief, atol=1e-5, err_msg="a constant added to s changes nothing")
    np.testing.assert_allclose(seen.pull, -2.0 * seen.places, atol=1e-5, err_msg="the mean partner weighs 2")


def test_without_a_scale_the_map_uses_its_colours_and_any_slope_looks_the_same() -> None:
    """σ(gain (s − median)), nine tenths of it within 10 … 90 %; a s + b, a > 0, is the same D."""

    class Straight(Hill):
        def score(self, x: Tensor) -> Tensor:
            return self.top + 1e-3 * x[:, 0]

    points, reading = torch.zeros(4, 2), Reading(None, centred=True)
    seen = view(Straight((0.0, 0.0), top=1.0), points, points, 2.0, reading)
    np.testing.assert_allclose(seen.belief.mean(), 0.5, atol=1e-3)
    assert 0.88 < float(((seen.belief > 0.1) & (seen.belief < 0.9)).mean()) < 0.92
    steep = view(Hill((0.5, 0.0), top=0.0), points, points + 1.0, 2.0, reading)
    lifted = view(Hill((0.5, 0.0), top=9.0), points, points + 1.0, 2.0, reading)
    np.testing.assert_allclose(steep.belief, lifted.belief, atol=1e-5)
    flat = view(Moody().eval(), points, points, 2.0, reading)
    assert (flat.belief == 0.5).all()


class Moody(nn.Module, Landscape):
    """Says something else while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout(0.5)

    def score(self, x: Tensor) -> Tensor:
        return torch.full((len(x),), -3.0 if self.inner.training else 3.0)

    def pull(self, x: Tensor, real: Tensor) -> Tensor:
        return torch.zeros_like(x)


def test_it_looks_in_eval_mode_and_leaves_every_module_as_it_was() -> None:
    game = Moody()
    game.train()
    assert float(_look(game).belief.min()) > 0.9
    assert game.training and game.inner.training
    game.inner.eval()
    _look(game)
    assert game.training and not game.inner.training


def test_arrows_keep_directions_and_compress_strengths() -> None:
    random = np.random.default_rng(0)
    pull = random.normal(size=(500, 2)) * random.lognormal(0, 3, (500, 1))
    drawn = arrows(pull, 0.2)
    length, strength = np.linalg.norm(drawn, axis=1), np.linalg.norm(pull, axis=1)
    assert length.max() <= 0.2 * (1 + 1e-12) and (np.sort(length)[-50:] > 0.2 * (1 - 1e-9)).all()
    np.testing.assert_allclose(drawn / length[:, None], pull / strength[:, None], atol=1e-12)
    weak = strength < np.quantile(strength, 0.9)
    np.testing.assert_allclose((length[weak] / length[weak][0]) ** 2, strength[weak] / strength[weak][0], rtol=1e-9)
    np.testing.assert_allclose(arrows(1e6 * pull, 0.2), drawn, atol=1e-12)


def test_no_arrow_where_there_is_no_force_or_no_number() -> None:
    assert not arrows(np.zeros((3, 2)), 1.0).any()
    mixed = arrows(np.array([[np.nan, 1.0], [np.inf, 0.0], [0.0, 2.0]]), 1.0)
    np.testing.assert_allclose(mixed, [[0, 0], [0, 0], [0, 1]])


def test_the_lattice_is_symmetric_and_even() -> None:
    places = lattice(3.0, 6).numpy()
    np.testing.assert_allclose(places.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.unique(places[:, 0].round(5)), [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
