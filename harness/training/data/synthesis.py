"""Made-up training data: seeds x templates -> completions of any backend -> rows that parse, run and differ.

Single-turn self-instruct as in the multi-task paper's data section (arXiv 2311.02303): a model is asked for an
exercise about a piece of knowledge and its solution. What is kept is ready for `harness train --file`. A
recording of completions (`generations.jsonl`, or rows with problem_id and text) works like a model. Conversations of
several turns are dialogues.py's.
"""

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.prompts import templates
from harness.runs.store.atomic import write_atomic
from harness.schema import (
    Backend,
    ExecResult,
    Problem,
    Program,
    Prompt,
    Reference,
    Request,
    Sampling,
    Sandbox,
    Template,
)
from harness.text.extract import first_fenced

PROMPTS = {
    "exercise": "Write a short Python programming exercise about this: {seed}\nFirst the exercise in plain words,"
    " then its complete solution in one code block that begins with ```python.",
    "question": "Write a question that a Python programmer might ask about this: {seed}\nThen answer it with one"
    " code block that begins with ```python and can be run as it is.",
}
MAX_SIMILARITY = (
    0.7  # questions that share more of their words than this are one (self-instruct has ROUGE-L 0.7)
)
MIN_WORDS = 4  # words of a question


@dataclass(frozen=True)
class SyntheticRow:
    """One made-up row and where it came from."""

    instruction: str
    output: str
    source: str


def read_seeds(path: Path) -> list[str]:
    """The seeds of a file, one a line: a text, or a JSON object with `seed`. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"seeds {str(path)!r} cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("{"):
            try:
                text = json.loads(text)["seed"]
            except (ValueError, KeyError):
                raise DataError(f'{path}:{number}: expected a text or {{"seed": "..."}}') from None
        if text:
            found.append(text)
    if not found:
        raise DataError(f"{path}: no seeds: expected a line each, such as: list comprehensions")
    return found


def build_requests(
    given: Sequence[str], samples: int, template: Template = templates.INSTRUCTION
) -> list[Request]:
    """One request a seed and template, named synth/<template>/<number of the seed>."""
    return [
        Request(
            f"synth/{name}/{number}",
            instruction_prompt(template, ask.replace("{seed}", seed)),
            tuple(range(samples)),
        )
        for name, ask in PROMPTS.items()
        for number, seed in enumerate(given)
    ]


def instruction_prompt(template: Template, text: str) -> Prompt:
    return templates.render(
        template, Problem(id="", question=text, solution="", check=Reference(texts=("",)))
    )


def generate_rows(
    backend: Backend, asked: Sequence[Request], sampling: Sampling, box: Sandbox
) -> tuple[list[SyntheticRow], Counter[str]]:
    """The rows that are kept, in the order they were asked for, and how many were dropped for what."""
    generations = sorted(
        backend.generate(asked, sampling), key=lambda g: (_place(g.problem_id, asked), g.index)
    )
    dropped: Counter[str] = Counter()
    parsed = []
    for generation in generations:
        found = parse_completion(generation.completion.text)
        if isinstance(found, str):
            dropped[found] += 1
        else:
            parsed.append(SyntheticRow(*found, f"{generation.problem_id}/{generation.index}"))
    fresh = list(drop_near_duplicates(parsed))
    dropped["a near duplicate"] += len(parsed) - len(fresh)
    kept = []
    results = box.map(Program(code=row.output) for row in fresh)
    for row, result in zip(fresh, results, strict=True):
        if not isinstance(result, ExecResult):
            raise result  # a fault of the sandbox says nothing of the row
        if result.status == "passed":
            kept.append(row)
        else:
            dropped[f"does not run ({result.status})"] += 1
    return kept, +dropped


def _place(name: str, asked: Sequence[Request]) -> int:
    return next(i for i, request in enumerate(asked) if request.problem_id == name)


def parse_completion(text: str) -> tuple[str, str] | str:
    """(question, code) of a completion, or why it holds none."""
    code = first_fenced(text)
    if code is None or not code.strip():
        return "no code block"
    question = re.sub(
        r"^\W*(exercise|question)\W*:?\s*", "", text.split("```")[0].strip(), flags=re.I
    ).strip()
    if len(question.split()) < MIN_WORDS:
        return "no question"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "does not parse"
    if all(isinstance(node, ast.Pass) or _is_text(node) for node in tree.body):
        return "code without a statement"
    return question, code.strip() + "\n"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def drop_near_duplicates(rows: Sequence[SyntheticRow]) -> Iterator[SyntheticRow]:
    """Rows whose question resembles no earlier one's: shared words over all words (Jaccard) at most SAME."""
    seen: list[frozenset[str]] = []
    for row in rows:
        words = frozenset(re.findall(r"\w+", row.instruction.lower()))
        if all(len(words & other) <= MAX_SIMILARITY * len(words | other) for other in seen):
            seen.append(words)
            yield row


def as_rows(rows: Sequence[SyntheticRow]) -> list[dict[str, Any]]:
    return [{"instruction": row.instruction, "output": row.output, "source": row.source} for row in rows]


def write_rows(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """JSON lines as `harness train --file` reads them."""
    write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
