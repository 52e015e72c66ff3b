"""What every task promises, tried on each one there is: a new file in tasks/ is tested by being there.

The rows are the project's own; the tests that take `real_data` say the same of the benchmarks' files.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox, scorers, tasks
from harness.config import plugins
from harness.errors import ConfigError, DataError
from harness.files import packaged
from harness.runs import judge
from harness.schema import Card, InlineTests, Problem, Split
from harness.tasks.loading import data_files, registry
from tests.support import polyglot_programs
from tests.support.command import harness, rows, write_rows

Options = dict[str, object]

# A task with options is held to the contract under each of them.
CONTRACT: list[tuple[str, Options]] = [(name, {}) for name in registry.names()]
CONTRACT += [("conala", {"corpus": "docprompting"}), ("apps", {"setting": "full"})]
CONTRACT += [("mbpp", {"with_challenge": True}), ("humaneval_plus", {"mini": True})]
CONTRACT += [("codealpaca_py", {"corpus": "rebuilt"})]
CONTRACT += [("spider", {"execute": False}), ("bird", {"corpus": "dev"}), ("sparc", {"group": "turn"})]

CONTRACT += [
    ("humaneval_x", {"language": name}) for name in ("java", "cpp", "javascript", "go", "rust", "python_cn")
]
CONTRACT += [("cruxeval", {"predict": "input"})]
CONTRACT += [("code_trans", {"direction": name}) for name in ("java_to_cpp", "python_to_java")]

# The benchmark's own form of an id; the project's own HumanEval-like rows are Mini/0, Mini/1, ...
IDS = {
    "apps": r"apps/(train|test)/\d+",
    "calculus": r"calculus/(train|test)/\d+",
    "code_comment": r"mbpp/\d+",
    "codealpaca_py": r"codealpaca_py/(train|validation|test)/\d+",
    "code_trans": r"(Python|Java|CPP)/\d+",
    "humaneval_x": r"(Python|Java|CPP|JavaScript|Go|Rust)/\d+",
    "cruxeval": r"sample_\d+",
    "conala": r"conala/(train|validation|test)/\d+",
    "ds1000": r"ds1000/\d+",
    "humaneval": r"(HumanEval|Mini)/\d+",
    "humaneval_plus": r"(HumanEval|Mini)/\d+",
    "mbpp": r"mbpp/\d+",
    "mbpp_plus": r"Mbpp/\d+",
    "unit_test_gen": r"(mbpp|HumanEval|Mini)/\d+",
    "bird": r"bird/(train|dev|mini_dev)/\d+",
    "cosql": r"cosql/(train|dev)/\d+/\d+",
    "cspider": r"cspider/(train|dev)/\d+",
    "sparc": r"sparc/(train|dev)/\d+/\d+",
    "spider": r"spider/(train|dev)/\d+",
    "wikisql": r"wikisql/(train|dev|test)/\d+",
}

# Rows that a split of the project's own set has at least, where 30 would be more than are needed.
FEWEST = {
    "bird": 10,
    "cosql": 18,
    "cspider": 18,
    "sparc": 22,
    "apps": 1,
    "humaneval_x": 4,
    "code_trans": 3,
    "cruxeval": 10,
}

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def load(name: str, options: Options, split: Split, data: str = "mini") -> list[Problem]:
    return data_files.load(registry.task(name, options), split, data_files.open_source(data))


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as pool:
        yield pool


@pytest.fixture(params=CONTRACT, ids=lambda case: "-".join([case[0], *map(str, case[1].values())]))
def case(request: pytest.FixtureRequest) -> tuple[str, Options]:
    found: tuple[str, Options] = request.param
    return found


# ---------------------------------------------------------------- the contract


def test_the_tasks_are_the_files_of_the_folder() -> None:
    files = packaged("tasks").glob("*.py")
    assert registry.names() == sorted(path.stem for path in files if path.stem != "__init__")
    assert {"apps", "conala", "humaneval"} <= set(registry.names())


def test_a_task_has_mini_rows_in_each_published_split_with_unique_ids_of_the_benchmarks_form(
    case: tuple[str, Options],
) -> None:
    name, options = case
    task = registry.task(name, options)
    assert "test" in task.card.sizes
    for split in task.card.sizes:
        assert split in SPLITS
        problems = load(name, options, split)
        ids = [problem.id for problem in problems]
        assert len(set(ids)) == len(ids) >= FEWEST.get(name, 30)
        assert [one for one in ids if not re.fullmatch(IDS[name], one)] == []
        assert all(problem.question.strip() and problem.solution.strip() for problem in problems)


def test_a_split_that_the_benchmark_does_not_have_is_a_mistake_and_not_an_empty_run(
    case: tuple[str, Options],
) -> None:
    name, options = case
    for split in set(SPLITS) - set(registry.task(name, options).card.sizes):
        with pytest.raises(DataError, match=f"task '{name}' has no {split} rows"):
            load(name, options, split)


def test_every_reference_passes_and_every_empty_answer_is_worth_less(
    case: tuple[str, Options], box: sandbox.Pool
) -> None:
    name, options = case
    found, task = load(name, options, "test"), registry.task(name, options)
    for language in {p.check.language for p in found if isinstance(p.check, InlineTests)}:
        if polyglot_programs.missing(language):
            pytest.skip(polyglot_programs.missing(language))
    if task.preload:  # as a run does: importing pandas takes twenty times as long as a program
        with sandbox.start(sandbox.Settings(packages=task.packages, preload=task.preload)) as ready:
            assert judge.prove(task, found, ready) == []
    else:
        assert judge.prove(task, found, box) == []


def test_the_proof_notices_a_broken_reference_and_a_check_that_passes_anything(box: sandbox.Pool) -> None:
    first, second, third = load("humaneval", {}, "test")[:3]
    broken = first.model_copy(update={"solution": "    return None\n"})
    anything = second.check.model_copy(update={"code": "vowel_total('a')"})
    lax = second.model_copy(update={"check": anything})
    wrong = judge.prove(registry.task("humaneval"), [broken, lax, third], box)
    assert [line.split(" (")[0] for line in wrong] == [
        f"{first.id}: unit_tests: its reference fails",
        f"{second.id}: unit_tests: an empty answer is worth as much as its reference",
    ]


def test_the_card_is_complete(case: tuple[str, Options]) -> None:
    card = registry.task(*case).card
    assert {field for field in Card.__dataclass_fields__ if not getattr(card, field)} == set()
    assert card.url.startswith("https://")
    assert re.search(r"arXiv \d{4}\.\d{4,5}", card.paper)
    for file in card.files:
        assert file.hub is None or re.fullmatch(r"[0-9a-f]{40}", file.hub.revision)
    assert all(size > 0 for size in card.sizes.values())


def test_templates_have_names_of_their_own_and_the_version_is_positive(case: tuple[str, Options]) -> None:
    task = registry.task(*case)
    names = [template.name for template in task.templates]
    assert len(set(names)) == len(names) >= 1
    assert task.version >= 1
    assert task.name == case[0]
    assert task.scorers
    assert len({scorer.name for scorer in task.scorers}) == len(task.scorers)
    assert task.sampling.samples == 1


def test_every_template_asks_the_question(case: tuple[str, Options]) -> None:
    assert [t.name for t in registry.task(*case).templates if "{question}" not in t.question] == []


def test_the_command_line_shows_every_card_and_every_prompt(case: tuple[str, Options]) -> None:
    name, options = case
    # In TOML, a truth value is a small word.
    words = {key: str(value).lower() if value is True else value for key, value in options.items()}
    sets = [part for key, value in words.items() for part in ("--set", f"options.{key}={value}")]
    shown = harness("tasks", name, *sets)
    task = registry.task(name, options)
    assert shown.code == 0
    assert shown.out.startswith(f"{name}, version {task.version}\n")
    assert task.card.title in shown.out
    first = load(name, options, "test")[0]
    for template in task.templates:
        asked = harness(
            "tasks", name, "--prompt", "--data", "mini", *sets, "--set", f"prompt={template.name}"
        )
        assert asked.code == 0
        assert asked.out.startswith(f"# {first.id}, prompt {template.name!r} ({template.style})")
        assert first.question in asked.out


# ---------------------------------------------------------------- humaneval's helpers


def test_humanevals_tests_may_use_what_the_prompt_defines_beside_the_function(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    (tmp_path / "humaneval").mkdir()
    row = {
        "task_id": "HumanEval/38",  # its test calls the encoder that its prompt defines
        "prompt": "def encode(s):\n    return s[1:] + s[:1]\n\n\ndef decode(s):\n    '''Undo encode.'''\n",
        "entry_point": "decode",
        "canonical_solution": "    return s[-1:] + s[:-1]\n",
        "test": "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n",
    }
    write_rows(tmp_path / "humaneval" / "HumanEval.jsonl", [row])
    (problem,) = load("humaneval", {}, "test", str(tmp_path))
    assert judge.prove(registry.task("humaneval"), [problem], box) == []
    (verdict,) = scorers.unit_tests.score([(problem, row["prompt"] + row["canonical_solution"])], box)
    assert verdict.score is not None
    assert verdict.score.note != "in_process", "the helper came from the candidate, not from the task"


# ---------------------------------------------------------------- conala's corpora


def test_conalas_corpora_are_different_files_with_ids_of_the_same_form() -> None:
    files = {
        corpus: [
            f"{file.benchmark}/{file.name}" for file in registry.task("conala", {"corpus": corpus}).card.files
        ]
        for corpus in ("original", "docprompting")
    }
    assert files == {
        "original": ["conala/conala-train.json", "conala/conala-test.json"],
        "docprompting": [
            "docprompting-conala/conala-train.jsonl",
            "docprompting-conala/conala-dev.jsonl",
            "docprompting-conala/conala-test.jsonl",
        ],
    }
    assert registry.task("conala").card.files == registry.task("conala", {"corpus": "original"}).card.files


def test_conala_asks_the_rewritten_intent_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "conala").mkdir()
    write_rows(
        tmp_path / "conala" / "conala-test.json",
        [
            {
                "intent": "How to sort?",
                "rewritten_intent": "sort `x`",
                "snippet": "x.sort()",
                "question_id": 1,
            },
            {"intent": "How to copy?", "rewritten_intent": None, "snippet": "x[:]", "question_id": 2},
        ],
    )
    problems = load("conala", {}, "test", str(tmp_path))
    assert [(problem.id, problem.question, problem.solution) for problem in problems] == [
        ("conala/test/0", "sort `x`", "x.sort()"),
        ("conala/test/1", "How to copy?", "x[:]"),
    ]


def test_docprompting_drops_rows_without_text_from_train_only_and_keeps_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "docprompting-conala").mkdir()
    given = [
        {"nl": "", "cmd": "x"},
        {"nl": "one", "cmd": "1"},
        {"nl": "two", "cmd": ""},
        {"nl": "three", "cmd": "3"},
    ]
    for name in ("conala-train", "conala-test"):
        write_rows(tmp_path / "docprompting-conala" / f"{name}.jsonl", given)
    options: Options = {"corpus": "docprompting"}
    train = load("conala", options, "train", str(tmp_path))
    assert [problem.id for problem in train] == ["conala/train/1", "conala/train/3"]
    assert len(load("conala", options, "test", str(tmp_path))) == 4


@pytest.mark.parametrize(
    ("sets", "complaint"),
    [
        (
            "options.corpus=docpromting",
            "task 'conala': corpus 'docpromting': expected 'original' or 'docprompting'",
        ),
        ("options.corpus=3", "task 'conala': corpus 3: expected 'original' or 'docprompting'"),
        ("options.corpsu=x", "task 'conala': no option 'corpsu'. Did you mean 'corpus'? Known: corpus."),
    ],
)
def test_a_wrong_option_is_one_line_with_what_would_be_right(sets: str, complaint: str) -> None:
    assert harness("tasks", "conala", "--set", sets).complaint == complaint


def test_a_task_without_options_says_so() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.task("humaneval", {"corpus": "x"})
    assert str(caught.value) == "task 'humaneval': no option 'corpus'. Known: none."


# ---------------------------------------------------------------- finding tasks


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("conla", "no task 'conla'. Did you mean 'conala'? Known: apps, "),
        ("HumanEval", "no task 'HumanEval'. Did you mean 'humaneval'? Known: apps, "),
        ("zzz", "no task 'zzz'. Known: apps, "),
        ("demo", "no task 'demo'. Known: apps, "),
        ("missing.py", "no task file 'missing.py'"),
    ],
)
def test_a_task_that_is_not_there_is_one_line_with_the_nearest_name(name: str, complaint: str) -> None:
    assert harness("tasks", name).complaint.startswith(complaint)


THIRD_PARTY = '''
"""Somebody's own task."""
from __future__ import annotations

from dataclasses import dataclass

from harness import scorers
from harness.text import extract
from harness.schema import Card, DataFile, Problem, Reference, Sampling, Task, Template

FILE = DataFile("mine", "rows.jsonl")


@dataclass
class Row:
    q: str
    a: str


def load(split, source):
    for i, row in enumerate(source.rows(FILE, ("q", "a"))):
        row = Row(row["q"], row["a"])
        yield Problem(id=f"mine/{i}", question=row.q, solution=row.a, check=Reference(texts=(row.a,)))


def task(shout: bool = False) -> Task:
    return Task(
        name="mine", version=1, load=load, templates=(Template(name="plain", style="plain"),),
        extract=extract.first_code_block, scorers=(scorers.exact,), sampling=Sampling(max_tokens=8),
        card=Card("Mine!" if shout else "Mine", "none", "none", "none", {"test": 2}, "none", (FILE,)),
    )
'''


@pytest.fixture
def third_party(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    write_rows(tmp_path / "mine" / "rows.jsonl", [{"q": "one", "a": "1"}, {"q": "two", "a": "2"}])
    write_rows(
        tmp_path / "said.jsonl", [{"task_id": "mine/0", "text": "1"}, {"task_id": "mine/1", "text": "3"}]
    )
    (tmp_path / "mytask.py").write_text(THIRD_PARTY, encoding="utf-8")
    return tmp_path


def test_a_third_partys_task_file_is_used_by_its_path(third_party: Path) -> None:
    path = third_party / "mytask.py"
    assert registry.task(str(path), {"shout": True}).card.title == "Mine!"
    shown = harness("tasks", path)
    assert (shown.code, shown.out.splitlines()[0]) == (0, "mine, version 1")
    scored = harness(
        "score",
        path,
        "--completions",
        third_party / "said.jsonl",
        "--data",
        third_party,
        "--out",
        third_party / "run",
    )
    assert scored.code == 0, scored
    assert metrics(third_party / "run")["em@1"]["value"] == 0.5


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("x = 1", r"task '.*mytask.py': expected a function task\(\) -> Task in its file"),
        (
            "def task():\n    return 1",
            r"task '.*mytask.py': task\(\) returned int, expected harness.schema.Task",
        ),
        ("import no_such_module", r".*mytask.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def task(:", r".*mytask.py: SyntaxError: invalid syntax.*"),
    ],
)
def test_a_file_that_is_no_task_is_one_line(tmp_path: Path, code: str, complaint: str) -> None:
    path = tmp_path / "mytask.py"
    path.write_text(code, encoding="utf-8")
    assert re.fullmatch(complaint, harness("tasks", path).complaint)


class Entry:
    """What importlib.metadata gives for an installed task."""

    def __init__(self, name: str, found: object) -> None:
        self.name = name
        self.found = found

    def load(self) -> object:
        return self.found


@pytest.mark.parametrize("whole_module", [True, False])
def test_an_installed_task_is_found_by_its_entry_point(
    whole_module: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: object = tasks.humaneval if whole_module else tasks.humaneval.task
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("theirs", found)])
    assert "theirs" in registry.names()
    assert registry.task("theirs").name == "humaneval"


# ---------------------------------------------------------------- the benchmarks' own files


def metrics(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))["metrics"]
    return found


def passed(run: Path) -> list[bool]:
    return [row["status"] == "passed" for row in rows(run / "judgements.jsonl")]


def test_the_164_humaneval_references_pass_and_empty_answers_do_not(real_data: Path, tmp_path: Path) -> None:
    problems = load("humaneval", {}, "test", str(real_data))
    assert [problem.id for problem in problems] == [f"HumanEval/{i}" for i in range(164)]
    for name, value in (("canonical", 1.0), ("empty", 0.0)):
        said = [{"task_id": p.id, "completion": p.solution if name == "canonical" else ""} for p in problems]
        file = write_rows(tmp_path / f"{name}.jsonl", said)
        ended = harness(
            "score", "humaneval", "--completions", file, "--data", real_data, "--out", tmp_path / name
        )
        assert ended.code == 0, ended
        assert metrics(tmp_path / name)["pass@1"]["value"] == value


def codefuse(folder: Path) -> tuple[Path, list[bool]]:
    path = folder / "CodeFuse-13B.jsonl"
    return path, [row["verdict"] == "passed" for row in rows(path)]


def reflexion(folder: Path) -> tuple[Path, list[bool]]:
    path = folder / "reflexion__simple_1_text-davinci-003_pass_at_k_1.jsonl"
    return path, [row["recheck_prompt_plus_completion"] == "passed" for row in rows(path)]


def llama3(folder: Path) -> tuple[Path, list[bool]]:
    run = folder / "llama3-exp" / "8b-instruct-repeatlots"
    results = json.loads((run / "samples_eval_results.json").read_text(encoding="utf-8"))["eval"]
    return run / "samples.jsonl", [
        row["base_status"] == "pass" for i in range(164) for row in results[f"HumanEval/{i}"]
    ]


@pytest.mark.parametrize(
    ("recording", "count"),
    [(codefuse, 61), (reflexion, 93), (llama3, 72)],
    ids=["codefuse", "reflexion", "llama3"],
)
def test_scoring_a_recorded_file_gives_the_recorded_verdicts(
    recording: Callable[[Path], tuple[Path, list[bool]]], count: int, real_data: Path, tmp_path: Path
) -> None:
    path, expected = recording(real_data / "humaneval" / "outputs")
    ended = harness(
        "score", "humaneval", "--completions", path, "--data", real_data, "--out", tmp_path / "run"
    )
    assert ended.code == 0, ended
    assert passed(tmp_path / "run") == expected
    assert sum(expected) == count
    assert metrics(tmp_path / "run")["pass@1"]["k"] == count


@pytest.mark.parametrize(
    ("corpus", "splits"), [("original", ("train", "test")), ("docprompting", ("train", "validation"))]
)
def test_real_conala_rows_load_and_their_references_match_exactly(
    corpus: str, splits: tuple[Split, ...], real_data: Path
) -> None:
    for split in splits:
        problems = load("conala", {"corpus": corpus}, split, str(real_data))
        assert len(problems) >= 150
        verdicts = scorers.exact.score(((p, p.solution) for p in problems), None)
        assert {(v.status, v.score.value if v.score else None) for v in verdicts} == {("scored", 1.0)}
        empty = scorers.exact.score(((p, "") for p in problems), None)
        assert {v.score.value if v.score else None for v in empty} == {0.0}
