"""The routes that judge: a task's completions by name, programs and queries by what is posted with them, rewards."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.schema import Completion, IOCases, Judgement, UnitTests
from harness.serve import messages, posted, run_code
from harness.serve.judge import same_number
from harness.serve.service import Service, Work


def verdicts(service: Service, asked: messages.VerdictRequest) -> Work[Judgement]:
    judge = service.find(asked.task)
    judge.scorer(asked.scorer)
    given = [(each.problem, Completion(text=each.completion, form=each.form)) for each in asked.samples]
    for problem, _ in given:
        judge.check(problem)
    return Work(
        samples=len(given),
        rows=lambda: map(service.told, judge.stream(given, asked.scorer)),
        line=_plain,
        status=lambda row: (judge.name, row.status),
        whole=None if asked.stream else _verdicts,
    )


def rewards(service: Service, asked: messages.RewardRequest) -> Work[Judgement]:
    same_number(asked.problems, asked.completions)
    samples = tuple(
        messages.PostedCompletion(problem=problem, completion=completion, form=asked.form)
        for problem, completion in zip(asked.problems, asked.completions, strict=True)
    )
    work = verdicts(service, messages.VerdictRequest(task=asked.task, scorer=asked.scorer, samples=samples))

    def whole(rows: Sequence[Judgement]) -> Mapping[str, Any]:
        return {"rewards": [_reward(row, asked.vector) for row in rows]}

    return Work(work.samples, work.rows, work.line, work.status, whole)


def checks(service: Service, asked: messages.CheckRequest) -> Work[Judgement]:
    for i, sample in enumerate(asked.samples):
        check = sample.check
        if not isinstance(check, messages.PostedQuery):
            tests_mb = check.memory_mb if isinstance(check, UnitTests) else 0
            messages.within(service.settings.granted(check.limits), tests_mb, f"samples.{i}.check")
        if isinstance(check, IOCases):
            messages.check_cases(check, f"samples.{i}.check")
    return Work(
        samples=len(asked.samples),
        rows=lambda: posted.judge(asked.samples, service.caching),
        line=_plain,
        status=lambda row: (f"posted {row.scorer}", row.status),
        whole=None if asked.stream else _verdicts,
    )


def code(service: Service, asked: messages.RunCodeRequest) -> Work[messages.RunCodeReply]:
    program = run_code.program(asked)
    return Work(
        samples=1,
        rows=lambda: (run_code.reply(program, each) for each in service.uncached.map([program])),
        line=_plain,
        status=lambda row: ("run_code", row.status),
        whole=lambda rows: _plain(rows[0]),
    )


def _plain(row: Judgement | messages.RunCodeReply) -> Mapping[str, Any]:
    return row.model_dump(mode="json")


def _verdicts(rows: Sequence[Judgement]) -> Mapping[str, Any]:
    return {"verdicts": [_plain(row) for row in rows]}


def _reward(row: Judgement, vector: bool) -> float | list[float] | None:
    if row.score is None:
        return None
    return [row.score.value, *row.score.stats] if vector else row.score.value
