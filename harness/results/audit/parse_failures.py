"""Why answers do not parse or compile, by kind: one kind for most of them is a fault of reading, not of the model."""

import ast
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.schema import InlineTests, Judgement, Problem, Query, Reference, Snippet, UnderTest, Value
from harness.text.extract import python_code
from harness.text.ngrams import MAX_PARSED_CHARS

KINDS = 5  # kinds kept
_PLACE = re.compile(r" \(detected at line \d+\)| on line \d+| \(<\w+>, line \d+\)")
_SQL = re.compile(r"""near "[^"]*": syntax error|unrecognized token|incomplete input""")
_COMPILER = re.compile(r"\berror(?:\[\w+\]|\sTS\d+)?:\s*([^\n]+)")
_QUOTED = re.compile(r"'[^'\n]*'|‘[^’\n]*’|`[^`\n]*`|\"[^\"\n]*\"")


class ParseFailures(Value):
    """Of `answers` that are not empty, `failed` do not parse or compile; `kinds` has the most frequent reasons."""

    answers: int
    failed: int
    kinds: Mapping[str, int]

    @property
    def most(self) -> tuple[str, int] | None:
        """The kind that more than half of the answers have, and its number."""
        kind, count = next(iter(self.kinds.items()), ("", 0))
        return (kind, count) if 2 * count > self.answers else None


@dataclass
class ParseCounter:
    answers: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, problem: Problem, judgement: Judgement) -> None:
        if judgement.answer.strip():
            self.answers += 1
            if kind := failure(problem, judgement):
                self.kinds[kind] += 1

    def result(self) -> ParseFailures:
        kinds = dict(self.kinds.most_common(KINDS))
        return ParseFailures(answers=self.answers, failed=self.kinds.total(), kinds=kinds)


def failure(problem: Problem, judgement: Judgement) -> str:
    """The way in which an answer fails to parse, without lines and names; empty where it parses or nobody can tell."""
    match problem.check:
        case Query():
            found = _SQL.search(judgement.error) if judgement.status != "passed" else None
            return found.group() if found else ""
        case InlineTests() | UnderTest(tests=InlineTests()):
            found = _COMPILER.search(judgement.error) if judgement.status == "compile_error" else None
            return _QUOTED.sub("'...'", found[1])[:80] if found else ""
        case Reference(texts=texts) if python_code.parse(textwrap.dedent(texts[0])) is None:
            return ""
        case Reference() | Snippet():  # both are put where they belong
            return python_failure(textwrap.dedent(judgement.answer))
    return python_failure(judgement.answer)


def python_failure(code: str) -> str:
    """The same of Python: "SyntaxError: unterminated string literal"."""
    if len(code) > MAX_PARSED_CHARS:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {_PLACE.sub('', str(error))}"
    return ""
