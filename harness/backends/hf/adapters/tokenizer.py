"""An adapter's own tokenizer or chat template, as trainers save it beside the weights: used in place of the base's.

differs(adapter, base)        whether it brings one that is not the base's
load(adapter, base, rows)     that tokenizer; refused where the model has not the tokens that it writes
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from harness.backends.hf import checkpoint
from harness.backends.hf.adapters.adapter import Adapter
from harness.errors import UserError


def differs(adapter: Adapter, base: Path) -> bool:
    theirs, own = checkpoint.vocabulary(adapter.folder), checkpoint.vocabulary(base)
    return _tokens_differ(theirs, own) or bool(theirs.template and theirs.template != own.template)


def name(adapter: Adapter) -> str:
    """What a run's record calls it."""
    own = checkpoint.vocabulary(adapter.folder)
    return f"{hashlib.sha256((own.digest + own.template).encode()).hexdigest()[:16]} of the adapter"


def load(adapter: Adapter, base: Path, rows: int | None) -> Any:
    """The tokenizer that the adapter was trained with. `rows`: how many tokens the model has embeddings of.

    Raises UserError.
    """
    theirs, own = checkpoint.vocabulary(adapter.folder), checkpoint.vocabulary(base)
    tokenizer = bases = checkpoint.load_tokenizer(base)
    if _tokens_differ(theirs, own):
        tokenizer = checkpoint.load_tokenizer(adapter.folder)
        _check_tokens(adapter.name, tokenizer.get_vocab(), bases.get_vocab(), rows)
        tokenizer.chat_template = tokenizer.chat_template or bases.chat_template
    if theirs.template:
        template = json.loads(theirs.template)
        named = isinstance(template, list)  # several, each with a name
        tokenizer.chat_template = {one["name"]: one["template"] for one in template} if named else template
    return tokenizer


def _tokens_differ(theirs: checkpoint.Vocabulary, own: checkpoint.Vocabulary) -> bool:
    return bool(theirs) and theirs.digest != own.digest


def _check_tokens(name: str, own: dict[str, int], base: dict[str, int], rows: int | None) -> None:
    """The base's tokens must be there under their ids, and every further one must have an embedding."""
    moved = [token for token, number in base.items() if own.get(token) != number]
    beyond = [token for token, number in own.items() if rows is not None and number >= rows]
    if not moved and not beyond:
        return
    what = (
        f"{len(moved)} of the base's tokens are missing in it or have another id ({min(moved)!r})"
        if moved
        else f"{len(beyond)} of its tokens have no embedding in the model, which has {rows} ({min(beyond)!r})"
    )
    raise UserError(
        f"adapter {name} has a tokenizer of its own that does not fit the model: {what}. Give the base that it was"
        " trained on, or take the tokenizer's files out of its folder to use the base's"
    )
