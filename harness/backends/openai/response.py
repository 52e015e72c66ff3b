"""From a server's response to completions; InvalidResponse for anything else. Pure.

Tokens are the server's own counts. One count stands for all samples of a request: each gets its share, so that the
sums are exact; without a count both are 0, which stands for unknown.
"""

import math
from typing import Any

from harness.backends.openai.transport import MAX_SHOWN, InvalidResponse, Reply
from harness.schema import Completion, Sampling

FINISH_REASONS = ("stop", "length", "eos", "eos_token", None)


def completions(reply: Reply, sampling: Sampling, most: int) -> list[Completion]:
    """The completions of a valid response, in the order of their indices, `most` at most. Raises InvalidResponse."""
    try:
        plain = reply.json()
    except ValueError:
        kind = reply.headers.get("content-type", "no content type")
        raise InvalidResponse(f"an answer that is no JSON ({kind}): {_start(reply.data)}") from None
    choices = plain.get("choices") if isinstance(plain, dict) else None
    if not isinstance(choices, list) or not choices:
        raise InvalidResponse(f"an answer without choices: {_start(reply.data)}")
    for choice in choices:
        if not isinstance(choice, dict):
            raise InvalidResponse(f"a choice that is no object: {str(choice)[:MAX_SHOWN]}")
    choices.sort(key=_number)
    usage = plain.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    asked, total = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    shares = zip(choices, _shares(asked, len(choices)), _shares(total, len(choices)), strict=True)
    found = []
    for choice, prompt_share, tokens in shares:
        completion = _completion(choice, sampling)
        counted = {"prompt_tokens": asked, "completion_tokens": tokens}
        shared = {"prompt_share": prompt_share} if len(choices) > 1 else {}
        found.append(completion.model_copy(update=counted | shared))
    return found[:most]


def _start(data: bytes) -> str:
    return " ".join(data[: 4 * MAX_SHOWN].decode("utf-8", "replace").split())[:MAX_SHOWN]


def _number(choice: dict[str, Any]) -> int:
    return count(choice.get("index"))


def count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0


def _shares(total: int, parts: int) -> list[int]:
    share, rest = divmod(total, parts)
    return [share + (number < rest) for number in range(parts)]


def _completion(choice: dict[str, Any], sampling: Sampling) -> Completion:
    why = choice.get("finish_reason")
    text = _text(choice, why)
    if why not in FINISH_REASONS:
        raise InvalidResponse(
            f"the server ended a choice for another reason than its end or length: {str(why)[:40]}"
        )
    cut = min((at for stop in sampling.stop if (at := text.find(stop)) >= 0), default=-1)
    if cut >= 0:
        text, why = text[:cut], "stop"
    elif why == "stop" and not isinstance(choice.get("stop_reason"), str):
        why = "eos"
    finish = {"length": "length", "stop": "stop"}.get(str(why), "eos")
    return Completion(
        text=text,
        finish=finish,  # type: ignore[arg-type]
        logprob=_logprob(choice.get("logprobs")) if cut < 0 else None,
    )


def _text(choice: dict[str, Any], why: object) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if text is None and why == "length" and isinstance(message, dict):
        thought = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(thought, str):  # the model thought until its tokens were used up: that is its answer
            return ""
    if not isinstance(text, str):
        raise InvalidResponse(f"a choice without a text: {str(choice)[:MAX_SHOWN]}")
    return text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )  # JSON may hold half a character


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
