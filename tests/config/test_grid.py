"""A [matrix] makes exactly the runs that it says, and complains of anything that would make others."""

from pathlib import Path
from typing import Any

import pytest

from harness.config import grid as matrix
from harness.config.load import parse
from harness.errors import ConfigError
from harness.runs import progress, study
from harness.schema import Backend, Summary
from tests.support.command import harness, mini_humaneval, rows, write_rows
from tests.support.tiny_models import build


def cells(axes: dict[str, Any], **plain: Any) -> list[matrix.Cell]:
    return matrix.expand({"task": "conala", **plain, "matrix": axes}, "study.toml")


def complaint(axes: dict[str, Any], **plain: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        cells(axes, **plain)
    return str(raised.value)


# ---------------------------------------------------------------- expansion


def test_the_last_axis_turns_fastest_and_labels_say_what_differs() -> None:
    made = cells({"limit": [1, 2], "seed": [7, 8, 9]})
    assert [(cell.config.limit, cell.config.seed) for cell in made] == [
        (1, 7),
        (1, 8),
        (1, 9),
        (2, 7),
        (2, 8),
        (2, 9),
    ]
    assert made[1].label == "limit=1, seed=8"


def test_short_full_and_nested_names_of_a_key_are_the_same_axis() -> None:
    for axes in ({"adapter": ["", "a"]}, {"backend.adapter": ["", "a"]}, {"backend": {"adapter": ["", "a"]}}):
        assert [cell.config.backend.adapter for cell in cells(axes)] == ["", "a"]


def test_an_axis_of_tables_sets_several_keys_together() -> None:
    made = cells({"method": [{"limit": 4}, {"limit": 5, "adapter": "x"}], "seed": [1, 2]})
    assert [(c.config.limit, c.config.backend.adapter, c.config.seed) for c in made] == [
        (4, "", 1),
        (4, "", 2),
        (5, "x", 1),
        (5, "x", 2),
    ]


def test_a_table_of_the_config_can_be_an_axis() -> None:
    made = cells({"sampling": [{"samples": 4, "beams": 4}, {"temperature": 0.8}]}, backend={"model": "m"})
    assert [(c.config.sampling.beams, c.config.sampling.temperature) for c in made] == [
        (4, None),
        (None, 0.8),
    ]
    assert {c.config.backend.model for c in made} == {"m"}


def test_the_task_itself_can_be_an_axis_and_options_a_whole_table() -> None:
    made = matrix.expand({"matrix": {"task": ["conala", "apps"]}}, "s")
    assert [c.config.task for c in made] == ["conala", "apps"]
    made = cells({"options": [{"corpus": "docprompting"}, {}]})
    assert [dict(c.config.options) for c in made] == [{"corpus": "docprompting"}, {}]


def test_one_cell_equals_the_run_without_a_matrix() -> None:
    (cell,) = cells({"seed": [3]}, limit=2)
    assert cell.config == parse({"task": "conala", "seed": 3, "limit": 2})


@pytest.mark.parametrize(
    ("axes", "plain", "text"),
    [
        ({}, {}, "[matrix] needs at least one axis"),
        ({"seed": []}, {}, "matrix.seed = []: expected a list with at least one value"),
        ({"seed": 3}, {}, "matrix.seed = 3: expected a list"),
        ({"sead": [1, 2]}, {}, "no key 'sead'. Did you mean 'seed'?"),
        ({"seed": [1, 1]}, {}, "an axis of [matrix] has the same value twice"),
        (
            {"adapter": ["a"], "backend.adapter": ["b"]},
            {},
            "backend.adapter is set by two axes, 'adapter' and",
        ),
        ({"m": [{"seed": 1}], "seed": [1]}, {}, "seed is set by two axes, 'm' and 'seed'"),
        ({"seed": [1, 2]}, {"seed": 3}, "seed is set by matrix.seed and outside of it too"),
        ({"seed": ["x"]}, {}, "cell seed=x: seed = 'x': input should be a valid integer"),
        ({"sampling.beens": [1]}, {}, "no key 'sampling.beens'. Did you mean 'sampling.beams'?"),
        ({"seed": list(range(200)), "limit": list(range(1, 100))}, {}, "[matrix] has 19800 cells"),
        (
            {"a": [{"seed": 1}, {"limit": 2}], "b": [{"shots": "none"}]},
            {"seed": 0},
            "set by matrix.a and outside",
        ),
    ],
)
def test_a_grid_that_cannot_be_meant_is_refused(
    axes: dict[str, Any], plain: dict[str, Any], text: str
) -> None:
    assert text in complaint(axes, **plain)


# ---------------------------------------------------------------- running


def recording(folder: Path, right: int) -> Path:
    said = [
        {
            "task_id": row["task_id"],
            "solution": row["prompt"] + (row["canonical_solution"] if i < right else " ?"),
        }
        for i, row in enumerate(mini_humaneval())
    ]
    return write_rows(folder / f"right{right}.jsonl", said)


def test_cells_that_cannot_run_are_named_before_any_work(tmp_path: Path) -> None:
    good = str(recording(tmp_path, 3))
    (tmp_path / "s.toml").write_text(
        'task = "humaneval"\ndata = "mini"\n[backend]\nkind = "replay"\n'
        f"[matrix]\nbackend.path = {[good, str(tmp_path / 'no.jsonl')]!r}\n"
    )
    complaint = harness("run", tmp_path / "s.toml", "--out", tmp_path / "out").complaint
    assert complaint.startswith("1 of 2 cells cannot run: cell backend.path=")
    assert "no completions file" in complaint
    assert not (tmp_path / "out").exists()


def test_a_grid_runs_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    paths = [str(recording(tmp_path, right)) for right in (3, 5)]
    (tmp_path / "s.toml").write_text(
        'task = "humaneval"\ndata = "mini"\n[backend]\nkind = "replay"\n'
        f"[matrix]\nseed = [1, 2]\nbackend.path = {paths!r}\n"
    )
    ended = harness("run", tmp_path / "s.toml", "--out", tmp_path / "out", "--workers", 1)
    assert ended.code == 0, ended.err
    folders = sorted(path for path in (tmp_path / "out").iterdir())
    assert len(folders) == 4
    assert ended.out.count("run: ") == 4
    passed = [sum(r["status"] == "passed" for r in rows(f / "judgements.jsonl")) for f in folders]
    assert sorted(passed) == [3, 3, 5, 5]
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert harness("run", tmp_path / "s.toml", "--out", tmp_path / "out", "--workers", 1).code == 0
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_cell_that_fails_is_passed_over_and_ends_in_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(recording(tmp_path, right)) for right in (1, 2, 3)]
    (tmp_path / "s.toml").write_text(
        f'task = "humaneval"\ndata = "mini"\n[backend]\nkind = "replay"\n[matrix]\nbackend.path = {paths!r}\n'
    )
    checked = study.check

    def spoil(*given: Any) -> None:
        checked(*given)
        Path(paths[1]).write_text("not JSON\n")

    monkeypatch.setattr(study, "check", spoil)
    ended = harness("run", tmp_path / "s.toml", "--out", tmp_path / "out", "--workers", 1)
    assert ended.code == 3
    assert ended.out.count("run: ") == 2
    assert "error: cell backend.path=" in ended.err
    assert "right2.jsonl: " in ended.err
    assert "1 of 3 cells failed; rerun the same command to retry them" in ended.err
    recording(tmp_path, 2)
    monkeypatch.setattr(study, "check", checked)
    assert harness("run", tmp_path / "s.toml", "--out", tmp_path / "out", "--workers", 1).code == 0


def test_one_model_is_loaded_once_and_no_two_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [str(build("llama", tmp_path / name, seed=i)) for i, name in enumerate("ab")]
    plain = {"task": "conala", "data": "mini", "limit": 1, "sampling": {"max_tokens": 4}}
    grid = matrix.expand({**plain, "matrix": {"seed": [1, 2, 3], "model": models}}, "s")
    opened, alive, most = [], 0, 0
    load = study.backends.load

    def counted(config: Any, ids: Any) -> Backend:
        nonlocal alive, most
        backend = load(config, ids)
        opened.append(config.model)
        alive, most = alive + 1, max(most, alive + 1)
        close = backend.close

        def closed() -> None:
            nonlocal alive
            alive -= 1
            close()

        monkeypatch.setattr(backend, "close", closed, raising=False)
        return backend

    monkeypatch.setattr(study.backends, "load", counted)
    outcome = study.run(grid, tmp_path / "out")
    assert opened == models
    assert (alive, most) == (0, 1)
    assert [cell.config.seed for cell, _, _ in outcome.done] == [1, 1, 2, 2, 3, 3]
    assert all(isinstance(summary, Summary) for _, _, summary in outcome.done)
    assert outcome.errors == 0


def test_the_display_starts_each_cell_anew(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(progress, "LINE_INTERVAL_S", 0.0)
            with progress.show(stream) as step:
                for done, total in [(0, 10), (10, 10), (0, 20), (5, 20)]:
                    step("generate", done, total)
    shown = (tmp_path / "log").read_text().splitlines()
    assert [line.split(",")[0] for line in shown] == ["generate 10/10", "generate 5/20"]
    assert all("-" not in line for line in shown)
