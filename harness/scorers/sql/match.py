"""Exact set match: an answer's clauses against the gold query's, as the official Spider evaluator compares them.

`exact_set_match` is the share of answers that match. The scorer `set_match_clauses`, for those who ask for it,
adds `exact_set_match.<clause>`: the F1 of each of the ten comparisons, precision over the answers that have the
clause and recall over the gold queries that have it. Where no gold query and no answer has it the F1 is 1. (The
official report says 1 wherever it is 0, too.) An answer that Spider's grammar cannot read is compared as an
empty query. `lf_accuracy` is the share of answers with WikiSQL's logical form. Nothing is executed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.schema import Answer, Problem, Query, Reduce, Sandbox, Score, Scorer, Verdict
from harness.text.sql import query_text, spider_grammar, spider_query, wikisql_form
from harness.text.sql.exact_set_match import COMPARISONS, Clause, compare, matches, normalize

if TYPE_CHECKING:
    from harness.schema import Floats


def compare_clauses(check: Query, answer: str) -> tuple[dict[str, Clause], bool, bool]:
    """The ten comparisons, whether all of it matches, whether the answer can be read.

    Raises UnparsableQuery for a gold query that cannot.
    """
    gold = normalize(spider_grammar.parse(check.sql, check.tables), check.tables)
    readable = True
    try:
        got = normalize(
            spider_grammar.parse(query_text.fill_value(answer, check.rules), check.tables),
            check.tables,
        )
    except spider_grammar.UnparsableQuery:
        got, readable = spider_query.EMPTY, False
    clauses = compare(got, gold)
    return clauses, matches(clauses, got, gold), readable


def is_set_match(check: Query, answer: str) -> bool:
    """Whether the answer is an exact set match, or the same logical form where the benchmark has such; never
    where the gold query is beyond Spider's grammar."""
    if check.form is not None:
        return wikisql_form.equal(wikisql_form.parse_answer(answer, check.form), check.form)
    try:
        return compare_clauses(check, answer)[1]
    except spider_grammar.UnparsableQuery:
        return False


def _score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    del sandbox
    for problem, answer in answers:
        yield _judge(problem, answer)


def _judge(problem: Problem, answer: str) -> Verdict:
    check = problem.check
    if not isinstance(check, Query):
        raise UserError(
            f"exact_set_match cannot judge {problem.id}: its check is {check.kind!r}, not a query"
        )
    try:
        clauses, matches, readable = compare_clauses(check, answer)
    except spider_grammar.UnparsableQuery as error:
        return Verdict(
            status="fault", score=None, error=f"its gold query is beyond Spider's grammar: {error}"
        )
    counts = (
        float(number)
        for clause in clauses.values()
        for number in (clause.agrees and clause.in_gold, clause.in_prediction, clause.in_gold)
    )
    return Verdict(
        status="scored",
        score=Score(value=float(matches), stats=tuple(counts)),
        error="" if readable else "beyond Spider's grammar",
    )


def _f1_of(place: int) -> Reduce:
    def per_problem(scores: "Floats") -> "Floats":
        """The three counts of one clause, mean over a problem's samples."""
        first = 1 + 3 * place
        counts: Floats = scores[:, first : first + 3].mean(axis=0)
        return counts

    def of_sum(sums: "Floats") -> "Floats":
        """[..., (agreed, predicted, wanted)] -> F1 of shape [...]."""
        import numpy as np

        either = sums[..., 1] + sums[..., 2]
        return np.where(either > 0, 2 * sums[..., 0] / np.maximum(either, 1e-12), 1.0)

    return Reduce(per_problem, of_sum)


def _whole(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    return {"exact_set_match": mean_of()}


def _clauses(ks: Sequence[int]) -> Mapping[str, Reduce]:
    return {f"exact_set_match.{name}": _f1_of(i) for i, name in enumerate(COMPARISONS)}


def _same_form(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    del sandbox
    for problem, answer in answers:
        check = problem.check
        if not isinstance(check, Query) or check.form is None:
            raise UserError(f"lf_accuracy cannot judge {problem.id}: it has no logical form")
        form = wikisql_form.parse_answer(answer, check.form)
        yield Verdict(
            status="scored",
            score=Score(value=float(wikisql_form.equal(form, check.form))),
            error="" if form is not None else "no logical form",
        )


def _form_metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    return {"lf_accuracy": mean_of()}


def value_rule(checks: Sequence[Query]) -> str:
    """For how many queries `value` is left as it is written, which the official evaluator does for none."""
    left = sum(not check.rules.fill_value for check in checks)
    if left in (0, len(checks)):
        return "value as written" if left else ""
    return f"value as written for {left} of {len(checks)}"


def _filled(problems: Sequence[Problem]) -> str:
    return value_rule([problem.check for problem in problems if isinstance(problem.check, Query)])


lf_accuracy = Scorer(name="lf_accuracy", score=_same_form, metrics=_form_metrics)
exact_set_match = Scorer(name="exact_set_match", score=_score, metrics=_whole, signature=_filled)
set_match_clauses = Scorer(name="set_match_clauses", score=_score, metrics=_clauses, signature=_filled)
