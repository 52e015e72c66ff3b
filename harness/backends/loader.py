"""What a module of a backend exports, and where the module of each kind is found.

backend = BackendLoader(load, check, check_sampling, CAPABILITIES)     in harness/backends/hf/__init__.py
find("hf"), find("mine.py"), find("theirs")                            built in, a file, an installed package's
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.config import plugins
from harness.config.backend import BackendConfig
from harness.errors import ConfigError, unknown
from harness.schema import Backend, Capabilities, PromptRenderer, Sampling

# The built-in kinds, each with the module that exports its `backend`.
KINDS: Mapping[str, str] = {
    "hf": "harness.backends.hf",
    "replay": "harness.backends.replay",
    "openai": "harness.backends.openai",
    "server": "harness.backends.server",
}
# What a Backend has, and what it has besides for each capability that it states.
ALWAYS = ("identity", "capabilities", "generate", "tokens", "fits", "close")
METHODS: Mapping[str, Sequence[str]] = {
    "likelihoods": ("likelihoods",),
    "adapters": ("set_adapter",),
    "mixed_adapters": ("attach_adapters", "generate_mixed"),
    "recorded": ("counts", "unmatched"),
    "renders": ("render",),
}


def _nothing_to_check(config: BackendConfig, problem_ids: Sequence[str]) -> None:
    del config, problem_ids


def _not_known(config: BackendConfig) -> bool | None:
    del config
    return None


def _no_gaps(config: BackendConfig) -> None:
    """For a backend that may not know `Prompt.suffix`: it would ask for something else."""
    raise ConfigError(
        f"backend {config.kind!r} does not say that it can fill in the middle: choose another prompt (or have the"
        " backend say so: BackendLoader.check_fim)"
    )


def plain_sampling_only(config: BackendConfig, sampling: Sampling) -> None:
    """For a backend that does not check the sampling: refuse what it may not know, so that nothing is ignored."""
    if sampling.over_long == "truncate_left":
        raise ConfigError(
            f"over_long: backend {config.kind!r} does not say that it can truncate prompts: leave it out"
        )
    plain = Sampling()
    for name in ("beams", "top_k", "banned_tokens", "count_penalty", "repetition_penalty"):
        if getattr(sampling, name) != getattr(plain, name):
            raise ConfigError(
                f"sampling.{name}: backend {config.kind!r} does not say that it can do that: leave it out"
                " (or have the backend say so: BackendLoader.check_sampling)"
            )


@dataclass(frozen=True)
class BackendLoader:
    """How to open a kind of backend, and what is known of it before that. Each function raises UserError.

    `load(config, problem_ids)`: the ids, in task order, are those of the run; only recorded completions need them.
    `check` finds out whether `load` would find what it needs, without loading a model; `check_sampling` refuses what
    the backend cannot do. `capabilities`: what a loaded one has at most. `load_renderer`: the model's tokenizer alone.
    `answers_chats`: whether the model can be asked in a chat, None where that is not known before it is loaded.
    `check_fim` refuses a prompt with a gap where the model, or the backend, cannot be asked to fill it.
    """

    load: Callable[[BackendConfig, Sequence[str]], Backend]
    check: Callable[[BackendConfig, Sequence[str]], None] = _nothing_to_check
    check_sampling: Callable[[BackendConfig, Sampling], None] = plain_sampling_only
    capabilities: Capabilities = field(default_factory=Capabilities)
    load_renderer: Callable[[BackendConfig], PromptRenderer] | None = None
    answers_chats: Callable[[BackendConfig], bool | None] = _not_known
    check_fim: Callable[[BackendConfig], None] = _no_gaps


def find(kind: str) -> BackendLoader:
    """The loader of a kind: built in, or a third party's by file or entry point. Raises ConfigError."""
    if kind in KINDS:
        found = importlib.import_module(KINDS[kind]).backend
    elif plugins.is_file(kind):
        path = Path(plugins.split(kind)[0])
        found = _from_file(kind, path.stat().st_mtime_ns if path.is_file() else 0)
    else:
        found = plugins.load("backend", kind)
    if found is None:
        names = [*KINDS, *plugins.names("backend")]
        raise ConfigError(f"{unknown('backend', kind, names)} Or the path of a .py file.")
    if isinstance(found, BackendLoader):
        return found
    if callable(found):
        return BackendLoader(found)
    raise ConfigError(
        f"backend {kind!r}: expected a function backend(config, problem_ids) -> Backend, or a BackendLoader, got"
        f" {type(found).__name__}"
    )


@lru_cache(maxsize=8)
def _from_file(kind: str, changed_ns: int) -> Any:
    """Executed once, and again after a change: a file may hold a model between two runs of a study."""
    del changed_ns
    return plugins.load("backend", kind)


def checked(found: object, config: BackendConfig, stated: Capabilities) -> Backend:
    """What `load` returned, if it is what it says. Raises ConfigError naming what is missing."""
    where = f"backend {config.kind!r}: what it loads"
    if missing := [name for name in ALWAYS if not hasattr(found, name)]:
        raise ConfigError(f"{where} ({type(found).__name__}) has no {', '.join(missing)}")
    backend: Any = found
    if not isinstance(backend.capabilities, Capabilities):
        raise ConfigError(f"{where}: capabilities is no harness.schema.Capabilities")
    for name, methods in METHODS.items():
        missing = [method for method in methods if not hasattr(backend, method)]
        if getattr(backend.capabilities, name) and missing:
            raise ConfigError(f"{where} states the capability {name} and has no {', '.join(missing)}")
    if backend.capabilities.recorded and not stated.recorded:
        raise ConfigError(f"{where} is recorded, and its BackendLoader does not say so (capabilities)")
    identity = backend.identity
    texts = isinstance(identity, Mapping) and all(
        isinstance(each, str) for each in (*identity, *identity.values())
    )
    if not texts or "kind" not in identity:
        raise ConfigError(f"{where}: identity must map names to texts, and have a 'kind'")
    return backend  # type: ignore[no-any-return]


def require_model(config: BackendConfig) -> None:
    if not config.model:
        raise ConfigError("no model: give --model FOLDER_OR_HUB_ID (or backend.model in the config)")
