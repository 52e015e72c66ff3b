"""ODEX: CoNaLa's questions, in four natural languages, with tests (Wang et al., 2022).

One row: intent "check if all elements in list `xs` are identical", prompt "def f_7(xs):\\n\\treturn ", suffix "" ->
`all(x == xs[0] for x in xs)`; with a suffix "\\n\\treturn result" what goes on is statements that end in it. The model
sees the intent as a docstring; program and tests are put together as upstream does, tabs as four blanks.

`libraries = "standard"` leaves out rows whose tests import more than the standard library; 334 of 439 English rows need
no more. A package that the judging Python lacks is a fault that names it, and never a failed answer. Upstream lists no
versions: rows of pandas, numpy, scipy and matplotlib may want older ones. Tests that look at files, patch modules or
ask for types run in the program's process, whose verdicts say `in_process`. CoNaLa's text metrics compare the same
snippets with the references, so that a report can say how far they tell what passes. Groups are upstream's: tests that
import something are of the open domain.
"""

import ast
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from harness import scorers
from harness.errors import ConfigError, unknown
from harness.schema import (
    Card,
    Completion,
    DataFile,
    Limits,
    Problem,
    Reference,
    Sampling,
    Score,
    Scorer,
    Source,
    Split,
    Task,
    Template,
    UnitTests,
)
from harness.scorers import PerAnswer
from harness.text.extract import Reading, Wanted, by_entry_point, python_code

Language = Literal["en", "es", "ja", "ru"]
Libraries = Literal["all", "standard"]
SIZES: Mapping[str, int] = {"en": 439, "es": 90, "ja": 164, "ru": 252}
STANDARD: Mapping[str, int] = {"en": 334, "es": 74, "ja": 95, "ru": 236}

FIELDS = (
    *("task_id", "intent", "prompt", "suffix", "canonical_solution", "test_start", "test", "entry_point"),
    "library",
)
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
LIMITS = Limits(cpu_s=5.0, wall_s=20.0, memory_mb=2048)
# Distributions that rows need beside the standard library. Upstream lists no versions.
PACKAGES = (
    *("pandas", "numpy", "requests", "matplotlib", "beautifulsoup4", "flask", "django", "scipy", "regex"),
    *(
        "sqlalchemy",
        "pytz",
        "multidict",
        "obspy",
        "sympy",
        "pillow",
        "scikit-learn",
        "tensorflow",
        "selenium",
    ),
    *("xlrd", "xlwt", "opencv-python", "mechanize", "seaborn", "ipython", "texttable", "python-dateutil"),
    *("aspose-words", "docxtpl", "rsa", "lxml"),
)
# What tests look at that lies beside the value of a call.
_BESIDE = re.compile(
    r"\bopen *\(|[Mm]ock|\b(?:os|sys|shutil|subprocess|warnings|sqlite3|socket|glob|urllib|filecmp|ftplib)\b"
    r"|\btype\(|\bisinstance\(|\bexcept\b|\bclass\b|\bdtype\b|\bmatplotlib\b"
)
# Rows whose own reference cannot pass in a sandbox, or in Python 3.11: they are left out of the score, and named.
_NETWORK = "its tests need the network"
_PYTHON = "its reference or its tests need Python 3.10 or earlier"
_NEVER = "its reference never ends, and its tests accept that it runs out of memory"
_NAMES = "its tests want to share their global names with the program"
NOT_JUDGED: Mapping[str, str] = {
    **dict.fromkeys((f"odex/en/{i}" for i in (23, 24, 25, 26, 340, 395)), _NETWORK),
    **dict.fromkeys((f"odex/ja/{i}" for i in (3, 39, 49, 104)), _NETWORK),
    **dict.fromkeys((f"odex/ru/{i}" for i in (40, 75, 98, 157, 216, 230, 236, 249)), _NETWORK),
    **dict.fromkeys(("odex/en/224", "odex/ru/70", "odex/ru/196", "odex/ru/226"), _PYTHON),
    "odex/es/13": _NEVER,
    "odex/ja/44": _NAMES,
}

PLAIN = Template(name="plain", style="plain", answer="{solution}{suffix}", stop=(*STOPS, "\n```"))
CHAT = Template(
    name="chat",
    style="chat",
    question="Complete this Python function. Reply with the whole function in one code block.\n"
    "```python\n{question}\n```",
    answer="```python\n{question}{solution}{suffix}\n```",
)


def _spaces(code: str) -> str:
    return code.replace("\t", "    ")


def _check(row: Mapping[str, Any]) -> UnitTests:
    """All of the row's tests. A last assertion, on the function itself, has those run beside the program that need it
    (sandbox/python/needs.py), and is one that can be falsified where the row's own are only reached by failures.
    """
    entry = row["entry_point"]
    imports, definition, head = row["test_start"].partition("\ndef check(")
    code = f"{definition.strip()}{head}{''.join(row['test'])}\ncheck({entry})\n"
    if _BESIDE.search(imports + code):
        code += f"assert callable({entry})\n"
    if re.search(r"^import urllib\s*$", imports, re.MULTILINE):
        imports += "\nimport urllib.request"  # which upstream's judge has loaded
    imports = re.sub(r"^import mock\b", "from unittest import mock", imports, flags=re.MULTILINE)  # the same
    return UnitTests(code=code, entry_point=entry, setup=imports, arrays=True, limits=LIMITS)


def _problem(row: Mapping[str, Any], name: str) -> Problem:
    head, _, begun = _spaces(row["prompt"]).partition("\n")
    return Problem(
        id=name,
        question=f'{head}\n    """{row["intent"]}\n    """\n{begun}',
        solution=_spaces(row["canonical_solution"]),
        check=_check(row),
        group="open" if "import " in row["test_start"] else "closed",
        cluster=f"odex/{row['task_id']}",
        parts={"begun": f"{head}\n{begun}", "suffix": _spaces(row["suffix"])},
    )


# ---------------------------------------------------------------- answers


def program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """What the tests import, which upstream's programs see, and the function."""
    check = problem.check
    assert isinstance(check, UnitTests)
    begun, suffix = problem.parts["begun"], problem.parts["suffix"]
    text = _spaces(completion.text)
    if not text.strip():
        return ""  # upstream's frame alone passes some rows' tests
    match completion.form:
        case "program":
            made = text
        case "continuation":
            made = begun + text + suffix
        case _:
            code = read(text, Wanted(name=check.entry_point, prompt=begun))
            made = code if python_code.defines(code, check.entry_point) else _function(begun, code, suffix)
    return python_code.hoist_future_imports(f"{check.setup}\n{made}")


def _function(begun: str, code: str, suffix: str) -> str:
    """The function whose code goes on from the prompt: with the first line's indentation and `return`, or without."""
    code = code.rstrip()
    bare = code.lstrip()
    below = re.sub(r"\n(?=[^\n])", "\n    ", bare)
    for start in (begun, begun.removesuffix("return ")):
        for text in (code, bare, below):
            if python_code.is_whole(f"{start}{text}{suffix}"):
                return f"{start}{text}{suffix}"
    return f"{begun}{code}{suffix}"


# ---------------------------------------------------------------- text metrics


def snippet(problem: Problem, answer: str) -> str:
    """What of a program answers the question: what goes on from the prompt, or of another function its body."""
    check = problem.check
    assert isinstance(check, UnitTests)
    begun, suffix = problem.parts["begun"], problem.parts["suffix"]
    frame = f"{check.setup}\n{begun}"
    if answer.startswith(frame) and answer.endswith(suffix) and len(answer) >= len(frame) + len(suffix):
        return answer[len(frame) : len(answer) - len(suffix)].strip()
    tree = python_code.parse(answer)
    found = python_code.definitions(tree).get(check.entry_point) if tree else None
    if not isinstance(found, ast.FunctionDef):
        return answer
    body = found.body[1:] if ast.get_docstring(found) and len(found.body) > 1 else found.body
    lines = answer.split("\n")[body[0].lineno - 1 : found.end_lineno]
    return textwrap.dedent("\n".join(lines)).removeprefix("return ").strip()


def _on_snippets(scorer: Scorer) -> Scorer:
    """The text metric, of snippets. By itself, as another process would find the scorer that compares programs."""
    assert isinstance(scorer.score, PerAnswer)
    judge, signature = scorer.score.judge, scorer.signature

    def with_reference(problem: Problem) -> Problem:
        return problem.model_copy(update={"check": Reference(texts=(problem.solution.strip(),))})

    def compare(problem: Problem, answer: str) -> Score:
        return judge(with_reference(problem), snippet(problem, answer))

    def signed(problems: Sequence[Problem]) -> str:
        return signature([with_reference(problem) for problem in problems]) if signature else ""

    return replace(
        scorer,
        score=PerAnswer(compare, parallelizable=False),
        signature=signed if signature else None,
    )


def task(language: Language = "en", libraries: Libraries = "all") -> Task:
    for option, given, known in (("language", language, Language), ("libraries", libraries, Libraries)):
        if given not in get_args(known):
            raise ConfigError(f"task 'odex': {unknown(option, given, get_args(known))}")
    file = DataFile("odex", f"{language}_test.jsonl")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return
        for index, row in enumerate(source.rows(file, FIELDS)):
            problem = _problem(row, f"odex/{language}/{index}")
            if libraries == "standard" and not set(row["library"]) <= sys.stdlib_module_names:
                continue
            if problem.id in NOT_JUDGED:
                source.skip(problem.id, NOT_JUDGED[problem.id])
            else:
                yield problem

    return Task(
        name="odex",
        version=1,
        load=load,
        templates=(PLAIN, CHAT),
        extract=program,
        scorers=(
            scorers.unit_tests,
            *(_on_snippets(each) for each in (scorers.exact, scorers.bleu, scorers.codebleu)),
        ),
        sampling=Sampling(max_tokens=200),
        packages=PACKAGES if libraries == "all" else (),
        card=Card(
            title=f"ODEX: Python answers to Stack Overflow questions in '{language}', with tests",
            paper="Wang et al. 2022, arXiv 2212.10481",
            licence="CC BY-SA 4.0",
            tags=("libraries", "stack-overflow"),
            url="https://github.com/zorazrw/odex",
            sizes={"test": (SIZES if libraries == "all" else STANDARD)[language]},
            setting="pass@1 to pass@10 of n = 10 at temperature 0.8, top_p 0.95, zero-shot, all tests; 200 new tokens",
            files=(file,),
        ),
    )
