"""CodeBLEU of what is no Python, of hostile nesting and of all that the package reads wrongly."""

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import codebleu_reference
from tests.support.parts.codebleu_values import LOOP, PARTS, one
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n\t",
        "%%% ??? $$$ @@@ ((( ]]] ~~~",
        "asdf qwer zxcv " * 50,
        "I am sorry, but I cannot help with that request.",
        "The function iterates over the list and adds every element to the total, which it returns.",
        "You can use the sort method to sort the list in place, or the sorted function to get a new list.",
        "(" * 5000,
        "x" * 5000,
        "# total = 0",
        "\0\1\2" * 500,
        "\ud800 \udfff",
    ],
)
def test_what_is_no_code_scores_next_to_nothing(answer):
    assert one(answer, LOOP)["codebleu"] < 0.05


def test_a_sum_of_three_thousand_terms_keeps_its_data_flow():
    code = "total = " + " + ".join(f"x{i}" for i in range(3000))
    assert one(code, code) == pytest.approx(dict.fromkeys(("codebleu", *PARTS), 1.0))


@pytest.mark.parametrize(
    "code",
    [
        "\n".join(f"{' ' * i}while x{i}:" for i in range(200)) + f"\n{' ' * 201}x0 = x1",
        "".join(f"for a{i} in b{i}: " for i in range(1000)),
        "\n".join(f"{' ' * i}for a{i} in a:\n{' ' * i} b{i} = 0" for i in range(40)),
        "lambda: " * 2000 + "0",
        "[({" * 5000,
        " = ".join(f"a{i}" for i in range(500)),
    ],
    ids=["whiles", "fors", "loops that reset", "lambdas", "brackets", "chain"],
)
def test_hostile_nesting_is_read_in_bounded_time(code):
    start = time.process_time()
    one(code, LOOP)
    assert time.process_time() - start < 5.0  # takes under 0.3 s


def test_a_string_that_starts_a_statement_is_kept():
    assert one("' '.join(w)", "' '.join(w)")["syntax"] == 1.0
    assert one(".join(w)", "' '.join(w)")["syntax"] < 1.0
    assert one("'b'", "'a' + x")["syntax"] < 1.0


def test_comments_and_docstrings_do_not_count_as_structure_and_other_strings_do():
    bare = "def f(a):\n    b = a\n    return b"
    told = 'def f(a):\n    # why\n    """What."""\n    # how\n    b = a  # copy\n    return b'
    assert one(told, bare)["syntax"] == one(told, bare)["dataflow"] == 1.0
    assert one(bare, told)["syntax"] == one(bare, told)["dataflow"] == 1.0
    assert one(bare, 'def f(a):\n    b = a\n    """What."""\n    return b')["syntax"] < 1.0
    twice = 'def f(a):\n    """What."""\n    "Not a docstring."\n    b = a\n    return b'
    assert one(bare, twice)["syntax"] < 1.0
    assert one("def f(): pass", 'def f():\n    """What."""')["syntax"] < 1.0  # a body that is nothing else


def test_an_indented_block_is_read_like_one_at_the_margin():
    block = "    if a:\n        b = c\n    return b\n"
    assert one(block, "if a:\n    b = c\nreturn b")["codebleu"] == pytest.approx(1.0)


def test_a_loop_with_else_keeps_its_body():
    code = "for x in xs:\n    y = x\nelse:\n    y = 0"
    assert one("for x in xs:\n    pass\nelse:\n    pass", code)["dataflow"] < 1.0


def test_letters_outside_ascii_do_not_shift_the_words():
    assert one("é = 'ü'; b = é; c = b", "e = 'u'; b = e; c = b")["dataflow"] == 1.0


SEEDED = """
import sys
from harness import scorers
from harness.schema import Problem, Reference
from tests.support.codebleu_reference import pairs
judge = [
    (Problem(id="t", question="", solution=r, check=Reference(texts=(r,))), a) for r, a in pairs(60, seed=2)
]
print([(v.score.value, v.score.stats) for v in scorers.codebleu.score(judge, None)])
"""


def test_ten_hash_seeds_give_the_same_scores():
    def start(seed: int) -> subprocess.Popen:
        env = {**os.environ, "PYTHONHASHSEED": str(seed)}
        root = ROOT
        return subprocess.Popen([sys.executable, "-c", SEEDED], env=env, cwd=root, stdout=subprocess.PIPE)

    running = [start(seed) for seed in range(10)]
    printed = {process.communicate()[0] for process in running}
    assert len(printed) == 1
    assert len(printed.pop()) > 1000


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(codebleu_reference.SNIPPETS))
def test_any_text_has_parts_between_zero_and_one(answer, reference):
    assert all(0.0 <= value <= 1.0 for value in one(answer, reference).values())
