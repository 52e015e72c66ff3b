"""CRUXEval: what does this function return, or what has to go in for this to come out (Gu et al., 2024)?

One row: code "def f(xs):\\n    return xs[::-1]", input "[1, 2]", output "[2, 1]" -> the model completes
`assert f([1, 2]) == ??` (`predict = "output"`) or, with `predict = "input"`, `assert f(??) == [2, 1]`, for which
any input with that output is right. Prompts are the benchmark's (MIT), with its worked examples: direct, and with
`_cot` in their names chain of thought. Its models are asked ten times: `--set sampling.samples=10 --set
sampling.temperature=0.2`, 0.8 for pass@5.

The answer, an expression, is run behind the row's function in 3 s of CPU time: harness/scorers/execution/assertions.py.
"""

from collections.abc import Iterable
from typing import Literal

from harness import scorers
from harness.errors import ConfigError
from harness.schema import (
    Assertion,
    Card,
    DataFile,
    Limits,
    Problem,
    Sampling,
    Source,
    Split,
    Task,
    Template,
)
from harness.text.extract import assertion

Predict = Literal["output", "input"]

FILE = DataFile(benchmark="cruxeval", name="cruxeval.jsonl")
FIELDS = ("id", "code", "input", "output")
LIMITS = Limits(cpu_s=3.0)
STOP = ("[/ANSWER]",)

DIRECT = {
    "output": """\
You are given a Python function and an assertion containing an input to the function. Complete the assertion with a \
literal (no unsimplified expressions, no function calls) containing the output when executing the provided code on the \
given input, even if the function is incorrect or incomplete. Do NOT output any extra information. Provide the full \
assertion with the correct output in [ANSWER] and [/ANSWER] tags, following the examples.

[PYTHON]
def f(n):
    return n
assert f(17) == ??
[/PYTHON]
[ANSWER]
assert f(17) == 17
[/ANSWER]

[PYTHON]
def f(s):
    return s + "a"
assert f("x9j") == ??
[/PYTHON]
[ANSWER]
assert f("x9j") == "x9ja"
[/ANSWER]

""",
    "input": """\
You will be given a function f and an output in the form f(??) == output. Find any input such that executing f on the \
input leads to the given output. There may be multiple answers, but you should only output one. In [ANSWER] and \
[/ANSWER] tags, complete the assertion with one such input that will produce the output when executing the function.

[PYTHON]
def f(my_list):
    count = 0
    for i in my_list:
        if len(i) % 2 == 0:
            count += 1
    return count
assert f(??) == 3
[/PYTHON]
[ANSWER]
assert f(["mq", "px", "zy"]) == 3
[/ANSWER]

[PYTHON]
def f(s1, s2):
    return s1 + s2
assert f(??) == "banana"
[/PYTHON]
[ANSWER]
assert f("ba", "nana") == "banana"
[/ANSWER]

""",
}
COT = {
    "output": """\
You are given a Python function and an assertion containing an input to the function. Complete the assertion with a \
literal (no unsimplified expressions, no function calls) containing the output when executing the provided code on the \
given input, even if the function is incorrect or incomplete. Do NOT output any extra information. Execute the program \
step by step before arriving at an answer, and provide the full assertion with the correct output in [ANSWER] and \
[/ANSWER] tags, following the examples.

[PYTHON]
def f(s):
    s = s + s
    return "b" + s + "a"
assert f("hi") == ??
[/PYTHON]
[THOUGHT]
Let's execute the code step by step:

1. The function f is defined, which takes a single argument s.
2. The function is called with the argument "hi", so within the function, s is initially "hi".
3. Inside the function, s is concatenated with itself, so s becomes "hihi".
4. The function then returns a new string that starts with "b", followed by the value of s (which is now "hihi"), and \
ends with "a".
5. The return value of the function is therefore "bhihia".
[/THOUGHT]
[ANSWER]
assert f("hi") == "bhihia"
[/ANSWER]

""",
    "input": """\
You will be given a function f and an output in the form f(??) == output. Your task is to find any input such that \
executing f on the input leads to the given output. There may be multiple answers, but only output one. First, think \
step by step. You MUST surround the answer with [ANSWER] and [/ANSWER] tags. Express your answer as a passing \
assertion containing the input and the given output.

[PYTHON]
def f(x):
    return x + 1
assert f(??) == 17
[/PYTHON]
[THOUGHT]
To find an input such that executing f on the input leads to the given output, we can work backwards from the given \
assertion. We know that f(??) == 17.\x20

Since the function f(x) returns x + 1, for f(??) to be equal to 17, the value of ?? should be 16.\x20
[/THOUGHT]
[ANSWER]
assert f(16) == 17
[/ANSWER]

""",
}
EXPERT = "You are an expert at Python programming, code execution, test case generation, and fuzzing."


def _templates(predict: Predict) -> tuple[Template, ...]:
    """Direct and chain of thought, to go on from and as a chat; the benchmark asks chats the same text."""
    direct, cot = DIRECT[predict], COT[predict]
    ask = "[PYTHON]\n{question}\n[/PYTHON]\n[ANSWER]\n"
    think = "[PYTHON]\n{question}\n[/PYTHON]\n[THOUGHT]\n"
    answer = "{solution}\n[/ANSWER]"
    thought = f"[/THOUGHT]\n[ANSWER]\n{answer}"
    return (
        Template(name="plain", style="plain", system=direct, question=ask, answer=answer, stop=STOP),
        Template(name="plain_cot", style="plain", system=cot, question=think, answer=thought, stop=STOP),
        Template(name="chat", style="chat", system=EXPERT, question=direct + ask, answer=answer, stop=STOP),
        Template(
            name="chat_cot", style="chat", system=EXPERT, question=cot + think, answer=thought, stop=STOP
        ),
    )


def task(predict: Predict = "output") -> Task:
    """`predict`: "output" (CRUXEval-O) or "input" (CRUXEval-I)."""
    if predict not in DIRECT:
        raise ConfigError(f"task 'cruxeval': predict {predict!r}: expected 'output' or 'input'")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split != "test":
            return
        for row in source.rows(FILE, FIELDS):
            code, given, output = row["code"], row["input"], row["output"]
            asked = f"f({given}) == ??" if predict == "output" else f"f(??) == {output}"
            yield Problem(
                id=row["id"],
                question=f"{code}\nassert {asked}",
                solution=f"assert f({given}) == {output}",
                check=Assertion(
                    code=code,
                    expected=output,
                    asked="value" if predict == "output" else "call",
                    limits=LIMITS,
                ),
            )

    return Task(
        name="cruxeval",
        version=1,
        load=load,
        templates=_templates(predict),
        extract=assertion.asserted_value if predict == "output" else assertion.asserted_call,
        scorers=(scorers.assertions,),
        sampling=Sampling(max_tokens=1024),
        card=Card(
            title=f"CRUXEval: the {predict} of a Python function, by reasoning",
            paper="Gu et al. 2024, arXiv 2401.03065",
            licence="MIT",
            tags=("reasoning",),
            url="https://github.com/facebookresearch/cruxeval",
            sizes={"test": 800},
            setting="n = 10; pass@1 at temperature 0.2, pass@5 at 0.8. Published for CodeLlama-7b: "
            + (
                "34.2 and 48.4, chain of thought 29.9 and 55.4"
                if predict == "output"
                else "35.9 and 52.9, chain of thought 40.4 and 62.8"
            ),
            files=(FILE,),
        ),
    )
