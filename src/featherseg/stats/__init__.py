"""What is inferred from a table of cases: intervals here, paired comparisons in `stats.paired`."""

from featherseg.stats.intervals import (
    RESAMPLES,
    SMALL_SAMPLE,
    Interval,
    Summary,
    bca_interval,
    bootstrap_interval,
    describe,
    mean_interval,
    wilson,
)

__all__ = [
    "RESAMPLES",
    "SMALL_SAMPLE",
    "Interval",
    "Summary",
    "bca_interval",
    "bootstrap_interval",
    "describe",
    "mean_interval",
    "wilson",
]
