"""What can be planned without a model: which problems, which prompts, which sampling.

make_plan(config)          rows -> problems -> prompts; most of a user's mistakes end here
follow_model(plan)         the default prompt of the model at hand, where the config names none
finalize_prompts(plan)     prompts again, where the model has a say: those too long for it
expected_counts(plan)      samples a problem; a partial recording narrows the plan
"""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from harness import backends
from harness.config.run import RunConfig
from harness.config.sampling import check_ks, resolve_sampling
from harness.errors import ConfigError, DataError, unknown
from harness.prompts import few_shot
from harness.prompts import templates as prompts
from harness.runs.environments import lock as environment_lock
from harness.runs.environments.lock import EnvironmentLock
from harness.schema import (
    Backend,
    Generation,
    Need,
    Problem,
    Prompt,
    Sampling,
    Scorer,
    Task,
    Template,
)
from harness.scorers import classifier_folder
from harness.scorers.reference_free.style import with_classifier
from harness.tasks.loading import data_files, registry
from harness.text import completion_parts, reasoning

EXCLUDED = f"excluded by the environment's lock, {environment_lock.NAME}"
LOG = logging.getLogger(__name__)


class Progress(Protocol):
    """Called after each step; shows a person how far the run is.

    `tokens` and `price` are those of the completions that this call of the command had made so far, 0 where nobody
    counts them.
    """

    def __call__(self, stage: str, done: int, total: int, tokens: int = 0, price: float = 0.0, /) -> None: ...


def no_progress(stage: str, done: int, total: int, tokens: int = 0, price: float = 0.0) -> None:
    del stage, done, total, tokens, price


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before the first token: what to ask, how, and in which order."""

    config: RunConfig
    task: Task
    template: Template
    sampling: Sampling
    problems: Sequence[Problem]
    training: Sequence[Problem]
    prompts: Mapping[str, Prompt]
    data: Mapping[str, str]
    skipped: Mapping[str, str]
    selection: few_shot.Selection = field(default_factory=few_shot.Selection)
    truncated: int = 0  # prompts that do not fit the model as they are
    lock: EnvironmentLock | None = None  # of the environment that judges; its excluded problems are skipped
    ignored: int = 0  # recorded samples of problems that the task knows and this run does not ask

    @property
    def names(self) -> list[str]:
        """The problems' ids, in the order in which the run's files have them."""
        return [problem.id for problem in self.problems]

    def as_recorded(self, made: Generation) -> Generation:
        """The sample as it is written down: its reasoning split off, with the shots that were in its prompt."""
        opened = reasoning.opens_thought(self.prompts[made.problem_id].text)
        completion = completion_parts.separate(made.completion, opened)
        shots = self.selection.in_prompt_order(made.problem_id)
        return made.model_copy(update={"completion": completion, "shots": shots})


def make_plan(config: RunConfig, progress: Progress = no_progress) -> Plan:
    """Load the task and its rows and build every prompt. Raises UserError before any work is done."""
    config = with_digest_of_classifier(config)
    own = registry.task(config.task, config.options)
    task = registry.with_extractor(registry.with_scorers(own, config.scorers), config.extract)
    if config.style is not None:
        style = with_classifier(config.style.label, config.style.digest)
        task = replace(task, scorers=tuple(style if s.name == style.name else s for s in task.scorers))
    template = prompts.select_template(task, config.prompt)
    check_chat(config, task, template)
    check_fim(config, template)
    sampling = plan_sampling(config, task, template)
    backends.check_sampling(config.backend, sampling)
    if not backends.capabilities(config.backend).recorded:
        check_ks(config.k, sampling.samples)
    source = data_files.open_source(config.data)
    problems = choose(data_files.load(task, config.split, source, config.limit), config.only)
    lock = environment_lock.of_judge(config.judge.python, task.name, source.digests)
    for name in [p.id for p in problems if lock and p.id in lock.excluded]:
        source.skip(name, EXCLUDED)
    problems = [problem for problem in problems if lock is None or problem.id not in lock.excluded]
    check_scorers(task.scorers if own.source else task.scorers[len(own.scorers) :], problems)
    selection = few_shot.choose(
        config,
        task,
        problems,
        train=lambda: data_files.load_with_digests(task, "train", config.data),
        step=lambda done, total: progress("index", done, total),
        warn=LOG.warning,
    )
    training = (
        data_files.load(task, "train", source) if any("training" in s.needs for s in task.scorers) else []
    )
    return Plan(
        config=config,
        task=task,
        template=template,
        sampling=sampling,
        problems=problems,
        training=training,
        selection=selection,
        prompts={p.id: prompts.render(template, p, selection.solved_problems(p.id)) for p in problems},
        data=dict(source.digests),
        skipped=source.skipped,
        lock=lock,
    )


def with_digest_of_classifier(config: RunConfig) -> RunConfig:
    """The config with what its classifier of style is. Raises UserError for a folder or a class that is not there."""
    if config.style is None:
        return config
    folder = Path(config.style.classifier).expanduser()
    classifier_folder.check_label(folder, config.style.label, "style.label")
    found = config.style.model_copy(update={"digest": classifier_folder.digest(folder)})
    return config.model_copy(update={"style": found})


def check_chat(config: RunConfig, task: Task, template: Template) -> None:
    """Raises ConfigError for a chat that is asked of a model known to have no chat template."""
    if not config.prompt or template.style != "chat" or backends.answers_chats(config.backend) is not False:
        return
    others = [own.name for own in task.templates if own.style != "chat"]
    raise ConfigError(
        f"prompt {template.name!r} is a chat, and the model has no chat template: "
        + (f"leave prompt out, or set it to {' or '.join(others)}" if others else "take a model that has one")
    )


def check_fim(config: RunConfig, template: Template) -> None:
    """Raises UserError for a prompt with a gap where the model cannot be asked to fill it."""
    if template.style != "fim":
        return
    if config.over_long == "truncate_left":
        raise ConfigError(
            "over_long = 'truncate_left' would take the marks off a prompt with a gap: leave it out"
        )
    backends.check_fim(config.backend)


def follow_model(plan: Plan, backend: Backend) -> Plan:
    """The plan with the template that fits the model. Raises ConfigError for arguments of a chat template in vain."""
    plan = plan if backend.capabilities.recorded else with_default_template(plan, backend.capabilities.chat)
    server = plan.config.backend.server
    is_chat = plan.template.style == "chat" or (server is not None and server.api == "chat")
    if plan.config.backend.template_args and not is_chat:
        raise ConfigError(
            f"backend.template_args has no effect: the prompt {plan.template.name!r} is a text and no chat"
        )
    return plan


def with_default_template(plan: Plan, chat: bool) -> Plan:
    """The plan with the default template of such a model, where the config names none; `finalize_prompts` fills it."""
    if plan.config.prompt:
        return plan
    template = prompts.select_template(plan.task, "", chat)
    return replace(plan, template=template, sampling=plan_sampling(plan.config, plan.task, template))


def plan_sampling(config: RunConfig, task: Task, template: Template) -> Sampling:
    """The task's sampling with the template's stop strings and what the config says. Raises ConfigError."""
    kind = config.backend.kind
    if kind == "replay" and config.over_long != "skip":
        raise ConfigError("over_long has no effect on recorded completions: leave it out")
    base = task.sampling.model_copy(update={"over_long": config.over_long})
    return resolve_sampling(config.sampling, base, template.stop, config.seed, kind)


def finalize_prompts(plan: Plan, backend: Backend) -> Plan:
    """Make the prompts again where the model has a say in them: those too long for it, and the random control."""
    render = partial(prompts.render, plan.template)
    selection = few_shot.finalize_shots(plan.selection, plan.problems, render, plan.sampling.budget, backend)
    built = {p.id: render(p, selection.solved_problems(p.id)) for p in plan.problems}
    truncated = 0
    if plan.sampling.over_long == "truncate_left":
        truncated = sum(not backend.fits(prompt, plan.sampling.budget) for prompt in built.values())
    return replace(plan, selection=selection, prompts={**plan.prompts, **built}, truncated=truncated)


def choose(problems: list[Problem], only: Sequence[str]) -> list[Problem]:
    """The problems with the ids asked for, in the task's order. Raises ConfigError for one that is not there."""
    known = [problem.id for problem in problems]
    for name in only:
        if name not in known:
            raise ConfigError(f"only: {unknown('problem', name, known)}")
    return [problem for problem in problems if problem.id in only] if only else problems


def check_scorers(scorers: Sequence[Scorer], problems: Sequence[Problem]) -> None:
    """Have scorers of texts look at an empty answer: who cannot judge the problems says so before any work."""
    for scorer in scorers:
        if not scorer.executes and not scorer.needs:
            deque(scorer.score(((problem, "") for problem in problems[:1]), None), maxlen=0)


def expected_counts(plan: Plan, backend: Backend) -> tuple[Plan, Mapping[str, int]]:
    """How many samples each problem will have; a partial recording narrows the plan to its problems."""
    recorded = backends.recorded_backend(backend)
    if recorded is None:
        return plan, {problem.id: plan.sampling.samples for problem in plan.problems}
    check_unmatched(plan, recorded.unmatched)
    ignored = sum(count for _, count in recorded.unmatched.values())
    kept = [problem for problem in plan.problems if problem.id in recorded.counts]
    samples = max(recorded.counts.values())
    sampling = plan.sampling.model_copy(update={"samples": samples})
    return replace(plan, sampling=sampling, problems=kept, ignored=ignored), recorded.counts


def check_unmatched(plan: Plan, unmatched: Mapping[str, tuple[str, int]]) -> None:
    """Raises DataError for a recorded id that no row of the split has; beyond the limit and skipped are fine.

    Rows without ids may go on behind a limit, if they go on to the end of the split.
    """
    if not unmatched:
        return
    source = data_files.open_source(plan.config.data)
    names = [problem.id for problem in data_files.load(plan.task, plan.config.split, source)]
    known = {*names, *source.skipped}
    for name, (place, _) in unmatched.items():
        if name.isdecimal() and name not in known:
            if int(name) != len(names) or names[: len(plan.problems)] != plan.names:
                raise DataError(
                    f"{place}: {name} rows without ids for {len(plan.problems)} problems: there must be one for each of"
                    f" them, or for all {len(names)} of the split and the run be of the first (--limit)"
                )
        elif name not in known:
            raise DataError(f"{place}: {unknown('problem', name, known)}")


def problem_rows(plan: Plan, backend: Backend) -> Iterator[dict[str, Any]]:
    """The rows of problems.jsonl: what a person reading a completion wants to see beside it.

    Among it the very text that the model is given, where the backend knows it.
    """
    renderer = backends.rendering_backend(backend)
    asked = [plan.prompts[problem.id] for problem in plan.problems]
    rendered = renderer.render(asked) if renderer is not None else [None] * len(asked)
    for problem, given in zip(plan.problems, rendered, strict=True):
        texts = problem.check.texts if problem.check.kind == "reference" else (problem.solution,)
        yield {
            "problem_id": problem.id,
            "group": problem.group,
            **({"cluster": problem.cluster} if problem.cluster else {}),
            **({"date": problem.date} if problem.date else {}),
            "question": problem.question,
            "references": list(texts),
            "prompt": plan.prompts[problem.id].model_dump(mode="json"),
            **({"rendered": given.text, "prompt_tokens": given.tokens} if given is not None else {}),
        }


def scorers_needing(plan: Plan, what: Need) -> list[str]:
    """The names of the scorers that need it."""
    return [scorer.name for scorer in plan.task.scorers if what in scorer.needs]


def check_likelihoods(plan: Plan, backend: Backend) -> None:
    """Say before any work that a scorer asks for what the backend cannot do."""
    if scorers_needing(plan, "likelihoods"):
        deque(backends.likelihood_backend(backend).likelihoods([]), maxlen=0)
