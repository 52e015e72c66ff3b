"""Every error this project raises on purpose, and the exit code each one ends the command line with.

    HarnessError
    ├── UserError        2   the user's mistake: one line, what was got, what would be right, what to do
    │   ├── ConfigError      an unknown key, a value out of range, a combination that cannot work
    │   ├── DataError        a benchmark file or completion file that is missing, malformed or incomplete
    │   └── MissingExtra     an optional package is not installed
    ├── Fault            3   infrastructure failed: never a score, always retried on resume
    │   ├── SandboxFault     the judge itself broke, not the program it judged
    │   ├── BackendFault     the model or its server broke
    │   ├── IncompleteRun    some samples could not be made; the others are judged and summed up
    │   └── StoreFault       the run folder cannot be read, written or locked
    └── NotComparable    4   two runs that must not be compared

A fault of the model's program is not here: it is data (`schema.ExecResult`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

SHOWN = 12  # names listed in one message
DISTRIBUTION = "codelm-harness"

# Optional module -> the extra of this package that installs it (pyproject.toml).
EXTRAS = {
    "accelerate": "hf",
    "bitsandbytes": "quantize",
    "bm25s": "rag",
    "codebleu": "codebleu",
    "datasets": "datasets",
    "faiss": "rag",
    "gcsfs": "gcs",
    "httpx2": "server",
    "huggingface_hub": "hf",
    "matplotlib": "plots",
    "mlflow": "mlflow",
    "pandas": "frames",
    "peft": "hf",
    "pyarrow": "parquet",
    "ray": "ray",
    "s3fs": "s3",
    "safetensors": "hf",
    "sentence_transformers": "rag",
    "starlette": "web",
    "sympy": "symbolic",
    "tokenizers": "hf",
    "torch": "hf",
    "transformers": "hf",
    "uvicorn": "web",
    "wandb": "wandb",
    "yaml": "hf",
}


class HarnessError(Exception):
    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it, by IPython's own protocol: the line, not the way to it."""
        return [f"{type(self).__name__}: {self}"]


class UserError(HarnessError):
    exit_code = 2


class ConfigError(UserError):
    pass


class DataError(UserError):
    pass


class MissingExtra(UserError):
    pass


class Fault(HarnessError):
    exit_code = 3


class SandboxFault(Fault):
    pass


class BackendFault(Fault):
    pass


class IncompleteRun(Fault):
    """`folder` is the run's, with a summary of the samples that are there."""

    def __init__(self, why: str, folder: Path) -> None:
        super().__init__(why)
        self.folder = folder


class StoreFault(Fault):
    pass


class NotComparable(HarnessError):
    exit_code = 4


def missing_extra(error: ImportError) -> MissingExtra | None:
    """What to install where an optional package could not be imported; None for any other module.

    Optional packages are imported where they are used, without a `try` around each: the command line and the Python
    interface turn the ImportError into this.
    """
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return None
    if isinstance(error, ModuleNotFoundError):
        return not_installed(module)
    return MissingExtra(f"the package {module} cannot be imported ({error}): {install(EXTRAS[module])}")


def not_installed(module: str) -> MissingExtra:
    return MissingExtra(f"this needs the package {module}, which is not installed: {install(EXTRAS[module])}")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the ImportError of an optional package into a MissingExtra: what the Python interface wraps its calls in."""
    try:
        yield
    except ImportError as error:
        if (missing := missing_extra(error)) is None:
            raise
        raise missing from None


def install(extra: str) -> str:
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def unknown(kind: str, got: str, known: Iterable[str]) -> str:
    """The text for a name that does not exist: what was got, the nearest name, and the names there are."""
    names = list(known)
    near = get_close_matches(got, sorted(names), n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"no {kind} {got!r}.{hint} Known: {shown(names)}."


def shown(known: Iterable[str]) -> str:
    """Names in a message: the first of them, sorted, and how many more there are."""
    names = sorted(known)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN]) or 'none'}{more}"
