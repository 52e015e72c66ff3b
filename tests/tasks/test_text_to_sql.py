"""cspider, sparc, cosql and bird: what each adds to spider."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError, DataError
from harness.files import packaged
from harness.schema import Problem
from harness.scorers.sql.execution import reward
from harness.scorers.sql.turns import first_turn_id
from harness.stats import estimates
from harness.tasks.loading import data_files, registry
from tests.support.command import harness
from tests.support.tiny_models import build


def load(name: str, data: str | Path = "mini", **options: object) -> list[Problem]:
    return data_files.load(registry.task(name, options), "test", data_files.open_source(str(data)))


def scored(name: str, lines: list[str], folder: Path, *more: str) -> dict[str, Any]:
    file = folder / "predict.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = harness("score", name, "--data", "mini", "--completions", file, "--out", folder / "run", *more)
    assert done.code == 0, done.err
    metrics: dict[str, Any] = json.loads((folder / "run" / "summary.json").read_text(encoding="utf-8"))[
        "metrics"
    ]
    return metrics


# ---------------------------------------------------------------- conversations


def by_interaction(problems: list[Problem]) -> dict[str, list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for problem in problems:
        found.setdefault(first_turn_id(problem.id), []).append(problem)
    return found


def test_a_turn_is_asked_with_the_questions_before_it() -> None:
    problems = load("sparc")
    assert [problem.id for problem in problems[:4]] == [
        f"sparc/dev/{i}/{j}" for i, j in ((0, 0), (0, 1), (0, 2), (1, 0))
    ]
    assert problems[2].question == (
        "Asked before: List all products.\nAsked before: Only the bread.\nWhich of them is the cheapest?"
    )
    assert problems[3].question == "Who are our customers?"


@pytest.mark.parametrize("name", ["sparc", "cosql"])
def test_one_wrong_turn_costs_its_whole_interaction(name: str, tmp_path: Path) -> None:
    talks = list(by_interaction(load(name)).values())
    lines: list[str] = []
    for number, talk in enumerate(talks):
        for turn, problem in enumerate(talk):
            wrong = (number, turn) in {(0, 0), (2, 0), (2, 1)}
            lines.append("SELECT 7 , 7 , 7" if wrong else problem.solution)
        lines.append("")  # as the official evaluator's files part interactions
    metrics = scored(name, lines, tmp_path)
    turns = sum(map(len, talks))
    for metric in ("execution_accuracy", "test_suite_accuracy", "exact_set_match"):
        assert (metrics[metric]["k"], metrics[metric]["n"]) == (turns - 3, turns)
        together = metrics[f"{metric}.interaction"]
        assert (together["k"], together["n"]) == (len(talks) - 2, len(talks))
    assert not [name for name in metrics if ".interaction[" in name]


def test_cosqls_file_may_lie_beside_its_tables(tmp_path: Path) -> None:
    mini = data_files.mini_folder()
    (tmp_path / "cosql").mkdir()
    upstream = mini / "cosql" / "sql_state_tracking" / "cosql_dev.json"
    (tmp_path / "cosql" / "cosql_dev.json").symlink_to(upstream)
    (tmp_path / "spider").symlink_to(mini / "spider")
    assert [p.question for p in load("cosql", tmp_path)] == [p.question for p in load("cosql")]


def test_turns_can_be_the_groups(tmp_path: Path) -> None:
    problems = load("sparc", group="turn")
    assert {problem.group for problem in problems} == {"turn 1", "turn 2", "turn 3", "turn 4", "turn > 4"}
    metrics = scored("sparc", [p.solution for p in problems], tmp_path, "--set", "options.group=turn")
    assert metrics["exact_set_match[turn 1]"]["n"] == 10
    assert metrics["exact_set_match[turn > 4]"]["n"] == 1
    with pytest.raises(ConfigError, match="group='day'"):
        registry.task("sparc", {"group": "day"})


def test_an_interaction_with_a_turn_that_could_not_be_judged_is_in_no_metric() -> None:
    scorer = registry.task("sparc").scorers[0]
    reduce = scorer.metrics([1])["execution_accuracy.interaction"]
    row = np.array([[1.0, 1.0, 1.0, 1.0, 1.0]])
    scores = {"sparc/dev/0/0": row, "sparc/dev/1/0": row, "sparc/dev/1/1": row * 0}
    everyone = ["sparc/dev/0/0", "sparc/dev/0/1", "sparc/dev/1/0", "sparc/dev/1/1"]
    assert {
        name: unit[0, 0] for name, unit in estimates.scores_by_unit(reduce, scores, everyone).items()
    } == {"sparc/dev/1/0": 0.0}


def test_runs_with_interactions_can_be_compared(tmp_path: Path) -> None:
    problems = load("sparc")
    for name, wrong in (("a", 0), ("b", 5)):
        (tmp_path / name).mkdir()
        lines = ["SELECT 7" if i < wrong else p.solution for i, p in enumerate(problems)]
        scored("sparc", lines, tmp_path / name)
    done = harness("compare", tmp_path / "a" / "run", tmp_path / "b" / "run", "--json")
    assert done.code == 0, done.err
    assert "exact_set_match.interaction" in done.out


def test_real_interactions_match_themselves_and_a_broken_gold_query_is_named(real_data: Path) -> None:
    problems = load("sparc", real_data)
    assert (len(problems), len(by_interaction(problems))) == (644, 219)
    task = registry.task("sparc")
    pairs = [(problem, problem.solution) for problem in problems]
    wrong = {}
    with sandbox.start() as box:
        for scorer in task.scorers[:2]:
            verdicts = scorer.score(iter(pairs), box)
            for problem, verdict in zip(problems, verdicts, strict=True):
                if verdict.score is None or verdict.score.value < 1:
                    wrong[problem.id] = verdict.error
    # Upstream's row: SELECT T1.id , T1.name FROM battle EXCEPT ..., with no T1 before EXCEPT.
    assert wrong == {
        "sparc/dev/85/1": "its gold query fails on battle_death.sqlite: error: OperationalError: no such column: T1.id"
    }


# ---------------------------------------------------------------- other languages


def test_chinese_questions_come_through_to_the_prompt() -> None:
    shown = harness("tasks", "cspider", "--prompt", "--data", "mini")
    assert "这家面包店卖多少种产品？\nschema:product(product_id|name|kind|price|calories)" in shown.out


def test_a_database_that_is_not_the_one_of_tables_json_is_named(real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "spider"
    folder.mkdir()
    for name, of in (("dev.json", "spider"), ("tables.json", "spider"), ("database", "machinespider_de")):
        (folder / name).symlink_to(real_data / of / name)  # the German databases have German names
    with pytest.raises(
        DataError, match=r"concert_singer.sqlite: it has none of the tables that spider/tables.json"
    ):
        data_files.load(registry.task("spider"), "test", data_files.open_source(str(tmp_path)))


# ---------------------------------------------------------------- bird


def test_birds_questions_have_their_hints_and_difficulties() -> None:
    problems = load("bird")
    assert {problem.group for problem in problems} == {"simple", "moderate", "challenging"}
    assert problems[0].question == "How many female patients are there?\nevidence: female refers to sex = 'F'"
    assert load("bird", evidence=False)[0].question == "How many female patients are there?"
    assert "`" not in problems[0].parts["create"]
    assert '  "field of work" text,' in problems[0].parts["create"]
    assert [p.id for p in load("bird", corpus="dev")][:2] == ["bird/dev/0", "bird/dev/1"]


def test_birds_results_are_sets_and_soft_f1_gives_part_marks(tmp_path: Path) -> None:
    problems = load("bird")
    lines = [problem.solution.replace("\n", " ") for problem in problems]
    place = next(
        i for i, p in enumerate(problems) if p.question.startswith("On which days did patient 4 come?")
    )
    lines[place] = (
        "SELECT day FROM visit WHERE patient_id = 4 UNION ALL SELECT day FROM visit WHERE patient_id = 4"
    )
    twice = scored("bird", lines, tmp_path)
    assert twice["execution_accuracy"]["k"] == twice["soft_f1"]["k"] == len(problems)
    lines[place] = "SELECT day FROM visit WHERE patient_id = 4 LIMIT 2"
    (tmp_path / "second").mkdir()
    part = scored("bird", lines, tmp_path / "second")
    assert part["execution_accuracy"]["k"] == len(problems) - 1
    assert part["soft_f1"]["k"] == pytest.approx(
        len(problems) - 1 + 0.8
    )  # 2 of 3 rows: precision 1, recall 2/3


def test_efficiency_is_measured_where_it_is_asked_for() -> None:
    problem = load("bird")[0]
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 30000) SELECT (SELECT COUNT(*) FROM"
    slow += " patient WHERE sex = 'F') FROM c GROUP BY 1"
    with sandbox.start() as box:
        same, slower, wrong = scorers.ves.score(
            [(problem, s) for s in (problem.solution, slow, "SELECT 0")], box
        )
    assert same.score is not None
    assert slower.score is not None
    assert wrong.score is not None
    assert wrong.score.value == 0.0
    assert wrong.score.stats == (0.0, 0.0)
    assert slower.score.value == 1.0
    assert 0 < slower.score.stats[0] < 0.5 < same.score.stats[0]
    assert slower.score.stats[1] == 0.5  # the square root of the lowest step


@pytest.mark.parametrize(
    ("ratio", "step"),
    [(0.0, 0.0), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.99, 0.75), (1.0, 1.0), (2.0, 1.25), (9.0, 1.25)],
)
def test_r_ves_has_the_official_steps(ratio: float, step: float) -> None:
    assert reward(ratio) == step


# ---------------------------------------------------------------- the study's table


def test_the_recipe_of_the_studys_table_asks_a_base_model_its_five_tasks(tmp_path: Path) -> None:
    recipe = packaged("tasks/recipes/text_to_sql.toml")
    common = ("run", recipe, "--data", "mini", "--dry-run", "--model")
    done = harness(*common, build("llama", tmp_path / "base"))
    assert done.code == 0, done.err
    assert re.findall(r"^task=(\w+)", done.out, re.M) == ["wikisql", "spider", "cspider", "cosql", "bird"]
    chat = harness(*common, tmp_path / "base", "--set", "prompt=study").complaint
    assert "leave prompt out, or set it to plain or line" in chat
