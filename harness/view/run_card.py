"""What the list says of a run: how far it is, how fast, what it cost, what went wrong. Pure, from what was read.

A finished run is told by its summary alone; any other by the counts of its rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.config.run import RunConfig
from harness.results.report.tables import amount, footnotes, rows
from harness.runs.progress import StageRates
from harness.runs.store import reader
from harness.runs.summary import WORDS
from harness.view.live_counts import LiveCounts

# running: somebody writes it; stopped: nobody does and it has no summary; incomplete: a summary that misses samples.
MOST = 1 << 53  # the largest whole numbers that a page's script has

State = Literal["running", "finished", "incomplete", "stopped", "damaged"]


@dataclass(frozen=True)
class RunCard:
    """`run` is the run's address, the folder below the one that is watched; the rest is text as it is shown.

    `notes` are for the run's own page: every metric, how samples ended, the signature.
    """

    run: str
    name: str
    state: State
    task: str = ""
    about: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    pace: str = ""
    cost: str = ""
    faults: int = 0
    warnings: tuple[str, ...] = ()
    result: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises TypeError for what no page could show: files may hold anything."""
        texts = (
            self.name,
            self.task,
            self.about,
            self.stage,
            self.cost,
            self.result,
            *self.warnings,
            *self.notes,
        )
        whole = (self.done, self.total, self.faults)
        if not all(isinstance(text, str) for text in texts) or not all(0 <= n < MOST for n in whole):
            raise TypeError("a name is no text, or a number not one of samples")
        if not all(isinstance(n, int) for n in whole):
            raise TypeError("a number of samples is not whole")


def damaged(run: str, why: object) -> RunCard:
    return RunCard(run, run.rpartition("/")[2], "damaged", warnings=(str(why),))


def finished(run: str, record: Mapping[str, Any], config: RunConfig, summary: Mapping[str, Any]) -> RunCard:
    """Raises KeyError, TypeError where the summary is none."""
    done, missing = summary["samples"], summary.get("missing", 0)
    results = [
        f"{metric} {value} ({interval}), {n}" if interval else metric
        for _, metric, value, interval, n, _ in rows([summary])
    ]
    return RunCard(
        run=run,
        name=record["run_id"],
        state="incomplete" if missing else "finished",
        task=record["task"]["name"],
        about=_about(record, config),
        done=done,
        total=done + missing,
        cost=_cost(summary["cost"]),
        faults=summary["errors"],
        warnings=tuple(_words(summary.get("completions", {}))),
        result=results[0].rpartition(", ")[0] or results[0],
        notes=(*results, *footnotes(summary)),
    )


def unfinished(
    run: str, record: Mapping[str, Any], config: RunConfig, counts: LiveCounts, progress: "StageProgress"
) -> RunCard:
    """Of a run that is at work or was stopped."""
    return RunCard(
        run=run,
        name=record["run_id"],
        state="running" if progress.running else "stopped",
        task=record["task"]["name"],
        about=_about(record, config),
        stage=progress.stage,
        done=progress.done,
        total=progress.total,
        pace=progress.pace,
        cost="" if counts.uncounted else _cost(counts.cost),
        faults=counts.faults,
        warnings=(
            *_words(counts.completions.counts),
            *([f"{counts.unparsed} unparsed"] if counts.unparsed else ()),
            *([f"{n} damaged rows"] if (n := counts.damaged.total()) else ()),
        ),
    )


@dataclass(frozen=True)
class StageProgress:
    running: bool
    stage: str
    done: int
    total: int
    pace: str = ""


def progress(
    record: Mapping[str, Any], counts: LiveCounts, running: bool, judging: bool, rates: StageRates | None
) -> StageProgress:
    """Where the run is. `judging`: its verdicts were the last that it wrote. `rates` of earlier looks, if all that is
    on disk has been counted: rows that are only being read here tell nothing of the run's speed."""
    about = record.get("shard", record)
    total = about["problems"] * record["sampling"]["samples"]
    if counts.judged and (judging or counts.made >= total):
        waiting = (name for name, n in counts.judged.items() if n < counts.made)
        scorer = next(waiting, next(reversed(counts.judged)))
        stage, done, total = f"judge {scorer}", counts.judged[scorer], counts.made
    else:
        stage, done = "generate", counts.made
    if rates is None:
        return StageProgress(running, f"read so far: {stage}", done, total)
    pace = rates.update(stage, done, total).describe(0, 0.0) if running else ""
    return StageProgress(running, stage, done, total, pace)


def _about(record: Mapping[str, Any], config: RunConfig) -> str:
    shard = record.get("shard")
    part = f", shard {shard['index']}/{shard['of']}" if shard else ""
    return f"{reader.model(config)}, {reader.method(config)}, seed {config.seed}{part}"


def _words(completions: Mapping[str, int]) -> Iterator[str]:
    return (f"{n} {word}" for name, word in WORDS.items() if (n := completions.get(name, 0)))


def _cost(figures: Mapping[str, float]) -> str:
    """The price, where there are prices, else the tokens; nothing where nobody counted them."""
    if "price" in figures:
        return amount(figures["price"])
    tokens = figures.get("completion_tokens", 0)
    return f"{tokens:,.0f} tokens" if tokens else ""
