"""What the report and the leaderboard are to who sees little, or uses no mouse: contrast, names, the order of the keys.

Contrast is WCAG's (2.1, 1.4.3): 4.5 to 1 for every text, measured on what the browser paints, in light and in dark.
"""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.results.report.test_page import browser, visit
from tests.support.command import harness
from tests.support.recordings import edit_rows, make

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]

# Colours over one another from the page's root to the text, as the canvas reads them: named, mixed, translucent.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => below.map((c, i) => i === 3 ? 255 : (top[i] * top[3] + c * (255 - top[3])) / 255);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const own = rgba(getComputedStyle(element).backgroundColor);
    return over(own, element.parentElement ? behind(element.parentElement) : [255, 255, 255, 255]);
  };
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.tagName === "OPTION") continue;
    const style = getComputedStyle(element), below = behind(element);
    const ink = over(rgba(element.closest("svg") ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a), ratio = (high + 0.05) / (low + 0.05);
    found.push([ratio, walk.currentNode.data.trim().slice(0, 40), element.tagName + "." + element.className]);
  }
  for (const input of document.querySelectorAll("[placeholder]")) {
    const [high, low] = [getComputedStyle(input, "::placeholder").color, getComputedStyle(input).backgroundColor]
      .map((colour) => light(rgba(colour))).sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), input.placeholder, "::placeholder"]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""

# What can be reached or stands for a picture, and is called nothing.
NAMELESS = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex], " +
    "[role=img], [role=region], [role=listbox], nav, form")]
  .filter((e) => e.checkVisibility())
  .filter((e) => ![e.getAttribute("aria-label"), ...[...(e.labels || [])].map((l) => l.textContent),
                   /^(A|BUTTON|SUMMARY)$/.test(e.tagName) ? e.textContent : ""].some((name) => name && name.trim()))
  .map((e) => e.outerHTML.slice(0, 80))"""

# Marks what Tab should reach, in the page's order.
REACHED = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((e) => e.checkVisibility()).map((e, i) => { e.dataset.place = i; return e.outerHTML.slice(0, 60); })"""
FOCUSED = """() => [document.activeElement.dataset.place ?? "",
  getComputedStyle(document.activeElement).outlineStyle]"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A report of two tasks with a gain, a loss, a warning, seeds and a paper; a leaderboard with its pages."""
    folder = tmp_path_factory.mktemp("seen")
    for version, right in ((1, 30), (2, 4)):
        (folder / str(version)).mkdir()
        make(folder / str(version) / "base", range(15), options={"version": version})
        make(folder / str(version) / "tuned", range(right), samples=1, options={"version": version})
    edit_rows(make(folder / "2" / "bad", range(3)) / "judgements.jsonl", lambda rows: rows[1:])
    ended = harness("report", folder, "--paper", "2308.10462", "--out", folder / "report.html")
    assert ended.code == 0, ended.err
    for name in ("a", "b"):
        card = f'name = "Model {name}"\nsize = {7 if name == "a" else 70}\ngroup = "base"\ndate = 2026-01-02'
        (folder / "board" / name).mkdir(parents=True)
        make(folder / "board" / name / "run", range(20 if name == "a" else 30))
        (folder / "board" / name / "model.toml").write_text(card)
    ended = harness("leaderboard", folder / "board", "--out", folder / "site")
    assert ended.code == 0, ended.err
    site = [folder / "site" / name for name in ("index.html", "task-letters.html", "model-model-a.html")]
    return [folder / "report.html", *site]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(
    browser: "Browser", pages: list[Path], scheme: str
) -> None:
    for path in pages:
        for shown in visit(browser, path, color_scheme=scheme):
            shown.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
            if path.name == "report.html":
                shown.focus("#list")
                shown.keyboard.press("End")
                shown.wait_for_selector("#detail .del")
            elif path.name == "index.html":
                shown.focus("td a")
                shown.wait_for_selector("#told:visible")
            found = shown.evaluate(CONTRAST)
            assert len(found) >= 20
            assert [each for each in found if each[0] < 4.5] == [], path.name


def test_the_measure_of_contrast_finds_grey_on_grey(browser: "Browser", tmp_path: Path) -> None:
    shown = browser.new_page()
    shown.set_content(
        "<p style='background:#fff;color:#999'>pale</p><p style='background:#fff;color:#767676'>enough</p>"
    )
    pale, enough = shown.evaluate(CONTRAST)
    assert [round(pale[0], 2), round(enough[0], 2)] == [2.85, 4.54]
    shown.close()


def test_whatever_can_be_reached_and_every_picture_has_a_name(browser: "Browser", pages: list[Path]) -> None:
    for path in pages:
        for shown in visit(browser, path):
            assert shown.evaluate(NAMELESS) == [], path.name
            levels = shown.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((e) => +e.tagName[1])")
            assert levels[0] == 1
            assert all(after - before <= 1 for before, after in pairwise(levels))
            assert shown.evaluate("document.documentElement.lang") == "en"
            ids = shown.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
            assert [name for name, n in Counter(ids).items() if n > 1] == [], path.name


def test_tab_goes_through_the_page_from_top_to_bottom_and_shows_where_it_is(
    browser: "Browser", pages: list[Path]
) -> None:
    for path in pages:
        for shown in visit(browser, path):
            there = shown.evaluate(REACHED)
            seen = []
            for _ in there:
                shown.keyboard.press("Tab")
                place, outline = shown.evaluate(FOCUSED)
                seen.append(place)
                assert outline != "none", there[int(place)]
            assert seen == [str(i) for i in range(len(there))], path.name
