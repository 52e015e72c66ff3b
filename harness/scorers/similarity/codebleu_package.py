"""CodeBLEU by the PyPI package codebleu 0.7.0, faults included: for comparing a run with numbers published
with it.

Its own functions give the counts, so that a corpus value is the package's corpus value and has an interval.
Its data flow depends on PYTHONHASHSEED, and a data flow of 0 counts as 1. For all else use `codebleu`, which
says what differs.
"""

from collections.abc import Callable, Mapping, Sequence

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.scorers.similarity.codebleu import REFERENCE_LENGTH, Components, components, over_corpus
from harness.text.ngrams import MAX_CHARS
from harness.text.python_tree import parser

ORDERS = (1, 2, 3, 4)
MAX_DEPTH = 500  # levels of a syntax tree; no program that a person wrote comes near


def counts(answer: str, references: Sequence[str]) -> tuple[float, ...]:
    """The package's counts in the order of `codebleu.counts`, then the weighted part's reference length."""
    from codebleu import bleu, dataflow_match, syntax_match, weighted_ngram_match
    from codebleu.codebleu import PACKAGE_DIR

    keywords = (PACKAGE_DIR / "keywords" / "python.txt").read_text(encoding="utf-8").split()
    text, texts = answer.strip(), [reference.strip() for reference in references]
    got, wanted = text.split(), [reference.split() for reference in texts]
    weighted = [[tokens, {t: 1 if t in keywords else 0.2 for t in tokens}] for tokens in wanted]
    precision = [bleu.modified_precision(wanted, got, n) for n in ORDERS]
    recall = [weighted_ngram_match.modified_recall(weighted, got, n) for n in ORDERS]
    shapes = recover_counts(
        lambda r, a: syntax_match.corpus_syntax_match(r, a, "python"), texts, text, ("", "x", 1)
    )
    triples = recover_counts(
        lambda r, a: dataflow_match.corpus_dataflow_match(r, a, "python"), texts, text, ("x = 1", "", 2)
    )
    lengths = (len(got), bleu.closest_ref_length(wanted, len(got)))
    columns = (*zip(*precision, strict=True), *zip(*recall, strict=True), lengths, shapes, triples)
    flat = [float(number) for column in columns for number in column]
    return (*flat, float(weighted_ngram_match.closest_ref_length(weighted, len(got))))


def sanitized(answer: str) -> str:
    """The answer as far as the package survives it: half a surrogate pair, which JSON can bring, becomes a
    question mark; of a text nested more than `DEEPEST` levels, which ends the process, nothing is left."""
    source = answer[:MAX_CHARS].encode("utf-8", "replace")
    cursor, depth, deepest = parser().parse(source).walk(), 0, 0
    while True:
        if cursor.goto_first_child():
            depth += 1
            deepest = max(deepest, depth)
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return source.decode() if deepest <= MAX_DEPTH else ""
            depth -= 1


def recover_counts(
    share: Callable[[list[list[str]], list[str]], float],
    references: list[str],
    answer: str,
    probe: tuple[str, str, int],
) -> tuple[int, int]:
    """The two counts behind a share, which is all that the package gives away.

    `probe` is a reference with a known total t and an answer that matches none of it. Adding it once matched
    and once not to the corpus gives (m + t) / (n + t) and m / (n + t), hence n and m.
    """
    reference, mismatch, total = probe
    high = share([references, [reference]], [answer, reference])
    low = share([references, [reference]], [answer, mismatch])
    everything = total / (high - low)
    return round(low * everything), round(everything) - total


def package_components(sums: Sequence[float]) -> Components:
    """The four parts; for the weighted one the package takes each reference to be two words long."""
    plain = sums[:-1]
    two_words = [*plain]
    two_words[REFERENCE_LENGTH] = sums[-1]
    return components(plain)._replace(weighted=components(two_words).weighted)


def combine(p: Components) -> float:
    return (p.ngram + p.weighted + p.syntax + (p.dataflow or 1.0)) / 4


def judge(problem: Problem, answer: str) -> Score:
    stats = counts(sanitized(answer), reference_texts(problem))
    return Score(value=combine(package_components(stats)), stats=stats)


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    name = "codebleu_package"
    return {
        name: over_corpus(lambda sums: combine(package_components(sums))),
        f"{name}.ngram": over_corpus(lambda sums: package_components(sums).ngram),
        f"{name}.weighted": over_corpus(lambda sums: package_components(sums).weighted),
        f"{name}.syntax": over_corpus(lambda sums: package_components(sums).syntax),
        f"{name}.dataflow": over_corpus(lambda sums: package_components(sums).dataflow or 0.0),
    }


codebleu_package = Scorer(
    name="codebleu_package", score=PerAnswer(judge, parallelizable=False), metrics=metrics
)
