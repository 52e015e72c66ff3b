"""Judge recorded outputs again on the way that every answer takes, and write down where the verdict differs.

certify(sets, data, judge)  ->  the certificate after each set, the last of them whole
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import __version__, environment
from harness.config.run import JudgeConfig
from harness.errors import ConfigError, DataError, unknown
from harness.parity.recordings import ParitySet, RecordedOutput, at
from harness.runs.judge import answer_of, open_sandbox
from harness.runs.plan import Progress, no_progress
from harness.runs.resolve import judge_record, languages
from harness.sandbox.languages import toolchains
from harness.schema import (
    OF_TIME,
    Certificate,
    CertifiedSet,
    Disagreement,
    Problem,
    Sandbox,
    Scorer,
    Task,
    Verdict,
)
from harness.scorers.execution.own_reference import NOT_RUN
from harness.tasks.loading import data_files, registry
from harness.text.completion_parts import separate

NOT_YET = "not judged yet"
NOT_ASKED = "not asked for"
SHOWN = 60  # characters of a text that is read otherwise
TIMEOUTS = ("timeout", "timed out")


@dataclass(frozen=True)
class Parity:
    """What is certified: the sets asked for of all that are known, in a folder, by a judge."""

    sets: Sequence[ParitySet]
    only: Sequence[str]
    data: str
    judge: JudgeConfig = field(default_factory=JudgeConfig)

    def left_out(self) -> dict[str, str]:
        """Why a set is not judged, by its name. Raises UserError for a folder or a name that is not there."""
        known = [each.name for each in self.sets]
        for name in self.only:
            if name not in known:
                raise ConfigError(f"--only: {unknown('set', name, known)}")
        source = data_files.open_source(self.data)
        found = {}
        for each in self.sets:
            missing = [place for place in each.files if source.find(at(place)) is None]
            if self.only and each.name not in self.only:
                found[each.name] = NOT_ASKED
            elif missing:
                found[each.name] = f"no {missing[0]} in the data folder"
            elif each.needs and (tools := toolchains.toolchain(each.needs)).missing:
                found[each.name] = tools.hint
        return found


def certify(
    parity: Parity, begun: Certificate | None = None, progress: Progress = no_progress
) -> Iterator[Certificate]:
    """The certificate after each set. `begun`: one that was cut off; its sets are kept where nothing has changed."""
    if parity.judge.time_factor is not None:
        raise ConfigError("judge.time_factor: recorded verdicts are judged with the tasks' own limits")
    left_out = parity.left_out()
    wanted = [each for each in parity.sets if each.name not in left_out]
    if not wanted:
        name, why = next((name, why) for name, why in left_out.items() if why != NOT_ASKED)
        raise ConfigError(f"no set to judge in {parity.data}: {name}: {why}")
    commit = environment.commit()
    kept = {}
    changed = commit.endswith("+")  # sources that no commit holds: what was judged with them is not known
    if begun is not None and not changed and (begun.harness, begun.commit) == (__version__, commit):
        kept = {each.name: each for each in begun.sets} if NOT_YET in begun.left_out.values() else {}
    done: list[CertifiedSet] = []
    for number, each in enumerate(wanted, 1):
        source = data_files.open_source(parity.data)
        done.append(replay(each, source, parity.judge, kept.get(each.name), progress))
        waiting = dict.fromkeys((later.name for later in wanted[number:]), NOT_YET)
        yield Certificate(
            harness=__version__, commit=commit, sets=tuple(done), left_out={**left_out, **waiting}
        )


def replay(
    which: ParitySet,
    source: data_files.DataFolders,
    judge: JudgeConfig,
    kept: CertifiedSet | None = None,
    progress: Progress = no_progress,
) -> CertifiedSet:
    """Judge one set. Raises DataError for a file that cannot be read."""
    task = registry.task(which.task, which.options)
    problems = data_files.load(task, which.split, source) if which.split else []
    outputs = _outputs(which, source, problems)
    scorer = _scorer(task, which)
    with open_sandbox(judge, task) as box:
        used = languages(output.problem for output in outputs)
        record = judge_record(judge, box, used) if scorer.executes and not which.reading else None
        files = dict(sorted(source.digests.items()))
        if kept is not None and (kept.files, kept.judge) == (files, record):
            return kept
        answers = [answer_of(task, scorer, each.problem, separate(each.completion)) for each in outputs]
        if which.reading:
            own, again = answers, frozenset[str]()
        else:
            own, again = _verdicts(which, scorer, outputs, answers, box, progress)
    return _certified(which, files, record, list(zip(outputs, own, strict=True)), again)


def _certified(
    which: ParitySet,
    files: dict[str, str],
    judge: dict[str, Any] | None,
    verdicts: Sequence[tuple[RecordedOutput, str]],
    again: frozenset[str],
) -> CertifiedSet:
    """The set's entry. `verdicts`: each output with the own verdict; `again`: ids of those that were judged twice."""
    not_run = {
        each.id: _reason(mine) for each, mine in verdicts if not which.reading and mine.startswith(NOT_RUN)
    }
    ran = [(each, mine) for each, mine in verdicts if each.id not in not_run]
    differ = [
        Disagreement(
            id=each.id,
            recorded=_beginning(each.verdict),
            own=_beginning(mine),
            cause=_cause(which, each, mine),
        )
        for each, mine in ran
        if not which.agrees(each.verdict, mine)
    ]
    return CertifiedSet(
        name=which.name,
        task=which.task,
        files=files,
        judge=judge,
        rows=len(ran),
        agreed=len(ran) - len(differ),
        disagreements=tuple(differ),
        not_run=not_run,
        second_try=tuple(
            each.id for each, mine in ran if each.id in again and which.agrees(each.verdict, mine)
        ),
    )


def _cause(which: ParitySet, output: RecordedOutput, own: str) -> str:
    """Why the verdict differs; a fault has no excuse."""
    if own == "fault":
        return ""
    timeout = own in TIMEOUTS or output.verdict in TIMEOUTS
    return which.causes.get(output.id) or (OF_TIME if timeout and not which.reading else "")


def _outputs(
    which: ParitySet, source: data_files.DataFolders, problems: Sequence[Problem]
) -> list[RecordedOutput]:
    try:
        return list(which.outputs(source, {problem.id: problem for problem in problems}))
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"set {which.name!r}: {', '.join(which.files)} are not what was published: {type(error).__name__}: {error}"
        ) from None


def _scorer(task: Task, which: ParitySet) -> Scorer:
    return next(each for each in task.scorers if which.scorer in ("", each.name))


def _verdicts(
    which: ParitySet,
    scorer: Scorer,
    outputs: Sequence[RecordedOutput],
    answers: Sequence[str],
    box: Sandbox,
    progress: Progress,
) -> tuple[list[str], frozenset[str]]:
    """What the scorer says of each answer, of equal ones to one problem asked once; and the ids that were judged twice.

    A disagreement nobody knows a cause for may be this machine's, busy as it is: it is judged again, by itself.
    """
    keys = [(each.problem.id, answer) for each, answer in zip(outputs, answers, strict=True)]
    distinct = {key: each.problem for key, each in zip(keys, outputs, strict=True)}
    found: dict[tuple[str, str], str] = {}
    progress(which.name, 0, len(distinct))
    sandbox = box if scorer.executes else None
    asked = ((problem, answer) for (_, answer), problem in distinct.items())
    for key, verdict in zip(distinct, scorer.score(asked, sandbox), strict=True):
        found[key] = _outcome(verdict)
        progress(which.name, len(found), len(distinct))
    again = {
        each.id: key
        for key, each in zip(keys, outputs, strict=True)
        if not found[key].startswith(NOT_RUN)
        and not which.agrees(each.verdict, found[key])
        and each.id not in which.causes
    }
    for key in dict.fromkeys(again.values()) if scorer.executes else ():
        (verdict,) = scorer.score([(distinct[key], key[1])], sandbox)
        found[key] = _outcome(verdict)
    return [found[key] for key in keys], frozenset(again)


def _outcome(verdict: Verdict) -> str:
    """The status; of a scorer of texts, which has none, whether the answer is all right; what was not run says why."""
    if verdict.status == "fault" and verdict.error.startswith(NOT_RUN):
        return verdict.error
    if verdict.status != "scored" or verdict.score is None:
        return verdict.status
    return "passed" if verdict.score.value == 1.0 else "failed"


def _reason(error: str) -> str:
    """Why an output was not run, without the part of a reference's error that may differ from run to run."""
    return re.sub(r"\((\w+: \w+).*", r"(\1)", error.removeprefix(NOT_RUN), flags=re.DOTALL)


def _beginning(text: str) -> str:
    """As much of a recorded word or text as a person needs to see."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."
