"""ISBI 2012 EM segmentation: 30 neighboring slices of one stack, in either common form.

``train-volume.tif`` with ``train-labels.tif`` as released, or ``membrane/train/image/0.png``
with ``membrane/train/label/0.png`` as many repositories hold it. Labels are 255 in the cells
and 0 on membranes: layout `isbi2012` has the membranes as its foreground, `isbi2012_interior`
the cells. ``Case.frame`` is the slice, so that neighbors can be kept together; `scan` makes
each slice its own group. A pixel is 4 nm; as a spacing in millimeters that would round every
distance to 0, and so it is not given.
"""

import re
from pathlib import Path

import numpy as np

from featherseg.datasets.layout import ALL_IMAGES, Dataset
from featherseg.datasets.pairs import Files, paired
from featherseg.errors import DataError
from featherseg.images import raster
from featherseg.types import Case, Image, Mask

ABOUT = "electron microscopy of neurons: the membranes"
ABOUT_INTERIOR = "electron microscopy of neurons: the cells' insides"
EXPECTED = {ALL_IMAGES: 30}
CITATION = (
    "Arganda-Carreras I, Turaga SC, Berger DR, et al. Crowdsourcing the creation of image "
    "segmentation algorithms for connectomics. Frontiers in Neuroanatomy 2015;9:142. "
    "doi:10.3389/fnana.2015.00142; data: Cardona A, et al. PLoS Biology 2010;8(10):e1000502. "
    "doi:10.1371/journal.pbio.1000502"
)
LICENSE = "non-commercial research"
GROUPS = "each slice for itself, though neighbors are alike: split in blocks of slices"
VOLUME, LABELS = "train-volume.tif", "train-labels.tif"
_STACKS = frozenset({".tif", ".tiff"})
_SLICE = re.compile(r"(?P<id>\d+)\.png", re.IGNORECASE)


def scan(folder: Path) -> Dataset:
    """Find the slices, with the membranes as the foreground."""
    return Dataset("isbi2012", folder, ("membrane",), _find(folder))


def scan_interior(folder: Path) -> Dataset:
    """Find the slices, with the cells as the foreground."""
    return Dataset("isbi2012_interior", folder, ("interior",), _find(folder))


def read_image(case: Case) -> Image:
    """Decode a slice of the stack, or its own file."""
    return raster.read_image(case.image, _page(case.image, case))


def read_membrane(dataset: Dataset, case: Case) -> Mask:
    """The membranes of a slice, uint8 (H, W) of 0 and 1."""
    return np.asarray(1 - read_interior(dataset, case), np.uint8)


def read_interior(_: Dataset, case: Case) -> Mask:
    """The cells of a slice, uint8 (H, W) of 0 and 1."""
    (path,) = case.masks
    return np.asarray(raster.read_mask(path, _page(path, case)) != 0, np.uint8)


def _page(path: Path, case: Case) -> int | None:
    return case.frame if path.suffix.lower() in _STACKS else None


def _find(folder: Path) -> tuple[Case, ...]:
    """The cases of the stacks, or where there are none of the single slices."""
    if (folder / VOLUME).is_file() or (folder / LABELS).is_file():
        return _stacked(folder / VOLUME, folder / LABELS)
    for root in (folder / "membrane" / "train", folder / "train", folder):
        if (root / "image").is_dir() and (root / "label").is_dir():
            return _single(root)
    raise DataError(
        f"{folder}: expected {VOLUME} with {LABELS}, or membrane/train/ with image/0.png and "
        "label/0.png, found neither; give the folder that holds them"
    )


def _stacked(volume: Path, labels: Path) -> tuple[Case, ...]:
    for path, other in ((volume, labels), (labels, volume)):
        if not path.is_file():
            raise DataError(f"{path}: expected a stack beside {other.name}, found nothing; add it")
    slices, labeled = raster.page_count(volume), raster.page_count(labels)
    if slices != labeled:
        raise DataError(
            f"{labels}: expected as many slices as {volume.name} has, {slices}, got {labeled}"
        )
    return tuple(_case(number, volume, labels) for number in range(slices))


def _single(root: Path) -> tuple[Case, ...]:
    pairs = paired(
        Files(root / "image", _SLICE, "N.png"),
        Files(root / "label", _SLICE, "N.png"),
    )
    return tuple(_case(int(name), image, mask) for name, (image, mask) in pairs.items())


def _case(number: int, image: Path, labels: Path) -> Case:
    name = f"slice_{number:02d}"
    return Case(id=name, group=name, image=image, masks=(labels,), label="", frame=number)
