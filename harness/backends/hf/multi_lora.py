"""Several LoRA adapters on one base at the same time: the rows of a batch are each adapted by their own.

    identities = put_on(engine, configs, probe)    None where they cannot share a batch
    Worn(ids, 2)                                    a prompt that the third of them continues; BASE for none

What a batch computes: LoRA adds B A x to a layer's output (Hu et al. 2021, arXiv 2106.09685). The adapters' A are
stacked, and their B: (x A') * own B', where `own` keeps of each row the columns of its adapter. That is two
products a layer for any number of adapters, with zeros where a row meets another's columns; PEFT's own
(`adapter_names`) are two for each adapter. Ranks and layers may differ.

What is computed alone goes through PEFT's own layers with that one adapter on, to the bit as if it were the only one
there. So the promise of `hf` holds: every completion is the one that would be made without the others.

It is not for DoRA, biases, modules that are saved whole, or layers that are not linear: those are swapped.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from harness.backends import hub
from harness.backends.hf import adapter as hf_adapter
from harness.backends.hf import checkpoint
from harness.config.backend import BackendConfig
from harness.errors import BackendFault, UserError
from harness.schema import Prompt

BASE = -1
PLAIN: Mapping[str, tuple[Any, ...]] = {  # options of a LoRA that can be mixed
    "use_dora": (False, None),
    "bias": ("none", None),
    "lora_bias": (False, None),
    "modules_to_save": (None, []),
    "trainable_token_indices": (None, []),
    "layer_replication": (None, []),
    "alora_invocation_tokens": (None, []),
    "target_parameters": (None, []),
}


class Worn(tuple[int, ...]):
    """Token ids of a prompt that one of several adapters continues; another's are another prompt."""

    adapter: int

    def __new__(cls, ids: Sequence[int], adapter: int) -> Self:
        made = super().__new__(cls, ids)
        made.adapter = adapter
        return made

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return Worn(found, self.adapter) if isinstance(found, tuple) else found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Worn) and self.adapter == other.adapter and super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.adapter, super().__hash__()))


def adapter_of(prompt: Sequence[int]) -> int:
    return prompt.adapter if isinstance(prompt, Worn) else BASE


@dataclass
class Stack:
    """One layer's adapters: A [columns, in] and B [out, columns] with its scaling, and whose each column is."""

    down: Tensor
    up: Tensor
    owner: Tensor

    def __call__(self, x: Tensor, rows: Tensor) -> Tensor:
        """What the rows [rows, ..., in] are changed by, [rows, ..., out]."""
        if x.shape[0] != len(rows):
            raise BackendFault(f"a layer got {x.shape[0]} rows of {len(rows)}: its adapters cannot be mixed")
        own = (rows.to(self.owner.device).unsqueeze(1) == self.owner).to(self.down.dtype)
        inner = x.to(self.down.dtype) @ self.down.T
        return (inner * own.reshape(len(rows), *[1] * (inner.dim() - 2), -1)) @ self.up.T


@dataclass
class Mixed:
    """The adapters that are on a model, and which of them the next pass uses: one for all rows, or each row its own."""

    layers: list[Any]
    rows: Tensor | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def batch(self, adapters: Sequence[int]) -> None:
        self.rows = torch.tensor(adapters, device=self.device)

    def one(self, adapter: int) -> None:
        self.rows = None
        for layer in self.layers:
            layer.enable_adapters(adapter != BASE)
            if adapter != BASE:
                layer.set_adapter(_name(adapter))

    def take_over(self) -> None:
        """Have the layers ask this object which adapters a pass uses."""
        for layer in self.layers:
            layer.forward = self._forward(layer, _stack(layer))

    def _forward(self, layer: Any, stack: Stack) -> Callable[..., Tensor]:
        alone = layer.forward

        def forward(x: Tensor, *given: Any, **more: Any) -> Tensor:
            if self.rows is None:
                found: Tensor = alone(x, *given, **more)
                return found
            result: Tensor = layer.base_layer(x, *given, **more)
            return result + stack(x, self.rows).to(result.dtype)

        return forward


def _name(adapter: int) -> str:
    return f"adapter{adapter}"


def _stack(layer: Any) -> Stack:
    names = sorted(layer.lora_A, key=lambda name: int(name.removeprefix("adapter")))
    downs = [layer.lora_A[name].weight.detach() for name in names]
    ups = [layer.lora_B[name].weight.detach() * layer.scaling[name] for name in names]
    numbers = [int(name.removeprefix("adapter")) for name in names]
    owner = [number for number, down in zip(numbers, downs, strict=True) for _ in range(len(down))]
    return Stack(torch.cat(downs), torch.cat(ups, dim=1), torch.tensor(owner, device=downs[0].device))


def mixable(adapter: hf_adapter.Adapter) -> bool:
    """Whether the adapter is a LoRA and nothing more, by its config."""
    config = json.loads((adapter.folder / "adapter_config.json").read_text(encoding="utf-8"))
    return adapter.kind == "LORA" and all(config.get(key) in values for key, values in PLAIN.items())


def put_on(engine: Any, configs: Sequence[BackendConfig], probe: Prompt) -> list[Mapping[str, str]] | None:
    """Put the adapters of `configs`, all different and of one base, on the engine's model; "" is the base itself.

    What each makes of the engine's identity, in order: number n wears adapter n, or BASE. None, and no adapter on,
    where they cannot be mixed. Raises UserError as `hf.with_adapter` does.
    """
    network = engine.take_off()
    bare = dict(engine.identity)
    folder, commit = hub.find(configs[0].model, configs[0].revision)
    found = [hf_adapter.find(config.adapter) if config.adapter else None for config in configs]
    if not all(adapter is None or mixable(adapter) for adapter in found):
        return None
    for adapter in found:
        if adapter is not None:
            hf_adapter.check(adapter, configs[0].model, folder, commit)
    ids = engine.codec.encode(probe)
    without = network.alone(ids, ()).logits
    wrapped, mixed = _wrapped(network.model, found)
    if mixed is None:
        wrapped.unload()
        return None

    def detach() -> None:
        network.mixed = None
        wrapped.unload()

    network.mixed = mixed
    engine.wearing(bare, detach)
    try:
        for number, adapter in enumerate(found):
            if adapter is not None:
                hf_adapter.prove(adapter.name, network.alone(Worn(ids, number), ()).logits, without)
        if not _agrees(engine, [number if adapter else BASE for number, adapter in enumerate(found)], ids):
            engine.take_off()
            return None
    except BaseException:
        engine.take_off()
        raise
    return [
        {**bare, "adapter": f"{adapter.digest} {adapter.kind} active" if adapter else ""} for adapter in found
    ]


def _wrapped(model: Any, found: Sequence[hf_adapter.Adapter | None]) -> tuple[Any, Mixed | None]:
    """PEFT's model with all adapters on it, and what mixes them; None where a layer cannot."""
    import peft
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer
    from safetensors import SafetensorError

    wrapped: Any = None
    for number, adapter in enumerate(found):
        if adapter is None:
            continue
        where = {"adapter_name": _name(number), "local_files_only": True}
        try:
            with checkpoint.quiet():
                if wrapped is None:
                    wrapped = peft.PeftModel.from_pretrained(model, str(adapter.folder), **where)
                else:
                    wrapped.load_adapter(str(adapter.folder), **where)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
            if wrapped is not None:
                wrapped.unload()
            raise UserError(
                f"adapter {adapter.name} does not fit the model: {checkpoint.first_line(error)}"
            ) from error
    wrapped.eval()
    layers = [module for module in wrapped.modules() if isinstance(module, BaseTunerLayer)]
    plain = all(isinstance(layer, LoraLayer) and _linear(layer) for layer in layers)
    if not plain:
        return wrapped, None
    mixed = Mixed(layers, device=model.device)
    mixed.take_over()
    return wrapped, mixed


def _linear(layer: Any) -> bool:
    """Whether the layer does nothing with its adapters but add B A x."""
    return bool(layer.lora_A) and not (
        layer.lora_embedding_A or layer.lora_variant or any(layer.lora_bias.values())
    )


def _agrees(engine: Any, adapters: Sequence[int], ids: Sequence[int]) -> bool:
    """Whether a mixed batch gives what each adapter gives alone, within the engine's tolerance."""
    network = engine.network
    try:
        together = network.prefill([Worn(ids, adapter) for adapter in adapters]).logits
    except BackendFault:
        return False
    for row, adapter in zip(together, adapters, strict=True):
        alone = network.alone(Worn(ids, adapter), ()).logits
        allowed = max(engine.tolerance, 2.0**-15) * float(alone.abs().masked_fill(alone.isinf(), 0.0).max())
        if float((row - alone).abs().nan_to_num(0.0).max()) > allowed:
            return False
    return True
