"""The shards of a run merged: the bytes that one run would have written.

    group     which folders are shards of which run; missing, repeated, foreign and unfinished ones are refused by name
    merge     rows interleaved in the run's order; nothing is judged and no data set is read
    summarise all rows, with the code that makes every run's summary

The result gets its name when it is complete. It is an ordinary run folder: the command without --shard resumes it, to
retry faults for example.
"""

import filecmp
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.identity import placeless
from harness.config.run import RunConfig
from harness.errors import ConfigError, StoreFault
from harness.runs.resolve import Header
from harness.runs.shards import Shard
from harness.runs.store import reader
from harness.runs.store.atomic import replace_file, to_json, write_atomic
from harness.runs.store.run_folder import differences, open_run, read_json, read_run
from harness.runs.summary import summarise
from harness.schema import Summary, Task
from harness.tasks.loading import registry

FILES = ("problems.jsonl", "generations.jsonl", "likelihoods.jsonl", "judgements.jsonl")
DERIVED = ("config_hash", "prompt.hash", "shard.signature")  # fields that differ because another one does
OF_MACHINE = ("versions", "hardware", "commit")  # fields that may differ between shards: all values are kept


@dataclass(frozen=True)
class ShardRun:
    """The run of one shard, finished or not, as its run.json describes it."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def shard(self) -> Shard:
        return Shard(self.record["shard"]["index"], self.record["shard"]["of"])

    @property
    def run_id(self) -> str:
        """Of the whole run."""
        return str(self.record["shard"]["run_id"])

    @property
    def common(self) -> dict[str, Any]:
        """What all shards of a run have in common: the record of the whole, and what its summary will say."""
        record = {k: v for k, v in self.record.items() if k not in ("run_id", "shard", *OF_MACHINE)}
        about = {k: v for k, v in self.record["shard"].items() if k not in ("index", "problems", "run_id")}
        return {**record, "shard": about}


@dataclass(frozen=True)
class MergedProblem:
    """What a summary needs of a problem."""

    id: str
    group: str
    cluster: str


@dataclass(frozen=True)
class MergedRun:
    """What a summary needs of a run (summary.Judged), from what the shards recorded."""

    task: Task
    config: RunConfig
    problems: Sequence[MergedProblem]
    counts: Mapping[str, int]
    header: Header


def merge(paths: Sequence[Path], out: Path | None, root: Path) -> list[tuple[Path, Summary]]:
    """Merge every run whose shards are among and below `paths`; the folders and their summaries.

    One run goes into `out`, else root/<run id>; several (a study) into folders below `out`. Raises ConfigError that
    names the folder where shards are missing or do not belong together, StoreFault for a damaged one; then nothing is
    written.
    """
    groups = group_shards(paths)
    for runs in groups:
        for run in runs:
            _check_finished(run)
    done = []
    for runs in groups:
        folder = out if out is not None and len(groups) == 1 else (out or root) / runs[0].run_id
        done.append((folder, _merge_run(runs, folder)))
    return done


# ---------------------------------------------------------------- which shards belong together


def group_shards(paths: Sequence[Path]) -> list[list[ShardRun]]:
    """The shards of each run in their order. Folders given by name must be shards of one run."""
    named = [path.resolve() for path in paths]
    for path in paths:
        if named.count(path.resolve()) > 1:
            raise ConfigError(f"{path} is given twice: give each shard once")
    found = _find(paths)
    by_run: dict[str, list[ShardRun]] = {}
    for run in found:
        by_run.setdefault(run.run_id, []).append(run)
    given = [run for run in found if run.folder.resolve() in named]
    for run in given[1:]:
        _check_same_run(given[0], run)
    return [_complete(runs, found) for runs in by_run.values()]


def _find(paths: Sequence[Path]) -> list[ShardRun]:
    """The shards among and below `paths`. Raises ConfigError for a path that is another run, or when there is none."""
    found = []
    named = [path.resolve() for path in paths]
    for folder in reader.find_runs(paths):
        record = read_json(folder / "run.json")
        if "shard" in record:
            found.append(ShardRun(folder, record))
        elif folder.resolve() in named:
            raise ConfigError(f"{folder} is a whole run, not a shard: give folders made with --shard")
    if not found:
        raise ConfigError(f"no shard in or below {', '.join(map(str, paths))}: make them with --shard I/N")
    return found


def _check_same_run(first: ShardRun, other: ShardRun) -> None:
    """Raises ConfigError, naming what differs, where two are not shards of one run."""
    differing = list(differences(placeless(first.common), placeless(other.common)))
    if differing:
        causes = [each for each in differing if each[0] not in DERIVED] or differing
        name, one, two = causes[0]
        more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
        raise ConfigError(
            f"{other.folder} is a shard of another run than {first.folder}: {name}: {two!r}, not {one!r}{more}"
        )


def _complete(runs: Sequence[ShardRun], found: Sequence[ShardRun]) -> list[ShardRun]:
    """All N shards, in order. Raises ConfigError naming those that are missing or occur twice."""
    by_shard: dict[Shard, ShardRun] = {}
    for run in runs:
        _check_same_run(runs[0], run)
        if (other := by_shard.setdefault(run.shard, run)) is not run:
            raise ConfigError(f"shard {run.shard} occurs twice: {other.folder} and {run.folder}")
    shards = [Shard(index, runs[0].shard.of) for index in range(runs[0].shard.of)]
    if missing := [shard for shard in shards if shard not in by_shard]:
        for other in found:  # perhaps it was made, with other settings of the judge
            if other.shard == missing[0] and other.record["config"] == runs[0].record["config"]:
                _check_same_run(runs[0], other)
        names = ", ".join(map(str, missing))
        raise ConfigError(
            f"{runs[0].run_id}: missing {'shard' if len(missing) == 1 else 'shards'} {names}: run its command with"
            f" --shard {missing[0]}, or give its folder too"
        )
    return [by_shard[shard] for shard in shards]


def _check_finished(run: ShardRun) -> None:
    """Raises ConfigError for a shard that was interrupted or is still running."""
    try:
        _, summary = read_run(run.folder)
    except ConfigError:
        summary = {"missing": 1}
    if summary.get("missing"):
        raise ConfigError(f"{run.folder}: shard {run.shard} is not finished: rerun its command")
    rows = {
        "generations.jsonl": summary["samples"],
        "judgements.jsonl": sum(summary["status_counts"].values()),
    }
    for name, count in rows.items():
        path = run.folder / name
        if not path.is_file() or _count_lines(path) != count:
            raise ConfigError(f"{run.folder}: shard {run.shard} is not finished: rerun its command")


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


# ---------------------------------------------------------------- merging


def _merge_run(runs: Sequence[ShardRun], out: Path) -> Summary:
    """Make the whole beside `out` and move it there; a folder that already holds the same run is left as it is."""
    made = out.with_name(f".{out.name}.merging")
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be created: {error.strerror}") from None
    try:
        for name in FILES:
            if (runs[0].folder / name).is_file():
                replace_file(made / name, _interleave(runs, name))
        record = _merge_records(runs)
        write_atomic(made / "run.json", to_json(record))
        _write_timings(runs, made / "timings.jsonl")
        summary = _summarise(runs, made, record)
        _move(made, out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return summary


def _interleave(runs: Sequence[ShardRun], name: str) -> Iterator[bytes]:
    """The lines of one file of all shards, in the order of the whole's problems."""
    with ExitStack() as stack:
        lines_of = [
            _by_problem(stack.enter_context((run.folder / name).open("rb")), run.folder / name)
            for run in runs
        ]
        ids = [[problem.id for problem in _problems(run)] for run in runs]
        for position in range(sum(map(len, ids))):
            number, row = position % len(runs), position // len(runs)
            yield from lines_of[number](ids[number][row])
        for run, rest in zip(runs, lines_of, strict=True):
            if line := next(rest(None), None):
                raise StoreFault(
                    f"{run.folder / name}: a row that is out of order or of another shard's problem:"
                    f" {line[:80].decode(errors='replace')}; rerun its command"
                )


def _by_problem(lines: Iterator[bytes], path: Path) -> Callable[[str | None], Iterator[bytes]]:
    """A function that gives the lines of one problem, which must be the next ones; of None, all that are left."""
    pushed_back: list[bytes] = []

    def lines_of(problem_id: str | None) -> Iterator[bytes]:
        while line := pushed_back.pop() if pushed_back else next(lines, b""):
            if problem_id is not None and _problem_id(line, path) != problem_id:
                pushed_back.append(line)
                return
            yield line

    return lines_of


def _problem_id(line: bytes, path: Path) -> str:
    try:
        found = json.loads(line)["problem_id"]
    except (ValueError, KeyError, TypeError):
        raise StoreFault(f"{path}: damaged row: {line[:80]!r}; rerun its command") from None
    return str(found)


def _problems(run: ShardRun) -> list[MergedProblem]:
    """The shard's problems. Raises StoreFault where their number is not what its record says."""
    found = [
        MergedProblem(row["problem_id"], row["group"], row.get("cluster", ""))
        for row in reader.problems(run.folder)
    ]
    if len(found) != run.record["shard"]["problems"]:
        raise StoreFault(f"{run.folder / 'problems.jsonl'} is incomplete; rerun its command")
    return found


def _merge_records(runs: Sequence[ShardRun]) -> dict[str, Any]:
    """run.json of the whole: what identifies the run from any shard, what describes machines from all of them."""
    record = {name: value for name, value in runs[0].record.items() if name != "shard"}
    record["run_id"] = runs[0].run_id
    for name in OF_MACHINE:
        record[name] = _join_values([run.record.get(name) for run in runs])
    return record


def _join_values(values: Sequence[Any]) -> Any:
    """One value where all are equal, else all of them: tables key by key, other values as "3.11 | 3.12"."""
    if all(value == values[0] for value in values):
        return values[0]
    if all(isinstance(value, dict) for value in values):
        names = dict.fromkeys(name for value in values for name in value)
        return {name: _join_values([value.get(name) for value in values]) for name in names}
    return " | ".join(dict.fromkeys(map(str, values)))


def _summarise(runs: Sequence[ShardRun], made: Path, record: Mapping[str, Any]) -> Summary:
    config = reader.read_config(record)
    task = registry.with_scorers(registry.task(config.task, config.options), config.scorers)
    by_shard = [_problems(run) for run in runs]
    order = [by_shard[at % len(runs)][at // len(runs)] for at in range(sum(map(len, by_shard)))]
    about = runs[0].record["shard"]
    header = Header(about["signature"], tuple(about["notes"]))
    with open_run(made, record) as files:
        counts = {problem.id: files.generations.keys.count(problem.id) for problem in order}
        summary = summarise(MergedRun(task, config, order, counts, header), files)
        files.write_summary(summary)
    return summary


def _write_timings(runs: Sequence[ShardRun], path: Path) -> None:
    """The timings of each shard, one shard after the other; `shard` says which one a line is of."""
    lines = []
    for run in runs:
        timings = run.folder / "timings.jsonl"
        for line in timings.read_text(encoding="utf-8").splitlines() if timings.is_file() else ():
            try:
                lines.append(json.dumps({**json.loads(line), "shard": run.shard.index}) + "\n")
            except ValueError:  # written without fsync: its last line may be torn
                continue
    write_atomic(path, "".join(lines))


def _move(made: Path, out: Path) -> None:
    """Give the whole its name. Raises ConfigError where that holds anything else."""
    if out.is_dir() and any(out.iterdir()):
        names = [name for name in (*FILES, "summary.json") if (made / name).is_file()]
        _, different, unreadable = filecmp.cmpfiles(made, out, names, shallow=False)
        if different or unreadable:
            raise ConfigError(f"{out} is not empty and does not hold this run: choose another --out")
        return
    if out.is_dir():
        out.rmdir()
    try:
        made.rename(out)
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be created: {error.strerror}") from None
