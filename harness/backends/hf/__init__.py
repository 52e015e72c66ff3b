"""Any transformers causal or encoder-decoder model, from a folder or the hub cache, with its own decode loop.

Theory of operation. The completions of a sample must not depend on what it was batched with. Randomness is easy to
isolate: the noise of a step is a function of (seed, problem, sample, step) and nothing else. Arithmetic is not: the
same row gives logits that differ in their last bits between batch shapes, and one flipped arg-max changes the rest of a
text. So in principle every decision is made twice:

  1. On the batch's logits, with the margin by which it was won: the lead of the best token (greedy; sampling is an
     arg-max of noisy logits), the gap at the edge of the beam, the distance of a log-probability from where it rounds.
  2. If the margin is below a tolerance that dominates the noise of the dtype (a near tie), the batch's decision is
     discarded and the sequence is computed as a single one: unpadded, a batch of one, no cache. That decision counts.

On a single sequence the logits are a function of the tokens. A margin above the tolerance means that the single
sequence would have given the same. So each decision is the single sequence's, at any batch size and in any order, for
the price of a batch but for the near ties. `DecodeStats` counts them, and says how far batched logits were seen to be
off where both were known: a value above 1 is warned about, for then the promise is broken. In float32 near ties are
rare; in 16-bit floats they are common, and every log-probability is recomputed once.

`backend.profile = "fast"` skips all that: every decision is the batch's own, nothing is recomputed, and a completion
may depend on the batch in its near ties. It is for 16-bit floats on a GPU, where rechecking would take most of the
time; the profile is part of a run's identity.

It does not give equal bytes across machines, thread counts or library versions, which change the arithmetic itself.

  checkpoint      folder -> model, tokenizer, digests; the user's mistakes
  adapters/       adapter         found, and checked against the base it was trained on
                  weights         put on its base: whole, or refused
                  snapshot        the base as it was loaded, and the way back to it
                  multi_lora      several LoRA adapters in one batch, each row its own
                  tokenizer       an adapter's own tokenizer or chat template
  tokenizer       prompt -> ids, ids -> text, stop strings
  gap             the marks of a prompt that is to be filled in the middle
  model_runner    the forward pass: many rows with a cache, or a single sequence
  onednn_linear   linear layers on a CPU
  kv_cache        the rows of a decode batch, and their keys and values
  prefix_cache    the prefix that many prompts share, computed once
  batch_size      how many rows fit in memory
  decode_jobs     requests -> what is to be decoded; prompts that do not fit
  scheduler       completions out; out of memory
  likelihood      the log-probability of a given text
  decoding/       decode_loop     which jobs are decoded together, and when the next ones begin
                  sampling        greedy and sampled decoding, one row a sample; rechecking near ties
                  beam_search     beam search
                  next_token      logits -> next token, and whether its margin is wide enough
                  logits_processors, penalties   bans and penalties
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends import heartbeat, hub
from harness.backends.hf import checkpoint
from harness.backends.hf.adapters import tokenizer as own_tokenizer
from harness.backends.hf.adapters.adapter import check_base, find_adapter
from harness.backends.loader import BackendLoader, require_model
from harness.config.backend import BackendConfig
from harness.schema import Capabilities, Prompt, Sampling

if TYPE_CHECKING:
    from harness.backends.hf.scheduler import Engine
    from harness.backends.hf.tokenizer import Codec

LOG = logging.getLogger(__name__)
DECODING = 2  # goes up when the same inputs give other completions
LLM_INT8 = 2.0**-4  # the tolerance of bfloat16
CAPABILITIES = Capabilities(likelihoods=True, adapters=True, mixed_adapters=True, replicas=True, renders=True)
ONE_THREAD = 50_000_000  # parameters below which several threads of a CPU cost more than they save


def load(
    config: BackendConfig, problem_ids: Sequence[str] = (), warn: Callable[[str], None] = LOG.warning
) -> "Engine":
    """Load `config.model` with its adapter. Raises UserError; never touches the network.

    A hub id must be in the hub cache; without a revision the cached `main` is taken. Either way the commit
    is recorded.
    """
    del problem_ids
    require_model(config)
    folder, commit = hub.find(
        config.model, config.revision
    )  # what is not there is said before seconds of imports
    checkpoint.check(folder)
    if config.adapter:
        find_adapter(config.adapter)
    import torch
    import transformers

    from harness.backends.hf.adapters.snapshot import CleanBase
    from harness.backends.hf.model_runner import ModelRunner
    from harness.backends.hf.scheduler import Engine
    from harness.backends.hf.tokenizer import Codec

    runner = ModelRunner(load_base(folder, config))
    model = runner.model
    tokenizer = checkpoint.load_tokenizer(folder)
    checkpoint.warn_on_config(model, warn)
    if runner.device.type == "cpu" and model.num_parameters() < ONE_THREAD:
        torch.set_num_threads(1)  # beside one busy process two threads were seen to take six times as long
    base = CleanBase(runner, lambda: load_base(folder, config), warn)
    card = f" {torch.cuda.get_device_name(runner.device)}" if runner.device.type == "cuda" else ""
    dtype = str(runner.dtype).removeprefix("torch.")
    identity = {
        "kind": "hf",
        "model": config.model,
        "revision": commit,
        "weights": checkpoint.model_digest(folder),
        "adapter": "",
        "loaded": base.digest,
        "dtype": dtype if config.quantize == "none" else f"{config.quantize} {dtype}",
        "device": runner.device.type + card,
        **({"attention": config.attention} if config.attention != "auto" else {}),
        **({"profile": config.profile} if config.profile != "exact" else {}),
        "engine": f"hf {DECODING}, torch {torch.__version__}, transformers {transformers.__version__}",
    }
    ends = checkpoint.stop_token_ids(model, tokenizer)
    codec = Codec(tokenizer, ends, runner.encoder, config.template_args, config.fim)
    engine = Engine(runner, codec, identity, config.batch_size, warn, base)
    if config.quantize == "8bit":  # which activations count as outliers is decided over a whole batch
        engine.rounding = max(engine.rounding, LLM_INT8)
    engine.tolerance = 0.0 if config.profile == "fast" else engine.rounding
    if config.adapter:
        engine.set_adapter(config.adapter)
    heartbeat.beat()  # from now on silence is told from work
    return engine


def load_base(folder: Path, config: BackendConfig) -> Any:
    """The model ready to compute; the same tensors at every call."""
    from harness.backends.hf import onednn_linear

    model = checkpoint.load_model(folder, config)
    if onednn_linear.pays():
        onednn_linear.use_onednn(model)
    return model


def load_codec(config: BackendConfig) -> "Codec":
    """The model's tokenizer without its weights. Raises UserError."""
    from harness.backends.hf.tokenizer import Codec

    require_model(config)
    folder, _ = hub.find(config.model, config.revision)
    tokenizer = checkpoint.load_tokenizer(folder)
    if config.adapter and own_tokenizer.differs(adapter := find_adapter(config.adapter), folder):
        tokenizer = own_tokenizer.load(adapter, folder, None)
    ends = {tokenizer.eos_token_id} - {None}
    encoder = checkpoint.is_encoder_decoder(folder)
    return Codec(tokenizer, frozenset(ends), encoder, config.template_args, config.fim)


def check(config: BackendConfig, problem_ids: Sequence[str]) -> None:
    """That the model's folder is complete and the adapter was trained on it. Raises UserError."""
    del problem_ids
    require_model(config)
    folder, commit = hub.find(config.model, config.revision)
    checkpoint.check(folder)
    if config.adapter:
        check_base(find_adapter(config.adapter), config.model, folder, commit)


def answers_chats(config: BackendConfig) -> bool | None:
    """Whether the model, or its adapter, has a chat template: told from the files alone. None where none is named."""
    if not config.model:
        return None
    folder, _ = hub.find(config.model, config.revision)
    own = [find_adapter(config.adapter).folder] if config.adapter else []
    return any(map(checkpoint.has_chat_template, [folder, *own]))


def check_sampling(config: BackendConfig, sampling: Sampling) -> None:
    """All of it can be done; what excludes each other is checked with the config."""
    del config, sampling


def check_fim(config: BackendConfig) -> None:
    """That the model's tokenizer has marks for a gap. Raises UserError; says nothing where no model is named."""
    if config.model:
        load_codec(config).encode(Prompt(suffix=""))


backend = BackendLoader(load, check, check_sampling, CAPABILITIES, load_codec, answers_chats, check_fim)
