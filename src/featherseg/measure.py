"""Area, axes and center of what a mask holds, in pixels, and in millimeters where they are known.

A pixel at (row, column) covers half a pixel to each side. Axes are measured between the
midpoints of pixel edges, as scikit-image's `feret_diameter_max` does: a run of n pixels is n
long, a single pixel 1. A disc of diameter d comes out within about half a pixel of d.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.errors import ImageError
from featherseg.types import Mask, Segmentation

Spacing = tuple[float, float]

_UNIT: Spacing = (1.0, 1.0)
# From a pixel's center to the midpoints of its four edges, (row, column).
_EDGE_MIDPOINTS = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])


@dataclass(frozen=True)
class Measurement:
    """One label of one mask.

    Area and centroid (row, column) are of all its pixels, the axes of its largest connected part
    (8-neighborhood), as a caliper spans one lesion; ``components`` counts the parts. The long axis
    is the largest distance between two boundary points (the maximum Feret diameter), the short
    axis the largest extent perpendicular to it. Where nothing is found, area is 0 and centroid
    and axes are None. Values in millimeters are None when the spacing is not known.
    """

    label: str
    value: int
    components: int
    area_px: int
    centroid_px: tuple[float, float] | None
    long_axis_px: float | None
    short_axis_px: float | None
    area_mm2: float | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None


def measure(
    mask: Mask, spacing_mm: Spacing | None = None, labels: tuple[str, ...] = ("lesion",)
) -> list[Measurement]:
    """Measure each label of a uint8 mask (H, W) with values 0 (background) to K.

    `spacing_mm` is (row, column); unequal values are taken into account before anything is
    measured. Raises ImageError for a spacing that is not positive or a value above K.
    """
    if spacing_mm is not None:
        check_spacing(spacing_mm)
    if mask.max(initial=0) > len(labels):
        raise ImageError(
            f"expected mask values 0 to {len(labels)} ({', '.join(labels)}), got {mask.max()}"
        )
    return [
        _measure_label(mask == value, value, label, spacing_mm)
        for value, label in enumerate(labels, start=1)
    ]


def as_json(measurement: Measurement) -> dict[str, Any]:
    """A measurement for JSON; the millimeter keys are left out when the spacing is not known."""
    values = asdict(measurement)
    known = measurement.area_mm2 is not None
    return {key: values[key] for key in values if known or not key.endswith(("_mm", "_mm2"))}


def check_spacing(spacing_mm: Spacing) -> None:
    """Raise ImageError unless both spacings are positive and finite."""
    if not all(math.isfinite(side) and side > 0.0 for side in spacing_mm):
        raise ImageError(
            "spacing: expected two positive numbers, millimeters per pixel along rows and "
            f"columns, got {spacing_mm[0]:g} {spacing_mm[1]:g}"
        )


def confidence(segmentation: Segmentation) -> float:
    """The mean probability of what was said, in [0, 1].

    That of the foreground over the found pixels, or that of the background over all pixels when
    nothing was found. It is the model's own opinion, not calibrated.
    """
    found = segmentation.mask > 0
    if found.any():
        return float(segmentation.probability[found].mean(dtype=np.float64))
    return 1.0 - float(segmentation.probability.mean(dtype=np.float64))


def _measure_label(
    found: NDArray[np.bool_], value: int, label: str, spacing_mm: Spacing | None
) -> Measurement:
    area_px = int(found.sum())
    if area_px == 0:
        area_mm2 = None if spacing_mm is None else 0.0
        return Measurement(label, value, 0, 0, None, None, None, area_mm2)
    rows, columns = np.nonzero(found)
    centroid_px = (float(rows.mean()), float(columns.mean()))
    components, outline = _largest_outline(found)
    axes_px = axes(outline, _UNIT)
    if spacing_mm is None:
        return Measurement(label, value, components, area_px, centroid_px, *axes_px)
    area_mm2 = area_px * spacing_mm[0] * spacing_mm[1]
    axes_mm = axes(outline, spacing_mm)
    return Measurement(label, value, components, area_px, centroid_px, *axes_px, area_mm2, *axes_mm)


def _largest_outline(found: NDArray[np.bool_]) -> tuple[int, NDArray[np.float64]]:
    """The number of parts, and the convex hull's pixels (n, 2) of the largest, (row, column)."""
    count, numbered, statistics, _ = cv2.connectedComponentsWithStats(
        found.astype(np.uint8), connectivity=8
    )
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    part = (numbered == largest).astype(np.uint8)
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(contours[0]).reshape(-1, 2)
    return count - 1, hull[:, ::-1].astype(np.float64)


def axes(outline_px: NDArray[np.float64], spacing: Spacing) -> tuple[float, float]:
    """Long and short axis, in units of `spacing`, of pixels (n, 2) given by their centers.

    Scaling comes first: with unequal spacing the longest axis can be another pair of points.
    """
    corners = (outline_px[:, np.newaxis] + _EDGE_MIDPOINTS).reshape(-1, 2) * np.asarray(spacing)
    apart = corners[:, np.newaxis] - corners
    lengths = np.hypot(apart[..., 0], apart[..., 1])
    first, second = np.unravel_index(lengths.argmax(), lengths.shape)
    long_axis = float(lengths[first, second])
    row, column = apart[first, second] / long_axis
    across = corners @ np.array([-column, row])
    return long_axis, float(across.max() - across.min())
