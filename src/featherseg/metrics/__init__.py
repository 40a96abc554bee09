"""Metrics of one image, and the one rule for empty masks.

The rule is explained in docs/evaluation.md; `EMPTY_MASK_RULE` is the same in a few lines, to
be printed wherever scores are.
"""

from math import hypot

import numpy as np
from numpy.typing import NDArray

from featherseg.metrics import overlap, surface
from featherseg.types import Mask

EMPTY_MASK_RULE = (
    "truth empty and found empty: overlap undefined, counted as a true negative",
    "truth empty, found not: Dice, IoU, precision 0, a false alarm, distances undefined",
    "missed lesion: Dice, IoU, precision, recall 0, HD95 and ASSD = the image diagonal",
    "never NaN in a mean, never dropped",
)
DISTANCE_METRICS = ("hd95", "assd")

Scores = dict[str, float | None]


def score_masks(
    truth: Mask | NDArray[np.bool_],
    found: Mask | NDArray[np.bool_],
    spacing_mm: tuple[float, float] | None = None,
) -> Scores:
    """Score one label of one image, with the rule for empty masks applied; None is undefined.

    Masks are (H, W), anything but 0 is the label. Keys: dice, iou, precision, recall, accuracy
    in [0, 1]; hd95 and assd in millimeters when `spacing_mm` (row, column) is known, else in
    pixels. Raises ValueError when the sizes differ.

    >>> lesion = np.eye(4, dtype=np.uint8)
    >>> missed = score_masks(lesion, np.zeros((4, 4), np.uint8))
    >>> missed["dice"], missed["precision"], round(missed["hd95"] or 0, 3)
    (0.0, 0.0, 5.657)
    """
    if truth.shape != found.shape:
        raise ValueError(f"expected masks of one size, got {truth.shape} and {found.shape}")
    true_part, found_part = truth != 0, found != 0
    counts = overlap.confusion(true_part, found_part)
    lesion_missed = bool(true_part.any()) and not found_part.any()
    return {
        "dice": overlap.dice(counts),
        "iou": overlap.iou(counts),
        "precision": 0.0 if lesion_missed else overlap.precision(counts),
        "recall": overlap.recall(counts),
        "accuracy": overlap.accuracy(counts),
        **_distances(true_part, found_part, spacing_mm or (1.0, 1.0)),
    }


def _distances(
    truth: NDArray[np.bool_], found: NDArray[np.bool_], spacing: tuple[float, float]
) -> Scores:
    if not truth.any():
        return dict.fromkeys(DISTANCE_METRICS)
    distances = surface.surface_distances(truth, found, spacing)
    if distances is None:
        diagonal = hypot(truth.shape[0] * spacing[0], truth.shape[1] * spacing[1])
        return dict.fromkeys(DISTANCE_METRICS, diagonal)
    return {"hd95": surface.hd95(distances), "assd": surface.assd(distances)}
