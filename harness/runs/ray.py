"""The same run on a Ray cluster: models and sandboxes live in actors, files stay with the driver (extra `ray`).

    with ray.connect(ADDRESS) as cluster:
        run.run(config, executor=cluster.executor)

Placement. A model gets one GPU where the cluster has any, or `backend.gpus_per_model` of one node; without GPUs there
is one actor on each node. A model's actor reserves no CPU: it is idle while programs are judged. There is one sandbox
actor for each CPU, or as many as `judge.workers` says.

Before a node judges, the built-in attacks are tried in its sandbox (sandbox/self_check.py), once a run and on all
nodes at the same time; also on a node that joins later. If one gets through, the run ends. Nodes need the same
versions of the harness, and find models, adapters and databases under the paths that the config names.

Actors that die are restarted by the worker pool (workers/__init__.py), never by Ray, so that one rule counts the tries.
"""

import logging
import os
import pickle
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from harness import backends
from harness.config.backend import BackendConfig
from harness.config.run import JudgeConfig
from harness.errors import ConfigError, SandboxFault, UserError
from harness.runs import workers
from harness.runs.judge import settings
from harness.runs.run import Executor
from harness.runs.workers.backend import PooledBackend
from harness.runs.workers.pool import WorkerDied, WorkerHandle, WorkerPool
from harness.runs.workers.protocol import PartialResult, WorkerServer
from harness.runs.workers.sandbox import PooledSandbox
from harness.runs.workers.tasks import GenerateSpec, JudgeSpec
from harness.schema import Backend, Task

CONNECT_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0  # for actors to release what they hold
MAX_UNREAD = 16  # partial results of an actor that wait to be received


def connect(address: str = "") -> "Cluster":
    """The cluster at `address` (HOST:PORT of its head); without one, a Ray that is started on this machine.

    The connection is made with the first work, after the config has been checked. Raises UserError."""
    import ray  # noqa: F401

    if address.startswith("ray://"):
        raise UserError(
            f"--ray-address {address!r}: Ray's client cannot stream results; start the run on a node of the"
            " cluster and give HOST:6379, or 'auto' there"
        )
    return Cluster(address)


@dataclass
class Cluster:
    """A connection, made when it is needed. `connected`: by this object, which then disconnects; a program that was
    connected before stays so."""

    address: str
    connected: bool = False
    _self_checks: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        import ray

        if self.connected:
            ray.shutdown()
            self.connected = False

    def _connect(self) -> None:
        import ray

        if ray.is_initialized():
            return
        if self.address not in ("", "auto", "local"):
            _check_reachable(self.address)
        options = {"include_dashboard": False} if self.address in ("", "local") else {}
        try:
            ray.init(address=self.address or "local", logging_level=logging.ERROR, **options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = (
                f"cannot connect to Ray at {self.address!r}"
                if self.address
                else "cannot start Ray on this machine"
            )
            hint = (
                "; it needs the same version of Ray, and a cluster with a token needs RAY_AUTH_MODE and"
                " RAY_AUTH_TOKEN here as on its nodes"
            )
            raise UserError(f"{where}: {_first_line(error)}{hint if self.address else ''}") from None
        self.connected = True

    @property
    def executor(self) -> Executor:
        return Executor(self.open_backend, self.open_sandbox)

    def open_backend(self, config: BackendConfig, problem_ids: Sequence[str]) -> Backend:
        """The model on every GPU or node. A backend of which there is only one is used by the driver itself."""
        if config.devices:
            raise ConfigError(
                "backend.devices are those of one machine: leave the key out with --executor ray"
            )
        if not backends.capabilities(config).replicas:
            return workers.load(config, problem_ids)
        self._connect()
        nodes = _nodes()
        gpus = config.gpus_per_model
        copies = sum(int(node["Resources"].get("GPU", 0)) // gpus for node in nodes)
        if copies:
            launcher = ActorLauncher(copies, {"num_gpus": gpus, "num_cpus": 0})
        elif gpus > 1:
            raise ConfigError(f"backend.gpus_per_model = {gpus}: no node of the cluster has that many GPUs")
        else:
            launcher = ActorLauncher(len(nodes), {"num_cpus": 0}, [node["NodeID"] for node in nodes])
        if gpus > 1 and not config.device_map:
            config = config.model_copy(update={"device_map": "balanced"})
        spec = GenerateSpec(config, (config.device,), os.getcwd())
        return PooledBackend(WorkerPool(launcher, spec, stall_s=config.stall_s), spec)

    def open_sandbox(self, judge: JudgeConfig, task: Task) -> PooledSandbox:
        """Sandboxes on all CPUs. Raises SandboxFault, when one is used, where an attack gets through."""
        self._connect()
        cpus = sum(int(node["Resources"].get("CPU", 0)) for node in _nodes())
        count = judge.workers or cpus
        launcher = ActorLauncher(count, {"num_cpus": 1})
        one = replace(settings(judge, task), workers=1, crowded=count >= cpus)

        def admit(worker: WorkerHandle) -> None:
            assert isinstance(worker, ActorWorker)
            if judge.sandbox != "process":  # no isolation, and used only on request
                self._start_self_checks([node["NodeID"] for node in _nodes()], judge)
                self._require_self_check(worker, judge)

        return PooledSandbox(WorkerPool(launcher, JudgeSpec(one, os.getcwd()), admit, judge.stall_s))

    def _start_self_checks(self, nodes: Sequence[str], judge: JudgeConfig) -> None:
        """On the nodes that have not had one."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for node in nodes:
            if node not in self._self_checks:
                on_node = NodeAffinitySchedulingStrategy(node, soft=False)
                check = ray.remote(_self_check).options(num_cpus=0, scheduling_strategy=on_node)
                self._self_checks[node] = check.remote(judge.model_dump_json())

    def _require_self_check(self, worker: "ActorWorker", judge: JudgeConfig) -> None:
        import ray

        self._start_self_checks([worker.node], judge)
        try:
            broken = ray.get(self._self_checks[worker.node])
        except ray.exceptions.RayError as error:
            del self._self_checks[worker.node]
            raise WorkerDied(f"its sandbox could not be checked: {_cause(error)}") from None
        if broken:
            raise SandboxFault(
                f"{worker.name}: its sandbox does not hold ({broken}), so nothing is judged; remove the node from the"
                " cluster, or run 'harness doctor' on it"
            )


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes. Raises UserError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"--ray-address {address!r}: expected HOST:PORT of the cluster's head, or 'auto'")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster at {address!r}: {error.strerror or error}; 'ray start' on the head prints its address"
        ) from None


def _self_check(judge: str) -> str:
    """Runs on a node: the attacks that get through its sandbox, empty for none."""
    from harness.sandbox import self_check

    found = self_check.check_sandbox(JudgeConfig.model_validate_json(judge))
    if found["isolation"] is None:
        return str(found["error"])
    broken = [each["name"] for each in (*found["probes"], *found["attacks"]) if not each["held"]]
    return ", ".join(broken[:5])


def _nodes() -> list[dict[str, Any]]:
    """The nodes that are alive and have CPUs for work."""
    import ray

    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]


# ---------------------------------------------------------------- a Launcher of actors


class ActorServer:
    """What runs in an actor."""

    def __init__(self) -> None:
        self.server = WorkerServer()

    def location(self) -> tuple[str, str]:
        """The node's id and address."""
        import ray

        return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address()

    def handle(self, payload: bytes) -> Any:
        yield from self.server.handle(payload)

    def close(self) -> None:
        self.server.close()


class ActorLauncher:
    """A Launcher of so many actors with these resources; `nodes`: one on each while there is room, else anywhere."""

    def __init__(self, capacity: int, resources: Mapping[str, float], nodes: Sequence[str] = ()) -> None:
        self.capacity = capacity
        self.resources = resources
        self.nodes = nodes

    def start(self, slot: int) -> "ActorWorker":
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
        return ActorWorker(slot, ray.remote(ActorServer).options(**options).remote())

    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> Sequence[WorkerHandle]:
        import ray

        actors = [worker for worker in workers if isinstance(worker, ActorWorker)]
        if dead := [worker for worker in actors if worker.death_cause]:
            return dead
        streams = {worker.streams[0]: worker for worker in actors if worker.streams}
        if not streams:
            return []
        ray.wait(list(streams), num_returns=1, timeout=seconds)
        ready, _ = ray.wait(list(streams), num_returns=len(streams), timeout=0)
        return [streams[stream] for stream in ready]

    def stop(self, workers: Sequence[WorkerHandle]) -> None:
        import ray

        actors = [worker.actor for worker in workers if isinstance(worker, ActorWorker)]
        if actors:
            closing = [actor.close.remote() for actor in actors]
            ray.wait(closing, num_returns=len(closing), timeout=STOP_TIMEOUT_S)
        for actor in actors:
            ray.kill(actor)


class ActorWorker:
    """A WorkerHandle of an actor. `node` is known once a result has come; `streams`: of each request, in order."""

    def __init__(self, slot: int, actor: Any) -> None:
        self.slot = slot
        self.actor = actor
        self.node = ""
        self.streams: list[Any] = []
        self.death_cause = ""
        self._final = False  # whether the first stream has given its final result
        self._address = ""
        self._location = actor.location.remote()

    @property
    def name(self) -> str:
        return f"worker {self.slot}" + (f" on {self._address} (node {self.node[:8]})" if self.node else "")

    def send(self, payload: bytes) -> None:
        handle = self.actor.handle.options(
            num_returns="streaming", _generator_backpressure_num_objects=MAX_UNREAD
        )
        self.streams.append(handle.remote(payload))

    def receive(self) -> list[tuple[PartialResult, int]]:
        """Called when there is something to read. Raises WorkerDied when the actor is gone.

        A stream reports its actor's death once. Results that came before are returned first, so the death is kept in
        `death_cause`.
        """
        import ray

        received = []
        try:
            while self.streams and not self.death_cause:
                if not ray.wait(self.streams[:1], timeout=0)[0]:
                    break
                try:
                    payload = ray.get(next(self.streams[0]))
                except StopIteration:
                    del self.streams[0]
                    self.death_cause = "" if self._final else "its results broke off"
                    self._final = False
                    continue
                if not self.node:
                    self.node, self._address = ray.get(self._location)
                received.append((pickle.loads(payload), len(payload)))
                self._final = received[-1][0].final
        except ray.exceptions.RayError as error:
            self.death_cause = _cause(error)
        if self.death_cause and not received:
            raise WorkerDied(self.death_cause)
        return received


def _cause(error: Exception) -> str:
    """The line of Ray's message that names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for mark in ("The actor died because", "The actor is dead because", "was killed", "node was terminated"):
        for line in lines:
            if mark in line:
                return line[:300]
    return lines[-1][:300] if lines else type(error).__name__


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
