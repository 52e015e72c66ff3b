"""HumanEval Infilling: HumanEval's functions with a gap to fill (Fried et al., 2022; Bavarian et al., 2022).

One row: prompt "def add(x, y):\\n", suffix "    return total\\n" -> what stands between, `    total = x + y\\n`.
Judged as HumanEval is, prompt + answer + suffix under its tests, and to the letter: what a model writes up to its
family's own end mark is the answer. `subset` is upstream's name of a set: a line left out, several lines, or from one
random character to another; `random-span-light` has one such gap a function.

A few gaps may stay empty, upstream too, for the program passes without them: docs/parity.md has their number.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from harness import scorers
from harness.errors import ConfigError, unknown
from harness.schema import (
    Card,
    Completion,
    DataFile,
    Limits,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
    UnitTests,
)
from harness.text.extract import python_code

Subset = Literal["single-line", "multi-line", "random-span", "random-span-light"]

FILES: Mapping[str, str] = {
    "single-line": "HumanEval-SingleLineInfilling.jsonl",
    "multi-line": "HumanEval-MultiLineInfilling.jsonl",
    "random-span": "HumanEval-RandomSpanInfilling.jsonl",
    "random-span-light": "HumanEval-RandomSpanInfillingLight.jsonl",
}
SIZES: Mapping[str, int] = {
    "single-line": 1033,
    "multi-line": 5815,
    "random-span": 1640,
    "random-span-light": 164,
}
FIELDS = ("task_id", "entry_point", "prompt", "suffix", "canonical_solution", "test")
# Upstream ends a program after 3 s by the clock; here CPU time counts, and for sleepers time without it.
LIMITS = Limits(cpu_s=3.0, wall_s=5.0)

FIM = Template(name="fim", style="fim", suffix="{suffix}")


def problem(row: Mapping[str, Any]) -> Problem:
    """What stands above the function is there for the tests too, as in HumanEval."""
    name = row["entry_point"]
    return Problem(
        id=row["task_id"],
        question=row["prompt"],
        solution=row["canonical_solution"],
        check=UnitTests(
            code=f"{row['test']}\ncheck({name})",
            entry_point=name,
            setup=python_code.preamble(row["prompt"], name),
            limits=LIMITS,
        ),
        cluster="/".join(row["task_id"].split("/")[1:3]),
        parts={"suffix": row["suffix"]},
    )


def filled(problem: Problem, completion: Completion) -> str:
    """The program with its gap filled, to the letter."""
    if completion.form == "program":
        return completion.text
    return problem.question + completion.text + problem.parts["suffix"]


def task(subset: Subset = "single-line") -> Task:
    if subset not in get_args(Subset):
        raise ConfigError(f"task 'humaneval_infilling': {unknown('subset', subset, get_args(Subset))}")
    file = DataFile("humaneval_infilling", FILES[subset])

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split == "test":
            yield from map(problem, source.rows(file, FIELDS))

    return Task(
        name="humaneval_infilling",
        version=1,
        load=load,
        templates=(FIM,),
        extract=filled,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title=f"HumanEval Infilling: Python functions with a gap, {subset}",
            paper="Bavarian et al. 2022, arXiv 2207.14255",
            licence="MIT",
            tags=("functions", "infilling"),
            url="https://github.com/openai/human-eval-infilling",
            sizes={"test": SIZES[subset]},
            setting="pass@1 to pass@100, zero-shot, each model's own fill-in-the-middle marks; 512 new tokens",
            files=(file,),
        ),
    )
