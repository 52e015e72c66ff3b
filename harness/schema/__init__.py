"""Every value that crosses a stage or reaches disk, and nothing that does work.

Values that reach disk or come from a user are strict, frozen pydantic models: a wrong type is an error, never a
conversion. Holders of functions (Task, Scorer, Reduce) are frozen dataclasses. A *problem* is one row of a
benchmark, a *sample* one of the n completions generated for it, a *shot* a solved problem shown in the prompt.

    base         what every value is, and the words that several use
    problems     what is asked, and how it is judged
    samples      prompts, sampling, completions, backends
    execution    programs, queries, the sandbox
    scores       scores, judgements, scorers, metrics, the summary
    tasks        a benchmark's data, its card, the task
    certificate  how often the judge agrees with recorded verdicts
"""

from typing import TYPE_CHECKING

from harness.schema.base import ExecStatus, Split, Status, Style, Value
from harness.schema.certificate import OF_TIME, Certificate, CertifiedSet, Disagreement
from harness.schema.execution import ExecResult, Pair, PairResult, Program, Sandbox, ValueSlots
from harness.schema.problems import (
    Assertion,
    Check,
    Compare,
    DatabaseFile,
    Expression,
    InlineTests,
    IOCase,
    IOCases,
    Limits,
    LogicalForm,
    Problem,
    Query,
    Reference,
    Snippet,
    SpiderRules,
    TableNames,
    UnderTest,
    UnitTests,
)
from harness.schema.samples import (
    UNANSWERED,
    AdapterBackend,
    Backend,
    Capabilities,
    Completion,
    Finish,
    Form,
    Generation,
    LikelihoodBackend,
    LikelihoodRequest,
    Message,
    MultiAdapterBackend,
    OverLong,
    Prompt,
    PromptRenderer,
    RecordedBackend,
    RenderedPrompt,
    RenderingBackend,
    Request,
    Sampling,
    Shot,
    Template,
    Unanswered,
    unanswered,
)
from harness.schema.scores import (
    Answer,
    Estimate,
    Judgement,
    Need,
    Reduce,
    Score,
    Scorer,
    Summary,
    Supplies,
    Unit,
    Verdict,
)
from harness.schema.tasks import Card, DataFile, HubFile, Source, Task

if TYPE_CHECKING:
    from harness.schema.scores import Floats as Floats

__all__ = [
    "OF_TIME",
    "UNANSWERED",
    "AdapterBackend",
    "Answer",
    "Assertion",
    "Backend",
    "Capabilities",
    "Card",
    "Certificate",
    "CertifiedSet",
    "Check",
    "Compare",
    "Completion",
    "DataFile",
    "DatabaseFile",
    "Disagreement",
    "Estimate",
    "ExecResult",
    "ExecStatus",
    "Expression",
    "Finish",
    "Form",
    "Generation",
    "HubFile",
    "IOCase",
    "IOCases",
    "InlineTests",
    "Judgement",
    "LikelihoodBackend",
    "LikelihoodRequest",
    "Limits",
    "LogicalForm",
    "Message",
    "MultiAdapterBackend",
    "Need",
    "OverLong",
    "Pair",
    "PairResult",
    "Problem",
    "Program",
    "Prompt",
    "PromptRenderer",
    "Query",
    "RecordedBackend",
    "Reduce",
    "Reference",
    "RenderedPrompt",
    "RenderingBackend",
    "Request",
    "Sampling",
    "Sandbox",
    "Score",
    "Scorer",
    "Shot",
    "Snippet",
    "Source",
    "SpiderRules",
    "Split",
    "Status",
    "Style",
    "Summary",
    "Supplies",
    "TableNames",
    "Task",
    "Template",
    "Unanswered",
    "UnderTest",
    "Unit",
    "UnitTests",
    "Value",
    "ValueSlots",
    "Verdict",
    "unanswered",
]
