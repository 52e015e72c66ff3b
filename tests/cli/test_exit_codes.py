"""A user's mistake is one line and ends in 2, a fault of ours in 3, Ctrl-C in 130."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import SandboxFault
from harness.runs import run
from harness.schema import ExecResult, Program
from tests.support.command import harness, mini_humaneval, rows, snippets, write_rows


def canonical(path: Path, take: int | None = None) -> Path:
    """The solutions of the first `take` mini problems as a completions file."""
    return write_rows(
        path,
        [{"task_id": r["task_id"], "completion": r["canonical_solution"]} for r in mini_humaneval()[:take]],
    )


def test_an_unknown_task_names_the_nearest() -> None:
    text = harness("run", "--task", "conla", "--model", "m", "--data", "mini").complaint
    assert text.startswith("no task 'conla'. Did you mean 'conala'? Known: ")


def test_an_unknown_config_key_names_the_file_and_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('task = "conala"\n[sampling]\ntemprature = 0.5\n')
    text = harness("run", "run.toml").complaint
    assert text.startswith(
        "run.toml: no key 'sampling.temprature'. Did you mean 'sampling.temperature'? Known: "
    )


def test_an_unknown_key_of_set_names_the_nearest(tmp_path: Path) -> None:
    arguments = snippets(tmp_path / "c.jsonl")
    assert "no key 'lmit'. Did you mean 'limit'?" in harness("score", *arguments, "--set", "lmit=3").complaint


def test_an_unknown_task_option_names_the_nearest() -> None:
    text = harness("tasks", "conala", "--set", "options.corpsu=docprompting").complaint
    assert text == "task 'conala': no option 'corpsu'. Did you mean 'corpus'? Known: corpus."


def test_k_above_n_says_how_many_samples_are_needed(tmp_path: Path) -> None:
    text = harness("run", "--task", "conala", "--data", "mini", "--model", "m", "--set", "k=[5]").complaint
    assert text.startswith("k = 5 needs at least 5 samples a problem, and there are 1: have at least 5 made")
    text = harness("score", *snippets(tmp_path / "c.jsonl"), "--set", "k=[5]").complaint
    assert text.startswith("k = 5 needs at least 5 samples a problem, and there are 1: have at least 5 made")


def test_a_malformed_completion_is_named_with_file_and_line(tmp_path: Path) -> None:
    arguments = snippets(tmp_path / "c.jsonl")
    with (tmp_path / "c.jsonl").open("a") as file:
        file.write('{"task_id": "conala/test/0", "text"\n')
    assert harness("score", *arguments).complaint == (
        f"{tmp_path}/c.jsonl:4: malformed JSON: Expecting ':' delimiter at column 36"
    )


def test_a_malformed_benchmark_row_is_named_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "d" / "humaneval").mkdir(parents=True)
    one = mini_humaneval()[0]
    path = write_rows(tmp_path / "d" / "humaneval" / "HumanEval.jsonl", [one, {**one, "task_id": "Mini/1"}])
    path.write_text(path.read_text() + '{"task_id": "Mini/2"}\n')
    text = harness("run", "--task", "humaneval", "--data", "d", "--model", "m").complaint
    assert text == "d/humaneval/HumanEval.jsonl:3: field 'prompt' is missing; the row has task_id"


def test_an_unknown_problem_is_named_with_its_line(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", [{"task_id": "Mini/O", "completion": ""}])
    text = harness("score", "humaneval", "--data", "mini", "--completions", path).complaint
    assert text.endswith(f"Not asked for, but there: Mini/O ({tmp_path}/c.jsonl:1)")


def test_missing_problems_are_named_with_the_way_out(tmp_path: Path) -> None:
    path = canonical(tmp_path / "c.jsonl", 64)
    assert harness("score", "humaneval", "--data", "mini", "--completions", path).complaint == (
        f"{path}: no completion for 2 of 66 problems: Mini/64, Mini/65."
        " Add them, or score what is there with --partial"
    )


def test_a_model_folder_without_tokenizer_says_what_is_missing(tmp_path: Path) -> None:
    from tests.support.tiny_models import build

    folder = build("llama", tmp_path / "model")
    for path in folder.glob("*token*"):
        path.unlink()
    text = harness("run", "--task", "conala", "--data", "mini", "--model", folder).complaint
    assert str(folder) in text
    assert "tokenizer" in text


def test_a_model_that_is_nowhere_is_one_line() -> None:
    text = harness("run", "--task", "conala", "--data", "mini", "--model", "./no/such/model").complaint
    assert "no/such/model" in text


def test_a_run_without_a_model_says_how_to_give_one() -> None:
    text = harness("run", "--task", "conala", "--data", "mini").complaint
    assert text == "no model: give --model FOLDER_OR_HUB_ID (or backend.model in the config)"


def test_a_run_without_a_task_says_how_to_give_one() -> None:
    text = harness("run", "--model", "m").complaint
    assert text == "no task: give --task NAME or a config file; 'harness tasks' lists the names"


def test_a_missing_data_file_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "d").mkdir()
    looked = [
        "looked for d/humaneval/HumanEval.jsonl or the hub cache",
        "no data folder was given, and it is not in",
    ]
    for more, where in zip((["--data", "d"], []), looked, strict=True):
        text = harness("run", "--task", "humaneval", "--model", "m", *more).complaint
        assert text.startswith(f"no file 'HumanEval.jsonl' of 'humaneval': {where}")
        assert "run 'harness data fetch humaneval'" in text
        assert "--data mini" in text


def test_the_data_folder_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", "/no/such/folder")
    assert harness("data", "check", "humaneval").complaint.startswith("no data folder '/no/such/folder'")
    monkeypatch.setenv("HARNESS_DATA", "mini")
    assert "66 rows (published: 164)" in harness("data", "check", "humaneval").out


def test_a_folder_of_another_config_is_refused_naming_the_field(finished: Path, tmp_path: Path) -> None:
    before = (finished / "run.json").read_bytes()
    arguments = snippets(tmp_path / "c.jsonl")
    text = harness("score", *arguments, "--set", "seed=3", "--out", finished).complaint
    assert text.startswith(f"{finished} holds another run: config.seed: 0 there, 3 now; ")
    assert text.endswith("Choose another --out")
    assert (finished / "run.json").read_bytes() == before


def test_the_right_command_still_goes_on_after_a_refused_one(finished: Path, tmp_path: Path) -> None:
    arguments = snippets(tmp_path / "c.jsonl")
    assert harness("score", *arguments, "--set", "seed=3", "--out", finished).code == 2
    assert harness("score", *arguments, "--out", finished).code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["scor"], "No such command 'scor'"),
        (["score", "humaneval", "--completion", "x"], "No such option '--completion'"),
        (["score", "humaneval"], "Missing option '--completions'"),
        (["score"], "Missing argument 'TASK'"),
        (["run", "a.toml", "b.toml"], "unexpected extra argument (b.toml)"),
        (["run", "--samples", "two"], "Invalid value for '--samples': 'two' is not a valid int"),
        (
            ["run", "--task", "conala", "--samples", "0"],
            "sampling.samples = 0: input should be greater than or equal",
        ),
        (["run", "--sandbox", "docker"], "Invalid value for '--sandbox': 'docker' is not one of"),
        (["run", "no.toml"], "no config file 'no.toml'"),
        (["run", "--task", "conala", "--set", "limit"], "--set 'limit': expected KEY=VALUE"),
        (["run", "--task", "no.py"], "no task file 'no.py'"),
        (
            ["run", "--task", "conala", "--shots", "icll:8", "--model", "m", "--data", "mini"],
            "no shots 'icll:8'. Did you mean 'icl:N'?",
        ),
        (
            ["run", "--task", "conala", "--set", "prompt=chta", "--data", "mini"],
            "no prompt 'chta'. Did you mean 'chat'?",
        ),
        (["tasks", "humanevel"], "no task 'humanevel'. Did you mean 'humaneval'?"),
        (["report", "no/run"], "no run folder 'no/run': give the folder that a run printed"),
        (["report"], "Missing argument 'RUNS...'"),
        (["data", "fetch"], "Missing argument 'NAME'"),
        (["data", "get", "x"], "Invalid value for '{fetch|check|synth}': 'get' is not one of"),
        (
            ["score", "conala", "--data", "mini", "--completions", "no.jsonl"],
            "no completions file 'no.jsonl'",
        ),
    ],
)
def test_every_other_mistake_is_one_line_too(arguments: list[str], text: str) -> None:
    assert text in harness(*arguments).complaint


def test_a_report_is_not_written_where_no_folder_is(finished: Path) -> None:
    text = harness("report", finished, "--format", "md", "--out", "no/folder/report.md").complaint
    assert text == "--out 'no/folder/report.md' cannot be written: give a file name in an existing folder"


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    arguments = snippets(tmp_path / "c.jsonl")
    assert harness("score", *arguments, "--out", "f").complaint == "--out 'f' is a file; a run needs a folder"


class Breaking:
    """A sandbox that breaks on every second program."""

    isolation = "breaking"
    packages: Mapping[str, str] = {}
    absent = ()
    broken, fault = True, "gone"

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return dict.fromkeys(languages, "1")

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        for number, _ in enumerate(programs):
            yield SandboxFault(self.fault) if self.broken and number % 2 else ExecResult(status="passed")

    def __enter__(self) -> "Breaking":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_faults_end_in_3_with_the_table_and_are_gone_after_a_good_second_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Breaking()
    monkeypatch.setattr(run, "open_sandbox", lambda judge, task: box)
    path = canonical(tmp_path / "c.jsonl")
    command = ["score", "humaneval", "--data", "mini", "--completions", path, "--out", tmp_path / "run"]
    ended = harness(*command)
    assert ended.code == 3
    assert ended.err == (
        "error: 33 samples could not be judged (a fault of the sandbox, not of the model) and are in no"
        " metric; rerun the same command to retry them\n"
    )
    assert "33 / 33" in ended.out
    box.broken = False
    ended = harness(*command)
    assert (ended.code, ended.err) == (0, "")
    assert "66 / 66" in ended.out


def test_a_missing_library_is_named_with_what_installs_it_in_place_of_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Breaking()
    box.fault = "not run: no module 'numpy' here; harness env bigcodebench installs what is needed"
    monkeypatch.setattr(run, "open_sandbox", lambda judge, task: box)
    path = canonical(tmp_path / "c.jsonl")
    ended = harness("score", "humaneval", "--data", "mini", "--completions", path, "--out", tmp_path / "run")
    assert (ended.code, ended.err) == (
        3,
        "error: 33 samples could not be judged and are in no metric: no module 'numpy' here; harness env"
        " bigcodebench installs what is needed, then add --set judge.python=ENV/bin/python\n",
    )


def test_a_folder_that_another_process_writes_ends_in_3(tmp_path: Path) -> None:
    import filelock

    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run" / ".lock"):
        ended = harness("score", *snippets(tmp_path / "c.jsonl"), "--out", tmp_path / "run")
    assert ended.code == 3
    assert ended.err.startswith(f"error: {tmp_path}/run is being written by another process")
    assert ended.err.count("\n") == 1


def test_ctrl_c_ends_in_130_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["score", *snippets(tmp_path / "c.jsonl"), "--out", tmp_path / "run"]

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "judge", interrupted)
        ended = harness(*command)
    assert ended.code == 130
    assert ended.err.strip() == "Interrupted. Rerun the same command to resume."
    assert len(rows(tmp_path / "run" / "generations.jsonl")) == 3
    assert harness(*command).code == 0


def test_a_file_that_holds_a_task_is_a_task(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass, replace\n"
        "from harness.tasks import conala\n\n\n"
        "@dataclass\nclass Setting:\n    name: str = 'mine'\n\n\n"
        "def task():\n    return replace(conala.task(), name=Setting().name)\n"
    )
    ended = harness("score", "mine.py", *snippets(tmp_path / "c.jsonl")[1:])
    assert ended.code == 0, ended.err
    assert "mine v2 | test 3x1" in ended.out


def test_a_task_file_that_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import nowhere_to_be_found\n")
    missing = "mine.py:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert harness("tasks", "mine.py").complaint == missing
    (tmp_path / "mine.py").write_text("def task(:\n")
    assert harness("tasks", "mine.py").complaint.startswith("mine.py: SyntaxError: invalid syntax")
    (tmp_path / "mine.py").write_text("x = 1\n")
    assert harness("tasks", "mine.py").complaint == (
        "task 'mine.py': expected a function task() -> Task in its file"
    )
    (tmp_path / "mine.py").write_text("def task():\n    return 5\n")
    assert harness("tasks", "mine.py").complaint == (
        "task 'mine.py': task() returned int, expected harness.schema.Task"
    )
