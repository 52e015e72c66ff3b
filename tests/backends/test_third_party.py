"""A backend that is not built in: one file, run, resumed and in a study; what is wrong with one is one line."""

import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from harness import backends
from harness.backends import loader
from harness.config import plugins
from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.schema import Capabilities, Sampling
from tests.support.command import Ended, harness, rows

ECHO = '''
"""Completes every prompt with the text of its options."""
from harness.schema import Capabilities, Completion, Generation

class Echo:
    capabilities = Capabilities()

    def __init__(self, config):
        self.text = config.options.get("text", "x = 1") + config.adapter
        self.identity = {"kind": "echo", "model": config.model, "version": "1"}

    def generate(self, requests, sampling):
        for request in requests:
            for index in request.indices:
                completion = Completion(text=f"{self.text} # {index}", finish="eos")
                yield Generation(problem_id=request.problem_id, index=index,
                                 prompt_sha=request.prompt.sha, completion=completion)

    def tokens(self, prompt):
        return len(prompt.text.split())

    def fits(self, prompt, max_tokens):
        return True

    def close(self):
        pass

def backend(config, problem_ids):
    return Echo(config)
'''
COMMON = ("run", "--task", "conala", "--data", "mini", "--limit", "4", "--no-cache")


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write a backend file: the one above, with replacements."""

    def write(*changes: tuple[str, str], name: str = "echo.py") -> Path:
        text = ECHO
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def run(file: Path | str, out: Path, *more: object) -> Ended:
    return harness(*COMMON, "--backend", file, "--out", out, *more)


def texts(folder: Path) -> list[str]:
    return [row["completion"]["text"] for row in rows(folder / "generations.jsonl")]


def test_a_file_of_thirty_lines_is_a_backend(written: Callable[..., Path], tmp_path: Path) -> None:
    assert len(ECHO.strip().splitlines()) <= 30
    ended = run(
        written(), tmp_path / "out", "--samples", 2, "--set", "sampling.temperature=0.5",
        *("--set", "backend.options.text=y = 2"),
    )  # fmt: skip
    assert ended.code == 0
    assert texts(tmp_path / "out") == ["y = 2 # 0", "y = 2 # 1"] * 4
    assert " | echo" in ended.out


def test_it_runs_from_a_config_and_its_options_and_file_name_identify_the_run(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        textwrap.dedent(f"""
        task = "conala"
        data = "mini"
        limit = 4
        cache = ""
        [backend]
        kind = "{written()}"
        model = "nobody/parrot"
        [backend.options]
        text = "z"
        deep = {{ list = [1, 2.5, true], name = "n" }}
        """)
    )
    assert harness("run", config, "--out", tmp_path / "out").code == 0
    assert texts(tmp_path / "out")[0] == "z # 0"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = written().rename(elsewhere / "echo.py")
    again = harness("run", config, "--out", tmp_path / "out", "--set", f"backend.kind={moved}")
    assert again.code == 0
    assert "options.deep.name: 'n' there, 'm' now" in harness(
        "run", config, "--out", tmp_path / "out", "--set", f"backend.kind={moved}",
        *("--set", "backend.options.deep.name=m"),
    ).complaint  # fmt: skip


def test_an_interrupted_run_is_resumed_with_the_same_bytes(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    flaky = (
        "                completion =",
        "                if request.problem_id.endswith('2') and not FAILED.exists():\n"
        "                    FAILED.touch()\n"
        "                    raise BackendFault('gone')\n"
        "                completion =",
    )
    imports = (
        "from harness.schema",
        "from pathlib import Path\nfrom harness.errors import BackendFault\n"
        "FAILED = Path(__file__).with_name('failed')\nfrom harness.schema",
    )
    ended = run(written(flaky, imports, name="flaky.py"), tmp_path / "out")
    assert ended.code == 3
    assert "gone. 2 of 4 samples are kept; rerun the same command to resume" in ended.err
    assert run(tmp_path / "flaky.py", tmp_path / "out").code == 0
    assert run(written(), tmp_path / "plain").code == 0
    generated = (tmp_path / "out" / "generations.jsonl").read_bytes()
    assert generated == (tmp_path / "plain" / "generations.jsonl").read_bytes()


def test_a_study_loads_it_once_a_model_and_again_for_each_adapter(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    counted = ("return Echo(config)", "print('loaded', config.adapter); return Echo(config)")
    file = written(counted)
    config = tmp_path / "study.toml"
    config.write_text(
        f"""
        task = "conala"
        data = "mini"
        limit = 2
        cache = ""
        backend = {{ kind = "{file}" }}
        [matrix]
        adapter = ["", "+a"]
        seed = [1, 2]
        """
    )
    ended = harness("run", config, "--out", tmp_path / "runs")
    assert ended.code == 0
    assert ended.out.count("loaded") == 2
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 4
    assert {texts(folder)[0] for folder in folders} == {"x = 1 # 0", "x = 1+a # 0"}


def test_one_that_changes_adapters_is_loaded_once_in_a_study(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    swapping = (
        ("    capabilities = Capabilities()", "    capabilities = Capabilities(adapters=True)"),
        (
            "    def close",
            "    def set_adapter(self, adapter):\n        self.text = 'x' + adapter\n\n    def close",
        ),
        ("return Echo(config)", "print('loaded', config.adapter); return Echo(config)"),
    )
    flags = ("--adapter", "+a", "--adapter", "+b")
    ended = harness(*COMMON, "--backend", written(*swapping), "--out", tmp_path / "runs", *flags)
    assert ended.code == 0
    assert ended.out.count("loaded") == 1
    assert sorted(texts(folder)[0] for folder in (tmp_path / "runs").iterdir()) == ["x = 1+a # 0", "x+b # 0"]


def test_likelihoods_are_a_capability(written: Callable[..., Path], tmp_path: Path) -> None:
    scorer = ("--set", 'scorers=["perplexity"]')
    assert (
        "backend 'echo' cannot say how likely a reference is"
        in run(written(), tmp_path / "no", *scorer).complaint
    )
    stated = ("    capabilities = Capabilities()", "    capabilities = Capabilities(likelihoods=True)")
    method = (
        "    def tokens",
        "    def likelihoods(self, requests):\n"
        "        for one in requests:\n"
        "            scored = Completion(text=one.text, completion_tokens=2, logprob=-1.5)\n"
        "            yield Generation(problem_id=one.problem_id, index=0,\n"
        "                             prompt_sha=one.prompt.sha, completion=scored)\n\n"
        "    def tokens",
    )
    assert run(written(stated, method), tmp_path / "yes", *scorer).code == 0
    assert len(rows(tmp_path / "yes" / "likelihoods.jsonl")) == 4


def test_what_it_does_not_say_it_can_do_is_refused(written: Callable[..., Path], tmp_path: Path) -> None:
    for setting in ("beams=2", "banned_tokens=[1]", "repetition_penalty=1.5"):
        complaint = run(written(), tmp_path / "out", "--set", f"sampling.{setting}").complaint
        assert complaint.startswith(f"sampling.{setting.partition('=')[0]}: backend '{tmp_path / 'echo.py'}'")
    able = (
        "def backend(config, problem_ids):\n    return Echo(config)",
        "from harness.backends.loader import BackendLoader\n"
        "backend = BackendLoader(lambda config, ids: Echo(config), check_sampling=lambda config, sampling: None)",
    )
    assert run(written(able), tmp_path / "out", "--set", "sampling.beams=2").code == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("def backend(", "def open_it("), "expected a function backend(config, problem_ids) -> Backend"),
        (
            ("def backend(config, problem_ids):\n    return Echo(config)", "backend = 3"),
            "expected a function",
        ),
        (("from harness.schema import", "from no_such_package import"), "No module named 'no_such_package'"),
        (("class Echo:", "class Echo("), "'(' was never closed"),
        (("    def close(self):\n        pass", ""), "what it loads (Echo) has no close"),
        (("    capabilities = Capabilities()\n", ""), "what it loads (Echo) has no capabilities"),
        (
            ("Capabilities()\n", "Capabilities(adapters=True)\n"),
            "states the capability adapters and has no set_adapter",
        ),
        (
            ("Capabilities()\n", "Capabilities(recorded=True)\n"),
            "states the capability recorded and has no counts",
        ),
        (("Capabilities()\n", "{'adapters'}\n"), "capabilities is no harness.schema.Capabilities"),
        (('"kind": "echo", ', ""), "identity must map names to texts, and have a 'kind'"),
        (('"version": "1"', '"version": 1'), "identity must map names to texts, and have a 'kind'"),
    ],
)
def test_a_bad_file_is_one_line(
    change: tuple[str, str], complaint: str, written: Callable[..., Path], tmp_path: Path
) -> None:
    file = written(change)
    said = run(file, tmp_path / "out").complaint
    assert str(file) in said
    assert complaint in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("opnai", "no backend 'opnai'. Did you mean 'openai'? Known: hf, openai, replay, server."),
        ("mine/none.py", "no backend file 'mine/none.py'"),
    ],
)
def test_a_backend_that_is_not_there_is_one_line(kind: str, complaint: str, tmp_path: Path) -> None:
    assert run(kind, tmp_path / "out").complaint.startswith(complaint)


@pytest.mark.parametrize("value", ["nan", "inf", "[1.0, nan]"])
def test_an_option_that_json_cannot_hold_is_one_line(
    value: str, written: Callable[..., Path], tmp_path: Path
) -> None:
    ended = run(written(), tmp_path / "out", "--set", f"backend.options.x={value}")
    assert "options: a number is not finite" in ended.complaint


def test_devices_need_a_backend_of_which_several_can_be_loaded(
    written: Callable[..., Path], tmp_path: Path
) -> None:
    ended = run(written(), tmp_path / "out", "--set", 'backend.devices=["cpu", "cpu"]')
    assert ended.complaint.startswith("devices has no effect with kind = ")


@pytest.mark.parametrize(
    "change",
    [("index=index", "index=index + 7"), ("problem_id=request.problem_id", "problem_id='conala/other'")],
)
def test_a_sample_that_nobody_requested_is_a_fault(
    change: tuple[str, str], written: Callable[..., Path], tmp_path: Path
) -> None:
    ended = run(written(change), tmp_path / "out")
    assert ended.code == 3
    assert "was not requested" in ended.err


def test_an_installed_package_offers_one_by_name(
    written: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(name="their_backend.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    entries = [
        EntryPoint("theirs", "their_backend:backend", "harness.backends"),
        EntryPoint("broken", "their_backend:nothing", "harness.backends"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries if group == "harness.backends" else [])
    assert run("theirs", tmp_path / "out").code == 0
    assert "backend 'broken' (their_backend:nothing): " in run("broken", tmp_path / "no").complaint
    assert "Did you mean 'theirs'?" in run("their", tmp_path / "no").complaint


@pytest.mark.parametrize("kind", sorted(loader.KINDS))
def test_every_built_in_kind_exports_a_loader(kind: str) -> None:
    found = loader.find(kind)
    assert isinstance(found, loader.BackendLoader)
    server: dict[str, Any] = {
        "openai": {"url": "http://localhost:1/v1"},
        "server": {"command": "env serve {model} {port}"},
    }
    config = BackendConfig.model_validate({"kind": kind, "server": server.get(kind)})
    found.check_sampling(config, Sampling())
    for function in (backends.check, backends.load):
        with pytest.raises(ConfigError, match=r"^no (model|recorded completions): give --"):
            function(config, [])


def test_a_recording_must_say_so_before_it_is_loaded() -> None:
    class Recorded:
        identity = {"kind": "r"}  # noqa: RUF012
        capabilities = Capabilities(recorded=True)
        counts: dict[str, int] = {}  # noqa: RUF012
        unmatched: dict[str, tuple[str, int]] = {}  # noqa: RUF012
        generate = tokens = fits = close = None

    config = BackendConfig(kind="theirs")
    with pytest.raises(ConfigError, match="is recorded, and its BackendLoader does not say so"):
        loader.checked(Recorded(), config, Capabilities())
    assert loader.checked(Recorded(), config, Capabilities(recorded=True)).identity == {"kind": "r"}
