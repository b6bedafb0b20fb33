"""Row 33 of the matrix of bad inputs: pairs are what belongs together and nothing else, and whatever is done to one
side of a pair is done to the other."""

from __future__ import annotations

import io
import json
import os
import shutil
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from tests.data.scenes import scene

from sparring.data import Dataset, Manifest, Options, SideSpec, batch_of, given_pixels, open_data, reopen, stream_of
from sparring.data.live import Live
from sparring.data.pack import pack_data
from sparring.data.pairing import PairRecipe, Recipe, decode
from sparring.data.sources.items import Two
from sparring.errors import DataError, UsageError

Sides = tuple[Path, Path]


def drawing(number: int, side: int = 16) -> Image.Image:
    """A grey picture of which `coloured` is the partner."""
    values = np.random.default_rng(number).integers(0, 200, (4, 4), dtype=np.uint8)
    return Image.fromarray(values.repeat(side // 4, 0).repeat(side // 4, 1))


def coloured(image: Image.Image) -> Image.Image:
    grey = np.asarray(image)
    return Image.fromarray(np.stack([grey, grey // 2, grey + 50], axis=2))


@pytest.fixture
def sides(tmp_path: Path) -> Callable[..., Sides]:
    """sides(n): folders A and B with n pairs of the same stems, B with another suffix."""

    def make(n: int = 24, name: str = "pairs", suffix: str = "BMP", b: str = "B", a: str = "A") -> Sides:
        root = tmp_path / name
        for side in (a, b):
            (root / side).mkdir(parents=True)
        for number in range(n):
            drawing(number).save(root / a / f"{number:02d}.png")
            coloured(drawing(number)).save(root / b / f"{number:02d}.{suffix}")
        return root / a, root / b

    return make


def opened(a: Path | str, b: Path | str | None = None, **options: Any) -> Dataset:
    return open_data(a, into=None if b is None else str(b), **{"size": (16, 16), **options})


def belong(data: Dataset) -> bool:
    """Whether every row is a drawing and its colours, in training, held out, and in the stream."""
    assert data.given is not None
    rows = [(data.train, data.given.train), (data.held_out, data.given.held_out)]
    batch = stream_of(data, 5, flip=True).take(3, 2 * len(data))
    assert batch.condition is not None
    rows.append((batch.x.permute(0, 2, 3, 1).numpy(), batch.condition.permute(0, 2, 3, 1).numpy()))
    return all(np.array_equal(made[..., :1], given) and np.array_equal(made[..., 1:2], given // 2)
               for made, given in ((np.asarray(x[:]), np.asarray(y[:])) for x, y in rows) if len(made))  # fmt: skip


# ── what belongs together ─────────────────────────────────────────────────────────────────────────────────────────


def test_two_folders_are_paired_by_stem_whatever_the_suffix(sides: Callable[..., Sides]) -> None:
    data = opened(*sides())
    assert data.given is not None and belong(data)
    assert data.shape == (3, 16, 16) and data.given.shape == (1, 16, 16) and len(data) + len(data.held_out) == 24
    assert data.report.pairs == "stems" and data.report.also.endswith("/B") and data.given.paired


def test_a_stem_may_be_spelt_in_another_unicode_form_and_lie_in_a_folder(tmp_path: Path) -> None:
    for side, form in (("A", "NFC"), ("B", "NFD")):
        (tmp_path / side / "deep").mkdir(parents=True)
        for number, name in enumerate(("déjà.png", "deep/a.b.png", "deep/c.PNG", "d.Jpeg" if side == "A" else "d.png")):
            image = drawing(number) if side == "A" else coloured(drawing(number))
            image.save(tmp_path / side / unicodedata.normalize(form, name))
        (tmp_path / side / f"notes of {side}.txt").write_text("not an image, and no partner of anything")
    data = opened(tmp_path / "A", tmp_path / "B")
    assert data.report.used == 4
    assert [name for name, _ in data.report.excluded] == ["notes of A.txt", "notes of B.txt"]


def test_direction_turns_the_sides_round(sides: Callable[..., Sides]) -> None:
    a, b = sides()
    there, back = opened(a, b), opened(a, b, direction="BtoA")
    assert there.given is not None and back.given is not None
    assert back.shape == (1, 16, 16) and back.given.shape == (3, 16, 16)
    assert {x.tobytes() for x in there.given.train} | {x.tobytes() for x in there.given.held_out} == {
        x.tobytes() for x in (*back.train, *back.held_out)
    }
    assert there.fingerprint != back.fingerprint and back.report.source.endswith("/A")


def test_what_has_no_partner_stops_with_its_names_or_is_left_out(sides: Callable[..., Sides]) -> None:
    a, b = sides()
    (a / "03.png").unlink()
    drawing(99).save(a / "Extra.png")
    with pytest.raises(DataError) as refused:
        opened(a, b)
    error = refused.value
    assert error.code == "DATA-UNPAIRED" and "2 of 25 stems" in error.what and "23 pairs" in error.why
    assert "Extra.png" in error.why and "03.BMP" in error.why
    assert "--drop-unpaired" in error.fix and "--recipe cyclegan" in error.fix
    data = opened(a, b, drop_unpaired=True)
    assert belong(data) and data.report.used + data.report.held_out == 23
    assert [name for name, why in data.report.excluded if why.startswith("no partner")] == ["03.BMP", "Extra.png"]
    assert data.report.found == 23 and "23 pairs found" in data.report.lines()[0], "files without a partner are no pair"
    assert "0 excluded, besides 2 files of no pair" in data.report.lines()[0]


def test_nothing_in_common_says_so_and_case_counts(tmp_path: Path) -> None:
    for side, name in (("A", "cat{}.png"), ("B", "Cat{}.png")):
        (tmp_path / side).mkdir()
        for number in range(3):
            drawing(number).save(tmp_path / side / name.format(number))
    with pytest.raises(DataError, match="no stem is on both sides") as refused:
        opened(tmp_path / "A", tmp_path / "B", drop_unpaired=True)
    assert "3 of these would match if upper and lower case were the same" in refused.value.why
    assert "--drop-unpaired" not in refused.value.fix


def test_two_files_of_one_stem_are_named(sides: Callable[..., Sides]) -> None:
    a, b = sides()
    drawing(1).save(a / "01.bmp")
    with pytest.raises(DataError, match=r"01\.bmp and 01\.png") as refused:
        opened(a, b)
    assert refused.value.code == "DATA-STEMS"


def test_other_sizes_are_fitted_and_other_shapes_left_out(sides: Callable[..., Sides]) -> None:
    a, b = sides()
    coloured(drawing(4)).resize((64, 64), Image.Resampling.NEAREST).save(b / "04.BMP")
    coloured(drawing(5)).resize((32, 16)).save(b / "05.BMP")
    data = opened(a, b)
    assert data.report.used + data.report.held_out == 23 and data.train.shape[1:3] == (16, 16)
    assert data.report.excluded == [("05.BMP", "the two have different shapes: 16x16 is given, 32x16 to be made of it")]


def test_a_broken_side_takes_its_pair_along(sides: Callable[..., Sides]) -> None:
    a, b = sides()
    (a / "02.png").write_bytes((a / "02.png").read_bytes()[:60])
    data = opened(a, b)
    assert belong(data) and data.report.used + data.report.held_out == 23
    ((name, why),) = data.report.excluded
    assert name == "02.BMP" and why.startswith("given: damaged")


# ── one source ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_halves_of_one_picture(tmp_path: Path) -> None:
    for number in range(24):
        both = Image.new("RGB", (32, 16))
        both.paste(drawing(number).convert("RGB"), (0, 0))
        both.paste(coloured(drawing(number)), (16, 0))
        both.save(tmp_path / f"{number}.png")
    Image.new("RGB", (33, 16)).save(tmp_path / "odd.png")
    data = opened(tmp_path, pairs="side-by-side", given_channels=1)
    assert belong(data) and data.report.used + data.report.held_out == 24
    assert [name for name, why in data.report.excluded if "33 pixels wide" in why] == ["odd.png"]
    back = opened(tmp_path, pairs="side-by-side", direction="BtoA", channels=1)
    assert back.given is not None and back.given.shape == (3, 16, 16) and back.shape == (1, 16, 16)
    with pytest.raises(DataError, match="nothing here says what belongs together") as refused:
        open_data(tmp_path, needs={"pair"})
    assert "--recipe cyclegan" in refused.value.fix
    (tmp_path / "odd.png").unlink()
    with pytest.raises(DataError, match="--pairs side-by-side"):
        open_data(tmp_path, needs={"pair"})


def described(root: Path, rows: list[dict[str, Any]]) -> None:
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_two_columns_of_metadata(sides: Callable[..., Sides]) -> None:
    root = sides()[0].parent
    rows = [{"file_A": f"A/{n:02d}.png", "file_B": f"B/{n:02d}.BMP", "text": f"number {n}"} for n in range(24)]
    described(root, [*rows, {"file_A": "A/99.png", "file_B": "B/01.BMP"}])
    data = opened(root, needs={"pair"})
    assert belong(data) and data.report.pairs == "columns" and data.captions is not None
    assert {texts[0] for texts in (*data.captions, *(data.held_out_captions or ()))} == {
        f"number {n}" for n in range(24)
    }
    number = [data.names[row] for row in data.index].index("B/07.BMP")
    assert data.captions[number] == ("number 7",)
    assert data.report.excluded == [("A/99.png", "not there, but named in line 25 of metadata.jsonl")]
    described(root, [{"sketch": row["file_A"], "photo": row["file_B"]} for row in rows])
    named = opened(root, needs={"pair"}, columns=(("given", "sketch"), ("image", "photo")))
    assert belong(named) and named.report.pairs == "columns"
    with pytest.raises(DataError, match="file_A"):
        opened(root, pairs="columns")


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_two_columns_of_parquet(tmp_path: Path, direction: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def png(image: Image.Image) -> bytes:
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    columns = {"sketch": [png(drawing(n)) for n in range(24)], "photo": [png(coloured(drawing(n))) for n in range(24)]}
    parquet.write_table(pyarrow.table({**columns, "text": [f"number {n}" for n in range(24)]}), tmp_path / "a.parquet")
    named = (("given", "sketch"), ("image", "photo"))
    if direction == "BtoA":
        named = (("image", "sketch"), ("given", "photo"))
    data = opened(tmp_path / "a.parquet", needs={"pair"}, columns=named, direction=direction)
    assert belong(data) and data.captions is not None and data.report.pairs == "columns"
    with pytest.raises(DataError, match="--columns given=… --columns image=…"):
        opened(tmp_path / "a.parquet", needs={"pair"})


def test_two_folders_in_one_and_in_a_zip(sides: Callable[..., Sides], tmp_path: Path) -> None:
    root = sides()[0].parent
    folder = opened(root, needs={"pair"})
    assert belong(folder) and folder.report.pairs == "stems"
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    inside = opened(packed, needs={"pair"})
    named = opened(f"{packed}/A", f"{packed}/B")
    assert belong(inside) and belong(named)
    assert folder.fingerprint == inside.fingerprint == named.fingerprint == opened(root / "A", root / "B").fingerprint
    with pytest.raises(DataError, match="there is no folder 'C'"):
        opened(f"{packed}/C")
    assert opened(root).given is None  # who needs no pairs gets single images


def test_train_a_and_train_b_are_unpaired_for_who_needs_that(sides: Callable[..., Sides]) -> None:
    a, b = sides(a="trainA", b="trainB")
    for number in range(5):
        (b / f"{number:02d}.BMP").rename(b / f"other {number}.BMP")
    data = opened(a.parent, needs={"unpaired"}, held_out=0)
    assert data.given is not None and not data.given.paired and data.report.pairs == "unpaired"
    with pytest.raises(DataError, match="10 of 29 stems"):
        opened(a.parent, needs={"pair"})


# ── both sides alike ──────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(8, 30), height=st.integers(8, 30), to=st.tuples(st.integers(4, 24), st.integers(4, 24)),
    crop=st.sampled_from(["center", "squeeze", "pad"]), turned=st.integers(1, 8), channels=st.sampled_from([1, 3, 4]),
)  # fmt: skip
def test_equal_sides_stay_equal(
    width: int, height: int, to: tuple[int, int], crop: Any, turned: int, channels: int
) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    scene(width * height, width, height).save(file, "PNG", exif=exif)
    recipe = Recipe(to, channels, crop)
    both = decode(Two(file.getvalue(), file.getvalue()), PairRecipe(recipe, recipe)).pixels
    assert both.shape == (*to, 2 * channels) and np.array_equal(both[..., :channels], both[..., channels:])


def test_equal_folders_make_equal_batches(sides: Callable[..., Sides]) -> None:
    a, _ = sides()
    data = opened(a, a, size=(12, 12))
    batch = stream_of(data, 1, flip=True).take(7, 200)
    assert batch.condition is not None and bool((batch.x == batch.condition).all())
    assert batch.x.shape == (200, 1, 12, 12)
    plain = stream_of(data, 1, flip=False).take(7, 200)
    mirrored = (plain.x != batch.x).flatten(1).any(1)
    assert 60 < int(mirrored.sum()) < 140 and bool((plain.x.flip(3) == batch.x)[mirrored].all())


def test_a_batch_of_rows_is_what_lies_there(sides: Callable[..., Sides]) -> None:
    data = opened(*sides())
    for held_out, made, given_ in (
        (False, data.train, data.given.train if data.given else None),
        (True, data.held_out, data.given.held_out if data.given else None),
    ):
        batch = batch_of(data, np.array([0]), held_out=held_out)
        assert batch.condition is not None and given_ is not None
        assert np.array_equal(batch.x.permute(0, 2, 3, 1).numpy(), made[:1])
        assert np.array_equal(batch.condition.permute(0, 2, 3, 1).numpy(), given_[:1])


def test_pairs_of_one_drawing_are_never_divided(tmp_path: Path) -> None:
    """Skin tones: one outline in six colours, and once with a slightly other outline."""
    for side in "AB":
        (tmp_path / side).mkdir()
    for number in range(20):
        outline = scene(number, 32, 32).convert("L")
        for tone in range(4):
            shifted = Image.fromarray((np.asarray(outline) * (0.97 if tone == 3 else 1.0)).astype(np.uint8))
            shifted.save(tmp_path / "A" / f"{number}-{tone}.png")
            values = np.asarray(outline) // 2 + 30 * tone
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "B" / f"{number}-{tone}.png")
    for keep in ("on", "off"):
        data = opened(tmp_path / "A", tmp_path / "B", size=(32, 32), held_out=0.3, keep=keep)
        apart = {data.names[row].split("-")[0] for row in data.held_out_index.tolist()}
        rest = {data.names[row].split("-")[0] for row in data.index.tolist()}
        assert len(data.held_out) >= 24 and len(apart) == 6 and not apart & rest


# ── unpaired ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_unpaired_sides_are_shuffled_and_mirrored_independently(sides: Callable[..., Sides]) -> None:
    a, b = sides()
    drawing(50).save(a / "more.png")
    data = opened(a, b, pairs="unpaired", held_out=0)
    assert data.given is not None and data.given.other is not None and not data.given.paired
    n, m = len(data), len(data.given.train)
    assert (n, m) == (24, 25) and data.shape == (3, 16, 16) and data.given.shape == (1, 16, 16)
    stream = stream_of(data, 2, flip=False)
    batch = stream.take(0, n * m)
    assert batch.condition is not None
    assert len({image.numpy().tobytes() for image in batch.condition[:m]}) == m  # a pass of each
    assert len({image.numpy().tobytes() for image in batch.x[:n]}) == n
    partners = {(x[0].numpy().tobytes(), y[0].numpy().tobytes()) for x, y in zip(batch.x, batch.condition)}
    assert len(partners) > 8 * n  # not always the same two
    later = stream.take(100, 7)
    assert later.condition is not None and bool((later.condition == batch.condition[100:107]).all())
    flipped = stream_of(data, 2, flip=True).take(0, n * m)
    assert flipped.condition is not None
    turned = [
        (one != other).flatten(1).any(1) for one, other in ((flipped.x, batch.x), (flipped.condition, batch.condition))
    ]
    assert 0.3 < float((turned[0] ^ turned[1]).float().mean()) < 0.7
    rows = batch_of(data, np.array([23, 3]), held_out=False)
    assert rows.condition is not None and np.array_equal(rows.condition[0, 0].numpy(), data.given.train[23][..., 0])


def test_both_unpaired_sides_get_one_size(tmp_path: Path) -> None:
    for side, size in (("A", 64), ("B", 40)):
        (tmp_path / side).mkdir()
        for number in range(4):
            scene(number, size, size).save(tmp_path / side / f"{side}{number}.png")
    data = open_data(tmp_path / "A", into=str(tmp_path / "B"), needs={"unpaired"})
    assert data.given is not None and data.shape == data.given.shape == (3, 32, 32)


# ── on demand, and again ──────────────────────────────────────────────────────────────────────────────────────────


def test_on_demand_a_pair_is_replaced_where_one_side_breaks(sides: Callable[..., Sides]) -> None:
    a, b = sides(200)
    data = opened(a, b, keep="off")
    kept = opened(a, b, keep="on")
    assert isinstance(data.train, Live) and belong(data) and data.fingerprint == kept.fingerprint
    row = next(row for row in range(len(data)) if data.names[int(data.index[row])] == "17.BMP")
    (a / "17.png").unlink()
    stream = stream_of(data, 0, flip=False)
    batch = stream.take(0, len(data))
    assert batch.condition is not None and bool((batch.x[:, :1] == batch.condition).all())
    (news,) = stream.news()
    assert news.code == "DATA-BROKEN" and "17.BMP: given (17.png): cannot be read" in news.message
    assert data.given is not None and isinstance(data.given.train, Live) and row in data.given.train.lost


@pytest.mark.parametrize("pairs", ["stems", "unpaired"])
def test_changed_pairs_are_named_and_the_run_goes_on(sides: Callable[..., Sides], tmp_path: Path, pairs: Any) -> None:
    a, b = sides()
    options = Options(size=(16, 16), into=str(b), pairs=pairs, given_channels=1)
    data = open_data(a, options)
    manifest = Manifest.of(data)
    assert manifest is not None
    (tmp_path / "data.npz").write_bytes(manifest.encode())
    again = Manifest.load(tmp_path / "data.npz")
    assert again is not None and (again.given is not None) == (pairs == "unpaired")
    unchanged, changes = reopen(again, str(a), options)
    assert not changes and unchanged.fingerprint == data.fingerprint
    (a / "04.png").unlink()
    drawing(60).save(a / "new.png")
    restored, changes = reopen(again, str(a), options)
    assert restored.fingerprint == data.fingerprint and restored.shape == data.shape
    assert stream_of(restored, 0, True).fingerprint == stream_of(data, 0, True).fingerprint
    ours, theirs = stream_of(restored, 0, True).take(5, 9), stream_of(data, 0, True).take(5, 9)
    assert ours.condition is not None and theirs.condition is not None
    assert bool((ours.x == theirs.x).all()) and bool((ours.condition == theirs.condition).all())
    said = "1 pair was removed" if pairs == "stems" else "1 file was removed"
    assert any(line.startswith(said) for line in changes), changes


# ── label maps, and pictures that people bring ────────────────────────────────────────────────────────────────────


def test_label_maps_are_one_hot_on_their_side(tmp_path: Path) -> None:
    for side in "AB":
        (tmp_path / side).mkdir()
    for number in range(12):
        values = np.random.default_rng(number).integers(0, 3, (8, 8), dtype=np.uint8)
        Image.fromarray(values).save(tmp_path / "A" / f"{number}.png")
        scene(number, 8, 8).save(tmp_path / "B" / f"{number}.png")
    data = opened(tmp_path / "A", tmp_path / "B", size=(8, 8), maps="A")
    assert data.given is not None and data.given.shape == (3, 8, 8) and len(data.given.legend) == 3
    batch = stream_of(data, 0, flip=True).take(0, 30)
    assert batch.condition is not None and batch.condition.shape == (30, 3, 8, 8)
    assert bool((batch.condition.int().sum(1) == 255).all())
    back = opened(tmp_path / "A", tmp_path / "B", size=(8, 8), maps="A", direction="BtoA")
    assert back.shape == (3, 8, 8) and back.legend == data.given.legend and back.train.shape[3] == 1
    assert data.given.palette is not None and data.given.palette.shape == (3, 3)
    record = json.loads(json.dumps(data.report.record()))
    side = SideSpec.of_document({"sides": record["sides"]})
    assert side == data.given.side
    name = data.names[int(data.index[0])]
    assert np.array_equal(
        np.moveaxis(given_pixels((tmp_path / "A" / name).read_bytes(), side), -1, 0),
        batch_of(data, np.array([0]), held_out=False).condition[0].numpy(),  # type: ignore[index]
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_is_given_as_in_training(sides: Callable[..., Sides], channels: int) -> None:
    a, b = sides()
    data = opened(a, b, direction="BtoA", given_channels=channels, background=(9, 200, 30))
    side = SideSpec.of_document({"sides": data.report.sides})
    assert data.given is not None
    name = Path(data.names[int(data.index[0])]).stem
    assert np.array_equal(given_pixels((b / f"{name}.BMP").read_bytes(), side), data.given.train[0])


# ── what does not go together ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"into": "B", "pairs": "side-by-side"}, "DATA-PAIRS"), ({"palette": "cmp"}, "DATA-PALETTE"),
        ({"given_channels": 2}, "DATA-CHANNELS"), ({"pairs": "both"}, "DATA-OPTION"),
        ({"direction": "B"}, "DATA-OPTION"), ({"maps": "C"}, "DATA-OPTION"),
    ],
)  # fmt: skip
def test_options_that_contradict_are_refused(options: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as refused:
        Options(**options).check_pairs()
    assert refused.value.code == code


def test_pairs_are_not_packed(sides: Callable[..., Sides], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    a, _ = sides()
    described(a.parent, [{"file_A": "A/01.png", "file_B": "B/01.BMP"}])
    for options in (Options(pairs="stems"), Options()):
        with pytest.raises(UsageError, match="pairs"):
            pack_data(str(a.parent), tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_emoji_are_outlines_and_their_colours(few_emoji: None) -> None:
    data = open_data("emoji", needs={"pair"}, size=(16, 16))
    assert data.given is not None and data.shape == (3, 16, 16) and data.given.shape == (1, 16, 16)
    assert data.captions is not None and data.report.pairs == "stems" and not data.report.also
    apart = open_data("emoji", needs={"unpaired"}, size=(16, 16))
    assert apart.given is not None and not apart.given.paired and apart.given.shape == (1, 16, 16)
    dark = data.given.train[:] < 128
    assert float(data.train[:].max(axis=3, keepdims=True)[dark].mean()) < 128  # the outline is part of the drawing


def test_shared_pairs_keep_skin_tones_together(shared_data: Path) -> None:
    path = shared_data / "openmoji_pairs_64.zip"
    if not path.exists() or os.environ.get("SPARRING_SLOW") is None:
        pytest.skip("4,495 pairs: set SPARRING_SLOW")
    rows = [json.loads(line) for line in zipfile.ZipFile(path).read("metadata.jsonl").splitlines()]
    base = {row["file_B"]: row["base"] for row in rows}
    data = open_data(path, needs={"pair"})
    apart = {base[data.names[row]] for row in data.held_out_index.tolist()}
    assert len(apart) > 100 and not apart & {base[data.names[row]] for row in data.index.tolist()}
