"""Runs by one metric: means, paired differences from the reference, verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from featherseg.compare.runs import BASELINE, Run, emptied
from featherseg.errors import DataError
from featherseg.stats import Summary, describe, mean_interval
from featherseg.stats.paired import (
    cohens_dz,
    holm,
    paired_t_p,
    permutation_p,
    rank_biserial,
    superiority,
    welch_t_p,
    wilcoxon_p,
)
from featherseg.summary import AVERAGES
from featherseg.summary.averages import image_value, unit_of
from featherseg.summary.table import ScoredCase

ALPHA = 0.05
_SEED = 0
# Signed errors and the model's own confidence are neither better nor worse for being higher.
COMPARABLE = {
    name: average
    for name, average in AVERAGES.items()
    if name not in ("area_error", "area_difference", "confidence")
}
_LOWER_IS_BETTER = frozenset(
    {
        *(name for name, average in AVERAGES.items() if average.unit in ("distance", "pixels")),
        *("area_error_abs", "false_positive_share", "brier", "brier_band", "ece_band"),
    }
)

Verdict = Literal["better", "worse", "tie", "unknown"]


@dataclass(frozen=True)
class Versus:
    """One run's scores less the reference's, over the ``n`` cases that both define.

    ``low`` and ``high`` bound the mean ``difference`` (95 %, ``interval`` names the method);
    p values are two-sided, ``p_holm`` is the permutation ``p`` adjusted for all runs of the
    metric. Effect sizes are positive where the run is better. None where undefined.
    """

    n: int
    n_groups: int
    difference: float | None
    low: float | None
    high: float | None
    interval: str | None
    p: float | None
    p_holm: float | None
    wilcoxon_p: float | None
    paired_t_p: float | None
    welch_t_p: float | None
    cohens_dz: float | None
    superiority: float | None
    rank_biserial: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Standing:
    """A run's own mean of a metric and, but for the reference and the baseline, its difference."""

    run: str
    own: Summary
    versus: Versus | None


@dataclass(frozen=True)
class MetricComparison:
    """All runs by one metric.

    ``unit`` is '' for a fraction; ``over`` says which images count; ``values`` holds each run's
    score of each case where it is defined; the baseline stands last in ``standings``.
    """

    name: str
    unit: str
    over: str
    higher_is_better: bool
    standings: tuple[Standing, ...]
    values: Mapping[str, Mapping[str, float]]


def compare_metric(
    name: str, runs: Sequence[Run], groups: Mapping[str, str]
) -> list[MetricComparison]:
    """One comparison, the first run being the reference.

    A metric in two units gives one a unit (`hd95_px`, `hd95_mm`).
    """
    units = {case.id: unit_of(name, case) for case in runs[0].cases}
    tables = {run.name: case_values(name, run.cases) for run in runs}
    if not any(tables.values()):
        raise DataError(f"no table holds a value of {name}; evaluate the models again")
    empty = case_values(name, emptied(runs[0].cases))
    found = []
    for unit in sorted(set(units.values())):
        values = {run: _in_unit(table, units, unit) for run, table in tables.items()}
        own = _described(_in_unit(empty, units, unit), groups)
        found.append(
            MetricComparison(
                name=name if len(set(units.values())) == 1 else f"{name}_{unit}",
                unit="" if AVERAGES[name].unit == "tolerance" else unit,
                over=AVERAGES[name].over.text,
                higher_is_better=name not in _LOWER_IS_BETTER,
                standings=(
                    *_standings(values, groups, name not in _LOWER_IS_BETTER),
                    Standing(BASELINE, own, None),
                ),
                values=values,
            )
        )
    return found


def case_values(name: str, cases: Sequence[ScoredCase]) -> dict[str, float]:
    """Case -> its value, for the cases that the average `name` counts."""
    values = {case.id: image_value(name, case, list(case.labels)) for case in cases}
    return {case: value for case, value in values.items() if value is not None}


def _in_unit(values: Mapping[str, float], units: Mapping[str, str], unit: str) -> dict[str, float]:
    return {case: value for case, value in values.items() if units[case] == unit}


def _described(values: Mapping[str, float], groups: Mapping[str, str]) -> Summary:
    return describe(list(values.values()), _SEED, groups=[groups[case] for case in values])


def _standings(
    values: Mapping[str, Mapping[str, float]], groups: Mapping[str, str], higher_is_better: bool
) -> list[Standing]:
    reference, *others = values
    found = [
        _versus(values[run], values[reference], groups, 1 if higher_is_better else -1)
        for run in others
    ]
    adjusted = holm([versus.p for versus in found])
    judged = [
        replace(versus, p_holm=p, verdict=_verdict(versus, p, higher_is_better))
        for versus, p in zip(found, adjusted, strict=True)
    ]
    return [
        Standing(run, _described(values[run], groups), versus)
        for run, versus in zip(values, (None, *judged), strict=True)
    ]


def _versus(
    run: Mapping[str, float], reference: Mapping[str, float], groups: Mapping[str, str], sign: int
) -> Versus:
    cases = [case for case in reference if case in run]
    ours, theirs = [run[case] for case in cases], [reference[case] for case in cases]
    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    gains = [sign * difference for difference in differences]
    of = [groups[case] for case in cases]
    interval = mean_interval(differences, _SEED, groups=of)
    return Versus(
        n=len(cases),
        n_groups=len(set(of)),
        difference=sum(differences) / len(cases) if cases else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        interval=interval.method if interval else None,
        p=permutation_p(differences, _SEED, groups=of),
        p_holm=None,
        wilcoxon_p=wilcoxon_p(differences, groups=of),
        paired_t_p=paired_t_p(ours, theirs),
        welch_t_p=welch_t_p(ours, theirs),
        cohens_dz=cohens_dz(gains),
        superiority=superiority(gains),
        rank_biserial=rank_biserial(gains),
        verdict="unknown",
    )


def _verdict(versus: Versus, p_holm: float | None, higher_is_better: bool) -> Verdict:
    if versus.low is None or versus.high is None or p_holm is None:
        return "unknown"
    if versus.low <= 0 <= versus.high or p_holm >= ALPHA:
        return "tie"
    return "better" if (versus.low > 0) == higher_is_better else "worse"
