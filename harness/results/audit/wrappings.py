"""A task's references as chat models wrap them, read back: which form of an answer costs right answers.

What a model would say is the program, query or snippet that the reference makes. Read back it has to be worth as much.
"""

import textwrap
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import Fault
from harness.schema import Answer, Completion, InlineTests, Problem, Query, Sandbox, Task, UnderTest
from harness.text.completion_parts import separate

Wrap = Callable[[str, str], str]  # (code, language) -> what the model says

AFTERWARDS = {"python": "print('done')", "sql": "SELECT 1"}


def _fenced(code: str, language: str, fence: str = "```") -> str:
    return f"{fence}{language}\n{code.rstrip()}\n{fence}\n"


def _draft(code: str, language: str) -> str:
    """A thought with half of the code in it."""
    return f"First try:\n\n{_fenced(code[: len(code) // 2], language)}\nThat is wrong, once more."


def _usage(language: str) -> str:
    known = language in AFTERWARDS
    return _fenced(AFTERWARDS[language] if known else "done", language if known else "text")


WRAPPINGS: Mapping[str, Wrap] = {
    "fence": lambda code, word: f"Here it is:\n\n{_fenced(code, word)}\nIt does what was asked.",
    "fence without a language": lambda code, word: f"Here it is:\n{_fenced(code, '')}",
    "tildes": lambda code, word: _fenced(code, word, "~~~"),
    "unclosed fence": lambda code, word: f"```{word}\n{code}",
    "Windows lines": lambda code, word: f"Sure:\n{_fenced(code, word)}Done.".replace("\n", "\r\n"),
    "shell block before": lambda code, word: (
        f"Install:\n{_fenced('pip install numpy', 'bash')}\nThen:\n{_fenced(code, word)}"
    ),
    "output block after": lambda code, word: f"{_fenced(code, word)}Output:\n{_fenced('1', 'text')}",
    "usage after": lambda code, word: f"{_fenced(code, word)}Usage:\n{_usage(word)}",
    "list item": lambda code, word: (
        f"1. This one:\n{textwrap.indent(_fenced(code, word), '   ', lambda line: True)}\n2. That is all.\n"
    ),
    "behind [/INST]": lambda code, word: f"[/INST] {_fenced(code, word)}",
    "prose, no fence": lambda code, word: f"Here is the code that you asked for.\n\n{code}\n",
    "<think> with a draft": lambda code, word: (
        f"<think>\n{_draft(code, word)}\n</think>\n\n{_fenced(code, word)}"
    ),
    "lone </think>": lambda code, word: f"{_draft(code, word)}\n</think>\n\n{_fenced(code, word)}",
    "empty <think>": lambda code, word: f"<think>\n\n</think>\n\n{_fenced(code, word)}",
    "channels": lambda code, word: (
        f"<|channel|>analysis<|message|>{_draft(code, word)}<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{_fenced(code, word)}<|return|>"
    ),
}
UNFINISHED = "unfinished <think>"  # nothing was answered, though the code is there


def _said(problem: Problem, code: str) -> Iterator[tuple[str, str]]:
    match problem.check:
        case Query():
            language = "sql"
        case InlineTests(language=language) | UnderTest(tests=InlineTests(language=language)):
            pass
        case _:
            language = "python"
    for name, wrap in WRAPPINGS.items():
        yield name, wrap(code, language)
    yield UNFINISHED, f"<think>\n{_fenced(code, language)}\nBut wait"


@dataclass(frozen=True)
class ReadBack:
    """`lost`: wrapping -> problems whose reference is worth less, read out of it; of `drafts` it was no answer."""

    lost: Mapping[str, Sequence[str]]
    drafts: Sequence[str]


def read_back(task: Task, problems: Sequence[Problem], sandbox: Sandbox) -> ReadBack | None:
    """Wrap each problem's reference and judge what the task reads; None where no scorer judges single answers.

    What is read to the letter is not judged again. Raises Fault.
    """
    scorer = next((s for s in task.scorers if not (s.raw or s.needs or s.together)), None)
    if scorer is None:
        return None
    found: dict[str, list[str]] = {name: [] for name in (*WRAPPINGS, UNFINISHED)}
    waiting: deque[tuple[str, list[str]]] = deque()  # (problem, its wrappings); none: the reference itself

    def answers() -> Iterator[Answer]:
        for problem in problems:
            code = task.extract(problem, Completion(text=problem.solution, form="continuation"))
            read: dict[str, list[str]] = {}
            for name, text in _said(problem, code):
                answer = task.extract(problem, separate(Completion(text=text)))
                read.setdefault(answer, []).append(name)
            for answer, names in {code: list[str](), **{a: n for a, n in read.items() if a != code}}.items():
                waiting.append((problem.id, names))
                yield problem, answer
            if UNFINISHED in read.get(code, ()):
                found[UNFINISHED].append(problem.id)

    worth: float | None = None  # of a problem whose reference fails nothing can be said
    for verdict in scorer.score(answers(), sandbox if scorer.executes else None):
        problem_id, names = waiting.popleft()
        if verdict.score is None:
            raise Fault(f"{problem_id}: {scorer.name}: {verdict.error}")
        if not names:
            worth = verdict.score.value if verdict.status in {"passed", "scored"} else None
        for name in names:
            if worth is not None and (verdict.score.value < worth) != (name == UNFINISHED):
                found[name].append(problem_id)
    drafts = found.pop(UNFINISHED)
    return ReadBack({name: ids for name, ids in found.items() if ids}, drafts)
