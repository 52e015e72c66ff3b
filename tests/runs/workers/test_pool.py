"""Work on several workers: every item once and in order, whichever worker dies; what fails is given up and reported."""

import os
import platform
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import sandbox
from harness.config.backend import BackendConfig
from harness.config.run import RunConfig
from harness.errors import BackendFault, ConfigError, Fault, SandboxFault
from harness.runs.workers import load, pool, processes, work_queue
from harness.runs.workers.backend import PooledBackend
from harness.runs.workers.pool import WorkerPool
from harness.runs.workers.sandbox import PooledSandbox
from harness.runs.workers.tasks import JudgeSpec
from harness.runs.workers.work_queue import ChunkSizer, GivenUp, WorkQueue
from harness.schema import Program, Prompt, Request, Sampling, Task, UnitTests
from tests.backends.hf.test_adapter import save
from tests.support.command import Ended, harness, mini_humaneval, rows, until, write_rows
from tests.support.paths import ROOT
from tests.support.tiny_models import build
from tests.support.worker_roles import CrashingJudgeSpec, DoubleSpec, EchoSpec, InlineLauncher

KILLED = "it was killed (signal 9), as the kernel does when memory runs out"


def doubling(folder: Path, workers: int = 2, **options: Any) -> WorkerPool:
    return WorkerPool(processes.ProcessLauncher(["x"] * workers), DoubleSpec(folder, **options))


# ---------------------------------------------------------------- a work queue, without workers


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_item_has_one_result_in_order_whatever_workers_do(data: st.DataObject) -> None:
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    count, workers = data.draw(st.integers(0, 60)), data.draw(st.integers(1, 4))
    ordered, known = data.draw(st.booleans()), data.draw(st.booleans())
    items: Any = range(count) if known else iter(range(count))
    sizer = ChunkSizer(
        target_seconds=None if data.draw(st.booleans()) else 0.5, minimum=data.draw(st.integers(1, 5))
    )
    queue = WorkQueue(items, workers, sizer, ordered)
    out: deque[list[int]] = deque()
    given: list[tuple[int, Any]] = []
    failures: dict[int, int] = {}
    queue.draw(1)
    while not queue.finished:
        if chunk := queue.next_chunk():
            assert not {*chunk} & {number for other in out for number in other}
            out.append(chunk)
        if out and (not chunk or chance.random() < 0.6):
            taken = out.popleft()
            done = chance.randint(0, len(taken))
            for number in chance.sample(taken, done):
                taken.remove(number)
                queue.complete(number, number * 2, 1)
            if taken and chance.random() < 0.3:
                for number in taken:
                    failures[number] = failures.get(number, 0) + 1
                queue.retry(taken, "gone")
            elif taken:
                queue.requeue(taken)
            sizer.record(done, chance.random())
        given += queue.pop_ready()
    assert sorted(number for number, _ in given) == list(range(count))
    if ordered:
        assert given == sorted(given, key=lambda each: each[0])
    for number, result in given:
        assert result == (GivenUp("gone") if failures.get(number) == work_queue.TRIES else 2 * number)
    assert all(times <= work_queue.TRIES for times in failures.values())


def test_items_are_drawn_only_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_ITEMS", 10)
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(1_000_000):
            drawn += 1
            yield number

    queue = WorkQueue(items(), 2, ChunkSizer(size=1000))
    first = queue.next_chunk()
    assert queue.next_chunk() == []
    assert (len(first), drawn) == (20, 20)
    for number in first[1:]:
        queue.complete(number, None, 1)
    assert list(queue.pop_ready()) == []
    assert queue.next_chunk() == []  # the first result is missing: nothing is ready, so nothing more is drawn
    queue.complete(first[0], None, 1)
    assert len(list(queue.pop_ready())) == 20
    assert len(queue.next_chunk()) == 20


def test_large_items_are_limited_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_BYTES", 50_000)
    monkeypatch.setattr(work_queue, "MAX_CHUNK_BYTES", 20_000)
    queue = WorkQueue(iter([b"x" * 10_000] * 100), 2, ChunkSizer(size=1000))
    assert [len(queue.next_chunk()) for _ in range(4)] == [2, 2, 1, 0]


def test_chunks_of_a_known_number_of_items_halve_towards_the_end() -> None:
    queue = WorkQueue(list(range(100)), 2, ChunkSizer(target_seconds=None, minimum=3))
    sizes = []
    while chunk := queue.next_chunk():
        sizes.append(len(chunk))
    assert sizes == [25, 19, 14, 11, 8, 6, 5, 3, 3, 3, 3]
    assert sum(sizes) == 100


def test_chunks_follow_the_time_that_items_take() -> None:
    sizer = ChunkSizer()
    for _ in range(20):
        sizer.record(int(sizer.size), sizer.size * 0.004)
    assert sizer.size == pytest.approx(250, rel=0.01)
    for _ in range(9):
        sizer.record(int(sizer.size), 0.0)
    assert sizer.size == work_queue.MAX_CHUNK
    for _ in range(40):
        sizer.record(int(sizer.size), sizer.size * 0.1)
    assert sizer.size == pytest.approx(10, rel=0.2)


# ---------------------------------------------------------------- processes


def test_results_come_in_order_from_all_workers_and_no_process_is_left(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        results = list(workers.map("double", None, iter(range(500)), ChunkSizer()))
        assert results == [(n, 2 * n) for n in range(500)]
        pids: set[int] = set()
        until(
            lambda: (
                len(
                    pids.update(pid for _, pid in workers.map("pid", None, [1, 2], ChunkSizer(size=1)))
                    or pids
                )
                == 2
            )
        )
        # A map that is abandoned halfway does not disturb the next one.
        assert next(workers.map("double", None, iter(range(1000)), ChunkSizer())) == (0, 0)
        assert workers.call("double", None, 21) == 42
    for pid in pids:
        assert (tmp_path / f"closed-{pid}").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_never_wait_while_there_is_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_ITEMS", 7)
    workers = WorkerPool(InlineLauncher(3), DoubleSpec(tmp_path))
    for size in (1, 5, 1000):
        for items in (iter(range(200)), range(200)):
            results = list(workers.map("double", None, items, ChunkSizer(size=size)))
            assert results == [(n, 2 * n) for n in range(200)]


def test_no_worker_is_started_without_work(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        assert list(workers.map("double", None, [], ChunkSizer())) == []
        assert list(workers.map("double", None, iter([]), ChunkSizer())) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_workers_items_go_to_others_and_one_that_always_kills_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with doubling(tmp_path, deadly=(30, 77), times=99) as workers:
        # 30 kills three workers, 77 too: items near them are tried again, and all come out.
        results = dict(workers.map("double", None, iter(range(100)), ChunkSizer(size=16)))
        died = {name: len(list(tmp_path.glob(f"died-{name}-*"))) for name in (30, 77)}
        assert died == {30: 3, 77: 3}
        assert len(workers.stats.deaths) == 6
    assert [n for n in range(100) if results[n] != 2 * n] == [30, 77]
    assert isinstance(results[30], GivenUp)
    assert results[30].cause.endswith(f"(x): {KILLED}")
    assert caplog.messages[0].startswith("worker died; its work was requeued: worker ")


def test_an_item_that_faults_is_retried_alone_and_then_reported(tmp_path: Path) -> None:
    with doubling(tmp_path, faulty=(5,)) as workers:
        results = [result for _, result in workers.map("double", None, iter(range(20)), ChunkSizer(size=10))]
        assert results == [2 * n if n != 5 else GivenUp("out of memory at 5") for n in range(20)]
        assert workers.stats.deaths == []  # the worker is well
        with pytest.raises(Fault, match=r"^out of memory at 5$"):
            workers.call("double", None, 5)


def test_a_setup_that_is_impossible_is_the_users_mistake_at_once(tmp_path: Path) -> None:
    with doubling(tmp_path, on_setup="refuse") as workers, pytest.raises(ConfigError) as told:
        list(workers.map("double", None, [1], ChunkSizer()))
    assert str(told.value) in {"worker 0 (x): no such model", "worker 1 (x): no such model"}


def test_one_slot_whose_workers_die_is_disabled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with doubling(tmp_path, on_setup="die at 0", seconds=0.02) as workers:
        assert len(list(workers.map("double", None, range(200), ChunkSizer(target_seconds=0.1)))) == 200
        assert [bool(slot.disabled) for slot in workers.slots] == [True, False]
    assert "worker 0 is not restarted: it died 3 times in a row" in caplog.messages


def test_without_any_worker_the_cause_is_reported(tmp_path: Path) -> None:
    with doubling(tmp_path, on_setup="die") as workers, pytest.raises(Fault) as told:
        list(workers.map("double", None, [1], ChunkSizer()))
    assert str(told.value).startswith("no worker is left; the last one died: worker ")
    assert str(told.value).endswith(f"{KILLED}. Rerun the same command to resume")


def test_workers_whose_results_may_differ_are_refused(tmp_path: Path) -> None:
    with doubling(tmp_path, odd=1, seconds=0.05) as workers, pytest.raises(Fault) as told:
        list(workers.map("double", None, range(200), ChunkSizer()))
    assert "differs from the other workers in weights: " in str(told.value)


def test_waiting_for_the_first_worker_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "START_TIMEOUT_S", -1.0)
    monkeypatch.setattr(pool, "POLL_S", 0.0)
    with doubling(tmp_path) as workers, pytest.raises(Fault, match=r"^no worker started within"):
        list(workers.map("double", None, [1], ChunkSizer()))


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.runs.workers.test_pool import doubling\n"
        "from harness.runs.workers.work_queue import ChunkSizer\n"
        f"workers = doubling(Path({str(tmp_path)!r}), seconds=100.0)\n"
        "list(workers.map('double', None, range(4), ChunkSizer()))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    until(lambda: len(list(tmp_path.glob("pid-*"))) == 2)
    parent.kill()
    parent.wait()
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    until(lambda: not any(map(running, pids)))
    assert all((tmp_path / f"closed-{pid}").exists() for pid in pids)


def running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---------------------------------------------------------------- generating


def asked(count: int, samples: int = 3) -> list[Request]:
    return [Request(str(n), Prompt(text="x"), tuple(range(samples))) for n in range(count)]


def test_what_a_backend_cannot_generate_is_reported_after_everything_else(tmp_path: Path) -> None:
    with doubling(tmp_path, deadly=(7,), times=99) as workers:
        made: list[tuple[str, int]] = []
        backend = PooledBackend(workers, workers.spec)  # type: ignore[arg-type]
        generated = backend.generate(asked(20), Sampling(samples=3))
        with pytest.raises(BackendFault) as told:
            made.extend((one.problem_id, one.index) for one in generated)
    assert sorted(made) == sorted((str(n), i) for n in range(20) for i in range(3) if n != 7)
    assert str(told.value).startswith("1 problem was given up after three tries, 7: worker ")
    assert str(told.value).endswith(f"(x): {KILLED}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("model") / "tiny")


def test_a_study_on_two_devices_makes_the_bytes_of_one_though_a_worker_is_killed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Bases and adapters, drawn samples, likelihoods; the second cell's workers load another adapter."""
    adapter = tmp_path / "adapter"
    save("lora", model, adapter)
    text = (
        f'task = "conala"\ndata = "mini"\nlimit = 6\nscorers = ["perplexity"]\n'
        f'[backend]\nmodel = "{model}"\ndtype = "float32"\ndevice = "auto"\nbatch_size = 2\n'
        f"[sampling]\nsamples = 2\ntemperature = 0.8\nmax_tokens = 8\n[matrix]\nadapter = ['', '{adapter}']\n"
    )
    (tmp_path / "one.toml").write_text(text)
    (tmp_path / "two.toml").write_text(text.replace("batch_size", 'devices = ["cpu", "cpu"]\nbatch_size'))
    assert harness("run", tmp_path / "one.toml", "--out", tmp_path / "one").code == 0

    started: list[processes.WorkerProcess] = []
    start = processes.ProcessLauncher.start

    def recording_start(launcher: processes.ProcessLauncher, slot: int) -> processes.WorkerProcess:
        started.append(start(launcher, slot))
        return started[-1]

    monkeypatch.setattr(processes.ProcessLauncher, "start", recording_start)
    send = processes.WorkerProcess.send

    def send_and_kill(worker: processes.WorkerProcess, payload: bytes) -> None:
        send(worker, payload)
        if worker is started[0] and b"generate" in payload:
            os.kill(worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr(processes.WorkerProcess, "send", send_and_kill)
    assert harness("run", tmp_path / "two.toml", "--out", tmp_path / "two").code == 0
    assert len(started) == 3  # two, and one for the killed; the second cell reuses them
    assert sum(KILLED in message for message in caplog.messages) == 1
    one, two = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.glob("*/*.json*")
            if "timings" not in path.name
        }
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert len(one) == 12
    assert one == two


def test_a_prompt_that_kills_every_worker_ends_the_command_with_3_and_a_rerun_resumes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.toml").write_text(
        f'task = "conala"\ndata = "mini"\nlimit = 6\n[backend]\nmodel = "{model}"\ndevices = ["cpu", "cpu"]\n'
    )
    spec: Any = EchoSpec(tmp_path)
    monkeypatch.setattr(
        processes,
        "open_backend",
        lambda config: PooledBackend(WorkerPool(processes.ProcessLauncher(["a", "b"]), spec), spec),
    )

    def run(out: str) -> Ended:
        return harness("run", tmp_path / "run.toml", "--out", tmp_path / out, "--no-cache")

    assert run("undisturbed").code == 0
    (tmp_path / "deadly").write_text("conala/test/2")
    ended = run("disturbed")
    assert ended.code == 3
    assert "error: 1 problem was given up after three tries, conala/test/2: worker " in ended.err
    assert ended.err.endswith(f"{KILLED}. 5 of 6 samples are kept; rerun the same command to resume\n")
    (tmp_path / "deadly").unlink()
    assert run("disturbed").code == 0
    for name in ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json"):
        there, here = (tmp_path / out / name for out in ("undisturbed", "disturbed"))
        assert there.read_bytes() == here.read_bytes()


def test_a_failed_setup_leaves_the_workers_with_the_task_they_had(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        first = workers.spec
        # Some workers have set up by then, others have not: results of an older setup do not count.
        assert workers.identity == {"weights": "a"}
        with pytest.raises(ConfigError, match=r"^worker . \(x\): no such model$"):
            workers.reconfigure(DoubleSpec(tmp_path, on_setup="refuse"), first)
        assert workers.reconfigure(DoubleSpec(tmp_path, weights="c"), first) == {"weights": "c"}
        assert workers.call("double", None, 1) == 2
        assert [slot.identity for slot in workers.slots] == [{"weights": "c"}] * 2


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"devices": ["cpu"], "device": "cpu"}, "devices has no effect with device = 'cpu'"),
        ({"devices": ["cpu"], "kind": "replay"}, "devices has no effect with kind = 'replay'"),
        ({"devices": "some"}, "backend.devices"),
    ],
)
def test_devices_that_make_no_sense_are_refused(given: dict[str, Any], complaint: str) -> None:
    from harness.config.load import parse

    with pytest.raises(ConfigError, match=complaint):
        parse({"task": "conala", "backend": given})


def test_several_gpus_a_model_are_for_a_cluster() -> None:
    with pytest.raises(ConfigError, match=r"^backend.gpus_per_model is for --executor ray"):
        load(BackendConfig(model="m", gpus_per_model=2), [])


def test_where_it_runs_is_no_part_of_a_run() -> None:
    one = RunConfig(task="conala", backend=BackendConfig(model="m"))
    two = RunConfig(
        task="conala", backend=BackendConfig(model="m", devices=("cuda:0", "cuda:1"), gpus_per_model=4)
    )
    assert one.hash == two.hash


# ---------------------------------------------------------------- judging


def programs(count: int) -> list[Program]:
    """Right, wrong and endless ones, and one with broken tests."""
    kinds = (
        ("def f(x):\n    return x + 1", "assert f(1) == 2"),
        ("def f(x):\n    return x", "assert f(1) == 2"),
        ("def f(x):\n    return x.y", "assert f(1) == 2"),
        ("def f(x):\n    return x", "assert f(1) =="),
    )
    made = [kinds[n % 4] for n in range(count)]
    return [Program(code=code, tests=UnitTests(code=test, entry_point="f")) for code, test in made]


def told(results: Any) -> list[tuple[str, str]]:
    return [
        ("fault", str(one)) if isinstance(one, SandboxFault) else (one.status, one.detail) for one in results
    ]


def test_verdicts_are_those_of_one_pool_in_the_order_of_the_programs() -> None:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        expected = told(pool.map(programs(60)))
        isolation = pool.isolation
    workers = WorkerPool(processes.ProcessLauncher(["a", "b"]), JudgeSpec(sandbox.Settings(workers=1)))
    with PooledSandbox(workers) as box:
        assert told(box.map(iter(programs(60)))) == expected
        assert (box.isolation, box.versions(["python"])) == (isolation, {"python": platform.python_version()})
        assert box.run(programs(1)[0]).status == "passed"
        with pytest.raises(SandboxFault):
            box.run(programs(4)[3])
    assert {status for status, _ in expected} == {"passed", "failed", "error", "fault"}


def test_a_program_that_kills_its_judge_again_and_again_is_a_fault_that_says_so(tmp_path: Path) -> None:
    deadly = programs(1)[0].model_copy(update={"code": "deadly = 1"})
    workers = WorkerPool(processes.ProcessLauncher(["a"]), CrashingJudgeSpec(sandbox.Settings(workers=1)))
    right = [("passed", ""), ("failed", "AssertionError at line 1: assert f(1) == 2")]
    with PooledSandbox(workers) as box:
        results = told(box.map(iter([*programs(2), deadly, *programs(2)])))
    assert results == [*right, ("fault", f"given up after three tries: worker 0 (a): {KILLED}"), *right]


def test_judging_on_workers_leaves_the_same_files(tmp_path: Path) -> None:
    from harness.runs import judge as judging
    from harness.runs import run as runner

    answers = [
        {"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in mini_humaneval()
    ]
    answers[3]["completion"] = "    return None\n"
    path = write_rows(tmp_path / "answers.jsonl", answers)
    config = RunConfig(task="humaneval", data="mini", backend=BackendConfig(kind="replay", path=str(path)))

    def pooled(judge: Any, task: Task) -> PooledSandbox:
        return PooledSandbox(
            WorkerPool(processes.ProcessLauncher(["a", "b"]), JudgeSpec(judging.settings(judge, task)))
        )

    runner.run(config, tmp_path / "one")
    runner.run(config, tmp_path / "two", executor=runner.Executor(open_sandbox=pooled))
    for name in ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert [row["status"] for row in rows(tmp_path / "two" / "judgements.jsonl")].count("passed") == len(
        answers
    ) - 1
