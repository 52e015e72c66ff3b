"""Control groups: what is in one is counted whatever it shares and whoever waits; none is left behind."""

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.sandbox.isolation import control_group, left_behind
from harness.sandbox.isolation.control_group import ControlGroup, GroupFolders


@pytest.fixture
def folders() -> Iterator[GroupFolders]:
    made = control_group.make()
    if made is None:
        pytest.skip("no control group can be made here")
    yield made
    made.remove()


def test_shared_pages_and_a_child_that_nobody_waits_for_are_counted(folders: GroupFolders) -> None:
    group = ControlGroup(folders.paths)
    group.begin(512)
    read, write = os.pipe()
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        group.join()
        if os.fork() == 0:
            while time.process_time() < 0.2:
                pass
            os._exit(0)
        area = mmap.mmap(-1, 48 << 20)
        area.write(b"x" * len(area))
        area.madvise(mmap.MADV_DONTNEED)
        while time.process_time() < 0.1:
            pass
        with suppress(ChildProcessError):  # with its signal ignored, this waits until the child has ended
            os.wait()
        os.write(write, b"r")
        time.sleep(20)
        os._exit(0)
    assert os.read(read, 1) == b"r"
    usage = group.measure()
    (own,) = {int(line) for path in folders.paths for line in Path(path, "cgroup.procs").read_text().split()}
    os.kill(own, signal.SIGKILL)
    os.waitpid(own, 0)
    assert 0.3 <= usage.cpu_s < 1.0
    assert 48 <= usage.files_mb < 64
    assert not group.ran_out


def test_the_kernel_ends_what_takes_more(folders: GroupFolders) -> None:
    group = ControlGroup(folders.paths)
    group.begin(64)
    pid = os.fork()
    if pid == 0:
        group.join()
        area = mmap.mmap(-1, 128 << 20)
        area.write(b"x" * len(area))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert group.ran_out
    group.begin(64)
    assert not group.ran_out


def test_groups_of_makers_that_were_killed_are_removed(
    folders: GroupFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left_behind, "_AGE_S", 0.0)
    code = "from harness.sandbox.isolation import control_group as c; print(*c.make().paths, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        left = maker.stdout.readline().split()
        other = control_group.make()
        assert other is not None
        assert all(map(os.path.isdir, (*left, *folders.paths)))
        other.remove()
        maker.kill()
    other = control_group.make()
    assert other is not None
    assert all(map(os.path.isdir, folders.paths))
    other.remove()
    assert not any(map(os.path.isdir, (*left, *other.paths)))


VERSION_2 = {
    "cgroup.procs": "",
    "memory.stat": "anon 10485760\nfile 99999999\nkernel 52428800\nshmem 3145728\n",
    "memory.max": "max",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n",
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
    "memory.oom.group": "0",
}


def test_the_files_of_version_2(tmp_path: Path) -> None:
    for name, text in VERSION_2.items():
        (tmp_path / name).write_text(text)
    group = ControlGroup((str(tmp_path),))
    group.begin(100)
    assert (tmp_path / "memory.max").read_text() == str(100 << 20)
    assert (tmp_path / "memory.oom.group").read_text() == "1"
    (tmp_path / "memory.stat").write_text("anon 20971520\nkernel 104857600\nshmem 5242880\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1750000\n")
    (tmp_path / "memory.events").write_text("oom_kill 3\n")
    usage = group.measure()
    assert usage.cpu_s == pytest.approx(0.25)
    assert usage.memory_mb == pytest.approx(20 + 50 - control_group.KERNEL_FREE_MB)
    assert usage.files_mb == pytest.approx(2)
    assert group.ran_out


def test_where_memory_is_not_counted_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_group, "_candidates", lambda: iter([(str(tmp_path),), ("/nonexistent",)]))
    assert control_group.make() is None
    assert list(tmp_path.iterdir()) == []


def test_groups_are_looked_for_from_the_own_one_upwards() -> None:
    upwards = control_group._upwards
    assert list(upwards("/sys/fs/cgroup", "/", "/user.slice/a.scope")) == [
        "/sys/fs/cgroup/user.slice/a.scope",
        "/sys/fs/cgroup/user.slice",
        "/sys/fs/cgroup",
    ]
    # A container's mount begins at its own group.
    assert next(upwards("/sys/fs/cgroup", "/docker/x", "/docker/x/inner")) == "/sys/fs/cgroup/inner"
    assert next(upwards("/sys/fs/cgroup", "/docker/x", "/other")).rstrip("/") == "/sys/fs/cgroup"
