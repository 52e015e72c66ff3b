"""Lets a process import only named modules from folders of installed packages.

Not a protection: what is installed there may be read. It makes a verdict independent of what else is installed.
"""

import sys
from _frozen_importlib_external import PathFinder
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


def limit(folders: Sequence[str], importable: Iterable[str]) -> None:
    """From now on. What a module imports from below its own package is found as ever."""
    sys.path[:] = [path for path in sys.path if path not in folders]
    sys.meta_path.append(NamedPackages(list(folders), frozenset(importable)))


class NamedPackages:
    """A finder of modules, and of their distributions' metadata, which some libraries read when they are imported."""

    def __init__(self, folders: list[str], importable: frozenset[str]) -> None:
        self.folders = folders
        self.importable = importable

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> "ModuleSpec | None":
        if path is None and name in self.importable:
            return PathFinder.find_spec(name, self.folders, target)
        return None

    def find_distributions(self, context: Any) -> Iterable[Any]:
        from importlib.metadata import DistributionFinder, MetadataPathFinder

        wanted: dict[str, Any] = {"path": self.folders}
        if context.name is not None:
            wanted["name"] = context.name
        return MetadataPathFinder.find_distributions(DistributionFinder.Context(**wanted))
