"""`harness run` with tiny random models of each kind on both tasks: resumed and batched, the same bytes."""

from pathlib import Path

import pytest
import torch

from tests.support.command import Ended, harness, rows
from tests.support.tiny_models import ARCHITECTURES, build

FILES = ("generations.jsonl", "judgements.jsonl", "summary.json", "run.json")
DRAWN = ("--samples", 2, "--set", "sampling.temperature=0.8")
TOKENS = 12


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    return {name: build(name, root / name) for name in ARCHITECTURES}


def run(task: str, model: Path, out: Path, *more: object, batch: int = 16) -> Ended:
    ended = harness(
        *(
            "run",
            "--task",
            task,
            "--data",
            "mini",
            "--model",
            model,
            "--limit",
            3,
            "--out",
            out,
            "--workers",
            1,
        ),
        *("--set", f"sampling.max_tokens={TOKENS}", "--set", f"backend.batch_size={batch}", *more),
    )
    assert ended.code == 0, ended.err
    return ended


def files(out: Path, *names: str) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in names or FILES}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(("task", "metric"), [("humaneval", "pass@2"), ("conala", "em@2")])
def test_a_model_runs_resumes_and_no_batch_size_changes_a_byte(
    models: dict[str, Path], tmp_path: Path, name: str, task: str, metric: str
) -> None:
    ended = run(task, models[name], tmp_path / "one", *DRAWN, batch=1)
    assert metric in ended.out
    made = rows(tmp_path / "one" / "generations.jsonl")
    assert [row["index"] for row in made] == [0, 1] * 3
    assert all(0 < row["completion"]["completion_tokens"] <= TOKENS for row in made)
    assert len({row["completion"]["text"] for row in made}) > 1

    before, times = files(tmp_path / "one"), files(tmp_path / "one", "timings.jsonl")
    run(task, models[name], tmp_path / "one", *DRAWN, batch=1)
    assert files(tmp_path / "one") == before
    assert files(tmp_path / "one", "timings.jsonl") == times, "the second call did something"

    run(task, models[name], tmp_path / "sixteen", *DRAWN, batch=16)
    assert files(tmp_path / "sixteen") == before


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_greedy_and_beams_do_not_depend_on_the_batch_either(
    models: dict[str, Path], tmp_path: Path, name: str
) -> None:
    for number, more in enumerate(([], ["--samples", 3, "--set", "sampling.beams=3"])):
        found = []
        for batch in (1, 16):
            out = tmp_path / f"{number}-{batch}"
            run("conala", models[name], out, *more, batch=batch)
            found.append(files(out, "generations.jsonl", "judgements.jsonl"))
        assert found[0] == found[1]


def test_half_of_a_run_is_finished_by_the_same_command(models: dict[str, Path], tmp_path: Path) -> None:
    run("conala", models["llama"], tmp_path / "whole", *DRAWN)
    run("conala", models["llama"], tmp_path / "half", *DRAWN)
    for name, keep in (("generations.jsonl", 3), ("judgements.jsonl", 2)):
        path = tmp_path / "half" / name
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[-keep:]))
    (tmp_path / "half" / "summary.json").unlink()
    run("conala", models["llama"], tmp_path / "half", *DRAWN)
    assert files(tmp_path / "half") == files(tmp_path / "whole")


def test_another_seed_draws_other_completions(models: dict[str, Path], tmp_path: Path) -> None:
    texts = []
    for seed in (0, 1):
        run("conala", models["llama"], tmp_path / str(seed), *DRAWN, "--set", f"seed={seed}")
        texts.append([row["completion"]["text"] for row in rows(tmp_path / str(seed) / "generations.jsonl")])
    assert texts[0] != texts[1]


def test_a_runs_generations_can_be_judged_again_without_the_model(
    models: dict[str, Path], tmp_path: Path
) -> None:
    run("conala", models["llama"], tmp_path / "run", *DRAWN)
    made = tmp_path / "run" / "generations.jsonl"
    ended = harness(
        *("score", "conala", "--data", "mini", "--set", "limit=3", "--completions", made),
        *("--out", tmp_path / "again"),
    )
    assert ended.code == 0, ended.err
    assert files(tmp_path / "again", "generations.jsonl", "judgements.jsonl") == files(
        tmp_path / "run", "generations.jsonl", "judgements.jsonl"
    )


def test_another_model_in_the_same_folder_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    run("conala", models["llama"], tmp_path / "run")
    other = build("llama", tmp_path / "other", seed=1)
    ended = harness(
        *(
            "run",
            "--task",
            "conala",
            "--data",
            "mini",
            "--model",
            other,
            "--limit",
            3,
            "--out",
            tmp_path / "run",
        ),
        *("--set", f"sampling.max_tokens={TOKENS}"),
    )
    assert "holds another run: " in ended.complaint
    assert "backend.weights" in ended.complaint or "config.backend.model" in ended.complaint


def test_weights_that_were_changed_in_place_are_noticed(models: dict[str, Path], tmp_path: Path) -> None:
    del models
    folder = build("llama", tmp_path / "model")
    run("conala", folder, tmp_path / "run")
    build("llama", folder, seed=1)
    ended = harness(
        *(
            "run",
            "--task",
            "conala",
            "--data",
            "mini",
            "--model",
            folder,
            "--limit",
            3,
            "--out",
            tmp_path / "run",
        ),
        *("--set", f"sampling.max_tokens={TOKENS}"),
    )
    assert "holds another run: backend.loaded: " in ended.complaint
    assert "backend.weights: " in ended.complaint
