"""CSV files that come with images: untrusted text to rows of named columns."""

import csv
import math
from pathlib import Path

from featherseg.errors import DataError

# A table of a million images stays below this.
_LARGEST_BYTES = 256 << 20
# Pixels from electron microscopes to photographs of skin lie in between.
_SPACING_MM = (1e-7, 100.0)


def read_rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a CSV file under lower-case column names, all values stripped.

    Columns are parted by commas or, as spreadsheets of some countries do, semicolons. Raises
    DataError for a file that is missing, too large or no CSV, and without one of `columns`.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise DataError(f"{path}: expected a CSV file below {_LARGEST_BYTES >> 20} MiB")
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            separator = ";" if header.count(";") > header.count(",") else ","
            lines = [line for line in csv.reader(file, delimiter=separator) if any(line)]
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a CSV file, found nothing") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file ({error})") from error
    names = [name.strip().lower() for name in lines[0]] if lines else []
    missing = [column for column in columns if column not in names]
    if missing or len(set(names)) != len(names):
        raise DataError(
            f"{path}: expected different columns with {','.join(columns)} among them, "
            f"got {','.join(names)[:80] or 'nothing'}"
        )
    return [_row(path, names, line) for line in lines[1:]]


def _row(path: Path, names: list[str], line: list[str]) -> dict[str, str]:
    if len(line) > len(names):
        raise DataError(f"{path}: expected {len(names)} columns, got the row {','.join(line)[:80]}")
    values = [value.strip() for value in line] + [""] * (len(names) - len(line))
    return dict(zip(names, values, strict=True))


def read_spacing(path: Path, text: str, name: str) -> float:
    """Millimeters per pixel as a number; DataError for what is none or cannot be."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    least, most = _SPACING_MM
    if not least <= value <= most:
        raise DataError(
            f"{path}: expected millimeters per pixel between {least:g} and {most:g} for {name}, "
            f"got '{text[:40]}'"
        )
    return value
