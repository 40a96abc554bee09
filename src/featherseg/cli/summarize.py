"""`featherseg summarize`: the summary of a table of cases, made again; or several side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featherseg.cli.options import SummaryAsJson

if TYPE_CHECKING:
    import rich.table

_TABLE_FILE = "cases.csv"


def summarize(
    cases: Annotated[
        list[Path],
        typer.Argument(help="A cases.csv, or the folder of one.", metavar="CASES.csv..."),
    ],
    as_json: SummaryAsJson = False,
) -> None:
    """Make a summary again from its table of cases, or set several side by side.

    Only the stamp (subset, split, model) is taken from the summary.json beside the table. Several
    tables may hold different cases, such as the test subsets of a safe and of a leaky split; for
    the same cases `featherseg compare` says more.

    Examples:

      featherseg summarize scores/cases.csv --json

      featherseg summarize scores-safe scores-leaky
    """
    from featherseg.extras import require

    require("evaluate")
    from featherseg.cli.console import print_json
    from featherseg.cli.scores import print_summary
    from featherseg.summary import summarize_cases

    paths = [path / _TABLE_FILE if path.is_dir() else path for path in cases]
    if len(paths) > 1:
        content = _side_by_side(paths)
        print_json(content) if as_json else _print(content)
        return
    summary = summarize_cases(paths[0])
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)


def _side_by_side(paths: Sequence[Path]) -> dict[str, Any]:
    from featherseg.case_table import read_cases_csv
    from featherseg.report.words import HEADLINE
    from featherseg.summary import stamp_beside, summarize
    from featherseg.summary.side_by_side import Table, side_by_side

    tables = []
    for name, path in zip(_names(paths), paths, strict=True):
        rows = read_cases_csv(path)
        ids = frozenset(row.case for row in rows)
        tables.append(Table(name, summarize(rows, stamp_beside(path)), ids))
    return side_by_side(tables, HEADLINE)


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, or whole paths where these are not distinct."""
    names = [path.resolve().parent.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _print(content: Mapping[str, Any]) -> None:
    import rich.table
    from rich.markup import escape

    from featherseg.cli.console import output

    table = rich.table.Table("", *(escape(each["name"]) for each in content["tables"]))
    stamps = [_stamps(each) for each in content["tables"]]
    for what in stamps[0]:
        table.add_row(what, *(escape(each[what]) for each in stamps))
    table.add_section()
    for name, entries in content["averages"].items():
        _add(table, name, entries)
    for name, entries in content["presence"].items():
        table.add_row(name, *(_proportion(entry) for entry in entries))
    output().print(table)
    output().print(
        "Means with their 95 % intervals, and each mean minus that of the first table.",
        markup=False,
    )
    for warning in content["warnings"]:
        output().print(f"note: {warning}", style="yellow", markup=False)


def _stamps(table: Mapping[str, Any]) -> dict[str, str]:
    return {
        "images": f"{table['n']}, {table['n_lesion']} with a lesion",
        "subset": table["subset"] or "not stated",
        "protocol": table["protocol"] or "not stated",
        "split": (table["split_sha256"] or "-")[:12],
    }


def _add(table: "rich.table.Table", name: str, entries: Sequence[Mapping[str, Any]]) -> None:
    from rich.markup import escape

    unit = f" ({entries[0]['unit']})" if entries[0]["unit"] else ""
    cells = []
    for place, entry in enumerate(entries):
        shown = "-" if entry["mean"] is None else f"{entry['mean']:.3f}"
        if entry["ci_low"] is not None:
            shown += f" [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]"
        if place and entry["difference"] is not None:
            shown += f" {entry['difference']:+.3f}"
        cells.append(escape(shown))
    table.add_row(f"{name}{unit}", *cells)


def _proportion(entry: Mapping[str, Any]) -> str:
    return "-" if entry["value"] is None else f"{entry['value']:.3f} of {entry['n']}"
