"""Rows that are decoded together: their keys and values, padding masks and next logits.

`Lanes` are rows as a prefill leaves them. `Slots` are places for rows in buffers that are allocated once: a row
that ends frees its slot, and another prompt's row is copied into it while the rest run on. Nothing is
concatenated or reordered as a whole from step to step, which with the library's own cache costs a copy of
everything at each.

A slot's row ends at the same column as every other's, and begins where its prompt did; what is before that is
masked. Columns that all rows have left behind are not looked at, and are given back when the buffer is full.

Models that keep more than the keys and values of every position (recurrent states, sliding windows that are
shorter than the text, an encoder's output) stay in `Lanes`: rows leave and change places by copies, and new
ones come when all have left.
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
class Lanes:
    """Rows side by side. `logits` is float32 [rows, vocabulary]; `mask` [rows, width] is 0 on padding.

    `encoded` is [rows, source width, hidden] with its mask `source`, for encoder-decoder models only.
    """

    logits: Tensor
    mask: Tensor
    cache: Any
    encoded: Tensor | None = None
    source: Tensor | None = None

    def pick(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be named several times, or not at all."""
        if list(rows) == list(range(self.mask.shape[0])):
            return
        index = torch.tensor(rows, device=self.mask.device)
        with torch.inference_mode():
            self.cache.reorder_cache(index)
            self.logits, self.mask = self.logits[index], self.mask[index]
            if self.encoded is not None and self.source is not None:
                self.encoded, self.source = self.encoded[index], self.source[index]

    def copy(self, sources: Sequence[int], targets: Sequence[int], newest: int) -> None:
        """Have the rows `targets` be what `sources` are; `newest` is of no interest here (see Slots)."""
        rows = list(range(self.mask.shape[0]))
        for source, target in zip(sources, targets, strict=True):
            rows[target] = source
        self.pick(rows)

    def release(self, slots: Sequence[int]) -> None:
        """Rows that are not looked at again; they go with the next `pick`."""

    @property
    def whole(self) -> bool:
        """Whether the cache is the keys and values of every position, and nothing else."""
        layers = self.cache.layers if type(self.cache) is DynamicCache else ()
        width = self.mask.shape[1]
        return bool(layers) and all(
            type(layer) is DynamicLayer and layer.is_initialized and layer.keys.shape[-2] == width
            for layer in layers
        )


class _Span:
    """The columns that are looked at: from `low` up to `end`."""

    def __init__(self, end: int) -> None:
        self.low = self.end = end


class _Held(DynamicLayer):  # type: ignore[misc]  # transformers has no types
    """One layer's buffers, [slots, heads, columns, size]; a step writes one column of them."""

    def __init__(self, like: Any, slots: int, columns: int, span: _Span) -> None:
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


class Slots:
    """So many places for rows, all free. `opened` shows what a row consists of."""

    def __init__(self, opened: Lanes, slots: int) -> None:
        width = opened.mask.shape[1]
        columns = width + SLACK
        self.span = _Span(width)
        self.layers = [_Held(layer, slots, columns, self.span) for layer in opened.cache.layers]
        self.cache = Cache(layers=self.layers)
        self.mask = opened.mask.new_zeros((slots, columns))
        self.logits = opened.logits.new_zeros((slots, opened.logits.shape[1]))
        self.lengths = opened.mask.new_full((slots,), FREE)
        self.first: list[int | None] = [None] * slots  # the column where a slot's row begins

    def place(self, opened: Lanes, rows: Sequence[int], slots: Sequence[int]) -> None:
        """Copy prefilled rows into free slots."""
        with torch.inference_mode():
            begins = opened.mask.argmax(1).tolist()
            skipped = min(begins[row] for row in rows)
            width = opened.mask.shape[1] - skipped
            self._make_room(width, 0)
            end, device = self.span.end, self.mask.device
            index, to = torch.tensor(rows, device=device), torch.tensor(slots, device=device)
            columns = slice(end - width, end)
            for held, layer in zip(self.layers, opened.cache.layers, strict=True):
                for buffer, part in zip(held.buffers, (layer.keys, layer.values), strict=True):
                    buffer[to, :, columns] = part[index, :, skipped:]
            mask = opened.mask[index]
            self.mask[to] = 0
            self.mask[to, columns] = mask[:, skipped:]
            self.lengths[to] = mask.sum(1)
            self.logits[to] = opened.logits[index]
        for row, slot in zip(rows, slots, strict=True):
            self.first[slot] = end - width + begins[row] - skipped
        self._look()

    def copy(self, sources: Sequence[int], targets: Sequence[int], newest: int) -> None:
        """Copy the newest columns of some slots to others; what is before them is the same in both."""
        columns = slice(self.span.end - newest, self.span.end)
        device = self.mask.device
        with torch.inference_mode():
            index, to = torch.tensor(sources, device=device), torch.tensor(targets, device=device)
            for held in self.layers:
                for buffer in held.buffers:
                    buffer[to, :, columns] = buffer[index, :, columns]

    def release(self, slots: Sequence[int]) -> None:
        """The slots are free; their rows are not looked at again."""
        for slot in slots:
            self.first[slot] = None
        with torch.inference_mode():
            self.lengths[torch.tensor(slots, device=self.mask.device)] = FREE

    def pick(self, slots: Sequence[int]) -> None:
        """Keep these slots only, in this order."""
        index = torch.tensor(slots, device=self.mask.device)
        self.first = [self.first[slot] for slot in slots]
        with torch.inference_mode():
            self._look()
            for held in self.layers:
                held.buffers = [buffer[index] for buffer in held.buffers]
            self.mask, self.lengths, self.logits = self.mask[index], self.lengths[index], self.logits[index]

    def opened(self) -> tuple[Tensor, Tensor]:
        """Mask [slots, width] and positions [slots, 1] of a token that each row is about to get."""
        self._look()
        self._make_room(0, 1)
        low, end = self.span.low, self.span.end
        self.mask[:, end] = 1  # in free slots too: a row that sees nothing would give numbers that are none
        return self.mask[:, low : end + 1], self.lengths.clamp(min=0).unsqueeze(1)

    def grown(self, logits: Tensor) -> None:
        """Each row has got its token; `logits` follow it."""
        self.span.end += 1
        self.lengths += 1
        self.logits = logits

    def _look(self) -> None:
        self.span.low = min((at for at in self.first if at is not None), default=self.span.end)

    def _make_room(self, before: int, after: int) -> None:
        """Have so many columns before the end and after it, by moving what is looked at."""
        span, columns = self.span, self.mask.shape[1]
        if span.end >= before and span.end + after <= columns:
            return
        kept = slice(span.low, span.end)
        width = span.end - span.low
        end = max(before, width)
        size = max(columns, end + max(SLACK, end // 2))
        for held in self.layers:
            held.buffers = [self._moved(buffer, 2, kept, end, size) for buffer in held.buffers]
        self.mask = self._moved(self.mask, 1, kept, end, size)
        shift = end - span.end
        self.first = [None if at is None else at + shift for at in self.first]
        span.low, span.end = span.low + shift, end

    @staticmethod
    def _moved(buffer: Tensor, dim: int, kept: slice, end: int, size: int) -> Tensor:
        shape = list(buffer.shape)
        shape[dim] = size
        moved = buffer.new_zeros(shape)
        width = kept.stop - kept.start
        moved.narrow(dim, end - width, width).copy_(buffer.narrow(dim, kept.start, width))
        return moved
