"""Databases that posted scripts make: kept while they are used, and no larger than they may be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import Fault, UserError
from harness.serve import databases as databases_of
from harness.serve import posted
from harness.serve.databases import PostedDatabases
from tests.support.judge_service import Served


def script(number: int) -> str:
    return f"CREATE TABLE t{number} (a INT)"


@pytest.fixture
def databases() -> Iterator[PostedDatabases]:
    made = PostedDatabases()
    yield made
    made.close()


def test_a_database_stays_as_long_as_a_sample_is_judged_by_it(
    databases: PostedDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases_of, "MAX_DATABASES", 2)
    files = [databases.take(script(number)) for number in (0, 1, 2, 0)]
    paths = [Path(file.path) for file in files]
    assert all(path.exists() for path in paths)
    databases.give_back(files[0])
    databases.give_back(files[1])
    assert [path.exists() for path in paths[:3]] == [True, False, True]  # 0 has another user
    databases.give_back(files[3])
    assert paths[0].exists()  # two may stay
    monkeypatch.setattr(databases_of, "MAX_BYTES", paths[0].stat().st_size + paths[2].stat().st_size)
    assert databases.take(script(3)).path
    assert [path.exists() for path in paths[:3]] == [False, False, True]
    with pytest.raises(Fault, match="are in use: ask again"):
        databases.take(script(4))


LARGE = """
CREATE TEMP TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT zeroblob(16000000) FROM n LIMIT 150
"""
ENDLESS = """
CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n
"""


def test_a_script_has_no_more_memory_and_time_than_it_is_given(
    databases: PostedDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UserError, match=r"^check.script: (out of memory|more than 512 MB of memory|it took too)"
    ):
        databases.take(LARGE)
    monkeypatch.setattr(databases_of, "BUILD_S", 0.3)
    with pytest.raises(UserError, match=r"^check.script: more than 0.3 s"):
        databases.take(ENDLESS)
    file = databases.take(script(0))  # the next one is well
    assert [path.name for path in Path(file.path).parent.parent.iterdir()] == [file.sha256[:16]]


def test_a_builder_that_ends_or_hangs_is_replaced(
    databases: PostedDatabases, monkeypatch: pytest.MonkeyPatch
) -> None:
    databases.take(script(0))
    assert databases._builder is not None
    databases._builder.kill()
    databases._builder.wait()
    assert databases.take(script(1))
    monkeypatch.setattr(databases_of, "PATIENCE_S", 0.05)
    with pytest.raises(UserError, match="too much memory or time"):
        databases.take(ENDLESS)
    monkeypatch.setattr(databases_of, "PATIENCE_S", 15.0)
    assert databases.take(script(2))


def test_what_a_request_has_used_is_given_back(served: Served) -> None:
    samples = [
        {"answer": "SELECT 1", "check": {"kind": "query", "sql": "SELECT 1", "script": script(number)}}
        for number in range(3)
    ]
    verdicts = served.post("/v1/checks", samples=samples).json()["verdicts"]
    assert [row["status"] for row in verdicts] == ["passed"] * 3
    made = posted._databases()._made
    assert len(made) >= 3
    assert {each.users for each in made.values()} == {0}
