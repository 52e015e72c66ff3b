"""Train the classifier that judges whose style a text has: from sources of texts to a folder and its figures.

    ngram     logistic regression on hashed n-grams: seconds, the same bytes everywhere
    encoder   a pretrained model of transformers, fine-tuned in balanced batches, kept in half precision on request

A share of each class, equally many, is held out for the figures. What generators write before they are tuned is
told apart at chance (0.5 of two classes); say both figures. The folder is harness/scorers/classifier_folder.py's.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness import environment
from harness.config.identity import digest
from harness.errors import ConfigError, UserError
from harness.scorers import classifier_folder
from harness.training.style.text_sources import read_texts

HELD_OUT = 0.2  # of the smallest class, and as many of each other
LEARNING_RATE = 5e-5


@dataclass(frozen=True)
class ClassifierConfig:
    """`classes` are name -> source (text_sources.py). `encoder` is the folder of a pretrained model; empty is ngram.

    `batch` texts a step at most, or one of each class, hold every class equally often; `tokens` of a text are what an
    encoder reads. `half`: its weights are kept as float16.
    """

    classes: Mapping[str, str]
    data: str | None = None
    encoder: str = ""
    epochs: int = 0  # 0: 30 of ngram, 3 of an encoder
    batch: int = 64
    tokens: int = 128
    half: bool = False
    seed: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """All that makes another classifier of the same texts."""
        return {key: value for key, value in asdict(self).items() if key not in ("classes", "data")}


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with the number of their class."""

    texts: Sequence[str]
    labels: Sequence[int]


def split(found: Sequence[Sequence[str]], seed: int) -> tuple[LabelledTexts, LabelledTexts]:
    """(to train on, held out); of the held out every class has equally many. Raises ConfigError."""
    smallest = min(map(len, found))
    count = max(1, round(HELD_OUT * smallest))
    if smallest < 5:
        raise ConfigError(f"a class has {smallest} different texts: at least 5 are needed")
    trained: list[tuple[str, int]] = []
    held: list[tuple[str, int]] = []
    for label, texts in enumerate(found):
        drawn = random.Random(f"{seed}:{label}").sample(texts, len(texts))
        held += [(text, label) for text in drawn[:count]]
        trained += [(text, label) for text in drawn[count:]]
    seen = {text for text, _ in trained}
    unseen = [pair for pair in held if pair[0] not in seen]  # what two classes both have tells nothing
    if not unseen:
        raise ConfigError(
            "every text held out is one of another class too: the classes need texts that tell them apart"
        )
    return _labelled(trained), _labelled(unseen)


def _labelled(pairs: Sequence[tuple[str, int]]) -> LabelledTexts:
    return LabelledTexts([text for text, _ in pairs], [label for _, label in pairs])


def train_classifier(
    config: ClassifierConfig, out: Path, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Train, judge what was held out, write the folder; its record. Raises UserError."""
    from harness.scorers import style_classifier

    if len(config.classes) < 2:
        raise ConfigError("a classifier needs two classes or more: --class NAME=SOURCE for each")
    if config.half and not config.encoder:
        raise ConfigError("half precision is an encoder's: give --encoder, or leave --half out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty: give --out a new folder")
    each = max(1, config.batch // len(config.classes))
    settings = config.settings
    config = replace(config, batch=each * len(config.classes))
    found = [read_texts(source, config.data) for source in config.classes.values()]
    train, held = split(found, config.seed)
    out.mkdir(parents=True, exist_ok=True)
    if config.encoder:
        size = fine_tune(config, train, out / classifier_folder.ENCODER, progress)
        classify = style_classifier.load_pretrained(
            out / classifier_folder.ENCODER, config.batch, config.tokens
        )
    else:
        linear = style_classifier.train(
            train.texts, train.labels, config.epochs or 30, config.batch, config.seed
        )
        linear.save(out / classifier_folder.NGRAM)
        classify, size = linear, linear.weights.nbytes + linear.bias.nbytes
    report = style_classifier.evaluate(classify, held.texts, held.labels)
    return classifier_folder.write(
        out,
        {
            "kind": "encoder" if config.encoder else "ngram",
            "classes": list(config.classes),
            "tokens": config.tokens if config.encoder else 0,
            "parameter_bytes": size,
            "report": asdict(report),
            "texts": {name: len(texts) for name, texts in zip(config.classes, found, strict=True)},
            "sources": {name: digest(texts) for name, texts in zip(config.classes, found, strict=True)},
            "seed": config.seed,
            "settings": settings,
            **environment.here(),
        },
    )


def fine_tune(
    config: ClassifierConfig, train: LabelledTexts, out: Path, progress: Callable[[str, int, int], None]
) -> int:
    """A sequence classifier from a pretrained model, saved to `out`; the bytes of its parameters. Raises UserError."""
    import numpy as np
    import torch

    from harness.scorers.style_classifier import balanced_batches

    labels, rng = np.asarray(train.labels), np.random.default_rng(config.seed)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model, tokenizer = _open_encoder(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
        model.train()
        for epoch in range(config.epochs or 3):
            progress("epochs", epoch, config.epochs or 3)
            for places in balanced_batches(labels, config.batch, rng):
                batch = tokenizer(
                    [train.texts[place] for place in places],
                    padding=True,
                    truncation=True,
                    max_length=config.tokens,
                    return_tensors="pt",
                )
                logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
                loss = torch.nn.functional.cross_entropy(logits.float(), torch.tensor(labels[places]))
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                optimizer.zero_grad()
    progress("epochs", config.epochs or 3, config.epochs or 3)
    model = model.half() if config.half else model
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return sum(each.numel() * each.element_size() for each in model.parameters())


def _open_encoder(config: ClassifierConfig) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from harness.backends import hub
    from harness.backends.hf import checkpoint

    folder, _ = hub.find(config.encoder, None)
    names = dict(enumerate(config.classes))
    try:
        with checkpoint.silenced():
            model = AutoModelForSequenceClassification.from_pretrained(
                folder,
                local_files_only=True,
                num_labels=len(names),
                id2label=names,
                dtype=torch.float32,  # half precision loses the small steps of a fine-tuning
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{config.encoder} cannot be fine-tuned as a classifier: {checkpoint.first_line(error)}"
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer
