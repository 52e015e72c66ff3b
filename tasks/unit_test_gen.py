"""Unit-test generation: the model writes tests for a function that is right (2311.02303's UnitTest).

One row: the function `def add(x, y): return x + y` -> `assert add(2, 3) == 5`. The paper's own rows are not released;
these are the functions of MBPP, or of HumanEval with `corpus = "humaneval"` (whose docstrings show examples already);
with `language` java or javascript they are HumanEval-X's, whatever the corpus. What is asked for are assertions below
the function, in Java a class Main; what they are worth is in harness/scorers/execution/generated_tests.py. A shot
shows the benchmark's own tests. `mutants` is how many broken versions are drawn for each function. Numbers do not
compare with the paper's: there, tests that assert nothing count.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from harness import scorers
from harness.errors import ConfigError, unknown
from harness.schema import (
    Card,
    InlineTests,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
    UnderTest,
    UnitTests,
)
from harness.tasks import humaneval, humaneval_x, mbpp
from harness.text.extract import whole_program

Corpus = Literal["mbpp", "humaneval"]
Language = Literal["python", "java", "javascript"]
ORIGINS = {"mbpp": mbpp, "humaneval": humaneval}
LANGUAGES = ("python", "java", "javascript")
# In Java and JavaScript: what is asked for, and what a base model has finished with.
FORMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "java": (
        "Write tests for this Java class, as a class Main whose method main throws an AssertionError if one fails. It"
        " is already defined: do not repeat it. Only the standard library is there.",
        ("\n//", "\n/*", "\n```"),
    ),
    "javascript": (
        "Write tests for this JavaScript function, as calls of console.assert. It is already defined: do not repeat"
        " or import it. Only Node's own modules are there.",
        ("\n//", "\n/*", "\nmodule.exports", "\n```"),
    ),
}

# A base model continues after the function; its assertions end where something else begins.
PLAIN = Template(
    name="plain",
    style="plain",
    question="{question}\n\n# Tests of the function above.\n",
    stop=("\ndef", "\nclass", "\n#", "\nprint", "\nif", "\n```"),
)
INSTRUCTION = Template(
    name="instruction",
    style="instruction",
    question="### Instruction:\nWrite tests for this Python function, as assert statements. It is already defined: "
    "do not repeat or import it.\n```python\n{question}\n```\n### Response:\n```python\n",
    answer="{solution}\n```",
    stop=("\n```",),
)
CHAT = Template(
    name="chat",
    style="chat",
    question="Write tests for this Python function, as assert statements. It is already defined: do not repeat or "
    "import it. Reply with the tests in one code block.\n```python\n{question}\n```",
    answer="```python\n{solution}\n```",
)


def templates(language: Language) -> tuple[Template, ...]:
    if language == "python":
        return (PLAIN, INSTRUCTION, CHAT)
    asked, stop = FORMS[language]
    fence = f"```{language}\n"
    plain = "{question}\n\n// Tests of the code above.\n"
    return (
        Template(name="plain", style="plain", question=plain, stop=stop),
        Template(
            name="instruction",
            style="instruction",
            question=f"### Instruction:\n{asked}\n{fence}{{question}}\n```\n### Response:\n{fence}",
            answer="{solution}\n```",
            stop=("\n```",),
        ),
        Template(
            name="chat",
            style="chat",
            question=f"{asked} Reply with the tests in one code block.\n{fence}{{question}}\n```",
            answer=f"{fence}{{solution}}\n```",
        ),
    )


def as_test_generation(origin: Problem, corpus: Corpus, mutants: int) -> Problem:
    """The problem inverted: its solution is the question, its tests are the solution."""
    tests = origin.check
    assert isinstance(tests, UnitTests)
    code = origin.question + origin.solution if corpus == "humaneval" else origin.solution
    own = f"{tests.setup}{tests.code}" if corpus == "mbpp" else tests.code
    check = UnderTest(code=code, tests=tests, entry_point=tests.entry_point, mutants=mutants)
    return _inverted(origin, code, own, check)


def _inverted(origin: Problem, code: str, own: str, check: UnderTest) -> Problem:
    return Problem(
        id=origin.id,
        question=code.strip("\n"),
        solution=own.strip("\n"),
        check=check,
        group=origin.group,
    )


def _load_polyglot(
    made: Task, language: Language, mutants: int
) -> Callable[[Split, Source], Iterable[Problem]]:
    """HumanEval-X's rows; what it instruments its tests with is no part of a suite, so they are read again."""

    def load(split: Split, source: Source) -> Iterable[Problem]:
        file = next((file for file in made.card.files if source.find(file)), made.card.files[0])
        tests = {row["task_id"]: row["test"] for row in source.rows(file, ("task_id", "test"))}
        for origin in made.load(split, source):
            assert isinstance(origin.check, InlineTests)
            code, entry = origin.question + origin.solution, humaneval_x.entry_point(origin.question)
            check = UnderTest(code=code, tests=origin.check, entry_point=entry, mutants=mutants)
            yield _inverted(origin, code, tests[origin.id], check)

    return load


def _load_python(made: Task, corpus: Corpus, mutants: int) -> Callable[[Split, Source], Iterable[Problem]]:
    def load(split: Split, source: Source) -> Iterable[Problem]:
        for problem in made.load(split, source):
            yield as_test_generation(problem, corpus, mutants)

    return load


def task(corpus: Corpus = "mbpp", language: Language = "python", mutants: int = 10) -> Task:
    if corpus not in ORIGINS:
        expected = " or ".join(map(repr, ORIGINS))
        raise ConfigError(f"task 'unit_test_gen': corpus {corpus!r}: expected {expected}")
    if language not in LANGUAGES:
        raise ConfigError(f"task 'unit_test_gen': {unknown('language', language, LANGUAGES)}")
    if type(mutants) is not int or mutants < 0:
        raise ConfigError(f"task 'unit_test_gen': mutants {mutants!r}: expected a number, 0 or more")
    if language == "python":
        origin = ORIGINS[corpus].task()
        load = _load_python(origin, corpus, mutants)
    else:
        origin = humaneval_x.task(language, silent=False)
        load = _load_polyglot(origin, language, mutants)
    sizes: Mapping[str, int] = origin.card.sizes
    return Task(
        name="unit_test_gen",
        version=2,
        load=load,
        templates=templates(language),
        extract=whole_program,
        scorers=(scorers.generated_tests,),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title="Unit-test generation: tests for a function that is right",
            paper="Liu et al. 2023, arXiv 2311.02303 (rows not released; these are other ones)",
            licence=origin.card.licence,
            tags=("test-generation",),
            url="https://github.com/codefuse-ai/codefuse-evaluation",
            sizes=sizes,
            setting="pass@1, greedy, zero-shot; tests that assert nothing do not count",
            files=origin.card.files,
        ),
    )
