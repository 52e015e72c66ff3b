"""LiveCodeBench, code generation: contest problems by the date of their contest (Jain et al., 2024).

One row: question_content "You are given a string s. Print it backwards. ...", starter_code "" (or "class Solution:\\n
def solve(self, ...", with metadata {"func_name": "solve"}), contest_date "2024-08-03T00:00:00", platform "atcoder",
difficulty "easy", public_test_cases '[{"input": "abc\\\\n", "output": "cba\\\\n", "testtype": "stdin"}]' and
private_test_cases, the same packed: base64 of zlib of a pickle, which is opened in the sandbox and nowhere else.

`release` v1 to v6 takes the hub's files test.jsonl to test6.jsonl; `since` and `until` leave out problems of contests
before and after these days. As upstream, printed lines are compared as text or as decimal numbers, returned values by
equality, programs find upstream's imports done, and 6 s (of CPU time) are for one test; the first that does not pass
ends the judging. Unlike there, a program is run as one, and its exit status counts. Rows have no solution; one of your
own may have the field.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Literal, get_args

from harness.errors import ConfigError, DataError, unknown
from harness.files import parse_json
from harness.schema import (
    Card,
    DataFile,
    IOCases,
    Limits,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
)
from harness.scorers.execution.io_cases import io_cases_with
from harness.scorers.execution.sealed_cases import cases_of
from harness.tasks.apps import apps_program

Release = Literal["v1", "v2", "v3", "v4", "v5", "v6"]
Group = Literal["difficulty", "platform", "both"]
Row = Mapping[str, Any]

SIZES: Mapping[str, int] = {"v1": 400, "v2": 511, "v3": 612, "v4": 713, "v5": 880, "v6": 1055}
FIELDS = (
    *("question_content", "platform", "question_id", "contest_date", "starter_code", "difficulty"),
    *("public_test_cases", "private_test_cases", "metadata"),
)
LIMITS = Limits(cpu_s=6.0, wall_s=30.0, memory_mb=4096)

SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a"
    " correct Python program that matches the specification and passes all tests. You will NOT return anything except"
    " for the program."
)
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within"
    " delimiters."
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample"
    " inputs). Enclose your code within delimiters as follows."
)
ASK = (
    "### Question:\n{question}\n\n### Format: {form}\n```python\n{shown}\n```\n\n"
    "### Answer: (use the provided format with backticks)\n\n"
)
BLOCK = "```python\n{solution}\n```"
# As upstream asks chat models, reasoning models (no system message), and base models, without its example.
TEMPLATES = (
    Template(name="chat", style="chat", system=SYSTEM, question=ASK, answer=BLOCK),
    Template(name="chat_reasoning", style="chat", question=f"{SYSTEM}\n\n{ASK}", answer=BLOCK),
    Template(
        name="plain",
        style="plain",
        question="### Question\n{question}\n\n{starter}### Answer\n\n",
        stop=("###",),
    ),
)


# ---------------------------------------------------------------- rows


def _files(release: str) -> tuple[DataFile, ...]:
    count = list(SIZES).index(release) + 1
    return tuple(DataFile("livecodebench", f"test{n if n > 1 else ''}.jsonl") for n in range(1, count + 1))


def _problem(row: Row, group: Group) -> Problem:
    name = str(row["question_id"])
    starter = row["starter_code"]
    by = {"difficulty": row["difficulty"], "platform": row["platform"]}
    return Problem(
        id=name,
        question=row["question_content"],
        solution=row.get("solution", ""),
        check=_check(row, f"livecodebench/{name}"),
        group="/".join(by.values()) if group == "both" else by[group],
        parts={
            "form": WITH_STARTER if starter else WITHOUT_STARTER,
            "shown": starter or "# YOUR CODE HERE",
            "starter": f"### Starter Code\n{starter}\n\n" if starter else "",
        },
        date=_day(row, name).isoformat(),
    )


def _check(row: Row, name: str) -> IOCases:
    meta = parse_json(row["metadata"] or "{}", f"{name}: metadata")
    fn_name = (meta.get("func_name") or "") if isinstance(meta, dict) else ""
    public, private = row["public_test_cases"], row["private_test_cases"].strip()
    try:
        cases = cases_of(json.loads(public), fn_name)
        if private.startswith("["):  # the full data set has them open
            cases, private = (*cases, *cases_of(json.loads(private), fn_name)), ""
    except ValueError as error:
        raise DataError(f"{name}: its tests cannot be read: {error}") from None
    if not cases:
        raise DataError(f"{name}: public_test_cases: expected one at least")
    return IOCases(cases=cases, fn_name=fn_name, starter=row["starter_code"], limits=LIMITS, sealed=private)


def _day(row: Row, name: str) -> date:
    try:
        return date.fromisoformat(row["contest_date"][:10])
    except ValueError:
        raise DataError(
            f"livecodebench/{name}: contest_date {row['contest_date']!r}: expected a day like 2024-08-01"
        ) from None


def _bound(option: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError(
            f"task 'livecodebench': {option} {text!r}: expected a day like 2024-08-01"
        ) from None


def task(release: Release = "v6", since: str = "", until: str = "", group: Group = "difficulty") -> Task:
    """`release`: v1 to v6; `since`, `until`: the first and last day of contests; `group`: what metrics are split by."""
    for name, given, allowed in (("release", release, get_args(Release)), ("group", group, get_args(Group))):
        if given not in allowed:
            raise ConfigError(f"task 'livecodebench': {unknown(name, given, allowed)}")
    first, last = _bound("since", since), _bound("until", until)
    files = _files(release)

    def load(split: Split, source: Source) -> Iterable[Problem]:
        for file in files if split == "test" else ():
            for row in source.rows(file, FIELDS):
                day = _day(row, str(row["question_id"]))
                if (first is None or first <= day) and (last is None or day <= last):
                    yield _problem(row, group)

    return Task(
        name="livecodebench",
        version=1,
        load=load,
        templates=TEMPLATES,
        extract=apps_program,
        scorers=(io_cases_with("livecodebench", stop_early=True),),
        sampling=Sampling(max_tokens=2000),
        packages=("numpy",),
        card=Card(
            title=f"LiveCodeBench {release}: contest problems by date",
            paper="Jain et al. 2024, arXiv 2403.07974",
            licence="CC (as its card says, without a kind); the harness of its authors MIT",
            tags=("contests",),
            url="https://github.com/LiveCodeBench/LiveCodeBench",
            sizes={"test": SIZES[release]},
            setting="pass@1 of n = 10 at temperature 0.2, top-p 0.95; 2,000 new tokens. Recorded by its authors for"
            " o1-mini (2024-09-12) on v5: 68.4",
            files=files,
        ),
    )
