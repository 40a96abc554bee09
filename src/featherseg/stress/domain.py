"""Does the flag tell images of another kind from those of the test? An AUROC of three doubts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featherseg.datasets import Dataset, read_case_image
from featherseg.errors import DataError
from featherseg.likeness import image_statistics, unlikeness
from featherseg.measure import confidence
from featherseg.metrics.ranking import Ranks, auc
from featherseg.segment import Segmenter
from featherseg.types import Case

_RESAMPLES = 1000
_TAIL = 0.025
_DECIMALS = 6

Progress = Callable[[Iterable[Case]], Iterable[Case]]
Floats64 = NDArray[np.float64]


@dataclass(frozen=True)
class Doubt:
    """What a model says of one image, larger being more doubtful.

    ``unlikeness`` is `likeness.unlikeness`, above 1 where the image is flagged; ``unsure`` is 1
    less the confidence of `measure.confidence`.
    """

    group: str
    unlikeness: float
    unsure: float


def doubts(
    segmenter: Segmenter, dataset: Dataset, cases: Sequence[Case], progress: Progress = iter
) -> tuple[Doubt, ...]:
    """The doubts of some images; their masks are not read.

    Raises DataError where the model does not know the statistics of its training images.
    """
    if not segmenter.reference:
        raise DataError(
            "expected a model that knows the statistics of its training images, got one that "
            "does not; export it again, or leave out --out-of-domain"
        )
    found = []
    for case in progress(cases):
        image = read_case_image(dataset, case)
        far = unlikeness(image_statistics(image.pixels), segmenter.reference)
        found.append(Doubt(case.group, far, 1.0 - confidence(segmenter(image))))
    return tuple(found)


def compare_domains(
    inside: Sequence[Doubt], outside: Sequence[Doubt], seed: int = 0
) -> dict[str, Any]:
    """How well doubt tells the outside images from the inside ones, for JSON.

    ``flagged`` counts flagged images on both sides; ``likeness`` and ``confidence`` hold the
    AUROC (the chance that an outside image is more doubtful, ties counting half; 0.5 tells
    nothing) with a 95 % percentile bootstrap that draws whole groups of each side, None without
    two groups on both sides.
    """
    sides = {"inside": inside, "outside": outside}
    return {
        "n": {side: len(images) for side, images in sides.items()},
        "flagged": {
            side: sum(image.unlikeness > 1.0 for image in images) for side, images in sides.items()
        },
        "likeness": _auroc(inside, outside, "unlikeness", seed),
        "confidence": _auroc(inside, outside, "unsure", seed),
    }


def _auroc(
    inside: Sequence[Doubt], outside: Sequence[Doubt], name: str, seed: int
) -> dict[str, float | None]:
    negative, positive = (_by_group(images, name) for images in (inside, outside))
    value = auc(_ranks(list(positive.values()), list(negative.values())))
    found: dict[str, float | None] = {"value": _rounded(value), "low": None, "high": None}
    if min(len(negative), len(positive)) > 1:
        random = np.random.default_rng(seed)
        drawn = [
            auc(_ranks(_draw(positive, random), _draw(negative, random))) for _ in range(_RESAMPLES)
        ]
        low, high = np.quantile(np.asarray(drawn, np.float64), [_TAIL, 1 - _TAIL])
        found |= {"low": _rounded(float(low)), "high": _rounded(float(high))}
    return found


def _by_group(images: Sequence[Doubt], name: str) -> Mapping[str, Floats64]:
    groups: dict[str, list[float]] = {}
    for image in images:
        groups.setdefault(image.group, []).append(getattr(image, name))
    return {group: np.asarray(values, np.float64) for group, values in sorted(groups.items())}


def _draw(groups: Mapping[str, Floats64], random: np.random.Generator) -> list[Floats64]:
    values = list(groups.values())
    return [values[index] for index in random.integers(len(values), size=len(values))]


def _ranks(positives: Sequence[Floats64], negatives: Sequence[Floats64]) -> Ranks:
    return Ranks(
        *(np.sort(np.concatenate(side)) if side else np.empty(0) for side in (positives, negatives))
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
