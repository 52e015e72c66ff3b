"""A completion's reasoning and its answer, apart."""

from harness.schema import Completion
from harness.text import reasoning


def separate(completion: Completion, opened: bool = False) -> Completion:
    """The completion with the thought split off its text; one that was split before, or recorded to the letter, stays.

    `opened`: the prompt ended with a mark that opens a thought (reasoning.opens_thought). A completion that ended
    inside a thought has no answer, and its tokens were all spent on reasoning.
    """
    if completion.form != "output" or completion.cut_off or completion.reasoning:
        return completion
    parts = reasoning.split(completion.text, opened)
    if not parts.reasoning and not parts.unfinished and parts.answer == completion.text:
        return completion
    changed = {"text": parts.answer, "reasoning": parts.reasoning, "cut_off": parts.unfinished}
    if parts.unfinished and not parts.answer.strip() and completion.reasoning_tokens is None:
        changed["reasoning_tokens"] = completion.completion_tokens or None
    return completion.model_copy(update=changed)
