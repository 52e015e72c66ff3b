"""The processes that train one model together: joining them, waiting for each other, and which one writes.

A launcher (torchrun, accelerate launch) starts the same command once a GPU and numbers the processes; process 0
writes all files, so that the folder must be one that every process sees. Started by nobody, a process is alone
and everything here does nothing. How gradients are added up is the Trainer's affair.
"""

from collections.abc import Iterator
from contextlib import contextmanager


def join(device: str) -> None:
    """Meet the other processes and take this one's own GPU (its LOCAL_RANK); to be called before a model is loaded."""
    from accelerate import PartialState

    PartialState(cpu=device == "cpu")


def number() -> int:
    """Which process this is, from 0 on."""
    import torch.distributed as dist

    return dist.get_rank() if _several() else 0


def count() -> int:
    import torch.distributed as dist

    return dist.get_world_size() if _several() else 1


def wait() -> None:
    """Go on when every process has come here."""
    import torch.distributed as dist

    if _several():
        dist.barrier()


@contextmanager
def first() -> Iterator[None]:
    """The block runs in process 0, then in all others: they find what it has written."""
    if number():
        wait()
    yield
    if not number():
        wait()


def _several() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()
