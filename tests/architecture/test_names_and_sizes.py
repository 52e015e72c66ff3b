"""Names that mean one thing, and files and functions that fit a head."""

import ast
from collections import defaultdict

from tests.architecture.test_layers import TREES
from tests.support.paths import ROOT

FOLDERS = ("harness", "tasks", "tests", "tools", "benchmarks")


def test_no_two_public_classes_have_one_name() -> None:
    """One word, one meaning: docs/glossary.md."""
    places = defaultdict(list)
    for name, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(name)
    assert {name: there for name, there in places.items() if len(there) > 1} == {}


def test_at_most_seven_modules_lie_loose_in_the_package() -> None:
    assert len(list((ROOT / "harness").glob("*.py"))) <= 7


def test_files_and_functions_are_of_a_size_to_be_read() -> None:
    long = []
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        name, text = path.relative_to(ROOT), path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > 400:
            long.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and (size := node.end_lineno - node.lineno + 1) > 60:  # type: ignore[operator]
                long.append(f"{name}: {node.name}: {size} lines")
    assert long == []
