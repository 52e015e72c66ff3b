"""What a run is asked to do: read from TOML and the command line, checked before any work, hashed.

Unknown keys are errors that name the nearest known key. The hash covers what can change a number and leaves out what
must not (batch size, workers, device, where the data lies: the data's own digest is recorded and compared instead).
It is not the place for defaults of a task: those are in tasks/*.py and are resolved by the runner.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from harness.errors import ConfigError, unknown
from harness.schema import Sampling, Split, Value

# Fields of a request that say what a run is: a second value for one would make its record untrue.
ELSEWHERE: Mapping[str, str] = {
    "model": "it is backend.model or backend.adapter",
    "prompt": "the task's template makes it",
    "messages": "the task's template makes them",
    "suffix": "the task's template makes the prompt",
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
INCIDENTAL = frozenset(
    {"batch_size", "device", "devices", "device_map", "gpus_per_model", "price_in", "price_out"}
)

Scalar = str | int | float | bool
HERE = (
    "quantize",
    "dtype",
    "device",
    "device_map",
    "gpus_per_model",
    "attention",
    "profile",
)  # of a model in this process
Config = TypeVar("Config", bound=Value)


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
    def _says_each_thing_once(self) -> "ServerConfig":
        for name in self.extra:
            if name in ELSEWHERE:
                raise ValueError(f"server.extra.{name} cannot be set there: {ELSEWHERE[name]}")
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
    """Where completions come from. `model` is a folder, a hub id or a server's name for it, `path` a file of recorded
    completions. With a server, `adapter` is the name under which it serves the adapter, or where its command has
    {adapter} the folder or file that it loads. `devices` are those of this machine that share the work, each with a
    copy of the model: cuda:0, cuda:1, or "all". `price_in` and `price_out` are for a million tokens of prompts and of
    completions, in whatever currency.

    For hf: `batch_size` is the most rows at once, 0 ("auto") as many as fit in memory. `profile` fast leaves out what
    makes outputs independent of the batch. `device_map` spreads the model over devices, as transformers has it;
    on a cluster each copy of the model has `gpus_per_model` of a node's GPUs.
    """

    kind: Literal["hf", "replay", "openai", "server"] = "hf"
    model: str = ""
    revision: str | None = None
    adapter: str = ""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantize: Literal["none", "8bit", "4bit"] = "none"
    device: str = "auto"
    devices: tuple[str, ...] | Literal["all"] = ()
    device_map: str = Field(default="", exclude_if=lambda value: not value)
    gpus_per_model: int = Field(default=1, ge=1, exclude_if=lambda value: value == 1)
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", exclude_if=lambda value: value == "auto"
    )
    profile: Literal["exact", "fast"] = Field(default="exact", exclude_if=lambda value: value == "exact")
    batch_size: int = Field(default=0, ge=0)
    path: str = ""
    partial: bool = False
    server: ServerConfig | None = None
    price_in: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    price_out: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def deciding(self) -> dict[str, Any]:
        """What of it can change a completion: nothing about batches, requests and prices."""
        plain = self.model_dump(mode="json", exclude=set(INCIDENTAL))
        if plain["server"] is None:
            del plain["server"]  # so that it is no other run than before there were servers
        else:
            for key in ("concurrency", "request_s", "retries", "key_env", "start_s"):
                del plain["server"][key]
        return plain

    @field_validator("batch_size", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        return 0 if value == "auto" else value

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "BackendConfig":
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("price_in and price_out go together: one of them may be 0")
        if self.server is not None and self.kind not in ("openai", "server"):
            raise ValueError(
                f"backend.server has no effect with kind = {self.kind!r}: set kind = 'openai' or 'server'"
            )
        if self.device_map and (self.device != "auto" or self.devices):
            other = "devices" if self.devices else "device"
            raise ValueError(
                f"{other} and device_map exclude each other: a model on one, or spread over several"
            )
        if self.devices and (self.kind != "hf" or self.device != "auto"):
            other = f"kind = {self.kind!r}" if self.kind != "hf" else f"device = {self.device!r}"
            raise ValueError(f"devices has no effect with {other}: leave one of the two out")
        server = self.server or ServerConfig()
        if self.kind == "openai" and not server.url:
            raise ValueError("kind = 'openai' needs server.url, http://HOST:PORT/v1")
        if self.kind == "openai" and server.command:
            raise ValueError("server.command starts a server: that is kind = 'server'")
        if self.kind == "server" and ("{port}" not in server.command or server.url):
            raise ValueError(
                "kind = 'server' needs server.command with {port} (and {model}) in it, and no server.url"
            )
        if self.kind in ("openai", "server"):
            for name in (*HERE, "path", "partial"):
                if (
                    name in self.model_fields_set
                    and getattr(self, name) != type(self).model_fields[name].default
                ):
                    raise ValueError(
                        f"{name} has no effect with kind = {self.kind!r}: tell the server itself"
                    )
        return self


class SamplingConfig(Value):
    """Overrides of the task's own sampling; None keeps the task's."""

    samples: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] | None = None
    beams: int | None = Field(default=None, ge=1)
    banned_tokens: tuple[int | str, ...] | None = None
    count_penalty: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    repetition_penalty: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class JudgeConfig(Value):
    """How programs are run. None keeps the limits of the task. `time_factor`: a program gets this many times the CPU
    time that the problem's reference took here just before, where that is more than the task's limit. `python`: the
    interpreter of another virtual environment, for benchmarks that want library versions of their own; its versions
    identify a run, not its path.
    """

    sandbox: Literal["auto", "namespaces", "landlock", "process"] = "auto"
    workers: int | None = Field(default=None, ge=1)
    time_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    time_factor: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    memory_mb: int | None = Field(default=None, ge=16)
    python: str = ""

    @model_validator(mode="after")
    def _one_limit(self) -> "JudgeConfig":
        if self.time_limit is not None and self.time_factor is not None:
            raise ValueError(
                "time_limit and time_factor exclude each other: one is fixed, the other measured"
            )
        return self


class RetrievalConfig(Value):
    """How `rag:N` finds its shots among the training questions.

    `encoder` is a sentence-transformers folder or hub id, or `mini`, the project's own; models that were trained
    with a prefix before queries and passages need theirs. `rerank` is a cross-encoder. A training question at least
    `near_duplicate` similar (cosine) to the one asked counts as the same, as do equal ones always. `cache` is the
    folder of the index files.
    """

    method: Literal["dense", "bm25", "hybrid"] = "dense"
    encoder: str = "thenlper/gte-small"
    revision: str | None = None
    query_prefix: str = ""
    passage_prefix: str = ""
    rerank: str = ""
    order: Literal["nearest_first", "nearest_last"] = "nearest_first"
    duplicates: Literal["exclude", "flag"] = "exclude"
    near_duplicate: float | None = Field(default=None, gt=0, le=1)
    index: Literal["flat", "ivf", "hnsw"] = "flat"
    cache: str = "~/.cache/codelm-harness/index"


class RunConfig(Value):
    """One run: a task, a backend, and how to ask and judge. `answers` is the answer store's file; empty is none."""

    task: str
    options: Mapping[str, Scalar] = {}
    split: Split = "test"
    limit: int | None = Field(default=None, ge=1)
    only: tuple[str, ...] = ()  # ids; empty is all
    prompt: str = ""
    shots: str = "none"
    seed: int = 0
    k: tuple[int, ...] = ()
    scorers: tuple[str, ...] = ()  # beside the task's own
    data: str | None = None
    answers: str = ""
    backend: BackendConfig = BackendConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    sampling: SamplingConfig = SamplingConfig()
    judge: JudgeConfig = JudgeConfig()

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of everything that can change a number."""
        without: dict[str, Any] = {"data": True, "answers": True, "retrieval": {"cache"}}
        plain = self.model_dump(mode="json", exclude=without | {"judge": {"workers", "python"}})
        return digest(plain | {"backend": self.backend.deciding()})


def digest(plain: Any) -> str:
    """Short SHA-256 of a JSON value in canonical form."""
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def resolve_sampling(config: RunConfig, base: Sampling, stop: Sequence[str]) -> Sampling:
    """The task's sampling with the template's stop strings and the config's overrides, checked as a whole."""
    overrides = {k: v for k, v in config.sampling.model_dump().items() if v is not None}
    merged = {**base.model_dump(), "stop": tuple(stop) or base.stop, "seed": config.seed, **overrides}
    asked = merged["samples"]
    if config.backend.kind == "replay" and overrides:
        raise ConfigError(
            f"sampling.{next(iter(overrides))} has no effect on recorded completions: leave it out"
        )
    for name in ("banned_tokens", "count_penalty", "repetition_penalty"):
        if name in overrides and config.backend.kind != "hf":
            raise ConfigError(
                f"sampling.{name}: backend {config.backend.kind!r} cannot do that, only 'hf' can"
            )
    if merged["temperature"] == 0:
        for name in ("top_p", "top_k"):
            if name in overrides:
                raise ConfigError(
                    f"sampling.{name} has no effect without sampling.temperature: set it too, 0.8 say"
                )
    if merged["beams"] > 1:
        if merged["temperature"] > 0:
            raise ConfigError("sampling.beams and sampling.temperature exclude each other: drop one of them")
        if asked > merged["beams"]:
            raise ConfigError(
                f"sampling.samples = {asked} is more than sampling.beams = {merged['beams']}: a beam search"
                f" returns at most one sample a beam; set sampling.beams = {asked}"
            )
    elif asked > 1 and merged["temperature"] == 0 and config.backend.kind != "replay":
        raise ConfigError(
            f"sampling.samples = {asked} greedy samples would all be the same:"
            f" set sampling.temperature (0.8, say) or sampling.beams = {asked}"
        )
    return Sampling(**merged)


def check_ks(ks: Sequence[int], samples: int) -> None:
    """k above n has no unbiased estimate: say so before any work."""
    for k in ks:
        if k < 1:
            raise ConfigError(f"k = {k}: must be at least 1")
        if k > samples:
            raise ConfigError(
                f"k = {k} needs at least {k} samples a problem, and there are {samples}:"
                f" have at least {k} made (sampling.samples) or recorded, or leave that k out"
            )


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no config file {str(path)!r}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def apply_sets(plain: dict[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """Put `a.b=value` assignments into a nested dict. Values are TOML; a bare word is a string."""
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {item!r}: expected KEY=VALUE, for example sampling.samples=10")
        at = plain
        *parents, last = key.strip().split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
            if not isinstance(at, dict):
                raise ConfigError(f"--set {item!r}: {parent!r} is a value, not a table")
        at[last] = _toml_value(text.strip())
    return plain


def _toml_value(text: str) -> Any:
    try:
        value = tomllib.loads(f"x = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return value["x"] if len(value) == 1 else text  # a text of several lines may be several assignments


def parse(plain: Mapping[str, Any], where: str = "config") -> RunConfig:
    """A checked RunConfig; every complaint is one line that names the key and what would be right."""
    return checked(RunConfig, plain, where)


def checked(model: type[Config], plain: Mapping[str, Any], where: str) -> Config:
    """A value of `model` from what TOML holds; a complaint is one line that names the key and what would be right."""
    try:
        return model.model_validate_json(json.dumps(plain))
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"{where}: {complaint(error, model)}") from None


def complaint(error: ValidationError, model: type[Value]) -> str:
    """The first complaint as one line: the key, what was got, what would be right."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        return unknown("key", ".".join(path), [".".join([*path[:-1], name]) for name in known])
    if first["type"] == "value_error":
        at = f"{'.'.join(path)}: " if path else ""
        return at + first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return "a value is no valid Unicode text"
    if first["type"] == "missing":
        return f"key {'.'.join(path)!r} is missing"
    return f"{'.'.join(path)} = {first['input']!r}: {first['msg'].lower()}"


def _fields_at(model: type[Value], path: Sequence[str]) -> list[str]:
    for part in path:
        if part.isdigit():  # an item of a list, whose type was found with the list
            continue
        annotation = model.model_fields[part].annotation
        for inner in (annotation, *get_args(annotation)):
            if isinstance(inner, type) and issubclass(inner, Value):
                model = inner
    return list(model.model_fields)
