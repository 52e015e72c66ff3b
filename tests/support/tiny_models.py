"""Tiny random models with tokenizers of their own, saved to a folder as a user's model would be.

    folder = build("llama", tmp_path / "m")       # or "codegen", "t5"

Two layers, hidden size 32, about 400 tokens: fast on one thread, and untrained, so their text means
nothing. The weights are drawn wide so that the completions differ between prompts.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ARCHITECTURES = ("llama", "codegen", "t5")
VOCABULARY = 400
POSITIONS = 256
CORPUS = (
    "def add(a, b):\n    return a + b\n",
    "for i in range(10):\n    print(i, x[i])\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    'with open(path) as f:\n    text = f.read().split("\\n")\n',
    "sort list `x` in descending order",
    "### Instruction:\nwrite a function\n### Response:\n",
)
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)


def build(
    architecture: str,
    folder: Path,
    *,
    seed: int = 0,
    chat: bool = False,
    dtype: str = "float32",
    tokens: str = "bytes",
    hidden: int = 32,
) -> Path:
    """Save a tiny random model and its tokenizer, with `bytes` for tokens (GPT-2's) or `words` (Llama's)."""
    import torch

    make_tokenizer(architecture, chat=chat, tokens=tokens).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS[architecture](hidden)
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def make_tokenizer(architecture: str, *, chat: bool = False, tokens: str = "bytes") -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>"]
    words = tokens == "words"
    tokenizer = Tokenizer(models.BPE(byte_fallback=words))
    alphabet: list[str] = []
    if words:
        special += [f"<0x{byte:02X}>" for byte in range(256)]
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    else:
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(s, special=not s.startswith("<0x"), normalized=False) for s in special],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    template = {"llama": "<s> $A", "codegen": "$A", "t5": "<s> $A </s>"}[architecture]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )
    if chat:
        wrapped.chat_template = CHAT
    return wrapped


def _llama(hidden: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=POSITIONS,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config)


def _codegen(hidden: int) -> Any:
    from transformers import CodeGenConfig, CodeGenForCausalLM

    config = CodeGenConfig(
        vocab_size=VOCABULARY,
        n_positions=POSITIONS,
        n_ctx=POSITIONS,
        n_embd=hidden,
        n_layer=2,
        n_head=4,
        rotary_dim=8,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    return CodeGenForCausalLM(config)


def _t5(hidden: int) -> Any:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=hidden,
        d_kv=hidden // 4,
        d_ff=2 * hidden,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=2,
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():  # as drawn, its layers hardly change what goes through them
        for name, weight in model.named_parameters():
            if "Attention" in name or "DenseReluDense" in name:
                weight.mul_(4.0)
    return model


MODELS: Mapping[str, Callable[[int], Any]] = {"llama": _llama, "codegen": _codegen, "t5": _t5}
