"""Other tools' layouts, each with one row as its tool writes it; and what could be read in two ways is refused."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.backends import replay
from harness.backends.replay.rows import IDS as ID_KEYS
from harness.backends.replay.rows import KEYS, REASONING
from harness.config.backend import BackendConfig
from harness.errors import DataError
from harness.schema import Completion
from tests.backends.replay.test_replay import completions
from tests.support.command import harness, mini_humaneval, write_rows
from tests.support.paths import ROOT

IDS = ("T/0", "T/1")


def load(path: Path, field: str = "", ids: tuple[str, ...] = IDS, partial: bool = True) -> replay.Replay:
    return replay.load(BackendConfig(kind="replay", path=str(path), field=field, partial=partial), ids)


def read(path: Path, field: str = "", ids: tuple[str, ...] = IDS) -> dict[str, list[Completion]]:
    return completions(load(path, field, ids))


def one_row(folder: Path, row: dict[str, Any], field: str = "", name: str = "T/0") -> list[Completion]:
    return read(write_rows(folder / "c.jsonl", [row]), field, (name,))[name]


def refused(folder: Path, row: dict[str, Any], field: str = "") -> str:
    with pytest.raises(DataError) as raised:
        one_row(folder, row, field)
    assert str(raised.value).startswith(f"{folder}/c.jsonl:1: ")
    return str(raised.value).removeprefix(f"{folder}/c.jsonl:1: ")


# ---------------------------------------------------------------- which field


def test_a_solution_goes_before_a_completion_as_in_evalplus(tmp_path: Path) -> None:
    row = {"task_id": "T/0", "completion": "    return 1", "solution": "def f(): return 1"}
    assert one_row(tmp_path, row) == [Completion(text="def f(): return 1", form="program")]


def test_the_description_in_humaneval_xs_rows_is_not_taken_for_the_answer(tmp_path: Path) -> None:
    row = {"task_id": "T/0", "text": "Say whether ...", "generation": "    return 1"}
    assert one_row(tmp_path, row) == [Completion(text="    return 1", form="continuation")]


@pytest.mark.parametrize("beside", ["generation", "text"])
def test_a_solution_beside_raw_output_may_be_the_benchmarks_own_and_is_refused(
    tmp_path: Path, beside: str
) -> None:
    row = {"task_id": "T/0", "solution": "def f(): return 1", beside: "x"}
    assert refused(tmp_path, row) == (
        f"the row has 'solution' and '{beside}'; which one is the model's? --field NAME reads it as raw output,"
        " --field NAME=solution as a whole program"
    )
    assert one_row(tmp_path, row, beside)[0].text == "x"
    assert one_row(tmp_path, row, "solution") == [Completion(text="def f(): return 1", form="program")]


@pytest.mark.parametrize(
    ("field", "form"),
    [
        ("output", "output"),
        ("output=text", "output"),
        ("output=solution", "program"),
        ("output=completion", "continuation"),
    ],
)
def test_field_names_any_field_and_how_it_is_read(tmp_path: Path, field: str, form: Any) -> None:
    row = {"task_id": "T/0", "output": "x", "solution": "gold"}
    assert one_row(tmp_path, row, field) == [Completion(text="x", form=form)]


def test_a_field_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, {"task_id": "T/0", "output": "x"}, "code") == (
        "no field 'code', the row has 'output', 'task_id'"
    )


def test_a_field_with_an_unknown_way_of_reading_is_a_mistake_of_one_line(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", [{"task_id": "T/0", "output": "x"}])
    found = harness(
        "score", "humaneval", "--data", "mini", "--completions", path, "--field", "output=program"
    )
    assert "field = 'output=program': no way of reading 'program'" in found.complaint
    assert "completion, solution, text" in found.complaint


def test_a_list_in_a_field_is_several_samples_and_goes_on_in_the_next_row(tmp_path: Path) -> None:
    rows = [{"task_id": "T/0", "completion": ["a", "b"]}, {"task_id": "T/0", "completion": "c"}]
    found = read(write_rows(tmp_path / "c.jsonl", rows), ids=("T/0",))
    assert [one.text for one in found["T/0"]] == ["a", "b", "c"]


# ---------------------------------------------------------------- reasoning


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_beside_a_text_is_kept_apart_from_it(tmp_path: Path, key: str) -> None:
    row = {"task_id": "T/0", "text": "x", key: "because"}
    assert one_row(tmp_path, row) == [Completion(text="x", reasoning="because")]
    assert one_row(tmp_path, {**row, key: None}) == [Completion(text="x")]


def test_no_text_beside_reasoning_was_cut_off_inside_the_thought(tmp_path: Path) -> None:
    row = {"task_id": "T/0", "text": None, "reasoning": "because"}
    assert one_row(tmp_path, row) == [Completion(text="", reasoning="because", cut_off=True)]


def test_each_of_several_texts_has_its_thought(tmp_path: Path) -> None:
    row = {"task_id": "T/0", "text": ["x", "y"], "reasoning": ["a", "b"]}
    assert [(one.text, one.reasoning) for one in one_row(tmp_path, row)] == [("x", "a"), ("y", "b")]
    assert (
        refused(tmp_path, {**row, "reasoning": ["a"]}) == "2 texts in 'text' want a list of as many thoughts"
    )
    assert (
        refused(tmp_path, {**row, "text": "x"}) == "'text': the reasoning beside it must be a text, got list"
    )


# ---------------------------------------------------------------- ids


def test_humaneval_xs_python_ids_are_humanevals_and_the_other_way_round(tmp_path: Path) -> None:
    python = {"task_id": "Python/7", "completion": "x"}
    human = {"task_id": "HumanEval/7", "completion": "x"}
    assert one_row(tmp_path, python, name="HumanEval/7")[0].text == "x"
    assert one_row(tmp_path, human, name="Python/7")[0].text == "x"


def test_another_languages_ids_stay_what_they_are(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", [{"task_id": "Java/7", "completion": "x"}])
    with pytest.raises(DataError, match="Not asked for, but there: Java/7"):
        load(path, ids=("HumanEval/7",), partial=False)


# ---------------------------------------------------------------- whole files


def test_a_json_list_of_rows_is_read_as_lines_are_and_mistakes_name_line_and_row(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    rows = [{"task_id": name, "completion": name} for name in IDS]
    path.write_text(json.dumps(rows, indent=1))
    assert {name: found[0].text for name, found in read(path).items()} == {"T/0": "T/0", "T/1": "T/1"}
    path.write_text(json.dumps([rows[0], {"task_id": "T/1"}], indent=1))
    with pytest.raises(DataError, match=r"c\.json:6, row 2: expected 'completion'"):
        load(path)


def test_lists_by_id_are_raw_outputs_of_each_problem(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    for indent in (None, 1):
        path.write_text(json.dumps({"T/1": ["c"], "T/0": ["a", "b"]}, indent=indent))
        found = read(path)
        assert [one.text for one in found["T/0"]] == ["a", "b"]
        assert found["T/1"] == [Completion(text="c")]


def test_livecodebenchs_raw_outputs_are_read_by_question_id(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    row = {"question_id": "T/0", "output_list": ["```python\nx\n```", "y"], "code_list": ["x", ""]}
    path.write_text(json.dumps([row]))
    assert read(path)["T/0"] == [Completion(text="```python\nx\n```"), Completion(text="y")]
    assert read(path, "code_list=solution")["T/0"][0] == Completion(text="x", form="program")


def batch(text: str | None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    body = {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "batch_1", "custom_id": "T/0", "response": response, "error": None, **more}


def test_batches_of_openai_and_vllm_are_read_with_their_counts(tmp_path: Path) -> None:
    (found,) = one_row(tmp_path, batch("x"))
    assert (found.text, found.form, found.finish) == ("x", "output", "eos")
    assert (found.prompt_tokens, found.completion_tokens) == (9, 4)


def test_requests_of_a_batch_with_a_number_behind_the_id_are_samples(tmp_path: Path) -> None:
    rows = [batch("x", custom_id="T/0#0"), batch("y", custom_id="T/0#1")]
    found = read(write_rows(tmp_path / "c.jsonl", rows), ids=("T/0",))
    assert [one.text for one in found["T/0"]] == ["x", "y"]


def test_a_request_that_failed_in_a_batch_is_no_completion(tmp_path: Path) -> None:
    failed = batch(None, response=None, error={"code": "batch_expired", "message": "too late"})
    assert refused(tmp_path, failed).startswith(
        'the request of T/0 failed ({"code": "batch_expired", "message": "too late"}): send it again'
    )
    limited = batch(None, response={"status_code": 429, "body": {"error": {"message": "slow down"}}})
    assert 'failed ({"error": {"message": "slow down"}})' in refused(tmp_path, limited)


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl"])
def test_gzip_is_known_by_its_content(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"c{suffix}"
    path.write_bytes(gzip.compress(json.dumps({"task_id": "T/0", "completion": "x"}).encode()))
    assert read(path, ids=("T/0",))["T/0"][0].text == "x"


# ---------------------------------------------------------------- folders


def samples_folder(folder: Path, programs: dict[str, str]) -> Path:
    for name, program in programs.items():
        path = folder / "samples" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(program)
    return folder / "samples"


def test_evalplus_folders_are_whole_programs_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = samples_folder(
        tmp_path,
        {**{f"T_0/{i}.py": str(i) for i in range(11)}, "T_1/0.py": "x", "T_1/0.log": "", "log.txt": ""},
    )
    found = read(path)
    assert [one.text for one in found["T/0"]] == [str(i) for i in range(11)]
    assert found["T/1"] == [Completion(text="x", form="program")]


def test_ids_with_underscores_of_their_own_are_found_in_folders(tmp_path: Path) -> None:
    path = samples_folder(tmp_path, {"my_task_test_0/0.py": "x", "Other_3/0.py": "y"})
    backend = load(path, ids=("my_task/test/0",))
    assert backend.counts == {"my_task/test/0": 1}
    assert backend.unmatched == {"Other/3": (f"{path}/Other_3/0.py", 1)}


def test_a_program_without_a_number_in_a_folder_is_named(tmp_path: Path) -> None:
    path = samples_folder(tmp_path, {"T_0/0.py": "x", "T_0/final.py": "x"})
    with pytest.raises(DataError, match=r"T_0/final\.py: expected numbered programs, 0\.py, 1\.py"):
        load(path)


def test_multipl_es_files_are_read_and_its_result_files_are_not(tmp_path: Path) -> None:
    row = {"name": "T/0", "language": "lua", "prompt": "p", "tests": "t", "completions": ["x", "y"]}
    with gzip.open(tmp_path / "T_0.json.gz", "wt") as file:
        json.dump(row, file)
    (tmp_path / "T_0.results.json").write_text(json.dumps({"name": "T/0", "results": [{"status": "OK"}]}))
    found = read(tmp_path, ids=("T/0",))
    assert found["T/0"] == [Completion(text=text, form="continuation") for text in "xy"]


def test_a_folder_of_neither_kind_says_what_it_must_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folder of numbered programs for each problem \(EvalPlus\)"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"PK\x03\x04", b'{"date": "", "hash": "", "eval": {"T/0": []}}'])
def test_other_tools_results_are_sent_to_import(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(
        DataError, match="results of another tool are read by 'harness import FILE --out DIR'"
    ):
        load(tmp_path / "c.json")


# ---------------------------------------------------------------- task order and limits, through the command


def lists(folder: Path, count: int) -> Path:
    path = folder / "generations.json"
    path.write_text(json.dumps([[r["prompt"] + r["canonical_solution"]] for r in mini_humaneval()[:count]]))
    return path


def score(folder: Path, path: Path, *more: object) -> Any:
    return harness(
        "score", "humaneval", "--data", "mini", "--completions", path, "--out", folder / "run", *more
    )


def test_bigcodes_lists_go_with_a_limit_whether_made_with_it_or_without(tmp_path: Path) -> None:
    every = len(mini_humaneval())
    for number, count in enumerate((every, 2)):
        ended = score(tmp_path / str(number), lists(tmp_path, count), "--limit", 2)
        assert ended.code == 0, ended
        assert json.loads((tmp_path / str(number) / "run/summary.json").read_text())["problems"] == 2


def test_another_field_of_the_same_file_is_another_run(tmp_path: Path) -> None:
    said = [
        {"task_id": r["task_id"], "a": r["prompt"] + r["canonical_solution"], "b": ""}
        for r in mini_humaneval()
    ]
    path = write_rows(tmp_path / "c.jsonl", said)
    assert score(tmp_path, path, "--limit", 2, "--field", "a").code == 0
    again = score(tmp_path, path, "--limit", 2, "--field", "b").complaint
    assert "config.backend.field: 'a' there, 'b' now" in again


def test_the_page_on_completions_names_every_field_that_is_read() -> None:
    page = (ROOT / "docs" / "completions.md").read_text(encoding="utf-8")
    assert [key for key in (*KEYS, *ID_KEYS[:-1], *REASONING) if f"`{key}`" not in page] == []


def test_lists_that_do_not_reach_the_end_or_begin_elsewhere_are_refused(tmp_path: Path) -> None:
    every = len(mini_humaneval())
    short = score(tmp_path, lists(tmp_path, every - 1), "--limit", 2).complaint
    assert f"{every - 1} rows without ids for 2 problems" in short
    only = tmp_path / "only.txt"
    only.write_text(mini_humaneval()[1]["task_id"] + "\n")
    assert (
        "the run be of the first (--limit)"
        in score(tmp_path, lists(tmp_path, every), "--only", only).complaint
    )
    assert "give --limit 2" in score(tmp_path, lists(tmp_path, 2)).complaint


# file below the benchmarks' folder -> (field, an id in it, how many problems, the form)
RECORDED = {
    "humaneval/outputs/raw/CodeFuse-13B__humaneval_result_python.jsonl": (
        "",
        "HumanEval/3",
        164,
        "continuation",
    ),
    "multipl_e/outputs/1.5b-base/pred_ts_output.jsonl.gz": (
        "wholecode=solution",
        "HumanEval_23_strlen",
        159,
        "program",
    ),
    "multipl_e/outputs_chat/llama3-8b/generations_java.jsonl.gz": (
        "generation=text",
        "HumanEval_23_strlen",
        158,
        "output",
    ),
    "classeval/outputs/GPT-3.5-Turbo_class_H_greedy.json.gz": ("predict", "ClassEval_7", 100, "output"),
    "cruxeval/outputs/codellama-7b/generations_input.json.gz": ("", "sample_450", 800, "output"),
    "livecodebench/outputs/o1-mini-2024-09-12.json.gz": ("", "1873_A", 880, "output"),
    "bigcodebench/outputs/1.5b-base/hard/completion.jsonl.gz": ("", "BigCodeBench/13", 148, "program"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_outputs_of_today_are_read_as_they_are(real_data: Path, name: str) -> None:
    field, problem_id, problems, form = RECORDED[name]
    backend = load(real_data / name, field, ids=(problem_id,))
    assert {one.form for one in completions(backend)[problem_id]} == {form}
    assert len(backend.unmatched) + 1 == problems
