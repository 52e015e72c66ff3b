"""One small adapter of each kind that PEFT has and the harness evaluates, with weights that do something.

model = save_kind("pissa", base, folder)        PEFT's own model, trained for no step but with drawn weights
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ATTENTION = ["q_proj", "v_proj"]


def _lora(**more: Any) -> Callable[[], Any]:
    def make() -> Any:
        from peft import LoraConfig

        return LoraConfig(**{"r": 4, "target_modules": ATTENTION, "task_type": "CAUSAL_LM", **more})

    return make


def _of(name: str, **more: Any) -> Callable[[], Any]:
    def make() -> Any:
        import peft

        return getattr(peft, name)(**{"target_modules": ATTENTION, "task_type": "CAUSAL_LM", **more})

    return make


def _prompt(name: str, **more: Any) -> Callable[[], Any]:
    def make() -> Any:
        import peft

        return getattr(peft, name)(num_virtual_tokens=4, task_type="CAUSAL_LM", **more)

    return make


KINDS: Mapping[str, Callable[[], Any]] = {
    "lora": _lora(),
    "patterns": _lora(rank_pattern={"q_proj": 6}, alpha_pattern={"q_proj": 24}),
    "rslora": _lora(use_rslora=True),
    "dora": _lora(use_dora=True),
    "pissa": _lora(init_lora_weights="pissa"),
    "pissa-niter": _lora(init_lora_weights="pissa_niter_4"),
    "olora": _lora(init_lora_weights="olora"),
    "bias-all": _lora(bias="all", target_modules=["fc_in", "qkv_proj"]),
    "bias-lora": _lora(bias="lora_only", target_modules=["fc_in", "qkv_proj"]),
    "lora-bias": _lora(lora_bias=True),
    "head-saved": _lora(modules_to_save=["lm_head"]),
    "embeddings-saved": _lora(modules_to_save=["embed_tokens"]),
    "norm-saved": _lora(modules_to_save=["norm"]),
    "embeddings-lora": _lora(target_modules=["embed_tokens", "q_proj"]),
    "head-lora": _lora(target_modules=["lm_head", "q_proj"]),
    "tokens-lora": _lora(trainable_token_indices=[45, 46, 70]),
    "tokens": _of("TrainableTokensConfig", target_modules=["embed_tokens"], token_indices=[45, 46, 70]),
    "layer-norm": _of("LNTuningConfig", target_modules=["input_layernorm", "norm"]),
    "ia3": _of("IA3Config", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "vera": _of("VeraConfig", r=8, target_modules=["q_proj", "o_proj"]),
    "loha": _of("LoHaConfig", r=4),
    "lokr": _of("LoKrConfig", r=4),
    "oft": _of("OFTConfig", oft_block_size=8),
    "boft": _of("BOFTConfig", boft_block_size=8),
    "hra": _of("HRAConfig", r=4),
    "adalora": _of("AdaLoraConfig", init_r=4, target_r=2, total_step=10),
    "randlora": _of("RandLoraConfig", r=4),
    "fourierft": _of("FourierFTConfig", n_frequency=50),
    "waveft": _of("WaveFTConfig", n_frequency=50),
    "vblora": _of("VBLoRAConfig", r=4, num_vectors=16, vector_length=8),
    "pvera": _of("PveraConfig", r=8, target_modules=["q_proj", "o_proj"]),
    "miss": _of("MissConfig", r=4),
    "c3a": _of("C3AConfig", block_size=8),
    "road": _of("RoadConfig", group_size=16),
    "shira": _of("ShiraConfig", r=4),
    "delora": _of("DeloraConfig", r=4),
    "gralora": _of("GraloraConfig", r=8, gralora_k=2),
    "hira": _of("HiraConfig", r=4),
    "osf": _of("OSFConfig"),
    "replicated": _lora(layer_replication=[[0, 2], [1, 2]]),
    "parameters": _lora(target_modules=[], target_parameters=["q_proj.weight"]),
    "prompt": _prompt("PromptTuningConfig"),
    "p-tuning": _prompt("PromptEncoderConfig", encoder_hidden_size=8),
    "prefix": _prompt("PrefixTuningConfig"),
}
# Of these the base has biases: the tiny codegen.
WITH_BIASES = ("bias-all", "bias-lora")


def save_kind(kind: str, base: Path, folder: Path, seed: int = 0, **changed: Any) -> Any:
    """The adapter, saved; and the model with it on, as PEFT has it. `changed`: options of its config."""
    import peft
    import torch

    from harness.backends.hf import checkpoint

    with checkpoint.silenced(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model, config = checkpoint.from_folder(base, torch.float32), KINDS[kind]()
        config.task_type = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
        for name, value in changed.items():
            setattr(config, name, value)
        wrapped = peft.get_peft_model(model, config)
        draw(wrapped)
        wrapped.save_pretrained(folder)
    return wrapped.eval()


def draw(wrapped: Any) -> None:
    """Move every trained weight away from where training begins."""
    import torch

    with torch.no_grad():
        for weight in wrapped.parameters():
            if weight.requires_grad and weight.is_floating_point():
                weight.add_(0.1 * torch.randn_like(weight))
