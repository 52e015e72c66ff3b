"""HumanEval+: HumanEval's functions with 80 times the tests (Liu et al., 2023; EvalPlus v0.1.10).

One row: prompt `def add(x, y):\\n    \"\"\"Add two numbers.\"\"\"\\n`, base_input [[1, 2]], plus_input
[[0, -1], ...], atol 0 -> canonical_solution `    return x + y`. The answer has to agree with the reference on
every input (tasks/families/evalplus.py); a root that `find_zero` gives has to be one.

`mini` takes the release's small set of inputs (2,677 in place of 124,253). Results recorded before July 2024 are mostly
of `release = "v0.1.9"`.
"""

from collections.abc import Iterable
from typing import Literal, get_args

from harness.errors import ConfigError, unknown
from harness.schema import Card, DataFile, Problem, Sampling, Source, Split, Task
from harness.tasks.families import evalplus
from harness.tasks.humaneval import CHAT, INSTRUCTION, PLAIN  # the two tasks differ in their tests alone
from harness.text.extract import python_program

Release = Literal["v0.1.10", "v0.1.9"]
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")


def task(mini: bool = False, release: Release = "v0.1.10") -> Task:
    if not isinstance(mini, bool):
        raise ConfigError(f"task 'humaneval_plus': mini {mini!r}: expected true or false")
    if release not in get_args(Release):
        raise ConfigError(f"task 'humaneval_plus': {unknown('release', release, get_args(Release))}")
    # None is on the hub: its parquet file has the expected values written out and no `atol`.
    file = DataFile("humaneval_plus", f"HumanEvalPlus-{'Mini-' if mini else ''}{release}.jsonl")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return
        for row in source.rows(file, FIELDS):
            # Any root is right.
            judge = "root(given, got, atol)" if row["entry_point"] == "find_zero" else evalplus.AGREES
            yield Problem(
                id=row["task_id"],
                question=row["prompt"],
                solution=row["canonical_solution"],
                check=evalplus.tests(row, row["prompt"] + row["canonical_solution"], judge),
            )

    return Task(
        name="humaneval_plus",
        version=3,
        load=load,
        templates=(PLAIN, INSTRUCTION, CHAT),
        extract=python_program,
        scorers=(evalplus.scorer(f"HumanEval+ {release}"),),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title="HumanEval+: HumanEval with 80 times the tests" + (", the small set" if mini else ""),
            paper="Liu et al. 2023, arXiv 2305.01210",
            licence="Apache-2.0 (HumanEval: MIT)",
            tags=("functions",),
            url="https://github.com/evalplus/humanevalplus_release/releases/tag/v0.1.10",
            sizes={"test": 164},
            elsewhere="EvalPlus: 768 tokens, bfloat16; a chat is asked for a whole script, its opening given",
            setting="pass@1, greedy, zero-shot; 512 new tokens",
            files=(file,),
        ),
    )
