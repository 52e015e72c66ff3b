"""What is found in the completion cache: what was kept, and nothing of another model, prompt or sampling."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.backends import completion_cache
from harness.backends.completion_cache import CompletionCache
from harness.config.backend import ServerConfig
from harness.schema import Message, Prompt, Request, Sampling
from tests.support.parts.completion_cache import ASKED, DRAWN, MODEL, config, found, identity, made, put

GREEDY = Sampling(max_tokens=16)


def test_what_was_kept_is_found_as_it_was(tmp_path: Path) -> None:
    sample = made(text='é\n"\\ \ud7ff \x00')
    put(tmp_path / "a", sample)
    with CompletionCache(tmp_path / "a", MODEL, DRAWN) as known:
        assert list(known.find([Request("p/0", ASKED, (0, 1))])) == [sample]


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"backend": MODEL["backend"] | {key: "other"}}}
        for key in ("weights", "adapter", "dtype", "engine")
    ]
    + [
        {"sampling": DRAWN.model_copy(update=change)}
        for change in (
            {"temperature": 0.7},
            {"top_p": 0.9},
            {"top_k": 5},
            {"max_tokens": 17},
            {"stop": ("\n",)},
            {"seed": 2},
            {"banned_tokens": (3,)},
            {"count_penalty": 1.1},
            {"repetition_penalty": 1.1},
        )
    ]
    + [
        {"prompt": Prompt(text="q ")},
        {"prompt": Prompt(messages=(Message(role="user", content="q"),))},
        {"index": 1},
        {"name": "p/1"},
    ],
    ids=str,
)
def test_whatever_differs_nothing_is_found(tmp_path: Path, other: dict[str, Any]) -> None:
    put(tmp_path / "a", made())
    assert found(tmp_path / "a") == ["x = 1"]
    assert found(tmp_path / "a", **other) == []


def test_the_number_of_samples_does_not_matter_and_in_beams_does(tmp_path: Path) -> None:
    put(tmp_path / "a", made())
    assert found(tmp_path / "a", sampling=DRAWN.model_copy(update={"samples": 9})) == ["x = 1"]
    beams = Sampling(samples=2, beams=4)
    put(tmp_path / "a", made(), sampling=beams)
    assert found(tmp_path / "a", sampling=beams) == ["x = 1"]
    assert found(tmp_path / "a", sampling=beams.model_copy(update={"samples": 3})) == []


def test_a_greedy_answer_is_the_prompts_a_drawn_one_the_problems(tmp_path: Path) -> None:
    for sampling, wanted in ((GREEDY, ["x = 1"]), (DRAWN, [])):
        put(tmp_path / "a", made(), sampling=sampling)
        assert found(tmp_path / "a", sampling=sampling, name="another/0") == wanted


def test_a_model_is_known_by_its_digests_and_not_by_its_name() -> None:
    base = completion_cache.identity(identity(), config())
    assert base is not None
    same = [
        (identity(model="elsewhere/m", revision="c1"), config(model="elsewhere/m", revision="c1")),
        (identity(), config(batch_size=64, price_in=1.0, price_out=2.0)),
        (identity(), config(adapter="a folder whose digest says what it is")),
        (identity(), config(dtype="float32")),
    ]
    assert [completion_cache.identity(*each) for each in same] == [base] * len(same)
    others = [
        identity(weights="w2"),
        identity(adapter="d1 LORA active"),
        identity(adapter="d2 LORA active"),
        identity(loaded="another in memory"),
        identity(dtype="4bit float32"),
        identity(engine="hf 1, torch 3"),
        identity(device="cuda NVIDIA H100"),
    ]
    assert (
        len({json.dumps(completion_cache.identity(each, config())) for each in others} | {json.dumps(base)})
        == 8
    )


def test_another_number_of_cores_is_another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    base = completion_cache.identity(identity(), config())
    monkeypatch.setattr(completion_cache, "hardware", lambda: {"machine": "x86_64", "cores": 4097})
    assert completion_cache.identity(identity(), config()) != base


def test_a_server_is_remembered_only_under_a_name_for_its_weights() -> None:
    def of(url: str = "http://h/v1", weights: str = "", **more: Any) -> dict[str, Any] | None:
        server = ServerConfig(url=url, weights=weights, **more)
        told = {"kind": "openai", "model": "m", "engine": "openai api", "api": "auto", "url": url}
        told |= {"weights": weights} if weights else {}
        return completion_cache.identity(told, config(kind="openai", server=server))

    assert of() is None
    assert of(weights="w1") is not None
    assert of(weights="w1", concurrency=64, retries=0, key_env="K") == of(weights="w1")
    kinds = [of(weights="w1"), of(weights="w2"), of("http://other/v1", "w1"), of(weights="w1", api="chat")]
    kinds += [of(weights="w1", extra={"top_k": 3}), of(weights="w1", omit=("seed",))]
    assert len({json.dumps(each) for each in kinds}) == 6
    assert (
        completion_cache.identity({"kind": "replay", "completions": "sha"}, config(kind="replay", path="x"))
        is None
    )
