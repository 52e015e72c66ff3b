"""A run that stops once somebody who looks at it has seen enough: which problems come when, and what is kept of it.

    parts(whole, files)   the run of more and more problems, in an order drawn by lot; the last is all of it
    is_enough(part, ...)  the look at one of them

The order hangs on the problems' ids alone, whole clusters at a time: a run that could choose it (by its seed) could be
tried with one order after the other until it passes. A look is at a folder that is complete for its problems and says
that it is a part. looks.json keeps how many problems there were at each look: who tests the whole run later has to
know that it had its chances before.
"""

import math
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harness.errors import StoreFault
from harness.runs.resolve import Header, ResolvedRun
from harness.runs.store.atomic import to_json, write_atomic
from harness.runs.store.run_folder import RunFolder, read_json
from harness.runs.summary import summarise
from harness.stats.estimates import cluster_labels

LOOKS = 20  # at most so many parts
LEAST = 10  # problems between two looks: fewer would keep the workers waiting for one another
NAME = "looks.json"
# How the note of a part begins: of one under way, or cut off, and of one whose look said that it is enough.
UNDER_WAY = "partial: under way with --until-clear"
STOPPED = "partial: stopped by --until-clear"


class Enough(Protocol):
    """Who looks."""

    def check(self, whole: ResolvedRun) -> None:
        """Raise a UserError or NotComparable where no look could ever be answered by True; before anything is made."""

    def __call__(self, folder: Path) -> bool:
        """Whether the part in this folder is enough."""


def drawn_units(clusters: Mapping[str, str]) -> list[list[str]]:
    """Problem ids in the order drawn, those of one cluster together; `clusters` is id -> cluster.

    As everywhere, clusters count only where each problem has one and there are several.
    """
    together = cluster_labels(list(clusters.values())) is not None
    members: dict[str, list[str]] = {}
    for name in sorted(clusters):
        members.setdefault(clusters[name] if together else name, []).append(name)
    units = sorted(members)
    random.Random("order").shuffle(units)
    return [members[unit] for unit in units]


def look_points(sizes: Sequence[int]) -> list[int]:
    """After how many of the units, of so many problems each, there is a look; after the last there is none."""
    step = max(LEAST, math.ceil(sum(sizes) / LOOKS))
    found, seen, there = [], 0, 0
    for count, size in enumerate(sizes[:-1], 1):
        there += size
        if there >= seen + step:
            found.append(count)
            seen = there
    return found


def parts(whole: ResolvedRun, files: RunFolder) -> Iterator[ResolvedRun]:
    """The run of more and more of its problems, the last of all; the first has at least those that are begun."""
    done = {problem.id for problem in whole.problems if files.generations.keys.count(problem.id)}
    units = drawn_units({problem.id: problem.cluster for problem in whole.problems})
    for count in look_points([len(unit) for unit in units]):
        names = {name for unit in units[:count] for name in unit}
        if names.issuperset(done):
            yield _part(whole, names)
    yield whole


def _part(whole: ResolvedRun, names: Collection[str]) -> ResolvedRun:
    kept = [problem for problem in whole.problems if problem.id in names]
    count = f"{len(kept)} of {len(whole.problems)} problems"
    note = f"{UNDER_WAY} after {count}, in an order drawn by lot; the same command goes on"
    header = whole.header
    return ResolvedRun(
        plan=replace(whole.plan, problems=kept),
        counts={problem.id: whole.counts[problem.id] for problem in kept},
        record=whole.record,
        header=Header(f"{header.signature} | first {count}", (note, *header.notes)),
        is_part=True,
    )


def stopped(part: ResolvedRun) -> ResolvedRun:
    """The part as the run that is left, where the look at it was answered by True."""
    note, *others = part.header.notes
    said = note.replace(UNDER_WAY, STOPPED).replace("the same command", "the same command without it")
    return replace(part, header=replace(part.header, notes=(said, *others)))


def is_enough(part: ResolvedRun, files: RunFolder, enough: Enough) -> bool:
    """Sum up the part, keep that there was a look, and look."""
    files.write_summary(summarise(part, files))
    seen = sorted({*read(files.folder), len(part.problems)})
    write_atomic(files.folder / NAME, to_json({"problems": seen}))
    return enough(files.folder)


def read(folder: Path) -> list[int]:
    """How many problems there were at each look; none for a run that nobody looked at before its end."""
    path = folder / NAME
    if not path.is_file():
        return []
    found = read_json(path).get("problems")
    if not isinstance(found, list) or not all(type(count) is int for count in found):
        raise StoreFault(f"{path}: damaged: expected the numbers of problems at each look")
    return found
