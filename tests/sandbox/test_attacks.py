"""No attack gets through, at any isolation level this machine offers, and none disturbs the programs after it.

Each file of `attacks/` is a completion for the same small task. It answers rightly only where its attack
worked, so a pass is a breach. It is run twice (the second run looks for what the first left behind), then a
wrong answer has to fail and a right one to pass, on the same worker.
"""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import sandbox
from harness.errors import SandboxFault
from harness.schema import Limits, Program, UnitTests
from tests.support.rungs import RUNGS_AND_PROCESSES, pool_on, settle

ATTACKS = sorted((Path(__file__).parent / "attacks").glob("*.py"))
TESTS = UnitTests(
    code="assert solve(2) == 5\nassert solve(10) == 101",
    entry_point="solve",
    setup='def solve(x):\n    """One more than the square of x."""\n',
)
LIMITS = Limits(cpu_s=1.0, wall_s=1.5, memory_mb=512, output_kb=256)
WRONG = "def solve(x):\n    return x * x"
RIGHT = "def solve(x):\n    return x * x + 1"
# These end by a limit of time; running them twice would only take twice as long.
ONCE = {"burns_time_and_ignores_signals", "sleeps_forever"}


@pytest.fixture(scope="module", params=RUNGS_AND_PROCESSES, ids="-".join)
def pool(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    os.environ["HARNESS_CANARY"] = "canary"
    isolation, process = request.param
    with pool_on(isolation, process=process) as pool:
        yield pool
    del os.environ["HARNESS_CANARY"]


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the attacks aim at: files that every user may read, a folder that every user may write,
    servers.
    """
    folder = tmp_path_factory.mktemp("targets")
    for parent in [folder, *folder.parents[:2]]:
        parent.chmod(0o755)
    drop = folder / "drop"
    drop.mkdir()
    drop.chmod(0o777)
    for name in ("canary", "mine"):
        (folder / name).write_text("canary")
    abstract = f"harness-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as nameless,
    ):
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        unix.bind(str(folder / "socket"))
        nameless.bind(f"\0{abstract}")
        unix.listen()
        nameless.listen()
        (folder / "socket").chmod(0o777)
        yield {
            "CANARY": str(folder / "canary"),
            "MINE": str(folder / "mine"),
            "DROP": str(drop),
            "PID": str(os.getpid()),
            "PORT": str(port),
            "UNIX": str(folder / "socket"),
            "ABSTRACT": abstract,
        }


def status(pool: sandbox.Pool, code: str) -> str:
    """A fault is no breach, but an attack that can cause one can have its verdict withheld: it counts as a
    failure.
    """
    try:
        return pool.run(Program(code=code, tests=TESTS, limits=LIMITS)).status
    except SandboxFault as fault:
        pytest.fail(f"the sandbox itself failed: {fault}")


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")
@pytest.mark.parametrize("attack", ATTACKS, ids=[path.stem for path in ATTACKS])
def test_attack_is_held_and_leaves_no_trace(
    attack: Path, pool: sandbox.Pool, targets: dict[str, str]
) -> None:
    code = attack.read_text()
    for name, value in targets.items():
        code = code.replace(f"@{name}@", value)
    settle(pool, TESTS, RIGHT, LIMITS)
    assert status(pool, code) != "passed"
    if attack.stem not in ONCE:
        assert status(pool, code) != "passed"
    assert status(pool, WRONG) == "failed"
    assert status(pool, RIGHT) == "passed"
    assert os.listdir(targets["DROP"]) == []
    assert Path(targets["MINE"]).read_text() == "canary"


def test_there_are_attacks_of_every_family() -> None:
    assert len(ATTACKS) >= 40
