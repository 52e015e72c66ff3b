"""The lines of a task's table, best first: runs with rank ranges, then what others reported.

A row's rank is a range: behind the rows that a paired test finds better, before those that it finds worse
(`compare.rank_ranges`). Published rows and those reported by other tools have no interval and no rank.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.results import compare
from harness.results.external import ExternalResult
from harness.results.leaderboard.submissions import ModelCard
from harness.results.report.comparison import contaminated
from harness.results.report.published import PublishedValue, published_values, set_apart
from harness.results.report.sections import Section, why_apart
from harness.results.report.tables import figure
from harness.results.rows import ComparisonRow
from harness.runs.store import reader
from harness.runs.store.conditions import conditions
from harness.runs.store.reader import Result
from harness.schema import Unit
from harness.stats.estimates import can_fail

RANK_NOTE = (
    "A rank is a range where no test tells rows apart: 2 to 4 is behind one row that the paired test on the same"
    " problems finds better, and fourth at worst, because it finds all others worse (p at most 0.05,"
    " Holm-corrected over the other rows, as in harness compare with this row first)."
)


@dataclass(frozen=True)
class LeaderboardRow:
    """One line of a task's table. For a value that was not measured here `rank` is 0, `low` and `high` are None."""

    task: str
    metric: str
    model: str
    method: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    rank: int = 0
    rank_to: int = 0
    seeds: int = 0
    prompt_tokens: float = 0.0
    published: str = ""
    runs: tuple[Path, ...] = ()
    signature: str = ""
    faults: int = 0
    faults_fail: bool = True  # whether they count as failed samples; else their problems have no value
    partial: str = ""  # the note of a run that has not all of its problems
    unit: Unit = "share"
    contaminated: tuple[str, ...] = ()
    lower_is_better: bool = False
    group: str = ""
    card: ModelCard | None = None

    @property
    def name(self) -> str:
        """The model with its method, where that is more than asking."""
        return self.model if self.method in ("", "zero-shot") else f"{self.model}, {self.method}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What takes from the value's worth."""
        counted = "count as failed" if self.faults_fail else "are left out"
        said = f"{self.faults} samples could not be judged and {counted}"
        return (
            *([self.partial] if self.partial else []),
            *([said] if self.faults else []),
            *self.contaminated,
        )

    @property
    def tied(self) -> bool:
        return self.rank_to > self.rank


def make_rows(
    sections: Sequence[Section],
    published: Sequence[PublishedValue] = (),
    imported: Sequence[ExternalResult] = (),
    cards: Mapping[Path, ModelCard] | None = None,
) -> list[LeaderboardRow]:
    """Every row of every section, best first; after a task's runs, results of other tools and published values.

    `cards` are those of the submissions that run folders belong to.
    """
    found: list[LeaderboardRow] = []
    for section in sections:
        found += _told_apart(_run_rows(section, cards or {}))
        reported = [entry for one in imported for entry in external_rows(one, section)]
        sign = 1 if section.lower_is_better else -1
        found += sorted(reported, key=lambda row: sign * row.value)
        same = [row for row in beside(section, published) if row.metric == section.metric]
        found += [_published_row(section, row) for row in sorted(same, key=lambda row: sign * row.value)]
    return found


def with_card_names(section: Section, cards: Mapping[Path, ModelCard]) -> Section:
    """The section with each submission's rows called as its card says."""

    def named(row: ComparisonRow) -> ComparisonRow:
        card = cards.get(row.runs[0].folder)
        way = "" if row.method in ("", "zero-shot") else f", {row.method}"
        return replace(row, name=f"{card.name}{way}") if card else row

    comparison = replace(section.comparison, rows=tuple(map(named, section.comparison.rows)))
    return replace(section, comparison=comparison, set_apart=tuple(map(named, section.set_apart)))


def fault_notes(section: Section) -> list[str]:
    """What a reader has to know of judging that failed: which rows have no rank, and which problems do not count."""
    lines = [f"{row.name}: {why_apart(section, row)}" for row in section.set_apart]
    if left_out := section.comparison.skipped:
        lines.append(
            f"{left_out} of {len(section.runs[0].samples)} problems are left out: judging failed in all rows"
        )
    return lines


def beside(section: Section, published: Sequence[PublishedValue]) -> list[PublishedValue]:
    """The published values on the section's own problems."""
    settings = {id(row.setting): row.setting for row in published if row.task == section.task}
    same = {key for key, setting in settings.items() if not setting.difference(section.runs[0])}
    return [row for row in published if id(row.setting) in same]


def published_notes(section: Section, papers: Sequence[str]) -> list[str]:
    """What a reader has to know of the papers' values for the section: those of other metrics, and those set apart."""
    other: dict[str, list[PublishedValue]] = {}
    for row in beside(section, list(published_values(papers))):
        if row.metric != section.metric:
            other.setdefault(row.metric, []).append(row)
    lines = []
    for metric, rows in other.items():
        if "[" not in metric:
            lines.append(f"{len(rows)} values of {metric} are published: --metric {metric} shows them")
        elif metric.startswith(f"{section.metric}["):
            shown = "; ".join(f"{row.name} {figure(section.unit, row.value)}" for row in rows)
            lines.append(f"published, {metric}: {shown}")
    return [*lines, *set_apart(section, papers)]


def external_rows(one: ExternalResult, section: Section) -> list[LeaderboardRow]:
    """What another tool reported for the section's task and metric (`pass@1,create_test` counts as pass@1), if it is
    on as many problems and in the same unit: a per cent taken for a share is a hundred times too much."""
    if one.task != section.task or not section.metric or one.n != len(section.runs[0].samples):
        return []
    return [
        LeaderboardRow(
            task=section.title,
            metric=section.metric,
            model=one.model,
            method="" if one.shots is None else f"{one.shots}-shot",
            value=figure.value,
            n=one.n,
            published=f"{one.label}, {name}, not judged here",
            unit=section.unit,
        )
        for name, figure in one.metrics.items()
        if name.partition(",")[0] == section.metric and figure.unit == section.unit
    ]


def _told_apart(found: Iterable[tuple[LeaderboardRow, str]]) -> Iterator[LeaderboardRow]:
    """Rows of one model and method differ in something else: they get the end of their run's id, which comes with each,
    and a number if that is the same too. No two rows have one name."""
    rows = list(found)
    names = Counter(row.name for row, _ in rows)
    taken = {name for name, count in names.items() if count == 1}
    for row, run_id in rows:
        if names[row.name] == 1:
            yield row
            continue
        end = run_id.rpartition("-")[2]
        ends = itertools.chain([end], (f"{end}, {i}" for i in itertools.count(2)))
        made = (replace(row, method=f"{row.method} ({each})".strip()) for each in ends)
        unique = next(row for row in made if row.name not in taken)
        taken.add(unique.name)
        yield unique


def _group(run: Result) -> str:
    """What is tuned or shown beside the model, as far as a run says it; of a recording nothing is known."""
    if run.config.backend.adapter:
        return "adapter"
    if run.config.shots.startswith("rag"):
        return "RAG"
    if run.config.backend.kind == "replay":
        return ""
    return "instruct" if run.record["prompt"]["template"]["style"] == "chat" else "base"


def _run_rows(section: Section, cards: Mapping[Path, ModelCard]) -> Iterator[tuple[LeaderboardRow, str]]:
    """Each row with the id of its first run."""
    estimates = [cell.estimate for cell in section.cells]
    ranges = compare.rank_ranges(section.comparison, section.metric) if estimates else []
    for row, e, place in zip(section.rows, estimates, section.order, strict=False):
        best, worst = ranges[place]
        first = row.runs[0]
        card = cards.get(first.folder)
        cost = first.summary.cost.get("prompt_tokens", 0.0) / max(first.summary.samples, 1)
        made = LeaderboardRow(
            task=section.title,
            metric=section.metric,
            model=card.name if card else reader.model(first.config),
            method="" if card and first.config.backend.kind == "replay" else row.method,
            value=e.value,
            low=e.low,
            high=e.high,
            n=e.n,
            rank=best,
            rank_to=worst,
            seeds=len(row.runs),
            prompt_tokens=cost,
            runs=tuple(run.folder for run in row.runs),
            signature=first.summary.signature,
            faults=sum(run.faults for run in row.runs),
            faults_fail=can_fail(first.reduces[section.metric][1]),
            partial=conditions(first)["partial"] or "",
            unit=e.unit,
            contaminated=tuple(said for _, said in contaminated([row])),
            lower_is_better=e.lower_is_better,
            group=(card and card.group) or _group(first),
            card=card,
        )
        yield made, first.run_id


def _published_row(section: Section, row: PublishedValue) -> LeaderboardRow:
    model, _, method = row.name.partition(", ")
    source = f"arXiv {row.paper}, {row.table}"
    noted = f" ({' '.join(row.notes)})" if row.notes else ""
    return LeaderboardRow(
        section.title, section.metric, model, method, row.value, published=source + noted, unit=section.unit
    )
