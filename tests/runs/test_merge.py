"""Merged shards are the run, byte for byte; anything that is not a complete set of shards is refused by name."""

import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.run import RunConfig
from harness.errors import ConfigError, SandboxFault
from harness.files import packaged
from harness.runs import run, shards
from harness.schema import ExecResult
from harness.tasks.loading import data_files, registry
from tests.support.command import harness, rows, write_rows

FILES = ("run.json", "generations.jsonl", "judgements.jsonl", "problems.jsonl", "summary.json")
DEMO = packaged("tasks/demo/model")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def contents(folder: Path, names: Sequence[str] = FILES) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def recording(path: Path, task: str) -> Path:
    """Completions of a task's mini rows: some right, some not, one to three of each."""
    made = registry.task(task)
    problems = data_files.load(made, "test", data_files.open_source(data_files.MINI))
    said = []
    for number, problem in enumerate(problems):
        right = problem.solution if made.name != "humaneval" else problem.question + problem.solution
        texts = [right, "x = 1", right][: 1 + number % 3]
        said += [{"problem_id": problem.id, "solution": text} for text in texts]
    return write_rows(path, said)


def command(task: str, completions: Path) -> list[object]:
    return ["score", task, "--data", "mini", "--completions", completions, "--workers", 1]


def parts(asked: Sequence[object], of: int, root: Path) -> list[Path]:
    """The folders of all parts, made last one first."""
    folders = []
    for index in reversed(range(of)):
        ended = harness(*asked, "--shard", f"{index}/{of}", "--out", root / f"part{index}")
        assert (ended.code, ended.err) == (0, "")
        folders.append(root / f"part{index}")
    return folders[::-1]


# ---------------------------------------------------------------- the same bytes


@pytest.mark.parametrize(("task", "of"), [("humaneval", 3), ("conala", 7), ("sparc", 2), ("conala", 1)])
def test_parts_put_together_are_the_run(task: str, of: int, tmp_path: Path) -> None:
    """Verdicts of programs, texts, and queries whose metrics take several problems together."""
    asked = command(task, recording(tmp_path / "c.jsonl", task))
    assert harness(*asked, "--out", tmp_path / "one").code == 0
    made = parts(asked, of, tmp_path)
    ended = harness("merge", *made, "--out", tmp_path / "all")
    assert (ended.code, ended.err) == (0, "")
    assert contents(tmp_path / "all") == contents(tmp_path / "one")
    samples = [len(rows(folder / "generations.jsonl")) for folder in made]
    assert sum(samples) == len(rows(tmp_path / "one" / "generations.jsonl"))
    assert all(samples)
    before = contents(tmp_path / "all")
    assert harness("merge", *reversed(made), "--out", tmp_path / "all").code == 0  # nothing to do
    ended = harness(*asked, "--out", tmp_path / "all")  # the run itself goes on with it: nothing to do either
    assert (ended.code, ended.err) == (0, "")
    assert contents(tmp_path / "all") == before


def test_the_order_of_the_parts_does_not_matter(tmp_path: Path) -> None:
    asked = command("conala", recording(tmp_path / "c.jsonl", "conala"))
    made = parts(asked, 3, tmp_path)
    found = []
    for number, order in enumerate(itertools.permutations(made)):
        assert harness("merge", *order, "--out", tmp_path / f"all{number}").code == 0
        found.append(contents(tmp_path / f"all{number}"))
    assert all(each == found[0] for each in found)


def test_shots_are_looked_up_and_samples_drawn_as_in_one_run(tmp_path: Path) -> None:
    model = ["--model", DEMO, "--set", "backend.dtype=float32", "--set", "retrieval.encoder=mini"]
    asked = ["run", "--task", "conala", "--data", "mini", "--limit", 5, "--shots", "rag:2", *model]
    asked += ["--samples", 2, "--set", "sampling.temperature=0.8", "--set", "sampling.max_tokens=12"]
    assert harness(*asked, "--out", tmp_path / "one").code == 0
    made = parts(asked, 2, tmp_path)
    assert harness("merge", *made, "--out", tmp_path / "all").code == 0
    assert contents(tmp_path / "all") == contents(tmp_path / "one")
    assert [row["problem_id"] for row in rows(made[1] / "problems.jsonl")] == [
        "conala/test/1",
        "conala/test/3",
    ]
    assert len({row["completion"]["text"] for row in rows(tmp_path / "all" / "generations.jsonl")}) > 5


def test_a_study_is_cut_cell_by_cell_and_put_together_from_one_folder(tmp_path: Path) -> None:
    paths = [str(recording(tmp_path / f"{name}.jsonl", "conala")) for name in ("a", "b")]
    (tmp_path / "s.toml").write_text(
        f'task = "conala"\ndata = "mini"\n[backend]\nkind = "replay"\n[matrix]\nbackend.path = {paths!r}\n'
    )
    assert harness("run", tmp_path / "s.toml", "--out", tmp_path / "one").code == 0
    for shard in ("1/2", "0/2"):
        assert harness("run", tmp_path / "s.toml", "--out", tmp_path / "some", "--shard", shard).code == 0
    assert len(list((tmp_path / "some").iterdir())) == 4
    ended = harness("merge", tmp_path / "some", "--out", tmp_path / "all")
    assert ended.code == 0, ended.err
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 2
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == names
    for name in names:
        assert contents(tmp_path / "all" / name) == contents(tmp_path / "one" / name)


@given(problems=st.integers(1, 60), of=st.integers(1, 60))
def test_every_problem_is_in_one_part_and_parts_are_of_like_size(problems: int, of: int) -> None:
    if of > problems:
        with pytest.raises(ConfigError, match=f"at most {problems} shards"):
            shards.check(shards.Shard(0, of), problems)
        return
    kept = [list(range(problems))[index::of] for index in range(of)]
    woven = [kept[at % of][at // of] for at in range(problems)]
    assert woven == list(range(problems))
    assert max(map(len, kept)) - min(map(len, kept)) <= 1


# ---------------------------------------------------------------- what a part says of itself


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("three")
    parts(command("conala", recording(root / "c.jsonl", "conala")), 3, root)
    return root


@pytest.fixture
def made(three: Path, tmp_path: Path) -> list[Path]:
    """Copies of three finished parts, to be damaged."""
    for index in range(3):
        shutil.copytree(three / f"part{index}", tmp_path / f"part{index}")
    return [tmp_path / f"part{index}" for index in range(3)]


def test_a_part_says_that_it_is_one_and_is_compared_with_nothing(made: list[Path], tmp_path: Path) -> None:
    record = json.loads((made[1] / "run.json").read_text())
    summary = json.loads((made[1] / "summary.json").read_text())
    assert record["run_id"] == record["shard"]["run_id"] + "-shard-1-of-3"
    assert record["problems"] == 100
    assert (record["shard"]["index"], record["shard"]["of"], record["shard"]["problems"]) == (1, 3, 33)
    assert summary["notes"][0].startswith("partial: shard 1/3, 33 of 100 problems")
    assert summary["signature"].endswith(" | shard 1/3")
    ended = harness("compare", made[0], made[1])
    assert ended.code == 4
    assert "is partial: shard 0/3" in ended.err
    assert "partial" in harness("gate", made[0], "--write", "--baseline", tmp_path / "b.json").complaint
    ended = harness("report", *made, "--out", tmp_path / "r.html")
    assert ended.code == 2
    assert ended.err.count("a single shard; 'harness merge' joins the shards of a run") == 3


def test_one_part_does_not_go_on_in_the_folder_of_another(made: list[Path], three: Path) -> None:
    asked = command("conala", three / "c.jsonl")
    complaint = harness(*asked, "--shard", "2/3", "--out", made[1]).complaint
    assert "shard.index: 1 there, 2 now" in complaint


@pytest.mark.parametrize(
    ("given_text", "says"),
    [
        ("3/3", "counted from 0, the last of 3 is 2/3"),
        ("0/0", "counted from 0"),
        ("1", "expected I/N"),
        ("a/3", "expected I/N"),
        ("-1/3", "expected I/N"),
        ("0/101", "at most 100 shards make sense"),
    ],
)
def test_a_shard_that_cannot_be_is_one_line(given_text: str, says: str, three: Path, tmp_path: Path) -> None:
    asked = command("conala", three / "c.jsonl")
    assert says in harness(*asked, "--shard", given_text, "--out", tmp_path / "no").complaint
    assert not (tmp_path / "no").exists()


# ---------------------------------------------------------------- what is no whole set


def refused(*folders: Path, out: Path) -> str:
    said = harness("merge", *folders, "--out", out).complaint
    assert not out.exists()
    assert not list(out.parent.glob(".*.merging"))
    return said


def test_a_missing_part_is_named(made: list[Path], tmp_path: Path) -> None:
    assert ": missing shard 1/3: " in refused(made[0], made[2], out=tmp_path / "all")
    assert ": missing shards 0/3, 2/3: " in refused(made[1], out=tmp_path / "all")


def test_a_part_that_is_there_twice_is_named(made: list[Path], tmp_path: Path) -> None:
    again = shutil.copytree(made[1], tmp_path / "again")
    said = refused(*made, again, out=tmp_path / "all")
    assert "shard 1/3 occurs twice: " in said
    assert str(made[1]) in said
    assert str(again) in said
    assert f"{made[1]} is given twice" in refused(*made, made[1], out=tmp_path / "all")


def test_a_part_of_another_run_is_named_with_what_differs(
    made: list[Path], three: Path, tmp_path: Path
) -> None:
    asked = command("conala", three / "c.jsonl")
    other = tmp_path / "other"
    assert harness(*asked, "--set", "seed=3", "--shard", "1/3", "--out", other).code == 0
    said = refused(made[0], other, made[2], out=tmp_path / "all")
    assert said.startswith(f"{other} is a shard of another run than {made[0]}: config.seed: 3, not 0")
    assert harness(*asked, "--shard", "1/4", "--out", tmp_path / "fourth").code == 0
    assert "shard.of: 4, not 3" in refused(made[0], tmp_path / "fourth", made[2], out=tmp_path / "all")
    assert harness(*asked, "--out", tmp_path / "whole").code == 0
    assert f"{tmp_path / 'whole'} is a whole run, not a shard" in refused(
        *made, tmp_path / "whole", out=tmp_path / "all"
    )


def test_parts_judged_behind_other_walls_are_not_one_run(tmp_path: Path) -> None:
    asked = command("humaneval", recording(tmp_path / "c.jsonl", "humaneval"))
    for index, isolation in ((0, "landlock"), (1, "process")):
        more = ["--set", "limit=4", "--sandbox", isolation, "--shard", f"{index}/2"]
        assert harness(*asked, *more, "--out", tmp_path / "parts" / str(index)).code == 0
    said = refused(tmp_path / "parts", out=tmp_path / "all")
    assert "judge.sandbox: 'process', not 'isolated'" in said


def test_an_unfinished_part_is_named(made: list[Path], three: Path, tmp_path: Path) -> None:
    whole = (made[2] / "judgements.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    for left in (b"".join(lines[:-1]), b""):
        (made[2] / "judgements.jsonl").write_bytes(left)
        assert f"{made[2]}: shard 2/3 is not finished" in refused(*made, out=tmp_path / "all")
    (made[2] / "judgements.jsonl").write_bytes(whole)
    (made[2] / "summary.json").unlink()
    assert f"{made[2]}: shard 2/3 is not finished" in refused(*made, out=tmp_path / "all")
    asked = command("conala", three / "c.jsonl")
    assert harness(*asked, "--shard", "2/3", "--out", made[2]).code == 0
    assert harness("merge", *made, "--out", tmp_path / "all").code == 0


def test_a_damaged_or_moved_row_is_a_fault_and_nothing_is_left(made: list[Path], tmp_path: Path) -> None:
    path = made[0] / "generations.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for damaged in (
        [b'{"problem_id": \n', *lines[1:]],
        [*lines[1:], lines[0]],
        [lines[0].replace(b"conala/test/0", b"conala/test/1"), *lines[1:]],
    ):
        path.write_bytes(b"".join(damaged))
        ended = harness("merge", *made, "--out", tmp_path / "all")
        assert ended.code == 3
        assert ended.err.count("\n") == 1
        assert "part0" in ended.err or "generations.jsonl" in ended.err
        assert not (tmp_path / "all").exists()


def test_a_folder_that_holds_anything_else_is_left_alone(made: list[Path], tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "mine.txt").write_text("mine")
    assert "is not empty" in harness("merge", *made, "--out", tmp_path / "all").complaint
    assert (tmp_path / "all" / "mine.txt").read_text() == "mine"
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["mine.txt"]
    assert "holds no run" in harness("merge", tmp_path / "all").complaint


def test_where_the_parts_were_made_is_kept_where_it_differs(made: list[Path], tmp_path: Path) -> None:
    record = json.loads((made[1] / "run.json").read_text())
    record["versions"]["torch"] = "0.1"
    record["hardware"]["cores"] = 64
    (made[1] / "run.json").write_text(json.dumps(record))
    assert harness("merge", *made, "--out", tmp_path / "all").code == 0
    merged = json.loads((tmp_path / "all" / "run.json").read_text())
    other = json.loads((made[0] / "run.json").read_text())
    assert merged["versions"]["torch"] == f"{other['versions']['torch']} | 0.1"
    assert merged["hardware"]["cores"] == f"{other['hardware']['cores']} | 64"
    assert merged["versions"]["numpy"] == other["versions"]["numpy"]
    assert "shard" not in merged
    stages = [json.loads(line) for line in (tmp_path / "all" / "timings.jsonl").read_text().splitlines()]
    assert [row["shard"] for row in stages if row["stage"] == "generate"] == [0, 1, 2]


# ---------------------------------------------------------------- faults


class Breaking:
    """A sandbox that breaks on every second program."""

    isolation = "breaking"
    packages: Mapping[str, str] = {}
    absent = ()

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return dict.fromkeys(languages, "1")

    def map(self, programs: Any) -> Iterator[ExecResult | SandboxFault]:
        for number, _ in enumerate(programs):
            yield SandboxFault("gone") if number % 2 else ExecResult(status="passed")

    def __enter__(self) -> "Breaking":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_faults_of_parts_are_the_runs_and_end_in_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "open_sandbox", lambda judge, task: Breaking())
    asked = command("humaneval", recording(tmp_path / "c.jsonl", "humaneval"))
    folders = [tmp_path / f"part{index}" for index in range(2)]
    for index, folder in enumerate(folders):
        assert harness(*asked, "--shard", f"{index}/2", "--out", folder).code == 3
    ended = harness("merge", *folders, "--out", tmp_path / "all")
    assert ended.code == 3
    faults = [
        row for folder in folders for row in rows(folder / "judgements.jsonl") if row["status"] == "fault"
    ]
    summary = json.loads((tmp_path / "all" / "summary.json").read_text())
    assert summary["errors"] == len(faults) > 0
    assert f"error: {len(faults)} samples could not be judged" in ended.err
    assert "rerun the commands of their shards" in ended.err


def test_a_part_is_a_plan_of_the_whole() -> None:
    """Its config is the whole's: no key of it, and so no hash, knows of parts."""
    assert "shard" not in RunConfig.model_fields


def test_parts_and_the_whole_may_lie_at_urls(three: Path, tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    asked = command("conala", three / "c.jsonl")
    for index in range(3):
        assert harness(*asked, "--shard", f"{index}/3", "--out", f"memory://merge/parts/{index}").code == 0
    ended = harness("merge", "memory://merge/parts", "--out", "memory://merge/whole")
    assert (ended.code, ended.err) == (0, "")
    assert "run: memory://merge/whole" in ended.out
    assert (
        harness("merge", *(three / f"part{index}" for index in range(3)), "--out", tmp_path / "all").code == 0
    )
    for name in FILES:
        assert memory.cat_file(f"/merge/whole/{name}") == (tmp_path / "all" / name).read_bytes()
