"""The same work on several workers: processes of this machine, one for each device, or actors of a Ray cluster.

Theory of operation
-------------------
A run knows a Backend and a Sandbox (schema/). Here are one of each that only pass on work: they hand chunks of it to
workers and give back the results, so stages, scorers and files are the same as in one process. The run's folder has
one writer, the process that was started.

    pool.py        WorkerPool: starts workers, dispatches chunks, replaces workers that die. One loop for everything
    work_queue.py  WorkQueue: pending items, retries, the size of the next chunk
    tasks.py       what a worker runs: a model that generates, a sandbox that judges
    protocol.py    messages: TaskSpec and chunks of items to a worker, partial results from it
    processes.py   a Launcher of processes on this machine
    backend.py     schema.Backend (and LikelihoodBackend) over a pool
    sandbox.py     schema.Sandbox over a pool
    ../ray.py      a Launcher of Ray actors

An item has one result. A chunk's results come back while the worker is still busy with it, so a worker that dies
loses only what it had begun. Each worker has a second chunk queued and never waits for the next one.

Faults. A worker that dies is replaced; the items that it had begun are tried again, the third time one by one, and
given up after three tries with the cause: a fault of the machine, never a score. One that hangs counts as dead: a
model of transformers says after each step that it is alive (backends/heartbeat.py), and one that did so and then has
work and says nothing for `backend.stall_s` seconds is killed. Ray's actors and third parties' backends are heard with
their results only, which may take long: they have 15 times that. A slot whose workers die
three times before they have set up, or six times without finishing a chunk, is disabled; without any worker the run
ends.
A user's mistake (no such model here) ends the run at once.

Same bytes. A completion is a function of model, prompt, sampling and seed alone (backends/hf/), a verdict one of
program and tests; so it does not matter which worker made it, and workers that differ in what their results depend
on (weights, versions, kind of device, sandbox) are refused. Where work was done is no part of the record's identity:
a run begun in one place can be continued in another.
"""

from collections.abc import Sequence

from harness import backends
from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.schema import Backend


def load(config: BackendConfig, problem_ids: Sequence[str]) -> Backend:
    """The configured backend, with one worker for each device where the config names devices."""
    if config.gpus_per_model > 1:
        raise ConfigError(
            "backend.gpus_per_model is for --executor ray; one model on all GPUs of this machine is device_map = 'auto'"
        )
    if not config.devices:
        return backends.load(config, problem_ids)
    if not backends.capabilities(config).replicas:
        raise ConfigError(f"devices has no effect with kind = {config.kind!r}: leave one of the two out")
    from harness.runs.workers import processes

    return processes.open_backend(config)
