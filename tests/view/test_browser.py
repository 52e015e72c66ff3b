"""The viewer in a real Chromium, from the command itself: a run watched while it writes, hostile answers stay text."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from filelock import FileLock

from tests.results.report.test_page import browser
from tests.support.parts.written_run import WrittenRun
from tests.support.recordings import edit, edit_rows, make
from tests.view.hostile import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["browser"]  # a fixture

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    (folder / "study").mkdir()
    make(folder / "study" / "base", range(20), samples=3)
    make(folder / "study" / "tuned", range(30), samples=3, wrong=HOSTILE)
    make(folder / "other", range(10))
    return folder


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    """The command's own server, ended by Ctrl-C as by a person."""
    command = [sys.executable, "-m", "harness", "view", str(built), "--port", "0", "--token"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\S{32}/", line)
        assert found is not None, line
        yield found[0]
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=20)
        assert (server.returncode, err) == (0, "")


def visit(browser: "Browser", address: str, **how: Any) -> "Iterator[Page]":
    """A page, ready; it may have asked for nothing but its own address and complained of nothing."""
    asked, said = list[str](), list[str]()
    shown = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **how})
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    with closing(shown):
        shown.goto(address)
        shown.wait_for_selector("body[data-ready]", timeout=60_000)
        yield shown
        here = re.match(r"http://[^/]+/[^/]+/", address)
        assert here is not None
        assert [url for url in asked if not url.startswith(here[0])] == []
        assert said == []


def hit(shown: "Page", selector: str, text: str) -> Any:
    return shown.locator(selector, has_text=text).first


def test_the_list_has_every_run_in_its_study_and_filters(browser: "Browser", address: str) -> None:
    for shown in visit(browser, address):
        assert shown.locator("tr[data-run]").count() == 3
        groups = shown.locator("tr.group:visible").all_inner_texts()
        assert [text.split(":")[0] for text in groups] == ["here", "study"]
        assert "2 runs, 2 finished" in groups[1]
        row = shown.locator("tr[data-run='study/tuned']").inner_text()
        assert "em@1 75.00" in row
        assert "finished" in row
        shown.fill("[name=filter]", "tuned")
        assert shown.locator("tr[data-run]:visible").count() == 1
        assert shown.locator("#totals").inner_text().startswith("1 of 3 runs")


def test_a_run_is_watched_while_it_writes_without_a_reload(
    browser: "Browser", address: str, built: Path
) -> None:
    for shown in visit(browser, address):
        shown.evaluate("window.same = 1")
        with WrittenRun(built / "study" / "work", built / "study" / "tuned") as run:
            run.generate(30)
            row = shown.locator("tr[data-run='study/work']")
            row.wait_for(timeout=20_000)
            assert "running" in row.inner_text()
            shown.wait_for_selector("tr[data-run='study/work'] progress[value='30']", timeout=20_000)
            for inner in visit(browser, f"{address}run?run=study/work"):
                inner.wait_for_selector("#count:has-text('1 to 30 of 30')", timeout=20_000)
                run.generate(20)
                inner.wait_for_selector("#count:has-text('1 to 50 of 50')", timeout=20_000)
                assert hit(inner, "#list .row", "letters/16").is_visible()  # the newest is first
                inner.wait_for_selector("#card:has-text('generate 50 of 120')", timeout=20_000)
                run.generate(70)
                run.judge(60)
                inner.wait_for_selector("#card:has-text('judge exact 60 of 120')", timeout=20_000)
            run.judge(60)
            run.end()
        shown.wait_for_selector("tr[data-run='study/work']:has-text('em@1 75.00')", timeout=20_000)
        assert shown.evaluate("window.same") == 1


def test_samples_are_filtered_searched_and_read_and_hostile_ones_are_text(
    browser: "Browser", address: str
) -> None:
    for shown in visit(browser, f"{address}run?run=study/tuned"):
        assert shown.locator("#count").inner_text() == "1 to 100 of 120"
        shown.click("#next")
        shown.wait_for_selector("#count:has-text('101 to 120 of 120')")
        shown.select_option("[name=ended]", "wrong")
        shown.wait_for_selector("#count:has-text('1 to 30 of 30')")
        shown.fill("[name=query]", "onerror")
        shown.wait_for_selector("#count:has-text('30 with this text')")
        hit(shown, "#list .row", "letters/31").click()
        shown.wait_for_selector("#detail h3:has-text('letters/31')")
        texts = shown.locator("#detail pre").all_inner_texts()
        assert HOSTILE.replace("\x1b", "\u241b").replace("\u202e", "\u27e8U+202E\u27e9") in texts
        assert shown.locator("#detail .del").inner_text() == "x = 31"
        assert shown.evaluate("window.hacked") is None
        assert shown.locator("img").count() == 0
        assert shown.evaluate("document.scripts.length") == 1


def test_two_runs_stand_side_by_side(browser: "Browser", address: str) -> None:
    for shown in visit(browser, address):
        for name in ("study/base", "study/tuned"):
            shown.locator(f"tr[data-run='{name}'] input").check()
        shown.click("#side")
        shown.wait_for_selector("body[data-ready]")
        shown.select_option("[name=show]", "neither")
        shown.wait_for_selector("#count:has-text('1 to 30 of 30')")
        hit(shown, "#list .row", "letters/35").click()
        shown.wait_for_selector("#detail h3:has-text('letters/35')")
        assert shown.locator(".both > div").count() == 2
        assert "Right: wrong" in shown.locator(".both").inner_text()
        assert shown.evaluate("window.hacked") is None


def test_the_keyboard_is_enough(browser: "Browser", address: str) -> None:
    for shown in visit(browser, address):
        shown.keyboard.press("/")
        shown.keyboard.type("study")
        shown.keyboard.press("Escape")
        for key in ("j", "x", "j", "x"):
            shown.keyboard.press(key)
        assert shown.locator("#chosen").inner_text() == "2 chosen:"
        shown.keyboard.press("k")
        shown.keyboard.press("Enter")
        shown.wait_for_selector("h1:has-text('letters-base')")
        shown.wait_for_selector("body[data-ready]")
        shown.keyboard.press("Home")
        shown.keyboard.press("ArrowDown")
        shown.keyboard.press("j")
        shown.wait_for_selector("#row-2[aria-selected=true]")
        assert shown.locator("#list").get_attribute("aria-activedescendant") == "row-2"
        shown.keyboard.press("n")
        shown.wait_for_selector("#count:has-text('101 to 120 of 120')")
        shown.keyboard.press("/")
        assert shown.evaluate("document.activeElement.name") == "query"


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: "Browser", address: str) -> None:
    for path in ("", "run?run=study/tuned", "side?left=study/base&right=study/tuned"):
        for shown in visit(browser, address + path, viewport=PHONE):
            assert shown.evaluate("document.documentElement.scrollWidth") == 390, path
            if path:
                assert not shown.locator("#detail").is_visible()
                shown.locator("#list .row").first.click()
                shown.wait_for_selector("#detail.open h3")
                assert shown.locator("#detail").bounding_box() == {"x": 0, "y": 0, **PHONE}
                shown.keyboard.press("Escape")
                assert not shown.locator("#detail").is_visible()


def test_reports_and_comparisons_start_and_leave_the_folder_as_it_was(
    browser: "Browser", address: str, built: Path
) -> None:
    """Byte for byte, and with no run locked."""
    names = ("study/base", "study/tuned")
    before = contents(built)
    for shown in visit(browser, address):
        for name in names:
            shown.locator(f"tr[data-run='{name}'] input").check()
        for link, text in (("#report", "em@1"), ("#compare", "letters")):
            with shown.context.expect_page(timeout=60_000) as opening:
                shown.click(link)
            made = opening.value
            with closing(made):
                made.wait_for_selector(f"main:has-text('{text}')", timeout=60_000)
                assert made.evaluate("window.hacked") is None
                assert made.evaluate("window.opener") is None
    for name in names:
        for shown in visit(browser, f"{address}run?run={name}"):
            shown.locator("#list .row").first.click()
            shown.wait_for_selector("#detail h3")
        with FileLock(built / name / ".lock").acquire(timeout=0):
            pass
    assert contents(built) == before


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and "work" not in path.parts
    }


def test_names_are_text_wherever_they_come_from(browser: "Browser", address: str, built: Path) -> None:
    """A folder's, a run's, a problem's, a model's, a task's; and in what is said of a run that cannot be read."""
    evil = "</td><img src=x onerror='window.hacked=1'><script>window.hacked=1<\\script>\u202e"
    folder, damaged = built / "hostile" / evil, built / "hostile" / f"{evil} too"
    shutil.copytree(built / "other", folder)
    edit(folder / "run.json", lambda plain: plain.update(run_id=evil, task={**plain["task"], "name": evil}))
    edit(folder / "run.json", lambda plain: plain["config"]["backend"].update(path=evil))
    for name in ("problems", "generations", "judgements"):
        edit_rows(
            folder / f"{name}.jsonl",
            lambda found: [{**row, "problem_id": row["problem_id"] + evil} for row in found],
        )
    damaged.mkdir()
    (damaged / "run.json").write_text(json.dumps({"config": {HOSTILE: 1}}))
    run = urlencode({"run": f"hostile/{evil}"})
    try:
        for shown in visit(browser, address):
            shown.locator("tr[data-run]", has_text=f"{evil[:-1]}\u27e8U+202E\u27e9").first.wait_for(
                timeout=20_000
            )
            assert harmless(shown)
            assert "damaged" in shown.locator("tr[data-run$=' too']").inner_text()
        for path in (
            f"run?{run}",
            f"side?{urlencode({'left': f'hostile/{evil}', 'right': f'hostile/{evil}'})}",
        ):
            for shown in visit(browser, f"{address}{path}"):
                hit(shown, "#list .row", "letters/31</td>").click()
                shown.wait_for_selector("#detail h3:has-text('letters/31</td>')")
                assert harmless(shown)
        shown = browser.new_page()
        with closing(shown):
            for path in (f"compare?{run}", f"samples?{run}&start={evil}", f"samples?run={evil}", evil):
                shown.goto(address + path)
                assert harmless(shown)
    finally:
        shutil.rmtree(built / "hostile")


def harmless(shown: "Page") -> bool:
    told = shown.evaluate("[window.hacked, document.images.length, document.scripts.length]")
    return told[:2] == [None, 0] and told[2] <= 1


# Everything that is seen has a contrast of 4.5 with what is behind it, as WCAG 2.2 counts it (1.4.3).
CONTRAST = """() => {
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (made) => {
    for (; made; made = made.parentElement) {
      const found = colour(getComputedStyle(made).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const bad = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let n = 0;
  while (walker.nextNode()) {
    const made = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !made.checkVisibility() || /SCRIPT|STYLE/.test(made.tagName)) continue;
    const [a, b] = [light(colour(getComputedStyle(made).color)), light(behind(made))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    n++;
    if (ratio < 4.5) bad.push([ratio.toFixed(2), made.tagName, made.className, walker.currentNode.data.slice(0, 30)]);
  }
  return [n, bad];
}"""
UNNAMED = """() => [...document.querySelectorAll("input, select, button, a[href], [tabindex], progress")]
  .filter((made) => ![made, ...(made.labels ?? [])].some((one) => one.textContent.trim()))
  .filter((made) => !made.getAttribute("aria-label"))
  .map((made) => made.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_seen_can_be_read_and_everything_used_has_a_name(
    browser: "Browser", address: str, scheme: str
) -> None:
    for path in ("", "run?run=study/tuned", "side?left=study/base&right=study/tuned"):
        for shown in visit(browser, address + path, color_scheme=scheme):
            if path:
                hit(shown, "#list .row", "letters/31").click()
                shown.wait_for_selector("#detail h3:has-text('letters/31')")
            seen, unreadable = shown.evaluate(CONTRAST)
            assert seen > 20
            assert unreadable == []
            assert shown.evaluate(UNNAMED) == []
            levels = [
                int(tag[1])
                for tag in shown.evaluate(
                    "[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => h.tagName)"
                )
            ]
            assert levels[0] == 1
            assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_tabulator_goes_through_a_page_as_it_is_read_and_shows_where_it_is(
    browser: "Browser", address: str
) -> None:
    for shown in visit(browser, f"{address}run?run=study/tuned"):
        order = []
        for _ in range(10):
            shown.keyboard.press("Tab")
            order.append(
                shown.evaluate(
                    "document.activeElement.name || document.activeElement.id || document.activeElement.textContent"
                )
            )
            assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert order[:3] == ["all runs", "report", "Metrics, notes, signature"]
        assert order[3:] == ["query", "ended", "order", "start", "next", "last", "list"]


def test_a_page_of_another_site_gets_nothing(browser: "Browser", address: str, tmp_path: Path) -> None:
    """It may neither read, nor frame, nor start a report; without the token nobody may."""
    base = address[: address.index("/", 8)]
    (tmp_path / "evil.html").write_text(
        f"<iframe src='{address}'></iframe><script>fetch('{address}samples?run=other')"
        ".then((answer) => answer.text(), String).then((text) => { document.title = text; })</script>"
    )
    shown = browser.new_page()
    with closing(shown):
        shown.goto((tmp_path / "evil.html").as_uri())
        shown.wait_for_function("document.title")
        assert "Failed to fetch" in shown.title()
        assert shown.frames[1].url.startswith("chrome-error:")
        answer = shown.goto(f"{base}/")
        assert answer is not None
        assert answer.status == 403
