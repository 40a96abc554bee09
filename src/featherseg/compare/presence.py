"""Runs by whether they tell that an image holds a lesion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from featherseg.compare.runs import BASELINE, Run, emptied
from featherseg.stats import wilson
from featherseg.stats.paired import holm, mcnemar_p
from featherseg.summary.table import ScoredCase


@dataclass(frozen=True)
class PresenceComparison:
    """How often a run is right about whether an image holds a lesion.

    ``right`` of ``n`` images, with Wilson's interval; ``gained`` are right only in this run,
    ``lost`` only in the reference; ``p`` is McNemar's, ``p_holm`` adjusted for all runs. These
    four are None for the reference and the baseline.
    """

    run: str
    right: int
    n: int
    low: float
    high: float
    gained: int | None = None
    lost: int | None = None
    p: float | None = None
    p_holm: float | None = None


def compare_presence(runs: Sequence[Run], *, lesion: bool) -> tuple[PresenceComparison, ...]:
    """Images with a lesion where anything was found, or images without where nothing was."""
    tables = [(run.name, _right(run.cases, lesion)) for run in runs]
    reference = tables[0][1]
    found = []
    for name, right in tables:
        standing = _proportion(name, right)
        if right is not reference:
            gained = sum(right[case] and not reference[case] for case in right)
            lost = sum(reference[case] and not right[case] for case in right)
            p = mcnemar_p(gained, lost) if right else None
            standing = replace(standing, gained=gained, lost=lost, p=p)
        found.append(standing)
    adjusted = holm([standing.p for standing in found])
    judged = [replace(each, p_holm=p) for each, p in zip(found, adjusted, strict=True)]
    return (*judged, _proportion(BASELINE, _right(emptied(runs[0].cases), lesion)))


def _proportion(name: str, right: Mapping[str, bool]) -> PresenceComparison:
    count = sum(right.values())
    return PresenceComparison(name, count, len(right), *wilson(count, len(right)))


def _right(cases: Sequence[ScoredCase], lesion: bool) -> dict[str, bool]:
    """Case -> whether its presence was told rightly, for the cases with or without a lesion."""
    return {
        case.id: bool(case.area(list(case.labels), "area_found")) == lesion
        for case in cases
        if bool(case.area(list(case.labels), "area_true")) == lesion
    }
