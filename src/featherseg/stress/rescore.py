"""How much scores change when images do: the same cases under many conditions.

Rows are those of a table of cases with the condition behind the metric: `dice@gain +5 dB`, or
`dice:LABEL@gain +5 dB` where there are several labels. Without a condition they are the image's
as it is.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial

import numpy as np

from featherseg.case_table import Row
from featherseg.datasets import Dataset, read_case
from featherseg.errors import DataError
from featherseg.evaluation import Segments, check_labels, select_cases
from featherseg.metrics.overlap import confusion, dice
from featherseg.stress.conditions import Condition, Pair, conditions
from featherseg.types import Case, Mask

_DECIMALS = 6
# Stands between a metric and the condition in a table.
MARK = "@"

Step = tuple[Case, Condition | None]
Progress = Callable[[Iterable[Step]], Iterable[Step]]


def stress(
    segmenter: Segments,
    dataset: Dataset,
    case_ids: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = iter,
    under: Sequence[Condition] = conditions(),
) -> tuple[Row, ...]:
    """Score cases as they are and under every condition, each on its own grid.

    The changed mask is the truth of the changed image: what a crop cuts off does not count.
    Random numbers come from `seed`, the case's id and the condition's name alone, so neither
    the order nor the other cases matter. Rows are `dice`, `area_true` and `area_found` of each
    label; a condition that does not concern an image gives none. `progress` wraps the steps,
    one a case and condition and one for the case as it is. Errors are those of
    `evaluation.evaluate`.
    """
    rows: list[Row] = []
    # All steps of a case follow each other: it is decoded once.
    read = lru_cache(maxsize=1)(partial(read_case, dataset))
    for case, condition in progress(steps(select_cases(dataset, case_ids), under)):
        pair: Pair | None = read(case)
        if condition is not None:
            pair = condition(*read(case), _random(seed, case, condition))
        if pair is not None:
            segmentation = segmenter(pair[0])
            check_labels(segmentation.labels, dataset)
            name = "" if condition is None else MARK + condition.name
            rows.extend(_rows(case, pair[1], segmentation.mask, dataset.labels, name))
    return tuple(rows)


def steps(cases: Sequence[Case], under: Sequence[Condition]) -> list[Step]:
    """All that is scored, case by case."""
    return [(case, condition) for case in cases for condition in (None, *under)]


def _random(seed: int, case: Case, condition: Condition) -> np.random.Generator:
    key = zlib.crc32(f"{case.id}\n{condition.name}".encode())
    return np.random.default_rng([seed, key])


def _rows(
    case: Case, truth: Mask, found: Mask, labels: Sequence[str], condition: str
) -> Iterator[Row]:
    if found.shape != truth.shape:
        raise DataError(
            f"case '{case.id}': expected a mask of the image's size {truth.shape}, "
            f"got {found.shape} from the model"
        )
    for number, label in enumerate(labels, start=1):
        suffix = (f":{label}" if len(labels) > 1 else "") + condition
        counts = confusion(truth == number, found == number)
        values = {
            "area_true": (counts.both + counts.only_true, "px"),
            "area_found": (counts.both + counts.only_found, "px"),
            "dice": (dice(counts), ""),
        }
        for metric, (value, unit) in values.items():
            rounded = None if value is None else round(value, _DECIMALS)
            yield Row(case.id, case.group, case.label, metric + suffix, rounded, unit)
