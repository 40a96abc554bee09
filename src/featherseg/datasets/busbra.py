"""BUS-BRA, breast ultrasound, as released: ``Images/``, ``Masks/`` and ``bus_data.csv``.

``Images/bus_0001-l.png`` with ``Masks/mask_0001-l.png``. The table's columns ID, Case and
Pathology give each image its patient, who is the group, and its class; its folds are not used,
though a split by group respects the same patients.
"""

import re
from pathlib import Path

from featherseg.datasets.layout import Dataset, named
from featherseg.datasets.pairs import Files, find_root, paired
from featherseg.datasets.tables import read_rows
from featherseg.errors import DataError
from featherseg.types import Case

ABOUT = "ultrasound of the breast: the lesion (BUS-BRA)"
EXPECTED = {"benign": 1268, "malignant": 607}
CITATION = (
    "Gomez-Flores W, Gregorio-Calas MJ, Coelho de Albuquerque Pereira W. BUS-BRA: a breast "
    "ultrasound dataset for assessing computer-aided diagnosis systems. Medical Physics "
    "2024;51(4):3110-3123. doi:10.1002/mp.16812"
)
LICENSE = "CC BY 4.0 at Zenodo; copies elsewhere state none"
GROUPS = "patient (column Case of bus_data.csv)"
TABLE = "bus_data.csv"
_IMAGE = re.compile(r"bus_(?P<id>\d+-\w+)\.png", re.IGNORECASE)
_MASK = re.compile(r"mask_(?P<id>\d+-\w+)\.png", re.IGNORECASE)


def scan(folder: Path) -> Dataset:
    """Find the cases; DataError where the table does not know an image."""
    parts = ("Images", "Masks", TABLE)
    root = find_root(folder, parts, ("BUSBRA", "BUS-BRA"), "the BUS-BRA release")
    pairs = paired(
        Files(root / "Images", _IMAGE, "bus_NNNN-S.png"),
        Files(root / "Masks", _MASK, "mask_NNNN-S.png"),
    )
    known = _read_table(root / TABLE)
    missing = [f"bus_{name}" for name in pairs if f"bus_{name}" not in known]
    if missing:
        raise DataError(
            f"{root / TABLE}: expected a row for every image, none for {named(missing)}"
        )
    cases = []
    for name, (image, mask) in pairs.items():
        group, label = known[f"bus_{name}"]
        cases.append(Case(f"bus_{name}", group, image, (mask,), label))
    return Dataset("busbra", root, ("lesion",), tuple(cases))


def _read_table(path: Path) -> dict[str, tuple[str, str]]:
    """ID -> (case, class)."""
    known: dict[str, tuple[str, str]] = {}
    for row in read_rows(path, ("id", "case", "pathology")):
        name, label = row["id"], row["pathology"].lower()
        if not name or name in known or not row["case"] or label not in EXPECTED:
            raise DataError(
                f"{path}: expected one row of each ID with a Case and benign or malignant, got "
                f"'{name:.20}', '{row['case']:.20}', '{row['pathology']:.20}'"
            )
        known[name] = (row["case"], label)
    return known
