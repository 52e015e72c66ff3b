"""Generating on several workers: the bytes of one, what kills or fails is reported, and devices that make sense."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.config.backend import BackendConfig
from harness.config.run import RunConfig
from harness.errors import BackendFault, ConfigError
from harness.runs.workers import load, processes
from harness.runs.workers.backend import PooledBackend
from harness.runs.workers.pool import WorkerPool
from harness.schema import Prompt, Request, Sampling
from tests.backends.hf.adapters.test_adapter import save
from tests.support.command import Ended, harness
from tests.support.tiny_models import build
from tests.support.worker_roles import KILLED, EchoSpec, doubling


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


@pytest.mark.parametrize(
    ("number", "cause"),
    [(signal.SIGKILL, KILLED), (signal.SIGSTOP, "it has given no sign of life for 15 s")],
    ids=["killed", "stopped"],
)
def test_a_study_on_two_devices_makes_the_bytes_of_one_though_a_worker_ends_or_hangs(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    cause: str,
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
    (tmp_path / "two.toml").write_text(
        text.replace("batch_size", 'devices = ["cpu", "cpu"]\nstall_s = 15\nbatch_size')
    )
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
            os.kill(worker.process.pid, number)

    monkeypatch.setattr(processes.WorkerProcess, "send", send_and_kill)
    assert harness("run", tmp_path / "two.toml", "--out", tmp_path / "two").code == 0
    assert len(started) == 3  # two, and one for the other; the second cell reuses them
    assert sum(cause in message for message in caplog.messages) == 1
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
