"""A zip as a source of images: read entry by entry, never extracted."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from sparring.data.formats import HEAD, sniff
from sparring.data.sources.items import BESIDE, CLUTTER, MAX_FILE_BYTES, Item, Source, Unreadable, stamp_of
from sparring.errors import DataError

MAX_TOTAL_BYTES = 2**32  # 4 GiB; above, a zip may promise at most …
MAX_GROWTH = 1000  # … times its own size


class ZipSource(Source):
    """The files in a zip, read entry by entry; nothing is ever extracted, so a name cannot lead anywhere."""

    def __init__(self, path: Path) -> None:
        super().__init__(name=path.stem, place=str(path.resolve()))
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            cut = not zipfile.is_zipfile(path)
            why = "the list of its files, at the end, is missing: it was cut off" if cut else str(error)
            fix = "copy or download it again"
            raise DataError("DATA-ZIP", "this zip cannot be read", where=str(path), why=why, fix=fix) from error
        of_file = stamp_of(path.stat())
        last = {info.filename: number for number, info in enumerate(self._zip.infolist())}
        self._entries: list[zipfile.ZipInfo] = []
        for number, info in enumerate(self._zip.infolist()):
            if info.is_dir():
                name = info.filename[:-1]
                if "/" not in name and name not in CLUTTER:
                    self.folders.append(name)
                continue
            if self._is_clutter(info.filename):
                continue
            reason = _bad_entry(info)
            if not reason and last[info.filename] != number:
                reason = "this name occurs twice in the zip; the last one counts"
            if reason:
                self.listed_out.append((info.filename, reason))
            elif info.filename.rsplit("/", 1)[-1] in BESIDE:
                self.beside.append(info.filename)
            else:
                self._entries.append(info)
                self.items.append(Item(info.filename, f"{info.CRC:08x}.{info.file_size}.{of_file}"))
        self._refuse_bomb(path)

    def _refuse_bomb(self, path: Path) -> None:
        """Images are compressed already: what grows a thousandfold is no archive of them."""
        promised, stored = sum(info.file_size for info in self._entries), max(path.stat().st_size, 1)
        if promised > MAX_TOTAL_BYTES and promised > MAX_GROWTH * stored:
            self.close()
            raise DataError(
                "DATA-ZIP", "this zip is a bomb", where=str(path), fix="do not use it; ask where it came from",
                why=f"{stored:,} bytes promise to become {promised:,}, more than {MAX_GROWTH:,} times as many",
            )  # fmt: skip

    def _is_clutter(self, name: str) -> bool:
        parts = name.split("/")
        found = [part for part in parts if part in CLUTTER] or (["._*"] if parts[-1].startswith("._") else [])
        self.ignored.update(found[:1])
        return bool(found)

    def read_beside(self, name: str) -> bytes:
        return self._zip.read(name)

    def read(self, number: int) -> bytes:
        info = self._entries[number]
        try:
            with self._zip.open(info) as entry:
                head = entry.read(HEAD)
                kind, reason = sniff(head)
                if not kind:
                    raise Unreadable(reason)
                data = head + entry.read(info.file_size)
                if len(data) != info.file_size:
                    raise Unreadable(f"damaged zip entry: {len(data)} bytes, {info.file_size} promised")
                return data
        except Unreadable:
            raise
        except NotImplementedError as error:
            raise Unreadable("compressed in a way that is not read: pack it with deflate") from error
        except Exception as error:  # zipfile and zlib raise a dozen kinds of error on damaged entries
            passing = isinstance(error, (OSError, MemoryError))
            raise Unreadable(f"damaged zip entry: {error}", passing) from error

    def close(self) -> None:
        self._zip.close()


def _bad_entry(info: zipfile.ZipInfo) -> str:
    """Why an entry is not even tried, or nothing."""
    mode = info.external_attr >> 16
    if info.flag_bits & 0x1:
        return "encrypted: unpack the zip with its password and give the folder"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "a link or a device, not a file"
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or info.filename.startswith(("/", "\\")) or parts[0].endswith(":"):
        return "a path that leads out of the zip"
    if info.file_size > MAX_FILE_BYTES:
        return f"larger than {MAX_FILE_BYTES >> 20} MiB"
    return ""
