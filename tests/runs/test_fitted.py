"""A recipe asked for by name is fitted to small images and to the machine, and what a user sets goes first."""

from __future__ import annotations

import pytest

from sparring import api
from sparring.recipes.pix2pix import Pix2PixConfig
from sparring.runs import auto
from sparring.runs.recipe import load


def test_only_small_images_change_pix2pix() -> None:
    assert auto.fitted("pix2pix", (3, 256, 256), "cpu") == []
    assert auto.fitted("pix2pix-modern", (3, 64, 64), "cpu") == auto.fitted("dcgan", (3, 64, 64), "cpu") == []
    assert auto.fitted("pix2pix", (3, 64, 64), "cuda") == ["patches=2"]
    assert load("pix2pix").config == Pix2PixConfig()  # as published


@pytest.mark.parametrize("side", [8, 16, 64, 128])
def test_patches_fit_into_the_image(side: int) -> None:
    from sparring.recipes.pix2pix import check_patches

    for device in ("cpu", "cuda"):
        config = load("pix2pix", auto.fitted("pix2pix", (3, side, side), device)).config
        assert isinstance(config, Pix2PixConfig)
        check_patches(config.patches, side, side)


def test_the_plan_says_so_and_what_is_set_stays() -> None:
    plan = api.plan("emoji", recipe="pix2pix", size=16, budget="8", set={"width": 2, "d_width": 3}, device="cpu")
    config = plan.recipe.config
    assert isinstance(config, Pix2PixConfig)
    assert (config.width, config.d_width, config.patches, config.batch) == (2, 3, 2, 4)
    assert any("smaller networks" in line and "generator=residual-unet" in line for line in plan.lines())
    (players,) = [line for line in plan.lines() if line.startswith("players")]
    assert all(f"{name} {plan.parameters[name]:,}" in players for name in ("G", "D"))


def test_what_is_chosen_for_a_cpu_is_light_and_what_is_asked_for_stays() -> None:
    settings = {"size": 16, "budget": "2", "set": {"width": 2, "d_width": 2, "d_layers": 1, "blocks": 1, "identity": 0}}
    chosen = api.plan("emoji", pairs="unpaired", device="cpu", **settings)
    assert chosen.recipe.preset == "cyclegan-modern" and "CPU" in chosen.recipe.why
    asked = api.plan("emoji", recipe="cyclegan", device="cpu", **settings)
    assert asked.recipe.preset == "cyclegan" and asked.recipe.config.up == "transposed"
    assert any("cyclegan-modern sees many times the images" in line for line in asked.lines())
