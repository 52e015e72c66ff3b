"""`doctor --task` says in which forms of today's answers a task loses its own references."""

import pytest

from harness import sandbox
from harness.results.audit import wrappings
from harness.schema import Completion
from harness.tasks.loading import data_files, registry
from tests.support.command import harness


def doctor(*more: str) -> str:
    ended = harness("doctor", "--task", "conala", "--data", "mini", "--set", "limit=3", *more)
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def lost(out: str) -> dict[str, str]:
    lines = [line.removeprefix("  LOST     ") for line in out.splitlines() if line.startswith("  LOST")]
    return {name: problems for name, _, problems in (line.partition(": ") for line in lines)}


def test_every_form_is_read_or_named_with_the_problems_it_loses() -> None:
    out = doctor()
    assert out.startswith(
        "3 problems: 0 unreliable checks\nreferences as chat models wrap them: read from 14 of"
    )
    assert lost(out) == {"prose, no fence": "3: conala/test/0, conala/test/1, conala/test/2"}


def test_the_extractor_that_is_asked_for_is_the_one_that_is_tried() -> None:
    assert list(lost(doctor("--set", "extract=first_block"))) == ["shell block before", "prose, no fence"]
    assert list(lost(doctor("--set", "extract=last_block"))) == [
        "output block after",
        "usage after",
        "prose, no fence",
    ]


def test_a_draft_of_an_unfinished_thought_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "DRAFT" not in doctor()

    def whole(completion: Completion) -> Completion:
        return completion

    monkeypatch.setattr(wrappings, "separate", whole)
    assert "  DRAFT    taken out of an unfinished <think>: 3: conala/test/0" in doctor()


def test_of_a_reference_that_fails_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    task = registry.task("mbpp")
    (good,) = data_files.load(task, "test", data_files.open_source("mini"), 1)
    bad = good.model_copy(update={"solution": good.solution.replace("return", "raise")})
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as box:
        found = wrappings.read_back(task, [bad, good], box)
    assert found == wrappings.ReadBack({}, [])


def test_queries_and_programs_are_wrapped_in_their_own_language() -> None:
    ended = harness("doctor", "--task", "spider", "--data", "mini", "--set", "limit=2")
    assert (ended.code, lost(ended.out)) == (0, {})
    assert "read from 15 of 15 forms" in ended.out
