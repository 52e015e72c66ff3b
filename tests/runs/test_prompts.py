"""Which prompt a run asks: the model's own form where the config names none, said with the numbers."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command import Ended, harness, rows, write_rows
from tests.support.faulty_server import World, serving
from tests.support.tiny_models import POSITIONS, build


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


def test_each_run_keeps_the_very_text_of_its_prompts_and_the_command_prints_it(
    models: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("chat", "base"):
        run(tmp_path / name, "--model", models[name])
        kept = rows(tmp_path / name / "problems.jsonl")[0]
        (made, _) = rows(tmp_path / name / "generations.jsonl")
        assert kept["prompt_tokens"] == made["completion"]["prompt_tokens"]
        printed = harness("tasks", "mbpp", "--data", "mini", "--prompt", "--model", models[name])
        head, _, text = printed.out.partition("\n")
        assert text == kept["rendered"]
        assert head.endswith(f", {kept['prompt_tokens']} tokens")
        if name == "chat":
            asked_for = kept["prompt"]["messages"][0]["content"]
            assert text == f"<s>user: {asked_for}\n<s>assistant: "
        else:
            assert text == kept["prompt"]["text"]


def test_recorded_completions_have_the_tasks_first_prompt_and_nobody_renders_it(tmp_path: Path) -> None:
    said = [{"task_id": "mbpp/11", "text": "x"}]
    file = write_rows(tmp_path / "said.jsonl", said)
    harness("score", "mbpp", "--data", "mini", "--completions", file, "--partial", "--out", tmp_path / "run")
    (kept,) = rows(tmp_path / "run" / "problems.jsonl")
    assert kept["prompt"]["text"].startswith('"""\n')
    assert "rendered" not in kept


def test_a_models_prompt_may_begin_the_answer_and_take_arguments_of_the_template(
    models: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(models["chat"], tmp_path / "thinks")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + "{% if not enable_thinking|default(true) %}<no>{% endif %}")
    sets = ("prompt.style=chat", "prompt.prefill=def", "backend.template_args.enable_thinking=false")
    ended = run(tmp_path / "run", "--model", folder, *(part for one in sets for part in ("--set", one)))
    assert ended.code == 0, ended.err
    assert " enable_thinking=false | " in ended.out
    assert rows(tmp_path / "run" / "problems.jsonl")[0]["rendered"].endswith("<s>assistant: <no>def")
    assert not rows(tmp_path / "run" / "generations.jsonl")[0]["completion"]["text"].startswith("def ")
    text = run(tmp_path / "text", "--model", folder, "--set", "prompt=plain", "--set", sets[-1])
    assert text.complaint == "backend.template_args has no effect: the prompt 'plain' is a text and no chat"


def test_a_server_is_sent_the_templates_arguments_and_the_beginning_of_the_answer(tmp_path: Path) -> None:
    with serving(World()) as world:
        sets = (
            f"backend.server.url={world.url}",
            "backend.template_args.enable_thinking=false",
            "prompt.style=chat",
        )
        options = [part for one in (*sets, "prompt.prefill=def") for part in ("--set", one)]
        ended = run(tmp_path, "--backend", "openai", "--model", "m", *options)
    assert ended.code == 0, ended.err
    body = world.bodies[0]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["messages"][-1] == {"role": "assistant", "content": "def"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


@pytest.mark.parametrize(("policy", "ends"), [("skip", "skipped"), ("truncate_left", "length")])
def test_prompts_that_do_not_fit_do_not_stop_a_run_and_are_told(
    models: dict[str, Path], tmp_path: Path, policy: str, ends: str
) -> None:
    sets = ("limit=12", "sampling.max_tokens=2", f"over_long={policy}")
    ended = run(tmp_path, "--model", models["chat"], *(part for one in sets for part in ("--set", one)))
    assert ended.code == 0, ended.err
    tokens = {row["problem_id"]: row["prompt_tokens"] for row in rows(tmp_path / "problems.jsonl")}
    long = {name for name, count in tokens.items() if count > POSITIONS - 2}
    finish = {row["problem_id"]: row["completion"]["finish"] for row in rows(tmp_path / "generations.jsonl")}
    assert 0 < len(long) < 12
    assert {finish[name] for name in long} == {ends}
    assert {finish[name] for name in tokens.keys() - long} == {"length"}
    if policy == "skip":
        assert f"of 12 completions {len(long)} " in ended.out
        assert "over_long" not in ended.out
        assert "0 / 12" in ended.out, "skipped ones count as failed"
    else:
        assert f"{len(long)} prompts truncated from the left" in ended.out
        assert " over_long truncate_left | " in ended.out


def test_a_run_whose_prompts_are_all_too_long_is_refused_and_leaves_no_zero(
    models: dict[str, Path], tmp_path: Path
) -> None:
    for _ in range(2):
        ended = run(tmp_path, "--model", models["base"], task="spider")
        assert ended.complaint.startswith("no prompt of this run fits the model: spider/dev/0: the prompt's ")
    assert not (tmp_path / "summary.json").exists()
    stopped = run(tmp_path / "error", "--model", models["base"], "--set", "over_long=error", task="spider")
    assert "2 prompts do not fit the model's context" in stopped.complaint


def test_recorded_completions_have_no_prompt_that_could_be_too_long(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "said.jsonl", [{"task_id": "mbpp/11", "text": "x"}])
    ended = harness(
        "score", "mbpp", "--data", "mini", "--completions", file, "--partial", "--set", "over_long=error"
    )
    assert ended.complaint == "over_long has no effect on recorded completions: leave it out"


def rows_of_record(folder: Path) -> dict[str, dict[str, object]]:
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
