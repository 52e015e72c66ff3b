"""A schema.Backend, and Reader, whose models are with the workers of a crew."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.config.backend import BackendConfig
from harness.errors import BackendFault
from harness.runs.workers.pool import Crew
from harness.runs.workers.tasks import Generating
from harness.runs.workers.work_queue import GivenUp, Pace
from harness.schema import Generation, Given, Prompt, Request, Sampling

SAMPLES = 16  # of one problem that go to one worker; more are shared out
UNKNOWN = 64
NAMED = 5


@dataclass(frozen=True)
class Fanned:
    """`post` says what the workers of `crew` load."""

    crew: Crew
    post: Generating

    @property
    def identity(self) -> Mapping[str, str]:
        return self.crew.identity

    @property
    def counts(self) -> None:
        return None

    @property
    def _batch(self) -> int:
        """Sequences that a worker batches; where it finds that out by itself, about as many as it may."""
        return self.post.config.batch_size or UNKNOWN

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Yield every wanted sample once, as requests are complete. What was given up is said at the end, when
        everything else has been handed on. Raises BackendFault, UserError."""
        whole = sampling.beams > 1  # the samples of a beam search are made together
        size = min(SAMPLES, self._batch)
        items = [part for one in requests for part in ([one] if whole else _parts(one, size))]
        samples = sum(len(item.indices) for item in items)
        # Twice a batch, in items of several samples each.
        least = max(1, 2 * self._batch * len(items) // max(1, samples))
        yield from self._each("generate", sampling, items, least)

    def likelihoods(self, given: Sequence[Given]) -> Iterator[Generation]:
        yield from self._each("likelihoods", None, given, 2 * self._batch)

    def _each(
        self, what: str, common: Any, items: Sequence[Request | Given], least: int
    ) -> Iterator[Generation]:
        given_up: list[tuple[str, str]] = []
        pace = Pace(seconds=None, least=least)
        for number, result in self.crew.each(what, common, items, pace, ordered=False):
            match result:
                case GivenUp(cause):
                    given_up.append((items[number].problem_id, cause))
                case Generation():
                    yield result
                case generations:
                    yield from generations
        if given_up:
            names = list(dict.fromkeys(name for name, _ in given_up))
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            raise BackendFault(
                f"{len(names)} {'problem was' if len(names) == 1 else 'problems were'} given up after three tries,"
                f" {', '.join(names[:NAMED])}{more}: {given_up[0][1]}"
            )

    def tokens(self, prompt: Prompt) -> int:
        return int(self.crew.one("tokens", None, prompt))

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return bool(self.crew.one("fits", max_tokens, prompt))

    def wearing(self, config: BackendConfig) -> "Fanned":
        """The same workers with another adapter on their base. Raises UserError."""
        post = replace(self.post, config=config)
        self.crew.become(post, replace(self.post, config=config.model_copy(update={"adapter": ""})))
        return Fanned(self.crew, post)

    def close(self) -> None:
        self.crew.close()


def _parts(request: Request, size: int) -> Iterator[Request]:
    for start in range(0, len(request.indices), size):
        yield replace(request, indices=request.indices[start : start + size])
