"""The same run on a Ray cluster of two nodes on this machine: the same bytes, also when a node goes in the middle.

Skipped, with the reason, where Ray is not installed.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'codelm-harness[ray]'")

from harness.config import grid  # noqa: E402
from harness.config.load import parse  # noqa: E402
from harness.config.run import JudgeConfig, RunConfig  # noqa: E402
from harness.errors import ConfigError, SandboxFault, UserError  # noqa: E402
from harness.runs import ray as cluster  # noqa: E402
from harness.runs import run, study  # noqa: E402
from harness.runs.workers.pool import WorkerDied, WorkerPool  # noqa: E402
from harness.runs.workers.protocol import PartialResult, pack  # noqa: E402
from harness.runs.workers.work_queue import ChunkSizer  # noqa: E402
from harness.schema import Program, UnitTests  # noqa: E402
from harness.tasks.loading import registry  # noqa: E402
from tests.support.command import harness, mini_humaneval, write_rows  # noqa: E402
from tests.support.paths import ROOT  # noqa: E402
from tests.support.worker_roles import DoubleSpec  # noqa: E402

FILES = ("run.json", "generations.jsonl", "likelihoods.jsonl", "judgements.jsonl", "summary.json")


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    """A cluster of a head and another node, one processor each, joined."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))  # what workers import is this tree
        node = {"num_cpus": 1, "object_store_memory": 80 << 20}
        made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        made.second = made.add_node(**node)
        ray.init(address=made.address, logging_level="error", log_to_driver=False)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def joined(two_nodes: Any) -> cluster.Cluster:
    """One connection for all tests, so that each node is checked once."""
    return cluster.connect()


@pytest.fixture(scope="module")
def model() -> Path:
    from harness.files import packaged

    return packaged("tasks/demo/model")


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def test_a_grid_on_two_nodes_makes_the_bytes_of_one_machine(
    joined: cluster.Cluster, model: Path, tmp_path: Path
) -> None:
    plain = {
        "data": "mini",
        "limit": 6,
        "scorers": ["perplexity"],
        "backend": {"model": str(model), "dtype": "float32", "batch_size": 2},
        "sampling": {"samples": 2, "temperature": 0.8, "max_tokens": 8},
        "matrix": {
            "method": [{"task": "humaneval"}, {"task": "conala"}, {"task": "conala", "shots": "icl:1"}]
        },
    }
    cells = grid.expand(plain)
    here = study.run(cells, tmp_path / "here")
    there = study.run(cells, tmp_path / "there", executor=joined.executor)
    assert (here.failed, there.failed) == ([], [])
    for (_, one, _), (_, two, _) in zip(here.done, there.done, strict=True):
        assert one.name == two.name
        assert len(files(one)) == 5
        assert files(one) == files(two)


def test_the_command_says_where_it_runs_and_continues_what_was_begun_here(
    two_nodes: Any, joined: cluster.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        {"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in mini_humaneval()
    ]
    answers[2]["completion"] = "    return None\n"
    path = write_rows(tmp_path / "answers.jsonl", answers)
    command = ["score", "humaneval", "--completions", path, "--data", "mini"]
    assert harness(*command, "--out", tmp_path / "one").code == 0
    (tmp_path / "two").mkdir()
    for name in ("run.json", "generations.jsonl"):
        (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    judged = (tmp_path / "one" / "judgements.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "two" / "judgements.jsonl").write_bytes(b"".join(judged[:3]))
    monkeypatch.setattr(cluster, "connect", lambda address: joined)
    assert harness(*command, "--out", tmp_path / "two", "--executor", "ray").code == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_node_that_goes_in_the_middle_changes_nothing_but_the_time(
    two_nodes: Any,
    joined: cluster.Cluster,
    model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once while the model generates, once while programs are judged: each time the cluster goes on with one node."""
    monkeypatch.setattr(
        cluster, "_self_check", lambda judge: ""
    )  # each node that joins would take twenty seconds
    config = parse(
        {
            "task": "humaneval",
            "data": "mini",
            "limit": 12,
            "backend": {"model": str(model), "dtype": "float32", "batch_size": 2},
            "sampling": {"samples": 2, "temperature": 0.8, "max_tokens": 40},
        }
    )
    run.run(config, tmp_path / "here")
    gone = list[str]()

    def step(stage: str, done: int, total: int, *more: float) -> None:
        if stage not in gone and done >= 2:
            gone.append(stage)
            two_nodes.remove_node(two_nodes.second, allow_graceful=False)
            if stage == "generate":
                two_nodes.second = two_nodes.add_node(num_cpus=1, object_store_memory=80 << 20)

    run.run(config, tmp_path / "there", step, executor=joined.executor)
    assert gone == ["generate", "judge"]
    assert any("worker died" in message for message in caplog.messages)
    assert files(tmp_path / "here") == files(tmp_path / "there")
    two_nodes.second = two_nodes.add_node(num_cpus=1, object_store_memory=80 << 20)


@pytest.mark.parametrize("how", ["an error", "no word", "no word of the second request"])
def test_an_actor_that_dies_after_a_partial_result_is_reported_once_that_result_is_received(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream reports its actor's death once: whoever waited for it again would wait for ever."""

    def stream() -> Iterator[bytes]:
        yield pack(PartialResult([(0, "first")], final=how == "no word of the second request"))
        if how == "an error":
            raise ray.exceptions.RayError("x\nThe actor died because its node went")

    monkeypatch.setattr(ray, "wait", lambda streams, **more: (streams, []))
    monkeypatch.setattr(ray, "get", lambda value: value)
    actor = cluster.ActorWorker(0, MagicMock())
    actor.node, actor.streams = "known", [stream(), iter([])]
    launcher = cluster.ActorLauncher(1, {})
    assert launcher.wait([actor], 0.0) == [actor]
    ((partial, _),) = actor.receive()
    assert list(partial.results) == [(0, "first")]
    assert launcher.wait([actor], 0.0) == [actor]
    cause = "The actor died because its node went" if how == "an error" else "its results broke off"
    with pytest.raises(WorkerDied, match=f"^{cause}$"):
        actor.receive()


def test_a_killed_actors_items_go_to_others_and_one_that_always_kills_is_given_up(
    two_nodes: Any, tmp_path: Path
) -> None:
    spec = DoubleSpec(tmp_path, deadly=(5, 12), times=1)
    with WorkerPool(cluster.ActorLauncher(2, {"num_cpus": 0}), spec) as workers:
        results = [result for _, result in workers.map("double", None, iter(range(40)), ChunkSizer(size=10))]
        assert results == [2 * n for n in range(40)]
        # Without those of a node that a busy machine takes for dead.
        assert len([cause for cause in workers.stats.deaths if "node has died" not in cause]) == 2
    # Ray's wording depends on who notices first; every wording says that the process is gone.
    assert all(re.match(r"worker \d.*: .*(died|exit|unavailable)", cause) for cause in workers.stats.deaths)


def test_a_node_whose_sandbox_does_not_hold_gets_no_program(
    two_nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_self_check", through)
    box = cluster.connect().open_sandbox(JudgeConfig(workers=1), registry.task("humaneval"))
    program = Program(code="def f():\n    return 1", tests=UnitTests(code="assert f() == 1", entry_point="f"))
    with box, pytest.raises(SandboxFault) as told:
        box.run(program)
    assert "its sandbox does not hold (reads a file outside), so nothing is judged" in str(told.value)
    assert str(told.value).startswith("worker 0 on ")


def through(judge: str) -> str:
    return "reads a file outside"


def test_a_model_that_a_node_does_not_have_is_named_with_the_node(
    two_nodes: Any, joined: cluster.Cluster, tmp_path: Path
) -> None:
    backend = joined.open_backend(RunConfig(task="t").backend.model_copy(update={"model": "none/such"}), [])
    with pytest.raises(UserError, match=r"^worker . on .*none/such"):
        _ = backend.identity
    backend.close()


def test_models_are_placed_by_the_gpus_that_nodes_claim(
    two_nodes: Any, joined: cluster.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On paper: three nodes with two, five and no GPUs; no GPU is at hand."""
    claimed = [{"NodeID": str(n), "Resources": {"CPU": 8, "GPU": gpus}} for n, gpus in enumerate((2, 5, 0))]
    monkeypatch.setattr(cluster, "_nodes", lambda: claimed)

    def opened(**given: Any) -> Any:
        return joined.open_backend(RunConfig(task="t").backend.model_copy(update={"model": "m", **given}), [])

    one, two = opened(), opened(gpus_per_model=2)
    assert (one.workers.launcher.capacity, one.workers.launcher.resources) == (
        7,
        {"num_gpus": 1, "num_cpus": 0},
    )
    assert (two.workers.launcher.capacity, two.workers.launcher.resources) == (
        3,
        {"num_gpus": 2, "num_cpus": 0},
    )
    assert (one.spec.config.device_map, two.spec.config.device_map) == ("", "balanced")
    with pytest.raises(
        ConfigError, match=r"^backend.gpus_per_model = 6: no node of the cluster has that many GPUs$"
    ):
        opened(gpus_per_model=6)


def test_an_actor_gets_its_gpus_and_no_others(two_nodes: Any, tmp_path: Path) -> None:
    node = two_nodes.add_node(num_cpus=1, num_gpus=4, object_store_memory=80 << 20)
    with WorkerPool(
        cluster.ActorLauncher(2, {"num_gpus": 2, "num_cpus": 0}), DoubleSpec(tmp_path)
    ) as workers:
        seen: set[str] = set()
        for _ in range(100):
            seen |= {result for _, result in workers.map("gpus", None, range(20), ChunkSizer(size=1))}
            if len(seen) == 2:
                break
    two_nodes.remove_node(node)
    assert sorted(seen) in (["0,1", "2,3"], ["0,2", "1,3"], ["0,3", "1,2"])


def test_mistakes_in_where_to_run_are_reported_in_one_line(tmp_path: Path, two_nodes: Any) -> None:
    command = ["run", "--task", "conala", "--data", "mini", "--model", tmp_path, "--executor", "ray"]
    told = harness(*command, "--ray-address", "ray://somewhere:10001").complaint
    assert told.startswith("--ray-address 'ray://somewhere:10001': Ray's client cannot stream results")
    told = harness(*command, "--set", 'backend.devices=["cuda:0"]').complaint
    assert told == "backend.devices are those of one machine: leave the key out with --executor ray"


def test_an_address_without_a_cluster_is_reported_at_once() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(
        UserError, match=rf"^no Ray cluster at '127.0.0.1:{port}': Connection refused; 'ray start'"
    ):
        cluster._check_reachable(f"127.0.0.1:{port}")
    with pytest.raises(UserError, match=r"^--ray-address 'head': expected HOST:PORT"):
        cluster._check_reachable("head")


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    done = harness("run", "--task", "humaneval", "--model", "x", "--data", "mini", "--executor", "ray")
    assert done.complaint == (
        "this needs the package ray, which is not installed: pip install 'codelm-harness[ray]'"
    )
