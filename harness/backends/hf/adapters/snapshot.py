"""The base model as it was loaded: what it is to the bit, and the way back to it when an adapter is taken off.

    saved = ModelSnapshot(model)       digest of all parameters and buffers as they are in memory
    wrap the model, load an adapter ...
    saved.restore()                    the names of what is not as it was; nothing if the base is back

    base = CleanBase(runner, load, warn)     the same for an engine: what cannot be put back is loaded anew
    base.restore("results/adapters/x")       afterwards the logits of a probe are those of before, to the bit

An adapter may replace modules, give tensors other data, write into tensors, set attributes and hooks. The first two
are undone here, because the snapshot refers to what was there before: no library's own undoing is trusted. What was
written into can only be noticed: the tensors of every module that was touched are hashed again, all others must still
be the same object at the same address with the same version. Imports torch; see model_runner.
"""

import hashlib
import json
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness import cpu_count
from harness.backends.hf import checkpoint
from harness.backends.hf.model_runner import ModelRunner, free_memory
from harness.errors import BackendFault, UserError

CONTAINERS = (dict, list, set)  # of a module's attributes: their contents are put back
NOT_SETTINGS = ("_name_or_path", "name_or_path", "transformers_version")  # a place is no property of a model


@dataclass(frozen=True)
class SavedTensor:
    """A parameter or buffer: the object, its data, where that is, and the digest of its content."""

    tensor: Tensor
    data: Tensor
    mark: tuple[Any, ...]
    attributes: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class SavedModule:
    """A module with its class and, of each attribute, the value and a copy of the content if it is a container."""

    module: nn.Module
    kind: type[nn.Module]
    attributes: Mapping[str, tuple[Any, Any]]


class ModelSnapshot:
    """What a model is made of. Holds references and digests, no copies of tensors."""

    def __init__(self, model: nn.Module) -> None:
        self._modules = [SavedModule(each, type(each), _attributes(each)) for each in model.modules()]
        named = list(_tensors(model))
        hashes = _hashes(tensor for _, tensor in named)
        self._tensors = {
            name: SavedTensor(tensor, tensor.data, _mark(tensor), dict(vars(tensor)), hashes[id(tensor)])
            for name, tensor in named
        }
        self._model = model
        self._settings = _settings(model)
        self.digest = _digest(
            {name: _line(saved.tensor, saved.digest) for name, saved in self._tensors.items()}
        )

    def restore(self) -> list[str]:
        """Put back what was replaced; the names of tensors and settings that are not as they were, sorted."""
        touched = self._touched()
        for saved_module in self._modules:
            _put_back(saved_module)
        for saved in self._tensors.values():
            if saved.tensor.data_ptr() != saved.data.data_ptr() or saved.tensor.shape != saved.data.shape:
                saved.tensor.data = saved.data
            vars(saved.tensor).clear()
            vars(saved.tensor).update(saved.attributes)
        now = dict(_tensors(self._model))
        changed = {name for name, saved in self._tensors.items() if now.get(name) is not saved.tensor}
        changed |= self._overwritten(touched)
        own = _settings(self._model)
        changed |= {
            f"config.{key}" for key in {*own, *self._settings} if own.get(key) != self._settings.get(key)
        }
        return sorted(changed | (now.keys() - self._tensors.keys()))

    def overwritten(self) -> set[str]:
        """The names of the tensors that have another content now than they had."""
        return self._overwritten(self._touched())

    def _overwritten(self, touched: Collection[int]) -> set[str]:
        hashes = _hashes(saved.tensor for saved in self._tensors.values() if id(saved.tensor) in touched)
        return {
            name
            for name, saved in self._tensors.items()
            if hashes.get(id(saved.tensor), saved.digest) != saved.digest
        }

    def digest_with(
        self, wrapped: nn.Module, adapter: str, others: Collection[str] = (), unchanged: bool = False
    ) -> str:
        """The digest of the model with this adapter on it, as it is in memory now; `others` are on it as well.

        `unchanged`: nothing of the base is `overwritten`, so that none of it is hashed again.
        """
        named = {}
        for name, tensor in _tensors(wrapped):
            parts = [part for part in name.split(".") if part not in ("base_layer", "original_module")]
            if not set(parts) & set(others):
                named[".".join("adapter" if part == adapter else part for part in parts)] = tensor
        touched = set[int]() if unchanged else self._touched()
        known = {
            id(saved.tensor): saved.digest
            for saved in self._tensors.values()
            if id(saved.tensor) not in touched
        }
        hashes = known | _hashes(tensor for tensor in named.values() if id(tensor) not in known)
        return _digest({name: _line(tensor, hashes[id(tensor)]) for name, tensor in named.items()})

    def _touched(self) -> set[int]:
        """The tensors, by id, that were written into, and those of modules that are no longer where they were."""
        found = {id(saved.tensor) for saved in self._tensors.values() if _mark(saved.tensor) != saved.mark}
        for owner in self._modules:
            for key in ("_modules", "_parameters", "_buffers"):
                now = vars(owner.module)[key]
                _, before = owner.attributes[key]
                for name, value in before.items():
                    if value is not None and now.get(name) is not value:
                        tensors = [each for _, each in _tensors(value)] if key == "_modules" else [value]
                        found |= set(map(id, tensors))
        return found


class CleanBase:
    """The base of an engine between its adapters: put back, proven, and loaded anew where that is not possible."""

    def __init__(self, runner: ModelRunner, load: Callable[[], Any], warn: Callable[[str], None]) -> None:
        self.snapshot = ModelSnapshot(runner.model)
        self.digest = self.snapshot.digest
        self._runner, self._load, self._warn = runner, load, warn
        self._probe: Sequence[int] = ()
        self._logits: Tensor | None = None
        self._said: set[str] = set()

    def logits(self, probe: Sequence[int]) -> Tensor:
        """The base's logits after these tokens, float32 [vocabulary]; they are what it must give for ever after."""
        if self._logits is None or tuple(probe) != self._probe:
            self._probe = tuple(probe)
            self._logits = self._runner.single(self._probe, ()).logits
        return self._logits

    def restore(self, adapter: str) -> None:
        """Take off whatever `adapter` put on or changed. Raises BackendFault if the base cannot be had back."""
        changed = self.snapshot.restore()
        if not changed and self._as_before():
            return
        if adapter not in self._said:
            self._said.add(adapter)
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            shown = f"{changed[0]}{more}" if changed else "a probe's logits"
            self._warn(
                f"adapter {adapter} changed the base itself ({shown}): the base is loaded anew after it"
            )
        self._runner.model = None
        del self.snapshot
        _drop_locals(sys.exception())
        free_memory()  # there is not always room for two
        try:
            model = self._load()
        except (UserError, RuntimeError, MemoryError) as error:
            reason = checkpoint.first_line(error)
            raise BackendFault(f"after adapter {adapter} the base cannot be loaded anew: {reason}") from error
        self._runner.set_model(model)
        self.snapshot = ModelSnapshot(self._runner.model)
        if self.snapshot.digest != self.digest or not self._as_before():
            raise BackendFault(
                f"after adapter {adapter} the base was loaded anew and is not what it was: have its files changed?"
                " Begin the run again"
            )

    def _as_before(self) -> bool:
        if self._logits is None:
            return True
        now = self._runner.single(tuple(self._probe), ()).logits
        return now.shape == self._logits.shape and torch.equal(
            now.view(torch.int32), self._logits.view(torch.int32)
        )


def _drop_locals(error: BaseException | None) -> None:
    """Those of the calls that ended with this error, and with what led to it: a model may be among them."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _attributes(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    return {
        key: (value, value.copy() if isinstance(value, CONTAINERS) else None)
        for key, value in vars(module).items()
    }


def _put_back(saved: SavedModule) -> None:
    if type(saved.module) is not saved.kind:  # parametrisations make a class of their own
        saved.module.__class__ = saved.kind
    own = vars(saved.module)
    own.clear()
    for key, (value, content) in saved.attributes.items():
        if content is not None:
            value.clear()
            (value.extend if isinstance(value, list) else value.update)(content)
        own[key] = value


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers under all of their names."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _mark(tensor: Tensor) -> tuple[Any, ...]:
    """What an assignment or an operation in place changes; an operation on `.data` may change none of it."""
    return tensor.data_ptr(), tensor._version, tuple(tensor.shape), tensor.dtype


def _line(tensor: Tensor, digest: str) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)} {digest}"


def _digest(lines: Mapping[str, str]) -> str:
    text = "".join(f"{name} {line}\n" for name, line in sorted(lines.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _hashes(tensors: Iterable[Tensor]) -> dict[int, str]:
    """SHA-256 of each tensor's bytes, by id; the hash function runs in several threads."""
    each = {id(tensor): tensor for tensor in tensors}
    with ThreadPoolExecutor(cpu_count.available()) as pool:
        return dict(zip(each, pool.map(_sha256, each.values()), strict=True))


def _sha256(tensor: Tensor) -> str:
    if tensor.is_meta:
        return "on disk"  # accelerate reads it anew for every use
    state = getattr(tensor, "quant_state", None)  # of bitsandbytes: the scales of a 4-bit tensor
    scales = [state.absmax] if state is not None else []
    found = hashlib.sha256()
    for part in (tensor, *scales):
        found.update(part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def _settings(model: nn.Module) -> dict[str, str]:
    """The model's configuration, as text by key."""
    found: dict[str, str] = {}
    for name in ("config", "generation_config"):
        settings = getattr(model, name, None)
        plain = settings.to_dict() if settings is not None else {}
        found |= {
            f"{name}.{key}" if name != "config" else key: json.dumps(value, sort_keys=True, default=str)
            for key, value in plain.items()
            if key not in NOT_SETTINGS
        }
    return found
