"""One training, from a config to a folder with an adapter (or a model). Start reading here.

    base   = the model and its tokenizer, quantised or not      methods.load
    rows   = files and tasks -> prompts and answers -> tokens   rows.load, data.encode
    work   = windows and batches of them                        packing
    model  = the base with an adapter around it                 methods.prepare
    train  : Trainer, resumed from the last checkpoint          loop.run
    save   : weights, train.json, curve                         record

The same command on the same folder goes on where it was cut off. Under a launcher of several processes
(`ranks`) all of them come through here, and the first one writes. Nothing here prints or reads the environment.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.backends.hf import checkpoint
from harness.backends.hf.tokenizer import Codec
from harness.errors import UserError
from harness.train import checkpoints, distributed, methods, run_record
from harness.train.config import RATES, TrainConfig, check
from harness.train.data import examples, packing, tokenize

SMALL = 50_000_000  # parameters below which a second CPU thread costs more than it saves


def quiet(stage: str, done: int, total: int) -> None:
    del stage, done, total


@dataclass(frozen=True)
class Packed:
    """Everything that is settled before the first step."""

    items: list[packing.Batch]
    held: list[list[packing.Batch]]
    reports: list[packing.Report]
    digests: Mapping[str, str]
    padding: float


def train(
    config: TrainConfig, out: Path | None = None, progress: Callable[[str, int, int], None] = quiet
) -> tuple[Path, dict[str, Any]]:
    """Train what `config` says; the folder and the content of its train.json. Raises HarnessError."""
    config = with_rate(check(config))
    folder = out or folder_of(config)
    distributed.join(config.device)
    with (
        checkpoint.silenced()
    ):  # the Trainer's module imports bitsandbytes, which says on import what it misses
        from harness.train import arguments

    arguments.check(config)
    with distributed.first():
        found = run_record.begin(folder, config)
    if found["finished"]:
        shutil.rmtree(folder / checkpoints.FOLDER, ignore_errors=True)  # a kill may have left it
        return folder, found
    with run_record.held(folder) if distributed.number() == 0 else nullcontext():
        return folder, _train(config, folder, found, progress)


def _train(
    config: TrainConfig, folder: Path, found: Mapping[str, Any], progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    seed(config)
    base = methods.load(config)
    codec = Codec(base.tokenizer, checkpoint.stop_token_ids(base.model, base.tokenizer), base.encoder)
    packed = pack(config, codec, progress)
    check_room(base, packed)
    one_thread(base.model)
    try:
        with checkpoint.silenced():
            model = methods.prepare(config, base)
            trainable, total = methods.parameters(model)
            tally, history = fit(config, base, model, packed, folder, progress)
    except Exception as error:
        raise as_user_error(error) from error
    distributed.wait()  # until all have read the best checkpoint, which the first deletes
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
        "losses": run_record.losses(history),
        "steps": tally.steps,
        "tokens": {"nominal": tally.nominal, "real": tally.real, "learnt": tally.learnt},
        "seconds": round(tally.seconds, 3),
        "peak_mb": run_record.peak_mb(),
        **run_record.made_with(),
    }
    if distributed.number() == 0:
        save(config, base, model, folder)
        run_record.draw(folder, history)
        run_record.write(folder, result)
        shutil.rmtree(folder / checkpoints.FOLDER, ignore_errors=True)  # the best one is in the folder itself
    distributed.wait()
    return result


def check_room(base: methods.Base, packed: Packed) -> None:
    """Raises UserError where a window is longer than the positions that the model knows."""
    most = getattr(base.model.config, "max_position_embeddings", None)
    every = [
        window for batch in (*packed.items, *(b for held in packed.held for b in held)) for window in batch
    ]
    longest = max(map(packing.width, every))
    if most is not None and not base.encoder and longest > most:
        raise UserError(
            f"a window of {longest} tokens does not fit the model's context of {most}: set packing.length = {most}"
        )


def with_rate(config: TrainConfig) -> TrainConfig:
    """The learning rate of the method's paper where none is given."""
    rate = config.optim.lr or RATES[config.method]
    return config.model_copy(update={"optim": config.optim.model_copy(update={"lr": rate})})


def name_of(config: TrainConfig) -> str:
    titles = "+".join(each.title for each in config.data)
    return f"{titles}-{config.method}-{config.hash[:8]}"


def folder_of(config: TrainConfig, root: Path | None = None) -> Path:
    return (root or Path("results") / "adapters") / name_of(with_rate(config))


def seed(config: TrainConfig) -> None:
    import transformers

    transformers.set_seed(config.seed)


def one_thread(model: Any) -> None:
    """Beside one busy process two threads were seen to take six times as long on a small model."""
    import torch

    if model.device.type == "cpu" and model.num_parameters() < SMALL:
        torch.set_num_threads(1)


def pack(config: TrainConfig, codec: Codec, progress: Callable[[str, int, int], None]) -> Packed:
    """Load, tokenise and pack every task's rows. Raises UserError when nothing is left to train on."""
    tokenize.check(codec)
    if codec.encoder and config.packing.mode in ("pack", "concat"):
        raise UserError(
            f"packing.mode = {config.packing.mode!r} is for decoder-only models: set it to 'dynamic' or 'pad'"
        )
    trained: list[list[packing.Window]] = []
    held: list[list[packing.Batch]] = []
    reports: list[packing.Report] = []
    digests: dict[str, str] = {}
    apart = config.packing.model_copy(update={"mode": "dynamic", "batch_tokens": None, "attention": "full"})
    aside = apart.model_copy(update={"batch": config.evaluation.batch, "order": "file"})
    for number, each in enumerate(config.data):
        progress("tokenise", number, len(config.data))
        found = examples.load(each, config.data_folder, config.seed)
        digests.update(found.digests)
        report = packing.Report(each.title)
        trained.append(packing.windows(tokenize.encode(found.train, codec, number), config.packing, report))
        reports.append(report)
        checked = packing.Report(f"{each.title} (validation)")
        rest = tokenize.encode(found.validation, codec, number)
        by_width = sorted(packing.windows(rest, aside, checked), key=packing.width)
        held.append(packing.batches(by_width, aside, config.seed))
        if checked.rows:
            reports.append(checked)
        if not trained[-1]:
            raise UserError(
                f"{each.title}: of {report.rows} rows none is left: {report.dropped} are longer than"
                f" packing.length = {config.packing.length}, {report.nothing_learnt} have nothing to learn"
            )
    progress("tokenise", len(config.data), len(config.data))
    planned = packing.batches(packing.mixed(trained), config.packing, config.seed)
    padding = packing.padding(planned, config.packing)
    if config.packing.batch_tokens is None:  # the Trainer draws windows by itself, anew in each epoch
        order = [window for batch in planned for window in batch]
        planned = [(window,) for window in order]
    return Packed(planned, held, reports, digests, padding)


def fit(
    config: TrainConfig,
    base: methods.Base,
    model: Any,
    packed: Packed,
    folder: Path,
    progress: Callable[[str, int, int], None],
) -> Any:
    from harness.train import trainer

    pad = base.tokenizer.pad_token_id
    work = trainer.Work(
        tasks=[each.title for each in config.data],
        items=packed.items,
        held=packed.held,
        pad=pad if pad is not None else base.tokenizer.eos_token_id,
        encoder=base.encoder,
    )
    return trainer.run(config, model, work, folder, progress)


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
