"""Snippets that go into a context, judged by running it on test cases: DS-1000 (Lai et al., 2023). pass@k.

A row's own tests run on the trusted side. Where they would execute the filled-in context themselves, its text
and the case's input cross to the confined program, and what it leaves in the names that the tests look at
crosses back (harness/sandbox/values/arrays.py). The expected value is made on the trusted side and never crosses.
Rows whose values have no such form (figures, models, tensors) are judged in the program's process; the
row's own reference decides that, never an answer, and the score says `in_process`.

Two things are done before an answer is looked at, a program each:

    pickles     the benchmark's recorded answers, where it has such, are opened by a program of their own
                in the sandbox, which has never seen an answer, and are passed on as the codec's bytes
    reference   the row's own reference has to pass here, from outside or else in the program's process. Where
                it does not, the environment is at fault (other library versions than the benchmark's) and the
                row's answers have no score
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice

from harness.errors import SandboxFault, UserError
from harness.schema import (
    Answer,
    ExecResult,
    Limits,
    Problem,
    Program,
    Sandbox,
    Scorer,
    Snippet,
    UnitTests,
    Verdict,
)
from harness.scorers.execution.unit_tests import metrics, verdict

# Answers taken in together: their pickles and references go through the sandbox before they do.
_CHUNK = 128
_UNPICKLING_LIMITS = Limits(cpu_s=30.0, wall_s=120.0, memory_mb=4096, output_kb=64 << 10)

# The confined program: it runs the text it is handed and gives back some of the names that are left.
_RUNNER = """
def _run_answer(code, env, wanted, given=(), argv=()):
    import os, sys
    for name, data in given:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as file:
            file.write(data)
    sys.argv = ["program.py", *argv]
    exec(compile(code, "answer.py", "exec"), env)
    return {name: env[name] for name in wanted if name in env}
def _run_tests_here():
    pass
"""

# Put before and after a row's tests, on the trusted side.
_BEFORE = """
def exec(code, env):
    env.update(_run_answer(code, env, {wanted!r}))
"""
_AFTER = """
test_execution({answer!r})
"""
_RULE = """
{rule}({answer!r})
"""
# What a row's own rule on the answer's text is called: the benchmark's name, and that of its first form.
_RULES = {"test_string": _RULE, "stringTest": "\nassert {rule}({answer!r})\n"}
# As far as tests use it, the module that Python 3.10 dropped: the text's tokens as leaves.
_PARSER = """
import io, sys, tokenize, types
_parser = types.ModuleType("parser")
_parser.suite = lambda text: [[t.type, t.string] for t in tokenize.generate_tokens(io.StringIO(text).readline)]
_parser.st2list = lambda leaves: leaves
sys.modules["parser"] = _parser
"""
# The same for recorded cases: inputs are pickles that the program opens, answers come opened.
_RECORDED = """
import base64
from harness.sandbox.values import arrays, codec
def test_execution(solution):
    for number, (given, answer) in enumerate(zip({inputs!r}, {answers!r}, strict=True), 1):
        files = [(f"input/input{{number}}.pkl", base64.b64decode(given)), ("result/made", b"")]
        code = {context!r}.replace("[insert]", solution)
        left = _run_answer(code, {{}}, {wanted!r}, files, ["--test_case", str(number)])
        assert test(eval({dumped!r}, left), codec.decode(base64.b64decode(answer), build=arrays.build))
"""
_UNPICKLER = """
import base64, json, pickle, sys
from harness.sandbox.values import arrays, codec
opened = []
for text in json.load(sys.stdin):
    value = pickle.loads(base64.b64decode(text))
    opened.append(base64.b64encode(codec.encode(value, describe=arrays.describe)).decode())
print(json.dumps(opened))
"""


def _check(problem: Problem) -> Snippet:
    if not isinstance(problem.check, Snippet):
        raise UserError(f"snippets cannot judge {problem.id}: its check is {problem.check.kind!r}")
    return problem.check


def _unpickling_program(check: Snippet) -> Program:
    """Opens the recorded answers; the codec's own sources are its files."""
    values = files("harness.sandbox.values")
    sources = {
        f"harness/sandbox/values/{name}.py": values.joinpath(f"{name}.py").read_text(encoding="utf-8")
        for name in ("nans", "codec", "datetimes", "dataframes", "standard_types", "arrays")
    }
    packages = {
        "harness/__init__.py": "",
        "harness/sandbox/__init__.py": "",
        "harness/sandbox/values/__init__.py": "",
    }
    return Program(
        code=_UNPICKLER,
        files=packages | sources,
        stdin=json.dumps(list(check.answers)),
        limits=_UNPICKLING_LIMITS,
    )


def _unpickled(result: ExecResult | SandboxFault, check: Snippet) -> "_Ready":
    if isinstance(result, SandboxFault):
        return _Ready(fault=str(result))
    if result.status != "passed":
        return _Ready(fault=f"its recorded answers cannot be opened here ({result.detail}): {_ENVIRONMENT}")
    try:
        texts = json.loads(result.stdout)
    except ValueError:
        texts = None
    if not isinstance(texts, list) or len(texts) != len(check.answers):
        return _Ready(fault="opening its recorded answers printed something else")
    return _Ready(tuple(map(str, texts)))


_ENVIRONMENT = (
    "it wants other versions of the libraries; name an interpreter that has them, --set judge.python=PATH"
)


@dataclass(frozen=True)
class _Ready:
    """How a row is judged here: with its recorded answers as the codec's bytes in base64, in the program's
    process or not; or why it cannot be."""

    answers: tuple[str, ...] = ()
    in_process: bool = False
    fault: str = ""


def program(check: Snippet, answer: str, ready: _Ready) -> Program:
    """The program and tests that judge one answer."""
    parts = [_BEFORE.format(wanted=list(check.wanted))]
    if check.inputs:
        recorded = _RECORDED.format(
            inputs=check.inputs,
            answers=ready.answers,
            context=check.context,
            wanted=list(check.wanted),
            dumped=check.dumped,
        )
        parts += [_PARSER, check.code, recorded]
    else:
        parts.append(check.code)
    if ready.in_process:
        parts.append("_run_tests_here()")  # a name of the program's: test_runner.py then runs the tests there
    parts.append(_AFTER.format(answer=answer))
    # Named only where it is defined: a name that the tests lack is taken for one of the program's.
    rules = [name for name in _RULES if f"def {name}(" in check.code]
    parts += [_RULES[name].format(rule=name, answer=answer) for name in rules]
    tests = UnitTests(
        code="\n".join(parts),
        entry_point="_run_answer",
        arrays=True,
        limits=check.limits,
    )
    return Program(code=_RUNNER, tests=tests, limits=check.limits)


def _score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("snippets runs code and needs a sandbox")
    ready: dict[str, _Ready] = {}
    taken = iter(answers)
    while chunk := list(islice(taken, _CHUNK)):
        new = {problem.id: problem for problem, _ in chunk if problem.id not in ready}
        ready.update(_prepare(list(new.values()), sandbox))
        able = [(problem, answer) for problem, answer in chunk if not ready[problem.id].fault]
        results = sandbox.map(program(_check(p), answer, ready[p.id]) for p, answer in able)
        for problem, _ in chunk:
            if fault := ready[problem.id].fault:
                yield Verdict(status="fault", score=None, error=fault)
            else:
                yield verdict(next(results))
        deque(results, maxlen=0)  # a batch is over when its iterator is


def _prepare(problems: Sequence[Problem], sandbox: Sandbox) -> Mapping[str, _Ready]:
    """Open what is recorded and run the references: outside first, in the program's process where that fails."""
    ready = {problem.id: _Ready(in_process=_check(problem).in_process) for problem in problems}
    recorded = [problem for problem in problems if _check(problem).answers]
    opened = list(sandbox.map(_unpickling_program(_check(problem)) for problem in recorded))
    for problem, result in zip(recorded, opened, strict=True):
        ready[problem.id] = _unpickled(result, _check(problem))
    left = [problem for problem in problems if not ready[problem.id].fault]
    for attempt in ("outside", "in_process"):
        references = [program(_check(problem), problem.solution, ready[problem.id]) for problem in left]
        failed = []
        for problem, result in zip(left, list(sandbox.map(references)), strict=True):
            why = str(result) if isinstance(result, SandboxFault) else result.detail
            if isinstance(result, SandboxFault) or result.status != "passed":
                if attempt == "outside" and not ready[problem.id].in_process and not _check(problem).answers:
                    ready[problem.id] = _Ready(in_process=True)
                    failed.append(problem)
                else:
                    ready[problem.id] = _Ready(
                        fault=f"its own reference does not pass here ({why}): {_ENVIRONMENT}"
                    )
        left = failed
    return ready


snippets = Scorer(name="snippets", score=_score, metrics=metrics, executes=True, cacheable=True)
