"""Metrics of one image, and the one rule for empty masks.

The rule is explained in docs/evaluation.md; `EMPTY_MASK_RULE` is the same in a few lines, to
be printed wherever scores are.
"""

from featherseg.metrics.score import (
    DISTANCE_METRICS,
    RELIABILITY_PROBABILITY,
    RELIABILITY_SHARE,
    RELIABILITY_TRUE,
    Scores,
    diagonal,
    nsd_tolerance,
    score_masks,
)

__all__ = [
    "DISTANCE_METRICS",
    "EMPTY_MASK_RULE",
    "RELIABILITY_PROBABILITY",
    "RELIABILITY_SHARE",
    "RELIABILITY_TRUE",
    "Scores",
    "diagonal",
    "nsd_tolerance",
    "score_masks",
]

EMPTY_MASK_RULE = (
    "truth empty and found empty: overlap undefined, counted as a true negative",
    "truth empty, found not: Dice, IoU, precision, NSD 0, a false alarm, distances undefined",
    "missed lesion: Dice, IoU, precision, recall, NSD 0, distances = the image diagonal",
    "never NaN in a mean, never dropped",
)
