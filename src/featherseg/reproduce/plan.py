"""A table and a scale to the trainings that fill it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from featherseg.datasets import Dataset, load_dataset
from featherseg.duplicates import Duplicates
from featherseg.grid import Job, with_teachers
from featherseg.reproduce.scale import Scale
from featherseg.reproduce.splits import (
    WAYS,
    Track,
    Way,
    duplicates_of,
    fold_of,
    make_table_split,
    saved_split,
    split_file,
)
from featherseg.reproduce.table import NO_METRICS, Part, Row, Table
from featherseg.splits import load_split
from featherseg.storage import sha256_json
from featherseg.train.recipe import Recipe, load_recipe, recipe_sha256

SPLITS = "splits"
_DIGITS = 10


@dataclass(frozen=True)
class Cell:
    """One training of one row: where its table of cases stands below the table's folder."""

    dataset: str
    row: Row
    way: Way
    repeat: int

    @property
    def file(self) -> str:
        """The name below results/TABLE/SCALE/."""
        return f"{self.dataset}/{slug(self.row.name)}.{self.way}-{self.repeat + 1}.csv"


@dataclass(frozen=True)
class Planned:
    """A cell and the jobs that make it, teachers first; the last is the cell's own."""

    cell: Cell
    jobs: tuple[Job, ...]


def slug(name: str) -> str:
    """A row's name as part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("+", "p")).strip("-")


def is_trained(table: Table) -> bool:
    """Whether any column of the table is a score; tables of cost alone need no training."""
    return any(column.metric not in NO_METRICS for column in table.columns)


def cells(table: Table, scale: Scale, part: Part, ways: Sequence[Way] = WAYS) -> Iterator[Cell]:
    """All cells of a part, repeat by repeat: the first is whole before the second begins."""
    for repeat in range(scale.repeats or table.repeats):
        for way in ways:
            for row in part.rows:
                yield Cell(part.dataset, row, way, repeat)


def row_recipe(row: Row, scale: Scale, repeat: int = 0) -> Recipe:
    """The recipe of a row at a scale; the seed goes up with the repeat."""
    network = scale.teacher_network if row.is_teacher else ()
    recipe = load_recipe(row.recipe, (*scale.settings, *row.settings, *network))
    recipe = replace(recipe, seed=recipe.seed + repeat)
    if recipe.distill is None or scale.view is None:
        return recipe
    return replace(recipe, distill=replace(recipe.distill, view=scale.view))


def plan(
    wanted: Sequence[Cell], part: Part, scale: Scale, data: Path, work: Path, track: Track
) -> list[Planned]:
    """The jobs of some cells of a part, on the data set in `data`; splits are made in `work`."""
    dataset = load_dataset(data, part.dataset)

    @cache
    def duplicates() -> Duplicates:
        return duplicates_of(dataset, track)

    return [_planned(cell, part, scale, (dataset, data), duplicates, work) for cell in wanted]


def _planned(
    cell: Cell,
    part: Part,
    scale: Scale,
    found: tuple[Dataset, Path],
    duplicates: Callable[[], Duplicates],
    work: Path,
) -> Planned:
    dataset, data = found
    path = saved_split(
        split_file(work / SPLITS, part.dataset, part.protocol, cell.way, cell.repeat),
        lambda: make_table_split(dataset, duplicates(), part.protocol, cell.way, cell.repeat),
    )
    recipe = row_recipe(cell.row, scale, cell.repeat)
    fold = fold_of(part.dataset, cell.way)
    job = Job("student", recipe, data, part.dataset, path, fold)
    return Planned(cell, addressed(with_teachers(job, "teachers", scale.of_teachers)))


def addressed(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs under names made of what they are, so that equal trainings are one.

    Rows of several tables share their runs that way, and a changed recipe or split is another.
    """
    names: dict[str, str] = {}
    renamed = []
    for job in jobs:
        teachers = {
            name: tuple(names[each] for each in needed) for name, needed in job.teachers.items()
        }
        names[job.name] = f"{job.recipe.network}-{_digest(job, teachers)}"
        renamed.append(replace(job, name=names[job.name], teachers=teachers))
    return tuple(renamed)


def _digest(job: Job, teachers: Mapping[str, tuple[str, ...]]) -> str:
    content = {
        "recipe": recipe_sha256(job.recipe),
        "split": load_split(job.split).sha256,
        "fold": job.fold,
        "teachers": teachers,
    }
    return sha256_json(content)[:_DIGITS]
