"""Rows 4 to 23 of the bad-input matrix: every kind of image keeps its levels, its colours and its way up."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from sparring.data.decode import Limits, Recipe, Unusable, decode, decoding, header
from sparring.data.formats import sniff


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def as_is(data: bytes, width: int, height: int, channels: int = 1, **options: Any) -> np.ndarray:
    """Decoded at its own size."""
    return decode(data, Recipe((height, width), channels, **options)).pixels


def notes(data: bytes, size: tuple[int, int] = (16, 16), channels: int = 3) -> tuple[str, ...]:
    return decode(data, Recipe(size, channels)).notes


RAMP = np.tile(np.arange(256), (16, 1))  # (16, 256): every level once in each row
WIDE = Limits(max_aspect=16)


def ramp(data: bytes) -> list[int]:
    return as_is(data, 256, 16, limits=WIDE)[5, :, 0].tolist()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("unit", [256, 257])
def test_a_16_bit_ramp_keeps_256_levels(kind: str, unit: int) -> None:
    assert ramp(file(Image.fromarray((RAMP * unit).astype(np.uint16)), kind)) == list(range(256))


def test_a_big_endian_16_bit_ramp_keeps_256_levels() -> None:
    image = Image.frombytes("I;16B", (256, 16), (RAMP * 257).astype(">u2").tobytes())
    assert ramp(file(image, "TIFF")) == list(range(256))


@pytest.mark.parametrize("largest", [1.0, 255.0, 65535.0])
def test_a_float_ramp_keeps_256_levels(largest: float) -> None:
    image = Image.fromarray((RAMP / 255 * largest).astype(np.float32))
    assert ramp(file(image, "TIFF")) == list(range(256))


def test_float_images_beyond_any_known_range_are_stretched_and_said() -> None:
    data = file(Image.fromarray((RAMP - 100.0).astype(np.float32)), "TIFF")
    assert ramp(data) == list(range(256))
    assert "float stretched to 8-bit" in decode(data, Recipe((16, 256), 1, limits=WIDE)).notes


def test_float_images_with_nan_are_left_out() -> None:
    values = RAMP.astype(np.float32)
    values[3, 3] = np.nan
    with pytest.raises(Unusable, match="not finite"):
        ramp(file(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("largest", [255, 65535, 2**31 - 1])
def test_a_32_bit_integer_ramp_keeps_256_levels(largest: int) -> None:
    image = Image.fromarray((RAMP * largest // 255).astype(np.int32))
    assert ramp(file(image, "TIFF")) == list(range(256))


def test_16_bit_colour_is_rounded_to_8_bit_and_said() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    levels = np.stack([RAMP * 257, RAMP[:, ::-1] * 257, RAMP * 0], axis=2).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in levels)
    head = struct.pack(">IIBBBBB", 256, 16, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    found = decode(data, Recipe((16, 256), 3, limits=WIDE))
    np.testing.assert_array_equal(found.pixels[0, :, 0], np.arange(256))
    assert found.notes == ("16-bit to 8-bit",)


def test_1_bit_becomes_black_and_white(noise: Callable[..., Image.Image]) -> None:
    data = file(noise(0, channels=1).convert("1"))
    assert set(np.unique(as_is(data, 16, 16))) == {0, 255}
    assert "1-bit to 8-bit" in notes(data)


def test_what_hides_under_transparency_is_never_seen() -> None:
    values = np.zeros((16, 16, 4), np.uint8)
    values[..., 0] = 255  # red everywhere, visible only in the left half
    values[:, :8, 3] = 255
    data = file(Image.fromarray(values))
    white = as_is(data, 16, 16, 3)
    assert white[0, 0].tolist() == [255, 0, 0] and white[0, 15].tolist() == [255, 255, 255]
    assert as_is(data, 16, 16, 3, background=(0, 0, 255))[0, 15].tolist() == [0, 0, 255]
    kept = as_is(data, 16, 16, 4)
    assert kept[0, 15].tolist() == [255, 255, 255, 0] and kept[0, 0].tolist() == [255, 0, 0, 255]
    assert "transparency on background" in notes(data)


def test_grey_with_alpha_stays_grey() -> None:
    values = np.zeros((16, 16, 2), np.uint8)
    values[:8, :, 1] = 255
    data = file(Image.fromarray(values, "LA"))
    assert header(data).grey
    assert as_is(data, 16, 16)[[0, 15], 0, 0].tolist() == [0, 255]


@pytest.mark.parametrize("transparency", [0, bytes([0] + [255] * 255)])
def test_palette_with_transparency(transparency: int | bytes) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 0, 0, 0, 255, 0] + [0] * 762)
    image.paste(0, (0, 0, 8, 16))
    found = as_is(file(image, transparency=transparency), 16, 16, 3)
    assert found[0, 0].tolist() == [255, 255, 255] and found[0, 15].tolist() == [0, 255, 0]


def test_transparent_colour_key_of_grey_and_rgb() -> None:
    image = Image.new("L", (16, 16), 7)
    assert as_is(file(image, transparency=7), 16, 16)[0, 0, 0] == 255
    colour = Image.new("RGB", (16, 16), (1, 2, 3))
    assert as_is(file(colour, transparency=(1, 2, 3)), 16, 16, 3)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation(orientation: int) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = (255, 0, 0)  # the top left quarter is red
    turn = {2: (1, 1), 3: (2, 0), 4: (2, 1), 5: (3, 1), 6: (1, 0), 7: (1, 1), 8: (3, 0)}
    stored = upright
    if orientation in (2, 4):
        stored = upright[:, ::-1] if orientation == 2 else upright[::-1]
    elif orientation in turn:
        stored = {
            3: np.rot90(upright, 2), 5: upright.transpose(1, 0, 2), 6: np.rot90(upright, 1),
            7: np.rot90(upright, 2).transpose(1, 0, 2), 8: np.rot90(upright, 3),
        }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    np.testing.assert_array_equal(as_is(data, 24, 16, 3), upright)
    assert ("turned upright (EXIF)" in notes(data)) == (2 <= orientation <= 8)


def test_exif_orientation_that_is_no_number_is_ignored(noise: Callable[..., Image.Image]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    image = noise(0)
    np.testing.assert_array_equal(as_is(file(image, exif=exif), 16, 16, 3), np.asarray(image))


def test_cmyk_is_not_inverted() -> None:
    data = file(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)  # no cyan, all else: red
    red, green, blue = as_is(data, 16, 16, 3)[8, 8].tolist()
    assert red > 235 and green < 30 and blue < 30
    assert "CMYK to colour" in notes(data)


def test_lab_becomes_srgb() -> None:
    data = file(Image.new("LAB", (16, 16), (255, 128, 128)), "TIFF")
    assert as_is(data, 16, 16, 3).min() >= 253  # L* = 100, a* = b* = 0 is white
    assert "LAB to colour" in notes(data)


def profile(gamma: float) -> bytes:
    """A version 2 ICC profile: sRGB's primaries (adapted to D50) with the curve x ** gamma."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 79, b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.436, 0.2225, 0.0139), b"gXYZ": xyz(0.3851, 0.7169, 0.0971), b"bXYZ": xyz(0.1431, 0.0606, 0.7139),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4xI4s4s4s12x4s", start + len(body), 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head = head.ljust(68, b"\0") + number(0.9642) + number(1.0) + number(0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def test_an_icc_profile_is_applied(noise: Callable[..., Image.Image]) -> None:
    image = Image.new("RGB", (16, 16), (128, 128, 128))
    data = file(image, icc_profile=profile(1.0))
    encoded = 255 * (1.055 * (128 / 255) ** (1 / 2.4) - 0.055)  # linear 128 in sRGB's curve: 188
    assert np.abs(as_is(data, 16, 16, 3).astype(int) - encoded).max() <= 1.5
    assert notes(data) == ("colour profile to sRGB",)
    clear = image.convert("RGBA")
    clear.putalpha(77)
    kept = as_is(file(clear, icc_profile=profile(1.0)), 16, 16, 4)
    assert (kept[..., 3] == 77).all() and np.abs(kept[..., :3].astype(int) - encoded).max() <= 1.5


def test_an_srgb_profile_changes_nothing_and_a_broken_one_is_ignored(noise: Callable[..., Image.Image]) -> None:
    image = noise(0)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert notes(file(image, icc_profile=srgb)) == ()
    for icc in (srgb, b"no profile"):
        np.testing.assert_array_equal(as_is(file(image, icc_profile=icc), 16, 16, 3), np.asarray(image))
    grey = file(Image.new("L", (16, 16), 128), icc_profile=profile(1.0))  # a profile for colour on a grey image
    for damaged in (file(image, icc_profile=b"no profile"), grey):
        assert "colour profile not usable, ignored" in notes(damaged)


def test_the_first_frame_of_an_animation_and_the_first_page(noise: Callable[..., Image.Image]) -> None:
    frames = [noise(seed, channels=1) for seed in range(3)]
    for kind, what in (("GIF", "first frame of an animation"), ("PNG", "first frame of an animation"),
                       ("WEBP", "first frame of an animation"), ("TIFF", "first of several pages")):  # fmt: skip
        options = {"lossless": True} if kind == "WEBP" else {}
        data = file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert what in notes(data), kind
        np.testing.assert_array_equal(as_is(data, 16, 16)[..., 0], np.asarray(frames[0]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_every_format_is_recognised_and_decoded(kind: str) -> None:
    data = file(Image.linear_gradient("L").convert("RGB"), kind)
    assert sniff(data[:64]) == (kind, "")
    found = as_is(data, 256, 256, 3).astype(int)
    assert np.abs(found - np.arange(256)[:, None, None]).max() <= 8


def test_a_format_without_its_codec_is_named(
    monkeypatch: pytest.MonkeyPatch, noise: Callable[..., Image.Image]
) -> None:
    data = file(noise(0), "AVIF")
    monkeypatch.delitem(Image.OPEN, "AVIF")
    with pytest.raises(Unusable, match="AVIF is not read by this Pillow"):
        header(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_damaged(kind: str, share: float, noise: Callable[..., Image.Image]) -> None:
    data = file(noise(0, 64, 64), kind)
    with pytest.raises(Unusable):
        decode(data[: int(len(data) * share)], Recipe((64, 64), 3))


def test_truncation_is_damage_even_where_pillow_was_told_to_be_lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file(Image.effect_noise((64, 64), 60), "JPEG")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with decoding(), pytest.raises(Unusable, match="truncated"):
        decode(data[: len(data) // 2], Recipe((64, 64), 3))
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"  <html lang=en>", "HTML"),
        (b"just words", "text"),
        (b"BM just words, no bitmap", "text"),
        (b"%PDF-1.7 ....", "PDF"),
        (b"%!PS-Adobe", "PostScript"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41isom", "video"),
        (b"\xff\x0a rest", "JPEG XL"),
        (b"SIMPLE  =    T", "FITS"),
        (b"<svg xmlns=''>", "SVG"),
        (b"\0" * 100, "zero bytes"),
        (b"\x80\x81\x82\x83", "no image format"),
    ],
)
def test_strangers_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        header(data)


@pytest.mark.parametrize(
    ("size", "reason"), [((1, 1), "too small"), ((7, 100), "too small"), ((200, 40), "too long"), ((65500, 9), "long")]
)
def test_tiny_and_extreme_images_are_left_out(size: tuple[int, int], reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        header(file(Image.new("L", size)))
    assert header(file(Image.new("L", size)), Limits(min_side=1, max_aspect=1e6)).side == min(size)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    for side in (12_000, 20_000):  # Pillow itself warns above 89 and refuses above 179 megapixels
        head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        with decoding(), pytest.raises(Unusable, match="megapixels"):
            header(data)


def test_a_large_jpeg_is_reduced_without_changing_what_it_shows() -> None:
    gradient = Image.linear_gradient("L").resize((1024, 1024)).convert("RGB")
    found = decode(file(gradient, "JPEG", quality=95), Recipe((32, 32), 3)).pixels.astype(int)
    exact = decode(file(gradient, "PNG"), Recipe((32, 32), 3)).pixels.astype(int)
    assert np.abs(found - exact).max() <= 3


def test_reduction_is_antialiased() -> None:
    board = np.indices((256, 256)).sum(0) % 2 * 255  # a checkerboard of single pixels: grey from afar
    found = decode(file(Image.fromarray(board.astype(np.uint8))), Recipe((32, 32), 1)).pixels
    assert np.abs(found.astype(int) - 127).max() <= 3


def test_crop_policies() -> None:
    values = np.zeros((32, 64), np.uint8)
    values[:, 16:48] = 255  # the centre square is white
    data = file(Image.fromarray(values))
    found = {crop: decode(data, Recipe((32, 32), 1, crop, (9, 9, 9))) for crop in ("center", "squeeze", "pad")}
    assert (found["center"].pixels == 255).all() and found["center"].flat
    assert found["squeeze"].pixels[16, [2, 16, 29], 0].tolist() == [0, 255, 0]
    assert found["pad"].pixels[[0, 31], 16, 0].tolist() == [9, 9] and found["pad"].pixels[16, 16, 0] == 255
    assert [found[crop].notes for crop in found] == [("cropped",), ("squeezed",), ("padded",)]


def test_enlarging_is_said_and_an_exact_fit_changes_nothing(noise: Callable[..., Image.Image]) -> None:
    image = noise(3)
    assert "enlarged" in notes(file(image), (32, 32))
    assert notes(file(image)) == ()
    np.testing.assert_array_equal(as_is(file(image), 16, 16, 3), np.asarray(image))


def test_pixels_in_memory_go_the_same_way(noise: Callable[..., Image.Image]) -> None:
    image = noise(5, 20, 12)
    recipe = Recipe((8, 8), 1)
    np.testing.assert_array_equal(decode(np.asarray(image), recipe).pixels, decode(file(image), recipe).pixels)


def test_the_key_names_what_changes_pixels() -> None:
    recipes = [Recipe((8, 8), 1), Recipe((8, 9), 1), Recipe((8, 8), 3), Recipe((8, 8), 1, "pad"),
               Recipe((8, 8), 1, background=(0, 0, 0)), Recipe((8, 8), 1, limits=WIDE)]  # fmt: skip
    assert len({recipe.key for recipe in recipes}) == len(recipes)
    assert Recipe((8, 8), 1).key == recipes[0].key
