"""Row 34 of the matrix of bad inputs: label maps are classes, never colours and never blended, and what does not look
like classes is refused with the values, how often each occurs, and where."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image
from tests.data.scenes import scene

from sparring.data import Dataset, SideSpec, batch_of, given_pixels, open_data, stream_of
from sparring.data.decode import Recipe
from sparring.data.decode import decode as photograph
from sparring.data.legends import parse
from sparring.data.maps import Legend, MapRecipe, decode, numbers
from sparring.data.opening import Unusable
from sparring.data.palette import Palette, distinct
from sparring.errors import DataError

Map = NDArray[np.uint8]


def drawn(seed: int, values: tuple[int, ...] = (0, 1, 2), side: int = 24) -> Map:
    """(side, side): a rectangle of each value on the first."""
    rng, index = np.random.default_rng(seed), np.full((side, side), values[0], np.uint8)
    for value in values[1:]:
        y, x = rng.integers(0, side // 2, 2)
        index[y : y + side // 2, x : x + side // 3] = value
    return index


def encoded(image: Image.Image, form: str = "PNG", **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()


def legend(count: int) -> Legend:
    colours = tuple((int(r), int(g), int(b)) for r, g, b in distinct(count))
    return Legend(tuple(f"class {k}" for k in range(count)), colours, tuple(range(count)))


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """folders(values): label maps in A, one for each array, and scenes with the same stems in B."""

    def make(maps: list[Map | Image.Image], suffix: str = "png") -> tuple[Path, Path]:
        a, b = tmp_path / "A", tmp_path / "B"
        a.mkdir(), b.mkdir()
        for number, one in enumerate(maps):
            (one if isinstance(one, Image.Image) else Image.fromarray(one)).save(a / f"{number:02d}.{suffix}")
            scene(number, 24, 24).save(b / f"{number:02d}.png")
        return a, b

    return make


def opened(sides: tuple[Path, Path], **options: Any) -> Dataset:
    return open_data(sides[0], into=str(sides[1]), **{"maps": "A", "size": (24, 24), **options})


def refused(sides: tuple[Path, Path], **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(sides, **options)
    return caught.value


# ── what stands in a file ─────────────────────────────────────────────────────────────────────────────────────────


def palette_picture(index: Map) -> Image.Image:
    image = Image.fromarray(index)
    image.putpalette([9, 200, 30, 255, 255, 255, 0, 0, 0])
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(drawn(1)),
        palette_picture(drawn(1)),
        Image.fromarray(drawn(1).astype(np.uint16)),
        Image.fromarray(drawn(1).astype(np.int32)),
        Image.fromarray(drawn(1)).convert("RGB"),
        Image.merge("LA", [Image.fromarray(drawn(1)), Image.new("L", (24, 24), 255)]),
    ],
    ids=["L", "P", "I;16", "I", "RGB", "LA"],
)
def test_numbers_are_read_as_they_are_stored_whatever_the_kind_of_file(image: Image.Image) -> None:
    for form in ("PNG", "TIFF") if image.mode != "I" else ("TIFF",):
        assert (numbers(encoded(image, form)) == drawn(1)).all()


def test_a_one_bit_mask_is_of_classes_0_and_1() -> None:
    assert (numbers(encoded(Image.fromarray(drawn(2, (0, 255))).convert("1"))) == drawn(2, (0, 1))).all()


def test_large_numbers_are_numbers_and_not_levels() -> None:
    stored = drawn(3).astype(np.uint16) * 1_000
    assert (numbers(encoded(Image.fromarray(stored))) == stored).all()


@pytest.mark.parametrize(
    "image", [scene(1), Image.fromarray(np.full((9, 9), 0.5, np.float32)), Image.fromarray(-np.ones((9, 9), np.int32))]
)
def test_what_is_no_number_of_a_class_is_refused(image: Image.Image) -> None:
    with pytest.raises(Unusable):
        numbers(encoded(image, "TIFF"))


def test_a_number_of_no_class_is_named() -> None:
    with pytest.raises(Unusable, match="9"):
        legend(3).classes(np.array([[0, 9]], np.uint16))


# ── size and crop ─────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.integers(0, 10**6), st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.tuples(st.integers(4, 48), st.integers(4, 48)), st.sampled_from(["center", "squeeze", "pad"]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_no_class_appears_that_is_not_there(seed: int, of: tuple[int, int], to: tuple[int, int], crop: Any) -> None:
    stored = np.random.default_rng(seed).integers(1, 6, (*of, 1), dtype=np.uint8)
    found = decode(stored, MapRecipe(Recipe(to, 1, crop), legend(6))).pixels
    assert found.shape == (*to, 1)
    assert set(np.unique(found)) <= {*np.unique(stored), *([0] if crop == "pad" else [])}


def test_each_pixel_is_of_the_class_with_the_largest_part() -> None:
    rows = ["112202", "011022", "210110", "002012", "001210", "011212"]
    block = np.array([[int(value) for value in row] for row in rows], np.uint8)
    found = decode(block[..., None], MapRecipe(Recipe((2, 2), 1), legend(3))).pixels[..., 0]
    assert found.tolist() == [[1, 2], [0, 2]]
    again = decode(found[..., None], MapRecipe(Recipe((6, 6), 1), legend(3))).pixels[..., 0]
    assert (again == np.kron(found, np.ones((3, 3), np.uint8))).all()  # enlarged: the nearest


@pytest.mark.parametrize("crop", ["center", "squeeze", "pad"])
@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (24, 24), (100, 96)])
def test_a_map_is_cut_and_sized_as_its_photograph(crop: Any, shape: tuple[int, int]) -> None:
    stored = np.zeros((*shape, 1), np.uint8)
    stored[: shape[0] // 2, : shape[1] // 2] = 255
    plain = Recipe((24, 24), 1, crop, (0, 0, 0))
    mask = decode(stored, MapRecipe(plain, Legend(("a", "b"), ((0, 0, 0), (255, 255, 255)), (0, 255)))).pixels
    photo = photograph(stored, plain).pixels
    assert ((photo > 127) == (mask == 1)).mean() > 0.95
    assert (mask[photo > 250] == 1).all() and (mask[photo < 5] == 0).all()


def test_a_map_is_turned_upright_as_its_photograph() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = encoded(Image.fromarray(drawn(4)[:, :16]), exif=exif)
    assert (numbers(data) == np.rot90(drawn(4)[:, :16], -1)).all()


def test_half_of_a_picture_is_one_side() -> None:
    both = np.concatenate([drawn(5), drawn(6)], axis=1)[..., None]
    for half, seed in (("left", 5), ("right", 6)):
        assert (decode(both, MapRecipe(Recipe((24, 24), 1), legend(3)), half).pixels[..., 0] == drawn(seed)).all()


# ── row 34: what looks like classes ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (0, 1, 2, 3), (1, 2, 3)])
def test_masks_and_numbers_without_gaps_are_classes(values: tuple[int, ...], folders: Any) -> None:
    data = opened(folders([drawn(k, values) for k in range(4)]))
    assert data.given is not None and data.given.shape == (len(values), 24, 24)
    assert data.given.side.values == values
    assert f"{len(values)} classes by number" in "\n".join(data.report.lines())  # the values are shown
    assert sum(data.report.maps["shares"]) == pytest.approx(1.0)


def test_254_among_255_stops_and_names_the_file(folders: Any) -> None:
    error = refused(folders([drawn(k, (0, 254 if k == 2 else 255)) for k in range(5)]))
    assert error.code == "DATA-MAPS"
    (line,) = [line for line in error.why.splitlines() if "unexpected" in line]
    assert "254" in line and "1 of 5 files: 02.png" in line
    assert "255" in error.why and "classes.txt" in error.fix


def test_soft_edges_stop(folders: Any) -> None:
    soft = [Image.fromarray(drawn(k, (0, 255))).resize((31, 31), Image.Resampling.BILINEAR) for k in range(4)]
    error = refused(folders(soft))
    assert "others among them" in error.what and "soft edges" in error.fix


@pytest.mark.parametrize(
    ("values", "said"), [((0, 1, 2, 7), "no 3, 4, 5, 6"), ((0, 1, 255), "nobody labelled"), ((3, 4), "gaps"),
                         (tuple(range(0, 200, 2)), "100 different numbers"), ((5,), "are equal")]
)  # fmt: skip
def test_gaps_stop(values: tuple[int, ...], said: str, folders: Any) -> None:
    error = refused(folders([np.random.default_rng(k).choice(values, (24, 24)).astype(np.uint8) for k in range(3)]))
    assert error.code == "DATA-MAPS" and said in str(error)


def test_names_beside_the_maps_say_what_is_expected(folders: Any) -> None:
    sides = folders([drawn(k, (0, 7, 255)) for k in range(3)])
    names = sides[0] / "classes.txt"
    names.write_text("; numbers and names\n0 wall\n7 = open door\n255: nothing\n9 window\n")
    data = opened(sides)
    assert data.given is not None and data.given.legend == ("wall", "open door", "window", "nothing")
    assert any("window" in warning for warning in data.report.warnings)  # no pixel is of it
    names.write_text("0 wall\n7 door\n")
    error = refused(sides)  # what was said of the classes is part of what the cache goes by
    assert "255" in error.why and "name these numbers" in error.fix


def test_names_may_come_by_a_flag_or_in_a_zip(folders: Any, tmp_path: Path) -> None:
    sides = folders([drawn(k) for k in range(3)])
    (tmp_path / "names.txt").write_text("wall\ndoor\nwindow\n")
    by_flag = opened(sides, palette=str(tmp_path / "names.txt"))
    assert by_flag.given is not None and by_flag.given.legend == ("wall", "door", "window")
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("A/classes.txt", "one\ntwo\nthree\n")
        for side in sides:
            for path in side.iterdir():
                archive.write(path, f"{side.name}/{path.name}")
    zipped = open_data(tmp_path / "both.zip", pairs="stems", maps="A", size=(24, 24))
    assert zipped.given is not None and zipped.given.legend == ("one", "two", "three")


@pytest.mark.parametrize("text", ["wall\nwall", "0 wall\n0 door", "70000 wall\n1 door"])
def test_names_that_occur_twice_are_refused_with_their_line(text: str) -> None:
    with pytest.raises(DataError, match="line"):
        parse(text, "classes.txt")


# ── by colour ─────────────────────────────────────────────────────────────────────────────────────────────────────


def painted(seed: int, colours: Palette) -> Image.Image:
    index = drawn(seed, tuple(np.random.default_rng(seed).permutation(len(colours))[:4].tolist()), 48)
    return Image.fromarray(colours.paint(index))


CMP = Palette.load("cmp")


def test_colours_without_a_palette_stop_and_the_palette_that_fits_is_named(folders: Any) -> None:
    error = refused(folders([painted(k, CMP) for k in range(6)]))
    assert error.code == "DATA-MAPS" and "--palette cmp" in error.fix and "#0030ff" in error.why


def test_colours_are_read_by_the_nearest(folders: Any) -> None:
    data = opened(folders([painted(k, CMP) for k in range(8)], suffix="jpg"), palette="cmp", size=(48, 48))
    assert data.given is not None and data.given.legend == CMP.names
    truth = {painted(k, CMP).tobytes() for k in range(8)}
    seen = data.given.train[:][..., 0]
    for one in seen:
        off = [np.mean(np.frombuffer(t, np.uint8).reshape(48, 48, 3) != CMP.paint(one)) for t in truth]
        assert min(off) < 0.1


def test_a_palette_that_does_not_fit_stops_with_the_files_and_the_colours(folders: Any) -> None:
    maps = [painted(k, CMP) for k in range(6)]
    maps[3] = Image.new("RGB", (48, 48), (255, 0, 255))
    error = refused(folders(maps), palette="cmp")
    assert error.code == "DATA-PALETTE"
    assert "16." in error.what and "03.png (100 %)" in error.why and "#f808f8" in error.why
    assert "add a line" in error.fix


def test_a_photograph_among_label_maps_is_left_out_and_refused_in_use(folders: Any) -> None:
    maps = [painted(k, CMP) for k in range(24)]
    maps[5] = scene(5, 48, 48)
    data = opened(folders(maps), palette="cmp")
    ((name, why),) = data.report.excluded
    assert name == "05.png" and "no colour of the palette" in why
    with pytest.raises(Unusable, match="no colour of the palette"):
        given_pixels(np.asarray(scene(6, 48, 48)), SideSpec.of_document({"sides": data.report.sides}))


def test_photographs_are_no_label_maps(folders: Any) -> None:
    error = refused(folders([painted(k, CMP) for k in range(4)]), palette="cmp", maps="B")
    assert error.code == "DATA-PALETTE" and "other side" in error.fix


# ── the same everywhere ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("maps", ["A", "B"])
@pytest.mark.parametrize("keep", ["on", "off"])
def test_a_game_is_shown_what_a_picture_that_somebody_brings_becomes(maps: Any, keep: Any, folders: Any) -> None:
    sides = folders([drawn(k, (0, 1, 2)) for k in range(10)])
    if maps == "B":
        sides = sides[::-1]
    data = opened(sides, maps=maps, keep=keep, held_out=0.2, direction="AtoB" if maps == "A" else "BtoA")
    assert data.given is not None and data.shape == (3, 24, 24)
    spec = SideSpec.of_document({"sides": data.report.sides})
    batch = batch_of(data, np.arange(len(data.train)), held_out=False)
    assert batch.condition is not None
    for row, condition in enumerate(batch.condition.permute(0, 2, 3, 1).numpy()):
        name = data.file(len(data.held_out) + row)
        path = sides[0 if maps == "A" else 1] / f"{Path(name).stem}.png"
        assert (given_pixels(path.read_bytes(), spec) == condition).all()
    streamed = stream_of(data, 1, flip=True).take(0, 16).condition
    assert streamed is not None and (streamed.sum(1, dtype=int) == 255).all()  # type: ignore[call-overload]
    data.close()


def test_label_maps_may_be_what_is_to_be_made(folders: Any) -> None:
    a, b = folders([drawn(k) for k in range(6)])
    data = open_data(b, into=str(a), maps="B", size=(24, 24))
    assert data.shape == (3, 24, 24) and data.legend == ("class 0", "class 1", "class 2")
    assert data.given is not None and data.given.legend == ()
    batch = batch_of(data, np.arange(6), held_out=False)
    assert batch.x.shape == (6, 3, 24, 24) and batch.condition is not None
    found = {one.argmax(0).numpy().astype(np.uint8).tobytes() for one in batch.x}
    assert found == {drawn(k).tobytes() for k in range(6)}
