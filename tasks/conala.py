"""CoNaLa: short Python answers to Stack Overflow questions (Yin et al., 2018).

One row: intent "sort list `x` in descending order" -> snippet "x.sort(reverse=True)". Judged by text; there
are no tests. Two corpora: `original` (2,379 train, 500 test) and `docprompting`, the split of the PEFT study
(2308.10462; 2,135 / 201 / 543) in which every test snippet has a function that no training snippet has.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from harness import scorers
from harness.errors import ConfigError
from harness.prompts.templates import FENCED, INSTRUCTION, LEGACY_2023
from harness.schema import (
    Card,
    DataFile,
    HubFile,
    Problem,
    Reference,
    Sampling,
    Source,
    Split,
    Task,
    Template,
)
from harness.text.extract import first_code_block

Corpus = Literal["original", "docprompting"]


def _original(split: str) -> DataFile:
    revision = "fbc749f1c537e5c3834e93b15784302e331debe2"
    hub = HubFile("neulab/conala", revision, f"data/conala-paired-{split}.json")
    return DataFile("conala", f"conala-{split}.json", hub)


def _docprompting(name: str) -> DataFile:
    revision = "48df7abf0f64f9279b4ee04386272eb9dc89ef89"
    return DataFile("docprompting-conala", name, HubFile("neulab/docprompting-conala", revision, name))


FILES: Mapping[str, Mapping[str, DataFile]] = {
    "original": {"train": _original("train"), "test": _original("test")},
    "docprompting": {
        "train": _docprompting("conala-train.jsonl"),
        "validation": _docprompting("conala-dev.jsonl"),
        "test": _docprompting("conala-test.jsonl"),
    },
}

# The study cuts CoNaLa answers at the first newline (2308.10462, code of November 2023).
ONE_LINE = INSTRUCTION.model_copy(update={"stop": ("\n",)})
LEGACY = LEGACY_2023.model_copy(update={"stop": ("\n",)})
PLAIN = Template(name="plain", style="plain", question='"""{question}"""\n', stop=("\n",))
CHAT = Template(
    name="chat",
    style="chat",
    question="Solve this in Python with a single line of code, or as few as it takes. "
    "Reply with one code block.\n{question}",
    answer="```python\n{solution}\n```",
)


def _original_problems(split: Split, source: Source) -> Iterable[Problem]:
    fields = ("intent", "rewritten_intent", "snippet")
    for i, row in enumerate(source.rows(FILES["original"][split], fields)):
        question = row["rewritten_intent"] or row["intent"]
        yield _problem(f"conala/{split}/{i}", question, row["snippet"])


def _docprompting_problems(split: Split, source: Source) -> Iterable[Problem]:
    for i, row in enumerate(source.rows(FILES["docprompting"][split], ("nl", "cmd"))):
        # Upstream drops rows without text from train and validation and keeps the test set whole.
        if split == "test" or (row["nl"] and row["cmd"]):
            yield _problem(f"conala/{split}/{i}", row["nl"], row["cmd"])


def _problem(name: str, question: str, snippet: str) -> Problem:
    return Problem(id=name, question=question, solution=snippet, check=Reference(texts=(snippet,)))


def task(corpus: Corpus = "original") -> Task:
    if corpus not in FILES:
        raise ConfigError(f"task 'conala': corpus {corpus!r}: expected {' or '.join(map(repr, FILES))}")
    original = corpus == "original"
    problems = _original_problems if original else _docprompting_problems

    def load(split: Split, source: Source) -> Iterable[Problem]:
        return problems(split, source) if split in FILES[corpus] else ()

    return Task(
        name="conala",
        version=2,
        load=load,
        templates=(ONE_LINE, CHAT, PLAIN, FENCED, LEGACY),
        extract=first_code_block,
        scorers=(scorers.exact, scorers.codebleu),
        sampling=Sampling(max_tokens=64),
        card=Card(
            title="CoNaLa: one-line Python answers to questions",
            paper="Yin et al. 2018, arXiv 1805.08949; split docprompting: Zhou et al. 2023, arXiv 2207.05987",
            licence="MIT (text from Stack Overflow: CC BY-SA 4.0)" if original else "Apache-2.0",
            tags=("one-liners", "stack-overflow"),
            url="https://conala-corpus.github.io",
            sizes={"train": 2379, "test": 500}
            if original
            else {"train": 2135, "validation": 201, "test": 543},
            elsewhere="bigcode: two shots, BLEU (shots icl:2)",
            setting="beam 10, 10 returned: EM@1, EM@10, CodeBLEU (2308.10462); 64 new tokens",
            files=tuple(FILES[corpus].values()),
        ),
    )
