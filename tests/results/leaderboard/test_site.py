"""The leaderboard's pages in a real Chromium: sorting, filters, columns, keyboard, links; hostile names stay text."""

import base64
import csv
import gzip
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from tests.results.report.test_page import browser, visit
from tests.support.command import harness
from tests.support.recordings import edit, edit_rows, make

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'> {{7*7}}"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two that tie, one far behind, one damaged; the first has a report of its own."""
    folder = tmp_path_factory.mktemp("board")
    make(folder / "top", range(36))
    make(folder / "near", range(33))
    make(folder / "far", range(5))
    bad = make(folder / "bad", range(5))
    edit_rows(bad / "judgements.jsonl", lambda rows: rows[1:])
    assert harness("report", folder / "top", "--format", "html").code == 0
    ended = harness("leaderboard", folder, "--out", folder / "site")
    assert ended.code == 0
    assert f"warning: skipped {bad}: " in ended.err
    return folder / "site"


def test_csv_and_markdown_say_the_same(board: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((board / "leaderboard.csv").read_text())))
    assert [(row["model"], row["rank"], row["tied"], row["value"]) for row in rows] == [
        ("top", "1", "1", "0.9"),
        ("near", "1", "1", "0.825"),
        ("far", "3", "0", "0.125"),
    ]
    assert "| 1 to 2 | near | zero-shot | 82.50 |" in (board / "leaderboard.md").read_text()


def test_links_to_samples_call_runs_as_the_report_does(tmp_path: Path) -> None:
    """Methods of one model and seeds of one method are told apart there, each in its own way."""
    for seed in (3, 4):
        make(tmp_path / "one", range(30), seed=seed).rename(tmp_path / f"seed{seed}")
    shown = make(tmp_path / "one", range(10))
    edit(shown / "run.json", lambda plain: plain["config"].update(shots="icl:4"))
    assert harness("leaderboard", tmp_path, "--out", tmp_path / "site").code == 0
    table = (tmp_path / "site" / "task-letters.html").read_text()
    linked = [unquote(name) for name in re.findall(r'report-task-letters\.html#run=([^"]+)"', table)]
    assert len(linked) == len(set(linked)) == 2
    assert linked[0].endswith(", seed 3")
    found = re.search(
        r'id="blob-index">([^<]+)<', (tmp_path / "site" / "report-task-letters.html").read_text()
    )
    assert found
    assert set(linked) < set(json.loads(gzip.decompress(base64.b64decode(found[1])))["runs"])


def test_a_folder_without_runs_is_the_users_mistake(tmp_path: Path) -> None:
    assert "holds no run" in harness("leaderboard", tmp_path).complaint
    (tmp_path / "file").write_text("")
    make(tmp_path / "run", [1])
    assert (
        "the site needs a folder"
        in harness("leaderboard", tmp_path / "run", "--out", tmp_path / "file").complaint
    )


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three submissions and a run without one on two versions of a task, each a column of its own."""
    folder = tmp_path_factory.mktemp("matrix")
    cards = {
        "big": 'name = "Big"\nsize = 70\ngroup = "instruct"\nlicence = "MIT"\ndate = 2026-01-02\nversion_of = "B"',
        "small": 'name = "Small"\nsize = 1.5\ngroup = "base"\ndate = 2025-03-04\nversion_of = "B"',
        "odd": f"name = {json.dumps(HOSTILE)}\ngroup = 'adapter'\ntuned = {json.dumps(HOSTILE)}\nlink = 'https://x.org/?a=\"b'",
    }
    right = {"big": (36, 30), "small": (30, 9), "odd": (5, None)}
    for name, card in cards.items():
        for version, count in enumerate(right[name], 1):
            if count is not None:
                (folder / name / "runs").mkdir(parents=True, exist_ok=True)
                make(
                    folder / name / "runs" / f"v{version}",
                    range(count),
                    options={"version": version},
                    wrong=HOSTILE,
                )
        (folder / name / "model.toml").write_text(card)
    make(folder / "plain_of_a_name_that_is_longer_than_a_phone", range(20), options={"version": 1})
    ended = harness("leaderboard", folder, "--out", folder / "site")
    assert ended.code == 0, ended.err
    assert "4 models, 2 tasks" in ended.out
    return folder / "site"


def test_the_site_sorts_filters_and_links(browser: "Browser", board: Path) -> None:
    for shown in visit(browser, board / "index.html"):
        names = shown.locator("tbody tr th")
        assert names.all_inner_texts() == ["top", "near", "far"]
        shown.get_by_role("button", name="letters").click()
        assert names.all_inner_texts() == ["far", "near", "top"]
        shown.get_by_role("button", name="letters").click()
        assert names.all_inner_texts() == ["top", "near", "far"]
        shown.fill("#filter", "near")
        assert [row.is_visible() for row in shown.locator("tbody tr").all()] == [False, True, False]
        assert "skipped" in shown.locator(".warning").inner_text()
    for shown in visit(browser, board / "task-letters.html"):
        links = shown.locator("tbody tr:first-child td:last-child a")
        assert [link.get_attribute("href") for link in links.all()] == [
            "report-task-letters.html#run=top",
            "../top/report.html",
        ]
        said = shown.locator(".answer").inner_text()
        assert said.startswith("top is first on em@1 with 90.00 % (")
        assert said.endswith("The paired test does not tell it from near.")


def test_the_matrix_tells_by_pointer_and_by_key_hides_groups_and_columns_and_keeps_blanks_last(
    browser: "Browser", matrix: Path
) -> None:
    for shown in visit(browser, matrix / "index.html"):
        first = "letters (1 of 2)"
        cell = shown.locator("tr", has_text="Small").locator("td a").first
        cell.focus()
        told = shown.locator("#told")
        assert told.inner_text().startswith(f"Small, {first}; em@1 75.00 %, 95 % interval ")
        shown.keyboard.press("Escape")
        assert not told.is_visible()
        cell.hover()
        assert told.is_visible()
        second = shown.get_by_role("button", name="letters (2 of 2)")
        for _ in "up", "down":
            second.click()
            assert "script" in shown.locator("tbody tr").last.inner_text() or "plain" in (
                shown.locator("tbody tr").last.inner_text()
            )
        shown.get_by_label("instruct").uncheck()
        assert not shown.locator("tbody tr", has_text="Big").is_visible()
        shown.locator("#columns summary").click()
        shown.locator("#columns").get_by_label(first).uncheck()
        assert not shown.get_by_role("button", name=first).is_visible()
        assert second.is_visible()
        assert shown.locator("figure").count() == 1
        assert shown.evaluate("window.hacked") is None
        assert "{{7*7}}" in shown.locator("tbody").inner_text()


def test_a_models_page_has_its_card_and_its_versions(browser: "Browser", matrix: Path) -> None:
    for shown in visit(browser, matrix / "model-big.html"):
        assert "instruct, 70 billion parameters, MIT, 2026-01-02" in shown.locator("header").inner_text()
        versions = shown.get_by_role("region", name="Versions of B").locator("tbody tr td:first-child")
        assert versions.all_inner_texts() == ["Small", "Big"]
    odd = next(path for path in matrix.glob("model-*script*.html"))
    for shown in visit(browser, odd):
        assert "Tuned: </script>" in shown.locator("header").inner_text()
        assert shown.evaluate("window.hacked") is None


def test_a_link_to_samples_opens_those_of_its_run(browser: "Browser", board: Path) -> None:
    shown = browser.new_page()
    shown.goto((board / "report-task-letters.html").as_uri() + "#run=near")
    shown.wait_for_selector("body[data-ready]", timeout=60_000)
    assert shown.locator("#samples select[name=run]").input_value() != ""
    assert "40 " in shown.locator("#count").inner_text()
    shown.close()


def test_on_a_phone_and_at_1280_pixels_the_page_itself_never_scrolls_sideways(
    browser: "Browser", matrix: Path
) -> None:
    for path in ("index.html", "task-letters--1-of-2-.html", "model-big.html"):
        for width in (390, 1280):
            for shown in visit(browser, matrix / path, viewport={"width": width, "height": 800}):
                assert shown.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                cut = (
                    "[...document.querySelectorAll('th, td')].filter(e => e.scrollWidth > e.clientWidth + 1)"
                )
                assert shown.evaluate(f"{cut}.map(e => e.textContent)") == [], (path, width)


def test_every_link_leads_to_a_file_of_the_site(browser: "Browser", matrix: Path) -> None:
    seen = 0
    for path in matrix.glob("[!r]*.html"):
        for shown in visit(browser, path):
            for link in shown.locator("a").all():
                address = link.get_attribute("href") or ""
                if not address.startswith("https://"):
                    file, _, row = address.partition("#")
                    assert (matrix / file).is_file(), (path.name, address)
                    rows = re.findall(r'id="(row-[^"]+)"', (matrix / file).read_text("utf-8", "replace"))
                    assert not row.startswith("row-") or rows.count(row) == 1, (path.name, address)
                    seen += 1
    assert seen > 30


def test_json_and_parquet_say_what_the_table_says(matrix: Path) -> None:
    from pyarrow import parquet

    rows = json.loads((matrix / "leaderboard.json").read_text())["rows"]
    assert parquet.read_table(matrix / "leaderboard.parquet").to_pylist() == rows
    table = list(csv.DictReader(io.StringIO((matrix / "leaderboard.csv").read_text())))
    assert [(row["model"], float(row["value"])) for row in table] == [
        (row["model"], row["value"]) for row in rows
    ]
    text = (matrix / "leaderboard.md").read_text()
    assert "| Big | 100 % | 90.00 | 75.00 |" in text


def test_a_damaged_import_a_tie_and_odd_folder_names_cost_nobody_the_board(tmp_path: Path) -> None:
    """Links to a report are relative whatever a folder is called."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in ("one", "two"):
        make(folder / name, range(30))
    odd = make(folder / "javascript:x#50%", range(9))
    assert harness("report", odd, "--format", "html").code == 0
    (folder / "damaged.imported.json").write_text("{}")
    ended = harness("leaderboard", folder, "--out", tmp_path / "site")
    assert ended.code == 0, ended.err
    assert f"warning: skipped {folder / 'damaged.imported.json'}: " in ended.err
    index = (tmp_path / "site" / "index.html").read_text()
    assert "one and two have the highest mean win rate" in index
    table = (tmp_path / "site" / "task-letters.html").read_text()
    assert "one and two share the first place on em@1" in table
    assert 'href="../runs/javascript%3Ax%2350%25/report.html"' in table


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    run = make(tmp_path / "one", range(3))
    (tmp_path / "file").write_text("")
    ended = harness("leaderboard", run, "--out", tmp_path / "file" / "site")
    assert (ended.code, ended.err.count("\n")) == (3, 1), ended.err
    assert str(tmp_path / "file" / "site") in ended.err
