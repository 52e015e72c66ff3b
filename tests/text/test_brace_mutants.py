"""Masking and finding functions by text: what they find, and that no text makes them slow."""

import time

import pytest

from harness.scorers.execution.suite_source import build_suite
from harness.text import brace_mutants
from harness.text.ngrams import MAX_PARSED_CHARS

SIZE = 100_000
HOSTILE = {
    "comments that do not end": "/* ",
    "templates that do not end": "`\\",
    "double quotes that do not end": '"\\',
    "single quotes that do not end": "'\\",
    "quotes over many lines": '"\\\n\\"\\\n',
    "classes that do not end": "=/[",
    "regular expressions that do not end": "[=/]",
    "a run of words": "a ",
    "a run of brackets": "<",
    "spaces": " ",
    "modifiers": "public static ",
    "lines of modifiers": "public static\n",
    "names without a body": "const f = ",
    "parameters without a body": "function f(",
    "methods without a body": " a f( ",
    "functions that do not end": "const f={",
    "classes without a body": "class Solution ",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("lead", ["", "function", "public\n", "=/"])
def test_no_text_is_searched_over_and_over(name: str, lead: str) -> None:
    text = lead + HOSTILE[name] * (SIZE // len(HOSTILE[name]))
    before = time.process_time()
    brace_mutants.functions(brace_mutants.mask(text), "f")
    brace_mutants.functions(text, "f")
    build_suite(text, "f", "javascript")
    build_suite(text, "f", "java")
    assert time.process_time() - before < 2.0


def test_a_suite_longer_than_what_is_parsed_is_none() -> None:
    suite = "console.assert(f(1))\n"
    text = suite * (MAX_PARSED_CHARS // len(suite) + 1)
    assert build_suite(text, "f", "javascript") is None
    assert build_suite(text[:MAX_PARSED_CHARS], "f", "javascript") is not None


@pytest.mark.parametrize(
    ("code", "masked"),
    [
        ("a /* { */ b // {\nc", "a         b     \nc"),
        ("x = '{' + \"\\\"}\" + `${'`", "x =     +       +      "),
        ("s.replace(/[/{]\\//g, 1)", "s.replace(         , 1)"),
        ("don't { stop }", "don't { stop }"),  # not closed: no literal
        ("n = a\n  / b { }", "n = a\n  / b { }"),
    ],
)
def test_literals_and_comments_are_masked(code: str, masked: str) -> None:
    assert brace_mutants.mask(code) == masked


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("const f = (x) => { return {} }; f()", "const f = (x) => { return {} }"),
        ("x;\nfunction* f(a, b) {\n}\n", "function* f(a, b) {\n}"),
        ("class A {\n  public static int f(int[] a) { }\n}", "  public static int f(int[] a) { }"),
        (
            "class A {\npublic static\n  List<int[]> f(int a) { } }",
            "public static\n  List<int[]> f(int a) { }",
        ),
        ("return f(1) ? {} : 2", None),
        ("const g = f", None),
    ],
)
def test_functions_are_found_from_their_first_word_to_their_last_brace(code: str, found: str | None) -> None:
    places = brace_mutants.functions(code, "f")
    assert [code[start : end + 1] for start, _, end in places] == ([found] if found else [])


def test_a_function_within_a_removed_one_goes_with_it() -> None:
    suite = "const f = () => {\n  const f = () => { 1 }\n}\nconsole.assert(f(1))\n"
    assert build_suite(suite, "f", "javascript") == "\nconsole.assert(f(1))\n"
