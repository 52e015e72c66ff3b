"""Unit-test generation: the model writes tests for a function that is right (2311.02303's UnitTest, in Python).

One row: the function `def add(x, y): return x + y` -> `assert add(2, 3) == 5`. The paper's own rows are not released;
these are the functions of MBPP, or of HumanEval with `corpus = "humaneval"` (whose docstrings show examples already).
What is asked for are assertions below the function; what they are worth is in
harness/scorers/execution/generated_tests.py. A shot shows the benchmark's own tests. `mutants` is how many broken
versions are drawn for each function. Numbers do not compare with the paper's: there, tests that assert nothing count.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from harness import scorers
from harness.errors import ConfigError
from harness.schema import Card, Problem, Sampling, Source, Split, Task, Template, UnderTest, UnitTests
from harness.tasks import humaneval, mbpp
from harness.text.extract import whole_program

Corpus = Literal["mbpp", "humaneval"]
ORIGINS = {"mbpp": mbpp, "humaneval": humaneval}

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


def as_test_generation(origin: Problem, corpus: Corpus, mutants: int) -> Problem:
    """The problem inverted: its solution is the question, its tests are the solution."""
    tests = origin.check
    assert isinstance(tests, UnitTests)
    code = origin.question + origin.solution if corpus == "humaneval" else origin.solution
    own = f"{tests.setup}{tests.code}" if corpus == "mbpp" else tests.code
    return Problem(
        id=origin.id,
        question=code.strip("\n"),
        solution=own.strip("\n"),
        check=UnderTest(code=code, tests=tests, mutants=mutants),
        group=origin.group,
    )


def task(corpus: Corpus = "mbpp", mutants: int = 10) -> Task:
    if corpus not in ORIGINS:
        expected = " or ".join(map(repr, ORIGINS))
        raise ConfigError(f"task 'unit_test_gen': corpus {corpus!r}: expected {expected}")
    if type(mutants) is not int or mutants < 0:
        raise ConfigError(f"task 'unit_test_gen': mutants {mutants!r}: expected a number, 0 or more")
    origin = ORIGINS[corpus].task()

    def load(split: Split, source: Source) -> Iterable[Problem]:
        for problem in origin.load(split, source):
            yield as_test_generation(problem, corpus, mutants)

    sizes: Mapping[str, int] = origin.card.sizes
    return Task(
        name="unit_test_gen",
        version=2,
        load=load,
        templates=(PLAIN, INSTRUCTION, CHAT),
        extract=whole_program,
        scorers=(scorers.generated_tests,),
        sampling=Sampling(max_tokens=512),
        packages=("numpy",),
        card=Card(
            title="Unit-test generation: tests for a function that is right",
            paper="Liu et al. 2023, arXiv 2311.02303 (rows not released; these are other ones)",
            licence=origin.card.licence,
            url="https://github.com/codefuse-ai/codefuse-evaluation",
            sizes=sizes,
            setting="pass@1, greedy, zero-shot; tests that assert nothing do not count",
            files=origin.card.files,
        ),
    )
