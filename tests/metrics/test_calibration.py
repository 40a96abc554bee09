"""Calibration against scikit-learn, closed forms and a slow version."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from featherseg.metrics.calibration import BINS, brier, ece, reliability


@pytest.mark.parametrize("power", [1, 3])
def test_brier_score_and_bins_equal_scikit_learn(power: int) -> None:
    generator = np.random.default_rng(power)
    probability = generator.random((60, 50)) ** power
    truth = generator.random((60, 50)) < probability**2
    assert brier(truth, probability) == pytest.approx(
        brier_score_loss(truth.ravel(), probability.ravel())
    )
    shares, means = calibration_curve(truth.ravel(), probability.ravel(), n_bins=BINS)
    bins = reliability(truth, probability)
    assert [each.true for each in bins] == pytest.approx(shares)
    assert [each.probability for each in bins] == pytest.approx(means)
    assert sum(each.share for each in bins) == pytest.approx(1.0)


def test_ece_equals_a_slow_version() -> None:
    generator = np.random.default_rng(0)
    probability = generator.random(400).astype(np.float32)
    truth = generator.random(400) < 0.3
    total = 0.0
    for number in range(BINS):
        inside = [n for n in range(400) if number <= float(probability[n]) * BINS < number + 1]
        gap = sum(float(probability[n]) - float(truth[n]) for n in inside)
        total += abs(gap) / 400
    assert ece(reliability(truth, probability)) == pytest.approx(total)


def test_a_model_that_means_what_it_says_is_calibrated() -> None:
    truth = np.array([True] * 7 + [False] * 3)
    assert ece(reliability(truth, np.full(10, 0.7))) == pytest.approx(0.0)
    assert ece(reliability(truth, np.full(10, 1.0))) == pytest.approx(0.3)
    assert brier(truth, np.full(10, 0.7)) == pytest.approx(0.21)


def test_ends_of_the_range_and_no_pixel() -> None:
    bins = reliability(np.array([False, True]), np.array([0.0, 1.0], np.float32))
    assert [each.index for each in bins] == [0, BINS - 1]
    nothing = np.zeros(0, bool), np.zeros(0, np.float32)
    assert reliability(*nothing) == []
    assert brier(*nothing) is ece([]) is None
