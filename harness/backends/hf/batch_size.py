"""How many rows fit in the memory of a device: `backend.batch_size = "auto"`.

One prompt is computed to see what a token costs: its keys and values, and on a GPU what the computation took
beside them. A fifth of what is free is left alone. What a row needs is an upper bound (as long as its prompt and
`max_tokens` allow, once running and once computed ahead), so a run that ends early uses less. It is a bound for
memory, not a search for the fastest: beyond MOST rows little is gained.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.backends.hf.decoding.decode_loop import PREFILL
from harness.backends.hf.kv_cache import SLACK
from harness.backends.hf.model_runner import Network

HEADROOM = 0.2  # of the free memory is not planned with
MOST: Mapping[str, int] = {"cpu": 64}  # rows after which a step takes about as long a row as before
MOST_ELSEWHERE = 256
CHOICE = 64  # bytes a vocabulary entry while a token is chosen: a few tensors of float64 and int64
WIDTHS = (
    24  # numbers of the hidden size that a token's computation holds at once, where it cannot be measured
)
UNKNOWN = 2**32  # bytes taken to be free where the system does not say


@dataclass(frozen=True)
class Cost:
    """Bytes of memory: kept for each token of a row, needed for each token while prompts are computed."""

    kept: float
    computed: float


def probe(network: Network, prompt: tuple[int, ...]) -> Cost:
    """What the tokens of one prompt cost."""
    cuda = network.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(network.device)
        before = torch.cuda.memory_allocated(network.device)
    lanes = network.prefill([prompt])
    tokens = lanes.mask.shape[1]
    kept = sum(tensor.nbytes for tensor in _tensors(lanes.cache)) / tokens
    if cuda:
        computed = (torch.cuda.max_memory_allocated(network.device) - before) / tokens - kept
    else:
        computed = WIDTHS * network.hidden * lanes.logits.element_size()
    return Cost(kept, max(0.0, computed))


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


def rows(cost: Cost, free: float, longest: int, limit: int, vocabulary: int, most: int) -> int:
    """How many rows of `longest` prompt tokens and up to `limit` more fit into `free` bytes; at least 1."""
    row = cost.kept * (2 * longest + limit + SLACK) + CHOICE * vocabulary
    left = free * (1 - HEADROOM) - cost.computed * max(PREFILL, longest)
    return max(1, min(most, int(left / row)))


def most_rows(device: torch.device) -> int:
    return MOST.get(device.type, MOST_ELSEWHERE)


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
