"""Errors that explain: what happened, where, why, and how to mend it.

Every error a user can cause is a `SparringError` with a stable code, printed without a traceback by the command line
(the traceback goes to the log). Anything else that escapes is a bug and exits with code 1.
"""

from __future__ import annotations


class SparringError(Exception):
    """One clear error: a code such as ``DATA-EMPTY``, what, where, why and how to mend it.

    >>> str(DataError("DATA-MISSING", "there is no such folder", where="photos/", fix="check the spelling"))
    '[DATA-MISSING] there is no such folder: photos/\\n  fix: check the spelling'
    """

    exit_code = 1

    def __init__(self, code: str, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        self.code, self.what, self.where, self.why, self.fix = code, what, where, why, fix
        lines = [f"[{code}] {what}" + (f": {where}" if where else "")]
        lines += [f"  why: {why}"] if why else []
        lines += [f"  fix: {fix}"] if fix else []
        super().__init__("\n".join(lines))


class UsageError(SparringError):
    """A command line or a configuration that cannot be used."""

    exit_code = 2


class DataError(SparringError):
    """Data that cannot be used."""

    exit_code = 3


class CheckpointError(SparringError):
    """A checkpoint or a run directory that cannot be used."""

    exit_code = 4


class MachineError(SparringError):
    """Something about the machine: no such device, a full disk, a missing package."""

    exit_code = 5


class Diverged(SparringError):
    """Numbers became infinite or NaN; nothing was stepped or saved after that."""

    exit_code = 6


class Interrupted(SparringError):
    """Stopped on request with everything saved: the run can be resumed."""

    exit_code = 75
