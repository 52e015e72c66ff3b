"""The likelihood of given texts: the log-probabilities of a text's tokens after a prompt, many texts in a pass.

A sum is recorded with as many decimals as a completion's (decoding.sampling), and, like it, does not depend on the
batch: where the batch's noise might round it the other way, the text is recomputed as a single sequence. In 16-bit
floats that would be nearly every text, so there none is batched.

A text that does not fit the context is scored in windows (the "rolling" likelihood): each token is predicted once,
after at least half a context if there is that much before it. Splitting has a cost: in windows a text is less likely
than in one piece. The end-of-text is not counted: models end an answer with different tokens, or by a stop string, and
it has no bytes. Imports torch; see model_runner.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from harness.backends.hf.decoding.next_token import LOGPROB_SHARE
from harness.backends.hf.decoding.sampling import DIGITS, DecodeStats
from harness.backends.hf.model_runner import ModelRunner
from harness.backends.hf.tokenizer import Codec
from harness.errors import BackendFault, UserError
from harness.schema import Completion, Generation, LikelihoodRequest

LOGITS = 2**27  # most logits of one batch: half a GB in float32
NAMED = 5  # problem ids that a message lists


@dataclass(frozen=True)
class Window:
    """The tokens predicted in one pass, and those before them that the pass sees."""

    before: tuple[int, ...]
    predicted: tuple[int, ...]


@dataclass(frozen=True)
class LikelihoodJob:
    """One text, in one window or several."""

    request: LikelihoodRequest
    prompt_tokens: int
    windows: tuple[Window, ...]

    @property
    def width(self) -> int:
        return max((len(w.before) + len(w.predicted) for w in self.windows), default=0)

    @property
    def tokens(self) -> int:
        return sum(len(window.predicted) for window in self.windows)


def windows(prompt: tuple[int, ...], text: tuple[int, ...], limit: int | None) -> tuple[Window, ...]:
    """`prompt` + `text` in windows of at most `limit` tokens, each token of the text predicted once.

    Each window extends half a context further than the one before it. None is no limit.
    """
    ids, first, found = prompt + text, len(prompt), list[Window]()
    limit = limit or len(ids)
    while first < len(ids):
        end = min(len(ids), max(limit, first + limit // 2))
        found.append(Window(ids[max(0, end - limit) : first], ids[first:end]))
        first = end
    return tuple(found)


def make_jobs(
    runner: ModelRunner, codec: Codec, requests: Sequence[LikelihoodRequest], warn: Callable[[str], None]
) -> list[LikelihoodJob]:
    """The texts as tokens, longest first, so that a batch holds texts of similar length."""
    made, too_long, inexact = [], list[str](), list[str]()
    room = runner.max_positions
    for one in requests:
        prompt = codec.encode(one.prompt)
        text, exact = codec.encode_continuation(one.text)
        if not exact:
            inexact.append(one.problem_id)
        if not runner.encoder:
            pieces = windows(prompt, text, room)
        elif room is not None and max(len(prompt), len(text) + 1) > room:
            too_long.append(one.problem_id)
            continue
        else:
            pieces = (Window(prompt, text),) if text else ()
        made.append(LikelihoodJob(one, len(prompt), pieces))
    if too_long:
        raise UserError(
            f"{len(too_long)} references do not fit the model's context of {room} tokens, and an encoder-decoder"
            f" model is not scored in windows: {_some(too_long)}; leave the scorer out"
        )
    if inexact:
        warn(
            f"the tokenizer cannot write {len(inexact)} of {len(requests)} references to the letter"
            f" ({_some(inexact)}): their likelihood is that of what it makes of them"
        )
    return sorted(made, key=lambda job: -job.width)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def first_batch(runner: ModelRunner, pending: Sequence[LikelihoodJob], most: int) -> Sequence[LikelihoodJob]:
    """The first jobs that may share a batch; a text in 16-bit floats, or in several windows, shares none."""
    if runner.dtype != torch.float32 or len(pending[0].windows) > 1:
        return pending[:1]
    vocabulary = int(runner.model.config.get_text_config(decoder=True).vocab_size)
    size = longest = 0
    for job in pending[:most]:
        longest = max(longest, job.width if runner.encoder else job.tokens + 1)
        if size and (size + 1) * longest * vocabulary > LOGITS:
            break
        size += 1
    return pending[:size]


def measure(
    runner: ModelRunner, batch: Sequence[LikelihoodJob], tolerance: float, stats: DecodeStats
) -> list[Generation]:
    """One Generation a job, in the batch's order."""
    if len(batch) == 1:
        return [_generation(batch[0], _single(runner, batch[0]))]
    non_empty = [job for job in batch if job.windows]
    pairs = (
        runner.batched_logprobs(
            [job.windows[0].before for job in non_empty], [job.windows[0].predicted for job in non_empty]
        )
        if non_empty
        else []
    )
    sums = {id(job): pair for job, pair in zip(non_empty, pairs, strict=True)}
    found = []
    for job in batch:
        total = 0.0
        if job.windows:
            values, largest = sums[id(job)]
            total = float(values.double().sum())
            # As for completions: an error of the sum grows with the root of the number of tokens.
            moved = tolerance * LOGPROB_SHARE * largest.double() * -torch.expm1(values.double())
            stats.logprobs += 1
            if _is_near_tie(total, math.sqrt(float((moved**2).sum()))):
                stats.logprob_near_ties += 1
                total = _single(runner, job)
        found.append(_generation(job, total))
    return found


def _is_near_tie(total: float, error: float) -> bool:
    """Whether a sum that may be off by `error` might round the other way."""
    unit = 10.0**-DIGITS
    return abs((total / unit) % 1.0 - 0.5) * unit <= error


def _single(runner: ModelRunner, job: LikelihoodJob) -> float:
    return math.fsum(runner.single(window.before, window.predicted).total for window in job.windows)


def _generation(job: LikelihoodJob, total: float) -> Generation:
    if not math.isfinite(total):
        raise BackendFault(
            f"{job.request.problem_id}: its reference's log-probability is {total}:"
            " try dtype float32, or check the weights"
        )
    return Generation(
        problem_id=job.request.problem_id,
        index=0,
        prompt_sha=job.request.prompt.sha,
        completion=Completion(
            text=job.request.text,
            prompt_tokens=job.prompt_tokens,
            completion_tokens=job.tokens,
            logprob=round(total, DIGITS) + 0.0,
        ),
    )
