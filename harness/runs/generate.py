"""Every sample that is not on disk yet: from the completion cache where it has it, else from the backend.

    generate(run, backend, files)   -> generations.jsonl, and likelihoods.jsonl where a scorer needs them

What came before a fault or Ctrl-C stays on disk; the same call makes the rest and puts the file in canonical order.
After a fault of the model or its server the samples that are there can be judged.
"""

from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from harness import backends
from harness.backends import completion_cache, pricing
from harness.errors import BackendFault, Fault, StoreFault, UserError
from harness.prompts import templates
from harness.runs.plan import Plan, Progress, scorers_needing
from harness.runs.resolve import ResolvedRun
from harness.runs.store.run_folder import RunFolder
from harness.schema import Backend, Generation, LikelihoodRequest, Prompt, Request
from harness.schema.sample_index import SampleIndex


def generate_or_fault(
    run: ResolvedRun, backend: Backend, files: RunFolder, progress: Progress
) -> Fault | None:
    """`generate`, and the fault that left samples out where there are others to be judged. Raises any other Fault."""
    try:
        generate(run, backend, files, progress)
    except StoreFault:
        raise
    except Fault as fault:
        if not len(files.generations.keys):
            raise
        files.generations.sort(run.plan.names)
        return fault
    return None


def generate(run: ResolvedRun, backend: Backend, files: RunFolder, progress: Progress) -> None:
    """All samples of the run, and the likelihoods of its references where a scorer needs them. Raises Fault."""
    with open_cache(run.plan, backend) as cache:
        reuse(run, cache, files, progress)
        _complete(run, backend, files, progress, cache.add)
    if scorers_needing(run.plan, "likelihoods"):
        _score_references(run.plan, backend, files, progress)


def open_cache(plan: Plan, backend: Backend) -> completion_cache.CompletionCache:
    """The completion cache; one that holds nothing where none is wanted, or none can be told apart from others."""
    model = completion_cache.identity(backend.identity, plan.config.backend) if plan.config.cache else None
    file = Path(plan.config.cache).expanduser() if model else None
    return completion_cache.CompletionCache(file, model or {}, plan.sampling)


def missing(run: ResolvedRun, files: RunFolder) -> list[Request]:
    """The samples that are not on disk yet."""
    done, requests = files.generations.keys, []
    for problem in run.problems:
        wanted = tuple(i for i in range(run.counts[problem.id]) if not done.has(problem.id, i))
        if wanted:
            requests.append(Request(problem.id, run.plan.prompts[problem.id], wanted))
    return requests


def reuse(
    run: ResolvedRun, cache: completion_cache.CompletionCache, files: RunFolder, progress: Progress
) -> None:
    """Take every sample from the completion cache that it has and that is not on disk yet."""
    if not cache.usable:
        return
    done = files.generations.keys
    total, before, tokens = sum(run.counts.values()), len(done), 0
    try:
        for found in cache.find(missing(run, files)):
            files.generations.append(run.plan.as_recorded(found))
            tokens += found.completion.completion_tokens
            progress("reuse", len(done), total)
    finally:
        if len(done) > before:
            files.add_timing("reuse", samples=len(done) - before, tokens=tokens)


def _complete(
    run: ResolvedRun,
    backend: Backend,
    files: RunFolder,
    progress: Progress,
    keep: Callable[[Prompt, Generation], None],
) -> None:
    """Have the backend make every sample that is not on disk yet. `keep` is handed each as it comes."""
    plan, done, requests = run.plan, files.generations.keys, missing(run, files)
    total = sum(run.counts.values())
    progress("generate", len(done), total)
    began, before, tokens, price = monotonic(), len(done), 0, 0.0

    def answered() -> (
        bool
    ):  # of a part it need not be so yet, and earlier parts may hold only what does not fit
        rows = files.generations.values()
        return run.is_part or any(row.completion.finish != "skipped" for row in rows)

    try:
        with _with_resume_hint(done, total, "samples"):
            for made in (
                _skipped_last(backend.generate(requests, plan.sampling), answered) if requests else ()
            ):
                if not 0 <= made.index < run.counts.get(made.problem_id, 0):
                    raise BackendFault(f"sample {made.index} of {made.problem_id!r} was not requested")
                files.generations.append(plan.as_recorded(made))
                keep(plan.prompts[made.problem_id], made)
                tokens += made.completion.completion_tokens
                price += pricing.price(made.completion, plan.config.backend)
                progress("generate", len(done), total, tokens, price)
    finally:
        if len(done) > before:
            seconds = monotonic() - began
            files.add_timing("generate", seconds=seconds, samples=len(done) - before, tokens=tokens)
    if len(done) != total:
        raise Fault(f"the backend made {len(done)} of {total} samples; rerun the same command to resume")
    files.generations.sort(plan.names)


def _skipped_last(made: Iterator[Generation], answered: Callable[[], bool]) -> Iterator[Generation]:
    """The samples as they come, those of prompts that do not fit last. `answered`: whether others are or will be there.

    Raises UserError where a run would have no others: then it is not a few prompts that are too long, and 0 % would
    say nothing about the model.
    """
    skipped, others = [], False
    for one in made:
        if one.completion.finish == "skipped":
            skipped.append(one)
        else:
            others = True
            yield one
    if skipped and not others and not answered():
        first = skipped[0]
        raise UserError(
            f"no prompt of this run fits the model: {first.problem_id}: {first.completion.note}. Use fewer shots, less"
            " sampling.max_tokens or a model with a longer context"
        )
    yield from skipped


def _score_references(plan: Plan, backend: Backend, files: RunFolder, progress: Progress) -> None:
    """Have the backend say how likely each problem's solution is after its prompt, where that is not on disk yet."""
    done, total = files.likelihoods.keys, len(plan.problems)
    requests = _references(plan, done)
    progress("likelihood", len(done), total)
    began, before, tokens = monotonic(), len(done), 0
    try:
        with _with_resume_hint(done, total, "references"):
            for generation in backends.likelihood_backend(backend).likelihoods(requests) if requests else ():
                files.likelihoods.append(generation)
                tokens += generation.completion.completion_tokens
                progress("likelihood", len(done), total)
    finally:
        if len(done) > before:
            seconds = monotonic() - began
            files.add_timing("likelihood", seconds=seconds, samples=len(done) - before, tokens=tokens)
    if len(done) != total:
        raise Fault(f"the backend scored {len(done)} of {total} references; rerun the same command to resume")
    files.likelihoods.sort(plan.names)


def _references(plan: Plan, done: SampleIndex) -> Sequence[LikelihoodRequest]:
    return [
        LikelihoodRequest(
            problem.id, plan.prompts[problem.id], templates.render_answer(plan.template, problem)
        )
        for problem in plan.problems
        if not done.has(problem.id, 0)
    ]


@contextmanager
def _with_resume_hint(done: Sized, total: int, what: str) -> Iterator[None]:
    try:
        yield
    except Fault as error:
        hint = "" if "rerun" in str(error) else "; rerun the same command to resume"
        raise type(error)(f"{error}. {len(done)} of {total} {what} are kept{hint}") from None
