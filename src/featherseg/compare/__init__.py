"""Several runs scored on the same cases, compared case by case."""

from featherseg.compare.comparison import DEFAULT_METRICS, Comparison, compare
from featherseg.compare.presence import PresenceComparison
from featherseg.compare.runs import BASELINE, Run, load_runs
from featherseg.compare.scores import COMPARABLE, MetricComparison, Standing, Versus

__all__ = [
    "BASELINE",
    "COMPARABLE",
    "DEFAULT_METRICS",
    "Comparison",
    "MetricComparison",
    "PresenceComparison",
    "Run",
    "Standing",
    "Versus",
    "compare",
    "load_runs",
]
