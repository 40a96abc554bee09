"""The scores of the HC18 challenge: head circumference and overlap of one image.

van den Heuvel 2018, doi:10.1371/journal.pone.0200412. Not part of the table of cases: they need
heads and millimeters.
"""

import math
from dataclasses import dataclass

from featherseg.circumference import ellipse_of_mask
from featherseg.errors import ImageError
from featherseg.measure import check_spacing
from featherseg.metrics.overlap import confusion, dice
from featherseg.metrics.surface import surface_distances
from featherseg.shape import Part, Spacing


@dataclass(frozen=True)
class HeadScores:
    """How a found head differs from the true one; lengths in millimeters, Dice in [0, 1].

    ``df_mm`` is the found circumference minus the true one, so above 0 the head was measured too
    large; ``adf_mm`` its absolute value; ``hd_mm`` the Hausdorff distance of the outlines.
    """

    circumference_mm: float
    df_mm: float
    adf_mm: float
    hd_mm: float
    dice: float


def head_scores(
    truth: Part, found: Part, spacing_mm: Spacing, true_circumference_mm: float | None = None
) -> HeadScores:
    """HC18's scores of filled masks, bool (H, W).

    `true_circumference_mm` is the release's own figure; None measures it in `truth`. A head that
    was missed, or found as a single pixel, has a circumference of 0, and where nothing was found
    the distance is the image diagonal: no failure drops out of a mean. Raises ImageError where
    `truth` holds no head.
    """
    check_spacing(spacing_mm)
    true_mm = true_circumference_mm or _around(truth, spacing_mm)
    if not true_mm or not truth.any():
        raise ImageError("expected a true mask with a head, got none; leave the image out")
    found_mm = _around(found, spacing_mm)
    distances = surface_distances(truth, found, spacing_mm)
    if distances is None:
        height, width = truth.shape
        hd_mm = math.hypot(height * spacing_mm[0], width * spacing_mm[1])
    else:
        hd_mm = float(max(distances.true_to_found.max(), distances.found_to_true.max()))
    return HeadScores(
        circumference_mm=found_mm,
        df_mm=found_mm - true_mm,
        adf_mm=abs(found_mm - true_mm),
        hd_mm=hd_mm,
        dice=dice(confusion(truth, found)) or 0.0,
    )


def _around(mask: Part, spacing_mm: Spacing) -> float:
    ellipse = ellipse_of_mask(mask, spacing_mm)
    return 0.0 if ellipse is None else ellipse.circumference
