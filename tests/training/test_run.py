"""`harness train` on tiny random models: what is trained, that it learns, resumes, and refuses what cannot work."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.config.load import checked
from harness.errors import UserError
from harness.training import run
from harness.training.config import TrainConfig
from harness.training.data import packing
from tests.support.command import harness
from tests.support.tiny_models import build

ROWS = [
    {"instruction": f"say {word}", "output": f"{word} {word}"}
    for word in ("add", "for", "print", "self", "x", "y")
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS * 4), encoding="utf-8")
    return path


def config(model: Path, file: Path, **more: Any) -> TrainConfig:
    plain: dict[str, Any] = {
        "model": str(model),
        "method": "full",
        "device": "cpu",
        "data": [{"file": str(file), "validation": 0.25}],
        "packing": {"length": 128, "batch": 4},
        "optim": {"lr": 1e-2, "max_steps": 8},
        "evaluation": {"per_epoch": 2},
        "log_every": 2,
    }
    for key, value in more.items():
        plain[key] = {**plain[key], **value} if isinstance(plain.get(key), dict) else value
    return checked(TrainConfig, plain, "config")


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (path,) = folder.glob("*.safetensors")
    return load_file(path)


@pytest.fixture(scope="module")
def trained(llama: Path, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, _ = run.train(config(llama, file), tmp_path_factory.mktemp("out") / "full")
    return folder


def test_a_full_training_learns_and_leaves_what_it_says(trained: Path, file: Path) -> None:
    record = json.loads((trained / "train.json").read_text(encoding="utf-8"))
    assert record["finished"]
    assert record["losses"]["eval_final"] < record["losses"]["eval_initial"] - 0.5
    assert record["losses"]["converged"]
    assert record["parameters"]["share"] == 1
    assert record["steps"] == 8
    assert record["tokens"]["nominal"] >= record["tokens"]["real"] > record["tokens"]["learnt"] > 0
    assert len(record["base"]["weights"]) == len(record["base"]["tokenizer"]) == 64
    assert record["data"]["sha256"].keys() == {str(file)}  # two files may have one name
    curve = [json.loads(line) for line in (trained / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in curve if "loss" in row] == [2, 4, 6, 8]
    # Five steps an epoch, two looks at each, and one at the end.
    assert [row["step"] for row in curve if "eval_loss" in row] == [0, 3, 6, 8]
    assert record["config"]["optim"]["lr"] == 0.01
    assert len(record["config_hash"]) == 16
    assert {"torch", "transformers", "peft", "accelerate", "bitsandbytes"} <= record["versions"].keys()
    assert record["seconds"] > 0
    assert record["peak_mb"]["process"] > 100
    assert curve[0]["step"] == 0
    assert curve[0]["eval_loss"] == record["losses"]["eval_initial"]
    assert (trained / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert not (trained / "checkpoints").exists()


def test_the_same_command_does_nothing_once_finished_and_another_config_is_refused(
    trained: Path, llama: Path, file: Path
) -> None:
    before = (trained / "train.json").stat().st_mtime_ns
    run.train(config(llama, file), trained)
    assert (trained / "train.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="holds a training with another config"):
        run.train(config(llama, file, seed=1), trained)


def test_samples_that_do_not_see_each_other_are_learnt_alike_however_they_are_laid(
    llama: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = {"mode": "pack", "attention": "block", "length": 128, "batch": 2}
    found = []
    for apart in (False, True):
        monkeypatch.setattr(packing, "apart_is_cheaper", lambda windows, hidden, multiple, apart=apart: apart)
        _, record = run.train(config(llama, file, packing=packed), tmp_path / str(apart))
        found.append(record)
    one, other = found
    assert one["steps"] == other["steps"]
    assert one["tokens"]["learnt"] == other["tokens"]["learnt"]
    assert one["tokens"]["nominal"] != other["tokens"]["nominal"]
    assert one["losses"]["eval_final"] == pytest.approx(other["losses"]["eval_final"], abs=1e-3)


def test_packing_that_costs_a_small_model_more_than_it_saves_is_told(
    llama: Path, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen = {"mode": "pack", "length": 200, "attention": "full"}
    run.train(config(llama, file, packing=seen), tmp_path)
    assert "packing.mode = 'pack' lets samples see each other" in caplog.text


@pytest.mark.parametrize(
    ("more", "attention"),
    [
        ({"packing": {"mode": "pack"}}, "block"),
        ({"packing": {"mode": "pack", "attention": "full"}}, "full"),
        ({"packing": {"mode": "pack"}, "method": "prefix"}, "full"),
        ({"packing": {"mode": "pack"}, "attention": "flash_attention_2"}, "full"),
        ({"packing": {"mode": "concat"}}, "full"),
        ({}, "full"),
    ],
)
def test_packed_samples_see_each_other_where_that_is_asked_for_or_cannot_be_helped(
    more: dict[str, Any], attention: str, file: Path
) -> None:
    assert run.with_method_defaults(config(Path("base"), file, **more)).packing.attention == attention


@pytest.mark.parametrize("at", [2, 6, 7, 8])
def test_a_training_that_is_killed_ends_with_the_same_weights(
    at: int, trained: Path, llama: Path, file: Path, tmp_path: Path
) -> None:
    import torch

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.train(config(llama, file), tmp_path / "out", stop)
    for whole in list((tmp_path / "out" / "checkpoints").glob("checkpoint-*"))[:1]:
        torn = whole.with_name("checkpoint-99")  # as a kill while saving leaves it
        shutil.copytree(whole, torn)
        (torn / "harness.json").unlink()
    folder, record = run.train(config(llama, file), tmp_path / "out")
    assert record["steps"] == 8
    one, other = weights(trained), weights(folder)
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-6)
    undisturbed = json.loads((trained / "train.json").read_text(encoding="utf-8"))
    for name in ("eval_initial", "eval_final", "best_step"):
        assert record["losses"][name] == pytest.approx(undisturbed["losses"][name], rel=1e-5)
    assert record["tokens"] == undisturbed["tokens"]


def test_a_training_that_stopped_early_does_not_go_on_when_it_was_killed_before_it_saved(
    llama: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    early = {"per_epoch": 2, "early_stop": "repo", "patience": 1}
    asked = config(llama, file, optim={"lr": 0.2, "max_steps": 30}, evaluation=early)
    whole, record = run.train(asked, tmp_path / "whole")
    assert record["steps"] < 30

    def killed(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run.train(asked, tmp_path / "out")
    folder, again = run.train(asked, tmp_path / "out")
    assert {**again, "seconds": 0, "peak_mb": 0} == {**record, "seconds": 0, "peak_mb": 0}
    torch.testing.assert_close(weights(folder), weights(whole), rtol=0, atol=0)
    assert (folder / "curve.jsonl").read_text().count("\n") == (whole / "curve.jsonl").read_text().count("\n")


def test_a_checkpoint_of_which_a_part_is_missing_is_passed_over(tmp_path: Path) -> None:
    from harness.training import checkpoints

    for number, name in ((2, "whole"), (4, "half deleted"), (6, "half written")):
        folder = tmp_path / f"checkpoint-{number}"
        folder.mkdir()
        (folder / "model.safetensors").write_text(name)
        (folder / "optimizer.pt").write_text(name)
        if number < 6:
            checkpoints.mark_complete(folder, {"steps": number})
    (tmp_path / "checkpoint-4" / "model.safetensors").unlink()
    assert checkpoints.latest_complete(tmp_path) == (tmp_path / "checkpoint-2", {"steps": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]
    (tmp_path / "checkpoint-2" / "optimizer.pt").write_text("")
    assert checkpoints.latest_complete(tmp_path) == (None, {})


# ---------------------------------------------------------------- several tasks


def tasks(file: Path, other: Path, **more: Any) -> dict[str, Any]:
    data = [
        {"name": "short", "file": str(file), "validation": 0.25},
        {"name": "long", "file": str(other), "validation": 0.25, "weight": 2.0},
    ]
    return {"data": data, "optim": {"lr": 1e-2, "max_steps": 4}, "evaluation": {"per_epoch": 1}, **more}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other") / "other.jsonl"
    rows = [{"instruction": "count", "output": " ".join(map(str, range(n)))} for n in range(3, 11)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("convergence", ["coba", "famo"])
def test_weights_that_follow_the_validation_go_on_after_a_kill(
    convergence: str, llama: Path, file: Path, other: Path, tmp_path: Path
) -> None:
    import torch

    loss = {"balance": "task_token", "convergence": convergence, "warmup": 2}
    asked = config(llama, file, **tasks(file, other, loss=loss, evaluation={"per_epoch": 4}))
    whole, record = run.train(asked, tmp_path / "whole")
    assert {"short", "long"} <= {report["task"] for report in record["data"]["tasks"]}
    curve = [json.loads(line) for line in (whole / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    checks = [row for row in curve if "eval_loss" in row]
    for row in checks:
        assert row["eval_loss"] == pytest.approx((row["eval_short_loss"] + row["eval_long_loss"]) / 2)
    assert checks[-1]["eval_loss"] < checks[0]["eval_loss"]

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.train(asked, tmp_path / "out", stop)
    folder, _ = run.train(asked, tmp_path / "out")
    one, again = weights(whole), weights(folder)
    for name in one:
        torch.testing.assert_close(one[name], again[name], rtol=0, atol=1e-6)


def test_micro_batches_pooled_over_a_step_train_like_one_batch(
    llama: Path, file: Path, other: Path, tmp_path: Path
) -> None:
    import torch

    found = {}
    for reduction in ("global", "micro"):
        for batch in (4, 2):
            more = tasks(file, other, loss={"balance": "task_token", "reduction": reduction})
            more["packing"] = {"batch": batch}
            more["optim"]["accumulate"] = 4 // batch
            folder, _ = run.train(config(llama, file, **more), tmp_path / f"{reduction}{batch}")
            found[reduction, batch] = weights(folder)["model.norm.weight"]
    torch.testing.assert_close(found["global", 4], found["global", 2], rtol=0, atol=1e-5)
    torch.testing.assert_close(found["global", 4], found["micro", 4], rtol=0, atol=1e-5)
    assert not torch.allclose(found["micro", 4], found["micro", 2], rtol=0, atol=1e-4)


# ---------------------------------------------------------------- mistakes


def test_a_target_module_that_does_not_exist_lists_those_that_do(
    llama: Path, file: Path, tmp_path: Path
) -> None:
    asked = config(llama, file, method="lora", peft={"target_modules": ["q_porj"]})
    with pytest.raises(
        UserError, match=r"no target module 'q_porj'. Did you mean 'q_proj'\? Known: down_proj,"
    ):
        run.train(asked, tmp_path / "out")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (
            {"peft": {"target_modules": "nothing"}},
            r"is a pattern that fits no layer's full name, such as 'model\.",
        ),
        ({"peft": {"modules_to_save": ["lm_haed"]}}, r"peft.modules_to_save: no target module 'lm_haed'"),
        ({"optim": {"optimizer": "adamw_trch"}}, r"no optimizer 'adamw_trch'. Did you mean 'adamw_torch'\?"),
        ({"trackers": ["mlfow"]}, r"no tracker 'mlfow'. Did you mean 'mlflow'\?"),
        ({"method": "prefix", "optim": {"gradient_checkpointing": True}}, "does not go with method 'prefix'"),
        (
            {"packing": {"length": 1024, "mode": "pack"}},
            r"window of \d+ tokens does not fit .* packing.length = 256",
        ),
    ],
)
def test_what_cannot_work_is_one_line_before_any_step(
    more: dict[str, Any], complaint: str, llama: Path, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=complaint):
        run.train(config(llama, file, **{"method": "lora", **more}), tmp_path / "out")


def test_a_folder_is_trained_in_by_one_process_at_a_time(llama: Path, file: Path, tmp_path: Path) -> None:
    from harness.errors import StoreFault
    from harness.training import run_record

    (tmp_path / "out").mkdir()
    with (
        run_record.exclusive(tmp_path / "out"),
        pytest.raises(StoreFault, match="is being trained in by another process"),
    ):
        run.train(config(llama, file), tmp_path / "out")


def test_out_of_memory_says_what_to_change(
    llama: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(run, "fit", full)
    with pytest.raises(UserError, match=r"set packing.batch .* lower, optim.accumulate higher"):
        run.train(config(llama, file), tmp_path / "out")


def test_a_training_that_diverges_is_named(llama: Path, file: Path, tmp_path: Path) -> None:
    asked = config(llama, file, optim={"lr": 1e30, "optimizer": "sgd", "clip": 0.0})
    with pytest.raises(
        UserError, match=r"the loss is nan at step \d+: the training diverged; lower optim.lr"
    ):
        run.train(asked, tmp_path / "out")


def test_the_command_says_what_is_missing_or_wrong_in_one_line(
    llama: Path, file: Path, tmp_path: Path
) -> None:
    assert harness("train", "--task", "conala").complaint.startswith("no model given: pass --model")
    assert harness("train", "--model", llama).complaint.startswith("no data given: pass --task NAME")
    common = ("train", "--model", llama, "--file", file, "--out", tmp_path / "out")
    assert "peft (lora): r = 0" in harness(*common, "--set", "peft.r=0").complaint
    assert harness(*common, "--method", "lroa").complaint.startswith("flags: method = 'lroa'")
    (tmp_path / "empty.jsonl").touch()
    ended = harness("train", "--model", llama, "--file", tmp_path / "empty.jsonl", "--out", tmp_path / "e")
    assert "empty.jsonl: no training rows" in ended.complaint
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    ended = harness("train", "--model", llama, "--file", file, "--out", tmp_path / "taken")
    assert "holds other files and no train.json" in ended.complaint


def test_the_command_trains_and_says_so(llama: Path, file: Path, tmp_path: Path) -> None:
    sets = ("--set", "optim.max_steps=2", "--set", "packing.length=128", "--set", "device=cpu")
    ended = harness("train", "--model", llama, "--file", file, "--out", tmp_path / "out", *sets)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("trained 5,120 of 49,312 parameters (10.38 %), 2 steps, ")
    assert ended.out.rstrip().endswith(f"saved: {tmp_path / 'out'}")
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()
