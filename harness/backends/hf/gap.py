"""How a tokenizer marks the gap that its model is to fill: its family's marks as token ids (harness/text/fim.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import UserError
from harness.text import fim
from harness.text.fim import FimFormat


@dataclass(frozen=True)
class Gap:
    """`marks` are the layout's, `ends` those of the family's ends that the tokenizer has."""

    format: FimFormat
    marks: Mapping[str, int]
    ends: frozenset[int]


def find_gap(tokenizer: Any, family: str) -> Gap:
    """The format of `family`, or if none is named the one whose marks the vocabulary has. Raises UserError."""
    vocabulary = tokenizer.get_vocab()
    found = fim.of_family(family) if family else fim.of_vocabulary(vocabulary)
    if found is None:
        known = "; ".join(f"{each.family} {' '.join(each.marks)}" for each in fim.FORMATS)
        raise UserError(
            "the prompt is fill-in-the-middle, and this model's tokenizer has the marks of no known family: take"
            f" a model trained for it, with one of {known}"
        )
    if missing := [mark for mark in found.marks if mark not in vocabulary]:
        raise UserError(
            f"backend.fim = {family!r}: this model's tokenizer has no {', '.join(missing)}: leave it out, or name the"
            " model's own family"
        )
    marks = {mark: int(vocabulary[mark]) for mark in found.marks}
    return Gap(found, marks, frozenset(int(vocabulary[end]) for end in found.ends if end in vocabulary))
