"""The SQL worker: hostile queries change no file, exceed no limit, and always end in a verdict.

Each attack runs between two honest pairs whose verdicts must not change, at both isolation levels.
"""

import hashlib
import os
import signal
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness import sandbox
from harness.config.run import JudgeConfig
from harness.errors import SandboxFault
from harness.runs.judge import settings
from harness.sandbox.sql.client import QueryJob, SqlClient, SqlPool
from harness.schema import DatabaseFile, Pair, PairResult, Program
from harness.tasks.loading import registry

WRITTEN = Path(f"/tmp/written-by-a-query-{os.getpid()}")
GOLD = "SELECT name FROM shop ORDER BY id"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("databases")
    (root / "shops").mkdir()
    with closing(sqlite3.connect(root / "shops" / "shops.sqlite")) as connection:
        connection.executescript(
            "CREATE TABLE shop (id INTEGER PRIMARY KEY, name TEXT, größe REAL);"
            "INSERT INTO shop VALUES (1, 'a', 1.5), (2, 'b', NULL), (3, 'ä', 2);"
            "CREATE TABLE sale (shop_id INTEGER, price REAL);"
            "INSERT INTO sale VALUES (1, 5), (1, 7), (3, 2);"
            "CREATE TABLE raw (v TEXT); INSERT INTO raw VALUES (CAST(x'61ff62' AS TEXT));"
        )
    for path in (root, root / "shops", root / "shops" / "shops.sqlite"):
        path.chmod(0o755)
    return root


@pytest.fixture(scope="module", params=["namespaces", "landlock"])
def box(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    settings = sandbox.Settings(isolation=request.param, workers=1, time_limit=0.3, memory_mb=64)
    with sandbox.start(settings) as pool:
        yield pool


def pair(folder: Path, sql: str, gold: str = GOLD) -> Pair:
    path = folder / "shops" / "shops.sqlite"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Pair(
        sql=sql,
        gold=gold,
        folders=(str(folder),),
        files=(DatabaseFile(path=str(path), sha256=digest),),
        ordered="order by" in gold.lower(),
    )


def judged(box: sandbox.Pool, folder: Path, *queries: str, gold: str = GOLD) -> list[PairResult]:
    results = list(box.judge_queries(pair(folder, sql, gold) for sql in queries))
    assert not [result for result in results if isinstance(result, SandboxFault)], results
    return [result for result in results if isinstance(result, PairResult)]


DENIED = {
    "attach": "ATTACH DATABASE '/tmp/x.db' AS x",
    "attach_memory": "ATTACH ':memory:' AS x",
    "vacuum_into": "VACUUM INTO '/tmp/copy.db'",
    "pragma_write": "PRAGMA user_version = 7",
    "pragma_journal": "PRAGMA journal_mode = DELETE",
    "pragma_heap": "PRAGMA hard_heap_limit = 0",
    "pragma_query_only": "PRAGMA query_only = 0",
    "load_extension": "SELECT load_extension('/tmp/x.so')",
    "writefile": f"SELECT writefile('{WRITTEN}', 'y')",
    "readfile": "SELECT readfile('/etc/passwd')",
    "edit": "SELECT edit(name) FROM shop",
    "fts_tokenizer": "SELECT fts3_tokenizer('simple', x'4141414141414141')",
    "insert": "INSERT INTO shop VALUES (9, 'z', 0)",
    "update": "UPDATE shop SET name = 'z'",
    "delete": "DELETE FROM shop",
    "drop": "DROP TABLE shop",
    "create": "CREATE TABLE x (y)",
    "create_temp": "CREATE TEMP TABLE x AS SELECT 1",
    "create_trigger": "CREATE TEMP TRIGGER t AFTER INSERT ON shop BEGIN SELECT 1; END",
    "begin": "BEGIN EXCLUSIVE",
    "savepoint": "SAVEPOINT s",
    "analyze": "ANALYZE",
    "reindex": "REINDEX",
    "stacked": "SELECT name FROM shop ORDER BY id; DROP TABLE shop",
    "stacked_comment": "SELECT 1; -- \nDELETE FROM shop",
    "returning": "DELETE FROM shop RETURNING name",
    "cte_delete": "WITH x AS (SELECT 1) DELETE FROM shop",
    "virtual_table": "CREATE VIRTUAL TABLE x USING fts5(y)",
    "dbpage": "SELECT * FROM sqlite_dbpage",
    "no_statement": "",
    "only_comment": "-- SELECT name FROM shop ORDER BY id",
    "semicolon": ";",
    "nul": "SELECT name\0 FROM shop",
    "surrogate": "SELECT '\ud800'",
    "deep_parentheses": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "deep_not": "SELECT " + "NOT " * 5000 + "1",
    "deep_selects": "SELECT * FROM (" * 3000 + "SELECT 1" + ")" * 3000,
    "many_terms": "SELECT " + "+".join(["1"] * 100_000),
    "many_unions": " UNION ALL ".join(["SELECT 1"] * 5000),
    "many_columns": "SELECT " + ",".join(["1"] * 5000),
    "many_joins": "SELECT 1 FROM " + ",".join(f"shop s{i}" for i in range(100)),
    "unknown_function": "SELECT system('id')",
}

STOPPED = {
    "endless_recursion": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "endless_rows": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT x FROM c",
    "cross_join": "SELECT count(*) FROM " + ", ".join(f"shop s{i}" for i in range(26)),
    "cross_join_rows": "SELECT s0.id FROM " + ", ".join(f"shop s{i}" for i in range(26)),
    "sorted_cross_join": "SELECT s0.id FROM "
    + ", ".join(f"shop s{i}" for i in range(15))
    + " ORDER BY random()",
    "huge_blob": "SELECT zeroblob(1000000000)",
    "huge_text": "SELECT printf('%.*c', 1000000000, 'x')",
    "growing_text": "WITH RECURSIVE c(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM c) SELECT length(max(x)) FROM c",
    "growing_rows": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 90)"
    " SELECT hex(zeroblob(1000000)) FROM c",
    "like": "SELECT count(*) FROM shop WHERE '" + "a" * 3000 + "' LIKE '" + "%a" * 300 + "b'",
    "glob": "SELECT '" + "a" * 3000 + "' GLOB '" + "*a" * 300 + "b'",
    "group_concat": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
    " SELECT group_concat(hex(zeroblob(1000))) FROM c",
    "replace": "SELECT length(replace(replace(hex(zeroblob(1000000)), '0', 'aaaaaaaaaa'), 'a', 'bbbbbbbbbb'))",
    "window": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000)"
    " SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW)"
    " FROM c",
}

# SQLite's LIKE gives up early on these.
HARMLESS = {"like", "glob"}


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def attacked(box: sandbox.Pool, folder: Path) -> dict[str, PairResult]:
    """The verdict on each attack, all run one after another with an honest pair before and behind each."""
    before = state(folder)
    attacks = DENIED | STOPPED
    results = judged(box, folder, *(sql for attack in attacks.values() for sql in (attack, GOLD)))
    assert [result.status for result in results[1::2]] == ["passed"] * len(attacks)
    assert state(folder) == before
    assert not WRITTEN.exists()
    assert not Path("/tmp/copy.db").exists()
    return dict(zip(attacks, results[::2], strict=True))


@pytest.mark.parametrize("name", sorted(DENIED))
def test_a_query_that_may_not_be_is_an_error(attacked: dict[str, PairResult], name: str) -> None:
    said = attacked[name]
    assert (said.status, said.valid, said.main) == ("error", False, False), said


@pytest.mark.parametrize("name", sorted(STOPPED))
def test_a_query_without_end_or_measure_is_stopped(attacked: dict[str, PairResult], name: str) -> None:
    said = attacked[name]
    expected = {"failed"} if name in HARMLESS else {"timeout", "memory", "output", "error"}
    assert said.status in expected, said
    assert said.cpu_s < 3.0
    assert not said.main


def test_honest_queries_of_all_kinds_run(box: sandbox.Pool, folder: Path) -> None:
    queries = (
        "SELECT name FROM shop ORDER BY id",
        'SELECT "name" FROM [shop] ORDER BY `id` ASC;',
        "SELECT name FROM shop WHERE größe IS NULL OR größe > 0 ORDER BY id",
        "WITH x AS (SELECT * FROM shop) SELECT name FROM x ORDER BY id",
        "SELECT name FROM shop LEFT JOIN sale ON id = shop_id GROUP BY id ORDER BY id",
        "SELECT name FROM (SELECT name, row_number() OVER (ORDER BY id) AS n FROM shop) ORDER BY n",
        "SELECT json_extract(json_array(name), '$[0]') FROM shop ORDER BY id",
        "EXPLAIN SELECT 1",
    )
    results = judged(box, folder, *queries)
    assert [result.status for result in results] == ["passed"] * 7 + ["failed"]


def test_order_counts_where_the_gold_orders_and_only_there(box: sandbox.Pool, folder: Path) -> None:
    backwards = "SELECT name FROM shop ORDER BY id DESC"
    assert [r.status for r in judged(box, folder, backwards)] == ["failed"]
    assert [r.status for r in judged(box, folder, backwards, gold="SELECT name FROM shop")] == ["passed"]


def test_text_that_is_not_utf_8_is_read_without_the_wrong_bytes(box: sandbox.Pool, folder: Path) -> None:
    assert [r.status for r in judged(box, folder, "SELECT 'ab'", gold="SELECT v FROM raw")] == ["passed"]


def test_a_gold_query_that_fails_is_a_fault_that_names_it(box: sandbox.Pool, folder: Path) -> None:
    (result,) = box.judge_queries([pair(folder, GOLD, gold="SELECT nowhere FROM shop")])
    assert isinstance(result, SandboxFault)
    assert "its gold query fails on shops.sqlite: error: OperationalError: no such column: nowhere" in str(
        result
    )


def test_a_missing_database_is_a_fault_and_no_file_is_made(box: sandbox.Pool, folder: Path) -> None:
    missing = folder / "shops" / "other.sqlite"
    asked = pair(folder, GOLD).model_copy(update={"files": (DatabaseFile(path=str(missing), sha256="0"),)})
    (result,) = box.judge_queries([asked])
    assert isinstance(result, SandboxFault)
    assert "cannot be opened" in str(result)
    assert not missing.exists()


def test_every_file_of_a_suite_has_to_agree(box: sandbox.Pool, folder: Path) -> None:
    other = folder / "shops" / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("CREATE TABLE shop (id, name, größe); INSERT INTO shop VALUES (1, 'x', 0)")
    other.chmod(0o644)
    second = DatabaseFile(path=str(other), sha256="other")
    lucky = "SELECT name FROM shop WHERE name < 'x' OR name > 'y' ORDER BY id"
    try:
        first, both = box.judge_queries(
            [
                pair(folder, lucky),
                pair(folder, lucky).model_copy(update={"files": (*pair(folder, lucky).files, second)}),
            ]
        )
    finally:
        other.unlink()
    assert isinstance(first, PairResult)
    assert isinstance(both, PairResult)
    assert (first.status, first.main) == ("passed", True)
    assert (both.status, both.main, both.valid) == ("failed", True, True)
    assert both.detail == "other rows than the gold query's on other.db"


def test_many_pairs_come_back_in_order(box: sandbox.Pool, folder: Path) -> None:
    queries = [f"SELECT {i % 7}" for i in range(1500)]
    results = judged(box, folder, *queries, gold="SELECT 3")
    assert [result.main for result in results] == [i % 7 == 3 for i in range(1500)]


def test_a_batch_given_up_half_way_does_not_reach_the_next(box: sandbox.Pool, folder: Path) -> None:
    unfinished = box.judge_queries(pair(folder, "SELECT 1") for _ in range(100))
    next(iter(unfinished))
    unfinished.close()  # type: ignore[attr-defined]
    assert [result.status for result in judged(box, folder, GOLD)] == ["passed"]


def test_timing_gives_a_ratio_for_equal_results_alone(box: sandbox.Pool, folder: Path) -> None:
    asked = [pair(folder, sql).model_copy(update={"repeats": 5}) for sql in (GOLD, "SELECT 1")]
    right, wrong = box.judge_queries(asked)
    assert isinstance(right, PairResult)
    assert isinstance(wrong, PairResult)
    assert right.ratio > 0
    assert wrong.ratio == 0


# One step of SQLite's machine that goes on past the limit and the grace behind it, without memory.
ONE_LONG_STEP = "SELECT instr(hex(zeroblob(8000000)), hex(zeroblob(4000000)) || 'x')"


def test_one_endless_step_ends_the_worker_and_the_verdict_says_whose_it_was(
    box: sandbox.Pool, folder: Path
) -> None:
    asked = [pair(folder, ONE_LONG_STEP), pair(folder, GOLD), pair(folder, GOLD, gold=ONE_LONG_STEP)]
    answer, honest, gold = box.judge_queries(asked)
    assert isinstance(answer, PairResult)
    assert (answer.status, answer.detail) == ("timeout", "out of CPU time inside one step")
    assert isinstance(honest, PairResult)
    assert honest.main
    assert isinstance(gold, SandboxFault)
    assert "its gold query fails: timeout" in str(gold)


def test_what_waited_behind_such_a_query_has_been_tried_no_time(
    box: sandbox.Pool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    requeue = SqlPool._requeue

    def watched(
        self: SqlPool, client: SqlClient, jobs: dict[int, QueryJob], waiting: deque[int], began: bool
    ) -> None:
        requeue(self, client, jobs, waiting, began)
        tries.extend(jobs[number].tries for number in waiting)

    monkeypatch.setattr(SqlPool, "_requeue", watched)
    judged(box, folder, ONE_LONG_STEP, GOLD, GOLD)
    assert tries
    assert not any(tries)


def test_a_query_that_brings_the_worker_down_twice_is_a_signal(box: sandbox.Pool, folder: Path) -> None:
    """No query is known that does, so the worker is killed from outside while it runs one."""
    endless = pair(folder, STOPPED["endless_recursion"])
    killed = 0

    def kill_twice() -> None:
        nonlocal killed
        while killed < 2:
            time.sleep(0.02)
            clients = box._sql.clients if box._sql else []
            for client in [client for client in clients if client.sent]:
                os.kill(client.pid, signal.SIGKILL)
                killed += 1
                time.sleep(0.1)

    judged(box, folder, GOLD)
    killer = threading.Thread(target=kill_twice)
    killer.start()
    attack, honest = box.judge_queries([endless, pair(folder, GOLD)])
    killer.join()
    assert isinstance(attack, PairResult)
    assert (attack.status, attack.main, attack.valid) == ("signal", False, False)
    assert isinstance(honest, PairResult)
    assert honest.main


def test_workers_are_forked_by_one_process_and_outlive_its_end(folder: Path) -> None:
    with sandbox.start(sandbox.Settings(isolation="namespaces", workers=2)) as box:
        judged(box, folder, *[GOLD] * 4)
        assert box._sql is not None
        assert box._sql.starter is not None
        first = box._sql.starter.process
        parents = [Path(f"/proc/{client.pid}/stat").read_text().split()[3] for client in box._sql.clients]
        assert parents == [str(first.pid)] * 2
        first.kill()
        first.wait()
        until = time.monotonic() + 10
        while (
            box._sql.starter is None or box._sql.starter.process is first
        ):  # the kernel ends its forks in a moment
            assert [result.status for result in judged(box, folder, *[GOLD] * 4)] == ["passed"] * 4
            assert time.monotonic() < until


def test_where_only_queries_are_judged_no_worker_for_programs_is_started(folder: Path) -> None:
    with sandbox.start(sandbox.Settings(workers=1, queries=True)) as box:
        level = box.isolation
        assert judged(box, folder, GOLD)[0].main
        assert box.workers() == []
        assert box.run(Program(code="x = 1")).status == "passed"
    with sandbox.start(sandbox.Settings(workers=1)) as usual:
        assert usual.isolation == level


def test_a_run_of_sql_alone_says_so_to_its_sandbox() -> None:
    queries = {
        name: settings(JudgeConfig(), registry.task(name)).queries for name in ("spider", "bird", "conala")
    }
    assert queries == {"spider": True, "bird": True, "conala": False}


def test_a_worker_that_is_killed_during_a_query_is_replaced(box: sandbox.Pool, folder: Path) -> None:
    judged(box, folder, GOLD)
    assert box._sql is not None
    os.kill(box._sql.clients[0].pid, signal.SIGKILL)
    assert [result.status for result in judged(box, folder, GOLD, GOLD)] == ["passed", "passed"]
