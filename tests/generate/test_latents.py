"""Places in a latent space: the corners are the samples, the way between stays where the generator was trained."""

import pytest
import torch
from tests.generate.games import Toy, Trained
from torch import nn

from sparring.chance import Dice
from sparring.errors import UsageError
from sparring.generate.latents import Spot, latents, mix, plane, powers, show
from sparring.generate.sample import draw
from sparring.priors.paths import slerp
from sparring.types import HasLatents, HasLatentsByClass, HasStyles, Samples, SamplesByClass

LATTICE = [(i / 10, j / 10) for i in range(11) for j in range(11)]


def three(z, scale=1.0):
    return scale * torch.randn(3, z, generator=torch.Generator().manual_seed(z))


class Sphere(Toy):
    def latents(self, dice):
        return nn.functional.normalize(dice.normal(4), dim=1)


class Told(Toy, HasLatentsByClass, SamplesByClass):
    """Adds the class to every pixel."""

    def decode(self, z, label=None):
        label = torch.arange(len(z)) % 3 if label is None else label
        return super().decode(z) + label.float()[:, None, None, None]

    def sample(self, dice, *, truncation=1.0, label=None):
        label = torch.tensor([k % 3 for k in dice.samples]) if label is None else label
        return self.decode(truncation * self.latents(dice), label)


class Styled(Toy, HasStyles):
    """Four layers, each of which makes one channel of a picture of w alone."""

    mean_w = torch.zeros(4)

    def to_w(self, z, *, truncation=1.0):
        return (truncation * z)[:, None].expand(-1, 4, -1)

    def to_styles(self, w):
        return tuple(w.unbind(1))

    def from_w(self, w):
        return w[:, :, :, None]

    def from_styles(self, styles):
        return self.from_w(torch.stack(list(styles), 1))


class Blind(nn.Module, Samples):
    """Samples without latents."""

    def sample(self, dice, *, truncation=1.0):
        return truncation * dice.uniform(1, 4, 4)


@pytest.mark.parametrize("z", [1, 2, 3, 64, 512])
def test_the_corners_of_the_plane_are_the_three_latents(z):
    corners = three(z)
    assert torch.equal(plane(corners, [(0, 0), (1, 0), (0, 1)]), corners)


@pytest.mark.parametrize("z", [3, 10, 64, 512])
def test_the_plane_keeps_the_radius_between_those_of_its_corners(z):
    corners = three(z)
    norms = plane(corners, LATTICE).norm(dim=1)
    least, most = corners.norm(dim=1).min(), corners.norm(dim=1).max()
    assert norms.min() >= least * (1 - 1e-6)
    assert norms.max() <= most * (1 + 1e-6)
    straight = corners[0] + torch.tensor([[0.5, 0.0]]) @ (corners[1:] - corners[0])
    assert z < 64 or straight.norm() < 0.8 * least  # what a straight plane would show instead


@pytest.mark.parametrize("z", [2, 3, 11])
def test_of_a_sphere_the_plane_is_on_the_sphere(z):
    corners = nn.functional.normalize(three(z), dim=1)
    assert torch.allclose(plane(corners, LATTICE).norm(dim=1), torch.ones(len(LATTICE)), atol=1e-6)


def test_its_edges_are_great_circles_and_evenly_walked():
    a, b, c = nn.functional.normalize(three(16), dim=1) * 4
    t = torch.linspace(0, 1, 9)
    for other, places in ((b, [(float(x), 0.0) for x in t]), (c, [(0.0, float(x)) for x in t])):
        along = plane(torch.stack([a, b, c]), places)
        assert torch.allclose(along, slerp(a.expand(9, -1), other.expand(9, -1), t[:, None]), atol=1e-5)
        steps = (along[1:] - along[:-1]).norm(dim=1)
        assert steps.max() < steps.min() * (1 + 1e-3)


def test_the_fourth_corner_continues_what_leads_from_a_to_b_from_c():
    """On orthogonal corners near B + C − A, brought back to the sphere."""
    fourth = plane(torch.eye(8)[:3], [(1, 1)])[0]
    analogy = nn.functional.normalize(torch.tensor([-1.0, 1, 1, 0, 0, 0, 0, 0]), dim=0)
    assert fourth @ analogy > 0.99
    assert fourth.norm() == pytest.approx(1, abs=1e-6)


def test_latents_of_two_dimensions_have_the_plane_itself():
    corners = three(2)
    uv = torch.tensor(LATTICE)
    assert torch.allclose(plane(corners, LATTICE), corners[0] + uv @ (corners[1:] - corners[0]), atol=1e-6)


def test_a_line_and_a_point_are_planes_too():
    a, b, _ = three(32)
    assert torch.equal(plane(torch.stack([a, b]), [(0.3, 0), (0.3, 0.8)])[0], plane(torch.stack([a, b]), [(0.3, 0)])[0])
    pair = plane(torch.stack([a, b]), [(0.3, 0.1), (0.3, 0.8)])
    assert torch.equal(pair[0], pair[1])
    assert torch.allclose(plane(a[None], LATTICE), a.expand(len(LATTICE), -1), atol=1e-6)


def test_the_plane_has_no_jumps():
    corners = three(64)
    fine = plane(corners, [(i / 50, j / 50) for i in range(51) for j in range(51)]).view(51, 51, -1)
    steps = torch.cat(
        [(fine[1:] - fine[:-1]).norm(dim=-1).flatten(), (fine[:, 1:] - fine[:, :-1]).norm(dim=-1).flatten()]
    )
    assert steps.max() < 3.2 / 50 * corners.norm(dim=1).max()  # at most π in one crossing


def test_coinciding_and_opposite_corners_are_no_trouble():
    a = three(8)[0]
    for corners in (torch.stack([a, a, a]), torch.stack([a, -a, a]), torch.zeros(3, 8)):
        assert plane(corners, LATTICE).isfinite().all()
        assert torch.equal(plane(corners, [(1, 0)])[0], corners[1])


@pytest.mark.parametrize("game", [Toy(), Toy(1), Sphere(), Told(), Blind(), Toy(0)])
@pytest.mark.parametrize("seed, number", [(0, 0), (7, 5), (2**62, 63)])
def test_a_spot_is_the_sample_that_sparring_sample_makes(game, seed, number):
    """Alone as in a batch: its latent bit for bit, its picture but for how the products of a batch are rounded."""
    run, spots = Trained(game), [Spot(seed, number)]
    expected = draw(run, number + 1, seed=seed)[number]
    assert torch.allclose(show(run, spots, classes=3)[0], expected, rtol=0, atol=1e-5)
    if isinstance(game, HasLatents):
        drawn = game.latents(Dice(seed, "sample", range(number + 1)))
        assert torch.equal(latents(run, spots)[0], drawn[number])


@pytest.mark.parametrize("game", [Toy(), Sphere(), Told(), Toy(0)])
def test_the_corners_show_the_three_samples(game):
    run, spots = Trained(game), [Spot(3, 4), Spot(3, 1), Spot(9, 0)]
    shown = show(run, spots, [(0, 0), (1, 0), (0, 1), (0.5, 0.5)], classes=3)
    label = 1 if isinstance(game, Told) else None  # of number 4, and of all
    for k, spot in enumerate(spots):
        assert torch.allclose(shown[k], draw(run, 1, seed=spot.seed, first=spot.number, label=label)[0], atol=1e-6)


def test_a_class_is_kept_across_the_plane():
    run, spots = Trained(Told()), [Spot(0, 0), Spot(0, 1)]
    asked = show(run, spots, [(0.0, 0.0), (0.5, 0.0)], label=2)
    assert torch.allclose(asked - show(run, spots, [(0.0, 0.0), (0.5, 0.0)], classes=3), torch.full((2, 3, 8, 8), 2.0))
    with pytest.raises(UsageError, match="class"):
        show(Trained(Toy()), spots, [(0.5, 0.0)], label=2)


def test_truncation_draws_every_place_towards_the_middle():
    run, spots, places = Trained(Toy()), [Spot(0, 0), Spot(0, 1), Spot(0, 2)], [(0.2, 0.3), (0.0, 0.0)]
    half = show(run, spots, places, truncation=0.5)
    assert torch.allclose(half, run.game.decode(0.5 * plane(latents(run, spots), places)))
    with pytest.raises(UsageError, match="sphere"):
        show(Trained(Sphere()), spots, places, truncation=0.5)


def test_powers_say_what_can_be_done_and_why_not():
    toy, sphere, told, blind = (powers(Trained(game), 3) for game in (Toy(), Sphere(), Told(), Blind()))
    assert (toy.latents, toy.sphere, toy.classes, toy.truncates) == (4, False, 0, True)
    assert (sphere.sphere, sphere.truncates) == (True, False)
    assert told.classes == 3
    assert blind.latents == 0
    assert "latents" in blind.why and "truncation" in sphere.why and "class" in toy.why
    assert not any(found.mixes for found in (toy, sphere, told, blind))
    assert all("mixing" in found.why for found in (toy, sphere, told, blind))
    with pytest.raises(UsageError, match="samples of its own"):
        powers(Trained(nn.Linear(1, 1)))


@pytest.mark.parametrize("places", [[], [(2, 0)], [(0, -0.1)], [(float("nan"), 0)]])
def test_places_outside_of_the_plane_are_refused(places):
    with pytest.raises(UsageError):
        plane(three(4), places)


def test_what_cannot_be_shown_is_refused():
    run = Trained(Toy())
    for spots, places in (([Spot(-1)], [(0, 0)]), ([Spot(0, -1)], [(0, 0)]), ([Spot(), Spot()], [(0.5, 0)] * 257)):
        with pytest.raises(UsageError):
            show(run, spots, places)
    with pytest.raises(UsageError, match="no latents"):
        show(Trained(Blind()), [Spot(), Spot(1)], [(0.5, 0)])


def test_mixing_takes_coarse_layers_of_one_and_fine_ones_of_the_other():
    run = Trained(Styled())
    rows, columns = [Spot(0, 0), Spot(3, 5)], [Spot(0, 1), Spot(0, 2), Spot(1, 0)]
    a, b = latents(run, rows), latents(run, columns)
    for level, cut in ((0.5, 2), (0, 1), (1, 3), (0.8, 3)):
        made = mix(run, rows, columns, level=level, truncation=0.5, at_once=4)
        assert made.shape == (6, 4, 4, 1)
        for k, picture in enumerate(made):
            assert torch.equal(picture[:cut, :, 0], 0.5 * a[k // 3].expand(cut, -1))
            assert torch.equal(picture[cut:, :, 0], 0.5 * b[k % 3].expand(4 - cut, -1))
    assert powers(run).mixes and "mixing" not in powers(run).why


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(UsageError, match="coarse and fine"):
        mix(Trained(Toy()), [Spot()], [Spot()])
    for rows, level in (([], 0.5), ([Spot()] * 257, 0.5), ([Spot()], 1.5), ([Spot(0, -1)], 0.5)):
        with pytest.raises(UsageError):
            mix(Trained(Styled()), rows, [Spot()], level=level)
