"""A reasoning model from template to report: its thought apart, what was cut off counted, accuracy by budget."""

import json
from pathlib import Path

import pytest

from harness.runs.thinking_budget import choose_budgets, tokens, truncate
from harness.schema import Completion
from tests.support import scripted_model
from tests.support.command import Ended, harness, rows, write_rows

WHOLE = Completion(
    text="x" * 40, reasoning="y" * 60, completion_tokens=100, reasoning_tokens=80, finish="eos"
)
PROBLEMS = [
    {
        "task_id": f"Own/{number}",
        "prompt": f'def f(x):\n    """Return x: {number}."""\n',
        "canonical_solution": "    return x\n",
        "test": f"def check(candidate):\n    assert candidate({number}) == {number}\n",
        "entry_point": "f",
    }
    for number in range(1, 13)
]
SCRIPT = {
    "<think>\n": {"Hm. ": 1.0},
    "Hm. ": {"Hm. ": 0.92, "\n</think>": 0.08},
    "\n</think>": {"\n\n```python\n": 1.0},
    "\n\n```python\n": {"def f(x):": 1.0},
    "def f(x):": {"\n    return x": 0.8, "\n    return 0": 0.2},
    "\n    return x": {"\n```": 1.0},
    "\n    return 0": {"\n```": 1.0},
}


# ---------------------------------------------------------------- truncation


def test_what_fits_a_budget_is_whole() -> None:
    assert truncate(WHOLE, 100) is None


def test_a_budget_that_ends_in_the_thought_leaves_no_answer() -> None:
    for budget in (1, 80):
        cut = truncate(WHOLE, budget)
        assert cut is not None
        assert (cut.text, cut.cut_off) == ("", True)


def test_a_budget_that_ends_in_the_answer_leaves_its_share() -> None:
    cut = truncate(WHOLE, 90)
    assert cut is not None
    assert (len(cut.text), cut.cut_off, cut.finish) == (20, False, "length")


def test_tokens_that_nobody_counted_are_shared_out_by_characters() -> None:
    assert tokens(WHOLE) == (80, 20)
    assert tokens(WHOLE.model_copy(update={"reasoning_tokens": None})) == (60, 40)
    assert tokens(Completion(text="x" * 35, reasoning="y" * 70)) == (20, 10)
    assert tokens(Completion(text="", reasoning="y" * 70, cut_off=True)) == (20, 0)


@pytest.mark.parametrize(("most", "last", "count"), [(0, 2, 1), (2, 2, 1), (100, 128, 7), (9000, 16384, 8)])
def test_budgets_are_powers_of_two_of_which_the_last_holds_everything(
    most: int, last: int, count: int
) -> None:
    budgets = choose_budgets(most)
    assert (budgets[-1], len(budgets)) == (last, count)
    assert budgets[-1] >= most


# ---------------------------------------------------------------- a whole run


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("reasoning")
    (folder / "data" / "humaneval").mkdir(parents=True)
    write_rows(folder / "data" / "humaneval" / "HumanEval.jsonl", PROBLEMS)
    scripted_model.build(folder / "thinker", SCRIPT)
    settings = {
        "sampling.samples": 10,
        "sampling.temperature": 1.0,
        "sampling.max_tokens": 8,
        "sampling.max_reasoning_tokens": 24,
        "prompt": "chat",
    }
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    common = ("run", "--task", "humaneval", "--data", folder / "data", "--model", folder / "thinker")
    return folder, harness(*common, *sets, "--out", folder / "run")


def test_every_thought_is_apart_and_counted(ended: tuple[Path, Ended]) -> None:
    folder, run = ended
    assert run.code == 0, run.err
    made = [row["completion"] for row in rows(folder / "run" / "generations.jsonl")]
    assert len(made) == 120
    for one in made:
        assert "Hm" not in one["text"]
        assert one["reasoning"].replace("Hm.", "").strip() == ""
        thought = one["reasoning"].count("Hm.") + (0 if one.get("cut_off") else 1)  # and the closing mark
        assert one["reasoning_tokens"] == thought
    cut = [one for one in made if one.get("cut_off")]
    assert cut
    assert all((one["text"], one["finish"], one["completion_tokens"]) == ("", "length", 32) for one in cut)


def test_the_summary_and_the_terminal_say_what_was_cut_off(ended: tuple[Path, Ended]) -> None:
    folder, run = ended
    made = [row["completion"] for row in rows(folder / "run" / "generations.jsonl")]
    cut = sum(one.get("cut_off", False) for one in made)
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert summary["cost"]["reasoning_tokens"] == sum(one["reasoning_tokens"] for one in made)
    assert summary["completions"]["cut_off"] == cut
    assert any(
        line.startswith(f"{cut / 1.2:.1f} % of the completions ended inside a thought")
        for line in summary["notes"]
    )
    assert "ended inside a thought" in " ".join(run.out.split())
    assert "8+24 reasoning" in summary["signature"]


def test_accuracy_by_budget_is_that_of_samples_which_ended_by_then(ended: tuple[Path, Ended]) -> None:
    folder, _ = ended
    made = [row["completion"] for row in rows(folder / "run" / "generations.jsonl")]
    right = [row["status"] == "passed" for row in rows(folder / "run" / "judgements.jsonl")]
    summary = json.loads((folder / "run" / "summary.json").read_text())
    curve = summary["thinking_budget"]
    assert list(curve) == ["2", "4", "8", "16", "32"]
    for budget, estimate in curve.items():
        ended_by = [one["completion_tokens"] for one, ok in zip(made, right, strict=True) if ok]
        whole = sum(count <= int(budget) for count in ended_by) / 120
        # The end of the fence and of the text are two tokens that an answer can do without.
        nearly = sum(count - 2 <= int(budget) for count in ended_by) / 120
        assert whole - 1e-9 <= estimate["value"] <= nearly + 1e-9
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert curve["2"]["value"] == 0
    assert curve["32"] == summary["metrics"]["pass@1"]


def test_the_report_draws_the_curve(ended: tuple[Path, Ended]) -> None:
    folder, _ = ended
    made = harness("report", folder / "run", "--out", folder / "report.html")
    assert made.code == 0, made.err
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Against the tokens for reasoning and answer" in page
