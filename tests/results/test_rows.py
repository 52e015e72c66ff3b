"""Rows of a table: the bare base first whatever the order, examples by number, adapters by what sets them apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.results import compare
from harness.results.rows import group_seeds, in_order
from harness.runs.store import reader
from tests.support.command import harness
from tests.support.recordings import edit, make


def adapter(folder: Path, seed: int, **config: Any) -> str:
    folder.mkdir(parents=True)
    record = {"config": {"seed": seed, "method": "lora", **config}, "data": {"sha256": {"rows.jsonl": "0a"}}}
    (folder / "train.json").write_text(json.dumps(record))
    return str(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    trained = {
        f"{rank}-{seed}": adapter(folder / f"letters-lora-{rank:02}{seed}00000", seed, peft={"r": rank})
        for rank in (8, 16)
        for seed in (1, 2)
    }
    cells = [
        ("e", {"backend": {"adapter": trained["16-1"]}, "seed": 1}),
        ("f", {"backend": {"adapter": trained["16-2"]}, "seed": 2}),
        ("c", {"backend": {"adapter": trained["8-1"]}, "seed": 1}),
        ("d", {"backend": {"adapter": trained["8-2"]}, "seed": 2}),
        ("i", {"shots": "rag:10"}),
        ("h", {"shots": "rag:2"}),
        ("g", {"shots": "icl:4"}),
        ("z", {}),
    ]
    for name, changed in cells:
        (folder / "runs").mkdir(exist_ok=True)
        run = make(folder / "runs" / name, range(20), samples=2)

        def change(plain: dict[str, Any], name: str = name, changed: dict[str, Any] = changed) -> None:
            backend = {**plain["config"]["backend"], "model": "demo", "path": "", "kind": "hf"}
            plain["config"] |= {**changed, "backend": {**backend, **changed.get("backend", {})}}
            plain["backend"] |= {"adapter": name if "backend" in changed else "", "loaded": name[:1]}

        edit(run / "run.json", change)
    return folder / "runs"


def test_the_base_is_the_reference_and_rows_stand_in_natural_order_whatever_the_arguments(runs: Path) -> None:
    names = ["zero-shot", "icl:4", "rag:2", "rag:10", "letters-lora (r=8)", "letters-lora (r=16)"]
    for order in ("zceghidf", "fdihgecz"):
        read = in_order([reader.read(runs / name) for name in order])
        assert [row.name for row in group_seeds(read)] == names
    shown = harness("compare", *(runs / name for name in "hgz"), "--json")
    assert [row["name"] for row in json.loads(shown.out)["rows"]] == ["zero-shot", "icl:4", "rag:2"]
    by_rag = harness(
        "compare", *(runs / name for name in "hgz"), "--reference", reader.read(runs / "h").run_id
    )
    assert "differences to rag:2, paired" in by_rag.out, by_rag.err
    assert "no run 'hh'" in harness("compare", runs / "h", runs / "g", "--reference", "hh").complaint
    assert json.loads(harness("compare", runs / "h", runs / "g", "--json").out)["reference"] == "rag:2"


def test_adapters_that_differ_in_the_seed_alone_are_one_row(runs: Path) -> None:
    rows = group_seeds(in_order([reader.read(runs / name) for name in "zcdef"]))
    assert [len(row.runs) for row in rows] == [1, 2, 2]
    assert [run.config.seed for run in rows[1].runs] == [1, 2]


def test_what_a_server_said_of_its_adapter_sets_no_run_apart(tmp_path: Path) -> None:
    for seed, proof in enumerate(("proved: it differs", "vouched: no answer differs")):
        run = make(tmp_path / str(seed), range(20))

        def change(plain: dict[str, Any], seed: int = seed, proof: str = proof) -> None:
            plain["config"] |= {"seed": seed, "backend": {**plain["config"]["backend"], "path": ""}}
            plain["backend"] |= {"adapter_proof": proof, "adapter_warnings": [proof]}

        edit(run / "run.json", change)
    (row,) = group_seeds([reader.read(tmp_path / name) for name in "01"])
    assert [run.config.seed for run in row.runs] == [0, 1]


def test_a_few_metrics_are_shown_and_the_rest_is_named(runs: Path) -> None:
    read = [reader.read(runs / name) for name in "zg"]
    assert list(read[0].reduces) == ["em@1", "em@2", "em_ws@1", "em_ws@2", "em_ast@1", "em_ast@2"]
    assert compare.headline_metrics(read) == ["em@1", "em@2"]
    shown = harness("compare", runs / "z", runs / "g").out
    assert "further metrics (--metric NAME, or --metric all): em_ws@1, em_ws@2, em_ast@1, em_ast@2" in shown
    assert "further" not in harness("compare", runs / "z", runs / "g", "--metric", "all").out
