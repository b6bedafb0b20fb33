"""The check of a data set: nothing stops it, and what it proposes can be typed."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.cli import main, parse
from sparring.data import Options
from sparring.data.inspection import Inspection
from sparring.errors import DataError, MachineError
from sparring.runs.check import FILES, Checked, check, place
from sparring.runs.propose import Choice, advise, mirror_is_wrong, propose


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(tmp_path: Path) -> Callable[..., Path]:
    """images(n, size=(40, 40), name="pictures"): a folder of n different ones."""

    def make(n: int = 24, size: tuple[int, int] = (40, 40), name: str = "pictures") -> Path:
        root = tmp_path / name
        root.mkdir(parents=True, exist_ok=True)
        for k in range(n):
            values = np.random.default_rng(k).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
            Image.fromarray(values).save(root / f"{k}.png")
        return root

    return make


def choice(checked: Checked, name: str) -> Choice:
    (one,) = [choice for choice in checked.proposal.choices if choice.name == name]
    return one


def test_a_check_of_good_images(images: Callable[..., Path]) -> None:
    checked = check(images(), device="cpu")
    assert not checked.refused
    assert [c.name for c in checked.proposal.choices] == [
        "size", "crop", "channels", "recipe", "batch", "augmentation", "mirroring",
    ]  # fmt: skip
    assert all(c.why for c in checked.proposal.choices), "every choice says why"
    assert checked.proposal.command == ["sparring", "train", str(images())]


def test_what_is_proposed_can_be_typed(images: Callable[..., Path]) -> None:
    """The words of the command are a command line, and mean what the options said."""
    options = Options(
        channels=1, background=(1, 2, 3), labels="none", levels=(0.0, 4095.0), frames="all", enlarge=True, held_out=0.1,
        keep="off", columns=(("label", "breed"),), on_bad="stop", crop="pad",
    )  # fmt: skip
    source = images(name="my pictures; rm")
    options = replace(options, limits=replace(options.limits, min_side=4, max_aspect=8.0), columns=())
    checked = check(source, options, device="cpu")
    words = shlex.split(shlex.join(checked.proposal.command))
    command = parse(words[1:])
    settings = command.prepared.settings()  # type: ignore[attr-defined]
    assert command.data == str(source)  # type: ignore[attr-defined]
    for name in (
        "channels",
        "background",
        "labels",
        "levels",
        "frames",
        "enlarge",
        "held_out",
        "keep",
        "on_bad",
        "crop",
    ):
        assert settings[name] == getattr(options, name), name
    assert (settings["min_side"], settings["max_aspect"]) == (4, 8.0)
    checked.dataset.close()


@pytest.mark.parametrize("size", [(32, 32), (32, 64)])
def test_the_size_asked_for_is_kept(images: Callable[..., Path], size: tuple[int, int]) -> None:
    checked = check(images(), Options(size=size), device="cpu")
    settings = parse(checked.proposal.command[1:]).prepared.settings()  # type: ignore[attr-defined]
    assert settings["size"] == size
    assert choice(checked, "size").why.startswith("as asked")


def test_large_images_are_learnt_smaller_without_a_gpu(images: Callable[..., Path]) -> None:
    source = images(size=(130, 130))
    assert choice(check(source, device="cpu"), "size").value == "64x64"
    assert "--size" in check(source, device="cpu").proposal.command
    assert choice(check(source, device="cuda"), "size").value == "128x128"
    assert "--size" not in check(source, device="cuda").proposal.command


def test_a_shape_that_all_images_have_is_kept(images: Callable[..., Path]) -> None:
    checked = check(images(size=(120, 60)), device="cpu")
    assert choice(checked, "size").value == "64x32"
    assert choice(checked, "crop").why.startswith("nothing is lost")
    settings = parse(checked.proposal.command[1:]).prepared.settings()  # type: ignore[attr-defined]
    assert settings["size"] == (32, 64), "height, width"


def test_transparent_images_of_all_shapes_are_kept_whole(tmp_path: Path) -> None:
    for k in range(20):
        values = np.random.default_rng(k).integers(0, 256, (40, 40 + 4 * k, 4), dtype=np.uint8)
        (tmp_path / "icons").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "icons" / f"{k}.png")
    checked = check(tmp_path / "icons", device="cpu")
    assert choice(checked, "crop").words == ("--crop", "pad")
    assert "--channels 4" in choice(checked, "channels").why


def test_few_images_are_augmented_and_many_are_not(images: Callable[..., Path]) -> None:
    checked = check(images(), device="cpu")
    assert choice(checked, "augmentation").value != "none"
    (few,) = [finding for finding in checked.inspection.findings if finding.code == "DATA-FEW"]
    assert few.fix.endswith("in training they are augmented")
    many = propose("x", Options(), checked.inspection, 5_000, advise("images", (3, 32, 32), 5_000, "cpu"))
    assert next(c for c in many.choices if c.name == "augmentation").value == "none"


def inspection(name: str = "photos", classes: tuple[str, ...] = (), texts: tuple[str, ...] = ()) -> Inspection:
    return Inspection(
        name, name, "images", (3, 32, 32), "", 10, 10, 10, 0, classes=dict.fromkeys(classes, 10),
        examples=[(f"{k}.png", text) for k, text in enumerate(texts)],
    )  # fmt: skip


@pytest.mark.parametrize(
    "found",
    [
        inspection(classes=tuple("0123456789")),
        inspection(classes=tuple("abc")),
        inspection(classes=("10", "11", "9")),
        inspection("handwritten_digits"),
        inspection("mnist"),
        inspection("traffic-signs"),
        inspection(classes=("letter a", "letter b")),
        inspection(texts=("a man on the left", "the right hand", "looking left")),
    ],
)
def test_writing_is_not_mirrored(found: Inspection) -> None:
    assert mirror_is_wrong(found)
    made = propose("x", Options(), found_with_sizes(found), 5_000, advise("images", (3, 32, 32), 5_000, "cpu"))
    assert made.command[-2:] == ["--set", "flip=false"]


@pytest.mark.parametrize(
    "found",
    [
        inspection(),
        inspection("fashion-mnist", ("shirt", "coat")),
        inspection("cats", ("tabby", "siamese")),
        inspection("designs"),
        inspection(texts=("a red house", "a left shoe", "a tree", "the sea")),
    ],
)
def test_other_images_are_mirrored(found: Inspection) -> None:
    assert mirror_is_wrong(found) == ""


def found_with_sizes(found: Inspection) -> Inspection:
    return replace(found, smallest=(32, 32), median=(32, 32), largest=(32, 32), even=1.0, modes={"colour": 10})


def test_bad_files_do_not_stop_a_check(images: Callable[..., Path]) -> None:
    source = images()
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert not check(source, device="cpu").refused
    strict = check(source, Options(on_bad="stop"), device="cpu")
    assert strict.refused and strict.inspection.usable == 24
    assert strict.verdict().startswith("Not ready")
    assert "broken.png" in "\n".join(strict.lines())


def test_bad_labels_do_not_stop_a_check(images: Callable[..., Path]) -> None:
    source = images()
    (source / "metadata.jsonl").write_text('{"file_name": "0.png", "label": "a"}\n')
    checked = check(source, device="cpu")
    assert checked.refused and checked.inspection.usable == 24
    first = checked.inspection.findings[0]
    assert first.level == "error" and first.code == "DATA-LABELS" and first.fix


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        check(tmp_path / "empty")
    assert caught.value.code == "DATA-EMPTY"


def test_points(images: Callable[..., Path]) -> None:
    checked = check("ring", device="cpu")
    assert choice(checked, "recipe").value == "gan-points"
    assert checked.proposal.command == ["sparring", "train", "ring"]


def test_the_verdict(images: Callable[..., Path]) -> None:
    checked = check(images(), device="cpu")
    assert checked.verdict() == "Usable, with 1 thing to look at first."  # so few images
    checked.inspection.findings.clear()
    assert checked.verdict() == "Ready to train."


# ── where it goes ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_place_is_free_or_ours(images: Callable[..., Path], tmp_path: Path) -> None:
    checked, other = check(images(), device="cpu"), check(images(name="elsewhere/pictures", n=30), device="cpu")
    first = place(checked)
    assert first == Path("runs/checks/pictures")
    first.mkdir(parents=True)
    assert place(checked) == first, "an empty directory is free"
    (first / "report.json").write_text(json.dumps(checked.record()))
    assert place(checked) == first, "our own page is replaced"
    assert place(other) == Path("runs/checks/pictures-2"), "that of other data is not"


@pytest.mark.parametrize("name", FILES)
def test_foreign_files_are_left_alone(images: Callable[..., Path], tmp_path: Path, name: str) -> None:
    checked = check(images(), device="cpu")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("mine")
    assert place(checked, theirs) == theirs, "files of other names do no harm"
    (theirs / name).write_text("mine")
    with pytest.raises(MachineError) as caught:
        place(checked, theirs)
    assert caught.value.code == "CHECK-OUT"
    with pytest.raises(MachineError):
        place(checked, theirs / name)
    (tmp_path / "runs" / "checks").mkdir(parents=True)
    theirs.rename(tmp_path / "runs" / "checks" / "pictures")
    assert place(checked) == Path("runs/checks/pictures-2")


def test_the_record_is_json(images: Callable[..., Path]) -> None:
    record = json.loads(json.dumps(check(images(), device="cpu").record()))
    assert record["inspection"]["usable"] == 24 and record["proposal"]["command"][:2] == ["sparring", "train"]


def test_a_second_check_does_without_torch(
    images: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Loading torch takes longer than looking at unchanged data a second time."""
    source = images()
    assert main(["check", str(source)]) == 0
    first = capsys.readouterr().out.splitlines()
    looking = (
        "import sys; from sparring.cli import main; code = main(sys.argv[1:]); print('torch' in sys.modules, code)"
    )
    words = [sys.executable, "-c", looking, "check", str(source)]
    second = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert second == [*first, "False 0"]


# ── what is refused is not proposed ───────────────────────────────────────────────────────────────────────────────


def trains(checked: Checked) -> None:
    """The options of the proposed command open the data."""
    from sparring import api
    from sparring.data import open_data

    command = parse(checked.proposal.command[1:])
    options = api.options(**command.prepared.settings())  # type: ignore[attr-defined]
    assert len(open_data(command.data, options).train)  # type: ignore[attr-defined]


def test_the_command_of_refused_data_is_one_that_works(images: Callable[..., Path]) -> None:
    source = images()
    (source / "metadata.jsonl").write_text('{"file_name": "0.png", "label": "a"}\n')
    checked = check(source, device="cpu")
    assert checked.refused and "--labels" in checked.proposal.command
    assert "without labels (--labels none)" in checked.proposal.note
    assert checked.proposal.note in checked.lines()
    trains(checked)
    (source / "metadata.jsonl").unlink()
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    checked = check(source, Options(on_bad="stop"), device="cpu")
    assert checked.refused and "--on-bad" not in checked.proposal.command and "--on-bad stop" in checked.proposal.note
    trains(checked)
    assert not check(source, device="cpu").proposal.note


def test_only_the_column_that_is_wrong_is_left_out(images: Callable[..., Path]) -> None:
    source = images()
    rows = [json.dumps({"file_name": f"{k}.png", "label": "ab"[k % 2]}) for k in range(24)]
    (source / "metadata.jsonl").write_text("\n".join(rows))
    checked = check(source, Options(columns=(("label", "lable"),)), device="cpu")
    assert checked.refused and checked.inspection.classes == {"a": 12, "b": 12}
    assert "--columns" not in checked.proposal.command and "--columns label=lable" in checked.proposal.note
    trains(checked)


def test_columns_that_are_right_are_kept(images: Callable[..., Path]) -> None:
    source = images()
    (source / "metadata.jsonl").write_text('{"file_name": "0.png", "breed": "a"}\n')
    checked = check(source, Options(columns=(("label", "breed"),)), device="cpu")
    assert checked.refused and "--columns" in checked.proposal.command and "--labels" in checked.proposal.command
    assert "without labels" in checked.proposal.note and "--columns" not in checked.proposal.note
    trains(checked)


@pytest.mark.parametrize("labels", ["auto", "none"])
def test_broken_metadata_do_not_end_a_check(images: Callable[..., Path], labels: str) -> None:
    source = images()
    (source / "metadata.jsonl").write_text('{"file_name": "0.png", "text": "a"}\n{"file_name": "1.png",\n')
    checked = check(source, Options(labels=labels), device="cpu")  # type: ignore[arg-type]
    assert checked.refused and checked.inspection.usable == 24 and not checked.inspection.captions
    first = checked.inspection.findings[0]
    assert (first.level, first.code) == ("error", "DATA-METADATA")
    assert "line 2 is not JSON" in first.why and "line 1 column" not in first.why
    assert checked.proposal.command == [] and "mend or remove" in checked.proposal.note


def test_broken_metadata_beside_class_folders(images: Callable[..., Path]) -> None:
    images(name="kinds/a"), images(30, name="kinds/b", size=(40, 41))
    (Path("kinds") / "metadata.jsonl").write_text("{")
    checked = check("kinds", Options(labels="folders"), device="cpu")
    assert checked.refused and checked.inspection.classes == {"a": 24, "b": 30}


def test_why_stands_on_lines_of_its_own(images: Callable[..., Path]) -> None:
    images(name="split/train/a"), images(30, name="split/train/b", size=(40, 41)), images(9, (41, 40), "split/test/a")
    checked = check("split", Options(labels="folders"), device="cpu")
    first = checked.inspection.findings[0]
    assert "\n" not in first.what and len(first.what) < 100
    assert any(line.startswith("train/ 54: ") for line in first.why.splitlines())
    text = checked.lines()
    assert not any("\\n" in line for line in text) and any(line.startswith("    train/ 54: ") for line in text)


def test_labels_that_would_lie_idle_are_said(images: Callable[..., Path]) -> None:
    images(name="kinds/a"), images(30, name="kinds/b", size=(40, 41))
    why = choice(check("kinds", Options(labels="folders"), device="cpu"), "recipe").why
    assert "does not use the labels" in why and "--recipe cgan" in why and "docs/systems/cgan.md" in why
    assert "labels" not in choice(check("kinds", device="cpu"), "recipe").why


def test_what_is_cropped_a_little_is_said(images: Callable[..., Path]) -> None:
    images(100), images(1, (80, 40), "pictures/wide")
    why = choice(check("pictures", Options(size=(40, 40)), device="cpu"), "crop").why
    assert why.startswith("hardly anything is lost: 1 of 101 images")


def test_what_is_small_is_said_of_the_size_that_is_proposed(images: Callable[..., Path]) -> None:
    images(40, (130, 130)), images(2, (90, 90), "pictures/less")
    checked = check("pictures", device="cpu")
    assert choice(checked, "size").value == "64x64"
    assert not any("enlarged" in finding.what for finding in checked.inspection.findings)
    images(3, (30, 30), "pictures/least")
    checked = check("pictures", device="cpu")
    (said,) = [finding for finding in checked.inspection.findings if "enlarged" in finding.what]
    assert said.what == "3 of 45 images are much smaller than 64x64 and would be enlarged"
    assert "choose a --size" in said.fix and "95 %" in said.why


def test_one_image_is_one_image(images: Callable[..., Path]) -> None:
    text = "\n".join(check(images(1), device="cpu").lines())
    assert "1 file, 1 usable" in text and "1 images" not in text and "1 files" not in text
