"""Executing SQL answers: equal results, test suites, validity, logic accuracy, and BIRD's soft F1 and VES.

The sandbox runs answer and gold query on the problem's databases and compares what they return by the
benchmark's rule (`Query.compare`). A gold query that fails is a fault of the data, named, and no zero.

    execution_accuracy    equal results on the benchmark's own database
    test_suite_accuracy   equal results on every database of the suite
    valid_rate            the answer runs on the benchmark's own database and is a query
    logic_accuracy        valid, and equal results on every database or an exact set match
    soft_f1               overlap of the cells (BIRD mini-dev)
    ves, r_ves            execution accuracy weighted by how the answer's time compares with the gold's (BIRD)

The last two are measured with a clock, so they are in a scorer of their own, `ves`, that only those who want
them pay for; its judgements differ from run to run.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import sqrt

from harness.errors import DataError, SandboxFault, UserError
from harness.schema import (
    Answer,
    Pair,
    PairResult,
    Problem,
    Query,
    Reduce,
    Sandbox,
    Score,
    Scorer,
    Unit,
    Verdict,
)
from harness.scorers.sql.match import is_set_match, value_rule
from harness.text.sql import query_text, wikisql_form
from harness.text.sql.databases import reads_absent

REPEATS = 10  # timings of each query for VES; the lowest number that leaves outliers to drop
R_VES_STEPS = (
    (2.0, 1.25),
    (1.0, 1.0),
    (0.5, 0.75),
    (0.25, 0.5),
    (0.0, 0.25),
)  # R-VES: ratio at least, reward

_NO_TABLE = re.compile(r"\bno such table: (\S+)\Z")

# Where things lie in `Score.value` (0) and `Score.stats`.
COLUMNS = {
    "execution_accuracy": 0,
    "test_suite_accuracy": 1,
    "valid_rate": 2,
    "logic_accuracy": 3,
    "soft_f1": 4,
    "ves": 1,
    "r_ves": 2,
}


def query_of(problem: Problem, scorer: str) -> Query:
    if not isinstance(problem.check, Query):
        raise UserError(
            f"{scorer} cannot judge {problem.id}: its check is {problem.check.kind!r}, not a query"
        )
    return problem.check


def query_pair(answer: Answer, soft: bool = False, repeats: int = 0) -> Pair:
    """The two queries as they are run. Raises DataError for a problem without databases."""
    problem, sql = answer
    check = query_of(problem, "sql_execution")
    if not check.files:
        raise DataError(f"{problem.id} has no database: its queries cannot be executed")
    gold, rules, slots = check.sql, check.rules, None
    match check.compare:
        case "bag":
            sql = query_text.fill_value(sql, rules)
            if rules.plug_value:
                slots = query_text.value_slots(sql, gold, rules.keep_distinct)
            sql, gold = (query_text.normalize_for_spider(each, rules.keep_distinct) for each in (sql, gold))
        case "list" if check.form is not None:
            sql = wikisql_form.runnable_sql(sql, check.form)
    return Pair(
        sql=sql,
        gold=gold,
        folders=check.folders,
        files=check.files,
        compare=check.compare,
        ordered="order by" in gold.lower(),
        slots=slots,
        soft=soft,
        repeats=repeats,
        cpu_s=check.cpu_s,
    )


def _results(
    answers: Iterable[Answer], sandbox: Sandbox | None, soft: bool, repeats: int
) -> Iterator[tuple[Answer, PairResult | SandboxFault]]:
    if sandbox is None:
        raise UserError("sql_execution runs queries and needs a sandbox")
    waiting: deque[Answer] = deque()  # what the sandbox has drawn and not answered yet, oldest first

    def pairs() -> Iterator[Pair]:
        for answer in answers:
            waiting.append(answer)
            yield query_pair(answer, soft, repeats)

    for result in sandbox.judge_queries(pairs()):
        yield waiting.popleft(), result


def _verdict(
    check: Query, result: PairResult | SandboxFault, score: Callable[[PairResult], Score]
) -> Verdict:
    if isinstance(result, SandboxFault):
        return Verdict(status="fault", score=None, error=str(result))
    reads = _NO_TABLE.search(result.detail)
    # Only the gold query can make a fault: an answer that names such a table must not take its question out.
    if reads and reads[1].lower() in check.tables.absent and reads_absent(check):
        error = f"it reads the table {reads[1]!r}, which the database lacks"
        return Verdict(status="fault", score=None, error=error)
    return Verdict(
        status="passed" if result.main else result.status,
        score=score(result),
        error=result.detail,
        cpu_s=result.cpu_s,
    )


def _executed(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    for (problem, sql), result in _results(answers, sandbox, soft=True, repeats=0):

        def score(result: PairResult, problem: Problem = problem, sql: str = sql) -> Score:
            suite = result.status == "passed"
            logic = result.valid and (suite or is_set_match(query_of(problem, "sql_execution"), sql))
            return Score(
                value=float(result.main),
                stats=(float(suite), float(result.valid), float(logic), result.f1),
            )

        yield _verdict(query_of(problem, "sql_execution"), result, score)


def _timed(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    def score(result: PairResult) -> Score:
        ratio = result.ratio if result.main else 0.0
        return Score(value=float(result.main), stats=(sqrt(ratio), sqrt(reward(ratio))))

    for (problem, _), result in _results(answers, sandbox, soft=False, repeats=REPEATS):
        yield _verdict(query_of(problem, "ves"), result, score)


def reward(ratio: float) -> float:
    """R-VES' step of a time ratio (gold over answer); 0 for a wrong answer, whose ratio is 0."""
    return next(worth for least, worth in R_VES_STEPS if ratio >= least) if ratio else 0.0


def _metrics(names: Sequence[str], unit: Unit = "share") -> Callable[[Sequence[int]], Mapping[str, Reduce]]:
    def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
        from harness.stats.estimates import mean_of

        return {name: mean_of(COLUMNS[name], unit=unit) for name in names}

    return metrics


def _signature(problems: Sequence[Problem]) -> str:
    """The engine, how many databases a problem's queries ran on, and what of the rules is not the default."""
    import sqlite3

    checks = [query_of(problem, "sql_execution") for problem in problems]
    sizes = {len(check.files) for check in checks}
    span = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
    plugged = "plug_value" if any(check.rules.plug_value for check in checks) else ""
    distinct = "keep_distinct" if any(check.rules.keep_distinct for check in checks) else ""
    chosen = filter(None, (value_rule(checks), plugged, distinct))
    return " ".join([f"sqlite {sqlite3.sqlite_version} suite {span}", *chosen])


def sql_execution_with(*names: str) -> Scorer:
    """Execution, reported as these metrics."""
    return Scorer(
        name="sql_execution",
        score=_executed,
        metrics=_metrics(names),
        executes=True,
        queries=True,
        signature=_signature,
    )


sql_execution = sql_execution_with(
    "execution_accuracy", "test_suite_accuracy", "logic_accuracy", "valid_rate"
)
ves = Scorer(
    name="ves",
    score=_timed,
    metrics=_metrics(("ves", "r_ves"), "number"),
    executes=True,
    queries=True,
    signature=_signature,
)
