"""The beginning that many prompts share (the fixed shots of an ICL run), computed once and kept as keys and values.

A batch starts from a copy of the kept cache and computes only what follows it. The numbers move as they do between
batch shapes, so the outputs stay the same for the same reason (see hf): close calls are decided alone, from all
tokens. Only for decoder-only models whose cache keeps every position; others compute each prompt whole.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from harness.backends.hf.decoding.sampling import Tally
from harness.backends.hf.kv_cache import Lanes
from harness.backends.hf.model_runner import Network

LEAST = 32  # tokens below which copying the cache costs about what it saves

Ids = tuple[int, ...]


def common(one: Ids, two: Ids) -> int:
    """The number of tokens that both begin with."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )


def worth_keeping(prompts: Sequence[Ids]) -> Ids:
    """The beginning whose reuse saves most tokens over all prompts, () where little is to be saved.

    It need not be shared by all: an item among its own run's shots gets other ones. At least one token of each
    prompt is left to be computed, for its logits.
    """
    distinct = sorted(set(prompts))
    if len(distinct) < 2:
        return ()
    middle = distinct[len(distinct) // 2]
    lengths = sorted((min(common(middle, each), len(each) - 1) for each in distinct), reverse=True)
    best = max(range(len(lengths)), key=lambda others: lengths[others] * others)
    return middle[: lengths[best]] if lengths[best] >= LEAST else ()


class Prefix:
    """Prefills batches for one call of `generate`; `tokens` is () where nothing is reused."""

    def __init__(self, network: Network, tokens: Ids, tally: Tally) -> None:
        self.network = network
        self.tokens = tokens if network.may_reuse else ()
        self.tally = tally
        self._cache: Any = None  # of a batch of one

    def begins(self, prompt: Ids) -> bool:
        return bool(self.tokens) and len(prompt) > len(self.tokens) and self._leads(prompt)

    def _leads(self, prompt: Ids) -> bool:
        return prompt[: len(self.tokens)] == self.tokens

    def prefill(self, prompts: Sequence[Ids]) -> Lanes:
        """One row a prompt, ready to choose its first token, as `Network.prefill` gives them."""
        if not all(map(self.begins, prompts)):
            self.tally.prefilled += sum(map(len, prompts))
            return self.network.prefill(prompts)
        if self._cache is None:
            self._cache = self._kept()
            if self._cache is None:
                self.tokens = ()
                return self.prefill(prompts)
            self.tally.prefilled += len(self.tokens)
        rest = [prompt[len(self.tokens) :] for prompt in prompts]
        self.tally.prefilled += sum(map(len, rest))
        self.tally.reused += len(self.tokens) * len(prompts)
        with torch.inference_mode():
            cache = copy.deepcopy(self._cache)
            cache.batch_repeat_interleave(len(prompts))
        return self.network.prefill(rest, cache, len(self.tokens))

    def _kept(self) -> Any:
        """The prefix's cache; None where a layer forgets positions (sliding windows, recurrent states)."""
        from transformers.cache_utils import DynamicCache, DynamicLayer

        cache = self.network.prefill([self.tokens]).cache
        whole = type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in cache.layers)
        return cache if whole else None
