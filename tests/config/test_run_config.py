"""What a run may be asked for: every wrong key or combination is one line that says what would be right."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.config.load import apply_sets, parse, read_toml
from harness.config.run import RunConfig
from harness.config.sampling import check_ks, resolve_sampling
from harness.errors import ConfigError
from harness.schema import Sampling

BASE = Sampling(max_tokens=64)


def complaint(plain: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(plain, "run.toml")
    return str(raised.value)


def resolved(stop: tuple[str, ...] = (), base: Sampling = BASE, **plain: Any) -> Sampling:
    config = parse({"task": "t", **plain})
    return resolve_sampling(config.sampling, base, stop, config.seed, config.backend.kind)


# ---------------------------------------------------------------- keys and types


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ({"limt": 3}, "no key 'limt'. Did you mean 'limit'?"),
        (
            {"sampling": {"temprature": 0.5}},
            "no key 'sampling.temprature'. Did you mean 'sampling.temperature'?",
        ),
        ({"backend": {"batchsize": 4}}, "no key 'backend.batchsize'. Did you mean 'backend.batch_size'?"),
        ({"judge": {"worker": 4}}, "no key 'judge.worker'. Did you mean 'judge.workers'?"),
    ],
)
def test_an_unknown_key_names_itself_and_the_nearest(plain: dict[str, Any], text: str) -> None:
    assert complaint({"task": "t", **plain}).startswith(f"run.toml: {text} Known: ")


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ({}, "key 'task' is missing"),
        ({"task": 3}, "task = 3: input should be a valid string"),
        ({"task": "t", "limit": 0}, "limit = 0: input should be greater than or equal to 1"),
        ({"task": "t", "limit": "3"}, "limit = '3': input should be a valid integer"),
        ({"task": "t", "limit": 2.5}, "limit = 2.5: input should be a valid integer"),
        ({"task": "t", "limit": True}, "limit = True: input should be a valid integer"),
        ({"task": "t", "split": "dev"}, "split = 'dev': input should be 'train', 'validation' or 'test'"),
        ({"task": "t", "sampling": 5}, "sampling = 5: input should be an object"),
        ({"task": "t", "sampling": {"top_p": 0.0}}, "sampling.top_p = 0.0: input should be greater than 0"),
        (
            {"task": "t", "sampling": {"temperature": float("inf")}},
            "sampling.temperature = inf: input should be a finite number",
        ),
        (
            {"task": "t", "judge": {"time_limit": float("inf")}},
            "judge.time_limit = inf: input should be a finite number",
        ),
        (
            {"task": "t", "backend": {"options": {"a": 1}}},
            "backend: options has no effect with kind = 'hf': it is for backends that are not built in",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(plain: dict[str, Any], text: str) -> None:
    assert complaint(plain) == f"run.toml: {text}"


def test_a_whole_number_may_stand_for_a_temperature() -> None:
    assert resolved(sampling={"temperature": 1}).temperature == 1.0


# ---------------------------------------------------------------- files


def test_a_toml_file_is_read_with_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        'task = "conala"\nk = [1, 3]\n[sampling]\nsamples = 3\nbeams = 3\n[options]\ncorpus = "x"\n'
    )
    config = parse(read_toml(path))
    assert (config.task, config.k, config.sampling.samples, config.options) == (
        "conala",
        (1, 3),
        3,
        {"corpus": "x"},
    )


def test_a_recipe_is_found_by_its_name() -> None:
    assert read_toml(Path("rq4"))["task"] == "apps"
    with pytest.raises(ConfigError, match=r"^no config file or recipe 'rq44'\. Did you mean 'rq4'"):
        read_toml(Path("rq44"))


def test_a_missing_or_broken_config_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no config file '.*/no\.toml'$"):
        read_toml(tmp_path / "no.toml")
    path = tmp_path / "run.toml"
    path.write_text("task = conala\n")
    with pytest.raises(
        ConfigError, match=r"run\.toml: not valid TOML: Invalid value \(at line 1, column 8\)$"
    ):
        read_toml(path)
    path.write_bytes(b'task = "\xff"\n')
    with pytest.raises(ConfigError, match=r"run\.toml: not valid TOML: .*can't decode byte 0xff"):
        read_toml(path)


def test_a_config_path_that_is_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_toml(tmp_path)


def test_a_date_in_the_file_is_no_stack_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('task = "t"\nseed = 2024-01-01\n')
    with pytest.raises(ConfigError, match=r"^run\.toml: Object of type date is not JSON serializable"):
        parse(read_toml(path), "run.toml")


# ---------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("limit=3", {"limit": 3}),
        ("sampling.temperature=0.8", {"sampling": {"temperature": 0.8}}),
        ("backend.partial=true", {"backend": {"partial": True}}),
        ("k=[1, 5]", {"k": [1, 5]}),
        ('sampling.stop=["\\n", "#"]', {"sampling": {"stop": ["\n", "#"]}}),
        ("prompt=chat", {"prompt": "chat"}),
        ("backend.model=org/name-1.5", {"backend": {"model": "org/name-1.5"}}),
        ("backend.model=a b#c", {"backend": {"model": "a b#c"}}),
        ('backend.revision="1234567"', {"backend": {"revision": "1234567"}}),
        ("backend.path=a=b", {"backend": {"path": "a=b"}}),
        ("prompt=", {"prompt": ""}),
        (" limit = 3 ", {"limit": 3}),
        ("prompt=1\nlimit = 2", {"prompt": "1\nlimit = 2"}),
    ],
)
def test_set_values_are_typed_as_toml_and_a_bare_word_is_a_text(item: str, expected: dict[str, Any]) -> None:
    assert apply_sets({}, [item]) == expected


def test_the_last_set_wins_and_neighbours_stay() -> None:
    plain = {"sampling": {"samples": 2, "beams": 4}}
    assert apply_sets(plain, ["sampling.samples=3", "sampling.samples=4"]) == {
        "sampling": {"samples": 4, "beams": 4}
    }


@pytest.mark.parametrize("item", ["limit", "=3", ""])
def test_a_set_without_key_or_value_says_what_is_expected(item: str) -> None:
    with pytest.raises(ConfigError, match=r"expected KEY=VALUE, for example sampling\.samples=10"):
        apply_sets({}, [item])


def test_a_set_below_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--set 'task\.name=x': 'task' is a value, not a table"):
        apply_sets({"task": "t"}, ["task.name=x"])


def test_a_set_list_without_brackets_is_named() -> None:
    assert (
        complaint(apply_sets({"task": "t"}, ["k=1,2"]))
        == "run.toml: k = '1,2': input should be a valid array"
    )


@given(
    value=st.recursive(
        st.integers(-(2**40), 2**40) | st.booleans(), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_json_numbers_lists_and_booleans_are_read_back_equal(value: Any) -> None:
    assert apply_sets({}, [f"a.b={json.dumps(value)}"]) == {"a": {"b": value}}


# ---------------------------------------------------------------- sampling


def test_the_template_stops_where_nothing_else_is_said_and_the_config_has_the_last_word() -> None:
    base = Sampling(max_tokens=64, stop=("base",))
    assert resolved(base=base).stop == ("base",)
    assert resolved(("template",), base).stop == ("template",)
    assert resolved(("template",), base, sampling={"stop": ["mine"]}).stop == ("mine",)
    assert resolved(("template",), base, sampling={"stop": []}).stop == ()


def test_the_tasks_sampling_is_overridden_field_by_field() -> None:
    sampling = resolved(seed=7, sampling={"samples": 4, "temperature": 0.5, "top_p": 0.9})
    assert sampling == Sampling(samples=4, temperature=0.5, top_p=0.9, max_tokens=64, seed=7)


@pytest.mark.parametrize(
    ("sampling", "text"),
    [
        (
            {"beams": 4, "temperature": 0.8},
            "sampling.beams and sampling.temperature exclude each other: drop one",
        ),
        ({"beams": 4, "samples": 5}, "sampling.samples = 5 is more than sampling.beams = 4"),
        (
            {"samples": 2},
            "sampling.samples = 2 greedy samples would all be the same: set sampling.temperature",
        ),
        ({"top_p": 0.9}, "sampling.top_p has no effect without sampling.temperature"),
        ({"top_k": 5, "beams": 2}, "sampling.top_k has no effect without sampling.temperature"),
    ],
)
def test_combinations_that_cannot_work_are_refused(sampling: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved(sampling=sampling)
    assert str(raised.value).startswith(text)


def test_as_many_samples_as_beams_and_many_drawn_samples_are_fine() -> None:
    assert resolved(sampling={"beams": 10, "samples": 10}).samples == 10
    assert resolved(sampling={"temperature": 0.2, "samples": 200}).samples == 200


def test_sampling_of_a_recording_cannot_be_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"sampling\.samples has no effect on recorded completions"):
        resolved(backend={"kind": "replay", "path": "x"}, sampling={"samples": 5})


def test_k_above_n_is_refused_and_k_up_to_n_is_not() -> None:
    check_ks((1, 5), 5)
    with pytest.raises(ConfigError, match=r"^k = 6 needs at least 6 samples a problem, and there are 5: "):
        check_ks((1, 6), 5)
    with pytest.raises(ConfigError, match=r"^k = 0: must be at least 1$"):
        check_ks((0,), 5)


# ---------------------------------------------------------------- the hash


def test_the_hash_is_the_same_in_every_process_and_version() -> None:
    # Computed once and written down: a change here makes every stored run another one.
    assert RunConfig(task="humaneval").hash == "a994e0f55a3e5dc9"


@pytest.mark.parametrize(
    "plain",
    [
        {"backend": {"batch_size": 3}},
        {"backend": {"device": "cpu"}},
        {"judge": {"workers": 7}},
        {"data": "/somewhere"},
    ],
)
def test_the_hash_ignores_what_must_not_change_a_number(plain: dict[str, Any]) -> None:
    assert parse({"task": "t", **plain}).hash == RunConfig(task="t").hash


@pytest.mark.parametrize(
    "plain",
    [
        {"task": "u"},
        {"seed": 1},
        {"limit": 5},
        {"k": [1]},
        {"prompt": "chat"},
        {"split": "train"},
        {"options": {"corpus": "x"}},
        {"backend": {"model": "m"}},
        {"backend": {"dtype": "float32"}},
        {"sampling": {"samples": 1}},
        {"judge": {"time_limit": 1.0}},
        {"judge": {"sandbox": "process"}},
    ],
)
def test_the_hash_changes_with_what_can_change_a_number(plain: dict[str, Any]) -> None:
    assert parse({"task": "t", **plain}).hash != RunConfig(task="t").hash


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    one = parse({"task": "t", "options": {"a": 1, "b": 2}})
    two = parse({"options": {"b": 2, "a": 1}, "task": "t"})
    assert one.hash == two.hash


def test_a_value_that_is_no_unicode_is_one_line() -> None:
    assert (
        complaint({"task": "t", "backend": {"path": "\udcff"}})
        == "run.toml: a value is no valid Unicode text"
    )


def test_every_key_that_there_is_not_is_named_with_the_one_that_was_meant_wherever_it_is() -> None:
    plain = {"task": "conala", "modle": "x", "sampling": {"n": 3, "max_new_tokens": 5, "temprature": 1}}
    assert sorted(complaint(plain).removeprefix("run.toml: ").split("; ")) == [
        "no key 'modle'. Did you mean 'backend.model'?",
        "no key 'sampling.max_new_tokens'. Did you mean 'sampling.max_tokens'?",
        "no key 'sampling.n'. Did you mean 'sampling.samples'?",
        "no key 'sampling.temprature'. Did you mean 'sampling.temperature'?",
    ]
