"""What an answer has to be, so that it can be told from the other code in a completion."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.text.extract import python_code


def _nothing(code: str, tree: ast.Module | None) -> bool:
    del code, tree
    return False


@dataclass(frozen=True)
class Wanted:
    """`name` is the function, class or variable that an answer has to define, `prompt` the code that it may go on
    from. Where there is no name, or in another language than Python, `fits` says of code (and its tree, if it is
    Python that parses) whether it is an answer.
    """

    language: str = "python"
    name: str = ""
    prompt: str = ""
    fits: Callable[[str, ast.Module | None], bool] = _nothing

    def is_answer(self, code: str, tree: ast.Module | None) -> bool:
        """Whether the code is an answer by itself: complete, and more than the announcement of one."""
        if self.language != "python" or not self.name:
            return self.fits(code, tree)
        if tree is None or python_code.is_stub(tree, self.name):
            return False
        return python_code.makes(tree, self.name) or bool(python_code.method_of_solution(tree, self.name))

    def looks_like_an_answer(self, code: str) -> bool:
        """The same of Python that does not parse: by its lines."""
        pattern = rf"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+{re.escape(self.name)}\b"
        return bool(self.name) and re.search(pattern, code, re.MULTILINE) is not None

    def continues(self, code: str) -> bool:
        """Whether the code is more of the prompt: indented, as a body is, and whole below it."""
        if self.language != "python" or not self.prompt or not code.strip():
            return False
        if not code.lstrip("\r\n")[:1].isspace():
            return False
        return python_code.is_whole(self.prompt + code)


def reads_input(code: str, tree: ast.Module | None) -> bool:
    """Fits programs that are given their problem on standard input."""
    del code
    return tree is not None and python_code.reads_input(tree)


def has_assertions(code: str, tree: ast.Module | None) -> bool:
    """Fits tests."""
    del code
    return tree is not None and python_code.has_assertions(tree)


def has_java_main(code: str, tree: ast.Module | None) -> bool:
    """Fits tests in Java: a class that is run."""
    del tree
    return re.search(r"\bstatic\s+void\s+main\s*\(", code) is not None


def has_javascript_assertions(code: str, tree: ast.Module | None) -> bool:
    """Fits tests in JavaScript."""
    del tree
    return re.search(r"\bassert\b", code) is not None
