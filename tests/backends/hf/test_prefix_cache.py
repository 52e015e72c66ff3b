"""A shared beginning computed once: the same bytes as without, fewer tokens computed, outliers let alone."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends import hf
from harness.backends.hf import prefix_cache
from harness.backends.hf.prefix_cache import MIN_TOKENS, common_length, shared_prefix
from harness.backends.hf.scheduler import Engine
from harness.config.backend import BackendConfig
from harness.schema import Generation, Prompt, Request, Sampling

SHOTS = (
    "def add(a, b):\n    return a + b\n\nfor i in range(10):\n    print(i, x[i])\n\n"
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n\n"
)
QUESTIONS = (
    "sort list",
    "x",
    "with open(path) as f:\n    text",
    "def f(x):\n    return",
    "import os",
    "y" * 9,
)
METHODS = {
    "greedy": Sampling(max_tokens=16),
    "drawn": Sampling(max_tokens=16, temperature=0.8, top_p=0.9, samples=3),
    "beams": Sampling(max_tokens=10, beams=4, samples=4),
}


def made(folder: Path, texts: list[str], sampling: Sampling, batch_size: int = 8) -> tuple[list[str], Engine]:
    backend = hf.load(BackendConfig(model=str(folder), batch_size=batch_size))
    assert isinstance(backend, Engine)
    asked = [
        Request(f"t/{n}", Prompt(text=text), tuple(range(sampling.samples))) for n, text in enumerate(texts)
    ]
    found: list[Generation] = list(backend.generate(asked, sampling))
    return sorted(each.model_dump_json() for each in found), backend


@pytest.mark.parametrize("how", METHODS)
@pytest.mark.parametrize("name", ["llama", "codegen"])
def test_reuse_changes_no_byte_and_saves_most_of_the_prompts(
    bases: dict[str, Path], name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [SHOTS + question for question in QUESTIONS]
    reused, backend = made(bases[name], texts, METHODS[how])
    length = len(backend.codec.encode(Prompt(text=SHOTS)))
    assert backend.stats.reused >= (length - 1) * len(texts)
    assert backend.stats.noise < 1
    monkeypatch.setattr(prefix_cache, "MIN_TOKENS", 10**9)
    whole, without = made(bases[name], texts, METHODS[how])
    assert reused == whole
    assert without.stats.reused == 0
    assert without.stats.prefilled >= sum(without.tokens(Prompt(text=text)) for text in texts)
    assert backend.stats.prefilled < 0.5 * without.stats.prefilled
    small, _ = made(bases[name], texts, METHODS[how], batch_size=1)
    assert small == whole


def test_a_prompt_that_begins_otherwise_is_computed_whole(bases: dict[str, Path]) -> None:
    texts = [SHOTS + question for question in QUESTIONS] + ["class Other:\n    pass\n" + QUESTIONS[0]]
    found, backend = made(bases["llama"], texts, METHODS["greedy"], batch_size=2)
    assert backend.stats.reused > 0
    alone, _ = made(bases["llama"], texts[-1:], METHODS["greedy"])
    assert alone[0].replace('"t/0"', '"t/6"') in found


def test_an_encoder_decoder_model_reuses_nothing(bases: dict[str, Path]) -> None:
    texts = [SHOTS + question for question in QUESTIONS]
    _, backend = made(bases["t5"], texts, METHODS["greedy"])
    assert (backend.stats.reused, backend.stats.prefilled) == (
        0,
        sum(backend.tokens(Prompt(text=t)) for t in texts),
    )


def test_a_model_that_forgets_positions_reuses_nothing(bases: dict[str, Path]) -> None:
    from transformers.cache_utils import DynamicSlidingWindowLayer

    backend = hf.load(BackendConfig(model=str(bases["llama"])))
    assert isinstance(backend, Engine)
    assert backend.runner is not None
    runner = backend.runner
    prefix = prefix_cache.PrefixCache(runner, tuple(range(5, 45)), backend.stats)
    prefill = runner.prefill

    def sliding(*given: object, **more: object) -> object:
        lanes = prefill(*given, **more)  # type: ignore[arg-type]
        lanes.cache.layers[1] = DynamicSlidingWindowLayer(sliding_window=4)
        return lanes

    runner.prefill = sliding  # type: ignore[assignment, method-assign]
    prefix.prefill([(*range(5, 45), 60), (*range(5, 45), 61)])
    assert (prefix.tokens, backend.stats.reused, backend.stats.prefilled) == ((), 0, 82)


# ---------------------------------------------------------------- which beginning


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=8), min_size=1, max_size=12), st.integers(0, 2)
)
@settings(max_examples=200, deadline=None)
def test_the_kept_beginning_saves_as_much_as_any_of_the_middle_one(
    tails: list[list[int]], stretch: int
) -> None:
    prompts = [tuple([9] * MIN_TOKENS * stretch + tail) for tail in tails]
    kept = shared_prefix(prompts)
    distinct = sorted(set(prompts))

    def saved(beginning: tuple[int, ...]) -> int:
        having = sum(p[: len(beginning)] == beginning and len(p) > len(beginning) for p in distinct)
        return len(beginning) * (having - 1)

    if kept:
        assert len(kept) >= MIN_TOKENS
        middle = distinct[len(distinct) // 2]
        assert saved(kept) == max(saved(middle[:length]) for length in range(1, len(middle)))
        assert saved(kept) > 0


def test_one_prompt_or_short_ones_keep_nothing() -> None:
    assert shared_prefix([]) == shared_prefix([(1,) * 90] * 5) == ()
    assert shared_prefix([(1,) * 20 + (n,) for n in range(9)]) == ()
    assert shared_prefix([(1,) * 40 + (n,) for n in range(9)]) == (1,) * 40


@pytest.mark.parametrize(
    ("one", "two", "count"), [((), (1,), 0), ((1, 2), (1, 2), 2), ((1, 2), (1, 3, 4), 1)]
)
def test_common_beginnings_are_counted(one: tuple[int, ...], two: tuple[int, ...], count: int) -> None:
    assert common_length(one, two) == common_length(two, one) == count
