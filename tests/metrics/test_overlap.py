"""Overlap against scikit-learn, and what holds for every pair of masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn import metrics as reference

from featherseg.metrics.overlap import (
    Confusion,
    accuracy,
    confusion,
    dice,
    iou,
    iou_mean,
    isic_jaccard,
    precision,
    recall,
    specificity,
)

Part = NDArray[np.bool_]
masks = arrays(np.bool_, (6, 7), elements=st.booleans())


@pytest.mark.parametrize("density", [0.05, 0.5, 0.95])
def test_scores_equal_those_of_scikit_learn(density: float) -> None:
    generator = np.random.default_rng(7)
    truth, found = generator.random((2, 40, 30)) < density
    counts = confusion(truth, found)
    flat = truth.ravel(), found.ravel()
    assert dice(counts) == pytest.approx(reference.f1_score(*flat))
    assert iou(counts) == pytest.approx(reference.jaccard_score(*flat))
    assert precision(counts) == pytest.approx(reference.precision_score(*flat))
    assert recall(counts) == pytest.approx(reference.recall_score(*flat))
    assert accuracy(counts) == pytest.approx(reference.accuracy_score(*flat))
    assert specificity(counts) == pytest.approx(reference.recall_score(*flat, pos_label=0))
    assert iou_mean(counts) == pytest.approx(reference.jaccard_score(*flat, average="macro"))
    (neither, only_found), (only_true, both) = reference.confusion_matrix(*flat).tolist()
    assert counts == Confusion(both, only_found, only_true, neither)


def test_each_pixel_is_counted_once() -> None:
    truth = np.array([[1, 1, 1, 0, 0, 0]], bool)
    found = np.array([[1, 0, 0, 1, 1, 0]], bool)
    assert confusion(truth, found) == Confusion(both=1, only_found=2, only_true=2, neither=1)


def test_scores_without_a_denominator_are_undefined() -> None:
    nothing = Confusion(both=0, only_found=0, only_true=0, neither=9)
    assert [dice(nothing), iou(nothing), precision(nothing), recall(nothing)] == [None] * 4
    assert accuracy(nothing) == specificity(nothing) == 1.0
    assert iou_mean(nothing) is isic_jaccard(nothing) is None
    everything = Confusion(both=9, only_found=0, only_true=0, neither=0)
    assert (specificity(everything), iou_mean(everything)) == (None, 1.0)
    false_alarm = Confusion(both=0, only_found=4, only_true=0, neither=5)
    assert (dice(false_alarm), iou(false_alarm), precision(false_alarm)) == (0.0, 0.0, 0.0)
    assert recall(false_alarm) is None
    missed = Confusion(both=0, only_found=0, only_true=4, neither=5)
    assert (dice(missed), iou(missed), recall(missed)) == (0.0, 0.0, 0.0)
    assert precision(missed) is None


@settings(deadline=None)
@given(masks, masks)
def test_dice_is_symmetric_in_range_and_follows_from_iou(truth: Part, found: Part) -> None:
    counts, swapped = confusion(truth, found), confusion(found, truth)
    assert dice(counts) == dice(swapped)
    assert iou(counts) == iou(swapped)
    assert precision(counts) == recall(swapped)
    overlap, union = dice(counts), iou(counts)
    if overlap is not None and union is not None:
        assert 0 <= overlap <= 1
        assert union == pytest.approx(overlap / (2 - overlap))


@settings(deadline=None)
@given(masks)
def test_a_mask_equals_itself(mask: Part) -> None:
    assert dice(confusion(mask, mask)) == (1.0 if mask.any() else None)


@pytest.mark.parametrize(("both", "expected"), [(64, 0.0), (65, 0.65), (100, 1.0)])
def test_isic_counts_a_mask_below_its_threshold_as_failed(both: int, expected: float) -> None:
    counts = Confusion(both=both, only_found=0, only_true=100 - both, neither=100)
    assert isic_jaccard(counts) == expected
