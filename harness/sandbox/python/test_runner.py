"""Runs a task's tests against a proxy of the candidate's function, and decides whose fault an exception is.

AssertionError of the test               failed   the candidate returned something wrong
any exception that the candidate raised  error    even an AssertionError: the program itself broke
another exception of the test            error    after the first call: the test could not use what was returned
                                         fault    before it: the task is broken, and nothing is judged

Tests that set `cpu_s` of the function give its next calls that many seconds of CPU time each.
"""

import types
from collections import OrderedDict
from functools import cached_property
from typing import Any

from harness.sandbox.python import budget, many_calls, needs, spelled_inputs
from harness.sandbox.python.candidate import Candidate
from harness.sandbox.python.termination import (
    CandidateEnded,
    NeedsInProcess,
    SpeculationMissed,
    Termination,
)

_TEXT = 800  # characters of a message, so that the line after it is seen


class BadTests(Exception):
    """The task's own tests or set-up cannot be run. Never the model's fault, so never a zero."""


class CompiledTests:
    """`in_process`: they need more of the candidate than calls with plain data; found out at most once.
    `recorded_requests`: what they asked the last candidate that passed, None until there was one. `deterministic`: they
    have always asked the same. `inputs`: of their loop over `differing`, where they spell them out.
    """

    def __init__(
        self,
        texts: tuple[str, str],
        codes: tuple[types.CodeType, types.CodeType],
        entry: str,
        in_process: bool,
        inputs: spelled_inputs.SpelledInputs | None = None,
    ) -> None:
        self.texts = texts
        self.setup, self.tests = codes
        self.entry = entry
        self.in_process = in_process
        self.inputs = inputs
        self.recorded_requests: tuple[bytes, ...] | None = None
        self.deterministic = True

    @cached_property
    def source(self) -> tuple[str, ...]:
        return tuple(self.texts[1].split("\n"))

    @cached_property
    def digest(self) -> bytes:
        return spelled_inputs.digest_of(*self.texts)

    def record(self, candidate: Candidate) -> None:
        """Keep the requests made of a candidate that passed, to send them to the next one all at once."""
        small = (
            len(candidate.requests) <= _MAX_REQUESTS
            and sum(map(len, candidate.requests)) <= _MAX_REQUEST_BYTES
        )
        # Later requests about opaque values name them by numbers that hold for that one candidate only.
        plain = candidate.calls == len(candidate.requests) and not candidate.saw_opaque
        if self.recorded_requests is None and self.deterministic and small and plain:
            self.recorded_requests = tuple(candidate.requests)

    def stop_speculating(self) -> None:
        """The requests depend on the replies, or on chance."""
        self.recorded_requests, self.deterministic = None, False


# Limits of what is recorded; less than a socket buffer holds.
_MAX_REQUESTS, _MAX_REQUEST_BYTES = 256, 1 << 15


# The same tests come for every sample; compiled, a text of a million inputs takes ten times its size.
_compiled: OrderedDict[tuple[str, str, str, bool], CompiledTests] = OrderedDict()
_MAX_COMPILED, _MAX_COMPILED_CHARACTERS = 1024, 2_000_000


def compile_tests(setup: str, code: str, entry: str, in_module: bool) -> CompiledTests:
    """Compile tests and find out what they need, or take what was found out for the last samples."""
    key = (setup, code, entry, in_module)
    if key not in _compiled:
        _compiled[key] = _compile_tests(*key)
        while len(_compiled) > 1 and (
            len(_compiled) > _MAX_COMPILED
            or sum(len(code) for _, code, _, _ in _compiled) > _MAX_COMPILED_CHARACTERS
        ):
            _compiled.popitem(last=False)
    _compiled.move_to_end(key)
    return _compiled[key]


def _compile_tests(setup: str, code: str, entry: str, in_module: bool) -> CompiledTests:
    setup_code = _compile("setup", setup)
    namespace = None if in_module else _run_setup(setup_code)
    lifted = None if namespace is None else _lifted(setup, code, namespace)
    shown, inputs = lifted or (code, None)
    tests_code = _compile("tests", shown)
    if namespace is not None and inputs is not None:
        namespace[spelled_inputs.NAME] = inputs
    in_process = namespace is None or needs.beside(shown, entry, namespace)
    return CompiledTests((setup, code), (setup_code, tests_code), entry, in_process, inputs)


def _lifted(
    setup: str, code: str, namespace: dict[str, Any]
) -> tuple[str, spelled_inputs.SpelledInputs] | None:
    if not spelled_inputs.may_spell_out(setup, code):
        return None
    # Right values are kept of inputs that were seen to be plain data.
    return spelled_inputs.lift(code, namespace, many_calls.knows(spelled_inputs.digest_of(setup, code)))


def _compile(name: str, text: str) -> types.CodeType:
    try:
        return compile(text, f"{name}.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        what = "setup does" if name == "setup" else "tests do"
        raise BadTests(f"the task's {what} not compile: {type(error).__name__}: {error}") from None


def _run_setup(setup: types.CodeType) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(setup, namespace)
    except Exception as error:  # noqa: BLE001 - whatever a task's own set-up raises makes the task unusable
        raise BadTests(f"the task's setup fails: {type(error).__name__}: {error}") from None
    return namespace


def run(compiled: CompiledTests, candidate: Candidate) -> Termination:
    """Run the tests against the candidate. Raises BadTests, SpeculationMissed, and NeedsInProcess when an argument
    cannot be serialised.
    """
    namespace = _run_setup(compiled.setup)

    def proxy(*args: Any, **kwargs: Any) -> Any:
        return candidate.call(args, kwargs, getattr(proxy, "cpu_s", None))

    proxy.__name__ = proxy.__qualname__ = compiled.entry
    namespace[compiled.entry] = proxy
    if compiled.inputs is not None:
        namespace[spelled_inputs.NAME] = compiled.inputs
    if "differing" in namespace:
        namespace["differing"] = lambda _, answered, inputs: many_calls.differing(
            candidate, compiled.digest, answered, inputs
        )
    try:
        exec(compiled.tests, namespace)
    except CandidateEnded:
        return candidate.termination or Termination("error", "")
    except Exception as error:  # noqa: BLE001 - a verdict or a fault, told apart below
        if not candidate.needs_in_process and not candidate.speculation_missed:
            return candidate.termination or _attribute(error, compiled, candidate)
    except SystemExit:
        raise BadTests("the tests exit instead of ending") from None
    if candidate.needs_in_process:
        raise NeedsInProcess
    if candidate.speculation_missed:
        raise SpeculationMissed
    if candidate.termination:
        return candidate.termination
    if not candidate.calls:
        raise BadTests(f"the tests never call {compiled.entry!r}")
    compiled.record(candidate)
    return Termination("passed", "")


def _attribute(error: Exception, compiled: CompiledTests, candidate: Candidate) -> Termination:
    if error is candidate.raised:
        return Termination("memory" if isinstance(error, MemoryError) else "error", candidate.raised_text)
    if not candidate.calls and not isinstance(error, AssertionError):
        raise BadTests(f"the tests fail before they call anything: {type(error).__name__}: {error}") from None
    if isinstance(error, MemoryError):
        return Termination("error", budget.TOO_LARGE)
    line, text = _line(error, compiled.source), _text(error)
    if isinstance(error, AssertionError):
        return Termination("failed", f"AssertionError: {text}{line}" if text else f"AssertionError{line}")
    return Termination("error", f"{type(error).__name__}: {text}{line} (in the tests)")


def _text(error: Exception) -> str:
    """What the exception says, often of a value that the program returned: too many digits cannot be written."""
    try:
        return str(error)[:_TEXT]
    except Exception as problem:  # noqa: BLE001 - of whatever the test put into its message
        return f"(a message that cannot be written: {type(problem).__name__})"


def _line(error: Exception, source: tuple[str, ...]) -> str:
    """The line of the tests that failed, for the message."""
    number = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            number = trace.tb_lineno
        trace = trace.tb_next
    return f" at line {number}: {source[number - 1].strip()[:200]}" if 0 < number <= len(source) else ""
