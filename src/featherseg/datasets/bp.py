"""Ultrasound Nerve Segmentation (brachial plexus, "BP"), as released at Kaggle.

``train/1_1.tif`` with ``train/1_1_mask.tif``: subject, image. More than half of the masks are
empty. A group is a subject, of whom there are about 120 images each, many of them neighbors of
one sweep. ``test/`` has no masks and is not read.
"""

import re
from pathlib import Path

from featherseg.datasets.layout import ALL_IMAGES, Dataset
from featherseg.datasets.pairs import Files, paired
from featherseg.errors import DataError
from featherseg.types import Case

ABOUT = "ultrasound of the neck: the nerves of the brachial plexus"
EXPECTED = {ALL_IMAGES: 5635}
CITATION = (
    "Montoya A, Hasnin, kaggle446, shirzad, Cukierski W, yffud. Ultrasound Nerve Segmentation. "
    "Kaggle 2016. https://kaggle.com/competitions/ultrasound-nerve-segmentation"
)
LICENSE = "the competition's rules; no redistribution"
GROUPS = "subject (1 in 1_23)"
_IMAGE = re.compile(r"(?P<id>\d+_\d+)\.tif", re.IGNORECASE)
_MASK = re.compile(r"(?P<id>\d+_\d+)_mask\.tif", re.IGNORECASE)


def scan(folder: Path) -> Dataset:
    """Find the cases of the release or of its folder train."""
    nested = folder / "train"
    root = nested if nested.is_dir() else folder
    pairs = paired(
        Files(root, _IMAGE, "SUBJECT_NUMBER.tif"), Files(root, _MASK, "SUBJECT_NUMBER_mask.tif")
    )
    if not pairs:
        raise DataError(
            f"{folder}: expected the nerve images 1_1.tif with 1_1_mask.tif in train/, "
            "found none; give the release folder or its folder train"
        )
    cases = tuple(
        Case(id=name, group=name.split("_")[0], image=image, masks=(mask,), label="")
        for name, (image, mask) in pairs.items()
    )
    return Dataset("bp", root, ("nerve",), cases)
