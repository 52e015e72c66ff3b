"""The hf backend on tiny random models: equal to transformers' generate, and to itself at any batch size."""

import json
import math
import random
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends import hf
from harness.backends.hf_choose import choose, gumbel
from harness.backends.hf_schedule import Engine
from harness.config import BackendConfig
from harness.errors import BackendFault, ConfigError, UserError
from harness.schema import Completion, Generation, Message, Prompt, Request, Sampling
from tests.tiny_models import ARCHITECTURES, POSITIONS, build, make_tokenizer

TEXTS = (
    "def f(x):\n    return",
    "for i in range(10):",
    "x",
    "sort list `x` in descending order and print every item",
    "with open(path) as f:\n",
    "### Instruction:\nwrite a function that adds `a` and `b`\n### Response:\n",
    "import os\nimport sys\n",
    "y" * 20,
)
GREEDY = Sampling(max_tokens=24)
DRAWN = Sampling(max_tokens=24, temperature=0.8, top_p=0.9, top_k=50, samples=3)
BEAMS = Sampling(max_tokens=12, beams=10, samples=10)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    made = {name: build(name, root / name) for name in ARCHITECTURES}
    made["chat"] = build("llama", root / "chat", chat=True)
    made["words"] = build("llama", root / "words", tokens="words")
    return made


def loaded(folder: Path, batch_size: int = 16, dtype: Any = "auto", **more: Any) -> Engine:
    backend = hf.load(BackendConfig(model=str(folder), batch_size=batch_size, dtype=dtype), **more)
    assert isinstance(backend, Engine)
    return backend


def requests(samples: int = 1, texts: Sequence[str] = TEXTS) -> list[Request]:
    return [Request(f"t/{n}", Prompt(text=text), tuple(range(samples))) for n, text in enumerate(texts)]


def lines(generations: Iterator[Generation]) -> list[str]:
    """Canonical file lines: the bytes that must not depend on the batch."""
    return sorted(g.model_dump_json() for g in generations)


def only(backend: Engine, text: str, sampling: Sampling) -> Completion:
    (generation,) = backend.generate(requests(texts=[text]), sampling)
    return generation.completion


def reference(folder: Path, text: str, **settings: Any) -> list[str]:
    """What transformers' own generate says for one prompt, decoded as the backend promises to."""
    backend = loaded(folder)
    network, codec = backend.network, backend.codec
    assert network is not None
    ids = torch.tensor([codec.encode(Prompt(text=text))])
    found = network.model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0, **settings
    )
    skipped = 1 if network.encoder else ids.shape[1]
    texts = []
    for row in found.tolist():
        new = row[skipped:]
        end = min((at for at, token in enumerate(new) if token in codec.eos), default=len(new))
        texts.append(codec.text(new[:end]))
    return texts


# ---------------------------------------------------------------- the same as transformers


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_equals_generate_one_at_a_time(folders: dict[str, Path], name: str) -> None:
    found = {g.problem_id: g.completion.text for g in loaded(folders[name]).generate(requests(), GREEDY)}
    for number, text in enumerate(TEXTS):
        assert [found[f"t/{number}"]] == reference(folders[name], text, max_new_tokens=24)
    assert len(set(found.values())) > 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_ten_beams_return_the_ten_texts_of_generate_in_its_order(folders: dict[str, Path], name: str) -> None:
    found: dict[str, dict[int, str]] = {}
    for g in loaded(folders[name], batch_size=32).generate(requests(10), BEAMS):
        found.setdefault(g.problem_id, {})[g.index] = g.completion.text
    for number, text in enumerate(TEXTS):
        own = [found[f"t/{number}"][index] for index in range(10)]
        assert own == reference(folders[name], text, max_new_tokens=12, num_beams=10, num_return_sequences=10)


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_beams_that_end_early_are_those_of_generate(folders: dict[str, Path], name: str) -> None:
    """Many end-of-text tokens, so that beams end at different steps and the search stops before its limit."""
    backend = loaded(folders[name])
    ends = [2, *range(40, 400, 8)]
    backend.codec.eos = frozenset(ends)
    sampling = Sampling(max_tokens=30, beams=4, samples=4)
    found: dict[str, dict[int, Completion]] = {}
    for g in backend.generate(requests(4), sampling):
        found.setdefault(g.problem_id, {})[g.index] = g.completion
    finishes = Counter(c.finish for own in found.values() for c in own.values())
    assert finishes["eos"] > 10
    assert backend.network is not None
    for number, text in enumerate(TEXTS):
        ids = torch.tensor([backend.codec.encode(Prompt(text=text))])
        rows = backend.network.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            pad_token_id=0,
            eos_token_id=ends,
            num_beams=4,
            num_return_sequences=4,
            max_new_tokens=30,
        ).tolist()
        skipped = 1 if backend.network.encoder else ids.shape[1]
        for index, row in enumerate(rows):
            new = row[skipped:]
            end = min((at for at, token in enumerate(new) if token in backend.codec.eos), default=len(new))
            assert found[f"t/{number}"][index].text == backend.codec.text(new[:end])


def test_logprob_is_the_models_own(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    completion = only(backend, TEXTS[0], Sampling(max_tokens=5))
    assert backend.network is not None
    prompt = backend.codec.encode(Prompt(text=TEXTS[0]))
    ids = backend.network.model.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=5, pad_token_id=0
    )
    logits = backend.network.model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    expected = logits.gather(1, ids[0, len(prompt) :, None]).sum().item()
    assert completion.logprob == pytest.approx(expected, abs=0.006)
    assert (completion.prompt_tokens, completion.completion_tokens) == (len(prompt), 5)


# ---------------------------------------------------------------- the same at any batch size


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN, BEAMS], ids=["greedy", "drawn", "beams"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batch_1_batch_16_and_shuffled_requests_give_equal_bytes(
    folders: dict[str, Path], name: str, sampling: Sampling
) -> None:
    asked = requests(sampling.samples)
    shuffled = random.Random(3).sample(asked, len(asked))
    first = lines(loaded(folders[name], 1).generate(asked, sampling))
    assert len(first) == len(TEXTS) * sampling.samples
    assert lines(loaded(folders[name], 16).generate(asked, sampling)) == first
    assert lines(loaded(folders[name], 7).generate(shuffled, sampling)) == first


@pytest.mark.parametrize(
    "sampling", [GREEDY, DRAWN, Sampling(max_tokens=20, beams=4, samples=4)], ids=["greedy", "drawn", "beams"]
)
def test_coarse_numbers_differ_between_batches_unless_close_calls_are_decided_alone(
    folders: dict[str, Path], sampling: Sampling
) -> None:
    def at(size: int, doubting: bool) -> list[str]:
        backend = loaded(folders["llama"], size, dtype="bfloat16")
        if not doubting:
            backend.tolerance = 0.0
        found = lines(backend.generate(requests(sampling.samples), sampling))
        assert (backend.tally.close_calls > 0) == doubting
        return found

    if sampling.beams == 1:
        assert at(1, doubting=False) != at(16, doubting=False)
    assert at(1, doubting=True) == at(16, doubting=True) == at(5, doubting=True)


def test_close_calls_are_rare_in_float32(folders: dict[str, Path]) -> None:
    backend = loaded(folders["codegen"])
    list(backend.generate(requests(3), DRAWN))
    assert backend.tally.decisions == 24 * 3 * 8
    assert backend.tally.close_calls < 0.02 * backend.tally.decisions
    assert backend.tally.noise < 0.5


def test_wanted_indices_alone_are_the_ones_of_the_whole(folders: dict[str, Path]) -> None:
    for sampling in (DRAWN, Sampling(max_tokens=8, beams=3, samples=3)):
        backend = loaded(folders["llama"])
        whole = lines(backend.generate(requests(3), sampling))
        parts = [Request(r.problem_id, r.prompt, (2,)) for r in requests()]
        assert lines(backend.generate(parts, sampling)) == [x for x in whole if json.loads(x)["index"] == 2]


# ---------------------------------------------------------------- drawing


def test_noise_is_splitmix64(folders: dict[str, Path]) -> None:
    """Its first outputs from state 0 (prng.di.unimi.it/splitmix64.c): e220a8397b1dcdaf, 6e789e6aa1b965f4."""
    found = gumbel(torch.zeros((1, 1), dtype=torch.long), torch.tensor([[0, 1]]))[0].tolist()
    for value, bits in zip(found, (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4), strict=True):
        assert value == pytest.approx(-math.log(-math.log((bits >> 11) / 2**53)), rel=1e-12)


def test_drawn_tokens_are_distributed_as_the_model_says(folders: dict[str, Path]) -> None:
    """Chi-square over 4,000 first tokens; 0.999 quantile by Wilson and Hilferty (1931)."""
    backend = loaded(folders["llama"], 500)
    assert backend.network is not None
    logits = backend.network.alone(backend.codec.encode(Prompt(text="x")), ()).logits
    keys = [random.Random(n).getrandbits(63) for n in range(4000)]
    sampling = Sampling(temperature=1.5, max_tokens=1)
    seen = Counter(choose(logits.expand(4000, -1), sampling, keys, 0.0).tokens)
    expected = (logits.double() / 1.5).softmax(0) * 4000
    frequent = [token for token in range(len(expected)) if expected[token] >= 5]
    cells = [(seen[token], float(expected[token])) for token in frequent]
    cells.append((4000 - sum(s for s, _ in cells), 4000 - sum(e for _, e in cells)))
    chi = sum((s - e) ** 2 / e for s, e in cells)
    free = len(cells) - 1
    assert free > 20
    assert chi < free * (1 - 2 / (9 * free) + 3.09 * math.sqrt(2 / (9 * free))) ** 3


@pytest.mark.parametrize("tolerance", [0.0, 2.0**-15])
def test_top_k_then_top_p_admit_the_tokens_they_should(tolerance: float) -> None:
    chances = torch.tensor([0.4, 0.3, 0.11, 0.09, 0.06, 0.04])
    keys = list(range(2000))

    def support(**settings: Any) -> dict[int, float]:
        picks = choose(chances.log().expand(2000, -1), Sampling(temperature=1.0, **settings), keys, tolerance)
        sure = [token for token, sure in zip(picks.tokens, picks.sure, strict=True) if sure]
        return {token: count / len(sure) for token, count in sorted(Counter(sure).items())}

    assert list(support(top_p=0.75)) == [0, 1, 2]  # 0.7 before the third
    assert list(support(top_p=0.4 + 1e-3)) == [0, 1]
    assert list(support(top_p=0.39)) == [0]
    assert list(support(top_k=2)) == [0, 1]
    assert list(support(top_k=2, top_p=0.55)) == [0]  # of the two, 0.4 / 0.7 is above 0.55
    assert support(top_k=2)[0] == pytest.approx(4 / 7, abs=0.04)


def test_near_ties_at_the_edge_of_the_nucleus_are_in_doubt() -> None:
    chances = torch.tensor([0.5, 0.25, 0.25 - 1e-7, 1e-7])
    picks = choose(
        chances.log().expand(64, -1), Sampling(temperature=1.0, top_p=0.75), list(range(64)), 2.0**-15
    )
    for token, sure in zip(picks.tokens, picks.sure, strict=True):
        assert sure == (token == 0)


def test_a_wide_nucleus_beyond_the_first_candidates_is_whole() -> None:
    flat = torch.zeros(64, 2000)
    tokens = choose(flat, Sampling(temperature=1.0, top_p=0.99), list(range(64)), 0.0).tokens
    assert len(set(tokens)) > 55


def test_seeds_and_samples_differ(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    one = [g.completion.text for g in backend.generate(requests(3), DRAWN)]
    two = [g.completion.text for g in backend.generate(requests(3), DRAWN.model_copy(update={"seed": 1}))]
    assert len(set(one)) > 20
    assert len(set(one) & set(two)) < 3


# ---------------------------------------------------------------- ends of a completion


def test_a_stop_string_across_tokens_cuts_exactly_before_it(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    tokenizer = backend.codec.tokenizer
    checked = 0
    for text in TEXTS:
        whole = only(backend, text, GREEDY).text
        pieces = {tokenizer.decode([token]) for token in range(len(tokenizer))}
        stops = {whole[n : n + 3] for n in range(4, len(whole) - 3)} - pieces
        for stop in sorted(s for s in stops if s.isascii())[:3]:
            found = only(backend, text, GREEDY.model_copy(update={"stop": (stop, "never there")}))
            assert found.text == whole[: whole.index(stop)]
            assert found.finish == "stop"
            assert found.completion_tokens <= 24
            checked += 1
    assert checked > 8


def test_of_two_stop_strings_the_earlier_place_counts(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    codec = backend.codec
    assert codec.cut("abcdef", ("e", "cd")) == "ab"
    assert codec.cut("abcdef", ("x",)) is None
    assert codec.stopped(codec.encode(Prompt(text="return a + b")), ("n a +",)) is True


def test_end_of_text_and_length_are_told_apart(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    whole = only(backend, TEXTS[0], GREEDY)
    assert (whole.finish, whole.completion_tokens) == ("length", 24)
    assert backend.network is not None
    first = backend.network.alone(backend.codec.encode(Prompt(text=TEXTS[0])), ()).logits.argmax()
    backend.codec.eos = frozenset({int(first)})
    ended = only(backend, TEXTS[0], GREEDY)
    assert (ended.text, ended.finish, ended.completion_tokens) == ("", "eos", 1)


def test_leading_spaces_of_a_completion_are_kept(folders: dict[str, Path]) -> None:
    """A SentencePiece-like decoder drops the first space of a text, which for code is the indentation."""
    codec = loaded(folders["words"]).codec
    ids = codec.tokenizer.convert_tokens_to_ids(["▁", "▁", "a"])
    assert codec.tokenizer.decode(ids) == " a"
    assert codec.text(ids) == "  a"
    whole = codec.tokenizer("if x:\n    return a", add_special_tokens=False)["input_ids"]
    for at in range(1, len(whole)):
        before, after = codec.tokenizer.decode(whole[:at]), codec.tokenizer.decode(whole)
        assert codec.text(whole[at:]) == after[len(before) :]


def test_a_character_split_over_tokens_comes_out_whole(folders: dict[str, Path]) -> None:
    codec = loaded(folders["llama"]).codec
    ids = codec.tokenizer("é = 'ü'", add_special_tokens=False)["input_ids"]
    assert len(ids) > 7
    assert codec.text(ids) == "é = 'ü'"
    assert codec.stopped(ids[:-1], ("ü",)) is True


# ---------------------------------------------------------------- prompts


def test_a_chat_is_rendered_by_the_models_template_with_one_beginning_of_text(
    folders: dict[str, Path],
) -> None:
    codec = loaded(folders["chat"]).codec
    prompt = Prompt(messages=(Message(role="user", content="add"), Message(role="assistant", content="a+b")))
    ids = codec.encode(prompt)
    assert codec.tokenizer.decode(ids) == "<s>user: add\n<s>assistant: a+b\n<s>assistant: "
    assert codec.encode(Prompt(text="add"))[0] == 1


def test_a_chat_without_a_template_says_what_to_set(folders: dict[str, Path]) -> None:
    prompt = Prompt(messages=(Message(role="user", content="add"),))
    with pytest.raises(UserError, match=r"no chat template.*--set prompt=plain"):
        list(loaded(folders["llama"]).generate([Request("t/0", prompt, (0,))], GREEDY))


def test_a_causal_prompt_does_not_end_in_end_of_text(tmp_path: Path) -> None:
    folder = build("llama", tmp_path / "m")
    make_tokenizer("t5").save_pretrained(folder)  # <s> ... </s>
    codec = loaded(folder).codec
    assert codec.encode(Prompt(text="x"))[-1] != 2
    assert codec.encode(Prompt(text="x</s>"))[-1] == 2


def test_an_empty_prompt_begins_with_beginning_of_text(folders: dict[str, Path]) -> None:
    assert loaded(folders["codegen"]).codec.encode(Prompt(text="")) == (1,)


def test_prompts_that_do_not_fit_are_named_before_anything_is_generated(folders: dict[str, Path]) -> None:
    asked = requests(texts=["x", "y" * 300, "z"])
    with pytest.raises(UserError, match=rf"1 prompts do not fit .* {POSITIONS} tokens: t/1 \(301 tokens\)"):
        next(loaded(folders["llama"]).generate(asked, GREEDY))


def test_a_prompt_that_leaves_little_room_gets_a_shorter_completion(folders: dict[str, Path]) -> None:
    said: list[str] = []
    backend = loaded(folders["llama"], warn=said.append)
    short, whole = backend.generate(requests(texts=["y" * 250, "x"]), GREEDY)
    assert (short.completion.completion_tokens, short.completion.finish) == (5, "length")
    assert whole.completion.completion_tokens == 24
    assert backend.tally.shortened == 1
    assert len(said) == 1
    assert said[0].startswith("1 of 2 prompts leave less room than max_tokens = 24")


# ---------------------------------------------------------------- memory, laziness, closing


def starve(backend: Engine, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the model run out of memory whenever it sees more than `most` rows."""
    assert backend.network is not None
    forward: Callable[..., Any] = backend.network.model.forward

    def small(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["input_ids"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(*args, **kwargs)

    monkeypatch.setattr(backend.network.model, "forward", small)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_out_of_memory_halves_the_batch_and_changes_nothing_else(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, sampling: Sampling
) -> None:
    said: list[str] = []
    backend = loaded(folders["llama"], 8, warn=said.append)
    expected = lines(backend.generate(requests(sampling.samples), sampling))
    starve(backend, 3, monkeypatch)
    assert lines(backend.generate(requests(sampling.samples), sampling)) == expected
    assert said == [
        "out of memory with 8 sequences at once: going on with 4",
        "out of memory with 4 sequences at once: going on with 2",
    ]
    assert backend.tally.halvings == 2


def test_out_of_memory_in_the_middle_of_a_batch_loses_and_repeats_nothing(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(folders["llama"], 8, warn=lambda text: None)
    sampling = DRAWN.model_copy(update={"max_tokens": 60, "stop": ("e", "r", " ")})
    expected = lines(backend.generate(requests(3), sampling))
    assert backend.network is not None
    step, calls = backend.network.step, [0]

    def sometimes(*args: Any) -> None:
        calls[0] += 1
        if calls[0] == 4:
            raise RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: 1 bytes")
        step(*args)

    monkeypatch.setattr(backend.network, "step", sometimes)
    assert lines(backend.generate(requests(3), sampling)) == expected


def test_out_of_memory_with_one_sequence_is_a_fault_that_says_what_to_lower(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(folders["llama"], 2, warn=lambda text: None)
    starve(backend, 0, monkeypatch)
    with pytest.raises(BackendFault, match=r"out of memory with one sequence.*lower sampling.max_tokens"):
        list(backend.generate(requests(), GREEDY))
    backend = loaded(folders["llama"], 8, warn=lambda text: None)
    starve(backend, 5, monkeypatch)
    with pytest.raises(BackendFault, match=r"one prompt with 10 beams.*sampling.beams"):
        list(backend.generate(requests(), BEAMS))


def test_another_failure_of_the_model_is_a_fault(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = loaded(folders["llama"])
    assert backend.network is not None

    def broken(**kwargs: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")

    monkeypatch.setattr(backend.network.model, "forward", broken)
    with pytest.raises(BackendFault, match="failed on a batch of 8: CUDA error: an illegal memory access"):
        list(backend.generate(requests(), GREEDY))


def test_logits_that_are_not_numbers_are_a_fault(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    assert backend.network is not None
    with torch.no_grad():
        backend.network.model.lm_head.weight[5] = torch.nan
    with pytest.raises(BackendFault, match="NaN"):
        list(backend.generate(requests(), GREEDY))


def test_generation_is_lazy_and_may_be_left_early(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"], 2)
    generations = backend.generate(requests(), GREEDY)
    assert backend.tally.decisions == 0
    next(generations)
    done = backend.tally.decisions
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
def test_settings_that_cannot_work_are_refused(
    folders: dict[str, Path], sampling: Sampling, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        list(loaded(folders["llama"]).generate(requests(), sampling))


# ---------------------------------------------------------------- loading


def test_identity_names_what_decides_the_outputs(folders: dict[str, Path]) -> None:
    identity = loaded(folders["llama"]).identity
    assert identity["kind"] == "hf"
    assert identity["dtype"] == "float32"
    assert identity["device"].startswith(("cpu", "cuda"))
    assert identity["engine"].startswith("hf 1, torch ")
    assert len(identity["weights"]) == 64
    assert identity["adapter"] == identity["revision"] == ""
    assert identity == loaded(folders["llama"], 3).identity
    assert loaded(folders["llama"], dtype="bfloat16").identity["dtype"] == "bfloat16"


def test_a_16_bit_checkpoint_is_computed_in_float32_on_a_cpu_unless_told_otherwise(tmp_path: Path) -> None:
    folder = build("llama", tmp_path / "m", dtype="bfloat16")
    if not torch.cuda.is_available():
        assert loaded(folder).identity["dtype"] == "float32"
    assert loaded(folder, dtype="bfloat16").identity["dtype"] == "bfloat16"


def test_other_weights_or_another_tokenizer_give_another_digest(tmp_path: Path) -> None:
    first = loaded(build("llama", tmp_path / "a")).identity["weights"]
    assert loaded(build("llama", tmp_path / "b")).identity["weights"] == first
    assert loaded(build("llama", tmp_path / "c", seed=1)).identity["weights"] != first
    assert loaded(build("llama", tmp_path / "d", tokens="words")).identity["weights"] != first


def break_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def break_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def tear_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def rename_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["other"] = tensors.pop("model.norm.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def unknown_architecture(folder: Path) -> None:
    plain = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**plain, "model_type": "nonesuch"}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (break_config, r"has no config\.json"),
        (break_tokenizer, r"has no tokenizer: expected tokenizer\.json.*tokenizer\.save_pretrained"),
        (break_weights, r"holds no weights: expected model\.safetensors"),
        (tear_weights, r"cannot load the model in .*"),
        (rename_tensor, r"lack 1 of the model's tensors: model\.norm\.weight"),
        (unknown_architecture, r"cannot load the model in .*nonesuch"),
    ],
)
def test_a_damaged_model_folder_is_one_clear_line(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    folder = build("llama", tmp_path / "m")
    damage(folder)
    with pytest.raises(UserError, match=said) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_and_a_model_that_is_not_cached_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model folder '/no/such/folder' does not exist"):
        hf.load(BackendConfig(model="/no/such/folder"))
    with pytest.raises(UserError, match=r"it is not a folder here.*hf download acme/coder --revision abc"):
        hf.load(BackendConfig(model="acme/coder", revision="abc"))
    with pytest.raises(UserError, match="has no revisions"):
        hf.load(BackendConfig(model=str(tmp_path), revision="abc"))
    with pytest.raises(UserError, match="no device 'gpu'"):
        hf.load(BackendConfig(model=str(build("llama", tmp_path / "m")), device="gpu"))


def test_a_cached_hub_model_is_found_offline_and_its_commit_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = tmp_path / "models--acme--coder"
    build("llama", root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert hf.load(BackendConfig(model="acme/coder")).identity["revision"] == commit
    assert hf.load(BackendConfig(model="acme/coder", revision=commit)).identity["revision"] == commit


def save_adapter(base: Path, folder: Path, prompt_tuning: bool = False) -> Path:
    from peft import LoraConfig, PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base)
        config: Any = LoraConfig(
            r=4, init_lora_weights=False, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
        )
        if prompt_tuning:
            config = PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            get_peft_model(model, config).save_pretrained(folder)
    return folder


def test_an_adapter_changes_the_outputs_and_the_identity(folders: dict[str, Path], tmp_path: Path) -> None:
    base = folders["llama"]
    adapter = save_adapter(base, tmp_path / "lora")
    tuned = {
        size: hf.load(BackendConfig(model=str(base), adapter=str(adapter), batch_size=size))
        for size in (1, 16)
    }
    plain = loaded(base)
    assert tuned[1].identity["weights"] == plain.identity["weights"]
    assert len(tuned[1].identity["adapter"]) == 64
    found = lines(tuned[16].generate(requests(), GREEDY))
    assert found == lines(tuned[1].generate(requests(), GREEDY))
    assert found != lines(plain.generate(requests(), GREEDY))


def test_adapters_that_cannot_be_used_say_why(folders: dict[str, Path], tmp_path: Path) -> None:
    base = str(folders["llama"])
    with pytest.raises(UserError, match=r"adapter folder .* does not exist"):
        hf.load(BackendConfig(model=base, adapter=str(tmp_path / "none")))
    with pytest.raises(UserError, match=r"is not an adapter: it has no adapter_config\.json"):
        hf.load(BackendConfig(model=base, adapter=base))
    prompts = save_adapter(folders["llama"], tmp_path / "prompts", prompt_tuning=True)
    with pytest.raises(UserError, match=r"PROMPT_TUNING.*not supported"):
        hf.load(BackendConfig(model=base, adapter=str(prompts)))
    with pytest.raises(UserError, match="is an adapter, not a model"):
        hf.load(BackendConfig(model=str(save_adapter(folders["llama"], tmp_path / "lora"))))


def test_generation_settings_of_the_model_that_are_not_applied_are_named(tmp_path: Path) -> None:
    folder = build("llama", tmp_path / "m")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "repetition_penalty": 1.3}))
    said: list[str] = []
    loaded(folder, warn=said.append)
    assert said == ["not applied from the model's generation_config.json: repetition_penalty=1.3"]


def test_an_architecture_without_a_key_value_cache_is_refused(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    make_tokenizer("llama").save_pretrained(tmp_path)
    MambaForCausalLM(MambaConfig(vocab_size=400, hidden_size=32, num_hidden_layers=1)).save_pretrained(
        tmp_path
    )
    with pytest.raises(UserError, match="MambaForCausalLM keeps no key-value cache"):
        list(loaded(tmp_path).generate(requests(), GREEDY))


def test_importing_the_backend_imports_no_torch() -> None:
    code = (
        "import sys, harness.backends.hf; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
