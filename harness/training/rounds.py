"""A study that trains its own judge of style, and a new one of what the generators wrote, in rounds.

    [classifier]               the keys of harness train-classifier, and `rounds`
    rounds = 2
    classes = { alice = "task:conala", edgar = "task:calculus" }

Each round trains the classifier, then the generators that it watches, then runs the cells it scores. The classes of the
first round are the sources given; those of a later one are what the generators of the round before wrote: class alice
the completions of the first cell whose adapter is "train:alice". `against = "class:edgar"` is that class's texts of the
round. No gradient passes through the classifier: a round's generators begin from the base again, with seeds of their
own, so that its judge is asked about texts it has not learned from. `against` is any text of a class, learned or not.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.config.grid import NAMED
from harness.config.identity import digest
from harness.errors import ConfigError, UserError, unknown
from harness.schema import Value
from harness.scorers import classifier_folder
from harness.training.study import PREFIX
from harness.training.style.classifier import ClassifierConfig, train_classifier
from harness.training.style.text_sources import read_texts

CLASS = "class:"
JUDGE = "judge"  # a round's folder of its classifier
SEEDS_APART = 1000  # from round to round: more than a study has seeds in a row


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
    for key, label in _labels(plain):
        if isinstance(label, str) and label not in config.classes:
            raise ConfigError(f"{where}: {key}.label: {unknown('class', label, list(config.classes))}")
        if key == "watch" and len(config.classes) != 2:
            raise ConfigError(f"{where}: two classes are watched, and [classifier] has {len(config.classes)}")
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


def _labels(plain: Any) -> Iterator[tuple[str, Any]]:
    """The label of every table `style` or `watch`, wherever it stands."""
    if isinstance(plain, list):
        for each in plain:
            yield from _labels(each)
    if isinstance(plain, dict):
        for key, value in plain.items():
            if key in ("style", "watch") and isinstance(value, dict):
                yield key, value.get("label")
            else:
                yield from _labels(value)


def with_seeds(plain: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The study with its round's seeds of runs and trainings, the first round's as given.

    With the same seeds every round would train the same generators once more, and its judge would be asked about the
    very texts that it learned from.
    """
    made = _shifted(plain, SEEDS_APART * (number - 1))
    if isinstance(made.get("train"), dict):
        made["train"] = _shifted(made["train"], SEEDS_APART * (number - 1))
    return made


def _shifted(table: Mapping[str, Any], by: int) -> dict[str, Any]:
    matrix, seed = table.get("matrix"), table.get("seed", 0)
    if not by:
        return dict(table)
    if isinstance(matrix, dict) and "seed" in matrix:
        seeds = matrix["seed"] if isinstance(matrix["seed"], list) else NAMED["seed"][matrix["seed"]]
        return {**table, "matrix": {**matrix, "seed": [each + by for each in seeds]}}
    if isinstance(matrix, dict) and any("seed" in value for value in _tables(matrix)):
        return {**table, "matrix": {axis: _with_later_seeds(values, by) for axis, values in matrix.items()}}
    return {**table, "seed": seed + by}


def _tables(matrix: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of its axes that set several keys at once."""
    return [
        value
        for values in matrix.values()
        if isinstance(values, list)
        for value in values
        if isinstance(value, dict)
    ]


def _with_later_seeds(values: Any, by: int) -> Any:
    if not isinstance(values, list):
        return values
    return [
        {**value, "seed": value["seed"] + by} if isinstance(value, dict) and "seed" in value else value
        for value in values
    ]


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
        same = (list(wanted), wanted, config.settings)
        if (record["classes"], record.get("sources"), record.get("settings")) == same:
            return record
        raise UserError(
            f"{folder} holds a classifier of other texts or other settings: give --out a new folder"
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
