"""An adapter that brings a tokenizer or a chat template: used and named, or refused with the reason."""

from pathlib import Path

import pytest

from harness.backends.hf import checkpoint
from harness.errors import UserError
from harness.schema import Message, Prompt
from tests.support.adapter_kinds import save_kind
from tests.support.command import harness
from tests.support.parts.hf_engine import loaded
from tests.support.tiny_models import VOCABULARY, build, make_tokenizer

ASKED = Prompt(messages=(Message(role="user", content="add"),))
OWN = "{% for m in messages %}<user>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("base"), chat=True)


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    save_kind("lora", base, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_chat_template_and_tokens_of_its_own_are_used_named_and_gone_with_it(
    base: Path, adapter: Path
) -> None:
    backend = loaded(base)
    bare, usual = dict(backend.identity), backend.codec.render(ASKED).text
    tokenizer = checkpoint.load_tokenizer(base)
    tokenizer.save_pretrained(adapter)
    backend.set_adapter(str(adapter))
    assert "tokenizer" not in backend.identity, "the base's own, saved once more"
    (adapter / "chat_template.jinja").write_text(OWN)
    backend.set_adapter(str(adapter))
    assert backend.codec.render(ASKED).text == "<user>add<bot>"
    assert backend.identity["tokenizer"].endswith(" of the adapter")
    assert backend.attach_adapters(["", str(adapter)]) is None, "one batch has one tokenizer"
    printed = harness("tasks", "mbpp", "--data", "mini", "--prompt", "--model", base, "--adapter", adapter)
    assert printed.out.partition("\n")[2].startswith("<user>Solve this")
    backend.set_adapter("")
    assert (dict(backend.identity), backend.codec.render(ASKED).text) == (bare, usual)


def test_a_damaged_tokenizer_config_is_named_and_no_template_is_dropped(base: Path, adapter: Path) -> None:
    (adapter / "tokenizer_config.json").write_text('{"chat_template": "{{ mess')
    backend = loaded(base)
    with pytest.raises(UserError, match=r"adapter/tokenizer_config.json is not valid JSON: Unterminated"):
        backend.set_adapter(str(adapter))
    assert backend.identity["adapter"] == ""


def test_a_tokenizer_with_tokens_that_the_model_has_not_is_refused(base: Path, adapter: Path) -> None:
    tokenizer = checkpoint.load_tokenizer(base)
    tokenizer.add_tokens([f"<new{number}>" for number in range(VOCABULARY)])
    tokenizer.save_pretrained(adapter)
    backend = loaded(base)
    with pytest.raises(
        UserError, match=rf"of its tokens have no embedding in the model, which has {VOCABULARY} "
    ):
        backend.set_adapter(str(adapter))
    make_tokenizer("llama", tokens="words").save_pretrained(adapter)
    with pytest.raises(UserError, match=r"\d+ of the base's tokens are missing in it or have another id"):
        backend.set_adapter(str(adapter))
    assert backend.identity["adapter"] == ""
