"""How a browser is let in: by the address that was printed, or by the password; a cookie remembers it."""

from __future__ import annotations

import hmac
import time
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from sparring.app.desk import Desk
from sparring.app.frame import Page, framed
from sparring.app.trouble import Refused

TRIES, WINDOW = 10, 60.0
"""Wrong passwords within so many seconds; after that none is compared for a while."""
ENTER = "/api/enter"
"""Where the password is sent to; the only address of the app that needs no cookie, and only where there is one."""


class Door:
    """Decides for every request whether its browser was let in during this launch."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._wrong: list[float] = []

    def before(self, scope: Scope, headers: Headers) -> Response | None:
        """None for whoever may go on; else a page that says how to come in, or `Refused` for scripts."""
        reading = scope["method"] in ("GET", "HEAD")
        if reading and scope["path"] == "/" and b"token=" in scope["query_string"]:
            return self._first(scope, headers)
        if self.known(headers) or (scope["path"] == ENTER and self.desk.password is not None):
            return None
        if scope["path"].startswith("/api/") or not reading:
            raise Refused(403, "STRANGER", "this browser was not let in", fix="open the address that sparring printed")
        return HTMLResponse(self.page(), 403)

    def known(self, headers: Headers) -> bool:
        """Whether the request carries the cookie of this launch, or needs none."""
        if self.desk.open_to_all:
            return True
        jar = cookie_parser("; ".join(headers.getlist("cookie")))
        return equal(jar.get(cookie_name(headers["host"]), ""), self.desk.cookie)

    def _first(self, scope: Scope, headers: Headers) -> Response:
        """The first visit: the token becomes a cookie, and the address is clean again."""
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        if not equal(dict(query).get("token", ""), self.desk.token):
            return HTMLResponse(self.page(), 403)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        response: Response = RedirectResponse("/?" + rest if rest else "/", 303)
        if (
            headers.get("sec-fetch-site") == "cross-site"
        ):  # a Strict cookie does not go with the redirect of such a link
            response = HTMLResponse(
                '<!doctype html><html lang="en"><title>sparring</title><meta http-equiv="refresh" content="0; url=/">'
            )
        self.let_in(response, headers["host"])
        return response

    def let_in(self, response: Response, host: str) -> None:
        """Give this browser the cookie of this launch."""
        response.set_cookie(cookie_name(host), self.desk.cookie, httponly=True, samesite="strict", path="/")

    def right(self, password: str) -> bool:
        """Whether this is the password. Raises `Refused` (429) after `TRIES` wrong ones within `WINDOW` seconds."""
        now = time.monotonic()
        self._wrong = [moment for moment in self._wrong if now - moment < WINDOW]
        if len(self._wrong) >= TRIES:
            raise Refused(429, "TRIES", "too many wrong passwords", fix=f"wait {WINDOW:.0f} seconds")
        if self.desk.password is not None and equal(password, self.desk.password):
            return True
        self._wrong.append(now)
        return False

    def page(self) -> str:
        """For a browser that was not let in: what to do, with a field for the password where there is one."""
        words, token, page = "<p>Open the address that <code>sparring</code> printed when it started.</p>", "", Page()
        if self.desk.password is not None:
            token, page = self.desk.page_token, Page(scripts=("js/enter.js",))
            words = (
                '<form id="enter"><p><label for="password">Password</label> '
                '<input id="password" type="password" autocomplete="current-password" required> '
                '<button class="main">Enter</button></p></form><p id="say" role="status" aria-live="polite"></p>'
            )
        return framed(page, f'<main class="card"><h1>sparring</h1>{words}</main>', token)


def cookie_name(host: str) -> str:
    """By port, which cookies do not know: two apps may run on one machine.

    >>> cookie_name("127.0.0.1:8123"), cookie_name("[::1]")
    ('sparring-8123', 'sparring-80')
    """
    port = host.rpartition(":")[2]
    return f"sparring-{port if port.isdecimal() else 80}"


def equal(given: str, secret: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())
