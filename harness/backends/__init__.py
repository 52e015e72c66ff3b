"""Where completions come from. One file a backend; each has a `load(...)` that returns a `schema.Backend`.

To add one: a file here with `load`, a `kind` in `config.BackendConfig`, a case below, and the contract tests in
tests/test_backends.py pass.
"""

from collections.abc import Iterator, Mapping, Sequence

from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.schema import Backend, Generation, LikelihoodBackend, Request, Sampling

NO_MODEL = "no model: give --model FOLDER_OR_HUB_ID (or backend.model in the config)"


def load(config: BackendConfig, problem_ids: Sequence[str]) -> Backend:
    """The configured backend. `problem_ids` in task order are what recorded completions are matched with."""
    match config.kind:
        case "hf":
            from harness.backends import hf

            if not config.model:
                raise ConfigError(NO_MODEL)
            return hf.load(config)
        case "replay":
            from harness.backends import replay

            if not config.path:
                raise ConfigError(
                    "no recorded completions: give --completions FILE (or backend.path in the config)"
                )
            return replay.load(config, problem_ids)
        case "openai":
            from harness.backends import openai

            if not config.model:
                raise ConfigError(NO_MODEL)
            return openai.load(config)
        case "server":
            from harness.backends import server

            if not config.model:
                raise ConfigError(NO_MODEL)
            return server.load(config)


def refuse(config: BackendConfig, sampling: Sampling) -> None:
    """Raises ConfigError for what this kind of backend cannot do, before it is opened."""
    if config.kind in ("openai", "server"):
        from harness.backends import openai

        openai.refuse(sampling)


def with_adapter(backend: Backend, config: BackendConfig) -> Backend:
    """A backend on the same base with another adapter, the base staying loaded. Raises UserError."""
    if config.kind == "hf":
        from harness.backends import hf
        from harness.backends.hf.scheduler import Engine

        assert isinstance(backend, Engine)
        return hf.with_adapter(backend, config)
    from harness.backends import openai, server

    assert isinstance(backend, openai.Client | server.Started), "a recording has no adapters"
    backend.choose(config)
    return backend


def with_adapters(backend: Backend, configs: Sequence[BackendConfig]) -> Sequence[Mapping[str, str]] | None:
    """Put several adapters on the base at the same time; the identity with each, None where they cannot be mixed.

    `configs` differ in nothing but the adapter; "" is the base without one. Raises UserError.
    """
    from harness.backends import hf
    from harness.backends.hf import multi_lora
    from harness.backends.hf.scheduler import Engine

    return multi_lora.attach_adapters(backend, configs, hf.PROBE) if isinstance(backend, Engine) else None


def together(
    backend: Backend, wanted: Mapping[int, Sequence[Request]], sampling: Sampling
) -> Iterator[tuple[int, Generation]]:
    """Every wanted sample of each of the adapters that `with_adapters` put on, by the adapter's number."""
    from harness.backends.hf.scheduler import Engine

    assert isinstance(backend, Engine)
    return backend.generate_mixed(wanted, sampling)


def unasked(backend: Backend) -> Mapping[str, tuple[str, int]]:
    """Recorded rows of problems that were not asked: their first place and number, by id. None but in recordings."""
    from harness.backends import replay

    return backend.unasked if isinstance(backend, replay.Replay) else {}


def reader(backend: Backend) -> LikelihoodBackend:
    """The backend as one that says how likely texts are. Raises ConfigError for one that cannot."""
    if isinstance(backend, LikelihoodBackend):
        return backend
    raise ConfigError(
        f"backend {backend.identity['kind']!r} cannot say how likely a reference is, and a scorer needs it:"
        " use backend.kind=hf, or leave the scorer out (perplexity)"
    )


def check(config: BackendConfig, problem_ids: Sequence[str]) -> None:
    """Whether `load` would find what it needs, without loading a model. Raises UserError."""
    match config.kind:
        case "hf":
            from harness.backends import hub
            from harness.backends.hf import checkpoint
            from harness.backends.hf.adapter import check_base, find_adapter

            if not config.model:
                raise ConfigError(NO_MODEL)
            folder, commit = hub.find(config.model, config.revision)
            checkpoint.check(folder)
            if config.adapter:
                check_base(find_adapter(config.adapter), config.model, folder, commit)
        case "replay":
            load(config, problem_ids).close()
        case "openai":
            load(config, problem_ids).close()
        case "server":
            from harness.backends import server

            if not config.model:
                raise ConfigError(NO_MODEL)
            server.check(config)
            server.loaded(config)
