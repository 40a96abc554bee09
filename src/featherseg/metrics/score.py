"""All metrics of one label of one image, with the rule for empty masks applied."""

from math import hypot

import numpy as np
from numpy.typing import NDArray

from featherseg.metrics import boundary, calibration, kaggle, overlap, ranking, region, surface
from featherseg.metrics.window import bounding_box
from featherseg.types import Mask

# Rows of reliability(): their names end with the bin's index.
RELIABILITY_SHARE = "reliability_share_"
RELIABILITY_PROBABILITY = "reliability_probability_"
RELIABILITY_TRUE = "reliability_true_"

Part = NDArray[np.bool_]
Spacing = tuple[float, float]
Scores = dict[str, float | None]

# How far a resized float32 map may leave [0, 1].
_ROUNDING = 1e-5

# In the unit of the spacing: millimeters where it is known, else pixels.
DISTANCE_METRICS = ("hd", "hd95", "hd95_pooled", "assd", "centroid_error")


def score_masks(
    truth: Mask | Part,
    found: Mask | Part,
    spacing_mm: Spacing | None = None,
    probability: NDArray[np.floating] | None = None,
    nsd_tolerance_mm: float | None = None,
) -> Scores:
    """Score one label of one image, with the rule for empty masks applied; None is undefined.

    Masks are (H, W), anything but 0 is the label. `probability` is that of the label, (H, W) in
    [0, 1]; without it (None) its metrics are left out: auc, average_precision, brier,
    brier_band, ece_band and the bins of `calibration.reliability`. Distances and
    area_difference are in millimeters (mm2) when `spacing_mm` (row, column) is known, else in
    pixels; false_positive_area is always in pixels. The tolerance of nsd is that of
    `nsd_tolerance`. Raises ValueError when the sizes differ or a probability is outside [0, 1].

    >>> lesion = np.eye(4, dtype=np.uint8)
    >>> missed = score_masks(lesion, np.zeros((4, 4), np.uint8))
    >>> missed["dice"], missed["precision"], round(missed["hd95"] or 0, 3)
    (0.0, 0.0, 5.657)
    """
    if truth.shape != found.shape:
        raise ValueError(f"expected masks of one size, got {truth.shape} and {found.shape}")
    true_part, found_part = truth != 0, found != 0
    scores = {
        **_overlaps(overlap.confusion(true_part, found_part)),
        "boundary_iou": boundary.boundary_iou(true_part, found_part),
        **_distances(true_part, found_part, spacing_mm, nsd_tolerance_mm),
        **_areas(true_part, found_part, spacing_mm),
    }
    if probability is not None:
        scores |= _probabilities(true_part, _checked(probability, truth.shape))
    return scores


def nsd_tolerance(
    spacing_mm: Spacing | None, nsd_tolerance_mm: float | None = None
) -> tuple[float, str]:
    """The tolerance of nsd in one image, and its unit, mm or px.

    The stated millimeters where the spacing is known; else `surface.NSD_TOLERANCE_PX` pixels.

    >>> nsd_tolerance((0.1, 0.1), 0.5), nsd_tolerance(None, 0.5), nsd_tolerance((0.1, 0.1))
    ((0.5, 'mm'), (2.0, 'px'), (2.0, 'px'))
    """
    if spacing_mm is None or nsd_tolerance_mm is None:
        return surface.NSD_TOLERANCE_PX, "px"
    return nsd_tolerance_mm, "mm"


def diagonal(size_px: tuple[int, int], spacing_mm: Spacing | None = None) -> float:
    """The diagonal of an image (height, width), in millimeters with a spacing, else in pixels.

    >>> diagonal((30, 40)), diagonal((30, 40), (0.1, 0.1))
    (50.0, 5.0)
    """
    row, column = spacing_mm or (1.0, 1.0)
    return hypot(size_px[0] * row, size_px[1] * column)


def _overlaps(counts: overlap.Confusion) -> Scores:
    missed = counts.only_true > 0 and not counts.both and not counts.only_found
    return {
        "dice": overlap.dice(counts),
        "iou": overlap.iou(counts),
        "iou_mean": overlap.iou_mean(counts),
        "isic_jaccard": overlap.isic_jaccard(counts),
        "kaggle_dice": kaggle.kaggle_dice(counts),
        "precision": 0.0 if missed else overlap.precision(counts),
        "recall": overlap.recall(counts),
        "specificity": overlap.specificity(counts),
        "accuracy": overlap.accuracy(counts),
    }


def _distances(
    truth: Part, found: Part, spacing: Spacing | None, nsd_tolerance_mm: float | None
) -> Scores:
    if not truth.any():
        nsd = 0.0 if found.any() else None
        return {**dict.fromkeys(DISTANCE_METRICS), "nsd": nsd}
    if not found.any():
        farthest = diagonal((truth.shape[0], truth.shape[1]), spacing)
        return {**dict.fromkeys(DISTANCE_METRICS, farthest), "nsd": 0.0}
    window = bounding_box(truth | found)
    pixels, distances = _both_units(truth[window], found[window], spacing)
    tolerance, unit = nsd_tolerance(spacing, nsd_tolerance_mm)
    return {
        "hd": surface.hd(distances),
        "hd95": surface.hd95(distances),
        "hd95_pooled": surface.hd95_pooled(distances),
        "assd": surface.assd(distances),
        "centroid_error": region.centroid_error(
            truth[window], found[window], spacing or (1.0, 1.0)
        ),
        "nsd": surface.nsd(pixels if unit == "px" else distances, tolerance),
    }


def _both_units(
    truth: Part, found: Part, spacing: Spacing | None
) -> tuple[surface.SurfaceDistances, surface.SurfaceDistances]:
    """Surface distances in pixels, and in the unit of the spacing; of masks that hold a pixel."""
    pixels = surface.surface_distances(truth, found)
    assert pixels is not None
    if spacing is None:
        return pixels, pixels
    if spacing[0] == spacing[1]:
        return pixels, surface.scaled(pixels, spacing[0])
    distances = surface.surface_distances(truth, found, spacing)
    assert distances is not None
    return pixels, distances


def _areas(truth: Part, found: Part, spacing: Spacing | None) -> Scores:
    true_px, found_px = int(np.count_nonzero(truth)), int(np.count_nonzero(found))
    false_px = region.false_positive_area(true_px, found_px)
    return {
        "area_error": region.area_error(true_px, found_px),
        "area_difference": region.area_difference(true_px, found_px, spacing),
        "false_positive_area": false_px,
        "false_positive_share": None if false_px is None else false_px / truth.size,
    }


def _checked(probability: NDArray[np.floating], size: tuple[int, ...]) -> NDArray[np.floating]:
    """The probabilities, of the mask's size and in [0, 1] to the last digit."""
    if probability.shape != size:
        raise ValueError(f"expected probabilities of size {size}, got {probability.shape}")
    low, high = probability.min(initial=1.0), probability.max(initial=0.0)
    # A NaN makes both comparisons false.
    if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
        raise ValueError(f"expected probabilities in [0, 1], got {low} to {high}")
    return probability if low >= 0.0 and high <= 1.0 else probability.clip(0.0, 1.0)


def _probabilities(truth: Part, probability: NDArray[np.floating]) -> Scores:
    scores: Scores = {"brier": calibration.brier(truth, probability)}
    if not truth.any():
        names = ("auc", "average_precision", "brier_band", "ece_band")
        return {**dict.fromkeys(names), **scores}
    ranked = ranking.ranks(truth, probability)
    window = bounding_box(truth, boundary.boundary_width_px((truth.shape[0], truth.shape[1])))
    band = boundary.band(truth)[window]
    near_truth, near_probability = truth[window][band], probability[window][band]
    bins = calibration.reliability(near_truth, near_probability)
    scores |= {
        "auc": ranking.auc(ranked),
        "average_precision": ranking.average_precision(ranked),
        "brier_band": calibration.brier(near_truth, near_probability),
        "ece_band": calibration.ece(bins),
    }
    for each in bins:
        scores[f"{RELIABILITY_SHARE}{each.index}"] = each.share
        scores[f"{RELIABILITY_PROBABILITY}{each.index}"] = each.probability
        scores[f"{RELIABILITY_TRUE}{each.index}"] = each.true
    return scores
