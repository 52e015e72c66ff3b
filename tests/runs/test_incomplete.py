"""What a server says is data, with its own count; what it fails to say is missing, and the rest is judged."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ConfigError
from harness.results.baseline import Rules, make_baseline
from harness.runs.judge import answer_of
from harness.runs.store import reader
from harness.runs.store.conditions import conditions
from harness.schema import Completion, Problem, Reference
from harness.tasks.loading import registry
from tests.support.command import Ended, harness, rows, run_mini
from tests.support.faulty_server import World, asked, serving

FILES = ("generations.jsonl", "judgements.jsonl", "summary.json")


@pytest.fixture
def world() -> Iterator[World]:
    with serving(World()) as world:
        world.answer = lambda body, index: "x = 1"
        yield world


def run(world: World, out: Path, *more: object, limit: int = 4) -> Ended:
    server = (
        "server.api=chat",
        "server.concurrency=1",
        "server.retries=0",
    )
    options = [word for each in server for word in ("--set", f"backend.{each}")]
    return run_mini(world.url, out, limit, *options, *more)


def summary(folder: Path) -> dict[str, Any]:
    plain = json.loads((folder / "summary.json").read_text())
    assert isinstance(plain, dict)
    return plain


def test_two_refusals_of_four_are_two_failed_samples_and_no_fault(world: World, tmp_path: Path) -> None:
    world.plan = lambda number, body: "refuses" if number in (1, 2) else ""
    more = ["bleu", "chrf", "ast_similarity", "parse_rate", "distinct_n"]
    ended = run(world, tmp_path / "run", "--set", f"scorers={json.dumps(more)}")
    assert ended.code == 0, ended
    assert "of 4 completions 2 refused" in ended.out
    found = summary(tmp_path / "run")
    assert found["completions"] == {"refused": 2}
    assert (found["problems"], found["samples"], found["metrics"]["em@1"]["n"]) == (4, 4, 4)
    refused = [
        row for row in rows(tmp_path / "run/generations.jsonl") if row["completion"]["finish"] == "refused"
    ]
    assert [row["completion"]["text"] for row in refused] == ["", ""]
    assert {row["completion"]["note"] for row in refused} == {"I can't help with that."}
    names = {row["problem_id"] for row in refused}
    judged = [row for row in rows(tmp_path / "run/judgements.jsonl") if row["problem_id"] in names]
    assert len({row["scorer"] for row in judged}) >= len(more) + 2
    assert {row["score"]["value"] for row in judged} == {0.0}


def test_refusals_can_be_left_out_and_the_signature_says_so(world: World, tmp_path: Path) -> None:
    world.plan = lambda number, body: "refuses" if number in (1, 2) else ""
    exclude = ("--set", 'judge.exclude=["refused", "empty"]')
    ended = run(world, tmp_path / "run", *exclude, "--set", 'scorers=["parse_rate"]')
    assert ended.code == 0, ended
    found = summary(tmp_path / "run")
    assert found["metrics"]["parse_rate"] | {"low": 0, "high": 0} == {
        "value": 1.0, "low": 0, "high": 0, "n": 2, "k": 2.0
    }  # fmt: skip
    assert " | without empty, refused | " in found["signature"]
    assert "2 samples are left out of the metrics (judge.exclude: empty, refused)" in found["notes"]
    result = reader.read(tmp_path / "run")
    assert len(result.judged("parse_rate")) == 2
    assert conditions(result)["exclude"] == ["empty", "refused"]
    with pytest.raises(ConfigError, match=r"cannot be a baseline"):
        make_baseline(result, Rules())
    plain = run(world, tmp_path / "run")
    assert "exclude: ['empty', 'refused'] there, None now" in plain.err


def test_of_several_samples_the_refused_ones_are_left_out(world: World, tmp_path: Path) -> None:
    def plan(number: int, body: dict[str, Any]) -> str:
        return "refuses" if number in (1, 2) else "one"

    world.plan = (
        plan  # each sample of the two problems has a request of its own; the second and third are refused
    )
    drawn = (
        "--samples",
        2,
        "--set",
        "sampling.temperature=1.0",
        "--set",
        "k=[2]",
        "--set",
        'judge.exclude=["refused"]',
    )
    assert run(world, tmp_path / "run", *drawn, limit=2).code == 0
    found = summary(tmp_path / "run")
    assert found["completions"]["refused"] == 2
    assert "no metric at k = 2: a problem has no more than 1 samples left" in found["notes"]
    assert {name: e["n"] for name, e in found["metrics"].items() if name.startswith("em@")} == {"em@1": 2}
    assert reader.read(tmp_path / "run").judged("em@1") == {
        row["problem_id"] for row in rows(tmp_path / "run/problems.jsonl")
    }


def test_a_server_that_dies_leaves_a_summary_of_what_is_there_and_the_same_command_completes_it(
    world: World, tmp_path: Path
) -> None:
    assert run(world, tmp_path / "undisturbed").code == 0
    world.bodies.clear()
    world.plan = lambda number, body: "dropped" if number >= 3 else ""
    ended = run(world, tmp_path / "run")
    assert ended.code == 3
    assert "no answer after 1 tries" in ended.err
    assert "3 of 4 samples are kept; rerun the same command to resume" in ended.err
    assert (
        "partial: 1 of 4 samples could not be made; problems that miss some (1) are in no metric" in ended.out
    )
    found = summary(tmp_path / "run")
    assert (found["samples"], found["problems"], found["missing"]) == (3, 3, 1)
    assert found["metrics"]["em@1"]["n"] == 3
    assert len(rows(tmp_path / "run/generations.jsonl")) == 3
    assert reader.read(tmp_path / "run").judged("em@1") == {
        row["problem_id"] for row in rows(tmp_path / "run/generations.jsonl")
    }
    world.plan = lambda number, body: ""
    assert run(world, tmp_path / "run").code == 0
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name


def test_a_problem_that_misses_samples_is_in_no_metric_wherever_they_are_missing(
    world: World, tmp_path: Path
) -> None:
    def plan(number: int, body: dict[str, Any]) -> str:
        return "status 500" if number == 2 else "one"  # the first sample of the second problem

    world.plan = plan
    ended = run(world, tmp_path / "run", "--samples", 2, "--temperature", 1.0, limit=3)
    assert ended.code == 3
    first, second, third = (row["problem_id"] for row in rows(tmp_path / "run/problems.jsonl"))
    result = reader.read(tmp_path / "run")
    assert result.samples == {first: 2, second: 1, third: 2}
    assert result.judged("em@1") == {first, third}
    assert summary(tmp_path / "run")["metrics"]["em@1"]["n"] == 2


def test_a_shard_with_missing_samples_is_not_merged(world: World, tmp_path: Path) -> None:
    assert run(world, tmp_path / "0", "--shard", "0/2").code == 0
    world.bodies.clear()
    world.plan = lambda number, body: "dropped" if number >= 1 else ""
    assert run(world, tmp_path / "1", "--shard", "1/2").code == 3
    ended = harness("merge", tmp_path / "0", tmp_path / "1", "--out", tmp_path / "whole")
    assert "shard 1/2 is not finished: rerun its command" in ended.complaint


def test_a_run_without_a_single_sample_has_no_summary(world: World, tmp_path: Path) -> None:
    world.plan = lambda number, body: "status 500"
    assert run(world, tmp_path / "run").code == 3
    assert not (tmp_path / "run/summary.json").exists()


def test_a_study_shows_the_cell_that_could_not_be_completed(world: World, tmp_path: Path) -> None:
    world.plan = lambda number, body: "dropped" if asked(body) and number == 3 else ""
    path = tmp_path / "study.toml"
    path.write_text(
        f'task = "conala"\ndata = "mini"\nlimit = 2\ncache = ""\n[backend]\nkind = "openai"\nmodel = "m"\n'
        f'[backend.server]\nurl = "{world.url}"\nretries = 0\nconcurrency = 1\n[matrix]\nseed = [1, 2]\n'
    )
    ended = harness("run", path, "--out", tmp_path / "runs")
    assert ended.code == 3
    assert "1 of 2 cells failed" in ended.err
    assert "partial: 1 of 2 samples could not be made" in ended.out


def test_completions_that_were_cut_are_counted_and_too_many_are_told(world: World, tmp_path: Path) -> None:
    world.plan = lambda number, body: "thinks" if number == 0 else ""
    ended = run(world, tmp_path / "run")
    assert summary(tmp_path / "run")["completions"] == {"cut_off": 1, "empty": 1, "length": 1, "reasoned": 1}
    assert "of 4 completions 1 empty, 1 ended by length, 1 ended inside a thought" in ended.out
    assert "25.0 % of the completions ended by length: sampling.max_tokens may be too small" in ended.out
    assert "25.0 % of the completions ended inside a thought: a reasoning model needs" in ended.out


@pytest.mark.parametrize("finish", ["refused", "filtered", "skipped"])
def test_the_text_of_a_sample_that_was_no_answer_is_not_judged_whoever_made_it(finish: Any) -> None:
    task = registry.task("conala", {})
    problem = Problem(id="p", question="q", solution="x", check=Reference(texts=("x",)))
    for scorer in (task.scorers[0], replace(task.scorers[0], raw=True)):
        assert answer_of(task, scorer, problem, Completion(text="x = 1", finish=finish)) == ""
        assert answer_of(task, scorer, problem, Completion(text="x = 1", finish="eos")) == "x = 1"
