"""Simulated breast ultrasound as a data set: `images/`, `masks/` and `phantom.json`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.datasets.burn_in import draw_calipers, draw_label
from featherseg.datasets.folder import paired_files
from featherseg.datasets.layout import Dataset, load_json, named
from featherseg.datasets.simulate import KINDS, Kind, simulate
from featherseg.errors import DataError
from featherseg.images.raster import write_png
from featherseg.storage import write_json
from featherseg.types import Case, Mask, Pixels

CATALOG = "phantom.json"
_SCHEMA = 1
# Shares of benign and malignant; the rest is normal.
_BENIGN, _MALIGNANT = 0.45, 0.35
# Steps of the golden ratio fill [0, 1) evenly for any number of cases.
_GOLDEN = 0.6180339887498949
# Each side of an image differs from the nominal one by up to this fraction.
_SIZE_SPREAD = 0.12
# Marks are drawn with random numbers of their own, so that the tissue does not depend on them.
_MARKS_KEY = 1


def scan(folder: Path) -> Dataset:
    """Find the cases of a simulated data set; DataError where phantom.json does not fit them."""
    classes = _read_catalog(folder / CATALOG)
    pairs = paired_files(folder)
    unknown = [name for name in (*pairs, *classes) if not (name in classes and name in pairs)]
    if unknown:
        raise DataError(
            f"{folder / CATALOG}: expected the same names as in images/, differs for "
            f"{named(unknown)}; simulate the data set again"
        )
    cases = tuple(
        Case(id=name, group=name, image=image, masks=(mask,), label=classes[name])
        for name, (image, mask) in pairs.items()
    )
    return Dataset("phantom", folder, ("lesion",), cases)


def write_phantom(
    out: Path,
    cases: int,
    seed: int,
    size: tuple[int, int] = (256, 256),
    progress: Callable[[range], Iterable[int]] = iter,
    marks: float = 0.0,
) -> None:
    """Simulate `cases` images with masks into `out`; the same seed gives the same files.

    `size` is the nominal (height, width); sides vary around it by 12 %. About the share `marks`
    of the images gets calipers around the lesion and a label; the rest is as without, and where
    a lesion is not, a place drawn by chance is measured. Cases that an earlier
    phantom.json in `out` lists are removed first. phantom.json is written last: a folder
    that has it is complete.
    """
    if cases < 1 or seed < 0 or min(size) < 64 or not 0.0 <= marks <= 1.0:
        raise DataError(
            "expected at least 1 case, a seed of 0 or more, sides of at least 64 pixels and a "
            f"share of marks from 0 to 1, got {cases} cases, seed {seed}, {size[0]}x{size[1]} "
            f"and {marks}"
        )
    _remove_earlier(out)
    digits = max(4, len(str(cases)))
    classes: dict[str, Kind] = {}
    for index in progress(range(cases)):
        name = f"phantom_{index + 1:0{digits}d}"
        classes[name] = _kind(index, seed)
        case_seed, case_size = _draw_case(index, seed, size)
        pixels, mask = simulate(case_seed, classes[name], case_size)
        pixels = _marked(pixels, mask, np.random.default_rng([seed, index, _MARKS_KEY]), marks)
        write_png(out / "images" / f"{name}.png", pixels)
        write_png(out / "masks" / f"{name}.png", mask * np.uint8(255))
    content = {"schema": _SCHEMA, "seed": seed, "size": list(size), "labels": classes}
    write_json(out / CATALOG, content)


def _marked(pixels: Pixels, mask: Mask, rng: np.random.Generator, share: float) -> Pixels:
    if rng.random() >= share:
        return pixels
    return draw_label(draw_calipers(pixels, mask, rng), rng)


def _kind(index: int, seed: int) -> Kind:
    place = (index * _GOLDEN + np.random.default_rng(seed).random()) % 1.0
    if place < _BENIGN:
        return "benign"
    return "malignant" if place < _BENIGN + _MALIGNANT else "normal"


def _draw_case(index: int, seed: int, size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    rng = np.random.default_rng([seed, index])
    height, width = (round(side * rng.uniform(1 - _SIZE_SPREAD, 1 + _SIZE_SPREAD)) for side in size)
    return int(rng.integers(2**32)), (height, width)


def _remove_earlier(out: Path) -> None:
    """Remove what an earlier phantom.json lists; files it does not name stay."""
    catalog = out / CATALOG
    if not catalog.is_file():
        return
    for name in _read_catalog(catalog):
        for part in ("images", "masks"):
            (out / part / f"{name}.png").unlink(missing_ok=True)
    catalog.unlink()


def _read_catalog(path: Path) -> dict[str, str]:
    """Case name -> class; DataError for a file that `write_phantom` has not written."""
    content = load_json(path)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or content.get("schema") != _SCHEMA or not _are_classes(labels):
        raise DataError(
            f"{path}: expected the catalog of a simulated data set (schema {_SCHEMA}), "
            "got something else; simulate it again with: featherseg data phantom"
        )
    return dict(labels)


def _are_classes(labels: dict[str, Any]) -> bool:
    """Whether every name is that of a file here, and every class one that is simulated."""
    return all(kind in KINDS and Path(name).name == name for name, kind in labels.items())


__all__ = ["CATALOG", "scan", "simulate", "write_phantom"]
