"""Read one case and keep what the audit needs of it; no file can stop it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featherseg.audit.findings import OddValues, SizeMismatch, Unreadable
from featherseg.audit.masks import MaskFacts, mask_facts
from featherseg.audit.pixels import has_color_overlay, is_constant
from featherseg.calipers import find_marks
from featherseg.datasets import DATASETS, Dataset, read_case_image
from featherseg.duplicates import Signature, signature
from featherseg.errors import FeatherSegError
from featherseg.images import raster
from featherseg.types import Case, Mask

Size = tuple[int, int]

# How many of a mask's odd values are listed.
_LISTED_VALUES = 8


@dataclass(frozen=True)
class ImageFacts:
    """What is kept of an image; ``size`` is (height, width) in pixels."""

    size: Size
    signature: Signature
    is_constant: bool
    has_color_overlay: bool
    has_calipers: bool
    has_text: bool


@dataclass(frozen=True)
class Look:
    """One case: ``image`` and ``mask`` are None where they cannot be read.

    ``has_lesion`` is None where no mask says so.
    """

    case: Case
    image: ImageFacts | None
    mask: MaskFacts | None
    has_lesion: bool | None
    unreadable: tuple[Unreadable, ...]
    size_mismatch: tuple[SizeMismatch, ...]
    mask_values: tuple[OddValues, ...]


@dataclass(frozen=True)
class _Files:
    """The mask files of a case as they are stored; None where one cannot be decoded."""

    masks: tuple[tuple[Path, Mask | None], ...]
    unreadable: tuple[Unreadable, ...]


def look_at(dataset: Dataset, case: Case) -> Look:
    """Read the image and the mask of a case, and note every flaw of them."""
    unreadable: list[Unreadable] = []
    image = None
    try:
        image = _image_facts(dataset, case)
    except FeatherSegError as error:
        unreadable.append(Unreadable(case.id, case.image.name, str(error)))
    mask, problem = _read_mask(dataset, case)
    files = _stored_masks(dataset, case)
    sizes = _size_mismatch(case, image, mask, files)
    values = _mask_values(dataset, case, files, mask is not None)
    if mask is None:
        unreadable.extend(files.unreadable)
        if not (files.unreadable or sizes or values):
            file = case.masks[0] if case.masks else case.image
            unreadable.append(Unreadable(case.id, file.name, problem))
    return Look(
        case=case,
        image=image,
        mask=None if mask is None or sizes else mask_facts(mask),
        has_lesion=_has_lesion(mask, files),
        unreadable=tuple(unreadable),
        size_mismatch=sizes,
        mask_values=values,
    )


def _image_facts(dataset: Dataset, case: Case) -> ImageFacts:
    pixels = read_case_image(dataset, case).pixels
    marks = find_marks(pixels)
    return ImageFacts(
        size=(pixels.shape[0], pixels.shape[1]),
        signature=signature(pixels),
        is_constant=is_constant(pixels),
        has_color_overlay=has_color_overlay(pixels),
        has_calipers=marks.has_calipers,
        has_text=marks.has_text,
    )


def _read_mask(dataset: Dataset, case: Case) -> tuple[Mask | None, str]:
    """The mask as the layout gives it, or None and why there is none."""
    try:
        return DATASETS[dataset.layout].read_mask(dataset, case), ""
    except FeatherSegError as error:
        return None, str(error)


def _stored_masks(dataset: Dataset, case: Case) -> _Files:
    read = raster.read_labels if dataset.mask_kind == "labels" else raster.read_mask
    masks: list[tuple[Path, Mask | None]] = []
    unreadable = []
    for path in case.masks:
        try:
            masks.append((path, read(path)))
        except FeatherSegError as error:
            masks.append((path, None))
            unreadable.append(Unreadable(case.id, path.name, str(error)))
    return _Files(tuple(masks), tuple(unreadable))


def _size_mismatch(
    case: Case, image: ImageFacts | None, mask: Mask | None, files: _Files
) -> tuple[SizeMismatch, ...]:
    """Mask files that are not on their image's grid, where the layout has not mended that."""
    if image is None or (mask is not None and mask.shape == image.size):
        return ()
    stored = [(path.name, each) for path, each in files.masks if each is not None]
    if mask is not None and not stored:
        stored = [(case.masks[0].name if case.masks else case.image.name, mask)]
    return tuple(
        SizeMismatch(case.id, name, image.size, (each.shape[0], each.shape[1]))
        for name, each in stored
        if each.shape != image.size
    )


def _mask_values(
    dataset: Dataset, case: Case, files: _Files, is_read: bool
) -> tuple[OddValues, ...]:
    """Mask files with odd values; a label map that the layout could read has none."""
    if dataset.mask_kind == "labels" and is_read:
        return ()
    odd = (
        (path.name, _odd_values(dataset, mask)) for path, mask in files.masks if mask is not None
    )
    return tuple(
        OddValues(case.id, name, values[:_LISTED_VALUES]) for name, values in odd if values
    )


def _odd_values(dataset: Dataset, mask: Mask) -> tuple[int, ...]:
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=1))
    if dataset.mask_kind == "labels":
        odd = present[present > len(dataset.labels)]
    else:
        odd = present[present > 0][:-1]
    return tuple(int(value) for value in odd)


def _has_lesion(mask: Mask | None, files: _Files) -> bool | None:
    if mask is not None:
        return bool(mask.any())
    if any(each is not None and each.any() for _, each in files.masks):
        return True
    return None if files.unreadable or not files.masks else False
