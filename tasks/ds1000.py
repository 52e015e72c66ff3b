"""DS-1000: data-science questions from Stack Overflow, answered in a given context (Lai et al., 2023).

One row (the simplified form, ds1000.jsonl.gz): a prompt that ends where code is to go on, "A:\\n<code>\\nimport
numpy as np\\na = np.arange(4)\\n</code>\\nresult = ... # put solution in this variable\\nBEGIN SOLUTION\\n<code>\\n"
-> reference_code `result = a[::-1]`. Its code_context has the context with [insert] in it and the row's tests:
cases, a comparison, sometimes a rule on the answer's tokens ("no loop"); all of them count.

`layout = "codefuse"` reads CodeFuse's copy instead (CodeCompletion or CodeInsertion, with `format =
"insertion"`): cases are pickles there, and the rule on tokens, which that copy never applied, is applied.

The rows are written for pandas 1.5.3 and numpy 1.26.4 (the benchmark's own pins), which need an environment of
their own:

    harness env ds1000 --data DATA                   builds .ds1000-env: Python 3.11, the pinned libraries, its lock
    harness run --task ds1000 --model MODEL --data DATA --set judge.python=.ds1000-env/bin/python

Each row's reference is run before its answers. Where it fails, the environment is at fault and not the answer:
such rows have no score and say which versions are wanted. PyTorch and TensorFlow are not in that environment: its
lock excludes their 113 rows.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from harness import scorers
from harness.errors import ConfigError, DataError
from harness.schema import (
    Card,
    Completion,
    DataFile,
    HubFile,
    Limits,
    Problem,
    Sampling,
    Snippet,
    Source,
    Split,
    Task,
    Template,
)
from harness.text.extract import Reading, Wanted, first_in_language
from harness.text.markdown import blocks

FILE = DataFile(
    benchmark="ds1000",
    name="ds1000.jsonl",
    hub=HubFile(
        repo="xlangai/DS-1000",
        revision="4416080ac5cb80bdf7576aefb8f9a0b4d5426a44",
        path="test.jsonl",
    ),
)
FIELDS = ("prompt", "reference_code", "metadata", "code_context")
CODEFUSE = "ds1000_codefuse"
CODEFUSE_FIELDS = (
    "task_id",
    "prompt",
    "code_context",
    "canonical_solution",
    "test",
    "language",
    "test_case_cnt",
)
LIBRARIES = ("Pandas", "Numpy", "Matplotlib", "Sklearn", "Scipy", "Pytorch", "Tensorflow")
FORMATS = {"completion": "CodeCompletion", "insertion": "CodeInsertion"}

# As in the benchmark's own evaluation; the first closes the block that the prompt opened.
STOP = ("</code>", "# SOLUTION END", "END SOLUTION")
LIMITS = Limits(cpu_s=60.0, wall_s=120.0, memory_mb=4096)

PLAIN = Template(name="plain", style="plain", answer="{solution}\n</code>", stop=STOP)
CHAT = Template(
    name="chat",
    style="chat",
    system="You complete Python programs.",
    question="{question}\n\nReply with nothing but the code that goes there, indented to fit, in one code block.",
    answer="```python\n{solution}\n```",
)


def answer(problem: Problem, completion: Completion, read: Reading | None = None) -> str:
    """The code to insert, its indentation kept: up to the first stop string; of raw output the first block."""
    del problem
    text = completion.text
    if completion.form == "output":
        found = blocks(text)
        if read is not None:
            text = read(text, Wanted())
        else:
            text = first_in_language(found, "python") if found else text.rpartition("<code>")[2]
    for mark in STOP:
        text = text.partition(mark)[0]
    return text.strip("\n").rstrip()


def _upstream(source: Source) -> Iterator[Problem]:
    for row in source.rows(FILE, FIELDS):
        about, context = row["metadata"], row["code_context"]
        wanted = dict.fromkeys(re.findall(r"test_env\[[\"'](\w+)[\"']\]", context))
        name = f"ds1000/{about['problem_id']}"
        if "def test_execution(" not in context:
            source.skip(name, "its code_context has no test_execution")
            continue
        yield Problem(
            id=name,
            question=row["prompt"],
            solution=row["reference_code"].strip("\n"),
            check=Snippet(
                code=context,
                wanted=tuple(wanted) or ("result",),
                in_process=about["library"] == "Matplotlib",
                limits=LIMITS,
            ),
            group=about["library"],
            cluster=f"{about['library']}/{about.get('perturbation_origin_id', about['problem_id'])}",
        )


def _codefuse(source: Source, folder: str) -> Iterator[Problem]:
    """CodeFuse's files, of those libraries that are there. Their paths name folders of pickles next to them."""
    there = 0
    for library in LIBRARIES:
        file = DataFile(benchmark=CODEFUSE, name=f"{folder}/{library}/{library}.jsonl")
        if source.find(file) is None:
            continue
        there += 1
        for row in source.rows(file, CODEFUSE_FIELDS):
            try:
                yield _recorded(source, row, f"{folder}/{library}")
            except DataError as error:
                source.skip(row["task_id"], str(error))
    if not there:
        list(
            source.rows(DataFile(benchmark=CODEFUSE, name=f"{folder}/Numpy/Numpy.jsonl"))
        )  # says what is missing


def _recorded(source: Source, row: Mapping[str, Any], folder: str) -> Problem:
    number = row["task_id"].rpartition("/")[2]
    context = row["code_context"]
    dumped = _dumped(context)

    def pickles(kind: str) -> tuple[str, ...]:
        names = [
            f"{folder}/{kind}_{number}/{kind}{case}.pkl" for case in range(1, int(row["test_case_cnt"]) + 1)
        ]
        return tuple(b64encode(source.blob(DataFile(CODEFUSE, name))).decode() for name in names)

    return Problem(
        id=row["task_id"],
        question=row["prompt"],
        solution=row["canonical_solution"].strip("\n"),
        check=Snippet(
            code=row["test"],
            wanted=tuple(dict.fromkeys(re.findall(r"\w+", dumped))),
            context=context,
            dumped=dumped,
            inputs=pickles("input"),
            answers=pickles("ans"),
            limits=LIMITS,
        ),
        group=row["language"],
    )


def _dumped(context: str) -> str:
    """The expression whose value a context dumps: a name, or a list or tuple of names. Raises DataError."""
    calls = re.findall(r"pickle\.dump\((.+), *\w+\)", context)
    if len(calls) != 1 or not re.fullmatch(r"[A-Za-z_]\w*|[\[(][\w, ]+[\])]", calls[0].strip()):
        raise DataError("its code_context does not dump one value")
    return str(calls[0].strip())


def task(
    layout: Literal["upstream", "codefuse"] = "upstream",
    format: Literal["completion", "insertion"] = "completion",
) -> Task:
    """`layout`: "upstream" (ds1000.jsonl) or "codefuse"; `format`, of the latter: "completion" or "insertion"."""
    if layout not in ("upstream", "codefuse"):
        raise ConfigError(f"task 'ds1000': layout {layout!r}: expected 'upstream' or 'codefuse'")
    if format not in FORMATS:
        raise ConfigError(f"task 'ds1000': format {format!r}: expected 'completion' or 'insertion'")
    if layout == "upstream" and format != "completion":
        raise ConfigError("task 'ds1000': format 'insertion' is of layout 'codefuse': set options.layout too")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return ()
        return _upstream(source) if layout == "upstream" else _codefuse(source, FORMATS[format])

    return Task(
        name="ds1000",
        version=3,
        load=load,
        templates=(PLAIN, CHAT),
        extract=answer,
        scorers=(scorers.snippets,),
        sampling=Sampling(max_tokens=512, stop=STOP),
        packages=("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "seaborn", "torch", "tensorflow"),
        card=Card(
            title="DS-1000: data-science snippets in seven libraries",
            paper="Lai et al. 2023, arXiv 2211.11501",
            licence="CC BY-SA 4.0",
            tags=("libraries", "stack-overflow"),
            url="https://github.com/xlang-ai/DS-1000",
            sizes={"test": 1000},
            setting="pass@1 a library and over all, greedy, zero-shot; 512 new tokens",
            files=(FILE,),
        ),
        preload=("numpy", "pandas", "scipy.stats", "matplotlib.pyplot"),
    )
