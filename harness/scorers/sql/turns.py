"""Conversations: whether all turns of an interaction are right, besides each turn's verdict (SParC, CoSQL).

`METRIC.interaction` is the share of interactions with every turn right, which the papers call interaction match.
Problems are turns, called BENCHMARK/SPLIT/INTERACTION/TURN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.schema import Reduce, Scorer


def first_turn_id(problem_id: str) -> str:
    return f"{problem_id.rpartition('/')[0]}/0"


def with_interactions(scorer: Scorer, *names: str) -> Scorer:
    """The scorer with `NAME.interaction` for these of its metrics, which are means over problems."""

    def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
        found = scorer.metrics(ks)
        return {
            **found,
            **{f"{name}.interaction": replace(found[name], over=first_turn_id) for name in names},
        }

    return replace(scorer, metrics=metrics)
