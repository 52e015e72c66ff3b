"""Drawn tokens: distributed as the model says, by noise of their own, among those that top-k and top-p admit."""

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends.hf.decoding import next_token
from harness.backends.hf.decoding.next_token import gumbel, next_tokens
from harness.schema import Prompt, Sampling
from tests.support.parts.hf_engine import DRAWN, loaded, requests


def test_noise_is_splitmix64(bases: dict[str, Path]) -> None:
    """Its first outputs from state 0 (prng.di.unimi.it/splitmix64.c): e220a8397b1dcdaf, 6e789e6aa1b965f4."""
    found = gumbel(torch.zeros((1, 1), dtype=torch.long), torch.tensor([[0, 1]]))[0].tolist()
    for value, bits in zip(found, (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4), strict=True):
        assert value == pytest.approx(-math.log(-math.log((bits >> 11) / 2**53)), rel=1e-12)


@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_drawn_tokens_are_distributed_as_the_model_says(bases: dict[str, Path], top_p: float) -> None:
    """Chi-square over 4,000 first tokens; 0.999 quantile by Wilson and Hilferty (1931)."""
    backend = loaded(bases["llama"], 500)
    assert backend.runner is not None
    logits = backend.runner.single(backend.codec.encode(Prompt(text="x")), ()).logits
    keys = [random.Random(n).getrandbits(63) for n in range(4000)]
    sampling = Sampling(temperature=1.5, top_p=top_p, max_tokens=1)
    seen = Counter(next_tokens(logits.expand(4000, -1), sampling, keys, 0.0).tokens)
    chances = (logits.double() / 1.5).softmax(0)
    ranked = chances.sort(descending=True)
    admitted = ranked.indices[ranked.values.cumsum(0) - ranked.values < top_p]
    assert set(seen) <= set(admitted.tolist())
    expected = torch.zeros_like(chances)
    expected[admitted] = chances[admitted] / chances[admitted].sum() * 4000
    frequent = [token for token in range(len(expected)) if expected[token] >= 5]
    cells = [(seen[token], float(expected[token])) for token in frequent]
    cells.append((4000 - sum(s for s, _ in cells), 4000 - sum(e for _, e in cells)))
    chi = sum((s - e) ** 2 / e for s, e in cells if e > 0)
    free = len(cells) - 1
    assert free > 20
    assert chi < free * (1 - 2 / (9 * free) + 3.09 * math.sqrt(2 / (9 * free))) ** 3


@pytest.mark.parametrize("scale", [0.5, 3.0, 12.0])
def test_a_nucleus_is_the_same_whether_its_vocabulary_is_sorted_or_not(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.randn(300, 1500, generator=torch.Generator().manual_seed(1)) * scale
    sampling, keys = Sampling(temperature=0.9, top_p=0.8), list(range(300))
    found = [next_tokens(logits, sampling, keys, tolerance) for tolerance in (0.0, 2.0**-12)]
    monkeypatch.setattr(next_token, "FEW", 1500)
    for own, tolerance in zip(found, (0.0, 2.0**-12), strict=True):
        whole = next_tokens(logits, sampling, keys, tolerance)
        margin_ok = [a and b for a, b in zip(own.margin_ok, whole.margin_ok, strict=True)]
        assert own.margin_ok == whole.margin_ok
        assert [t for t, s in zip(own.tokens, margin_ok, strict=True) if s] == [
            t for t, s in zip(whole.tokens, margin_ok, strict=True) if s
        ]
        assert sum(margin_ok) > 200


@pytest.mark.parametrize("tolerance", [0.0, 2.0**-15])
def test_top_k_then_top_p_admit_the_tokens_they_should(tolerance: float) -> None:
    chances = torch.tensor([0.4, 0.3, 0.11, 0.09, 0.06, 0.04])
    keys = list(range(2000))

    def support(**settings: Any) -> dict[int, float]:
        choices = next_tokens(
            chances.log().expand(2000, -1), Sampling(temperature=1.0, **settings), keys, tolerance
        )
        margin_ok = [
            token for token, margin_ok in zip(choices.tokens, choices.margin_ok, strict=True) if margin_ok
        ]
        return {token: count / len(margin_ok) for token, count in sorted(Counter(margin_ok).items())}

    assert list(support(top_p=0.75)) == [0, 1, 2]  # 0.7 before the third
    assert list(support(top_p=0.4 + 1e-3)) == [0, 1]
    assert list(support(top_p=0.39)) == [0]
    assert list(support(top_k=2)) == [0, 1]
    assert list(support(top_k=2, top_p=0.55)) == [0]  # of the two, 0.4 / 0.7 is above 0.55
    assert support(top_k=2)[0] == pytest.approx(4 / 7, abs=0.04)


def test_near_ties_at_the_edge_of_the_nucleus_are_in_doubt() -> None:
    chances = torch.tensor([0.5, 0.25, 0.25 - 1e-7, 1e-7])
    choices = next_tokens(
        chances.log().expand(64, -1), Sampling(temperature=1.0, top_p=0.75), list(range(64)), 2.0**-15
    )
    for token, margin_ok in zip(choices.tokens, choices.margin_ok, strict=True):
        assert margin_ok == (token == 0)


def test_a_wide_nucleus_beyond_the_first_candidates_is_whole() -> None:
    flat = torch.zeros(64, 2000)
    tokens = next_tokens(flat, Sampling(temperature=1.0, top_p=0.99), list(range(64)), 0.0).tokens
    assert len(set(tokens)) > 55


def test_seeds_and_samples_differ(bases: dict[str, Path]) -> None:
    backend = loaded(bases["llama"])
    one = [g.completion.text for g in backend.generate(requests(3), DRAWN)]
    two = [g.completion.text for g in backend.generate(requests(3), DRAWN.model_copy(update={"seed": 1}))]
    assert len(set(one)) > 20
    assert len(set(one) & set(two)) < 3
