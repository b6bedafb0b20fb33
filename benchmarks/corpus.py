"""A folder of images with one of every defect, hidden among thousands of healthy files.

`build` makes the folder, `benchmarks.sources.build_sources` the sources that are wrong as a whole. The rows are those
of the bad-input matrix in docs/data.md. Everything is made here, with numpy, Pillow and a few bytes by hand.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw

Expected = Literal["left out", "converted", "warned", "ignored", "used"]


@dataclass(frozen=True)
class Defect:
    """One file that is not as it should be.

    row: of the matrix.   path: inside the folder.   kind: what is wrong, in words.   expected: what must become of it.
    reason, fix: regular expressions of what must be said about it; empty where nothing need be said.
    """

    row: int
    path: str
    kind: str
    expected: Expected
    reason: str = ""
    fix: str = ""
    named: bool = True
    """Whether its path must be said; what befalls most images is only counted."""


# ── images ────────────────────────────────────────────────────────────────────────────────────────────────────────


def picture(dice: np.random.Generator, width: int = 96, height: int = 96) -> Image.Image:
    """Soft blobs with a few hard-edged shapes on them: unlike any other, and quick to make."""
    coarse = dice.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y, side = dice.integers(0, width), dice.integers(0, height), dice.integers(4, max(5, width // 2))
        colour = tuple(int(level) for level in dice.integers(0, 256, 3))
        draw.ellipse((int(x), int(y), int(x + side), int(y + side // 2)), fill=colour)
    return image


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **options)
    return memory.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, bits: int, colour: int, lines: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand: what Pillow does not write. lines: with the filter byte before each."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def bomb(side: int = 20_000) -> bytes:
    """400 megapixels in 50 kB."""
    return png(side, side, 1, 0, bytes((side // 8 + 1) * side))


def deep_colour(image: Image.Image) -> bytes:
    """16 bits per sample, RGB."""
    values = np.asarray(image).astype(">u2") * 257
    return png(*image.size, 16, 2, b"".join(b"\0" + line.tobytes() for line in values.astype(">u2")))


def display_p3() -> bytes:
    """An ICC profile (version 2) with the primaries of Display P3 and the transfer of a power of 2.2."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(number, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"P3\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(79),
        b"cprt": b"text\0\0\0\0" + b"none\0\0\0\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.5151, 0.2412, -0.0011),
        b"gXYZ": xyz(0.2920, 0.6922, 0.0419),
        b"bXYZ": xyz(0.1571, 0.0666, 0.7841),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + number(0.9642) + number(1.0) + number(0.8249)
    return head.ljust(128, b"\0") + table + body


def resized_in_name_only(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def one_bit_flipped(data: bytes) -> bytes:
    """Damage that a decoder does not notice."""
    for at in range(len(data) * 2 // 3, len(data)):
        flipped = data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :]
        try:
            with Image.open(io.BytesIO(flipped)) as image:
                image.load()
        except Exception:
            continue
        return flipped
    raise AssertionError("every flipped bit was noticed")


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = number
    return exif


def heif(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand + b"\0\0\1\0meta" + bytes(300)


# ── the files of the matrix ───────────────────────────────────────────────────────────────────────────────────────

DEEP, CLEAR, RIGHT = "16-bit", "transparen", "look right|--"
FIRST = r"first (frame|of several)"


def images(dice: np.random.Generator) -> list[tuple[int, str, str, bytes, Expected, str, str]]:
    """(row, name, what it is, content, what must become of it, reason, fix) of every defect that is a file's bytes."""

    def shot(width: int = 96, height: int = 96) -> Image.Image:
        return picture(dice, width, height)

    def jpeg(width: int = 96, height: int = 96, **options: Any) -> bytes:
        return file(shot(width, height), "JPEG", quality=85, **options)

    whole = {"jpg": jpeg(320, 240), "png": file(shot(160, 120)), "webp": file(shot(160, 120), "WEBP")}
    alpha = shot().convert("RGBA")
    alpha.paste((255, 0, 0, 0), (0, 0, 40, 96))  # red that nobody is meant to see
    palette = shot().quantize(16)

    def levels() -> np.ndarray:
        return np.asarray(shot().convert("L"))

    lab = np.dstack([levels(), levels() // 2 + 64, levels() // 3 + 80]).astype(np.uint8)
    frames = [shot() for _ in range(3)]
    film: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    nan = levels().astype(np.float32)
    nan[3, 3] = np.nan
    text_bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**26), 9))
    dots = np.asarray(shot()).tobytes()
    same, like = file(shot(120, 120)), shot(120, 120)
    rows: list[tuple[int, str, str, bytes, Expected, str, str]] = [
        # 4, 5: content decides, never the name
        *((4, f"Upper{number}.{end}", f"{kind} called .{end}", file(shot(), kind), "used", "", "")
          for number, (end, kind) in enumerate([("JPG", "JPEG"), ("Jpeg", "JPEG"), ("PNG", "PNG"), ("WebP", "WEBP"),
                                                ("AVIF", "AVIF"), ("BMP", "BMP"), ("TIF", "TIFF"), ("GIF", "GIF")])),
        (5, "png-inside.jpg", "PNG called .jpg", file(shot()), "used", "", ""),
        (5, "no_extension", "JPEG without an extension", jpeg(), "used", "", ""),
        (5, "page.jpg", "a web page called .jpg", b"<!DOCTYPE html><html><title>404</title></html>", "left out",
         "HTML|web page", "download"),
        (5, "empty.png", "0 bytes", b"", "left out", "empty|0 bytes", "copy or download"),
        (5, "notes.txt", "a text", b"remember to buy milk\n", "left out", "text", "nothing to do|remove"),
        # 6, 7: damage
        *((6, f"cut-at-{share}.jpg", f"JPEG cut at {share} %", whole["jpg"][: len(whole["jpg"]) * share // 100],
           "left out", "damaged|truncated", "again") for share in (1, 50, 99)),
        (6, "cut.png", "PNG cut at 50 %", whole["png"][: len(whole["png"]) // 2], "left out", "damaged|truncated",
         "again"),
        (6, "cut.webp", "WebP cut at 50 %", whole["webp"][: len(whole["webp"]) // 2], "left out", "damaged|truncated",
         "again"),
        (7, "flipped.jpg", "JPEG with one flipped bit", one_bit_flipped(jpeg()), "used", "", ""),
        (7, "flipped.webp", "WebP with one flipped bit", one_bit_flipped(file(shot(), "WEBP")), "used", "", ""),
        # 8 to 15: other kinds of pixels
        (8, "grey.jpg", "grey among colour", file(shot().convert("L"), "JPEG"), "converted", "grey", RIGHT),
        (9, "grey-alpha.png", "grey with transparency", file(alpha.convert("LA")), "converted", CLEAR, RIGHT),
        (10, "hidden-red.png", "colour under full transparency", file(alpha), "converted", CLEAR, RIGHT),
        (11, "palette.png", "palette with transparency", file(palette, transparency=3), "converted", CLEAR, RIGHT),
        (11, "fax.png", "1 bit", file(shot().convert("1")), "converted", "1-bit", RIGHT),
        (12, "deep.png", "16-bit grey PNG", file(Image.fromarray(levels().astype(np.uint16) * 257)), "converted", DEEP,
         RIGHT),
        (12, "deep.tif", "16-bit grey TIFF", file(Image.fromarray(levels().astype(np.uint16) * 200), "TIFF"),
         "converted", DEEP, RIGHT),
        (12, "big-endian.tif", "16-bit big-endian TIFF",
         file(Image.frombytes("I;16B", (96, 96), (levels().astype(np.uint16) * 257).astype(">u2").tobytes()), "TIFF"),
         "converted", DEEP, RIGHT),
        (12, "integers.tif", "32-bit integer TIFF", file(Image.fromarray(levels().astype(np.int32) * 2**22), "TIFF"),
         "converted", "integer|32-bit", RIGHT),
        (12, "float.tif", "float TIFF", file(Image.fromarray(levels().astype(np.float32) / 255), "TIFF"), "converted",
         "float", RIGHT),
        (12, "nan.tif", "float TIFF with NaN", file(Image.fromarray(nan), "TIFF"), "left out", "not finite", "."),
        (13, "deep-colour.png", "16-bit colour PNG", deep_colour(shot()), "converted", DEEP, RIGHT),
        (14, "print.jpg", "CMYK JPEG", file(shot().convert("CMYK"), "JPEG"), "converted", "CMYK", RIGHT),
        (14, "lab.tif", "Lab TIFF", file(Image.frombytes("LAB", (96, 96), lab.tobytes()), "TIFF"), "converted",
         "L(AB|ab)", RIGHT),
        (15, "wide-gamut.jpg", "Display P3 profile", jpeg(icc_profile=display_p3()), "converted", "profile|ICC", RIGHT),
        # 16: EXIF orientation
        *((16, f"turned-{number}.jpg", f"EXIF orientation {number}", jpeg(120, 80, exif=orientation(number)),
           "converted", "EXIF", RIGHT) for number in range(2, 9)),
        *((16, f"turned-{number}.jpg", f"EXIF orientation {number}", jpeg(120, 80, exif=orientation(number)),
           "used", "", "") for number in (0, 1, 9, 99)),
        # 17, 18: several pictures in one file; formats that are not read
        (17, "animation.gif", "animated GIF", file(frames[0], "GIF", **film), "converted", FIRST, "frames"),
        (17, "animation.webp", "animated WebP", file(frames[1], "WEBP", **film), "converted", FIRST, "frames"),
        (17, "animation.png", "animated PNG", file(frames[2], "PNG", **film), "converted", FIRST, "frames"),
        (17, "pages.tif", "TIFF of three pages", file(shot(), "TIFF", **film), "converted", FIRST, "frames"),
        (18, "stereo.mpo", "MPO of two pictures", file(shot(), "MPO", save_all=True, append_images=[shot()]),
         "used", "", ""),
        (18, "phone.heic", "HEIC", heif(b"heic"), "left out", "HEIC", "convert"),
        (18, "next.jxl", "JPEG XL", b"\xff\x0a" + dots[:300], "left out", "JPEG XL", "convert"),
        (18, "cinema.jp2", "JPEG 2000", file(shot(), "JPEG2000"), "left out", "JPEG 2000", "convert"),
        # 19 to 23: sizes
        (19, "dot.png", "1 x 1", file(shot(1, 1)), "left out", "too small", "min-side"),
        (19, "banner.png", "4000 x 2", file(shot(4000, 2)), "left out", "too (small|long)", "min-side|max-aspect"),
        (19, "ruler.png", "65500 x 1", png(65500, 1, 8, 0, bytes(65501)), "left out", "too (small|long)",
         "min-side|max-aspect"),
        (19, "panorama.jpg", "9 times as wide as high", jpeg(288, 32), "left out", "too long", "max-aspect"),
        (20, "small.png", "smaller than the target", file(shot(24, 24)), "warned", "enlarged|smaller", "--size"),
        (21, "poster.jpg", "169 megapixels", resized_in_name_only(jpeg(), 13_000, 13_000), "left out", "megapixels",
         "max-megapixels"),
        (22, "bomb.png", "400 megapixels in 50 kB", bomb(), "left out", "megapixels", "max-megapixels"),
        (22, "comment.png", "64 MiB of text in 64 kB",
         png(96, 96, 8, 2, b"".join(b"\0" + dots[i : i + 288] for i in range(0, 96 * 288, 288)), text_bomb),
         "left out", "damaged|decompress|too large|text", "."),
        (22, "document.png", "PDF called .png", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(100), "left out", "PDF",
         "."),
        (22, "drawing.jpg", "PostScript called .jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n" + b" " * 100, "left out",
         "PostScript", "."),
        (22, "galaxy.png", "FITS called .png", b"SIMPLE  =                    T".ljust(2880), "left out", "FITS",
         "convert"),
        (23, "wide.jpg", "3 : 1 in a square world", jpeg(192, 64), "converted", "crop", "--crop"),
        # 24, 25: copies and blanks
        (24, "twin-a.png", "exact duplicate", same, "warned", "exact duplicate", "remove"),
        (24, "twin-b.png", "exact duplicate", same, "warned", "exact duplicate", "remove"),
        (24, "near-a.png", "near duplicate", file(like), "warned", "almost the same", "look at"),
        (24, "near-b.jpg", "near duplicate", file(like.resize((150, 150)), "JPEG", quality=70), "warned",
         "almost the same", "look at"),
        (25, "blank.png", "one flat colour", file(Image.new("RGB", (96, 96), (7, 60, 90))), "warned",
         "blank|flat colour", "remove"),
    ]  # fmt: skip
    return rows


STRANGE_FOLDERS = ("a b'\"`;rm -rf", "line\nbreak", "😀", "‮rtl", "<script>alert(1)</script>", "-rf", "CON",
                   os.fsdecode(b"bytes\xff\xfe"), "ordinary/holiday 2019/day 3", "Ünïcode")  # fmt: skip
STRANGE_NAMES = ("two words.png", "quote'\"`.png", "new\nline.png", "🦆.png", "‮gnp.png", "ü" * 125 + ".png",
                 os.fsdecode(b"latin-1-\xe9\xff.png"), "-rf.png", ";rm x.png", "<script>.png", "CON.png", "%s%n.png",
                 "back\\slash.png")  # fmt: skip


def _others(folder: Path, dice: np.random.Generator, large: bool) -> list[Defect]:
    """Defects that are not a matter of one file's bytes: names, links, pipes, rights, depth."""
    found: list[Defect] = []

    def put(row: int, path: str, kind: str, expected: Expected, reason: str = "", fix: str = "") -> Path:
        found.append(Defect(row, path, kind, expected, reason, fix))
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        return folder / path

    def shot(width: int = 96, height: int = 96) -> bytes:
        return file(picture(dice, width, height))

    if large:  # takes a second
        grey = picture(dice, 128, 128).convert("L").resize((10_100, 10_000), Image.Resampling.NEAREST)
        put(21, "large/photograph.jpg", "101 megapixels", "converted", "grey", RIGHT).write_bytes(file(grey, "JPEG"))
    for path in (".DS_Store", "albums/Thumbs.db", "albums/desktop.ini"):
        put(29, path, "clutter", "ignored", Path(path).name.replace(".", r"\.")).write_bytes(b"\0\0\0\1Bud1")
    for path in (".ipynb_checkpoints/a-checkpoint.png", "albums/__MACOSX/a.png", "@eaDir/a.png"):
        clutter = next(part for part in path.split("/") if part.startswith((".", "__", "@")))
        put(29, path, "a copy in clutter", "ignored", clutter).write_bytes(shot())
    put(29, "albums/._a.png", "clutter", "ignored", r"\._").write_bytes(b"\0\5\x16\7")

    # 36: links, pipes, sockets
    (folder / "links").mkdir()
    put(36, "links/loop", "a link to the whole folder", "ignored", "twice|loop|link").symlink_to(folder)
    put(36, "links/self.png", "a link to itself", "left out", "itself|loop", "remove").symlink_to("self.png")
    put(36, "links/broken.png", "a link to nothing", "left out", "broken link", "remove|put the files").symlink_to(
        "nowhere.png"
    )
    beside = folder.with_name(folder.name + "-outside.png")
    beside.write_bytes(shot())
    put(36, "links/outside.png", "a link out of the folder", "used").symlink_to(beside)
    original = put(36, "links/hard-a.png", "a hard link", "warned", "exact duplicate", "remove")
    original.write_bytes(shot())
    os.link(original, put(36, "links/hard-b.png", "a hard link", "warned", "exact duplicate", "remove"))
    os.mkfifo(put(36, "links/pipe.png", "a pipe", "left out", "regular file|pipe", "remove"))
    opened = os.open(folder / "links", os.O_RDONLY)  # a socket's path may have 107 bytes, a folder's more
    with socket.socket(socket.AF_UNIX) as ear:
        path = put(36, "links/socket.png", "a socket", "left out", "regular file|socket", "remove")
        ear.bind(f"/proc/self/fd/{opened}/{path.name}")
    os.close(opened)

    # 37 to 42: rights, names, depth, a file that the cloud has not brought yet
    secret = put(37, "private/secret.png", "no right to read", "left out", "cannot be read|permission", "chmod")
    secret.write_bytes(shot())
    secret.chmod(0)
    locked = put(37, "private/locked", "a folder without the right to list", "left out", "cannot be read|permission",
                 "chmod")  # fmt: skip
    locked.mkdir()
    (locked / "inside.png").write_bytes(shot())
    locked.chmod(0)
    for name in STRANGE_NAMES:
        put(38, f"strange/{name}", "a strange name", "used").write_bytes(shot())
    put(38, "strange/bad\n<b>" + os.fsdecode(b"\xff") + ".png", "nothing in it, and a strange name", "left out",
        "empty|0 bytes", "copy or download").write_bytes(b"")  # fmt: skip
    put(39, "/".join(["deep"] * 200) + "/only.png", "200 folders deep", "used").write_bytes(shot())
    put(40, "albums/inside.zip", "a zip in the folder", "left out", "zip|archive", "unpack|own source").write_bytes(
        b"PK\x03\x04" + bytes(100)
    )
    with put(42, "cloud/offline.jpg", "a placeholder of a file in the cloud", "left out", "zero|placeholder|cloud",
             "download|offline").open("wb") as hollow:  # fmt: skip
        hollow.truncate(200_000)
    return found


def build(folder: Path, n: int = 5000, seed: int = 0) -> list[Defect]:
    """`n` files below `folder`, most of them healthy; returns every one that is not, with what must be said of it."""
    dice = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    found: list[Defect] = []
    for number, (row, name, kind, data, expected, reason, fix) in enumerate(images(dice)):
        place = STRANGE_FOLDERS[number % len(STRANGE_FOLDERS)]
        found.append(Defect(row, f"{place}/{name}", kind, expected, reason, fix, named=row != 23))
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / name).write_bytes(data)
    found += _others(folder, dice, large=n >= 1000)
    formats: list[tuple[str, Callable[[Image.Image], bytes]]] = [
        ("jpg", lambda image: file(image, "JPEG", quality=85)),
        ("png", lambda image: file(image, "PNG", compress_level=1)),
        ("webp", lambda image: file(image, "WEBP", method=0)),
    ]
    for number in range(max(0, n - len(found))):
        end, write = formats[number % 7 % 3]
        place = STRANGE_FOLDERS[number % 97] if number % 97 < len(STRANGE_FOLDERS) else f"albums/{number % 23:02d}"
        path = folder / place / f"{number:05d}.{end}"
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = (int(side) for side in dice.integers(72, 200, 2))
        path.write_bytes(write(picture(dice, width, height)))
    return found
