"""Where a model's turn in a chat begins and ends, by the special tokens that decoding left in the text.

They are taken off at its beginning and end only: in the middle they may be what a program is about. A turn ends earlier
where the model goes on with the next one: at a token on a line of its own or behind a closing fence, or before a token
that begins a turn. Pure, and linear in the text.
"""

import re

from harness.text.mark_context import Mark, MarkContext

ENDS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "</s>",
    "<eos>",
    "<end_of_turn>",
    "<turn|>",
    "<｜end▁of▁sentence｜>",
    "<|end▁of▁sentence|>",
    "<|EOT|>",
    "<EOT>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|eos|>",
    "[EOS]",
    "<seed:eos>",
    "<|role_end|>",
    "<|user|>",
    "<|observation|>",
    "[e~[",
    "<|endofresponse|>",
    "<|end_of_response|>",
    "<|assistant_end|>",
    "<|/assistant|>",
    "<|END_RESPONSE|>",
    "<pad>",
    "<|pad|>",
    "<sep>",
    "<|end_of_solution|>",
    "[|endofturn|]",
    "[END FINAL RESPONSE]",
    "<|file_separator|>",
    "<|file_sep|>",
    "<file_sep>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<|repo_name|>",
)
_BEGINS = (
    r"<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|turn>|<\|start\|>|\[INST\]|<\|role_start\|>"
)
_MARKS = re.compile(rf"(?P<end>{'|'.join(map(re.escape, ENDS))})|(?:{_BEGINS})")
_NEXT = re.compile(rf"\s*+(?:{_BEGINS})")
_OWN = re.compile(
    r"\s*+(?:<\|im_start\|>assistant\b|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model\b"
    r"|<\|turn>model\b|<\|assistant\|>|<｜Assistant｜>|\[/INST\])[ \t]*+\r?\n?"
)


def begin_turn(text: str) -> str:
    """The text without the token that begins the model's own turn, where it begins with one."""
    return text[found.end() :] if (found := _OWN.match(text)) else text


def end_turn(answer: str) -> str:
    """The text up to where the turn ends, without the tokens that end it; else to the letter."""
    answer = answer[: _end(answer)]
    last = end = _without_blanks(answer, len(answer))
    while found := next((token for token in ENDS if answer.endswith(token, 0, end)), ""):
        end = _without_blanks(answer, end - len(found))
    return answer if end == last else answer[:end]


def _end(answer: str) -> int:
    where = MarkContext(answer)
    begins = len(answer) - len(answer.lstrip())
    for match in _MARKS.finditer(answer):
        start = match.start()
        line = answer[max(answer.rfind("\n", max(0, start - 80), start) + 1, start - 80) : start]
        apart = not line.strip(" \t\r`~>") or (match["end"] and _NEXT.match(answer, match.end()))
        mark = Mark(start, match.end())
        if apart and start > begins and not where.quoted(mark) and not where.in_code(mark):
            return match.end() if match["end"] else start
    return len(answer)


def _without_blanks(text: str, end: int) -> int:
    while end and text[end - 1].isspace():
        end -= 1
    return end
