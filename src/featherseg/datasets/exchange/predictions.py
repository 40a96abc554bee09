"""Predicted masks in the place of the true ones, so that an editor can correct them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from featherseg.datasets import read_case_image
from featherseg.datasets.exchange.masks import (
    PREDICTIONS_FILE,
    mask_files,
    predictions_in,
    read_mask_files,
)
from featherseg.datasets.layout import Dataset, image_files, load_json, named
from featherseg.errors import DataError
from featherseg.types import Case, Image, Mask

IMAGES_LAYOUT = "images"


def unlabeled(folder: Path, masks: Path) -> Dataset:
    """A plain folder of images without true masks; the labels are those of `masks`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, found none")
    paths = image_files(folder)
    if len({path.stem for path in paths}) != len(paths):
        raise DataError(f"{folder}: expected one image of each stem; rename the others")
    cases = tuple(Case(path.stem, path.stem, path, (), "") for path in paths)
    # The layout `folder` reads images of any kind; no true mask is ever asked for.
    return Dataset("folder", folder, predicted_labels(masks) or ("lesion",), cases)


def predicted_labels(folder: Path) -> tuple[str, ...]:
    """The labels that a predictions.json names; () where there is none."""
    path = folder / PREDICTIONS_FILE
    content: Any = load_json(path) if path.is_file() else {}
    labels = content.get("labels", []) if isinstance(content, dict) else []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataError(f"{path}: expected 'labels' to be a list of names, got {labels!r:.80}")
    return tuple(labels)


def with_predictions(dataset: Dataset, folder: Path) -> tuple[Case, ...]:
    """The cases that have a predicted mask in `folder`, with it in the place of their own.

    predictions.json tells by the image's path or, where the images have moved, by its name;
    without it a mask belongs to the case it is called after. Raises DataError for other labels
    than the dataset's, for an image that two predictions claim, and where nothing fits.
    """
    labels = predicted_labels(folder)
    if labels and labels != dataset.labels and not len(labels) == len(dataset.labels) == 1:
        raise DataError(
            f"{folder}: expected masks of the labels {', '.join(dataset.labels)}, got "
            f"{', '.join(labels)}; predict with a model for these data"
        )
    listed = predictions_in(folder)
    found = _by_input(dataset, folder, listed) if listed else mask_files(folder)
    cases = tuple(replace(case, masks=found[case.id]) for case in dataset.cases if case.id in found)
    if not cases:
        raise DataError(
            f"{folder}: expected masks of cases in {dataset.root}, such as "
            f"{dataset.cases[0].id}, found only {named(found) or 'others'}"
        )
    return cases


def read_predicted(dataset: Dataset, case: Case) -> tuple[Image, Mask]:
    """The image and the predicted labels 0..K of a case of `with_predictions`.

    Raises ImageError and DataError as `read_case` does.
    """
    image, mask = read_case_image(dataset, case), read_mask_files(case.masks, dataset.labels)
    if mask.shape != image.pixels.shape[:2]:
        height, width = image.pixels.shape[:2]
        raise DataError(
            f"{case.masks[0]}: expected a mask of its image's size {height}x{width}, got "
            f"{mask.shape[0]}x{mask.shape[1]}; is it of another image?"
        )
    return image, mask


def _by_input(dataset: Dataset, folder: Path, listed: Sequence[Any]) -> dict[str, tuple[Path, ...]]:
    by_path = {case.image.resolve(): case.id for case in dataset.cases}
    by_name: dict[str, list[str]] = {}
    for case in dataset.cases:
        by_name.setdefault(case.image.name, []).append(case.id)
    found: dict[str, tuple[Path, ...]] = {}
    for image in listed:
        path = Path(image["input"])
        same_name = by_name.get(path.name, [])
        case_id = by_path.get(path.resolve()) or (same_name[0] if len(same_name) == 1 else None)
        if case_id is None:
            continue
        if case_id in found:
            raise DataError(f"{folder}: two predictions are of '{case_id}'; predict it again")
        found[case_id] = (folder / image["mask"],)
    return found
