"""Requests as tokens: which prompts fit the model's context, with how much room, and what becomes of the others.

make_jobs(runner, codec, requests, sampling, warn)     -> the jobs to decode, longest prompt first; samples skipped
room(runner, tokens)                                   -> how many tokens can be generated after so many
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.backends.hf.tokenizer import Codec
from harness.errors import UserError
from harness.schema import Completion, Generation, Request, Sampling

if TYPE_CHECKING:
    from harness.backends.hf.model_runner import ModelRunner

ROOM_TO_THINK = 2048  # tokens for reasoning and answer, below which the former is likely to be cut off
NAMED = 5  # problem ids that a message lists


@dataclass(frozen=True)
class DecodeJob:
    """One sample of a request, or all its beams. `limit` is the most tokens that there is room for, `opened`:
    the prompt ends with a mark that opens a thought. `ends`: tokens at which it ends beside the end of the text."""

    request: Request
    indices: tuple[int, ...]
    prompt: tuple[int, ...]
    limit: int
    opened: bool = False
    ends: frozenset[int] = frozenset()


@dataclass(frozen=True)
class DecodeJobs:
    """`skipped`: the samples of prompts that do not fit. `shortened`: requests whose completions end at the context."""

    jobs: list[DecodeJob]
    skipped: Sequence[Generation]
    shortened: int


def room(runner: "ModelRunner", prompt: int) -> int | None:
    """How many tokens the model can generate after a prompt of this length; None is any number."""
    if runner.max_positions is None:
        return None
    if runner.encoder:  # encoder and decoder have a context each; the decoder's begins with its start token
        return runner.max_positions - 1 if prompt <= runner.max_positions else 0
    return runner.max_positions - prompt


def make_jobs(
    runner: "ModelRunner",
    codec: Codec,
    requests: Sequence[Request],
    sampling: Sampling,
    warn: Callable[[str], None],
) -> DecodeJobs:
    """Raises UserError for prompts that do not fit, where that is an error (`sampling.over_long`)."""
    jobs, too_long, short = list[DecodeJob](), list[tuple[Request, int]](), 0
    for request in requests:
        prompt = codec.encode(request.prompt)
        if sampling.over_long == "truncate_left":
            prompt = codec.truncate_left(prompt, _longest_prompt(runner, sampling))
        left = room(runner, len(prompt))
        limit = sampling.budget if left is None else min(sampling.budget, left)
        if limit < 1:
            too_long.append((request, len(prompt)))
            continue
        groups = [request.indices] if sampling.beams > 1 else [(index,) for index in request.indices]
        short += limit < sampling.budget
        opened = codec.opens_thought(prompt)
        ends = codec.gap.ends if request.prompt.suffix is not None else frozenset[int]()
        jobs += [DecodeJob(request, group, prompt, limit, opened, ends) for group in groups if group]
    skipped = _skipped(runner, too_long, sampling) if too_long else []
    if short:
        warn(
            f"{short} of {len(requests)} prompts leave less room than {_budget_name(sampling)}"
            f" in the model's context of {runner.max_positions} tokens: their completions end there"
        )
    _warn_of_small_budget(codec, jobs, sampling, warn)
    return DecodeJobs(sorted(jobs, key=lambda job: -len(job.prompt)), skipped, short)


def _longest_prompt(runner: "ModelRunner", sampling: Sampling) -> int | None:
    """The tokens of a prompt behind which the whole budget has room. Raises UserError where there is no room at all."""
    if runner.max_positions is None or runner.encoder:
        return runner.max_positions
    if sampling.budget >= runner.max_positions:
        raise UserError(
            f"{_budget_name(sampling)} leaves no room for a prompt in the model's context of"
            f" {runner.max_positions} tokens: over_long = 'truncate_left' needs a smaller one"
        )
    return runner.max_positions - sampling.budget


def _skipped(
    runner: "ModelRunner", too_long: Sequence[tuple[Request, int]], sampling: Sampling
) -> list[Generation]:
    """The samples of prompts that do not fit. Raises UserError where that is an error."""
    context = f"the model's context of {runner.max_positions} tokens"
    if sampling.over_long == "error":
        names = [f"{request.problem_id} ({tokens} tokens)" for request, tokens in too_long]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        raise UserError(
            f"{len(names)} prompts do not fit {context}: {', '.join(names[:NAMED])}{more}; use fewer shots, a model"
            " with a longer context, or over_long = 'skip' or 'truncate_left'"
        )
    return [
        Generation(
            problem_id=request.problem_id,
            index=index,
            prompt_sha=request.prompt.sha,
            completion=Completion(
                text="", finish="skipped", note=f"the prompt's {tokens} tokens do not fit {context}"
            ),
        )
        for request, tokens in too_long
        for index in request.indices
    ]


def _warn_of_small_budget(
    codec: Codec, jobs: Sequence[DecodeJob], sampling: Sampling, warn: Callable[[str], None]
) -> None:
    """Where a model that thinks first has room for an answer alone."""
    if sampling.max_reasoning_tokens or sampling.budget >= ROOM_TO_THINK or not jobs:
        return
    first = jobs[0]
    if first.opened or (first.request.prompt.messages and codec.thinks(first.prompt)):
        warn(
            f"this model thinks before it answers, and has {sampling.max_tokens} tokens for both: most answers may be"
            " cut off. Allow more with sampling.max_reasoning_tokens (8192, say), or switch thinking off in the"
            " model's template (backend.template_args)"
        )


def _budget_name(sampling: Sampling) -> str:
    more = (
        f" + max_reasoning_tokens = {sampling.max_reasoning_tokens}" if sampling.max_reasoning_tokens else ""
    )
    return f"max_tokens = {sampling.max_tokens}{more}"
