"""The hf backend on tiny random models: equal to transformers' generate, and to itself at any batch size."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends.hf.scheduler import Engine
from harness.errors import BackendFault, ConfigError
from harness.schema import Completion, Prompt, Request, Sampling
from tests.support.parts.hf_engine import BEAMS, DRAWN, GREEDY, TEXTS, lines, loaded, only, requests
from tests.support.tiny_models import ARCHITECTURES


def reference(folder: Path, text: str, **settings: Any) -> list[str]:
    """What transformers' own generate says for one prompt, decoded as the backend promises to."""
    backend = loaded(folder)
    runner, codec = backend.runner, backend.codec
    assert runner is not None
    ids = torch.tensor([codec.encode(Prompt(text=text))])
    found = runner.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0, **settings
    )
    skipped = 1 if runner.encoder else ids.shape[1]
    texts = []
    for row in found.tolist():
        new = row[skipped:]
        end = min((at for at, token in enumerate(new) if token in codec.eos), default=len(new))
        texts.append(codec.decode(new[:end]))
    return texts


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_equals_generate_one_at_a_time(bases: dict[str, Path], name: str) -> None:
    found = {g.problem_id: g.completion.text for g in loaded(bases[name]).generate(requests(), GREEDY)}
    for number, text in enumerate(TEXTS):
        assert [found[f"t/{number}"]] == reference(bases[name], text, max_new_tokens=24)
    assert len(set(found.values())) > 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_ten_beams_return_the_ten_texts_of_generate_in_its_order(bases: dict[str, Path], name: str) -> None:
    found: dict[str, dict[int, str]] = {}
    for g in loaded(bases[name], batch_size=32).generate(requests(10), BEAMS):
        found.setdefault(g.problem_id, {})[g.index] = g.completion.text
    for number, text in enumerate(TEXTS):
        own = [found[f"t/{number}"][index] for index in range(10)]
        assert own == reference(bases[name], text, max_new_tokens=12, num_beams=10, num_return_sequences=10)


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_beams_that_end_early_are_those_of_generate(bases: dict[str, Path], name: str) -> None:
    """Many end-of-text tokens, so that beams end at different steps and the search stops before its limit."""
    backend = loaded(bases[name])
    ends = [2, *range(40, 400, 8)]
    backend.codec.eos = frozenset(ends)
    sampling = Sampling(max_tokens=30, beams=4, samples=4)
    found: dict[str, dict[int, Completion]] = {}
    for g in backend.generate(requests(4), sampling):
        found.setdefault(g.problem_id, {})[g.index] = g.completion
    finishes = Counter(c.finish for own in found.values() for c in own.values())
    assert finishes["eos"] > 10
    assert backend.runner is not None
    for number, text in enumerate(TEXTS):
        ids = torch.tensor([backend.codec.encode(Prompt(text=text))])
        rows = backend.runner.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            pad_token_id=0,
            eos_token_id=ends,
            num_beams=4,
            num_return_sequences=4,
            max_new_tokens=30,
        ).tolist()
        skipped = 1 if backend.runner.encoder else ids.shape[1]
        for index, row in enumerate(rows):
            new = row[skipped:]
            end = min((at for at, token in enumerate(new) if token in backend.codec.eos), default=len(new))
            assert found[f"t/{number}"][index].text == backend.codec.decode(new[:end])


def test_logprob_is_the_models_own(bases: dict[str, Path]) -> None:
    backend = loaded(bases["llama"])
    completion = only(backend, TEXTS[0], Sampling(max_tokens=5))
    assert backend.runner is not None
    prompt = backend.codec.encode(Prompt(text=TEXTS[0]))
    ids = backend.runner.model.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=5, pad_token_id=0
    )
    logits = backend.runner.model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    expected = logits.gather(1, ids[0, len(prompt) :, None]).sum().item()
    assert completion.logprob == pytest.approx(expected, abs=0.006)
    assert (completion.prompt_tokens, completion.completion_tokens) == (len(prompt), 5)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN, BEAMS], ids=["greedy", "drawn", "beams"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batch_1_batch_16_and_shuffled_requests_give_equal_bytes(
    bases: dict[str, Path], name: str, sampling: Sampling
) -> None:
    asked = requests(sampling.samples)
    shuffled = random.Random(3).sample(asked, len(asked))
    first = lines(loaded(bases[name], 1).generate(asked, sampling))
    assert len(first) == len(TEXTS) * sampling.samples
    assert lines(loaded(bases[name], 16).generate(asked, sampling)) == first
    assert lines(loaded(bases[name], 7).generate(shuffled, sampling)) == first


@pytest.mark.parametrize(
    "sampling", [GREEDY, DRAWN, Sampling(max_tokens=20, beams=4, samples=4)], ids=["greedy", "drawn", "beams"]
)
def test_coarse_numbers_differ_between_batches_unless_close_calls_are_decided_alone(
    bases: dict[str, Path], sampling: Sampling
) -> None:
    def at(size: int, doubting: bool) -> list[str]:
        backend = loaded(bases["llama"], size, dtype="bfloat16")
        if not doubting:
            backend.tolerance = 0.0
        found = lines(backend.generate(requests(sampling.samples), sampling))
        assert (backend.stats.near_ties > 0) == doubting
        return found

    if sampling.beams == 1:
        assert at(1, doubting=False) != at(16, doubting=False)
    assert at(1, doubting=True) == at(16, doubting=True) == at(5, doubting=True)


def test_close_calls_are_rare_in_float32(bases: dict[str, Path]) -> None:
    backend = loaded(bases["codegen"])
    list(backend.generate(requests(3), DRAWN))
    assert backend.stats.decisions == 24 * 3 * 8
    assert backend.stats.near_ties < 0.02 * backend.stats.decisions
    assert backend.stats.noise < 0.5


def test_wanted_indices_alone_are_the_ones_of_the_whole(bases: dict[str, Path]) -> None:
    for sampling in (DRAWN, Sampling(max_tokens=8, beams=3, samples=3)):
        backend = loaded(bases["llama"])
        whole = lines(backend.generate(requests(3), sampling))
        parts = [Request(r.problem_id, r.prompt, (2,)) for r in requests()]
        assert lines(backend.generate(parts, sampling)) == [x for x in whole if json.loads(x)["index"] == 2]


def starve(backend: Engine, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the model run out of memory whenever it sees more than `most` rows."""
    assert backend.runner is not None
    forward: Callable[..., Any] = backend.runner.model.forward

    def small(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["input_ids"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(*args, **kwargs)

    monkeypatch.setattr(backend.runner.model, "forward", small)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_out_of_memory_halves_the_batch_and_changes_nothing_else(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch, sampling: Sampling
) -> None:
    said: list[str] = []
    backend = loaded(bases["llama"], 8, warn=said.append)
    expected = lines(backend.generate(requests(sampling.samples), sampling))
    starve(backend, 3, monkeypatch)
    assert lines(backend.generate(requests(sampling.samples), sampling)) == expected
    assert said == [
        "out of memory with 8 sequences at once: going on with 4",
        "out of memory with 4 sequences at once: going on with 2",
    ]
    assert backend.stats.halvings == 2


def test_out_of_memory_in_the_middle_of_a_batch_loses_and_repeats_nothing(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(bases["llama"], 8, warn=lambda text: None)
    sampling = DRAWN.model_copy(update={"max_tokens": 60, "stop": ("e", "r", " ")})
    expected = lines(backend.generate(requests(3), sampling))
    assert backend.runner is not None
    step, calls = backend.runner.step, [0]

    def sometimes(*args: Any) -> None:
        calls[0] += 1
        if calls[0] == 4:
            raise RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: 1 bytes")
        step(*args)

    monkeypatch.setattr(backend.runner, "step", sometimes)
    assert lines(backend.generate(requests(3), sampling)) == expected


def test_out_of_memory_with_one_sequence_is_a_fault_that_says_what_to_lower(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(bases["llama"], 2, warn=lambda text: None)
    starve(backend, 0, monkeypatch)
    with pytest.raises(BackendFault, match=r"out of memory with one sequence.*lower sampling.max_tokens"):
        list(backend.generate(requests(), GREEDY))
    backend = loaded(bases["llama"], 8, warn=lambda text: None)
    starve(backend, 5, monkeypatch)
    with pytest.raises(BackendFault, match=r"one prompt with 10 beams.*sampling.beams"):
        list(backend.generate(requests(), BEAMS))


def test_another_failure_of_the_model_is_a_fault(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(bases["llama"])
    assert backend.runner is not None

    def broken(**kwargs: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(backend.runner.model, "forward", broken)
    with pytest.raises(BackendFault, match="failed on a batch of 8: CUDA error: an illegal memory access"):
        list(backend.generate(requests(), GREEDY))


def test_logits_that_are_not_numbers_are_a_fault(bases: dict[str, Path]) -> None:
    backend = loaded(bases["llama"])
    assert backend.runner is not None
    with torch.no_grad():
        backend.runner.model.lm_head.weight[5] = torch.nan
    with pytest.raises(BackendFault, match="NaN"):
        list(backend.generate(requests(), GREEDY))


def test_generation_is_lazy_and_may_be_left_early(bases: dict[str, Path]) -> None:
    backend = loaded(bases["llama"], 2)
    generations = backend.generate(requests(), GREEDY)
    assert backend.stats.decisions == 0
    next(generations)
    done = backend.stats.decisions
    assert 0 < done < 24 * 8
    assert isinstance(generations, Iterator)
    generations.close()  # type: ignore[attr-defined]
    assert torch.is_inference_mode_enabled() is False
    assert len(lines(backend.generate(requests(), GREEDY))) == 8
    backend.close()
    with pytest.raises(BackendFault, match="closed"):
        next(backend.generate(requests(), GREEDY))


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        (Sampling(samples=3), "samples = 3 without sampling"),
        (Sampling(samples=5, beams=4), "samples = 5 without sampling"),
        (Sampling(beams=4, temperature=0.5), "exclude each other"),
    ],
)
def test_settings_that_cannot_work_are_refused(bases: dict[str, Path], sampling: Sampling, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        list(loaded(bases["llama"]).generate(requests(), sampling))
