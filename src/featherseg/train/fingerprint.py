"""What the training images look like, in a few numbers from which a recipe can be chosen."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featherseg.datasets import load_dataset, read_case
from featherseg.datasets.pack import Progress
from featherseg.errors import DataError
from featherseg.splits import Split, check_split, subset
from featherseg.train.data import open_pack_of
from featherseg.types import Mask, Pixels

# One batch of the papers: fewer images say little about those to come.
FEWEST_IMAGES = 8
_SMALL_PERCENTILE = 5


@dataclass(frozen=True)
class Fingerprint:
    """The training images of a data set, nothing of its validation or test images.

    ``images`` counts them; ``median_size`` is (height, width) in pixels, each side's median.
    ``channels`` is 1 where every image is gray, else 3. ``labels`` is the number of foreground
    labels. ``empty_share`` is the share of images without any label. ``label_area`` and
    ``small_label_area`` are the median and the 5th percentile of the area that one label covers
    in one image, as a share of the image, over all labels that are there. ``is_packed``: the
    data come as a pack, whose size and channels stand.
    """

    images: int
    median_size: tuple[int, int]
    channels: int
    labels: int
    empty_share: float
    label_area: float
    small_label_area: float
    is_packed: bool = False


def fingerprint(
    pairs: Iterable[tuple[Pixels, Mask]], labels: int, *, is_packed: bool = False
) -> Fingerprint:
    """Measure images, uint8 (H, W) or (H, W, C), with their masks, uint8 (H, W) labels 0..K.

    Raises DataError for fewer than `FEWEST_IMAGES` images, and where none has a label.
    """
    sizes: list[tuple[int, ...]] = []
    areas: list[float] = []
    empty, channels = 0, 1
    for pixels, mask in pairs:
        sizes.append(pixels.shape[:2])
        channels = channels if _is_gray(pixels) else 3
        counts = np.bincount(mask.ravel(), minlength=labels + 1)[1:]
        areas.extend(counts[counts > 0] / mask.size)
        empty += int(not counts.any())
    if len(sizes) < FEWEST_IMAGES:
        raise DataError(
            f"choosing a recipe needs at least {FEWEST_IMAGES} training images, got {len(sizes)}; "
            "make a split with more of them, or name a recipe (see `featherseg recipes`)"
        )
    if not areas:
        raise DataError(
            f"none of the {len(sizes)} training images has a label, so there is nothing to learn; "
            "check the masks with: featherseg data audit"
        )
    height, width = np.median(sizes, axis=0)
    return Fingerprint(
        images=len(sizes),
        median_size=(round(height), round(width)),
        channels=channels,
        labels=labels,
        empty_share=empty / len(sizes),
        label_area=float(np.median(areas)),
        small_label_area=float(np.percentile(areas, _SMALL_PERCENTILE)),
        is_packed=is_packed,
    )


def fingerprint_of(
    data: Path,
    layout: str | None,
    split: Split,
    *,
    fold: int | None = None,
    progress: Progress = iter,
) -> Fingerprint:
    """The fingerprint of the split's training images in a folder or a pack file.

    A pack's images count as having its channels, gray or not. Raises DataError where the split
    was made for other images, and for images that cannot be used.
    """
    training = subset(split, "train", fold)
    if data.is_file():
        packed = open_pack_of(data, split).select(training)
        pairs = zip(packed.images, packed.masks, strict=True)
        measured = fingerprint(pairs, len(packed.labels), is_packed=True)
        return replace(measured, channels=packed.images.shape[3])
    dataset = load_dataset(data, layout or split.layout)
    check_split(split, dataset)
    known = set(training)
    cases = [case for case in dataset.cases if case.id in known]

    def decoded() -> Iterator[tuple[Pixels, Mask]]:
        for case in progress(cases):
            image, mask = read_case(dataset, case)
            yield image.pixels, mask

    return fingerprint(decoded(), len(dataset.labels))


def _is_gray(pixels: Pixels) -> bool:
    """Whether all channels are equal."""
    return pixels.ndim == 2 or bool((pixels == pixels[:, :, :1]).all())
