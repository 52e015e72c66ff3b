"""A study that trains its own judge of style, and a new one of what the generators wrote, in rounds.

    [classifier]               the keys of harness train-classifier, and `rounds`
    rounds = 2
    classes = { alice = "task:conala", edgar = "task:calculus" }

Each round trains the classifier, then the generators that it watches, then runs the cells it scores. The classes of the
first round are the sources given; those of a later one are what the generators of the round before wrote: class alice
the completions of the first cell whose adapter is "train:alice". `against = "class:edgar"` is that class's texts of the
round. No gradient passes through the classifier.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.config.identity import digest
from harness.errors import ConfigError, UserError, unknown
from harness.schema import Value
from harness.scorers import classifier_folder
from harness.training.study import PREFIX
from harness.training.style.classifier import ClassifierConfig, train_classifier
from harness.training.style.text_sources import read_texts

CLASS = "class:"
JUDGE = "judge"  # a round's folder of its classifier


class RoundsConfig(Value):
    """A study's [classifier]: `classes` are name -> source (text_sources.py), the others ClassifierConfig's."""

    classes: dict[str, str] = Field(min_length=2)
    rounds: int = Field(default=1, ge=1)
    encoder: str = ""
    epochs: int = Field(default=0, ge=0)
    batch: int = Field(default=64, ge=2)
    tokens: int = Field(default=128, ge=1)
    half: bool = False
    seed: int = 0

    def first(self, data: str | None) -> ClassifierConfig:
        """The classifier of the first round."""
        return ClassifierConfig(**self.model_dump(exclude={"rounds"}), data=data)


def with_judge(
    plain: Mapping[str, Any], config: ClassifierConfig, folder: Path, where: str
) -> dict[str, Any]:
    """The study with its round's classifier in [style] and [train.watch], and its classes' sources for "class:NAME"."""
    made = dict(plain)
    if "style" in made:
        made["style"] = _named(made["style"], folder, f"{where}: style")
    train = made.get("train")
    if isinstance(train, dict) and "watch" in train:
        watched = {**train, "watch": _named(train["watch"], folder, f"{where}: train.watch")}
        made["train"] = _with_sources(watched, config.classes, where)
    if made == plain:
        raise ConfigError(
            f"{where}: [classifier] is trained for [style] or [train.watch], and there is neither"
        )
    return made


def _with_sources(plain: Any, classes: Mapping[str, str], where: str) -> Any:
    if isinstance(plain, list):
        return [_with_sources(each, classes, where) for each in plain]
    if isinstance(plain, dict):
        return {key: _with_sources(value, classes, where) for key, value in plain.items()}
    if not isinstance(plain, str) or not plain.startswith(CLASS):
        return plain
    if (name := plain.removeprefix(CLASS)) not in classes:
        raise ConfigError(f"{where}: train: {unknown('class', name, list(classes))}")
    return classes[name]


def _named(table: Any, folder: Path, place: str) -> dict[str, Any]:
    if not isinstance(table, dict) or "classifier" in table:
        raise ConfigError(f"{place}.classifier: [classifier] trains it: leave this out")
    return {**table, "classifier": str(folder)}


def train_judge(
    config: ClassifierConfig, folder: Path, progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """The record of the classifier in `folder`, which is trained if it is not there. Raises UserError."""
    if (folder / classifier_folder.RECORD).is_file():
        record = classifier_folder.read_record(folder)
        wanted = {name: digest(read_texts(source, config.data)) for name, source in config.classes.items()}
        if record.get("sources") == wanted and record.get("seed") == config.seed:
            return record
        raise UserError(
            f"{folder} holds a classifier of other texts or another seed: give --out a new folder"
        )
    begun = folder.with_name(f"{folder.name}.part")  # so that a folder that is there is whole
    shutil.rmtree(begun, ignore_errors=True)
    record = train_classifier(config, begun, progress)
    begun.rename(folder)
    return record


def check_generators(config: ClassifierConfig, adapters: Sequence[str], where: str) -> None:
    """That each class has a cell whose completions are its texts in the next round. Raises ConfigError."""
    for name in config.classes:
        if PREFIX + name not in adapters:
            raise ConfigError(
                f"{where}: classifier.rounds needs a cell with adapter = {PREFIX + name!r}: what it writes is class"
                f" {name!r} of the next round"
            )


def next_round(config: ClassifierConfig, runs: Mapping[str, Path]) -> ClassifierConfig:
    """The classifier of what the generators wrote: `runs` are the folders of the cells, by their adapters' names."""
    return replace(config, classes={name: str(runs[PREFIX + name]) for name in config.classes})
