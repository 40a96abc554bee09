"""Everything that is said about runs on the same cases."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from featherseg.compare.presence import PresenceComparison, compare_presence
from featherseg.compare.runs import Run, case_groups, doubts
from featherseg.compare.scores import (
    COMPARABLE,
    MetricComparison,
    case_values,
    compare_metric,
)
from featherseg.errors import DataError
from featherseg.stats import SMALL_SAMPLE
from featherseg.stats.published import laednet_p
from featherseg.summary import Stamp

DEFAULT_METRICS = ("dice_lesion", "dice_all", "hd95")
_LAEDNET_AVERAGES = {"dice": "dice_lesion", "iou": "iou_lesion", "auc": "auc"}


@dataclass(frozen=True)
class Comparison:
    """Everything that is said about some runs; ``runs`` holds their names, the reference's first.

    ``stamps`` holds what is known of how each came about, None where nothing is;
    ``sensitivity`` is over images with a lesion, ``specificity`` over those without;
    ``laednet_p`` is empty unless the tables hold AUC.
    """

    runs: tuple[str, ...]
    reference: str
    stamps: Mapping[str, Stamp | None]
    n: int
    n_groups: int
    metrics: tuple[MetricComparison, ...]
    sensitivity: tuple[PresenceComparison, ...]
    specificity: tuple[PresenceComparison, ...]
    laednet_p: Mapping[str, float | None]
    warnings: tuple[str, ...]


def compare(
    runs: Sequence[Run],
    metrics: Sequence[str] = DEFAULT_METRICS,
    reference: str | None = None,
) -> Comparison:
    """Compare runs of `load_runs` with the one named `reference` (None: the first).

    `metrics` are names of `COMPARABLE`. A run is better or worse where the interval of
    its mean difference leaves out 0 and its adjusted p value is below 0.05, else it is a tie;
    unknown for fewer than two groups. The baseline that finds nothing stands beside every
    metric, without a test. Raises DataError for an unknown metric or reference.
    """
    ordered = _reference_first(runs, reference)
    for name in metrics:
        _check_known(name, COMPARABLE, "a metric")
    groups = case_groups(runs)
    n_groups = len(set(groups.values()))
    return Comparison(
        runs=tuple(run.name for run in ordered),
        reference=ordered[0].name,
        stamps={run.name: run.stamp for run in ordered},
        n=len(groups),
        n_groups=n_groups,
        metrics=tuple(
            found
            for name in dict.fromkeys(metrics)
            for found in compare_metric(name, ordered, groups)
        ),
        sensitivity=compare_presence(ordered, lesion=True),
        specificity=compare_presence(ordered, lesion=False),
        laednet_p=_laednet(ordered),
        warnings=(*doubts(ordered), *_small(n_groups)),
    )


def _reference_first(runs: Sequence[Run], reference: str | None) -> list[Run]:
    by_name = {run.name: run for run in runs}
    if reference is not None:
        _check_known(reference, by_name, "the reference")
    first = by_name[reference] if reference is not None else runs[0]
    return [first, *(run for run in runs if run is not first)]


def _check_known(name: str, known: Mapping[str, object], what: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"expected {what} out of {', '.join(known)}, got '{name}'{meant}")


def _small(n_groups: int) -> list[str]:
    if n_groups >= SMALL_SAMPLE:
        return []
    return [f"Fewer than {SMALL_SAMPLE} independent cases ({n_groups}): the intervals are rough."]


def _laednet(runs: Sequence[Run]) -> dict[str, float | None]:
    """LAEDNet's p of each run against the reference, over the images where all is defined."""
    tables = [
        {metric: case_values(name, run.cases) for metric, name in _LAEDNET_AVERAGES.items()}
        for run in runs
    ]
    if not all(table["auc"] for table in tables):
        return {}
    return {
        run.name: _laednet_pair(table, tables[0])
        for run, table in zip(runs[1:], tables[1:], strict=True)
    }


def _laednet_pair(
    run: Mapping[str, Mapping[str, float]], reference: Mapping[str, Mapping[str, float]]
) -> float | None:
    tables = [*run.values(), *reference.values()]
    shared = sorted(set(tables[0]).intersection(*tables[1:]))
    ours, theirs = (
        {metric: [values[case] for case in shared] for metric, values in table.items()}
        for table in (run, reference)
    )
    return laednet_p(ours, theirs)
