"""The table of all methods on all tasks: what each gains or costs on each against that task's reference."""

import re
from pathlib import Path

import pytest

from harness.results.report import across_tasks, page, sections
from harness.runs.store import reader
from tests.support.recordings import make


def made(folder: Path, right: dict[str, list[int]]) -> str:
    """The table of runs named after their folders: right answers of each method, by version of the task."""
    for name, by_version in right.items():
        for version, count in enumerate(by_version, 1):
            (folder / str(version)).mkdir(exist_ok=True)
            make(folder / str(version) / name, range(count), options={"version": version})
    found = [reader.read(path) for path in reader.find_runs([folder])]
    return page.fill("across.html", across=across_tasks.tables(sections.make_sections(found))).strip()


def row(table: str, name: str) -> list[str]:
    (line,) = [line for line in table.split("\n") if f">{name}<" in line]
    return re.findall(r"<td.*?</td>", line)


def test_a_methods_gain_on_one_task_stands_beside_what_it_costs_on_another(tmp_path: Path) -> None:
    table = made(tmp_path, {"base": [10, 30], "tuned": [30, 10]})
    gain, cost = row(table, "tuned")
    assert "<b>+50.00</b>" in gain
    assert "var(--good) 45%" in gain
    assert "<b>-50.00</b>" in cost
    assert "var(--bad) 45%" in cost
    assert re.search(r"[+]\d+\.\d\d to [+]\d+\.\d\d</span><span class=.sub.>p (&lt;)?0\.\d+", gain)
    assert all("reference" in cell for cell in row(table, "base"))


def test_what_is_not_significant_is_not_bold_and_small_gains_are_pale(tmp_path: Path) -> None:
    table = made(tmp_path, {"base": [10, 10], "much": [30, 10], "little": [11, 10]})
    (cell, even) = row(table, "little")
    assert "+2.50" in cell
    assert "<b>" not in cell
    assert "var(--good) 2%" in cell
    assert " 0%" in even


def test_one_colour_means_one_difference_in_all_tasks(tmp_path: Path) -> None:
    large, small = row(made(tmp_path, {"base": [10, 10], "tuned": [30, 6]}), "tuned")
    assert "var(--good) 45%" in large
    assert "var(--bad) 9%" in small


def test_the_colours_are_of_what_is_shown(tmp_path: Path) -> None:
    table = made(tmp_path, {"base": [10, 10], "tuned": [20, 10], "once": [40]})
    assert ">once<" not in table
    assert "var(--good) 45%" in row(table, "tuned")[0]


@pytest.mark.parametrize("right", [{"base": [10], "tuned": [30]}, {"base": [10, 10]}])
def test_one_task_or_one_method_needs_no_such_table(right: dict[str, list[int]], tmp_path: Path) -> None:
    assert made(tmp_path, right) == ""
