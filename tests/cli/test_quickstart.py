"""The adapter that quickstart trains on the spot beats the model without it, on the same problems and beyond chance."""

import json
from pathlib import Path

import pytest

from harness.cli import quickstart
from harness.files import packaged
from harness.results import compare
from harness.runs.store import reader
from tests.support.command import harness

pytestmark = pytest.mark.timeout(1200)  # under a minute of one core; a busy machine gives it a tenth of one
TASKS = packaged("tasks")
MODEL = TASKS / "demo" / "model"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quickstart's adapter, and the two runs that it is about; tests/docs/test_readme.py runs the command itself."""
    folder = tmp_path_factory.mktemp("quickstart")
    adapter = quickstart.train_adapter(TASKS, MODEL, folder)
    common = ("run", "--task", "conala", "--data", "mini", "--model", MODEL, "--set", "backend.dtype=float32")
    for name, flags in (("zero", ()), ("tuned", ("--adapter", adapter))):
        ended = harness(*common, *flags, "--out", folder / name)
        assert ended.code == 0, ended.err
    return folder


def test_lora_beats_zero_shot_significantly(out: Path) -> None:
    found = compare.compare([reader.read(out / "zero"), reader.read(out / "tuned")], ("em@1",))
    assert [row.name for row in found.rows] == ["zero-shot", "lora"]
    difference = found.cells["em@1"][1].difference
    assert difference is not None
    assert difference.low > 0.02
    assert difference.p < 0.01


def test_what_it_cost_is_shown_beside_what_it_brought(out: Path) -> None:
    spent = reader.cost(reader.read(out / "tuned"))
    record = json.loads((out / "lora" / "train.json").read_text(encoding="utf-8"))
    assert spent["trainable parameters"] == record["parameters"]["trainable"] == 552_960
    assert spent["training seconds"] == record["seconds"] > 0
    assert spent["training peak MB"] > 0


def test_the_adapter_is_in_the_run_it_was_used_in_and_in_no_other(out: Path) -> None:
    def adapter(name: str) -> str:
        record = json.loads((out / name / "run.json").read_text(encoding="utf-8"))
        return str(record["backend"]["adapter"])

    assert adapter("zero") == ""
    assert adapter("tuned").endswith(" LORA active")
