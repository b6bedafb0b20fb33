"""The app as a person meets it: Chromium, a mouse and a keyboard, on a server of its own.

Every test fails if the page wrote an error to the console, or if the server refused anything it asked.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import Live, launched
from tests.forking import Forks

from benchmarks.proofs.votes import make
from sparring.app.desk import identity

CHROMIUM = os.environ.get("SPARRING_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Chromium: apt install chromium")

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP evil.test 127.0.0.1",
]  # fmt: skip
SECONDS = 90
"""How long anything may take on a machine that is busy with other things."""
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def until(page: Any, done: Callable[[], Any], what: str) -> Any:
    """Wait for what a person would wait for."""
    end = time.monotonic() + SECONDS
    while not (found := done()):
        assert time.monotonic() < end, f"{what}; the page says: {page.locator('#say').text_content(timeout=1000)}"
        page.wait_for_timeout(100)
    return found


# ── what there is: runs, a server, a browser ────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, library: Path, translator: Path) -> Path:
    """Runs on pictures, on points and on pairs; a study; photographs beside them."""
    home = tmp_path_factory.mktemp("browser")
    shutil.copytree(library, home / "runs")
    shutil.copytree(library.parent / "photos", home / "photos")
    shutil.copytree(translator, home / "runs" / "pairs")
    return home


@pytest.fixture(scope="module")
def live(home: Path, forked: Forks) -> Iterator[Live]:
    live = launched(home / "server.log", home / "runs", "--data", home, python=forked.words()[0])
    yield live
    live.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=SECONDS * 1000)
        yield browser
        browser.close()


def let_in(context: Any, live: Live) -> Any:
    """A page of somebody who opened the address that `sparring app` printed; what goes wrong is in `page.wrong`."""
    context.set_default_timeout(SECONDS * 1000)
    page = context.new_page()
    page.wrong = []
    watch(page, page.wrong)
    page.goto(live.url)
    assert "token" not in page.url
    return page


def watch(page: Any, wrong: list[str]) -> None:
    page.on("console", lambda said: said.type in ("error", "warning") and wrong.append(f"console: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"exception: {error}"))
    page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status}: {answer.url}"))


@pytest.fixture
def page(browser: Any, live: Live) -> Iterator[Any]:
    context = browser.new_context(viewport=DESKTOP)
    page = let_in(context, live)
    yield page
    wrong = list(page.wrong)
    context.close()
    assert not wrong


def seen(page: Any, selector: str) -> str:
    """The pixels of an image or a canvas, as an address that holds them."""
    return page.evaluate(
        """(selector) => {
            const from = document.querySelector(selector);
            if (from instanceof HTMLImageElement && !(from.complete && from.naturalWidth)) return "";
            const to = document.createElement("canvas");
            [to.width, to.height] = [from.naturalWidth ?? from.width, from.naturalHeight ?? from.height];
            to.getContext("2d").drawImage(from, 0, 0);
            return to.toDataURL();
        }""",
        selector,
    )


def changed(page: Any, selector: str, before: str = "") -> str:
    """What is to be seen there once it is something else than before."""

    def other() -> str:
        now = seen(page, selector)
        return now if now != before else ""

    return until(page, other, f"{selector} stays as it is")


def choose_run(page: Any, name: str) -> None:
    page.wait_for_selector("#run:not([disabled])")
    page.select_option("#run", label=name)


# ── what people do ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_is_started_and_seen_to_finish(page: Any, live: Live) -> None:
    def shortly(route: Any) -> None:  # the shortest that the page offers is two minutes
        route.continue_(post_data=json.dumps({**route.request.post_data_json, "budget": "64"}))

    page.route("**/api/runs", shortly)
    page.get_by_role("link", name="New run").click()
    page.get_by_role("radio", name="ring").check()
    page.get_by_role("button", name="Look at it first").click()
    page.wait_for_selector(".preflight table")  # how it would be trained
    page.get_by_role("textbox", name="Name").fill("from-the-page")
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_selector(".pill.starting, .pill.training, .pill.finished")
    page.wait_for_selector(".pill.finished")
    page.wait_for_selector("section.doctor .verdict")
    assert changed(page, "section.samples img.grid")
    assert "64" in page.locator("section.head").text_content()
    assert page.get_by_role("link", name="Play with it").get_attribute("href") == f"/play?{page.url.partition('#')[2]}"
    page.get_by_role("link", name="All runs").click()
    assert page.locator("li.run", has_text="from-the-page").locator(".pill").text_content() == "finished"


def test_of_a_run_that_is_not_there_nothing_can_be_done(browser: Any, live: Live, home: Path) -> None:
    """An old link, reloaded too; and a run that is removed while one looks at it, then one without checkpoints."""
    context = browser.new_context(viewport=DESKTOP)
    page = let_in(context, live)
    page.goto(f"{page.url.partition('#')[0]}#run={'0' * 16}")
    for _ in range(2):
        page.wait_for_selector("text=There is no such run (any longer).")
        assert page.locator("#view button").count() == 0 and page.locator("#view a").count() == 1
        page.reload()
    page.wait_for_selector("text=There is no such run (any longer).")
    page.get_by_role("link", name="All runs").click()
    lost = home / "runs" / "lost"
    shutil.copytree(home / "runs" / "ring", lost)
    shutil.rmtree(lost / "checkpoints")
    page.get_by_role("link", name="lost", exact=True).click()
    page.wait_for_selector("text=nothing can be gone on with")
    assert not page.get_by_role("button", name="Train longer").is_visible()
    shutil.rmtree(lost)
    page.wait_for_selector("text=There is no such run (any longer).")
    context.close()
    assert not [line for line in page.wrong if "exception" in line]


def test_what_is_logged_while_one_looks_is_shown(page: Any, live: Live, home: Path) -> None:
    """Of a run that has logged nothing yet; then turn after turn, each after a look of its own."""
    run = home / "runs" / "grows"
    shutil.copytree(home / "runs" / "ring", run)
    lines = (run / "log.jsonl").read_text().splitlines(keepends=True)
    turn = json.loads(next(line for line in lines if '"event":"turn"' in line))
    (run / "log.jsonl").write_text("")
    page.get_by_role("link", name="grows", exact=True).click()
    page.wait_for_selector("section.story, section.foot dl")
    page.wait_for_timeout(3_000)  # it has settled
    for images in (1_111, 2_222, 3_333):
        with (run / "log.jsonl").open("a") as file:
            file.write(json.dumps({**turn, "images": images}, separators=(",", ":")) + "\n")
        page.wait_for_selector(f"section.story .log:has-text('{images:,}')")
    page.wait_for_selector("section.doctor .verdict")
    page.get_by_role("link", name="All runs").click()
    shutil.rmtree(run)


def test_a_doctor_who_could_not_answer_is_asked_again(browser: Any, live: Live) -> None:
    context = browser.new_context(viewport=DESKTOP)
    page = let_in(context, live)
    refused = {"error": {"code": "SLOW", "what": "this took too long"}}
    page.route("**/verdicts", lambda route: route.fulfill(status=503, json=refused))
    page.get_by_role("link", name="ring", exact=True).click()
    page.wait_for_selector("text=could not judge this run: this took too long")
    page.wait_for_timeout(6_000)  # all that the page looks at by itself when a run is opened
    page.unroute("**/verdicts")
    page.wait_for_selector("section.doctor .verdict")
    context.close()
    assert not [line for line in page.wrong if "exception" in line]


def test_a_drag_in_play_changes_the_picture(page: Any, live: Live) -> None:
    page.get_by_role("link", name="Play", exact=True).click()
    choose_run(page, "blobs")
    page.wait_for_selector("#tiles .tile")
    first = changed(page, "#shown")
    box = page.locator("#pad").bounding_box()
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.2 * box["height"], steps=4)
    page.mouse.up()
    dragged = changed(page, "#shown", first)
    page.keyboard.press("Home")  # the place that was dragged has the keyboard too
    until(page, lambda: "A:" in page.locator("#where").text_content(), "the arrow keys do not move the ring")
    assert seen(page, "#shown") not in (first, dragged)
    with page.expect_download() as loaded:
        page.locator("#shown-file").click()
    assert Path(loaded.value.path()).read_bytes().startswith(b"\x89PNG")


def test_what_is_changed_while_a_run_opens_is_taken_along(page: Any, live: Live) -> None:
    """The run that was chosen is opened all the same, and nothing is asked of it before it is."""
    page.get_by_role("link", name="Play", exact=True).click()
    choose_run(page, "blobs")
    page.wait_for_selector("#tiles .tile")
    before = page.locator("#facts").text_content()
    choose_run(page, "ring")
    for name, value, event in (("truncation", "0.5", "input"), ("text", "a red apple", "change")):
        page.evaluate(
            """([name, value, event]) => {
                const field = document.getElementById(name);
                field.value = value;
                field.dispatchEvent(new Event(event));
            }""",
            [name, value, event],
        )
    assert page.locator("#facts").text_content() == "Opening the run …"
    until(page, lambda: "points of 2 numbers" in page.locator("#facts").text_content(), "the run is not opened")
    choose_run(page, "blobs")
    until(page, lambda: page.locator("#facts").text_content() == before, "the run is not opened again")
    until(page, lambda: "0.50" in page.locator("#truncation-now").text_content(), "what was set is lost")


def test_a_refused_picture_is_named_and_nothing_of_the_one_before_is_left(page: Any, tmp_path: Path) -> None:
    from PIL import Image

    Image.effect_noise((64, 64), 80).save(tmp_path / "good.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "good.png").read_bytes()[:1500])
    (tmp_path / "words.png").write_text("no picture")
    page.get_by_role("link", name="Translate").click()
    choose_run(page, "pairs")
    page.wait_for_selector("#grey-field:not([hidden])")  # it reads no colours, so none are offered
    assert not page.locator("#colour").is_visible()
    for _ in range(2):
        page.set_input_files("#file", tmp_path / "good.png")
        page.wait_for_selector("#result:not([hidden])")
        assert not page.locator("#wrong").text_content()
        page.set_input_files("#file", tmp_path / "half.png")
        page.wait_for_selector("#wrong.bad:not(:empty)")
        said = page.locator("#wrong").text_content()
        assert said.startswith("half.png: ") and "cut off" in said
        assert not page.locator("#result").is_visible() and not page.locator("#say").text_content()
    page.set_input_files("#load", tmp_path / "words.png")
    page.wait_for_selector("#sketch-wrong.bad:not(:empty)")
    assert page.locator("#sketch-wrong").text_content().startswith("words.png: ")
    page.set_input_files("#load", tmp_path / "good.png")
    page.wait_for_selector("#sketch-wrong:empty", state="attached")
    page.wrong[:] = [line for line in page.wrong if "422" not in line]  # which was meant


def test_a_drawing_is_answered(page: Any, live: Live) -> None:
    page.get_by_role("link", name="Translate").click()
    choose_run(page, "pairs")
    answered = changed(page, "#answer")
    page.get_by_role("button", name="Clear").click()
    empty = changed(page, "#answer", answered)
    page.locator("#sketch").scroll_into_view_if_needed()
    box = page.locator("#sketch").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.7 * box["height"], steps=6)
    page.mouse.up()
    drawn = changed(page, "#answer", empty)
    for _ in range(2):  # by keys: the brush goes down, moves and goes up
        page.locator("#sketch").press("Space")
        page.locator("#sketch").press("Shift+ArrowLeft")
    changed(page, "#answer", drawn)
    while page.locator("#undo").is_enabled():
        page.keyboard.press("Control+z")
        page.wait_for_timeout(20)
    until(page, lambda: seen(page, "#answer") == answered, "undoing all of it does not bring the first answer back")


def test_the_playground_is_stepped(page: Any, live: Live) -> None:
    page.get_by_role("link", name="Playground").click()
    page.wait_for_selector("#turn-d:enabled")
    numbers, words = page.locator("#numbers"), page.locator("#words")
    until(page, lambda: "round 0" in numbers.text_content(), "no game begins")
    board = changed(page, "#board")
    page.get_by_role("button", name="D’s turn").click()
    board = changed(page, "#board", board)
    assert "round 0" in numbers.text_content()
    page.get_by_role("button", name="G’s turn").click()
    until(page, lambda: "round 1 " in numbers.text_content(), "two turns are no round")
    board = changed(page, "#board", board)
    page.locator("#board").press("r")
    until(page, lambda: "round 2 " in numbers.text_content(), "the keys do nothing")
    page.get_by_role("button", name="Collapse").click()
    until(page, lambda: "collapse" in words.text_content().lower(), "nothing is said about the collapse")
    page.select_option("#objective", "hinge")
    until(page, lambda: "hinge" in page.locator("#title").text_content(), "the game is not another one")
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, lambda: "round 2 " not in numbers.text_content(), "it does not play")
    page.get_by_role("button", name="Pause", exact=True).click()


def test_a_study_is_made_taken_by_keyboard_alone_and_read(page: Any, live: Live) -> None:
    page.get_by_role("link", name="Study", exact=True).click()
    page.wait_for_selector("#runs input")
    if not page.locator("#form").is_visible():
        page.locator("#new summary").press("Enter")
    page.get_by_label("blobs", exact=True).focus()
    page.keyboard.press("Space")
    for field, value in {"trials": "5", "practice": "2", "catch": "1", "seconds": "0.2"}.items():
        page.locator(f"#{field}").fill(value)
    page.locator("#title").fill("Discs and squares")
    page.locator("#make").press("Enter")
    page.wait_for_selector("#one-study:not([hidden])")
    until(page, lambda: page.locator("#study-title").text_content() == "Discs and squares", "no study is made")
    page.locator("#take").focus()
    with page.expect_popup() as opened:
        page.keyboard.press("Enter")
    rater = opened.value
    watch(rater, page.wrong)
    answers = answer_all(rater)
    assert answers == 6
    rater.close()
    tiles = page.locator("#tiles dd")
    until(page, lambda: tiles.all_text_contents() == ["1", "1", "6"], "the answers do not arrive at the page")
    page.wait_for_selector("#result p")
    assert "blobs" in page.locator("#result").text_content() or "No answers yet that count" in page.content()


def answer_all(rater: Any) -> int:
    """Take the study that a page shows, by keyboard; returns how often something was answered."""
    rater.wait_for_selector("#welcome:not([hidden])")
    rater.keyboard.press("Space")
    free = "button[aria-disabled=false][aria-pressed=false]"
    moment = f"#choices {free} + {free}, #hint:not(:empty), #between:not([hidden]), #thanks:not([hidden])"
    answers = 0
    while True:
        rater.locator(moment).first.wait_for(state="attached")
        if rater.locator("#thanks").is_visible():
            return answers
        if rater.locator("#between").is_visible() or rater.locator("#hint:not(:empty)").count():
            rater.keyboard.press("Space")
        elif rater.locator(moment).first.count():
            rater.keyboard.press("fj"[answers % 2])
            answers += 1
        rater.wait_for_timeout(60)


# ── how pages are made ──────────────────────────────────────────────────────────────────────────────────────────────

VIEWS = {
    "runs": ("/", "li.run"),
    "one run": ("/#run={blobs}", "section.doctor .verdict"),
    "a new run": ("/#new", "input[name=data]"),
    "play": ("/play?run={blobs}", "#tiles .tile"),
    "play on points": ("/play?run={ring}", "#chosen:not([hidden])"),
    "translate": ("/translate", "#answer-file[href]"),
    "playground": ("/playground", "#turn-d:enabled"),
    "study": ("/study", "#pictures img"),
    "taking a study": ("/take/{study}", "#welcome:not([hidden])"),
}
"""Where each view is, and what is there once it is complete."""


@pytest.fixture(scope="module")
def looker(browser: Any, live: Live, home: Path) -> Iterator[Any]:
    """A page into which axe-core may be put, which our content policy forbids."""
    make(home / "runs" / "study", 8)
    context = browser.new_context(viewport=DESKTOP, bypass_csp=True)
    yield let_in(context, live)
    context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_can_be_used_by_everybody(looker: Any, live: Live, home: Path, view: str) -> None:
    """Wide and narrow, light and dark: axe-core finds nothing serious, nothing sticks out, the console stays empty."""
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="needs axe-core: pip install axe-core-python")
    looker.wrong.clear()
    address, complete = VIEWS[view]
    ids = {name: identity(home / "runs" / name) for name in ("blobs", "ring", "study")}
    looker.goto("about:blank")  # another hash alone would load nothing
    looker.goto(live.origin + address.format(**ids))
    looker.wait_for_selector(complete)
    findings = []
    for size in (DESKTOP, PHONE):
        looker.set_viewport_size(size)
        for scheme in ("light", "dark"):
            looker.emulate_media(color_scheme=scheme)
            looker.wait_for_timeout(60)  # charts are drawn anew
            for rule in axe.Axe().run(looker, options={"resultTypes": ["violations"]})["violations"]:
                places = [node["target"] for node in rule["nodes"]]
                if rule["impact"] in ("serious", "critical"):
                    findings.append(f"{size['width']} px, {scheme}: {rule['id']} ({rule['help']}) at {places}")
        if (out := looker.evaluate("document.documentElement.scrollWidth - window.innerWidth")) > 0:
            findings.append(f"{size['width']} px: {out} px stick out")
    assert not findings + looker.wrong


def test_another_name_for_this_machine_opens_nothing(browser: Any, live: Live) -> None:
    """DNS rebinding: a name of somebody else that leads to 127.0.0.1, in a browser that was let in."""
    context = browser.new_context()
    page = let_in(context, live)
    there = live.origin.replace("127.0.0.1", "evil.test")
    for address in ("/", f"/?token={live.token}", "/api/runs", "/static/js/api.js"):
        answer = page.goto(there + address)
        assert answer.status in (400, 403, 421), (address, answer.status)
        assert live.desk.page_token not in answer.text()
    assert page.goto(live.origin + "/api/runs").ok, "the name that was printed still works"
    context.close()


def test_a_page_of_somebody_else_can_change_nothing(browser: Any, live: Live, home: Path) -> None:
    """A page of another origin asks ours, in a browser that was let in: it starts nothing and reads nothing."""
    context = browser.new_context()
    page = let_in(context, live)
    page.route("http://other.test/", lambda route: route.fulfill(body="<p>hello</p>", content_type="text/html"))
    before = sorted(home.joinpath("runs").iterdir())
    page.goto("http://other.test/")
    told = page.evaluate(
        """async (home) => {
            const body = JSON.stringify({key: "0123456789abcdef"});
            const headers = {"Content-Type": "application/json"};
            const asked = [
                ["/api/runs", {}],
                ["/api/demo", {method: "POST", body, mode: "no-cors"}],
                ["/api/demo", {method: "POST", body, headers}],
            ];
            const told = asked.map(([path, how]) => fetch(home + path, {credentials: "include", ...how}));
            return (await Promise.allSettled(told)).map((one) => one.value?.type ?? "refused");
        }""",
        live.origin,
    )
    assert set(told) <= {"refused", "opaque"}, told
    assert sorted(home.joinpath("runs").iterdir()) == before
    context.close()
