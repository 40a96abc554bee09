"""How well a number tells yes from no at every threshold at once, exactly and with ties.

Of pixels: the probability, and whether the truth holds the pixel. Of images: the doubt, and
whether the mask failed. Everything follows from two sorted arrays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Ranks:
    """The values of the positives and of the negatives, each in ascending order."""

    positives: Numbers
    negatives: Numbers


def ranks(truth: NDArray[np.bool_], values: Numbers) -> Ranks:
    """Sort `values` (any shape) by what `truth` (boolean, the same shape) says of them."""
    return Ranks(np.sort(values[truth]), np.sort(values[~truth]))


def auc(found: Ranks) -> float | None:
    """The area under the ROC curve, in [0, 1]; None without a positive or without a negative.

    The chance that a positive has a larger value than a negative, ties counting half. Hanley
    and McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    >>> auc(Ranks(np.array([0.5, 0.8]), np.array([0.1, 0.5])))
    0.875
    """
    pairs = found.positives.size * found.negatives.size
    if not pairs:
        return None
    below = np.searchsorted(found.negatives, found.positives, "left").sum()
    not_above = np.searchsorted(found.negatives, found.positives, "right").sum()
    return (int(below) + int(not_above)) / (2 * pairs)


def average_precision(found: Ranks) -> float | None:
    """The mean precision over the steps of recall, in [0, 1]; None without a positive.

    The sum of (recall gained) x (precision) over all distinct values as thresholds, without
    interpolation, as in scikit-learn. Davis and Goadrich 2006, doi:10.1145/1143844.1143874.

    >>> average_precision(Ranks(np.array([0.4, 0.8]), np.array([0.1, 0.6])))
    0.8333333333333333
    """
    if not found.positives.size:
        return None
    # Recall moves at the values of positives only, so no other threshold has a weight.
    values, gained = np.unique(found.positives, return_counts=True)
    true_found = np.cumsum(gained[::-1])[::-1]
    false_found = found.negatives.size - np.searchsorted(found.negatives, values, "left")
    precision = true_found / (true_found + false_found)
    return float(gained @ precision) / found.positives.size
