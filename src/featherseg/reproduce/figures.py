"""The figures of a table's cells, from their tables of cases alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from featherseg.reproduce.collect import read_collected
from featherseg.reproduce.plan import Cell
from featherseg.reproduce.scale import Scale
from featherseg.reproduce.splits import Way
from featherseg.reproduce.table import NO_METRICS, Column, Part, Row, Table
from featherseg.stats import describe
from featherseg.summary.averages import AVERAGES, image_value
from featherseg.summary.table import ScoredCase, gather

_SEED = 0


@dataclass(frozen=True)
class Figure:
    """The mean of a metric over test images, with its 95 % interval (None where undefined).

    ``repeats`` trainings are averaged image by image before anything else; ``std`` is the
    standard deviation of their means, None for one training. ``n`` counts the images.
    """

    mean: float
    low: float | None
    high: float | None
    std: float | None
    repeats: int
    n: int


def row_figures(
    table: Table, scale: Scale, part: Part, row: Row, way: Way, out: Path
) -> dict[str, Figure]:
    """The figures of one row on one split, by column key; nothing for a row that was not run."""
    found = [
        read_collected(Cell(part.dataset, row, way, repeat), out)
        for repeat in range(scale.repeats or table.repeats)
    ]
    runs = [_scored(gather(each.rows), row) for each in found if each is not None]
    made = {
        column.key: _figure(runs, column)
        for column in table.columns
        if column.metric not in NO_METRICS and runs
    }
    return {key: figure for key, figure in made.items() if figure is not None}


def average_of(column: Column) -> str:
    """The name in `summary.AVERAGES` of what a column holds."""
    name = f"{column.metric}_{column.over}"
    return name if name in AVERAGES else column.metric


def _scored(cases: Sequence[ScoredCase], row: Row) -> list[ScoredCase]:
    """The cases of the classes that the row is scored on."""
    if not row.classes_test:
        return list(cases)
    return [case for case in cases if case.class_name in row.classes_test]


def _figure(runs: Sequence[Sequence[ScoredCase]], column: Column) -> Figure | None:
    tables = [_values(run, column) for run in runs]
    groups = {case.id: case.group for run in runs for case in run}
    means = [fmean(table.values()) for table in tables if table]
    if not means:
        return None
    averaged = {
        case: fmean(table[case] for table in tables if case in table)
        for case in sorted(set().union(*tables))
    }
    found = describe(list(averaged.values()), _SEED, groups=[groups[case] for case in averaged])
    spread = stdev(means) if len(means) > 1 else None
    return Figure(fmean(means), found.ci_low, found.ci_high, spread, len(means), found.n)


def _values(run: Sequence[ScoredCase], column: Column) -> Mapping[str, float]:
    name = average_of(column)
    values = {case.id: image_value(name, case, list(case.labels)) for case in run}
    return {case: value for case, value in values.items() if value is not None}
