"""``python -m sparring.train.elastic …``: torchrun without its own report of processes that ended with an error.

Each process has said in a sentence why it ended; torchrun would add a traceback of itself. Only a process that was
killed could say nothing, so that is said here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run torchrun with its arguments; returns 0, or the exit code of the process that failed first."""
    logging.disable(logging.ERROR)
    try:
        given = run.parse_args(list(sys.argv[1:] if arguments is None else arguments))  # type: ignore[no-untyped-call]
        run.run(given)  # type: ignore[no-untyped-call]
    except SignalException as stop:  # the processes have heard it too, and have saved
        return 128 + int(stop.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            print(
                f"[PEER] the process of rank {rank} was killed (signal {-failure.exitcode})\n"
                "  fix: signal 9 often means that memory ran out: fewer --processes, or a smaller batch; "
                "then `sparring resume` goes on",
                file=sys.stderr,
            )
            return 5
        return failure.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main())
