"""Examples -> token rows, and batches of rows -> tensors. The one place that says which tokens are learnt.

A prompt has the very tokens that evaluation feeds the model (`hf.tokenizer.Codec`); the answer is tokenised separately,
as it is generated separately, and ends with the end-of-text token. Prompts are not learnt: label -100.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.backends.hf.tokenizer import Codec
from harness.errors import UserError
from harness.schema import Prompt
from harness.training.data.examples import Example, TrainingTurn
from harness.training.data.packing import Batch, TokenRow, window_width

if TYPE_CHECKING:
    import torch

IGNORE_INDEX = -100
CHUNK = 2000  # examples tokenised in one call


def encode(examples: Sequence[Example], codec: Codec, task: int = 0) -> list[TokenRow]:
    """Token rows of one task, in order. A chat whose template rewrites earlier turns gives a row a turn."""
    rest = iter(examples)
    made: list[TokenRow] = []
    while chunk := list(islice(rest, CHUNK)):
        made += _encode(chunk, codec, task)
    return made


def _encode(examples: Sequence[Example], codec: Codec, task: int) -> Iterator[TokenRow]:
    pieces = [text for example in examples for text in _texts(example, codec)]
    encoded = iter(codec.encode_batch(pieces))
    for example in examples:
        if codec.encoder:
            yield _encoder_decoder_row(example, codec, next(encoded), task)
        elif example[0].prompt.messages:
            yield from _chat_rows(example, codec, [next(encoded) for _ in example], task)
        else:
            yield _text_row(example, codec, encoded, task)


def _texts(example: Example, codec: Codec) -> Iterator[str]:
    """The texts of an example that are tokenised without special tokens, in the order they are used."""
    if codec.encoder or example[0].prompt.messages:
        for turn in example[-1:] if codec.encoder else example:
            yield codec.render_reply(turn.prompt, turn.answer)
        return
    for i, turn in enumerate(example):
        if i:
            yield turn.prompt.text
        yield turn.answer


def _text_row(example: Example, codec: Codec, encoded: Iterator[Sequence[int]], task: int) -> TokenRow:
    first = example[0].prompt
    ids = list(codec.encode(first)) if first.text else codec.bos_tokens()
    learnt = [False] * len(ids)
    for i, turn in enumerate(example):
        if i:
            more = next(encoded)
            ids += more
            learnt += [False] * len(more)
        answer = [*next(encoded), *([codec.eos_token_id] if turn.end else [])]
        ids += answer
        learnt += [turn.learn] * len(answer)
    return _token_row(ids, learnt, task)


def _chat_rows(
    example: Example, codec: Codec, answers: Sequence[Sequence[int]], task: int
) -> Iterator[TokenRow]:
    ids: list[int] = []
    learnt: list[bool] = []
    for turn, answer in zip(example, answers, strict=True):
        asked = list(codec.encode(turn.prompt))
        if ids and asked[: len(ids)] != ids:
            yield _token_row(ids, learnt, task)
            ids, learnt = [], []
        learnt += [False] * (len(asked) - len(ids))
        ids = [*asked, *answer]
        ends = [i for i, token in enumerate(answer) if token in codec.eos]
        if not ends:
            ids.append(codec.eos_token_id)
        count = ends[-1] + 1 if ends else len(answer) + 1
        learnt += [turn.learn] * count + [False] * (len(ids) - len(learnt) - count)
    yield _token_row(ids, learnt, task)


def _encoder_decoder_row(example: Example, codec: Codec, answer: Sequence[int], task: int) -> TokenRow:
    import numpy as np

    target = [*answer, *([] if answer and answer[-1] == codec.eos_token_id else [codec.eos_token_id])]
    source = np.array(codec.encode(_all_before(example)), dtype=np.int32)
    row = _token_row(target, [True] * len(target), task)
    return TokenRow(row.ids, row.learnt, task, source)


def _all_before(example: Sequence[TrainingTurn]) -> Prompt:
    """What an encoder reads: everything before the last answer."""
    last = example[-1]
    if last.prompt.messages:
        return last.prompt
    return Prompt(text="".join(t.prompt.text + t.answer for t in example[:-1]) + last.prompt.text)


def _token_row(ids: Sequence[int], learnt: Sequence[bool], task: int) -> TokenRow:
    import numpy as np

    return TokenRow(np.array(ids, dtype=np.int32), np.array(learnt, dtype=np.bool_), task)


def collate(
    batch: Batch, pad: int, multiple: int = 1, length: int | None = None, block: bool = False
) -> dict[str, "torch.Tensor"]:
    """Tensors of a batch, padded on the right to `length` or to the longest line, a multiple of `multiple`.

    input_ids, attention_mask, labels and segments are [lines, width]; a label is the token where it is learnt
    and -100 elsewhere, a segment the number of the sample within its line from 1 on, 0 on padding. tasks is
    [lines]. With `block`, position_ids begin anew in every sample and attention_mask is [lines, 1, width,
    width], true where a token may look. Encoder-decoder: the ids are the encoder's, and labels are the target's.
    """
    import torch

    encoder = batch[0][0].source is not None
    longest = length or -max(window_width(window) for window in batch) // multiple * -multiple
    shape = (len(batch), longest)
    ids = torch.full(shape, pad, dtype=torch.long)
    mask = torch.zeros(shape, dtype=torch.long)
    targets = length or -max(len(row) for window in batch for row in window) // multiple * -multiple
    labels = torch.full((len(batch), targets if encoder else longest), IGNORE_INDEX)
    segments = torch.zeros(labels.shape, dtype=torch.long)
    positions = torch.zeros(shape, dtype=torch.long)
    for line, window in enumerate(batch):
        at = 0
        for number, row in enumerate(window, 1):
            given = torch.from_numpy(row.ids).long()
            where = slice(at, at + len(row))
            labels[line, where] = torch.where(torch.from_numpy(row.learnt), given, IGNORE_INDEX)
            segments[line, where] = number
            seen = given if row.source is None else torch.from_numpy(row.source).long()
            inside = slice(at, at + len(seen))
            ids[line, inside] = seen
            mask[line, inside] = 1
            positions[line, inside] = torch.arange(len(seen))
            if block:
                labels[line, at] = IGNORE_INDEX  # no token of its own sample comes before it
            at += len(row)
    tensors = {"input_ids": ids, "attention_mask": mask, "labels": labels, "segments": segments}
    tensors["tasks"] = torch.tensor([window[0].task for window in batch])
    if block:
        same = segments[:, :, None] == segments[:, None, :]
        tensors["attention_mask"] = (same & torch.ones(longest, longest, dtype=torch.bool).tril())[:, None]
        tensors["position_ids"] = positions
    return tensors


def check_tokenizer(codec: Codec) -> None:
    """Raises UserError when the tokenizer cannot end an answer."""
    if codec.tokenizer.eos_token_id is None:
        raise UserError("this tokenizer has no end-of-text token (eos_token): answers could not be ended")


def token_counts(tensors: Mapping[str, Any], encoder: bool) -> tuple[int, int, int]:
    """(cells, tokens, learnt tokens) of a batch; of an encoder-decoder both sides count."""
    segments, labels, ids = tensors["segments"], tensors["labels"], tensors["input_ids"]
    cells, tokens = segments.numel(), int((segments > 0).sum())
    if encoder:
        cells, tokens = cells + ids.numel(), tokens + int(tensors["attention_mask"].sum())
    return cells, tokens, int((labels != IGNORE_INDEX).sum())
