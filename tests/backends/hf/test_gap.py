"""A prompt with a gap as tokens, and where an answer to it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.backends.hf.tokenizer import Codec
from harness.errors import ConfigError, UserError
from harness.results.interop import export
from harness.runs.store import reader
from harness.schema import Prompt, Request
from harness.text import fim
from tests.support import scripted_model
from tests.support.command import harness, rows
from tests.support.parts.hf_engine import GREEDY, loaded
from tests.support.tiny_models import build, make_tokenizer

STARCODER = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>"]
GAP = Prompt(text="def f(x):\n    y =", suffix="    return y\n")


def codec(marks: list[str], tokens: str = "bytes", family: str = "", architecture: str = "llama") -> Codec:
    tokenizer = make_tokenizer(architecture, tokens=tokens)
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return Codec(tokenizer, frozenset({tokenizer.eos_token_id}), encoder=False, fim=family)


@pytest.mark.parametrize("architecture", ["llama", "codegen"])
@pytest.mark.parametrize("family", [each.family for each in fim.FORMATS if each.family != "codellama"])
def test_tokens_are_those_of_the_published_text(family: str, architecture: str) -> None:
    known = fim.of_family(family)
    made = codec([*dict.fromkeys(known.marks), known.ends[0]], family=family, architecture=architecture)
    text = known.written(GAP.text, GAP.suffix or "")
    assert list(made.encode(GAP)) == made.tokenizer(text)["input_ids"]
    assert made.render(GAP).text == text
    assert made.render(GAP).tokens == len(made.encode(GAP))


def test_an_empty_suffix_is_a_gap_too() -> None:
    made = codec(STARCODER)
    names = made.tokenizer.convert_ids_to_tokens(list(made.encode(Prompt(text="a", suffix=""))))
    assert names == ["<s>", "<fim_prefix>", "a", "<fim_suffix>", "<fim_middle>"]


def code_llama() -> Any:
    """transformers' own tokenizer of CodeLlama, with bytes and a few words for a vocabulary."""
    from transformers import CodeLlamaTokenizer

    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "y", "▁y", "=", "d"]
    return CodeLlamaTokenizer(vocab={word: at for at, word in enumerate(words)}, merges=[("▁", "y")])


def test_code_llamas_tokens_are_those_of_its_own_tokenizer() -> None:
    prefix, suffix = "def f(x):\n    y =", "    return y\n"
    made = Codec(code_llama(), frozenset({2}), encoder=False)
    known = code_llama()(f"{prefix}<FILL_ME>{suffix}")["input_ids"]
    assert list(made.encode(Prompt(text=prefix, suffix=suffix))) == known


def test_code_llamas_suffix_gets_no_space_of_its_own_and_its_prefix_does() -> None:
    """As Meta's code has it; transformers 5 begins a suffix with a space too where it has none."""
    made = Codec(code_llama(), frozenset({2}), encoder=False)
    names = made.tokenizer.convert_ids_to_tokens(list(made.encode(Prompt(text="y", suffix="y"))))
    assert names == ["<s>", "▁<PRE>", "▁y", "▁<SUF>", "y", "▁<MID>"]


def test_a_tokenizer_without_marks_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(UserError) as caught:
        codec([]).encode(GAP)
    said = str(caught.value)
    assert said.startswith(
        "the prompt is fill-in-the-middle, and this model's tokenizer has the marks of no known family"
    )
    for each in fim.FORMATS:
        assert f"{each.family} {' '.join(each.marks)}" in said
    with pytest.raises(
        UserError, match=r"backend.fim = 'qwen': .* has no <\|fim_prefix\|>, <\|fim_suffix\|>"
    ):
        codec(STARCODER, family="qwen").encode(GAP)
    with pytest.raises(ConfigError, match="no family 'llama'"):
        codec(STARCODER, family="llama").encode(GAP)


def test_an_answer_ends_at_its_familys_mark_and_other_prompts_do_not(tmp_path: Path) -> None:
    script = {"<fim_middle>": {" 1": 1.0}, " 1": {"<file_sep>": 1.0}, "<file_sep>": {"more": 1.0}}
    backend = loaded(scripted_model.build(tmp_path, script, special=STARCODER))
    for beams in (1, 2):
        how = GREEDY.model_copy(update={"beams": beams})
        (gap,) = backend.generate([Request("p/0", Prompt(text="a", suffix="b"), (0,))], how)
        assert (gap.completion.text, gap.completion.finish) == (" 1", "eos")
    (plain,) = backend.generate([Request("p/0", Prompt(text="<fim_middle>"), (0,))], GREEDY)
    assert plain.completion.text == " 1more"


def test_a_run_says_before_the_model_is_loaded_that_it_has_no_marks(tmp_path: Path) -> None:
    folder = build("llama", tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"")
    ended = harness("run", "--task", "santacoder_fim", "--data", "mini", "--model", str(folder))
    assert ended.code == 2
    assert "this model's tokenizer has the marks of no known family" in ended.err


def test_a_run_asks_with_both_sides_and_everything_after_it_shows_them(tmp_path: Path) -> None:
    line = "        total += number"  # that the first mini row lacks
    script = {"<fim_middle>": {line: 1.0}, line: {"<file_sep>": 1.0}, "<file_sep>": {line: 1.0}}
    folder, out = scripted_model.build(tmp_path / "m", script, special=STARCODER), tmp_path / "run"
    common = ("--task", "santacoder_fim", "--data", "mini", "--model", folder, "--no-cache")
    ended = harness("run", *common, "--out", out)
    assert ended.code == 0, ended.err
    metrics = json.loads((out / "summary.json").read_text(encoding="utf-8"))["metrics"]
    assert {name: round(metrics[name]["value"], 3) for name in ("em@1", "em@1[py]", "em@1[js]")} == {
        "em@1": 0.083,
        "em@1[py]": 0.25,
        "em@1[js]": 0.0,
    }
    first = rows(out / "problems.jsonl")[0]
    suffix = "        sums.append(total)\n    return sums"
    assert first["prompt"]["suffix"] == suffix
    assert first["rendered"] == (f"<fim_prefix>{first['question']}<fim_suffix>{suffix}<fim_middle>")
    assert next(export.samples(reader.read(out)))["prompt"] == f"{first['question']}\n[suffix]\n{suffix}"
