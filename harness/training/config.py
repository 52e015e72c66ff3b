"""What a training is asked to do: read from TOML and flags, checked before any work.

Option names of a method are PEFT's own; unknown keys are errors that name the nearest one. It is not the place
for what depends on the model (which modules to tune is resolved in `methods`).
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from harness.config.load import complaint
from harness.config.run import Scalar
from harness.errors import ConfigError
from harness.schema import Split, Value

Method = Literal["full", "lora", "dora", "ia3", "prompt", "prefix", "p-tuning", "qlora-8bit", "qlora-4bit"]
PROMPT_LEARNING = ("prompt", "prefix", "p-tuning")


class DataConfig(Value):
    """One training task: the rows of a benchmark's split, or a file of JSON lines.

    `validation` is "auto" (the benchmark's own validation split, else 5 % of the rows), "none", a share of the
    rows (0.1) or another file. `weight` and `alpha` are the task's in balance and focal losses.
    """

    name: str = ""
    task: str = ""
    options: Mapping[str, Scalar] = {}
    split: Split = "train"
    prompt: str = ""
    file: str = ""
    template: Literal["alpaca", "plain", "chat", "mft_v1", "mft_v3"] = "alpaca"
    limit: int | None = Field(default=None, ge=1)
    validation: str | float = "auto"
    weight: float = Field(default=1.0, gt=0)
    alpha: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.task) == bool(self.file):
            raise ValueError("needs exactly one of task (a benchmark) and file (JSON lines)")
        if isinstance(self.validation, float) and not 0 <= self.validation < 1:
            raise ValueError("validation as a share of the rows must be at least 0 and below 1")
        return self

    @property
    def title(self) -> str:
        return self.name or self.task.rsplit("/", 1)[-1] or self.file.rsplit("/", 1)[-1].split(".")[0]


class PackingConfig(Value):
    """How token rows become batches. `length` is the most tokens a window holds, `batch` windows a step and device.

    `pad` fills every window up to `length`, `dynamic` up to the longest of its batch, `pack` lays whole samples of
    one task behind each other, `concat` cuts one stream of tokens (samples are split). With `batch_tokens` a
    dynamic batch holds rows of like length, as many as fit, sorted within `pool` rows. `attention` block keeps
    packed samples from seeing each other; they are laid one a line where that is less work. With full a token sees all
    before it in its window (arXiv 2311.02303). Not given, it is block with `pack`, but for prompt learning and with
    `concat`, whose samples are split.
    """

    mode: Literal["pad", "dynamic", "pack", "concat"] = "dynamic"
    length: int = Field(default=1024, ge=2)
    over_long: Literal["drop", "truncate_left", "truncate_right", "error"] = "drop"
    attention: Literal["full", "block"] | None = None
    batch: int = Field(default=8, ge=1)
    batch_tokens: int | None = Field(default=None, ge=1)
    pool: int = Field(default=512, ge=1)
    multiple: int = Field(default=8, ge=1)
    order: Literal["shuffled", "file"] = "shuffled"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.batch_tokens is not None:
            if self.mode != "dynamic":
                raise ValueError("packing.batch_tokens goes with mode = 'dynamic' only")
            if self.batch_tokens < self.length:
                raise ValueError(
                    f"packing.batch_tokens = {self.batch_tokens} is less than packing.length = {self.length}"
                )
        if self.attention == "block" and self.mode not in ("pack", "concat"):
            raise ValueError("packing.attention = 'block' goes with mode = 'pack' or 'concat' only")
        return self


class LossConfig(Value):
    """Balance between tasks and samples, focal factors, and weights that follow the validation losses.

    `reduction` micro averages each micro-batch by itself, global pools all of an optimiser step.
    """

    balance: Literal["none", "sample_mean", "task_token", "task_sample"] = "none"
    reduction: Literal["micro", "global"] = "micro"
    focal: Literal["off", "sample", "task"] = "off"
    focal_gamma: float = Field(default=2.0, ge=0)
    focal_detach: bool = False
    convergence: Literal["none", "famo", "coba"] = "none"
    interval: int = Field(default=1, ge=1)
    warmup: int = Field(default=100, ge=0)
    history: int = Field(default=200, ge=2)
    tau: float = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.focal != "off" and self.balance != "none":
            raise ValueError("loss.focal replaces loss.balance: leave one of them out")
        if self.focal != "off" and self.reduction == "global":
            raise ValueError("loss.focal is defined on a batch: it goes with loss.reduction = 'micro' only")
        if self.convergence != "none" and self.balance not in ("task_token", "task_sample"):
            raise ValueError(
                f"loss.convergence = {self.convergence!r} sets task weights:"
                " it needs loss.balance = 'task_token' or 'task_sample'"
            )
        return self


class OptimConfig(Value):
    """The optimiser and its schedule. `optimizer` is one of transformers' names, or `muon`.

    `warmup` below 1 is a share of all steps, else a number of steps.
    """

    optimizer: str = "adamw_torch"
    lr: float | None = Field(default=None, gt=0)
    min_lr: float = Field(default=0.0, ge=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.05, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    clip: float = Field(default=1.0, ge=0)
    epochs: float = Field(default=5.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    accumulate: int = Field(default=1, ge=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    gradient_checkpointing: bool = False


class EvalConfig(Value):
    """When to look at the validation loss, and when to stop.

    `early_stop` paper: after two epochs in a row that are worse than the best one; repo: after five evaluations
    without improvement (a tie is one). `patience` overrides the number.
    """

    per_epoch: int = Field(default=5, ge=1)
    early_stop: Literal["off", "paper", "repo"] = "off"
    patience: int | None = Field(default=None, ge=1)
    batch: int = Field(default=8, ge=1)


class WatchConfig(Value):
    """Style while training: each `every` steps `texts` prompts are answered and judged beside as many other texts.

    `classifier` is a folder of harness train-classifier with two classes, `label` the one that the model should take
    on, `against` a source of texts of the other (style/text_sources.py). The prompts are those of `split` of the first
    data set that is a task, or else of the first file. Texts are cut to `length` of the classifier's tokens (the
    model's, if it has none of its own); `over_generation` times as many are generated. What is drawn follows `seed`,
    the same each time.
    """

    classifier: str
    label: str
    against: str
    every: int = Field(default=50, ge=1)
    split: Split = "test"
    texts: int = Field(default=32, ge=1)
    length: int = Field(default=128, ge=1)
    over_generation: float = Field(default=4.0, ge=1, allow_inf_nan=False)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    seed: int = 0


class TrainConfig(Value):
    """One training. `peft` holds the method's options under PEFT's names; see `methods.OPTIONS`. `name` is what a
    study calls it; weights do not depend on it."""

    model: str
    name: str = ""
    revision: str | None = None
    method: Method = "lora"
    seed: int = 0
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    save_dtype: Literal["same", "float32", "bfloat16", "float16"] = "same"
    device: str = "auto"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    data_folder: str | None = None
    data: tuple[DataConfig, ...] = Field(min_length=1)
    peft: Mapping[str, Any] = {}
    packing: PackingConfig = PackingConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    evaluation: EvalConfig = EvalConfig()
    watch: WatchConfig | None = Field(default=None, exclude_if=lambda value: value is None)
    trackers: tuple[str, ...] = ()
    log_every: int = Field(default=10, ge=1)


class LoraOptions(Value):
    r: int = Field(default=16, ge=1)
    lora_alpha: float = Field(default=32, gt=0)
    lora_dropout: float = Field(default=0.05, ge=0, lt=1)
    bias: Literal["none", "all", "lora_only"] = "none"
    use_rslora: bool = False
    target_modules: tuple[str, ...] | str | None = None
    modules_to_save: tuple[str, ...] | None = None


class Ia3Options(Value):
    target_modules: tuple[str, ...] | None = None
    feedforward_modules: tuple[str, ...] | None = None
    modules_to_save: tuple[str, ...] | None = None


class PromptOptions(Value):
    num_virtual_tokens: int = Field(default=20, ge=1)
    prompt_tuning_init: Literal["RANDOM", "TEXT", "SAMPLE_VOCAB"] = "RANDOM"
    prompt_tuning_init_text: str | None = None


class PrefixOptions(Value):
    num_virtual_tokens: int = Field(default=20, ge=1)
    prefix_projection: bool = False
    encoder_hidden_size: int | None = Field(default=None, ge=1)


class PTuningOptions(Value):
    num_virtual_tokens: int = Field(default=20, ge=1)
    encoder_reparameterization_type: Literal["MLP", "LSTM"] = "MLP"
    encoder_hidden_size: int = Field(default=128, ge=1)
    encoder_num_layers: int = Field(default=2, ge=1)
    encoder_dropout: float = Field(default=0.0, ge=0, lt=1)


class NoOptions(Value):
    pass


OPTIONS: Mapping[str, type[Value]] = {
    "full": NoOptions,
    "lora": LoraOptions,
    "dora": LoraOptions,
    "qlora-8bit": LoraOptions,
    "qlora-4bit": LoraOptions,
    "ia3": Ia3Options,
    "prompt": PromptOptions,
    "prefix": PrefixOptions,
    "p-tuning": PTuningOptions,
}

# Learning rates of the PEFT study's code (arXiv 2308.10462): full 5e-5, LoRA 3e-4, IA3 and prompts 3e-3, prefix 3e-2.
LEARNING_RATES: Mapping[str, float] = {
    "full": 5e-5,
    "lora": 3e-4,
    "dora": 3e-4,
    "qlora-8bit": 3e-4,
    "qlora-4bit": 3e-4,
    "ia3": 3e-3,
    "prompt": 3e-3,
    "p-tuning": 3e-3,
    "prefix": 3e-2,
}


def method_options(config: TrainConfig) -> Value:
    """The method's options with their defaults. Raises ConfigError naming the key."""
    import json

    model = OPTIONS[config.method]
    try:
        return model.model_validate_json(json.dumps(dict(config.peft)))
    except ValidationError as error:
        raise ConfigError(f"peft ({config.method}): {complaint(error, model)}") from None


def can_keep_samples_apart(config: TrainConfig) -> bool:
    """Whether packed samples can be kept from seeing each other: by a mask of pairs, which not everything takes."""
    return config.method not in PROMPT_LEARNING and config.attention != "flash_attention_2"


def check(config: TrainConfig) -> TrainConfig:
    """What no single key can know. Raises ConfigError."""
    method_options(config)
    titles = [each.title for each in config.data]
    for title in titles:
        if titles.count(title) > 1:
            raise ConfigError(f"two [[data]] tables are called {title!r}: give each its own name")
    if config.packing.attention == "block" and not can_keep_samples_apart(config):
        other = (
            f"method {config.method!r}"
            if config.method in PROMPT_LEARNING
            else "attention = 'flash_attention_2'"
        )
        raise ConfigError(f"packing.attention = 'block' does not go with {other}")
    if config.method == "prefix" and config.optim.gradient_checkpointing:
        raise ConfigError(
            "optim.gradient_checkpointing does not go with method 'prefix': computing a layer anew would find its"
            " keys and values in the cache already"
        )
    if config.method == "full" and config.dtype == "float16":
        raise ConfigError("method 'full' cannot train float16 weights: set dtype = 'bfloat16' or 'float32'")
    return config
