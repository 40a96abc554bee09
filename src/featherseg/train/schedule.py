"""Learning rate and early stop as functions of the validation losses so far.

Nothing is stored: a resumed run computes both again from its history.
"""

from collections.abc import Sequence

from featherseg.train.recipe import EarlyStop, Plateau


def learning_rate(losses: Sequence[float], lr: float, plateau: Plateau | None) -> float:
    """The learning rate of the next epoch, after epochs with these validation losses.

    Each time `patience` epochs in a row bring no loss below the lowest so far, the rate is
    multiplied by `factor` and the count begins anew.
    """
    if plateau is None:
        return lr
    lowest, waited = float("inf"), 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss)
        if waited == plateau.patience:
            lr, waited = lr * plateau.factor, 0
    return lr


def stops_early(losses: Sequence[float], rule: EarlyStop | None) -> bool:
    """Whether the lowest loss is `patience` or more epochs old and `after_epoch` is over."""
    if rule is None or len(losses) <= rule.after_epoch:
        return False
    since_best = len(losses) - 1 - losses.index(min(losses))
    return since_best >= rule.patience
