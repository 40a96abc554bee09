"""The bootstrap of a mean when whole groups are drawn.

A group is what belongs together (a patient, images of one exam). Drawing groups with all their
values keeps the dependence within a group: Field and Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_DRAWS_AT_ONCE = 4_000_000
# Equal means differ in their last digits by the order of their terms: so far they are equal.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Grouped:
    """Values summed over their groups: ``sums`` and ``counts`` (>= 1), one entry a group."""

    sums: Numbers
    counts: NDArray[np.signedinteger]

    @property
    def mean(self) -> float:
        """The mean over all values, each counting the same."""
        return float(self.sums.sum() / self.counts.sum())


def by_group(values: Sequence[float], groups: Sequence[str] | None) -> Grouped:
    """Sum values over groups, in the order of their names; without groups each is its own."""
    array = np.asarray(values, np.float64)
    names = np.arange(array.size) if groups is None else np.asarray(groups)
    if names.size != array.size:
        raise ValueError(f"expected a group for each of {array.size} values, got {names.size}")
    _, member = np.unique(names, return_inverse=True)
    sums = np.asarray(np.bincount(member, weights=array), np.float64)
    return Grouped(sums, np.bincount(member))


def resampled_means(grouped: Grouped, seed: int, resamples: int) -> Numbers:
    """Means of `resamples` samples, each of as many groups as there are, drawn with replacement."""
    number = grouped.counts.size
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // number)
    means = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(number, size=(min(rows, resamples - start), number))
        means.append(grouped.sums[drawn].sum(axis=1) / grouped.counts[drawn].sum(axis=1))
    return np.concatenate(means)


def bca_tails(grouped: Grouped, means: Numbers, level: float) -> tuple[float, float] | str:
    """The shares of `means` below the two BCa limits, or why there are none.

    Bias correction from the share of means below the sample's (ties count half), acceleration
    from the means without one group each. Efron 1987, doi:10.1080/01621459.1987.10478410.
    """
    pulls = _pulls(grouped)
    rounding = _ROUNDING * float(np.abs(grouped.sums / grouped.counts).max())
    if float(np.abs(pulls).max()) <= rounding:
        return "every group has the same mean"
    above = means - grouped.mean
    below = float((above < -rounding).mean() + (above <= rounding).mean()) / 2
    if not 0 < below < 1:
        return "all resampled means lie on one side of the mean"
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    acceleration = float((pulls**3).sum() / (6 * (pulls**2).sum() ** 1.5))
    tail = (1 - level) / 2
    tails = []
    for z in (normal.inv_cdf(tail), normal.inv_cdf(1 - tail)):
        scale = 1 - acceleration * (bias + z)
        if scale <= 0:
            return "the sample is too skewed"
        tails.append(normal.cdf(bias + (bias + z) / scale))
    if not 1 / means.size <= tails[0] < tails[1] <= 1 - 1 / means.size:
        return "the corrected limits lie beyond the resampled means"
    return tails[0], tails[1]


def _pulls(grouped: Grouped) -> Numbers:
    """By how much each group pulls the mean: the jackknife's mean less the mean without it."""
    left_sums = grouped.sums.sum() - grouped.sums
    left_counts = grouped.counts.sum() - grouped.counts
    without = left_sums / left_counts
    return np.asarray(without.mean() - without, np.float64)
