"""ISIC 2018 task 1, skin lesions, as released: one folder of images and one of masks a part.

``ISIC2018_Task1-2_Training_Input/ISIC_0000000.jpg`` with
``ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png``; Validation and Test are
named alike. All parts that are there are read, in that order. The release names no patients
or lesions: a case is its own group, although some lesions were photographed more than once.
"""

import re
from pathlib import Path

from featherseg.datasets.layout import ALL_IMAGES, Dataset
from featherseg.datasets.pairs import Files, Pairs, paired
from featherseg.errors import DataError
from featherseg.types import Case

ABOUT = "dermoscopy of the skin: the lesion"
# The challenge's own counts.
PARTS = {"Training": 2594, "Validation": 100, "Test": 1000}
EXPECTED = {ALL_IMAGES: sum(PARTS.values())}
CITATION = (
    "Codella N, Rotemberg V, Tschandl P, et al. Skin lesion analysis toward melanoma detection "
    "2018. arXiv:1902.03368; Tschandl P, Rosendahl C, Kittler H. The HAM10000 dataset. Scientific "
    "Data 2018;5:180161. doi:10.1038/sdata.2018.161"
)
LICENSE = "CC BY-NC 4.0; see the license file of the download"
_IMAGE = re.compile(r"(?P<id>ISIC_\d+)\.jpg", re.IGNORECASE)
_MASK = re.compile(r"(?P<id>ISIC_\d+)_segmentation\.png", re.IGNORECASE)


def scan(folder: Path) -> Dataset:
    """Find the cases of every part whose folder of images is there."""
    parts = [part for part in PARTS if _images(folder, part).is_dir()]
    if not parts:
        raise DataError(
            f"{folder}: expected {_images(folder, 'Training').name} with "
            f"{_masks(folder, 'Training').name} (or Validation, Test), found none; "
            "give the folder that holds them"
        )
    pairs: Pairs = {}
    for part in parts:
        found = _pairs_of(folder, part)
        twice = [name for name in found if name in pairs]
        if twice:
            raise DataError(
                f"{_images(folder, part)}: expected images that no other part has, got {twice[0]} "
                "again; remove it from one of them"
            )
        pairs.update(found)
    cases = tuple(
        Case(id=name, group=name, image=image, masks=(mask,), label="")
        for name, (image, mask) in pairs.items()
    )
    expected = {ALL_IMAGES: sum(PARTS[part] for part in parts)}
    return Dataset("isic2018", folder, ("lesion",), cases, expected=expected)


def _pairs_of(folder: Path, part: str) -> Pairs:
    images, masks = _images(folder, part), _masks(folder, part)
    if not masks.is_dir():
        raise DataError(
            f"{folder}: expected {masks.name} beside {images.name}, found no such folder; "
            "unpack it there, or move the images elsewhere"
        )
    return paired(
        Files(images, _IMAGE, "ISIC_NNNNNNN.jpg"),
        Files(masks, _MASK, "ISIC_NNNNNNN_segmentation.png"),
    )


def _images(folder: Path, part: str) -> Path:
    return folder / f"ISIC2018_Task1-2_{part}_Input"


def _masks(folder: Path, part: str) -> Path:
    return folder / f"ISIC2018_Task1_{part}_GroundTruth"
