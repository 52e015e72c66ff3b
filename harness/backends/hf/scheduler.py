"""Requests in, completions out: what there is to decode, in which order, and what happens when memory runs out.

Jobs are sorted by prompt length, longest first: prompts that are computed together have similar lengths, and what does
not fit shows at once. The samples of a prompt are neighbours, so they share one prefill. A finished sample is yielded
at that step, and another takes its place (decode_loop). When memory runs out, the unfinished jobs begin again in half
as many slots.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from harness.backends import hub
from harness.backends.hf import CAPABILITIES, batch_size, decode_jobs, likelihood
from harness.backends.hf.adapters import multi_lora
from harness.backends.hf.adapters import tokenizer as own_tokenizer
from harness.backends.hf.adapters.adapter import (
    NAME,
    PROBE,
    Adapter,
    check_effect,
    describe,
    find_checked,
    probe,
)
from harness.backends.hf.adapters.multi_lora import AdapterTagged, adapter_of
from harness.backends.hf.adapters.snapshot import CleanBase
from harness.backends.hf.adapters.weights import attach, check_forward
from harness.backends.hf.batch_size import MemoryCost
from harness.backends.hf.decode_jobs import DecodeJob, DecodeJobs
from harness.backends.hf.decoding.beam_search import BeamSearchDecoder
from harness.backends.hf.decoding.decode_loop import DecodeLoop
from harness.backends.hf.decoding.logits_processors import logits_processors
from harness.backends.hf.decoding.sampling import (
    DecodeStats,
    FinishedSample,
    Rechecker,
    SamplingDecoder,
)
from harness.backends.hf.model_runner import ModelRunner, free_memory
from harness.backends.hf.prefix_cache import PrefixCache, shared_prefix
from harness.backends.hf.tokenizer import Codec
from harness.errors import BackendFault, ConfigError
from harness.schema import (
    Capabilities,
    Completion,
    Generation,
    LikelihoodRequest,
    Prompt,
    RenderedPrompt,
    Request,
    Sampling,
)
from harness.text.completion_parts import separate
from harness.text.reasoning import has_marks

# How far a difference of two logits moves between batch shapes, in units of the largest logit, with room to
# spare. Measured per logit, the worst of 2 to 12 layers of random weights: float32 2.6e-6, float16 3.7e-3,
# bfloat16 2.5e-2. Random weights are worse than trained ones.
TOLERANCE: Mapping[torch.dtype, float] = {
    torch.float32: 2.0**-15,
    torch.float16: 2.0**-7,
    torch.bfloat16: 2.0**-4,
}
DEFAULT_BATCH = 64  # texts scored at once if backend.batch_size does not say; their logits are limited anyway

DecodingStrategy = SamplingDecoder | BeamSearchDecoder


class Engine:
    """A loaded model as a `schema.Backend`. `stats` add up over all calls of `generate`."""

    def __init__(
        self,
        runner: ModelRunner,
        codec: Codec,
        identity: Mapping[str, str],
        batch_size: int,
        warn: Callable[[str], None],
        base: CleanBase | None = None,
    ) -> None:
        self.base = base  # without it no adapter can be attached
        self.runner: ModelRunner | None = runner
        self.codec = self._bare_codec = codec
        self.identity = self._bare = identity
        self.batch_size = batch_size
        self.warn = warn
        self.stats = DecodeStats()
        self.rounding = TOLERANCE.get(runner.dtype, 2.0**-4)  # how far equal computations may be apart
        self.tolerance = self.rounding  # below which decisions are made again; 0: none is
        self._attached = ""
        self._doubted: set[str] = set()  # adapters whose doubts were said
        self._cost: MemoryCost | None = None

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, chat=self.codec.chat)

    def set_adapter(self, adapter: str) -> None:
        """Attach this adapter in place of what was attached; the base model stays loaded.

        Raises UserError if the adapter was trained on another base, does not fit, or changes nothing.
        """
        runner = self.detach_adapter()
        if not adapter:
            return
        found, doubted = self.find_adapter(adapter)
        base, ids = self.require_base(), probe(found, self.codec.encode(PROBE), runner.vocab_size)
        without = base.logits(ids)
        self.set_attached(self.identity, found.name)
        try:
            loaded = self._attach(found, ids, without)
            self.codec = self.codec_of(found, runner.vocab_size)
        except BaseException:
            self.detach_adapter()
            raise
        own = {"tokenizer": own_tokenizer.name(found)} if self.codec is not self._bare_codec else {}
        self.set_attached({**self.identity, **describe(found, loaded, doubted), **own}, found.name)

    def _attach(self, adapter: Adapter, ids: Sequence[int], without: torch.Tensor) -> str:
        """Put the adapter on and see that it acts as PEFT has it; the digest of all that is in memory then."""
        runner = self._require_open()
        attached = attach(runner.model, adapter, self.warn)
        runner.set_virtual_tokens(attached.virtual_embeddings, attached.make_prefix, attached.virtual_tokens)
        logits = runner.single(tuple(ids), ()).logits
        check_effect(adapter.name, logits, without)
        check_forward(attached.wrapped, adapter, ids, logits, self.rounding)
        return self.require_base().snapshot.digest_with(attached.wrapped, NAME)

    def codec_of(self, adapter: Adapter, rows: int) -> Codec:
        """The tokenizer with an adapter: its own if it brings one, for a model with embeddings of so many tokens."""
        folder, _ = hub.find(self.identity["model"], self.identity["revision"] or None)
        bare = self._bare_codec
        if not own_tokenizer.differs(adapter, folder):
            return bare
        tokenizer = own_tokenizer.load(adapter, folder, rows)
        ends = frozenset({tokenizer.eos_token_id} - {None})
        return Codec(tokenizer, bare.eos | ends, bare.encoder, bare.template_args, bare.fim)

    def find_adapter(self, name: str) -> tuple[Adapter, list[str]]:
        """The adapter, checked against this base, and what of it is doubtful, which is said. Raises UserError."""
        found, doubted = find_checked(name, self.identity)
        if doubted and name not in self._doubted:
            self._doubted.add(name)
            self.warn(f"adapter {name}: {'; '.join(doubted)}")
        return found, doubted

    def attach_adapters(self, adapters: Sequence[str]) -> Sequence[Mapping[str, str]] | None:
        return multi_lora.attach_adapters(self, adapters)

    def detach_adapter(self) -> ModelRunner:
        """Detach what is attached, if anything is, and return the model runner, with the base as it was loaded."""
        runner = self._require_open()
        runner.set_virtual_tokens(None, None, 0)
        runner.mixed = None
        self.codec = self._bare_codec
        if self._attached:
            try:
                self.require_base().restore(self._attached)
            except BaseException:  # neither with the adapter nor without it: it must not answer
                self.close()
                raise
            self.set_attached(self._bare, "")
        return runner

    def set_attached(self, identity: Mapping[str, str], adapter: str) -> None:
        """Record what is being attached to the model runner, or nothing (""), under which identity."""
        self.identity, self._attached = identity, adapter

    def require_base(self) -> CleanBase:
        if self.base is None:
            raise BackendFault("this engine was made without its base (CleanBase): it can take no adapter")
        return self.base

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Yield every wanted sample once, as it is finished. Raises UserError, BackendFault."""
        made = self._jobs(requests, sampling)
        yield from made.skipped
        for _, generation in self._decode(made.jobs, sampling):
            yield generation

    def generate_mixed(
        self, requests: Mapping[int, Sequence[Request]], sampling: Sampling
    ) -> Iterator[tuple[int, Generation]]:
        """The same for several adapters at once: (adapter, sample) as each is finished (multi_lora)."""
        by_adapter = []
        for adapter, of_one in requests.items():
            made = self._jobs(of_one, sampling)
            by_adapter.append([replace(job, prompt=AdapterTagged(job.prompt, adapter)) for job in made.jobs])
            for skipped in made.skipped:
                yield adapter, skipped
        mixed = sorted((job for jobs in by_adapter for job in jobs), key=lambda job: -len(job.prompt))
        # A prefix that all prompts of an adapter share saves more than mixing does.
        kept = self._require_open().can_reuse_prefix and any(
            shared_prefix([job.prompt for job in jobs]) for jobs in by_adapter
        )
        for jobs in by_adapter if kept else [mixed]:
            for job, generation in self._decode(jobs, sampling):
                yield adapter_of(job.prompt), generation

    def _decode(self, pending: list[DecodeJob], sampling: Sampling) -> Iterator[tuple[DecodeJob, Generation]]:
        runner = self._require_open()
        _check_sampling(sampling)
        rechecker = Rechecker(runner, self.tolerance, self.stats)
        strategy = (BeamSearchDecoder if sampling.beams > 1 else SamplingDecoder)(
            self.codec, sampling, rechecker, logits_processors(sampling, self.codec, runner)
        )
        prompts = [job.prompt for job in pending]
        single_adapter = len(set(map(adapter_of, prompts))) == 1
        prefix = PrefixCache(runner, shared_prefix(prompts) if single_adapter else (), self.stats)
        pending.sort(key=lambda job: not prefix.matches(job.prompt))
        while pending:
            done, fault, at_once = set[int](), "", 1
            try:
                slots = self.batch_size or self._rows_that_fit(pending)
                at_once = max(1, min(slots // strategy.width, len(pending)))
                for number, finished in DecodeLoop(runner, strategy, prefix, pending, at_once).run():
                    done.add(number)
                    for one in finished:
                        yield pending[number], self._generation(pending[number], one, sampling)
            except (RuntimeError, MemoryError) as error:
                fault = _out_of_memory_reason(error, at_once * strategy.width)
            pending = [job for number, job in enumerate(pending) if number not in done]
            if fault:
                self._halve(at_once, strategy.width, fault)
        if rechecker.stats.noise > 1:
            self.warn(
                f"batches moved logits {self.stats.noise:.1f} times as far as {runner.dtype} allows for:"
                " outputs may depend on the batch size; --set backend.batch_size=1 excludes it"
            )

    def likelihoods(self, requests: Sequence[LikelihoodRequest]) -> Iterator[Generation]:
        """Yield the log-probability of each text, as it is computed. Raises UserError, BackendFault."""
        runner = self._require_open()
        pending = likelihood.make_jobs(runner, self.codec, requests, self.warn)
        while pending:
            batch, found, fault = (
                likelihood.first_batch(runner, pending, self.batch_size or DEFAULT_BATCH),
                [],
                "",
            )
            try:
                found = likelihood.measure(runner, batch, self.tolerance, self.stats)
            except (RuntimeError, MemoryError) as error:
                fault = _out_of_memory_reason(error, len(batch))
            yield from found
            pending = pending[len(found) :]
            if fault:
                self._halve(len(batch), 1, fault)

    def tokens(self, prompt: Prompt) -> int:
        return len(self.codec.encode(prompt))

    def render(self, prompts: Sequence[Prompt]) -> Sequence[RenderedPrompt]:
        return [self.codec.render(prompt) for prompt in prompts]

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        """Whether prompt and answer fit; an answer as long as the context itself leaves no room for a prompt."""
        runner = self._require_open()
        room, most = decode_jobs.room(runner, self.tokens(prompt)), decode_jobs.room(runner, 0)
        return room is None or most is None or room >= min(max_tokens, most)

    def close(self) -> None:
        """Free the model's memory. A closed backend cannot generate."""
        self.runner = self.base = None
        free_memory()

    def _require_open(self) -> ModelRunner:
        if self.runner is None:
            raise BackendFault("this backend is closed")
        return self.runner

    def _jobs(self, requests: Sequence[Request], sampling: Sampling) -> DecodeJobs:
        made = decode_jobs.make_jobs(self._require_open(), self.codec, requests, sampling, self.warn)
        self.stats.shortened += made.shortened
        return made

    def _rows_that_fit(self, jobs: Sequence[DecodeJob]) -> int:
        """How many rows of these jobs, longest prompt first, fit in memory."""
        runner = self._require_open()
        if self._cost is None:
            self._cost = batch_size.measure_cost(runner, jobs[0].prompt)
        longest = max(len(job.prompt) for job in jobs) + runner.virtual_tokens
        return batch_size.max_rows(
            self._cost,
            batch_size.free_memory(runner.device),
            longest,
            max(job.limit for job in jobs),
            runner.vocab_size,
            batch_size.row_limit(runner.device),
        )

    def _generation(self, job: DecodeJob, sample: FinishedSample, sampling: Sampling) -> Generation:
        made = self._split_completion(job, sample)
        cut = self.codec.cut_at_stop(made.text, sampling.stop)
        self.stats.tokens += sample.count
        return Generation(
            problem_id=job.request.problem_id,
            index=sample.index,
            prompt_sha=job.request.prompt.sha,
            completion=made if cut is None else made.model_copy(update={"text": cut, "finish": "stop"}),
        )

    def _split_completion(self, job: DecodeJob, sample: FinishedSample) -> Completion:
        """The sample before it is cut at a stop string, its thought apart and counted."""
        made = Completion(
            text=self.codec.decode(sample.ids),
            finish=sample.finish,
            prompt_tokens=len(job.prompt),
            completion_tokens=sample.count,
            logprob=sample.logprob,
        )
        if not job.opened and not has_marks(made.text):
            return made
        parts = separate(made, job.opened)
        if not parts.reasoning or parts.cut_off:
            return parts
        return parts.model_copy(
            update={"reasoning_tokens": self.codec.count_reasoning(sample.ids, job.opened)}
        )

    def _halve(self, jobs: int, width: int, fault: str) -> None:
        free_memory()
        if jobs == 1:
            what = "one sequence" if width == 1 else f"one prompt with {width} beams"
            raise BackendFault(
                f"out of memory with {what} at a time ({fault}): lower sampling.max_tokens"
                f"{' or sampling.beams' if width > 1 else ''}, use fewer shots, or set backend.dtype=bfloat16"
            )
        self.batch_size = max(1, jobs // 2) * width
        self.stats.halvings += 1
        self.warn(f"out of memory with {jobs * width} sequences at once: going on with {self.batch_size}")


def _check_sampling(sampling: Sampling) -> None:
    if sampling.beams > 1 and sampling.temperature > 0:
        raise ConfigError("sampling.beams and sampling.temperature exclude each other: drop one of them")
    if sampling.samples > sampling.beams and sampling.temperature == 0:
        raise ConfigError(
            f"sampling.samples = {sampling.samples} without sampling: set sampling.temperature above 0,"
            f" or sampling.beams = {sampling.samples}"
        )


def _out_of_memory_reason(error: BaseException, rows: int) -> str:
    """The reason, if a batch did not fit in memory. Raises BackendFault for any other failure."""
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
