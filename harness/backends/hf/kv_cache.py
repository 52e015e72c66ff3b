"""The rows of a decode batch: their keys and values, padding masks and next logits.

A `DecodeBatch` holds the rows of one prefill. `KVCacheSlots` is a cache of fixed slots whose buffers are allocated
once: a row that ends frees its slot, and another prompt's row is copied into it while the others go on. Nothing is
concatenated or reordered as a whole between steps, which with the library's own cache costs a copy of everything at
each step.

All rows end at the same column; a row begins where its prompt begins, and the columns before that are masked. Columns
that no row uses any more are skipped, and are reclaimed when the buffer is full.

Models that keep more than the keys and values of every position (recurrent states, sliding windows shorter than the
text, an encoder's output) stay in a `DecodeBatch`: rows are dropped and reordered by copies, and new rows are admitted
only when all have ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

SLACK = 64  # least columns that are allocated ahead
FREE = -(2**31)  # length of a slot without a row: stays below 0 however often one is added


@dataclass
class DecodeBatch:
    """Rows side by side. `logits` is float32 [rows, vocabulary]; `mask` [rows, width] is 0 on padding.

    `encoder_states` is [rows, source width, hidden] with its mask `encoder_mask`, for encoder-decoder models only.
    """

    logits: Tensor
    mask: Tensor
    cache: Any
    encoder_states: Tensor | None = None
    encoder_mask: Tensor | None = None

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may occur several times, or not at all."""
        if list(rows) == list(range(self.mask.shape[0])):
            return
        index = torch.tensor(rows, device=self.mask.device)
        with torch.inference_mode():
            self.cache.reorder_cache(index)
            self.logits, self.mask = self.logits[index], self.mask[index]
            if self.encoder_states is not None and self.encoder_mask is not None:
                self.encoder_states, self.encoder_mask = self.encoder_states[index], self.encoder_mask[index]

    def copy(self, sources: Sequence[int], targets: Sequence[int], newest: int) -> None:
        """Copy the rows `sources` over the rows `targets`; `newest` is not needed here (see KVCacheSlots)."""
        rows = list(range(self.mask.shape[0]))
        for source, target in zip(sources, targets, strict=True):
            rows[target] = source
        self.select(rows)

    def release(self, slots: Sequence[int]) -> None:
        """Does nothing: ended rows are dropped by the next `select`."""

    @property
    def is_plain(self) -> bool:
        """Whether the cache holds the keys and values of every position, and nothing else."""
        layers = self.cache.layers if type(self.cache) is DynamicCache else ()
        width = self.mask.shape[1]
        return bool(layers) and all(
            type(layer) is DynamicLayer and layer.is_initialized and layer.keys.shape[-2] == width
            for layer in layers
        )


class _ColumnSpan:
    """The columns in use: from `low` up to `end`."""

    def __init__(self, end: int) -> None:
        self.low = self.end = end


class _SlotLayer(DynamicLayer):  # type: ignore[misc]  # transformers has no types
    """One layer's buffers, [slots, heads, columns, size]; a step writes one column of them."""

    def __init__(self, like: Any, slots: int, columns: int, span: _ColumnSpan) -> None:
        super().__init__()
        self.span = span
        self.buffers = [
            part.new_zeros((slots, part.shape[1], columns, part.shape[3]))
            for part in (like.keys, like.values)
        ]
        self.dtype, self.device, self.is_initialized = like.keys.dtype, like.keys.device, True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        low, first = self.span.low, self.span.end
        end = first + key_states.shape[-2]
        keys, values = self.buffers
        keys[:, :, first:end], values[:, :, first:end] = key_states, value_states
        return keys[:, :, low:end], values[:, :, low:end]

    def get_seq_length(self) -> int:
        return self.span.end - self.span.low


class KVCacheSlots:
    """A fixed number of slots, all free; `prefilled` gives the shapes of a row."""

    def __init__(self, prefilled: DecodeBatch, slots: int) -> None:
        width = prefilled.mask.shape[1]
        columns = width + SLACK
        self.span = _ColumnSpan(width)
        self.layers = [_SlotLayer(layer, slots, columns, self.span) for layer in prefilled.cache.layers]
        self.cache = Cache(layers=self.layers)
        self.mask = prefilled.mask.new_zeros((slots, columns))
        self.logits = prefilled.logits.new_zeros((slots, prefilled.logits.shape[1]))
        self.lengths = prefilled.mask.new_full((slots,), FREE)
        self.first: list[int | None] = [None] * slots  # the column where a slot's row begins

    def insert(self, prefilled: DecodeBatch, rows: Sequence[int], slots: Sequence[int]) -> None:
        """Copy prefilled rows into free slots."""
        with torch.inference_mode():
            begins = prefilled.mask.argmax(1).tolist()
            skipped = min(begins[row] for row in rows)
            width = prefilled.mask.shape[1] - skipped
            self._reserve(width, 0)
            end, device = self.span.end, self.mask.device
            index, to = torch.tensor(rows, device=device), torch.tensor(slots, device=device)
            columns = slice(end - width, end)
            for layer, source in zip(self.layers, prefilled.cache.layers, strict=True):
                for buffer, part in zip(layer.buffers, (source.keys, source.values), strict=True):
                    buffer[to, :, columns] = part[index, :, skipped:]
            mask = prefilled.mask[index]
            self.mask[to] = 0
            self.mask[to, columns] = mask[:, skipped:]
            self.lengths[to] = mask.sum(1)
            self.logits[to] = prefilled.logits[index]
        for row, slot in zip(rows, slots, strict=True):
            self.first[slot] = end - width + begins[row] - skipped
        self._trim()

    def copy(self, sources: Sequence[int], targets: Sequence[int], newest: int) -> None:
        """Copy the newest columns of some slots to others; what is before them is the same in both."""
        columns = slice(self.span.end - newest, self.span.end)
        device = self.mask.device
        with torch.inference_mode():
            index, to = torch.tensor(sources, device=device), torch.tensor(targets, device=device)
            for layer in self.layers:
                for buffer in layer.buffers:
                    buffer[to, :, columns] = buffer[index, :, columns]

    def release(self, slots: Sequence[int]) -> None:
        """Mark these slots as free."""
        for slot in slots:
            self.first[slot] = None
        with torch.inference_mode():
            self.lengths[torch.tensor(slots, device=self.mask.device)] = FREE

    def select(self, slots: Sequence[int]) -> None:
        """Keep these slots only, in this order."""
        index = torch.tensor(slots, device=self.mask.device)
        self.first = [self.first[slot] for slot in slots]
        with torch.inference_mode():
            self._trim()
            for layer in self.layers:
                layer.buffers = [buffer[index] for buffer in layer.buffers]
            self.mask, self.lengths, self.logits = self.mask[index], self.lengths[index], self.logits[index]

    def step_inputs(self) -> tuple[Tensor, Tensor]:
        """Attention mask [slots, width] and position ids [slots, 1] for the next token of each row."""
        self._trim()
        self._reserve(0, 1)
        low, end = self.span.low, self.span.end
        self.mask[:, end] = 1  # in free slots too: a row that attends to nothing gives NaN
        return self.mask[:, low : end + 1], self.lengths.clamp(min=0).unsqueeze(1)

    def advance(self, logits: Tensor) -> None:
        """A token was appended to each row; `logits` are those after it."""
        self.span.end += 1
        self.lengths += 1
        self.logits = logits

    def _trim(self) -> None:
        self.span.low = min((at for at in self.first if at is not None), default=self.span.end)

    def _reserve(self, before: int, after: int) -> None:
        """Make room for this many columns before the end and after it, by moving the columns in use."""
        span, columns = self.span, self.mask.shape[1]
        if span.end >= before and span.end + after <= columns:
            return
        kept = slice(span.low, span.end)
        width = span.end - span.low
        end = max(before, width)
        size = max(columns, end + max(SLACK, end // 2))
        for layer in self.layers:
            layer.buffers = [self._relocated(buffer, 2, kept, end, size) for buffer in layer.buffers]
        self.mask = self._relocated(self.mask, 1, kept, end, size)
        shift = end - span.end
        self.first = [None if at is None else at + shift for at in self.first]
        span.low, span.end = span.low + shift, end

    @staticmethod
    def _relocated(buffer: Tensor, dim: int, kept: slice, end: int, size: int) -> Tensor:
        shape = list(buffer.shape)
        shape[dim] = size
        moved = buffer.new_zeros(shape)
        width = kept.stop - kept.start
        moved.narrow(dim, end - width, width).copy_(buffer.narrow(dim, kept.start, width))
        return moved
