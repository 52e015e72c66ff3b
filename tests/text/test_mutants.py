"""Mutants, stubs and rewritten versions of programs: each is a program, differs where it should, and only there."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.text import mutants

CLAMP = '''\
LIMIT = 10


def clamp(x: int, low=0):
    """Between low and LIMIT."""
    if x < low:
        return low
    while x > LIMIT:
        x -= 1
    return x
'''


def test_every_mutant_of_a_function_is_known() -> None:
    body = [
        set(mutant.splitlines()) - set(ast.unparse(ast.parse(CLAMP)).splitlines())
        for mutant in mutants.make_mutants(CLAMP, 100)
    ]
    changed = sorted(line.strip() for lines in body for line in lines)
    assert changed == sorted(
        [
            "def clamp(x: int, low=1):",
            "def clamp(x: int, low=-1):",
            "if x <= low:",
            "if x >= low:",
            "return None",
            "return None",
            "while x >= LIMIT:",
            "while x <= LIMIT:",
            "x += 1",
            "pass",
            "x -= 2",
            "x -= 0",
        ]
    )


def test_mutants_are_drawn_with_a_seed_and_do_not_repeat() -> None:
    three = mutants.make_mutants(CLAMP, 3)
    assert three == mutants.make_mutants(CLAMP, 3) == mutants.make_mutants(CLAMP, 100)[:3]
    assert three != mutants.make_mutants(CLAMP, 3, seed=1)
    assert len(set(mutants.make_mutants(CLAMP, 100))) == 12
    assert mutants.make_mutants(CLAMP, 0) == mutants.make_mutants("x = 1 + 1", 5) == []


@pytest.mark.parametrize(
    ("line", "alternatives"),
    [
        ("return a // b", {"return a * b", "return None"}),
        ("return a and b", {"return a or b", "return None"}),
        ("return not a", {"return a", "return None"}),
        ("return a[1:]", {"return a[:]", "return a[2:]", "return a[0:]", "return None"}),
        ("return 'x'", {"return ''", "return None"}),
        ("return ''", {"return 'mutant'", "return None"}),
        ("return True", {"return False", "return None"}),
        ("return 1.5", {"return 2.5", "return None"}),
        ("return a is not None", {"return a is None", "return None"}),
        (
            "return a < b < c",
            {
                "return a <= b < c",
                "return a >= b < c",
                "return a < b <= c",
                "return a < b >= c",
                "return None",
            },
        ),
        ("return None", set()),
        ("a.append(b)", {"pass"}),
        ("a: int = b", set()),
        ("return f'{a}!{b:>3}'", {"return None"}),
    ],
)
def test_what_each_operator_does_to_a_line(line: str, alternatives: set[str]) -> None:
    found = mutants.make_mutants(f"def f(a, b, c):\n    {line}", 100)
    assert {mutant.splitlines()[-1].strip() for mutant in found} == alternatives


EXPRESSION = st.recursive(
    st.sampled_from(["a", "b", "1", "0.5", "'t'", "True"]),
    lambda inner: st.builds(
        "({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "and", "<", "==", "in", "is"]), inner
    ),
    max_leaves=8,
)


@given(EXPRESSION)
def test_every_mutant_is_a_program_with_one_line_changed(expression: str) -> None:
    code = f"def f(a, b):\n    x = {expression}\n    if x:\n        return a\n    return [b]"
    original = ast.unparse(ast.parse(code)).splitlines()
    for mutant in mutants.make_mutants(code, 50):
        ast.parse(mutant)
        lines = mutant.splitlines()
        assert len(lines) == len(original)
        assert sum(one != other for one, other in zip(lines, original, strict=True)) == 1
    assert ast.unparse(ast.parse(mutants.rewrite_equivalently(code))) == mutants.rewrite_equivalently(code)


def test_a_hollow_function_keeps_all_but_what_it_does() -> None:
    nothing, stranger = mutants.stubbed_versions(CLAMP, "clamp")
    assert nothing == (
        'LIMIT = 10\n\ndef clamp(x: int, low=0):\n    """Between low and LIMIT."""\n    return None'
    )
    assert stranger == nothing.replace("None", "object()")
    assert mutants.stubbed_versions(CLAMP, "other") == ()


def test_a_rewritten_function_has_other_bytecode_and_the_same_results() -> None:
    spaces: list[dict[str, object]] = [{}, {}]
    for space, code in zip(spaces, (CLAMP, mutants.rewrite_equivalently(CLAMP)), strict=True):
        exec(code, space)
    one, other = (space["clamp"] for space in spaces)
    assert callable(one)
    assert callable(other)
    assert [one(x) for x in (-1, 5, 12)] == [other(x) for x in (-1, 5, 12)] == [0, 5, 10]
    assert one.__code__.co_code != other.__code__.co_code
    assert one.__doc__ == other.__doc__ == "Between low and LIMIT."


def test_probes_are_the_lines_and_arms_of_a_function() -> None:
    probes = mutants.coverage_probes(CLAMP)
    # if, return low, while, x -= 1, return x: five lines. then, absent else, body of the loop, its end: four arms.
    assert sum(probe.line for probe in probes) == 5
    assert sum(probe.branch for probe in probes) == 4
    # What the first statement of an arm shows is shown once.
    assert len(probes) == 7
    assert all(probe.code.count("__import__('os')._exit(97)") == 1 for probe in probes)
    assert [probe.code for probe in probes if "else:\n        __import__" in probe.code] != []


@pytest.mark.parametrize(
    ("code", "lines", "arms"),
    [
        ("x = 1", 0, 0),
        ("def f():\n    return 1", 1, 0),
        ("def f():\n    a = 1; b = 2\n    return a", 2, 0),
        ('def f():\n    """Text."""\n    global x\n    x = 1', 1, 0),
        ("def f():\n    while True:\n        break", 2, 1),
        ("def f(x):\n    for y in x:\n        pass\n    else:\n        return 1", 3, 2),
        (
            "def f(x):\n    match x:\n        case 1:\n            return 2\n        case _:\n            return 3",
            3,
            2,
        ),
        (
            "def f(x):\n    try:\n        return 1\n    except OSError:\n        return 2\n    finally:\n        x()",
            4,
            0,
        ),
        ("def f(x):\n    if x:\n        a = 1\n    elif not x:\n        a = 2\n    return a", 5, 4),
        ("class A:\n    y = 1\n    def f(self):\n        return 1", 1, 0),
    ],
)
def test_lines_and_arms_are_counted(code: str, lines: int, arms: int) -> None:
    probes = mutants.coverage_probes(code)
    assert (sum(probe.line for probe in probes), sum(probe.branch for probe in probes)) == (lines, arms)
    for probe in probes:
        compile(probe.code, "probe", "exec")
