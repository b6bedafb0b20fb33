"""An exported folder is the run, without the run: the same numbers, checked before use, and nothing private."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.export.runs import CLASS_NAMES, run_of
from tests.train.arena import EVERY, TRANSLATING

from sparring import api
from sparring.chance import Dice
from sparring.cli import main
from sparring.errors import CheckpointError, SparringError, UsageError
from sparring.export import folder
from sparring.export import safetensors as form
from sparring.runs.release import CONFIG, WEIGHTS, Release, kept
from sparring.types import Classifies, HasLatents, HasTokens, MatchesText, Samples, Segments, TranslatesBack


@pytest.fixture(scope="module")
def cgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of cgan with its export in it; never change it."""
    out = tmp_path_factory.mktemp("runs") / "faces"
    folder.export(run_of("cgan", out), ["safetensors"], out / "export")
    return out


@pytest.fixture
def exported(cgan: Path, tmp_path: Path) -> Path:
    """A copy of an exported folder."""
    return Path(shutil.copytree(cgan / "export", tmp_path / "faces"))


@torch.no_grad()
def outputs(run: Any, name: str) -> list[torch.Tensor]:
    """Everything that a game can do, on the same input."""
    x, dice = Dice(1, "x", range(3)).uniform(3, 16, 16) * 2 - 1, Dice(5, "use", range(3))
    game, found = run.game, []
    if isinstance(game, Samples):
        found.append(run.sample(3, seed=5))
    if isinstance(game, HasLatents):
        found.append(game.decode(game.latents(dice)))
    if name in TRANSLATING:
        found += [game.translate(x, None), game.translate(x, dice)]
    if isinstance(game, TranslatesBack):
        found.append(game.translate_back(x, dice))
    if isinstance(game, Classifies):
        found += [game.classify(x), game.embed(x)]
    if isinstance(game, Segments):
        found.append(game.segment(x))
    if isinstance(game, MatchesText):
        found += [game.embed_images(x), game.embed_texts(["stripes", "a cat"])]
    if isinstance(game, HasTokens):
        found += [game.encode(x), game.decode(game.encode(x))]
    return found


@pytest.mark.parametrize("name", EVERY)
def test_a_folder_of_every_recipe_computes_what_the_run_does_bit_for_bit(name: str, tmp_path: Path) -> None:
    run = run_of(name, tmp_path / "run")
    made = folder.export(run, ["safetensors"], tmp_path / "out")
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")  # it is not needed
    again = api.load(made.path, device="cpu")
    wanted = outputs(run, name)
    assert wanted and all(map(torch.equal, outputs(again, name), wanted))
    held = safetensors.torch.load_file(made.path / WEIGHTS)
    assert {key.partition(".")[0] for key in held} <= {*run.game.averaged, "game"}
    assert not any("pool" in key for key in held)
    text = "".join((made.path / file).read_text("utf-8") for file in (CONFIG, "README.md"))
    assert "secret" not in text and "my photos" in text


def test_samples_of_a_folder_from_the_command_line(
    exported: Path, cgan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(exported), "-n", "2", "--label", "c"]) == 0
    path = Path(capsys.readouterr().out.splitlines()[0])
    assert path == exported / "generated" / "c" / "000000.png"
    assert main(["sample", str(cgan), "-n", "2", "--label", "c", "--out", str(exported / "run")]) == 0
    assert path.read_bytes() == (exported / "run" / "000000.png").read_bytes()
    assert main(["info", str(exported)]) == 0
    said = capsys.readouterr().out
    assert "sample by class" in said and "G " in said and "D " not in said
    assert main(["interpolate", str(exported), "--frames", "2"]) == 0
    assert (exported / "walk.gif").is_file()


def test_only_the_checkpoint_that_was_exported_is_there(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="one checkpoint"):
        api.load(exported, which=7)
    assert api.load(exported, which="last").images == api.load(exported, which=api.load(exported).images).images
    assert main(["resume", str(exported)]) == 4
    assert "exported model" in capsys.readouterr().err


def test_a_folder_can_be_exported_again(exported: Path, tmp_path: Path) -> None:
    again = api.export(exported, out=tmp_path / "again").path
    assert (again / WEIGHTS).read_bytes() == (exported / WEIGHTS).read_bytes()
    assert json.loads((again / CONFIG).read_text()) == json.loads((exported / CONFIG).read_text())
    assert (again / "samples.png").read_bytes() == (exported / "samples.png").read_bytes()


def test_the_averages_are_exported_and_where_none_are_kept_the_weights(tmp_path: Path) -> None:
    for images, same in ((50, False), (0, True)):
        run = run_of("dcgan", tmp_path / f"{images}", ema_images=images)
        raw = run.checkpoint.tensors("G")
        assert all(torch.equal(raw[key.removeprefix("G.")], t) for key, t in kept(run.game).items()) is same


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────


def config(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """The change of what config.json says, as a change of the folder."""

    def of(path: Path) -> None:
        said = json.loads((path / CONFIG).read_text("utf-8"))
        change(said)
        (path / CONFIG).write_text(json.dumps(said))

    return of


def text(content: str) -> Callable[[Path], None]:
    return lambda path: (path / CONFIG).write_text(content) and None


def flip(path: Path) -> None:
    data = bytearray((path / WEIGHTS).read_bytes())
    data[-3] ^= 1
    (path / WEIGHTS).write_bytes(data)


def shorten(path: Path) -> None:
    (path / WEIGHTS).write_bytes((path / WEIGHTS).read_bytes()[:-1])


def other_weights(path: Path) -> None:
    """Sound, and written down as they should be, but of other networks."""
    import hashlib

    data = safetensors.torch.save({"G.weight": torch.ones(3)})
    (path / WEIGHTS).write_bytes(data)
    config(lambda c: c["weights"].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))(path)


def infinite(path: Path) -> None:
    import hashlib

    held = safetensors.torch.load_file(path / WEIGHTS)
    held[next(key for key in held if key.endswith("weight"))].view(-1)[0] = torch.nan
    data = safetensors.torch.save(held)
    (path / WEIGHTS).write_bytes(data)
    config(lambda c: c["weights"].update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))(path)


BROKEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "flipped bit": (flip, "RELEASE-WEIGHTS", "SHA-256"),
    "cut off": (shorten, "RELEASE-WEIGHTS", "bytes"),
    "no weights": (lambda path: (path / WEIGHTS).unlink(), "RELEASE-WEIGHTS", "No such file"),
    "not finite": (infinite, "RELEASE-WEIGHTS", "not finite"),
    "other weights": (other_weights, "RELEASE-MISMATCH", "missing"),
    "wider": (config(lambda c: c["config"].update(width=8)), "RELEASE-MISMATCH", "G.net"),
    "other classes": (config(lambda c: (c["data"]["classes"].pop(), c["space"].update(classes=4))), "RELEASE-MISMATCH",
                      "G.net"),
    "a terabyte": (config(lambda c: c["config"].update(d_width=2**15)), "RELEASE-SIZE", ""),
    "no JSON": (text("{"), "RELEASE-CONFIG", "Expecting"),
    "a list": (text("[]"), "RELEASE-CONFIG", "object"),
    "key twice": (text('{"format": 1, "format": 2}'), "RELEASE-CONFIG", "twice"),
    "not a number": (text('{"format": NaN}'), "RELEASE-CONFIG", "NaN"),
    "too deep": (text("[" * 100_000), "RELEASE-CONFIG", ""),
    "too long": (text('{"a": "' + "a" * 1_000_000 + '"}'), "RELEASE-CONFIG", "bytes"),
    "of another program": (text('{"architectures": ["Bert"]}'), "RELEASE-CONFIG", "another program"),
    "of the future": (config(lambda c: c.update(format=99)), "RELEASE-CONFIG", "later version"),
    "only ONNX": (config(lambda c: c.pop("weights")), "RELEASE-CONFIG", "another form"),
    "no recipe": (config(lambda c: c.pop("recipe")), "RELEASE-CONFIG", "recipe is missing"),
    "recipe unknown": (config(lambda c: c.update(recipe="stylegan9")), "RECIPE-UNKNOWN", ""),
    "setting unknown": (config(lambda c: c["config"].update(depht=3)), "CONFIG-KEY", ""),
    "setting wrong": (config(lambda c: c["config"].update(width=-4)), "CONFIG-VALUE", "out of range"),
    "contradiction": (config(lambda c: c["space"].update(shape=[3, 32, 32])), "RELEASE-CONFIG", "contradict"),
    "no image": (config(lambda c: (c["data"].update(shape=[3, -1, 16]), c["space"].update(shape=[3, -1, 16]))),
                 "RELEASE-CONFIG", "no image"),
    "shape of words": (config(lambda c: c["data"].update(shape="abc")), "RELEASE-CONFIG", "data.shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_folder_is_said(name: str, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    breaks, code, why = BROKEN[name]
    breaks(exported)
    with pytest.raises(SparringError) as caught:
        api.load(exported, device="cpu")
    assert caught.value.code == code and why in str(caught.value), str(caught.value)
    assert main(["sample", str(exported), "-n", "1"]) == caught.value.exit_code
    assert "Traceback" not in capsys.readouterr().err


def test_a_program_is_not_run_because_a_folder_names_it(exported: Path, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    own = tmp_path / "own.py"
    own.write_text(f"open({str(proof)!r}, 'w')\n")
    config(lambda c: c.update(recipe=f"{own}:Mine"))(exported)
    with pytest.raises(UsageError, match="a file is not run because a run names it"):
        api.load(exported)
    assert not proof.exists()


def test_where_a_folder_may_be_written(cgan: Path, tmp_path: Path) -> None:
    run = api.load(cgan)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    for out in (taken, taken / "thesis.txt", taken / "thesis.txt" / "below", cgan, cgan / "samples" / ".."):
        with pytest.raises(UsageError, match="EXPORT-OUT"):
            api.export(run, out=out)
    assert [path.name for path in taken.iterdir()] == ["thesis.txt"]
    elsewhere = api.export(run, out=tmp_path / "new" / "model").path
    with pytest.raises(UsageError, match="never overwritten"):
        api.export(run, out=elsewhere)


def test_an_export_in_the_run_is_replaced_and_what_was_made_with_it_stays(tmp_path: Path) -> None:
    run = run_of("gan", tmp_path / "run")
    first = api.export(run).path
    assert first == tmp_path / "run" / "export"
    (first / "generated").mkdir()
    (first / "README.md").write_text("old")
    api.export(run, license="mit")
    assert (first / "generated").is_dir() and "license: mit" in (first / "README.md").read_text("utf-8")
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")) == []


def test_a_full_disk_leaves_nothing_behind(cgan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(form, "write_atomically", full)
    with pytest.raises(SparringError, match="No space left"):
        api.export(cgan, out=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_forms_are_named(cgan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(cgan), "--to", "onxx"]) == 2
    assert "did you mean onnx" in capsys.readouterr().err
    with pytest.raises(UsageError, match="EXPORT-FORM"):
        folder.forms(" , ")
    with pytest.raises(UsageError, match="EXPORT-LICENSE"):
        api.export(cgan, license="My own licence!")
    with pytest.raises(CheckpointError):
        api.export(cgan / "samples")


def test_a_release_is_told_from_a_run(exported: Path, cgan: Path) -> None:
    assert isinstance(api.load(exported), Release) and not isinstance(api.load(cgan), Release)
    assert api.load(exported).classes == CLASS_NAMES
