"""An encoder turns texts into unit vectors: any sentence-transformers model, from a folder or the hub cache.

No remote code, no network. The project's own small one, `mini`, lies in tasks/demo/encoder and is loaded like any
other. Texts longer than an encoder's limit are cut by it, which changes what is found but never what is shown.
"""

import functools
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends import hub
from harness.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MINI = "mini"
BLOCK = 4096  # texts whose vectors are held at a time; encoded in the batches of BATCH
BATCH = 64


@dataclass(frozen=True)
class Encoder:
    """`digest` identifies the files, `revision` is a hub model's commit, `name` is short and for people."""

    model: Any
    name: str
    revision: str
    digest: str
    dimension: int

    def encode(
        self, texts: Sequence[str], prefix: str = "", step: Callable[[int, int], None] | None = None
    ) -> "Iterator[Vectors]":
        """Yield blocks float32 [texts, dimension] of unit length, in order. Raises UserError for NaN."""
        import numpy as np

        for start in range(0, len(texts), BLOCK):
            block = list(texts[start : start + BLOCK])
            with silenced():
                vectors = self.model.encode(
                    block,
                    batch_size=BATCH,
                    prompt=prefix,
                    convert_to_numpy=True,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
            if not np.isfinite(vectors).all():
                raise UserError(f"encoder {self.name!r} gives vectors that are not numbers (NaN)")
            if step is not None:
                step(start + len(block), len(texts))
            yield np.ascontiguousarray(vectors, dtype=np.float32)


def mini_folder() -> Path:
    from harness.files import packaged

    return packaged("tasks/demo/encoder")


@functools.lru_cache(maxsize=1)
def load_encoder(name: str, revision: str | None, device: str) -> Encoder:
    """The encoder `name`: a folder, a hub id in the hub cache, or `mini`. Raises UserError.

    The last one is kept: the runs of a grid use the same.
    """
    if name == MINI:
        folder, commit = mini_folder(), ""
    else:
        try:
            folder, commit = hub.find(name, revision, "encoder")
        except UserError as error:
            raise UserError(
                f"{error}; or use the project's own small one: --set retrieval.encoder=mini"
            ) from None
    if not (folder / "modules.json").is_file():
        raise UserError(
            f"encoder folder {folder} is no encoder: it has no modules.json;"
            " expected a model saved by sentence-transformers"
        )
    model = load_model("SentenceTransformer", folder, device, "encoder")
    return Encoder(
        model=model,
        name=name if name == MINI else folder.name if not commit else name.split("/")[-1],
        revision=commit,
        digest=files_digest(folder),
        dimension=int(model.get_embedding_dimension()),
    )


def load_model(kind: str, folder: Path, device: str, what: str) -> Any:
    """A SentenceTransformer or a CrossEncoder from a folder. Raises UserError in one line."""
    with silenced():
        import sentence_transformers
    from safetensors import SafetensorError

    try:
        with silenced():
            return getattr(sentence_transformers, kind)(
                str(folder), device=None if device == "auto" else device, local_files_only=True
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise UserError(
            f"cannot load the {what} in {folder}: {type(error).__name__}: {said[:300]}"
        ) from error


def files_digest(folder: Path) -> str:
    """Of every file that can change a vector, in the folder and its modules' folders."""
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".md" and not path.name.startswith(".")
    ]
    return hub.digest(files)


@contextmanager
def silenced() -> Iterator[None]:
    """No advice from the libraries; errors still come as exceptions."""
    loggers = [logging.getLogger(name) for name in ("sentence_transformers", "transformers", "bitsandbytes")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
