"""What a report and the terminal both say about a summary."""

from collections.abc import Iterator, Mapping
from typing import Any

# Key of a summary (without the unit of a distance) -> its name for people.
_METRIC_NAMES: Mapping[str, str] = {
    "dice_lesion": "Dice",
    "dice_all": "Dice",
    "iou_lesion": "IoU",
    "iou_all": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Accuracy",
    "hd95": "HD95",
    "assd": "ASSD",
}


def averages(summary: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Name with its unit, digits worth showing, and entry of every average, in its order."""
    for key, entry in summary.items():
        name = _METRIC_NAMES.get(key.removesuffix("_px").removesuffix("_mm"))
        if name is None:
            continue
        unit = entry.get("unit")
        yield (f"{name} ({unit})", 1, entry) if unit else (name, 3, entry)


def notes(summary: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing a figure."""
    found = []
    if summary["subset"] and summary["subset"] == summary["chosen_on"]:
        found.append(
            f"The {summary['subset']} subset chose the epoch and the operating point of this "
            "model: these figures are too good. Score the test subset before you report any."
        )
    if summary["external"]:
        found.append("These images are not those of the model's split: an external test.")
    if summary["subset"] == "all" and summary["external"] is False:
        found.append(
            "These images include those the model was trained on: these figures say how well "
            "it remembers, not how well it does."
        )
    if summary["dice_all"]["small_sample"]:
        found.append(
            f"Fewer than 50 independent cases ({summary['n_groups']}): the intervals are rough."
        )
    return found
