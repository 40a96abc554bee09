"""The schedules and the early stop, step by step."""

import math
from dataclasses import replace

import pytest

from featherseg.train.recipe import Recipe, load_recipe
from featherseg.train.schedule import learning_rate, stops_early
from featherseg.train.sections import Cosine, EarlyStop, Plateau

HALVE = Plateau(patience=2, factor=0.5)


def scheduled(schedule: Plateau | Cosine | None, lr: float = 1.0, epochs: int = 20) -> Recipe:
    return replace(load_recipe("demo"), lr=lr, epochs=epochs, schedule=schedule)


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
    assert learning_rate(losses, scheduled(HALVE)) == lr


def test_no_schedule_is_constant() -> None:
    assert learning_rate([1.0] * 50, scheduled(None, lr=3e-4)) == 3e-4


def test_a_cosine_rises_then_falls_to_almost_nothing() -> None:
    recipe = scheduled(Cosine(warmup_epochs=3), lr=2.0, epochs=11)
    rates = [learning_rate([0.0] * done, recipe) for done in range(11)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    # (1 + cos x) / 2 = cos(x / 2)^2, a closed form of its own.
    assert rates[7] == pytest.approx(1.0)
    assert rates[3:] == pytest.approx([2 * math.cos(math.pi * e / 16) ** 2 for e in range(8)])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert learning_rate([], scheduled(Cosine(warmup_epochs=0), epochs=1)) == 1.0


def test_a_recipe_reads_either_schedule() -> None:
    plateau = load_recipe("demo", ["schedule={patience: 4, factor: 0.1}"])
    assert plateau.schedule == Plateau(patience=4, factor=0.1)
    assert load_recipe("demo").schedule == Cosine(warmup_epochs=2)


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
