"""COCO JSON: images with polygons or run lengths, several of a category united.

The annotations are ``annotations.json`` or other ``*.json`` beside ``images/``, or
``annotations/instances*.json``; images lie in ``images/`` or beside the JSON file. Categories in
the order of their ids are the labels; where two overlap, the later one wins. Regions marked
``iscrowd`` are drawn like all others, for nothing in a mask says "ignore". An annotation with a
box alone is refused. Optional keys of an image: ``case`` (otherwise its file's name without the
suffix), ``group``, ``class``, ``spacing_mm`` [row, column]; a ``groups.csv`` stands above them.
The format: Lin TY et al., ECCV 2014, doi:10.1007/978-3-319-10602-1_48;
https://cocodataset.org/#format-data
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from featherseg.datasets.csv_list import inner_path
from featherseg.datasets.folder import GROUPS_FILE, read_groups
from featherseg.datasets.layout import Dataset, named, natural_key
from featherseg.datasets.regions import Bools, RunLengths, fill_polygon, fill_runs
from featherseg.errors import DataError
from featherseg.images.raster import MAX_PIXELS
from featherseg.types import Case, Mask

# COCO's own 118,000 training images take 0.45 GB.
_LARGEST_BYTES = 1 << 30
_MOST_LABELS = 255
_FOLDER = "annotations"
_SIDECARS = frozenset({"names.json", "labels.json", "split.json"})
# Far outside of every image; beyond it arithmetic would overflow.
_FARTHEST_PX = 1e6
# Parsed files kept in memory: those of train, validation and test.
_KEPT_FILES = 4

_Id = int | str
_Coordinate = Annotated[float, Field(ge=-_FARTHEST_PX, le=_FARTHEST_PX)]
_Polygon = Annotated[list[_Coordinate], Field(min_length=6)]
_Side = Annotated[int, Field(ge=1, le=MAX_PIXELS)]
_Region = RunLengths | Annotated[list[_Polygon], Field(min_length=1)]
_SpacingMm = Annotated[float, Field(gt=0, le=100)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _Category(_Entry):
    id: int
    name: Annotated[str, Field(min_length=1)]


class _Annotation(_Entry):
    image_id: _Id
    category_id: int
    segmentation: _Region


class _Picture(_Entry):
    id: _Id
    file_name: str
    height: _Side
    width: _Side
    case: str = ""
    group: str = ""
    label: Annotated[str, Field(alias="class")] = ""
    spacing_mm: tuple[_SpacingMm, _SpacingMm] | None = None


class _Content(_Entry):
    images: list[_Picture]
    annotations: list[_Annotation]
    categories: Annotated[list[_Category], Field(min_length=1, max_length=_MOST_LABELS)]


@dataclass(frozen=True)
class _Drawn:
    """A picture and what is drawn on it, as (label, region) in the order of the labels."""

    picture: _Picture
    parts: tuple[tuple[int, _Region], ...]


@dataclass(frozen=True)
class _Annotations:
    """The names of the labels 1..K, and what is drawn by the ids of cases."""

    labels: tuple[str, ...]
    drawn: dict[str, _Drawn]


def scan(path: Path) -> Dataset:
    """Find the cases of an annotation file, or of all in a folder, in natural order.

    Raises DataError for files that are no COCO annotations, that name other categories than
    each other or an image twice, and for images that are not there.
    """
    files = _annotation_files(path) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    labels, cases = _read(files[0]).labels, dict[str, Case]()
    for file in files:
        content = _read(file)
        if content.labels != labels:
            raise DataError(
                f"{file}: expected the categories {', '.join(labels)} as in {files[0].name}, got "
                f"{', '.join(content.labels)}"
            )
        for name, drawn in content.drawn.items():
            if name in cases:
                raise DataError(f"{file}: expected new images, got '{name}' of another file again")
            cases[name] = _case(name, file, drawn.picture)
    absent = [case.image.name for case in cases.values() if not case.image.is_file()]
    if absent:
        raise DataError(
            f"{root}: expected the annotated images in images/ or beside the JSON file, found no "
            f"{named(absent)}"
        )
    known = read_groups(root / GROUPS_FILE, cases)
    ordered = []
    for name in sorted(cases, key=natural_key):
        group, label = known.get(name, (cases[name].group, cases[name].label))
        ordered.append(replace(cases[name], group=group, label=label))
    return Dataset("coco", root, labels, tuple(ordered), "labels")


def read_mask(_: Dataset, case: Case) -> Mask:
    """The labels of a case, uint8 (H, W); DataError for regions that are not the image's."""
    (path,) = case.masks
    drawn = _read(path).drawn.get(case.id)
    if drawn is None:
        raise DataError(f"{path}: expected the image '{case.id}', found it no more; scan again")
    size = (drawn.picture.height, drawn.picture.width)
    mask = np.zeros(size, np.uint8)
    for label, region in drawn.parts:
        try:
            mask[_filled(region, size)] = label
        except DataError as error:
            raise DataError(f"{path}: image '{case.id}': {error}; export it again") from error
    return mask


def _filled(region: _Region, size: tuple[int, int]) -> Bools:
    if isinstance(region, RunLengths):
        return fill_runs(region, size)
    filled = np.zeros(size, np.bool_)
    for polygon in region:
        filled |= fill_polygon(polygon, size)
    return filled


def _annotation_files(folder: Path) -> list[Path]:
    """annotations.json; else the other JSON files of the folder; else those of annotations/."""
    if (folder / "annotations.json").is_file():
        return [folder / "annotations.json"]
    beside = [path for path in sorted(folder.glob("*.json")) if path.name not in _SIDECARS]
    files = beside or sorted((folder / _FOLDER).glob("instances*.json"))
    if not files:
        raise DataError(
            f"{folder}: expected annotations.json beside images/ (or annotations/instances*.json), "
            "found none; give the folder that holds it, or the file"
        )
    return files


def _case(name: str, file: Path, picture: _Picture) -> Case:
    relative = inner_path(file, picture.file_name)
    base = file.parent.parent if file.parent.name == _FOLDER else file.parent
    places = (base / "images" / relative, base / relative)
    image = places[0] if places[0].is_file() else places[1]
    return Case(
        id=name,
        group=picture.group or name,
        image=image,
        masks=(file,),
        label=picture.label,
        spacing_mm=picture.spacing_mm,
    )


def _read(path: Path) -> _Annotations:
    """Parse a file, or take what is known of it while it has not changed."""
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return _parsed(path, (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=_KEPT_FILES)
def _parsed(path: Path, state: tuple[int, int]) -> _Annotations:
    """The content of a file; its state, (size in bytes, time), tells when it has changed."""
    content = _validated(path, state[0])
    ordered = sorted(content.categories, key=lambda category: category.id)
    labels = tuple(category.name for category in ordered)
    numbers = {category.id: number for number, category in enumerate(ordered, start=1)}
    pictures = {picture.id: picture for picture in content.images}
    counts = (len(set(labels)), len(numbers), len(pictures))
    if counts != (len(ordered), len(ordered), len(content.images)):
        raise DataError(f"{path}: expected categories and images of different ids and names")
    parts: dict[_Id, list[tuple[int, _Region]]] = {number: [] for number in pictures}
    for one in content.annotations:
        if one.image_id not in pictures or one.category_id not in numbers:
            raise DataError(
                f"{path}: expected annotations of the images and categories it lists, got image "
                f"{one.image_id} with category {one.category_id}"
            )
        parts[one.image_id].append((numbers[one.category_id], one.segmentation))
    drawn: dict[str, _Drawn] = {}
    for number, picture in pictures.items():
        if picture.height * picture.width > MAX_PIXELS:
            raise DataError(
                f"{path}: expected images of at most {MAX_PIXELS // 1_000_000} megapixels, got "
                f"{picture.height}x{picture.width} of {picture.file_name}"
            )
        name = picture.case or Path(picture.file_name).stem
        if name in drawn:
            raise DataError(
                f"{path}: expected images of different names, got '{name}' twice; give them "
                "different keys 'case'"
            )
        drawn[name] = _Drawn(picture, tuple(sorted(parts[number], key=lambda part: part[0])))
    return _Annotations(labels, drawn)


def _validated(path: Path, size_bytes: int) -> _Content:
    if size_bytes > _LARGEST_BYTES:
        raise DataError(f"{path}: expected annotations below {_LARGEST_BYTES >> 30} GiB; part them")
    try:
        return _Content.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where, reason = ".".join(str(part) for part in first["loc"]), first["msg"].lower()
        if "segmentation" in first["loc"]:
            where = ".".join(str(part) for part in first["loc"][:3])
            reason = "expected polygons or run lengths; a box alone is no mask"
        raise DataError(
            f"{path}: expected COCO annotations with images, annotations and categories; "
            f"{where or 'the file'}: {reason}"
        ) from error
