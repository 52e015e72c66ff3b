"""Puts an adapter's file into the layers that its config makes, and proves that nothing is left over on either side.

    attached = attach(model, adapter, warn)             LoRA, IA3 ... change layers; prompt tuning adds virtual tokens
    wrapped = put_on(model, adapter, "adapter0", warn)  PEFT's model, with every tensor of the file in its place
    put_beside(wrapped, other, "adapter1")              another one beside it

PEFT passes over what it does not know, and where the file fills nothing it keeps the values that training begins with.
Here every tensor of the file must be used and every tensor that the config makes must be filled: else one error names
them, with their shapes and the likely cause.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.backends.hf import checkpoint
from harness.backends.hf.adapters.adapter import LAYERS, NAME, PROMPTS, Adapter
from harness.errors import BackendFault, UserError

SHOWN = 3  # names that a message lists of each sort
PREFIX = "base_model.model."
WRAPPERS = (
    "module.",
    "_orig_mod.",
    "model.",
    PREFIX,
)  # what names gain or lose when a wrapped model is saved
INNER = ("base_layer", "original_module", "token_adapter")  # PEFT's names for the layer that it has wrapped

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Mismatch:
    """What a file and the layers do not have in common, by the names in the file; `reshaped`: in the file, here."""

    missing: Shapes
    extra: Shapes
    reshaped: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.reshaped)


@dataclass
class AttachedAdapter:
    """A model with an adapter on it; `wrapped` is PEFT's model, which holds all of its tensors.

    `virtual_embeddings` are [tokens, hidden]; `make_prefix` builds a fresh cache of keys and values for a number of
    rows; either stands for `virtual_tokens` tokens. Layers that adapt are in the model itself.
    """

    model: Any
    wrapped: Any
    virtual_embeddings: Any = None
    make_prefix: Callable[[int], Any] | None = None
    virtual_tokens: int = 0


def attach(model: Any, adapter: Adapter, warn: Callable[[str], None]) -> AttachedAdapter:
    """Put the adapter on a transformers model. Raises UserError if it is not whole or does not fit."""
    wrapped = put_on(model, adapter, NAME, warn)
    if adapter.kind in LAYERS:
        return AttachedAdapter(wrapped.get_base_model(), wrapped)
    return _with_virtual_tokens(model, wrapped, adapter.kind)


def _with_virtual_tokens(model: Any, wrapped: Any, kind: str) -> AttachedAdapter:
    import torch

    count = int(wrapped.active_peft_config.num_virtual_tokens)
    with torch.no_grad():
        if kind in PROMPTS:
            embeddings = wrapped.get_prompt(batch_size=1)[0, :count].to(model.device, model.dtype)
            return AttachedAdapter(model, wrapped, virtual_embeddings=embeddings, virtual_tokens=count)

    def make_prefix(rows: int) -> Any:
        return wrapped.get_prompt(batch_size=rows)

    return AttachedAdapter(model, wrapped, make_prefix=make_prefix, virtual_tokens=count)


def check_forward(wrapped: Any, adapter: Adapter, ids: Sequence[int], logits: Any, rounding: float) -> None:
    """The engine's logits after these tokens must be those of PEFT's own forward pass. Raises UserError.

    `rounding`: how far they may be apart, in units of the largest logit (scheduler.TOLERANCE).
    """
    import torch

    inputs = {"input_ids": torch.tensor([ids], device=logits.device)}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    config = wrapped.get_base_model().config
    if config.is_encoder_decoder:
        start = config.decoder_start_token_id
        if start is None:
            return
        inputs["decoder_input_ids"] = torch.tensor([[start]], device=logits.device)
    with torch.inference_mode(), _clear_errors(adapter):
        own = wrapped(**inputs).logits[0, -1].float()
    allowed = rounding * float(own.abs().masked_fill(own.isinf(), 0.0).max())
    if own.shape != logits.shape or float((own - logits).abs().nan_to_num(0.0).max()) > allowed:
        raise UserError(
            f"adapter {adapter.name} ({adapter.kind}) is not supported: PEFT's own forward pass gives other logits"
        )


def put_on(model: Any, adapter: Adapter, name: str, warn: Callable[[str], None]) -> Any:
    """PEFT's model of `model` with the adapter on it. Raises UserError if it is not whole or does not fit."""
    import peft
    import torch

    if adapter.config.get("init_lora_weights") == "loftq" and not torch.cuda.is_available():
        raise UserError(
            f"adapter {adapter.name}: PEFT makes LoftQ's base on a GPU, and there is none here. Save the base that it"
            " was trained on, give that as --model, and set init_lora_weights to true in adapter_config.json"
        )
    with _clear_errors(adapter), checkpoint.silenced(), _seeded():
        tensors = peft.load_peft_weights(str(adapter.folder), device="cpu")
        _resize(model, adapter, tensors, warn)
        _take_off_hooks(model)
        config = _config(adapter)
        kind = peft.MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, peft.PeftModel)
        wrapped = kind(model, config, adapter_name=name)
        _fill(wrapped, adapter, name, tensors)
    return wrapped.eval()


def put_beside(wrapped: Any, adapter: Adapter, name: str) -> None:
    """Add the adapter to PEFT's model, not active. Raises UserError as `put_on` does."""
    import peft

    with _clear_errors(adapter), checkpoint.silenced(), _seeded():
        wrapped.add_adapter(name, _config(adapter))
        _fill(wrapped, adapter, name, peft.load_peft_weights(str(adapter.folder), device="cpu"))
    wrapped.eval()


def _config(adapter: Adapter) -> Any:
    import peft

    config = peft.PeftConfig.from_pretrained(str(adapter.folder))
    config.inference_mode = True
    return config


def _fill(wrapped: Any, adapter: Adapter, name: str, tensors: Mapping[str, Any]) -> None:
    from peft import get_peft_model_state_dict

    expected = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=False)
    allowed = get_peft_model_state_dict(wrapped, adapter_name=name, save_embedding_layers=True)
    found = compare(_shapes(expected), _shapes(allowed), _shapes(tensors))
    rows = wrapped.get_base_model().get_input_embeddings().weight.shape[0]
    if found.reshaped:
        raise UserError(describe(adapter, found, rows))
    given: dict[str, Any] = {}
    handle = wrapped.register_load_state_dict_pre_hook(lambda module, state, *rest: given.update(state))
    try:
        wrapped.load_adapter(
            str(adapter.folder),
            name,
            key_mapping=getattr(wrapped.get_base_model(), "_checkpoint_conversion_mapping", None),
        )
    except KeyError:
        if found:
            raise UserError(describe(adapter, found, rows)) from None
        raise
    finally:
        handle.remove()
    # Names of another version are translated by PEFT: what it made of them counts, in the model's own names.
    if not wrapped.peft_config[name].is_prompt_learning:
        unused = _unused(wrapped, expected, allowed, given, tensors)
        found = unused and (found or unused)
    if found:
        raise UserError(describe(adapter, found, rows))


def _unused(
    wrapped: Any,
    expected: Mapping[str, Any],
    allowed: Mapping[str, Any],
    given: Mapping[str, Any],
    file: Collection[str],
) -> Mismatch:
    """What of `given` (in the model's own names) the model does not have, and what of `expected` it leaves unfilled.

    A tensor with several names is filled under any of them; one that is no parameter or buffer is known by its name in
    the file alone.
    """
    own = wrapped.state_dict()
    filled = {own[key].data_ptr() for key in given if key in own}
    everywhere = {tensor.data_ptr() for tensor in own.values()}
    missing = {
        key: tensor
        for key, tensor in expected.items()
        if tensor.data_ptr() not in filled and (tensor.data_ptr() in everywhere or key not in file)
    }
    # PEFT saves resized embeddings that are modules_to_save a second time, under a name that it does not read.
    extra = {key: given[key] for key in given if key not in own and key not in allowed}
    return Mismatch(_shapes(missing), _shapes(extra), {})


def compare(expected: Shapes, allowed: Shapes, file: Shapes) -> Mismatch:
    """What is expected and not in the file, what is in the file and not allowed, and what has another shape there."""
    here = {**allowed, **expected}
    return Mismatch(
        {key: shape for key, shape in expected.items() if key not in file},
        {key: shape for key, shape in file.items() if key not in here},
        {key: (shape, here[key]) for key, shape in file.items() if key in here and shape != here[key]},
    )


def describe(adapter: Adapter, found: Mismatch, rows: int) -> str:
    """One line for a file that does not match; `rows` is the number of the base's embeddings."""
    reshaped = {
        key: f"{_size(here)}, in the file {_size(file)}" for key, (file, here) in found.reshaped.items()
    }
    parts = [
        _listed(found.missing, "missing"),
        _listed(found.extra, "that no layer takes"),
        _listed(reshaped, "of another shape"),
    ]
    return (
        f"adapter {adapter.name} does not fit the model: {'; '.join(part for part in parts if part)}."
        f" {likely_cause(adapter, found, rows)}"
    )


def _listed(tensors: Mapping[str, Any], what: str) -> str:
    if not tensors:
        return ""
    shown = [
        f"{name} {value if isinstance(value, str) else _size(value)}"
        for name, value in list(tensors.items())[:SHOWN]
    ]
    more = f" and {len(tensors) - SHOWN} more" if len(tensors) > SHOWN else ""
    return f"{len(tensors)} tensor{'s' if len(tensors) > 1 else ''} {what} ({', '.join(shown)}{more})"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"


def likely_cause(adapter: Adapter, found: Mismatch, rows: int) -> str:
    """What most often leads to such a mismatch, and what to do."""
    other = f" (its adapter_config.json names {adapter.base})" if adapter.base else ""
    for file, here in found.reshaped.values():
        for size, own in zip(file, here, strict=False):
            if size != own == rows:
                return (
                    f"Its vocabulary was resized to {size} tokens, the base's has {rows}: save the adapter again with"
                    " save_pretrained(FOLDER, save_embedding_layers=True), or resize the base and give that as --model"
                )
    if found.reshaped:
        return f"It was trained on another base{other}, or its adapter_config.json was changed"
    if found.missing and found.extra:
        for prefix in WRAPPERS:
            if {prefix + key for key in found.extra} & found.missing.keys():
                return f"The names in the file lack the prefix {prefix!r}: put it before them"
            if {key.removeprefix(prefix) for key in found.extra} & found.missing.keys():
                return f"The names in the file have a prefix {prefix!r}, as a wrapped model's: take it off"
        if Counter(found.missing.values()) == Counter(found.extra.values()):
            return f"The same shapes have other names: another architecture{other} or another library's names"
        return f"It was trained on another base{other}, or with another adapter_config.json"
    settings = {key: adapter.config.get(key) for key in ("target_modules", "modules_to_save", "bias")}
    said = ", ".join(f"{key} = {value}" for key, value in settings.items() if value and value != "none")
    if found.missing:
        return f"The file was cut or saved in part, or it is another config's ({said})"
    return f"Its adapter_config.json was changed, or is another adapter's ({said})"


def _resize(model: Any, adapter: Adapter, tensors: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Give the base as many embeddings as the file has, where it has them all. Raises UserError for half of them."""
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    own = {name: module for name, module in model.named_modules() if any(module is layer for layer in layers)}
    there = {}
    for key, tensor in tensors.items():
        name = ".".join(part for part in key.removeprefix(PREFIX).split(".") if part not in INNER)
        if name.removesuffix(".weight") in own:
            there[name.removesuffix(".weight")] = tensor.shape[0]
    rows = layers[0].weight.shape[0]
    if set(there.values()) <= {rows}:
        return
    tied = len({layer.weight.data_ptr() for layer in layers if layer is not None}) == 1
    if len(set(there.values())) > 1 or (not tied and len(there) < len(own)):
        lacking = ", ".join(sorted(own.keys() - there.keys()))
        raise UserError(
            f"adapter {adapter.name} does not fit the model: its vocabulary was resized from {rows} to"
            f" {max(there.values())} tokens, and the file does not hold all of what that resized ({lacking}): save it"
            " with modules_to_save = both, or resize the base and give that as --model"
        )
    size = max(there.values())
    warn(
        f"adapter {adapter.name} has a vocabulary of {size} tokens, the base's has {rows}: its own embeddings are used"
    )
    model.resize_token_embeddings(size, mean_resizing=False)


def _take_off_hooks(model: Any) -> None:
    """Those of a base that lies in part in main memory or on disk: loading puts them on again."""
    if {"cpu", "disk"} & {str(place) for place in getattr(model, "hf_device_map", {}).values()}:
        from accelerate.hooks import remove_hook_from_submodules

        remove_hook_from_submodules(model)


@contextmanager
def _seeded() -> Iterator[None]:
    """Some initialisations draw, and PEFT initialises before it loads: always the same."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


NOT_OURS = (OSError, ValueError, KeyError, RuntimeError, TypeError, AssertionError, ImportError)


@contextmanager
def _clear_errors(adapter: Adapter) -> Iterator[None]:
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BackendFault(f"out of memory when adapter {adapter.name} was put on the model") from error
    except (*NOT_OURS, SafetensorError) as error:
        raise UserError(
            f"adapter {adapter.name} does not fit the model: {checkpoint.first_line(error)}"
        ) from error


def _shapes(tensors: Mapping[str, Any]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
