"""What a network that never finds anything would score on the same images."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from featherseg.metrics import DISTANCE_METRICS
from featherseg.summary.averages import (
    count_presence,
    entries,
    mean_defined,
    presence_figures,
    rounded,
)
from featherseg.summary.table import ScoredCase, Scores

_ZERO_WHEN_MISSED = (
    "dice",
    "iou",
    "precision",
    "recall",
    "nsd",
    "boundary_iou",
    "isic_jaccard",
    "kaggle_dice",
)


def all_empty(
    cases: Sequence[ScoredCase], labels: Sequence[str], names: Iterable[str]
) -> dict[str, Any]:
    """Means and presence of empty masks, by the rule, from the table alone.

    Of the averages `names`, those that follow from the truth; distances and accuracy need the
    rows `diagonal_image` and `area_image`. On many normal images `dice_all` is high: it must be
    beaten, not admired.
    """
    emptied = [
        replace(
            case,
            labels={label: found_nothing(case, case.labels[label]) for label in labels},
        )
        for case in cases
    ]
    means = {
        key: entry
        for name in names
        for key, entry in entries(name, emptied, labels, _mean).items()
        if entry["n"]
    }
    return {**means, "presence": presence_figures(count_presence(emptied, labels))}


def found_nothing(case: ScoredCase, scores: Scores) -> dict[str, float | None]:
    """The scores of one label as they would be had nothing been found."""
    area_true, area_image = scores["area_true"], case.facts.get("area_image") or None
    background = None if area_image is None else 1.0 - (area_true or 0.0) / area_image
    common = {"area_true": area_true, "area_found": 0.0, "accuracy": background}
    if not area_true:
        return {
            **common,
            "specificity": 1.0,
            "kaggle_dice": 1.0,
            "false_positive_area": 0.0,
            "false_positive_share": 0.0,
            **dict.fromkeys(("dice", "iou")),
        }
    return {
        **common,
        "specificity": None if area_image == area_true else 1.0,
        "iou_mean": None if background is None else background / 2,
        "area_error": -1.0,
        **dict.fromkeys(_ZERO_WHEN_MISSED, 0.0),
        **dict.fromkeys(DISTANCE_METRICS, case.facts.get("diagonal_image")),
    }


def _mean(values: Sequence[float], _: Sequence[str]) -> dict[str, Any]:
    return rounded({"mean": mean_defined(values), "n": len(values)})
