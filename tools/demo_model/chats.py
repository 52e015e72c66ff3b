"""The training texts of the demo chat model: the corpus of the demo model, asked in chats.

A chat asks to complete a function or for a line of code; its answer is one block of code, behind a thought unless
the chat has thinking switched off. Some texts keep the demo model's own forms, so that a prompt without a chat is
still answered. Nothing that `tasks/mini` asks is among them: every text is made of a row of `corpus.rows`, which
holds those back.

`python -m tools.demo_model.chats` prints some.
"""

import ast
import itertools
import random
import re
import textwrap
from collections.abc import Iterator

from tools.demo_model import corpus
from tools.demo_model.corpus import Row, Turn

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
BEGIN, END = "<|im_start|>", "<|im_end|>"
THINK, THOUGHT = "<think>", "</think>"
NO_THOUGHT = f"{THINK}\n\n{THOUGHT}\n\n"  # what the template writes where thinking is switched off

# As Qwen3's: thoughts of earlier answers are left out, and where `enable_thinking` is false stands an empty one.
TEMPLATE = """\
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant'] %}
        {{- raise_exception('roles are system, user and assistant, not ' + message.role) }}
    {%- endif %}
    {%- if message.role == 'system' and not loop.first %}
        {{- raise_exception('a system message stands first') }}
    {%- endif %}
    {%- set said = message.content %}
    {%- if message.role == 'assistant' and '</think>' in said %}
        {%- set said = said.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + said + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

SYSTEMS = (
    "You are a helpful assistant.",
    "You are an expert Python programmer.",
    "You write short Python programs.",
    "Answer with Python code.",
)
FUNCTION = (
    "Complete this Python function. Reply with the whole function in one code block.\n```python\n{}```",
    "Complete this Python function. Reply with the whole function in one code block.\n```python\n{}```",
    "Complete the function.\n```python\n{}```",
    "Please finish this function and return the whole code in a code block.\n```python\n{}```",
)
LINE = (
    "Solve this in Python with a single line of code, or as few as it takes. Reply with one code block.\n{}",
    "Solve this in Python with a single line of code, or as few as it takes. Reply with one code block.\n{}",
    "{}",
    "Write Python code to {}.",
)
MOST_TURNS = 3  # longer texts cost more than they teach
AS_BEFORE = 0.25  # share of the texts in the demo model's own forms
THINKING = 0.6  # share of the chats with thinking switched on


def block(code: str) -> str:
    return f"```python\n{code.rstrip()}\n```"


def plan(body: str) -> str:
    """What kind of body solves it, as a sentence."""
    statements = ast.parse(textwrap.dedent(body)).body
    if len(statements) == 1 and isinstance(statements[0], ast.Return):
        return "One expression is enough."
    if any(isinstance(node, ast.For | ast.While) for each in statements for node in ast.walk(each)):
        return "It takes a loop."
    return f"It takes {len(statements)} statements."


def think_of_function(prompt: str, body: str) -> str:
    """A thought about a function to complete: what it shall do, its name and arguments, and the plan."""
    tree = ast.parse(prompt + body)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    said = " ".join((ast.get_docstring(function) or "").partition(">>>")[0].split())
    arguments = ", ".join(argument.arg for argument in function.args.args)
    return f"The task: {said}\nThe function is {function.name}, of {arguments}.\n{plan(body)}"


def think_of_line(question: str) -> str:
    """A thought about a line of code: what is asked, and the names and literals in it."""
    named = re.findall(r"`[^`]*`|'[^']*'", question)
    return f"The task: {question}\nGiven: {', '.join(named) or 'nothing'}.\nOne line is enough."


def as_chat(row: Row, rng: random.Random) -> Row:
    """A row of the corpus as a chat. Every turn is asked in the same words, as shots are."""
    thinking = rng.random() < THINKING
    line, function = rng.choice(LINE), rng.choice(FUNCTION)
    system = f"{BEGIN}{SYSTEM}\n{rng.choice(SYSTEMS)}{END}\n" if rng.random() < 0.3 else ""
    turns: list[Turn] = []
    for turn, question in zip(row.turns, corpus.questions(row), strict=True):
        is_function = question == turn.prompt
        asked = (function if is_function else line).format(question)
        thought = think_of_function(question, turn.answer) if is_function else think_of_line(question)
        before = f"{END}\n" if turns else system
        last = len(turns) == len(row.turns) - 1
        opened = NO_THOUGHT if last and not thinking else ""
        begun = f"{THINK}\n{thought}\n{THOUGHT}\n\n" if last and thinking else ""
        prompt = f"{before}{BEGIN}{USER}\n{asked}{END}\n{BEGIN}{ASSISTANT}\n{opened}"
        answer = block(question + turn.answer if is_function else turn.answer)
        turns.append(Turn(prompt, begun + answer, turn.knowable))
    return Row(tuple(turns))


def rows(seed: int) -> Iterator[Row]:
    """Yield texts without end."""
    rng = random.Random(seed)
    for row in corpus.rows(seed, copying=0.0):
        if len(row.turns) <= MOST_TURNS:
            yield row if rng.random() < AS_BEFORE else as_chat(row, rng)


def main() -> None:
    for row in itertools.islice(rows(0), 12):
        print(row.text + END, end="\n\n")


if __name__ == "__main__":
    main()
