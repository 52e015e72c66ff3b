"""What all requests share: the judges of the tasks served, a sandbox for programs that are posted, databases."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from harness import cpu_count, sandbox
from harness.errors import ConfigError, DataError, unknown
from harness.sandbox.verdict_cache import CachingSandbox
from harness.schema import DatabaseFile, Judgement
from harness.serve.admission import Admission
from harness.serve.judge import Judge
from harness.serve.lanes import Lanes, SharedSandbox
from harness.serve.metrics import Metrics

if TYPE_CHECKING:
    from harness.config.run import JudgeConfig

Row = TypeVar("Row")


@dataclass(frozen=True)
class Work(Generic[Row]):
    """What a request asks for. `rows` does it, in a thread: one row for each of so many `samples`. `line` is a row as a
    line of JSON, `whole` the answer of all rows, None where only lines are sent; `status` is of what to count a row and
    as what, empty for one that is no verdict; `size` is about how many bytes a row holds, where that may be much.
    """

    samples: int
    rows: Callable[[], Iterator[Row]]
    line: Callable[[Row], Mapping[str, Any]]
    status: Callable[[Row], tuple[str, str]]
    whole: Callable[[Sequence[Row]], Mapping[str, Any]] | None = None
    size: Callable[[Row], int] = lambda row: 0


@dataclass
class Service:
    """`judging`: how programs are run that no task says anything of. `shows_errors`: verdicts by name say why."""

    judges: Mapping[str, Judge]
    lanes: Lanes
    admission: Admission
    judging: "JudgeConfig"
    shows_errors: bool = False
    metrics: Metrics = field(init=False)
    _lock: Lock = field(default_factory=Lock)
    _caching: CachingSandbox | None = None

    def __post_init__(self) -> None:
        lanes, admission = self.lanes, self.admission
        self.metrics = Metrics(
            {
                "workers": ("Workers of the sandbox.", lambda: lanes.workers),
                "jobs_waiting": ("Programs and queries that no worker has begun.", lambda: lanes.waiting),
                "jobs_judged": ("Programs and queries judged since the start.", lambda: lanes.judged),
                "jobs_reused": ("Programs whose verdict an equal one had.", lambda: self.reused),
                "samples": ("Samples whose requests are being answered.", lambda: admission.samples),
                "requests": ("Requests that are being answered.", lambda: admission.requests),
                "body_bytes": ("Bytes of the bodies of these requests.", lambda: admission.bytes),
            }
        )

    def close(self) -> None:
        """Begun programs are finished, everything else is given up."""
        self.lanes.close()
        for judge in self.judges.values():
            judge.close()
        if self._caching is not None:
            self._caching.__exit__()

    @property
    def reused(self) -> int:
        own = self._caching.reused if self._caching is not None else 0
        return own + sum(judge.reused for judge in self.judges.values())

    def find(self, name: str) -> Judge:
        """The judge of a task; of the only one there is where none is named. Raises DataError."""
        if not name and len(self.judges) == 1:
            return next(iter(self.judges.values()))
        if name not in self.judges:
            raise DataError(unknown("task", name, self.judges))
        return self.judges[name]

    def told(self, judgement: Judgement) -> Judgement:
        """What the asker is told of a verdict on a task's problem. What went wrong can quote the tests, and a program
        could be written to raise what it is called with.
        """
        if self.shows_errors or judgement.status == "fault":
            return judgement
        return judgement.model_copy(update={"error": ""})

    # ------------------------------------------------------------ programs that are posted

    @cached_property
    def settings(self) -> sandbox.Settings:
        """Of the sandbox for posted programs."""
        from harness.runs import judge

        return replace(judge.settings(self.judging, None), workers=None)

    @property
    def caching(self) -> CachingSandbox:
        """The sandbox for programs that are posted with their tests. Its verdicts are remembered, and in no file: what
        posted tests say of a program is for nobody else.
        """
        from harness.runs.judge import caching

        with self._lock:
            if self._caching is None:
                self._caching = caching(self.uncached, self.settings, None)
            return self._caching

    @property
    def uncached(self) -> SharedSandbox:
        return SharedSandbox(self.lanes, self.settings, "posted")

    def asked(self, settings: sandbox.Settings) -> SharedSandbox:
        """The sandbox that a run elsewhere asks for, without a cache: such a run has its own. Raises ConfigError."""
        here = self.settings.isolation
        if settings.isolation == "process" and here != "process":
            raise ConfigError("this service isolates programs: leave --sandbox process out")
        isolation = here if here != "auto" else settings.isolation
        if here != "auto" and settings.isolation not in ("auto", here):
            raise ConfigError(f"this service isolates by {here}, and the run asks for {settings.isolation}")
        own = self.settings
        used = replace(settings, isolation=isolation, python=own.python, stall_s=own.stall_s, workers=None)
        return SharedSandbox(self.lanes, used, "posted")

    # ------------------------------------------------------------ databases

    @cached_property
    def _databases(self) -> Mapping[str, DatabaseFile]:
        problems = (problem for judge in self.judges.values() for problem in judge.plan.problems)
        checks = (problem.check for problem in problems)
        return {file.sha256: file for check in checks if check.kind == "query" for file in check.files}

    def database(self, sha256: str) -> DatabaseFile:
        """The file with this digest among those of the tasks. Raises ConfigError."""
        if sha256 not in self._databases:
            raise ConfigError(
                f"no database with the digest {sha256[:12]} here: start the service with the task, and the same files"
            )
        return self._databases[sha256]


def open_service(
    tasks: Sequence[str], plain: Mapping[str, Any], admission: Admission, shows_errors: bool = False
) -> Service:
    """A service of these tasks. `plain`: the config that they share, as a table. Raises UserError."""
    from harness.config import load
    from harness.config.run import JudgeConfig

    judging = load.checked(JudgeConfig, plain.get("judge", {}), "judge")
    settings = {key: value for key, value in plain.items() if key != "cache"}
    lanes = Lanes(judging.workers or cpu_count.available())
    judges: dict[str, Judge] = {}
    for task in tasks:
        judge = Judge(task, cache=bool(plain.get("cache")), lanes=lanes, **settings)
        if judge.name in judges:
            raise ConfigError(f"two tasks are called {judge.name!r}: give each a service of its own")
        judges[judge.name] = judge
    return Service(judges, lanes, admission, judging, shows_errors)
