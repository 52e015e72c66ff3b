"""The times of a pair's two queries: the gold query never runs in what the answer has left of its own."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.sandbox.sql.worker import QueryClock, QueryLimits, QueryStopped, Rows, SqlWorker

Told = Callable[[str, bool, float], None]


class Watched(SqlWorker):
    """Tells of each query before it runs: its text, whether it is the gold query, its CPU seconds."""

    def __init__(self, tell: Told) -> None:
        super().__init__(64, QueryClock())
        self.tell = tell

    def _run(self, path: str, sql: str, bounds: QueryLimits) -> Rows:
        self.tell(sql, self.clock.gold, bounds.cpu_s)
        return super()._run(path, sql, bounds)


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """A pair on two files, both queries right, 5 s of CPU time each."""
    with closing(sqlite3.connect(tmp_path / "shops.sqlite")) as connection:
        connection.executescript("CREATE TABLE shop (id, name); INSERT INTO shop VALUES (1, 'a'), (2, 'b')")
    gold = "SELECT name FROM shop WHERE id = 2"
    return {
        "sql": gold,
        "gold": gold,
        "files": [[str(tmp_path / "shops.sqlite"), digest] for digest in ("one", "two")],
        **{"compare": "bag", "ordered": False, "soft": False, "repeats": 0, "slots": None},
        **{"cpu_s": 5.0, "rows": 100, "cells": 1000},
    }


def test_plugging_in_values_leaves_the_gold_query_its_time(job: dict[str, Any]) -> None:
    job["sql"] = "SELECT name FROM shop WHERE id = 1"
    job["slots"] = {"pieces": ["SELECT name FROM shop WHERE id = ", ""], "values": ["1", "2"]}
    times: dict[bool, list[float]] = {True: [], False: []}
    said = Watched(lambda _, gold, seconds: times[gold].append(seconds)).judge(job)
    assert said["status"] == "passed"
    assert times[True] == [5.0, 5.0]
    assert min(times[False]) < 5.0  # all choices of values together have these five


@pytest.mark.parametrize("stopped", [False, True])
def test_a_query_that_is_stopped_while_its_time_is_taken(job: dict[str, Any], stopped: bool) -> None:
    runs = 0

    def stop_second(sql: str, gold: bool, seconds: float) -> None:
        nonlocal runs
        runs += gold is stopped
        if runs == 2:
            raise QueryStopped("timeout", "more than 5 s of CPU time")

    said = Watched(stop_second).judge(job | {"repeats": 3})
    detail = "when its time was taken: timeout: more than 5 s of CPU time"
    if stopped:
        assert said["fault"] == f"its gold query fails {detail}"
    else:
        assert (said["main"], said["status"], said["detail"]) == (True, "timeout", detail)


def test_a_database_that_is_gone_is_no_error_of_the_answer(job: dict[str, Any]) -> None:
    worker = Watched(lambda *_: None)
    assert worker.judge(job)["status"] == "passed"
    worker.connections.clear()  # the gold query's rows are kept longer
    Path(job["files"][0][0]).unlink()
    assert "the database shops.sqlite cannot be opened" in worker.judge(job)["fault"]
