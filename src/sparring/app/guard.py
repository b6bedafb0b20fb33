"""Who may ask what, decided before anything else sees a request (an ASGI middleware around the whole app).

Against other web pages in the same browser: the Host header must be one of ours (no rebinding of names), a cookie of
this launch (SameSite=Strict), and for everything but GET and HEAD also our Origin, the token that only our own pages
can read, and a Content-Type that no form can send. Against too much: bodies are counted while they arrive.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparring.app import bodies
from sparring.app.desk import Desk
from sparring.app.door import Door, equal
from sparring.app.trouble import Refused, answer

log = logging.getLogger("sparring.app")

LIMITS = {"application/json": 2**18, "application/octet-stream": 2**25}
"""Bytes of a body by its Content-Type: 256 KiB, 32 MiB."""
SMALLER = "make it smaller, or sparring translate RUN FILE on the command line"
"""What to do about a picture that is too much for the page."""
PATIENCE = 60.0
"""Seconds in which a body must have arrived."""
UPLOADS = 4
"""Uploads that are received at the same time, 128 MiB together."""
AT_ONCE = 128
"""Requests that are answered at the same time, streams of events among them."""

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
"""On every answer, together with the policy above. A route may set a policy of its own only if it is
a sandbox, a page without an origin. Nobody else's page is ever let in (access-control-…)."""


class Guard:
    """Refuses, or lets through with the body already read, checked and bounded."""

    def __init__(self, app: ASGIApp, desk: Desk, door: Door) -> None:
        self.app, self.desk, self.door = app, desk, door
        self._busy = self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # there are no WebSockets here: whoever asks for one is no page of ours
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                dress(scope, message)
            await send(message)

        self._busy += 1
        try:
            early = self._refused(scope)
            if early is not None:
                await early(scope, receive, dressed)
                return
            await self.app(scope, await self._received(scope, receive), dressed)
        except Refused as refused:
            if not begun:
                await answer(refused)(scope, receive, dressed)
        except Exception:
            log.exception("a bug, at %s %s", scope["method"], scope["path"][:200].encode("ascii", "backslashreplace"))
            if begun:
                raise
            bug = Refused(500, "BUG", "this is a bug in sparring", fix="the terminal of sparring app says more")
            await answer(bug)(scope, receive, dressed)
        finally:
            self._busy -= 1

    # ── who ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refused(self, scope: Scope) -> Response | None:
        """None to go on; an answer for whoever must come in through the door first; raises `Refused`."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self.desk.hosts or not scope["path"].startswith("/"):
            raise Refused(421, "HOST", "this name is not answered here", fix="use the address that sparring printed")
        if self._busy > AT_ONCE:
            raise Refused(503, "BUSY", "too many requests at once", fix="close some of the app's pages")
        reading = scope["method"] in ("GET", "HEAD")
        if not reading:
            self._own(headers, hosts[0].lower())
        return None if scope["path"].startswith("/static/") else self.door.before(scope, headers)

    def _own(self, headers: Headers, host: str) -> None:
        """Everything that changes something comes from a page of ours, by script."""
        origins, sites = headers.getlist("origin"), headers.getlist("sec-fetch-site")
        own = len(origins) == 1 and origins[0].lower() in (f"http://{host}", f"https://{host}")  # a proxy may encrypt
        if not own or sites not in ([], ["same-origin"]):
            raise Refused(403, "ORIGIN", "another page may not change anything here")
        sent = headers.getlist("x-sparring-token")
        if len(sent) != 1 or not equal(sent[0], self.desk.page_token):
            raise Refused(403, "TOKEN", "the app was started anew since this page was loaded", fix="reload the page")
        if headers.getlist("content-type") not in ([kind] for kind in LIMITS):
            raise Refused(415, "CONTENT-TYPE", f"send {' or '.join(LIMITS)}")

    # ── how much ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _received(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` with the whole body in it. GET and HEAD have none that anyone reads."""
        if scope["method"] in ("GET", "HEAD"):
            return receive
        kind = Headers(scope=scope)["content-type"]
        upload = kind == "application/octet-stream"
        if upload and self._uploads >= UPLOADS:
            raise Refused(429, "BUSY", "other uploads are being received", fix="try again in a moment")
        self._uploads += upload
        try:
            async with asyncio.timeout(PATIENCE):
                data = await _body(scope, receive, LIMITS[kind])
        except TimeoutError:
            raise Refused(408, "SLOW", f"the request did not arrive within {PATIENCE:.0f} seconds") from None
        finally:
            self._uploads -= upload
        if data and not upload:
            bodies.strict(data)
        told = False

        async def again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": data, "more_body": False}

        return again


async def _body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """All of a body, counted while it arrives. Raises `Refused` (413) as soon as it is known to be too long."""
    if limit >= 2**20:
        large = Refused(413, "LARGE", f"the file has more than {limit // 2**20} MiB", fix=SMALLER)
    else:
        large = Refused(413, "LARGE", f"more than {limit // 1024:,} KiB")
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isdecimal() or int(length) > limit:
        raise large
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "GONE", "the request ended early")
        data += message.get("body", b"")
        if len(data) > limit:
            raise large
        if not message.get("more_body", False):
            return bytes(data)


def dress(scope: Scope, message: Message) -> None:
    """Put the headers on an answer, whatever it says of them itself."""
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    policies = headers.getlist("content-security-policy")
    boxed = len(policies) == 1 and policies[0].startswith("sandbox") and "allow-same-origin" not in policies[0]
    for name in [name for name in headers if name.startswith("access-control-")]:
        del headers[name]
    headers["content-security-policy"] = policies[0] if boxed else POLICY
    for name, value in HEADERS.items():
        headers[name] = value
    if not scope["path"].startswith("/static/"):
        headers["cache-control"] = "no-store"
