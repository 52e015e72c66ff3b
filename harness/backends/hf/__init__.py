"""Any transformers causal or encoder-decoder model, from a folder or the hub cache, with its own decode loop.

Theory of operation. The completions of a sample must not depend on what it was batched with. Random choice
is easily kept apart: the noise of a step is a function of (seed, problem, sample, step) alone. Arithmetic
is not: the same row gives logits that differ in their last bits between batch shapes, and one flipped
arg-max changes the rest of a text. So every decision is made twice over, in principle:

  1. On the batch's logits, with the margin it was won by: the lead of the best token (greedy; drawing is an
     arg-max of noisy logits), the gap at the edge of the beam, the distance of a log-probability from where
     it rounds.
  2. When the margin is below a tolerance that dominates the noise of the dtype, the batch's answer is thrown
     away and the sequence is computed alone: unpadded, a batch of one, no cache. That answer counts.

Alone, the logits are a function of the tokens. A margin above the tolerance means that alone the answer
would have been the same. So each decision is the one that would be made alone, at any batch size and in any
order, at the price of a batch for all but the close calls. `Tally` says how many there were, and how far
batched logits were seen to be off where both were known: a value above 1 is warned about, for the promise
is then broken. In float32 close calls are rare; in 16-bit floats they are common, and every log-probability
is recomputed once.

`backend.profile = "fast"` leaves all that out: every decision is the batch's own, nothing is computed alone, and a
completion may depend on the batch in its close calls. It is for 16-bit floats on a GPU, where most of the time would
go into computing alone; the profile is part of what identifies a run.

What it is not: equal bytes across machines, thread counts or library versions, which change the arithmetic
itself.

  hf_load      folder -> model, tokenizer, digest; the user's mistakes
  hf_adapter   an adapter on its base, and the proof that it acts
  hf_mixed     several LoRA adapters in one batch, each row its own
  hf_text      prompt -> ids, ids -> text, stop strings
  hf_network   the forward pass: many rows with a cache, or one sequence alone
  hf_linear    products of matrices on a CPU
  hf_lanes     rows that are decoded together, and their keys and values
  hf_choose    logits -> next token, and whether it is sure
  hf_shape     bans and penalties
  hf_search    one row a sample; the referee of close calls
  hf_beam      beam search
  hf_likelihood  how likely a given text is
  hf_prefix    the beginning that many prompts share, computed once
  hf_decode    which searches run together, and when the next ones begin
  hf_memory    how many rows fit
  hf_schedule  requests in, completions out; out of memory
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.config.backend import BackendConfig
from harness.errors import MissingExtra, UserError
from harness.schema import Prompt

if TYPE_CHECKING:
    from harness.backends.hf.scheduler import Engine

LOG = logging.getLogger(__name__)
DECODING = 2  # goes up when the same inputs give other completions
PROBE = Prompt(text="def add(a, b):\n    return a")  # logits after it tell whether an adapter acts
LLM_INT8 = 2.0**-4  # tolerance as for bfloat16
ONE_THREAD = 50_000_000  # parameters below which a CPU's threads cost more to hand work to than they save


def load(config: BackendConfig, warn: Callable[[str], None] = LOG.warning) -> "Engine":
    """Load `config.model` with its adapter. Raises UserError; never touches the network.

    A hub id must be in the hub cache; without a revision the cached `main` is taken. Either way the commit
    is recorded.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(
            f"the hf backend needs torch and transformers ({error}): pip install torch transformers"
        ) from None
    from harness.backends import hub
    from harness.backends.hf import checkpoint, onednn_linear
    from harness.backends.hf.model_runner import Network
    from harness.backends.hf.scheduler import Engine
    from harness.backends.hf.tokenizer import Codec

    folder, commit = hub.find(config.model, config.revision)
    checkpoint.check(folder)
    model = checkpoint.load_model(folder, config)
    tokenizer = checkpoint.load_tokenizer(folder)
    checkpoint.complain(model, warn)
    onednn_linear.speed_up(model)
    network = Network(model)
    if network.device.type == "cpu" and model.num_parameters() < ONE_THREAD:
        torch.set_num_threads(1)  # beside one busy process two threads were seen to take six times as long
    card = f" {torch.cuda.get_device_name(network.device)}" if network.device.type == "cuda" else ""
    dtype = str(network.dtype).removeprefix("torch.")
    identity = {
        "kind": "hf",
        "model": config.model,
        "revision": commit,
        "weights": checkpoint.model_digest(folder),
        "adapter": "",
        "dtype": dtype if config.quantize == "none" else f"{config.quantize} {dtype}",
        "device": network.device.type + card,
        **({"attention": config.attention} if config.attention != "auto" else {}),
        **({"profile": config.profile} if config.profile != "exact" else {}),
        "engine": f"hf {DECODING}, torch {torch.__version__}, transformers {transformers.__version__}",
    }
    codec = Codec(tokenizer, checkpoint.ends(model, tokenizer), network.encoder)
    engine = Engine(network, codec, identity, config.batch_size, warn)
    if config.quantize == "8bit":  # which activations count as outliers is decided over a whole batch
        engine.tolerance = max(engine.tolerance, LLM_INT8)
    if config.profile == "fast":
        engine.tolerance = 0.0
    return with_adapter(engine, config) if config.adapter else engine


def with_adapter(engine: "Engine", config: BackendConfig) -> "Engine":
    """The engine with `config.adapter` on its base in place of what was on it before; the base stays loaded.

    Raises UserError when the adapter was trained on another base, does not fit, or changes nothing.
    """
    from harness.backends import hub
    from harness.backends.hf import adapter as hf_adapter

    network = engine.take_off()
    if not config.adapter:
        return engine
    folder, commit = hub.find(config.model, config.revision)
    adapter = hf_adapter.find(config.adapter)
    hf_adapter.check(adapter, config.model, folder, commit)
    probe = engine.codec.encode(PROBE)
    without = network.alone(probe, ()).logits
    attached = hf_adapter.attach(network.model, adapter)
    network.put(attached.lead, attached.prefix, attached.before)
    try:
        hf_adapter.prove(adapter.name, network.alone(probe, ()).logits, without)
    except UserError:
        network.put(None, None, 0)
        attached.detach()
        raise
    active = f"{adapter.digest} {adapter.kind} active"
    return engine.wearing({**engine.identity, "adapter": active}, attached.detach)
