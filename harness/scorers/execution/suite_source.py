"""Test suites that a model wrote, put below the function they test: one program, which ends well if they pass.

A suite comes without its own copy or import of the function: models repeat what they are shown. Only the plain forms
are taken out, to be fair to them; a suite that replaces the function in another way fails no test on its stubbed
versions, and is worth 0 (generated_tests.py). In each language nothing but how the program ends is looked at:

    Python       functions `test...`, classes `Test...` and TestCases of unittest are called; pytest's parameters and
                 fixtures are not filled in
    Java         the class with `main` is called, with `assert` switched on; there is no JUnit
    JavaScript   a failing console.assert throws; there is no jest
"""

import ast
import re

from harness.scorers.similarity.ast_similarity import parse_python
from harness.text import brace_mutants
from harness.text.ngrams import MAX_PARSED_CHARS

_RUN_CLASS = """

def _run_class(found):
    import sys
    unittest = sys.modules.get("unittest")
    if unittest and issubclass(found, unittest.TestCase):
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(found).run(result)
        for _, text in result.errors + result.failures:
            raise AssertionError(text.strip().splitlines()[-1])
    else:
        for name in dir(found):
            if name.startswith("test"):
                getattr(found(), name)()

"""
_JAVA_MAIN = """
public class Main {
    public static void main(String[] args) throws Throwable {
        ClassLoader.getSystemClassLoader().setDefaultAssertionStatus(true);
        Suite_.main(args);
    }
}
"""
_CONSOLE = (
    "console.assert = (condition, ...words) => { require('assert').ok(condition, words.join(' ')); };\n"
)
_JAVA_HEAD = re.compile(r"^[ \t]*import\s[^;\n]*;[ \t]*\n?", re.MULTILINE)
_OWN_MODULE = re.compile(
    r"^[ \t]*(?:const|let|var)\s[^=\n]*=\s*require\(\s*['\"]\.[^\n]*\n?"
    r"|^[ \t]*import\s[^\n]*from\s*['\"]\.[^\n]*\n?|^[ \t]*module\.exports\b[^\n]*\n?",
    re.MULTILINE,
)


def build_suite(answer: str, entry: str, language: str = "python") -> str | None:
    """The answer as it is put below the function. None where it is blank, too long or Python cannot read it."""
    if len(answer) > MAX_PARSED_CHARS:
        return None
    match language:
        case "java":
            return _java_suite(answer)
        case "javascript":
            return _javascript_suite(answer, entry)
    return _python_suite(answer, entry)


def join(version: str, suite: str, language: str = "python") -> str:
    """The program of a version of the function and a suite."""
    if language == "java":  # imports stand above all classes
        heads = [line.strip() for line in _JAVA_HEAD.findall(suite)]
        return "\n".join([*heads, version, _JAVA_HEAD.sub("", suite), _JAVA_MAIN])
    if language == "javascript":
        return f"{version}\n{_CONSOLE}{suite}\n"
    return f"{version}\n\n\n{suite}"


# ---------------------------------------------------------------- Python


def _python_suite(answer: str, entry: str) -> str | None:
    parsed = parse_python(answer)
    if parsed is None:
        return None
    parsed.body = [kept for node in parsed.body if (kept := _without(node, entry)) is not None]
    calls = []
    for node in parsed.body:
        if isinstance(node, ast.ClassDef) and _is_test_class(node):
            calls.append(f"_run_class({node.name})")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            calls.append(f"{node.name}()")
    try:
        text = ast.unparse(parsed)
    except RecursionError:
        return None
    runner = _RUN_CLASS if any(call.startswith("_run") for call in calls) else ""
    return "\n".join([text + runner, *calls, ""])


def _without(node: ast.stmt, entry: str) -> ast.stmt | None:
    """The statement as far as it does not bring its own version of the function; None if nothing is left."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.name == entry:
            return None
        case ast.ImportFrom(module="__future__"):
            return None
        case ast.ImportFrom(module, names, level):
            kept = [alias for alias in names if (alias.asname or alias.name) != entry]
            return ast.ImportFrom(module, kept, level) if kept else None
    return node


def _is_test_class(node: ast.ClassDef) -> bool:
    bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases]
    return node.name.startswith("Test") or any(base.endswith("TestCase") for base in bases)


# ---------------------------------------------------------------- Java and JavaScript


def _java_suite(answer: str) -> str | None:
    """Without `class Solution`; the class that has `main` is called Suite_, for another Main calls it."""
    if not answer.strip():
        return None
    text = re.sub(r"^[ \t]*package\s[^;\n]*;[ \t]*\n?", "", answer, flags=re.MULTILINE)
    text = _without_block(text, r"\b(?:public\s+)?class\s+Solution\b[^{]{0,1000}\{")
    text = re.sub(
        r"\bpublic\s+(?=(?:(?:final|abstract|static)\s+)*(?:class|interface|enum|record)\b)", "", text
    )
    masked = brace_mutants.mask(text)
    main = re.search(r"\bstatic\s+void\s+main\s*\(", masked)
    named = re.findall(r"\bclass\s+(\w+)", masked[: main.start()]) if main else []
    return re.sub(rf"\b{named[-1]}\b", "Suite_", text) if named else text


def _javascript_suite(answer: str, entry: str) -> str | None:
    if not answer.strip():
        return None
    text, kept, place = _OWN_MODULE.sub("", answer), [], 0
    for start, _, end in brace_mutants.functions(brace_mutants.mask(text), entry):
        if start >= place:  # not within the one before
            kept.append(text[place:start])
            place = end + 1
    return "".join([*kept, text[place:]])


def _without_block(text: str, head: str) -> str:
    """Without the first block that begins so, in which braces of comments and literals do not count."""
    masked = brace_mutants.mask(text)
    found = re.search(head, masked)
    if found is None:
        return text
    return text[: found.start()] + text[brace_mutants.closing(masked, found.end()) + 1 :]
