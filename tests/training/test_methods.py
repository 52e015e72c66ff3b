"""Every method on every kind of model: it learns, trains only what it says, and saves what it trained."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.config.load import checked
from harness.training import run
from harness.training.config import TrainConfig
from harness.training.data import tokenize
from harness.training.losses import token_losses
from tests.support.tiny_models import ARCHITECTURES, build

METHODS = ("full", "lora", "dora", "ia3", "prompt", "prefix", "p-tuning", "qlora-8bit", "qlora-4bit")
RATES = {"prompt": 1e-1, "p-tuning": 2e-4, "prefix": 3e-3}
WORDS = ("add", "for", "print", "self", "x", "y")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    # Four-bit weights come in blocks of 64, which a CPU does not fill up.
    return {name: build(name, root / name, hidden=64) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    rows = [{"instruction": f"say {word}", "output": f"{word} {word}"} for word in WORDS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows * 4), encoding="utf-8")
    return path


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The trained model as it is in memory when it is saved, and its learnt tokens on a batch."""
    found: dict[str, Any] = {}
    save, fit = run.save, run.fit

    def keep_work(config: Any, base: Any, model: Any, packed: Any, *rest: Any) -> Any:
        found["batch"] = tokenize.collate([window for item in packed.items[:2] for window in item], pad=0)
        return fit(config, base, model, packed, *rest)

    def keep(config: Any, base: Any, model: Any, folder: Path) -> None:
        save(config, base, model, folder)
        found["nll"] = tokens(model, found["batch"], base.encoder)
        found["encoder"] = base.encoder

    monkeypatch.setattr(run, "fit", keep_work)
    monkeypatch.setattr(run, "save", keep)
    return found


def tokens(model: Any, batch: Any, encoder: bool) -> Any:
    import torch

    model.eval()
    with torch.no_grad():
        return token_losses.learnt_tokens(model, batch, encoder).nll


def reload(method: str, folder: Path, base: Path, config: TrainConfig) -> Any:
    import peft

    from harness.backends.hf import checkpoint
    from harness.training import methods

    if method == "full":
        return checkpoint.from_folder(folder, "auto")
    with checkpoint.silenced():
        return peft.PeftModel.from_pretrained(methods.load(config).model, folder)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("method", METHODS)
def test_it_learns_and_reloads_to_the_same_probabilities(
    method: str, architecture: str, bases: dict[str, Path], file: Path, tmp_path: Path, kept: dict[str, Any]
) -> None:
    import torch

    plain = {
        "model": str(bases[architecture]),
        "method": method,
        "device": "cpu",
        "data": [{"file": str(file), "validation": 0.25}],
        "packing": {"length": 128, "batch": 6},
        "optim": {"lr": RATES.get(method, 1e-2), "max_steps": 12, "warmup": 0},
        "evaluation": {"per_epoch": 1},
        "seed": 1,
    }
    config = checked(TrainConfig, plain, "config")
    folder, record = run.train(config, tmp_path / "out")
    assert record["losses"]["eval_final"] < record["losses"]["eval_initial"]
    assert (record["parameters"]["share"] == 1) == (method == "full")
    if method != "full":
        saved = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        assert saved["base_model_name_or_path"] == str(bases[architecture].resolve())
    again = tokens(reload(method, folder, bases[architecture], config), kept["batch"], kept["encoder"])
    torch.testing.assert_close(again, kept["nll"], rtol=0, atol=1e-5)


def test_the_benchmark_of_a_large_base_takes_the_path_of_training(tmp_path: Path) -> None:
    from benchmarks import gpu_memory

    model = gpu_memory.base("tiny", tmp_path / "base")
    found = gpu_memory.one("qlora-4bit", model, tmp_path / "out", steps=2, batch=2, length=32)
    assert found["trainable"] == 2 * 3 * 16 * (64 + 64)  # layers, modules, rank, in and out
    assert found["share_padding"] == 0
    assert found["tokens_per_s"] > 0
    assert found["gb"] > 0
    record = json.loads((tmp_path / "out" / "train.json").read_text(encoding="utf-8"))
    assert record["tokens"]["nominal"] == record["tokens"]["real"] == 2 * 2 * 32
