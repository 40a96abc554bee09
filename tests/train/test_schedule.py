"""The plateau schedule and the early stop, step by step."""

import pytest

from featherseg.train.recipe import EarlyStop, Plateau
from featherseg.train.schedule import learning_rate, stops_early

HALVE = Plateau(patience=2, factor=0.5)


@pytest.mark.parametrize(
    ("losses", "lr"),
    [
        ([], 1.0),
        ([5], 1.0),
        ([5, 6], 1.0),
        ([5, 6, 5], 0.5),  # equal is not lower
        ([5, 6, 4, 5], 1.0),
        ([5, 6, 7, 8], 0.5),  # the count begins anew
        ([5, 6, 7, 8, 9], 0.25),
        ([5, 6, 7, 4, 5, 3, 4, 3], 0.25),
    ],
)
def test_learning_rate(losses: list[float], lr: float) -> None:
    assert learning_rate(losses, 1.0, HALVE) == lr


def test_no_schedule_is_constant() -> None:
    assert learning_rate([1.0] * 50, 3e-4, None) == 3e-4


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([], False),
        ([3, 4, 5], False),
        ([3, 4, 5, 6], True),  # three epochs without a lower loss, four epochs done
        ([3, 4, 5, 2], False),
        ([3, 4, 5, 2, 2, 2, 2], True),
    ],
)
def test_early_stop(losses: list[float], stops: bool) -> None:
    assert stops_early(losses, EarlyStop(patience=3)) is stops


def test_early_stop_waits_for_its_epoch() -> None:
    rule = EarlyStop(patience=2, after_epoch=5)
    assert not stops_early([1, 2, 3, 4, 5], rule)
    assert stops_early([1, 2, 3, 4, 5, 6], rule)
    assert not stops_early([1] * 100, None)
