"""The embedded rows are what they claim to be, and the demo model has not been trained on what they ask.

What the model scores is not tested here: that is measured by the harness itself and noted in the model card.
"""

import ast
import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from harness.files import packaged
from tools.demo_model import corpus

ROOT = packaged("tasks")
MINI = ROOT / "mini"
MODEL = ROOT / "demo" / "model"
CONALA_FIELDS = {"intent", "rewritten_intent", "snippet", "question_id"}
DOCPROMPTING_FIELDS = {"nl", "cmd", "question_id", "cmd_name", "oracle_man", "canonical_cmd"}
HUMANEVAL_FIELDS = {"task_id", "prompt", "entry_point", "canonical_solution", "test"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def conala(split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        (MINI / "conala" / f"conala-{split}.json").read_text(encoding="utf-8")
    )
    return rows


def docprompting(split: str) -> list[dict[str, Any]]:
    return lines(MINI / "docprompting-conala" / f"conala-{split}.jsonl")


def instruction(row: dict[str, Any]) -> str:
    return str(row["rewritten_intent"] or row["intent"])


HUMANEVAL = lines(MINI / "humaneval" / "HumanEval.jsonl")


def passes(problem: dict[str, Any], body: str) -> bool:
    """Run one of our own problems here; anything else belongs in the sandbox."""
    scope: dict[str, Any] = {}
    exec(problem["prompt"] + body + problem["test"], scope)
    try:
        scope["check"](scope[problem["entry_point"]])
    except (AssertionError, TypeError):
        return False
    return True


def test_humaneval_has_66_rows_with_the_upstream_fields_and_unique_ids() -> None:
    assert len(HUMANEVAL) == 66
    assert all(set(row) == HUMANEVAL_FIELDS for row in HUMANEVAL)
    assert [row["task_id"] for row in HUMANEVAL] == [f"Mini/{i}" for i in range(66)]
    assert len({row["entry_point"] for row in HUMANEVAL}) == 66


@pytest.mark.parametrize("problem", HUMANEVAL, ids=lambda row: str(row["task_id"]))
def test_the_canonical_solution_passes_and_an_empty_body_fails(problem: dict[str, Any]) -> None:
    assert problem["prompt"].endswith('"""\n')
    assert problem["test"].count("assert") >= 4
    assert passes(problem, problem["canonical_solution"])
    assert not passes(problem, "    pass\n")


def test_some_humaneval_problems_use_a_helper_that_the_prompt_defines() -> None:
    helped = [
        row["entry_point"]
        for row in HUMANEVAL
        if row["prompt"].count("\ndef ") + row["prompt"].startswith("def ") > 1
    ]
    assert helped == ["decode_text", "shift_back"]


@pytest.mark.parametrize(("split", "count"), [("train", 300), ("test", 100)])
def test_conala_has_the_upstream_fields_and_every_snippet_parses(split: str, count: int) -> None:
    rows = conala(split)
    assert len(rows) == count
    assert all(set(row) == CONALA_FIELDS for row in rows)
    assert any(row["rewritten_intent"] is None for row in rows)
    for row in rows:
        ast.parse(row["snippet"])
        assert "\n" not in row["snippet"]


def test_conala_ids_and_rows_are_unique_over_both_splits() -> None:
    rows = [*conala("train"), *conala("test")]
    assert len({row["question_id"] for row in rows}) == 400
    assert len({(instruction(row), row["snippet"]) for row in rows}) == 400


def test_no_conala_test_instruction_is_in_train() -> None:
    known = {
        corpus.plain(text)
        for row in conala("train")
        for text in (row["intent"], row["rewritten_intent"])
        if text
    }
    asked = {
        corpus.plain(text)
        for row in conala("test")
        for text in (row["intent"], row["rewritten_intent"])
        if text
    }
    assert not known & asked


def test_docprompting_holds_the_same_pairs_in_its_own_fields() -> None:
    splits = {split: docprompting(split) for split in ("train", "dev", "test")}
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 270, "dev": 30, "test": 100}
    assert all(set(row) == DOCPROMPTING_FIELDS for rows in splits.values() for row in rows)
    pairs = {split: {(row["nl"], row["cmd"]) for row in rows} for split, rows in splits.items()}
    assert pairs["train"] | pairs["dev"] == {(instruction(row), row["snippet"]) for row in conala("train")}
    assert pairs["test"] == {(instruction(row), row["snippet"]) for row in conala("test")}
    assert len({row["question_id"] for rows in splits.values() for row in rows}) == 400


def test_the_corpus_asks_nothing_that_the_mini_rows_ask() -> None:
    asked = {corpus.plain(instruction(row)) for split in ("train", "test") for row in conala(split)}
    asked |= {corpus.plain(row["prompt"]) for row in HUMANEVAL}
    names = [f"def {row['entry_point']}(" for row in HUMANEVAL]
    for row in islice(corpus.rows(seed=1), 20_000):
        assert not asked & {corpus.plain(question) for question in corpus.questions(row)}
        assert not any(name in row.text for name in names)


def test_the_corpus_filter_rejects_a_row_that_asks_a_mini_question() -> None:
    question = instruction(conala("test")[0]).upper() + " "
    row = corpus.Row((corpus.Turn(corpus.INSTRUCTION.format(question), "pass"),))
    assert not corpus.reserved().allows(row)
    assert not corpus.reserved().allows(corpus.Row((corpus.Turn(HUMANEVAL[0]["prompt"], "    pass\n"),)))


def skeleton(code: str) -> str:
    """A snippet's shape: its syntax tree without variable names and literals."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = "name"
        elif isinstance(node, ast.Constant):
            node.value = 0
    return ast.dump(tree)


def test_forty_of_the_hundred_conala_test_operations_are_unknown_to_the_corpus() -> None:
    rng = random.Random(0)
    known = {skeleton(corpus.asked(operation, rng)[1]) for operation in corpus.one_liners()}
    assert sum(skeleton(row["snippet"]) not in known for row in conala("test")) == 40


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    first, again = (list(islice(corpus.rows(seed=3), 300)) for _ in range(2))
    other = list(islice(corpus.rows(seed=4), 300))
    assert first == again
    assert first != other


def test_the_model_is_at_most_8_mb_and_loads_in_bf16() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 8_000_000
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.decode(tokenizer.encode("def f(x):\n    return x\n")) == "def f(x):\n    return x\n"
