"""Distances between the outlines of two masks, by SciPy's exact Euclidean distance transform.

The surface of a mask is its pixels with a 4-neighbor outside it; the outside of the image
counts as outside the mask, so a mask's edge on the image border is surface (as in MONAI;
SimpleITK's contour filter leaves it out).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from featherseg.metrics.window import bounding_box

Part = NDArray[np.bool_]
Distances = NDArray[np.float64]

# Without a tolerance that was measured between readers: what a careful outline varies by.
NSD_TOLERANCE_PX = 2.0
_HD95_PERCENTILE = 95.0


@dataclass(frozen=True)
class SurfaceDistances:
    """From each surface pixel of one mask to the nearest of the other, in the unit of spacing."""

    true_to_found: Distances
    found_to_true: Distances


def surface_distances(
    truth: Part, found: Part, spacing: tuple[float, float] = (1.0, 1.0)
) -> SurfaceDistances | None:
    """Distances between the surfaces of two boolean masks (H, W); None when either is empty.

    `spacing` is (row, column), in millimeters or 1 for pixels.
    """
    if not truth.any() or not found.any():
        return None
    window = bounding_box(truth | found)
    truth_edge, found_edge = surface(truth[window]), surface(found[window])
    return SurfaceDistances(
        true_to_found=distance_transform_edt(~found_edge, sampling=spacing)[truth_edge],
        found_to_true=distance_transform_edt(~truth_edge, sampling=spacing)[found_edge],
    )


def scaled(distances: SurfaceDistances, factor: float) -> SurfaceDistances:
    """The same distances in another unit."""
    return SurfaceDistances(distances.true_to_found * factor, distances.found_to_true * factor)


def surface(part: Part) -> Part:
    """The pixels of a boolean mask with a 4-neighbor outside the mask or the image.

    >>> surface(np.ones((3, 3), bool)).astype(int).tolist()
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    return np.asarray(part & ~binary_erosion(part), np.bool_)


def hd(distances: SurfaceDistances) -> float:
    """The largest of all surface distances: the Hausdorff distance, set by a single pixel.

    Huttenlocher 1993, doi:10.1109/34.232073.

    >>> hd(SurfaceDistances(np.array([0.0, 1.0]), np.array([7.0, 3.0])))
    7.0
    """
    return float(max(distances.true_to_found.max(), distances.found_to_true.max()))


def hd95(distances: SurfaceDistances) -> float:
    """The larger of the two directed 95th percentiles of the surface distances.

    Not the percentile of both directions pooled (`hd95_pooled`), which is lower where one mask
    has far more surface. Huttenlocher 1993, doi:10.1109/34.232073; percentile as in MONAI and
    Metrics Reloaded, doi:10.1038/s41592-023-02151-z.

    >>> hd95(SurfaceDistances(np.array([0.0, 0.0]), np.array([3.0, 3.0])))
    3.0
    """
    return max(
        float(np.percentile(distances.true_to_found, _HD95_PERCENTILE)),
        float(np.percentile(distances.found_to_true, _HD95_PERCENTILE)),
    )


def hd95_pooled(distances: SurfaceDistances) -> float:
    """The 95th percentile of the surface distances of both directions together.

    What medpy's `hd95` gives, and so many published tables. Lower than `hd95` where one mask has
    far more surface, and not to be compared with it.

    >>> distances = SurfaceDistances(np.zeros(80), np.full(20, 3.0))
    >>> hd95_pooled(SurfaceDistances(np.zeros(98), np.full(2, 3.0))), hd95_pooled(distances)
    (0.0, 3.0)
    """
    return float(np.percentile(_both(distances), _HD95_PERCENTILE))


def assd(distances: SurfaceDistances) -> float:
    """The mean of the surface distances of both directions together.

    Heimann 2009, doi:10.1109/TMI.2009.2013851.

    >>> assd(SurfaceDistances(np.array([1.0, 2.0, 3.0]), np.array([6.0])))
    3.0
    """
    return float(_both(distances).mean())


def nsd(distances: SurfaceDistances, tolerance: float) -> float:
    """The share of both surfaces within `tolerance` of the other, in [0, 1]: surface Dice.

    The tolerance has the unit of the distances and is itself near enough. Every surface pixel
    counts the same, as in MONAI; DeepMind's code weighs it by the length of outline that passes
    through it. Nikolov 2021, doi:10.2196/26151.

    >>> nsd(SurfaceDistances(np.array([0.0, 2.0, 5.0]), np.array([2.1])), tolerance=2.0)
    0.5
    """
    return float((_both(distances) <= tolerance).mean())


def _both(distances: SurfaceDistances) -> Distances:
    return np.concatenate((distances.true_to_found, distances.found_to_true))
