"""When what a program printed or returned is right: the rules of APPS, and stricter ones. Pure functions.

`apps` is the cascade of the published scorer (Hendrycks et al. 2021), which is kind: lines may come in any
order and more than once, words of a line too, numbers may differ a little. `strict` wants the text, up to
white space around it, or the value. `livecodebench` wants it line by line, as text or as the same numbers (Jain et
al. 2024).

This module's source is also the set-up of tests in the sandbox, so it imports the standard library only.
"""

import math
from decimal import Decimal, InvalidOperation
from typing import Any

nan, inf = math.nan, math.inf  # JSON's NaN and Infinity, as `repr` writes them


def show(value: object) -> str:
    """A value for a one-line message; an integer of thousands of digits has no `repr`."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"a value of type {type(value).__name__}, too large to show"
    return text if len(text) <= 80 else text[:77] + "..."


# ---------------------------------------------------------------- values of calls


def tuples_to_lists(value: Any) -> Any:
    """The value with lists for tuples: the expected values come from JSON, which has no tuples."""
    if isinstance(value, list | tuple):
        return [tuples_to_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: tuples_to_lists(item) for key, item in value.items()}
    return value


def same_value(got: Any, expected: Any) -> bool:
    """Equal; or alone in the expected list, because the data sets wrap most return values into one."""
    plain = tuples_to_lists(got)
    return bool(plain == expected or [plain] == expected)


def similar_value(got: Any, expected: Any) -> bool:
    """As the published scorer: also equal to the first item of an expected list, however long."""
    if same_value(got, expected):
        return True
    return isinstance(expected, list) and bool(expected) and bool(tuples_to_lists(got) == expected[0])


def exact_value(got: Any, expected: Any) -> bool:
    """Equal; a tuple counts as a list, but for one inside another value (LiveCodeBench)."""
    return bool((list(got) if isinstance(got, tuple) else got) == expected)


# ---------------------------------------------------------------- printed text


def same_text(output: str, expected: str) -> bool:
    return output.strip() == expected.strip()


def similar_text(output: str, expected: str) -> bool:
    """As the published scorer: text, stripped lines, no empty lines, numbers, sets of words, rounded ones."""
    lines = output.splitlines()
    for text in ("\n".join(lines), "\n".join(line.strip() for line in lines)):
        if text.strip() == expected.strip():
            return True
    wanted = [line.strip() for line in expected.split("\n") if line]
    got = [line for line in lines if line]
    if wanted in (lines, got) or _close(got, wanted):
        return True
    words, wanted_words = _sets(got), _sets(wanted)
    return words == wanted_words or _same_rounded(words, wanted_words)


def same_lines(output: str, expected: str) -> bool:
    """As many lines, each the same but for white space around it, or the same decimal numbers (LiveCodeBench)."""
    got, wanted = ([line.strip() for line in text.strip().split("\n")] for text in (output, expected))
    return len(got) == len(wanted) and all(
        a == b or _same_decimals(a.split(), b.split()) for a, b in zip(got, wanted, strict=True)
    )


def _same_decimals(got: list[str], wanted: list[str]) -> bool:
    try:
        return [Decimal(word) for word in got] == [Decimal(word) for word in wanted]
    except InvalidOperation:  # no number, or a signalling NaN
        return False


def _close(got: list[str], wanted: list[str]) -> bool:
    """Every line one number, nearly the wanted one: numpy's `allclose` with its own tolerances."""
    if len(got) != len(wanted):
        return False
    try:
        pairs = [(float(a), float(b)) for a, b in zip(got, wanted, strict=True)]
    except ValueError:
        return False
    return all(a == b or (math.isfinite(b) and abs(a - b) <= 1e-8 + 1e-5 * abs(b)) for a, b in pairs)


def _sets(lines: list[str]) -> set[frozenset[str]]:
    return {frozenset(line.split()) for line in lines if line.strip()}


def _same_rounded(words: set[frozenset[str]], wanted: set[frozenset[str]]) -> bool:
    try:
        left, right = (
            {frozenset(round(float(word), 3) for word in line) for line in lines} for lines in (words, wanted)
        )
    except ValueError:
        return False
    return left == right
