"""What holds for every route, whoever adds it: the list of routes is taken from the app itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.app.conftest import HOST, ORIGIN, client_of, make_desk
from tests.app.raw import Ask, ask, cookies, filled, idle_workers, ours, routes

from sparring.app.guard import HEADERS, POLICY
from sparring.app.server import create

ID = "0123456789abcdef"
KINDS = ("application/json", "application/octet-stream")
OPEN = "/static/{name:path}"
"""The one route that needs no cookie: files of the package."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def desk(home):
    return make_desk(home, password="correct horse battery")


@pytest.fixture(scope="module")
def app(desk):
    app = create(desk)
    with idle_workers():
        yield app
    app.state.workers.close()


@pytest.fixture(scope="module")
def table(app):
    found = list(routes(app))
    assert len(found) > 8
    return found


def test_there_are_only_questions_and_changes(table):
    assert {method for method, _, _ in table} <= {"GET", "POST", "DELETE"}
    assert len({(method, path) for method, path, _ in table}) == len(table)


def test_no_route_takes_a_path(table):
    """Parameters are ids, integers, or names of a fixed list; only static files have names, of a fixed table."""
    for _method, path, route in table:
        names = re.findall(r"{([^}]*)}", path)
        if path == OPEN:
            continue
        declared = {field.name: field.field_info for field in route.dependant.path_params}
        for name in names:
            assert ":" not in name, path
            info = declared[name]
            kind = info.annotation
            patterns = [getattr(mark, "pattern", None) for mark in info.metadata]
            listed = getattr(kind, "__args__", None) and all(isinstance(word, str) for word in kind.__args__)
            exact = any(text and text.startswith("^[0-9a-f]{16}$") for text in patterns)
            assert kind is int or listed or exact, f"{path}: {name} may be anything"


def test_questions_have_no_body(table):
    for method, path, route in table:
        if method == "GET":
            assert route.dependant.body_params == [], path


def test_nothing_describes_the_routes(app, desk):
    for address in ("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect"):
        assert ask(app, ours(desk, "GET", address))[0].status == 404


def _headers_hold(said, path):
    for name, value in HEADERS.items():
        assert said.headers.get(name) == value, f"{path}: {name}"
    policy = said.headers["content-security-policy"]
    assert policy == POLICY or policy.startswith("sandbox"), path
    assert not [name for name in said.headers if name.startswith("access-control-")], path
    assert "server" not in said.headers and "x-powered-by" not in said.headers
    if not path.startswith("/static/"):
        assert said.headers["cache-control"] == "no-store", path


def test_every_answer_carries_the_headers(app, desk, table):
    """Answers, refusals and errors of every route alike."""
    for method, path, _ in table:
        target = filled(path, [ID])
        asked = [
            ours(desk, method, target),
            ours(desk, method, filled(path, ["NO-ID"])),
            ours(desk, "PUT", target),
            Ask(method, target),
            Ask(method, target, [("host", "evil.test")]),
            Ask("OPTIONS", target, [("host", HOST), ("origin", "http://evil.test")]),
        ]
        for said in ask(app, *asked):
            assert said.status, target
            _headers_hold(said, target)
            assert said.status < 500, (target, said.body[:300])


def test_no_route_answers_another_host(app, desk, table):
    for method, path, _ in table:
        one = ours(desk, method, filled(path, [ID]))
        foreign = [(name, "evil.test:8123" if name == "host" else value) for name, value in one.headers]
        missing = [(name, value) for name, value in one.headers if name != "host"]
        twice = [*one.headers, ("host", HOST)]
        for headers in (foreign, missing, twice):
            said = ask(app, Ask(method, one.target, headers, one.body))[0]
            assert said.status == 421 and said.read == 0, path


def test_no_route_lets_a_stranger_in(app, desk, table):
    """Without the cookie of this launch, with an old one, with one that is damaged."""
    name = cookies(desk)[1].partition("=")[0]
    for method, path, _ in table:
        if path in (OPEN, "/api/enter"):
            continue
        one = ours(desk, method, filled(path, [ID]))
        bare = [pair for pair in one.headers if pair[0] != "cookie"]
        for cookie in (None, f"{name}=", f"{name}={'0' * 64}", f"{name}={desk.token}", f"other={desk.cookie}", "\x7f"):
            headers = bare if cookie is None else [*bare, ("cookie", cookie)]
            said = ask(app, Ask(method, one.target, headers, one.body))[0]
            assert said.status == 403, (path, cookie)
            assert said.read == 0, path  # refused before anything of it is read


CHANGES = {
    "no Origin": lambda h: h.pop("origin"),
    "Origin null": lambda h: h.update(origin="null"),
    "Origin of another page": lambda h: h.update(origin="http://evil.test"),
    "Origin of another port": lambda h: h.update(origin="http://127.0.0.1:8124"),
    "Origin with something behind": lambda h: h.update(origin=ORIGIN + ".evil.test"),
    "Origin and another": lambda h: h.update(origin=f"{ORIGIN}, http://evil.test"),
    "from another site": lambda h: h.update({"sec-fetch-site": "cross-site"}),
    "from the same site, another origin": lambda h: h.update({"sec-fetch-site": "same-site"}),
    "typed by hand": lambda h: h.update({"sec-fetch-site": "none"}),
    "no token": lambda h: h.pop("x-sparring-token"),
    "wrong token": lambda h: h.update({"x-sparring-token": "0" * 64}),
    "empty token": lambda h: h.update({"x-sparring-token": ""}),
    "the launch token": lambda h: h.update({"x-sparring-token": "launch-token"}),
    "no type": lambda h: h.pop("content-type"),
    "a form": lambda h: h.update({"content-type": "application/x-www-form-urlencoded"}),
    "a form of parts": lambda h: h.update({"content-type": "multipart/form-data; boundary=x"}),
    "text": lambda h: h.update({"content-type": "text/plain"}),
    "JSON and more": lambda h: h.update({"content-type": "application/json; charset=utf-8"}),
    "JSON of another kind": lambda h: h.update({"content-type": "application/ld+json"}),
}


@pytest.mark.parametrize("how", CHANGES)
def test_no_change_comes_from_elsewhere(app, desk, table, how):
    """Each way in which a page of others can send something, for every route that changes something."""
    changing = [(method, path) for method, path, _ in table if method != "GET"]
    assert changing
    for method, path in changing:
        one = ours(desk, method, filled(path, [ID]))
        headers = dict(one.headers)
        CHANGES[how](headers)
        said = ask(app, Ask(method, one.target, list(headers.items()), one.body))[0]
        assert said.status in (403, 415) and said.read == 0, (path, said.body)


def test_every_body_is_bounded(app, desk, table):
    """A body that is too long is refused when its length says so, and as soon as it is known when nothing says so."""
    limits = {"application/json": 2**18, "application/octet-stream": 2**25}
    for method, path, _ in table:
        if method == "GET":
            continue
        for kind, limit in limits.items():
            one = ours(desk, method, filled(path, [ID]), b"", kind)
            declared = [(name, str(limit + 1) if name == "content-length" else value) for name, value in one.headers]
            said = ask(app, Ask(method, one.target, declared, bytes(1000)))[0]
            assert said.status == 413 and said.read == 0, path
        chunked = [pair for pair in ours(desk, method, one.target).headers if pair[0] != "content-length"]
        said = ask(app, Ask(method, one.target, chunked, b" " * 2**20, pieces=2**15))[0]
        assert said.status == 413 and said.read <= 2**18 + 2**16, path


STRANGE = [
    b"[" * 10_000, b"{" * 100_000, b'{"a":' * 10_000, b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}',
    b'{"a": 1, "a": 2}', b"\xff\xfe{\x00}\x00", b'{"a": "\xff"}', b"{", b"nonsense", b'{"a": 1e400}',
    b'{"a": 1} {"b": 2}', b"\x00",
]  # fmt: skip
WRONG = [
    b"[]", b"null", b"1", b'"text"', b"true", b'{"unknown": 1}', b'{"seed": -1}', b'{"count": 1000000000}',
    b'{"seed": 1e400}',
    b'{"seed": "1; rm -rf"}', b'{"__proto__": {"x": 1}}', b'{"seed": ' + b"9" * 5000 + b"}", b'{"": ""}',
]  # fmt: skip


def test_no_body_breaks_a_route(app, desk, table):
    """JSON that is none is refused with its fault; JSON of another shape never is a bug."""
    for method, path, _ in table:
        if method == "GET":
            continue
        target = filled(path, [ID])
        for said in ask(app, *(ours(desk, method, target, body) for body in STRANGE)):
            assert said.status == 422 or said.status == 404, (path, said.status, said.body)
        for said in ask(app, *(ours(desk, method, target, body) for body in WRONG)):
            assert 200 <= said.status < 500, (path, said.status, said.body)


def test_what_is_wrong_is_said_in_one_form(app, desk, table):
    for method, path, _ in table:
        if not path.startswith("/api/") or "{" not in path:
            continue
        said = ask(app, ours(desk, method, filled(path, ["NO-ID"])))[0]
        assert said.status in (404, 422), path
        assert set(said.error) == {"code", "what", "where", "why", "fix"} and said.error["what"]


def test_only_the_study_is_there_where_it_is_served_alone(home, tmp_path):
    """What raters may ask: their study, static files; nothing of runs, and no need of a token."""
    everything = {(method, path) for method, path, _ in routes(create(make_desk(home)))}
    alone = make_desk(home, only_study=tmp_path)
    app = create(alone)  # no worker is asked anything
    there = {(method, path) for method, path, _ in routes(app)}
    allowed = ("/static/", "/take/", "/api/take/", "/api/ready", "/")
    assert all(path == "/" or path.startswith(allowed[:-1]) for _, path in there)
    assert there - {("GET", "/")} < everything
    assert ask(app, Ask("GET", f"/take/{ID}"))[0].status == 200
    for method, path in everything - there:
        assert ask(app, ours(alone, method, filled(path, [ID])))[0].status in (404, 405), path


def test_a_client_library_is_served_as_a_browser_is(home):
    with client_of(make_desk(home)) as client:
        assert client.get("/").headers["content-security-policy"] == POLICY
