"""Run folders at URLs: the same bytes as in a local folder, whatever cut a run off, and one writer at a time.

Tried on fsspec's memory (an object store: nothing is appended to, nothing renamed), on its local file system, and on a
server of this machine that speaks S3.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError, MissingExtra, StoreFault
from harness.runs.store import remote
from harness.runs.store.remote import RemoteRun, RemoteRuns
from tests.support.command import harness, write_rows

FILES = ("run.json", "problems.jsonl", "generations.jsonl", "judgements.jsonl", "summary.json")


@pytest.fixture(autouse=True, scope="module")
def local_copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A run that is cut off keeps its local copy: not in this machine's /tmp."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("copies")))
        yield


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket."""
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'codelm-harness[test-s3]'")
    pytest.importorskip("moto", reason="moto is not installed: pip install 'codelm-harness[test-s3]'")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("evaluations")
        yield "evaluations"
    server.stop()


@pytest.fixture(params=["memory", "local", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    match request.param:
        case "s3":
            yield f"s3://{request.getfixturevalue('s3')}/{tmp_path.name}/out"
        case "local":
            yield f"local://{tmp_path}/away/out"
        case _:
            yield f"memory://{tmp_path.name}/out"
            memory = fsspec.filesystem("memory")
            if memory.exists(tmp_path.name):
                memory.rm(tmp_path.name, recursive=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "UPLOAD_INTERVAL_S", 0.02)
    monkeypatch.setattr(remote, "WRITER_TIMEOUT_S", 0.5)


def there(url: str) -> dict[str, bytes]:
    """What lies at the URL, by name."""
    fs, root = fsspec.core.url_to_fs(url)
    fs.invalidate_cache()
    return {path[len(root) :].lstrip("/"): fs.cat_file(path) for path in fs.find(root)}


def completions(folder: Path, wrong: bool = False) -> Path:
    rows = [
        {"task_id": f"conala/test/{n}", "text": "x = 1" if wrong or n % 2 else "y = [n]\n"}
        for n in range(6)
        for _ in range(3)
    ]
    return write_rows(folder / f"said{wrong}.jsonl", rows)


def score(folder: Path, out: object, wrong: bool = False) -> Any:
    said = completions(folder, wrong)
    return harness(
        "score", "conala", "--data", "mini", "--completions", said, "--set", "limit=6", "--out", out
    )


def test_a_run_at_a_url_has_the_bytes_of_a_local_one_and_nothing_beside(url: str, tmp_path: Path) -> None:
    local = score(tmp_path, tmp_path / "here")
    away = score(tmp_path, url)
    assert (local.code, away.code) == (0, 0), away.err
    assert away.out == local.out.replace(str(tmp_path / "here"), url)
    found = there(url)
    assert sorted(found) == sorted([*FILES, "timings.jsonl"])
    for name in FILES:
        if name != "run.json":
            assert found[name] == (tmp_path / "here" / name).read_bytes(), name


def test_the_same_command_again_changes_no_byte_and_another_config_is_refused(
    url: str, tmp_path: Path
) -> None:
    score(tmp_path, url)
    before = there(url)
    assert score(tmp_path, url).code == 0
    assert there(url) == before
    other = harness(
        "score", "conala", "--data", "mini", "--completions", completions(tmp_path), "--out", url, "--set",
        "limit=6", "--set", "seed=3",
    )  # fmt: skip
    assert other.complaint.startswith(f"{url} holds another run: config.seed: 0 there, 3 now")
    assert there(url) == before


def test_commands_that_read_take_urls_and_name_them(url: str, tmp_path: Path) -> None:
    one, two = f"{url}/one", f"{url}/two"
    assert score(tmp_path, one).code == score(tmp_path, two, wrong=True).code == 0
    assert "em@1" in harness("report", one, two).out
    compared = harness("compare", one, two)
    assert compared.code in (0, 4), compared.err
    assert harness("compare", one, one, "--json").code in (0, 2)
    baseline = tmp_path / "baseline.json"
    assert harness("gate", one, "--baseline", baseline, "--write").code == 0
    gated = harness("gate", one, "--baseline", baseline)
    assert (gated.code, "too few to tell, 6 problems" in gated.out) == (4, True), gated
    assert harness("export", one, "--format", "human-eval", "--out", tmp_path / "e.jsonl").code == 0
    board = harness("leaderboard", url)
    assert f"wrote {url}/leaderboard/index.html" in board.out
    assert "leaderboard/leaderboard.csv" in there(url)
    page = harness("report", one, "--format", "html")
    assert page.out == f"wrote {one}/report.html\n"
    assert there(one)["report.html"].startswith(b"<!doctype html>")


def test_a_bucket_that_is_not_there_is_named_and_not_made(s3: str, tmp_path: Path) -> None:
    ended = score(tmp_path, "s3://evaluation/out")
    assert ended.code == 3
    assert ended.err == "error: s3://evaluation/out: cannot be read: The specified bucket does not exist\n"
    assert not fsspec.filesystem("s3").exists("evaluation")
    assert fsspec.filesystem("s3").exists(s3)


def test_what_is_no_run_is_named_by_its_url(url: str) -> None:
    assert harness("report", url).complaint == f"{url} holds no run: no run.json in it or below"


def test_file_urls_are_local_folders(tmp_path: Path) -> None:
    assert score(tmp_path, f"file://{tmp_path}/run").code == 0
    assert (tmp_path / "run" / ".lock").exists()
    assert "em@1" in harness("report", f"file://{tmp_path}/run").out


def test_an_unknown_protocol_and_one_whose_package_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError, match=r"^nosuch://a/b: Protocol not known: nosuch"):
        RemoteRuns().local_path("nosuch://a/b")

    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(
        MissingExtra, match=r"^s3://a/b: s3:// needs another package: pip install 'codelm-harness\[s3\]'$"
    ):
        RemoteRuns().local_path("s3://a/b")


# ---------------------------------------------------------------- cut off


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kept", [0, 5, 18])
def test_a_driver_killed_and_started_elsewhere_resumes_from_what_was_uploaded(
    url: str, tmp_path: Path, kept: int
) -> None:
    score(tmp_path, tmp_path / "here")
    run = RemoteRun(url)
    run.open(writes=True)
    run._stop.set()  # as if it were killed: nothing is uploaded from here on but what is uploaded below
    assert run._thread is not None
    run._thread.join()
    for name in ("run.json", "generations.jsonl"):
        (run.local / name).write_bytes((tmp_path / "here" / name).read_bytes())
    lines = (tmp_path / "here" / "generations.jsonl").read_bytes().splitlines(keepends=True)
    (run.local / "generations.jsonl").write_bytes(b"".join(lines[:kept]) + b'{"problem_id":"con')
    run._upload(final=False)
    assert "generations.jsonl" not in there(url)
    assert ".writer.json" in there(url)
    again = score(tmp_path, url)
    assert again.code == 0, again.err
    found = there(url)
    assert sorted(found) == sorted([*FILES, "timings.jsonl"])
    for name in ("generations.jsonl", "judgements.jsonl", "summary.json"):
        assert found[name] == (tmp_path / "here" / name).read_bytes()
    made = [
        row["samples"] for row in map(json.loads, found["timings.jsonl"].splitlines()) if "samples" in row
    ]
    assert sum(made) == 18 - kept


LINE = st.binary(max_size=6).map(lambda blob: blob.hex().encode() + b"\n")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from("ab"), LINE),
        st.tuples(st.just("tear"), st.sampled_from("ab"), st.just(b"torn")),
        st.tuples(st.just("replace"), st.sampled_from("ab"), LINE),
        st.tuples(st.just("summary"), st.just("s"), LINE),
        st.tuples(st.just("send"), st.booleans(), st.just(b"")),
        st.tuples(st.just("restart"), st.just(""), st.just(b"")),
    ),
    max_size=14,
)


def whole_lines(run: RemoteRun) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in run.local.iterdir()}
    return {name: blob[: blob.rfind(b"\n") + 1] for name, blob in files.items()}


def seen(url: str) -> dict[str, bytes]:
    reader = RemoteRun(url)
    reader.open(writes=False)
    files = whole_lines(reader)
    reader.close()
    return files


def silent(url: str) -> RemoteRun:
    """A writer that uploads only when it is told to."""
    run = RemoteRun(url)
    run._writes = run._downloaded = True
    run._heartbeat()
    run._download()
    return run


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_readers_see_what_was_uploaded_last_whatever_was_appended_replaced_and_restarted(
    steps: list[Any],
) -> None:
    memory = fsspec.filesystem("memory")
    if memory.exists("steps"):
        memory.rm("steps", recursive=True)
    run, sent = silent("memory://steps/out"), dict[str, bytes]()
    for what, name, blob in steps:
        path = run.local / (f"{name}.jsonl" if what != "summary" else "summary.json")
        if what == "append" or what == "tear":
            with path.open("ab") as file:
                file.write(blob)
        elif what in ("replace", "summary"):
            (run.local / ".new").write_bytes(blob)
            (run.local / ".new").rename(path)
        elif what == "send":
            run._upload(final=name)
            sent = whole_lines(run)
            assert seen(run.url) == sent
        else:  # killed, and started again elsewhere
            run = silent(run.url)
            assert whole_lines(run) == sent
    run.close()
    assert not any(part in name for name in there("memory://steps") for part in (".parts", ".writer"))


class Failing:
    """A file system that breaks after so many changes."""

    def __init__(self, fs: Any, left: int) -> None:
        self.fs, self.left = fs, left

    def __getattr__(self, name: str) -> Any:
        if name not in {"pipe_file", "put_file", "rm_file", "rm"}:
            return getattr(self.fs, name)

        def change(*arguments: Any, **more: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise OSError("gone")
            return getattr(self.fs, name)(*arguments, **more)

        return change


def test_an_upload_that_breaks_off_anywhere_leaves_the_rows_of_before_or_of_after(tmp_path: Path) -> None:
    for breaks in range(12):
        url = f"memory://{tmp_path.name}/{breaks}"
        run = silent(url)
        (run.local / "a.jsonl").write_bytes(b"2\n1\n")
        (run.local / "b.jsonl").write_bytes(b"3\n")
        run._upload(final=False)
        before = seen(url)
        for name, blob in (("a.jsonl", b"1\n2\n3\n"), ("b.jsonl", b"3\n4\n"), ("summary.json", b"{}\n")):
            (run.local / ".new").write_bytes(blob)
            (run.local / ".new").rename(run.local / name)
        after = whole_lines(run)
        run.remote.fs = Failing(run.remote.fs, breaks)
        try:
            run._upload(final=True)
        except OSError:
            now = seen(url)
            rows = {name: blob for name, blob in now.items() if name != "summary.json"}
            assert rows in (before, {name: after[name] for name in rows}), breaks
            assert "summary.json" not in now or now == after
        else:
            assert breaks >= 5
            assert seen(url) == after
        finally:
            run.remote.fs = run.remote.fs.fs


def test_a_reader_leaves_the_parts_of_an_active_run_alone(tmp_path: Path) -> None:
    url = f"memory://{tmp_path.name}/out"
    run = silent(url)
    (run.local / "a.jsonl").write_bytes(b"1\n")
    run._upload(final=False)
    before = there(url)
    assert seen(url) == {"a.jsonl": b"1\n"}
    assert there(url) == before


# ---------------------------------------------------------------- one writer


@pytest.mark.usefixtures("quick")
def test_a_second_writer_is_refused_while_the_first_lives_and_takes_over_when_it_is_dead(
    url: str, tmp_path: Path
) -> None:
    first = RemoteRun(url)
    first.open(writes=True)
    refused = score(tmp_path, url)
    assert refused.code == 3
    assert refused.err == (
        f"error: {url} is being written by another process: wait for it, or choose another --out\n"
    )
    first._stop.set()
    assert first._thread is not None
    first._thread.join()  # an upload that is still under way would count as a sign of life
    assert score(tmp_path, url).code == 0
    with pytest.raises(StoreFault, match="another process took over"):
        first.close()
    assert "summary.json" in there(url)


@pytest.mark.usefixtures("quick")
def test_what_cannot_be_uploaded_is_reported_once_and_kept_and_the_command_exits_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: Any, **more: Any) -> None:
        raise PermissionError("no quota left")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "put_file", full)
    ended = score(tmp_path, f"memory://{tmp_path.name}/out")
    assert ended.code == 3
    assert ended.err.startswith(
        f"error: memory://{tmp_path.name}/out: cannot be written: no quota left; the local copy"
    )
    kept = Path(ended.err.split(" is kept in ")[1].strip())
    assert (kept / "out" / "summary.json").is_file()
    told = [message for message in caplog.messages if message.endswith("not uploaded yet: no quota left")]
    assert len(told) == 1
