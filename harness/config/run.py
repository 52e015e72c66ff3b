"""What a run is asked to do, checked before any work, and hashed.

The hash covers what can change a number and leaves out what must not (batch size, workers, device, where the data
lies: the data's own digest is recorded and compared instead). Defaults of a task are not here: they are in tasks/*.py
and are resolved by runs/plan.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from harness.config.backend import BackendConfig
from harness.config.identity import digest
from harness.config.sampling import SamplingConfig
from harness.schema import OverLong, Split, Template, Unanswered, Value
from harness.schema.execution import JUDGE_STALL_S

Scalar = str | int | float | bool
VERDICTS = "verdicts.sqlite"  # the verdict cache, beside the completion cache
REFERENCES = "references.sqlite"  # what references of tests say (sandbox/references.py), beside both
BY_NAME, AS_TABLE = "a name", "a table"  # the two ways to say which prompt; no part of a key


class JudgeConfig(Value):
    """How programs are run. None keeps the limits of the task. `time_factor`: a program gets this many times the CPU
    time that the problem's reference took here just before, where that is more than the task's limit. `python`: the
    interpreter of another virtual environment, for benchmarks that want library versions of their own; its versions
    identify a run, not its path. `packages`: what Python programs may import beside the standard library: what the task
    names, or all that is installed beside their interpreter. `process`: a fork for each Python program, or one process
    that is put back after each. `exclude`: samples without an answer for these reasons are left out of every metric; by
    default they count as failed. `certificate`: a file of harness doctor --parity; the signature names it. `stall_s`: a
    process of the sandbox, or a judge service, that gives no sign of life for so many seconds is replaced.
    """

    sandbox: Literal["auto", "namespaces", "landlock", "process"] = "auto"
    workers: int | None = Field(default=None, ge=1)
    time_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    time_factor: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    memory_mb: int | None = Field(default=None, ge=16)
    python: str = ""
    process: Literal["fork", "restore"] = Field(default="fork", exclude_if=lambda value: value == "fork")
    packages: Literal["task", "environment"] = Field(default="task", exclude_if=lambda value: value == "task")
    exclude: tuple[Unanswered, ...] = Field(default=(), exclude_if=lambda reasons: not reasons)
    certificate: str = Field(default="", exclude_if=lambda path: not path)
    stall_s: float = Field(
        default=JUDGE_STALL_S, ge=5, allow_inf_nan=False, exclude_if=lambda value: value == JUDGE_STALL_S
    )

    @field_validator("exclude")
    @classmethod
    def _in_order(cls, value: tuple[Unanswered, ...]) -> tuple[Unanswered, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _one_limit(self) -> "JudgeConfig":
        if self.time_limit is not None and self.time_factor is not None:
            raise ValueError(
                "time_limit and time_factor exclude each other: one is fixed, the other measured"
            )
        return self


class RetrievalConfig(Value):
    """How `rag:N` finds its shots among the training questions.

    `encoder` is a sentence-transformers folder or hub id, or `mini`, the project's own. A prefix before queries or
    passages that is not given is the encoder's own; "none" is none. `rerank` is a cross-encoder. A training question at
    least `near_duplicate` similar (cosine) to the one asked counts as the same, as do equal ones always. `cache` is the
    folder of the index files.
    """

    method: Literal["dense", "bm25", "hybrid"] = "dense"
    encoder: str = "thenlper/gte-small"
    revision: str | None = None
    query_prefix: str = ""
    passage_prefix: str = ""
    rerank: str = ""
    order: Literal["nearest_first", "nearest_last"] = "nearest_first"
    duplicates: Literal["exclude", "flag"] = "exclude"
    near_duplicate: float | None = Field(default=None, gt=0, le=1)
    index: Literal["flat", "ivf", "hnsw"] = "flat"
    cache: str = "~/.cache/codelm-harness/index"


class StyleConfig(Value):
    """Whose style answers have: `classifier` is a folder of harness train-classifier, `label` the class whose
    probability is the score. `digest` is what the folder holds, found out by the run."""

    classifier: str
    label: str
    digest: str = ""


class RunConfig(Value):
    """One run: a task, a backend, and how to ask and judge. `cache` is the completion cache's file, with the verdict
    cache beside it; empty is neither.

    `extract` is which code of a completion is the answer: a reading of harness/text/extract, or a third party's
    extractor; empty is the task's own. `over_long`: what becomes of a prompt that does not fit the model's context
    (schema.Sampling).
    """

    task: str
    options: Mapping[str, Scalar] = {}
    split: Split = "test"
    limit: int | None = Field(default=None, ge=1)
    only: tuple[str, ...] = ()  # ids; empty is all
    prompt: Annotated[
        Annotated[str, Tag(BY_NAME)] | Annotated[Template, Tag(AS_TABLE)],
        Discriminator(lambda value: BY_NAME if isinstance(value, str) else AS_TABLE),
    ] = ""
    shots: str = "none"
    seed: int = 0
    k: tuple[int, ...] = ()
    scorers: tuple[str, ...] = ()  # beside the task's own
    extract: str = Field(default="", exclude_if=lambda name: not name)
    data: str | None = None
    cache: str = ""
    over_long: OverLong = Field(default="skip", exclude_if=lambda value: value == "skip")
    backend: BackendConfig = BackendConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    sampling: SamplingConfig = SamplingConfig()
    judge: JudgeConfig = JudgeConfig()
    style: StyleConfig | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _style_has_a_classifier(self) -> "RunConfig":
        if (self.style is None) == ("style" in self.scorers):
            raise ValueError(
                "scorers = ['style'] and [style], with a classifier and a label, go together: give both or none"
            )
        return self

    @property
    def verdict_cache(self) -> Path | None:
        return Path(self.cache).expanduser().with_name(VERDICTS) if self.cache else None

    @property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of everything that can change a number."""
        without: dict[str, Any] = {
            "data": True,
            "cache": True,
            "retrieval": {"cache"},
            "style": {"classifier"},
        }
        plain = self.model_dump(
            mode="json", exclude=without | {"judge": {"workers", "python", "certificate", "stall_s"}}
        )
        return digest(plain | {"backend": self.backend.identity_fields()})
