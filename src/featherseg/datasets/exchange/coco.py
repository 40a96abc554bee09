"""COCO JSON: ``images/NAME.png`` and ``annotations/instances_train.json`` and so on.

One annotation a label of an image, its segmentation as uncompressed RLE: the runs of 0 and 1 in
column order, 0 first, which every pixel is reproduced from. Lin TY et al. Microsoft COCO: common
objects in context. ECCV 2014. doi:10.1007/978-3-319-10602-1_48; https://cocodataset.org/#format-data.
An image entry also holds the case, group, class and spacing_mm, which other readers skip.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featherseg.datasets.exchange.export import WHOLE, Export, Item, Progress, items
from featherseg.datasets.exchange.names import NamedCase, write_names
from featherseg.images.raster import write_png
from featherseg.storage import write_json

# Our words -> COCO's; without a split there is one file.
_FILES = {
    WHOLE: "instances.json",
    "train": "instances_train.json",
    "validation": "instances_val.json",
    "test": "instances_test.json",
}


def write(export: Export, root: Path, progress: Progress) -> None:
    """Write ``images/``, a file of annotations for each subset and, last, names.json."""
    known: dict[str, NamedCase] = {}
    files: list[Path] = []
    annotations: dict[str, dict[str, Any]] = {
        subset: _empty(export.labels) for subset in export.subsets
    }
    for number, item in enumerate(items(export, progress), start=1):
        files.append(root / "images" / f"{item.name}.png")
        write_png(files[-1], item.pixels)
        known[item.name] = item.known
        part = annotations[item.subset]
        part["images"].append(_image(item, number))
        part["annotations"] += _annotations(item, number, len(export.labels))
    for subset, content in annotations.items():
        files.append(root / "annotations" / _FILES[subset])
        write_json(files[-1], content)
    write_names(root, export.labels, known, files)


def run_lengths(part: NDArray[np.bool_]) -> list[int]:
    """The runs of a boolean mask (H, W) in column order, the first of them of False.

    >>> run_lengths(np.array([[True, False], [True, True]]))
    [0, 2, 1, 1]
    """
    flat = part.ravel(order="F")
    starts = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate(([0], starts, [flat.size])))
    first = [0] if flat[0] else []
    return [*first, *(int(run) for run in runs)]


def _empty(labels: tuple[str, ...]) -> dict[str, Any]:
    categories = [
        {"id": number, "name": name, "supercategory": ""}
        for number, name in enumerate(labels, start=1)
    ]
    return {"info": {}, "licenses": [], "images": [], "annotations": [], "categories": categories}


def _image(item: Item, number: int) -> dict[str, Any]:
    spacing = item.case.spacing_mm
    return {
        "id": number,
        "file_name": f"{item.name}.png",
        "height": item.mask.shape[0],
        "width": item.mask.shape[1],
        "case": item.case.id,
        "group": item.case.group,
        "class": item.case.label,
        "spacing_mm": None if spacing is None else list(spacing),
    }


def _annotations(item: Item, number: int, labels: int) -> list[dict[str, Any]]:
    """One annotation for each label that is there; its id is unique over all files."""
    found = []
    for label in range(1, labels + 1):
        part = item.mask == label
        if not part.any():
            continue
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        top, left = int(rows[0]), int(columns[0])
        found.append(
            {
                "id": (number - 1) * labels + label,
                "image_id": number,
                "category_id": label,
                "segmentation": {"size": list(part.shape), "counts": run_lengths(part)},
                "area": int(part.sum()),
                "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
                "iscrowd": 0,
            }
        )
    return found
