"""Evaluate code language models: generate completions, judge them in a sandbox, summarise with intervals.

    run = harness.run("humaneval", model="MODEL", samples=10, temperature=0.8, data="DATA")
    run.metrics, run.samples, run.compare(other)

Start with `harness/runs/run.py`; the flow of data and the layers are drawn in docs/. The names below are imported when
they are first used, so that `import harness` costs nothing.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from harness.api import load_run, load_runs, run, run_study, score, train
    from harness.errors import HarnessError
    from harness.results.frames import Run, Runs, compare
    from harness.schema import (
        Backend,
        Card,
        Completion,
        DataFile,
        Generation,
        HubFile,
        IOCase,
        IOCases,
        Limits,
        Problem,
        Prompt,
        Query,
        Reduce,
        Reference,
        Request,
        Sampling,
        Score,
        Scorer,
        Shot,
        Source,
        Split,
        Task,
        Template,
        UnitTests,
        Verdict,
    )
    from harness.scorers.per_answer import PerAnswer
    from harness.serve.judge import Judge
    from harness.stats.estimates import mean_of

# Where the names above are looked for, cheapest first.
_MODULES = (
    "harness.errors",
    "harness.schema",
    "harness.api",
    "harness.results.frames",
    "harness.scorers.per_answer",
    "harness.stats.estimates",
    "harness.serve.judge",
)

__all__ = [
    "Backend",
    "Card",
    "Completion",
    "DataFile",
    "Generation",
    "HarnessError",
    "HubFile",
    "IOCase",
    "IOCases",
    "Judge",
    "Limits",
    "PerAnswer",
    "Problem",
    "Prompt",
    "Query",
    "Reduce",
    "Reference",
    "Request",
    "Run",
    "Runs",
    "Sampling",
    "Score",
    "Scorer",
    "Shot",
    "Source",
    "Split",
    "Task",
    "Template",
    "UnitTests",
    "Verdict",
    "compare",
    "load_run",
    "load_runs",
    "mean_of",
    "run",
    "run_study",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        for module in _MODULES:
            if (found := getattr(import_module(module), name, None)) is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module 'harness' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
