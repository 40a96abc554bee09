"""How far two masks of one label overlap, from the four counts of pixels.

Every score is None where its fraction has no denominator; what that means for a mean is
decided once, in `featherseg.metrics.score_masks`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.bool_]

# Codella 2019, arXiv:1902.03368: IoU below which a mask of ISIC 2018 counts as failed.
ISIC_THRESHOLD = 0.65


@dataclass(frozen=True)
class Confusion:
    """Pixels that are true and found, only found, only true, and neither."""

    both: int
    only_found: int
    only_true: int
    neither: int


def confusion(truth: Part, found: Part) -> Confusion:
    """Count the pixels of two boolean masks (H, W).

    >>> confusion(np.array([[1, 1, 0, 0]], bool), np.array([[1, 0, 1, 0]], bool))
    Confusion(both=1, only_found=1, only_true=1, neither=1)
    """
    both = int(np.count_nonzero(truth & found))
    only_found = int(np.count_nonzero(found)) - both
    only_true = int(np.count_nonzero(truth)) - both
    return Confusion(both, only_found, only_true, truth.size - both - only_found - only_true)


def dice(counts: Confusion) -> float | None:
    """2 |A and B| / (|A| + |B|) in [0, 1]; None when both are empty.

    Dice 1945, doi:10.2307/1932409.

    >>> dice(Confusion(both=3, only_found=1, only_true=1, neither=5))
    0.75
    """
    return _ratio(2 * counts.both, 2 * counts.both + counts.only_found + counts.only_true)


def iou(counts: Confusion) -> float | None:
    """|A and B| / |A or B| in [0, 1], of the foreground alone; None when both are empty.

    Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x. Dice / (2 - Dice) of the same image.

    >>> iou(Confusion(both=3, only_found=1, only_true=1, neither=5))
    0.6
    """
    return _ratio(counts.both, counts.both + counts.only_found + counts.only_true)


def precision(counts: Confusion) -> float | None:
    """The part of what was found that is true, in [0, 1]; None when nothing was found.

    Definitions of the field: Taha and Hanbury 2015, doi:10.1186/s12880-015-0068-x.

    >>> precision(Confusion(both=3, only_found=1, only_true=9, neither=0))
    0.75
    """
    return _ratio(counts.both, counts.both + counts.only_found)


def recall(counts: Confusion) -> float | None:
    """The part of the truth that was found, in [0, 1]; None when the truth is empty.

    Called sensitivity elsewhere; here that word is kept for images (`presence`).

    >>> recall(Confusion(both=3, only_found=9, only_true=1, neither=0))
    0.75
    """
    return _ratio(counts.both, counts.both + counts.only_true)


def accuracy(counts: Confusion) -> float:
    """The part of all pixels that are right, in [0, 1]; always defined, and rarely telling.

    A lesion of 2 % of the image that is missed altogether still gives 0.98.

    >>> accuracy(Confusion(both=0, only_found=0, only_true=2, neither=98))
    0.98
    """
    total = counts.both + counts.only_found + counts.only_true + counts.neither
    return (counts.both + counts.neither) / total


def specificity(counts: Confusion) -> float | None:
    """The part of the background that was left alone, in [0, 1]; None when there is none.

    Of pixels, and as little telling as `accuracy`; that of images is in `presence`. Taha and
    Hanbury 2015, doi:10.1186/s12880-015-0068-x.

    >>> specificity(Confusion(both=9, only_found=1, only_true=9, neither=3))
    0.75
    """
    return _ratio(counts.neither, counts.neither + counts.only_found)


def iou_mean(counts: Confusion) -> float | None:
    """The mean of the IoU of the foreground and that of the background; None when both are empty.

    What some papers call "mean IoU" or plainly IoU. It is far above the IoU of a small lesion:
    one of 2 % of the image that is missed altogether scores 0.49. Where no pixel is background,
    the foreground's IoU stands alone. Everingham 2015, doi:10.1007/s11263-014-0733-5, for two
    classes and one image.

    >>> iou_mean(Confusion(both=0, only_found=0, only_true=2, neither=98))
    0.49
    """
    foreground = iou(counts)
    background = _ratio(counts.neither, counts.neither + counts.only_found + counts.only_true)
    if foreground is None or background is None:
        return foreground
    return (foreground + background) / 2


def isic_jaccard(counts: Confusion) -> float | None:
    """The IoU, taken as 0 below 0.65; None when both are empty.

    The threshold Jaccard that ranked the lesion masks of ISIC 2018: masks worse than experts
    agree with each other count as failures. Codella 2019, arXiv:1902.03368.

    >>> isic_jaccard(Confusion(both=60, only_found=20, only_true=20, neither=0))
    0.0
    >>> isic_jaccard(Confusion(both=65, only_found=20, only_true=15, neither=0))
    0.65
    """
    value = iou(counts)
    return 0.0 if value is not None and value < ISIC_THRESHOLD else value


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
