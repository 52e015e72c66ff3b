"""The engine of a model folder, requests for it, and the lines that it writes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.backends import hf
from harness.backends.hf.scheduler import Engine
from harness.config.backend import BackendConfig
from harness.schema import Completion, Generation, Prompt, Request, Sampling

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
