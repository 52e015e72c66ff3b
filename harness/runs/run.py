"""One run, from a config to a summary: plan -> generate -> judge -> summarise. READ THIS FIRST.

    plan      : rows -> problems; template + shots + question -> prompts       plan.py
    resolve   : the model's and the sandbox's say; the record, the signature   resolve.py    -> run.json
    generate  : prompt -> Completion, cached or made by the backend            generate.py   -> generations.jsonl
    judge     : Completion -> answer -> Score                                  judge.py      -> judgements.jsonl
    summarise : scores -> metrics with intervals                               summary.py    -> summary.json
                of reasoning models also accuracy by budget of tokens          thinking_budget.py

Each stage does only what is not on disk yet, so the same command continues a run that was cut off anywhere. The
stages know each other through the files alone. Nothing here prints, reads the environment or exits.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path

from harness.config.backend import BackendConfig
from harness.config.run import JudgeConfig, RunConfig
from harness.errors import IncompleteRun
from harness.runs import looks, thinking_budget, workers
from harness.runs.generate import generate_or_fault
from harness.runs.judge import judge, open_sandbox
from harness.runs.plan import Progress, make_plan, no_progress, problem_rows
from harness.runs.resolve import resolve
from harness.runs.shards import Shard
from harness.runs.store.run_folder import open_run
from harness.runs.summary import summarise
from harness.schema import Backend, Sandbox, Summary, Task

RUNS = Path("results") / "runs"

OpenBackend = Callable[[BackendConfig, Sequence[str]], Backend]
OpenSandbox = Callable[[JudgeConfig, Task], AbstractContextManager[Sandbox]]


@dataclass(frozen=True)
class Executor:
    """Who does the work: this machine, unless told. Written nowhere: every executor makes the same bytes."""

    open_backend: OpenBackend = workers.load
    open_sandbox: OpenSandbox = lambda judge, task: open_sandbox(judge, task)


LOCAL = Executor()


def run(
    config: RunConfig,
    out: Path | None = None,
    progress: Progress = no_progress,
    root: Path = RUNS,
    executor: Executor = LOCAL,
    shard: Shard | None = None,
    enough: looks.Enough | None = None,
) -> tuple[Path, Summary]:
    """Do what `config` says in the folder `out`, else root/<run id>; return folder and summary. Raises HarnessError.

    With `shard` only that part of the problems; merge.py puts parts together. With `enough` the problems come in parts,
    in a drawn order (looks.py), until a look at the folder is answered by True. Faults of the judge do not stop a run:
    they are counted in `Summary.errors` and tried again by the next call. A fault of the model or its server is raised
    as IncompleteRun once the samples that are there have been judged and summed up.
    """
    plan = make_plan(config, progress)
    with (
        closing(executor.open_backend(config.backend, plan.names)) as backend,
        executor.open_sandbox(config.judge, plan.task) as sandbox,
    ):
        resolved = resolve(plan, backend, sandbox, shard)
        if enough:
            enough.check(resolved)
        with open_run(out or root / resolved.run_id, resolved.record) as files:
            files.write_problems(problem_rows(resolved.plan, backend))
            for part in looks.parts(resolved, files) if enough else (resolved,):
                fault = generate_or_fault(part, backend, files, progress)
                judge(part.plan, files, sandbox, progress)
                if fault or part is resolved:
                    break
                if enough and looks.is_enough(part, files, enough):
                    part = looks.stopped(part)
                    break
            summary = summarise(part, files)
            if "reasoned" in summary.completions:
                by_budget = thinking_budget.curve(part, files, sandbox)
                summary = summary.model_copy(update={"thinking_budget": by_budget})
            files.write_summary(summary)
            if fault is not None:
                raise IncompleteRun(str(fault), files.folder) from fault
            return files.folder, summary
