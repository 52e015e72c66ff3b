"""Bans and penalties in the hf backend: transformers' own processors' outcome, at any batch size."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LogitsProcessorList, NoBadWordsLogitsProcessor, RepetitionPenaltyLogitsProcessor

from harness.backends import hf
from harness.backends.hf.decoding import penalties
from harness.backends.hf.decoding.logits_processors import LogitsProcessors
from harness.backends.hf.scheduler import Engine
from harness.config.backend import BackendConfig
from harness.config.run import RunConfig
from harness.config.sampling import SamplingConfig, resolve_sampling
from harness.errors import ConfigError
from harness.schema import Generation, Prompt, Request, Sampling
from tests.support.command import harness, rows
from tests.support.tiny_models import build

TEXTS = ("def f(x):\n    return", "x", "import os\nimport sys\n", "y" * 20)
BANNED = tuple(range(100, 380))  # most of what the tiny models like to say
SHAPED = {
    "hub penalty": {"repetition_penalty": 1.3},
    "count penalty": {"count_penalty": 1.5},
    "reward": {"count_penalty": 0.7},
    "banned": {"banned_tokens": BANNED},
    "all three": {"repetition_penalty": 1.2, "count_penalty": 1.1, "banned_tokens": BANNED},
}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    yield {name: loaded(build(name, root / name)) for name in ("llama", "t5")}
    torch.set_num_threads(threads)


def loaded(folder: Path) -> Engine:
    backend = hf.load(BackendConfig(model=str(folder), batch_size=8))
    assert isinstance(backend, Engine)
    return backend


def made(backend: Engine, sampling: Sampling) -> list[Generation]:
    asked = [
        Request(f"t/{n}", Prompt(text=text), tuple(range(sampling.samples))) for n, text in enumerate(TEXTS)
    ]
    return sorted(backend.generate(asked, sampling), key=lambda g: (g.problem_id, g.index))


def processors(settings: dict[str, Any], prompt_length: int) -> Any:
    """The same by transformers' processors, and by ours for the one that they lack."""
    found: list[Any] = []
    if "repetition_penalty" in settings:
        found.append(RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
    if "count_penalty" in settings:
        r = settings["count_penalty"]
        found.append(lambda ids, scores: penalties.count_penalty(scores, ids[:, prompt_length:], r))
    if "banned_tokens" in settings:
        found.append(NoBadWordsLogitsProcessor([[i] for i in settings["banned_tokens"]]))
    return LogitsProcessorList(found)


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("settings", SHAPED.values(), ids=SHAPED)
@pytest.mark.parametrize("name", ["llama", "t5"])
def test_the_completions_are_those_of_generate(
    name: str, settings: dict[str, Any], beams: int, engines: dict[str, Engine]
) -> None:
    backend = engines[name]
    assert backend.runner is not None
    sampling = Sampling(max_tokens=10, beams=beams, samples=beams, **settings)
    found = [g.completion.text for g in made(backend, sampling)]
    expected = []
    for text in TEXTS:
        ids = torch.tensor([backend.codec.encode(Prompt(text=text))])
        start = 1 if backend.runner.encoder else ids.shape[1]
        out = backend.runner.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0, max_new_tokens=10,
            num_beams=beams, num_return_sequences=beams, logits_processor=processors(settings, start),
        )  # fmt: skip
        for row in out.tolist():
            new = row[start:]
            end = min((at for at, token in enumerate(new) if token in backend.codec.eos), default=len(new))
            expected.append(backend.codec.decode(new[:end]))
    assert found == expected
    assert found != [
        g.completion.text for g in made(backend, Sampling(max_tokens=10, beams=beams, samples=beams))
    ]


@pytest.mark.parametrize("how", [{"temperature": 0.8, "samples": 2}, {"beams": 3, "samples": 3}, {}])
def test_the_batch_changes_nothing_and_the_logprob_is_the_models_own(
    how: dict[str, Any], engines: dict[str, Engine]
) -> None:
    backend = engines["llama"]
    sampling = Sampling(max_tokens=8, **how, **SHAPED["all three"])
    together = made(backend, sampling)
    backend.batch_size = 1
    apart = made(backend, sampling)
    backend.batch_size = 8
    assert [g.model_dump_json() for g in together] == [g.model_dump_json() for g in apart]
    assert backend.runner is not None
    for g in together:
        assert g.completion.logprob is not None
        prompt = backend.codec.encode(Prompt(text=TEXTS[int(g.problem_id[2:])]))
        ids = _ids(backend, g, prompt)
        if ids is not None:
            total = backend.runner.single(prompt, ids).total
            assert g.completion.logprob == pytest.approx(total, abs=0.0051)


def _ids(backend: Engine, g: Generation, prompt: tuple[int, ...]) -> tuple[int, ...] | None:
    """The completion's tokens, where its text tells them."""
    ids, exact = backend.codec.encode_continuation(g.completion.text)
    return ids if exact and len(ids) == g.completion.completion_tokens else None


@pytest.mark.parametrize("how", [{"temperature": 2.0, "samples": 8}, {"beams": 4, "samples": 4}, {}])
def test_banned_tokens_never_come_whether_drawn_or_not(
    how: dict[str, Any], engines: dict[str, Engine]
) -> None:
    backend = engines["llama"]
    texts = backend.codec.tokenizer.batch_decode([[i] for i in range(400)])
    plain = "".join(g.completion.text for g in made(backend, Sampling(max_tokens=16, **how)))
    ((common, _),) = Counter(c for c in plain if c.isascii()).most_common(1)
    holding = tuple(i for i, text in enumerate(texts) if common in text)
    banned = made(backend, Sampling(max_tokens=16, banned_tokens=holding, **how))
    assert common not in "".join(g.completion.text for g in banned)


def test_a_count_penalty_makes_repetition_rarer_and_a_reward_more_frequent(
    engines: dict[str, Engine],
) -> None:
    def most(r: float) -> int:
        found = made(engines["llama"], Sampling(max_tokens=40, temperature=1.0, count_penalty=r, samples=4))
        ids = [engines["llama"].codec.encode_batch([g.completion.text])[0] for g in found]
        return sum(max(Counter(of_one).values(), default=0) for of_one in ids)

    assert most(3.0) < most(1.0) < most(0.2)


# ---------------------------------------------------------------- literals


def test_one_row_by_hand() -> None:
    scores = torch.tensor([[1.0, -1.0, 2.0, 0.5]])
    processors = LogitsProcessors(banned=frozenset({3}), count_penalty=2.0, repetition_penalty=2.0)
    found = processors(scores, [(0,)], [(1, 1)])[0].tolist()
    # 0 is in the prompt: halved. 1 came twice: doubled, being negative, less 2 ln 2. 3 is banned.
    assert found == pytest.approx([0.5, -2.0 - 2 * math.log(2), 2.0, -math.inf])
    assert scores.tolist() == [[1.0, -1.0, 2.0, 0.5]]
    assert LogitsProcessors()(scores, [(0,)], [(1,)]) is scores
    encoder = LogitsProcessors(repetition_penalty=2.0, decoder_start=(2,))(scores, [(0,)], [(1,)])[0].tolist()
    assert encoder == [1.0, -2.0, 1.0, 0.5]


def test_a_total_is_the_sum_of_what_each_step_made_of_it() -> None:
    processors = LogitsProcessors(count_penalty=2.0, repetition_penalty=1.5)
    # 7 stands in the prompt; 5 comes three times.
    total = processors.total([-1.0, -2.0, -3.0, -4.0], (7,), (5, 7, 5, 5))
    assert total == pytest.approx(-1.0 - 2.0 * 1.5 - 3.0 * 1.5 - math.log(2) - 4.0 * 1.5 - 2 * math.log(2))
    assert LogitsProcessors().total([-1.0, -2.0], (7,), (5, 5)) == -3.0


# ---------------------------------------------------------------- from the command line


def test_they_are_asked_for_by_the_config_and_stand_in_the_record_and_the_signature(tmp_path: Path) -> None:
    from harness.files import packaged

    model = packaged("tasks/demo/model")
    done = harness(
        "run", "--task", "conala", "--model", model, "--data", "mini", "--limit", 2, "--out", tmp_path / "run",
        "--set", "sampling.max_tokens=4", "--set", 'sampling.banned_tokens=[" ", 3]',
        "--set", "sampling.count_penalty=1.2", "--set", "sampling.repetition_penalty=1.1",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["sampling"]["banned_tokens"] == [" ", 3]
    assert (record["sampling"]["count_penalty"], record["sampling"]["repetition_penalty"]) == (1.2, 1.1)
    assert "greedy count 1.2 repetition 1.1 banned " in done.out
    assert all(" " not in row["completion"]["text"] for row in rows(tmp_path / "run" / "generations.jsonl"))


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ('banned_tokens=["no such token"]', "sampling.banned_tokens: no token 'no such token' among the "),
        ("banned_tokens=[-1]", "sampling.banned_tokens: no token -1 among the "),
        ("count_penalty=0", "sampling.count_penalty = 0: input should be greater than 0"),
        ("repetition_penalty=-1", "sampling.repetition_penalty = -1: input should be greater than 0"),
    ],
)
def test_what_cannot_be_is_one_line(setting: str, complaint: str, tmp_path: Path) -> None:
    from harness.files import packaged

    model = packaged("tasks/demo/model")
    done = harness(
        "run", "--task", "conala", "--model", model, "--data", "mini", "--limit", 1, "--out", tmp_path / "run",
        "--set", f"sampling.{setting}",
    )  # fmt: skip
    assert complaint in done.complaint


@pytest.mark.parametrize(
    "setting", [{"banned_tokens": (1,)}, {"count_penalty": 2.0}, {"repetition_penalty": 2.0}]
)
def test_recorded_completions_refuse_them(setting: dict[str, Any]) -> None:
    config = RunConfig(
        task="conala", backend=BackendConfig(kind="replay", path="x"), sampling=SamplingConfig(**setting)
    )
    with pytest.raises(ConfigError, match=f"sampling.{next(iter(setting))}"):
        resolve_sampling(config.sampling, Sampling(), (), config.seed, config.backend.kind)
