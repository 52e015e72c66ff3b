"""A run has the same bytes with and without the verdict cache, resumed and merged too; a second judges what is new."""

from pathlib import Path

import pytest

from harness.config.run import REFERENCES, VERDICTS
from tests.support.command import harness, mini_humaneval, rows, write_rows

SAMPLES = 3
COUNT = 4
FILES = ("generations.jsonl", "judgements.jsonl", "summary.json", "run.json")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, as the command line finds it."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_NO_CACHE")
    return tmp_path / "cache" / VERDICTS


def recorded(path: Path) -> Path:
    """Of each problem a right answer, the same again, and one that reads a clock and fails."""
    wrong = "    import time\n    time.time()\n    return 5\n"
    return write_rows(
        path,
        [
            {"task_id": row["task_id"], "completion": text}
            for row in mini_humaneval()[:COUNT]
            for text in (row["canonical_solution"], row["canonical_solution"], wrong)
        ],
    )


def score(out: Path, completions: Path, *more: object) -> dict[str, float]:
    """Judge them; returns the run's timing of judging."""
    given = ("--data", "mini", "--limit", COUNT, "--completions", completions, "--workers", 1, "--out", out)
    ended = harness("score", "humaneval", *given, *more)
    assert ended.code == 0, ended
    (row,) = [row for row in rows(out / "timings.jsonl") if row["stage"].startswith("judge ")][-1:]
    return {name: row[name] for name in ("judgements", "programs_reused")}


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_run_has_the_same_bytes_with_the_cache_without_and_from_it(tmp_path: Path, store: Path) -> None:
    said = recorded(tmp_path / "c.jsonl")
    total = COUNT * SAMPLES
    assert score(tmp_path / "off", said, "--no-cache") == {"judgements": total, "programs_reused": COUNT}
    assert not store.exists()
    assert score(tmp_path / "first", said) == {"judgements": total, "programs_reused": COUNT}
    assert score(tmp_path / "second", said) == {"judgements": total, "programs_reused": 2 * COUNT}
    assert contents(tmp_path / "first") == contents(tmp_path / "second") == contents(tmp_path / "off")

    lines = (tmp_path / "second" / "judgements.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "second" / "judgements.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:9])
    assert score(tmp_path / "second", said)["judgements"] == total - 5
    assert contents(tmp_path / "second") == contents(tmp_path / "off")

    for shard in ("0/2", "1/2"):
        score(tmp_path / f"shard{shard[0]}", said, "--shard", shard)
    merged = harness("merge", tmp_path / "shard0", tmp_path / "shard1", "--out", tmp_path / "merged")
    assert merged.code == 0, merged
    whole, one = contents(tmp_path / "merged"), contents(tmp_path / "off")
    assert [whole[name] for name in FILES[:2]] == [one[name] for name in FILES[:2]]


def test_the_command_shows_the_verdicts_of_each_judge_and_drops_them(tmp_path: Path, store: Path) -> None:
    said = recorded(tmp_path / "c.jsonl")
    score(tmp_path / "first", said)
    score(tmp_path / "tighter", said, "--time-limit", 2)
    shown = harness("cache").out.splitlines()
    assert [line.split()[:2] for line in shown[:2]] == [[str(COUNT), "verdicts"]] * 2
    assert "python 3." in shown[0]
    assert shown[1].endswith("time_limit 2")
    digest = shown[0].partition("judge ")[2][:8]
    assert harness("cache", "--drop", digest).out.splitlines()[0] == (
        f"0 completions, {COUNT} verdicts and 0 references deleted"
    )
    assert score(tmp_path / "again", said)["programs_reused"] == COUNT
    harness("cache", "--clear")
    assert score(tmp_path / "third", said)["programs_reused"] == COUNT


def write_compared_with_references(folder: Path) -> Path:
    """Two rows as HumanEval+ has them."""
    (folder / "humaneval_plus").mkdir(parents=True)
    write_rows(
        folder / "humaneval_plus" / "HumanEvalPlus-v0.1.10.jsonl",
        [
            {
                "task_id": f"HumanEval/{at}",
                "prompt": f"def f{at}(x):\n",
                "entry_point": f"f{at}",
                "canonical_solution": f"    return x + {at}\n",
                "base_input": [[n] for n in range(200)],
                "plus_input": [[n / 4] for n in range(200)],
                "atol": 0,
            }
            for at in range(2)
        ],
    )
    return folder


def test_what_references_say_is_kept_for_the_next_run(tmp_path: Path, store: Path) -> None:
    data = write_compared_with_references(tmp_path / "data")
    said = tmp_path / "c.jsonl"
    bodies = ("    return x + {at}", "    return x")
    write_rows(
        said,
        [
            {"task_id": f"HumanEval/{at}", "completion": body.format(at=at)}
            for at in range(2)
            for body in bodies
        ],
    )

    def judged(out: str, *more: str) -> dict[str, bytes]:
        given = ("--data", data, "--completions", said, "--workers", 1, "--out", tmp_path / out)
        ended = harness("score", "humaneval_plus", *given, *more)
        assert ended.code == 0, ended
        return contents(tmp_path / out)

    plain = judged("off", "--no-cache")
    assert not store.with_name(REFERENCES).exists()
    assert judged("first") == plain
    shown = [line for line in harness("cache").out.splitlines() if " references " in line]
    assert [line.split()[0] for line in shown] == ["2"]
    assert "python 3." in shown[0]
    store.unlink()  # verdicts: so that the programs are judged again
    assert judged("second") == plain
    dropped = harness("cache", "--drop", shown[0].partition("tests' references ")[2][:8]).out.splitlines()[0]
    assert dropped.endswith(" 2 references deleted")
    assert b'"failed"' in plain["judgements.jsonl"]
