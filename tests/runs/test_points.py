"""Runs on points: what is measured reaches the log, pictures from above are kept, and a resume changes nothing."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import api
from sparring.data import open_data
from sparring.errors import UsageError
from sparring.generate.landscape import Reading
from sparring.generate.plane import SIZE, Plane
from sparring.report import write
from sparring.runs import board, session
from sparring.runs import plan as plans
from sparring.runs.board import Board, History, equilibrium, moments, played, reading
from sparring.runs.directory import RunDirectory
from sparring.runs.recipe import load
from sparring.runs.watch import PointsWatch, measure_of, watch_of
from sparring.train.checkpoint import Store
from sparring.types import Decision, Done, Probed, Sampled, Space, Turn

SMALL = ["width=8", "z=2", "batch=16", "d_fourier=null", "g_fourier=null"]


@pytest.fixture
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 320 points: at 0, 2, 32, 128, 224 and 320."""
    monkeypatch.setattr(board, "_FEWEST", 4)


def begin(out: Path, data: str = "ring", *, seconds: float = 10.0, images: int = 320, recipe: str = "gan-points",
          sets: list[str] = SMALL, **settings: Any) -> session.Session:  # fmt: skip
    """A short run whose plan says that it takes so many seconds."""
    made = api.plan(data, recipe=recipe, set=sets, budget=str(images), out=out, device="cpu", **settings)
    return session.start(dataclasses.replace(made, rate=images / seconds))


def logged(out: Path, kind: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == kind]


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A run on the ring and its events, to look at."""
    out = tmp_path_factory.mktemp("points") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(board, "_FEWEST", 4)
        return out, list(begin(out))


# ── what is measured ──────────────────────────────────────────────────────────────────────────────────────────────


def test_measures_stand_in_the_log_at_the_moments_of_the_pictures(ring: tuple[Path, list[Any]]) -> None:
    out, events = ring
    probed = [event for event in events if isinstance(event, Probed)]
    sampled = [event for event in events if isinstance(event, Sampled)]
    assert [event.images for event in probed] == [event.images for event in sampled][1:] and probed[-1].images == 320
    assert [(r["images"], r["values"]) for r in logged(out, "probed")] == [
        (event.images, dict(event.values)) for event in probed
    ]
    with_last = measure_of(open_data("ring"))(sampled[-1].samples.numpy())
    assert set(with_last) == set(probed[-1].values) == {"modes", "high_quality", "reverse_kl", "smallest_share"}


def test_the_data_themselves_are_perfect() -> None:
    for name in ("ring", "grid"):
        values = measure_of(data := open_data(name))(data.held_out[:2500])
        assert data.modes is not None and values["modes"] == len(data.modes)
        assert values["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=0.01) and values["reverse_kl"] < 0.02
    for name in ("swissroll", "checkerboard"):
        data = open_data(name)
        same, moved = measure_of(data)(data.train[:2500]), measure_of(data)(data.train[:2500] + np.float32(0.5))
        assert abs(same["energy_distance"]) < 0.02 * data.scale < 0.1 * data.scale < moved["energy_distance"]
    few = open_data("checkerboard", held_out=0)
    assert abs(measure_of(few)(open_data("checkerboard").held_out[:2500])["energy_distance"]) < 0.02


def test_a_watch_looks_once_at_each_moment_and_remembers_it_when_resumed() -> None:
    watch = PointsWatch(lambda samples: {"n": float(len(samples)), "lost": math.nan}, (0, 16, 32, 160))
    assert not watch.due(0) and watch.due(16) and watch.due(20)
    opinion = watch.look(_match(16))
    assert opinion.values == {"n": 2500.0} and opinion.decision is Decision.NOTE, "what is not finite is left out"
    assert not watch.due(16) and not watch.due(31) and watch.due(32)
    other = PointsWatch(watch.measure, watch.moments)
    other.load_state_dict(json.loads(json.dumps(watch.state_dict())))
    assert not other.due(31) and other.due(48)
    other.load_state_dict({})
    assert other.due(16), "a run from before there was a watch"


def _match(images: int) -> Any:
    from sparring.data import stream_of
    from sparring.train.engine import Engine
    from sparring.train.match import Match

    recipe = load("gan-points", SMALL)
    game = plans.build(recipe, Space((2,)), 0)
    match = Match(game, stream_of(open_data("ring")), Engine(torch.device("cpu")), recipe.config, seed=0, horizon=320)
    while match.images < images:
        match.step()
    return match


def test_images_and_games_without_samples_are_not_watched() -> None:
    ring = open_data("ring")
    assert watch_of(ring, object(), (1,)) is None
    pictures = dataclasses.replace(ring, kind="images")
    assert watch_of(pictures, _match(0).game, (1,)) is None


# ── what is drawn ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("recipe", "data"), [("gan-points", "checkerboard"), ("cgan-points", "ring")])
def test_a_run_on_the_plane_leaves_pictures_from_above_and_an_animation(
    recipe: str, data: str, tmp_path: Path, few_pictures: None
) -> None:
    """A conditional game is told the mode of each point; it needs no flag."""
    out = tmp_path / "run"
    small = {} if recipe == "gan-points" else {"recipe": recipe}
    done = list(begin(out, data, sets=[*SMALL, "batch=32"], **small))[-1]
    assert done == Done(320, "budget")
    pictures = sorted((out / "samples").iterdir())
    assert len(pictures) == 5  # of six moments two are in the first round
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == SIZE
    with Image.open(out / "game.gif") as film:
        assert film.n_frames == len(pictures)
    page = api.report(out).read_text()
    assert "<h2>The game</h2>" in page and "data:image/gif" in page


@pytest.mark.parametrize(("data", "seconds"), [("dirac", 10.0), ("ring", 1.0)])
def test_numbers_and_very_short_runs_keep_plain_pictures(data: str, seconds: float, tmp_path: Path) -> None:
    list(begin(tmp_path / "run", data, seconds=seconds))
    with Image.open(sorted((tmp_path / "run" / "samples").iterdir())[-1]) as picture:
        assert picture.size == (480, 480)
    assert not (tmp_path / "run" / "game.gif").exists()
    assert logged(tmp_path / "run", "probed")


def test_of_many_pictures_some_are_animated_and_a_broken_one_is_left_out(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.samples.mkdir()
    for k in range(board.MOST_FRAMES + 40):
        Image.new("RGB", (60, 40), (255, k, k)).save(directory.samples / f"{k:012d}.png")
    (directory.samples / f"{0:012d}.png").write_bytes(b"no picture")
    (directory.samples / "mine.png").write_bytes(b"somebody else's")
    made = Board(Plane(torch.zeros(4, 2)), History())
    assert made.film(directory) == directory.film
    with Image.open(directory.film) as film:
        assert 1 < film.n_frames < board.MOST_FRAMES  # type: ignore[attr-defined]
    assert made.film(RunDirectory(tmp_path / "nothing")) is None


def test_stopped_and_resumed_is_never_stopped(ring: tuple[Path, list[Any]], few_pictures: None, tmp_path: Path) -> None:
    """Weights, log and every picture, with its curves, are the same to the last byte."""
    running = begin(tmp_path / "parts")
    for event in running:
        if isinstance(event, Turn) and event.images >= 144:
            running.stop()
    assert running.finished is not None and running.finished.reason == "stopped"
    assert (tmp_path / "parts" / "game.gif").exists()
    list(api.resume_steps(tmp_path / "parts"))

    def left(out: Path) -> dict[str, Any]:
        newest = Store(out / "checkpoints").newest()
        assert newest is not None
        rows = [{k: v for k, v in r.items() if k != "rate"} for r in logged(out, "turn") + logged(out, "probed")]
        pictures = {path.name: path.read_bytes() for path in sorted((out / "samples").iterdir())}
        files = {name: entry[1] for name, entry in newest.manifest.files.items() if name != "state.json"}
        return {"log": rows, "pictures": pictures, "film": (out / "game.gif").read_bytes(), "files": files}

    whole, parts = left(ring[0]), left(tmp_path / "parts")
    assert whole["log"] == parts["log"] and whole["files"] == parts["files"]
    assert whole["pictures"] == parts["pictures"] and whole["film"] == parts["film"]


def test_the_history_is_that_of_the_log(tmp_path: Path) -> None:
    told = History()
    for event in (
        Turn(16, 1, {"D/real": 0.7, "D/fake": 0.6, "G/fake": 0.5, "D/D(x)": 0.55, "D/r1": 9.0}),
        Probed(16, {"modes": 3.0}),
        Turn(32, 2, {"D/pair": 0.7, "G/pair": 0.71}),
    ):
        told.hear(event)
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write(json.dumps(event.record()) + "\n")
    assert told.curves["D"] == ([16, 32], [pytest.approx(1.3), 0.7]) and told.curves["G"] == ([16, 32], [0.5, 0.71])
    assert told.curves["D(x)"] == ([16], [0.55]) and told.curves["modes"] == ([16], [3.0])
    assert History.of(tmp_path / "log.jsonl").curves == told.curves
    assert History.of(tmp_path / "nothing").curves == {}
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "turn", "images": 48, "values": {"D/real": null, "G/fake": [1, 2]}}\n{"event": "turn"}\n')
    assert History.of(tmp_path / "log.jsonl").curves == told.curves, "what is no number is passed over"


def test_moments_are_dense_early_and_even_later() -> None:
    found = moments(100_000, 100_000, 600.0)
    assert 38 <= len(found) <= 43 and found[0] == 0 and found[-1] == 100_000
    later = np.diff([moment for moment in found if moment >= 10_000])
    assert later.max() - later.min() <= 1
    early = [moment for moment in found if 0 < moment <= 10_000]
    ratios = np.array(early[1:]) / np.array(early[:-1])
    assert ratios.max() / ratios.min() < 1.05 and early[0] == 500
    longer = moments(100_000, 200_000, 600.0)
    assert longer[: len(found)] == found and longer[-1] == 200_000
    assert 8 <= len(moments(100_000, 100_000, 6.0)) <= 11 < len(moments(100_000, 100_000, 60.0)) < len(found)
    assert moments(1, 1, 10.0) == (0, 1)


@pytest.mark.parametrize(
    ("objective", "d", "g"),
    [
        ("minimax", math.log(4), -math.log(2)), ("nonsaturating", math.log(4), math.log(2)),
        ("relativistic", math.log(2), math.log(2)), ("wasserstein", 0.0, 0.0), ("hinge", 2.0, 0.0),
        ("js", 0.0, 0.0), ("maximum_likelihood", math.log(4), -0.5), ("relativistic_average", math.log(4), math.log(4)),
    ],
)  # fmt: skip
def test_what_players_pay_at_the_equilibrium(objective: str, d: float, g: float) -> None:
    recipe = load("gan-points", [*SMALL, f"objective={objective}"])
    game = plans.build(recipe, Space((2,)), 0)
    assert equilibrium(game) == {"D": pytest.approx(d, abs=1e-6), "G": pytest.approx(g, abs=1e-6)}
    assert played(game).startswith(objective.replace("_", " "))


@pytest.mark.parametrize(
    ("objective", "best"),
    [
        ("minimax", lambda u: u.log()), ("maximum_likelihood", lambda u: u.log()), ("kl", lambda u: u.log()),
        ("reverse_kl", lambda u: u.log()), ("js", lambda u: u.log()), ("pearson", lambda u: 2 * (u - 1)),
        ("squared_hellinger", lambda u: 0.5 * u.log()), ("least_squares", lambda u: (u - 1) / (u + 1)),
    ],
)  # fmt: skip
def test_what_the_best_d_says_is_read_as_the_share_of_reals(objective: str, best: Any) -> None:
    """σ(gain · s*(u)) = u / (1 + u) up to second order where u = p/q is near 1."""
    read = reading(plans.build(load("gan-points", [*SMALL, f"objective={objective}"]), Space((2,)), 0))
    u = torch.tensor([0.98, 0.99, 1.0, 1.01, 1.02], dtype=torch.float64)
    assert read.gain is not None and not read.centred
    torch.testing.assert_close(torch.sigmoid(read.gain * best(u)), u / (1 + u), atol=6e-5, rtol=0)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("hinge", Reading(2.0)), ("total_variation", Reading(2.0)), ("wasserstein", Reading(None, centred=True)),
        ("relativistic", Reading(centred=True)), ("relativistic_average", Reading(centred=True)),
    ],
)  # fmt: skip
def test_an_output_that_is_no_logit_is_centred_and_scaled(objective: str, expected: Reading) -> None:
    assert reading(plans.build(load("gan-points", [*SMALL, f"objective={objective}"]), Space((2,)), 0)) == expected
    assert reading(object()) == Reading()


def test_a_smoothed_label_moves_the_equilibrium_and_other_games_have_none() -> None:
    recipe = load("gan-points", [*SMALL, "objective=nonsaturating", "smoothing=0.9"])
    game = plans.build(recipe, Space((2,)), 0)
    assert equilibrium(game) == {} and played(game) == "nonsaturating + r1+r2 + smoothed labels"
    assert equilibrium(object()) == {} and played(object()) == "object"


def test_a_picture_that_cannot_be_written_costs_no_run(
    tmp_path: Path, few_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(board, "animate", full)
    events = list(begin(tmp_path / "run"))
    assert events[-1] == Done(320, "budget")
    assert "animation" in next(event.message for event in events if event.kind == "alarm")  # type: ignore[attr-defined]


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("change", ["d_fourier=none", "d_fourier=-1", "gamma=-1", "packing=3", "width=0"])
def test_a_wrong_setting_of_points_is_answered_by_their_recipe(change: str, tmp_path: Path) -> None:
    """Not by one for images, which has other settings and another batch: d_fourier was called unknown."""
    with pytest.raises(UsageError) as refused:
        api.plan("ring", set=[change], budget="640", out=tmp_path / "run", device="cpu")
    text = str(refused.value)
    assert refused.value.code == "CONFIG-VALUE" and "`sparring recipes gan` lists" in text and "batch = 16" not in text


def test_a_setting_that_one_choice_for_images_has_not_is_refused_by_the_one_that_has_it(tmp_path: Path) -> None:
    """Where the data are not known yet a wrong value is called wrong by the recipe that knows the setting."""
    with pytest.raises(UsageError, match="CONFIG-VALUE"):
        api.plan(str(tmp_path / "photos"), set=["d_fourier=-1"], budget="640", out=tmp_path / "run", device="cpu")


def test_a_seed_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SEED"):
        api.plan("ring", seed="a", budget="640", out=tmp_path / "run", device="cpu")  # type: ignore[arg-type]


def test_the_page_of_points_speaks_of_points_and_keeps_the_colours_of_players(ring: tuple[Path, list[Any]]) -> None:
    page = write(ring[0]).read_text("utf-8")
    charts = page[page.index("How it went") : page.index("<h2>Data")]
    assert "points seen" in charts and "images" not in charts.replace('id="curves"', "")
    assert "Points seen" in page and "Images seen" not in page and "Images per second" not in page
    gradients = charts[charts.index("Gradients") :]
    assert gradients.index("G/gradient") < gradients.index("D/gradient"), "the first line is blue, as G is everywhere"
