"""HC18, fetal head circumference, as released: ``training_set/000_HC.png`` and its outline.

``000_HC_Annotation.png`` holds an ellipse drawn as a thin line. A line that leaves the image
is open, and a hole filling would find nothing in it; so an ellipse is fitted to the line's
pixels, and its inside is the mask. ``training_set_pixel_size_and_HC.csv`` beside the images'
folder gives millimeters per pixel, the same in both directions. A group is an exam: the first
three digits. The numbers run to 805, while all images, those of the test set too, come from 551
women: one woman may stand in two groups, so leakage found by group is a lower bound.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featherseg.datasets.layout import ALL_IMAGES, Dataset, named
from featherseg.datasets.pairs import Files, paired
from featherseg.datasets.tables import read_rows, read_spacing
from featherseg.ellipse import Ellipse, fit_ellipse
from featherseg.errors import DataError, ImageError
from featherseg.images import raster
from featherseg.types import Case, Mask

ABOUT = "ultrasound of fetuses: the head"
EXPECTED = {ALL_IMAGES: 999}
CITATION = (
    "van den Heuvel TLA, de Bruijn D, de Korte CL, van Ginneken B. Automated measurement of "
    "fetal head circumference using 2D ultrasound images. PLoS ONE 2018;13(8):e0200412. "
    "doi:10.1371/journal.pone.0200412"
)
LICENSE = "CC BY 4.0"
GROUPS = "exam (010 in 010_2HC); a woman may have several"
TABLE = "training_set_pixel_size_and_HC.csv"
_IMAGES = "training_set"
_IMAGE = re.compile(r"(?P<id>\d{3}_\d*HC)\.png", re.IGNORECASE)
_MASK = re.compile(r"(?P<id>\d{3}_\d*HC)_Annotation\.png", re.IGNORECASE)
_GROUP_DIGITS = 3
_SIZE, _CIRCUMFERENCE = "pixel size(mm)", "head circumference (mm)"
# Lines of the release lie within 1.5 pixels of their ellipse; stray pixels are forgiven.
_MOST_DEVIATION_PX = 4.0
_DEVIATION_PERCENTILE = 95
_TINY = 1e-9
# A line is 2.6 pixels wide: less than a fifth of the smallest head.
_FILLED_SHARE = 0.5

Grid = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class HeadRow:
    """What the release's table says of an image; ``circumference_mm`` is None for the test set."""

    pixel_mm: float
    circumference_mm: float | None


def scan(folder: Path) -> Dataset:
    """Find the cases of the release folder or of its folder training_set.

    Without the table, which stands beside the images or one folder above, spacing is unknown.
    """
    nested = folder / _IMAGES
    root = nested if nested.is_dir() else folder
    pairs = paired(Files(root, _IMAGE, "NNN_HC.png"), Files(root, _MASK, "NNN_HC_Annotation.png"))
    if not pairs:
        raise DataError(
            f"{folder}: expected the HC18 release with 000_HC.png and 000_HC_Annotation.png in "
            f"{_IMAGES}/, found none; give the release folder or its folder {_IMAGES}"
        )
    tables = [path for path in (root / TABLE, root.parent / TABLE) if path.is_file()]
    rows = read_table(tables[0]) if tables else {}
    missing = [name for name in pairs if f"{name}.png" not in rows]
    if tables and missing:
        raise DataError(f"{tables[0]}: expected a row for every image, none for {named(missing)}")
    cases = []
    for name, (image, mask) in pairs.items():
        pixel_mm = rows[f"{name}.png"].pixel_mm if tables else None
        spacing = (pixel_mm, pixel_mm) if pixel_mm is not None else None
        cases.append(Case(name, name[:_GROUP_DIGITS], image, (mask,), "", spacing))
    return Dataset("hc18", root, ("head",), tuple(cases))


def read_table(path: Path) -> dict[str, HeadRow]:
    """File name -> pixel size and head circumference, both in millimeters, of the release's CSV."""
    rows: dict[str, HeadRow] = {}
    for row in read_rows(path, ("filename", _SIZE)):
        name = row["filename"]
        if name in rows:
            raise DataError(f"{path}: expected one row of each image, got two of {name}")
        text = row.get(_CIRCUMFERENCE, "")
        rows[name] = HeadRow(
            read_spacing(path, row[_SIZE], name), _read_length(path, text, name) if text else None
        )
    return rows


def _read_length(path: Path, text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise DataError(f"{path}: expected a circumference above 0 mm for {name}, got '{text:.40}'")
    return value


def read_mask(_: Dataset, case: Case) -> Mask:
    """The head of a case: 1 inside the annotated ellipse, uint8 (H, W)."""
    (path,) = case.masks
    return fill_outline(raster.read_mask(path), path)


def fill_outline(line: Mask, path: Path) -> Mask:
    """1 inside the ellipse through the middle of a drawn line, uint8 (H, W).

    The line may leave the image. Pixels on the border are left out of the fit: a line that
    leaves may run along it. An annotation that somebody has filled already is taken as it is, an
    empty one is empty. Raises ImageError for a line that is no ellipse; `path` is named there.
    """
    drawn = line != 0
    points = np.argwhere(drawn[1:-1, 1:-1]) + 1
    if not drawn.any():
        return np.zeros(line.shape, np.uint8)
    ellipse = fit_ellipse(points.astype(np.float64))
    if ellipse is None:
        raise ImageError(
            f"{path}: expected the outline of a head, got {len(points)} pixels that are no "
            "ellipse; export it again"
        )
    area_px = np.pi * ellipse.long_axis * ellipse.short_axis / 4
    if drawn.sum() > _FILLED_SHARE * area_px:
        return np.asarray(drawn, np.uint8)
    _check_nearness(ellipse, points, path)
    rows, columns = np.ogrid[: line.shape[0], : line.shape[1]]
    return np.asarray(_radius(ellipse, rows, columns) <= 1.0, np.uint8)


def _check_nearness(ellipse: Ellipse, points: Grid, path: Path) -> None:
    """ImageError where points lie beside the ellipse, seen from its center."""
    rows, columns = points[:, 0], points[:, 1]
    distance = np.hypot(rows - ellipse.center[0], columns - ellipse.center[1])
    on_ellipse = distance / np.maximum(_radius(ellipse, rows, columns), _TINY)
    beside_px = np.percentile(np.abs(distance - on_ellipse), _DEVIATION_PERCENTILE)
    if beside_px > _MOST_DEVIATION_PX:
        raise ImageError(
            f"{path}: expected the outline of an ellipse, got lines {beside_px:.0f} pixels beside "
            "the nearest one; for masks of another form use --layout folder"
        )


def _radius(ellipse: Ellipse, rows: Grid, columns: Grid) -> NDArray[np.float64]:
    """How far points lie from the center: 1 on the ellipse, in every direction."""
    down, across = rows - ellipse.center[0], columns - ellipse.center[1]
    angle = np.deg2rad(ellipse.angle_deg)
    along = (across * np.cos(angle) + down * np.sin(angle)) / (ellipse.long_axis / 2)
    aside = (down * np.cos(angle) - across * np.sin(angle)) / (ellipse.short_axis / 2)
    return np.asarray(np.hypot(along, aside), np.float64)
