"""The forward pass of a transformers model: next-token logits of many rows at once, or of a single sequence.

A prefill gives a `DecodeBatch`; a step appends a token to each row of a `DecodeBatch` or of `KVCacheSlots` (kv_cache).

Decoder-only rows are padded on the left and get position ids that do not count the padding; an encoder's input is
padded on the right and masked. Imports torch, so only `hf.load` may import it, inside the function.
"""

import gc
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.backends.hf.adapters.multi_lora import MixedAdapters, adapter_of
from harness.backends.hf.kv_cache import DecodeBatch, KVCacheSlots
from harness.errors import BackendFault, UserError

CHUNK = 64  # positions whose full-vocabulary log-softmax is held at once


@dataclass
class SingleResult:
    """Of a single sequence: the logits after it, float32 [vocabulary], and its tokens' log-probabilities."""

    logits: Tensor
    logprobs: list[float]

    @property
    def total(self) -> float:
        return sum(self.logprobs)


def free_memory() -> None:
    """What nothing refers to any more, in cycles too: a model with an adapter has some."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class ModelRunner:
    """The model's forward pass, for decoder-only and encoder-decoder models alike."""

    def __init__(self, model: Any) -> None:
        self.set_model(model)

    def set_model(self, model: Any) -> None:
        """Compute with this model from now on, without any adapter."""
        self.model = model
        self.mixed: MixedAdapters | None = None  # several adapters, each on its own rows
        self.virtual_embeddings: Tensor | None = None
        self.make_prefix: Callable[[int], Any] | None = None
        self.virtual_tokens = 0
        config = model.config
        self.encoder = bool(config.is_encoder_decoder)
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.max_positions: int | None = getattr(
            config.get_text_config(decoder=True), "max_position_embeddings", None
        )
        self.hidden_size = int(config.get_text_config(decoder=True).hidden_size)
        self.decoder_start = _decoder_start(model) if self.encoder else -1
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted and not self.encoder
        self._takes_keep = "logits_to_keep" in accepted
        self._cache_name = "cache" if "cache" in accepted else "past_key_values"  # since transformers 5.24
        # Without position ids the padding between a cached prefix and the prompt would count.
        self.can_reuse_prefix = self._takes_positions

    @property
    def vocab_size(self) -> int:
        return int(
            self.model.config.get_text_config(decoder=True).vocab_size
        )  # an adapter may bring more tokens

    def set_virtual_tokens(
        self, embeddings: Tensor | None, make_prefix: Callable[[int], Any] | None, count: int
    ) -> None:
        """Put an adapter's `count` virtual tokens before every prompt.

        They are either `embeddings` ([tokens, hidden]; in the ids they are -1, -2 ...), or keys and values in a cache
        that `make_prefix` builds for a number of rows.
        """
        self.virtual_embeddings, self.make_prefix, self.virtual_tokens = embeddings, make_prefix, count
        self.can_reuse_prefix = self._takes_positions and not count
        most = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        self.max_positions = None if most is None else most - (0 if self.encoder else count)

    def set_row_adapters(self, adapters: Sequence[int]) -> None:
        """Set the adapter of each row for the next steps, where there are several (multi_lora)."""
        if self.mixed is not None:
            self.mixed.use_rows(adapters)

    def _with_virtual_tokens(self, prompts: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
        if self.virtual_embeddings is None:
            return prompts
        virtual = tuple(range(-1, -self.virtual_tokens - 1, -1))
        return [(*virtual, *prompt) for prompt in prompts]

    def _inputs(self, ids: Tensor) -> dict[str, Tensor]:
        """The model's input: the ids, or embeddings if some of the ids are virtual tokens."""
        if self.virtual_embeddings is None or not bool((ids < 0).any()):
            return {"input_ids": ids}
        embedded = self.model.get_input_embeddings()(ids.clamp(min=0))
        virtual = self.virtual_embeddings[(-1 - ids).clamp(min=0, max=self.virtual_tokens - 1)].to(
            embedded.dtype
        )
        return {"inputs_embeds": torch.where((ids < 0).unsqueeze(-1), virtual, embedded)}

    def _prefix_cache(self, rows: int) -> tuple[Any, int]:
        """The cache that this many rows begin with, and how many tokens it holds."""
        return (self.make_prefix(rows), self.virtual_tokens) if self.make_prefix is not None else (None, 0)

    def prefill(self, prompts: Sequence[tuple[int, ...]], past: Any = None, before: int = 0) -> DecodeBatch:
        """One row a prompt, with the logits of its first token; `past` is a cache of `before` tokens ahead of each."""
        self.set_row_adapters([adapter_of(prompt) for prompt in prompts])
        ids, mask = self._padded(self._with_virtual_tokens(prompts), left=not self.encoder)
        with torch.inference_mode():
            if not self.encoder:
                if past is None:
                    past, before = self._prefix_cache(len(prompts))
                mask = torch.cat([mask.new_ones((len(prompts), before)), mask], dim=1)
                return self._decode_batch(self._forward(ids, mask, past, keep=1), mask)
            encoded = self._encode(ids, mask)
            begin = torch.full((len(prompts), 1), self.decoder_start, device=self.device)
            out = self._decoder(begin, self._prefix_cache(len(prompts))[0], encoded, mask)
            batch = self._decode_batch(out, torch.ones_like(begin))
            batch.encoder_states, batch.encoder_mask = encoded, mask
            return batch

    def step(self, batch: DecodeBatch | KVCacheSlots, tokens: Sequence[int]) -> None:
        """Append one token to every row and compute what follows it."""
        ids = torch.tensor(tokens, device=self.device).unsqueeze(1)
        with torch.inference_mode():
            if isinstance(batch, KVCacheSlots):
                mask, positions = batch.step_inputs()
                out = self._forward(ids, mask, batch.cache, keep=1, positions=positions)
                batch.advance(out.logits[:, -1].float())
                return
            batch.mask = torch.cat([batch.mask, torch.ones_like(ids)], dim=1)
            if batch.encoder_states is None:
                out = self._forward(ids, batch.mask, batch.cache, keep=1)
            else:
                out = self._decoder(ids, batch.cache, batch.encoder_states, batch.encoder_mask)
            batch.logits = out.logits[:, -1].float()

    def single(self, prompt: tuple[int, ...], completion: Sequence[int]) -> SingleResult:
        """Exact by definition: unpadded, a batch of one, no cache, so a function of the tokens and nothing else."""
        keep = len(completion) + 1
        if self.mixed is not None:
            self.mixed.use_one(adapter_of(prompt))
        with torch.inference_mode():
            if self.encoder:
                ids = torch.tensor(self._with_virtual_tokens([prompt]), device=self.device)
                decoder = torch.tensor([[self.decoder_start, *completion]], device=self.device)
                encoded = self._encode(ids, torch.ones_like(ids))
                past, _ = self._prefix_cache(1)
                logits = self._decoder(decoder, past, encoded, torch.ones_like(ids), cached=False).logits[0]
            else:
                ids = torch.tensor(self._with_virtual_tokens([(*prompt, *completion)]), device=self.device)
                past, before = self._prefix_cache(1)
                mask = ids.new_ones((1, before + ids.shape[1]))
                out = self._forward(ids, mask, past, keep=keep, cached=past is not None)
                logits = out.logits[0, -keep:]
            return SingleResult(logits[-1].float(), _token_logprobs(logits, completion)[0].tolist())

    def batched_logprobs(
        self, prompts: Sequence[tuple[int, ...]], completions: Sequence[Sequence[int]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Many sequences in one pass: for each the log-probabilities of its completion's tokens, float32 [tokens],
        and the largest logit (absolute) at each. The same as `single`, up to the noise of the batch's shape."""
        with torch.inference_mode():
            keep = max(map(len, completions)) + 1
            if self.encoder:
                ids, mask = self._padded(self._with_virtual_tokens(prompts), left=False)
                encoded = self._encode(ids, mask)
                decoder, _ = self._padded([(self.decoder_start, *given) for given in completions], left=False)
                past, _ = self._prefix_cache(len(prompts))
                logits = self._decoder(decoder, past, encoded, mask, cached=False).logits
                rows = [of_one[: len(given)] for of_one, given in zip(logits, completions, strict=True)]
            else:
                whole = [(*prompt, *given) for prompt, given in zip(prompts, completions, strict=True)]
                ids, mask = self._padded(self._with_virtual_tokens(whole), left=True)
                past, before = self._prefix_cache(len(whole))
                mask = torch.cat([mask.new_ones((len(whole), before)), mask], dim=1)
                logits = self._forward(ids, mask, past, keep=keep, cached=past is not None).logits
                rows = [
                    of_one[len(of_one) - len(given) - 1 : -1]
                    for of_one, given in zip(logits, completions, strict=True)
                ]
            return [_token_logprobs(row, given) for row, given in zip(rows, completions, strict=True)]

    def _padded(self, rows: Sequence[tuple[int, ...]], left: bool) -> tuple[Tensor, Tensor]:
        """Ids and mask, [rows, longest], on the device."""
        width = max(map(len, rows))
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            where = slice(width - len(row), width) if left else slice(0, len(row))
            ids[number, where] = torch.tensor(row)
            mask[number, where] = 1
        return ids.to(self.device), mask.to(self.device)

    def _encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.model.get_encoder()(**self._inputs(ids), attention_mask=mask).last_hidden_state
        return found

    def _decode_batch(self, out: Any, mask: Tensor) -> DecodeBatch:
        cache = getattr(out, self._cache_name, None)
        if cache is None:
            raise UserError(
                f"{type(self.model).__name__} keeps no key-value cache: not supported by the hf backend"
            )
        return DecodeBatch(out.logits[:, -1].float(), mask, cache)

    def _forward(
        self,
        ids: Tensor,
        mask: Tensor,
        cache: Any,
        keep: int,
        cached: bool = True,
        positions: Tensor | None = None,
    ) -> Any:
        more: dict[str, Any] = {}
        if self._takes_positions:
            if positions is None:
                positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            more["position_ids"] = positions
        if self._takes_keep:
            more["logits_to_keep"] = keep
        return self.model(
            **self._inputs(ids),
            attention_mask=mask,
            use_cache=cached,
            return_dict=True,
            **{self._cache_name: cache},
            **more,
        )

    def _decoder(
        self, ids: Tensor, cache: Any, encoded: Tensor, encoder_mask: Tensor | None, cached: bool = True
    ) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            attention_mask=encoder_mask,
            decoder_input_ids=ids,
            use_cache=cached,
            return_dict=True,
            **{self._cache_name: cache},
        )


def _token_logprobs(logits: Tensor, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The log-probability of each token under the logits before it, and the largest logit (absolute) there."""
    values, largest = [logits.new_zeros(0, dtype=torch.float32)] * 2
    for at in range(0, len(tokens), CHUNK):
        ids = torch.tensor(tokens[at : at + CHUNK], device=logits.device)
        rows = logits[at : at + len(ids)].float()
        own = rows.log_softmax(-1).gather(1, ids.unsqueeze(1)).squeeze(1)
        top = rows.abs().masked_fill(rows.isinf(), 0.0).amax(-1)
        values, largest = torch.cat([values, own]), torch.cat([largest, top])
    return values, largest


def _decoder_start(model: Any) -> int:
    """The token a decoder begins with: what the model says, else its beginning-of-text token."""
    for source in (model.generation_config, model.config):
        for name in ("decoder_start_token_id", "bos_token_id"):
            value = getattr(source, name, None)
            if isinstance(value, int):
                return value
    raise BackendFault("the model does not say which token its decoder starts with (decoder_start_token_id)")
