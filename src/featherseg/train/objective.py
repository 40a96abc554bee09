"""What a step of training minimizes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from featherseg.losses import LOSSES
from featherseg.train.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Batch:
    """What a step learns from.

    ``images`` is float32 (N, C, H, W) in [0, 1], ``masks`` int64 (N, H, W). ``planes`` float32
    (N, P, H, W) is what teachers said of the plain images, warped as the masks were; None
    without such teachers.
    """

    images: Tensor
    masks: Tensor
    planes: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Objective:
    """A loss of (network, batch), and what it needs from the loop.

    ``planes`` (M, P, H, W) belongs to the M training images, in their order. ``trained`` are
    further networks that are optimized and checkpointed with the network: fine-tuned teachers.
    """

    loss: Callable[[Any, Batch], Tensor]
    planes: Tensor | None = None
    trained: tuple[nn.Module, ...] = ()


def hard_objective(recipe: Recipe) -> Objective:
    """The recipe's loss on the masks alone."""
    hard = LOSSES[recipe.loss]
    return Objective(lambda network, batch: hard(network(batch.images), batch.masks))
