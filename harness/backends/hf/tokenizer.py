"""From prompts to token ids and from completion ids to text, for one tokenizer. Knows nothing of the model.

A completion is decoded behind an ordinary word (the anchor), which is then cut off again: a decoder that
drops a leading space at the start of a text would otherwise change the first line of a program.
"""

import inspect
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from harness.backends.hf.gap import Gap, find_gap
from harness.errors import UserError
from harness.schema import Message, Prompt, RenderedPrompt
from harness.text import reasoning
from harness.text.fim import PREFIX, SUFFIX

ANCHOR = "x"
TAIL = 64  # tokens at a prompt's end, where its template may open a thought
SLACK = 4  # tokens: a character may be spread over four byte tokens, of which the last finishes a stop string


class Codec:
    """One tokenizer, with the ids at which a completion ends."""

    def __init__(
        self,
        tokenizer: Any,
        eos: frozenset[int],
        encoder: bool,
        template_args: Mapping[str, Any] | None = None,
        fim: str = "",
    ) -> None:
        self.tokenizer = tokenizer
        self.fim = fim
        self._gap: Gap | None = None
        self.template_args = dict(template_args or {})
        self._check_template_args()
        self.eos = eos
        self.encoder = encoder
        special = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        marks = {i for i, token in special.items() if reasoning.is_mark(token)}
        # Special tokens are no part of a text; where some are marks of a thought, decoding keeps those.
        self._dropped = frozenset(special) - marks if marks else frozenset()
        self._anchor: list[int] = [] if encoder else self._ids(ANCHOR, special=False)
        self._anchor_text = self._decode(self._anchor)

    def encode(self, prompt: Prompt) -> tuple[int, ...]:
        """Token ids with the tokenizer's own special tokens; no end-of-text after a causal model's prompt."""
        if prompt.messages:
            return self._never_empty(self._ids(self._chat(prompt), special=False))
        if prompt.suffix is not None:
            return self._with_gap(prompt.text, prompt.suffix)
        ids = self._ids(prompt.text, special=True)
        if not self.encoder and ids and ids[-1] in self.eos:
            bare = self._ids(prompt.text, special=False)
            if not bare or bare[-1] != ids[-1]:
                ids = ids[:-1]
        return self._never_empty(ids)

    def render(self, prompt: Prompt) -> RenderedPrompt:
        """The very text, without special tokens that the tokenizer adds to it, and its tokens with them."""
        text = self._chat(prompt) if prompt.messages else prompt.text
        if prompt.suffix is not None:
            text = self.gap.format.written(text, prompt.suffix)
        return RenderedPrompt(text, len(self.encode(prompt)))

    @property
    def gap(self) -> Gap:
        """How this model is asked to fill in the middle. Raises UserError for one that cannot be asked."""
        self._gap = self._gap or find_gap(self.tokenizer, self.fim)
        return self._gap

    def _with_gap(self, prefix: str, suffix: str) -> tuple[int, ...]:
        """Prefix and suffix between their marks, each put into tokens by itself, as the families' makers do: a space
        that a tokenizer begins texts with is left out of the suffix, and of the prefix not."""
        texts = {
            PREFIX: self._ids(prefix, special=False),
            SUFFIX: list(self.encode_continuation(suffix)[0]),
        }
        parts = [texts[part] if part in texts else [self.gap.marks[part]] for part in self.gap.format.layout]
        return tuple(self.bos_tokens() + [i for ids in parts for i in ids])

    def truncate_left(self, ids: tuple[int, ...], most: int | None) -> tuple[int, ...]:
        """At most so many tokens, cut off on the left behind the token that begins a text."""
        if most is None or len(ids) <= most:
            return ids
        begins = ids[:1] if ids[0] == self.tokenizer.bos_token_id and most > 1 else ()
        return (*begins, *ids[len(ids) - most + len(begins) :])

    def encode_continuation(self, text: str) -> tuple[tuple[int, ...], bool]:
        """Token ids that append `text` to a text, and whether they do so exactly.

        A tokenizer that begins a text with a space of its own is shown it behind a line break. Tokenizers exist
        that cannot write every text (T5's has no line break): what they make of it is what there is.
        """
        ids = self._ids(text, special=False)
        if self.encoder or self.decode(ids) == text:
            return tuple(ids), self.decode(ids) == text
        lead = self._ids("\n", special=False)
        longer = self._ids("\n" + text, special=False)
        behind = longer[len(lead) :]
        if longer[: len(lead)] == lead and self.decode(behind) == text:
            return tuple(behind), True
        return tuple(ids), False

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts as they continue another text, without special tokens."""
        if not texts:
            return []
        if (
            not self.encoder and self.decode(self._anchor) != ANCHOR
        ):  # it begins texts with a space of its own
            return [list(self.encode_continuation(text)[0]) for text in texts]
        encoded = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [list(ids) for ids in encoded]

    def render_reply(self, prompt: Prompt, answer: str) -> str:
        """The text that follows a prompt when `answer` is given: in a chat, as the model's template writes it."""
        if not prompt.messages:
            return answer
        asked, begun = self._chat(prompt), prompt.prefill
        before = prompt.messages[:-1] if begun else prompt.messages
        turns = (*before, Message(role="assistant", content=begun + answer))
        whole = self._chat(Prompt(messages=turns), ask=False)
        return whole[len(asked) :] if whole.startswith(asked) else answer

    def bos_tokens(self) -> list[int]:
        """The special tokens before a text that has no prompt."""
        ids = self._ids("", special=True)
        return [i for i in ids if i not in self.eos]

    @property
    def chat(self) -> bool:
        """Whether there is a chat template."""
        return bool(self.tokenizer.chat_template)

    @property
    def eos_token_id(self) -> int:
        """The token that ends an answer in training."""
        return int(self.tokenizer.eos_token_id)

    def decode(self, ids: Sequence[int]) -> str:
        """What the ids append to a text: with leading spaces, without special tokens."""
        if not ids:
            return ""
        whole = self._decode([*self._anchor, *ids])
        if whole.startswith(self._anchor_text):
            return whole[len(self._anchor_text) :]
        return self._decode(list(ids))

    def ends_with_stop(self, ids: Sequence[int], stop: Sequence[str], opened: bool = False) -> bool:
        """Whether the newest token completed a stop string. Decodes only as many tokens as one can span.

        In a thought, which the prompt may have `opened`, a stop string ends nothing.
        """
        if not stop:
            return False
        window = max(len(s.encode()) for s in stop) + SLACK
        tail = self.decode(ids[-window:])
        if not any(s in tail for s in stop):
            return False
        text = self.decode(ids)
        if opened or reasoning.has_marks(text):
            text = reasoning.split(text, opened).answer
        return self.cut_at_stop(text, stop) is not None

    def cut_at_stop(self, text: str, stop: Sequence[str]) -> str | None:
        """The text before the earliest stop string; None if there is none."""
        found = [at for at in (text.find(s) for s in stop) if at >= 0]
        return text[: min(found)] if found else None

    def opens_thought(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt's tokens end with a mark that opens a thought."""
        return reasoning.opens_thought(self._with_special(prompt[-TAIL:]))

    def thinks(self, prompt: Sequence[int]) -> bool:
        """Whether a chat's template is one of a model that thinks before it answers, and does not switch that off."""
        template = self.tokenizer.chat_template
        text = template if isinstance(template, str) else ""
        return reasoning.has_marks(text) and not reasoning.closes_thought(self._with_special(prompt[-TAIL:]))

    def count_reasoning(self, ids: Sequence[int], opened: bool) -> int:
        """How many of a completion's tokens its thought takes, marks included: by bisection of where it ends."""

        def is_over(count: int) -> bool:
            parts = reasoning.split(self.decode(ids[:count]), opened)
            return bool(parts.reasoning) and not parts.unfinished

        return bisect_left(range(len(ids)), True, key=is_over)

    def _check_template_args(self) -> None:
        """Raises UserError for an argument that the chat template does not read: it would have no effect."""
        if not self.template_args:
            return
        if not self.chat:
            raise UserError(
                "backend.template_args has no effect: this model's tokenizer has no chat template"
            )
        template = self.tokenizer.get_chat_template()
        own = inspect.signature(self.tokenizer.apply_chat_template).parameters
        for name in self.template_args:
            if name in own:
                raise UserError(f"backend.template_args.{name} cannot be set: the harness renders the prompt")
            if not re.search(rf"\b{re.escape(name)}\b", template):
                raise UserError(
                    f"backend.template_args.{name} has no effect: this model's chat template does not read it"
                )

    def _chat(self, prompt: Prompt, ask: bool = True) -> str:
        """The chat as text: with `ask` up to where the model answers, behind the answer's given beginning."""
        from jinja2 import TemplateError

        if not self.chat:
            raise UserError(
                "this model's tokenizer has no chat template, and the prompt is a chat:"
                " choose a text prompt with --set prompt=NAME (harness tasks NAME lists a task's)"
            )
        begun = prompt.prefill if ask else ""
        turns = [message.model_dump() for message in (prompt.messages[:-1] if begun else prompt.messages)]
        try:
            text: str = self.tokenizer.apply_chat_template(
                turns, add_generation_prompt=ask, tokenize=False, **self.template_args
            )
        except TemplateError as error:
            raise UserError(f"this model's chat template refuses the prompt: {error}") from None
        return text + begun

    def _never_empty(self, ids: list[int]) -> tuple[int, ...]:
        if ids:
            return tuple(ids)
        start = self.tokenizer.bos_token_id
        if start is None:
            start = min(self.eos, default=None)
        if start is None:
            raise UserError("the prompt has no tokens, and the tokenizer has no token to begin a text with")
        return (start,)

    def _ids(self, text: str, special: bool) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        return list(ids)

    def _decode(self, ids: list[int]) -> str:
        if self._dropped:
            return self._with_special([i for i in ids if i not in self._dropped])
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _with_special(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text
