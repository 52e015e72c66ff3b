"""The marks of a prompt with a gap, on what the families' makers publish."""

import pytest

from harness.errors import ConfigError
from harness.text import fim
from tests.support.paths import ROOT

# As each family's model card or code has it; a name in capitals is one of ours.
PUBLISHED = {
    "codellama": "<PRE> P <SUF>S <MID>",
    "starcoder": "<fim_prefix>P<fim_suffix>S<fim_middle>",
    "santacoder": "<fim-prefix>P<fim-suffix>S<fim-middle>",
    "deepseek": "<｜fim▁begin｜>P<｜fim▁hole｜>S<｜fim▁end｜>",
    "codegemma": "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    "qwen": "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>",
    "codestral": "[SUFFIX]S[PREFIX]P",
    "codegen2": "P<mask_1>S<|endoftext|><sep><mask_1>",
}


def test_every_family_writes_its_prompt_as_published() -> None:
    assert {each.family: each.written("P", "S") for each in fim.FORMATS} == PUBLISHED


def test_a_vocabulary_tells_its_family() -> None:
    for each in fim.FORMATS:
        assert fim.of_vocabulary({*each.marks, *each.ends, "a"}) is each
    assert fim.of_vocabulary({"<fim_prefix>", "<fim_middle>", "<|endoftext|>"}) is None


def test_marks_that_two_families_share_are_told_apart_by_the_ends() -> None:
    marks = {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}
    found = [fim.of_vocabulary(marks | {end}) for end in ("<|file_separator|>", "<|file_sep|>")]
    assert [each and each.family for each in found] == ["codegemma", "qwen"]


def test_a_family_that_is_not_known_names_those_that_are() -> None:
    with pytest.raises(ConfigError) as caught:
        fim.of_family("starcode")
    assert str(caught.value) == (
        "backend.fim: no family 'starcode'. Did you mean 'starcoder'? Known: codegemma, codegen2, codellama,"
        " codestral, deepseek, qwen, santacoder, starcoder."
    )


def test_the_page_of_prompts_has_the_table() -> None:
    page = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
    for each in fim.FORMATS:
        ends = " ".join(f"`{end.strip()}`" for end in each.written_ends)
        assert f"| `{each.family}` | `{each.written('{prefix}', '{suffix}')}` | {ends} |" in page
