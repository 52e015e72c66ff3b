"""Linear layers of a float32 model on a CPU through oneDNN, where that is up to twice as fast as the BLAS of torch.

Torch has both, and takes the BLAS for float32: MKL, which does not use all of a processor that is not Intel's. On one
of Intel's it was measured to be the faster one; layers stay as they are (benchmarks/RESULTS.md). Small products stay
there too, where oneDNN's setting up costs more than it saves. Which of the two computes a layer is a function of the
machine and of its shapes alone, and both round as float32 does. Imports torch; see model_runner.
"""

from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

MIN_MULTIPLICATIONS = (
    1_500_000  # multiplications of a product (rows x inputs x outputs) from which oneDNN is the faster one
)


def pays(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN is the faster one on this processor: by its maker, so that a machine always computes alike."""
    has_mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if not has_mkl or not cpuinfo.is_file():
        return True
    return "GenuineIntel" not in cpuinfo.read_text(encoding="utf-8", errors="replace")


def use_onednn(model: nn.Module) -> int:
    """Have the model's linear layers computed by oneDNN where that pays; how many. Gradients take the usual way."""
    if not torch._C._has_mkldnn or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return 0
    layers = [
        module
        for module in model.modules()
        if type(module) is nn.Linear
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and "forward" not in vars(module)  # else somebody's hook is there
    ]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]
    return len(layers)


def _forward(self: nn.Linear, input: Tensor) -> Tensor:  # named as torch's own, which may be called by name
    weight: Any = self.weight
    if (
        torch.is_grad_enabled()
        or input.dtype != torch.float32
        or input.numel() * len(weight) < MIN_MULTIPLICATIONS
    ):
        return nn.functional.linear(input, weight, self.bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, self.bias, "none", [], "")
    return found
