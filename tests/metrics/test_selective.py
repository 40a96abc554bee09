"""Risk and coverage against every order of tied cases."""

from itertools import permutations

import numpy as np
import pytest

from featherseg.metrics.selective import aurc, aurc_best


def one_order(risks: list[float]) -> float:
    return float(np.mean([np.mean(risks[: k + 1]) for k in range(len(risks))]))


def test_without_ties_it_is_the_mean_of_the_running_means() -> None:
    generator = np.random.default_rng(1)
    confidences, risks = generator.random((2, 30))
    ordered = [float(risks[n]) for n in np.argsort(-confidences)]
    assert aurc(confidences.tolist(), risks.tolist()) == pytest.approx(one_order(ordered))


def test_ties_give_the_mean_over_all_orders() -> None:
    confidences, risks = [0.9, 0.5, 0.5, 0.5, 0.1], [0.2, 1.0, 0.0, 0.4, 0.7]
    orders = [one_order([0.2, *middle, 0.7]) for middle in permutations(risks[1:4])]
    assert aurc(confidences, risks) == pytest.approx(np.mean(orders))


def test_a_perfect_confidence_is_the_best_and_a_constant_the_mean() -> None:
    risks = np.random.default_rng(2).random(25).tolist()
    best = aurc_best(risks)
    assert best == pytest.approx(one_order(sorted(risks)))
    assert aurc([0.5] * 25, risks) == pytest.approx(np.mean(risks))
    inverted = aurc(risks, risks)
    assert best is not None
    assert inverted is not None
    assert best < np.mean(risks) < inverted


def test_no_case_and_unequal_lengths() -> None:
    assert aurc([], []) is None
    with pytest.raises(ValueError, match="a risk for each of 2"):
        aurc([0.1, 0.2], [0.3])
