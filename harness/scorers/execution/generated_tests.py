"""Test suites that a model wrote for a given function: do they pass on it, what do they reach, which faults do
they notice.

Each question is a run of its own in the sandbox, of one version of the function (text/mutants.py) with the suite below
it, and is answered by how the program ends. Nothing that a suite says about itself is used:

    counts      it passes on the function, passes on the same function written otherwise, and fails on the function
                stubbed. So a suite that always fails, asserts nothing, leaves before its assertions, catches
                them, or redefines or patches the function is worth 0
    reaches     a line or branch counts if the run ends at a probe put there
    notices     a mutant counts if the run does not end well

A suite that is worth 0 reaches and notices nothing. Mutants that the benchmark's own tests accept, and those
that keep them busy for more than half a second, are dropped before: they are equivalent, or cannot be noticed.
`mutants_dropped` says how many. What remains open: suite and function share a process, so a suite written to
see through this can inspect the function's bytecode, tell versions apart by it and fail at will. The rewritten
version defeats the plain form of that, a comparison with the code it was shown. Classes `Test...`, TestCases of
unittest and functions `test...` are called; pytest's parameters and fixtures are not filled in.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from harness.errors import SandboxFault, UserError
from harness.schema import (
    Answer,
    ExecResult,
    Limits,
    Problem,
    Program,
    Reduce,
    Sandbox,
    Score,
    Scorer,
    Status,
    UnderTest,
    Verdict,
)
from harness.scorers.similarity.ast_similarity import over_parsable, parse_python, python_version
from harness.text.mutants import (
    PROBE_EXIT_STATUS,
    CoverageProbe,
    coverage_probes,
    make_mutants,
    rewrite_equivalently,
    stubbed_versions,
)

if TYPE_CHECKING:
    from harness.schema import Floats

FILTER_CPU_S = 0.5  # a mutant that keeps the benchmark's own tests busy for longer most likely never ends
_BATCH = 64  # answers whose runs are handed to the sandbox in one go
_RUN_CLASS = """

def _run_class(found):
    import sys
    unittest = sys.modules.get("unittest")
    if unittest and issubclass(found, unittest.TestCase):
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(found).run(result)
        for _, text in result.errors + result.failures:
            raise AssertionError(text.strip().splitlines()[-1])
    else:
        for name in dir(found):
            if name.startswith("test"):
                getattr(found(), name)()

"""


# ---------------------------------------------------------------- suites


def build_suite(answer: str, entry: str) -> str | None:
    """The answer as it is put below the function: without another definition or import of it, with its test
    functions and classes called. None where Python cannot read it."""
    parsed = parse_python(answer)
    if parsed is None:
        return None
    parsed.body = [kept for node in parsed.body if (kept := _without(node, entry)) is not None]
    calls = []
    for node in parsed.body:
        if isinstance(node, ast.ClassDef) and _is_test_class(node):
            calls.append(f"_run_class({node.name})")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            calls.append(f"{node.name}()")
    try:
        text = ast.unparse(parsed)
    except RecursionError:
        return None
    runner = _RUN_CLASS if any(call.startswith("_run") for call in calls) else ""
    return "\n".join([text + runner, *calls, ""])


def _without(node: ast.stmt, entry: str) -> ast.stmt | None:
    """The statement as far as it does not bring its own version of the function; None if nothing is left.

    Models repeat what they are shown. Only the plain forms are taken out, to be fair to them: a suite that
    replaces the function in another way fails no test on its stubbed versions, and is worth 0.
    """
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == entry:
            return None
        case ast.ImportFrom(module="__future__"):
            return None
        case ast.ImportFrom(module, names, level):
            kept = [alias for alias in names if (alias.asname or alias.name) != entry]
            return ast.ImportFrom(module, kept, level) if kept else None
    return node


def _is_test_class(node: ast.ClassDef) -> bool:
    bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return node.name.startswith("Test") or any(base.endswith("TestCase") for base in bases)


# ---------------------------------------------------------------- versions of the function


@dataclass(frozen=True)
class _FunctionUnderTest:
    """One problem's function: its versions, or why it cannot be used (`fault`)."""

    code: str
    entry: str
    limits: Limits
    basic: tuple[str, ...] = ()  # the function, the same written otherwise, the stubbed ones
    probes: tuple[CoverageProbe, ...] = ()
    mutants: tuple[str, ...] = ()
    made: int = 0
    fault: str = ""

    def stats(self, lines: int = 0, branches: int = 0, killed: int = 0) -> tuple[float, ...]:
        points = (sum(p.line for p in self.probes), sum(p.branch for p in self.probes))
        whole = (lines, points[0], branches, points[1], killed, len(self.mutants), self.made)
        return tuple(map(float, whole))


def _check(problem: Problem) -> UnderTest:
    if not isinstance(problem.check, UnderTest):
        raise UserError(f"generated_tests cannot judge {problem.id}: its check is {problem.check.kind!r}")
    return problem.check


def _targets(problems: Sequence[Problem], sandbox: Sandbox) -> Iterator[_FunctionUnderTest]:
    """The versions of each problem's function; its mutants are those that its own tests notice."""
    checks = [_check(problem) for problem in problems]
    made = [make_mutants(check.code, check.mutants) for check in checks]

    def programs() -> Iterator[Program]:
        for check, broken in zip(checks, made, strict=True):
            yield Program(code=check.code, tests=check.tests, limits=check.tests.limits)
            limits = check.tests.limits.model_copy(update={"cpu_s": FILTER_CPU_S})
            for code in broken:
                yield Program(code=code, tests=check.tests, limits=limits)

    results = sandbox.map(programs())
    for check, broken in zip(checks, made, strict=True):
        yield _target(check, broken, next(results), [next(results) for _ in broken])
    assert next(results, None) is None


def _target(
    check: UnderTest,
    broken: Sequence[str],
    own: ExecResult | SandboxFault,
    results: Sequence[ExecResult | SandboxFault],
) -> _FunctionUnderTest:
    entry, limits = check.tests.entry_point, check.tests.limits
    faults = [str(result) for result in (own, *results) if isinstance(result, SandboxFault)]
    if isinstance(own, ExecResult) and own.status != "passed":
        faults.append(f"the row's own tests do not pass on its code ({own.status}: {own.detail})")
    stubbed = stubbed_versions(check.code, entry)
    if not stubbed:
        faults.append(f"the row's code defines no function {entry!r}")
    if faults:
        return _FunctionUnderTest(check.code, entry, limits, fault=faults[0])
    noticed = [
        code
        for code, result in zip(broken, results, strict=True)
        if isinstance(result, ExecResult) and result.status in {"failed", "error"}
    ]
    return _FunctionUnderTest(
        check.code,
        entry,
        limits,
        basic=(check.code, rewrite_equivalently(check.code), *stubbed),
        probes=tuple(coverage_probes(check.code)),
        mutants=tuple(noticed),
        made=len(broken),
    )


# ---------------------------------------------------------------- judging


@dataclass
class _Sample:
    """One suite, and how its runs ended."""

    target: _FunctionUnderTest
    suite: str | None
    answer: str
    basic: list[ExecResult] = field(default_factory=list)
    further: list[ExecResult] = field(default_factory=list)
    fault: str = ""

    def program(self, version: str) -> Program:
        return Program(code=f"{version}\n\n\n{self.suite}", limits=self.target.limits)

    @property
    def versions(self) -> list[str]:
        return [*(probe.code for probe in self.target.probes), *self.target.mutants]

    def rejection(self) -> tuple[Status, str] | None:
        """Why the suite is worth nothing; None for one that counts."""
        if self.suite is None:
            blank = not self.answer.strip()
            return (
                ("failed", "the answer is blank")
                if blank
                else ("compile_error", "Python cannot read the tests")
            )
        own, same, *stubbed = self.basic
        if own.status != "passed":
            return own.status, f"on the function itself: {own.detail}"
        if same.status != "passed":
            return "failed", f"on the same function written otherwise: {same.detail}"
        if all(result.status == "passed" for result in stubbed):
            return "failed", "the tests pass whatever the function returns"
        return None

    def verdict(self) -> Verdict:
        runs = [*self.basic, *self.further]
        cpu_s, wall_s = sum(r.cpu_s for r in runs), sum(r.wall_s for r in runs)
        peak_mb = max((r.peak_mb for r in runs), default=0.0)
        if fault := self.fault or self.target.fault:
            return Verdict("fault", None, fault, cpu_s, wall_s, peak_mb)
        status, error = self.rejection() or ("passed", "")
        if status != "passed":
            score = Score(value=0.0, stats=self.target.stats())
            return Verdict(status, score, " ".join(error.split()), cpu_s, wall_s, peak_mb)
        probes, mutants = self.target.probes, self.further[len(self.target.probes) :]
        there = f"exit status {PROBE_EXIT_STATUS}"
        hit = [p for p, run in zip(probes, self.further, strict=False) if run.detail == there]
        killed = sum(run.status != "passed" for run in mutants)
        stats = self.target.stats(sum(p.line for p in hit), sum(p.branch for p in hit), killed)
        return Verdict("passed", Score(value=1.0, stats=stats), "", cpu_s, wall_s, peak_mb)


def _run(
    samples: Sequence[_Sample], versions: Sequence[Sequence[str]], sandbox: Sandbox
) -> Iterator[list[ExecResult]]:
    """For each sample, how its runs on these versions ended; a fault among them is noted in the sample."""
    pairs = list(zip(samples, versions, strict=True))
    results = sandbox.map(sample.program(code) for sample, codes in pairs for code in codes)
    for sample, codes in pairs:
        ended = []
        for _ in codes:
            result = next(results)
            if isinstance(result, SandboxFault):
                sample.fault = sample.fault or str(result)
            else:
                ended.append(result)
        yield ended
    assert next(results, None) is None


def _score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("generated_tests runs code and needs a sandbox")
    rest, targets = iter(answers), dict[str, _FunctionUnderTest]()
    while group := list(islice(rest, _BATCH)):
        asked = {problem.id: problem for problem, _ in group}
        new = [problem for name, problem in asked.items() if name not in targets]
        found = dict(zip([problem.id for problem in new], _targets(new, sandbox), strict=True))
        targets = {name: found.get(name) or targets[name] for name in asked}
        samples = [
            _Sample(targets[problem.id], build_suite(answer, targets[problem.id].entry), answer)
            for problem, answer in group
        ]
        begun = [sample for sample in samples if sample.suite is not None and not sample.target.fault]
        for sample, ended in zip(begun, _run(begun, [s.target.basic for s in begun], sandbox), strict=True):
            sample.basic = ended
        counting = [sample for sample in begun if not sample.fault and sample.rejection() is None]
        for sample, ended in zip(
            counting, _run(counting, [s.versions for s in counting], sandbox), strict=True
        ):
            sample.further = ended
        yield from (sample.verdict() for sample in samples)


# ---------------------------------------------------------------- metrics


def _share(hit: int, of: int) -> Reduce:
    """The mean over the problems that have such points of the mean over their samples of the share hit."""
    counted = over_parsable(-1)

    def per_problem(scores: "Floats") -> "Floats":
        import numpy as np

        total = scores[:, of]
        shares = np.divide(scores[:, hit], total, out=np.zeros_like(total), where=total > 0)
        return np.array([shares.mean(), float(total[0] > 0)])

    return Reduce(per_problem, counted.of_sum)


def _metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import pass_at

    def dropped(scores: "Floats") -> "Floats":
        import numpy as np

        kept, made = scores[0, 6], scores[0, 7]
        return np.array([(made - kept) / made if made else 0.0, float(made > 0)])

    return {
        **{f"pass@{k}": pass_at(k) for k in ks},
        "line_coverage": _share(1, 2),
        "branch_coverage": _share(3, 4),
        "mutation_score": _share(5, 6),
        "mutants_dropped": Reduce(dropped, over_parsable(-1).of_sum),
    }


def _signature(problems: Sequence[Problem]) -> str:
    most = max((_check(problem).mutants for problem in problems), default=0)
    return f"generated_tests mutants:{most} {python_version()}"


generated_tests = Scorer(
    name="generated_tests",
    score=_score,
    metrics=_metrics,
    executes=True,
    cacheable=True,
    signature=_signature,
)
