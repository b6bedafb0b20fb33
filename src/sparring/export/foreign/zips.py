"""The parts of a zip that ``torch.save`` wrote, as views of the file: nothing packed, no name twice, none over another,
each as its checksum says.

The directory at the end of a zip and the header in front of each part say the same things twice, and programs that
look at different ones see different files. Here both are read, and must agree.
"""

from __future__ import annotations

import codecs
import struct
import zipfile
import zlib
from collections import Counter
from itertools import pairwise
from typing import BinaryIO

from sparring.export.foreign.names import Refused, shown

MOST = 80_000
codecs.lookup("cp437")  # of the names in zips; here, so that reading a file imports nothing at all


def parts(data: memoryview, file: BinaryIO) -> dict[str, memoryview]:
    """The parts by their names without the folder that all are in. file: the same bytes as `data`. `Refused`."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise Refused(f"it is damaged or not whole ({shown(str(error))})") from None
    _check(entries, len(data))
    found, taken = {}, []
    for entry in entries:
        header, begin = entry.header_offset, _begin(data, entry)
        taken.append((header, begin + entry.file_size))
        found[_inner(entry)] = data[begin : begin + entry.file_size]
    if any(end > header for (_, end), (header, _) in pairwise(sorted(taken))):
        raise Refused("its parts lie over one another")
    for entry in entries:
        if zlib.crc32(found[_inner(entry)]) != entry.CRC:
            raise Refused(f"its part {shown(entry.filename)!r} is damaged: the checksum is of other bytes")
    return found


def _inner(entry: zipfile.ZipInfo) -> str:
    return entry.filename.split("/", 1)[-1]


def _check(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Each name once, nothing packed, together no larger than the file, and what torch.save writes."""
    if len(entries) > MOST:
        raise Refused(f"it has {len(entries):,} parts")
    names = Counter(map(_inner, entries))
    if twice := [name for name, count in names.items() if count > 1]:
        raise Refused(f"it has two parts called {shown(twice[0])!r}")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise Refused(f"its part {shown(entry.filename)!r} is packed, which torch.save does not do")
        if entry.flag_bits & 0x41:
            raise Refused(f"its part {shown(entry.filename)!r} is encrypted")
    if sum(entry.file_size for entry in entries) > size:
        raise Refused("its parts are larger than the file")
    if any(name.startswith("code/") or name == "constants.pkl" for name in names):
        raise Refused("it is a TorchScript program, not a checkpoint")
    if "data.pkl" not in names:
        raise Refused("it is a zip file, but not one that torch.save wrote")


def _begin(data: memoryview, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a part begin, by the header in front of them."""
    at = entry.header_offset
    if not 0 <= at <= len(data) - 30 or bytes(data[at : at + 4]) != b"PK\x03\x04":
        raise Refused("its parts are not where it says")
    method, named, extra = struct.unpack("<H16xHH", data[at + 8 : at + 30])
    name = bytes(data[at + 30 : at + 30 + named])
    begin = at + 30 + named + extra
    said = entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437", "replace")
    if method or name != said or begin + entry.file_size > len(data):
        raise Refused("its parts are not what it says")
    return begin
