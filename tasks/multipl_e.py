"""MultiPL-E: the functions of HumanEval and MBPP translated into other languages (Cassano et al., 2022).

One row (Lua): name "HumanEval_0_add", prompt "-- Add them.\\nlocal function add(a, b)\\n", stop_tokens ["\\nlocal"],
tests "lu = require('luaunit') ... lu.assertEquals(candidate(1, 2), 3)" -> the rest "  return a + b\\nend\\n".
`language` is upstream's short name, `dataset` humaneval or mbpp; which languages run here is in
tasks/families/translated_tests.py. HumanEval in Python is the task humaneval.

A completion goes on from the prompt and ends at the row's first stop token; prompt, completion and tests are compiled
together, so verdicts are `in_process` (tasks/families/completion_marker.py). Upstream has no solutions: a row may
have one of its own in `canonical_solution`, which proves the check. Upstream asks that nobody trains on the rows;
there is no train split, and nothing shows them as shots.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from harness import scorers
from harness.errors import ConfigError, DataError, unknown
from harness.schema import (
    Card,
    Completion,
    DataFile,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
)
from harness.tasks.families import single_source
from harness.tasks.families.translated_tests import LANGUAGES, TargetLanguage, inline_tests
from harness.text.brace_mutants import closing, mask
from harness.text.extract import Reading, Wanted, by_entry_point

Row = Mapping[str, Any]
Dataset = Literal["humaneval", "mbpp"]

FIELDS = ("name", "prompt", "tests", "stop_tokens")
# Rows of HumanEval in each language, as published.
SIZES = {
    **dict.fromkeys(("cpp", "js", "lua", "php", "pl", "r", "rb", "rkt"), 161),
    **dict.fromkeys(("cs", "java", "sh", "swift"), 158),
    **dict.fromkeys(("jl", "ts"), 159),
    **{"d": 156, "go": 154, "rs": 156, "scala": 160},
}
# Lines that make something known, which a whole function needs too.
_IMPORTS = re.compile(r"^\s*(?:#include|import\b|using\b|use\b|require\b|from\b|#lang|#!|<\?php)")
_MAIN = re.compile(
    r"^[ \t]*(?:(?:public|private|internal|static|async)\s+)*(?:int|void|def|Task(?:<int>)?)\s+([Mm]ain)\s*\(",
    re.MULTILINE,
)
# What the tests' first bracket closes, behind a function that has none of its own.
_OPENED = {
    "cs": "\n    static void HarnessEnd_() {\n",
    "scala": "\n    def harnessEnd_(): Unit = {\n",
}
_MODIFIERS = r"\b(?:(?:public|internal|static|final|sealed|abstract)\s+)*"
_GO_HEAD = re.compile(r"\A\s*package \w+\s*\n\s*import \([^)]*\)\n|\A\s*package \w+\s*\n")


def _templates(name: str) -> tuple[Template, ...]:
    """`chat` is the prompt that the recorded chat outputs were given, to the letter."""
    return (
        Template(name="plain", style="plain", stop=LANGUAGES[name].stop),
        Template(
            name="chat",
            style="chat",
            question="Please continue to complete the function and return all completed code in a codeblock. "
            f"Here is the given code to do completion:\n```{name}\n{{question}}```",
            answer=f"```{name}\n{{question}}{{solution}}```",
        ),
    )


# ---------------------------------------------------------------- programs


def cut(text: str, stops: Iterable[str]) -> str:
    """Up to the first of the stop tokens."""
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]


def entry_point(language: TargetLanguage, prompt: str) -> str:
    """The name of the function that the prompt begins."""
    found = language.definition(r"([\w$!?]+)").findall(prompt)
    last = found[-1] if found else ""
    return last if isinstance(last, str) else next(filter(None, last), "")


def _beginning(language: TargetLanguage, prompt: str, code: str) -> re.Match[str] | None:
    """Where code has the function itself."""
    name = entry_point(language, prompt)
    return language.definition(re.escape(name)).search(code) if name else None


def _body(name: str, masked: str, at: int) -> int:
    """Where the bracket of the function's body is whose first bracket of parameters ends at `at`; -1 where the body is
    an expression: `=> a + b;` of C#, `= a + b` or `= a match { ... }` of Scala.
    """
    depth = 1
    for place in range(at, len(masked)):
        sign, two = masked[place], masked[place : place + 2]
        depth += (sign in "([") - (sign in ")]")
        if depth or sign not in "{=" or (name == "scala" and two == "=>"):
            continue
        if sign == "{":
            return place
        found = re.compile(r"=\s*\{").match(masked, place) if name == "scala" else None
        if found is None:
            return -1
        behind = closing(masked, found.end()) + 1
        # A block may be the beginning of an expression only: `{ ... }.sum`.
        return -1 if re.compile(r"\s*\.|[ \t]*[^\s})]").match(masked, behind) else found.end() - 1
    return -1


def _before_bracket(name: str, code: str, found: re.Match[str]) -> str:
    """Code without the bracket that closes the function that `found` begins, which the tests bring, and without what
    follows. Literals are not masked: the quotes of the shell and of Rust's lifetimes are no literals of C.
    """
    del name
    depth = 0
    for at in range(found.start(), len(code)):
        depth += (code[at] == "{") - (code[at] == "}")
        if code[at] == "}" and depth <= 0:
            return code[:at]
    return code


def _function_last(name: str, code: str, found: re.Match[str]) -> str:
    """Code up to the bracket that closes the method that `found` begins, which the tests bring; what follows it in its
    class, where any order will do, stands above it. Behind a method that is an expression another is begun.
    """
    masked, start = mask(code), found.start()
    opened = _body(name, masked, found.end())
    if opened < 0:
        return code[: closing(masked, start)].rstrip() + _OPENED.get(name, "")
    end = closing(masked, opened + 1)
    below = code[end + 1 : closing(masked, end + 1)]
    return code[:start] + (f"{below}\n" if below.strip() else "") + code[start:end]


def _before_last_bracket(name: str, code: str, found: re.Match[str]) -> str:
    """Code up to the last bracket that closes a function that `found` begins or one below it, which the tests bring: in
    C++ a function is known to those below it, so each keeps its place.
    """
    del name
    masked = mask(code)
    end, opened = len(code), masked.find("{", found.start())
    while opened >= 0:
        end = closing(masked, opened + 1)
        opened = masked.find("{", end)
    return code[:end]


def _without_main(name: str, code: str) -> str:
    """The tests have their own. One that is an expression gets another name: its end is not found for certain."""
    masked = mask(code)
    found = _MAIN.search(masked)
    if found is None:
        return code
    opened = _body(name, masked, found.end())
    if opened < 0:
        return f"{code[: found.start(1)]}answers_{code[found.start(1) :]}"
    return code[: found.start()] + code[closing(masked, opened + 1) + 1 :]


def _in_problem(kind: str, code: str, start: int) -> str:
    """Code whose class around the place `start` is called as the tests' own, its head as the prompt's."""
    masked = mask(code)
    heads = re.finditer(rf"{_MODIFIERS}{kind}\s+\w+[^{{}};()]*\{{", masked[:start])
    around = [head for head in heads if closing(masked, head.end()) > start]
    if not around:
        return code
    inside = code[around[-1].end() :].removeprefix("\n")
    return f"{code[: around[-1].start()]}{kind} Problem {{\n{inside}"


def _head(language: TargetLanguage, prompt: str, code: str) -> str:
    """What stands in the prompt above the function and its comments, and is not in the code."""
    found = _beginning(language, prompt, prompt)
    lines = prompt[: found.start() if found else 0].split("\n")
    comments = [at for at, line in enumerate(lines) if _is_comment(language, line)]
    kept = [line for line in lines[: min(comments, default=len(lines))] if line.strip()]
    has = {line.strip() for line in code.split("\n")}
    if all(line.strip() in has for line in kept):
        return ""
    types = [line for line in kept if not _IMPORTS.match(line)]
    known = types and types[0].strip() in has
    return "".join(
        f"{line}\n" for line in kept if line.strip() not in has and (_IMPORTS.match(line) or not known)
    )


def _is_comment(language: TargetLanguage, line: str) -> bool:
    return line.strip().startswith((language.comment, "/*", '"""')) and not _IMPORTS.match(line)


_CLOSE = {"cpp": _before_last_bracket, "cs": _function_last, "java": _function_last, "scala": _function_last}


def _whole(name: str, prompt: str, code: str, found: re.Match[str]) -> str:
    """The program of code that has the function itself."""
    language = LANGUAGES[name]
    if name in (*_CLOSE, "d"):
        code = _without_main(name, code)
        found = _beginning(language, prompt, code) or found
    match name:
        case "go":
            return _go_imports(prompt, code)
        case "java" | "cs" | "scala":
            code = _in_problem("object" if name == "scala" else "class", code, found.start())
            found = _beginning(language, prompt, code) or found
        case "php":
            code = re.sub(r"\?>\s*\Z", "", code)
        case "rkt":
            code = re.sub(r"^#lang .*\n", "", code, flags=re.MULTILINE)
        case "d":
            code = re.sub(r"\A\s*module [\w.]+;[ \t]*\n", "", code)
    if language.closed:
        code = _CLOSE.get(name, _before_bracket)(name, code, found)
    return _head(language, prompt, code) + code


def _go_imports(prompt: str, code: str) -> str:
    """Without the package clause and what the tests' own block imports already."""
    given = set(re.findall(r'"([\w/]+)"', go_head(prompt)))
    used = single_source.go_packages(code, go_head(prompt))
    body = re.sub(r'^(?:package \w+|import (?:\([^)]*\)|"[^"]*"))[ \t]*\n', "", code, flags=re.MULTILINE)
    asked = set(
        re.findall(r'"([\w/]+)"', "".join(re.findall(r'^import (?:\([^)]*\)|"[^"]*")', code, re.MULTILINE)))
    )
    wanted = sorted((asked | set(used)) - given)
    return (
        "".join(f'import "{package}"\n' for package in wanted if f"{package.rsplit('/')[-1]}." in body) + body
    )


def go_head(prompt: str) -> str:
    """Go's package clause and imports, which have to come first."""
    found = _GO_HEAD.match(prompt)
    return found[0] if found else ""


def program(name: str, problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
    """The program without its tests, and in Go without what `before` has."""
    language, prompt, text = LANGUAGES[name], problem.question, completion.text
    if completion.form == "output":
        code = read(text, _wanted(language, name, prompt)).replace("\r\n", "\n")
        found = _beginning(language, prompt, code)
        if found is not None:
            return _whole(name, prompt, code, found)
        text = code
    elif completion.form == "program":
        return text.removeprefix(go_head(prompt)) if name == "go" else text
    whole = prompt + cut(text, problem.parts["stop"].split("\0"))
    return whole.removeprefix(go_head(prompt)) if name == "go" else whole


def _wanted(language: TargetLanguage, name: str, prompt: str) -> Wanted:
    def fits(code: str, tree: object) -> bool:
        del tree
        return _beginning(language, prompt, code) is not None

    words = {"sh": "shell", "js": "javascript", "ts": "typescript"}
    return Wanted(words.get(name, name), entry_point(language, prompt), prompt, fits)


# ---------------------------------------------------------------- problems


def _problem(row: Row, name: str) -> Problem:
    prompt = row["prompt"]
    if not isinstance(row["stop_tokens"], list):
        raise DataError(f"{row['name']}: stop_tokens: expected a list, got {row['stop_tokens']!r}")
    stops = row["stop_tokens"] or LANGUAGES[name].stop
    return Problem(
        id=row["name"],
        question=prompt,
        solution=row.get("canonical_solution", ""),
        check=inline_tests(name, row["tests"], go_head(prompt) if name == "go" else ""),
        parts={"stop": "\0".join(stops)},
    )


def _load(name: str, where: tuple[DataFile, ...]) -> Callable[[Split, Source], Iterable[Problem]]:
    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return
        file = next((file for file in where if source.find(file)), where[0])
        for row in source.rows(file, FIELDS):
            try:
                yield _problem(row, name)
            except ValueError as error:
                source.skip(row["name"], str(error))

    return load


def files(name: str, dataset: str) -> tuple[DataFile, ...]:
    """The hub's layout (a folder each, Parquet), or JSON lines, beside each other or in prompts/."""
    folder = f"{dataset}-{name}"
    return (
        DataFile("multipl_e", f"{folder}/test-00000-of-00001.parquet"),
        DataFile("multipl_e", f"{folder}.jsonl"),
        DataFile("multipl_e", f"prompts/{folder}.jsonl"),
    )


def task(language: str = "cpp", dataset: Dataset = "humaneval") -> Task:
    if language not in LANGUAGES:
        raise ConfigError(f"task 'multipl_e': {unknown('language', language, LANGUAGES)}")
    if dataset not in ("humaneval", "mbpp"):
        raise ConfigError(f"task 'multipl_e': {unknown('dataset', dataset, ('humaneval', 'mbpp'))}")
    target = LANGUAGES[language]
    if not target.runs:
        raise ConfigError(
            f"task 'multipl_e': {target.word} cannot run in the sandbox yet, so its rows were not run (it would take a"
            f" row in its table of languages, and {target.wants})"
        )

    def multipl_e_program(problem: Problem, completion: Completion, read: Reading = by_entry_point) -> str:
        return program(language, problem, completion, read)

    where = files(language, dataset)
    return Task(
        name="multipl_e",
        version=2,
        load=_load(language, where),
        templates=_templates(language),
        extract=multipl_e_program,
        scorers=(scorers.unit_tests,),
        sampling=Sampling(max_tokens=512),
        card=Card(
            title=f"MultiPL-E: {dataset} in {target.word}",
            paper="Cassano et al. 2022, arXiv 2208.08227",
            licence="BSD-3-Clause, and not as training data",
            tags=("functions",),
            languages=tuple(each.runs or short for short, each in LANGUAGES.items()),
            url="https://github.com/nuprl/MultiPL-E",
            sizes={"test": SIZES[language] if dataset == "humaneval" else 0},
            setting="pass@1, temperature 0.2, zero-shot"
            + ("" if dataset == "humaneval" else "; how many rows MBPP has here is not stated"),
            files=where[:1],
        ),
    )
