"""What the hf backend loads, how it names it, and what it says of folders that it cannot load."""

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends import hf
from harness.config.backend import BackendConfig
from harness.errors import UserError
from tests.support.parts.hf_engine import GREEDY, lines, loaded, requests
from tests.support.tiny_models import build, make_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"llama": build("llama", tmp_path_factory.mktemp("models") / "llama")}


def test_identity_names_what_decides_the_outputs(folders: dict[str, Path]) -> None:
    identity = loaded(folders["llama"]).identity
    assert identity["kind"] == "hf"
    assert identity["dtype"] == "float32"
    assert identity["device"].startswith(("cpu", "cuda"))
    assert identity["engine"].startswith("hf 2, torch ")
    assert len(identity["weights"]) == 64
    assert identity["adapter"] == identity["revision"] == ""
    assert identity == loaded(folders["llama"], 3).identity
    assert loaded(folders["llama"], dtype="bfloat16").identity["dtype"] == "bfloat16"


def test_a_16_bit_checkpoint_is_computed_in_float32_on_a_cpu_unless_told_otherwise(tmp_path: Path) -> None:
    folder = build("llama", tmp_path / "m", dtype="bfloat16")
    if not torch.cuda.is_available():
        assert loaded(folder).identity["dtype"] == "float32"
    assert loaded(folder, dtype="bfloat16").identity["dtype"] == "bfloat16"


def test_other_weights_or_another_tokenizer_give_another_digest(tmp_path: Path) -> None:
    first = loaded(build("llama", tmp_path / "a")).identity["weights"]
    assert loaded(build("llama", tmp_path / "b")).identity["weights"] == first
    assert loaded(build("llama", tmp_path / "c", seed=1)).identity["weights"] != first
    assert loaded(build("llama", tmp_path / "d", tokens="words")).identity["weights"] != first


def break_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def break_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def tear_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:200])


def empty_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": []}}')


def tear_tokenizer_config(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": ')


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def tear_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def rename_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["other"] = tensors.pop("model.norm.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def unknown_architecture(folder: Path) -> None:
    plain = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**plain, "model_type": "nonesuch"}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (break_config, r"has no config\.json"),
        (break_tokenizer, r"has no tokenizer: expected tokenizer\.json.*tokenizer\.save_pretrained"),
        (tear_tokenizer, r"cannot load the tokenizer in .*: \S.*"),
        (empty_tokenizer, r"cannot load the tokenizer in .*: \S.*"),
        (tear_tokenizer_config, r"cannot load the tokenizer in .*: \S.*"),
        (break_weights, r"holds no weights: expected model\.safetensors"),
        (tear_weights, r"cannot load the model in .*"),
        (rename_tensor, r"lack 1 of the model's tensors: model\.norm\.weight"),
        (unknown_architecture, r"cannot load the model in .*nonesuch"),
    ],
)
def test_a_damaged_model_folder_is_one_clear_line(
    tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    folder = build("llama", tmp_path / "m")
    damage(folder)
    with pytest.raises(UserError, match=said) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_and_a_model_that_is_not_cached_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model folder '/no/such/folder' does not exist"):
        hf.load(BackendConfig(model="/no/such/folder"))
    with pytest.raises(UserError, match=r"it is not a folder here.*hf download acme/coder --revision abc"):
        hf.load(BackendConfig(model="acme/coder", revision="abc"))
    with pytest.raises(UserError, match="has no revisions"):
        hf.load(BackendConfig(model=str(tmp_path), revision="abc"))
    with pytest.raises(UserError, match="no device 'gpu'"):
        hf.load(BackendConfig(model=str(build("llama", tmp_path / "m")), device="gpu"))


def test_a_cached_hub_model_is_found_offline_and_its_commit_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = tmp_path / "models--acme--coder"
    build("llama", root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert hf.load(BackendConfig(model="acme/coder")).identity["revision"] == commit
    assert hf.load(BackendConfig(model="acme/coder", revision=commit)).identity["revision"] == commit


def save_adapter(base: Path, folder: Path, prompt_tuning: bool = False) -> Path:
    from peft import LoraConfig, PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(base)
        config: Any = LoraConfig(
            r=4, init_lora_weights=False, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
        )
        if prompt_tuning:
            config = PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            get_peft_model(model, config).save_pretrained(folder)
    return folder


def test_an_adapter_changes_the_outputs_and_the_identity(folders: dict[str, Path], tmp_path: Path) -> None:
    base = folders["llama"]
    adapter = save_adapter(base, tmp_path / "lora")
    tuned = {
        size: hf.load(BackendConfig(model=str(base), adapter=str(adapter), batch_size=size))
        for size in (1, 16)
    }
    plain = loaded(base)
    assert tuned[1].identity["weights"] == plain.identity["weights"]
    assert re.fullmatch(r"[0-9a-f]{64} LORA active", tuned[1].identity["adapter"])
    found = lines(tuned[16].generate(requests(), GREEDY))
    assert found == lines(tuned[1].generate(requests(), GREEDY))
    assert found != lines(plain.generate(requests(), GREEDY))


def test_adapters_that_cannot_be_used_say_why(folders: dict[str, Path], tmp_path: Path) -> None:
    base = str(folders["llama"])
    with pytest.raises(UserError, match=r"adapter folder .* does not exist"):
        hf.load(BackendConfig(model=base, adapter=str(tmp_path / "none")))
    with pytest.raises(UserError, match=r"is not an adapter: it has no adapter_config\.json"):
        hf.load(BackendConfig(model=base, adapter=base))
    with pytest.raises(UserError, match="is an adapter, not a model"):
        hf.load(BackendConfig(model=str(save_adapter(folders["llama"], tmp_path / "lora"))))


def test_generation_settings_of_the_model_that_are_not_applied_are_named(tmp_path: Path) -> None:
    folder = build("llama", tmp_path / "m")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "repetition_penalty": 1.3}))
    said: list[str] = []
    loaded(folder, warn=said.append)
    assert said == ["not applied from the model's generation_config.json: repetition_penalty=1.3"]


def test_an_architecture_without_a_key_value_cache_is_refused(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    make_tokenizer("llama").save_pretrained(tmp_path)
    MambaForCausalLM(MambaConfig(vocab_size=400, hidden_size=32, num_hidden_layers=1)).save_pretrained(
        tmp_path
    )
    with pytest.raises(UserError, match="MambaForCausalLM keeps no key-value cache"):
        list(loaded(tmp_path).generate(requests(), GREEDY))


def test_importing_the_backend_imports_no_torch() -> None:
    code = (
        "import sys, harness.backends.hf; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
