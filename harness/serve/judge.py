"""`harness.Judge`: a task's verdicts in this process, without a run: for trainers, notebooks, and the service.

    with harness.Judge("humaneval", data="DATA") as judge:
        judge.verdicts([("HumanEval/0", completion), ...])      # a Judgement each, as a run would write it
        judge.rewards(ids, completions)                         # floats; None where the judge itself failed

Any number of threads may use one, and each method has an asynchronous twin.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from harness import api, cpu_count
from harness.errors import ConfigError, DataError, UserError, one_line_errors, unknown
from harness.serve import stream
from harness.serve.lanes import Lanes, SharedSandbox
from harness.serve.reference_pace import ReferencePace

if TYPE_CHECKING:
    from harness.runs.plan import Plan
    from harness.sandbox.verdict_cache import CachingSandbox
    from harness.schema import Completion, Generation, Judgement, Sandbox, Scorer

    Given = tuple[str, str | Completion]

Reward = float | None


class Judge:
    """Judges completions of one task. A context manager: its sandbox starts with the first program, and ends with it.

    `task` is a benchmark's name, a task file or a config file; `settings` are keys of a run's config: `data`, `split`,
    `limit`, `extract`, `scorers`, `options`, `workers`, `time_limit`, `memory_mb`, ... `cache=False` takes no verdict
    from earlier ones. `lanes`: of other judges that share the machine. Raises HarnessError.

    A completion is raw model output, in which the answer is looked for, or a `harness.Completion` that says otherwise.
    `scorer` names one of the task's, by default its first.
    """

    def __init__(
        self, task: str | Path, *, cache: bool = True, lanes: Lanes | None = None, **settings: Any
    ) -> None:
        from harness.config import load
        from harness.runs import judge, plan

        with one_line_errors():
            plain = api.plain_config(task, settings, cache)
            # Nothing is generated, so what a config says of a model is of no account.
            plain["backend"] = {"kind": "replay", "path": "none"}
            for key in ("sampling", "shots"):
                plain.pop(key, None)
            if "matrix" in plain:
                raise ConfigError(
                    f"harness.Judge: {task} has a [matrix]: name one task, or a config of one run"
                )
            config = load.parse(plain, "harness.Judge")
            self.plan: Plan = plan.make_plan(config)
        self.problems = {problem.id: problem for problem in self.plan.problems}
        self.settings = replace(judge.settings(config.judge, self.plan.task), workers=None)
        self._own = lanes is None
        self.lanes = lanes or Lanes(config.judge.workers or cpu_count.available())
        self._lock = Lock()
        self._paces: dict[str, ReferencePace] = {}
        self._cache: CachingSandbox | None = None

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._own:
            self.lanes.close()
        if self._cache is not None:
            self._cache.__exit__()

    @property
    def name(self) -> str:
        return self.plan.task.name

    @property
    def reused(self) -> int:
        """How many programs were not judged because an equal one had been."""
        return self._cache.reused if self._cache is not None else 0

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """Who judges, as a run's run.json has it; None in it for a task that runs nothing."""
        from harness.runs import resolve

        task, config = self.plan.task, self.plan.config
        executes = any(scorer.executes for scorer in task.scorers)
        used = resolve.languages(self.plan.problems)
        return {
            "task": task.name,
            "version": task.version,
            "problems": len(self.problems),
            "data": dict(self.plan.data),
            "extractor": task.extract.__name__,
            "scorers": [scorer.name for scorer in self.scorers],
            "judge": resolve.judge_record(config.judge, self._shared, used) if executes else None,
        }

    @cached_property
    def scorers(self) -> "Sequence[Scorer]":
        """Those that judge one answer by itself."""
        return [each for each in self.plan.task.scorers if not each.needs and not each.together]

    # ------------------------------------------------------------ verdicts

    def verdict(self, problem: str, completion: "str | Completion", scorer: str = "") -> "Judgement":
        return self.verdicts([(problem, completion)], scorer)[0]

    def verdicts(self, samples: "Iterable[Given]", scorer: str = "") -> "list[Judgement]":
        """The verdict on each (problem id, completion), in order. Several of one problem are its samples 0, 1, ..."""
        samples = list(samples)
        for problem, _ in samples:
            self.check(problem)
        chosen = self.scorer(scorer)
        if (pace := self._pace(chosen)) is not None:
            pace.measure([problem for problem, _ in samples])  # together, not as each is drawn
        return list(self.stream(samples, scorer))

    def stream(self, samples: "Iterable[Given]", scorer: str = "") -> "Iterator[Judgement]":
        """The same, each as soon as it and those before it are there. Samples are drawn some way ahead."""
        from harness.runs.judge import judge_samples

        chosen = self.scorer(scorer)
        pace, sandbox = self._pace(chosen), self._sandbox(chosen)
        problems = self.problems if pace is None else pace.problems
        for judgement, _ in judge_samples(
            self.plan.task, chosen, problems, self._generations(samples, pace), sandbox
        ):
            yield judgement

    def rewards(
        self, problems: Sequence[str], completions: "Sequence[str | Completion]", scorer: str = ""
    ) -> list[Reward]:
        """The score of each completion: 1 and 0 for tests passed or not. None where the judge failed: no reward."""
        return [None if row is None else row[0] for row in self.reward_vectors(problems, completions, scorer)]

    def reward_vectors(
        self, problems: Sequence[str], completions: "Sequence[str | Completion]", scorer: str = ""
    ) -> list[tuple[float, ...] | None]:
        """The score and what the scorer counts beside it: of io_cases the share of cases passed (Score.stats)."""
        same_number(problems, completions)
        judged = self.verdicts(zip(problems, completions, strict=True), scorer)
        return [None if (score := each.score) is None else (score.value, *score.stats) for each in judged]

    # ------------------------------------------------------------ the same, awaited

    async def verdicts_async(self, samples: "Iterable[Given]", scorer: str = "") -> "list[Judgement]":
        given = list(samples)
        return await stream.result(lambda: self.verdicts(given, scorer))

    async def rewards_async(
        self, problems: Sequence[str], completions: "Sequence[str | Completion]", scorer: str = ""
    ) -> list[Reward]:
        return await stream.result(lambda: self.rewards(problems, completions, scorer))

    async def stream_async(self, samples: "Iterable[Given]", scorer: str = "") -> "AsyncIterator[Judgement]":
        async for some in stream.batches(lambda: self.stream(samples, scorer)):
            for judgement in some:
                yield judgement

    # ------------------------------------------------------------ parts

    def check(self, problem: str) -> None:
        """Raises DataError for an id that the task does not have."""
        if problem not in self.problems:
            raise DataError(f"{self.name}: {unknown('problem', problem, self.problems)}")

    def scorer(self, name: str) -> "Scorer":
        """Raises ConfigError for one that there is not, or that judges more than one answer."""
        known = {scorer.name: scorer for scorer in self.scorers}
        if name in known or (not name and known):
            return known[name] if name else self.scorers[0]
        if name in {scorer.name for scorer in self.plan.task.scorers}:
            raise ConfigError(
                f"scorer {name!r} judges a run's samples together, or needs a model: it is for runs"
            )
        raise ConfigError(f"{self.name}: {unknown('scorer', name, known)}")

    @property
    def _shared(self) -> SharedSandbox:
        return SharedSandbox(self.lanes, self.settings)

    def _pace(self, scorer: "Scorer") -> ReferencePace | None:
        """The problems with the time limits that their references ask for, where the config wants that."""
        factor = self.plan.config.judge.time_factor
        if factor is None or not scorer.executes:
            return None
        with self._lock:
            if scorer.name not in self._paces:
                task, shared = self.plan.task, self._shared
                self._paces[scorer.name] = ReferencePace(task, scorer, dict(self.problems), factor, shared)
            return self._paces[scorer.name]

    def _sandbox(self, scorer: "Scorer") -> "Sandbox":
        """With the verdict cache before it, where the scorer allows that."""
        if not scorer.executes or not scorer.cacheable:
            return self._shared
        from harness.runs.judge import caching

        with self._lock:
            if self._cache is None:
                self._cache = caching(self._shared, self.settings, self.plan.config.verdict_cache)
            return self._cache

    def _generations(self, samples: "Iterable[Given]", pace: ReferencePace | None) -> "Iterator[Generation]":
        from harness.schema import Completion, Generation
        from harness.text.completion_parts import separate

        counts: Counter[str] = Counter()
        for problem, completion in samples:
            self.check(problem)
            if pace is not None:
                pace.measure([problem])
            made = Completion(text=completion) if isinstance(completion, str) else completion
            index = counts[problem]
            counts[problem] += 1
            yield Generation(problem_id=problem, index=index, prompt_sha="", completion=separate(made))


def same_number(problems: Sequence[str], completions: "Sequence[str | Completion]") -> None:
    if len(problems) != len(completions):
        raise UserError(f"{len(problems)} problems and {len(completions)} completions: one for each")
