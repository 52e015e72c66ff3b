"""Shots in runs: kept with every generation, of use to the demo model, and as many as the recipes ask for."""

from pathlib import Path

from harness.config import grid
from harness.config.load import parse, read_toml
from harness.files import packaged
from harness.prompts import few_shot
from harness.results import compare
from harness.runs import run
from harness.runs.plan import make_plan
from harness.runs.store import reader
from harness.runs.store.run_folder import read_run
from harness.schema import Shot
from tests.support.command import harness, rows, write_rows
from tests.support.parts.shots import SMALL, chosen, loaded

OF_A_STUDY = ("train", "report")
RECIPES = packaged("tasks/recipes")


def test_a_run_keeps_the_shots_of_every_generation(tmp_path: Path) -> None:
    asked = loaded("conala", "test")[:3]
    said = write_rows(tmp_path / "said.jsonl", [{"task_id": p.id, "text": p.solution} for p in asked])
    common = ("score", "conala", "--completions", said, "--data", "mini", "--set", "limit=3")
    ended = harness(
        *common, "--set", "shots=rag:2", "--set", "retrieval.encoder=mini", "--out", tmp_path / "rag"
    )
    assert ended.code == 0, ended
    expected = chosen("conala", "test", shots="rag:2", retrieval=SMALL)
    for row in rows(tmp_path / "rag" / "generations.jsonl"):
        shown = [Shot.model_validate(shot) for shot in row["shots"]]
        assert tuple(shown) == expected.in_prompt_order(row["problem_id"])
        assert all(set(shot) == {"id", "similarity"} for shot in row["shots"])
    record, summary = read_run(tmp_path / "rag")
    assert record["shots"]["rows"] == 300
    assert set(record["shots"]["train"]) == {"conala/conala-train.json"}
    assert "cache" not in record["config"]["retrieval"]
    assert set(record["data"]["sha256"]) == {"conala/conala-test.json"}
    assert "| shots rag:2 mini:" in summary["signature"]
    assert harness(*common, "--out", tmp_path / "none").code == 0
    assert not any("shots" in row for row in rows(tmp_path / "none" / "generations.jsonl"))
    again = harness(
        "score", "conala", "--completions", tmp_path / "rag" / "generations.jsonl", "--data", "mini",
        "--set", "limit=3", "--set", "shots=rag:2", "--set", "retrieval.encoder=mini", "--out", tmp_path / "again",
    )  # fmt: skip
    assert again.code == 0, again
    first, second = (tmp_path / name / "generations.jsonl" for name in ("rag", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_retrieved_examples_help_the_demo_model_and_more_than_as_many_drawn_ones(tmp_path: Path) -> None:
    model = packaged("tasks/demo/model")
    for spec in ("none", "icl:4", "rag:4"):
        backend = {"model": str(model), "dtype": "float32", "batch_size": 100}
        plain = {"task": "conala", "data": "mini", "shots": spec, "retrieval": SMALL, "backend": backend}
        run.run(parse(plain), tmp_path / spec.replace(":", ""))
    runs = {name: reader.read(tmp_path / name) for name in ("none", "icl4", "rag4")}
    for other in ("none", "icl4"):
        (_, retrieved) = compare.compare([runs[other], runs["rag4"]], ("em@1",)).cells["em@1"]
        assert retrieved.difference is not None
        assert retrieved.difference.low > 0


def test_every_cell_of_the_recipes_sweeps_has_its_number_of_examples() -> None:
    cells = []
    for recipe in ("rq1", "rq3"):
        plain = {
            key: value
            for key, value in read_toml(RECIPES / f"{recipe}.toml").items()
            if key not in OF_A_STUDY
        }
        plain |= {"data": "mini", "backend": {"model": "m"}}
        plain.setdefault("retrieval", {})["encoder"] = "mini"
        cells += [cell.config for cell in grid.expand(plain)]
    for config in cells[:: len(cells) // 12]:
        plan = make_plan(config)
        count = few_shot.parse(config.shots)[1]
        assert all(len(plan.selection.in_prompt_order(one.id)) == count for one in plan.problems)
        if config.prompt == "fenced":
            assert all(prompt.text.count("### Instruction:") == count + 1 for prompt in plan.prompts.values())
