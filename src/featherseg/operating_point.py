"""Choosing the operating point of a model on the validation subset.

A coarse grid on purpose: a fine one fits the noise of a hundred images. The score is the mean
over all images of Dice with "both empty" as 1, so that normal images count for the smallest
area. Each image is labeled into components once a threshold; every other point of the grid
follows from the components' areas and hits.
"""

from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.postprocess import (
    OperatingPoint,
    class_probabilities,
    kept_components,
    label_pixels,
)
from featherseg.types import Floats, Mask

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
SMALLEST_AREAS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01)
COMPONENTS: tuple[Literal["all", "largest"], ...] = get_args(Literal["all", "largest"])


@dataclass(frozen=True)
class PointScore:
    """A point of the grid and its mean Dice over all images (both empty = 1)."""

    point: OperatingPoint
    dice_all: float


@dataclass(frozen=True)
class _Parts:
    """The components of one label found in one image, beside the truth; all in pixels."""

    areas_px: NDArray[np.int64]
    hits_px: NDArray[np.int64]
    true_px: int


def choose_operating_point(
    logits: Floats, masks: Mask
) -> tuple[OperatingPoint, tuple[PointScore, ...]]:
    """The best point of the grid, and the scores of all its points.

    `logits` is float32 (N, C, h, w), not probabilities: one sigmoid channel, or softmax with
    channel 0 as background. `masks` is integer labels (N, h, w). Of equal scores the first in
    the order (nearest to 0.5, smallest area, all components) is taken, so that without
    evidence the point is (0.5, 0, all). Raises ValueError for no image or unequal shapes.
    """
    if len(logits) == 0 or logits.shape[::2] + logits.shape[3:] != masks.shape:
        raise ValueError(
            f"expected logits (N, C, h, w) and masks (N, h, w) of at least one image, "
            f"got {logits.shape} and {masks.shape}"
        )
    image_px = masks[0].size
    points = grid()
    by_threshold = {
        threshold: [_image_parts(*pair, threshold) for pair in zip(logits, masks, strict=True)]
        for threshold in THRESHOLDS
    }
    scores = tuple(
        PointScore(point, _mean_dice(by_threshold[point.threshold], image_px, point))
        for point in points
    )
    return max(scores, key=lambda score: score.dice_all).point, scores


def grid() -> list[OperatingPoint]:
    """Every point that is tried, the preferred ones first."""
    nearest_first = sorted(THRESHOLDS, key=lambda threshold: abs(threshold - 0.5))
    return [
        OperatingPoint(*values) for values in product(nearest_first, SMALLEST_AREAS, COMPONENTS)
    ]


def _image_parts(logits: Floats, mask: Mask, threshold: float) -> list[_Parts]:
    found = label_pixels(class_probabilities(logits), threshold)
    labels = max(1, logits.shape[0] - 1)
    return [_label_parts(found == label, mask == label) for label in range(1, labels + 1)]


def _label_parts(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> _Parts:
    count, numbered = cv2.connectedComponents(found.view(np.uint8), connectivity=8)
    areas = np.bincount(numbered.ravel(), minlength=count)[1:]
    hits = np.bincount(numbered[truth], minlength=count)[1:]
    return _Parts(areas, hits, int(truth.sum()))


def _mean_dice(images: list[list[_Parts]], image_px: int, point: OperatingPoint) -> float:
    dice = [[_dice(parts, image_px, point) for parts in labels] for labels in images]
    # Rounded, so that a tie is a tie whatever the order of the sum.
    return round(float(np.mean(dice)), 12)


def _dice(parts: _Parts, image_px: int, point: OperatingPoint) -> float:
    kept = kept_components(parts.areas_px, image_px, point)
    total = int(parts.areas_px[kept].sum()) + parts.true_px
    return 2 * int(parts.hits_px[kept].sum()) / total if total else 1.0
