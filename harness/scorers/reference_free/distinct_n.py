"""How varied the samples of a problem are: the share of distinct ones among their n-grams (Li et al., 2016).

Counted within a problem, then summed over problems: so it has an interval, and does not fall with the number of
problems as the share over a whole corpus does (harness/text/diversity.py has that). It falls with the samples a
problem and with their length: compare equal numbers. Tokens are the CoNaLa challenge's words. A sample's counts
are its n-grams and those that no earlier sample of the problem has; its value is the share for pairs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.schema import Answer, Reduce, Sandbox, Score, Scorer, Verdict
from harness.scorers.similarity.conala_bleu import challenge_words
from harness.text.ngrams import MAX_CHARS

LENGTHS = (1, 2, 3)


def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    """The answers in canonical order, a problem's one after the other."""
    del sandbox
    problem_id, seen = "", set[tuple[str, ...]]()
    for problem, answer in answers:
        if problem.id != problem_id:
            problem_id, seen = problem.id, set()
        words = challenge_words(answer[:MAX_CHARS])
        stats = list[float]()
        for n in LENGTHS:
            before, grams = len(seen), [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
            seen.update(grams)
            stats += [float(len(seen) - before), float(len(grams))]
        yield Verdict("scored", Score(value=stats[2] / max(1.0, stats[3]), stats=tuple(stats)))


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import ratio_of_sums

    return {f"distinct_{n}": ratio_of_sums(1 + 2 * i, 2 + 2 * i) for i, n in enumerate(LENGTHS)}


distinct_n = Scorer(name="distinct_n", score=score, metrics=metrics, together=True)
