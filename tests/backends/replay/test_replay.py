"""Recorded completions: JSON lines and lists, and every complaint with its place (other layouts: test_layouts.py)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends import replay
from harness.config.backend import BackendConfig
from harness.errors import DataError
from harness.schema import Completion, Generation, Prompt, Request, Sampling
from tests.support.command import write_rows

IDS = ("T/0", "T/1", "T/2")
PROMPT = Prompt(text="def f():\n")


def load(path: Path, ids: tuple[str, ...] = IDS, partial: bool = False) -> replay.Replay:
    return replay.load(BackendConfig(kind="replay", path=str(path), partial=partial), ids)


def from_rows(folder: Path, *rows: Any, partial: bool = False) -> replay.Replay:
    return load(write_rows(folder / "c.jsonl", list(rows)), partial=partial)


def from_text(folder: Path, text: str, partial: bool = False) -> replay.Replay:
    (folder / "c.jsonl").write_text(text, encoding="utf-8")
    return load(folder / "c.jsonl", partial=partial)


def refused(folder: Path, *rows: Any, partial: bool = False) -> str:
    """The complaint, without the folder that it starts with."""
    with pytest.raises(DataError) as raised:
        from_rows(folder, *rows, partial=partial)
    return without(folder, raised.value)


def without(folder: Path, error: DataError) -> str:
    assert "\n" not in str(error)
    assert str(error).startswith(f"{folder}/")
    return str(error).removeprefix(f"{folder}/")


def generations(backend: replay.Replay) -> list[Generation]:
    requests = [Request(name, PROMPT, tuple(range(n))) for name, n in backend.counts.items()]
    return list(backend.generate(requests, Sampling()))


def completions(backend: replay.Replay) -> dict[str, list[Completion]]:
    found: dict[str, list[Completion]] = {}
    for generation in generations(backend):
        found.setdefault(generation.problem_id, []).append(generation.completion)
    return found


def full(**first: Any) -> list[dict[str, Any]]:
    """One row a problem; the first has these fields."""
    return [{"task_id": "T/0", **first}, *({"task_id": name, "completion": ""} for name in IDS[1:])]


# ---------------------------------------------------------------- formats


def test_rows_are_samples_in_the_order_of_the_file_whatever_stands_between(tmp_path: Path) -> None:
    backend = from_rows(
        tmp_path,
        {"task_id": "T/2", "completion": "c0"},
        {"task_id": "T/0", "completion": "a0"},
        {"task_id": "T/2", "completion": "c1"},
        {"task_id": "T/1", "completion": "b0"},
    )
    assert backend.counts == {"T/0": 1, "T/1": 1, "T/2": 2}
    texts = {name: [c.text for c in found] for name, found in completions(backend).items()}
    assert texts == {"T/0": ["a0"], "T/1": ["b0"], "T/2": ["c0", "c1"]}


@pytest.mark.parametrize(
    ("key", "form"), [("completion", "continuation"), ("solution", "program"), ("text", "output")]
)
def test_the_name_of_the_field_says_how_to_read_the_text(tmp_path: Path, key: str, form: str) -> None:
    found = completions(from_rows(tmp_path, *full(**{key: " x\n"})))
    assert found["T/0"] == [Completion(text=" x\n", form=form)]
    assert found["T/0"][0].finish == "recorded"


def test_both_names_of_the_id_are_known_and_other_fields_are_left_alone(tmp_path: Path) -> None:
    rows = [{"problem_id": name, "completion": "x", "index": 7, "model": None} for name in IDS]
    assert from_rows(tmp_path, *rows).counts == {"T/0": 1, "T/1": 1, "T/2": 1}


def test_a_list_of_lists_is_programs_in_task_order(tmp_path: Path) -> None:
    backend = from_text(tmp_path, json.dumps([["a"], ["b", "c"], ["d"]], indent=1))
    assert {name: [(c.text, c.form) for c in found] for name, found in completions(backend).items()} == {
        "T/0": [("a", "program")],
        "T/1": [("b", "program"), ("c", "program")],
        "T/2": [("d", "program")],
    }


def test_this_projects_own_generations_come_back_equal_in_any_order_of_lines(tmp_path: Path) -> None:
    written = [
        Generation(
            problem_id=name,
            index=index,
            prompt_sha=PROMPT.sha,
            completion=Completion(
                text=f"{name} {index}\u2028\n",
                finish="eos",
                prompt_tokens=3,
                completion_tokens=5,
                logprob=-1.25,
                form="output",
            ),
        )
        for name in IDS
        for index in range(2)
    ]
    backend = from_rows(tmp_path, *(each.model_dump(mode="json") for each in reversed(written)))
    assert generations(backend) == written


def test_gzip_and_a_byte_order_mark_are_read_through(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "c.jsonl.gz"
    text = "\ufeff" + "".join(json.dumps(row) + "\n" for row in full(completion="x"))
    path.write_bytes(gzip.compress(text.encode()))
    assert load(path).counts == {"T/0": 1, "T/1": 1, "T/2": 1}


def test_the_identity_is_the_digest_of_the_content_not_the_name(tmp_path: Path) -> None:
    rows = full(completion="x")
    one, two = load(write_rows(tmp_path / "a.jsonl", rows)), load(write_rows(tmp_path / "b.jsonl", rows))
    assert one.identity == two.identity
    assert one.identity["kind"] == "replay"
    assert len(one.identity["completions"]) == 64
    assert from_rows(tmp_path, *full(completion="y")).identity != one.identity


@settings(deadline=None)
@given(
    texts=st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=3), min_size=3, max_size=3),
    seed=st.randoms(use_true_random=False),
)
def test_any_texts_in_any_interleaving_keep_each_problems_order(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]], seed: Any
) -> None:
    turns = [name for name, of_one in zip(IDS, texts, strict=True) for _ in of_one]
    seed.shuffle(turns)
    left = {name: iter(of_one) for name, of_one in zip(IDS, texts, strict=True)}
    rows = [{"task_id": name, "completion": next(left[name])} for name in turns]
    found = completions(from_rows(tmp_path_factory.mktemp("c"), *rows))
    assert [[c.text for c in found[name]] for name in IDS] == texts


# ---------------------------------------------------------------- complaints


def test_rows_of_other_ids_are_kept_apart_with_their_places_and_have_to_be_well_formed(
    tmp_path: Path,
) -> None:
    others = [{"task_id": name, "completion": ""} for name in ("T/", "T/9", "T/")]
    backend = from_rows(tmp_path, *full(completion=""), *others)
    assert backend.unmatched == {
        "T/": (f"{tmp_path}/c.jsonl:4", 2),
        "T/9": (f"{tmp_path}/c.jsonl:5", 1),
    }
    assert backend.counts == {"T/0": 1, "T/1": 1, "T/2": 1}
    assert refused(tmp_path, *full(completion=""), {"task_id": "T/9"}).startswith(
        "c.jsonl:4: expected 'completion'"
    )


def test_missing_ids_are_counted_named_and_the_way_out_is_given(tmp_path: Path) -> None:
    assert refused(tmp_path, {"task_id": "T/1", "completion": ""}) == (
        "c.jsonl: no completion for 2 of 3 problems: T/0, T/2."
        " Add them, or score what is there with --partial"
    )


def test_many_missing_ids_are_not_all_listed(tmp_path: Path) -> None:
    ids = tuple(f"T/{i}" for i in range(100))
    path = write_rows(tmp_path / "c.jsonl", [{"task_id": "T/0", "completion": ""}])
    with pytest.raises(DataError, match=r"99 of 100 problems: T/1, T/2, T/3, T/4, T/5 and 94 more\. Add"):
        load(path, ids)


def test_partial_allows_missing_ids_and_counts_only_what_is_there(tmp_path: Path) -> None:
    backend = from_rows(tmp_path, {"task_id": "T/1", "completion": "x"}, partial=True)
    assert backend.counts == {"T/1": 1}


def test_missing_ids_are_told_beside_those_that_are_there_in_their_place(tmp_path: Path) -> None:
    assert refused(tmp_path, *full(completion="")[:2], {"task_id": "T/9", "completion": ""}) == (
        "c.jsonl: no completion for 1 of 3 problems: T/2."
        " Add them, or score what is there with --partial. Not asked for, but there: T/9 ("
        f"{tmp_path}/c.jsonl:3)"
    )


def test_partial_allows_no_empty_file(tmp_path: Path) -> None:
    assert refused(tmp_path, partial=True) == "c.jsonl: no completions in it"


def test_an_empty_file_misses_every_id(tmp_path: Path) -> None:
    assert refused(tmp_path).startswith("c.jsonl: no completion for 3 of 3 problems: T/0, T/1, T/2.")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"task_id": "T/0", "completion": }', "malformed JSON: Expecting value at column 34"),
        (
            '{"task_id": "T/0", "completion": "x',
            "malformed JSON: Unterminated string starting at at column 34",
        ),
        ("def f(): pass", "malformed JSON: Expecting value at column 1"),
        ('"text"', "expected an object, got str"),
        ('{"id": "T/0"}', "expected 'task_id' or 'problem_id' with a text, the row has 'id'"),
        (
            '{"task_id": 0, "text": ""}',
            "expected 'task_id' or 'problem_id' with a text, the row has 'task_id', 'text'",
        ),
        ("{}", "expected 'task_id' or 'problem_id' with a text, the row has nothing"),
        (
            '{"task_id": "T/0", "output": ""}',
            "expected 'completion', 'solution' or 'text', the row has 'output', 'task_id'; if another field has"
            " what the model said, --field NAME reads it as raw output, --field NAME=solution as a whole program",
        ),
        ('{"task_id": "T/0", "completion": null}', "'completion' must be a text, got NoneType"),
        ('{"task_id": "T/0", "completion": ["x", 3]}', "'completion', 2 must be a text, got int"),
        ('{"task_id": "T/0", "completion": {}}', "completion.text: field required"),
        (
            '{"task_id": "T/0", "completion": {"text": "", "prompt_tokens": "3"}}',
            "completion.prompt_tokens: input should be a valid integer",
        ),
        (
            '{"task_id": "T/0", "completion": {"text": "", "tokens": 3}}',
            "completion.tokens: extra inputs are not permitted",
        ),
    ],
)
def test_a_malformed_row_is_named_with_its_line(tmp_path: Path, line: str, text: str) -> None:
    good = '{"task_id": "T/1", "completion": ""}'
    with pytest.raises(DataError) as raised:
        from_text(tmp_path, f"{good}\n\n{line}\n")
    assert without(tmp_path, raised.value) == f"c.jsonl:3: {text}"


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(b'{"task_id": "T/0", "completion": ""}\n{"task_id": "\xff"}\n')
    with pytest.raises(DataError, match=r"c\.jsonl:2: not UTF-8 \(invalid start byte at byte 50\)$"):
        load(tmp_path / "c.jsonl")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            '[["a"], ["b"]]',
            "c.jsonl: 2 rows without ids for 3 problems; there must be one for each, in task order."
            " If they were made for the first 2, give --limit 2",
        ),
        ('[["a"], "b", ["c"]]', "c.jsonl:1, list 2: expected a list of texts"),
        ('[["a"],\n["b"],\n["c", 3]]', "c.jsonl:3, list 3: expected a list of texts"),
        ('[["a"],\n["b"]', "c.jsonl:2: malformed JSON: expected , or ], got the end of the file"),
        (
            '[["a"], [], ["c"]]',
            "c.jsonl: no completion for 1 of 3 problems: T/1."
            " Add them, or score what is there with --partial",
        ),
    ],
)
def test_a_wrong_list_of_lists_is_named_with_the_list(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DataError) as raised:
        from_text(tmp_path, text)
    assert without(tmp_path, raised.value) == complaint


def test_an_empty_list_is_a_missing_problem_that_partial_allows(tmp_path: Path) -> None:
    assert from_text(tmp_path, '[["a"], [], ["c"]]', partial=True).counts == {"T/0": 1, "T/2": 1}


def own(name: str, index: Any, sha: str = PROMPT.sha) -> dict[str, Any]:
    return {"problem_id": name, "index": index, "prompt_sha": sha, "completion": {"text": "x"}}


@pytest.mark.parametrize("index", [0, "1", None, 1.0, True, -1, 2**24])
def test_a_doubled_index_or_one_that_is_no_number_is_named_with_its_line(tmp_path: Path, index: Any) -> None:
    assert refused(tmp_path, own("T/0", 0), own("T/0", index)) == (
        f"c.jsonl:2: T/0 has sample index {index!r} twice or not as a number from 0 on"
    )


def test_a_hole_in_the_indices_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, own("T/0", 0), own("T/0", 2)) == (
        "c.jsonl: T/0 has no sample 1, but one with index 2"
    )


def test_completions_for_another_prompt_are_refused_with_their_line(tmp_path: Path) -> None:
    rows = [own("T/0", 0), own("T/1", 0, "feedfacefeedface"), own("T/2", 0)]
    with pytest.raises(DataError) as raised:
        generations(from_rows(tmp_path, *rows))
    assert without(tmp_path, raised.value) == (
        "c.jsonl:2: T/1 was recorded for another prompt (feedfacefeedface, not"
        f" {PROMPT.sha}): choose that prompt with --set prompt=NAME"
    )


def test_other_tools_rows_have_no_prompt_to_compare(tmp_path: Path) -> None:
    assert len(generations(from_rows(tmp_path, *full(completion="x")))) == 3


def test_a_missing_file_or_an_empty_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.jsonl", tmp_path):
        with pytest.raises(DataError, match=r"^no completions file '"):
            load(path)


def test_only_the_wanted_samples_are_yielded(tmp_path: Path) -> None:
    backend = from_text(tmp_path, json.dumps([["a", "b", "c"], ["d"], ["e"]]))
    found = backend.generate([Request("T/0", PROMPT, (2, 0))], Sampling())
    assert [(g.index, g.completion.text, g.prompt_sha) for g in found] == [
        (2, "c", PROMPT.sha),
        (0, "a", PROMPT.sha),
    ]
