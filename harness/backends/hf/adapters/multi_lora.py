"""Several LoRA adapters on one base at the same time: each row of a batch is adapted by its own (multi-LoRA).

    identities = attach_adapters(engine, adapters)         None if they cannot share a batch
    AdapterTagged(ids, 2)                                  a prompt that the third of them continues; BASE for none

What a batch computes: LoRA adds B A x to a layer's output (Hu et al. 2021, arXiv 2106.09685). The adapters' A are
stacked, and their B: (x A') * own B', where `own` keeps of each row the columns of its adapter. That is two
products a layer for any number of adapters, with zeros where a row meets another's columns; PEFT's own
(`adapter_names`) are two for each adapter. Ranks and layers may differ.

A single sequence goes through PEFT's own layers with that one adapter active, to the bit as if it were the only one.
So the promise of `hf` holds: every completion is the one that would be made without the other adapters.

Not for DoRA, biases, modules that are saved whole, or layers that are not linear: such adapters are swapped instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from harness.backends.hf.adapters.adapter import PROBE, Adapter, check_effect, describe, find_adapter
from harness.backends.hf.adapters.weights import put_beside, put_on
from harness.errors import BackendFault

BASE = -1
MIXABLE: Mapping[str, tuple[Any, ...]] = {  # LoRA options and the values with which adapters can be mixed
    "init_lora_weights": (True, False, None, "gaussian", "eva", "orthogonal"),  # others rewrite the base
    "use_dora": (False, None),
    "bias": ("none", None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "trainable_token_indices": (None, []),
    "layer_replication": (None, []),
    "alora_invocation_tokens": (None, []),
    "target_parameters": (None, []),
}


class AdapterTagged(tuple[int, ...]):
    """Token ids of a prompt, tagged with the adapter that continues it: with another adapter it is another prompt."""

    adapter: int

    def __new__(cls, ids: Sequence[int], adapter: int) -> Self:
        made = super().__new__(cls, ids)
        made.adapter = adapter
        return made

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return AdapterTagged(found, self.adapter) if isinstance(found, tuple) else found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AdapterTagged) and self.adapter == other.adapter and super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.adapter, super().__hash__()))


def adapter_of(prompt: Sequence[int]) -> int:
    return prompt.adapter if isinstance(prompt, AdapterTagged) else BASE


@dataclass
class StackedLora:
    """One layer's adapters: A [columns, in], B [out, columns] with its scaling, and the adapter of each column."""

    down: Tensor
    up: Tensor
    owner: Tensor

    def __call__(self, x: Tensor, rows: Tensor) -> Tensor:
        """What is added to the layer's output for x [rows, ..., in]: [rows, ..., out]."""
        if x.shape[0] != len(rows):
            raise BackendFault(f"a layer got {x.shape[0]} rows of {len(rows)}: its adapters cannot be mixed")
        own = (rows.to(self.owner.device).unsqueeze(1) == self.owner).to(self.down.dtype)
        inner = x.to(self.down.dtype) @ self.down.T
        return (inner * own.reshape(len(rows), *[1] * (inner.dim() - 2), -1)) @ self.up.T


@dataclass
class MixedAdapters:
    """The adapters attached to a model, and which of them the next pass uses: one for all rows, or each row its own."""

    layers: list[Any]
    rows: Tensor | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def use_rows(self, adapters: Sequence[int]) -> None:
        self.rows = torch.tensor(adapters, device=self.device)

    def use_one(self, adapter: int) -> None:
        self.rows = None
        for layer in self.layers:
            layer.enable_adapters(adapter != BASE)
            if adapter != BASE:
                layer.set_adapter(_name(adapter))

    def patch_layers(self) -> None:
        """Replace the layers' forward functions by ones that follow this object."""
        for layer in self.layers:
            layer.forward = self._forward(layer, _stack(layer))

    def _forward(self, layer: Any, stack: StackedLora) -> Callable[..., Tensor]:
        original = layer.forward

        def forward(x: Tensor, *given: Any, **more: Any) -> Tensor:
            if self.rows is None:
                found: Tensor = original(x, *given, **more)
                return found
            result: Tensor = layer.base_layer(x, *given, **more)
            return result + stack(x, self.rows).to(result.dtype)

        return forward


def _name(adapter: int) -> str:
    return f"adapter{adapter}"


def _stack(layer: Any) -> StackedLora:
    names = sorted(layer.lora_A, key=lambda name: int(name.removeprefix("adapter")))
    downs = [layer.lora_A[name].weight.detach() for name in names]
    ups = [layer.lora_B[name].weight.detach() * layer.scaling[name] for name in names]
    numbers = [int(name.removeprefix("adapter")) for name in names]
    owner = [number for number, down in zip(numbers, downs, strict=True) for _ in range(len(down))]
    return StackedLora(torch.cat(downs), torch.cat(ups, dim=1), torch.tensor(owner, device=downs[0].device))


def mixable(adapter: Adapter) -> bool:
    """Whether the adapter is a LoRA and nothing more, by its config."""
    return adapter.kind == "LORA" and all(
        adapter.config.get(key) in values for key, values in MIXABLE.items()
    )


def attach_adapters(engine: Any, adapters: Sequence[str]) -> list[Mapping[str, str]] | None:
    """Attach these adapters, all different, to the engine's model; "" is the base itself.

    Returns the engine's identity with each of them, in order; the adapters' numbers are their places. None, with no
    adapter attached, if they cannot be mixed. Raises UserError as `Engine.set_adapter` does.
    """
    runner = engine.detach_adapter()
    bare = dict(engine.identity)
    if not all(mixable(find_adapter(adapter)) for adapter in adapters if adapter):
        return None
    both = [engine.find_adapter(adapter) if adapter else (None, ()) for adapter in adapters]
    rows = runner.vocab_size
    if any(engine.codec_of(adapter, rows) is not engine.codec for adapter, _ in both if adapter):
        return None  # prompts of one batch are made with one tokenizer
    found = [adapter for adapter, _ in both]
    ids, base = engine.codec.encode(PROBE), engine.require_base()
    without = base.logits(ids)
    engine.set_attached(bare, ", ".join(adapter.name for adapter in found if adapter))
    try:
        wrapped, mixed = _load_adapters(runner.model, found, engine.warn)
        if (
            mixed is None or base.snapshot.overwritten()
        ):  # an initialisation may take its part out of the base
            engine.detach_adapter()
            return None
        runner.mixed = mixed
        names = {_name(number) for number, adapter in enumerate(found) if adapter}
        loaded = [
            base.snapshot.digest_with(wrapped, _name(number), names - {_name(number)}, unchanged=True)
            if adapter
            else base.digest
            for number, adapter in enumerate(found)
        ]
        for number, adapter in enumerate(found):
            if adapter is not None:
                check_effect(adapter.name, runner.single(AdapterTagged(ids, number), ()).logits, without)
        if not _matches_single(
            engine, [number if adapter else BASE for number, adapter in enumerate(found)], ids
        ):
            engine.detach_adapter()
            return None
    except BaseException:
        engine.detach_adapter()
        raise
    return [
        {**bare, **describe(adapter, digest, doubted)} if adapter else bare
        for (adapter, doubted), digest in zip(both, loaded, strict=True)
    ]


def _load_adapters(
    model: Any, found: Sequence[Adapter | None], warn: Callable[[str], None]
) -> tuple[Any, MixedAdapters | None]:
    """PEFT's model with all adapters loaded, and what mixes them; None if a layer does not allow it."""
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped: Any = None
    for number, adapter in enumerate(found):
        if adapter is None:
            continue
        if wrapped is None:
            wrapped = put_on(model, adapter, _name(number), warn)
        else:
            put_beside(wrapped, adapter, _name(number))
    layers = [module for module in wrapped.modules() if isinstance(module, BaseTunerLayer)]
    mixable_layers = all(isinstance(layer, LoraLayer) and _linear(layer) for layer in layers)
    if not mixable_layers:
        return wrapped, None
    mixed = MixedAdapters(layers, device=model.device)
    mixed.patch_layers()
    return wrapped, mixed


def _linear(layer: Any) -> bool:
    """Whether all that the layer's adapters do is add B A x."""
    return bool(layer.lora_A) and not (
        layer.lora_embedding_A or layer.lora_variant or any(layer.lora_bias.values())
    )


def _matches_single(engine: Any, adapters: Sequence[int], ids: Sequence[int]) -> bool:
    """Whether a mixed batch gives what each adapter gives on a single sequence, up to rounding."""
    runner = engine.runner
    try:
        batched = runner.prefill([AdapterTagged(ids, adapter) for adapter in adapters]).logits
    except BackendFault:
        return False
    for row, adapter in zip(batched, adapters, strict=True):
        single = runner.single(AdapterTagged(ids, adapter), ()).logits
        allowed = engine.rounding * float(single.abs().masked_fill(single.isinf(), 0.0).max())
        if float((row - single).abs().nan_to_num(0.0).max()) > allowed:
            return False
    return True
