"""What the training loop works with: network, optimizer and data, on their device."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featherseg.datasets.pack import Packed
from featherseg.errors import RecipeError
from featherseg.networks import build_network
from featherseg.train.average import averaged
from featherseg.train.distributed import start_fabric
from featherseg.train.initial import load_initial
from featherseg.train.inputs import resolved_options
from featherseg.train.loader import Samples, to_samples
from featherseg.train.objective import Batch, Objective, make_objective
from featherseg.train.precision import pick_device, pick_precision
from featherseg.train.recipe import Recipe
from featherseg.train.sampling import epoch_batches, seed_network
from featherseg.train.teachers import Folders

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_COMPILER = "inductor"


@dataclass(frozen=True)
class Tick:
    """What a progress display is told after each step and each epoch.

    ``step`` of ``steps`` counts within epoch ``epoch`` of at most ``epochs``; ``loss`` is the
    batch's, ``validation_dice`` that of the last full epoch, None before the first.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    validation_dice: float | None


class _Learner(nn.Module):
    """All that learns, as one module that gives the loss: Fabric handles its gradients."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.trained = nn.ModuleList(objective.trained)
        self.loss = objective.loss

    def forward(self, images: Tensor, masks: Tensor, planes: Tensor | None) -> Tensor:
        return self.loss(self.network, Batch(images, masks, planes))


@dataclass(frozen=True, eq=False)
class Training:
    """What the loop works with; `learner` and `optimizer` are Fabric's wrappers.

    ``average`` is the moving average of the network's weights, None where the recipe wants none.
    ``tell`` hears of every step, ``record`` gets each epoch's entry of the log.
    """

    recipe: Recipe
    out: Path
    fabric: "Fabric"
    network: nn.Module
    average: nn.Module | None
    objective: Objective
    learner: Any
    optimizer: Any
    train: Samples
    validation: Samples
    is_positive: NDArray[np.bool_]
    tell: Callable[[Tick], None]
    record: Callable[[Mapping[str, Any]], None]

    @property
    def kept(self) -> nn.Module:
        """The network whose weights are validated and kept."""
        return self.network if self.average is None else self.average

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds."""
        average = {} if self.average is None else {"average": self.average}
        teachers = {f"teacher.{n}": each for n, each in enumerate(self.objective.trained)}
        return {"model": self.network, **average, **teachers}


def prepare(
    recipe: Recipe,
    parts: Mapping[str, Packed],
    out: Path,
    teachers: Folders | None,
    *,
    tell: Callable[[Tick], None],
    record: Callable[[Mapping[str, Any]], None],
) -> Training:
    """Network, optimizer and data on the device."""
    device = pick_device()
    seed_network(recipe.seed, step=0)
    network = build_network(recipe.network, **resolved_options(recipe, parts["train"]))
    load_initial(recipe, network)
    fabric = start_fabric(
        device, pick_precision(recipe.precision, device, network, recipe.input_size)
    )
    is_positive = np.asarray(parts["train"].masks.any(axis=(1, 2)))
    _check_parts(is_positive, recipe, fabric.world_size)
    network.to(device).to(memory_format=torch.channels_last)
    # What teachers are asked once is answered in the precision of the training.
    with fabric.autocast():
        objective = make_objective(recipe, teachers, parts["train"], device)
    learner = _Learner(network, objective)
    if recipe.compile:
        _check_compiler(fabric.world_size)
        learner.compile(backend=_COMPILER)
    wrapped, optimizer = fabric.setup(learner, _optimizer(recipe, learner))
    return Training(
        recipe=recipe,
        out=out,
        fabric=fabric,
        network=network,
        average=None if recipe.ema is None else averaged(network),
        objective=objective,
        learner=wrapped,
        optimizer=optimizer,
        train=to_samples(parts["train"], device),
        validation=to_samples(parts["validation"], device),
        is_positive=is_positive,
        tell=tell,
        record=record,
    )


def _check_parts(is_positive: NDArray[np.bool_], recipe: Recipe, processes: int) -> None:
    """RecipeError where a batch has no image for some process."""
    least = min(map(len, epoch_batches(is_positive, recipe, epoch=1)))
    if least < processes:
        raise RecipeError(
            f"batches of {least} image(s) cannot be shared by {processes} processes; start fewer "
            f"processes, or train with --set batch_size={2 * processes} or more"
        )


def _check_compiler(processes: int) -> None:
    """RecipeError where `torch.compile` could not do its work."""
    if processes > 1:
        raise RecipeError(
            f"compile=true is for one process, not for {processes}: the batch norm that they share "
            "is not compiled; train with --set compile=false"
        )
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++")):
        raise RecipeError(
            "compile=true needs a C++ compiler (g++ or clang++) and found none; install one, or "
            "train with --set compile=false"
        )


def _optimizer(recipe: Recipe, learner: nn.Module) -> torch.optim.Optimizer:
    """Adam, or plain gradient descent without momentum; both with L2 decay."""
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "sgd": torch.optim.SGD,
    }
    settings: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay}
    return kinds[recipe.optimizer](learner.parameters(), **settings)
