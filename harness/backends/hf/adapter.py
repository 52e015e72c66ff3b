"""An adapter on its base: found, checked against the base it was trained on, attached, and seen to have an effect.

    adapter = find_adapter("results/adapters/x")   a folder, or a hub id with its revision: owner/name@COMMIT
    check_base(adapter, folder, ...)               another base or tokenizer is an error
    attached = attach(model, adapter)              LoRA, IA3 ... change layers; prompt tuning adds virtual tokens

An adapter cannot be dropped silently: `check_effect` compares the logits with and without it. Nothing is merged, and
nothing is taken off here: `snapshot.CleanBase` puts the base back.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.backends import hub
from harness.backends.hf import checkpoint
from harness.errors import UserError
from harness.schema import Prompt

NAME = "default"  # PEFT's for the only adapter
PROBE = Prompt(
    text="def add(a, b):\n    return a"
)  # the logits after it show whether an adapter has an effect
MAX_TOKENS = 32  # trained tokens that a probe has
LAYERS = {
    "LORA",
    "IA3",
    "ADALORA",
    "LOHA",
    "LOKR",
    "OFT",
    "BOFT",
    "VERA",
    "HRA",
    "LN_TUNING",
    "RANDLORA",
    "TRAINABLE_TOKENS",
}
PROMPTS = {"PROMPT_TUNING", "P_TUNING"}  # virtual tokens before the text, as embeddings
PREFIX = "PREFIX_TUNING"  # virtual tokens before the text, as keys and values in every layer


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder and what its adapter_config.json says; `commit` is that of a hub id."""

    name: str
    folder: Path
    commit: str
    kind: str
    base: str
    revision: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return hub.digest(checkpoint.adapter_files(self.folder))

    @property
    def tokens(self) -> list[int]:
        """The tokens whose embeddings it has trained alone, if it has: only a text with these shows its effect."""
        found = self.config.get("trainable_token_indices") or self.config.get("token_indices") or []
        each = found.values() if isinstance(found, dict) else [found]
        return sorted({int(token) for tokens in each for token in tokens})


@dataclass
class AttachedAdapter:
    """A model with an adapter on it; `wrapped` is PEFT's model, which holds all of its tensors.

    `virtual_embeddings` are [tokens, hidden]; `make_prefix` builds a fresh cache of keys and values for a number of
    rows; either stands for `virtual_tokens` tokens. Layers that adapt are in the model itself.
    """

    model: Any
    wrapped: Any
    virtual_embeddings: Any = None
    make_prefix: Callable[[int], Any] | None = None
    virtual_tokens: int = 0


def find_adapter(name: str) -> Adapter:
    """The adapter called `name`. Raises UserError saying what is not there; never touches the network."""
    folder, commit = _folder(name)
    files = checkpoint.adapter_files(folder)
    try:
        config = json.loads(files[0].read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{files[0]} is not valid JSON: {error}") from None
    kind = str(config.get("peft_type", ""))
    if kind not in LAYERS | PROMPTS | {PREFIX}:
        known = ", ".join(sorted(LAYERS | PROMPTS | {PREFIX}))
        raise UserError(f"adapter {name} is of type {kind!r}, which is not supported: one of {known} is")
    base = str(config.get("base_model_name_or_path") or "")
    return Adapter(name, folder, commit, kind, base, str(config.get("revision") or ""), config)


def _folder(name: str) -> tuple[Path, str]:
    folder = Path(name).expanduser()
    repo, _, revision = name.partition("@")
    if folder.exists() or repo.count("/") != 1 or repo.startswith((".", "~", "/")):
        return folder, ""
    try:
        return hub.find(repo, revision or None)
    except UserError:
        raise UserError(
            f"adapter folder {name!r} does not exist, and the hub cache holds no adapter of that name:"
            f" give a folder, or fetch it first with: hf download {repo}"
            + (f" --revision {revision}" if revision else "")
        ) from None


def check_base(adapter: Adapter, model: str, folder: Path, commit: str) -> None:
    """Raises UserError when the adapter was trained on another base or with another tokenizer.

    The record beside an adapter trained here has the digests of both. Without it only names can be compared:
    hub ids, and their revisions where both are known.
    """
    record = adapter.folder / "train.json"
    if record.is_file():
        try:
            trained = json.loads(record.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{record} is not valid JSON: {error}") from None
        if trained.get("finished") is False:
            raise UserError(
                f"adapter {adapter.name}: its training was cut off; the same harness train command finishes it"
            )
        base = trained.get("base", {})
        for what, key, own in (
            ("base", "weights", checkpoint.weights_digest(folder)),
            ("tokenizer", "tokenizer", checkpoint.tokenizer_digest(folder)),
        ):
            if key in base and base[key] != own:
                raise UserError(
                    f"adapter {adapter.name} was trained on another {what}: {base.get('model')} ({key} sha256"
                    f" {base[key][:12]}), and {model} has {own[:12]}; give that one as --model"
                )
        return
    if commit and adapter.base and not Path(adapter.base).is_absolute() and adapter.base != model:
        raise UserError(
            f"adapter {adapter.name} was trained on another base: {adapter.base}, not {model};"
            f" give --model {adapter.base}"
        )
    if commit and len(adapter.revision) == 40 and adapter.base == model and adapter.revision != commit:
        raise UserError(
            f"adapter {adapter.name} was trained on {adapter.base} at revision {adapter.revision}, not {commit};"
            f" give --revision {adapter.revision}"
        )


def probe(adapter: Adapter, text: Sequence[int], vocabulary: int) -> tuple[int, ...]:
    """The tokens after which the logits show whether the adapter has an effect; `text` is PROBE's."""
    return (*text, *[token for token in adapter.tokens if token < vocabulary][:MAX_TOKENS])


def attach(model: Any, adapter: Adapter) -> AttachedAdapter:
    """Put the adapter on a transformers model. Raises UserError when it does not fit."""
    import torch
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        with checkpoint.silenced(), torch.random.fork_rng():
            torch.manual_seed(0)  # some initialisations draw, and PEFT initialises before it loads
            wrapped = PeftModel.from_pretrained(
                model, str(adapter.folder), adapter_name=NAME, local_files_only=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise UserError(
            f"adapter {adapter.name} does not fit the model: {checkpoint.first_line(error)}"
        ) from error
    wrapped.eval()
    if adapter.kind in LAYERS:
        return AttachedAdapter(wrapped.get_base_model(), wrapped)
    return _with_virtual_tokens(model, wrapped, adapter.kind)


def _with_virtual_tokens(model: Any, wrapped: Any, kind: str) -> AttachedAdapter:
    import torch

    count = int(wrapped.active_peft_config.num_virtual_tokens)
    with torch.no_grad():
        if kind in PROMPTS:
            embeddings = wrapped.get_prompt(batch_size=1)[0, :count].to(model.device, model.dtype)
            return AttachedAdapter(model, wrapped, virtual_embeddings=embeddings, virtual_tokens=count)

    def make_prefix(rows: int) -> Any:
        return wrapped.get_prompt(batch_size=rows)

    return AttachedAdapter(model, wrapped, make_prefix=make_prefix, virtual_tokens=count)


def check_effect(name: str, with_adapter: Any, without: Any) -> None:
    """Logits [vocabulary] with and without the adapter must differ. Raises UserError."""
    if bool((with_adapter == without).all()):
        raise UserError(
            f"adapter {name} changes nothing: the model's logits are the same with and without it."
            " Was it trained? Its weights are those that training begins with"
        )
