"""Fill-in-the-middle: how each family of models marks what stands before and behind the gap that it is to fill.

A model was trained with marks of its own: tokens of its vocabulary, in an order of its own. The table has what the
families' makers publish. Pure: which of the marks a tokenizer has is looked up by its backend.
"""

from collections.abc import Container
from dataclasses import dataclass

from harness.errors import ConfigError, unknown

PREFIX, SUFFIX = "{prefix}", "{suffix}"
BLANK = "▁"  # how a SentencePiece vocabulary begins the token of a word


@dataclass(frozen=True)
class FimFormat:
    """`layout` is the prompt: tokens as the vocabulary has them, with PREFIX and SUFFIX in their places. An answer ends
    at any of `ends`, or at the end of the text."""

    family: str
    layout: tuple[str, ...]
    ends: tuple[str, ...] = ()

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(part for part in self.layout if part not in (PREFIX, SUFFIX))

    def written(self, prefix: str, suffix: str) -> str:
        """The prompt as text, for whoever tokenizes it himself."""
        begun = " " if self.layout[0].startswith(BLANK) else ""
        texts = {PREFIX: begun + prefix, SUFFIX: suffix}
        return "".join(texts.get(part, _text(part)) for part in self.layout).removeprefix(begun)

    @property
    def written_ends(self) -> tuple[str, ...]:
        return tuple(map(_text, self.ends))


def _text(token: str) -> str:
    return f" {token[1:]}" if token.startswith(BLANK) else token


# CodeGemma's and Qwen's marks are the same; what their answers end with is not.
FORMATS = (
    FimFormat("codellama", ("▁<PRE>", PREFIX, "▁<SUF>", SUFFIX, "▁<MID>"), ("▁<EOT>",)),
    FimFormat(
        "starcoder",
        ("<fim_prefix>", PREFIX, "<fim_suffix>", SUFFIX, "<fim_middle>"),
        ("<|endoftext|>", "<file_sep>"),
    ),
    FimFormat(
        "santacoder", ("<fim-prefix>", PREFIX, "<fim-suffix>", SUFFIX, "<fim-middle>"), ("<|endoftext|>",)
    ),
    FimFormat(
        "deepseek",
        ("<｜fim▁begin｜>", PREFIX, "<｜fim▁hole｜>", SUFFIX, "<｜fim▁end｜>"),
        ("<｜end▁of▁sentence｜>", "<|EOT|>"),
    ),
    FimFormat(
        "codegemma",
        ("<|fim_prefix|>", PREFIX, "<|fim_suffix|>", SUFFIX, "<|fim_middle|>"),
        ("<|file_separator|>",),
    ),
    FimFormat(
        "qwen",
        ("<|fim_prefix|>", PREFIX, "<|fim_suffix|>", SUFFIX, "<|fim_middle|>"),
        ("<|endoftext|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
    ),
    FimFormat("codestral", ("[SUFFIX]", SUFFIX, "[PREFIX]", PREFIX), ("</s>",)),
    FimFormat("codegen2", (PREFIX, "<mask_1>", SUFFIX, "<|endoftext|>", "<sep>", "<mask_1>"), ("<eom>",)),
)
FAMILIES = tuple(each.family for each in FORMATS)


def of_family(family: str) -> FimFormat:
    """Raises ConfigError."""
    for each in FORMATS:
        if each.family == family:
            return each
    raise ConfigError(f"backend.fim: {unknown('family', family, FAMILIES)}")


def of_vocabulary(tokens: Container[str]) -> FimFormat | None:
    """The format whose marks the vocabulary has, and of two with the same marks the one of which it has an end."""
    fitting = [each for each in FORMATS if all(mark in tokens for mark in each.marks)]
    told = [each for each in fitting if any(end in tokens for end in each.ends)]
    return next(iter(told or fitting), None)
