"""A study on the screen of a rater: what it says, a server that is slow, a tap anywhere, two tabs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import Live, launched
from tests.app.test_browser import PHONE, browser, let_in, pytestmark  # noqa: F401
from tests.forking import Forks

from benchmarks.proofs.votes import make
from sparring.app.desk import identity
from sparring.study.store import Store

TRIALS = 10
"""Of which two are practice and two are catches."""
OPEN = "#choices button[aria-disabled=false][aria-pressed=false]"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("raters") / "study", TRIALS)


@pytest.fixture(scope="module")
def live(place: Path, forked: Forks) -> Iterator[Live]:
    live = launched(place.parent / "server.log", place.parent, python=forked.words()[0])
    yield live
    live.end()


def open_at_trial(page: Any, live: Live, place: Path) -> None:
    page.goto(f"{live.origin}/take/{identity(place.resolve())}")
    page.locator("#start").click()
    page.wait_for_selector(OPEN)


def test_a_rater_with_a_phone_a_slow_server_and_two_tabs(
    browser: Any,  # noqa: F811
    live: Live,
    place: Path,
) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True)
    page = let_in(context, live)
    page.goto(f"{live.origin}/take/{identity(place.resolve())}")
    page.wait_for_selector("#welcome:not([hidden])")
    said = page.locator("#welcome").text_content()
    assert f"You will see {TRIALS} pairs" in said and "The first 2 are practice" in said and "but noise" in said

    held: list[Any] = []
    page.route("**/vote", lambda route: held.append(route))
    page.locator("#start").click()
    page.locator(OPEN).first.click()
    page.get_by_text("Not stored yet, trying again").wait_for()
    held[0].continue_()
    page.unroute("**/vote")

    page.wait_for_selector("#go:not([hidden])")
    hint = page.locator("#hint").text_content()
    assert hint.startswith(("Yes. The real one was on the ", "Wrong. The real one was on the "))
    assert page.locator("#trouble").text_content() == ""
    assert page.locator("#pictures canvas").evaluate_all("all => all.every(c => c.style.visibility === 'visible')")
    page.touchscreen.tap(20, PHONE["height"] - 20)

    page.get_by_text("Practice 2 of 2", exact=True).wait_for()
    page.wait_for_selector(OPEN)
    second = let_in(context, live)
    open_at_trial(second, live, place)  # the same trial, in another tab
    second.locator(OPEN).first.click()
    second.wait_for_selector("#go:not([hidden])")
    page.bring_to_front()
    page.locator(OPEN).last.click()
    page.get_by_text("already answered, in another tab").wait_for()
    page.get_by_text(f"Now the other {TRIALS - 2}.").wait_for()
    with Store(place) as store:
        assert [(row["trial"], row["looks"]) for row in store.rows()] == [(0, 1), (1, 2)]
    wrong = [*page.wrong, *second.wrong]
    context.close()
    assert not wrong
