"""Style while a model is trained: every so many steps it writes a fixed batch, and a frozen classifier reads it.

    build         from the config: prompts, the other class's texts, the classifier
    BatchWriter   the model at hand writes: sampled, over-generated, translated to the classifier's tokens, cut
    StyleWatch    that batch beside as many texts of the other class: accuracy, loss, style score

A training loop calls a `StyleWatch` with the number of each step. The classifier gets texts and gives numbers, so no
gradient can pass through it, and what is drawn leaves the training's own random numbers as they were. Not here: the
loop, and what an answer is worth. `style_classifier.trend` says whether the scores rise.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends.hf.tokenizer import Codec
from harness.errors import ConfigError
from harness.scorers import classifier_folder
from harness.text import retokenize
from harness.training.config import TrainConfig, WatchConfig
from harness.training.data import examples
from harness.training.style.text_sources import read_texts

if TYPE_CHECKING:
    from harness.scorers.style_classifier import Classifier
    from harness.training.methods import Base


@dataclass(frozen=True)
class StylePoint:
    """What the classifier found after a step in n texts, half of them written just now by the model, with label y.

    `style` is the mean P(y) of the model's texts; `accuracy` and `loss` (the mean -ln of the right class's probability)
    are of all n. `short` texts of the model had fewer tokens than were asked for.
    """

    step: int
    style: float
    accuracy: float
    loss: float
    n: int
    short: int = 0


@dataclass(frozen=True)
class WrittenBatch:
    texts: Sequence[str]
    short: int = 0


@dataclass(frozen=True)
class StyleWatch:
    """Call with each step's number, 0 before the first; at every `every`-th it gives a point, else None.

    `write` gives the batch: it must ask the same prompts with the same seed each time, and draw from a generator of
    its own, or watching changes the training. `others` are texts of the class that is not `label`, as many as
    are written. Raises ConfigError for another number of texts.
    """

    write: Callable[[], WrittenBatch]
    classifier: "Classifier"
    label: int
    others: Sequence[str]
    every: int

    def __call__(self, step: int) -> StylePoint | None:
        if step % self.every:
            return None
        import numpy as np

        batch, count = self.write(), len(self.others)
        if len(batch.texts) != count or not count:
            raise ConfigError(f"the batch of step {step} has {len(batch.texts)} texts; {count} are expected")
        labels = np.array([self.label] * count + [1 - self.label] * count)
        chances = self.classifier([*batch.texts, *self.others])
        own = chances[np.arange(2 * count), labels]
        return StylePoint(
            step=step,
            style=float(chances[:count, self.label].mean()),
            accuracy=float((chances.argmax(axis=1) == labels).mean()),
            loss=float(-np.log(np.maximum(own, 1e-12)).mean()),
            n=2 * count,
            short=batch.short,
        )


def build(config: TrainConfig, base: "Base", codec: Codec, model: Any) -> StyleWatch | None:
    """The watch that a config asks for; None without one. Raises UserError."""
    watch = config.watch
    if watch is None:
        return None
    check(watch)
    judge = classifier_folder.load(Path(watch.classifier).expanduser())
    label = judge.label(watch.label)
    reader = _tokenizer(judge) or base.tokenizer
    cut = TextCutter(base.tokenizer, reader, watch.length)
    others = read_texts(watch.against, config.data_folder)
    if len(others) < watch.texts:
        raise ConfigError(f"watch.against: {len(others)} texts, and watch.texts = {watch.texts} are needed")
    drawn = random.Random(watch.seed).sample(others, watch.texts)
    encoded = [base.tokenizer.encode(text, add_special_tokens=False) for text in drawn]
    return StyleWatch(
        write=BatchWriter(watch, model, codec, _prompts(config, watch, codec), cut),
        classifier=judge.classify,
        label=label,
        others=cut(encoded).texts,
        every=watch.every,
    )


def check(watch: WatchConfig | None) -> None:
    """Before any work. Raises UserError for a classifier of more than two classes, or an unknown label."""
    if watch is None:
        return
    classes = classifier_folder.check_label(Path(watch.classifier).expanduser(), watch.label, "watch.label")
    if len(classes) != 2:
        raise ConfigError(
            f"watch.classifier: two classes are watched, and {watch.classifier} has {len(classes)}"
        )


def _tokenizer(judge: classifier_folder.StoredClassifier) -> Any:
    """The encoder's; None for n-grams, which read text."""
    if not judge.tokens:
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(judge.folder / classifier_folder.ENCODER, local_files_only=True)


def _prompts(config: TrainConfig, watch: WatchConfig, codec: Codec) -> list[tuple[int, ...]]:
    """Token ids of `texts` prompts, drawn with the seed; where there are fewer they come round again."""
    tasks = [each for each in config.data if each.task]
    asked = tasks[0].model_copy(update={"split": watch.split, "limit": None}) if tasks else config.data[0]
    asked = asked.model_copy(update={"validation": "none"})
    found = examples.load(asked, config.data_folder, watch.seed, codec.chat).train
    drawn = random.Random(watch.seed).sample(range(len(found)), len(found))
    return [codec.encode(found[drawn[i % len(drawn)]][0].prompt) for i in range(watch.texts)]


@dataclass(frozen=True)
class TextCutter:
    """Ids of the model's tokenizer `a` to texts of at most `length` tokens of the classifier's tokenizer `b`."""

    a: Any
    b: Any
    length: int

    def __call__(self, rows: Sequence[Sequence[int]]) -> WrittenBatch:
        translated = [retokenize.retokenize(row, self.a, self.b) for row in rows]
        cut = retokenize.pad_or_truncate(translated, self.length, pad=0)
        kept = [ids[: sum(mask)] for ids, mask in zip(cut.ids, cut.mask, strict=True)]
        return WrittenBatch([retokenize.decode(ids, self.b) for ids in kept], cut.short)


@dataclass(frozen=True)
class BatchWriter:
    """What the model writes for the prompts, as it is at that step."""

    watch: WatchConfig
    model: Any
    codec: Codec
    prompts: Sequence[Sequence[int]]
    cut: TextCutter
    size: int = field(default=8)  # prompts that are answered at once

    def __call__(self) -> WrittenBatch:
        import torch

        training = self.model.training
        self.model.eval()
        rows: list[list[int]] = []
        try:
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(self.watch.seed)
                for start in range(0, len(self.prompts), self.size):
                    rows += self._answers(self.prompts[start : start + self.size])
        finally:
            self.model.train(training)
        return self.cut(rows)

    def _answers(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        import torch

        width = max(map(len, prompts))
        eos = sorted(self.codec.eos)
        pad = eos[0] if eos else 0
        # On the left, for what is generated continues the last position.
        ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts])
        made = self.model.generate(
            input_ids=ids.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            max_new_tokens=self._room(width),
            do_sample=True,
            temperature=self.watch.temperature,
            top_k=0,
            top_p=1.0,
            eos_token_id=eos or None,
            pad_token_id=pad,
        )
        answers = made if self.codec.encoder else made[:, width:]
        return [self._until_end(row) for row in answers.tolist()]

    def _room(self, width: int) -> int:
        wanted = retokenize.overgenerated_length(self.watch.length, self.watch.over_generation)
        most = getattr(self.model.config, "max_position_embeddings", None)
        return wanted if most is None or self.codec.encoder else max(1, min(wanted, most - width))

    def _until_end(self, row: Sequence[int]) -> list[int]:
        row = row[1:] if self.codec.encoder else row  # a decoder begins with a token of its own
        end = next((place for place, token in enumerate(row) if token in self.codec.eos), len(row))
        return list(row[:end])
