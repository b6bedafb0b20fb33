"""The vote proof: the server of a study is killed while people vote, and no acknowledged answer is lost or kept twice.

    python -m benchmarks.proofs.votes --raters 20 --votes 50 --kills 10 --seed 0 --out benchmarks/results/votes.json

Raters, a thread each, do what the page does: load it, begin, fetch the pictures of a trial, send the answer until the
server says that it is stored. Meanwhile the server is ended with SIGKILL at random instants, spread over the study, and
started again on the same port. Raters are worse than people: an answer to which no reply came is sent again and half of
the times changed, every seventh answer is sent a second time although it was acknowledged, and after each kill a rater
begins anew and compares what is left to be asked with what was acknowledged. It counts as a failure when

- an acknowledged answer is not in study.db, or another one is;
- a trial has two answers, was said to be stored twice, or is asked again after its answer was acknowledged;
- the database has other than raters x votes answers and as many raters as there were, or is damaged.

A kill loses what a process has not handed to the system; a power cut also what the system has not written. Against that
stands `PRAGMA synchronous = FULL`, which this proof does not test.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import secrets
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.speed.machine import record
from sparring.app.desk import identity
from sparring.study import plan

PATIENCE = 30.0
"""Seconds after which a rater gives up on the server: a failure."""


def make(folder: Path, votes: int) -> Path:
    """A study of pictures of noise, in which every rater answers `votes` times: a fifth for practice, two catches."""
    practice, catch = votes // 5, min(2, votes // 5)
    trials = votes - catch
    dice, pictures = np.random.default_rng(0), []
    (folder / plan.PICTURES).mkdir(parents=True)
    counts: dict[tuple[plan.Kind, str], int] = {
        ("scored", "A"): trials - practice, ("scored", "real"): trials - practice, ("practice", "A"): practice,
        ("practice", "real"): practice, ("catch", "real"): catch, ("catch", "noise"): catch,
    }  # fmt: skip
    for (use, of), count in counts.items():
        for item in range(count):
            name = secrets.token_hex(8)
            pixels = dice.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / plan.PICTURES / f"{name}.png")
            pictures.append(plan.Picture(name=name, of=of, use=use, item=item))
    study = plan.Study(
        title="a study of noise", protocol="paired", seconds=1.0, trials=trials, practice=practice, catch=catch, seed=0,
        models=(plan.Model(letter="A", name="noise", path="noise", kind="data"),), real=plan.Real(source="noise"),
        pictures=tuple(pictures),
    )  # fmt: skip
    plan.write(study, folder)
    return folder


class Server:
    """`sparring study serve` on one port: started, killed, started again."""

    def __init__(self, study: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.study, self.starts = study, 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it answers; raises where it ended up on another port."""
        command = [sys.executable, "-m", "sparring", "study", "serve", str(self.study), "--port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.starts += 1
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        if f":{self.port}/" not in line:
            self._process.kill()
            raise RuntimeError(f"the server did not start: {line}{self._process.stderr.read()}")

    def kill(self) -> None:
        """SIGKILL, and what it held given back."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class Rater(threading.Thread):
    """One person at the page, in a hurry. What the server told is in the fields; `failures` says what went wrong.

    told: by trial, the answers that stand according to the server.   stored: trials that it said it stored now.
    cut: requests to which no answer came, although the server had taken them.   refused: those it was not there for.
    unheard: votes that were on the disk although their answer did not come.   again: sent although acknowledged.
    """

    def __init__(self, port: int, study: str, seed: int) -> None:
        super().__init__(name=f"rater-{seed}", daemon=True)
        self.port, self.study = port, study
        self.dice = random.Random(f"votes/{seed}")
        self.secret = f"{self.dice.getrandbits(128):032x}"
        self.told: dict[int, str] = {}
        self.stored: Counter[int] = Counter()
        self.failures: list[str] = []
        self.waits: list[float] = []
        self.cut = self.refused = self.unheard = self.again = 0
        self._cookie, self._token = "", ""

    def run(self) -> None:
        try:
            trials = self._begin()
            for number, trial in enumerate(trials):
                self._answer(trial)
                if number % 7 == 6:
                    self.again += 1
                    self._vote(trial, self.dice.choice(["left", "right"]))
        except Exception as error:  # a thread's death must be told
            self.failures.append(f"{self.name}: {type(error).__name__}: {error}")

    def _begin(self) -> list[dict[str, Any]]:
        """What is left to be asked; a complaint where that is what was acknowledged."""
        sheet = self._ask("POST", "begin", {"token": self.secret, "fresh": False})
        asked = [trial["number"] for trial in sheet["trials"]]
        if twice := sorted(set(asked) & set(self.told)):
            self.failures.append(f"{self.name}: asked again after its answer was acknowledged: {twice}")
        return list(sheet["trials"])

    def _answer(self, trial: dict[str, Any]) -> None:
        for name in trial["images"]:
            picture = self._ask("GET", f"picture/{name}")
            if not picture.startswith(b"\x89PNG"):
                self.failures.append(f"{self.name}: no picture")
        before = self.cut
        self._vote(trial, self.dice.choice(["left", "right"]))
        if self.cut > before:  # somebody reloads the page
            self._begin()

    def _vote(self, trial: dict[str, Any], answer: str) -> None:
        """Send an answer until it is acknowledged."""
        number, began, missed = trial["number"], time.monotonic(), self.cut + self.refused
        body = {"trial": number, "answer": answer, "milliseconds": self.dice.randrange(300, 3000), "seen": 1000}
        said = self._ask("POST", "vote", body, change=True)
        self.stored[number] += said["kept"]
        self.unheard += not said["kept"] and number not in self.told
        if self.told.setdefault(number, said["answer"]) != said["answer"]:
            self.failures.append(f"{self.name}: trial {number} had one answer, and now another")
        if self.cut + self.refused == missed:
            self.waits.append(time.monotonic() - began)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, change: bool = False) -> Any:
        """Ask until there is an answer, as the page does. change: may send another answer when asked again."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                status, data = self._once(method, f"/api/take/{self.study}/{path}", body)
                if status == 200:
                    return data
                if status == 403 and data["error"]["code"] == "TOKEN":  # started anew since the page was loaded
                    self._load()
                    continue
                raise RuntimeError(f"{method} {path.partition('/')[0]}: {status} {data}")
            except ConnectionRefusedError:
                self.refused += 1
                time.sleep(self.dice.uniform(0.02, 0.1))
            except (OSError, http.client.HTTPException):
                self.cut += 1
                if change and body is not None and self.dice.random() < 0.5:
                    body = {**body, "answer": "left" if body["answer"] == "right" else "right"}
        raise TimeoutError(f"no answer for {PATIENCE:.0f} seconds")

    def _load(self) -> None:
        """The page, for the token in its head."""
        _, page = self._once("GET", f"/take/{self.study}", None)
        found = re.search(rb'name="sparring-token" content="([0-9a-f]+)"', page)
        if found is None:
            raise RuntimeError("the page holds no token")
        self._token = found[1].decode()

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        """(status, JSON or bytes) of one request on a connection of its own."""
        host = f"127.0.0.1:{self.port}"
        headers = {"Host": host, "Connection": "close"} | ({"Cookie": self._cookie} if self._cookie else {})
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers |= {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", "X-Sparring-Token": self._token,
                        "Content-Type": "application/json"}  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            found = answer.read()
            jar = SimpleCookie[str](answer.getheader("Set-Cookie", ""))
            self._cookie = "; ".join(f"{name}={one.value}" for name, one in jar.items()) or self._cookie
            json_like = answer.getheader("Content-Type", "").startswith("application/json")
            return answer.status, json.loads(found) if json_like else found
        finally:
            connection.close()


@dataclass
class Found:
    """What one proof found."""

    raters: int
    votes: int
    kills: int
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    requests_cut: int = 0
    votes_stored_unheard: int = 0
    votes_sent_again: int = 0
    vote_ms_median: float = 0.0
    vote_ms_95: float = 0.0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def prove(folder: Path, *, raters: int, votes: int, kills: int, seed: int = 0) -> tuple[Found, list[Rater]]:
    """A whole study in `folder`, with the server killed `kills` times: what was found, and who voted."""
    began, dice = time.monotonic(), random.Random(f"kills/{seed}")
    server = Server(make(folder, votes))
    study, total = identity(folder), raters * votes
    server.start()
    people = [Rater(server.port, study, seed * 1000 + k) for k in range(raters)]
    try:
        for person in people:
            person.start()
        for kill in range(kills):
            goal = total * (kill + dice.random()) / (kills + 0.5)
            while sum(len(p.told) for p in people) < goal and any(p.is_alive() for p in people):
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.02))
            server.kill()
            server.start()
        for person in people:
            person.join(4 * PATIENCE)
    finally:
        server.kill()
    found = Found(raters, votes, kills, seconds=round(time.monotonic() - began, 1))
    examine(folder / plan.ANSWERS, people, found)
    return found, people


def examine(file: Path, people: list[Rater], found: Found) -> None:
    """Compare what was acknowledged with what is stored, row by row."""
    from hashlib import sha256

    database = sqlite3.connect(file)
    try:
        sound = database.execute("PRAGMA integrity_check").fetchone()[0]
        numbers = dict(database.execute("SELECT token, rater FROM raters").fetchall())
        rows = database.execute("SELECT rater, trial, answer FROM votes").fetchall()
    finally:
        database.close()
    kept = {(rater, trial): answer for rater, trial, answer in rows}
    found.duplicated = len(rows) - len(kept)
    for person in people:
        number = numbers.get(sha256(person.secret.encode()).hexdigest(), -1)
        found.acknowledged += len(person.told)
        found.lost += sum(kept.get((number, trial)) != answer for trial, answer in person.told.items())
        found.duplicated += sum(times - 1 for times in person.stored.values() if times > 1)
        found.requests_cut += person.cut
        found.votes_stored_unheard += person.unheard
        found.votes_sent_again += person.again
        found.failures += person.failures
    waits = sorted(1000 * wait for person in people for wait in person.waits)
    found.vote_ms_median, found.vote_ms_95 = round(statistics.median(waits), 1), round(waits[len(waits) * 19 // 20], 1)
    total = found.raters * found.votes
    said = {
        f"{found.lost} acknowledged answers are lost": found.lost > 0,
        f"{found.duplicated} answers are there twice": found.duplicated > 0,
        f"{found.acknowledged} answers were acknowledged, not {total}": found.acknowledged != total,
        f"{len(rows)} answers are stored, not {total}": len(rows) != total,
        f"{len(numbers)} raters are enrolled, not {found.raters}": len(numbers) != found.raters,
        f"the database is damaged: {sound}": sound != "ok",
    }
    found.failures += [what for what, holds in said.items() if holds]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs.votes", description=__doc__.split("\n")[0])
    parser.add_argument("--raters", type=int, default=20)
    parser.add_argument("--votes", type=int, default=50, help="answers of each rater")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None, help="where the JSON goes; nowhere by default")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sparring-votes-") as work:
        found, _ = prove(
            Path(work) / "study", raters=given.raters, votes=given.votes, kills=given.kills, seed=given.seed
        )
    print(
        f"{found.raters} raters, {found.acknowledged:,} acknowledged answers, {found.kills} kills: {found.lost} lost, "
        f"{found.duplicated} twice; {found.requests_cut} requests cut off, {found.votes_stored_unheard} votes stored "
        f"unheard, {found.votes_sent_again} sent again; a vote takes "
        f"{found.vote_ms_median:g} ms (95 %: {found.vote_ms_95:g}); {found.seconds} s"
    )
    for failure in found.failures:
        print(failure, file=sys.stderr)
    record(
        given.out,
        claim="0 acknowledged answers are lost and 0 kept twice while the server of a study is killed",
        command=f"python -m benchmarks.proofs.votes --raters {given.raters} --votes {given.votes} "
        f"--kills {given.kills} --seed {given.seed}",
        result=vars(found),
    )
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
