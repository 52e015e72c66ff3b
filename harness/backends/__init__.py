"""Where completions come from: a model in this process, a server, a recording, or a third party's backend.

load(config, problem_ids)      -> a schema.Backend, whose `capabilities` say what else it can do
check, check_sampling, capabilities                what can be known of a kind before one is loaded
likelihood_backend(backend) ...                    the backend as one with that capability

loader              the table of kinds, and what the module of each exports
hf/ openai/ replay/ server                         the built-in kinds
completion_cache    completions of earlier runs
hub, pricing        where models lie; what completions cost
heartbeat           signs of life from inside long work
"""

from collections.abc import Sequence
from typing import cast

from harness.backends import loader
from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.schema import (
    AdapterBackend,
    Backend,
    Capabilities,
    LikelihoodBackend,
    MultiAdapterBackend,
    PromptRenderer,
    RecordedBackend,
    RenderingBackend,
    Sampling,
)


def load(config: BackendConfig, problem_ids: Sequence[str]) -> Backend:
    """The configured backend. Recorded completions are matched with `problem_ids`, which are in task order."""
    found = loader.find(config.kind)
    return loader.checked(found.load(config, problem_ids), config, found.capabilities)


def check(config: BackendConfig, problem_ids: Sequence[str]) -> None:
    """Whether `load` would find what it needs, without loading a model. Raises UserError."""
    loader.find(config.kind).check(config, problem_ids)


def check_sampling(config: BackendConfig, sampling: Sampling) -> None:
    """Raises ConfigError for what this kind of backend cannot do, before one is loaded."""
    loader.find(config.kind).check_sampling(config, sampling)


def capabilities(config: BackendConfig) -> Capabilities:
    """What a backend of this kind can do at most, before one is loaded."""
    return loader.find(config.kind).capabilities


def answers_chats(config: BackendConfig) -> bool | None:
    """Whether the model can be asked in a chat; None where that is not known before it is loaded. Raises UserError."""
    return loader.find(config.kind).answers_chats(config)


def check_fim(config: BackendConfig) -> None:
    """Raises UserError where the model cannot be asked to fill in the middle, as far as that is known."""
    loader.find(config.kind).check_fim(config)


def load_renderer(config: BackendConfig) -> PromptRenderer:
    """The model's tokenizer without the model. Raises ConfigError for a kind of backend that has none."""
    found = loader.find(config.kind).load_renderer
    if found is None:
        raise ConfigError(
            f"backend {config.kind!r} has no tokenizer here, so that nobody knows the very prompt"
        )
    return found(config)


def likelihood_backend(backend: Backend) -> LikelihoodBackend:
    """Raises ConfigError for a backend that cannot compute likelihoods."""
    if backend.capabilities.likelihoods:
        return cast(LikelihoodBackend, backend)
    raise ConfigError(
        f"backend {backend.identity['kind']!r} cannot say how likely a reference is, and a scorer needs it:"
        " use backend.kind=hf, or leave the scorer out (perplexity)"
    )


def adapter_backend(backend: Backend) -> AdapterBackend | None:
    return cast(AdapterBackend, backend) if backend.capabilities.adapters else None


def multi_adapter_backend(backend: Backend) -> MultiAdapterBackend | None:
    return cast(MultiAdapterBackend, backend) if backend.capabilities.mixed_adapters else None


def rendering_backend(backend: Backend) -> RenderingBackend | None:
    return cast(RenderingBackend, backend) if backend.capabilities.renders else None


def recorded_backend(backend: Backend) -> RecordedBackend | None:
    return cast(RecordedBackend, backend) if backend.capabilities.recorded else None
