"""What is posted to the service and what it answers. The OpenAPI description is made of these."""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from harness.config.load import complaint
from harness.errors import UserError
from harness.schema import Compare, Form, IOCases, Judgement, Limits, Pair, UnitTests, Value

MAX_SHOWN = 300  # characters of a complaint: it quotes what was posted
# What a posted program may use at most; and one of a run, whose references are timed with ten times their limits, and
# whose tests may have to be opened first (scorers/execution/sealed_cases.py).
MOST = Limits(cpu_s=600, wall_s=600, memory_mb=1 << 15, output_kb=1 << 16)
MOST_OF_RUNS = Limits(cpu_s=3600, wall_s=3600, memory_mb=1 << 15, output_kb=1 << 20)
MOST_REPEATS = 100  # timings of a query
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)  # also one that does not end
Message = TypeVar("Message", bound=Value)


class PostedCompletion(Value):
    """A completion of a problem of the task. `form` says how to read it: `output` is raw model output, in which the
    answer is looked for, `continuation` continues the prompt to the letter, `program` is complete.
    """

    problem: str
    completion: str
    form: Form = "output"


class VerdictRequest(Value):
    """Judge completions by the tests that the service has. `task` may be left out where one is served, `scorer` is by
    default the task's first. With `stream` the verdicts come as lines of JSON, each as soon as it is there. `error` of
    a verdict is empty unless the service was told to show it, for it can quote the tests.
    """

    task: str = ""
    scorer: str = ""
    samples: tuple[PostedCompletion, ...] = Field(min_length=1)
    stream: bool = False


class PostedQuery(Value):
    """Judged by executing `sql`, the right query, and the answer on the database that `script` makes, and comparing
    their results as bags of rows, sets or lists.
    """

    kind: Literal["query"] = "query"
    sql: str
    script: str
    compare: Compare = "bag"
    cpu_s: float = Field(default=10.0, gt=0, le=600)


class PostedAnswer(Value):
    """A program or query, and what judges it: unit tests, cases of standard input or of calls, or a right query."""

    answer: str
    check: UnitTests | IOCases | PostedQuery = Field(discriminator="kind")


class CheckRequest(Value):
    """Judge programs by tests that come with them."""

    samples: tuple[PostedAnswer, ...] = Field(min_length=1)
    stream: bool = False


class VerdictReply(Value):
    """A row for each sample, in order, as judgements.jsonl of a run has it. `status` is `fault`, and `score` null,
    where the judge itself failed: ask again.
    """

    verdicts: tuple[Judgement, ...]


class RewardRequest(Value):
    """Rewards of completions, one problem's id for each. With `vector` a reward is the score followed by what the
    scorer counts beside it: of io_cases the share of cases passed.
    """

    task: str = ""
    scorer: str = ""
    problems: tuple[str, ...] = Field(min_length=1)
    completions: tuple[str, ...] = Field(min_length=1)
    form: Form = "output"
    vector: bool = False


class RewardReply(Value):
    """In the order of the completions; null where the judge itself failed."""

    rewards: tuple[float | tuple[float, ...] | None, ...]


class ServedTask(Value):
    """A task, its problems' ids, and who judges (the `judge` of a run's run.json)."""

    task: str
    version: int
    problems: int
    data: dict[str, str]
    extractor: str
    scorers: list[str]
    judge: dict[str, Any] | None


class TaskList(Value):
    tasks: tuple[ServedTask, ...]


class ServedProblem(Value):
    id: str
    question: str


class ProblemList(Value):
    problems: tuple[ServedProblem, ...]


class RunCodeRequest(Value):
    """SandboxFusion's request. Compilers have limits of their own, files are not sent back."""

    code: str
    language: str
    stdin: str | None = None
    compile_timeout: float | None = None
    run_timeout: float = Field(default=10.0, gt=0, le=600)
    memory_limit_MB: int = -1
    files: Mapping[str, str | None] = {}
    fetch_files: tuple[str, ...] = ()


class CommandResult(Value):
    """SandboxFusion's CommandRunResult."""

    status: Literal["Finished", "Error", "TimeLimitExceeded"]
    execution_time: float | None = None
    return_code: int | None = None
    stdout: str | None = None
    stderr: str | None = None


class RunCodeReply(Value):
    """SandboxFusion's response."""

    status: Literal["Success", "Failed", "SandboxError"]
    message: str = ""
    compile_result: CommandResult | None = None
    run_result: CommandResult | None = None
    executor_pod_name: str | None = None
    files: Mapping[str, str] = {}


def read(model: type[Message], body: bytes) -> Message:
    """Raises UserError with one line."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error
    try:  # half a surrogate pair, which only Python's json accepts
        plain = load(body)
        return model.model_validate(plain, strict=False)
    except ValidationError:
        raise UserError(complaint(first, model)[:MAX_SHOWN]) from None


def few_values(body: bytes, most: int) -> None:
    """Raises UserError for a body of so many numbers, lists and objects that they take many times its size."""
    outside = _STRING.sub(b"", body)
    if sum(map(outside.count, (b"[", b"{", b","))) > most:
        raise UserError(f"more than {most} values in a body: send several requests")


def load(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises UserError."""
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the body is not valid JSON: {error}"[:MAX_SHOWN]) from None
    if not isinstance(plain, dict):
        raise UserError(f"the body is {type(plain).__name__}, expected an object")
    return plain


def within(limits: Limits, tests_mb: int, where: str, bound: Limits = MOST) -> None:
    """Raises UserError for limits that would let a program, or its tests, have a worker or the machine to itself."""
    for name, most in dict(bound).items():
        if not getattr(limits, name) <= most:
            raise UserError(f"{where}: limits.{name} = {getattr(limits, name):g}: at most {most:g} here")
    if tests_mb > bound.memory_mb:
        raise UserError(f"{where}: memory_mb = {tests_mb}: at most {bound.memory_mb} here")


def check_cases(check: IOCases, where: str) -> None:
    """Raises UserError for cases that are of the other kind."""
    for number, case in enumerate(check.cases):
        if check.fn_name and not isinstance(case.given, list):
            raise UserError(
                f"{where}.cases.{number}: given has to be the list of {check.fn_name}'s arguments"
            )
        if not check.fn_name and not (isinstance(case.given, str) and isinstance(case.expected, str)):
            raise UserError(
                f"{where}.cases.{number}: given and expected have to be texts where there is no fn_name"
            )


def pair_within(pair: Pair, where: str) -> None:
    """The same of queries."""
    for name, value, most in (
        ("cpu_s", pair.cpu_s, MOST.cpu_s),
        ("repeats", pair.repeats, MOST_REPEATS),
    ):
        if not 0 <= value <= most:
            raise UserError(f"{where}: {name} = {value:g}: from 0 to {most:g} here")
