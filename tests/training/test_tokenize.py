"""What is learnt: the tokens of evaluation's own prompts, answers with their end, and nothing of another sample."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.backends.hf.tokenizer import Codec
from harness.errors import DataError
from harness.prompts import templates
from harness.schema import Prompt
from harness.tasks.loading import data_files, registry
from harness.training.config import DataConfig, PackingConfig
from harness.training.data import examples as rows
from harness.training.data import packing, tokenize
from harness.training.losses import token_losses
from tests.support.tiny_models import ARCHITECTURES, build, make_tokenizer

END = 2
ENDING = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def codec(architecture: str = "llama", **how: Any) -> Codec:
    return Codec(make_tokenizer(architecture, **how), frozenset({END}), architecture == "t5")


@pytest.mark.parametrize("tokens", ["bytes", "words"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("task", ["conala", "humaneval", "mbpp", "apps"])
def test_the_training_prompt_is_the_evaluation_prompt_token_for_token(
    task: str, architecture: str, tokens: str
) -> None:
    made = registry.task(task)
    problems = data_files.load(made, "test", data_files.open_source("mini"), limit=4)
    for template in made.templates:
        chat = template.style == "chat"
        coder = codec(architecture, tokens=tokens, chat=chat)
        asked_rows = [rows.from_problem(template, problem) for problem in problems]
        for problem, row in zip(problems, tokenize.encode(asked_rows, coder), strict=True):
            asked = coder.encode(templates.render(template, problem))
            if coder.encoder:
                assert row.source is not None
                assert tuple(row.source) == asked
                answered = row.ids
            else:
                assert tuple(row.ids[: len(asked)]) == asked
                assert not row.learnt[: len(asked)].any()
                answered = row.ids[len(asked) :]
            text = coder.decode([int(i) for i in answered if i != END])
            answer = templates.render_answer(template, problem)
            if tokens == "bytes" and not coder.encoder:  # the other tokenizers cannot write every text
                assert text.startswith(answer) if chat else text == answer
            assert END in answered
            last = int(np.flatnonzero(answered == END)[-1])
            assert row.learnt[-len(answered) :][: last + 1].all()


def test_an_answer_does_not_begin_with_the_space_that_a_tokenizer_begins_texts_with() -> None:
    coder = codec(tokens="words")
    (example,) = [(rows.TrainingTurn(Prompt(text="a\n"), "x.sort()"),)]
    (row,) = tokenize.encode([example], coder)
    assert coder.decode(row.ids[row.learnt].tolist()) == "x.sort()"


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def asked_and_answered(path: Path, template: str = "plain") -> list[tuple[str, str]]:
    return [
        (t.prompt.text, t.answer) for ex in rows.read_file(path, rows.TEMPLATES[template], None) for t in ex
    ]


@pytest.mark.parametrize("names", rows.PAIRS)
def test_every_pair_of_names_is_read(names: tuple[str, str], tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {names[0]: "why", names[1]: "so", "id": 3})
    assert asked_and_answered(path) == [("why", "so")]


def test_an_alpaca_row_keeps_its_instruction(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"instruction": "sort", "input": "[2, 1]", "output": "[1, 2]"})
    assert asked_and_answered(path) == [("sort\n\n[2, 1]", "[1, 2]")]


def test_chat_rounds_become_turns_that_all_end() -> None:
    rounds = [
        {"role": "system", "content": "be short"},
        {"role": "human", "content": "a?"},
        {"role": "bot", "content": "b"},
        {"role": "user", "content": "c?"},
        {"role": "assistant", "content": "d"},
    ]
    example = rows._from_chat_rounds("f:1", rounds, rows.TEMPLATES["alpaca"])
    (row,) = tokenize.encode([example], codec())
    learnt = "".join(codec().decode([i]) if i != END else "|" for i in row.ids[row.learnt].tolist())
    assert learnt == "b|d|"
    text = codec().decode(row.ids.tolist())
    assert text == (
        "be short\n\n### Instruction:\na?\n### Response:\nb\n\n### Instruction:\nc?\n### Response:\nd"
    )


def test_a_chat_template_s_turns_are_learnt_with_their_end() -> None:
    rounds = [
        {"role": r, "content": c} for r, c in (("user", "a"), ("bot", "b"), ("user", "c"), ("bot", "d"))
    ]
    example = rows._from_chat_rounds("f:1", rounds, rows.TEMPLATES["chat"])
    coder = codec(chat=True)
    # This template knows no end of a turn: with one behind it, the first answer is not what the second
    # question of an evaluation would follow. So each turn is a row, and each row an evaluation's prompt.
    first, second = tokenize.encode([example], coder)
    assert coder.decode(first.ids[first.learnt].tolist()) == "b\n"
    assert coder.decode(second.ids[second.learnt].tolist()) == "d\n"
    assert first.ids[-1] == second.ids[-1] == END
    assert tuple(second.ids[: len(coder.encode(example[1].prompt))]) == coder.encode(example[1].prompt)
    coder.tokenizer.chat_template = ENDING
    (row,) = tokenize.encode([example], coder)
    learnt = "".join(coder.decode([i]) if i != END else "|" for i in row.ids[row.learnt].tolist())
    assert learnt == "b|d|"
    assert row.ids[-1] != END  # the line break that the template writes behind it, and that is not learnt


def test_raw_turns_are_taken_to_the_letter_and_learnt_where_they_say(tmp_path: Path) -> None:
    turns = [{"prompt": "a", "answer": "b", "learn": False}, {"prompt": "c", "answer": "d"}]
    (example,) = rows.read_file(write(tmp_path / "a.jsonl", {"turns": turns}), rows.TEMPLATES["plain"], None)
    (row,) = tokenize.encode([example], codec())
    assert codec().decode(row.ids.tolist()) == "abcd"
    assert row.learnt.tolist() == [False] * 4 + [True, True]  # <s> a b c | d </s>
    assert row.ids[-1] == END


def test_of_a_text_every_token_is_learnt(tmp_path: Path) -> None:
    (example,) = rows.read_file(write(tmp_path / "a.jsonl", {"text": "x = 1"}), rows.TEMPLATES["plain"], None)
    (row,) = tokenize.encode([example], codec())
    assert row.learnt[1:].all()
    assert codec().decode(row.ids[1:-1].tolist()) == "x = 1"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"instruction": "sort"}', r"rows.jsonl:2: a row without an answer; it has instruction"),
        ('{"instruction": "sort", "output": "  "}', r"rows.jsonl:2: field 'output': expected a text"),
        ('{"instruction": "sort", "output": 3}', r"rows.jsonl:2: field 'output': expected a text, got 3"),
        ("[1]", r"rows.jsonl:2: expected an object, got list"),
        ("{", r"rows.jsonl:2: not valid JSON"),
        ('{"promt": "a", "answer": "b"}', r"Did you mean 'prompt'"),
        ('{"chat_rounds": [{"role": "user", "content": "a"}]}', r"user and assistant in turn, got user"),
        ('{"turns": [{"prompt": "a"}]}', r"turns\[0\]: expected an object with 'prompt' and 'answer'"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(line: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"prompt": "a", "answer": "b"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(DataError, match=complaint):
        list(rows.read_file(path, rows.TEMPLATES["plain"], None))


def test_an_empty_file_and_a_missing_one_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"empty.jsonl: no training rows"):
        list(rows.read_file(tmp_path / "empty.jsonl", rows.TEMPLATES["plain"], None))
    with pytest.raises(DataError, match="no training file"):
        list(rows.read_file(tmp_path / "none.jsonl", rows.TEMPLATES["plain"], None))


def test_the_validation_rows_are_a_task_s_own_or_a_seeded_share() -> None:
    own = rows.load(DataConfig(task="conala", options={"corpus": "docprompting"}), "mini", 0)
    assert len(own.validation) == 30
    shared = rows.load(DataConfig(task="conala"), "mini", 0)
    assert len(shared.validation) == round(0.05 * (len(shared.train) + len(shared.validation)))
    assert set(shared.validation) & set(rows.load(DataConfig(task="conala"), "mini", 1).validation) != set(
        shared.validation
    )
    assert rows.load(DataConfig(task="conala", validation="none"), "mini", 0).validation == []


# ---------------------------------------------------------------- tensors


@pytest.fixture(scope="module", params=["llama", "codegen"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from harness.backends.hf import checkpoint

    folder = build(request.param, tmp_path_factory.mktemp("m") / request.param)
    return checkpoint.from_folder(folder, "float32").eval()


def samples() -> list[packing.TokenRow]:
    rng = np.random.default_rng(0)
    return [
        packing.TokenRow(rng.integers(3, 300, n).astype(np.int32), np.arange(n) > n // 2)
        for n in (9, 14, 6, 11, 8)
    ]


def by_sample(model: Any, windows: list[packing.Window], block: bool) -> list[list[float]]:
    import torch

    found = []
    with torch.no_grad():
        for window in windows:
            tokens = token_losses.learnt_tokens(model, tokenize.collate([window], 0, block=block), False)
            found += [tokens.nll[tokens.sample == i].tolist() for i in range(len(tokens.task))]
    return found


def test_packed_samples_under_block_attention_are_as_if_alone(model: Any) -> None:
    config = PackingConfig(mode="pack", length=30, attention="block")
    windows = packing.build_windows(samples(), config, packing.PackingReport("t"))
    assert max(map(len, windows)) > 1
    alone = by_sample(model, [(row,) for row in samples()], block=False)
    packed = by_sample(model, windows, block=True)
    assert [pytest.approx(nll, abs=1e-5) for nll in alone] == packed
    seen = by_sample(model, windows, block=False)
    assert seen[0] == pytest.approx(alone[0], abs=1e-5)  # the first of a window sees nothing else anyway
    assert seen[1] != pytest.approx(alone[1], abs=1e-2)


def test_padding_changes_no_probability(model: Any) -> None:
    import torch

    alone = by_sample(model, [(row,) for row in samples()], block=False)
    tensors = tokenize.collate([(row,) for row in samples()], 0, multiple=16, length=None)
    assert tensors["input_ids"].shape == (5, 16)
    with torch.no_grad():
        for apart in (False, True):
            tokens = token_losses.learnt_tokens(model, tensors, False, apart)
            found = [tokens.nll[tokens.sample == i].tolist() for i in range(5)]
            assert [pytest.approx(nll, abs=1e-5) for nll in alone] == found
    assert token_losses.supports_partial_logits(model, tensors)


def test_labels_are_minus_100_on_prompts_and_padding() -> None:
    row = packing.TokenRow(np.array([5, 6, 7], dtype=np.int32), np.array([False, False, True]), task=3)
    tensors = tokenize.collate([(row,)], pad=0, length=5)
    assert tensors["labels"].tolist() == [[-100, -100, 7, -100, -100]]
    assert tensors["input_ids"].tolist() == [[5, 6, 7, 0, 0]]
    assert tensors["attention_mask"].tolist() == [[1, 1, 1, 0, 0]]
    assert tensors["tasks"].tolist() == [3]
    assert tokenize.token_counts(tensors, encoder=False) == (5, 3, 1)
