"""How likely held-out images are under a run: every kind of likelihood, what it is of, and who has none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from sparring import api
from sparring.data import open_data
from sparring.data.options import Binarise, Options
from sparring.errors import UsageError
from sparring.metrics import extractors
from sparring.metrics.extractors import PixelFeatures
from sparring.metrics.likelihood import PARZEN_WARNING
from sparring.runs.evaluate import likelihood
from sparring.runs.evaluate.opening import Wanted, open_side
from sparring.runs.evaluate.point_rows import PointRows
from sparring.runs.evaluate.sides import Rows
from sparring.types import Dice, HasLikelihood, HasPosterior, Outcome, Samples

SIDE = 8


class Tiny(PixelFeatures):
    """Pixels at 6 × 6: few dimensions, so that nothing takes long."""

    name, size, dimensions = "tiny", 6, 3 * 6 * 6


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extractors.EXTRACTORS, "tiny", extractors.Entry("tiny", lambda argument, device: Tiny()))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(4)
    for k in range(60):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(folder / f"{k}.png")
    return folder


def trained(photos: Path, out: Path, recipe: str, *changes: str, binarise: Binarise = "none") -> Path:
    settings = [*changes, "batch=8"]
    api.train(photos, recipe=recipe, set=settings, out=out, budget="16", device="cpu", size=SIDE, held_out=0.5,
              binarise=binarise)  # fmt: skip
    return out


@pytest.fixture(scope="module")
def vae(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "vae"
    return trained(photos, out, "vae", "decoder=bernoulli", "hidden=[8]", "z=2", binarise="static")


@pytest.fixture(scope="module")
def gan(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(photos, tmp_path_factory.mktemp("runs") / "gan", "gan", "width=4", "z=2")


# ── games of our own ──────────────────────────────────────────────────────────────────────────────────────────────


class Coin(nn.Module, HasLikelihood, Samples):
    """Every value is white with probability ¾, by itself; or its density, or that of its level, is as said."""

    def __init__(self, outcome: Outcome = "binary") -> None:
        super().__init__()
        self.p, self._outcome = nn.Parameter(torch.tensor(0.75)), outcome
        self.players = {"M": self}

    @property
    def outcome(self) -> Outcome:
        return self._outcome

    @property
    def exact(self) -> bool:
        return True

    def log_likelihood(self, x: Tensor, dice: Dice) -> Tensor:
        assert len(dice.samples) == len(x) and x.dtype == torch.float32 and float(x.abs().max()) <= 1
        if self._outcome == "levels":
            return torch.full((len(x),), -math.log(256.0) * x[0].numel())
        if self._outcome == "continuous":
            return torch.full((len(x),), -math.log(2.0) * x[0].numel())
        return torch.where(x > 0, 0.75, 0.25).log().flatten(1).sum(1)

    def sample(self, dice: Dice, *, truncation: float = 1.0) -> Tensor:
        return torch.where(dice.uniform(1, SIDE, SIDE) < 0.75, 1.0, -1.0)


class Wrong(Coin, HasPosterior):
    """A posterior whose weights contradict its ELBO."""

    @property
    def exact(self) -> bool:
        return False

    def elbo(self, x: Tensor, dice: Dice) -> dict[str, Tensor]:
        return {"reconstruction": Coin.log_likelihood(self, x, dice), "kl": torch.ones(len(x))}

    def log_weight(self, x: Tensor, dice: Dice) -> Tensor:
        return Coin.log_likelihood(self, x, dice) - 5 + 0.1 * dice.normal()


@dataclass
class Opened:
    """As much of a run as is asked for."""

    game: Any
    document: dict[str, Any] = field(default_factory=lambda: {"recipe": "coin"})


@pytest.fixture
def side(photos: Path, request: pytest.FixtureRequest) -> Iterator[Rows]:
    how = getattr(request, "param", "static")
    options = {"size": [SIDE, SIDE], "channels": 1, "held_out": 0.5, "binarise": how}
    found = open_side(Wanted("rows", str(photos), options=options, split="held-out"))
    assert isinstance(found, Rows)
    yield found
    found.close()


def figures(run: Any, side: Rows, *names: str, **settings: Any) -> dict[str, Any]:
    return {name: one for name, one in likelihood.measured(run, side, None, names, **settings).figures.items()}


def test_an_exact_likelihood_is_that_of_the_held_out_bits(side: Rows) -> None:
    found = figures(Opened(Coin()), side, "nll")
    assert list(found) == ["nll", "bits_per_dim"]
    white = float((np.asarray(side.dataset.held_out) > 0).mean())
    expected = -SIDE * SIDE * (white * math.log(0.75) + (1 - white) * math.log(0.25))
    assert found["nll"].value == pytest.approx(expected, abs=1e-4) and found["nll"].n_real == len(side) == 30
    assert found["bits_per_dim"].value == pytest.approx(expected / (SIDE * SIDE * math.log(2)), abs=1e-6)
    assert found["nll"].low < found["nll"].value < found["nll"].high
    assert "static" in found["nll"].features and found["nll"].better == "lower"


@pytest.mark.parametrize("side", ["none"], indirect=True)
def test_levels_have_bits_and_densities_have_none(side: Rows) -> None:
    levels = figures(Opened(Coin("levels")), side, "nll")
    assert levels["bits_per_dim"].value == pytest.approx(8) and "no dequantisation" in levels["nll"].features
    density = figures(Opened(Coin("continuous")), side, "nll")
    assert density["nll"].value == pytest.approx(64 * math.log(2), abs=1e-4) and "density" in density["nll"].features
    assert density["bits_per_dim"].value is None and "dequantisation" in density["bits_per_dim"].refused


@pytest.mark.parametrize("side", ["none"], indirect=True)
def test_a_decoder_of_bits_on_grey_images_is_refused_with_a_way_out(side: Rows) -> None:
    found = figures(Opened(Coin()), side, "nll")
    assert found["nll"].value is None
    assert "--binarise static" in found["nll"].refused and "decoder=logistic" in found["nll"].refused


def test_images_that_are_binary_by_themselves_need_no_flag(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(6):
        Image.fromarray(rng.integers(0, 2, (SIDE, SIDE), dtype=np.uint8) * 255).save(tmp_path / f"{k}.png")
    found = open_side(Wanted("rows", str(tmp_path), options={"size": [SIDE, SIDE], "channels": 1, "held_out": 0.5}))
    assert isinstance(found, Rows)
    made = figures(Opened(Coin()), found, "nll")
    assert made["nll"].value is not None and made["nll"].features == "binary images, as the data are"
    found.close()


def test_weights_that_contradict_the_elbo_are_told(side: Rows) -> None:
    found = figures(Opened(Wrong()), side, "nll", importance=20)
    assert list(found) == ["nll", "elbo", "reconstruction", "kl", "bits_per_dim"]
    assert "contradict each other" in found["nll"].warning
    assert found["elbo"].value == pytest.approx(found["reconstruction"].value - 1, abs=1e-4)


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_vae_has_a_bound_with_its_parts_and_says_what_it_is_of(vae: Path) -> None:
    record = api.evaluate(vae, metrics="nll", importance=50)
    found = record["metrics"]
    assert list(found) == ["nll", "elbo", "reconstruction", "kl", "bits_per_dim"]
    assert found["elbo"]["value"] == pytest.approx(found["reconstruction"]["value"] - found["kl"]["value"], rel=1e-6)
    assert -found["elbo"]["value"] > found["nll"]["value"] - 0.5 > 10  # the ELBO is the looser bound
    assert found["bits_per_dim"]["value"] == pytest.approx(found["nll"]["value"] / 64 / math.log(2), rel=1e-6)
    assert all(one["n_real"] == 30 and one["interval"] and "static" in one["features"] for one in found.values())
    said = record["likelihood"]
    assert (said["outcome"], said["binarise"], said["exact"], said["importance"]) == ("binary", "static", False, 50)
    assert 1 <= said["effective"] <= 50 and json.loads((vae / "evaluation.json").read_text()) == record
    lines = "\n".join(api.evaluation_lines(record))
    assert "30 images of 64 values: binary images (static" in lines and "50 importance weights" in lines
    assert api.evaluate(vae, metrics="nll", importance=50)["metrics"] == found
    more = api.evaluate(vae, metrics="nll", importance=50, n=10, seed=1)
    assert more["metrics"]["nll"]["n_real"] == 10 and more["metrics"]["nll"]["value"] != found["nll"]["value"]


def test_other_images_are_made_binary_as_those_of_the_run(vae: Path, photos: Path, tmp_path: Path) -> None:
    record = api.evaluate(photos, vae, metrics="nll", importance=5, out=tmp_path / "found.json")
    assert record["metrics"]["nll"]["n_real"] == 60 and record["likelihood"]["binarise"] == "static"
    assert json.loads((tmp_path / "found.json").read_text()) == record
    with pytest.raises(UsageError, match="no run is judged here"):
        api.evaluate(vae, photos, metrics="nll")


def test_the_usual_table_has_what_is_cheap(vae: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "USUAL", 12)
    record = api.evaluate(vae, features="tiny", n=30)
    assert {"elbo", "reconstruction", "kl", "kid"} <= set(record["metrics"]) and "nll" not in record["metrics"]
    assert record["metrics"]["elbo"]["n_real"] == 12
    lines = api.evaluation_lines(record)
    assert any(line.startswith("likelihood of 12 images") for line in lines)
    assert sum(line.startswith("elbo") for line in lines) == 1
    assert any("the other side has greys" in line for line in record["warnings"])
    both = api.evaluate(vae, features="tiny", metrics="kid,nll", n=30, importance=3)["metrics"]
    assert {"kid", "nll", "elbo", "bits_per_dim"} <= set(both) and both["nll"]["n_real"] == 30


def test_a_gan_has_no_likelihood_and_says_why(gan: Path) -> None:
    record = api.evaluate(gan, metrics="nll")
    said = record["metrics"]["nll"]
    assert said["value"] is None and "a GAN draws samples and assigns no probability" in said["refused"]
    assert any("nll: not measured: recipe gan: no likelihood" in line for line in api.evaluation_lines(record))
    assert "elbo" not in api.evaluate(gan, features="tiny", n=20)["metrics"]


def test_a_kernel_estimate_comes_only_by_name_and_with_its_warning(gan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "DRAWN", 40)
    record = api.evaluate(gan, metrics="parzen")
    (found,) = record["metrics"].values()
    assert found["value"] is not None and found["warning"] == PARZEN_WARNING
    assert (found["n_real"], found["n_fake"]) == (15, 40) and "chosen on 15 other images" in found["features"]
    lines = "\n".join(api.evaluation_lines(record))
    assert "should generally be avoided" in lines and "parzen " in lines
    assert "parzen" not in api.evaluate(gan, features="tiny", n=20)["metrics"]


# ── points ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "ring"
    api.train("ring", recipe="vae", set=["hidden=[8]", "batch=64"], out=out, budget="640", device="cpu")
    return out


def test_points_have_a_density_in_nats_a_point(ring: Path) -> None:
    record = api.evaluate(ring, metrics="nll", n=200, importance=20)
    found, said = record["metrics"], record["likelihood"]
    assert list(found) == ["nll", "elbo", "reconstruction", "kl"] and found["nll"]["n_real"] == 200
    assert (said["outcome"], said["dimensions"], said["unit"]) == ("continuous", 2, "point")
    assert found["nll"]["interval"][0] < found["nll"]["value"] < found["nll"]["interval"][1]
    assert found["nll"]["value"] <= -found["elbo"]["value"] + 0.1 and "a density of points" in found["nll"]["features"]
    lines = "\n".join(api.evaluation_lines(record))
    assert "200 points, coordinates divided by 0.707" in lines and "nats a point" in lines and "image" not in lines
    bits = api.evaluate(ring, metrics="bits_per_dim,parzen", n=50, importance=2)["metrics"]
    assert "length of code" in bits["bits_per_dim"]["refused"] and "logistic" not in bits["bits_per_dim"]["refused"]
    assert "points" in bits["parzen"]["refused"]


def test_a_density_that_is_known_comes_out_of_points() -> None:
    class Flat(Coin):
        def log_likelihood(self, x: Tensor, dice: Dice) -> Tensor:
            return -0.5 * (x.square() + math.log(2 * math.pi)).sum(1)

    dataset = open_data("ring")
    side = PointRows(dataset, "held-out", 500, 0)
    again = PointRows(dataset, "held-out", 500, 0)
    found = likelihood.measured(Opened(Flat("continuous")), side, None, ["nll"]).figures  # type: ignore[arg-type]
    values = torch.cat([points for _, points in side.groups(0, 500)]).double()
    expected = 0.5 * float(values.square().sum(1).mean()) + math.log(2 * math.pi)
    assert found["nll"].value == pytest.approx(expected, abs=1e-5) and list(found) == ["nll"]
    assert side.key == again.key != PointRows(dataset, "held-out", 500, 1).key
    refused = likelihood.measured(Opened(Coin()), side, None, ["nll"]).figures["nll"]  # type: ignore[arg-type]
    assert "decoder=gaussian" in refused.refused


def test_who_judges_points_by_images_hears_what_can_be_done(ring: Path) -> None:
    with pytest.raises(UsageError, match="EVALUATE-POINTS") as told:
        api.evaluate(ring)
    assert "--metrics nll" in told.value.fix


# ── what is bounded, and by what ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def pixelcnn(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "pixelcnn"
    return trained(photos, out, "pixelcnn", "width=4", "blocks=1", binarise="static")


def test_a_bound_is_marked_as_one(vae: Path, pixelcnn: Path) -> None:
    found = api.evaluate(vae, metrics="nll", importance=7)["metrics"]
    assert [found[name].get("bound") for name in likelihood.NAMES] == ["at most", "at least", None, None, "at most"]
    assert found["nll"]["importance"] == 7 and "importance" not in found["elbo"]
    exact = api.evaluate(pixelcnn, metrics="nll")
    assert "bound" not in exact["metrics"]["nll"] and not exact["warnings"]


def test_weights_that_nobody_draws_are_told(vae: Path, pixelcnn: Path) -> None:
    said = api.evaluate(pixelcnn, metrics="nll", importance=10)["warnings"]
    assert any("--importance 10 changes nothing here: this recipe computes log p(x) itself" in line for line in said)
    said = api.evaluate(vae, metrics="elbo", importance=10)["warnings"]
    assert any("--importance 10 changes nothing here: only nll" in line for line in said)


def test_an_exported_folder_says_what_it_can(vae: Path, pixelcnn: Path, photos: Path, tmp_path: Path) -> None:
    api.export(pixelcnn, out=tmp_path / "p")
    record = api.evaluate(photos, tmp_path / "p", metrics="nll")
    run = api.evaluate(photos, pixelcnn, metrics="nll")
    assert record["metrics"]["nll"]["value"] == run["metrics"]["nll"]["value"] and record["fake"]["kind"] == "export"
    api.export(vae, out=tmp_path / "v")
    with pytest.raises(UsageError, match="the decoder alone") as told:
        api.evaluate(photos, tmp_path / "v", metrics="nll")
    assert "encoder" in told.value.why and "IMAGES RUN" in told.value.fix
    with pytest.raises(UsageError, match="neither data nor a run"):
        api.evaluate(photos, tmp_path / "p")
    with pytest.raises(UsageError, match="neither data nor a run") as told:
        api.evaluate(tmp_path / "p", metrics="nll")
    assert "IMAGES" in told.value.fix


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"metrics": "nll", "importance": 0}, "EVALUATE-IMPORTANCE"), ({"metrics": "nlll"}, "EVALUATE-METRIC")],
)
def test_a_wrong_argument_is_one_clear_error(vae: Path, settings: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as told:
        api.evaluate(vae, **settings)
    assert told.value.code == code


def test_data_of_a_run_are_read_with_the_treatment_they_were_trained_with(vae: Path) -> None:
    said = yaml.safe_load((vae / "recipe.yaml").read_text())["data"]
    asked = Options.of(said)
    assert asked.binarise == "static" and open_data(said["source"], asked).fingerprint == said["fingerprint"]
