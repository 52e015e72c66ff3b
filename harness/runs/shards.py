"""One of N parts of a run, for machines that share nothing but a folder: every N-th problem, with the whole's record.

A part is planned as the whole is, with every problem: the shots that are retrieved, the prompts and what
identifies the run must not depend on N. Only then is every N-th problem kept, from problem I on: neighbours in
a benchmark are often alike, so that parts made this way take about as long as each other. Putting the parts
together again is merge.py's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import ConfigError
from harness.runs.plan import Plan
from harness.runs.summary import Heading


@dataclass(frozen=True)
class Shard:
    """Part `index`, counted from 0, of `of`."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


def parse(text: str | None) -> Shard | None:
    """Shard(0, 3) of "0/3", None of nothing. Raises ConfigError."""
    if text is None:
        return None
    index, slash, of = text.partition("/")
    if not slash or not all(part.isascii() and part.isdigit() for part in (index, of)):
        raise ConfigError(f"--shard {text!r}: expected I/N, 0/3 say for the first of three parts")
    shard = Shard(int(index), int(of))
    if shard.index >= shard.of:
        raise ConfigError(
            f"--shard {text}: parts are counted from 0, the last of {of} is {shard.of - 1}/{of}"
        )
    return shard


def check(shard: Shard, problems: int) -> None:
    """Raises ConfigError where a part would be empty."""
    if shard.of > problems:
        raise ConfigError(
            f"--shard {shard}: the run has {problems} problems: at most {problems} parts make sense"
        )


def name(whole: str, shard: Shard) -> str:
    return f"{whole}-shard-{shard.index}-of-{shard.of}"


def cut(
    shard: Shard, plan: Plan, counts: Mapping[str, int], record: Mapping[str, Any], heading: Heading
) -> tuple[Plan, Mapping[str, int], dict[str, Any], Heading]:
    """The same four of one part. Its record holds what `merge` writes of the whole and cannot know otherwise."""
    check(shard, len(plan.problems))
    kept = plan.problems[shard.index :: shard.of]
    about = {
        "index": shard.index,
        "of": shard.of,
        "problems": len(kept),
        "run_id": record["run_id"],
        "signature": heading.signature,
        "notes": list(heading.notes),
    }
    note = f"partial: shard {shard}, {len(kept)} of {len(plan.problems)} problems; harness merge makes the run of all"
    return (
        replace(plan, problems=kept),
        {problem.id: counts[problem.id] for problem in kept},
        {**record, "run_id": name(record["run_id"], shard), "shard": about},
        Heading(f"{heading.signature} | shard {shard}", (note, *heading.notes)),
    )
