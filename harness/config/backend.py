"""The [backend] of a run: where completions come from, and of what kind each setting is.

Checked here: what excludes each other, and what has no effect with a built-in kind of backend. Whether a model, a
server or a backend of somebody else's exists is not looked up.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from harness.errors import unknown
from harness.schema import Form, Value

# Fields of a request that say what a run is: a second value for one would make its record untrue.
RESERVED_REQUEST_FIELDS: Mapping[str, str] = {
    "model": "it is backend.model or backend.adapter",
    "prompt": "the task's template makes it",
    "messages": "the task's template makes them",
    "suffix": "the task's template makes it",
    "n": "it is sampling.samples",
    "temperature": "it is sampling.temperature",
    "top_p": "it is sampling.top_p",
    "max_tokens": "it is sampling.max_tokens",
    "max_completion_tokens": "it is sampling.max_tokens",
    "seed": "it is the run's seed",
    "stop": "it is sampling.stop",
    "logprobs": "it is backend.server.logprobs",
    "stream": "answers are read whole",
    "echo": "the prompt would be taken for the answer",
}

# Keys of a backend that change no completion: how work is cut up and where it is done, and what it costs.
NOT_IDENTITY = frozenset(
    {"batch_size", "device", "devices", "device_map", "gpus_per_model", "price_in", "price_out", "stall_s"}
)
# A worker that generates says after each step that it is alive; a third party's backend, only with its results.
STALL_S = 1800.0
# Keys of [backend.server] that change no completion.
SERVER_NOT_IDENTITY = ("concurrency", "request_s", "retries", "key_env", "start_s")

# The fields of a recorded row, and how the text in each is read.
RECORDED_FORMS: Mapping[str, Form] = {"solution": "program", "completion": "continuation", "text": "output"}
SERVER_TEMPLATE_ARGS = "chat_template_kwargs"  # the field of a request that holds template_args

BUILT_IN = ("hf", "replay", "openai", "server")
# What is set for a model in this process and has no effect on a server's.
LOCAL_ONLY = ("quantize", "dtype", "device", "device_map", "gpus_per_model", "attention", "profile")


def split_field(field: str) -> tuple[str, str]:
    """NAME or NAME=KEY as (NAME, KEY or ""). Raises ValueError."""
    name, equals, form = field.partition("=")
    if (equals and form not in RECORDED_FORMS) or (equals and not name):
        raise ValueError(f"field = {field!r}: {unknown('way of reading', form, RECORDED_FORMS)}")
    return name, form


class ServerConfig(Value):
    """A server that speaks OpenAI's protocol: its `url` (http://HOST:PORT/v1), or the `command` that starts one for
    the run, in which {model} and {port} are replaced.

    `api`: auto asks for a completion of a text and for an answer to a chat; `chat` sends a text as one turn. `extra`
    are further fields of each request, `omit` those that this server refuses. `key_env` names the environment
    variable with the key. `weights` is a word for what is served, a digest or a commit, for which you vouch.
    """

    url: str = ""
    command: str = ""
    start_s: float = Field(default=600.0, gt=0, allow_inf_nan=False)
    api: Literal["auto", "completions", "chat"] = "auto"
    concurrency: int = Field(default=16, ge=1, le=4096)
    request_s: float = Field(default=600.0, gt=0, allow_inf_nan=False)
    retries: int = Field(default=6, ge=0)
    key_env: str = "OPENAI_API_KEY"
    logprobs: bool = False
    extra: Mapping[str, Any] = {}
    omit: tuple[Literal["temperature", "top_p", "seed", "stop", "n"], ...] = ()
    weights: str = ""

    @model_validator(mode="after")
    def _no_reserved_field(self) -> "ServerConfig":
        for name in self.extra:
            if name in RESERVED_REQUEST_FIELDS:
                raise ValueError(f"server.extra.{name} cannot be set there: {RESERVED_REQUEST_FIELDS[name]}")
        return self

    @model_validator(mode="after")
    def _sound_url(self) -> "ServerConfig":
        if not self.url:
            return self
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound:
            raise ValueError(f"server.url = {self.url!r}: expected http(s)://HOST[:PORT]/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "server.url may not hold a user, a password or a query, for it is written into each run: a key comes"
                " from the environment variable that server.key_env names"
            )
        return self


class BackendConfig(Value):
    """Where completions come from. `kind` is a built-in backend, the name of an installed one (an entry point of the
    group harness.backends) or the path of a .py file; the last two take their own settings from `options`, which are
    part of the run's identity.

    `model` is a folder, a hub id or a server's name for it, `path` a file or folder of recorded completions, `field`
    the field of its rows that has the model's text: NAME, or NAME=solution|completion|text. With a server,
    `adapter` is the name under which it serves the adapter, or where its command has {adapter} the folder or file that
    it loads. `devices` are those of this machine that share the work, each with a copy of the model: cuda:0, cuda:1, or
    "all"; one that gives no sign of life for `stall_s` seconds is started anew. `price_in` and `price_out` are for a
    million tokens of prompts and of completions, in whatever currency.

    `template_args` are arguments of the model's chat template, enable_thinking = false say; a server is sent them as
    chat_template_kwargs, which vLLM, SGLang and llama-server take. `fim` is the family of models in whose marks a
    prompt with a gap is written (harness/text/fim.py); without it the tokenizer tells, and a server is sent `suffix`.

    For hf: `batch_size` is the most rows at once, 0 ("auto") as many as fit in memory. `profile` fast leaves out what
    makes outputs independent of the batch. `device_map` spreads the model over devices, as transformers has it;
    on a cluster each copy of the model has `gpus_per_model` of a node's GPUs.
    """

    kind: str = "hf"
    model: str = ""
    revision: str | None = None
    adapter: str = ""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantize: Literal["none", "8bit", "4bit"] = "none"
    device: str = "auto"
    devices: tuple[str, ...] | Literal["all"] = ()
    device_map: str = Field(default="", exclude_if=lambda value: not value)
    gpus_per_model: int = Field(default=1, ge=1, exclude_if=lambda value: value == 1)
    stall_s: float = Field(
        default=STALL_S, gt=0, allow_inf_nan=False, exclude_if=lambda value: value == STALL_S
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", exclude_if=lambda value: value == "auto"
    )
    profile: Literal["exact", "fast"] = Field(default="exact", exclude_if=lambda value: value == "exact")
    batch_size: int = Field(default=0, ge=0)
    path: str = ""
    field: str = Field(default="", exclude_if=lambda value: not value)
    partial: bool = False
    server: ServerConfig | None = None
    options: Mapping[str, Any] = Field(default={}, exclude_if=lambda value: not value)
    fim: str = Field(default="", exclude_if=lambda value: not value)
    template_args: Mapping[str, Any] = Field(default={}, exclude_if=lambda value: not value)
    price_in: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    price_out: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def identity_fields(self) -> dict[str, Any]:
        """The settings that can change a completion: nothing about batches, requests and prices."""
        plain = self.model_dump(mode="json", exclude=set(NOT_IDENTITY))
        if plain["server"] is None:
            del plain[
                "server"
            ]  # a run without a server has the identity that it had before there were servers
        else:
            for key in SERVER_NOT_IDENTITY:
                del plain["server"][key]
        return plain

    @field_validator("field")
    @classmethod
    def _sound_field(cls, value: str) -> str:
        split_field(value)
        return value

    @field_validator("batch_size", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        return 0 if value == "auto" else value

    @model_validator(mode="after")
    def _both_prices(self) -> "BackendConfig":
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("price_in and price_out go together: one of them may be 0")
        return self

    @model_validator(mode="after")
    def _options_fit_kind(self) -> "BackendConfig":
        if self.options and self.kind in BUILT_IN:
            raise ValueError(
                f"options has no effect with kind = {self.kind!r}: it is for backends that are not built in"
            )
        for name in ("options", "template_args"):
            try:
                json.dumps(getattr(self, name), allow_nan=False)
            except ValueError:
                raise ValueError(
                    f"{name}: a number is not finite, and the run's record must be valid JSON"
                ) from None
        return self

    @model_validator(mode="after")
    def _template_args_are_read(self) -> "BackendConfig":
        if not self.template_args:
            return self
        if self.kind == "replay":
            raise ValueError("template_args has no effect on recorded completions: leave it out")
        if self.server is not None and self.server.api == "completions":
            raise ValueError(
                "template_args has no effect with server.api = 'completions': leave one of them out"
            )
        if self.server is not None and SERVER_TEMPLATE_ARGS in self.server.extra:
            raise ValueError(
                f"template_args and server.extra.{SERVER_TEMPLATE_ARGS} are the same: leave one out"
            )
        return self

    @model_validator(mode="after")
    def _somebody_writes_marks(self) -> "BackendConfig":
        if self.fim and self.kind == "replay":
            raise ValueError("fim has no effect on recorded completions: leave it out")
        return self

    @model_validator(mode="after")
    def _server_fits_kind(self) -> "BackendConfig":
        if self.kind not in BUILT_IN:
            return self
        if self.server is not None and self.kind not in ("openai", "server"):
            raise ValueError(
                f"backend.server has no effect with kind = {self.kind!r}: set kind = 'openai' or 'server'"
            )
        server = self.server or ServerConfig()
        if self.kind == "openai" and not server.url:
            raise ValueError("kind = 'openai' needs server.url, http://HOST:PORT/v1")
        if self.kind == "openai" and server.command:
            raise ValueError("server.command starts a server: set kind = 'server'")
        if self.kind == "server" and ("{port}" not in server.command or server.url):
            raise ValueError(
                "kind = 'server' needs server.command with {port} (and {model}) in it, and no server.url"
            )
        return self

    @model_validator(mode="after")
    def _devices_fit_kind(self) -> "BackendConfig":
        if self.device_map and (self.device != "auto" or self.devices):
            other = "devices" if self.devices else "device"
            raise ValueError(
                f"{other} and device_map exclude each other: a model on one, or spread over several"
            )
        without = self.kind in BUILT_IN and self.kind != "hf"
        if self.devices and (without or self.device != "auto"):
            other = f"kind = {self.kind!r}" if without else f"device = {self.device!r}"
            raise ValueError(f"devices has no effect with {other}: leave one of the two out")
        return self

    @model_validator(mode="after")
    def _nothing_local_at_a_server(self) -> "BackendConfig":
        if self.kind not in ("openai", "server"):
            return self
        for name in (*LOCAL_ONLY, "path", "field", "partial"):
            default = type(self).model_fields[name].default
            if name in self.model_fields_set and getattr(self, name) != default:
                raise ValueError(
                    f"{name} has no effect with kind = {self.kind!r}: set it where the server is started"
                )
        return self
