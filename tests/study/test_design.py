"""From runs and folders to a study: pictures that say nothing, documents that say everything, refusals that help."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from sparring import api
from sparring.cli import main
from sparring.errors import DataError, MachineError, UsageError
from sparring.study import design, plan
from sparring.study.plan import Study

pytestmark = pytest.mark.usefixtures("cache_of_module")
SMALL: dict[str, Any] = {"trials": 8, "practice": 2, "catch": 2}


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory, few_emoji: None) -> Path:
    """A run of pairs; never changed."""
    out = tmp_path_factory.mktemp("runs") / "edges"
    few = {"width": 2, "d_width": 2, "patches": 1, "batch": 4}
    api.train("emoji", recipe="pix2pix", size=16, budget="8", set=few, out=out, threads=1, device="cpu")
    return out


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """30 dark pictures of 16 x 16, and as many bright ones."""
    home = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for name, low in (("dark", 0), ("bright", 128)):
        (home / name).mkdir()
        for k in range(30):
            Image.fromarray(draw.integers(low, low + 100, (16, 16, 3), np.uint8)).save(home / name / f"{k}.png")
    return home / "dark", home / "bright"


def pixels(home: Path, study: Study, of: str, use: str = "scored") -> list[np.ndarray]:
    """By item."""
    mine = sorted((p for p in study.pictures if p.of == of and p.use == use), key=lambda p: p.item)
    return [np.asarray(Image.open(home / "images" / f"{p.name}.png")) for p in mine]


def test_a_run_against_what_was_held_out_of_its_data(translator: Path, tmp_path: Path) -> None:
    home = design.new(translator, out=tmp_path / "study", device="cpu", seed=5, **SMALL)
    study = plan.read(home)
    assert study.real is not None and study.real.split == "held-out" and not study.matched
    assert (study.protocol, study.seconds, study.seed, study.models[0].images) == ("paired", 1.0, 5, 8)
    assert len(study.pictures) == 6 + 2 + 2 + (6 + 2 + 2) + 2
    run = api.load(translator, device="cpu")
    known = {image.tobytes() for image in pixels(home, study, "real")}
    assert len(known) == 6 and all(image.shape == (16, 16, 3) for image in pixels(home, study, "A"))
    assert str(run.path) == study.real.source


def test_the_directory_gives_nothing_away(folders: tuple[Path, Path], tmp_path: Path) -> None:
    dark, bright = folders
    home = design.new(bright, dark, out=tmp_path / "study", **SMALL)
    files = sorted((home / "images").iterdir())
    study = plan.read(home)
    assert {file.stem for file in files} == {p.name for p in study.pictures}
    assert len({file.stat().st_mtime for file in files}) == 1
    for file in files:
        with Image.open(file) as image:
            assert (image.format, image.mode, image.size, image.info) == ("PNG", "RGB", (16, 16), {})
    assert [p.name for p in study.pictures] == sorted(p.name for p in study.pictures)
    again = plan.read(design.new(bright, dark, out=tmp_path / "again", **SMALL))
    assert not {p.name for p in again.pictures} & {p.name for p in study.pictures}, "names are drawn anew"


def test_the_seed_decides_what_is_seen(folders: tuple[Path, Path], tmp_path: Path) -> None:
    dark, bright = folders
    homes = [design.new(bright, dark, out=tmp_path / str(k), seed=seed, **SMALL) for k, seed in enumerate((0, 0, 1))]
    found = [np.stack(pixels(home, plan.read(home), "A")).tobytes() for home in homes]
    assert found[0] == found[1] != found[2]
    reals = pixels(homes[0], plan.read(homes[0]), "real")
    assert (
        max(image.max() for image in reals)
        < 128
        <= min(image.min() for image in pixels(homes[0], plan.read(homes[0]), "A"))
    )
    noise = np.stack(pixels(homes[0], plan.read(homes[0]), "noise", "catch"))
    assert noise.std() > 60


def test_pictures_are_each_used_once(folders: tuple[Path, Path], tmp_path: Path) -> None:
    dark, bright = folders
    home = design.new(bright, dark, out=tmp_path / "study", images=12, **SMALL)
    study = plan.read(home)
    for of in ("A", "real"):
        mine = [p.source for p in study.pictures if p.of == of]
        assert len(mine) == len(set(mine)) == 16


def test_translations_of_one_input_stand_beside_each_other(translator: Path, tmp_path: Path) -> None:
    home = design.new(translator, out=tmp_path / "a", matched=True, device="cpu", **SMALL)
    study = plan.read(home)
    assert study.matched
    sources = {of: [p.source for p in sorted(study.pictures, key=lambda p: (p.use, p.item)) if p.of == of]
               for of in ("A", "real")}  # fmt: skip
    assert sources["A"] == sources["real"]
    both = design.new([translator, translator], protocol="preference", out=tmp_path / "b", device="cpu", **SMALL)
    chosen = plan.read(both)
    assert chosen.matched and chosen.real is None and chosen.seconds is None
    for a, b in zip(pixels(both, chosen, "A"), pixels(both, chosen, "B"), strict=True):
        assert (a == b).all(), "the same run makes the same of the same input"


def test_what_cannot_be_asked(folders: tuple[Path, Path], translator: Path, tmp_path: Path) -> None:
    dark, bright = folders
    (tmp_path / "large").mkdir()
    for k in range(12):
        noise = np.random.default_rng(k).integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "large" / f"{k}.png")
    asked: list[tuple[str, Any, dict[str, Any]]] = [
        ("STUDY-REAL", bright, {}),
        ("STUDY-MATCHED", bright, {"real": dark, "matched": True}),
        ("STUDY-SIZES", bright, {"real": tmp_path / "large"}),
        ("STUDY-POINTS", "ring", {"real": dark}),
        ("STUDY-ASKED", bright, {"real": dark, "practice": 8}),
        ("STUDY-ASKED", bright, {"protocol": "preference"}),
        ("STUDY-ASKED", bright, {"real": dark, "seconds": -1}),
        ("STUDY-ASKED", bright, {"real": dark, "rules": {"fast_ms": -1}}),
        ("STUDY-ASKED", bright, {"real": dark, "rules": {"fastest": 1}}),
        ("STUDY-IMAGES", bright, {"real": dark, "images": 3}),
        ("STUDY-RUNS", [], {"real": dark}),
    ]
    for code, runs, how in asked:
        with pytest.raises(UsageError) as refused:
            design.new(runs, out=tmp_path / "study", **SMALL | how)
        assert refused.value.code == code and "--help" not in refused.value.fix
    with pytest.raises(DataError, match="STUDY-FEW"):
        design.new(bright, dark, out=tmp_path / "study", trials=40)
    assert not (tmp_path / "study").exists(), "nothing is left behind"
    with pytest.raises(UsageError, match="STUDY-OUT"):
        design.new(bright, dark, out=dark, **SMALL)


def test_a_study_is_read_as_it_was_written(folders: tuple[Path, Path], tmp_path: Path) -> None:
    dark, bright = folders
    how: dict[str, Any] = {"one_each": True, "title": "<b>: # wörds", "rules": {"catch_wrong": 0}, **SMALL}
    home = design.new([bright, bright], dark, protocol="single", out=tmp_path / "s", **how)
    study = plan.read(home)
    assert study.title == "<b>: # wörds" and study.rules.catch_wrong == 0 and study.seconds is None
    plan.write(study, home)
    assert plan.read(home) == study
    values = yaml.safe_load((home / "study.yaml").read_text())
    for key, wrong in (("trials", 0), ("protocol", "triplet"), ("surprise", 1), ("models", []), ("seed", -1)):
        (home / "study.yaml").write_text(yaml.safe_dump(values | {key: wrong}))
        with pytest.raises(DataError, match=key):
            plan.read(home)


def test_the_command_line(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dark, bright = folders
    home = str(tmp_path / "study")
    few = ["--trials", "8", "--practice", "2", "--catch", "2"]
    assert main(["study", "new", str(bright), "--against", str(bright), "--real", str(dark), *few, "--out", home]) == 0
    heard = capsys.readouterr()
    assert heard.out.strip() == home and "not counted" in heard.err
    assert "Which is real?\n" in heard.err and "10 trials: 2 for practice, 6 that count, 2 catch trials;" in heard.err
    with api.open_study(home) as store:
        assert store.study.title == "Which is real?", "raters do not read what made the pictures"
        rater = store.enrol("some rater's token")
        for trial in store.trials(rater):
            store.vote(rater, trial.number, trial.truth, 700)
    assert main(["study", "result", home]) == 0
    assert "fooled 0.0 %" in capsys.readouterr().out
    assert main(["study", "result", home, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["raters"]["counted"] == 1
    assert main(["study", "export", home]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 11
    file = str(tmp_path / "answers.json")
    assert main(["study", "export", home, "--format", "json", "--out", file]) == 0
    assert len(json.loads(Path(file).read_text())["votes"]) == 10


@pytest.mark.parametrize(
    ("line", "code", "exit_code"),
    [
        ("study result nowhere", "STUDY-MISSING", 3),
        ("study serve nowhere", "STUDY-MISSING", 3),
        ("study reslt x", "STUDY-ACTION", 2),
        ("study result x --trials 3", "STUDY-FLAG", 2),
        ("study new x --json", "STUDY-FLAG", 2),
        ("study new", "WORDS", 2),
        ("study new x --protocol pairs", "FLAG-VALUE", 2),
    ],
)
def test_slips_on_the_command_line(
    line: str, code: str, exit_code: int, capsys: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == exit_code
    heard = capsys.readouterr()
    assert f"[{code}]" in heard.err and "fix: " in heard.err


def test_what_fails_half_way_leaves_nothing(folders: tuple[Path, Path], tmp_path: Path, monkeypatch: Any) -> None:
    dark, bright = folders

    def full(study: Study, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plan, "write", full)
    with pytest.raises(MachineError, match="No space left"):
        design.new(bright, dark, out=tmp_path / "study", **SMALL)
    assert not list(tmp_path.iterdir())


def test_broken_files_are_passed_over(folders: tuple[Path, Path], tmp_path: Path) -> None:
    dark, bright = folders
    mixed = Path(shutil.copytree(bright, tmp_path / "mixed"))
    for k in range(14):
        (mixed / f"{k}.png").write_bytes((mixed / f"{k}.png").read_bytes()[:90])
    study = plan.read(design.new(mixed, dark, out=tmp_path / "study", **SMALL))
    used = {str(p.source) for p in study.pictures if p.of == "A"}
    assert len(used) == 10 and not used & {f"{k}.png" for k in range(14)}
