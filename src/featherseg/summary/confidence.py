"""Whether the model's probabilities and its confidence can be believed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from featherseg.metrics import RELIABILITY_PROBABILITY, RELIABILITY_SHARE, RELIABILITY_TRUE
from featherseg.metrics.calibration import BINS, Bin, ece
from featherseg.metrics.ranking import auc, ranks
from featherseg.metrics.selective import aurc, aurc_best
from featherseg.summary.averages import image_value, rounded
from featherseg.summary.table import ScoredCase

# Below it, less than two thirds of either mask lie in the other's shadow: our own convention.
FAILURE_DICE = 0.5
_BAND = "pixels on either side of the true outline, as far as 2 % of the image diagonal"


def calibration(cases: Sequence[ScoredCase]) -> dict[str, Any] | None:
    """The reliability plot over all images with a band, each counting the same.

    ``bins`` run from low to high; a bin's ``share`` is its mean share of an image's band,
    ``probability`` and ``true`` the means over that share. None without such rows.
    """
    images = [case for case in cases if _shares(case).any()]
    if not images:
        return None
    shares = np.array([_shares(case) for case in images])
    totals = shares.sum(axis=0)
    sums = [
        np.sum([_values(case, name) * _shares(case) for case in images], axis=0)
        for name in (RELIABILITY_PROBABILITY, RELIABILITY_TRUE)
    ]
    bins = [
        Bin(index, totals[index] / len(images), *(total[index] / totals[index] for total in sums))
        for index in np.flatnonzero(totals).tolist()
    ]
    return {
        "n": len(images),
        "over": _BAND,
        **rounded({"ece": float(ece(bins) or 0.0)}),
        "bins": [_bin_entry(each) for each in bins],
    }


def selection(cases: Sequence[ScoredCase], labels: Sequence[str]) -> dict[str, Any]:
    """`aurc` and `failures`, where the table has a confidence or a flag.

    The risk is 1 - Dice over all images: both empty is no risk, a false alarm and a missed
    lesion all of it.
    """
    risks = {case.id: 1.0 - (image_value("dice_all", case, labels) or 0.0) for case in cases}
    found: dict[str, Any] = {}
    confidences, kept = _with(cases, "confidence")
    if confidences:
        some = [risks[case.id] for case in kept]
        found["aurc"] = rounded(
            {
                "value": aurc(confidences, some),
                "best": aurc_best(some),
                "random": sum(some) / len(some),
                "n": len(some),
            }
        )
    if any(_with(cases, name)[0] for name in ("confidence", "flagged")):
        failed = {case.id: risks[case.id] > 1.0 - FAILURE_DICE for case in cases}
        found["failures"] = rounded(
            {
                "dice_below": FAILURE_DICE,
                "n": len(cases),
                "n_failed": sum(failed.values()),
                "auroc_confidence": _auroc(cases, failed, "confidence", -1.0),
                "auroc_flagged": _auroc(cases, failed, "flagged", 1.0),
            }
        )
    return found


def _auroc(
    cases: Sequence[ScoredCase], failed: dict[str, bool], name: str, sign: float
) -> float | None:
    """How well a row tells failures; None without both kinds of images or without the row."""
    values, kept = _with(cases, name)
    answers = np.array([failed[case.id] for case in kept], np.bool_)
    return auc(ranks(answers, sign * np.asarray(values, np.float64)))


def _with(cases: Sequence[ScoredCase], name: str) -> tuple[list[float], list[ScoredCase]]:
    """The values of a row about the image, and the cases that have it."""
    kept = [case for case in cases if case.facts.get(name) is not None]
    return [case.facts[name] or 0.0 for case in kept], kept


def _shares(case: ScoredCase) -> np.ndarray[Any, np.dtype[np.float64]]:
    return _values(case, RELIABILITY_SHARE)


def _values(case: ScoredCase, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A row of each bin, 0 where there is none."""
    return np.array([case.facts.get(f"{name}{index}") or 0.0 for index in range(BINS)], np.float64)


def _bin_entry(each: Bin) -> dict[str, Any]:
    return rounded(
        {
            "low": each.index / BINS,
            "high": (each.index + 1) / BINS,
            "share": each.share,
            "probability": each.probability,
            "true": each.true,
        }
    )
