"""What is asked and how it is judged: a problem and its check."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from harness.schema.base import Value


class Reference(Value):
    """Judged against one or more reference texts."""

    kind: Literal["reference"] = "reference"
    texts: tuple[str, ...]


class Limits(Value):
    """What a program may use. CPU time decides; the wall limit is generous and catches sleepers."""

    cpu_s: float = Field(default=3.0, gt=0)
    wall_s: float = Field(default=20.0, gt=0)
    memory_mb: int = Field(default=1024, ge=16)
    output_kb: int = Field(default=1024, ge=1)
    processes: int = Field(default=0, ge=0)


class UnitTests(Value):
    """Judged by running `code` on the trusted side of the sandbox against the candidate's `entry_point`.

    `setup` is trusted code that the tests may use (the prompt's own helpers); the entry point replaces its namesake.
    `limits` are for the candidate; tests with many inputs need more than one call does. `arrays`: numpy arrays, pandas
    frames and dates cross between tests and candidate too (harness/sandbox/values/arrays.py), beside plain values.
    `memory_mb`: what the tests themselves need for the values that they expect, where that is much.
    `in_module`: they stand in the program's own module, below it, as files of unittest do; so they run in its process,
    and `setup` runs in that module before the program. `reference` is a right program, for scorers that prove first
    that the tests can be passed here (harness/scorers/execution/own_reference.py). `cases`: code that runs below
    `code`, each in a run of its own, with a verdict of its own (a unittest class, say).
    """

    kind: Literal["unit_tests"] = "unit_tests"
    code: str
    entry_point: str
    setup: str = ""
    limits: Limits = Limits()
    arrays: bool = False
    memory_mb: int = Field(default=0, ge=0)
    in_module: bool = False
    reference: str = ""
    cases: tuple[str, ...] = Field(default=(), exclude_if=lambda cases: not cases)


class IOCase(Value):
    """One test: standard input and what has to be printed, or a call's arguments (a list) and its value."""

    given: Any
    expected: Any


class IOCases(Value):
    """Judged by running the program on each case: on standard input, or by calling `fn_name` if there is one.

    `starter` is the beginning of the program that the question shows; an answer may go on from it. `limits` are for
    one case; the CPU time is that of the published scorer of APPS. `sealed`: more cases, a JSON text pickled, packed by
    zlib and written in base64, which is opened in the sandbox only (harness/scorers/execution/sealed_cases.py).
    """

    kind: Literal["io_cases"] = "io_cases"
    cases: tuple[IOCase, ...] = Field(min_length=1)
    fn_name: str = ""
    starter: str = ""
    limits: Limits = Limits(cpu_s=4.0)
    sealed: str = Field(default="", exclude_if=lambda sealed: not sealed, repr=False)


class Snippet(Value):
    """Judged by putting the answer where its context says [insert] and running that on test cases.

    `code` are the row's own tests; without recorded cases they hold the context themselves. `wanted` are the names
    that tests look at afterwards. `inputs` and `answers` are recorded cases, pickles in base64 that are opened in
    the sandbox only; `dumped` is the expression of wanted names that an answer is held against. `in_process`: the
    tests look at what the program leaves in its process, a figure say.
    """

    kind: Literal["snippet"] = "snippet"
    code: str
    wanted: tuple[str, ...] = Field(min_length=1)
    context: str = ""
    inputs: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    dumped: str = ""
    in_process: bool = False
    limits: Limits = Limits()


class Assertion(Value):
    """Judged by whether `assert expected == ANSWER` holds behind `code`; the answer is a `call` of its `function`, or
    the `value` of one, which must not call it.
    """

    kind: Literal["assertion"] = "assertion"
    code: str
    expected: str
    asked: Literal["value", "call"]
    function: str = "f"
    limits: Limits = Limits()


class Expression(Value):
    """Judged by whether the answer leaves the expression `value` in `result`; `texts` are programs that do."""

    kind: Literal["expression"] = "expression"
    texts: tuple[str, ...]
    value: str


class DatabaseFile(Value):
    """An SQLite file, named by its path and never copied. `sha256`: of its content, or of the script it is made of."""

    path: str
    sha256: str


class TableNames(Value):
    """What exact set match has to know of a database, all in lower case.

    `columns` of each table; `keys` leads from a column "table.column" to the first of those that foreign keys tie
    it to, itself if it comes first. `absent`: those of the tables that the databases at hand lack.
    """

    columns: Mapping[str, tuple[str, ...]] = {}
    keys: Mapping[str, str] = {}
    absent: tuple[str, ...] = ()


class SpiderRules(Value):
    """How queries about a database are read; the defaults are those of Spider's official evaluator.

    `fill_value`: the letters `value` of an answer are read as 1. `plug_value`: an answer is also right with the gold
    query's values in place of its own. `keep_distinct`: DISTINCT counts.
    """

    fill_value: bool = True
    plug_value: bool = False
    keep_distinct: bool = False


class LogicalForm(Value):
    """A WikiSQL query: aggregation of column `sel` where all (column, operator, value) hold; numbers as upstream.

    `header` and `types` (text or real) are those of table `table`.
    """

    sel: int
    agg: int
    conds: tuple[tuple[int, int, str | int | float], ...]
    table: str = ""
    header: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


Compare = Literal["bag", "set", "list"]


class Query(Value):
    """Judged by executing `sql` and the answer on the same databases, and by comparing the queries themselves.

    `files`: the benchmark's own database first, then the rest of its test suite, all below `folders`; none where
    nothing is executed. `compare`: how results are compared, as bags of rows (Spider), sets (BIRD) or lists
    (WikiSQL). `rules` are for bags. `cpu_s` is for each query on each database.
    """

    kind: Literal["query"] = "query"
    sql: str
    database: str
    folders: tuple[str, ...] = ()
    files: tuple[DatabaseFile, ...] = ()
    compare: Compare = "bag"
    tables: TableNames = TableNames()
    form: LogicalForm | None = None
    rules: SpiderRules = SpiderRules()
    cpu_s: float = Field(default=60.0, gt=0)


class InlineTests(Value):
    """Judged by compiling and running the answer between `before` and `after`, which hold the tests.

    They end in what completion_marker.instrument puts there. `files`, `flags` and `needs` are Program's.
    """

    kind: Literal["inline_tests"] = "inline_tests"
    language: str
    after: str
    before: str = ""
    files: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sentinel: str
    limits: Limits = Limits()


class UnderTest(Value):
    """Judged by running the answer, a test suite, against `code` and broken versions of it.

    `tests` are the benchmark's own: `code` passes them, and a broken version that does too is not counted.
    `entry_point` is the function that is tested.
    """

    kind: Literal["under_test"] = "under_test"
    code: str
    tests: UnitTests | InlineTests = Field(discriminator="kind")
    entry_point: str
    mutants: int = Field(default=10, ge=0)

    @property
    def language(self) -> str:
        return self.tests.language if isinstance(self.tests, InlineTests) else "python"


Check = Reference | UnitTests | InlineTests | IOCases | Snippet | Assertion | Expression | UnderTest | Query


class Problem(Value):
    """One row of a benchmark. `solution` is shown as a shot, trained on, and must pass its own check.

    `cluster` names the problems that stand or fall together, those on one database say: they are sampled as one.
    `parts` are further texts that a template may show by name, a database's schema in several forms say. `date`: the
    day it was published, YYYY-MM-DD, where the benchmark knows it.
    """

    id: str
    question: str
    solution: str
    check: Check = Field(discriminator="kind")
    group: str = ""
    cluster: str = ""
    parts: Mapping[str, str] = {}
    date: str = Field(default="", exclude_if=lambda date: not date)
