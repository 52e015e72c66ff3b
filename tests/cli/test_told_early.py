"""What cannot work is told before any work, and before seconds of imports; the hint is one that helps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.training import study
from tests.support.command import harness
from tests.support.tiny_models import build


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("told") / "base")


@pytest.mark.parametrize(
    "command",
    [
        ("run", "--task", "conala"),
        ("run", "text_to_sql"),
        ("run", "mini_study"),
        ("train", "--task", "conala", "--method", "lora"),
    ],
)
def test_a_model_that_is_not_there_is_told_before_torch_is_imported(command: tuple[str, ...]) -> None:
    asked = ["harness", *command, "--model", "nowhere", "--data", "mini"]
    code = (
        f"import sys, harness.cli; sys.argv = {asked!r}\n"
        "try: harness.cli.main()\n"
        "except SystemExit as ended: print(ended.code, sorted({'torch', 'transformers'} & sys.modules.keys()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "2 []\n", ended.stderr
    assert ended.stderr.count("no model 'nowhere'") == 1


def test_a_chat_asked_of_a_model_without_a_chat_template_is_told_with_the_tasks_own_prompts(
    base: Path, tmp_path: Path
) -> None:
    common = ("--model", base, "--data", "mini", "--out", tmp_path / "out")
    said = harness("run", "--task", "code_comment", "--set", "prompt=chat", *common).complaint
    assert said == (
        "prompt 'chat' is a chat, and the model has no chat template: leave prompt out, or set it to instruction or"
        " codefuse"
    )
    grid = harness("run", "mft_losses", "--set", "prompt=chat", "--dry-run", *common)
    assert "leave prompt out, or set it to instruction or plain" in grid.complaint
    chat = build("llama", tmp_path / "chat", chat=True)
    assert harness("run", "--task", "code_comment", "--set", "prompt=chat", *common[2:], "--limit", 1,
                   "--set", "sampling.max_tokens=2", "--model", chat).code == 0  # fmt: skip


def test_rows_that_a_studys_training_lacks_are_told_before_anything_is_trained(
    base: Path, tmp_path: Path
) -> None:
    ended = harness(
        "run", "mft_5tasks", "--model", base, "--data", "mini", "--smoke", "--out", tmp_path / "out"
    )
    assert ended.code == 2
    assert "no training file 'data/mft/completion.jsonl'" in ended.complaint
    assert not (tmp_path / "out").exists()


def test_each_training_of_a_grid_has_a_process_of_its_own(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Path] = []
    record = {
        "parameters": {"trainable": 1, "all": 2, "share": 0.5},
        "losses": {},
        "steps": 1,
        "tokens": {"real": 1},
        "seconds": 1.0,
        "peak_mb": {"process": 500.0},
    }
    monkeypatch.setattr(
        study, "train_in_process", lambda config, folder, step: began.append(folder) or record
    )
    (tmp_path / "grid.toml").write_text('data = [{ task = "conala" }]\n[matrix]\nmethod = ["lora", "ia3"]\n')
    ended = harness(
        "train", tmp_path / "grid.toml", "--model", base, "--data", "mini", "--out", tmp_path / "grid"
    )
    assert ended.code == 0, ended.err
    assert [folder.name.rpartition("-")[0] for folder in began] == ["conala-lora", "conala-ia3"]
    refused = harness("train", tmp_path / "grid.toml", "--model", base, "--method", "lora")
    assert "method is set by matrix.method and outside of it too" in refused.complaint


def test_the_data_flag_goes_before_the_configs_folder(base: Path, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(
        'data_folder = "nowhere"\ndata = [{ task = "conala", limit = 3, validation = "none" }]\n'
        "[optim]\nmax_steps = 1\nlr = 1e-2\n"
    )
    common = ("train", tmp_path / "one.toml", "--model", base, "--method", "lora", "--out", tmp_path / "a")
    assert "nowhere" in harness(*common).complaint
    ended = harness(*common[:-1], tmp_path / "b", "--data", "mini")
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "b" / "train.json").read_text())["config"]["data_folder"] == "mini"
