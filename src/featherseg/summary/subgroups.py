"""The same figures for parts of the images that may do worse than the whole."""

from collections.abc import Mapping, Sequence

import numpy as np

from featherseg.summary.table import ScoredCase

Parts = Mapping[str, Sequence[ScoredCase]]

# Rows of the table that are 0 or 1 for the whole image, and what they are called for people.
_MARKS = {"calipers": "calipers", "flagged": "unlike the training images"}
_SIZES = ("small", "medium", "large")


def subgroups(cases: Sequence[ScoredCase], labels: Sequence[str]) -> dict[str, list[ScoredCase]]:
    """Images by size of lesion and by every mark the table holds, "size: small (...)" first.

    A division that leaves all images in one part is left out.
    """
    parts = by_size(cases, labels)
    for metric, name in _MARKS.items():
        parts |= by_mark(cases, metric, name)
    return parts


def by_size(cases: Sequence[ScoredCase], labels: Sequence[str]) -> dict[str, list[ScoredCase]]:
    """Images with a lesion in thirds by its size, small to large; none without three sizes.

    The size is the share of the image, so that images of several resolutions compare; pixels
    where the table has no `area_image`. Equal sizes stay together, in the smaller part.
    """
    ill = [case for case in cases if case.area(labels, "area_true")]
    shares = all(case.facts.get("area_image") for case in ill)
    sizes = [_size(case, labels, shares) for case in ill]
    if len(set(sizes)) < len(_SIZES):
        return {}
    low, high = np.quantile(sizes, (1 / 3, 2 / 3)).tolist()
    if shares:
        spans = [f"to {100 * low:.2g} %", f"to {100 * high:.2g} %", f"over {100 * high:.2g} %"]
        spans = [f"{span} of the image" for span in spans]
    else:
        spans = [f"to {low:.0f} px", f"to {high:.0f} px", f"over {high:.0f} px"]
    parts: dict[str, list[ScoredCase]] = {
        f"size: {name} ({span})": [] for name, span in zip(_SIZES, spans, strict=True)
    }
    keys = list(parts)
    for case, size in zip(ill, sizes, strict=True):
        parts[keys[int(size > low) + int(size > high)]].append(case)
    return {key: found for key, found in parts.items() if found}


def by_mark(cases: Sequence[ScoredCase], metric: str, name: str) -> dict[str, list[ScoredCase]]:
    """Images by a row that is 0 or 1: "NAME: yes", "NAME: no", "NAME: not stated"."""
    parts: dict[str, list[ScoredCase]] = {}
    for answer in ("yes", "no", "not stated"):
        found = [case for case in cases if _answer(case.facts.get(metric)) == answer]
        if found:
            parts[f"{name}: {answer}"] = found
    return parts if len(parts) > 1 else {}


def _answer(value: float | None) -> str:
    return "not stated" if value is None else "yes" if value else "no"


def _size(case: ScoredCase, labels: Sequence[str], shares: bool) -> float:
    area = case.area(labels, "area_true")
    return area / (case.facts["area_image"] or 1) if shares else area
