"""Two processes under torchrun (gloo) train what one process trains: the same adapter, written once."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.training import grid, run
from harness.training.config import TrainConfig
from tests.support.command import write_rows
from tests.support.tiny_models import build

WORDS = ("add", "for", "print", "self", "x", "y", "def", "class")
HARNESS = "from harness.cli import main; main()"

# Answers of other lengths in the two tasks: there a mean of means is another number than a mean.
STUDY = """
model = "FOLDER/llama"
device = "cpu"
data = [
    { name = "short", file = "FOLDER/short.jsonl", validation = "FOLDER/aside.jsonl" },
    { name = "long", file = "FOLDER/long.jsonl", validation = "FOLDER/aside.jsonl", weight = 2.0 },
]
log_every = 1
packing.length = 128
peft = { r = 4, lora_dropout = 0.0 }
evaluation = { per_epoch = 1, batch = 1 }
optim = { lr = 3e-3, epochs = 2 }
[[matrix.how]]
loss = { balance = "task_sample", reduction = "global", convergence = "coba", warmup = 1 }
packing.batch = ROWS_0
optim.accumulate = MICRO_0
[[matrix.how]]
loss = { balance = "task_token", convergence = "famo" }
packing.batch = ROWS_1
optim.accumulate = MICRO_1
"""
# (rows, micro-batches) of both cells for two processes, and for one whose steps have the same rows.
TWO = ((2, 2), (2, 1))
ONE = ((4, 2), (2, 2))


def study(folder: Path, batches: Sequence[tuple[int, int]]) -> str:
    text = STUDY.replace("FOLDER", str(folder))
    for number, (rows, micro) in enumerate(batches):
        text = text.replace(f"ROWS_{number}", str(rows)).replace(f"MICRO_{number}", str(micro))
    return text


def cells(folder: Path, batches: Sequence[tuple[int, int]]) -> list[TrainConfig]:
    return grid.expand(tomllib.loads(study(folder, batches)), "study")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with what two processes trained for each cell, and what they printed."""
    folder = tmp_path_factory.mktemp("ranks")
    build("llama", folder / "llama")
    say = [{"instruction": f"say {word}", "output": f"{word} {word}"} for word in WORDS]
    count = [{"instruction": "count", "output": " ".join(map(str, range(n)))} for n in range(3, 11)]
    write_rows(folder / "short.jsonl", say)
    write_rows(folder / "long.jsonl", count)
    write_rows(folder / "aside.jsonl", [*say[1:3], *count[2:3]])
    (folder / "study.toml").write_text(study(folder, TWO), encoding="utf-8")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    asked = ["train", str(folder / "study.toml"), "--out", str(folder / "two")]
    ended = subprocess.run(
        [sys.executable, *launch, sys.executable, "-c", HARNESS, *asked],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    from safetensors.torch import load_file

    curve = (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    return load_file(folder / "adapter_model.safetensors"), record, [json.loads(line) for line in curve]


@pytest.mark.parametrize("number", range(len(TWO)))
def test_two_processes_make_the_adapter_of_one_with_the_same_rows_a_step(
    number: int, made: tuple[Path, str], tmp_path: Path
) -> None:
    import torch

    folder, _ = made
    run.train(cells(folder, ONE)[number], tmp_path / "one")
    one = read(tmp_path / "one")
    two = read(run.default_folder(cells(folder, TWO)[number], folder / "two"))
    assert one[0].keys() == two[0].keys()
    for weight in one[
        0
    ]:  # 1e-4 of weights that moved by 2e-2: AdamW makes much of little where a gradient is none
        torch.testing.assert_close(one[0][weight], two[0][weight], rtol=0, atol=1e-4)
    moved = max(float(value.abs().max()) for key, value in two[0].items() if "lora_B" in key)
    assert moved > 5e-3
    assert two[1]["tokens"]["learnt"] == one[1]["tokens"]["learnt"] > 0
    assert two[1]["tokens"]["real"] == one[1]["tokens"]["real"]
    assert two[1]["steps"] == one[1]["steps"] >= 4
    for key in ("eval_loss", "eval_short_loss", "eval_long_sample_loss", "loss"):
        losses = [[row[key] for row in each[2] if key in row] for each in (one, two)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4), key
        assert len(losses[0]) > 1


def test_only_the_first_process_prints_and_writes(made: tuple[Path, str]) -> None:
    folder, printed = made
    assert printed.count("saved: ") == len(TWO)
    for each in (folder / "two").iterdir():
        _, record, curve = read(each)
        assert record["finished"]
        steps = [row["step"] for row in curve if "loss" in row]
        assert steps == sorted(set(steps))
        names = {path.name for path in each.iterdir()}
        assert names == {
            ".lock",
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
            "curve.jsonl",
            "curve.png",
            "train.json",
            "training_rows.npz",
        }
