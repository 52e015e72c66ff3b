"""Which prompt a run asks: the model's own form where the config names none, said with the numbers."""

from pathlib import Path

import pytest

from tests.support.command import Ended, harness, rows
from tests.support.faulty_server import World, serving
from tests.support.tiny_models import build


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: build("llama", root / name, chat=name == "chat") for name in ("chat", "base")}


def run(out: Path, *more: object, task: str = "mbpp") -> Ended:
    common = (
        "run",
        "--task",
        task,
        "--data",
        "mini",
        "--limit",
        2,
        "--workers",
        1,
        "--no-cache",
        "--out",
        out,
    )
    return harness(*common, "--set", "sampling.max_tokens=4", *more)


def asked(out: Path) -> dict[str, object]:
    prompt: dict[str, object] = rows(out / "problems.jsonl")[0]["prompt"]
    return prompt


def test_a_model_with_a_chat_template_is_asked_in_a_chat_and_the_output_says_so(
    models: dict[str, Path], tmp_path: Path
) -> None:
    ended = run(tmp_path, "--model", models["chat"])
    assert ended.code == 0, ended.err
    assert "prompt 'chat', because the model answers chats" in ended.out
    assert " | prompt chat:" in ended.out
    assert asked(tmp_path)["messages"]


def test_a_model_without_one_continues_the_tasks_text_as_before(
    models: dict[str, Path], tmp_path: Path
) -> None:
    ended = run(tmp_path, "--model", models["base"])
    assert " | prompt plain:" in ended.out
    assert "because" not in ended.out
    assert str(asked(tmp_path)["text"]).startswith('"""\n')


def test_a_prompt_that_the_config_names_wins(models: dict[str, Path], tmp_path: Path) -> None:
    ended = run(tmp_path, "--model", models["chat"], "--set", "prompt=paper")
    assert " | prompt paper:" in ended.out
    assert "because" not in ended.out


def test_stop_strings_are_those_of_the_prompt_that_is_asked(models: dict[str, Path], tmp_path: Path) -> None:
    run(tmp_path / "base", "--model", models["base"], task="conala")
    run(tmp_path / "chat", "--model", models["chat"], task="conala")
    stops = [rows_of_record(tmp_path / name)["sampling"]["stop"] for name in ("base", "chat")]
    assert stops == [["\n"], []]


def rows_of_record(folder: Path) -> dict[str, dict[str, object]]:
    import json

    record: dict[str, dict[str, object]] = json.loads((folder / "run.json").read_text())
    return record


@pytest.mark.parametrize(
    ("api", "path"),
    [("auto", "chat/completions"), ("chat", "chat/completions"), ("completions", "completions")],
)
def test_a_server_is_asked_in_a_chat_unless_told_to_complete_texts(
    tmp_path: Path, api: str, path: str
) -> None:
    with serving(World()) as world:
        sets = (f"backend.server.url={world.url}", f"backend.server.api={api}")
        ended = run(
            tmp_path,
            "--backend",
            "openai",
            "--model",
            "m",
            *(part for each in sets for part in ("--set", each)),
        )
    assert ended.code == 0, ended.err
    assert {one.removeprefix("/v1/") for one in world.paths} == {path}
