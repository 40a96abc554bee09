"""What each condition changes: paired differences of the same cases, from their table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from featherseg.case_table import Row
from featherseg.stats import Interval, mean_interval
from featherseg.stress.conditions import Condition, conditions
from featherseg.stress.rescore import MARK

_DECIMALS = 6

# metric -> value, of one case under one condition
Scores = Mapping[str, float | None]
Table = dict[str, dict[str, float | None]]


def summarize_stress(
    rows: Iterable[Row], under: Sequence[Condition] = conditions(), seed: int = 0
) -> dict[str, Any]:
    """What each condition changes, from the table: a dictionary for JSON.

    ``conditions`` holds for each its name, kind, meaning, n (images it concerns), n_groups,
    ``lesions_lost`` (images whose lesion a crop cut away) and four paired changes: ``dice_lesion``
    (images with a lesion in both forms), ``dice_all`` (both empty = 1), ``sensitivity`` and
    ``specificity`` of presence. Each has n, means ``before`` and ``after``, the mean
    ``difference`` with a 95 % interval that draws whole groups, and a ``verdict``: better or
    worse where the interval leaves out 0, tie where it holds 0, unknown without two groups.
    Intervals are not adjusted for the number of conditions.
    """
    tables, groups = _tables(rows)
    plain = tables.get("", {})
    entries = []
    for condition in under:
        changed = tables.get(condition.name, {})
        entries.append(
            {
                "name": condition.name,
                "kind": condition.kind,
                "meaning": condition.meaning,
                "n": len(changed),
                "n_groups": len({groups[case] for case in changed}),
                "lesions_lost": sum(
                    _has_lesion(plain[case]) and not _has_lesion(scores)
                    for case, scores in changed.items()
                ),
                **{
                    figure: _change(plain, changed, groups, value, seed)
                    for figure, value in _FIGURES.items()
                },
            }
        )
    return {"seed": seed, "n": len(plain), "conditions": entries}


def _tables(rows: Iterable[Row]) -> tuple[dict[str, Table], dict[str, str]]:
    """condition -> case -> metric -> value, and case -> group."""
    tables: dict[str, Table] = {}
    groups: dict[str, str] = {}
    for row in rows:
        metric, _, condition = row.metric.partition(MARK)
        groups[row.case] = row.group
        tables.setdefault(condition, {}).setdefault(row.case, {})[metric] = row.value
    return tables, groups


def _change(
    plain: Mapping[str, Scores],
    changed: Mapping[str, Scores],
    groups: Mapping[str, str],
    value: Callable[[Scores], float | None],
    seed: int,
) -> dict[str, Any]:
    pairs = [(case, value(plain[case]), value(changed[case])) for case in changed]
    both = [(case, a, b) for case, a, b in pairs if a is not None and b is not None]
    differences = [after - before for _, before, after in both]
    found = mean_interval(differences, seed, groups=[groups[case] for case, _, _ in both])
    return {
        "n": len(both),
        "before": _mean([before for _, before, _ in both]),
        "after": _mean([after for _, _, after in both]),
        "difference": _mean(differences),
        "low": None if found is None else round(found.low, _DECIMALS),
        "high": None if found is None else round(found.high, _DECIMALS),
        "interval": None if found is None else found.method,
        "verdict": _verdict(found),
    }


def _verdict(found: Interval | None) -> str:
    if found is None:
        return "unknown"
    if found.low > 0:
        return "better"
    return "worse" if found.high < 0 else "tie"


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), _DECIMALS) if values else None


def _labels_of(scores: Scores, metric: str) -> dict[str, float | None]:
    """label ('' for a single one) -> value"""
    parts = {name.partition(":") for name in scores}
    return {
        label: scores[f"{name}{colon}{label}"] for name, colon, label in parts if name == metric
    }


def _has_lesion(scores: Scores) -> bool:
    return any(_labels_of(scores, "area_true").values())


def _dice_lesion(scores: Scores) -> float | None:
    true = _labels_of(scores, "area_true")
    values = [value or 0.0 for label, value in _labels_of(scores, "dice").items() if true[label]]
    return _mean(values)


def _dice_all(scores: Scores) -> float | None:
    return _mean([1.0 if value is None else value for value in _labels_of(scores, "dice").values()])


def _seen(scores: Scores) -> float | None:
    return float(any(_labels_of(scores, "area_found").values())) if _has_lesion(scores) else None


def _left_alone(scores: Scores) -> float | None:
    found = any(_labels_of(scores, "area_found").values())
    return None if _has_lesion(scores) else float(not found)


_FIGURES: Mapping[str, Callable[[Scores], float | None]] = {
    "dice_lesion": _dice_lesion,
    "dice_all": _dice_all,
    "sensitivity": _seen,
    "specificity": _left_alone,
}
