"""Intervals: bootstrap for a mean, Wilson for a proportion."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from featherseg.stats.bootstrap import bca_tails, by_group, resampled_means

RESAMPLES = 5000
LEVEL = 0.95
# Bootstrap intervals of a mean are rough below about 50 cases (arXiv:2307.10926).
SMALL_SAMPLE = 50


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval of a mean.

    ``method`` says how it was made; ``note`` why it is a percentile interval where BCa was
    asked for, '' otherwise.
    """

    low: float
    high: float
    method: Literal["bca", "percentile"]
    note: str = ""


@dataclass(frozen=True)
class Summary:
    """The distribution of a metric over images.

    None where it is not defined: the mean and median of nothing, the standard deviation of one
    value, the interval of one group. ``small_sample`` says that fewer than 50 groups stand
    behind the interval; ``interval`` names its method, ``interval_note`` why it is not BCa.
    """

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    sd: float | None
    median: float | None
    n: int
    small_sample: bool
    interval: Literal["bca", "percentile"] | None
    interval_note: str


def describe(
    values: Sequence[float], seed: int = 0, *, groups: Sequence[str] | None = None
) -> Summary:
    """Mean with its 95 % bootstrap interval, standard deviation (n - 1), median and n.

    `groups` names what each value belongs to (a patient); see `mean_interval`.
    """
    array = np.asarray(values, np.float64)
    found = mean_interval(values, seed, groups=groups)
    return Summary(
        mean=float(array.mean()) if array.size else None,
        ci_low=found.low if found else None,
        ci_high=found.high if found else None,
        sd=float(array.std(ddof=1)) if array.size > 1 else None,
        median=float(np.median(array)) if array.size else None,
        n=array.size,
        small_sample=len(set(groups if groups is not None else range(array.size))) < SMALL_SAMPLE,
        interval=found.method if found else None,
        interval_note=found.note if found else "fewer than two groups",
    )


def mean_interval(
    values: Sequence[float],
    seed: int,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    *,
    groups: Sequence[str] | None = None,
) -> Interval | None:
    """The BCa interval of a mean where it is defined, else the percentile one, saying why.

    None for fewer than two groups. Arguments as for `bootstrap_interval`.
    """
    found = bca_interval(values, seed, level, resamples, groups=groups)
    if not isinstance(found, str):
        return Interval(*found, method="bca")
    plain = bootstrap_interval(values, seed, level, resamples, groups=groups)
    return Interval(*plain, method="percentile", note=found) if plain else None


def bca_interval(
    values: Sequence[float],
    seed: int,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    *,
    groups: Sequence[str] | None = None,
) -> tuple[float, float] | str:
    """The bias-corrected and accelerated interval (low, high) of the mean, or why there is none.

    Unlike the percentile interval it follows the skew of bounded scores and of distances. There
    is none for fewer than two groups, for equal groups, and where its limits lie beyond the
    resampled means. Efron 1987, doi:10.1080/01621459.1987.10478410; whole groups are drawn, and
    left out one by one for the acceleration.
    """
    grouped = by_group(values, groups)
    if grouped.counts.size < 2:
        return "fewer than two groups"
    means = resampled_means(grouped, seed, resamples)
    tails = bca_tails(grouped, means, level)
    if isinstance(tails, str):
        return tails
    low, high = np.quantile(means, tails)
    return float(low), float(high)


def bootstrap_interval(
    values: Sequence[float],
    seed: int,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    *,
    groups: Sequence[str] | None = None,
) -> tuple[float, float] | None:
    """The percentile bootstrap interval (low, high) of the mean; None for fewer than two groups.

    With `groups` whole groups are drawn, with all their values; without, every value is its own.
    The same seed gives the same interval. Efron 1979, doi:10.1214/aos/1176344552.
    """
    grouped = by_group(values, groups)
    if grouped.counts.size < 2:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(resampled_means(grouped, seed, resamples), [tail, 1 - tail])
    return float(low), float(high)


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
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
