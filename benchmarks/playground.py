"""How smoothly the playground runs, and what its lessons show: `results/playground.json`.

    python -m benchmarks.playground [--seconds 10]

The pace is that of the page: a real server, a worker of its own, one question after the other over HTTP on this
machine, each for the rounds that fit into 0.08 s and a picture of them. Drawing in the browser is not in it (a few
milliseconds on any screen). The processor time of a picture and of a round is measured apart, in this process: it does
not depend on what else the machine does. The lessons are played with seed 0 and said in the page's own words.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.speed.machine import describe
from sparring import api

RESULTS = Path(__file__).parent / "results" / "playground.json"
LOOK = {"since": 0, "field": "samples", "averaged": False}
ACT = {"do": "advance", "rounds": 1000, "seconds": 0.08}
BARE = {"objective": "nonsaturating", "penalty": "none"}
GAMES: dict[str, tuple[dict[str, Any], tuple[str | int | dict[str, Any], ...]]] = {
    "ring": ({}, (250, 1000, "collapse", 100, 300)),
    "ring without penalty": (BARE, (1200, "collapse", 300)),
    "ring against a D that stands still": ({"play": "D:1"}, (100, {"play": "G:1"}, 200)),
    "ring, minimax without penalty": ({"objective": "minimax", "penalty": "none"}, (300,)),
    "grid": ({"data": "grid", "gamma": 0.01, "lr": 1e-3}, (500, 1000)),
    "grid without penalty": ({**BARE, "data": "grid"}, (500, 1000)),
    "ring, wasserstein": ({"objective": "wasserstein", "penalty": "gp", "play": "D:5,G:1"}, (100, 500)),
    "swissroll, hinge": ({"data": "swissroll", "objective": "hinge"}, (250, 500)),
}
"""Settings beside the defaults, and what is done: rounds, a collapse, other settings. The lessons of the page."""


def pace(seconds: float) -> dict[str, Any]:
    """Pictures and rounds per second, as the page asks for them."""
    from sparring.app.desk import Desk

    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "sparring", "app", home, "--port", "0", "--no-browser"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
            try:
                assert server.stdout is not None
                url = server.stdout.readline().strip()
                host, token = url.split("/")[2], url.partition("token=")[2]
                desk = Desk((), (), token, frozenset({host}))
                return _paced(host, desk, seconds)
            finally:
                server.terminate()
                server.wait(20)


def _paced(host: str, desk: Any, seconds: float) -> dict[str, Any]:
    from sparring.app.door import cookie_name

    line = http.client.HTTPConnection(host, timeout=60)
    headers = {
        "Cookie": f"{cookie_name(host)}={desk.cookie}",
        "Origin": f"http://{host}",
        "X-Sparring-Token": desk.page_token,
        "Content-Type": "application/json",
    }

    def ask(path: str, body: dict[str, Any]) -> dict[str, Any]:
        line.request("POST", f"/api/playground/{path}", json.dumps(body), headers)
        answer = line.getresponse()
        said: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 200, said
        return said

    began = time.perf_counter()
    game = ask("begin", {"look": LOOK})
    ready = time.perf_counter() - began
    at = f"{game['session']}/play"
    first = ask(at, {**ACT, "look": LOOK})["frame"]["round"]
    began, pictures, last = time.perf_counter(), 0, first
    while time.perf_counter() - began < seconds:
        last = ask(at, {**ACT, "look": {**LOOK, "since": last}})["frame"]["round"]
        pictures += 1
    took = time.perf_counter() - began
    ask(f"{game['session']}/end", {})
    return {
        "begin_seconds": round(ready, 2),
        "pictures_per_second": round(pictures / took, 2),
        "rounds_per_picture": round((last - first) / pictures, 1),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def cost() -> dict[str, float]:
    """Milliseconds of processor time, on one thread."""
    table, found = api.open_playground(), {}
    table.advance(5)
    for field in ("samples", "plane", "none"):
        api.playground_frame(table, field=field)
        began = time.process_time()
        for _ in range(20):
            api.playground_frame(table, field=field)
        found[f"picture, arrows: {field}"] = round(50 * (time.process_time() - began), 1)
    began = time.process_time()
    table.advance(50)
    return {**found, "round": round(20 * (time.process_time() - began), 1)}


def lesson(settings: dict[str, Any], script: tuple[str | int | dict[str, Any], ...]) -> list[dict[str, Any]]:
    """What is seen after each thing that is done."""
    table, rows = api.open_playground(**settings), []
    for step in script:
        if isinstance(step, int):
            table.advance(step)
        elif isinstance(step, dict):
            table.change(**step)
        else:
            table.collapse()
        seen = api.playground_frame(table, field="none")
        rows.append({"done": step, "round": seen["round"], "measured": seen["measured"], "said": seen["said"]})
        print(f"{seen['round']:>6}  {' '.join(seen['said'])}", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    record = {
        "command": f"python -m benchmarks.playground --seconds {chosen.seconds:g}",
        "machine": describe(1),
        "pace": pace(chosen.seconds),
        "milliseconds": cost(),
        "lessons": {name: {"settings": s, "seen": lesson(s, script)} for name, (s, script) in GAMES.items()},
    }
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
