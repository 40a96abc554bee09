"""What a summary averages, over which images, in which unit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from featherseg.metrics import presence
from featherseg.metrics.presence import Presence
from featherseg.stats import describe, wilson
from featherseg.summary.table import CORE_METRICS, ScoredCase, Scores

_DECIMALS = 6
_SEED = 0
_TAILS = (5, 95)

Describe = Callable[[Sequence[float], Sequence[str]], dict[str, Any]]


@dataclass(frozen=True)
class Over:
    """Over which images a metric is averaged: the value of one label, None where it is left out."""

    text: str
    value: Callable[[Scores, str], float | None]


@dataclass(frozen=True)
class Average:
    """A metric of the table and the images it is averaged over.

    ``unit`` says where its unit comes from: a "distance" is in px or mm, an "area" in px or
    mm2, as the case has it; "pixels" is always px; "tolerance" is a share without a unit, at a
    tolerance in px or mm.
    """

    metric: str
    over: Over
    unit: Literal["", "distance", "area", "pixels", "tolerance"] = ""


LESION = Over(
    "images with a lesion",
    lambda scores, metric: scores.get(metric) if scores["area_true"] else None,
)
_LESION_SIZE = Over(
    "images with a lesion, without sign",
    lambda scores, metric: _absolute(scores.get(metric)) if scores["area_true"] else None,
)
_NORMAL = Over(
    "images without a lesion",
    lambda scores, metric: None if scores["area_true"] else scores.get(metric),
)
_ALL = Over(
    "all images, both empty = 1",
    lambda scores, metric: scores[metric] if scores["area_true"] or scores["area_found"] else 1.0,
)
_EVERY = Over("all images", lambda scores, metric: scores.get(metric))
_DEFINED = Over("images where it is defined", lambda scores, metric: scores.get(metric))

# What a summary averages: name -> metric, over which images, unit.
AVERAGES: Mapping[str, Average] = {
    "dice_lesion": Average("dice", LESION),
    "dice_all": Average("dice", _ALL),
    "iou_lesion": Average("iou", LESION),
    "iou_all": Average("iou", _ALL),
    "precision": Average("precision", _DEFINED),
    "recall": Average("recall", LESION),
    "accuracy": Average("accuracy", _EVERY),
    "hd95": Average("hd95", LESION, "distance"),
    "assd": Average("assd", LESION, "distance"),
    "nsd": Average("nsd", LESION, "tolerance"),
    "boundary_iou": Average("boundary_iou", LESION),
    "hd": Average("hd", LESION, "distance"),
    "hd95_pooled": Average("hd95_pooled", LESION, "distance"),
    "centroid_error": Average("centroid_error", LESION, "distance"),
    "area_error": Average("area_error", LESION),
    "area_error_abs": Average("area_error", _LESION_SIZE),
    "area_difference": Average("area_difference", LESION, "area"),
    "false_positive_area": Average("false_positive_area", _NORMAL, "pixels"),
    "false_positive_share": Average("false_positive_share", _NORMAL),
    "specificity": Average("specificity", _DEFINED),
    "iou_mean": Average("iou_mean", _DEFINED),
    "isic_jaccard": Average("isic_jaccard", _DEFINED),
    "kaggle_dice": Average("kaggle_dice", _EVERY),
    "auc": Average("auc", _DEFINED),
    "average_precision": Average("average_precision", LESION),
    "brier": Average("brier", _EVERY),
    "brier_band": Average("brier_band", LESION),
    "ece_band": Average("ece_band", LESION),
    "confidence": Average("confidence", _EVERY),
}
# Averages of every table, and of its parts: classes, labels and subgroups.
CORE_AVERAGES = tuple(name for name, average in AVERAGES.items() if average.metric in CORE_METRICS)
PART_AVERAGES = (*CORE_AVERAGES, "nsd", "boundary_iou")
# Rows that stand once for an image, whatever its labels.
_FACTS = ("confidence",)


def known_averages(cases: Sequence[ScoredCase]) -> list[str]:
    """The core averages, and the others of which the table holds a defined value."""
    held = {
        metric
        for case in cases
        for scores in (*case.labels.values(), case.facts)
        for metric, value in scores.items()
        if value is not None
    }
    return [
        name
        for name, average in AVERAGES.items()
        if name in CORE_AVERAGES or average.metric in held
    ]


def figures(
    cases: Sequence[ScoredCase], labels: Sequence[str], names: Iterable[str]
) -> dict[str, Any]:
    """Counts, the named averages with their intervals, and presence, of some images."""
    counts = count_presence(cases, labels)
    lesions = counts.seen + counts.missed
    return {
        "n": len(cases),
        "n_groups": len({case.group for case in cases}),
        "n_lesion": lesions,
        "n_normal": len(cases) - lesions,
        **{
            key: entry
            for name in names
            for key, entry in entries(name, cases, labels, with_interval).items()
        },
        "presence": presence_figures(counts),
    }


def entries(
    name: str, cases: Sequence[ScoredCase], labels: Sequence[str], describe_values: Describe
) -> dict[str, dict[str, Any]]:
    """One entry; where the images have two units, one entry a unit (`hd95_px`, `hd95_mm`)."""
    by_unit: dict[str, list[ScoredCase]] = {}
    for case in cases:
        by_unit.setdefault(unit_of(name, case), []).append(case)
    found = {}
    for unit, same in sorted(by_unit.items()) or [("", [])]:
        values, groups = [], []
        for case in same:
            value = image_value(name, case, labels)
            if value is not None:
                values.append(value)
                groups.append(case.group)
        key = name if len(by_unit) < 2 else f"{name}_{unit}"
        stated = _stated_unit(name, unit, same)
        over = AVERAGES[name].over.text
        found[key] = {**describe_values(values, groups), "over": over, **stated}
    return found


def image_value(name: str, case: ScoredCase, labels: Sequence[str]) -> float | None:
    """The mean over the labels that count in this image; None when none does."""
    average = AVERAGES[name]
    if average.metric in _FACTS:
        return case.facts.get(average.metric)
    return mean_defined(average.over.value(case.labels[label], average.metric) for label in labels)


def mean_defined(values: Iterable[float | None]) -> float | None:
    """The mean of what is not None; None for nothing."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def with_interval(values: Sequence[float], groups: Sequence[str]) -> dict[str, Any]:
    """`stats.describe` for JSON, with the 5th and 95th percentiles beside the median."""
    low, high = np.percentile(values, _TAILS).tolist() if values else (None, None)
    described = asdict(describe(values, _SEED, groups=groups))
    return rounded({**described, "p5": low, "p95": high})


def count_presence(cases: Sequence[ScoredCase], labels: Sequence[str]) -> Presence:
    """How many images with a lesion were seen, and how many without one left alone."""
    return presence.presence(
        (case.area(labels, "area_true"), case.area(labels, "area_found")) for case in cases
    )


def presence_figures(counts: Presence) -> dict[str, Any]:
    """Sensitivity and specificity of images with Wilson's intervals, and the counts of errors."""
    lesions = counts.seen + counts.missed
    normals = counts.true_negatives + counts.false_alarms
    return {
        "sensitivity": _proportion(counts.seen, lesions),
        "specificity": _proportion(counts.true_negatives, normals),
        "missed": counts.missed,
        "false_alarms": counts.false_alarms,
    }


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with floats at six decimals, which are equal on every machine."""
    return {
        name: round(value, _DECIMALS) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _absolute(value: float | None) -> float | None:
    return None if value is None else abs(value)


def unit_of(name: str, case: ScoredCase) -> str:
    """In what an average of this case is: px, mm, mm2 or ''."""
    units = {
        "distance": case.unit,
        "area": f"{case.unit}2" if case.unit == "mm" else case.unit,
        "pixels": "px",
        "tolerance": case.tolerance[1] if case.tolerance else "",
    }
    return units.get(AVERAGES[name].unit, "")


def _stated_unit(name: str, unit: str, cases: Sequence[ScoredCase]) -> dict[str, Any]:
    """What an entry says of its unit; a share says at which tolerance it was taken."""
    if not unit:
        return {}
    if AVERAGES[name].unit != "tolerance":
        return {"unit": unit}
    tolerance = next(case.tolerance for case in cases if case.tolerance)
    return {"tolerance": tolerance[0], "tolerance_unit": unit}


def _proportion(successes: int, n: int) -> dict[str, Any]:
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = wilson(successes, n)
    return rounded({"value": successes / n, "low": low, "high": high, "n": n})
