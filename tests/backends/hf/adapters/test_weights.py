"""An adapter is whole or refused: every tensor of its file is used, every one that its config makes is filled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.backends.hf import checkpoint
from harness.backends.hf.adapters.adapter import find_adapter
from harness.errors import UserError
from tests.backends.hf.adapters.test_adapter import engine
from tests.backends.hf.adapters.test_snapshot import base_of, logits, peft_logits
from tests.support.adapter_kinds import KINDS, draw, save_kind
from tests.support.command import harness
from tests.support.tiny_models import build

Tensors = dict[str, torch.Tensor]
LAYER = "base_model.model.model.layers.0."
MISSING = f"{LAYER}self_attn.q_proj.lora_A.weight"


def rewrite(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)


def settings(folder: Path, **changed: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed), encoding="utf-8")


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of shira
@pytest.mark.parametrize("kind", KINDS)
def test_of_every_kind_a_missing_and_an_extra_tensor_are_named_and_leave_the_base_alone(
    kind: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    base = base_of(kind, bases)
    save_kind(kind, base, tmp_path / "a")
    whole = load_file(tmp_path / "a" / "adapter_model.safetensors")
    optional = (
        "base_layer.weight",
        "randlora_A",
        "randlora_B",
    )  # embeddings beside; one tensor of many names
    gone = next(name for name in sorted(whole) if not name.endswith(optional))
    shared = engine(base)
    before = logits(shared)
    for tensors, said in (
        (
            {name: whole[name] for name in whole if name != gone},
            rf"1 tensor missing \({gone} [\dx]+\)\. The file",
        ),
        (
            whole | {f"{gone}s": torch.ones(2, 3)},
            rf"1 tensor that no layer takes \({gone}s 2x3\)\. Its adapter_con",
        ),
    ):
        rewrite(tmp_path / "a", lambda _, tensors=tensors: tensors)  # type: ignore[misc]
        with pytest.raises(UserError, match=said):
            shared.set_adapter(str(tmp_path / "a"))
        assert torch.equal(logits(shared), before)


def without_prefix(tensors: Tensors) -> Tensors:
    return {name.removeprefix("base_model.model."): tensor for name, tensor in tensors.items()}


def wrapped_by_another(tensors: Tensors) -> Tensors:
    return {f"module.{name}": tensor for name, tensor in tensors.items()}


def renamed(tensors: Tensors) -> Tensors:
    return {name.replace(".q_proj.", ".query."): tensor for name, tensor in tensors.items()}


def only_a(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if "lora_A" in name}


def wider(tensors: Tensors) -> Tensors:
    return {name: torch.zeros(4, 64) if "lora_A" in name else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_prefix, r"8 tensors missing .*; 8 tensors that no .* lack the prefix 'base_model.model.'"),
        (wrapped_by_another, r"have a prefix 'module.', as a wrapped model's: take it off"),
        (
            renamed,
            rf"4 tensors missing \({MISSING} 4x32, .* and 1 more\); 4 .* The same shapes have other names",
        ),
        (only_a, r"4 tensors missing \(.*lora_B.weight 32x4, .*The file was cut or saved in part.*'q_proj'"),
        (
            wider,
            r"4 tensors of another shape \(.*lora_A.weight 4x32, in the file 4x64, .* trained on another base",
        ),
        (lambda tensors: {}, r"8 tensors missing"),
    ],
)
def test_what_does_not_match_is_one_line_with_names_sizes_and_the_likely_cause(
    bases: dict[str, Path], tmp_path: Path, change: Callable[[Tensors], Tensors], said: str
) -> None:
    save_kind("lora", bases["llama"], tmp_path / "a")
    rewrite(tmp_path / "a", change)
    with pytest.raises(UserError, match=said) as caught:
        engine(bases["llama"], tmp_path / "a")
    assert "\n" not in str(caught.value)
    save_kind("lora", bases["llama"], tmp_path / "whole")
    with pytest.raises(UserError, match=said):  # beside another one too
        engine(bases["llama"]).attach_adapters([str(tmp_path / "whole"), str(tmp_path / "a")])


def test_names_with_the_adapters_name_in_them_are_peft_s_own_and_loaded(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    wrapped = save_kind("lora", bases["llama"], tmp_path / "a")
    rewrite(
        tmp_path / "a",
        lambda whole: {name.replace(".weight", ".default.weight"): tensor for name, tensor in whole.items()},
    )
    tuned = engine(bases["llama"], tmp_path / "a")
    torch.testing.assert_close(logits(tuned), peft_logits(wrapped), rtol=0, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_a_resized_vocabulary_comes_with_its_embeddings_or_is_refused(tied: bool, tmp_path: Path) -> None:
    import peft

    base = tmp_path / "base"
    build("llama", base)
    if tied:
        path = base / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": True}))
    with checkpoint.silenced(), torch.random.fork_rng():
        torch.manual_seed(0)
        model = checkpoint.from_folder(base, torch.float32)
        rows = model.config.vocab_size
        model.resize_token_embeddings(rows + 3, mean_resizing=False)
        saved = ["embed_tokens"] if tied else ["embed_tokens", "lm_head"]
        config = peft.LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=saved, task_type="CAUSAL_LM")
        wrapped = peft.get_peft_model(model, config).eval()
        draw(wrapped)
        wrapped.save_pretrained(tmp_path / "a")
    shared = engine(base)
    said: list[str] = []
    shared.warn = shared.base._warn = said.append
    before = logits(shared)
    shared.set_adapter(str(tmp_path / "a"))
    torch.testing.assert_close(logits(shared), peft_logits(wrapped), rtol=0, atol=1e-4)
    assert len(logits(shared)) == shared.runner.vocab_size == rows + 3
    shared.set_adapter("")
    assert torch.equal(logits(shared), before)
    name = f"adapter {tmp_path / 'a'}"
    assert said == [
        f"{name} has a vocabulary of {rows + 3} tokens, the base's has {rows}: its own embeddings are used",
        f"{name} changed the base itself (config.vocab_size): the base is loaded anew after it",
    ]
    if not tied:
        rewrite(tmp_path / "a", lambda whole: {n: t for n, t in whole.items() if "lm_head" not in n})
        with pytest.raises(
            UserError, match=rf"resized from {rows} to {rows + 3} tokens.*\(lm_head\): save it"
        ):
            shared.set_adapter(str(tmp_path / "a"))
        assert torch.equal(logits(shared), before)


def test_a_resized_vocabulary_without_its_embeddings_says_how_to_handle_it(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    save_kind("embeddings-lora", bases["llama"], tmp_path / "a")
    rewrite(
        tmp_path / "a",
        lambda whole: {
            name: torch.zeros(4, 403) if "lora_embedding_A" in name else tensor
            for name, tensor in whole.items()
            if "base_layer" not in name
        },
    )
    rows = engine(bases["llama"]).runner.vocab_size
    with pytest.raises(
        UserError, match=rf"resized to 403 tokens, the base's has {rows}: save .* or resize the base"
    ):
        engine(bases["llama"], tmp_path / "a")


def test_what_its_layers_alone_do_not_make_is_refused_by_name(bases: dict[str, Path], tmp_path: Path) -> None:
    save_kind("lora", bases["llama"], tmp_path / "a")
    for changed, said in (
        ({"alora_invocation_tokens": [5]}, "an activated LoRA begins at certain tokens"),
        ({"alora_invocation_tokens": None, "peft_type": "XLORA"}, "X-LoRA weighs several adapters anew"),
        ({"peft_type": "NONESUCH"}, "is of type 'NONESUCH', which is not supported: one of ADALORA"),
    ):
        settings(tmp_path / "a", **changed)
        with pytest.raises(UserError, match=said):
            find_adapter(str(tmp_path / "a"))


def test_a_loftq_initialisation_needs_a_gpu_and_the_message_says_what_else_helps(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    save_kind("lora", bases["llama"], tmp_path / "a")
    settings(tmp_path / "a", init_lora_weights="loftq", loftq_config={"loftq_bits": 4, "loftq_iter": 1})
    with pytest.raises(UserError, match=r"makes LoftQ's base on a GPU.*set init_lora_weights to true"):
        engine(bases["llama"], tmp_path / "a")


def test_another_base_s_name_is_said_and_recorded(
    bases: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base, folder = bases["llama"], tmp_path / "tuned"
    save_kind("lora", base, folder)
    assert "adapter_warnings" not in engine(base, folder).identity
    assert f"adapter {folder}" not in caplog.text
    settings(folder, base_model_name_or_path="acme/coder-7b")
    tokenizer = checkpoint.load_tokenizer(base)
    tokenizer.save_pretrained(folder)
    assert engine(base, folder).identity["adapter_warnings"] == (
        "its adapter_config.json names another base, acme/coder-7b"
    )
    common = ("run", "--task", "conala", "--data", "mini", "--limit", "1", "--model", str(base))
    ended = harness(*common, "--adapter", str(folder), "--out", str(tmp_path / "out"))
    assert ended.code == 0, ended.err
    said = "its adapter_config.json names another base, acme/coder-7b"
    assert json.loads((tmp_path / "out" / "run.json").read_text())["backend"]["adapter_warnings"] == said
    assert f"adapter {folder}: {said}" in caplog.text
    caplog.clear()
    shared = engine(base)
    for adapter in (folder, "", folder):
        shared.set_adapter(str(adapter))
    assert caplog.text.count(said) == 1
    settings(folder, base_model_name_or_path=str(build("llama", tmp_path / "elsewhere")))
    assert "adapter_warnings" not in engine(base, folder).identity  # the same weights
    settings(folder, base_model_name_or_path=str(build("llama", tmp_path / "other", seed=1)))
    assert (
        engine(base, folder).identity["adapter_warnings"].endswith("names another base, other")
    )  # not its place


def test_where_an_adapters_base_lay_and_the_order_of_its_layers_make_no_other_adapter(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    save_kind("lora", bases["llama"], tmp_path / "a")
    digest = find_adapter(str(tmp_path / "a")).digest
    plain = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    moved = {"base_model_name_or_path": "/home/me/base", "target_modules": plain["target_modules"][::-1]}
    settings(tmp_path / "a", **moved)
    assert find_adapter(str(tmp_path / "a")).digest == digest
    settings(tmp_path / "a", lora_alpha=plain["lora_alpha"] + 1)
    assert find_adapter(str(tmp_path / "a")).digest != digest


def test_a_drawn_initialisation_is_the_same_at_every_load_and_doubted(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    save_kind("pissa-niter", bases["llama"], tmp_path / "a")
    one, two = (engine(bases["llama"], tmp_path / "a") for _ in range(2))
    assert one.identity == two.identity
    assert torch.equal(logits(one), logits(two))
    assert "PEFT makes another one at every load" in one.identity["adapter_warnings"]
