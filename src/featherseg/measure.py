"""Area, axes and shape of what a mask holds, in pixels, and in millimeters where they are known.

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
from featherseg.shape import Part, Shape, largest_part, shape_of, without_holes
from featherseg.shape import Spacing as Spacing
from featherseg.types import Mask, Segmentation

_UNIT: Spacing = (1.0, 1.0)
# From a pixel's center to the midpoints of its four edges, (row, column).
_EDGE_MIDPOINTS = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])


@dataclass(frozen=True)
class Measurement:
    """One label of one mask.

    Area and centroid (row, column) are of all its pixels; everything else is of its largest
    connected part (8-neighborhood), as a caliper spans one lesion; ``components`` counts the
    parts. The long axis is the largest distance between two boundary points (the maximum Feret
    diameter), the short axis the largest extent perpendicular to it. The others, of that part
    without its holes, are those of `featherseg.shape.Shape`; the ellipse's axes are (long, short).
    Where nothing is found, area is 0 and the rest None; a single pixel has no ellipse.

    Values in millimeters are None when the spacing is not known. Ratios and the angle are then
    those of square pixels, else those of the tissue.
    """

    label: str
    value: int
    components: int
    area_px: int
    centroid_px: tuple[float, float] | None = None
    long_axis_px: float | None = None
    short_axis_px: float | None = None
    perimeter_px: float | None = None
    ellipse_center_px: tuple[float, float] | None = None
    ellipse_axes_px: tuple[float, float] | None = None
    ellipse_angle_deg: float | None = None
    circularity: float | None = None
    solidity: float | None = None
    depth_to_width: float | None = None
    margin_irregularity: float | None = None
    area_mm2: float | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None
    perimeter_mm: float | None = None
    ellipse_axes_mm: tuple[float, float] | None = None


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


def _measure_label(found: Part, value: int, label: str, spacing_mm: Spacing | None) -> Measurement:
    area_px = int(found.sum())
    if area_px == 0:
        area_mm2 = None if spacing_mm is None else 0.0
        return Measurement(label, value, 0, 0, area_mm2=area_mm2)
    rows, columns = np.nonzero(found)
    centroid_px = (float(rows.mean()), float(columns.mean()))
    components, _ = cv2.connectedComponents(found.astype(np.uint8), connectivity=8)
    return Measurement(
        label, value, components - 1, area_px, centroid_px, **_of_largest(found, spacing_mm)
    )


def _of_largest(found: Part, spacing_mm: Spacing | None) -> dict[str, Any]:
    """The fields of a Measurement that are of the largest part."""
    filled, outline = without_holes(largest_part(found))
    hull = cv2.convexHull(outline).reshape(-1, 2).astype(np.float64)
    shape = shape_of(filled, _UNIT)
    fields = {
        **_lengths(shape, axes(hull, _UNIT), "px"),
        "ellipse_center_px": shape.ellipse and shape.ellipse.center,
    }
    if spacing_mm is not None:
        shape = shape_of(filled, spacing_mm)
        fields |= _lengths(shape, axes(hull, spacing_mm), "mm")
        fields["area_mm2"] = int(found.sum()) * spacing_mm[0] * spacing_mm[1]
    return {
        **fields,
        "ellipse_angle_deg": shape.ellipse and shape.ellipse.angle_deg,
        "circularity": shape.circularity,
        "solidity": shape.solidity,
        "depth_to_width": shape.depth_to_width,
        "margin_irregularity": shape.margin_irregularity,
    }


def _lengths(shape: Shape, axes: tuple[float, float], unit: str) -> dict[str, Any]:
    ellipse = shape.ellipse
    return {
        f"long_axis_{unit}": axes[0],
        f"short_axis_{unit}": axes[1],
        f"perimeter_{unit}": shape.perimeter,
        f"ellipse_axes_{unit}": ellipse and (ellipse.long_axis, ellipse.short_axis),
    }


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
