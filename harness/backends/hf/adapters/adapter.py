"""An adapter before it is on its base: found, and checked against the base it was trained on.

    adapter = find_adapter("results/adapters/x")   a folder, or a hub id with its revision: owner/name@COMMIT
    check_base(adapter, folder, ...)               another base or tokenizer is an error
    doubts(adapter, ...)                           what suggests another base and proves nothing: a warning

`weights` puts it on, and `check_effect` sees that it is not dropped silently: it compares the logits with and
without it. Nothing is merged, and nothing is taken off there: `snapshot.CleanBase` puts the base back.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
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
BASE = (
    "base_model_name_or_path",
    "revision",
)  # in adapter_config.json; which base it is, is checked and recorded
MAX_TOKENS = 32  # trained tokens that a probe has
LAYERS = {  # kinds that change layers: tests/support/adapter_kinds.py has one of each
    *("LORA", "ADALORA", "IA3", "LOHA", "LOKR", "OFT", "BOFT", "HRA", "LN_TUNING", "TRAINABLE_TOKENS"),
    *("VERA", "PVERA", "VBLORA", "RANDLORA", "FOURIERFT", "WAVEFT", "C3A", "ROAD", "SHIRA", "MISS"),
    *("DELORA", "GRALORA", "HIRA", "OSF"),
}
PROMPTS = {"PROMPT_TUNING", "P_TUNING"}  # virtual tokens before the text, as embeddings
REFUSED = {  # kinds and options, and why their layers alone do not make what PEFT makes
    "XLORA": "X-LoRA weighs several adapters anew for each token in a second forward pass",
    "POLY": "Poly needs a task's number with every text",
    "MULTITASK_PROMPT_TUNING": "multitask prompt tuning needs a task's number with every text",
    "CPT": "context-aware prompt tuning needs the kinds of its tokens with every text",
    "ADAPTION_PROMPT": "adaption prompts replace whole attention layers",
    "alora_invocation_tokens": "an activated LoRA begins at certain tokens of each text",
    "arrow_config": "Arrow routes between several adapters",
}
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
        """Of its weights and settings: not of where its base lay, nor of the order of names that PEFT has as sets."""
        settings = {
            name: sorted(value)
            if isinstance(value, list) and all(isinstance(e, str) for e in value)
            else value
            for name, value in sorted(self.config.items())
            if name not in BASE
        }
        weights = hub.digest(checkpoint.adapter_files(self.folder)[1:])
        return hashlib.sha256(f"{json.dumps(settings)} {weights}".encode()).hexdigest()

    @property
    def tokens(self) -> list[int]:
        """The tokens whose embeddings it has trained alone, if it has: only a text with these shows its effect."""
        found = self.config.get("trainable_token_indices") or self.config.get("token_indices") or []
        each = found.values() if isinstance(found, dict) else [found]
        return sorted({int(token) for tokens in each for token in tokens})


def find_adapter(name: str) -> Adapter:
    """The adapter called `name`. Raises UserError saying what is not there; never touches the network."""
    folder, commit = _folder(name)
    files = checkpoint.adapter_files(folder)
    try:
        config = json.loads(files[0].read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{files[0]} is not valid JSON: {error}") from None
    kind = str(config.get("peft_type", ""))
    for name_of_it in (kind, *[key for key in REFUSED if config.get(key)]):
        if name_of_it in REFUSED:
            raise UserError(f"adapter {name} is not supported: {REFUSED[name_of_it]}")
    if kind not in LAYERS | PROMPTS | {PREFIX}:
        known = ", ".join(sorted(LAYERS | PROMPTS | {PREFIX}))
        raise UserError(f"adapter {name} is of type {kind!r}, which is not supported: one of {known} is")
    base = str(config.get("base_model_name_or_path") or "")
    return Adapter(name, folder, commit, kind, base, str(config.get("revision") or ""), config)


def find_checked(name: str, base: Mapping[str, str]) -> tuple[Adapter, list[str]]:
    """The adapter, checked against the base of this identity, and what of it is doubtful. Raises UserError."""
    model = base["model"]
    folder, commit = hub.find(model, base["revision"] or None)
    found = find_adapter(name)
    check_base(found, model, folder, commit)
    return found, [*doubts(found, model, folder), *_other_precision(found, base["dtype"])]


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


def doubts(adapter: Adapter, model: str, folder: Path) -> list[str]:
    """What suggests another base and proves nothing: said, and kept in the run's record."""
    found = []
    recorded = (adapter.folder / "train.json").is_file()  # then digests have been compared
    if not recorded and adapter.base and not _same_model(adapter.base, model, folder):
        named = _last_name(adapter.base) if Path(adapter.base).is_absolute() else adapter.base
        found.append(f"its adapter_config.json names another base, {named}")
    if (initialised := str(adapter.config.get("init_lora_weights"))).startswith("pissa_niter"):
        found.append(
            f"its file does not hold the base that it was trained on ({initialised} draws): PEFT makes another one at"
            " every load, here it is always the same; save it with path_initial_model_for_weight_conversion"
        )
    return found


def _other_precision(adapter: Adapter, dtype: str) -> list[str]:
    """A QLoRA adapter was tuned on a quantised base, and makes up for what the quantisation lost."""
    record = adapter.folder / "train.json"
    plain = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    method, _, trained = str(plain.get("config", {}).get("method", "")).partition("-")
    if method != "qlora" or dtype.startswith(trained):
        return []
    return [
        f"it was trained on the base in {trained}, and this one is in {dtype}: --set backend.quantize={trained}"
    ]


def _same_model(named: str, model: str, folder: Path) -> bool:
    """Whether a base's name in an adapter's config may mean this model: by weights if it is here, else by name."""
    there = Path(named).expanduser()
    if named == model or (there.is_dir() and there.samefile(folder)):
        return True
    if (there / "config.json").is_file():
        return checkpoint.same_weights(there, folder)
    return _last_name(named) in (_last_name(model), _last_name(str(folder.resolve())))


def _last_name(model: str) -> str:
    """Of a folder or hub id; a snapshot in the hub cache has the name of its model."""
    parts = Path(model).parts
    if "snapshots" in parts[:-1]:
        return parts[parts.index("snapshots") - 1].rpartition("--")[2]
    return parts[-1] if parts else ""


def describe(adapter: Adapter, loaded: str, doubted: Sequence[str]) -> dict[str, str]:
    """What a run's record says of the adapter; `loaded` is the digest of all that is in memory with it."""
    said = {"adapter_warnings": "; ".join(doubted)} if doubted else {}
    return {"adapter": f"{adapter.digest} {adapter.kind} active", "loaded": loaded, **said}


def probe(adapter: Adapter, text: Sequence[int], vocabulary: int) -> tuple[int, ...]:
    """The tokens after which the logits show whether the adapter has an effect; `text` is PROBE's."""
    return (*text, *[token for token in adapter.tokens if token < vocabulary][:MAX_TOKENS])


def check_effect(name: str, with_adapter: Any, without: Any) -> None:
    """Logits [vocabulary] with and without the adapter must differ. Raises UserError."""
    if with_adapter.shape == without.shape and bool((with_adapter == without).all()):
        raise UserError(
            f"adapter {name} changes nothing: the model's logits are the same with and without it."
            " Was it trained? Its weights are those that training begins with"
        )
