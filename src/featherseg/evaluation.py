"""Cases x segmenter -> the per-case table."""

import difflib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Self

from featherseg.calipers import find_marks
from featherseg.case_table import Row
from featherseg.datasets import Dataset, read_case
from featherseg.errors import DataError
from featherseg.measure import confidence
from featherseg.metrics import DISTANCE_METRICS, Scores, diagonal, nsd_tolerance, score_masks
from featherseg.segment import Segmenter
from featherseg.types import Case, Image, Mask, Segmentation

# Six decimals are far below any difference that matters, and equal on every machine.
_DECIMALS = 6
_PIXEL_METRICS = ("area_true", "area_found", "false_positive_area")

Segments = Callable[[Image], Segmentation]
Progress = Callable[[Iterable[Case]], Iterable[Case]]


@dataclass(frozen=True)
class Scoring:
    """What a case is scored with beside its masks.

    ``nsd_tolerance_mm`` is the tolerance of nsd where the spacing is known, None for
    `metrics.surface.NSD_TOLERANCE_PX` pixels; ``unlike`` says in what an image is unlike those
    of the training (nothing where it is not), None where that cannot be told;
    ``has_probability`` False leaves out all that rests on the segmentation's probability.
    """

    nsd_tolerance_mm: float | None = None
    unlike: Callable[[Image], Sequence[str]] | None = None
    has_probability: bool = True

    def __post_init__(self) -> None:
        tolerance = self.nsd_tolerance_mm
        if tolerance is not None and not (isfinite(tolerance) and tolerance >= 0.0):
            raise DataError(f"expected a tolerance of nsd from 0 mm on, got {tolerance}")

    @classmethod
    def of(cls, segmenter: Segmenter, nsd_tolerance_mm: float | None = None) -> Self:
        """What a segmenter can tell: flags where it knows the statistics of its training."""
        return cls(nsd_tolerance_mm, segmenter.unlike if segmenter.reference else None)


@dataclass(frozen=True)
class Evaluation:
    """The scores of some cases.

    ``seconds`` is what the segmenter took for each case, image already decoded; ``labels`` are
    the foreground labels that were scored; ``model_id`` is the segmenter's name for itself.
    """

    rows: tuple[Row, ...]
    seconds: tuple[float, ...]
    labels: tuple[str, ...]
    model_id: str


def evaluate(
    segmenter: Segments,
    dataset: Dataset,
    case_ids: Sequence[str] | None = None,
    progress: Progress = iter,
    scoring: Scoring = Scoring(),
) -> Evaluation:
    """Score a segmenter on cases of a dataset, each at its image's own resolution.

    `segmenter` is any callable Image -> Segmentation; `case_ids` None means all cases;
    `progress` wraps the cases to show how far it is. What a case gives is said at `case_rows`.
    Raises DataError for an unknown case, for no case, and when model and dataset differ in
    their labels; a file that cannot be read ends the evaluation with an error that names it.
    """
    rows: list[Row] = []
    seconds: list[float] = []
    model_id = ""
    for case in progress(select_cases(dataset, case_ids)):
        image, truth = read_case(dataset, case)
        start = time.perf_counter()
        segmentation = segmenter(image)
        seconds.append(time.perf_counter() - start)
        check_labels(segmentation.labels, dataset)
        model_id = segmentation.model_id
        rows.extend(case_rows(case, truth, segmentation, dataset.labels, scoring))
    return Evaluation(tuple(rows), tuple(seconds), dataset.labels, model_id)


def case_rows(
    case: Case,
    truth: Mask,
    segmentation: Segmentation,
    labels: Sequence[str],
    scoring: Scoring = Scoring(),
) -> Iterator[Row]:
    """The rows of one case: areas and scores of each label, and facts about the image.

    Scores are those of `metrics.score_masks`, named `dice`, or `dice:LABEL` where there are
    several labels. The model's probability is that of any foreground, so its metrics are there
    for a single label only. Facts about the image are named without a label: `area_image`,
    `diagonal_image`, `nsd_tolerance`, `confidence` (`measure.confidence`), unless the image is
    blank `calipers` (1 where `calipers.find_marks` sees any) and, where `scoring.unlike` can
    tell, `flagged` (1 for an image unlike those of the training).
    """
    found, spacing = segmentation.mask, segmentation.image.spacing_mm
    if found.shape != truth.shape:
        raise DataError(
            f"case '{case.id}': expected a mask of the image's size {truth.shape}, "
            f"got {found.shape} from the model"
        )
    is_scored = scoring.has_probability and len(labels) == 1
    probability = segmentation.probability if is_scored else None
    for number, name in enumerate(labels, start=1):
        true_part, found_part = truth == number, found == number
        scores: Scores = {
            "area_true": int(true_part.sum()),
            "area_found": int(found_part.sum()),
            **score_masks(true_part, found_part, spacing, probability, scoring.nsd_tolerance_mm),
        }
        suffix = f":{name}" if len(labels) > 1 else ""
        for metric, value in scores.items():
            yield _row(case, metric + suffix, value, _unit(metric, spacing is not None))
    yield from _image_rows(case, segmentation, scoring)


def _image_rows(case: Case, segmentation: Segmentation, scoring: Scoring) -> Iterator[Row]:
    image = segmentation.image
    height, width = segmentation.mask.shape
    known = image.spacing_mm is not None
    yield _row(case, "area_image", height * width, "px")
    farthest = diagonal((height, width), image.spacing_mm)
    yield _row(case, "diagonal_image", farthest, "mm" if known else "px")
    yield _row(case, "nsd_tolerance", *nsd_tolerance(image.spacing_mm, scoring.nsd_tolerance_mm))
    # All 0 is what stands for a picture that is not there, in masks of other tools.
    if image.pixels.any():
        yield _row(case, "calipers", int(find_marks(image.pixels).has_calipers), "")
    if scoring.has_probability:
        yield _row(case, "confidence", confidence(segmentation), "")
    if scoring.unlike is not None:
        yield _row(case, "flagged", int(bool(scoring.unlike(image))), "")


def _unit(metric: str, in_millimeters: bool) -> str:
    if metric in DISTANCE_METRICS:
        return "mm" if in_millimeters else "px"
    if metric == "area_difference":
        return "mm2" if in_millimeters else "px"
    return "px" if metric in _PIXEL_METRICS else ""


def _row(case: Case, metric: str, value: float | None, unit: str) -> Row:
    rounded = None if value is None else round(value, _DECIMALS)
    return Row(case.id, case.group, case.label, metric, rounded, unit)


def select_cases(dataset: Dataset, case_ids: Sequence[str] | None) -> list[Case]:
    """The cases of `case_ids` in that order, or all; DataError for an unknown one or none."""
    by_id = {case.id: case for case in dataset.cases}
    wanted = list(by_id) if case_ids is None else list(case_ids)
    if not wanted:
        raise DataError(f"{dataset.root}: expected at least one case to score, got none")
    for case_id in wanted:
        if case_id not in by_id:
            near = difflib.get_close_matches(case_id, by_id, n=1)
            hint = f"; the nearest is '{near[0]}'" if near else ""
            raise DataError(f"{dataset.root}: there is no case '{case_id}'{hint}")
    return [by_id[case_id] for case_id in wanted]


def check_labels(found: Sequence[str], dataset: Dataset) -> None:
    """DataError unless the model finds the dataset's labels; a single label may be named freely."""
    if len(found) == len(dataset.labels) == 1 or tuple(found) == dataset.labels:
        return
    raise DataError(
        f"{dataset.root}: expected the model's labels {', '.join(found)}, "
        f"the data have {', '.join(dataset.labels)}; score a model on the labels it was trained for"
    )
