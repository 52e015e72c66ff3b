"""HumanEval+: HumanEval's functions with 80 times the tests (Liu et al., 2023; EvalPlus v0.1.10).

One row: prompt `def add(x, y):\\n    \"\"\"Add two numbers.\"\"\"\\n`, base_input [[1, 2]], plus_input
[[0, -1], ...], atol 0 -> canonical_solution `    return x + y`. The answer has to agree with the reference on
every input (tasks/families/evalplus.py); a root that `find_zero` gives has to be one.

`mini` takes the release's small set of inputs (2,677 in place of 124,253).
"""

from collections.abc import Iterable

from harness import scorers
from harness.errors import ConfigError
from harness.schema import Card, DataFile, Limits, Problem, Sampling, Source, Split, Task
from harness.tasks.families import evalplus
from harness.tasks.humaneval import CHAT, INSTRUCTION, PLAIN  # the two tasks differ in their tests alone
from harness.text.extract import python_program

# Neither file is on the hub: its parquet file has the expected values written out and no `atol`.
FULL = DataFile("humaneval_plus", "HumanEvalPlus-v0.1.10.jsonl")
MINI = DataFile("humaneval_plus", "HumanEvalPlus-Mini-v0.1.10.jsonl")
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")

# EvalPlus gives each input four times the reference's time and at least a second. The slowest reference
# takes 2.5 s for all its inputs on a common machine.
LIMITS = Limits(cpu_s=15.0, wall_s=60.0)


def task(mini: bool = False) -> Task:
    if not isinstance(mini, bool):
        raise ConfigError(f"task 'humaneval_plus': mini {mini!r}: expected true or false")
    file = MINI if mini else FULL

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
                check=evalplus.tests(row, row["prompt"] + row["canonical_solution"], judge, LIMITS),
            )

    return Task(
        name="humaneval_plus",
        version=2,
        load=load,
        templates=(PLAIN, INSTRUCTION, CHAT),
        extract=python_program,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title="HumanEval+: HumanEval with 80 times the tests" + (", the small set" if mini else ""),
            paper="Liu et al. 2023, arXiv 2305.01210",
            licence="Apache-2.0 (HumanEval: MIT)",
            url="https://github.com/evalplus/humanevalplus_release/releases/tag/v0.1.10",
            sizes={"test": 164},
            setting="pass@1, greedy, zero-shot; 512 new tokens",
            files=(file,),
        ),
    )
