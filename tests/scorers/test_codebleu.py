"""CodeBLEU: beside a second reading of its definition, beside the package, and on what is no Python."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from codebleu.codebleu import calc_codebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import scorers
from harness.schema import Problem, Reference, Scorer
from harness.scorers.similarity import codebleu
from harness.stats.estimates import estimate
from harness.text import python_dataflow, python_tree
from tests.support import codebleu_reference
from tests.support.paths import ROOT

PARTS = ("ngram", "weighted", "syntax", "dataflow")
LOOP = "def f(xs):\n    total = 0\n    for x in xs:\n        total = total + x\n    return total"


def problem(*references: str) -> Problem:
    return Problem(id="t/0", question="", solution=references[0], check=Reference(texts=references))


def corpus(scorer: Scorer, judged: list[tuple[str, str]]) -> dict[str, float]:
    """The scorer's corpus metrics for (reference, answer) pairs, one problem each; names shortened."""
    verdicts = scorer.score([(problem(reference), answer) for reference, answer in judged], None)
    scores = [np.array([[v.score.value, *v.score.stats]]) for v in verdicts]
    values = {name: estimate(r, scores, rounds=2).value for name, r in scorer.metrics([1]).items()}
    return {name.removeprefix(f"{scorer.name}.").removeprefix(scorer.name): v for name, v in values.items()}


def one(answer: str, *references: str, scorer: Scorer = scorers.codebleu) -> dict[str, float]:
    (verdict,) = scorer.score([(problem(*references), answer)], None)
    scores = [np.array([[verdict.score.value, *verdict.score.stats]])]
    values = {name: estimate(r, scores).value for name, r in scorer.metrics([1]).items()}
    assert values[scorer.name] == pytest.approx(verdict.score.value)
    return {name.removeprefix(f"{scorer.name}."): value for name, value in values.items()}


# ---------------------------------------------------------------- the definition


def test_every_part_is_that_of_a_second_reading_of_the_definition():
    for reference, answer in codebleu_reference.pairs(200, seed=1):
        got = one(answer, reference)
        assert got["ngram"] == pytest.approx(codebleu_reference.bleu(reference, answer), abs=1e-9)
        assert got["weighted"] == pytest.approx(codebleu_reference.weighted(reference, answer), abs=1e-9)
        assert got["syntax"] == pytest.approx(codebleu_reference.syntax(reference, answer), abs=1e-9), (
            reference,
            answer,
        )
        assert got["dataflow"] == pytest.approx(codebleu_reference.dataflow(reference, answer), abs=1e-9), (
            reference,
            answer,
        )
        assert got["codebleu"] == pytest.approx(sum(got[part] for part in PARTS) / 4)


def test_recall_weighs_words_and_sums_over_references():
    stats = codebleu.counts("return y", ("return x", "return y y"))
    assert stats[codebleu.RECALLED] == pytest.approx((1.0 + 1.2, 1, 0, 0))
    assert stats[codebleu.WANTED] == pytest.approx((1.2 + 1.4, 1 + 2, 1 + 1, 1 + 1))


@pytest.mark.parametrize(
    "code",
    [
        "def f(c, x):\n    if c:\n        x = 1\n    return x",  # the parameter may reach the end
        "def f(c, x):\n    if c:\n        x = 1\n    else:\n        x = 2\n    return x",  # it cannot
        "def f(c, x):\n    if c:\n        x = 1\n    elif x:\n        x = 2\n    return x",
        "for i in y:\n    c = a + a\nd = b + b",  # twice the same source, inside a loop and out
        "while a:\n    print(b)\n    b = c\n    c = a",  # what the body defines reaches its start
        "for i in x:\n    for j in i:\n        s = s + t\n        t = j\nelse:\n    t = s",
        "[y for x in z for y in x if y]",
        "f = lambda a, b=c, d=1: a + b",
        "a.b = c.d\na[i], (b, c) = f(x), y\nx: int\ny: int = x\nz += y",
        "a = b = c = a",
        "[x for x in y][x] = x",
        "'a' % b\nx.name = 'abc'\nwith open(p) as q:\n    r = q",
    ],
)
def test_the_data_flow_of_each_construct_is_that_of_the_second_reading(code):
    triples = python_dataflow.data_flow(python_tree.parse_source(code, lambda shape: None))
    same = {"comes from": "uses", "computed from": "made of"}
    assert {
        (v, same[relation], by): n for (v, relation, by), n in triples.items()
    } == codebleu_reference.triples(code)


def test_thousands_of_branches_cost_what_they_change(monkeypatch):
    """Each `if` used to copy and merge every name seen before it: four times the work for twice the branches."""
    defined = []
    define = python_dataflow.DataFlowWalk.define
    monkeypatch.setattr(
        python_dataflow.DataFlowWalk, "define", lambda flow, *to: (defined.append(to), define(flow, *to))
    )
    code = "".join(f"if c{i}:\n    v{i} = w{i}\n" for i in range(2000))
    triples = python_dataflow.data_flow(python_tree.parse_source(code, lambda shape: None))
    assert triples.total() == 2 * 2000
    assert len(defined) == 6 * 2000  # c, v, w: once where they stand, once where the branches meet


def test_subtrees_of_broken_code_are_those_of_the_second_reading():
    texts = [
        "x.",
        "f(a, b",
        "f(a b)",
        "if x\n    y",
        "def f(:\n pass",
        "a $ b",
        "a ? b",
        "x = = 1",
        "import",
        "[a,,b]",
    ]
    texts += [
        "x.y",
        "f(a, b)",
        "if x:\n    y",
        "a = b",
        "lambda x",
        "@",
        "class :",
        "x = (1, ",
        "f(a, b=)",
        "del",
    ]
    for reference in texts:
        for answer in texts:
            expected = codebleu_reference.syntax(reference, answer)
            assert one(answer, reference)["syntax"] == pytest.approx(expected), (reference, answer)


def test_the_second_reading_prints_shapes_as_tree_sitter_does():
    for code in codebleu_reference.SNIPPETS:
        if "#" not in code and '"""' not in code and "'''" not in code:
            read = codebleu_reference.Reading(code)
            assert read.shape(read.root) == str(read.root)


def test_identical_code_with_a_data_flow_scores_one():
    for code in codebleu_reference.SNIPPETS:
        if len(code.split()) >= 4 and codebleu_reference.triples(code):
            assert one(code, code)["codebleu"] == pytest.approx(1.0), code


def test_a_data_flow_worked_out_by_hand():
    # x=1: x (var 1) is made of 1 (var 0), and 1 stands there; y=x+x: y (2) is made of x twice, each x uses x.
    assert codebleu_reference.triples("x = 1\ny = x + x") == {
        (1, "made of", (0,)): 1,
        (0, "uses", ()): 1,
        (2, "made of", (1, 1)): 1,
        (1, "uses", (1,)): 2,
    }
    assert one("a = 1\nb = a + a", "x = 1\ny = x + x")["dataflow"] == 1.0  # renaming changes nothing
    assert one("x = 1\ny = x + z", "x = 1\ny = x + x")["dataflow"] == pytest.approx(3 / 5)


def test_a_corpus_value_comes_from_summed_counts_and_is_no_mean():
    short, long = ("x = 1", "y = 2"), (LOOP, LOOP)
    both = corpus(scorers.codebleu, [short, long])
    # triples: 2 of 2 and 9 of 9; subtrees: 3 of 3 and 12 of 12 (tree-sitter-python 0.21)
    assert both["dataflow"] == 1.0
    mean = (one(*reversed(short))["ngram"] + one(*reversed(long))["ngram"]) / 2
    assert both["ngram"] != pytest.approx(mean, abs=0.01)


def test_smoothing_sees_the_whole_corpus_and_not_its_mean():
    # one word of two matches in each of ten problems, no pair: (10/20 * .1/10 * .1/10 * .1/10) ** (1/4)
    ten = corpus(scorers.codebleu, [("a b", "a c")] * 10)
    assert ten["ngram"] == pytest.approx((0.5 * 0.01**3) ** 0.25)


def test_only_the_first_sample_of_a_problem_counts():
    verdicts = scorers.codebleu.score([(problem(LOOP), LOOP), (problem(LOOP), "nothing")], None)
    scores = [np.array([[v.score.value, *v.score.stats] for v in verdicts])]
    assert estimate(scorers.codebleu.metrics([1, 2])["codebleu"], scores).value == pytest.approx(1.0)


def test_several_references_are_summed_over():
    both = one("x = 1", "x = 1", LOOP)
    assert both["syntax"] < one("x = 1", "x = 1")["syntax"]
    assert both["ngram"] == one("x = 1", "x = 1")["ngram"]  # precision takes the best reference


@pytest.mark.parametrize(("rule", "expected"), [("zero", 0.75), ("one", 1.0), ("renormalise", 1.0)])
def test_references_without_data_flow_follow_the_rule_that_was_chosen(rule, expected):
    scorer = scorers.codebleu_with(rule)
    code = "import os , sys , re"
    assert one(code, code, scorer=scorer)[scorer.name] == pytest.approx(expected)
    with_flow = one(LOOP, LOOP, scorer=scorer)
    assert with_flow[scorer.name] == pytest.approx(1.0)


# ---------------------------------------------------------------- faults of the package that are repaired


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


# ---------------------------------------------------------------- beside the package


class Ordered(dict):
    """A set that keeps its order, to take the chance out of the package's data flow."""

    def __init__(self, items=()):
        super().__init__(dict.fromkeys(items))

    def add(self, item):
        self[item] = None


@pytest.fixture
def orderly(monkeypatch, caplog):
    caplog.set_level("ERROR")  # it warns of every text without a data flow
    from codebleu import dataflow_match
    from codebleu.parser import DFG

    monkeypatch.setattr(DFG, "set", Ordered, raising=False)
    monkeypatch.setattr(dataflow_match, "set", Ordered, raising=False)


def reasons(*codes: str) -> set[str]:
    """The package's faults that may touch a text, as named in the docstrings of the scorer."""
    found = set()
    for code in codes:
        if broken(code):
            found.add("broken")
        if "#" in code or any(line.lstrip()[:1] in ("'", '"') for line in code.split("\n")):
            found.add("comments and strings")
        if not code.isascii():
            found.add("letters")
        if " not in " in code or " is not " in code:
            found.add("operators")
        if "else" in code and "for " in code:
            found.add("for-else")
        if "self.name = '" in code or "] = '" in code:
            found.add("strings taken apart")
    return found


def broken(code: str) -> bool:
    return codebleu_reference.PARSER.parse(code.encode("utf-8", "surrogatepass")).root_node.has_error


def compare(judged: list[tuple[str, str]]) -> tuple[dict[str, int], list[tuple[str, str, str]]]:
    """How many pairs differ from the package in each part, and those that no known fault explains.

    The weighted part must be the package's once the references count as two words long.
    """
    differ, unexplained = dict.fromkeys(PARTS, 0), []
    for reference, answer in judged:
        (verdict,) = scorers.codebleu.score([(problem(reference), answer)], None)
        stats = list(verdict.score.stats)
        ours = codebleu.components(stats)
        two_words = codebleu.components([*stats[: codebleu.REFERENCE_LENGTH], 2.0, *stats[codebleu.SHAPES :]])
        package = calc_codebleu([reference], [answer], "python")
        values = {
            "ngram": (ours.ngram, package["ngram_match_score"]),
            "weighted": (ours.weighted, package["weighted_ngram_match_score"]),
            "syntax": (ours.syntax, package["syntax_match_score"]),
            "dataflow": (ours.dataflow or 0.0, package["dataflow_match_score"]),
        }
        assert two_words.weighted == pytest.approx(package["weighted_ngram_match_score"], abs=1e-9)
        for part, (mine, its) in values.items():
            if abs(mine - its) > 1e-9:
                differ[part] += 1
                if part == "ngram" or (part != "weighted" and not reasons(reference, answer)):
                    unexplained.append((part, reference, answer))
    return differ, unexplained


@pytest.mark.usefixtures("orderly")
def test_parts_equal_the_packages_wherever_no_known_fault_of_it_is_in_play():
    judged = codebleu_reference.pairs(200, seed=1)
    differ, unexplained = compare(judged)
    assert unexplained == []
    assert differ == {"ngram": 0, "weighted": 50, "syntax": 6, "dataflow": 17}


@pytest.mark.usefixtures("orderly")
@pytest.mark.filterwarnings("ignore")
def test_the_package_variant_is_the_package_to_the_last_digit():
    judged = codebleu_reference.pairs(40, seed=3)
    ours = corpus(scorers.codebleu_package, judged)
    package = calc_codebleu([r for r, _ in judged], [a for _, a in judged], "python")
    assert ours == pytest.approx(
        {
            "": package["codebleu"],
            "ngram": package["ngram_match_score"],
            "weighted": package["weighted_ngram_match_score"],
            "syntax": package["syntax_match_score"],
            "dataflow": package["dataflow_match_score"],
        },
        abs=1e-9,
    )


def test_the_package_gives_prose_a_quarter_and_we_do_not():
    prose = "I am sorry, but I cannot help with that request."
    reference = "print('hello')"
    assert one(prose, reference, scorer=scorers.codebleu_package)["codebleu_package"] == pytest.approx(0.25)
    assert one(prose, reference)["codebleu"] == 0.0


@pytest.mark.real_data
@pytest.mark.usefixtures("orderly")
def test_five_hundred_real_pairs_differ_from_the_package_for_known_reasons_only():
    folder = os.environ.get("HARNESS_TEST_DATA")
    if not folder:
        pytest.skip("HARNESS_TEST_DATA names no folder with conala/conala-test.json")
    rows = json.loads((Path(folder) / "conala" / "conala-test.json").read_text())
    codes = [row["snippet"] for row in rows][:500]
    rng = np.random.default_rng(0)
    answers = [code if rng.random() < 0.3 else mangled(code, codes, rng) for code in codes]
    differ, unexplained = compare(list(zip(codes, answers, strict=True)))
    assert unexplained == []
    assert differ == {"ngram": 0, "weighted": 61, "syntax": 16, "dataflow": 19}


def mangled(code: str, codes: list[str], rng: np.random.Generator) -> str:
    """The code with a word less, a word more, or another's code."""
    words = code.split(" ")
    at = int(rng.integers(len(words)))
    others = codes[int(rng.integers(len(codes)))]
    return [" ".join(words[:at] + words[at + 1 :]), " ".join([*words[:at], "zz", *words[at:]]), others][
        int(rng.integers(3))
    ]
