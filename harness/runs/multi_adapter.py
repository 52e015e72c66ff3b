"""Cells of a study that differ in their LoRA adapter alone, generated together: each row of a batch has its own.

    group_by_base(cells)            cells of one base with adapters that can share a batch
    generate(group, backend, ...)   what is missing, into each cell's own generations.jsonl

Nothing else is done here: a cell's own run then finds its completions on disk, judges and sums them up. So it makes
no difference to any file but timings.jsonl whether cells were generated together, and where this was cut off, or
could not be done, the cell's own run does the rest, and names what is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from harness import backends
from harness.backends.completion_cache import CompletionCache
from harness.config.backend import BackendConfig
from harness.config.grid import Cell
from harness.errors import HarnessError
from harness.runs.generate import missing, open_cache, reuse
from harness.runs.plan import Progress, make_plan
from harness.runs.resolve import resolve
from harness.runs.run import OpenSandbox
from harness.runs.shards import Shard
from harness.runs.store.run_folder import RunFolder, open_run
from harness.schema import (
    Backend,
    Capabilities,
    Generation,
    LikelihoodRequest,
    MultiAdapterBackend,
    Prompt,
    RenderedPrompt,
    Request,
    Sampling,
    Shot,
)


@dataclass(frozen=True)
class SharedBackend:
    """A backend that stays open when a run is over.

    `adapter_identity`: the identity with one of the adapters, where several are attached.
    """

    backend: Backend
    adapter_identity: Mapping[str, str] | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        return self.backend.identity if self.adapter_identity is None else self.adapter_identity

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.backend.capabilities, adapters=False, mixed_adapters=False)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        return self.backend.generate(requests, sampling)

    def likelihoods(self, requests: Sequence[LikelihoodRequest]) -> Iterator[Generation]:
        return backends.likelihood_backend(self.backend).likelihoods(requests)

    def tokens(self, prompt: Prompt) -> int:
        return self.backend.tokens(prompt)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return self.backend.fits(prompt, max_tokens)

    def render(self, prompts: Sequence[Prompt]) -> Sequence[RenderedPrompt]:
        renderer = backends.rendering_backend(self.backend)
        assert renderer is not None
        return renderer.render(prompts)

    def close(self) -> None:
        pass


@dataclass
class CellWork:
    """What of one cell is to be generated, and where to."""

    files: RunFolder
    cache: CompletionCache
    sampling: Sampling
    requests: Sequence[Request]
    prompts: Mapping[str, Prompt]
    shots: Mapping[str, tuple[Shot, ...]]
    total: int
    made: int = 0
    tokens: int = 0


def group_by_base(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells that share a base which can mix adapters, and that have two different ones at least."""
    by_base: dict[str, list[Cell]] = {}
    for cell in cells:
        config = cell.config.backend
        if backends.capabilities(config).mixed_adapters:
            by_base.setdefault(base_config(config).model_dump_json(), []).append(cell)
    return [group for group in by_base.values() if len(adapters(group)) > 1]


def base_config(config: BackendConfig) -> BackendConfig:
    return config.model_copy(update={"adapter": ""})


def adapters(group: Sequence[Cell]) -> list[str]:
    """The adapters of the cells, each once."""
    return list(dict.fromkeys(cell.config.backend.adapter for cell in group))


def generate(
    group: Sequence[Cell],
    backend: Backend,
    open_sandbox: OpenSandbox,
    root: Path,
    progress: Progress,
    shard: Shard | None = None,
) -> None:
    """Make what is missing of the cells' completions, all adapters on `backend` at once, into root/<run id>.

    Leaves a cell alone that cannot be begun: its own run says why.
    """
    base = backends.multi_adapter_backend(backend)
    identities = base.attach_adapters(adapters(group)) if base else None
    if base is None or identities is None:
        return
    number = {adapter: at for at, adapter in enumerate(adapters(group))}
    with ExitStack() as stack:
        by_sampling: dict[str, list[tuple[int, CellWork]]] = {}
        for cell in group:
            at = number[cell.config.backend.adapter]
            shared = SharedBackend(base, identities[at])
            try:
                work = _cell_work(cell, shared, open_sandbox, root, stack, progress, shard)
            except HarnessError:
                continue
            by_sampling.setdefault(work.sampling.model_dump_json(), []).append((at, work))
        for works in by_sampling.values():
            for batch in _rounds(works):
                _generate(batch, base, progress)


def _cell_work(
    cell: Cell,
    shared: SharedBackend,
    open_sandbox: OpenSandbox,
    root: Path,
    stack: ExitStack,
    progress: Progress,
    shard: Shard | None,
) -> CellWork:
    """The cell's files, opened as its own run opens them, and what is missing in them. Raises HarnessError."""
    plan = make_plan(cell.config, progress)
    with open_sandbox(cell.config.judge, plan.task) as sandbox:
        run = resolve(plan, shared, sandbox, shard)
    files = stack.enter_context(open_run(root / run.run_id, run.record))
    cache = stack.enter_context(open_cache(run.plan, shared))
    reuse(run, cache, files, progress)
    requests = missing(run, files)
    prompts = {request.problem_id: request.prompt for request in requests}
    shots = {name: run.plan.selection.in_prompt_order(name) for name in prompts}
    return CellWork(files, cache, run.plan.sampling, requests, prompts, shots, sum(run.counts.values()))


def _rounds(works: Sequence[tuple[int, CellWork]]) -> list[dict[int, CellWork]]:
    """The work in rounds in which no adapter comes twice (cells that differ in shots as well)."""
    rounds: list[dict[int, CellWork]] = []
    for adapter, work in works:
        free = next((one for one in rounds if adapter not in one), None)
        if free is None:
            rounds.append({adapter: work})
        else:
            free[adapter] = work
    return rounds


def _generate(batch: Mapping[int, CellWork], backend: MultiAdapterBackend, progress: Progress) -> None:
    wanted = {adapter: work.requests for adapter, work in batch.items() if work.requests}
    if len(wanted) < 2:
        return
    done = sum(len(work.files.generations.keys) for work in batch.values())
    total = sum(work.total for work in batch.values())
    progress("generate", done, total)
    began = monotonic()
    try:
        for adapter, made in backend.generate_mixed(wanted, next(iter(batch.values())).sampling):
            if made.completion.finish == "skipped":
                continue  # for the cell's own run, which knows whether others are left
            work = batch[adapter]
            work.files.generations.append(made.model_copy(update={"shots": work.shots[made.problem_id]}))
            work.cache.add(work.prompts[made.problem_id], made)
            work.made += 1
            work.tokens += made.completion.completion_tokens
            done += 1
            progress("generate", done, total, sum(work.tokens for work in batch.values()))
    finally:
        seconds, tokens = monotonic() - began, sum(work.tokens for work in batch.values())
        for work in batch.values():  # a cell's share of the time is its share of the tokens
            if work.made:
                share = seconds * work.tokens / max(tokens, 1)
                work.files.add_timing("generate", seconds=share, samples=work.made, tokens=work.tokens)
