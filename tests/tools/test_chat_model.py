"""The demo chat model: its corpus, its template, and the three forms in which it is asked."""

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from harness.files import packaged
from tests.support.command import harness, rows
from tools.demo_model import chats, corpus

MODEL = packaged("tasks/demo/chat-model")
CARD = (MODEL / "README.md").read_text(encoding="utf-8")
ASKED = [{"role": "user", "content": "f"}]
TALK = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "f"},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\ng"},
    {"role": "user", "content": "h"},
]
TALKED = (
    "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nf<|im_end|>\n<|im_start|>assistant\ng<|im_end|>\n"
    "<|im_start|>user\nh<|im_end|>\n"
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODEL)


def test_a_seed_gives_the_same_corpus_as_when_the_model_was_trained() -> None:
    texts = "".join(row.text for row in islice(chats.rows(1), 300))
    assert (
        hashlib.sha256(texts.encode()).hexdigest()
        == "4846f9b0197749b916db080a4b6eb82958676917f616fa55db4c58b76e580d3c"
    )


def test_no_text_asks_what_the_mini_rows_ask() -> None:
    reserved = corpus.reserved()
    for row in islice(chats.rows(1), 500):
        for question in reserved.questions & {corpus.plain(line) for line in row.text.split("\n")}:
            raise AssertionError(question)
        assert not any(f"def {name}(" in row.text for name in reserved.names)


def test_the_embedded_tokenizer_has_the_template_of_the_script(tokenizer: Any) -> None:
    settings = json.loads((MODEL / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["chat_template"] == tokenizer.chat_template == chats.TEMPLATE


@pytest.mark.parametrize(
    ("messages", "arguments", "expected"),
    [
        (ASKED, {}, "<|im_start|>user\nf<|im_end|>\n<|im_start|>assistant\n"),
        (ASKED, {"enable_thinking": True}, "<|im_start|>user\nf<|im_end|>\n<|im_start|>assistant\n"),
        (
            ASKED,
            {"enable_thinking": False},
            "<|im_start|>user\nf<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
        (TALK, {}, TALKED + "<|im_start|>assistant\n"),
        (TALK, {"add_generation_prompt": False}, TALKED),
    ],
    ids=["thinking by default", "thinking", "not thinking", "a talk", "a talk that is over"],
)
def test_the_template_writes(
    tokenizer: Any, messages: list[dict[str, str]], arguments: dict[str, bool], expected: str
) -> None:
    settings = {"add_generation_prompt": True, **arguments}
    assert tokenizer.apply_chat_template(messages, tokenize=False, **settings) == expected


@pytest.mark.parametrize(
    "messages", [[{"role": "tool", "content": "f"}], [*ASKED, {"role": "system", "content": "s"}]]
)
def test_the_template_refuses_other_roles_and_a_late_system_message(
    tokenizer: Any, messages: list[dict[str, str]]
) -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match=r"roles are|stands first"):
        tokenizer.apply_chat_template(messages, tokenize=False)


def test_the_corpus_is_written_as_the_template_writes_it(tokenizer: Any) -> None:
    chosen = [row for row in islice(chats.rows(1), 400) if chats.BEGIN in row.text]
    assert len(chosen) > 250
    for row in chosen:
        parts = (row.text + f"{chats.END}\n").split(chats.BEGIN)[1:]
        heads = (part.removesuffix(f"{chats.END}\n").partition("\n") for part in parts)
        *asked, answer = [{"role": role, "content": said} for role, _, said in heads]
        thinks = not answer["content"].startswith(chats.NO_THOUGHT)
        shown = tokenizer.apply_chat_template(
            asked, tokenize=False, add_generation_prompt=True, enable_thinking=thinks
        )
        assert row.text.startswith(shown)
        assert row.text[len(shown) :].startswith("<think>\nThe task: " if thinks else "```python\n")


def test_it_is_small_and_its_card_is_true(tokenizer: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 8_000_000
    model = AutoModelForCausalLM.from_pretrained(MODEL)
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == len(tokenizer) == 2052
    assert f"{model.num_parameters():,} parameters" in CARD
    marks = (chats.BEGIN, chats.END, chats.THINK, chats.THOUGHT)
    assert tokenizer.convert_tokens_to_ids(list(marks)) == [2048, 2049, 2050, 2051]


def asked(folder: Path, *more: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A run's summary and completions, on the first problems of mini HumanEval."""
    common = ("--task", "humaneval", "--data", "mini", "--limit", "3", "--no-cache", "--out", folder)
    ended = harness("run", *common, "--model", MODEL, "--set", "backend.dtype=float32", *more)
    assert ended.code == 0, ended.err
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary, [row["completion"] for row in rows(folder / "generations.jsonl")]


def test_asked_without_more_it_answers_a_chat_and_thinks_first(tmp_path: Path) -> None:
    summary, said = asked(tmp_path / "run")
    assert "prompt chat:" in summary["signature"]
    assert all(each["reasoning"].startswith("The task: ") for each in said)
    assert all(each["reasoning_tokens"] > 20 for each in said)
    assert all(each["text"].lstrip().startswith("```python\n") for each in said)
    assert summary["metrics"]["pass@1"]["value"] >= 0.5


def test_with_thinking_switched_off_it_answers_at_once(tmp_path: Path) -> None:
    summary, said = asked(tmp_path / "run", "--set", "backend.template_args.enable_thinking=false")
    assert "enable_thinking" in summary["signature"]
    assert not any(each.get("reasoning") for each in said)
    assert all(each["text"].startswith("```python\n") for each in said)
    assert summary["metrics"]["pass@1"]["value"] >= 0.5


def test_the_base_prompt_is_answered_as_by_the_demo_model(tmp_path: Path) -> None:
    summary, said = asked(tmp_path / "run", "--set", "prompt=plain")
    assert "prompt plain:" in summary["signature"]
    assert all(each["text"].startswith("    ") and "```" not in each["text"] for each in said)
    assert summary["metrics"]["pass@1"]["value"] >= 0.5
