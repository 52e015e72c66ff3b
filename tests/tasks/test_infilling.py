"""The two benchmarks of gaps: what is asked, how an answer is put in its place, and the benchmarks' own rows."""

from pathlib import Path

import pytest

from harness import sandbox
from harness.errors import ConfigError
from harness.prompts import templates
from harness.schema import Completion, Problem, Task
from harness.tasks import humaneval_infilling, santacoder_fim
from harness.tasks.loading import data_files, registry
from harness.text.extract import python_code
from tests.support.command import harness
from tests.support.parts.task_rows import load

ROW = {
    "task_id": "SingleLineInfilling/Mini/900/L1",
    "entry_point": "double_next",
    "prompt": "import math\n\ndef next_one(x):\n    return x + 1\n\n\ndef double_next(x):\n    y = next_one(x)\n",
    "suffix": "    return y\n",
    "canonical_solution": "    y *= 2\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2 * next_one(1)\n",
}


def infilling(subset: str) -> Task:
    return registry.task("humaneval_infilling", {"subset": subset})


def rows(subset: str, data: Path) -> list[Problem]:
    return data_files.load(infilling(subset), "test", data_files.open_source(str(data)))


def statuses(answers: list[tuple[Problem, str]], box: sandbox.Pool) -> list[str]:
    """Verdicts on completions, equal programs judged once."""
    task = infilling("single-line")
    made = [
        (p, task.extract(p, Completion(text=text, form="continuation", finish="recorded")))
        for p, text in answers
    ]
    keys = [(program, p.check.model_dump_json()) for p, program in made]
    first = dict(zip(reversed(keys), reversed(made), strict=True))
    found = dict(zip(first, task.scorers[0].score(iter(first.values()), box), strict=True))
    return [found[key].status for key in keys]


# ---------------------------------------------------------------- one gap


def test_an_answer_fills_the_gap_to_the_letter() -> None:
    problem = humaneval_infilling.problem(ROW)
    for text in ("    y *= 2\n", "```\ny *= 2\n```", "", "\n"):
        raw, kept = (
            humaneval_infilling.filled(problem, Completion(text=text, form=form))
            for form in ("output", "continuation")
        )
        assert raw == kept == ROW["prompt"] + text + ROW["suffix"]
    assert humaneval_infilling.filled(problem, Completion(text="whole", form="program")) == "whole"


def test_the_tests_see_what_stands_above_the_function(box: sandbox.Pool) -> None:
    problem = humaneval_infilling.problem(ROW)
    answers = [(problem, text) for text in ("    y *= 2\n", "", "    y = 4\n", "  y *= 2\n")]
    assert statuses(answers, box) == ["passed", "failed", "passed", "compile_error"]


def test_the_prompt_has_both_sides_and_nothing_else() -> None:
    problem = humaneval_infilling.problem(ROW)
    (template,) = infilling("single-line").templates
    prompt = templates.render(template, problem)
    assert (prompt.text, prompt.suffix, template.stop) == (ROW["prompt"], ROW["suffix"], ())
    assert problem.cluster == "Mini/900"


def test_a_subset_that_is_not_known_names_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no subset 'single'\. Did you mean 'single-line'"):
        infilling("single")


def test_a_line_matches_but_for_the_blanks_around_it() -> None:
    task = registry.task("santacoder_fim")
    problem = next(p for p in load("santacoder_fim", {}, "test") if p.solution == "      count += 1;")
    said = ["      count += 1;", "\ncount += 1;\n", "count += 1;\n}", "count  += 1;", ""]
    answers = [(problem, santacoder_fim.answer(problem, Completion(text=text))) for text in said]
    found = [verdict.score for verdict in task.scorers[0].score(answers, None)]
    assert [score and score.value for score in found] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert (problem.group, problem.id) == ("js", "js/mini-Mini_0_countTrue.json-L5")


# ---------------------------------------------------------------- the benchmarks' own rows


@pytest.mark.parametrize("subset", humaneval_infilling.SIZES)
def test_every_gap_is_cut_out_of_one_of_humanevals_functions(subset: str, real_data: Path) -> None:
    found = rows(subset, real_data)
    assert len(found) == humaneval_infilling.SIZES[subset]
    assert len({problem.cluster for problem in found}) == 164
    whole = {p.cluster: (p.question + p.solution + p.parts["suffix"]).strip() for p in found}
    assert all(python_code.is_whole(program) for program in whole.values())


def test_all_4792_lines_are_there(real_data: Path) -> None:
    task = registry.task("santacoder_fim")
    found = data_files.load(task, "test", data_files.open_source(str(real_data)))
    by_language = {name: sum(p.group == name for p in found) for name in ("js", "java", "py")}
    assert by_language == {"js": 1969, "java": 1780, "py": 1043}
    given = [(p, task.extract(p, Completion(text=p.solution))) for p in found]
    assert {v.score and v.score.value for v in task.scorers[0].score(given, None)} == {1.0}


def test_an_empty_answer_passes_where_nothing_is_missing_and_nowhere_else(
    real_data: Path, box: sandbox.Pool
) -> None:
    """A comment, a check that no test needs, and a row whose own solution is empty; and two lines that are needed."""
    found = {p.id: p for subset in ("single-line", "random-span") for p in rows(subset, real_data)}
    assert sum(not p.solution for p in found.values()) == 14
    names = ["SingleLineInfilling/HumanEval/99/L3", "SingleLineInfilling/HumanEval/66/L0"]
    names += ["RandomSpanInfilling/HumanEval/7/10", "SingleLineInfilling/HumanEval/2/L0"]
    names += ["SingleLineInfilling/HumanEval/53/L0"]
    assert found["RandomSpanInfilling/HumanEval/7/10"].solution == ""
    answers = [(found[name], "") for name in names]
    assert [status == "passed" for status in statuses(answers, box)] == [True, True, True, False, False]


@pytest.mark.parametrize("subset", humaneval_infilling.SIZES)
def test_some_references_pass(subset: str, real_data: Path, box: sandbox.Pool) -> None:
    found = rows(subset, real_data)
    some = found[:: len(found) // 8]
    assert set(statuses([(p, p.solution) for p in some], box)) == {"passed"}


@pytest.mark.parametrize("subset", humaneval_infilling.SIZES)
def test_all_references_pass(subset: str, real_data: Path, box: sandbox.Pool) -> None:
    found = rows(subset, real_data)
    passed = statuses([(p, p.solution) for p in found], box)
    assert [p.id for p, status in zip(found, passed, strict=True) if status != "passed"] == []


def test_the_card_says_that_all_models_are_asked_so() -> None:
    assert "default prompt   fim of all models\n" in harness("tasks", "humaneval_infilling").out


def test_a_toml_task_may_have_a_gap_too(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "r/0", "left": "x = ", "right": "\\n", "gold": "1"}\n')
    (tmp_path / "gaps.toml").write_text(
        'check = "reference"\n[rows]\ntest = "rows.jsonl"\n[fields]\nquestion = "left"\nsolution = "gold"\n'
        'references = "gold"\n[[prompts]]\nstyle = "fim"\nsuffix = "{right}"\n'
    )
    task = registry.task(str(tmp_path / "gaps.toml"))
    (problem,) = data_files.load(task, "test", data_files.open_source(None))
    prompt = templates.render(task.templates[0], problem)
    assert (prompt.text, prompt.suffix) == ("x = ", "\n")
