"""Whether a confidence knows which masks are good: risk against coverage."""

from collections.abc import Sequence

import numpy as np


def aurc(confidences: Sequence[float], risks: Sequence[float]) -> float | None:
    """The area under the risk-coverage curve; None for no case. Lower is better.

    The mean, over k from 1 to n, of the mean risk (1 - Dice) of the k most confident cases. Of
    equal confidences any order is as likely, so each counts with their mean. A confidence that
    says nothing gives the mean risk. Geifman and El-Yaniv 2017, arXiv:1705.08500; the area:
    Geifman 2019, arXiv:1805.08206.

    >>> aurc([0.9, 0.5, 0.1], [0.0, 0.0, 0.6])
    0.06666666666666667
    >>> round(aurc([0.5, 0.5, 0.5], [0.0, 0.0, 0.6]), 3)
    0.2
    """
    if len(confidences) != len(risks):
        raise ValueError(f"expected a risk for each of {len(confidences)} confidences")
    if not len(risks):
        return None
    _, place, counts = np.unique(
        -np.asarray(confidences, np.float64), return_inverse=True, return_counts=True
    )
    means = np.bincount(place, weights=np.asarray(risks, np.float64)) / counts
    ordered = np.repeat(means, counts)
    return float((np.cumsum(ordered) / np.arange(1, ordered.size + 1)).mean())


def aurc_best(risks: Sequence[float]) -> float | None:
    """The area that a perfect confidence would reach with the same masks.

    >>> aurc_best([0.6, 0.0, 0.0])
    0.06666666666666667
    """
    return aurc([-risk for risk in risks], risks)
