"""How a server is asked to fill in the middle: by the protocol's field `suffix`, or, for the many servers that do not
take it, in the marks of the model's family, which `backend.fim` names (harness/text/fim.py).
"""

from collections.abc import Mapping
from typing import Any

from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.schema import Prompt, Sampling
from harness.text import fim
from harness.text.fim import FimFormat


def format_of(config: BackendConfig) -> FimFormat | None:
    """The format in which the prompt is written here; None where the server does that. Raises ConfigError."""
    return fim.of_family(config.fim) if config.fim else None


def check_fim(config: BackendConfig) -> None:
    """Raises ConfigError for a server that is asked in chats only, and for a family that is not known."""
    if config.server is not None and config.server.api == "chat":
        raise ConfigError(
            "the prompt is fill-in-the-middle and backend.server.api is chat: set it to completions"
        )
    format_of(config)


def with_ends(sampling: Sampling, prompt: Prompt, written: FimFormat | None) -> Sampling:
    """The sampling that ends at the family's marks too, where they are written here."""
    if written is None or prompt.suffix is None:
        return sampling
    return sampling.model_copy(update={"stop": (*sampling.stop, *written.written_ends)})


def fields(prompt: Prompt, written: FimFormat | None) -> dict[str, Any]:
    """The request's fields for a text. Marks that end an answer must not be left out of it (vLLM, SGLang)."""
    if prompt.suffix is None:
        return {"prompt": prompt.text}
    if written is None:
        return {"prompt": prompt.text, "suffix": prompt.suffix}
    return {"prompt": written.written(prompt.text, prompt.suffix), "skip_special_tokens": False}


def is_refused(body: Mapping[str, Any], reason: str) -> bool:
    return "suffix" in body and "suffix" in reason


def refusal(url: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{url} does not fill in the middle by itself: {reason}. Set backend.fim to the model's family, and its marks"
        f" are written into the prompt: {', '.join(fim.FAMILIES)}"
    )
