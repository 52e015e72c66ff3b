"""transformers' Trainer around this project's batches and losses: one training from a config to its folder.

Resume, schedules, precision, several GPUs, checkpoints and trackers are the Trainer's; what a batch is, what it
costs and how validation is counted are ours. `Loop` inherits because that is how the Trainer is made to be used.

The same command on the same folder resumes from the last complete checkpoint, and does nothing when it is finished.
"""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerState

from harness.errors import UserError
from harness.training import arguments, checkpoints, distributed, muon
from harness.training.config import TrainConfig
from harness.training.data import packing, tokenize
from harness.training.data.packing import Batch, Window
from harness.training.losses import objectives, task_weights, token_losses
from harness.training.style.watch import StyleWatch

Progress = Callable[[str, int, int], None]
CURVES = {"loss", "eval_loss", "style_loss"}  # rows of the history that curve.jsonl has


@dataclass
class TrainingUsage:
    """What a training has used so far, resumes included. Tokens: nominal counts padding, real does not."""

    seconds: float = 0.0
    steps: int = 0
    nominal: int = 0
    real: int = 0
    learnt: int = 0
    weights: dict[str, Any] = field(default_factory=dict)  # state of CoBa or FAMO


@dataclass
class TrainingData:
    """What is trained on: windows (or whole batches of them), and validation batches of each task."""

    tasks: Sequence[str]
    items: Sequence[Batch]
    validation: Sequence[Sequence[Batch]]
    pad: int
    encoder: bool
    watch: StyleWatch | None = None


class HarnessTrainer(Trainer):  # type: ignore[misc]
    """The Trainer with our batches, losses and validation."""

    def __init__(self, config: TrainConfig, data: TrainingData, usage: TrainingUsage, **more: Any) -> None:
        self.train_config = config
        self.data = data
        self.usage = usage
        self.started_at = time.monotonic() - usage.seconds
        self.partial_logits = False
        self.hidden = getattr(token_losses.unwrap(more["model"]).config, "hidden_size", 0)
        self.totals: objectives.Totals | None = None
        self.adaptive_weights = task_weights.start(config.loss, data.tasks, data.validation, usage.weights)
        validation = [
            batch for batches in data.validation for batch in batches
        ] or None  # `evaluate` goes over them itself
        super().__init__(
            data_collator=self._collate, train_dataset=list(data.items), eval_dataset=validation, **more
        )
        self.loss_is_scaled_for_ga = config.loss.reduction == "global"
        self.model_accepts_loss_kwargs = False
        self.task_weights = torch.tensor([d.weight for d in config.data], device=self.args.device)
        self.alpha = torch.tensor([d.alpha for d in config.data], device=self.args.device)

    # ------------------------------------------------------------ batches and loss

    def _collate(self, items: Sequence[Batch]) -> dict[str, Tensor]:
        return self.tensors([window for item in items for window in item])

    def tensors(self, windows: Sequence[Window]) -> dict[str, Tensor]:
        """Of a training batch. Samples that do not see each other are laid as is cheaper: the loss is the same."""
        packs = self.train_config.packing
        block = packs.attention == "block"
        if block and self.hidden and packing.apart_is_cheaper(windows, self.hidden, packs.multiple):
            windows, block = [(row,) for window in windows for row in window], False
        length = packs.length if packs.mode == "pad" else None
        return tokenize.collate(windows, self.data.pad, packs.multiple, length, block)

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], None]:
        """Draw a step's micro-batches; count them, and let the task weights follow the validation losses."""
        drawn, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        counted = torch.tensor([tokenize.token_counts(batch, self.data.encoder) for batch in drawn]).sum(0)
        counted = self.accelerator.reduce(counted.to(device), reduction="sum")
        self.usage.nominal += int(counted[0])
        self.usage.real += int(counted[1])
        self.usage.learnt += int(counted[2])
        if self.train_config.loss.reduction == "global":
            self.totals = self._totals_of_step(drawn, device)
        if (
            self.adaptive_weights is not None
            and self.state.global_step % self.train_config.loss.interval == 0
        ):
            found = self.adaptive_weights.weights(self.state.global_step, self._validation_losses)
            own = [each.weight for each in self.train_config.data]
            self.task_weights = torch.tensor([a * b for a, b in zip(found, own, strict=True)], device=device)
            self.usage.weights = self.adaptive_weights.state()
        return drawn, None

    def _totals_of_step(
        self, drawn: Sequence[Mapping[str, Tensor]], device: torch.device
    ) -> objectives.Totals:
        size = len(self.data.tasks)
        found = torch.zeros(2, size, dtype=torch.long)
        for batch in drawn:
            labels, segments = batch["labels"], batch["segments"]
            if not self.data.encoder:
                labels, segments = labels[:, 1:], segments[:, 1:]
            for line, task in enumerate(batch["tasks"].tolist()):
                learnt = labels[line] != tokenize.IGNORE_INDEX
                found[0, task] += int(learnt.sum())
                found[1, task] += len(set(segments[line][learnt].tolist()))
        found = self.accelerator.reduce(found.to(device), reduction="sum")
        return objectives.Totals(tokens=found[0], samples=found[1])

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        del return_outputs, num_items_in_batch
        partial = self.partial_logits and model is self.model
        with self.accelerator.autocast():
            tokens = token_losses.learnt_tokens(model, inputs, self.data.encoder, partial)
        return self.loss_of(tokens)

    def loss_of(self, tokens: objectives.Tokens) -> Tensor:
        how = self.train_config.loss
        if how.focal != "off":
            return objectives.focal_loss(tokens, how.focal, how.focal_gamma, self.alpha, how.focal_detach)
        if how.reduction == "global" and self.totals is not None:
            share = objectives.balanced_loss(tokens, how.balance, self.task_weights, self.totals)
            processes: int = self.accelerator.num_processes
            return share * processes  # gradients are averaged over processes
        return objectives.balanced_loss(tokens, how.balance, self.task_weights)

    # ------------------------------------------------------------ validation

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Token-weighted loss of each task; `eval_loss`, by which the best is chosen, is their mean (Eq. 1)."""
        del eval_dataset, ignore_keys
        size = len(self.data.tasks)
        sums = torch.zeros(4, size, dtype=torch.float64)  # nll, tokens, sum of sample means, samples
        validation = [batch for batches in self.data.validation for batch in batches]
        for tokens in self._validation_tokens(self._own_share(validation)):
            nll, counted = objectives.task_sums(tokens, size)
            means = objectives.sample_means(tokens, tokens.nll)
            by_sample = torch.zeros(size, dtype=means.dtype, device=means.device)
            by_sample.index_add_(0, tokens.task, means)
            for row, values in zip(sums, (nll, counted.tokens, by_sample, counted.samples), strict=True):
                row += values.double().cpu()
        sums = self.accelerator.reduce(sums.to(self.args.device), reduction="sum").cpu()
        found = _metrics(self.data.tasks, sums)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(dict(metrics))
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validation_tokens(self, batches: Sequence[Batch]) -> Any:
        training = self.model.training
        self.model.eval()
        try:
            for batch in batches:
                found = tokenize.collate(batch, self.data.pad, self.train_config.packing.multiple)
                tensors = {name: t.to(self.args.device) for name, t in found.items()}
                with torch.no_grad(), self.accelerator.autocast():
                    yield token_losses.learnt_tokens(
                        self.model, tensors, self.data.encoder, self.partial_logits
                    )
        finally:
            self.model.train(training)

    def _validation_losses(self, number: int | None) -> list[float]:
        """Each task's token mean on its validation batch `number` (cyclic), on all of them for None.

        The batches are dealt out to the processes, and all of them get the same sums: their weights never part.
        """
        size = len(self.data.tasks)
        sums = torch.zeros(2, size, dtype=torch.float64)  # nll, tokens
        chosen = [
            batch
            for batches in self.data.validation
            for batch in (batches if number is None else [batches[number % len(batches)]])
        ]
        for each in self._validation_tokens(self._own_share(chosen)):
            nll, counted = objectives.task_sums(each, size)
            sums += torch.stack([nll.double(), counted.tokens.double()]).cpu()
        nll, tokens = self.accelerator.reduce(sums.to(self.args.device), reduction="sum").cpu()
        return [float(value) for value in nll / tokens]

    def _own_share(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """This process's share of what every process could do."""
        return batches[self.accelerator.process_index :: self.accelerator.num_processes]

    # ------------------------------------------------------------ hooks of the Trainer

    def create_optimizer(self, model: Any = None) -> Any:
        if self.train_config.optim.optimizer != "muon":
            return super().create_optimizer(model)
        self.optimizer = muon.build_optimizer(self.model, self.train_config.optim)
        return self.optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        self.usage.seconds = time.monotonic() - self.started_at
        self.usage.steps = self.state.global_step
        for name, value in logs.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise UserError(
                    f"the loss is {value} at step {self.state.global_step}: the training diverged;"
                    " lower optim.lr, or raise optim.warmup"
                )
        super().log({**logs, "seconds": round(self.usage.seconds, 3), "tokens": self.usage.real}, start_time)


class TrainingCallback(TrainerCallback):  # type: ignore[misc]
    """Shows progress, keeps the curve's file in step with the Trainer's history, marks checkpoints, stops early."""

    def __init__(self, trainer: HarnessTrainer, folder: Path, progress: Progress) -> None:
        self.trainer = trainer
        self.curve = folder / "curve.jsonl"
        self.progress = progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.write("w", state.log_history)
        if state.global_step == 0:
            self.watch(0)

    def watch(self, step: int) -> None:
        """The style at this step, beside the losses in curve and history."""
        if (watch := self.trainer.data.watch) is None or distributed.rank() != 0:
            return
        if (point := watch(step)) is not None:
            found = {f"style_{name}": float(value) for name, value in asdict(point).items() if name != "step"}
            self.trainer.log(found)

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.write("a", state.log_history[-1:])

    def write(self, mode: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if distributed.rank() == 0:
            with self.curve.open(mode, encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows if row.keys() & CURVES)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.progress("train", state.global_step, state.max_steps)
        self.watch(state.global_step)

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if stopped_early(state, self.trainer.train_config):
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        distributed.barrier()  # each process has a file of its own in there
        if distributed.rank() == 0 and folder.is_dir():
            checkpoints.mark_complete(folder, asdict(self.trainer.usage))


def should_stop(found: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` losses are all worse than the best before them; a tie counts as the new best."""
    if len(found) <= patience:
        return False
    best = min(found)
    last_best = max(i for i, loss in enumerate(found) if loss == best)
    return len(found) - 1 - last_best >= patience


def stopped_early(state: TrainerState, config: TrainConfig) -> bool:
    """Whether the early stopping that was asked for ends the training here."""
    default = {"off": None, "paper": 2, "repo": 5}[config.evaluation.early_stop]
    if default is None:
        return False
    found = [row["eval_loss"] for row in state.log_history if "eval_loss" in row and row["step"] > 0]
    return should_stop(found, config.evaluation.patience or default)


def _metrics(tasks: Sequence[str], sums: Tensor) -> dict[str, float]:
    """Of sums [nll, tokens, sample means, samples] a task: losses by token and sample, macro and micro."""
    found: dict[str, float] = {}
    by_task = {}
    for name, (nll, tokens, means, samples) in zip(tasks, sums.T.tolist(), strict=True):
        if tokens:
            by_task[name] = nll / tokens
            if len(tasks) > 1:
                found[f"{name}_loss"] = nll / tokens
                found[f"{name}_sample_loss"] = means / samples
                found[f"{name}_tokens"] = tokens
    found["loss"] = sum(by_task.values()) / len(by_task)
    if len(tasks) > 1:
        found["micro_loss"] = float(sums[0].sum() / sums[1].sum())
    found["perplexity"] = math.exp(min(found["loss"], 700))
    return found


# ---------------------------------------------------------------- one training


def run_training(
    config: TrainConfig, model: Any, data: TrainingData, folder: Path, progress: Progress
) -> tuple[TrainingUsage, list[dict[str, float]]]:
    """Train `model` in place, leave the best weights in it; what was used, and the history. Raises UserError."""
    resumed, saved_usage = checkpoints.latest_complete(folder / checkpoints.FOLDER)
    usage = TrainingUsage(**saved_usage)
    batch = 1 if config.packing.batch_tokens else config.packing.batch
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    micro = math.ceil(len(data.items) / (batch * distributed.world_size()))
    steps = max(1, math.ceil(micro / config.optim.accumulate))
    args = arguments.training_arguments(config, folder, steps, any(data.validation), resumed is None)
    trainer = HarnessTrainer(config, data, usage, model=model, args=args)
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ in ("PrinterCallback", "ProgressCallback"):
            trainer.remove_callback(callback)
    reporter = TrainingCallback(trainer, folder, progress)
    trainer.add_callback(reporter)
    if not data.encoder and data.items:
        one = {name: t.to(args.device) for name, t in trainer.tensors(data.items[0][:1]).items()}
        trainer.partial_logits = token_losses.supports_partial_logits(model, one)
    if resumed is not None and restore_finished(trainer, resumed):
        reporter.write("w", trainer.state.log_history)
    else:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    return usage, trainer.state.log_history


def restore_finished(trainer: HarnessTrainer, checkpoint: Path) -> bool:
    """Whether the training had ended with this checkpoint; its best weights are in the model then.

    The Trainer does not check: it would make one step too many, or continue after an early stop.
    """
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    if state.global_step < state.max_steps and not stopped_early(state, trainer.train_config):
        return False
    trainer.state = state
    best = checkpoint
    if trainer.args.load_best_model_at_end and state.best_global_step:
        best = checkpoint.with_name(f"checkpoint-{state.best_global_step}")
    trainer._load_from_checkpoint(str(best))
    return True
