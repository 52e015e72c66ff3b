"""Runs with a server: one that breaks off keeps what came and goes on from there; a study names each adapter."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from harness.backends.openai import adapter_proof, thread_pool
from harness.config import grid
from harness.config.backend import BackendConfig
from harness.errors import BackendFault, HarnessError, UserError
from harness.runs import study
from harness.schema import Capabilities, Sampling
from tests.support.command import harness, run_mini
from tests.support.faulty_server import World, asked, serving
from tests.support.parts.openai_client import client, requests


def test_leaving_early_waits_for_no_answer(world: World) -> None:
    """As Ctrl-C does. The server sits on all requests but two for longer than anybody waits."""
    gate = threading.Event()

    def plan(number: int, body: dict[str, Any]) -> str:
        if asked(body) not in ("q0", "q1"):
            gate.wait(30)
        return ""

    world.plan = plan
    made = client(world, concurrency=6)
    began = time.monotonic()
    came = made.generate(requests(6), Sampling(max_tokens=9))
    got = [next(came), next(came)]
    came.close()  # type: ignore[attr-defined]
    made.close()
    waited = time.monotonic() - began
    gate.set()
    assert {each.problem_id for each in got} == {"p/0", "p/1"}
    assert waited < 25


def test_what_came_before_ctrl_c_is_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        """A queue whose reader is interrupted at its second look, when all results lie in it."""

        def __init__(self) -> None:
            self.inner: SimpleQueue[Any] = SimpleQueue()
            self.put, self.empty = self.inner.put, self.inner.empty
            self.looks = 0

        def get(self) -> Any:
            self.looks += threading.current_thread() is threading.main_thread()
            if self.looks == 2:
                self.looks += 1
                time.sleep(0.3)
                raise KeyboardInterrupt
            return self.inner.get()

    monkeypatch.setattr(thread_pool, "SimpleQueue", Interrupted)
    left: list[threading.Event] = []

    def work(item: int, gone: threading.Event) -> int:
        left.append(gone)
        return item

    got: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        got.extend(thread_pool.imap_unordered(work, range(8), 4))
    assert len(got) == len(left) == 5, "four were asked for, and a fifth when the first had come"
    assert all(event.is_set() for event in left)


def test_a_run_goes_on_where_a_server_failed(world: World, tmp_path: Path) -> None:
    settings = ("--set", "backend.server.retries=0", "--set", "backend.server.concurrency=2")
    world.answer = lambda body, index: "x = 1"
    world.plan = lambda number, body: "status 500" if number == 3 else ""
    ended = run_mini(world.url, tmp_path / "run", 6, *settings)
    assert ended.code == 3, ended
    assert "no answer after 1 tries" in ended.err
    before = len(world.bodies)
    assert 4 <= before < 6 + 1
    kept = (tmp_path / "run/generations.jsonl").read_text().count("\n")
    assert kept == before - 1
    ended = run_mini(world.url, tmp_path / "run", 6, *settings)
    assert ended.code == 0, ended
    assert len(world.bodies) - before == 6 - kept


def conala(world: World, out: Path, *more: object) -> list[object]:
    return [
        *("run", "--task", "conala", "--data", "mini", "--limit", 8, "--model", "m", "--out", out),
        *("--samples", 2, "--set", "sampling.temperature=0.8", "--set", "backend.kind=openai"),
        *("--set", f"backend.server.url={world.url}", "--set", "backend.server.concurrency=2", *more),
    ]


def test_nothing_is_lost_when_a_server_dies_stays_away_and_returns(world: World, tmp_path: Path) -> None:
    undisturbed = harness(*conala(world, tmp_path / "undisturbed"))
    assert undisturbed.code == 0, undisturbed
    with serving(World()) as dying:
        dying.plan = lambda number, body: "dropped" if number >= 3 else ""
        arguments = conala(dying, tmp_path / "run", "--set", "backend.server.retries=1")
        port = int(dying.url.rpartition(":")[2].removesuffix("/v1"))
        died = harness(*arguments)
    assert died.code == 3, died
    assert "no answer after 2 tries" in died.err
    assert "6 of 16 samples are kept; rerun the same command to resume" in died.err
    away = harness(*arguments)
    assert away.code == 3, away
    assert f"no server at http://127.0.0.1:{port}/v1/: tried 3 times in" in away.err
    with serving(World(), port) as back:
        ended = harness(*arguments)
    assert ended.code == 0, ended
    assert len(back.bodies) == 5, "one request for both samples of each problem that is missing"
    assert {asked(body) for body in back.bodies}.isdisjoint(asked(body) for body in dying.bodies[:3])
    for name in ("generations.jsonl", "judgements.jsonl"):
        kept = [(tmp_path / folder / name).read_bytes() for folder in ("undisturbed", "run")]
        assert kept[0] == kept[1]


def test_ctrl_c_ends_a_run_at_once_and_keeps_what_came(world: World, tmp_path: Path) -> None:
    gate = threading.Event()

    def plan(number: int, body: dict[str, Any]) -> str:
        if number >= 6:  # a server that thinks for a long time
            gate.wait(60)
        return ""

    world.plan = plan
    arguments = list(map(str, conala(world, tmp_path / "run")))
    code = (
        "import signal, sys\nfrom harness.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a caller in the background has it ignored
        f"sys.argv = ['harness', *{arguments!r}]\nmain()"
    )
    kept = tmp_path / "run" / "generations.jsonl"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(world.bodies) < 8:
            time.sleep(0.02)
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = run.communicate(timeout=50)
        took = time.monotonic() - began
    gate.set()
    assert run.returncode == 130, err
    assert "Interrupted. Rerun the same command to resume." in err
    assert took < 30
    assert kept.read_text().count("\n") == 12
    world.plan = lambda number, body: ""
    before = len(world.bodies)
    assert harness(*conala(world, tmp_path / "run")).code == 0
    assert len(world.bodies) - before == 2
    assert kept.read_text().count("\n") == 16


def test_a_study_of_adapters_asks_one_server_for_each_by_its_name(world: World, tmp_path: Path) -> None:
    world.models = ("base", "tuned", "other")
    world.answer = lambda body, index: f"x = {body['model']!r}"
    plain = {
        "task": "conala",
        "data": "mini",
        "limit": 1,
        "backend": {"kind": "openai", "model": "base", "server": {"url": world.url}},
        "matrix": {"adapter": ["", "tuned", "other"]},
    }
    outcome = study.run(grid.expand(plain, "test"), tmp_path)
    assert outcome.failed == []
    probes = [body["model"] for body in world.bodies if asked(body) in adapter_proof.PROBES]
    assert probes == ["base", "tuned", "base", "base", "other", "base"]
    others = [body["model"] for body in world.bodies if asked(body) not in adapter_proof.PROBES]
    assert others == ["base", "tuned", "other"]
    for (_, folder, _), name in zip(outcome.done, world.models, strict=True):
        assert json.loads((folder / "run.json").read_text())["backend"]["model"] == name
    plain["matrix"] = {"adapter": ["tuned", "tunde"]}
    (failed,) = study.run(grid.expand(plain, "test"), tmp_path / "more").failed
    assert "no model 'tunde'. Did you mean 'tuned'?" in failed[1]


@pytest.mark.parametrize(("adapter", "said"), [("tuned", "500"), ("tunde", "no model 'tunde'")])
def test_a_cell_after_a_failed_change_of_adapter_asks_for_its_own_model(
    adapter: str, said: str, world: World, tmp_path: Path
) -> None:
    world.models = ("base", "tuned", "other")
    world.answer = lambda body, index: f"x = {body['model']!r}"
    world.plan = lambda number, body: "status 500" if body["model"] == "tuned" else ""
    plain = {
        "task": "conala",
        "data": "mini",
        "limit": 1,
        "backend": {"kind": "openai", "model": "base", "server": {"url": world.url, "retries": 0}},
        "matrix": {"adapter": ["other", adapter, ""]},
    }
    outcome = study.run(grid.expand(plain, "test"), tmp_path)
    ((_, why),) = outcome.failed
    assert said in why
    asked_for = [body["model"] for body in world.bodies if asked(body) not in adapter_proof.PROBES]
    assert asked_for == ["other", "base"]


@pytest.mark.parametrize("adapter", ["tuned", "tunde"])
def test_after_a_failed_change_of_adapter_a_client_asks_for_the_base(adapter: str, world: World) -> None:
    world.models = ("m", "tuned", "other")
    world.plan = lambda number, body: "status 500" if body["model"] == "tuned" else ""
    made = client(world, retries=0)
    made.set_adapter("other")
    with pytest.raises(HarnessError):
        made.set_adapter(adapter)
    assert made.identity["model"] == "m"
    made.close()


@dataclass
class Failing:
    """Cannot put an adapter on: a mistake of the user's, or a fault that leaves it half changed."""

    error: HarnessError
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(adapters=True))
    asked_for: list[str] = field(default_factory=list)

    def set_adapter(self, adapter: str) -> None:
        self.asked_for.append(adapter)
        if adapter:
            raise self.error

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("error", "loads"), [(BackendFault("gone"), 2), (UserError("not there"), 1)])
def test_after_a_failed_change_of_adapter_the_next_cell_takes_nothing_for_granted(
    error: HarnessError, loads: int
) -> None:
    loaded = list[Any]()

    def load(config: BackendConfig, problem_ids: Sequence[str]) -> Any:
        loaded.append(Failing(error))
        return loaded[-1]

    models, base = study.Models(ExitStack(), load), BackendConfig(model="m")
    models.open(base, ())
    with pytest.raises(type(error)):
        models.open(base.model_copy(update={"adapter": "a"}), ())
    models.open(base, ())
    assert len(loaded) == loads
    assert loaded[0].asked_for == (["a"] if loads == 2 else ["a", ""])
