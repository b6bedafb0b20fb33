"""Root reads what nobody may read. A proof about files without rights first gives that privilege up."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_DROP = 24  # PR_CAPBSET_DROP, prctl(2)
_OVERRIDE, _SEARCH = 1, 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, capabilities(7)


def like_anyone() -> bool:
    """Start this program again without the privilege to ignore file rights, if it has it. Its children lack it too.

    Returns whether file rights count from here on.
    """
    status = Path("/proc/self/status")
    if os.name == "nt" or os.geteuid() != 0 or not status.exists():
        return os.name != "nt" and os.geteuid() != 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    if not int(line.split()[1], 16) & (1 << _OVERRIDE):
        return True
    system = ctypes.CDLL(None)
    if system.prctl(_DROP, _OVERRIDE, 0, 0, 0) or system.prctl(_DROP, _SEARCH, 0, 0, 0):
        return False
    os.execv(sys.executable, sys.orig_argv)
