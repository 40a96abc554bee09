"""Evaluations on disk that are known to be better, worse or the same, for tests of comparing."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from featherseg.case_table import Row, write_cases_csv
from featherseg.storage import write_json
from featherseg.summary import Stamp, summarize
from featherseg.summary.baselines import found_nothing
from featherseg.summary.table import gather
from featherseg.types import Mask
from tests.scoring import blank, box, rows_of

STAMP = Stamp("test", False, "safe", "ab" * 32, "cd" * 32, "validation", {"id": "m1"})
LESIONS = 8
# How far each lesion is found to the right of where it is: the larger, the lower the Dice.
GOOD = (0, 1, 2, 1, 0, 1, 2, 0)
POOR = (4, 5, 5, 6, 4, 5, 6, 5)


def truth_masks() -> dict[str, Mask]:
    """Eight lesions and two normal images."""
    return {**{f"case{n}": box(5, 5) for n in range(LESIONS)}, "n1": blank(), "n2": blank()}


def found_masks(shifts: tuple[int, ...], alarm: bool = False) -> dict[str, Mask]:
    """Each lesion shifted (missed for None), and the second normal image with a false alarm."""
    found = {f"case{n}": box(5, 5 + shift) for n, shift in enumerate(shifts)}
    return {**found, "n1": blank(), "n2": box(0, 0, 3, 3) if alarm else blank()}


def table(
    found: Mapping[str, Mask],
    groups: Mapping[str, str] | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> list[Row]:
    """The rows of an evaluation that found these masks."""
    truth = truth_masks()
    return [
        row
        for name, mask in found.items()
        for row in rows_of(
            name, truth[name], mask, ((groups or {}).get(name, name), ""), spacing_mm=spacing_mm
        )
    ]


def write_evaluation(folder: Path, rows: list[Row], stamp: Stamp | None = STAMP) -> Path:
    """A folder as `featherseg evaluate` leaves it, without the report."""
    folder.mkdir(parents=True)
    write_cases_csv(rows, folder / "cases.csv")
    if stamp is not None:
        write_json(folder / "summary.json", summarize(rows, stamp))
    return folder


def emptied_rows(rows: list[Row]) -> list[Row]:
    """The same table, had nothing been found, as far as it tells."""
    known = {
        (case.id, label): found_nothing(case, scores)
        for case in gather(rows)
        for label, scores in case.labels.items()
    }
    return [replace(row, value=known[row.case, ""].get(row.metric)) for row in rows]
