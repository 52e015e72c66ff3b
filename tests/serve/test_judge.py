"""harness.Judge: the verdicts of a run, for any number of askers, in this process."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import Fault
from harness.runs.judge import PacedProblems, with_reference_times
from harness.schema import Problem, Scorer, Task
from harness.serve import reference_pace
from tests.runs.test_time_factor import ENDLESS, SLOW, TASK
from tests.support.command import mini_humaneval, rows

ROWS = mini_humaneval()[:6]
IDS = [row["task_id"] for row in ROWS]
# Right, wrong, right, ... as raw output in which the answer has to be found.
TEXTS = [
    f"```python\n{row['prompt']}{row['canonical_solution'] if i % 2 == 0 else '    return None'}\n```\n"
    for i, row in enumerate(ROWS)
]
RIGHT = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


@pytest.fixture(scope="module")
def judge() -> Iterator[harness.Judge]:
    with harness.Judge("humaneval", data="mini", workers=1) as opened:
        yield opened


def test_verdicts_are_the_lines_of_a_run_to_the_letter(judge: harness.Judge, tmp_path: Path) -> None:
    given = [*zip(IDS, TEXTS, strict=True), (IDS[0], "no program"), (IDS[0], "<think>" + TEXTS[0])]
    given.sort(key=lambda pair: IDS.index(pair[0]))
    recorded = [{"task_id": name, "text": text} for name, text in given]
    run = harness.score("humaneval", recorded, data="mini", only=IDS, workers=1, out=tmp_path / "run")
    judged = [json.loads(each.model_dump_json()) for each in judge.verdicts(given)]
    assert judged == rows(run.path / "judgements.jsonl")
    assert [row["index"] for row in judged[:3]] == [0, 1, 2]


def test_rewards_are_the_scores(judge: harness.Judge) -> None:
    assert judge.rewards(IDS, TEXTS) == RIGHT
    assert judge.rewards(
        IDS[:1], [harness.Completion(text=ROWS[0]["canonical_solution"], form="continuation")]
    ) == [1.0]


def test_many_threads_and_the_event_loop_ask_at_a_time(judge: harness.Judge) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(judge.rewards, IDS, TEXTS) for _ in range(8)]

        async def ask() -> list[float | None]:
            awaited = await judge.rewards_async(IDS, TEXTS)
            streamed = [each async for each in judge.stream_async(zip(IDS, TEXTS, strict=True))]
            assert [each.score.value for each in streamed if each.score] == awaited
            return awaited

        assert asyncio.run(ask()) == RIGHT
        assert [each.result() for each in asked] == [RIGHT] * 8


def test_a_reward_may_be_a_vector_and_a_scorer_be_named() -> None:
    with harness.Judge("apps", data="mini", workers=1) as apps:
        name = next(p.id for p in apps.plan.problems if p.check.kind == "io_cases" and not p.check.fn_name)
        (vector,) = apps.reward_vectors([name], [f"```python\n{apps.problems[name].solution}\n```"])
        assert vector == (1.0, 1.0)


def test_a_mistake_is_one_line(judge: harness.Judge) -> None:
    with pytest.raises(harness.HarnessError, match=r"humaneval: no problem 'Mini/x'. Did you mean"):
        judge.verdicts([("Mini/x", "")])
    with pytest.raises(harness.HarnessError, match=r"no scorer 'unit_test'. Did you mean 'unit_tests'"):
        judge.verdicts([(IDS[0], "")], scorer="unit_test")
    with pytest.raises(harness.HarnessError, match="2 problems and 1 completions: one for each"):
        judge.rewards(IDS[:2], [""])
    with harness.Judge("humaneval", data="mini", scorers=("distinct_n",)) as together:
        with pytest.raises(harness.HarnessError, match="'distinct_n' judges a run's samples together"):
            together.verdicts([(IDS[0], "")], scorer="distinct_n")


def test_equal_programs_are_judged_once() -> None:
    with harness.Judge("humaneval", data="mini", workers=1) as fresh:
        assert fresh.rewards(IDS[:1] * 5, TEXTS[:1] * 5) == [1.0] * 5
        assert (fresh.lanes.judged, fresh.reused) == (
            1 + 3,
            4,
        )  # three questions: isolation, version, packages


def test_verdicts_of_all_threads_are_kept_in_one_file_for_the_next_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("HARNESS_NO_CACHE")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    with harness.Judge("humaneval", data="mini", workers=1) as first, ThreadPoolExecutor(6) as pool:
        assert [*pool.map(lambda i: first.rewards(IDS[i : i + 1], TEXTS[i : i + 1])[0], range(6))] == RIGHT
    with harness.Judge("humaneval", data="mini", workers=1) as second:
        assert second.rewards(IDS, TEXTS) == RIGHT
        assert (second.lanes.judged, second.reused) == (
            3,
            6,
        )  # three questions of isolation and versions, no program
    assert caplog.records == []  # nothing was said of a cache that cannot be used


def test_time_limits_follow_the_references_each_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def watched(task: Task, scorer: Scorer, problems: list[Problem], *rest: Any) -> PacedProblems:
        measured.extend(problem.id for problem in problems)
        return with_reference_times(task, scorer, problems, *rest)

    monkeypatch.setattr(reference_pace, "with_reference_times", watched)
    (tmp_path / "slow.py").write_text(TASK)
    given = [(f"slow/{i}", text) for i, text in enumerate([SLOW.format(0), SLOW.format(7), ENDLESS])]
    with harness.Judge(tmp_path / "slow.py", workers=1) as fixed:
        assert [each.status for each in fixed.verdicts(given)] == ["timeout"] * 3
    with (
        harness.Judge(tmp_path / "slow.py", workers=1, time_factor=3) as paced,
        ThreadPoolExecutor(3) as pool,
    ):
        asked = [pool.submit(lambda: [each.status for each in paced.stream(given)]) for _ in range(2)]
        asked.append(pool.submit(lambda: [each.status for each in paced.verdicts(given)]))
        assert [each.result() for each in asked] == [["passed", "failed", "timeout"]] * 3
        assert paced.record["judge"]["time_factor"] == 3
    assert sorted(measured) == ["slow/0", "slow/1", "slow/2"]


def test_a_reference_that_could_not_be_measured_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> PacedProblems:
        raise Fault("the judge is stopping")

    with harness.Judge("humaneval", data="mini", workers=1, time_factor=3) as paced:
        with monkeypatch.context() as patch:
            patch.setattr(reference_pace, "with_reference_times", broken)
            with pytest.raises(Fault, match="is stopping"):
                paced.rewards(IDS[:1], TEXTS[:1])
        assert paced.rewards(IDS[:1], TEXTS[:1]) == [1.0]
