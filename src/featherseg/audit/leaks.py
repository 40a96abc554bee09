"""Which cases a split file keeps apart though they belong together, whoever made the file.

Read are FeatherSeg's own files, a JSON object of lists (``{"train": [...], "test": [...]}``,
also with MONAI's ``{"image": ...}`` entries) or of parts (``{"case": "train"}``), nnU-Net's
list of folds (``[{"train": [...], "val": [...]}]``) and a CSV file with a column for the case
and one for its part.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featherseg.audit.findings import Crossing, Group
from featherseg.datasets import Dataset
from featherseg.datasets.layout import load_json, named
from featherseg.duplicates import Duplicates
from featherseg.errors import DataError
from featherseg.images.raster import SUFFIXES
from featherseg.splits import Split, check_split, is_intact, parts_of, read_split

CASE_COLUMNS = ("case", "id", "case_id", "image", "image_id", "file", "filename", "name")
PART_COLUMNS = ("subset", "split", "part", "partition", "set", "fold")
_OWN_KEYS = frozenset({"schema", "images_sha256"})
# Lists of a million names stay far below.
_LARGEST_BYTES = 64_000_000
# nnU-Net's suffix of the first channel's image files.
_CHANNEL = "_0000"
_IMAGE_SUFFIXES = SUFFIXES | {".nii", ".gz", ".dcm", ".npy"}
_EXPECTED = (
    "a split file: FeatherSeg's own, JSON lists of cases by part, nnU-Net's list of folds, or "
    "CSV with the columns case and subset"
)

Parts = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class GivenSplit:
    """Parts of case ids that nothing may cross.

    ``alternatives`` are looked through one by one: nnU-Net's folds each cover all cases.
    ``is_intact`` says whether FeatherSeg's own file is as it was made, None for other files.
    """

    alternatives: tuple[Parts, ...]
    is_intact: bool | None = None
    not_in_data: tuple[str, ...] = ()


def from_split(split: Split) -> GivenSplit:
    """The parts of a split that FeatherSeg made."""
    return GivenSplit((parts_of(split),), is_intact(split))


def read_given_split(path: Path, dataset: Dataset) -> GivenSplit:
    """Read any split file for `dataset`.

    Names are case ids, or file names with or without folder and suffix. Raises DataError for a
    file of another kind, for one of whose names no case is known, and for FeatherSeg's own file
    where it was made for other images.
    """
    if path.is_file() and path.stat().st_size > _LARGEST_BYTES:
        raise DataError(f"{path}: expected a split file of at most 64 MB, got a larger one")
    if path.suffix.lower() in (".csv", ".tsv"):
        return _resolved(path, (_csv_parts(path),), dataset)
    content = load_json(path)
    if isinstance(content, dict) and set(content) & _OWN_KEYS:
        split = read_split(path)
        check_split(split, dataset)
        return from_split(split)
    alternatives = content if isinstance(content, list) else [content]
    return _resolved(path, tuple(_json_parts(path, each) for each in alternatives), dataset)


def crossings(dataset: Dataset, duplicates: Duplicates, given: GivenSplit) -> tuple[Crossing, ...]:
    """Cases, duplicates and groups that lie in several parts, each once."""
    groups: dict[str, list[str]] = {}
    for case in dataset.cases:
        groups.setdefault(case.group, []).append(case.id)
    together: list[tuple[str, Group]] = [("case", (case.id,)) for case in dataset.cases]
    together += [("duplicate", group) for group in duplicates.groups]
    together += [("group", tuple(group)) for group in groups.values() if len(group) > 1]
    found: dict[tuple[str, Group], set[str]] = {}
    for parts in given.alternatives:
        places = _places(parts)
        for key in together:
            crossed = {part for name in key[1] for part in places.get(name, ())}
            if len(crossed) > 1:
                found.setdefault(key, set()).update(crossed)
    return tuple(Crossing(names, tuple(sorted(ps)), why) for (why, names), ps in found.items())


def unassigned(dataset: Dataset, given: GivenSplit) -> tuple[str, ...]:
    """Cases that stand in no part."""
    listed = {name for parts in given.alternatives for ids in parts.values() for name in ids}
    return tuple(case.id for case in dataset.cases if case.id not in listed)


def _places(parts: Parts) -> dict[str, list[str]]:
    places: dict[str, list[str]] = {}
    for part, ids in parts.items():
        for name in ids:
            places.setdefault(name, []).append(part)
    return places


def _json_parts(path: Path, content: Any) -> Parts:
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: expected {_EXPECTED}")
    if all(isinstance(value, str | int) for value in content.values()):
        return _by_part((name, str(part)) for name, part in content.items())
    lists = {str(part): value for part, value in content.items() if isinstance(value, list)}
    parts = {part: [_name(path, entry) for entry in value] for part, value in lists.items()}
    if not any(parts.values()):
        raise DataError(f"{path}: expected {_EXPECTED}")
    return parts


def _name(path: Path, entry: Any) -> str:
    name = entry.get("image") if isinstance(entry, dict) else entry
    if not isinstance(name, str | int):
        raise DataError(f"{path}: expected names of cases, got {entry!r:.80}")
    return str(name)


def _csv_parts(path: Path) -> Parts:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            rows = list(csv.DictReader(file, delimiter=delimiter))
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a split file, found nothing") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV file ({error})") from error
    columns = {str(name).strip().lower(): name for name in (rows[0] if rows else ())}
    case = next((columns[name] for name in CASE_COLUMNS if name in columns), None)
    part = next((columns[name] for name in PART_COLUMNS if name in columns), None)
    if case is None or part is None:
        raise DataError(
            f"{path}: expected rows under a column out of {', '.join(CASE_COLUMNS)} and one out "
            f"of {', '.join(PART_COLUMNS)}, got {', '.join(columns) or 'none'}"
        )
    return _by_part((row[case] or "", row[part] or "") for row in rows)


def _by_part(pairs: Iterable[tuple[str, str]]) -> Parts:
    parts: dict[str, list[str]] = {}
    for name, part in pairs:
        parts.setdefault(part, []).append(name)
    return parts


def _resolved(path: Path, alternatives: tuple[Parts, ...], dataset: Dataset) -> GivenSplit:
    """Names of the file as case ids; those that are none are kept aside."""
    known = {case.id: case.id for case in dataset.cases}
    stems: dict[str, str] = {}
    for case in dataset.cases:
        stems.setdefault(_bare(case.image.name), case.id)
    unknown: dict[str, None] = {}
    resolved = []
    for place, parts in enumerate(alternatives):
        prefix = f"fold {place} " if len(alternatives) > 1 else ""
        ids: dict[str, list[str]] = {}
        for part, names in parts.items():
            for name in names:
                case_id = known.get(name) or known.get(_bare(name)) or stems.get(_bare(name))
                if case_id is None:
                    unknown[name] = None
                else:
                    ids.setdefault(f"{prefix}{part}", []).append(case_id)
        resolved.append(ids)
    if not any(resolved):
        example = named(case.id for case in dataset.cases)
        raise DataError(
            f"{path}: expected a split file with names of cases such as {example}, found none "
            f"of the data set's cases among {named(unknown) or 'no names'}"
        )
    return GivenSplit(tuple(resolved), None, tuple(unknown))


def _bare(name: str) -> str:
    """A file name without folder, the suffixes of images, and nnU-Net's channel."""
    file = name.replace("\\", "/").rpartition("/")[2]
    while Path(file).suffix.lower() in _IMAGE_SUFFIXES:
        file = file[: -len(Path(file).suffix)]
    return file.removesuffix(_CHANNEL)
