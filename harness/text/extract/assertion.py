"""The side of an assertion that a model was asked to complete (CRUXEval, Gu et al., 2024): `assert f(1) == 2`.

The rules are the benchmark's own. Its reasoning, [THOUGHT] ... [/THOUGHT], and the mark [ANSWER] were taken off before.
"""

from harness.schema import Completion, Problem


def asserted_value(problem: Problem, completion: Completion) -> str:
    """The value: what stands behind `==`, or the whole text."""
    del problem
    before, equals, behind = completion.text.partition("==")
    return (behind.partition("==")[0] if equals else before).strip()


def asserted_call(problem: Problem, completion: Completion) -> str:
    """The call: what stands before `==`, from `f` on."""
    del problem
    before = completion.text.partition("==")[0].strip()
    _, asserts, call = before.partition("assert f")
    return f"f{call.partition('assert f')[0]}".strip() if asserts else before
