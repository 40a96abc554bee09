"""Learning rate and early stop as functions of the validation losses so far.

Nothing is stored: a resumed run computes both again from its history.
"""

import math
from collections.abc import Sequence

from featherseg.train.recipe import Recipe
from featherseg.train.sections import Cosine, EarlyStop, Exponential, Plateau


def learning_rate(losses: Sequence[float], recipe: Recipe) -> float:
    """The learning rate of the next epoch, after epochs with these validation losses.

    Only a plateau reads the losses; for the others their number counts.
    """
    schedule = recipe.schedule
    if isinstance(schedule, Plateau):
        return recipe.lr * _plateau(losses, schedule)
    if isinstance(schedule, Cosine):
        return recipe.lr * _cosine(len(losses), recipe.epochs, schedule)
    if isinstance(schedule, Exponential):
        return float(recipe.lr * schedule.decay ** len(losses))
    return recipe.lr


def _plateau(losses: Sequence[float], plateau: Plateau) -> float:
    """`factor` once for each time that `patience` epochs in a row brought no lower loss."""
    share = 1.0
    lowest, waited = float("inf"), 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss)
        if waited == plateau.patience:
            share, waited = share * plateau.factor, 0
    return share


def _cosine(done: int, epochs: int, cosine: Cosine) -> float:
    """The share of the epoch after `done` epochs out of `epochs`."""
    if done < cosine.warmup_epochs:
        return (done + 1) / (cosine.warmup_epochs + 1)
    progress = (done - cosine.warmup_epochs) / max(1, epochs - cosine.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * progress))


def stops_early(losses: Sequence[float], rule: EarlyStop | None) -> bool:
    """Whether the lowest loss is `patience` or more epochs old and `after_epoch` is over."""
    if rule is None or len(losses) <= rule.after_epoch:
        return False
    since_best = len(losses) - 1 - losses.index(min(losses))
    return since_best >= rule.patience
