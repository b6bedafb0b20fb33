"""What people give as data and what is none: each is named, with the command that makes images of it."""

from __future__ import annotations

import json
import shlex
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sparring.data.formats import sniff
from sparring.errors import DataError

_THEN = ", then give the folder images"
_PACKED = {"gzip": "gunzip --keep", "bzip2": "bunzip2 --keep", "xz": "unxz --keep", "Zstandard": "unzstd"}


def of_file(path: Path, text: str, head: bytes) -> DataError:
    """What a file is that is no source of images. head: its first 512 bytes.   text: the path as it was typed."""
    kind, reason = sniff(head)
    if kind:
        what, fix = f"this is one single image ({kind})", "give the folder that holds the images"
        return DataError("DATA-KIND", what, where=text, fix=fix)
    name = shlex.quote(text)
    if "tar archive" in reason or _is_packed_tar(path):
        return DataError("DATA-KIND", "tar archives are not read", where=text, why=_web_data_set(path),
                         fix=f"mkdir images && tar -xf {name} -C images{_THEN}")  # fmt: skip
    if "video" in reason and "sound" not in reason:
        return DataError("DATA-KIND", "a video is not read", where=text,
                         fix=f"mkdir images && ffmpeg -i {name} -vf fps=2 images/%06d.png{_THEN}")  # fmt: skip
    if "LMDB" in reason:
        return lmdb(text, folder=False)
    if "NumPy" in reason:
        return numpy(text)
    packed = next((command for word, command in _PACKED.items() if f"a {word} archive" in reason), "")
    if packed:
        return DataError("DATA-KIND", "a packed file is not read", where=text, why=reason, fix=f"{packed} {name}")
    if path.suffix.lower() in (".tfrecord", ".tfrecords", ".record"):
        reason = "TFRecord files are not read: save their images as PNG"
    fix = "give a folder of images, a zip or parquet files"
    return DataError("DATA-KIND", "not a source of images", where=text, why=reason, fix=fix)


def of_zip(names: Sequence[str], text: str) -> DataError | None:
    """What a zip is that holds no images but something else, by the names in it."""
    kinds = {PurePosixPath(name).suffix.lower() for name in names[:1000]}
    if kinds == {".npy"}:
        return numpy(text, PurePosixPath(names[0]).stem)
    if any(PurePosixPath(name).name == "data.pkl" for name in names[:1000]):
        why, fix = "it holds a Python pickle (PyTorch)", "save its images as PNG; pickles are never opened here"
        return DataError("DATA-KIND", "not a source of images", where=text, why=why, fix=fix)
    return None


def of_folder(path: Path, text: str) -> DataError | None:
    """What a folder is that belongs to a data base."""
    return lmdb(text, folder=True) if (path / "data.mdb").is_file() else None


def lmdb(text: str, *, folder: bool) -> DataError:
    code = (
        'import lmdb; [open(f"images/{i:07}", "wb").write(pair[1]) for i, pair in enumerate('
        f"lmdb.open({json.dumps(text)}, readonly=True, lock=False, subdir={folder}).begin().cursor())]"
    )
    fix = f"pip install lmdb && mkdir images && python -c {shlex.quote(code)}{_THEN}"
    return DataError("DATA-KIND", "LMDB is not read", where=text, why="its values have no common format", fix=fix)


def numpy(text: str, entry: str = "") -> DataError:
    load = f"numpy.load({json.dumps(text)})" + (f"[{json.dumps(entry)}]" if entry else "")
    code = f'import numpy, PIL.Image as I; [I.fromarray(x).save(f"images/{{i:07}}.png") for i, x in enumerate({load})]'
    fix = f"mkdir images && python -c {shlex.quote(code)}{_THEN}"
    return DataError("DATA-KIND", "NumPy arrays are not read", where=text, fix=fix)


def _is_packed_tar(path: Path) -> bool:
    ends = [end.lower() for end in path.suffixes[-2:]]
    return path.suffix.lower() in (".tgz", ".tbz2", ".txz", ".tzst") or (len(ends) == 2 and ends[0] == ".tar")


def _web_data_set(path: Path) -> str:
    """A word about WebDataset: one sample is several files of one name. Looks at unpacked archives only."""
    try:
        with tarfile.open(path, "r:") as archive:
            names = [member.name for member, _ in zip(archive, range(8), strict=False)]
    except (tarfile.TarError, OSError, EOFError):
        return ""
    stems = {name.partition(".")[0] for name in names}
    if len(stems) < len(names) and any(name.endswith((".cls", ".json", ".txt")) for name in names):
        return "this is a WebDataset: its classes and captions belong into a metadata.jsonl beside the unpacked images"
    return ""
