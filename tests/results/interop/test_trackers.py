"""What MLflow and Weights & Biases are told of a run, read back from their own stores."""

import importlib.util
import json
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats

from harness.results.interop import trackers
from harness.runs.store import reader
from tests.support.command import harness
from tests.support.recordings import make

needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="the extra 'mlflow' is not installed"
)
needs_wandb = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="the extra 'wandb' is not installed"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 problems, of which 30 are right."""
    return make(tmp_path_factory.mktemp("tracked") / "base", right=range(30))


def test_metrics_get_names_that_trackers_take_and_no_two_the_same() -> None:
    given = {"pass@1": 0, "pass@1[easy] low": 0, "codebleu.syntax": 0, "pass@1[C++]": 0, "pass@1[C--]": 0}
    assert trackers.tracker_names(given) == [
        "pass_at_1",
        "pass_at_1/easy_low",
        "codebleu_syntax",
        "pass_at_1/C_",
        "pass_at_1/C__2",
    ]


def test_an_entry_has_the_metrics_with_intervals_the_counts_and_the_config(run: Path) -> None:
    one = trackers.tracked_run(reader.read(run))
    assert one.metrics["em_at_1"] == 0.75
    wilson = scipy_stats.binomtest(30, 40).proportion_ci(method="wilson")
    assert one.metrics["em_at_1_low"] == pytest.approx(wilson.low)
    assert one.metrics["em_at_1_high"] == pytest.approx(wilson.high)
    assert (one.metrics["problems"], one.metrics["samples"], one.metrics["faults"]) == (40, 40, 0)
    assert one.parameters["shots"] == "none"
    assert one.parameters["seed"] == "0"
    assert one.parameters["backend.kind"] == "replay"
    assert one.tags["harness.signature"].startswith("letters v1")
    assert [path.name for path in one.files] == ["run.json", "summary.json"]


def test_a_run_judged_otherwise_has_another_digest(run: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "base", right=range(29))
    assert (
        trackers.tracked_run(reader.read(other)).digest
        != trackers.tracked_run(reader.read(run)).digest
        == trackers.tracked_run(reader.read(run)).digest
    )


# ---------------------------------------------------------------- MLflow


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh SQLite store of MLflow."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield tmp_path / "mlflow.db"
    mlflow.set_tracking_uri(None)


@needs_mlflow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_mlflow_has_the_run_once_however_often_it_is_told(run: Path, store: Path) -> None:
    first = harness("track", run, "--to", "mlflow", "--project", "letters", "--samples")
    assert first.code == 0, first.err
    again = harness("track", run, "--to", "mlflow", "--project", "letters")
    assert again.code == 0, again.err
    assert "already in MLflow" in again.out
    with sqlite3.connect(store) as found:

        def table(query: str) -> Any:
            return found.execute(query).fetchall()

        assert table("select name from experiments where name = 'letters'") == [("letters",)]
        ((uuid, status),) = table("select run_uuid, status from runs")
        assert status == "FINISHED"
        metrics = dict(table("select key, value from latest_metrics"))
        parameters = dict(table("select key, value from params"))
        tags = dict(table("select key, value from tags"))
    found.close()
    assert (metrics["em_at_1"], metrics["samples"]) == (0.75, 40)
    assert parameters["shots"] == "none"
    assert tags["harness.signature"].startswith("letters v1")
    assert uuid in first.out
    (samples,) = Path.cwd().rglob("samples.parquet")
    assert (samples.parent / "summary.json").read_bytes() == (run / "summary.json").read_bytes()


@needs_mlflow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_store_that_cannot_be_reached_is_a_fault_in_one_line(
    run: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    ended = harness("track", run, "--to", "mlflow")
    assert ended.code == 3
    assert ended.err.startswith("error: MLflow: ")
    assert ended.err.count("\n") == 1


# ---------------------------------------------------------------- Weights & Biases


@needs_wandb
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_an_offline_run_of_wandb_holds_metrics_config_and_samples(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    ended = harness("track", run, "--to", "wandb", "--project", "letters", "--samples")
    assert ended.code == 0, ended.err
    wandb.teardown()  # its service writes on when a run has finished; at the end of a process this is done anyway
    digest = trackers.tracked_run(reader.read(run)).digest
    (file,) = tmp_path.rglob(f"run-{digest}.wandb")
    written = told(file)
    assert written["em_at_1"] == 0.75
    assert written["samples"] == 40
    assert written["project"] == "letters"
    assert written["config"]["shots"] == "none"
    assert written["config"]["harness.run_id"] in ended.out
    assert "summary.json" in written["files"]


def told(file: Path) -> dict[str, Any]:
    """What a .wandb file says: the package's own messages in LevelDB's log format."""
    from wandb.proto import wandb_internal_pb2

    found: dict[str, Any] = {"config": {}, "files": []}
    for data in logged(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        match record.WhichOneof("record_type"):
            case "run":
                found["project"] = record.run.project
                found["config"] |= {i.key: json.loads(i.value_json) for i in record.run.config.update}
            case "history":
                items = record.history.item
                found |= {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
            case "artifact":
                found["files"] += [entry.path for entry in record.artifact.manifest.contents]
            case "request":
                artifact = record.request.log_artifact.artifact
                found["files"] += [entry.path for entry in artifact.manifest.contents]
    return found


def logged(data: bytes, block: int = 32768) -> Iterator[bytes]:
    """The records of a LevelDB log after W&B's header of 7 bytes; a record may be in parts (types 2, 3, 4)."""
    at, record = 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
        _, length, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
        complaint = harness("track", run, "--to", name).complaint
        assert f"pip install 'codelm-harness[{name}]'" in complaint
