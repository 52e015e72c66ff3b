"""A run that stops once somebody who looks at it has seen enough: which problems come when, and what is kept of it.

    parts(whole, files)   the run of more and more problems, in an order that the seed draws; the last is all of it

The order is fixed before anything is seen, whole clusters at a time, and the same whenever the run is resumed. A look
is at a folder that is complete for its problems and says that it is a part. looks.json keeps how many problems there
were at each look: who tests the whole run later has to know that it had its chances before.
"""

import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from harness.runs.resolve import Header, ResolvedRun
from harness.runs.store.atomic import to_json, write_atomic
from harness.runs.store.run_folder import RunFolder, read_json
from harness.stats.estimates import cluster_labels

LOOKS = 20  # at most so many parts
LEAST = 10  # problems between two looks: fewer would keep the workers waiting for one another
NAME = "looks.json"
STOPPED = "partial: stopped by --until-clear"  # how the note of a part begins

Enough = Callable[[Path], bool]  # looks at the folder of a part


def drawn_units(clusters: Mapping[str, str], seed: int) -> list[list[str]]:
    """Problem ids in the order drawn, those of one cluster together; `clusters` is id -> cluster.

    As everywhere, clusters count only where each problem has one and there are several.
    """
    together = cluster_labels(list(clusters.values())) is not None
    members: dict[str, list[str]] = {}
    for name in sorted(clusters):
        members.setdefault(clusters[name] if together else name, []).append(name)
    units = sorted(members)
    random.Random(f"order {seed}").shuffle(units)
    return [members[unit] for unit in units]


def parts(whole: ResolvedRun, files: RunFolder) -> Iterator[ResolvedRun]:
    """The run of more and more of its problems, the last of all; the first has at least those that are begun."""
    done = {problem.id for problem in whole.problems if files.generations.keys.count(problem.id)}
    units = drawn_units({problem.id: problem.cluster for problem in whole.problems}, whole.config.seed)
    step = max(LEAST, math.ceil(len(whole.problems) / LOOKS))
    names: set[str] = set()
    seen = 0
    for unit in units[:-1]:
        names.update(unit)
        if len(names) >= seen + step and names.issuperset(done):
            seen = len(names)
            yield _part(whole, names)
    yield whole


def _part(whole: ResolvedRun, names: Collection[str]) -> ResolvedRun:
    kept = [problem for problem in whole.problems if problem.id in names]
    count = f"{len(kept)} of {len(whole.problems)} problems"
    note = (
        f"{STOPPED} after {count}, in an order drawn by the seed; the same command without it"
        " goes on to the end"
    )
    header = whole.header
    return ResolvedRun(
        plan=replace(whole.plan, problems=kept),
        counts={problem.id: whole.counts[problem.id] for problem in kept},
        record=whole.record,
        header=Header(f"{header.signature} | stopped after {count}", (note, *header.notes)),
    )


def is_enough(part: ResolvedRun, folder: Path, enough: Enough) -> bool:
    """Look at the part, which is on disk, and keep that there was a look."""
    write_atomic(folder / NAME, to_json({"problems": sorted({*read(folder), len(part.problems)})}))
    return enough(folder)


def read(folder: Path) -> list[int]:
    """How many problems there were at each look; none for a run that nobody looked at before its end."""
    path = folder / NAME
    return [int(count) for count in read_json(path).get("problems", ())] if path.is_file() else []
