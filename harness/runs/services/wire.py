"""What a run and a judge service say to each other: programs and queries out, results back, as plain JSON.

Never pickles: a service reads what anybody with the token sends. Texts that are no valid Unicode cross too, escaped,
which is why Python's json is used. Tests that several programs of a batch share are sent once. A database is named by
its digest: the service has files of its own.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from harness import __version__, sandbox
from harness.errors import SandboxFault, UserError
from harness.sandbox.verdict_cache import source_digest
from harness.schema import DatabaseFile, ExecResult, Pair, PairResult, Program, UnitTests, Value

SANDBOX, PROGRAMS, QUERIES = "/v1/sandbox", "/v1/programs", "/v1/queries"
Known = TypeVar("Known", bound=Value)
LINES = "application/x-ndjson"
HEARTBEAT_S = 2.0  # an empty line is sent when nothing else was for so long


class SandboxSettings(Value):
    """The part of sandbox.Settings that a verdict depends on and that the asker decides."""

    isolation: Literal["auto", "namespaces", "landlock", "process"] = "auto"
    time_limit: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)
    memory_mb: int | None = Field(default=None, ge=16, le=1 << 15)
    packages: tuple[str, ...] | None = ()
    preload: tuple[str, ...] = ()
    queries: bool = False
    process: Literal["fork", "restore"] = "fork"


def version() -> str:
    """Of the judge: who asks and who answers must agree on it."""
    return f"{__version__} {source_digest()}"


def encode_settings(used: sandbox.Settings) -> Mapping[str, Any]:
    known = {each.name: getattr(used, each.name) for each in fields(used)}
    return SandboxSettings(**{name: known[name] for name in SandboxSettings.model_fields}).model_dump(
        mode="json"
    )


def decode_settings(plain: Any) -> sandbox.Settings:
    """Raises UserError."""
    return sandbox.Settings(**dict(_value(SandboxSettings, plain, "settings")))


# ---------------------------------------------------------------- batches


def encode_programs(programs: Sequence[Program]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    shared: list[UnitTests] = []
    for program in programs:
        row = program.model_dump(mode="json", exclude={"tests"})
        if program.tests is not None:
            if not shared or shared[-1] != program.tests:  # a problem's samples follow each other
                shared.append(program.tests)
            row["tests"] = len(shared) - 1
        rows.append(row)
    return {"tests": [each.model_dump(mode="json") for each in shared], "programs": rows}


def decode_programs(plain: Mapping[str, Any]) -> list[Program]:
    """Raises UserError."""
    shared = [_value(UnitTests, each, f"tests {i}") for i, each in enumerate(_list(plain, "tests"))]
    found = []
    for i, row in enumerate(_list(plain, "programs")):
        if not isinstance(row, dict):
            raise UserError(f"programs {i}: expected an object")
        number = row.get("tests")
        if number is not None and not (type(number) is int and 0 <= number < len(shared)):
            raise UserError(f"programs {i}: tests = {number!r}: expected a place in the {len(shared)} tests")
        tests = None if number is None else shared[number]
        found.append(_value(Program, {**row, "tests": tests}, f"programs {i}"))
    return found


def encode_queries(pairs: Sequence[Pair]) -> dict[str, Any]:
    return {
        "pairs": [
            {
                **pair.model_dump(mode="json", exclude={"folders", "files"}),
                "databases": [file.sha256 for file in pair.files],
            }
            for pair in pairs
        ]
    }


def decode_queries(
    plain: Mapping[str, Any],
    find: Callable[[str], DatabaseFile],
    folders: Callable[[Sequence[DatabaseFile]], Any],
) -> list[Pair]:
    """`find`: the file with a digest; `folders`: those that the sandbox has to see for files. Raises UserError."""
    found = []
    for i, row in enumerate(_list(plain, "pairs")):
        if not isinstance(row, dict) or not isinstance(row.get("databases"), list):
            raise UserError(f"pairs {i}: expected an object with the digests of its databases")
        files = tuple(find(str(digest)) for digest in row["databases"])
        rest = {name: value for name, value in row.items() if name != "databases"}
        found.append(_value(Pair, {**rest, "files": files, "folders": folders(files)}, f"pairs {i}"))
    return found


# ---------------------------------------------------------------- results


def result_fields(number: int, result: ExecResult | PairResult | SandboxFault) -> Mapping[str, Any]:
    """What a line of the answer has for the item of this number."""
    if isinstance(result, SandboxFault):
        return {"number": number, "fault": str(result)}
    return {"number": number, "result": result.model_dump(mode="json")}


def decode_result(kind: str, plain: Mapping[str, Any]) -> ExecResult | PairResult | SandboxFault:
    if "fault" in plain:
        return SandboxFault(str(plain["fault"]))
    model: type[ExecResult] | type[PairResult] = ExecResult if kind == "programs" else PairResult
    return _value(model, plain["result"], "result")


def line(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _list(plain: Mapping[str, Any], name: str) -> list[Any]:
    found = plain.get(name, [])
    if not isinstance(found, list):
        raise UserError(f"{name}: expected a list")
    return found


def _value(model: type[Known], plain: Any, where: str) -> Known:
    try:
        return model.model_validate(plain, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise UserError(f"{where}: {at}: {first['msg'].lower()}") from None
