"""EvalPlus' way of judging: an answer has to agree with the reference solution on every input.

Makes the tests of HumanEval+ and MBPP+ from their rows; it runs nothing. The reference is run with the tests,
outside the candidate's process, so no expected value is stored and none can be read by the candidate.

EvalPlus' rule on time: each input has four times what the reference took for it on this machine, and at least a
second; all together have a minute. Here it is CPU time, so that a busy machine fails nobody.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness import scorers
from harness.schema import Limits, Scorer, UnitTests

LIMITS = Limits(cpu_s=61.0, wall_s=61.0, memory_mb=4096)

# The rule where a row has no other: equal, or floats within atol (1e-6 where the row says 0) and 1e-7 of the
# value (EvalPlus, evalplus/eval/__init__.py).
AGREES = "agrees(got, wanted, atol)"

# The reference has a name space of its own: a recursive one must not call the candidate.
_SETUP = """\
import copy, math, time
inf, nan = float("inf"), float("nan")
atol = {atol!r}
_space = {{"__name__": "reference"}}
exec({reference!r}, _space)
reference = _space[{name!r}]

def _floats(value):
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float)

def _close(got, wanted, atol):
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(got, (list, tuple))
            and len(got) == len(wanted)
            and all(map(_close, got, wanted, [atol] * len(wanted)))
        )
    try:
        return got == wanted or abs(got - wanted) <= atol + 1e-7 * abs(wanted)
    except TypeError:
        return False

def agrees(got, wanted, atol):
    if got == wanted:
        return True
    atol = atol or (1e-6 if _floats(wanted) else 0)
    return bool(atol) and type(got) is type(wanted) and _close(got, wanted, atol)

def answered(given):
    given, began = copy.deepcopy(given), time.process_time()
    wanted = reference(*given)
    return wanted, max({least}, 4 * (time.process_time() - began))

def differing(program, answered, inputs):
    # Both get copies: either may change what it is given.
    for given in inputs:
        wanted, program.cpu_s = answered(given)
        yield given, program(*copy.deepcopy(given)), wanted

in_turn = differing

def root(given, got, atol):
    return abs(sum(factor * got ** power for power, factor in enumerate(given[0]))) <= atol

def upright_pyramid(given, got, atol):
    base, height = given
    return abs(got - round(base**2 + 2 * base * math.sqrt((base / 2) ** 2 + height**2))) <= atol

def padded_digits(given, got):
    width = max(len(str(number)) for number in given)
    pairs = zip(*(str(number).zfill(width) for number in given))
    return got == sum(abs(int(one) - int(other)) for one, other in pairs)
"""
# The sandbox has a `differing` of its own, which leaves out inputs where got is wanted; it keeps the right values.
_TESTS = """\
for given, got, wanted in {loop}({name}, answered, {inputs}):
    assert {judge}, f"{name}({{str(given)[1:-1][:200]}})"
"""


def scorer(release: str) -> Scorer:
    """EvalPlus' scores: unit tests, of a release that the signature names."""
    return replace(scorers.unit_tests, signature=lambda problems: release)


# Where the reference's own values are many (1.7 million tuples of 77): megabytes for the tests, and the least seconds
# of an input, because such a value takes longer to compare than to make.
_HUGE = {"combinations_colors": (2048, 30.0)}


def tests(row: Mapping[str, Any], reference: str, judge: str) -> UnitTests:
    """The tests of a row with base_input, plus_input, entry_point and atol.

    `reference` is a program that defines the entry point; `judge` is an expression of `given` (the
    arguments), `got`, `wanted` and `atol`, which holds where the reference's own value is got.
    """
    name = row["entry_point"]
    memory_mb, least = _HUGE.get(name, (0, 1.0))
    inputs = [*row["base_input"], *row["plus_input"]]
    return UnitTests(
        code=_TESTS.format(
            loop="in_turn" if memory_mb else "differing", inputs=repr(inputs), name=name, judge=judge
        ),
        entry_point=name,
        setup=_SETUP.format(least=least, atol=row["atol"], reference=reference, name=name),
        limits=LIMITS,
        memory_mb=memory_mb,
    )
