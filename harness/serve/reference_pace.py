"""Time limits that follow the references (`judge.time_factor`), for a judge that any number of threads ask.

A run measures its references before it judges. Here each is measured when its problem is first asked for, and once: so
a service starts at once, and equal programs keep their verdict as long as it lives.
"""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from harness.runs.judge import with_reference_times
from harness.schema import Problem, Sandbox, Scorer, Task


@dataclass(frozen=True)
class ReferencePace:
    """`problems` by id: those measured have `factor` times their references' CPU time, where the task gives less."""

    task: Task
    scorer: Scorer
    problems: dict[str, Problem]
    factor: float
    sandbox: Sandbox
    _measured: "dict[str, Future[None]]" = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def measure(self, names: Iterable[str]) -> None:
        """Wait until these problems are measured: by this thread, or by those that asked before. Raises Fault; who asks
        next then tries again.
        """
        with self._lock:
            wanted = {name: self._measured.get(name) for name in names}
            mine = {name: Future[None]() for name, found in wanted.items() if found is None}
            self._measured.update(mine)
        if mine:
            self._measure(mine)
        for theirs in filter(None, wanted.values()):
            theirs.result()

    def _measure(self, mine: "dict[str, Future[None]]") -> None:
        given = [self.problems[name] for name in mine]
        try:
            paced = with_reference_times(self.task, self.scorer, given, self.factor, self.sandbox)
        except BaseException as error:
            with self._lock:
                for name in mine:
                    del self._measured[name]
            for each in mine.values():
                each.set_exception(error)
            raise
        self.problems.update((problem.id, problem) for problem in paced.problems)
        for each in mine.values():
            each.set_result(None)
