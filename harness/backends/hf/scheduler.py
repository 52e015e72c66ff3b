"""Requests in, completions out: what there is to decode and in which order, and what happens when memory runs
out.

Jobs are sorted by prompt length, longest first: what is computed together is of like length, and what does not
fit shows at once. The samples of a prompt are neighbours, so they share one prefill. A sample that ends is
yielded at that step, and another takes its place (hf_decode). When memory runs out, the jobs that are not
complete begin again in half as many slots.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from harness.backends.hf import batch_size as hf_memory
from harness.backends.hf import likelihood
from harness.backends.hf.decoding.beam_search import Beams
from harness.backends.hf.decoding.decode_loop import Decoding
from harness.backends.hf.decoding.logits_processors import shape
from harness.backends.hf.decoding.sampling import Draws, Ended, Job, Referee, Tally
from harness.backends.hf.model_runner import Network
from harness.backends.hf.multi_lora import Worn, adapter_of
from harness.backends.hf.prefix_cache import Prefix, worth_keeping
from harness.backends.hf.tokenizer import Codec
from harness.errors import BackendFault, ConfigError, UserError
from harness.schema import Completion, Generation, Given, Prompt, Request, Sampling

# How far a difference of two logits moves between batch shapes, in units of the largest logit, with room to
# spare. Measured per logit, the worst of 2 to 12 layers of random weights: float32 2.6e-6, float16 3.7e-3,
# bfloat16 2.5e-2. Random weights are worse than trained ones.
TOLERANCE: Mapping[torch.dtype, float] = {
    torch.float32: 2.0**-15,
    torch.float16: 2.0**-7,
    torch.bfloat16: 2.0**-4,
}
MANY = 64  # texts that are read at once when the number is left to us; their logits are limited anyway
NAMED = 5  # problem ids that an error message lists

Method = Draws | Beams


class Engine:
    """A loaded model as a `schema.Backend`. `tally` goes on over all calls of `generate`."""

    def __init__(
        self,
        network: Network,
        codec: Codec,
        identity: Mapping[str, str],
        batch_size: int,
        warn: Callable[[str], None],
    ) -> None:
        self.network: Network | None = network
        self.codec = codec
        self.identity = identity
        self.batch_size = batch_size
        self.warn = warn
        self.tally = Tally()
        self.counts: Mapping[str, int] | None = None  # any number of samples can be had
        self.tolerance = TOLERANCE.get(network.dtype, 2.0**-4)
        self._detach: Callable[[], Any] | None = None
        self._cost: hf_memory.Cost | None = None

    def take_off(self) -> Network:
        """The network without the adapter that is on it, if one is."""
        network = self._open()
        network.put(None, None, 0)
        if self._detach is not None:
            self._detach()
        return self.wearing({**self.identity, "adapter": ""}, None)._open()

    def wearing(self, identity: Mapping[str, str], detach: Callable[[], Any] | None) -> "Engine":
        """This engine with an adapter that was put on its network, or none; `detach` takes it off."""
        self.identity, self._detach = identity, detach
        return self

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Yield every wanted sample once, as it is complete. Raises UserError, BackendFault."""
        for _, generation in self._decoded(self._jobs(requests, sampling), sampling):
            yield generation

    def generate_together(
        self, wanted: Mapping[int, Sequence[Request]], sampling: Sampling
    ) -> Iterator[tuple[int, Generation]]:
        """The same for several adapters at once: (adapter, sample) as each is complete (hf_mixed)."""
        by_adapter = [
            [replace(job, prompt=Worn(job.prompt, adapter)) for job in self._jobs(requests, sampling)]
            for adapter, requests in wanted.items()
        ]
        mixed = sorted((job for jobs in by_adapter for job in jobs), key=lambda job: -len(job.prompt))
        # A beginning that all prompts of an adapter share, computed once, saves more than mixing does.
        kept = self._open().may_reuse and any(
            worth_keeping([job.prompt for job in jobs]) for jobs in by_adapter
        )
        for jobs in by_adapter if kept else [mixed]:
            for job, generation in self._decoded(jobs, sampling):
                yield adapter_of(job.prompt), generation

    def _decoded(self, pending: list[Job], sampling: Sampling) -> Iterator[tuple[Job, Generation]]:
        network = self._open()
        _check(sampling)
        referee = Referee(network, self.tolerance, self.tally)
        method = (Beams if sampling.beams > 1 else Draws)(
            self.codec, sampling, referee, shape(sampling, self.codec, network)
        )
        prompts = [job.prompt for job in pending]
        of_one = len(set(map(adapter_of, prompts))) == 1
        prefix = Prefix(network, worth_keeping(prompts) if of_one else (), self.tally)
        pending.sort(key=lambda job: not prefix.begins(job.prompt))
        while pending:
            done, fault, at_once = set[int](), "", 1
            try:
                slots = self.batch_size or self._fitting(pending)
                at_once = max(1, min(slots // method.width, len(pending)))
                for number, ended in Decoding(network, method, prefix, pending, at_once).run():
                    done.add(number)
                    for one in ended:
                        yield pending[number], self._generation(pending[number], one, sampling)
            except (RuntimeError, MemoryError) as error:
                fault = _survivable(error, at_once * method.width)
            pending = [job for number, job in enumerate(pending) if number not in done]
            if fault:
                self._halve(at_once, method.width, fault)
        if referee.tally.noise > 1:
            self.warn(
                f"batches moved logits {self.tally.noise:.1f} times as far as {network.dtype} allows for:"
                " outputs may depend on the batch size; --set backend.batch_size=1 excludes it"
            )

    def likelihoods(self, given: Sequence[Given]) -> Iterator[Generation]:
        """Yield the log-probability of each given text, as it is known. Raises UserError, BackendFault."""
        network = self._open()
        pending = likelihood.jobs(network, self.codec, given, self.warn)
        while pending:
            batch, found, fault = likelihood.first_batch(network, pending, self.batch_size or MANY), [], ""
            try:
                found = likelihood.measure(network, batch, self.tolerance, self.tally)
            except (RuntimeError, MemoryError) as error:
                fault = _survivable(error, len(batch))
            yield from found
            pending = pending[len(found) :]
            if fault:
                self._halve(len(batch), 1, fault)

    def tokens(self, prompt: Prompt) -> int:
        return len(self.codec.encode(prompt))

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        """Whether prompt and answer fit; an answer as long as the context itself leaves no room for a prompt."""
        room, most = self._room(self.tokens(prompt)), self._room(0)
        return room is None or most is None or room >= min(max_tokens, most)

    def close(self) -> None:
        """Give the model's memory back. A closed backend cannot generate."""
        self.network = None
        _collect()

    def _open(self) -> Network:
        if self.network is None:
            raise BackendFault("this backend is closed")
        return self.network

    def _jobs(self, requests: Sequence[Request], sampling: Sampling) -> list[Job]:
        jobs, too_long, short = [], [], 0
        for request in requests:
            prompt = self.codec.encode(request.prompt)
            room = self._room(len(prompt))
            limit = sampling.max_tokens if room is None else min(sampling.max_tokens, room)
            if limit < 1:
                too_long.append(f"{request.problem_id} ({len(prompt)} tokens)")
                continue
            groups = [request.indices] if sampling.beams > 1 else [(index,) for index in request.indices]
            short += limit < sampling.max_tokens
            jobs += [Job(request, group, prompt, limit) for group in groups if group]
        if too_long:
            more = f" and {len(too_long) - NAMED} more" if len(too_long) > NAMED else ""
            raise UserError(
                f"{len(too_long)} prompts do not fit the model's context of {self._open().positions} tokens:"
                f" {', '.join(too_long[:NAMED])}{more}; use fewer shots, or a model with a longer context"
            )
        if short:
            self.tally.shortened += short
            self.warn(
                f"{short} of {len(requests)} prompts leave less room than max_tokens = {sampling.max_tokens}"
                f" in the model's context of {self._open().positions} tokens: their completions end there"
            )
        return sorted(jobs, key=lambda job: -len(job.prompt))

    def _fitting(self, jobs: Sequence[Job]) -> int:
        """How many rows of these jobs, longest prompt first, fit in memory."""
        network = self._open()
        if self._cost is None:
            self._cost = hf_memory.probe(network, jobs[0].prompt)
        longest = max(len(job.prompt) for job in jobs) + network.before
        return hf_memory.rows(
            self._cost,
            hf_memory.free_memory(network.device),
            longest,
            max(job.limit for job in jobs),
            network.vocabulary,
            hf_memory.most_rows(network.device),
        )

    def _room(self, prompt: int) -> int | None:
        """How many tokens the model can generate after a prompt of this many; None is any number."""
        network = self._open()
        if network.positions is None:
            return None
        if (
            network.encoder
        ):  # encoder and decoder have a context each; the decoder's begins with its start token
            return network.positions - 1 if prompt <= network.positions else 0
        return network.positions - prompt

    def _generation(self, job: Job, ended: Ended, sampling: Sampling) -> Generation:
        text = self.codec.text(ended.ids)
        cut = self.codec.cut(text, sampling.stop)
        self.tally.tokens += ended.count
        return Generation(
            problem_id=job.request.problem_id,
            index=ended.index,
            prompt_sha=job.request.prompt.sha,
            completion=Completion(
                text=text if cut is None else cut,
                finish=ended.finish if cut is None else "stop",
                prompt_tokens=len(job.prompt),
                completion_tokens=ended.count,
                logprob=ended.logprob,
            ),
        )

    def _halve(self, jobs: int, width: int, fault: str) -> None:
        _collect()
        if jobs == 1:
            what = "one sequence" if width == 1 else f"one prompt with {width} beams"
            raise BackendFault(
                f"out of memory with {what} at a time ({fault}): lower sampling.max_tokens"
                f"{' or sampling.beams' if width > 1 else ''}, use fewer shots, or set backend.dtype=bfloat16"
            )
        self.batch_size = max(1, jobs // 2) * width
        self.tally.halvings += 1
        self.warn(f"out of memory with {jobs * width} sequences at once: going on with {self.batch_size}")


def _check(sampling: Sampling) -> None:
    if sampling.beams > 1 and sampling.temperature > 0:
        raise ConfigError("sampling.beams and sampling.temperature exclude each other: drop one of them")
    if sampling.samples > sampling.beams and sampling.temperature == 0:
        raise ConfigError(
            f"sampling.samples = {sampling.samples} without sampling: set sampling.temperature above 0,"
            f" or sampling.beams = {sampling.samples}"
        )


def _survivable(error: BaseException, rows: int) -> str:
    """What to say of a batch that did not fit in memory. Raises BackendFault for any other failure."""
    fault = str(error).partition("\n")[0] or type(error).__name__
    if not _out_of_memory(error):
        raise BackendFault(f"the model failed on a batch of {rows}: {fault}") from error
    return fault


def _out_of_memory(error: BaseException) -> bool:
    """Torch raises OutOfMemoryError on accelerators, and a bare RuntimeError from its CPU allocator."""
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "DefaultCPUAllocator" in text
        or "can't allocate memory" in text
    )


def _collect() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
