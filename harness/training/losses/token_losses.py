"""From a batch's tensors to the learnt tokens' negative log-likelihoods, for every architecture and method.

A causal model's output layer is applied to the learnt positions alone where that is seen to give the model's
own logits: with a prompt of 300 tokens and an answer of 10, and a large vocabulary, it is most of the memory.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.training.data.tokenize import IGNORE_INDEX
from harness.training.losses.objectives import Tokens


def learnt_tokens(model: Any, batch: Mapping[str, Tensor], encoder: bool, partial: bool = False) -> Tokens:
    """Run the model on a batch of `tokenize.collate`; with `partial` it must be unwrapped (supports_partial_logits)."""
    labels, segments = batch["labels"], batch["segments"]
    if encoder:
        where = labels != IGNORE_INDEX
        logits = _pair_logits(model, batch, labels)[where]
    else:
        labels, segments = labels[:, 1:], segments[:, 1:]
        where = labels != IGNORE_INDEX
        logits = _partial_logits(model, batch, where) if partial else _logits(model, batch)[:, :-1][where]
    nll = torch.nn.functional.cross_entropy(logits.float(), labels[where], reduction="none")
    width = int(segments.max()) + 1
    lines = torch.arange(len(labels), device=labels.device)[:, None]
    keys, sample = torch.unique((lines * width + segments)[where], return_inverse=True)
    return Tokens(nll, sample, batch["tasks"][keys // width])


def model_inputs(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the model takes of a batch. A mask of pairs becomes summands, which every attention understands."""
    given = {k: batch[k] for k in ("input_ids", "attention_mask", "position_ids") if k in batch}
    if (mask := batch["attention_mask"]).ndim == 4:
        dtype = torch.float32 if torch.is_autocast_enabled(mask.device.type) else unwrap(model).dtype
        hidden = torch.finfo(dtype).min
        given["attention_mask"] = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(
            ~mask, hidden
        )
    return given


def _logits(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    logits: Tensor = model(**model_inputs(model, batch), use_cache=False).logits
    return logits[:, -batch["input_ids"].shape[1] :]  # prompt tuning puts virtual tokens before the text


def _pair_logits(model: Any, batch: Mapping[str, Tensor], labels: Tensor) -> Tensor:
    base = unwrap(model)
    start = base.config.decoder_start_token_id
    pad = base.config.pad_token_id or 0
    shifted = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1)
    shifted = shifted.masked_fill(shifted == IGNORE_INDEX, pad)
    logits: Tensor = model(**model_inputs(model, batch), decoder_input_ids=shifted, use_cache=False).logits
    return logits[:, -labels.shape[1] :]


def unwrap(model: Any) -> Any:
    """The transformers model inside data-parallel and PEFT wrappers."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _partial_logits(model: Any, batch: Mapping[str, Tensor], where: Tensor) -> Tensor:
    base = unwrap(model)
    hidden = base.get_decoder()(**model_inputs(model, batch), use_cache=False).last_hidden_state
    logits: Tensor = base.get_output_embeddings()(hidden[:, :-1][where])
    return logits


def supports_partial_logits(model: Any, batch: Mapping[str, Tensor]) -> bool:
    """Whether the output layer may be applied to some positions alone: tried on one batch against the model."""
    base = unwrap(model)
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return False
    if base.get_output_embeddings() is None or not hasattr(base.get_decoder(), "forward"):
        return False
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            where = batch["labels"][:, 1:] != IGNORE_INDEX
            own = _logits(model, batch)[:, :-1][where]
            return bool(torch.allclose(own, _partial_logits(model, batch, where), rtol=1e-3, atol=1e-4))
    except (AttributeError, TypeError):  # an architecture whose decoder takes other arguments
        return False
    finally:
        model.train(training)
