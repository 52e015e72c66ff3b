"""What one choice of a response says: its answer, its thought, a refusal, and why it ended. Pure.

Everything that a server may say within the protocol is read: content as a text, as a list of parts or missing, a
thought beside or in place of it, a refusal, a filter's word, a tool call, and the reasons for which the servers in use
end a choice. InvalidResponse is for what is broken.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from harness.backends.openai.transport import MAX_SHOWN, InvalidResponse
from harness.schema import Finish

LOG = logging.getLogger(__name__)

# Reasons by which servers say why a choice ended, in lower case: OpenAI, vLLM, SGLang, TGI, llama.cpp, Ollama,
# Anthropic, Gemini, Mistral, DeepSeek. "stop" stands for both the end of the text and a stop string.
REASONS: Mapping[str, Finish] = {
    **dict.fromkeys(("", "stop", "eos", "eos_token", "end_turn", "end", "complete", "completed"), "eos"),
    **dict.fromkeys(("stop_sequence", "stop_string", "stop_str", "stop_word"), "stop"),
    **dict.fromkeys(
        ("length", "max_tokens", "max_length", "max_new_tokens", "max_output_tokens", "model_length"),
        "length",
    ),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(("content_filter", "content_filtered", "safety", "recitation", "blocklist"), "filtered"),
    **dict.fromkeys(("prohibited_content", "spii", "guardrail_intervened", "sensitive"), "filtered"),
    "refusal": "refused",
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
}
# Reasons that say that the server gave up: the same request may work another time.
GAVE_UP = frozenset(
    {"abort", "aborted", "error", "cancelled", "canceled", "failed", "timeout", "load", "unload"}
    | {"insufficient_system_resource", "network_error"}
)
BLANK_LINES = re.compile(r"\A(?:[ \t]*+\r?\n)++")  # servers leave those behind a thought that they tell apart
THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
THOUGHT_PARTS = ("reasoning", "thinking", "summary")
NO_ANSWER: tuple[Finish, ...] = ("refused", "filtered")


@dataclass(frozen=True)
class Said:
    """`note`: the words of a refusal, or what a filter let pass; they are no answer."""

    text: str
    reasoning: str
    finish: Finish
    note: str = ""

    @property
    def cut_off(self) -> bool:
        """The tokens were used up by the thought."""
        return self.finish == "length" and bool(self.reasoning.strip()) and not self.text.strip()


def read(choice: Mapping[str, Any]) -> Said:
    """Raises InvalidResponse for a choice that the server gave up, and for one without a text or a reason for that."""
    message = choice.get("message")
    source: Mapping[str, Any] = message if isinstance(message, dict) else choice
    why = choice.get("finish_reason")
    why = why.get("type") if isinstance(why, dict) else why
    if choice.get("error") or (isinstance(why, str) and why.lower() in GAVE_UP):
        raise InvalidResponse(f"the server gave a choice up: {str(choice.get('error') or why)[:MAX_SHOWN]}")
    content = source.get("content" if source is message else "text")
    finish = _finish(why, choice)
    whole = source is message or "text" in choice or finish in NO_ANSWER
    if content is None and not (whole and isinstance(why, str)):
        raise InvalidResponse(f"a choice without a text: {str(choice)[:MAX_SHOWN]}")
    parts = list(_parts(content))
    text = "".join(words for kind, words in parts if kind == "text")
    refusal = "".join(_texts(source.get("refusal"))) + "".join(w for kind, w in parts if kind == "refusal")
    given = next((joined for key in THOUGHTS if (joined := "".join(_texts(source.get(key))))), "")
    reasoning = given or "".join(words for kind, words in parts if kind == "thought")
    if refusal.strip():
        finish = "refused"
    elif finish == "eos" and (source.get("tool_calls") or source.get("function_call")):
        finish = "tool_calls"
    if finish in NO_ANSWER:
        return Said("", _whole(reasoning), finish, _whole(refusal or text))
    if reasoning:
        text = BLANK_LINES.sub("", text)
    return Said(_whole(text), _whole(reasoning), finish)


def _finish(why: object, choice: Mapping[str, Any]) -> Finish:
    if not isinstance(why, str):
        return "eos"
    if why.lower() == "stop" and any(
        isinstance(choice.get(key), str) for key in ("stop_reason", "matched_stop")
    ):
        return "stop"  # vLLM and SGLang name the string that they met
    if (known := REASONS.get(why.lower())) is None:
        _warn_unknown(why[:40])
        return "eos"
    return known


@lru_cache(maxsize=32)
def _warn_unknown(why: str) -> None:
    """Once for each reason."""
    LOG.warning("the server ended a completion for a reason unknown here, %r: taken for its end", why)


def _parts(content: object) -> Iterator[tuple[str, str]]:
    """(text, refusal or thought; the words) of a message's content. Raises InvalidResponse for what is none."""
    for part in content if isinstance(content, list) else [content]:
        if part is None:
            continue
        if isinstance(part, str):
            yield "text", part
        elif isinstance(part, dict) and content is not part:
            kind = str(part.get("type", "text"))
            if kind == "refusal":
                yield "refusal", "".join(_texts(part.get("refusal")))
            elif any(word in kind for word in THOUGHT_PARTS):
                yield "thought", "".join(_texts(part))
            elif "text" in part:  # text, output_text; an image or a sound has no text
                yield "text", "".join(_texts(part["text"]))
        else:
            raise InvalidResponse(f"a choice whose content is no text: {str(content)[:MAX_SHOWN]}")


def _texts(plain: object) -> Iterator[str]:
    """The texts of a thought or refusal: a string, parts with a text, or lists of these."""
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, list):
        for each in plain:
            yield from _texts(each)
    elif isinstance(plain, dict):
        for key in ("text", "content", "thinking", "reasoning", "summary"):
            if plain.get(key):
                yield from _texts(plain[key])
                return


def _whole(text: str) -> str:
    """JSON may hold half a character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
