"""Log-probabilities of references: as transformers' own loss has them, and the same at any batch size."""

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import strategies as st

from harness.backends.hf import likelihood
from harness.backends.hf.decoding import sampling
from harness.backends.hf.scheduler import Engine
from harness.errors import BackendFault, UserError
from harness.schema import Generation, LikelihoodRequest, Prompt
from tests.support.parts.hf_engine import loaded
from tests.support.tiny_models import ARCHITECTURES, POSITIONS, VOCABULARY, build, make_tokenizer

PAIRS = (
    ("### Instruction:\nsort list `x`\n### Response:\n", "x.sort(reverse=True)"),
    ("def f(x):\n", "    return x + 1\n"),
    ("", "import os"),
    ("with open(path) as f:\n    ", "text = f.read().split('\\n')"),
    ("x", " = naïve('é')"),
    ("a prompt whose answer is long\n", "for i in range(10):\n    print(i, x[i])\n" * 4),
    ("for i in range(10):\n", "\tprint(i)"),
)


def asked(pairs: Sequence[tuple[str, str]] = PAIRS) -> list[LikelihoodRequest]:
    return [LikelihoodRequest(f"t/{n}", Prompt(text=prompt), text) for n, (prompt, text) in enumerate(pairs)]


def by_id(found: Iterator[Generation]) -> dict[str, Generation]:
    return {generation.problem_id: generation for generation in found}


def own_loss(backend: Engine, prompt: Sequence[int], text: Sequence[int]) -> float:
    """The sum of the text's log-probabilities by the model's own loss, labels -100 on the prompt."""
    runner = backend.runner
    assert runner is not None
    with torch.inference_mode():
        if runner.encoder:
            out = runner.model(input_ids=torch.tensor([list(prompt)]), labels=torch.tensor([list(text)]))
        else:
            ids = torch.tensor([[*prompt, *text]])
            labels = ids.clone()
            labels[0, : len(prompt)] = -100
            out = runner.model(input_ids=ids, labels=labels)
    return -float(out.loss) * len(text)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_references_logprob_is_transformers_own_loss(bases: dict[str, Path], name: str) -> None:
    backend = loaded(bases[name])
    found = by_id(backend.likelihoods(asked()))
    assert len(found) == len(PAIRS)
    for one in asked():
        prompt, (text, exact) = backend.codec.encode(one.prompt), backend.codec.encode_continuation(one.text)
        completion = found[one.problem_id].completion
        assert exact
        assert completion.logprob == pytest.approx(own_loss(backend, prompt, text), abs=0.0051 + 1e-3)
        assert (completion.text, completion.completion_tokens) == (one.text, len(text))
        assert completion.prompt_tokens == len(prompt)
        assert found[one.problem_id].prompt_sha == one.prompt.sha


def test_a_model_that_finds_all_tokens_alike_has_the_perplexity_of_its_vocabulary(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    backend = loaded(bases["llama"])
    assert backend.runner is not None
    torch.nn.init.zeros_(backend.runner.model.lm_head.weight)
    for generation in backend.likelihoods(asked()):
        completion = generation.completion
        assert completion.logprob == round(-completion.completion_tokens * math.log(VOCABULARY), 2)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batch_1_batch_16_and_shuffled_references_give_equal_bytes(
    bases: dict[str, Path], name: str, dtype: str
) -> None:
    pairs = [(prompt * n, text[: n * 9]) for prompt, text in PAIRS for n in (1, 2, 3)]
    found = []
    for batch_size, seed in ((1, 0), (16, 1), (5, 2)):
        shuffled = asked(pairs)
        random.Random(seed).shuffle(shuffled)
        told = loaded(bases[name], batch_size, dtype).likelihoods(shuffled)
        found.append(sorted(generation.model_dump_json() for generation in told))
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == len(pairs)


def test_sums_differ_between_batches_unless_close_ones_are_computed_alone(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above has teeth: with more decimals batches are seen to differ, and the recheck mends that too."""
    monkeypatch.setattr(likelihood, "DIGITS", 6)
    pairs = [(prompt, text * n) for prompt, text in PAIRS for n in (1, 2, 3)]
    told: dict[tuple[int, float], list[Generation]] = {}
    for batch_size in (1, 16):
        for tolerance in (0.0, 2.0**-15):
            backend = loaded(bases["llama"], batch_size)
            backend.tolerance = tolerance
            told[batch_size, tolerance] = sorted(
                backend.likelihoods(asked(pairs)), key=lambda generation: generation.problem_id
            )
    assert told[1, 0.0] != told[16, 0.0]
    assert told[1, 2.0**-15] == told[16, 2.0**-15]


def test_few_sums_are_computed_twice_in_float32(bases: dict[str, Path]) -> None:
    backend = loaded(bases["llama"])
    list(backend.likelihoods(asked()))
    assert backend.stats.logprobs == len(PAIRS)
    assert backend.stats.logprob_near_ties <= 2
    assert likelihood.DIGITS == sampling.DIGITS


@drawn(st.integers(1, 40), st.integers(0, 60), st.integers(2, 20))
def test_windows_predict_each_token_once_with_half_a_context_before_it(
    prompt: int, text: int, limit: int
) -> None:
    ids = tuple(range(prompt + text))
    found = likelihood.windows(ids[:prompt], ids[prompt:], limit)
    assert [token for window in found for token in window.predicted] == list(ids[prompt:])
    for window in found:
        assert window.predicted
        assert len(window.before) + len(window.predicted) <= limit
        first = window.predicted[0]
        assert window.before == ids[first - len(window.before) : first]
        assert len(window.before) >= min(first, limit // 2)
    if prompt + text <= limit:
        assert len(found) <= 1


def test_a_text_beyond_the_context_is_the_sum_of_its_windows(bases: dict[str, Path]) -> None:
    backend = loaded(bases["llama"])
    pair = ("# a long file\n", "for i in range(10):\n    print(i, x[i])\n" * 40)
    (found,) = backend.likelihoods(asked([pair]))
    prompt, (text, _) = backend.codec.encode(Prompt(text=pair[0])), backend.codec.encode_continuation(pair[1])
    assert len(text) > 2 * POSITIONS
    ids, total, first, half = [*prompt, *text], 0.0, len(prompt), POSITIONS // 2
    while first < len(ids):
        end = min(len(ids), POSITIONS if first < half else first + half)
        begin = max(0, end - POSITIONS)
        total += own_loss(backend, ids[begin:first], ids[first:end])
        first = end
    assert found.completion.completion_tokens == len(text)
    assert found.completion.logprob == pytest.approx(total, abs=0.02)


def test_a_tokenizer_with_a_space_of_its_own_continues_a_text_without_it(tmp_path: Path) -> None:
    build("llama", tmp_path / "words", tokens="words")
    backend = loaded(tmp_path / "words")
    for text in ("return x", " return x", "    return x\n", "x", "\n", ""):
        ids, exact = backend.codec.encode_continuation(text)
        assert exact, text
        assert backend.codec.decode(ids) == text


def test_a_reference_that_the_tokenizer_cannot_write_is_read_as_it_can_and_said_so(tmp_path: Path) -> None:
    build("t5", tmp_path / "t5")
    tokenizer = make_tokenizer("t5")
    from tokenizers import normalizers

    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\n", " ")
    tokenizer.save_pretrained(tmp_path / "t5")
    said: list[str] = []
    backend = loaded(tmp_path / "t5", warn=said.append)
    assert len(list(backend.likelihoods(asked(PAIRS[:2])))) == 2
    assert said == [
        "the tokenizer cannot write 1 of 2 references to the letter (t/1): their likelihood is that of what it"
        " makes of them"
    ]


def test_a_reference_without_tokens_has_logprob_0(bases: dict[str, Path]) -> None:
    for name in ARCHITECTURES:
        found = by_id(loaded(bases[name]).likelihoods(asked([("x", ""), ("x", "y")])))
        assert found["t/0"].completion.logprob == 0.0
        assert found["t/0"].completion.completion_tokens == 0


def test_out_of_memory_halves_the_batch_and_changes_nothing_else(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    backend = loaded(bases["llama"], warn=said.append)
    whole = by_id(backend.likelihoods(asked()))
    runner = backend.runner
    assert runner is not None
    together = runner.batched_logprobs

    def starved(prompts: Any, completions: Any) -> Any:
        if len(prompts) > 2:
            raise torch.OutOfMemoryError("no room")
        return together(prompts, completions)

    monkeypatch.setattr(runner, "batched_logprobs", starved)
    assert by_id(backend.likelihoods(asked())) == whole
    assert backend.stats.halvings == 2
    assert said[0] == "out of memory with 7 sequences at once: going on with 3"


def test_a_batch_is_no_larger_than_its_logits_allow(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(bases["llama"])
    runner = backend.runner
    assert runner is not None
    jobs = likelihood.make_jobs(runner, backend.codec, asked(), lambda line: None)
    assert len(likelihood.first_batch(runner, jobs, 16)) == 7
    monkeypatch.setattr(likelihood, "LOGITS", 2 * (jobs[0].tokens + 1) * VOCABULARY)
    assert len(likelihood.first_batch(runner, jobs, 16)) == 2
    assert len(likelihood.first_batch(runner, jobs, 1)) == 1


def test_logits_that_are_not_numbers_are_a_fault_and_no_perplexity(bases: dict[str, Path]) -> None:
    backend = loaded(bases["llama"])
    assert backend.runner is not None
    torch.nn.init.constant_(backend.runner.model.lm_head.weight, math.nan)
    with pytest.raises(
        BackendFault, match=r"^t/5: its reference's log-probability is nan: try dtype float32"
    ):
        list(backend.likelihoods(asked()))


def test_an_encoder_decoder_says_which_references_are_too_long(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(bases["t5"])
    assert backend.runner is not None
    monkeypatch.setattr(backend.runner, "max_positions", 40)
    with pytest.raises(UserError, match=r"^1 references do not fit the model's context of 40 tokens.*: t/5;"):
        list(backend.likelihoods(asked()))
