"""The part of the web proof that needs a browser: names as scripts, pages of other sites, names of other machines."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.proofs.web_server import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.test 127.0.0.1"]  # fmt: skip
PAGES = ("/", "/play", "/translate", "/playground", "/study")

HOSTILE = """<!doctype html><script>
const target = TARGET, posts = POSTS, gets = GETS;
window.read = [];
const saw = (path) => (text) => text && window.read.push(path);
async function send(path, type) {
  const mode = type === "application/json" ? "cors" : "no-cors", headers = {"Content-Type": type};
  await fetch(target + path, {method: "POST", body: "{}", credentials: "include", mode, headers})
    .then((answer) => answer.text()).then(saw(path)).catch(() => 0);
}
const load = (path) => new Promise((done) => {
  const image = new Image();
  image.onload = () => { saw(path)("image"); done(); };
  image.onerror = done;
  image.src = target + path;
});
const frame = (path) => new Promise((done) => {
  const made = document.createElement("iframe");
  made.onload = () => {
    try { if (made.contentDocument?.querySelector("meta[name=sparring-token]")) saw(path)("frame"); } catch {}
    done();
  };
  made.src = target + path;
  document.body.append(made);
});
addEventListener("load", async () => {
  for (const path of posts) {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json"]) await send(path, type);
    navigator.sendBeacon(target + path, "{}");
  }
  for (const path of gets) {
    await fetch(target + path, {credentials: "include"}).then((a) => a.text()).then(saw(path)).catch(() => 0);
    await load(path);
  }
  await frame("/");
  document.body.dataset.done = "yes";
});
</script><body>"""
"""A page of another site that sends, loads and frames what it can, and remembers what it could read."""


@contextmanager
def hostile(server: Server) -> Iterator[str]:
    """A page of another site that tries everything; its address."""
    page = HOSTILE.replace("TARGET", json.dumps(f"http://{server.host}"))
    page = page.replace(
        "POSTS", json.dumps([path.replace("{run}", "0" * 16) for m, path in server.routes if m == "POST"])
    )
    page = page.replace("GETS", json.dumps(["/", "/api/runs", "/api/ready", "/api/data"]))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *parts: object) -> None:
            pass

    other = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=other.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://evil.test:{other.server_port}/"
    finally:
        other.shutdown()
        other.server_close()
        thread.join()


def attack(server: Server) -> dict[str, Any]:
    """Everything that a browser is needed for; nothing where there is none."""
    if CHROMIUM is None:
        return {"skipped": "there is no Chromium"}
    from playwright.sync_api import sync_playwright

    before = _state(server)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            context = browser.new_context()
            page = context.new_page()
            console: list[str] = []
            page.on("console", lambda message: console.append(message.text))
            page.goto(server.url)
            ran = []
            for path in PAGES:
                page.goto(f"http://{server.host}{path}")
                page.wait_for_timeout(1500)
                if page.evaluate("window.__x") is not None:
                    ran.append(path)
            shown = page.goto(f"http://{server.host}/") and _names(page)
            refused = [text for text in console if "Content Security Policy" in text]
            rebound = page.goto(f"http://evil.test:{server.port}/?token={server.desk.token}")
            status = rebound.status if rebound else 0
            with hostile(server) as address:
                page.goto(address)
                page.wait_for_selector("body[data-done]", timeout=120_000)
                read = page.evaluate("window.read")
        finally:
            browser.close()
    changed = [key for key, value in _state(server).items() if before[key] != value]
    return {"pages": len(PAGES), "names_shown": shown, "ran": ran, "policy_complaints": refused[:5],
            "rebinding_status": status, "wrong": [] if status == 421 and not refused else ["rebinding or policy"],
            "read": read, "changed": changed}  # fmt: skip


def _names(page: Any) -> int:
    """How many of the hostile names stand on the page as text."""
    page.wait_for_timeout(1500)
    return str(page.inner_text("body")).count("window.__x=1")


def _state(server: Server) -> dict[str, Any]:
    """What a change would change."""
    return {"runs": len(list((server.home / "runs").iterdir())), "ready": server.ask("GET", "/api/ready").status}
