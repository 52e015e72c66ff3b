"""What the hf backend makes of prompts, and where and how a completion ends."""

from pathlib import Path

import pytest

from harness.backends.hf.tokenizer import Codec
from harness.errors import UserError
from harness.schema import Message, Prompt, Request
from tests.support.parts.hf_engine import GREEDY, TEXTS, loaded, only, requests
from tests.support.tiny_models import CHAT, POSITIONS, build, make_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "llama": build("llama", root / "llama"),
        "codegen": build("codegen", root / "codegen"),
        "chat": build("llama", root / "chat", chat=True),
        "words": build("llama", root / "words", tokens="words"),
    }


# ---------------------------------------------------------------- ends of a completion


def test_a_stop_string_across_tokens_cuts_exactly_before_it(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    tokenizer = backend.codec.tokenizer
    checked = 0
    for text in TEXTS:
        whole = only(backend, text, GREEDY).text
        pieces = {tokenizer.decode([token]) for token in range(len(tokenizer))}
        stops = {whole[n : n + 3] for n in range(4, len(whole) - 3)} - pieces
        for stop in sorted(s for s in stops if s.isascii())[:3]:
            found = only(backend, text, GREEDY.model_copy(update={"stop": (stop, "never there")}))
            assert found.text == whole[: whole.index(stop)]
            assert found.finish == "stop"
            assert found.completion_tokens <= 24
            checked += 1
    assert checked > 8


def test_of_two_stop_strings_the_earlier_place_counts(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    codec = backend.codec
    assert codec.cut_at_stop("abcdef", ("e", "cd")) == "ab"
    assert codec.cut_at_stop("abcdef", ("x",)) is None
    assert codec.ends_with_stop(codec.encode(Prompt(text="return a + b")), ("n a +",)) is True


def test_end_of_text_and_length_are_told_apart(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    whole = only(backend, TEXTS[0], GREEDY)
    assert (whole.finish, whole.completion_tokens) == ("length", 24)
    assert backend.runner is not None
    first = backend.runner.single(backend.codec.encode(Prompt(text=TEXTS[0])), ()).logits.argmax()
    backend.codec.eos = frozenset({int(first)})
    ended = only(backend, TEXTS[0], GREEDY)
    assert (ended.text, ended.finish, ended.completion_tokens) == ("", "eos", 1)


def test_leading_spaces_of_a_completion_are_kept(folders: dict[str, Path]) -> None:
    """A SentencePiece-like decoder drops the first space of a text, which for code is the indentation."""
    codec = loaded(folders["words"]).codec
    ids = codec.tokenizer.convert_tokens_to_ids(["▁", "▁", "a"])
    assert codec.tokenizer.decode(ids) == " a"
    assert codec.decode(ids) == "  a"
    whole = codec.tokenizer("if x:\n    return a", add_special_tokens=False)["input_ids"]
    for at in range(1, len(whole)):
        before, after = codec.tokenizer.decode(whole[:at]), codec.tokenizer.decode(whole)
        assert codec.decode(whole[at:]) == after[len(before) :]


def test_a_character_split_over_tokens_comes_out_whole(folders: dict[str, Path]) -> None:
    codec = loaded(folders["llama"]).codec
    ids = codec.tokenizer("é = 'ü'", add_special_tokens=False)["input_ids"]
    assert len(ids) > 7
    assert codec.decode(ids) == "é = 'ü'"
    assert codec.ends_with_stop(ids[:-1], ("ü",)) is True


# ---------------------------------------------------------------- prompts


def test_a_chat_is_rendered_by_the_models_template_with_one_beginning_of_text(
    folders: dict[str, Path],
) -> None:
    codec = loaded(folders["chat"]).codec
    turns = [Message(role="user", content="add"), Message(role="assistant", content="a+b")]
    ids = codec.encode(Prompt(messages=(*turns, *turns[:1])))
    assert codec.tokenizer.decode(ids) == "<s>user: add\n<s>assistant: a+b\n<s>user: add\n<s>assistant: "
    assert codec.encode(Prompt(text="add"))[0] == 1


def test_an_assistants_message_at_the_end_begins_the_answer_behind_the_generation_prompt(
    folders: dict[str, Path],
) -> None:
    codec = loaded(folders["chat"]).codec
    prompt = Prompt(messages=(Message(role="user", content="add"), Message(role="assistant", content="a+")))
    assert codec.render(prompt).text == "<s>user: add\n<s>assistant: a+"
    assert codec.render(prompt).tokens == len(codec.encode(prompt))
    assert codec.render_reply(prompt, "b") == "b\n"


def test_arguments_of_a_chat_template_reach_it_and_those_in_vain_are_named(folders: dict[str, Path]) -> None:
    tokenizer = loaded(folders["chat"]).codec.tokenizer
    tokenizer.chat_template = CHAT + "{% if not enable_thinking|default(true) %}<think></think>{% endif %}"
    prompt = Prompt(messages=(Message(role="user", content="add"),))

    def rendered(**arguments: object) -> str:
        return Codec(tokenizer, frozenset({2}), False, arguments).render(prompt).text

    assert rendered() == "<s>user: add\n<s>assistant: "
    assert rendered(enable_thinking=False) == "<s>user: add\n<s>assistant: <think></think>"
    for wrong, why in {
        "enable_thinkin": "does not read it",
        "add_generation_prompt": "the harness renders the prompt",
    }.items():
        with pytest.raises(UserError, match=rf"backend\.template_args\.{wrong} .*{why}"):
            rendered(**{wrong: False})
    with pytest.raises(UserError, match="no chat template"):
        Codec(loaded(folders["llama"]).codec.tokenizer, frozenset({2}), False, {"enable_thinking": False})


def test_a_chat_without_a_template_says_what_to_set(folders: dict[str, Path]) -> None:
    prompt = Prompt(messages=(Message(role="user", content="add"),))
    with pytest.raises(UserError, match=r"no chat template.*--set prompt=NAME"):
        list(loaded(folders["llama"]).generate([Request("t/0", prompt, (0,))], GREEDY))


def test_a_causal_prompt_does_not_end_in_end_of_text(tmp_path: Path) -> None:
    folder = build("llama", tmp_path / "m")
    make_tokenizer("t5").save_pretrained(folder)  # <s> ... </s>
    codec = loaded(folder).codec
    assert codec.encode(Prompt(text="x"))[-1] != 2
    assert codec.encode(Prompt(text="x</s>"))[-1] == 2


def test_an_empty_prompt_begins_with_beginning_of_text(folders: dict[str, Path]) -> None:
    assert loaded(folders["codegen"]).codec.encode(Prompt(text="")) == (1,)


def test_prompts_that_do_not_fit_are_named_before_anything_is_generated(folders: dict[str, Path]) -> None:
    asked = requests(texts=["x", "y" * 300, "z"])
    with pytest.raises(UserError, match=rf"1 prompts do not fit .* {POSITIONS} tokens: t/1 \(301 tokens\)"):
        next(loaded(folders["llama"]).generate(asked, GREEDY.model_copy(update={"over_long": "error"})))


def test_prompts_that_do_not_fit_are_skipped_and_change_no_other(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    alone = [one.completion for one in backend.generate(requests(texts=["x", "z"]), GREEDY)]
    made = {
        one.problem_id: one.completion
        for one in backend.generate(requests(texts=["x", "y" * 300, "z"]), GREEDY)
    }
    assert sorted([made["t/0"].text, made["t/2"].text]) == sorted(one.text for one in alone)
    skipped = made["t/1"]
    assert (skipped.finish, skipped.text, skipped.completion_tokens) == ("skipped", "", 0)
    assert skipped.note == f"the prompt's 301 tokens do not fit the model's context of {POSITIONS} tokens"


def test_a_prompt_is_truncated_from_the_left_until_the_completion_has_room(folders: dict[str, Path]) -> None:
    backend = loaded(folders["llama"])
    cut = GREEDY.model_copy(update={"over_long": "truncate_left"})
    whole = "a" * 300 + "y" * (POSITIONS - GREEDY.max_tokens - 1)  # behind the token that begins a text
    made = only(backend, whole, cut)
    assert (made.prompt_tokens, made.completion_tokens) == (POSITIONS - 24, 24)
    assert made == only(backend, whole[300:], cut)
    assert backend.codec.truncate_left((1, 5, 6, 7), 3) == (1, 6, 7)
    assert backend.codec.truncate_left((4, 5, 6, 7), 3) == (5, 6, 7)
    with pytest.raises(UserError, match=rf"max_tokens = {POSITIONS} leaves no room for a prompt"):
        only(backend, "x", cut.model_copy(update={"max_tokens": POSITIONS}))


def test_a_prompt_that_leaves_little_room_gets_a_shorter_completion(folders: dict[str, Path]) -> None:
    said: list[str] = []
    backend = loaded(folders["llama"], warn=said.append)
    short, whole = backend.generate(requests(texts=["y" * 250, "x"]), GREEDY)
    assert (short.completion.completion_tokens, short.completion.finish) == (5, "length")
    assert whole.completion.completion_tokens == 24
    assert backend.stats.shortened == 1
    assert len(said) == 1
    assert said[0].startswith("1 of 2 prompts leave less room than max_tokens = 24")
