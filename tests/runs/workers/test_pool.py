"""Work on several workers: every item once and in order, whoever dies; what cannot be done is given up, and told."""

import os
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
from harness.runs.workers import load, processes, work_queue
from harness.runs.workers import pool as crew
from harness.runs.workers.backend import Fanned
from harness.runs.workers.pool import Crew
from harness.runs.workers.sandbox import FannedSandbox
from harness.runs.workers.tasks import Judging
from harness.runs.workers.work_queue import GivenUp, Pace, Round
from harness.schema import Program, Prompt, Request, Sampling, UnitTests
from tests.backends.hf.test_adapter import save
from tests.support.command import Ended, harness, mini_humaneval, rows, until, write_rows
from tests.support.paths import ROOT
from tests.support.tiny_models import build
from tests.support.worker_roles import DeadlyJudging, Doubling, Here, Speaking

KILLED = "it was killed (signal 9), as the kernel does when memory runs out"


def doubling(folder: Path, workers: int = 2, **told: Any) -> Crew:
    return Crew(processes.Processes(["x"] * workers), Doubling(folder, **told))


# ---------------------------------------------------------------- a round, without workers


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_item_has_one_result_in_order_whatever_workers_do(data: st.DataObject) -> None:
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    count, workers = data.draw(st.integers(0, 60)), data.draw(st.integers(1, 4))
    ordered, known = data.draw(st.booleans()), data.draw(st.booleans())
    items: Any = range(count) if known else iter(range(count))
    pace = Pace(seconds=None if data.draw(st.booleans()) else 0.5, least=data.draw(st.integers(1, 5)))
    work = Round(items, workers, pace, ordered)
    out: deque[list[int]] = deque()
    given: list[tuple[int, Any]] = []
    failures: dict[int, int] = {}
    work.draw(1)
    while not work.finished:
        if chunk := work.chunk():
            assert not {*chunk} & {number for other in out for number in other}
            out.append(chunk)
        if out and (not chunk or chance.random() < 0.6):
            taken = out.popleft()
            done = chance.randint(0, len(taken))
            for number in chance.sample(taken, done):
                taken.remove(number)
                work.take(number, number * 2, 1)
            if taken and chance.random() < 0.3:
                for number in taken:
                    failures[number] = failures.get(number, 0) + 1
                work.lost(taken, "gone")
            elif taken:
                work.back(taken)
            pace.learn(done, chance.random())
        given += work.due()
    assert sorted(number for number, _ in given) == list(range(count))
    if ordered:
        assert given == sorted(given, key=lambda each: each[0])
    for number, result in given:
        assert result == (GivenUp("gone") if failures.get(number) == work_queue.TRIES else 2 * number)
    assert all(times <= work_queue.TRIES for times in failures.values())


def test_items_are_drawn_only_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "AHEAD", 10)
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(1_000_000):
            drawn += 1
            yield number

    work = Round(items(), 2, Pace(size=1000))
    first = work.chunk()
    assert work.chunk() == []
    assert (len(first), drawn) == (20, 20)
    for number in first[1:]:
        work.take(number, None, 1)
    assert list(work.due()) == []
    assert work.chunk() == []  # the first result is missing: nothing is due, so nothing more is drawn
    work.take(first[0], None, 1)
    assert len(list(work.due())) == 20
    assert len(work.chunk()) == 20


def test_heavy_items_are_held_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "HELD", 50_000)
    monkeypatch.setattr(work_queue, "CHUNK_BYTES", 20_000)
    work = Round(iter([b"x" * 10_000] * 100), 2, Pace(size=1000))
    assert [len(work.chunk()) for _ in range(4)] == [2, 2, 1, 0]


def test_chunks_of_a_known_number_of_items_halve_towards_the_end() -> None:
    work = Round(list(range(100)), 2, Pace(seconds=None, least=3))
    sizes = []
    while chunk := work.chunk():
        sizes.append(len(chunk))
    assert sizes == [25, 19, 14, 11, 8, 6, 5, 3, 3, 3, 3]
    assert sum(sizes) == 100


def test_chunks_follow_the_time_that_items_take() -> None:
    pace = Pace()
    for _ in range(20):
        pace.learn(int(pace.size), pace.size * 0.004)
    assert pace.size == pytest.approx(250, rel=0.01)
    for _ in range(9):
        pace.learn(int(pace.size), 0.0)
    assert pace.size == work_queue.MOST
    for _ in range(40):
        pace.learn(int(pace.size), pace.size * 0.1)
    assert pace.size == pytest.approx(10, rel=0.2)


# ---------------------------------------------------------------- processes


def test_results_come_in_order_from_all_workers_and_nobody_is_left(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        results = list(workers.each("double", None, iter(range(500)), Pace()))
        assert results == [(n, 2 * n) for n in range(500)]
        pids: set[int] = set()
        until(
            lambda: (
                len(pids.update(pid for _, pid in workers.each("pid", None, [1, 2], Pace(size=1))) or pids)
                == 2
            )
        )
        # A round that nobody wants the rest of is no round's trouble that comes after it.
        assert next(workers.each("double", None, iter(range(1000)), Pace())) == (0, 0)
        assert workers.one("double", None, 21) == 42
    for pid in pids:
        assert (tmp_path / f"closed-{pid}").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_never_wait_while_there_is_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "AHEAD", 7)
    workers = Crew(Here(3), Doubling(tmp_path))
    for size in (1, 5, 1000):
        for items in (iter(range(200)), range(200)):
            results = list(workers.each("double", None, items, Pace(size=size)))
            assert results == [(n, 2 * n) for n in range(200)]


def test_nobody_is_hired_for_nothing(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        assert list(workers.each("double", None, [], Pace())) == []
        assert list(workers.each("double", None, iter([]), Pace())) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_workers_items_go_to_others_and_one_that_always_kills_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with doubling(tmp_path, deadly=(30, 77), times=99) as workers:
        # 30 kills three workers, 77 too: items near them are tried again, and all come out.
        results = dict(workers.each("double", None, iter(range(100)), Pace(size=16)))
        died = {name: len(list(tmp_path.glob(f"died-{name}-*"))) for name in (30, 77)}
        assert died == {30: 3, 77: 3}
        assert len(workers.tally.losses) == 6
    assert [n for n in range(100) if results[n] != 2 * n] == [30, 77]
    assert isinstance(results[30], GivenUp)
    assert results[30].cause.endswith(f"(x): {KILLED}")
    assert caplog.messages[0].startswith("a worker was lost, its work is done again: worker ")


def test_a_fault_is_tried_again_by_itself_and_then_told(tmp_path: Path) -> None:
    with doubling(tmp_path, faulty=(5,)) as workers:
        results = [result for _, result in workers.each("double", None, iter(range(20)), Pace(size=10))]
        assert results == [2 * n if n != 5 else GivenUp("out of memory at 5") for n in range(20)]
        assert workers.tally.losses == []  # the worker is well
        with pytest.raises(Fault, match=r"^out of memory at 5$"):
            workers.one("double", None, 5)


def test_a_post_that_cannot_be_had_is_the_users_mistake_at_once(tmp_path: Path) -> None:
    with doubling(tmp_path, opening="refuse") as workers, pytest.raises(ConfigError) as told:
        list(workers.each("double", None, [1], Pace()))
    assert str(told.value) in {"worker 0 (x): no such post", "worker 1 (x): no such post"}


def test_one_place_where_workers_die_is_left_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with doubling(tmp_path, opening="die at 0", seconds=0.02) as workers:
        assert len(list(workers.each("double", None, range(200), Pace(seconds=0.1)))) == 200
        assert [bool(seat.away) for seat in workers.seats] == [True, False]
    assert "no further worker is started in its place: 3 were lost in a row" in caplog.messages


def test_without_any_worker_the_cause_is_told(tmp_path: Path) -> None:
    with doubling(tmp_path, opening="die") as workers, pytest.raises(Fault) as told:
        list(workers.each("double", None, [1], Pace()))
    assert str(told.value).startswith("no worker is left, the last was lost: worker ")
    assert str(told.value).endswith(f"{KILLED}; run the same command again to go on")


def test_workers_whose_results_may_differ_are_refused(tmp_path: Path) -> None:
    with doubling(tmp_path, odd=1, seconds=0.05) as workers, pytest.raises(Fault) as told:
        list(workers.each("double", None, range(200), Pace()))
    assert "differs from the others in weights: " in str(told.value)


def test_a_clock_without_any_worker_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "START_S", -1.0)
    monkeypatch.setattr(crew, "LISTEN_S", 0.0)
    with doubling(tmp_path) as workers, pytest.raises(Fault, match=r"^no worker has started within"):
        list(workers.each("double", None, [1], Pace()))


def test_workers_end_when_their_asker_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.runs.workers.test_pool import doubling\n"
        "from harness.runs.workers.work_queue import Pace\n"
        f"work = doubling(Path({str(tmp_path)!r}), seconds=100.0)\n"
        "list(work.each('double', None, range(4), Pace()))"
    )
    asker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    until(lambda: len(list(tmp_path.glob("pid-*"))) == 2)
    asker.kill()
    asker.wait()
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


def test_what_a_backend_cannot_generate_is_told_after_everything_else(tmp_path: Path) -> None:
    with doubling(tmp_path, deadly=(7,), times=99) as workers:
        made: list[tuple[str, int]] = []
        backend = Fanned(workers, workers.post)  # type: ignore[arg-type]
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
    """Bases and adapters, drawn samples, likelihoods; the second cell's workers take another adapter on."""
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

    hired: list[processes.Process] = []
    hire = processes.Processes.hire

    def noted(place: processes.Processes, slot: int) -> processes.Process:
        hired.append(hire(place, slot))
        return hired[-1]

    monkeypatch.setattr(processes.Processes, "hire", noted)
    give = processes.Process.give

    def give_and_kill(worker: processes.Process, payload: bytes) -> None:
        give(worker, payload)
        if worker is hired[0] and b"generate" in payload:
            os.kill(worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr(processes.Process, "give", give_and_kill)
    assert harness("run", tmp_path / "two.toml", "--out", tmp_path / "two").code == 0
    assert len(hired) == 3  # two, and one for the killed; the second cell finds them there
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


def test_a_prompt_that_kills_every_worker_ends_the_command_with_3_and_the_same_command_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run.toml").write_text(
        f'task = "conala"\ndata = "mini"\nlimit = 6\n[backend]\nmodel = "{model}"\ndevices = ["cpu", "cpu"]\n'
    )
    post: Any = Speaking(tmp_path)
    monkeypatch.setattr(
        processes, "backend", lambda config: Fanned(Crew(processes.Processes(["a", "b"]), post), post)
    )

    def run(out: str) -> Ended:
        return harness("run", tmp_path / "run.toml", "--out", tmp_path / out, "--no-cache")

    assert run("undisturbed").code == 0
    (tmp_path / "deadly").write_text("conala/test/2")
    ended = run("disturbed")
    assert ended.code == 3
    assert "error: 1 problem was given up after three tries, conala/test/2: worker " in ended.err
    assert ended.err.endswith(f"{KILLED}. 5 of 6 samples are kept; the same command makes the rest\n")
    (tmp_path / "deadly").unlink()
    assert run("disturbed").code == 0
    for name in ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json"):
        there, here = (tmp_path / out / name for out in ("undisturbed", "disturbed"))
        assert there.read_bytes() == here.read_bytes()


def test_a_refused_post_leaves_the_workers_with_the_one_they_had(tmp_path: Path) -> None:
    with doubling(tmp_path) as workers:
        first = workers.post
        # Some stand by then, others do not: what they answered to an older order counts for nothing.
        assert workers.identity == {"weights": "a"}
        with pytest.raises(ConfigError, match=r"^worker . \(x\): no such post$"):
            workers.become(Doubling(tmp_path, opening="refuse"), first)
        assert workers.become(Doubling(tmp_path, weights="c"), first) == {"weights": "c"}
        assert workers.one("double", None, 1) == 2
        assert [seat.identity for seat in workers.seats] == [{"weights": "c"}] * 2


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
    workers = Crew(processes.Processes(["a", "b"]), Judging(sandbox.Settings(workers=1)))
    with FannedSandbox(workers) as box:
        assert told(box.map(iter(programs(60)))) == expected
        assert (box.isolation, box.interpreter) == (isolation, "")
        assert box.run(programs(1)[0]).status == "passed"
        with pytest.raises(SandboxFault):
            box.run(programs(4)[3])
    assert {status for status, _ in expected} == {"passed", "failed", "error", "fault"}


def test_a_program_that_kills_its_judge_again_and_again_is_a_fault_that_says_so(tmp_path: Path) -> None:
    deadly = programs(1)[0].model_copy(update={"code": "deadly = 1"})
    workers = Crew(processes.Processes(["a"]), DeadlyJudging(sandbox.Settings(workers=1)))
    right = [("passed", ""), ("failed", "AssertionError at line 1: assert f(1) == 2")]
    with FannedSandbox(workers) as box:
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

    def fanned(judge: Any, preload: tuple[str, ...]) -> FannedSandbox:
        return FannedSandbox(Crew(processes.Processes(["a", "b"]), Judging(judging.settings(judge, preload))))

    runner.run(config, tmp_path / "one")
    runner.run(config, tmp_path / "two", engine=runner.Executor(open_sandbox=fanned))
    for name in ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert [row["status"] for row in rows(tmp_path / "two" / "judgements.jsonl")].count("passed") == len(
        answers
    ) - 1
