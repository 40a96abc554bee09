"""A small data set on disk and segmenters that make known mistakes, for tests of scoring."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import PIL.Image

from featherseg.case_table import Row
from featherseg.evaluation import case_rows
from featherseg.types import Case, Image, Mask, Segmentation

HEIGHT, WIDTH = 30, 40
DIAGONAL = 50.0


def blank() -> Mask:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def box(top: int, left: int, height: int = 10, width: int = 10, label: int = 1) -> Mask:
    mask = blank()
    mask[top : top + height, left : left + width] = label
    return mask


def write_folder(root: Path, masks: Mapping[str, Mask], labels: tuple[str, ...] = ()) -> Path:
    """A data set of the layout `folder`: noise images and the given masks."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for stem, mask in masks.items():
        pixels = generator.integers(0, 256, mask.shape).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(root / "images" / f"{stem}.png")
        stored = mask if labels else mask * np.uint8(255)
        PIL.Image.fromarray(stored).save(root / "masks" / f"{stem}.png")
    if labels:
        (root / "labels.json").write_text(json.dumps(list(labels)))
    return root


def write_groups(root: Path, groups: Mapping[str, tuple[str, str]]) -> None:
    """State (group, class) of each image."""
    lines = [f"{stem},{group},{label}" for stem, (group, label) in groups.items()]
    (root / "groups.csv").write_text("\n".join(["id,group,class", *lines]) + "\n")


def segmenter(
    found: Mapping[str, Mask], labels: tuple[str, ...] = ("lesion",)
) -> Callable[[Image], Segmentation]:
    """A segmenter that answers by the stem of the image's file."""

    def segment(image: Image) -> Segmentation:
        mask = found[Path(image.source).stem]
        probability = (mask > 0).astype(np.float32)
        return Segmentation(mask, probability, labels, image, "model-1")

    return segment


def rows_of(
    name: str,
    truth: Mask,
    found: Mask,
    about: tuple[str, str] = ("", ""),
    labels: tuple[str, ...] = ("lesion",),
    spacing_mm: tuple[float, float] | None = None,
) -> list[Row]:
    """The rows of one case; `about` is (group, class)."""
    image = Image(np.zeros(truth.shape, np.uint8), spacing_mm, name)
    segmentation = Segmentation(found, found.astype(np.float32), labels, image, "m1")
    case = Case(name, about[0] or name, Path(name), (), about[1])
    return list(case_rows(case, truth, segmentation, labels))
