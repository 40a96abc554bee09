"""Intervals: bootstrap for a mean, Wilson for a proportion."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 5000
# Bootstrap intervals of a mean are rough below about 50 cases (arXiv:2307.10926).
SMALL_SAMPLE = 50
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Summary:
    """The distribution of a metric over images.

    None where it is not defined: the mean and median of nothing, the standard deviation of one
    value, the interval of one group. ``small_sample`` says that fewer than 50 groups stand
    behind the interval.
    """

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    sd: float | None
    median: float | None
    n: int
    small_sample: bool


def describe(
    values: Sequence[float], seed: int = 0, *, groups: Sequence[str] | None = None
) -> Summary:
    """Mean with a 95 % bootstrap interval, standard deviation (n - 1), median and n.

    `groups` names what each value belongs to (a patient); see `bootstrap_interval`.
    """
    array = np.asarray(values, np.float64)
    interval = bootstrap_interval(values, seed, groups=groups)
    low, high = interval if interval else (None, None)
    return Summary(
        mean=float(array.mean()) if array.size else None,
        ci_low=low,
        ci_high=high,
        sd=float(array.std(ddof=1)) if array.size > 1 else None,
        median=float(np.median(array)) if array.size else None,
        n=array.size,
        small_sample=len(set(groups if groups is not None else range(array.size))) < SMALL_SAMPLE,
    )


def bootstrap_interval(
    values: Sequence[float],
    seed: int,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    *,
    groups: Sequence[str] | None = None,
) -> tuple[float, float] | None:
    """The percentile bootstrap interval (low, high) of the mean; None for fewer than two groups.

    With `groups` whole groups are drawn, with all their values (cluster bootstrap; Field and
    Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x); without, every value is its own. The same
    seed gives the same interval. Efron 1979, doi:10.1214/aos/1176344552.
    """
    array = np.asarray(values, np.float64)
    names = np.arange(array.size) if groups is None else np.asarray(groups)
    if names.size != array.size:
        raise ValueError(f"expected a group for each of {array.size} values, got {names.size}")
    _, member = np.unique(names, return_inverse=True)
    counts = np.bincount(member)
    if counts.size < 2:
        return None
    sums = np.bincount(member, weights=array)
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWS_AT_ONCE // counts.size)
    means = [
        sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
        for start in range(0, resamples, rows)
        for drawn in [
            generator.integers(counts.size, size=(min(rows, resamples - start), counts.size))
        ]
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (low, high) of a proportion; (0, 1) when there was no trial.

    Unlike the normal approximation it stays in [0, 1] and has a width at 0 and n successes.
    Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"expected 0 to {n} successes of {n}, got {successes}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    proportion = successes / n
    scale = 1 + z * z / n
    center = (proportion + z * z / (2 * n)) / scale
    half = z / scale * (proportion * (1 - proportion) / n + z * z / (4 * n * n)) ** 0.5
    # At 0 and n successes one bound is exactly 0 or 1, which rounding would miss.
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return low, high
