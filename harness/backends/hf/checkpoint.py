"""Loads a model and its tokenizer from a folder, and computes their digests; no network, no remote code.

Every mistake of a user ends in one line that says what to do.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from harness.backends.hub import digest
from harness.config.backend import BackendConfig
from harness.errors import UserError, not_installed

TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
)
# What the outputs depend on besides the weights.
SETTINGS = (
    *TOKENIZERS,
    "config.json",
    "generation_config.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
# Settings that some models bring along, and that are not applied: name -> the values that mean "off".
IGNORED_SETTINGS: Mapping[str, tuple[Any, ...]] = {
    "repetition_penalty": (None, 1.0),
    "encoder_repetition_penalty": (None, 1.0),
    "length_penalty": (None, 1.0),
    "no_repeat_ngram_size": (None, 0),
    "min_length": (None, 0),
    "min_new_tokens": (None, 0),
    "bad_words_ids": (None, []),
    "sequence_bias": (None, {}),
    "suppress_tokens": (None, []),
    "begin_suppress_tokens": (None, []),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
}


def check(folder: Path) -> None:
    """The files that a model folder must hold. Raises UserError."""
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise UserError(
                f"{folder} is an adapter, not a model: give its base as --model and it as --adapter"
            )
        raise UserError(
            f"model folder {folder} has no config.json: expected a model saved with save_pretrained"
        )
    if not has_tokenizer(folder):
        raise UserError(
            f"model folder {folder} has no tokenizer: expected tokenizer.json, tokenizer.model or vocab.json;"
            " save it there with tokenizer.save_pretrained(FOLDER)"
        )
    if not weight_files(folder):
        raise UserError(
            f"model folder {folder} holds no weights: expected model.safetensors or pytorch_model.bin"
        )


def weight_files(folder: Path) -> list[Path]:
    """The files the model is read from: safetensors where there are any, as transformers prefers them."""
    for pattern in WEIGHTS:
        found = [path for path in folder.glob(pattern) if not path.name.startswith("adapter_")]
        if found:
            return found
    return []


def model_digest(folder: Path) -> str:
    settings = [folder / name for name in SETTINGS if (folder / name).is_file()]
    return digest([*settings, *weight_files(folder)])


def load_model(folder: Path, config: BackendConfig) -> Any:
    """The model, evaluated and on its device or spread over several, quantised where that is asked for."""
    device = pick_device(config.device)
    dtype = pick_dtype(config.dtype, device.type)
    options: dict[str, Any] = {} if config.attention == "auto" else {"attn_implementation": config.attention}
    if config.device_map:
        options["device_map"] = config.device_map
    if config.quantize != "none":
        options |= {"quantization_config": quantisation(config.quantize, dtype)}
        options.setdefault("device_map", {"": device})
    model = from_folder(folder, dtype, **options)
    return (model if "device_map" in options else model.to(device)).eval()


def from_folder(folder: Path, dtype: Any, **options: Any) -> Any:
    """The model as transformers loads it, causal or encoder-decoder; `options` go to `from_pretrained`."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    with silenced():
        try:
            settings = AutoConfig.from_pretrained(folder, local_files_only=True)
            auto = AutoModelForSeq2SeqLM if settings.is_encoder_decoder else AutoModelForCausalLM
            model, report = auto.from_pretrained(
                folder,
                config=settings,
                dtype=dtype,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise UserError(f"cannot load the model in {folder}: {first_line(error)}") from error
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # Else bitsandbytes repacks 4-bit weights at the first look in evaluation mode, for a kernel that
            # computes in bfloat16 and has no gradient: training after a validation would learn nothing.
            module.support_avx512bf16_for_cpu = False
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            f"the weights in {folder} lack {len(missing)} of the model's tensors: {missing[0]}, ..."
        )
    return model


def weights_digest(folder: Path) -> str:
    """What an adapter depends on: the weights and the architecture."""
    return digest([folder / "config.json", *weight_files(folder)])


def tokenizer_digest(folder: Path) -> str:
    return digest([folder / name for name in TOKENIZERS if (folder / name).is_file()])


def same_weights(one: Path, other: Path) -> bool:
    """Whether two model folders hold the same weights and architecture; sizes are compared first, as digests cost."""
    sizes = [sorted(path.stat().st_size for path in weight_files(folder)) for folder in (one, other)]
    return sizes[0] == sizes[1] and weights_digest(one) == weights_digest(other)


@dataclass(frozen=True)
class Vocabulary:
    """What a folder's tokenizer makes of texts: the digest of its own file, its chat template."""

    digest: str = ""
    template: str = ""

    def __bool__(self) -> bool:
        return bool(self.digest)


def vocabulary(folder: Path) -> Vocabulary:
    """That of the tokenizer in a folder; an empty one if there is none. Raises UserError for a damaged file."""
    beside = folder / "chat_template.jinja"
    template = (
        beside.read_text(encoding="utf-8")
        if beside.is_file()
        else _tokenizer_settings(folder).get("chat_template")
    )
    template = json.dumps(template) if template else ""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return Vocabulary(tokenizer_digest(folder) if has_tokenizer(folder) else "", template)
    plain = _read_json(path)
    for kept_from_training in ("truncation", "padding"):
        plain.pop(kept_from_training, None)
    text = json.dumps(plain, sort_keys=True)
    return Vocabulary(hashlib.sha256(text.encode()).hexdigest(), template)


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return _read_json(path) if path.is_file() else {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZERS)


def quantisation(bits: str, dtype: Any) -> Any:
    """bitsandbytes' settings: `4bit` is NF4 with double quantisation, `8bit` LLM.int8. Raises MissingExtra."""
    import importlib.util

    import torch
    from transformers import BitsAndBytesConfig

    if importlib.util.find_spec("bitsandbytes") is None:
        raise not_installed("bitsandbytes")
    compute = torch.bfloat16 if dtype == "auto" else dtype
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def is_encoder_decoder(folder: Path) -> bool:
    from transformers import AutoConfig

    with silenced():
        try:
            return bool(AutoConfig.from_pretrained(folder, local_files_only=True).is_encoder_decoder)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"cannot read the model's config in {folder}: {first_line(error)}") from error


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    with silenced():
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # tokenizers raises no narrower one for a damaged file
            raise UserError(f"cannot load the tokenizer in {folder}: {first_line(error)}") from error


def has_chat_template(folder: Path) -> bool:
    """Whether the tokenizer in a folder comes with a chat template, in any of the forms that transformers reads."""
    if any((folder / f"chat_template{suffix}").is_file() for suffix in (".jinja", ".json")):
        return True
    return bool(_tokenizer_settings(folder).get("chat_template"))


def adapter_files(folder: Path) -> list[Path]:
    """An adapter's files. Raises UserError naming what is not there."""
    if not folder.is_dir():
        raise UserError(f"adapter folder {str(folder)!r} does not exist")
    if not (folder / "adapter_config.json").is_file():
        raise UserError(f"{folder} is not an adapter: it has no adapter_config.json")
    weights = [
        folder / n for n in ("adapter_model.safetensors", "adapter_model.bin") if (folder / n).is_file()
    ]
    if not weights:
        raise UserError(f"adapter {folder} holds no weights: expected adapter_model.safetensors")
    return [folder / "adapter_config.json", weights[0]]


def stop_token_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """The ids that end a text: the model's, and the tokenizer's."""
    own = model.generation_config.eos_token_id
    ids = [*(own if isinstance(own, list | tuple) else [own]), tokenizer.eos_token_id]
    return frozenset(int(i) for i in ids if i is not None)


def warn_on_config(model: Any, warn: Callable[[str], None]) -> None:
    """Warn about the model's own generation settings that are not applied: a run takes them from its config only."""
    own = {name: getattr(model.generation_config, name, None) for name in IGNORED_SETTINGS}
    active = {name: value for name, value in own.items() if value not in IGNORED_SETTINGS[name]}
    if active:
        shown = ", ".join(f"{name}={value}" for name, value in active.items())
        warn(f"not applied from the model's generation_config.json: {shown}")


def pick_dtype(name: str, device: str) -> Any:
    """`auto` is the checkpoint's own on an accelerator; on a CPU float32: faster, and few near ties."""
    import torch

    if name != "auto":
        return getattr(torch, name)
    return torch.float32 if device == "cpu" else "auto"


def pick_device(name: str) -> Any:
    import torch

    cuda = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"no device {name!r}: expected auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        count = torch.cuda.device_count() if cuda else 0
        raise UserError(f"no device {name!r}: torch sees {count} CUDA devices here; set backend.device=auto")
    return device


def first_line(error: BaseException) -> str:
    """The first line of a library's message, which may be a page long."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


@contextmanager
def silenced() -> Iterator[None]:
    """No progress bars and no advice from transformers; errors still come as exceptions."""
    from transformers.utils import logging

    # bitsandbytes says on import what is missing, and on a CPU a line for each product of matrices.
    getLogger("bitsandbytes").setLevel(ERROR)
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
