"""Code comments: the model adds comments to a function without changing it (2311.02303, Table 4, on MBPP).

One row: code "def add(a, b):\\n    return a + b" -> the same with comments. What can be told from one run is whether
the code was kept and anything was added; whose comments are best a rater says of several runs: `harness prefer RUN
RUN...`. A shot shows MBPP's own sentence above the code. The paper's id range is not given; these are MBPP's test
ids 11 to 510, its 500.
"""

from collections.abc import Iterable

from harness import scorers
from harness.schema import Card, Problem, Reference, Sampling, Source, Split, Task, Template
from harness.tasks import mbpp
from harness.text.extract import whole_program

ASK = "Add comments to this Python code: a docstring for each function and comments where a reader needs them. Do not "
ASK += "change the code itself."

INSTRUCTION = Template(
    name="instruction",
    style="instruction",
    question=f"### Instruction:\n{ASK}\n```python\n{{question}}\n```\n### Response:\n```python\n",
    answer="{solution}\n```",
    stop=("\n```",),
)
CHAT = Template(
    name="chat",
    style="chat",
    question=f"{ASK} Reply with the whole code in one code block.\n```python\n{{question}}\n```",
    answer="```python\n{solution}\n```",
)
# The wording of CodeFuseEval, full-width colon included.
CODEFUSE = Template(
    name="codefuse",
    style="instruction",
    question="<|role_start|>human<|role_end|>Add a comment to the code as follows：\n {question}"
    "<|role_start|>bot<|role_end|>",
    answer="```python\n{solution}\n```",
)


def load(split: Split, source: Source) -> Iterable[Problem]:
    for row in source.rows(mbpp.FILES[split], mbpp.FIELDS):
        if row["task_id"] in mbpp.IDS[split]:
            code = mbpp.unix_newlines(row["code"]).strip("\n")
            yield Problem(
                id=f"mbpp/{row['task_id']}",
                question=code,
                solution=f"# {' '.join(row['text'].split())}\n{code}",
                check=Reference(texts=(code,)),
            )


def task() -> Task:
    return Task(
        name="code_comment",
        version=2,
        load=load,
        templates=(INSTRUCTION, CHAT, CODEFUSE),
        extract=whole_program,
        scorers=(scorers.comments,),
        sampling=Sampling(max_tokens=512),
        card=Card(
            title="Code comments: comments for MBPP's functions, compared by a rater",
            paper="Liu et al. 2023, arXiv 2311.02303",
            licence="CC BY 4.0",
            tags=("comments",),
            url="https://github.com/codefuse-ai/codefuse-evaluation",
            sizes={split: len(ids) for split, ids in mbpp.IDS.items()},
            setting="greedy, zero-shot; three models' answers compared by a rater that names the best",
            files=tuple(mbpp.FILES.values()),
        ),
    )
