"""The prefix that many prompts share (the fixed shots of an ICL run), computed once and kept as keys and values.

A batch starts from a copy of the cached prefix and computes only what follows it. The logits move as they do between
batch shapes, so the outputs stay the same for the same reason (see hf): near ties are rechecked on the single sequence,
from all tokens. Only for decoder-only models whose cache keeps every position; others compute each prompt whole.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from harness.backends.hf.decoding.sampling import DecodeStats
from harness.backends.hf.kv_cache import DecodeBatch
from harness.backends.hf.model_runner import ModelRunner

MIN_TOKENS = 32  # tokens below which copying the cache costs about what it saves

Ids = tuple[int, ...]


def common_length(one: Ids, two: Ids) -> int:
    """The number of tokens that both begin with."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )


def shared_prefix(prompts: Sequence[Ids]) -> Ids:
    """The prefix whose reuse saves the most tokens over all prompts, () where it would save little.

    It need not be shared by all: a problem that is one of the shots gets other shots. At least one token of each
    prompt is left to compute, for its logits.
    """
    distinct = sorted(set(prompts))
    if len(distinct) < 2:
        return ()
    middle = distinct[len(distinct) // 2]
    lengths = sorted((min(common_length(middle, each), len(each) - 1) for each in distinct), reverse=True)
    best = max(range(len(lengths)), key=lambda others: lengths[others] * others)
    return middle[: lengths[best]] if lengths[best] >= MIN_TOKENS else ()


class PrefixCache:
    """Prefills batches for one call of `generate`; `tokens` is () if nothing is reused."""

    def __init__(self, runner: ModelRunner, tokens: Ids, stats: DecodeStats) -> None:
        self.runner = runner
        self.tokens = tokens if runner.can_reuse_prefix else ()
        self.stats = stats
        self._cache: Any = None  # of a batch of one

    def matches(self, prompt: Ids) -> bool:
        length = len(self.tokens)
        return bool(self.tokens) and len(prompt) > length and prompt[:length] == self.tokens

    def prefill(self, prompts: Sequence[Ids]) -> DecodeBatch:
        """One row a prompt, with the logits of its first token, as `ModelRunner.prefill` gives them."""
        if not all(map(self.matches, prompts)):
            self.stats.prefilled += sum(map(len, prompts))
            return self.runner.prefill(prompts)
        if self._cache is None:
            self._cache = self._compute()
            if self._cache is None:
                self.tokens = ()
                return self.prefill(prompts)
            self.stats.prefilled += len(self.tokens)
        rest = [prompt[len(self.tokens) :] for prompt in prompts]
        self.stats.prefilled += sum(map(len, rest))
        self.stats.reused += len(self.tokens) * len(prompts)
        with torch.inference_mode():
            cache = copy.deepcopy(self._cache)
            cache.batch_repeat_interleave(len(prompts))
        return self.runner.prefill(rest, cache, len(self.tokens))

    def _compute(self) -> Any:
        """The prefix's cache; None where a layer forgets positions (sliding windows, recurrent states)."""
        from transformers.cache_utils import DynamicCache, DynamicLayer

        cache = self.runner.prefill([self.tokens]).cache
        whole = type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in cache.layers)
        return cache if whole else None
