"""Suites: the project's are right as they stand, a user's runs end to end, and what is pinned stays so."""

import tomllib
from pathlib import Path

import pytest

import harness as api
from harness.config import grid, suites
from harness.files import packaged
from harness.tasks.loading import registry
from tests.support.command import harness
from tests.support.tiny_models import build

MINE = """
title = "Ours"
[[runs]]
task = "conala"
options = { corpus = "docprompting" }
sampling = { samples = 2, temperature = 0.5 }
[[runs]]
task = "humaneval"
sampling = { samples = 1, temperature = 0.0 }
"""
RUN = (
    "run",
    "--task",
    "suite:mine.toml",
    "--data",
    "mini",
    "--limit",
    "2",
    "--max-tokens",
    "4",
    "--no-cache",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", suites.names())
def test_every_run_of_a_suite_is_one_that_there_is(name: str) -> None:
    plain = suites.expand({"task": f"suite:{name}", "data": "mini"})
    cells = grid.expand({key: plain[key] for key in ("matrix", "data")}, name)
    assert len(cells) == len(suites.read(name).runs) > 1
    for cell in cells:
        assert registry.task(cell.config.task, cell.config.options).card.title
        assert cell.config.sampling.samples, "decoding is pinned"
    assert f"suite:{name}" in harness("tasks").out
    assert harness("tasks", f"suite:{name}").out.count("\n") == len(cells) + 1


def test_the_suite_of_the_second_paper_is_what_its_recipe_evaluates_on() -> None:
    recipe = tomllib.loads((packaged("tasks/recipes") / "mft_5tasks.toml").read_text(encoding="utf-8"))
    runs = [{key: one[key] for key in one if key != "sampling"} for one in suites.read("papers-mft").runs]
    assert runs == recipe["matrix"]["set"]


def test_one_command_makes_one_table_and_one_signature(folder: Path) -> None:
    build("llama", folder / "model")
    first = harness(*RUN, "--model", "model", "--out", "a")
    assert first.code == 0, first
    assert len(list((folder / "a").glob("*/summary.json"))) == 2
    assert "em@1" in first.out
    assert "pass@1" in first.out
    *_, conala, humaneval, signed = first.out.splitlines()
    assert conala.endswith(
        "task=conala, options.corpus=docprompting, sampling.samples=2, sampling.temperature=0.5"
    )
    assert humaneval.endswith("task=humaneval, sampling.samples=1, sampling.temperature=0.0")
    assert signed.startswith("suite:mine v1 ")
    assert signed.split(" | ")[1] == "2 runs"
    assert harness(*RUN, "--model", "model", "--out", "b").out.splitlines()[-1] == signed
    other = harness(*RUN, "--model", "model", "--out", "c", "--set", "seed=1").out.splitlines()[-1]
    assert other.split(" | ")[0] == signed.split(" | ")[0]
    assert other != signed


def test_python_and_a_config_take_a_suite_too(folder: Path) -> None:
    build("llama", folder / "model")
    settings = {"backend": {"model": "model"}, "data": "mini", "limit": 1, "max_tokens": 4, "cache": False}
    runs = api.run_study("suite:mine.toml", out="a", progress=False, **settings)
    assert [run.task for run in runs] == ["conala", "humaneval"]
    (folder / "run.toml").write_text('task = "suite:mine.toml"\ndata = "mini"\n', encoding="utf-8")
    ended = harness("run", "run.toml", "--model", "model", "--dry-run")
    assert "2 cells" in ended.out, ended


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--task", "suite:code-2025"), "no suite 'code-2025'. Did you mean 'code-2026'?"),
        (("run", "--task", "suite:none.toml"), "no config file 'none.toml'"),
        (("run", "--task", "suite:mine.toml", "--task", "mbpp"), "suite:mine.toml is a study of its own"),
        ((*RUN, "--samples", "3"), "sampling.samples is set by matrix.suite and outside of it too"),
        (("score", "suite:mine.toml", "--completions", "x"), "suite:mine.toml is several runs: harness run"),
    ],
)
def test_a_slip_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    assert said in harness(*arguments).complaint


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('task = "humaneval"', 'tsk = "humaneval"', "mine.toml: runs: the 2. has no task"),
        ('task = "humaneval"', 'task = "humanevl"', "no task 'humanevl'. Did you mean 'humaneval'?"),
        ("title", "titel", "mine.toml: no key 'titel'. Did you mean 'title'?"),
        ("samples = 2", "sampels = 2", "no key 'sampling.sampels'. Did you mean 'sampling.samples'?"),
    ],
)
def test_a_suites_own_slip_is_one_line(old: str, new: str, said: str, folder: Path) -> None:
    (folder / "mine.toml").write_text(MINE.replace(old, new), encoding="utf-8")
    build("llama", folder / "model")
    assert said in harness(*RUN, "--model", "model").complaint


def test_a_suites_signature_holds_what_it_pins(folder: Path) -> None:
    before = suites.signature("mine.toml", ["a"])
    (folder / "mine.toml").write_text(MINE.replace("0.5", "0.6"), encoding="utf-8")
    assert suites.signature("mine.toml", ["a"]) != before
    assert (
        suites.signature("mine.toml", ["b"]).split(" | ")[0]
        == suites.signature("mine.toml", ["a"]).split(" | ")[0]
    )
