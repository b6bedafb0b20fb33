"""Models on the Hugging Face hub: ``hf:owner/name[@revision]``, fetched and published.

Of a repository ``config.json`` and ``model.safetensors`` are fetched, nothing else, and no code is ever executed. A
revision is turned into the hash of a commit once, and both files are read at that. They lie in the cache of the library
``huggingface_hub``. A token is what that library knows (``hf auth login``, HF_TOKEN); none is read here.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparring.data import cache
from sparring.data.sources.repository import MODEL, Repository
from sparring.errors import DataError, MachineError, SparringError, UsageError
from sparring.export import card, folder
from sparring.runs.document import LARGEST
from sparring.runs.release import CONFIG, WEIGHTS, Release, read
from sparring.runs.run import Run

HEAVIEST = 2**34
"""Bytes of weights that are fetched at most."""

_TEXT = re.compile(r"(?:hf:)?([\w.-]+/[\w.-]+)(?:@([\w.-]+(?:/[\w.-]+)*))?")

Progress = Callable[..., None]


@dataclass(frozen=True)
class Fetched:
    """A model that lies in the cache. address: with its commit, so that it means the same for ever.
    remarks: what a person should know."""

    folder: Path
    address: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pushed:
    """What was published. url: its page.   address: for `load`, with its commit."""

    url: str
    commit: str
    address: str
    remarks: tuple[str, ...] = ()


def is_address(place: str | Path) -> bool:
    """Whether this is something on the hub.

    >>> is_address("hf:owner/name"), is_address("runs/cats")
    (True, False)
    """
    return str(place).startswith("hf:")


def parsed(text: str) -> tuple[str, str]:
    """(owner/name, revision or "") of an address; `UsageError`.

    >>> parsed("hf:owner/cats@v2")
    ('owner/cats', 'v2')
    """
    found = _TEXT.fullmatch(text.strip().replace("\\", "/").rstrip("/"))
    if not found or ".." in text:
        raise UsageError("HUB-NAME", "this is not how a model of the hub is named", where=text, fix=MODEL)
    return found[1], found[2] or ""


def fetch(text: str, progress: Progress | None = None) -> Fetched:
    """Fetch a model, unless it lies in the cache. A text with a commit whose files are there asks nobody; where the hub
    cannot be reached the commit that was seen last is used, and said.

    Raises `DataError` (no such model or revision, no access, not a model of sparring), `MachineError` (hub not
    reachable, disk full, extra not installed), `UsageError` (text).
    """
    name, revision = parsed(text)
    repository = Repository.of(text, name, cache.directory()[0], "model")
    commit, warning = repository.pin(revision)
    root = repository.folder / "snapshots" / commit
    if not ((root / CONFIG).is_file() and (root / WEIGHTS).is_file()):
        sizes = repository.listing(commit, progress)
        _refuse_foreign(text, sizes)
        repository.fetch(commit, {CONFIG: sizes[CONFIG]}, None)
        _refuse_heavy(text, sizes[WEIGHTS], read(root / CONFIG)["weights"]["bytes"])
        repository.fetch(commit, {WEIGHTS: sizes[WEIGHTS]}, progress)
    address = f"hf:{name}@{commit}"
    said = [warning] if warning else []
    if revision != commit:
        said.append(f"{text} is commit {commit[:12]}; {address} will always be this one")
    return Fetched(root, address, tuple(said))


def _refuse_foreign(text: str, sizes: dict[str, int]) -> None:
    """`DataError` where the files of a repository are not those of a model of sparring."""
    missing = [name for name in (CONFIG, WEIGHTS) if name not in sizes]
    if missing or sizes[CONFIG] > LARGEST:
        why = f"it has no {' and no '.join(missing)}" if missing else f"its {CONFIG} has {sizes[CONFIG]:,} bytes"
        raise DataError(
            "HUB-MODEL", "this is not a model that sparring has published", where=text, why=why,
            fix="name one that `sparring push` has made; a data set is named to train, evaluate or check",
        )  # fmt: skip


def _refuse_heavy(text: str, size: int, said: int) -> None:
    """`DataError` for weights that are larger than we fetch, or than they are said to be."""
    if size > HEAVIEST or size != said:
        why = f"{WEIGHTS} has {size:,} bytes, " + (
            f"{HEAVIEST:,} is the most that is fetched" if size > HEAVIEST else f"and {CONFIG} says {said:,}"
        )
        raise DataError("HUB-MODEL", "the weights of this model are not fetched", where=text, why=why,
                        fix="ask whoever published it to push it again")  # fmt: skip


# ── publishing ────────────────────────────────────────────────────────────────────────────────────────────────────


def push(
    run: Run, name: str, *, private: bool = False, revision: str = "", licence: str = "", inputs: bool = False,
    progress: Progress | None = None,
) -> Pushed:  # fmt: skip
    """Publish a run, or an exported folder as it lies there, as the model ``owner/name``: one commit.

    The repository is made if there is none. private: nobody else sees it; refused where it is there already and public.
    revision: a branch, made if need be; the main one by default.

    Raises `MachineError`, `DataError` (no access), `UsageError`.
    """
    named, at = parsed(name)
    if at:
        raise UsageError("HUB-NAME", "the revision is a flag here", where=name, fix=f"{named} --revision {at}")
    repository = Repository.of(f"hf:{named}", named, cache.directory()[0], "model")
    if repository.offline:
        raise MachineError("HUB-OFFLINE", "HF_HUB_OFFLINE forbids to publish", where=f"hf:{named}",
                           fix="unset HF_HUB_OFFLINE")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="sparring-push-") as temporary:
        files, remarks = _prepared(run, Path(temporary), f"hf:{named}", licence, inputs, progress)
        if progress is not None:
            progress(f"sending {sum(file.stat().st_size for file in files) / 2**20:,.1f} MiB", 0, 1)
        try:
            commit, url = _send(repository, files, private, revision or "main", _message(run))
        except Exception as error:
            raise _explained(repository, error, revision) from error
    return Pushed(url, commit, f"hf:{named}@{commit}", remarks)


def _message(run: Run) -> str:
    return f"{run.document['recipe']}, {run.images:,} images seen"


def _prepared(
    run: Run, temporary: Path, place: str, licence: str, inputs: bool, progress: Progress | None
) -> tuple[list[Path], tuple[str, ...]]:
    """The files that are sent: of a run an export; of a folder its own, with the address in its card."""
    if not isinstance(run, Release):
        made = folder.export(run, ("hub",), temporary / "model", licence=licence, inputs=inputs, place=place,
                             progress=progress)  # fmt: skip
        return list(made.files), made.remarks
    if licence or inputs:
        raise UsageError("PUSH-CARD", "a folder is published as it is", where=str(run.source),
                         fix=f"edit its {card.CARD}, or export the run again")  # fmt: skip
    folder.check(run, ("hub",))
    files = [run.path / name for name in folder.OURS if (run.path / name).is_file()]
    text = run.path / card.CARD
    if text in files:
        told = text.read_text("utf-8").replace(card.ANYWHERE, place).replace(f'"{run.source}"', f'"{place}"')
        (temporary / card.CARD).write_text(told, "utf-8")
        files[files.index(text)] = temporary / card.CARD
    return files, ()


def _send(repository: Repository, files: list[Path], private: bool, revision: str, message: str) -> tuple[str, str]:
    """(hash of the commit, page of the repository)."""
    from huggingface_hub import CommitOperationAdd

    api, name = repository.api, repository.name
    url = api.create_repo(name, private=private or None, repo_type="model", exist_ok=True)
    if private and not api.model_info(name).private:
        raise UsageError(
            "HUB-PUBLIC", "this repository is there already, and everybody sees it", where=repository.text,
            fix=f"make it private at {repository.page}/settings, or take another name; nothing was sent",
        )  # fmt: skip
    if revision != "main":
        api.create_branch(name, branch=revision, exist_ok=True)
    added = [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in files]
    with _bars_for_people():
        made = api.create_commit(name, added, commit_message=message, revision=revision)
    return made.oid, str(url)


@contextmanager
def _bars_for_people() -> Iterator[None]:
    """Inside, the library draws its bars only where somebody watches."""
    from huggingface_hub import utils

    quiet = not sys.stderr.isatty() and not utils.are_progress_bars_disabled()
    if quiet:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            utils.enable_progress_bars()


def _explained(repository: Repository, error: Exception, revision: str) -> SparringError:
    """What a person can make of an error in publishing."""
    from huggingface_hub import errors

    if isinstance(error, SparringError):
        return error
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # of a file that could not be sent: what matters is why
    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
    if isinstance(error, errors.LocalTokenNotFoundError) or status in (401, 403):
        return DataError(
            "HUB-ACCESS", "the hub does not let you write here" + f" ({status})" * bool(status), where=repository.text,
            why="no token is known" if not status else "",
            fix="`hf auth login` with a token that may write, or set HF_TOKEN; and check that you may write as "
            f"{repository.name.partition('/')[0]}",
        )  # fmt: skip
    if status == 400:
        return DataError("HUB-REFUSED", "the hub does not take this", where=repository.text, why=_line(error),
                         fix="correct what it names")  # fmt: skip
    found = repository.explained(error, revision)
    if found.code == "HUB-UNREACHABLE":
        return MachineError("HUB-UNREACHABLE", "the hub cannot be reached", where=repository.text, why=found.why,
                            fix="connect to the network and try again")  # fmt: skip
    return found


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:200]
