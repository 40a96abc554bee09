"""The per-case table, gathered by case."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from featherseg.case_table import Row
from featherseg.errors import DataError

# What every table holds for every label; whatever else it holds is summarized where it is.
CORE_METRICS = (
    "area_true",
    "area_found",
    "dice",
    "iou",
    "precision",
    "recall",
    "accuracy",
    "hd95",
    "assd",
)

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class ScoredCase:
    """All scores of one image.

    ``labels`` holds the metrics of each label (of the label '' where there is one only);
    ``facts`` what the table says of the image as a whole: the rows named without a label.
    ``unit`` is that of distances, px or mm; ``tolerance`` is that of nsd with its unit, None
    where the table does not say.
    """

    id: str
    group: str
    class_name: str
    labels: Mapping[str, Scores]
    facts: Scores
    unit: str
    tolerance: tuple[float, str] | None

    def area(self, labels: Sequence[str], name: str) -> float:
        """The sum of `area_true` or `area_found` over some labels, in pixels."""
        return sum(self.labels[label][name] or 0 for label in labels)


def gather(rows: Iterable[Row]) -> list[ScoredCase]:
    """The table by case, in its order.

    Raises DataError for no case, a row that stands there twice, and where a case lacks one of
    `CORE_METRICS` for one of the labels.
    """
    about: dict[str, dict[str, Row]] = {}
    for row in rows:
        known = about.setdefault(row.case, {})
        if row.metric in known:
            raise DataError(f"case '{row.case}': the metric {row.metric} stands there twice")
        known[row.metric] = row
    if not about:
        raise DataError("expected a table of at least one case, got none")
    cases = [_scored_case(case, found) for case, found in about.items()]
    for case in cases:
        complete = all(set(CORE_METRICS) <= set(scores) for scores in case.labels.values())
        if set(case.labels) != set(cases[0].labels) or not complete:
            raise DataError(
                f"case '{case.id}': expected all metrics of all labels, some are missing"
            )
    _check_tolerances(cases)
    return cases


def _scored_case(case: str, rows: Mapping[str, Row]) -> ScoredCase:
    scores: dict[str, dict[str, float | None]] = {}
    units: dict[str, str] = {}
    for row in rows.values():
        metric, _, label = row.metric.partition(":")
        scores.setdefault(label, {})[metric] = row.value
        units[metric] = row.unit
    facts = scores.get("", {})
    # Beside named labels, what has no label is about the image.
    labels = {label: found for label, found in scores.items() if label} or scores
    tolerance = facts.get("nsd_tolerance")
    first = next(iter(rows.values()))
    return ScoredCase(
        id=case,
        group=first.group,
        class_name=first.class_name,
        labels=labels,
        facts=facts,
        unit=units.get("hd95", ""),
        tolerance=None if tolerance is None else (tolerance, units["nsd_tolerance"]),
    )


def _check_tolerances(cases: Sequence[ScoredCase]) -> None:
    """NSD at two tolerances of one unit cannot be averaged."""
    known: dict[str, float] = {}
    for case in cases:
        if case.tolerance is not None:
            tolerance, unit = case.tolerance
            if known.setdefault(unit, tolerance) != tolerance:
                raise DataError(
                    f"case '{case.id}': expected nsd at {known[unit]:g} {unit} as in the cases "
                    f"before, got {tolerance:g} {unit}; score all cases with one tolerance"
                )
