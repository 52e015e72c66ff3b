"""Which of several runs has the best answers, according to a rater: a language model, or a person who fills in a file.

For each problem the rater sees the answers without names, in an order drawn with a seed, and then in every rotation of
it, so that each answer stands once in each position. An answer that more than half of the orders choose wins the
problem; else no one does (UNKNOWN, a class of its own). A reply that is not the JSON asked for chooses no one and is
counted.

Excluded, and never shown: answers that are blank, or that the run's `comments` scorer found to change the code or to
add nothing. A problem with one answer left is won without asking; one whose remaining answers are all the same is won
by no one. Both are counted.

Rating is a run like any other (harness/runs/run.py): any backend, resumed where it was interrupted, recorded replies
from a file. One problem of that run is one order of one problem: mbpp/11#0, mbpp/11#1, ... An answer may address the
rater and ask to be chosen; nothing prevents that.
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
from harness.errors import ConfigError, NotComparable, UserError
from harness.prompts import templates
from harness.runs import judge, workers
from harness.runs.generate import generate
from harness.runs.plan import Plan, Progress, no_progress, plan_sampling, problem_rows
from harness.runs.resolve import resolve
from harness.runs.run import RUNS
from harness.runs.store.run_folder import open_run, read_run
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
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.scorers.similarity.ast_similarity import over_parsable
from harness.stats import estimates
from harness.text.extract import first_fenced

if TYPE_CHECKING:
    from harness.schema import Floats

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
UNKNOWN = "UNKNOWN"
MAX_REPLY_CHARS = 100_000  # characters of a reply
EXCLUDING_SCORER = "comments"

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
class CandidateRun:
    """A run to be rated: its first sample's answer to each problem, None where it is excluded."""

    name: str
    task: str
    questions: Mapping[str, str]
    answers: Mapping[str, str | None]
    digest: str


@dataclass(frozen=True)
class PreferencePrompt:
    """One order of one problem: `order[i]` is the candidate whose answer is shown at position i."""

    problem_id: str
    order: tuple[int, ...]
    problem: Problem


# ---------------------------------------------------------------- prompts


def read_candidate(folder: Path) -> CandidateRun:
    """Read a finished run. Raises ConfigError, UserError for one with unjudged samples."""
    record, summary = read_run(folder)
    if wanting := summary["errors"] + summary.get("missing", 0):
        raise UserError(f"{folder} has {wanting} samples that were not made or not judged: rerun it first")
    answers: dict[str, str | None] = {}
    excluded = set()
    blob = _read_bytes(folder, "judgements.jsonl")
    for row in map(json.loads, blob.splitlines()):
        if row["index"] == 0:
            answers[row["problem_id"]] = row["answer"] if row["answer"].strip() else None
            if row["scorer"] == EXCLUDING_SCORER and row["score"]["value"] < 1:
                excluded.add(row["problem_id"])
    answers.update(dict.fromkeys(excluded))
    problems = map(json.loads, _read_bytes(folder, "problems.jsonl").splitlines())
    questions = {row["problem_id"]: row["question"] for row in problems if row["problem_id"] in answers}
    return CandidateRun(
        record["run_id"], summary["task"], questions, answers, hashlib.sha256(blob).hexdigest()
    )


def _read_bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ConfigError(f"{folder}: {name} cannot be read: {error.strerror}") from None


def check_candidates(candidates: Sequence[CandidateRun]) -> None:
    """Raises NotComparable unless all answered the same questions and have different names."""
    if not 2 <= len(candidates) <= len(LETTERS):
        raise UserError(f"{len(candidates)} runs: give 2 to {len(LETTERS)} to compare")
    first, *others = candidates
    for other in others:
        if other.task != first.task:
            raise NotComparable(f"{first.name} is of task {first.task!r}, {other.name} of {other.task!r}")
        if other.questions != first.questions:
            differing = {key for key, _ in set(first.questions.items()) ^ set(other.questions.items())}
            raise NotComparable(
                f"{first.name} and {other.name} differ in {len(differing)} problems, for example"
                f" {min(differing)}: compare runs over the same rows"
            )
    names = [one.name for one in candidates]
    for name in names:
        if names.count(name) > 1:
            raise NotComparable(f"run {name} is given twice: compare different runs")


def preference_prompts(
    candidates: Sequence[CandidateRun], criteria: str, seed: int
) -> list[PreferencePrompt]:
    """Every order in which the rater sees each problem's answers."""
    found = []
    for name, question in candidates[0].questions.items():
        shuffled = [i for i, one in enumerate(candidates) if one.answers[name] is not None]
        texts = {candidates[i].answers[name] for i in shuffled}
        if len(texts) < 2:
            continue
        random.Random(f"{seed}:{name}").shuffle(shuffled)
        for turn in range(len(shuffled)):
            order = (*shuffled[turn:], *shuffled[:turn])
            shown = [candidates[i].answers[name] or "" for i in order]
            labels = (*LETTERS[: len(shown)], UNKNOWN)
            problem = Problem(
                id=f"{name}#{turn}",
                question=prompt_text(criteria, question, shown),
                solution=json.dumps({"best": "A"}),
                check=Reference(texts=labels),
            )
            found.append(PreferencePrompt(name, order, problem))
    return found


def prompt_text(criteria: str, question: str, answers: Sequence[str]) -> str:
    """The text of one prompt. No answer can close the fence around it."""
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


# ---------------------------------------------------------------- replies


def parse_reply(problem: Problem, completion: Completion) -> str:
    """The position that a reply names, or UNKNOWN; empty for anything but {"best": ...}, in a code block or not."""
    text = completion.text[:MAX_REPLY_CHARS].strip()
    try:
        reply = json.loads((first_fenced(text) or text).strip())
    except (ValueError, RecursionError):
        return ""
    best = reply.get("best") if isinstance(reply, dict) else None
    return best if isinstance(best, str) and best in reference_texts(problem) else ""


def _score_reply(problem: Problem, answer: str) -> Score:
    return Score(value=float(answer in reference_texts(problem)))


def _reply_metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    return {"replies_read": estimates.mean_of()}


replies = Scorer(name="votes", score=PerAnswer(_score_reply), metrics=_reply_metrics)


def winner(choices: Sequence[int | None]) -> int | None:
    """The candidate that more than half of the orders choose; None where there is none."""
    for candidate, times in Counter(choices).most_common(1):
        return candidate if 2 * times > len(choices) else None
    return None


@dataclass(frozen=True)
class PreferenceOutcome:
    """One problem: its winner (None: no one), the candidate that each order chose, and that one's letter there."""

    winner: int | None
    choices: tuple[int | None, ...] = ()
    letters: tuple[str, ...] = ()


def preference_outcomes(
    candidates: Sequence[CandidateRun], prompts: Sequence[PreferencePrompt], replies: Mapping[str, str]
) -> dict[str, PreferenceOutcome]:
    """Every problem's outcome, from the parsed reply to each prompt."""
    by_problem: dict[str, list[PreferencePrompt]] = {name: [] for name in candidates[0].questions}
    for prompt in prompts:
        by_problem[prompt.problem_id].append(prompt)
    found = {}
    for name, orders in by_problem.items():
        if not orders:
            left = [i for i, one in enumerate(candidates) if one.answers[name] is not None]
            found[name] = PreferenceOutcome(left[0] if len(left) == 1 else None)
            continue
        letters = tuple(replies[prompt.problem.id] for prompt in orders)
        choices = tuple(
            prompt.order[LETTERS.index(letter)] if len(letter) == 1 else None
            for prompt, letter in zip(orders, letters, strict=True)
        )
        found[name] = PreferenceOutcome(winner(choices), choices, letters)
    return found


# ---------------------------------------------------------------- metrics


def preference_metrics(
    candidates: Sequence[CandidateRun], found: Sequence[PreferenceOutcome], seed: int
) -> dict[str, Estimate]:
    """Win shares over all problems and over the decided ones, and how consistent the rater was."""
    import numpy as np

    count = len(candidates)
    rows = []
    for outcome in found:
        won = [float(outcome.winner == i) for i in range(count)]
        was_asked, decided = bool(outcome.choices), outcome.winner is not None
        consistent = was_asked and len(set(outcome.choices)) == 1 and all(outcome.letters)
        positions = [outcome.letters.count(letter) for letter in LETTERS[:count]]
        positions = positions if len(outcome.letters) == count else [0] * count
        rows.append(np.array([[*won, not decided, consistent, was_asked, *positions, decided]], float))
    reduces: dict[str, Reduce] = {}
    for i, one in enumerate(candidates):
        reduces[f"win_share[{one.name}]"] = estimates.mean_of(i)
    for i, one in enumerate(candidates):
        reduces[f"win_share_decided[{one.name}]"] = over_parsable(i)
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

    return Reduce(per_problem, over_parsable(0).of_sum)


# ---------------------------------------------------------------- the run


def preference_task(prompts: Sequence[PreferencePrompt], size: int) -> Task:
    return Task(
        name="judge",
        version=1,
        load=lambda split, source: (prompt.problem for prompt in prompts),
        templates=TEMPLATES,
        extract=parse_reply,
        scorers=(replies,),
        sampling=Sampling(max_tokens=128),
        card=Card("A rater's choice among runs", "", "", "", {"test": size}, ""),
    )


def prepare(
    folders: Sequence[Path], criteria: str = "", seed: int = 0
) -> tuple[list[CandidateRun], list[PreferencePrompt]]:
    """Read the runs and make the prompts; no rater needed. Raises UserError, NotComparable."""
    candidates = [read_candidate(folder) for folder in folders]
    check_candidates(candidates)
    criteria = criteria or CRITERIA.get(candidates[0].task, CRITERIA[""])
    prompts = preference_prompts(candidates, criteria, seed)
    if not prompts:
        raise UserError("nothing to rate: no problem has two different answers that are not excluded")
    return candidates, prompts


def prefer(
    folders: Sequence[Path],
    config: RunConfig,
    criteria: str = "",
    out: Path | None = None,
    progress: Progress = no_progress,
) -> tuple[Path, Summary]:
    """Have the config's backend rate the runs, and write a run folder whose metrics are the win shares.

    Of `config` the backend, sampling, prompt (`chat` or `instruction`) and seed count. Raises HarnessError.
    """
    if config.backend.partial:
        raise ConfigError("backend.partial: a rater has to answer every order of every problem")
    if config.extract:
        raise ConfigError("extract: a rater's replies are read in one way only")
    candidates, prompts = prepare(folders, criteria, config.seed)
    plan = _plan(config, candidates, prompts)
    with (
        closing(workers.load(config.backend, plan.names)) as backend,
        judge.open_sandbox(config.judge) as sandbox,
    ):
        resolved = resolve(plan, backend, sandbox)
        folder = out or RUNS / resolved.run_id
        with open_run(folder, resolved.record) as files:
            files.write_problems(problem_rows(resolved.plan, backend))
            generate(resolved, backend, files, progress)
            judge.judge(resolved.plan, files, sandbox, progress)
            summary = summarise(resolved, files)
            parsed = {row["problem_id"]: row["answer"] for row in files.judgements.rows() if not row["index"]}
            outcomes = preference_outcomes(candidates, prompts, parsed)
            metrics = preference_metrics(candidates, list(outcomes.values()), config.seed)
            notes = (*_notes(candidates, outcomes), *summary.notes)
            summary = summary.model_copy(update={"metrics": {**metrics, **summary.metrics}, "notes": notes})
            files.write_summary(summary)
    return folder, summary


def _plan(config: RunConfig, candidates: Sequence[CandidateRun], prompts: Sequence[PreferencePrompt]) -> Plan:
    task = preference_task(prompts, len(candidates[0].questions))
    template = templates.select_template(task, config.prompt)
    problems = [prompt.problem for prompt in prompts]
    return Plan(
        config=config,
        task=task,
        template=template,
        sampling=plan_sampling(config, task, template),
        problems=problems,
        training=(),
        prompts={problem.id: templates.render(template, problem, ()) for problem in problems},
        data={one.name: one.digest for one in candidates},
        skipped={},
    )


def _notes(candidates: Sequence[CandidateRun], outcomes: Mapping[str, PreferenceOutcome]) -> list[str]:
    total = len(outcomes)
    notes = []
    for one in candidates:
        if excluded := sum(answer is None for answer in one.answers.values()):
            notes.append(
                f"{one.name}: {excluded} of {total} answers excluded (blank, code changed, or no comment)"
            )
    not_asked = [outcome for outcome in outcomes.values() if not outcome.choices]
    if won := sum(outcome.winner is not None for outcome in not_asked):
        notes.append(f"{won} of {total} problems won without asking: only one answer left")
    if ties := sum(outcome.winner is None for outcome in not_asked):
        notes.append(f"{ties} of {total} problems unknown without asking: no answer left, or all the same")
    return notes
