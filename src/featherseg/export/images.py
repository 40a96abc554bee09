"""The images an int8 export needs: some of the training to calibrate on, others for the gate."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featherseg.compress.gate import GateCase
from featherseg.compress.quantize import check_calibration
from featherseg.datasets import Dataset, load_dataset, read_case, read_case_image
from featherseg.datasets.pack import Packed
from featherseg.errors import DataError, RunError
from featherseg.evaluation import select_cases
from featherseg.preprocess import fit_pixels, normalize
from featherseg.splits import Split, check_split, load_split, parts_of, subset
from featherseg.train.data import open_pack_of
from featherseg.train.files import SPLIT_FILE
from featherseg.train.run import Run
from featherseg.types import Floats, Image

CALIBRATION_IMAGES = 128
_VALIDATION = "validation"
# A run on all images, as of a cross-validation's --final, leaves none to validate on.
_NOT_CALIBRATED = "training (no others were left, none of them calibrated)"

Cases = Callable[[], Iterator[GateCase]]


@dataclass(frozen=True, eq=False)
class QuantizingImages:
    """What a network is quantized and judged on.

    ``calibration`` is float32 (n, C, h, w) as the network takes it, of training images;
    ``cases()`` gives the gate's `count` images anew each time, at their own size where the data
    are a folder, at the network's where they are a pack; ``over`` says which images they are.
    """

    calibration: Floats
    cases: Cases
    count: int
    over: str


def quantizing_images(
    run: Run, data: Path, layout: str | None = None, calibration: int = CALIBRATION_IMAGES
) -> QuantizingImages:
    """Choose images of `data`, a folder in `layout` (None: the run's) or a pack, for a run.

    Calibration takes `calibration` training images, spread evenly over their order; the gate
    takes all validation images, or, of a run without any, the training images that did not
    calibrate. Raises RunError for a run that keeps no split, DataError for other images than it
    was trained on and for too few.
    """
    split = _split_of(run)
    source = _Folder(load_dataset(data, layout or split.layout)) if data.is_dir() else None
    if source is not None:
        check_split(split, source.dataset)
    opened = source or _Pack(open_pack_of(data, split))
    train, validation = _subsets(run, split, opened.classes())
    chosen = spread(train, calibration)
    check_calibration(len(chosen))
    judged = validation or tuple(name for name in train if name not in set(chosen))
    if not judged:
        raise DataError(
            f"{data}: the gate of an int8 network needs images that did not calibrate it, and all "
            f"{len(train)} training images did; calibrate with fewer, or use --precision fp32"
        )
    expected = run.preprocessing
    pixels = [
        fit_pixels(image.pixels, expected.input_size, expected.channels)
        for image in opened.images(chosen)
    ]
    return QuantizingImages(
        calibration=normalize(np.stack(pixels), expected),
        cases=lambda: opened.cases(judged, split.groups),
        count=len(judged),
        over=_VALIDATION if validation else _NOT_CALIBRATED,
    )


def spread(names: Sequence[str], count: int) -> tuple[str, ...]:
    """At most `count` of the names, evenly from first to last."""
    if len(names) <= count:
        return tuple(names)
    return tuple(
        names[place] for place in np.linspace(0, len(names) - 1, count).round().astype(int)
    )


@dataclass(frozen=True, eq=False)
class _Folder:
    dataset: Dataset

    def classes(self) -> dict[str, str]:
        return {case.id: case.label for case in self.dataset.cases}

    def images(self, names: Sequence[str]) -> Iterator[Image]:
        for case in select_cases(self.dataset, names):
            yield read_case_image(self.dataset, case)

    def cases(self, names: Sequence[str], groups: dict[str, str]) -> Iterator[GateCase]:
        for case in select_cases(self.dataset, names):
            image, mask = read_case(self.dataset, case)
            yield GateCase(image, mask, groups.get(case.id, case.group))


@dataclass(frozen=True, eq=False)
class _Pack:
    packed: Packed

    def classes(self) -> dict[str, str]:
        return dict(zip(self.packed.ids, self.packed.classes, strict=True))

    def images(self, names: Sequence[str]) -> Iterator[Image]:
        chosen = self.packed.select(names)
        for name, pixels in zip(chosen.ids, chosen.images, strict=True):
            # A gray pack has one channel, an image of one channel none.
            yield Image(pixels[..., 0] if pixels.shape[2] == 1 else pixels, None, name)

    def cases(self, names: Sequence[str], groups: dict[str, str]) -> Iterator[GateCase]:
        masks = self.packed.select(names).masks
        for name, image, mask in zip(names, self.images(names), masks, strict=True):
            yield GateCase(image, mask, groups.get(name, name))


def _split_of(run: Run) -> Split:
    """The run's own split, or that of the cross-validation whose final run it is."""
    own = run.folder / SPLIT_FILE
    if own.is_file():
        return load_split(own)
    whole = run.content.get("cross_validation")
    above = run.folder.absolute().parent / SPLIT_FILE
    if not whole or not above.is_file():
        raise RunError(
            f"{run.folder}: expected {SPLIT_FILE}, which says on which images the run was trained, "
            "found none; int8 needs it: train the run again, or export with --precision fp32"
        )
    split = load_split(above)
    if split.sha256 != whole["split_sha256"]:
        raise RunError(
            f"{above}: another split than that of the cross-validation that made {run.folder}; "
            "put its own back, or export with --precision fp32"
        )
    return split


def _subsets(
    run: Run, split: Split, classes: dict[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The training and validation cases of the run, of its recipe's classes."""
    if run.content.get("cross_validation"):
        names: Iterable[tuple[str, ...]] = (
            tuple(name for part in parts_of(split).values() for name in part),
            (),
        )
    else:
        fold = run.content.get("fold")
        names = (subset(split, "train", fold), subset(split, _VALIDATION, fold))
    wanted = run.recipe.classes
    train, validation = (
        tuple(name for name in part if not wanted or classes[name] in wanted) for part in names
    )
    return train, validation
