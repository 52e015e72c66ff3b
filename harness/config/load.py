"""From TOML and `--set` to a checked value: every complaint is one line that names the key and what would be right.

Unknown keys are errors that name the nearest known key.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.errors import ConfigError, shown, unknown
from harness.files import packaged
from harness.schema import Value

if TYPE_CHECKING:
    from harness.config.run import RunConfig

RECIPES = "tasks/recipes"
COMPLETIONS = "completions.sqlite"  # the completion cache, in HARNESS_CACHE; the verdict cache lies beside it
Config = TypeVar("Config", bound=Value)


def read_toml(path: Path) -> dict[str, Any]:
    """A config file's content, or that of a recipe of the project by its name: rq1. Raises ConfigError."""
    recipes = {recipe.stem: recipe for recipe in packaged(RECIPES).glob("*.toml")}
    file = path if path.exists() else recipes.get(str(path), path)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path.suffix:
            raise ConfigError(f"no config file {str(path)!r}") from None
        raise ConfigError(unknown("config file or recipe", str(path), recipes)) from None
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
        at: Any = plain
        *parents, last = key.strip().split(".")
        for parent in parents:
            at = _step(at, parent, item)
            if not isinstance(at, dict | list):
                raise ConfigError(f"--set {item!r}: {parent!r} is a value, not a table")
        if isinstance(at, list):
            _step(at, last, item)  # there has to be such an element
            at[int(last)] = _toml_value(text.strip())
        else:
            at[last] = _toml_value(text.strip())
    return plain


def _step(at: dict[str, Any] | list[Any], part: str, item: str) -> Any:
    """What a key's part leads to: a table, made where there is none, or an element of a list, by its number."""
    if isinstance(at, dict):
        return at.setdefault(part, {})
    if not part.isdigit() or int(part) >= len(at):
        raise ConfigError(f"--set {item!r}: {part!r} is no place in a list of {len(at)}; the first is 0")
    return at[int(part)]


def _toml_value(text: str) -> Any:
    try:
        value = tomllib.loads(f"x = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if len(value) > 1 or isinstance(value["x"], date | time):
        return text  # a text of several lines may be several assignments; no key is a day or a time
    return value["x"]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where what runs reuse is kept on this machine: completions, and index files of retrieval."""
    return Path(environment.get("HARNESS_CACHE") or "~/.cache/codelm-harness").expanduser()


def with_defaults(
    plain: dict[str, Any], environment: Mapping[str, str], completion_cache: bool = True
) -> dict[str, Any]:
    """This machine's folders where the config names none: HARNESS_DATA, and HARNESS_CACHE for what runs reuse.

    `completion_cache=False`, or HARNESS_NO_CACHE=1, is no cache, whatever the config says.
    """
    completion_cache = completion_cache and environment.get("HARNESS_NO_CACHE", "") in ("", "0")
    folder = cache_folder(environment)
    if environment.get("HARNESS_CACHE"):
        retrieval = plain.setdefault("retrieval", {})
        if isinstance(retrieval, dict):
            retrieval.setdefault("cache", str(folder))
    if data := environment.get("HARNESS_DATA"):
        plain.setdefault("data", data)
    plain["cache"] = plain.get("cache", str(folder / COMPLETIONS)) if completion_cache else ""
    return plain


# Words of other tools -> the key's own.
OTHER_WORDS = {
    "n": "samples",
    "num_samples": "samples",
    "n_samples": "samples",
    "num_return_sequences": "samples",
    "max_new_tokens": "max_tokens",
    "max_gen_toks": "max_tokens",
    "num_beams": "beams",
    "until": "stop",
    "num_fewshot": "shots",
}


def parse(plain: Mapping[str, Any], where: str = "config") -> "RunConfig":
    """A checked RunConfig; every complaint is one line that names the key and what would be right."""
    from harness.config.run import RunConfig  # a list of tasks and suites needs none

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
    """All keys that there are not, or the first other complaint, as one line: the key, what was got, what would be
    right."""
    extra = [_path(each) for each in error.errors() if each["type"] == "extra_forbidden"]
    if extra:
        return "; ".join(_unknown_key(path, model, listed=len(extra) == 1) for path in extra)
    first = error.errors()[0]
    path = _path(first)
    if first["type"] == "value_error":
        at = f"{'.'.join(path)}: " if path else ""
        return at + first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return "a value is no valid Unicode text"
    if first["type"] == "missing":
        return f"key {'.'.join(path)!r} is missing"
    return f"{'.'.join(path)} = {first['input']!r}: {first['msg'].lower()}"


def _path(error: ErrorDetails) -> list[str]:
    from harness.config.run import AS_TABLE, BY_NAME

    return [str(part) for part in error["loc"] if part not in (BY_NAME, AS_TABLE)]


def _unknown_key(path: Sequence[str], model: type[Value], listed: bool) -> str:
    """A key that there is not, the one that was meant (there, or elsewhere in the config), and those there are."""
    names, key, last = _fields_at(model, path[:-1]), ".".join(path), path[-1]
    there = {name: ".".join([*path[:-1], name]) for name in names}
    elsewhere = {each.rpartition(".")[2]: each for each in _all_keys(model)}
    meant = (
        _nearest(last, there, 0.75)
        or _nearest(last, elsewhere, 0.75)
        or elsewhere.get(OTHER_WORDS.get(last, ""), "")
        or _nearest(last, there, 0.5)
    )
    hint = f" Did you mean {meant!r}?" if meant else ""
    return f"no key {key!r}.{hint}" + (f" Known: {shown(there.values())}." if listed else "")


def _nearest(name: str, keys: Mapping[str, str], cutoff: float) -> str:
    return "".join(keys[near] for near in get_close_matches(name, keys, n=1, cutoff=cutoff))


def _all_keys(model: type[Value], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{above}{name}"
        for inner in _types(field.annotation):
            if issubclass(inner, Value):
                yield from _all_keys(inner, f"{above}{name}.")


def _fields_at(model: type[Value], path: Sequence[str]) -> list[str]:
    for part in path:
        if part.isdigit():  # an item of a list, whose type was found with the list
            continue
        for inner in _types(model.model_fields[part].annotation):
            if issubclass(inner, Value):
                model = inner
    return list(model.model_fields)


def _types(annotation: Any) -> Iterator[type]:
    """The classes in an annotation, however they are nested in unions and Annotated."""
    if isinstance(annotation, type):
        yield annotation
    for inner in get_args(annotation):
        yield from _types(inner)
