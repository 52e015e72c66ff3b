"""CodeBLEU beside the package: equal wherever no known fault of it is in play."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from codebleu.codebleu import calc_codebleu

from harness import scorers
from harness.scorers.similarity import codebleu
from tests.support import codebleu_reference
from tests.support.parts.codebleu_values import PARTS, corpus, one, problem


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
