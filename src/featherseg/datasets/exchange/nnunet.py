"""nnU-Net v2's raw data: ``imagesTr/NAME_0000.png``, ``labelsTr/NAME.png``, ``dataset.json``.

Isensee F, Jaeger PF, Kohl SAA, Petersen J, Maier-Hein KH. nnU-Net: a self-configuring method
for deep learning-based biomedical image segmentation. Nature Methods 2021;18:203-211.
doi:10.1038/s41592-020-01008-z. PNG files are read there by NaturalImage2DIO: one gray channel,
or RGB in one file, the same for all images; it takes every pixel as 1, so names.json keeps the
spacing. The test part of a split goes to ``imagesTs`` and ``labelsTs``, which nnU-Net never
trains on; ``splits_final.json`` tells it which of the others train and which validate.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.datasets.exchange.export import Export, Item, Progress, as_rgb, items
from featherseg.datasets.exchange.names import Names, case_of, read_names, write_names
from featherseg.datasets.exchange.nifti import is_nifti, read_nifti, read_nifti_mask
from featherseg.datasets.layout import (
    Dataset,
    load_json,
    named,
    natural_key,
    read_labels,
)
from featherseg.errors import DataError
from featherseg.images import raster
from featherseg.storage import write_json
from featherseg.types import Case, Image, Mask

DATASET_FILE = "dataset.json"
SPLITS_FILE = "splits_final.json"
CITATION = (
    "the data set's own; of the format: Isensee F et al. nnU-Net. Nature Methods "
    "2021;18:203-211. doi:10.1038/s41592-020-01008-z"
)
_ENDING = ".png"
_PARTS = ("Tr", "Ts")
_CHANNEL = re.compile(r"(?P<name>.+)_(?P<channel>\d{4})")
_LARGEST_NUMBER = 999


def folder_name(number: int, name: str) -> str:
    """``Dataset501_NAME``; DataError for a number nnU-Net does not take."""
    if not 1 <= number <= _LARGEST_NUMBER:
        raise DataError(
            f"expected a data set number from 1 to {_LARGEST_NUMBER}, got {number}; nnU-Net "
            "advises one of 500 or more for own data"
        )
    return f"Dataset{number:03d}_{name}"


def write(export: Export, root: Path, progress: Progress) -> None:
    """Write the folder ``DatasetNNN_NAME``, which is `root`; dataset.json and names.json last."""
    known, files, placed = {}, [], dict[str, list[str]]()
    for item in items(export, progress):
        files += _write_item(item, root)
        known[item.name] = item.known
        placed.setdefault(item.subset, []).append(item.name)
    is_gray = all(case.gray for case in known.values())
    if not is_gray:
        _make_rgb(path for path in files if path.parent.name.startswith("images"))
    training = [name for subset, names in placed.items() if subset != "test" for name in names]
    if not training:
        raise DataError("nnU-Net expects cases to train on; give a split with a train part")
    content = {
        "name": export.name,
        "channel_names": {"0": "gray"} if is_gray else {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, **{name: k for k, name in enumerate(export.labels, 1)}},
        "numTraining": len(training),
        "file_ending": _ENDING,
        "overwrite_image_reader_writer": "NaturalImage2DIO",
    }
    if "train" in export.subsets:
        files.append(root / SPLITS_FILE)
        fold = {"train": placed.get("train", []), "val": placed.get("validation", [])}
        write_json(root / SPLITS_FILE, [fold])
    write_json(root / DATASET_FILE, content)
    write_names(root, export.labels, known, [*files, root / DATASET_FILE])


def _write_item(item: Item, root: Path) -> list[Path]:
    part = "Ts" if item.subset == "test" else "Tr"
    image = root / f"images{part}" / f"{item.name}_0000{_ENDING}"
    label = root / f"labels{part}" / f"{item.name}{_ENDING}"
    raster.write_png(image, item.pixels)
    raster.write_png(label, item.mask)
    return [image, label]


def _make_rgb(images: Any) -> None:
    """Give gray files three equal channels, where others of the data set are in color."""
    for path in images:
        pixels = raster.read_image(path).pixels
        if pixels.ndim == 2:
            raster.write_png(path, as_rgb(pixels))


def scan(folder: Path) -> Dataset:
    """Find the cases of a ``DatasetNNN_NAME`` folder, or of the one folder of that kind in it.

    Training cases come first; test images count where ``labelsTs`` has their labels. ids,
    groups, classes and spacing are those of names.json where an export has left one. Raises
    DataError for several channels in files of their own, for regions, and for images and
    labels without a partner.
    """
    root = _root(folder)
    content = load_json(root / DATASET_FILE)
    labels, ending = nnunet_labels(root, content), _file_ending(root, content)
    names = read_names(root)
    cases = [case for part in _PARTS for case in _scan_part(root, part, ending, names)]
    return Dataset("nnunet", root, labels, tuple(cases), "labels")


def read_image(case: Case) -> Image:
    """A case's image; one channel again where the export had to repeat it."""
    if is_nifti(case.image):
        return read_nifti(case.image)
    image = raster.read_image(case.image)
    names = read_names(case.image.parent.parent)
    known = names.cases.get(case.masks[0].stem) if names else None
    if known and known.gray and image.pixels.ndim == 3:
        return Image(np.ascontiguousarray(image.pixels[:, :, 0]), None, image.source)
    return image


def read_mask(dataset: Dataset, case: Case) -> Mask:
    """A case's label map, uint8 (H, W)."""
    if is_nifti(case.masks[0]):
        return read_nifti_mask(case.masks[0], len(dataset.labels), case.image)
    return read_labels(dataset, case)


def _root(folder: Path) -> Path:
    if (folder / DATASET_FILE).is_file():
        return folder
    found = [path.parent for path in sorted(folder.glob(f"Dataset*/{DATASET_FILE}"))]
    if len(found) != 1:
        raise DataError(
            f"{folder}: expected a folder of nnU-Net's raw data with {DATASET_FILE}, found "
            f"{named(path.name for path in found) if found else 'none'}; give DatasetNNN_NAME"
        )
    return found[0]


def nnunet_labels(root: Path, content: Any) -> tuple[str, ...]:
    """The foreground labels 1..K of a dataset.json's content; DataError for anything else."""
    known = content.get("labels") if isinstance(content, dict) else None
    numbered = (
        {value: name for name, value in known.items() if type(value) is int}
        if isinstance(known, dict)
        else {}
    )
    values = sorted(numbered)
    if (
        not known
        or len(numbered) != len(known)
        or values != list(range(len(known)))
        or not values[1:]
    ):
        raise DataError(
            f"{root / DATASET_FILE}: expected 'labels' with the names of 0 (background), 1, 2 and "
            f"so on, got {known!r:.80}; regions of several labels are not read"
        )
    return tuple(numbered[value] for value in values[1:])


def _file_ending(root: Path, content: Any) -> str:
    ending = str(content.get("file_ending"))
    if ending not in raster.SUFFIXES and not is_nifti(Path(f"a{ending}")):
        raise DataError(
            f"{root / DATASET_FILE}: expected a 'file_ending' such as .png, .tif or .nii.gz, "
            f"got {ending!r:.80}"
        )
    return ending


def _scan_part(root: Path, part: str, ending: str, names: Names | None) -> list[Case]:
    images = _images(root / f"images{part}", ending)
    folder = root / f"labels{part}"
    if part == "Ts" and not folder.is_dir():
        return []
    missing = [name for name in images if not (folder / f"{name}{ending}").is_file()]
    if missing:
        raise DataError(f"{folder}: expected the labels of every image, none for {named(missing)}")
    present = (path.name.removesuffix(ending) for path in sorted(folder.glob(f"*{ending}")))
    surplus = [name for name in present if name not in images and not name.startswith(".")]
    if surplus:
        raise DataError(f"{folder}: expected an image for all labels, none for {named(surplus)}")
    return [
        case_of(names, name, image, folder / f"{name}{ending}") for name, image in images.items()
    ]


def _images(folder: Path, ending: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    paths = folder.glob(f"*{ending}") if folder.is_dir() else ()
    for path in sorted(paths, key=lambda path: natural_key(path.name)):
        matched = _CHANNEL.fullmatch(path.name.removesuffix(ending))
        if matched is None or path.name.startswith("."):
            continue
        if matched["channel"] != "0000":
            raise DataError(
                f"{path}: expected one file an image (_0000), got a further channel; merge the "
                "channels into one gray or RGB file"
            )
        found[matched["name"]] = path
    return found
