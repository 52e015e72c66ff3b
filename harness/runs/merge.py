"""The parts of a run, made by --shard, put together: the bytes that one run would have written.

    group  : which folders are parts of which run; missing, doubled, foreign and unfinished ones are refused by name
    merge  : rows interleaved in the run's order, nothing judged and no data set read
    summary: made anew of all rows, by the code that every run's summary is made with

The result appears under its name when it is whole. It is an ordinary run folder: the command without --shard goes on
with it, to try faults again say.
"""

import filecmp
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.identity import placeless
from harness.config.run import RunConfig
from harness.errors import ConfigError, StoreFault
from harness.runs import shards
from harness.runs.resolve import Header
from harness.runs.store import folder as store
from harness.runs.store import reader
from harness.runs.store.jsonl import replace
from harness.runs.summary import summarise
from harness.schema import Summary, Task
from harness.tasks.loading import registry

FILES = ("problems.jsonl", "generations.jsonl", "likelihoods.jsonl", "judgements.jsonl")
CONSEQUENCES = ("config_hash", "prompt.hash", "shard.signature")  # they differ because something else does
HERE = ("versions", "hardware", "commit")  # may differ between parts: both values are kept


@dataclass(frozen=True)
class Part:
    """One finished or unfinished part, as its run.json describes it."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def shard(self) -> shards.Shard:
        return shards.Shard(self.record["shard"]["index"], self.record["shard"]["of"])

    @property
    def run_id(self) -> str:
        return str(self.record["shard"]["run_id"])

    @property
    def whole(self) -> dict[str, Any]:
        """What all parts of one run have in common: the record of the whole, and what its summary will say."""
        record = {k: v for k, v in self.record.items() if k not in ("run_id", "shard", *HERE)}
        about = {k: v for k, v in self.record["shard"].items() if k not in ("index", "problems", "run_id")}
        return {**record, "shard": about}


@dataclass(frozen=True)
class Member:
    """What a summary needs of a problem."""

    id: str
    group: str


@dataclass(frozen=True)
class Merged:
    """What a summary needs of a run (summary.Judged), from what the parts recorded."""

    task: Task
    config: RunConfig
    problems: Sequence[Member]
    counts: Mapping[str, int]
    header: Header


def merge(paths: Sequence[Path], out: Path | None, root: Path) -> list[tuple[Path, Summary]]:
    """Put every run together whose parts are among and below `paths`; the folders and their summaries.

    One run goes into `out`, else root/<run id>; several (a study) into folders below `out`. Raises ConfigError that
    names the folder for what is no whole set of parts, StoreFault for a damaged one; nothing is written then.
    """
    groups = grouped(paths)
    for parts in groups:
        for part in parts:
            _finished(part)
    done = []
    for parts in groups:
        own = out if out is not None and len(groups) == 1 else (out or root) / parts[0].run_id
        done.append((own, _merged(parts, own)))
    return done


# ---------------------------------------------------------------- which parts belong together


def grouped(paths: Sequence[Path]) -> list[list[Part]]:
    """The parts of each run in their order. Folders given by name must be parts of one run."""
    named = [path.resolve() for path in paths]
    for path in paths:
        if named.count(path.resolve()) > 1:
            raise ConfigError(f"{path} is given twice: each part goes into the run once")
    folders = reader.find(paths)
    found = [Part(folder, record) for folder in folders if "shard" in (record := _record(folder))]
    for folder in folders:
        if folder.resolve() in named and folder not in [part.folder for part in found]:
            raise ConfigError(f"{folder} is a whole run, no part of one: give folders that --shard has made")
    if not found:
        raise ConfigError(f"no part of a run below {', '.join(map(str, paths))}: --shard I/N makes them")
    runs: dict[str, list[Part]] = {}
    for part in found:
        runs.setdefault(part.run_id, []).append(part)
    together = [part for part in found if part.folder.resolve() in named]
    for part in together[1:]:
        _same(together[0], part)
    return [_complete(parts, found) for parts in runs.values()]


def _record(folder: Path) -> dict[str, Any]:
    return store.read_json(folder / "run.json")


def _same(first: Part, other: Part) -> None:
    """Raises ConfigError, naming what differs, where two are not parts of one run."""
    differing = list(store.differences(placeless(first.whole), placeless(other.whole)))
    if differing:
        causes = [each for each in differing if each[0] not in CONSEQUENCES] or differing
        name, one, two = causes[0]
        more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
        raise ConfigError(
            f"{other.folder} is a part of another run than {first.folder}: {name}: {two!r}, not {one!r}{more}"
        )


def _complete(parts: Sequence[Part], found: Sequence[Part]) -> list[Part]:
    """All N parts, in order. Raises ConfigError naming those that are missing or there twice."""
    by_shard: dict[shards.Shard, Part] = {}
    for part in parts:
        _same(parts[0], part)
        if (there := by_shard.setdefault(part.shard, part)) is not part:
            raise ConfigError(f"shard {part.shard} is there twice: {there.folder} and {part.folder}")
    every = [shards.Shard(i, parts[0].shard.of) for i in range(parts[0].shard.of)]
    if missing := [shard for shard in every if shard not in by_shard]:
        for other in found:  # perhaps it was made, and judged otherwise
            if other.shard == missing[0] and other.record["config"] == parts[0].record["config"]:
                _same(parts[0], other)
        names = ", ".join(map(str, missing))
        raise ConfigError(
            f"{parts[0].run_id}: shard {names} of it is missing: run its command with --shard {missing[0]}, or"
            " give its folder too"
        )
    return [by_shard[shard] for shard in every]


def _finished(part: Part) -> None:
    """Raises ConfigError for a part that was cut off or is still at work."""
    try:
        _, summary = store.read_run(part.folder)
    except ConfigError:
        summary = {"samples": -1, "status_counts": {}}
    rows = {
        "generations.jsonl": summary["samples"],
        "judgements.jsonl": sum(summary["status_counts"].values()),
    }
    for name, count in rows.items():
        path = part.folder / name
        if not path.is_file() or _lines(path) != count:
            raise ConfigError(f"{part.folder}: shard {part.shard} is not finished: run its command again")


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


# ---------------------------------------------------------------- putting them together


def _merged(parts: Sequence[Part], out: Path) -> Summary:
    """Make the whole beside `out` and move it there; a folder that holds the very same already is left as it is."""
    made = out.with_name(f".{out.name}.merging")
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be made: {error.strerror}") from None
    try:
        for name in FILES:
            if (parts[0].folder / name).is_file():
                replace(made / name, _interleaved(parts, name))
        record = _record_of(parts)
        store.write_atomic(made / "run.json", store.pretty(record))
        _timings(parts, made / "timings.jsonl")
        summary = _summarised(parts, made, record)
        _move(made, out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return summary


def _interleaved(parts: Sequence[Part], name: str) -> Iterator[bytes]:
    """The lines of one file of all parts, in the order of the whole's problems."""
    with ExitStack() as stack:
        rows = [
            _by_problem(stack.enter_context((part.folder / name).open("rb")), part, name) for part in parts
        ]
        orders = [[member.id for member in _members(part)] for part in parts]
        for at in range(sum(map(len, orders))):
            number, place = at % len(parts), at // len(parts)
            yield from rows[number](orders[number][place])
        for part, left in zip(parts, rows, strict=True):
            if more := next(left(None), None):
                raise StoreFault(
                    f"{part.folder / name}: a row of a problem that is not its own, or out of order:"
                    f" {more[:80].decode(errors='replace')}; run its command again"
                )


def _by_problem(lines: Iterator[bytes], part: Part, name: str) -> Any:
    """A function that gives the lines of one problem, which are the next ones; of None, all that are left."""
    waiting: list[bytes] = []

    def of(problem_id: str | None) -> Iterator[bytes]:
        while line := waiting.pop() if waiting else next(lines, b""):
            if problem_id is not None and _problem(line, part, name) != problem_id:
                waiting.append(line)
                return
            yield line

    return of


def _problem(line: bytes, part: Part, name: str) -> str:
    try:
        found = json.loads(line)["problem_id"]
    except (ValueError, KeyError, TypeError):
        raise StoreFault(f"{part.folder / name}: damaged row: {line[:80]!r}; run its command again") from None
    return str(found)


def _members(part: Part) -> list[Member]:
    """The part's problems. Raises StoreFault where they are not as many as its record says."""
    found = [Member(row["problem_id"], row["group"]) for row in reader.problems(part.folder)]
    if len(found) != part.record["shard"]["problems"]:
        raise StoreFault(f"{part.folder / 'problems.jsonl'} is not whole; run its command again")
    return found


def _record_of(parts: Sequence[Part]) -> dict[str, Any]:
    """run.json of the whole: what identifies the run as in each part, where it was made from all of them."""
    record = {name: value for name, value in parts[0].record.items() if name != "shard"}
    record["run_id"] = parts[0].run_id
    for name in HERE:
        record[name] = _both([part.record.get(name) for part in parts])
    return record


def _both(values: Sequence[Any]) -> Any:
    """One value where all are equal, else all of them: in a table key by key, else as "3.11 | 3.12"."""
    if all(value == values[0] for value in values):
        return values[0]
    if all(isinstance(value, dict) for value in values):
        names = dict.fromkeys(name for value in values for name in value)
        return {name: _both([value.get(name) for value in values]) for name in names}
    return " | ".join(dict.fromkeys(map(str, values)))


def _summarised(parts: Sequence[Part], made: Path, record: Mapping[str, Any]) -> Summary:
    config = reader.read_config(record)
    task = registry.with_scorers(registry.task(config.task, config.options), config.scorers)
    members = [_members(part) for part in parts]
    order = [members[at % len(parts)][at // len(parts)] for at in range(sum(map(len, members)))]
    about = parts[0].record["shard"]
    header = Header(about["signature"], tuple(about["notes"]))
    with store.open_run(made, record) as files:
        counts = {member.id: files.generations.keys.count(member.id) for member in order}
        summary = summarise(Merged(task, config, order, counts, header), files)
        files.summarise(summary)
    return summary


def _timings(parts: Sequence[Part], path: Path) -> None:
    """What each part took, one after the other; `shard` says whose a line is."""
    lines = []
    for part in parts:
        timings = part.folder / "timings.jsonl"
        for line in timings.read_text(encoding="utf-8").splitlines() if timings.is_file() else ():
            try:
                lines.append(json.dumps({**json.loads(line), "shard": part.shard.index}) + "\n")
            except ValueError:  # written without waiting for the disk: its last line may be torn
                continue
    store.write_atomic(path, "".join(lines))


def _move(made: Path, out: Path) -> None:
    """Give the whole its name. Raises ConfigError where that holds anything else."""
    if out.is_dir() and any(out.iterdir()):
        names = [name for name in (*FILES, "summary.json") if (made / name).is_file()]
        _, different, unreadable = filecmp.cmpfiles(made, out, names, shallow=False)
        if different or unreadable:
            raise ConfigError(f"{out} is not empty and does not hold this very run: choose another --out")
        return
    if out.is_dir():
        out.rmdir()
    try:
        made.rename(out)
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be made: {error.strerror}") from None
