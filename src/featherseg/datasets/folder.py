"""Anybody's folder: ``images/`` and ``masks/`` with equal stems.

Masks are 0 and any other value, or label maps 0..K where ``labels.json`` names the labels:
``{"1": "head", "2": "body"}`` or ``["head", "body"]``. A file ``groups.csv`` with the columns
``id,group`` and, if wanted, ``class`` says which images belong to one patient or exam.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from featherseg.datasets.layout import (
    Dataset,
    image_files,
    load_json,
    named,
    read_binary,
    read_labels,
)
from featherseg.errors import DataError
from featherseg.types import Case, Mask

LABELS_FILE = "labels.json"
GROUPS_FILE = "groups.csv"
_MOST_LABELS = 255
_KINDS: dict[bool, Literal["binary", "labels"]] = {False: "binary", True: "labels"}


def scan(folder: Path) -> Dataset:
    """Find the cases; DataError for images or masks without a partner, or a bad side file."""
    pairs = paired_files(folder)
    has_labels = (folder / LABELS_FILE).is_file()
    labels = read_label_names(folder / LABELS_FILE) if has_labels else ("lesion",)
    known = read_groups(folder / GROUPS_FILE, pairs)
    cases = []
    for name, (image, mask) in pairs.items():
        group, label = known.get(name, (name, ""))
        cases.append(Case(id=name, group=group, image=image, masks=(mask,), label=label))
    return Dataset("folder", folder, labels, tuple(cases), _KINDS[has_labels])


def read_mask(dataset: Dataset, case: Case) -> Mask:
    """The labels of a case, uint8 (H, W), from a binary mask or a label map."""
    reader = read_labels if dataset.mask_kind == "labels" else read_binary
    return reader(dataset, case)


def paired_files(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Stem -> (image, mask) in natural order; DataError where either has no partner."""
    for part in ("images", "masks"):
        if not (folder / part).is_dir():
            raise DataError(f"{folder}: expected the folders images/ and masks/, found no {part}/")
    images, masks = _by_stem(folder / "images"), _by_stem(folder / "masks")
    bare = [path.name for stem, path in images.items() if stem not in masks]
    if bare:
        raise DataError(
            f"{folder / 'masks'}: expected a mask with the stem of every image, none for "
            f"{named(bare)}; an image without a lesion needs a black mask"
        )
    orphans = [path.name for stem, path in masks.items() if stem not in images]
    if orphans:
        raise DataError(
            f"{folder / 'images'}: expected an image for every mask, none for {named(orphans)}; "
            "add the images or remove the masks"
        )
    return {stem: (path, masks[stem]) for stem, path in images.items()}


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in image_files(folder):
        if path.stem in found:
            raise DataError(
                f"{folder}: expected one file of each stem, got {found[path.stem].name} and "
                f"{path.name}; rename one of them"
            )
        found[path.stem] = path
    return found


def read_label_names(path: Path) -> tuple[str, ...]:
    """The names of the labels 1..K in a labels.json; DataError where it is not one."""
    content = load_json(path)
    names = content if isinstance(content, list) else _numbered(path, content)
    valid = all(isinstance(name, str) and name.strip() for name in names)
    if not valid or len(set(names)) != len(names) or not 1 <= len(names) <= _MOST_LABELS:
        raise DataError(
            f"{path}: expected 1 to {_MOST_LABELS} different label names, got {content!r:.80}"
        )
    return tuple(names)


def _numbered(path: Path, content: Any) -> list[Any]:
    """Names in the order of their keys "1", "2", ...; a key "0" names the background."""
    named_labels = dict(content) if isinstance(content, dict) else {}
    named_labels.pop("0", None)
    keys = [str(value) for value in range(1, len(named_labels) + 1)]
    if not keys or set(named_labels) != set(keys):
        raise DataError(
            f'{path}: expected a list of names or {{"1": "name", "2": ...}} without a gap, '
            f"got {content!r:.80}"
        )
    return [named_labels[key] for key in keys]


def read_groups(path: Path, ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Case id -> (group, class) of a groups.csv; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file ({error})") from error
    if not rows or not {"id", "group"} <= set(rows[0]):
        raise DataError(f"{path}: expected rows under the columns id,group[,class]")
    known = {row["id"]: (row["group"] or "", row.get("class") or "") for row in rows}
    missing = [name for name in ids if not known.get(name, ("", ""))[0]]
    if missing:
        raise DataError(f"{path}: expected a group for every image, none for {named(missing)}")
    return known
