"""Calculus in cells: short SymPy and NumPy programs whose result is an expression or a number.

One row: question "Differentiate x**2*sin(x) with respect to x. Put the derivative into `result`." -> solution
"from sympy import ...\\nresult = diff(x**2*sin(x), x)", answer "x**2*cos(x) + 2*x*sin(x)". The rows are the
project's own (of a course note there are only its metrics): how many cells run, how like the reference's
their syntax trees are, and how many results are equal to the answer as mathematics, not as text.
"""

from collections.abc import Iterable

from harness import scorers
from harness.schema import Card, DataFile, Expression, Problem, Sampling, Source, Split, Task, Template
from harness.text.extract import whole_program

FILES: dict[Split, DataFile] = {
    split: DataFile(benchmark="calculus", name=f"calculus-{split}.jsonl") for split in ("train", "test")
}
FIELDS = ("id", "question", "solution", "answer", "topic")

PLAIN = Template(
    name="plain",
    style="plain",
    question='"""\n{question}\n"""\n',
    answer="{solution}\n",
    stop=('\n"""', "\n```", "\nprint", "\n# %%"),
)
INSTRUCTION = Template(
    name="instruction",
    style="instruction",
    question="### Instruction:\n{question}\n### Response:\n```python\n",
    answer="{solution}\n```",
    stop=("\n```",),
)
CHAT = Template(
    name="chat",
    style="chat",
    question="Write a short Python program with SymPy or NumPy. Reply with one code block.\n{question}",
    answer="```python\n{solution}\n```",
)


def load(split: Split, source: Source) -> Iterable[Problem]:
    if split not in FILES:
        return
    for row in source.rows(FILES[split], FIELDS):
        yield Problem(
            id=f"calculus/{split}/{row['id']}",
            question=row["question"],
            solution=row["solution"],
            check=Expression(texts=(row["solution"],), value=row["answer"]),
            group=row["topic"],
        )


def task() -> Task:
    return Task(
        name="calculus",
        version=2,
        load=load,
        templates=(PLAIN, INSTRUCTION, CHAT),
        extract=whole_program,
        scorers=(scorers.symbolic, scorers.valid_rate, scorers.ast_similarity),
        sampling=Sampling(max_tokens=128),
        packages=("numpy", "sympy"),
        card=Card(
            title="Calculus: SymPy and NumPy cells",
            paper="a course note on CodeGen (Nijkamp et al. 2022, arXiv 2203.13474); own rows",
            licence="MIT",
            tags=("mathematics", "libraries"),
            url="https://docs.sympy.org/latest/tutorials/intro-tutorial/calculus.html",
            sizes={"train": 203, "test": 45},
            setting="greedy, zero-shot; 128 new tokens",
            files=tuple(FILES.values()),
        ),
        preload=("numpy", "sympy"),
    )
