"""Trainable parameters as in the PEFT study (arXiv 2308.10462, Table 3), on its architectures without weights."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.config.load import checked
from harness.training import methods
from harness.training.config import TrainConfig


def _t5(**sizes: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(T5Config(vocab_size=32100, **sizes))


def _codegen(width: int, layers: int, heads: int) -> Any:
    from transformers import CodeGenConfig, CodeGenForCausalLM

    sizes = {"n_embd": width, "n_layer": layers, "n_head": heads, "rotary_dim": 32}
    return CodeGenForCausalLM(CodeGenConfig(vocab_size=51200, n_positions=2048, n_ctx=2048, **sizes))


def _llama(width: int, inner: int, layers: int, heads: int, pairs: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32016,
            hidden_size=width,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=pairs,
        )
    )


MODELS: dict[str, Callable[[], Any]] = {
    "CodeT5+-220M": lambda: _t5(d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12),
    "CodeT5+-770M": lambda: _t5(d_model=1024, d_kv=64, d_ff=4096, num_layers=24, num_heads=16),
    "CodeGen-350M": lambda: _codegen(1024, 20, 16),
    "CodeGen2-1B": lambda: _codegen(2048, 16, 8),
    "CodeGen2-3.7B": lambda: _codegen(4096, 16, 16),
    "CodeGen2-7B": lambda: _codegen(4096, 32, 16),
    "CodeLlama-7B": lambda: _llama(4096, 11008, 32, 32, 32),
    "CodeLlama-13B": lambda: _llama(5120, 13824, 40, 40, 40),
    "CodeLlama-34B": lambda: _llama(8192, 22016, 48, 64, 8),
}
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TABLE = {  # LoRA r16, IA3, prompt of 20 tokens, prefix of 10
    "CodeT5+-220M": (2_654_208, 175_104, 30_720, 184_320),
    "CodeT5+-770M": (7_077_888, 466_944, 40_960, 491_520),
    "CodeGen-350M": (1_310_720, 163_840, 20_480, 409_600),
    "CodeGen2-1B": (2_097_152, 262_144, 40_960, 655_360),
    "CodeGen2-3.7B": (4_194_304, 524_288, 81_920, 1_310_720),
    "CodeGen2-7B": (8_388_608, 1_048_576, 81_920, 2_621_440),
    "CodeLlama-7B": (12_582_912, 1_007_616, 81_920, 2_621_440),
}


def trainable(name: str, method: str, peft_options: dict[str, Any]) -> int:
    import torch

    plain = {"model": name, "method": method, "data": [{"task": "conala"}], "peft": peft_options}
    config = checked(TrainConfig, plain, "config")
    with torch.device("meta"):
        base = methods.Base(MODELS[name](), None, None, name, "")  # type: ignore[arg-type]
        return methods.count_parameters(methods.prepare(config, base))[0]


@pytest.mark.parametrize("name", TABLE)
def test_the_counts_are_those_of_table_3(name: str) -> None:
    found = (
        trainable(name, "lora", {"r": 16}),
        trainable(name, "ia3", {}),
        trainable(name, "prompt", {"num_virtual_tokens": 20}),
        trainable(name, "prefix", {"num_virtual_tokens": 10}),
    )
    assert found == TABLE[name]


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("CodeLlama-13B", {}, 19_660_800),
        ("CodeLlama-34B", {}, 26_738_688),
        ("CodeLlama-7B", {"target_modules": SEVEN}, 39_976_960),
        ("CodeLlama-13B", {"target_modules": SEVEN}, 62_586_880),
        ("CodeLlama-34B", {"target_modules": SEVEN}, 108_920_832),
    ],
)
def test_lora_on_larger_models_and_on_all_seven_layers(
    name: str, options: dict[str, Any], count: int
) -> None:
    assert trainable(name, "lora", options) == count


def test_the_multi_task_paper_s_share_of_trained_weights() -> None:
    """2.52 % of a 13B Llama (arXiv 2311.02303): rank 96 on all layers but the keys'."""
    import torch

    options = {"r": 96, "lora_alpha": 32, "target_modules": [name for name in SEVEN if name != "k_proj"]}
    count = trainable("CodeLlama-13B", "lora", options)
    assert count == 336_199_680
    with torch.device("meta"):
        whole = sum(weight.numel() for weight in MODELS["CodeLlama-13B"]().parameters())
    assert round(100 * count / (whole + count), 2) == 2.52
