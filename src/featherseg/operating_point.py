"""Choosing the operating point of a model on the validation subset.

A coarse grid on purpose: a fine one fits the noise of a hundred images. The score is the mean
over all images of Dice with "both empty" as 1, so that normal images count for the smallest
area. Each image is labeled into components once a threshold; every other point of the grid
follows from the components' areas and hits, and from the presence of a network that tells it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.postprocess import (
    OperatingPoint,
    class_probabilities,
    is_present,
    kept_components,
    label_pixels,
)
from featherseg.types import Floats, Mask

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
SMALLEST_AREAS = (0.0, 0.0005, 0.001, 0.002, 0.005, 0.01)
COMPONENTS: tuple[Literal["all", "largest"], ...] = get_args(Literal["all", "largest"])
# Those that empty the fewest images come first.
PRESENCE_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
# A gate that leaves fewer of the images with a label something found is no choice.
LEAST_SENSITIVITY = 0.95


@dataclass(frozen=True)
class PointScore:
    """A point of the grid and its mean Dice over all images (both empty = 1).

    ``sensitivity`` is the share of the images with a label in which something is found,
    ``specificity`` that of the others in which nothing is; None where there is no such image.
    """

    point: OperatingPoint
    dice_all: float
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True)
class _Found:
    """What a point finds in each image: Dice, whether there is any; and what is true of it.

    ``dice_of_nothing`` is the Dice that an empty mask has.
    """

    dice: NDArray[np.float64]
    is_found: NDArray[np.bool_]
    dice_of_nothing: NDArray[np.float64]
    is_there: NDArray[np.bool_]


@dataclass(frozen=True)
class _Parts:
    """The components of one label found in one image, beside the truth; all in pixels."""

    areas_px: NDArray[np.int64]
    hits_px: NDArray[np.int64]
    true_px: int


def choose_operating_point(
    logits: Floats, masks: Mask, presence: Floats | None = None
) -> tuple[OperatingPoint, tuple[PointScore, ...]]:
    """The best point of the grid by mean Dice, and the scores of all points that may be chosen.

    `logits` is float32 (N, C, h, w), not probabilities: one sigmoid channel, or softmax with
    channel 0 as background. `masks` is integer labels (N, h, w). With `presence`, logits (N, 1),
    the points that gate masks by it are tried too, and may be chosen where they leave at least
    `LEAST_SENSITIVITY` of the images with a label something found. Of equal scores the first in
    the order (no gate, nearest to 0.5, smallest area, all components) is taken, so that without
    evidence the point is (0.5, 0, all). Raises ValueError for no image or unequal shapes.
    """
    if len(logits) == 0 or logits.shape[::2] + logits.shape[3:] != masks.shape:
        raise ValueError(
            f"expected logits (N, C, h, w) and masks (N, h, w) of at least one image, "
            f"got {logits.shape} and {masks.shape}"
        )
    if presence is not None and presence.shape != (len(masks), 1):
        raise ValueError(f"expected presence ({len(masks)}, 1), got {presence.shape}")
    image_px = masks[0].size
    by_threshold = {
        threshold: [_image_parts(*pair, threshold) for pair in zip(logits, masks, strict=True)]
        for threshold in THRESHOLDS
    }
    found = {point: _found(by_threshold[point.threshold], image_px, point) for point in grid()}
    scores = [_score(point, each) for point, each in found.items()]
    if presence is not None:
        gated = (
            _gated_score(replace(point, presence_threshold=threshold), each, presence)
            for threshold, (point, each) in product(PRESENCE_THRESHOLDS, found.items())
        )
        scores += [score for score in gated if _is_sensitive(score)]
    return max(scores, key=lambda score: score.dice_all).point, tuple(scores)


def choose_screening_point(scores: Sequence[PointScore]) -> PointScore:
    """The point with the fewest false alarms that still finds something where a label is.

    Among points of at least `LEAST_SENSITIVITY`, or where none has that, of the highest
    sensitivity, the highest specificity, then the highest mean Dice, then the first. `scores`
    are those of `choose_operating_point`.
    """
    most = max((score.sensitivity or 0.0) for score in scores)
    wanted = min(most, LEAST_SENSITIVITY)
    able = [score for score in scores if (score.sensitivity or 0.0) >= wanted]
    return max(able, key=lambda score: (score.specificity or 0.0, score.dice_all))


def grid() -> list[OperatingPoint]:
    """Every point without a gate, the preferred ones first."""
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


def _found(images: list[list[_Parts]], image_px: int, point: OperatingPoint) -> _Found:
    scored = [[_dice(parts, image_px, point) for parts in labels] for labels in images]
    true_px = np.array([[parts.true_px for parts in labels] for labels in images])
    return _Found(
        dice=np.array([[dice for dice, _ in labels] for labels in scored]).mean(axis=1),
        is_found=np.array([any(found_px for _, found_px in labels) for labels in scored]),
        dice_of_nothing=(true_px == 0).mean(axis=1),
        is_there=np.asarray(np.any(true_px > 0, axis=1), np.bool_),
    )


def _dice(parts: _Parts, image_px: int, point: OperatingPoint) -> tuple[float, int]:
    """Dice of what is kept, and its pixels."""
    kept = kept_components(parts.areas_px, image_px, point)
    found_px = int(parts.areas_px[kept].sum())
    total = found_px + parts.true_px
    return (2 * int(parts.hits_px[kept].sum()) / total if total else 1.0), found_px


def _gated_score(point: OperatingPoint, found: _Found, presence: Floats) -> PointScore:
    passes = np.array([is_present(each, point) for each in presence])
    return _score(
        point,
        replace(
            found,
            dice=np.where(passes, found.dice, found.dice_of_nothing),
            is_found=found.is_found & passes,
        ),
    )


def _score(point: OperatingPoint, found: _Found) -> PointScore:
    return PointScore(
        point,
        # Rounded, so that a tie is a tie whatever the order of the sum.
        round(float(found.dice.mean()), 12),
        _share(found.is_found[found.is_there]),
        _share(~found.is_found[~found.is_there]),
    )


def _share(are: NDArray[np.bool_]) -> float | None:
    return float(are.mean()) if are.size else None


def _is_sensitive(score: PointScore) -> bool:
    return score.sensitivity is None or score.sensitivity >= LEAST_SENSITIVITY
