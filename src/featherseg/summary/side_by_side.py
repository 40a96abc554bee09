"""Several summaries beside one another: what another split, or leakage, is worth.

Tables of the same cases are compared case by case with `featherseg.compare`, which refuses
others. Here cases may differ; so there are means and their differences, and no test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featherseg.errors import DataError

SCHEMA = "featherseg.side_by_side/1"
_SAFE = ("safe", "blocks")
_STAMPS = ("n", "n_lesion", "n_groups", "subset", "external", "protocol", "split_sha256")
_DECIMALS = 6


@dataclass(frozen=True)
class Table:
    """A summary, the name it is shown under, and the ids of its cases."""

    name: str
    summary: Mapping[str, Any]
    cases: frozenset[str]


def side_by_side(tables: Sequence[Table], metrics: Sequence[str]) -> dict[str, Any]:
    """The stamps of two or more tables, their averages, and each mean minus that of the first.

    `metrics` are names of averages; a distance in a unit that another table lacks is left out.
    ``warnings`` say where cases differ and where a split leaks. Raises DataError for fewer than
    two tables or for names that are not distinct.
    """
    if len(tables) < 2 or len({table.name for table in tables}) < len(tables):
        raise DataError("expected two or more tables with different names")
    return {
        "schema": SCHEMA,
        "tables": [
            {"name": table.name, **{key: table.summary[key] for key in _STAMPS}} for table in tables
        ],
        "averages": {name: _entries(tables, name) for name in _shared(tables, metrics)},
        "presence": {
            name: [dict(table.summary["presence"][name]) for table in tables]
            for name in ("sensitivity", "specificity")
        },
        "warnings": [*_about_cases(tables), *_about_protocols(tables)],
    }


def _shared(tables: Sequence[Table], metrics: Sequence[str]) -> list[str]:
    """The metrics that all tables hold in one unit."""
    return [
        name
        for name in metrics
        if all(name in table.summary for table in tables)
        and len({table.summary[name].get("unit") for table in tables}) == 1
    ]


def _entries(tables: Sequence[Table], name: str) -> list[dict[str, Any]]:
    first = tables[0].summary[name]["mean"]
    entries = []
    for table in tables:
        entry = table.summary[name]
        known = entry["mean"] is not None and first is not None
        entries.append(
            {
                **{key: entry[key] for key in ("mean", "ci_low", "ci_high", "n")},
                "unit": entry.get("unit"),
                "difference": round(entry["mean"] - first, _DECIMALS) if known else None,
            }
        )
    return entries


def _about_cases(tables: Sequence[Table]) -> list[str]:
    first = tables[0]
    warnings = []
    for table in tables[1:]:
        shared = len(first.cases & table.cases)
        if shared == len(first.cases) == len(table.cases):
            warnings.append(
                f"{first.name} and {table.name} hold the same cases: `featherseg compare` gives "
                "the difference an interval and a test"
            )
        else:
            warnings.append(
                f"{first.name} and {table.name} hold different cases ({shared} in both): their "
                "difference also holds that of the images, and has no interval"
            )
    return warnings


def _about_protocols(tables: Sequence[Table]) -> list[str]:
    return [
        f"{table.name} was scored on a split of the protocol '{table.summary['protocol']}', in "
        "which duplicates or patients may cross: its scores may be too high"
        for table in tables
        if table.summary["protocol"] and table.summary["protocol"] not in _SAFE
    ]
