"""Folders of mask files that any tool has written: which file is whose mask, and its labels.

The rule for names: a mask belongs to the case that its file is called after, without suffix.

* Where any file is called ``NAME_mask`` (or ``NAME_mask_1`` and so on, to be united), only those
  are masks and the others are images, as in BUSI's folders.
* Where predictions.json stands, only the masks that it lists count, not their overlays.
* Where names.json stands in the folder or above it, as `featherseg data export` leaves it, a
  file's name stands for the case it names there.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.datasets.exchange.names import Names, read_names
from featherseg.datasets.exchange.nifti import is_nifti, read_nifti_mask, stem
from featherseg.datasets.layout import load_json, named, natural_key
from featherseg.errors import DataError
from featherseg.images import raster
from featherseg.types import Mask

PREDICTIONS_FILE = "predictions.json"
_PART = re.compile(r"(?P<name>.+)_mask(?:_\d+)?")
# More values than this are no labels but gray values.
_MOST_LABELS = 32


def mask_files(folder: Path, names: Names | None = None) -> dict[str, tuple[Path, ...]]:
    """Case id -> its mask files, in natural order; DataError where two files claim one case.

    `names` translates the files' names; None looks for names.json in the folder and above it.
    """
    paths = _candidates(folder)
    if any(_PART.fullmatch(stem(path)) for path in paths):
        paths = [path for path in paths if _PART.fullmatch(stem(path))]
    known = names or names_near(folder)
    found: dict[str, list[Path]] = {}
    for path in sorted(paths, key=lambda path: natural_key(stem(path))):
        matched = _PART.fullmatch(stem(path))
        name = matched["name"] if matched else stem(path)
        if known and name in known.cases:
            name = known.cases[name].id
        found.setdefault(name, []).append(path)
    for name, own in found.items():
        if len({stem(path) for path in own}) != len(own) or (
            len(own) > 1 and not all(_PART.fullmatch(stem(path)) for path in own)
        ):
            raise DataError(
                f"{folder}: expected one mask for '{name}', got "
                f"{named(path.name for path in own)}; remove or rename the others"
            )
    return {name: tuple(own) for name, own in found.items()}


def names_near(folder: Path) -> Names | None:
    """The names.json in `folder` or the folder above it, or None."""
    return read_names(folder) or read_names(folder.resolve().parent)


def read_mask_files(paths: Iterable[Path], labels: tuple[str, ...], strict: bool = True) -> Mask:
    """The labels 0..K of a case, uint8 (H, W), from its mask files, which are united.

    With one label any value but 0 is the lesion. `strict` then expects one such value: several
    mean that the file holds a probability, or labels that nobody named. Raises DataError for
    that, for a value above K, and for files of different sizes.
    """
    united: Mask | None = None
    for path in paths:
        mask = _read_one(path, labels, strict)
        if united is not None and mask.shape != united.shape:
            raise DataError(
                f"{path}: expected the size of its case's other masks "
                f"{united.shape[0]}x{united.shape[1]}, got {mask.shape[0]}x{mask.shape[1]}"
            )
        united = mask if united is None else np.maximum(united, mask)
    assert united is not None  # a case has at least one file
    return united


def predictions_in(folder: Path) -> list[Mapping[str, Any]]:
    """The images of a predictions.json: each has ``input`` and ``mask``; [] where there is none.

    Raises DataError for a file that `featherseg predict` has not written.
    """
    path = folder / PREDICTIONS_FILE
    if not path.is_file():
        return []
    content = load_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list) or not all(_is_prediction(image) for image in images):
        raise DataError(
            f"{path}: expected the predictions of featherseg predict, got something else; move it "
            "away to take every mask in the folder"
        )
    return images


def _is_prediction(image: Any) -> bool:
    """Whether an entry names an input, and a mask that lies beside predictions.json."""
    if not isinstance(image, dict):
        return False
    given, mask = image.get("input"), image.get("mask")
    if not isinstance(given, str) or not isinstance(mask, str):
        return False
    return bool(given) and Path(mask).name == mask


def _candidates(folder: Path) -> list[Path]:
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: expected a folder of masks, found {found}")
    listed = predictions_in(folder)
    if listed:
        return [folder / image["mask"] for image in listed]
    paths = [
        path
        for path in folder.iterdir()
        if (path.suffix.lower() in raster.SUFFIXES or is_nifti(path))
        and not path.name.startswith(".")
    ]
    if not paths:
        raise DataError(f"{folder}: expected mask files (PNG, TIFF, PPM, NIfTI), found none")
    return paths


def _read_one(path: Path, labels: tuple[str, ...], strict: bool) -> Mask:
    if len(labels) > 1:
        mask = read_nifti_mask(path, None) if is_nifti(path) else raster.read_labels(path)
        if mask.max(initial=0) > len(labels):
            raise DataError(
                f"{path}: expected labels 0 to {len(labels)} ({', '.join(labels)}), got the value "
                f"{mask.max()}; name all of them or correct the mask"
            )
        return mask
    mask = read_nifti_mask(path, None) if is_nifti(path) else raster.read_mask(path)
    values = np.unique(mask[mask != 0])
    if len(values) > 1 and (strict or values[-1] <= _MOST_LABELS):
        what = "name them with --labels" if values[-1] <= _MOST_LABELS else "threshold it first"
        raise DataError(
            f"{path}: expected a mask of 0 and one other value, got {len(values)} values from "
            f"{values[0]} to {values[-1]}; {what}"
        )
    return np.asarray(mask != 0, np.uint8)
