"""Checkpoints: one safetensors file with everything a run needs to go on.

Tensors are named ``MODULE.NAME`` and ``optimizer.MODULE.PARAMETER.STATE``; the modules are the
network ("model"), the average of its weights ("average") and teachers that learn on
("teacher.0", ...). The header's metadata holds the progress as JSON and a SHA-256 of both. The
checkpoint before the last is kept, and used when the last is damaged. No pickle is written or
read.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from featherseg.errors import RunError
from featherseg.storage import replacing, write_bytes

LAST = "last.safetensors"
PREVIOUS = "last.previous.safetensors"
_FORMAT = "featherseg-checkpoint-2"
_log = logging.getLogger(__name__)

Modules = Mapping[str, nn.Module]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    ``epoch`` epochs and ``step`` steps are done; ``history`` has one entry an epoch, as the
    lines of log.jsonl; ``best`` is the entry whose weights are kept, None before the first.
    """

    recipe_sha256: str
    data_sha256: str
    epoch: int = 0
    step: int = 0
    history: tuple[dict[str, Any], ...] = ()
    best: dict[str, Any] | None = None


def save_checkpoint(
    folder: Path, modules: Modules, optimizer: Optimizer, progress: Progress
) -> None:
    """Write `last.safetensors`, keeping the one that stood there as the previous one.

    Raises StorageError when it cannot be written; both files are then as before.
    """
    tensors = {
        f"{key}.{name}": _plain(value)
        for key, module in modules.items()
        for name, value in module.state_dict().items()
    }
    for name, state in _optimizer_state(modules, optimizer).items():
        tensors.update({f"optimizer.{name}.{key}": _plain(item) for key, item in state.items()})
    text = json.dumps(asdict(progress), allow_nan=False)
    metadata = {"format": _FORMAT, "progress": text, "sha256": _digest(tensors, text)}
    content = save(tensors, metadata)
    with replacing(folder / LAST) as temporary:
        temporary.write_bytes(content)
        if (folder / LAST).exists():
            os.replace(folder / LAST, folder / PREVIOUS)


def load_checkpoint(folder: Path) -> tuple[Progress, dict[str, Tensor]] | None:
    """The last good checkpoint: its progress and what `restore` takes; None where there is none.

    A damaged last checkpoint is passed over, with a warning in the log, when the previous one
    is good; RunError when neither is.
    """
    reasons = []
    for name in (LAST, PREVIOUS):
        try:
            tensors, progress = _read(folder / name)
        except FileNotFoundError:
            continue
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            reasons.append(f"{folder / name} is damaged ({error})")
            continue
        if reasons:
            _log.warning("%s; going on from epoch %d, the one before it", *reasons, progress.epoch)
        return progress, tensors
    if reasons:
        raise RunError(f"{reasons[0]} and there is no good one before it; train again from start")
    return None


def restore(tensors: Mapping[str, Tensor], modules: Modules, optimizer: Optimizer) -> None:
    """Put a checkpoint's tensors into the modules and the optimizer that it was saved of."""
    for key, module in modules.items():
        module.load_state_dict(_below(f"{key}.", tensors))
    for name, parameter in _parameters(modules):
        states = _below(f"optimizer.{name}.", tensors)
        if states:
            optimizer.state[parameter] = {
                state: _like(value, parameter) for state, value in states.items()
            }


def save_weights(path: Path, network: nn.Module) -> None:
    """Write the weights alone as safetensors, atomically."""
    write_bytes(path, save({name: _plain(item) for name, item in network.state_dict().items()}))


def load_weights(path: Path, network: nn.Module) -> None:
    """Read weights into `network`; RunError where the file is missing, damaged or of another."""
    try:
        with safe_open(path, framework="pt") as file:
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{path}: expected trained weights, found nothing") from error
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: these weights cannot be used ({reason})") from error


def _read(path: Path) -> tuple[dict[str, Tensor], Progress]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata["format"] != _FORMAT:
        raise ValueError(f"its format is not {_FORMAT}")
    if metadata["sha256"] != _digest(tensors, metadata["progress"]):
        raise ValueError("its content does not match its checksum")
    values = json.loads(metadata["progress"])
    return tensors, Progress(**{**values, "history": tuple(values["history"])})


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _optimizer_state(modules: Modules, optimizer: Optimizer) -> dict[str, dict[str, Tensor]]:
    """The optimizer's tensors by parameter name."""
    return {
        name: dict(optimizer.state[parameter])
        for name, parameter in _parameters(modules)
        if parameter in optimizer.state
    }


def _parameters(modules: Modules) -> Iterator[tuple[str, nn.Parameter]]:
    """All parameters under the names that they have in a checkpoint."""
    for key, module in modules.items():
        for name, parameter in module.named_parameters():
            yield f"{key}.{name}", parameter


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """A state on its parameter's device, with its parameter's order in memory.

    Kernels round differently along different orders, and a resumed run must not differ. Scalar
    step counters stay where the optimizer keeps them, on the CPU.
    """
    if value.dim() == 0:
        return value
    return torch.empty_like(parameter).copy_(value)


def _plain(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()
