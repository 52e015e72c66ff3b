"""The certificate: what differs is named, a known cause excuses it and a fault never, and signatures name the file."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness import environment
from harness.cli.doctor import _set_text, _shown, _total_text
from harness.config import certificate
from harness.errors import ConfigError, DataError
from harness.parity import certify, sets
from harness.parity.recordings import ParitySet, Problems, RecordedOutput, references, rows_by_id, same_text
from harness.runs.plan import Progress
from harness.schema import (
    OF_TIME,
    Answer,
    Certificate,
    Completion,
    Disagreement,
    Sandbox,
    Score,
    Scorer,
    Source,
    Status,
    Verdict,
)
from tests.support import recordings
from tests.support.command import Ended, harness, write_rows

PROMPT = "def double(x):\n    '''Twice x.'''\n"
ROW = {
    "task_id": "HumanEval/0",
    "prompt": PROMPT,
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(3) == 6\n",
}
SAID = [
    {"task_id": "HumanEval/0", "completion": "    return x + x\n", "verdict": "passed"},
    {
        "task_id": "HumanEval/1",
        "completion": "    return x ** 2\n",
        "verdict": "passed",
    },  # planted: 9 is not 6
]
NAME = "humaneval/codefuse-13b"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one of the recordings: two outputs, the verdict of the second is wrong."""
    folder = tmp_path_factory.mktemp("data") / "humaneval"
    (folder / "outputs").mkdir(parents=True)
    write_rows(folder / "HumanEval.jsonl", [ROW, {**ROW, "task_id": "HumanEval/1"}])
    write_rows(folder / "outputs" / "CodeFuse-13B.jsonl", SAID)
    return folder.parent


def doctor(data: Path, out: Path, *more: object) -> Ended:
    return harness("doctor", "--parity", data, "--out", out, *more)


@pytest.fixture(scope="module")
def certified(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """How the command ended, and its certificate."""
    path = tmp_path_factory.mktemp("out") / "c.json"
    return doctor(data, path), path


def test_an_unexplained_disagreement_is_named_and_ends_in_3(certified: tuple[Ended, Path]) -> None:
    ended, path = certified
    assert ended.code == 3
    assert (
        f"{NAME:40} 1 of 2 agree\n  HumanEval/1: recorded 'passed', here 'failed': UNEXPLAINED\n" in ended.out
    )
    assert "1 sets, 2 outputs: 1 agree, 0 differ for a known cause, 1 unexplained" in ended.out
    for absent in (each for each in sets.SETS if each.name != NAME):
        assert f"{absent.name:40} ABSENT: no " in ended.out
    made = certificate.load(path)
    (found,) = made.sets
    assert (found.rows, found.agreed) == (2, 1)
    assert found.disagreements == (Disagreement(id="HumanEval/1", recorded="passed", own="failed"),)
    assert set(found.files) == {"humaneval/HumanEval.jsonl", "humaneval/outputs/CodeFuse-13B.jsonl"}
    assert found.judge is not None
    assert {"sandbox", "versions", "installed"} <= set(found.judge)
    assert set(made.left_out) == {each.name for each in sets.SETS} - {NAME}
    assert ended.out.endswith(f"certificate {certificate.short(made)} in {path}\n")


def test_as_json_the_certificate_is_all_that_is_printed_and_the_exit_code_is_the_same(
    data: Path, tmp_path: Path
) -> None:
    ended = doctor(data, tmp_path / "c.json", "--only", NAME, "--json")
    assert ended.code == 3, ended
    printed = json.loads(ended.out)
    assert printed == json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    (found,) = printed["sets"]
    assert (found["name"], found["rows"], found["agreed"]) == (NAME, 2, 1)
    assert found["disagreements"] == [
        {"id": "HumanEval/1", "recorded": "passed", "own": "failed", "cause": ""}
    ]


def test_a_known_cause_is_told_and_excuses(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (codefuse,) = (each for each in sets.SETS if each.name == NAME)
    known = replace(codefuse, causes={"HumanEval/1": "planted"})
    monkeypatch.setattr(sets, "SETS", (known,))
    ended = doctor(data, tmp_path / "c.json", "--only", NAME)
    assert ended.code == 0, ended
    assert "HumanEval/1: recorded 'passed', here 'failed': planted\n" in ended.out


def test_the_signature_names_the_certificate_and_nothing_else_of_the_run_changes(
    certified: tuple[Ended, Path], data: Path, tmp_path: Path
) -> None:
    path = certified[1]
    said = data / "humaneval" / "outputs" / "CodeFuse-13B.jsonl"
    named = ("--set", f"judge.certificate={path}")
    for name, more in (("plain", ()), ("named", named)):
        ended = harness(
            "score", "humaneval", "--completions", said, "--data", data, "--out", tmp_path / name, *more
        )
        assert ended.code == 0, ended
    plain, with_it = (
        json.loads((tmp_path / name / "summary.json").read_text(encoding="utf-8"))
        for name in ("plain", "named")
    )
    part = f" | certificate {certificate.short(certificate.load(path))} 1/2 1 unexplained"
    assert with_it["signature"].replace(part, "") == plain["signature"] != with_it["signature"]
    assert with_it["run_id"] == plain["run_id"]


def test_a_certificate_of_another_judge_or_version_is_refused(
    certified: tuple[Ended, Path], tmp_path: Path
) -> None:
    made = certificate.load(certified[1])
    judge = made.sets[0].judge
    assert judge is not None
    path = tmp_path / "c.json"

    def said_of(made: Certificate, **change: object) -> str:
        path.write_text(made.model_copy(update=change).model_dump_json(), encoding="utf-8")
        return certificate.certified(str(path), "humaneval", judge)

    both = [
        made.sets[0].model_copy(update={"judge": {**judge, "sandbox": s}}) for s in ("namespaces", "landlock")
    ]
    assert " 2/4 2 unexplained" in said_of(made, sets=tuple(both))  # both isolate, and give the same verdicts
    assert said_of(made, sets=()).endswith(" no set of this task")
    java = made.sets[0].model_copy(update={"judge": {**judge, "versions": {"java": "17"}, "installed": {}}})
    assert said_of(made, sets=(made.sets[0], java)).endswith(
        " 1/2 1 unexplained"
    )  # another language's compiler
    locked = certificate.certified(str(path), "humaneval", {**judge, "lock": "0123456789abcdef"})
    assert locked.endswith(" 1/2 1 unexplained")
    slower = made.sets[0].model_copy(update={"judge": {**judge, "time_limit": 7.0}})
    with pytest.raises(
        ConfigError, match=f"{NAME} was judged with .*'time_limit': 7.0.*, this run judges with"
    ):
        said_of(made, sets=(slower,))
    with pytest.raises(ConfigError, match=r"it is about harness 0\.0\.1, this is .*: make it again"):
        said_of(made, harness="0.0.1")
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="no certificate of harness doctor --parity: harness: Field required"):
        certificate.load(path)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (
            ("--only", "humaneval/codefuse"),
            "no set 'humaneval/codefuse'. Did you mean 'humaneval/codefuse-13b'?",
        ),
        (("--only", "spider/gold"), "no set to judge"),
        (("--set", "judge.time_factor=4"), "judge.time_factor: recorded verdicts are judged with"),
    ],
)
def test_a_mistake_is_one_line(more: tuple[str, ...], complaint: str, data: Path, tmp_path: Path) -> None:
    assert complaint in doctor(data, tmp_path / "c.json", *more).complaint
    assert not (tmp_path / "c.json").exists()


def test_a_recording_of_other_problems_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "humaneval").symlink_to(data / "humaneval")
    (codefuse,) = (each for each in sets.SETS if each.name == NAME)
    write_rows(tmp_path / "other.jsonl", [{**SAID[0], "task_id": "HumanEval/7"}])
    (tmp_path / "x").symlink_to(tmp_path)
    elsewhere = replace(codefuse, outputs=rows_by_id("x/other.jsonl", "verdict", "continuation"))
    with pytest.raises(
        DataError, match=f"set '{NAME}': .* are not what was published: KeyError: 'HumanEval/7'"
    ):
        list(certify.certify(certify.Parity((elsewhere,), (), str(tmp_path))))


def test_only_without_parity_is_a_mistake() -> None:
    assert harness("doctor", "--only", NAME).complaint == "--only is for --parity DATA"


# ---------------------------------------------------------------- without a sandbox


def letters(folder: Path, name: str) -> ParitySet:
    task = str(recordings.write_task(folder))
    return ParitySet(name=name, files=(), task=task, options={"problems": 3}, outputs=references)


def test_what_was_cut_off_goes_on_and_what_is_whole_is_judged_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "commit", lambda: "0123456")
    both = (letters(tmp_path, "a"), letters(tmp_path, "b"))
    parity = certify.Parity(both, (), str(tmp_path))
    judged: list[str] = []

    def progress(stage: str, done: int, *more: object) -> None:
        judged.extend([stage] if done == 0 else [])

    first = next(certify.certify(parity, None, progress))
    assert first.left_out == {"b": certify.NOT_YET}
    *_, whole = certify.certify(parity, first, progress)
    assert judged == ["a", "b"]
    assert [each.agreed for each in whole.sets] == [3, 3]
    *_, again = certify.certify(parity, whole, progress)
    assert judged == ["a", "b", "a", "b"]
    assert again == whole
    changed = first.model_copy(update={"sets": (first.sets[0].model_copy(update={"files": {"x": "y"}}),)})
    list(certify.certify(parity, changed, progress))
    assert judged[4:] == ["a", "b"]
    monkeypatch.setattr(environment, "commit", lambda: "0123456+")  # files that no commit holds
    list(certify.certify(parity, first.model_copy(update={"commit": "0123456+"}), progress))
    assert judged[6:] == ["a", "b"]


def test_each_set_has_a_line_of_its_own_that_says_how_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @contextmanager
    def show() -> Iterator[Progress]:
        told.append("begun")
        yield lambda stage, done, total, *more: told.extend([f"{stage} {done}/{total}"] if done == 3 else [])
        told.append("ended")

    monkeypatch.setattr("harness.cli.doctor.show_progress", show)
    both = (letters(tmp_path, "a"), letters(tmp_path, "b"))
    found = list(_shown(certify.Parity(both, (), str(tmp_path)), None))
    assert [len(each.sets) for each in found] == [1, 2]
    assert told == ["begun", "1/2 a 3/3", "ended", "begun", "2/2 b 3/3", "ended", "begun", "ended"]


def test_equal_answers_are_judged_once_and_counted_each(tmp_path: Path) -> None:
    def thrice(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        for each in references(source, problems):
            yield from [each] * 3

    steps: list[tuple[int, int]] = []
    which = replace(letters(tmp_path, "a"), outputs=thrice)
    parity = certify.Parity((which,), (), str(tmp_path))
    (made,) = certify.certify(parity, None, lambda stage, done, total, *more: steps.append((done, total)))
    assert (made.sets[0].rows, made.sets[0].agreed) == (9, 9)
    assert steps == [(0, 3), (1, 3), (2, 3), (3, 3)]


def judged_by(monkeypatch: pytest.MonkeyPatch, verdict: Callable[[str, int], Verdict]) -> list[str]:
    """Have a problem's answers judged by `verdict` (its id, for the how-manieth time); the ids, as they were asked."""
    asked: list[str] = []

    def score(answers: Iterable[Answer], box: Sandbox | None) -> Iterator[Verdict]:
        for problem, _ in answers:
            asked.append(problem.id)
            yield verdict(problem.id, asked.count(problem.id))

    scorer = Scorer(name="exact", score=score, metrics=lambda ks: {}, executes=True)
    monkeypatch.setattr(certify, "_scorer", lambda task, which: scorer)
    return asked


def test_a_disagreement_is_judged_again_by_itself_and_a_timeout_is_a_matter_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verdict(name: str, time: int) -> Verdict:
        statuses: dict[str, Status] = {"letters/0": "passed", "letters/1": "failed", "letters/2": "timeout"}
        status = "passed" if name == "letters/1" and time == 2 else statuses[name]
        return Verdict(status=status, score=Score(value=float(status == "passed")))

    asked = judged_by(monkeypatch, verdict)
    which = replace(letters(tmp_path, "a"), causes={"letters/0": "known"})
    (made,) = certify.certify(certify.Parity((which,), (), str(tmp_path)))
    assert asked == ["letters/0", "letters/1", "letters/2", "letters/1", "letters/2"]
    (found,) = made.sets
    assert found.second_try == ("letters/1",)
    assert found.disagreements == found.of_time
    assert [(each.id, each.own, each.cause) for each in found.of_time] == [("letters/2", "timeout", OF_TIME)]
    assert _total_text(made) == (
        "1 sets, 3 outputs: 2 agree, 0 differ for a known cause, 1 a matter of time (judge again on an idle machine),"
        " 0 unexplained; 0 sets left out"
    )


def test_what_was_not_run_counts_for_neither_side_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = "no module 'numpy' here; harness env x installs what is needed"
    reference = "its own reference does not pass here (failed: AssertionError: /tmp/a7 is not 1)"
    said = {"letters/0": why, "letters/1": reference}

    def verdict(name: str, time: int) -> Verdict:
        if name in said:
            return Verdict(status="fault", score=None, error=f"not run: {said[name]}")
        return Verdict(status="passed", score=Score(value=1.0))

    asked = judged_by(monkeypatch, verdict)
    (made,) = certify.certify(certify.Parity((letters(tmp_path, "a"),), (), str(tmp_path)))
    assert len(asked) == 3
    (found,) = made.sets
    assert (found.rows, found.agreed, found.disagreements) == (1, 1, ())
    always = "its own reference does not pass here (failed: AssertionError)"
    assert found.not_run == {"letters/0": why, "letters/1": always}
    assert _set_text(found).splitlines() == [
        f"{'a':40} 1 of 1 agree, 2 not run",
        f"  not run, 1: letters/0: {why}",
        f"  not run, 1: letters/1: {always}",
    ]
    path = tmp_path / "c.json"
    path.write_text(made.model_dump_json(), encoding="utf-8")
    assert certificate.certified(str(path), found.task, None).endswith(" 1/1 2 not run")


def test_a_fault_of_the_judge_is_excused_by_no_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Verdict(status="fault", score=None, error="the sandbox broke")
    which = replace(letters(tmp_path, "a"), causes={f"letters/{i}": "known" for i in range(3)})
    scorer = Scorer(name="exact", score=lambda answers, box: (broken for _ in answers), metrics=lambda ks: {})
    monkeypatch.setattr(certify, "_scorer", lambda task, which: scorer)
    (made,) = certify.certify(certify.Parity((which,), (), str(tmp_path)))
    assert [(each.own, each.cause) for each in made.sets[0].disagreements] == [("fault", "")] * 3


def test_a_reading_is_held_against_the_text_and_shown_by_its_beginning(tmp_path: Path) -> None:
    def read(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        for problem in problems.values():
            official = "" if problem.id == "letters/2" else "x = 1"
            yield RecordedOutput(problem.id, problem, Completion(text="x = 1\n"), official)

    which = replace(letters(tmp_path, "a"), outputs=read, reading=True, agrees=same_text)
    (made,) = certify.certify(certify.Parity((which,), (), str(tmp_path)))
    assert isinstance(made, Certificate)
    assert made.sets[0].judge is None
    assert [(e.id, e.recorded, e.own) for e in made.sets[0].disagreements] == [("letters/2", "", "x = 1")]
