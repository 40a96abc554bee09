"""The strip of pixels near an outline: Boundary IoU, and where calibration is looked at."""

from math import hypot

import cv2
import numpy as np
from numpy.typing import NDArray

from featherseg.metrics.overlap import confusion, iou
from featherseg.metrics.window import bounding_box

Part = NDArray[np.bool_]

# Width of the strip as a share of the image diagonal: Cheng 2021, section 5.
BOUNDARY_SHARE = 0.02


def boundary_width_px(size_px: tuple[int, int]) -> int:
    """2 % of the diagonal of an image (height, width), in whole pixels, at least 1.

    >>> boundary_width_px((512, 512)), boundary_width_px((20, 20))
    (14, 1)
    """
    return max(1, round(BOUNDARY_SHARE * hypot(*size_px)))


def boundary_iou(truth: Part, found: Part) -> float | None:
    """The IoU of the inner strips of two boolean masks (H, W), in [0, 1]; None when both are empty.

    A strip is the mask's pixels within d of its outside, in chessboard distance as in the
    authors' code; d is `boundary_width_px` of the image, and outside the image is outside the
    mask. Large lesions need a good outline for a good value; where d exceeds a lesion's half
    width, it is the plain IoU. Cheng 2021, doi:10.1109/CVPR46437.2021.01508.

    >>> truth = np.zeros((100, 100), bool)
    >>> truth[20:80, 20:80] = True
    >>> found = np.zeros((100, 100), bool)
    >>> found[20:80, 22:82] = True
    >>> boundary_iou(truth, found), round(iou(confusion(truth, found)), 3)
    (0.5, 0.935)
    """
    union = truth | found
    if not union.any():
        return None
    window = bounding_box(union)
    width_px = boundary_width_px((truth.shape[0], truth.shape[1]))
    strips = [part & ~eroded(part, width_px) for part in (truth[window], found[window])]
    return iou(confusion(strips[0], strips[1]))


def band(truth: Part) -> Part:
    """The pixels on either side of an outline, as far as `boundary_width_px`; (H, W) boolean.

    Empty for an empty mask. The outside of the image is no part of it, but counts as outside.

    >>> lesion = np.zeros((9, 9), bool)
    >>> lesion[2:7, 2:7] = True
    >>> int(band(lesion).sum()), bool(band(lesion)[4, 4])
    (40, False)
    """
    width_px = boundary_width_px((truth.shape[0], truth.shape[1]))
    grown = cv2.dilate(truth.astype(np.uint8), _square(width_px)) > 0
    return np.asarray(grown & ~eroded(truth, width_px), np.bool_)


def eroded(part: Part, width_px: int) -> Part:
    """The pixels of a mask farther than `width_px` from its outside, in chessboard distance."""
    kept = cv2.erode(
        part.astype(np.uint8),
        _square(width_px),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=(0.0,),
    )
    return np.asarray(kept, np.bool_)


def _square(width_px: int) -> NDArray[np.uint8]:
    return np.ones((2 * width_px + 1, 2 * width_px + 1), np.uint8)
