"""The processes that train one model together: process group, barrier, and which process writes.

A launcher (torchrun, accelerate launch) starts the same command once a GPU and numbers the processes; process 0
writes all files, so that the folder must be one that every process sees. Without a launcher a process is
alone and everything here does nothing. Gradients are reduced by the Trainer.
"""

from collections.abc import Iterator
from contextlib import contextmanager


def init_process(device: str) -> None:
    """Join the process group and take this process's GPU (its LOCAL_RANK); to be called before a model is loaded."""
    from accelerate import PartialState

    PartialState(cpu=device == "cpu")


def rank() -> int:
    """Which process this is, from 0 on."""
    import torch.distributed as dist

    return dist.get_rank() if _is_distributed() else 0


def world_size() -> int:
    import torch.distributed as dist

    return dist.get_world_size() if _is_distributed() else 1


def barrier() -> None:
    """Wait until every process has come here."""
    import torch.distributed as dist

    if _is_distributed():
        dist.barrier()


@contextmanager
def main_process_first() -> Iterator[None]:
    """The block runs in process 0, then in all others: they find what it has written."""
    if rank():
        barrier()
    yield
    if not rank():
        barrier()


def _is_distributed() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()
