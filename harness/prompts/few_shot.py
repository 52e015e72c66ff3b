"""Which solved problems to show in the prompt, for each problem asked: none, drawn once, retrieved, or a control.

  none               zero-shot
  icl:N              N training problems drawn once a run from its seed, the same ones for every problem
  rag:N              the N training problems whose questions are nearest to the one asked (harness/prompts/retrieval)
  random_like_rag:N  the control for rag:N: drawn for each problem, each shot as long as the one it replaces, so
                     that "retrieved" and "longer prompt" can be told apart

No problem is ever shown to itself. A training question that asks the same (equal but for case, blanks and a closing
mark, or as similar as `retrieval.near_duplicate` says) is excluded, or marked, and counted. It does not build
prompts (templates.py); of the model it only asks how long a prompt is.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.config.run import RetrievalConfig, RunConfig
from harness.errors import ConfigError, unknown
from harness.prompts.retrieval import Hit, LoadedRetriever, load_retriever
from harness.schema import Backend, Problem, Prompt, Shot, Task
from harness.text.seen_rows import normalize_question

KINDS = ("icl", "rag", "random_like_rag")
EXTRA_HITS = 8  # hits asked for beyond N, to replace excluded ones
SIMILARITY_DIGITS = 4

Render = Callable[[Problem, Sequence[Problem]], Prompt]


@dataclass(frozen=True)
class Selection:
    """The shots of each problem, by its id, best first; `in_prompt_order` has them as the prompt does.

    `identity` goes into run.json and `label` into the signature. `seed` is set where the shots still have to be
    exchanged for random ones of the same length.
    """

    spec: str = "none"
    ranked: Mapping[str, tuple[Shot, ...]] | None = None
    pool: Mapping[str, Problem] | None = None
    nearest_last: bool = False
    identity: Mapping[str, Any] | None = None
    label: str = "none"
    notes: tuple[str, ...] = ()
    excluded: Mapping[str, frozenset[str]] | None = None
    seed: int | None = None

    def in_prompt_order(self, problem_id: str) -> tuple[Shot, ...]:
        ranked = (self.ranked or {}).get(problem_id, ())
        return ranked[::-1] if self.nearest_last else ranked

    def solved_problems(self, problem_id: str) -> list[Problem]:
        return [(self.pool or {})[shot.id] for shot in self.in_prompt_order(problem_id)]


def parse(spec: str) -> tuple[str, int]:
    """("none", 0), or kind and number of "icl:8" and its like. Raises ConfigError."""
    if spec == "none":
        return "none", 0
    kind, colon, number = spec.partition(":")
    if kind not in KINDS:
        raise ConfigError(unknown("shots", spec, ["none", *(f"{each}:N" for each in KINDS)]))
    if not colon or not number.isascii() or not number.isdigit() or int(number) < 1:
        raise ConfigError(f"shots = {spec!r}: expected {kind}:N with N of at least 1, {kind}:4 say")
    return kind, int(number)


def choose(
    config: RunConfig,
    task: Task,
    problems: Sequence[Problem],
    train: Callable[[], tuple[Sequence[Problem], Mapping[str, str]]],
    step: Callable[[int, int], None],
    warn: Callable[[str], None],
) -> Selection:
    """The shots that `config.shots` asks for. `train` loads the training rows and their files' digests.

    Raises UserError.
    """
    kind, count = parse(config.shots)
    if kind == "none":
        return Selection()
    if "train" not in task.card.sizes:
        raise ConfigError(
            f"shots = {config.shots!r} shows training problems, and task {task.name!r} has no train split:"
            " set shots to none"
        )
    loaded, digests = train()
    rows = [row for row in loaded if row.solution.strip()]
    asked = {problem.id for problem in problems}
    room = len(rows) - any(row.id in asked for row in rows)
    if count > room:
        raise ConfigError(
            f"shots = {config.shots!r}: task {task.name!r} has {room} training problems to show:"
            f" set shots to {kind}:{room} at most"
        )
    duplicate_index = DuplicateIndex(rows)
    if kind == "icl":
        retriever = LoadedRetriever(_random_retriever(rows, count, config.seed), {"method": "drawn"}, "")
    else:
        questions = [row.question for row in rows]
        retriever = load_retriever(config.retrieval, questions, config.backend.device, step, warn)
    chosen = _choose_shots(problems, rows, count, retriever, duplicate_index, config.retrieval)
    fewer = sum(len(own) < count for own in chosen.shots.values())
    notes = [*retriever.notes, *_duplicate_notes(chosen, config.retrieval)]
    if fewer:
        notes.append(
            f"{fewer} problems show fewer than {count} shots: no more of the training rows may be shown"
        )
    retrieved = kind != "icl"
    return Selection(
        spec=config.shots,
        ranked=chosen.shots,
        pool={row.id: row for row in rows},
        nearest_last=retrieved and config.retrieval.order == "nearest_last",
        identity={"train": dict(digests), "rows": len(rows), **retriever.identity},
        label=" ".join(
            [config.shots, retriever.label, config.retrieval.order] if retrieved else [config.shots]
        ),
        notes=tuple(notes),
        excluded=chosen.excluded,
        seed=config.seed if kind == "random_like_rag" else None,
    )


# ---------------------------------------------------------------- what may not be shown


class DuplicateIndex:
    """Finds the training rows that ask what a problem asks."""

    def __init__(self, rows: Sequence[Problem]) -> None:
        self.rows: dict[str, list[int]] = {}
        for at, row in enumerate(rows):
            self.rows.setdefault(normalize_question(row.question), []).append(at)

    def rows_like(self, problem: Problem) -> set[int]:
        return set(self.rows.get(normalize_question(problem.question), ()))


@dataclass(frozen=True)
class ChosenShots:
    """By problem id: the shots, best first, and the ids of rows that ask the same or are the problem itself."""

    shots: Mapping[str, tuple[Shot, ...]]
    excluded: Mapping[str, frozenset[str]]
    duplicates: Mapping[str, int]


def _choose_shots(
    problems: Sequence[Problem],
    rows: Sequence[Problem],
    count: int,
    retriever: LoadedRetriever,
    duplicate_index: DuplicateIndex,
    config: RetrievalConfig,
) -> ChosenShots:
    """Take the best hits that may be shown, looking further down for the problems that need it."""
    shots: dict[str, tuple[Shot, ...]] = {}
    excluded: dict[str, frozenset[str]] = {}
    duplicates: dict[str, int] = {}
    waiting, depth = list(problems), min(len(rows), count + EXTRA_HITS)
    while waiting:
        lists = retriever.retrieve([problem.question for problem in waiting], depth)
        short = []
        for problem, hits in zip(waiting, lists, strict=True):
            same_question = _duplicates_of(problem, rows, hits, duplicate_index, config)
            own = _allowed_shots(problem, rows, hits, same_question, config)[:count]
            if len(own) < count and depth < len(rows):
                short.append(problem)
                continue
            shots[problem.id] = tuple(own)
            duplicates[problem.id] = len(same_question)
            excluded[problem.id] = frozenset({problem.id, *(rows[at].id for at in same_question)})
        waiting, depth = short, min(len(rows), 2 * depth)
    return ChosenShots(shots, excluded, duplicates)


def _duplicates_of(
    problem: Problem,
    rows: Sequence[Problem],
    hits: Sequence[Hit],
    duplicate_index: DuplicateIndex,
    config: RetrievalConfig,
) -> set[int]:
    """The rows that ask the same as the problem, itself not counted."""
    same_question = duplicate_index.rows_like(problem)
    if config.near_duplicate is not None:
        same_question |= {row for row, score in hits if score >= config.near_duplicate}
    return {row for row in same_question if rows[row].id != problem.id}


def _allowed_shots(
    problem: Problem,
    rows: Sequence[Problem],
    hits: Iterable[Hit],
    same_question: set[int],
    config: RetrievalConfig,
) -> list[Shot]:
    marked = config.duplicates == "flag"
    return [
        Shot(
            id=rows[row].id,
            similarity=None if score != score else round(score, SIMILARITY_DIGITS),  # NaN: drawn, not found
            duplicate=row in same_question,
        )
        for row, score in hits
        if rows[row].id != problem.id and (marked or row not in same_question)
    ]


def _duplicate_notes(chosen: ChosenShots, config: RetrievalConfig) -> list[str]:
    having = [count for count in chosen.duplicates.values() if count]
    if not having:
        return []
    what = (
        "excluded as shots" if config.duplicates == "exclude" else "shown and marked where they were chosen"
    )
    return [f"{len(having)} problems are asked in the training rows too ({sum(having)} rows): {what}"]


# ---------------------------------------------------------------- drawing


def _random_retriever(
    rows: Sequence[Problem], count: int, seed: int
) -> Callable[[Sequence[str], int], list[list[Hit]]]:
    """A retriever that gives every question the same rows: `random.sample` of N, then the others shuffled."""
    rng = random.Random(seed)
    first = rng.sample(range(len(rows)), count)
    others = sorted(set(range(len(rows))) - set(first))
    rng.shuffle(others)
    order = [(row, float("nan")) for row in (*first, *others)]
    return lambda questions, depth: [order[:depth] for _ in questions]


def _length_matched_random(
    selection: Selection, problems: Sequence[Problem], render: Render, backend: Backend
) -> Selection:
    """Random shots in place of the retrieved ones, each of the nearest length in tokens; the rest is carried over."""
    pool = selection.pool or {}
    probe = problems[0]
    empty = backend.tokens(render(probe, ()))
    length = {name: backend.tokens(render(probe, [row])) - empty for name, row in pool.items()}
    ranked: dict[str, tuple[Shot, ...]] = {}
    off = []
    for problem in problems:
        retrieved = (selection.ranked or {})[problem.id]
        excluded = {shot.id for shot in retrieved} | (selection.excluded or {})[problem.id]
        free = [name for name in pool if name not in excluded]
        if len(free) < len(retrieved):
            raise ConfigError(
                f"shots = {selection.spec!r}: beside the {len(retrieved)} retrieved for {problem.id} only {len(free)}"
                " training problems are left to draw from: ask for fewer"
            )
        rng = random.Random(f"{selection.seed} {problem.id}")
        drawn, missing = [], 0
        for shot in retrieved:
            wanted = length[shot.id] + missing
            least = min(abs(length[name] - wanted) for name in free)
            name = rng.choice([name for name in free if abs(length[name] - wanted) == least])
            free.remove(name)
            drawn.append(Shot(id=name))
            missing = wanted - length[name]
        ranked[problem.id] = tuple(drawn)
        off.append(abs(sum(length[s.id] for s in retrieved) - sum(length[s.id] for s in drawn)))
    note = f"random shots: prompts {sum(off) / len(off):.2f} tokens longer or shorter than rag's (most: {max(off)})"
    return replace(selection, ranked=ranked, notes=(*selection.notes, note))


# ---------------------------------------------------------------- what the model has room for


def finalize_shots(
    selection: Selection, problems: Sequence[Problem], render: Render, max_tokens: int, backend: Backend
) -> Selection:
    """The shots that this model is shown: the control's drawn, and those dropped that do not fit its context.

    The least similar (of drawn ones the last) goes first, until prompt and answer fit the model's context.
    """
    if selection.spec == "none" or not problems:
        return selection
    if selection.seed is not None:
        if backend.capabilities.recorded:
            raise ConfigError(
                f"shots = {selection.spec!r} counts the model's tokens, and recorded completions have no model"
            )
        selection = _length_matched_random(selection, problems, render, backend)
    ranked = dict(selection.ranked or {})
    dropped = dict[str, int]()
    for problem in problems:
        trial = replace(selection, ranked=ranked)
        while ranked[problem.id] and not backend.fits(
            render(problem, trial.solved_problems(problem.id)), max_tokens
        ):
            ranked[problem.id] = ranked[problem.id][:-1]
            dropped[problem.id] = dropped.get(problem.id, 0) + 1
    notes = selection.notes
    if dropped:
        notes += (
            f"{sum(dropped.values())} shots of {len(dropped)} problems dropped: with them and {max_tokens} tokens"
            " for the answer the prompt would not fit the model's context",
        )
    return replace(selection, ranked=ranked, notes=notes)
