"""Which shots are shown: never the problem itself, no duplicates of it, as many as the model has room for."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config import grid
from harness.config.load import parse, read_toml
from harness.config.run import RetrievalConfig, RunConfig
from harness.errors import ConfigError
from harness.files import packaged
from harness.prompts import few_shot, templates
from harness.results import compare
from harness.runs import run
from harness.runs.plan import make_plan
from harness.runs.store import reader
from harness.runs.store.run_folder import read_run
from harness.schema import (
    Capabilities,
    Card,
    Problem,
    Prompt,
    Reference,
    Sampling,
    Shot,
    Split,
    Task,
    Template,
)
from harness.tasks.loading import data_files, registry
from tests.support.command import harness, rows, write_rows
from tests.support.tiny_models import POSITIONS, build
from tools.demo_model.train_encoder import shape

SMALL = {"encoder": "mini"}
OF_A_STUDY = ("train", "report")
RECIPES = packaged("tasks/recipes")


@pytest.fixture(scope="module", autouse=True)
def _index_files_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Configs here leave `retrieval.cache` as it is, which is a folder in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


def quiet(*anything: object) -> None:
    del anything


def problem(name: str, question: str, solution: str = "x") -> Problem:
    return Problem(id=name, question=question, solution=solution, check=Reference(texts=(solution,)))


def task_of(train: Sequence[Problem], splits: Mapping[str, int] | None = None) -> Task:
    return Task(
        name="small",
        version=1,
        load=lambda split, source: train,
        templates=(Template(name="plain", style="plain", question="{question}\n"),),
        extract=lambda problem, completion: completion.text,
        scorers=(),
        sampling=Sampling(max_tokens=8),
        card=Card("", "", "", "", splits or {"train": len(train), "test": 1}, ""),
    )


def choose(
    spec: str, asked: Sequence[Problem], train: Sequence[Problem], seed: int = 0, **more: Any
) -> few_shot.Selection:
    config = RunConfig(task="small", shots=spec, seed=seed, retrieval=RetrievalConfig(**more))
    return few_shot.choose(config, task_of(train), asked, lambda: (train, {}), quiet, quiet)


def ids(selection: few_shot.Selection, asked: Problem) -> list[str]:
    return [shot.id for shot in selection.in_prompt_order(asked.id)]


TRAIN = [
    problem("t/0", "sort list `x`", "x.sort()"),
    problem("t/1", "sort the list `names` backwards", "names.sort(reverse=True)"),
    problem("t/2", "join the words of `w`", "' '.join(w)"),
    problem("t/3", "read the file 'a.txt'", "open('a.txt').read()"),
    problem("t/4", "get the length of `x`", "len(x)"),
]
ASKED = problem("q/0", "sort list `prices`", "prices.sort()")


# ---------------------------------------------------------------- what can be asked for


@pytest.mark.parametrize(
    ("spec", "meaning"), [("none", ("none", 0)), ("icl:8", ("icl", 8)), ("rag:16", ("rag", 16))]
)
def test_kinds_of_shots_are_a_name_and_a_number(spec: str, meaning: tuple[str, int]) -> None:
    assert few_shot.parse(spec) == meaning


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("icl", "shots = 'icl': expected icl:N with N of at least 1, icl:4 say"),
        ("icl:0", "shots = 'icl:0': expected icl:N with N of at least 1, icl:4 say"),
        ("rag:-1", "shots = 'rag:-1': expected rag:N with N of at least 1, rag:4 say"),
        ("rag:２", "shots = 'rag:２': expected rag:N with N of at least 1, rag:4 say"),
        ("rga:4", "no shots 'rga:4'. Did you mean 'rag:N'? Known: icl:N, none, rag:N, random_like_rag:N."),
        ("", "no shots ''. Known: icl:N, none, rag:N, random_like_rag:N."),
    ],
)
def test_a_wrong_kind_is_one_line(spec: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        few_shot.parse(spec)
    assert str(caught.value) == complaint


@pytest.mark.parametrize("kind", ["icl", "rag"])
@pytest.mark.parametrize(("split", "most"), [("test", 300), ("train", 299)])
def test_more_shots_than_training_rows_is_one_line(kind: str, split: str, most: int) -> None:
    ended = harness(
        "run",
        "--task",
        "conala",
        "--model",
        "m",
        "--data",
        "mini",
        "--shots",
        f"{kind}:301",
        "--set",
        f"split={split}",
    )
    assert ended.complaint == (
        f"shots = '{kind}:301': task 'conala' has {most} training problems to show: set shots to {kind}:{most} at most"
    )


def test_a_task_without_training_rows_is_one_line() -> None:
    ended = harness("run", "--task", "humaneval", "--model", "m", "--data", "mini", "--shots", "icl:4")
    assert ended.complaint == (
        "shots = 'icl:4' shows training problems, and task 'humaneval' has no train split: set shots to none"
    )


# ---------------------------------------------------------------- drawn once


def test_icl_shows_every_problem_the_rows_that_random_sample_draws() -> None:
    train = [problem(f"t/{i}", f"question {i}") for i in range(300)]
    asked = [problem(f"q/{i}", f"other {i}") for i in range(3)]
    assert random.Random(42).sample(range(300), 4) == [57, 12, 140, 125]
    for one in asked:
        assert ids(choose("icl:4", asked, train, seed=42), one) == ["t/57", "t/12", "t/140", "t/125"]
    assert ids(choose("icl:4", asked, train, seed=777), asked[0]) != ["t/57", "t/12", "t/140", "t/125"]


def test_an_icl_shot_has_no_similarity() -> None:
    assert {shot.similarity for shot in choose("icl:3", [ASKED], TRAIN).in_prompt_order("q/0")} == {None}


def test_who_is_among_the_drawn_gets_the_next_one_in_its_place() -> None:
    first = ids(choose("icl:3", [ASKED], TRAIN), ASKED)
    own = next(row for row in TRAIN if row.id == first[1])
    selection = choose("icl:3", [own, ASKED], TRAIN)
    assert ids(selection, ASKED) == first
    changed = ids(selection, own)
    assert changed[:2] == [first[0], first[2]]
    assert len({own.id, *changed}) == 4


# ---------------------------------------------------------------- never the problem itself


WITH_TRAIN = [name for name in registry.names() if "train" in registry.task(name).card.sizes]


@cache
def loaded(name: str, split: Split) -> list[Problem]:
    return data_files.load(registry.task(name), split, data_files.open_source("mini"))


def chosen(name: str, split: Split, **config: Any) -> few_shot.Selection:
    return few_shot.choose(
        RunConfig(task=name, split=split, **config),
        registry.task(name),
        loaded(name, split),
        lambda: (loaded(name, "train"), {}),
        quiet,
        quiet,
    )


def test_most_tasks_have_rows_to_show() -> None:
    assert {"apps", "codealpaca_py", "conala", "mbpp"} <= set(WITH_TRAIN)


@pytest.mark.parametrize("name", WITH_TRAIN)
@given(
    st.sampled_from(["train", "test"]),
    st.sampled_from(["icl", "rag", "random_like_rag"]),
    st.integers(1, 9),
    st.integers(0, 10_000),
    st.sampled_from(["dense", "bm25", "hybrid"]),
    st.sampled_from(["exclude", "flag"]),
)
@settings(max_examples=12, deadline=None)
def test_no_problem_is_among_its_own_shots(
    name: str, split: Split, kind: str, count: int, seed: int, method: str, duplicates: str
) -> None:
    usable = sum(bool(row.solution.strip()) for row in loaded(name, "train"))
    count = min(count, (usable - 3) // 2 if kind == "random_like_rag" else usable - 1)
    retrieval = {**SMALL, "method": method, "duplicates": duplicates}
    selection = chosen(name, split, shots=f"{kind}:{count}", seed=seed, retrieval=retrieval)
    own = loaded(name, split)
    if kind == "random_like_rag":
        template = registry.task(name).templates[0]
        selection = few_shot.finalize_shots(selection, own, partial(templates.render, template), 1, Model())
    for asked in own:
        shown = ids(selection, asked)
        assert asked.id not in shown
        assert len(set(shown)) == len(shown) <= count
        if duplicates == "exclude":
            assert few_shot.normalize_question(asked.question) not in {
                few_shot.normalize_question(p.question) for p in selection.solved_problems(asked.id)
            }


# ---------------------------------------------------------------- duplicates


@pytest.mark.parametrize("same", ["sort list `prices`", "Sort  list\n`prices`.", "SORT LIST `prices`?"])
@pytest.mark.parametrize("spec", ["rag:3", "icl:5", "random_like_rag:2"])
def test_a_planted_duplicate_is_not_shown_and_is_counted(same: str, spec: str) -> None:
    planted = [*TRAIN, problem("t/9", same, "prices.sort()")]
    selection = choose(spec, [ASKED, problem("q/1", "something else")], planted, **SMALL)
    if spec.startswith("random"):
        selection = few_shot.finalize_shots(selection, [ASKED], render, 1, Model())
    assert "t/9" not in ids(selection, ASKED)
    assert selection.notes[0] == "1 problems are asked in the training rows too (1 rows): excluded as shots"


def test_a_duplicate_is_shown_and_marked_where_that_is_asked_for() -> None:
    planted = [*TRAIN, problem("t/9", "Sort list `prices`", "prices.sort()")]
    selection = choose("rag:2", [ASKED], planted, **SMALL, duplicates="flag")
    first, second = selection.in_prompt_order("q/0")
    assert (first.id, first.duplicate, second.duplicate) == ("t/9", True, False)
    assert selection.notes == (
        "1 problems are asked in the training rows too (1 rows): shown and marked where they were chosen",
    )


def test_a_similarity_limit_makes_near_duplicates_too() -> None:
    found = choose("rag:5", [ASKED], TRAIN, **SMALL).in_prompt_order("q/0")
    nearest = found[0]
    assert nearest.id == "t/0"
    assert nearest.similarity is not None
    assert found[1].similarity is not None
    limit = (nearest.similarity + found[1].similarity) / 2
    limited = choose("rag:4", [ASKED], TRAIN, **SMALL, near_duplicate=limit)
    assert ids(limited, ASKED) == [shot.id for shot in found[1:]]
    assert limited.notes == ("1 problems are asked in the training rows too (1 rows): excluded as shots",)


def test_fewer_shots_than_asked_for_are_counted() -> None:
    planted = [*TRAIN[:2], problem("t/9", ASKED.question)]
    selection = choose("rag:3", [ASKED], planted, **SMALL)
    assert len(ids(selection, ASKED)) == 2
    assert (
        selection.notes[1] == "1 problems show fewer than 3 shots: no more of the training rows may be shown"
    )


def test_training_rows_without_a_solution_are_no_shots() -> None:
    selection = choose("rag:2", [ASKED], [problem("t/9", "sort list `a`", " "), *TRAIN], **SMALL)
    assert "t/9" not in ids(selection, ASKED)
    assert (selection.identity or {})["rows"] == 5


# ---------------------------------------------------------------- retrieved


def test_the_most_similar_is_shown_first_or_by_name_last() -> None:
    first = choose("rag:3", [ASKED], TRAIN, **SMALL)
    last = choose("rag:3", [ASKED], TRAIN, **SMALL, order="nearest_last")
    similarities = [shot.similarity or 0.0 for shot in first.in_prompt_order("q/0")]
    assert ids(first, ASKED)[0] == "t/0"
    assert similarities == sorted(similarities, reverse=True)
    assert ids(last, ASKED) == ids(first, ASKED)[::-1]
    assert first.label.endswith(" nearest_first")
    assert last.label.endswith(" nearest_last")


def test_retrieval_finds_another_wording_of_nearly_every_operation() -> None:
    own, selection = loaded("conala", "test"), chosen("conala", "test", shots="rag:4", retrieval=SMALL)
    found = [
        shape(asked.solution) in {shape(row.solution) for row in selection.solved_problems(asked.id)}
        for asked in own
    ]
    there = {shape(row.solution) for row in loaded("conala", "train")}
    assert sum(shape(asked.solution) in there for asked in own) == 100
    assert sum(found) >= 80


# ---------------------------------------------------------------- room


@dataclass(frozen=True)
class Model:
    """A context of so many characters, a token each."""

    context: int = 10**9
    capabilities: Capabilities = Capabilities()  # noqa: RUF009 - frozen

    @property
    def identity(self) -> Mapping[str, str]:
        return {}

    def tokens(self, prompt: Prompt) -> int:
        return len(prompt.text)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return len(prompt.text) + max_tokens <= self.context

    def generate(self, requests: object, sampling: object) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


render = partial(templates.render, task_of(TRAIN).templates[0])


@pytest.mark.parametrize("order", ["nearest_first", "nearest_last"])
def test_the_least_similar_shots_go_first_when_the_context_is_short(order: str) -> None:
    whole = choose("rag:4", [ASKED], TRAIN, **SMALL, order=order)
    best = [shot.id for shot in (whole.ranked or {})["q/0"]]
    by_id = {row.id: row for row in TRAIN}
    for kept in range(5):
        shown = [by_id[name] for name in best[:kept]]
        context = len(render(ASKED, shown).text) + 10
        settled = few_shot.finalize_shots(whole, [ASKED], render, 10, Model(context))
        assert sorted(ids(settled, ASKED)) == sorted(best[:kept])
        prompt = render(ASKED, settled.solved_problems("q/0")).text
        assert len(prompt) + 10 <= context
        assert prompt.endswith(ASKED.question + "\n")
        left_out = f"{4 - kept} shots of 1 problems dropped: with them and 10 tokens for the answer"
        assert [note.startswith(left_out) for note in settled.notes] == [True] * (kept < 4)


def test_a_question_that_does_not_fit_alone_is_left_whole() -> None:
    settled = few_shot.finalize_shots(choose("icl:2", [ASKED], TRAIN), [ASKED], render, 10, Model(5))
    assert ids(settled, ASKED) == []
    assert render(ASKED, settled.solved_problems("q/0")).text == ASKED.question + "\n"


def test_a_model_with_a_short_context_gets_the_shots_it_has_room_for(tmp_path: Path) -> None:
    model = build("llama", tmp_path / "model")  # 256 positions
    backend = {"model": str(model), "dtype": "float32"}
    plain = {"task": "conala", "data": "mini", "limit": 6, "shots": "icl:6", "backend": backend}
    folder, summary = run.run(parse({**plain, "sampling": {"max_tokens": 40}}), tmp_path / "run")
    made = rows(folder / "generations.jsonl")
    shown = [len(row.get("shots", ())) for row in made]
    assert max(shown) < 6
    assert sum(shown) > 0
    assert all(row["completion"]["prompt_tokens"] + 40 <= POSITIONS for row in made)
    dropped = (
        f"{sum(6 - n for n in shown)} shots of 6 problems dropped: with them and 40 tokens for the answer"
    )
    assert sum(note.startswith(dropped) for note in summary.notes) == 1


# ---------------------------------------------------------------- the control


@given(st.lists(st.integers(1, 30), min_size=9, max_size=40), st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_control_is_as_long_and_shows_nothing_retrieved(
    lengths: list[int], count: int, seed: int
) -> None:
    train = [problem(f"t/{i}", f"q{i}", "y" * length) for i, length in enumerate(lengths)]
    asked = [problem("q/0", "q0 q1"), train[3]]
    like = choose(f"random_like_rag:{count}", asked, train, seed=seed, method="bm25")
    control = few_shot.finalize_shots(like, asked, render, 1, Model())
    again = few_shot.finalize_shots(like, asked[:1], render, 1, Model())
    for one in asked:
        retrieved, drawn = {shot.id for shot in like.in_prompt_order(one.id)}, ids(control, one)
        assert not retrieved & set(drawn)
        assert one.id not in drawn
        assert len(set(drawn)) == len(drawn) == count
        assert {shot.similarity for shot in control.in_prompt_order(one.id)} == {None}
    assert ids(again, asked[0]) == ids(control, asked[0])


def test_the_control_has_the_same_number_of_tokens_where_the_rows_allow_it() -> None:
    own = loaded("conala", "test")
    like = chosen("conala", "test", shots="random_like_rag:4", retrieval=SMALL)
    asks = partial(templates.render, registry.task("conala").templates[0])
    control = few_shot.finalize_shots(like, own, asks, 1, Model())
    lengths = [[len(asks(one, each.solved_problems(one.id)).text) for each in (control, like)] for one in own]
    off = [abs(drawn - retrieved) for drawn, retrieved in lengths]
    assert off.count(0) >= 90
    (note,) = control.notes
    mean = (
        f"random shots: prompts {sum(off) / 100:.2f} tokens longer or shorter than rag's (most: {max(off)})"
    )
    assert note == mean


def test_a_control_without_rows_to_draw_from_is_one_line() -> None:
    like = choose("random_like_rag:3", [ASKED], TRAIN, **SMALL)
    with pytest.raises(ConfigError) as caught:
        few_shot.finalize_shots(like, [ASKED], render, 1, Model())
    assert str(caught.value) == (
        "shots = 'random_like_rag:3': beside the 3 retrieved for q/0 only 2 training problems are left to draw from:"
        " ask for fewer"
    )


def test_the_control_needs_the_models_tokens() -> None:
    like = choose("random_like_rag:2", [ASKED], TRAIN, **SMALL)
    with pytest.raises(ConfigError, match="recorded completions have no model"):
        few_shot.finalize_shots(like, [ASKED], render, 1, Model(capabilities=Capabilities(recorded=True)))
    ended = harness("tasks", "conala", "--prompt", "--data", "mini", "--set", "shots=random_like_rag:2")
    assert ended.complaint.startswith("shots = 'random_like_rag:2' depends on the model's tokenizer")


# ---------------------------------------------------------------- in a run's files


def test_a_run_keeps_the_shots_of_every_generation(tmp_path: Path) -> None:
    asked = loaded("conala", "test")[:3]
    said = write_rows(tmp_path / "said.jsonl", [{"task_id": p.id, "text": p.solution} for p in asked])
    common = ("score", "conala", "--completions", said, "--data", "mini", "--set", "limit=3")
    ended = harness(
        *common, "--set", "shots=rag:2", "--set", "retrieval.encoder=mini", "--out", tmp_path / "rag"
    )
    assert ended.code == 0, ended
    expected = chosen("conala", "test", shots="rag:2", retrieval=SMALL)
    for row in rows(tmp_path / "rag" / "generations.jsonl"):
        shown = [Shot.model_validate(shot) for shot in row["shots"]]
        assert tuple(shown) == expected.in_prompt_order(row["problem_id"])
        assert all(set(shot) == {"id", "similarity"} for shot in row["shots"])
    record, summary = read_run(tmp_path / "rag")
    assert record["shots"]["rows"] == 300
    assert set(record["shots"]["train"]) == {"conala/conala-train.json"}
    assert "cache" not in record["config"]["retrieval"]
    assert set(record["data"]["sha256"]) == {"conala/conala-test.json"}
    assert "| shots rag:2 mini:" in summary["signature"]
    assert harness(*common, "--out", tmp_path / "none").code == 0
    assert not any("shots" in row for row in rows(tmp_path / "none" / "generations.jsonl"))
    again = harness(
        "score", "conala", "--completions", tmp_path / "rag" / "generations.jsonl", "--data", "mini",
        "--set", "limit=3", "--set", "shots=rag:2", "--set", "retrieval.encoder=mini", "--out", tmp_path / "again",
    )  # fmt: skip
    assert again.code == 0, again
    first, second = (tmp_path / name / "generations.jsonl" for name in ("rag", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_retrieved_examples_help_the_demo_model_and_more_than_as_many_drawn_ones(tmp_path: Path) -> None:
    model = packaged("tasks/demo/model")
    for spec in ("none", "icl:4", "rag:4"):
        backend = {"model": str(model), "dtype": "float32", "batch_size": 100}
        plain = {"task": "conala", "data": "mini", "shots": spec, "retrieval": SMALL, "backend": backend}
        run.run(parse(plain), tmp_path / spec.replace(":", ""))
    runs = {name: reader.read(tmp_path / name) for name in ("none", "icl4", "rag4")}
    for other in ("none", "icl4"):
        (_, retrieved) = compare.compare([runs[other], runs["rag4"]], ("em@1",)).cells["em@1"]
        assert retrieved.difference is not None
        assert retrieved.difference.low > 0


# ---------------------------------------------------------------- the study's recipes


def test_every_cell_of_the_recipes_sweeps_has_its_number_of_examples() -> None:
    cells = []
    for recipe in ("rq1", "rq3"):
        plain = {
            key: value
            for key, value in read_toml(RECIPES / f"{recipe}.toml").items()
            if key not in OF_A_STUDY
        }
        plain |= {"data": "mini", "backend": {"model": "m"}}
        plain.setdefault("retrieval", {})["encoder"] = "mini"
        cells += [cell.config for cell in grid.expand(plain)]
    for config in cells[:: len(cells) // 12]:
        plan = make_plan(config)
        count = few_shot.parse(config.shots)[1]
        assert all(len(plan.selection.in_prompt_order(one.id)) == count for one in plan.problems)
        if config.prompt == "fenced":
            assert all(prompt.text.count("### Instruction:") == count + 1 for prompt in plan.prompts.values())
