"""transformers' Trainer around this project's batches and losses: one training from a config to its folder.

Resume, schedules, precision, several GPUs, checkpoints and trackers are the Trainer's; what a batch is, what it
costs and how validation is counted are ours. `Loop` inherits because that is how the Trainer is made to be used.

The same command on the same folder goes on from the last whole checkpoint, and does nothing when it is finished.
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
from harness.train import arguments, checkpoints, distributed, muon
from harness.train.config import TrainConfig
from harness.train.data import tokenize
from harness.train.data.packing import Batch, Window
from harness.train.losses import objectives, task_weights, token_losses

Progress = Callable[[str, int, int], None]


@dataclass
class Tally:
    """What a training has used so far; goes on across resumes. Tokens: nominal counts padding, real does not."""

    seconds: float = 0.0
    steps: int = 0
    nominal: int = 0
    real: int = 0
    learnt: int = 0
    weights: dict[str, Any] = field(default_factory=dict)  # state of CoBa or FAMO


@dataclass
class Work:
    """What there is to train on: windows (or whole batches of them) a step, validation batches of each task."""

    tasks: Sequence[str]
    items: Sequence[Batch]
    held: Sequence[Sequence[Batch]]
    pad: int
    encoder: bool


class Loop(Trainer):  # type: ignore[misc]
    """The Trainer with our batches, losses and validation."""

    def __init__(self, config: TrainConfig, work: Work, tally: Tally, **more: Any) -> None:
        self.harness = config
        self.work = work
        self.tally = tally
        self.began = time.monotonic() - tally.seconds
        self.apart = False
        self.totals: objectives.Totals | None = None
        self.follow = task_weights.begin(config.loss, work.tasks, work.held, tally.weights)
        held = [
            batch for batches in work.held for batch in batches
        ] or None  # `evaluate` goes over them itself
        super().__init__(
            data_collator=self._collate, train_dataset=list(work.items), eval_dataset=held, **more
        )
        self.loss_is_scaled_for_ga = config.loss.reduction == "global"
        self.model_accepts_loss_kwargs = False
        self.task_weights = torch.tensor([d.weight for d in config.data], device=self.args.device)
        self.alpha = torch.tensor([d.alpha for d in config.data], device=self.args.device)

    # ------------------------------------------------------------ batches and loss

    def _collate(self, items: Sequence[Batch]) -> dict[str, Tensor]:
        return self.tensors([window for item in items for window in item])

    def tensors(self, windows: Sequence[Window]) -> dict[str, Tensor]:
        packs = self.harness.packing
        length = None if packs.mode == "dynamic" else packs.length
        return tokenize.collate(windows, self.work.pad, packs.multiple, length, packs.attention == "block")

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], None]:
        """Draw a step's micro-batches; count them, and let the task weights follow the validation losses."""
        drawn, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        counted = torch.tensor([tokenize.counts(batch, self.work.encoder) for batch in drawn]).sum(0)
        counted = self.accelerator.reduce(counted.to(device), reduction="sum")
        self.tally.nominal += int(counted[0])
        self.tally.real += int(counted[1])
        self.tally.learnt += int(counted[2])
        if self.harness.loss.reduction == "global":
            self.totals = self._whole(drawn, device)
        if self.follow is not None and self.state.global_step % self.harness.loss.interval == 0:
            found = self.follow.weights(self.state.global_step, self._follow_losses)
            own = [each.weight for each in self.harness.data]
            self.task_weights = torch.tensor([a * b for a, b in zip(found, own, strict=True)], device=device)
            self.tally.weights = self.follow.state()
        return drawn, None

    def _whole(self, drawn: Sequence[Mapping[str, Tensor]], device: torch.device) -> objectives.Totals:
        size = len(self.work.tasks)
        found = torch.zeros(2, size, dtype=torch.long)
        for batch in drawn:
            labels, segments = batch["labels"], batch["segments"]
            if not self.work.encoder:
                labels, segments = labels[:, 1:], segments[:, 1:]
            for line, task in enumerate(batch["tasks"].tolist()):
                learnt = labels[line] != tokenize.IGNORED
                found[0, task] += int(learnt.sum())
                found[1, task] += len(set(segments[line][learnt].tolist()))
        found = self.accelerator.reduce(found.to(device), reduction="sum")
        return objectives.Totals(tokens=found[0], samples=found[1])

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        del return_outputs, num_items_in_batch
        apart = self.apart and model is self.model
        with self.accelerator.autocast():
            tokens = token_losses.tokens_of(model, inputs, self.work.encoder, apart)
        return self.loss_of(tokens)

    def loss_of(self, tokens: objectives.Tokens) -> Tensor:
        how = self.harness.loss
        if how.focal != "off":
            return objectives.focal(tokens, how.focal, how.focal_gamma, self.alpha, how.focal_detach)
        if how.reduction == "global" and self.totals is not None:
            share = objectives.balanced(tokens, how.balance, self.task_weights, self.totals)
            processes: int = self.accelerator.num_processes
            return share * processes  # gradients are averaged over processes
        return objectives.balanced(tokens, how.balance, self.task_weights)

    # ------------------------------------------------------------ validation

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Token-weighted loss of each task; `eval_loss`, by which the best is chosen, is their mean (Eq. 1)."""
        del eval_dataset, ignore_keys
        size = len(self.work.tasks)
        sums = torch.zeros(4, size, dtype=torch.float64)  # nll, tokens, sum of sample means, samples
        held = [batch for batches in self.work.held for batch in batches]
        for tokens in self._validated(self._own(held)):
            nll, counted = objectives.per_task(tokens, size)
            means = objectives.sample_means(tokens, tokens.nll)
            by_sample = torch.zeros(size, dtype=means.dtype, device=means.device)
            by_sample.index_add_(0, tokens.task, means)
            for row, values in zip(sums, (nll, counted.tokens, by_sample, counted.samples), strict=True):
                row += values.double().cpu()
        sums = self.accelerator.reduce(sums.to(self.args.device), reduction="sum").cpu()
        found = _metrics(self.work.tasks, sums)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(dict(metrics))
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _validated(self, batches: Sequence[Batch]) -> Any:
        training = self.model.training
        self.model.eval()
        try:
            for batch in batches:
                tensors = {name: t.to(self.args.device) for name, t in self.tensors(batch).items()}
                with torch.no_grad(), self.accelerator.autocast():
                    yield token_losses.tokens_of(self.model, tensors, self.work.encoder, self.apart)
        finally:
            self.model.train(training)

    def _follow_losses(self, number: int | None) -> list[float]:
        """Each task's token mean on its validation batch `number` (cyclic), on all of them for None.

        The batches are dealt out to the processes, and all of them get the same sums: their weights never part.
        """
        size = len(self.work.tasks)
        sums = torch.zeros(2, size, dtype=torch.float64)  # nll, tokens
        chosen = [
            batch
            for batches in self.work.held
            for batch in (batches if number is None else [batches[number % len(batches)]])
        ]
        for each in self._validated(self._own(chosen)):
            nll, counted = objectives.per_task(each, size)
            sums += torch.stack([nll.double(), counted.tokens.double()]).cpu()
        nll, tokens = self.accelerator.reduce(sums.to(self.args.device), reduction="sum").cpu()
        return [float(value) for value in nll / tokens]

    def _own(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """This process's share of what every process could do."""
        return batches[self.accelerator.process_index :: self.accelerator.num_processes]

    # ------------------------------------------------------------ what the Trainer asks us for

    def create_optimizer(self, model: Any = None) -> Any:
        if self.harness.optim.optimizer != "muon":
            return super().create_optimizer(model)
        self.optimizer = muon.build(self.model, self.harness.optim)
        return self.optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        self.tally.seconds = time.monotonic() - self.began
        self.tally.steps = self.state.global_step
        for name, value in logs.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise UserError(
                    f"the loss is {value} at step {self.state.global_step}: the training diverged;"
                    " lower optim.lr, or raise optim.warmup"
                )
        super().log({**logs, "seconds": round(self.tally.seconds, 3), "tokens": self.tally.real}, start_time)


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Shows progress, keeps the curve's file in step with the Trainer's history, completes checkpoints, stops early."""

    def __init__(self, loop: Loop, folder: Path, progress: Progress) -> None:
        self.loop = loop
        self.curve = folder / "curve.jsonl"
        self.progress = progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.write("w", state.log_history)

    def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.write("a", state.log_history[-1:])

    def write(self, mode: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if distributed.number() == 0:
            with self.curve.open(mode, encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows if "loss" in row or "eval_loss" in row)

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.progress("train", state.global_step, state.max_steps)

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if stopped(state, self.loop.harness):
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        distributed.wait()  # each process has a file of its own in there
        if distributed.number() == 0 and folder.is_dir():
            checkpoints.complete(folder, asdict(self.loop.tally))


def should_stop(found: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` losses are all worse than the best before them; a tie counts as the new best."""
    if len(found) <= patience:
        return False
    best = min(found)
    last_best = max(i for i, loss in enumerate(found) if loss == best)
    return len(found) - 1 - last_best >= patience


def stopped(state: TrainerState, config: TrainConfig) -> bool:
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


def run(
    config: TrainConfig, model: Any, work: Work, folder: Path, progress: Progress
) -> tuple[Tally, list[dict[str, float]]]:
    """Train `model` in place, leave the best weights in it; what was used, and the history. Raises UserError."""
    resumed, used = checkpoints.last(folder / checkpoints.FOLDER)
    tally = Tally(**used)
    batch = 1 if config.packing.batch_tokens else config.packing.batch
    logging.getLogger("accelerate").setLevel(logging.ERROR)
    micro = math.ceil(len(work.items) / (batch * distributed.count()))
    steps = max(1, math.ceil(micro / config.optim.accumulate))
    args = arguments.build(config, folder, steps, any(work.held), resumed is None)
    loop = Loop(config, work, tally, model=model, args=args)
    for callback in list(loop.callback_handler.callbacks):
        if type(callback).__name__ in ("PrinterCallback", "ProgressCallback"):
            loop.remove_callback(callback)
    reporter = Reporter(loop, folder, progress)
    loop.add_callback(reporter)
    if not work.encoder and work.items:
        one = {name: t.to(args.device) for name, t in loop.tensors(work.items[0][:1]).items()}
        loop.apart = token_losses.heads_apart(model, one)
    if resumed is not None and over(loop, resumed):
        reporter.write("w", loop.state.log_history)
    else:
        loop.train(resume_from_checkpoint=str(resumed) if resumed else None)
    return tally, loop.state.log_history


def over(loop: Loop, checkpoint: Path) -> bool:
    """Whether the training had ended with this checkpoint; its best weights are in the model then.

    The Trainer does not ask: it would make one step more than it should, or go on after an early stop.
    """
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    if state.global_step < state.max_steps and not stopped(state, loop.harness):
        return False
    loop.state = state
    best = checkpoint
    if loop.args.load_best_model_at_end and state.best_global_step:
        best = checkpoint.with_name(f"checkpoint-{state.best_global_step}")
    loop._load_from_checkpoint(str(best))
    return True
