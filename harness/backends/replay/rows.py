"""What a recorded row says: the problem's id, and the completions in it.

One row has a text or a list of them in one of the KEYS, or in the field that the user names. It may be this project's
own (generations.jsonl), or what lm-evaluation-harness, OpenAI's batches (and vLLM's), LiveCodeBench or MultiPL-E
write. A row from which two readings are possible is an error that says how to choose.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.config.backend import RECORDED_FORMS, split_field
from harness.errors import DataError
from harness.schema import Completion, Form, Sampling

KEYS: Mapping[str, Form] = {
    **RECORDED_FORMS,
    "generation": "continuation",  # HumanEval-X
    "completions": "continuation",  # MultiPL-E
    "output_list": "output",  # LiveCodeBench
}
IDS = ("task_id", "problem_id", "custom_id", "question_id", "name")
# (chosen, beside it): EvalPlus takes the solution; HumanEval-X has the problem's description as text.
PRECEDENCE = (("solution", "completion"), ("generation", "text"))
IMPORT = (
    "results of another tool are read by 'harness import FILE --out DIR', which writes their completions too"
)
REASONING = ("reasoning", "reasoning_content")
# HumanEval's problems under the names that HumanEval-X and HumanEvalPack give their Python part: same prompts. What
# HumanEvalPack has repaired or explained has other ids (tasks/humanevalpack.py), for which neither is read.
SAME_PROBLEMS = ("HumanEval", "Python")


@dataclass(frozen=True)
class Row:
    """`index` and `prompt_sha` are those of this project's own rows."""

    name: str
    completions: Sequence[Completion]
    index: int | None = None
    prompt_sha: str = ""


class RowReader:
    """Reads rows for a run of these problems. `field` is backend.field: "" or NAME or NAME=KEY."""

    def __init__(self, field: str, problem_ids: Collection[str]) -> None:
        self.field, form = split_field(field)
        self._field_form = RECORDED_FORMS[form] if form else KEYS.get(self.field, "output")
        self.problem_ids = frozenset(problem_ids)
        known = {name.partition("/")[0] for name in problem_ids}
        self._renamed = {
            theirs: ours
            for ours, theirs in (SAME_PROBLEMS, SAME_PROBLEMS[::-1])
            if ours in known and theirs not in known
        }

    def read(self, row: Any, place: str) -> Row:
        """Raises DataError that begins with `place`."""
        if not isinstance(row, dict):
            raise DataError(f"{place}: expected an object, got {type(row).__name__}")
        if "custom_id" in row:
            return Row(self._id(str(row["custom_id"]).partition("#")[0]), _batch(row, place))
        if "resps" in row and "doc" in row:
            return Row(self._id(_id(row["doc"], place)), self._responses(row, place))
        name, value = self._id(_id(row, place)), row.get("completion")
        if isinstance(value, dict) and not self.field:
            own = "prompt_sha" in row
            index = row.get("index") if own else None
            return Row(name, [_own(value, place)], index, str(row.get("prompt_sha", "")))
        return Row(name, self._completions(row, place))

    def _id(self, name: str) -> str:
        benchmark, slash, rest = name.partition("/")
        return self._renamed.get(benchmark, benchmark) + slash + rest

    def _completions(self, row: Mapping[str, Any], place: str) -> list[Completion]:
        key = self.field or _key(row, place)
        form = self._field_form if self.field else KEYS[key]
        if key not in row:
            raise DataError(f"{place}: no field {key!r}, the row has {_keys(row)}")
        thoughts = [row[name] for name in REASONING if row.get(name) is not None]
        texts = row[key]
        if not isinstance(texts, list):
            return [_completion(texts, thoughts[0] if thoughts else None, form, f"{place}: {key!r}")]
        reasoning = thoughts[0] if thoughts else [None] * len(texts)
        if not isinstance(reasoning, list) or len(reasoning) != len(texts):
            raise DataError(f"{place}: {len(texts)} texts in {key!r} want a list of as many thoughts")
        return [
            _completion(text, thought, form, f"{place}: {key!r}, {number}")
            for number, (text, thought) in enumerate(zip(texts, reasoning, strict=True), 1)
        ]

    def _responses(self, row: Mapping[str, Any], place: str) -> list[Completion]:
        """Of a line of lm-evaluation-harness."""
        key = self.field or "resps"
        if not isinstance(row.get(key), list):
            raise DataError(f"{place}: {key!r} must be a list, as lm-evaluation-harness has it")
        texts = [text for each in row[key] for text in (each if isinstance(each, list) else [each])]
        return [_completion(text, None, self._field_form, f"{place}: {key!r}") for text in texts]


def _id(row: Any, place: str) -> str:
    if not isinstance(row, dict):
        raise DataError(f"{place}: 'doc' must be an object, as lm-evaluation-harness has it")
    name = next((row[key] for key in IDS if key in row), None)
    if not isinstance(name, str):
        hint = f"; {IMPORT}" if {"eval", "results"} & set(row) else ""
        raise DataError(
            f"{place}: expected 'task_id' or 'problem_id' with a text, the row has {_keys(row)}{hint}"
        )
    return name


def _key(row: Mapping[str, Any], place: str) -> str:
    """The one field with the model's text. Raises DataError for none and for two."""
    found = [key for key in KEYS if key in row]
    for chosen, beside in PRECEDENCE:
        if chosen in found and beside in found:
            found.remove(beside)
    how = "--field NAME reads it as raw output, --field NAME=solution as a whole program"
    if not found:
        raise DataError(
            f"{place}: expected 'completion', 'solution' or 'text', the row has {_keys(row)}; if another field"
            f" has what the model said, {how}"
        )
    if len(found) > 1:
        both = " and ".join(map(repr, found))
        raise DataError(f"{place}: the row has {both}; which one is the model's? {how}")
    return found[0]


def _keys(row: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(repr, row))) or "nothing"


def _completion(text: Any, reasoning: Any, form: Form, what: str) -> Completion:
    if reasoning is not None and not isinstance(reasoning, str):
        raise DataError(f"{what}: the reasoning beside it must be a text, got {type(reasoning).__name__}")
    if (
        text is None and reasoning
    ):  # servers give no text where the model thought until its tokens were used up
        return Completion(text="", form=form, reasoning=reasoning, cut_off=True)
    if not isinstance(text, str):
        raise DataError(f"{what} must be a text, got {type(text).__name__}")
    return Completion(text=text, form=form, reasoning=reasoning or "")


def _own(value: Mapping[str, Any], place: str) -> Completion:
    try:
        return Completion.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{place}: completion.{first['loc'][0]}: {first['msg'].lower()}") from None


def _batch(row: Mapping[str, Any], place: str) -> list[Completion]:
    """The choices of a request in a batch. A request that failed says nothing about the model."""
    from harness.backends.openai import response
    from harness.backends.openai.transport import InvalidResponse, Reply

    answer = row.get("response")
    answer = answer if isinstance(answer, dict) else {}
    body = answer.get("body")
    if row.get("error") or not isinstance(body, dict) or answer.get("status_code", 200) != 200:
        why = json.dumps(row.get("error") or body)[:200]
        raise DataError(
            f"{place}: the request of {row['custom_id']} failed ({why}): send it again, or take the line out and"
            " score the rest with --partial"
        )
    try:
        reply = Reply(200, {}, json.dumps(body).encode())
        return response.completions(reply, Sampling(), len(body.get("choices") or ()))
    except InvalidResponse as error:
        raise DataError(f"{place}: {error}") from None
