"""STARE, retinal vessels, as released: ``stare-images/im0001.ppm.gz`` and two annotators.

``labels-ah/im0001.ah.ppm.gz`` is the first annotator's, whom papers take as the truth (layout
`stare`); ``labels-vk`` the second's, who drew more of the thin vessels (layout `stare_vk`). Files
may also be unpacked already. The release names no patients: a case is its own group.
"""

import re
from pathlib import Path

from featherseg.datasets.layout import ALL_IMAGES, Dataset
from featherseg.datasets.pairs import Files, find_root, paired
from featherseg.types import Case

ABOUT = "photographs of the retina: the vessels"
ABOUT_SECOND = f"{ABOUT} by the second annotator"
EXPECTED = {ALL_IMAGES: 20}
CITATION = (
    "Hoover A, Kouznetsova V, Goldbaum M. Locating blood vessels in retinal images by piecewise "
    "threshold probing of a matched filter response. IEEE Transactions on Medical Imaging "
    "2000;19(3):203-210. doi:10.1109/42.845178"
)
LICENSE = "public; the release states no license"
_IMAGES = "stare-images"
_IMAGE = re.compile(r"(?P<id>im\d+)\.ppm(\.gz)?", re.IGNORECASE)


def scan(folder: Path) -> Dataset:
    """Find the cases with the vessels of the first annotator (AH)."""
    return _scan(folder, "stare", "ah")


def scan_second(folder: Path) -> Dataset:
    """Find the cases with the vessels of the second annotator (VK)."""
    return _scan(folder, "stare_vk", "vk")


def _scan(folder: Path, layout: str, annotator: str) -> Dataset:
    labels = f"labels-{annotator}"
    root = find_root(folder, (_IMAGES, labels), ("STARE", "stare"), "the STARE release")
    mask = re.compile(rf"(?P<id>im\d+)\.{annotator}\.ppm(\.gz)?", re.IGNORECASE)
    pairs = paired(
        Files(root / _IMAGES, _IMAGE, "imNNNN.ppm.gz"),
        Files(root / labels, mask, f"imNNNN.{annotator}.ppm.gz"),
    )
    cases = tuple(
        Case(id=name, group=name, image=image, masks=(path,), label="")
        for name, (image, path) in pairs.items()
    )
    return Dataset(layout, root, ("vessel",), cases)
