"""What a worker may be made to do, by a bug or by what it reads. For test_worker."""

from __future__ import annotations

import os
import signal
import sys
import time

from sparring.errors import DataError


def echo(**given):
    return given


_woken = []


def wake():
    _woken.append(True)


def woken():
    return len(_woken)


def pid():
    return os.getpid()


def wait(seconds):
    time.sleep(seconds)
    return seconds


def die(number=signal.SIGKILL):
    os.kill(os.getpid(), number)


def leave():
    os._exit(0)


def spin():
    while True:
        pass


def hog(mib):
    return len(bytearray(mib * 2**20))


def write(path):
    with open(path, "wb") as file:
        file.write(b"x")


def files(count):
    return len([os.open(os.devnull, os.O_RDONLY) for _ in range(count)])


def shout(text):
    print(text)
    sys.stdout.flush()
    os.write(1, text.encode())
    return "said"


def refuse():
    raise DataError("OURS", "this cannot be", where="here", why="so it is", fix="that way")


def bug(text):
    raise RuntimeError(text)


def odd():
    return {1, 2}


def not_finite():
    return float("nan")


def lie():
    """Answers that are none, over the very pipe."""
    for number in range(3, 12):
        try:
            os.write(number, b"\xff" * 64)
        except OSError:
            continue
    return "after a lie"


def environment():
    return dict(os.environ)


def session():
    return os.getsid(0) == os.getpid()
