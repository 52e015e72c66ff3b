"""What the models are shown, to the letter. A change here changes scores: bump the task's version with it."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from harness.errors import ConfigError
from harness.prompts import templates
from harness.schema import Message, Problem, Prompt, Reference, Template, UnitTests
from harness.tasks.loading import registry

ADD = Problem(
    id="HumanEval/0",
    question='def add(x: int, y: int) -> int:\n    """Add two numbers.\n    >>> add(1, 2)\n    3\n    """\n',
    solution="    return x + y\n",
    check=UnitTests(code="check(add)", entry_point="add"),
)
NEG = Problem(
    id="HumanEval/1",
    question='def neg(x):\n    """Change the sign."""\n',
    solution="    return -x\n",
    check=UnitTests(code="check(neg)", entry_point="neg"),
)
ONE = Problem(
    id="HumanEval/2",
    question='def one():\n    """One."""\n',
    solution="    return 1\n",
    check=UnitTests(code="check(one)", entry_point="one"),
)


def pair(number: int, question: str, solution: str) -> Problem:
    check = Reference(texts=(solution,))
    return Problem(id=f"conala/test/{number}", question=question, solution=solution, check=check)


SORT = pair(0, "sort list `x` in descending order", "x.sort(reverse=True)")
LAST = pair(1, "last element of `x`", "x[-1]")
JOIN = pair(2, "join `words` with '-'", "'-'.join(words)")

HUMANEVAL = {
    ("plain", 0): (
        'def add(x: int, y: int) -> int:\n    """Add two numbers.\n    >>> add(1, 2)\n    3\n    """\n'
    ),
    ("plain", 2): '''\
def neg(x):
    """Change the sign."""
    return -x


def one():
    """One."""
    return 1


def add(x: int, y: int) -> int:
    """Add two numbers.
    >>> add(1, 2)
    3
    """
''',
    ("instruction", 0): '''\
### Instruction:
Complete this Python function.
```python
def add(x: int, y: int) -> int:
    """Add two numbers.
    >>> add(1, 2)
    3
    """
```
### Response:
```python
''',
    ("instruction", 2): '''\
### Instruction:
Complete this Python function.
```python
def neg(x):
    """Change the sign."""
```
### Response:
```python
def neg(x):
    """Change the sign."""
    return -x
```

### Instruction:
Complete this Python function.
```python
def one():
    """One."""
```
### Response:
```python
def one():
    """One."""
    return 1
```

### Instruction:
Complete this Python function.
```python
def add(x: int, y: int) -> int:
    """Add two numbers.
    >>> add(1, 2)
    3
    """
```
### Response:
```python
''',
}

HUMANEVAL_CHAT = [
    (
        "user",
        "Complete this Python function. Reply with the whole function in one code block.\n"
        '```python\ndef neg(x):\n    """Change the sign."""\n```',
    ),
    ("assistant", '```python\ndef neg(x):\n    """Change the sign."""\n    return -x\n```'),
    (
        "user",
        "Complete this Python function. Reply with the whole function in one code block.\n"
        '```python\ndef one():\n    """One."""\n```',
    ),
    ("assistant", '```python\ndef one():\n    """One."""\n    return 1\n```'),
    (
        "user",
        "Complete this Python function. Reply with the whole function in one code block.\n"
        '```python\ndef add(x: int, y: int) -> int:\n    """Add two numbers.\n'
        '    >>> add(1, 2)\n    3\n    """\n```',
    ),
]

CONALA = {
    ("instruction", 0): "### Instruction:\nsort list `x` in descending order\n### Response:\n",
    ("instruction", 2): """\
### Instruction:
last element of `x`
### Response:
x[-1]

### Instruction:
join `words` with '-'
### Response:
'-'.join(words)

### Instruction:
sort list `x` in descending order
### Response:
""",
    ("fenced", 1): """\
### Instruction:
last element of `x`
### Response:
```python
x[-1]
```

### Instruction:
sort list `x` in descending order
### Response:
```python
""",
    ("legacy_2023", 0): "Generate Python code given a natural language instruction.\n"
    "### Instruction:\nsort list `x` in descending order\n### Response:\n",
    ("legacy_2023", 2): "Generate Python code given a natural language instruction.\n"
    "### Instruction:\nlast element of `x`                                \n### Response:\nx[-1]\n\n"
    "### Instruction:\njoin `words` with '-'                                \n### Response:\n'-'.join(words)\n\n"
    "### Instruction:\nsort list `x` in descending order\n### Response:\n",
    ("plain", 0): '"""sort list `x` in descending order"""\n',
    ("plain", 2): '''\
"""last element of `x`"""
x[-1]

"""join `words` with '-'"""
'-'.join(words)

"""sort list `x` in descending order"""
''',
}

ASK = "Solve this in Python with a single line of code, or as few as it takes. Reply with one code block.\n"
CONALA_CHAT = [
    ("user", ASK + "last element of `x`"),
    ("assistant", "```python\nx[-1]\n```"),
    ("user", ASK + "join `words` with '-'"),
    ("assistant", "```python\n'-'.join(words)\n```"),
    ("user", ASK + "sort list `x` in descending order"),
]

STOPS = {
    "humaneval": {
        "plain": ("\nclass", "\ndef", "\n#", "\nif", "\nprint", "\n@", "\n```"),
        "instruction": ("\n```",),
        "chat": (),
    },
    "conala": {
        "instruction": ("\n",),
        "chat": (),
        "plain": ("\n",),
        "fenced": ("```",),
        "legacy_2023": ("\n",),
    },
}


def template(task: str, name: str) -> Template:
    return templates.select_template(registry.task(task), name)


@pytest.mark.parametrize(("name", "shots"), HUMANEVAL)
def test_humaneval_asks_to_the_letter(name: str, shots: int) -> None:
    prompt = templates.render(template("humaneval", name), ADD, [NEG, ONE][:shots])
    assert prompt == Prompt(text=HUMANEVAL[name, shots])


@pytest.mark.parametrize(("name", "shots"), CONALA)
def test_conala_asks_to_the_letter(name: str, shots: int) -> None:
    prompt = templates.render(template("conala", name), SORT, [LAST, JOIN][:shots])
    assert prompt == Prompt(text=CONALA[name, shots])


@pytest.mark.parametrize(
    ("task", "problem", "shots", "turns"),
    [("humaneval", ADD, [NEG, ONE], HUMANEVAL_CHAT), ("conala", SORT, [LAST, JOIN], CONALA_CHAT)],
)
def test_chat_shows_shots_as_turns_and_asks_last(
    task: str, problem: Problem, shots: list[Problem], turns: list[tuple[str, str]]
) -> None:
    chat = template(task, "chat")
    shown = templates.render(chat, problem, shots)
    assert [(message.role, message.content) for message in shown.messages] == turns
    assert shown.text == ""
    alone = templates.render(chat, problem)
    assert [(message.role, message.content) for message in alone.messages] == turns[-1:]


@pytest.mark.parametrize("task", ["humaneval", "conala"])
def test_every_template_has_its_golden_prompt_and_its_stop_strings(task: str) -> None:
    golden = {name for name, _ in (HUMANEVAL if task == "humaneval" else CONALA)} | {"chat"}
    assert {each.name: each.stop for each in registry.task(task).templates} == STOPS[task]
    assert set(STOPS[task]) == golden


@pytest.mark.parametrize("task", registry.names())
def test_texts_have_one_blank_line_after_each_shot_and_no_other_rule(task: str) -> None:
    texts = [each for each in registry.task(task).templates if each.style != "chat"]
    assert {each.between for each in texts if each.name != "legacy_2023"} == {"\n\n"}


def test_shots_are_shown_in_the_order_given() -> None:
    plain = template("conala", "plain")
    forward = templates.render(plain, SORT, [LAST, JOIN]).text
    backward = templates.render(plain, SORT, [JOIN, LAST]).text
    assert forward.index("x[-1]") < forward.index("join(words)")
    assert backward.index("x[-1]") > backward.index("join(words)")


def test_placeholders_in_a_problems_own_text_stay_as_they_are() -> None:
    odd = pair(3, "put {solution} into {question}", "f'{question}{solution}{0}'")
    asked = templates.render(template("conala", "instruction"), odd, [odd]).text
    assert asked == (
        "### Instruction:\nput {solution} into {question}\n### Response:\nf'{question}{solution}{0}'\n\n"
        "### Instruction:\nput {solution} into {question}\n### Response:\n"
    )
    chat = templates.render(template("humaneval", "chat"), odd, [odd]).messages
    assert chat[1].content == ("```python\nput {solution} into {question}f'{question}{solution}{0}'```")


def test_braces_and_percent_signs_mean_nothing_else() -> None:
    odd = pair(4, "{} {0} {x!r} %s {{y}} \\n", "pass")
    assert templates.render(template("conala", "plain"), odd).text == '"""{} {0} {x!r} %s {{y}} \\n"""\n'


def test_the_system_text_stands_once_before_everything() -> None:
    plain = Template(
        name="p", style="plain", question="Q: {question}\n", answer="{solution}", system="Be brief.\n"
    )
    assert templates.render(plain, LAST, [JOIN]).text == (
        "Be brief.\nQ: join `words` with '-'\n'-'.join(words)\n\nQ: last element of `x`\n"
    )
    chat = plain.model_copy(update={"style": "chat"})
    assert templates.render(chat, LAST, [JOIN]).messages == (
        Message(role="system", content="Be brief.\n"),
        Message(role="user", content="Q: join `words` with '-'\n"),
        Message(role="assistant", content="'-'.join(words)"),
        Message(role="user", content="Q: last element of `x`\n"),
    )


def test_a_prefill_begins_the_answer_of_a_chat_and_of_no_other_prompt() -> None:
    chat = Template(style="chat", prefill="```python\n", answer="```python\n{solution}\n```")
    shown = templates.render(chat, LAST, [JOIN])
    assert [(one.role, one.content) for one in shown.messages[1:]] == [
        ("assistant", "```python\n'-'.join(words)\n```"),
        ("user", "last element of `x`"),
        ("assistant", "```python\n"),
    ]
    assert templates.render_answer(chat, LAST) == "x[-1]\n```"
    with pytest.raises(ValidationError, match="prefill is for style = 'chat'"):
        Template(style="plain", prefill="def ")


@pytest.mark.parametrize(
    ("task", "name", "shots", "sha"),
    [
        ("humaneval", "plain", 0, "134e740b8e76dd83"),
        ("humaneval", "instruction", 2, "18aa47652d782c79"),
        ("humaneval", "chat", 2, "c14c77044cad6657"),
        ("conala", "instruction", 0, "5e03a7407f6bbfc0"),
        ("conala", "chat", 0, "ffadafe7ca110289"),
        ("conala", "plain", 2, "a16f6fcdce396623"),
    ],
)
def test_a_prompts_hash_is_the_same_everywhere(task: str, name: str, shots: int, sha: str) -> None:
    problem, shown = (ADD, [NEG, ONE]) if task == "humaneval" else (SORT, [LAST, JOIN])
    assert templates.render(template(task, name), problem, shown[:shots]).sha == sha


def test_the_hash_is_that_of_the_prompts_json() -> None:
    prompt = templates.render(template("conala", "instruction"), SORT)
    plain = json.dumps({"text": CONALA["instruction", 0], "messages": []}, separators=(",", ":"))
    assert prompt.sha == hashlib.sha256(plain.encode()).hexdigest()[:16]


def test_a_text_and_a_chat_of_the_same_words_have_different_hashes() -> None:
    text = Prompt(text="x")
    chats = [Prompt(messages=(Message(role=role, content="x"),)) for role in ("user", "system")]
    assert len({text.sha, *(chat.sha for chat in chats)}) == 3


@pytest.mark.parametrize("name", registry.names())
def test_every_task_has_a_default_for_models_that_chat_and_one_for_models_that_continue(name: str) -> None:
    task = registry.task(name)
    only_gaps = {template.style for template in task.templates} == {
        "fim"
    }  # no chat and no text asks for these
    assert (templates.select_template(task, "", chat=True).style == "chat") is not only_gaps
    assert templates.select_template(task, "", chat=False).style != "chat"
    assert templates.select_template(task, "") is task.templates[0]


def test_a_named_template_wins_and_a_wrong_name_names_the_nearest() -> None:
    task = registry.task("conala")
    assert templates.select_template(task, "plain", chat=True).name == "plain"
    assert templates.select_template(task, "chat").style == "chat"
    with pytest.raises(ConfigError) as caught:
        templates.select_template(task, "plian")
    assert (
        str(caught.value)
        == "no prompt 'plian'. Did you mean 'plain'? Known: chat, fenced, instruction, legacy_2023, plain."
    )
