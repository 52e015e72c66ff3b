"""Scorers: what one answer is worth, and which corpus metrics follow from that.

A scorer is a `Scorer` value (harness/schema.py): a name, a function over (problem, answer) pairs, and its
metrics. To add one, write a file with a function `judge(problem, answer) -> Score` and

    mine = Scorer(name="mine", score=each(judge), metrics=lambda ks: {"mine": mean_of()})

then name it in a task's `scorers`; nothing has to be registered. A corpus metric that is no mean of the
values puts counts into `Score.stats` and works from their sums (see codebleu.py). Importing a scorer costs
nothing: what is heavy, numpy and parsers too, is imported when the first answer is scored.
"""

from harness.scorers.codebleu import codebleu, codebleu_with
from harness.scorers.codebleu_package import codebleu_package
from harness.scorers.each import each, reference_texts
from harness.scorers.exact import exact
from harness.scorers.unit_tests import unit_tests

__all__ = ["codebleu", "codebleu_package", "codebleu_with", "each", "exact", "reference_texts", "unit_tests"]
