"""The routes of runs on other machines (`--judge-url`): raw programs and queries, in a sandbox of the run's settings.

Their client is runs/services. Results are lines of JSON with the item's number, the last one says that it was the last.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import SandboxFault
from harness.runs.services import wire
from harness.runs.workers.tasks import PREFETCH, JudgeTask, until_deadline
from harness.schema import ExecResult, PairResult
from harness.serve import messages
from harness.serve.service import Service, Work
from harness.text.sql.databases import mounted_folders

Result = ExecResult | PairResult | SandboxFault


@dataclass(frozen=True)
class NumberedResult:
    """The result of the item with this number; None behind the last one."""

    number: int
    result: Result | None


def describe(service: Service, asked: Mapping[str, Any]) -> Work[Mapping[str, Any]]:
    """What verdicts depend on in such a sandbox, and how many workers there are."""
    shared = service.asked(wire.decode_settings(asked.get("settings")))

    def rows() -> Iterator[Mapping[str, Any]]:
        identity = service.lanes.ask(shared.settings, "identity", lambda pool: JudgeTask(pool).identity)
        yield {"identity": identity, "workers": service.lanes.workers, "version": wire.version()}

    return Work(1, rows, dict, lambda _: ("sandbox", ""))


def programs(service: Service, asked: Mapping[str, Any]) -> Work[NumberedResult]:
    shared = service.asked(wire.decode_settings(asked.get("settings")))
    items = wire.decode_programs(asked)
    for i, item in enumerate(items):
        tests_mb = item.tests.memory_mb if item.tests is not None else 0
        granted = shared.settings.granted(item.limits)
        messages.within(granted, tests_mb, f"programs {i}", messages.MOST_OF_RUNS)
    return _results(service, items, shared.map, "programs")


def queries(service: Service, asked: Mapping[str, Any]) -> Work[NumberedResult]:
    shared = service.asked(wire.decode_settings(asked.get("settings")))
    items = wire.decode_queries(asked, service.database, mounted_folders)
    for i, item in enumerate(items):
        messages.pair_within(item, f"pairs {i}")
    return _results(service, items, shared.judge_queries, "queries")


def _results(
    service: Service, items: Sequence[Any], judge: Callable[[Iterable[Any], int], Iterator[Result]], kind: str
) -> Work[NumberedResult]:
    """Those of a chunk's time, as of every worker, and no more than the queue takes; the asker has the rest judged
    wherever somebody is free.
    """
    items = items[: service.admission.limits.queue]

    def rows() -> Iterator[NumberedResult]:
        done = 0
        for result in judge(until_deadline(items), PREFETCH[kind]):
            yield NumberedResult(done, result)
            done += 1
        yield NumberedResult(done, None)

    return Work(len(items), rows, _line, lambda row: (kind, _status(row)), size=_size)


def _line(row: NumberedResult) -> Mapping[str, Any]:
    return {"done": row.number} if row.result is None else wire.result_fields(row.number, row.result)


def _status(row: NumberedResult) -> str:
    if row.result is None:
        return ""
    return "fault" if isinstance(row.result, SandboxFault) else row.result.status


def _size(row: NumberedResult) -> int:
    return len(row.result.stdout) + len(row.result.stderr) if isinstance(row.result, ExecResult) else 0
