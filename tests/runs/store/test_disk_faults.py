"""Faults of disk and clock: full, read-only, elsewhere, and a clock that jumps. Nothing is lost and no result changes.

Full and read-only disks are real ones where namespaces allow a mount, and a limit of the system on the size of files.
"""

import ast
import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.config import identity
from harness.config.backend import BackendConfig
from tests.support.command import Ended, harness, mini_humaneval, rows, write_rows
from tests.support.paths import ROOT

FILES = ("problems.jsonl", "generations.jsonl", "judgements.jsonl", "summary.json")


def completions(folder: Path) -> Path:
    texts = [f"result = [{n}, value for value in items]" for n in range(400)]
    said = [{"task_id": f"conala/test/{n % 20}", "text": text} for n, text in enumerate(texts)]
    return write_rows(folder / "said.jsonl", said)


def score(said: Path, out: Path) -> Ended:
    return harness(
        "score", "conala", "--data", "mini", "--completions", said, "--set", "limit=20", "--out", out
    )


def bytes_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    said = completions(folder)
    assert score(said, folder / "run").code == 0
    return said, bytes_of(folder / "run")


# ---------------------------------------------------------------- full


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may become larger: the system refuses the write as it does on a full disk, in the middle of a line."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_at_any_point_ends_with_three_and_the_same_command_goes_on(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    said, expected = undisturbed
    out, ended, kept = tmp_path / "run", [], 0
    for size in (100, 2_000, 5_000, 20_000, 50_000, 70_000, 100_000, 130_000):
        with largest_file(size):
            found = score(said, out)
        ended.append(found.code)
        if found.code:
            assert found.code == 3, found
            assert found.err.startswith(f"error: {out}/"), found.err
            assert found.err.count("\n") == 1
            assert "cannot be written: File too large" in found.err
            assert "make space, then rerun to resume" in found.err
            if "rows are safe" in found.err:
                name, rows = found.err.split(":")[1].strip(), int(found.err.split(". ")[1].split(" ")[0])
                assert Path(name).read_bytes().count(b"\n") == rows
                assert Path(name).read_bytes().endswith(b"\n")
                kept += 1
    assert ended.count(3) >= 5
    assert kept >= 3
    assert score(said, out).code == 0
    assert bytes_of(out) == expected


def mounted(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script with its own mounts; `harness` in it is this project's command."""
    command = f"{sys.executable} -c 'from harness.cli import main; main()'"
    return subprocess.run(
        ["unshare", "--map-root-user", "--user", "--mount", "sh", "-euc", f'harness() {{ {command} "$@"; }}\n{script}'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "TMPDIR": str(folder)},
    )  # fmt: skip


def test_a_real_disk_that_is_full_and_then_gets_larger(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    said, expected = undisturbed
    disk = tmp_path / "disk"
    disk.mkdir()
    done = mounted(
        f"""
        mount -t tmpfs -o size=96k none {disk}
        score="score conala --data mini --completions {said} --set limit=20 --out {disk}/run"
        harness $score || echo "ended with $?"
        mount -o remount,size=10m {disk}
        harness $score
        cp -r {disk}/run {tmp_path}/saved
        """,
        tmp_path,
    )
    if "mount: " in done.stderr or "unshare: " in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ended with 3\n")
    assert f"error: {disk}/run/" in done.stderr
    assert "No space left on device" in done.stderr
    assert "rerun to resume" in done.stderr
    assert bytes_of(tmp_path / "saved") == expected


def test_a_read_only_folder_is_one_line_for_writers_and_no_matter_for_readers(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, bytes]]
) -> None:
    said, _ = undisturbed
    shutil.copytree(said.parent / "run", tmp_path / "run")
    done = mounted(
        f"""
        mount --bind {tmp_path}/run {tmp_path}/run
        mount -o remount,bind,ro {tmp_path}/run
        for out in {tmp_path}/run {tmp_path}/run/below; do
            harness score conala --data mini --completions {said} --set limit=20 --out $out || echo "ended with $?"
        done
        harness report {tmp_path}/run
        """,
        tmp_path,
    )
    if "mount: " in done.stderr or "unshare: " in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.splitlines()[0]}")
    assert done.stdout.startswith("ended with 3\nended with 3\n")
    assert "em@1" in done.stdout
    assert done.stderr.splitlines() == [
        f"error: {tmp_path}/run cannot be written: Read-only file system",
        f"error: {tmp_path}/run/below cannot be written: Read-only file system",
    ]


# ---------------------------------------------------------------- elsewhere


def test_a_run_copied_in_the_middle_goes_on_at_another_path_on_another_machine(tmp_path: Path) -> None:
    from harness.files import packaged

    solved = [
        {"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in mini_humaneval()[:8]
    ]
    before, after = tmp_path / "before", tmp_path / "elsewhere" / "after"
    mini = packaged("tasks/mini")
    for folder in (before, after):
        shutil.copytree(mini / "humaneval", folder / "data" / "humaneval")
    said = write_rows(before / "said.jsonl", solved)

    def run(folder: Path, out: Path) -> Ended:
        return harness(
            "score", "humaneval", "--data", folder / "data", "--completions", folder / "said.jsonl", "--out", out,
            "--set", "limit=8", "--workers", "1",
        )  # fmt: skip

    assert run(before, before / "run").code == 0
    whole = bytes_of(before / "run") | {"run.json": (before / "run" / "run.json").read_bytes()}
    moved = after / "run"
    shutil.copytree(before / "run", moved)
    shutil.move(said, after / "said.jsonl")
    shutil.rmtree(before)
    (moved / "summary.json").unlink()
    for name, kept in (("generations.jsonl", 5), ("judgements.jsonl", 3)):
        lines = (moved / name).read_bytes().splitlines(keepends=True)
        (moved / name).write_bytes(b"".join(lines[:kept]) + lines[kept][:17])
    record = json.loads((moved / "run.json").read_text())
    record |= {
        "hardware": {"machine": "riscv64", "cores": 96},
        "versions": {"python": "3.14"},
        "commit": "f" * 40,
    }
    other = "landlock" if record["judge"]["sandbox"] == "namespaces" else record["judge"]["sandbox"]
    record["judge"]["sandbox"] = other  # a machine that allows less gives the same verdicts
    (moved / "run.json").write_text(json.dumps(record))
    ended = run(after, moved)
    assert ended.code == 0, ended.err
    for name in FILES[:3]:
        assert (moved / name).read_bytes() == whole[name], name
    summaries = [json.loads(blob) for blob in (whole["summary.json"], (moved / "summary.json").read_bytes())]
    assert summaries[0] | {"signature": ""} == summaries[1] | {"signature": ""}


def test_another_recording_or_other_weights_at_the_same_path_are_another_run() -> None:
    def record(place: str, digest: str) -> dict[str, Any]:
        backend = BackendConfig(model=place).model_dump(mode="json")
        shots = {"encoder": {"model": place, "digest": "e"}}
        made = {"kind": "hf", "model": place, "weights": digest, "device": place}
        return {
            "run_id": place,
            "config_hash": place,
            "config": {
                "task": f"{place}/mine.py",
                "backend": backend,
                "retrieval": {"encoder": place, "rerank": ""},
            },
            "backend": made,
            "shots": shots,
        }

    assert identity.placeless(record("/a", "1")) == identity.placeless(record("/b/c", "1"))
    assert identity.placeless(record("/a", "1")) != identity.placeless(record("/a", "2"))
    served = {
        "config": {"backend": {"model": "a"}},
        "backend": {"kind": "openai", "model": "a", "weights": "w"},
    }
    assert identity.placeless(served) == served  # a server's model is a name, and may be an adapter's
    unknown = {
        "config": {"backend": {"model": "/a", "adapter": "/b"}},
        "backend": {"kind": "hf", "model": "/a"},
    }
    assert identity.placeless(unknown) == unknown  # without a digest, the path is all there is


# ---------------------------------------------------------------- the clock


def test_a_clock_that_jumps_changes_no_result_and_no_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = mini_humaneval()[0]
    texts = [
        row["canonical_solution"],
        "    while True: pass\n",
        "    return None\n",
        "    import time; time.sleep(0.2)\n",
    ]
    said = write_rows(
        tmp_path / "said.jsonl", [{"task_id": row["task_id"], "completion": text} for text in texts]
    )

    def run(out: Path) -> Ended:
        return harness(
            "score", "humaneval", "--data", "mini", "--completions", said, "--out", out, "--set", "limit=1",
            "--workers", "1", "--time-limit", "1",
        )  # fmt: skip

    assert run(tmp_path / "right").code == 0
    right, chance = time.time, random.Random(1)

    def jumping() -> float:
        return right() + chance.choice((-1e9, -3600.0, 0.0, 3600.0, 1e9))

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setattr(time, "time_ns", lambda: int(jumping() * 1e9))
    assert run(tmp_path / "jumped").code == 0
    assert bytes_of(tmp_path / "jumped") == bytes_of(tmp_path / "right")
    assert [row["status"] for row in rows(tmp_path / "jumped" / "judgements.jsonl")] == [
        "passed",
        "timeout",
        "failed",
        "failed",
    ]
    assert all(0 <= row["seconds"] < 100 for row in rows(tmp_path / "jumped" / "timings.jsonl"))


# The only ones who may ask what time it is, and why.
ASK_THE_CLOCK = {
    "harness.prompts.retrieval.parts": "how old a folder is that a killed run left, which is removed after a week",
    "harness.sandbox.isolation.left_behind": "the same of what a killed sandbox left",
    "harness.backends.hub": "whether a file was written in the last two seconds: its digest is then not kept",
    "harness.backends.openai.transport": "a server may say in Retry-After until when to wait, as a date",
    "harness.view.watcher": "whether a run whose lock cannot be seen has written in the last minute; it only shows",
    "harness.results.interop.every_eval_ever": "its records say when they were made",
}


def test_no_time_limit_hangs_on_the_clock_on_the_wall() -> None:
    """The sandbox's own processes are beyond a fake clock: that they ask none is read from the code."""
    asking = set()
    for path in sorted((ROOT / "harness").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(
                    value=ast.Name(id="time"), attr="time" | "time_ns" | "localtime" | "gmtime" | "ctime"
                ):
                    pass
                case ast.Attribute(attr="now" | "utcnow" | "today"):
                    pass
                case ast.ImportFrom(module="time", names=names) if {"time", "time_ns"} & {
                    n.name for n in names
                }:
                    pass
                case _:
                    continue
            asking.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert asking == set(ASK_THE_CLOCK)
