"""Backend server: a server is started for the run, shown when it fails, and never left behind."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import backends
from harness.backends import server
from harness.config.backend import BackendConfig, ServerConfig
from harness.errors import BackendFault, ConfigError, UserError
from harness.schema import Prompt, Request, Sampling
from tests.support import tiny_models
from tests.support.command import run_mini
from tests.support.paths import ROOT

GREEDY = Sampling(max_tokens=8)
# Serves until it is killed, with a child of its own; as the arguments say it fails in some way.
SCRIPT = """
import subprocess, sys, time
sys.path.insert(0, {root!r})
from tests.support.faulty_server import World, serving
port, how = int(sys.argv[1]), sys.argv[2]
if how == "fails":
    print("CUDA error: no kernel image"); sys.exit(7)
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
if how == "hangs":
    time.sleep(600)
import http.server
from tests.support import faulty_server
world = World(models=("another name", *(word.partition("=")[0] for word in sys.argv[3:])))
world.answer = lambda body, index: "x = 1"
if how == "locked":
    world.key = "sk-of-the-server"
if how == "dies":
    import os
    world.plan = lambda number, body: os.abort() if number == 2 else ""
class Fixed(faulty_server._Server):
    def __init__(self, address, handler):
        super().__init__(("127.0.0.1", port), handler)
faulty_server._Server = Fixed
with serving(world):
    time.sleep(600)
"""


def config(folder: Path, how: str, **more: object) -> BackendConfig:
    script = folder / "serve.py"
    script.write_text(SCRIPT.format(root=str(ROOT)))
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {{port}} {how}"
    plain = {"kind": "server", "model": "m", "server": ServerConfig(command=command, **more)}  # type: ignore[arg-type]
    return BackendConfig(**plain)  # type: ignore[arg-type]


def below(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    ).stdout.split()
    return [int(each) for each in found]


def alive(pids: list[int]) -> list[int]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (left := [pid for pid in pids if _runs(pid)]):
        time.sleep(0.05)
    return left


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_server_serves_the_run_and_ends_with_it(tmp_path: Path) -> None:
    made = backends.load(config(tmp_path, "well"), [])
    assert isinstance(made, server.ServerBackend)
    pids = [made.process.pid, *below(made.process.pid)]
    assert len(pids) == 2
    (got,) = made.generate([Request("p", Prompt(text="q"), (0,))], GREEDY)
    assert got.completion.text == "x = 1"
    assert made.identity["kind"] == "server"
    assert "url" not in made.identity
    made.close()
    assert alive(pids) == []


def test_a_server_that_fails_is_shown_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(
        BackendFault, match=r"ended while it started \(exit status 7\): its log ends with\nCUDA error"
    ):
        backends.load(config(tmp_path, "fails"), [])


def test_a_server_that_asks_for_a_key_is_well_and_says_so_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="the server asks for a key: no key in the environment variable"):
        backends.load(config(tmp_path, "locked", start_s=20.0), [])
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-server")
    made = backends.load(config(tmp_path, "locked", start_s=20.0), [])
    made.close()


def test_a_server_that_never_answers_is_ended(tmp_path: Path) -> None:
    with pytest.raises(
        BackendFault, match=r"did not come up within 2 s: its log ends with\nchild \d+"
    ) as caught:
        backends.load(config(tmp_path, "hangs", start_s=2.0), [])
    assert alive([int(str(caught.value).split("child ")[1])]) == []


def test_a_server_that_dies_in_the_run_is_told_and_what_was_made_is_kept(tmp_path: Path) -> None:
    plain = config(tmp_path, "dies", retries=1, concurrency=1)
    assert plain.server is not None
    own = ("--backend", "server", "--set", f"backend.server.command={plain.server.command}")
    ended = run_mini(
        *("", tmp_path / "run", 5, *own),
        *("--set", "backend.server.retries=1", "--set", "backend.server.concurrency=1"),
    )
    assert ended.code == 3, ended
    assert "The server has ended (killed by SIGABRT)" in ended.err
    assert (tmp_path / "run/generations.jsonl").read_text().count("\n") == 2


def test_no_server_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    plain = config(tmp_path, "well")
    code = (
        "import sys, time\nfrom harness import backends\nfrom harness.config.backend import BackendConfig\n"
        f"made = backends.load(BackendConfig.model_validate_json({plain.model_dump_json()!r}), [])\n"
        "print(made.process.pid, made.guard.pid, flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    ) as run:
        assert run.stdout is not None
        started, guard = map(int, run.stdout.readline().split())
        children = below(started)
        assert len(children) == 1
        run.send_signal(signal.SIGKILL)
    assert alive([started, guard, *children]) == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-server --port {port}", "no program 'no-such-server' on the search path"),
        ("vllm 'serve {port}", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_run_is_refused(command: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        server.load(BackendConfig(kind="server", model="m", server=ServerConfig(command=command)))


def adapter(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    (made / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (made / "adapter_model.safetensors").write_bytes(name.encode())
    return made


VLLM = "env vllm serve {model} --port {port} --enable-lora --lora-modules {adapter_name}={adapter} --seed 1"


def test_the_servers_own_options_get_the_adapter_or_are_left_out(tmp_path: Path) -> None:
    config = BackendConfig(kind="server", model="base model", server=ServerConfig(command=VLLM))
    assert shlex.join(server.command_line(config, 80, None)) == (
        "env vllm serve 'base model' --port 80 --enable-lora --seed 1"
    )
    folder = adapter(tmp_path, "conala-lora")
    tuned = config.model_copy(update={"adapter": str(folder)})
    found = server.find_served_adapter(tuned)
    assert shlex.join(server.command_line(tuned, 80, found)).endswith(
        f" --enable-lora --lora-modules conala-lora={folder} --seed 1"
    )
    file = tmp_path / "tuned.gguf"
    file.write_bytes(b"GGUF")
    command = "env llama-server -m {model} --port {port} --lora={adapter}"
    llama = BackendConfig(
        kind="server", model="m.gguf", adapter=str(file), server=ServerConfig(command=command)
    )
    assert server.command_line(llama, 80, server.find_served_adapter(llama))[-1] == f"--lora={file}"
    bare = llama.model_copy(update={"adapter": ""})
    assert server.command_line(bare, 80, server.find_served_adapter(bare))[-1] == "80"
    with pytest.raises(UserError, match=r"no-such-adapter"):
        server.find_served_adapter(llama.model_copy(update={"adapter": str(tmp_path / "no-such-adapter")}))


def test_an_adapter_is_loaded_by_a_new_start_and_known_by_its_digest(tmp_path: Path) -> None:
    plain = config(tmp_path, "well")
    assert plain.server is not None
    command = plain.server.command + " {adapter_name}={adapter}"
    base = plain.model_copy(update={"server": ServerConfig(command=command)})
    digests, models, pids = set(), [], []
    made = backends.load(base, [])
    assert isinstance(made, server.ServerBackend)
    try:
        assert "adapter" not in made.identity
        for name in ("one", "two"):
            pids.append(made.process.pid)
            made.set_adapter(str(adapter(tmp_path, name)))
            digests.add(made.identity["adapter"])
            models.append(made.client.model)
            assert next(iter(made.generate([Request("p", Prompt(text="q"), (0,))], GREEDY))).completion.text
        pids.append(made.process.pid)
    finally:
        made.close()
    assert models == ["one", "two"]
    assert len(digests) == 2
    assert len(set(pids)) == 3
    assert alive(pids) == []


def test_after_a_start_that_failed_nothing_answers_until_the_next_change(tmp_path: Path) -> None:
    plain = config(tmp_path, "well")
    assert plain.server is not None
    command = plain.server.command + " x{adapter_name}={adapter}"
    made = backends.load(plain.model_copy(update={"server": ServerConfig(command=command)}), [])
    assert isinstance(made, server.ServerBackend)
    wanted = [Request("p", Prompt(text="q"), (0,))]
    try:
        with pytest.raises(ConfigError, match="has not loaded the adapter 'one'"):
            made.set_adapter(str(adapter(tmp_path, "one")))
        with pytest.raises(BackendFault, match="the start with another adapter failed"):
            list(made.generate(wanted, GREEDY))
        made.set_adapter("")
        assert len(list(made.generate(wanted, GREEDY))) == 1
    finally:
        made.close()


def test_an_adapter_that_the_server_does_not_list_is_an_error(tmp_path: Path) -> None:
    plain = config(tmp_path, "well")
    assert plain.server is not None
    command = plain.server.command + " x{adapter_name}={adapter}"
    changes = {"server": ServerConfig(command=command), "adapter": str(adapter(tmp_path, "one"))}
    with pytest.raises(ConfigError, match=r"has not loaded the adapter 'one': it lists another name, xone"):
        backends.load(plain.model_copy(update=changes), [])


def test_a_started_server_is_not_looked_for_behind_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    made = backends.load(config(tmp_path, "well", start_s=20.0), [])
    try:
        assert len(list(made.generate([Request("p", Prompt(text="q"), (0,))], GREEDY))) == 1
    finally:
        made.close()


def test_transformers_own_server_gives_what_the_model_gives(tmp_path: Path) -> None:
    """A real server and a real model: greedy text equal to that of backend hf."""
    folder = tiny_models.build("llama", tmp_path / "model")
    program = Path(sys.executable).with_name("transformers")
    command = f"{shlex.quote(str(program))} serve {{model}} --device cpu --port {{port}}"
    wanted = [
        Request(f"p/{i}", Prompt(text=text), (0,)) for i, text in enumerate(["def add(a", "class", "x ="])
    ]
    served = server.load(
        BackendConfig(kind="server", model=str(folder), server=ServerConfig(command=command, concurrency=1))
    )
    try:
        got = {each.problem_id: each.completion for each in served.generate(wanted, GREEDY)}
    finally:
        served.close()
    local = backends.load(BackendConfig(model=str(folder), dtype="float32", device="cpu"), [])
    expected = {each.problem_id: each.completion for each in local.generate(wanted, GREEDY)}
    local.close()
    assert {key: each.text for key, each in got.items()} == {key: each.text for key, each in expected.items()}
    assert all(each.text for each in got.values())
