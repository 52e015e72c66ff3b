"""MBPP: short Python functions from one sentence and three assertions (Austin et al., 2021).

One row: text "Write a function to add two numbers.", test_list ["assert add(1, 2) == 3", ...] -> code
"def add(a, b):\\r\\n    return a + b". The model sees the assertions; they judge the answer, a whole program.
Ids 11 to 510 are the test set, 511 to 600 validation, 601 to 974 train (1 to 10 were the paper's shots).

`with_challenge` judges by the harder assertions as well, which 11 of the 974 rows have. `wording` joins text
and assertions: `lines` (a line each), `paper` (Austin et al.), `codefuse` (2311.02303: no space between).
Line ends are "\\n" here, "\\r\\n" in the file.
"""

import ast
import builtins
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from harness import scorers
from harness.errors import ConfigError
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
from harness.text.extract import whole_program

Wording = Literal["lines", "paper", "codefuse"]
Row = Mapping[str, Any]


def _file(split: str) -> DataFile:
    """The one upstream file; the hub has the same rows, a file a split."""
    revision = "4bb6404fdc6cacfda99d4ac4205087b89d32030c"
    hub = HubFile("google-research-datasets/mbpp", revision, f"full/{split}-00000-of-00001.parquet")
    return DataFile("mbpp", "mbpp.jsonl", hub)


FILES: Mapping[str, DataFile] = {split: _file(split) for split in ("train", "validation", "test")}
IDS: Mapping[str, range] = {
    "train": range(601, 975),
    "validation": range(511, 601),
    "test": range(11, 511),
}
FIELDS = ("task_id", "text", "code", "test_list", "test_setup_code", "challenge_test_list")

WORDINGS: Mapping[str, str] = {
    "lines": "\n",
    "paper": " Your code should pass these tests:\n\n",
    "codefuse": "Your code should satisfy these tests:\n",
}

# Text and assertions as a comment that the program follows (InCoder's layout); it ends with the next one.
PLAIN = Template(
    name="plain",
    style="plain",
    question='"""\n{question}\n"""\n',
    stop=("\nclass Test", "\nassert", '\n"""', "\nprint", "\nif", "\n```"),
)
PAPER = Template(
    name="paper",
    style="plain",
    question="You are an expert Python programmer, and here is your task: {question}\n[BEGIN]\n",
    answer="{solution}\n[DONE]",
    stop=("\n[DONE]",),
)
INSTRUCTION = Template(
    name="instruction",
    style="instruction",
    question="### Instruction:\n{question}\n### Response:\n```python\n",
    answer="{solution}\n```",
    stop=("\n```",),
)
CODEFUSE = Template(
    name="codefuse",
    style="instruction",
    question="<|role_start|>human<|role_end|>{question}<|role_start|>bot<|role_end|>",
    answer="```python\n{solution}\n```",
)
CHAT = Template(
    name="chat",
    style="chat",
    question="Solve this with a Python function. Its name and arguments are those of the tests. Reply with "
    "the whole program in one code block.\n{question}",
    answer="```python\n{solution}\n```",
)
TEMPLATES = (PLAIN, INSTRUCTION, CHAT, PAPER, CODEFUSE)


def _parse(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the rows' own "\\d" and the like
        return ast.parse(code)


def entry_point(tests: str, code: str) -> str:
    """The name that the tests call first and that `code` defines; the one called first if it defines none."""
    called = [
        node.func.id
        for node in ast.walk(_parse(tests))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    defined = {
        node.name
        for node in _parse(code).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    own = [name for name in called if name in defined]
    return (own or [name for name in called if not hasattr(builtins, name)] or [""])[0]


def imports(tests: str, code: str) -> str:
    """The modules that the tests use and leave it to the program to import."""
    used = {node.id for node in ast.walk(_parse(tests)) if isinstance(node, ast.Name)}
    taken = [
        f"import {alias.name}\n"
        for node in _parse(code).body
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname is None and alias.name in used
    ]
    return "".join(dict.fromkeys(taken))


def unix_newlines(text: str) -> str:
    return text.replace("\r\n", "\n")


def problem(row: Row, tests: Sequence[str], wording: str) -> Problem:
    """`tests` judge; what is shown are the first three, the row's `test_list`."""
    code = unix_newlines(row["code"])
    asserts = "\n".join(tests)
    # The set-up code builds values of classes that the program defines, so it belongs to the tests.
    setup = unix_newlines(row["test_setup_code"])
    return Problem(
        id=f"mbpp/{row['task_id']}",
        question=row["text"] + wording + "\n".join(row["test_list"]),
        solution=code,
        check=UnitTests(
            code=f"{setup}\n{asserts}" if setup else asserts,
            entry_point=entry_point("\n".join(row["test_list"]), code),
            setup=imports(asserts, code),
        ),
    )


def task(with_challenge: bool = False, wording: Wording = "lines") -> Task:
    if wording not in WORDINGS:
        raise ConfigError(f"task 'mbpp': wording {wording!r}: expected {', '.join(map(repr, WORDINGS))}")
    if not isinstance(with_challenge, bool):
        raise ConfigError(f"task 'mbpp': with_challenge {with_challenge!r}: expected true or false")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        for row in source.rows(FILES[split], FIELDS):
            if row["task_id"] in IDS[split]:
                harder = row["challenge_test_list"] if with_challenge else []
                yield problem(row, [*row["test_list"], *harder], WORDINGS[wording])

    return Task(
        name="mbpp",
        version=2,
        load=load,
        templates=TEMPLATES,
        extract=whole_program,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title="MBPP: short Python functions from a sentence and three assertions",
            paper="Austin et al. 2021, arXiv 2108.07732",
            licence="CC BY 4.0",
            tags=("functions",),
            url="https://github.com/google-research/google-research/tree/master/mbpp",
            sizes={split: len(ids) for split, ids in IDS.items()},
            elsewhere="lm-eval: three worked examples, answers up to [DONE] (prompt paper, shots icl:3)",
            setting="pass@1, greedy, zero-shot, ids 11-510 (2311.02303, with_challenge, wording codefuse)",
            files=tuple(FILES.values()),
        ),
    )
