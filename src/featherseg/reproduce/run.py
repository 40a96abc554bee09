"""Filling a table: plan, train, score, collect, write the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from featherseg.errors import DataError
from featherseg.grid import Failure, Job, is_done
from featherseg.reproduce.collect import collect, missing
from featherseg.reproduce.cost import measure_costs
from featherseg.reproduce.page import PAGE, page
from featherseg.reproduce.plan import Planned, cells, is_trained, plan
from featherseg.reproduce.scale import Scale
from featherseg.reproduce.splits import WAYS, Way
from featherseg.reproduce.table import Part, Row, Table
from featherseg.storage import write_text
from featherseg.train.show import Show

RunJobs = Callable[[Sequence[Job], Path, Show, Callable[[Job], None]], tuple[Failure, ...]]


@dataclass(frozen=True)
class Places:
    """Where things are: data sets by layout, the folder of results, that of runs and packs."""

    data: Mapping[str, Path]
    results: Path
    work: Path


@dataclass(frozen=True)
class Choice:
    """Which cells to run: the splits, and the rows by name (None is all)."""

    ways: tuple[Way, ...] = WAYS
    rows: tuple[str, ...] | None = None


def reproduce(
    table: Table, scale: Scale, places: Places, choice: Choice, show: Show, run_jobs: RunJobs
) -> tuple[Failure, ...]:
    """Run the cells of `table` that have no result yet and write its page.

    Each result is collected as soon as its job is done, so that a killed command loses at most
    the epoch it was in. Parts whose data set is not in `places.data` are left as they are.
    Raises DataError for rows that the table does not have.
    """
    _check_rows(table, choice)
    folder = places.results / table.name
    failures: tuple[Failure, ...] = ()
    for part in table.parts:
        if is_trained(table) and part.dataset in places.data:
            failures += _run_part(table, part, scale, places, choice, show, run_jobs)
    for part in table.parts:
        measure_costs(_rows(part, choice), scale, folder / scale.name, show.say)
    write_text(folder / PAGE, page(table, folder))
    return failures


def _run_part(
    table: Table,
    part: Part,
    scale: Scale,
    places: Places,
    choice: Choice,
    show: Show,
    run_jobs: RunJobs,
) -> tuple[Failure, ...]:
    folder = places.results / table.name
    out = folder / scale.name
    wanted = [
        cell
        for cell in cells(table, scale, part, choice.ways)
        if choice.rows is None or cell.row.name in choice.rows
    ]
    left = missing(wanted, out)
    show.say(f"{table.name}, {part.dataset}: {len(wanted) - len(left)} of {len(wanted)} cells done")
    if not left:
        return ()
    planned = plan(left, part, scale, places.data[part.dataset], places.work, show.track)

    def collect_finished(_: Job | None = None) -> None:
        _collect_finished(planned, places.work, table, out)
        write_text(folder / PAGE, page(table, folder))

    # Other tables may have run some of the jobs.
    collect_finished()
    return run_jobs(_each_once(planned), places.work, show, collect_finished)


def _collect_finished(planned: Sequence[Planned], work: Path, table: Table, out: Path) -> None:
    for each in planned:
        if is_done(each.jobs[-1], work) and not (out / each.cell.file).is_file():
            collect(each.cell, each.jobs[-1], work, table, out)


def _each_once(planned: Sequence[Planned]) -> list[Job]:
    """All jobs, those that several cells share once, teachers before students."""
    return list({job.name: job for each in planned for job in each.jobs}.values())


def _rows(part: Part, choice: Choice) -> list[Row]:
    return [row for row in part.rows if choice.rows is None or row.name in choice.rows]


def _check_rows(table: Table, choice: Choice) -> None:
    known = dict.fromkeys(row.name for part in table.parts for row in part.rows)
    for name in choice.rows or ():
        if name not in known:
            raise DataError(f"{table.name} has the rows {', '.join(known)}; got '{name}'")
