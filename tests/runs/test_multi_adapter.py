"""Scorers of more than one answer at a time: diversity of a problem's samples, overlap with the train split."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from harness import scorers
from harness.config.load import parse
from harness.errors import ConfigError, UserError
from harness.runs import judge
from harness.runs import plan as planning
from harness.schema import Problem, Score, Supplies
from harness.scorers.similarity.conala_bleu import challenge_words
from harness.tasks.loading import registry
from harness.text.diversity import distinct_n
from harness.text.train_overlap import overlap
from tests.support.command import harness, mini_humaneval, write_rows

SAMPLES = {
    "conala/test/0": ["a b a b", "a b c", ""],
    "conala/test/1": ["x", "x", "x"],
    "conala/test/2": ["f(x)", "g(x)", "f(x) + g(x)"],
}


def scored(tmp_path: Path, scorer: str, samples: dict[str, list[str]] = SAMPLES) -> Path:
    said = [{"task_id": name, "text": text} for name, texts in samples.items() for text in texts]
    file = write_rows(tmp_path / "said.jsonl", said)
    ended = harness(
        *("score", "conala", "--data", "mini", "--set", "limit=3", "--set", f'scorers=["{scorer}"]'),
        *("--completions", file, "--out", tmp_path / "run"),
    )
    assert ended.code == 0, ended.err
    return tmp_path / "run"


def metrics(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))["metrics"]
    return found


# ---------------------------------------------------------------- distinct_n


def test_distinct_n_counts_within_a_problem_and_sums_over_problems(tmp_path: Path) -> None:
    found = metrics(scored(tmp_path, "distinct_n"))
    for n in (1, 2, 3):
        distinct = total = 0.0
        for texts in SAMPLES.values():
            words = [challenge_words(text) for text in texts]
            size = sum(max(0, len(of_one) - n + 1) for of_one in words)
            distinct += distinct_n(words, n) * size
            total += size
        assert found[f"distinct_{n}"]["value"] == pytest.approx(distinct / total)
        assert found[f"distinct_{n}"]["n"] == 3
    assert found["distinct_1"]["value"] == pytest.approx((3 + 1 + 6) / (7 + 3 + 17))
    assert found["distinct_1"]["low"] < found["distinct_1"]["high"]


@pytest.mark.parametrize("kept", [1, 2, 4, 5])
def test_a_run_cut_off_among_a_problems_samples_ends_with_the_same_bytes(tmp_path: Path, kept: int) -> None:
    run = scored(tmp_path, "distinct_n")
    names = ("judgements.jsonl", "summary.json")
    before = {name: (run / name).read_bytes() for name in names}
    written = (run / "judgements.jsonl").read_text().splitlines(keepends=True)
    diverse = [line for line in written if json.loads(line)["scorer"] == "distinct_n"]
    others = [line for line in written if line not in diverse]
    (run / "judgements.jsonl").write_text("".join(others + diverse[:kept]))
    (run / "summary.json").unlink()
    scored(tmp_path, "distinct_n")
    assert {name: (run / name).read_bytes() for name in names} == before


# ---------------------------------------------------------------- train_overlap


def conala_problem(solution: str) -> Problem:
    return Problem.model_validate(
        {
            "id": "conala/train/0",
            "question": "q",
            "solution": solution,
            "check": {"kind": "reference", "texts": (solution,)},
        }
    )


def test_overlap_is_that_of_the_train_splits_solutions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planning.make_plan(parse({"task": "conala", "data": "mini", "split": "train"}))
    training = [problem.solution for problem in plan.problems]
    longest = max(training, key=lambda text: len(challenge_words(text)))
    assert len(challenge_words(longest)) >= 13
    samples = {
        "conala/test/0": [longest],
        "conala/test/1": ["print(longest) # " + longest],
        "conala/test/2": ["nothing of the kind"],
    }
    for batch in (2000, 2):
        module = importlib.import_module("harness.scorers.reference_free.train_overlap")
        monkeypatch.setattr(module, "BATCH", batch)
        (tmp_path / str(batch)).mkdir()
        found = metrics(scored(tmp_path / str(batch), "train_overlap", samples))
        assert {name: round(found[name]["value"], 6) for name in found if name.startswith("train")} == {
            "train_overlap": pytest.approx(shared_share(samples, training), abs=1e-6),
            "train_overlap.answers": round(2 / 3, 6),
            "train_overlap.copies": round(1 / 3, 6),
            "train_overlap.longest": pytest.approx(
                sum(one.longest for one in separate(samples, training)) / 3, abs=1e-6
            ),
        }


def separate(samples: dict[str, list[str]], training: list[str]) -> Any:
    answers = [challenge_words(text) for texts in samples.values() for text in texts]
    return overlap(answers, [challenge_words(text) for text in training])


def shared_share(samples: dict[str, list[str]], training: list[str]) -> float:
    found = separate(samples, training)
    return sum(one.shared for one in found) / sum(one.ngrams for one in found)


def test_a_task_without_a_train_split_says_so_before_any_work(tmp_path: Path) -> None:
    ended = harness(
        *("score", "humaneval", "--data", "mini", "--completions", tmp_path / "none.jsonl"),
        *("--set", 'scorers=["train_overlap"]', "--out", tmp_path / "run"),
    )
    assert ended.complaint.startswith("task 'humaneval' has no train rows")
    assert not (tmp_path / "run").exists()


def test_a_train_split_without_solutions_is_refused() -> None:
    make = scorers.train_overlap.prepare
    assert make is not None
    supplies = Supplies(likelihoods=dict, training=lambda: [conala_problem(" ")])
    with pytest.raises(ConfigError, match=r"^train_overlap needs a train split with solutions"):
        make(supplies)


def test_scorers_that_need_a_run_say_so_when_they_are_called_without_one() -> None:
    for scorer in (scorers.train_overlap, scorers.perplexity):
        assert scorer.needs
        with pytest.raises(UserError, match="needs"):
            list(scorer.score([(conala_problem("x"), "x")], None))


def test_doctor_proves_the_other_scorers_of_a_task() -> None:
    task = registry.with_scorers(registry.task("conala"), ["perplexity", "train_overlap", "distinct_n"])
    assert [scorer.name for scorer in task.scorers][-3:] == ["perplexity", "train_overlap", "distinct_n"]
    problem = conala_problem("x = [1, 2]")
    assert judge.prove(task, [problem], None) == []  # type: ignore[arg-type]


def test_conala_test_references_against_its_train_split(real_data: Path) -> None:
    plan = planning.make_plan(parse({"task": "conala", "data": str(real_data), "scorers": ["train_overlap"]}))
    make = scorers.train_overlap.prepare
    assert make is not None
    ready = make(Supplies(likelihoods=dict, training=lambda: plan.training))
    scores: list[Score] = []
    for verdict in ready.score(((p, p.solution) for p in plan.problems), None):
        assert verdict.score is not None
        scores.append(verdict.score)
    touched = sum(score.stats[2] for score in scores) / len(scores)
    copies = sum(score.stats[3] for score in scores) / len(scores)
    assert (round(touched, 2), round(copies, 3)) == (0.06, 0.008)
    assert max(score.stats[4] for score in scores) == 23


def test_a_run_counts_the_exceptions_that_ended_programs(tmp_path: Path) -> None:
    ends = ["    return undefined\n", "    return 1 +\n", "    raise KeyError('x')\n", "    return None\n"]
    ends.append("    import os\n    os._exit(3)\n")
    said = [
        {"task_id": row["task_id"], "completion": ends[n % 5]} for n, row in enumerate(mini_humaneval()[:10])
    ]
    file = write_rows(tmp_path / "said.jsonl", said)
    ended = harness(
        *("score", "humaneval", "--data", "mini", "--set", "limit=10", "--workers", 1),
        *("--completions", file, "--out", tmp_path / "run"),
    )
    assert ended.code == 0, ended.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["error_classes"] == {"KeyError": 2, "NameError": 2, "SyntaxError": 2}
    assert summary["status_counts"] == {"compile_error": 2, "error": 6, "failed": 2}
    assert "exceptions: KeyError 2, NameError 2, SyntaxError 2" in ended.out
