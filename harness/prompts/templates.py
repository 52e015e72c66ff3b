"""Build prompts: the one place where a question and its shots become what the model is shown. Pure.

It does not tokenise and knows no chat markup: a chat prompt stays a list of messages until a backend, which
alone knows the model's chat template, turns it into tokens.
"""

import re
from collections.abc import Sequence

from harness.config import plugins
from harness.errors import ConfigError, unknown
from harness.schema import Message, Problem, Prompt, Task, Template

INSTRUCTION = Template(
    name="instruction", style="instruction", question="### Instruction:\n{question}\n### Response:\n"
)

_PLACEHOLDER = re.compile(r"\{(\w+)\}")

# Of the PEFT study (2308.10462), whose in-context results came from these. The first is its code of October
# 2024, the second that of November 2023: a header, and in each shot a run of 32 blanks, a slip in the source.
FENCED = Template(
    name="fenced",
    style="instruction",
    question="### Instruction:\n{question}\n### Response:\n```python\n",
    answer="{solution}\n```",
    stop=("```",),
)
LEGACY_2023 = Template(
    name="legacy_2023",
    style="instruction",
    system="Generate Python code given a natural language instruction.",
    question="\n### Instruction:\n{question}\n### Response:\n",
    shot="\n### Instruction:\n{question}" + " " * 32 + "\n### Response:\n{solution}\n",
    between="",
)


def select_template(task: Task, prompt: str | Template, chat: bool | None = None) -> Template:
    """The template that a config asks for: one of the task's own by its name, a third party's by file or entry point
    (config/plugins.py), the one that the config spells out, or for the empty name the default. Raises ConfigError.

    The default follows the model: of the task's templates the first that is a chat where the model answers chats
    (`chat`), the first that is a text where it continues texts. None, for recorded completions: the first of all.
    """
    if isinstance(prompt, Template):
        return prompt
    own = {template.name: template for template in task.templates}
    if not prompt:
        fitting = [t for t in task.templates if chat is None or (t.style == "chat") == chat]
        return (fitting or task.templates)[0]
    if prompt in own:
        return own[prompt]
    found = plugins.load("template", prompt)
    if found is None:
        raise ConfigError(unknown("prompt", prompt, [*own, *plugins.names("template")]))
    if not isinstance(found, Template):
        raise ConfigError(f"prompt {prompt!r}: expected a harness.Template, got {type(found).__name__}")
    return found


def _fill(pattern: str, problem: Problem) -> str:
    """Replace the placeholders in one pass, so that a question holding '{solution}' stays as it is."""
    texts = {**problem.parts, "question": problem.question, "solution": problem.solution}
    return _PLACEHOLDER.sub(lambda place: texts.get(place.group(1), place.group()), pattern)


def _shot_messages(template: Template, shot: Problem) -> tuple[Message, Message]:
    return (
        Message(role="user", content=_fill(template.question, shot)),
        Message(role="assistant", content=_fill(template.answer, shot)),
    )


def render_answer(template: Template, problem: Problem) -> str:
    """The solution, written as a shot shows it: what a perfect model would say, and what is trained on."""
    return _fill(template.answer, problem).removeprefix(_fill(template.prefill, problem))


def render(template: Template, problem: Problem, shots: Sequence[Problem] = ()) -> Prompt:
    """The prompt for one problem, shots first, in the order given."""
    if template.style == "chat":
        system = [Message(role="system", content=template.system)] if template.system else []
        turns = [turn for shot in shots for turn in _shot_messages(template, shot)]
        question = Message(role="user", content=_fill(template.question, problem))
        begun = (
            [Message(role="assistant", content=_fill(template.prefill, problem))] if template.prefill else []
        )
        return Prompt(messages=(*system, *turns, question, *begun))
    pattern = template.shot or template.question + template.answer + template.suffix
    solved = [_fill(pattern, shot) for shot in shots]
    text = template.system + template.between.join([*solved, _fill(template.question, problem)])
    return Prompt(text=text, suffix=_fill(template.suffix, problem) if template.style == "fim" else None)
