"""The problems of a task, from the project's own rows or a folder of benchmark files."""

from harness.schema import Problem, Split
from harness.tasks.loading import data_files, registry

Options = dict[str, object]


def load(name: str, options: Options, split: Split, data: str = "mini") -> list[Problem]:
    return data_files.load(registry.task(name, options), split, data_files.open_source(data))
