"""Whatever a model puts around a right function, the function is what is judged; a draft in a thought never is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import sandbox, scorers
from harness.runs.judge import answer_of
from harness.schema import Completion, Problem, Verdict
from harness.tasks.loading import data_files, registry
from harness.text.completion_parts import separate
from tests.support.wrappings import UNFINISHED, WRAPPINGS, Wrap

TASK = registry.task("humaneval")


@pytest.fixture(scope="module")
def judged() -> Iterator["Judged"]:
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as box:
        yield Judged(box)


class Judged:
    """Verdicts by program: most wrappings give the same one."""

    def __init__(self, box: sandbox.Pool) -> None:
        self.box = box
        self.verdicts: dict[tuple[str, str], Verdict] = {}

    def failing(self, problems: list[Problem], wrap: Wrap) -> list[tuple[str, str]]:
        """The problems whose wrapped answer does not pass, with the program that was judged."""
        scorer = scorers.unit_tests
        answers = [
            (each, answer_of(TASK, scorer, each, separate(Completion(text=wrap(each))))) for each in problems
        ]
        new = [(each, code) for each, code in answers if (each.id, code) not in self.verdicts]
        for (each, code), verdict in zip(new, scorer.score(iter(new), self.box), strict=True):
            self.verdicts[each.id, code] = verdict
        return [(each.id, code) for each, code in answers if self.verdicts[each.id, code].status != "passed"]


@pytest.fixture(scope="module")
def mini() -> list[Problem]:
    return data_files.load(TASK, "test", data_files.open_source("mini"))


@pytest.mark.parametrize("name", WRAPPINGS)
def test_every_reference_passes_in_every_wrapping(name: str, mini: list[Problem], judged: Judged) -> None:
    assert len(mini) == 66
    assert judged.failing(mini, WRAPPINGS[name]) == []


@pytest.mark.parametrize("name", UNFINISHED)
def test_a_draft_in_a_thought_that_was_cut_off_is_no_answer(
    name: str, mini: list[Problem], judged: Judged
) -> None:
    assert len(judged.failing(mini, UNFINISHED[name])) == len(mini)


def test_the_164_references_of_humaneval_pass_in_every_wrapping(real_data: Path, judged: Judged) -> None:
    problems = data_files.load(TASK, "test", data_files.open_source(str(real_data)))
    assert len(problems) == 164
    assert {
        name: failing for name, wrap in WRAPPINGS.items() if (failing := judged.failing(problems, wrap))
    } == {}
    assert [len(judged.failing(problems, wrap)) for wrap in UNFINISHED.values()] == [164] * len(UNFINISHED)
