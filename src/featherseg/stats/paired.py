"""Tests of whether two runs differ on the same cases, and by how much.

A difference is one run's score less the other's on one case, so what makes a case hard cancels
out. Every p value here is two-sided.
"""

from collections.abc import Sequence
from math import comb, sqrt

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from featherseg.stats.bootstrap import by_group

Numbers = NDArray[np.float64]

# Up to here all 2^16 sign changes are counted; beyond, as many are drawn as give p = k / 10,000.
EXACT_GROUPS = 16
PERMUTATIONS = 9999
_SIGNS_AT_ONCE = 4_000_000
# Sums that differ by less than this share of their terms differ by rounding only.
_ROUNDING = 1e-12
_ROUNDING_DECIMALS = 12


def permutation_p(
    differences: Sequence[float],
    seed: int = 0,
    permutations: int = PERMUTATIONS,
    *,
    groups: Sequence[str] | None = None,
) -> float | None:
    """The p value of a mean difference when the sign of each group is exchanged.

    If two runs do not differ, either could have had the other's scores on all images of a
    patient: the p value is the share of sign changes with a mean at least as far from 0. All are
    counted for up to 16 groups that differ; beyond, `permutations` are drawn and the observed
    one is added to them (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585). None without
    differences. Assumes no distribution; small samples have a floor of 2 / 2^groups.
    """
    sums = by_group(differences, groups).sums
    if sums.size == 0:
        return None
    limit = _ROUNDING * float(np.abs(sums).sum())
    sums = sums[np.abs(sums) > limit]
    observed = abs(float(sums.sum())) - limit
    if sums.size <= EXACT_GROUPS:
        codes = np.arange(2 ** max(0, sums.size - 1))
        # The first sign stays: turning all signs around changes no distance from 0.
        signs = 1 - 2 * ((codes[:, np.newaxis] >> np.arange(sums.size)) & 1)
        return float((np.abs(signs @ sums) >= observed).mean())
    generator = np.random.default_rng(seed)
    rows = max(1, _SIGNS_AT_ONCE // sums.size)
    far = 0
    for start in range(0, permutations, rows):
        drawn = generator.integers(2, size=(min(rows, permutations - start), sums.size))
        far += int((np.abs((1 - 2 * drawn) @ sums) >= observed).sum())
    return (far + 1) / (permutations + 1)


def wilcoxon_p(
    differences: Sequence[float], *, groups: Sequence[str] | None = None
) -> float | None:
    """The p value of Wilcoxon's signed-rank test, of group means where groups are given.

    Differences of 0, as of lesions that both runs miss, are ranked and then left out (Pratt
    1959, doi:10.1080/01621459.1959.10501526). 1 where nothing differs, None without differences.
    """
    grouped = by_group(differences, groups)
    if grouped.counts.size == 0:
        return None
    tidied = _tidied(grouped.sums / grouped.counts)
    if not tidied.any():
        return 1.0
    return float(scipy.stats.wilcoxon(tidied, zero_method="pratt").pvalue)


def mcnemar_p(gained: int, lost: int) -> float:
    """The exact McNemar test of two runs' answers yes or no on the same cases.

    `gained` counts cases that only the first run has right, `lost` those that only the second
    has; where both are right or both wrong says nothing. McNemar 1947, doi:10.1007/BF02295996.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"expected counts of cases, got {gained} and {lost}")
    n = gained + lost
    tail = sum(comb(n, k) for k in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P values adjusted for being several, in the order given; None stays None and is not counted.

    Adjusted values below 0.05 keep the chance of any false finding below 0.05, whatever the
    dependence. Holm 1979, Scandinavian Journal of Statistics 6:65-70.
    """
    known = [(p, place) for place, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(sorted(known)):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted


def paired_t_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The p value of Student's paired t-test; None for fewer than two pairs or no spread.

    Takes the pairs as independent and their mean difference as normal.
    """
    differences = np.subtract(first, second, dtype=np.float64)
    n = differences.size
    spread = _sd(differences)
    if not spread:
        return None
    return _t_tail(float(differences.mean()) * sqrt(n) / spread, n - 1)


def welch_t_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The p value of Welch's t-test, which ignores that the cases are the same.

    For tables that do not say how they tested; None for fewer than two values or no spread.
    Welch 1947, doi:10.1093/biomet/34.1-2.28.
    """
    samples = [np.asarray(values, np.float64) for values in (first, second)]
    if min(sample.size for sample in samples) < 2:
        return None
    parts = [_sd(sample) ** 2 / sample.size for sample in samples]
    error = sum(parts)
    if not error:
        return None
    freedom = error**2 / sum(
        part**2 / (sample.size - 1) for part, sample in zip(parts, samples, strict=True)
    )
    return _t_tail(float(samples[0].mean() - samples[1].mean()) / sqrt(error), freedom)


def cohens_dz(differences: Sequence[float]) -> float | None:
    """The mean difference in its standard deviations (n - 1); None without spread.

    Lakens 2013, doi:10.3389/fpsyg.2013.00863.
    """
    array = np.asarray(differences, np.float64)
    spread = _sd(array)
    return float(array.mean()) / spread if spread else None


def superiority(differences: Sequence[float]) -> float | None:
    """The share of cases with a positive difference, ties counting half; None without cases.

    The probability of superiority of paired scores: Grissom and Kim 2012,
    doi:10.4324/9780203803233.
    """
    if not len(differences):
        return None
    return float((1 + np.sign(_tidied(np.asarray(differences, np.float64)))).mean() / 2)


def rank_biserial(differences: Sequence[float]) -> float | None:
    """How far positive ranks outweigh negative ones, -1 to 1; None where nothing differs.

    (W+ - W-) / (W+ + W-) over the ranks that `wilcoxon_p` uses. Kerby 2014,
    doi:10.2466/11.IT.3.1.
    """
    tidied = _tidied(np.asarray(differences, np.float64))
    if not tidied.any():
        return None
    ranks = scipy.stats.rankdata(np.abs(tidied)) * np.sign(tidied)
    return float(ranks.sum() / np.abs(ranks).sum())


def _tidied(differences: Numbers) -> Numbers:
    """Differences by the largest one, rounded so that equal ones are equal and 0 is 0."""
    largest = np.abs(differences).max(initial=0.0)
    if not largest:
        return differences
    return np.asarray(np.round(differences / largest, _ROUNDING_DECIMALS), np.float64)


def _sd(values: Numbers) -> float:
    """The standard deviation (n - 1); 0 for fewer than two values and where it is rounding."""
    if values.size < 2:
        return 0.0
    spread = float(values.std(ddof=1))
    return spread if spread > _ROUNDING * float(np.abs(values).max()) else 0.0


def _t_tail(t: float, freedom: float) -> float:
    """Both tails of Student's t distribution beyond t."""
    return float(2 * scipy.special.stdtr(freedom, -abs(t)))
