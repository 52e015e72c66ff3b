"""ClassEval: whole classes from their skeletons, and their methods one by one (Du et al., 2023).

One row: skeleton "class Stack:\\n    def push(self, item):\\n        \\"\\"\\"Put an item on top.\\"\\"\\"\\n ...",
solution_code (the class), methods_info (each method's description and class of tests), test (unittest classes, one a
method and one of the methods together). `ask = "class"` asks for the class; it is right if all its classes of tests
pass (class_success), and fun_success is the share of these classes that pass. `ask = "method"` asks for one method in
the class, the others given as signatures (upstream's compositional prompt), and judges it in the reference class, by
the method's own tests: pass@k over the 410 methods. Upstream puts the model's own methods together instead; its figures
for that, and for methods written one behind the other, are no comparison.

As upstream, an answer stands below the row's imports. Each class of tests is a run of its own, in the program's module,
with 10 s of CPU time (upstream 5 s by the clock; one reference takes 3). The row's reference is run before its answers;
where it does not pass they have no score. Twelve rows need libraries (numpy, nltk ...): `harness env classeval`.
"""

import ast
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

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
from harness.text.extract import Extractor, Reading, Wanted, by_entry_point, python_code, whole_program

Ask = Literal["class", "method"]
Row = Mapping[str, Any]

FILE = DataFile(benchmark="classeval", name="ClassEval_data.json")
FIELDS = (
    *("task_id", "skeleton", "test", "solution_code", "import_statement", "class_description", "class_name"),
    *("test_classes", "class_constructor", "methods_info"),
)
LIMITS = Limits(cpu_s=10.0, wall_s=30.0, memory_mb=2048)
# What twelve rows import beside the standard library.
PACKAGES = (
    *("numpy", "scipy", "pandas", "nltk", "gensim", "PyPDF2", "python-docx", "openpyxl", "beautifulsoup4"),
    *("pillow", "reportlab"),
)
SIZES: Mapping[str, int] = {"class": 100, "method": 410}
PUBLISHED = {
    "class": "Published, greedy, class_success and fun_success: GPT-4-Turbo 38.0 and 67.5, GPT-3.5-Turbo 25.0 and 57.4,"
    " DeepSeek-Coder-6.7B-instruct 27.0 and 57.2",
    "method": "no published figure: upstream's are of classes put together from the model's own methods",
}

REQUEST = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{asked}\n\n### Response:"
)


def _templates(ask: Ask) -> tuple[Template, ...]:
    asked = {
        "class": "Please complete the class {class_name} in the following code.\n{question}",
        "method": "please complete {method_name} method in the following class {class_name}\n\n{question}",
    }[ask]
    whole, answer = REQUEST.replace("{asked}", asked), "```python\n{solution}\n```"
    return (
        Template(name="instruction", style="instruction", question=whole, answer=f"\n{answer}"),
        Template(
            name="chat", style="chat", system="You are a helpful assistant.", question=whole, answer=answer
        ),
        Template(name="chat_bare", style="chat", question=asked, answer=answer),
    )


# ---------------------------------------------------------------- rows


def _tests(row: Row) -> tuple[str, Mapping[str, str]]:
    """What the row's classes of tests share, and the classes by name; of two with one name the last."""
    lines = row["test"].split("\n")
    shared, classes = [], {}
    for node in ast.parse(row["test"]).body:
        text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        if isinstance(node, ast.ClassDef):
            classes[node.name] = text
        elif not isinstance(node, ast.If):  # `if __name__ == "__main__"`
            shared.append(text)
    return "\n".join(shared) + RUNNER, classes


def _check(row: Row, names: Sequence[str]) -> UnitTests:
    shared, classes = _tests(row)
    cases = tuple(f"{classes[name]}\n{run_class(name)}" for name in map(str.strip, names))
    return UnitTests(
        code=shared,
        entry_point=row["class_name"],
        limits=LIMITS,
        in_module=True,
        reference=f"{_imports(row)}\n{row['solution_code']}",
        cases=cases,
    )


def _imports(row: Row) -> str:
    return "\n".join(row["import_statement"])


def _class(row: Row) -> Problem:
    return Problem(
        id=row["task_id"],
        question=row["skeleton"],
        solution=row["solution_code"],
        check=_check(row, row["test_classes"]),
        parts={"class_name": row["class_name"], "imports": _imports(row)},
    )


def _methods(row: Row) -> Iterator[Problem]:
    """A problem a method; they stand or fall with their class."""
    head, _, body = row["class_constructor"].partition("\n")
    above = f"{_imports(row)}\n{head} \n{row['class_description']}\n{body}"
    for method in row["methods_info"]:
        name = method["method_name"]
        others = "".join(
            f"    {_signature(each)}\n        pass\n\n" for each in row["methods_info"] if each is not method
        )
        yield Problem(
            id=f"{row['task_id']}/{name}",
            question=f"{above}{others}\n\n    {method['method_description']}",
            solution=method["solution_code"],
            check=_check(row, [method["test_class"]]),
            cluster=row["task_id"],
            parts={
                "class_name": row["class_name"],
                "method_name": name,
                "imports": _imports(row),
                "class": row["solution_code"],
            },
        )


def _signature(method: Row) -> str:
    """The method's first lines. Where a result is annotated (9 methods) upstream's own cut leaves a docstring open."""
    found = re.match(r"(?:\s*@[^\n]*\n)*\s*def [^\n]*:", method["method_description"])
    return found[0] if found else ""


# ---------------------------------------------------------------- answers


def class_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """The class in the completion, below the row's imports."""
    return f"{problem.parts['imports']}\n{whole_program(problem, completion, read)}"


def method_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """The reference class with the completion's method in place of its own; without one it has none."""
    name, code = problem.parts["method_name"], completion.text
    if completion.form == "output":
        defines = re.compile(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+{re.escape(name)}\b", re.MULTILINE)
        code = read(code, Wanted(fits=lambda text, tree: defines.search(text) is not None))
    lines = problem.parts["class"].split("\n")
    own = next(_methods_named(ast.parse(problem.parts["class"]), name))
    first, last = _lines(own)
    above = (
        lines[first : own.lineno - 1] if code.strip() else []
    )  # decorators, which stand above in the prompt
    below = [*_method(code, name, above), *lines[last:], "    pass", ""]
    return "\n".join([problem.parts["imports"], *lines[:first], *below])


def _method(code: str, name: str, decorators: Sequence[str]) -> list[str]:
    """The method's lines as they stand in a class, out of code that is a class or the method alone at whatever margin;
    else all of the code."""
    for text in (f"class _:\n    {code.lstrip()}", code, textwrap.dedent(code), f"class _:\n{code}"):
        if (tree := python_code.parse(text)) is None:
            continue
        for node in _methods_named(tree, name):
            first, last = _lines(node)
            found = text.split("\n")[first:last]
            if node.col_offset != 4:
                found = textwrap.indent(textwrap.dedent("\n".join(found)), "    ").split("\n")
            return found if node.decorator_list else [*decorators, *found]
    return textwrap.indent(textwrap.dedent(code), "    ").split("\n")


def _methods_named(tree: ast.Module, name: str) -> Iterator[python_code.Function]:
    return (node for node in ast.walk(tree) if isinstance(node, python_code.Function) and node.name == name)


def _lines(node: python_code.Function) -> tuple[int, int]:
    above = [each.lineno for each in node.decorator_list]
    return min([node.lineno, *above]) - 1, node.end_lineno or node.lineno


def _load(ask: Ask, split: Split, source: Source) -> Iterable[Problem]:
    if split != "test":
        return
    for row in source.rows(FILE, FIELDS):
        if ask == "class":
            yield _class(row)
        else:
            yield from _methods(row)


EXTRACTORS: Mapping[Ask, Extractor] = {"class": class_program, "method": method_program}


def task(ask: Ask = "class") -> Task:
    """`ask`: "class" or "method"."""
    if ask not in get_args(Ask):
        raise ConfigError(f"task 'classeval': {unknown('ask', ask, get_args(Ask))}")
    return Task(
        name="classeval",
        version=1,
        load=partial(_load, ask),
        templates=_templates(ask),
        extract=EXTRACTORS[ask],
        scorers=(scorers.proved_unit_tests("classeval", cases=ask == "class"),),
        sampling=Sampling(max_tokens=2048),
        packages=PACKAGES,
        card=Card(
            title=f"ClassEval: Python classes, {'whole' if ask == 'class' else 'method by method'}",
            paper="Du et al. 2023, arXiv 2308.01861",
            licence="MIT",
            tags=("classes",),
            url="https://github.com/FudanSELab/ClassEval",
            sizes={"test": SIZES[ask]},
            setting="greedy, or n = 5 at temperature 0.2; 2,048 tokens. " + PUBLISHED[ask],
            files=(FILE,),
        ),
    )
