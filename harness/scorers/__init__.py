"""Scorers: what one answer is worth, and which corpus metrics follow from that.

A scorer is a `Scorer` value (harness/schema/): a name, a function over (problem, answer) pairs, and its
metrics. To add one, write a file with a function `judge(problem, answer) -> Score` and

    mine = Scorer(name="mine", score=PerAnswer(judge), metrics=lambda ks: {"mine": mean_of()})

then name it in a task's `scorers`, or in a run's as `scorers = ["mine.py:mine"]`; an installed package offers its own
by name in the entry-point group `harness.scorers`. A metric whose values are not 0..1 is `mean_of(unit="number")`, one
of which less is better `mean_of(lower_is_better=True)`. A corpus metric that is no mean of the values puts counts into
`Score.stats` and works from their sums (see codebleu.py). Importing a scorer costs nothing: what is heavy, numpy and
parsers too, is imported when the first answer is scored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.config import plugins
from harness.errors import ConfigError, unknown
from harness.schema import Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts

if TYPE_CHECKING:
    from harness.scorers.execution.assertions import assertions
    from harness.scorers.execution.generated_tests import generated_tests
    from harness.scorers.execution.io_cases import io_cases, io_cases_with
    from harness.scorers.execution.own_reference import proved_unit_tests
    from harness.scorers.execution.snippets import snippets
    from harness.scorers.execution.symbolic import symbolic
    from harness.scorers.execution.unit_tests import unit_tests
    from harness.scorers.execution.valid_rate import valid_rate
    from harness.scorers.likelihood import perplexity
    from harness.scorers.reference_free.distinct_n import distinct_n
    from harness.scorers.reference_free.parse_rate import parse_rate
    from harness.scorers.reference_free.style import style
    from harness.scorers.reference_free.train_overlap import train_overlap
    from harness.scorers.similarity.ast_similarity import ast_similarity, ast_similarity_with
    from harness.scorers.similarity.bleu import bleu
    from harness.scorers.similarity.chrf import chrf
    from harness.scorers.similarity.codebleu import codebleu, codebleu_with
    from harness.scorers.similarity.codebleu_package import codebleu_package
    from harness.scorers.similarity.comments import comments
    from harness.scorers.similarity.conala_bleu import conala_bleu
    from harness.scorers.similarity.exact import exact
    from harness.scorers.sql.execution import sql_execution, sql_execution_with, ves
    from harness.scorers.sql.match import exact_set_match, lf_accuracy, set_match_clauses
    from harness.scorers.sql.turns import with_interactions

# Where the names are defined. They are imported when first used: a run needs one or two of them.
_MODULES: Mapping[str, str] = {
    "assertions": "execution.assertions",
    "ast_similarity": "similarity.ast_similarity",
    "ast_similarity_with": "similarity.ast_similarity",
    "bleu": "similarity.bleu",
    "chrf": "similarity.chrf",
    "codebleu": "similarity.codebleu",
    "codebleu_package": "similarity.codebleu_package",
    "codebleu_with": "similarity.codebleu",
    "comments": "similarity.comments",
    "conala_bleu": "similarity.conala_bleu",
    "distinct_n": "reference_free.distinct_n",
    "exact": "similarity.exact",
    "exact_set_match": "sql.match",
    "generated_tests": "execution.generated_tests",
    "io_cases": "execution.io_cases",
    "io_cases_with": "execution.io_cases",
    "lf_accuracy": "sql.match",
    "parse_rate": "reference_free.parse_rate",
    "perplexity": "likelihood",
    "proved_unit_tests": "execution.own_reference",
    "set_match_clauses": "sql.match",
    "snippets": "execution.snippets",
    "sql_execution": "sql.execution",
    "sql_execution_with": "sql.execution",
    "style": "reference_free.style",
    "symbolic": "execution.symbolic",
    "train_overlap": "reference_free.train_overlap",
    "unit_tests": "execution.unit_tests",
    "valid_rate": "execution.valid_rate",
    "ves": "sql.execution",
    "with_interactions": "sql.turns",
}

__all__ = [
    "PerAnswer",
    "assertions",
    "ast_similarity",
    "ast_similarity_with",
    "bleu",
    "chrf",
    "codebleu",
    "codebleu_package",
    "codebleu_with",
    "comments",
    "conala_bleu",
    "distinct_n",
    "exact",
    "exact_set_match",
    "for_queries",
    "generated_tests",
    "io_cases",
    "io_cases_with",
    "lf_accuracy",
    "load_scorers",
    "parse_rate",
    "perplexity",
    "proved_unit_tests",
    "reference_texts",
    "set_match_clauses",
    "snippets",
    "sql_execution",
    "sql_execution_with",
    "style",
    "symbolic",
    "train_overlap",
    "unit_tests",
    "valid_rate",
    "ves",
    "with_interactions",
]


def for_queries(execute: bool, conversations: bool = False) -> tuple[Scorer, ...]:
    """The scorers of Spider and its variants; BLEU is of the whole completion, explanations included."""
    from harness.scorers.similarity.bleu import bleu
    from harness.scorers.sql.execution import sql_execution
    from harness.scorers.sql.match import exact_set_match
    from harness.scorers.sql.turns import with_interactions

    executed, matched = sql_execution, exact_set_match
    if conversations:
        executed = with_interactions(executed, "execution_accuracy", "test_suite_accuracy")
        matched = with_interactions(matched, "exact_set_match")
    return (*((executed,) if execute else ()), matched, replace(bleu, raw=True))


def __getattr__(name: str) -> Any:
    if (module := _MODULES.get(name)) is None:
        raise AttributeError(f"module 'harness.scorers' has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(f"harness.scorers.{module}"), name)
    return found


def builtin_scorer(name: str) -> Scorer | None:
    """This package's scorer of that name."""
    found = __getattr__(name) if name in _MODULES else None
    return found if isinstance(found, Scorer) else None


def builtin_scorers() -> dict[str, Scorer]:
    return {found.name: found for name in _MODULES if (found := builtin_scorer(name)) is not None}


def load_scorers(names: Sequence[str]) -> tuple[Scorer, ...]:
    """The scorers that a config names: built-in ones, `FILE.py:NAME`, or entry points. Raises ConfigError."""
    found: dict[str, Scorer] = {}
    for name in dict.fromkeys(names):
        scorer = builtin_scorer(name) or _load_plugin(name)
        if scorer.name in found:
            raise ConfigError(f"scorer {name!r}: another one is also named {scorer.name!r}; rename one")
        found[scorer.name] = scorer
    return tuple(found.values())


def _load_plugin(name: str) -> Scorer:
    """A scorer that is not built in, with its source: a digest of the file, or the package's version."""
    value = plugins.load("scorer", name)
    if value is None:
        raise ConfigError(unknown("scorer", name, [*builtin_scorers(), *plugins.names("scorer")]))
    if not isinstance(value, Scorer):
        raise ConfigError(f"scorer {name!r}: expected a harness.schema.Scorer, got {type(value).__name__}")
    return replace(guarded(value), source=plugins.source("scorer", name))


def guarded(scorer: Scorer) -> Scorer:
    """The scorer, with what a third party's functions raise told in one line; one of this package is itself."""
    score = scorer.score
    if isinstance(score, PerAnswer):
        judge = plugins.guarded(score.judge)
        score = score if judge is score.judge else replace(score, judge=judge)
    else:
        score = plugins.guarded(score)
    metrics = plugins.guarded(scorer.metrics)
    same = score is scorer.score and metrics is scorer.metrics
    return scorer if same else replace(scorer, score=score, metrics=metrics)
