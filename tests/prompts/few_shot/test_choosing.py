"""Which shots are chosen: never the problem itself, no duplicates of it, the most similar in the order asked for."""

import random
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.prompts import few_shot, templates
from harness.schema import Split
from harness.tasks.loading import registry
from harness.text.seen_rows import normalize_question
from tests.support.command import harness
from tests.support.parts.shots import ASKED, SMALL, TRAIN, Model, choose, chosen, ids, loaded, problem, render
from tools.demo_model.train_encoder import shape


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


WITH_TRAIN = [name for name in registry.names() if "train" in registry.task(name).card.sizes]


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
            assert normalize_question(asked.question) not in {
                normalize_question(p.question) for p in selection.solved_problems(asked.id)
            }


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
