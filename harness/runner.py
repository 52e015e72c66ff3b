"""One run, from a config to a summary: generate -> judge -> summarise. READ THIS FIRST.

    problems  = the task's rows                     planning, sources.load
    prompt    = template + shots + question         planning, prompts.render
    generate  : prompt -> Completion                backend           -> generations.jsonl
    read      : prompt + solution -> logprob        backend           -> likelihoods.jsonl, where a scorer needs it
    judge     : Completion -> answer -> Score       judging, scorers  -> judgements.jsonl
    summarise : scores -> metrics with intervals    summing, stats    -> summary.json

Each stage does only what is not on disk yet, so the same command continues a run that was cut off anywhere. The
stages know each other through the files alone. Nothing here prints, reads the environment or exits.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from harness import backends, crew, prompts, store
from harness.config import BackendConfig, JudgeConfig, RunConfig, check_ks
from harness.errors import Fault
from harness.judging import judge, open_sandbox
from harness.planning import (
    Plan,
    Progress,
    asked,
    check_reader,
    describe,
    expect,
    make_plan,
    needed,
    quiet,
    settle,
)
from harness.schema import Backend, Given, Request, Sandbox, Summary
from harness.shards import Shard, cut
from harness.summing import heading, summarise

RUNS = Path("results") / "runs"

OpenBackend = Callable[[BackendConfig, Sequence[str]], Backend]
OpenSandbox = Callable[[JudgeConfig, tuple[str, ...]], AbstractContextManager[Sandbox]]


@dataclass(frozen=True)
class Engine:
    """Who does the work: this machine, unless told. Written nowhere: every engine makes the same bytes."""

    open_backend: OpenBackend = crew.load
    open_sandbox: OpenSandbox = lambda judge, preload: open_sandbox(judge, preload)


LOCAL = Engine()


def run(
    config: RunConfig,
    out: Path | None = None,
    progress: Progress = quiet,
    root: Path = RUNS,
    engine: Engine = LOCAL,
    shard: Shard | None = None,
) -> tuple[Path, Summary]:
    """Do what `config` says in the folder `out`, else root/<run id>; return folder and summary. Raises HarnessError.

    With `shard` only that part of the problems; harness/merge.py puts parts together. Faults of the judge do not stop
    a run: they are counted in `Summary.errors` and tried again by the next call.
    """
    plan = make_plan(config, progress)
    with closing(engine.open_backend(config.backend, [p.id for p in plan.problems])) as backend:
        plan, counts = expect(plan, backend)
        plan = settle(plan, backend)
        check_ks(config.k, min(counts.values()))
        check_reader(plan, backend)
        with engine.open_sandbox(config.judge, plan.task.preload) as sandbox:
            record = describe(plan, backend, sandbox)
            head = heading(plan, counts, record)
            if shard is not None:
                plan, counts, record, head = cut(shard, plan, counts, record, head)
            folder = out or root / record["run_id"]
            with store.open_run(folder, record) as files:
                files.keep_problems(asked(plan))
                generate(plan, counts, backend, files, progress)
                if needed(plan, "likelihoods"):
                    read(plan, backend, files, progress)
                judge(plan, files, sandbox, progress)
                summary = summarise(plan, counts, files, head)
                files.summarise(summary)
    return folder, summary


def generate(
    plan: Plan, counts: Mapping[str, int], backend: Backend, files: store.Run, progress: Progress
) -> None:
    """Have the backend make every sample that is not on disk yet, then put the file in canonical order."""
    done = files.generations.keys
    requests = []
    for problem in plan.problems:
        missing = tuple(i for i in range(counts[problem.id]) if not done.has(problem.id, i))
        if missing:
            requests.append(Request(problem.id, plan.prompts[problem.id], missing))
    total = sum(counts.values())
    progress("generate", len(done), total)
    began, before, tokens = monotonic(), len(done), 0
    if requests:
        for made in backend.generate(requests, plan.sampling):
            generation = made.model_copy(update={"shots": plan.selection.arranged(made.problem_id)})
            files.generations.append(generation)
            tokens += generation.completion.completion_tokens
            progress("generate", len(done), total)
        seconds = monotonic() - began
        files.time("generate", seconds=seconds, samples=len(done) - before, tokens=tokens)
    if len(done) != total:
        raise Fault(f"the backend made {len(done)} of {total} samples; run the same command again to go on")
    files.generations.sort(plan.names)


def read(plan: Plan, backend: Backend, files: store.Run, progress: Progress) -> None:
    """Have the backend say how likely each problem's solution is after its prompt, if it is not on disk yet."""
    done = files.likelihoods.keys
    given = [
        Given(problem.id, plan.prompts[problem.id], prompts.gold(plan.template, problem))
        for problem in plan.problems
        if not done.has(problem.id, 0)
    ]
    progress("read", len(done), len(plan.problems))
    began, before, tokens = monotonic(), len(done), 0
    if given:
        for generation in backends.reader(backend).likelihoods(given):
            files.likelihoods.append(generation)
            tokens += generation.completion.completion_tokens
            progress("read", len(done), len(plan.problems))
        files.time("read", seconds=monotonic() - began, samples=len(done) - before, tokens=tokens)
    if len(done) != len(plan.problems):
        raise Fault(
            f"the backend read {len(done)} of {len(plan.problems)} references; run the same command again"
        )
    files.likelihoods.sort(plan.names)
