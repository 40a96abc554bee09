"""Cases that are left out of a split, and why: whole classes, or those a file lists."""

from collections.abc import Sequence
from pathlib import Path

from featherseg.datasets import Dataset
from featherseg.datasets.layout import named
from featherseg.errors import DataError

# A list of a hundred thousand names with reasons stays below.
_LARGEST_BYTES = 10_000_000


def excluded_cases(
    dataset: Dataset, classes: Sequence[str] = (), path: Path | None = None
) -> dict[str, str]:
    """Case id -> reason, for the cases of `classes` and those that the file at `path` lists.

    The file holds one id a line; behind ` # ` may stand the reason; empty lines and lines that
    begin with # are skipped. Raises DataError for a class or an id that is not in the data, for
    an id that is listed twice, and where nothing would be left.
    """
    present = {case.label for case in dataset.cases}
    unknown = [name for name in classes if name not in present]
    if unknown:
        raise DataError(
            f"expected classes of {dataset.root} to exclude ({named(sorted(present)) or 'none'}), "
            f"got {named(unknown)}"
        )
    excluded = {
        case.id: f"class {case.label}" for case in dataset.cases if case.label in set(classes)
    }
    if path is not None:
        excluded |= _listed(path, {case.id for case in dataset.cases})
    if len(excluded) == len(dataset.cases):
        raise DataError(f"expected some images to be left in {dataset.root}, all are excluded")
    return {case.id: excluded[case.id] for case in dataset.cases if case.id in excluded}


def _listed(path: Path, known: set[str]) -> dict[str, str]:
    listed: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, _, reason = (part.strip() for part in text.partition(" # "))
        if name not in known:
            raise DataError(f"{path}, line {number}: expected the id of a case, got '{name:.60}'")
        if name in listed:
            raise DataError(f"{path}, line {number}: '{name}' is listed twice; remove one line")
        listed[name] = reason or f"listed in {path.name}"
    return listed


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise DataError(f"{path}: expected a list of at most 10 MB, got a larger file")
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected text with one id a line, got something else") from error
