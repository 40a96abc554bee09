"""Public layouts of image folders, read as released; nothing here downloads anything."""

import difflib
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

from featherseg.datasets.catalog import DATASETS
from featherseg.datasets.layout import ALL_IMAGES, Dataset, Layout
from featherseg.errors import DataError
from featherseg.storage import sha256_file, sha256_json
from featherseg.types import Case, Image, Mask


def load_dataset(folder: Path, layout: str) -> Dataset:
    """Scan `folder` as `layout` says.

    Some layouts also take their list (`Layout.list_suffix`) in place of its folder. Raises
    DataError for an unknown layout (with the nearest name), a missing folder, a folder without
    images, and images or masks without a partner.
    """
    if layout not in DATASETS:
        near = difflib.get_close_matches(layout.lower(), DATASETS, n=1, cutoff=0.4)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"expected a layout out of {', '.join(DATASETS)}, got '{layout}'{meant}")
    suffix = DATASETS[layout].list_suffix
    is_list = bool(suffix) and folder.is_file() and folder.suffix.lower() == suffix
    if not (folder.is_dir() or is_list):
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: expected a data folder, found {found}")
    dataset = DATASETS[layout].scan(folder)
    if not dataset.cases:
        raise DataError(f"{folder}: expected images in the layout '{layout}', found none")
    return dataset


def read_case_image(dataset: Dataset, case: Case) -> Image:
    """Decode a case's image, with its spacing where the release states it; or ImageError."""
    image = DATASETS[dataset.layout].read_image(case)
    return replace(image, spacing_mm=case.spacing_mm)


def read_case(dataset: Dataset, case: Case) -> tuple[Image, Mask]:
    """Decode a case: its image and its labels 0..K, uint8 (H, W) of the same size.

    Raises ImageError for a file that cannot be decoded and DataError for a mask of another
    size or with a label that the dataset does not name.
    """
    image = read_case_image(dataset, case)
    mask = DATASETS[dataset.layout].read_mask(dataset, case)
    if mask.shape != image.pixels.shape[:2]:
        height, width = image.pixels.shape[:2]
        raise DataError(
            f"{case.masks[0]}: expected a mask of its image's size {height}x{width}, "
            f"got {mask.shape[0]}x{mask.shape[1]}; export it on the image's grid"
        )
    return image, mask


def case_hashes(dataset: Dataset) -> dict[str, str]:
    """Case id -> SHA-256 over the SHA-256 of its image file and of each mask file.

    Past the first image of a file that holds several, its number there is added.
    """
    # Some layouts keep many images in one file, which is then hashed once.
    file_hash = cache(_file_hash)
    hashes = {}
    for case in dataset.cases:
        files = [file_hash(path) for path in (case.image, *case.masks)]
        hashes[case.id] = sha256_json([*files, case.frame] if case.frame else files)
    return hashes


def _file_hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def expected_counts(dataset: Dataset) -> dict[str, tuple[int, int]]:
    """Class -> (images in the official release, images found); empty where there is none."""
    expected = dataset.expected or DATASETS[dataset.layout].expected or {}
    found = Counter(case.label for case in dataset.cases)
    found[ALL_IMAGES] = len(dataset.cases)
    return {label: (count, found[label]) for label, count in expected.items()}


def images_sha256(dataset: Dataset) -> str:
    """One SHA-256 for all names and files of a dataset: what a split or a pack was made from."""
    return sha256_json(case_hashes(dataset))


__all__ = [
    "DATASETS",
    "Dataset",
    "Layout",
    "case_hashes",
    "expected_counts",
    "images_sha256",
    "load_dataset",
    "read_case",
    "read_case_image",
]
