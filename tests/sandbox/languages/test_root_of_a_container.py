"""A root without CAP_SYS_PTRACE, as in a container: what programs in other languages have open counts nevertheless."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.sandbox import self_check
from harness.sandbox.isolation import confine, syscalls
from harness.sandbox.languages import confined_step
from tests.support import hostile_programs, polyglot_programs
from tests.support.paths import ROOT

HOSTILE = Path(__file__).parent.parent / "hostile" / "files_without_names_in_a_child.cpp"


def judge() -> None:
    """Print the verdicts on an honest program in Python, one in Bash and a hostile one in C++, and the level."""
    with sandbox.start(sandbox.Settings(isolation="landlock", workers=1)) as pool:
        python = pool.run(polyglot_programs.whole("python", "print(1)")).status
        bash = pool.run(polyglot_programs.whole("bash", "sleep 1.2; echo 1")).status
        cpp = hostile_programs.judge(pool, hostile_programs.read(HOSTILE)).status
    print(json.dumps([python, bash, cpp, self_check._try_level("landlock")]))


def drop() -> None:
    syscalls.prctl(syscalls.PR_CAPBSET_DROP, syscalls.CAP_SYS_PTRACE)


def test_such_a_root_judges_python_and_other_languages() -> None:
    if os.geteuid() or not confine.has_capability(syscalls.CAP_SYS_PTRACE):
        pytest.skip("only a root that has CAP_SYS_PTRACE can give it up")
    if syscalls.landlock_abi() < 6:
        pytest.skip("before Linux 6.12 such a root is refused")
    if polyglot_programs.missing("cpp"):
        pytest.skip(polyglot_programs.missing("cpp"))
    code = f"import {__name__} as test; test.judge()"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        preexec_fn=drop,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == ["passed", "passed", "output", "works"]


def test_where_landlock_keeps_no_signals_it_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    become: list[Any] = []
    monkeypatch.setattr(confine, "become", lambda *arguments: become.append(arguments))
    monkeypatch.setattr(syscalls, "landlock_abi", lambda: 5)
    with pytest.raises(
        OSError, match=r"^a root without CAP_SYS_PTRACE .* --cap-add SYS_PTRACE\), or use Linux 6.12$"
    ):
        confined_step._join_programs(20000)
    assert become == []


def test_a_file_that_all_may_read_takes_no_capability_and_a_closed_folder_does() -> None:
    """Docker's root has none that reads past permissions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "file"
        file.touch(mode=0o644)
        assert confine.readable_by_all([str(file), name])
        file.chmod(0o600)
        assert not confine.readable_by_all([str(file)])
        file.chmod(0o644)
        folder.chmod(0o700)
        assert not confine.readable_by_all([str(file)])
