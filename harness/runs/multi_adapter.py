"""Cells of a study that differ in their LoRA adapter alone, generated together: each row of a batch has its own.

    parties = parties(cells)             cells of one base with adapters that can share a batch
    generate(party, backend, ...)        what is missing, into each cell's own generations.jsonl

Nothing else is done here: a cell's own run then finds its completions on disk, judges and sums them up. So it makes
no difference to any file but timings.jsonl whether cells were generated together, and where this was cut off, or
could not be done, the cell's own run does the rest, and names what is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from harness import backends
from harness.backends.completion_cache import Answers
from harness.config.backend import BackendConfig
from harness.config.grid import Cell
from harness.errors import HarnessError
from harness.runs import plan as planning
from harness.runs import run
from harness.runs.plan import Progress
from harness.runs.run import OpenSandbox
from harness.runs.shards import Shard, cut
from harness.runs.store import folder
from harness.runs.summary import heading
from harness.schema import Backend, Generation, Given, Prompt, Request, Sampling, Shot


@dataclass(frozen=True)
class Borrowed:
    """A backend that stays open when a run is over; `worn` is its identity where several adapters are on it."""

    backend: Backend
    worn: Mapping[str, str] | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        return self.backend.identity if self.worn is None else self.worn

    @property
    def counts(self) -> Mapping[str, int] | None:
        return self.backend.counts

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        return self.backend.generate(requests, sampling)

    def likelihoods(self, given: Sequence[Given]) -> Iterator[Generation]:
        return backends.reader(self.backend).likelihoods(given)

    def tokens(self, prompt: Prompt) -> int:
        return self.backend.tokens(prompt)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return self.backend.fits(prompt, max_tokens)

    def close(self) -> None:
        pass


@dataclass
class Part:
    """What of one cell is to be generated, and where to."""

    files: folder.Run
    known: Answers
    sampling: Sampling
    requests: Sequence[Request]
    prompts: Mapping[str, Prompt]
    shots: Mapping[str, tuple[Shot, ...]]
    total: int
    made: int = 0
    tokens: int = 0


def parties(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells with models of our own that share a base and differ in adapters, two of them at least."""
    by_base: dict[str, list[Cell]] = {}
    for cell in cells:
        config = cell.config.backend
        if config.kind == "hf":
            by_base.setdefault(base(config).model_dump_json(), []).append(cell)
    return [party for party in by_base.values() if len(adapters(party)) > 1]


def base(config: BackendConfig) -> BackendConfig:
    return config.model_copy(update={"adapter": ""})


def adapters(party: Sequence[Cell]) -> list[BackendConfig]:
    """The backends of the cells, each once."""
    return list({cell.config.backend.adapter: cell.config.backend for cell in party}.values())


def generate(
    party: Sequence[Cell],
    backend: Backend,
    open_sandbox: OpenSandbox,
    root: Path,
    progress: Progress,
    shard: Shard | None = None,
) -> None:
    """Make what is missing of the cells' completions, all adapters on `backend` at once, into root/<run id>.

    Leaves a cell alone that cannot be begun: its own run says why.
    """
    configs = adapters(party)
    identities = backends.with_adapters(backend, configs)
    if identities is None:
        return
    number = {config.adapter: at for at, config in enumerate(configs)}
    with ExitStack() as stack:
        by_sampling: dict[str, list[tuple[int, Part]]] = {}
        for cell in party:
            at = number[cell.config.backend.adapter]
            try:
                part = _part(
                    cell, Borrowed(backend, identities[at]), open_sandbox, root, stack, progress, shard
                )
            except HarnessError:
                continue
            by_sampling.setdefault(part.sampling.model_dump_json(), []).append((at, part))
        for parts in by_sampling.values():
            for heat in _heats(parts):
                _generate(heat, backend, progress)


def _part(
    cell: Cell,
    wearing: Borrowed,
    open_sandbox: OpenSandbox,
    root: Path,
    stack: ExitStack,
    progress: Progress,
    shard: Shard | None,
) -> Part:
    """The cell's files, opened as its own run opens them, and what is missing in them. Raises HarnessError."""
    plan = planning.make_plan(cell.config)
    plan, counts = planning.expect(plan, wearing)
    plan = planning.settle(plan, wearing)
    planning.check_reader(plan, wearing)
    with open_sandbox(cell.config.judge, plan.task.preload) as sandbox:
        record = planning.describe(plan, wearing, sandbox)
    if shard is not None:
        plan, counts, record, _ = cut(shard, plan, counts, record, heading(plan, counts, record))
    files = stack.enter_context(folder.open_run(root / record["run_id"], record))
    known = stack.enter_context(run.remembered(plan, wearing))
    run.reuse(plan, counts, known, files, progress)
    requests = run.missing(plan, counts, files)
    prompts = {request.problem_id: request.prompt for request in requests}
    shots = {name: plan.selection.arranged(name) for name in prompts}
    return Part(files, known, plan.sampling, requests, prompts, shots, sum(counts.values()))


def _heats(parts: Sequence[tuple[int, Part]]) -> list[dict[int, Part]]:
    """The parts in rounds in which no adapter comes twice (cells that differ in shots as well)."""
    heats: list[dict[int, Part]] = []
    for adapter, part in parts:
        heat = next((heat for heat in heats if adapter not in heat), None)
        if heat is None:
            heats.append({adapter: part})
        else:
            heat[adapter] = part
    return heats


def _generate(heat: Mapping[int, Part], backend: Backend, progress: Progress) -> None:
    wanted = {adapter: part.requests for adapter, part in heat.items() if part.requests}
    if len(wanted) < 2:
        return
    done = sum(len(part.files.generations.keys) for part in heat.values())
    total = sum(part.total for part in heat.values())
    progress("generate", done, total)
    began = monotonic()
    try:
        for adapter, made in backends.together(backend, wanted, next(iter(heat.values())).sampling):
            part = heat[adapter]
            part.files.generations.append(made.model_copy(update={"shots": part.shots[made.problem_id]}))
            part.known.keep(part.prompts[made.problem_id], made)
            part.made += 1
            part.tokens += made.completion.completion_tokens
            done += 1
            progress("generate", done, total, sum(part.tokens for part in heat.values()))
    finally:
        seconds, tokens = monotonic() - began, sum(part.tokens for part in heat.values())
        for part in heat.values():  # a cell's share of the time is its share of the tokens
            if part.made:
                share = seconds * part.tokens / max(tokens, 1)
                part.files.time("generate", seconds=share, samples=part.made, tokens=part.tokens)
