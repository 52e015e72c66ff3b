"""Completions to verdicts: every answer extracted, scored by every scorer, and kept; and references proved.

judge   : generations.jsonl -> answer -> Score  -> judgements.jsonl, faults tried again
pace    : time limits from the references' own time, where the config asks for that
prove   : a task's references must pass and empty answers must not
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from harness import sandbox as sandboxes
from harness.config.run import REFERENCES, JudgeConfig
from harness.errors import Fault
from harness.runs.environments import requirements
from harness.runs.plan import Plan, Progress
from harness.runs.store.run_folder import RunFolder
from harness.sandbox import verdict_cache
from harness.schema import (
    UNANSWERED,
    Completion,
    Generation,
    IOCases,
    Judgement,
    Problem,
    Sandbox,
    Scorer,
    Supplies,
    Task,
    UnitTests,
    Verdict,
)
from harness.scorers import classifier_folder, parallel
from harness.text.ngrams import MAX_PARSED_CHARS

if TYPE_CHECKING:
    from harness.schema import Floats


def open_sandbox(judge: JudgeConfig, task: Task | None = None) -> sandboxes.Pool:
    """The configured sandbox; nothing is started before the first program."""
    return sandboxes.start(settings(judge, task))


def settings(judge: JudgeConfig, task: Task | None) -> sandboxes.Settings:
    executing = [scorer for scorer in task.scorers if scorer.executes] if task else []
    return sandboxes.Settings(
        isolation=judge.sandbox,
        workers=judge.workers,
        time_limit=judge.time_limit,
        memory_mb=judge.memory_mb,
        python=judge.python,
        packages=None if judge.packages == "environment" else _packages(judge, task),
        # Nothing to hold ready where programs may import nothing.
        preload=task.preload if task and (task.packages or judge.python) else (),
        queries=bool(executing) and all(scorer.queries for scorer in executing),
        process=judge.process,
        stall_s=judge.stall_s,
    )


def _packages(judge: JudgeConfig, task: Task | None) -> tuple[str, ...]:
    return () if task is None else requirements.visible(task.name, judge.python, task.packages)


def judge(plan: Plan, files: RunFolder, sandbox: Sandbox, progress: Progress) -> None:
    """Extract every answer and score it with every scorer; verdicts on disk are kept, faults tried again."""
    anew = _half_judged(plan, files)
    files.judgements.drop(lambda row: row.status == "fault" or (row.scorer, row.problem_id) in anew)
    supplies = _supplies(plan, files)
    scorers = [scorer for scorer in plan.task.scorers if _supplied(plan, scorer, files)]
    total = len(files.generations.keys) * len(scorers)
    progress("judge", len(files.judgements.keys), total)
    for scorer in scorers:
        began, before, cpu, peak = monotonic(), len(files.judgements.keys), 0.0, 0.0
        prepared = scorer.prepare(supplies) if scorer.prepare else scorer
        prepared = replace(prepared, score=parallel.parallelize(prepared, plan.config.judge.workers))
        paced = pace(plan, prepared, files, sandbox)
        with _caching(plan, scorer, sandbox) as cached:
            for judgement, verdict in judgements(paced, prepared, files, cached or sandbox):
                files.judgements.append(judgement)
                cpu += verdict.cpu_s
                peak = max(peak, verdict.peak_mb)
                progress("judge", len(files.judgements.keys), total)
        if len(files.judgements.keys) > before:
            judged = len(files.judgements.keys) - before
            seconds = monotonic() - began
            spent = {"seconds": seconds, "judgements": judged, "cpu_s": cpu, "peak_mb": peak}
            if cached is not None:
                spent["programs_reused"] = cached.reused
            files.add_timing(f"judge {scorer.name}", **spent)
    files.judgements.sort(plan.names, [scorer.name for scorer in plan.task.scorers])


def _caching(
    plan: Plan, scorer: Scorer, sandbox: Sandbox
) -> AbstractContextManager[verdict_cache.CachingSandbox | None]:
    """The sandbox that judges equal programs once, where the scorer allows that."""
    if not scorer.cacheable:
        return nullcontext()
    return caching(sandbox, settings(plan.config.judge, plan.task), plan.config.verdict_cache)


def caching(sandbox: Sandbox, used: sandboxes.Settings, file: Path | None) -> verdict_cache.CachingSandbox:
    """The sandbox of these settings with the verdict cache before it; it keeps what references say beside that."""
    judge = {
        "time_limit": used.time_limit,
        "memory_mb": used.memory_mb,
        "named": used.packages,
        "preload": used.preload,
    }
    if file is not None and isinstance(sandbox, sandboxes.Pool):
        sandbox.keep_references(file.with_name(REFERENCES))
    return verdict_cache.CachingSandbox(sandbox, judge, file)


def pace(plan: Plan, scorer: Scorer, files: RunFolder, sandbox: Sandbox) -> Plan:
    """The plan with the time limits that the references' own time here asks for, where the config wants that.

    Measured for the problems that still have something to judge, with ten times the time that the task gives, for
    all cases of a problem together. A problem whose reference does not pass keeps its limit.
    """
    factor = plan.config.judge.time_factor
    if factor is None or not scorer.executes:
        return plan
    made, judged = files.generations.keys, files.judgements.keys
    waiting = [p for p in plan.problems if judged.count(p.id, scorer.name) < made.count(p.id)]
    began = monotonic()
    paced = with_reference_times(plan.task, scorer, waiting, factor, sandbox)
    by_id = {problem.id: problem for problem in paced.problems}
    files.add_timing(
        f"references {scorer.name}",
        seconds=monotonic() - began,
        problems=paced.measured,
        slower=paced.slower,
        cpu_s=paced.cpu_s,
    )
    return replace(plan, problems=[by_id.get(problem.id, problem) for problem in plan.problems])


@dataclass(frozen=True)
class PacedProblems:
    """Problems whose time limits follow their references: how many were measured, how many got more time."""

    problems: list[Problem]
    measured: int
    slower: int
    cpu_s: float


def with_reference_times(
    task: Task, scorer: Scorer, problems: Sequence[Problem], factor: float, sandbox: Sandbox
) -> PacedProblems:
    """The problems with `factor` times the CPU time of their references here, where that is more than they have."""
    checks = {p.id: p.check for p in problems if isinstance(p.check, UnitTests | IOCases)}

    def references() -> Iterator[tuple[Problem, str]]:
        for problem in (problem for problem in problems if problem.id in checks):
            patient = problem.model_copy(update={"check": _with_time(checks[problem.id], 10)})
            given = Completion(text=problem.solution, form="continuation")
            yield patient, answer_of(task, scorer, patient, given)

    times = {}
    for problem_id, verdict in zip(checks, scorer.score(references(), sandbox), strict=True):
        if verdict.status == "passed":
            times[problem_id] = verdict.cpu_s
    wanted = {key: factor * seconds / checks[key].limits.cpu_s for key, seconds in times.items()}
    slower = {
        key: _with_time(checks[key], times_more) for key, times_more in wanted.items() if times_more > 1
    }
    paced = [p.model_copy(update={"check": slower.get(p.id, p.check)}) for p in problems]
    return PacedProblems(paced, len(checks), len(slower), sum(times.values()))


def _with_time(check: UnitTests | IOCases, factor: float) -> UnitTests | IOCases:
    limits = check.limits
    times = {"cpu_s": limits.cpu_s * factor, "wall_s": limits.wall_s * factor}
    return check.model_copy(update={"limits": limits.model_copy(update=times)})


def _half_judged(plan: Plan, files: RunFolder) -> set[tuple[str, str]]:
    """(scorer, problem) where a scorer that judges a problem's samples together has not judged all of them."""
    made, judged = files.generations.keys, files.judgements.keys
    return {
        (scorer.name, name)
        for scorer in plan.task.scorers
        if scorer.together
        for name in plan.names
        if judged.count(name, scorer.name) < made.count(name)
    }


def _supplied(plan: Plan, scorer: Scorer, files: RunFolder) -> bool:
    """Whether there is what the scorer needs: a fault in generating leaves likelihoods out."""
    return "likelihoods" not in scorer.needs or len(files.likelihoods.keys) == len(plan.problems)


def _supplies(plan: Plan, files: RunFolder) -> Supplies:
    def likelihoods() -> dict[str, Completion]:
        return {row.problem_id: row.completion for row in files.likelihoods.values()}

    def classifier() -> "tuple[Callable[[Sequence[str]], Floats], int]":
        assert plan.config.style is not None
        found = classifier_folder.load(Path(plan.config.style.classifier).expanduser())
        return found.classify, found.label(plan.config.style.label)

    return Supplies(likelihoods=likelihoods, training=lambda: plan.training, classifier=classifier)


def answer_of(task: Task, scorer: Scorer, problem: Problem, completion: Completion) -> str:
    """What the scorer judges: the answer found in the completion, or all of its text.

    A refused, filtered or skipped sample has the empty answer, whatever its text.
    """
    if completion.finish in UNANSWERED:
        return ""
    return completion.text if scorer.raw else task.extract(problem, completion)


def as_stored(answer: str) -> str:
    """The answer as judgements.jsonl has it: of a very long one the beginning."""
    if len(answer) <= MAX_PARSED_CHARS:
        return answer
    return f"{answer[:MAX_PARSED_CHARS]}\n... ({len(answer)} characters)"


def judgements(
    plan: Plan, scorer: Scorer, files: RunFolder, sandbox: Sandbox
) -> Iterator[tuple[Judgement, Verdict]]:
    """Score what `scorer` has not scored yet, lazily and in canonical order."""
    judged = files.judgements.keys
    missing = (
        one for one in files.generations.values() if not judged.has(one.problem_id, one.index, scorer.name)
    )
    by_id = {problem.id: problem for problem in plan.problems}
    return judge_samples(plan.task, scorer, by_id, missing, sandbox)


def judge_samples(
    task: Task,
    scorer: Scorer,
    problems: Mapping[str, Problem],
    samples: Iterable[Generation],
    sandbox: Sandbox,
) -> Iterator[tuple[Judgement, Verdict]]:
    """Extract the answers of samples and score them, lazily and in their order; `problems` by id."""
    waiting: deque[tuple[str, int, str]] = (
        deque()
    )  # what the scorer has drawn and not answered yet, oldest first

    def answers() -> Iterator[tuple[Problem, str]]:
        for sample in samples:
            problem = problems[sample.problem_id]
            answer = answer_of(task, scorer, problem, sample.completion)
            waiting.append((problem.id, sample.index, answer))
            yield problem, answer

    for verdict in scorer.score(answers(), sandbox if scorer.executes else None):
        problem_id, index, answer = waiting.popleft()
        yield (
            Judgement(
                problem_id=problem_id,
                index=index,
                scorer=scorer.name,
                answer=as_stored(answer),
                status=verdict.status,
                score=verdict.score,
                error=verdict.error,
            ),
            verdict,
        )
    if waiting:
        raise Fault(f"scorer {scorer.name!r} left {len(waiting)} answers without a verdict")


def prove(task: Task, problems: Sequence[Problem], sandbox: Sandbox) -> list[str]:
    """Judge each problem's reference and an empty answer; one line for each problem whose check is not to be trusted.

    The reference must pass (or be scored) and be worth more than the empty answer, under every
    scorer of answers.
    """
    wrong = []
    for scorer in (scorer for scorer in task.scorers if not scorer.needs):
        judged = []
        for texts in ([problem.solution for problem in problems], [""] * len(problems)):
            given = [Completion(text=text, form="continuation") for text in texts]
            answers = [
                (p, answer_of(task, scorer, p, completion))
                for p, completion in zip(problems, given, strict=True)
            ]
            judged.append(list(scorer.score(iter(answers), sandbox if scorer.executes else None)))
        for problem, reference, empty in zip(problems, *judged, strict=True):
            for verdict in (reference, empty):
                if verdict.score is None:
                    raise Fault(f"{problem.id}: {scorer.name}: {verdict.error}")
            assert reference.score is not None
            assert empty.score is not None
            if reference.status not in {"passed", "scored"}:
                wrong.append(
                    f"{problem.id}: {scorer.name}: its reference fails ({reference.status}: {reference.error})"
                )
            elif reference.score.value <= empty.score.value:
                wrong.append(
                    f"{problem.id}: {scorer.name}: an empty answer is worth as much as its reference"
                )
    return wrong
