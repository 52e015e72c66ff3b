"""`harness compare`: what the table says is true of the runs, and runs that must not be compared are refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.config.load import parse
from harness.errors import ConfigError, NotComparable, StoreFault
from harness.results import compare
from harness.results.report import comparison
from harness.results.rows import group_seeds
from harness.runs.merge import MergedProblem, MergedRun
from harness.runs.resolve import Header
from harness.runs.store import reader
from harness.runs.store.run_folder import open_run
from harness.runs.summary import summarise
from harness.tasks.loading import registry
from tests.support.command import harness
from tests.support.recordings import edit, edit_rows, make


def read(*folders: Path) -> list[reader.Result]:
    return [reader.read(folder) for folder in folders]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """40 problems: 20 right; then 19 of these and 9 more. McNemar: 9 better, 1 worse."""
    return make(tmp_path / "base", range(20)), make(tmp_path / "tuned", range(1, 29))


# ---------------------------------------------------------------- figures


def test_differences_are_to_the_first_run_on_the_same_problems(pair: tuple[Path, Path]) -> None:
    found = compare.compare(read(*pair))
    assert [row.name for row in found.rows] == ["base", "tuned"]
    first, second = found.cells["em@1"]
    assert (first.estimate.value, first.difference) == (0.5, None)
    assert second.difference is not None
    assert second.difference.value == pytest.approx(0.2)
    assert (second.difference.better, second.difference.worse, second.difference.n) == (9, 1, 40)
    assert second.difference.p == 0.01171875  # 2 * (1 + 10 / 2) / 2^10
    assert second.difference.exact == 0.021484375  # 2 * (1 + 10) / 2^10
    assert second.difference.test == "McNemar mid-p"
    assert second.difference.low > 0
    assert list(found.cells) == ["em@1", "em_ws@1", "em_ast@1"]


def test_p_is_corrected_over_the_rows_of_a_metric(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    third = make(tmp_path / "third", range(26))  # 6 better: p = 1 / 64
    found = compare.compare(read(*pair, third))
    cells = found.cells["em@1"]
    assert cells[1].p_holm == pytest.approx(2 * 0.01171875)
    assert cells[2].p_holm == pytest.approx(2 * 0.01171875)  # never below a smaller p's
    assert cells[2].difference is not None
    assert cells[2].difference.p == 0.015625


def test_several_samples_get_the_permutation_test(tmp_path: Path) -> None:
    chance = random.Random(0)
    runs = [
        make(tmp_path / name, lambda i, j, s=share: chance.random() < s, samples=5)
        for name, share in (("a", 0.3), ("b", 0.5))
    ]
    found = compare.compare(read(*runs), ["em@1", "em@5"])
    difference = found.cells["em@1"][1].difference
    assert difference is not None
    assert difference.test == "permutation 10000"
    assert list(found.cells) == ["em@1", "em@5"]


def test_seeds_are_one_row_with_their_variance_beside_that_of_the_problems(tmp_path: Path) -> None:
    runs = [make(tmp_path / f"s{seed}", range(20 + seed), seed=seed) for seed in range(3)]
    first = json.loads((runs[0] / "run.json").read_text())
    for run in runs[1:]:

        def alike(plain: dict[str, Any]) -> None:
            plain["backend"] = first["backend"]
            plain["config"]["backend"] = first["config"]["backend"]

        edit(run / "run.json", alike)
    other = make(tmp_path / "other", range(30))
    found = compare.compare(read(*runs, other), ["em@1"])
    assert [len(row.runs) for row in found.rows] == [3, 1]
    cell = found.cells["em@1"][0]
    assert cell.estimate.value == pytest.approx(21 / 40)
    assert cell.seeds is not None
    assert (cell.seeds.seeds, cell.seeds.n) == (3, 40)
    assert cell.seeds.sd_seeds == pytest.approx(1 / 40)  # 20, 21, 22 of 40
    text = comparison.render(found, [], 0, width=140)
    assert "sd between seeds" in text


def test_flipped_items_come_worst_first_with_both_answers(pair: tuple[Path, Path]) -> None:
    found = compare.compare(read(*pair))
    flipped = list(compare.flips(found, "em@1"))
    assert [(flip.problem_id, flip.before, flip.after) for flip in flipped[:2]] == [
        ("letters/0", 1.0, 0.0),
        ("letters/20", 0.0, 1.0),
    ]
    assert flipped[0].answers == ("x = 0", "y")
    assert len(flipped) == 10


def test_clusters_that_nobody_declares_are_the_problems_groups(tmp_path: Path) -> None:
    a, b = make(tmp_path / "a", []), make(tmp_path / "b", range(0, 40, 2))  # all even ones better
    alone, together = (compare.compare(read(a, b), ["em@1"], clustered=c) for c in (False, True))
    p = [found.cells["em@1"][1].difference for found in (alone, together)]
    assert p[0] is not None
    assert p[1] is not None
    assert p[0].p < 0.001
    assert p[1].p > 0.3  # two groups, one of which moved
    assert (alone.clusters, together.clusters) == (0, 2)


def test_clusters_that_the_task_declares_are_the_units_by_default(tmp_path: Path) -> None:
    """Ten problems on each of four databases; the second run is better on all but one problem of one of them."""
    a, b = make(tmp_path / "a", []), make(tmp_path / "b", range(1, 10))
    for folder in (a, b):
        edit_rows(
            folder / "problems.jsonl",
            lambda rows: [row | {"cluster": f"db{i // 10}"} for i, row in enumerate(rows)],
        )
    default, plain = (compare.compare(read(a, b), ["em@1"], clustered=c) for c in (None, False))
    found = [each.cells["em@1"][1].difference for each in (default, plain)]
    assert found[0] is not None
    assert found[1] is not None
    assert (default.clusters, found[0].units, found[1].units) == (4, 4, 40)
    assert found[1].p < 0.01 < 0.3 < found[0].p
    assert found[0].low < 0 < found[1].low
    assert harness("compare", a, b, "--json").out != harness("compare", a, b, "--json", "--no-cluster").out
    assert "problems are sampled in 4 clusters" in harness("compare", a, b).out


# ---------------------------------------------------------------- the command


def test_the_table_the_flips_and_json_say_the_same(pair: tuple[Path, Path]) -> None:
    ended = harness("compare", *pair, "--metric", "em@1", "--flips", 1)
    assert ended.code == 0, ended.err
    line = next(line for line in ended.out.splitlines() if "tuned" in line)
    assert line.split()[-4:] == ["0.0117", "9", "/", "1"]
    assert "+20.00" in line
    assert "base: 100.00 scored" in ended.out
    assert "9 more flipped problems" in ended.out
    plain = json.loads(harness("compare", *pair, "--json").out)
    difference = plain["rows"][1]["metrics"]["em@1"]["difference"]
    assert (difference["p"], difference["exact"]) == (0.01171875, 0.021484375)
    assert plain["rows"][1]["metrics"]["em@1"]["minimum_detectable_difference"] > 0.1
    assert len(plain["flips"]) == 10


def test_a_folder_of_runs_can_be_given(pair: tuple[Path, Path]) -> None:
    assert harness("compare", pair[0].parent).code == 0


def test_hostile_answers_are_shown_as_text(tmp_path: Path) -> None:
    runs = make(tmp_path / "a", range(40)), make(tmp_path / "b", [], wrong="\x1b[2J[red]</script>\r\nz")
    out = harness("compare", *runs).out
    assert "\x1b" not in out
    assert r"\x1b[2J[red]</script>\r" in out


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "other"}, "prompt: "),
        ({"limit": 20}, "limit: null and 20"),
        ({"options": {"version": 2}}, "task.version: 1 and 2"),
        ({"split": "train"}, 'split: "test" and "train"'),
    ],
)
def test_runs_under_other_conditions_are_refused_with_the_field(
    pair: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    more = {"problems": 20} if "limit" in change else {}
    other = make(tmp_path / "other", range(9), **more, **change)
    if "limit" in change:
        edit(other / "run.json", lambda plain: plain["config"]["options"].update(problems=40))
    ended = harness("compare", pair[0], other)
    assert ended.code == 4
    assert f"cannot be compared: {field}" in ended.err or f"; {field}" in ended.err
    assert ended.err.count("\n") == 1


def test_other_data_another_judge_and_partial_runs_are_refused(pair: tuple[Path, Path]) -> None:
    def refused(change: Any, file: str = "run.json") -> str:
        before = (pair[1] / file).read_text()
        edit(pair[1] / file, change)
        with pytest.raises(NotComparable) as raised:
            compare.compare(read(*pair))
        (pair[1] / file).write_text(before)
        return str(raised.value)

    assert "data: {} and" in refused(lambda plain: plain["data"]["sha256"].update(f="0" * 64))
    assert "judge: null and" in refused(
        lambda plain: plain.update(judge={"sandbox": "process", "time_limit": 1})
    )
    assert "prompt.hash: " in refused(lambda plain: plain["prompt"].update(hash="0" * 16))
    assert "partial: 3 of 40" in refused(
        lambda plain: plain.update(notes=["partial: 3 of 40 problems have completions"]), "summary.json"
    )


def test_isolating_sandboxes_are_one_judge_and_process_is_another(pair: tuple[Path, Path]) -> None:
    def judge(folder: Path, isolation: str) -> None:
        edit(
            folder / "run.json",
            lambda p: p.update(judge={"sandbox": isolation, "time_limit": None, "versions": {}}),
        )

    judge(pair[0], "namespaces")
    judge(pair[1], "landlock")
    compare.check_comparable(read(*pair))
    judge(pair[1], "process")
    with pytest.raises(NotComparable, match="judge"):
        compare.check_comparable(read(*pair))


def test_verdicts_of_another_python_or_of_other_packages_are_refused(pair: tuple[Path, Path]) -> None:
    def judge(folder: Path, python: str, **installed: str) -> None:
        told = {"sandbox": "namespaces", "versions": {"python": python}, "installed": installed}
        edit(folder / "run.json", lambda plain: plain.update(judge=told))

    judge(pair[0], "3.11.2", numpy="2.4.6")
    judge(pair[1], "3.11.9", numpy="2.4.6")  # a repaired Python judges alike
    compare.check_comparable(read(*pair))
    judge(pair[1], "3.13.0", numpy="2.4.6")
    with pytest.raises(NotComparable, match=r'judge.python: "3.11" and "3.13"'):
        compare.check_comparable(read(*pair))
    judge(pair[1], "3.11.2", numpy="1.26.4", torch="2.0")
    with pytest.raises(NotComparable, match=r'judge.packages.numpy: "2.4.6" and "1.26.4"'):
        compare.check_comparable(read(*pair))


def test_other_shots_may_have_other_prompts_and_equal_ones_may_not(pair: tuple[Path, Path]) -> None:
    edit(pair[1] / "run.json", lambda plain: plain["prompt"].update(hash="0" * 16))
    with pytest.raises(NotComparable, match="prompt"):
        compare.check_comparable(read(*pair))
    edit(pair[1] / "run.json", lambda plain: plain["config"].update(shots="icl:4"))
    compare.check_comparable(read(*pair))
    assert group_seeds(read(*pair))[1].name == "tuned, icl:4"


def test_an_adapters_digest_is_left_out_of_its_name_unless_two_would_be_the_same() -> None:
    config = parse({"task": "conala", "backend": {"model": "m", "adapter": "a/conala-lora-5f4ce252"}})
    assert reader.method(config) == "conala-lora"
    assert reader.method(config, full=True) == "conala-lora-5f4ce252"
    plain = parse({"task": "conala", "backend": {"model": "m", "adapter": "a/5f4ce252"}})
    assert reader.method(plain) == "5f4ce252"


def test_runs_of_several_tasks_are_refused_and_one_task_can_be_chosen(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    other = make(tmp_path / "other", range(10))
    for name in ("run.json", "summary.json"):
        (other / name).write_text((other / name).read_text().replace('"letters"', '"numbers"'))
    refused = harness("compare", tmp_path)
    assert (refused.code, "task: " in refused.err) == (4, True)
    ended = harness("compare", tmp_path, "--task", "letters", "--json")
    assert [row["name"] for row in json.loads(ended.out)["rows"]] == ["base", "tuned"]
    assert (
        "no task among the runs 'leters'. Did you mean 'letters'?"
        in harness("compare", tmp_path, "--task", "leters").complaint
    )


def test_an_adapter_is_part_of_the_method_not_of_the_model() -> None:
    backend = {"model": "models/demo", "adapter": "results/adapters/conala-lora"}
    config = parse({"task": "conala", "shots": "rag:4", "backend": backend})
    assert (reader.model(config), reader.method(config)) == ("demo", "conala-lora + rag:4")


def test_one_run_an_unknown_metric_and_a_folder_without_runs_are_the_users_mistakes(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    assert "nothing to compare" in harness("compare", pair[0]).complaint
    assert "no metric 'em@2'. Did you mean 'em@1'?" in harness("compare", *pair, "--metric", "em@2").complaint
    (tmp_path / "empty").mkdir()
    assert "holds no run" in harness("compare", tmp_path / "empty", pair[0]).complaint
    assert "no run folder" in harness("compare", tmp_path / "nowhere", pair[0]).complaint


def test_a_damaged_run_is_named_with_its_line(pair: tuple[Path, Path]) -> None:
    path = pair[1] / "judgements.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:4], "{broken\n", *lines[5:]]))
    ended = harness("compare", *pair)
    assert ended.code == 3
    assert "judgements.jsonl:5: damaged row" in ended.err


def test_a_lost_judgement_and_a_lost_sample_are_faults(pair: tuple[Path, Path]) -> None:
    edit_rows(pair[0] / "judgements.jsonl", lambda rows: rows[1:])
    with pytest.raises(StoreFault, match="letters/0 has 1 samples and 0 judgements of exact"):
        reader.read(pair[0])
    edit_rows(pair[1] / "generations.jsonl", lambda rows: rows[1:])
    with pytest.raises(
        StoreFault, match=r"39 samples of 39 problems on disk, but its summary counts 40 of 40"
    ):
        reader.read(pair[1])


def summarise_again(folder: Path) -> None:
    """The summary of the records as they are now."""
    record = json.loads((folder / "run.json").read_text())
    config = reader.read_config(record)
    problems = [MergedProblem(row["problem_id"], row["group"], "") for row in reader.problems(folder)]
    with open_run(folder, record) as files:
        counts = {one.id: files.generations.keys.count(one.id) for one in problems}
        task = registry.task(config.task, config.options)
        files.write_summary(summarise(MergedRun(task, config, problems, counts, Header("", ())), files))


def test_faults_count_as_failed_and_help_nobody(tmp_path: Path) -> None:
    """Six problems, three of them right; the answers to the others bring the judge down, which leaves 3 of 3."""
    plain, hostile = (
        make(tmp_path / "plain", range(3), problems=6),
        make(tmp_path / "hostile", range(3), problems=6),
    )

    def fault(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            row
            if row["problem_id"] in {"letters/0", "letters/1", "letters/2"}
            else {**row, "status": "fault", "score": None}
            for row in rows
        ]

    edit_rows(hostile / "judgements.jsonl", fault)
    summarise_again(hostile)
    read_back = reader.read(hostile)
    e = read_back.summary.metrics["em@1"]
    assert (e.value, e.n, e.with_faults) == (1.0, 3, 0.5)
    shown = harness("report", hostile).out
    assert "100.00 (50.00)" in shown
    assert "in brackets: the value with samples that could not be judged counted as failed" in shown
    found = compare.compare([reader.read(plain), read_back], ["em@1"])
    assert [cell.estimate.value for cell in found.cells["em@1"]] == [0.5, 0.5]
    assert (found.skipped, found.faults) == (0, 3)
    assert "could not be judged and count as failed" in comparison.render(found, [], 0)
    assert reader.read(plain).summary.metrics["em@1"].with_faults is None


def test_of_several_samples_only_the_faulted_one_fails(tmp_path: Path) -> None:
    run = make(tmp_path / "run", lambda i, j: True, problems=4, samples=2)
    edit_rows(run / "judgements.jsonl", lambda rows: rows[0].update(status="fault", score=None))
    summarise_again(run)
    found = reader.read(run)
    e = found.summary.metrics["em@1"]
    assert (e.value, e.n) == (1.0, 3)
    assert e.with_faults == pytest.approx(3 / 4)  # the first of the beam is the faulted one
    assert found.vectors("em@2", ["letters/0"])[0, 0] == 1.0
    assert found.vectors("em@1", ["letters/0"])[0, 0] == 0.0


def test_shuffled_rows_change_nothing(pair: tuple[Path, Path]) -> None:
    before = compare.as_json(compare.compare(read(*pair)), [])
    for name in ("judgements.jsonl", "generations.jsonl"):
        edit_rows(pair[1] / name, lambda rows: random.Random(1).sample(rows, len(rows)))
    assert compare.as_json(compare.compare(read(*pair)), []) == before


def test_markdown_is_a_table_of_the_figures(pair: tuple[Path, Path]) -> None:
    lines = comparison.markdown(compare.compare(read(*pair), ["em@1"])).splitlines()
    assert lines[3].startswith("| em@1 | tuned | 70.00 | ")
    assert lines[3].split(" | ")[4] == "+20.00"


def test_no_metric_in_common_is_an_error_that_names_one(pair: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="no metric 'pass@1'"):
        compare.compare(read(*pair), ["pass@1"])
