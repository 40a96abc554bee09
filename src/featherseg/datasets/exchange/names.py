"""Names that every tool can use for a file, and the way back: names.json.

Case ids may hold spaces, brackets, slashes and any script; other tools choke on some of them.
An export therefore names its files in ASCII letters, digits, `-` and `_`, and writes names.json
last: which id, group, class and spacing each name stands for, and which files the export holds.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from featherseg.datasets.layout import load_json
from featherseg.errors import DataError
from featherseg.storage import write_json
from featherseg.types import Case

NAMES_FILE = "names.json"
_SCHEMA = "featherseg.names/1"
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")
# What a case is called whose id has no letter or digit of the Latin script.
_NAMELESS = "case"


class NamedCase(BaseModel):
    """What a file's name stands for.

    ``spacing_mm`` is (row, column) of the exported image, None where it is unknown; ``gray``
    says that the image had one channel, also where the format needed three.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    group: str = Field(min_length=1)
    class_name: str = Field(alias="class")
    spacing_mm: tuple[float, float] | None
    gray: bool


class Names(BaseModel):
    """The content of a names.json: the foreground labels 1..K, and the cases in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["featherseg.names/1"] = Field(alias="schema")
    labels: tuple[str, ...]
    cases: dict[str, NamedCase]
    files: tuple[str, ...]


def safe_names(ids: Iterable[str]) -> dict[str, str]:
    """Id -> a name of ASCII letters, digits, `-` and `_`, unlike all others also in lower case.

    Accents are dropped; what collides is numbered. The same ids in the same order give the
    same names.

    >>> safe_names(["benign (1)", "benign_1", "Größe", "乳腺"])
    {'benign (1)': 'benign_1', 'benign_1': 'benign_1_2', 'Größe': 'Groe', '乳腺': 'case'}
    """
    taken: set[str] = set()
    names = {}
    for case_id in ids:
        plain = unicodedata.normalize("NFKD", case_id).encode("ascii", "ignore").decode()
        wanted = _UNSAFE.sub("_", plain).strip("_") or _NAMELESS
        name, number = wanted, 1
        while name.lower() in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken.add(name.lower())
        names[case_id] = name
    return names


def named_case(case: Case, spacing_mm: tuple[float, float] | None, gray: bool) -> NamedCase:
    """What names.json says of a case."""
    known = {"id": case.id, "group": case.group, "class": case.label}
    return NamedCase.model_validate({**known, "spacing_mm": spacing_mm, "gray": gray})


def write_names(
    root: Path, labels: tuple[str, ...], cases: Mapping[str, NamedCase], files: Iterable[Path]
) -> None:
    """Write names.json into `root`; a folder that has it is complete."""
    relative = sorted(path.relative_to(root).as_posix() for path in files)
    names = Names.model_validate(
        {"schema": _SCHEMA, "labels": labels, "cases": cases, "files": relative}
    )
    write_json(root / NAMES_FILE, names.model_dump(mode="json", by_alias=True))


def read_names(root: Path) -> Names | None:
    """The names.json of `root`, or None where there is none; DataError where it is not one."""
    path = root / NAMES_FILE
    if not path.is_file():
        return None
    return _read(path, path.stat().st_mtime_ns)


# Layouts ask for every image; two exports at a time are more than any command reads.
@lru_cache(maxsize=2)
def _read(path: Path, _: int) -> Names:
    content = load_json(path)
    try:
        names = Names.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: expected the names of an export ({_SCHEMA}), got a problem at '{place}' "
            f"({first['msg']}); export the data again with: featherseg data export"
        ) from error
    if len({case.id for case in names.cases.values()}) != len(names.cases):
        raise DataError(f"{path}: expected each case id once; export the data again")
    return names


def case_of(names: Names | None, name: str, image: Path, mask: Path, frame: int = 0) -> Case:
    """The case of a file named `name`: as names.json has it, else a case of its own."""
    known = names.cases.get(name) if names else None
    if known is None:
        return Case(name, name, image, (mask,), "", frame=frame)
    return Case(known.id, known.group, image, (mask,), known.class_name, known.spacing_mm, frame)


def remove_export(root: Path) -> None:
    """Remove the files that an earlier export left in `root`, names.json first.

    Files that its names.json does not list stay, and so does anything outside `root`.
    """
    names = read_names(root)
    if names is None:
        return
    (root / NAMES_FILE).unlink()
    inside = root.resolve()
    for name in names.files:
        path = (root / name).resolve()
        if inside in path.parents and path.is_file():
            path.unlink()
