"""The per-case table: the only thing that stands between an evaluation and its statistics.

A long CSV with the columns case, group, class, metric, value, unit. An undefined value is an
empty field. With one label a metric is called `dice`, with several `dice:LABEL`.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from featherseg.errors import DataError
from featherseg.storage import write_text

COLUMNS = ("case", "group", "class", "metric", "value", "unit")


@dataclass(frozen=True)
class Row:
    """One score of one case.

    ``class_name`` is the class of the whole image, '' where there is none; ``value`` is None
    where the metric is undefined; ``unit`` is '' for a fraction, else px or mm.
    """

    case: str
    group: str
    class_name: str
    metric: str
    value: float | None
    unit: str


def cases_csv(rows: Iterable[Row]) -> str:
    """The table as CSV text, rows in their order, numbers in full."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        value = "" if row.value is None else f"{row.value:.15g}"
        writer.writerow((row.case, row.group, row.class_name, row.metric, value, row.unit))
    return buffer.getvalue()


def write_cases_csv(rows: Iterable[Row], path: Path) -> None:
    """Write the table to `path`, atomically."""
    write_text(path, cases_csv(rows))


def read_cases_csv(path: Path) -> tuple[Row, ...]:
    """Read a table; DataError names the file and the line where it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a table of cases (cases.csv), found nothing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    lines = list(csv.reader(io.StringIO(text)))
    if not lines or tuple(lines[0]) != COLUMNS:
        raise DataError(
            f"{path}: expected the columns {','.join(COLUMNS)}, "
            f"got {','.join(lines[0]) if lines else 'an empty file'}"
        )
    return tuple(_row(fields, f"{path}, row {n}") for n, fields in enumerate(lines[1:], start=2))


def _row(fields: Sequence[str], place: str) -> Row:
    if len(fields) != len(COLUMNS):
        raise DataError(f"{place}: expected {len(COLUMNS)} fields, got {len(fields)}")
    case, group, class_name, metric, text, unit = fields
    try:
        value = float(text) if text else None
    except ValueError as error:
        raise DataError(f"{place}: expected a number as value, got '{text}'") from error
    if value is not None and not isfinite(value):
        raise DataError(f"{place}: expected a finite number or nothing as value, got '{text}'")
    return Row(case, group, class_name, metric, value, unit)
