"""Who is let in and who is not; what is printed, kept and forgotten of the secrets."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

import httpx2
import pytest
from starlette.websockets import WebSocketDisconnect
from tests.app.conftest import HOST, client_of, make_desk, own_cookies, own_headers
from tests.app.raw import Ask, ask, cookies, ours

from benchmarks.proofs.attacks import hosts
from sparring.app import door, guard, launch, wire
from sparring.app.desk import Desk, identity, read
from sparring.app.server import create
from sparring.app.trouble import Answer, Unknown
from sparring.cli import main
from sparring.errors import UsageError


@pytest.fixture
def empty(tmp_path):
    return make_desk(tmp_path)


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """(app, desk) of an empty folder, where all that is asked is refused."""
    desk = make_desk(tmp_path_factory.mktemp("front"))
    return create(desk), desk


# ── coming in ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_printed_address_lets_in_and_is_clean_afterwards(empty):
    with client_of(empty, let_in=False) as client:
        assert client.get("/").status_code == 403
        first = client.get("/?token=launch-token&study=1")
        assert first.status_code == 303 and first.headers["location"] == "/?study=1"
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "launch-token" not in cookie
        page = client.get("/")
        assert page.status_code == 200
        assert f'content="{empty.page_token}"' in page.text
        assert "launch-token" not in page.text and empty.cookie not in page.text


def test_a_link_on_another_page_lets_in_as_well(empty):
    """A redirect that began elsewhere carries no Strict cookie, so the page itself goes on."""
    with client_of(empty, let_in=False) as client:
        first = client.get("/?token=launch-token", headers={"Sec-Fetch-Site": "cross-site"})
        assert first.status_code == 200 and 'url=/"' in first.text and "launch-token" not in first.text
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("token", ["", "x", "launch-token%20", "launch-toke", "LAUNCH-TOKEN", "%ff", "ü", "a" * 10_000])
def test_a_wrong_token_does_not(front, token):
    said = ask(front[0], Ask("GET", f"/?token={token}"))[0]
    assert said.status == 403 and "set-cookie" not in said.headers


def test_the_secrets_differ_and_are_not_shown(empty):
    assert len({empty.token, empty.cookie, empty.page_token, make_desk(Path("/"), token="other").cookie}) == 4
    assert empty.token not in repr(empty) and "horse" not in repr(make_desk(Path("/"), password="horse"))


def test_a_cookie_of_another_app_on_this_machine_is_another(empty):
    assert door.cookie_name("127.0.0.1:8123") != door.cookie_name("127.0.0.1:8124")
    name = cookies(empty)[1]
    jar = f'theirs="a;b"; x=y=z; =; {name}; =;;'
    assert ask(create(empty), Ask("GET", "/", [("host", HOST), ("cookie", jar)]))[0].status == 200


def test_the_password_lets_in_and_guessing_ends(empty):
    desk = make_desk(empty.roots[0], password="correct horse battery")
    with client_of(desk, let_in=False) as client:
        page = client.get("/play")
        assert page.status_code == 403 and 'type="password"' in page.text and desk.page_token in page.text
        client.headers.update(own_headers(desk))
        assert client.post("/api/enter", json={"password": "wrong"}).status_code == 403
        assert client.get("/play").status_code == 403
        assert client.post("/api/enter", json={"password": "correct horse battery"}).status_code == 204
        assert client.get("/play").status_code == 200
        for _ in range(door.TRIES - 1):
            assert client.post("/api/enter", json={"password": "guess"}).status_code == 403
        assert client.post("/api/enter", json={"password": "guess"}).status_code == 429
        assert client.post("/api/enter", json={"password": "correct horse battery"}).status_code == 429


def test_without_a_password_there_is_no_such_door(empty):
    with client_of(empty, let_in=False) as client:
        assert 'type="password"' not in client.get("/").text
        client.headers.update(own_headers(empty))
        assert client.post("/api/enter", json={"password": ""}).status_code == 403


# ── names of the machine ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", hosts(HOST))
def test_no_other_host_is_answered(front, value):
    app, desk = front
    for target in ("/", "/static/app.css", "/api/ready", "/?token=launch-token"):
        said = ask(app, Ask("GET", target, [("host", value), cookies(desk)]))[0]
        assert said.status == 421 and "set-cookie" not in said.headers and b"<" not in said.body


def test_a_name_in_capitals_is_the_same_name(empty):
    desk = make_desk(empty.roots[0], hosts=frozenset({"localhost:8123"}))
    assert ask(create(desk), Ask("GET", "/static/app.css", [("host", "LocalHost:8123")]))[0].status == 200


def test_an_absolute_target_is_not_answered(front):
    app, desk = front
    assert ask(app, Ask("GET", "http://evil.test/", [("host", HOST), cookies(desk)]))[0].status == 421


def test_there_are_no_websockets(empty):
    with client_of(empty) as client:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/ready"):
            pass


def test_names_that_are_answered():
    assert launch.hosts("127.0.0.1", 80) >= {"127.0.0.1", "127.0.0.1:80"}
    assert launch.hosts("::1", 9) == {"127.0.0.1:9", "localhost:9", "[::1]:9"}
    assert "evil.test:9" not in launch.hosts("0.0.0.0", 9)
    assert {"lab.example.org", "lab.example.org:9"} <= launch.hosts("0.0.0.0", 9, ["Lab.example.org"])


def test_a_proxy_may_encrypt(empty):
    desk = make_desk(empty.roots[0], hosts=frozenset({"lab.example.org"}), password="correct horse battery")
    headers = [*(own_headers(desk) | {"Origin": "https://lab.example.org"}).items(), ("host", "lab.example.org")]
    one = Ask("POST", "/api/enter", headers, json.dumps({"password": desk.password}).encode())
    assert ask(create(desk), one)[0].status == 204


# ── much, slow, broken ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_body_that_does_not_come_is_not_waited_for(empty, monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.05)

    async def slow():
        await asyncio.sleep(10)

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/x", "query_string": b"", "headers": [
        (name.encode(), value.encode()) for name, value in ours(empty, "POST", "/api/x").headers]}  # fmt: skip
    asyncio.run(create(empty)(scope, slow, send))
    assert sent[0]["status"] == 408


def test_only_so_many_uploads_are_received_at_once(empty):
    """The fifth is told to wait; the first four take memory, 128 MiB together at most."""

    async def all_at_once():
        app = create(empty)
        gate, statuses = asyncio.Event(), []

        async def receive():
            await gate.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        one = ours(empty, "POST", "/api/nothing", b"", "application/octet-stream")
        headers = [(name.encode(), value.encode()) for name, value in one.headers]
        scope = {"type": "http", "method": "POST", "path": one.target, "root_path": "", "query_string": b""}
        scopes = [{**scope, "headers": headers} for _ in range(guard.UPLOADS + 2)]
        tasks = [asyncio.create_task(app(scope, receive, send)) for scope in scopes]
        await asyncio.sleep(0.05)
        early = list(statuses)
        gate.set()
        await asyncio.gather(*tasks)
        return early, statuses

    early, statuses = asyncio.run(all_at_once())
    assert early == [429, 429] and sorted(statuses) == [404] * guard.UPLOADS + [429, 429]


def test_a_bug_is_said_as_one_without_its_insides(empty, caplog):
    app = create(empty)

    @app.get("/api/bug")
    def bug():
        raise RuntimeError("a secret of the inside")

    said = ask(app, ours(empty, "GET", "/api/bug"))[0]
    assert said.status == 500 and said.error["code"] == "BUG" and b"secret" not in said.body
    assert said.headers["x-content-type-options"] == "nosniff"
    assert "a secret of the inside" in caplog.text  # in the terminal of whoever started it


def test_no_route_can_loosen_the_policy(empty):
    app = create(empty)
    from fastapi import Response

    @app.get("/api/loose")
    def loose():
        return Response("", headers={"content-security-policy": "default-src *", "access-control-allow-origin": "*",
                                     "x-content-type-options": "off", "cache-control": "public"})  # fmt: skip

    @app.get("/api/boxed")
    def boxed():
        return Response("", headers={"content-security-policy": "sandbox; default-src 'none'"})

    said, box = ask(app, ours(empty, "GET", "/api/loose"), ours(empty, "GET", "/api/boxed"))
    assert said.headers["content-security-policy"] == guard.POLICY
    assert said.headers["x-content-type-options"] == "nosniff" and said.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in said.headers
    assert box.headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_json_can_always_be_written():
    odd = {"loss": float("nan"), "far": [float("inf"), 1.5], "name\udcff": "a\udc80b", "path": Path("x"), "n": None}
    said = json.loads(Answer(odd).body)
    assert said == {"loss": None, "far": [None, 1.5], "name\\udcff": "a\\udc80b", "path": "x", "n": None}
    assert json.loads(Answer({"ok": "ü"}).body) == {"ok": "ü"}


# ── places ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("{}")
    return folder


def test_runs_are_found_below_the_roots_and_nowhere_else(tmp_path):
    root, outside = tmp_path / "runs", _run(tmp_path / "outside" / "secret")
    kept = [_run(root / "a"), _run(root / "b" / "c")]
    _run(root / "a" / "inner")  # belongs to the run it lies in
    _run(root / ".hidden")
    _run(root / "1" / "2" / "3" / "4")  # too deep
    (root / "link").symlink_to(outside, target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "gone").symlink_to(tmp_path / "nothing")
    desk = make_desk(root)
    assert set(desk.runs().values()) == set(kept)
    assert all(desk.run(id) == place and identity(place) == id for id, place in desk.runs().items())
    for id in (identity(outside), "0" * 16, "", "..", "a", identity(root)):
        with pytest.raises(Unknown):
            desk.run(id)


def test_places_are_called_as_seen_from_their_roots(tmp_path):
    desk = make_desk(tmp_path / "runs", tmp_path / "data", tmp_path)
    runs = {"a": "a", "new/a": "new/a", "": "runs"}
    assert {name: desk.called(tmp_path / "runs" / name) for name in runs} == runs
    data = {"data": "data", "data/cats": "data/cats", "runs/a": f"{tmp_path.name}/runs/a"}
    assert {name: desk.called(tmp_path / name, data=True) for name in data} == data
    assert desk.called(Path("/elsewhere/run")) == "run" == desk.called(Path("/elsewhere/run"), data=True)


def test_a_run_that_becomes_a_link_is_no_longer_known(tmp_path):
    outside, run = _run(tmp_path / "outside"), _run(tmp_path / "runs" / "a")
    desk = make_desk(tmp_path / "runs")
    id = identity(run)
    assert desk.run(id) == run
    desk._runs._next = float("inf")  # what was found is not looked for anew, as on a slow machine
    (run / "recipe.yaml").unlink()
    run.rmdir()
    run.symlink_to(outside, target_is_directory=True)
    with pytest.raises(Unknown):
        desk.run(id)


def test_a_new_run_is_seen(tmp_path):
    desk = make_desk(tmp_path)
    assert desk.runs() == {}
    run = _run(tmp_path / "new")
    time.sleep(0.05)
    assert desk.run(identity(run)) == run


def test_data_are_what_lies_in_the_data_roots(tmp_path):
    (tmp_path / "data" / "cats").mkdir(parents=True)
    (tmp_path / "data" / "dogs.zip").write_bytes(b"PK")
    (tmp_path / "data" / "out").symlink_to(tmp_path)
    desk = make_desk(tmp_path, tmp_path / "data")
    names = {place.name for place in desk.data().values()}
    assert names == {"data", "cats", "dogs.zip"}
    assert desk.datum(identity(tmp_path / "data" / "cats")).name == "cats"
    with pytest.raises(Unknown):
        desk.datum(identity(tmp_path))


def test_files_are_read_below_their_folder_only(tmp_path):
    home = tmp_path / "run"
    (home / "samples").mkdir(parents=True)
    (home / "samples" / "a.png").write_bytes(b"inside")
    (tmp_path / "canary").write_bytes(b"outside")
    (home / "out").symlink_to(tmp_path / "canary")
    (home / "up").symlink_to(tmp_path)
    os.mkfifo(home / "pipe")
    assert read(home, "samples", "a.png") == b"inside"
    for names in (("out",), ("up", "canary"), ("..", "canary"), (str(tmp_path / "canary"),), ("pipe",), ("samples",),
                  ("gone",), ("a\0b",), ("x" * 5000,)):  # fmt: skip
        with pytest.raises(Unknown):
            read(home, *names)
    with pytest.raises(Unknown):
        read(home, "samples", "a.png", most=3)


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "lab.example.org"])
def test_others_are_let_in_only_with_a_password(host, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("SPARRING_PASSWORD", raising=False)
    assert main(["app", str(tmp_path), "--host", host, "--no-browser"]) == 2
    assert "others than you could reach this" in capsys.readouterr().err
    with pytest.raises(UsageError, match="8 characters"):
        launch.check(host, "short", [])
    launch.check(host, "correct horse battery", [])
    assert any("Nothing is encrypted" in line for line in launch.warnings(host)) and not launch.warnings("127.0.0.1")


def test_small_answers_do_not_wait_for_more():
    """Without the protocol asyncio leaves Nagle's algorithm on, and every answer takes 40 ms longer."""
    with launch.listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_the_next_port_is_taken_where_one_is_in_use():
    with launch.listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with launch.listen("127.0.0.1", port) as second:
            assert port < second.getsockname()[1] < port + launch.NEXT


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_what_is_no_port_is_refused_with_the_range(port, tmp_path):
    with pytest.raises(UsageError, match="0 to 65535"):
        launch.app(str, str, roots=[tmp_path / "runs"], port=port, browser=False)
    assert not (tmp_path / "runs").exists()
    launch.check("127.0.0.1", None, [], port=65535)


def test_the_folder_of_runs_is_made_and_that_is_said_or_refused(tmp_path):
    said = []
    launch.home(tmp_path, said.append)
    assert not said
    launch.home(tmp_path / "runs", said.append)
    assert (tmp_path / "runs").is_dir() and said == [f"there was no folder {tmp_path / 'runs'}; it was made"]
    with pytest.raises(UsageError, match="no such folder"):
        launch.home(tmp_path / "rnus" / "deep", said.append)
    assert not (tmp_path / "rnus").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="no folder"):
        launch.home(tmp_path / "file", said.append)


def test_a_file_that_is_too_large_is_told_in_mebibytes_with_what_to_do(empty):
    sent = own_headers(empty, "application/octet-stream") | {"Content-Length": str(40 * 2**20)}
    headers = [*sent.items(), ("host", HOST), cookies(empty)]
    said = ask(create(empty), Ask("POST", "/api/translate/0123456789abcdef/picture", headers, b""))[0]
    error = json.loads(said.body)["error"]
    assert said.status == 413 and "more than 32 MiB" in error["what"] and "make it smaller" in error["fix"]


def test_the_browser_is_opened_without_the_token_in_its_arguments(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    old = os.umask(0)
    try:
        launch.show("http://127.0.0.1:1/?token=secret", tmp_path)
    finally:
        os.umask(old)
    deadline = time.monotonic() + 5
    while not opened and time.monotonic() < deadline:
        time.sleep(0.01)
    file = tmp_path / "open.html"
    assert opened == [file.as_uri()] and "secret" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):  # nothing that was put there before is written through
        launch.show("http://127.0.0.1:1/?token=secret", tmp_path)
    if sys.platform == "linux":
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        launch.show("http://127.0.0.1:1/", tmp_path / "nowhere")  # no screen: nothing is opened


# ── as a process ──────────────────────────────────────────────────────────────────────────────────────────────────


def _wire(port: int, data: bytes, wait: float = 5.0) -> bytes:
    """What the server answers to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as line:
        line.sendall(data)
        found = b""
        try:
            while piece := line.recv(2**16):
                found += piece
                if b"\r\n\r\n" in found and b"connection: close" in found.lower():
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return found


def test_a_server_from_its_start_to_its_end(server, tmp_path):
    live = server(tmp_path / "runs")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", live.url)
    assert (tmp_path / "runs").is_dir()
    with httpx2.Client(base_url=live.origin, trust_env=False) as client:
        assert client.get("/").status_code == 403
        assert client.get(f"/?token={live.token}", follow_redirects=True).status_code == 200
        assert client.get("/api/ready").json() == {"ready": True}
        style = client.get("/static/app.css")
        again = client.get("/static/app.css", headers={"If-None-Match": style.headers["etag"]})
        assert style.status_code == 200 and again.status_code == 304
    assert own_cookies(live.desk, live.host) == {f"sparring-{live.port}": live.desk.cookie}

    line = f"GET / HTTP/1.1\r\nHost: {live.host}\r\nConnection: close\r\n"
    cookie = f"Cookie: sparring-{live.port}={live.desk.cookie}\r\n"
    assert b" 200 " in _wire(live.port, f"{line}{cookie}\r\n".encode())
    assert b" 400 " in _wire(live.port, f"{line}Host: evil.test\r\n{cookie}\r\n".encode())
    assert b" 421 " in _wire(
        live.port, f"GET http://evil.test/ HTTP/1.1\r\nHost: {live.host}\r\nConnection: close\r\n{cookie}\r\n".encode()
    )
    assert b" 400 " in _wire(live.port, f"GET / HTTP/1.1\r\n{cookie}\r\n".encode())
    assert b" 421 " in _wire(live.port, b"GET / HTTP/1.0\r\n\r\n")
    assert b" 400 " in _wire(live.port, b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    assert b" 400 " in _wire(live.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 2**17 + b"\r\n\r\n")
    upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    answer = _wire(
        live.port, f"GET /api/ready HTTP/1.1\r\nHost: evil.test\r\nConnection: Upgrade, close\r\n{upgrade}\r\n".encode()
    )
    assert b" 421 " in answer

    began = time.monotonic()
    live.end()
    assert live.process.returncode == 0 and time.monotonic() - began < 10
    log = (tmp_path / "server-0.log").read_text()
    assert live.token not in log and live.desk.cookie not in log and "Traceback" not in log


def test_the_server_never_loads_torch(tmp_path):
    """Its start would take seconds more, and its memory would be hundreds of MiB."""
    code = """
import pathlib, sys
from sparring.app import launch, server
from sparring.app.desk import Desk
server.create(Desk((pathlib.Path(sys.argv[1]),), (), "token", frozenset()))
print(sorted({"torch", "scipy", "matplotlib", "sklearn", "transformers"} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(monkeypatch):
    """On the protocol itself: the server's patience is seconds, the test's is not."""
    import h11
    from uvicorn import Config
    from uvicorn.server import ServerState

    monkeypatch.setattr(wire, "PATIENCE", 0.1)

    class Line(asyncio.Transport):
        aborted = False

        def get_extra_info(self, name, default=None):
            return default

        def is_closing(self):
            return self.aborted

        def abort(self):
            self.aborted = True

        def write(self, data):
            pass

    async def talk(pieces, pause):
        async def app(scope, receive, send):
            await asyncio.sleep(10)

        line = Line()
        config = Config(app, ws="none", log_config=None)
        config.load()
        speech = wire.Wire(config, ServerState(), {}, asyncio.get_running_loop())
        speech.connection_made(line)
        for piece in pieces:
            speech.data_received(piece)
            await asyncio.sleep(pause)
        for task in speech.tasks:
            task.cancel()
        speech._head_came()
        return line.aborted, speech.conn.their_state

    aborted, state = asyncio.run(talk([b"G", b"E", b"T", b" "], 0.05))
    assert aborted and state is h11.IDLE
    aborted, _ = asyncio.run(talk([b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], 0.3))
    assert not aborted  # its answer takes longer: that is no fault of whoever asked


def test_the_desk_is_what_was_said():
    assert {"roots", "data_roots", "token", "hosts", "password", "only_study"} <= set(Desk.__dataclass_fields__)
