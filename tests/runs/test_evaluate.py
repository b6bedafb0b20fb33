"""Evaluations: laws that hold whatever the judge is, what the cache may answer, and what is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import api
from sparring.errors import CheckpointError, DataError, UsageError
from sparring.metrics import extractors
from sparring.metrics.extractors import PixelFeatures
from sparring.metrics.features import embed
from sparring.runs.evaluate import memorisation, seen, sides, stream, verdicts, worker
from sparring.runs.evaluate.opening import Wanted, open_side
from sparring.runs.evaluate.remarks import lines

PAIRED = ("kid", "fd", "precision", "recall", "density", "coverage")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Tiny(PixelFeatures):
    """Pixels at 6 × 6: few dimensions, so that nothing takes long."""

    name, size, dimensions = "tiny", 6, 3 * 6 * 6


class Other(PixelFeatures):
    """At 4 × 4."""

    name, size, dimensions = "other", 4, 3 * 4 * 4


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extractors.EXTRACTORS, "tiny", extractors.Entry("tiny", lambda argument, device: Tiny()))
    monkeypatch.setitem(extractors.EXTRACTORS, "other", extractors.Entry("other", lambda argument, device: Other()))


def images(n: int, seed: int, side: int = 16, tilt: float = 0.0) -> np.ndarray:
    """(n, side, side, 3): smooth random images, all different."""
    chance = np.random.default_rng(seed)
    small = chance.integers(0, 256, (n, 4, 4, 3)).astype(np.uint8)
    made = [
        np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC), np.float32) for one in small
    ]
    return np.clip(np.stack(made).astype(np.float32) * (1 - tilt) + 255 * tilt, 0, 255).astype(np.uint8)


def folder(path: Path, pixels: np.ndarray, names: list[str] | None = None) -> str:
    path.mkdir(parents=True)
    for k, one in enumerate(pixels):
        Image.fromarray(one).save(path / (names[k] if names else f"{k:04d}.png"))
    return str(path)


def values(record: dict[str, Any]) -> dict[str, float]:
    return {name: one["value"] for name, one in record["metrics"].items()}


def measured(real: Any, fake: Any = None, **settings: Any) -> dict[str, Any]:
    return api.evaluate(real, fake, **{"features": "tiny", "metrics": ",".join(PAIRED), "device": "cpu", **settings})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `two` gives copies of."""
    place = tmp_path_factory.mktemp("two")
    folder(place / "a", images(130, 0)), folder(place / "b", images(130, 1, tilt=0.1))
    return place


@pytest.fixture
def two(drawn: Path, tmp_path: Path) -> tuple[str, str]:
    """Two folders of 130 images of laws that differ a little."""
    return str(shutil.copytree(drawn / "a", tmp_path / "a")), str(shutil.copytree(drawn / "b", tmp_path / "b"))


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_copy_of_a_folder_is_perfect(tmp_path: Path, two: tuple[str, str]) -> None:
    shutil.copytree(two[0], tmp_path / "copy")
    record = measured(two[0], tmp_path / "copy")
    found = values(record)
    assert found["precision"] == found["recall"] == found["coverage"] == 1.0
    assert abs(found["fd"]) < 1e-8 and -1.0 < found["kid"] < 0.0  # KID is unbiased: a copy is nearer than fresh data
    assert any("the same images" in text for text in record["warnings"])


def test_sides_may_be_exchanged(two: tuple[str, str]) -> None:
    there, back = values(measured(*two)), values(measured(*two[::-1]))
    assert there["kid"] == pytest.approx(back["kid"], rel=1e-9) and there["fd"] == pytest.approx(back["fd"], rel=1e-6)
    assert there["precision"] == back["recall"] and there["recall"] == back["precision"]
    assert there["kid"] > 0 and there["fd"] > 0


def test_names_order_and_container_change_nothing(tmp_path: Path, two: tuple[str, str]) -> None:
    pixels = images(130, 1, tilt=0.1)
    order = np.random.default_rng(5).permutation(130)
    folder(tmp_path / "c", pixels[order], [f"sub-{130 - k}.png" for k in range(130)])
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for path in sorted((tmp_path / "c").iterdir()):
            archive.write(path, f"deep/er/{path.name}")
    one, *others = (measured(two[0], fake) for fake in (two[1], tmp_path / "c", tmp_path / "c.zip"))
    for other in others:
        assert other["metrics"] == one["metrics"]
        assert other["fake"]["fingerprint"] == one["fake"]["fingerprint"]
    assert [other["fake"]["kind"] for other in others] == ["folder", "zip"]


def test_how_many_are_looked_at_together_changes_nothing(two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Wanted("files", two[0])
    judge = extractors.open("tiny")
    found = []
    for chunk in (64, 10):
        monkeypatch.setattr(stream, "CHUNK", chunk)
        found.append(stream.look(open_side(wanted), judge))
    a, b = found
    assert torch.allclose(a.features, b.features, atol=1e-6)
    assert torch.allclose(a.moments.scatter, b.moments.scatter, rtol=1e-6, atol=1e-6)
    assert (a.positions == np.arange(130)).all() and a.n == b.n == 130


def test_what_is_seen_is_what_embed_gives(two: tuple[str, str]) -> None:
    side = open_side(Wanted("files", two[0]))
    judge = extractors.open("tiny")
    every = torch.cat([group for _, group in side.groups(0, 130)])
    found = stream.look(side, judge)
    assert torch.equal(found.features, embed(judge, every))
    assert torch.allclose(found.moments.mean, embed(judge, every).double().mean(0), atol=1e-12)


def test_processes_share_the_work_and_change_nothing(two: tuple[str, str], quick_processes: None) -> None:
    wanted, judge = Wanted("files", two[0], device="cpu"), extractors.open("pixels")
    side = open_side(wanted)
    alone = stream.look(side, judge)
    told: list[int] = []
    together = stream._together(
        130, wanted, "pixels", 2, side.key, lambda stage, done, total: told.append(done)
    )  # fmt: skip
    assert torch.equal(alone.features, together.features) and (alone.positions == together.positions).all()
    assert together.n == alone.n
    assert torch.allclose(alone.moments.mean, together.moments.mean, rtol=1e-9, atol=1e-12)
    assert torch.allclose(alone.moments.scatter, together.moments.scatter, rtol=1e-9, atol=1e-9)
    assert told[-1] == 130


def test_a_process_that_finds_other_images_stops(two: tuple[str, str], tmp_path: Path) -> None:
    task = {"side": Wanted("files", two[0], device="cpu").record(), "features": "tiny", "rank": 0, "of": 2,
            "threads": torch.get_num_threads(), "key": "another", "out": str(tmp_path / "x.npz")}  # fmt: skip
    with pytest.raises(DataError, match="DATA-CHANGED"):
        worker.work(task)


def test_of_many_images_some_features_are_kept_and_all_moments(
    two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = values(measured(*two, metrics="fd"))
    monkeypatch.setattr(seen, "KEPT", 40)
    record = measured(*two, metrics="kid,fd,precision")
    assert record["features"]["kept"] == [40, 40]
    assert [record["metrics"][name]["n_fake"] for name in ("kid", "fd", "precision")] == [40, 130, 40]
    assert values(record)["fd"] == pytest.approx(whole["fd"], rel=1e-9)
    low, high = record["metrics"]["fd"]["interval"]
    assert low < values(record)["fd"] < high


def test_a_number_of_images_is_chosen_by_the_seed(two: tuple[str, str]) -> None:
    first, again, other = (measured(*two, n=50, seed=seed, metrics="kid") for seed in (3, 3, 4))
    assert first["metrics"] == again["metrics"] and first["real"]["n"] == 50
    assert values(first) != values(other)


def test_two_halves_say_what_is_to_be_expected(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", images(400, 0)), folder(tmp_path / "b", images(400, 1))
    record = measured(real, fake, null=True)
    for found in (record["metrics"], record["null"]):
        low, high = found["kid"]["interval"]
        assert low <= 0 <= high
    assert record["null"]["kid"]["n_real"] == 200
    assert any("no difference can be seen" in line for line in lines(record))
    assert any("real against real" in line for line in lines(record))


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_images_keep_their_size_unless_one_is_asked_for(tmp_path: Path) -> None:
    small, large = folder(tmp_path / "a", images(30, 0)), folder(tmp_path / "b", images(30, 0, side=32))
    record = measured(small, large, metrics="kid")
    assert "own size" in record["real"]["prepared"] and record["real"]["sizes"] == {"16x16": 30}
    assert any("resizing alone" in text and "--size 16" in text for text in record["warnings"])
    alike = measured(small, large, metrics="kid", size=16)
    assert "16x16" in alike["fake"]["prepared"] and not any("resizing" in text for text in alike["warnings"])


def test_each_image_goes_to_the_judge_at_its_own_size(tmp_path: Path) -> None:
    pixels = [*images(20, 0), *images(20, 1, side=40), *(one[:30] for one in images(20, 2, side=48))]
    path = Path(folder(tmp_path / "mixed", pixels))  # type: ignore[arg-type]
    side = open_side(Wanted("files", str(path)))
    judge = extractors.open("tiny")
    found = stream.look(side, judge)
    assert found.n == 60
    for position in (0, 25, 59):
        image = np.asarray(Image.open(path / str(side.name(position))))
        alone = judge(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])
        assert torch.equal(found.features[position], alone[0])
    record = measured(path, path, metrics="kid")
    assert any("not square" in text for text in record["warnings"])


def test_jpeg_against_png_is_said(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", images(30, 0)), folder(tmp_path / "b", images(30, 1), [f"{k}.jpg" for k in range(30)])
    assert any("FAKE is JPEG" in text for text in measured(a, b, metrics="kid")["warnings"])


# ── the cache ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each look was at."""
    counted: list[int] = []
    real = stream.look

    def look(side: Any, *args: Any, **settings: Any) -> Any:
        counted.append(len(side))
        return real(side, *args, **settings)

    monkeypatch.setattr(stream, "look", look)
    return counted


def test_the_same_content_elsewhere_is_known_and_a_changed_image_is_not(
    tmp_path: Path, two: tuple[str, str], looks: list[int]
) -> None:
    first = measured(*two)
    assert looks == [130, 130]
    assert measured(*two)["metrics"] == first["metrics"] and len(looks) == 2
    shutil.copytree(two[1], tmp_path / "elsewhere")
    assert measured(two[0], tmp_path / "elsewhere")["metrics"] == first["metrics"] and len(looks) == 2
    Image.fromarray(images(1, 77)[0]).save(tmp_path / "elsewhere" / "0003.png")
    assert measured(two[0], tmp_path / "elsewhere")["metrics"] != first["metrics"] and len(looks) == 3
    measured(*two, features="other", metrics="kid")  # another judge
    measured(*two, size=16)  # prepared in another way
    assert len(looks) == 7


@pytest.mark.parametrize("how", ["a byte", "cut", "no meta", "another shape"])
def test_a_damaged_entry_is_made_anew(cache: Path, two: tuple[str, str], looks: list[int], how: str) -> None:
    first = measured(*two)
    for entry in (cache / "features").iterdir():
        if not entry.is_dir():
            continue
        path = entry / "features.npy"
        match how:
            case "a byte":
                data = bytearray(path.read_bytes())
                data[len(data) // 2] ^= 1
                path.write_bytes(bytes(data))
            case "cut":
                path.write_bytes(path.read_bytes()[:100])
            case "no meta":
                (entry / "meta.json").unlink()
            case "another shape":
                np.save(path, np.zeros((2, 2)))
    assert measured(*two)["metrics"] == first["metrics"] and len(looks) == 4
    measured(*two)
    assert len(looks) == 4


def test_what_was_used_longest_ago_makes_room(
    cache: Path, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "ROOM", 1)
    measured(*two, metrics="kid")
    assert len([entry for entry in (cache / "features").iterdir() if entry.is_dir()]) == 1


# ── copies ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_copied_images_are_named(tmp_path: Path) -> None:
    """40 % of the fakes repeat real images, with a little noise, so that no file is the same."""
    real = images(400, 0)
    noise = np.random.default_rng(3).integers(-2, 3, (80, 16, 16, 3))
    copied = np.clip(real[40:120] + noise, 0, 255).astype(np.uint8)
    fake = np.concatenate([copied, images(120, 9)])
    record = measured(folder(tmp_path / "real", real), folder(tmp_path / "fake", fake), metrics="copies")
    found = record["memorisation"]
    named = {one["fake"]: one["real"] for one in found["copies"]}
    aside = {f"{k:04d}.png" for k in range(40, 120)} - set(named.values())  # a twentieth of REAL is set aside
    assert len(aside) <= 20 and found["p"] < 1e-6
    for fake_name, real_name in list(named.items())[:60]:
        assert int(real_name[:4]) == int(fake_name[:4]) + 40
    assert found["interval"][0] <= 0.4 and found["share"] > 0.3
    assert "copies of training images" in "\n".join(lines(record))
    assert record["metrics"]["copies"]["warning"]


def test_files_are_not_told_what_is_true_of_runs(two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No recipe stands behind a folder, and nothing is going anywhere."""
    monkeypatch.setattr(verdicts, "JUDGES", ("tiny",))
    for fake in two:
        record = measured(two[0], fake, metrics="vendi_ratio,coverage,density,copies")
        assert record["verdicts"]
        for one in record["verdicts"]:
            assert "recipe" not in one["sentence"] and "going" not in one["sentence"]
        assert record["metrics"]["density"]["interval"][0] >= 0


def test_fresh_images_are_no_copies(tmp_path: Path) -> None:
    real, fake = folder(tmp_path / "a", images(400, 0)), folder(tmp_path / "b", images(300, 1))
    record = measured(real, fake, metrics="copies")
    assert record["memorisation"]["p"] > 1e-3 and "warning" not in record["metrics"]["copies"]


def test_equal_files_are_counted(tmp_path: Path, two: tuple[str, str]) -> None:
    for k in range(7):
        shutil.copy(Path(two[0]) / f"{k:04d}.png", Path(two[1]) / f"x{k}.png")
    assert any("7 of 137 files of FAKE are, byte for byte" in text for text in measured(*two)["warnings"])


# ── runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("run")
    folder(place / "data", images(200, 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_CACHE", str(place / "cache"))
        api.train(
            place / "data", size=16, recipe="dcgan", set={"width": 4, "batch": 8, "z": 4}, budget="64",
            out=place / "run", threads=1, held_out=0.2, device="cpu",
        )  # fmt: skip
    return place / "run"


def test_a_run_is_held_against_what_it_set_aside(run: Path) -> None:
    record = measured(run, n=60, metrics="kid,copies,precision", null=True)
    assert record["real"]["split"] == "held-out" and record["real"]["n"] == 40
    assert record["fake"] | {"fingerprint": ""} == {
        "what": str(run), "kind": "run", "split": "samples", "n": 60, "weights": "ema", "seed": 0, "images": 64,
        "prepared": "as drawn, rounded to 8 bits", "sizes": {"16x16": 60}, "left_out": 0, "fingerprint": "",
    }  # fmt: skip
    assert record["memorisation"]["training_images"] == 160
    assert len(record["neighbours"]) == 30 and record["neighbours"][0].keys() == {"fake", "real", "distance", "rank"}
    assert record["neighbours"][0]["real"].endswith(".png") and record["null"]["kid"]["n_fake"] == 60
    assert json.loads((run / "evaluation.json").read_text()) == json.loads(json.dumps(record))
    with Image.open(run / "neighbours.png") as sheet:
        assert sheet.size == (10 * 66 + 2, 4 * 66 + 2)


def test_samples_are_those_of_the_seed_and_the_weights(run: Path) -> None:
    side = open_side(Wanted("drawn", str(run), n=10, seed=3, device="cpu"))
    drawn = torch.cat([group for _, group in side.groups(0, 10)])
    assert torch.equal(drawn, api.load(run).sample(10, seed=3).mul(255).round().to(torch.uint8))
    raw = open_side(Wanted("drawn", str(run), n=10, seed=3, weights="raw", device="cpu"))
    assert not torch.equal(torch.cat([group for _, group in raw.groups(0, 10)]), drawn) and raw.key != side.key
    assert open_side(Wanted("drawn", str(run), n=10, seed=4, device="cpu")).key != side.key


def test_a_checkpoint_stands_for_its_samples(run: Path, tmp_path: Path) -> None:
    newest = max((run / "checkpoints").glob("0*"))
    before = (run / "evaluation.json").read_bytes() if (run / "evaluation.json").exists() else b""
    record = measured(folder(tmp_path / "a", images(60, 4)), newest, n=30, metrics="kid")
    assert record["fake"]["kind"] == "checkpoint" and record["fake"]["images"] == int(newest.name)
    assert "16x16" in record["real"]["prepared"]  # as the run's data were
    assert ((run / "evaluation.json").read_bytes() if before else b"") == before


def test_a_run_as_the_real_side_stands_for_its_data(run: Path, tmp_path: Path) -> None:
    copies = images(200, 0)[:60]
    record = measured(run, folder(tmp_path / "fake", copies), metrics="copies", split="held-out")
    assert record["real"]["what"].endswith("data") and record["memorisation"]["exact"] > 30


def test_a_bounded_memory_of_copies_says_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "KEPT", 50)
    found = measured(run, n=40, metrics="copies")["memorisation"]
    assert found["training_images"] == 50 and found["training_images_in_all"] == 160 and "3.2 times" in found["warning"]


def test_paths_through_latent_space_have_a_length(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sparring.runs.evaluate import measures

    monkeypatch.setattr(measures, "_PATHS", 8)
    record = measured(run, features="efficientnet-lite0", n=10, metrics="ppl,checkerboard,kid")
    assert values(record)["ppl"] > 0 and values(record)["checkerboard"] > 0


# ── what is said, and what is refused ─────────────────────────────────────────────────────────────────────────────


def test_the_record_carries_what_is_needed_to_compare(two: tuple[str, str], tmp_path: Path) -> None:
    record = measured(*two, metrics="all", out=tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(json.dumps(record))
    for name, one in record["metrics"].items():
        assert {
            "value",
            "interval",
            "n_real",
            "n_fake",
            "features",
            "method",
            "seed",
            "split",
            "weights",
            "resize",
        } <= set(one), name
        assert (one["value"] is None) == ("refused" in one)
    refused = {name for name, one in record["metrics"].items() if "refused" in one}
    assert refused == {"inception_score", "cmmd", "ppl", "modes", "class_frequencies", "fd_inf"}
    assert record["metrics"]["kid"]["features"] == "tiny 1 at 6 px"
    assert record["command"] == f"sparring evaluate {two[0]} {two[1]} --features tiny --metrics all"
    assert "read kid" in record["metrics"]["fd"]["warning"] and record["seconds"] >= 0


def test_the_name_of_fid_is_that_of_inception(two: tuple[str, str]) -> None:
    one = measured(*two, metrics="fid")["metrics"]["fid"]
    assert one["value"] is None and "inception" in one["refused"]


def test_images_that_cannot_be_used_are_left_out_and_named(two: tuple[str, str]) -> None:
    (Path(two[1]) / "broken.png").write_bytes((Path(two[1]) / "0000.png").read_bytes()[:-200])
    (Path(two[1]) / "empty.png").write_bytes(b"")
    for _ in range(2):  # the second time the features come from the cache
        record = measured(*two, metrics="kid")
        assert record["fake"]["n"] == 130 and record["fake"]["left_out"] == 2
        assert any("FAKE: 2 left out" in text and "broken.png" in text for text in record["warnings"])


def empty(path: Path) -> str:
    path.mkdir()
    return str(path)


def text_file(path: Path) -> str:
    path.write_text("hello")
    return str(path)


@pytest.mark.parametrize(
    ("make", "error", "code"),
    [
        (lambda p: empty(p), DataError, "DATA-EMPTY"),
        (lambda p: str(p), DataError, "DATA-MISSING"),
        (lambda p: folder(p, images(2, 0)), DataError, "EVALUATE-FEW"),
        (lambda p: "ring", UsageError, "EVALUATE-POINTS"),
        (lambda p: text_file(p), DataError, "DATA"),
    ],
    ids=["empty", "missing", "two images", "points", "a text"],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_side_that_is_none_is_one_clear_error(
    tmp_path: Path, two: tuple[str, str], make: Any, error: type[Exception], code: str, first: bool
) -> None:
    bad = make(tmp_path / "bad")
    with pytest.raises(error, match=rf"\[{code}"):
        measured(*((bad, two[1]) if first else (two[0], bad)))


def test_a_run_that_cannot_be_used_is_one_clear_error(run: Path, tmp_path: Path, two: tuple[str, str]) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    shutil.rmtree(bare / "checkpoints")
    with pytest.raises(CheckpointError, match="RUN-EMPTY"):
        measured(two[0], bare)
    orphan = tmp_path / "checkpoints" / "000000000064"
    shutil.copytree(max((run / "checkpoints").glob("0*")), orphan)
    with pytest.raises(CheckpointError, match="EVALUATE-CHECKPOINT"):
        measured(two[0], orphan)
    points = api.train("ring", recipe="gan", set={"width": 8, "z": 2}, budget="64", out=tmp_path / "p", threads=1)
    with pytest.raises(UsageError, match="EVALUATE-POINTS"):
        measured(points.path)
    with pytest.raises(UsageError, match="EVALUATE-POINTS"):
        measured(two[0], points.path)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"metrics": "kidd"}, "EVALUATE-METRIC"),
        ({"features": "pixel"}, "FEATURES-UNKNOWN"),
        ({"n": 2}, "EVALUATE-N"),
        ({"processes": 0}, "EVALUATE-PROCESSES"),
        ({"seed": -1}, "SAMPLE-SEED"),
        ({"which": "newest"}, "ARGUMENT"),
        ({"out": "no/such/folder/x.json"}, "EVALUATE-OUT"),
        ({"colour": "red"}, "ARGUMENT"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_argument_is_one_clear_error(two: tuple[str, str], settings: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError, match=rf"\[{code}\]"):
        measured(*two, **settings)


def test_data_alone_and_sizes_of_runs_are_refused(two: tuple[str, str], run: Path) -> None:
    with pytest.raises(UsageError, match="EVALUATE-ALONE"):
        measured(two[0])
    with pytest.raises(UsageError, match="EVALUATE-SIZE"):
        measured(two[0], run, size=16)


def test_collapsed_samples_are_measured_not_refused(tmp_path: Path, two: tuple[str, str]) -> None:
    fake = folder(tmp_path / "one", np.repeat(images(1, 4), 60, axis=0))
    record = measured(two[0], fake, metrics="kid,recall,vendi_ratio,duplicates")
    found = values(record)
    assert found["vendi_ratio"] < 0.2 and found["duplicates"] == 1.0 and found["recall"] == 0.0
    assert "repeat each other" in record["metrics"]["duplicates"]["warning"]


def test_the_parts_are_what_their_names_say() -> None:
    assert sides.chosen(5, None, 0).tolist() == [0, 1, 2, 3, 4] and len(sides.chosen(50, 7, 0)) == 7
    assert (np.diff(seen.kept_of(25_000)) > 0).all() and len(seen.kept_of(25_000)) == seen.KEPT
    assert memorisation.divided(seen.Seen(seen.Moments(2), torch.zeros(50, 2), np.arange(50)), None) is None  # type: ignore[arg-type]
