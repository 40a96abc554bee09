"""Breast Ultrasound Images (BUSI), as released.

``Dataset_BUSI_with_GT/{benign,malignant,normal}/`` with ``benign (1).png``,
``benign (1)_mask.png`` and, where a lesion was drawn in parts, ``benign (1)_mask_1.png`` and
so on, which are united. The release names no patients: a case is its own group.
"""

import re
from pathlib import Path

from featherseg.datasets.layout import Dataset, image_files, named, natural_key
from featherseg.errors import DataError
from featherseg.types import Case

ABOUT = "ultrasound of the breast: the lesion (BUSI)"
RELEASE_FOLDER = "Dataset_BUSI_with_GT"
EXPECTED = {"benign": 437, "malignant": 210, "normal": 133}
CITATION = (
    "Al-Dhabyani W, Gomaa M, Khaled H, Fahmy A. Dataset of breast ultrasound images. "
    "Data in Brief 2020;28:104863. doi:10.1016/j.dib.2019.104863"
)
LICENSE = "paper CC BY 4.0; the release itself states no license"
_MASK = re.compile(r"(?P<id>.+)_mask(?:_\d+)?")


def scan(folder: Path) -> Dataset:
    """Find the cases of a release folder, or of the folder that holds it.

    Raises DataError without any class folder, and for images or masks without a partner.
    """
    nested = folder / RELEASE_FOLDER
    root = nested if nested.is_dir() else folder
    classes = [name for name in EXPECTED if (root / name).is_dir()]
    if not classes:
        raise DataError(
            f"{folder}: expected the BUSI release with the folders benign, malignant and normal, "
            "found none of them; give the release folder or its parent"
        )
    cases = [case for name in classes for case in _scan_class(root / name)]
    return Dataset("busi", root, ("lesion",), tuple(cases))


def _scan_class(folder: Path) -> list[Case]:
    images: dict[str, Path] = {}
    masks: dict[str, list[Path]] = {}
    for path in image_files(folder):
        matched = _MASK.fullmatch(path.stem)
        if matched:
            masks.setdefault(matched["id"], []).append(path)
        else:
            images[path.stem] = path
    _check_partners(folder, images, masks)
    return [
        Case(id=name, group=name, image=path, masks=tuple(masks[name]), label=folder.name)
        for name, path in sorted(images.items(), key=lambda item: natural_key(item[0]))
    ]


def _check_partners(folder: Path, images: dict[str, Path], masks: dict[str, list[Path]]) -> None:
    bare = [path.name for name, path in images.items() if name not in masks]
    if bare:
        raise DataError(
            f"{folder}: expected NAME_mask.png beside every image (also for normals), "
            f"none for {named(bare)}; add the masks or remove the images"
        )
    orphans = [paths[0].name for name, paths in masks.items() if name not in images]
    if orphans:
        raise DataError(
            f"{folder}: expected an image for every mask, none for {named(orphans)}; "
            "add the images or remove the masks"
        )
