"""The part of an image that bears on a metric: nothing outside it is looked at."""

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.bool_]
Window = tuple[slice, slice]


def bounding_box(part: Part, margin_px: int = 0) -> Window:
    """The smallest window that holds every true pixel and `margin_px` around it, in the image.

    The mask must hold a pixel.

    >>> bounding_box(np.eye(3, dtype=bool)[:, :2])
    (slice(0, 2, None), slice(0, 2, None))
    """
    return (
        _span(np.flatnonzero(part.any(axis=1)), margin_px, part.shape[0]),
        _span(np.flatnonzero(part.any(axis=0)), margin_px, part.shape[1]),
    )


def _span(places: NDArray[np.intp], margin_px: int, length: int) -> slice:
    return slice(max(0, int(places[0]) - margin_px), min(length, int(places[-1]) + 1 + margin_px))
