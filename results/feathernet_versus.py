"""The arithmetic of the FeatherNet comparison: from tables of cases to paired differences."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from featherseg.case_table import read_cases_csv
from featherseg.report.scores import CASES_FILE
from featherseg.stats import mean_interval
from featherseg.stats.paired import holm, mcnemar_p, permutation_p

SCREENING_FILE, ABOUT_FILE = "screening.csv", "about.json"
# What the interval of the paired difference in Dice may not fall below.
MARGIN = -0.005


@dataclass(frozen=True)
class Scored:
    """One network's answers, over all its seeds or folds, of which there are ``trainings``.

    ``dice`` and ``groups`` are of the images with a lesion, Dice the mean over the seeds;
    ``seen`` and ``alarms`` say of each image with and without a lesion in which share of the
    seeds something was found at the screening point.
    """

    dice: Mapping[str, float]
    groups: Mapping[str, str]
    seen: Mapping[str, float]
    alarms: Mapping[str, float]
    trainings: int


def read_scored(folder: Path) -> Scored | None:
    """What was kept of a network's trainings, a folder each; None where nothing was run."""
    parts = sorted(path.parent for path in folder.glob(f"*/{ABOUT_FILE}"))
    if not parts:
        return None
    dice: dict[str, list[float]] = defaultdict(list)
    found: dict[bool, dict[str, list[float]]] = {True: defaultdict(list), False: defaultdict(list)}
    groups = {}
    for part in parts:
        for case, scores, group in _cases(part / CASES_FILE):
            if scores["area_true"]:
                dice[case].append(scores["dice"])
                groups[case] = group
        for case, scores, _ in _cases(part / SCREENING_FILE):
            found[scores["area_true"] > 0][case].append(float(scores["area_found"] > 0))
    return Scored(_means(dice), groups, _means(found[True]), _means(found[False]), len(parts))


def _cases(path: Path) -> list[tuple[str, dict[str, float], str]]:
    values: dict[str, dict[str, float]] = defaultdict(dict)
    groups = {}
    for row in read_cases_csv(path):
        groups[row.case] = row.group
        if row.value is not None:
            values[row.case][row.metric] = row.value
    return [(case, scores, groups[case]) for case, scores in values.items()]


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {case: fmean(each) for case, each in values.items()}


def compare(scored: Mapping[str, Scored], ours: Iterable[str]) -> dict[str, Any]:
    """Every network's own figures, and each of `ours` beside each other one.

    Holm's correction is over the others that one of `ours` stands beside.
    """
    mine = [name for name in ours if name in scored]
    others = {name: each for name, each in scored.items() if name not in mine}
    return {
        "networks": {name: _figures(each) for name, each in scored.items()},
        "versus": {name: _versus(scored[name], others) for name in mine},
    }


def _figures(scored: Scored) -> dict[str, Any]:
    return {
        "trainings": scored.trainings,
        "lesions": len(scored.dice),
        "dice_lesion": fmean(scored.dice.values()),
        "normals": len(scored.alarms),
        "sensitivity": fmean(scored.seen.values()),
        "false_alarms": fmean(scored.alarms.values()),
    }


def _versus(ours: Scored, others: Mapping[str, Scored]) -> dict[str, Any]:
    accuracy = {name: _accuracy(ours, each) for name, each in others.items()}
    alarms = {name: _alarms(ours, each) for name, each in others.items()}
    for versus in (accuracy, alarms):
        adjusted = holm([each["p"] for each in versus.values()])
        for each, p in zip(versus.values(), adjusted, strict=True):
            each["p_holm"] = p
    return {name: {"dice": accuracy[name], "alarms": alarms[name]} for name in others}


def _accuracy(ours: Scored, other: Scored) -> dict[str, Any]:
    """Our Dice less another's, image by image; groups of images are drawn whole."""
    if ours.dice.keys() != other.dice.keys():
        raise SystemExit("the networks were scored on different images; finish the comparison")
    differences = [ours.dice[case] - other.dice[case] for case in ours.dice]
    groups = [ours.groups[case] for case in ours.dice]
    interval = mean_interval(differences, 0, groups=groups)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {
        "difference": fmean(differences),
        "low": low,
        "high": high,
        "p": permutation_p(differences, groups=groups),
        "is_not_below_margin": low is not None and low >= MARGIN,
    }


def _alarms(ours: Scored, other: Scored) -> dict[str, Any]:
    """False alarms on the same normal images, each judged by most of its seeds."""
    raised, theirs = (
        {case for case, share in each.alarms.items() if share > 0.5} for each in (ours, other)
    )
    gained, lost = len(theirs - raised), len(raised - theirs)
    return {
        "only_theirs": gained,
        "only_ours": lost,
        "p": mcnemar_p(gained, lost) if ours.alarms else None,
    }
