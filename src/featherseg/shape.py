"""The outline of one connected part: its length, its ellipse, and how round and smooth it is.

A pixel at (row, column) is a square that reaches half a pixel to each side, and a part is the
union of its squares. Spacing is applied before anything is measured.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.ellipse import Ellipse, fit_ellipse
from featherseg.types import Mask

Part = NDArray[np.bool_]
Spacing = tuple[float, float]
Step = tuple[int, int]

# Crofton's lines run along all steps up to a knight's move of the coarser axis: eight directions
# on square pixels, where an ellipse of 3:1 then comes out within 0.4 %.
_LONGEST_STEP = math.sqrt(5.0) * (1 + 1e-9)
# Beyond this many pixels a step says nothing new, however unequal the spacing.
_MOST_PIXELS = 32
_CORNERS = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])


@dataclass(frozen=True)
class Shape:
    """What the outline of a part without its holes tells, in the unit of the spacing.

    ``perimeter`` is Crofton's; ``ellipse`` that nearest to the outline, None for a single pixel.
    ``circularity`` is 4 pi area / perimeter^2 (Cox 1927), 1 for a disc; ``solidity`` the area over
    that of the convex hull, at most 1; ``depth_to_width`` the extent along rows over that along
    columns, above 1 for "taller than wide" (Stavros 1995, doi:10.1148/radiology.196.1.7784555)
    where depth runs down the image. ``margin_irregularity`` is the perimeter over that of the
    ellipse, 1 for a smooth ellipse: the elliptic-normalized circumference of Chen 2003, Radiology
    226:504-514 (also arXiv:1706.01855).
    """

    perimeter: float
    circularity: float
    solidity: float
    depth_to_width: float
    margin_irregularity: float | None
    ellipse: Ellipse | None


def components(part: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The connected parts (8-neighborhood) of 0 and 1, uint8 (H, W): numbers 1, 2, ... and areas.

    The numbers are (H, W), 0 the background; ``areas[n]`` is how many pixels have n.
    """
    count, numbered = cv2.connectedComponents(part, connectivity=8)
    # One part is what most masks are; its area needs no pass over the numbers.
    ones = cv2.countNonZero(part)
    areas = [part.size - ones, ones] if count == 2 else np.bincount(numbered.ravel())
    return np.asarray(numbered, np.int32), np.asarray(areas, np.int64)


def largest_part(mask: Part) -> Part:
    """The largest connected part (8-neighborhood) of a mask that is not empty, bool (H, W)."""
    numbered, areas = components(mask.view(np.uint8))
    return np.asarray(numbered == 1 + int(areas[1:].argmax()), np.bool_)


def without_holes(part: Part) -> tuple[Part, NDArray[np.int32]]:
    """A connected part with its holes filled, and its boundary pixels (n, 2), (row, column)."""
    contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)
    filled = cv2.drawContours(np.zeros(part.shape, np.uint8), [outline], -1, 1, cv2.FILLED)
    return filled > 0, np.asarray(outline.reshape(-1, 2)[:, ::-1], np.int32)


def shape_of(filled: Part, spacing: Spacing) -> Shape:
    """The shape of a connected part without holes, bool (H, W), on its image's grid."""
    pixels = np.argwhere(filled)
    extent = np.ptp(pixels, axis=0) + 1
    area_px = len(pixels)
    length = perimeter(filled, spacing)
    ellipse = fit_ellipse(boundary_points(filled) * np.asarray(spacing))
    hull = cv2.convexHull(_corners(filled, pixels))
    return Shape(
        perimeter=length,
        circularity=4 * math.pi * area_px * spacing[0] * spacing[1] / length**2,
        solidity=area_px / cv2.contourArea(hull),
        depth_to_width=float(extent[0] * spacing[0] / (extent[1] * spacing[1])),
        margin_irregularity=None if ellipse is None else length / ellipse.circumference,
        ellipse=ellipse,
    )


def boundary_points(part: Part) -> NDArray[np.float64]:
    """Midpoints (n, 2), (row, column) in pixels, of all edges between the part and its outside.

    The image's own border is no boundary: what it cuts off was never seen.
    """
    down_row, down_column = np.nonzero(part[1:] != part[:-1])
    right_row, right_column = np.nonzero(part[:, 1:] != part[:, :-1])
    return np.concatenate(
        (
            np.column_stack((down_row + 0.5, down_column)),
            np.column_stack((right_row, right_column + 0.5)),
        )
    ).astype(np.float64)


def perimeter(part: Part, spacing: Spacing) -> float:
    """The length of a part's boundary, in units of `spacing`, by Crofton's formula.

    Parallel lines are laid through all pixels in many directions; the number of times they cross
    the boundary, weighed by their distance and the angle each direction stands for, gives its
    length, within 1 % for smooth parts wider than ten pixels; a line of one pixel's width comes
    out up to a quarter short. Holes count, and so does the image's border. Legland 2007,
    doi:10.5566/ias.v26.p83-92.
    """
    steps = _steps(spacing)
    angles = np.array([_angle(step, spacing) for step in steps])
    around = np.concatenate(([angles[-1] - math.pi], angles, [angles[0] + math.pi]))
    weights = (around[2:] - around[:-2]) / 2
    padded = np.pad(_window(part), max(max(map(abs, step)) for step in steps))
    total = 0.0
    for step, weight in zip(steps, weights, strict=True):
        apart = spacing[0] * spacing[1] / math.hypot(step[0] * spacing[0], step[1] * spacing[1])
        total += float(weight) * apart * _crossings(padded, step)
    return total / 2


def _window(part: Part) -> Part:
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return part[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _crossings(padded: Part, step: Step) -> int:
    """How often lines along `step` enter or leave the part."""
    down, right = step
    height, width = padded.shape
    here = padded[: height - down, max(0, -right) : width - max(0, right)]
    there = padded[down:, max(0, right) : width + min(0, right)]
    return int(np.count_nonzero(here != there))


def _steps(spacing: Spacing) -> list[Step]:
    """Steps without a common divisor, each direction once, by angle."""
    longest = _LONGEST_STEP * max(spacing)
    down_most, right_most = (min(_MOST_PIXELS, int(longest / side)) for side in spacing)
    steps = [
        (down, right)
        for down in range(down_most + 1)
        for right in range(-right_most, right_most + 1)
        if math.gcd(down, right) == 1
        and (down > 0 or right > 0)
        and math.hypot(down * spacing[0], right * spacing[1]) <= longest
    ]
    return sorted(steps, key=lambda step: _angle(step, spacing))


def _angle(step: Step, spacing: Spacing) -> float:
    return math.atan2(step[0] * spacing[0], step[1] * spacing[1]) % math.pi


def _corners(filled: Part, pixels: NDArray[np.int64]) -> NDArray[np.float32]:
    """The corners (n, 2) of the first and last pixel of each row, which span the convex hull."""
    rows = np.unique(pixels[:, 0])
    first = filled[rows].argmax(axis=1)
    last = filled.shape[1] - 1 - filled[rows, ::-1].argmax(axis=1)
    ends = np.column_stack((np.concatenate((rows, rows)), np.concatenate((first, last))))
    return np.asarray((ends[:, np.newaxis] + _CORNERS).reshape(-1, 2), np.float32)
