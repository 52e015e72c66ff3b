"""bleu, chrf and conala_bleu: equal to sacrebleu and to the CoNaLa challenge's scorer, from summed counts."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness import scorers
from harness.errors import DataError
from harness.schema import Problem, Reference, Scorer, UnitTests
from harness.scorers.similarity.conala_bleu import challenge_words
from harness.stats.estimates import estimate

few = settings(max_examples=60, deadline=None)

ANSWERS = [
    "x.sort(reverse=True)",
    "print(' '.join(map(str, items)))",
    "df.groupby('a').sum()",
    "[x for x in range(10) if x % 2 == 0]",
    "",
]
REFERENCES = [
    "x.sort(reverse=True)",
    'print(" ".join(str(i) for i in items))',
    "df.groupby('a')['b'].sum()",
    "[x for x in range(10) if x % 2]",
    "os.listdir(path)",
]


def problem(*references: str) -> Problem:
    return Problem(id="t/0", question="", solution=references[0], check=Reference(texts=references))


def rows(scorer: Scorer, answers: list[str], references: list[tuple[str, ...]]) -> list[np.ndarray]:
    pairs = [(problem(*texts), answer) for texts, answer in zip(references, answers, strict=True)]
    scored = [verdict.score for verdict in scorer.score(pairs, None)]
    return [np.array([[score.value, *score.stats]]) for score in scored if score]


def corpus(scorer: Scorer, answers: list[str], references: list[tuple[str, ...]]) -> dict[str, float]:
    scores = rows(scorer, answers, references)
    return {name: estimate(reduce, scores).value for name, reduce in scorer.metrics([1]).items()}


SINGLE = [(text,) for text in REFERENCES]


# ---------------------------------------------------------------- sacrebleu's two


def test_bleu_and_chrf_of_a_corpus_are_sacrebleus_literals() -> None:
    # sacrebleu 2.6.0: BLEU().corpus_score, CHRF().corpus_score on the lists above
    assert corpus(scorers.bleu, ANSWERS, SINGLE) == {"bleu": pytest.approx(55.78169457225399 / 100, abs=1e-9)}
    assert corpus(scorers.chrf, ANSWERS, SINGLE) == {"chrf": pytest.approx(64.64372175156697 / 100, abs=1e-9)}


lines = st.lists(
    st.tuples(st.text("ab (.'\"\n&;", max_size=12), st.text("ab (.'\"\n&;", min_size=1, max_size=12)),
    min_size=1,
    max_size=6,
)


@few
@given(lines)
def test_the_sum_of_counts_is_sacrebleus_corpus_value(pairs: list[tuple[str, str]]) -> None:
    from sacrebleu.metrics import BLEU, CHRF

    answers, references = [a for a, _ in pairs], [r for _, r in pairs]
    for scorer, metric in ((scorers.bleu, BLEU()), (scorers.chrf, CHRF())):
        expected = metric.corpus_score(answers, [references]).score / 100
        found = corpus(scorer, answers, [(r,) for r in references])[scorer.name]
        assert found == pytest.approx(expected, abs=1e-9)


def test_several_references_count_as_in_sacrebleu() -> None:
    from sacrebleu.metrics import BLEU, CHRF

    answers, texts = ["a b c d e", "x y z w"], [("a b c d", "a b c e e"), ("x y", "q x y z w v")]
    for scorer, metric in ((scorers.bleu, BLEU()), (scorers.chrf, CHRF())):
        streams = [list(stream) for stream in zip(*texts, strict=True)]
        expected = metric.corpus_score(answers, streams).score / 100
        assert corpus(scorer, answers, texts)[scorer.name] == pytest.approx(expected, abs=1e-9)


def test_one_answers_own_bleu_counts_only_the_lengths_it_has() -> None:
    (score,) = rows(scorers.bleu, ["a = 1"], [("a = 1",)])
    assert score[0, 0] == 1.0  # plain BLEU-4 would be 0: three words have no run of four
    assert corpus(scorers.bleu, ["a = 1"], [("a = 1",)]) == {"bleu": 0.0}


def test_the_signature_is_sacrebleus_with_the_number_of_references() -> None:
    from sacrebleu import __version__

    one, two = problem("a"), problem("a", "b")
    assert scorers.bleu.signature is not None
    assert scorers.chrf.signature is not None
    version = f"version:{__version__}"
    assert scorers.bleu.signature([one]) == f"bleu nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}"
    assert scorers.chrf.signature([two]) == f"chrf nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}"
    assert "nrefs:var" in scorers.bleu.signature([one, two])


# ---------------------------------------------------------------- the challenge's


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x.sort(reverse=True)", ["x", ".", "sort", "(", "reverse", "=", "True", ")"]),
        ("getHTTPUrl2", ["get", "HTTPUrl2"]),
        ("fooBarBaz_quxQ", ["foo", "Bar", "Baz_qux", "Q"]),
        ("""a["b"] == 'b'""", ["a", "[", "`", "b", "`", "]", "=", "=", "`", "b", "`"]),
        ("é\u00a0ñ\t\n", ["é", "ñ"]),
        ("a__b\x1cc", ["a__b", "c"]),
        ("", []),
    ],
)
def test_the_challenges_words(code: str, expected: list[str]) -> None:
    assert challenge_words(code) == expected


@few
@given(st.text("aB_2'\"( \n\x1c\u00a0é", max_size=30))
@example("aBcD'e' \u2003")
def test_words_are_those_of_the_published_rule(code: str) -> None:
    """The rule as steps on the text: blanks around symbols, then humps, then blanks folded, then quotes."""
    spaced = "".join(c if re.fullmatch("[A-Za-z0-9_]", c) else f" {c} " for c in code)
    humps = "".join(
        f"{b} " if b in "abcdefghijklmnopqrstuvwxyz" and c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" else b
        for b, c in zip(spaced, spaced[1:] + "\n", strict=False)
    )
    folded = re.sub(r"\s+", " ", humps).replace('"', "`").replace("'", "`")
    assert challenge_words(code) == [word for word in folded.split(" ") if word]


def test_conala_bleu_is_unsmoothed_bleu_4_with_the_shortest_reference() -> None:
    # matches 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 runs of four; 6 words against 6
    answers, references = ["f ( a ) + b"], [("f ( a ) - b",)]
    expected = (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25
    assert corpus(scorers.conala_bleu, answers, references) == {
        "conala_bleu": pytest.approx(expected),
        "em_tokenized": 0.0,
    }
    short = corpus(scorers.conala_bleu, ["a b c d"], [("a b c d e f", "a b c d e")])
    assert short["conala_bleu"] == pytest.approx(math.exp(1 - 5 / 4))


def test_conala_bleu_is_sacrebleus_without_smoothing_on_the_same_words() -> None:
    from sacrebleu.metrics import BLEU

    worded = [[" ".join(challenge_words(text)) for text in texts] for texts in (ANSWERS, REFERENCES)]
    plain = BLEU(tokenize="none", smooth_method="none", force=True)
    expected = plain.corpus_score(worded[0], [worded[1]]).score / 100
    found = corpus(scorers.conala_bleu, ANSWERS, SINGLE)
    assert found["conala_bleu"] == pytest.approx(expected)
    assert found["conala_bleu"] == pytest.approx(61.814207755514055 / 100)
    assert found["em_tokenized"] == 0.2


def test_without_a_run_of_four_in_the_corpus_conala_bleu_is_zero() -> None:
    assert corpus(scorers.conala_bleu, ["a b c"], [("a b c",)]) == {"conala_bleu": 0.0, "em_tokenized": 1.0}


def test_em_tokenized_does_not_see_quotes_and_spaces_and_never_matches_nothing() -> None:
    (score,) = rows(scorers.conala_bleu, ["f( 'a' )"], [('f("a")',)])
    assert score[0, 0] == 1.0
    (score,) = rows(scorers.conala_bleu, [" "], [(" ",)])
    assert score[0, 0] == 0.0


# ---------------------------------------------------------------- all of them

ALL = [scorers.bleu, scorers.chrf, scorers.conala_bleu]


@pytest.mark.parametrize("scorer", ALL, ids=lambda s: s.name)
def test_hostile_answers_are_scored_and_no_better_than_nothing(scorer: Scorer) -> None:
    hostile = ["\0", "\ud800", "(" * 200_000, "z" * 5_000_000, "\n" * 100_000, "\u202e\ufeff", "<skipped>"]
    for score in rows(scorer, hostile, [("x = 1 + 2",)] * len(hostile)):
        assert np.isfinite(score).all()
        assert score[0, 0] < 0.01


@pytest.mark.parametrize("scorer", ALL, ids=lambda s: s.name)
def test_every_metric_has_an_interval_that_holds_it(scorer: Scorer) -> None:
    scores = rows(scorer, ANSWERS * 6, SINGLE * 6)
    for reduce in scorer.metrics([1]).values():
        found = estimate(reduce, scores)
        assert 0 <= found.low < found.value < found.high <= 1


@pytest.mark.parametrize("scorer", ALL, ids=lambda s: s.name)
def test_a_problem_without_reference_is_named(scorer: Scorer) -> None:
    other = Problem(id="p/1", question="", solution="", check=UnitTests(code="", entry_point="f"))
    with pytest.raises(DataError, match="problem p/1 has no reference text"):
        list(scorer.score([(other, "x")], None))


def test_importing_the_scorers_loads_no_sacrebleu() -> None:
    code = "import sys, harness.scorers; print({'sacrebleu', 'lxml', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
