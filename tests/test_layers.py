"""The shape of the code: imports run downhill, heavy packages load late, only the command line talks.

All of it is read from the syntax trees, so a rule also holds for code that never runs here. Counted as an
import: any import statement, inside functions and under `if TYPE_CHECKING` too (a type is knowledge of a
module like any other). tasks/demo/ is left out of the rules on printing and heavy imports: it holds the
scripts that made the demo model, and no module of the harness imports it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A module or package of harness/, or tasks/, may import what has a smaller number.
LAYERS = {
    "harness": 0,  # __init__.py: the version, nothing else
    "errors": 0,
    "proofs": 0,
    "inline": 1,
    "schema": 0,
    "extract": 0,
    "text": 0,
    "evalplus": 0,
    "expressions": 0,
    "decoding": 0,
    "diversity": 0,
    "translation": 0,
    "mutation": 0,
    "overlap": 0,
    "classifier": 1,
    "coevolution": 2,
    "config": 1,
    "stats": 1,
    "paired": 2,
    "prompts": 1,
    "sql": 1,
    "sources": 2,
    "scorers": 2,
    "keys": 0,
    "processors": 0,
    "identity": 1,
    "places": 1,
    "log": 1,
    "store": 2,
    "sandbox": 2,
    "provenance": 2,
    "weights": 1,
    "retrieval": 2,
    "shots": 3,
    "backends": 3,
    "catalog": 3,
    "matrix": 2,
    "answers": 3,
    "pricing": 2,
    "planning": 4,
    "judging": 4,
    "summing": 4,
    "crew": 4,
    "shards": 4,
    "runner": 4,
    "cluster": 5,
    "results": 4,
    "compare": 5,
    "gate": 5,
    "export": 5,
    "tracking": 5,
    "imported": 5,
    "foreign": 5,
    "study": 5,
    "merge": 5,
    "together": 5,
    "train": 4,
    "report": 5,
    "contest": 5,
    "doctor": 5,
    "progress": 5,
    "cli": 6,
    "__main__": 7,
    "tasks": 3,
    "tasks package": 0,  # tasks/__init__.py: a docstring; imported to find the folder of the data files
}

# Within a layer only these, and a package's own files among themselves.
SIDEWAYS = {
    ("schema", "errors"),
    ("extract", "schema"),
    ("extract", "text"),
    ("classifier", "stats"),
    ("translation", "errors"),
    ("evalplus", "schema"),
    ("judging", "planning"),
    ("summing", "planning"),
    ("runner", "planning"),
    ("runner", "crew"),
    ("cluster", "doctor"),
    ("runner", "judging"),
    ("runner", "summing"),
    ("runner", "shards"),
    ("shards", "planning"),
    ("shards", "summing"),
    ("study", "together"),
    ("report", "compare"),
    ("report", "gate"),
    ("tracking", "export"),
    ("imported", "compare"),
    ("foreign", "imported"),
    ("report", "imported"),
}

# A task is written against these, and against nothing that runs it.
TASKS_MAY_IMPORT = {
    "schema",
    "sources",
    "extract",
    "scorers",
    "prompts",
    "errors",
    "evalplus",
    "sql",
    "proofs",
    "inline",
}

HEAVY = {
    "accelerate",
    "bitsandbytes",
    "bm25s",
    "faiss",
    "filelock",
    "fsspec",
    "httpx2",
    "huggingface_hub",
    "matplotlib",
    "mlflow",
    "pandas",
    "peft",
    "pyarrow",
    "ray",
    "rich",
    "sacrebleu",
    "scipy",
    "sqlparse",
    "sentence_transformers",
    "sympy",
    "torch",
    "transformers",
    "tree_sitter",
    "tree_sitter_python",
    "wandb",
}

# These parts of the hf backend and of training are about tensors from their first line. Nothing but they
# themselves may import them at module level (test_only_the_hf_backends_own_parts_load_torch_at_module_level).
TENSOR_CODE = {
    "harness.backends.hf_beam",
    "harness.backends.hf_choose",
    "harness.backends.hf_decode",
    "harness.backends.hf_lanes",
    "harness.backends.hf_likelihood",
    "harness.backends.hf_linear",
    "harness.backends.hf_memory",
    "harness.backends.hf_mixed",
    "harness.backends.hf_network",
    "harness.backends.hf_prefix",
    "harness.backends.hf_schedule",
    "harness.backends.hf_search",
    "harness.backends.hf_shape",
    "harness.train.arguments",
    "harness.train.forward",
    "harness.train.loop",
    "harness.train.losses",
    "harness.train.muon",
}

# What may touch the process's surroundings besides cli/, and why.
SPEAKERS = {
    "harness.cli": {"print", "environment", "exit"},
    "harness.cli.cache": {"print"},
    "harness.cli.doctor": {"print", "exit"},
    "harness.cli.evaluate": {"print", "exit"},
    "harness.cli.exchange": {"print"},
    "harness.cli.quickstart": {"print"},
    "harness.cli.reading": {"print", "environment", "exit"},
    "harness.cli.rows": {"print"},
    "harness.cli.shared": {"print", "environment", "exit"},
    "harness.cli.training": {"print", "environment"},
    "harness.doctor": {"environment"},  # plants a secret for the attacks to look for
    "harness.progress": {"print"},  # writes to the stream it is given
    "harness.scorers.spread": {"print"},  # its processes answer on their standard output
    "harness.backends.openai": {"environment"},  # the key of a server, which is written nowhere
    "harness.sandbox.launch": {"environment"},  # hands the loader's path on to the child interpreter
    "harness.sandbox.zygote": {"environment"},  # a child process: it cleans its own environment
    "harness.sandbox.program": {"print"},  # the candidate's own process: shows SystemExit as Python does
}


@dataclass(frozen=True)
class Import:
    """`what` is a dotted module; `late`: inside a function, `typing`: under TYPE_CHECKING."""

    what: str
    line: int
    late: bool = False
    typing: bool = False


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file, of everything in harness/ and tasks/."""
    found = {}
    for package in ("harness", "tasks"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, tree: ast.AST, known: Mapping[str, object]) -> Iterator[Import]:
    """Every import in a module's tree; `from harness import x` names harness.x where that is a module."""

    def walk(node: ast.AST, late: bool, typing: bool) -> Iterator[Import]:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(alias.name, node.lineno, late, typing)
            case ast.ImportFrom(module=module, names=names, level=level):
                assert level == 0, (
                    f"{name}:{node.lineno}: relative import; the layers are read from full names"
                )
                assert module is not None
                for alias in names:
                    full = f"{module}.{alias.name}"
                    yield Import(full if full in known else module, node.lineno, late, typing)
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=orelse):
                for guarded in body:
                    yield from walk(guarded, late, True)
                for other in orelse:
                    yield from walk(other, late, typing)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, True, typing)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, late, typing)

    yield from walk(tree, False, False)


def part(name: str) -> str:
    """The row of LAYERS that a module belongs to: 'harness.sandbox.pool' -> 'sandbox'."""
    first, _, rest = name.partition(".")
    if first == "tasks":
        return "tasks" if rest else "tasks package"
    return rest.split(".")[0] or "harness"


def uphill(name: str, tree: ast.AST, known: Mapping[str, object]) -> list[str]:
    """A line for each import that the layers do not allow."""
    wrong = []
    for each in imports(name, tree, known):
        if each.what.split(".")[0] not in {"harness", "tasks"}:
            continue
        here, there = part(name), part(each.what)
        if here == there or (here, there) in SIDEWAYS:
            continue
        if here == "tasks" and there not in TASKS_MAY_IMPORT | {"tasks package"}:
            wrong.append(f"{name}:{each.line}: a task imports {each.what}")
        elif LAYERS[there] >= LAYERS[here] and there not in {"harness", "tasks package"}:
            wrong.append(f"{name}:{each.line}: {here} ({LAYERS[here]}) imports {there} ({LAYERS[there]})")
    return wrong


FILES = modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
HARNESS = sorted(name for name in FILES if not name.startswith("tasks.demo"))


def test_the_table_names_every_module_and_no_other() -> None:
    assert {part(name) for name in FILES} == set(LAYERS)
    assert len(FILES) > 40


def test_no_import_runs_uphill() -> None:
    assert [line for name, tree in TREES.items() for line in uphill(name, tree, FILES)] == []


@pytest.mark.parametrize(
    ("name", "code", "complaint"),
    [
        ("harness.text", "from harness import stats", "harness.text:1: text (0) imports stats (1)"),
        ("harness.stats", "import harness.runner", "harness.stats:1: stats (1) imports runner (4)"),
        ("harness.sandbox.pool", "from harness.store import Run", "sandbox (2) imports store (2)"),
        ("harness.errors", "from harness.schema import Value", "errors (0) imports schema (0)"),
        (
            "harness.store",
            "def f():\n    from harness import cli",
            "harness.store:2: store (2) imports cli (6)",
        ),
        ("harness.prompts", "if TYPE_CHECKING:\n    import harness.cli", "prompts (1) imports cli (6)"),
        ("harness.config", "class A:\n    from tasks.conala import task", "config (1) imports tasks (3)"),
        ("tasks.conala", "from harness import runner", "tasks.conala:1: a task imports harness.runner"),
        ("tasks.conala", "from harness import stats", "tasks.conala:1: a task imports harness.stats"),
    ],
)
def test_a_planted_uphill_import_is_found(name: str, code: str, complaint: str) -> None:
    (line,) = uphill(name, ast.parse(code), FILES)
    assert complaint in line


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("harness.cli", "from harness import runner, store"),
        ("harness.sandbox.pool", "from harness.sandbox import batch"),
        ("harness.sources", "import tasks"),
        ("harness.provenance", "from harness import __version__"),
        ("tasks.conala", "from harness import scorers\nfrom harness.extract import first_code_block"),
        ("harness.text", "import numpy"),
    ],
)
def test_downhill_imports_are_allowed(name: str, code: str) -> None:
    assert uphill(name, ast.parse(code), FILES) == []


def runtime_graph(late: bool) -> dict[str, set[str]]:
    """Module -> the project's modules that running it imports; `late` adds the imports inside functions."""
    return {
        name: {
            each.what
            for each in imports(name, tree, FILES)
            if each.what in FILES and each.what != name and not each.typing and (late or not each.late)
        }
        for name, tree in TREES.items()
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = runtime_graph(late=True)
    # A package imports its files, and they import their siblings through it: not a circle of files.
    rooms = {name: {to for to in there if not name.startswith(f"{to}.")} for name, there in graph.items()}
    while leaves := {name for name, there in rooms.items() if not there}:
        rooms = {name: there - leaves for name, there in rooms.items() if name not in leaves}
    assert rooms == {}


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_module_says_what_it_is_for(name: str) -> None:
    docstring = ast.get_docstring(TREES[name])
    assert docstring
    assert len(docstring) > 20


def test_only_the_hf_backends_own_parts_load_torch_at_module_level() -> None:
    heavy = {
        name
        for name in HARNESS
        for each in imports(name, TREES[name], FILES)
        if each.what.split(".")[0] in HEAVY and not each.late and not each.typing
    }
    assert heavy == TENSOR_CODE
    graph = runtime_graph(late=False)
    assert {name for name, there in graph.items() if there & TENSOR_CODE} <= TENSOR_CODE


def test_importing_the_whole_harness_loads_nothing_heavy() -> None:
    names = [name for name in HARNESS if name not in TENSOR_CODE and name != "harness.sandbox.program"]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def deeds(tree: ast.AST) -> set[str]:
    """What a module does to its surroundings: print, environment, exit."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "input")):
                found.add("print")
            case ast.Attribute(value=ast.Name(id="click"), attr="echo" | "secho"):
                found.add("print")
            case ast.Attribute(
                value=ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr"), attr="write"
            ):
                found.add("print")
            case ast.Attribute(value=ast.Name(id="stream"), attr="write"):
                found.add("print")
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv" | "putenv"):
                found.add("environment")
            case ast.ImportFrom(module="os", names=names) if {"environ", "getenv"} & {n.name for n in names}:
                found.add("environment")
            case ast.Attribute(value=ast.Name(id="sys"), attr="exit"):
                found.add("exit")
            case ast.Call(func=ast.Name(id="exit" | "quit" | "SystemExit")):
                found.add("exit")
            case ast.Raise(exc=ast.Name(id="SystemExit")):
                found.add("exit")
    return found


@pytest.mark.parametrize("name", HARNESS)
def test_only_the_command_line_prints_reads_the_environment_or_exits(name: str) -> None:
    assert deeds(TREES[name]) <= SPEAKERS.get(name, set())


@pytest.mark.parametrize(
    ("code", "deed"),
    [
        ("print(1)", "print"),
        ("import sys\nsys.stderr.write('x')", "print"),
        ("click.echo('x')", "print"),
        ("x = os.environ.get('HOME')", "environment"),
        ("os.getenv('HOME')", "environment"),
        ("from os import environ", "environment"),
        ("def f():\n    sys.exit(2)", "exit"),
        ("raise SystemExit", "exit"),
        ("raise SystemExit(2)", "exit"),
    ],
)
def test_a_planted_deed_is_found(code: str, deed: str) -> None:
    assert deeds(ast.parse(code)) == {deed}


def test_no_exception_from_the_rule_is_left_over() -> None:
    unused = [(name, allowed - deeds(TREES[name])) for name, allowed in SPEAKERS.items()]
    assert [(name, left) for name, left in unused if left] == []
