"""`featherseg reproduce`: the papers' result tables, run again."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from featherseg.reproduce.run import RunJobs
    from featherseg.reproduce.table import Table


class ScaleName(StrEnum):
    """How large."""

    paper = "paper"
    small = "small"


class SplitWay(StrEnum):
    """On which splits."""

    both = "both"
    paper = "paper"
    safe = "safe"


def reproduce(
    table: Annotated[str | None, typer.Argument(help="A table's name, see --list.")] = None,
    list_tables: Annotated[bool, typer.Option("--list", help="List the tables.")] = False,
    scale: Annotated[
        ScaleName, typer.Option(help="The paper's size, or one for two processor cores.")
    ] = ScaleName.paper,
    data: Annotated[
        list[str] | None, typer.Option(metavar="LAYOUT=DIR", help="Where a data set is.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Results go to OUT/TABLE.")] = Path("results"),
    work: Annotated[Path, typer.Option(help="Folder for packs, splits and runs.")] = Path(
        "runs/reproduce"
    ),
    splits: Annotated[SplitWay, typer.Option(help="The paper's split, a safe one, or both.")] = (
        SplitWay.both
    ),
    rows: Annotated[
        list[str] | None, typer.Option("--row", metavar="NAME", help="Only this row of the table.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler that runs the trainings.")
    ] = None,
) -> None:
    """Train and score every row of a published table, and set ours beside theirs.

    OUT/TABLE gets a table of cases for each training and a README.md with the published value,
    ours on the paper's kind of split and on one that no duplicate crosses, intervals, parameters
    and the time for one image on this machine. What has a result is skipped and what was
    interrupted goes on, so the same command may be stopped and given again at any time. A table
    over several data sets runs those that --data names. Without --data only the costs are measured.

    Examples:

      featherseg reproduce --list

      featherseg reproduce laednet-3 --scale small --data busi=BUSI

      featherseg reproduce lightbtseg-1 --data busi=BUSI --data udiat=DatasetB --splits safe
    """
    from featherseg.extras import require

    require("train", "evaluate")
    from featherseg.cli.console import remarks
    from featherseg.cli.show import terminal_show
    from featherseg.errors import DataError
    from featherseg.reproduce.run import Choice, Places
    from featherseg.reproduce.run import reproduce as fill
    from featherseg.reproduce.scale import SCALES
    from featherseg.reproduce.splits import WAYS
    from featherseg.reproduce.tables import TABLES

    if list_tables:
        _list(TABLES)
        return
    if table is None:
        raise DataError("expected the name of a table; `featherseg reproduce --list` shows them")
    chosen = _known(table, TABLES)
    ways = WAYS if splits is SplitWay.both else tuple(w for w in WAYS if w == splits.value)
    places = Places(_folders(data or [], chosen), out, work)
    failures = fill(
        chosen,
        SCALES[scale.value],
        places,
        Choice(ways, tuple(rows) if rows else None),
        terminal_show(),
        _runner(cluster),
    )
    typer.echo(f"{out / table / 'README.md'} is written")
    if failures:
        for failure in failures:
            remarks().print(f"{failure.job}: {failure.reason}", markup=False, soft_wrap=True)
        raise typer.Exit(1)


def _known(name: str, tables: "dict[str, Table]") -> "Table":
    from featherseg.errors import DataError
    from featherseg.networks.names import did_you_mean

    if name not in tables:
        raise DataError(
            f"unknown table '{name}'; expected one of {', '.join(tables)}"
            f"{did_you_mean(name, tables)}"
        )
    return tables[name]


def _folders(given: list[str], table: "Table") -> dict[str, Path]:
    """LAYOUT=DIR to folders by layout; the table must have that layout."""
    from featherseg.errors import DataError

    known = dict.fromkeys(part.dataset for part in table.parts)
    folders = {}
    for text in given:
        layout, separator, folder = text.partition("=")
        if not separator or layout not in known or not folder:
            raise DataError(
                f"--data {text}: expected LAYOUT=DIR with a layout of {table.name}: "
                f"{', '.join(known)}"
            )
        folders[layout] = Path(folder)
    return folders


def _list(tables: "dict[str, Table]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid

    from featherseg.cli.console import output

    grid = Grid(*("table", "rows", "data", "what"), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, table in tables.items():
        rows = sum(len(part.rows) for part in table.parts)
        layouts = ", ".join(dict.fromkeys(part.dataset for part in table.parts))
        grid.add_row(name, str(rows), layouts, table.title)
    output().print(grid)


def _runner(cluster: str | None) -> "RunJobs":
    """What runs the jobs: this process, or a Dask cluster."""
    from featherseg.grid import run_grid

    if cluster is None:
        return run_grid
    from functools import partial

    from featherseg.extras import require
    from featherseg.grid.cluster import run_on_cluster

    require("cluster")
    return partial(run_on_cluster, cluster)
