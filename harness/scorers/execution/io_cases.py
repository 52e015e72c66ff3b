"""Programs judged case by case: what they print for a standard input, or what a call returns (APPS).

Each case is a run of its own with its own CPU time. What was printed is compared here, what was returned in
the sandbox's tester, both on the trusted side and by the same functions (text/output_match.py). A sample passes
when every case does, and `avg_tests_passed` is the mean over problems of the mean over samples of the share
of cases passed. A fault in one case leaves the whole sample without a score.

As in the published scorers, programs find the imports of `PRELUDES` done: many references rely on them. Unlike
there, a program is run as one (`__name__` is `__main__`), and an exit status other than 0 is an error.
"""

import inspect
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

from harness.errors import ConfigError, SandboxFault, UserError
from harness.schema import (
    Answer,
    ExecResult,
    ExecStatus,
    IOCase,
    IOCases,
    Program,
    Reduce,
    Sandbox,
    Score,
    Scorer,
    UnitTests,
    Verdict,
)
from harness.scorers.execution import sealed_cases
from harness.text import output_match

Compare = Literal["apps", "strict", "livecodebench"]
TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "apps": output_match.similar_text,
    "strict": output_match.same_text,
    "livecodebench": output_match.same_lines,
}
VALUES: Mapping[str, Callable[[Any, Any], bool]] = {
    "apps": output_match.similar_value,
    "strict": output_match.same_value,
    "livecodebench": output_match.exact_value,
}

_APPS = "; ".join(
    [
        "import sys, time, itertools, collections, math, fractions, random, heapq",
        "from itertools import accumulate, product, permutations, combinations",
        "from collections import Counter, OrderedDict, deque, defaultdict, ChainMap",
        "from functools import lru_cache",
        "from math import sqrt, sin, cos, tan, ceil, fabs, floor, gcd, exp, log, log2",
        "from typing import Any, Callable, Dict, List, Optional, Set, Tuple, Union",
        "from heapq import *",
        "stdin, stdout = sys.stdin, sys.stdout",
    ]
)
_MODULES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io"
    " sys json"
)
_LIVECODEBENCH = "; ".join(
    [
        *(f"from {name} import *" for name in f"{_MODULES} builtins typing".split()),
        f"import {', '.join(_MODULES.split())}",
        "sys.setrecursionlimit(50000)",
    ]
)
PRELUDES: Mapping[str, str] = {"apps": _APPS, "strict": _APPS, "livecodebench": _LIVECODEBENCH}
_FUTURE = re.compile(r"^from __future__ import .*\n?", re.MULTILINE)
_ENTRY = "call_under_test"
_BATCH = 64  # samples whose cases take turns where judging stops early
_CALL = """

def {entry}(*arguments):
    space = globals()
    if hasattr(space.get("Solution"), {name!r}):
        return getattr(space["Solution"](), {name!r})(*arguments)
    if {name!r} not in space:
        raise NameError("the program defines no " + {name!r})
    return space[{name!r}](*arguments)
"""


# ---------------------------------------------------------------- programs


def program(code: str, check: IOCases, case: IOCase, compare: Compare) -> Program:
    """What to run for one case. Standard input: the output is compared later; a call: in the tester."""
    limits, fn_name = check.limits, check.fn_name
    if not fn_name:
        kilobytes = max(limits.output_kb, len(case.expected) // 256)
        limits = limits.model_copy(update={"output_kb": kilobytes})
        return Program(code=_prepared(code, compare), stdin=case.given, limits=limits)
    given, expected = case.given, case.expected
    if compare != "livecodebench":
        given, expected = _with_integer_keys(given, expected)
    test = (
        f"got = {_ENTRY}(*{python_literal(given)})\n"
        f"expected = {python_literal(expected)}\n"
        f"assert {VALUES[compare].__name__}(got, expected), "
        "'got ' + show(got) + ', expected ' + show(expected)\n"
    )
    return Program(
        code=_prepared(code, compare, fn_name) + _CALL.format(entry=_ENTRY, name=fn_name),
        limits=limits,
        tests=UnitTests(code=test, entry_point=_ENTRY, setup=_comparison()),
    )


def _with_integer_keys(given: Any, expected: Any) -> tuple[Any, Any]:
    if given:
        given = [restore_integer_keys(given[0]), *given[1:]]
    if isinstance(expected, list) and len(expected) == 1:
        expected = [restore_integer_keys(expected[0])]
    return given, restore_integer_keys(expected)


def _prepared(code: str, compare: Compare, asked: str = "") -> str:
    """The program below the imports that the published scorer puts above it, without the function that is `asked` for:
    a problem may ask for what a module of theirs has.
    """
    future = "".join(line.rstrip("\n") + "\n" for line in _FUTURE.findall(code))
    numpy = "import numpy as np; " if re.search(r"\bnp\b", code) else ""
    without = f"; globals().pop({asked!r}, None)" if asked else ""
    return f"{future}{numpy}{PRELUDES[compare]}{without}\n{_FUTURE.sub('', code) if future else code}"


@lru_cache(maxsize=1)
def _comparison() -> str:
    return inspect.getsource(output_match)


def restore_integer_keys(value: Any) -> Any:
    """A dict with the integer keys that JSON turned into strings, as the published scorer does."""
    if not isinstance(value, dict):
        return value
    try:
        return {int(key): item for key, item in value.items()}
    except ValueError:
        return value


def python_literal(value: Any) -> str:
    """A JSON value as Python source. Integers in hexadecimal once Python would refuse so many decimals."""
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value) if value.bit_length() > 10_000 else repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(python_literal, value)) + "]"
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{python_literal(key)}: {python_literal(item)}" for key, item in value.items())
            + "}"
        )
    return repr(value)


# ---------------------------------------------------------------- verdicts


@dataclass
class _Sample:
    """One answer whose cases are being run; `bad` is the first case that did not pass."""

    check: IOCases
    code: str
    done: int = 0
    passed: int = 0
    first_failure: tuple[ExecStatus, str] | None = None
    fault: str = ""
    in_process: bool = False
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0

    def record(self, result: ExecResult | SandboxFault, compare: Compare) -> None:
        """Count the result of the next case."""
        case = self.check.cases[self.done]
        self.done += 1
        if isinstance(result, SandboxFault):
            self.fault = self.fault or f"{self._case_label()}: {result}"
            return
        self.cpu_s += result.cpu_s
        self.wall_s += result.wall_s
        self.peak_mb = max(self.peak_mb, result.peak_mb)
        self.in_process = self.in_process or result.judge == "in_process"
        status, error = result.status, result.detail
        printed = status == "passed" and not self.check.fn_name
        if printed and not TEXTS[compare](result.stdout, case.expected):
            got, expected = output_match.show(result.stdout), output_match.show(case.expected)
            status, error = "failed", f"got {got}, expected {expected}"
        if status == "passed":
            self.passed += 1
        elif self.first_failure is None:
            self.first_failure = status, f"{self._case_label()}: {' '.join(error.split())}"

    def _case_label(self) -> str:
        return f"case {self.done} of {len(self.check.cases)}"

    @property
    def is_undecided(self) -> bool:
        """Whether another case could still change whether the sample passes."""
        return self.done < len(self.check.cases) and not self.first_failure and not self.fault

    def verdict(self) -> Verdict:
        cost = {"cpu_s": self.cpu_s, "wall_s": self.wall_s, "peak_mb": self.peak_mb}
        if self.fault:
            return Verdict(status="fault", score=None, error=self.fault, **cost)
        total = len(self.check.cases)
        score = Score(
            value=float(self.passed == total),
            stats=(self.passed / total,),
            note="in_process" if self.in_process else "",
        )
        status, error = self.first_failure or ("passed", "")
        return Verdict(status=status, score=score, error=error, **cost)


def _sample(answer: Answer) -> _Sample:
    problem, code = answer
    if not isinstance(problem.check, IOCases):
        raise UserError(f"io_cases cannot judge {problem.id}: its check is {problem.check.kind!r}")
    if problem.check.sealed:
        raise UserError(f"io_cases opens the sealed cases of {problem.id} only where judging stops early")
    return _Sample(problem.check, code)


def _opened(answers: Sequence[Answer], sandbox: Sandbox) -> list[_Sample]:
    """The samples, those of packed cases with the cases."""
    found = sealed_cases.open_all((problem for problem, _ in answers), sandbox)
    samples = []
    for problem, code in answers:
        if not isinstance(problem.check, IOCases) or not problem.check.sealed:
            samples.append(_sample((problem, code)))
        elif isinstance(check := found[problem.id], str):
            samples.append(_Sample(problem.check, code, fault=check))
        else:
            samples.append(_Sample(check, code))
    return samples


def _all_cases(answers: Iterable[Answer], sandbox: Sandbox, compare: Compare) -> Iterator[Verdict]:
    """All cases of all samples go through one `map`, in order; a sample's verdict follows its last case."""
    running: deque[_Sample] = deque()  # the sample of each program that was drawn and has no result yet

    def programs() -> Iterator[Program]:
        for sample in map(_sample, answers):
            for case in sample.check.cases:
                running.append(sample)
                yield program(sample.code, sample.check, case, compare)

    for result in sandbox.map(programs()):
        sample = running.popleft()
        sample.record(result, compare)
        if sample.done == len(sample.check.cases):
            yield sample.verdict()


def _until_first_failure(answers: Iterable[Answer], sandbox: Sandbox, compare: Compare) -> Iterator[Verdict]:
    """The next case of each of some samples that still need one, again and again.

    A sandbox draws programs ahead: with a sample's cases in a row it would run what need not be run. Packed cases are
    opened here.
    """
    rest = iter(answers)
    while samples := _opened(list(islice(rest, _BATCH)), sandbox):
        while open_ones := [sample for sample in samples if sample.is_undecided]:
            programs = (program(s.code, s.check, s.check.cases[s.done], compare) for s in list(open_ones))
            for sample, result in zip(open_ones, sandbox.map(programs), strict=True):
                sample.record(result, compare)
        yield from (sample.verdict() for sample in samples)


def _metrics(ks: Sequence[int], stop_early: bool) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of, pass_at

    metrics = {f"pass@{k}": pass_at(k) for k in ks}
    return metrics if stop_early else {**metrics, "avg_tests_passed": mean_of(1)}


def io_cases_with(compare: Compare = "apps", stop_early: bool = False) -> Scorer:
    """`compare` chooses the rules of text/output_match.py. `stop_early` runs no case after the first that does not
    pass, and gives up `avg_tests_passed` for it. Raises ConfigError for other rules."""
    if compare not in TEXTS:
        raise ConfigError(f"io_cases: compare {compare!r}: expected {' or '.join(map(repr, TEXTS))}")

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        if sandbox is None:
            raise UserError("io_cases runs code and needs a sandbox")
        yield from (_until_first_failure if stop_early else _all_cases)(answers, sandbox, compare)

    return Scorer(
        name="io_cases",
        score=score,
        metrics=lambda ks: _metrics(ks, stop_early),
        executes=True,
        cacheable=True,
        signature=lambda problems: f"io_cases {compare}",
    )


io_cases = io_cases_with()
