"""Cases x segmenter -> the per-case table."""

import difflib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from featherseg.case_table import Row
from featherseg.datasets import Dataset, read_case
from featherseg.errors import DataError
from featherseg.metrics import DISTANCE_METRICS, score_masks
from featherseg.types import Case, Image, Mask, Segmentation

# Six decimals are far below any difference that matters, and equal on every machine.
_DECIMALS = 6

Segments = Callable[[Image], Segmentation]
Progress = Callable[[Iterable[Case]], Iterable[Case]]


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
) -> Evaluation:
    """Score a segmenter on cases of a dataset, each at its image's own resolution.

    `segmenter` is any callable Image -> Segmentation; `case_ids` None means all cases;
    `progress` wraps the cases to show how far it is. Each label of each case is scored with
    `metrics.score_masks` and its areas in pixels. Raises DataError for an unknown case, for no
    case, and when model and dataset differ in their labels; a file that cannot be read ends
    the evaluation with an error that names it.
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
        rows.extend(case_rows(case, truth, segmentation, dataset.labels))
    return Evaluation(tuple(rows), tuple(seconds), dataset.labels, model_id)


def case_rows(
    case: Case, truth: Mask, segmentation: Segmentation, labels: Sequence[str]
) -> Iterator[Row]:
    """The rows of one case: areas and scores of each label, named `dice` or `dice:LABEL`."""
    found, spacing = segmentation.mask, segmentation.image.spacing_mm
    if found.shape != truth.shape:
        raise DataError(
            f"case '{case.id}': expected a mask of the image's size {truth.shape}, "
            f"got {found.shape} from the model"
        )
    distance_unit = "mm" if spacing else "px"
    for number, name in enumerate(labels, start=1):
        true_part, found_part = truth == number, found == number
        scores: dict[str, float | None] = {
            "area_true": int(true_part.sum()),
            "area_found": int(found_part.sum()),
            **score_masks(true_part, found_part, spacing),
        }
        suffix = f":{name}" if len(labels) > 1 else ""
        for metric, value in scores.items():
            unit = distance_unit if metric in DISTANCE_METRICS else ""
            unit = "px" if metric.startswith("area_") else unit
            rounded = None if value is None else round(value, _DECIMALS)
            yield Row(case.id, case.group, case.label, metric + suffix, rounded, unit)


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
