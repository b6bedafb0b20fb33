"""The pre-flight: look at all of the data, and propose how to train on them, before anything is trained."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring import __version__
from sparring.data import BUILT_IN, Dataset, Options, open_data
from sparring.data.findings import noted
from sparring.data.inspect import inspect
from sparring.data.inspection import Finding, Inspection
from sparring.data.remarks import smaller
from sparring.data.scan import Progress
from sparring.data.sources import lies_in
from sparring.errors import DataError, MachineError, SparringError, UsageError
from sparring.runs.directory import RunDirectory, check_above, stem
from sparring.runs.propose import Proposal, advise, propose, proposed_shape

FORMAT = "sparring check 1"
"""What report.json says that it is."""
FILES = ("report.json", "report.html", "contact.png")
"""What a check leaves in its directory."""
_BESIDE = ("DATA-LABELS", "DATA-METADATA", "DATA-CLASSES", "DATA-COLUMNS")
"""Errors of what is known beside the images, which can be looked at all the same."""


@dataclass(frozen=True)
class Checked:
    """What a check found. refused: training would refuse these data as they are."""

    source: str
    options: Options
    dataset: Dataset
    inspection: Inspection
    proposal: Proposal
    refused: bool = False

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": FORMAT,
            "sparring": __version__,
            "verdict": self.verdict(),
            "source": self.source,
            "options": self.options.record(),
            "refused": self.refused,
            "inspection": self.inspection.record(),
            "proposal": dataclasses.asdict(self.proposal),
        }

    def lines(self) -> list[str]:
        """The report for a person: the verdict, problems, what the data are, what to type."""
        command = [f"  {shlex.join(self.proposal.command)}"] if self.proposal.command else []
        return [
            self.verdict(),
            "",
            *self.inspection.lines(),
            "",
            "how to train on it:",
            *self.proposal.lines(),
            "",
            *([self.proposal.note] if self.proposal.note else []),
            *command,
        ]

    def verdict(self) -> str:
        """The whole check in one sentence."""
        levels = [finding.level for finding in self.inspection.findings]
        if self.refused:
            return "Not ready: training would refuse these data."
        concerns = sum(level == "warning" for level in levels)
        if concerns:
            return f"Usable, with {concerns} thing{'s' if concerns > 1 else ''} to look at first."
        return "Ready to train."


def check(
    source: str | Path, options: Options | None = None, *, cache_dir: Path | None = None,
    progress: Progress | None = None, device: str = "",
) -> Checked:  # fmt: skip
    """Open, decode and inspect everything, and propose how to train on it. Files that cannot be used never stop this.

    device: "cpu" or "cuda" instead of what this machine has.   Raises `DataError` where there is nothing to look at.
    """
    _refuse_source(str(source))
    options = options or Options()
    dataset, works, beside, error = _matched(source, options, cache_dir, progress)
    troubles = []
    if error is not None:
        troubles.append(Finding("error", error.code, error.what, error.fix, why=_more(error, dataset.report.source)))
    if options.on_bad == "stop" and dataset.report.excluded:
        count = len(dataset.report.excluded)
        troubles.append(
            Finding(
                "error",
                "DATA-BAD",
                f"{count:,} file{'s' if count > 1 else ''} cannot be used, and --on-bad stop was asked for",
                "mend or remove them, or leave them out with --on-bad quarantine",
            )
        )
    inspection = inspect(dataset, options=works, cache_dir=cache_dir, progress=progress)
    inspection.findings[:0] = troubles
    advice = advise(inspection.kind, inspection.shape, len(dataset.train), device, cache_dir, inspection.pairs)
    if (shape := proposed_shape(works, inspection, advice.device)) != inspection.shape:
        advice = advise(inspection.kind, shape, len(dataset.train), device, cache_dir, inspection.pairs)
    proposal = propose(str(source), works, inspection, len(dataset.train), advice)
    if troubles:
        proposal = _that_works(proposal, options, works, beside)
    _say_of_proposed_size(dataset, inspection, proposal)
    for place, finding in enumerate(inspection.findings):
        if finding.code == "DATA-FEW":
            fix = f"{finding.fix}; {advice.varied()}"
            inspection.findings[place] = dataclasses.replace(finding, fix=fix)
    return Checked(str(source), options, dataset, inspection, proposal, refused=bool(troubles))


_WITHOUT: dict[str, dict[str, Any]] = {
    "DATA-UNPAIRED": {"drop_unpaired": True},
    "DATA-MAPS": {"maps": "none", "palette": None},
    "DATA-PALETTE": {"maps": "none", "palette": None},
    "DATA-CLASSES-TXT": {"maps": "none", "palette": None},
}
"""Errors of pairs, and the options with which the same can be looked at all the same."""


def _matched(
    source: str | Path, options: Options, cache_dir: Path | None, progress: Progress | None
) -> tuple[Dataset, Options, bool, DataError | None]:
    """As `_opened`; where files have no partner without them, where label maps are none as photographs."""
    try:
        return _opened(source, options, cache_dir, progress)
    except DataError as error:
        without = dataclasses.replace(options, **_WITHOUT.get(error.code, {}))
        if without == options:
            raise
        return *_matched(source, without, cache_dir, progress)[:3], error


def _opened(
    source: str | Path, options: Options, cache_dir: Path | None, progress: Progress | None
) -> tuple[Dataset, Options, bool, DataError | None]:
    """The data; the options with which they can be opened, nearest to those asked for; whether what lies beside the
    images is read with these; and the error that the options asked for lead to."""
    works = options
    if options.on_bad == "stop":
        works = dataclasses.replace(options, on_bad="quarantine")
    plain = dataclasses.replace(works, columns=())
    tries = [(works, True)]
    tries += [(plain, True), (dataclasses.replace(works, labels="none"), True)]
    tries += [(dataclasses.replace(plain, labels="none"), True), (plain, False)]
    tries += [(dataclasses.replace(plain, labels="none"), False)]
    first: DataError | None = None
    left = list(dict.fromkeys(tries))
    while left:
        tried, beside = left.pop(0)
        try:
            dataset = open_data(source, tried, cache_dir=cache_dir, progress=progress, beside=beside)
        except DataError as error:
            if error.code not in _BESIDE:
                raise
            if first is None and error.code != "DATA-COLUMNS":  # the columns are not what is wrong: keep them first
                left.sort(key=lambda one: (not one[1], one[0].columns != works.columns))
            first = first or error
            continue
        if options.on_bad == "stop" and not dataset.report.excluded:
            tried = dataclasses.replace(tried, on_bad="stop")
        return dataset, tried, beside, first
    assert first is not None
    raise first


def _more(error: DataError, place: str) -> str:
    """Where and why, on lines of their own. Lines that continue another one are indented by `SparringError`."""
    where = error.where if error.where != place else ""
    return "\n".join([*([where] if where else []), *(line.strip() for line in error.why.splitlines())])


def _that_works(proposal: Proposal, asked: Options, works: Options, beside: bool) -> Proposal:
    """The proposal without what is refused, with a word about it; without a command where none would do."""
    if not beside:
        note = "no command yet: mend or remove the file that is named above, and check again"
        return dataclasses.replace(proposal, command=[], note=note)
    gone = [f"--columns {what}={column}" for what, column in asked.columns] if works.columns != asked.columns else []
    if works.labels != asked.labels:
        gone.append("labels (--labels none)")
    if works.drop_unpaired != asked.drop_unpaired:
        gone.append("files that have no partner (--drop-unpaired)")
    if works.maps != asked.maps:
        gone.append("classes of pixels (label maps are taken for pictures)")
    if works.on_bad != asked.on_bad:
        gone.append("--on-bad stop (files that cannot be used are left out)")
    return dataclasses.replace(proposal, note=f"refused as asked; this trains without {' and without '.join(gone)}:")


def _say_of_proposed_size(dataset: Dataset, inspection: Inspection, proposal: Proposal) -> None:
    """Where another size is proposed than the one that was looked at, what is said of small images is about that."""
    size = next((choice for choice in proposal.choices if choice.name == "size"), None)
    if size is None or not size.words or dataset.survey is None:
        return
    width, height = map(int, size.value.split("x"))
    if (height, width) == dataset.shape[1:]:
        return
    said = [noted(re.sub("(were|was) enlarged", "would be enlarged", text))
            for text in smaller(dataset.survey.sides, (height, width))]  # fmt: skip
    for place, finding in enumerate(inspection.findings):
        if re.search("(were|was) enlarged", finding.what):
            inspection.findings[place : place + 1] = said
            return


# ── where the page goes ───────────────────────────────────────────────────────────────────────────────────────────


def place(checked: Checked, out: Path | None = None) -> Path:
    """The directory for the files of a check: `out`, or the first ``runs/checks/<name of the data>`` that is free.

    A directory with an earlier check of the same data is as good as free: that is replaced. Anything else that has one
    of our names is left alone: `MachineError`.
    """
    refuse(checked.source, out, checked.options.into)
    if out is not None:
        if not (_free(out) or _of(out) == _identity(checked)):
            raise _taken(out)
        return out
    parent, name = Path("runs") / "checks", stem(checked.source)
    path, number = parent / name, 1
    while not (_free(path) or _of(path) == _identity(checked)):
        number += 1
        path = parent / f"{name}-{number}"
    return path


def refuse(source: str, out: Path | None = None, into: str | None = None) -> None:
    """Raise what can be said against this place before anything is looked at: `UsageError` inside the data,
    `MachineError` where something else lies, or nothing may be written."""
    target = out or Path("runs") / "checks" / stem(source)
    if inside := next((text for text in (source, into) if text and lies_in(target, text)), None):
        folder = Path(inside).expanduser().resolve()
        raise UsageError(
            "CHECK-IN-DATA", "the page would lie inside the data", where=str(target),
            why="its pictures would be taken for data the next time",
            fix=f"--out {shlex.quote(str(folder.parent / 'checks' / folder.name))}",
        )  # fmt: skip
    if out is None:
        return
    if not (_free(out) or _of(out)):
        raise _taken(out)
    check_above(out, "CHECK-OUT")
    if out.is_dir() and not os.access(out, os.W_OK | os.X_OK):
        raise MachineError("CHECK-OUT", "this place may not be written", where=str(out), fix="choose another --out")


def _taken(out: Path) -> MachineError:
    return MachineError(
        "CHECK-OUT", "there is something else in this directory, or it is a file", where=str(out),
        why=f"a check writes {', '.join(FILES)} and replaces only its own", fix="another --out",
    )  # fmt: skip


def _refuse_source(source: str) -> None:
    """What is no data, although it looks like a path."""
    if not source.strip():
        raise UsageError(
            "DATA-MISSING", "no data are named", fix="name a folder, a zip, or built-in data such as emoji"
        )
    run = RunDirectory(Path(source).expanduser())
    if source not in BUILT_IN and run.is_run and run.data.is_file():
        try:
            data = str(run.document()["data"]["source"])
        except SparringError:
            data = ""
        raise DataError(
            "DATA-RUN", "this is a run, not data", where=source,
            fix=f"sparring info {shlex.quote(source)} says what it is"
            + (f"; its data: sparring check {shlex.quote(data)}" if data else ""),
        )  # fmt: skip


def _free(path: Path) -> bool:
    if not os.path.lexists(path):
        return True
    return path.is_dir() and not any(os.path.lexists(path / name) for name in FILES)


def _identity(checked: Checked) -> tuple[str, str]:
    return FORMAT, f"{checked.inspection.place} {checked.inspection.also}".strip()


def _of(path: Path) -> tuple[str, str] | None:
    """Of what data the check in this directory is; None if there is none."""
    try:
        found = json.loads((path / FILES[0]).read_text("utf-8"))
        place, also = (str(found["inspection"].get(name, "")) for name in ("place", "also"))
        return str(found["format"]), f"{place} {also}".strip()
    except (OSError, ValueError, KeyError, TypeError):
        return None
