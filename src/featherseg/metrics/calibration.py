"""Whether a probability means what it says: of ten pixels with 0.7, seven should be lesion.

Background far from the lesion is easy and plentiful, and makes every model look calibrated: so
what a reader should see is taken in `boundary.band` of the truth. The band does not depend on
what was found, so all models are judged on the same pixels. On the calibration of segmentation
networks: Mehrtash 2020, doi:10.1109/TMI.2020.3006437.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Part = NDArray[np.bool_]
Probabilities = NDArray[np.floating]

# Bins of equal width, [0, 0.1) to [0.9, 1].
BINS = 10


@dataclass(frozen=True)
class Bin:
    """Pixels of like probability: their share of all, mean probability, and share of lesion.

    ``index`` counts the bins from 0; a bin without a pixel does not occur.
    """

    index: int
    share: float
    probability: float
    true: float


def brier(truth: Part, probability: Probabilities) -> float | None:
    """The mean square of probability minus truth (0 or 1), in [0, 1]; None for no pixel.

    `truth` is boolean, `probability` in [0, 1] of the same shape. Brier 1950,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2, in its form for two outcomes.

    >>> brier(np.array([True, False]), np.array([0.5, 0.1]))
    0.13
    """
    if not truth.size:
        return None
    return float(np.square(probability - truth, dtype=np.float64).mean())


def reliability(truth: Part, probability: Probabilities) -> list[Bin]:
    """What a reliability plot shows: the bins that hold pixels, from low to high.

    DeGroot and Fienberg 1983, doi:10.2307/2987588.

    >>> truth, probability = np.array([False, True, True]), np.array([0.12, 0.18, 1.0])
    >>> bins = reliability(truth, probability)
    >>> [(each.index, round(each.probability, 3), each.true) for each in bins]
    [(1, 0.15, 0.5), (9, 1.0, 1.0)]
    """
    flat = probability.ravel().astype(np.float64)
    numbers = np.minimum((flat * BINS).astype(np.intp), BINS - 1)
    counts = np.bincount(numbers, minlength=BINS)
    sums = np.bincount(numbers, weights=flat, minlength=BINS)
    hits = np.bincount(numbers, weights=truth.ravel(), minlength=BINS)
    return [
        Bin(
            index=index,
            share=float(counts[index] / flat.size),
            probability=float(sums[index] / counts[index]),
            true=float(hits[index] / counts[index]),
        )
        for index in np.flatnonzero(counts).tolist()
    ]


def ece(bins: Sequence[Bin]) -> float | None:
    """The expected calibration error, in [0, 1]; None without a bin.

    The mean distance of probability and truth over the bins, weighted by their shares. Naeini
    2015, doi:10.1609/aaai.v29i1.9602, of the probability of the lesion.

    >>> round(ece([Bin(1, 0.5, 0.15, 0.25), Bin(9, 0.5, 0.9, 0.7)]), 3)
    0.15
    """
    if not bins:
        return None
    return sum(each.share * abs(each.probability - each.true) for each in bins)
