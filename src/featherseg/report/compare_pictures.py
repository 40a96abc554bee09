"""The grid of a comparison: image, truth and every run's mask, from the best case to the worst."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from featherseg.compare import Run
from featherseg.compare.scores import case_values
from featherseg.datasets import Dataset, read_case
from featherseg.errors import DataError
from featherseg.evaluation import select_cases
from featherseg.report.pictures import overlay_uri
from featherseg.types import Case, Image, Mask

GRID_CASES = 6
# A mask drawn again may differ from the scored one by the rounding of another runtime.
_SAME_AREA = 0.01

FindsMask = Callable[[Case, Image], Mask]


@dataclass(frozen=True)
class Cell:
    """One picture of a row: its heading, a remark below it, and the image as a data URI."""

    heading: str
    remark: str
    image: str


@dataclass(frozen=True)
class GridRow:
    """One case: image, truth, then the runs; ``mean_dice`` is over all runs compared."""

    case: str
    class_name: str
    mean_dice: float
    cells: tuple[Cell, ...]


def grid_cases(runs: Sequence[Run], count: int = GRID_CASES) -> tuple[tuple[str, float], ...]:
    """(case, mean Dice over the runs), evenly spaced over all ranks, the worst last.

    Images without a lesion where no run finds anything are left out: there is nothing to see.
    """
    tables = [case_values("dice_all", run.cases) for run in runs]
    seen = {
        case.id
        for run in runs
        for case in run.cases
        for label in case.labels.values()
        if label["area_true"] or label["area_found"]
    }
    mean = {case: float(np.mean([table[case] for table in tables])) for case in seen}
    ordered = sorted(mean, key=lambda case: (-mean[case], case))
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return tuple((ordered[place], mean[ordered[place]]) for place in places)


def picture_grid(
    runs: Sequence[Run], finders: Mapping[str, FindsMask], dataset: Dataset
) -> Iterator[GridRow]:
    """Draw the cases of `grid_cases`; `finders` gives the mask of each run that is shown.

    Raises DataError for a case that the data set does not hold, and for a mask that is not of
    its image's size or clearly not the one that was scored.
    """
    by_name = {run.name: {case.id: case for case in run.cases} for run in runs}
    tables = {run.name: case_values("dice_all", run.cases) for run in runs}
    for case_id, mean in grid_cases(runs):
        (case,) = select_cases(dataset, [case_id])
        image, truth = read_case(dataset, case)
        nothing = np.zeros_like(truth)
        cells = [
            Cell("image", "", overlay_uri(image.pixels, nothing)),
            Cell("truth", "", overlay_uri(image.pixels, nothing, truth)),
        ]
        for name, find in finders.items():
            found = find(case, image)
            scored = by_name[name][case_id]
            area = scored.area(list(scored.labels), "area_found")
            _check(found, truth, area, f"case '{case_id}' of {name}")
            drawn = overlay_uri(image.pixels, found, truth)
            cells.append(Cell(name, _remark(tables[name][case_id], truth, found), drawn))
        yield GridRow(case_id, case.label, mean, tuple(cells))


def _check(found: Mask, truth: Mask, area: float, what: str) -> None:
    if found.shape != truth.shape:
        raise DataError(
            f"{what}: expected a mask of the image's size {truth.shape[0]}x{truth.shape[1]}, "
            f"got {found.shape[0]}x{found.shape[1]}"
        )
    drawn = float(np.count_nonzero(found))
    if abs(drawn - area) > _SAME_AREA * max(drawn, area):
        raise DataError(
            f"{what}: its mask has {drawn:.0f} px, the scored one had {area:.0f}; "
            "give the model or the masks that were scored"
        )


def _remark(dice: float, truth: Mask, found: Mask) -> str:
    if truth.any():
        return f"Dice {dice:.3f}" if found.any() else "missed lesion"
    return "false alarm" if found.any() else "rightly empty"
