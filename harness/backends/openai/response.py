"""From a server's response to completions; InvalidResponse for anything else. Pure.

Tokens are the server's own counts. One count stands for all samples of a request: each gets its share, so that the
sums are exact; without a count it is 0, which stands for unknown.
"""

import math
from typing import Any

from harness.backends.openai import choice as choices
from harness.backends.openai.choice import Said
from harness.backends.openai.transport import MAX_SHOWN, InvalidResponse, Reply
from harness.schema import Completion, Sampling
from harness.text import reasoning


def completions(reply: Reply, sampling: Sampling, most: int, opened: bool = False) -> list[Completion]:
    """The completions of a valid response, in the order of their indices, `most` at most. Raises InvalidResponse.

    `opened`: the prompt ends with a mark that opens a thought.
    """
    plain = _read(reply)
    rows = plain["choices"]
    said = [choices.read(row) for row in rows]
    usage = _table(plain.get("usage"))
    asked, total = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    thought = _reasoning_tokens(usage, said)
    made = []
    for row, one, prompt_share, tokens, reasoning_tokens in zip(
        rows,
        said,
        _shares(asked, len(rows)),
        _shares(total, len(rows)),
        [None] * len(rows) if thought is None else _shares(thought, len(rows)),
        strict=True,
    ):
        unmarked = _is_unmarked_thought(one, sampling)
        text, behind = cut(one.text, sampling.stop, unmarked or (opened and not one.reasoning))
        stopped = not unmarked and len(text) < len(one.text)
        made.append(
            Completion(
                text="" if unmarked else text,
                finish="stop" if stopped and one.finish not in choices.NO_ANSWER else one.finish,
                prompt_tokens=asked,
                completion_tokens=tokens,
                prompt_share=prompt_share if len(rows) > 1 else None,
                reasoning=one.text if unmarked else one.reasoning,
                reasoning_tokens=tokens if unmarked else reasoning_tokens,
                cut_off=one.cut_off or unmarked,
                after_stop_tokens=_tokens_of(behind, one, tokens, reasoning_tokens),
                logprob=None if stopped else _logprob(row.get("logprobs")),
                note=one.note,
            )
        )
    return made[:most]


def _is_unmarked_thought(one: Said, sampling: Sampling) -> bool:
    """Whether a text without any mark is a thought that its server's template opened and that was cut off.

    It cannot be told from an answer, but where a run gives a model room to think, an answer that fills all of that room
    and was cut there has no thought before it.
    """
    filled = bool(sampling.max_reasoning_tokens) and one.finish == "length"
    return filled and not one.reasoning and not reasoning.has_marks(one.text)


def _read(reply: Reply) -> dict[str, Any]:
    """The response as plain JSON with its choices in order. Raises InvalidResponse."""
    try:
        plain = reply.json()
    except ValueError:
        kind = reply.headers.get("content-type", "no content type")
        raise InvalidResponse(f"an answer that is no JSON ({kind}): {_start(reply.data)}") from None
    rows = plain.get("choices") if isinstance(plain, dict) else None
    if not isinstance(rows, list) or not rows:
        raise InvalidResponse(f"an answer without choices: {_start(reply.data)}")
    for row in rows:
        if not isinstance(row, dict):
            raise InvalidResponse(f"a choice that is no object: {str(row)[:MAX_SHOWN]}")
    return {**plain, "choices": sorted(rows, key=lambda row: count(row.get("index")))}


def _start(data: bytes) -> str:
    return " ".join(data[: 4 * MAX_SHOWN].decode("utf-8", "replace").split())[:MAX_SHOWN]


def count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _shares(total: int, parts: int) -> list[int]:
    share, rest = divmod(total, parts)
    return [share + (number < rest) for number in range(parts)]


def _reasoning_tokens(usage: dict[str, Any], said: list[Said]) -> int | None:
    """The server's count of all thoughts; None without one. 0 beside a thought means that it was not counted."""
    details = _table(usage.get("completion_tokens_details"))
    found = details.get("reasoning_tokens", usage.get("reasoning_tokens"))
    if type(found) is not int or found < 0 or (found == 0 and any(one.reasoning for one in said)):
        return None
    return found


def cut(text: str, stops: tuple[str, ...], opened: bool = False) -> tuple[str, int]:
    """The text up to the first of the stop strings, and how many characters come behind that string.

    A stop string in a thought that the server left in the text ends nothing.
    """
    if not stops:
        return text, 0
    answer = reasoning.split(text, opened).answer
    begins = 0 if answer == text else len(text) if not answer else max(0, text.rfind(answer))
    found = [(at, len(stop)) for stop in stops if (at := text.find(stop, begins)) >= 0]
    if not found:
        return text, 0
    at, length = min(found)
    return text[:at], len(text) - at - length


def _tokens_of(characters: int, said: Said, tokens: int, reasoning_tokens: int | None) -> int:
    """About how many tokens the last `characters` of the answer took: their share of its characters.

    Without the thought's own count its characters share too. An estimate: the server has the tokenizer.
    """
    if not characters:
        return 0
    of_answer = tokens - reasoning_tokens if reasoning_tokens is not None else tokens
    over = len(said.text) + (len(said.reasoning) if reasoning_tokens is None else 0)
    return max(0, round(of_answer * characters / over))


def _logprob(plain: object) -> float | None:
    """The sum over the tokens, of either protocol; None where the server gave none."""
    if not isinstance(plain, dict):
        return None
    content, values = plain.get("content"), plain.get("token_logprobs")
    if isinstance(content, list):
        values = [item.get("logprob") if isinstance(item, dict) else None for item in content]
    if not isinstance(values, list) or not values:
        return None
    numbers = [value for value in values if type(value) in (int, float) and math.isfinite(value)]
    return round(sum(numbers), 2) if len(numbers) == len(values) else None
