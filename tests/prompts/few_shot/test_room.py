"""As many shots as the model has room for, and the control: as long, and nothing retrieved."""

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config.load import parse
from harness.errors import ConfigError
from harness.prompts import few_shot, templates
from harness.runs import run
from harness.schema import Capabilities
from harness.tasks.loading import registry
from tests.support.command import harness, rows
from tests.support.parts.shots import ASKED, SMALL, TRAIN, Model, choose, chosen, ids, loaded, problem, render
from tests.support.tiny_models import POSITIONS, build


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
