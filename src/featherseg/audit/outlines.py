"""Write a copy of a data folder whose outlines are filled; the folder itself stays as it is."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from featherseg.audit.masks import filled_outline
from featherseg.datasets import DATASETS, Dataset
from featherseg.datasets.folder import GROUPS_FILE, LABELS_FILE
from featherseg.errors import DataError, StorageError
from featherseg.images import raster
from featherseg.types import Case, Mask

Progress = Callable[[Sequence[Case]], Iterable[Case]]
_UINT8_MAX = 255


def fill_outlines(dataset: Dataset, out: Path, progress: Progress = iter) -> tuple[str, ...]:
    """Copy a data set of the layout `folder` to `out`, and fill the masks that are outlines.

    Gives the cases whose masks were filled. Other masks, images and side files are copied byte
    for byte; a filled mask is a PNG, with the value 255 inside or the outline's own label.
    Raises DataError for another layout and StorageError where `out` is the folder or in it.
    """
    if dataset.layout != "folder":
        raise DataError(
            f"expected the layout 'folder', got '{dataset.layout}': other layouts say themselves "
            "how their masks are read, and hc18 fills its outlines"
        )
    if out.resolve().is_relative_to(dataset.root.resolve()):
        raise StorageError(f"{out}: expected a folder outside {dataset.root}; choose another")
    filled = []
    for part in ("images", "masks"):
        (out / part).mkdir(parents=True, exist_ok=True)
    for case in progress(dataset.cases):
        _copy(case.image, out / "images")
        mask = DATASETS[dataset.layout].read_mask(dataset, case)
        whole = filled_mask(mask)
        if whole is None:
            _copy(case.masks[0], out / "masks")
            continue
        scale = 1 if dataset.mask_kind == "labels" else _UINT8_MAX
        raster.write_png(out / "masks" / f"{case.masks[0].stem}.png", whole * np.uint8(scale))
        filled.append(case.id)
    for name in (GROUPS_FILE, LABELS_FILE):
        if (dataset.root / name).is_file():
            _copy(dataset.root / name, out)
    return tuple(filled)


def filled_mask(mask: Mask) -> Mask | None:
    """Labels 0..K, uint8 (H, W), with every outline filled; None where no label is an outline.

    What another label holds inside an outline stays that label.
    """
    whole = mask.copy()
    is_filled = False
    for label in np.unique(mask[mask > 0]):
        inside = filled_outline(mask == label)
        if inside is not None:
            whole[inside & (mask == 0)] = label
            is_filled = True
    return whole if is_filled else None


def _copy(source: Path, folder: Path) -> None:
    try:
        shutil.copyfile(source, folder / source.name)
    except OSError as error:
        raise StorageError(
            f"cannot copy {source} to {folder}: {error.strerror or error}; free space or choose "
            "another folder"
        ) from error
