"""Each reading by its name, and what it takes of a completion with several blocks."""

import pytest

from harness.errors import ConfigError
from harness.schema import Completion, Problem, UnitTests
from harness.tasks.loading import registry
from harness.text.extract import READINGS, Wanted, python_program, with_reading

TEXT = """Install:
```bash
pip install x
```
A helper:
```python
def even(n):
    return n % 2 == 0
```
```python
def f(n):
    return even(n)
```
Use:
```python
print(f(2))
```
"""
BASH, HELPER, MAIN, USE = (
    "pip install x\n",
    "def even(n):\n    return n % 2 == 0\n",
    "def f(n):\n    return even(n)\n",
    "print(f(2))\n",
)
PROBLEM = Problem(id="p", question="def f(n):\n", solution="", check=UnitTests(code="", entry_point="f"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("entry_point", f"{HELPER}\n{MAIN}"),
        ("first_block", BASH),
        ("last_block", USE),
        ("all_blocks", f"{HELPER}\n{MAIN}\n{USE}"),
        ("verbatim", TEXT),
    ],
)
def test_a_reading_takes_what_its_name_says(name: str, expected: str) -> None:
    assert READINGS[name](TEXT, Wanted(name="f")) == expected


def test_a_program_is_the_last_block_that_reads_input() -> None:
    sums = "n = int(input())\nprint(n)\n"
    text = f"```\n3\n```\n```python\nprint(0)\n```\n```python\n{sums}```\n```\n3\n```\n"
    assert READINGS["program"](text, Wanted()) == sums


@pytest.mark.parametrize("task", ["humaneval", "mbpp", "apps", "ds1000", "conala", "humaneval_x", "spider"])
def test_tasks_of_every_kind_take_a_reading_by_name(task: str) -> None:
    assert with_reading(registry.task(task).extract, "verbatim").__name__.endswith(":verbatim")


def test_an_extractor_with_another_reading_says_so_and_reads_so() -> None:
    first = with_reading(python_program, "first_block")
    assert first.__name__ == "python_program:first_block"
    assert first(PROBLEM, Completion(text=TEXT)) == f"def f(n):\n{BASH}"


def test_a_reading_that_there_is_not_and_an_extractor_without_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'first_blok'.*'first_block'"):
        with_reading(python_program, "first_blok")

    def mine(problem: Problem, completion: Completion) -> str:
        return completion.text

    with pytest.raises(ConfigError, match="mine reads completions in its own way only"):
        with_reading(mine, "first_block")
