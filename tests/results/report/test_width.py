"""No column of the report is cut: on a screen of 1,280 pixels and on paper, whatever a table has to hold."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from markupsafe import Markup

from harness.results.report import across_tasks, page, sections
from harness.runs.store import reader
from tests.results.report.test_page import browser, visit
from tests.support.recordings import make

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]
LONG = ("exact_set_match@10", "logic_accuracy_of_all", "avg_tests_passed@10", "exact_set_match@100", "x" * 12)


@pytest.fixture(scope="module")
def widest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeds, faults, further metrics of long names, methods of long names, and both papers."""
    folder = tmp_path_factory.mktemp("wide")
    for seed in (1, 2):
        for name, right in (
            ("codellama-34b-instruct-of-a-long-name", 10),
            ("tuned_" + 4 * "with_a_long_name_", 30),
        ):
            made = make(folder / name, range(right), seed=seed)
            made.rename(folder / f"{name}-{seed}")
    wide = []
    for read in (reader.read(path) for path in reader.find_runs([folder])):
        known = read.summary.metrics
        share = known["em@1"].model_copy(update={"with_faults": 0.125})
        metrics = {"em@1": share, **dict.fromkeys(LONG, share), **known}
        summary = read.summary.model_copy(update={"metrics": metrics, "errors": 12345})
        wide.append(replace(read, summary=summary))
    papers = ("2308.10462", "2311.02303")
    path = folder / "page.html"
    path.write_text(page.render(sections.make_sections(wide), papers=papers), encoding="utf-8")
    return path


@pytest.mark.parametrize(("media", "width"), [("screen", 1280), ("print", 718)])  # A4 less its margins
def test_no_column_is_cut_off_and_colours_stay_on_paper(
    media: Literal["screen", "print"], width: int, browser: "Browser", widest: Path
) -> None:
    for shown in visit(browser, widest, viewport={"width": width, "height": 1000}):
        shown.emulate_media(media=media)
        shown.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert "2 seeds" in shown.locator("td.name").first.inner_text()
        assert shown.get_by_text("12.50 with faults as failed").count() > 0
        widths = "[...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth])"
        found = shown.evaluate(widths)
        assert len(found) > 20
        assert [each for each in found if each[0] > each[1]] == []
        assert shown.evaluate("document.documentElement.scrollWidth") == width
        if media == "print":
            bar = "getComputedStyle(document.querySelector('.bar span')).printColorAdjust"
            assert shown.evaluate(bar) == "exact"


def test_many_tasks_side_by_side_are_not_cut_either(browser: "Browser", tmp_path: Path) -> None:
    for version in range(1, 12):
        (tmp_path / str(version)).mkdir()
        for name, right in (
            ("base-of-a-long-name", 3 * version),
            ("tuned-with-a-long-name", 40 - 3 * version),
        ):
            make(tmp_path / str(version) / name, range(right), options={"version": version})
    made = sections.make_sections([reader.read(path) for path in reader.find_runs([tmp_path])])
    table = page.fill("across.html", across=across_tasks.tables(made))
    body = Markup("<main>") + Markup(table) + Markup("</main>")
    (tmp_path / "p.html").write_text(page.frame("", body, Markup("document.body.dataset.ready = 1")))
    for shown in visit(browser, tmp_path / "p.html"):
        assert shown.locator("tbody tr").count() == 4
        assert shown.locator("thead th").count() == 11 + 2
        found = shown.evaluate(
            "[...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth])"
        )
        assert [each for each in found if each[0] > each[1]] == []
