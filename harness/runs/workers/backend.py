"""A schema.Backend, and LikelihoodBackend, whose models are loaded by the workers of a pool."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import BackendFault
from harness.runs.workers.pool import WorkerPool
from harness.runs.workers.tasks import GenerateSpec
from harness.runs.workers.work_queue import ChunkSizer, GivenUp
from harness.schema import (
    Capabilities,
    Generation,
    LikelihoodRequest,
    Prompt,
    RenderedPrompt,
    Request,
    Sampling,
)

SAMPLES_PER_ITEM = 16  # of one problem; more are split among workers
DEFAULT_BATCH = 64
RENDERED_AT_ONCE = 64
MAX_NAMES = 5  # in an error message


@dataclass
class PooledBackend:
    """`spec` says what the workers load."""

    workers: WorkerPool
    spec: GenerateSpec
    _capabilities: Capabilities | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        return self.workers.identity

    @property
    def capabilities(self) -> Capabilities:
        """Those of the workers' backends, but for what has to happen in one process."""
        if self._capabilities is None:
            one: Capabilities = self.workers.call("capabilities", None, None)
            self._capabilities = replace(one, mixed_adapters=False, recorded=False, replicas=False)
        return self._capabilities

    @property
    def _batch(self) -> int:
        """Sequences in a worker's batch; a guess where the worker finds that out by itself."""
        return self.spec.config.batch_size or DEFAULT_BATCH

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Yield every requested sample once, as requests complete. Raises UserError; BackendFault for the items that
        were given up, after everything else has been yielded."""
        whole = sampling.beams > 1  # a beam search makes its samples together
        size = min(SAMPLES_PER_ITEM, self._batch)
        items = [part for request in requests for part in ([request] if whole else _split(request, size))]
        samples = sum(len(item.indices) for item in items)
        # Two batches at least, in items of several samples each.
        minimum = max(1, 2 * self._batch * len(items) // max(1, samples))
        yield from self._map("generate", sampling, items, minimum)

    def likelihoods(self, requests: Sequence[LikelihoodRequest]) -> Iterator[Generation]:
        yield from self._map("likelihoods", None, requests, 2 * self._batch)

    def _map(
        self, method: str, common: Any, items: Sequence[Request | LikelihoodRequest], minimum: int
    ) -> Iterator[Generation]:
        given_up: list[tuple[str, str]] = []
        sizer = ChunkSizer(target_seconds=None, minimum=minimum)
        for number, result in self.workers.map(method, common, items, sizer, ordered=False):
            match result:
                case GivenUp(cause):
                    given_up.append((items[number].problem_id, cause))
                case Generation():
                    yield result
                case generations:
                    yield from generations
        if given_up:
            raise _fault(given_up)

    def tokens(self, prompt: Prompt) -> int:
        return int(self.workers.call("tokens", None, prompt))

    def render(self, prompts: Sequence[Prompt]) -> Sequence[RenderedPrompt]:
        sizer = ChunkSizer(target_seconds=None, minimum=RENDERED_AT_ONCE)
        found = dict(self.workers.map("render", None, prompts, sizer))
        if lost := next((one for one in found.values() if isinstance(one, GivenUp)), None):
            raise BackendFault(lost.cause)
        return [found[number] for number in range(len(prompts))]

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return bool(self.workers.call("fits", max_tokens, prompt))

    def set_adapter(self, adapter: str) -> None:
        base = self._with_adapter("")
        spec, self.spec, self._capabilities = self._with_adapter(adapter), base, None
        self.workers.reconfigure(spec, base)
        self.spec = spec

    def _with_adapter(self, adapter: str) -> GenerateSpec:
        return replace(self.spec, config=self.spec.config.model_copy(update={"adapter": adapter}))

    def close(self) -> None:
        self.workers.close()


def _split(request: Request, size: int) -> Iterator[Request]:
    for start in range(0, len(request.indices), size):
        yield replace(request, indices=request.indices[start : start + size])


def _fault(given_up: Sequence[tuple[str, str]]) -> BackendFault:
    """Of (problem id, cause) of each item that was given up."""
    names = list(dict.fromkeys(name for name, _ in given_up))
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return BackendFault(
        f"{len(names)} {'problem was' if len(names) == 1 else 'problems were'} given up after three tries,"
        f" {', '.join(names[:MAX_NAMES])}{more}: {given_up[0][1]}"
    )
