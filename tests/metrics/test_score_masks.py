"""The rule for empty masks, and the metric bugs of other tools that it rules out."""

import doctest
import math
from types import ModuleType

import numpy as np
import pytest

from featherseg import metrics
from featherseg.metrics import overlap, presence, score_masks, surface
from featherseg.types import Mask

HEIGHT, WIDTH = 30, 40
DIAGONAL = 50.0


def empty() -> Mask:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def lesion() -> Mask:
    mask = empty()
    mask[5:15, 5:20] = 1
    return mask


def test_both_empty_is_undefined_but_accurate() -> None:
    scores = score_masks(empty(), empty())
    assert scores.pop("accuracy") == 1.0
    assert set(scores.values()) == {None}


def test_a_false_alarm_scores_zero_and_has_no_distance() -> None:
    scores = score_masks(empty(), lesion())
    assert (scores["dice"], scores["iou"], scores["precision"]) == (0.0, 0.0, 0.0)
    assert (scores["recall"], scores["hd95"], scores["assd"]) == (None, None, None)
    assert scores["accuracy"] == pytest.approx(1 - 150 / 1200)


def test_a_missed_lesion_scores_zero_and_is_the_diagonal_away() -> None:
    scores = score_masks(lesion(), empty())
    overlaps = [scores[name] for name in ("dice", "iou", "precision", "recall")]
    assert overlaps == [0.0] * 4
    assert (scores["hd95"], scores["assd"]) == (DIAGONAL, DIAGONAL)
    scores = score_masks(lesion(), empty(), (0.1, 0.2))
    assert scores["hd95"] == scores["assd"] == pytest.approx(math.hypot(3.0, 8.0))


def test_a_perfect_mask_and_a_full_one() -> None:
    scores = score_masks(lesion(), lesion())
    assert list(scores.values()) == [1.0] * 5 + [0.0] * 2
    full = np.full((HEIGHT, WIDTH), 255, np.uint8)
    assert list(score_masks(full, full).values()) == [1.0] * 5 + [0.0] * 2


def test_every_value_is_finite_or_undefined() -> None:
    one_pixel = empty()
    one_pixel[0, 0] = 1
    shapes = [empty(), lesion(), one_pixel, np.ones((HEIGHT, WIDTH), np.uint8)]
    for truth in shapes:
        for found in shapes:
            values = [value for value in score_masks(truth, found).values() if value is not None]
            assert all(math.isfinite(value) for value in values)


def test_boolean_masks_and_other_values_mean_the_same() -> None:
    shifted = np.roll(lesion(), 3, axis=1)
    expected = score_masks(lesion(), shifted)
    assert score_masks(lesion() * np.uint8(255), shifted.astype(bool)) == expected


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one size, got \(30, 40\) and \(40, 30\)"):
        score_masks(lesion(), lesion().T)


@pytest.mark.parametrize("module", [metrics, overlap, presence, surface])
def test_examples_in_the_docstrings(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
