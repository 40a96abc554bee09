"""Whether a lesion's size and place are right, whatever its outline.

All but the false positives are None where the truth is empty: there is no size to be wrong
about, and `false_positive_area` says how much was found.
"""

from math import hypot

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.bool_]
Spacing = tuple[float, float]


def centroid_error(truth: Part, found: Part, spacing: Spacing = (1.0, 1.0)) -> float | None:
    """The distance of the centers of mass of two boolean masks, in the unit of spacing.

    All parts of a mask together; None when either is empty. `spacing` is (row, column).

    >>> truth, found = np.zeros((2, 9, 9), bool)
    >>> truth[1, 1] = found[4, 5] = True
    >>> centroid_error(truth, found), centroid_error(truth, found, (2.0, 0.5))
    (5.0, 6.324555320336759)
    """
    if not truth.any() or not found.any():
        return None
    away = (_centroid(found) - _centroid(truth)) * spacing
    return hypot(*away.tolist())


def area_error(area_true: float, area_found: float) -> float | None:
    """(found - true) / true: 0.1 is a tenth too large, -1 nothing found; None for an empty truth.

    The relative volume difference (Heimann 2009, doi:10.1109/TMI.2009.2013851), as a fraction.

    >>> area_error(100, 90), area_error(100, 0), area_error(0, 5)
    (-0.1, -1.0, None)
    """
    return (area_found - area_true) / area_true if area_true else None


def area_difference(
    area_true: float, area_found: float, spacing_mm: Spacing | None = None
) -> float | None:
    """Found minus true, from areas in pixels; in square millimeters with a spacing, else pixels.

    None for an empty truth.

    >>> area_difference(100, 90), area_difference(100, 90, (0.1, 0.5))
    (-10.0, -0.5)
    """
    if not area_true:
        return None
    row, column = spacing_mm or (1.0, 1.0)
    return float(area_found - area_true) * (row * column)


def false_positive_area(area_true: float, area_found: float) -> float | None:
    """What was found in an image without a lesion, in pixels; None for an image with one.

    >>> false_positive_area(0, 25), false_positive_area(0, 0), false_positive_area(9, 25)
    (25.0, 0.0, None)
    """
    return None if area_true else float(area_found)


def _centroid(part: Part) -> NDArray[np.float64]:
    """The mean (row, column) of a mask's pixels."""
    rows, columns = part.sum(axis=1), part.sum(axis=0)
    total = rows.sum()
    return np.array(
        [rows @ np.arange(rows.size) / total, columns @ np.arange(columns.size) / total]
    )
