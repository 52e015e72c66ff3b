"""The HTML report in a real Chromium: figures, samples, keyboard, phone and paper; hostile answers stay text."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from harness.results.report import page, plots, samples, sections
from harness.results.rows import ComparisonRow
from harness.runs.store import reader
from tests.support.command import harness
from tests.support.recordings import edit_rows, make

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"
    "<!-- \x1b[31mred\x1b[0m \u202eevil ${window.hacked=1} {{7*7}}"
)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import Error, sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as player:
        try:
            opened = player.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"no Chromium to test the page in: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods of 40 problems with 3 samples, and a task of another version that cannot be compared."""
    folder = tmp_path_factory.mktemp("page")
    make(folder / "base", range(20), samples=3)
    make(folder / "tuned", range(30), samples=3, wrong=HOSTILE)
    make(folder / "later", range(10), options={"version": 2})
    ended = harness("report", folder, "--out", folder / "out.html")
    assert ended.code == 0, ended.err
    return folder / "out.html"


@pytest.fixture
def opened(browser: "Browser", built: Path) -> "Iterator[Page]":
    yield from visit(browser, built)


def visit(browser: "Browser", path: Path, **how: Any) -> "Iterator[Page]":
    """The page, ready; it must have asked for nothing but itself and complained of nothing."""
    shown = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **how})
    asked, said = list[str](), list[str]()
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto(path.as_uri())
    if how.get("java_script_enabled", True):
        shown.wait_for_selector("body[data-ready]", timeout=60_000)
    yield shown
    assert [url for url in asked if url != path.as_uri()] == []
    assert said == []
    shown.close()


def settled(shown: "Page", act: Any) -> None:
    """Do something and wait for the filter that follows."""
    shown.evaluate("delete document.body.dataset.filtered")
    act()
    shown.wait_for_selector("body[data-filtered]", timeout=60_000)


# ---------------------------------------------------------------- figures


def test_the_answer_and_the_table_say_what_compare_says(opened: "Page") -> None:
    assert opened.title() == "Results: letters"
    assert opened.locator("header .answer").inner_text() == (
        "On letters (1 of 2), tuned answers 75 % of the problems as the reference does, 25 points more than base,"
        " which is more than chance explains."
    )
    best = opened.locator("section .answer", has_text="tuned").inner_text()
    assert best.startswith("Best on em@1 is tuned with 75.00 % (")
    assert "+25.00 points compared with base, statistically significant (p 0.0020)" in best
    cells = opened.locator("tr", has_text="reference").locator("td").all_inner_texts()
    assert cells[0] == "base"
    assert cells[1].split() == ["50.00", "35.20", "to", "64.80"]
    assert opened.locator("h2").all_inner_texts()[:2] == [
        "letters (1 of 2) 40 problems",
        "letters (2 of 2) 40 problems",
    ]


def test_the_menu_leads_to_each_part_and_stays_in_view(opened: "Page") -> None:
    links = opened.get_by_role("navigation", name="Parts").get_by_role("link")
    assert links.all_inner_texts()[:3] == ["letters (1 of 2)", "Plots", "Outcomes"]
    assert links.all_inner_texts()[-1] == "Samples"
    for link in links.all():
        link.click()
        place = opened.evaluate("document.querySelector(location.hash).getBoundingClientRect().top")
        assert 40 < place < 900
        assert opened.evaluate("document.querySelector('nav').getBoundingClientRect().top") < 200


def test_who_leads_is_said_in_words_whatever_there_is_to_tell(tmp_path: Path) -> None:
    def said(*counts: tuple[int, ...]) -> str:
        """Of methods a, b, ... with so many right answers of 40 on each version of the task."""
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, by_version in zip("abcde", counts, strict=False):
            for version, count in enumerate(by_version, 1):
                (folder / str(version)).mkdir(parents=True, exist_ok=True)
                make(folder / str(version) / name, range(count), options={"version": version})
        found = [reader.read(path) for path in reader.find_runs([folder])]
        return page.lead(sections.make_sections(found))

    base = "answers 75 % of the problems as the reference does"
    assert said((30,)) == f"a {base}."
    assert said((30,), (29,)) == f"a {base}, 2.5 points more than b, which may be chance."
    assert said((30,), (30,)) == f"a {base}, and so does b."
    assert said((30,), (30,), (30,)) == f"a {base}, and so do b and c."
    assert said((30, 9), (30, 10)) == (
        "Best: a and b on 1 of 2 tasks, b on 1; 0 of 2 leads are more than chance explains."
    )
    assert said((9,), (30,)) == f"b {base}, 52.5 points more than a, which is more than chance explains."
    assert said((30, 9), (9, 10)) == (
        "Best: a on 1 of 2 tasks, b on 1; 1 of 2 leads is more than chance explains."
    )
    assert page.lead([]) == "No sample could be judged."


def test_methods_that_share_the_first_place_are_all_named(tmp_path: Path) -> None:
    for name in ("first", "second"):
        make(tmp_path / name, range(20))
    found = [reader.read(path) for path in reader.find_runs([tmp_path])]
    shown = page.render(sections.make_sections(found))
    assert "first and second share the first place on em@1: <b>50.00 %" in shown


def test_a_radar_is_drawn_only_where_it_helps(tmp_path: Path) -> None:
    names = ["pass@1", "pass@10", "em@1", "em_ws@1", "bleu"]

    def drawn(metrics: list[str], methods: int) -> bool:
        read = reader.read(make(tmp_path / f"{len(metrics)}{methods}", range(3)))
        share = read.summary.metrics["em@1"]
        summary = read.summary.model_copy(update={"metrics": dict.fromkeys(metrics, share)})
        rows = tuple(ComparisonRow(f"m{i}", (replace(read, summary=summary),)) for i in range(methods))
        (section,) = sections.make_sections([read])
        comparison = replace(section.comparison, rows=rows)
        shown = replace(section, metric=metrics[0], comparison=comparison, order=tuple(range(methods)))
        return plots.radar_of_metrics(shown) is not None

    assert drawn(names, 2)
    assert not drawn(names[:4], 2)  # of two kinds
    assert not drawn(names, 1)
    assert not drawn(names, 6)


def test_plots_are_drawn_in_the_colours_of_the_page(opened: "Page") -> None:
    assert opened.locator("figure svg").count() >= 3
    styles = opened.locator("figure svg").first.inner_html()
    assert "var(--ink)" in styles
    assert "#1b1f24" not in styles


# ---------------------------------------------------------------- samples


def test_samples_filter_search_and_open(opened: "Page") -> None:
    count = opened.locator("#count")
    assert count.inner_text() == "280 of 280 samples"
    settled(opened, lambda: opened.select_option("[name=kind]", label="correct"))
    assert count.inner_text() == "160 of 280 samples"
    settled(opened, lambda: opened.select_option("[name=run]", label="letters (1 of 2): base"))
    assert count.inner_text() == "60 of 280 samples"
    settled(opened, lambda: opened.select_option("[name=group]", label="odd"))
    assert count.inner_text() == "30 of 280 samples"
    for name in ("kind", "run", "group"):
        settled(opened, lambda name=name: opened.select_option(f"[name={name}]", value=""))
    settled(opened, lambda: opened.fill("[name=query]", "LETTERS/39"))
    assert count.inner_text() == "7 of 280 samples"
    settled(opened, lambda: opened.fill("[name=query]", "onerror"))
    assert count.inner_text() == "30 of 280 samples"
    settled(opened, lambda: opened.fill("[name=query]", "no such text"))
    assert count.inner_text() == "0 of 280 samples"


def test_a_sample_shows_prompt_answer_reference_and_the_difference_to_another_run(opened: "Page") -> None:
    settled(opened, lambda: opened.fill("[name=query]", "letters/25"))
    opened.locator("#list .row", has_text="letters/25").filter(has_text="base").first.click()
    opened.wait_for_selector("#detail h3:has-text('letters/25')")
    shown = opened.locator("#detail").inner_text()
    assert "Answer\ny\n" in shown
    assert "Reference\nx = 25\n" in shown
    assert "Prompt\nsay 25" in shown
    assert opened.locator("#detail .del").inner_text() == "x = 25"
    assert opened.locator("#detail .add").inner_text() == "y"
    opened.select_option("[name=against]", label="run: letters (1 of 2): tuned")
    opened.wait_for_selector("#detail h4:has-text('Answer against letters (1 of 2): tuned: correct')")


def test_hostile_answers_are_text_and_never_run(opened: "Page") -> None:
    settled(opened, lambda: opened.fill("[name=query]", "onerror"))
    opened.locator("#list .row").first.click()
    opened.wait_for_selector("#detail pre:has-text('window.hacked=1')")
    shown = opened.locator("#detail pre").first.inner_text()
    assert shown == HOSTILE.replace("\x1b", "\u241b").replace("\u202e", "\u27e8U+202E\u27e9")
    assert opened.evaluate("window.hacked") is None
    assert opened.locator("img").count() == 0
    assert opened.evaluate("document.scripts.length") == opened.locator("script").count()


def test_names_from_runs_are_text_too(browser: "Browser", tmp_path: Path) -> None:
    run = make(tmp_path / "a", range(3))
    read = reader.read(run)
    said = {"task": HOSTILE, "notes": (HOSTILE,), "signature": HOSTILE}
    named = replace(
        read, record={**read.record, "run_id": HOSTILE}, summary=read.summary.model_copy(update=said)
    )
    html = page.render(sections.make_sections([named]), [f"skipped {HOSTILE}"])
    assert html.count("&lt;img src=x") >= 8
    assert "<img" not in html
    (tmp_path / "p.html").write_text(html)
    for shown in visit(browser, tmp_path / "p.html"):
        assert shown.evaluate("window.hacked") is None
        assert shown.locator("img").count() == 0
        assert "<img src=x" in shown.locator("h1").inner_text()
        assert "<img src=x" in shown.locator(".warning").inner_text()


def test_the_policy_lets_no_other_script_run(
    opened: "Page", built: Path, browser: "Browser", tmp_path: Path
) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(built.read_text().replace("<h1>", "<script>window.hacked=1</script><h1 onclick='1'>"))
    shown = browser.new_page()
    shown.goto(bad.as_uri())
    shown.wait_for_selector("body[data-ready]", timeout=60_000)
    assert shown.evaluate("window.hacked") is None
    shown.close()


def test_the_keyboard_is_enough(opened: "Page") -> None:
    opened.keyboard.press("/")
    assert opened.evaluate("document.activeElement.name") == "query"
    opened.focus("#list")
    opened.keyboard.press("ArrowDown")
    opened.keyboard.press("ArrowDown")
    opened.wait_for_selector("#row-2[aria-selected=true]")
    opened.keyboard.press("End")
    opened.wait_for_selector("#row-279[aria-selected=true]")
    assert opened.locator("#list").get_attribute("aria-activedescendant") == "row-279"


# ---------------------------------------------------------------- phone, paper, dark, without script


def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_sample_covers_it(
    browser: "Browser", built: Path
) -> None:
    for shown in visit(browser, built, viewport={"width": 390, "height": 844}):
        assert shown.evaluate("document.documentElement.scrollWidth") == 390
        assert not shown.locator("#detail").is_visible()
        shown.locator("#list .row").first.click()
        shown.wait_for_selector("#detail.open h3")
        assert shown.locator("#detail").bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
        shown.keyboard.press("Escape")
        assert not shown.locator("#detail").is_visible()


def test_it_follows_light_and_dark_and_prints_without_the_browser(browser: "Browser", built: Path) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        for shown in visit(browser, built, color_scheme=scheme):
            colours[scheme] = shown.evaluate("getComputedStyle(document.body).backgroundColor")
            shown.emulate_media(media="print")
            assert not shown.locator("#samples").is_visible()
            assert shown.locator(".answer").first.is_visible()
    assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 23)"}


def test_without_javascript_everything_but_the_samples_is_there(browser: "Browser", built: Path) -> None:
    for shown in visit(browser, built, java_script_enabled=False):
        assert "Best on em@1 is tuned" in shown.locator("section .answer").first.inner_text()
        assert shown.locator("figure svg").count() >= 3
        assert "need JavaScript" in shown.locator("noscript").inner_text()


# ---------------------------------------------------------------- the file and the command


def test_the_page_is_one_file_without_an_address_and_the_same_each_time(built: Path) -> None:
    text = built.read_text()
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', text) == []
    assert "http://" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    assert "https://" not in text
    again = built.with_name("again.html")
    harness("report", built.parent, "--out", again)
    assert again.read_text() == text


def test_a_damaged_run_is_named_and_left_out_and_no_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    make(tmp_path / "runs" / "good", range(3))
    bad = make(tmp_path / "runs" / "bad", range(3))
    edit_rows(bad / "judgements.jsonl", lambda rows: rows[1:])
    ended = harness("report", tmp_path / "runs", "--out", tmp_path / "r.html")
    assert ended.code == 0
    assert f"warning: skipped {bad}: " in ended.err
    assert f"skipped {bad}" in (tmp_path / "r.html").read_text()
    (tmp_path / "empty").mkdir()
    assert "holds no run" in harness("report", tmp_path / "empty", "--out", tmp_path / "x.html").complaint
    ended = harness("report", bad, "--out", tmp_path / "x.html")
    assert (ended.code, ended.err.splitlines()[-1]) == (2, "error: no run could be read: nothing to report")
    complaint = harness(
        "report", tmp_path / "runs" / "good", "--out", tmp_path / "x.html", "--metric", "em@2"
    ).complaint
    assert "no metric 'em@2'. Did you mean 'em@1'?" in complaint


def test_plots_are_written_as_svg_and_png(built: Path, tmp_path: Path) -> None:
    ended = harness("report", built.parent / "base", built.parent / "tuned", "--plots", tmp_path / "plots")
    assert ended.code == 0, ended.err
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"methods.svg", "methods.png", "groups.svg"} <= names
    assert "metrics.svg" not in names  # all of its shares are exact match: a table says that better
    for path in (tmp_path / "plots").iterdir():
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")
        else:
            assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_names_of_points_that_are_near_are_put_above_each_other() -> None:
    assert plots._lifts([(250.0, 14.0), (250.0, 13.0), (35.0, 13.0)], 60.0, 2.0) == [1, 0, 0]
    assert plots._lifts([(1.0, 5.0)] * 3, 1.0, 1.0) == [0, 1, 2]


def test_a_prompt_with_a_gap_is_shown_with_both_sides() -> None:
    row = {"index": 0, "text": "1", "answer": "1", "error": "", "completion": {}}
    shown = samples._texts(row, {"prompt": {"text": "x = ", "messages": [], "suffix": "\n"}})
    assert shown[3] == "x = \n[suffix]\n\n"


def test_how_samples_ended_is_told_apart() -> None:
    def kind(
        status: str, answer: str = "x", error: str = "", value: float | None = 0.0, **said: object
    ) -> str:
        score = None if value is None else {"value": value}
        return sections.sample_outcome(
            {"status": status, "answer": answer, "error": error, "score": score}, said
        )

    assert kind("passed", value=1.0) == "correct"
    assert kind("scored", value=1.0) == "correct"
    assert kind("scored", value=0.5) == "wrong"
    assert kind("error", error="NameError: name 'x'") == "error: NameError"
    assert kind("error", error="something odd happened") == "error"
    assert kind("compile_error") == "compile error"
    assert kind("failed", answer=" \n") == "no answer"
    assert kind("failed", finish="length") == "failed, truncated"
    assert kind("failed", answer="", finish="length", cut_off=True) == "cut off in a thought"
    assert kind("error", answer="", finish="refused") == "refused"
    assert kind("scored", answer="", finish="filtered") == "filtered"
    assert kind("fault", value=None) == "judging failed"


def test_only_what_is_right_is_green(built: Path) -> None:
    keys = dict(re.findall(r'<i style="background:(var\(--\w+\))"></i>([^<]+)', built.read_text()))
    assert keys["var(--good)"] == "correct"
    assert "var(--s3)" not in keys


def test_json_of_a_report_can_be_read_by_other_programs(built: Path) -> None:
    plain = json.loads(harness("report", built.parent / "base", "--format", "json").out)
    assert plain[0]["metrics"]["em@1"]["value"] == 0.5
