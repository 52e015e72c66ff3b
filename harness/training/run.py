"""One training, from a config to a folder with an adapter (or a model). Start reading here.

    base   = the model and its tokenizer, quantised or not      methods.load
    rows   = files and tasks -> prompts and answers -> tokens   examples.load, tokenize.encode
    data   = windows and batches of them                        packing
    model  = the base with an adapter around it                 methods.prepare
    train  : Trainer, resumed from the last checkpoint          trainer.run_training
    save   : weights, train.json, curve, digests of the rows    run_record

The same command on the same folder resumes an interrupted training. Under a launcher of several processes
(distributed.py) all of them come through here, and the first one writes. Nothing here prints or reads the environment.
"""

import logging
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.backends import hub
from harness.backends.hf import checkpoint
from harness.backends.hf.tokenizer import Codec
from harness.errors import UserError
from harness.runs.store.atomic import replace_file
from harness.text import seen_rows
from harness.training import checkpoints, distributed, methods, run_record
from harness.training.config import LEARNING_RATES, PackingConfig, TrainConfig, can_keep_samples_apart, check
from harness.training.data import examples, packing, tokenize
from harness.training.identity import config_hash
from harness.training.style import watch as style_watch

LOG = logging.getLogger(__name__)
SMALL = 50_000_000  # parameters below which a second CPU thread costs more than it saves


def no_progress(stage: str, done: int, total: int) -> None:
    del stage, done, total


@dataclass(frozen=True)
class PackedData:
    """Everything that is decided before the first step."""

    items: list[packing.Batch]
    validation: list[list[packing.Batch]]
    reports: list[packing.PackingReport]
    digests: Mapping[str, str]
    padding: float
    seen: seen_rows.TrainedRows


def train(
    config: TrainConfig, out: Path | None = None, progress: Callable[[str, int, int], None] = no_progress
) -> tuple[Path, dict[str, Any]]:
    """Train what `config` says; the folder and the content of its train.json. Raises HarnessError."""
    config = with_method_defaults(check(config))
    folder = out or default_folder(config)
    checkpoint.check(hub.find(config.model, config.revision)[0])  # before seconds of imports
    style_watch.check(config.watch)
    distributed.init_process(config.device)
    with checkpoint.silenced():  # the Trainer's module imports bitsandbytes, which prints what it misses
        from harness.training import arguments

    arguments.check(config)
    with distributed.main_process_first():
        found = run_record.open_folder(folder, config)
    if found["finished"]:
        shutil.rmtree(folder / checkpoints.FOLDER, ignore_errors=True)  # a kill may have left it
        return folder, found
    with run_record.exclusive(folder) if distributed.rank() == 0 else nullcontext():
        return folder, _train(config, folder, found, progress)


def _train(
    config: TrainConfig, folder: Path, found: Mapping[str, Any], progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    set_seed(config)
    base = methods.load(config)
    codec = Codec(base.tokenizer, checkpoint.stop_token_ids(base.model, base.tokenizer), base.encoder)
    packed = load_and_pack(config, codec, progress)
    check_context_length(base, packed)
    warn_of_slow_packing(config.packing, packed, getattr(base.model.config, "hidden_size", 0))
    limit_threads(base.model)
    try:
        with checkpoint.silenced():
            model = methods.prepare(config, base)
            trainable, total = methods.count_parameters(model)
            watch = style_watch.build(config, base, codec, model)
            usage, history = fit(config, base, model, packed, folder, progress, watch)
    except Exception as error:
        raise as_user_error(error) from error
    distributed.barrier()  # until all have read the best checkpoint, which the first deletes
    result = {
        **found,
        "finished": True,
        "base": {
            "model": base.name,
            "revision": base.revision,
            "weights": checkpoint.weights_digest(base.folder),
            "tokenizer": checkpoint.tokenizer_digest(base.folder),
        },
        "data": {
            "sha256": dict(packed.digests),
            "tasks": [asdict(report) for report in packed.reports],
            "padding": packed.padding,
        },
        "parameters": {"trainable": trainable, "all": total, "share": trainable / total},
        "losses": run_record.summarize_losses(history),
        "steps": usage.steps,
        "tokens": {"nominal": usage.nominal, "real": usage.real, "learnt": usage.learnt},
        "seconds": round(usage.seconds, 3),
        "peak_mb": run_record.peak_mb(),
        **run_record.environment_record(),
    }
    if distributed.rank() == 0:
        save(config, base, model, folder)
        replace_file(folder / seen_rows.FILE, [packed.seen.to_bytes()])
        run_record.plot_curve(folder, history)
        run_record.write_record(folder, result)
        shutil.rmtree(folder / checkpoints.FOLDER, ignore_errors=True)  # the best one is in the folder itself
    distributed.barrier()
    return result


def check_context_length(base: methods.Base, packed: PackedData) -> None:
    """Raises UserError where a window is longer than the positions that the model knows."""
    most = getattr(base.model.config, "max_position_embeddings", None)
    every = [
        window
        for batch in (*packed.items, *(b for validation in packed.validation for b in validation))
        for window in batch
    ]
    longest = max(map(packing.window_width, every))
    if most is not None and not base.encoder and longest > most:
        raise UserError(
            f"a window of {longest} tokens does not fit the model's context of {most}: set packing.length = {most}"
        )


def warn_of_slow_packing(config: PackingConfig, packed: PackedData, hidden: int) -> None:
    """Short samples that see each other pay for attention over whole windows, which a small model feels."""
    if config.attention == "block" or config.mode not in ("pack", "concat") or not hidden:
        return
    windows = [window for batch in packed.items for window in batch]
    batches = [windows[at : at + config.batch] for at in range(0, len(windows), config.batch)]
    slower = sum(packing.apart_is_cheaper(batch, hidden, config.multiple) for batch in batches)
    if 2 * slower > len(batches):
        LOG.warning(
            "packing.mode = %r lets samples see each other, for which this model pays more than packing saves: mode ="
            " 'dynamic' is faster, and attention = 'block' no slower",
            config.mode,
        )


def with_method_defaults(config: TrainConfig) -> TrainConfig:
    """What the method decides where nothing is given: its paper's learning rate, what packed samples see."""
    rate = config.optim.lr or LEARNING_RATES[config.method]
    apart = config.packing.mode == "pack" and can_keep_samples_apart(config)
    attention = config.packing.attention or ("block" if apart else "full")
    return config.model_copy(
        update={
            "optim": config.optim.model_copy(update={"lr": rate}),
            "packing": config.packing.model_copy(update={"attention": attention}),
        }
    )


def default_name(config: TrainConfig) -> str:
    name = config.name or "+".join(each.title for each in config.data)
    return f"{name}-{config.method}-{config_hash(config)[:8]}"


def default_folder(config: TrainConfig, root: Path | None = None) -> Path:
    return (root or Path("results") / "adapters") / default_name(with_method_defaults(config))


def set_seed(config: TrainConfig) -> None:
    import transformers

    transformers.set_seed(config.seed)


def limit_threads(model: Any) -> None:
    """A small model trains on one thread: on a busy machine two threads were measured to take six times as long."""
    import torch

    if model.device.type == "cpu" and model.num_parameters() < SMALL:
        torch.set_num_threads(1)


def load_and_pack(config: TrainConfig, codec: Codec, progress: Callable[[str, int, int], None]) -> PackedData:
    """Load, tokenise and pack every task's rows. Raises UserError when nothing is left to train on."""
    tokenize.check_tokenizer(codec)
    if codec.encoder and config.packing.mode in ("pack", "concat"):
        raise UserError(
            f"packing.mode = {config.packing.mode!r} is for decoder-only models: set it to 'dynamic' or 'pad'"
        )
    trained: list[list[packing.Window]] = []
    validation: list[list[packing.Batch]] = []
    reports: list[packing.PackingReport] = []
    digests: dict[str, str] = {}
    seen: list[tuple[str, str]] = []
    unpacked = config.packing.model_copy(
        update={"mode": "dynamic", "batch_tokens": None, "attention": "full"}
    )
    validation_packing = unpacked.model_copy(update={"batch": config.evaluation.batch, "order": "file"})
    for number, each in enumerate(config.data):
        progress("tokenise", number, len(config.data))
        found = examples.load(each, config.data_folder, config.seed, codec.chat)
        digests.update(found.digests)
        seen += [(t.question, t.answer) for row in (*found.train, *found.validation) for t in row]
        report = packing.PackingReport(each.title)
        trained.append(
            packing.build_windows(tokenize.encode(found.train, codec, number), config.packing, report)
        )
        reports.append(report)
        validation_report = packing.PackingReport(f"{each.title} (validation)")
        rest = tokenize.encode(found.validation, codec, number)
        by_width = sorted(
            packing.build_windows(rest, validation_packing, validation_report), key=packing.window_width
        )
        validation.append(packing.make_batches(by_width, validation_packing, config.seed))
        if validation_report.rows:
            reports.append(validation_report)
        if not trained[-1]:
            raise UserError(
                f"{each.title}: of {report.rows} rows none is left: {report.dropped} are longer than"
                f" packing.length = {config.packing.length}, {report.nothing_learnt} have nothing to learn"
            )
    progress("tokenise", len(config.data), len(config.data))
    planned = packing.make_batches(packing.interleave(trained), config.packing, config.seed)
    padding = packing.padding_share(planned, config.packing)
    if config.packing.batch_tokens is None:  # the Trainer draws windows by itself, anew in each epoch
        order = [window for batch in planned for window in batch]
        planned = [(window,) for window in order]
    return PackedData(planned, validation, reports, digests, padding, seen_rows.digest_rows(seen))


def fit(
    config: TrainConfig,
    base: methods.Base,
    model: Any,
    packed: PackedData,
    folder: Path,
    progress: Callable[[str, int, int], None],
    watch: style_watch.StyleWatch | None,
) -> Any:
    from harness.training import trainer

    pad = base.tokenizer.pad_token_id
    data = trainer.TrainingData(
        tasks=[each.title for each in config.data],
        items=packed.items,
        validation=packed.validation,
        pad=pad if pad is not None else base.tokenizer.eos_token_id,
        encoder=base.encoder,
        watch=watch,
    )
    return trainer.run_training(config, model, data, folder, progress)


def save(config: TrainConfig, base: methods.Base, model: Any, folder: Path) -> None:
    """The adapter in PEFT's format with its base and revision, or the whole model with its tokenizer."""
    import torch

    model.eval()
    with checkpoint.silenced():
        if config.method != "full":
            model.save_pretrained(folder)
            return
        if config.save_dtype != "same":
            model.to(getattr(torch, config.save_dtype))
        model.config.dtype = model.dtype
        model.save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)


def as_user_error(error: Exception) -> Exception:
    """Out of memory, and a target that cannot be had, as one line that says what to change."""
    import torch

    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError | MemoryError)
        and ("memory" in text.lower() and "alloc" in text.lower())
    ):
        return UserError(
            "out of memory: set packing.batch (or batch_tokens) and packing.length lower, optim.accumulate higher,"
            " optim.gradient_checkpointing = true, or method = 'qlora-4bit'"
        )
    return error
