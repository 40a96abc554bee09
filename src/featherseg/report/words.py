"""What a report and the terminal both say about a summary."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

# Key of a summary (without the unit of a distance) -> its name for people.
METRIC_NAMES: Mapping[str, str] = {
    "dice_lesion": "Dice",
    "dice_all": "Dice",
    "iou_lesion": "IoU",
    "iou_all": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "accuracy": "Accuracy",
    "hd95": "HD95",
    "assd": "ASSD",
    "nsd": "NSD",
    "boundary_iou": "Boundary IoU",
    "hd": "Hausdorff distance",
    "hd95_pooled": "HD95, pooled",
    "centroid_error": "Centroid error",
    "area_error": "Relative area error",
    "area_error_abs": "Relative area error",
    "area_difference": "Area difference",
    "false_positive_area": "False-positive area",
    "false_positive_share": "False-positive share",
    "specificity": "Specificity of pixels",
    "iou_mean": "Mean IoU of two classes",
    "isic_jaccard": "ISIC threshold Jaccard",
    "kaggle_dice": "Kaggle Dice",
    "auc": "AUC of pixels",
    "average_precision": "Average precision",
    "brier": "Brier score",
    "brier_band": "Brier score, near the outline",
    "ece_band": "ECE, near the outline",
    "confidence": "Confidence",
}
# What says most, and fits a terminal; a summary has all.
HEADLINE = (
    "dice_lesion",
    "dice_all",
    "iou_lesion",
    "precision",
    "recall",
    "hd95",
    "assd",
    "nsd",
    "boundary_iou",
)
# Splits that nothing crosses; None where no split was made.
_SAFE_PROTOCOLS = (None, "", "safe", "blocks")
# A tenth of a pixel or a hundredth of a millimeter is finer than any outline is drawn.
_DIGITS = {"px": 1, "mm": 2, "mm2": 1, "": 3}


def averages(
    summary: Mapping[str, Any], keys: Collection[str] = tuple(METRIC_NAMES)
) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Name with its unit, digits worth showing, and entry of every average, in its order.

    `keys` limits them, as `HEADLINE` does; a key stands for all its units.
    """
    for key, entry in summary.items():
        plain = metric_key(key)
        if plain not in METRIC_NAMES or plain not in keys:
            continue
        name, unit = METRIC_NAMES[plain], entry.get("unit", "")
        if "tolerance" in entry:
            name = f"{name} at {entry['tolerance']:g} {entry['tolerance_unit']}"
        yield (f"{name} ({unit})" if unit else name), _DIGITS.get(unit, 1), entry


def metric_key(key: str) -> str:
    """The key of an average without the unit that tables of two units add to it.

    >>> metric_key("hd95_px"), metric_key("area_difference_mm2"), metric_key("dice_all")
    ('hd95', 'area_difference', 'dice_all')
    """
    return key.removesuffix("_px").removesuffix("_mm").removesuffix("_mm2")


def notes(summary: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing a figure."""
    found = []
    if summary["subset"] and summary["subset"] == summary["chosen_on"]:
        found.append(
            f"The {summary['subset']} subset chose the epoch and the operating point of this "
            "model: these figures are too good. Score the test subset before you report any."
        )
    if summary["protocol"] not in _SAFE_PROTOCOLS:
        found.append(
            f"The split follows the protocol '{summary['protocol']}': duplicates or patients may "
            "cross it, and these figures may be too good."
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
