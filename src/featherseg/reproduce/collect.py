"""What a finished job leaves in a table's folder: the scores that the table needs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featherseg.case_table import Row, read_cases_csv, write_cases_csv
from featherseg.grid import Job, run_folder
from featherseg.report.scores import CASES_FILE, SUMMARY_FILE
from featherseg.reproduce.plan import Cell
from featherseg.reproduce.table import Table
from featherseg.storage import write_json
from featherseg.summary.table import CORE_METRICS
from featherseg.train.files import RUN_FILE
from featherseg.train.recipe import as_values

_STAMP = ("protocol", "split_sha256", "images_sha256", "chosen_on", "model")
_RUN = ("images", "epochs", "best", "operating_point", "seconds", "initial_weights", "versions")


@dataclass(frozen=True)
class Collected:
    """A cell's table of cases, and what made it."""

    rows: tuple[Row, ...]
    about: dict[str, Any]


def collect(cell: Cell, job: Job, root: Path, table: Table, out: Path) -> None:
    """Write the cell's CSV (the core metrics and the table's) and, first, its JSON to `out`."""
    wanted = {*CORE_METRICS, *(column.metric for column in table.columns)}
    rows = read_cases_csv(root / job.name / CASES_FILE)
    kept = [row for row in rows if row.metric.partition(":")[0] in wanted]
    path = out / cell.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path.with_suffix(".json"), _about(job, root))
    write_cases_csv(kept, path)


def read_collected(cell: Cell, out: Path) -> Collected | None:
    """What `collect` wrote; None for a cell that has not been run."""
    path = out / cell.file
    if not path.is_file():
        return None
    return Collected(read_cases_csv(path), json.loads(path.with_suffix(".json").read_text()))


def missing(wanted: Sequence[Cell], out: Path) -> list[Cell]:
    """The cells without a result."""
    return [cell for cell in wanted if not (out / cell.file).is_file()]


def _about(job: Job, root: Path) -> dict[str, Any]:
    summary = json.loads((root / job.name / SUMMARY_FILE).read_text())
    run = json.loads((run_folder(root, job.name) / RUN_FILE).read_text())
    return {
        "recipe": as_values(job.recipe),
        **{name: summary[name] for name in _STAMP},
        **{name: run[name] for name in _RUN},
    }
