"""TrainConfig -> transformers' TrainingArguments."""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from harness.errors import ConfigError, UserError, unknown
from harness.training.checkpoints import FOLDER
from harness.training.config import TrainConfig


def check(config: TrainConfig) -> None:
    """Names that only the Trainer knows. Raises ConfigError naming the nearest one."""
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
    from transformers.training_args import OptimizerNames

    optimizers = [each.value for each in OptimizerNames] + ["muon"]
    if config.optim.optimizer not in optimizers:
        raise ConfigError(f"optim.optimizer: {unknown('optimizer', config.optim.optimizer, optimizers)}")
    for name in config.trackers:
        if name not in INTEGRATION_TO_CALLBACK:
            raise ConfigError(f"trackers: {unknown('tracker', name, INTEGRATION_TO_CALLBACK)}")


def training_arguments(
    config: TrainConfig, folder: Path, steps_an_epoch: int, validated: bool, fresh: bool
) -> Any:
    """The Trainer's own arguments. `steps_an_epoch` are optimiser steps."""
    optim, checks = config.optim, config.evaluation
    assert optim.lr is not None
    total = optim.max_steps or math.ceil(optim.epochs * steps_an_epoch)
    every = max(1, min(math.ceil(steps_an_epoch / checks.per_epoch), total))
    when = "epoch" if checks.early_stop == "paper" else "steps"
    schedule: str = optim.schedule
    more: dict[str, float] = {}
    if optim.min_lr:
        if schedule != "cosine":
            raise UserError("optim.min_lr goes with optim.schedule = 'cosine' only")
        schedule, more = "cosine_with_min_lr", {"min_lr": optim.min_lr}
    return TrainingArguments(
        output_dir=str(folder.resolve() / FOLDER),
        seed=config.seed,
        use_cpu=config.device == "cpu" or not torch.cuda.is_available(),
        per_device_train_batch_size=1 if config.packing.batch_tokens else config.packing.batch,
        gradient_accumulation_steps=optim.accumulate,
        gradient_checkpointing=optim.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if optim.gradient_checkpointing else None,
        num_train_epochs=optim.epochs,
        max_steps=optim.max_steps or -1,
        optim="adamw_torch" if optim.optimizer == "muon" else optim.optimizer,
        learning_rate=optim.lr,
        lr_scheduler_type=schedule,
        lr_scheduler_kwargs=more,
        warmup_steps=math.ceil(optim.warmup * total) if optim.warmup < 1 else int(optim.warmup),
        weight_decay=optim.weight_decay,
        adam_beta1=optim.beta1,
        adam_beta2=optim.beta2,
        max_grad_norm=optim.clip,
        bf16=optim.precision == "bfloat16",
        fp16=optim.precision == "float16",
        train_sampling_strategy="sequential" if config.packing.order == "file" else "random",
        eval_strategy=when if validated else "no",
        eval_steps=every,
        save_strategy=when,
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=validated,
        metric_for_best_model="eval_loss" if validated else None,
        greater_is_better=False if validated else None,
        eval_on_start=validated and fresh,
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        report_to=list(config.trackers) or "none",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
