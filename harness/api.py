"""The Python interface: run, score, train, and finished runs as data frames. `import harness` offers it.

    run = harness.run("humaneval", model="MODEL", samples=10, temperature=0.8)
    run.metrics                      # metric | value low high n k
    run.samples                      # a row a sample: prompt, completion, answer, verdicts
    run.compare(other)               # paired differences with intervals and p-values

Every function takes the keys of a run's config by name, and whole tables as mappings: `judge={"workers": 4}`. What is
the user's mistake is a HarnessError with one line. Nothing prints but the progress bar.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, DataError, HarnessError, one_line_errors, unknown

if TYPE_CHECKING:
    from harness.config.run import RunConfig
    from harness.results.frames import Run, Runs
    from harness.runs.plan import Progress
    from harness.runs.run import Executor

Settings = Mapping[str, Any]


# ---------------------------------------------------------------- doing


def run(
    task: str | Path,
    *,
    model: str | Path = "",
    out: str | Path | None = None,
    progress: bool | None = None,
    cache: bool = True,
    judge_url: str | Sequence[str] = (),
    **settings: Any,
) -> "Run":
    """Generate, judge and summarise; the finished run. The same call again resumes what was interrupted.

    `task` is a benchmark's name, a task file (`mine.py`, `mine.toml`), or a config file (`run.toml`), whose keys
    `settings` override. `settings` are keys of the config: `samples`, `temperature`, `shots`, `adapter`, `data`, ...
    `out` is the run's own folder, by default one below results/runs. `progress`: a bar where somebody can see one,
    unless told. `cache=False` reuses no completion and no verdict of earlier runs. `judge_url`: of one or several
    `harness serve` at which programs are run, and not here. Raises HarnessError.
    """
    from harness.results.frames import Run
    from harness.runs import run as runs

    with one_line_errors():
        config = _config(task, model, settings, cache)
        with _progress(progress) as step:
            folder, _ = runs.run(config, _folder(out), step, executor=_executor(judge_url))
    return Run(folder)


def run_study(
    config: str | Path | Settings,
    *,
    out: str | Path | None = None,
    progress: bool | None = None,
    cache: bool = True,
    judge_url: str | Sequence[str] = (),
    **settings: Any,
) -> "Runs":
    """Run every cell of a config with a [matrix], or of a suite (`suite:NAME`), below `out`; the finished runs in the
    order of the cells.

    Raises HarnessError, also where cells failed: the others are on disk, and the same call does what is missing.
    """
    from harness.config import grid, suites
    from harness.results.frames import Run, Runs
    from harness.runs import run as runs
    from harness.runs import study

    with one_line_errors():
        if str(config).startswith(suites.PREFIX):
            config = {"task": str(config)}
        plain = suites.expand(_plain(config, settings, cache))
        plain = {key: value for key, value in plain.items() if key not in ("suite", "report")}
        cells = grid.expand(plain, str(config) if isinstance(config, str | Path) else "harness.run_study")
        with _progress(progress) as step:
            study.check(cells, step)
            outcome = study.run(cells, _folder(out) or runs.RUNS, step, executor=_executor(judge_url))
    if outcome.failed:
        why = "; ".join(f"{cell.label}: {error}" for cell, error in outcome.failed)
        raise HarnessError(f"{len(outcome.failed)} of {len(cells)} cells failed: {why}")
    return Runs(Run(folder) for _, folder, _ in outcome.done)


def score(
    task: str | Path,
    completions: str | Path | Iterable[Mapping[str, Any]],
    *,
    out: str | Path | None = None,
    progress: bool | None = None,
    field: str = "",
    partial: bool = False,
    **settings: Any,
) -> "Run":
    """Judge recorded completions without a model.

    `completions` is a file in one of the formats that `harness score` reads, or its rows, as a list or a pandas frame:
    {"task_id", and one of "completion", "solution", "text"}. `field` names another field (NAME, or NAME=solution),
    `partial` allows problems without a completion. Raises HarnessError.
    """
    with one_line_errors(), _recording(completions) as path:
        backend = {"kind": "replay", "path": str(path), "field": field, "partial": partial}
        return run(task, out=out, progress=progress, cache=False, backend=backend, **settings)


def train(
    task: Any = "",
    *,
    model: str | Path = "",
    out: str | Path | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> "Training":
    """Train one adapter (or the whole model) and return where it lies. The same call again resumes.

    `task` is a benchmark whose train split is learnt, a file of rows (`rows.jsonl`), a Dataset of such rows or a config
    file (`train.toml`). `settings` are keys of a training's config: `method`, `seed`, `peft={"r": 32}`,
    `optim={"epochs": 2}`; `data` is the folder of benchmark files, or a Dataset. Raises HarnessError.
    """
    from harness.config import load
    from harness.tasks.loading import toml_task
    from harness.training import grid
    from harness.training import run as training

    with one_line_errors():
        name = str(task) if isinstance(task, str | Path) else f"{_data(task).partition(':')[2]}/test.jsonl"
        is_config = name.endswith(".toml") and not toml_task.is_task(name)
        plain: dict[str, Any] = load.read_toml(Path(name)) if is_config else {}
        if name and not plain:
            plain["data"] = [{"file" if name.endswith((".json", ".jsonl")) else "task": name}]
        folder = settings.pop("data", None)
        if folder is not None or (folder := os.environ.get("HARNESS_DATA")):
            plain.setdefault("data_folder", _data(folder))
        plain |= {**settings, **({"model": str(model)} if model else {})}
        for key in ("model", "data"):
            if key not in plain:
                raise ConfigError(f"harness.train: no {key}: name a task and a model, or a config file")
        cells = grid.expand(plain, "harness.train")
        if len(cells) != 1:
            raise ConfigError(
                f"harness.train trains one adapter and the config has {len(cells)}: use harness train"
            )
        with _progress(progress) as step:
            path, record = training.train(cells[0], _folder(out), step)
    return Training(path, record)


@dataclass(frozen=True)
class Training:
    """A finished training: the adapter's folder, to be given as `adapter`, and the content of its train.json."""

    path: Path
    record: Mapping[str, Any]

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


# ---------------------------------------------------------------- reading


def load_run(path: str | Path) -> "Run":
    """A finished run's folder. Raises ConfigError when it is none, StoreFault when it is damaged."""
    from harness.results.frames import Run

    found = Run(Path(path))
    found.result  # noqa: B018 - read now, so that a bad folder is told here
    return found


def load_runs(folder: str | Path) -> "Runs":
    """Every finished run below a folder, sorted by path. Raises ConfigError when there is none."""
    from harness.results.frames import Run, Runs
    from harness.runs.store import reader

    return Runs(Run(path) for path in reader.find_runs([Path(folder)]))


# ---------------------------------------------------------------- from arguments to a config


def _config(task: str | Path, model: str | Path, settings: Settings, cache: bool) -> "RunConfig":
    from harness.config import load

    plain = plain_config(task, settings, cache)
    if model:
        plain.setdefault("backend", {})["model"] = str(model)
    if "matrix" in plain:
        raise ConfigError(f"{task} has a [matrix]: use harness.run_study")
    return load.parse(plain, "harness.run")


def plain_config(task: str | Path, settings: Settings, cache: bool) -> dict[str, Any]:
    """The config of a run of `task`, a name, a task file or a config file, as a plain table. Raises ConfigError."""
    from harness.tasks.loading import toml_task

    name = str(task)
    is_config = name.endswith(".toml") and not toml_task.is_task(name)
    return _plain(name if is_config else {"task": name}, settings, cache)


def _plain(config: str | Path | Settings, settings: Settings, cache: bool) -> dict[str, Any]:
    """The config as a plain table: the file's or mapping's keys, the settings over them, this machine's defaults."""
    from harness.config import load

    plain = (
        load.read_toml(Path(config))
        if isinstance(config, str | Path)
        else json.loads(json.dumps(dict(config)))
    )
    for name, value in settings.items():
        _set(plain, name, value)
    return load.with_defaults(plain, os.environ, cache)


def _set(plain: dict[str, Any], name: str, value: Any) -> None:
    """Put a keyword into the table that has a key of its name: the run's own, [sampling], [backend] or [judge]."""
    from harness.config.backend import BackendConfig
    from harness.config.run import JudgeConfig, RunConfig
    from harness.config.sampling import SamplingConfig
    from harness.schema import Value

    tables: dict[str, type[Value]] = {
        "": RunConfig,
        "sampling": SamplingConfig,
        "backend": BackendConfig,
        "judge": JudgeConfig,
    }
    for table, model in tables.items():
        if name in model.model_fields or (name == "matrix" and not table):
            at = plain if not table else plain.setdefault(table, {})
            if isinstance(value, Mapping) and isinstance(at.get(name), dict):
                at[name] = {**at[name], **value}
            else:
                at[name] = (
                    _data(value) if name == "data" else str(value) if isinstance(value, Path) else value
                )
            return
    known = [key for model in tables.values() for key in model.model_fields]
    raise ConfigError(unknown("setting", name, known))


def _data(value: Any) -> str:
    """What `--data` would say. A Dataset, or a DatasetDict by its splits, is written to the cache by its content."""
    if isinstance(value, str | Path):
        return str(value)
    from harness.config.load import cache_folder

    splits = value if isinstance(value, Mapping) else {"test": value}
    try:
        files = {
            name: "".join(json.dumps(dict(row)) + "\n" for row in rows).encode()
            for name, rows in splits.items()
        }
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"data: expected a folder, or a Dataset whose rows are plain values: {error}"
        ) from None
    name = hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    folder = cache_folder(os.environ) / "datasets" / name
    folder.mkdir(parents=True, exist_ok=True)
    for split, blob in files.items():
        (folder / f"{split}.jsonl").write_bytes(blob)
    return f"dataset:{folder}"


def _executor(judge_url: str | Sequence[str]) -> "Executor":
    from harness.runs import run as runs

    if not judge_url:
        return runs.LOCAL
    from harness.runs import services

    urls = [judge_url] if isinstance(judge_url, str) else judge_url
    return replace(runs.LOCAL, open_sandbox=services.opener(urls, os.environ.get(services.TOKEN, "")))


def _folder(out: str | Path | None) -> Path | None:
    return None if out is None else Path(out)


@contextmanager
def _recording(completions: str | Path | Iterable[Mapping[str, Any]]) -> Iterator[Path]:
    """The file of recorded completions; rows are written to one that is gone afterwards."""
    if isinstance(completions, str | Path):
        yield Path(completions)
        return
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        path = Path(folder) / "rows.jsonl"
        try:
            rows = (json.dumps(dict(row)) + "\n" for row in _rows(completions))
            path.write_text("".join(rows), encoding="utf-8")
        except (TypeError, ValueError) as error:
            raise DataError(f"harness.score: a row cannot be written as JSON: {error}") from None
        try:
            yield path
        except HarnessError as error:
            raise type(error)(str(error).replace(str(path), "completions")) from None


def _rows(completions: Any) -> Iterable[Mapping[str, Any]]:
    """The rows of a list or of a pandas frame, whose missing values are no fields of a row."""
    if not hasattr(completions, "iterrows"):
        return completions  # type: ignore[no-any-return]
    from pandas import isna

    records = completions.to_dict("records")
    return [{name: value for name, value in row.items() if isna(value) is not True} for row in records]


def _progress(wanted: bool | None) -> "AbstractContextManager[Progress]":
    from harness.runs import notebook, plan, progress

    if wanted is None:
        wanted = notebook.running() or sys.stderr.isatty()
    if not wanted:
        return nullcontext(plan.no_progress)
    return notebook.show() if notebook.running() else progress.show(sys.stderr)
