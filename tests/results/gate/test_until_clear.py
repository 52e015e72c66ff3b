"""`--until-clear`: a run stops once the gate is sure, says that it is a part, and goes on to the same bytes."""

import json
import shutil
from pathlib import Path

import pytest

from harness.runs import looks
from tests.support.command import Ended, harness
from tests.support.parts.gated_runs import N, right
from tests.support.recordings import edit, edit_rows, make


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baselines of 100 of 164 right, b.json without a rule and m.json with a margin of 5 points, and recordings."""
    folder = tmp_path_factory.mktemp("recorded")
    make(folder / "good", right(), problems=N)
    for name, more in (("b.json", ()), ("m.json", ("--margin", "em@1=0.05"))):
        assert harness("gate", folder / "good", "--baseline", folder / name, "--write", *more).code == 0
    make(folder / "worse", right() - set(range(40)), problems=N)
    make(folder / "little", right() - set(range(6)), problems=N)
    return folder


def scored(recorded: Path, name: str, out: Path, *more: object) -> Ended:
    said = ("--completions", recorded / f"{name}.jsonl", "--set", f"options.problems={N}", "--out", out)
    return harness("score", recorded / "letters.py", *said, *more)


def test_what_is_equal_passes_with_a_part_and_goes_on_to_the_bytes_of_a_plain_run(
    recorded: Path, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    ended = scored(recorded, "good", part, "--until-clear", recorded / "m.json")
    assert ended.code == 0
    assert "partial: stopped by --until-clear after 140 of 164 problems" in ended.out
    assert "85 / 140" in ended.out
    gated = harness("gate", part, "--baseline", recorded / "m.json")
    assert gated.code == 0
    assert "same conditions, 140 of 164 problems, in an order drawn by lot" in gated.out
    assert "ok   em@1: +0.0000 [-0.0480, +0.0480], 0 better, 0 worse of 140: within the margin" in gated.out
    assert json.loads((part / "looks.json").read_text())["problems"] == list(range(10, 150, 10))
    assert "is partial: stopped by --until-clear" in harness("compare", part, recorded / "good").err
    assert "is partial" in harness("gate", part, "--baseline", "x.json", "--write").complaint
    assert scored(recorded, "good", part).code == 0
    assert scored(recorded, "good", tmp_path / "plain").code == 0
    for name in ("run.json", "summary.json", "generations.jsonl", "judgements.jsonl", "problems.jsonl"):
        assert (part / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_a_clear_loss_stops_early_with_and_without_a_margin(recorded: Path, tmp_path: Path) -> None:
    for name, count, worse, loss in (
        ("m.json", 70, 15, "a loss beyond the margin of 0.05"),
        ("b.json", 60, 13, "a loss"),
    ):
        part = tmp_path / name
        ended = scored(recorded, "worse", part, "--until-clear", recorded / name)
        assert f"after {count} of 164 problems" in ended.out
        said = ("--junit", tmp_path / "gate.xml", "--comment", tmp_path / "gate.md")
        gated = harness("gate", part, "--baseline", recorded / name, *said)
        assert gated.code == 1
        assert f"{worse} worse of {count}: {loss}\n" in gated.out
        assert 'failures="3" errors="0"' in (tmp_path / "gate.xml").read_text() or name == "m.json"
        assert "worse by 1: <code>letters/" in (tmp_path / "gate.md").read_text()


def test_without_a_clear_verdict_all_is_judged_and_tested_at_what_is_left_of_the_level(
    recorded: Path, tmp_path: Path
) -> None:
    scored(recorded, "little", tmp_path / "run", "--until-clear", recorded / "b.json")
    ended = harness("gate", tmp_path / "run", "--baseline", recorded / "b.json")
    assert "164 problems; after 16 looks on the way tested at 0.04, not 0.05" in ended.out
    # McNemar's mid-p of 6 to 0 is 1/64, of three metrics by Holm 3/64 = 0.047: lost at 0.05, not at 0.04.
    assert "ok   em@1: -0.0366 [-0.0801, -0.0106], 0 better, 6 worse of 164, p 0.0469" in ended.out
    assert ended.code == 0
    scored(recorded, "little", tmp_path / "plain")
    plain = harness("gate", tmp_path / "plain", "--baseline", recorded / "b.json")
    assert "FAIL em@1: -0.0366 [-0.0775, -0.0129], 0 better, 6 worse of 164, p 0.0469" in plain.out


def test_a_stopped_run_that_is_started_again_does_no_more(recorded: Path, tmp_path: Path) -> None:
    again = ("worse", tmp_path / "run", "--until-clear", recorded / "m.json")
    scored(recorded, *again)
    before = (tmp_path / "run/generations.jsonl").read_bytes()
    rows = before.splitlines(keepends=True)
    assert len(rows) == 70
    scored(recorded, *again)
    assert (tmp_path / "run/generations.jsonl").read_bytes() == before
    for name in ("generations.jsonl", "judgements.jsonl"):  # cut off in the middle of a part
        whole = (tmp_path / "run" / name).read_bytes().splitlines(keepends=True)
        (tmp_path / "run" / name).write_bytes(b"".join(whole[: len(whole) // 2]))
    scored(recorded, *again)
    assert (tmp_path / "run/generations.jsonl").read_bytes() == before


def test_a_stopped_run_is_neither_ranked_nor_exported(recorded: Path, tmp_path: Path) -> None:
    scored(recorded, "worse", tmp_path / "board/part", "--until-clear", recorded / "m.json")
    ended = harness("leaderboard", tmp_path / "board")
    assert ended.code == 2
    assert f"skipped {tmp_path / 'board/part'}: letters-worse" in ended.err
    assert "is partial: stopped by --until-clear after" in ended.err
    for form in ("lm-eval", "every-eval-ever", "inspect", "model-index"):
        told = harness("export", tmp_path / "board/part", "--format", form, "--out", tmp_path / form)
        assert "is partial: stopped by --until-clear" in told.complaint
        assert not (tmp_path / form).exists()
    assert harness("report", tmp_path / "board/part", "--out", tmp_path / "page.html").code == 0


def test_a_recording_of_some_problems_is_ranked_with_no_whole_run_and_marked(
    recorded: Path, tmp_path: Path
) -> None:
    few = (recorded / "good.jsonl").read_text().splitlines(keepends=True)[:140]
    (tmp_path / "few.jsonl").write_text("".join(few))
    (tmp_path / "letters.py").write_text((recorded / "letters.py").read_text())
    assert scored(tmp_path, "few", tmp_path / "runs/part", "--partial").code == 0
    shutil.copytree(recorded / "good", tmp_path / "runs/good")
    assert harness("leaderboard", tmp_path / "runs", "--out", tmp_path / "site").code == 0
    page = (tmp_path / "site/index.html").read_text()
    assert page.count('<span class="sub">1, partial</span>') == page.count('<span class="sub">1</span>') == 1
    assert "partial: 140 of 164 problems have completions" in page


def test_a_damaged_list_of_looks_is_one_line(recorded: Path, tmp_path: Path) -> None:
    run = shutil.copytree(recorded / "good", tmp_path / "run")
    for damaged in ('{"problems": ["x"]}', '{"problems": null}', "[]", "{}"):
        (run / "looks.json").write_text(damaged)
        ended = harness("gate", run, "--baseline", recorded / "m.json")
        assert ended.code == 3
        assert "looks.json: damaged" in ended.err or "looks.json: expected an object" in ended.err


def test_floors_are_open_till_the_end(recorded: Path, tmp_path: Path) -> None:
    scored(recorded, "good", tmp_path / "part", "--until-clear", recorded / "m.json")
    ended = harness("gate", tmp_path / "part", "--baseline", recorded / "m.json", "--floor", "em@1=0.1")
    assert ended.code == 4
    assert "FAIL em@1 floor: open till the end" in ended.out


def test_a_part_that_is_not_the_beginning_of_the_order_is_refused(recorded: Path, tmp_path: Path) -> None:
    scored(recorded, "good", tmp_path / "part", "--until-clear", recorded / "m.json")
    first = looks.drawn_units({f"letters/{i}": "" for i in range(N)})[0][0]
    for name in ("generations.jsonl", "judgements.jsonl"):
        edit_rows(tmp_path / "part" / name, lambda rows: [row for row in rows if row["problem_id"] != first])
    edit(tmp_path / "part/summary.json", lambda summary: summary.update(problems=139, samples=139))
    ended = harness("gate", tmp_path / "part", "--baseline", recorded / "m.json")
    assert "its problems are not the first of the order drawn" in ended.complaint


def test_mistakes_are_one_line(recorded: Path, tmp_path: Path) -> None:
    until = ("--until-clear", recorded / "m.json")
    assert "leave --shard out" in scored(recorded, "good", tmp_path / "a", *until, "--shard", "0/2").complaint
    study = scored(
        recorded, "good", tmp_path / "b", *until, "--extract", "first_block", "--extract", "entry_point"
    )
    assert "this is a study" in study.complaint
    missing = scored(recorded, "good", tmp_path / "c", "--until-clear", tmp_path / "none.json")
    assert "no baseline file" in missing.complaint
    few = tmp_path / "few.json"
    harness("gate", recorded / "good", "--baseline", few, "--write", "--smoke", 40)
    more = scored(recorded, "good", tmp_path / "d", "--until-clear", few).complaint
    assert "124 problems that the baseline has not: run it with --only" in more
    fewer = harness("score", recorded / "letters.py", "--completions", recorded / "good.jsonl", *until,
                    "--set", f"options.problems={N}", "--limit", 80, "--out", tmp_path / "e").complaint  # fmt: skip
    assert "lacks 84 of the baseline's 164 problems" in fewer
    other = scored(recorded, "good", tmp_path / "f", *until, "--set", "options.version=2")
    assert other.code == 4
    assert "task.version: 1 in the baseline, 2 now" in other.err
    edit(
        shutil.copy(recorded / "m.json", tmp_path / "x.json"),
        lambda plain: plain["rules"]["margins"].update(y=0.1),
    )
    rule = scored(recorded, "good", tmp_path / "g", "--until-clear", tmp_path / "x.json").complaint
    assert "--margin y: no metric 'y'" in rule
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "all of it before anything is made"


def test_no_setting_of_a_run_changes_the_order(recorded: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        more = ("--until-clear", recorded / "m.json", "--set", f"seed={seed}")
        scored(recorded, "worse", tmp_path / str(seed), *more)
    kept = [(tmp_path / str(seed) / "generations.jsonl").read_bytes() for seed in (0, 1)]
    assert kept[0] == kept[1]


def test_the_order_keeps_clusters_together_and_hangs_on_the_ids_alone() -> None:
    clusters = {f"p{i:02}": f"db{i % 7}" for i in range(50)}
    units = looks.drawn_units(clusters)
    assert [len({clusters[name] for name in unit}) for unit in units] == [1] * 7
    assert units != sorted(units)
    assert looks.drawn_units(dict(reversed(clusters.items()))) == units
    alone = looks.drawn_units({**clusters, "p00": ""})
    assert [len(unit) for unit in alone] == [1] * 50
    assert sorted(name for unit in alone for name in unit) == sorted(clusters)
