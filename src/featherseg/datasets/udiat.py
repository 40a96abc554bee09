"""Breast ultrasound "Dataset B" (UDIAT), as released: ``original/000001.png``, ``GT/000001.png``.

Classes stand in the spreadsheet ``DatasetB.xlsx`` (columns Image and Type), which is not read:
save it as ``DatasetB.csv`` beside it. Without that file cases have no class. The release names
no patients: a case is its own group.
"""

import re
from pathlib import Path

from featherseg.datasets.layout import ALL_IMAGES, Dataset, named
from featherseg.datasets.pairs import Files, Pairs, find_root, paired
from featherseg.datasets.tables import read_rows
from featherseg.errors import DataError
from featherseg.types import Case

ABOUT = "ultrasound of the breast: the lesion (Dataset B)"
EXPECTED = {"benign": 110, "malignant": 53}
CITATION = (
    "Yap MH, Pons G, Marti J, et al. Automated breast ultrasound lesions detection using "
    "convolutional neural networks. IEEE Journal of Biomedical and Health Informatics "
    "2018;22(4):1218-1226. doi:10.1109/JBHI.2017.2731873"
)
LICENSE = "on request from the authors, with a signed agreement"
TABLE = "DatasetB.csv"
_PNG = re.compile(r"(?P<id>\d+)\.png", re.IGNORECASE)


def scan(folder: Path) -> Dataset:
    """Find the cases, with their classes where DatasetB.csv is."""
    root = find_root(folder, ("original", "GT"), ("BUS", "DatasetB"), "Dataset B (UDIAT)")
    pairs = paired(
        Files(root / "original", _PNG, "NNNNNN.png"), Files(root / "GT", _PNG, "NNNNNN.png")
    )
    has_classes = (root / TABLE).is_file()
    classes = _read_classes(root / TABLE, pairs) if has_classes else dict.fromkeys(pairs, "")
    cases = tuple(
        Case(id=name, group=name, image=image, masks=(mask,), label=classes[name])
        for name, (image, mask) in pairs.items()
    )
    expected = None if has_classes else {ALL_IMAGES: sum(EXPECTED.values())}
    return Dataset("udiat", root, ("lesion",), cases, expected=expected)


def _read_classes(path: Path, pairs: Pairs) -> dict[str, str]:
    """Id -> class. Spreadsheets drop leading zeros, so names are compared as numbers."""
    classes: dict[int, str] = {}
    for row in read_rows(path, ("image", "type")):
        number, kind = row["image"].removesuffix(".png"), row["type"].lower()
        if not number.isdecimal() or kind not in EXPECTED or int(number) in classes:
            raise DataError(
                f"{path}: expected one row of each image with its number and benign or malignant, "
                f"got '{row['image']:.20}', '{row['type']:.20}'"
            )
        classes[int(number)] = kind
    missing = [name for name in pairs if int(name) not in classes]
    if missing:
        raise DataError(f"{path}: expected a class for every image, none for {named(missing)}")
    return {name: classes[int(name)] for name in pairs}
