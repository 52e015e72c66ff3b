"""CodeAlpacaPy: Python answers to instructions, from CodeAlpaca-20k (2308.10462).

One row: nl "Write a function that doubles a number in Python." -> cmd "def double(x):\\n    return 2 * x".
Judged by text; there are no tests.

`corpus` published is the study's own split (2,192 / 314 / 628; the hub's antolin/codealpaca-filtered). Its
filter was never published. rebuilt makes one like it from CodeAlpaca-20k for people who have only that: rows
without input whose instruction names Python and whose output parses, each instruction once, shuffled with
seed 42, 70 % train, 10 % validation, 20 % test. The rows are not the study's, nor are the numbers.
"""

import ast
import random
import warnings
from collections.abc import Iterable, Mapping
from typing import Literal

from harness import scorers
from harness.errors import ConfigError
from harness.prompts.templates import FENCED, INSTRUCTION, LEGACY_2023
from harness.schema import (
    Card,
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
from harness.text.extract import first_code_block

Corpus = Literal["published", "rebuilt"]
Pair = tuple[str, str]

# The hub's split is called valid; no revision is pinned, so the files are the user's to fetch.
FILES: Mapping[str, DataFile] = {
    "train": DataFile("codealpaca_py", "train.jsonl"),
    "validation": DataFile("codealpaca_py", "valid.jsonl"),
    "test": DataFile("codealpaca_py", "test.jsonl"),
}
FULL_FILE = DataFile(
    benchmark="codealpaca",
    name="code_alpaca_20k.json",
    hub=HubFile(
        repo="sahil2801/CodeAlpaca-20k",
        revision="152bb5e9a29651266b018106053980070a0521a1",
        path="code_alpaca_20k.json",
    ),
)
SIZES: Mapping[str, int] = {"train": 2192, "validation": 314, "test": 628}
SEED = 42

PLAIN = Template(name="plain", style="plain", question='"""{question}"""\n')
CHAT = Template(
    name="chat",
    style="chat",
    question="Solve this in Python. Reply with one code block.\n{question}",
    answer="```python\n{solution}\n```",
)


def _parses(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(ast.parse(code).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def rebuild(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """Pairs of instruction and output, filtered and split."""
    kept: dict[str, str] = {}
    for instruction, output in pairs:
        if "python" in instruction.lower() and instruction not in kept and _parses(output):
            kept[instruction] = output
    rows = list(kept.items())
    random.Random(SEED).shuffle(rows)
    first, second = len(rows) * 7 // 10, len(rows) * 8 // 10
    return {"train": rows[:first], "validation": rows[first:second], "test": rows[second:]}


def _published(split: Split, source: Source) -> list[Pair]:
    return [(row["nl"], row["cmd"]) for row in source.rows(FILES[split], ("nl", "cmd"))]


def _rebuilt(split: Split, source: Source) -> list[Pair]:
    rows = source.rows(FULL_FILE, ("instruction", "input", "output"))
    return rebuild((row["instruction"], row["output"]) for row in rows if not row["input"].strip())[split]


def task(corpus: Corpus = "published") -> Task:
    if corpus not in ("published", "rebuilt"):
        raise ConfigError(f"task 'codealpaca_py': corpus {corpus!r}: expected 'published' or 'rebuilt'")
    published = corpus == "published"
    pairs = _published if published else _rebuilt

    def load(split: Split, source: Source) -> Iterable[Problem]:
        for i, (question, code) in enumerate(pairs(split, source)):
            check = Reference(texts=(code,))
            yield Problem(id=f"codealpaca_py/{split}/{i}", question=question, solution=code, check=check)

    return Task(
        name="codealpaca_py",
        version=2,
        load=load,
        templates=(INSTRUCTION, CHAT, PLAIN, FENCED, LEGACY_2023),
        extract=first_code_block,
        scorers=(scorers.exact, scorers.codebleu),
        sampling=Sampling(max_tokens=128),
        card=Card(
            title="CodeAlpacaPy: Python answers to instructions" + ("" if published else ", rebuilt"),
            paper="Weyssow et al. 2023, arXiv 2308.10462",
            licence="CC BY-NC 4.0",
            tags=("instructions",),
            url="https://huggingface.co/datasets/antolin/codealpaca-filtered"
            if published
            else "https://github.com/sahil280114/codealpaca",
            sizes=SIZES,
            setting="beam 10, 10 returned: EM@1, EM@10, CodeBLEU (2308.10462); 128 new tokens",
            files=tuple(FILES.values()) if published else (FULL_FILE,),
        ),
    )
