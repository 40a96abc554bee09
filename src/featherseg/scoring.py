"""Masks that any tool has made, scored as FeatherSeg scores its own: names, sizes, rows.

Which file is whose mask is said in `datasets.exchange.masks`. A case without a found mask is
scored as an empty one; nothing is ever resized.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featherseg.case_table import Row
from featherseg.datasets import Dataset
from featherseg.datasets.exchange.masks import mask_files, names_near, read_mask_files
from featherseg.datasets.exchange.names import Names
from featherseg.datasets.exchange.nifti import is_nifti, read_nifti, stem
from featherseg.datasets.exchange.nnunet import DATASET_FILE, nnunet_labels
from featherseg.datasets.folder import GROUPS_FILE, LABELS_FILE, read_groups, read_label_names
from featherseg.datasets.layout import load_json, named
from featherseg.errors import DataError
from featherseg.evaluation import Evaluation, Scoring, case_rows
from featherseg.images import probability, raster
from featherseg.storage import sha256_file, sha256_json
from featherseg.types import Case, Floats, Image, Mask, Segmentation

Progress = Callable[[Iterable[Case]], Iterable[Case]]
Files = Mapping[str, tuple[Path, ...]]
_CHANNEL = "_0000"


@dataclass(frozen=True)
class MaskSet:
    """True masks with what was found for them.

    ``dataset`` holds the cases with their true masks (and their images, if any were given);
    ``found`` and ``probabilities`` map case ids to files; ``probabilities`` is None where none
    are scored. ``missing`` lists cases without a found mask, ``surplus`` found masks without a
    case. ``model_id`` is one SHA-256 over all found files that are scored.
    """

    dataset: Dataset
    found: Files
    probabilities: Mapping[str, Path] | None
    missing: tuple[str, ...]
    surplus: tuple[str, ...]
    model_id: str
    has_images: bool


def match_masks(
    true: Path,
    found: Path,
    *,
    labels: Sequence[str] = (),
    spacing_mm: tuple[float, float] | None = None,
    probabilities: Path | None = None,
    images: Path | None = None,
) -> MaskSet:
    """Find which found mask belongs to which true one.

    `labels` names the values 1..K; empty, they are those of labels.json, names.json or nnU-Net's
    dataset.json in `true` or the folder above, else one label, "lesion". Groups and classes are
    those of names.json or groups.csv there. `spacing_mm` (row, column) holds for all images;
    None takes what names.json or a NIfTI header states.

    Raises DataError where no name fits, an image or a probability has no partner, or
    probabilities are given with several labels: they are those of one.
    """
    names = names_near(true)
    dataset = _truth(true, names, tuple(labels), spacing_mm)
    if images is not None:
        dataset = _with_images(dataset, images, names)
    files = mask_files(found, _names_for(found, names))
    wanted = {case.id for case in dataset.cases}
    matched = {name: paths for name, paths in files.items() if name in wanted}
    if not matched:
        raise DataError(
            f"{found}: expected masks named as in {true} ({named(wanted)}), got {named(files)}; "
            "a mask belongs to the true mask of the same name without suffix"
        )
    hashes = {name: [sha256_file(path) for path in matched[name]] for name in sorted(matched)}
    return MaskSet(
        dataset=dataset,
        found=matched,
        probabilities=_probabilities(dataset, probabilities, names, matched),
        missing=tuple(case.id for case in dataset.cases if case.id not in matched),
        surplus=tuple(name for name in files if name not in wanted),
        model_id=sha256_json(hashes),
        has_images=images is not None,
    )


def score(masks: MaskSet, progress: Progress = iter, scoring: Scoring | None = None) -> Evaluation:
    """The rows of every case, exactly as `evaluation.evaluate` gives them for a segmenter.

    `scoring` None scores with the defaults; what rests on a probability is there only if
    probabilities are.
    Raises DataError for a found mask of another size than the true one, ImageError for a file
    that cannot be read.
    """
    scoring = replace(scoring or Scoring(), has_probability=masks.probabilities is not None)
    rows: list[Row] = []
    for case in progress(masks.dataset.cases):
        truth, segmentation = read_pair(masks, case)
        rows.extend(case_rows(case, truth, segmentation, masks.dataset.labels, scoring))
    return Evaluation(tuple(rows), (), masks.dataset.labels, masks.model_id)


def read_pair(masks: MaskSet, case: Case) -> tuple[Mask, Segmentation]:
    """The true labels of a case, and what was found, empty where nothing is.

    The image holds the picture only where `masks.has_images`; else its pixels are all 0.
    """
    labels = masks.dataset.labels
    truth = read_mask_files(case.masks, labels, strict=False)
    size = (truth.shape[0], truth.shape[1])
    paths = masks.found.get(case.id)
    found = read_mask_files(paths, labels) if paths else np.zeros_like(truth)
    if paths and found.shape != truth.shape:
        raise DataError(
            f"{paths[0]}: expected the size of the true mask {size[0]}x{size[1]} "
            f"({case.masks[0].name}), got {found.shape[0]}x{found.shape[1]}; save it on the "
            "image's own grid"
        )
    chance: Floats = (found > 0).astype(np.float32)
    if paths and masks.probabilities is not None:
        chance = probability.read_probability(masks.probabilities[case.id], size)
    image = replace(_image(masks, case, size), spacing_mm=case.spacing_mm)
    return truth, Segmentation(found, chance, labels, image, masks.model_id)


def _names_for(folder: Path, names: Names | None) -> Names | None:
    """The names by which the files of `folder` are called: its own, or those beside the truth.

    The latter only if more files are called by them than by the case ids, as in the folder
    that a prediction has written: one case's file name may be another's id.
    """
    own = names_near(folder)
    if own or names is None or not folder.is_dir():
        return own
    stems = {stem(path).removesuffix(_CHANNEL) for path in folder.iterdir()}
    by_id = len(stems & {case.id for case in names.cases.values()})
    return names if len(stems & set(names.cases)) > by_id else None


def _truth(
    true: Path,
    names: Names | None,
    labels: tuple[str, ...],
    spacing_mm: tuple[float, float] | None,
) -> Dataset:
    files = mask_files(true, names)
    labels = labels or _labels_near(true, names)
    groups = _groups_near(true, names, files)
    known = {case.id: case.spacing_mm for case in names.cases.values()} if names else {}
    cases = []
    for name, paths in files.items():
        group, label = groups.get(name, (name, ""))
        spacing = spacing_mm or known.get(name)
        if spacing is None and is_nifti(paths[0]):
            spacing = read_nifti(paths[0]).spacing_mm
        cases.append(Case(name, group, paths[0], paths, label, spacing))
    kind = "binary" if len(labels) == 1 else "labels"
    return Dataset("folder", true, labels, tuple(cases), kind)  # type: ignore[arg-type]


def _labels_near(true: Path, names: Names | None) -> tuple[str, ...]:
    for folder in (true, true.resolve().parent):
        if (folder / LABELS_FILE).is_file():
            return read_label_names(folder / LABELS_FILE)
        if (folder / DATASET_FILE).is_file():
            return nnunet_labels(folder, load_json(folder / DATASET_FILE))
    return names.labels if names else ("lesion",)


def _groups_near(true: Path, names: Names | None, ids: Iterable[str]) -> Mapping[str, Any]:
    """Case id -> (group, class)."""
    if names:
        return {case.id: (case.group, case.class_name) for case in names.cases.values()}
    for folder in (true, true.resolve().parent):
        if (folder / GROUPS_FILE).is_file():
            return read_groups(folder / GROUPS_FILE, ids)
    return {}


def _with_images(dataset: Dataset, folder: Path, names: Names | None) -> Dataset:
    own = _names_for(folder, names)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in raster.SUFFIXES and not is_nifti(path):
            continue
        name = stem(path)
        for key in (name, name.removesuffix(_CHANNEL)):
            known = own.cases.get(key) if own else None
            found.setdefault(known.id if known else key, path)
    missing = [case.id for case in dataset.cases if case.id not in found]
    if missing:
        raise DataError(
            f"{folder}: expected an image for every true mask, none for {named(missing)}; an "
            "image is called as its mask"
        )
    cases = tuple(replace(case, image=found[case.id]) for case in dataset.cases)
    return replace(dataset, cases=cases)


def _probabilities(
    dataset: Dataset, folder: Path | None, names: Names | None, found: Files
) -> dict[str, Path] | None:
    if folder is None:
        return None
    if len(dataset.labels) > 1:
        raise DataError(
            f"{folder}: expected probabilities of one label, the masks have "
            f"{', '.join(dataset.labels)}; score one label at a time"
        )
    paths: dict[str, Path] = {}
    known = _names_for(folder, names)
    # nnU-Net writes both into one folder.
    masks = {path.resolve() for files in found.values() for path in files}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in probability.SUFFIXES or path.resolve() in masks:
            continue
        case = known.cases.get(path.stem) if known else None
        name = case.id if case else path.stem
        if name in paths:
            raise DataError(
                f"{folder}: expected one probability map for '{name}', got {paths[name].name} "
                f"and {path.name}; remove one of them"
            )
        paths[name] = path
    missing = [name for name in found if name not in paths]
    if missing:
        raise DataError(
            f"{folder}: expected a probability map (.png, .npy, .npz) for every found mask, none "
            f"for {named(missing)}"
        )
    return paths


def _image(masks: MaskSet, case: Case, size: tuple[int, int]) -> Image:
    if not masks.has_images:
        return Image(np.zeros(size, np.uint8), None, str(case.masks[0]))
    image = read_nifti(case.image) if is_nifti(case.image) else raster.read_image(case.image)
    if image.pixels.shape[:2] != size:
        height, width = image.pixels.shape[:2]
        raise DataError(
            f"{case.image}: expected an image of its mask's size {size[0]}x{size[1]}, got "
            f"{height}x{width}"
        )
    return image
