"""kill -9 at any instant of a training costs nothing but time: the same command ends with the same adapter.

Real SIGKILLs hit a real `harness train` of a LoRA on a tiny model: from outside after a random time, and
before a random change of a file, which finds checkpoints half written, half deleted, and weights half saved.
What they hit is counted, so that a test that always kills too late fails.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.runs.test_resume import Warm
from tests.support.command import write_rows
from tests.support.paths import ROOT
from tests.support.tiny_models import build

KILLS = 24


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Warm]:
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.kill_at", "train"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield Warm(process, tmp_path)
        process.stdin.close()
        assert process.wait(10) == 0


def command(folder: Path) -> list[str]:
    """Eight steps with dropout, evaluated and saved at every second one, so that old checkpoints are deleted."""
    words = ("add", "for", "print", "self", "x", "y")
    rows = [{"instruction": f"say {word}", "output": f"{word} {word}"} for word in words * 4]
    path = write_rows(folder / "rows.jsonl", rows)
    config = folder / "train.toml"
    config.write_text(
        f"""model = "{build("llama", folder / "model")}"
        device = "cpu"
        log_every = 1
        data = [{{ file = "{path}", validation = 0.25 }}]
        packing = {{ length = 128, batch = 6 }}
        optim = {{ lr = 0.02, max_steps = 8 }}
        evaluation = {{ per_epoch = 2 }}
        peft = {{ lora_dropout = 0.1 }}""",
        encoding="utf-8",
    )
    return ["train", str(config)]


def left_by(out: Path) -> dict[str, Any]:
    """The adapter's weights, and what the record and the curve say that no clock can change."""
    from safetensors.torch import load_file

    record = json.loads((out / "train.json").read_text(encoding="utf-8"))
    curve = [json.loads(line) for line in (out / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "weights": load_file(out / "adapter_model.safetensors"),
        "losses": record["losses"],
        "curve": [{k: row[k] for k in ("step", "loss", "eval_loss", "tokens") if k in row} for row in curve],
        **{key: record[key] for key in ("finished", "steps", "tokens", "data", "base", "parameters")},
    }


def test_kills_at_random_instants_leave_the_adapter_of_an_undisturbed_training(
    warm: Warm, tmp_path: Path
) -> None:
    import torch

    argv = command(tmp_path)
    whole = tmp_path / "undisturbed"
    began = monotonic()
    status = warm.run([*argv, "--out", str(whole)], below=str(whole), log=str(tmp_path / "log"))
    assert status == 0, (tmp_path / "log").read_text()
    seconds = monotonic() - began
    changes = int((tmp_path / "undisturbed.changes").read_text())
    assert changes > 40
    expected = left_by(whole)
    weights = expected.pop("weights")
    assert len(weights) == 12
    expected["losses"] = pytest.approx(expected["losses"], rel=1e-5)
    expected["curve"] = [pytest.approx(row, rel=1e-5) for row in expected["curve"]]
    names = {path.name for path in whole.iterdir()}

    chance = random.Random(20240612)
    hit: Counter[str] = Counter()
    torn = runs = 0
    while sum(hit.values()) < KILLS:
        out = tmp_path / f"run{runs}"
        runs += 1
        for _ in range(chance.randint(2, 6)):
            how = chance.choice(
                [{"after_s": chance.uniform(0, seconds)}, {"at_change": chance.randint(1, changes)}]
            )
            status = warm.run([*argv, "--out", str(out)], below=str(out), log=str(tmp_path / "log"), **how)
            if status == 0:
                break
            assert status == -9, (tmp_path / "log").read_text()
            hit[warm.stage] += 1
            checkpoints = list((out / "checkpoints").glob("checkpoint-*"))
            torn += any(not (folder / "harness.json").exists() for folder in checkpoints)
        else:
            status = warm.run([*argv, "--out", str(out)], log=str(tmp_path / "log"))
            assert status == 0, (tmp_path / "log").read_text()
        found = left_by(out)
        torch.testing.assert_close(found.pop("weights"), weights, rtol=0, atol=1e-6)
        assert found == expected, f"run {runs}, after {dict(hit)}"
        assert {path.name for path in out.iterdir()} == names
    assert torn >= 3, hit
    assert {"start", "train"} <= set(hit), hit
