"""What a run is once its model and sandbox are open: the plan with the model's say in it, the record, the header.

    resolve(plan, backend, sandbox)  ->  ResolvedRun     the one way to it, for a run, a preference and a study

Everything here is settled before the first token; a user's mistake that only the model can show ends here.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import environment
from harness.config import certificate
from harness.config.backend import NOT_IDENTITY
from harness.config.identity import digest, placeless
from harness.config.run import JudgeConfig, RunConfig
from harness.config.sampling import check_ks
from harness.runs import contamination, shards
from harness.runs.environments import lock as environment_lock
from harness.runs.plan import Plan, check_likelihoods, expected_counts, finalize_prompts, follow_model
from harness.runs.shards import Shard
from harness.schema import Backend, Check, Problem, Sampling, Sandbox, Scorer, Task
from harness.tasks.loading import data_files


@dataclass(frozen=True)
class Header:
    """What stands beside the numbers: the signature, and notes on what a reader cannot see from them."""

    signature: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ResolvedRun:
    """`counts` is the number of samples of each problem by its id, `record` the content of run.json. Where it
    `is_part`, the same folder gets more of the run's problems later (looks.py)."""

    plan: Plan
    counts: Mapping[str, int]
    record: Mapping[str, Any]
    header: Header
    is_part: bool = False

    @property
    def run_id(self) -> str:
        return str(self.record["run_id"])

    @property
    def task(self) -> Task:
        return self.plan.task

    @property
    def config(self) -> RunConfig:
        return self.plan.config

    @property
    def problems(self) -> Sequence[Problem]:
        return self.plan.problems


def resolve(plan: Plan, backend: Backend, sandbox: Sandbox, shard: Shard | None = None) -> ResolvedRun:
    """The run that `plan` becomes with this model in this sandbox; with `shard` that part of it.

    Raises ConfigError, DataError for what the backend cannot do or does not have.
    """
    plan, counts = expected_counts(follow_model(plan, backend), backend)
    plan = finalize_prompts(plan, backend)
    check_ks(plan.config.k, min(counts.values()))
    check_likelihoods(plan, backend)
    record = describe(plan, backend, sandbox)
    signed = signature(plan, record, recorded=backend.capabilities.recorded)
    said = (*_adapter_notes(record), *notes(plan, counts), *_absent(record, sandbox))
    whole = ResolvedRun(plan, counts, record, Header(signed, said))
    return whole if shard is None else select_shard(whole, shard)


def select_shard(whole: ResolvedRun, shard: Shard) -> ResolvedRun:
    """One part of a run. Its record holds what merging writes of the whole and cannot know otherwise."""
    shards.check(shard, len(whole.problems))
    kept = whole.problems[shard.index :: shard.of]
    header = whole.header
    about = {
        "index": shard.index,
        "of": shard.of,
        "problems": len(kept),
        "run_id": whole.run_id,
        "signature": header.signature,
        "notes": list(header.notes),
    }
    note = f"partial: shard {shard}, {len(kept)} of {len(whole.problems)} problems; harness merge makes the run of all"
    return ResolvedRun(
        plan=replace(whole.plan, problems=kept),
        counts={problem.id: whole.counts[problem.id] for problem in kept},
        record={**whole.record, "run_id": shards.run_id(whole.run_id, shard), "shard": about},
        header=Header(f"{header.signature} | shard {shard}", (note, *header.notes)),
    )


def describe(plan: Plan, backend: Backend, sandbox: Sandbox) -> dict[str, Any]:
    """The content of run.json. What identifies the run comes first; versions and hardware may differ on resume."""
    config = plan.config
    executes = any(scorer.executes for scorer in plan.task.scorers)
    described: dict[str, Any] = {
        "config": config.model_dump(
            mode="json", exclude={"data": True, "cache": True, "judge": True, "retrieval": {"cache"}}
        ),
        "config_hash": config.hash,
        "task": {
            "name": plan.task.name,
            "version": plan.task.version,
            **({"source": plan.task.source} if plan.task.source else {}),
        },
        "data": {"set": "mini" if config.data == data_files.MINI else "benchmark", "sha256": plan.data},
        "problems": len(plan.problems),
        "prompt": {
            "template": plan.template.model_dump(mode="json"),
            "hash": digest([plan.prompts[problem.id].sha for problem in plan.problems]),
        },
        "shots": plan.selection.identity,
        "sampling": plan.sampling.model_dump(mode="json"),
        "backend": dict(backend.identity),
        "judge": _locked_record(plan, sandbox) if executes else None,
    }
    if config.extract:
        described["extractor"] = plan.task.extract.__name__
    if sources := {scorer.name: scorer.source for scorer in plan.task.scorers if scorer.source}:
        described["scorers"] = sources  # what is not built in may change without a version of this harness
    if config.judge.exclude:
        described["exclude"] = list(config.judge.exclude)
    for incidental in NOT_IDENTITY:
        described["config"]["backend"].pop(incidental, None)
    names = (plan.task.name, environment.run_name(config.backend), environment.plugin_name(config.extract))
    run_id = "-".join([*filter(None, names), digest(placeless(described))[:8]])
    paid = config.backend.model_dump(include={"price_in", "price_out"}, exclude_none=True)
    seen = contamination.find(config.backend, plan.problems)
    return {
        "run_id": run_id,
        **described,
        **({"prices": paid} if paid else {}),
        **({"contamination": seen} if seen else {}),
        **environment.here(),
    }


def languages(problems: Iterable[Problem]) -> set[str]:
    """What the answers are written in, as far as verdicts depend on who reads it."""
    return {_language(problem.check) for problem in problems}


def _language(check: Check) -> str:
    match check.kind:
        case "inline_tests" | "under_test":
            return check.language
        case "query":
            return "sqlite"
    return "python"


def judge_record(judge: JudgeConfig, sandbox: Sandbox, used: set[str]) -> dict[str, Any]:
    """Who judges, as run.json has it; `used` are the languages of the answers."""
    limits = judge.model_dump(
        exclude={"sandbox", "workers", "python", "time_factor", "exclude", "certificate", "stall_s"}
    )
    record = {"sandbox": sandbox.isolation, **limits}
    # Only where it is asked for, so that records of before it existed stay comparable.
    if judge.time_factor:
        record["time_factor"] = judge.time_factor
    record["versions"] = dict(sandbox.versions(used))
    if "python" in used:
        record["installed"] = dict(sandbox.packages)
    return record


def _locked_record(plan: Plan, sandbox: Sandbox) -> dict[str, Any]:
    """Who judges, and by which lock of an environment. Raises ConfigError where that is of another environment."""
    record = judge_record(plan.config.judge, sandbox, languages(plan.problems))
    if plan.lock is not None:
        environment_lock.check(plan.lock, sandbox.packages, record["versions"]["python"])
        record["lock"] = plan.lock.digest
    return record


# ---------------------------------------------------------------- the header


def notes(plan: Plan, counts: Mapping[str, int]) -> tuple[str, ...]:
    """What a reader of the numbers has to know and cannot see from them."""
    found = []
    asked = len(plan.prompts)
    if len(plan.problems) < asked:
        found.append(f"partial: {len(plan.problems)} of {asked} problems have completions")
    if plan.config.limit is not None:
        found.append(f"limited to the first {asked} problems")
    if plan.config.only:
        found.append(f"only {asked} chosen problems")
    for why, skipped in sorted(Counter(plan.skipped.values()).items()):
        found.append(f"{skipped} problems skipped: {why}")
    if plan.ignored:
        found.append(f"{plan.ignored} recorded samples ignored: their problems are not part of this run")
    if len(set(counts.values())) > 1:
        found.append(f"{min(counts.values())} to {max(counts.values())} samples a problem")
    if plan.truncated:
        found.append(
            f"{plan.truncated} prompts truncated from the left to fit the model's context (over_long)"
        )
    if not plan.config.prompt and plan.template != plan.task.templates[0]:
        why = "answers chats" if plan.template.style == "chat" else "has no chat template"
        found.append(f"prompt {plan.template.name!r}, because the model {why}")
    found += plan.selection.notes
    if plan.config.data == data_files.MINI:
        found.append("the project's own mini rows, not the benchmark")
    return tuple(found)


def signature(plan: Plan, record: Mapping[str, Any], recorded: bool) -> str:
    """One line that says what a number means: two runs with equal signatures may be compared."""
    sampling, judge, backend = plan.sampling, record["judge"], record["backend"]
    how = f"beams {sampling.beams}" if sampling.beams > 1 else "greedy"
    if sampling.temperature > 0:
        how = f"T {sampling.temperature:g} top-p {sampling.top_p:g} top-k {sampling.top_k}"
    for name, word in (("count_penalty", "count"), ("repetition_penalty", "repetition")):
        if (r := getattr(sampling, name)) != 1:
            how += f" {word} {r:g}"
    if sampling.banned_tokens:
        how += f" banned {digest(list(sampling.banned_tokens))[:8]}"
    if recorded:
        how = "recorded"
    parts = [
        " ".join(filter(None, [f"{plan.task.name} v{plan.task.version}", plan.task.source])),
        f"{plan.config.split} {len(plan.problems)}x{sampling.samples}",
        f"data {digest(plan.data)[:8]}",
        f"prompt {plan.template.name}:{record['prompt']['hash'][:8]}{_template_args(plan)}",
        f"shots {plan.selection.label}",
        f"extract {plan.task.extract.__name__}",
        f"{how} max {_budget(sampling)} seed {sampling.seed}{_over_long(sampling)}",
        _judged(judge),
        certificate.certified(plan.config.judge.certificate, plan.task.name, judge),
        f"without {', '.join(record['exclude'])}" if "exclude" in record else "",
        *([backend["dtype"], backend["engine"]] if "dtype" in backend else [backend["kind"]]),
        *(part for scorer in plan.task.scorers if (part := _scorer_signature(scorer, plan.problems))),
    ]
    return " | ".join(filter(None, parts))


def _over_long(sampling: Sampling) -> str:
    return f" over_long {sampling.over_long}" if sampling.over_long != "skip" else ""


def _absent(record: Mapping[str, Any], sandbox: Sandbox) -> list[str]:
    """A note on packages that programs should find and do not: a right one may then fail."""
    absent = sandbox.absent if "installed" in (record["judge"] or {}) else ()
    return [f"not installed for programs: {', '.join(absent)}"] if absent else []


def _adapter_notes(record: Mapping[str, Any]) -> list[str]:
    """What makes an adapter's numbers doubtful: it was trained on what it is asked, or on another base."""
    doubts = record["backend"].get("adapter_warnings")
    return [*filter(None, [contamination.note(record)]), *([f"adapter: {doubts}"] if doubts else [])]


def _template_args(plan: Plan) -> str:
    given = plan.config.backend.template_args
    return "".join(f" {name}={json.dumps(value)}" for name, value in sorted(given.items()))


def _budget(sampling: Sampling) -> str:
    """The tokens of an answer, and those allowed for reasoning where there are any."""
    more = f"+{sampling.max_reasoning_tokens} reasoning" if sampling.max_reasoning_tokens else ""
    return f"{sampling.max_tokens}{more}"


def _scorer_signature(scorer: Scorer, problems: Sequence[Problem]) -> str:
    """What the scorer says of itself, and of one that is not built in which version it is."""
    own = scorer.signature(problems) if scorer.signature else ""
    return f"{own or scorer.name} {scorer.source}" if scorer.source else own


def _judged(judge: Mapping[str, Any] | None) -> str:
    """The sandbox, who runs the programs in it with which packages, and the limits where they are not the task's own:
    a tighter one fails more programs.
    """
    if judge is None:
        return "judge text"
    limits = (
        ("cpu", judge["time_limit"], "s"),
        ("cpu", judge.get("time_factor"), "times the reference"),
        ("memory", judge["memory_mb"], "MB"),
    )
    own = [f"{name} {value:g} {unit}" for name, value, unit in limits if value is not None]
    versions = [f"{name} {version}" for name, version in judge["versions"].items()]
    packages = [f"packages {digest(judge['installed'])[:8]}"] if judge.get("installed") else []
    lock = [f"lock {judge['lock'][:8]}"] if judge.get("lock") else []
    return " ".join(["judge", judge["sandbox"], *own, *versions, *packages, *lock])
