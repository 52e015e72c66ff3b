"""Tables say what the summaries say, in every format, and show hostile names as text."""

import csv
import io
import json
import re
from typing import Any

import pytest

from harness.results.report import FORMATS, tables, terminal


def estimate(value: float, low: float, high: float, n: int, k: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "k": k}


def summary(**changes: Any) -> dict[str, Any]:
    return {
        "run_id": "humaneval-tiny-0a1b2c3d4e",
        "task": "humaneval",
        "signature": "humaneval v1 | test 164x1 | greedy",
        "problems": 164,
        "samples": 164,
        "metrics": {"pass@1": estimate(61 / 164, 0.301, 0.4481, 164, 61.0)},
        "status_counts": {"error": 23, "failed": 80, "passed": 61},
        "errors": 0,
        "cost": {},
        "notes": [],
        **changes,
    }


CONALA = summary(
    run_id="conala-tiny-1111111111",
    task="conala",
    signature="conala v1 | judge text",
    metrics={
        "em@1": estimate(0.125, 0.1, 0.15, 500, 62.5),
        "codebleu": estimate(0.28664, 0.27, 0.3, 500),
    },
    status_counts={"scored": 1000},
    notes=["limited to the first 500 problems"],
)
FAULTY = summary(metrics={}, errors=164, status_counts={"fault": 164})
HOSTILE = "a|b \x1b[31mred\x1b[0m [bold]x[/bold] :smile: \r\nnew `c` *e* <b> [l](u) \u202ez"


def cells(line: str) -> list[str]:
    """The cells of one Markdown table row, escapes undone."""
    inner = line.removeprefix("| ").removesuffix(" |")
    return [re.sub(r"\\([^\w\s])", r"\1", cell).strip() for cell in re.split(r"(?<!\\) \| ?", inner)]


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00"),
        (1.0, "100.00"),
        (0.28664, "28.66"),
        (61 / 164, "37.20"),
        (0.00004, "0.00"),
        (1 / 3, "33.33"),
    ],
)
def test_people_see_percent_with_two_places(value: float, shown: str) -> None:
    assert tables.figure("share", value) == shown


def test_a_share_shows_its_count_and_a_corpus_metric_only_n() -> None:
    assert list(tables.rows([CONALA])) == [
        ("conala-tiny-1111111111", "em@1", "12.50", "10.00 to 15.00", "62.5 / 500", ""),
        ("", "codebleu", "28.66", "27.00 to 30.00", "500", ""),
    ]


def test_exceptions_stand_below_the_verdicts_and_only_the_first_kinds() -> None:
    classes = {"NameError": 12, "TypeError": 3}
    assert tables.exceptions({"error_classes": classes}) == "NameError 12, TypeError 3"
    assert tables.exceptions({}) == ""
    many = {f"E{n}": 2 for n in range(11)}
    assert tables.exceptions({"error_classes": many}).endswith("E7 2, others 6")
    shown = tables.footnotes({**CONALA, "error_classes": classes})
    assert "exceptions: NameError 12, TypeError 3" in shown
    assert "exceptions" not in "".join(tables.footnotes({**CONALA, "error_classes": {}}))


def test_verdicts_are_listed_most_frequent_first_and_not_for_text() -> None:
    assert tables.verdicts(summary()) == "failed 80, passed 61, error 23"
    assert tables.verdicts(CONALA) == ""


def test_under_the_table_stand_verdicts_notes_and_signature() -> None:
    assert tables.footnotes(summary(notes=["note"])) == [
        "verdicts: failed 80, passed 61, error 23",
        "note",
        "humaneval v1 | test 164x1 | greedy",
    ]
    assert tables.footnotes(CONALA) == ["limited to the first 500 problems", "conala v1 | judge text"]


# ---------------------------------------------------------------- Markdown


def test_markdown_parses_back_into_the_rows() -> None:
    lines = tables.markdown([summary(), CONALA]).split("\n")
    assert cells(lines[0]) == ["run", "metric", "value", "95 % interval", "k / n", "faults"]
    assert lines[1] == "|---|---|--:|---|--:|--:|"
    assert [cells(line) for line in lines[2:5]] == [
        ["humaneval-tiny-0a1b2c3d4e", "pass@1", "37.20", "30.10 to 44.81", "61 / 164", ""],
        ["conala-tiny-1111111111", "em@1", "12.50", "10.00 to 15.00", "62.5 / 500", ""],
        ["", "codebleu", "28.66", "27.00 to 30.00", "500", ""],
    ]
    assert lines[5] == ""
    assert lines[6:11] == [
        "**humaneval-tiny-0a1b2c3d4e**",
        "",
        "- verdicts: failed 80, passed 61, error 23",
        "- humaneval v1 · test 164x1 · greedy",
        "",
    ]


def test_a_hostile_name_is_one_cell_of_plain_text_in_markdown() -> None:
    lines = tables.markdown([summary(run_id=HOSTILE)]).split("\n")
    row = cells(lines[2])
    assert len(row) == 6
    assert row[0] == (r"a|b \x1b[31mred\x1b[0m [bold]x[/bold] :smile: \r\nnew `c` *e* <b> [l](u) \u202ez")
    # As Markdown spells it: nothing in it is a border, code, emphasis, HTML or a link any more.
    assert lines[2].startswith(
        r"| a\|b \\x1b[31mred\\x1b[0m [bold]x[/bold] :smile: \\r\\nnew \`c\` \*e\* \<b> [l\](u) \\u202ez |"
    )
    assert len(lines) == len(tables.markdown([summary()]).split("\n"))


# ---------------------------------------------------------------- CSV and JSON


def test_csv_parses_back_into_the_unrounded_figures() -> None:
    rows = list(csv.DictReader(io.StringIO(tables.csv_text([summary(), CONALA]))))
    assert rows[0] == {
        "run_id": "humaneval-tiny-0a1b2c3d4e",
        "task": "humaneval",
        "metric": "pass@1",
        "value": str(61 / 164),
        "low": "0.301",
        "high": "0.4481",
        "n": "164",
        "k": "61.0",
        "with_faults": "",
        "errors": "0",
        "signature": "humaneval v1 | test 164x1 | greedy",
    }
    assert [(row["run_id"], row["metric"], row["k"]) for row in rows[1:]] == [
        ("conala-tiny-1111111111", "em@1", "62.5"),
        ("conala-tiny-1111111111", "codebleu", ""),
    ]
    assert float(rows[0]["value"]) == 61 / 164


def test_any_name_comes_back_from_csv_and_json_as_it_was() -> None:
    odd = summary(run_id=HOSTILE + ',"quoted"\n')
    (row,) = csv.DictReader(io.StringIO(tables.csv_text([odd]), newline=""))
    assert row["run_id"] == odd["run_id"]
    assert json.loads(tables.json_text([odd, CONALA])) == [odd, CONALA]


def test_every_format_ends_its_last_line() -> None:
    assert sorted(FORMATS) == ["csv", "json", "md"]
    for write in FORMATS.values():
        text = write([summary()])
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


# ---------------------------------------------------------------- the terminal


def test_the_terminal_shows_a_line_a_metric_and_no_fault_column_without_faults() -> None:
    lines = [" ".join(line.split()) for line in terminal.render([summary(), CONALA], width=100).splitlines()]
    assert lines[1] == "run metric value 95 % interval k / n"
    assert lines[3:6] == [
        "humaneval-tiny-0a1b2c3d4e pass@1 37.20 30.10 to 44.81 61 / 164",
        "conala-tiny-1111111111 em@1 12.50 10.00 to 15.00 62.5 / 500",
        "codebleu 28.66 27.00 to 30.00 500",
    ]
    assert "verdicts: failed 80, passed 61, error 23" in lines


def test_faults_are_counted_in_a_column_of_their_own() -> None:
    text = terminal.render([summary(errors=3), CONALA], width=100)
    assert text.splitlines()[1].split()[-1] == "faults"
    assert "humaneval-tiny-0a1b2c3d4e pass@1 37.20 30.10 to 44.81 61 / 164 3" in " ".join(text.split())


def test_control_characters_and_markup_in_a_name_are_shown_as_text_on_the_terminal() -> None:
    text = terminal.render([summary(run_id=HOSTILE, notes=["\x1b[2J", "[red]note[/red]"])], width=300)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "\u202e" not in text
    shown = r"a|b \x1b[31mred\x1b[0m [bold]x[/bold] :smile: \r\nnew `c` *e* <b> [l](u) \u202ez"
    assert text.count(shown) == 2
    assert r"  \x1b[2J" in text.splitlines()
    assert "  [red]note[/red]" in text.splitlines()


def test_a_narrow_terminal_folds_the_name_and_keeps_every_figure() -> None:
    text = terminal.render([summary()], width=60)
    for figure in ("pass@1", "37.20", "30.10 to 44.81", "61 / 164"):
        assert figure in text


# ---------------------------------------------------------------- nothing but faults


def test_a_run_where_all_is_fault_is_shown_in_every_format_with_its_count() -> None:
    assert list(tables.rows([FAULTY])) == [
        ("humaneval-tiny-0a1b2c3d4e", "no metrics: no sample could be judged", "", "", "", "164")
    ]
    shown = " ".join(terminal.render([FAULTY], width=120).split())
    assert "humaneval-tiny-0a1b2c3d4e no metrics: no sample could be judged 164" in shown
    assert "verdicts: fault 164" in shown
    assert cells(tables.markdown([FAULTY]).split("\n")[2])[-1] == "164"
    rows = list(csv.DictReader(io.StringIO(tables.csv_text([FAULTY, summary()]))))
    assert len(rows) == 2
    assert rows[0]["run_id"] == "humaneval-tiny-0a1b2c3d4e"
    assert (rows[0]["metric"], rows[0]["value"], rows[0]["errors"]) == ("", "", "164")
    assert rows[0]["signature"] == "humaneval v1 | test 164x1 | greedy"
    assert rows[1]["metric"] == "pass@1"


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_no_number_is_cut_at_any_width(width: int) -> None:
    words = terminal.render([summary(), CONALA], width=width).split()
    for row in tables.rows([summary(), CONALA]):
        for cell in row[1:]:
            assert " ".join(cell.split()) in " ".join(words), (width, cell)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d"], "a, b, c and d"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 others"),
    ],
)
def test_names_in_a_sentence(names: list[str], said: str) -> None:
    assert tables.listed(names) == said
