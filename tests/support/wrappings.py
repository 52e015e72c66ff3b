"""How models of today wrap a function that they were asked for: name -> (problem) -> what the model says.

The function itself is the problem's reference, so whoever reads it out rightly gets a program that passes.
In UNFINISHED nothing was answered.
"""

import re
import textwrap
from collections.abc import Callable, Mapping

from harness.schema import Problem, UnitTests

Wrap = Callable[[Problem], str]


def name(problem: Problem) -> str:
    assert isinstance(problem.check, UnitTests)
    return problem.check.entry_point


def whole(problem: Problem) -> str:
    return f"{problem.question}{problem.solution}".rstrip("\n") + "\n"


def body(problem: Problem) -> str:
    return problem.solution.strip("\n") + "\n"


def draft(problem: Problem) -> str:
    """A wrong version under the right name."""
    return f"def {name(problem)}(*args):\n    return 'a draft'\n"


def fenced(code: str, language: str = "python", fence: str = "```") -> str:
    return f"{fence}{language}\n{code.rstrip()}\n{fence}\n"


def indented(text: str, by: str) -> str:
    return textwrap.indent(text, by, lambda line: True)


def renamed(problem: Problem) -> str:
    return re.sub(rf"\bdef {name(problem)}\(", "def _the_work(", whole(problem))


def thought(problem: Problem) -> str:
    return f"Okay, first try:\n\n{fenced(draft(problem))}\nThat is wrong, so once more."


def typed(code: str) -> str:
    first, *rest = code.rstrip().split("\n")
    return "\n".join([f">>> {first}", *(f"... {line}" for line in rest)]) + "\n"


MAIN = "from typing import *\ndef {name}(*args):\n    return _the_work(*args)\n"

WRAPPINGS: Mapping[str, Wrap] = {
    "plain": lambda p: f"Here is the function:\n\n{fenced(whole(p))}\nIt does what was asked.",
    "py": lambda p: fenced(whole(p), "py"),
    "Python3": lambda p: fenced(whole(p), "Python3"),
    "no language": lambda p: f"Here it is:\n{fenced(whole(p), '')}",
    "attributes": lambda p: fenced(whole(p), "{.python .numberLines}"),
    "tildes": lambda p: f"Sure.\n\n{fenced(whole(p), 'python', '~~~')}",
    "long fence": lambda p: fenced(whole(p), "python", "`````"),
    "windows lines": lambda p: f"Sure:\n{fenced(whole(p))}Done.".replace("\n", "\r\n"),
    "old mac lines": lambda p: fenced(whole(p)).replace("\n", "\r"),
    "unclosed": lambda p: f"```python\n{whole(p)}",
    "opened by the prompt": lambda p: f"{whole(p)}```\n\nThis is the function.",
    "opened by the prompt, output below": lambda p: f"{whole(p)}```\nOutput:\n```\n1\n```\n",
    "its language without the fence": lambda p: f"python\n{whole(p)}```\n",
    "unclosed, with a sentence": lambda p: f"```python\n{whole(p)}\nThat is all there is to it.",
    "unclosed, then output": lambda p: f"```python\n{whole(p)}\nOutput:\n\n```\n42\n```\n",
    "body only": lambda p: f"The body is:\n{fenced(body(p))}",
    "body at the margin": lambda p: fenced(textwrap.dedent(body(p))),
    "body without its first blanks": lambda p: fenced(body(p).lstrip(" ")),
    "body below a sentence": lambda p: f"The rest of the function:\n\n{body(p)}",
    "shell first": lambda p: f"Install:\n```bash\npip install numpy\n```\nThen:\n{fenced(whole(p))}",
    "unnamed shell first": lambda p: f"Install:\n```\npip install numpy\n```\nThen:\n{fenced(whole(p), '')}",
    "sample first": lambda p: f"Given\n```\n3\n1 2 3\n```\nthis works:\n{fenced(whole(p))}",
    "output after": lambda p: f"{fenced(whole(p))}Output:\n```text\nTrue\n```",
    "usage after": lambda p: f"{fenced(whole(p))}Usage:\n{fenced(f'print({name(p)})')}",
    "usage first": lambda p: (
        f"You call it so:\n{fenced(f'result = {name(p)}')}\nThe function:\n{fenced(whole(p))}"
    ),
    "usage that imports it": lambda p: f"{fenced(whole(p))}{fenced(f'from solution import {name(p)}')}",
    "session after": lambda p: f"{fenced(whole(p))}\n{fenced(f'>>> {name(p)}(1)', 'pycon')}",
    "session first": lambda p: f"Try:\n```\n>>> {name(p)}(1)\n1\n```\nwith\n{fenced(whole(p), '')}",
    "typed in": lambda p: fenced(typed(whole(p))),
    "typed into IPython": lambda p: fenced(
        typed(whole(p)).replace(">>> ", "In [1]: ", 1).replace("\n... ", "\n   ...: ")
    ),
    "typed in, below a sentence": lambda p: f"Try this:\n{typed(whole(p))}",
    "list item": lambda p: f"1. The function:\n{indented(fenced(whole(p)), '   ')}\n2. That is all.",
    "list marker": lambda p: f"- {indented(fenced(whole(p)), '  ').lstrip()}",
    "quote": lambda p: indented(fenced(whole(p)), "> "),
    "stub first": lambda p: f"You gave:\n{fenced(p.question)}\nCompleted:\n{fenced(whole(p))}",
    "stub with pass last": lambda p: (
        f"{fenced(whole(p))}It replaces\n{fenced(p.question.rstrip() + chr(10) + '    pass')}"
    ),
    "stub, then body": lambda p: f"From\n{fenced(p.question)}on:\n{fenced(body(p))}",
    "helper, then main": lambda p: f"Helper:\n{fenced(renamed(p))}Main:\n{fenced(MAIN.format(name=name(p)))}",
    "main, then helper": lambda p: f"Main:\n{fenced(MAIN.format(name=name(p)))}Helper:\n{fenced(renamed(p))}",
    "imports apart": lambda p: f"{fenced('from typing import *')}and\n{fenced(whole(p))}",
    "corrected": lambda p: f"First:\n{fenced(draft(p))}That is wrong. Better:\n{fenced(whole(p))}",
    "correction cut off": lambda p: (
        f"{fenced(whole(p))}Shorter:\n```python\ndef {name(p)}(*args):\n    return ("
    ),
    "prose": lambda p: f"Here is the function that you asked for.\n\n{whole(p)}",
    "prose on both sides": lambda p: f"Sure!\n\n{whole(p)}\nThis works because the tests say so.\n",
    "body, then a sentence": lambda p: f"{body(p)}\nThe rest is up to you.\n",
    "prose in between": lambda p: (
        f"First what does the work:\n\n{renamed(p)}\nThen the function itself:\n\n{MAIN.format(name=name(p))}"
    ),
    "shell first, function below it": lambda p: f"```bash\npip install numpy\n```\nThen:\n\n{whole(p)}",
    "function, then its use typed in": lambda p: f"{whole(p)}\n>>> {name(p)}(1)\n2\n",
    "function, then its use in a block": lambda p: f"{whole(p)}\nUse it:\n{fenced(f'print({name(p)})')}",
    "behind [/INST]": lambda p: f"[/INST] {fenced(whole(p))}",
    "unfenced behind [/INST]": lambda p: f"[/INST] {whole(p).lstrip()}",
    "behind words": lambda p: f"Answer: {fenced(whole(p))}",
    "behind a token": lambda p: f"<|assistant|>{fenced(whole(p))}</s>",
    "code on the fence's line": lambda p: (
        f"```{whole(p).lstrip()}```" if p.question.startswith("def ") else whole(p)
    ),
    "fence twice": lambda p: f"```python\n{fenced(whole(p))}```\n",
    "all in a block of markdown": lambda p: f"```markdown\n# Answer\n{fenced(whole(p))}```\n",
    "fences in a docstring": lambda p: fenced(f'"""Module.\n\n```\n>>> 1\n1\n```\n"""\n{whole(p)}'),
    "future import": lambda p: fenced(f'"""Module."""\nfrom __future__ import annotations\n{whole(p)}'),
    "method of Solution": lambda p: fenced(
        "from typing import *\n"
        + renamed(p)
        + f"\nclass Solution:\n    def {name(p)}(self, *args):\n        return _the_work(*args)\n"
    ),
    "stub of Solution last": lambda p: (
        f"{fenced(whole(p))}for\n" + fenced(f"class Solution:\n    def {name(p)}(self, *args):\n        pass")
    ),
    "assigned": lambda p: fenced(f"{renamed(p)}\n{name(p)} = _the_work\n"),
    "[PYTHON]": lambda p: f"[PYTHON]\n{whole(p)}[/PYTHON]\n",
    "[PYTHON], then its use": lambda p: f"[PYTHON]\n{whole(p)}[/PYTHON]\nUse:\n{fenced(f'print({name(p)})')}",
    "[BEGIN]": lambda p: f"[BEGIN]\n{whole(p)}[DONE]\n",
    "[DONE], and the next question": lambda p: f"{whole(p)}[DONE]\nNow this:\n[BEGIN]\n{draft(p)}[DONE]\n",
    "<code>": lambda p: f"It is:\n<pre><code>\n{whole(p)}</code></pre>\n",
    "<code> behind words": lambda p: f"It is: <code>{whole(p)}</code>, I think.",
    "byte order mark": lambda p: f"\ufeff{whole(p)}",
    "one blank before": lambda p: (
        f" def {whole(p).partition('def ')[2]}" if p.question.startswith("def ") else whole(p)
    ),
    "end of turn": lambda p: f"{fenced(whole(p)).rstrip()}<|im_end|>",
    "goes on after its turn": lambda p: f"{fenced(whole(p)).rstrip()}<|endoftext|>\n{fenced(draft(p))}",
    "next turn": lambda p: f"{fenced(whole(p))}<|im_end|>\n<|im_start|>user\nMore\n{fenced(draft(p))}",
    # Reasoning before the answer.
    "draft in <think>": lambda p: f"<think>\n{thought(p)}\n</think>\n\n{fenced(whole(p))}",
    "unfenced after <think>": lambda p: f"<think>\nneed the evens\n</think>\n\n{whole(p)}",
    "body after <think>": lambda p: f"<think>\nneed the evens\n</think>\n\n{body(p)}",
    "on one line": lambda p: f"<think>{name(p)} it is.</think>{fenced(whole(p))}",
    "lone </think>": lambda p: f"{thought(p)}\n</think>\n\n{fenced(whole(p))}",
    "lone </think>, fence open": lambda p: f"Try\n```python\n{draft(p)}</think>\n\n{fenced(whole(p))}",
    "empty pair": lambda p: f"<think>\n\n</think>\n\n{fenced(whole(p))}",
    "two pairs": lambda p: (
        f"<think>\n{thought(p)}\n</think>\nI see.\n<think>\n{thought(p)}\n</think>\n{fenced(whole(p))}"
    ),
    "<answer> after <think>": lambda p: f"<think>{thought(p)}</think>\n<answer>\n{whole(p)}</answer>",
    "marks in the draft": lambda p: (
        f"<think>\n```python\ns.split('</think>')\n```\n{thought(p)}\n</think>\n{fenced(whole(p))}"
    ),
    "<thinking>": lambda p: f"<thinking>\n{thought(p)}\n</thinking>\n{fenced(whole(p))}",
    "<reasoning>": lambda p: f"<reasoning>\n{thought(p)}\n</reasoning>\n{fenced(whole(p))}",
    "<thought>": lambda p: f"<thought>\n{thought(p)}\n</thought>\n{fenced(whole(p))}",
    "<seed:think>": lambda p: f"<seed:think>\n{thought(p)}\n</seed:think>\n{fenced(whole(p))}",
    "[THINK]": lambda p: f"[THINK]{thought(p)}[/THINK]{fenced(whole(p))}",
    "◁think▷": lambda p: f"◁think▷{thought(p)}◁/think▷{fenced(whole(p))}",
    "<|begin_of_thought|>": lambda p: (
        f"<|begin_of_thought|>\n{thought(p)}\n<|end_of_thought|>\n\n<|begin_of_solution|>\n{fenced(whole(p))}<|end_of_solution|>"
    ),
    "<|START_THINKING|>": lambda p: (
        f"<|START_THINKING|>{thought(p)}<|END_THINKING|><|START_RESPONSE|>{fenced(whole(p))}<|END_RESPONSE|>"
    ),
    "<|channel>thought": lambda p: f"<|channel>thought\n{thought(p)}\n<channel|>{fenced(whole(p))}<turn|>",
    "channels": lambda p: (
        f"<|channel|>analysis<|message|>{thought(p)}<|end|><|start|>assistant<|channel|>final<|message|>{fenced(whole(p))}<|return|>"
    ),
    "channels as words": lambda p: f"analysisWe draft.\n{thought(p)}assistantfinal{fenced(whole(p))}",
    "steps and a final response": lambda p: (
        f"Here are my reasoning steps:\n{thought(p)}\n[BEGIN FINAL RESPONSE]\n{fenced(whole(p))}"
        "[END FINAL RESPONSE]\n<|end|>"
    ),
    "thought process and response": lambda p: (
        f"Here is my thought process:\n{thought(p)}\nHere is my response:\n{fenced(whole(p))}"
    ),
    "marks in the answer": lambda p: (
        fenced(f"{whole(p)}\nMARKS = ('<think>', '</think>')\n") + "It knows `</think>`."
    ),
}

# Cut off inside a thought: nothing was answered, though the draft is there.
UNFINISHED: Mapping[str, Wrap] = {
    "<think>": lambda p: f"<think>\n{fenced(whole(p))}\nBut wait, is that",
    "<|channel|>analysis": lambda p: f"<|channel|>analysis<|message|>{fenced(whole(p))}\nBut wait",
    "[THINK]": lambda p: f"[THINK]{fenced(whole(p))} hm",
    "after another": lambda p: f"<think>a</think>\n<think>\n{fenced(whole(p))}",
}
