"""Public layouts of image folders, read as released; nothing here downloads anything."""

import difflib
from dataclasses import replace
from functools import cache
from pathlib import Path

from featherseg.datasets import busi, folder, phantom
from featherseg.datasets.exchange import nifti, nnunet, npz
from featherseg.datasets.layout import Dataset, Layout, read_binary
from featherseg.errors import DataError
from featherseg.storage import sha256_file, sha256_json
from featherseg.types import Case, Image, Mask

DATASETS: dict[str, Layout] = {
    "busi": Layout(busi.scan, read_binary, busi.EXPECTED, busi.CITATION, busi.LICENSE),
    "folder": Layout(folder.scan, folder.read_mask, None, "", "the owner's"),
    "nifti": Layout(
        nifti.scan, nifti.read_mask, None, "", "the owner's", read_image=nifti.read_image
    ),
    "nnunet": Layout(
        nnunet.scan,
        nnunet.read_mask,
        None,
        nnunet.CITATION,
        "the data set's own",
        read_image=nnunet.read_image,
    ),
    "npz": Layout(
        npz.scan,
        npz.read_mask,
        None,
        npz.CITATION,
        "the data set's own",
        read_image=npz.read_image,
    ),
    "phantom": Layout(phantom.scan, read_binary, None, "simulated by FeatherSeg", "none needed"),
}


def load_dataset(folder: Path, layout: str) -> Dataset:
    """Scan `folder` as `layout` says.

    Raises DataError for an unknown layout (with the nearest name), a missing folder, a folder
    without images, and images or masks without a partner.
    """
    if layout not in DATASETS:
        near = difflib.get_close_matches(layout.lower(), DATASETS, n=1, cutoff=0.4)
        meant = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"expected a layout out of {', '.join(DATASETS)}, got '{layout}'{meant}")
    if not folder.is_dir():
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
    """Case id -> SHA-256 over the SHA-256 of its image file and of each mask file."""
    # Some layouts keep many images in one file, which is then hashed once.
    file_hash = cache(_file_hash)
    return {
        case.id: sha256_json([file_hash(path) for path in (case.image, *case.masks)])
        for case in dataset.cases
    }


def _file_hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def images_sha256(dataset: Dataset) -> str:
    """One SHA-256 for all names and files of a dataset: what a split or a pack was made from."""
    return sha256_json(case_hashes(dataset))


__all__ = [
    "DATASETS",
    "Dataset",
    "Layout",
    "case_hashes",
    "images_sha256",
    "load_dataset",
    "read_case",
    "read_case_image",
]
