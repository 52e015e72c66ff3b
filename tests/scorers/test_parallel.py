"""Scorers on several processes: the same verdicts in the same order, bounded, and gone when their asker is."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from harness import scorers
from harness.errors import DataError, Fault
from harness.schema import Answer, Problem, Reference, Scorer, UnitTests
from harness.scorers import parallel
from tests.support.command import harness, write_rows


def problem(n: int) -> Problem:
    text = f"x{n % 7} = f(y, {n % 5})"
    return Problem(id=f"p/{n}", question="", solution=text, check=Reference(texts=(text,)))


ANSWERS = [(problem(n // 3), f"x{n % 4} = f(y, {n % 3})\n" * (n % 5)) for n in range(700)]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WARMUP_S", 0.0)
    monkeypatch.setattr(parallel.ScorerProcess, "ready", lambda worker: True)


@pytest.mark.parametrize("scorer", [scorers.codebleu, scorers.exact, scorers.ast_similarity])
def test_verdicts_are_those_of_one_process_in_the_order_of_the_answers(at_once: None, scorer: Scorer) -> None:
    verdicts = list(scorer.score(iter(ANSWERS), None))
    assert list(parallel.parallelize(scorer, 2)(iter(ANSWERS), None)) == verdicts
    with parallel.ScorerProcess(scorer.name) as worker:
        assert worker.score_chunk(ANSWERS) == verdicts


def test_answers_are_drawn_only_as_they_are_needed(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MIN_CHUNK", 10)
    drawn = 0

    def answers() -> Iterator[Answer]:
        nonlocal drawn
        for answer in ANSWERS:
            drawn += 1
            yield answer

    verdicts = parallel.parallelize(scorers.codebleu, 2)(answers(), None)
    next(verdicts)
    assert drawn == 40  # two chunks a process
    assert sum(1 for _ in verdicts) == len(ANSWERS) - 1


def test_nobody_waits_for_a_process_that_is_still_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WARMUP_S", 0.0)
    monkeypatch.setattr(parallel.ScorerProcess, "ready", lambda worker: False)
    monkeypatch.setattr(parallel.ScorerProcess, "score_chunk", None)
    verdicts = list(scorers.exact.score(ANSWERS, None))
    assert list(parallel.parallelize(scorers.exact, 3)(iter(ANSWERS), None)) == verdicts


def test_a_short_run_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.subprocess, "Popen", None)
    assert len(list(parallel.parallelize(scorers.codebleu, 2)(ANSWERS[:100], None))) == 100


def test_only_scorers_that_another_process_finds_and_repeats_are_spread() -> None:
    def spreads(scorer: Scorer, workers: int = 2) -> bool:
        return parallel.parallelize(scorer, workers) is not scorer.score

    assert spreads(scorers.codebleu)
    assert not spreads(scorers.codebleu, workers=1)
    assert not spreads(scorers.codebleu_package)  # depends on the hash seed, which differs between processes
    assert not spreads(scorers.codebleu_with("one"))  # has no name to be found by
    assert not spreads(replace(scorers.codebleu))  # somebody's own, under a name that is taken
    assert not spreads(scorers.unit_tests)
    assert not spreads(scorers.distinct_n)  # looks at a problem's samples together


def test_an_error_there_is_the_error_here_and_comes_after_the_verdicts_before_it(at_once: None) -> None:
    odd = Problem(id="odd", question="", solution="", check=UnitTests(code="", entry_point="f"))
    with (
        parallel.ScorerProcess("codebleu") as worker,
        pytest.raises(DataError, match="problem odd has no reference"),
    ):
        worker.score_chunk([(odd, "x")])
    verdicts = parallel.parallelize(scorers.codebleu, 2)([*ANSWERS[:120], (odd, "x")], None)
    assert len(list(islice(verdicts, 100))) == 100  # the chunks before the one that it is in
    with pytest.raises(DataError, match="problem odd has no reference text"):
        next(verdicts)


def test_a_process_that_dies_is_a_fault_and_no_score(at_once: None) -> None:
    with parallel.ScorerProcess("codebleu") as worker:
        assert len(worker.score_chunk(ANSWERS[:2])) == 2
        os.kill(worker.process.pid, signal.SIGKILL)
        with pytest.raises(Fault, match=r"a process of scorer 'codebleu' ended with status -9"):
            worker.score_chunk(ANSWERS[:2])


def test_processes_end_when_nobody_asks_any_more(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    popen = parallel.subprocess.Popen
    monkeypatch.setattr(parallel.subprocess, "Popen", lambda *a, **k: made.append(popen(*a, **k)) or made[-1])
    verdicts = parallel.parallelize(scorers.codebleu, 3)(iter(ANSWERS), None)
    next(verdicts)
    verdicts.close()  # type: ignore[attr-defined]
    assert [process.poll() for process in made] == [0, 0]


def test_a_run_has_the_same_bytes_with_any_number_of_workers(at_once: None, tmp_path: Path) -> None:
    said = [{"task_id": f"conala/test/{n}", "text": f"x.f({i})"} for n in range(30) for i in range(4)]
    file = write_rows(tmp_path / "said.jsonl", said)
    for workers in (1, 2):
        ended = harness(
            *("score", "conala", "--data", "mini", "--set", "limit=30", "--workers", workers),
            *("--completions", file, "--out", tmp_path / str(workers)),
        )
        assert ended.code == 0, ended.err
    one, two = ((tmp_path / w / "judgements.jsonl").read_bytes() for w in ("1", "2"))
    assert one == two
