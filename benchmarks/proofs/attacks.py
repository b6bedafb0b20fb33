"""What is thrown at the app: addresses that climb, names that are scripts, hosts that are not ours, files that explode.

Everything is made here and says the same each time. tests/app uses it in short, `benchmarks/proofs/web.py` at length.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from benchmarks.corpus import bomb, chunk, file, picture, png, resized_in_name_only

# ── addresses ─────────────────────────────────────────────────────────────────────────────────────────────────────

_UP = (
    "..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "%25252e%25252e", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae", "..%00",
    "..%20", "...", "....", "..;", "%ef%bc%8e%ef%bc%8e", "%u002e%u002e", "..%0d%0a", "%uff0e%uff0e", "..%2e",
)  # fmt: skip
_SLASH = ("/", "%2f", "%5c", "\\", "%252f", "%c0%af", "%ef%bc%8f", "//", "/./", "%255c", "%2f%2f", "%u2215")
_DEPTHS = (1, 3, 8)


def traversals(canary: str, count: int = 300) -> list[str]:
    """Strings that would lead a careless server to the file `canary` (an absolute path), to be put where an id belongs.

    >>> len(set(traversals("/tmp/canary.txt"))) == len(traversals("/tmp/canary.txt")) == 300
    True
    """
    relative = canary.lstrip("/")
    fixed = [
        canary, "/" + canary, canary.replace("/", "%2f"), canary.replace("/", "%252f"), "file://" + canary,
        "file:" + canary, "C:\\" + relative.replace("/", "\\"), "C:/" + relative, "C:" + relative, "\\\\?\\C:\\canary",
        "\\\\127.0.0.1\\c$\\canary", "//127.0.0.1/c$/canary", "~/canary", "~root/canary", "$HOME/canary", "%HOME%",
        "canary%00.png", canary + "%00", canary + "%00.png", "./" + canary, "." + canary, "..", ".", "", "%00", "%20",
        "/proc/self/environ", "..%2f..%2fproc%2fself%2fcwd%2fpyproject.toml", "recipe.yaml", "%2e", "con",
        "nul", "aux.png",
        "a" * 300, "a" * 5000, "0000000000000000", "0" * 15 + "g", "0" * 17, "0123456789ABCDEF", "０" * 16, "-1", "1e9",
        "0000000000000000%0a", "%0a0000000000000000", "0000000000000000/..", "0000000000000000%2f..%2f..%2fcanary",
    ]  # fmt: skip
    made = (
        (up + slash) * depth + end
        for depth, slash, up in itertools.product(_DEPTHS, _SLASH, _UP)
        for end in (relative.replace("/", slash) if slash != "/" else relative,)
    )
    found = list(dict.fromkeys(fixed))
    step = 5  # a part of all combinations, of every depth
    rest = [text for text in dict.fromkeys(made) if text not in found]
    order = [text for offset in range(step) for text in rest[offset::step]]
    return (found + order)[:count]


def hosts(own: str) -> list[str]:
    """Values of the Host header, none of which is `own` ("127.0.0.1:8123").

    >>> len(set(hosts("127.0.0.1:8123")))
    40
    """
    port = own.rpartition(":")[2]
    return [
        "evil.test", f"evil.test:{port}", f"localhost.evil.test:{port}", f"127.0.0.1.evil.test:{port}", "",
        f"localhost.:{port}", f"127.0.0.1.:{port}", f"127.1:{port}", f"127.0.1:{port}", f"2130706433:{port}",
        f"0x7f000001:{port}", f"0x7f.0.0.1:{port}", f"0177.0.0.1:{port}", f"127.0.0.01:{port}", f"127.0.0.2:{port}",
        f"0.0.0.0:{port}", f"0:{port}", f"[::]:{port}", f"[::ffff:127.0.0.1]:{port}", f"[0:0:0:0:0:0:0:1]:{port}",
        f"[::1%25lo]:{port}", "::1", f"::1:{port}", "127.0.0.1", "localhost", "127.0.0.1:", "127.0.0.1:1",
        f"127.0.0.1:0{port}", f"127.0.0.1:{port}0", f"127.0.0.1:+{port}", f"user@127.0.0.1:{port}",
        f"127.0.0.1:{port}@evil.test", f"127.0.0.1:{port}, evil.test", f"evil.test, 127.0.0.1:{port}",
        f"127.0.0.1:{port}/", f"http://127.0.0.1:{port}", f"127.0.0.1:{port}#evil.test", f"127.0.0.1 :{port}",
        f"①②⑦.0.0.1:{port}".encode().decode("latin-1"), "null",
    ]  # fmt: skip


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────

MARK = "window.__x=1"


def scripts() -> list[str]:
    """Names that a careless page runs as a script, which would set ``window.__x``. None holds a slash: all can be names
    of folders.

    >>> len(set(scripts())), any("/" in name for name in scripts())
    (60, False)
    """
    tags = (
        "img src=x onerror", "svg onload", "body onload", "details open ontoggle", "video src=x onerror",
        "input autofocus onfocus", "select autofocus onfocus", "marquee onstart", "audio src=x onerror",
        "iframe onload", "object data=x onerror", "a href=# autofocus onfocus", "math onmouseover", "style onload",
    )  # fmt: skip
    plain = [f"<{tag}={MARK}>" for tag in tags]
    quoted = [
        f"{close}<img src=x onerror={MARK}>" for close in ('"', "'", '">', "'>", "-->", "]]>", "`", '\\">', "&quot;>")
    ]
    closing = [
        f"<\u2215{tag}><img src=x onerror={MARK}>" for tag in ("script", "title", "style", "textarea", "noscript")
    ]
    addresses = [
        f"{scheme}:{MARK}" for scheme in ("javascript", "JaVaScRiPt", "java\tscript", "\x01javascript", "vbscript")
    ]
    coded = [
        f"<script>{MARK}<&#47;script>", f"<ScRiPt>{MARK}", f"<script src=data:,{MARK}>",
        f"%3Cscript%3E{MARK}", f"\\u003cscript\\u003e{MARK}", f"<\x0cscript>{MARK}", f"<svg><script>{MARK}",
        f"&lt;script&gt;{MARK}", f"<scr<script>ipt>{MARK}",
        f"<math><mtext><img src=x onerror={MARK}>", f"<template><script>{MARK}", f"<base href=javascript:{MARK}>",
        f"<meta http-equiv=refresh content=0;url=javascript:{MARK}>", f"<link rel=import href=data:,{MARK}>",
    ]  # fmt: skip
    others = [
        f"{{{{constructor.constructor('{MARK}')()}}}}", f"${{{MARK}}}", f"#{{{MARK}}}", f"<%={MARK}%>",
        f"{{{{{MARK}}}}}", f"';{MARK};'", f'";{MARK};"', f"`;{MARK};`", f"\u2028{MARK}",
        f"\u202e<img src=x onerror={MARK}>",
        f"\x1b[2J\x1b]0;{MARK}\x07", f"=HYPERLINK(\"javascript:{MARK}\")", "‮gnp.exe", "x" * 200,
    ]  # fmt: skip
    return list(dict.fromkeys([*plain, *quoted, *closing, *addresses, *coded, *others]))[:60]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def bombs() -> dict[str, bytes]:
    """Files that are small, or look like pictures, and are neither harmless nor pictures."""
    small = file(picture(np.random.default_rng(0), 32, 32))
    head = b"\x89PNG\r\n\x1a\n"
    zeros = zlib.compress(bytes(2**27), 9)
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\x00\x00\x00\x00\x00\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00"
    tiff = b"II*\x00\x08\x00\x00\x00"
    return {
        "400 megapixels": bomb(),
        "65 megapixels": png(65_000, 1_001, 1, 0, bytes(1)),
        "4 gigapixels declared": png(65_535, 65_535, 8, 2, b""),
        "2**31 wide": png(2**31 - 1, 1, 8, 2, b""),
        "one row of 60 million": png(60_000_000, 1, 1, 0, bytes(10)),
        "colour profile of 128 MiB": head + small[8:33] + chunk(b"iCCP", b"x\0\0" + zeros) + small[33:],
        "text of 128 MiB": head + small[8:33] + chunk(b"zTXt", b"x\0\0" + zeros) + small[33:],
        "10,000 texts": head + small[8:33] + chunk(b"tEXt", b"a\0b") * 10_000 + small[33:],
        "animation without end": gif + frame * 20_000 + b"\x3b",
        "huge animation": gif + frame + b"\x3b",
        "jpeg of 65,535": resized_in_name_only(file(picture(np.random.default_rng(1)), "JPEG"), 65_535, 65_535),
        "bitmap of 2**31": _bitmap(2**31 - 1),
        "bitmap of -1": _bitmap(-1),
        "tiff in a circle": tiff + struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 64) + struct.pack("<I", 8),
        "tiff of 2**32": tiff + struct.pack("<H", 3) + b"".join(
            struct.pack("<HHII", tag, 4, 1, 2**32 - 1) for tag in (256, 257, 258)
        ) + bytes(4),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='window.__x=1'/>",
        "svg with entities": b"<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><svg>&c;</svg>",
        "html": b"<!doctype html><script>window.__x=1</script>",
        "html after gif": b"GIF89a=0;window.__x=1;/*" + bytes(50),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "pdf": b"%PDF-1.7\n1 0 obj\n<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>\nendobj\n",
        "fits": b"SIMPLE  =                    T" + bytes(2880),
        "zip": b"PK\x03\x04" + bytes(100),
        "program": b"\x7fELF\x02\x01\x01" + bytes(100),
        "nothing": b"",
        "one byte": b"\x89",
        "zeros": bytes(100_000),
    }  # fmt: skip


def _bitmap(side: int) -> bytes:
    """The header of a BMP that claims to be so wide and high."""
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)


def seeds() -> list[tuple[str, bytes]]:
    """Small whole pictures of every format that is read, (format, bytes)."""
    dice = np.random.default_rng(0)
    image = picture(dice, 24, 20)
    rough = Image.fromarray(dice.integers(0, 256, (12, 9, 3), dtype=np.uint8))
    frames = io.BytesIO()
    image.convert("P").save(frames, "GIF", save_all=True, append_images=[rough.resize((24, 20)).convert("P")])
    return [
        ("PNG", file(image)),
        ("PNG", file(image.convert("P"))),
        ("PNG", file(image.convert("RGBA"))),
        ("JPEG", file(image, "JPEG")),
        ("JPEG", file(rough, "JPEG", progressive=True)),
        ("JPEG", file(image.convert("CMYK"), "JPEG")),
        ("WEBP", file(image, "WEBP")),
        ("WEBP", file(rough, "WEBP", lossless=True)),
        ("BMP", file(image, "BMP")),
        ("TIFF", file(image, "TIFF")),
        ("TIFF", file(rough, "TIFF", compression="tiff_lzw")),
        ("TIFF", file(image, "TIFF", compression="tiff_adobe_deflate")),
        ("GIF", file(image.convert("P"), "GIF")),
        ("GIF", frames.getvalue()),
    ]


def mutants(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Pictures with something wrong, (format, bytes): flipped bits, numbers at their ends, parts that are lost,
    doubled, moved or of another picture, and several of these at once."""
    originals = seeds()
    for k in range(count):
        dice = np.random.default_rng([seed, k])
        kind, data = originals[k % len(originals)]
        wrong = bytearray(data)
        for _ in range(int(dice.integers(1, 5))):
            _mutate(wrong, dice, originals[int(dice.integers(len(originals)))][1])
        yield kind, bytes(wrong)


def _mutate(data: bytearray, dice: np.random.Generator, other: bytes) -> None:
    """One fault, in place. The first hundred bytes, where sizes stand, are met more often."""
    if len(data) < 2:
        data += other[:64]
    near = int(dice.integers(0, min(len(data), 100)))
    at = near if dice.random() < 0.5 else int(dice.integers(0, len(data)))
    length = int(dice.integers(1, 64))
    fault = int(dice.integers(0, 7))
    if fault == 0:
        data[at] ^= 1 << int(dice.integers(0, 8))
    elif fault == 1:
        data[at : at + 4] = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x01"][
            int(dice.integers(4))
        ]
    elif fault == 2:
        del data[at:]
    elif fault == 3:
        del data[at : at + length]
    elif fault == 4:
        data[at:at] = data[at : at + length] * int(dice.integers(1, 20))
    elif fault == 5:
        data[at : at + length] = other[at : at + length]
    else:
        data[at : at + length] = dice.bytes(length)
