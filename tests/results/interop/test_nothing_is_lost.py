"""What is imported or exported takes no other result's place, and an import writes only what can be read again."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import ConfigError, DataError
from harness.results import external
from harness.results.interop import hub_results, readers
from tests.results.interop.test_readers import lm_eval
from tests.support.command import harness, write_rows

KIND = {"type": "text-generation"}


def card(folder: Path, *results: tuple[dict[str, Any], list[dict[str, Any]]]) -> Path:
    """A README.md whose index has these results: a data set and its metrics each."""
    found = [{"task": KIND, "dataset": dataset, "metrics": metrics} for dataset, metrics in results]
    folder.mkdir(exist_ok=True)
    text = yaml.safe_dump({"model-index": [{"name": "m", "results": found}]}, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{text}---\n# A model\n")
    return folder / "README.md"


def pass_at_1(value: float) -> list[dict[str, Any]]:
    return [{"type": "pass@1", "value": value}]


def starcoders(folder: Path) -> Path:
    """As its card has it: data sets of one type that differ by name alone."""
    return card(
        folder,
        ({"type": "openai_humaneval", "name": "HumanEval (Prompted)"}, pass_at_1(0.408)),
        ({"type": "openai_humaneval", "name": "HumanEval"}, pass_at_1(0.336)),
        ({"type": "nuprl/MultiPL-E", "name": "MultiPL-HumanEval (C++)"}, pass_at_1(0.3155)),
        ({"type": "mbpp", "name": "MBPP"}, pass_at_1(0.527)),
        ({"type": "nuprl/MultiPL-E", "name": "MultiPL-HumanEval (Swift)"}, pass_at_1(0.2274)),
    )


def test_a_cards_data_sets_of_one_type_are_results_of_their_own(tmp_path: Path) -> None:
    found = {
        one.task: one.metrics["pass@1"].value
        for one, _ in readers.read_results(starcoders(tmp_path / "model"))
    }
    assert found == {
        "openai_humaneval[HumanEval (Prompted)]": 0.408,
        "openai_humaneval[HumanEval]": 0.336,
        "nuprl/MultiPL-E[MultiPL-HumanEval (C++)]": 0.3155,
        "mbpp": 0.527,
        "nuprl/MultiPL-E[MultiPL-HumanEval (Swift)]": 0.2274,
    }


def test_two_values_of_one_metric_both_stand_and_the_same_value_stands_once(tmp_path: Path) -> None:
    values = [("acc", None, 5), ("acc", "strict", 7), ("acc", None, 9), ("acc", None, 5)]
    metrics = [{"type": t, "value": v, **({"name": name} if name else {})} for t, name, v in values]
    ((one, _),) = readers.read_results(card(tmp_path / "m", ({"type": "d", "name": "n"}, metrics)))
    assert {name: each.value for name, each in one.metrics.items()} == {"acc": 5, "acc,strict": 7, "acc,2": 9}


def test_a_run_written_into_a_card_leaves_results_that_differ_by_name_alone(tmp_path: Path) -> None:
    before = yaml.safe_load(starcoders(tmp_path).read_text().split("---")[1])["model-index"]
    dataset = {"type": "nuprl/MultiPL-E", "name": "MultiPL-HumanEval (Swift)"}
    own = [{"name": "m", "results": [{"task": KIND, "dataset": dataset, "metrics": pass_at_1(30.0)}]}]
    (model,) = hub_results.beside(before, own)
    assert [each["dataset"]["name"] for each in model["results"]] == [
        "HumanEval (Prompted)",
        "HumanEval",
        "MultiPL-HumanEval (C++)",
        "MBPP",
        "MultiPL-HumanEval (Swift)",
    ]
    assert [each["metrics"][0]["value"] for each in model["results"]] == [0.408, 0.336, 0.3155, 0.527, 30.0]


def multipl_e(path: Path, language: str, status: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    results = [{"program": "x", "exit_code": 0 if status == "OK" else 1, "status": status}]
    plain = {"name": "HumanEval_0_x", "language": language, "results": results}
    path.write_text(json.dumps(plain))


def test_a_multipl_e_folder_of_two_languages_is_two_results(tmp_path: Path) -> None:
    multipl_e(tmp_path / "lua" / "HumanEval_0_x.results.json", "lua", "Exception")
    multipl_e(tmp_path / "py" / "HumanEval_0_x.results.json", "py", "OK")
    found = [(one.task, one.n, one.metrics["pass@1"].value) for one, _ in readers.read_results(tmp_path)]
    assert found == [("multipl_e[lua]", 1, 0.0), ("multipl_e[py]", 1, 1.0)]
    multipl_e(tmp_path / "py2" / "HumanEval_0_x.results.json", "py", "Exception")
    with pytest.raises(DataError, match=r"problem 'HumanEval_0_x' of py is in another file"):
        readers.read_results(tmp_path)


def test_a_question_of_livecodebench_that_occurs_twice_is_told(tmp_path: Path) -> None:
    rows = [{"question_id": "a", "graded_list": [passed], "output_list": ["x"]} for passed in (True, False)]
    (tmp_path / "m_eval_all.json").write_text(json.dumps(rows))
    with pytest.raises(DataError, match="question 'a' occurs twice"):
        readers.read_results(tmp_path / "m_eval_all.json")


def test_another_result_of_the_same_name_is_numbered_and_the_same_one_written_again(tmp_path: Path) -> None:
    first, second = lm_eval(tmp_path / "x" / "m", {1, 2, 3}), lm_eval(tmp_path / "y" / "m", {4})
    for folder in (first, second, first, second):
        ended = harness("import", folder, "--out", tmp_path / "out")
        assert ended.code == 0, ended.err
    found = {
        file.name: external.read_result(file).metrics["exact_match,none"].value
        for file in (tmp_path / "out").glob(f"*{external.SUFFIX}")
    }
    assert found == {
        "lm-eval-tiny-m.imported.json": 0.25,
        "lm-eval-tiny-m-2.imported.json": pytest.approx(1 / 12),
    }
    assert len(list((tmp_path / "out").glob("*.completions.jsonl"))) == 2


def every_eval_ever(folder: Path, score: float, sample: float) -> Path:
    metric = {"lower_is_better": False, "min_score": 0, "max_score": 1}
    result = {
        "evaluation_name": "t",
        "evaluation_result_id": "acc",
        "source_data": {},
        "metric_config": metric,
    }
    plain = {
        "schema_version": "0.3.0",
        "evaluation_id": "e",
        "eval_library": {"name": "l", "version": "1"},
        "model_info": {"id": "d/m"},
        "evaluation_results": [{**result, "score_details": {"score": score}}],
    }
    path = folder / "12345678-1234-1234-1234-123456789012.json"
    path.write_text(json.dumps(plain))
    said = {"evaluation_id": "e", "evaluation_name": "t", "sample_id": "a", "evaluation_result_id": "acc"}
    row = {**said, "input": {"raw": "q"}, "output": {"raw": ["x"]}, "evaluation": {"score": sample}}
    write_rows(path.with_name(f"{path.stem}_samples.jsonl"), [row])
    return path


@pytest.mark.parametrize(
    ("score", "sample", "complaint"),
    [
        (float("inf"), 1.0, "unexpected content: value: input should be a finite number"),
        (
            1.0,
            float("nan"),
            "_samples.jsonl:1: not a sample of Every Eval Ever: values.acc.0: input should be",
        ),
    ],
)
def test_what_is_no_number_is_refused_and_not_written_as_null(
    tmp_path: Path, score: float, sample: float, complaint: str
) -> None:
    path = every_eval_ever(tmp_path, score, sample)
    assert complaint in harness("import", path, "--out", tmp_path / "out").complaint
    assert not (tmp_path / "out").exists()


def test_a_verdict_or_an_id_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    row = {"task_id": "HumanEval/0", "passed": True, "result": "passed", "completion": "x"}
    for changed in ({"passed": float("nan")}, {"task_id": 0}):
        path = write_rows(tmp_path / "m_results.jsonl", [{**row, **changed}])
        complaint = harness("import", path, "--out", tmp_path / "out").complaint
        assert "m_results.jsonl: unexpected content: " in complaint
        assert "http" not in complaint


def test_half_surrogate_pairs_in_names_are_written_as_escapes_and_stay_apart(tmp_path: Path) -> None:
    row = {"passed": True, "result": "passed", "completion": "x"}
    path = write_rows(
        tmp_path / "m_results.jsonl", [{"task_id": "H\ud800", **row}, {"task_id": "H\ud801", **row}]
    )
    assert harness("import", path, "--out", tmp_path / "ids").code == 0
    (file,) = (tmp_path / "ids").glob(f"*{external.SUFFIX}")
    one = external.read_result(file)
    assert (one.n, list(one.items)) == (2, [r"H\ud800", r"H\ud801"])
    folder = lm_eval(tmp_path / "m", {1}, samples=False)
    (results,) = folder.glob("results_*.json")
    results.write_text(results.read_text().replace('"pretrained": "m"', r'"pretrained": "\ud800x"'))
    assert harness("import", folder, "--out", tmp_path / "model").code == 0
    (file,) = (tmp_path / "model").glob(f"*{external.SUFFIX}")
    assert external.read_result(file).model == r"\ud800x"


def test_a_name_too_long_for_a_file_is_cut_and_told_apart(tmp_path: Path) -> None:
    for end in "ab":
        folder = lm_eval(tmp_path / end, {1})
        (results,) = folder.glob("results_*.json")
        long = results.read_text().replace(f'"pretrained": "{end}"', f'"pretrained": "/mnt/{"ä" * 300}{end}"')
        results.write_text(long)
        ended = harness("import", folder, "--out", tmp_path / "out")
        assert ended.code == 0, ended.err
    names = [file.name for file in (tmp_path / "out").glob(f"*{external.SUFFIX}")]
    assert len(names) == 2
    assert all(len(name.encode()) < 200 for name in names)


def test_a_results_file_that_was_edited_is_no_result_that_may_be_replaced(tmp_path: Path) -> None:
    folder = lm_eval(tmp_path / "m", {1})
    assert harness("import", folder, "--out", tmp_path).code == 0
    (file,) = tmp_path.glob(f"*{external.SUFFIX}")
    file.write_text("{}")
    with pytest.raises(ConfigError):
        external.read_result(file)
    assert harness("import", folder, "--out", tmp_path).code == 0
    assert file.read_text() == "{}"
