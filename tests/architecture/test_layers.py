"""The shape of the code: imports run downhill, heavy packages load late, only the command line talks.

All of it is read from the syntax trees, so a rule also holds for code that never runs here. Counted as an
import: any import statement, inside functions and under `if TYPE_CHECKING` too (a type is knowledge of a
module like any other). tools/ is not looked at: it holds the scripts that made the demo model, which no
module of the harness imports.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# The packages of harness/, ground first. A package may import those of the rows above its own, and itself; two of one
# row do not import each other. harness/__init__.py offers the names of the Python interface and imports none by itself.
LAYERS = (
    ("errors", "cpu_count"),
    ("schema", "files", "listening"),
    ("config", "text", "stats"),
    ("environment", "scorers"),
    ("backends", "sandbox"),
    ("prompts",),
    ("tasks",),
    ("runs",),
    ("parity", "results", "training"),
    ("api",),
    ("serve", "view"),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS, 1) for name in row} | {"harness": 0}

HEAVY = {
    "accelerate",
    "bitsandbytes",
    "bm25s",
    "datasets",
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
    "starlette",
    "sympy",
    "torch",
    "transformers",
    "tree_sitter",
    "tree_sitter_python",
    "uvicorn",
    "wandb",
}

# These parts of the hf backend and of training are about tensors from their first line. Nothing but they
# themselves may import them at module level (test_only_the_hf_backends_own_parts_load_torch_at_module_level).
TENSOR_CODE = {
    "harness.backends.hf.decoding.beam_search",
    "harness.backends.hf.decoding.next_token",
    "harness.backends.hf.decoding.decode_loop",
    "harness.backends.hf.kv_cache",
    "harness.backends.hf.likelihood",
    "harness.backends.hf.onednn_linear",
    "harness.backends.hf.batch_size",
    "harness.backends.hf.adapters.multi_lora",
    "harness.backends.hf.model_runner",
    "harness.backends.hf.prefix_cache",
    "harness.backends.hf.scheduler",
    "harness.backends.hf.adapters.snapshot",
    "harness.backends.hf.decoding.sampling",
    "harness.backends.hf.decoding.logits_processors",
    "harness.training.arguments",
    "harness.training.losses.token_losses",
    "harness.training.trainer",
    "harness.training.losses.objectives",
    "harness.training.muon",
}

# What may touch the process's surroundings besides cli/, which may do all of it, and why.
SPEAKERS = {
    "harness.api": {"environment"},  # HARNESS_DATA and HARNESS_CACHE, as the command line reads them
    "harness.sandbox.self_check": {"environment"},  # plants a secret for the attacks to look for
    "harness.runs.progress": {"print"},  # writes to the stream it is given
    "harness.scorers.parallel": {"print"},  # its processes answer on their standard output
    "harness.backends.openai": {"environment"},  # the key of a server, which is written nowhere
    "harness.sandbox.launch": {"environment"},  # hands the loader's path on to the child interpreter
    "harness.stats.one_thread": {"environment"},  # numpy reads it while it is loaded
    "harness.sandbox.python.zygote": {"environment"},  # a child process: it cleans its own environment
    "harness.sandbox.python.child": {"print"},  # the candidate's own process: shows SystemExit as Python does
}


@dataclass(frozen=True)
class Import:
    """`what` is a dotted module; `late`: inside a function, `typing`: under TYPE_CHECKING."""

    what: str
    line: int
    late: bool = False
    typing: bool = False


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file, of everything in harness/; harness/tasks is a link to tasks/."""
    found = {}
    for folder in (root / "harness", root / "harness" / "tasks"):
        for path in sorted(folder.rglob("*.py")):
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
    """The package or module of harness/ that a dotted name belongs to: 'harness.sandbox.pool' -> 'sandbox'."""
    first, _, rest = name.partition(".")
    return rest.split(".")[0] or first


def uphill(name: str, tree: ast.AST, known: Mapping[str, object]) -> list[str]:
    """A line for each import that the layers do not allow."""
    wrong = []
    for each in imports(name, tree, known):
        here, there = part(name), part(each.what)
        if each.what.split(".")[0] == "tasks":
            wrong.append(f"{name}:{each.line}: the tasks are imported as harness.tasks")
        elif name != "harness" and "harness." in each.what and here != there and RANK[there] >= RANK[here]:
            wrong.append(f"{name}:{each.line}: {here} imports {there}")
    return wrong


FILES = modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
HARNESS = sorted(FILES)


def test_the_layers_name_every_package_and_no_other() -> None:
    assert {part(name) for name in FILES} == set(RANK)
    assert len(FILES) > 40


def test_no_import_runs_uphill() -> None:
    assert [line for name, tree in TREES.items() for line in uphill(name, tree, FILES)] == []


@pytest.mark.parametrize(
    ("name", "code", "complaint"),
    [
        ("harness.text.ngrams", "from harness import stats", "harness.text.ngrams:1: text imports stats"),
        ("harness.stats.estimates", "import harness.runs.run", "stats imports runs"),
        ("harness.sandbox.pool", "from harness.backends import hub", "sandbox imports backends"),
        ("harness.errors", "from harness.schema import Value", "errors imports schema"),
        ("harness.runs.store.reader", "def f():\n    from harness import cli", "reader:2: runs imports cli"),
        ("harness.prompts", "if TYPE_CHECKING:\n    import harness.cli", "prompts:2: prompts imports cli"),
        ("harness.config", "class A:\n    from harness.tasks.conala import task", "config imports tasks"),
        ("harness.tasks.conala", "from harness.runs import run", "tasks.conala:1: tasks imports runs"),
        (
            "harness.tasks.conala",
            "import tasks.apps",
            "tasks.conala:1: the tasks are imported as harness.tasks",
        ),
    ],
)
def test_a_planted_uphill_import_is_found(name: str, code: str, complaint: str) -> None:
    (line,) = uphill(name, ast.parse(code), FILES)
    assert complaint in line


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("harness.cli", "from harness.runs import run, study"),
        ("harness.sandbox.pool", "from harness.sandbox import batch"),
        ("harness.tasks.apps", "import harness.tasks"),
        ("harness.environment", "from harness import __version__"),
        (
            "harness.tasks.conala",
            "from harness import scorers\nfrom harness.text.extract import first_code_block",
        ),
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
    names = [name for name in HARNESS if name not in TENSOR_CODE and name != "harness.sandbox.python.child"]
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


@pytest.mark.parametrize("name", [name for name in HARNESS if part(name) != "cli"])
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
