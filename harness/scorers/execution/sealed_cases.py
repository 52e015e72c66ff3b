"""Test cases that are published packed: LiveCodeBench's private tests, base64 of zlib of a pickle of a JSON text.

Opening a pickle may run anything, so it is done by a program in the sandbox, which prints the JSON text in it; that is
read here. What cannot be opened is a fault, and no answer is held to it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import SandboxFault
from harness.schema import ExecResult, IOCase, IOCases, Limits, Problem, Program, Sandbox

OPENER = """\
import base64, json, pickle, sys, zlib
print(json.dumps(json.loads(pickle.loads(zlib.decompress(base64.b64decode(sys.stdin.read()))))))
"""
LIMITS = Limits(cpu_s=120.0, wall_s=300.0, memory_mb=8192, output_kb=1 << 20)


def cases_of(rows: Any, fn_name: str) -> tuple[IOCase, ...]:
    """LiveCodeBench's tests: texts for standard input, or lines of JSON, an argument each. Raises ValueError."""
    if not isinstance(rows, list):
        raise ValueError(f"expected a list of tests, got {type(rows).__name__}")
    cases = []
    for number, row in enumerate(rows):
        given, expected = (row.get(key) if isinstance(row, dict) else None for key in ("input", "output"))
        if not isinstance(given, str) or not isinstance(expected, str):
            raise ValueError(f"test {number}: expected the texts 'input' and 'output'")
        if fn_name:
            cases.append(
                IOCase(given=[json.loads(line) for line in given.split("\n")], expected=json.loads(expected))
            )
        else:
            cases.append(IOCase(given=given, expected=expected))
    return tuple(cases)


def open_all(problems: Iterable[Problem], sandbox: Sandbox) -> Mapping[str, IOCases | str]:
    """By the id of each problem with packed cases its check with all cases, or why they cannot be had."""
    checks = {each.id: each.check for each in problems if isinstance(each.check, IOCases)}
    sealed = {name: check for name, check in checks.items() if check.sealed}
    programs = (Program(code=OPENER, stdin=check.sealed, limits=LIMITS) for check in sealed.values())
    results: Sequence[ExecResult | SandboxFault] = list(sandbox.map(programs)) if sealed else []
    opened = zip(sealed.items(), results, strict=True)
    return {name: _with_cases(check, result) for (name, check), result in opened}


def _with_cases(check: IOCases, result: ExecResult | SandboxFault) -> IOCases | str:
    if isinstance(result, SandboxFault):
        return f"its private tests cannot be opened: {result}"
    if result.status != "passed":
        return f"its private tests cannot be opened: {result.status}: {result.detail}"
    try:
        cases = cases_of(json.loads(result.stdout), check.fn_name)
    except ValueError as error:
        return f"its private tests cannot be read: {error}"
    return check.model_copy(update={"cases": (*check.cases, *cases), "sealed": ""})
