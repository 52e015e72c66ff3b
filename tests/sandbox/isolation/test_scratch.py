"""Scratch folders of hostile programs are measured and emptied, whatever is in them."""

import ctypes
import os
import resource
from pathlib import Path

import pytest

from harness.sandbox.isolation import scratch


def chain(top: Path, name: str, depth: int) -> None:
    """Folders inside each other, made without a path that names the last."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)
        fd = inner
    os.close(fd)


def test_any_tree_is_emptied_with_few_descriptors(tmp_path: Path) -> None:
    chain(tmp_path, "d", 1500)
    chain(tmp_path, "n" * 255, 30)
    outside = tmp_path.parent / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "locked").mkdir(0o700)
    (tmp_path / "locked" / "inner").mkdir(0)
    (tmp_path / "locked").chmod(0)
    highest = max(map(int, os.listdir("/proc/self/fd")))  # what other tests hold open does not count
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 33, before[1]))
    try:
        scratch.empty(str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert os.listdir(tmp_path) == []
    assert os.listdir(outside) == ["kept"]


def test_depth_number_and_size_are_limited(tmp_path: Path) -> None:
    assert not scratch.exceeds(str(tmp_path), 1, 10)
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    assert scratch.exceeds(str(tmp_path), 1, 10) == (os.stat(tmp_path / "file").st_blocks << 9 > 1 << 20)
    (tmp_path / "more").write_bytes(bytes(1 << 16))
    assert scratch.exceeds(str(tmp_path), 1, 10)
    assert not scratch.exceeds(str(tmp_path), 2, 2)
    assert scratch.exceeds(str(tmp_path), 2, 1)
    chain(tmp_path, "d", scratch.MAX_DEPTH + 1)
    assert scratch.exceeds(str(tmp_path), 2, 1000)


def test_files_without_a_name_count(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    os.write(fd, bytes(3 << 20))
    os.unlink(tmp_path / "file")
    assert scratch.exceeds(str(tmp_path), 2, 10, (os.getppid(), os.getpid()))
    os.close(fd)
    assert not scratch.exceeds(str(tmp_path), 2, 10, (os.getpid(),))


def test_a_removed_file_that_is_mapped_and_not_open_counts_as_the_largest(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    os.truncate(fd, 1 << 14)
    libc = ctypes.CDLL(None)
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, *[ctypes.c_size_t] * 5]
    places = [libc.mmap(None, 4096, 1, 1, fd, at) for at in (0, 8192)]
    # Far above what pytest itself may have open without a name.
    own, (here, there) = (os.getpid(),), (str(tmp_path), str(tmp_path.parent / "there"))
    os.mkdir(there)
    try:
        assert not scratch.exceeds(here, 32, 10, own, 64)
        os.unlink(tmp_path / "file")
        assert not scratch.exceeds(here, 32, 10, own, 64)  # open: its size is known
        os.close(fd)
        assert scratch.exceeds(here, 32, 10, own, 64)
        assert not scratch.exceeds(here, 100, 10, own, 64)  # once, however often it is mapped
        assert not scratch.exceeds(there, 32, 10, own, 64)
    finally:
        for place in places:
            libc.munmap(ctypes.c_void_p(place), ctypes.c_size_t(4096))
    assert not scratch.exceeds(here, 32, 10, own, 64)


def test_threads_are_counted() -> None:
    assert scratch.threads(os.getpid()) == len(os.listdir("/proc/self/task"))
    assert scratch.threads(1 << 29) == 0


def test_a_look_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not scratch.exceeds(str(tmp_path), 1, 10, (os.getpid(),))
    monkeypatch.setattr(scratch, "LOOK_S", 0.0)
    with pytest.raises(scratch.LookTooLong):
        scratch.exceeds(str(tmp_path), 1, 10, (os.getpid(),))


def test_no_more_names_are_read_than_count(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).touch()
    fd = os.open(tmp_path, os.O_RDONLY)
    assert len(scratch._list(fd, 11)[1]) == 11
    os.close(fd)
    assert scratch.exceeds(str(tmp_path), 1, 10)
    assert not scratch.exceeds(str(tmp_path), 1, 50)
