"""Head circumference: the ellipse around a fetal head, as sonographers measure it.

The circumference is the perimeter of the ellipse nearest to the head's outline, in millimeters
where the spacing is known. It is read from a drawn outline, whose line is fitted through its
middle, or from a filled mask, whose boundary runs along pixel edges. Definition and data: van den
Heuvel 2018 (HC18), doi:10.1371/journal.pone.0200412.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.ellipse import Ellipse, fit_ellipse
from featherseg.errors import ImageError
from featherseg.shape import Part, Spacing, boundary_points, largest_part, without_holes

# A line covers far less than its convex hull; heads and lesions cover far more than half.
_LINE_COVERS = 0.5


def ellipse_of_outline(outline: Part, spacing: Spacing = (1.0, 1.0)) -> Ellipse | None:
    """The ellipse through the middle of a drawn line, bool (H, W), however thick.

    `spacing` is (row, column) and gives the unit; (1, 1) is pixels. The line may leave the image.
    None where fewer than five pixels are drawn, or all on one straight line.
    """
    return fit_ellipse(np.argwhere(outline).astype(np.float64) * np.asarray(spacing))


def ellipse_of_mask(mask: Part, spacing: Spacing = (1.0, 1.0)) -> Ellipse | None:
    """The ellipse around the largest connected part of a filled mask, bool (H, W).

    Fitted to the midpoints of the pixel edges between the part and its outside; holes and the
    image's border are no boundary. `spacing` is (row, column); None for an empty mask or a single
    pixel. Raises ImageError for a drawn outline: its two edges are not the head's.
    """
    if not mask.any():
        return None
    part = largest_part(mask)
    filled, outline = without_holes(part)
    if _is_line(part, outline):
        raise ImageError(
            "expected a filled mask, got a drawn outline: it covers less than half of what it "
            "encloses; measure it as an outline (--outline)"
        )
    return fit_ellipse(boundary_points(filled) * np.asarray(spacing))


def _is_line(part: Part, outline: NDArray[np.int32]) -> bool:
    hull = cv2.convexHull(outline[:, ::-1])
    return int(part.sum()) < _LINE_COVERS * cv2.contourArea(hull)
