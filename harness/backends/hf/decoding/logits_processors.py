"""Changes to the scores of the next token that the sampling asks for: bans, and penalties on repetition by presence or
by count.

As in transformers, and in its order: the repetition penalty (the score of a token that occurs already, in prompt or
completion, is divided by r, or multiplied if it is negative), then the count penalty (penalties.py, over the
completion), then bans. Greedy decoding and sampling change logits; beam search changes log-probabilities and does not
normalise them again. A recorded log-probability is always the model's own. Imports torch; see model_runner.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.backends.hf.decoding.penalties import ban, banned_ids, count_penalty
from harness.backends.hf.model_runner import ModelRunner
from harness.backends.hf.tokenizer import Codec
from harness.errors import ConfigError
from harness.schema import Sampling


@dataclass(frozen=True)
class LogitsProcessors:
    """`decoder_start` precedes a completion in place of the prompt, for models with an encoder."""

    banned: frozenset[int] = frozenset()
    count_penalty: float = 1.0
    repetition_penalty: float = 1.0
    decoder_start: tuple[int, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.banned) or self.count_penalty != 1 or self.repetition_penalty != 1

    @property
    def error_factor(self) -> float:
        """By how much an error of a score may grow."""
        return max(self.repetition_penalty, 1 / self.repetition_penalty)

    def __call__(
        self, scores: Tensor, prompts: Sequence[tuple[int, ...]], completions: Sequence[Sequence[int]]
    ) -> Tensor:
        """The changed scores [rows, vocabulary], given each row's prompt and the tokens generated so far."""
        if not self:
            return scores
        changed = scores.clone()
        for row, (prompt, ids) in enumerate(zip(prompts, completions, strict=True)):
            if self.repetition_penalty != 1:
                seen = torch.tensor(sorted(self._seen(prompt, ids)), device=scores.device)
                values = changed[row, seen]
                changed[row, seen] = torch.where(
                    values < 0, values * self.repetition_penalty, values / self.repetition_penalty
                )
            if self.count_penalty != 1 and ids:
                tokens = torch.tensor([list(ids)], device=scores.device)
                changed[row] = count_penalty(changed[row : row + 1], tokens, self.count_penalty)[0]
        return ban(changed, self.banned)

    def total(self, logprobs: Sequence[float], prompt: tuple[int, ...], ids: Sequence[int]) -> float:
        """The sum of a completion's changed log-probabilities, from the model's own."""
        if not self:
            return sum(logprobs)
        seen, counts, total = self._seen(prompt, ()), Counter[int](), 0.0
        for logprob, token in zip(logprobs, ids, strict=True):
            total += logprob * (self.repetition_penalty if token in seen else 1.0) - counts[token] * math.log(
                self.count_penalty
            )
            seen.add(token)
            counts[token] += 1
        return total

    def _seen(self, prompt: tuple[int, ...], ids: Sequence[int]) -> set[int]:
        return {*(prompt if self.decoder_start is None else self.decoder_start), *ids}


def logits_processors(sampling: Sampling, codec: Codec, runner: ModelRunner) -> LogitsProcessors:
    """The processors that `sampling` asks for, for one model. Raises ConfigError for an unknown token."""
    start = (runner.decoder_start,) if runner.encoder else None
    return LogitsProcessors(
        _banned(sampling, codec, runner), sampling.count_penalty, sampling.repetition_penalty, start
    )


def _banned(sampling: Sampling, codec: Codec, runner: ModelRunner) -> frozenset[int]:
    if not sampling.banned_tokens:
        return frozenset()
    size = runner.vocab_size
    texts = [f"\0{i}" for i in range(size)]  # not the text of any token; only needed if texts are banned
    if any(isinstance(token, str) for token in sampling.banned_tokens):
        known = min(size, len(codec.tokenizer))
        texts[:known] = codec.tokenizer.batch_decode(
            [[i] for i in range(known)], clean_up_tokenization_spaces=False
        )
    try:
        return banned_ids(sampling.banned_tokens, texts)
    except ValueError as error:
        raise ConfigError(f"sampling.banned_tokens: {error}") from None
