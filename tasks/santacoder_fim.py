"""SantaCoder-FIM: fill in a left-out line of Python, JavaScript or Java, by exact match (Ben Allal et al., 2023).

One row: prompt "def add(x, y):\\n    total = x + y", suffix "" -> `    return total`. The programs are solutions of
MultiPL-E's HumanEval. A line's own ends are in neither part, and blanks around an answer do not count: upstream strips
both before it compares. Groups are languages, as upstream reports them.
"""

from collections.abc import Iterable

from harness import scorers
from harness.schema import (
    Card,
    Completion,
    DataFile,
    HubFile,
    Problem,
    Reference,
    Sampling,
    Source,
    Split,
    Task,
    Template,
)

FILE = DataFile(
    benchmark="santacoder_fim",
    name="train.parquet",
    hub=HubFile(
        repo="bigcode/santacoder-fim-task",
        revision="def3907ab0e63fc18334665533d89770444babc0",
        path="data/train-00000-of-00001-b6ec1fdd66018baa.parquet",
    ),
)
FIELDS = ("name", "language", "prompt", "suffix", "canonical_solution")

FIM = Template(name="fim", style="fim", shot="{question}\n{solution}\n{suffix}", suffix="{suffix}")


def load(split: Split, source: Source) -> Iterable[Problem]:
    """Upstream calls its only split train, and trains on none of it."""
    if split != "test":
        return
    for row in source.rows(FILE, FIELDS):
        name = f"{row['language']}/{row['name']}"
        yield Problem(
            id=name,
            question=row["prompt"],
            solution=row["canonical_solution"],
            check=Reference(texts=(row["canonical_solution"],)),
            group=row["language"],
            cluster=name.rpartition("-L")[0],
            parts={"suffix": row["suffix"]},
        )


def answer(problem: Problem, completion: Completion) -> str:
    """All of the text: only its family's marks end what a model fills in."""
    del problem
    return completion.text


def task() -> Task:
    return Task(
        name="santacoder_fim",
        version=1,
        load=load,
        templates=(FIM,),
        extract=answer,
        scorers=(scorers.exact,),
        sampling=Sampling(max_tokens=128),
        card=Card(
            title="SantaCoder-FIM: one line of Python, JavaScript or Java, left out",
            paper="Ben Allal et al. 2023, arXiv 2301.03988",
            licence="OpenRAIL",
            tags=("infilling",),
            languages=("python", "javascript", "java"),
            url="https://huggingface.co/datasets/bigcode/santacoder-fim-task",
            sizes={"test": 4792},
            setting="exact match in each language, zero-shot, each model's own fill-in-the-middle marks; 128 tokens",
            files=(FILE,),
        ),
    )
