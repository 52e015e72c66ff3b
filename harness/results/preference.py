"""Which of several runs answers best, by the word of a judge: a model, or a person who fills in a file.

For each problem the judge is shown the answers without names, in an order drawn with a seed, and then in all its
rotations, so that every answer stands once in every place. An answer named by more than half of the orders wins;
else nobody does (UNKNOWN, a class of its own). A reply that is not the JSON asked for names nobody and is counted.

Barred, shown to nobody: answers that are blank, or that the run's `comments` scorer found to change the code or to
add nothing. Where one answer is left it wins unasked, where all left are the same nobody does; both are counted.

Asking is a run like any other (harness/runs/run.py): any backend, continued where it was cut off, recorded replies
from a file. One problem of that run is one order of one problem: mbpp/11#0, mbpp/11#1, ... What an answer says to
the judge cannot be kept from it: an answer may ask to be chosen.
"""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config.run import RunConfig
from harness.config.sampling import resolve_sampling
from harness.errors import ConfigError, NotComparable, UserError
from harness.prompts import templates as prompts
from harness.runs import judge, workers
from harness.runs import run as runner
from harness.runs.generate import generate
from harness.runs.plan import Plan, Progress, no_progress, problem_rows
from harness.runs.resolve import resolve
from harness.runs.store import folder as store
from harness.runs.summary import summarise
from harness.schema import (
    Card,
    Completion,
    Estimate,
    Problem,
    Reduce,
    Reference,
    Sampling,
    Score,
    Scorer,
    Summary,
    Task,
    Template,
)
from harness.scorers.per_answer import each, reference_texts
from harness.scorers.similarity.ast_similarity import over_readable
from harness.stats import estimates
from harness.text.extract import first_fenced

if TYPE_CHECKING:
    from harness.schema import Floats

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
UNKNOWN = "UNKNOWN"
READABLE = 100_000  # characters of a reply
GATE = "comments"

CRITERIA = {
    "code_comment": "Below is Python code, and the same code with comments by different authors. Good comments are "
    "right, say what the code does and why rather than repeat it, tell a caller all that is needed, and are no longer "
    "than that. Which author's comments are best?",
    "": "Below is a programming task, and answers to it by different authors. A good answer is right, complete and "
    "easy to read. Which answer is best?",
}
TEMPLATES = (
    Template(name="chat", style="chat"),
    Template(
        name="instruction", style="instruction", question="### Instruction:\n{question}\n### Response:\n"
    ),
)


@dataclass(frozen=True)
class Contestant:
    """One run: its first sample's answer to each problem, None where it is barred."""

    name: str
    task: str
    questions: Mapping[str, str]
    answers: Mapping[str, str | None]
    digest: str


@dataclass(frozen=True)
class Ballot:
    """One order of one problem: `order[i]` is the contestant whose answer is shown at place i."""

    of: str
    order: tuple[int, ...]
    problem: Problem


# ---------------------------------------------------------------- what is asked


def contestant(folder: Path) -> Contestant:
    """Read a finished run. Raises ConfigError, UserError for one with unjudged samples."""
    record, summary = store.read_run(folder)
    if summary["errors"]:
        raise UserError(f"{folder} has {summary['errors']} samples that were not judged: run it again first")
    answers: dict[str, str | None] = {}
    worthless = set()
    blob = _blob(folder, "judgements.jsonl")
    for row in map(json.loads, blob.splitlines()):
        if row["index"] == 0:
            answers[row["problem_id"]] = row["answer"] if row["answer"].strip() else None
            if row["scorer"] == GATE and row["score"]["value"] < 1:
                worthless.add(row["problem_id"])
    answers.update(dict.fromkeys(worthless))
    asked = map(json.loads, _blob(folder, "problems.jsonl").splitlines())
    questions = {row["problem_id"]: row["question"] for row in asked if row["problem_id"] in answers}
    return Contestant(record["run_id"], summary["task"], questions, answers, hashlib.sha256(blob).hexdigest())


def _blob(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{folder}: {name} cannot be read: {error.strerror}") from None


def check(contestants: Sequence[Contestant]) -> None:
    """Raises NotComparable unless all answered the same questions, under names of their own."""
    if not 2 <= len(contestants) <= len(LETTERS):
        raise UserError(f"{len(contestants)} runs: a judge compares 2 to {len(LETTERS)}")
    first, *others = contestants
    for other in others:
        if other.task != first.task:
            raise NotComparable(f"{first.name} is of task {first.task!r}, {other.name} of {other.task!r}")
        if other.questions != first.questions:
            differing = {key for key, _ in set(first.questions.items()) ^ set(other.questions.items())}
            raise NotComparable(
                f"{first.name} and {other.name} differ in {len(differing)} problems, {min(differing)} for one:"
                " compare runs over the same rows"
            )
    names = [one.name for one in contestants]
    for name in names:
        if names.count(name) > 1:
            raise NotComparable(f"run {name} is there twice: compare runs that differ")


def ballots(contestants: Sequence[Contestant], criteria: str, seed: int) -> list[Ballot]:
    """Every order in which the judge is asked, problem by problem."""
    found = []
    for name, question in contestants[0].questions.items():
        left = [i for i, one in enumerate(contestants) if one.answers[name] is not None]
        texts = {contestants[i].answers[name] for i in left}
        if len(texts) < 2:
            continue
        random.Random(f"{seed}:{name}").shuffle(left)
        for turn in range(len(left)):
            order = (*left[turn:], *left[:turn])
            shown = [contestants[i].answers[name] or "" for i in order]
            labels = (*LETTERS[: len(shown)], UNKNOWN)
            problem = Problem(
                id=f"{name}#{turn}",
                question=asked(criteria, question, shown),
                solution=json.dumps({"best": "A"}),
                check=Reference(texts=labels),
            )
            found.append(Ballot(name, order, problem))
    return found


def asked(criteria: str, question: str, answers: Sequence[str]) -> str:
    """The text of one ballot. No answer can close the fence it stands in."""
    parts = [criteria, f"Given:\n{_fenced(question)}"]
    parts += [f"{LETTERS[i]}:\n{_fenced(answer)}" for i, answer in enumerate(answers)]
    choice = ", ".join(LETTERS[: len(answers)])
    parts.append(
        f'Reply with one JSON object and nothing else: {{"best": X}}, X one of {choice} in quotes, or "{UNKNOWN}" if '
        "none is better than the others."
    )
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text.strip(chr(10))}\n{fence}"


# ---------------------------------------------------------------- what is answered


def vote(problem: Problem, completion: Completion) -> str:
    """The place that a reply names, or UNKNOWN; empty for anything but {"best": ...}, in a code block or not."""
    text = completion.text[:READABLE].strip()
    try:
        reply = json.loads((first_fenced(text) or text).strip())
    except (ValueError, RecursionError):
        return ""
    best = reply.get("best") if isinstance(reply, dict) else None
    return best if isinstance(best, str) and best in reference_texts(problem) else ""


def _judge(problem: Problem, answer: str) -> Score:
    return Score(value=float(answer in reference_texts(problem)))


def _parsed(ks: Sequence[int]) -> Mapping[str, Reduce]:
    return {"replies_read": estimates.mean_of()}


votes = Scorer(name="votes", score=each(_judge), metrics=_parsed)


def winner(named: Sequence[int | None]) -> int | None:
    """The contestant that more than half of the orders name; None where there is none."""
    for candidate, times in Counter(named).most_common(1):
        return candidate if 2 * times > len(named) else None
    return None


@dataclass(frozen=True)
class Outcome:
    """One problem: who won (None: nobody), whom each order named, and at which place that one stood."""

    won: int | None
    named: tuple[int | None, ...] = ()
    places: tuple[str, ...] = ()


def outcomes(
    contestants: Sequence[Contestant], asked: Sequence[Ballot], replies: Mapping[str, str]
) -> dict[str, Outcome]:
    """Every problem's outcome, from the reply (`vote`) to each ballot."""
    by_problem: dict[str, list[Ballot]] = {name: [] for name in contestants[0].questions}
    for ballot in asked:
        by_problem[ballot.of].append(ballot)
    found = {}
    for name, orders in by_problem.items():
        left = [i for i, one in enumerate(contestants) if one.answers[name] is not None]
        if not orders:
            found[name] = Outcome(left[0] if len(left) == 1 else None)
            continue
        places = tuple(replies[ballot.problem.id] for ballot in orders)
        named = tuple(
            ballot.order[LETTERS.index(place)] if len(place) == 1 else None
            for ballot, place in zip(orders, places, strict=True)
        )
        found[name] = Outcome(winner(named), named, places)
    return found


# ---------------------------------------------------------------- figures


def figures(contestants: Sequence[Contestant], found: Sequence[Outcome], seed: int) -> dict[str, Estimate]:
    """Win shares of all problems and of the decided ones, and how steady the judge was."""
    import numpy as np

    count = len(contestants)
    rows = []
    for outcome in found:
        won = [float(outcome.won == i) for i in range(count)]
        steady = bool(outcome.named) and len(set(outcome.named)) == 1 and all(outcome.places)
        full = [outcome.places.count(letter) for letter in LETTERS[:count]]
        full = full if len(outcome.places) == count else [0] * count
        rows.append(
            np.array(
                [[*won, outcome.won is None, steady, bool(outcome.named), *full, outcome.won is not None]],
                float,
            )
        )
    reduces: dict[str, Reduce] = {}
    for i, one in enumerate(contestants):
        reduces[f"win_share[{one.name}]"] = estimates.mean_of(i)
    for i, one in enumerate(contestants):
        reduces[f"win_share_decided[{one.name}]"] = over_readable(i)
    reduces["unknown"] = estimates.mean_of(count)
    reduces["consistent"] = _ratio(count + 1, slice(count + 2, count + 3))
    for i in range(count):
        reduces[f"place_share[{LETTERS[i]}]"] = _ratio(count + 3 + i, slice(count + 3, 2 * count + 3))
    return {name: estimates.estimate(reduce, rows, seed=seed) for name, reduce in reduces.items()}


def _ratio(column: int, of: slice) -> Reduce:
    """The sum of a column over the sum of others; 0 where that is 0."""

    def per_problem(scores: "Floats") -> "Floats":
        import numpy as np

        return np.array([scores[:, column].sum(), scores[:, of].sum()])

    return Reduce(per_problem, over_readable(0).of_sum)


# ---------------------------------------------------------------- the whole


def task_of(asked: Sequence[Ballot], size: int) -> Task:
    return Task(
        name="judge",
        version=1,
        load=lambda split, source: (ballot.problem for ballot in asked),
        templates=TEMPLATES,
        extract=vote,
        scorers=(votes,),
        sampling=Sampling(max_tokens=128),
        card=Card("A judge's choice among runs", "", "", "", {"test": size}, ""),
    )


def prepare(runs: Sequence[Path], criteria: str = "", seed: int = 0) -> tuple[list[Contestant], list[Ballot]]:
    """Read the runs and make the ballots; no judge needed. Raises UserError, NotComparable."""
    contestants = [contestant(folder) for folder in runs]
    check(contestants)
    criteria = criteria or CRITERIA.get(contestants[0].task, CRITERIA[""])
    asked = ballots(contestants, criteria, seed)
    if not asked:
        raise UserError("nothing to judge: no problem has two different answers that are not barred")
    return contestants, asked


def contest(
    runs: Sequence[Path],
    config: RunConfig,
    criteria: str = "",
    out: Path | None = None,
    progress: Progress = no_progress,
) -> tuple[Path, Summary]:
    """Have the config's backend judge, and write a run folder whose metrics are the win shares.

    Of `config` the backend, sampling, prompt (`chat` or `instruction`) and seed count. Raises HarnessError.
    """
    if config.backend.partial:
        raise ConfigError("backend.partial: a judge has to answer every order of every problem")
    contestants, asked = prepare(runs, criteria, config.seed)
    plan = _plan(config, contestants, asked)
    with (
        closing(workers.load(config.backend, plan.names)) as backend,
        judge.open_sandbox(config.judge) as sandbox,
    ):
        resolved = resolve(plan, backend, sandbox)
        folder = out or runner.RUNS / resolved.run_id
        with store.open_run(folder, resolved.record) as files:
            files.keep_problems(problem_rows(resolved.plan))
            generate(resolved, backend, files, progress)
            judge.judge(resolved.plan, files, sandbox, progress)
            summary = summarise(resolved, files)
            replies = {
                row["problem_id"]: row["answer"] for row in files.judgements.rows() if not row["index"]
            }
            found = outcomes(contestants, asked, replies)
            metrics = {**figures(contestants, list(found.values()), config.seed), **summary.metrics}
            notes = (*_notes(contestants, found), *summary.notes)
            summary = summary.model_copy(update={"metrics": metrics, "notes": notes})
            files.summarise(summary)
    return folder, summary


def _plan(config: RunConfig, contestants: Sequence[Contestant], asked: Sequence[Ballot]) -> Plan:
    task = task_of(asked, len(contestants[0].questions))
    template = prompts.choose(task, config.prompt)
    problems = [ballot.problem for ballot in asked]
    return Plan(
        config=config,
        task=task,
        template=template,
        sampling=resolve_sampling(
            config.sampling, task.sampling, template.stop, config.seed, config.backend.kind
        ),
        problems=problems,
        training=(),
        prompts={problem.id: prompts.render(template, problem, ()) for problem in problems},
        data={one.name: one.digest for one in contestants},
        left_out={},
    )


def _notes(contestants: Sequence[Contestant], found: Mapping[str, Outcome]) -> list[str]:
    total = len(found)
    notes = []
    for one in contestants:
        if barred := sum(answer is None for answer in one.answers.values()):
            notes.append(
                f"{one.name}: {barred} of {total} answers barred (blank, or code changed, or no comment)"
            )
    unasked = [outcome for outcome in found.values() if not outcome.named]
    if walkovers := sum(outcome.won is not None for outcome in unasked):
        notes.append(f"{walkovers} of {total} problems won unasked: the only answer left")
    if ties := sum(outcome.won is None for outcome in unasked):
        notes.append(f"{ties} of {total} problems unknown unasked: no answer left, or all the same")
    return notes
