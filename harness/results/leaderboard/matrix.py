"""Models by tasks: one line a model, its win rate, its versions, and which lines no other beats at a lower cost."""

import datetime
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.results.leaderboard.rows import LeaderboardRow
from harness.results.leaderboard.submissions import ModelCard


@dataclass(frozen=True)
class ModelRow:
    """One model and method on every task that it was run on, by the task's title.

    `win_rate` is HELM's mean win rate (Liang et al. 2022, arXiv 2211.09110): on each task the share of the other lines
    that this one's value is better than, a tie being half; then the mean over tasks. None where it stands alone.
    """

    name: str
    group: str
    card: ModelCard | None
    cells: Mapping[str, LeaderboardRow]
    win_rate: float | None

    @property
    def size(self) -> float | None:
        return self.card.size if self.card else None

    @property
    def date(self) -> datetime.date | None:
        return self.card.date if self.card else None

    @property
    def prompt_tokens(self) -> float | None:
        """Tokens of a prompt, the mean over tasks; None of recordings, which have none."""
        found = [cell.prompt_tokens for cell in self.cells.values() if cell.prompt_tokens]
        return sum(found) / len(found) if found else None


def model_rows(found: Iterable[LeaderboardRow]) -> list[ModelRow]:
    """The lines of the matrix, highest win rate first. Rows of other tools and of papers are in no line."""
    by_model: dict[str, dict[str, LeaderboardRow]] = defaultdict(dict)
    by_task: dict[str, list[LeaderboardRow]] = defaultdict(list)
    for row in found:
        if row.rank:
            by_model[row.name][row.task] = row
            by_task[row.task].append(row)
    shares = {task: _win_shares(rows) for task, rows in by_task.items()}
    made = []
    for name, cells in by_model.items():
        wins = [shares[task][name] for task in cells if len(by_task[task]) > 1]
        first = next(iter(cells.values()))
        card = next((cell.card for cell in cells.values() if cell.card), None)
        made.append(ModelRow(name, first.group, card, cells, sum(wins) / len(wins) if wins else None))
    return sorted(made, key=lambda row: (row.win_rate is None, -(row.win_rate or 0.0), row.name))


def _win_shares(rows: Sequence[LeaderboardRow]) -> dict[str, float]:
    """By name the share of the other rows that a row is better than, a tie being half."""
    found = {}
    ordered = sorted(row.value for row in rows)
    for row in rows:
        below = bisect_left(ordered, row.value)
        ties = bisect_right(ordered, row.value) - below - 1
        better = len(rows) - 1 - ties - below if row.lower_is_better else below
        found[row.name] = (better + ties / 2) / max(len(rows) - 1, 1)
    return found


def versions(rows: Sequence[ModelRow]) -> dict[str, list[ModelRow]]:
    """The lines of each model that has several versions (`version_of`), oldest first; those without a date last."""
    found: dict[str, list[ModelRow]] = defaultdict(list)
    for row in rows:
        if row.card and row.card.version_of:
            found[row.card.version_of].append(row)
    return {
        name: sorted(same, key=lambda row: (row.date is None, row.date or datetime.date.min, row.name))
        for name, same in found.items()
        if len(same) > 1
    }


def pareto_front(points: Sequence[tuple[float, float]], lower_is_better: bool = False) -> list[int]:
    """Which points (cost, value) no other beats, being better at no higher cost or as good at a lower; by cost."""
    sign = 1 if lower_is_better else -1
    front: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], sign * points[i][1])):
        if not front or sign * points[i][1] < sign * points[front[-1]][1]:
            front.append(i)
    return front
