"""One run, from a config to a summary: generate -> judge -> summarise. READ THIS FIRST.

    problems  = the task's rows                     planning, sources.load
    prompt    = template + shots + question         planning, prompts.render
    reuse     : prompt -> Completion                answers           -> generations.jsonl, what another run made
    generate  : prompt -> Completion                backend           -> generations.jsonl, the rest
    read      : prompt + solution -> logprob        backend           -> likelihoods.jsonl, where a scorer needs it
    judge     : Completion -> answer -> Score       judging, scorers  -> judgements.jsonl
    summarise : scores -> metrics with intervals    summing, stats    -> summary.json

Each stage does only what is not on disk yet, so the same command continues a run that was cut off anywhere. The
stages know each other through the files alone. Nothing here prints, reads the environment or exits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from harness import backends
from harness.backends import completion_cache, pricing
from harness.config.backend import BackendConfig
from harness.config.run import JudgeConfig, RunConfig
from harness.config.sampling import check_ks
from harness.errors import Fault
from harness.prompts import templates
from harness.runs import workers
from harness.runs.judge import judge, open_sandbox
from harness.runs.plan import (
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
from harness.runs.shards import Shard, cut
from harness.runs.store import folder as store
from harness.runs.summary import heading, summarise
from harness.schema import Backend, Generation, Given, Prompt, Request, Sandbox, Summary

RUNS = Path("results") / "runs"

OpenBackend = Callable[[BackendConfig, Sequence[str]], Backend]
OpenSandbox = Callable[[JudgeConfig, tuple[str, ...]], AbstractContextManager[Sandbox]]


@dataclass(frozen=True)
class Engine:
    """Who does the work: this machine, unless told. Written nowhere: every engine makes the same bytes."""

    open_backend: OpenBackend = workers.load
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

    With `shard` only that part of the problems; harness/runs/merge.py puts parts together. Faults of the judge do not
    stop a run: they are counted in `Summary.errors` and tried again by the next call.
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
                with remembered(plan, backend) as known:
                    reuse(plan, counts, known, files, progress)
                    generate(plan, counts, backend, files, progress, known.keep)
                if needed(plan, "likelihoods"):
                    read(plan, backend, files, progress)
                judge(plan, files, sandbox, progress)
                summary = summarise(plan, counts, files, head)
                files.summarise(summary)
    return folder, summary


def remembered(plan: Plan, backend: Backend) -> completion_cache.Answers:
    """The store of answers; one that knows nothing where none is wanted, or none can be told apart from others."""
    model = completion_cache.identity(backend.identity, plan.config.backend) if plan.config.answers else None
    file = Path(plan.config.answers).expanduser() if model else None
    return completion_cache.Answers(file, model or {}, plan.sampling)


def missing(plan: Plan, counts: Mapping[str, int], files: store.Run) -> list[Request]:
    """The samples that are not on disk yet."""
    done, requests = files.generations.keys, []
    for problem in plan.problems:
        wanted = tuple(i for i in range(counts[problem.id]) if not done.has(problem.id, i))
        if wanted:
            requests.append(Request(problem.id, plan.prompts[problem.id], wanted))
    return requests


def reuse(
    plan: Plan,
    counts: Mapping[str, int],
    known: completion_cache.Answers,
    files: store.Run,
    progress: Progress,
) -> None:
    """Take every sample from the store of answers that it has and that is not on disk yet."""
    if not known.open:
        return
    done = files.generations.keys
    total, before, tokens = sum(counts.values()), len(done), 0
    try:
        for found in known.find(missing(plan, counts, files)):
            files.generations.append(plan.with_shots(found))
            tokens += found.completion.completion_tokens
            progress("reuse", len(done), total)
    finally:
        if len(done) > before:
            files.time("reuse", samples=len(done) - before, tokens=tokens)


def generate(
    plan: Plan,
    counts: Mapping[str, int],
    backend: Backend,
    files: store.Run,
    progress: Progress,
    keep: Callable[[Prompt, Generation], None] = lambda prompt, made: None,
) -> None:
    """Have the backend make every sample that is not on disk yet, then put the file in canonical order.

    `keep` is handed each sample as it comes. What came before a fault or Ctrl-C stays on disk.
    """
    done, requests = files.generations.keys, missing(plan, counts, files)
    total = sum(counts.values())
    progress("generate", len(done), total)
    began, before, tokens, price = monotonic(), len(done), 0, 0.0
    try:
        with _said_how_to_go_on(done, total, "samples"):
            for made in backend.generate(requests, plan.sampling) if requests else ():
                files.generations.append(plan.with_shots(made))
                keep(plan.prompts[made.problem_id], made)
                tokens += made.completion.completion_tokens
                price += pricing.price(made.completion, plan.config.backend)
                progress("generate", len(done), total, tokens, price)
    finally:
        if len(done) > before:
            seconds = monotonic() - began
            files.time("generate", seconds=seconds, samples=len(done) - before, tokens=tokens)
    if len(done) != total:
        raise Fault(f"the backend made {len(done)} of {total} samples; run the same command again to go on")
    files.generations.sort(plan.names)


@contextmanager
def _said_how_to_go_on(done: Sized, total: int, what: str) -> Iterator[None]:
    try:
        yield
    except Fault as error:
        kept = f"{len(done)} of {total} {what} are kept; the same command makes the rest"
        raise type(error)(f"{error}. {kept}") from None


def read(plan: Plan, backend: Backend, files: store.Run, progress: Progress) -> None:
    """Have the backend say how likely each problem's solution is after its prompt, if it is not on disk yet."""
    done = files.likelihoods.keys
    given = [
        Given(problem.id, plan.prompts[problem.id], templates.gold(plan.template, problem))
        for problem in plan.problems
        if not done.has(problem.id, 0)
    ]
    progress("read", len(done), len(plan.problems))
    began, before, tokens = monotonic(), len(done), 0
    try:
        with _said_how_to_go_on(done, len(plan.problems), "references"):
            for generation in backends.reader(backend).likelihoods(given) if given else ():
                files.likelihoods.append(generation)
                tokens += generation.completion.completion_tokens
                progress("read", len(done), len(plan.problems))
    finally:
        if len(done) > before:
            files.time("read", seconds=monotonic() - began, samples=len(done) - before, tokens=tokens)
    if len(done) != len(plan.problems):
        raise Fault(
            f"the backend read {len(done)} of {len(plan.problems)} references; run the same command again"
        )
    files.likelihoods.sort(plan.names)
