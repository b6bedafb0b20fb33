"""The figures of the notes: laws on the numbers behind them, and that the command writes what it promises."""

import base64
import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tests.dynamics import dirac as equations
from tests.report.reader import Reader

from sparring.chance import Dice
from sparring.cli import main
from sparring.errors import UsageError
from sparring.losses import divergences
from sparring.losses.f_gan import F_DIVERGENCES
from sparring.recipes.gan import GANConfig
from sparring.report.figures import (
    DRAWINGS,
    collapse,
    costs,
    dirac,
    equilibrium,
    family,
    joined,
    play,
    two_modes,
    write,
)  # fmt: skip
from sparring.report.figures.write import chosen

CHEAP = ["cross-entropy", "generator-costs", "f-divergences", "five-atoms"]


# ── costs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_halves_are_cross_entropy():
    d = np.linspace(0.001, 0.999, 201)
    real, fake = costs.halves(d)
    np.testing.assert_allclose(real, -np.log(d), rtol=1e-12)
    np.testing.assert_allclose(fake, -np.log1p(-d), rtol=1e-12)
    np.testing.assert_allclose(real, fake[::-1], rtol=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_the_best_d_is_the_share_of_reals(share):
    d = np.linspace(0.0005, 0.9995, 1999)
    value = costs.values(d, share)
    assert d[value.argmax()] == pytest.approx(share, abs=1e-3)
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert value.max() == pytest.approx(-2 * entropy, abs=1e-6)
    assert value.max() >= -math.log(4) - 1e-9


def test_the_costs_of_g_meet_where_d_guesses():
    """At D = ½ all slopes are −½; minimax and non-saturating are mirror images; where D rejects two of them rest."""
    for name in costs.COSTS:
        assert costs.costs(name, np.zeros(1))[1][0] == pytest.approx(-0.5, abs=1e-12)
    s = np.linspace(-6, 6, 13)
    cost, slope = costs.costs("minimax", s)
    other, other_slope = costs.costs("nonsaturating", s)
    np.testing.assert_allclose(cost, -other[::-1], rtol=1e-12)
    np.testing.assert_allclose(slope, other_slope[::-1], rtol=1e-12)
    low = np.array([-8.0])
    assert all(-1e-3 < costs.costs(name, low)[1][0] < 0 for name in ("minimax", "maximum_likelihood"))
    assert costs.costs("nonsaturating", low)[1][0] == pytest.approx(-1, abs=1e-3)


def test_minimax_and_maximum_likelihood_cross_where_their_costs_agree():
    """log(1 − D) = −½ D/(1 − D) at D = 0.7153…, where the curves of the tutorial cross, and at 0."""
    d = np.linspace(0.5, 0.9, 4001)
    s = np.log(d / (1 - d))
    gap = costs.costs("minimax", s)[0] - costs.costs("maximum_likelihood", s)[0]
    (place,) = np.flatnonzero(np.diff(np.sign(gap)))
    at = d[place]
    assert math.log(1 - at) == pytest.approx(-0.5 * at / (1 - at), abs=1e-3)
    assert 0.71 < at < 0.72


# ── two modes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_forward_kl_has_the_moments_of_the_data():
    """Maximum likelihood of a Gaussian: mean and variance of p, whatever the start; the value by another quadrature."""
    for start in two_modes.STARTS:
        found = two_modes.fit("kl", start)
        mean, std = found.path[-1]
        assert mean == pytest.approx(0, abs=2e-3)
        assert std**2 == pytest.approx(np.var(two_modes.MODES) + two_modes.SPREAD**2, rel=2e-3)
        x = np.linspace(-12, 12, 200_001)
        p = np.exp(-0.5 * ((x[:, None] - two_modes.MODES) / two_modes.SPREAD) ** 2).mean(1)
        p /= two_modes.SPREAD * math.sqrt(2 * math.pi)
        log_q = -0.5 * ((x - mean) / std) ** 2 - math.log(std * math.sqrt(2 * math.pi))
        integrand = np.where(p > 1e-300, p * (np.log(np.maximum(p, 1e-300)) - log_q), 0)
        assert found.value == pytest.approx(integrand.sum() * (x[1] - x[0]), abs=1e-6)


def test_reverse_kl_takes_one_mode():
    for start, mode in zip(two_modes.STARTS, two_modes.MODES):
        found = two_modes.fit("reverse_kl", start)
        mean, std = found.path[-1]
        assert mean == pytest.approx(mode, abs=0.01) and std == pytest.approx(two_modes.SPREAD, rel=0.01)
        assert found.value == pytest.approx(math.log(2), abs=2e-3)  # one of two modes is missed


def test_the_landscapes_have_one_valley_and_more():
    means = np.linspace(-3, 3, 13)
    forward, reverse = (two_modes.best_at(name, means) for name in ("kl", "reverse_kl"))
    assert means[forward.argmin()] == 0 and (np.diff(forward[6:]) > 0).all()
    assert abs(means[reverse.argmin()]) == 2 and reverse[6] > reverse.min() + 0.3


# ── the family ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_the_game_reaches_its_divergence(name):
    assert family.value_of(name) == pytest.approx(family.exact(name), abs=1e-9)
    if name == "js":
        assert family.exact(name) == pytest.approx(2 * float(divergences.js(family.P, family.Q)))


@pytest.mark.parametrize("name", family.GAMES)
def test_the_pull_is_that_of_theory(name):
    np.testing.assert_allclose(family.pull(name), family.theory(name), atol=1e-12)
    assert family.pull(name).sum() == pytest.approx(0, abs=1e-12)  # what one atom gains others lose


def test_domains_of_the_conjugates_hold_what_activations_give():
    v = torch.linspace(-4, 4, 41, dtype=torch.float64)
    for name, (low, high) in family.DOMAINS.items():
        t = torch.linspace(low, high, 50, dtype=torch.float64)
        assert F_DIVERGENCES[name].conjugate(t).isfinite().all(), name
        assert F_DIVERGENCES[name].conjugate(F_DIVERGENCES[name].activation(v)).isfinite().all(), name


# ── games ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_members_of_a_figure_are_solo_games():
    settings = {"z": 2, "width": 8, "depth": 1, "batch": 16, "lr": 1e-2, "ema_images": 0, "flip": False}
    config = GANConfig(**settings)
    both = play.match(config, "ring", collapse.law, [3, 4], 20)
    alone = play.match(config, "ring", collapse.law, [4], 20)
    for _ in range(20):
        both.step()
        alone.step()
    torch.testing.assert_close(play.samples(both, 50)[1], play.samples(alone, 50)[0], rtol=1e-4, atol=1e-4)


def test_modes_are_counted_with_a_quarter_of_their_share():
    x = torch.cat([collapse.CENTRES[0].expand(400, 2), collapse.CENTRES[3].expand(375, 2), torch.zeros(200, 2)])
    x = torch.cat([x, collapse.CENTRES[5].expand(25, 2)])  # a quarter of the share would be 31.25
    assert collapse.found(x) == (2, pytest.approx(0.8))


def test_the_ring_is_what_its_counts_assume():
    x = collapse.law(Dice(0, "test", range(4000)))
    assert collapse.found(x)[0] == 8 and collapse.found(x)[1] == pytest.approx(1 - math.exp(-4.5), abs=0.01)


def test_the_run_ends_at_its_equilibrium():
    """D(x) and D(G(z)) are ½ within a hundredth, V is −log 4, G's cost −log 2, and the densities meet."""
    made = equilibrium.run(400)  # of 1,500
    late = slice(-130, None)
    assert made.real[late].mean() == pytest.approx(0.5, abs=0.01)
    assert made.fake[late].mean() == pytest.approx(0.5, abs=0.01)
    assert made.value[late].mean() == pytest.approx(-math.log(4), abs=0.01)
    assert made.cost[late].mean() == pytest.approx(-math.log(2), abs=0.02)
    step = equilibrium.AXIS[1] - equilibrium.AXIS[0]
    p = equilibrium.density(equilibrium.AXIS)
    apart = [0.5 * np.abs(p - made.densities[moment]).sum() * step for moment in (0, 60, 400)]
    assert apart[-1] < 0.15 and apart[-1] < apart[0] / 3
    assert np.abs(made.beliefs[400] - 0.5)[np.abs(equilibrium.AXIS) < 1.8].max() < 0.1


def test_a_running_mean_is_one():
    np.testing.assert_allclose(equilibrium.running(np.arange(5.0), 2), [0, 0.5, 1.5, 2.5, 3.5])


# ── Dirac ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("played", ["simultaneous", "D:1,G:1", "D:5,G:1"])
@pytest.mark.parametrize(("objective", "gamma"), [("minimax", 0.0), ("nonsaturating", 0.5), ("wasserstein", 0.0)])
def test_paths_follow_the_equations(objective, gamma, played):
    game = dirac.match((1.0, 1.0), objective=objective, play=played, penalty="r1", gamma=gamma, lr=0.15)
    truth = equations.expected(equations.Cell(objective, played, gamma, step=0.15), 30)
    np.testing.assert_allclose(dirac.path(game, 30), truth, rtol=1e-9, atol=1e-12)


def test_arrows_are_the_slopes_of_the_value():
    theta, psi = np.meshgrid(np.linspace(-2, 2, 7), np.linspace(-2, 2, 7))
    d_theta, d_psi = dirac.field("minimax", theta, psi)
    small = 1e-6
    up = (dirac.value("minimax", theta, psi + small) - dirac.value("minimax", theta, psi - small)) / (2 * small)
    across = (dirac.value("minimax", theta + small, psi) - dirac.value("minimax", theta - small, psi)) / (2 * small)
    np.testing.assert_allclose(d_psi, up, atol=1e-8)  # D raises V
    np.testing.assert_allclose(d_theta, -across, atol=1e-8)  # G lowers it
    assert dirac.value("minimax", np.zeros(1), np.ones(1))[0] == pytest.approx(-math.log(4))


# ── the files ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_writes_pictures_and_a_page(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["figures", "--out", str(tmp_path), "--only", *CHEAP]) == 0
    files = [f"{name}.png" for name in CHEAP]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in [*files, "index.html"]]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*files, "index.html", "notes.txt"])
    for name in files:
        assert (tmp_path / name).stat().st_size < 120_000
        with Image.open(tmp_path / name) as picture:
            assert picture.width == 1230
    source = (tmp_path / "index.html").read_text("utf-8")
    reader = Reader()
    reader.feed(source)
    assert not reader.open
    pictures = [attrs["src"] for tag, attrs in reader.tags if tag == "img"]
    assert len(pictures) == len(CHEAP)
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).load()
    for tag, attrs in reader.tags:
        for name in ("src", "href"):
            assert attrs.get(name, "data:").startswith(("data:", "#")), (tag, attrs)
    assert not re.search(r"url\(|@import|https?://", source)
    assert all(DRAWINGS[name].title in " ".join(reader.shown) for name in CHEAP)


def test_the_same_figure_twice_is_the_same_file(tmp_path):
    one, two = (write(tmp_path / name, ["five-atoms"])[0].read_bytes() for name in "ab")
    assert one == two


def test_the_list_names_all(capsys):
    assert main(["figures", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DRAWINGS)


def test_an_unknown_name_finds_its_nearest(tmp_path):
    with pytest.raises(UsageError, match="two-modes"):
        write(tmp_path / "out", ["two-mode"])
    assert not (tmp_path / "out").exists()


def test_an_unknown_figure_is_answered_with_all_names():
    for name, words in (("nonsens", "there are cross-entropy"), ("cross-entropi", "did you mean cross-entropy?"),
                        ("dirac,equilibrium", "with spaces between")):  # fmt: skip
        with pytest.raises(UsageError) as refused:
            chosen([name])
        assert words in str(refused.value) and "five-atoms" in str(refused.value)
    with pytest.raises(UsageError) as refused:
        chosen(["nonsens"])
    assert "did you mean" not in str(refused.value)


# ── joined ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_batch_norm_makes_two_games_of_joined_and_separate_batches():
    """The first round begins from the same weights; already there D is told other things, and the company counts."""
    separate, together = joined.run(False, 12), joined.run(True, 12)
    for found in (separate, together):
        assert found.real.shape == found.fake.shape == (12,) and found.beside.shape == joined.SHARES.shape
        assert np.all((found.real > 0) & (found.real < 1)) and np.ptp(found.beside) > 0.01
    assert abs(separate.real[0] - together.real[0]) > 1e-4
    assert together.real[-1] - together.fake[-1] > separate.real[-1] - separate.fake[-1]
