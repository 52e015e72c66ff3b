"""The completion cache: completions of earlier runs, reused by other runs that make exactly the same request.

A completion is reused only if everything is equal that it may depend on: the digests of weights and adapter (of their
files, and of the tensors in memory), dtype and quantisation, engine and its versions, device, processor and number of
cores, prompt, sampling, seed and sample; for sampled completions the problem too, because the noise is a function of
it. A backend that does not know its weights is not cached. The file is a `CacheFile`.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import __version__
from harness.config.backend import BackendConfig
from harness.config.identity import OBSERVED
from harness.environment import hardware
from harness.files.cache_file import LAYOUT, MAX_BYTES, CacheFile, canonical
from harness.schema import Completion, Generation, Prompt, Request, Sampling

LOG = logging.getLogger(__name__)
NAMES = {"model", "revision", "adapter"}  # where weights are; their digests say what they are


def identity(backend: Mapping[str, str], config: BackendConfig) -> dict[str, Any] | None:
    """Everything about a backend that its completions depend on; None if that is not known."""
    if not backend.get("weights"):
        return None
    backend = {key: value for key, value in backend.items() if key not in OBSERVED}
    fields = config.identity_fields()
    if config.kind == "hf":  # known by digest, under whatever name
        backend = {key: value for key, value in backend.items() if key not in NAMES - {"adapter"}}
        fields = {key: value for key, value in fields.items() if key not in NAMES | {"dtype", "quantize"}}
    machine = {name: hardware()[name] for name in ("machine", "cores")}
    return {
        "layout": LAYOUT,
        "harness": __version__,
        "backend": dict(backend),
        "config": fields,
        "hardware": machine,
    }


class CompletionCache:
    """The cached completions of one model and sampling. A context manager; without a file it is empty."""

    def __init__(
        self,
        file: Path | None,
        model: Mapping[str, Any],
        sampling: Sampling,
        warn: Callable[[str], None] = LOG.warning,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._file = CacheFile(file, "completion cache", warn, max_bytes)
        how = sampling.model_dump(mode="json", exclude=set() if sampling.beams > 1 else {"samples"})
        self._identity = canonical(model)
        self._request = f"{self._identity}\n{canonical(how)}"
        self._of_problem = sampling.temperature > 0

    def __enter__(self) -> "CompletionCache":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__()

    @property
    def usable(self) -> bool:
        return self._file.usable

    def find(self, requests: Sequence[Request]) -> Iterator[Generation]:
        """The samples that are cached, in the order in which they are requested."""
        for request in requests:
            for index in request.indices:
                if not self._file.usable:
                    return
                completion = self._completion(self._key(request.problem_id, index, request.prompt))
                if completion is not None:
                    yield Generation(
                        problem_id=request.problem_id,
                        index=index,
                        prompt_sha=request.prompt.sha,
                        completion=completion,
                    )

    def add(self, prompt: Prompt, made: Generation) -> None:
        if self._file.usable:
            key = self._key(made.problem_id, made.index, prompt)
            self._file.add(self._identity, key, canonical(made.completion.model_dump(mode="json")))

    def flush(self) -> None:
        self._file.flush()

    def _completion(self, key: bytes) -> Completion | None:
        text = self._file.find(key)
        try:
            return None if text is None else Completion.model_validate_json(text)
        except ValidationError as error:
            self._file.disable(error)
            return None

    def _key(self, problem_id: str, index: int, prompt: Prompt) -> bytes:
        which = [problem_id if self._of_problem else "", index, prompt.model_dump(mode="json")]
        return hashlib.sha256(f"{self._request}\n{canonical(which)}".encode()).digest()


# ---------------------------------------------------------------- what is in it


def outdated(identity: Mapping[str, Any]) -> bool:
    """Whether no run of this version asks under such an identity: another version's, or without what was in memory."""
    backend = identity.get("backend", {})
    return (
        identity.get("layout") != LAYOUT
        or identity.get("harness") != __version__
        or (backend.get("kind") == "hf" and not backend.get("loaded"))
    )


def digests(identity: Mapping[str, Any]) -> list[str]:
    """Of an identity those of the weights, of the adapter, and of what was in memory, where there are any."""
    backend = identity.get("backend", {})
    return [backend[key] for key in ("weights", "adapter", "loaded") if backend.get(key)]
