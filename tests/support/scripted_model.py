"""A transformers model that says what a script tells it to: each token follows from the one before it, with a given
probability. Small, exact, and loaded by the same code as any other model.

    folder = build(tmp_path, {"<think>\n": {"Hm. ": 1.0}, "Hm. ": {"</think>": 0.5, "Well. ": 0.5}, ...})

Keys are tokens; a token without a successor is followed by the end of the text. Prompts are not understood: whatever is
not a token is one unknown word, so only a prompt's last token matters.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

Script = Mapping[str, Mapping[str, float]]
OPENS = (
    "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
)
CHANCE_OF_OTHERS = 1e-9


def build(folder: Path, script: Script, *, template: str = OPENS, special: Sequence[str] = ()) -> Path:
    """Save it to `folder`. `special` tokens are left out when a text is decoded, as tokenizers do."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    named = dict.fromkeys(["<pad>", "<s>", "</s>", "<unk>", *special])
    words = dict.fromkeys([*named, *script, *(word for after in script.values() for word in after)])
    ids = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in named])
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words if word not in named])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(special),
        chat_template=template,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)

    size = 4 * math.ceil(len(ids) / 4)
    config = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=size,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.model.layers.parameters():
            weight.zero_()  # the layer adds nothing: what comes out is the last token, one-hot
        model.model.embed_tokens.weight.copy_(torch.eye(size)[: len(ids)])
        head = torch.full((len(ids), size), math.log(CHANCE_OF_OTHERS))
        for word, number in ids.items():
            for after, chance in script.get(word, {"</s>": 1.0}).items():
                head[ids[after], number] = math.log(chance)
        model.lm_head.weight.copy_(head / math.sqrt(size))  # the norm before it makes the one sqrt(size)
    model.save_pretrained(folder)
    return folder
