"""Runs a task's tests against a proxy of the candidate's function, and says whose fault an exception is.

AssertionError of the test               failed   the candidate's answer is wrong
any exception that the candidate raised  error    even an AssertionError: it is the program that broke
another exception of the test            error    after the first answer: the test could not use it
                                         fault    before: the task is broken; the answer is not judged
"""

import builtins
import symtable
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harness.sandbox.python.candidate import (
    Candidate,
    CandidateEnded,
    NeedsInProcess,
    SpeculationMissed,
    Termination,
)


class BadTests(Exception):
    """The task's own tests or set-up cannot be run. Never the model's fault, so never a zero."""


@dataclass
class Prepared:
    """Compiled tests. `beside`: they need more of the candidate than calls with plain data; found out at
    most once. `script`: the questions they asked the last candidate that passed, None until there was one.
    `steady`: they have always asked the same.
    """

    setup: types.CodeType
    tests: types.CodeType
    source: tuple[str, ...]
    entry: str
    beside: bool
    script: tuple[bytes, ...] | None = None
    steady: bool = True

    def remember(self, candidate: Candidate) -> None:
        """Note what a candidate that passed was asked, so that the next can be asked it all at once."""
        short = len(candidate.asked) <= _SCRIPT_CALLS and sum(map(len, candidate.asked)) <= _SCRIPT_BYTES
        # Answers without a plain form are asked about again, and by numbers of that one candidate's own.
        if self.script is None and self.steady and short and not candidate.opaque:
            self.script = tuple(candidate.asked)

    def forget(self) -> None:
        """The questions depend on the answers, or on chance."""
        self.script, self.steady = None, False


# Of the questions kept for the next candidate; less than a socket holds.
_SCRIPT_CALLS, _SCRIPT_BYTES = 256, 1 << 15

# Test code that watches what a program prints, or replaces parts of its world, has to share that world.
_SHARED_WORLD = {"redirect_stdout", "redirect_stderr", "mock", "patch", "monkeypatch", "capsys"}


@lru_cache(maxsize=1024)
def prepare(setup: str, code: str, entry: str) -> Prepared:
    """Compile tests and look at what they need. The same tests come again for every sample, hence the
    cache.
    """
    compiled = []
    for name, text in (("setup", setup), ("tests", code)):
        try:
            compiled.append(compile(text, f"{name}.py", "exec", dont_inherit=True))
        except (SyntaxError, ValueError, RecursionError) as error:
            raise BadTests(f"the task's {name} do not compile: {type(error).__name__}: {error}") from None
    space = _run_setup(compiled[0])
    known = {*space, *vars(builtins), entry, "__file__"}
    needs = _free_names(code) - known
    beside = bool(needs) or _is_special(space.get(entry)) or bool(_names(compiled[1]) & _SHARED_WORLD)
    return Prepared(compiled[0], compiled[1], tuple(code.split("\n")), entry, beside)


def _run_setup(setup: types.CodeType) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(setup, space)
    except Exception as error:  # noqa: BLE001 - whatever a task's own set-up raises makes the task unusable
        raise BadTests(f"the task's setup fails: {type(error).__name__}: {error}") from None
    return space


def _is_special(stub: object) -> bool:
    """Whether the task itself announces a class or a coroutine, of which more is wanted than calls."""
    return isinstance(stub, type) or (
        isinstance(stub, types.FunctionType) and bool(stub.__code__.co_flags & 0x80)
    )


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _free_names(code: str) -> set[str]:
    """Names that the tests use and nobody but the candidate could define."""
    top = symtable.symtable(code, "tests.py", "exec")
    bound = {
        symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    used = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table is top)
    }
    bound |= {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_declared_global() and symbol.is_assigned()
    }
    return set() if "import *" in code else used - bound


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def run(prepared: Prepared, candidate: Candidate) -> Termination:
    """Run the tests against the candidate. Raises TaskFault, Stuck when an argument cannot cross, Astray."""
    space = _run_setup(prepared.setup)

    def proxy(*args: Any, **kwargs: Any) -> Any:
        return candidate.call(args, kwargs)

    proxy.__name__ = proxy.__qualname__ = prepared.entry
    space[prepared.entry] = proxy
    try:
        exec(prepared.tests, space)
    except CandidateEnded:
        return candidate.ending or Termination("error", "")
    except Exception as error:  # noqa: BLE001 - a verdict or a fault, told apart below
        if not candidate.stuck and not candidate.astray:
            return candidate.ending or _blame(error, prepared, candidate)
    except SystemExit:
        raise BadTests("the tests exit instead of ending") from None
    if candidate.stuck:
        raise NeedsInProcess
    if candidate.astray:
        raise SpeculationMissed
    if candidate.ending:
        return candidate.ending
    if not candidate.calls:
        raise BadTests(f"the tests never call {prepared.entry!r}")
    prepared.remember(candidate)
    return Termination("passed", "")


def _blame(error: Exception, prepared: Prepared, candidate: Candidate) -> Termination:
    if error is candidate.raised:
        return Termination("memory" if isinstance(error, MemoryError) else "error", candidate.raised_text)
    if not candidate.calls and not isinstance(error, AssertionError):
        raise BadTests(f"the tests fail before they call anything: {type(error).__name__}: {error}") from None
    line = _line(error, prepared.source)
    if isinstance(error, AssertionError):
        text = f"AssertionError: {error}" if str(error) else "AssertionError"
        return Termination("failed", f"{text}{line}")
    return Termination("error", f"{type(error).__name__}: {error}{line} (in the tests)")


def _line(error: Exception, source: tuple[str, ...]) -> str:
    """The test's own line that failed, for people."""
    number = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            number = trace.tb_lineno
        trace = trace.tb_next
    return f" at line {number}: {source[number - 1].strip()[:200]}" if 0 < number <= len(source) else ""
