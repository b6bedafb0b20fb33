"""Which files are images: by their first bytes, never by their name.

Only the formats listed here are ever handed to Pillow, so a PDF, an EPS or a FITS file that calls itself ``cat.png``
reaches no decoder at all. HEIF and JXL are read where somebody installed Pillow's plugin for them.
"""

from __future__ import annotations

import codecs
import struct

HEAD = 512  # bytes that `sniff` needs

_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

CAMERA_RAW = "camera raw: develop it to TIFF or JPEG"

# What people keep beside images. The reason says what to do about it.
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document, not an image"),
    (b"%!PS", "a PostScript file, not an image"),
    (b"8BPS", "a Photoshop file: export it as PNG"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000 is not read: convert it to PNG or JPEG"),
    (b"SIMPLE  =", "a FITS file: convert it to 16-bit TIFF"),
    (b"PK\x03\x04", "a zip archive inside the data: open it as its own source, or unpack it"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
    (b"\x1a\x45\xdf\xa3", "a video, not an image: extract its frames"),
    (b"FUJIFILMCCD-RAW", CAMERA_RAW),
    (b"IIU\0", CAMERA_RAW),  # Panasonic
    (b"IIRO", CAMERA_RAW),  # Olympus
    (b"IIRS", CAMERA_RAW),
    (b"MMOR", CAMERA_RAW),
    (b"FOVb", CAMERA_RAW),  # Sigma
    (b"\0MRM", CAMERA_RAW),  # Minolta
    (b"\x93NUMPY", "a NumPy array: save its images as PNG"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file: save its images as PNG"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (b"\xfd7zXZ\0", "an xz archive: unpack it"),
    (b"BZh", "a bzip2 archive: unpack it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it"),
    (b"PAR1", "a parquet file inside the data: give it, or a folder of parquet files alone, as its own source"),
    (b"FLV\x01", "a video, not an image: extract its frames"),
    (b"\0\0\x01\xba", "a video, not an image: extract its frames"),
    (b"\0\0\x01\xb3", "a video, not an image: extract its frames"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video, not an image: extract its frames"),
    (b"SQLite format 3", "a SQLite database, not an image"),
    (b"ARROW1", "an Arrow file: save it as parquet, which is read"),
    (b"\xd0\xcf\x11\xe0", "a Windows document, not an image"),
    (b"#!AMR", "a sound, not an image"),
    (b"ID3", "a sound, not an image"),
    (b"OggS", "a sound or a video, not an image"),
)


def sniff(head: bytes) -> tuple[str, str]:
    """(format as Pillow names it, ""), or ("", why the file is not used), from the first `HEAD` bytes of a file.

    >>> sniff(b"GIF89a......")
    ('GIF', '')
    >>> sniff(b"<!DOCTYPE html><title>404</title>")
    ('', 'a web page (HTML), not an image')
    """
    if not head:
        return "", "empty (0 bytes)"
    for magic, name in (
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00*", "TIFF"),
        (b"II+\x00", "TIFF"),
        (b"MM\x00+", "TIFF"),
        (b"\xff\x0a", "JXL"),
        (b"\x00\x00\x00\x0cJXL ", "JXL"),
    ):
        if head.startswith(magic):
            return name, ""
    if head[:4] == b"RIFF":
        return ("WEBP", "") if head[8:12] == b"WEBP" else ("", "a sound or a video (RIFF), not an image")
    if head[4:8] == b"ftyp":
        return _sniff_container(head)
    # "BM" alone begins many a text: the two reserved words of a bitmap header are zero.
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "BMP", ""
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "", "a Python pickle, which is never opened: save its images as PNG"
    if head[257:262] == b"ustar":
        return "", "a tar archive: unpack it"
    if head[16:20] in (b"\xde\xc0\xef\xbe", b"\xbe\xef\xc0\xde"):
        return "", "an LMDB database: save its images as files"
    return "", next((reason for magic, reason in _STRANGERS if head.startswith(magic)), _unknown(head))


def _sniff_container(head: bytes) -> tuple[str, str]:
    """ISO media files: AVIF, HEIF and videos share one container; the brands tell them apart."""
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, length, 4))}
    if brands.intersection(_AVIF_BRANDS):
        return "AVIF", ""
    if brands.intersection(_HEIF_BRANDS):
        return "HEIF", ""
    if b"crx " in brands:
        return "", CAMERA_RAW  # Canon
    return "", "a video, not an image: extract its frames"


def _unknown(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML), not an image"
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"svg" in start):
        return "an SVG drawing: render it to PNG"
    if not start.strip(b"\0"):
        return "only zero bytes"
    if _is_text(head):
        return "text, not an image"
    return "no image format that is read (PNG, JPEG, WebP, BMP, TIFF, GIF, AVIF)"


def _is_text(head: bytes) -> bool:
    """UTF-8, perhaps cut within a character, without control characters."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head)


def is_camera_raw(data: bytes) -> bool:
    """Whether a TIFF holds what a sensor saw (DNG, NEF, CR2, ARW, …): such files begin with a tiny picture that any
    reader of TIFF would take for the image. By its first directory: a DNG's version (tag 50706), samples of a colour
    filter array (photometric 32803 or 34892), or a thumbnail (254) in front of pictures kept elsewhere (330).

    >>> is_camera_raw(b"II*\\0\\x10\\0\\0\\0CR\\2\\0")
    True
    """
    if data[8:10] == b"CR":
        return True
    order = "<" if data[:2] == b"II" else ">"
    tags: dict[int, int] = {}
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(count):
            tag, kind = struct.unpack_from(order + "HH", data, start + 2 + 12 * entry)
            tags[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, start + 10 + 12 * entry)[0]
    except struct.error:
        return False  # damaged, or BigTIFF, which no camera writes
    return 50706 in tags or tags.get(262) in (32803, 34892) or (330 in tags and bool(tags.get(254, 0) & 1))
