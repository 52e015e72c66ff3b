"""The prompts of MBPP, MBPP+, HumanEval+ and CodeAlpacaPy, to the letter."""

import pytest

from harness.prompts import templates
from harness.schema import Problem, Prompt, Reference, UnitTests
from harness.tasks.loading import registry
from tests.prompts.test_templates import ADD, HUMANEVAL, HUMANEVAL_CHAT, NEG, ONE, STOPS


def solved(name: str, question: str, solution: str) -> Problem:
    check = UnitTests(code="assert True", entry_point="f")
    return Problem(id=name, question=question, solution=solution, check=check)


ADD_UP = solved(
    "mbpp/11", "Write a function to add.\nassert add(1, 2) == 3", "def add(a, b):\n    return a + b"
)
NEGATE = solved("mbpp/601", "Write a function to negate.\nassert neg(1) == -1", "def neg(x):\n    return -x")
DOUBLE = Problem(
    id="codealpaca_py/test/0",
    question="Double x in Python.",
    solution="x * 2",
    check=Reference(texts=("x * 2",)),
)
HALVE = DOUBLE.model_copy(update={"question": "Halve x in Python.", "solution": "x / 2"})

MBPP = {
    ("plain", 0): '"""\nWrite a function to add.\nassert add(1, 2) == 3\n"""\n',
    ("plain", 1): '''\
"""
Write a function to negate.
assert neg(1) == -1
"""
def neg(x):
    return -x

"""
Write a function to add.
assert add(1, 2) == 3
"""
''',
    ("instruction", 1): """\
### Instruction:
Write a function to negate.
assert neg(1) == -1
### Response:
```python
def neg(x):
    return -x
```

### Instruction:
Write a function to add.
assert add(1, 2) == 3
### Response:
```python
""",
    ("paper", 1): """\
You are an expert Python programmer, and here is your task: Write a function to negate.
assert neg(1) == -1
[BEGIN]
def neg(x):
    return -x
[DONE]

You are an expert Python programmer, and here is your task: Write a function to add.
assert add(1, 2) == 3
[BEGIN]
""",
    ("codefuse", 0): "<|role_start|>human<|role_end|>Write a function to add.\nassert add(1, 2) == 3"
    "<|role_start|>bot<|role_end|>",
}
MBPP_STOPS = {
    "plain": ("\nclass Test", "\nassert", '\n"""', "\nprint", "\nif", "\n```"),
    "instruction": ("\n```",),
    "chat": (),
}
ASK = (
    "Solve this with a Python function. Its name and arguments are those of the tests. Reply with the whole "
    "program in one code block.\n"
)
CODEALPACA = {
    ("instruction", 1): "### Instruction:\nHalve x in Python.\n### Response:\nx / 2\n\n"
    "### Instruction:\nDouble x in Python.\n### Response:\n",
    ("plain", 0): '"""Double x in Python."""\n',
    ("fenced", 1): "### Instruction:\nHalve x in Python.\n### Response:\n```python\nx / 2\n```\n\n"
    "### Instruction:\nDouble x in Python.\n### Response:\n```python\n",
    ("legacy_2023", 1): "Generate Python code given a natural language instruction.\n### Instruction:\n"
    "Halve x in Python.                                \n### Response:\nx / 2\n\n"
    "### Instruction:\nDouble x in Python.\n### Response:\n",
}


MBPP_ALONE = {"paper", "codefuse"}


@pytest.mark.parametrize(
    ("task", "name", "shots"),
    [("mbpp", *of) for of in MBPP] + [("mbpp_plus", *of) for of in MBPP if of[0] not in MBPP_ALONE],
)
def test_mbpp_asks_to_the_letter(task: str, name: str, shots: int) -> None:
    template = templates.select_template(registry.task(task), name)
    assert templates.render(template, ADD_UP, [NEGATE][:shots]) == Prompt(text=MBPP[name, shots])


@pytest.mark.parametrize("task", ["mbpp", "mbpp_plus"])
def test_mbpps_chat_shows_shots_as_turns(task: str) -> None:
    chat = templates.select_template(registry.task(task), "chat")
    assert [(each.role, each.content) for each in templates.render(chat, ADD_UP, [NEGATE]).messages] == [
        ("user", ASK + NEGATE.question),
        ("assistant", "```python\ndef neg(x):\n    return -x\n```"),
        ("user", ASK + ADD_UP.question),
    ]


@pytest.mark.parametrize(("name", "shots"), HUMANEVAL)
def test_humaneval_plus_asks_as_humaneval_does(name: str, shots: int) -> None:
    template = templates.select_template(registry.task("humaneval_plus"), name)
    assert templates.render(template, ADD, [NEG, ONE][:shots]) == Prompt(text=HUMANEVAL[name, shots])


def test_humaneval_plus_chats_as_humaneval_does() -> None:
    chat = templates.select_template(registry.task("humaneval_plus"), "chat")
    turns = [(each.role, each.content) for each in templates.render(chat, ADD, [NEG, ONE]).messages]
    assert turns == HUMANEVAL_CHAT


@pytest.mark.parametrize(("name", "shots"), CODEALPACA)
def test_codealpaca_asks_to_the_letter(name: str, shots: int) -> None:
    template = templates.select_template(registry.task("codealpaca_py"), name)
    assert templates.render(template, DOUBLE, [HALVE][:shots]) == Prompt(text=CODEALPACA[name, shots])


def test_codealpacas_chat_shows_shots_as_turns() -> None:
    chat = templates.select_template(registry.task("codealpaca_py"), "chat")
    assert [(each.role, each.content) for each in templates.render(chat, DOUBLE, [HALVE]).messages] == [
        ("user", "Solve this in Python. Reply with one code block.\nHalve x in Python."),
        ("assistant", "```python\nx / 2\n```"),
        ("user", "Solve this in Python. Reply with one code block.\nDouble x in Python."),
    ]


@pytest.mark.parametrize(
    ("task", "stops"),
    [
        ("mbpp", {**MBPP_STOPS, "paper": ("\n[DONE]",), "codefuse": ()}),
        ("mbpp_plus", MBPP_STOPS),
        ("humaneval_plus", STOPS["humaneval"]),
        (
            "codealpaca_py",
            {"instruction": (), "chat": (), "plain": (), "fenced": ("```",), "legacy_2023": ()},
        ),
    ],
)
def test_every_template_has_its_stop_strings(task: str, stops: dict[str, tuple[str, ...]]) -> None:
    assert {each.name: each.stop for each in registry.task(task).templates} == stops
