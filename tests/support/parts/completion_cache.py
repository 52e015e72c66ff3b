"""Samples put into a completion cache and found in it."""

from pathlib import Path
from typing import Any

from harness.backends.completion_cache import CompletionCache
from harness.config.backend import BackendConfig
from harness.schema import Completion, Generation, Prompt, Request, Sampling

DRAWN = Sampling(samples=3, temperature=0.8, max_tokens=16, seed=1)
ASKED = Prompt(text="q")
MODEL = {"backend": {"kind": "hf", "weights": "w1", "adapter": "", "dtype": "float32", "engine": "hf 1"}}


def made(name: str = "p/0", index: int = 0, text: str = "x = 1", prompt: Prompt = ASKED) -> Generation:
    completion = Completion(text=text, finish="eos", prompt_tokens=3, completion_tokens=4, logprob=-1.25)
    return Generation(problem_id=name, index=index, prompt_sha=prompt.sha, completion=completion)


def found(
    file: Path, model: Any = MODEL, sampling: Sampling = DRAWN, prompt: Prompt = ASKED, **more: Any
) -> list[str]:
    """The texts found for one sample of one problem."""
    request = Request(more.pop("name", "p/0"), prompt, (more.pop("index", 0),))
    with CompletionCache(file, model, sampling, **more) as known:
        return [each.completion.text for each in known.find([request])]


def put(
    file: Path, *samples: Generation, model: Any = MODEL, sampling: Sampling = DRAWN, **more: Any
) -> None:
    with CompletionCache(file, model, sampling, **more) as known:
        for sample in samples:
            known.add(ASKED, sample)


def config(**more: Any) -> BackendConfig:
    return BackendConfig(**{"model": "m", **more})


def identity(**more: str) -> dict[str, str]:
    """That of a loaded hf backend."""
    plain = {"kind": "hf", "model": "m", "revision": "", "weights": "w1", "adapter": "", "dtype": "float32"}
    return plain | {"device": "cpu", "engine": "hf 1, torch 2"} | more
