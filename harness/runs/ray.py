"""The same run on a Ray cluster: its models and sandboxes are with actors, its files with the driver (extra `ray`).

    with cluster.connect(ADDRESS) as joined:
        runner.run(config, executor=joined.executor)

Placing. A model gets one GPU where the cluster has any, or `backend.gpus_per_model` of one node; without GPUs
there is one actor a node. Such
an actor takes no share of processors: it rests while programs are judged. A sandbox is one actor a processor, or as
many as `judge.workers` says.

Before a node judges, the built-in attacks are let loose in its sandbox (doctor.py), once a run and at once on all
nodes; also on a node that joins later. Where one gets through, the run ends. Nodes must have the harness installed in
the same versions, and find models, adapters and databases under the paths that the config names.

What dies is hired anew by the crew (crew/__init__.py), never by Ray, so that one rule counts the tries.
"""

import logging
import os
import pickle
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from harness.config.backend import BackendConfig
from harness.config.run import JudgeConfig
from harness.errors import ConfigError, MissingExtra, SandboxFault, UserError
from harness.runs import workers as crew
from harness.runs.judge import settings
from harness.runs.run import Executor
from harness.runs.workers.backend import Fanned
from harness.runs.workers.pool import Crew, Lost, Worker
from harness.runs.workers.protocol import Desk, Part
from harness.runs.workers.sandbox import FannedSandbox
from harness.runs.workers.tasks import Generating, Judging
from harness.schema import Backend

REACHED_S = 10.0
END_S = 3.0  # for actors to close what they hold
HELD_BACK = 16  # parts that wait with an actor until somebody takes one


def connect(address: str = "") -> "Cluster":
    """The cluster at `address` (HOST:PORT of its head); without one, a Ray that is started on this machine.

    It is joined with the first work, so that a mistake in a config is told before. Raises UserError."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise MissingExtra("engine ray needs Ray: pip install 'codelm-harness[ray]'") from None
    if address.startswith("ray://"):
        raise UserError(
            f"--ray-address {address!r}: Ray's client cannot stream results; start the run on a node of the"
            " cluster and give HOST:6379, or 'auto' there"
        )
    return Cluster(address)


@dataclass
class Cluster:
    """A connection, to be; `joined` here, so left here too: a program that has joined before keeps its own."""

    address: str
    joined: bool = False
    _exams: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        import ray

        if self.joined:
            ray.shutdown()
            self.joined = False

    def _join(self) -> None:
        import ray

        if ray.is_initialized():
            return
        if self.address not in ("", "auto", "local"):
            _check_reachable(self.address)
        own = {"include_dashboard": False} if self.address in ("", "local") else {}
        try:
            ray.init(address=self.address or "local", logging_level=logging.ERROR, **own)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = (
                f"Ray at {self.address!r} does not let this run in"
                if self.address
                else "Ray cannot be started here"
            )
            hint = (
                "; its version must be the same, and a cluster with a token wants RAY_AUTH_MODE and"
                " RAY_AUTH_TOKEN here as on its nodes"
            )
            raise UserError(f"{where}: {_first_line(error)}{hint if self.address else ''}") from None
        self.joined = True

    @property
    def executor(self) -> Executor:
        return Executor(self.open_backend, self.open_sandbox)

    def open_backend(self, config: BackendConfig, problem_ids: Sequence[str]) -> Backend:
        """The model on every GPU or node. Recordings and servers are read and asked by the driver itself."""
        if config.devices:
            raise ConfigError(
                "backend.devices are those of one machine: leave the key out with --executor ray"
            )
        if config.kind != "hf":
            return crew.load(config, problem_ids)
        self._join()
        nodes = _nodes()
        each = config.gpus_per_model
        places = sum(int(node["Resources"].get("GPU", 0)) // each for node in nodes)
        if places:
            place = Actors(places, {"num_gpus": each, "num_cpus": 0})
        elif each > 1:
            raise ConfigError(f"backend.gpus_per_model = {each}: no node of the cluster has so many GPUs")
        else:
            place = Actors(len(nodes), {"num_cpus": 0}, [node["NodeID"] for node in nodes])
        if each > 1 and not config.device_map:
            config = config.model_copy(update={"device_map": "balanced"})
        post = Generating(config, (config.device,), os.getcwd())
        return Fanned(Crew(place, post), post)

    def open_sandbox(self, judge: JudgeConfig, preload: tuple[str, ...] = ()) -> FannedSandbox:
        """Sandboxes on all processors. Raises SandboxFault, when one is used, where an attack gets through."""
        self._join()
        cores = sum(int(node["Resources"].get("CPU", 0)) for node in _nodes())
        workers = judge.workers or cores
        place = Actors(workers, {"num_cpus": 1})
        one = replace(settings(judge, preload), workers=1, crowded=workers >= cores)

        def admit(worker: Worker) -> None:
            assert isinstance(worker, Actor)
            if judge.sandbox != "process":  # which nobody believes to hold, and has to be asked for
                self._examine([node["NodeID"] for node in _nodes()], judge)
                self._examined(worker, judge)

        return FannedSandbox(Crew(place, Judging(one, os.getcwd()), admit))

    def _examine(self, nodes: Sequence[str], judge: JudgeConfig) -> None:
        """Begin the exams of nodes that have not had one."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for node in nodes:
            if node not in self._exams:
                there = NodeAffinitySchedulingStrategy(node, soft=False)
                exam = ray.remote(_exam).options(num_cpus=0, scheduling_strategy=there)
                self._exams[node] = exam.remote(judge.model_dump_json())

    def _examined(self, worker: "Actor", judge: JudgeConfig) -> None:
        import ray

        self._examine([worker.node], judge)
        try:
            through = ray.get(self._exams[worker.node])
        except ray.exceptions.RayError as error:
            del self._exams[worker.node]
            raise Lost(f"its sandbox could not be examined: {_cause(error)}") from None
        if through:
            raise SandboxFault(
                f"{worker.name}: the sandbox does not hold there ({through}): nothing is judged; take that node out of"
                " the cluster, or see what 'harness doctor' says on it"
            )


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes. Raises UserError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--ray-address {address!r}: expected HOST:PORT of the cluster's head, or 'auto'")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED_S).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster at {address!r}: {error.strerror or error}; 'ray start' on the head tells its address"
        ) from None


def _exam(judge: str) -> str:
    """Runs on a node: what gets through its sandbox, empty for nothing."""
    from harness.sandbox import self_check

    found = self_check.check_sandbox(JudgeConfig.model_validate_json(judge))
    if found["isolation"] is None:
        return str(found["error"])
    broken = [each["name"] for each in (*found["probes"], *found["attacks"]) if not each["held"]]
    return ", ".join(broken[:5])


def _nodes() -> list[dict[str, Any]]:
    """The nodes that are there and have processors for work."""
    import ray

    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]


# ---------------------------------------------------------------- a Place of actors


class RemoteDesk:
    """What runs in an actor."""

    def __init__(self) -> None:
        self.desk = Desk()

    def where(self) -> tuple[str, str]:
        """The node's id and address."""
        import ray

        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()

    def parts(self, payload: bytes) -> Any:
        yield from self.desk.parts(payload)

    def close(self) -> None:
        self.desk.close()


class Actors:
    """A Place of so many actors with these resources; `nodes`: one for each where there is room, else anywhere."""

    def __init__(self, slots: int, resources: Mapping[str, float], nodes: Sequence[str] = ()) -> None:
        self.slots = slots
        self.resources = resources
        self.nodes = nodes

    def hire(self, slot: int) -> "Actor":
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy: Any = "SPREAD"
        if self.nodes:
            strategy = NodeAffinitySchedulingStrategy(self.nodes[slot % len(self.nodes)], soft=True)
        options = {
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": strategy,
            **self.resources,
        }
        return Actor(slot, ray.remote(RemoteDesk).options(**options).remote())

    def wait(self, workers: Sequence[Worker], seconds: float) -> Sequence[Worker]:
        import ray

        actors = [worker for worker in workers if isinstance(worker, Actor)]
        if gone := [worker for worker in actors if worker.gone]:
            return gone
        streams = {worker.streams[0]: worker for worker in actors if worker.streams}
        if not streams:
            return []
        ray.wait(list(streams), num_returns=1, timeout=seconds)
        ready, _ = ray.wait(list(streams), num_returns=len(streams), timeout=0)
        return [streams[stream] for stream in ready]

    def dismiss(self, workers: Sequence[Worker]) -> None:
        import ray

        handles = [worker.handle for worker in workers if isinstance(worker, Actor)]
        if handles:
            closing = [handle.close.remote() for handle in handles]
            ray.wait(closing, num_returns=len(closing), timeout=END_S)
        for handle in handles:
            ray.kill(handle)


class Actor:
    """A Worker that is an actor. `node` is known when it has said something; `gone`: what ended it."""

    def __init__(self, slot: int, handle: Any) -> None:
        self.slot = slot
        self.handle = handle
        self.node = ""
        self.streams: list[Any] = []
        self.gone = ""
        self._ended = False  # whether the first stream has given its last part
        self._address = ""
        self._where = handle.where.remote()

    @property
    def name(self) -> str:
        return f"worker {self.slot}" + (f" on {self._address} (node {self.node[:8]})" if self.node else "")

    def give(self, payload: bytes) -> None:
        parts = self.handle.parts.options(
            num_returns="streaming", _generator_backpressure_num_objects=HELD_BACK
        )
        self.streams.append(parts.remote(payload))

    def take(self) -> list[tuple[Part, int]]:
        """Called when there is something to read. Raises Lost when the actor is gone.

        A stream tells of its actor's end once: what came before is handed on first, so the end is kept in `gone`.
        """
        import ray

        taken = []
        try:
            while self.streams and not self.gone:
                if not ray.wait(self.streams[:1], timeout=0)[0]:
                    break
                try:
                    payload = ray.get(next(self.streams[0]))
                except StopIteration:
                    del self.streams[0]
                    self.gone = "" if self._ended else "its results broke off"
                    self._ended = False
                    continue
                if not self.node:
                    self.node, self._address = ray.get(self._where)
                taken.append((pickle.loads(payload), len(payload)))
                self._ended = taken[-1][0].ended
        except ray.exceptions.RayError as error:
            self.gone = _cause(error)
        if self.gone and not taken:
            raise Lost(self.gone)
        return taken


def _cause(error: Exception) -> str:
    """The line of Ray's message that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for mark in ("The actor died because", "The actor is dead because", "was killed", "node was terminated"):
        for line in lines:
            if mark in line:
                return line[:300]
    return lines[-1][:300] if lines else type(error).__name__


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
