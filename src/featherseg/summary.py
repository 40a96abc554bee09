"""The per-case table to the summary of an evaluation (summary.json).

Everything here can be made again from cases.csv: `summarize_cases` does. Only the stamp, which
says what was scored and what chose the model, comes from elsewhere.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from featherseg.case_table import Row, cases_csv, read_cases_csv
from featherseg.errors import DataError
from featherseg.metrics import EMPTY_MASK_RULE, presence
from featherseg.metrics.presence import Presence
from featherseg.stats import describe, wilson
from featherseg.storage import sha256_bytes

SCHEMA = "featherseg.summary/1"
WORST_CASES = 10
_DECIMALS = 6
_SEED = 0

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Stamp:
    """What a summary is about, and what it rests on; None where it is not known.

    ``external`` says that the images are not those the model's split was made from;
    ``chosen_on`` names the subset that chose epoch and operating point; ``model`` holds an id
    and a kind, never a path.
    """

    subset: str | None = None
    external: bool | None = None
    protocol: str | None = None
    split_sha256: str | None = None
    images_sha256: str | None = None
    chosen_on: str | None = None
    model: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Case:
    """All scores of one image: for each label its metrics, and the unit of distances."""

    id: str
    group: str
    class_name: str
    labels: Mapping[str, Scores]
    unit: str


@dataclass(frozen=True)
class _Over:
    """Over which images a metric is averaged: the value of one label, None where it is left out."""

    text: str
    value: Callable[[Scores, str], float | None]


_LESION = _Over(
    "images with a lesion",
    lambda scores, metric: scores[metric] if scores["area_true"] else None,
)
_ALL = _Over(
    "all images, both empty = 1",
    lambda scores, metric: scores[metric] if scores["area_true"] or scores["area_found"] else 1.0,
)
_EVERY = _Over("all images", lambda scores, metric: scores[metric])
_DEFINED = _Over("images where it is defined", lambda scores, metric: scores[metric])

# What a summary averages: name -> (metric, over which images).
AVERAGES: Mapping[str, tuple[str, _Over]] = {
    "dice_lesion": ("dice", _LESION),
    "dice_all": ("dice", _ALL),
    "iou_lesion": ("iou", _LESION),
    "iou_all": ("iou", _ALL),
    "precision": ("precision", _DEFINED),
    "recall": ("recall", _LESION),
    "accuracy": ("accuracy", _EVERY),
    "hd95": ("hd95", _LESION),
    "assd": ("assd", _LESION),
}


def summarize(rows: Sequence[Row], stamp: Stamp) -> dict[str, Any]:
    """The summary of a per-case table, ready for JSON.

    With several labels an image's value is the mean over its labels, and `per_label` holds
    each label's own. Raises DataError for a table without cases or with rows missing.
    """
    cases = _gather(rows)
    labels = list(cases[0].labels)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        **asdict(stamp),
        "cases_sha256": sha256_bytes(cases_csv(rows).encode()),
        "rule": list(EMPTY_MASK_RULE),
        **_figures(cases, labels),
        "per_class": {
            name: _figures([case for case in cases if case.class_name == name], labels)
            for name in sorted({case.class_name for case in cases} - {""})
        },
    }
    if len(labels) > 1:
        summary["per_label"] = {label: _figures(cases, [label]) for label in labels}
    return {**summary, "worst_cases": _worst(cases)}


def summarize_cases(path: Path) -> dict[str, Any]:
    """Make the summary of a cases.csv again.

    The stamp is taken from the summary.json beside it where there is one; no figure is.
    """
    rows = read_cases_csv(path)
    return summarize(rows, _stamp_beside(path))


def _stamp_beside(path: Path) -> Stamp:
    beside = path.with_name("summary.json")
    if not beside.is_file():
        return Stamp()
    try:
        known = json.loads(beside.read_text(encoding="utf-8"))
        return Stamp(**{name: known[name] for name in Stamp.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{beside}: expected a summary of FeatherSeg ({error}); move it away to go without"
        ) from error


def case_values(rows: Sequence[Row], name: str) -> dict[str, float | None]:
    """What `name` of `AVERAGES` averages, by case; None for a case that it leaves out."""
    cases = _gather(rows)
    labels = list(cases[0].labels)
    return {case.id: _image_value(name, case, labels) for case in cases}


def _gather(rows: Iterable[Row]) -> list[_Case]:
    """The table by case; every case must hold every metric of every label."""
    about: dict[str, Row] = {}
    scores: dict[str, dict[str, dict[str, float | None]]] = {}
    units: dict[str, str] = {}
    for row in rows:
        metric, _, label = row.metric.partition(":")
        about.setdefault(row.case, row)
        known = scores.setdefault(row.case, {}).setdefault(label, {})
        if metric in known:
            raise DataError(f"case '{row.case}': the metric {row.metric} stands there twice")
        known[metric] = row.value
        if metric == "hd95":
            units[row.case] = row.unit
    if not about:
        raise DataError("expected a table of at least one case, got none")
    needed = {"area_true", "area_found"} | {metric for metric, _ in AVERAGES.values()}
    labels = set(next(iter(scores.values())))
    for case, found in scores.items():
        if set(found) != labels or any(not needed <= set(metrics) for metrics in found.values()):
            raise DataError(f"case '{case}': expected all metrics of all labels, some are missing")
    return [
        _Case(case, row.group, row.class_name, scores[case], units[case])
        for case, row in about.items()
    ]


def _figures(cases: Sequence[_Case], labels: Sequence[str]) -> dict[str, Any]:
    """Counts, averages and presence of some images."""
    areas = [
        (_area(case, labels, "area_true"), _area(case, labels, "area_found")) for case in cases
    ]
    counts = presence.presence(areas)
    lesions = counts.seen + counts.missed
    return {
        "n": len(cases),
        "n_groups": len({case.group for case in cases}),
        "n_lesion": lesions,
        "n_normal": len(cases) - lesions,
        **{
            key: found for name in AVERAGES for key, found in _averages(name, cases, labels).items()
        },
        "presence": _presence(counts),
    }


def _area(case: _Case, labels: Sequence[str], name: str) -> float:
    return sum(case.labels[label][name] or 0 for label in labels)


def _averages(name: str, cases: Sequence[_Case], labels: Sequence[str]) -> dict[str, Any]:
    """One entry; for a distance in two units, one entry a unit (`hd95_px`, `hd95_mm`)."""
    if name not in ("hd95", "assd"):
        return {name: _average(name, cases, labels)}
    units = sorted({case.unit for case in cases})
    entries = {}
    for unit in units:
        key = name if len(units) == 1 else f"{name}_{unit}"
        same = [case for case in cases if case.unit == unit]
        entries[key] = {**_average(name, same, labels), "unit": unit}
    return entries


def _average(name: str, cases: Sequence[_Case], labels: Sequence[str]) -> dict[str, Any]:
    values, groups = [], []
    for case in cases:
        value = _image_value(name, case, labels)
        if value is not None:
            values.append(value)
            groups.append(case.group)
    described = asdict(describe(values, _SEED, groups=groups))
    return {**_rounded(described), "over": AVERAGES[name][1].text}


def _image_value(name: str, case: _Case, labels: Sequence[str]) -> float | None:
    """The mean over the labels that count in this image; None when none does."""
    metric, over = AVERAGES[name]
    return _mean_defined(over.value(case.labels[label], metric) for label in labels)


def _mean_defined(values: Iterable[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _presence(counts: Presence) -> dict[str, Any]:
    lesions = counts.seen + counts.missed
    normals = counts.true_negatives + counts.false_alarms
    return {
        "sensitivity": _proportion(counts.seen, lesions),
        "specificity": _proportion(counts.true_negatives, normals),
        "missed": counts.missed,
        "false_alarms": counts.false_alarms,
    }


def _proportion(successes: int, n: int) -> dict[str, Any]:
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = wilson(successes, n)
    return _rounded({"value": successes / n, "low": low, "high": high, "n": n})


def _worst(cases: Sequence[_Case]) -> list[dict[str, Any]]:
    """The lowest Dice first, of equals the farthest outline; images both empty are left out."""
    scored = []
    for case in cases:
        labels = list(case.labels)
        dice = _mean_defined(case.labels[label]["dice"] for label in labels)
        if dice is None:
            continue
        distance = _image_value("hd95", case, labels)
        scored.append((dice, -(distance or 0.0), case, distance))
    scored.sort(key=lambda item: (item[0], item[1], item[2].id))
    return [
        {
            "case": case.id,
            "class": case.class_name,
            "kind": _kind(case),
            "dice": round(dice, _DECIMALS),
            "hd95": None if distance is None else round(distance, _DECIMALS),
            "unit": case.unit,
        }
        for dice, _, case, distance in scored[:WORST_CASES]
    ]


def _kind(case: _Case) -> str:
    labels = list(case.labels)
    if not _area(case, labels, "area_true"):
        return "false alarm"
    return "found" if _area(case, labels, "area_found") else "missed"


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, _DECIMALS) if isinstance(value, float) else value
        for name, value in values.items()
    }
