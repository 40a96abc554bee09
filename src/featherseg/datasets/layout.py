"""What every dataset layout gives, and what layouts share when they read a folder."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from featherseg.errors import DataError
from featherseg.images import raster
from featherseg.types import Case, Image, Mask

# The key of `expected` where a release has no classes: all images together.
ALL_IMAGES = "images"
# How many names an error message lists before it only counts.
_NAMED = 3


@dataclass(frozen=True)
class Dataset:
    """A scanned folder: what is there, nothing decoded.

    ``labels`` names the foreground labels 1..K; ``cases`` stands in natural order.
    ``mask_kind`` says what mask files hold: 0 and any other value, or the labels 0..K.
    ``expected`` replaces the layout's where only some parts of a release are there.
    """

    layout: str
    root: Path
    labels: tuple[str, ...]
    cases: tuple[Case, ...]
    mask_kind: Literal["binary", "labels"] = "binary"
    expected: Mapping[str, int] | None = field(default=None, hash=False)


def read_raster(case: Case) -> Image:
    """Decode a case's image file, whatever its spacing."""
    return raster.read_image(case.image)


@dataclass(frozen=True)
class Layout:
    """How one kind of folder is read.

    ``scan`` finds the cases and raises DataError where an image or a mask has no partner;
    ``read_mask`` gives labels 0..K as uint8 (H, W), ``read_image`` the image without spacing.
    ``expected`` is the number of images of each class in the official release, or of
    `ALL_IMAGES`; None where there is none. ``groups`` says in a few words what keeps images
    together, ``about`` what the images are. ``list_suffix`` is that of a file which may be given
    instead of its folder, '' for none.
    """

    scan: Callable[[Path], Dataset]
    read_mask: Callable[[Dataset, Case], Mask]
    expected: Mapping[str, int] | None
    citation: str
    license: str
    groups: str = "each image for itself"
    read_image: Callable[[Case], Image] = read_raster
    about: str = ""
    list_suffix: str = ""


def read_binary(dataset: Dataset, case: Case) -> Mask:
    """Unite a case's mask files: 1 where any of them is not 0, uint8 (H, W)."""
    first, *others = (raster.read_mask(path) != 0 for path in case.masks)
    for path, other in zip(case.masks[1:], others, strict=True):
        if other.shape != first.shape:
            raise DataError(
                f"{dataset.layout} case '{case.id}': masks must have one size, got "
                f"{_size(first.shape)} in {case.masks[0]} and {_size(other.shape)} in {path}"
            )
        first |= other
    return np.asarray(first, np.uint8)


def read_labels(dataset: Dataset, case: Case) -> Mask:
    """Read a case's label map, uint8 (H, W); a value above K is a DataError."""
    path = case.masks[0]
    mask = raster.read_labels(path)
    largest = int(mask.max())
    if largest > len(dataset.labels):
        raise DataError(
            f"{path}: expected labels 0 to {len(dataset.labels)} as named in labels.json, "
            f"got the value {largest}; name it there or correct the mask"
        )
    return mask


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that counts: 'benign (2)' stands before 'benign (10)'."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts)


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural order; hidden and other files are left out."""
    found = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in raster.SUFFIXES and not path.name.startswith(".")
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def named(names: Iterable[object]) -> str:
    """A few of `names` for an error message, and how many more there are."""
    listed = [str(name) for name in names]
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def load_json(path: Path) -> Any:
    """The content of a JSON file; DataError where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a JSON file, found nothing") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, got something else ({error})") from error


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)
