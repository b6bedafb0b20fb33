"""Starting the app: a free port, the names that are answered, the address that is printed, the browser."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sparring.app.desk import Desk, new_token
from sparring.errors import MachineError, UsageError

NEXT = 20
"""Ports that are tried after one that is taken."""
LAST = 65535
"""The highest port there is."""
SHORTEST = 8
"""Characters of a password."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Say = Callable[[str], None]


def app(
    data: Say, say: Say, *, roots: Sequence[Path], data_roots: Sequence[Path] = (), host: str = "127.0.0.1",
    port: int = 8123, password: str | None = None, names: Sequence[str] = (), browser: bool = True,
    only_study: Path | None = None,
) -> int:  # fmt: skip
    """Serve until Ctrl-C; returns the exit code. data, say: where the address and other words go.

    Raises `UsageError` for an address that others reach without a password, and `MachineError` without a free port.
    """
    from sparring.app.server import serve

    alone = only_study is not None
    check(host, password, data_roots, port=port, study=alone)
    if only_study is None:
        home(Path(roots[0]), say)
    with tempfile.TemporaryDirectory(prefix="sparring-") as folder, listen(host, port) as listener:
        bound = int(listener.getsockname()[1])
        if port and bound != port:
            say(f"port {port} is taken; this is {bound}")
        desk = Desk(
            roots=tuple(Path(root).resolve() for root in roots),
            data_roots=tuple(Path(root).resolve() for root in data_roots),
            token=new_token(),
            hosts=frozenset(hosts(host, bound, names)),
            password=password,
            only_study=only_study,
        )
        for line in warnings(host, bound, study=alone):
            say(line)
        url = address(desk, host, bound)

        def ready() -> None:
            data(url)
            say("Ctrl-C ends the page; " + ("every answer is on the disk." if alone else "training goes on."))
            if browser:
                show(url, Path(folder))

        with suppress(KeyboardInterrupt):  # uvicorn ends politely, then says so once more
            serve(desk, listener, ready=ready)
    return 0


def home(folder: Path, say: Say) -> None:
    """Make the folder of runs where there is none, and say so. `UsageError` where not even its parent is there: then
    it is more likely a slip of the pen."""
    if folder.is_dir():
        return
    if folder.exists():
        raise UsageError("RUNS", "this is no folder", where=str(folder), fix="name the folder that holds the runs")
    parent = folder.absolute().parent
    if not parent.is_dir():
        raise UsageError(
            "RUNS", "there is no such folder, nor the one it would be made in", where=str(folder),
            fix=f"check the name, or mkdir -p {parent}",
        )  # fmt: skip
    folder.mkdir(exist_ok=True)
    say(f"there was no folder {folder}; it was made")


def check(host: str, password: str | None, data_roots: Sequence[Path], *, port: int = 0, study: bool = False) -> None:
    """Refuse what cannot be meant. study: nothing but a study is served."""
    if not 0 <= port <= LAST:
        raise UsageError("PORT", f"a port is a number from 0 to {LAST}", where=f"--port {port}", fix="8123 is usual")
    if not loopback(host) and password is None:
        what = "study serve STUDY" if study else "app"
        raise UsageError(
            "HOST", "others than you could reach this", where=f"--host {host}",
            why="whoever opens the page can answer" if study
            else "whoever opens the page sees all runs and can start trainings on this machine",
            fix=f"SPARRING_PASSWORD=… sparring {what} --host …, or without --host for this machine alone",
        )  # fmt: skip
    if password is not None and len(password) < SHORTEST:
        raise UsageError("PASSWORD", f"at least {SHORTEST} characters", fix="several words are easy to keep")
    for folder in data_roots:
        if not Path(folder).is_dir():
            raise UsageError("DATA", "there is no such folder", where=str(folder), fix="check --data")


def loopback(host: str) -> bool:
    """Whether only this machine reaches the address.

    >>> loopback("127.0.0.1"), loopback("::1"), loopback("0.0.0.0"), loopback("lab")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on the port or one of the next; on any free one for 0. Raises `MachineError`."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise UsageError("HOST", "there is no such address", where=host, why=str(error), fix="127.0.0.1") from None
    for candidate in [0] if port == 0 else range(port, min(port + NEXT, LAST + 1)):
        # asyncio sends small answers at once (TCP_NODELAY) only where the protocol is named; else each waits 40 ms
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((place[0], candidate, *place[2:]))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise MachineError("PORT", "this address cannot be listened on", where=f"{host}:{candidate}",
                               why=str(error.strerror), fix="another --port or --host") from None  # fmt: skip
        return listener
    raise MachineError("PORT", f"port {port} and the next ones are taken", fix="--port 0 takes any free one")


def hosts(host: str, port: int, names: Sequence[str] = ()) -> set[str]:
    """The values of the Host header that are answered: exact names with the port.

    names: further ones; without a port too, as a proxy in front of this sends them.

    >>> sorted(hosts("127.0.0.1", 8123, ["lab.example.org"]))
    ['127.0.0.1:8123', '[::1]:8123', 'lab.example.org', 'lab.example.org:8123', 'localhost:8123']
    """
    bare = {name.strip("[]").lower() for name in (*LOOPBACK, *names)}
    bare |= own_names() if everywhere(host) else {host.lower()}
    written = {f"[{name}]" if ":" in name else name for name in bare}
    without = written if port == 80 else {name.lower() for name in names}
    return {f"{name}:{port}" for name in written} | without


def everywhere(host: str) -> bool:
    """Whether this means every address of the machine."""
    return host in ("0.0.0.0", "::", "")


def own_names() -> set[str]:
    """The name of this machine, and the addresses by which others reach it."""
    name = socket.gethostname()
    found = {name.lower()}
    with suppress(OSError):
        found |= {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(name, None)}
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: asks which address a packet would leave from
        found.add(str(probe.getsockname()[0]))
    return found


def address(desk: Desk, host: str, port: int) -> str:
    """The address to open, with the token of this launch."""
    name = own_name_for(host)
    if desk.only_study is not None:
        return f"http://{name}:{port}/"
    return f"http://{name}:{port}/?token={desk.token}"


def own_name_for(host: str) -> str:
    """What stands for the address in a browser on this machine."""
    if everywhere(host):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def warnings(host: str, port: int = 8123, *, study: bool = False) -> list[str]:
    """What it means that others reach this. study: nothing but a study is served."""
    if loopback(host):
        return []
    names = [name for name in sorted(own_names()) if not loopback(name)] if everywhere(host) else [host]
    others = ", ".join(f"http://{f'[{name}]' if ':' in name else name}:{port}/" for name in names)
    may = "answer." if study else "see all runs and start trainings on this machine."
    return [
        f"! Whoever in the network knows the password can open this page and {may} For them it is at",
        f"! {others}",
        "! Nothing is encrypted on its way: the password and all pictures can be read by whoever listens. In a network",
        "! that is not your own use a tunnel instead: ssh -L 8123:127.0.0.1:8123 MACHINE",
    ]


def show(url: str, folder: Path) -> None:
    """Open the browser at an address that no list of processes may show: by a file in `folder` that only its owner can
    read. Nothing where there is no screen: a browser in the terminal would take it away from the server."""
    screen = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not screen:
        return
    file = folder / "open.html"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as page:
        page.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}"><title>sparring</title>')
    threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
