"""What every task promises, tried on each one there is: a new file in tasks/ is tested by being there.

The rows are the project's own.
"""

import re
from pathlib import Path

import pytest

from harness import sandbox
from harness.errors import DataError
from harness.files import packaged
from harness.runs import judge
from harness.schema import Card, InlineTests, Split
from harness.tasks.loading import registry
from tests.support import polyglot_programs
from tests.support.command import harness
from tests.support.parts.task_rows import Options, load

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
CONTRACT += [("humanevalpack", {"language": name}) for name in ("java", "cpp", "javascript", "go", "rust")]
CONTRACT += [("humanevalpack", {"kind": name}) for name in ("fix_docs", "synthesize", "describe")]
EXPLAINED = str(packaged("tasks/mini/humanevalpack/described"))
CONTRACT += [("humanevalpack", {"kind": "explain", "explanations": EXPLAINED})]
CONTRACT += [("bigcodebench", {"ask": "instruct"}), ("bigcodebench", {"subset": "hard"})]
CONTRACT += [("odex", {"language": name}) for name in ("es", "ja", "ru")] + [
    ("odex", {"libraries": "standard"})
]
CONTRACT += [
    ("humaneval_infilling", {"subset": name}) for name in ("multi-line", "random-span", "random-span-light")
]
CONTRACT += [("classeval", {"ask": "method"})]
CONTRACT += [
    ("livecodebench", {"release": "v2"}),
    ("livecodebench", {"since": "2024-08-01", "group": "both"}),
]
CONTRACT += [("code_trans", {"direction": name}) for name in ("java_to_cpp", "python_to_java")]
TRANSLATED = ("cs", "d", "go", "java", "js", "lua", "php", "pl", "r", "rb", "rkt", "rs", "scala", "sh", "ts")
CONTRACT += [("multipl_e", {"language": name}) for name in TRANSLATED]

# The benchmark's own form of an id; the project's own HumanEval-like rows are Mini/0, Mini/1, ...
IDS = {
    "apps": r"apps/(train|test)/\d+",
    "bigcodebench": r"BigCodeBench/\d+",
    "calculus": r"calculus/(train|test)/\d+",
    "code_comment": r"mbpp/\d+",
    "codealpaca_py": r"codealpaca_py/(train|validation|test)/\d+",
    "code_trans": r"(Python|Java|CPP)/\d+",
    "humanevalpack": r"((fix_tests|fix_docs|describe|explain)/)?(Python|Java|CPP|JavaScript|Go|Rust)/\d+",
    "humaneval_x": r"(Python|Java|CPP|JavaScript|Go|Rust)/\d+",
    "classeval": r"ClassEval_\d+(/\w+)?",
    "cruxeval": r"sample_\d+",
    "livecodebench": r"\d+|\w+_[a-z]\d?",
    "odex": r"odex/(en|es|ja|ru)/\d+",
    "conala": r"conala/(train|validation|test)/\d+",
    "ds1000": r"ds1000/\d+",
    "humaneval": r"(HumanEval|Mini)/\d+",
    "humaneval_plus": r"(HumanEval|Mini)/\d+",
    "humaneval_infilling": r"(Single|Multi)LineInfilling/Mini/\d+/L\d+(_L\d+)?"
    r"|RandomSpanInfilling(Light)?/Mini/\d+/\d+",
    "santacoder_fim": r"(py|js|java)/mini-Mini_\d+_\w+\.json-L\d+",
    "mbpp": r"mbpp/\d+",
    "mbpp_plus": r"Mbpp/\d+",
    "multipl_e": r"(HumanEval|Mini)_\d+_\w+",
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
    "humanevalpack": 4,
    "odex": 2,
    "multipl_e": 2,
    "code_trans": 3,
    "classeval": 3,
    "cruxeval": 10,
    "livecodebench": 3,
    "bigcodebench": 3,
    "humaneval_infilling": 12,
    "santacoder_fim": 12,
}

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def named(case: tuple[str, Options]) -> str:
    return "-".join([case[0], *(Path(str(value)).name for value in case[1].values())])


@pytest.fixture(params=CONTRACT, ids=named)
def case(request: pytest.FixtureRequest) -> tuple[str, Options]:
    found: tuple[str, Options] = request.param
    return found


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
    assert {field for field in Card.__dataclass_fields__ if not getattr(card, field)} <= {"elsewhere"}
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
    assert [
        t.name for t in registry.task(*case).templates if "{question}" not in t.question + t.prefill
    ] == []


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
