"""A CSV list of images and masks: columns ``image,mask`` and, if wanted, more.

``id`` (otherwise the image's name without its suffix), ``group``, ``label`` (the image's class),
``spacing_row_mm`` with ``spacing_col_mm`` (millimeters per pixel, both or neither). Paths are
relative to the list and do not leave its folder; link other folders into it. Masks are 0 and any
other value, or label maps where a ``labels.json`` stands beside the list.
"""

from pathlib import Path, PurePosixPath, PureWindowsPath

from featherseg.datasets.folder import LABELS_FILE, read_label_names
from featherseg.datasets.layout import Dataset, named, natural_key
from featherseg.datasets.tables import read_rows, read_spacing
from featherseg.errors import DataError
from featherseg.types import Case

_SPACING = ("spacing_row_mm", "spacing_col_mm")


def scan(path: Path) -> Dataset:
    """Find the cases of a list, or of the only list in a folder, in natural order of their ids."""
    table = _only_list(path) if path.is_dir() else path
    root = table.parent
    rows = read_rows(table, ("image", "mask"))
    cases: dict[str, Case] = {}
    for row in rows:
        case = _case(table, row)
        if case.id in cases:
            raise DataError(
                f"{table}: expected different ids, got '{case.id}' of {cases[case.id].image.name} "
                f"and {row['image']}; add a column id"
            )
        cases[case.id] = case
    absent = [
        path for case in cases.values() for path in (case.image, *case.masks) if not path.is_file()
    ]
    if absent:
        raise DataError(f"{table}: expected files relative to the list, found no {named(absent)}")
    ordered = tuple(sorted(cases.values(), key=lambda case: natural_key(case.id)))
    if not (root / LABELS_FILE).is_file():
        return Dataset("csv", root, ("lesion",), ordered)
    return Dataset("csv", root, read_label_names(root / LABELS_FILE), ordered, "labels")


def _only_list(folder: Path) -> Path:
    lists = sorted(folder.glob("*.csv"))
    if len(lists) != 1:
        found = named(path.name for path in lists) or "none"
        raise DataError(
            f"{folder}: expected one list NAME.csv, found {found}; give the list itself"
        )
    return lists[0]


def _case(table: Path, row: dict[str, str]) -> Case:
    image, mask = (table.parent / inner_path(table, row[part]) for part in ("image", "mask"))
    name = row.get("id") or image.name.split(".")[0]
    spacing = tuple(row.get(column, "") for column in _SPACING)
    if any(spacing) and not all(spacing):
        raise DataError(f"{table}: expected both of {' and '.join(_SPACING)} for {row['image']}")
    rows_mm, columns_mm = (
        [read_spacing(table, text, row["image"]) for text in spacing]
        if all(spacing)
        else (None, None)
    )
    return Case(
        id=name,
        group=row.get("group") or name,
        image=image,
        masks=(mask,),
        label=row.get("label", ""),
        spacing_mm=None if rows_mm is None or columns_mm is None else (rows_mm, columns_mm),
    )


def inner_path(listed_in: Path, text: str) -> PurePosixPath:
    """A relative path that a list names; DataError where it leaves the list's folder."""
    path = PurePosixPath(text)
    outside = path.is_absolute() or PureWindowsPath(text).is_absolute() or ".." in path.parts
    if not text or outside or "\0" in text:
        raise DataError(
            f"{listed_in}: expected a path inside {listed_in.parent}, got '{text:.80}'; name files "
            "relative to the list and link other folders into its own"
        )
    return path
