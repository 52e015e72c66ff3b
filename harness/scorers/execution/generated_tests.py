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
version defeats the plain form of that, a comparison with the code it was shown. In Java and JavaScript, whose
versions are made by text (text/brace_mutants.py), mutants that do not compile are none, and the lines and branches
that count are those which the benchmark's own tests reach. How suites are called: suite_source.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from harness.errors import SandboxFault, UserError
from harness.schema import (
    Answer,
    ExecResult,
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
from harness.scorers.execution.suite_source import build_suite, join
from harness.scorers.execution.unit_tests import tested
from harness.scorers.similarity.ast_similarity import over_parsable, python_version
from harness.text import brace_mutants, mutants
from harness.text.mutants import PROBE_EXIT_STATUS, CoverageProbe

if TYPE_CHECKING:
    from harness.schema import Floats

# A mutant that keeps the benchmark's own tests busy for longer most likely never ends; a JVM needs a while to start.
FILTER_CPU_S = {"python": 0.5, "java": 3.0, "javascript": 1.0}
_BATCH = 64  # answers whose runs are handed to the sandbox in one go
_AT_PROBE = f"exit status {PROBE_EXIT_STATUS}"


# ---------------------------------------------------------------- versions of the function


@dataclass(frozen=True)
class _FunctionUnderTest:
    """One problem's function: its versions, or why it cannot be used (`fault`)."""

    check: UnderTest
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
    broken = [_mutants(check) for check in checks]
    reached = [_probes(check) for check in checks]

    def programs() -> Iterator[Program]:
        for check, faulty, probes in zip(checks, broken, reached, strict=True):
            yield tested(check.code, check.tests)
            limits = check.tests.limits.model_copy(update={"cpu_s": FILTER_CPU_S[check.language]})
            for code in faulty:
                yield tested(code, check.tests).model_copy(update={"limits": limits})
            for probe in probes if check.language != "python" else ():
                yield tested(probe.code, check.tests)

    results = sandbox.map(programs())
    for check, faulty, probes in zip(checks, broken, reached, strict=True):
        own, ended = next(results), [next(results) for _ in faulty]
        if check.language != "python":
            probes = [probe for probe in probes if _is_at_probe(next(results))]
        yield _target(check, faulty, probes, own, ended)
    assert next(results, None) is None


def _mutants(check: UnderTest) -> list[str]:
    if check.language == "python":
        return mutants.make_mutants(check.code, check.mutants)
    return brace_mutants.make_mutants(check.code, check.mutants, check.language)


def _probes(check: UnderTest) -> list[CoverageProbe]:
    if check.language == "python":
        return mutants.coverage_probes(check.code)
    return brace_mutants.coverage_probes(check.code, check.language)


def _basic(check: UnderTest) -> tuple[str, ...]:
    """The function, the same written otherwise, and the stubbed ones; empty where there is no such function."""
    code, entry, language = check.code, check.entry_point, check.language
    if language == "python":
        stubbed = mutants.stubbed_versions(code, entry)
        return (code, mutants.rewrite_equivalently(code), *stubbed) if stubbed else ()
    stubbed = brace_mutants.stubbed_versions(code, entry, language)
    return (code, brace_mutants.rewrite_equivalently(code, language), *stubbed) if stubbed else ()


def _is_at_probe(result: ExecResult | SandboxFault) -> bool:
    return isinstance(result, ExecResult) and result.detail.partition(":")[0] == _AT_PROBE


def _target(
    check: UnderTest,
    broken: Sequence[str],
    probes: Sequence[CoverageProbe],
    own: ExecResult | SandboxFault,
    results: Sequence[ExecResult | SandboxFault],
) -> _FunctionUnderTest:
    faults = [str(result) for result in (own, *results) if isinstance(result, SandboxFault)]
    if isinstance(own, ExecResult) and own.status != "passed":
        faults.append(f"the row's own tests do not pass on its code ({own.status}: {own.detail})")
    basic = _basic(check)
    if not basic:
        faults.append(f"the row's code defines no function {check.entry_point!r}")
    if faults:
        return _FunctionUnderTest(check, fault=faults[0])
    ended = [result.status for result in results if isinstance(result, ExecResult)]
    noticed = [code for code, status in zip(broken, ended, strict=True) if status in {"failed", "error"}]
    made = sum(status != "compile_error" for status in ended)
    return _FunctionUnderTest(check, basic, tuple(probes), tuple(noticed), made)


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
        check = self.target.check
        code = join(version, self.suite or "", check.language)
        return Program(code=code, language=check.language, limits=check.tests.limits)

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
        hit = [p for p, run in zip(probes, self.further, strict=False) if _is_at_probe(run)]
        killed = sum(run.status != "passed" for run in mutants)
        stats = self.target.stats(sum(p.line for p in hit), sum(p.branch for p in hit), killed)
        return Verdict("passed", Score(value=1.0, stats=stats), "", cpu_s, wall_s, peak_mb)


def _sample(target: _FunctionUnderTest, answer: str) -> _Sample:
    return _Sample(target, build_suite(answer, target.check.entry_point, target.check.language), answer)


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
        samples = [_sample(targets[problem.id], answer) for problem, answer in group]
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
    checks = [_check(problem) for problem in problems]
    most = max((check.mutants for check in checks), default=0)
    other = sorted({check.language for check in checks} - {"python"})
    return " ".join([f"generated_tests mutants:{most}", *(other or [python_version()])])


generated_tests = Scorer(
    name="generated_tests",
    score=_score,
    metrics=_metrics,
    executes=True,
    cacheable=True,
    signature=_signature,
)
