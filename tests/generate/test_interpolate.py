"""Walks: closed, smooth, and on the sphere."""

import itertools

import pytest
import torch
from PIL import Image
from tests.generate.games import Toy, Trained
from torch import nn

from sparring.errors import UsageError
from sparring.generate.interpolate import film, save_film, walk
from sparring.types import HasLatentsByClass, SamplesByClass


class Bare(Toy):
    """Shows the latent itself."""

    def decode(self, z):
        return z


def test_the_walk_is_closed_and_without_jumps():
    z = torch.stack(list(walk(Trained(Bare(0)), 80, walkers=6, keys=4)))
    steps = (z - z.roll(1, 0)).norm(dim=-1)  # the first of them leads from the last frame to the first
    assert steps.max() < 6 * z.norm(dim=-1).mean() / 20  # a leg of 20 frames turns by at most π
    assert steps[0].max() <= steps.max()


class Sphere(Bare):
    """Latents on the unit sphere."""

    def latents(self, dice):
        return nn.functional.normalize(dice.normal(4), dim=1)


def test_the_walk_stays_on_the_sphere_and_passes_its_keys():
    run = Trained(Sphere(0))
    z = torch.stack(list(walk(run, 40, walkers=5, keys=4)))
    assert torch.allclose(z.norm(dim=-1), torch.ones(40, 5), atol=1e-5)
    assert torch.allclose(z[::10], torch.stack(list(walk(run, 4, walkers=5, keys=4))), atol=1e-6)


def test_the_same_seed_gives_the_same_walk():
    first, again, other = (torch.stack(list(walk(Trained(Toy()), 6, seed=s))) for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-2)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".apng"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_film_has_all_its_pictures_and_never_ends(tmp_path, suffix, channels):
    pictures = film(walk(Trained(Toy(channels)), 7))
    assert {picture.size for picture in pictures} == {pictures[0].size}
    path = save_film(pictures, tmp_path / "new" / f"walk{suffix}")
    with Image.open(path) as film_:
        assert film_.n_frames == 7
        assert film_.size == pictures[0].size
        assert film_.info.get("loop", 0) == 0
        assert film_.info.get("duration", 50) == 50
        film_.seek(6)


def test_colours_of_a_gif_are_near_the_true_ones(tmp_path):
    pictures = film(walk(Trained(Toy(3)), 5))
    with Image.open(save_film(pictures, tmp_path / "walk.gif")) as shown:
        for k, picture in enumerate(pictures):
            shown.seek(k)
            pair = zip(shown.convert("RGB").tobytes(), picture.convert("RGB").tobytes(), strict=True)
            errors = [abs(a - b) for a, b in itertools.islice(pair, 0, None, 17)]
            assert sum(errors) / len(errors) < 12


def test_a_lossless_film_is_exact(tmp_path):
    pictures = film(walk(Trained(Toy(3)), 4))
    for suffix in (".webp", ".png"):
        with Image.open(save_film(pictures, tmp_path / f"walk{suffix}")) as shown:
            shown.seek(2)
            assert shown.convert("RGB").tobytes() == pictures[2].tobytes()


def test_points_walk_as_a_cloud_in_one_frame():
    pictures = film(walk(Trained(Toy(0)), 4, walkers=50))
    assert {picture.size for picture in pictures} == {(480, 480)}


def test_what_cannot_be_is_explained(tmp_path):
    with pytest.raises(UsageError, match="WALK-FORMAT"):
        save_film(film(walk(Trained(Toy()), 3)), tmp_path / "walk.mp4")
    with pytest.raises(UsageError, match="WALK-FRAMES") as told:
        list(walk(Trained(Toy()), 1))
    assert told.value.fix == "--frames 60"
    with pytest.raises(UsageError, match="WALK-CANNOT") as told:
        list(walk(Trained(nn.Identity()), 8))
    assert "latents" in told.value.what and told.value.fix


class Told(Bare, HasLatentsByClass, SamplesByClass):
    """Shows the latent and its class, of three."""

    def decode(self, z, label=None):
        label = torch.arange(len(z)) % 3 if label is None else label
        return torch.cat([z, label[:, None].float()], dim=1)

    def sample(self, dice, *, truncation=1.0, label=None):
        return self.decode(truncation * self.latents(dice), label)


def test_a_walker_keeps_its_class():
    free, bare = (torch.stack(list(walk(Trained(game(0)), 12, walkers=7))) for game in (Told, Bare))
    assert torch.equal(free[..., :4], bare)
    assert torch.equal(free[..., 4], (torch.arange(7.0) % 3).expand(12, 7))
    within = torch.stack(list(walk(Trained(Told(0)), 12, walkers=7, label=2)))
    assert torch.equal(within[..., :4], bare) and bool((within[..., 4] == 2).all())
    with pytest.raises(UsageError, match="WALK-LABEL"):
        next(walk(Trained(Bare(0)), 12, label=2))
