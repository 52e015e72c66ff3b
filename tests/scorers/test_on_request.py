"""A run's `scorers`: metrics beside the task's own, asked for by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import scorers
from harness.config.load import apply_sets, parse
from harness.config.run import RunConfig
from harness.errors import ConfigError, DataError
from harness.runs import run
from harness.runs.plan import make_plan
from harness.schema import Scorer
from harness.tasks.loading import registry
from tests.support.paths import ROOT

TEXT = ("bleu", "chrf", "conala_bleu", "ast_similarity", "parse_rate")


def mini(tmp_path: Path, **more: Any) -> RunConfig:
    """CoNaLa's mini rows, each answered with its own reference."""
    task = registry.task("conala")
    plan = make_plan(parse({"task": "conala", "data": "mini"}))
    path = tmp_path / "answers.jsonl"
    rows = [json.dumps({"task_id": p.id, "solution": p.solution}) for p in plan.problems]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    backend = {"kind": "replay", "path": str(path)}
    return parse({"task": task.name, "data": "mini", "backend": backend, **more})


def test_the_tasks_own_metrics_come_first_and_do_not_change(tmp_path: Path) -> None:
    _, plain = run.run(mini(tmp_path), tmp_path / "plain")
    _, more = run.run(mini(tmp_path, scorers=TEXT), tmp_path / "more")
    own = list(plain.metrics)
    assert list(more.metrics)[: len(own)] == own
    assert {name: more.metrics[name] for name in own} == plain.metrics
    assert list(more.metrics)[len(own) :] == [
        "bleu",
        "chrf",
        "conala_bleu",
        "em_tokenized",
        "ast_similarity",
        "ast_similarity.precision",
        "ast_similarity.f1",
        "ast_similarity.excluded",
        "parse_rate",
    ]
    for name in ("bleu", "chrf", "conala_bleu", "em_tokenized", "parse_rate", "ast_similarity"):
        assert more.metrics[name].value == pytest.approx(1.0), name
    assert more.signature.startswith(plain.signature + " | bleu nrefs:1|case:mixed|")
    assert more.signature.count("python3.") == 2


def test_the_record_names_further_scorers(tmp_path: Path) -> None:
    folder, plain = run.run(mini(tmp_path), tmp_path / "plain")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["scorers"] == []
    folder, more = run.run(mini(tmp_path, scorers=["chrf"]), tmp_path / "more")
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["config"]["scorers"] == ["chrf"]
    assert plain.run_id != more.run_id


def test_the_hash_knows_further_scorers() -> None:
    assert RunConfig(task="t", scorers=("bleu",)).hash != RunConfig(task="t").hash
    assert RunConfig(task="t", scorers=()).hash == RunConfig(task="t").hash


def test_they_can_be_set_on_the_command_line() -> None:
    plain = apply_sets({"task": "conala"}, ['scorers=["bleu", "chrf"]'])
    assert parse(plain).scorers == ("bleu", "chrf")


def test_an_unknown_name_gets_the_nearest() -> None:
    task = registry.task("conala")
    with pytest.raises(ConfigError, match=r"no scorer 'blue'\. Did you mean 'bleu'"):
        registry.with_scorers(task, ["blue"])


def test_a_scorer_is_not_added_twice() -> None:
    task = registry.with_scorers(registry.task("conala"), ["exact", "bleu", "bleu"])
    assert [scorer.name for scorer in task.scorers] == ["exact", "codebleu", "bleu"]


def test_two_scorers_of_one_metric_are_refused() -> None:
    clash = replace(scorers.exact, name="mine")
    task = replace(registry.task("conala"), scorers=(clash,))
    with pytest.raises(ConfigError, match="scorer 'exact': 'mine' measures 'em@1' already: drop it"):
        registry.with_scorers(task, ["exact"])


def test_a_scorer_that_cannot_judge_the_task_is_refused_before_any_work() -> None:
    with pytest.raises(DataError, match="problem Mini/0 has no reference text"):
        make_plan(parse({"task": "humaneval", "data": "mini", "scorers": ["bleu"]}))
    make_plan(parse({"task": "humaneval", "data": "mini", "scorers": ["parse_rate", "valid_rate"]}))


def test_every_metric_is_documented() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    found = [one for one in vars(scorers).values() if isinstance(one, Scorer)]
    for name in (name for one in found for name in one.metrics([1])):
        whole, dot, part = name.replace("@1", "@k").partition(".")
        assert f"`{whole}" in text, name
        assert not dot or f".{part}`" in text or "four parts" in text, name


def test_every_exported_scorer_has_its_name_and_can_be_named() -> None:
    exported = [getattr(scorers, name) for name in scorers.__all__]
    found = [one for one in exported if isinstance(one, Scorer)]
    assert {"bleu", "codebleu", "exact", "unit_tests", "valid_rate"} <= {one.name for one in found}
    assert scorers.load_scorers([one.name for one in found]) == tuple(found)
