"""The web proof: what is thrown at the app does not get through, and does not stop it.

    python -m benchmarks.proofs.web --mutants 20000 --out benchmarks/results/web.json       (make proof-web)

`sparring app` runs as a person starts it, on runs made in place; everything comes over its socket, byte by byte as
given. A run folder holds links to a canary file, a data root does, and 60 run folders have names that are scripts.
After every part the server must answer within a second, be the same process, and have written no traceback. It counts
as a failure when

- addresses:  one of 300 strings, in the place of every parameter of every route and behind every folder of the server,
              brings a byte of the canary or of another file, or an answer of 500 and above;
- links:      a link in a run folder does;
- hosts:      one of 40 values of Host is answered by anything but 421 (or 400, by the parser), on any route;
- elsewhere:  a request that another page could send (19 kinds) is answered by anything but 403 or 415, on any route
              that changes something;
- bodies:     something that is too long is not refused while it arrives, or 50 uploads at once make the server larger
              than 400 MiB or silent for more than a second, or 40 connections that send a byte a second are still
              there after 30 s;
- bombs:      one of 27 files in the place of a picture is not refused with a reason (or cleaned), or kills its worker;
- mutants:    of 20,000 damaged pictures of 14 kinds one is answered by anything but a picture of ours or a reason, or
              takes more than 20 s. Workers may die of it (counted); the server may not;
- browser:    in Chromium one of the 60 names is run as a script on any page, a page of another site changes something
              or reads something, or the app answers under another name (evil.test, mapped to 127.0.0.1).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.proofs import web_browser
from benchmarks.proofs.attacks import bombs, hosts, mutants, traversals
from benchmarks.proofs.web_server import CANARY, Server, chunked, made, parameters, request
from benchmarks.speed.machine import describe
from sparring.app.desk import identity
from sparring.app.trouble import WorkerError
from sparring.app.worker import Limits, Worker
from sparring.errors import SparringError

ID = "0123456789abcdef"


def addresses(server: Server) -> dict[str, Any]:
    """300 strings in every place."""
    answers: Counter[int] = Counter()
    leaks, broken = [], []
    for climb in traversals(str(server.home / "canary.txt")):
        targets = [(method, path, parameters(path, climb)) for method, path in server.routes if "{" in path]
        targets += [("GET", before, before + climb) for before in ("/", "/static/", "/api/", "/take/", "/runs/")]
        for method, path, target in targets:
            said = server.ask(method, target)
            answers[said.status] += 1
            if CANARY in said.body or b"[build-system]" in said.body or b"root:x" in said.body:
                leaks.append([path, climb])
            if said.status >= 500:
                broken.append([path, climb, said.status])
    return {"requests": answers.total(), "answers": _sorted(answers), "leaks": leaks, "broken": broken}


def links(server: Server) -> dict[str, Any]:
    """Every question about the run whose files are links to the canary."""
    answers: Counter[int] = Counter()
    leaks, broken = [], []
    id = identity(server.home / "runs" / "ring")
    for method, path in server.routes:
        for other in ("0", "64", "128", id, "game", "csv", "report") if method == "GET" and "{" in path else ():
            said = server.ask("GET", parameters(path, id, other), wait=90)
            answers[said.status] += 1
            if CANARY in said.body:
                leaks.append([path, other])
            if said.status >= 500:
                broken.append([path, other, said.status])
    return {"requests": answers.total(), "answers": _sorted(answers), "leaks": leaks, "broken": broken}


def other_hosts(server: Server) -> dict[str, Any]:
    """40 names, on every route."""
    answers: Counter[int] = Counter()
    for value in hosts(server.host):
        for method, path in server.routes:
            headers = [(name, value if name == "Host" else it) for name, it in server.headers(method)]
            answers[request(server.port, method, parameters(path, ID), headers, b"{}").status] += 1
    return {"names": len(hosts(server.host)), "requests": answers.total(), "answers": _sorted(answers),
            "let_in": sum(count for status, count in answers.items() if status not in (400, 421))}  # fmt: skip


def elsewhere(server: Server) -> dict[str, Any]:
    """What a page of another site can send, to every route that changes something."""
    kinds: list[dict[str, str | None]] = [
        {"Origin": None}, {"Origin": "null"}, {"Origin": "http://evil.test"},
        {"Origin": f"http://127.0.0.1:{server.port + 1}"},
        {"Origin": f"http://{server.host}.evil.test"}, {"Origin": f"http://{server.host}, http://evil.test"},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
        {"X-Sparring-Token": None}, {"X-Sparring-Token": ""}, {"X-Sparring-Token": "0" * 64},
        {"X-Sparring-Token": server.desk.token}, {"Content-Type": None}, {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-8"}, {"Cookie": None},
    ]  # fmt: skip
    answers: Counter[int] = Counter()
    for method, path in server.routes:
        for change in kinds if method != "GET" else ():
            headers = dict(server.headers(method)) | change
            sent = [(name, value) for name, value in headers.items() if value is not None]
            answers[request(server.port, method, parameters(path, ID), sent, b"{}").status] += 1
    return {"kinds": len(kinds), "requests": answers.total(), "answers": _sorted(answers),
            "let_in": sum(count for status, count in answers.items() if status not in (403, 415))}  # fmt: skip


def bodies(server: Server) -> dict[str, Any]:
    """Too long, too many, too slow."""
    posts = [path for method, path in server.routes if method == "POST"]
    declared = {server.ask("POST", parameters(path, ID), b"{}", length=10 * 2**30).status for path in posts}
    sent, statuses = zip(*(chunked(server, parameters(path, ID), 2**26) for path in posts[:8]), strict=True)
    many, silent, largest = server.flood(50, 2**25)
    began = time.monotonic()
    left = server.drip(40, 30.0)
    return {"declared_10_GiB": sorted(declared), "chunked_64_MiB": sorted(set(statuses)),
            "sent_before_refused_MiB": round(max(sent) / 2**20, 1), "50_uploads_of_32_MiB": _sorted(many),
            "longest_silence_s": round(silent, 2), "largest_resident_MiB": round(largest),
            "slow_connections_left": left, "slow_seconds": round(time.monotonic() - began)}  # fmt: skip


def exploding(server: Server) -> dict[str, Any]:
    """Files in the place of a picture, through the route that takes pictures."""
    answers: dict[str, str] = {}
    target = f"/api/translate/{identity(server.home / 'runs' / 'emoji')}/picture?size=train"
    slowest = 0.0
    for name, data in bombs().items():
        began = time.monotonic()
        said = server.ask("POST", target, data, kind="application/octet-stream", wait=90)
        slowest = max(slowest, time.monotonic() - began)
        why = json.loads(said.body)["error"] if said.status != 200 else {}
        answers[name] = "a picture of ours" if said.body.startswith(b"\x89PNG") else f"{said.status} {why.get('why')}"
    wrong = [name for name, said in answers.items() if not said.startswith(("a picture of ours", "422 "))]
    return {"files": len(answers), "answers": answers, "slowest_s": round(slowest, 1), "wrong": wrong}


def damaged(count: int) -> dict[str, Any]:
    """Damaged pictures, to the worker that decodes what was uploaded."""
    worker = Worker("decode", limits=Limits())
    found: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    wrong, slowest, began = [], 0.0, time.monotonic()
    try:
        for number, (kind, data) in enumerate(mutants(count)):
            moment = time.monotonic()
            try:
                picture = worker.ask("decode", timeout=20, data=data)
                found["picture"] += 1
                if not picture.startswith(b"\x89PNG\r\n\x1a\n"):
                    wrong.append([number, kind])
            except WorkerError as error:
                found[error.code.lower()] += 1
                if error.code not in ("DIED",):
                    wrong.append([number, kind, error.code])
            except SparringError as error:
                found["refused"] += 1
                reasons[error.code] += 1
                if error.code not in ("PICTURE", "MEMORY"):
                    wrong.append([number, kind, error.code])
            slowest = max(slowest, time.monotonic() - moment)
    finally:
        worker.close()
    return {"pictures": count, "found": _sorted(found), "reasons": _sorted(reasons), "slowest_s": round(slowest, 2),
            "seconds": round(time.monotonic() - began), "wrong": wrong}  # fmt: skip


def _sorted(counted: Counter[Any]) -> dict[str, int]:
    return {str(name): count for name, count in sorted(counted.items(), key=lambda pair: str(pair[0]))}


def failures(parts: dict[str, dict[str, Any]]) -> list[str]:
    """What went wrong, part by part."""
    signs = ("leaks", "broken", "wrong", "let_in", "ran", "changed", "read", "trouble")
    said = [f"{name}: {key}" for name, part in parts.items() for key in signs if part.get(key)]
    found = parts.get("bodies")
    if found and (found["declared_10_GiB"] != [413] or found["chunked_64_MiB"] != [413]):
        said.append("bodies: too long")
    if found and (found["longest_silence_s"] > 1 or found["largest_resident_MiB"] > 400):
        said.append("bodies: too much")
    if found and found["slow_connections_left"]:
        said.append("bodies: too slow")
    return said


PARTS = {
    "addresses": addresses, "links": links, "hosts": other_hosts, "elsewhere": elsewhere, "bodies": bodies,
    "bombs": exploding, "browser": web_browser.attack,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="these parts alone, with --mutants")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    began, parts = time.monotonic(), {}
    with tempfile.TemporaryDirectory(prefix="sparring-") as folder:
        with Server(made(Path(folder))) as server:
            for name in chosen.only or PARTS:
                parts[name] = PARTS[name](server) | server.trouble()
                print(name, json.dumps(parts[name])[:600], flush=True)
        parts["mutants"] = damaged(chosen.mutants)
    wrong = failures(parts)
    said = {"command": f"python -m benchmarks.proofs.web --mutants {chosen.mutants}", "machine": describe(),
            "seconds": round(time.monotonic() - began), "failures": wrong, **parts}  # fmt: skip
    print(json.dumps({"failures": wrong, "mutants": parts["mutants"]}))
    if chosen.out:
        chosen.out.write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
