"""How many rows fit in the memory of a device: `backend.batch_size = "auto"`.

One prompt is computed to measure what a token costs: its keys and values, and on a GPU the peak of the computation
besides. A fifth of the free memory is left unused. A row's need is an upper bound (prompt and `max_tokens` in full,
once running and once prefilled ahead), so a run that ends early uses less. This bounds memory; it does not look for the
fastest batch size: beyond MAX_ROWS rows little is gained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.backends.hf.decoding.decode_loop import PREFILL
from harness.backends.hf.kv_cache import SLACK
from harness.backends.hf.model_runner import ModelRunner

HEADROOM = 0.2  # of the free memory is not planned with
MAX_ROWS: Mapping[str, int] = {"cpu": 64}  # rows after which a step takes about as long a row as before
DEFAULT_MAX_ROWS = 256
CHOICE = 64  # bytes a vocabulary entry while a token is chosen: a few tensors of float64 and int64
WIDTHS = (
    24  # numbers of the hidden size that a token's computation holds at once, where it cannot be measured
)
UNKNOWN = 2**32  # bytes taken to be free where the system does not say


@dataclass(frozen=True)
class MemoryCost:
    """Bytes of memory a token: `kept` in the cache, and needed on top while prompts are `computed`."""

    kept: float
    computed: float


def measure_cost(runner: ModelRunner, prompt: tuple[int, ...]) -> MemoryCost:
    """Measure the cost of a token with one prompt."""
    cuda = runner.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(runner.device)
        before = torch.cuda.memory_allocated(runner.device)
    batch = runner.prefill([prompt])
    tokens = batch.mask.shape[1]
    kept = sum(tensor.nbytes for tensor in _tensors(batch.cache)) / tokens
    if cuda:
        computed = (torch.cuda.max_memory_allocated(runner.device) - before) / tokens - kept
    else:
        computed = WIDTHS * runner.hidden_size * batch.logits.element_size()
    return MemoryCost(kept, max(0.0, computed))


def _tensors(cache: object) -> list[torch.Tensor]:
    """A cache's tensors, whatever kind it is."""
    found: list[torch.Tensor] = []
    for value in vars(cache).values():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, torch.Tensor):
                found.append(each)
            elif type(each).__module__.startswith("transformers.") and hasattr(each, "__dict__"):
                found += _tensors(each)
    return found


def max_rows(cost: MemoryCost, free: float, longest: int, limit: int, vocab_size: int, most: int) -> int:
    """How many rows of `longest` prompt tokens and up to `limit` more fit into `free` bytes; at least 1."""
    row = cost.kept * (2 * longest + limit + SLACK) + CHOICE * vocab_size
    left = free * (1 - HEADROOM) - cost.computed * max(PREFILL, longest)
    return max(1, min(most, int(left / row)))


def row_limit(device: torch.device) -> int:
    return MAX_ROWS.get(device.type, DEFAULT_MAX_ROWS)


def free_memory(device: torch.device) -> float:
    """Bytes that can still be had on the device: within the limits of the machine and of this process's group."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(_machine(Path("/proc/meminfo")), _group(Path("/sys/fs/cgroup")))


def _machine(path: Path) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return UNKNOWN
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else UNKNOWN


def _group(folder: Path) -> float:
    try:
        most, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return max(0, int(most) - int(used))
    except (OSError, ValueError):  # no such file, or no limit ("max")
        return float("inf")
