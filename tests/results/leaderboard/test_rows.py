"""Rows of a leaderboard and published numbers: ranks with honest ties, values as printed with their defects."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from harness.config.load import parse
from harness.results import compare, external
from harness.results.leaderboard import files, matrix, rows, site
from harness.results.report import page, published, sections
from harness.runs import run as runner
from harness.runs.store import reader
from harness.schema import Unit
from tests.results.report.test_page import browser
from tests.support.command import harness, write_rows
from tests.support.recordings import edit, make

__all__ = ["browser"]


# ---------------------------------------------------------------- ranks


def test_a_rank_is_a_range_that_never_contradicts_compare(tmp_path: Path) -> None:
    """Whatever row is the reference: compare finds as many better and worse as its range leaves out."""
    right = {"best": range(38), "near": range(33), "odd": range(2, 38), "low": range(20), "last": range(4)}
    runs = {name: reader.read(make(tmp_path / name, those)) for name, those in right.items()}
    (section,) = sections.make_sections(list(runs.values()))
    found = {row.runs[0].name: (row.rank, row.rank_to) for row in rows.make_rows([section])}
    assert found["best"][0] == 1
    assert found["last"] == (5, 5)
    assert found["low"] == (4, 4)
    for name, run in runs.items():
        others = [other for other in runs if other != name]
        cells = compare.compare([run, *(runs[other] for other in others)], ["em@1"]).cells["em@1"][1:]
        gaps = [cell.difference.value for cell in cells if cell.difference and (cell.p_holm or 0) <= 0.05]
        better, worse = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
        assert found[name] == (1 + better, 5 - worse), name


def test_paired_tests_tell_rows_apart_whose_intervals_overlap(tmp_path: Path) -> None:
    """Eight problems more, and none less: the intervals overlap, the paired test does not."""
    runs = [reader.read(make(tmp_path / name, range(n), problems=100)) for name, n in (("a", 58), ("b", 50))]
    (section,) = sections.make_sections(runs)
    first, second = rows.make_rows([section])
    assert first.low is not None
    assert second.high is not None
    assert first.low < second.high
    assert [files.rank_text(row) for row in (first, second)] == ["1", "2"]


# ---------------------------------------------------------------- published numbers


def values(paper: str, table: str, **wanted: str) -> list[float]:
    rows = published.load(paper)["rows"]
    return [r["value"] for r in rows if r["table"] == table and all(r[k] == v for k, v in wanted.items())]


def test_printed_values_are_as_printed() -> None:
    lora = {"model": "CodeLlama", "size": "7B", "method": "LoRA"}
    assert values("2308.10462", "Table 3", task="Conala", **lora) == [20.07, 39.31, 25.33]
    four_bit = {"method": "QLoRA-4bit", "task": "APPS/introductory"}
    assert values("2308.10462", "Table 4", **four_bit) == [20.84, 5.76, 8.4, 12.4]
    assert values("2311.02303", "Table 2", model="MFT-5TASKS", task="HumanEval") == [60.37]
    assert values("2311.02303", "Table 8", model="MFT-5TASKS", task="text-to-SQL/Spider") == [4.5, 0.138]


def shown(paper: str) -> str:
    return page.fill("paper.html", paper=published.shown(paper, []))


@pytest.mark.parametrize(
    ("paper", "tables"),
    [
        ("2308.10462", {"Table 3", "Table 4"}),
        ("2311.02303", {"Table 2", "Table 3", "Table 6", "Table 8", "Table 9", "Table 10"}),
    ],
)
def test_every_table_is_shown_with_its_footnotes(paper: str, tables: set[str]) -> None:
    plain = published.load(paper)
    assert tables <= {row["table"] for row in plain["rows"]}
    html = shown(paper)
    for table in tables:
        assert f"<summary>{table}</summary>" in html
    used = {note for row in plain["rows"] for note in row.get("notes", ())}
    assert used == set(plain["defects"])
    for key, note in plain["defects"].items():
        assert f">{escape(note)}</li>" in html
        assert f"{key}</sup>" in html or f"<sup>{key}" in html
    cells = html.count("<td ") - html.count('<td class="name">')
    printed = sum(row["value"] is not None for row in plain["rows"])
    assert cells >= printed


def test_known_defects_stand_at_their_values() -> None:
    html = shown("2308.10462")
    assert "39.31<sup>b</sup>" in html
    assert "10.70<sup>a</sup>" in html
    assert "29.48<sup>b</sup>" in shown("2311.02303")


@pytest.fixture(scope="module")
def conala(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on each of CoNaLa's two corpora, in files of their sizes with rows made up here."""
    folder = tmp_path_factory.mktemp("conala")
    (folder / "conala").mkdir()
    (folder / "docprompting-conala").mkdir()
    rows = [{"intent": f"set {i}", "rewritten_intent": None, "snippet": f"x = {i}"} for i in range(500)]
    (folder / "conala" / "conala-test.json").write_text(json.dumps(rows))
    rows = [{"nl": f"set {i}", "cmd": f"x = {i}"} for i in range(543)]
    write_rows(folder / "docprompting-conala" / "conala-test.jsonl", rows)
    for corpus, count in (("original", 500), ("docprompting", 543)):
        said = [{"task_id": f"conala/test/{i}", "text": f"x = {i % 100}"} for i in range(count)]
        file = write_rows(folder / f"{corpus}.jsonl", said)
        config = {
            "task": "conala",
            "options": {"corpus": corpus},
            "data": str(folder),
            "backend": {"kind": "replay", "path": str(file)},
        }
        runner.run(parse(config), folder / corpus)
    return {corpus: folder / corpus for corpus in ("original", "docprompting")}


def test_a_run_on_the_papers_problems_stands_beside_its_rows_and_any_other_apart(
    conala: dict[str, Path], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert harness("report", conala["docprompting"], "--out", page, "--paper", "2308.10462").code == 0
    text = page.read_text()
    row = text[text.index('<td class="name">conala: docprompting') :].partition("</tr>")[0]
    assert "this report, decoded otherwise: beams 1 for 10, samples 1 for 10" in row
    assert row.count('<td class="n">18.42</td>') == 1  # EM@1; there is no EM@10 of one sample
    assert "set apart" not in text
    assert harness("report", conala["original"], "--out", page, "--paper", "2308.10462").code == 0
    text = page.read_text()
    assert "<b>conala</b>: arXiv 2308.10462, set apart: corpus is original, the paper's docprompting" in (
        text.replace("&#39;", "'")
    )
    assert "this report" not in text
    assert harness("report", conala["original"], "--out", page, "--paper", "2311.02303").code == 0
    assert "nothing is published for conala in arXiv 2311.02303" in page.read_text()


def test_published_rows_take_no_rank_and_only_stand_beside_runs_on_the_same_problems(
    conala: dict[str, Path], tmp_path: Path
) -> None:
    printed = list(published.published_values(["2308.10462", "2311.02303"]))
    assert len({(row.name, id(row.setting), row.metric) for row in printed}) == len(printed)
    of_corpus = {name: sections.make_sections([reader.read(run)]) for name, run in conala.items()}
    found = rows.make_rows(of_corpus["docprompting"], printed)
    assert (files.rank_text(found[0]), found[0].published) == ("1", "")
    best = found[1]
    assert (best.model, best.method, best.value) == ("CodeLlama 7B", "LoRA", 0.2007)
    assert (files.rank_text(best), best.low, best.published) == ("", None, "arXiv 2308.10462, Table 3")
    assert len(rows.make_rows(of_corpus["original"], printed)) == 1
    mini = tmp_path / "original"
    shutil.copytree(conala["docprompting"], mini)
    edit(mini / "run.json", lambda plain: plain["data"].update(set="mini"))
    assert len(rows.make_rows(sections.make_sections([reader.read(mini)]), printed)) == 1
    assert harness("leaderboard", mini, "--out", tmp_path / "site", "--published").code == 0
    board = (tmp_path / "site" / "leaderboard.md").read_text()
    assert "- arXiv 2308.10462, set apart: the project's own mini rows, not the benchmark's 543" in board


def test_values_of_a_part_of_the_problems_and_of_other_metrics_are_told(
    conala: dict[str, Path],
) -> None:
    def says(task: str, **changed: Any) -> list[str]:
        (section,) = sections.make_sections([reader.read(conala["docprompting"])])
        (result,) = section.runs
        config = result.config.model_copy(update={"task": task, "options": {}, **changed})
        run = replace(result, config=config, samples=dict.fromkeys(map(str, range(750)), 5))
        row = replace(section.comparison.rows[0], runs=(run,))
        comparison = replace(section.comparison, task=task, rows=(row,), cells={})
        return rows.published_notes(
            replace(section, metric="pass@1", comparison=comparison), published.papers()
        )

    apps = says("apps")
    assert any(line.startswith("published, pass@1[competition]: ") and "LoRA" in line for line in apps)
    assert "2 values of logic_accuracy are published: --metric logic_accuracy shows them" in (
        says("cosql", options={"sample": 70})
    )
    assert says("unit_test_gen") == [
        "arXiv 2311.02303, set apart: the paper's rows are not released, and tests that assert nothing counted there"
    ]
    assert says("mbpp_plus") == ["nothing is published for mbpp_plus in arXiv 2308.10462, arXiv 2311.02303"]


def test_an_unknown_paper_is_named_and_the_page_holds_the_tables(tmp_path: Path) -> None:
    run = make(tmp_path / "mine", range(10))
    page = tmp_path / "p.html"
    complaint = harness("report", run, "--out", page, "--paper", "2308.1046").complaint
    assert "no paper '2308.1046'. Did you mean '2308.10462'?" in complaint
    assert "--paper is for the page" in harness("report", run, "--paper", "2308.10462").complaint
    assert harness("report", run, "--out", page, "--paper", "2308.10462", "--paper", "2311.02303").code == 0
    text = page.read_text()
    assert "Exploring Parameter-Efficient Fine-Tuning" in text
    assert "MFTCoder" in text
    assert (
        json.loads((published.FOLDER / "2308.10462.json").read_text())["url"]
        == "https://arxiv.org/abs/2308.10462"
    )


# ---------------------------------------------------------------- names and units


def test_runs_of_one_model_in_folders_of_one_name_are_rows_of_their_own(tmp_path: Path) -> None:
    """What tells them apart is their run's id, and a number where that is the same too."""
    for folder, right in (("a", 30), ("b", 9), ("c", 20)):
        (tmp_path / folder).mkdir()
        make(tmp_path / folder / "run", range(right))
    for folder in "bc":
        edit(tmp_path / folder / "run" / "run.json", lambda plain: plain.update(run_id="letters-0"))
    (section,) = sections.make_sections([reader.read(tmp_path / name / "run") for name in "abc"])
    found = rows.make_rows([section])
    assert len({row.name for row in found}) == 3
    lines = matrix.model_rows(found)
    assert sorted(cell.value for line in lines for cell in line.cells.values()) == [0.225, 0.5, 0.75]


def test_every_model_has_a_page_of_its_own() -> None:
    def named(*names: str) -> list[str]:
        models = [matrix.ModelRow(name, "", None, {}, None) for name in names]
        return list(site.Board([], [], models, {}, [], False).model_pages.values())

    assert named("x-2", "x") == ["model-x-2.html", "model-x.html"]
    found = named("x-3", "x", "X", "x.", "x-2", "x-2-2", "X-2")
    assert len(set(found)) == len(found) == 7
    long = named("a" * 300, "a" * 299 + "b")
    assert len(set(long)) == 2
    assert max(map(len, long)) < 130


def test_a_per_cent_is_not_shown_as_a_share(tmp_path: Path) -> None:
    (section,) = sections.make_sections([reader.read(make(tmp_path / "run", range(30)))])

    def shown(unit: Unit) -> list[float]:
        metrics = {"em@1": external.ReportedMetric(value=0.45, unit=unit)}
        one = external.ExternalResult(
            tool="other", tool_version="1", task="letters", model="m", source="m.json", sha256="", n=40, shots=0,
            conditions={}, metrics=metrics,
        )  # fmt: skip
        return [row.value for row in rows.external_rows(one, section)]

    assert shown("share") == [0.45]
    assert shown("number") == []


def test_a_value_below_one_is_no_share_where_another_result_is_above() -> None:
    def result(values: list[float], unit: Unit) -> external.ExternalResult:
        items = {
            str(i): external.ExternalItem(asked="", prompt="", values={"bleu": [value]})
            for i, value in enumerate(values)
        }
        mean = sum(values) / len(values)
        return external.ExternalResult(
            tool="other", tool_version="1", task="t", model=f"m{mean}", source=f"{mean}", sha256="", n=len(values),
            shots=0, conditions={}, metrics={"bleu": external.ReportedMetric(value=mean, unit=unit)}, items=items,
        )  # fmt: skip

    low, high = result([0.5, 1.0, 0.9], "share"), result([12.0, 14.0, 11.5], "number")
    for pair in ([low, high], [high, low], [low, low]):
        cells = external.compare_results(pair).cells["bleu"]
        assert {cell.estimate.unit for cell in cells} == {"share" if high not in pair else "number"}
