"""HumanEval: complete a Python function from its signature and docstring (Chen et al., 2021).

One row: prompt `def add(x, y):\\n    \"\"\"Add two numbers.\"\"\"\\n` -> body `    return x + y`. Judged by
the row's own `check(candidate)`, run outside the candidate's process; what the prompt defines beside the
function is there too.
"""

from collections.abc import Iterable

from harness import scorers
from harness.schema import (
    Card,
    DataFile,
    HubFile,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
    UnitTests,
)
from harness.text.extract import python_program

FILE = DataFile(
    benchmark="humaneval",
    name="HumanEval.jsonl",
    hub=HubFile(
        repo="openai/openai_humaneval",
        revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
        path="openai_humaneval/test-00000-of-00001.parquet",
    ),
)
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")

# A completion ends where the function does: at the first line that starts a new top-level statement.
PLAIN = Template(
    name="plain", style="plain", stop=("\nclass", "\ndef", "\n#", "\nif", "\nprint", "\n@", "\n```")
)
INSTRUCTION = Template(
    name="instruction",
    style="instruction",
    question="### Instruction:\nComplete this Python function.\n```python\n{question}```\n"
    "### Response:\n```python\n",
    answer="{question}{solution}```",
    stop=("\n```",),
)
CHAT = Template(
    name="chat",
    style="chat",
    question="Complete this Python function. Reply with the whole function in one code block.\n"
    "```python\n{question}```",
    answer="```python\n{question}{solution}```",
)


def load(split: Split, source: Source) -> Iterable[Problem]:
    if split != "test":
        return
    for row in source.rows(FILE, FIELDS):
        yield Problem(
            id=row["task_id"],
            question=row["prompt"],
            solution=row["canonical_solution"],
            check=UnitTests(
                code=f"{row['test']}\ncheck({row['entry_point']})",
                entry_point=row["entry_point"],
                setup=row["prompt"],
            ),
        )


def task() -> Task:
    return Task(
        name="humaneval",
        version=2,
        load=load,
        templates=(PLAIN, INSTRUCTION, CHAT),
        extract=python_program,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title="HumanEval: Python functions from docstrings",
            paper="Chen et al. 2021, arXiv 2107.03374",
            licence="MIT",
            tags=("functions",),
            url="https://github.com/openai/human-eval",
            sizes={"test": 164},
            elsewhere="lm-eval: 1,024 tokens, humaneval_instruct opens a chat's answer; bigcode: prompt stripped,"
            " temperature 0.2, top-p 0.95; EvalPlus: 768 tokens, a chat is asked for a whole script",
            setting="pass@1, greedy, zero-shot (2311.02303); 512 new tokens",
            files=(FILE,),
        ),
    )
