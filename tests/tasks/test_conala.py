"""CoNaLa: its two corpora, which intent is asked, and references that match exactly."""

from pathlib import Path

import pytest

from harness import scorers
from harness.schema import Split
from harness.tasks.loading import registry
from tests.support.command import write_rows
from tests.support.parts.task_rows import Options, load


def test_conalas_corpora_are_different_files_with_ids_of_the_same_form() -> None:
    files = {
        corpus: [
            f"{file.benchmark}/{file.name}" for file in registry.task("conala", {"corpus": corpus}).card.files
        ]
        for corpus in ("original", "docprompting")
    }
    assert files == {
        "original": ["conala/conala-train.json", "conala/conala-test.json"],
        "docprompting": [
            "docprompting-conala/conala-train.jsonl",
            "docprompting-conala/conala-dev.jsonl",
            "docprompting-conala/conala-test.jsonl",
        ],
    }
    assert registry.task("conala").card.files == registry.task("conala", {"corpus": "original"}).card.files


def test_conala_asks_the_rewritten_intent_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "conala").mkdir()
    write_rows(
        tmp_path / "conala" / "conala-test.json",
        [
            {
                "intent": "How to sort?",
                "rewritten_intent": "sort `x`",
                "snippet": "x.sort()",
                "question_id": 1,
            },
            {"intent": "How to copy?", "rewritten_intent": None, "snippet": "x[:]", "question_id": 2},
        ],
    )
    problems = load("conala", {}, "test", str(tmp_path))
    assert [(problem.id, problem.question, problem.solution) for problem in problems] == [
        ("conala/test/0", "sort `x`", "x.sort()"),
        ("conala/test/1", "How to copy?", "x[:]"),
    ]


def test_docprompting_drops_rows_without_text_from_train_only_and_keeps_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "docprompting-conala").mkdir()
    given = [
        {"nl": "", "cmd": "x"},
        {"nl": "one", "cmd": "1"},
        {"nl": "two", "cmd": ""},
        {"nl": "three", "cmd": "3"},
    ]
    for name in ("conala-train", "conala-test"):
        write_rows(tmp_path / "docprompting-conala" / f"{name}.jsonl", given)
    options: Options = {"corpus": "docprompting"}
    train = load("conala", options, "train", str(tmp_path))
    assert [problem.id for problem in train] == ["conala/train/1", "conala/train/3"]
    assert len(load("conala", options, "test", str(tmp_path))) == 4


@pytest.mark.parametrize(
    ("corpus", "splits"), [("original", ("train", "test")), ("docprompting", ("train", "validation"))]
)
def test_real_conala_rows_load_and_their_references_match_exactly(
    corpus: str, splits: tuple[Split, ...], real_data: Path
) -> None:
    for split in splits:
        problems = load("conala", {"corpus": corpus}, split, str(real_data))
        assert len(problems) >= 150
        verdicts = scorers.exact.score(((p, p.solution) for p in problems), None)
        assert {(v.status, v.score.value if v.score else None) for v in verdicts} == {("scored", 1.0)}
        empty = scorers.exact.score(((p, "") for p in problems), None)
        assert {v.score.value if v.score else None for v in empty} == {0.0}
