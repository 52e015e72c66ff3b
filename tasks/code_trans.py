"""Code translation between Python, Java and C++, judged by tests in the target language (CodeFuseEval, 2311.02303).

One row: prompt "int add(int a, int b) {...}", func_title "def add(a, b):", test "assert add(1, 2) == 3" -> a whole
program "def add(a, b):\\n    return a + b". `direction` is one of the six in SIZES; rows come from MBPP and
HumanEval, told apart by the problem's group. Java and C++ tests are compiled together with the answer
(tasks/families/single_source.py).

Not copied from upstream: its prompt named the target language as the source; where an answer's first function
has another name than the tests call, all its functions were renamed, which breaks every program with a helper.
Here one function is renamed, wherever its name stands, and only if none has the tests' name.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from harness import scorers
from harness.errors import ConfigError, unknown
from harness.schema import (
    Card,
    Check,
    Completion,
    DataFile,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
    UnitTests,
)
from harness.tasks.families import single_source
from harness.text.extract import Reading, Wanted, by_entry_point, python_code

Direction = Literal[
    "cpp_to_java", "cpp_to_python", "java_to_cpp", "java_to_python", "python_to_cpp", "python_to_java"
]
SIZES: Mapping[str, int] = {
    "cpp_to_java": 594,
    "cpp_to_python": 601,
    "java_to_cpp": 589,
    "java_to_python": 662,
    "python_to_cpp": 588,
    "python_to_java": 650,
}
WORDS: Mapping[str, str] = {"python": "Python", "java": "Java", "cpp": "C++"}
FIELDS = ("task_id", "prompt", "canonical_solution", "test", "func_title", "Difficulty")
_ASKED = "The result code must follow this function name :\n"

PLAIN = Template(name="plain", style="plain", answer="{solution}\n", stop=("\n```", "\n# Translate"))
CODEFUSE = Template(
    name="codefuse",
    style="instruction",
    question="<|role_start|>human<|role_end|>{question}<|role_start|>bot<|role_end|>",
    answer="```\n{solution}\n```",
)
CHAT = Template(
    name="chat",
    style="chat",
    question="{question}Reply with the whole program in one code block.",
    answer="```\n{solution}\n```",
)


def function_name(title: str) -> str:
    """The function's name in a title: `def add(a, b):`, `int add(int a, int b)` or `add`."""
    found = re.search(r"(\w+)\s*\(", title)
    return found[1] if found else title.strip()


def rename_function(code: str, wanted: str, definition: str) -> str:
    """Call the first function `wanted` if no function is called that; `definition` finds them, name first."""
    defined = re.findall(definition, code, re.MULTILINE)
    if not defined or wanted in defined:
        return code
    return re.sub(rf"\b{re.escape(defined[0])}\b", wanted, code)


def program(target: str, problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """The program without its tests."""
    code, wanted = completion.text, function_name(problem.question.rpartition(_ASKED)[2])
    if completion.form == "output":
        code = read(code, _wanted(target, wanted))
    match target:
        case "python":
            code = rename_function(code, wanted, r"^def\s+(\w+)")
            made = single_source.codefuse_python_imports(code, wanted) + code
            return python_code.hoist_future_imports(made) if completion.form == "output" else made
        case "cpp":
            # Up to upstream's own idea of a main function.
            lines = code.split("\n")
            end = next((i for i, line in enumerate(lines) if "main()" in line), len(lines))
            code = rename_function(
                "\n".join(lines[:end]), wanted, r"^(?!\s)[\w:<>,&* \t]*?[\s&*](\w+)\s*\([^;{]{0,2000}\)\s*\{"
            )
            return code if "using namespace std;" in code else f"using namespace std;\n{code}"
    return code


def _wanted(target: str, name: str) -> Wanted:
    def fits(code: str, tree: object) -> bool:
        del tree
        return re.search(rf"\b{re.escape(name)}\s*\(", code) is not None

    return Wanted(target, name, fits=fits)


def build_check(target: str, row: Mapping[str, Any]) -> Check:
    """Raises ValueError for a test whose end is not found."""
    if target == "python":
        setup = single_source.codefuse_python_imports(row["test"])
        return UnitTests(
            code=row["test"],
            entry_point=function_name(row["func_title"]),
            setup=setup,
            limits=single_source.LIMITS,
        )
    check = single_source.inline_tests(target, row["test"])
    if target == "java" and row["Difficulty"] != "mbpp":
        check = check.model_copy(update={"before": single_source.JAVA_IMPORTS})
    return check


def _load(direction: str, file: DataFile) -> Callable[[Split, Source], Iterable[Problem]]:
    source_name, target = direction.split("_to_")
    words = WORDS[source_name], WORDS[target]

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return
        for row in source.rows(file, FIELDS):
            try:
                check = build_check(target, row)
            except ValueError as error:
                source.skip(row["task_id"], str(error))
                continue
            text, title = (str(row[name]).replace("\r\n", "\n").rstrip() for name in ("prompt", "func_title"))
            yield Problem(
                id=row["task_id"],
                question=f"# Translate the following {words[0]} program to {words[1]}\n# {words[0]}\n{text}\n"
                f"# {words[1]}\n{_ASKED}{title}\n",
                solution=row["canonical_solution"].replace("\r\n", "\n"),
                check=check,
                group=row["Difficulty"],
            )

    return load


def task(direction: Direction = "cpp_to_python") -> Task:
    if direction not in SIZES:
        raise ConfigError(f"task 'code_trans': {unknown('direction', direction, SIZES)}")
    source_name, target = direction.split("_to_")

    def code_trans_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
        return program(target, problem, completion, read)

    file = DataFile("codefuse_eval", f"code_trans/codeTrans_{direction}.jsonl")
    return Task(
        name="code_trans",
        version=3,
        load=_load(direction, file),
        templates=(PLAIN, CODEFUSE, CHAT),
        extract=code_trans_program,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=1024),
        packages=("numpy",),
        card=Card(
            title=f"Code translation from {WORDS[source_name]} to {WORDS[target]}",
            paper="Liu et al. 2023, arXiv 2311.02303",
            licence="Apache-2.0",
            tags=("translation",),
            languages=("cpp", "java", "python"),
            url="https://github.com/codefuse-ai/codefuse-evaluation",
            sizes={"test": SIZES[direction]},
            setting="pass@1, greedy, zero-shot; the mean over the six directions is reported too",
            files=(file,),
        ),
    )
