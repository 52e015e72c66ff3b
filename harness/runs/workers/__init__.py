"""The same work on several workers: processes of this machine, one a device, or actors of a cluster.

Theory of operation
-------------------
A run knows a Backend and a Sandbox (schema/). Here are one of each that do nothing themselves: they hand chunks of
their work to workers and give back what comes, so no stage of a run, no scorer and no file can tell. The run's
folder has one writer, the process that was started.

    crew.py       Crew: workers are hired, get chunks, are replaced when they die. One loop for everything
    chunks.py     Round: what is waiting, where it was tried, how large the next chunk is
    hands.py      what a worker does: a model that generates, a sandbox that judges
    wire.py       what crosses: a post to take up, chunks of items, parts of results
    local.py      a Place of processes on this machine
    backend.py    schema.Backend (and Reader) over a crew
    sandbox.py    schema.Sandbox over a crew
    ../cluster.py a Place of Ray actors

An item has one result. A chunk's results come back in parts while it is worked on, so a worker that dies takes
along only what it had begun. Each worker has two chunks at hand and never waits for the next.

Whose fault. A worker that dies is replaced; the items that it had in hand are tried again, the third time one by
one, and after three tries given up with the cause: a fault of the machine, never a score. A place where workers
die three times before they stand, or six times without a chunk done, stays empty; without any worker the run
ends. A user's mistake (no such model here) ends the run at once.

Same bytes. A completion is a function of model, prompt, sampling and seed alone (backends/hf.py), a verdict of
program and tests; so it does not matter who did it, and workers that differ in what their results depend on
(weights, versions, kind of device, sandbox) are refused. Where work was done is written nowhere in the record's
identity: a run begun here can be continued there.
"""

from collections.abc import Sequence

from harness import backends
from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.runs.workers.backend import Fanned
from harness.schema import Backend


def load(config: BackendConfig, problem_ids: Sequence[str]) -> Backend:
    """The configured backend, on one worker a device where the config names devices."""
    if config.gpus_per_model > 1:
        raise ConfigError(
            "backend.gpus_per_model is for --executor ray; one model on all GPUs of this machine is device_map = 'auto'"
        )
    if not config.devices:
        return backends.load(config, problem_ids)
    from harness.runs.workers import processes

    return processes.backend(config)


def with_adapter(backend: Backend, config: BackendConfig) -> Backend:
    """`backends.with_adapter` for a backend of either kind."""
    if isinstance(backend, Fanned):
        return backend.wearing(config)
    return backends.with_adapter(backend, config)
