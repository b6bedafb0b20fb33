"""A recipe asked for by name is fitted to small images and to the machine, and what a user sets goes first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sparring import api
from sparring.recipes.pix2pix import Pix2PixConfig
from sparring.runs import auto
from sparring.runs.recipe import load


def test_only_small_images_change_pix2pix() -> None:
    paper = load("pix2pix")
    assert paper.config == Pix2PixConfig()  # as published
    for other in (paper, load("pix2pix-modern"), load("dcgan")):
        assert auto.fitted(other, (3, 256, 256), "cpu") == (other.preset, [], "")
    assert auto.fitted(load("pix2pix-modern"), (3, 64, 64), "cpu") == ("pix2pix-modern", [], "")
    assert auto.fitted(paper, (3, 64, 64), "cuda") == ("pix2pix", ["patches=2"], auto.FITTED)
    assert auto.fitted(paper, (3, 64, 64), "cpu")[:2] == ("pix2pix-modern", ["patches=2"])


def test_a_recipe_of_ones_own_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("recipe: pix2pix\n")
    mine = load(str(tmp_path / "mine.yaml"))
    assert auto.recipe_for(mine, "images", (3, 64, 64), 100, "cpu") is mine


def test_a_vae_of_points_has_settings_of_points() -> None:
    """With those for images it collapses (benchmarks/results/vae_points.json); what a user sets goes first."""
    config = auto.recipe_for(load("vae"), "points", (2,), 9000, "cpu").config
    assert config.free_bits == 1 and config.z == 2 and config.noise and config.lr.start == 3e-3  # type: ignore[attr-defined]
    changes = ["free_bits=0.1", "lr=1e-3"]
    mine = auto.recipe_for(load("vae", changes), "points", (2,), 9000, "cpu", changes=changes).config
    assert mine.free_bits == 0.1 and mine.lr.end == 1e-3 and mine.z == 2  # type: ignore[attr-defined]
    sphere = auto.recipe_for(load("svae"), "points", (2,), 9000, "cpu").config
    assert sphere.free_bits == load("svae").config.free_bits  # type: ignore[attr-defined]
    assert auto.recipe_for(load("vae"), "images", (3, 32, 32), 9000, "cpu").config == load("vae").config


@pytest.mark.parametrize("side", [8, 16, 64, 128])
def test_patches_fit_into_the_image(side: int) -> None:
    from sparring.recipes.pix2pix import check_patches

    for device in ("cpu", "cuda"):
        config = auto.recipe_for(load("pix2pix"), "images", (3, side, side), 100, device).config
        assert isinstance(config, Pix2PixConfig)
        check_patches(config.patches, side, side)


def test_the_plan_says_so_and_what_is_set_stays() -> None:
    plan = api.plan("emoji", recipe="pix2pix", size=16, budget="8", set={"width": 2, "d_width": 3}, device="cpu")
    config, modern = plan.recipe.config, load("pix2pix-modern").config
    assert isinstance(config, Pix2PixConfig)
    assert config == dataclasses.replace(modern, width=2, d_width=3)
    assert any("pix2pix-modern" in line and "in place of pix2pix" in line for line in plan.lines())
    (players,) = [line for line in plan.lines() if line.startswith("players")]
    assert all(f"{name} {plan.parameters[name]:,}" in players for name in ("G", "D"))


def test_what_is_chosen_for_a_cpu_is_light_and_what_is_asked_for_stays() -> None:
    settings = {"size": 16, "budget": "2", "set": {"width": 2, "d_width": 2, "d_layers": 1, "blocks": 1, "identity": 0}}
    chosen = api.plan("emoji", pairs="unpaired", device="cpu", **settings)
    assert chosen.recipe.preset == "cyclegan-modern" and "CPU" in chosen.recipe.why
    asked = api.plan("emoji", recipe="cyclegan", device="cpu", **settings)
    assert asked.recipe.preset == "cyclegan" and asked.recipe.config.up == "transposed"
    assert any("cyclegan-modern sees many times the images" in line for line in asked.lines())
