"""BigCodeBench: practical programs that call many libraries, judged by unittest cases (Zhuo et al., 2024).

One row: complete_prompt `import random\\n\\ndef task_func(n):\\n    \"\"\"Draw n numbers ...\"\"\"\\n`, the same as a
request (instruct_prompt), code_prompt (imports and signature alone), canonical_solution (the body), and test, a
unittest class TestCases that calls task_func. `ask = "complete"` or `"instruct"` says which prompt; `subset = "hard"`
takes the 148 rows of BigCodeBench-Hard. As on upstream's leaderboard, `calibrated` puts code_prompt with an empty body
before each answer, so that one without its imports is not failed for that.

An answer and its tests are one module, in which `sys`, `os` and `environ` are there beforehand; it passes if unittest
counts no failure and no error. Tests patch, look at figures and share names with the program, so they run in its
process (docs/sandbox.md says what that means: a pass is hard to forge, not impossible). Upstream allows 240 s by the
clock and 30 GB of address space; here it is 120 s of CPU time, 240 s of idleness, 4 GB, no child process, no network.

300 rows need the standard library only, which is all that programs see by default. The others need the benchmark's
libraries:

    harness env bigcodebench --data DATA        builds .bigcodebench-env and its lock
    harness run --task bigcodebench --model MODEL --data DATA --set judge.python=.bigcodebench-env/bin/python

Each row's reference is run before its answers; where it does not pass, the answers have no score and say why.
"""

from collections.abc import Iterable
from functools import partial
from typing import Literal, get_args

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
from harness.tasks.families.unittest_cases import RUNNER, run_class
from harness.text.extract import Extractor, Reading, by_entry_point, python_program, whole_program

Ask = Literal["complete", "instruct"]
Subset = Literal["full", "hard"]

FILE = DataFile(benchmark="bigcodebench", name="BigCodeBench.jsonl")
FIELDS = (
    "task_id",
    "complete_prompt",
    "instruct_prompt",
    "code_prompt",
    "canonical_solution",
    "test",
    "entry_point",
)
LIMITS = Limits(cpu_s=120.0, wall_s=240.0, memory_mb=4096, output_kb=16 << 10)
PUBLISHED = {
    ("complete", "full"): "Published for Qwen2.5-Coder-1.5B (base): 34.8; for GPT-4o (2024-05-13): 61.1",
    ("instruct", "full"): "Published for GPT-4o (2024-05-13): 51.1",
    ("complete", "hard"): "Published for Qwen2.5-Coder-1.5B (base): 9.5",
}
SIZES = {"full": 1140, "hard": 148}

HARD = """\
13 15 17 19 34 37 82 89 92 93 99 100 101 108 120 123 124 129 139 147 161 162 177 184 187 199 208 211 214 227 239 241
267 273 274 287 302 308 310 313 324 326 341 346 360 367 368 374 399 401 409 417 418 424 443 445 454 458 461 477 486
492 501 502 503 509 511 513 526 528 530 532 553 560 567 574 579 582 583 587 590 592 593 594 618 636 637 654 655 657
678 720 723 752 760 763 765 771 777 785 800 826 845 854 857 865 870 879 897 906 914 915 916 917 928 942 945 952 955
963 964 969 971 985 988 990 998 999 1003 1004 1006 1008 1012 1013 1015 1019 1020 1022 1039 1040 1042 1053 1057 1077
1085 1124 1129 1137
"""  # the numbers of BigCodeBench-Hard's rows

# As in the benchmark's own generation: a continuation ends at the next top-level statement, a block with its fence.
STOP = ("\nif __name__", "\ndef main(", "\nprint(")
TOP_LEVEL = ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")
REQUEST = "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
REPLY = (
    "Below is a Python script with a self-contained function that solves the problem and passes corresponding tests:"
    "\n```python\n"
)

SETUP = "import os, sys\nfrom os import environ\n"


def _templates(ask: Ask) -> tuple[Template, ...]:
    """The first chat is what upstream sends to servers; it begins the answer of the models that it runs itself."""
    block = "```\n{question}```\n" if ask == "complete" else "{question}\n"
    answer = "```python\n{code_prompt}{solution}\n```" if ask == "complete" else "```python\n{solution}\n```"
    chat = Template(name="chat", style="chat", question=f"{REQUEST}\n{block}", answer=answer)
    return (
        Template(name="plain", style="plain", stop=(*STOP, *TOP_LEVEL) if ask == "complete" else STOP),
        chat,
        chat.model_copy(
            update={
                "name": "chat_prefill",
                "prefill": REPLY,
                "answer": REPLY + answer.removeprefix("```python\n"),
                "stop": (*STOP, "\n```\n"),
            }
        ),
    )


def calibration(problem: Problem) -> str:
    """What upstream puts before every answer: imports and signature, with an empty body."""
    return f"{problem.parts['code_prompt']}\n    pass\n"


def _extractor(ask: Ask, calibrated: bool) -> Extractor:
    plain = python_program if ask == "complete" else whole_program

    def calibrated_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
        return calibration(problem) + plain(problem, completion, read)

    return calibrated_program if calibrated else plain


def _load(ask: Ask, subset: Subset, split: Split, source: Source) -> Iterable[Problem]:
    if split != "test":
        return
    hard = HARD.split()
    for row in source.rows(FILE, FIELDS):
        name, code, body = row["task_id"], row["code_prompt"], row["canonical_solution"].rstrip()
        if subset == "hard" and name.rpartition("/")[2] not in hard:
            continue
        yield Problem(
            id=name,
            question=row[f"{ask}_prompt"],
            solution=body if ask == "complete" else f"{code}{body}",
            check=UnitTests(
                code=row["test"] + RUNNER + run_class("TestCases"),
                entry_point=row["entry_point"],
                setup=SETUP,
                limits=LIMITS,
                in_module=True,
                reference=f"{code}{body}",
            ),
            parts={"code_prompt": code},
        )


def task(ask: Ask = "complete", subset: Subset = "full", calibrated: bool = True) -> Task:
    """`ask`: "complete" or "instruct"; `subset`: "full" or "hard"; `calibrated`: as on upstream's leaderboard."""
    for name, given, allowed in (("ask", ask, get_args(Ask)), ("subset", subset, get_args(Subset))):
        if given not in allowed:
            raise ConfigError(f"task 'bigcodebench': {unknown(name, given, allowed)}")
    return Task(
        name="bigcodebench",
        version=1,
        load=partial(_load, ask, subset),
        templates=_templates(ask),
        extract=_extractor(ask, calibrated),
        scorers=(scorers.proved_unit_tests("bigcodebench"),),
        sampling=Sampling(max_tokens=1280),
        card=Card(
            title=f"BigCodeBench{'-Hard' if subset == 'hard' else ''}: programs that call many libraries",
            paper="Zhuo et al. 2024, arXiv 2406.15877",
            licence="Apache-2.0",
            tags=("libraries",),
            url="https://github.com/bigcode-project/bigcodebench",
            sizes={"test": SIZES[subset]},
            setting="calibrated pass@1, greedy, zero-shot; 1,280 new tokens. "
            + PUBLISHED.get((ask, subset), "upstream's leaderboard has figures"),
            files=(FILE,),
        ),
        preload=("numpy", "pandas", "matplotlib.pyplot"),
    )
