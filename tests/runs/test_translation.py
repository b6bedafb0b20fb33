"""Pictures of every kind through a run: what comes out, what it is called, what is never touched."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import api
from sparring.cli import main
from sparring.errors import DataError, UsageError
from sparring.runs.run import Run
from sparring.runs.translation import Translation, encoded, transparent
from sparring.runs.translation_files import named

TINY = {"width": 2, "d_width": 2, "patches": 1, "batch": 4}


def pixels(height: int, width: int, channels: int = 3) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = [x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (3 * x + 5 * y) % 256, 255 - (x + y) % 256]
    return np.stack(planes[:channels], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that translates; never changed but below ``translated``."""
    out = tmp_path_factory.mktemp("run") / "tiny"
    api.train("emoji", recipe="pix2pix", size=16, budget="8", set=TINY, out=out, threads=1, device="cpu")
    return out


@pytest.fixture(scope="module")
def run(trained: Path) -> Run:
    return api.load(trained, device="cpu")


def odd(folder: Path) -> dict[str, tuple[str, tuple[int, int], str]]:
    """Thirty odd pictures: of each the name, size and mode of what must come out."""
    expected: dict[str, tuple[str, tuple[int, int], str]] = {}

    def put(name: str, image: Image.Image, becomes: str = "", mode: str = "RGB", turned: bool = False, **how: Any):
        image.save(folder / name, **how)
        size = (image.height, image.width) if turned else image.size
        expected[name] = (becomes or name, size, mode)

    def exif(orientation: int) -> Image.Exif:
        found = Image.Exif()
        found[274] = orientation
        return found

    colour, grey = Image.fromarray(pixels(20, 30)), Image.fromarray(pixels(20, 30)[..., 0])
    put("one.png", Image.fromarray(pixels(1, 1)))
    put("long.png", Image.fromarray(pixels(3, 4000)))
    put("tall.jpg", Image.fromarray(pixels(1001, 37)))
    for orientation in (1, 3, 5, 6, 8):
        put(f"turned{orientation}.jpg", colour, turned=orientation > 4, exif=exif(orientation))
    for kind in ("png", "webp", "tif"):
        put(f"turned.{kind}", colour, turned=True, exif=exif(6))
    for kind in ("jpg", "png", "bmp"):
        put(f"grey.{kind}", grey)
    clear = Image.fromarray(pixels(20, 30, 4))
    put("clear.png", clear, mode="RGBA")
    put("clear.webp", clear, mode="RGBA", lossless=True)
    put("clear.tif", clear, mode="RGBA")
    put("clear grey.png", clear.convert("LA"), mode="RGBA")
    for kind in ("jpg", "tif"):
        put(f"ink.{kind}", colour.convert("CMYK"))
    put("deep.png", Image.fromarray(pixels(20, 30)[..., 0].astype(np.uint16) * 257))
    put("deep.tif", Image.fromarray(pixels(20, 30)[..., 0].astype(np.uint16) * 257))
    put("floats.tif", Image.fromarray(pixels(20, 30)[..., 0].astype(np.float32) / 255))
    put("palette.png", colour.quantize(16))
    put("palette clear.png", colour.quantize(16), mode="RGBA", transparency=3)
    put("bits.png", grey.convert("1"))
    put("lab.tif", colour.convert("LAB"))
    frames = [Image.fromarray(np.roll(pixels(20, 30), 4 * k, 0)) for k in range(3)]
    put("moving.gif", frames[0], "moving.gif.png", save_all=True, append_images=frames[1:])
    put("moving.png", frames[0], save_all=True, append_images=frames[1:])
    put("pages.tif", frames[0], save_all=True, append_images=frames[1:])
    put("without suffix", colour, format="JPEG")
    put("misnamed.jpg", colour, format="PNG")
    assert len(expected) >= 30
    return expected


def test_thirty_odd_pictures_keep_name_size_and_format(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    expected = odd(tmp_path / "in")
    Image.fromarray(pixels(9, 5)).save(tmp_path / "in" / "deep" / "ä b.png")
    (tmp_path / "in" / "broken.jpg").write_bytes((tmp_path / "in" / "tall.jpg").read_bytes()[:300])
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    done = api.save_translations(run, tmp_path / "in", tmp_path / "out", deterministic=True)
    assert {path.relative_to(tmp_path / "out").as_posix() for path in done.paths} == {
        *(name for name, _, _ in expected.values()), "deep/ä b.png",
    }  # fmt: skip
    for name, size, mode in expected.values():
        with Image.open(tmp_path / "out" / name) as made:
            assert (made.size, made.mode) == (size, mode), name
            assert made.getexif().get(274, 1) == 1, "turned twice"
    for name in ("without suffix", "misnamed.jpg"):
        with Image.open(tmp_path / "out" / name) as made:
            assert made.format == "JPEG"
    assert dict(done.skipped).keys() == {"broken.jpg", "notes.txt"}
    assert sum("only the first of its 3 pictures" in note for note in done.notes) == 3
    assert any("--size train" in note for note in done.notes)


def test_upright_and_turned_give_the_same(run: Run, tmp_path: Path) -> None:
    image = Image.fromarray(pixels(20, 30))
    turned = Image.Exif()
    turned[274] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=turned)
    assert (np.asarray(run.translate(tmp_path / "turned.png")) == np.asarray(run.translate(image))).all()


def test_every_kind_of_picture_comes_back_as_its_kind(run: Run, tmp_path: Path) -> None:
    """And all are the same picture: noise goes by what is shown."""
    array = np.repeat(pixels(20, 30)[..., :1], 3, axis=2)
    Image.fromarray(array).save(tmp_path / "a.png")
    made = run.translate(array)
    assert made.dtype == np.uint8 and made.shape == (20, 30, 3)
    for same in (Image.fromarray(array), tmp_path / "a.png", str(tmp_path / "a.png")):
        picture = run.translate(same)
        assert isinstance(picture, Image.Image) and (np.asarray(picture) == made).all()
    floats = run.translate(array.astype(np.float64) / 255)
    assert floats.dtype == np.float64 and np.abs(floats * 255 - made).max() <= 0.51
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    single = run.translate(tensor)
    assert single.dtype == torch.uint8 and (single.permute(1, 2, 0).numpy() == made).all()
    several = run.translate(torch.stack([tensor, tensor.flip(2)]).float() / 255)
    assert several.shape == (2, 3, 20, 30) and several.min() >= 0 and several.max() <= 1
    assert (several[0] * 255 - single).abs().max() <= 0.51 and several.dtype == torch.float32
    assert run.translate(array[..., 0]).shape == (20, 30, 3)  # grey becomes what the run makes
    assert run.translate(np.dstack([array, array[..., :1]])).shape == (20, 30, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "YCbCr", "HSV", "I", "F", "I;16"])
def test_a_pil_image_is_what_its_file_is(run: Run, tmp_path: Path, mode: str) -> None:
    base = Image.fromarray(pixels(20, 30))
    image = base.convert("L").convert(mode) if mode in ("I", "F", "I;16") else base.convert(mode)
    assert run.translate(image, deterministic=True).size == (30, 20)
    with Image.open(io.BytesIO(encoded(image))) as again:
        assert again.size == image.size
    if mode in ("1", "L", "P"):
        image.info["transparency"] = 0
        assert run.translate(image, deterministic=True).mode == "RGBA"


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 7)), np.zeros(4), np.zeros((0, 4, 3), np.uint8), np.full((4, 4, 3), 255.0),
        np.full((4, 4, 3), np.nan), np.zeros((4, 4, 3), np.int64), torch.zeros(3), torch.zeros(5, 4, 4),
        torch.zeros(0, 3, 4, 4), 7,
    ],
    ids=lambda wrong: f"{type(wrong).__name__} {getattr(wrong, 'shape', wrong)} {getattr(wrong, 'dtype', '')}",
)  # fmt: skip
def test_what_is_no_picture_is_refused_with_a_reason(run: Run, wrong: object) -> None:
    with pytest.raises(UsageError, match="TRANSLATE-"):
        run.translate(wrong)


def test_no_file_and_no_picture(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="TRANSLATE-FILE"):
        run.translate(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match="TRANSLATE-IMAGE"):
        run.translate(tmp_path / "text.png")


def test_transparency_is_put_back_so_that_on_the_background_nothing_changed() -> None:
    chance = np.random.default_rng(0)
    alpha = chance.integers(1, 256, (50, 50), np.uint8)
    share = alpha[..., None] / 255
    for channels, paper in ((3, (255, 255, 255)), (3, (10, 200, 30)), (1, (0, 0, 0))):
        level = np.array(paper[:channels])
        below = np.rint(chance.uniform(0, 255, (50, 50, channels)) * share + level * (1 - share)).astype(np.uint8)
        made = transparent(below, alpha, paper)
        again = made[..., :-1] * share + level * (1 - share)
        assert (made[..., -1] == alpha).all() and np.abs(again - below).max() <= 1.01


def test_tiles_and_sizes_keep_the_size(run: Run) -> None:
    image = pixels(90, 130)
    for how in ({"tile": 32}, {"size": "train"}, {"size": 40, "tile": 16}, {"size": "train", "compile": True}):
        assert run.translate(image, **how).shape == image.shape
    assert np.abs(run.translate(image, compile=True).astype(int) - run.translate(image)).max() <= 1


def test_names(tmp_path: Path) -> None:
    assert named("a/b.jpg", "JPEG", "RGBA") == ("a/b.png", "PNG")
    assert named("b.heic", "HEIF", "RGB") == ("b.png", "PNG")
    assert named("b.c", "JPEG", "P") == ("b.c.png", "PNG")
    assert named("b.GIF", "GIF", "P") == ("b.GIF", "GIF")
    assert named("v1.2", "JPEG", "RGB") == ("v1.2", "JPEG")


# ── the command line ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_goes_to_its_name_in_the_run_and_may_be_made_anew(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(pixels(20, 30)).save(tmp_path / "a.png")
    for _ in range(2):
        assert main(["translate", str(trained), str(tmp_path / "a.png")]) == 0
    out, err = capsys.readouterr()
    assert out.split() == [str(trained / "translated" / "a.png")] * 2 and " megapixels in " in err


def test_outside_of_the_run_nothing_is_overwritten(trained: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels(20, 30)).save(tmp_path / name)
    before = (tmp_path / "b.png").read_bytes()
    for what, out in (("a.png", "b.png"), ("a.png", "."), ("*.png", "."), (".", ".")):
        arguments = [what, "--out", out]
        where = [str(tmp_path / argument) if argument != "--out" else argument for argument in arguments]
        assert main(["translate", str(trained), *where]) == 2
    assert (tmp_path / "b.png").read_bytes() == before and len(list(tmp_path.iterdir())) == 2
    inside = trained / "translated" / "again.png"
    inside.parent.mkdir(exist_ok=True)
    inside.write_bytes(before)
    assert main(["translate", str(trained), str(inside)]) == 2 and inside.read_bytes() == before


def test_patterns_zips_and_folders(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in" / "b").mkdir(parents=True)
    for name in ("a.png", "b/c.png", "b/d.jpg"):
        Image.fromarray(pixels(20, 30)).save(tmp_path / "in" / name)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "in" / "b" / "c.png", "x/c.png")
        archive.writestr("bad.png", b"no")
    code = main(["translate", str(trained), str(tmp_path / "in" / "**" / "*.png"), "--out", str(tmp_path / "1")])
    assert code == 0 and (tmp_path / "1" / "b" / "c.png").exists() and not (tmp_path / "1" / "b" / "d.jpg").exists()
    assert main(["translate", str(trained), str(tmp_path / "in"), "--out", str(tmp_path / "2")]) == 0
    assert (tmp_path / "2" / "b" / "d.jpg").exists()
    capsys.readouterr()
    assert main(["translate", str(trained), str(tmp_path / "in.zip"), "--out", str(tmp_path / "3")]) == 3
    out, err = capsys.readouterr()
    assert "left out bad.png" in err and out.split() == [str(tmp_path / "3" / "x" / "c.png")]
    assert (tmp_path / "3" / "x" / "c.png").read_bytes() == (tmp_path / "1" / "b" / "c.png").read_bytes()
    assert main(["translate", str(trained), str(tmp_path / "none")]) == 3
    assert main(["translate", str(trained), str(tmp_path / "*.gif")]) == 3


def test_through_a_pipe(
    trained: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels(20, 30)).save(file, "JPEG")

    def piped(*arguments: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.getvalue())))
        return main(["translate", str(trained), *arguments])

    assert piped("-") == 0
    sys.stdout.flush()
    made = Image.open(io.BytesIO(capfdbinary.readouterr().out))
    (tmp_path / "a.jpg").write_bytes(file.getvalue())
    assert made.format == "PNG" and (np.asarray(made) == np.asarray(run.translate(tmp_path / "a.jpg"))).all()
    assert main(["translate", str(trained), str(tmp_path / "a.jpg"), "--out", "-"]) == 0
    assert capfdbinary.readouterr().out[:4] == b"\x89PNG"
    assert piped("-", "--out", str(tmp_path / "b.webp")) == 0
    with Image.open(tmp_path / "b.webp") as saved:
        assert saved.format == "WEBP" and saved.size == (30, 20)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.png", "--out", "b.gif"], "TRANSLATE-OUT"), (["a.png", "--out", "b.xyz"], "TRANSLATE-OUT"),
        (["a.png", "--back"], "TRANSLATE-BACK"), (["a.png", "--tile", "0"], "TRANSLATE-SIZE"),
        (["a.png", "--size", "big"], "TRANSLATE-SIZE"), ([".", "--out", "-"], "TRANSLATE-OUT"),
        (["a.png", "--seed", "-1"], "SAMPLE-SEED"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pixels(20, 30)).save("a.png")
    assert main(["translate", os.path.relpath(trained), *arguments]) == 2
    assert said in capsys.readouterr().err and os.listdir() == ["a.png"]


def test_who_cannot_says_what_can(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("sample", "interpolate"):
        assert main([command, str(trained)]) == 2
        assert "sparring translate RUN IN" in capsys.readouterr().err
    points = api.train("ring", recipe="gan", budget="64", set={"width": 8, "batch": 64}, out=tmp_path / "p")
    with pytest.raises(UsageError, match=r"TRANSLATE-CANNOT(.|\n)*sparring sample"):
        points.translate(pixels(4, 4))
    assert Translation(api.load(trained)).seconds is None


# ── two pictures side by side ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on right halves, of which left ones are made."""
    place = tmp_path_factory.mktemp("doubled")
    (place / "both").mkdir()
    for number in range(8):
        picture = np.concatenate([np.roll(pixels(16, 16), number, 0), np.roll(pixels(16, 16), number, 1)], axis=1)
        Image.fromarray(picture).save(place / "both" / f"{number}.png")
    api.train(
        place / "both", pairs="side-by-side", direction="BtoA", recipe="pix2pix", size=16, budget="4", set=TINY,
        out=place / "run", threads=1, device="cpu",
    )  # fmt: skip
    return place / "run"


def test_of_two_pictures_side_by_side_the_given_half_is_asked_for(
    doubled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = pixels(20, 40)
    Image.fromarray(both).save(tmp_path / "both.png")
    assert main(["translate", str(doubled), str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "TRANSLATE-HALVES" in said and "40x20" in said and "fix: --half right" in said
    run = api.load(doubled, device="cpu")
    right = run.translate(np.ascontiguousarray(both[:, 20:]))
    assert main(["translate", str(doubled), str(tmp_path), "--half", "right", "--out", str(tmp_path / "out")]) == 0
    assert (np.asarray(Image.open(tmp_path / "out" / "both.png")) == right).all()
    assert (run.translate(both, half="right") == right).all() and run.translate(both, half="whole").shape == both.shape
    assert run.translate(Image.fromarray(both), half="left").size == (20, 20)
    assert run.translate(both[:, :39]).shape == (20, 39, 3), "only what is twice as wide is refused"
    for picture in (both, Image.fromarray(both), torch.from_numpy(both).permute(2, 0, 1), tmp_path / "both.png"):
        with pytest.raises(DataError, match="TRANSLATE-HALVES"):
            run.translate(picture)
    with pytest.raises(DataError, match="even width"):
        run.translate(both[:, :39], half="left")
    with pytest.raises(UsageError, match="TRANSLATE-HALF"):
        run.translate(both, half="middle")


def test_among_others_a_double_picture_is_left_out_with_a_word(
    doubled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, width in (("both", 40), ("one", 20)):
        Image.fromarray(pixels(20, width)).save(tmp_path / f"{name}.png")
    assert main(["translate", str(doubled), str(tmp_path), "--out", str(tmp_path / "out")]) == 3
    said = capsys.readouterr().err
    assert "left out both.png" in said and "--half right" in said and os.listdir(tmp_path / "out") == ["one.png"]


def test_other_runs_take_a_wide_picture_as_one_and_a_half_of_it_on_request(run: Run) -> None:
    assert run.translate(pixels(20, 40)).shape == (20, 40, 3)
    clear = Image.fromarray(pixels(20, 40, 4))
    assert (run.translate(clear, half="left").size, run.translate(clear, half="left").mode) == ((20, 20), "RGBA")


# ── on the way ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_stops_it_is_told_what_is_done(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        Image.fromarray(pixels(20, 30)).save(tmp_path / f"{name}.png")
    picture, called = Translation.picture, []

    def stopping(self: Translation, *arguments: Any, **how: Any) -> Image.Image:
        called.append(1)
        if len(called) == 2:
            raise KeyboardInterrupt
        return picture(self, *arguments, **how)

    monkeypatch.setattr(Translation, "picture", stopping)
    assert main(["translate", str(trained), str(tmp_path), "--out", str(tmp_path / "out")]) == 130
    said = capsys.readouterr().err
    assert f"stopped; 1 of 3 pictures is translated, in {tmp_path / 'out'}" in said
    assert os.listdir(tmp_path / "out") == ["a.png"] and "nothing was begun" not in said


def test_progress_counts_pictures_and_the_tiles_of_large_ones(trained: Path, tmp_path: Path) -> None:
    for name, side in (("a", 20), ("b", 64)):
        Image.fromarray(pixels(side, side)).save(tmp_path / f"{name}.png")
    seen: list[tuple[str, int, int]] = []
    told = lambda stage, done, total: seen.append((stage, done, total))  # noqa: E731
    api.save_translations(trained, tmp_path, tmp_path / "out", progress=told, tile=32)
    assert [one for one in seen if one[0] == "translating"] == [("translating", 0, 2), ("translating", 1, 2)]
    tiles = [one for one in seen if "tiles" in one[0]]
    assert tiles[0][0] == "2 of 2: tiles of b.png" and [done for _, done, _ in tiles] == list(range(tiles[0][2]))
    seen.clear()
    api.save_translations(trained, tmp_path / "b.png", tmp_path / "alone.png", progress=told, tile=32)
    assert seen[0][0] == "tiles" and seen[0][2] == tiles[0][2]
