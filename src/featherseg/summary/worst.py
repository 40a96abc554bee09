"""The cases to look at first."""

from collections.abc import Sequence
from typing import Any

from featherseg.summary.averages import image_value, mean_defined, rounded
from featherseg.summary.table import ScoredCase

WORST_CASES = 10


def worst_cases(cases: Sequence[ScoredCase]) -> list[dict[str, Any]]:
    """The lowest Dice first, of equals the farthest outline; images both empty are left out."""
    scored = []
    for case in cases:
        labels = list(case.labels)
        dice = mean_defined(case.labels[label]["dice"] for label in labels)
        if dice is None:
            continue
        distance = image_value("hd95", case, labels)
        scored.append((dice, -(distance or 0.0), case, distance))
    scored.sort(key=lambda item: (item[0], item[1], item[2].id))
    return [
        rounded(
            {
                "case": case.id,
                "class": case.class_name,
                "kind": _kind(case),
                "dice": dice,
                "hd95": distance,
                "unit": case.unit,
            }
        )
        for dice, _, case, distance in scored[:WORST_CASES]
    ]


def _kind(case: ScoredCase) -> str:
    labels = list(case.labels)
    if not case.area(labels, "area_true"):
        return "false alarm"
    return "found" if case.area(labels, "area_found") else "missed"
