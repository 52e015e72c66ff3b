"""A transformers model as two functions: the next-token logits of many rows at once, and of one sequence
alone.

A prefill gives `Lanes`; a step adds a token to each row of `Lanes` or `Slots` (hf_lanes).

Decoder-only rows are padded on the left and get position ids that do not count the padding; an encoder's
input is padded on the right under a mask. Imports torch, so only `hf.load` may import it, inside the
function.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.backends.hf.kv_cache import Lanes, Slots
from harness.backends.hf.multi_lora import Mixed, adapter_of
from harness.errors import BackendFault, UserError

CHUNK = 64  # positions whose full-vocabulary log-softmax is held at once


@dataclass
class Alone:
    """One sequence by itself: the logits after it, float32 [vocabulary], its tokens' log-probabilities."""

    logits: Tensor
    logprobs: list[float]

    @property
    def total(self) -> float:
        return sum(self.logprobs)


class Network:
    """The model's forward pass, for decoder-only and encoder-decoder models alike."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.mixed: Mixed | None = None  # several adapters, each for its own rows
        self.lead: Tensor | None = None
        self.prefix: Callable[[int], Any] | None = None
        self.before = 0
        config = model.config
        self.encoder = bool(config.is_encoder_decoder)
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.positions: int | None = getattr(
            config.get_text_config(decoder=True), "max_position_embeddings", None
        )
        self.vocabulary = int(config.get_text_config(decoder=True).vocab_size)
        self.hidden = int(config.get_text_config(decoder=True).hidden_size)
        self.start = _decoder_start(model) if self.encoder else -1
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted and not self.encoder
        self._takes_keep = "logits_to_keep" in accepted
        self.may_reuse = (
            self._takes_positions
        )  # else the gap between a kept prefix and its prompt would count

    def put(self, lead: Tensor | None, prefix: Callable[[int], Any] | None, before: int) -> None:
        """Have an adapter's `before` virtual tokens ahead of every prompt.

        They are embeddings (`lead`, [tokens, hidden]; in the ids they are -1, -2 ...) or keys and values in a
        cache that `prefix` makes for so many rows; neither for none.
        """
        self.lead, self.prefix, self.before = lead, prefix, before
        self.may_reuse = self._takes_positions and not before
        most = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        self.positions = None if most is None else most - (0 if self.encoder else before)

    def wear(self, adapters: Sequence[int]) -> None:
        """Which adapter each row of the next steps has, where there are several (hf_mixed)."""
        if self.mixed is not None:
            self.mixed.batch(adapters)

    def _led(self, prompts: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
        if self.lead is None:
            return prompts
        virtual = tuple(range(-1, -self.before - 1, -1))
        return [(*virtual, *prompt) for prompt in prompts]

    def _given(self, ids: Tensor) -> dict[str, Tensor]:
        """What the model takes for ids: themselves, or embeddings where some of them are virtual."""
        if self.lead is None or not bool((ids < 0).any()):
            return {"input_ids": ids}
        embedded = self.model.get_input_embeddings()(ids.clamp(min=0))
        lead = self.lead[(-1 - ids).clamp(min=0, max=self.before - 1)].to(embedded.dtype)
        return {"inputs_embeds": torch.where((ids < 0).unsqueeze(-1), lead, embedded)}

    def _ahead(self, rows: int) -> tuple[Any, int]:
        """The cache that each of so many rows begins with, and how many tokens it holds."""
        return (self.prefix(rows), self.before) if self.prefix is not None else (None, 0)

    def prefill(self, prompts: Sequence[tuple[int, ...]], past: Any = None, before: int = 0) -> Lanes:
        """One row a prompt, ready to choose its first token; `past` is a cache of `before` tokens ahead of each."""
        self.wear([adapter_of(prompt) for prompt in prompts])
        ids, mask = self._padded(self._led(prompts), left=not self.encoder)
        with torch.inference_mode():
            if not self.encoder:
                if past is None:
                    past, before = self._ahead(len(prompts))
                mask = torch.cat([mask.new_ones((len(prompts), before)), mask], dim=1)
                return self._opened(self._forward(ids, mask, past, keep=1), mask)
            encoded = self._encoded(ids, mask)
            begin = torch.full((len(prompts), 1), self.start, device=self.device)
            out = self._decoder(begin, self._ahead(len(prompts))[0], encoded, mask)
            lanes = self._opened(out, torch.ones_like(begin))
            lanes.encoded, lanes.source = encoded, mask
            return lanes

    def step(self, lanes: Lanes | Slots, tokens: Sequence[int]) -> None:
        """Append one token to every row and compute what follows it."""
        ids = torch.tensor(tokens, device=self.device).unsqueeze(1)
        with torch.inference_mode():
            if isinstance(lanes, Slots):
                mask, positions = lanes.opened()
                out = self._forward(ids, mask, lanes.cache, keep=1, positions=positions)
                lanes.grown(out.logits[:, -1].float())
                return
            lanes.mask = torch.cat([lanes.mask, torch.ones_like(ids)], dim=1)
            if lanes.encoded is None:
                out = self._forward(ids, lanes.mask, lanes.cache, keep=1)
            else:
                out = self._decoder(ids, lanes.cache, lanes.encoded, lanes.source)
            lanes.logits = out.logits[:, -1].float()

    def alone(self, prompt: tuple[int, ...], completion: Sequence[int]) -> Alone:
        """Exact by definition: unpadded, a batch of one, no cache, so a function of the tokens alone."""
        keep = len(completion) + 1
        if self.mixed is not None:
            self.mixed.one(adapter_of(prompt))
        with torch.inference_mode():
            if self.encoder:
                ids = torch.tensor(self._led([prompt]), device=self.device)
                decoder = torch.tensor([[self.start, *completion]], device=self.device)
                encoded = self._encoded(ids, torch.ones_like(ids))
                past, _ = self._ahead(1)
                logits = self._decoder(decoder, past, encoded, torch.ones_like(ids), cached=False).logits[0]
            else:
                ids = torch.tensor(self._led([(*prompt, *completion)]), device=self.device)
                past, before = self._ahead(1)
                mask = ids.new_ones((1, before + ids.shape[1]))
                out = self._forward(ids, mask, past, keep=keep, cached=past is not None)
                logits = out.logits[0, -keep:]
            return Alone(logits[-1].float(), _chosen(logits, completion)[0].tolist())

    def together(
        self, prompts: Sequence[tuple[int, ...]], completions: Sequence[Sequence[int]]
    ) -> list[tuple[Tensor, Tensor]]:
        """Many sequences in one pass: of each the log-probabilities of its completion's tokens, float32 [tokens],
        and the largest logit (absolute) at each. The same as `alone`, up to the noise of the batch's shape."""
        with torch.inference_mode():
            keep = max(map(len, completions)) + 1
            if self.encoder:
                ids, mask = self._padded(self._led(prompts), left=False)
                encoded = self._encoded(ids, mask)
                decoder, _ = self._padded([(self.start, *given) for given in completions], left=False)
                past, _ = self._ahead(len(prompts))
                logits = self._decoder(decoder, past, encoded, mask, cached=False).logits
                rows = [of_one[: len(given)] for of_one, given in zip(logits, completions, strict=True)]
            else:
                whole = [(*prompt, *given) for prompt, given in zip(prompts, completions, strict=True)]
                ids, mask = self._padded(self._led(whole), left=True)
                past, before = self._ahead(len(whole))
                mask = torch.cat([mask.new_ones((len(whole), before)), mask], dim=1)
                logits = self._forward(ids, mask, past, keep=keep, cached=past is not None).logits
                rows = [
                    of_one[len(of_one) - len(given) - 1 : -1]
                    for of_one, given in zip(logits, completions, strict=True)
                ]
            return [_chosen(row, given) for row, given in zip(rows, completions, strict=True)]

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

    def _encoded(self, ids: Tensor, mask: Tensor) -> Tensor:
        found: Tensor = self.model.get_encoder()(**self._given(ids), attention_mask=mask).last_hidden_state
        return found

    def _opened(self, out: Any, mask: Tensor) -> Lanes:
        cache = getattr(out, "past_key_values", None)
        if cache is None:
            raise UserError(
                f"{type(self.model).__name__} keeps no key-value cache: not supported by the hf backend"
            )
        return Lanes(out.logits[:, -1].float(), mask, cache)

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
            **self._given(ids),
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cached,
            return_dict=True,
            **more,
        )

    def _decoder(
        self, ids: Tensor, cache: Any, encoded: Tensor, source: Tensor | None, cached: bool = True
    ) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            attention_mask=source,
            decoder_input_ids=ids,
            past_key_values=cache,
            use_cache=cached,
            return_dict=True,
        )


def _chosen(logits: Tensor, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The tokens' log-probabilities under the logits before them, and each row's largest logit (absolute)."""
    values, largest = [logits.new_zeros(0, dtype=torch.float32)] * 2
    for at in range(0, len(tokens), CHUNK):
        chosen = torch.tensor(tokens[at : at + CHUNK], device=logits.device)
        rows = logits[at : at + len(chosen)].float()
        own = rows.log_softmax(-1).gather(1, chosen.unsqueeze(1)).squeeze(1)
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
