"""One data set or model on the Hugging Face hub: its commits, their files, and the copies of them on this machine.

Files lie in the cache of the library ``huggingface_hub``, in its documented order (``refs/main`` holds a hash,
``snapshots/<hash>`` the files), where its other users find them too.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sparring.data.sources import layout
from sparring.data.sources.download import Download, size_of
from sparring.data.sources.items import Progress
from sparring.errors import DataError, MachineError, SparringError, UsageError

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi, ModelInfo

FORM = "hf:owner/name, hf:owner/name/split, hf:owner/name/config/split, each with @revision if need be"
MODEL = "hf:owner/name, or hf:owner/name@revision"
"""How a model of the hub is named."""

Kind = Literal["dataset", "model"]

_HASH = re.compile(r"[0-9a-f]{40}")
_PAGE = 1000  # files between two words about a listing
_PATIENCE = 10.0  # seconds until the hub counts as not reachable
_FOREIGN = frozenset({"httpx2", "httpx", "httpcore", "httpcore2", "requests", "urllib3", "ssl", "socket", "hf_xet"})


@dataclass(frozen=True)
class Repository:
    """A data set or a model on the hub. text: what the user typed.   name: owner/name.   folder: of its copies.

    memory: where listings of commits are kept.   offline: whether nobody may be asked.
    """

    text: str
    name: str
    folder: Path
    memory: Path
    endpoint: str
    offline: bool
    api: HfApi
    kind: Kind = "dataset"

    @property
    def noun(self) -> str:
        """What a person calls it."""
        return "data set" if self.kind == "dataset" else "model"

    @property
    def page(self) -> str:
        """Where a person looks at it."""
        return f"{self.endpoint}/datasets/{self.name}" if self.kind == "dataset" else f"{self.endpoint}/{self.name}"

    @classmethod
    def of(cls, text: str, name: str, cache_root: Path, kind: Kind = "dataset") -> Repository:
        try:
            from huggingface_hub import HfApi, constants
            from huggingface_hub.errors import HFValidationError
            from huggingface_hub.utils import validate_repo_id
        except ImportError as error:
            raise MachineError(
                "EXTRA", "what is on the hub needs huggingface_hub, which is not installed",
                where=text, fix='pip install "sparring[hub]"',
            ) from error  # fmt: skip
        try:
            validate_repo_id(name)
        except HFValidationError as error:
            raise UsageError(
                "HUB-NAME",
                "nothing on the hub can have this name",
                where=text,
                why=str(error),
                fix=FORM if kind == "dataset" else MODEL,
            ) from error
        # the library reads these when it is imported, which may have been long ago
        home = os.environ.get("HF_HUB_CACHE") or (os.environ.get("HF_HOME") and f"{os.environ['HF_HOME']}/hub")
        files = Path(os.path.expandvars(home or constants.HF_HUB_CACHE)).expanduser()
        endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        off = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        return cls(
            text=text,
            name=name,
            folder=files / f"{kind}s--{name.replace('/', '--')}",
            memory=cache_root / "hub",
            endpoint=endpoint,
            offline=off or constants.is_offline_mode(),
            api=HfApi(endpoint=endpoint, library_name="sparring"),
            kind=kind,
        )

    def pin(self, revision: str) -> tuple[str, str]:
        """(hash of the commit that `revision` means, a warning or ""). Of a hash, this asks nobody."""
        if _HASH.fullmatch(revision):
            return revision, ""
        ref = self.folder / "refs" / (revision or "main")
        trouble: SparringError = self._offline()
        if not self.offline:
            try:
                commit = self._info(revision).sha
                if commit and _HASH.fullmatch(commit):
                    with suppress(OSError):  # the cache may be for reading only
                        _write(ref, commit)
                    return commit, ""
                raise OSError("the answer names no commit: this is not a hub")
            except Exception as error:
                trouble = self.explained(error, revision)
                if trouble.code != "HUB-UNREACHABLE":
                    raise trouble from error
        with suppress(OSError):
            commit = ref.read_text("utf-8").strip()
            if _HASH.fullmatch(commit):
                said = f"{self.text}: the hub cannot be reached; the commit seen last is used, {commit[:12]}"
                return commit, "" if self.offline else said
        raise trouble

    def listing(self, commit: str, progress: Progress | None = None) -> dict[str, int]:
        """Bytes of each file of a commit. Asked once; if nobody can be asked, what lies in the cache of it."""
        from huggingface_hub.hf_api import RepoFile

        known = self.memory / f"{'model--' * (self.kind == 'model')}{self.name.replace('/', '--')}--{commit}.json"
        with suppress(OSError, ValueError):
            found = json.loads(known.read_text("utf-8"))
            if isinstance(found, dict):
                return {str(name): int(size) for name, size in found.items()}
        trouble: SparringError = self._offline()
        if not self.offline:
            try:
                self._info(commit)  # fails at once, listing late
                tree = self.api.list_repo_tree(self.name, recursive=True, revision=commit, repo_type=self.kind)
                sizes: dict[str, int] = {}
                for entry in tree:
                    if isinstance(entry, RepoFile):
                        sizes[entry.path] = entry.size
                    if progress and len(sizes) % _PAGE == 1:
                        progress("listing", len(sizes), 0)
                with suppress(OSError):
                    _write(known, json.dumps(sizes))
                return sizes
            except Exception as error:
                trouble = self.explained(error, commit)
                if trouble.code != "HUB-UNREACHABLE":
                    raise trouble from error
        held = self._held(commit)
        if not held:
            raise trouble
        if layout.missing_parts(held):
            raise MachineError("HUB-OFFLINE", f"only some files of this {self.noun} are in the cache", where=self.text,
                               fix="connect to the network once, or give a local copy")  # fmt: skip
        return held

    def _held(self, commit: str) -> dict[str, int]:
        """The files of a commit that lie in the cache."""
        root = self.folder / "snapshots" / commit
        return {
            path.relative_to(root).as_posix(): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()
        }

    def fetch(self, commit: str, wanted: Mapping[str, int], progress: Progress | None) -> Path:
        """The folder in which these files of a commit lie, after those that are not yet there have been fetched."""
        root = self.folder / "snapshots" / commit
        missing = {name: size for name, size in wanted.items() if size_of(root / name) != size}
        if not missing:
            return root
        if self.offline:
            raise self._offline(f"{len(missing):,} of its {len(wanted):,} files are not in the cache")
        try:
            self._require_space(sum(missing.values()))
            Download(self.name, commit, self.folder, self.endpoint, missing, progress, self.kind).run()
        except Exception as error:
            raise self.explained(error, commit) from error
        if broken := [name for name, size in missing.items() if size_of(root / name) is None]:
            raise DataError("HUB-FILES", f"{broken[0]} could not be fetched", where=self.text, fix="try again")
        return root

    def _require_space(self, needed: int) -> None:
        files = self.folder.parent
        files.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(files).free
        if free < needed + 2**26:
            raise MachineError(
                "DISK-FULL",
                f"the files of this {self.noun} need {needed / 2**20:,.0f} MiB, {free / 2**20:,.0f} are free",
                where=str(files), fix="free some space, or set HF_HOME to a folder on a larger disk",
            )  # fmt: skip

    def _info(self, revision: str) -> ModelInfo | DatasetInfo:
        ask = self.api.dataset_info if self.kind == "dataset" else self.api.model_info
        return ask(self.name, revision=revision or None, timeout=_PATIENCE)

    # what can go wrong

    @property
    def _instead(self) -> str:
        """What can be done without the hub."""
        return "give a local copy of its images" if self.kind == "dataset" else "name a folder that holds a copy of it"

    def _offline(self, why: str = "") -> MachineError:
        return MachineError(
            "HUB-OFFLINE", f"this {self.noun} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it",
            where=self.text, why=why, fix=f"unset HF_HUB_OFFLINE once while connected, or {self._instead}",
        )  # fmt: skip

    def explained(self, error: Exception, revision: str) -> SparringError:
        """What a person can make of an error of the library."""
        from huggingface_hub import errors

        if isinstance(error, SparringError):
            return error
        if isinstance(error, (errors.LocalEntryNotFoundError, ValueError)) and isinstance(error.__cause__, Exception):
            error = error.__cause__  # "not in the cache either": what matters is why it could not be fetched
        page, noun = self.page, self.noun
        status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
        if isinstance(error, errors.GatedRepoError):
            return DataError(
                "HUB-ACCESS", f"this {noun} is only for those who accepted its conditions", where=self.text,
                fix=f"accept them at {page}, then `hf auth login` or set HF_TOKEN",
            )  # fmt: skip
        if isinstance(error, errors.RevisionNotFoundError):
            return DataError("HUB-REVISION", f"there is no revision {revision!r} of this {noun}", where=self.text,
                             fix=f"see {page}/commits/main, or leave out @{revision}")  # fmt: skip
        if isinstance(error, errors.RepositoryNotFoundError) or (
            status == 404 and not isinstance(error, errors.EntryNotFoundError)
        ):
            return DataError(
                "HUB-MISSING", f"there is no such {noun} on the hub, or it is private", where=self.text,
                fix=f"check the spelling at {page}; if it is private, `hf auth login` or set HF_TOKEN",
            )  # fmt: skip
        if status in (401, 403):
            return DataError(
                "HUB-ACCESS", f"the hub refuses access to this {noun} ({status})", where=self.text,
                why=error.server_message or "" if isinstance(error, errors.HfHubHTTPError) else "",
                fix="`hf auth login`, or set HF_TOKEN to a token that may read it",
            )  # fmt: skip
        if isinstance(error, errors.EntryNotFoundError) and status:
            return DataError("HUB-FILES", f"a file of this {noun} is gone from the hub", where=self.text,
                             why=_line(error), fix="name another revision")  # fmt: skip
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS):
            return MachineError(
                "HUB-DISK", f"the cache of the hub cannot be written ({error.strerror})", where=str(self.folder.parent),
                fix="free some space, or set HF_HOME to a folder that can be written",
            )  # fmt: skip
        foreign = any(kind.__module__.partition(".")[0] in _FOREIGN for kind in type(error).__mro__)
        if status or foreign or isinstance(error, (OSError, errors.LocalEntryNotFoundError)):
            what = f"answers with an error ({status})" if status else "cannot be reached"
            return MachineError(
                "HUB-UNREACHABLE", f"the hub {what} and this {noun} is not in the cache", where=self.text,
                why=f"{self.endpoint}: {_line(error)}",
                fix=f"connect to the network, or {self._instead}",
            )  # fmt: skip
        raise error


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
