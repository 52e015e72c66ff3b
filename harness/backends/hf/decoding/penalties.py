"""Two changes of the logits before a token is chosen: banned tokens, and a penalty on repetition.

Plain functions over logits [rows, vocabulary]. A run asks for them by `sampling.banned_tokens` and
`sampling.count_penalty`. Works on torch tensors without importing torch.

`count_penalty` divides a token's probability by r for each time it has occurred: p / r^c, normalised again.
That is not `repetition_penalty` of transformers, which changes a logit once, however often its token came,
and by its sign.
"""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def banned_ids(banned: Iterable[int | str], texts: Sequence[str]) -> frozenset[int]:
    """The ids of tokens given as ids or as texts; `texts[i]` is what id i decodes to.

    A text stands for every id that decodes to it; a text of nothing but whitespace for every id that decodes
    to nothing but whitespace. Raises ValueError for an id outside the vocabulary, for a text that is no
    token's, and where no token would be left.
    """
    found: set[int] = set()
    for entry in banned:
        if isinstance(entry, int):
            ids = {entry} if 0 <= entry < len(texts) else set()
        elif entry.isspace():
            ids = {i for i, text in enumerate(texts) if text.isspace()}
        else:
            ids = {i for i, text in enumerate(texts) if text == entry}
        if not ids:
            raise ValueError(f"no token {entry!r} among the {len(texts)} of the vocabulary")
        found |= ids
    if len(found) == len(texts):
        raise ValueError(f"all {len(texts)} tokens of the vocabulary are banned: leave one at least")
    return frozenset(found)


def ban(logits: "Tensor", ids: Iterable[int]) -> "Tensor":
    """The logits with minus infinity for the ids, which `banned_ids` has checked."""
    chosen = sorted(ids)
    if not chosen:
        return logits
    if len(chosen) >= logits.shape[-1]:
        raise ValueError(f"all {logits.shape[-1]} tokens of the vocabulary are banned: leave one at least")
    changed = logits.clone()
    changed[..., chosen] = -math.inf
    return changed


def count_penalty(logits: "Tensor", tokens: "Tensor", r: float) -> "Tensor":
    """The logits less c ln r, c being how often each token is among its row's `tokens` [rows, length].

    r > 1 makes repetition dearer, r < 1 cheaper, 1 changes nothing. Raises ValueError unless r is a positive
    number.
    """
    if not (r > 0 and math.isfinite(r)):
        raise ValueError(f"count_penalty needs a positive number, got {r}")
    if r == 1 or tokens.shape[-1] == 0:
        return logits
    counts = logits.new_zeros(logits.shape)
    counts.scatter_add_(-1, tokens, logits.new_ones(tokens.shape))
    return logits - counts * math.log(r)
