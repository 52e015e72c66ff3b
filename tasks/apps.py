"""APPS: programs for contest and interview problems (Hendrycks et al., 2021).

One row: question "Read two integers, print their sum. -----Input----- ...", input_output
'{"inputs": ["1 2\\\\n"], "outputs": ["3\\\\n"]}' -> solution "print(sum(map(int, input().split())))". Where
`input_output` names a function (`fn_name`), the row has starter code and the tests are calls. Two forms are
read: the hub's train.jsonl and test.jsonl, and the folders APPS/train/NNNN/ and APPS/test/NNNN/.

Rows without tests (`input_output` empty) are left out: they could only be passed by everything. The place a
row has in a split is determined before that, so the other rows stay where the published split has them. A row
without a solution has the empty text for one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from harness.errors import ConfigError, DataError
from harness.files import parse_json
from harness.schema import (
    Card,
    Completion,
    DataFile,
    HubFile,
    IOCase,
    IOCases,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
)
from harness.scorers.execution.io_cases import io_cases_with
from harness.text.extract import Reading, Wanted, by_entry_point, wanted_by

Setting = Literal["study", "full"]
Guide = Literal["apps", "swapped"]
Compare = Literal["apps", "strict"]
Row = Mapping[str, Any]


def _file(split: str) -> DataFile:
    hub = HubFile("codeparrot/apps", "21e74ddf8de1a21436da12e3e653065c5213e9d1", f"{split}.jsonl")
    return DataFile("apps", f"{split}.jsonl", hub, folder=f"APPS/{split}")


FILES: Mapping[str, DataFile] = {"train": _file("train"), "test": _file("test")}
LEVELS = ("introductory", "interview", "competition")
OPTIONAL = ("solutions", "input_output", "starter_code")  # files that a row's folder need not have
SIZES: Mapping[str, Mapping[str, int]] = {
    "study": {"train": 4500, "validation": 500, "test": 750},
    "full": {"train": 5000, "test": 5000},
}
TESTS_PER_LEVEL = 250  # test problems of each level in the study

# The last line of a prompt's question, for standard input and for a function. `swapped`: a slip of the hub's prompt
# helper, which others took over.
GUIDES: Mapping[str, tuple[str, str]] = {
    "apps": ("Use Standard Input format", "Use Call-Based format"),
    "swapped": ("Use Call-Based format", "Use Standard Input format"),
}
# The same in the study's words.
NEEDS = ("read from and write to standard IO", "use the provided function signature")
TEMPLATES = (
    Template(
        name="study",
        style="instruction",
        question="[INST] Write a python code to solve the following coding problem that obeys the "
        "constraints and passes the example test cases. The output code needs to {needs}:\n{question}\n"
        "[/INST]\n```python\n{starter}",
        answer="{solution}\n```",
        stop=("```",),
    ),
    Template(
        name="apps", style="plain", question="\nQUESTION:\n{question}{form}\nANSWER:\n", answer="{solution}\n"
    ),
    Template(
        name="chat",
        style="chat",
        question="Provide a self-contained Python script that solves the following problem in a markdown "
        "code block. Make sure the solution obeys the constraints and passes the example test cases.\n"
        "{question}{form}",
        answer="```python\n{solution}\n```",
    ),
)


# ---------------------------------------------------------------- rows


def _rows(split: str, source: Source) -> Iterator[Row]:
    """The rows of either form, each with its number and a level that is known."""
    for row in _rows_as_published(split, source):
        number, level = row["problem_id"], row.get("difficulty")
        if not isinstance(number, int):
            raise DataError(f"apps/{split}: problem_id or id: expected a number, got {number!r}")
        if level not in LEVELS:
            known = " or ".join(LEVELS)
            raise DataError(f"apps/{split}/{number}: difficulty {level!r}: expected {known}")
        yield row


def _rows_as_published(split: str, source: Source) -> Iterator[Row]:
    """The rows of either form as the hub has them: problem_id, difficulty and texts."""
    for row in source.rows(FILES[split], ("question",)):
        if "folder" in row:
            name = f"apps/{split}/{int(row['folder'])}"
            known = parse_json(row.get("metadata") or "{}", f"{name}: metadata")
            yield {"problem_id": int(row["folder"]), **dict.fromkeys(OPTIONAL, ""), **row, **known}
        else:
            yield {"problem_id": row.get("id"), **row}


def _split_rows(split: Split, setting: Setting, source: Source) -> Sequence[Row]:
    """A split's rows in its own order."""
    if split == "test":
        rows = list(_rows("test", source))
        if setting == "full":
            return rows
        return [
            row for level in LEVELS for row in [r for r in rows if r["difficulty"] == level][:TESTS_PER_LEVEL]
        ]
    rows = list(_rows("train", source))
    if setting == "full":
        return rows if split == "train" else []
    import numpy as np

    order = np.random.default_rng(42).permutation(len(rows)).tolist()  # datasets' shuffle(seed=42)
    held_out = max(1, len(rows) // 10)  # 500 of the 5,000; a part of the benchmark is cut in proportion
    return [rows[i] for i in (order[:held_out] if split == "validation" else order[held_out:])]


def _problem(row: Row, split: str, guide: Guide) -> Problem | None:
    """None for a row without tests. Raises DataError for one that is not as published."""
    name = f"apps/{split}/{row['problem_id']}"
    for field in ("question", "solutions", "input_output", "starter_code"):
        if field not in row:
            raise DataError(f"{name}: field {field!r} is missing; the row has {', '.join(sorted(row))}")
        if not isinstance(row[field], str):
            raise DataError(f"{name}: {field}: expected text, got {row[field]!r}")
    check = _check(row["input_output"], row["starter_code"], name)
    if check is None:
        return None
    solutions = parse_json(row["solutions"] or "[]", f"{name}: solutions")
    if not isinstance(solutions, list):
        raise DataError(f"{name}: solutions: expected a list, got {type(solutions).__name__}")
    starter = f"\n{check.starter}" if check.starter else ""
    form = f"{starter}\n{GUIDES[guide][bool(check.fn_name)]}"
    needs = NEEDS[bool(check.fn_name) != (guide == "swapped")]
    # An answer may continue the starter code; a solution that is shown or trained on begins with it.
    begun = check.starter if check.fn_name and split == "test" else ""
    return Problem(
        id=name,
        question=row["question"],
        solution=solutions[0] if solutions else "",
        check=check,
        group=row["difficulty"],
        parts={"form": form, "needs": needs, "starter": begun},
    )


def _check(text: str, starter: str, name: str) -> IOCases | None:
    given = parse_json(text, f"{name}: input_output") if text.strip() else {}
    if not isinstance(given, dict):
        raise DataError(f"{name}: input_output: expected an object, got {type(given).__name__}")
    inputs, outputs = given.get("inputs") or [], given.get("outputs") or []
    if len(inputs) != len(outputs):
        raise DataError(f"{name}: input_output: {len(inputs)} inputs and {len(outputs)} outputs")
    if not inputs:
        return None
    fn_name = given.get("fn_name") or ""
    cases = []
    for i, (taken, expected) in enumerate(zip(inputs, outputs, strict=True)):
        if not fn_name:
            taken, expected = _text(taken), _text(expected)
        if not isinstance(taken, list if fn_name else str) or not (fn_name or isinstance(expected, str)):
            raise DataError(f"{name}: input_output: case {i}: expected {'arguments' if fn_name else 'text'}")
        cases.append(IOCase(given=taken, expected=expected))
    return IOCases(cases=tuple(cases), fn_name=fn_name, starter=starter)


def _text(value: Any) -> Any:
    """Some rows give standard input or output as a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value


# ---------------------------------------------------------------- answers


def apps_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """The program in the completion; below the starter code where it continues that.

    A call's program has to define the function or `class Solution`. A completion that does not is taken for
    the body: on new lines when it is indented, else as what follows the starter code's last character.
    """
    check = problem.check
    if not isinstance(check, IOCases):
        raise TypeError(f"{problem.id}: apps_program needs a problem with cases")
    text, name, starter = completion.text, check.fn_name, check.starter
    if completion.form == "program":
        return text
    wanted = Wanted(name=name, prompt=starter) if name else wanted_by(problem)
    code = read(text, wanted) if completion.form == "output" else text
    if not starter or not name or _defines(code, name):
        return code
    return f"{starter.rstrip()}\n{code}" if code[:1].isspace() else starter + code


def _defines(code: str, name: str) -> bool:
    """By lines and not by parsing, so that a program with a syntax error is not taken for a body."""
    called = re.escape(name)
    pattern = rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{called}\b|^class[ \t]+Solution\b|^{called}[ \t]*="
    return re.search(pattern, code, re.MULTILINE) is not None


def task(
    setting: Setting = "study",
    guide: Guide = "apps",
    compare: Compare = "apps",
    stop_early: bool = False,
) -> Task:
    known: Mapping[str, tuple[object, Iterable[object]]] = {
        "setting": (setting, SIZES),
        "guide": (guide, GUIDES),
        "compare": (compare, get_args(Compare)),
        "stop_early": (stop_early, (True, False)),
    }
    for option, (value, values) in known.items():
        if value not in list(values):
            raise ConfigError(f"task 'apps': {option} {value!r}: expected {' or '.join(map(repr, values))}")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        for row in _split_rows(split, setting, source):
            problem = _problem(row, "test" if split == "test" else "train", guide)
            if problem is not None:
                yield problem
            else:
                source.skip(f"apps/{split}/{row['problem_id']}", "no tests")

    return Task(
        name="apps",
        version=4,
        load=load,
        templates=TEMPLATES,
        extract=apps_program,
        scorers=(io_cases_with(compare, stop_early),),
        sampling=Sampling(max_tokens=1024),
        packages=("numpy",),
        card=Card(
            title="APPS: programs for contest and interview problems",
            paper="Hendrycks et al. 2021, arXiv 2105.09938",
            licence="MIT",
            tags=("contests",),
            url="https://github.com/hendrycks/apps",
            sizes=SIZES[setting],
            setting="temperature 0.6, top-p 0.95, 5 samples: avg_tests_passed, pass@1, pass@2, pass@5 "
            "(2308.10462); 1,024 new tokens; rows without tests are left out",
            files=tuple(FILES.values()),
        ),
    )
