"""An encoder turns texts into vectors: any sentence-transformers model, from a folder or the hub cache.

No remote code, no network. The project's own small one, `mini`, lies in tasks/demo/encoder and is loaded like any
other. Pooling, normalisation, similarity and prefixes are those of the encoder's files (prefixes.py). Texts longer
than an encoder's limit are cut by it, which changes what is found but never what is shown.
"""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.backends import hub
from harness.backends.hf import checkpoint
from harness.errors import UserError
from harness.prompts.retrieval.prefixes import Prefixes, own_prefixes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MINI = "mini"
PART = 1024  # texts that are embedded and kept together, sorted by length into batches of BATCH
BATCH = 64

Role = Literal["query", "passage"]
Step = Callable[[int, int], None]  # (texts done, texts in all)


def quiet(done: int, total: int) -> None:
    """For a few texts: nobody is waiting."""


@dataclass(frozen=True)
class Encoder:
    """`digest` identifies the files, `revision` is a hub model's commit, `name` is short and for people.

    `similarity` is the encoder's own: for `cosine` vectors have unit length, for `dot` the length that they have.
    """

    model: Any
    name: str
    revision: str
    digest: str
    dimension: int
    prefixes: Prefixes
    similarity: str

    def encode(
        self,
        texts: Sequence[str],
        role: Role = "passage",
        prefix: str = "",
        start: int = 0,
        step: Step = quiet,
    ) -> "Iterator[Vectors]":
        """Yield parts float32 [texts, dimension] of the texts from `start` on, in order. Raises UserError for NaN.

        Parts begin at multiples of PART, so that they are the same wherever one starts.
        """
        import numpy as np

        while start < len(texts):
            part = list(texts[start : start - start % PART + PART])
            vectors = np.empty((len(part), self.dimension), dtype=np.float32)
            order = sorted(range(len(part)), key=lambda at: -len(part[at]))
            for first in range(0, len(part), BATCH):
                step(start + first, len(texts))
                batch = order[first : first + BATCH]
                vectors[batch] = self._batch([part[at] for at in batch], role, prefix)
            if not np.isfinite(vectors).all():
                raise UserError(f"encoder {self.name!r} gives vectors that are not numbers (NaN)")
            start += len(part)
            yield vectors
        step(len(texts), len(texts))

    def _batch(self, texts: list[str], role: Role, prefix: str) -> Any:
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        with silenced():
            return encode(
                texts,
                batch_size=BATCH,
                prompt=prefix,
                convert_to_numpy=True,
                normalize_embeddings=self.similarity == "cosine",
                show_progress_bar=False,
            )


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
    parts = [part for part in folder.parts if part.startswith("models--") or part == folder.name]
    similarity = model.similarity_fn_name
    if similarity not in ("cosine", "dot"):
        raise UserError(
            f"encoder {name!r} was trained for {similarity} distance, and neighbours are found by cosine or dot"
            " product: choose another encoder"
        )
    return Encoder(
        model=model,
        name=name if name == MINI else folder.name if not commit else name.split("/")[-1],
        revision=commit,
        digest=files_digest(folder),
        dimension=int(model.get_embedding_dimension()),
        prefixes=own_prefixes(model.prompts, model.default_prompt_name, (name, *parts)),
        similarity=similarity,
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
        raise UserError(f"cannot load the {what} in {folder}: {checkpoint.first_line(error)}") from error


def files_digest(folder: Path) -> str:
    """Of every file that can change a vector, in the folder and its modules' folders."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".md" and not path.name.startswith(".")
    ]
    return hub.digest(files)


@contextmanager
def silenced() -> Iterator[None]:
    """No advice and no progress bars from the libraries; errors still come as exceptions."""
    logger = logging.getLogger("sentence_transformers")
    before = logger.level
    try:
        logger.setLevel(logging.ERROR)
        with checkpoint.silenced():
            yield
    finally:
        logger.setLevel(before)
