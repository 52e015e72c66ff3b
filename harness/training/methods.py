"""The base model, quantised or not, and what of it is trained: everything, or one of PEFT's adapters.

Target modules are found by their names in the model itself, so that no table of architectures has to be kept:
by default the attention's query, key and value layers, as in the PEFT study (arXiv 2308.10462); for IA3 also
the feed-forward layers. Options keep PEFT's names.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backends import hub
from harness.backends.hf import checkpoint
from harness.errors import ConfigError, unknown
from harness.training.config import TrainConfig, method_options

# The attention's layers under the names that architectures give them; the first set that a model has is taken.
ATTENTION_LAYERS = (
    ("q_proj", "k_proj", "v_proj"),  # Llama, Mistral, Qwen2, StarCoder2, Gemma, OPT
    ("qkv_proj",),  # CodeGen, Phi-3
    ("query_key_value",),  # GPT-NeoX, Falcon, BLOOM
    ("c_attn",),  # GPT-2, StarCoder
    ("q_attn", "kv_attn"),
    ("Wqkv",),  # MPT
    ("q", "k", "v"),  # T5
    ("query", "key", "value"),
)
FEEDFORWARD_LAYERS = (
    ("gate_proj", "up_proj", "down_proj"),
    ("gate_up_proj", "down_proj"),
    ("fc_in", "fc_out"),
    ("wi_0", "wi_1", "wo"),
    ("wi", "wo"),
    ("mlp.c_fc", "mlp.c_proj"),
    ("dense_h_to_4h", "dense_4h_to_h"),
    ("fc1", "fc2"),
    ("up_proj", "down_proj"),
)
LINEAR_CLASSES = ("Linear", "Linear4bit", "Linear8bitLt", "Conv1D")


@dataclass(frozen=True)
class Base:
    """A model to train and its tokenizer. `name` and `revision` are what an adapter's config says of its base."""

    model: Any
    tokenizer: Any
    folder: Path
    name: str
    revision: str

    @property
    def encoder(self) -> bool:
        return bool(self.model.config.is_encoder_decoder)


def load(config: TrainConfig) -> Base:
    """The base model on its device, and its tokenizer. Raises UserError; never touches the network."""
    folder, commit = hub.find(config.model, config.revision)
    checkpoint.check(folder)
    device = checkpoint.pick_device(config.device)
    dtype = checkpoint.pick_dtype(config.dtype, device.type)
    more: dict[str, Any] = {}
    if config.attention != "auto":
        more["attn_implementation"] = config.attention
    if config.method.startswith("qlora"):
        more["quantization_config"] = checkpoint.quantisation(config.method.removeprefix("qlora-"), dtype)
        more["device_map"] = {"": device}
    model = checkpoint.from_folder(folder, dtype, **more)
    if not config.method.startswith("qlora"):
        model = model.to(device)
    name = config.model if commit else str(folder.resolve())
    return Base(model, checkpoint.load_tokenizer(folder), folder, name, commit)


def linear_names(model: Any) -> list[str]:
    """Full names of the model's linear layers but the one that makes the logits."""
    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if type(module).__name__ in LINEAR_CLASSES and module is not head
    ]


def _has_layers(names: Iterable[str], wanted: Sequence[str]) -> bool:
    known = list(names)
    return all(any(_has_suffix(name, each) for name in known) for each in wanted)


def _has_suffix(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")


def attention_modules(model: Any) -> tuple[str, ...]:
    """The query, key and value layers' names. Raises ConfigError listing what there is."""
    return _first_present(model, ATTENTION_LAYERS, "attention", "peft.target_modules")


def feedforward_modules(model: Any) -> tuple[str, ...]:
    return _first_present(model, FEEDFORWARD_LAYERS, "feed-forward", "peft.feedforward_modules")


def _first_present(model: Any, sets: Sequence[Sequence[str]], what: str, key: str) -> tuple[str, ...]:
    names = linear_names(model)
    for each in sets:
        if _has_layers(names, each):
            return tuple(each)
    short = sorted({name.rsplit(".", 1)[-1] for name in names})
    raise ConfigError(
        f"no {what} layers known in {type(model).__name__}: set {key} to some of {', '.join(short)}"
    )


def _check_modules(model: Any, given: Sequence[str] | str | None, key: str) -> Sequence[str] | str | None:
    """Names that a user gave; each must be a layer of the model."""
    if given is None or given == "all-linear":
        return given
    names = [name for name, _ in model.named_modules()]
    if isinstance(given, str):
        if not any(re.fullmatch(given, name) for name in names):
            names = sorted({name.rsplit(".", 1)[-1] for name in linear_names(model)})
            raise ConfigError(
                f"{key} = {given!r} is a pattern that fits no layer's full name, such as {linear_names(model)[0]!r};"
                f" for layers by their names give a list of some of {', '.join(names)}"
            )
        return given
    for each in given:
        if not _has_layers(names, [each]):
            known = linear_names(model) if key.endswith("target_modules") else names
            short = {name.rsplit(".", 1)[-1] for name in known} - {"", *map(str, range(len(names)))}
            raise ConfigError(f"{key}: {unknown('target module', each, short)}")
    return list(given)


def adapter_config(config: TrainConfig, base: Base) -> Any:
    """The PEFT config of the method; target modules are resolved in `base.model`. Raises ConfigError."""
    import peft

    plain = {k: v for k, v in method_options(config).model_dump().items() if v is not None}
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}
    plain |= {
        "task_type": "SEQ_2_SEQ_LM" if base.encoder else "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "revision": base.revision or None,
    }
    _check_modules(base.model, plain.get("modules_to_save"), "peft.modules_to_save")
    match config.method:
        case "lora" | "dora" | "qlora-8bit" | "qlora-4bit":
            plain["target_modules"] = _check_modules(
                base.model, plain.get("target_modules"), "peft.target_modules"
            ) or list(attention_modules(base.model))
            return peft.LoraConfig(**plain, use_dora=config.method == "dora")
        case "ia3":
            forward = _check_modules(
                base.model, plain.get("feedforward_modules"), "peft.feedforward_modules"
            ) or list(feedforward_modules(base.model))
            target = _check_modules(base.model, plain.get("target_modules"), "peft.target_modules")
            plain["target_modules"] = target or [*attention_modules(base.model), *forward]
            plain["feedforward_modules"] = forward
            return peft.IA3Config(**plain)
        case "prompt":
            if plain["prompt_tuning_init"] == "TEXT":
                if not plain.get("prompt_tuning_init_text"):
                    raise ConfigError("peft.prompt_tuning_init = 'TEXT' needs peft.prompt_tuning_init_text")
                plain["tokenizer_name_or_path"] = str(base.folder)
            return peft.PromptTuningConfig(**plain)
        case "prefix":
            return peft.PrefixTuningConfig(**plain)
        case "p-tuning":
            return peft.PromptEncoderConfig(**plain)
    raise ConfigError(f"method {config.method!r} makes no adapter")


def prepare(config: TrainConfig, base: Base) -> Any:
    """The model ready to train: all weights, or an adapter around it with everything else frozen."""
    model = base.model
    checkpointing = config.optim.gradient_checkpointing
    if config.method == "full":
        if checkpointing:
            model.config.use_cache = False
        return model
    import peft

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if config.method.startswith("qlora"):
            model = peft.prepare_model_for_kbit_training(
                model,
                use_gradient_checkpointing=checkpointing,
                gradient_checkpointing_kwargs={"use_reentrant": False},
            )
        elif checkpointing:
            model.enable_input_require_grads()
        try:
            return peft.get_peft_model(model, adapter_config(config, base))
        except ValueError as error:
            raise ConfigError(f"method {config.method!r}: {checkpoint.first_line(error)}") from error


def count_parameters(model: Any) -> tuple[int, int]:
    """(trainable, all) parameters; packed 4-bit weights count as what they hold."""
    if hasattr(model, "get_nb_trainable_parameters"):
        trainable, total = model.get_nb_trainable_parameters()
        return int(trainable), int(total)
    return (
        sum(p.numel() for p in model.parameters() if p.requires_grad),
        sum(p.numel() for p in model.parameters()),
    )
