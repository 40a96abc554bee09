"""The rule for empty masks, and the metric bugs of other tools that it rules out."""

import doctest
import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from featherseg.metrics import (
    DISTANCE_METRICS,
    boundary,
    calibration,
    kaggle,
    overlap,
    presence,
    ranking,
    region,
    score,
    score_masks,
    selective,
    surface,
    window,
)
from featherseg.types import Floats, Mask

HEIGHT, WIDTH = 30, 40
DIAGONAL = 50.0


def empty() -> Mask:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def lesion() -> Mask:
    mask = empty()
    mask[5:15, 5:20] = 1
    return mask


def unsure() -> Floats:
    return np.full((HEIGHT, WIDTH), 0.25, np.float32)


def test_both_empty_is_undefined_but_accurate() -> None:
    scores = score_masks(empty(), empty(), None, unsure())
    defined = {name: value for name, value in scores.items() if value is not None}
    assert defined == {
        "accuracy": 1.0,
        "specificity": 1.0,
        "kaggle_dice": 1.0,
        "false_positive_area": 0.0,
        "false_positive_share": 0.0,
        "brier": 0.0625,
    }


def test_a_false_alarm_scores_zero_and_has_no_distance() -> None:
    scores = score_masks(empty(), lesion())
    assert (scores["dice"], scores["iou"], scores["precision"]) == (0.0, 0.0, 0.0)
    assert (scores["recall"], scores["hd95"], scores["assd"]) == (None, None, None)
    assert scores["accuracy"] == scores["specificity"] == pytest.approx(1 - 150 / 1200)
    zero = ("boundary_iou", "nsd", "kaggle_dice", "isic_jaccard")
    assert {scores[name] for name in zero} == {0.0}
    assert {scores[name] for name in (*DISTANCE_METRICS, "area_error", "area_difference")} == {None}
    assert scores["false_positive_area"] == 150.0
    assert scores["false_positive_share"] == pytest.approx(150 / 1200)
    assert scores["iou_mean"] == pytest.approx((1 - 150 / 1200) / 2)


def test_a_missed_lesion_scores_zero_and_is_the_diagonal_away() -> None:
    scores = score_masks(lesion(), empty())
    overlaps = [scores[name] for name in ("dice", "iou", "precision", "recall")]
    assert overlaps == [0.0] * 4
    assert (scores["hd95"], scores["assd"]) == (DIAGONAL, DIAGONAL)
    scores = score_masks(lesion(), empty(), (0.1, 0.2))
    assert {scores[name] for name in DISTANCE_METRICS} == {math.hypot(30 * 0.1, 40 * 0.2)}
    zero = ("boundary_iou", "nsd", "kaggle_dice", "isic_jaccard")
    assert {scores[name] for name in zero} == {0.0}
    assert scores["specificity"] == 1.0
    assert scores["area_error"] == -1.0
    assert scores["area_difference"] == pytest.approx(-150 * 0.1 * 0.2)
    assert scores["false_positive_area"] is scores["false_positive_share"] is None


ONE = ("dice", "iou", "iou_mean", "isic_jaccard", "kaggle_dice", "precision", "recall", "accuracy")


@pytest.mark.parametrize("mask", [lesion(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
def test_a_perfect_mask_and_a_full_one(mask: Mask) -> None:
    scores = score_masks(mask, mask)
    assert {scores[name] for name in (*ONE, "boundary_iou", "nsd")} == {1.0}
    zero = (*DISTANCE_METRICS, "area_error", "area_difference")
    assert {scores[name] for name in zero} == {0.0}
    assert scores["specificity"] == (None if mask.all() else 1.0)


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


def test_probabilities_give_their_metrics_and_are_left_out_without() -> None:
    sure = lesion().astype(np.float32)
    scores = score_masks(lesion(), lesion(), None, sure)
    assert (scores["auc"], scores["average_precision"]) == (1.0, 1.0)
    assert (scores["brier"], scores["brier_band"], scores["ece_band"]) == (0.0, 0.0, 0.0)
    assert scores["reliability_true_0"] == 0.0
    assert scores["reliability_true_9"] == scores["reliability_probability_9"] == 1.0
    assert "reliability_true_5" not in scores
    assert "auc" not in score_masks(lesion(), lesion())


def test_probability_metrics_ask_nothing_of_the_found_mask() -> None:
    chance = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    some, none = (score_masks(lesion(), found, None, chance) for found in (lesion(), empty()))
    names = ("auc", "average_precision", "brier", "brier_band", "ece_band")
    assert [some[name] for name in names] == [none[name] for name in names]


def test_the_tolerance_of_nsd_is_pixels_unless_millimeters_are_stated_and_known() -> None:
    shifted = np.roll(lesion(), 3, axis=1)
    spacing = (0.5, 0.1)
    in_pixels = score_masks(lesion(), shifted)["nsd"]
    assert in_pixels is not None
    assert in_pixels < 1.0
    assert score_masks(lesion(), shifted, spacing)["nsd"] == in_pixels
    assert score_masks(lesion(), shifted, None, None, 5.0)["nsd"] == in_pixels
    # Three columns are 0.3 mm.
    assert score_masks(lesion(), shifted, spacing, None, 0.31)["nsd"] == 1.0


@pytest.mark.parametrize("value", [math.nan, 1.1, -0.1])
def test_impossible_probabilities_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        score_masks(lesion(), lesion(), None, np.full((HEIGHT, WIDTH), value, np.float32))
    with pytest.raises(ValueError, match="probabilities of size"):
        score_masks(lesion(), lesion(), None, unsure().T)


def test_the_last_digit_of_a_resized_probability_is_forgiven() -> None:
    above = np.full((HEIGHT, WIDTH), np.nextafter(np.float32(1), np.float32(2)), np.float32)
    assert score_masks(lesion(), lesion(), None, above)["brier"] == pytest.approx(1 - 150 / 1200)


parts = arrays(np.bool_, (9, 8), elements=st.booleans())


@settings(deadline=None)
@given(parts, parts, st.sampled_from([None, (0.3, 0.3), (0.2, 1.0)]))
def test_the_rule_holds_for_every_pair(
    truth: Mask, found: Mask, spacing: tuple[float, float] | None
) -> None:
    chance = np.random.default_rng(0).random(truth.shape)
    scores = score_masks(truth, found, spacing, chance)
    lesion_there = bool(truth.any())
    assert (scores["recall"] is not None) == lesion_there
    for name in (*DISTANCE_METRICS, "area_error", "area_difference", "average_precision"):
        assert (scores[name] is not None) == lesion_there, name
    for name in ("dice", "iou", "iou_mean", "isic_jaccard", "nsd", "boundary_iou", "precision"):
        assert (scores[name] is not None) == (lesion_there or bool(found.any())), name
    farthest = score.diagonal((9, 8), spacing)
    for name in DISTANCE_METRICS:
        value = scores[name]
        assert value is None or 0.0 <= value <= farthest + 1e-9
    shares = (
        set(scores)
        - set(DISTANCE_METRICS)
        - {"area_error", "area_difference", "false_positive_area"}
    )
    assert all(0.0 <= value <= 1.0 for name in shares if (value := scores[name]) is not None)


def test_a_false_alarm_is_no_perfect_score() -> None:
    """Some code gives Dice 1 and HD 0 as soon as the truth is empty."""
    scores = score_masks(empty(), lesion())
    assert scores["dice"] == scores["kaggle_dice"] == 0.0
    assert scores["hd"] is scores["hd95"] is None


def test_a_missed_lesion_does_not_vanish_from_the_mean() -> None:
    """Some code gives NaN for the percentile distance to an empty mask, and drops it."""
    values = [score_masks(lesion(), found)["hd95"] for found in (lesion(), empty())]
    assert np.mean([value for value in values if value is not None]) == DIAGONAL / 2


def test_the_distance_to_an_empty_mask_is_not_zero() -> None:
    """Some code gives 0, so that finding nothing is the best distance there is."""
    missed, bad = score_masks(lesion(), empty()), score_masks(lesion(), np.rot90(lesion(), 2))
    for name in DISTANCE_METRICS:
        assert (missed[name] or 0.0) >= (bad[name] or 0.0) > 0.0


def test_a_false_alarm_is_counted_though_it_has_no_distance() -> None:
    """Some code gives NaN where the truth is empty, and so hides false alarms altogether."""
    scores = score_masks(empty(), lesion())
    assert not any(value is not None and math.isnan(value) for value in scores.values())
    assert scores["precision"] == scores["dice"] == 0.0
    assert scores["false_positive_area"] == 150.0


def test_the_mean_dice_is_not_derived_from_a_pooled_iou() -> None:
    """Some code computes one IoU over all images and turns it into a "Dice"."""
    small = empty()
    small[0, 0] = 1
    pairs = [(lesion(), lesion()), (small, empty())]
    dice = [score_masks(*pair)["dice"] or 0.0 for pair in pairs]
    pooled = 150 / 151
    assert np.mean(dice) == 0.5
    assert 2 * pooled / (1 + pooled) > 0.99


MODULES = [
    overlap, presence, surface, boundary, region, ranking, calibration, selective, kaggle, score,
    window,
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_the_docstrings(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
