"""What the sampling asks to change in the scores of the next token: bans, a price on repetition, by count or by
presence.

As transformers does it, in its order: the hub's repetition penalty (a score of a token that is there already, in
prompt or completion, is divided by r, or multiplied where it is negative), then the count penalty of decoding.py
(over the completion), then bans. Greedy decoding and draws change logits; beam search changes log-probabilities,
and does not normalise them again. A recorded log-probability is always the model's own. Imports torch; see
hf_network.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.backends.hf.decoding.penalties import ban, banned_ids, count_penalty
from harness.backends.hf.model_runner import Network
from harness.backends.hf.tokenizer import Codec
from harness.errors import ConfigError
from harness.schema import Sampling


@dataclass(frozen=True)
class Shape:
    """`start` stands before a completion in place of the prompt, for models with an encoder."""

    banned: frozenset[int] = frozenset()
    counted: float = 1.0
    repeated: float = 1.0
    start: tuple[int, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.banned) or self.counted != 1 or self.repeated != 1

    @property
    def stretch(self) -> float:
        """How much an error of a score may grow."""
        return max(self.repeated, 1 / self.repeated)

    def __call__(
        self, scores: Tensor, prompts: Sequence[tuple[int, ...]], own: Sequence[Sequence[int]]
    ) -> Tensor:
        """The scores [rows, vocabulary] after each row's prompt and the tokens generated so far."""
        if not self:
            return scores
        changed = scores.clone()
        for row, (prompt, ids) in enumerate(zip(prompts, own, strict=True)):
            if self.repeated != 1:
                seen = torch.tensor(sorted(self._seen(prompt, ids)), device=scores.device)
                values = changed[row, seen]
                changed[row, seen] = torch.where(values < 0, values * self.repeated, values / self.repeated)
            if self.counted != 1 and ids:
                tokens = torch.tensor([list(ids)], device=scores.device)
                changed[row] = count_penalty(changed[row : row + 1], tokens, self.counted)[0]
        return ban(changed, self.banned)

    def total(self, logprobs: Sequence[float], prompt: tuple[int, ...], ids: Sequence[int]) -> float:
        """The changed log-probabilities of a completion, summed, from the model's own."""
        if not self:
            return sum(logprobs)
        seen, counts, total = self._seen(prompt, ()), Counter[int](), 0.0
        for logprob, token in zip(logprobs, ids, strict=True):
            total += logprob * (self.repeated if token in seen else 1.0) - counts[token] * math.log(
                self.counted
            )
            seen.add(token)
            counts[token] += 1
        return total

    def _seen(self, prompt: tuple[int, ...], ids: Sequence[int]) -> set[int]:
        return {*(prompt if self.start is None else self.start), *ids}


def shape(sampling: Sampling, codec: Codec, network: Network) -> Shape:
    """What `sampling` asks for, for one model. Raises ConfigError for a token that is none."""
    start = (network.start,) if network.encoder else None
    return Shape(
        _banned(sampling, codec, network), sampling.count_penalty, sampling.repetition_penalty, start
    )


def _banned(sampling: Sampling, codec: Codec, network: Network) -> frozenset[int]:
    if not sampling.banned_tokens:
        return frozenset()
    size = network.vocabulary
    texts = [f"\0{i}" for i in range(size)]  # no text of a token; ids alone need none
    if any(isinstance(token, str) for token in sampling.banned_tokens):
        known = min(size, len(codec.tokenizer))
        texts[:known] = codec.tokenizer.batch_decode(
            [[i] for i in range(known)], clean_up_tokenization_spaces=False
        )
    try:
        return banned_ids(sampling.banned_tokens, texts)
    except ValueError as error:
        raise ConfigError(f"sampling.banned_tokens: {error}") from None
