"""A name means one thing: no package of scorers hides one of its modules behind a value of the same name."""

import importlib
import pkgutil
from types import ModuleType

from harness import scorers


def test_every_module_is_the_attribute_of_its_package() -> None:
    found = [info.name for info in pkgutil.walk_packages(scorers.__path__, "harness.scorers.")]
    assert len(found) > 20
    for name in found:
        package, _, module = name.rpartition(".")
        importlib.import_module(name)
        assert isinstance(getattr(importlib.import_module(package), module), ModuleType), name


def test_every_scorer_is_found_by_its_own_name() -> None:
    for name, scorer in scorers.builtin_scorers().items():
        assert getattr(scorers, name) is scorer
